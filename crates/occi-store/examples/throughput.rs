//! What the store costs beside SQLite itself: durable creates of 64 clients against a bare loop that writes the same
//! rows with the same indexes and durability in groups of 64, in alternating windows; point readings; a full listing.
//!
//! `cargo run --release -p occi-store --example throughput [FOLDER]`; the folder decides which disk is measured.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use occi_model::{TypeId, Value};
use occi_store::{
    Audit, Commit, Cursor, EntityQuery, EntityRow, OperationRow, OperationState, Project, Quota, Sees, SqliteStore,
    Store, Usage, Visibility, Write,
};
use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

const WINDOWS: usize = 8;
const WINDOW: Duration = Duration::from_millis(700);

fn main() {
    let place = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::Builder::new()
        .prefix("occi-store.")
        .tempdir_in(place)
        .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        creates(folder.path()).await;
        readings(&folder.path().join("read.db")).await;
    });
}

async fn creates(folder: &Path) {
    let bare_path = folder.join("bare.db");
    drop(SqliteStore::open(&bare_path).unwrap());
    let mut bare = Bare::open(&bare_path);
    let store = Arc::new(open(&folder.join("store.db")).await);
    let (mut bare_total, mut store_total) = (Cost::default(), Cost::default());
    for _ in 0..WINDOWS {
        bare_total.add(measure(async || bare.window()).await);
        store_total.add(measure(async || clients(&store).await).await);
    }
    bare_total.print("create, bare loop in groups of 64");
    store_total.print("create, store with 64 clients");
    println!(
        "store / bare loop: {:.2} of the speed",
        store_total.per_second() / bare_total.per_second()
    );
}

