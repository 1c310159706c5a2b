//! Creating.

use crate::fixture::*;
use occi_backend::{ErrorKind, Outcome, names};
use occi_backend_memory::Config;
use occi_engine::{EngineConfig, FailureKind, Wait, Where};
use occi_model::{EntityDraft, Input, Shape, core};
use occi_store::{Commit, OperationQuery, OperationState, Quota, Role, Store, Write};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn infra_21_a_compute_of_a_kind_alone_gets_defaults_and_boots() {
    let on = Fixture::local().await;
    let made = on.compute().await;
    assert_eq!(made.location, format!("/compute/{}", made.id));
    let seen = on.seen(&made.location).await;
    assert_eq!(state(&seen), "active");
    assert_eq!(message(&seen), "");
    assert_eq!(shown(&seen, "occi.compute.cores"), "1");
    assert_eq!(shown(&seen, "occi.compute.memory"), "1.0");
    assert!(
        seen.mixins.iter().any(|mixin| mixin.scheme().ends_with("/os_tpl#")),
        "the default operating system: {:?}",
        seen.mixins
    );
    let [nic] = links(&seen) else {
        panic!("one interface on the default network: {seen:?}")
    };
    assert_eq!(nic.kind, *names::NETWORKINTERFACE);
    assert_eq!(state(nic), "active");
    let listed = on.paths(&caller(), &at(&names::NETWORK)).await.unwrap();
    assert_eq!(listed.len(), 1, "the default network is known now");
    assert_eq!(on.last_operation().await.row.state, OperationState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn infra_38_a_compute_stays_off_where_nothing_starts_by_itself() {
    let config = EngineConfig {
        autostart: false,
        ..EngineConfig::default()
    };
    let on = Fixture::new(Config::local(), config).await;
    let made = on.compute().await;
    assert_eq!(state(&made), "inactive");
    assert_eq!(message(&made), "");
    on.act(&made.location, "start").await.unwrap();
    assert_eq!(state(&on.seen(&made.location).await), "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn infra_38_a_compute_is_inactive_with_a_message_until_it_runs() {
    let on = Fixture::new(
        Config {
            work_ms: 300,
            call_timeout_ms: 1000,
            ..Config::remote()
        },
        EngineConfig::default(),
    )
    .await;
    let made = on.create_as(&soon(), compute()).await.unwrap();
    let entity = &made.entities[0];
    assert_eq!(state(entity), "inactive");
    assert_eq!(terms(&entity.actions), ["start"], "it joins");
    assert!(made.operation.is_some());
    loop {
        let seen = on.seen(&entity.location).await;
        if state(&seen) == "active" {
            break;
        }
        assert_eq!(state(&seen), "inactive");
        assert_ne!(message(&seen), "");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    on.act(&entity.location, "start").await.unwrap();
    let seen = on.seen(&entity.location).await;
    assert_eq!((state(&seen), message(&seen)), ("active".into(), String::new()));
    refused(on.act(&entity.location, "start").await, FailureKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn infra_16_who_is_told_that_the_engine_has_accepted_a_link_sees_what_the_engine_gave_it() {
    let memory = Config {
        work_ms: 1000,
        ..Config::local()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let (compute, network) = (on.compute().await, on.made(network()).await);
    let link = between(&names::NETWORKINTERFACE, &compute.location, &network.location);
    let made = on.create_as(&caller(), link).await.unwrap();
    assert!(made.operation.is_some(), "the engine is still at it");
    let entity = &made.entities[0];
    for shown_link in [entity, &on.seen(&entity.location).await] {
        assert_ne!(shown(shown_link, "occi.networkinterface.interface"), "");
        assert_ne!(shown(shown_link, "occi.networkinterface.mac"), "");
    }
}

#[test]
fn a_create_is_two_transactions() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let counted = recorder.handle();
    let commits = || -> u64 {
        let text = counted.render();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("occid_commits_total{outcome=\"ok\"} "));
        line.map_or(0, |number| number.parse().unwrap())
    };
    let process = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || {
        process.block_on(async {
            let on = Fixture::local().await;
            let mut made = Vec::new();
            for _ in 0..2 {
                for draft in [compute(), network(), storage()] {
                    let before = commits();
                    made.push(on.create_as(&caller(), draft).await.unwrap().entities.remove(0));
                    assert_eq!(commits() - before, 2, "{:?}", made.last());
                }
            }
            let [compute, network, storage, ..] = made.as_slice() else {
                panic!("{made:?}")
            };
            for (kind, target) in [(&names::NETWORKINTERFACE, network), (&names::STORAGELINK, storage)] {
                let before = commits();
                on.made(between(kind, &compute.location, &target.location)).await;
                assert_eq!(commits() - before, 2, "{}", kind.term());
            }
        });
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_permit_begins_when_one_comes_back() {
    let memory = Config {
        work_ms: 300,
        lost_request_rate: 0.0,
        lost_answer_rate: 0.0,
        ..Config::remote()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    // More than three times what such a backend carries out at once. If the dispatcher found them only when it looks by
    // itself, they would not be done as long as the test waits.
    let many = vec![storage(); 52];
    let root = Where::Unbound("/".into());
    on.engine.create(&soon(), &root, many).await.unwrap();
    let states = on.store.operations(&OperationQuery::default()).await.unwrap();
    assert!(
        states
            .iter()
            .any(|row| row.entity.is_some() && row.state == OperationState::Accepted)
    );
    on.settled().await;
    assert_eq!(on.control.count(PROJECT, &names::STORAGE), 52);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_made_is_waited_for() {
    let memory = Config {
        work_ms: 200,
        ..Config::remote()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let disk = on.create_as(&soon(), storage()).await.unwrap().entities.remove(0);
    let with_disk = with_links(compute(), vec![link(&names::STORAGELINK, &disk.location)]);
    let made = on.create_as(&soon(), with_disk).await.unwrap().entities.remove(0);
    let network = on.create_as(&soon(), network()).await.unwrap().entities.remove(0);
    on.made(between(&names::NETWORKINTERFACE, &made.location, &network.location))
        .await;

    let again = on.create_as(&soon(), compute()).await.unwrap().entities.remove(0);
    let title = EntityDraft {
        kind: None,
        ..draft(&names::COMPUTE, &[("occi.compute.hostname", "other")])
    };
    on.engine.update(&done(), &again.location, title, &NONE).await.unwrap();
    assert_eq!(state(&on.seen(&again.location).await), "active");
    let third = on.create_as(&soon(), compute()).await.unwrap().entities.remove(0);
    on.act(&third.location, "stop").await.unwrap();
    assert_eq!(state(&on.seen(&third.location).await), "inactive");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_takes_too_long_is_in_the_way() {
    let memory = Config {
        work_ms: 2500,
        call_timeout_ms: 10_000,
        ..Config::local()
    };
    let impatient = EngineConfig {
        outwait: Duration::from_millis(100),
        ..EngineConfig::default()
    };
    let on = Fixture::new(memory.clone(), impatient).await;
    let made = on.create_as(&soon(), compute()).await.unwrap();
    let began = std::time::Instant::now();
    let error = refused(on.act(&made.entities[0].location, "stop").await, FailureKind::Conflict);
    assert_eq!(error.operation, made.operation);
    assert!(began.elapsed() >= Duration::from_millis(100));
    on.delete(&made.entities[0].location).await.unwrap();

    // Longer than the answer to the creation would have waited.
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let made = on.create_as(&soon(), compute()).await.unwrap();
    on.act(&made.entities[0].location, "stop").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn core_26_a_plain_link_leads_to_another_service() {
    let on = Fixture::local().await;
    let made = on.compute().await;
    let elsewhere = "http://elsewhere.example.org/storage/7";
    let mut plain = between(&core::LINK.parse().unwrap(), &made.location, elsewhere);
    plain.target_kind = Some(names::STORAGE.clone());
    let link = on.made(plain).await;
    assert_eq!(link.location, format!("/link/{}", link.id));
    let Shape::Link { target, .. } = &link.shape else {
        panic!("a link is a link")
    };
    assert_eq!(
        (target.location.as_str(), &target.kind),
        (elsewhere, &Some(names::STORAGE.clone()))
    );
    assert_eq!(links(&*on.seen(&made.location).await).len(), 2);
    on.act(&made.location, "stop").await.unwrap();
    on.delete(&made.location).await.unwrap();
    refused(on.get(&link.location).await, FailureKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_the_default_project_creates_in_what_is_left() {
    let on = Fixture::local().await;
    let left_with = |projects: &[&str]| {
        let mut caller = done();
        let principal = Arc::make_mut(&mut caller.principal);
        principal.default_project = "gone".into();
        principal.projects = projects
            .iter()
            .map(|project| ((*project).into(), Role::Member))
            .collect();
        caller
    };
    let caller = left_with(&["red", "blue"]);
    let made = on.create_as(&caller, storage()).await.unwrap();
    let row = on.store.entity(&made.entities[0].id).await.unwrap().unwrap();
    assert_eq!(row.project, "blue");
    let nobody = left_with(&[]);
    let error = refused(on.create_as(&nobody, storage()).await, FailureKind::Forbidden);
    assert!(error.message.contains("no member of any project"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn infra_35_links_come_with_a_compute() {
    let on = Fixture::local().await;
    let network = on.made(network()).await;
    let storage = on.made(storage()).await;
    assert_eq!((state(&network), state(&storage)), ("active".into(), "online".into()));
    let made = on
        .made(with_links(
            compute(),
            vec![
                link(&names::NETWORKINTERFACE, &network.location),
                link(&names::STORAGELINK, &storage.location),
            ],
        ))
        .await;
    let kinds: Vec<_> = links(&made).iter().map(|link| link.kind.term().to_owned()).collect();
    assert_eq!(kinds, ["networkinterface", "storagelink"]);
    let disk = on.seen(&links(&made)[1].location).await;
    assert_eq!(state(&disk), "active");
    refused(on.delete(&storage.location).await, FailureKind::Conflict);
    refused(on.delete(&network.location).await, FailureKind::Conflict);
    on.delete(&made.location).await.unwrap();
    refused(on.get(&disk.location).await, FailureKind::NotFound);
    on.delete(&storage.location).await.unwrap();
    on.delete(&network.location).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_within_the_wait_is_the_answer_and_leaves_nothing() {
    let on = Fixture::local().await;
    for outcome in [Outcome::Nothing, Outcome::Unknown] {
        on.control.fail_next(CREATE, ErrorKind::Invalid, outcome);
        let error = refused(on.create_as(&caller(), compute()).await, FailureKind::Invalid);
        assert!(error.operation.is_some());
    }
    on.settled().await;
    assert_eq!(on.paths(&caller(), &Where::Unbound("/".into())).await.unwrap(), [""; 0]);
    assert_eq!(on.last_operation().await.row.state, OperationState::Failed);
    assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn infra_6_a_create_that_fails_after_its_answer_stays_in_error() {
    let on = Fixture::local().await;
    on.control.fail_next(CREATE, ErrorKind::Invalid, Outcome::Nothing);
    let made = on.create_as(&soon(), compute()).await.unwrap();
    on.settled().await;
    let seen = on.seen(&made.entities[0].location).await;
    assert_eq!(state(&seen), "error");
    assert!(message(&seen).contains("create failed"), "{}", message(&seen));
    on.delete(&seen.location).await.unwrap();
    refused(on.get(&seen.location).await, FailureKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_failure_is_tried_again() {
    let on = Fixture::local().await;
    for _ in 0..2 {
        on.control.fail_next(CREATE, ErrorKind::RateLimited, Outcome::Nothing);
    }
    let made = on.compute().await;
    assert_eq!(state(&made), "active");
    assert_eq!(on.last_operation().await.row.attempt, 3);

    // A worker that gave up by itself has left no call behind: nobody waits for one.
    let patient = Config {
        call_timeout_ms: 60_000,
        lost_request_rate: 0.0,
        lost_answer_rate: 0.0,
        ..Config::remote()
    };
    let on = Fixture::new(patient, EngineConfig::default()).await;
    on.control.fail_next(CREATE, ErrorKind::RateLimited, Outcome::Nothing);
    assert_eq!(state(&on.made(storage()).await), "online");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_nothing_twice() {
    for seed in 0..3 {
        let memory = Config {
            seed,
            lost_answer_rate: 0.3,
            lost_request_rate: 0.2,
            ..Config::remote()
        };
        let on = Fixture::new(memory, EngineConfig::default()).await;
        let mut paths = Vec::new();
        for _ in 0..4 {
            paths.push(on.create(compute()).await.unwrap().entities[0].location.clone());
        }
        assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 4, "seed {seed}");
        for path in &paths {
            assert_eq!(state(&on.seen(path).await), "active");
            on.delete(path).await.unwrap();
        }
        on.settled().await;
        assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 0, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_shows_the_last_step_that_was_told() {
    let on = Fixture::local().await;
    on.compute().await;
    let ended = on.last_operation().await.row;
    assert_eq!(ended.step.as_deref(), Some("compute brought up"));

    let slow = Config {
        work_ms: 60_000,
        ..Config::local()
    };
    let on = Fixture::new(slow, EngineConfig::default()).await;
    on.create_as(&soon(), compute()).await.unwrap();
    let told = async || on.last_operation().await.row.step;
    while told().await.as_deref() != Some("accepted by the engine") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_known_to_be_down_refuses_at_once() {
    let on = Fixture::local().await;
    let made = on.compute().await;
    on.control.set_down(true);
    let error = refused(on.create_as(&caller(), compute()).await, FailureKind::Unavailable);
    assert!(error.retry_after.is_some());
    let found = on.get(&made.location).await.unwrap();
    assert_eq!(found.stale.map(|(_, backend)| backend).as_deref(), Some("memory"));
    assert!(on.engine.health()[0].1.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn core_35_a_request_for_several_makes_all_or_none() {
    let on = Fixture::local().await;
    let wrong = draft(&names::STORAGE, &[("occi.storage.size", "-1")]);
    let root = Where::Unbound("/".into());
    let both = vec![compute(), wrong];
    refused(on.engine.create(&done(), &root, both).await, FailureKind::Invalid);
    assert_eq!(on.paths(&caller(), &root).await.unwrap(), [""; 0]);

    // The second is refused by the engine while the client still waits: the first goes too.
    on.control.fail_next(CREATE, ErrorKind::Invalid, Outcome::Nothing);
    let both = vec![storage(), storage()];
    refused(on.engine.create(&done(), &root, both).await, FailureKind::Invalid);
    on.settled().await;
    assert_eq!(on.paths(&caller(), &root).await.unwrap(), [""; 0]);
    assert_eq!(on.control.count(PROJECT, &names::STORAGE), 0);

    // Also where something runs on what was made already.
    let slow = Config {
        work_ms: 300,
        ..Config::local()
    };
    let busy = Fixture::new(slow, EngineConfig::default()).await;
    busy.control.fail_after(2, CREATE, ErrorKind::Invalid, Outcome::Nothing);
    let both = vec![storage(), with_links(compute(), vec![])];
    let (caller, engine) = (done(), busy.engine.clone());
    let root_there = root.clone();
    let asked = tokio::spawn(async move { engine.create(&caller, &root_there, both).await });
    let first = loop {
        let there = busy.paths(&done(), &at(&names::STORAGE)).await.unwrap();
        // It may go between the two looks.
        if let [path] = there.as_slice()
            && busy.get(path).await.is_ok_and(|found| state(&found.entity) == "online")
        {
            break path.clone();
        }
        if asked.is_finished() {
            break String::new();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let _ = busy.engine.act(&soon(), &first, call("backup"), &NONE).await;
    assert!(asked.await.unwrap().is_err());
    busy.settled().await;
    assert_eq!(
        busy.paths(&done(), &root)
            .await
            .unwrap()
            .iter()
            .filter(|path| !path.starts_with("/network"))
            .count(),
        0
    );
    assert_eq!(busy.control.count(PROJECT, &names::STORAGE), 0);

    let made = on
        .engine
        .create(&done(), &root, vec![storage(), compute()])
        .await
        .unwrap();
    let kinds: Vec<_> = made
        .entities
        .iter()
        .map(|entity| entity.kind.term().to_owned())
        .collect();
    assert_eq!(kinds, ["storage", "compute"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_16_a_collection_takes_its_own_kind_only() {
    let on = Fixture::local().await;
    let elsewhere = on.engine.create(&caller(), &at(&names::STORAGE), vec![compute()]).await;
    refused(elsewhere, FailureKind::Invalid);
    let nothing = on.engine.create(&caller(), &at(&names::COMPUTE), vec![]).await;
    refused(nothing, FailureKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_80_put_chooses_the_path_and_the_id() {
    let on = Fixture::local().await;
    let made = on.engine.create_at(&done(), "/my/vms/web1", compute()).await.unwrap();
    assert_eq!(made.entities[0].location, "/my/vms/web1");
    assert_eq!(made.entities[0].id.as_str(), "web1");
    assert_eq!(
        on.paths(&caller(), &Where::Unbound("/my/".into())).await.unwrap(),
        ["/my/vms/web1"]
    );
    let again = on.engine.create_at(&done(), "/other/web1", compute()).await;
    refused(again, FailureKind::Conflict);
    for path in ["/my/vms/a.b", "/-/x", "/compute", "/storage/vm", "/task/x"] {
        refused(
            on.engine.create_at(&done(), path, compute()).await,
            FailureKind::Invalid,
        );
    }
    let remote = Fixture::remote().await;
    let chosen = remote.engine.create_at(&done(), "/compute/web1", compute()).await;
    refused(chosen, FailureKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_never_uses_more_than_its_quota() {
    let on = Fixture::local().await;
    let quota = Quota {
        cores: Some(3),
        ..Quota::default()
    };
    let limits = Write::SetQuota {
        project: PROJECT.into(),
        limits: quota.into(),
    };
    let commit = Commit {
        writes: vec![limits],
        ..Commit::default()
    };
    on.store.commit(commit).await.unwrap();
    let mut two = compute();
    two.attributes
        .push((names::attribute("occi.compute.cores"), Input::Token("2".into())));
    let first = on.made(two.clone()).await;
    let error = refused(on.create(two.clone()).await, FailureKind::QuotaExceeded);
    assert_eq!(error.code, Some("quota_exceeded"));
    on.delete(&first.location).await.unwrap();
    on.made(two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_63_a_stranger_creates_nothing_here() {
    let on = Fixture::local().await;
    let mut stranger = blue();
    stranger.project = Some(PROJECT.into());
    refused(on.create_as(&stranger, compute()).await, FailureKind::Forbidden);
    let reader = caller_in(PROJECT, Role::Reader, Wait::Accepted);
    refused(on.create_as(&reader, compute()).await, FailureKind::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_gives_the_first_answer_and_makes_nothing() {
    let on = Fixture::local().await;
    let keyed = |hash: &str| {
        let mut caller = done();
        caller.idempotency = Some(("key".into(), hash.into()));
        caller
    };
    let first = on.create_as(&keyed("a"), compute()).await.unwrap();
    let second = on.create_as(&keyed("a"), compute()).await.unwrap();
    assert!(second.replayed && !first.replayed);
    assert_eq!(first.entities[0].location, second.entities[0].location);
    refused(on.create_as(&keyed("b"), compute()).await, FailureKind::KeyReused);
    assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 1);

    let many = futures::future::join_all((0..8).map(|_| {
        let mut caller = done();
        caller.idempotency = Some(("other".into(), "h".into()));
        let on = &on;
        async move {
            on.create_as(&caller, compute()).await.unwrap().entities[0]
                .location
                .clone()
        }
    }))
    .await;
    assert!(many.iter().all(|path| *path == many[0]), "{many:?}");
    assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 2);

    on.delete(&first.entities[0].location).await.unwrap();
    let error = refused(on.create_as(&keyed("a"), compute()).await, FailureKind::NotFound);
    assert!(error.message.contains("deleted since"), "{error}");
    assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_as_soon_as_the_caller_wants_it() {
    // The engine takes longer than anybody waits.
    let memory = Config {
        work_ms: 3_600_000,
        ..Config::remote()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    assert!(on.create_as(&soon(), compute()).await.unwrap().operation.is_some());
    let later = caller_in(PROJECT, Role::Member, Wait::Async);
    let made = on.create_as(&later, compute()).await.unwrap();
    assert!(made.operation.is_some());
    let view = on.engine.operation(&caller(), made.operation.unwrap()).await.unwrap();
    assert!(!view.is_finished());
    refused(on.engine.operation(&blue(), view.row.id).await, FailureKind::NotFound);
}
