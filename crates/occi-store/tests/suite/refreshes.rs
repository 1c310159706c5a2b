//! Listings against writes.

use crate::fixture::*;
use occi_store::{Change, EventQuery, Observation, Refresh, Refreshed, Usage, Write};

behaviours![
    a_listing_that_shows_nothing_new_writes_the_time_only,
    a_listing_changes_what_the_engine_owns_and_nothing_else,
    an_open_operation_or_a_newer_write_is_not_overwritten,
    an_entity_vanishes_after_two_complete_listings,
    what_has_no_native_id_is_not_missed,
    what_was_removed_is_not_brought_back_by_an_old_listing,
    objects_are_matched_by_our_mark_then_by_native_id,
    an_object_whose_id_is_taken_gets_the_name_of_its_backend,
];

fn seen(name: &str) -> Observation {
    Observation {
        row: compute(name),
        owned: ["occi.compute.cores", "occi.compute.memory"]
            .map(|name| name.parse().unwrap())
            .into(),
        owned_mixins: vec![type_id("os_tpl"), type_id("other_tpl")],
        usage: Usage {
            instances: 1,
            ..Usage::default()
        },
        adopt: true,
    }
}

fn listing(began_ms: i64, observations: impl IntoIterator<Item = Observation>) -> Refresh {
    Refresh {
        backend: "local".into(),
        native_project: String::new(),
        kind: type_id("compute"),
        began_ms,
        complete: true,
        observations: observations.into_iter().collect(),
    }
}

/// A time after everything that was written so far.
async fn now(store: &Shared) -> i64 {
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let now_ms = store.now_ms().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    now_ms
}

async fn take_in(store: &Shared, observations: impl IntoIterator<Item = Observation>) -> Refreshed {
    let began_ms = now(store).await;
    store.refresh(listing(began_ms, observations)).await.unwrap()
}

async fn a_listing_that_shows_nothing_new_writes_the_time_only(store: Shared) {
    let names: Vec<String> = (0..1500).map(|n| format!("c{n}")).collect();
    let first = take_in(&store, names.iter().map(|name| seen(name))).await;
    assert_eq!((first.changed.len(), first.gone.len()), (1500, 0));
    assert_eq!(store.usage("alpha").await.unwrap().instances, 1500);

    let before = get(&store, "c7").await;
    let began_ms = now(&store).await;
    let second = store
        .refresh(listing(began_ms, names.iter().map(|name| seen(name))))
        .await
        .unwrap();
    assert_eq!(
        (second.changed.len(), second.gone.len(), second.event),
        (0, 0, first.event)
    );
    assert_eq!(get(&store, "c7").await, before);
    assert_eq!(
        store.as_of("local", "", type_id("compute").as_str()).await.unwrap(),
        Some(began_ms)
    );
    assert_eq!(
        store
            .as_of("local", "other", type_id("compute").as_str())
            .await
            .unwrap(),
        None
    );
}

async fn a_listing_changes_what_the_engine_owns_and_nothing_else(store: Shared) {
    let mut row = compute("a");
    row.mixins = vec![type_id("os_tpl"), type_id("mine")];
    row.attributes.set("occi.compute.memory".parse().unwrap(), 1.0);
    row.attributes.set("x.mine".parse().unwrap(), "kept");
    write(&store, [insert(row)]).await.unwrap();
    let mut shown = seen("a");
    shown.row.mixins = vec![type_id("other_tpl")];
    shown.row.attributes = attributes([
        ("occi.compute.cores", 8.into()),
        ("occi.core.title", occi_model::Value::from("native")),
    ]);
    shown.row.state = Some("inactive".into());
    shown.row.path = "/ignored".into();
    shown.row.owner = "nobody".into();
    let refreshed = take_in(&store, [shown]).await;
    assert_eq!(refreshed.changed, [id("a")]);

    let found = get(&store, "a").await;
    assert_eq!(found.mixins, [type_id("mine"), type_id("other_tpl")]);
    let expected = attributes([
        ("occi.compute.cores", occi_model::Value::from(8)),
        ("occi.core.title", "a".into()),
        ("x.mine", "kept".into()),
    ]);
    assert_eq!(found.attributes, expected);
    assert_eq!((found.state.as_deref(), found.generation), (Some("inactive"), 2));
    assert_eq!((found.path.as_str(), found.owner.as_str()), ("/compute/a", "ann"));
    assert_eq!(
        told(&events_after(&store, refreshed.event - 1).await),
        [("changed", "a")]
    );
}

