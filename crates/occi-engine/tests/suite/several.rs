//! Several backends at once, and what no backend carries out.

use crate::fixture::*;
use async_trait::async_trait;
use futures::stream::BoxStream;
use occi_backend::{
    Acted, Backend, Capabilities, Catalogue, Change, Context, Create, Event, Invocation, Listing, Picture, Scope,
    Target, names,
};
use occi_backend_memory::{Config, Control, Memory};
use occi_engine::{Call, Engine, EngineConfig, FailureKind, Selection, Where};
use occi_model::{
    Action, AttributeDefinition, Category, EntityDraft, Input, Kind, Mixin, Origin, TypeId, ValueType, core,
};
use occi_store::{SqliteStore, Store};
use std::sync::Arc;
use tempfile::TempDir;

struct Two {
    engine: Engine,
    store: Arc<SqliteStore>,
    first: Control,
    second: Control,
    _folder: TempDir,
}

async fn two(first: Config, second: Config, config: EngineConfig) -> Two {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("store.db")).unwrap());
    projects(&*store).await;
    let (one, other) = (Memory::open(first).unwrap(), Memory::open(second).unwrap());
    let (first, second) = (one.control(), other.control());
    let backends: Vec<(String, Arc<dyn Backend>)> =
        vec![("one".into(), Arc::new(one)), ("two".into(), Arc::new(other))];
    let engine = Engine::start(config, store.clone(), backends).await.unwrap();
    Two {
        engine,
        store,
        first,
        second,
        _folder: folder,
    }
}

impl Two {
    async fn create(&self, draft: EntityDraft) -> Result<Arc<occi_model::Entity>, occi_engine::EngineError> {
        let root = Where::Unbound("/".into());
        let made = self.engine.create(&done(), &root, vec![draft]).await?;
        Ok(made.entities[0].clone())
    }

    async fn backend_of(&self, entity: &occi_model::Entity) -> String {
        self.store.entity(&entity.id).await.unwrap().unwrap().backend.unwrap()
    }

    async fn paths(&self, at: &Where) -> Vec<String> {
        use futures::TryStreamExt;
        let listing = self
            .engine
            .list_paths(&caller(), at, &Selection::default(), None)
            .await
            .unwrap();
        listing.paths.try_concat().await.unwrap()
    }
}

