//! Workers: claim an operation, run its verb, retry what may succeed later, and hand the outcome to [`super::finish`].

use super::finish::{self, Effect};
use super::journal::{Claimed, LEASE, NOTICE, lease_ms};
use super::{Intent, Task};
use crate::carrier::Carrier;
use crate::create::targets;
use crate::engine::Inner;
use crate::pauses::Pauses;
use crate::plan::TRIES;
use crate::{EngineError, FailureKind, row};
use occi_backend::{BackendError, Context, Deadline, ErrorKind, Journal, Locality, Outcome, Picture, Scope, Target};
use occi_store::{Change, Claim, Commit, EntityRow, OperationRow, OperationState, Refused, Require, StoreError, Write};
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Instrument;
use uuid::Uuid;

/// How often an idle dispatcher looks for operations whose worker died. Work of this process rings the bell.
const IDLE: Duration = Duration::from_secs(15);
/// How long a verb that was told to stop may take to notice.
const GRACE: Duration = Duration::from_secs(5);
/// How long an engine may take to say how something looks.
const LOOK: Duration = Duration::from_secs(30);
/// The first pause after a temporary failure; doubles up to [`PAUSE_MAX`]. By chance it is up to a half shorter.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The pause while something else is being removed.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// So many workers may die with an operation before it is given up: it may be what they die of. A process that is killed
/// for another reason, again and again, is not killed so often while one operation runs.
const DEATHS: u32 = 20;
/// Of the error of an operation that was put back: by which attempt.
const PUT_BACK: &str = "put_back_by";

/// Claims operations of one backend as long as the engine lives.
pub(crate) async fn dispatch(inner: Arc<Inner>, carrier: usize) {
    let here = &inner.carriers[carrier];
    loop {
        let bell = here.bell.notified();
        let mut again = IDLE;
        while let Some(permit) = here.permit() {
            let claim = Claim {
                owner: inner.node.clone(),
                backends: vec![here.name.clone()],
                lease_ms: lease_ms(),
                deadline_ms: inner.ms_in(inner.config.operation_deadline),
                operation: None,
            };
            match inner.store.claim(claim).await {
                Ok(Some(row)) if row.deaths >= DEATHS => {
                    let reason = format!("the server ended {} times while this was done", row.deaths);
                    let error = EngineError::new(FailureKind::Internal, format!("it was given up: {reason}"));
                    give_up(&inner, &row, error, &reason).await;
                }
                Ok(Some(row)) => match Intent::from_row(&row) {
                    Ok(intent) => {
                        let made = Arc::new([]);
                        launch(&inner, carrier, Work { row, intent, made }, permit);
                    }
                    Err(reason) => {
                        let error = EngineError::internal(format!("unreadable intent: {reason}"));
                        give_up(&inner, &row, error, "nobody can read what was to be done").await;
                    }
                },
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(backend.name = %here.name, %error, "failed to claim an operation");
                    again = Duration::from_secs(1);
                    break;
                }
            }
        }
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = bell => {}
            () = tokio::time::sleep(again) => {}
        }
    }
}

/// An operation that somebody has claimed.
pub(crate) struct Work {
    pub(crate) row: OperationRow,
    pub(crate) intent: Intent,
    /// The entities that were recorded for it to make, if that was just now.
    pub(crate) made: Arc<[EntityRow]>,
}