async fn an_open_operation_or_a_newer_write_is_not_overwritten(store: Shared) {
    let before = now(&store).await;
    let open = operation("busy");
    let mut busy = compute("busy");
    busy.operation = Some(open.id);
    write(
        &store,
        [
            insert(compute("a")),
            insert(busy),
            Write::InsertOperation(Box::new(open.clone())),
        ],
    )
    .await
    .unwrap();
    let stopped = |name: &str| {
        let mut shown = seen(name);
        shown.row.state = Some("inactive".into());
        shown
    };
    let old = store
        .refresh(listing(before, [stopped("a"), stopped("busy")]))
        .await
        .unwrap();
    assert!(old.changed.is_empty(), "it began before the write");
    assert!(take_in(&store, [seen("a"), stopped("busy")]).await.changed.is_empty());
    assert_eq!(
        store.usage("alpha").await.unwrap().instances,
        1,
        "what is used is counted for the one, not the other"
    );
    for _ in 0..3 {
        assert!(
            take_in(&store, [seen("a")]).await.gone.is_empty(),
            "what is in work is not missed"
        );
    }

    let began_ms = now(&store).await;
    write(
        &store,
        [update(
            "a",
            Change {
                state: Some("suspended".into()),
                ..Change::default()
            },
        )],
    )
    .await
    .unwrap();
    store.refresh(listing(began_ms, [stopped("a")])).await.unwrap();
    assert_eq!(get(&store, "a").await.state.as_deref(), Some("suspended"));

    let done = Change {
        operation: Some(None),
        ..Change::default()
    };
    write(
        &store,
        [
            update("busy", done),
            finish(open.id, occi_store::OperationState::Succeeded),
        ],
    )
    .await
    .unwrap();
    let newest = take_in(&store, [stopped("a"), stopped("busy")]).await;
    assert_eq!(newest.changed, [id("a"), id("busy")]);

    let late = Refresh {
        complete: false,
        ..listing(began_ms, [seen("a")])
    };
    assert!(
        store.refresh(late).await.unwrap().changed.is_empty(),
        "a newer listing was taken in already"
    );
}

async fn an_entity_vanishes_after_two_complete_listings(store: Shared) {
    take_in(&store, ["a", "b", "c"].map(seen)).await;
    write(&store, [insert(link("ab", "a", "b")), insert(link("ca", "c", "a"))])
        .await
        .unwrap();
    let before = store.events(&EventQuery::after(0, 0)).await.unwrap().newest;

    let began_ms = now(&store).await;
    let part = Refresh {
        complete: false,
        ..listing(began_ms, [seen("b")])
    };
    assert!(store.refresh(part).await.unwrap().gone.is_empty());
    let first = take_in(&store, ["b", "c"].map(seen)).await;
    assert_eq!(
        (first.gone.len(), first.event),
        (0, before),
        "missed once, nothing is said"
    );
    assert!(
        take_in(&store, ["a", "b", "c"].map(seen)).await.gone.is_empty(),
        "it came back"
    );
    assert!(
        take_in(&store, ["b", "c"].map(seen)).await.gone.is_empty(),
        "and counts anew"
    );
    write(
        &store,
        [update(
            "a",
            Change {
                touched: true,
                ..Change::default()
            },
        )],
    )
    .await
    .unwrap();
    assert!(
        take_in(&store, ["b", "c"].map(seen)).await.gone.is_empty(),
        "we wrote it in between"
    );

    let second = take_in(&store, ["b", "c"].map(seen)).await;
    let mut gone = second.gone.clone();
    gone.sort();
    assert_eq!(gone, [id("a"), id("ab"), id("ca")]);
    assert_eq!(second.changed, [id("c")], "it lost a link");
    assert_eq!(store.usage("alpha").await.unwrap().instances, 2);
    assert_eq!(
        take_in(&store, ["a", "b", "c"].map(seen)).await.changed,
        [id("a")],
        "found again"
    );
}

