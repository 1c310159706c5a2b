//! What only a file can suffer.

use crate::fixture::*;
use libtest_mimic::Trial;
use occi_store::{EntityQuery, EventQuery, Sees, SqliteStore, Store, StoreError, Usage, sqlite};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Names what this process has to do instead of testing, and the file.
const CHILD: &str = "OCCI_STORE_TEST_CHILD";

/// Whether this process was started by one of the tests below, to be killed or to run out of space.
pub(crate) fn child() -> bool {
    let Ok(task) = std::env::var(CHILD) else {
        return false;
    };
    match task.split_once(':') {
        Some(("write", path)) => write_until_killed(Path::new(path)),
        Some(("fill", folder)) => fill_the_disk(Path::new(folder)),
        _ => panic!("unknown task {task:?}"),
    }
    true
}

pub(crate) fn trials() -> Vec<Trial> {
    let all: &[(&str, fn())] = &[
        (
            "a_backup_is_whole_and_can_be_restored",
            a_backup_is_whole_and_can_be_restored,
        ),
        (
            "a_newer_database_is_refused_with_words",
            a_newer_database_is_refused_with_words,
        ),
        (
            "nothing_acknowledged_is_lost_by_kill_9",
            nothing_acknowledged_is_lost_by_kill_9,
        ),
        (
            "a_full_disk_stops_writes_alone_and_not_for_good",
            a_full_disk_stops_writes_alone_and_not_for_good,
        ),
        (
            "a_backup_of_a_busy_store_is_one_moment_of_it",
            a_backup_of_a_busy_store_is_one_moment_of_it,
        ),
    ];
    all.iter()
        .map(|&(name, test)| {
            Trial::test(format!("sqlite::{name}"), move || {
                test();
                Ok(())
            })
        })
        .collect()
}

