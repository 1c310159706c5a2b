//! Users, projects, memberships and user mixins.

use crate::fixture::*;
use occi_model::TypeId;
use occi_store::{
    Change, Commit, EntityRow, EventQuery, IdempotencyRow, Limits, Observation, OperationRow, OperationState, Quota,
    Refresh, Refused, Require, Role, Sees, Usage, User, UserMixinRow, Visibility, Write,
};

behaviours![
    accounts_projects_and_memberships_are_kept,
    who_comes_and_who_goes_leave_nobody_where_nothing_is,
    a_project_with_entities_cannot_be_removed,
    entities_are_of_projects_that_exist,
    a_project_that_is_made_again_is_empty,
    one_operator_stays,
    what_is_shared_is_shared_with_projects_that_exist,
    user_mixins_are_unique_in_their_project,
    a_project_has_no_more_mixins_than_it_may_have,
    a_mixin_is_given_to_nothing_when_its_project_has_it_no_more,
    a_removed_mixin_leaves_its_entities,
];

fn missing(what: &'static str, name: &str) -> Refused {
    Refused::Missing {
        what,
        name: name.into(),
    }
}

/// The removal of the projects that there are when a test begins.
fn nothing() -> [Write; 2] {
    ["alpha", "beta"].map(|name| Write::RemoveProject(name.into()))
}

async fn accounts_projects_and_memberships_are_kept(store: Shared) {
    write(&store, nothing()).await.unwrap();
    let ann = User {
        name: "ann".into(),
        password_hash: "$argon2id$...".into(),
        operator: false,
        default_project: "alpha".into(),
        memberships: vec![("alpha".into(), Role::Manager), ("beta".into(), Role::Reader)],
    };
    let bob = User {
        name: "bob".into(),
        operator: true,
        memberships: vec![],
        ..ann.clone()
    };
    assert_eq!(
        refused(write(&store, [Write::InsertUser(ann.clone())]).await),
        missing("project", "alpha")
    );
    let users = [Write::InsertUser(ann.clone()), Write::InsertUser(bob.clone())];
    write(&store, [project("beta"), project("alpha")].into_iter().chain(users))
        .await
        .unwrap();
    assert_eq!(store.user("ann").await.unwrap(), Some(ann.clone()));
    assert_eq!(store.user("eve").await.unwrap(), None);
    assert_eq!(store.users().await.unwrap(), [ann.clone(), bob.clone()]);

    let member = |user: &str, project: &str, role| Write::PutMember {
        project: project.into(),
        user: user.into(),
        role,
    };
    let changes = [member("ann", "beta", Some(Role::Member)), member("ann", "alpha", None)];
    write(&store, changes).await.unwrap();
    let memberships = store.user("ann").await.unwrap().unwrap().memberships;
    assert_eq!(memberships, [("beta".to_owned(), Role::Member)]);
    for role in [Some(Role::Member), None] {
        let unknown = write(&store, [member("eve", "beta", role)]).await;
        assert_eq!(refused(unknown), missing("user", "eve"));
        let unknown = write(&store, [member("ann", "gamma", role)]).await;
        assert_eq!(refused(unknown), missing("project", "gamma"));
    }

    // Who comes second takes nothing over.
    let second = User {
        password_hash: "other".into(),
        ..ann.clone()
    };
    let taken = |what, name: &str| Refused::Taken {
        what,
        name: name.into(),
    };
    let insert = write(&store, [Write::InsertUser(second)]).await;
    assert_eq!(refused(insert), taken("user", "ann"));
    assert_eq!(
        refused(write(&store, [project("beta")]).await),
        taken("project", "beta")
    );
    let password = |user: &str| Write::SetPassword {
        user: user.into(),
        password_hash: "other".into(),
    };
    write(&store, [password("ann")]).await.unwrap();
    let changed = User {
        password_hash: "other".into(),
        memberships,
        ..ann
    };
    assert_eq!(store.user("ann").await.unwrap(), Some(changed));
    assert_eq!(refused(write(&store, [password("eve")]).await), missing("user", "eve"));
    write(&store, [Write::RemoveUser("ann".into())]).await.unwrap();
    assert_eq!(store.user("ann").await.unwrap(), None);
    assert_eq!(
        refused(write(&store, [Write::RemoveUser("ann".into())]).await),
        missing("user", "ann")
    );

    // Who changes one limit takes no other back.
    let quota = Quota {
        cores: Some(8),
        addresses: Some(0),
        ..Quota::default()
    };
    let one = |project: &str, limits: Limits| Write::SetQuota {
        project: project.into(),
        limits,
    };
    let (cores, memory) = (
        Limits {
            cores: Some(quota.cores),
            ..Limits::default()
        },
        Limits {
            memory_mib: Some(None),
            ..Limits::default()
        },
    );
    write(
        &store,
        [limit(
            "beta",
            Quota {
                cores: None,
                memory_mib: Some(1),
                ..quota
            },
        )],
    )
    .await
    .unwrap();
    write(&store, [one("beta", memory), one("beta", Limits::default())])
        .await
        .unwrap();
    write(&store, [one("beta", cores)]).await.unwrap();
    for limits in [cores, Limits::default()] {
        assert_eq!(
            refused(write(&store, [one("gamma", limits)]).await),
            missing("project", "gamma")
        );
    }
    let projects = store.projects().await.unwrap();
    assert_eq!(
        projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>(),
        ["alpha", "beta"]
    );
    assert_eq!(
        (projects[1].quota, projects[1].created_ms),
        (quota, 1),
        "it is as old as it was"
    );
}

