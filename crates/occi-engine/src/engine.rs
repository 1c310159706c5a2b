//! The engine itself: what it is made of, how it begins and ends.

use crate::carrier::Carrier;
use crate::console::Seats;
use crate::hot::Hot;
use crate::inventory::Scopes;
use crate::model::{Models, base, template_scheme};
use crate::operation::waiting::Waiting;
use crate::operation::{has_ended, worker};
use crate::pauses::Pauses;
use crate::{Caller, EngineConfig, EngineError, ProjectModel, Result, Stamp, Where, place, policy};
use occi_backend::Backend;
use occi_model::{EntityId, Registry, TypeId};
use occi_store::{Audit, Commit, Committed, EventQuery, OperationQuery, Store, StoreError, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{RwLock, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How long [`Engine::shutdown`] waits for workers to reach their next step.
const LAST_STEP: Duration = Duration::from_secs(10);
/// How often what is past its retention is forgotten.
const SWEEP: Duration = Duration::from_secs(600);

/// What OCCI means. Cheap to clone; all clones are one engine.
///
/// Each verb is in the module that is named after it.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: EngineConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) carriers: Vec<Carrier>,
    /// What all projects share.
    pub(crate) base: Arc<Registry>,
    pub(crate) models: Models,
    pub(crate) scopes: Scopes,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) hot: Hot,
    pub(crate) seats: Seats,
    /// Held by those who remove a project, and shared by those who bring something that only a backend keeps of it.
    pub(crate) removals: RwLock<()>,
    /// The owner of this process's leases: the node and a name that no other process of it has.
    pub(crate) node: String,
    pub(crate) stopping: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// The number of the newest event that we know of.
    pub(crate) newest: watch::Sender<i64>,
}

impl Engine {
    /// Begins: resumes the operations that an earlier process left, refreshes, listens to the backends.
    ///
    /// # Errors
    /// `Internal`, with the reason as its context: a site that is no URI, an extension that contradicts the model.
    pub async fn start(
        config: EngineConfig,
        store: Arc<dyn Store>,
        backends: Vec<(String, Arc<dyn Backend>)>,
    ) -> Result<Self> {
        TypeId::new(&template_scheme(&config.site, "os_tpl"), "x").map_err(EngineError::internal)?;
        let carriers: Vec<_> = backends
            .into_iter()
            .map(|(name, backend)| Carrier::new(name, backend))
            .collect();
        let base = Arc::new(base(&carriers, &config.extension).map_err(EngineError::internal)?);
        let stopping = CancellationToken::new();
        let inner = Arc::new(Inner {
            node: format!("{}/{}", config.node, Uuid::new_v4().simple()),
            models: Models::new((config.source.now_ms)()),
            hot: Hot::new(config.cache_bytes),
            seats: Seats::default(),
            removals: RwLock::default(),
            newest: watch::Sender::new(store.events(&EventQuery::after(i64::MAX, 1)).await?.newest),
            waiting: Arc::new(Waiting::new(stopping.clone())),
            scopes: Scopes::default(),
            tasks: TaskTracker::new(),
            config,
            store,
            carriers,
            base,
            stopping,
        });
        inner.take_over().await?;
        inner.remember_failures().await?;
        for carrier in 0..inner.carriers.len() {
            inner.tasks.spawn(worker::dispatch(inner.clone(), carrier));
            inner.tasks.spawn(inner.clone().listen(carrier));
        }
        inner.tasks.spawn(inner.clone().keep_fresh());
        inner.tasks.spawn(inner.clone().sweep());
        Ok(Self { inner })
    }

