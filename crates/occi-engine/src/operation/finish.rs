//! How operations end: what they made is written down, what failed is undone or explained.

use super::waiting::Outcome as Ended;
use super::worker::{Run, unreadable};
use super::{Intent, Task, blank};
use crate::engine::Inner;
use crate::pauses::Pauses;
use crate::plan::TRIES;
use crate::{EngineError, FailureKind, quota, row};
use occi_backend::{Acted, BackendError, Deadline, ErrorKind, Outcome, Picture};
use occi_model::EntityId;
use occi_store::{
    Change, Commit, EntityRow, OperationQuery, OperationRow, OperationState, OverQuota, Refused, Require, StoreError,
    Usage, Write,
};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long the end of an operation may wait for a database that is full or away. Then its lease ends, and another worker
/// finds everything done.
const PATIENCE: Duration = Duration::from_secs(600);
/// So often an engine may refuse for good to remove what a create has made, before that is left to the operator.
const REFUSALS: u32 = 5;

/// What a verb had as its effect.
#[derive(Debug)]
pub(crate) enum Effect {
    /// These objects were made or changed.
    Pictures(Vec<Picture>),
    /// An action.
    Acted(Acted),
    /// The object is gone.
    Gone,
}

/// The commit that ends an operation and does nothing else.
pub(crate) fn end(
    operation: Uuid,
    state: OperationState,
    error: Option<&EngineError>,
    result: Option<Json>,
    at_ms: i64,
) -> Commit {
    Commit {
        require: Vec::new(),
        writes: vec![Write::FinishOperation {
            operation,
            state,
            step: None,
            error: error.map(EngineError::to_json),
            result,
            not_before_ms: 0,
            deadline_ms: None,
            at_ms,
        }],
        audit: Vec::new(),
    }
}

/// Ends an operation that nobody has claimed and that another one supersedes.
pub(crate) async fn end_superseded(inner: &Arc<Inner>, found: &OperationRow) {
    let error = superseded();
    let mut commit = end(found.id, OperationState::Failed, Some(&error), None, inner.now_ms());
    // A claim in between grows the attempt and is told to stop like any other.
    commit.writes.insert(0, Write::CancelOperation(found.id));
    match inner.commit(commit).await {
        Ok(_) => inner.ended(found, Err(error)).await,
        Err(error) => tracing::warn!(operation.id = %found.id, %error, "failed to end a superseded operation"),
    }
}

fn superseded() -> EngineError {
    EngineError::new(FailureKind::Conflict, "it was deleted before this was done").with_code("cancelled")
}

fn cancelled() -> EngineError {
    EngineError::new(FailureKind::Conflict, "it was cancelled").with_code("cancelled")
}

impl Run {
    /// The commit that ends this operation, if it is still ours.
    fn end(&self, state: OperationState, error: Option<&EngineError>, result: Option<Json>) -> Commit {
        let mut commit = end(self.row.id, state, error, result, self.inner().now_ms());
        if let Some(Write::FinishOperation { step, .. }) = commit.writes.first_mut() {
            *step = self.claimed.unwritten_step();
        }
        commit.require.push(self.claimed.lease());
        commit
    }

    /// The rows in the care of this operation.
    async fn own_rows(&self) -> Result<Vec<EntityRow>, StoreError> {
        self.inner().store.entities(&self.intent.entities()).await
    }

    /// The same; what it was recorded to make is as it was then. What may have changed since is either told to this
    /// operation as a cancellation, or a precondition of what is written.
    async fn rows_to_settle(&mut self) -> Result<Arc<[EntityRow]>, StoreError> {
        match self.made.take().filter(|made| !made.is_empty()) {
            Some(made) => Ok(made),
            None => self.own_rows().await.map(Arc::from),
        }
    }

