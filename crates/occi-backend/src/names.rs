//! The model's names as parsed values: infrastructure kinds, their actions, and what computes carry.

use occi_model::{AttributeName, TypeId, infrastructure, production, templates};
use std::sync::LazyLock;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $module:ident;)*) => {
        $($(#[$doc])* pub static $name: LazyLock<TypeId> = LazyLock::new(|| fixed($module::$name));)*
    };
}

names! {
    /// A virtual machine.
    COMPUTE = infrastructure;
    /// A layer 2 network.
    NETWORK = infrastructure;
    /// A volume.
    STORAGE = infrastructure;
    /// A link from a compute to a network or an address.
    NETWORKINTERFACE = infrastructure;
    /// A link from a compute to a volume.
    STORAGELINK = infrastructure;
    /// A reserved address.
    IPRESERVATION = production;
    /// A set of packet filter rules.
    SECURITYGROUP = production;
    /// A link from a compute to a security group.
    SECURITYGROUPLINK = production;
    /// The parent of the operating systems.
    OS_TPL = templates;
    /// The parent of the sizes.
    RESOURCE_TPL = templates;
    /// A key for logging in.
    SSH_KEY = infrastructure;
    /// What the guest runs at the end of its first boot.
    USER_DATA = infrastructure;
    /// Addresses of a network.
    IPNETWORK = infrastructure;
    /// The address of an interface.
    IPNETWORKINTERFACE = infrastructure;
}

/// The action `term` of the infrastructure kind `kind` (`compute`, `start`), both written in the source.
pub fn action(kind: &str, term: &str) -> TypeId {
    fixed(&format!(
        "http://schemas.ogf.org/occi/infrastructure/{kind}/action#{term}"
    ))
}

/// An attribute whose name is written in the source.
#[expect(
    clippy::expect_used,
    reason = "for names written in the source: a wrong one fails every test"
)]
pub fn attribute(name: &str) -> AttributeName {
    name.parse()
        .expect("an attribute name written in the source is well formed")
}

/// The attribute that shows the state of an entity of `kind` (`occi.compute.state`).
pub fn state_attribute(kind: &TypeId) -> AttributeName {
    attribute(&format!("occi.{}.state", kind.term()))
}

#[expect(
    clippy::expect_used,
    reason = "for identifiers written in the source: a wrong one fails every test"
)]
fn fixed(id: &str) -> TypeId {
    id.parse()
        .expect("a type identifier written in the source is well formed")
}