#[tokio::test]
async fn what_never_fits_here_may_fit_there_and_is_refused_for_good_where_it_fits_nowhere() {
    let of = |gib| Config {
        memory_gib: Some(gib),
        ..Config::local()
    };
    let on = two(of(1.0), of(4.0), EngineConfig::default()).await;
    let sized = |gib| draft(&names::COMPUTE, &[("occi.compute.memory", gib)]);
    let large = on.create(sized("4.0")).await.unwrap();
    assert_eq!(on.backend_of(&large).await, "two");
    // There may be room again.
    refused(on.create(sized("2.0")).await, FailureKind::Unavailable);
    let error = refused(on.create(sized("5.0")).await, FailureKind::Invalid);
    assert!(
        error.message.contains("at most") && error.retry_after.is_none(),
        "{error:?}"
    );
    on.first.set_down(true);
    refused(on.create(sized("5.0")).await, FailureKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_backend_that_has_room_gets_it() {
    let small = Config {
        memory_gib: Some(1.0),
        ..Config::local()
    };
    let on = two(small, Config::local(), EngineConfig::default()).await;
    let first = on.create(compute()).await.unwrap();
    let second = on.create(compute()).await.unwrap();
    assert_eq!(on.backend_of(&first).await, "one");
    assert_eq!(on.backend_of(&second).await, "two");
    on.first.set_down(true);
    let third = on.create(storage()).await;
    let third = match third {
        Ok(third) => third,
        // The engine is down and nobody has noticed yet.
        Err(error) => {
            assert_eq!(error.kind, FailureKind::Unavailable);
            on.create(storage()).await.unwrap()
        }
    };
    assert_eq!(on.backend_of(&third).await, "two");
    let computes = on.paths(&at(&names::COMPUTE)).await;
    assert_eq!(
        computes,
        [first.location.as_str(), second.location.as_str()],
        "a dead backend fails no listing"
    );
    let listing = on
        .engine
        .list(&caller(), &at(&names::COMPUTE), &Selection::default(), None, |_| {
            None::<()>
        })
        .await
        .unwrap();
    assert_eq!(listing.head.stale.map(|(_, names)| names), Some(vec!["one".to_owned()]));
    assert_eq!(on.second.count(PROJECT, &names::COMPUTE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_an_engine_has_both_ends_in_it() {
    let small = Config {
        memory_gib: Some(1.0),
        ..Config::local()
    };
    let on = two(small, Config::local(), EngineConfig::default()).await;
    let disk = on.create(storage()).await.unwrap();
    on.create(compute()).await.unwrap();
    let far = on.create(compute()).await.unwrap();
    assert_eq!(
        (on.backend_of(&disk).await, on.backend_of(&far).await),
        ("one".into(), "two".into())
    );
    refused(
        on.create(between(&names::STORAGELINK, &far.location, &disk.location))
            .await,
        FailureKind::Conflict,
    );
    let mut foreign = between(&names::STORAGELINK, &far.location, "http://example.com/disk");
    foreign.target_kind = Some(names::STORAGE.clone());
    refused(on.create(foreign).await, FailureKind::Conflict);
    // The first has no room and the disk is there.
    let with_disk = with_links(compute(), vec![link(&names::STORAGELINK, &disk.location)]);
    refused(on.create(with_disk).await, FailureKind::Unavailable);
}

/// An engine that does not come to telling one project of its templates.
struct Deaf {
    inner: Memory,
    to: &'static str,
    asked: tokio::sync::Notify,
}

#[async_trait]
impl Backend for Deaf {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    async fn catalogue(&self, scope: &Scope) -> occi_backend::Result<Catalogue> {
        if scope.project == self.to {
            self.asked.notify_one();
            std::future::pending::<()>().await;
        }
        self.inner.catalogue(scope).await
    }
    async fn health(&self) -> occi_backend::Result<()> {
        self.inner.health().await
    }
    async fn admit(&self, scope: &Scope, create: &Create) -> occi_backend::Result<()> {
        self.inner.admit(scope, create).await
    }
    async fn list(&self, scope: &Scope, kind: &TypeId) -> occi_backend::Result<Listing> {
        self.inner.list(scope, kind).await
    }
    async fn find(&self, scope: &Scope, target: &Target) -> occi_backend::Result<Option<Picture>> {
        self.inner.find(scope, target).await
    }
    async fn create(&self, context: &Context, create: &Create) -> occi_backend::Result<Vec<Picture>> {
        self.inner.create(context, create).await
    }
    async fn update(&self, context: &Context, target: &Target, change: &Change) -> occi_backend::Result<Vec<Picture>> {
        self.inner.update(context, target, change).await
    }
    async fn act(&self, context: &Context, target: &Target, invocation: &Invocation) -> occi_backend::Result<Acted> {
        self.inner.act(context, target, invocation).await
    }
    async fn delete(&self, context: &Context, target: &Target) -> occi_backend::Result<()> {
        self.inner.delete(context, target).await
    }
    fn events(&self) -> Option<BoxStream<'static, Event>> {
        self.inner.events()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_model_of_another_project() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("store.db")).unwrap());
    projects(&*store).await;
    let deaf = Arc::new(Deaf {
        inner: Memory::open(Config::local()).unwrap(),
        to: PROJECT,
        asked: tokio::sync::Notify::new(),
    });
    let backends: Vec<(String, Arc<dyn Backend>)> = vec![("deaf".into(), deaf.clone())];
    let engine = Engine::start(EngineConfig::default(), store, backends).await.unwrap();
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.model(&caller()).await }
    });
    deaf.asked.notified().await;
    engine.model(&blue()).await.unwrap();
    assert!(!waiting.is_finished());
    waiting.abort();
}

fn note() -> TypeId {
    "http://example.com/office#note".parse().unwrap()
}

