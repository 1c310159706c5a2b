//! Stores to test, and rows to put in them.

use libtest_mimic::Failed;
use occi_model::{Attributes, EntityId, LinkEnd, TypeId, Value};
use occi_store::{
    Change, Claim, Commit, Committed, EntityRow, EventQuery, EventRow, OperationRow, OperationState, Project, Quota,
    Refused, Result, SqliteStore, Store, StoreError, Usage, Visibility, Write,
};
use std::pin::Pin;
use std::sync::Arc;
use uuid::Uuid;

pub(crate) type Shared = Arc<dyn Store>;
pub(crate) type Behaviour = fn(Shared) -> Pin<Box<dyn Future<Output = ()>>>;

/// The behaviours of a module, by name.
macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[(&str, crate::fixture::Behaviour)] =
            &[$((stringify!($name), |store| Box::pin($name(store)))),*];
    };
}
pub(crate) use behaviours;

#[expect(clippy::unnecessary_wraps, reason = "what a trial returns")]
pub(crate) fn on_sqlite(behaviour: Behaviour) -> std::result::Result<(), Failed> {
    let folder = tempfile::tempdir().unwrap();
    let store: Shared = Arc::new(SqliteStore::open(folder.path().join("store.db")).unwrap());
    block_on(async {
        projects(&store).await;
        behaviour(Arc::clone(&store)).await;
        assert_eq!(
            store.check().await.unwrap(),
            Vec::<String>::new(),
            "nothing is broken afterwards"
        );
    });
    Ok(())
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn type_id(term: &str) -> TypeId {
    TypeId::new("http://schemas.ogf.org/occi/infrastructure#", term).unwrap()
}

pub(crate) fn id(text: &str) -> EntityId {
    text.parse().unwrap()
}

pub(crate) fn attributes<V: Into<Value>>(pairs: impl IntoIterator<Item = (&'static str, V)>) -> Attributes {
    pairs
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.into()))
        .collect()
}

/// A compute of project `alpha` in backend `local`, whose native id is `n-` and its id.
pub(crate) fn compute(name: &str) -> EntityRow {
    EntityRow {
        seq: 0,
        id: id(name),
        path: format!("/compute/{name}"),
        kind: type_id("compute"),
        project: "alpha".into(),
        owner: "ann".into(),
        visibility: Visibility::Project,
        backend: Some("local".into()),
        native_project: String::new(),
        native_id: Some(format!("n-{name}")),
        mixins: Vec::new(),
        attributes: attributes([("occi.compute.cores", Value::from(2)), ("occi.core.title", name.into())]),
        source: None,
        target: None,
        target_id: None,
        state: Some("active".into()),
        created_ms: 1000,
        modified_ms: 1000,
        generation: 1,
        operation: None,
        hidden: false,
        untouched: true,
    }
}

/// A link between two of them.
pub(crate) fn link(name: &str, source: &str, target: &str) -> EntityRow {
    EntityRow {
        path: format!("/storagelink/{name}"),
        kind: type_id("storagelink"),
        source: Some(id(source)),
        target: Some(LinkEnd {
            location: format!("/compute/{target}"),
            kind: Some(type_id("compute")),
        }),
        target_id: Some(id(target)),
        ..compute(name)
    }
}

pub(crate) fn operation(entity: &str) -> OperationRow {
    OperationRow {
        id: Uuid::now_v7(),
        parent: None,
        entity: Some(id(entity)),
        path: Some(format!("/compute/{entity}")),
        project: "alpha".into(),
        principal: "ann".into(),
        backend: Some("local".into()),
        verb: "start".into(),
        intent: "start it".to_owned(),
        state: OperationState::Accepted,
        step: None,
        progress: 0,
        attempt: 0,
        deaths: 0,
        engine_accepted: false,
        cancelled: false,
        lease_owner: None,
        lease_until_ms: None,
        not_before_ms: 0,
        created_ms: 1000,
        finished_ms: None,
        deadline_ms: None,
        error: None,
        result: None,
    }
}

pub(crate) fn project(name: &str) -> Write {
    Write::InsertProject(Project {
        name: name.into(),
        quota: Quota::default(),
        created_ms: 1,
    })
}

/// The projects that there are when a test begins, unless an earlier process has made them.
pub(crate) async fn projects(store: &Shared) {
    if store.projects().await.unwrap().is_empty() {
        write(store, [project("alpha"), project("beta")]).await.unwrap();
    }
}

pub(crate) fn limit(project: &str, quota: Quota) -> Write {
    Write::SetQuota {
        project: project.into(),
        limits: quota.into(),
    }
}

pub(crate) fn insert(row: EntityRow) -> Write {
    using(row, Usage::default())
}

pub(crate) fn using(row: EntityRow, usage: Usage) -> Write {
    Write::InsertEntity {
        row: Box::new(row),
        usage,
    }
}

pub(crate) fn update(name: &str, change: Change) -> Write {
    Write::UpdateEntity {
        id: id(name),
        change: Box::new(change),
        usage: None,
    }
}

pub(crate) fn claim(owner: &str, lease_ms: i64) -> Claim {
    Claim {
        owner: owner.into(),
        backends: vec!["local".into()],
        lease_ms,
        deadline_ms: 600_000,
        operation: None,
    }
}

pub(crate) fn finish(operation: Uuid, state: OperationState) -> Write {
    Write::FinishOperation {
        operation,
        state,
        step: None,
        error: None,
        result: None,
        not_before_ms: 0,
        deadline_ms: None,
        at_ms: 2000,
    }
}

pub(crate) async fn write(store: &Shared, writes: impl IntoIterator<Item = Write>) -> Result<Committed> {
    store
        .commit(Commit {
            writes: writes.into_iter().collect(),
            ..Commit::default()
        })
        .await
}

/// The refusal of what must be refused.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T>) -> Refused {
    match result {
        Err(StoreError::Refused(refused)) => refused,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub(crate) async fn get(store: &Shared, name: &str) -> EntityRow {
    store.entity(&id(name)).await.unwrap().unwrap()
}

pub(crate) async fn events_after(store: &Shared, number: i64) -> Vec<EventRow> {
    store.events(&EventQuery::after(number, 1000)).await.unwrap().events
}

/// `what` and the entity of each.
pub(crate) fn told(events: &[EventRow]) -> Vec<(&str, &str)> {
    events
        .iter()
        .map(|event| (event.what.as_str(), event.entity.as_ref().map_or("", |id| id.as_str())))
        .collect()
}
