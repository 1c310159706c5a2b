//! The end of the process at any instant: what was answered is not lost, nothing is made twice, nothing is left over.

use crate::agreement::{Step, agrees, config, step, take};
use crate::fixture::*;
use futures::future::BoxFuture;
use occi_backend::layers::{Call, Faults, Layer, Layered};
use occi_backend::{Backend, Context, ErrorKind, Outcome, Verb, names};
use occi_backend_memory::{Config, Memory};
use occi_engine::{Caller, Engine, EngineConfig, FailureKind, Freshness, Selection, Where};
use occi_model::EntityDraft;
use occi_store::{Change, Commit, EntityQuery, OperationQuery, OperationRow, OperationState, Sees, Store, Write};
use proptest::prelude::*;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use uuid::Uuid;

fn process() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Runs `work` in a process of its own that is killed after `life`: its tasks end at their next await.
fn killed_after<F: Future<Output = ()> + Send + 'static>(life: Duration, work: F) {
    let process = process();
    process.spawn(work);
    std::thread::sleep(life);
    process.shutdown_timeout(Duration::from_secs(5));
}

#[test]
fn what_was_answered_is_not_lost_and_nothing_is_made_twice() {
    for life_ms in [10, 30, 60, 100, 200] {
        for memory in [Config::local(), Config::remote()] {
            let memory = Config {
                latency_ms: memory.latency_ms.max(10),
                ..memory
            };
            let personality = memory.personality;
            let ground = Arc::new(Ground::new(memory));
            let (told, answers) = mpsc::channel();
            let there = ground.clone();
            killed_after(Duration::from_millis(life_ms), async move {
                let on = there.rise(EngineConfig::default()).await;
                loop {
                    let made = on.create_as(&soon(), compute()).await.unwrap();
                    told.send(made.entities[0].location.clone()).unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
            let answered: Vec<_> = answers.try_iter().collect();
            process().block_on(async {
                let on = ground.rise(EngineConfig::default()).await;
                on.settled().await;
                for path in &answered {
                    let seen = on.seen(path).await;
                    assert_eq!(
                        state(&seen),
                        "active",
                        "{personality:?} after {life_ms} ms: {}",
                        message(&seen)
                    );
                }
                let query = EntityQuery {
                    kinds: vec![names::COMPUTE.clone()],
                    ..EntityQuery::new(Sees::All)
                };
                let known = on.store.count(&query).await.unwrap();
                let native = on.control.count(PROJECT, &names::COMPUTE) as u64;
                assert_eq!(known, native, "{personality:?} after {life_ms} ms");
                for path in &answered {
                    on.delete(path).await.unwrap();
                    refused(on.get(path).await, FailureKind::NotFound);
                }
                on.engine.shutdown().await;
            });
        }
    }
}

#[test]
fn a_shutdown_leaves_its_work_to_the_next_process() {
    let ground = Ground::new(Config {
        work_ms: 200,
        ..Config::remote()
    });
    let path = process().block_on(async {
        let on = ground.rise(EngineConfig::default()).await;
        let made = on.create_as(&soon(), compute()).await.unwrap();
        on.engine.shutdown().await;
        made.entities[0].location.clone()
    });
    process().block_on(async {
        let on = ground.rise(EngineConfig::default()).await;
        on.settled().await;
        let seen = on.seen(&path).await;
        assert_eq!(state(&seen), "active", "{}", message(&seen));
        assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 1);
        on.engine.shutdown().await;
    });
}

#[test]
fn what_nobody_can_read_is_given_up_and_holds_nothing() {
    let ground = Ground::new(Config::local());
    let verbs = ["stop", "delete"];
    let paths = process().block_on(async {
        let on = ground.rise(EngineConfig::default()).await;
        let mut paths = Vec::new();
        let mut writes = Vec::new();
        for verb in verbs {
            let made = on.compute().await;
            on.settled().await;
            let operation = OperationRow {
                id: Uuid::now_v7(),
                parent: None,
                entity: Some(made.id.clone()),
                path: Some(made.location.clone()),
                project: PROJECT.into(),
                principal: "ann".into(),
                backend: Some("memory".into()),
                verb: verb.into(),
                intent: "written by another version".to_owned(),
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
                created_ms: 0,
                finished_ms: None,
                deadline_ms: None,
                error: None,
                result: None,
            };
            let change = Change {
                operation: Some(Some(operation.id)),
                hidden: (verb == "delete").then_some(true),
                ..Change::default()
            };
            writes.push(Write::InsertOperation(Box::new(operation)));
            let held = links(&made).iter().map(|link| &link.id).chain([&made.id]);
            writes.extend(held.map(|id| Write::UpdateEntity {
                id: id.clone(),
                change: Box::new(change.clone()),
                usage: None,
            }));
            paths.push(made.location.clone());
        }
        on.engine.shutdown().await;
        let commit = Commit {
            writes,
            ..Commit::default()
        };
        on.store.commit(commit).await.unwrap();
        paths
    });
    process().block_on(async {
        let on = ground.rise(EngineConfig::default()).await;
        on.settled().await;
        assert_eq!(on.store.check().await.unwrap(), Vec::<String>::new());
        for (verb, path) in verbs.iter().zip(&paths) {
            let seen = on.seen(path).await;
            assert!(message(&seen).starts_with(&format!("{verb} was given up")), "{seen:?}");
            assert_eq!(links(&seen).len(), 1);
            on.delete(path).await.unwrap();
            refused(on.get(path).await, FailureKind::NotFound);
        }
        on.engine.shutdown().await;
    });
}

/// An engine whose actions say that they have begun, and do nothing until they are told to stop.
struct Begins(UnboundedSender<u32>);

impl Layer for Begins {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> occi_backend::Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, occi_backend::Result<T>> + Send + Sync + 'a,
    {
        if let (Verb::Act, Some(context)) = (call.verb, call.context) {
            self.0.send(context.attempt).unwrap();
            return Err(context.stopped().await.into());
        }
        send(None).await
    }
}

#[test]
fn what_the_process_dies_of_again_and_again_is_given_up() {
    let ground = Arc::new(Ground::new(Config::local()));
    let (told, mut begun) = unbounded_channel();
    let rise = async move |ground: &Ground| {
        let layers = |memory| -> Arc<dyn Backend> { Arc::new(Layered::new(memory, Begins(told.clone()))) };
        ground.rise_with(EngineConfig::default(), layers).await
    };
    let path = process().block_on(async {
        let on = rise(&ground).await;
        let path = on.compute().await.location.clone();
        on.engine.act(&soon(), &path, call("stop"), &NONE).await.unwrap();
        assert_eq!(begun.recv().await, Some(1));
        on.engine.shutdown().await;
        path
    });
    // The first worker was stopped, and does not count.
    for attempt in 2..=21 {
        let (rise, there) = (rise.clone(), ground.clone());
        let dies = process();
        dies.spawn(async move {
            let _on = rise(&there).await;
            std::future::pending::<()>().await;
        });
        assert_eq!(begun.blocking_recv(), Some(attempt));
        dies.shutdown_timeout(Duration::from_secs(5));
    }
    process().block_on(async {
        let on = rise(&ground).await;
        on.settled().await;
        assert!(begun.try_recv().is_err(), "it was tried again");
        let row = on.last_operation().await.row;
        assert_eq!(row.state, OperationState::NeedsAttention);
        let reason = "the server ended 20 times while this was done";
        assert!(row.error.unwrap().to_string().contains(reason));
        assert_eq!(message(&on.seen(&path).await), format!("stop was given up: {reason}"));
        let found = on.engine.check().await.unwrap();
        assert!(
            matches!(&found[..], [one] if one.contains(&path) && one.contains(reason)),
            "{found:?}"
        );
        on.delete(&path).await.unwrap();
        assert_eq!(on.engine.check().await.unwrap(), [""; 0]);
        on.engine.shutdown().await;
    });
}

#[test]
fn links_follow_a_compute_whose_action_was_resumed() {
    let ground = Arc::new(Ground::new(Config {
        work_ms: 300,
        lost_request_rate: 0.0,
        lost_answer_rate: 0.0,
        ..Config::remote()
    }));
    let (told, begun) = mpsc::channel();
    let there = ground.clone();
    let first = process();
    first.spawn(async move {
        let on = there.rise(EngineConfig::default()).await;
        let path = on.compute().await.location.clone();
        on.act_with(&path, "stop", "poweroff").await.unwrap();
        on.engine.act(&soon(), &path, call("start"), &NONE).await.unwrap();
        // The engine has the request, and nobody will hear its answer.
        let row = on.store.entity_at(&path).await.unwrap().unwrap();
        let native = row.native_id.unwrap();
        while !on.control.is_at_work(PROJECT, &names::COMPUTE, &native) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        told.send(path).unwrap();
        std::future::pending::<()>().await;
    });
    let path = begun.recv().unwrap();
    first.shutdown_timeout(Duration::from_secs(5));
    process().block_on(async {
        let on = ground.rise(EngineConfig::default()).await;
        on.settled().await;
        let seen = on.seen(&path).await;
        assert_eq!((state(&seen), message(&seen)), ("active".into(), String::new()));
        assert_eq!(state(&links(&seen)[0]), "active");
        on.engine.shutdown().await;
    });
}

#[test]
fn the_message_of_a_failure_outlives_the_process() {
    let ground = Ground::new(Config::local());
    let path = process().block_on(async {
        let on = ground.rise(EngineConfig::default()).await;
        let path = on.compute().await.location.clone();
        on.control.fail_next(Verb::Act, ErrorKind::Forbidden, Outcome::Nothing);
        refused(on.act(&path, "stop").await, FailureKind::Forbidden);
        on.engine.shutdown().await;
        path
    });
    process().block_on(async {
        let on = ground.rise(EngineConfig::default()).await;
        let fresh = Caller {
            freshness: Freshness::Now,
            ..caller()
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        let seen = on.engine.retrieve(&fresh, &path).await.unwrap().entity;
        assert!(message(&seen).contains("stop failed"), "{}", message(&seen));
        on.engine.shutdown().await;
    });
}

#[test]
fn a_key_is_remembered_by_the_next_process() {
    let ground = Ground::new(Config::local());
    let keyed = || {
        let mut keyed = done();
        keyed.idempotency = Some(("key".into(), "hash".into()));
        keyed
    };
    let path = process().block_on(async {
        let on = ground.rise(EngineConfig::default()).await;
        on.create_as(&keyed(), compute()).await.unwrap().entities[0]
            .location
            .clone()
    });
    process().block_on(async {
        let on = ground.rise(EngineConfig::default()).await;
        let again = on.create_as(&keyed(), compute()).await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.entities[0].location, path);
        assert_eq!(
            on.paths(&caller(), &Where::Kind(names::COMPUTE.clone())).await.unwrap(),
            [path]
        );
    });
}

/// The operation of a create that the engine refuses when a part of it is made, and who waits for it.
async fn undone(on: &Fixture) -> (OperationRow, tokio::task::JoinHandle<()>) {
    on.control
        .fail_after(1, Verb::Create, ErrorKind::Invalid, Outcome::Nothing);
    let engine = on.engine.clone();
    let asked = tokio::spawn(async move {
        let _ = engine
            .create(&done(), &Where::Unbound("/".into()), vec![compute()])
            .await;
    });
    let creates = OperationQuery {
        open: true,
        limit: 10,
        ..OperationQuery::default()
    };
    loop {
        let mut open = on.store.operations(&creates).await.unwrap();
        open.retain(|row| row.verb == "create");
        if let Some(found) = open.pop() {
            return (found, asked);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_undoes_a_create_keeps_its_lease_however_long_the_engine_takes() {
    let faults = Faults::default();
    faults.add("delete:start:hang".parse().unwrap());
    let on = Fixture::faulty(Config::local(), EngineConfig::default(), faults).await;
    let (begun, _) = undone(&on).await;
    for _ in 0..250 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = on.store.operation(begun.id).await.unwrap().unwrap();
        if now.lease_until_ms.unwrap() > begun.lease_until_ms.unwrap() + 5000 {
            return;
        }
    }
    panic!("25 s without a sign of life");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_a_create_undoes_nothing_of_it() {
    let faults = Faults::default();
    faults.add("act:start:hang".parse().unwrap());
    let on = Fixture::faulty(Config::local(), EngineConfig::default(), faults).await;
    let other = on.compute().await.location.clone();
    let hangs = on.engine.act(&soon(), &other, call("stop"), &NONE).await.unwrap();
    // The pauses between so many failures last three seconds.
    for _ in 0..5 {
        on.control
            .fail_next(Verb::Delete, ErrorKind::Unavailable, Outcome::Nothing);
    }
    let (lost, asked) = undone(&on).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let put_back = Write::FinishOperation {
        operation: lost.id,
        state: OperationState::Accepted,
        step: None,
        error: None,
        result: None,
        not_before_ms: 0,
        deadline_ms: None,
        at_ms: 0,
    };
    let commit = Commit {
        writes: vec![put_back],
        ..Commit::default()
    };
    on.store.commit(commit).await.unwrap();
    // Whoever looks for work now finds it.
    on.engine.cancel(&caller(), hangs.operation.unwrap()).await.unwrap();
    asked.await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let made = on.store.entity(&lost.entity.unwrap()).await.unwrap().unwrap();
    assert_eq!(state(&on.seen(&made.path).await), "active");
    assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 2);
}

/// The process is killed while it does these steps, and another time while it resumes them.
fn killed_twice(memory: Config, steps: Vec<Step>, lives_ms: (u64, u64)) -> Result<(), TestCaseError> {
    let ground = Arc::new(Ground::new(memory));
    let failures = steps.len();
    let there = ground.clone();
    killed_after(Duration::from_millis(lives_ms.0), async move {
        let on = there.rise(config()).await;
        for step in &steps {
            // A refusal for which the process is to blame is no fault of it: it dies.
            let _ = take(&on, step).await;
        }
    });
    let there = ground.clone();
    killed_after(Duration::from_millis(lives_ms.1), async move {
        let on = there.rise(config()).await;
        on.settled().await;
    });
    process().block_on(async {
        let on = ground.rise(config()).await;
        agrees(&on, failures).await
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_two_kills_a_host_agrees(steps in prop::collection::vec(step(), 5..30), lives in (5..150_u64, 1..60_u64)) {
        killed_twice(Config { latency_ms: 2, call_timeout_ms: 50, ..Config::local() }, steps, lives)?;
    }

    #[test]
    fn after_two_kills_a_cloud_agrees(steps in prop::collection::vec(step(), 5..30), lives in (5..300_u64, 1..200_u64), seed in any::<u64>()) {
        killed_twice(Config { seed, call_timeout_ms: 60, late_ms: 30, list_delay_ms: 30, ..Config::remote() }, steps, lives)?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_backend_that_is_not_there_is_read_and_not_changed() {
    let ground = Ground::new(Config::local());
    let on = ground.rise(EngineConfig::default()).await;
    let path = on.compute().await.location.clone();
    let store = on.store.clone();
    on.engine.shutdown().await;
    drop(on);
    let elsewhere: Arc<dyn Backend> = Arc::new(Memory::open(Config::local()).unwrap());
    let backends = vec![("elsewhere".to_owned(), elsewhere)];
    let engine = Engine::start(EngineConfig::default(), store, backends);
    let engine = engine.await.unwrap();
    let seen = engine.retrieve(&caller(), &path).await.unwrap();
    assert_eq!(state(&seen.entity), "active");
    assert_eq!(seen.stale.unwrap().1, "memory");
    assert!(seen.entity.actions.is_empty(), "{:?}", seen.entity.actions);
    let unavailable = FailureKind::Unavailable;
    refused(engine.act(&done(), &path, call("stop"), &NONE).await, unavailable);
    refused(engine.delete(&done(), &path, &NONE).await, unavailable);
    let part = EntityDraft {
        kind: None,
        ..draft(&names::COMPUTE, &[("occi.compute.memory", "2.5")])
    };
    refused(engine.update(&done(), &path, part, &NONE).await, unavailable);
    let all = Selection::default();
    refused(
        engine
            .delete_collection(&done(), &Where::Unbound("/".into()), &all, None)
            .await,
        unavailable,
    );
    let said = engine.check().await.unwrap();
    assert!(
        said.iter()
            .any(|one| one.contains("\"memory\", which is not configured")),
        "{said:?}"
    );
    engine.shutdown().await;
    // With it everything is as it was.
    let on = ground.rise(EngineConfig::default()).await;
    on.act(&path, "stop").await.unwrap();
    on.delete(&path).await.unwrap();
    assert_eq!(on.engine.check().await.unwrap(), Vec::<String>::new());
}
