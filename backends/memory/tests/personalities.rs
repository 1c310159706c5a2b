//! What the contract suite cannot see: how the two personalities differ, and that the remote one outlives its process.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use futures::StreamExt;
use occi_backend::names::{COMPUTE, NETWORK, NETWORKINTERFACE, action, attribute};
use occi_backend::suite::Silent;
use occi_backend::{
    Backend, Context, Create, CreateLink, Deadline, ErrorKind, Event, Invocation, Outcome, Picture, Scope, Target, Verb,
};
use occi_backend_memory::{Config, Memory};
use occi_model::{Attributes, EntityId};
use std::sync::Arc;
use std::time::Duration;

fn scope() -> Scope {
    Scope {
        project: "lab".to_owned(),
    }
}

fn context(attempt: u32) -> Context {
    Context {
        scope: scope(),
        operation: uuid::Uuid::new_v4(),
        attempt,
        deadline: Deadline::new(Duration::from_secs(60)),
        journal: Arc::new(Silent),
    }
}

fn compute() -> Create {
    Create {
        mark: EntityId::from(uuid::Uuid::new_v4()),
        kind: COMPUTE.clone(),
        os_template: Some("tiny".parse().unwrap()),
        resource_template: None,
        mixins: Vec::new(),
        attributes: Attributes::new(),
        links: vec![CreateLink {
            mark: EntityId::from(uuid::Uuid::new_v4()),
            kind: NETWORKINTERFACE.clone(),
            mixins: Vec::new(),
            attributes: Attributes::new(),
            target: None,
        }],
        ends: None,
        bring_up: true,
    }
}

fn target(create: &Create) -> Target {
    Target {
        kind: create.kind.clone(),
        mark: create.mark.clone(),
        native_id: None,
        project: None,
    }
}

fn state(picture: &Picture) -> &str {
    picture.attributes.get("occi.compute.state").unwrap().as_str().unwrap()
}

/// A cloud whose losses are arranged by the test.
fn faultless_cloud() -> Config {
    Config {
        lost_request_rate: 0.0,
        lost_answer_rate: 0.0,
        ..Config::remote()
    }
}

#[tokio::test]
async fn a_local_engine_takes_our_ids_and_a_cloud_gives_its_own() {
    let create = compute();
    let local = Memory::open(Config::local()).unwrap();
    let pictures = local.create(&context(1), &create).await.unwrap();
    assert_eq!(pictures[0].native_id, create.mark.as_str());
    assert_eq!(state(&pictures[0]), "active");
    assert!(pictures[1].attributes.get("occi.networkinterface.address").is_some());

    let cloud = Memory::open(faultless_cloud()).unwrap();
    let pictures = cloud.create(&context(1), &create).await.unwrap();
    assert_ne!(pictures[0].native_id, create.mark.as_str());
    assert_eq!(pictures[0].mark.as_ref(), Some(&create.mark));
}

