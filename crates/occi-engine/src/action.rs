//! Actions, on one entity and on collections (GFD.223, sections 5.5.5 and 5.6.6).

use crate::create::unsupported;
use crate::engine::{Engine, Inner};
use crate::operation::{Intent, Task};
use crate::plan::{Admitted, Plan, Request, TRIES, lost_key, restless};
use crate::{
    Call, Caller, Done, EngineError, FailureKind, Precondition, ProjectModel, Result, Selection, Where, policy, quota,
    row,
};
use occi_backend::Invocation;
use occi_model::{Class, TypeId};
use occi_store::{Change, EntityRow, Require, Write};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

impl Engine {
    /// Invokes an action on an entity.
    ///
    /// # Errors
    /// `Invalid`: neither the entity's kind nor its mixins have such an action. `Unsupported`: its backend has not.
    /// `Conflict`: not in this state, or another operation is running on it.
    pub async fn act(&self, caller: &Caller, path: &str, call: Call, precondition: &Precondition) -> Result<Done> {
        let inner = &self.inner;
        if let Some(replay) = inner.replay_done(caller).await? {
            return Ok(replay);
        }
        let model = inner.model_for(caller).await?;
        let began = Instant::now();
        for _ in 0..TRIES {
            let row = inner.changeable_at(caller, path, precondition).await?;
            let action = inner.called(&model, &row, &call)?;
            let invocation = Invocation {
                parameters: model.registry.check_action(&action, &call.parameters)?,
                action,
            };
            let plan = inner.plan_act(caller, &row, &invocation, false).await;
            let Some(plan) = inner.outwait(caller, began, plan).await? else {
                continue;
            };
            let request = Request {
                caller,
                project: &row.project,
                verb: invocation.action.term(),
                path: &row.path,
                answer: json!({ "entity": row.id.to_string() }),
            };
            let recorded = match inner.admit(&request, plan).await? {
                Admitted::Recorded(recorded) => recorded,
                Admitted::PlanAgain => continue,
                Admitted::Repeated => return inner.replay_done(caller).await?.ok_or_else(lost_key),
            };
            let asked = recorded.operation;
            let operation = inner.wait(caller, recorded).await.or_failure()?;
            let mut done = inner.done(caller, &row, operation).await?;
            done.mixin = inner.made_mixin(caller, asked).await;
            return Ok(done);
        }
        Err(restless(path))
    }

    /// Invokes an action on every member of a collection; none if it is not applicable to all. Members that are already
    /// where the action leads count as done.
    ///
    /// # Errors
    /// As [`Engine::act`], for the first member that refuses.
    pub async fn act_on_collection(
        &self,
        caller: &Caller,
        at: &Where,
        selection: &Selection,
        call: Call,
    ) -> Result<Done> {
        let inner = &self.inner;
        if let Some(replay) = inner.replay_done(caller).await? {
            return Ok(replay);
        }
        let model = inner.model_for(caller).await?;
        let began = Instant::now();
        'plan: for _ in 0..TRIES {
            let rows = inner.members(caller, &model, at, selection).await?;
            let mut plan = Plan::default();
            for row in &rows {
                policy::may_change_row(caller, row)?;
                let action = inner
                    .called(&model, row, &call)
                    .map_err(|error| error.within(&row.path))?;
                let invocation = Invocation {
                    parameters: model.registry.check_action(&action, &call.parameters)?,
                    action,
                };
                let one = inner.plan_act(caller, row, &invocation, true).await;
                let one = one.map_err(|error| error.within(&row.path));
                let Some(one) = inner.outwait(caller, began, one).await? else {
                    continue 'plan;
                };
                plan = plan.and(one);
            }
            let path = inner.path_of(at);
            let request = Request {
                caller,
                project: caller.effective_project(),
                verb: &call.term,
                path: &path,
                answer: json!({}),
            };
            let recorded = match inner.admit(&request, plan).await? {
                Admitted::Recorded(recorded) => recorded,
                Admitted::PlanAgain => continue,
                Admitted::Repeated => return inner.replay_done(caller).await?.ok_or_else(lost_key),
            };
            let operation = inner.wait(caller, recorded).await.or_failure()?;
            return Ok(Done {
                found: None,
                operation,
                mixin: None,
            });
        }
        Err(restless("the collection"))
    }
}

