//! The store.

use crate::Result;
use crate::command::{Claim, Commit, Committed, Refresh, Refreshed};
use crate::query::{AuditQuery, EntityQuery, EventPage, EventQuery, OperationQuery};
use crate::row::{Audit, EntityRow, IdempotencyRow, Listed, OperationRow, Project, Usage, User, UserMixinRow};
use async_trait::async_trait;
use occi_model::{EntityId, TypeId};
use std::path::Path;
use uuid::Uuid;

/// The memory of the service. One implementation per database, one schema, one suite of tests on all.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Carries out one transaction. Returns when it is durable.
    async fn commit(&self, commit: Commit) -> Result<Committed>;
    /// Takes in a listing.
    async fn refresh(&self, refresh: Refresh) -> Result<Refreshed>;
    /// Hands an operation to a worker: its attempt grows, its lease begins. A worker whose lease has ended is taken for
    /// dead, unless it is the one that claims.
    async fn claim(&self, claim: Claim) -> Result<Option<OperationRow>>;
    /// Forgets what is past its retention: events, finished operations, audit and keys older than these times.
    async fn sweep(
        &self,
        events_before_ms: i64,
        keep_events: i64,
        operations_before_ms: i64,
        audit_before_ms: i64,
        now_ms: i64,
    ) -> Result<()>;
    /// The database's clock, in milliseconds since 1970: the clock of leases and of the times at which rows were written,
    /// thus of [`Refresh::began_ms`].
    async fn now_ms(&self) -> Result<i64>;

    /// The entity with this id, hidden or not.
    async fn entity(&self, id: &EntityId) -> Result<Option<EntityRow>>;
    /// The entity at this path, hidden or not.
    async fn entity_at(&self, path: &str) -> Result<Option<EntityRow>>;
    /// The same with the links that it owns and that are not hidden, in the order of creation; all as they are at one moment.
    async fn entity_at_with_links(&self, path: &str) -> Result<Option<(EntityRow, Vec<EntityRow>)>>;
    /// Those of these ids that exist, in this order, hidden or not.
    async fn entities(&self, ids: &[EntityId]) -> Result<Vec<EntityRow>>;
    /// The entities of this kind that are known by these native ids in `backend`, in any native project, hidden or not.
    async fn natives(&self, backend: &str, kind: &TypeId, native_ids: &[String]) -> Result<Vec<EntityRow>>;
    /// A page of entities that are not hidden. It ends early, and not before the first, where they are large: what comes
    /// after the last of it is another page, until one is empty.
    async fn select(&self, query: &EntityQuery) -> Result<Vec<EntityRow>>;
    /// The same page, with no more of each entity than a listing needs: cheaper.
    async fn list(&self, query: &EntityQuery) -> Result<Vec<Listed>>;
    /// How many there are.
    async fn count(&self, query: &EntityQuery) -> Result<u64>;
    /// The links that these resources own, not hidden, in the order of creation.
    async fn links_of(&self, sources: &[EntityId]) -> Result<Vec<EntityRow>>;
    /// The links that lead to this entity, not hidden.
    async fn links_to(&self, target: &EntityId) -> Result<Vec<EntityRow>>;
    /// Of an entity and the links from and to it, those on which `operation` is open, hidden or not.
    async fn held(&self, entity: &EntityId, operation: Uuid) -> Result<Vec<EntityRow>>;
    /// An open deletion, other than `but`, that takes away a link to one of these.
    async fn deletion_freeing(&self, targets: &[EntityId], but: Option<Uuid>) -> Result<Option<Uuid>>;
    /// One operation.
    async fn operation(&self, id: Uuid) -> Result<Option<OperationRow>>;
    /// Some operations, without their intents, which may be large.
    async fn operations(&self, query: &OperationQuery) -> Result<Vec<OperationRow>>;
    /// Some events.
    async fn events(&self, query: &EventQuery) -> Result<EventPage>;
    /// Audit records.
    async fn audit(&self, query: &AuditQuery) -> Result<Vec<Audit>>;
    /// A known answer.
    async fn idempotency(&self, principal: &str, project: &str, key: &str) -> Result<Option<IdempotencyRow>>;
    /// All user mixins, or those of one project.
    async fn user_mixins(&self, project: Option<&str>) -> Result<Vec<UserMixinRow>>;
    /// An account.
    async fn user(&self, name: &str) -> Result<Option<User>>;
    /// All accounts.
    async fn users(&self) -> Result<Vec<User>>;
    /// A project.
    async fn project(&self, name: &str) -> Result<Option<Project>>;
    /// All projects.
    async fn projects(&self) -> Result<Vec<Project>>;
    /// What a project uses.
    async fn usage(&self, project: &str) -> Result<Usage>;
    /// When each (backend, native project, kind) was last listed whole, in milliseconds since 1970.
    async fn as_of(&self, backend: &str, native_project: &str, kind: &str) -> Result<Option<i64>>;

    /// Writes a consistent copy while the store is used.
    async fn backup(&self, file: &Path) -> Result<()>;
    /// Looks for damage and broken references; one sentence each.
    async fn check(&self) -> Result<Vec<String>>;
}
