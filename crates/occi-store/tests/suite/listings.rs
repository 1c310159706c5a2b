//! Selections: whose eyes, filters, pages.

use crate::fixture::*;
use occi_model::Value;
use occi_store::{Change, Cursor, EntityQuery, Listed, Sees, Visibility, Write};

behaviours![
    a_reader_sees_own_shared_and_public_entities,
    filters_hold_together_and_compare_by_type,
    what_lies_below_a_path_is_found_at_any_depth,
    pages_are_stable_while_entities_come_and_go,
    links_are_found_by_their_ends,
    a_reader_of_many_projects_sees_them_in_one_order,
    a_reading_of_large_entities_ends_early_and_goes_on,
    a_title_of_any_length_is_found_and_told_in_short,
];

async fn names(store: &Shared, query: &EntityQuery) -> Vec<String> {
    let rows = store.select(query).await.unwrap();
    let short: Vec<_> = rows.iter().cloned().map(Listed::from).collect();
    assert_eq!(store.list(query).await.unwrap(), short, "{query:?}");
    let among = EntityQuery {
        among: rows.iter().map(|row| row.seq).step_by(2).collect(),
        offset: 0,
        ..query.clone()
    };
    if !among.among.is_empty() {
        let some: Vec<_> = rows.iter().step_by(2).cloned().collect();
        assert_eq!(store.select(&among).await.unwrap(), some, "{among:?}");
    }
    let counted = store
        .count(&EntityQuery {
            offset: 0,
            ..query.clone()
        })
        .await
        .unwrap();
    if query.offset == 0 && query.after.is_none() && rows.len() < query.limit as usize {
        assert_eq!(counted, rows.len() as u64, "{query:?}");
    }
    rows.into_iter().map(|row| row.id.to_string()).collect()
}

fn seen_by(projects: &[&str]) -> EntityQuery {
    EntityQuery::new(Sees::Projects(projects.iter().map(|&project| project.into()).collect()))
}

async fn a_reader_sees_own_shared_and_public_entities(store: Shared) {
    let of = |name: &str, project: &str, visibility: Visibility| {
        let mut row = compute(name);
        row.project = project.into();
        row.visibility = visibility;
        insert(row)
    };
    let shared = Visibility::Projects(vec!["alpha".into(), "gamma".into()]);
    let writes = [
        project("gamma"),
        of("a", "alpha", Visibility::Project),
        of("b", "beta", Visibility::Project),
        of("b-shared", "beta", shared),
        of("b-public", "beta", Visibility::Public),
        of("a-public", "alpha", Visibility::Public),
        of("a-hidden", "alpha", Visibility::Public),
    ];
    write(&store, writes).await.unwrap();
    write(
        &store,
        [update(
            "a-hidden",
            Change {
                hidden: Some(true),
                ..Change::default()
            },
        )],
    )
    .await
    .unwrap();

    assert_eq!(
        names(&store, &EntityQuery::new(Sees::All)).await,
        ["a", "b", "b-shared", "b-public", "a-public"]
    );
    assert_eq!(
        names(&store, &seen_by(&["alpha"])).await,
        ["a", "b-shared", "b-public", "a-public"]
    );
    assert_eq!(
        names(&store, &seen_by(&["beta", "alpha"])).await,
        ["a", "b", "b-shared", "b-public", "a-public"]
    );
    assert_eq!(names(&store, &seen_by(&[])).await, ["b-public", "a-public"]);
    let of_beta = |query: EntityQuery| EntityQuery {
        project: Some("beta".into()),
        ..query
    };
    assert_eq!(
        names(&store, &of_beta(seen_by(&["alpha"]))).await,
        ["b-shared", "b-public"]
    );
    assert_eq!(
        names(&store, &of_beta(seen_by(&["beta"]))).await,
        ["b", "b-shared", "b-public"]
    );
    assert_eq!(
        names(&store, &of_beta(EntityQuery::new(Sees::All))).await,
        ["b", "b-shared", "b-public"]
    );

    write(
        &store,
        [update(
            "b",
            Change {
                visibility: Some(Visibility::Public),
                ..Change::default()
            },
        )],
    )
    .await
    .unwrap();
    write(
        &store,
        [update(
            "b-public",
            Change {
                visibility: Some(Visibility::Project),
                ..Change::default()
            },
        )],
    )
    .await
    .unwrap();
    assert_eq!(names(&store, &seen_by(&["gamma"])).await, ["b", "b-shared", "a-public"]);
}

