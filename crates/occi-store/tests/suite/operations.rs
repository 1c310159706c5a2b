//! Operations: claims, leases, steps, ends; idempotency keys.

use crate::fixture::*;
use occi_store::{
    Change, Claim, Commit, EventQuery, IdempotencyRow, OperationQuery, OperationRow, OperationState, Refused, Require,
    Write,
};
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

behaviours![
    an_operation_lives_from_its_record_to_its_end,
    an_expired_lease_passes_to_the_next_worker,
    an_operation_is_claimed_once_however_many_ask,
    the_workers_that_died_with_an_operation_are_counted,
    what_waits_is_not_claimed_before_its_time_unless_it_is_cancelled,
    workers_get_what_is_theirs,
    the_deletion_of_a_link_is_found_by_what_the_link_leads_to,
    operations_are_listed_newest_first,
    finished_operations_and_audit_are_forgotten,
    a_repeated_key_answers_with_what_was_done,
];

async fn an_operation_lives_from_its_record_to_its_end(store: Shared) {
    let mut row = operation("a");
    let begin = Change {
        operation: Some(Some(row.id)),
        ..Change::default()
    };
    write(
        &store,
        [
            insert(compute("a")),
            Write::InsertOperation(Box::new(row.clone())),
            update("a", begin),
        ],
    )
    .await
    .unwrap();
    assert_eq!(store.operation(row.id).await.unwrap(), Some(row.clone()));
    let taken = refused(write(&store, [Write::InsertOperation(Box::new(row.clone()))]).await);
    assert!(matches!(taken, Refused::Taken { what: "operation", .. }));

    let now_ms = store.now_ms().await.unwrap();
    let claimed = store.claim(claim("w1", 60_000)).await.unwrap().unwrap();
    let until = claimed.lease_until_ms.unwrap();
    assert!(
        (now_ms + 60_000..now_ms + 70_000).contains(&until),
        "{until} is a minute after {now_ms}"
    );
    row.state = OperationState::Running;
    row.attempt = 1;
    row.lease_owner = Some("w1".into());
    row.lease_until_ms = Some(until);
    row.deadline_ms = Some(600_000);
    assert_eq!(claimed, row);
    assert_eq!(store.claim(claim("w2", 60_000)).await.unwrap(), None, "it is leased");

    let step = Write::Step {
        operation: row.id,
        step: "made the disk".into(),
        progress: Some(40),
        engine_accepted: true,
        lease_ms: 120_000,
        deadline_ms: 700_000,
    };
    let held = |owner: &str, attempt| Require::Lease {
        operation: row.id,
        owner: owner.into(),
        attempt,
    };
    let events_before = store.events(&EventQuery::after(0, 0)).await.unwrap().newest;
    for _ in 0..2 {
        let commit = Commit {
            require: vec![held("w1", 1)],
            writes: vec![step.clone()],
            ..Commit::default()
        };
        let event = store.commit(commit).await.unwrap().event;
        assert_eq!(event, events_before + 1, "the second is a mere sign of life");
    }
    let after = store.operation(row.id).await.unwrap().unwrap();
    assert_eq!(
        (after.step.as_deref(), after.progress, after.engine_accepted),
        (Some("made the disk"), 40, true)
    );
    assert_eq!(after.deadline_ms, Some(700_000), "it has come further");
    assert!(after.lease_until_ms.unwrap() >= until + 60_000);
    for lost in [held("w2", 1), held("w1", 2)] {
        let commit = Commit {
            require: vec![lost],
            ..Commit::default()
        };
        assert_eq!(refused(store.commit(commit).await), Refused::LeaseLost(row.id));
    }

    let end = Write::FinishOperation {
        operation: row.id,
        state: OperationState::Failed,
        step: Some("disk removed".into()),
        error: Some(serde_json::json!({"message": "no"})),
        result: Some(serde_json::json!(null)),
        not_before_ms: 0,
        deadline_ms: None,
        at_ms: 7000,
    };
    let idle = Change {
        operation: Some(None),
        ..Change::default()
    };
    let commit = Commit {
        require: vec![held("w1", 1)],
        writes: vec![end, update("a", idle)],
        ..Commit::default()
    };
    store.commit(commit.clone()).await.unwrap();
    let ended = store.operation(row.id).await.unwrap().unwrap();
    assert_eq!(
        (ended.state, ended.finished_ms, ended.lease_owner),
        (OperationState::Failed, Some(7000), None)
    );
    assert_eq!(ended.error, Some(serde_json::json!({"message": "no"})));
    assert_eq!(ended.step.as_deref(), Some("disk removed"));
    assert_eq!(
        refused(store.commit(commit).await),
        Refused::LeaseLost(row.id),
        "it has ended"
    );
    assert_eq!(store.claim(claim("w1", 1)).await.unwrap(), None);
}

