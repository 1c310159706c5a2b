//! Users' mixins, made and removed through the query interface (GFD.223, section 5.4), and the templates that they have
//! saved.

use crate::create::unsupported;
use crate::engine::{Engine, Inner};
use crate::model::{Offered, template_scheme};
use crate::plan::{Admitted, Plan, Request, lost_key, restless};
use crate::{Caller, EngineError, FailureKind, Result, policy};
use occi_backend::Scope;
use occi_model::{Mixin, MixinDraft, NewMixin, Origin, TypeId};
use occi_store::{Commit, EntityQuery, Require, Role, Sees, StoreError, UserMixinRow, Write};
use serde_json::json;

impl Engine {
    /// Makes user mixins in the caller's project, all or none. The same definition again is no fault.
    ///
    /// # Errors
    /// As the model says. `Conflict`: the identifier or the location is taken. `QuotaExceeded`: the
    /// project has as many as it may have. `Unsupported`: users may not make mixins.
    pub async fn add_mixins(&self, caller: &Caller, drafts: Vec<MixinDraft>) -> Result<()> {
        let inner = &self.inner;
        self.may_have_mixins(caller)?;
        if inner.replay_done(caller).await?.is_some() {
            return Ok(());
        }
        let project = caller.effective_project();
        let owner = &caller.principal.name;
        let model = inner.model_for(caller).await?;
        let mut plan = Plan::default();
        let mut added = Vec::new();
        for (at, draft) in drafts.iter().enumerate() {
            if drafts[..at].contains(draft) {
                continue;
            }
            let NewMixin::New(mixin) = model.registry.check_mixin(draft, project, owner)? else {
                continue;
            };
            if self.is_taken(&mixin).await? {
                let message = format!("the location {} is taken: there are entities at it", mixin.location);
                return Err(EngineError::new(FailureKind::Conflict, message).at("location"));
            }
            plan.writes.push(Write::InsertUserMixin(UserMixinRow {
                id: mixin.id.clone(),
                project: project.to_owned(),
                owner: owner.clone(),
                title: mixin.title.clone(),
                location: mixin.location.clone(),
                depends: mixin.depends.clone(),
                created_ms: inner.now_ms(),
            }));
            added.push(mixin);
        }
        if !added.is_empty() {
            plan.require.push(Require::RoomForMixins {
                project: project.to_owned(),
                limit: inner.config.user_mixin_limit,
                more: u32::try_from(added.len()).unwrap_or(u32::MAX),
            });
            plan.writes.push(Write::ModelChanged(Some(project.to_owned())));
            // They must suit each other, too.
            let together = model.registry.with(added);
            together.map_err(|error| EngineError::new(error.kind.into(), error.to_string()))?;
        }
        self.record_mixins(caller, "add mixin", plan).await
    }

    /// Removes user mixins of the caller's project and all associations with them, all or none. A template that the
    /// project has saved is removed by itself.
    ///
    /// # Errors
    /// `NotFound`: an unknown mixin. `Forbidden`: it is not a user's, or another user's. `Conflict`: computes are made of
    /// the template. `Invalid`: a template beside other mixins.
    pub async fn remove_mixins(&self, caller: &Caller, ids: Vec<TypeId>) -> Result<()> {
        let is_repeated = self.inner.replay_done(caller).await?.is_some();
        let model = self.inner.model_for(caller).await?;
        let own = |id: &&TypeId| model.templates.get(*id).is_some_and(|offer| offer.is_own);
        if let Some(id) = ids.iter().find(own) {
            if ids.len() > 1 {
                let message = format!("{id} is a template, and is removed by a request of its own");
                return Err(EngineError::new(FailureKind::Invalid, message));
            }
            return self
                .remove_template(caller, id, &model.templates[id], is_repeated)
                .await;
        }
        if is_repeated {
            return Ok(());
        }
        self.may_have_mixins(caller)?;
        let mut plan = Plan::default();
        for id in ids {
            let Some(mixin) = model.registry.mixin(id.as_str()) else {
                let kind = match model.registry.category(id.as_str()) {
                    Some(_) => FailureKind::Forbidden,
                    None => FailureKind::NotFound,
                };
                return Err(EngineError::new(kind, format!("there is no user's mixin {id}")));
            };
            let Origin::User { project, owner } = &mixin.origin else {
                return Err(EngineError::new(
                    FailureKind::Forbidden,
                    format!("{id} is the provider's"),
                ));
            };
            let manages = caller.principal.role_in(project) == Some(Role::Manager);
            if *owner != caller.principal.name && !manages {
                return Err(EngineError::new(
                    FailureKind::Forbidden,
                    format!("{id} belongs to another user"),
                ));
            }
            plan.writes.push(Write::RemoveUserMixin {
                project: project.clone(),
                id,
            });
        }
        if !plan.writes.is_empty() {
            let project = caller.effective_project().to_owned();
            plan.writes.push(Write::ModelChanged(Some(project)));
        }
        self.record_mixins(caller, "remove mixin", plan).await
    }