impl Inner {
    /// The answer to a change: the entity as it is now.
    pub(crate) async fn done(&self, caller: &Caller, row: &EntityRow, operation: Option<Uuid>) -> Result<Done> {
        let now = policy::visible(caller, self.store.entity(&row.id).await?);
        Ok(Done {
            found: match now {
                Some(now) => Some(self.show(caller, now).await?),
                None => None,
            },
            operation,
            mixin: None,
        })
    }

    /// The mixin that a finished `save` made.
    pub(crate) async fn made_mixin(
        self: &Arc<Self>,
        caller: &Caller,
        operation: Option<Uuid>,
    ) -> Option<Arc<occi_model::Mixin>> {
        let done = self.store.operation(operation?).await.ok()??;
        let id = done.result?.get("mixins")?.get(0)?.as_str()?.to_owned();
        let model = self.model_for(caller).await.ok()?;
        model.registry.mixin(&id).cloned()
    }

    /// A collection's path, for audit and operations.
    pub(crate) fn path_of(&self, at: &Where) -> String {
        match at {
            Where::Kind(id) => self
                .base
                .kind(id.as_str())
                .map_or_else(|| id.to_string(), |kind| kind.location.to_string()),
            Where::Mixin(id) => id.to_string(),
            Where::Unbound(path) | Where::Entity(path) => path.clone(),
            Where::Query => "/-/".to_owned(),
        }
    }

    /// The action that a client means, of those that the entity has.
    fn called(&self, model: &ProjectModel, row: &EntityRow, call: &Call) -> Result<TypeId> {
        let actions = model.registry.actions_of(row.kind.as_str(), &row.mixins);
        let invalid = |message: String| Err(EngineError::new(FailureKind::Invalid, message));
        let left_out = |id: &str| {
            EngineError::new(
                FailureKind::Unsupported,
                format!("no backend of this service carries out {id}"),
            )
        };
        if let Some(named) = &call.action {
            let id = match model.registry.resolve_id(named, Some(Class::Action)) {
                Ok(action) => action.id().clone(),
                Err(occi_model::ResolveError::LeftOut(id)) => return Err(left_out(id.as_str())),
                Err(error) => return invalid(error.to_string()),
            };
            if id.term() != call.term {
                return invalid(format!("the query says {:?}, the body {id}", call.term));
            }
            if !actions.iter().any(|action| action.id == id) {
                return invalid(format!("{id} is no action of {}", row.path));
            }
            return Ok(id);
        }
        let fitting: Vec<_> = actions.iter().filter(|action| action.id.term() == call.term).collect();
        match fitting.as_slice() {
            [one] => Ok(one.id.clone()),
            [] => {
                // The client's term may be anything.
                let kind = row.kind.as_str().replace('#', "/");
                let documented = format!("{kind}/action#{}", call.term);
                if model.registry.is_left_out(&documented) {
                    return Err(left_out(&documented));
                }
                invalid(format!("{} has no action {:?}", row.path, call.term))
            }
            several => Err(EngineError::new(
                FailureKind::Conflict,
                format!(
                    "{:?} may mean {}: name the one in the body",
                    call.term,
                    several
                        .iter()
                        .map(|action| action.id.as_str())
                        .collect::<Vec<_>>()
                        .join(" or ")
                ),
            )),
        }
    }

    /// The failure for an entity on which another operation is running.
    pub(crate) async fn busy(&self, row: &EntityRow, operation: Uuid) -> EngineError {
        let verb = self.open_verb(operation).await;
        EngineError::new(
            FailureKind::Conflict,
            format!("{} is busy: {verb} is running", row.path),
        )
        .with_operation(operation)
    }

    /// The verb of an open operation.
    pub(crate) async fn open_verb(&self, operation: Uuid) -> String {
        if let Some(verb) = self.waiting.verb(operation) {
            return verb.as_ref().to_owned();
        }
        match self.store.operation(operation).await {
            Ok(Some(found)) => found.verb,
            _ => "an operation".to_owned(),
        }
    }

