//! Changing entities: partial update and replacement (GFD.223, sections 5.5.2 and 5.5.3).
//!
//! A change has two halves. What an engine owns becomes an operation of its backend; what only the store holds is written
//! at once, or together with the outcome of that operation, so that a change is seen whole. A change of the store's half
//! alone passes while an operation is running.

use crate::carrier::Carrier;
use crate::create::{carried_mixins, native_end, occi_twin, stays, template, unsupported};
use crate::engine::{Engine, Inner};
use crate::inventory::link_end;
use crate::operation::{Amendment, Intent, Task};
use crate::plan::{Admitted, Plan, Request, TRIES, lost_key, restless};
use crate::{Caller, Done, EngineError, FailureKind, Precondition, ProjectModel, Result, place, policy, quota, row};
use occi_backend::{LinkEnds, Scope, TemplateKind};
use occi_model::{AttributeName, Class, EntityDraft, EntityId, LinkEnd, TypeId, core, templates};
use occi_store::{EntityRow, Require, Usage, Write};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// How much of an entity a request describes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What changes.
    Part,
    /// Everything.
    Whole,
}

impl Engine {
    /// Changes what the draft names (POST).
    ///
    /// # Errors
    /// As the model says. `Unsupported`: the backend cannot change that. `Conflict`: not in this state, or an operation is
    /// running on it.
    pub async fn update(
        &self,
        caller: &Caller,
        path: &str,
        draft: EntityDraft,
        precondition: &Precondition,
    ) -> Result<Done> {
        self.inner
            .change(caller, path, &draft, precondition, Extent::Part)
            .await
    }

    /// Makes the entity what the draft says (PUT). An attribute that an engine owns keeps its value where the draft leaves
    /// it out.
    ///
    /// # Errors
    /// As [`Engine::update`].
    pub async fn replace(
        &self,
        caller: &Caller,
        path: &str,
        draft: EntityDraft,
        precondition: &Precondition,
    ) -> Result<Done> {
        self.inner
            .change(caller, path, &draft, precondition, Extent::Whole)
            .await
    }
}

/// The engine's half of a change.
#[derive(Default)]
struct Half {
    change: occi_backend::Change,
    /// What has to be declared: attributes, and the parents of templates.
    needs: Vec<String>,
}

impl Inner {
    async fn change(
        self: &Arc<Self>,
        caller: &Caller,
        path: &str,
        draft: &EntityDraft,
        precondition: &Precondition,
        extent: Extent,
    ) -> Result<Done> {
        if let Some(replay) = self.replay_done(caller).await? {
            return Ok(replay);
        }
        let began = Instant::now();
        for _ in 0..TRIES {
            let model = self.model_for(caller).await?;
            let row = self.changeable_at(caller, path, precondition).await?;
            let found = self.show(caller, row.clone()).await?;
            let change = match extent {
                Extent::Part => model.registry.check_update(&found.entity, draft)?,
                Extent::Whole => {
                    let carrier = self.carrier_of(&row);
                    let declared = carrier.and_then(|carrier| self.carriers[carrier].kind(&row.kind));
                    let keeps = |name: &AttributeName| declared.is_some_and(|kind| kind.owned.contains(name));
                    model.registry.check_replace(&found.entity, draft, keeps)?
                }
            };
            let plan = self.plan_asked(caller, &model, &row, (draft, extent), change).await;
            let Some(plan) = self.outwait(caller, began, plan).await? else {
                continue;
            };
            let request = Request {
                caller,
                project: &row.project,
                verb: match extent {
                    Extent::Part => "update",
                    Extent::Whole => "replace",
                },
                path: &row.path,
                answer: json!({ "entity": row.id.to_string() }),
            };
            let recorded = match self.admit(&request, plan).await? {
                Admitted::Recorded(recorded) => recorded,
                Admitted::PlanAgain => continue,
                Admitted::Repeated => return self.replay_done(caller).await?.ok_or_else(lost_key),
            };
            let operation = self.wait(caller, recorded).await.or_failure()?;
            return self.done(caller, &row, operation).await;
        }
        Err(restless(path))
    }