async fn filters_hold_together_and_compare_by_type(store: Shared) {
    let with = |name: &str, kind: &str, mixins: &[&str], state: &str, speed: Value| {
        let mut row = compute(name);
        row.kind = type_id(kind);
        row.path = format!("/{kind}/{name}");
        row.mixins = mixins.iter().map(|term| type_id(term)).collect();
        row.state = Some(state.into());
        row.attributes.set("x.speed".parse().unwrap(), speed);
        row.attributes.set(format!("occi.{kind}.state").parse().unwrap(), state);
        insert(row)
    };
    let writes = [
        with("c1", "compute", &["m1", "m2"], "active", 1.into()),
        with("c2", "compute", &["m2"], "inactive", 1.0.into()),
        with("c3", "compute", &[], "active", "1".into()),
        with("s1", "storage", &["m2"], "active", 2.5.into()),
        with("s2", "storage", &["m1", "m2"], "online", true.into()),
    ];
    write(&store, writes).await.unwrap();

    let kinds = |kinds: &[&str]| kinds.iter().map(|term| type_id(term)).collect::<Vec<_>>();
    let attribute = |name: &str, value: Value| vec![(name.to_owned(), value)];
    // Each case once as the operator and once as a member of the project: other indexes lead.
    for all in [
        EntityQuery::new(Sees::All),
        seen_by(&["alpha"]),
        seen_by(&["alpha", "beta"]),
    ] {
        let found = async |query: EntityQuery| names(&store, &query).await;
        let base = || all.clone();
        assert_eq!(
            found(EntityQuery {
                kinds: kinds(&["storage"]),
                ..base()
            })
            .await,
            ["s1", "s2"]
        );
        assert_eq!(
            found(EntityQuery {
                kinds: kinds(&["storage", "compute"]),
                limit: 4,
                ..base()
            })
            .await
            .len(),
            4
        );
        assert_eq!(
            found(EntityQuery {
                mixins: vec![kinds(&["m2"])],
                ..base()
            })
            .await,
            ["c1", "c2", "s1", "s2"]
        );
        assert_eq!(
            found(EntityQuery {
                mixins: vec![kinds(&["m2"]), kinds(&["m1"])],
                ..base()
            })
            .await,
            ["c1", "s2"]
        );
        assert_eq!(
            found(EntityQuery {
                mixins: vec![kinds(&["m1", "m2"])],
                ..base()
            })
            .await,
            ["c1", "c2", "s1", "s2"],
            "one of a group is enough, and shows once"
        );
        let both = EntityQuery {
            mixins: vec![kinds(&["m2"])],
            kinds: kinds(&["compute"]),
            ..base()
        };
        assert_eq!(found(both).await, ["c1", "c2"]);
        let speed = |value| EntityQuery {
            attributes: attribute("x.speed", value),
            ..base()
        };
        assert_eq!(
            found(speed(1.into())).await,
            ["c1", "c2"],
            "1 equals 1.0, and not \"1\""
        );
        assert_eq!(found(speed(1.0.into())).await, ["c1", "c2"]);
        assert_eq!(found(speed("1".into())).await, ["c3"]);
        assert_eq!(found(speed(true.into())).await, ["s2"]);
        assert_eq!(
            found(EntityQuery {
                offset: 1,
                ..speed(1.into())
            })
            .await,
            ["c2"]
        );
        assert_eq!(
            found(EntityQuery {
                limit: 1,
                ..speed(1.into())
            })
            .await,
            ["c1"]
        );
        let title = EntityQuery {
            attributes: attribute("occi.core.title", "c2".into()),
            ..base()
        };
        assert_eq!(found(title.clone()).await, ["c2"]);
        assert_eq!(
            found(EntityQuery {
                kinds: kinds(&["storage"]),
                ..title
            })
            .await,
            [""; 0]
        );
        let by_id = EntityQuery {
            attributes: attribute("occi.core.id", "urn:uuid:s1".into()),
            ..base()
        };
        assert_eq!(found(by_id).await, ["s1"]);
        let active = |kind: &str| EntityQuery {
            attributes: attribute(&format!("occi.{kind}.state"), "active".into()),
            kinds: kinds(&[kind]),
            ..base()
        };
        assert_eq!(found(active("compute")).await, ["c1", "c3"]);
        assert_eq!(
            found(EntityQuery {
                mixins: vec![kinds(&["m1"])],
                ..active("compute")
            })
            .await,
            ["c1"]
        );
        assert_eq!(
            found(EntityQuery {
                kinds: vec![],
                ..active("compute")
            })
            .await,
            ["c1", "c3"]
        );
        let part = EntityQuery {
            contains: vec![("occi.core.title".into(), "2".into())],
            ..base()
        };
        assert_eq!(found(part.clone()).await, ["c2", "s2"]);
        assert_eq!(
            found(EntityQuery {
                mixins: vec![kinds(&["m1"])],
                ..part
            })
            .await,
            ["s2"]
        );
        assert_eq!(
            found(EntityQuery {
                below: Some("/storage/".into()),
                ..base()
            })
            .await,
            ["s1", "s2"]
        );
        let below = EntityQuery {
            below: Some("/".into()),
            kinds: kinds(&["compute"]),
            ..base()
        };
        assert_eq!(found(below).await, ["c1", "c2", "c3"]);
        assert_eq!(
            found(EntityQuery {
                below: Some("/stor/".into()),
                ..base()
            })
            .await,
            [""; 0]
        );
    }
}