/// Entities and their events are written together, and an entity's name is said when it is durable.
fn write_until_killed(path: &Path) {
    block_on(async {
        let store: Shared = Arc::new(SqliteStore::open(path).unwrap());
        projects(&store).await;
        let first = store.events(&EventQuery::after(0, 0)).await.unwrap().newest;
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for n in 0.. {
                        let name = format!("e{first}-{writer}-{n}");
                        let usage = Usage {
                            instances: 1,
                            ..Usage::default()
                        };
                        write(
                            &store,
                            [
                                using(compute(&name), usage),
                                insert(link(&format!("l{name}"), &name, &name)),
                            ],
                        )
                        .await
                        .unwrap();
                        println!("{name}");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

fn nothing_acknowledged_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(CHILD, format!("write:{}", path.display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // Some commits are in every life, and it ends in the midst of them.
        for _ in 0..20 + 31 * round {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the child ended by itself");
            acknowledged.push(line.trim().to_owned());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let rest: Vec<_> = said.lines().map(Result::unwrap).collect();
        acknowledged.extend(rest);

        block_on(async {
            let store: Shared = Arc::new(SqliteStore::open(&path).unwrap());
            for name in &acknowledged {
                assert!(
                    store.entity(&id(name)).await.unwrap().is_some(),
                    "{name} was acknowledged in round {round}"
                );
            }
            assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
            let events = store.events(&EventQuery::after(0, 1_000_000)).await.unwrap();
            let numbers: Vec<_> = events.events.iter().map(|event| event.number).collect();
            assert_eq!(numbers, (1..=events.newest).collect::<Vec<_>>());
            let all = store.count(&EntityQuery::new(Sees::All)).await.unwrap();
            assert_eq!(
                all,
                numbers.len() as u64,
                "an entity and its event are there, or neither"
            );
            assert_eq!(
                store.usage("alpha").await.unwrap().instances * 2,
                i64::try_from(all).unwrap()
            );
        });
    }
}

fn a_full_disk_stops_writes_alone_and_not_for_good() {
    let folder = tempfile::tempdir().unwrap();
    // A disk of its own, in a mount namespace that ends with the process.
    let mount = "mount -t tmpfs -o size=4m none \"$1\" && exec \"$2\"";
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let output = Command::new("unshare")
        .args([if root { "--mount" } else { "--map-root-user" }, "--mount", "sh", "-c"])
        .arg(format!("{mount} || exit 77"))
        .arg("sh")
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, format!("fill:{}", folder.path().display()))
        .output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("panicked") => {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => {
            println!(
                "SKIPPED: a small disk cannot be mounted: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Err(error) => println!("SKIPPED: a small disk cannot be mounted: unshare: {error}"),
    }
}

fn fill_the_disk(folder: &Path) {
    let path = folder.join("store.db");
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let large = |n: u32| {
        let mut row = compute(&format!("c{n}"));
        row.attributes.set("x.large".parse().unwrap(), "x".repeat(2000));
        insert(row)
    };
    block_on(async {
        let store: Shared = Arc::new(SqliteStore::open(&path).unwrap());
        projects(&store).await;
        let mut last = None;
        let mut written = 0;
        for n in 0..10_000 {
            let both = tokio::join!(write(&store, [large(2 * n)]), write(&store, [large(2 * n + 1)]));
            written += [&both.0, &both.1].iter().filter(|result| result.is_ok()).count() as u64;
            if let Some(error) = both.0.err().or_else(|| both.1.err()) {
                last = Some(error);
                break;
            }
        }
        assert!(matches!(last, Some(StoreError::Full(_))), "{last:?}");
        for n in 20_000..20_020 {
            // What is small may still fit; nothing else goes wrong.
            match write(&store, [large(n)]).await {
                Ok(_) => written += 1,
                Err(error) => assert!(matches!(error, StoreError::Full(_)), "{error:?}"),
            }
        }
        assert_eq!(get(&store, "c0").await.id, id("c0"));
        assert_eq!(
            store.count(&EntityQuery::new(Sees::All)).await.unwrap(),
            written,
            "readings go on"
        );

        std::fs::remove_file(&ballast).unwrap();
        write(&store, [large(30_000)]).await.unwrap();
        assert_eq!(store.count(&EntityQuery::new(Sees::All)).await.unwrap(), written + 1);
        assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    });
    block_on(async {
        let store: Shared = Arc::new(SqliteStore::open(&path).unwrap());
        assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    });
    // Filled up while it is closed.
    let mut filler = std::fs::File::create(&ballast).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
    match SqliteStore::open(&path) {
        Ok(_) | Err(StoreError::Full(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
}

fn a_backup_of_a_busy_store_is_one_moment_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    block_on(async {
        let store: Shared = Arc::new(SqliteStore::open(folder.path().join("store.db")).unwrap());
        projects(&store).await;
        let writer = tokio::spawn({
            let store = Arc::clone(&store);
            async move {
                for n in 0..400 {
                    write(
                        &store,
                        [insert(compute(&format!("a{n}"))), insert(compute(&format!("b{n}")))],
                    )
                    .await
                    .unwrap();
                }
            }
        });
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        store.backup(&copy).await.unwrap();
        writer.await.unwrap();
        let copied = SqliteStore::open(&copy).unwrap();
        assert_eq!(copied.check().await.unwrap(), Vec::<String>::new());
        let events = copied.events(&EventQuery::after(0, 10_000)).await.unwrap();
        assert_eq!(events.events.len() as i64, events.newest);
        assert_eq!(
            copied.count(&EntityQuery::new(Sees::All)).await.unwrap() as i64,
            events.newest
        );
        assert_eq!(events.newest % 2, 0, "no transaction is copied by half");
        assert!(!folder.path().join("copy.db.part").exists());
    });
}

fn a_backup_is_whole_and_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let copy = folder.path().join("copy.db");
    block_on(async {
        let store: Shared = std::sync::Arc::new(SqliteStore::open(&path).unwrap());
        projects(&store).await;
        write(&store, [insert(compute("a"))]).await.unwrap();
        store.backup(&copy).await.unwrap();
        write(&store, [insert(compute("b"))]).await.unwrap();
    });
    for file in [&path, &copy] {
        assert_eq!(
            std::fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600,
            "nobody else reads it"
        );
    }
    let damaged = folder.path().join("damaged.db");
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0x55);
    std::fs::write(&damaged, bytes).unwrap();
    assert!(matches!(sqlite::restore(&damaged, &path), Err(StoreError::Corrupt(_))));
    std::fs::write(
        &damaged,
        "no database at all, but long enough to be looked at".repeat(100),
    )
    .unwrap();
    assert!(matches!(sqlite::restore(&damaged, &path), Err(StoreError::Corrupt(_))));
    block_on(async {
        let store = SqliteStore::open(&path).unwrap();
        assert!(
            store.entity(&id("b")).await.unwrap().is_some(),
            "a refused restore changes nothing"
        );
    });

    sqlite::restore(&copy, &path).unwrap();
    block_on(async {
        let store = SqliteStore::open(&path).unwrap();
        assert!(store.entity(&id("a")).await.unwrap().is_some());
        assert_eq!(store.entity(&id("b")).await.unwrap(), None);
        assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    });
}

fn a_newer_database_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let file = rusqlite::Connection::open(&path).unwrap();
    let known: i64 = file.query_row("PRAGMA user_version", (), |row| row.get(0)).unwrap();
    file.execute_batch(&format!("PRAGMA user_version = {}", known + 1))
        .unwrap();
    let error = SqliteStore::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found, known: ours } if found == known + 1 && ours == known));
    assert!(error.to_string().contains("use the newer program"), "{error}");
    assert!(matches!(
        sqlite::restore(&path, &folder.path().join("other.db")),
        Err(StoreError::Newer { .. })
    ));
}
