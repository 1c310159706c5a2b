//! What a project can use: the standard's tables, as far as a backend carries them out, what the configuration adds, the
//! backends' templates as mixins, and the project's own mixins.

use crate::carrier::Carrier;
use crate::create::occi_twin;
use crate::engine::Inner;
use crate::{Caller, EngineError, Result, policy};
use occi_backend::{Catalogue, KindCapability, Scope, Template, TemplateKind};
use occi_model::{
    Category, Mixin, ModelError, Origin, Registry, Term, TypeId, core, infrastructure, production, templates,
};
use occi_store::UserMixinRow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The model as one project sees it.
#[derive(Clone, Debug)]
pub struct ProjectModel {
    /// Kinds, mixins and actions.
    pub registry: Arc<Registry>,
    /// Grows with every change of the registry, also over restarts; the ETag of the query interface.
    pub epoch: u64,
    /// Which mixin stands for which template of which backend.
    pub(crate) templates: HashMap<TypeId, Offered>,
    /// The OS template, by backend, for a compute that names none.
    pub(crate) default_os: Vec<Option<TypeId>>,
}

/// A template that a backend offers.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    /// The backend, by its place in the list.
    pub(crate) carrier: usize,
    /// What the backend calls it.
    pub(crate) term: Term,
    /// Operating system or size.
    pub(crate) kind: TemplateKind,
    /// The least memory that boots it, in GiB.
    pub(crate) min_memory_gib: Option<f64>,
    /// Whether the project has made it, by `save`.
    pub(crate) is_own: bool,
}

/// How long a catalogue is believed.
const CATALOGUE_AGE: Duration = Duration::from_secs(60);
/// How long a backend may take to give its catalogue before the model goes without it.
const CATALOGUE_WAIT: Duration = Duration::from_secs(10);

/// The models of all projects.
pub(crate) struct Models {
    known: Mutex<Known>,
    epoch: AtomicU64,
}

#[derive(Default)]
struct Known {
    built: HashMap<String, Built>,
    /// How often something has changed that a project's model is made of, for each project and for all.
    changes: HashMap<String, u64>,
    changes_of_all: u64,
    /// Whose turn it is to build a project's model. Each has its own: an engine may be long in telling one of its catalogue.
    turns: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

impl Known {
    /// The changes so far of what the model of `project` is made of.
    fn changes(&self, project: &str) -> (u64, u64) {
        let own = self.changes.get(project).copied().unwrap_or_default();
        (own, self.changes_of_all)
    }
}

#[derive(Clone)]
struct Built {
    model: Arc<ProjectModel>,
    inputs: Arc<Inputs>,
    at: Instant,
    /// The changes before the inputs were read. When there are more by now, it is not used again.
    changes: (u64, u64),
}

#[derive(PartialEq)]
struct Inputs {
    catalogues: Vec<Catalogue>,
    mixins: Vec<UserMixinRow>,
}

impl Models {
    /// No models; epochs begin at `now_ms`, so that they grow over restarts.
    pub(crate) fn new(now_ms: i64) -> Self {
        Self {
            known: Mutex::default(),
            epoch: AtomicU64::new(u64::try_from(now_ms).unwrap_or_default()),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, project: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.known().turns.entry(project.to_owned()).or_default().clone()
    }

    /// What was built last, however old.
    fn last(&self, project: &str) -> Option<Built> {
        self.known().built.get(project).cloned()
    }

    /// What was built since the last change.
    fn current(&self, project: &str) -> Option<Built> {
        let known = self.known();
        let built = known.built.get(project)?;
        (built.changes == known.changes(project)).then(|| built.clone())
    }

    /// The model of one project, or of all, has to be built anew before it is used again.
    pub(crate) fn forget(&self, project: Option<&str>) {
        let mut known = self.known();
        match project {
            Some(project) => *known.changes.entry(project.to_owned()).or_default() += 1,
            None => known.changes_of_all += 1,
        }
    }
}

/// The part of the model that all projects share.
pub(crate) fn base(carriers: &[Carrier], extension: &[Category]) -> std::result::Result<Registry, ModelError> {
    let declared = |has: &dyn Fn(&KindCapability) -> bool| {
        carriers
            .iter()
            .flat_map(|carrier| &carrier.capabilities().kinds)
            .any(has)
    };
    let sizes = declared(&|kind| kind.mixins.iter().any(|mixin| *mixin == *templates::RESOURCE_TPL));
    let carried_out = |mixin: &TypeId| {
        let twin = occi_twin(mixin);
        declared(&|kind| kind.mixins.iter().any(|mixin| *mixin == *twin))
            || (sizes && mixin.scheme() == templates::PROFILE_SCHEME)
            // Parents of a provider's zones, regions and pools: they ask nothing of a backend.
            || matches!(mixin.as_str(), production::AVAILABILITY_ZONE | production::REGION)
            || (mixin.as_str() == production::FLOATINGIPPOOL
                && declared(&|kind| kind.kind.as_str() == production::IPRESERVATION))
    };
    let mut builder = [
        &core::TABLE,
        &infrastructure::TABLE,
        &templates::TABLE,
        &templates::PROFILE,
        &production::TABLE,
    ]
    .into_iter()
    .fold(Registry::builder(), |builder, table| builder.table(table))
    .retain_kinds(|id| declared(&|kind| kind.kind == *id))
    .retain_mixins(carried_out)
    .retain_actions(|id| declared(&|kind| kind.action(id).is_some()));
    for category in extension {
        builder = match category {
            Category::Kind(kind) => builder.kind(kind.as_ref().clone()),
            Category::Mixin(mixin) => builder.mixin(mixin.as_ref().clone()),
            Category::Action(action) => builder.action(action.as_ref().clone()),
        };
    }
    builder.build()
}

impl Inner {
    /// The model that the caller sees.
    pub(crate) async fn model_for(self: &Arc<Self>, caller: &Caller) -> Result<Arc<ProjectModel>> {
        policy::may_enter(caller)?;
        self.model_of(caller.effective_project()).await
    }