    /// Whether the running action has every parameter of `invocation`: a resize to another size is another deed, a stop
    /// by no particular method is done by any.
    async fn does_all_of(&self, operation: Uuid, invocation: &Invocation) -> Result<bool> {
        let running = self.store.operation(operation).await?;
        let task = running
            .and_then(|row| Intent::from_row(&row).ok())
            .map(|intent| intent.task);
        Ok(matches!(task, Some(Task::Act(running)) if invocation
            .parameters
            .iter()
            .all(|(name, value)| running.parameters.get(name.as_str()) == Some(value))))
    }

    /// An action on an entity, ready to be recorded. `one_of_many`: being there already counts as done.
    async fn plan_act(
        &self,
        caller: &Caller,
        row: &EntityRow,
        invocation: &Invocation,
        one_of_many: bool,
    ) -> Result<Plan> {
        let action = &invocation.action;
        let unchanged = [Require::Generation {
            id: row.id.clone(),
            generation: row.generation,
        }];
        let touch = |row: &EntityRow| {
            let change = Change {
                touched: true,
                ..Change::default()
            };
            row.untouched.then(|| Write::UpdateEntity {
                id: row.id.clone(),
                change: Box::new(change),
                usage: None,
            })
        };
        if let Some(operation) = row.operation {
            let verb = self.open_verb(operation).await;
            let joins = self.joins(row, &verb, action)
                && match verb.as_str() {
                    // The first one joins a creation, what follows waits for its end.
                    "create" => row.untouched,
                    _ => self.does_all_of(operation, invocation).await?,
                };
            if !joins {
                return Err(self.busy(row, operation).await);
            }
            return Ok(Plan {
                writes: touch(row).into_iter().collect(),
                joins: vec![operation],
                ..Plan::default()
            });
        }
        let state = row.state.as_deref().unwrap_or_default();
        let lifecycle = self.base.lifecycle(row.kind.as_str());
        let declared = match self.carrier_for(row)? {
            Some(carrier) => {
                let here = &self.carriers[carrier];
                let Some(declared) = here.kind(&row.kind).and_then(|kind| kind.action(action)) else {
                    return Err(unsupported(here, &format!("carry out {action}")));
                };
                if let Some(method) = invocation.method()
                    && !declared.methods.is_empty()
                    && !declared.methods.iter().any(|one| one.method == method)
                {
                    return Err(unsupported(here, &format!("carry out {} by {method}", action.term())));
                }
                Some((here, declared))
            }
            None => None,
        };
        let leads = lifecycle.and_then(|lifecycle| lifecycle.transition(state, action));
        let applicable = (lifecycle.is_none() || leads.is_some())
            && declared.is_none_or(|(_, declared)| declared.states.contains(&state));
        if !applicable {
            let there = lifecycle.is_some_and(|lifecycle| lifecycle.target(action) == Some(state));
            let first = row.untouched && lifecycle.and_then(|lifecycle| lifecycle.bring_up.as_ref()) == Some(action);
            if there && (first || one_of_many) {
                return Ok(Plan {
                    require: unchanged.into(),
                    writes: touch(row).into_iter().collect(),
                    ..Plan::default()
                });
            }
            return Err(EngineError::new(
                FailureKind::Conflict,
                format!("{} is not applicable while {} is {state}", action.term(), row.path),
            ));
        }
        let mut change = Change {
            touched: true,
            ..Change::default()
        };
        let mut plan = Plan {
            require: unchanged.into(),
            ..Plan::default()
        };
        let mut usage = None;
        match declared {
            Some((here, _)) => {
                here.require_up().await?;
                let intent = Intent {
                    entity: row.id.clone(),
                    kind: row.kind.clone(),
                    native_project: row.native_project.clone(),
                    task: Task::Act(invocation.clone()),
                };
                let operation = self.new_operation(caller, row, intent);
                change.operation = Some(Some(operation.row.id));
                let before = quota::usage(&row.kind, &row.attributes);
                usage = Some(quota::reserved(before, quota::usage_after(row, invocation)));
                let message = format!("{} is under way", action.term());
                row::show_state(&mut change, &row.kind, None, Some(&message));
                plan.require.push(Require::Idle(row.id.clone()));
                plan.operations.push(operation);
            }
            None => {
                if let Some(leads) = leads {
                    row::show_state(&mut change, &row.kind, Some(leads.to), None);
                }
            }
        }
        plan.writes.push(Write::UpdateEntity {
            id: row.id.clone(),
            change: Box::new(change),
            usage,
        });
        Ok(plan)
    }
}
