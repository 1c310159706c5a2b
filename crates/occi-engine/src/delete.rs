//! Deleting entities (GFD.223, sections 5.5.4 and 5.6.4).
//!
//! An accepted DELETE hides the entity at once. What runs on it is told to stop and ends first; then the backend removes
//! what there is. If that fails for good the entity comes back with a message.

use crate::create::unsupported;
use crate::engine::{Engine, Inner};
use crate::operation::{Intent, Task};
use crate::plan::{Admitted, Plan, Request, TRIES, lost_key, restless};
use crate::view::is_seen;
use crate::{Caller, Deleted, EngineError, FailureKind, Precondition, Result, Selection, Where, place, policy};
use occi_backend::names;
use occi_model::EntityId;
use occi_store::{Change, EntityRow, Require, Write};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::time::Instant;
use uuid::Uuid;

impl Engine {
    /// Removes an entity, its links and the links to it.
    ///
    /// # Errors
    /// `Conflict`: a backend's link leads to it (an attached storage, a used network). `Unsupported`: its backend cannot.
    pub async fn delete(&self, caller: &Caller, path: &str, precondition: &Precondition) -> Result<Deleted> {
        let inner = &self.inner;
        if let Some(replay) = inner.replay_deleted(caller).await? {
            return Ok(replay);
        }
        let began = Instant::now();
        for _ in 0..TRIES {
            let row = inner.changeable_at(caller, path, precondition).await?;
            let project = row.project.clone();
            let path = row.path.clone();
            if let Some(deleted) = inner.delete_rows(caller, vec![row], &project, &path, began).await? {
                return Ok(deleted);
            }
        }
        Err(restless(path))
    }

    /// Removes the members of a kind's collection or of an unbound path, `only` these paths if given; takes the members
    /// of a mixin's collection out of it.
    ///
    /// # Errors
    /// As [`Engine::delete`], for the first member that refuses: then nothing is removed. `NotFound`: a path that is not in
    /// the collection.
    pub async fn delete_collection(
        &self,
        caller: &Caller,
        at: &Where,
        selection: &Selection,
        only: Option<Vec<String>>,
    ) -> Result<Deleted> {
        let inner = &self.inner;
        if let Where::Mixin(mixin) = at {
            let mixin = mixin.clone();
            let entities = self.dissociate_counted(caller, &mixin, only).await?;
            return Ok(Deleted {
                entities,
                operation: None,
            });
        }
        if let Some(replay) = inner.replay_deleted(caller).await? {
            return Ok(replay);
        }
        let model = inner.model_for(caller).await?;
        let path = inner.path_of(at);
        let began = Instant::now();
        for _ in 0..TRIES {
            let mut rows = inner.members(caller, &model, at, selection).await?;
            if let Some(only) = &only {
                let wanted: HashSet<_> = only.iter().map(|path| place::of_entity(path)).collect();
                rows.retain(|row| wanted.contains(&row.path));
                if let Some(missing) = wanted.iter().find(|path| !rows.iter().any(|row| row.path == **path)) {
                    return Err(match inner.seen_at(caller, missing).await {
                        Ok(seen) if !policy::is_own(caller, &seen) => policy::only_shown(&seen),
                        _ => policy::not_found(missing),
                    });
                }
            }
            for row in &rows {
                policy::may_change_row(caller, row)?;
            }
            let project = caller.effective_project();
            if let Some(deleted) = inner.delete_rows(caller, rows, project, &path, began).await? {
                return Ok(deleted);
            }
        }
        Err(restless(&path))
    }
}

