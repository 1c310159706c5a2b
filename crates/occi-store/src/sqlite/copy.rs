//! Whole copies: backup, restore, integrity.

use super::engine::{APPLICATION, failure, open_reader, pragma};
use crate::{Result, StoreError, schema};
use rusqlite::Connection;
use rusqlite::backup::Backup;
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
/// [`StoreError::Corrupt`] if `file` is no whole backup, [`StoreError::Newer`] if a newer version wrote it: then `into`
/// is as it was.
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
    // The log of the old store would be taken for the new one's. The last commits are in it: it goes when all that may
    // fail for want of room is done, its index first.
    for log in ["-shm", "-wal"] {
        match fs::remove_file(beside(into, log)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    settle(&part, into)
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
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
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
