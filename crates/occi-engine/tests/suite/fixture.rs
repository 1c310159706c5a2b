//! An engine on a store of its own, and short words for what tests say.

use futures::future::BoxFuture;
use occi_backend::layers::{self as backend, Faults, Layer, Layered};
use occi_backend::{Backend, Context, Verb, names};
use occi_backend_memory::{Config, Control, Memory};
use occi_engine::{
    Call, Caller, Created, Done, Engine, EngineConfig, EngineError, FailureKind, Found, Freshness, OperationView,
    Precondition, Principal, Selection, Wait, Where,
};
use occi_model::{Entity, EntityDraft, Input, LinkDraft, Shape, TypeId, Value};
use occi_store::{Commit, OperationQuery, Project, Quota, Role, SqliteStore, Store, Write};
use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Semaphore;

pub(crate) const PROJECT: &str = "red";
pub(crate) const NONE: Precondition = Precondition::None;

/// An engine, and hands that reach into what lies below it.
pub(crate) struct Fixture {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) control: Control,
    folder: Option<TempDir>,
}

/// What survives a crash: the store's file and the engine's objects.
pub(crate) struct Ground {
    pub(crate) folder: TempDir,
    pub(crate) memory: Config,
}

impl Ground {
    pub(crate) fn new(memory: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Some(folder.path().join("memory.json"));
        Self {
            folder,
            memory: Config { path, ..memory },
        }
    }

    /// A process that begins on this ground.
    pub(crate) async fn rise(&self, config: EngineConfig) -> Fixture {
        self.rise_with(config, |memory| memory).await
    }

    /// The same, with layers around its backend.
    pub(crate) async fn rise_with(
        &self,
        config: EngineConfig,
        layers: impl FnOnce(Arc<dyn Backend>) -> Arc<dyn Backend>,
    ) -> Fixture {
        Fixture::on(&self.folder, self.memory.clone(), config, layers).await
    }
}

/// Holds calls of some verbs on their way to an engine until a permit lets them go.
#[derive(Clone)]
pub(crate) struct Held {
    verbs: &'static [Verb],
    permits: Arc<Semaphore>,
}

impl Layer for Held {
    async fn around<'a, T, S>(&'a self, call: backend::Call<'a>, send: S) -> occi_backend::Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, occi_backend::Result<T>> + Send + Sync + 'a,
    {
        if self.verbs.contains(&call.verb) {
            self.permits.acquire().await.unwrap().forget();
        }
        send(None).await
    }
}

impl Held {
    pub(crate) fn new(verbs: &'static [Verb]) -> Self {
        let permits = Arc::new(Semaphore::new(0));
        Self { verbs, permits }
    }

    /// An engine behind it.
    pub(crate) async fn rise(&self, ground: &Ground) -> Fixture {
        let layers = |memory| -> Arc<dyn Backend> { Arc::new(Layered::new(memory, self.clone())) };
        ground.rise_with(EngineConfig::default(), layers).await
    }

    pub(crate) fn let_one_go(&self) {
        self.permits.add_permits(1);
    }
}