impl Inner {
    /// Deletes these entities, all or none; `began` is when that was asked for. None: something changed since they were
    /// read.
    async fn delete_rows(
        self: &std::sync::Arc<Self>,
        caller: &Caller,
        rows: Vec<EntityRow>,
        project: &str,
        path: &str,
        began: Instant,
    ) -> Result<Option<Deleted>> {
        let several = rows.len() > 1;
        let going: HashSet<EntityId> = rows.iter().map(|row| row.id.clone()).collect();
        // What a resource of the request owns goes with it.
        let (with_source, mut alone): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|row| row.source.as_ref().is_some_and(|source| going.contains(source)));
        // Who uses goes before what is used.
        let mut users: HashMap<EntityId, Vec<EntityId>> = HashMap::new();
        for link in &with_source {
            if let (Some(source), Some(target)) = (&link.source, &link.target_id) {
                users.entry(target.clone()).or_default().push(source.clone());
            }
        }
        alone.sort_by_key(|row| (users.contains_key(&row.id), row.seq));
        let entities = alone.len() + with_source.len();
        let mut plan = Plan::default();
        let mut removed_by: HashMap<EntityId, Uuid> = HashMap::new();
        for row in alone {
            let users = users.remove(&row.id).unwrap_or_default();
            let after = users.iter().filter_map(|user| removed_by.get(user).copied()).collect();
            let one = self.plan_delete(caller, &row, &going, after).await;
            let one = one.map_err(|error| if several { error.within(&row.path) } else { error });
            let Some(one) = self.outwait(caller, began, one).await? else {
                return Ok(None);
            };
            // The links to it are removed before it.
            if let Some(operation) = one.operations.last() {
                removed_by.insert(row.id.clone(), operation.row.id);
            }
            plan = plan.and(one);
        }
        let request = Request {
            caller,
            project,
            verb: "delete",
            path,
            answer: json!({ "deleted": entities }),
        };
        let recorded = match self.admit(&request, plan).await? {
            Admitted::Recorded(recorded) => recorded,
            Admitted::PlanAgain => return Ok(None),
            Admitted::Repeated => return self.replay_deleted(caller).await?.ok_or_else(lost_key).map(Some),
        };
        let operation = self.wait(caller, recorded).await.or_failure()?;
        Ok(Some(Deleted { entities, operation }))
    }

    /// The deletion of an entity, ready to be recorded. `going` is deleted by the same request, `after` are the operations
    /// that remove what uses it.
    async fn plan_delete(
        &self,
        caller: &Caller,
        row: &EntityRow,
        going: &HashSet<EntityId>,
        mut after: Vec<Uuid>,
    ) -> Result<Plan> {
        let owned = self.store.links_of(std::slice::from_ref(&row.id)).await?;
        let mut loose = Vec::new();
        let mut users = Vec::new();
        let mut carried = Plan::default();
        let links = self.store.links_to(&row.id).await?;
        // What comes to lead to it until this is recorded is none of these.
        let but = links.iter().map(|link| link.id.clone()).collect();
        for link in links {
            let goes = going.contains(&link.id) || link.source.as_ref().is_some_and(|source| going.contains(source));
            if goes {
                continue;
            }
            if link.backend.is_none() {
                loose.push(link);
                continue;
            }
            if link.kind == *names::STORAGELINK || link.kind == *names::NETWORKINTERFACE {
                users.push(link);
                continue;
            }
            // Its backend takes it away first.
            let one = Box::pin(self.plan_delete(caller, &link, going, Vec::new())).await?;
            after.extend(one.operations.iter().map(|operation| operation.row.id));
            carried = carried.and(one);
        }
        if !users.is_empty() {
            return Err(in_use(caller, row, &users));
        }
        let mut plan = Plan {
            require: vec![
                Require::Exists(row.id.clone()),
                Require::Generation {
                    id: row.id.clone(),
                    generation: row.generation,
                },
                Require::NotTargeted {
                    id: row.id.clone(),
                    but,
                },
            ],
            ..Plan::default()
        };
        let Some(carrier) = self.carrier_for(row)? else {
            // The row takes its links along.
            plan.writes.push(Write::RemoveEntity(row.id.clone()));
            return Ok(carried.and(plan));
        };
        let here = &self.carriers[carrier];
        if !here.kind(&row.kind).is_some_and(|kind| kind.delete) {
            return Err(unsupported(here, &format!("delete entities of {}", row.kind)));
        }
        here.require_up().await?;
        if let Some(operation) = row.operation
            && let Some(open) = self.store.operation(operation).await?
            && open.entity.as_ref() != Some(&row.id)
        {
            // A link that is being made with its source: only the whole can be given up.
            return Err(self.busy(row, operation).await);
        }
        let with_it: Vec<_> = owned.iter().chain(&loose).collect();
        let mut superseded: Vec<_> = with_it
            .iter()
            .map(|link| link.operation)
            .chain([row.operation])
            .flatten()
            .collect();
        superseded.sort_unstable();
        superseded.dedup();
        let intent = Intent {
            entity: row.id.clone(),
            kind: row.kind.clone(),
            native_project: row.native_project.clone(),
            task: Task::Delete {
                links: with_it.iter().map(|link| link.id.clone()).collect(),
                superseded: superseded.clone(),
                after,
            },
        };
        let operation = self.new_operation(caller, row, intent);
        let id = operation.row.id;
        let hide = |entity: &EntityId| Write::UpdateEntity {
            id: entity.clone(),
            change: Box::new(Change {
                operation: Some(Some(id)),
                hidden: Some(true),
                ..Change::default()
            }),
            usage: None,
        };
        plan.writes
            .extend(superseded.iter().map(|earlier| Write::CancelOperation(*earlier)));
        plan.writes.extend(with_it.iter().map(|link| hide(&link.id)));
        plan.writes.push(hide(&row.id));
        plan.stops = superseded;
        plan.operations.push(operation);
        Ok(carried.and(plan))
    }
}

/// The failure for an entity to which these links lead. What the caller does not see is counted and not named.
fn in_use(caller: &Caller, row: &EntityRow, users: &[EntityRow]) -> EngineError {
    let mut seen = users.iter().filter(|link| is_seen(caller, link));
    let first = seen.next();
    let strangers = users.len() - usize::from(first.is_some()) - seen.count();
    let what = match row.kind == *names::NETWORK {
        true => "network interface",
        false => "storage link",
    };
    let strangers = match strangers {
        0 => None,
        1 => Some(format!("a {what} of another project leads to it")),
        many => Some(format!("{many} {what}s of other projects lead to it")),
    };
    let first = first.map(|link| format!("{} leads to it", link.path));
    let words: Vec<_> = first.into_iter().chain(strangers).collect();
    let message = format!("{} is in use: {}", row.path, words.join(", and "));
    EngineError::new(FailureKind::Conflict, message).with_code("in_use")
}