async fn who_comes_and_who_goes_leave_nobody_where_nothing_is(store: Shared) {
    let member = || Write::PutMember {
        project: "alpha".into(),
        user: "ann".into(),
        role: Some(Role::Member),
    };
    let ann = User {
        name: "ann".into(),
        password_hash: "$argon2id$...".into(),
        operator: false,
        default_project: "alpha".into(),
        memberships: vec![("alpha".into(), Role::Member)],
    };
    write(&store, nothing()).await.unwrap();
    // That nobody is a member without an account, or of nothing, is looked at when this ends.
    for round in 0..40 {
        write(&store, [project("alpha")]).await.unwrap();
        let remove = [Write::RemoveProject("alpha".into())];
        let (added, removed) = tokio::join!(
            write(&store, [Write::InsertUser(ann.clone())]),
            write(&store, remove.clone())
        );
        removed.unwrap();
        let left = store.user("ann").await.unwrap().map(|user| user.memberships);
        assert_eq!(left, added.is_ok().then(Vec::new), "round {round}: {added:?}");
        write(&store, [project("alpha")]).await.unwrap();
        if left.is_none() {
            write(&store, [Write::InsertUser(ann.clone())]).await.unwrap();
        }
        let (_, removed) = tokio::join!(
            write(&store, [member()]),
            write(&store, [Write::RemoveUser("ann".into())])
        );
        removed.unwrap();
        write(&store, remove).await.unwrap();
        assert_eq!(store.check().await.unwrap(), Vec::<String>::new(), "round {round}");
    }
}

async fn a_project_with_entities_cannot_be_removed(store: Shared) {
    write(&store, [insert(compute("a"))]).await.unwrap();
    let remove = || Write::RemoveProject("alpha".into());
    assert_eq!(
        refused(write(&store, [remove()]).await),
        Refused::NotEmpty("alpha".into())
    );
    write(&store, [Write::RemoveEntity(id("a")), remove()]).await.unwrap();
    assert_eq!(refused(write(&store, [remove()]).await), missing("project", "alpha"));
}

