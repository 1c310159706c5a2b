//! Whole copies: backup, restore, integrity.

use super::engine::{APPLICATION, connect, failure, open_reader, pragma};
use crate::{Result, StoreError, schema};
use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Copies what `from` reads into `file`, which appears when it is whole.
pub(super) fn backup(from: &Connection, file: &Path) -> Result<()> {
    let part = beside(file, ".part");
    copy(from, &part)
        .and_then(|()| settle(&part, file))
        .inspect_err(|_| drop(fs::remove_file(&part)))
}

/// Replaces the store in `into`, which no process may have open, with the backup in `file`, after a look at it. What was
/// there is gone.
///
/// # Errors
/// [`StoreError::Corrupt`] if `file` is no whole backup, [`StoreError::Newer`] if a newer version wrote it, and others: `into`
/// has what it had. Only after [`StoreError::Unsettled`] it has what `file` has.
pub fn restore(file: &Path, into: &Path) -> Result<()> {
    let from = open_reader(file)?;
    if pragma::<i64>(&from, "application_id")? != APPLICATION {
        return Err(StoreError::Corrupt(format!(
            "{} is no backup of a store",
            file.display()
        )));
    }
    drop(schema::pending(pragma(&from, "user_version")?)?);
    if let Some(damage) = integrity(&from)?.into_iter().next() {
        return Err(StoreError::Corrupt(damage));
    }
    let part = beside(into, ".part");
    copy(&from, &part).inspect_err(|_| drop(fs::remove_file(&part)))?;
    let replaced = fold(into).and_then(|()| settle(&part, into));
    if replaced.is_err() {
        // Where it has gone into its place there is none any more.
        drop(fs::remove_file(&part));
    }
    replaced
}

/// Brings what the log of a store has into its file, and ends the log, which would be taken for that of the next file of this
/// name. The last commits are in it: whatever happens from now on, the old store has them.
fn fold(store: &Path) -> Result<()> {
    if !store.exists() {
        return Ok(());
    }
    let checkpointed = connect(store, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|old| {
        let is_busy: bool = old
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))
            .map_err(failure)?;
        if is_busy { Err(StoreError::Locked) } else { Ok(()) }
    });
    match checkpointed {
        // It may be why there is a restore.
        Ok(()) | Err(StoreError::Corrupt(_)) => {}
        Err(error) => return Err(error),
    }
    for log in ["-shm", "-wal"] {
        match fs::remove_file(beside(store, log)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    Ok(())
}

/// What SQLite finds damaged.
pub(super) fn integrity(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA integrity_check").map_err(failure)?;
    let lines = statement
        .query_map((), |row| row.get::<_, String>(0))
        .map_err(failure)?;
    let lines: rusqlite::Result<Vec<String>> = lines.collect();
    Ok(lines
        .map_err(failure)?
        .into_iter()
        .filter(|line| line != "ok")
        .collect())
}

/// A durable copy.
fn copy(from: &Connection, part: &Path) -> Result<()> {
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(part)
        .map_err(io)?;
    let mut to = Connection::open(part).map_err(failure)?;
    // All pages in one reading: writers go on, and the copy is what was committed when it began.
    Backup::new(from, &mut to)
        .and_then(|backup| backup.step(-1))
        .map_err(failure)?;
    let _: String = to
        .query_row("PRAGMA journal_mode = DELETE", (), |row| row.get(0))
        .map_err(failure)?;
    to.close().map_err(|(_, error)| failure(error))?;
    File::open(part).and_then(|copied| copied.sync_all()).map_err(io)
}

/// Puts a copy into its place.
fn settle(part: &Path, file: &Path) -> Result<()> {
    fs::rename(part, file).map_err(io)?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| StoreError::Unsettled(error.into()))
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn io(error: std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full(error.into()),
        _ => StoreError::Failed(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_whose_log_is_gone_before_its_file_is_replaced_has_its_last_commits() {
        let folder = tempfile::tempdir().unwrap();
        let (live, store) = (folder.path().join("live.db"), folder.path().join("store.db"));
        let writer = Connection::open(&live).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE entity (id); INSERT INTO entity VALUES ('a');")
            .unwrap();
        // As a crash leaves it: all of it is in the log.
        for log in ["", "-wal"] {
            fs::copy(beside(&live, log), beside(&store, log)).unwrap();
        }
        fold(&store).unwrap();
        assert!(!beside(&store, "-wal").exists() && !beside(&store, "-shm").exists());
        let found: String = Connection::open(&store)
            .unwrap()
            .query_row("SELECT id FROM entity", (), |row| row.get(0))
            .unwrap();
        assert_eq!(found, "a");

        fold(&folder.path().join("nothing.db")).unwrap();
        fs::write(&store, "no database at all".repeat(100)).unwrap();
        fold(&store).unwrap();
    }
}
