//! The end of the process at any instant.

use crate::fixture::*;
use occi_backend::names;
use occi_backend_memory::Config;
use occi_engine::{EngineConfig, FailureKind, Where};
use std::time::Duration;

/// Runs `work` in a process of its own that is killed after `life`: its tasks end at their next await.
fn killed_after<F: Future<Output = ()> + Send + 'static>(life: Duration, work: F) {
    let process = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    process.spawn(work);
    std::thread::sleep(life);
    process.shutdown_timeout(Duration::from_secs(5));
}

#[test]
fn what_was_answered_is_not_lost_and_nothing_is_made_twice() {
    for life_ms in [5, 20, 40, 60, 90, 130, 200] {
        for memory in [Config::local(), Config::remote()] {
            let memory = Config {
                latency_ms: memory.latency_ms.max(10),
                ..memory
            };
            let personality = memory.personality;
            let ground = std::sync::Arc::new(Ground::new(memory));
            let (told, answers) = std::sync::mpsc::channel();
            let there = ground.clone();
            killed_after(Duration::from_millis(life_ms), async move {
                let (engine, ..) = there.rise(EngineConfig::default()).await;
                let root = Where::Unbound("/".into());
                loop {
                    let made = engine.create(&soon(), &root, vec![compute()]).await.unwrap();
                    told.send(made.entities[0].location.clone()).unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
            let answered: Vec<_> = answers.try_iter().collect();
            let after = tokio::runtime::Runtime::new().unwrap();
            after.block_on(async {
                let (engine, store, control) = ground.rise(EngineConfig::default()).await;
                settled(&*store).await;
                for path in &answered {
                    let seen = engine.retrieve(&caller(), path).await.unwrap().entity;
                    assert_eq!(
                        state(&seen),
                        "active",
                        "{personality:?} after {life_ms} ms: {}",
                        message(&seen)
                    );
                }
                let query = occi_store::EntityQuery {
                    kinds: vec![names::COMPUTE.clone()],
                    ..occi_store::EntityQuery::new(occi_store::Sees::All)
                };
                let known = occi_store::Store::count(&*store, &query).await.unwrap();
                let native = control.count(PROJECT, &names::COMPUTE) as u64;
                assert_eq!(known, native, "{personality:?} after {life_ms} ms");
                for path in &answered {
                    engine.delete(&done(), path, &NONE).await.unwrap();
                    refused(engine.retrieve(&caller(), path).await, FailureKind::NotFound);
                }
                engine.shutdown().await;
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
    let process = || tokio::runtime::Runtime::new().unwrap();
    let path = process().block_on(async {
        let (engine, ..) = ground.rise(EngineConfig::default()).await;
        let made = engine
            .create(&soon(), &Where::Unbound("/".into()), vec![compute()])
            .await
            .unwrap();
        engine.shutdown().await;
        made.entities[0].location.clone()
    });
    process().block_on(async {
        let (engine, store, control) = ground.rise(EngineConfig::default()).await;
        settled(&*store).await;
        let seen = engine.retrieve(&caller(), &path).await.unwrap().entity;
        assert_eq!(state(&seen), "active", "{}", message(&seen));
        assert_eq!(control.count(PROJECT, &names::COMPUTE), 1);
        engine.shutdown().await;
    });
}