    /// The model of a project. One that is a little old is given, and built anew for the next.
    pub(crate) async fn model_of(self: &Arc<Self>, project: &str) -> Result<Arc<ProjectModel>> {
        let Some(built) = self.models.current(project) else {
            return self.build(project, None).await;
        };
        if built.at.elapsed() > CATALOGUE_AGE && self.models.turn(project).try_lock().is_ok() {
            let (inner, project) = (self.clone(), project.to_owned());
            self.tasks.spawn(async move {
                if let Err(error) = inner.build(&project, Some(built.at)).await {
                    tracing::warn!(project, %error, "failed to build the model anew");
                }
            });
        }
        Ok(built.model)
    }

    /// Builds the model of a project, unless another one was built meanwhile (than that of `seen`) and is current.
    async fn build(&self, project: &str, seen: Option<Instant>) -> Result<Arc<ProjectModel>> {
        let turn = self.models.turn(project);
        let _one = turn.lock().await;
        if let Some(built) = self.models.current(project)
            && seen.is_none_or(|seen| built.at > seen)
        {
            return Ok(built.model);
        }
        let at = Instant::now();
        let before = self.models.last(project);
        let changes = self.models.known().changes(project);
        let inputs = Arc::new(Inputs {
            catalogues: self.catalogues(project, before.as_ref()).await,
            mixins: self.store.user_mixins(Some(project)).await?,
        });
        let model = match before {
            Some(before) if before.inputs == inputs => before.model,
            _ => {
                let model = self.assemble(project, &inputs).map_err(EngineError::internal)?;
                let epoch = self.models.epoch.fetch_add(1, Ordering::Relaxed) + 1;
                Arc::new(ProjectModel { epoch, ..model })
            }
        };
        let built = Built {
            model: model.clone(),
            inputs,
            at,
            changes,
        };
        self.models.known().built.insert(project.to_owned(), built);
        Ok(model)
    }

    /// The catalogues of all backends, in their order. One that cannot be had is as it was.
    async fn catalogues(&self, project: &str, before: Option<&Built>) -> Vec<Catalogue> {
        let scope = Scope {
            project: project.to_owned(),
        };
        let ask = self.carriers.iter().enumerate().map(|(place, carrier)| {
            let scope = &scope;
            async move {
                let answer = tokio::time::timeout(CATALOGUE_WAIT, carrier.backend.catalogue(scope)).await;
                match answer {
                    Ok(Ok(catalogue)) => return catalogue,
                    Ok(Err(error)) => {
                        tracing::warn!(backend.name = %carrier.name, context = error.context, "failed to read the catalogue: {error}");
                    }
                    Err(_) => tracing::warn!(backend.name = %carrier.name, "the catalogue did not come in time"),
                }
                before
                    .and_then(|before| before.inputs.catalogues.get(place).cloned())
                    .unwrap_or_default()
            }
        });
        futures::future::join_all(ask).await
    }