async fn an_expired_lease_passes_to_the_next_worker(store: Shared) {
    let row = operation("a");
    write(
        &store,
        [insert(compute("a")), Write::InsertOperation(Box::new(row.clone()))],
    )
    .await
    .unwrap();
    store.claim(claim("w1", 30)).await.unwrap().unwrap();
    assert_eq!(store.claim(claim("w2", 30)).await.unwrap(), None);
    tokio::time::sleep(Duration::from_millis(60)).await;

    let second = store.claim(claim("w2", 60_000)).await.unwrap().unwrap();
    assert_eq!((second.attempt, second.lease_owner.as_deref()), (2, Some("w2")));
    let late = Commit {
        require: vec![Require::Lease {
            operation: row.id,
            owner: "w1".into(),
            attempt: 1,
        }],
        writes: vec![finish(row.id, OperationState::Succeeded)],
        ..Commit::default()
    };
    assert_eq!(refused(store.commit(late).await), Refused::LeaseLost(row.id));
    write(&store, [finish(row.id, OperationState::Succeeded)])
        .await
        .unwrap();
    assert_eq!(store.operation(row.id).await.unwrap().unwrap().progress, 100);
}

async fn an_operation_is_claimed_once_however_many_ask(store: Shared) {
    let rows: Vec<_> = (0..20).map(|_| operation("a")).collect();
    let writes = rows.iter().cloned().map(|row| Write::InsertOperation(Box::new(row)));
    write(&store, std::iter::once(insert(compute("a"))).chain(writes))
        .await
        .unwrap();
    let workers: Vec<_> = (0..8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                while let Some(row) = store.claim(claim(&format!("w{n}"), 60_000)).await.unwrap() {
                    mine.push(row.id);
                }
                mine
            })
        })
        .collect();
    let mut claimed = Vec::new();
    for worker in workers {
        claimed.extend(worker.await.unwrap());
    }
    assert_eq!(claimed.len(), 20);
    let claimed: HashSet<Uuid> = claimed.into_iter().collect();
    assert_eq!(claimed, rows.iter().map(|row| row.id).collect());
    let ends = rows.iter().map(|row| finish(row.id, OperationState::Succeeded));
    write(&store, ends).await.unwrap();
}

async fn the_workers_that_died_with_an_operation_are_counted(store: Shared) {
    let row = operation("a");
    let record = Write::InsertOperation(Box::new(row.clone()));
    write(&store, [insert(compute("a")), record]).await.unwrap();
    let claimed = async |worker: &str| {
        let row = store.claim(claim(worker, 0)).await.unwrap().unwrap();
        (row.attempt, row.deaths)
    };
    assert_eq!(claimed("w1").await, (1, 0));
    assert_eq!(claimed("w1").await, (2, 0), "it lives");
    assert_eq!(claimed("w2").await, (3, 1), "its lease has ended");
    write(&store, [finish(row.id, OperationState::Accepted)]).await.unwrap();
    assert_eq!(claimed("w3").await, (4, 1), "it was put back");

    store.claim(claim("w3", 60_000)).await.unwrap().unwrap();
    write(&store, [Write::ReleaseOperation(row.id)]).await.unwrap();
    let released = store.operation(row.id).await.unwrap().unwrap();
    assert_eq!(
        (
            released.state,
            released.deaths,
            released.lease_owner,
            released.deadline_ms
        ),
        (OperationState::Accepted, 2, None, None)
    );
    let again = refused(write(&store, [Write::ReleaseOperation(row.id)]).await);
    assert_eq!(again, Refused::LeaseLost(row.id));
    assert_eq!(claimed("w4").await, (6, 2), "and counted once");
    write(&store, [finish(row.id, OperationState::Failed)]).await.unwrap();
}

