//! Deleting.

use crate::fixture::*;
use occi_backend::layers::Faults;
use occi_backend::{ErrorKind, Outcome, Verb, names};
use occi_backend_memory::Config;
use occi_engine::{EngineConfig, FailureKind, Selection, Source, Where};
use occi_model::Input;
use occi_store::{OperationState, Store};
use std::sync::{Arc, Mutex, mpsc};
use tokio::sync::oneshot;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn http_30_what_is_deleted_is_gone_at_once() {
    let memory = Config {
        work_ms: 300,
        ..Config::remote()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let made = on.compute().await;
    let nic = links(&made)[0].location.clone();
    let deleted = on.engine.delete(&soon(), &made.location, &NONE).await.unwrap();
    assert!(deleted.operation.is_some());
    for path in [&made.location, &nic] {
        refused(on.get(path).await, FailureKind::NotFound);
    }
    refused(on.delete(&made.location).await, FailureKind::NotFound);
    on.settled().await;
    assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_is_superseded_by_its_deletion() {
    for wait_ms in [0, 30, 80, 200] {
        let memory = Config {
            work_ms: 100,
            ..Config::remote()
        };
        let on = Fixture::new(memory, EngineConfig::default()).await;
        let made = on.create_as(&soon(), compute()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
        on.delete(&made.entities[0].location).await.unwrap();
        on.settled().await;
        assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 0, "after {wait_ms} ms");
        assert_eq!(
            on.paths(&caller(), &at(&names::NETWORKINTERFACE)).await.unwrap(),
            [""; 0]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_hangs_on_this_host_does_not_hold_up_its_deletion() {
    let memory = Config {
        call_timeout_ms: 60_000,
        ..Config::local()
    };
    for fault in ["create:start:hang", "create:1:hang"] {
        let faults = Faults::default();
        faults.add(fault.parse().unwrap());
        let on = Fixture::faulty(memory.clone(), EngineConfig::default(), faults).await;
        let made = on.create_as(&soon(), compute()).await.unwrap();
        on.delete(&made.entities[0].location).await.unwrap();
        on.settled().await;
        assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_creation_leaves_the_engines_id_to_its_deletion() {
    let memory = Config {
        work_ms: 1000,
        ..Config::remote()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let made = on.create_as(&caller(), compute()).await.unwrap();
    let (entity, creation) = (&made.entities[0], made.operation.unwrap());
    on.engine.delete(&soon(), &entity.location, &NONE).await.unwrap();
    // What the deletion begins with stays as it is.
    on.control.set_down(true);
    while on.store.operation(creation).await.unwrap().unwrap().state != OperationState::Failed {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let left = on.store.entity(&entity.id).await.unwrap().unwrap();
    assert!(left.native_id.is_some());
    on.control.set_down(false);
    on.settled().await;
    assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_deleted_comes_back_with_a_message() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    on.control
        .fail_next(Verb::Delete, ErrorKind::Forbidden, Outcome::Nothing);
    refused(on.delete(&path).await, FailureKind::Forbidden);
    let seen = on.seen(&path).await;
    assert_eq!(state(&seen), "active");
    assert!(message(&seen).contains("delete failed"), "{}", message(&seen));
    assert_eq!(links(&seen).len(), 1);
    on.delete(&path).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_goes_after_what_uses_it() {
    for memory in [Config::local(), Config::remote()] {
        let memory = Config { work_ms: 200, ..memory };
        let on = Fixture::new(memory, EngineConfig::default()).await;
        let disks = [on.made(storage()).await, on.made(storage()).await];
        let inline = link(&names::STORAGELINK, &disks[0].location);
        let compute = on.made(with_links(compute(), vec![inline])).await;
        let link = on
            .made(between(&names::STORAGELINK, &compute.location, &disks[1].location))
            .await;
        for (user, used) in [(&link, &disks[1]), (&compute, &disks[0])] {
            on.engine.delete(&soon(), &user.location, &NONE).await.unwrap();
            on.delete(&used.location).await.unwrap();
        }
        on.settled().await;
        assert_eq!(on.control.count(PROJECT, &names::STORAGE), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn core_28_a_link_goes_when_its_target_goes() {
    let on = Fixture::local().await;
    let compute = on.compute().await;
    let mut group = draft(&names::SECURITYGROUP, &[]);
    let rules = r#"[{"protocol":"tcp","type":"inbound","port":"22"}]"#;
    group.attributes.push((
        names::attribute("occi.securitygroup.rules"),
        Input::Quoted(rules.into()),
    ));
    let group = on.made(group).await;
    let link = on
        .made(between(&names::SECURITYGROUPLINK, &compute.location, &group.location))
        .await;
    on.delete(&group.location).await.unwrap();
    on.settled().await;
    refused(on.get(&link.location).await, FailureKind::NotFound);
    assert_eq!(links(&*on.seen(&compute.location).await).len(), 1);
    for kind in [&names::SECURITYGROUP, &names::SECURITYGROUPLINK] {
        assert_eq!(on.control.count(PROJECT, kind), 0, "{}", kind.term());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn core_27_a_deleted_link_is_gone_from_its_source() {
    let on = Fixture::local().await;
    let storage = on.made(storage()).await;
    let compute = on.compute().await;
    let before = on.get(&compute.location).await.unwrap().generation;
    let disk = on
        .made(between(&names::STORAGELINK, &compute.location, &storage.location))
        .await;
    let with = on.get(&compute.location).await.unwrap();
    assert_eq!(links(&with.entity).len(), 2);
    assert!(with.generation > before, "the ETag covers the links");
    on.delete(&disk.location).await.unwrap();
    let without = on.get(&compute.location).await.unwrap();
    assert_eq!(links(&without.entity).len(), 1);
    assert!(without.generation > with.generation);
    on.delete(&storage.location).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn http_38_a_collection_is_deleted_whole_or_in_part() {
    let on = Fixture::local().await;
    let all = Selection::default();
    let root = Where::Unbound("/".into());
    let paths = [on.compute().await.location.clone(), on.compute().await.location.clone()];
    let storage = on.made(storage()).await;
    on.made(between(&names::STORAGELINK, &paths[0], &storage.location))
        .await;
    let wrong = on
        .engine
        .delete_collection(
            &done(),
            &at(&names::COMPUTE),
            &all,
            Some(vec![storage.location.clone()]),
        )
        .await;
    refused(wrong, FailureKind::NotFound);
    let one = Some(vec![paths[1].clone()]);
    on.engine
        .delete_collection(&done(), &at(&names::COMPUTE), &all, one)
        .await
        .unwrap();
    refused(on.get(&paths[1]).await, FailureKind::NotFound);
    on.seen(&paths[0]).await;
    let everything = on.engine.delete_collection(&done(), &root, &all, None).await.unwrap();
    assert!(everything.entities >= 4, "{}", everything.entities);
    on.settled().await;
    assert_eq!(on.paths(&caller(), &root).await.unwrap(), [""; 0]);
    assert_eq!(on.control.count(PROJECT, &names::STORAGE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_deletes_a_collection_that_others_delete_finds_nothing_wrong_with_that() {
    let on = Fixture::local().await;
    let all = Selection::default();
    for _ in 0..10 {
        for _ in 0..5 {
            on.compute().await;
        }
        let delete = async || {
            on.engine
                .delete_collection(&done(), &at(&names::COMPUTE), &all, None)
                .await
        };
        let (one, other, third, fourth) = tokio::join!(delete(), delete(), delete(), delete());
        let entities = [one, other, third, fourth].map(|deleted| deleted.unwrap().entities);
        assert!(entities.iter().sum::<usize>() >= 5, "{entities:?}");
        let left = on.paths(&caller(), &at(&names::COMPUTE)).await.unwrap();
        assert_eq!(left, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_fails_half_way_shows_what_is_left() {
    let on = Fixture::local().await;
    let storage = on.made(storage()).await;
    let disk = link(&names::STORAGELINK, &storage.location);
    let made = on.made(with_links(compute(), vec![disk])).await;
    assert_eq!(links(&made).len(), 2);
    // The links go first, the first of them well.
    on.control
        .fail_after(1, Verb::Delete, ErrorKind::Unexpected, Outcome::Unknown);
    refused(on.delete(&made.location).await, FailureKind::BadGateway);
    assert_eq!(links(&*on.seen(&made.location).await).len(), 1);
    for kind in [&names::NETWORKINTERFACE, &names::STORAGELINK] {
        let shown = on.paths(&caller(), &at(kind)).await.unwrap();
        assert_eq!(shown.len(), on.control.count(PROJECT, kind), "{}", kind.term());
    }
    assert_eq!(on.engine.check().await.unwrap(), [""; 0]);
    on.delete(&made.location).await.unwrap();
    assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_accepted_deletion_frees_can_be_used_at_once() {
    for memory in [Config::local(), Config::remote()] {
        let memory = Config { work_ms: 200, ..memory };
        let on = Fixture::new(memory, EngineConfig::default()).await;
        let disk = on.made(storage()).await.location.clone();
        let computes = [on.compute().await, on.compute().await];
        let to = |compute: usize| between(&names::STORAGELINK, &computes[compute].location, &disk);
        let mut attached = on.made(to(0)).await;
        for compute in [0, 1] {
            on.engine.delete(&soon(), &attached.location, &NONE).await.unwrap();
            attached = on.made(to(compute)).await;
        }
        on.engine.delete(&soon(), &computes[1].location, &NONE).await.unwrap();
        let inline = link(&names::STORAGELINK, &disk);
        let made = on.made(with_links(compute(), vec![inline])).await;
        assert_eq!(links(&made).len(), 2);
        // What nobody takes away is in use as before.
        let error = refused(on.create(to(0)).await, FailureKind::Conflict);
        assert_eq!(error.operation, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_an_accepted_deletion_frees_can_be_taken_at_once() {
    let memory = Config {
        work_ms: 200,
        ..Config::local()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let put = async || on.engine.create_at(&done(), "/mine/vm-1", compute()).await;
    for _ in 0..2 {
        put().await.unwrap();
        assert_eq!(state(&on.seen("/mine/vm-1").await), "active");
        on.engine.delete(&soon(), "/mine/vm-1", &NONE).await.unwrap();
    }
    on.settled().await;
    assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_another_project_leaves_is_taken_and_no_operation_is_named() {
    let (held, ground) = (Held::new(&[Verb::Delete]), Ground::new(Config::local()));
    let on = held.rise(&ground).await;
    on.engine.create_at(&done(), "/mine/vm-1", compute()).await.unwrap();
    let deletion = on.engine.delete(&soon(), "/mine/vm-1", &NONE).await.unwrap();
    assert!(deletion.operation.is_some());
    let put = on.engine.create_at(&blue(), "/mine/vm-1", compute()).await;
    let error = refused(put, FailureKind::Conflict);
    assert_eq!(
        (error.operation, error.message.contains("deleted")),
        (None, false),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_of_which_one_is_used_meanwhile_are_not_deleted_and_then_back() {
    // Who plans an operation may be held in the moment in which it gets its id, with all read and nothing written.
    type Hold = (oneshot::Sender<()>, mpsc::Receiver<()>);
    let hold = Arc::new(Mutex::new(None::<Hold>));
    let held = hold.clone();
    let operation = move || {
        let hold = held.lock().unwrap().take();
        if let Some((planned, go_on)) = hold {
            planned.send(()).unwrap();
            go_on.recv().unwrap();
        }
        Uuid::now_v7()
    };
    let config = EngineConfig {
        source: Source {
            operation: Arc::new(operation),
            ..Source::default()
        },
        ..EngineConfig::default()
    };
    let on = Arc::new(Fixture::new(Config::local(), config).await);
    let compute = on.compute().await.location.clone();
    let networks = [on.made(network()).await, on.made(network()).await];
    let paths = networks.map(|network| network.location.clone());
    let (planned, is_planned) = oneshot::channel();
    let (let_go, go_on) = mpsc::channel();
    *hold.lock().unwrap() = Some((planned, go_on));
    let (leads, leading) = (on.clone(), between(&names::NETWORKINTERFACE, &compute, &paths[0]));
    let led = tokio::spawn(async move {
        is_planned.await.unwrap();
        let led = leads.create(leading).await;
        let_go.send(()).unwrap();
        led
    });
    let (kind, all, only) = (at(&names::NETWORK), Selection::default(), Some(paths.to_vec()));
    let deleted = on.engine.delete_collection(&done(), &kind, &all, only).await;
    refused(deleted, FailureKind::Conflict);
    led.await.unwrap().unwrap();
    on.settled().await;
    for path in &paths {
        on.seen(path).await;
    }
}