    /// Ends: workers stop at their next step and the next process goes on from there; native objects stay as they are.
    pub async fn shutdown(&self) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(LAST_STEP, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("some workers did not reach a step: their operations go on at the next start");
        }
        for carrier in &self.inner.carriers {
            carrier.backend.shutdown().await;
        }
    }

    /// The store, for accounts and authentication.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// How this engine behaves.
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// The number of the newest event that we know of, as in the head of a listing.
    pub fn newest_event(&self) -> i64 {
        self.inner.newest_event()
    }

    /// Refuses a request that names a project of which the caller is no member, or, where the caller is an operator, one
    /// that does not exist. Who is no operator does not learn which of them exist.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn enter(&self, caller: &Caller) -> Result<()> {
        let Some(project) = &caller.project else { return Ok(()) };
        policy::may_enter(caller)?;
        match caller.principal.operator && self.inner.store.project(project).await?.is_none() {
            true => Err(policy::no_project(project)),
            false => Ok(()),
        }
    }

    /// The model of the caller's project.
    ///
    /// # Errors
    /// `Forbidden`: the caller is no member of the project that the request names.
    pub async fn model(&self, caller: &Caller) -> Result<Arc<ProjectModel>> {
        self.inner.model_for(caller).await
    }

    /// The same, as the store has it now: it shows every change whose event [`Engine::newest_event`] has counted before.
    ///
    /// # Errors
    /// As [`Engine::model`].
    pub async fn model_now(&self, caller: &Caller) -> Result<Arc<ProjectModel>> {
        policy::may_enter(caller)?;
        self.inner.models.forget(Some(caller.effective_project()));
        self.inner.model_for(caller).await
    }

    /// What is at `path`: aliases are followed, empty segments dropped, `/compute` is `/compute/`.
    pub fn resolve(&self, model: &ProjectModel, path: &str) -> Where {
        place::resolve(&model.registry, path)
    }

    /// Leaves an audit record of a request that was refused, by a verb or before it reached one.
    pub async fn audit_refused(&self, caller: &Caller, verb: &str, path: &str, status: u16, message: &str) {
        let audit = Audit {
            id: (self.inner.config.source.operation)(),
            at_ms: self.inner.now_ms(),
            principal: caller.principal.name.clone(),
            project: Some(caller.effective_project().to_owned()),
            verb: verb.to_owned(),
            path: path.to_owned(),
            outcome: "refused".to_owned(),
            detail: format!("{status} {message}"),
            request: caller.request.clone(),
        };
        let commit = Commit {
            audit: vec![audit],
            ..Commit::default()
        };
        if let Err(error) = self.inner.store.commit(commit).await {
            tracing::error!(%error, "failed to write an audit record");
        }
    }

    /// Whether each backend can be used, as last seen; the error says what to do.
    pub fn health(&self) -> Vec<(String, std::result::Result<(), String>)> {
        let carriers = self.inner.carriers.iter();
        carriers
            .map(|carrier| (carrier.name.clone(), carrier.health()))
            .collect()
    }

    /// A look at a hot entity that asks neither the store nor an engine: `None` means "retrieve it", never "absent".
    pub fn peek(&self, caller: &Caller, path: &str) -> Option<Stamp> {
        let usable = |carrier: usize| self.inner.carriers.get(carrier).is_some_and(Carrier::is_reached);
        self.inner.hot.look(&caller.principal, path, usable)
    }
}

