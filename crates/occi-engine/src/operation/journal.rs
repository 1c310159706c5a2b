//! The journal of a running verb: what it writes here survives the end of this process.

use crate::engine::Inner;
use crate::row;
use async_trait::async_trait;
use occi_backend::{Interrupted, Journal, Picture};
use occi_model::EntityId;
use occi_store::{Commit, OperationRow, Refused, Require, StoreError, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a claim lasts without a word from its worker.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// What a worker holds while it runs an operation.
pub(crate) struct Claimed {
    pub(crate) inner: Arc<Inner>,
    /// The backend, by its place in the list.
    pub(crate) carrier: usize,
    pub(crate) operation: Uuid,
    /// The entity's row is written by this journal as long as the operation is the one open on it.
    pub(crate) entity: EntityId,
    attempt: u32,
    /// Told to stop: superseded, cancelled, or the server is going down.
    pub(crate) stop: CancellationToken,
    /// A stop does not end what undoes.
    compensating: AtomicBool,
    accepted: AtomicBool,
    step: Mutex<String>,
    progress: AtomicU8,
}

impl Claimed {
    pub(crate) fn new(inner: Arc<Inner>, carrier: usize, row: &OperationRow, entity: EntityId) -> Self {
        Self {
            stop: inner.waiting.opened(row.id, &row.verb),
            inner,
            carrier,
            operation: row.id,
            entity,
            attempt: row.attempt,
            compensating: AtomicBool::new(row.cancelled),
            accepted: AtomicBool::new(row.engine_accepted),
            step: Mutex::new(row.step.clone().unwrap_or_default()),
            progress: AtomicU8::new(row.progress),
        }
    }

    /// From now on the operation undoes what it has done.
    pub(crate) fn compensate(&self) {
        self.compensating.store(true, Ordering::Release);
    }

    /// Whether the engine has taken responsibility.
    pub(crate) fn is_accepted(&self) -> bool {
        self.accepted.load(Ordering::Acquire)
    }

    /// That this worker still holds the operation.
    pub(crate) fn lease(&self) -> Require {
        Require::Lease {
            operation: self.operation,
            owner: self.inner.node.clone(),
            attempt: self.attempt,
        }
    }

    /// That it does, and that nobody wants it to stop.
    fn require(&self) -> Vec<Require> {
        let mut require = vec![self.lease()];
        if !self.compensating.load(Ordering::Acquire) {
            require.push(Require::NotCancelled(self.operation));
        }
        require
    }

    /// A durable sign of life.
    fn sign(&self, step: Option<&str>) -> Write {
        let mut last = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(step) = step {
            step.clone_into(&mut last);
        }
        Write::Step {
            operation: self.operation,
            step: last.clone(),
            progress: Some(self.progress.load(Ordering::Relaxed)),
            engine_accepted: self.is_accepted(),
            lease_ms: lease_ms(),
        }
    }

    /// Keeps the lease.
    pub(crate) async fn renew(&self) -> Result<(), Interrupted> {
        self.write(self.require(), vec![self.sign(None)]).await
    }

    /// Writes, and says no if the verb should stop. Waits while the database is full or away, as long as the lease may
    /// last: a verb that has done something must not go on without having said so.
    async fn write(&self, require: Vec<Require>, writes: Vec<Write>) -> Result<(), Interrupted> {
        if !self.compensating.load(Ordering::Acquire) && self.stop.is_cancelled() {
            return Err(Interrupted);
        }
        let commit = Commit {
            require,
            writes,
            audit: Vec::new(),
        };
        self.inner.commit_patiently(commit, LEASE).await.map_err(|error| {
            if !matches!(
                error,
                StoreError::Refused(Refused::Cancelled(_) | Refused::LeaseLost(_))
            ) {
                tracing::error!(operation.id = %self.operation, %error, "failed to write a step");
            }
            Interrupted
        })?;
        Ok(())
    }

    /// The write that makes the entity's row look like `picture`, if this is a picture of it.
    async fn look(&self, picture: &Picture) -> Vec<Write> {
        if picture.mark.as_ref() != Some(&self.entity) {
            return Vec::new();
        }
        let Ok(Some(found)) = self.inner.store.entity(&self.entity).await else {
            return Vec::new();
        };
        if found.operation != Some(self.operation) {
            return Vec::new();
        }
        let mut change = row::change_of(&self.inner.carriers[self.carrier], &found, picture);
        // What says that something is being done stays until it is, unless the engine says it better.
        let message = row::message_attribute(&found.kind);
        change.unset.retain(|name| *name != message);
        vec![Write::UpdateEntity {
            id: self.entity.clone(),
            change: Box::new(change),
            usage: None,
        }]
    }
}

/// [`LEASE`] as the store counts it.
pub(crate) fn lease_ms() -> i64 {
    i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Journal for Claimed {
    async fn accepted(&self, picture: &Picture) -> Result<(), Interrupted> {
        let mut writes = self.look(picture).await;
        if self.accepted.swap(true, Ordering::AcqRel) && writes.is_empty() {
            return Ok(());
        }
        writes.push(self.sign(Some("accepted by the engine")));
        self.write(self.require(), writes).await?;
        self.inner.waiting.accepted(self.operation);
        Ok(())
    }

    async fn step(&self, step: &str) -> Result<(), Interrupted> {
        tracing::debug!(operation.id = %self.operation, entity.id = %self.entity, step, "step");
        self.write(self.require(), vec![self.sign(Some(step))]).await
    }

    fn progress(&self, percent: u8) {
        self.progress.store(percent.min(100), Ordering::Relaxed);
    }

    async fn picture(&self, picture: &Picture) -> Result<(), Interrupted> {
        let mut writes = self.look(picture).await;
        writes.push(self.sign(None));
        self.write(self.require(), writes).await
    }

    async fn stopped(&self) -> Interrupted {
        if self.compensating.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
        self.stop.cancelled().await;
        Interrupted
    }
}
