//! What a backend can do, declared once. The query interface, the rendered actions, the support table and the contract
//! suite all come from this declaration.

use occi_model::{AttributeName, TypeId};
use std::time::Duration;

/// Where the engine behind a backend can be reached from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locality {
    /// Only from the node that owns it (QEMU on this host).
    Host,
    /// From every node (a cloud's API).
    Shared,
}

/// Everything a backend declares.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// Where its engine is.
    pub locality: Locality,
    /// The kinds it carries out, links included. A kind that is not here does not exist in this backend.
    pub kinds: Vec<KindCapability>,
    /// Whether every project has a default network: the engine above adds a [`crate::CreateLink`] without target to a
    /// compute that has no network link.
    pub default_network: bool,
    /// Whether an interface may lead to a network of another native project ([`crate::Target::project`]). Then the native
    /// ids of the engine's networks are unique over all projects.
    pub shared_networks: bool,
    /// Whether the engine assigns the ids (then a client cannot choose one by PUT).
    pub assigns_ids: bool,
    /// Whether [`crate::Backend::projects`] tells in which native projects there is something.
    pub lists_projects: bool,
    /// Whether [`crate::Backend::remove_template`] removes what `save` has made.
    pub removes_templates: bool,
    /// Whether [`crate::Backend::images`] gives some: clients may upload images and download them.
    pub images: bool,
    /// Whether [`crate::Backend::events`] gives a stream.
    pub events: bool,
    /// How long a write may take to be accepted before the client gets its answer anyway (2 s local, 10 s remote).
    pub accept_wait: Duration,
    /// After an ambiguous outcome the object is looked for until twice this time has passed before anything is sent
    /// again. Longer than any single native call lasts.
    pub call_timeout: Duration,
    /// How many multi-step verbs may run at the same time.
    pub concurrency: usize,
}

impl Capabilities {
    /// What is declared for `kind`.
    pub fn kind(&self, kind: &TypeId) -> Option<&KindCapability> {
        self.kinds.iter().find(|k| k.kind == *kind)
    }
}

/// What can be done with the entities of one kind. Listing and finding are always possible.
#[derive(Clone, Debug)]
pub struct KindCapability {
    /// The kind.
    pub kind: TypeId,
    /// Whether a client may create one.
    pub create: bool,
    /// Whether a client may delete one.
    pub delete: bool,
    /// The engine's own attributes that a client may change later. Attributes that are not the engine's
    /// (`occi.core.title` where it has no place for one, free ones) are the store's and always changeable.
    pub update: Vec<UpdateCapability>,
    /// The actions.
    pub actions: Vec<ActionCapability>,
    /// Link kinds that can be made together with an entity of this kind.
    pub inline_links: Vec<TypeId>,
    /// Link kinds that can be made on an existing entity of this kind, and in which of its states.
    pub later_links: Vec<(TypeId, Vec<&'static str>)>,
    /// Mixins (or parents of mixins: `os_tpl`) that the engine carries out on this kind.
    pub mixins: Vec<TypeId>,
    /// Attributes that the engine owns. All others of the kind are kept by the store.
    pub owned: Vec<AttributeName>,
    /// Whether [`crate::Consoles::log`] gives what came over its console.
    pub console_log: bool,
    /// The states in which [`crate::Consoles::open`] opens its console; none: it has no console.
    pub console: Vec<&'static str>,
}

impl KindCapability {
    /// What is declared for `action`.
    pub fn action(&self, action: &TypeId) -> Option<&ActionCapability> {
        self.actions.iter().find(|a| a.action == *action)
    }
}

/// A change that the engine carries out on an existing entity.
#[derive(Clone, Debug)]
pub struct UpdateCapability {
    /// The attribute, or the parent mixin whose children may be replaced (`resource_tpl`).
    pub what: String,
    /// The states in which it is possible.
    pub states: Vec<&'static str>,
}

/// An action that the engine carries out.
#[derive(Clone, Debug)]
pub struct ActionCapability {
    /// The action.
    pub action: TypeId,
    /// The states from which the engine takes it; the kind's lifecycle narrows them further.
    pub states: Vec<&'static str>,
    /// The values of its `method` parameter; empty for actions without one.
    pub methods: Vec<MethodCapability>,
}

/// How one `method` of an action is honoured.
#[derive(Clone, Debug)]
pub struct MethodCapability {
    /// The word.
    pub method: &'static str,
    /// Whether it does what the word says.
    pub fidelity: Fidelity,
}

/// Whether a method does what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// It does.
    Exact,
    /// The engine cannot tell it from another method and does that instead; said in the support table.
    Approximate,
}
