//! Mixins' collections: who is in them (GFD.223, section 5.7).

use crate::change::Extent;
use crate::engine::{Engine, Inner};
use crate::plan::{Admitted, Plan, Request, TRIES, lost_key, restless};
use crate::{Caller, EngineError, FailureKind, ProjectModel, Result, Selection, Where, place, policy};
use occi_model::{EntityDraft, TypeId};
use occi_store::EntityRow;
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// What is to become of a collection.
enum Members {
    /// These too.
    With(Vec<String>),
    /// These and no others.
    Only(Vec<String>),
    /// Not these; none at all without a list.
    Without(Option<Vec<String>>),
}

impl Engine {
    /// Adds a mixin to entities, all or none.
    ///
    /// # Errors
    /// `NotFound`: an entity that is not there. `Forbidden`: the mixin does not apply to it.
    pub async fn associate(&self, caller: &Caller, mixin: &TypeId, paths: Vec<String>) -> Result<()> {
        let members = Members::With(paths);
        self.inner
            .change_members(caller, mixin, "associate", members)
            .await
            .map(drop)
    }

    /// Makes these entities the members of a mixin's collection, and no others.
    ///
    /// # Errors
    /// As [`Engine::associate`].
    pub async fn replace_members(&self, caller: &Caller, mixin: &TypeId, paths: Vec<String>) -> Result<()> {
        let members = Members::Only(paths);
        self.inner
            .change_members(caller, mixin, "replace members", members)
            .await
            .map(drop)
    }

    /// Takes these entities, or all, out of a mixin's collection. Nothing is deleted.
    ///
    /// # Errors
    /// `NotFound`: an entity that is not in the collection. `Conflict`: a template cannot be taken off, only replaced.
    pub async fn dissociate(&self, caller: &Caller, mixin: &TypeId, paths: Option<Vec<String>>) -> Result<()> {
        self.dissociate_counted(caller, mixin, paths).await.map(drop)
    }

    /// The same, and says how many.
    pub(crate) async fn dissociate_counted(
        &self,
        caller: &Caller,
        mixin: &TypeId,
        paths: Option<Vec<String>>,
    ) -> Result<usize> {
        let members = Members::Without(paths);
        self.inner.change_members(caller, mixin, "dissociate", members).await
    }
}

impl Inner {
    /// Changes a mixin's collection, whole or not at all; says of how many entities.
    async fn change_members(
        self: &Arc<Self>,
        caller: &Caller,
        mixin: &TypeId,
        verb: &str,
        members: Members,
    ) -> Result<usize> {
        if self.replay_done(caller).await?.is_some() {
            return Ok(0);
        }
        let began = Instant::now();
        'plan: for _ in 0..TRIES {
            let model = self.model_for(caller).await?;
            let Some(known) = model.registry.mixin(mixin.as_str()) else {
                return Err(EngineError::new(
                    FailureKind::NotFound,
                    format!("there is no mixin {mixin}"),
                ));
            };
            let (add, remove) = self.difference(caller, &model, mixin, &members).await?;
            let mut plan = Plan::default();
            for row in &add {
                let entity = self.show(caller, row.clone()).await?.entity;
                let draft = EntityDraft {
                    mixins: vec![mixin.clone()],
                    ..EntityDraft::default()
                };
                let change = model.registry.check_update(&entity, &draft);
                let change = change.map_err(|violation| EngineError::from(violation).within(&row.path))?;
                let one = self
                    .plan_asked(caller, &model, row, (&draft, Extent::Part), change)
                    .await;
                let Some(one) = self.outwait(caller, began, one).await? else {
                    continue 'plan;
                };
                plan = plan.and(one);
            }
            for row in &remove {
                let entity = self.show(caller, row.clone()).await?.entity;
                let change = model.registry.check_dissociation(&entity, mixin);
                let change = change.map_err(|violation| EngineError::from(violation).within(&row.path))?;
                let one = self.plan_change(caller, &model, row, change).await;
                let Some(one) = self.outwait(caller, began, one).await? else {
                    continue 'plan;
                };
                plan = plan.and(one);
            }
            let path = known.location.to_string();
            let request = Request {
                caller,
                project: caller.effective_project(),
                verb,
                path: &path,
                answer: json!({}),
            };
            let recorded = match self.admit(&request, plan).await? {
                Admitted::Recorded(recorded) => recorded,
                Admitted::PlanAgain => continue,
                Admitted::Repeated => return self.replay_done(caller).await?.ok_or_else(lost_key).map(|_| 0),
            };
            self.wait(caller, recorded).await.or_failure()?;
            return Ok(add.len() + remove.len());
        }
        Err(restless(mixin.as_str()))
    }

    /// Which entities get the mixin, and which lose it.
    async fn difference(
        &self,
        caller: &Caller,
        model: &ProjectModel,
        mixin: &TypeId,
        members: &Members,
    ) -> Result<(Vec<EntityRow>, Vec<EntityRow>)> {
        let paths = match members {
            Members::With(paths) | Members::Only(paths) | Members::Without(Some(paths)) => Some(paths),
            Members::Without(None) => None,
        };
        let mut named = Vec::new();
        let mut seen = HashSet::new();
        for path in paths.into_iter().flatten() {
            let row = self.seen_at(caller, &place::of_entity(path)).await?;
            if seen.insert(row.id.clone()) {
                named.push(row);
            }
        }
        let mut there = Vec::new();
        if !matches!(members, Members::With(_) | Members::Without(Some(_))) {
            let at = Where::Mixin(mixin.clone());
            there = self.members(caller, model, &at, &Selection::default()).await?;
            // Who is there through a mixin that depends on this one stays.
            there.retain(|row| row.mixins.contains(mixin));
        }
        let (add, remove) = match members {
            Members::With(_) => (named, Vec::new()),
            Members::Only(_) => {
                there.retain(|row| !seen.contains(&row.id));
                (named, there)
            }
            Members::Without(Some(_)) => {
                if let Some(stranger) = named.iter().find(|row| !row.mixins.contains(mixin)) {
                    let message = format!("{} is not in this collection", stranger.path);
                    return Err(EngineError::new(FailureKind::NotFound, message));
                }
                (Vec::new(), named)
            }
            Members::Without(None) => (Vec::new(), there),
        };
        for row in add.iter().chain(&remove) {
            policy::may_change_row(caller, row)?;
        }
        // Of one on which an operation runs nobody knows yet.
        let is_new = |row: &EntityRow| row.operation.is_some() || !row.mixins.contains(mixin);
        let add = add.into_iter().filter(is_new).collect();
        Ok((add, remove))
    }
}
