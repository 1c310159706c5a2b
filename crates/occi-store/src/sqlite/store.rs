//! The store itself.

use super::copy;
use super::engine::{SqliteTx, clock_ms, failure, now, open_reader, open_writer};
use super::writer::{Writer, statement};
use crate::command::{Claim, Commit, Committed, Refresh, Refreshed};
use crate::query::{AuditQuery, EntityQuery, EventPage, EventQuery, OperationQuery};
use crate::row::{Audit, EntityRow, IdempotencyRow, Listed, OperationRow, Project, Usage, User, UserMixinRow};
use crate::sweep::Sweep;
use crate::{Result, Store, StoreError, check, read, select};
use async_trait::async_trait;
use occi_model::{EntityId, TypeId};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// At most so many readings that may last run at once, each on a thread of its own.
const LONG_READINGS: usize = 4;

/// A reading of so many rows by their keys is a point reading still.
const FEW: usize = 8;

/// A store in one file.
///
/// Point readings are carried out where they are asked for: they take some ten microseconds, less than the way to
/// another thread. Selections go to threads that may block.
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    long_readings: Arc<Semaphore>,
}

/// Idle connections that read, the one used last on top. There are as many as were ever needed at once.
///
/// To begin and to end a reading costs as much as finding a row. So while nothing is written the transaction of a point
/// reading stays open for those that follow. While something is written none does: it would keep the log from beginning anew.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
    /// How often a group of writes has begun or ended: odd while one is under way.
    turns: AtomicU64,
}

struct Reader {
    connection: Connection,
    /// The turn in which its open transaction began, if one is open.
    open_since: Option<u64>,
}

