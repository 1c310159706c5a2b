//! Why the store said no.

use occi_model::{EntityId, TypeId};
use uuid::Uuid;

/// A requirement did not hold; nothing was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// No such entity, or it is hidden.
    #[error("no entity {0}")]
    NoEntity(EntityId),
    /// The entity has another generation.
    #[error("the entity {id} has generation {current}")]
    Generation {
        /// The entity.
        id: EntityId,
        /// Its generation now.
        current: i64,
    },
    /// Something has happened since.
    #[error("something has changed since the event {since}: the newest is {newest}")]
    Changed {
        /// The newest event that was known.
        since: i64,
        /// The newest event.
        newest: i64,
    },
    /// An operation is open on the entity.
    #[error("operation {operation} is open on the entity {id}")]
    Busy {
        /// The entity.
        id: EntityId,
        /// The operation.
        operation: Uuid,
        /// Its verb.
        verb: String,
    },
    /// The worker lost its lease, or the operation has ended.
    #[error("operation {0} is not held by this worker")]
    LeaseLost(Uuid),
    /// The operation was told to stop.
    #[error("operation {0} was told to stop")]
    Cancelled(Uuid),
    /// Another entity links to it.
    #[error("the entity {id} is the target of {by}")]
    Targeted {
        /// The entity.
        id: EntityId,
        /// The path of a link to it.
        by: String,
    },
    /// An entity has the mixin.
    #[error("the mixin {mixin} is used by {by}")]
    Associated {
        /// The mixin.
        mixin: TypeId,
        /// The path of the entity.
        by: String,
    },
    /// The project has no such user mixin.
    #[error("there is no mixin {0}")]
    NoMixin(TypeId),
    /// The id, path, native id, mixin, location, user or project is taken.
    #[error("{what} {name:?} is taken")]
    Taken {
        /// What, for people.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// The quota would be exceeded.
    #[error("{what}: {used} of {limit} used, {asked} more asked for")]
    Quota {
        /// What, for people ("cores").
        what: &'static str,
        /// The limit.
        limit: i64,
        /// What is used.
        used: i64,
        /// What was asked for.
        asked: i64,
    },
    /// The idempotency key is known.
    #[error("the idempotency key is known")]
    Repeated(Box<crate::IdempotencyRow>),
    /// Something of this name does not exist.
    #[error("no {what} {name:?}")]
    Missing {
        /// What, for people.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// The only operator cannot be removed.
    #[error("{0} is the only operator: make another one first")]
    LastOperator(String),
    /// A project that has entities cannot be removed.
    #[error("project {0:?} is not empty")]
    NotEmpty(String),
    /// A project with which others share something cannot be removed.
    #[error("{path} is shared with the project {project:?}: unshare it first")]
    Shared {
        /// The project.
        project: String,
        /// The path of what is shared.
        path: String,
    },
}

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A requirement did not hold.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No space is left: readings go on, writes come back when there is space.
    #[error("no space is left for the database")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What was copied is in its place, and after a power cut it may not be: its directory could not be forced to the disk.
    #[error("the copy is in its place, but its directory could not be forced to the disk")]
    Unsettled(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database was written by a newer version.
    #[error(
        "the database has schema {found}, this program knows up to {known}: use the newer program, or restore a backup"
    )]
    Newer {
        /// The schema of the database.
        found: i64,
        /// What we know.
        known: i64,
    },
    /// Another process has the data directory.
    #[error("the data directory is in use by another occid")]
    Locked,
    /// What is in the database makes no sense.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
    /// The database cannot be reached or failed.
    #[error("the database failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
