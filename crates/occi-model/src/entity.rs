//! Entities: resources and links as the service shows them (GFD.221, section 4.5).

use crate::{AttributeName, EntityId, TypeId, Value};

/// The attributes of one entity, by name. `occi.core.title` and `occi.core.summary` are here; `occi.core.id`,
/// `occi.core.source` and `occi.core.target` are members of [`Entity`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(
    /// Ordered by name. Of a dozen, a list is smaller than a tree, and made and copied faster.
    Vec<(AttributeName, Value)>,
);

/// So many attributes an entity has, as a rule.
const USUAL: usize = 12;

impl Attributes {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.find(name).ok().map(|at| &self.0[at].1)
    }
    /// Sets `name`, and returns what it was.
    pub fn set(&mut self, name: AttributeName, value: impl Into<Value>) -> Option<Value> {
        let value = value.into();
        match self.find(name.as_str()) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }
    /// Removes `name`, and returns what it was.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.find(name).ok().map(|at| self.0.remove(at).1)
    }
    /// All of them, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&AttributeName, &Value)> {
        self.0.iter().map(|(name, value)| (name, value))
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
        self.iter()
            .map(|(name, value)| (name.to_string(), value.to_json()))
            .collect()
    }
    /// Reads what [`Attributes::to_json`] wrote; `None` if it is something else.
    pub fn from_json(json: &serde_json::Value) -> Option<Self> {
        json.as_object()?
            .iter()
            .map(|(name, value)| Some((name.parse().ok()?, Value::from_json(value)?)))
            .collect()
    }
}

impl FromIterator<(AttributeName, Value)> for Attributes {
    /// The last of equal names counts.
    fn from_iter<I: IntoIterator<Item = (AttributeName, Value)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        let mut all = Self(Vec::with_capacity(pairs.size_hint().0.max(USUAL)));
        for (name, value) in pairs {
            // Most come in order.
            match all.0.last() {
                Some((last, _)) if *last >= name => drop(all.set(name, value)),
                _ => all.0.push((name, value)),
            }
        }
        all
    }
}
impl IntoIterator for Attributes {
    type Item = (AttributeName, Value);
    type IntoIter = std::vec::IntoIter<(AttributeName, Value)>;
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