    /// The verb had its effect.
    pub(crate) async fn succeed(&mut self, effect: Effect) -> &'static str {
        let (pictures, template) = match effect {
            Effect::Pictures(pictures) => (pictures, None),
            Effect::Acted(acted) => (acted.pictures, acted.template),
            Effect::Gone => return self.gone().await,
        };
        let mut result = None;
        if let Some(template) = template {
            let mixin = self
                .inner()
                .adopt_template(&self.intent.native_project, &template)
                .await;
            result = mixin.map(|id| json!({ "mixins": [id.to_string()] }));
        }
        loop {
            let rows = match self.rows_to_settle().await {
                Ok(rows) => rows,
                Err(error) => return self.lost(&error),
            };
            let (own, others): (Vec<_>, Vec<_>) = pictures
                .iter()
                .partition(|picture| rows.iter().any(|row| row::is_of(row, picture)));
            // What an end leads to has to be known first.
            self.inner()
                .observe(
                    self.claimed.carrier,
                    &self.intent.native_project,
                    others.into_iter().cloned().collect(),
                )
                .await;
            self.look_at_links(&pictures).await;
            let mut commit = self.end(OperationState::Succeeded, None, result.clone());
            commit.require.push(Require::NotCancelled(self.row.id));
            let mut writes = Vec::new();
            for row in rows.iter() {
                let picture = own.iter().find(|picture| row::is_of(row, picture)).copied();
                let (change, usage, known) = match self.settled(row, picture).await {
                    Ok(Some(settled)) => settled,
                    Ok(None) => continue,
                    Err(error) => return self.lost(&error),
                };
                commit.require.extend(known);
                writes.push(Write::UpdateEntity {
                    id: row.id.clone(),
                    change: Box::new(change),
                    usage,
                });
            }
            if result.is_some() {
                writes.push(Write::ModelChanged(Some(self.row.project.clone())));
            }
            commit.writes.splice(0..0, writes);
            match self.inner().commit_patiently(commit, PATIENCE).await {
                Ok(committed) => {
                    self.inner().scopes.explain(&self.intent.entity, false);
                    self.inner().scopes.settle(&pictures);
                    let changed = committed.changed.into_values().collect();
                    self.inner().ended(&self.row, Ok(changed)).await;
                    return "succeeded";
                }
                Err(StoreError::Refused(Refused::NoEntity(_) | Refused::NoMixin(_))) => {}
                Err(StoreError::Refused(Refused::Cancelled(_))) => return self.undo().await,
                Err(error) => return self.lost(&error),
            }
        }
    }

    /// An action moves the links at an entity with it: those that came with no picture are looked at.
    async fn look_at_links(&self, seen: &[Picture]) {
        if matches!(self.intent.task, Task::Act(_)) {
            let look = self
                .inner()
                .look_at_links(self.claimed.carrier, &self.intent.entity, seen);
            // Those that are not seen now are with the next listing.
            let _seen = self.look(look).await;
        }
    }

    /// How a row looks when the operation is done, what it uses then, and what must hold for that.
    async fn settled(
        &self,
        row: &EntityRow,
        picture: Option<&Picture>,
    ) -> Result<Option<(Change, Option<(Usage, OverQuota)>, Option<Require>)>, StoreError> {
        if row.operation != Some(self.row.id) {
            return Ok(None);
        }
        let mut known = None;
        let mut change = match &self.intent.task {
            Task::Update { then, .. } if row.id == self.intent.entity => {
                let mut change = then.as_ref().clone().into_change(&row.mixins);
                let added = &mut change.mixins_added;
                known = self.inner().retain_known(&row.project, added).await?;
                change
            }
            _ => Change::default(),
        };
        change.unset.push(row::message_attribute(&row.kind));
        if let Some(picture) = picture {
            let shown = row::change_of(&self.inner().carriers[self.claimed.carrier], row, picture);
            for (name, value) in shown.set {
                change.set.set(name, value);
            }
            change.unset.extend(shown.unset);
            // What is taken away is not shown any more; if it is, it is there.
            change.mixins_removed.retain(|mixin| !picture.mixins.contains(mixin));
            change.mixins_added.extend(shown.mixins_added);
            change.native_id = shown.native_id;
            change.state = shown.state;
            if row.target.is_none()
                && let Some(ends) = &picture.ends
            {
                change.target = self
                    .inner()
                    .end_of(self.claimed.carrier, &self.intent.native_project, &ends.target)
                    .await;
            }
        }
        change.operation = Some(None);
        let usage = self.used(row, &change);
        Ok(Some((change, usage, known)))
    }

    /// What a row uses after a change: while that ran, the greater of before and after was reserved. An end is never refused.
    fn used(&self, row: &EntityRow, change: &Change) -> Option<(Usage, OverQuota)> {
        matches!(self.intent.task, Task::Update { .. } | Task::Act(_))
            .then(|| quota::usage(&row.kind, &row::changed(&row.attributes, &change.set, &change.unset)))
            .map(|usage| (usage, OverQuota::Count))
    }

    /// The object is gone: so are its rows.
    async fn gone(&mut self) -> &'static str {
        match self.outlive_call().await {
            Ok(()) => {}
            Err(Some(error)) => return self.fail(error).await,
            Err(None) => return self.stopped().await,
        }
        let mut commit = self.end(OperationState::Succeeded, None, None);
        match self.removals().await {
            Ok(removals) => drop(commit.writes.splice(0..0, removals)),
            Err(error) => return self.lost(&error),
        }
        match self.inner().commit_patiently(commit, PATIENCE).await {
            Ok(_) => {
                self.inner().scopes.explain(&self.intent.entity, false);
                self.inner().ended(&self.row, Ok(Arc::default())).await;
                "succeeded"
            }
            Err(error) => self.lost(&error),
        }
    }

    /// Removes the rows of this operation. The entity takes the links that it owns along; a link that is gone already is
    /// no fault.
    async fn removals(&self) -> Result<Vec<Write>, StoreError> {
        let rows = self.own_rows().await?;
        let entity = &self.intent.entity;
        Ok(rows
            .iter()
            .filter(|row| {
                row.id == *entity || row.source.as_ref() != Some(entity) && row.target_id.as_ref() != Some(entity)
            })
            .map(|row| Write::RemoveEntity(row.id.clone()))
            .collect())
    }

    /// While a native call of an interrupted create may still have its effect, what it makes is removed again. The errors
    /// are those of [`Run::remove`].
    async fn outlive_call(&mut self) -> Result<(), Option<BackendError>> {
        while let Some(until) = self.in_flight_until_ms {
            let is_last = self.inner().now_ms() >= until;
            let mut targets = vec![self.target().await.map_err(Some)?];
            let rows = self.own_rows().await.map_err(|error| Some(unreadable(error)))?;
            let links = rows.into_iter().filter(|row| row.id != self.intent.entity);
            targets.extend(links.filter(|row| row.backend.is_some()).map(|row| row::target(&row)));
            for target in targets {
                if let Ok(Some(_)) = self.find(&target).await {
                    self.remove(target, Deadline::new(self.window())).await?;
                }
            }
            if is_last {
                self.in_flight_until_ms = None;
                return Ok(());
            }
            self.claimed.sign().await.map_err(|_| None)?;
            tokio::time::sleep((self.window() / 16).clamp(Duration::from_millis(20), Duration::from_secs(1))).await;
        }
        Ok(())
    }

    /// Somebody else has the operation now, or has ended it.
    fn lost(&self, error: &StoreError) -> &'static str {
        tracing::warn!(%error, "failed to end the operation: another worker will find it done");
        "lost"
    }

    /// The operation was told to stop: what a create made is removed, everything else is shown as it is now.
    pub(crate) async fn undo(&mut self) -> &'static str {
        self.claimed.compensate();
        let found = match self.inner().store.entity(&self.intent.entity).await {
            Ok(found) => found,
            Err(error) => return self.lost(&error),
        };
        let ours = found.is_some_and(|row| row.operation == Some(self.row.id));
        if !ours {
            // A DELETE has taken over; it removes what is there, and has to know how long something may still appear.
            return self.end_failed(superseded(), OperationState::Failed, Vec::new()).await;
        }
        match self.intent.task {
            Task::Create(_) => self.remove_made(cancelled()).await,
            Task::Update { .. } | Task::Act(_) | Task::Delete { .. } => self.explain(cancelled(), false).await,
        }
    }

    /// The verb failed for good.
    pub(crate) async fn fail(&mut self, error: BackendError) -> &'static str {
        let unknown =
            error.outcome == Outcome::Unknown || matches!(error.kind, ErrorKind::Unexpected | ErrorKind::Unavailable);
        let error = EngineError::from(error).with_operation(self.row.id);
        if error.is_out_of_room() {
            tracing::debug!(verb = %self.row.verb, context = error.context, "the operation failed: {error}");
        } else {
            tracing::warn!(verb = %self.row.verb, context = error.context, "the operation failed: {error}");
        }
        if matches!(self.intent.task, Task::Create(_)) {
            let group = match self.group().await {
                Ok(group) => group,
                Err(error) => return self.lost(&error),
            };
            let ids: Vec<_> = group.iter().map(|member| member.id).collect();
            if self.inner().waiting.can_refuse(&ids) {
                self.claimed.compensate();
                self.stop_siblings(&group).await;
                return self.remove_made(error).await;
            }
        }
        self.explain(error, unknown).await
    }

    /// The creates of the same request, this one included: all its entities are made, or none. What existed before the
    /// request changes on its own.
    async fn group(&self) -> Result<Vec<OperationRow>, StoreError> {
        let Some(parent) = self.row.parent else {
            return Ok(vec![self.row.clone()]);
        };
        let mut group = self.inner().parts_of(parent).await?;
        group.retain(|part| part.verb == self.row.verb);
        Ok(group)
    }

    /// The others of its group are told to stop, and what they have made is removed.
    async fn stop_siblings(&self, group: &[OperationRow]) {
        let siblings = || group.iter().filter(|sibling| sibling.id != self.row.id);
        for sibling in siblings().filter(|sibling| !super::has_ended(sibling.state)) {
            let stop = Commit {
                writes: vec![Write::CancelOperation(sibling.id)],
                ..Commit::default()
            };
            match self.inner().commit_patiently(stop, PATIENCE).await {
                Ok(_) => {
                    self.inner().waiting.stop(sibling.id);
                    self.inner().ring(sibling.backend.as_deref());
                }
                Err(error) => tracing::error!(operation.id = %sibling.id, %error, "failed to stop a sibling"),
            }
        }
        // Those among them that ended before they could be told have made their entities too.
        for sibling in siblings() {
            let made = match self.inner().store.operation(sibling.id).await {
                Ok(Some(now)) if now.state == OperationState::Succeeded => self.inner().remove_created(&now).await,
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = made {
                tracing::error!(operation.id = %sibling.id, %error, "failed to undo a sibling");
            }
        }
    }

    /// Removes what a create has made, then its rows. What cannot be removed stays, in `error`, and needs attention.
    async fn remove_made(&mut self, error: EngineError) -> &'static str {
        match self.clean_up().await {
            Ok(()) => match self.removals().await {
                Ok(removals) => self.end_failed(error, OperationState::Failed, removals).await,
                Err(error) => self.lost(&error),
            },
            Err(left) => self.end_uncleaned(error, left).await,
        }
    }

    /// Has the engine remove what a create has made, whole or in part. Nobody else will, so a refusal is not believed at
    /// once. None of what was left: the server goes down, or somebody else has the operation, and goes on from here.
    async fn clean_up(&mut self) -> Result<(), Option<BackendError>> {
        let patience = self.inner().config.operation_deadline;
        let began = Instant::now();
        let mut pauses = Pauses::new(Duration::from_millis(100), Duration::from_secs(10));
        let mut refusals = 0;
        loop {
            let mut outcome = match self.target().await {
                Ok(target) => {
                    let deadline = self.claimed.deadline.clone();
                    deadline.renew();
                    self.remove(target, deadline).await
                }
                Err(error) => Err(Some(error)),
            };
            if outcome.is_ok() {
                outcome = self.outlive_call().await;
            }
            let left = match outcome {
                Ok(()) => return Ok(()),
                Err(left) => left.ok_or(None)?,
            };
            refusals += u32::from(!left.is_temporary());
            let pause = pauses.next();
            if refusals >= REFUSALS || began.elapsed() + pause >= patience {
                return Err(Some(left));
            }
            tokio::select! {
                () = self.inner().stopping.cancelled() => return Err(None),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Ends a create whose remains could not be removed: they stay, in `error`, and need attention.
    async fn end_uncleaned(&mut self, error: EngineError, left: Option<BackendError>) -> &'static str {
        let Some(left) = left else { return "lost" };
        let message = format!("{error}; what was made could not be removed: {left}");
        let state = OperationState::NeedsAttention;
        self.end_shown(error, state, None, Some("error"), &message).await
    }

    /// Shows the entity as it is now, with the failure as its message; what a deletion has removed after all is gone.
    /// `unknown`: the engine failed, or nobody knows.
    async fn explain(&mut self, error: EngineError, unknown: bool) -> &'static str {
        // Nothing is left to be stopped.
        self.claimed.compensate();
        let found = match self.target().await {
            Ok(target) => self.find(&target).await,
            Err(error) => Err(error),
        };
        if matches!((&self.intent.task, &found), (Task::Delete { .. }, Ok(None))) {
            // In a box: a failure there leads here again.
            return Box::pin(self.gone()).await;
        }
        let is_create = matches!(self.intent.task, Task::Create(_));
        if is_create && !matches!(found, Ok(Some(_))) {
            // The client knows the entity, so it stays; what a half-made create left does not.
            if let Err(left) = self.clean_up().await {
                return self.end_uncleaned(error, left).await;
            }
        }
        if found.is_ok() {
            self.look_at_links(&[]).await;
        }
        let state = match &found {
            _ if is_create => Some("error"),
            Err(_) if unknown => Some("error"),
            Ok(_) | Err(_) => None,
        };
        let message = format!("{} failed: {error}", self.row.verb);
        let picture = found.ok().flatten();
        self.end_shown(error, OperationState::Failed, picture, state, &message)
            .await
    }

    /// Ends the operation as failed, frees its rows, and shows the failure on them.
    async fn end_shown(
        &mut self,
        error: EngineError,
        ended: OperationState,
        picture: Option<Picture>,
        state: Option<&str>,
        message: &str,
    ) -> &'static str {
        let rows = match self.own_rows().await {
            Ok(rows) => rows,
            Err(error) => return self.lost(&error),
        };
        let deletes = matches!(self.intent.task, Task::Delete { .. });
        let mut writes = Vec::new();
        for row in rows {
            if row.operation != Some(self.row.id) {
                continue;
            }
            let mut seen = picture.clone().filter(|picture| row::is_of(&row, picture));
            if deletes && row.id != self.intent.entity && row.backend.is_some() {
                // A deletion removes the links first: it may have got so far.
                match self.find(&row::target(&row)).await {
                    Ok(None) => {
                        writes.push(Write::RemoveEntity(row.id));
                        continue;
                    }
                    Ok(found) => seen = found,
                    Err(_) => {}
                }
            }
            let mut change = match &seen {
                Some(picture) => row::change_of(&self.inner().carriers[self.claimed.carrier], &row, picture),
                None => Change::default(),
            };
            if picture.is_none() && ended == OperationState::Failed && matches!(self.intent.task, Task::Create(_)) {
                // Nothing of it is in the engine: no listing can miss it.
                change.native_id = Some(None);
            }
            if row.id == self.intent.entity {
                self.inner().scopes.explain(&row.id, true);
                row::show_state(&mut change, &row.kind, state, Some(message));
            }
            change.operation = Some(None);
            change.hidden = row.hidden.then_some(false);
            let usage = self.used(&row, &change);
            writes.push(Write::UpdateEntity {
                id: row.id,
                change: Box::new(change),
                usage,
            });
        }
        self.end_failed(error, ended, writes).await
    }

    /// Ends the operation as failed, with what else is to be written.
    async fn end_failed(&mut self, error: EngineError, state: OperationState, writes: Vec<Write>) -> &'static str {
        let mut commit = self.end(state, Some(&error), None);
        if let (Some(until), Some(Write::FinishOperation { error: Some(json), .. })) =
            (self.in_flight_until_ms, commit.writes.first_mut())
        {
            json["in_flight_until_ms"] = until.into();
        }
        match self.claimed.unwritten_look().await {
            Ok(look) => drop(commit.writes.splice(0..0, look.into_iter().chain(writes))),
            Err(error) => return self.lost(&error),
        }
        commit
            .audit
            .push(self.inner().audit_of(&self.row, "failed", &error.message));
        match self.inner().commit_patiently(commit, PATIENCE).await {
            Ok(_) => {
                self.inner().ended(&self.row, Err(error)).await;
                if state == OperationState::Failed {
                    "failed"
                } else {
                    "needs-attention"
                }
            }
            Err(error) => self.lost(&error),
        }
    }
}

