//! Several processes on one store, in front of an engine that all of them reach.

use crate::fixture::*;
use occi_backend::{Backend, names};
use occi_backend_memory::{Config, Control, Memory};
use occi_engine::{Caller, Engine, EngineConfig, FailureKind, Freshness, Source, Where};
use occi_model::{EntityDraft, Input, MixinDraft, TypeId};
use occi_store::{Commit, OperationState, Refused, Require, SqliteStore, Store, StoreError, Write};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

struct Ground {
    store: Arc<SqliteStore>,
    memory: Arc<Memory>,
    control: Control,
    _folder: TempDir,
}

impl Ground {
    async fn new(memory: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("store.db")).unwrap());
        projects(&*store).await;
        let memory = Arc::new(Memory::open(memory).unwrap());
        Self {
            control: memory.control(),
            store,
            memory,
            _folder: folder,
        }
    }

    /// A process whose clock is wrong by `skew_ms`.
    async fn node(&self, name: &str, skew_ms: i64) -> Engine {
        let clock = Source::default().now_ms;
        let config = EngineConfig {
            node: name.into(),
            source: Source {
                now_ms: Arc::new(move || clock() + skew_ms),
                ..Source::default()
            },
            ..EngineConfig::default()
        };
        let backend: Arc<dyn Backend> = self.memory.clone();
        let backends = vec![("memory".into(), backend)];
        Engine::start(config, self.store.clone(), backends).await.unwrap()
    }
}