async fn entities_are_of_projects_that_exist(store: Shared) {
    let elsewhere = |name: &str| EntityRow {
        project: "gamma".into(),
        ..compute(name)
    };
    let some = Usage {
        instances: 1,
        ..Usage::default()
    };
    for usage in [some, Usage::default()] {
        let made = write(&store, [using(elsewhere("a"), usage)]).await;
        assert_eq!(refused(made), missing("project", "gamma"));
    }
    // What an engine shows belongs to nobody.
    let shown = Refresh {
        backend: "local".into(),
        native_project: String::new(),
        kind: type_id("compute"),
        began_ms: store.now_ms().await.unwrap(),
        complete: true,
        observations: vec![Observation {
            row: elsewhere("b"),
            owned: Vec::new(),
            owned_mixins: Vec::new(),
            usage: some,
            adopt: true,
        }],
    };
    store.refresh(shown).await.unwrap();
    assert_eq!(store.entity(&id("b")).await.unwrap(), None);
    // Of two at once, one comes first and the other is refused.
    for round in 0..8 {
        let (made, removed) = tokio::join!(
            write(&store, [insert(compute("c"))]),
            write(&store, [Write::RemoveProject("alpha".into())])
        );
        assert_ne!(made.is_ok(), removed.is_ok(), "round {round}: {made:?}, {removed:?}");
        let again = match made.is_ok() {
            true => Write::RemoveEntity(id("c")),
            false => project("alpha"),
        };
        write(&store, [again]).await.unwrap();
    }
}

async fn a_project_that_is_made_again_is_empty(store: Shared) {
    let done = operation("a");
    let elsewhere = OperationRow {
        project: "beta".into(),
        ..operation("b")
    };
    let key = |principal: &str, project: &str| {
        Write::InsertIdempotency(IdempotencyRow {
            principal: principal.into(),
            project: project.into(),
            key: "key".into(),
            hash: "hash".into(),
            operation: None,
            answer: serde_json::json!({}),
            expires_ms: i64::MAX,
        })
    };
    let ann = User {
        name: "ann".into(),
        password_hash: "$argon2id$...".into(),
        operator: false,
        default_project: "beta".into(),
        memberships: Vec::new(),
    };
    let writes = [
        insert(compute("a")),
        insert(EntityRow {
            project: "beta".into(),
            ..compute("b")
        }),
        Write::InsertOperation(Box::new(done.clone())),
        Write::InsertOperation(Box::new(elsewhere.clone())),
        finish(done.id, OperationState::Succeeded),
        finish(elsewhere.id, OperationState::Succeeded),
        Write::RemoveEntity(id("a")),
        Write::InsertUserMixin(mixin("m", "alpha", "/mine/")),
        Write::InsertUser(ann),
        key("ann", "alpha"),
        key("ann", "beta"),
        key("bob", "beta"),
    ];
    let events_before = write(&store, writes).await.unwrap().event;
    write(&store, [Write::RemoveProject("alpha".into()), project("alpha")])
        .await
        .unwrap();
    assert_eq!(store.operation(done.id).await.unwrap(), None);
    assert!(store.operation(elsewhere.id).await.unwrap().is_some());
    assert_eq!(store.user_mixins(Some("alpha")).await.unwrap(), []);
    let sees = |sees: Sees| EventQuery {
        sees,
        ..EventQuery::after(0, 100)
    };
    let numbers = (1..=events_before).collect::<Vec<_>>();
    let all = store.events(&sees(Sees::All)).await.unwrap();
    let told: Vec<_> = all.events.iter().map(|event| event.number).collect();
    assert_eq!((told, all.oldest), (numbers, 1), "who comes back has missed nothing");
    assert!(all.events.iter().all(|event| event.project.as_deref() != Some("alpha")));
    let own = store.events(&sees(Sees::Projects(vec!["alpha".into()]))).await.unwrap();
    assert_eq!(own.events, []);
    assert_eq!(store.idempotency("ann", "alpha", "key").await.unwrap(), None);

    // Nor does a user of that name get the answers of the one before.
    write(&store, [Write::RemoveUser("ann".into())]).await.unwrap();
    assert_eq!(store.idempotency("ann", "beta", "key").await.unwrap(), None);
    assert!(store.idempotency("bob", "beta", "key").await.unwrap().is_some());
}

