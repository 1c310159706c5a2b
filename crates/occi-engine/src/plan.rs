//! Plans: what a verb wants written, checked against what was read and not yet recorded. Several plans make one: that is
//! how a request about a collection is admitted whole or not at all.

use crate::engine::Inner;
use crate::operation::journal::lease_ms;
use crate::operation::waiting::{Phase, Waiter};
use crate::operation::worker::Work;
use crate::operation::{Intent, blank, has_ended, worker};
use crate::pauses::Pauses;
use crate::{Caller, EngineError, FailureKind, Result, Wait, policy};
use occi_store::{
    Audit, Commit, EntityRow, IdempotencyRow, OperationRow, OperationState, Refused, Require, StoreError, Write,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How often a plan is made anew because something changed in between.
pub(crate) const TRIES: usize = 16;

/// The least time that an answer waits for an engine to accept what it is about.
const ACCEPT_WAIT: Duration = Duration::from_secs(2);

/// When it is first asked what another process has done with an operation that is waited for here; then with growing
/// pauses, up to [`LOOK_MAX`].
const LOOK: Duration = Duration::from_millis(200);
const LOOK_MAX: Duration = Duration::from_secs(2);

/// What a verb wants written.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What must still hold.
    pub(crate) require: Vec<Require>,
    /// What to write then.
    pub(crate) writes: Vec<Write>,
    /// The operations to record.
    pub(crate) operations: Vec<Opening>,
    /// Operations of others that this request joins instead.
    pub(crate) joins: Vec<Uuid>,
    /// Operations that are told to stop.
    pub(crate) stops: Vec<Uuid>,
}

/// An operation to be recorded.
#[derive(Debug)]
pub(crate) struct Opening {
    /// Its row; the intent in it is filled in when it is recorded.
    pub(crate) row: OperationRow,
    pub(crate) intent: Intent,
}

impl Plan {
    /// Both together.
    pub(crate) fn and(mut self, mut other: Self) -> Self {
        self.require.append(&mut other.require);
        self.writes.append(&mut other.writes);
        self.operations.append(&mut other.operations);
        self.joins.append(&mut other.joins);
        self.stops.append(&mut other.stops);
        self
    }
}

/// What a request is called in audit and answers.
pub(crate) struct Request<'a> {
    pub(crate) caller: &'a Caller,
    /// In which project.
    pub(crate) project: &'a str,
    /// `create`, `update`, `delete`, or an action's term.
    pub(crate) verb: &'a str,
    /// What it is about.
    pub(crate) path: &'a str,
    /// What a repetition of the request is answered from.
    pub(crate) answer: serde_json::Value,
}

/// A request that has been recorded.
pub(crate) struct Recorded {
    /// The operation of the request: the parent of several.
    pub(crate) operation: Option<Uuid>,
    /// The entities that it made, as they were recorded.
    pub(crate) made: Arc<[EntityRow]>,
    waiter: Waiter,
    accept_wait: Duration,
}

/// What came of a plan.
pub(crate) enum Admitted {
    /// It is recorded.
    Recorded(Recorded),
    /// Something changed since it was made: make it anew.
    PlanAgain,
    /// Another request with the same idempotency key came first: its answer is the answer.
    Repeated,
}

/// What there was to say when the waiting ended.
pub(crate) struct Heard {
    /// The operation that goes on, if one does.
    pub(crate) operation: Option<Uuid>,
    /// The first failure.
    pub(crate) failure: Option<EngineError>,
    /// What the ends of operations have changed that this process has ended, as it is since then.
    pub(crate) changed: Vec<Arc<[EntityRow]>>,
}

impl Inner {
    /// The row of a new operation on an entity.
    pub(crate) fn new_operation(&self, caller: &Caller, row: &EntityRow, intent: Intent) -> Opening {
        let now_ms = self.now_ms();
        let row = OperationRow {
            entity: Some(row.id.clone()),
            path: Some(row.path.clone()),
            project: row.project.clone(),
            principal: caller.principal.name.clone(),
            backend: row.backend.clone(),
            verb: intent.task.verb().to_owned(),
            created_ms: now_ms,
            ..blank((self.config.source.operation)())
        };
        Opening { row, intent }
    }

