//! Whatever clients ask for, in whatever order: in the end the store and the engine agree, and nothing is left over.

use crate::fixture::*;
use occi_backend::{ErrorKind, Outcome, Verb, names};
use occi_backend_memory::Config;
use occi_engine::{Caller, EngineConfig, EngineError, FailureKind, Freshness, Selection, Where};
use occi_model::{EntityDraft, TypeId, Value};
use occi_store::{EntityQuery, EventQuery, OperationState, Sees, Store, Usage};
use proptest::prelude::*;
use std::collections::HashMap;

/// What a client, or the world, does next. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create(What, bool),
    CreateTwo(What, What),
    Link(usize, usize),
    Act(usize, &'static str, bool),
    ActOnAll(&'static str),
    Title(usize),
    Resize(usize, u8),
    Delete(usize, bool),
    DeleteAll(What),
    Fail(Verb, ErrorKind, Outcome),
    PowerOff(usize),
    Pause(u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Compute,
    Network,
    Storage,
}

impl What {
    fn kind(self) -> &'static TypeId {
        match self {
            Self::Compute => &names::COMPUTE,
            Self::Network => &names::NETWORK,
            Self::Storage => &names::STORAGE,
        }
    }
    fn draft(self) -> EntityDraft {
        match self {
            Self::Compute => compute(),
            Self::Network => network(),
            Self::Storage => storage(),
        }
    }
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![3 => Just(What::Compute), 1 => Just(What::Network), 1 => Just(What::Storage)]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let action = || {
        prop::sample::select(vec![
            "start", "stop", "restart", "suspend", "save", "up", "down", "online", "offline",
        ])
    };
    let verb = prop::sample::select(vec![Verb::Create, Verb::Act, Verb::Update, Verb::Delete]);
    let kind = prop::sample::select(vec![
        ErrorKind::Invalid,
        ErrorKind::Timeout,
        ErrorKind::RateLimited,
        ErrorKind::CapacityExhausted,
        ErrorKind::Unexpected,
    ]);
    let outcome = prop::sample::select(vec![Outcome::Nothing, Outcome::Unknown]);
    prop_oneof![
        6 => (what(), any::<bool>()).prop_map(|(what, wait)| Step::Create(what, wait)),
        1 => (what(), what()).prop_map(|(a, b)| Step::CreateTwo(a, b)),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Step::Link(a, b)),
        6 => (any::<usize>(), action(), any::<bool>()).prop_map(|(n, action, wait)| Step::Act(n, action, wait)),
        1 => action().prop_map(Step::ActOnAll),
        2 => any::<usize>().prop_map(Step::Title),
        2 => (any::<usize>(), 1..5_u8).prop_map(|(n, cores)| Step::Resize(n, cores)),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(n, wait)| Step::Delete(n, wait)),
        1 => what().prop_map(Step::DeleteAll),
        3 => (verb, kind, outcome).prop_map(|(verb, kind, outcome)| Step::Fail(verb, kind, outcome)),
        1 => any::<usize>().prop_map(Step::PowerOff),
        2 => (0..30_u64).prop_map(Step::Pause),
    ]
}

/// A refusal is an answer; a mistake of the server is not.
fn answered<T>(outcome: Result<T, EngineError>, step: &Step) -> Result<(), TestCaseError> {
    match outcome {
        Err(error) if error.kind == FailureKind::Internal => {
            Err(TestCaseError::fail(format!("{step:?}: {error}, {:?}", error.context)))
        }
        _ => Ok(()),
    }
}

