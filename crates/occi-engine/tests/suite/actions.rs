//! Actions.

use crate::fixture::*;
use occi_backend::{ErrorKind, Outcome, Verb, names};
use occi_backend_memory::Config;
use occi_engine::{Caller, EngineConfig, FailureKind, Precondition, Selection};
use occi_model::Input;
use occi_store::{AuditQuery, Role, Store};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn infra_5_a_compute_moves_as_the_diagram_says() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    let seen = async || {
        let entity = on.seen(&path).await;
        (state(&entity), terms(&entity.actions).join(" "))
    };
    assert_eq!(seen().await, ("active".into(), "stop restart suspend save".into()));
    on.act(&path, "suspend").await.unwrap();
    assert_eq!(seen().await, ("suspended".into(), "start".into()));
    refused(on.act(&path, "stop").await, FailureKind::Conflict);
    on.act(&path, "start").await.unwrap();
    on.act(&path, "restart").await.unwrap();
    assert_eq!(seen().await.0, "active");
    on.act_with(&path, "stop", "poweroff").await.unwrap();
    assert_eq!(seen().await, ("inactive".into(), "start save".into()));
    refused(on.act(&path, "stop").await, FailureKind::Conflict);
    refused(on.act(&path, "restart").await, FailureKind::Conflict);
    on.control.crash(PROJECT, path.rsplit('/').next().unwrap());
    for _ in 0..100 {
        if seen().await.0 == "error" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(seen().await, ("error".into(), "start stop".into()));
    on.act(&path, "start").await.unwrap();
    assert_eq!(seen().await.0, "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn infra_39_the_first_start_after_a_creation_is_never_refused() {
    let on = Fixture::local().await;
    let compute = on.compute().await;
    on.act(&compute.location, "start").await.unwrap();
    refused(on.act(&compute.location, "start").await, FailureKind::Conflict);
    let storage = on.made(storage()).await;
    on.act(&storage.location, "online").await.unwrap();
    refused(on.act(&storage.location, "online").await, FailureKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn infra_39_only_the_first_start_joins_a_creation() {
    let memory = Config {
        work_ms: 300,
        ..Config::remote()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let made = on.create_as(&soon(), compute()).await.unwrap();
    let path = &made.entities[0].location;
    let start = async || on.engine.act(&soon(), path, call("start"), &NONE).await;
    assert_eq!(start().await.unwrap().operation, made.operation);
    refused(start().await, FailureKind::Conflict);
    assert_eq!(
        state(&on.seen(path).await),
        "active",
        "the second waits for the creation"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn infra_40_the_same_action_joins_another_conflicts_and_a_deletion_is_taken() {
    let memory = Config {
        latency_ms: 0,
        work_ms: 300,
        lost_answer_rate: 0.0,
        lost_request_rate: 0.0,
        ..Config::remote()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let path = on.compute().await.location.clone();
    let first = on
        .engine
        .act(&soon(), &path, call_by("stop", "poweroff"), &NONE)
        .await
        .unwrap();
    let second = on
        .engine
        .act(&soon(), &path, call_by("stop", "poweroff"), &NONE)
        .await
        .unwrap();
    assert_eq!(first.operation, second.operation);
    // By another method it would be another deed.
    let error = refused(on.act_with(&path, "stop", "graceful").await, FailureKind::Conflict);
    assert_eq!(error.operation, first.operation);
    assert_eq!(terms(&on.seen(&path).await.actions), ["stop"]);
    let error = refused(on.act(&path, "restart").await, FailureKind::Conflict);
    assert_eq!(error.operation, first.operation);
    on.delete(&path).await.unwrap();
    refused(on.get(&path).await, FailureKind::NotFound);
    on.settled().await;
    assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_that_the_guest_ignores_leaves_it_running() {
    let on = Fixture::local().await;
    let mut stubborn = compute();
    stubborn.mixins.push(names::USER_DATA.clone());
    let data = "#!/bin/sh\n# ignore-graceful-stop";
    stubborn
        .attributes
        .push((names::attribute("occi.compute.userdata"), Input::Quoted(data.into())));
    let path = on.made(stubborn).await.location.clone();
    refused(on.act_with(&path, "stop", "graceful").await, FailureKind::Timeout);
    let seen = on.seen(&path).await;
    assert_eq!(state(&seen), "active");
    assert!(message(&seen).contains("stop failed"), "{}", message(&seen));
    on.act_with(&path, "stop", "poweroff").await.unwrap();
    let seen = on.seen(&path).await;
    assert_eq!((state(&seen), message(&seen)), ("inactive".into(), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn infra_4_save_gives_a_template_that_can_be_used_at_once() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    let before = on.engine.model(&caller()).await.unwrap().epoch;
    let mut call = call("save");
    call.parameters
        .push((names::attribute("name"), Input::Quoted("gold".into())));
    let done = on.engine.act(&done(), &path, call, &NONE).await.unwrap();
    let mixin = done.mixin.expect("the new template");
    let model = on.engine.model(&caller()).await.unwrap();
    assert!(model.epoch > before);
    assert!(model.registry.depends_on(mixin.id.as_str(), names::OS_TPL.as_str()));
    let other = on.engine.model(&blue()).await.unwrap();
    assert!(other.registry.mixin(mixin.id.as_str()).is_none(), "another project's");
    let mut copy = compute();
    copy.mixins.push(mixin.id.clone());
    let copy = on.made(copy).await;
    assert!(copy.mixins.contains(&mixin.id));

    // Its project removes it, when nothing is made of it any more.
    let remove = async |caller: Caller| on.engine.remove_mixins(&caller, vec![mixin.id.clone()]).await;
    refused(remove(caller()).await, FailureKind::Conflict);
    on.engine.delete(&self::done(), &copy.location, &NONE).await.unwrap();
    refused(remove(blue()).await, FailureKind::NotFound);
    refused(
        remove(caller_in(PROJECT, Role::Reader, occi_engine::Wait::Accepted)).await,
        FailureKind::Forbidden,
    );
    // Recorded, and then the engine fails: the same key goes on from there, and is done when the template is gone.
    let keyed = || {
        let mut keyed = caller();
        keyed.idempotency = Some(("key".into(), "hash".into()));
        keyed
    };
    on.control
        .fail_next(Verb::RemoveTemplate, ErrorKind::Forbidden, Outcome::Nothing);
    refused(remove(keyed()).await, FailureKind::Forbidden);
    remove(keyed()).await.unwrap();
    let model = on.engine.model(&caller()).await.unwrap();
    assert!(model.registry.mixin(mixin.id.as_str()).is_none());
    remove(keyed()).await.unwrap();
    refused(remove(caller()).await, FailureKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_33_what_is_no_action_is_invalid() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    for nonsense in ["fly", "", "a b", "#", "ä"] {
        refused(on.act(&path, nonsense).await, FailureKind::Invalid);
    }
    refused(on.act_with(&path, "stop", "gently").await, FailureKind::Invalid);
    let mut mismatch = call("stop");
    mismatch.action = Some(names::action("compute", "start"));
    refused(
        on.engine.act(&caller(), &path, mismatch, &NONE).await,
        FailureKind::Invalid,
    );
    let mut foreign = call("up");
    foreign.action = Some(names::action("network", "up"));
    refused(
        on.engine.act(&caller(), &path, foreign, &NONE).await,
        FailureKind::Invalid,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn http_69_if_match_guards_an_action() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    let generation = on.get(&path).await.unwrap().generation;
    let old = Precondition::Generations(vec![generation - 1]);
    let act = |precondition: Precondition| {
        let (engine, path) = (on.engine.clone(), path.clone());
        async move { engine.act(&done(), &path, call("stop"), &precondition).await }
    };
    refused(act(old.clone()).await, FailureKind::PreconditionFailed);
    act(Precondition::Generations(vec![generation])).await.unwrap();
    assert!(on.get(&path).await.unwrap().generation > generation);
    refused(
        on.engine.delete(&done(), &path, &old).await,
        FailureKind::PreconditionFailed,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn http_78_members_that_are_there_already_count_as_done() {
    let on = Fixture::local().await;
    let first = on.compute().await.location.clone();
    let second = on.compute().await.location.clone();
    on.act(&first, "stop").await.unwrap();
    let all = Selection::default();
    let act = async |term: &str| {
        on.engine
            .act_on_collection(&done(), &at(&names::COMPUTE), &all, call(term))
            .await
    };
    act("start").await.unwrap();
    for path in [&first, &second] {
        assert_eq!(state(&on.seen(path).await), "active");
    }
    on.act(&first, "stop").await.unwrap();
    refused(act("restart").await, FailureKind::Conflict);
    assert_eq!(state(&on.seen(&first).await), "inactive", "nothing is done");
    act("stop").await.unwrap();
    assert_eq!(state(&on.seen(&second).await), "inactive");
    refused(act("up").await, FailureKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_operation_on_two_projects_everybody_sees_their_own_part() {
    let memory = Config {
        work_ms: 300,
        ..Config::remote()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let mut alice = soon();
    Arc::make_mut(&mut alice.principal)
        .projects
        .push(("blue".into(), Role::Member));
    on.create_as(&alice, compute()).await.unwrap();
    let in_blue = Caller {
        project: Some("blue".into()),
        ..alice.clone()
    };
    on.create_as(&in_blue, compute()).await.unwrap();
    on.settled().await;
    let (at, all) = (at(&names::COMPUTE), Selection::default());
    let stopped = on
        .engine
        .act_on_collection(&alice, &at, &all, call("stop"))
        .await
        .unwrap();
    let parent = stopped.operation.unwrap();
    let parts = async |caller: &Caller| on.engine.operation(caller, parent).await.unwrap().parts;
    assert_eq!(parts(&alice).await.len(), 2);
    assert_eq!(parts(&caller()).await.len(), 1);
    on.engine.cancel(&caller(), parent).await.unwrap();
    on.settled().await;
    for part in parts(&alice).await {
        assert_eq!(part.cancelled, part.project == PROJECT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_action_is_looked_at_before_it_is_sent_again() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    on.control.fail_next(Verb::Act, ErrorKind::Timeout, Outcome::Unknown);
    on.act_with(&path, "stop", "poweroff").await.unwrap();
    assert_eq!(state(&on.seen(&path).await), "inactive");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_follow_their_compute_also_when_an_action_fails() {
    let on = Fixture::remote().await;
    let made = on.compute().await;
    let nic = links(&made)[0].location.clone();
    assert_eq!(state(&on.seen(&nic).await), "active");
    let row = on.store.entity(&made.id).await.unwrap().unwrap();
    on.control.power_off(PROJECT, &row.native_id.unwrap());
    refused(on.act(&made.location, "suspend").await, FailureKind::Conflict);
    assert_eq!(state(&on.seen(&made.location).await), "inactive");
    assert_eq!(state(&on.seen(&nic).await), "inactive");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_is_cancelled_is_undone() {
    let memory = Config {
        work_ms: 300,
        ..Config::remote()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let made = on.create_as(&soon(), compute()).await.unwrap();
    let operation = made.operation.unwrap();
    refused(on.engine.cancel(&blue(), operation).await, FailureKind::NotFound);
    on.engine.cancel(&caller(), operation).await.unwrap();
    let records = on.store.audit(&AuditQuery::default()).await.unwrap();
    assert!(
        records
            .iter()
            .any(|record| record.verb == "cancel" && record.outcome == "accepted")
    );
    on.settled().await;
    refused(on.get(&made.entities[0].location).await, FailureKind::NotFound);
    assert_eq!(on.control.count(PROJECT, &names::COMPUTE), 0);
    refused(on.engine.cancel(&caller(), operation).await, FailureKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_engine_that_failed_on_the_way_is_asked_again_without_waiting_for_the_first_call() {
    // A call of a cloud might still be under way for hours.
    let memory = Config {
        call_timeout_ms: 3_600_000,
        ..Config::local()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let path = on.compute().await.location.clone();
    on.control
        .fail_next(Verb::Act, ErrorKind::Unavailable, Outcome::Unknown);
    let done = on.act_with(&path, "restart", "cold").await.unwrap();
    assert_eq!(done.operation, None, "it has ended");
    assert_eq!(state(&on.seen(&path).await), "active");
}