async fn what_waits_is_not_claimed_before_its_time_unless_it_is_cancelled(store: Shared) {
    let row = operation("a");
    write(
        &store,
        [insert(compute("a")), Write::InsertOperation(Box::new(row.clone()))],
    )
    .await
    .unwrap();
    let first = store.claim(claim("w1", 60_000)).await.unwrap().unwrap();
    let later = store.now_ms().await.unwrap() + 3_600_000;
    let back = Write::FinishOperation {
        operation: row.id,
        state: OperationState::Accepted,
        step: None,
        error: Some(serde_json::json!("not yet")),
        result: None,
        not_before_ms: later,
        deadline_ms: Some(650_000),
        at_ms: 0,
    };
    write(&store, [back]).await.unwrap();
    let waiting = store.operation(row.id).await.unwrap().unwrap();
    assert_eq!(
        (waiting.state, waiting.not_before_ms, waiting.deadline_ms),
        (OperationState::Accepted, later, Some(650_000))
    );
    assert_eq!(
        (waiting.attempt, waiting.lease_owner, waiting.finished_ms),
        (first.attempt, None, None)
    );
    assert_eq!(store.claim(claim("w1", 60_000)).await.unwrap(), None);

    write(&store, [Write::CancelOperation(row.id)]).await.unwrap();
    let compensating = store.claim(claim("w1", 60_000)).await.unwrap().unwrap();
    assert!(compensating.cancelled);
    assert_eq!(
        compensating.deadline_ms,
        Some(650_000),
        "it goes on with the time that was left"
    );
    write(&store, [finish(row.id, OperationState::Failed)]).await.unwrap();
    write(&store, [Write::CancelOperation(row.id)]).await.unwrap();
    let unknown = refused(write(&store, [Write::CancelOperation(Uuid::now_v7())]).await);
    assert!(matches!(unknown, Refused::Missing { what: "operation", .. }));
}

async fn workers_get_what_is_theirs(store: Shared) {
    let mut parent = operation("a");
    parent.entity = None;
    parent.backend = None;
    let mut child = operation("a");
    child.parent = Some(parent.id);
    child.backend = Some("remote".into());
    let writes = [&parent, &child].map(|row| Write::InsertOperation(Box::new(row.clone())));
    write(&store, [insert(compute("a"))].into_iter().chain(writes))
        .await
        .unwrap();

    assert_eq!(
        store.claim(claim("w", 1000)).await.unwrap(),
        None,
        "neither the parent nor another backend's"
    );
    let this = |backend: &str, operation| Claim {
        backends: vec![backend.into()],
        operation: Some(operation),
        ..claim("w", 60_000)
    };
    assert_eq!(store.claim(this("local", child.id)).await.unwrap(), None);
    assert_eq!(store.claim(this("remote", parent.id)).await.unwrap(), None);
    assert_eq!(
        store.claim(this("remote", child.id)).await.unwrap().unwrap().id,
        child.id
    );

    let parts = OperationQuery {
        parent: Some(parent.id),
        ..OperationQuery::default()
    };
    assert_eq!(store.operations(&parts).await.unwrap().len(), 1);
    write(
        &store,
        [parent.id, child.id].map(|id| finish(id, OperationState::Succeeded)),
    )
    .await
    .unwrap();
}

async fn the_deletion_of_a_link_is_found_by_what_the_link_leads_to(store: Shared) {
    let entities = ["a", "b", "c"].map(|name| insert(compute(name)));
    let links = [("l", "a", "b"), ("m", "a", "c")].map(|(name, from, to)| insert(link(name, from, to)));
    write(&store, entities.into_iter().chain(links)).await.unwrap();
    let going = OperationRow {
        verb: "delete".into(),
        ..operation("a")
    };
    let found = async |targets: &[&str], but| {
        let targets: Vec<_> = targets.iter().map(|name| id(name)).collect();
        store.deletion_freeing(&targets, but).await.unwrap()
    };
    let hidden = |hidden: bool| Change {
        operation: Some(hidden.then_some(going.id)),
        hidden: Some(hidden),
        ..Change::default()
    };
    let hide = ["a", "l"].map(|name| update(name, hidden(true)));
    let record = Write::InsertOperation(Box::new(going.clone()));
    write(&store, [record].into_iter().chain(hide)).await.unwrap();
    assert_eq!(found(&["c", "b"], None).await, Some(going.id));
    assert_eq!(found(&["b"], Some(going.id)).await, None, "itself");
    assert_eq!(found(&["c", "a"], None).await, None, "nothing that goes leads there");
    assert_eq!(found(&[], None).await, None);
    let held: Vec<_> = store.held(&id("a"), going.id).await.unwrap();
    assert_eq!(held.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["a", "l"]);
    assert_eq!(store.held(&id("b"), going.id).await.unwrap().len(), 1, "by its target");

    // What a deletion that has taken over holds is not freed by the one before.
    let free = |by| Commit {
        require: vec![Require::Held { id: id("a"), by }],
        writes: vec![update("a", hidden(false)), update("l", hidden(false))],
        ..Commit::default()
    };
    let earlier = Uuid::now_v7();
    assert_eq!(refused(store.commit(free(earlier)).await), Refused::LeaseLost(earlier));
    store.commit(free(going.id)).await.unwrap();
    write(&store, [finish(going.id, OperationState::Failed)]).await.unwrap();
    assert_eq!(found(&["b"], None).await, None);
}

