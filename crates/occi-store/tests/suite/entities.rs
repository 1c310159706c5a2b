//! Commits of entities: requirements, uniqueness, generations, events, quota.

use crate::fixture::*;
use occi_model::{Attributes, LinkEnd, Value};
use occi_store::{
    Audit, AuditQuery, Change, Commit, EventQuery, IdempotencyRow, OverQuota, Quota, Refused, Require, Sees,
    StoreError, Usage, Visibility, Way, Write,
};
use uuid::Uuid;

behaviours![
    an_entity_comes_back_as_it_was_written,
    ids_paths_and_native_ids_are_unique,
    a_failed_requirement_writes_nothing_but_the_audit,
    requirements_judge_what_is_there_now,
    the_generation_grows_when_a_client_can_see_a_difference,
    a_link_that_changes_grows_its_source,
    a_removed_entity_takes_its_links_along,
    a_link_keeps_its_target_from_being_removed,
    events_are_numbered_without_gaps_in_the_order_of_commits,
    events_past_their_retention_are_forgotten,
    nothing_is_written_after_an_event_that_was_not_seen,
    a_reading_of_events_looks_at_so_many_and_says_how_far_it_came,
    quota_is_reserved_and_released,
    concurrent_commits_all_count,
];

async fn an_entity_comes_back_as_it_was_written(store: Shared) {
    let mut row = compute("a");
    row.mixins = vec![type_id("b-first"), type_id("a-second")];
    row.visibility = Visibility::Projects(vec!["beta".into(), "gamma".into()]);
    row.attributes = attributes([
        ("x.text", Value::from("ünï \"quoted\"")),
        ("x.float", Value::from(2.0)),
        ("x.list", Value::List(vec![1.into(), true.into()])),
    ]);
    let mut pointing = link("l", "a", "a");
    pointing.target = Some(LinkEnd {
        location: "http://elsewhere.example/x".into(),
        kind: None,
    });
    pointing.target_id = None;
    write(&store, [project("gamma")]).await.unwrap();
    write(&store, [insert(row.clone()), insert(pointing.clone())])
        .await
        .unwrap();

    let found = get(&store, "a").await;
    row.seq = found.seq;
    assert_eq!(found, row);
    assert_eq!(store.entity_at("/compute/a").await.unwrap(), Some(row.clone()));
    assert_eq!(
        store
            .natives("local", &type_id("compute"), &["n-a".into()])
            .await
            .unwrap(),
        [row.clone()]
    );
    let found = get(&store, "l").await;
    pointing.seq = found.seq;
    assert_eq!(found, pointing);
    assert_eq!(store.links_of(&[id("a")]).await.unwrap(), [pointing.clone()]);
    let with_links = async |path: &str| store.entity_at_with_links(path).await.unwrap();
    assert_eq!(with_links("/compute/none").await, None);
    assert_eq!(with_links(&pointing.path).await, Some((pointing.clone(), Vec::new())));
    assert_eq!(with_links("/compute/a").await, Some((row.clone(), vec![pointing])));
    let names: Vec<_> = store.entities(&[id("l"), id("none"), id("a")]).await.unwrap();
    assert_eq!(names.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["l", "a"]);
}

