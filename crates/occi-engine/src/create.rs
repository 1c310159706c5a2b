//! Creating entities (GFD.223, sections 5.5.2 and 5.6.2).
//!
//! A draft is checked against the model, placed on a backend, completed with what the backend gives by default, checked by
//! the backend ([`occi_backend::Backend::admit`]) and recorded with its links in one transaction. The first backend that
//! has room gets it.

use crate::carrier::Carrier;
use crate::engine::{Engine, Inner};
use crate::inventory::link_end;
use crate::model::Offered;
use crate::operation::{Intent, Task};
use crate::plan::{Admitted, Plan, Request, TRIES, lost_key, restless};
use crate::{Caller, Created, EngineError, FailureKind, ProjectModel, Result, Where, place, policy, quota, row};
use occi_backend::{BackendError, Create, CreateLink, ErrorKind, LinkEnds, Scope, TemplateKind, names};
use occi_model::{
    Attributes, EntityDraft, EntityId, LinkEnd, NewEntity, NewLink, NewShape, Term, TypeId, builder, infrastructure,
    production, templates,
};
use occi_store::{EntityRow, Require, Write};
use serde_json::json;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// The cores of a compute of which neither the client nor a template says how many (GFD.224's default).
const CORES: i64 = 1;
/// The memory of such a compute, in GiB.
const MEMORY_GIB: f64 = 1.0;

/// Where a new entity will be.
struct Site {
    id: EntityId,
    /// The path that the client chose; else below the kind's location.
    path: Option<String>,
}

impl Engine {
    /// Makes entities, all or none: in a kind's collection, below an unbound path, or in a mixin's collection, with
    /// which they are then associated.
    ///
    /// # Errors
    /// As the model and the backend say; `QuotaExceeded`; `Conflict` if something that it needs is busy.
    pub async fn create(&self, caller: &Caller, at: &Where, mut drafts: Vec<EntityDraft>) -> Result<Created> {
        for draft in &mut drafts {
            match at {
                Where::Kind(kind) => must_be(draft, kind)?,
                Where::Mixin(mixin) => {
                    if !draft.mixins.contains(mixin) {
                        draft.mixins.push(mixin.clone());
                    }
                }
                Where::Unbound(_) => {}
                Where::Query | Where::Entity(_) => {
                    return Err(EngineError::new(FailureKind::NotAllowed, "nothing can be created here"));
                }
            }
        }
        let path = match at {
            Where::Kind(id) => self.inner.base.kind(id.as_str()).map(|kind| kind.location.to_string()),
            Where::Unbound(path) => Some(path.clone()),
            Where::Mixin(id) => Some(id.to_string()),
            Where::Query | Where::Entity(_) => None,
        };
        let sites = drafts.into_iter().map(|draft| (draft, None)).collect();
        self.inner.create(caller, &path.unwrap_or_default(), sites).await
    }

    /// Makes an entity at a path that the client chose (PUT).
    ///
    /// # Errors
    /// `Invalid`: the path is reserved, shadows a collection, does not end with an id, or the backend chooses ids itself.
    /// `Conflict`: the path or the id is taken.
    pub async fn create_at(&self, caller: &Caller, path: &str, draft: EntityDraft) -> Result<Created> {
        let model = self.inner.model_for(caller).await?;
        let path = place::of_entity(path);
        let id = chosen_id(&model, &path, &draft)?;
        self.inner
            .create(caller, &path.clone(), vec![(draft, Some((id, path)))])
            .await
    }
}

/// The draft is of the collection's kind, or of no kind yet.
fn must_be(draft: &mut EntityDraft, kind: &TypeId) -> Result<()> {
    match &draft.kind {
        Some(other) if other != kind => Err(EngineError::new(
            FailureKind::Invalid,
            format!("this is the collection of {kind}; a {other} cannot be created here"),
        )),
        _ => Ok(()),
    }
}