/// Ends an operation that nobody can carry out, and frees what waits for it. Whether the engine has begun it nobody knows.
async fn give_up(inner: &Arc<Inner>, row: &OperationRow, error: EngineError, reason: &str) {
    let message = format!("{} was given up: {reason}", row.verb);
    tracing::error!(operation.id = %row.id, context = error.context, "an operation needs attention: {message}");
    for _ in 0..TRIES {
        let held = match &row.entity {
            Some(entity) => inner.store.held(entity, row.id).await,
            None => Ok(Vec::new()),
        };
        let held = match held {
            Ok(held) => held,
            Err(error) => return tracing::error!(operation.id = %row.id, %error, "failed to read what it holds"),
        };
        let mut end = finish::end(
            row.id,
            OperationState::NeedsAttention,
            Some(&error),
            None,
            inner.now_ms(),
        );
        for entity in held {
            let mut change = Change {
                operation: Some(None),
                hidden: entity.hidden.then_some(false),
                ..Change::default()
            };
            if row.entity.as_ref() == Some(&entity.id) {
                let state = (row.verb == "create").then_some("error");
                inner.scopes.explain(&entity.id, true);
                row::show_state(&mut change, &entity.kind, state, Some(&message));
            }
            end.require.push(Require::Held {
                id: entity.id.clone(),
                by: row.id,
            });
            end.writes.push(Write::UpdateEntity {
                id: entity.id,
                change: Box::new(change),
                usage: None,
            });
        }
        end.audit.push(inner.audit_of(row, "failed", &error.message));
        match inner.commit(end).await {
            Ok(_) => return inner.ended(row, Err(error)).await,
            // A DELETE has taken over since what it holds was read.
            Err(StoreError::Refused(Refused::LeaseLost(_) | Refused::NoEntity(_))) => {}
            Err(error) => {
                return tracing::error!(operation.id = %row.id, %error, "failed to end what cannot be read");
            }
        }
    }
}

/// Runs a claimed operation; the permit comes back when it has ended.
pub(crate) fn launch(inner: &Arc<Inner>, carrier: usize, work: Work, permit: OwnedSemaphorePermit) {
    let row = &work.row;
    let span = tracing::info_span!(
        "operation",
        operation.id = %row.id,
        operation.verb = %row.verb,
        backend.name = %inner.carriers[carrier].name,
        entity.id = row.entity.as_ref().map(tracing::field::display),
    );
    let running = inner.clone();
    inner.tasks.spawn(
        async move {
            run(running.clone(), carrier, work).await;
            running.carriers[carrier].give_back(permit);
        }
        .instrument(span),
    );
}

/// Rings the dispatcher's bell after a pause.
pub(crate) fn ring_later(inner: &Arc<Inner>, carrier: usize, pause: Duration) {
    let ringing = inner.clone();
    inner.tasks.spawn(async move {
        tokio::select! {
            () = ringing.stopping.cancelled() => {}
            () = tokio::time::sleep(pause) => ringing.carriers[carrier].bell.notify_one(),
        }
    });
}

async fn run(inner: Arc<Inner>, carrier: usize, work: Work) {
    let Work { row, intent, made } = work;
    let began = Instant::now();
    let (verb, backend) = (row.verb.clone(), inner.carriers[carrier].name.clone());
    let cared = intent.entities();
    let care = inner.scopes.take_care(&cared);
    let left = time_left(&inner, &row);
    let mut run = Run {
        claimed: Arc::new(Claimed::new(inner.clone(), carrier, &row, intent.entity.clone(), left)),
        intent,
        give_up: Deadline::new(left),
        made: Some(made),
        row,
        in_flight_until_ms: None,
    };
    let outcome = if run.row.cancelled {
        if run.earlier_may_go_on() {
            run.may_be_in_flight();
        }
        Err(Failure::Stopped)
    } else {
        run.attempt().await
    };
    let result = match outcome {
        Ok(effect) => run.succeed(effect).await,
        Err(Failure::Final(error)) => run.fail(error).await,
        Err(Failure::Later(error)) => run.put_back(error).await,
        Err(Failure::Stopped) => run.stopped().await,
    };
    drop(care);
    for id in &cared {
        inner.look_again(id).await;
    }
    metrics::counter!("occid_operations_total", "verb" => verb.clone(), "backend" => backend.clone(), "outcome" => result)
        .increment(1);
    metrics::histogram!("occid_operation_seconds", "verb" => verb, "backend" => backend)
        .record(began.elapsed().as_secs_f64());
}

