//! The names that backends and the contract suite share: infrastructure kinds, their actions, and what computes carry.
//! All are fixed text of GFD.224 and of the extensions in use.

use occi_model::{AttributeName, TypeId};
use std::sync::LazyLock;

/// The scheme of the infrastructure kinds (GFD.224, section 3).
pub const INFRASTRUCTURE: &str = "http://schemas.ogf.org/occi/infrastructure#";

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $scheme:expr, $term:expr;)*) => {
        $($(#[$doc])* pub static $name: LazyLock<TypeId> = LazyLock::new(|| fixed($scheme, $term));)*
    };
}

names! {
    /// A virtual machine.
    COMPUTE = INFRASTRUCTURE, "compute";
    /// A layer 2 network.
    NETWORK = INFRASTRUCTURE, "network";
    /// A volume.
    STORAGE = INFRASTRUCTURE, "storage";
    /// A link from a compute to a network or an address.
    NETWORKINTERFACE = INFRASTRUCTURE, "networkinterface";
    /// A link from a compute to a volume.
    STORAGELINK = INFRASTRUCTURE, "storagelink";
    /// A reserved address.
    IPRESERVATION = INFRASTRUCTURE, "ipreservation";
    /// A set of packet filter rules.
    SECURITYGROUP = INFRASTRUCTURE, "securitygroup";
    /// A link from a compute to a security group.
    SECURITYGROUPLINK = INFRASTRUCTURE, "securitygrouplink";
    /// The parent of the operating systems.
    OS_TPL = INFRASTRUCTURE, "os_tpl";
    /// The parent of the sizes.
    RESOURCE_TPL = INFRASTRUCTURE, "resource_tpl";
    /// A key for logging in.
    SSH_KEY = "http://schemas.ogf.org/occi/infrastructure/credentials#", "ssh_key";
    /// What the guest runs at the end of its first boot.
    USER_DATA = "http://schemas.ogf.org/occi/infrastructure/compute#", "user_data";
    /// Addresses of a network.
    IPNETWORK = "http://schemas.ogf.org/occi/infrastructure/network#", "ipnetwork";
    /// The address of an interface.
    IPNETWORKINTERFACE = "http://schemas.ogf.org/occi/infrastructure/networkinterface#", "ipnetworkinterface";
}

/// The action `term` of the infrastructure kind `kind` (`compute`, `start`).
pub fn action(kind: &str, term: &str) -> TypeId {
    fixed(
        &format!("http://schemas.ogf.org/occi/infrastructure/{kind}/action#"),
        term,
    )
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
fn fixed(scheme: &str, term: &str) -> TypeId {
    TypeId::new(scheme, term).expect("a type identifier written in the source is well formed")
}
