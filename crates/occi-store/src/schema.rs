//! The schema: numbered migrations, written once for both databases and adapted when they are loaded.

use crate::{Result, StoreError};

/// The migrations; the schema's number is how many of them were carried out.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_scope.sql"),
    include_str!("../migrations/0003_open_part.sql"),
    include_str!("../migrations/0004_event.sql"),
    include_str!("../migrations/0005_tombstone_removed.sql"),
    include_str!("../migrations/0006_folder.sql"),
    include_str!("../migrations/0007_deaths.sql"),
    include_str!("../migrations/0008_deadline.sql"),
];

/// The schema that this program reads and writes.
pub(crate) const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// What is left to be carried out on a database with schema `found`, with the numbers that they lead to.
pub(crate) fn pending(found: i64) -> Result<impl Iterator<Item = (i64, &'static str)>> {
    match usize::try_from(found) {
        Ok(done) if found <= SCHEMA => Ok((found + 1..).zip(MIGRATIONS[done..].iter().copied())),
        Ok(_) => Err(StoreError::Newer { found, known: SCHEMA }),
        Err(_) => Err(StoreError::Corrupt(format!("schema number {found}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteStore, Store};
    use rusqlite::Connection;

    #[tokio::test]
    async fn an_entity_keeps_its_path_from_before_folders() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db");
        let old = Connection::open(&file).unwrap();
        for migration in &MIGRATIONS[..5] {
            old.execute_batch(migration).unwrap();
        }
        old.execute_batch(
            "PRAGMA user_version = 5; INSERT INTO project (name, created_ms) VALUES ('p', 1); \
             UPDATE counter SET value = 7 WHERE name = 'entity'; \
             INSERT INTO entity (seq, id, path, kind, project, owner, visibility, native_project, mixins, attributes, \
             state, created_ms, modified_ms, generation, hidden, untouched, uses, fence_ms) VALUES \
             (7, 'a-vm', '/my/vms/a-vm', 'http://a#b', 'p', 'o', 'project', '', '[]', '{}', 'active', 1, 2, 3, 0, 1, \
             '[1,2,3,0,0]', 4)",
        )
        .unwrap();
        drop(old);
        let store = SqliteStore::open(&file).unwrap();
        let found = store.entity_at("/my/vms/a-vm").await.unwrap().unwrap();
        assert_eq!(
            (found.seq, found.path.as_str(), found.generation),
            (7, "/my/vms/a-vm", 3)
        );
        assert_eq!(found.state.as_deref(), Some("active"));
        assert_eq!(store.entity(&found.id).await.unwrap(), Some(found));
        assert_eq!(store.entity_at("/a-vm").await.unwrap(), None);
    }
}