/// Why an attempt had no effect.
pub(crate) enum Failure {
    /// For good.
    Final(BackendError),
    /// To be tried again.
    Later(BackendError),
    /// Told to stop, or the lease is lost, or the server goes down.
    Stopped,
}

impl Failure {
    /// To be tried again almost at once.
    fn soon(error: BackendError) -> Self {
        Self::Later(BackendError {
            retry_after: Some(PAUSE_MIN),
            ..error
        })
    }
}

/// An operation in the hands of a worker.
pub(crate) struct Run {
    pub(crate) claimed: Arc<Claimed>,
    pub(crate) intent: Intent,
    pub(crate) row: OperationRow,
    /// What was recorded for it to make, as long as it may still be so.
    pub(crate) made: Option<Arc<[EntityRow]>>,
    /// What fails for the moment is tried again until then.
    give_up: Deadline,
    /// A native call whose outcome is unknown may still have its effect until then.
    pub(crate) in_flight_until_ms: Option<i64>,
}

/// Whether the worker before this one has put the operation back because of a failure.
fn was_put_back(row: &OperationRow) -> bool {
    let by = row.error.as_ref().and_then(|error| error.get(PUT_BACK)?.as_u64());
    by.is_some_and(|by| by + 1 == u64::from(row.attempt))
}

/// How long what fails for the moment is tried again. Whoever did not fail began with the whole time when it was claimed:
/// it may have waited for a worker for long, or for the next start of this program.
fn time_left(inner: &Inner, row: &OperationRow) -> Duration {
    let left = row.deadline_ms.map(|at| at.saturating_sub(inner.now_ms()));
    left.map_or(inner.config.operation_deadline, |left| {
        Duration::from_millis(u64::try_from(left).unwrap_or_default())
    })
}