    /// Records a plan, if nothing has changed since it was made.
    pub(crate) async fn admit(self: &Arc<Self>, request: &Request<'_>, plan: Plan) -> Result<Admitted> {
        match self.record(request, plan).await {
            Ok(recorded) => Ok(Admitted::Recorded(recorded)),
            // Who leads to it now is told in the caller's eyes; and whose generation it is that the client named in
            // If-Match is known to who plans, not here: a plan depends on other entities too.
            Err(StoreError::Refused(
                Refused::NoEntity(_) | Refused::Busy { .. } | Refused::Targeted { .. } | Refused::Generation { .. },
            )) => Ok(Admitted::PlanAgain),
            Err(StoreError::Refused(Refused::NoMixin(_))) => {
                // The plan was made from a model that is an old one by now.
                self.models.forget(Some(request.caller.effective_project()));
                Ok(Admitted::PlanAgain)
            }
            Err(StoreError::Refused(Refused::Repeated(_))) => Ok(Admitted::Repeated),
            // Only an operator comes so far; or it was removed a moment ago.
            Err(StoreError::Refused(Refused::Missing { what: "project", name })) => Err(policy::no_project(&name)),
            Err(error) => Err(error.into()),
        }
    }

    /// Records a plan in one transaction and lets its operations begin.
    async fn record(self: &Arc<Self>, request: &Request<'_>, plan: Plan) -> std::result::Result<Recorded, StoreError> {
        let Plan {
            mut require,
            mut writes,
            mut operations,
            joins,
            stops,
        } = plan;
        require.extend(request.caller.since.map(Require::NothingSince));
        let parent = (operations.len() > 1).then(|| self.parent_of(request, &mut operations));
        let made: Arc<[EntityRow]> = inserted(&writes).cloned().collect();
        let mut begun = Vec::new();
        let mut left = Vec::new();
        let mut ids = Vec::new();
        let mut accept_wait = ACCEPT_WAIT;
        // The store compares leases with its own clock.
        let lease_until_ms = self.store.now_ms().await?.saturating_add(lease_ms());
        for Opening { mut row, intent } in operations {
            let carrier = row.backend.as_deref().and_then(|name| self.carrier_named(name));
            accept_wait = accept_wait.max(self.accept_wait(&row));
            let permit = carrier.and_then(|carrier| Some((carrier, self.carriers[carrier].permit()?)));
            let text = intent.to_text();
            ids.push(row.id);
            match permit {
                Some((carrier, permit)) => {
                    // Claimed as it is recorded: nobody else ever sees it waiting.
                    row.state = OperationState::Running;
                    row.attempt = 1;
                    row.lease_owner = Some(self.node.clone());
                    row.lease_until_ms = Some(lease_until_ms);
                    row.deadline_ms = Some(self.ms_in(self.config.operation_deadline));
                    let own = |one: &&EntityRow| one.operation == Some(row.id);
                    let work = Work {
                        made: made.iter().filter(own).cloned().collect(),
                        row: row.clone(),
                        intent,
                    };
                    begun.push((carrier, work, permit));
                }
                None => left.push(row.backend.clone()),
            }
            self.waiting.opened(row.id, &row.verb);
            writes.push(Write::InsertOperation(Box::new(OperationRow { intent: text, ..row })));
        }
        if let Some(parent) = &parent {
            self.waiting.opened(parent.id, &parent.verb);
            writes.push(Write::InsertOperation(Box::new(parent.clone())));
        }
        let operation = parent.as_ref().map(|parent| parent.id).or_else(|| ids.first().copied());
        writes.extend(self.kept_answer(request, operation.or_else(|| joins.first().copied())));
        let waited: Vec<_> = ids.iter().chain(&joins).copied().collect();
        let recorded = Recorded {
            operation: operation.or_else(|| joins.first().copied()),
            made,
            waiter: self.waiting.join(&waited, request.caller.answers_at_once()),
            accept_wait,
        };
        let commit = Commit {
            require,
            writes,
            audit: vec![self.audit(request, "accepted", "")],
        };
        let inner = self.clone();
        let begin = async move {
            if let Err(error) = inner.commit(commit).await {
                for id in ids.into_iter().chain(parent.map(|parent| parent.id)) {
                    inner.waiting.forget(id);
                }
                for (carrier, _, permit) in begun {
                    inner.carriers[carrier].give_back(permit);
                }
                return Err(error);
            }
            for stopped in stops {
                inner.waiting.stop(stopped);
            }
            for (carrier, work, permit) in begun {
                worker::launch(&inner, carrier, work, permit);
            }
            for backend in &left {
                inner.ring(backend.as_deref());
            }
            Ok(())
        };
        // Who asked may go at any time; what follows a commit has to follow it.
        let begun = self.tasks.spawn(begin).await;
        begun.map_err(|error| StoreError::Failed(error.into()))??;
        Ok(recorded)
    }