async fn ids_paths_and_native_ids_are_unique(store: Shared) {
    write(&store, [insert(compute("a"))]).await.unwrap();
    let taken = |what, name: &str| Refused::Taken {
        what,
        name: name.into(),
    };

    assert_eq!(refused(write(&store, [insert(compute("a"))]).await), taken("id", "a"));
    let mut elsewhere = compute("a");
    elsewhere.path = "/elsewhere/a".into();
    assert_eq!(refused(write(&store, [insert(elsewhere)]).await), taken("id", "a"));
    assert_eq!(store.entity_at("/elsewhere/a").await.unwrap(), None);
    let mut other = compute("b");
    other.path = "/compute/a".into();
    let nameless = write(&store, [insert(other)]).await;
    assert!(
        matches!(nameless, Err(StoreError::Failed(_))),
        "a path ends with its id"
    );
    let mut other = compute("b");
    other.native_id = Some("n-a".into());
    assert_eq!(
        refused(write(&store, [insert(other.clone())]).await),
        taken("native id", "n-a")
    );
    other.native_project = "another".into();
    write(&store, [insert(other)]).await.unwrap();

    // Many engines call a thing as we do.
    let named = |name: &str, native_id: &str| {
        let mut row = compute(name);
        row.native_id = Some(native_id.into());
        insert(row)
    };
    write(&store, [named("same", "same"), named("f", "g")]).await.unwrap();
    for (name, native_id) in [("d", "same"), ("g", "g"), ("h", "g")] {
        let second = refused(write(&store, [named(name, native_id)]).await);
        assert_eq!(second, taken("native id", native_id));
    }
    let row = get(&store, "same").await;
    let (backend, kind) = (row.backend.as_deref().unwrap(), &row.kind);
    let natives = ["g", "n-a", "none", "same"].map(str::to_owned);
    let mut found = store.natives(backend, kind, &natives).await.unwrap();
    found.sort_by_key(|row| row.seq);
    let found: Vec<_> = found.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(found, ["a", "b", "same", "f"]);

    let mut unknown = compute("c");
    unknown.native_id = None;
    write(&store, [insert(unknown)]).await.unwrap();
    let native = |native_id: Option<&str>| Change {
        native_id: Some(native_id.map(Into::into)),
        ..Change::default()
    };
    for native_id in ["n-a", "same"] {
        let second = write(&store, [update("c", native(Some(native_id)))]).await;
        assert_eq!(refused(second), taken("native id", native_id));
    }
    write(&store, [update("a", native(None)), update("c", native(Some("n-a")))])
        .await
        .unwrap();
}

async fn a_failed_requirement_writes_nothing_but_the_audit(store: Shared) {
    let line = Audit {
        id: Uuid::now_v7(),
        at_ms: 5,
        principal: "ann".into(),
        project: Some("alpha".into()),
        verb: "create".into(),
        path: "/compute/".into(),
        outcome: "refused".into(),
        detail: "\u{e4}".repeat(1000),
        request: "r1".into(),
    };
    let commit = Commit {
        require: vec![Require::Exists(id("none"))],
        writes: vec![insert(compute("a"))],
        audit: vec![line.clone()],
    };
    assert_eq!(refused(store.commit(commit).await), Refused::NoEntity(id("none")));
    assert_eq!(store.entity(&id("a")).await.unwrap(), None);

    let second = Audit {
        id: Uuid::now_v7(),
        principal: "bob".into(),
        ..line.clone()
    };
    // What clients wrote is kept in short.
    let long = Audit {
        detail: "\u{e4}".repeat(1 << 20),
        ..second.clone()
    };
    let late = Commit {
        writes: vec![insert(compute("a")), Write::RemoveEntity(id("none"))],
        audit: vec![long],
        ..Commit::default()
    };
    assert_eq!(refused(store.commit(late).await), Refused::NoEntity(id("none")));
    assert_eq!(
        store.entity(&id("a")).await.unwrap(),
        None,
        "the first write was undone"
    );
    assert_eq!(store.events(&EventQuery::after(0, 10)).await.unwrap().events, []);

    assert_eq!(
        store.audit(&AuditQuery::default()).await.unwrap(),
        [second, line.clone()]
    );
    let anns = AuditQuery {
        principal: Some("ann".into()),
        project: Some("alpha".into()),
        limit: 1,
    };
    assert_eq!(store.audit(&anns).await.unwrap(), [line]);
}

