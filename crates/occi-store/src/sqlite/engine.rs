//! SQLite under [`Tx`]: connections, rows, errors.

use crate::Result;
use crate::error::StoreError;
use crate::json::corrupt;
use crate::schema;
use crate::tx::{Cells, Columns, Locks, Param, Tx};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, params_from_iter};
use std::fs::OpenOptions;
use std::future::{Future, ready};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Marks our files: "OCCI".
pub(super) const APPLICATION: i64 = 0x4f43_4349;

/// So many different statements stay prepared per connection.
const PREPARED: usize = 128;

/// How long a connection waits for another process.
const BUSY: Duration = Duration::from_secs(5);

/// The connection that writes; brings the schema up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection> {
    // Accounts are in there: nobody else reads it.
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => StoreError::Full(error.into()),
            _ => StoreError::Failed(error.into()),
        })?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let found: i64 = pragma(&connection, "user_version")?;
    let pending = schema::pending(found)?;
    let _: String = connection
        .query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))
        .map_err(failure)?;
    // The log is brought in when it has 16 MiB: pages of indexes, which many commits change, are written once for all of them.
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;",
        )
        .map_err(failure)?;
    for (number, migration) in pending {
        if found > 0 {
            tracing::info!("bringing the store to its schema {number}; with many entities that takes minutes");
        }
        let sql = format!(
            "BEGIN IMMEDIATE; {migration}; PRAGMA user_version = {number}; PRAGMA application_id = {APPLICATION}; COMMIT;"
        );
        connection.execute_batch(&sql).map_err(failure)?;
    }
    // Savepoints keep the pages that they change: in memory, and not in a file per transaction. What a migration keeps is as
    // large as the store.
    connection
        .execute_batch("PRAGMA temp_store = MEMORY")
        .map_err(failure)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

pub(super) fn connect(path: &Path, access: OpenFlags) -> Result<Connection> {
    // No two threads use a connection at once: its own mutex is not needed.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failure)?;
    connection.busy_timeout(BUSY).map_err(failure)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

pub(super) fn pragma<V: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> Result<V> {
    connection
        .query_row(&format!("PRAGMA {name}"), (), |row| row.get(0))
        .map_err(failure)
}

/// A failure of SQLite in our words.
pub(super) fn failure(error: rusqlite::Error) -> StoreError {
    let rusqlite::Error::SqliteFailure(cause, _) = &error else {
        return StoreError::Failed(error.into());
    };
    match (cause.code, cause.extended_code) {
        // The shared index of the log is made larger before it is used.
        (ErrorCode::DiskFull, _) | (_, rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => StoreError::Full(error.into()),
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => StoreError::Locked,
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => corrupt(error),
        _ => StoreError::Failed(error.into()),
    }
}

/// The result of a future that never waits.
pub(super) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("on SQLite every step of a command is done when it returns"),
    }
}

/// SQLite's clock is the one of this host.
pub(super) fn clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A connection, inside of a transaction or not.
pub(super) struct SqliteTx<'c>(pub(super) &'c mut Connection);

impl Tx for SqliteTx<'_> {
    const SHARED: bool = false;

    fn rows_within<R, F>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        bytes: usize,
        decode: F,
    ) -> impl Future<Output = Result<(Vec<R>, usize)>> + Send
    where
        R: Send,
        F: FnMut(&mut Cells<'_>) -> Result<R> + Send,
    {
        ready(rows_within(self.0, sql, params, bytes, decode))
    }

    fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> impl Future<Output = Result<u64>> + Send {
        let changed = self
            .0
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params_from_iter(params)))
            .map(|changed| changed as u64)
            .map_err(failure);
        ready(changed)
    }

    fn now_ms(&mut self) -> impl Future<Output = Result<i64>> + Send {
        ready(Ok(clock_ms()))
    }

    fn lock(&mut self, _: Locks) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }
}

fn rows_within<R>(
    connection: &Connection,
    sql: &str,
    params: &[Param<'_>],
    bytes: usize,
    mut decode: impl FnMut(&mut Cells<'_>) -> Result<R>,
) -> Result<(Vec<R>, usize)> {
    let mut statement = connection.prepare_cached(sql).map_err(failure)?;
    let mut rows = statement.query(params_from_iter(params)).map_err(failure)?;
    let (mut decoded, mut taken) = (Vec::new(), 0);
    while taken <= bytes
        && let Some(row) = rows.next().map_err(failure)?
    {
        let mut cells = Cells::new(row);
        decoded.push(decode(&mut cells)?);
        taken += cells.bytes;
    }
    Ok((decoded, taken))
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Int(Some(number)) => ValueRef::Integer(*number),
            Self::Text(None) | Self::Int(None) => ValueRef::Null,
        }))
    }
}

impl Columns for rusqlite::Row<'_> {
    fn text(&self, index: usize) -> Result<Option<&str>> {
        self.get_ref(index).map_err(failure)?.as_str_or_null().map_err(corrupt)
    }
    fn int(&self, index: usize) -> Result<Option<i64>> {
        self.get_ref(index).map_err(failure)?.as_i64_or_null().map_err(corrupt)
    }
}
