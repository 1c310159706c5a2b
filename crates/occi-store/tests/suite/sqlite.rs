//! What only a file can suffer.

use crate::fixture::*;
use libtest_mimic::Trial;
use occi_store::{SqliteStore, Store, StoreError, sqlite};
use std::os::unix::fs::PermissionsExt;

pub(crate) fn child() -> bool {
    false
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

fn a_backup_is_whole_and_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let copy = folder.path().join("copy.db");
    block_on(async {
        let store: Shared = std::sync::Arc::new(SqliteStore::open(&path).unwrap());
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