async fn what_lies_below_a_path_is_found_at_any_depth(store: Shared) {
    let at = |path: &str, name: &str| {
        let mut row = compute(name);
        row.path = format!("{path}{name}");
        insert(row)
    };
    let all = [
        at("/my/", "a"),
        at("/my/vms/", "b"),
        at("/my0/", "c"),
        at("/my/vms/x/", "d"),
        at("/m/", "e"),
    ];
    write(&store, all).await.unwrap();
    for base in [EntityQuery::new(Sees::All), seen_by(&["alpha"])] {
        let below = async |path: &str| {
            let query = EntityQuery {
                below: Some(path.to_owned()),
                ..base.clone()
            };
            let found = store.select(&query).await.unwrap();
            found.iter().map(|row| row.path.clone()).collect::<Vec<_>>()
        };
        assert_eq!(below("/my/").await, ["/my/a", "/my/vms/b", "/my/vms/x/d"]);
        assert_eq!(below("/my/vms/").await, ["/my/vms/b", "/my/vms/x/d"]);
        assert_eq!(below("/my/a/").await, [""; 0]);
    }
}

async fn pages_are_stable_while_entities_come_and_go(store: Shared) {
    write(&store, (0..10).map(|n| insert(compute(&format!("c{n}")))))
        .await
        .unwrap();
    for query in [EntityQuery::new(Sees::All), seen_by(&["alpha"])] {
        let query = EntityQuery {
            limit: 4,
            kinds: vec![type_id("compute")],
            ..query
        };
        let first = store.select(&query).await.unwrap();
        assert_eq!(first.last().unwrap().id, id("c3"));
        let skipped = EntityQuery {
            offset: 8,
            ..query.clone()
        };
        assert_eq!(names(&store, &skipped).await, ["c8", "c9"]);
        let next = EntityQuery {
            after: Some(Cursor(first[3].seq)),
            ..query
        };
        assert_eq!(names(&store, &next).await, ["c4", "c5", "c6", "c7"]);
    }
    let page = EntityQuery {
        limit: 4,
        ..EntityQuery::new(Sees::All)
    };
    let last = store.select(&page).await.unwrap().pop().unwrap();
    write(
        &store,
        ["c0", "c3", "c4", "c9"].map(|name| Write::RemoveEntity(id(name))),
    )
    .await
    .unwrap();
    write(&store, [insert(compute("new"))]).await.unwrap();
    let rest = EntityQuery {
        after: Some(Cursor(last.seq)),
        limit: 100,
        ..page
    };
    assert_eq!(
        names(&store, &rest).await,
        ["c5", "c6", "c7", "c8", "new"],
        "nothing is skipped or shown twice"
    );
}