async fn requirements_judge_what_is_there_now(store: Shared) {
    let open = operation("a");
    let mut hidden = compute("gone");
    hidden.hidden = true;
    write(
        &store,
        [
            insert(compute("a")),
            insert(hidden),
            Write::InsertOperation(Box::new(open.clone())),
        ],
    )
    .await
    .unwrap();
    let ask = async |requirement: Require| {
        store
            .commit(Commit {
                require: vec![requirement],
                ..Commit::default()
            })
            .await
            .map(drop)
    };

    ask(Require::Generation {
        id: id("a"),
        generation: 1,
    })
    .await
    .unwrap();
    let stale = ask(Require::Generation {
        id: id("a"),
        generation: 7,
    })
    .await;
    assert_eq!(
        refused(stale),
        Refused::Generation {
            id: id("a"),
            current: 1
        }
    );
    assert_eq!(
        refused(ask(Require::Exists(id("gone"))).await),
        Refused::NoEntity(id("gone"))
    );
    let hidden = ask(Require::Generation {
        id: id("gone"),
        generation: 1,
    })
    .await;
    assert_eq!(refused(hidden), Refused::NoEntity(id("gone")));

    ask(Require::Idle(id("a"))).await.unwrap();
    let begin = Change {
        operation: Some(Some(open.id)),
        ..Change::default()
    };
    write(&store, [update("a", begin)]).await.unwrap();
    let busy = Refused::Busy {
        id: id("a"),
        operation: open.id,
        verb: "start".into(),
    };
    assert_eq!(refused(ask(Require::Idle(id("a"))).await), busy);

    ask(Require::NotCancelled(open.id)).await.unwrap();
    write(&store, [Write::CancelOperation(open.id)]).await.unwrap();
    assert_eq!(
        refused(ask(Require::NotCancelled(open.id)).await),
        Refused::Cancelled(open.id)
    );
}

