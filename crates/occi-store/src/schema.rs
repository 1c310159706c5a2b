//! The schema: numbered migrations, written once for both databases and adapted when they are loaded.

use crate::{Result, StoreError};

/// The migrations; the schema's number is how many of them were carried out.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_scope.sql"),
    include_str!("../migrations/0003_open_part.sql"),
    include_str!("../migrations/0004_event.sql"),
    include_str!("../migrations/0005_tombstone_removed.sql"),
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