    /// Removes a template that the caller's project has saved. It is recorded first: a repetition with the same key removes
    /// what is still there.
    async fn remove_template(&self, caller: &Caller, id: &TypeId, offer: &Offered, is_repeated: bool) -> Result<()> {
        let inner = &self.inner;
        let project = caller.effective_project();
        policy::may_change(caller, project)?;
        let here = &inner.carriers[offer.carrier];
        if !here.capabilities().removes_templates {
            return Err(unsupported(here, "remove templates"));
        }
        here.require_up().await?;
        if !is_repeated {
            let plan = Plan {
                require: vec![Require::NotAssociated {
                    project: project.to_owned(),
                    mixin: id.clone(),
                }],
                ..Plan::default()
            };
            self.record_mixins(caller, "remove template", plan).await?;
        }
        let scope = Scope {
            project: project.to_owned(),
        };
        let (inner, carrier, term) = (inner.clone(), offer.carrier, offer.term.clone());
        // Who asked may go at any time; what is no more has to be told.
        let removing = self.inner.tasks.spawn(async move {
            let removed = inner.carriers[carrier].backend.remove_template(&scope, &term).await;
            inner.models.forget(Some(&scope.project));
            removed?;
            let changed = Commit {
                writes: vec![Write::ModelChanged(Some(scope.project))],
                ..Commit::default()
            };
            inner.commit(changed).await.map(drop).map_err(EngineError::from)
        });
        removing.await.map_err(EngineError::internal)?
    }

    fn may_have_mixins(&self, caller: &Caller) -> Result<()> {
        if !self.inner.config.user_mixins {
            let message = "this service lets users make no mixins";
            return Err(EngineError::new(FailureKind::Unsupported, message));
        }
        policy::may_change(caller, caller.effective_project())
    }

    /// Whether entities are at or below the location.
    async fn is_taken(&self, mixin: &Mixin) -> Result<bool> {
        let location = mixin.location.as_str();
        if self
            .inner
            .store
            .entity_at(location.trim_end_matches('/'))
            .await?
            .is_some()
        {
            return Ok(true);
        }
        let below = EntityQuery {
            below: Some(location.to_owned()),
            limit: 1,
            ..EntityQuery::new(Sees::All)
        };
        Ok(!self.inner.store.select(&below).await?.is_empty())
    }

    async fn record_mixins(&self, caller: &Caller, verb: &str, plan: Plan) -> Result<()> {
        let project = caller.effective_project();
        let request = Request {
            caller,
            project,
            verb,
            path: "/-/",
            answer: json!({}),
        };
        let admitted = self.inner.admit(&request, plan).await;
        if !matches!(admitted, Ok(Admitted::Recorded(_))) {
            // It was planned from a model that may be an old one.
            self.inner.models.forget(Some(project));
        }
        match admitted? {
            Admitted::Recorded(_) => Ok(()),
            Admitted::PlanAgain => Err(restless("the model")),
            Admitted::Repeated => self.inner.replay_done(caller).await?.ok_or_else(lost_key).map(drop),
        }
    }
}

impl Inner {
    /// Leaves out the user mixins that have been removed from a project since they were asked for. What is given must still
    /// hold when the others are written.
    pub(crate) async fn retain_known(
        &self,
        project: &str,
        mixins: &mut Vec<TypeId>,
    ) -> std::result::Result<Option<Require>, StoreError> {
        if mixins.is_empty() {
            return Ok(None);
        }
        let users = self.store.user_mixins(Some(project)).await?;
        mixins.retain(|id| !self.is_users(id) || users.iter().any(|user| user.id == *id));
        Ok(self.still_known(project, mixins))
    }

    /// That the project still has its users' mixins among these when they come to an entity of it.
    pub(crate) fn still_known(&self, project: &str, mixins: &[TypeId]) -> Option<Require> {
        let mixins: Vec<_> = mixins.iter().filter(|id| self.is_users(id)).cloned().collect();
        (!mixins.is_empty()).then(|| Require::UserMixins {
            project: project.to_owned(),
            mixins,
        })
    }

    /// Whether a mixin is neither of the model that all projects share nor the template of a backend.
    fn is_users(&self, id: &TypeId) -> bool {
        let is_template = |parent: &&str| template_scheme(&self.config.site, parent) == id.scheme();
        self.base.mixin(id.as_str()).is_none() && !["os_tpl", "resource_tpl"].iter().any(is_template)
    }
}