async fn the_generation_grows_when_a_client_can_see_a_difference(store: Shared) {
    write(&store, [insert(compute("a"))]).await.unwrap();
    let cores = |cores: i64| Change {
        set: attributes([("occi.compute.cores", cores)]),
        ..Change::default()
    };

    let committed = write(&store, [update("a", cores(4))]).await.unwrap();
    assert_eq!(committed.generations, [(id("a"), 2)].into());
    assert_eq!(
        get(&store, "a").await.attributes.get("occi.compute.cores"),
        Some(&4.into())
    );

    let again = write(&store, [update("a", cores(4))]).await.unwrap();
    assert_eq!(again.generations, [(id("a"), 2)].into(), "nothing differs");
    assert_eq!(again.event, committed.event, "and there is nothing to tell");

    let touched = write(
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
    assert_eq!(touched.generations, [(id("a"), 2)].into());
    assert!(!get(&store, "a").await.untouched);

    let removed = Change {
        unset: vec!["occi.compute.cores".parse().unwrap()],
        ..Change::default()
    };
    assert_eq!(
        write(&store, [update("a", removed)]).await.unwrap().generations,
        [(id("a"), 3)].into()
    );

    let hide = Change {
        hidden: Some(true),
        ..Change::default()
    };
    let before = write(&store, [update("a", hide)]).await.unwrap().event;
    let show = Change {
        hidden: Some(false),
        ..Change::default()
    };
    write(&store, [update("a", show)]).await.unwrap();
    assert_eq!(
        told(&events_after(&store, before - 1).await),
        [("deleted", "a"), ("created", "a")]
    );
    assert_eq!(
        refused(write(&store, [update("none", cores(1))]).await),
        Refused::NoEntity(id("none"))
    );
}

async fn a_link_that_changes_grows_its_source(store: Shared) {
    write(
        &store,
        [insert(compute("a")), insert(compute("b")), insert(link("l", "a", "b"))],
    )
    .await
    .unwrap();
    assert_eq!(get(&store, "a").await.generation, 1, "they were made together");

    let made = write(&store, [insert(link("m", "a", "b"))]).await.unwrap();
    assert_eq!(made.generations, [(id("m"), 1), (id("a"), 2)].into());
    let state = Change {
        state: Some("inactive".into()),
        ..Change::default()
    };
    write(&store, [update("l", state)]).await.unwrap();
    assert_eq!(get(&store, "a").await.generation, 3);

    let moved = Change {
        source: Some(id("b")),
        ..Change::default()
    };
    let last = write(&store, [update("l", moved)]).await.unwrap().event;
    assert_eq!(
        (get(&store, "a").await.generation, get(&store, "b").await.generation),
        (4, 2)
    );
    assert_eq!(
        told(&events_after(&store, last - 3).await),
        [("changed", "l"), ("changed", "a"), ("changed", "b")],
        "it leaves one and comes to the other"
    );
    write(&store, [Write::RemoveEntity(id("m"))]).await.unwrap();
    assert_eq!(get(&store, "a").await.generation, 5);

    let state = |state: &str| Change {
        state: Some(state.into()),
        ..Change::default()
    };
    let both = write(&store, [update("b", state("error")), update("l", state("error"))]).await;
    assert_eq!(
        both.unwrap().generations,
        [(id("b"), 3), (id("l"), 4)].into(),
        "it grew once"
    );
}

async fn a_removed_entity_takes_its_links_along(store: Shared) {
    let rows = [
        compute("a"),
        compute("b"),
        compute("c"),
        link("ab", "a", "b"),
        link("ca", "c", "a"),
        link("cb", "c", "b"),
    ];
    let mixed = rows.map(|mut row| {
        row.mixins = vec![type_id("m")];
        row.visibility = Visibility::Public;
        insert(row)
    });
    let before = write(&store, mixed).await.unwrap().event;
    write(&store, [Write::RemoveEntity(id("a"))]).await.unwrap();

    let events = events_after(&store, before).await;
    let mut told = told(&events);
    told.sort_unstable();
    assert_eq!(
        told,
        [("changed", "c"), ("deleted", "a"), ("deleted", "ab"), ("deleted", "ca")]
    );
    assert_eq!(store.links_to(&id("b")).await.unwrap().len(), 1);
    assert_eq!(store.links_of(&[id("c"), id("a")]).await.unwrap().len(), 1);
    write(&store, [insert(compute("a"))]).await.unwrap();
}

async fn a_link_keeps_its_target_from_being_removed(store: Shared) {
    write(
        &store,
        [insert(compute("a")), insert(compute("b")), insert(link("l", "a", "b"))],
    )
    .await
    .unwrap();
    let remove_but = |name: &str, but: &[&str]| Commit {
        require: vec![Require::NotTargeted {
            id: id(name),
            but: but.iter().map(|link| id(link)).collect(),
        }],
        writes: vec![Write::RemoveEntity(id(name))],
        ..Commit::default()
    };
    let remove = |name: &str| remove_but(name, &[]);
    let by = |link: &str| Refused::Targeted {
        id: id("b"),
        by: format!("/storagelink/{link}"),
    };
    assert_eq!(refused(store.commit(remove("b")).await), by("l"));
    write(&store, [insert(link("m", "a", "b"))]).await.unwrap();
    assert_eq!(refused(store.commit(remove_but("b", &["l"])).await), by("m"));
    assert_eq!(refused(store.commit(remove_but("b", &["m", "gone"])).await), by("l"));
    write(&store, [Write::RemoveEntity(id("m"))]).await.unwrap();
    write(
        &store,
        [update(
            "l",
            Change {
                hidden: Some(true),
                ..Change::default()
            },
        )],
    )
    .await
    .unwrap();
    store.commit(remove("b")).await.unwrap();
}

async fn events_are_numbered_without_gaps_in_the_order_of_commits(store: Shared) {
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let writes = [insert(compute(&format!("a{n}"))), insert(compute(&format!("b{n}")))];
                write(&store, writes).await.unwrap().event
            })
        })
        .collect();
    let mut last = Vec::new();
    for task in tasks {
        last.push(task.await.unwrap());
    }
    last.sort_unstable();
    assert_eq!(last, (1..=40).map(|n| 2 * n).collect::<Vec<_>>());

    let page = store.events(&EventQuery::after(0, 1000)).await.unwrap();
    assert_eq!(
        page.events.iter().map(|event| event.number).collect::<Vec<_>>(),
        (1..=80).collect::<Vec<_>>()
    );
    assert_eq!((page.oldest, page.newest), (1, 80));
    let names: Vec<_> = page.events.iter().map(|event| event.entity.clone().unwrap()).collect();
    for pair in names.chunks(2) {
        assert_eq!(
            pair[0].as_str()[1..],
            pair[1].as_str()[1..],
            "a commit's events stand together"
        );
    }
    let part = store.events(&EventQuery::after(78, 1)).await.unwrap();
    assert_eq!((part.events[0].number, part.events.len(), part.newest), (79, 1, 80));

    let model = write(&store, [Write::ModelChanged(Some("alpha".into()))])
        .await
        .unwrap()
        .event;
    let event = &events_after(&store, model - 1).await[0];
    assert_eq!(
        (event.what.as_str(), event.project.as_deref(), &event.entity),
        ("model", Some("alpha"), &None)
    );
}