pub(crate) async fn take(on: &Fixture, step: &Step) -> Result<(), TestCaseError> {
    let root = Where::Unbound("/".into());
    let all = Selection::default();
    let there = on.paths(&caller(), &root).await.unwrap();
    let chosen = |n: usize| {
        there
            .get(n % there.len().max(1))
            .cloned()
            .unwrap_or_else(|| "/compute/none".into())
    };
    let waits = |wait: bool| if wait { caller() } else { soon() };
    match step {
        Step::Create(what, wait) => answered(on.create_as(&waits(*wait), what.draft()).await, step),
        Step::CreateTwo(a, b) => {
            let drafts = vec![a.draft(), b.draft()];
            answered(on.engine.create(&caller(), &root, drafts).await, step)
        }
        Step::Link(a, b) => {
            let (source, target) = (chosen(*a), chosen(*b));
            let kind = if target.starts_with("/storage/") {
                &names::STORAGELINK
            } else {
                &names::NETWORKINTERFACE
            };
            answered(on.create_as(&caller(), between(kind, &source, &target)).await, step)
        }
        Step::Act(n, action, wait) => answered(
            on.engine.act(&waits(*wait), &chosen(*n), call(action), &NONE).await,
            step,
        ),
        Step::ActOnAll(action) => {
            let at = at(&names::COMPUTE);
            answered(
                on.engine.act_on_collection(&caller(), &at, &all, call(action)).await,
                step,
            )
        }
        Step::Title(n) => {
            let title = EntityDraft {
                kind: None,
                ..draft(&names::COMPUTE, &[("occi.core.title", "a title")])
            };
            answered(on.engine.update(&caller(), &chosen(*n), title, &NONE).await, step)
        }
        Step::Resize(n, cores) => {
            let cores = cores.to_string();
            let size = EntityDraft {
                kind: None,
                ..draft(&names::COMPUTE, &[("occi.compute.cores", &cores)])
            };
            answered(on.engine.update(&caller(), &chosen(*n), size, &NONE).await, step)
        }
        Step::Delete(n, wait) => answered(on.engine.delete(&waits(*wait), &chosen(*n), &NONE).await, step),
        Step::DeleteAll(what) => {
            let at = at(what.kind());
            answered(on.engine.delete_collection(&caller(), &at, &all, None).await, step)
        }
        Step::Fail(verb, kind, outcome) => {
            on.control.fail_next(*verb, *kind, *outcome);
            Ok(())
        }
        Step::PowerOff(n) => {
            let path = chosen(*n);
            let id = path.rsplit('/').next().unwrap();
            let row = on.store.entity(&id.parse().unwrap()).await.unwrap();
            if let Some(native) = row.and_then(|row| row.native_id) {
                on.control.power_off(PROJECT, &native);
            }
            Ok(())
        }
        Step::Pause(ms) => {
            tokio::time::sleep(std::time::Duration::from_millis(*ms)).await;
            Ok(())
        }
    }
}

async fn agree(memory: Config, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let on = Fixture::new(memory, config()).await;
    for step in &steps {
        take(&on, step).await?;
    }
    agrees(&on, steps.len()).await
}

pub(crate) fn config() -> EngineConfig {
    EngineConfig {
        operation_deadline: std::time::Duration::from_secs(20),
        ..EngineConfig::default()
    }
}

/// The store and the engine agree; all can be deleted, however often the engine was told to fail, and nothing is left.
pub(crate) async fn agrees(on: &Fixture, failures: usize) -> Result<(), TestCaseError> {
    on.settled().await;
    for view in on
        .engine
        .operations(&caller(), occi_store::OperationQuery::default())
        .await
        .unwrap()
    {
        prop_assert_ne!(view.row.state, OperationState::NeedsAttention, "{:?}", view.row);
    }
    // What a listing would change is what we did not know: nothing but what the world did by itself.
    let fresh = Caller {
        freshness: Freshness::Now,
        ..caller()
    };
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let root = Where::Unbound("/".into());
    let before = on.paths(&caller(), &root).await.unwrap();
    let listing = on
        .engine
        .list_paths(&fresh, &root, &Selection::default(), None)
        .await
        .unwrap();
    let after: Vec<String> = futures::TryStreamExt::try_concat(listing.paths).await.unwrap();
    // A project's default network comes with its first compute, also with one that was not to be.
    let default: Vec<_> = after
        .iter()
        .filter(|path| !before.contains(path) && path.starts_with("/network/"))
        .collect();
    prop_assert!(default.len() <= 1, "{:?}", default);
    let expected: Vec<_> = before.iter().chain(default).cloned().collect();
    prop_assert_eq!(&expected, &after, "nothing else appears and nothing vanishes");
    let findings = on.engine.check().await.unwrap();
    prop_assert!(findings.is_empty(), "{:?}", findings);
    for kind in [
        &names::COMPUTE,
        &names::NETWORK,
        &names::STORAGE,
        &names::NETWORKINTERFACE,
        &names::STORAGELINK,
    ] {
        let known = on.paths(&caller(), &at(kind)).await.unwrap();
        let failed = known_without_native(on, &known).await;
        prop_assert_eq!(
            known.len() - failed,
            on.control.count(PROJECT, kind),
            "{:?} in store and engine",
            kind
        );
    }
    accounts_for_all(on).await?;
    let all = Selection::default();
    let mut gone = on.engine.delete_collection(&done(), &root, &all, None).await;
    for _ in 0..failures {
        // The engine may still have been told to fail.
        on.settled().await;
        if gone.is_ok() {
            break;
        }
        gone = on.engine.delete_collection(&done(), &root, &all, None).await;
    }
    prop_assert!(gone.is_ok(), "{:?}", gone);
    on.settled().await;
    let usage = on.store.usage(PROJECT).await.unwrap();
    prop_assert_eq!(usage, Usage::default());
    let left = on.control.count(PROJECT, &names::COMPUTE) + on.control.count(PROJECT, &names::STORAGE);
    prop_assert_eq!(left, 0);
    accounts_for_all(on).await?;
    on.engine.shutdown().await;
    Ok(())
}