#[tokio::test]
async fn a_cloud_asked_twice_without_looking_makes_two() {
    let cloud = Memory::open(faultless_cloud()).unwrap();
    let create = compute();
    cloud.create(&context(1), &create).await.unwrap();
    cloud.create(&context(2), &create).await.unwrap();
    assert_eq!(
        cloud.control().count("lab", &COMPUTE),
        1,
        "a second attempt looks for the mark"
    );
    cloud.create(&context(1), &create).await.unwrap();
    assert_eq!(cloud.control().count("lab", &COMPUTE), 2, "a first attempt does not");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leaves_an_object_that_shows_late() {
    let config = Config {
        lost_answer_rate: 1.0,
        late_ms: 150,
        ..faultless_cloud()
    };
    let cloud = Memory::open(config).unwrap();
    let create = compute();
    let error = cloud.create(&context(1), &create).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Timeout, Outcome::Unknown));
    assert!(cloud.find(&scope(), &target(&create)).await.unwrap().is_none());
    tokio::time::sleep(2 * cloud.capabilities().call_timeout).await;
    assert!(cloud.find(&scope(), &target(&create)).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_listing_of_a_cloud_lags_and_a_find_does_not() {
    let config = Config {
        list_delay_ms: 20,
        ..faultless_cloud()
    };
    let cloud = Memory::open(config).unwrap();
    let create = compute();
    cloud.create(&context(1), &create).await.unwrap();
    let listed = async || cloud.list(&scope(), &COMPUTE).await.unwrap().pictures;
    assert_eq!(
        state(&cloud.find(&scope(), &target(&create)).await.unwrap().unwrap()),
        "active"
    );
    assert_eq!(state(&listed().await[0]), "inactive", "as it was 20 ms ago");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(state(&listed().await[0]), "active");
    cloud.delete(&context(1), &target(&create)).await.unwrap();
    assert_eq!(listed().await.len(), 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(listed().await.len(), 0);
}

#[tokio::test]
async fn a_cloud_with_a_file_is_there_when_its_process_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        path: Some(folder.path().join("cloud")),
        ..faultless_cloud()
    };
    let kept = compute();
    let gone = compute();
    let cloud = Memory::open(config.clone()).unwrap();
    let before = cloud.create(&context(1), &kept).await.unwrap();
    cloud.create(&context(1), &gone).await.unwrap();
    cloud.delete(&context(1), &target(&gone)).await.unwrap();
    let save = Invocation {
        action: action("compute", "save"),
        parameters: [(attribute("name"), "My image".into())].into_iter().collect(),
    };
    let saved = cloud
        .act(&context(1), &target(&kept), &save)
        .await
        .unwrap()
        .template
        .unwrap();
    assert_eq!(saved.term.as_str(), "my-image");

    let busy = Memory::open(config.clone()).err().unwrap();
    assert!(busy.to_string().contains("used by another process"), "{busy}");
    drop(cloud);
    let path = config.path.clone().unwrap();
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("{\"Put\":{\"next\":99,");
    std::fs::write(&path, text).unwrap();

    let cloud = Memory::open(config).unwrap();
    let found = cloud.find(&scope(), &target(&kept)).await.unwrap().unwrap();
    assert_eq!(found, before[0]);
    assert!(cloud.find(&scope(), &target(&gone)).await.unwrap().is_none());
    assert!(cloud.catalogue(&scope()).await.unwrap().templates.contains(&saved));
    let another = cloud.create(&context(1), &compute()).await.unwrap();
    assert_ne!(another[0].native_id, found.native_id, "numbers go on where they were");
    assert_eq!(
        cloud.control().count("lab", &NETWORK),
        1,
        "the default network is found again"
    );
}

#[tokio::test]
async fn what_happens_in_a_local_engine_is_told() {
    let engine = Memory::open(Config::local()).unwrap();
    let mut events = engine.events().unwrap();
    let create = compute();
    engine.create(&context(1), &create).await.unwrap();
    engine.control().power_off("lab", create.mark.as_str());
    engine
        .control()
        .remove_behind_our_back("lab", &COMPUTE, create.mark.as_str());
    let mut states = Vec::new();
    loop {
        match events.next().await.unwrap() {
            Event::Changed(picture) if picture.kind == *COMPUTE => states.push(state(&picture).to_owned()),
            Event::Gone { kind, .. } if kind == *COMPUTE => break,
            _ => {}
        }
    }
    assert_eq!(states, ["inactive", "active", "inactive"]);
}

#[tokio::test]
async fn what_is_arranged_to_fail_fails() {
    let engine = Memory::open(Config {
        memory_gib: Some(1.5),
        ..Config::local()
    })
    .unwrap();
    let control = engine.control();
    let kind = async |create: &Create| {
        engine
            .create(&context(1), create)
            .await
            .map_err(|error| error.kind)
            .err()
    };
    control.fail_next(Verb::Create, ErrorKind::CapacityExhausted, Outcome::Nothing);
    assert_eq!(kind(&compute()).await, Some(ErrorKind::CapacityExhausted));
    assert_eq!(kind(&compute()).await, None);
    assert_eq!(
        kind(&compute()).await,
        Some(ErrorKind::CapacityExhausted),
        "1 GiB is used, 0.5 is left"
    );
    assert_eq!(
        engine.admit(&scope(), &compute()).await.unwrap_err().kind,
        ErrorKind::CapacityExhausted
    );
    control.set_down(true);
    assert_eq!(engine.health().await.unwrap_err().kind, ErrorKind::Unavailable);
    control.set_down(false);
    control.set_refuses_credentials(true);
    assert_eq!(engine.health().await.unwrap_err().kind, ErrorKind::Unauthenticated);
    control.set_refuses_credentials(false);
    engine.health().await.unwrap();
}
