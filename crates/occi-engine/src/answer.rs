//! What the verbs answer.

use crate::Result;
use crate::operation::has_ended;
use futures::stream::BoxStream;
use occi_model::{Entity, Mixin, TypeId, Value};
use occi_store::OperationRow;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// An entity, with what HTTP says around it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The number of the entity, see [`Stamp`].
    pub seq: i64,
    /// The entity as the caller sees it: owned links that are visible, actions that are applicable now.
    pub entity: Arc<Entity>,
    /// The generation, for the ETag. Covers the rendered links too.
    pub generation: i64,
    /// How old the picture is, and the backend that cannot be reached, if it cannot.
    pub stale: Option<(Duration, String)>,
}

impl Found {
    /// What names the entity in this state.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            seq: self.seq,
            generation: self.generation,
        }
    }
}

/// The outcome of a create.
#[derive(Clone, Debug)]
pub struct Created {
    /// What was made, in the order of the request: resources and directly created links, not inline links.
    pub entities: Vec<Arc<Entity>>,
    /// Their generations.
    pub generations: Vec<i64>,
    /// The operation that goes on, if one does.
    pub operation: Option<Uuid>,
    /// A replay of an answer that was given before (`Idempotency-Key`).
    pub replayed: bool,
}

impl Created {
    pub(crate) fn of(found: Vec<Found>, operation: Option<Uuid>, replayed: bool) -> Self {
        Self {
            generations: found.iter().map(|found| found.generation).collect(),
            entities: found.into_iter().map(|found| found.entity).collect(),
            operation,
            replayed,
        }
    }
}

/// The outcome of a change or an action.
#[derive(Clone, Debug)]
pub struct Done {
    /// The entity afterwards.
    pub found: Option<Found>,
    /// The operation that goes on, if one does.
    pub operation: Option<Uuid>,
    /// The mixin that `save` made.
    pub mixin: Option<Arc<Mixin>>,
}

/// The outcome of a delete.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// How many entities the caller will not see again.
    pub entities: usize,
    /// The operation that goes on, if one does.
    pub operation: Option<Uuid>,
}

/// A collection or an entity, by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// The query interface.
    Query,
    /// The collection of a kind.
    Kind(TypeId),
    /// The collection of a mixin.
    Mixin(TypeId),
    /// A path that is no location but may have entities below; ends with `/`.
    Unbound(String),
    /// Anything else: the path of an entity, canonical.
    Entity(String),
}

/// What is wanted of a collection. All conditions hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Kinds or mixins that the entity has (all of them).
    pub categories: Vec<TypeId>,
    /// Attributes with these values.
    pub attributes: Vec<(String, Value)>,
    /// Attributes whose text holds this.
    pub contains: Vec<(String, String)>,
}

/// An operation, as its owner sees it.
#[derive(Clone, Debug)]
pub struct OperationView {
    /// The operation.
    pub row: OperationRow,
    /// Its parts, for an operation on a collection.
    pub parts: Vec<OperationRow>,
}

impl OperationView {
    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        has_ended(self.row.state)
    }
}

/// An action to invoke: by full identifier, or by term alone.
#[derive(Clone, Debug)]
pub struct Call {
    /// The term of the query string.
    pub term: String,
    /// The action of the payload.
    pub action: Option<TypeId>,
    /// The parameters of the payload.
    pub parameters: Vec<(occi_model::AttributeName, occi_model::Input)>,
}

/// The entities of a collection.
pub struct Listing<K> {
    /// The entities in the order of creation, read from the store as they are taken.
    pub entities: BoxStream<'static, Result<Shown<K>>>,
    /// What there is to say about all of them.
    pub head: ListingHead,
}

/// An entity of a listing.
pub enum Shown<K> {
    /// What the caller has of it, because it did not change since.
    Known {
        /// What the caller has.
        known: K,
        /// Whether the entity is a link.
        is_link: bool,
    },
    /// What was read.
    Found(Found),
}

/// The paths of a collection, without their entities.
pub struct PathListing {
    /// The paths in the order of creation, in batches, read from the store as they are taken.
    pub paths: BoxStream<'static, Result<Vec<String>>>,
    /// What there is to say about all of them.
    pub head: ListingHead,
}

/// What is said about a listing before its first entity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListingHead {
    /// For the ETag: grows with every change of anything.
    pub generation: i64,
    /// How old the oldest picture is, and the backends that cannot be reached.
    pub stale: Option<(Duration, Vec<String>)>,
    /// Whether another page follows.
    pub more: bool,
}

/// Which entity, and which state of it: what was rendered for a stamp is right as long as a reading gives the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The entity's number. Unlike an id, no other entity ever has it: something that vanished and came back is another.
    pub seq: i64,
    /// Its generation, as in [`Found`].
    pub generation: i64,
}