async fn links_are_found_by_their_ends(store: Shared) {
    let mut away = link("away", "a", "b");
    away.target = Some(occi_model::LinkEnd {
        location: "http://elsewhere.example/b".into(),
        kind: None,
    });
    away.target_id = None;
    let rows = [
        compute("a"),
        compute("b"),
        link("ab", "a", "b"),
        link("ba", "b", "a"),
        away,
    ];
    write(&store, rows.map(insert)).await.unwrap();
    let ends = async |pairs: &[(&str, &str)]| {
        let attributes = pairs
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.into()))
            .collect();
        names(
            &store,
            &EntityQuery {
                attributes,
                ..seen_by(&["alpha"])
            },
        )
        .await
    };
    assert_eq!(ends(&[("occi.core.source", "/compute/a")]).await, ["ab", "away"]);
    assert_eq!(
        ends(&[("occi.core.source", "a"), ("occi.core.target", "/compute/b")]).await,
        ["ab"]
    );
    assert_eq!(ends(&[("occi.core.target", "a")]).await, ["ba"]);
    assert_eq!(
        ends(&[("occi.core.target", "http://elsewhere.example/b")]).await,
        ["away"]
    );
    let kind = type_id("compute");
    assert_eq!(ends(&[("occi.core.target.kind", kind.as_str())]).await, ["ab", "ba"]);

    let many: Vec<_> = (0..300)
        .map(|n| id(&format!("x{n}")))
        .chain([id("b"), id("a")])
        .collect();
    let links = store.links_of(&many).await.unwrap();
    assert_eq!(
        links.iter().map(|link| link.id.as_str()).collect::<Vec<_>>(),
        ["ab", "ba", "away"]
    );
    assert_eq!(store.links_to(&id("b")).await.unwrap().len(), 1);
}

async fn a_reader_of_many_projects_sees_them_in_one_order(store: Shared) {
    let projects: Vec<String> = (0..50).map(|n| format!("p{n}")).collect();
    write(&store, projects.iter().map(|name| project(name))).await.unwrap();
    let writes = (0..80).map(|n| {
        let mut row = compute(&format!("c{n}"));
        row.project = format!("p{}", (n * 7) % 50);
        insert(row)
    });
    write(&store, writes).await.unwrap();
    for count in [2, 16, 17, 40] {
        let query = EntityQuery::new(Sees::Projects(projects[..count].to_vec()));
        let expected: Vec<_> = (0..80)
            .filter(|n| (n * 7) % 50 < count)
            .map(|n| format!("c{n}"))
            .collect();
        assert_eq!(names(&store, &query).await, expected);
    }
}

async fn a_reading_of_large_entities_ends_early_and_goes_on(store: Shared) {
    let large = |name: &str| {
        let mut row = compute(name);
        row.attributes = attributes([("occi.compute.hostname", "x".repeat(1 << 20))]);
        insert(row)
    };
    let all: Vec<_> = (0..7).map(|n| format!("c{n}")).collect();
    write(&store, all.iter().map(|name| large(name))).await.unwrap();
    let holds = ("occi.compute.hostname".to_owned(), "x".to_owned());
    for contains in [vec![], vec![holds]] {
        let mut query = EntityQuery {
            contains,
            ..seen_by(&["alpha"])
        };
        assert_eq!(
            store.list(&query).await.unwrap().len(),
            7,
            "what is short is read at once"
        );
        let mut found = Vec::new();
        loop {
            let page = store.select(&query).await.unwrap();
            assert!(page.len() < 7);
            let Some(last) = page.last() else { break };
            query.after = Some(Cursor(last.seq));
            found.extend(page.into_iter().map(|row| row.id.to_string()));
        }
        assert_eq!(found, all);
    }
}

async fn a_title_of_any_length_is_found_and_told_in_short(store: Shared) {
    let titles = ["\u{e4}".repeat(254), "\u{e4}".repeat(255), "\u{e4}".repeat(100_000)];
    for (n, title) in titles.iter().enumerate() {
        let mut row = compute(&format!("c{n}"));
        row.attributes = attributes([("occi.core.title", title.as_str())]);
        write(&store, [insert(row)]).await.unwrap();
        let titled = EntityQuery {
            attributes: vec![("occi.core.title".into(), title.as_str().into())],
            ..seen_by(&["alpha"])
        };
        assert_eq!(names(&store, &titled).await, [format!("c{n}")]);
    }
    let told = events_after(&store, 0).await;
    let lengths: Vec<_> = told
        .iter()
        .map(|event| event.title.as_ref().unwrap().chars().count())
        .collect();
    assert_eq!(lengths, [254, 255, 255]);
}