impl Inner {
    /// Begins to remove what `created` made, whatever runs on it by now, as a DELETE would; nothing if that was no create.
    async fn remove_created(&self, created: &OperationRow) -> Result<(), StoreError> {
        let intent = match Intent::from_row(created) {
            Ok(intent) if matches!(intent.task, Task::Create(_)) => intent,
            _ => return Ok(()),
        };
        for _ in 0..TRIES {
            let row = match self.store.entity(&intent.entity).await? {
                Some(row) if !row.hidden => row,
                _ => return Ok(()),
            };
            let links = self.store.links_of(std::slice::from_ref(&row.id)).await?;
            let mut superseded: Vec<_> = links
                .iter()
                .map(|link| link.operation)
                .chain([row.operation])
                .flatten()
                .collect();
            superseded.sort_unstable();
            superseded.dedup();
            let links: Vec<EntityId> = links.into_iter().map(|link| link.id).collect();
            let removal = Intent {
                task: Task::Delete {
                    links: links.clone(),
                    superseded: superseded.clone(),
                    after: Vec::new(),
                },
                ..intent.clone()
            };
            let now_ms = self.now_ms();
            let operation = OperationRow {
                parent: created.parent,
                entity: created.entity.clone(),
                path: created.path.clone(),
                project: created.project.clone(),
                principal: created.principal.clone(),
                backend: created.backend.clone(),
                verb: removal.task.verb().to_owned(),
                intent: removal.to_text(),
                created_ms: now_ms,
                ..blank((self.config.source.operation)())
            };
            let hide = |id: &EntityId| Write::UpdateEntity {
                id: id.clone(),
                change: Box::new(Change {
                    operation: Some(Some(operation.id)),
                    hidden: Some(true),
                    ..Change::default()
                }),
                usage: None,
            };
            let mut writes: Vec<_> = superseded.iter().copied().map(Write::CancelOperation).collect();
            writes.extend(links.iter().chain([&row.id]).map(hide));
            writes.push(Write::InsertOperation(Box::new(operation)));
            let commit = Commit {
                require: vec![Require::Generation {
                    id: row.id.clone(),
                    generation: row.generation,
                }],
                writes,
                audit: Vec::new(),
            };
            match self.commit_patiently(commit, PATIENCE).await {
                Ok(_) => {
                    for stopped in superseded {
                        self.waiting.stop(stopped);
                    }
                    self.ring(created.backend.as_deref());
                    return Ok(());
                }
                // Something has been done to it since it was read.
                Err(StoreError::Refused(Refused::Generation { .. } | Refused::NoEntity(_))) => {}
                Err(error) => return Err(error),
            }
        }
        tracing::error!(operation.id = %created.id, "what it made changes too often to be removed");
        Ok(())
    }