impl Inner {
    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        (self.config.source.now_ms)()
    }

    /// The time after `pause`.
    pub(crate) fn ms_in(&self, pause: Duration) -> i64 {
        let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        self.now_ms().saturating_add(pause)
    }

    /// The backend of this name, by its place in the list.
    pub(crate) fn carrier_named(&self, name: &str) -> Option<usize> {
        self.carriers.iter().position(|carrier| carrier.name == name)
    }

    /// There may be an operation to claim.
    pub(crate) fn ring(&self, backend: Option<&str>) {
        if let Some(carrier) = backend.and_then(|name| self.carrier_named(name)) {
            self.carriers[carrier].bell.notify_one();
        }
    }

    /// An event of this number has happened.
    pub(crate) fn told(&self, event: i64) {
        self.newest.send_if_modified(|newest| {
            let is_newer = event > *newest;
            *newest = event.max(*newest);
            is_newer
        });
    }

    /// The number of the newest event that we know of.
    pub(crate) fn newest_event(&self) -> i64 {
        *self.newest.borrow()
    }

    /// Carries out one transaction. What is remembered of its entities is forgotten before this returns, and everything where
    /// nobody knows what it has written.
    pub(crate) async fn commit(&self, commit: Commit) -> std::result::Result<Committed, StoreError> {
        let mut touched: Vec<EntityId> = Vec::new();
        let mut changed_models = Vec::new();
        let mut removes_mixins = false;
        for write in &commit.writes {
            match write {
                Write::InsertEntity { row, .. } => touched.extend(row.source.clone()),
                Write::UpdateEntity { id, .. } => touched.push(id.clone()),
                Write::RemoveEntity(id) => {
                    touched.push(id.clone());
                    // What goes with it, and the sources of links to it.
                    if let Ok(Some(row)) = self.store.entity(id).await {
                        touched.extend(row.source);
                        let links = self.store.links_of(std::slice::from_ref(id)).await.unwrap_or_default();
                        touched.extend(links.into_iter().map(|link| link.id));
                        let links = self.store.links_to(id).await.unwrap_or_default();
                        touched.extend(
                            links
                                .into_iter()
                                .flat_map(|link| [Some(link.id), link.source])
                                .flatten(),
                        );
                    }
                }
                Write::RemoveUserMixin { .. } => removes_mixins = true,
                Write::ModelChanged(project) => changed_models.push(project.clone()),
                _ => {}
            }
        }
        let unforgotten = self.hot.write();
        let committed = self.store.commit(commit).await;
        let outcome = match &committed {
            Ok(_) => "ok",
            Err(StoreError::Refused(_)) => "refused",
            Err(_) => "failed",
        };
        metrics::counter!("occid_commits_total", "outcome" => outcome).increment(1);
        // One that failed may have been carried out.
        if outcome != "refused" {
            for project in changed_models {
                self.models.forget(project.as_deref());
            }
        }
        match &committed {
            Ok(committed) if !removes_mixins => {
                unforgotten.forget(touched.iter().chain(committed.generations.keys()));
            }
            Err(StoreError::Refused(_)) => unforgotten.forget([]),
            _ => drop(unforgotten),
        }
        // Who hears of it sees it.
        if let Ok(committed) = &committed {
            self.told(committed.event);
        }
        committed
    }

    /// The same, and waits while the database is full or away.
    pub(crate) async fn commit_patiently(
        &self,
        commit: Commit,
        patience: Duration,
    ) -> std::result::Result<Committed, StoreError> {
        let began = Instant::now();
        let mut pauses = Pauses::spread(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            match self.commit(commit.clone()).await {
                Err(StoreError::Full(_) | StoreError::Failed(_))
                    if began.elapsed() < patience && !self.stopping.is_cancelled() =>
                {
                    tokio::time::sleep(pauses.next()).await;
                }
                other => return other,
            }
        }
    }

    /// Takes over what an earlier process of this node left: its leases end now, and who waits for its operations later
    /// finds them.
    async fn take_over(&self) -> Result<()> {
        let query = OperationQuery {
            open: true,
            limit: u32::MAX,
            ..OperationQuery::default()
        };
        let ours = format!("{}/", self.config.node);
        let mut parents = Vec::new();
        for row in self.store.operations(&query).await? {
            debug_assert!(!has_ended(row.state), "only open ones were asked for");
            self.waiting.opened(row.id, &row.verb);
            if row.entity.is_none() {
                parents.push(row.id);
            }
            if row.lease_owner.as_ref().is_some_and(|owner| owner.starts_with(&ours)) {
                let release = Commit {
                    writes: vec![Write::ReleaseOperation(row.id)],
                    ..Commit::default()
                };
                self.commit(release).await?;
            }
        }
        for parent in parents {
            self.settle(parent).await;
        }
        Ok(())
    }

    /// Learns which of the operations that were opened here have ended elsewhere, and ends those of collections whose parts
    /// have ended while nobody could write that down.
    async fn catch_up(&self) {
        for operation in self.waiting.all() {
            self.hear(operation).await;
        }
        let open = OperationQuery {
            open: true,
            limit: u32::MAX,
            ..OperationQuery::default()
        };
        match self.store.operations(&open).await {
            Ok(rows) => {
                for parent in rows.iter().filter(|row| row.entity.is_none()) {
                    self.settle(parent.id).await;
                }
            }
            Err(error) => tracing::error!(%error, "failed to read the open operations"),
        }
    }

    /// Forgets what is past its retention, as long as the engine lives.
    async fn sweep(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(SWEEP) => {}
            }
            self.catch_up().await;
            let now_ms = self.now_ms();
            let before = |age: Duration| now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
            let keep = &self.config.retention;
            let swept = self
                .store
                .sweep(
                    before(keep.events),
                    keep.events_max,
                    before(keep.operations),
                    before(keep.audit),
                    now_ms,
                )
                .await;
            if let Err(error) = swept {
                tracing::error!(%error, "failed to forget what is past its retention");
            }
        }
    }
}