/// Makes the projects, unless an earlier process has.
pub(crate) async fn projects(store: &dyn Store) {
    if !store.projects().await.unwrap().is_empty() {
        return;
    }
    let writes = ["red", "blue"].map(|name| {
        Write::InsertProject(Project {
            name: name.into(),
            quota: Quota::default(),
            created_ms: 0,
        })
    });
    let commit = Commit {
        writes: writes.into(),
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
}

impl Fixture {
    pub(crate) async fn local() -> Self {
        Self::new(Config::local(), EngineConfig::default()).await
    }

    pub(crate) async fn remote() -> Self {
        Self::new(Config::remote(), EngineConfig::default()).await
    }

    pub(crate) async fn new(memory: Config, config: EngineConfig) -> Self {
        Self::faulty(memory, config, Faults::default()).await
    }

    /// One whose backend fails as planned.
    pub(crate) async fn faulty(memory: Config, config: EngineConfig, faults: Faults) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layers = |memory| -> Arc<dyn Backend> { Arc::new(Layered::new(memory, faults)) };
        let mut on = Self::on(&folder, memory, config, layers).await;
        on.folder = Some(folder);
        on
    }

    async fn on(
        folder: &TempDir,
        memory: Config,
        config: EngineConfig,
        layers: impl FnOnce(Arc<dyn Backend>) -> Arc<dyn Backend>,
    ) -> Self {
        let store = Arc::new(SqliteStore::open(folder.path().join("store.db")).unwrap());
        projects(&*store).await;
        let memory = Memory::open(memory).unwrap();
        let control = memory.control();
        let backends = vec![("memory".to_owned(), layers(Arc::new(memory)))];
        let engine = Engine::start(config, store.clone(), backends).await.unwrap();
        Self {
            engine,
            store,
            control,
            folder: None,
        }
    }

    pub(crate) async fn create(&self, draft: EntityDraft) -> Result<Created, EngineError> {
        self.create_as(&done(), draft).await
    }

    pub(crate) async fn create_as(&self, caller: &Caller, draft: EntityDraft) -> Result<Created, EngineError> {
        self.engine
            .create(caller, &Where::Unbound("/".into()), vec![draft])
            .await
    }

    /// A compute that runs.
    pub(crate) async fn compute(&self) -> Arc<Entity> {
        self.made(compute()).await
    }

    pub(crate) async fn made(&self, draft: EntityDraft) -> Arc<Entity> {
        self.create(draft).await.unwrap().entities.remove(0)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Found, EngineError> {
        self.engine.retrieve(&caller(), path).await
    }

    pub(crate) async fn seen(&self, path: &str) -> Arc<Entity> {
        self.get(path).await.unwrap().entity
    }

    pub(crate) async fn act(&self, path: &str, term: &str) -> Result<Done, EngineError> {
        self.engine.act(&done(), path, call(term), &NONE).await
    }

    pub(crate) async fn act_with(&self, path: &str, term: &str, method: &str) -> Result<Done, EngineError> {
        self.engine.act(&done(), path, call_by(term, method), &NONE).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), EngineError> {
        self.engine.delete(&done(), path, &NONE).await.map(drop)
    }

    pub(crate) async fn paths(&self, caller: &Caller, at: &Where) -> Result<Vec<String>, EngineError> {
        use futures::TryStreamExt;
        let listing = self.engine.list_paths(caller, at, &Selection::default(), None).await?;
        listing.paths.try_concat().await
    }

    /// The last operation on the entity at a path.
    pub(crate) async fn last_operation(&self) -> OperationView {
        let query = OperationQuery {
            limit: 1,
            ..OperationQuery::default()
        };
        self.engine.operations(&caller(), query).await.unwrap().remove(0)
    }

    /// Waits until nothing is open.
    pub(crate) async fn settled(&self) {
        settled(&*self.store).await;
    }
}

pub(crate) async fn settled(store: &dyn Store) {
    let open = OperationQuery {
        open: true,
        ..OperationQuery::default()
    };
    for _ in 0..3000 {
        if store.operations(&open).await.unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("open after 30 s: {:?}", store.operations(&open).await.unwrap());
}

pub(crate) fn caller_in(project: &str, role: Role, wait: Wait) -> Caller {
    let principal = Principal {
        name: format!("somebody of {project}"),
        operator: false,
        projects: vec![(project.into(), role)],
        default_project: project.into(),
    };
    Caller {
        principal: Arc::new(principal),
        project: None,
        request: "request".into(),
        wait,
        freshness: Freshness::Any,
        since: None,
        idempotency: None,
    }
}

pub(crate) fn caller() -> Caller {
    caller_in(PROJECT, Role::Member, Wait::Accepted)
}

/// A caller that waits for the outcome.
pub(crate) fn done() -> Caller {
    caller_in(PROJECT, Role::Member, Wait::Outcome(Duration::from_secs(20)))
}

/// A caller that does not wait.
pub(crate) fn soon() -> Caller {
    caller_in(PROJECT, Role::Member, Wait::Recorded)
}

pub(crate) fn blue() -> Caller {
    caller_in("blue", Role::Member, Wait::Accepted)
}

pub(crate) fn draft(kind: &TypeId, attributes: &[(&str, &str)]) -> EntityDraft {
    EntityDraft {
        kind: Some(kind.clone()),
        attributes: attributes
            .iter()
            .map(|(name, value)| (names::attribute(name), Input::Token((*value).to_owned())))
            .collect(),
        ..EntityDraft::default()
    }
}

pub(crate) fn compute() -> EntityDraft {
    draft(&names::COMPUTE, &[("occi.compute.hostname", "vm")])
}

pub(crate) fn storage() -> EntityDraft {
    draft(&names::STORAGE, &[("occi.storage.size", "2.0")])
}

pub(crate) fn network() -> EntityDraft {
    draft(&names::NETWORK, &[])
}

pub(crate) fn link(kind: &TypeId, target: &str) -> LinkDraft {
    LinkDraft {
        entity: EntityDraft {
            kind: Some(kind.clone()),
            target: Some(target.into()),
            ..EntityDraft::default()
        },
        own_location: None,
    }
}

pub(crate) fn with_links(mut draft: EntityDraft, links: Vec<LinkDraft>) -> EntityDraft {
    draft.links = links;
    draft
}

pub(crate) fn between(kind: &TypeId, source: &str, target: &str) -> EntityDraft {
    EntityDraft {
        kind: Some(kind.clone()),
        source: Some(source.into()),
        target: Some(target.into()),
        ..EntityDraft::default()
    }
}

pub(crate) fn call(term: &str) -> Call {
    Call {
        term: term.into(),
        action: None,
        parameters: Vec::new(),
    }
}

pub(crate) fn call_by(term: &str, method: &str) -> Call {
    Call {
        parameters: vec![(names::attribute("method"), Input::Quoted(method.into()))],
        ..call(term)
    }
}

pub(crate) fn at(kind: &TypeId) -> Where {
    Where::Kind(kind.clone())
}

/// An attribute as text.
pub(crate) fn shown<E: Borrow<Entity>>(entity: &E, name: &str) -> String {
    let entity = entity.borrow();
    entity.attributes.get(name).map(Value::to_string).unwrap_or_default()
}

pub(crate) fn state<E: Borrow<Entity>>(entity: &E) -> String {
    shown(entity, &format!("occi.{}.state", entity.borrow().kind.term()))
}

pub(crate) fn message<E: Borrow<Entity>>(entity: &E) -> String {
    shown(entity, &format!("occi.{}.state.message", entity.borrow().kind.term()))
}

pub(crate) fn links(entity: &Entity) -> &[Entity] {
    match &entity.shape {
        Shape::Resource { links } => links,
        Shape::Link { .. } => &[],
    }
}

pub(crate) fn terms(actions: &[TypeId]) -> Vec<&str> {
    actions.iter().map(TypeId::term).collect()
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, EngineError>, kind: FailureKind) -> EngineError {
    let error = outcome.expect_err("this is to be refused");
    assert_eq!(error.kind, kind, "{error}, {:?}", error.context);
    error
}

pub(crate) const CREATE: Verb = Verb::Create;