impl Run {
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.claimed.inner
    }

    pub(crate) fn carrier(&self) -> &Carrier {
        &self.claimed.inner.carriers[self.claimed.carrier]
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope {
            project: self.intent.native_project.clone(),
        }
    }

    /// What the backend is told of the entity. Without the store nobody knows: by its mark alone a thing that was made
    /// behind our back would not be found, and taken for gone.
    pub(crate) async fn target(&self) -> occi_backend::Result<Target> {
        let found = self.inner().store.entity(&self.intent.entity).await;
        let mut target = self.intent.target(found.map_err(unreadable)?.as_ref());
        target.native_id = target.native_id.or_else(|| self.claimed.unwritten_native_id());
        Ok(target)
    }

    /// Twice the time a native call may last: until then an ambiguous one may still have its effect.
    pub(crate) fn window(&self) -> Duration {
        2 * self.carrier().capabilities().call_timeout
    }

    /// Runs the verb until it has had its effect, or has failed for good or for now.
    async fn attempt(&mut self) -> Result<Effect, Failure> {
        let mut attempt = self.row.attempt.max(1);
        if let Task::Delete { superseded, after, .. } = &self.intent.task {
            let (superseded, after) = (superseded.clone(), after.clone());
            for earlier in superseded {
                self.let_end(earlier).await?;
            }
            for user in after {
                if matches!(self.inner().store.operation(user).await, Ok(Some(user)) if !super::has_ended(user.state)) {
                    // Its worker may need the permit that we hold.
                    return Err(Failure::soon(BackendError::new(
                        ErrorKind::InUse,
                        "what uses it is being removed",
                    )));
                }
            }
        }
        if self.earlier_may_go_on() {
            self.look_for_effect().await?;
        }
        if !was_put_back(&self.row) {
            // Whatever it has waited for, it did not stand still.
            self.claimed.deadline.renew();
        }
        loop {
            let error = match self.call(attempt).await {
                Ok(effect) => return Ok(effect),
                Err(error) => error,
            };
            tracing::info!(kind = ?error.kind, outcome = ?error.outcome, context = error.context, "attempt {attempt} failed: {error}");
            if error.kind == ErrorKind::Interrupted {
                return Err(Failure::Stopped);
            }
            // Of a host's engine nothing is on its way when its call has come back. What one that was cut off has set off, such
            // as a program that starts, may still come; the engine sees to it that a later call finds or ends that.
            let is_over = self.carrier().capabilities().locality == Locality::Host && error.kind != ErrorKind::Timeout;
            if error.outcome == Outcome::Unknown && !is_over {
                self.may_be_in_flight();
            }
            if error.kind == ErrorKind::InUse && self.is_being_freed().await {
                return Err(Failure::soon(error));
            }
            if !self.may_pass(&error) || self.give_up.left().is_zero() {
                return Err(Failure::Final(error));
            }
            if error.outcome == Outcome::Nothing || is_over {
                return Err(Failure::Later(error));
            }
            match self.look_for_effect().await {
                Ok(true) => {}
                Ok(false) => return Err(Failure::soon(error)),
                // How the verb failed says more than that nobody sees what it did.
                Err(Failure::Final(_unseen)) => return Err(Failure::Final(error)),
                Err(other) => return Err(other),
            }
            // Called again, it finds by its mark what it has done.
            self.claimed.deadline.renew();
            attempt += 1;
        }
    }

    /// Whether the worker before this one may have died in a call that goes on without it. One that put the operation
    /// back has not.
    fn earlier_may_go_on(&self) -> bool {
        self.row.attempt > 1 && !was_put_back(&self.row) && self.carrier().capabilities().locality == Locality::Shared
    }

    /// Whether what is said to be in use is being freed by a deletion. For a deletion, what has ended in the moment of the
    /// first refusal counts too.
    async fn is_being_freed(&self) -> bool {
        let targets = match &self.intent.task {
            Task::Delete { .. } if self.row.attempt == 1 => return true,
            Task::Delete { .. } => vec![self.intent.entity.clone()],
            Task::Create(create) => targets(create),
            Task::Update { .. } | Task::Act(_) => return false,
        };
        let freeing = self.inner().store.deletion_freeing(&targets, Some(self.row.id)).await;
        freeing.map_or_else(
            |error| {
                tracing::warn!(%error, "failed to look for what is being deleted: it is asked again");
                true
            },
            |operation| operation.is_some(),
        )
    }

    fn may_be_in_flight(&mut self) {
        let window = i64::try_from(self.window().as_millis()).unwrap_or(i64::MAX);
        self.in_flight_until_ms = Some(self.inner().now_ms().saturating_add(window));
    }

    /// Whether the same call may succeed later. A graceful stop that the guest ignored will not.
    fn may_pass(&self, error: &BackendError) -> bool {
        let ignored = error.kind == ErrorKind::Timeout
            && error.outcome == Outcome::Nothing
            && matches!(self.intent.task, Task::Act(_));
        error.is_temporary() && !ignored
    }

    /// One call of the verb. That it is called again is nothing further: it has what is left of the time.
    async fn call(&mut self, attempt: u32) -> occi_backend::Result<Effect> {
        let deadline = self.claimed.deadline.clone();
        let context = self.context(attempt, deadline.clone());
        let verb = perform(self.inner().clone(), self.claimed.carrier, context, self.intent.clone());
        self.attend(verb, deadline).await
    }

    /// Has the engine remove something that this operation has made.
    ///
    /// # Errors
    /// None: this worker was told to stop, or does not hold the operation any more. What happens to it is another's affair.
    pub(crate) async fn remove(&mut self, target: Target, deadline: Deadline) -> Result<(), Option<BackendError>> {
        self.claimed.sign().await.map_err(|_| None)?;
        let backend = self.carrier().backend.clone();
        let context = self.context(self.row.attempt, deadline.clone());
        let removed = self
            .attend(async move { backend.delete(&context, &target).await }, deadline)
            .await;
        removed.map_err(|error| Some(error).filter(|error| error.kind != ErrorKind::Interrupted))
    }

    /// Waits for what a backend does, with the lease kept and the journal heeded.
    async fn attend<T>(
        &mut self,
        verb: impl Future<Output = occi_backend::Result<T>>,
        deadline: Deadline,
    ) -> occi_backend::Result<T> {
        tokio::pin!(verb);
        let mut notice = tokio::time::interval(NOTICE);
        notice.set_missed_tick_behavior(MissedTickBehavior::Delay);
        notice.reset();
        let mut stop_at = None;
        let mut late = false;
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut verb => break Some(outcome),
                () = self.claimed.urgent.notified() => notice.reset_immediately(),
                _ = notice.tick() => {
                    if self.claimed.is_due() && self.claimed.sign().await.is_err() {
                        stop_at.get_or_insert_with(|| Instant::now() + GRACE);
                    }
                }
                _ = self.claimed.stopped(), if stop_at.is_none() => stop_at = Some(Instant::now() + GRACE),
                () = deadline.passed(), if stop_at.is_none() => {
                    late = true;
                    stop_at = Some(Instant::now() + GRACE);
                }
                () = tokio::time::sleep_until(stop_at.unwrap_or_else(Instant::now)), if stop_at.is_some() => break None,
            }
        };
        match outcome {
            Some(outcome) => {
                self.carrier().learn(&outcome);
                outcome
            }
            None => {
                if self.carrier().capabilities().locality == Locality::Shared {
                    self.may_be_in_flight();
                }
                let kind = if late {
                    ErrorKind::Timeout
                } else {
                    ErrorKind::Interrupted
                };
                Err(BackendError::new(kind, "the engine did not finish before the deadline").ambiguous())
            }
        }
    }

    /// What is seen of something in the engine. One that hangs holds nobody up: the lease is kept meanwhile, and who is
    /// told to stop, or has waited for [`LOOK`], goes on without.
    ///
    /// # Errors
    /// Those of [`occi_backend::Backend::find`]; `Timeout`, `Interrupted`.
    pub(crate) async fn find(&self, target: &Target) -> occi_backend::Result<Option<Picture>> {
        let look = async {
            let found = self.carrier().backend.find(&self.scope(), target).await;
            self.carrier().learn(&found);
            found
        };
        let unseen = |kind| Err(BackendError::new(kind, "the engine does not say how it looks"));
        self.look(look).await.unwrap_or_else(unseen)
    }

    /// The same for any `look` at the engine; or why there was none.
    pub(crate) async fn look<T>(&self, look: impl Future<Output = T>) -> Result<T, ErrorKind> {
        let until_lost = async {
            loop {
                tokio::time::sleep(LEASE / 3).await;
                if self.claimed.sign().await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            biased;
            seen = look => Ok(seen),
            _ = self.claimed.stopped() => Err(ErrorKind::Interrupted),
            () = until_lost => Err(ErrorKind::Interrupted),
            () = tokio::time::sleep(LOOK.min(self.inner().config.operation_deadline)) => Err(ErrorKind::Timeout),
        }
    }

    /// The context of a call.
    pub(crate) fn context(&self, attempt: u32, deadline: Deadline) -> Context {
        Context {
            scope: self.scope(),
            operation: self.row.id,
            attempt,
            deadline,
            journal: self.claimed.clone(),
        }
    }

    /// After an ambiguous outcome: looks at the object until its effect is seen, or until no native call can still be on
    /// its way. Then the verb may be called again. Whether the effect was seen.
    async fn look_for_effect(&mut self) -> Result<bool, Failure> {
        let until = Instant::now() + self.window();
        let pause = (self.window() / 16).clamp(Duration::from_millis(20), Duration::from_secs(1));
        let mut signed = Instant::now();
        loop {
            let seen = self.sees_effect().await;
            match seen {
                Ok(seen) if seen || Instant::now() >= until => {
                    self.in_flight_until_ms = None;
                    return Ok(seen);
                }
                Err(error) if error.kind == ErrorKind::Interrupted => return Err(Failure::Stopped),
                Err(error) if self.give_up.left().is_zero() => return Err(Failure::Final(error.ambiguous())),
                Ok(_) | Err(_) => {}
            }
            if signed.elapsed() > LEASE / 3 {
                signed = Instant::now();
                self.claimed.sign().await.map_err(|_| Failure::Stopped)?;
            }
            tokio::select! {
                () = self.claimed.stop.cancelled() => return Err(Failure::Stopped),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Whether the verb is seen to have had its effect; of a create the whole of it, as any of its calls may be the one
    /// whose outcome is unknown.
    async fn sees_effect(&self) -> occi_backend::Result<bool> {
        if !self.shows(self.find(&self.target().await?).await?.as_ref()) {
            return Ok(false);
        }
        if let Task::Create(create) = &self.intent.task {
            for link in &create.links {
                let target = Target {
                    kind: link.kind.clone(),
                    mark: link.mark.clone(),
                    native_id: None,
                    project: None,
                };
                if self.find(&target).await?.is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether what was found shows that the verb has had its effect.
    fn shows(&self, found: Option<&Picture>) -> bool {
        match (&self.intent.task, found) {
            (Task::Create(_), Some(_)) | (Task::Delete { .. }, None) => true,
            (Task::Create(_), None) | (Task::Delete { .. }, Some(_)) => false,
            (Task::Update { .. } | Task::Act(_), None) => true,
            (Task::Update { change, .. }, Some(picture)) => change
                .set
                .iter()
                .all(|(name, value)| picture.attributes.get(name.as_str()) == Some(value)),
            (Task::Act(invocation), Some(picture)) => {
                let lifecycle = self.inner().base.lifecycle(self.intent.kind.as_str());
                let goal = lifecycle.and_then(|lifecycle| lifecycle.target(&invocation.action));
                goal.is_some() && row::state_in(&picture.kind, &picture.attributes).as_deref() == goal
            }
        }
    }

    /// Lets the operation that this one supersedes end first. It was told to stop when this one was recorded.
    async fn let_end(&mut self, earlier: Uuid) -> Result<(), Failure> {
        let mut pauses = Pauses::new(Duration::from_millis(5), Duration::from_millis(500));
        let mut signed = Instant::now();
        loop {
            let found = self.inner().store.operation(earlier).await;
            match found {
                Ok(None) => return Ok(()),
                Ok(Some(found)) if super::has_ended(found.state) => {
                    let until = found
                        .error
                        .as_ref()
                        .and_then(|error| error.get("in_flight_until_ms")?.as_i64());
                    self.in_flight_until_ms = until.or(self.in_flight_until_ms);
                    return Ok(());
                }
                Ok(Some(found)) if found.lease_owner.is_none() => {
                    // Nobody has it, and whoever gets it may need the permit that we hold.
                    finish::end_superseded(self.inner(), &found).await;
                }
                Ok(Some(_)) => {}
                Err(error) => tracing::warn!(%error, "failed to read the superseded operation"),
            }
            if signed.elapsed() > LEASE / 3 {
                signed = Instant::now();
                self.claimed.sign().await.map_err(|_| Failure::Stopped)?;
            }
            tokio::select! {
                () = self.claimed.stop.cancelled() => return Err(Failure::Stopped),
                () = tokio::time::sleep(pauses.next()) => {}
            }
        }
    }

    /// Puts the operation back into the queue after a temporary failure, or fails it if there is no time left.
    async fn put_back(&mut self, error: BackendError) -> &'static str {
        // All that failed with an engine would come back with it.
        let mut pauses = Pauses::spread(PAUSE, PAUSE_MAX);
        for _ in 1..self.row.attempt.min(10) {
            pauses.next();
        }
        let pause = error
            .retry_after
            .map_or_else(|| pauses.next(), |after| after.min(PAUSE_MAX));
        let left = self.give_up.left();
        if left < PAUSE {
            return self.fail(error).await;
        }
        // A try has what is left then.
        let pause = pause.min(left / 2);
        // The store compares it with its own clock; if that cannot be read, nothing can be written either.
        let now_ms = self.inner().store.now_ms().await.unwrap_or_default();
        let mut error = EngineError::from(error).to_json();
        error[PUT_BACK] = self.row.attempt.into();
        let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        let back = self.back(
            Some(error),
            now_ms.saturating_add(pause_ms),
            Some(self.inner().ms_in(left)),
        );
        let written = match back.await {
            Ok(commit) => self.inner().commit_patiently(commit, LEASE).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "failed to put the operation back: its lease will end");
        }
        ring_later(self.inner(), self.claimed.carrier, pause);
        "retried"
    }

    /// The commit that puts the operation back into the queue, with what is not written yet.
    async fn back(
        &self,
        error: Option<Json>,
        not_before_ms: i64,
        deadline_ms: Option<i64>,
    ) -> Result<Commit, StoreError> {
        let mut writes = self.claimed.unwritten_look().await?;
        writes.push(Write::FinishOperation {
            operation: self.row.id,
            state: OperationState::Accepted,
            step: self.claimed.unwritten_step(),
            error,
            result: None,
            not_before_ms,
            deadline_ms,
            at_ms: self.inner().now_ms(),
        });
        Ok(Commit {
            require: vec![self.claimed.lease()],
            writes,
            audit: Vec::new(),
        })
    }

    /// The verb was interrupted: by the end of this process, by another operation, by a cancellation, or because another
    /// worker has the operation.
    pub(crate) async fn stopped(&mut self) -> &'static str {
        if self.inner().stopping.is_cancelled() {
            let written = match self.back(None, 0, None).await {
                Ok(commit) => self.inner().commit(commit).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                tracing::warn!(%error, "failed to put the operation back: its lease will end");
            }
            return "put back";
        }
        match self.inner().store.operation(self.row.id).await {
            Ok(Some(now))
                if now.cancelled
                    && now.lease_owner.as_ref() == Some(&self.inner().node)
                    && now.attempt == self.row.attempt =>
            {
                self.undo().await
            }
            _ => {
                tracing::warn!("another worker has the operation, or it could not be written: its lease will end");
                "lost"
            }
        }
    }
}

/// The failure of a step that cannot do without the store; the same step may succeed later.
pub(crate) fn unreadable(error: StoreError) -> BackendError {
    BackendError::new(ErrorKind::Unavailable, "the database cannot be read").with_source(error)
}

/// Calls the backend's verb.
async fn perform(inner: Arc<Inner>, carrier: usize, context: Context, intent: Intent) -> occi_backend::Result<Effect> {
    let backend = inner.carriers[carrier].backend.clone();
    // What is to be made has no native id yet.
    let found = match &intent.task {
        Task::Create(_) => Ok(None),
        Task::Update { .. } | Task::Act(_) | Task::Delete { .. } => inner.store.entity(&intent.entity).await,
    };
    // Whoever has it when the lease has ended begins with a store that can be read.
    let found = found.map_err(|error| BackendError {
        kind: ErrorKind::Interrupted,
        ..unreadable(error)
    })?;
    let target = intent.target(found.as_ref());
    match intent.task {
        Task::Create(mut create) => {
            let links = create.links.iter_mut().filter_map(|link| link.target.as_mut());
            let ends = create
                .ends
                .iter_mut()
                .flat_map(|ends| [&mut ends.source, &mut ends.target]);
            for end in links.chain(ends) {
                inner.learn_native_id(end).await;
            }
            backend.create(&context, &create).await.map(Effect::Pictures)
        }
        Task::Update { mut change, .. } => {
            for end in change
                .ends
                .iter_mut()
                .flat_map(|ends| [&mut ends.source, &mut ends.target])
            {
                inner.learn_native_id(end).await;
            }
            backend.update(&context, &target, &change).await.map(Effect::Pictures)
        }
        Task::Act(invocation) => backend.act(&context, &target, &invocation).await.map(Effect::Acted),
        Task::Delete { .. } => backend.delete(&context, &target).await.map(|()| Effect::Gone),
    }
}