    /// The operation of a collection; its parts learn of it.
    fn parent_of(&self, request: &Request<'_>, parts: &mut [Opening]) -> OperationRow {
        let now_ms = self.now_ms();
        let parent = OperationRow {
            path: Some(request.path.to_owned()),
            project: request.project.to_owned(),
            principal: request.caller.principal.name.clone(),
            verb: request.verb.to_owned(),
            created_ms: now_ms,
            ..blank((self.config.source.operation)())
        };
        for part in parts {
            part.row.parent = Some(parent.id);
        }
        parent
    }

    /// The answer to keep for a repetition of the request.
    pub(crate) fn kept_answer(&self, request: &Request<'_>, operation: Option<Uuid>) -> Option<Write> {
        let (key, hash) = request.caller.idempotency.as_ref()?;
        let keep_ms = i64::try_from(self.config.retention.keys.as_millis()).unwrap_or(i64::MAX);
        Some(Write::InsertIdempotency(IdempotencyRow {
            principal: request.caller.principal.name.clone(),
            project: request.caller.effective_project().to_owned(),
            key: key.clone(),
            hash: hash.clone(),
            operation,
            answer: request.answer.clone(),
            expires_ms: self.now_ms().saturating_add(keep_ms),
        }))
    }

    /// An audit record of a request.
    pub(crate) fn audit(&self, request: &Request<'_>, outcome: &str, detail: &str) -> Audit {
        Audit {
            id: (self.config.source.operation)(),
            at_ms: self.now_ms(),
            principal: request.caller.principal.name.clone(),
            project: Some(request.project.to_owned()),
            verb: request.verb.to_owned(),
            path: request.path.to_owned(),
            outcome: outcome.to_owned(),
            detail: detail.to_owned(),
            request: request.caller.request.clone(),
        }
    }

    /// An audit record of an operation.
    pub(crate) fn audit_of(&self, row: &OperationRow, outcome: &str, detail: &str) -> Audit {
        Audit {
            id: (self.config.source.operation)(),
            at_ms: self.now_ms(),
            principal: row.principal.clone(),
            project: Some(row.project.clone()),
            verb: row.verb.clone(),
            path: row.path.clone().unwrap_or_default(),
            outcome: outcome.to_owned(),
            detail: detail.to_owned(),
            request: row.id.to_string(),
        }
    }

    /// Waits for operations as long as the caller wants.
    pub(crate) async fn wait(&self, caller: &Caller, recorded: Recorded) -> Heard {
        let Recorded {
            operation,
            made: _,
            mut waiter,
            accept_wait,
        } = recorded;
        // Being late is no failure: then the answer is that it goes on.
        let waited = waiter.operations();
        match caller.wait {
            Wait::Recorded | Wait::Async => {}
            Wait::Accepted => tokio::select! {
                () = waiter.accepted() => {}
                () = self.follow(&waited, accept_wait) => {}
            },
            Wait::Outcome(limit) => tokio::select! {
                () = waiter.ended() => {}
                () = self.follow(&waited, limit) => {}
            },
        }
        let phases = waiter.leave().await;
        let goes_on = phases.iter().any(|(_, phase)| !matches!(phase, Phase::Ended(_)));
        let (mut failures, mut changed) = (Vec::new(), Vec::new());
        for (id, phase) in phases {
            match phase {
                Phase::Ended(_) if caller.answers_at_once() => {}
                Phase::Ended(Ok(rows)) => changed.push(rows),
                Phase::Ended(Err(error)) => failures.push(error.with_operation(id)),
                Phase::Recorded | Phase::Accepted => {}
            }
        }
        Heard {
            operation: operation.filter(|_| goes_on || caller.answers_at_once()),
            // What was undone because another part failed is not the reason.
            failure: failures.into_iter().min_by_key(|error| error.code == Some("cancelled")),
            changed,
        }
    }

    /// Looks, for so long, what other processes do with these operations, and tells those who wait for them here. What
    /// this process does itself is told without a look.
    async fn follow(&self, operations: &[Uuid], limit: Duration) {
        let until = Instant::now() + limit;
        let mut pauses = Pauses::new(LOOK, LOOK_MAX);
        loop {
            let look = Instant::now() + pauses.next();
            tokio::time::sleep_until(look.min(until).into()).await;
            if look >= until {
                return;
            }
            for operation in operations {
                self.hear(*operation).await;
            }
        }
    }