async fn operations_are_listed_newest_first(store: Shared) {
    let mut rows: Vec<_> = (0..5).map(|n| operation(if n % 2 == 0 { "a" } else { "b" })).collect();
    rows[4].project = "beta".into();
    let writes: Vec<_> = rows
        .iter()
        .map(|row| Write::InsertOperation(Box::new(row.clone())))
        .collect();
    write(
        &store,
        [insert(compute("a")), insert(compute("b"))].into_iter().chain(writes),
    )
    .await
    .unwrap();
    write(&store, [finish(rows[3].id, OperationState::Succeeded)])
        .await
        .unwrap();
    let list = async |query: OperationQuery| -> Vec<usize> {
        let found = store.operations(&query).await.unwrap();
        found
            .iter()
            .map(|row| rows.iter().position(|known| known.id == row.id).unwrap())
            .collect()
    };
    assert_eq!(list(OperationQuery::default()).await, [4, 3, 2, 1, 0]);
    let alphas = OperationQuery {
        projects: vec!["alpha".into(), "gamma".into()],
        limit: 3,
        ..Default::default()
    };
    assert_eq!(list(alphas).await, [3, 2, 1]);
    let page = |before: usize| OperationQuery {
        before: Some(rows[before].id),
        limit: 2,
        ..Default::default()
    };
    assert_eq!(list(page(4)).await, [3, 2]);
    assert_eq!(list(page(1)).await, [0]);
    assert_eq!(list(page(0)).await, [0; 0]);
    let open = OperationQuery { open: true, ..page(4) };
    assert_eq!(list(open).await, [2, 1]);
    let ends = [0, 1, 2, 4].map(|n| finish(rows[n].id, OperationState::Succeeded));
    write(&store, ends).await.unwrap();
}

async fn finished_operations_and_audit_are_forgotten(store: Shared) {
    let (old, open, dirty) = (operation("a"), operation("a"), operation("b"));
    let writes = [&old, &open, &dirty].map(|row| Write::InsertOperation(Box::new(row.clone())));
    let entities = ["a", "b"].map(|id| insert(compute(id)));
    write(&store, entities.into_iter().chain(writes)).await.unwrap();
    let ends = [
        finish(old.id, OperationState::Succeeded),
        finish(dirty.id, OperationState::NeedsAttention),
    ];
    write(&store, ends).await.unwrap();
    let now_ms = store.now_ms().await.unwrap();

    store.sweep(0, i64::MAX, now_ms - 3_600_000, 0, now_ms).await.unwrap();
    assert!(
        store.operation(old.id).await.unwrap().is_some(),
        "it was recorded just now"
    );
    store.sweep(0, i64::MAX, now_ms + 1000, 0, now_ms).await.unwrap();
    assert_eq!(store.operation(old.id).await.unwrap(), None);
    assert!(store.operation(open.id).await.unwrap().is_some());
    assert!(store.operation(dirty.id).await.unwrap().is_some(), "it is still there");
    assert_eq!(store.events(&EventQuery::after(0, 10)).await.unwrap().events.len(), 5);
    write(&store, [Write::RemoveEntity(id("b"))]).await.unwrap();
    store.sweep(0, i64::MAX, now_ms + 1000, 0, now_ms).await.unwrap();
    assert_eq!(store.operation(dirty.id).await.unwrap(), None);
}

async fn a_repeated_key_answers_with_what_was_done(store: Shared) {
    let now_ms = store.now_ms().await.unwrap();
    let row = IdempotencyRow {
        principal: "ann".into(),
        project: "alpha".into(),
        key: "k".into(),
        hash: "h1".into(),
        operation: Some(Uuid::now_v7()),
        answer: serde_json::json!({"status": 201}),
        expires_ms: now_ms + 60_000,
    };
    write(&store, [Write::InsertIdempotency(row.clone())]).await.unwrap();
    assert_eq!(store.idempotency("ann", "alpha", "k").await.unwrap(), Some(row.clone()));
    assert_eq!(store.idempotency("bob", "alpha", "k").await.unwrap(), None);

    let other = IdempotencyRow {
        hash: "h2".into(),
        operation: None,
        ..row.clone()
    };
    let again = write(&store, [insert(compute("a")), Write::InsertIdempotency(other.clone())]).await;
    assert_eq!(refused(again), Refused::Repeated(Box::new(row.clone())));
    assert_eq!(store.entity(&id("a")).await.unwrap(), None);

    let expired = IdempotencyRow {
        key: "old".into(),
        expires_ms: now_ms - 1,
        ..row
    };
    write(&store, [Write::InsertIdempotency(expired.clone())])
        .await
        .unwrap();
    assert_eq!(store.idempotency("ann", "alpha", "old").await.unwrap(), None);
    write(
        &store,
        [Write::InsertIdempotency(IdempotencyRow {
            key: "old".into(),
            ..other
        })],
    )
    .await
    .unwrap();
}