async fn events_past_their_retention_are_forgotten(store: Shared) {
    for n in 0..10 {
        write(&store, [insert(compute(&format!("a{n}")))]).await.unwrap();
    }
    store.sweep(0, 4, 0, 0, 0).await.unwrap();
    let page = store.events(&EventQuery::after(0, 100)).await.unwrap();
    assert_eq!((page.oldest, page.newest, page.events.len()), (7, 10, 4));
    assert_eq!(page.reached, 10);
    store.sweep(i64::MAX, 1000, 0, 0, 0).await.unwrap();
    let page = store.events(&EventQuery::after(0, 100)).await.unwrap();
    assert_eq!(
        (page.oldest, page.newest, page.events.len()),
        (11, 10, 0),
        "a reader at 10 missed nothing"
    );

    // More than one step's worth of everything.
    let key = |n: i64| {
        Write::InsertIdempotency(IdempotencyRow {
            principal: "ann".into(),
            project: "alpha".into(),
            key: (i64::MAX - n).to_string(),
            hash: "hash".into(),
            operation: None,
            answer: serde_json::json!({}),
            expires_ms: n,
        })
    };
    let names = || (0..1200).map(|n| format!("b{n}"));
    write(&store, names().map(|name| insert(compute(&name)))).await.unwrap();
    write(&store, names().map(|name| Write::RemoveEntity(id(&name))))
        .await
        .unwrap();
    write(&store, (0..1200).map(|n| key(i64::MAX - n))).await.unwrap();
    store.sweep(0, 100, 0, 0, i64::MAX - 10).await.unwrap();
    let page = store.events(&EventQuery::after(0, 10_000)).await.unwrap();
    assert_eq!((page.oldest, page.events.len()), (page.newest - 99, 100));
    assert!(store.idempotency("ann", "alpha", "9").await.unwrap().is_some());
    for expired in ["10", "11", "1199"] {
        assert_eq!(store.idempotency("ann", "alpha", expired).await.unwrap(), None);
    }
}

async fn a_reading_of_events_looks_at_so_many_and_says_how_far_it_came(store: Shared) {
    write(&store, [insert(compute("first"))]).await.unwrap();
    let others = |count: usize| (0..count).map(|_| Write::ModelChanged(Some("beta".into())));
    write(&store, others(10_000)).await.unwrap();
    write(&store, [insert(compute("a")), insert(compute("b"))])
        .await
        .unwrap();
    let read = async |way: Way, limit: u32| {
        let query = EventQuery {
            sees: Sees::Projects(vec!["alpha".into()]),
            way,
            ..EventQuery::after(0, limit)
        };
        let page = store.events(&query).await.unwrap();
        let numbers: Vec<_> = page.events.iter().map(|event| event.number).collect();
        (numbers, page.reached)
    };
    assert_eq!(read(Way::After(0), 10).await, (vec![1], 10_000));
    assert_eq!(read(Way::After(1), 10).await, (vec![], 10_001));
    assert_eq!(read(Way::After(10_001), 10).await, (vec![10_002, 10_003], 10_003));
    assert_eq!(read(Way::After(10_001), 1).await, (vec![10_002], 10_002));
    assert_eq!(read(Way::Before(i64::MAX), 1).await, (vec![10_003], 10_003));
    assert_eq!(read(Way::Before(i64::MAX), 10).await, (vec![10_002, 10_003], 4));
    assert_eq!(read(Way::Before(4), 1).await, (vec![1], 1));
    assert_eq!(read(Way::Before(1), 10).await.0, [0; 0]);
}