async fn one_operator_stays(store: Shared) {
    let operator = |name: &str| {
        Write::InsertUser(User {
            name: name.into(),
            password_hash: "$argon2id$...".into(),
            operator: true,
            default_project: "alpha".into(),
            memberships: Vec::new(),
        })
    };
    write(&store, [operator("ann")]).await.unwrap();
    let remove = |name: &str| [Write::RemoveUser(name.into())];
    for round in 0..8 {
        write(&store, [operator("bob")]).await.unwrap();
        let (ann, bob) = tokio::join!(write(&store, remove("ann")), write(&store, remove("bob")));
        assert_ne!(ann.is_ok(), bob.is_ok(), "round {round}: {ann:?}, {bob:?}");
        let (left, refusal) = match ann.is_ok() {
            true => ("bob", bob),
            false => ("ann", ann),
        };
        assert_eq!(refused(refusal), Refused::LastOperator(left.into()));
        let left = store.users().await.unwrap();
        assert_eq!(left.len(), 1, "round {round}");
        if left[0].name == "bob" {
            write(&store, [operator("ann")]).await.unwrap();
            write(&store, remove("bob")).await.unwrap();
        }
    }
}

async fn what_is_shared_is_shared_with_projects_that_exist(store: Shared) {
    let with = |projects: &[&str]| Visibility::Projects(projects.iter().map(|&name| name.into()).collect());
    let share = |visibility| {
        let visibility = Some(visibility);
        update(
            "a",
            Change {
                visibility,
                ..Change::default()
            },
        )
    };
    let remove = || Write::RemoveProject("beta".into());
    write(&store, [insert(compute("a"))]).await.unwrap();
    let unknown = write(&store, [share(with(&["beta", "gamma"]))]).await;
    assert_eq!(refused(unknown), missing("project", "gamma"));
    let unknown = EntityRow {
        visibility: with(&["gamma"]),
        ..compute("b")
    };
    assert_eq!(
        refused(write(&store, [insert(unknown)]).await),
        missing("project", "gamma")
    );

    // A deletion may fail yet, and bring back what it hides.
    let hide = Change {
        hidden: Some(true),
        ..Change::default()
    };
    write(&store, [share(with(&["beta"])), update("a", hide)])
        .await
        .unwrap();
    assert_eq!(
        refused(write(&store, [remove()]).await),
        Refused::Shared {
            project: "beta".into(),
            path: "/compute/a".into()
        }
    );
    // Of two at once, one comes first and the other is refused.
    for _ in 0..8 {
        write(&store, [share(Visibility::Project), remove(), project("beta")])
            .await
            .unwrap();
        let (shared, removed) = tokio::join!(write(&store, [share(with(&["beta"]))]), write(&store, [remove()]));
        assert_ne!(shared.is_ok(), removed.is_ok(), "{shared:?}, {removed:?}");
        let shared = get(&store, "a").await.visibility == with(&["beta"]);
        let projects = store.projects().await.unwrap();
        assert_eq!(shared, projects.iter().any(|project| project.name == "beta"));
        if !shared {
            write(&store, [project("beta")]).await.unwrap();
        }
    }
}

fn mixin(term: &str, project: &str, location: &str) -> UserMixinRow {
    UserMixinRow {
        id: TypeId::new("http://example.org/mine#", term).unwrap(),
        project: project.into(),
        owner: "ann".into(),
        title: "Mine".into(),
        location: location.parse().unwrap(),
        depends: vec![type_id("os_tpl")],
        created_ms: 1,
    }
}

async fn user_mixins_are_unique_in_their_project(store: Shared) {
    let row = mixin("m", "alpha", "/mine/");
    let put = |row: UserMixinRow| Write::InsertUserMixin(row);
    write(&store, [put(row.clone()), put(mixin("m", "beta", "/mine/"))])
        .await
        .unwrap();
    let same = write(&store, [put(mixin("m", "alpha", "/other/"))]).await;
    assert_eq!(
        refused(same),
        Refused::Taken {
            what: "mixin",
            name: row.id.to_string()
        }
    );
    let same = write(&store, [put(mixin("n", "alpha", "/mine/"))]).await;
    assert_eq!(
        refused(same),
        Refused::Taken {
            what: "location",
            name: "/mine/".into()
        }
    );
    assert_eq!(store.user_mixins(Some("alpha")).await.unwrap(), [row]);
    assert_eq!(store.user_mixins(None).await.unwrap().len(), 2);
}

