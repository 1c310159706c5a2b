//! PostgreSQL where there is one, and what only several servers on one database can suffer.

use crate::fixture::*;
use libtest_mimic::Trial;
use occi_store::{
    Change, Commit, EntityQuery, EventQuery, PostgresStore, Quota, Require, Sees, Store, StoreError, Usage, Write,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::sync::Arc;
use uuid::Uuid;

const URL: &str = "OCCI_TEST_POSTGRES_URL";

/// The behaviours of all stores, and those of two on one database; none without a database.
pub(crate) fn trials(behaviours: &[(&'static str, Behaviour)]) -> Vec<Trial> {
    let Ok(url) = std::env::var(URL) else {
        println!("SKIPPED: the store on PostgreSQL, because {URL} names none");
        return Vec::new();
    };
    let all = behaviours.iter().map(|&(name, behaviour)| {
        let url = url.clone();
        Trial::test(format!("postgres::{name}"), move || {
            on_schema(&url, async |place| {
                let store: Shared = Arc::new(PostgresStore::connect(place).await.unwrap());
                projects(&store).await;
                behaviour(Arc::clone(&store)).await;
                assert_eq!(
                    store.check().await.unwrap(),
                    Vec::<String>::new(),
                    "nothing is broken afterwards"
                );
            });
            Ok(())
        })
    });
    let several: &[(&'static str, Several)] = &[
        ("two_stores_make_the_schema_once_and_number_events_together", |a, b| {
            Box::pin(numbers(a, b))
        }),
        ("two_stores_claim_an_operation_once", |a, b| Box::pin(claims(a, b))),
        ("two_stores_keep_to_one_quota", |a, b| Box::pin(quota(a, b))),
        (
            "a_link_made_while_its_target_is_removed_is_refused_or_keeps_it",
            |a, b| Box::pin(target(a, b)),
        ),
        ("commits_that_cross_each_other_both_succeed", |a, b| {
            Box::pin(crossing(a, b))
        }),
    ];
    let several = several.iter().map(|&(name, behaviour)| {
        let url = url.clone();
        Trial::test(format!("postgres::{name}"), move || {
            on_schema(&url, async |place| {
                let (a, b) = tokio::join!(PostgresStore::connect(place), PostgresStore::connect(place));
                let (a, b): (Shared, Shared) = (Arc::new(a.unwrap()), Arc::new(b.unwrap()));
                projects(&a).await;
                behaviour(Arc::clone(&a), b).await;
                assert_eq!(
                    a.check().await.unwrap(),
                    Vec::<String>::new(),
                    "nothing is broken afterwards"
                );
            });
            Ok(())
        })
    });
    let alone = Trial::test("postgres::a_newer_database_is_refused_with_words", {
        let url = url.clone();
        move || {
            on_schema(&url, newer);
            Ok(())
        }
    });
    all.chain(several).chain([alone]).collect()
}

type Several = fn(Shared, Shared) -> std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// Runs in a schema of its own.
fn on_schema(url: &str, test: impl AsyncFnOnce(&str)) {
    block_on(async {
        let schema = format!("test_{}", Uuid::new_v4().simple());
        let mut connection = PgConnection::connect(url).await.unwrap();
        let mut run = async |sql: String| {
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut connection)
                .await
                .unwrap();
        };
        run(format!("CREATE SCHEMA {schema}")).await;
        let joint = if url.contains('?') { '&' } else { '?' };
        test(&format!("{url}{joint}options=-csearch_path%3D{schema}")).await;
        run(format!("DROP SCHEMA {schema} CASCADE")).await;
    });
}

async fn newer(place: &str) {
    let store = PostgresStore::connect(place).await.unwrap();
    assert!(store.backup("nowhere".as_ref()).await.is_err_and(|error| {
        std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("pg_dump"))
    }));
    drop(store);
    let mut connection = PgConnection::connect(place).await.unwrap();
    sqlx::raw_sql("UPDATE schema_number SET number = number + 1")
        .execute(&mut connection)
        .await
        .unwrap();
    let error = PostgresStore::connect(place).await.err().unwrap();
    assert!(
        matches!(error, StoreError::Newer { found, known } if found == known + 1),
        "{error:?}"
    );
}

async fn numbers(a: Shared, b: Shared) {
    const EACH: i64 = 60;
    let writers: Vec<_> = [(&a, "a"), (&b, "b")]
        .into_iter()
        .flat_map(|(store, name)| (0..4).map(move |n| (Arc::clone(store), format!("{name}{n}"))))
        .map(|(store, name)| {
            tokio::spawn(async move {
                for n in 0..EACH {
                    write(&store, [insert(compute(&format!("{name}-{n}")))]).await.unwrap();
                }
            })
        })
        .collect();
    // Who follows while they write never meets a gap that is filled later.
    let (mut known, mut seqs) = (0, 0);
    while known < 8 * EACH {
        let page = b.events(&EventQuery::after(known, 1000)).await.unwrap();
        for event in &page.events {
            assert_eq!(event.number, known + 1);
            known = event.number;
        }
        let query = EntityQuery {
            limit: 1000,
            ..EntityQuery::new(Sees::All)
        };
        let now: Vec<_> = a.select(&query).await.unwrap().into_iter().map(|row| row.seq).collect();
        assert!(now.len() >= seqs);
        seqs = now.len();
        assert_eq!(
            now,
            (1..=i64::try_from(seqs).unwrap()).collect::<Vec<_>>(),
            "nothing appears behind a cursor"
        );
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn claims(a: Shared, b: Shared) {
    let rows: Vec<_> = (0..30).map(|_| operation("a")).collect();
    let writes = rows.iter().cloned().map(|row| Write::InsertOperation(Box::new(row)));
    write(&a, [insert(compute("a"))].into_iter().chain(writes))
        .await
        .unwrap();
    let workers: Vec<_> = (0..8)
        .map(|n| {
            let store = Arc::clone(if n % 2 == 0 { &a } else { &b });
            tokio::spawn(async move {
                let mut mine = Vec::new();
                while let Some(row) = store.claim(claim(&format!("w{n}"), 60_000)).await.unwrap() {
                    assert_eq!(row.attempt, 1);
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
    claimed.sort_unstable();
    let mut all: Vec<_> = rows.iter().map(|row| row.id).collect();
    all.sort_unstable();
    assert_eq!(claimed, all);
}

async fn quota(a: Shared, b: Shared) {
    let quota = Quota {
        instances: Some(10),
        ..Quota::default()
    };
    write(&a, [limit("alpha", quota)]).await.unwrap();
    let creators: Vec<_> = (0..30)
        .map(|n| {
            let store = Arc::clone(if n % 2 == 0 { &a } else { &b });
            tokio::spawn(async move {
                let one = Usage {
                    instances: 1,
                    ..Usage::default()
                };
                write(&store, [using(compute(&format!("c{n}")), one)]).await.is_ok()
            })
        })
        .collect();
    let mut made = 0;
    for creator in creators {
        made += u32::from(creator.await.unwrap());
    }
    assert_eq!(made, 10);
}

async fn target(a: Shared, b: Shared) {
    for n in 0..40 {
        let (from, to, by) = (format!("from{n}"), format!("to{n}"), format!("l{n}"));
        write(&a, [insert(compute(&from)), insert(compute(&to))]).await.unwrap();
        let links = Commit {
            require: vec![Require::Exists(id(&from)), Require::Exists(id(&to))],
            writes: vec![insert(link(&by, &from, &to))],
            ..Commit::default()
        };
        let removes = Commit {
            require: vec![
                Require::NotTargeted {
                    id: id(&to),
                    but: Vec::new(),
                },
                Require::Exists(id(&to)),
            ],
            writes: vec![Write::RemoveEntity(id(&to))],
            ..Commit::default()
        };
        let (linked, removed) = tokio::join!(a.commit(links), b.commit(removes));
        assert_ne!(
            linked.is_ok(),
            removed.is_ok(),
            "one of them came first: {linked:?} {removed:?}"
        );
    }
}

async fn crossing(a: Shared, b: Shared) {
    write(&a, [insert(compute("x")), insert(compute("y"))]).await.unwrap();
    let change = |name: &str, n: i64| {
        update(
            name,
            Change {
                set: attributes([("occi.compute.cores", n)]),
                ..Change::default()
            },
        )
    };
    for n in 0..40 {
        let there = [
            change("x", 2 * n),
            insert(compute(&format!("a{n}"))),
            change("y", 2 * n),
        ];
        let back = [
            change("y", 2 * n + 1),
            insert(compute(&format!("b{n}"))),
            change("x", 2 * n + 1),
        ];
        let (first, second) = tokio::join!(write(&a, there), write(&b, back));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(get(&a, "x").await.attributes, get(&b, "x").await.attributes);
        let [x, y] =
            [get(&a, "x").await, get(&a, "y").await].map(|row| row.attributes.get("occi.compute.cores").cloned());
        assert_eq!(x, y, "one of them was whole before the other");
        assert_ne!(first.event, second.event);
    }
}
