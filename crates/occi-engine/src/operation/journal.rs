//! The journal of a running verb.
//!
//! What a verb notes here is written with its end, or soon if it goes on: nothing that it does next depends on it, for a
//! verb that is called again finds by its mark what it has done (decision 0012). The acceptance is written as soon as the
//! verb pauses: whoever is told of it reads next what the engine has made (decision 0016).

use crate::engine::Inner;
use crate::row;
use async_trait::async_trait;
use occi_backend::{Deadline, Interrupted, Journal, NativeId, Picture};
use occi_model::EntityId;
use occi_store::{Change, Commit, OperationRow, Refused, Require, StoreError, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a claim lasts without a word from its worker.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// So long a note of a verb that goes on may wait to be written.
pub(crate) const NOTICE: Duration = Duration::from_millis(250);

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
    noted: Mutex<Noted>,
    progress: AtomicU8,
    /// Until when the verb has to come further.
    pub(crate) deadline: Deadline,
    /// Something is noted that somebody waits for.
    pub(crate) urgent: Notify,
}

/// What a verb has told.
struct Noted {
    step: String,
    /// The engine has taken responsibility.
    accepted: bool,
    /// How the entity looks, if that is not written yet.
    picture: Option<Picture>,
    /// Whether all of it is written.
    is_written: bool,
    /// When this worker last wrote, and so held its lease.
    signed: Instant,
    /// The deadline as clients see it. One that has passed stays.
    deadline_ms: i64,
}