impl Reader {
    /// Sees what is committed in this turn, and goes on seeing that.
    fn stay(&mut self, turn: u64) -> Result<()> {
        if self.open_since != Some(turn) {
            self.leave()?;
            statement(&self.connection, "BEGIN")?;
            self.open_since = Some(turn);
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        match self.open_since.take() {
            Some(_) => statement(&self.connection, "COMMIT"),
            None => Ok(()),
        }
    }
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            idle: Mutex::default(),
            turns: AtomicU64::new(0),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, read: impl FnOnce(&mut Reader) -> Result<R>) -> Result<R> {
        let idle = self.idle().pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => Reader {
                connection: open_reader(&self.path)?,
                open_since: None,
            },
        };
        // One that failed is not used again.
        let found = read(&mut reader)?;
        let mut idle = self.idle();
        let is_late = |turn| turn != self.turns.load(Ordering::Acquire);
        if !reader.open_since.is_some_and(is_late) || reader.leave().is_ok() {
            idle.push(reader);
        }
        Ok(found)
    }

    /// A reading that is done at once.
    fn peek<R>(&self, read: impl FnOnce(&mut SqliteTx<'_>) -> Result<R>) -> Result<R> {
        let turn = self.turns.load(Ordering::Acquire);
        self.with(|reader| {
            match turn % 2 {
                0 => reader.stay(turn)?,
                _ => reader.leave()?,
            }
            read(&mut SqliteTx(&mut reader.connection))
        })
    }

    /// A reading that may last.
    fn read<R>(&self, read: impl FnOnce(&mut SqliteTx<'_>) -> Result<R>) -> Result<R> {
        self.with(|reader| {
            reader.leave()?;
            read(&mut SqliteTx(&mut reader.connection))
        })
    }

    /// A group of writes begins: no idle connection sees what was before it.
    pub(super) fn write_begins(&self) {
        self.turns.fetch_add(1, Ordering::AcqRel);
        self.idle().retain_mut(|reader| reader.leave().is_ok());
    }

    /// It is committed, or nothing of it is left.
    pub(super) fn write_ended(&self) {
        self.turns.fetch_add(1, Ordering::AcqRel);
    }
}

impl SqliteStore {
    /// Opens or makes the store in this file, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Newer`] if a newer version wrote it, [`StoreError::Locked`] if another process writes it,
    /// [`StoreError::Full`] if there is no space for it, [`StoreError::Corrupt`] if it is no store.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let readers = Arc::new(Readers::new(path));
        Ok(Self {
            writer: Writer::start(open_writer(path)?, Arc::clone(&readers))?,
            readers,
            long_readings: Arc::new(Semaphore::new(LONG_READINGS)),
        })
    }

    /// A reading that is done at once.
    fn peek<R>(&self, read: impl FnOnce(&mut SqliteTx<'_>) -> Result<R>) -> Result<R> {
        self.readers.peek(read)
    }

    /// A reading that may last.
    async fn read<R: Send + 'static>(
        &self,
        read: impl FnOnce(&mut SqliteTx<'_>) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let readers = Arc::clone(&self.readers);
        let turn = Arc::clone(&self.long_readings)
            .acquire_owned()
            .await
            .map_err(|e| StoreError::Failed(e.into()))?;
        tokio::task::spawn_blocking(move || {
            let result = readers.read(read);
            drop(turn);
            result
        })
        .await
        .map_err(|error| StoreError::Failed(error.into()))?
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.writer.carry_out(commit).await
    }

    async fn refresh(&self, refresh: Refresh) -> Result<Refreshed> {
        let differing = if refresh.is_short() {
            self.peek(|tx| now(refresh.differing(tx)))?
        } else {
            self.read(move |tx| now(refresh.differing(tx))).await?
        };
        self.writer.carry_out(differing).await
    }

    async fn claim(&self, claim: Claim) -> Result<Option<OperationRow>> {
        // Workers ask often and mostly in vain: that writes nothing and waits for no writer.
        match self.peek(|tx| now(claim.candidates(tx)))?.is_empty() {
            true => Ok(None),
            false => self.writer.carry_out(claim).await,
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
            while self.writer.carry_out(step).await? {}
        }
        Ok(())
    }

    async fn now_ms(&self) -> Result<i64> {
        Ok(clock_ms())
    }

    async fn entity(&self, id: &EntityId) -> Result<Option<EntityRow>> {
        self.peek(|tx| now(read::entity(tx, id)))
    }

    async fn entity_at(&self, path: &str) -> Result<Option<EntityRow>> {
        self.peek(|tx| now(read::entity_at(tx, path)))
    }

    async fn entity_at_with_links(&self, path: &str) -> Result<Option<(EntityRow, Vec<EntityRow>)>> {
        self.peek(|tx| now(read::entity_at_with_links(tx, path)))
    }

    async fn entities(&self, ids: &[EntityId]) -> Result<Vec<EntityRow>> {
        if ids.len() <= FEW {
            return self.peek(|tx| now(read::entities(tx, ids)));
        }
        let ids = ids.to_vec();
        self.read(move |tx| now(read::entities(tx, &ids))).await
    }

    async fn natives(&self, backend: &str, kind: &TypeId, native_ids: &[String]) -> Result<Vec<EntityRow>> {
        if native_ids.len() <= FEW {
            return self.peek(|tx| now(read::natives(tx, backend, kind, native_ids)));
        }
        let (backend, kind, native_ids) = (backend.to_owned(), kind.clone(), native_ids.to_vec());
        self.read(move |tx| now(read::natives(tx, &backend, &kind, &native_ids)))
            .await
    }

    async fn select(&self, query: &EntityQuery) -> Result<Vec<EntityRow>> {
        let query = query.clone();
        self.read(move |tx| now(select::select(tx, &query))).await
    }

    async fn list(&self, query: &EntityQuery) -> Result<Vec<Listed>> {
        let query = query.clone();
        self.read(move |tx| now(select::list(tx, &query))).await
    }

    async fn count(&self, query: &EntityQuery) -> Result<u64> {
        let query = query.clone();
        self.read(move |tx| now(select::count(tx, &query))).await
    }

    async fn links_of(&self, sources: &[EntityId]) -> Result<Vec<EntityRow>> {
        if sources.len() <= FEW {
            return self.peek(|tx| now(read::links_of(tx, sources)));
        }
        let sources = sources.to_vec();
        self.read(move |tx| now(read::links_of(tx, &sources))).await
    }

    async fn links_to(&self, target: &EntityId) -> Result<Vec<EntityRow>> {
        let target = target.clone();
        self.read(move |tx| now(read::links_to(tx, &target))).await
    }

    async fn held(&self, entity: &EntityId, operation: Uuid) -> Result<Vec<EntityRow>> {
        self.peek(|tx| now(read::held(tx, entity, operation)))
    }

    async fn deletion_freeing(&self, targets: &[EntityId], but: Option<Uuid>) -> Result<Option<Uuid>> {
        let targets = targets.to_vec();
        self.read(move |tx| now(read::deletion_freeing(tx, &targets, but)))
            .await
    }

    async fn operation(&self, id: Uuid) -> Result<Option<OperationRow>> {
        self.peek(|tx| now(read::operation(tx, id)))
    }

    async fn operations(&self, query: &OperationQuery) -> Result<Vec<OperationRow>> {
        let query = query.clone();
        self.read(move |tx| now(read::operations(tx, &query))).await
    }

    async fn events(&self, query: &EventQuery) -> Result<EventPage> {
        let query = query.clone();
        self.read(move |tx| now(read::events(tx, &query))).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<Audit>> {
        let query = query.clone();
        self.read(move |tx| now(read::audit(tx, &query))).await
    }

    async fn idempotency(&self, principal: &str, project: &str, key: &str) -> Result<Option<IdempotencyRow>> {
        self.peek(|tx| now(read::idempotency(tx, principal, project, key)))
    }

    async fn user_mixins(&self, project: Option<&str>) -> Result<Vec<UserMixinRow>> {
        let project = project.map(str::to_owned);
        self.read(move |tx| now(read::user_mixins(tx, project.as_deref())))
            .await
    }

    async fn user(&self, name: &str) -> Result<Option<User>> {
        self.peek(|tx| now(read::users(tx, Some(name))))
            .map(|users| users.into_iter().next())
    }

    async fn users(&self) -> Result<Vec<User>> {
        self.read(|tx| now(read::users(tx, None))).await
    }

    async fn project(&self, name: &str) -> Result<Option<Project>> {
        self.peek(|tx| now(read::project(tx, name)))
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        self.read(|tx| now(read::projects(tx))).await
    }

    async fn usage(&self, project: &str) -> Result<Usage> {
        self.peek(|tx| now(read::usage(tx, project)))
    }

    async fn as_of(&self, backend: &str, native_project: &str, kind: &str) -> Result<Option<i64>> {
        self.peek(|tx| now(read::as_of(tx, backend, native_project, kind)))
    }

    async fn backup(&self, file: &Path) -> Result<()> {
        let file = file.to_owned();
        self.read(move |tx| copy::backup(tx.0, &file)).await
    }

    async fn check(&self) -> Result<Vec<String>> {
        self.read(|tx| {
            let mut found = copy::integrity(tx.0)?;
            // One moment for all questions.
            tx.0.execute_batch("BEGIN").map_err(failure)?;
            let broken = now(check::references(tx));
            tx.0.execute_batch("COMMIT").map_err(failure)?;
            found.extend(broken?);
            Ok(found)
        })
        .await
    }
}
