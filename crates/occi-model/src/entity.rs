//! Entities: resources and links as the service shows them (GFD.221, section 4.5).

use crate::{AttributeName, EntityId, TypeId, Value};
use std::collections::BTreeMap;

/// The attributes of one entity, by name. `occi.core.title` and `occi.core.summary` are here; `occi.core.id`,
/// `occi.core.source` and `occi.core.target` are members of [`Entity`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(BTreeMap<AttributeName, Value>);

impl Attributes {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
    /// Sets `name`, and returns what it was.
    pub fn set(&mut self, name: AttributeName, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(name, value.into())
    }
    /// Removes `name`, and returns what it was.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }
    /// All of them, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&AttributeName, &Value)> {
        self.0.iter()
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// This as a JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        self.0
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_json()))
            .collect()
    }
    /// Reads what [`Attributes::to_json`] wrote; `None` if it is something else.
    pub fn from_json(json: &serde_json::Value) -> Option<Self> {
        json.as_object()?
            .iter()
            .map(|(name, value)| Some((name.parse().ok()?, Value::from_json(value)?)))
            .collect::<Option<_>>()
            .map(Self)
    }
}

impl FromIterator<(AttributeName, Value)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (AttributeName, Value)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}
impl IntoIterator for Attributes {
    type Item = (AttributeName, Value);
    type IntoIter = std::collections::btree_map::IntoIter<AttributeName, Value>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkEnd {
    /// A path on this server, or an absolute URI of somebody else's resource.
    pub location: String,
    /// The resource's kind, where it is known.
    pub kind: Option<TypeId>,
}

/// What makes an entity a resource or a link.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A resource and the links that it owns (those whose source it is).
    Resource {
        /// The owned links, oldest first.
        links: Vec<Entity>,
    },
    /// A link.
    Link {
        /// The resource that owns it.
        source: LinkEnd,
        /// What it leads to.
        target: LinkEnd,
    },
}

/// An entity as the service shows it to somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// Its path on this server, `/compute/<id>`.
    pub location: String,
    /// Its id.
    pub id: EntityId,
    /// Its kind.
    pub kind: TypeId,
    /// Its mixins, in the order of association.
    pub mixins: Vec<TypeId>,
    /// Its attributes.
    pub attributes: Attributes,
    /// The actions that may be invoked now, in the order of rendering.
    pub actions: Vec<TypeId>,
    /// Resource or link.
    pub shape: Shape,
}
