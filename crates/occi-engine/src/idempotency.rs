//! `Idempotency-Key`: the repetition of a request is answered like the first one, or joins it.
//!
//! The key is recorded in the transaction of the request's operation, so that either both are there or none. A request
//! that was refused before anything was recorded leaves no key: repeating it asks anew. Only the key of an upload is recorded
//! before an engine is asked, and stays if that refuses.

use crate::engine::Inner;
use crate::operation::has_ended;
use crate::{Caller, Created, Deleted, Done, EngineError, FailureKind, Result};
use occi_model::EntityId;
use occi_store::{IdempotencyRow, OperationState};
use serde_json::Value as Json;
use std::sync::Arc;
use uuid::Uuid;

impl Inner {
    /// What the first request with the caller's key left, if there was one.
    async fn first_request(&self, caller: &Caller) -> Result<Option<IdempotencyRow>> {
        let Some((key, hash)) = &caller.idempotency else {
            return Ok(None);
        };
        let found = self
            .store
            .idempotency(&caller.principal.name, caller.effective_project(), key)
            .await?;
        match found {
            Some(row) if row.expires_ms <= self.now_ms() => Ok(None),
            Some(row) if row.hash != *hash => Err(EngineError::new(
                FailureKind::KeyReused,
                "this idempotency key was used for another request",
            )),
            found => Ok(found),
        }
    }

    /// Waits for the first request as the caller would for its own, or gives its failure.
    async fn join_first(&self, caller: &Caller, row: &IdempotencyRow) -> Result<Option<Uuid>> {
        let Some(operation) = row.operation else {
            return Ok(None);
        };
        let Some(found) = self.store.operation(operation).await? else {
            return Ok(None);
        };
        if !has_ended(found.state) {
            return self.wait(caller, self.joined(&found)).await.or_failure();
        }
        match (found.state, &found.error) {
            (OperationState::Succeeded, _) | (_, None) => Ok(None),
            (_, Some(error)) => Err(EngineError::from_json(error, operation)),
        }
    }

    /// The answer to a create that was asked for before: what is left of what it made.
    ///
    /// # Errors
    /// Those of the first request. `NotFound`: all that it made has been deleted since.
    pub(crate) async fn replay_created(&self, caller: &Caller) -> Result<Option<Created>> {
        let Some(row) = self.first_request(caller).await? else {
            return Ok(None);
        };
        let ids: Vec<EntityId> = row
            .answer
            .get("created")
            .and_then(Json::as_array)
            .map(|ids| ids.iter().filter_map(|id| id.as_str()?.parse().ok()).collect())
            .unwrap_or_default();
        let joined = self.join_first(caller, &row).await;
        let rows = self.store.entities(&ids).await?;
        let left: Vec<_> = rows.into_iter().filter(|row| !row.hidden).collect();
        // An entity that was shown as created stays, also when its operation failed later: so does the answer.
        let operation = match joined {
            Ok(operation) => operation,
            Err(error) if left.is_empty() => return Err(error),
            Err(_) => None,
        };
        if left.is_empty() {
            let message = "what was made with this idempotency key has been deleted since";
            return Err(EngineError::new(FailureKind::NotFound, message));
        }
        let found = self.show_all(caller, left).await?;
        Ok(Some(Created::of(found, operation, true)))
    }

    /// The answer to a change or an action that was asked for before.
    pub(crate) async fn replay_done(self: &Arc<Self>, caller: &Caller) -> Result<Option<Done>> {
        let Some(row) = self.first_request(caller).await? else {
            return Ok(None);
        };
        let operation = self.join_first(caller, &row).await?;
        let id = row.answer.get("entity").and_then(Json::as_str);
        let entity = match id.and_then(|id| id.parse::<EntityId>().ok()) {
            Some(id) => crate::policy::visible(caller, self.store.entity(&id).await?),
            None => None,
        };
        let found = match entity {
            Some(entity) => Some(self.show(caller, entity).await?),
            None => None,
        };
        Ok(Some(Done {
            found,
            operation,
            mixin: self.made_mixin(caller, row.operation).await,
        }))
    }

    /// The id of an upload that was asked for before.
    pub(crate) async fn replay_upload(&self, caller: &Caller) -> Result<Option<Uuid>> {
        let first = self.first_request(caller).await?;
        Ok(first.and_then(|row| row.answer.get("upload")?.as_str()?.parse().ok()))
    }

    /// The answer to a delete that was asked for before.
    pub(crate) async fn replay_deleted(&self, caller: &Caller) -> Result<Option<Deleted>> {
        let Some(row) = self.first_request(caller).await? else {
            return Ok(None);
        };
        let operation = self.join_first(caller, &row).await?;
        let entities = row.answer.get("deleted").and_then(Json::as_u64).unwrap_or_default();
        Ok(Some(Deleted {
            entities: usize::try_from(entities).unwrap_or_default(),
            operation,
        }))
    }
}