    /// The change that a draft makes of an entity, ready to be recorded.
    ///
    /// While an operation runs, what is shown of the engine's need not be what stays, nor what the operation is to write
    /// of the store's: then a draft that names any of it waits or is refused also where it changes nothing that is shown.
    pub(crate) async fn plan_asked(
        self: &Arc<Self>,
        caller: &Caller,
        model: &ProjectModel,
        row: &EntityRow,
        (draft, extent): (&EntityDraft, Extent),
        change: occi_model::Change,
    ) -> Result<Plan> {
        let plan = self.plan_change(caller, model, row, change).await?;
        match row.operation {
            Some(operation)
                if plan.joins.is_empty()
                    && (self.names_engines(model, row, draft)
                        || self.names_coming(operation, draft, extent).await?) =>
            {
                Err(self.busy(row, operation).await)
            }
            _ => Ok(plan),
        }
    }

    /// Whether a draft speaks of what an open operation writes of the store's half at its end: what is written later must
    /// not be overwritten by what was asked for earlier.
    async fn names_coming(&self, operation: Uuid, draft: &EntityDraft, extent: Extent) -> Result<bool> {
        let open = self.store.operation(operation).await?;
        let intent = open.and_then(|open| Intent::from_row(&open).ok());
        let Some(Task::Update { then, .. }) = intent.map(|intent| intent.task) else {
            return Ok(false);
        };
        let coming = |name: &AttributeName| then.set.get(name.as_str()).is_some() || then.unset.contains(name);
        Ok(match extent {
            Extent::Whole => !then.is_empty(),
            Extent::Part => {
                draft.attributes.iter().any(|(name, _)| coming(name))
                    || [&then.mixins_added, &then.mixins_removed]
                        .iter()
                        .any(|mixins| mixins.iter().any(|mixin| draft.mixins.contains(mixin)))
            }
        })
    }

    /// Whether a draft speaks of what a backend carries out.
    fn names_engines(&self, model: &ProjectModel, row: &EntityRow, draft: &EntityDraft) -> bool {
        let Some(carrier) = self.carrier_of(row) else {
            return false;
        };
        let here = &self.carriers[carrier];
        let is_carried = |mixin: &TypeId| {
            let id = model.registry.resolve_id(mixin, Some(Class::Mixin));
            id.is_ok_and(|mixin| {
                let id = mixin.id();
                !carried_mixins(here, &row.kind, std::slice::from_ref(id)).is_empty()
                    || [templates::OS_TPL, templates::RESOURCE_TPL]
                        .iter()
                        .any(|parent| model.registry.depends_on(id.as_str(), parent))
            })
        };
        draft.source.is_some()
            || draft.target.is_some()
            || draft.mixins.iter().any(is_carried)
            || draft
                .attributes
                .iter()
                .any(|(name, _)| is_engines(here, model, row, name))
    }

    /// A change that the model allows, ready to be recorded.
    pub(crate) async fn plan_change(
        self: &Arc<Self>,
        caller: &Caller,
        model: &ProjectModel,
        row: &EntityRow,
        change: occi_model::Change,
    ) -> Result<Plan> {
        if change.is_empty() {
            return Ok(Plan::default());
        }
        let occi_model::Change {
            set,
            unset,
            mixins_added,
            mixins_removed,
            source,
            target,
            links,
        } = change;
        policy::may_bear(model, &row.path, &row.project, &mixins_added)?;
        let mut plan = Plan::default();
        plan.require.extend(self.still_known(&row.project, &mixins_added));
        for link in links {
            plan = plan.and(self.plan_new_link(caller, model, row, link).await?);
        }
        let source = self.new_source(caller, source.as_ref()).await?;
        let to = match &target {
            Some(target) => Some((target.clone(), self.link_target(caller, target).await?)),
            None => None,
        };
        if source.is_some() || to.is_some() {
            let source_kind = source.as_ref().map(|row| &row.kind);
            let target_kind = to
                .as_ref()
                .and_then(|(end, row)| row.as_ref().map(|row| &row.kind).or(end.kind.as_ref()));
            model.registry.check_ends(&row.kind, source_kind, target_kind)?;
        }
        let half = self
            .carriers_half(model, row, &set, &unset, &mixins_added, &mixins_removed, (&source, &to))
            .await?;
        let used = quota::usage(&row.kind, &row::changed(&row.attributes, &set, &unset));
        plan.require
            .extend(to.iter().filter_map(|(_, to)| Some(stays(row, to.as_ref()?))));
        let then = Amendment {
            set,
            unset,
            mixins_added,
            mixins_removed,
            mixins: None,
            source: source.as_ref().map(|row| row.id.clone()),
            target: to.map(|(end, row)| match row {
                Some(row) => (link_end(&row), Some(row.id)),
                None => (end, None),
            }),
        };
        plan.require.push(Require::Generation {
            id: row.id.clone(),
            generation: row.generation,
        });
        plan.require.extend(source.map(|row| Require::Exists(row.id)));
        match half {
            None if then.is_empty() => {}
            None => {
                let (_, quota) = quota::reserved(quota::usage(&row.kind, &row.attributes), used);
                plan.writes.push(Write::UpdateEntity {
                    id: row.id.clone(),
                    change: Box::new(then.into_change(&row.mixins)),
                    usage: Some((used, quota)),
                });
            }
            Some((carrier, half)) => {
                let one = self.plan_engine_change(caller, row, carrier, half, then, used).await?;
                plan = plan.and(one);
            }
        }
        Ok(plan)
    }