async fn what_has_no_native_id_is_not_missed(store: Shared) {
    let mut failed = compute("a");
    failed.native_id = None;
    write(&store, [insert(failed)]).await.unwrap();
    for _ in 0..3 {
        assert!(take_in(&store, []).await.gone.is_empty());
    }
    take_in(&store, [seen("a")]).await;
    take_in(&store, []).await;
    assert_eq!(
        take_in(&store, []).await.gone,
        [id("a")],
        "it was found, and then missed twice"
    );
}

async fn what_was_removed_is_not_brought_back_by_an_old_listing(store: Shared) {
    take_in(&store, [seen("a"), seen("b")]).await;
    write(
        &store,
        [update(
            "a",
            Change {
                hidden: Some(true),
                ..Change::default()
            },
        )],
    )
    .await
    .unwrap();
    assert!(
        take_in(&store, [seen("a"), seen("b")]).await.changed.is_empty(),
        "hidden, and known"
    );
    write(&store, [Write::RemoveEntity(id("a"))]).await.unwrap();

    let mut without_mark = seen("a");
    without_mark.row.id = id("n-a");
    without_mark.row.path = "/compute/n-a".into();
    for shown in [seen("a"), without_mark] {
        assert!(
            take_in(&store, [shown, seen("b")]).await.changed.is_empty(),
            "the listing lags behind"
        );
    }
    let later = store.now_ms().await.unwrap() + 3_600_000;
    let refreshed = store.refresh(listing(later, [seen("a"), seen("b")])).await.unwrap();
    assert_eq!(refreshed.changed, [id("a")], "an hour later it is something new");
}

async fn objects_are_matched_by_our_mark_then_by_native_id(store: Shared) {
    let mut pending = compute("ours");
    pending.native_id = None;
    let mut foreign = compute("foreign");
    foreign.native_id = Some("n-9".into());
    write(&store, [insert(pending), insert(foreign)]).await.unwrap();

    let mut marked = seen("ours");
    marked.row.native_id = Some("n-1".into());
    let mut unmarked = seen("n-9");
    unmarked.row.native_id = Some("n-9".into());
    unmarked.row.state = Some("inactive".into());
    let mut unknown = seen("unknown");
    unknown.adopt = false;
    take_in(&store, [marked, unmarked, unknown]).await;
    assert_eq!(get(&store, "ours").await.native_id.as_deref(), Some("n-1"));
    assert_eq!(get(&store, "foreign").await.state.as_deref(), Some("inactive"));
    assert_eq!(store.entity(&id("n-9")).await.unwrap(), None);
    assert_eq!(store.entity(&id("unknown")).await.unwrap(), None);
}

async fn an_object_whose_id_is_taken_gets_the_name_of_its_backend(store: Shared) {
    let mut other = compute("7");
    other.backend = Some("elsewhere".into());
    other.native_id = Some("7".into());
    write(&store, [insert(other)]).await.unwrap();
    let mut shown = seen("7");
    shown.row.native_id = Some("7".into());
    for _ in 0..2 {
        take_in(&store, [shown.clone()]).await;
        let adopted = get(&store, "local-7").await;
        assert_eq!(
            (adopted.path.as_str(), adopted.native_id.as_deref()),
            ("/compute/local-7", Some("7"))
        );
    }
    assert_eq!(get(&store, "7").await.backend.as_deref(), Some("elsewhere"));
}