impl Claimed {
    /// `left`: so long the verb may stand still at first.
    pub(crate) fn new(inner: Arc<Inner>, carrier: usize, row: &OperationRow, entity: EntityId, left: Duration) -> Self {
        let deadline_ms = row.deadline_ms.unwrap_or_else(|| inner.ms_in(left));
        Self {
            stop: inner.waiting.opened(row.id, &row.verb),
            deadline: Deadline::with_left(inner.config.operation_deadline, left),
            inner,
            carrier,
            operation: row.id,
            entity,
            attempt: row.attempt,
            compensating: AtomicBool::new(row.cancelled),
            noted: Mutex::new(Noted {
                step: row.step.clone().unwrap_or_default(),
                accepted: row.engine_accepted,
                picture: None,
                is_written: true,
                signed: Instant::now(),
                deadline_ms,
            }),
            progress: AtomicU8::new(row.progress),
            urgent: Notify::new(),
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the operation undoes what it has done.
    pub(crate) fn compensate(&self) {
        self.compensating.store(true, Ordering::Release);
    }

    /// That this worker still holds the operation.
    pub(crate) fn lease(&self) -> Require {
        Require::Lease {
            operation: self.operation,
            owner: self.inner.node.clone(),
            attempt: self.attempt,
        }
    }

    /// The last step, if it is not written yet.
    pub(crate) fn unwritten_step(&self) -> Option<String> {
        let noted = self.noted();
        (!noted.is_written).then(|| noted.step.clone())
    }

    /// Whether something was noted, or it is time for a sign of life.
    pub(crate) fn is_due(&self) -> bool {
        let noted = self.noted();
        !noted.is_written || noted.signed.elapsed() > LEASE / 3
    }

    fn is_told_to_stop(&self) -> bool {
        !self.compensating.load(Ordering::Acquire) && self.stop.is_cancelled()
    }

    /// Notes something. Who stood still for long asks first whether it still holds the operation.
    async fn note(&self, what: impl FnOnce(&mut Noted)) -> Result<(), Interrupted> {
        if self.is_told_to_stop() {
            return Err(Interrupted);
        }
        let stood_still = {
            let mut noted = self.noted();
            what(&mut noted);
            noted.is_written = false;
            noted.signed.elapsed() > LEASE / 3
        };
        if stood_still { self.sign().await } else { Ok(()) }
    }

    /// A sign of life: writes what was noted and keeps the lease; says no if the verb should stop. Waits while the database is full or
    /// away, as long as the lease may last: a verb that has done something must not go on without having said so.
    pub(crate) async fn sign(&self) -> Result<(), Interrupted> {
        if self.is_told_to_stop() {
            return Err(Interrupted);
        }
        let (sign, picture, accepted) = {
            let mut noted = self.noted();
            noted.is_written = true;
            noted.signed = Instant::now();
            let left = self.deadline.left();
            if !left.is_zero() {
                noted.deadline_ms = self.inner.ms_in(left);
            }
            let sign = Write::Step {
                operation: self.operation,
                step: noted.step.clone(),
                progress: Some(self.progress.load(Ordering::Relaxed)),
                engine_accepted: noted.accepted,
                lease_ms: lease_ms(),
                deadline_ms: noted.deadline_ms,
            };
            (sign, noted.picture.take(), noted.accepted)
        };
        let look = match &picture {
            Some(picture) => self.look(picture).await,
            None => Ok(Vec::new()),
        };
        let is_left = look.is_err();
        let mut writes = look.unwrap_or_default();
        writes.push(sign);
        let mut require = vec![self.lease()];
        if !self.compensating.load(Ordering::Acquire) {
            require.push(Require::NotCancelled(self.operation));
        }
        let commit = Commit {
            require,
            writes,
            audit: Vec::new(),
        };
        let written = self.inner.commit_patiently(commit, LEASE).await;
        if is_left || written.is_err() {
            let mut noted = self.noted();
            noted.is_written = false;
            // What was told meanwhile is newer.
            noted.picture = noted.picture.take().or(picture);
        }
        written.map_err(|error| {
            if !matches!(
                error,
                StoreError::Refused(Refused::Cancelled(_) | Refused::LeaseLost(_))
            ) {
                tracing::error!(operation.id = %self.operation, %error, "failed to write a step");
            }
            Interrupted
        })?;
        if accepted && !is_left {
            self.inner.waiting.accepted(self.operation);
        }
        Ok(())
    }

    /// The id that the engine gave to the entity, if it is not written yet.
    pub(crate) fn unwritten_native_id(&self) -> Option<NativeId> {
        Some(self.noted().picture.as_ref()?.native_id.clone())
    }

    /// What writes the picture of the entity that is not written yet. An operation that does not succeed ends with it:
    /// whoever goes on from there knows the entity by the id that the engine gave it.
    pub(crate) async fn unwritten_look(&self) -> Result<Vec<Write>, StoreError> {
        let picture = self.noted().picture.clone();
        match picture {
            Some(picture) => self.look(&picture).await,
            None => Ok(Vec::new()),
        }
    }

    /// The write that makes the entity's row look like `picture`. If another operation has taken over, how the entity
    /// looks is its affair, but the engine's id is told only here.
    async fn look(&self, picture: &Picture) -> Result<Vec<Write>, StoreError> {
        let Some(found) = self.inner.store.entity(&self.entity).await? else {
            return Ok(Vec::new());
        };
        let change = if found.operation == Some(self.operation) {
            let mut change = row::change_of(&self.inner.carriers[self.carrier], &found, picture);
            // What says that something is being done stays until it is, unless the engine says it better.
            let message = row::message_attribute(&found.kind);
            change.unset.retain(|name| *name != message);
            change
        } else if found.native_id.is_none() {
            Change {
                native_id: Some(Some(picture.native_id.clone())),
                ..Change::default()
            }
        } else {
            return Ok(Vec::new());
        };
        Ok(vec![Write::UpdateEntity {
            id: self.entity.clone(),
            change: Box::new(change),
            usage: None,
        }])
    }

    /// Keeps `picture` if it is one of the entity.
    fn seen(&self, noted: &mut Noted, picture: &Picture) {
        if picture.mark.as_ref() == Some(&self.entity) {
            noted.picture = Some(picture.clone());
        }
    }
}

/// [`LEASE`] as the store counts it.
pub(crate) fn lease_ms() -> i64 {
    i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Journal for Claimed {
    async fn accepted(&self, picture: &Picture) -> Result<(), Interrupted> {
        self.note(|noted| {
            "accepted by the engine".clone_into(&mut noted.step);
            noted.accepted = true;
            self.seen(noted, picture);
        })
        .await?;
        self.urgent.notify_one();
        Ok(())
    }

    async fn step(&self, step: &str) -> Result<(), Interrupted> {
        tracing::debug!(operation.id = %self.operation, entity.id = %self.entity, step, "step");
        self.note(|noted| step.clone_into(&mut noted.step)).await
    }

    fn progress(&self, percent: u8) {
        self.progress.store(percent.min(100), Ordering::Relaxed);
    }

    async fn picture(&self, picture: &Picture) -> Result<(), Interrupted> {
        self.note(|noted| self.seen(noted, picture)).await
    }

    async fn flush(&self) -> Result<(), Interrupted> {
        match self.is_due() {
            true => self.sign().await,
            false => Ok(()),
        }
    }

    async fn stopped(&self) -> Interrupted {
        if self.compensating.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
        self.stop.cancelled().await;
        Interrupted
    }
}