async fn nothing_is_written_after_an_event_that_was_not_seen(store: Shared) {
    let seen = write(&store, [insert(compute("a"))]).await.unwrap().event;
    let after = |since: i64, name: &str| {
        let (store, row) = (store.clone(), compute(name));
        async move {
            let commit = Commit {
                require: vec![Require::NothingSince(since)],
                writes: vec![insert(row)],
                ..Commit::default()
            };
            store.commit(commit).await
        }
    };
    let tasks: Vec<_> = (0..8).map(|n| tokio::spawn(after(seen, &format!("n{n}")))).collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        1,
        "{outcomes:?}"
    );
    for late in outcomes.into_iter().filter(Result::is_err) {
        let newest = seen + 1;
        assert_eq!(refused(late), Refused::Changed { since: seen, newest });
    }
    after(seen + 1, "b").await.unwrap();
}

async fn quota_is_reserved_and_released(store: Shared) {
    let quota = Quota {
        instances: Some(3),
        cores: Some(4),
        ..Quota::default()
    };
    write(&store, [limit("alpha", quota)]).await.unwrap();
    let cores = |cores| Usage {
        instances: 1,
        cores,
        memory_mib: 512,
        ..Usage::default()
    };
    write(&store, [using(compute("a"), cores(3))]).await.unwrap();

    let over = Refused::Quota {
        what: "cores",
        limit: 4,
        used: 3,
        asked: 2,
    };
    assert_eq!(refused(write(&store, [using(compute("b"), cores(2))]).await), over);
    assert_eq!(store.entity(&id("b")).await.unwrap(), None);
    let both = write(&store, [using(compute("b"), cores(1)), using(compute("c"), cores(1))]).await;
    assert_eq!(
        refused(both),
        Refused::Quota {
            what: "cores",
            limit: 4,
            used: 4,
            asked: 1
        }
    );
    assert_eq!(store.usage("alpha").await.unwrap(), cores(3), "all or nothing");

    write(&store, [using(compute("b"), cores(1))]).await.unwrap();
    let grow = |by: Usage, quota: OverQuota| Write::UpdateEntity {
        id: id("b"),
        change: Box::default(),
        usage: Some((by, quota)),
    };
    assert!(matches!(
        refused(write(&store, [grow(cores(2), OverQuota::Refuse)]).await),
        Refused::Quota { what: "cores", .. }
    ));
    let less = Quota {
        cores: Some(1),
        ..quota
    };
    write(&store, [limit("alpha", less)]).await.unwrap();
    write(&store, [grow(cores(0), OverQuota::Refuse)]).await.unwrap();
    assert_eq!(
        store.usage("alpha").await.unwrap().cores,
        3,
        "less is allowed above the quota"
    );
    write(&store, [grow(cores(2), OverQuota::Count)]).await.unwrap();
    assert_eq!(store.usage("alpha").await.unwrap().cores, 5, "facts are counted");

    write(&store, [Write::RemoveEntity(id("a")), Write::RemoveEntity(id("b"))])
        .await
        .unwrap();
    assert_eq!(store.usage("alpha").await.unwrap(), Usage::default());
}

async fn concurrent_commits_all_count(store: Shared) {
    let quota = Quota {
        instances: Some(10),
        ..Quota::default()
    };
    write(&store, [limit("alpha", quota), insert(compute("counted"))])
        .await
        .unwrap();
    let tasks: Vec<_> = (0..30)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let one = Usage {
                    instances: 1,
                    ..Usage::default()
                };
                let change = Change {
                    set: Attributes::from_iter([(format!("x.n{n}").parse().unwrap(), Value::from(n))]),
                    ..Change::default()
                };
                write(&store, [update("counted", change)]).await.unwrap();
                write(&store, [using(compute(&format!("c{n}")), one)]).await.is_ok()
            })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        made += u32::from(task.await.unwrap());
    }
    assert_eq!(made, 10, "no more than the quota");
    let counted = get(&store, "counted").await;
    assert_eq!(
        (counted.generation, counted.attributes.len()),
        (31, 32),
        "no update was lost"
    );
}