/// A kind of resource and a kind of link that only the store knows.
fn extension() -> Vec<Category> {
    let text = AttributeDefinition {
        required: true,
        ..AttributeDefinition::new(names::attribute("com.example.note.text"), ValueType::String)
    };
    let note_kind = Kind {
        id: note(),
        title: "A note".into(),
        parent: Some(core::RESOURCE.parse().unwrap()),
        attributes: vec![text],
        actions: vec!["http://example.com/office/action#file".parse().unwrap()],
        location: "/note/".parse().unwrap(),
        lifecycle: None,
    };
    let about = Kind {
        id: "http://example.com/office#about".parse().unwrap(),
        title: "What a note is about".into(),
        parent: Some(core::LINK.parse().unwrap()),
        attributes: vec![],
        actions: vec![],
        location: "/about/".parse().unwrap(),
        lifecycle: None,
    };
    let file = Action {
        id: "http://example.com/office/action#file".parse().unwrap(),
        title: "File it".into(),
        attributes: vec![],
    };
    vec![
        Category::Kind(Arc::new(note_kind)),
        Category::Kind(Arc::new(about)),
        Category::Action(Arc::new(file)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn core_39_a_kind_of_the_configuration_is_kept_by_the_store_alone() {
    let config = EngineConfig {
        extension: extension(),
        ..EngineConfig::default()
    };
    let on = Fixture::new(Config::local(), config).await;
    let model = on.engine.model(&caller()).await.unwrap();
    assert!(model.registry.kind(note().as_str()).is_some());
    let mut draft = EntityDraft {
        kind: Some(note()),
        ..EntityDraft::default()
    };
    refused(on.create(draft.clone()).await, FailureKind::Invalid);
    draft
        .attributes
        .push((names::attribute("com.example.note.text"), Input::Quoted("buy".into())));
    let made = on.create(draft.clone()).await.unwrap();
    assert_eq!(made.operation, None);
    let path = made.entities[0].location.clone();
    assert!(path.starts_with("/note/"));
    let compute = on.compute().await;
    let about: TypeId = "http://example.com/office#about".parse().unwrap();
    let local = on.made(between(&about, &path, &compute.location)).await;
    on.made(between(&about, &path, "http://example.com/elsewhere")).await;
    assert_eq!(links(&*on.seen(&path).await).len(), 2);
    on.act(&path, "file").await.unwrap();

    let text = EntityDraft {
        attributes: vec![(names::attribute("com.example.note.text"), Input::Quoted("sell".into()))],
        ..EntityDraft::default()
    };
    let done = on.engine.update(&done(), &path, text, &NONE).await.unwrap();
    assert_eq!(shown(&done.found.unwrap().entity, "com.example.note.text"), "sell");
    // A link that only the store holds does not keep a compute from going, and goes with it.
    on.delete(&compute.location).await.unwrap();
    refused(on.get(&local.location).await, FailureKind::NotFound);
    assert_eq!(links(&*on.seen(&path).await).len(), 1);
    on.delete(&path).await.unwrap();
    let root = Where::Unbound("/".into());
    let left = on.paths(&caller(), &root).await.unwrap();
    assert!(left.iter().all(|path| path.starts_with("/network/")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_34_a_term_that_two_actions_have_is_ambiguous_and_a_category_is_not() {
    let archive: TypeId = "http://example.com/archive/action#file".parse().unwrap();
    let archived = Mixin {
        id: "http://example.com/archive#archived".parse().unwrap(),
        title: "In the archive".into(),
        depends: vec![],
        applies: vec![note()],
        attributes: vec![],
        actions: vec![archive.clone()],
        location: "/archived/".parse().unwrap(),
        origin: Origin::Provider { backend: String::new() },
    };
    let file = Action {
        id: archive.clone(),
        title: "File it in the archive".into(),
        attributes: vec![],
    };
    let mut all = extension();
    all.extend([Category::Mixin(Arc::new(archived)), Category::Action(Arc::new(file))]);
    let config = EngineConfig {
        extension: all,
        ..EngineConfig::default()
    };
    let on = Fixture::new(Config::local(), config).await;
    let mut draft = draft(&note(), &[("com.example.note.text", "buy")]);
    draft
        .mixins
        .push("http://example.com/archive#archived".parse().unwrap());
    let path = on.create(draft).await.unwrap().entities[0].location.clone();
    let error = refused(on.act(&path, "file").await, FailureKind::Conflict);
    assert!(error.message.contains(archive.as_str()), "{error}");
    let named = Call {
        action: Some(archive),
        ..call("file")
    };
    on.engine.act(&done(), &path, named, &NONE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_templates_refuse_other_sizes() {
    let config = EngineConfig {
        strict_templates: true,
        states_extended: true,
        ..EngineConfig::default()
    };
    let on = Fixture::new(Config::local(), config).await;
    let mut sized = draft(&names::COMPUTE, &[("occi.compute.cores", "3")]);
    sized
        .mixins
        .push(TypeId::new(occi_model::templates::PROFILE_SCHEME, "medium").unwrap());
    refused(on.create(sized.clone()).await, FailureKind::Conflict);
    sized.attributes = vec![(names::attribute("occi.compute.cores"), Input::Token("2".into()))];
    let made = on.create_as(&soon(), sized).await.unwrap();
    assert_eq!(state(&made.entities[0]), "waiting", "transitional states are shown");
}