    fn assemble(&self, project: &str, inputs: &Inputs) -> std::result::Result<ProjectModel, ModelError> {
        let mut mixins = Vec::new();
        let mut offered = HashMap::new();
        let mut default_os = Vec::new();
        for ((place, carrier), catalogue) in self.carriers.iter().enumerate().zip(&inputs.catalogues) {
            for template in &catalogue.templates {
                if template.project.as_deref().is_some_and(|only| only != project) {
                    continue;
                }
                let id = self.template_id(template.kind, &template.term);
                if offered.contains_key(&id) {
                    tracing::warn!(%id, backend.name = %carrier.name, "another backend has a template of this name: left out");
                    continue;
                }
                mixins.push(template_mixin(id.clone(), template, carrier));
                let offer = Offered {
                    carrier: place,
                    term: template.term.clone(),
                    kind: template.kind,
                    min_memory_gib: template.min_memory_gib,
                    is_own: template.project.is_some(),
                };
                offered.insert(id, offer);
            }
            let default = catalogue.default_os.as_ref();
            let default = default.map(|term| self.template_id(TemplateKind::Os, term));
            default_os.push(default.filter(|id| offered.get(id).is_some_and(|offer| offer.carrier == place)));
        }
        mixins.extend(inputs.mixins.iter().map(user_mixin));
        // Whatever clashes with what comes before it is left out; the rest is served.
        let registry = loop {
            let error = match self.base.with(mixins.iter().cloned()) {
                Ok(registry) => break registry,
                Err(error) => error,
            };
            let Some(at) = mixins.iter().rposition(|mixin| mixin.id == error.id) else {
                return Err(error);
            };
            tracing::warn!(project, %error, "a mixin is left out of the model");
            mixins.remove(at);
        };
        offered.retain(|id, _| registry.mixin(id.as_str()).is_some());
        Ok(ProjectModel {
            registry: Arc::new(registry),
            epoch: 0,
            templates: offered,
            default_os,
        })
    }

    /// The mixin of a backend's template.
    #[expect(clippy::expect_used, reason = "the message says why it cannot happen")]
    pub(crate) fn template_id(&self, kind: TemplateKind, term: &Term) -> TypeId {
        let parent = match kind {
            TemplateKind::Os => "os_tpl",
            TemplateKind::Resource => "resource_tpl",
        };
        TypeId::new(&template_scheme(&self.config.site, parent), term.as_str())
            .expect("the site was checked at start, and a term is well formed")
    }

    /// Takes a template that was just made into the models of its project; gives its mixin.
    pub(crate) async fn adopt_template(self: &Arc<Self>, project: &str, template: &Template) -> Option<TypeId> {
        self.models.forget(template.project.as_deref());
        let id = self.template_id(template.kind, &template.term);
        let model = self.model_of(project).await.ok()?;
        if model.registry.mixin(id.as_str()).is_none() {
            tracing::warn!(%id, "a new template is not in its backend's catalogue");
        }
        Some(id)
    }
}

/// The scheme of a provider's templates.
pub(crate) fn template_scheme(site: &str, parent: &str) -> String {
    format!("{}/occi/infrastructure/{parent}#", site.trim_end_matches('/'))
}

fn template_mixin(id: TypeId, template: &Template, carrier: &Carrier) -> Mixin {
    let Template {
        kind,
        term: _,
        title,
        defaults,
        min_memory_gib: _,
        project: _,
    } = template;
    match kind {
        TemplateKind::Os => templates::os_template(id, title.as_str(), &carrier.name, defaults),
        TemplateKind::Resource => templates::resource_template(id, title.as_str(), &carrier.name, defaults),
    }
}

fn user_mixin(row: &UserMixinRow) -> Mixin {
    let UserMixinRow {
        id,
        project,
        owner,
        title,
        location,
        depends,
        created_ms: _,
    } = row;
    Mixin {
        id: id.clone(),
        title: title.clone(),
        depends: depends.clone(),
        applies: Vec::new(),
        attributes: Vec::new(),
        actions: Vec::new(),
        location: location.clone(),
        origin: Origin::User {
            project: project.clone(),
            owner: owner.clone(),
        },
    }
}
