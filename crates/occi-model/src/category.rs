//! Categories and the attributes they define (GFD.221, sections 4.3 to 4.4).

use crate::{AttributeName, Lifecycle, Location, TypeId, Value};
use std::sync::Arc;

/// What the values of an attribute look like; finer than the core's Object, List and Hash.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueType {
    /// Any text.
    String,
    /// A whole number within inclusive bounds.
    Integer {
        /// The least allowed, if there is one.
        min: Option<i64>,
        /// The greatest allowed, if there is one.
        max: Option<i64>,
    },
    /// A number; greater than `above` if that is given.
    Float {
        /// The exclusive lower bound.
        above: Option<f64>,
    },
    /// `true` or `false`.
    Boolean,
    /// One of these words. Aliases accepted on input are pairs of (alias, word).
    Enum {
        /// The words, in the standard's order.
        values: &'static [&'static str],
        /// What else is understood, and as what.
        aliases: &'static [(&'static str, &'static str)],
    },
    /// A URI or a URI reference.
    Uri,
    /// An IPv4 or IPv6 address.
    IpAddr,
    /// An IPv4 or IPv6 network in CIDR notation.
    IpNet,
    /// A MAC address, six hexadecimal pairs.
    Mac,
    /// A date and time (RFC 3339).
    DateTime,
    /// A list.
    List,
    /// Named values.
    Hash,
}

/// The definition of an attribute by a category (GFD.221, section 4.3.2).
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeDefinition {
    /// The attribute's name.
    pub name: AttributeName,
    /// What its values look like.
    pub value_type: ValueType,
    /// Whether a client may set it and change it later.
    pub mutable: bool,
    /// Whether a client must give it at creation, unless there is a default.
    pub required: bool,
    /// Used when the client gives none.
    pub default: Option<Value>,
    /// For people.
    pub description: Option<String>,
    /// Settable by a client at creation and never again (`occi.compute.userdata`).
    pub creation_only: bool,
}

/// Where a mixin comes from, and so who may delete it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An OCCI document or a published extension.
    Standard,
    /// The configuration, or a backend's catalogue (a template).
    Provider {
        /// The backend's name; empty for the configuration.
        backend: String,
    },
    /// A user, through the query interface; belongs to a project.
    User {
        /// The owning project.
        project: String,
        /// Who made it.
        owner: String,
    },
}

/// The type of an entity (GFD.221, section 4.3.3).
#[derive(Clone, Debug)]
pub struct Kind {
    /// Scheme and term.
    pub id: TypeId,
    /// For people.
    pub title: String,
    /// The direct super-type; none for `entity` only.
    pub parent: Option<TypeId>,
    /// The attributes that this kind adds to its ancestors'.
    pub attributes: Vec<AttributeDefinition>,
    /// The actions that this kind adds to its ancestors'.
    pub actions: Vec<TypeId>,
    /// Where its collection is.
    pub location: Location,
    /// Its states and what moves between them.
    pub lifecycle: Option<Arc<Lifecycle>>,
}

/// A capability added to instances (GFD.221, section 4.3.4).
#[derive(Clone, Debug)]
pub struct Mixin {
    /// Scheme and term.
    pub id: TypeId,
    /// For people; may be empty.
    pub title: String,
    /// Mixins whose capabilities come with this one. An unknown one is kept (a user mixin may name it).
    pub depends: Vec<TypeId>,
    /// Kinds it may be added to, descendants included; empty means any.
    pub applies: Vec<TypeId>,
    /// The attributes it adds, or gives other defaults.
    pub attributes: Vec<AttributeDefinition>,
    /// The actions it adds.
    pub actions: Vec<TypeId>,
    /// Where its collection is.
    pub location: Location,
    /// Where it comes from.
    pub origin: Origin,
}

/// Something that can be invoked on an entity or a collection (GFD.221, section 4.3.5).
#[derive(Clone, Debug)]
pub struct Action {
    /// Scheme and term.
    pub id: TypeId,
    /// For people.
    pub title: String,
    /// Its parameters.
    pub attributes: Vec<AttributeDefinition>,
}

/// Any of the three.
#[derive(Clone, Debug)]
pub enum Category {
    /// A kind.
    Kind(Arc<Kind>),
    /// A mixin.
    Mixin(Arc<Mixin>),
    /// An action.
    Action(Arc<Action>),
}

impl Category {
    /// Scheme and term.
    pub fn id(&self) -> &TypeId {
        match self {
            Self::Kind(kind) => &kind.id,
            Self::Mixin(mixin) => &mixin.id,
            Self::Action(action) => &action.id,
        }
    }
}
