//! What `occid` remembers: entities, user mixins, operations, events, audit, idempotency keys and accounts.
//!
//! The store takes *commands*: values that carry their preconditions ([`Commit`]: requirements and writes in one
//! transaction). Uniqueness, quota, state and generation are checked inside the writer's transaction, so that nothing
//! is decided on an old reading. It knows no HTTP, no engine and no policy.

mod check;
mod claim;
mod codec;
pub mod command;
mod commit;
pub mod error;
mod json;
pub mod postgres;
pub mod query;
mod read;
mod refresh;
pub mod row;
mod schema;
mod select;
pub mod sqlite;
pub mod store;
mod sweep;
mod tx;
mod writing;

pub use command::{Claim, Commit, Committed, Limits, Observation, OverQuota, Refresh, Refreshed, Require, Write};
pub use error::{Refused, StoreError};
pub use postgres::PostgresStore;
pub use query::{AuditQuery, Cursor, EntityQuery, EventPage, EventQuery, OperationQuery, Sees, Way};
pub use row::{
    Audit, Change, EntityRow, EventRow, IdempotencyRow, Listed, OperationRow, OperationState, Project, Quota, Role,
    Usage, User, UserMixinRow, Visibility,
};
pub use sqlite::SqliteStore;
pub use store::Store;

/// What every call of the store returns.
pub type Result<T> = std::result::Result<T, StoreError>;