    /// The resource that a link is to start from.
    async fn new_source(&self, caller: &Caller, source: Option<&LinkEnd>) -> Result<Option<EntityRow>> {
        let Some(source) = source else { return Ok(None) };
        match self
            .changeable_at(caller, &place::of_entity(&source.location), &Precondition::None)
            .await
        {
            Ok(row) => Ok(Some(row)),
            Err(error) if error.kind == FailureKind::NotFound => {
                let message = format!("the source {} does not exist", source.location);
                Err(EngineError::new(FailureKind::Invalid, message).at("source"))
            }
            Err(error) => Err(error),
        }
    }

    /// What a backend has to do for a change, if anything.
    #[expect(clippy::too_many_arguments, reason = "all are parts of one change")]
    async fn carriers_half(
        &self,
        model: &ProjectModel,
        row: &EntityRow,
        set: &occi_model::Attributes,
        unset: &[AttributeName],
        added: &[TypeId],
        removed: &[TypeId],
        (source, target): (&Option<EntityRow>, &Option<(LinkEnd, Option<EntityRow>)>),
    ) -> Result<Option<(usize, Half)>> {
        let Some(carrier) = self.carrier_for(row)? else {
            return Ok(None);
        };
        let here = &self.carriers[carrier];
        let mut half = Half::default();
        for (parent, kind) in [
            (templates::OS_TPL, TemplateKind::Os),
            (templates::RESOURCE_TPL, TemplateKind::Resource),
        ] {
            let of_parent = |mixin: &&TypeId| model.registry.depends_on(mixin.as_str(), parent);
            let Some(new) = added.iter().find(of_parent) else {
                continue;
            };
            if let Some(offered) = model.templates.get(new)
                && offered.carrier != carrier
            {
                return Err(EngineError::new(
                    FailureKind::Conflict,
                    format!("{new} belongs to another backend than {}", row.path),
                ));
            }
            let (_, term) = parent.split_once('#').unwrap_or_default();
            half.needs.push(term.to_owned());
            let term = template(model, std::slice::from_ref(new), kind);
            match kind {
                TemplateKind::Os => half.change.os_template = term,
                TemplateKind::Resource => half.change.resource_template = term,
            }
        }
        // What a template sets is declared with the template, and so is what goes with the one that it replaces.
        let by_size: Vec<_> = added
            .iter()
            .chain(removed)
            .filter(|mixin| model.registry.depends_on(mixin.as_str(), templates::RESOURCE_TPL))
            .filter_map(|mixin| model.registry.mixin(mixin.as_str()))
            .flat_map(|mixin| mixin.attributes.iter().map(|attribute| attribute.name.clone()))
            .collect();
        for (name, value) in set.iter().filter(|(name, _)| is_engines(here, model, row, name)) {
            half.change.set.set(name.clone(), value.clone());
            if !by_size.contains(name) {
                half.needs.push(name.to_string());
            }
        }
        for name in unset.iter().filter(|name| is_engines(here, model, row, name)) {
            half.change.unset.push(name.clone());
            if !by_size.contains(name) {
                half.needs.push(name.to_string());
            }
        }
        half.change.mixins_added = carried_mixins(here, &row.kind, added);
        half.change.mixins_removed = carried_mixins(here, &row.kind, removed);
        if source.is_some() || target.is_some() {
            half.change.ends = Some(self.new_ends(here, row, source.as_ref(), target.as_ref()).await?);
            half.needs.extend(source.as_ref().map(|_| core::SOURCE.to_owned()));
            half.needs.extend(target.as_ref().map(|_| core::TARGET.to_owned()));
        }
        Ok((half.change != occi_backend::Change::default() || !half.needs.is_empty()).then_some((carrier, half)))
    }

