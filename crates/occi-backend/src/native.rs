//! Native objects as the engine above sees them.

use occi_model::{Attributes, EntityId, Term, TypeId};

/// The name of an object in the engine behind a backend: a libvirt UUID, a Nova server id, a directory.
pub type NativeId = String;

/// An entity that a verb is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its kind.
    pub kind: TypeId,
    /// Our mark: the id that we minted and that the native object carries. For an object made behind our back, the id
    /// under which we know it.
    pub mark: EntityId,
    /// Its native id, once it is known. Without it the mark is the only way to find the object.
    pub native_id: Option<NativeId>,
    /// The native project in which it is, if that is not the scope's: a network to which an interface of another project
    /// leads ([`crate::Capabilities::shared_networks`]). Of what a verb is about: none.
    pub project: Option<String>,
}

impl Target {
    /// The native project in which it is, for a verb in the scope of `project`.
    pub fn project_in<'a>(&'a self, project: &'a str) -> &'a str {
        self.project.as_deref().unwrap_or(project)
    }
}

/// A native object by name, as the end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeRef {
    /// Its kind.
    pub kind: TypeId,
    /// Its native id.
    pub native_id: NativeId,
    /// Our mark, where the object carries one.
    pub mark: Option<EntityId>,
}

/// The two ends of a native link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeEnds {
    /// The resource that owns the link.
    pub source: NativeRef,
    /// What it leads to.
    pub target: NativeRef,
}

/// The last known picture of one native object, in OCCI's words.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Its native id: unique per backend, native project and kind.
    pub native_id: NativeId,
    /// Our mark, if it was made through us.
    pub mark: Option<EntityId>,
    /// Its kind.
    pub kind: TypeId,
    /// The template it was made from, where the engine knows.
    pub os_template: Option<Term>,
    /// Its size, where the engine has named sizes.
    pub resource_template: Option<Term>,
    /// Mixins that the engine itself carries out (`ipnetwork`, `ipnetworkinterface`, ...); templates not.
    pub mixins: Vec<TypeId>,
    /// Every attribute that the engine owns, the state and its message included. An attribute that is absent here and
    /// owned by the engine is unset.
    pub attributes: Attributes,
    /// For a link: its ends.
    pub ends: Option<NativeEnds>,
}

/// A bulk listing of one kind in one scope.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What is there.
    pub pictures: Vec<Picture>,
    /// Whether this is everything: only a complete listing may find something missing.
    pub complete: bool,
}

/// Operating system or size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TemplateKind {
    /// A child of `os_tpl`.
    Os,
    /// A child of `resource_tpl`.
    Resource,
}

/// A native template; the engine above makes a mixin of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Operating system or size.
    pub kind: TemplateKind,
    /// The term of its mixin: unique per backend and kind, and all that is told back to the backend.
    pub term: Term,
    /// For people.
    pub title: String,
    /// The values it stands for (sizes), or gives as defaults.
    pub defaults: Attributes,
    /// The least memory that boots it, in GiB.
    pub min_memory_gib: Option<f64>,
    /// The project that alone may see and use it (a saved compute); none means everybody.
    pub project: Option<String>,
}

/// What a backend offers to make computes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    /// All templates.
    pub templates: Vec<Template>,
    /// The term of the OS template for a compute that names none.
    pub default_os: Option<Term>,
}

/// Something that happened in the engine by itself.
#[derive(Clone, Debug)]
pub enum Event {
    /// This is how the object looks now.
    Changed(Box<Picture>),
    /// The object is gone.
    Gone {
        /// Its kind.
        kind: TypeId,
        /// Its native id.
        native_id: NativeId,
    },
    /// The catalogue changed.
    Catalogue,
    /// Events were lost: list again.
    Resync,
}
