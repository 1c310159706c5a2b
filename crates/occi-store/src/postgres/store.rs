//! The store itself.

use super::engine::{PgTx, failure, is_conflict, migrate};
use crate::codec::insert_audit;
use crate::command::{Claim, Commit, Committed, Refresh, Refreshed};
use crate::query::{AuditQuery, EntityQuery, EventPage, EventQuery, OperationQuery};
use crate::row::{Audit, EntityRow, IdempotencyRow, Listed, OperationRow, Project, Usage, User, UserMixinRow};
use crate::sweep::Sweep;
use crate::tx::{Command, Tx};
use crate::{Result, Store, StoreError, check, read, select};
use async_trait::async_trait;
use occi_model::{EntityId, TypeId};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// So many connections at once.
const CONNECTIONS: u32 = 16;

/// How long a call waits for one of them.
const CONNECT: Duration = Duration::from_secs(10);

/// So often a transaction is tried again when somebody else's was in the way.
const RETRIES: u32 = 10;

/// Every statement sees what was committed before it; what has to stay as it was judged is locked.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// A store in a PostgreSQL database (15 or newer). Several servers may use the same one.
pub struct PostgresStore {
    pool: PgPool,
}

impl PostgresStore {
    /// Connects, and brings the schema up to date. The tables are made in the first schema of the search path.
    ///
    /// # Errors
    /// [`StoreError::Newer`] if a newer version wrote it, [`StoreError::Failed`] if it cannot be reached.
    pub async fn connect(url: &str) -> Result<Self> {
        let options: PgConnectOptions = url.parse().map_err(failure)?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECT)
            .connect_with(options.disable_statement_logging())
            .await
            .map_err(failure)?;
        let store = Self { pool };
        let mut attempt = 0;
        while let Err(error) = migrate(&store.pool).await {
            pause_or_give_up(&mut attempt, error).await?;
        }
        Ok(store)
    }

    async fn carry_out<C: Command>(&self, command: C) -> Result<C::Output> {
        let mut attempt = 0;
        loop {
            match self.attempt(&command).await {
                Err(error) => pause_or_give_up(&mut attempt, error).await?,
                done => return done,
            }
        }
    }

    async fn attempt<C: Command>(&self, command: &C) -> Result<C::Output> {
        let mut transaction = self.pool.begin_with(BEGIN).await.map_err(failure)?;
        match command.run(&mut PgTx(&mut transaction)).await {
            Ok(output) => transaction.commit().await.map(|()| output).map_err(failure),
            Err(StoreError::Refused(refused)) => {
                transaction.rollback().await.map_err(failure)?;
                if !command.audit().is_empty() {
                    let mut transaction = self.pool.begin_with(BEGIN).await.map_err(failure)?;
                    insert_audit(&mut PgTx(&mut transaction), command.audit()).await?;
                    transaction.commit().await.map_err(failure)?;
                }
                Err(refused.into())
            }
            Err(error) => {
                // The connection may be what failed.
                let _ = transaction.rollback().await;
                Err(error)
            }
        }
    }
}

/// Waits some random milliseconds, more each time; hands back what is no conflict, or the last one.
async fn pause_or_give_up(attempt: &mut u32, error: StoreError) -> Result<()> {
    if !is_conflict(&error) || *attempt == RETRIES {
        return Err(error);
    }
    *attempt += 1;
    let most_ms = 5_u64 << (*attempt).min(7);
    let random = u64::from(Uuid::new_v4().as_fields().0);
    tokio::time::sleep(Duration::from_millis(1 + random % most_ms)).await;
    Ok(())
}