    async fn new_ends(
        &self,
        here: &Carrier,
        row: &EntityRow,
        source: Option<&EntityRow>,
        target: Option<&(LinkEnd, Option<EntityRow>)>,
    ) -> Result<LinkEnds> {
        let known = async |id: Option<&EntityId>| match id {
            Some(id) => Ok::<_, EngineError>(self.store.entity(id).await?),
            None => Ok(None),
        };
        let source = match source {
            Some(source) => Some(source.clone()),
            None => known(row.source.as_ref()).await?,
        };
        let target = match target {
            Some((_, target)) => target.clone(),
            None => known(row.target_id.as_ref()).await?,
        };
        Ok(LinkEnds {
            source: native_end(here, row, source.as_ref())?,
            target: native_end(here, row, target.as_ref())?,
        })
    }

    /// The operation of the engine's half of a change; `then` is written when it is done.
    async fn plan_engine_change(
        &self,
        caller: &Caller,
        row: &EntityRow,
        carrier: usize,
        half: Half,
        then: Amendment,
        used: Usage,
    ) -> Result<Plan> {
        let here = &self.carriers[carrier];
        let Half { change, needs } = half;
        let intent = Intent {
            entity: row.id.clone(),
            kind: row.kind.clone(),
            native_project: row.native_project.clone(),
            task: Task::Update {
                change: Box::new(change.clone()),
                then: Box::new(then),
            },
        };
        if let Some(operation) = row.operation {
            let same = self.store.operation(operation).await?;
            if same.is_some_and(|open| Intent::from_row(&open).is_ok_and(|open| open == intent)) {
                return Ok(Plan {
                    joins: vec![operation],
                    ..Plan::default()
                });
            }
            return Err(self.busy(row, operation).await);
        }
        let state = row.state.as_deref().unwrap_or_default();
        let declared = here
            .kind(&row.kind)
            .map(|kind| kind.update.as_slice())
            .unwrap_or_default();
        for need in &needs {
            let Some(capability) = declared.iter().find(|one| one.what == *need) else {
                return Err(unsupported(
                    here,
                    &format!("change {need} of an existing {}", row.kind.term()),
                ));
            };
            if !capability.states.contains(&state) {
                return Err(EngineError::new(
                    FailureKind::Conflict,
                    format!(
                        "{need} can be changed while {} is {}, not {state}",
                        row.path,
                        capability.states.join(" or ")
                    ),
                ));
            }
        }
        here.require_up().await?;
        let scope = Scope {
            project: row.native_project.clone(),
        };
        let admitted = here.backend.admit_change(&scope, &row::target(row), &change).await;
        here.learn(&admitted);
        admitted?;
        let operation = self.new_operation(caller, row, intent);
        let mut shown = occi_store::Change {
            operation: Some(Some(operation.row.id)),
            ..occi_store::Change::default()
        };
        row::show_state(&mut shown, &row.kind, None, Some("is being changed"));
        let before = quota::usage(&row.kind, &row.attributes);
        Ok(Plan {
            require: vec![Require::Idle(row.id.clone())],
            writes: vec![Write::UpdateEntity {
                id: row.id.clone(),
                change: Box::new(shown),
                usage: Some(quota::reserved(before, used)),
            }],
            operations: vec![operation],
            ..Plan::default()
        })
    }
}

/// Whether an attribute is the engine's: it owns it, or carries out the mixin that brings it (a key, user data).
fn is_engines(here: &Carrier, model: &ProjectModel, row: &EntityRow, name: &AttributeName) -> bool {
    let Some(declared) = here.kind(&row.kind) else {
        return false;
    };
    let brings = |mixin: &&TypeId| {
        let registered = model.registry.mixin(mixin.as_str());
        registered.is_some_and(|mixin| mixin.attributes.iter().any(|attribute| attribute.name == *name))
    };
    let carried = |mixin: &&TypeId| declared.mixins.iter().any(|carried| *carried == *occi_twin(mixin));
    declared.owned.contains(name)
        || model
            .registry
            .mixins()
            .iter()
            .map(|mixin| &mixin.id)
            .filter(carried)
            .any(|id| brings(&id))
}