/// Who has followed the events knows what there is and in which generation, and the project uses what its entities show.
async fn accounts_for_all(on: &Fixture) -> Result<(), TestCaseError> {
    let page = on.store.events(&EventQuery::after(0, u32::MAX)).await.unwrap();
    prop_assert_eq!(page.newest, page.events.len() as i64);
    let mut followed = HashMap::new();
    for (number, event) in (1..).zip(page.events) {
        prop_assert_eq!(event.number, number);
        let Some(id) = event.entity.clone() else { continue };
        match event.what.as_str() {
            "created" => prop_assert_eq!(followed.insert(id, event.generation), None, "{:?}", event),
            "changed" => {
                let before = followed.insert(id, event.generation);
                prop_assert!(before.is_some_and(|before| before <= event.generation), "{:?}", event);
            }
            _ => drop(followed.remove(&id)),
        }
    }
    let everything = EntityQuery {
        limit: u32::MAX,
        ..EntityQuery::new(Sees::All)
    };
    let rows = on.store.select(&everything).await.unwrap();
    let there: HashMap<_, _> = rows.iter().map(|row| (row.id.clone(), row.generation)).collect();
    prop_assert_eq!(followed, there);
    let mut shown = Usage::default();
    for row in &rows {
        let number = |name: &str| row.attributes.get(name).and_then(Value::as_f64).unwrap_or_default();
        if row.kind == *names::COMPUTE {
            shown.instances += 1;
            shown.cores += number("occi.compute.cores") as i64;
            shown.memory_mib += (number("occi.compute.memory") * 1024.0) as i64;
        } else if row.kind == *names::STORAGE {
            shown.volume_gib += number("occi.storage.size") as i64;
        }
    }
    prop_assert_eq!(on.store.usage(PROJECT).await.unwrap(), shown);
    Ok(())
}

/// How many were shown as created and failed before the engine had them.
async fn known_without_native(on: &Fixture, paths: &[String]) -> usize {
    let mut failed = 0;
    for path in paths {
        let row = on.store.entity_at(path).await.unwrap().unwrap();
        failed += usize::from(row.native_id.is_none());
    }
    failed
}

fn run(memory: Config, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let process = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    process.block_on(agree(memory, steps))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn store_and_engine_agree_on_a_host(steps in prop::collection::vec(step(), 1..40)) {
        run(Config { call_timeout_ms: 50, ..Config::local() }, steps)?;
    }

    #[test]
    fn store_and_engine_agree_on_a_cloud(steps in prop::collection::vec(step(), 1..25), seed in any::<u64>()) {
        run(Config { seed, call_timeout_ms: 60, late_ms: 30, list_delay_ms: 30, ..Config::remote() }, steps)?;
    }
}