/// The id in a path that a client chose for a new entity.
fn chosen_id(model: &ProjectModel, path: &str, draft: &EntityDraft) -> Result<EntityId> {
    let refuse = |message: String| Err(EngineError::new(FailureKind::Invalid, message));
    if builder::is_reserved_path(path) {
        return refuse(format!("{path} belongs to the service"));
    }
    if model.registry.at_location(&format!("{path}/")).is_some() {
        return refuse(format!("{path}/ is a collection"));
    }
    let (folder, last) = path.rsplit_once('/').unwrap_or_default();
    let Ok(id) = last.parse::<EntityId>() else {
        return refuse(format!(
            "the last part of {path} becomes the id: letters, digits, '-' and '_' only, a letter or a digit first"
        ));
    };
    let Some(kind) = &draft.kind else {
        return refuse(format!(
            "there is nothing at {path}, and without a kind nothing can be created there"
        ));
    };
    let folder = format!("{folder}/");
    let mut mixins = model.registry.mixins().iter();
    if let Some(mixin) =
        mixins.find(|mixin| folder.starts_with(mixin.location.as_str()) && mixin.location.as_str() != "/")
    {
        return refuse(format!(
            "{} is the collection of {}: an entity is made elsewhere, and has the mixin or not",
            mixin.location, mixin.id
        ));
    }
    let lies_in = model
        .registry
        .kinds()
        .iter()
        .find(|other| folder.starts_with(other.location.as_str()) && other.location.as_str() != "/");
    match lies_in {
        Some(other) if other.id != *kind => refuse(format!(
            "below {} there are only entities of {}",
            other.location, other.id
        )),
        _ => Ok(id),
    }
}

/// A link that comes with a resource: its row, and what a backend is told if it carries the link out.
struct Planned {
    row: EntityRow,
    carried: Option<CreateLink>,
    /// The row of a local target.
    target: Option<EntityRow>,
}

