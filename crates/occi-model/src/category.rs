//! Categories and the attributes they define (GFD.221, sections 4.3 to 4.4).

use crate::{AttributeName, IdentError, Lifecycle, Location, TypeId, Value};
use std::fmt;
use std::str::FromStr;
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

impl ValueType {
    /// The widest type that `value` belongs to.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::String(_) => Self::String,
            Value::Integer(_) | Value::Float(_) => Self::Float { above: None },
            Value::Boolean(_) => Self::Boolean,
            Value::List(_) => Self::List,
            Value::Hash(_) => Self::Hash,
        }
    }

    /// The type as JSON names it: `string`, `number`, `boolean`, `array` or `object` (GFD.226, attribute description).
    pub fn json_type(&self) -> &'static str {
        match self {
            Self::Integer { .. } | Self::Float { .. } => "number",
            Self::Boolean => "boolean",
            Self::List => "array",
            Self::Hash => "object",
            Self::String | Self::Enum { .. } | Self::Uri | Self::IpAddr | Self::IpNet | Self::Mac | Self::DateTime => {
                "string"
            }
        }
    }

    /// Whether every value of this type is one of `base` too: a later definition of an attribute may narrow an earlier
    /// one, not change it (GFD.221, section 4.3.2). Bounds and words are not compared.
    pub fn narrows(&self, base: &ValueType) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(base)
            || match base {
                Self::String => self.json_type() == "string",
                Self::Float { .. } => matches!(self, Self::Integer { .. }),
                _ => false,
            }
    }
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
    /// Settable by a client at creation and never again (`occi.compute.userdata`). With `mutable` false it is a wish
    /// that the provider may take or leave (`occi.networkinterface.interface`).
    pub creation_only: bool,
}

impl AttributeDefinition {
    /// A mutable attribute that nobody must give and that has no default.
    pub fn new(name: AttributeName, value_type: ValueType) -> Self {
        Self {
            name,
            value_type,
            mutable: true,
            required: false,
            default: None,
            description: None,
            creation_only: false,
        }
    }
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

/// What a category is: the `class` of the text renderings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The type of an entity.
    Kind,
    /// A capability added to entities.
    Mixin,
    /// Something that can be invoked.
    Action,
}

impl Class {
    /// The word of the text renderings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Mixin => "mixin",
            Self::Action => "action",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Class {
    type Err = IdentError;
    fn from_str(text: &str) -> Result<Self, IdentError> {
        [Self::Kind, Self::Mixin, Self::Action]
            .into_iter()
            .find(|class| class.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| IdentError {
                what: "class",
                text: text.chars().take(200).collect(),
                reason: "must be kind, mixin or action",
            })
    }
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

    /// Which of the three.
    pub fn class(&self) -> Class {
        match self {
            Self::Kind(_) => Class::Kind,
            Self::Mixin(_) => Class::Mixin,
            Self::Action(_) => Class::Action,
        }
    }
}