/// A store with the project in which everything is made.
async fn open(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(path).unwrap();
    let project = Project {
        name: "alpha".into(),
        quota: Quota::default(),
        created_ms: 1_700_000_000_000,
    };
    let commit = Commit {
        writes: vec![Write::InsertProject(project)],
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
    store
}

async fn clients(store: &Arc<SqliteStore>) -> u64 {
    let (end, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let (store, end, done) = (Arc::clone(store), Arc::clone(&end), Arc::clone(&done));
            tokio::spawn(async move {
                while !end.load(Ordering::Relaxed) {
                    store.commit(create()).await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(WINDOW).await;
    end.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    done.load(Ordering::Relaxed)
}

async fn readings(path: &Path) {
    const ENTITIES: usize = 10_000;
    let store = Arc::new(open(path).await);
    let mut ids = Vec::new();
    for _ in 0..ENTITIES / 100 {
        let commits: Vec<Commit> = (0..100).map(|_| create()).collect();
        for commit in &commits {
            if let Some(Write::InsertEntity { row, .. }) = commit.writes.first() {
                ids.push(row.id.clone());
            }
        }
        let writes = commits.into_iter().flat_map(|commit| commit.writes).collect();
        store
            .commit(Commit {
                writes,
                ..Commit::default()
            })
            .await
            .unwrap();
    }
    let gets = measure(async || {
        for n in 0..100_000 {
            store.entity(&ids[(n * 7919) % 1000]).await.unwrap().unwrap();
        }
        100_000
    })
    .await;
    gets.print("point reading, 1,000 of 10,000");
    for (name, sees) in [
        ("everything", Sees::All),
        ("one project", Sees::Projects(vec!["alpha".into()])),
    ] {
        let listed = measure(async || {
            let mut query = EntityQuery {
                kinds: vec![kind()],
                ..EntityQuery::new(sees.clone())
            };
            let mut listed = 0;
            loop {
                let page = store.select(&query).await.unwrap();
                let Some(last) = page.last() else { return listed };
                listed += page.len() as u64;
                query.after = Some(Cursor(last.seq));
            }
        })
        .await;
        listed.print(&format!("entity of a listing of 10,000, {name}"));
    }
}

#[derive(Default)]
struct Cost {
    count: u64,
    wall: Duration,
    cpu: Duration,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn per_second(&self) -> f64 {
        self.count as f64 / self.wall.as_secs_f64()
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn print(&self, what: &str) {
        let cpu_us = self.cpu.as_secs_f64() * 1e6 / self.count as f64;
        println!("{what:45} {:9.0}/s {cpu_us:8.1} us CPU each", self.per_second());
    }
}

async fn measure(run: impl AsyncFnOnce() -> u64) -> Cost {
    let (start, cpu) = (Instant::now(), cpu_time());
    let count = run().await;
    Cost {
        count,
        wall: start.elapsed(),
        cpu: cpu_time() - cpu,
    }
}

/// CPU time of all threads, in steps of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn kind() -> TypeId {
    TypeId::new("http://schemas.ogf.org/occi/infrastructure#", "compute").unwrap()
}

fn create() -> Commit {
    let id = Uuid::new_v4();
    let operation = Uuid::now_v7();
    let attributes = [
        ("occi.core.title", Value::from("A machine")),
        ("occi.core.summary", "A machine that was made to measure".into()),
        ("occi.compute.architecture", "x64".into()),
        ("occi.compute.cores", 2.into()),
        ("occi.compute.share", 0.into()),
        ("occi.compute.memory", 2.0.into()),
        ("occi.compute.hostname", "machine.example.org".into()),
        ("occi.compute.state", "inactive".into()),
        ("occi.compute.state.message", "waits for its first start".into()),
    ];
    let mixin = |term| TypeId::new("http://example.org/occi/templates#", term).unwrap();
    let row = EntityRow {
        seq: 0,
        id: id.into(),
        path: format!("/compute/{id}"),
        kind: kind(),
        project: "alpha".into(),
        owner: "ann".into(),
        visibility: Visibility::Project,
        backend: Some("local".into()),
        native_project: String::new(),
        native_id: Some(id.to_string()),
        mixins: vec![mixin("debian"), mixin("small")],
        attributes: attributes
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value))
            .collect(),
        source: None,
        target: None,
        target_id: None,
        state: Some("inactive".into()),
        created_ms: 1_700_000_000_000,
        modified_ms: 1_700_000_000_000,
        generation: 1,
        operation: Some(operation),
        hidden: false,
        untouched: true,
    };
    let operation = OperationRow {
        id: operation,
        parent: None,
        entity: Some(id.into()),
        path: Some(row.path.clone()),
        project: "alpha".into(),
        principal: "ann".into(),
        backend: Some("local".into()),
        verb: "create".into(),
        intent: serde_json::json!({"cores": 2, "memory": 2.0, "image": "debian", "size": "small"}).to_string(),
        state: OperationState::Accepted,
        step: None,
        progress: 0,
        attempt: 0,
        deaths: 0,
        engine_accepted: false,
        cancelled: false,
        lease_owner: None,
        lease_until_ms: None,
        not_before_ms: 0,
        created_ms: 1_700_000_000_000,
        finished_ms: None,
        deadline_ms: None,
        error: None,
        result: None,
    };
    let audit = Audit {
        id: Uuid::now_v7(),
        at_ms: 1_700_000_000_000,
        principal: "ann".into(),
        project: Some("alpha".into()),
        verb: "create".into(),
        path: "/compute/".into(),
        outcome: "accepted".into(),
        detail: "201".into(),
        request: "0123456789abcdef".into(),
    };
    let usage = Usage {
        instances: 1,
        cores: 2,
        memory_mib: 2048,
        ..Usage::default()
    };
    Commit {
        writes: vec![
            Write::InsertEntity {
                row: Box::new(row),
                usage,
            },
            Write::InsertOperation(Box::new(operation)),
        ],
        audit: vec![audit],
        ..Commit::default()
    }
}

/// The same rows without a store.
struct Bare {
    connection: Connection,
    seq: i64,
}

impl Bare {
    fn open(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
            .unwrap();
        connection.set_prepared_statement_cache_capacity(32);
        Self { connection, seq: 0 }
    }

    fn window(&mut self) -> u64 {
        let start = Instant::now();
        let mut done = 0;
        while start.elapsed() < WINDOW {
            let transaction = self.connection.transaction().unwrap();
            for _ in 0..64 {
                self.seq += 1;
                write_rows(&transaction, self.seq);
            }
            transaction
                .prepare_cached("UPDATE counter SET value = ?1")
                .unwrap()
                .execute([self.seq])
                .unwrap();
            transaction.commit().unwrap();
            done += 64;
        }
        done
    }
}

fn write_rows(connection: &Connection, seq: i64) {
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
        connection.prepare_cached(sql).unwrap().execute(params).unwrap();
    };
    let id = Uuid::new_v4().to_string();
    let path = format!("/compute/{id}");
    let (operation, audit) = (Uuid::now_v7().to_string(), Uuid::now_v7().to_string());
    let kind = "http://schemas.ogf.org/occi/infrastructure#compute";
    let mixins = [
        "http://example.org/occi/templates#debian",
        "http://example.org/occi/templates#small",
    ];
    let now = 1_700_000_000_000_i64;
    run(
        "INSERT INTO entity VALUES (?1, ?2, ?3, ?4, 'alpha', 'ann', 'project', 'local', '', ?2, ?5, ?6, NULL, NULL, NULL, \
         NULL, 'inactive', ?7, ?7, 1, ?8, 0, 1, 'A machine', '[1,2,2048,0,0]', ?7, NULL)",
        params![
            seq,
            id,
            path,
            kind,
            format!("[\"{}\",\"{}\"]", mixins[0], mixins[1]),
            "{\"occi.compute.architecture\":\"x64\",\"occi.compute.cores\":2,\"occi.compute.hostname\":\
             \"machine.example.org\",\"occi.compute.memory\":2.0,\"occi.compute.share\":0,\"occi.compute.state\":\
             \"inactive\",\"occi.compute.state.message\":\"waits for its first start\",\"occi.core.summary\":\
             \"A machine that was made to measure\",\"occi.core.title\":\"A machine\"}",
            now,
            operation,
        ],
    );
    for mixin in mixins {
        run("INSERT INTO entity_mixin VALUES (?1, ?2)", params![mixin, seq]);
    }
    run(
        "INSERT INTO operation VALUES (?1, NULL, ?2, ?3, 'alpha', 'ann', 'local', 'create', ?4, 'accepted', NULL, 0, 0, 0, \
         0, NULL, NULL, 0, ?5, NULL, ?5, NULL, NULL, 0)",
        params![
            operation,
            id,
            path,
            "{\"cores\":2,\"memory\":2.0,\"image\":\"debian\",\"size\":\"small\"}",
            now
        ],
    );
    run(
        "INSERT INTO project_usage VALUES ('alpha', 1, 2, 2048, 0, 0) ON CONFLICT (project) DO UPDATE SET \
         instances = instances + 1, cores = cores + 2, memory_mib = memory_mib + 2048",
        params![],
    );
    run(
        "INSERT INTO event VALUES (?1, ?2, 'created', ?3, ?4, ?5, 'alpha', 1, 'web', 'active', NULL, ?6, 'succeeded')",
        params![seq, now, id, path, kind, operation],
    );
    run(
        "INSERT INTO audit VALUES (?1, ?2, 'ann', 'alpha', 'create', '/compute/', 'accepted', '201', '0123456789abcdef')",
        params![audit, now],
    );
}