impl Inner {
    async fn create(
        self: &Arc<Self>,
        caller: &Caller,
        path: &str,
        drafts: Vec<(EntityDraft, Option<(EntityId, String)>)>,
    ) -> Result<Created> {
        if let Some(replay) = self.replay_created(caller).await? {
            return Ok(replay);
        }
        let project = caller.effective_project();
        policy::may_change(caller, project)?;
        if drafts.is_empty() {
            return Err(EngineError::new(FailureKind::Invalid, "there is nothing to create"));
        }
        let several = drafts.len() > 1;
        let began = Instant::now();
        'plan: for _ in 0..TRIES {
            let model = self.model_for(caller).await?;
            let mut plan = Plan::default();
            let mut ids = Vec::new();
            for (index, (draft, chosen)) in drafts.iter().enumerate() {
                let site = match chosen {
                    Some((id, path)) => Site {
                        id: id.clone(),
                        path: Some(path.clone()),
                    },
                    None => Site {
                        id: (self.config.source.entity)().into(),
                        path: None,
                    },
                };
                ids.push(site.id.clone());
                let one = self.plan_create(caller, &model, draft.clone(), site).await;
                let one = one.map_err(|error| match several {
                    true => error.within(&format!("entity {}", index + 1)),
                    false => error,
                });
                let Some(one) = self.outwait(caller, began, one).await? else {
                    continue 'plan;
                };
                plan = plan.and(one);
            }
            let request = Request {
                caller,
                project,
                verb: "create",
                path,
                answer: json!({ "created": ids.iter().map(ToString::to_string).collect::<Vec<_>>() }),
            };
            let recorded = match self.admit(&request, plan).await? {
                Admitted::Recorded(recorded) => recorded,
                Admitted::PlanAgain => continue,
                Admitted::Repeated => return self.replay_created(caller).await?.ok_or_else(lost_key),
            };
            let made = recorded.made.clone();
            let is_carried_out = recorded.operation.is_some();
            let mut heard = self.wait(caller, recorded).await;
            let changed = std::mem::take(&mut heard.changed);
            let operation = heard.or_failure()?;
            let since = |id: &EntityId| changed.iter().flat_map(|rows| rows.iter()).find(|row| row.id == *id);
            let is_at_hand = !is_carried_out || caller.answers_at_once() || ids.iter().all(|id| since(id).is_some());
            let found = match is_at_hand {
                true => {
                    let rows = made.iter().map(|row| since(&row.id).unwrap_or(row).clone());
                    let (rows, links) = rows.partition(|row| ids.contains(&row.id));
                    self.show_with_links(caller, rows, links).await?
                }
                // The engine has made something of what was asked for, and goes on.
                false => self.show_all(caller, self.store.entities(&ids).await?).await?,
            };
            return Ok(Created::of(found, operation, false));
        }
        Err(restless("what the new entity needs"))
    }

    /// One entity with its links, ready to be recorded.
    async fn plan_create(
        self: &Arc<Self>,
        caller: &Caller,
        model: &ProjectModel,
        draft: EntityDraft,
        site: Site,
    ) -> Result<Plan> {
        let checked = model.registry.check_create(&draft)?;
        self.refuse_if_leaving(caller, &site).await?;
        match as_link(&checked) {
            Some((source, link)) => self.plan_link(caller, model, &source, link, site).await,
            None => self.plan_resource(caller, model, draft, checked, site).await,
        }
    }

    /// Refuses a path or an id that an accepted DELETE has not freed yet, and names its operation. What belongs to others
    /// is taken, and nothing more is said of it.
    async fn refuse_if_leaving(&self, caller: &Caller, site: &Site) -> Result<()> {
        let Some(path) = &site.path else { return Ok(()) };
        let there = [self.store.entity_at(path).await?, self.store.entity(&site.id).await?];
        let is_leaving = |row: &EntityRow| row.hidden && policy::is_own(caller, row);
        match there.into_iter().flatten().find(is_leaving) {
            Some(EntityRow {
                operation: Some(operation),
                ..
            }) => {
                let message = format!("what was at {path} is still being deleted");
                Err(EngineError::new(FailureKind::Conflict, message).with_operation(operation))
            }
            _ => Ok(()),
        }
    }

    /// A backend's refusal of a create. Where what it says to be in use is being freed by an accepted DELETE, that
    /// operation is named.
    async fn refusal(&self, error: BackendError, create: &Create) -> EngineError {
        let is_in_use = error.kind == ErrorKind::InUse;
        let error = EngineError::from(error);
        if !is_in_use {
            return error;
        }
        match self.store.deletion_freeing(&targets(create), None).await {
            Ok(Some(operation)) => error.with_operation(operation),
            Ok(None) => error,
            Err(unknown) => unknown.into(),
        }
    }

    /// Refuses a new entity that the quota of its project will not let in, before it is recorded.
    async fn check_quota(&self, row: &EntityRow) -> Result<()> {
        let used = self.store.usage(&row.project).await?;
        let project = self.store.project(&row.project).await?;
        let usage = quota::usage(&row.kind, &row.attributes);
        let checked = project.map(|project| project.quota.check(used, usage));
        Ok(checked.transpose().map(drop)?)
    }

    async fn plan_resource(
        self: &Arc<Self>,
        caller: &Caller,
        model: &ProjectModel,
        draft: EntityDraft,
        checked: NewEntity,
        site: Site,
    ) -> Result<Plan> {
        let candidates: Vec<_> = (0..self.carriers.len())
            .filter(|carrier| self.carriers[*carrier].kind(&checked.kind).is_some())
            .collect();
        if candidates.is_empty() {
            return self.plan_kept(caller, checked, site).await;
        }
        let mut refusal = None;
        for carrier in placed(model, &checked, candidates) {
            let here = &self.carriers[carrier];
            if !here.kind(&checked.kind).is_some_and(|kind| kind.create) {
                refusal.get_or_insert_with(|| unsupported(here, &format!("create entities of {}", checked.kind)));
                continue;
            }
            if site.path.is_some() && here.capabilities().assigns_ids {
                refusal.get_or_insert_with(|| {
                    EngineError::new(
                        FailureKind::Invalid,
                        format!("the backend {:?} chooses ids itself: create with POST", here.name),
                    )
                });
                continue;
            }
            if let Err(error) = here.require_up().await {
                refusal.get_or_insert(error);
                continue;
            }
            let (row, create, links) = match self.completed(caller, model, &draft, &checked, carrier, &site).await {
                Ok(completed) => completed,
                // What it links to is in another backend.
                Err(error) if error.kind == FailureKind::Conflict && error.operation.is_none() => {
                    refusal.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let scope = Scope {
                project: row.native_project.clone(),
            };
            let admitted = here.backend.admit(&scope, &create).await;
            here.learn(&admitted);
            match admitted {
                Ok(()) => return Ok(self.planned(caller, row, Some(create), links)),
                Err(error)
                    if matches!(
                        error.kind,
                        ErrorKind::CapacityExhausted | ErrorKind::TooLarge | ErrorKind::Unavailable
                    ) =>
                {
                    // How much there is of a quota is the user's to know, how much room is not.
                    self.check_quota(&row).await?;
                    // What may fit later somewhere is tried again.
                    refusal = refusal.filter(|refusal: &EngineError| !refusal.is_too_large());
                    refusal.get_or_insert_with(|| error.into());
                }
                Err(error) => return Err(self.refusal(error, &create).await),
            }
        }
        Err(refusal.unwrap_or_else(|| {
            EngineError::new(
                FailureKind::Conflict,
                "no backend has all that is asked for: templates and link targets of different backends do not go together",
            )
        }))
    }

    /// The entity as it would be made by this backend: with the templates, sizes and links that it gives by default.
    async fn completed(
        &self,
        caller: &Caller,
        model: &ProjectModel,
        draft: &EntityDraft,
        checked: &NewEntity,
        carrier: usize,
        site: &Site,
    ) -> Result<(EntityRow, Create, Vec<Planned>)> {
        let here = &self.carriers[carrier];
        let mut draft = Cow::Borrowed(draft);
        let mut checked = checked.clone();
        let carries = |mixin: &str| {
            let declared = here.kind(&checked.kind);
            declared.is_some_and(|kind| kind.mixins.iter().any(|carried| *carried == *mixin))
        };
        let names_os = checked
            .mixins
            .iter()
            .any(|mixin| model.registry.depends_on(mixin.as_str(), templates::OS_TPL));
        if carries(templates::OS_TPL)
            && !names_os
            && let Some(Some(default)) = model.default_os.get(carrier)
        {
            draft.to_mut().mixins.push(default.clone());
            checked = model.registry.check_create(&draft)?;
        }
        if self.config.strict_templates {
            refuse_other_sizes(model, &draft, &checked)?;
        }
        if checked.kind == *names::COMPUTE {
            let least = checked
                .mixins
                .iter()
                .filter_map(|mixin| model.templates.get(mixin)?.min_memory_gib);
            let memory = least.fold(MEMORY_GIB, f64::max);
            set_if_unset(&mut checked.attributes, "occi.compute.cores", CORES);
            set_if_unset(&mut checked.attributes, "occi.compute.memory", memory);
        }
        let new_links = match checked.shape {
            NewShape::Resource { ref mut links } => std::mem::take(links),
            NewShape::Link { .. } => Vec::new(),
        };
        let mut row = self.new_row_of(caller, &checked, site, Some(carrier));
        let mut links = Vec::new();
        for (index, link) in new_links.into_iter().enumerate() {
            let at = format!("links[{index}].target");
            links.push(
                self.inline_link(caller, model, &row, carrier, link)
                    .await
                    .map_err(|error| error.at(&at))?,
            );
        }
        let on_network = links.iter().any(|link| link.row.kind == *names::NETWORKINTERFACE);
        if here.capabilities().default_network && checked.kind == *names::COMPUTE && !on_network {
            links.push(self.default_interface(model, &row, carrier)?);
        }
        row.attributes = checked.attributes.clone();
        let create = Create {
            mark: row.id.clone(),
            kind: row.kind.clone(),
            os_template: template(model, &checked.mixins, TemplateKind::Os),
            resource_template: template(model, &checked.mixins, TemplateKind::Resource),
            mixins: carried_mixins(here, &checked.kind, &checked.mixins),
            attributes: told(&checked.kind, &checked.attributes),
            links: links.iter().filter_map(|link| link.carried.clone()).collect(),
            ends: None,
            bring_up: self.brings_up(&checked.kind),
        };
        self.show_beginning(&mut row);
        Ok((row, create, links))
    }

    /// Whether new entities of a kind come up by themselves.
    fn brings_up(&self, kind: &TypeId) -> bool {
        let lifecycle = self.base.lifecycle(kind.as_str());
        self.config.autostart && lifecycle.is_some_and(|lifecycle| lifecycle.bring_up.is_some())
    }

    /// The row of a new entity.
    fn new_row_of(&self, caller: &Caller, checked: &NewEntity, site: &Site, carrier: Option<usize>) -> EntityRow {
        let now_ms = self.now_ms();
        let location = self
            .base
            .kind(checked.kind.as_str())
            .map(|kind| kind.location.to_string());
        let project = caller.effective_project().to_owned();
        EntityRow {
            path: match &site.path {
                Some(path) => path.clone(),
                None => format!("{}{}", location.unwrap_or_default(), site.id),
            },
            owner: caller.principal.name.clone(),
            backend: carrier.map(|carrier| self.carriers[carrier].name.clone()),
            native_project: carrier.map(|_| project.clone()).unwrap_or_default(),
            project,
            mixins: checked.mixins.clone(),
            attributes: checked.attributes.clone(),
            state: row::state_in(&checked.kind, &checked.attributes),
            created_ms: now_ms,
            modified_ms: now_ms,
            ..row::blank(site.id.clone(), checked.kind.clone())
        }
    }

    /// A new entity is in its initial state, and says what happens.
    fn show_beginning(&self, row: &mut EntityRow) {
        if let Some(lifecycle) = self.base.lifecycle(row.kind.as_str()) {
            row.attributes.set(lifecycle.state.clone(), lifecycle.initial);
            row.attributes.set(lifecycle.message.clone(), "is being created");
            row.state = Some(lifecycle.initial.to_owned());
        }
    }

    /// A link that comes with a new resource.
    async fn inline_link(
        &self,
        caller: &Caller,
        model: &ProjectModel,
        source: &EntityRow,
        carrier: usize,
        link: NewLink,
    ) -> Result<Planned> {
        let here = &self.carriers[carrier];
        let target = self.link_target(caller, &link.target).await?;
        let target_kind = target.as_ref().map(|row| &row.kind).or(link.target.kind.as_ref());
        model.registry.check_ends(&link.kind, Some(&source.kind), target_kind)?;
        let mut row = self.link_row(source, &link, target.as_ref(), None);
        let mut carried = None;
        if row.backend.is_some() {
            let inline = here
                .kind(&source.kind)
                .is_some_and(|kind| kind.inline_links.contains(&link.kind));
            if !inline {
                let what = format!("make a {} together with a {}", link.kind.term(), source.kind.term());
                return Err(unsupported(here, &what));
            }
            let target = native_end(here, &row, target.as_ref())?;
            carried = Some(create_link(here, &row, Some(target)));
            self.show_beginning(&mut row);
        }
        Ok(Planned { row, carried, target })
    }

    /// The interface on the project's default network.
    fn default_interface(&self, model: &ProjectModel, source: &EntityRow, carrier: usize) -> Result<Planned> {
        let draft = EntityDraft {
            kind: Some(names::NETWORKINTERFACE.clone()),
            source: Some(source.path.clone()),
            target: Some("/network/default".to_owned()),
            ..EntityDraft::default()
        };
        let Some((_, link)) = as_link(&model.registry.check_create(&draft)?) else {
            return Err(EngineError::internal("an interface is no link"));
        };
        let here = &self.carriers[carrier];
        if here.kind(&link.kind).is_none() {
            return Err(unsupported(here, "make network interfaces"));
        }
        let mut row = self.link_row(source, &link, None, None);
        // Where it leads shows when the backend has made it.
        row.target = None;
        let carried = Some(create_link(here, &row, None));
        self.show_beginning(&mut row);
        Ok(Planned {
            row,
            carried,
            target: None,
        })
    }

    /// The row of a link: it belongs to whom its source belongs to, and is in the backend of its source if one carries
    /// out links of its kind. `target` is what it leads to, if that is here.
    fn link_row(
        &self,
        source: &EntityRow,
        link: &NewLink,
        target: Option<&EntityRow>,
        site: Option<Site>,
    ) -> EntityRow {
        let location = self.base.kind(link.kind.as_str()).map(|kind| kind.location.to_string());
        let is_carried = self.is_carried_somewhere(&link.kind);
        let (backend, native_project) = match is_carried {
            true => (source.backend.clone(), source.native_project.clone()),
            false => (None, String::new()),
        };
        let (id, path) = match site {
            Some(Site { id, path }) => (id, path),
            None => ((self.config.source.entity)().into(), None),
        };
        let now_ms = self.now_ms();
        EntityRow {
            path: path.unwrap_or_else(|| format!("{}{id}", location.unwrap_or_default())),
            project: source.project.clone(),
            owner: source.owner.clone(),
            visibility: source.visibility.clone(),
            backend,
            native_project,
            mixins: link.mixins.clone(),
            attributes: link.attributes.clone(),
            source: Some(source.id.clone()),
            target: Some(target.map_or_else(|| link.target.clone(), link_end)),
            target_id: target.map(|target| target.id.clone()),
            state: row::state_in(&link.kind, &link.attributes),
            created_ms: now_ms,
            modified_ms: now_ms,
            ..row::blank(id, link.kind.clone())
        }
    }

    /// The local entity that a link leads to; none for somebody else's URI.
    pub(crate) async fn link_target(&self, caller: &Caller, target: &LinkEnd) -> Result<Option<EntityRow>> {
        if !place::is_local(&target.location) {
            return Ok(None);
        }
        match self.seen_at(caller, &place::of_entity(&target.location)).await {
            Ok(row) => Ok(Some(row)),
            Err(error) if error.kind == FailureKind::NotFound => Err(EngineError::new(
                FailureKind::Invalid,
                format!("the target {} does not exist", target.location),
            )),
            Err(error) => Err(error),
        }
    }

    /// Whether any backend carries out entities of a kind; those of other kinds are the store's alone.
    pub(crate) fn is_carried_somewhere(&self, kind: &TypeId) -> bool {
        self.carriers.iter().any(|carrier| carrier.kind(kind).is_some())
    }

    /// A link between entities that exist.
    async fn plan_link(
        self: &Arc<Self>,
        caller: &Caller,
        model: &ProjectModel,
        source: &LinkEnd,
        link: NewLink,
        site: Site,
    ) -> Result<Plan> {
        let from = match self.seen_at(caller, &place::of_entity(&source.location)).await {
            Ok(row) => row,
            Err(error) if error.kind == FailureKind::NotFound => {
                let message = format!("the source {} does not exist", source.location);
                return Err(EngineError::new(FailureKind::Invalid, message).at("source"));
            }
            Err(error) => return Err(error),
        };
        policy::may_change_row(caller, &from)?;
        let to = self
            .link_target(caller, &link.target)
            .await
            .map_err(|error| error.at("target"))?;
        self.plan_link_between(caller, model, link, &from, to, site).await
    }

    /// A link to be added to a resource that exists.
    pub(crate) async fn plan_new_link(
        self: &Arc<Self>,
        caller: &Caller,
        model: &ProjectModel,
        from: &EntityRow,
        link: NewLink,
    ) -> Result<Plan> {
        let to = self.link_target(caller, &link.target).await?;
        let site = Site {
            id: (self.config.source.entity)().into(),
            path: None,
        };
        self.plan_link_between(caller, model, link, from, to, site).await
    }

    async fn plan_link_between(
        self: &Arc<Self>,
        caller: &Caller,
        model: &ProjectModel,
        link: NewLink,
        from: &EntityRow,
        to: Option<EntityRow>,
        site: Site,
    ) -> Result<Plan> {
        let target_kind = to.as_ref().map(|row| &row.kind).or(link.target.kind.as_ref());
        model.registry.check_ends(&link.kind, Some(&from.kind), target_kind)?;
        policy::may_bear(model, &from.path, &from.project, &link.mixins)?;
        let chosen = site.path.is_some();
        let mut row = self.link_row(from, &link, to.as_ref(), Some(site));
        row.owner.clone_from(&caller.principal.name);
        let mut require: Vec<_> = to.iter().map(|to| stays(&row, to)).collect();
        if !self.is_carried_somewhere(&link.kind) {
            require.push(Require::Exists(from.id.clone()));
            let mut plan = self.planned(caller, row, None, Vec::new());
            plan.require.append(&mut require);
            return Ok(plan);
        }
        let Some(carrier) = self.carrier_for(from)? else {
            return Err(EngineError::new(
                FailureKind::Conflict,
                format!("{} is in no backend that could make a {}", from.path, link.kind.term()),
            ));
        };
        let here = &self.carriers[carrier];
        if chosen && here.capabilities().assigns_ids {
            return Err(EngineError::new(
                FailureKind::Invalid,
                format!("the backend {:?} chooses ids itself: create with POST", here.name),
            ));
        }
        here.require_up().await?;
        if let Some(operation) = from.operation {
            return Err(self.busy(from, operation).await);
        }
        let declared = here.kind(&from.kind);
        let later = declared.and_then(|kind| kind.later_links.iter().find(|(kind, _)| *kind == link.kind));
        let Some((_, states)) = later else {
            let what = format!("add a {} to a {} that exists", link.kind.term(), from.kind.term());
            return Err(unsupported(here, &what));
        };
        let state = from.state.as_deref().unwrap_or_default();
        if !states.contains(&state) {
            return Err(EngineError::new(
                FailureKind::Conflict,
                format!(
                    "a {} can be added while {} is {}, not {state}",
                    link.kind.term(),
                    from.path,
                    states.join(" or ")
                ),
            ));
        }
        let ends = LinkEnds {
            source: native_end(here, &row, Some(from))?,
            target: native_end(here, &row, to.as_ref())?,
        };
        let create = Create {
            mark: row.id.clone(),
            kind: row.kind.clone(),
            os_template: None,
            resource_template: None,
            mixins: carried_mixins(here, &link.kind, &link.mixins),
            attributes: told(&link.kind, &link.attributes),
            links: Vec::new(),
            ends: Some(ends),
            bring_up: self.brings_up(&link.kind),
        };
        let scope = Scope {
            project: row.native_project.clone(),
        };
        let admitted = here.backend.admit(&scope, &create).await;
        here.learn(&admitted);
        if let Err(error) = admitted {
            return Err(self.refusal(error, &create).await);
        }
        require.extend([Require::Exists(from.id.clone()), Require::Idle(from.id.clone())]);
        self.show_beginning(&mut row);
        let mut plan = self.planned(caller, row, Some(create), Vec::new());
        plan.require.append(&mut require);
        Ok(plan)
    }

    /// A resource that only the store holds.
    async fn plan_kept(&self, caller: &Caller, checked: NewEntity, site: Site) -> Result<Plan> {
        let mut row = self.new_row_of(caller, &checked, &site, None);
        if let Some(lifecycle) = self.base.lifecycle(row.kind.as_str()) {
            let state = if self.brings_up(&checked.kind) {
                lifecycle.up
            } else {
                lifecycle.initial
            };
            row.attributes.set(lifecycle.state.clone(), state);
            row.state = Some(state.to_owned());
        }
        let mut links = Vec::new();
        if let NewShape::Resource { links: new } = checked.shape {
            for link in new {
                if self.is_carried_somewhere(&link.kind) {
                    let message = format!("{} is in no backend that could make a {}", row.path, link.kind.term());
                    return Err(EngineError::new(FailureKind::Conflict, message));
                }
                let target = self.link_target(caller, &link.target).await?;
                links.push(Planned {
                    row: self.link_row(&row, &link, target.as_ref(), None),
                    carried: None,
                    target,
                });
            }
        }
        Ok(self.planned(caller, row, None, links))
    }

    /// The writes of a new entity with its links, and its operation if a backend makes it.
    fn planned(&self, caller: &Caller, mut row: EntityRow, create: Option<Create>, links: Vec<Planned>) -> Plan {
        let mut plan = Plan::default();
        let operation = create.map(|create| {
            let intent = Intent {
                entity: row.id.clone(),
                kind: row.kind.clone(),
                native_project: row.native_project.clone(),
                task: Task::Create(Box::new(create)),
            };
            self.new_operation(caller, &row, intent)
        });
        row.operation = operation.as_ref().map(|operation| operation.row.id);
        row.untouched = self.brings_up(&row.kind);
        let open = row.operation;
        plan.require.extend(self.still_known(&row.project, &row.mixins));
        plan.writes.push(Write::InsertEntity {
            usage: quota::usage(&row.kind, &row.attributes),
            row: Box::new(row),
        });
        for Planned {
            mut row,
            carried,
            target,
        } in links
        {
            plan.require.extend(target.map(|target| stays(&row, &target)));
            plan.require.extend(self.still_known(&row.project, &row.mixins));
            row.operation = carried.and(open);
            plan.writes.push(Write::InsertEntity {
                usage: quota::usage(&row.kind, &row.attributes),
                row: Box::new(row),
            });
        }
        plan.operations.extend(operation);
        plan
    }
}

/// What the links of a new entity lead to, or a new link does.
pub(crate) fn targets(create: &Create) -> Vec<EntityId> {
    let links = create.links.iter().filter_map(|link| link.target.as_ref());
    let ends = create.ends.iter().map(|ends| &ends.target);
    links.chain(ends).map(|target| target.mark.clone()).collect()
}

/// A checked link as that, with its source; none for a resource.
fn as_link(checked: &NewEntity) -> Option<(LinkEnd, NewLink)> {
    let NewShape::Link { source, target } = &checked.shape else {
        return None;
    };
    let link = NewLink {
        kind: checked.kind.clone(),
        mixins: checked.mixins.clone(),
        attributes: checked.attributes.clone(),
        target: target.clone(),
    };
    Some((source.clone(), link))
}

/// The candidates that have the templates which the entity names.
fn placed(model: &ProjectModel, checked: &NewEntity, mut candidates: Vec<usize>) -> Vec<usize> {
    for mixin in &checked.mixins {
        if let Some(Offered { carrier, .. }) = model.templates.get(mixin) {
            candidates.retain(|candidate| candidate == carrier);
        }
    }
    candidates
}

/// Sets an attribute that nobody has set.
fn set_if_unset(attributes: &mut Attributes, name: &str, value: impl Into<occi_model::Value>) {
    if attributes.get(name).is_none() {
        attributes.set(names::attribute(name), value);
    }
}

/// The backend's name for the template of this kind among `mixins`.
pub(crate) fn template(model: &ProjectModel, mixins: &[TypeId], kind: TemplateKind) -> Option<Term> {
    let mut offered = mixins.iter().filter_map(|mixin| model.templates.get(mixin));
    offered
        .find(|offered| offered.kind == kind)
        .map(|offered| offered.term.clone())
}

/// The OCCI name of a mixin that OpenStack's interfaces call otherwise.
pub(crate) fn occi_twin(mixin: &TypeId) -> &str {
    match mixin.as_str() {
        production::OPENSTACK_PUBLIC_KEY => infrastructure::SSH_KEY,
        production::OPENSTACK_USER_DATA => infrastructure::USER_DATA,
        own => own,
    }
}

/// Those of `mixins` that a backend carries out on a kind, under their OCCI names.
pub(crate) fn carried_mixins(here: &Carrier, kind: &TypeId, mixins: &[TypeId]) -> Vec<TypeId> {
    let declared = here.kind(kind).map(|kind| kind.mixins.as_slice()).unwrap_or_default();
    declared
        .iter()
        .filter(|carried| mixins.iter().any(|mixin| **carried == *occi_twin(mixin)))
        .cloned()
        .collect()
}

/// What a backend is told of a link that comes with a resource; no target means the project's default network.
fn create_link(here: &Carrier, row: &EntityRow, target: Option<occi_backend::Target>) -> CreateLink {
    CreateLink {
        mark: row.id.clone(),
        kind: row.kind.clone(),
        mixins: carried_mixins(here, &row.kind, &row.mixins),
        attributes: told(&row.kind, &row.attributes),
        target,
    }
}

/// The end of a link that `here` carries out: a finished entity of the same backend, in the project of the link or shared
/// with it.
pub(crate) fn native_end(here: &Carrier, link: &EntityRow, end: Option<&EntityRow>) -> Result<occi_backend::Target> {
    let conflict = |message: String| EngineError::new(FailureKind::Conflict, message);
    let Some(end) = end else {
        let message = format!("the backend {:?} cannot link to somebody else's resource", here.name);
        return Err(conflict(message));
    };
    if end.backend.as_ref() != Some(&here.name) {
        return Err(conflict(format!(
            "{} is not in the backend {:?}: both ends of this link must be",
            end.path, here.name
        )));
    }
    if !policy::may_lead(&link.project, end) {
        let message = match policy::can_be_shared(end) {
            true => format!(
                "{} belongs to another project, and no operator has shared it with {:?}",
                end.path, link.project
            ),
            false => format!("{} belongs to another project: only networks can be shared", end.path),
        };
        return Err(EngineError::new(FailureKind::Forbidden, message));
    }
    let project = (end.native_project != link.native_project).then(|| end.native_project.clone());
    if project.is_some() && !here.capabilities().shared_networks {
        return Err(unsupported(here, "lead interfaces to networks of other projects"));
    }
    match (&end.native_id, end.operation) {
        (Some(_), _) => Ok(occi_backend::Target {
            project,
            ..row::target(end)
        }),
        (None, Some(operation)) => Err(conflict(format!("{} is still being made", end.path)).with_operation(operation)),
        (None, None) => Err(conflict(format!("{} could not be made: delete it", end.path))),
    }
}

/// What must hold of a link's target until the link is recorded. One of another project must be as it was read: its owner
/// may stop to share it at any time.
pub(crate) fn stays(link: &EntityRow, target: &EntityRow) -> Require {
    let id = target.id.clone();
    if target.project == link.project {
        return Require::Exists(id);
    }
    Require::Generation {
        id,
        generation: target.generation,
    }
}

/// The attributes that a backend is told: key and user data under their OCCI names, no state.
fn told(kind: &TypeId, attributes: &Attributes) -> Attributes {
    let state = names::state_attribute(kind);
    let mut told = attributes.clone();
    told.remove(state.as_str());
    told.remove(&format!("{state}.message"));
    if let Some(key) = production::public_key(attributes) {
        told.set(names::attribute(infrastructure::SSH_PUBLIC_KEY), key);
    }
    if let Some(data) = production::user_data(attributes) {
        told.set(names::attribute(infrastructure::USERDATA), data);
    }
    told
}

/// Refuses size attributes that contradict the resource template (`strict_templates`).
fn refuse_other_sizes(model: &ProjectModel, draft: &EntityDraft, checked: &NewEntity) -> Result<()> {
    let is_size = |mixin: &&TypeId| model.registry.depends_on(mixin.as_str(), templates::RESOURCE_TPL);
    let Some(size) = checked.mixins.iter().find(is_size) else {
        return Ok(());
    };
    let without = EntityDraft {
        mixins: draft.mixins.iter().filter(|mixin| !is_size(mixin)).cloned().collect(),
        ..draft.clone()
    };
    let Ok(asked) = model.registry.check_create(&without) else {
        return Ok(());
    };
    for (name, _) in &draft.attributes {
        let (asked, got) = (
            asked.attributes.get(name.as_str()),
            checked.attributes.get(name.as_str()),
        );
        if let (Some(asked), Some(got)) = (asked, got)
            && asked != got
        {
            return Err(EngineError::new(
                FailureKind::Conflict,
                format!("{name} is {asked}, but {size} says {got}: leave one of them out"),
            ));
        }
    }
    Ok(())
}

/// The failure for what a backend does not declare.
pub(crate) fn unsupported(here: &Carrier, what: &str) -> EngineError {
    EngineError::new(
        FailureKind::Unsupported,
        format!("the backend {:?} does not {what}", here.name),
    )
}