async fn a_project_has_no_more_mixins_than_it_may_have(store: Shared) {
    let add = |terms: &'static [&'static str], project: &'static str| {
        let store = Shared::clone(&store);
        let rows = terms.iter().map(|term| mixin(term, project, &format!("/{term}/")));
        let commit = Commit {
            require: vec![Require::RoomForMixins {
                project: project.into(),
                limit: 3,
                more: u32::try_from(terms.len()).unwrap(),
            }],
            writes: rows.map(Write::InsertUserMixin).collect(),
            ..Commit::default()
        };
        async move { store.commit(commit).await }
    };
    add(&["a", "b"], "alpha").await.unwrap();
    add(&["a", "b", "c"], "beta").await.unwrap();
    let full = Refused::Quota {
        what: "user mixins",
        limit: 3,
        used: 2,
        asked: 2,
    };
    assert_eq!(refused(add(&["c", "d"], "alpha").await), full);
    // Of two at once only one finds room.
    let (one, other) = tokio::join!(add(&["e"], "alpha"), add(&["f"], "alpha"));
    assert_ne!(one.is_ok(), other.is_ok(), "{one:?}, {other:?}");
    assert_eq!(store.user_mixins(Some("alpha")).await.unwrap().len(), 3);
}

async fn a_mixin_is_given_to_nothing_when_its_project_has_it_no_more(store: Shared) {
    let (row, other) = (mixin("m", "alpha", "/m/"), mixin("n", "beta", "/n/"));
    write(&store, [&row, &other].map(|row| Write::InsertUserMixin(row.clone())))
        .await
        .unwrap();
    let mixins_of_alpha = |mixins: &[&UserMixinRow]| Commit {
        require: vec![Require::UserMixins {
            project: "alpha".into(),
            mixins: mixins.iter().map(|row| row.id.clone()).collect(),
        }],
        ..Commit::default()
    };
    store.commit(mixins_of_alpha(&[&row])).await.unwrap();
    let anothers = refused(store.commit(mixins_of_alpha(&[&row, &other])).await);
    assert_eq!(anothers, Refused::NoMixin(other.id));
    let remove = Write::RemoveUserMixin {
        project: "alpha".into(),
        id: row.id.clone(),
    };
    write(&store, [remove]).await.unwrap();
    let gone = refused(store.commit(mixins_of_alpha(&[&row])).await);
    assert_eq!(gone, Refused::NoMixin(row.id));
}

async fn a_removed_mixin_leaves_its_entities(store: Shared) {
    let row = mixin("m", "alpha", "/mine/");
    let mut marked = compute("a");
    marked.mixins = vec![type_id("os"), row.id.clone()];
    let mut elsewhere = compute("b");
    elsewhere.project = "beta".into();
    elsewhere.mixins = vec![row.id.clone()];
    let writes = [
        Write::InsertUserMixin(row.clone()),
        insert(marked),
        insert(elsewhere),
        insert(compute("c")),
    ];
    write(&store, writes).await.unwrap();
    let remove = || Write::RemoveUserMixin {
        project: "alpha".into(),
        id: row.id.clone(),
    };
    let committed = write(&store, [remove()]).await.unwrap();
    assert_eq!(committed.generations, [(id("a"), 2)].into());
    assert_eq!(get(&store, "a").await.mixins, [type_id("os")]);
    assert_eq!(
        get(&store, "b").await.mixins,
        std::slice::from_ref(&row.id),
        "another project's mixin of the same name"
    );
    assert_eq!(
        refused(write(&store, [remove()]).await),
        missing("mixin", row.id.as_str())
    );
}