/// A reading on a connection of the pool.
macro_rules! reading {
    ($self:ident, $tx:ident => $reading:expr) => {{
        let mut connection = $self.pool.acquire().await.map_err(failure)?;
        let $tx = &mut PgTx(&mut connection);
        $reading.await
    }};
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.carry_out(commit).await
    }

    async fn refresh(&self, refresh: Refresh) -> Result<Refreshed> {
        let differing = reading!(self, tx => refresh.differing(tx))?;
        self.carry_out(differing).await
    }

    async fn claim(&self, claim: Claim) -> Result<Option<OperationRow>> {
        match reading!(self, tx => claim.candidates(tx))?.is_empty() {
            true => Ok(None),
            false => self.carry_out(claim).await,
        }
    }

    async fn sweep(
        &self,
        events_before_ms: i64,
        keep_events: i64,
        operations_before_ms: i64,
        audit_before_ms: i64,
        now_ms: i64,
    ) -> Result<()> {
        for step in Sweep::all(
            events_before_ms,
            keep_events,
            operations_before_ms,
            audit_before_ms,
            now_ms,
        ) {
            while self.carry_out(step).await? {}
        }
        Ok(())
    }

    async fn now_ms(&self) -> Result<i64> {
        reading!(self, tx => tx.now_ms())
    }

    async fn entity(&self, id: &EntityId) -> Result<Option<EntityRow>> {
        reading!(self, tx => read::entity(tx, id))
    }

    async fn entity_at(&self, path: &str) -> Result<Option<EntityRow>> {
        reading!(self, tx => read::entity_at(tx, path))
    }

    async fn entity_at_with_links(&self, path: &str) -> Result<Option<(EntityRow, Vec<EntityRow>)>> {
        reading!(self, tx => read::entity_at_with_links(tx, path))
    }

    async fn entities(&self, ids: &[EntityId]) -> Result<Vec<EntityRow>> {
        reading!(self, tx => read::entities(tx, ids))
    }

    async fn natives(&self, backend: &str, kind: &TypeId, native_ids: &[String]) -> Result<Vec<EntityRow>> {
        reading!(self, tx => read::natives(tx, backend, kind, native_ids))
    }

    async fn select(&self, query: &EntityQuery) -> Result<Vec<EntityRow>> {
        reading!(self, tx => select::select(tx, query))
    }

    async fn list(&self, query: &EntityQuery) -> Result<Vec<Listed>> {
        reading!(self, tx => select::list(tx, query))
    }

    async fn count(&self, query: &EntityQuery) -> Result<u64> {
        reading!(self, tx => select::count(tx, query))
    }

    async fn links_of(&self, sources: &[EntityId]) -> Result<Vec<EntityRow>> {
        reading!(self, tx => read::links_of(tx, sources))
    }

    async fn links_to(&self, target: &EntityId) -> Result<Vec<EntityRow>> {
        reading!(self, tx => read::links_to(tx, target))
    }

    async fn held(&self, entity: &EntityId, operation: Uuid) -> Result<Vec<EntityRow>> {
        reading!(self, tx => read::held(tx, entity, operation))
    }

    async fn deletion_freeing(&self, targets: &[EntityId], but: Option<Uuid>) -> Result<Option<Uuid>> {
        reading!(self, tx => read::deletion_freeing(tx, targets, but))
    }

    async fn operation(&self, id: Uuid) -> Result<Option<OperationRow>> {
        reading!(self, tx => read::operation(tx, id))
    }

    async fn operations(&self, query: &OperationQuery) -> Result<Vec<OperationRow>> {
        reading!(self, tx => read::operations(tx, query))
    }

    async fn events(&self, query: &EventQuery) -> Result<EventPage> {
        reading!(self, tx => read::events(tx, query))
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<Audit>> {
        reading!(self, tx => read::audit(tx, query))
    }

    async fn idempotency(&self, principal: &str, project: &str, key: &str) -> Result<Option<IdempotencyRow>> {
        reading!(self, tx => read::idempotency(tx, principal, project, key))
    }

    async fn user_mixins(&self, project: Option<&str>) -> Result<Vec<UserMixinRow>> {
        reading!(self, tx => read::user_mixins(tx, project))
    }

    async fn user(&self, name: &str) -> Result<Option<User>> {
        let users = reading!(self, tx => read::users(tx, Some(name)))?;
        Ok(users.into_iter().next())
    }

    async fn users(&self) -> Result<Vec<User>> {
        reading!(self, tx => read::users(tx, None))
    }

    async fn project(&self, name: &str) -> Result<Option<Project>> {
        reading!(self, tx => read::project(tx, name))
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        reading!(self, tx => read::projects(tx))
    }

    async fn usage(&self, project: &str) -> Result<Usage> {
        reading!(self, tx => read::usage(tx, project))
    }

    async fn as_of(&self, backend: &str, native_project: &str, kind: &str) -> Result<Option<i64>> {
        reading!(self, tx => read::as_of(tx, backend, native_project, kind))
    }

    async fn backup(&self, _: &Path) -> Result<()> {
        Err(StoreError::Failed(
            "a PostgreSQL database is backed up with its own pg_dump".into(),
        ))
    }

    async fn check(&self) -> Result<Vec<String>> {
        // One moment for all questions.
        let snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut transaction = self.pool.begin_with(snapshot).await.map_err(failure)?;
        check::references(&mut PgTx(&mut transaction)).await
    }
}
