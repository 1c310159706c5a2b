//! PostgreSQL under [`Tx`]: statements, rows, errors, the schema.

use crate::json::corrupt;
use crate::tx::{Cells, Columns, Locks, Param, Tx};
use crate::{Result, StoreError, schema};
use futures::stream::TryStreamExt;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, PgConnection, Row};

/// A connection, inside of a transaction or not.
pub(super) struct PgTx<'c>(pub(super) &'c mut PgConnection);

impl Tx for PgTx<'_> {
    const SHARED: bool = true;

    async fn rows_within<R, F>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        bytes: usize,
        mut decode: F,
    ) -> Result<(Vec<R>, usize)>
    where
        R: Send,
        F: FnMut(&mut Cells<'_>) -> Result<R> + Send,
    {
        let mut rows = bound(sql, params).fetch(&mut *self.0);
        let (mut decoded, mut taken) = (Vec::new(), 0);
        while taken <= bytes
            && let Some(row) = rows.try_next().await.map_err(failure)?
        {
            let mut cells = Cells::new(&row);
            decoded.push(decode(&mut cells)?);
            taken += cells.bytes;
        }
        Ok((decoded, taken))
    }

    async fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        let done = bound(sql, params).execute(&mut *self.0).await.map_err(failure)?;
        Ok(done.rows_affected())
    }

    async fn now_ms(&mut self) -> Result<i64> {
        let now_ms = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
        sqlx::query_scalar(now_ms)
            .fetch_one(&mut *self.0)
            .await
            .map_err(failure)
    }

    async fn lock(&mut self, locks: Locks) -> Result<()> {
        let Locks {
            projects,
            accounts,
            entities,
            operations,
        } = locks;
        for (keys, sql) in [
            (
                projects,
                "SELECT 1 FROM project WHERE name = ANY($1) ORDER BY name FOR UPDATE",
            ),
            (
                accounts,
                "SELECT 1 FROM account WHERE name = ANY($1) ORDER BY name FOR UPDATE",
            ),
            (
                entities,
                "SELECT 1 FROM entity WHERE id = ANY($1) ORDER BY id FOR UPDATE",
            ),
            (
                operations,
                "SELECT 1 FROM operation WHERE id = ANY($1) ORDER BY id FOR UPDATE",
            ),
        ] {
            if !keys.is_empty() {
                sqlx::query(sql)
                    .bind(keys)
                    .execute(&mut *self.0)
                    .await
                    .map_err(failure)?;
            }
        }
        Ok(())
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// The statement with its values; `?1` is `$1` here. Values never are part of the text.
fn bound<'q>(sql: &str, params: &'q [Param<'_>]) -> Query<'q> {
    let mut query = sqlx::query(AssertSqlSafe(sql.replace('?', "$")));
    for param in params {
        query = match param {
            Param::Text(text) => query.bind(text.as_deref()),
            Param::Int(number) => query.bind(*number),
        };
    }
    query
}

impl Columns for PgRow {
    fn text(&self, index: usize) -> Result<Option<&str>> {
        self.try_get(index).map_err(corrupt)
    }
    fn int(&self, index: usize) -> Result<Option<i64>> {
        // A literal is four bytes wide.
        self.try_get(index)
            .or_else(|_| {
                self.try_get::<Option<i32>, _>(index)
                    .map(|number| number.map(i64::from))
            })
            .map_err(corrupt)
    }
}

/// A failure of PostgreSQL in our words.
pub(super) fn failure(error: sqlx::Error) -> StoreError {
    match code(&error).as_deref() {
        // disk_full
        Some("53100") => StoreError::Full(error.into()),
        // data_corrupted, index_corrupted
        Some("XX001" | "XX002") => corrupt(error),
        _ => StoreError::Failed(error.into()),
    }
}

/// Whether nothing was written because of somebody else's transaction, and may be tried again: serialization_failure,
/// deadlock_detected, unique_violation (the next attempt sees who was first), and a table that was made meanwhile.
pub(super) fn is_conflict(error: &StoreError) -> bool {
    let StoreError::Failed(cause) = error else { return false };
    let code = cause.downcast_ref().and_then(code);
    matches!(code.as_deref(), Some("40001" | "40P01" | "23505" | "42P07"))
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Brings the schema up to date. The number of the schema is kept in a table; who migrates locks it.
pub(super) async fn migrate(pool: &PgPool) -> Result<()> {
    let mut transaction = pool.begin().await.map_err(failure)?;
    let connection: &mut PgConnection = &mut transaction;
    let known: bool = sqlx::query_scalar("SELECT to_regclass('schema_number') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(failure)?;
    if !known {
        run(
            connection,
            "CREATE TABLE schema_number (number BIGINT NOT NULL); INSERT INTO schema_number VALUES (0)",
        )
        .await?;
    }
    let found = "SELECT number FROM schema_number";
    let found: i64 = sqlx::query_scalar(found)
        .fetch_one(&mut *connection)
        .await
        .map_err(failure)?;
    if found == schema::SCHEMA {
        return Ok(());
    }
    run(connection, "LOCK TABLE schema_number IN EXCLUSIVE MODE").await?;
    let found = "SELECT number FROM schema_number";
    let found: i64 = sqlx::query_scalar(found)
        .fetch_one(&mut *connection)
        .await
        .map_err(failure)?;
    if found > 0 {
        // What another process writes meanwhile would be in no table that is made again.
        run(connection, "LOCK TABLE entity IN ACCESS EXCLUSIVE MODE").await?;
    }
    for (number, migration) in schema::pending(found)? {
        run(connection, &adapted(migration)).await?;
        run(connection, &format!("UPDATE schema_number SET number = {number}")).await?;
    }
    transaction.commit().await.map_err(failure)
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map(drop)
        .map_err(failure)
}

/// A migration in this dialect: rows have no own order, numbers are eight bytes wide, and texts compare byte by byte.
fn adapted(migration: &str) -> String {
    migration
        .replace(" WITHOUT ROWID", "")
        .replace(" INTEGER PRIMARY KEY", " BIGINT PRIMARY KEY")
        .replace(" TEXT", " TEXT COLLATE \"C\"")
}