    /// An operation has ended: those who wait learn it, and the operation of its collection ends with its last part.
    pub(crate) async fn ended(&self, row: &OperationRow, outcome: Ended) {
        self.waiting.ended(row.id, outcome);
        if let Some(entity) = &row.entity {
            self.look_again(entity).await;
        }
        if let Some(parent) = row.parent {
            self.settle(parent).await;
        }
    }

    /// Ends the operation of a collection if all its parts have ended.
    pub(crate) async fn settle(&self, parent: Uuid) {
        let one_open = OperationQuery {
            parent: Some(parent),
            open: true,
            limit: 1,
            ..OperationQuery::default()
        };
        let parts = match self.store.operations(&one_open).await {
            Ok(open) if !open.is_empty() => return,
            Ok(_) => self.parts_of(parent).await,
            Err(error) => Err(error),
        };
        let parts = match parts {
            Ok(parts) => parts,
            Err(error) => return tracing::error!(operation.id = %parent, %error, "failed to read the parts"),
        };
        let worst = parts.iter().map(|part| part.state).max_by_key(|state| match state {
            OperationState::NeedsAttention => 2,
            OperationState::Failed => 1,
            _ => 0,
        });
        let Ok(Some(row)) = self.store.operation(parent).await else {
            return tracing::error!(operation.id = %parent, "failed to read the operation of a collection");
        };
        let failed = |part: &OperationRow| Some(EngineError::from_json(part.error.as_ref()?, part.id));
        let error = parts.iter().find_map(failed).map(|first| {
            // Who sees this one may know nothing of another project's part.
            match parts.iter().all(|part| part.project == row.project) {
                true => EngineError {
                    message: format!("not all parts succeeded: {first}"),
                    ..first
                },
                false => EngineError::new(first.kind, "not all parts succeeded"),
            }
        });
        let state = worst.unwrap_or(OperationState::Succeeded);
        let commit = end(parent, state, error.as_ref(), None, self.now_ms());
        match self.commit(commit).await {
            Ok(_) | Err(StoreError::Refused(Refused::LeaseLost(_))) => {}
            Err(error) => tracing::error!(operation.id = %parent, %error, "failed to end the operation"),
        }
        self.waiting
            .ended(parent, error.map_or_else(|| Ok(Arc::default()), Err));
    }
}