    /// Tells those who wait here how far an operation is, by what the store knows.
    pub(crate) async fn hear(&self, operation: Uuid) {
        let row = match self.store.operation(operation).await {
            Ok(Some(row)) => row,
            Ok(None) => return self.waiting.missing(operation),
            Err(error) => return tracing::warn!(operation.id = %operation, %error, "failed to look how far it is"),
        };
        if !has_ended(row.state) {
            if row.engine_accepted {
                self.waiting.accepted(operation);
            }
            return;
        }
        let mut outcome = match (row.state, &row.error) {
            (OperationState::Succeeded, _) | (_, None) => Ok(Arc::default()),
            (_, Some(error)) => Err(EngineError::from_json(error, operation)),
        };
        // What another process could not make is still shown there, for nobody knew that the answer could be a refusal.
        if row.verb == "create"
            && let Some(entity) = &row.entity
            && matches!(self.store.entity(entity).await, Ok(Some(left)) if !left.hidden)
        {
            outcome = Ok(Arc::default());
        }
        self.waiting.ended(operation, outcome);
        if let Some(entity) = &row.entity {
            self.look_again(entity).await;
        }
    }

    /// Waits for operations that others began.
    pub(crate) fn joined(&self, open: &OperationRow) -> Recorded {
        Recorded {
            operation: Some(open.id),
            made: Arc::new([]),
            waiter: self.waiting.join(&[open.id], false),
            accept_wait: self.accept_wait(open),
        }
    }

    /// How long an answer may wait for an operation.
    fn accept_wait(&self, row: &OperationRow) -> Duration {
        let carrier = row.backend.as_deref().and_then(|name| self.carrier_named(name));
        carrier.map_or(ACCEPT_WAIT, |carrier| {
            self.carriers[carrier].capabilities().accept_wait.max(ACCEPT_WAIT)
        })
    }

    /// What was planned; none if it has to be planned anew, because what it is about was still being made, or what it needs
    /// was still being taken away, and now is. That is waited for, at most `outwait` from `began` on.
    ///
    /// # Errors
    /// Those of the plan; of one that such an operation is in the way of, after that time. An operation of which the
    /// caller may not know is not named.
    pub(crate) async fn outwait<T>(&self, caller: &Caller, began: Instant, planned: Result<T>) -> Result<Option<T>> {
        let mut error = match planned {
            Ok(planned) => return Ok(Some(planned)),
            Err(error) => error,
        };
        let Some(operation) = error.operation else {
            return Err(error);
        };
        let until = began + self.config.outwait;
        let mut pauses = Pauses::new(Duration::from_millis(10), Duration::from_millis(500));
        loop {
            let open = self.store.operation(operation).await?;
            if open.as_ref().is_some_and(|open| !policy::sees_operation(caller, open)) {
                error.operation = None;
            }
            match open {
                Some(open) if !matches!(open.verb.as_str(), "create" | "delete") => return Err(error),
                Some(open) if !has_ended(open.state) => {}
                // The end of an operation frees its entities in the same transaction.
                _ => return Ok(None),
            }
            if Instant::now() >= until {
                return Err(error);
            }
            // It may be another process's.
            tokio::select! {
                () = self.waiting.watch(operation) => {}
                () = tokio::time::sleep_until((Instant::now() + pauses.next()).min(until).into()) => {}
            }
        }
    }
}

impl Heard {
    /// The failure as the answer, if there was one.
    pub(crate) fn or_failure(self) -> Result<Option<Uuid>> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.operation),
        }
    }
}

/// The entities that these writes make.
fn inserted(writes: &[Write]) -> impl Iterator<Item = &EntityRow> {
    writes.iter().filter_map(|write| match write {
        Write::InsertEntity { row, .. } => Some(row.as_ref()),
        _ => None,
    })
}

/// The failure after [`TRIES`] plans.
pub(crate) fn restless(path: &str) -> EngineError {
    EngineError::new(
        FailureKind::Conflict,
        format!("{path} changes too often: nothing was done"),
    )
}

/// The failure for a key that is known and then is not.
pub(crate) fn lost_key() -> EngineError {
    EngineError::internal("an idempotency key is known and has no answer")
}