/// A cloud that loses nothing.
fn reliable() -> Config {
    Config {
        lost_request_rate: 0.0,
        lost_answer_rate: 0.0,
        ..Config::remote()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_whose_lease_ended_is_taken_over_and_its_first_worker_writes_nothing() {
    let ground = Ground::new(Config {
        work_ms: 1000,
        ..reliable()
    })
    .await;
    let first = ground.node("first", 0).await;
    let root = Where::Unbound("/".into());
    let made = first.create(&soon(), &root, vec![compute()]).await.unwrap();
    let operation = made.operation.unwrap();
    let seen = async || ground.store.operation(operation).await.unwrap().unwrap();
    // From then on it only waits for the engine, and says nothing for a while.
    while !seen().await.engine_accepted {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let row = seen().await;
    let lease = Require::Lease {
        operation,
        owner: row.lease_owner.unwrap(),
        attempt: row.attempt,
    };
    let sign = |lease_ms: i64| Commit {
        require: vec![lease.clone()],
        writes: vec![Write::Step {
            operation,
            step: "a late step".into(),
            progress: None,
            engine_accepted: false,
            lease_ms,
            deadline_ms: row.deadline_ms.unwrap(),
        }],
        audit: Vec::new(),
    };
    ground.store.commit(sign(-1)).await.unwrap();
    let second = ground.node("second", 0).await;
    while seen().await.attempt == 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(seen().await.lease_owner.unwrap().starts_with("second/"));
    let late = ground.store.commit(sign(30_000)).await;
    assert!(
        matches!(late, Err(StoreError::Refused(Refused::LeaseLost(_)))),
        "{late:?}"
    );
    settled(&*ground.store).await;
    let ended = seen().await;
    assert_eq!((ended.state, ended.attempt), (OperationState::Succeeded, 2));
    let compute = second.retrieve(&caller(), &made.entities[0].location).await.unwrap();
    assert_eq!(state(&compute.entity), "active");
    for kind in [&names::COMPUTE, &names::NETWORKINTERFACE] {
        assert_eq!(ground.control.count(PROJECT, kind), 1, "{}", kind.term());
    }
    assert_eq!(second.check().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_whose_clocks_differ_agree() {
    const HOUR_MS: i64 = 3_600_000;
    let ground = Ground::new(Config {
        work_ms: 200,
        list_delay_ms: 0,
        call_timeout_ms: 60,
        ..reliable()
    })
    .await;
    let ahead = ground.node("ahead", HOUR_MS).await;
    let behind = ground.node("behind", -HOUR_MS).await;
    let root = Where::Unbound("/".into());
    let fresh = Caller {
        freshness: Freshness::Now,
        ..caller()
    };
    for (maker, other) in [(&ahead, &behind), (&behind, &ahead)] {
        let made = maker.create(&soon(), &root, vec![compute()]).await.unwrap();
        let path = &made.entities[0].location;
        let begun = ground.store.operation(made.operation.unwrap()).await.unwrap().unwrap();
        let left_ms = begun.lease_until_ms.unwrap() - ground.store.now_ms().await.unwrap();
        assert!((0..=30_000).contains(&left_ms), "{left_ms}");
        settled(&*ground.store).await;
        other.act(&done(), path, call("restart"), &NONE).await.unwrap();
        for node in [maker, other] {
            let seen = node.retrieve(&fresh, path).await.unwrap();
            assert_eq!(state(&seen.entity), "active", "no older picture has won");
        }
        // What happens behind our back is newer than what either has written.
        let row = ground.store.entity(&made.entities[0].id).await.unwrap().unwrap();
        ground.control.power_off(PROJECT, &row.native_id.unwrap());
        tokio::time::sleep(Duration::from_millis(1200)).await;
        for node in [maker, other] {
            let seen = node.retrieve(&fresh, path).await.unwrap();
            assert_eq!(state(&seen.entity), "inactive");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_does_is_waited_for() {
    let ground = Ground::new(Config {
        latency_ms: 50,
        work_ms: 300,
        ..reliable()
    })
    .await;
    let (first, second) = (ground.node("first", 0).await, ground.node("second", 0).await);
    let root = Where::Unbound("/".into());
    let made = first.create(&done(), &root, vec![compute()]).await.unwrap();
    let path = &made.entities[0].location;
    let stop = call_by("stop", "poweroff");
    let running = first.act(&soon(), path, stop.clone(), &NONE).await.unwrap();
    assert!(running.operation.is_some());
    let joined = second.act(&done(), path, stop, &NONE).await.unwrap();
    assert_eq!(joined.operation, None, "it has ended");
    assert_eq!(state(&joined.found.unwrap().entity), "inactive");

    // Nor is its failure taken for success.
    let made = first.create(&done(), &root, vec![storage()]).await.unwrap();
    let path = &made.entities[0].location;
    let mut shrink = call("resize");
    let size = (names::attribute("size"), Input::Token("1".into()));
    shrink.parameters.push(size);
    first.act(&soon(), path, shrink.clone(), &NONE).await.unwrap();
    let joined = second.act(&done(), path, shrink, &NONE).await;
    refused(joined, FailureKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixin_that_another_node_has_removed_comes_to_nothing() {
    let ground = Ground::new(reliable()).await;
    let (first, second) = (ground.node("first", 0).await, ground.node("second", 0).await);
    let root = Where::Unbound("/".into());
    let made = first.create(&done(), &root, vec![compute()]).await.unwrap();
    let path = &made.entities[0].location;
    first
        .act(&done(), path, call_by("stop", "poweroff"), &NONE)
        .await
        .unwrap();
    // Each time the second one has a model of before.
    let gone = async |name: &str| {
        let id: TypeId = format!("http://example.com/tags#{name}").parse().unwrap();
        let tag = MixinDraft {
            id: id.clone(),
            title: None,
            depends: Vec::new(),
            location: Some(format!("/tags/{name}/")),
            has_capabilities: false,
        };
        first.add_mixins(&caller(), vec![tag]).await.unwrap();
        let model = second.model_now(&caller()).await.unwrap();
        assert!(model.registry.mixin(id.as_str()).is_some());
        first.remove_mixins(&caller(), vec![id.clone()]).await.unwrap();
        id
    };
    let tagged = |id: TypeId, draft: EntityDraft| EntityDraft {
        mixins: vec![id],
        ..draft
    };
    let associated = second.associate(&caller(), &gone("a").await, vec![path.clone()]).await;
    refused(associated, FailureKind::NotFound);
    for draft in [storage(), compute()] {
        let created = second
            .create(&done(), &root, vec![tagged(gone("b").await, draft)])
            .await;
        refused(created, FailureKind::Invalid);
    }
    let larger = EntityDraft {
        kind: None,
        ..draft(&names::COMPUTE, &[("occi.compute.memory", "2")])
    };
    let changed = second
        .update(&done(), path, tagged(gone("c").await, larger), &NONE)
        .await;
    refused(changed, FailureKind::Invalid);
    let seen = second.retrieve(&caller(), path).await.unwrap().entity;
    assert!(
        seen.mixins
            .iter()
            .all(|mixin| mixin.scheme() != "http://example.com/tags#")
    );
    assert_eq!(ground.control.count(PROJECT, &names::STORAGE), 0);
}
