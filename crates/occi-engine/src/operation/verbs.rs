//! Operations as resources: one can look at them and cancel them.

use super::has_ended;
use crate::engine::{Engine, Inner};
use crate::{Caller, EngineError, FailureKind, OperationView, Result, policy};
use occi_store::{Audit, Commit, OperationQuery, OperationRow, StoreError, Write};
use uuid::Uuid;

impl Engine {
    /// One operation.
    ///
    /// # Errors
    /// `NotFound` also for those of other projects.
    pub async fn operation(&self, caller: &Caller, id: Uuid) -> Result<OperationView> {
        let row = self.inner.store.operation(id).await?;
        let Some(row) = row.filter(|row| policy::sees_operation(caller, row)) else {
            return Err(EngineError::new(
                FailureKind::NotFound,
                format!("there is no operation {id}"),
            ));
        };
        self.view(caller, row).await
    }

    /// An operation with those of its parts that the caller may know of: a collection may span projects.
    async fn view(&self, caller: &Caller, mut row: OperationRow) -> Result<OperationView> {
        let parts = if row.entity.is_none() {
            let mut parts = self.inner.parts_of(row.id).await?;
            parts.retain(|part| policy::sees_operation(caller, part));
            parts.sort_by_key(|part| part.id);
            row.deadline_ms = last_deadline_ms(&parts);
            parts
        } else {
            Vec::new()
        };
        Ok(OperationView { row, parts })
    }

    /// The operations that the caller may see; the query's projects are narrowed to those.
    pub async fn operations(&self, caller: &Caller, mut query: OperationQuery) -> Result<Vec<OperationView>> {
        let principal = &caller.principal;
        if !principal.operator {
            let own = principal.projects.iter().map(|(name, _)| name);
            query.projects = match query.projects.as_slice() {
                [] => own.cloned().collect(),
                wanted => own.filter(|name| wanted.contains(name)).cloned().collect(),
            };
            if query.projects.is_empty() {
                return Ok(Vec::new());
            }
        }
        let rows = self.inner.store.operations(&query).await?;
        Ok(rows
            .into_iter()
            .map(|row| OperationView { row, parts: Vec::new() })
            .collect())
    }

    /// Tells an operation to stop and to undo what it has done.
    ///
    /// # Errors
    /// `Conflict`: it has ended, or it is a deletion, which goes on.
    pub async fn cancel(&self, caller: &Caller, id: Uuid) -> Result<OperationView> {
        let view = self.operation(caller, id).await?;
        policy::may_change(caller, &view.row.project)?;
        let mut told = Vec::new();
        let parts = if view.row.entity.is_none() {
            &view.parts
        } else {
            std::slice::from_ref(&view.row)
        };
        for row in parts.iter().filter(|row| !has_ended(row.state)) {
            if row.verb == "delete" {
                let message = "a deletion cannot be cancelled";
                return Err(EngineError::new(FailureKind::Conflict, message).with_operation(id));
            }
            policy::may_change(caller, &row.project)?;
            told.push(row);
        }
        if told.is_empty() {
            return Err(EngineError::new(FailureKind::Conflict, "it has ended").with_operation(id));
        }
        let commit = Commit {
            writes: told.iter().map(|row| Write::CancelOperation(row.id)).collect(),
            audit: vec![Audit {
                principal: caller.principal.name.clone(),
                verb: "cancel".to_owned(),
                path: format!("/-/operation/{id}"),
                request: caller.request.clone(),
                ..self.inner.audit_of(&view.row, "accepted", "")
            }],
            ..Commit::default()
        };
        let told: Vec<_> = told.into_iter().cloned().collect();
        let inner = self.inner.clone();
        let stop = async move {
            inner.commit(commit).await?;
            for row in told {
                inner.waiting.stop(row.id);
                inner.ring(row.backend.as_deref());
            }
            Ok::<(), StoreError>(())
        };
        // As in admission: who asked may go at any time.
        self.inner.tasks.spawn(stop).await.map_err(EngineError::internal)??;
        self.operation(caller, id).await
    }
}

impl Inner {
    /// The parts of the operation of a collection.
    pub(crate) async fn parts_of(&self, parent: Uuid) -> std::result::Result<Vec<OperationRow>, StoreError> {
        let parts = OperationQuery {
            parent: Some(parent),
            limit: u32::MAX,
            ..OperationQuery::default()
        };
        self.store.operations(&parts).await
    }
}

/// When the last of these parts will be given up; none as long as one of them has its whole time before it.
pub(crate) fn last_deadline_ms(parts: &[OperationRow]) -> Option<i64> {
    let waits = |part: &OperationRow| part.deadline_ms.is_none() && !has_ended(part.state);
    let last = parts.iter().filter_map(|part| part.deadline_ms).max();
    last.filter(|_| !parts.iter().any(waits))
}
