//! The writer: one thread that drains a queue into one transaction and answers after the commit. While it waits for the
//! disk the next group gathers.
//!
//! A command that fails leaves nothing and harms no other. A savepoint around each would do that, and keeps a copy of
//! every page that a command touches. Most groups have no use for that: so a group is tried without, and if one of its
//! commands fails, all are carried out again, each in a savepoint. Who is refused often comes again at once: the next groups
//! begin with savepoints.

use super::engine::{SqliteTx, failure, now};
use super::store::Readers;
use crate::codec::insert_audit;
use crate::tx::Command;
use crate::{Result, StoreError};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// At most so many commands share a transaction.
const GROUP: usize = 256;

/// So many groups after the last failure begin with savepoints.
const CAREFUL: u32 = 16;

/// So many commands may wait; who comes then waits outside.
const QUEUE: usize = 1024;

/// The handle to the thread. Dropping it lets the thread finish what is queued, and waits for that.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, readers: Arc<Readers>) -> Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("occi-store-write".to_owned())
            .spawn(move || work(connection, jobs, &readers))
            .map_err(|error| StoreError::Failed(error.into()))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Returns when the command is durable, or when it is certain that it did nothing.
    pub(super) async fn carry_out<C: Command>(&self, command: C) -> Result<C::Output> {
        let (answer, result) = oneshot::channel();
        let job = Queued {
            command,
            answer: Some(answer),
            result: None,
        };
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(Box::new(job)).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed where it happened.
            let _ = thread.join();
        }
    }
}

fn gone() -> StoreError {
    StoreError::Failed("the writer has ended".into())
}

/// A command with the place to which its answer goes.
trait Job: Send {
    /// Carries it out inside of the open transaction, and says whether that went well. If not, the transaction is spoilt.
    fn run(&mut self, connection: &mut Connection) -> bool;
    /// The same in a savepoint: if it does not go well, nothing of it is left but its audit.
    fn run_apart(&mut self, connection: &mut Connection);
    /// What went wrong with it so far.
    fn error(&self) -> Option<&StoreError>;
    /// Answers: with its result if the transaction was committed, else with the reason.
    fn finish(&mut self, committed: std::result::Result<(), &StoreError>);
}

struct Queued<C: Command> {
    command: C,
    answer: Option<oneshot::Sender<Result<C::Output>>>,
    result: Option<Result<C::Output>>,
}

impl<C: Command> Job for Queued<C> {
    fn run(&mut self, connection: &mut Connection) -> bool {
        let result = caught(|| now(self.command.run(&mut SqliteTx(connection))));
        self.result.insert(result).is_ok()
    }

    fn run_apart(&mut self, connection: &mut Connection) {
        self.result = Some(in_savepoint(connection, |connection| {
            now(self.command.run(&mut SqliteTx(connection)))
        }));
        if let Some(Err(StoreError::Refused(_))) = self.result
            && let Err(error) = in_savepoint(connection, |connection| {
                now(insert_audit(&mut SqliteTx(connection), self.command.audit()))
            })
        {
            self.result = Some(Err(error));
        }
    }

    fn error(&self) -> Option<&StoreError> {
        self.result.as_ref()?.as_ref().err()
    }

    fn finish(&mut self, committed: std::result::Result<(), &StoreError>) {
        let result = match (committed, self.result.take()) {
            (Ok(()), Some(result)) | (Err(_), Some(result @ Err(_))) => result,
            (Err(error), _) => Err(again(error)),
            (Ok(()), None) => Err(gone()),
        };
        if let Some(answer) = self.answer.take() {
            // Who asked may have gone.
            let _ = answer.send(result);
        }
    }
}

/// The same failure for everyone in the group.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full(cause) => StoreError::Full(cause.to_string().into()),
        StoreError::Locked => StoreError::Locked,
        StoreError::Corrupt(what) => StoreError::Corrupt(what.clone()),
        other => StoreError::Failed(other.to_string().into()),
    }
}

/// A panic of one command ends no other.
fn caught<R>(run: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(StoreError::Failed("the command panicked".into())))
}

fn in_savepoint<R>(connection: &mut Connection, run: impl FnOnce(&mut Connection) -> Result<R>) -> Result<R> {
    statement(connection, "SAVEPOINT command")?;
    let result = caught(|| run(connection));
    // A full disk may have rolled back everything already.
    if result.is_err() && !connection.is_autocommit() {
        statement(connection, "ROLLBACK TO command")?;
    }
    if !connection.is_autocommit() {
        statement(connection, "RELEASE command")?;
    }
    result
}

/// Carries out a statement that gives nothing back.
pub(super) fn statement(connection: &Connection, sql: &str) -> Result<()> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(()))
        .map(drop)
        .map_err(failure)
}

fn work(mut connection: Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>, readers: &Readers) {
    let mut careful = 0;
    while let Some(first) = jobs.blocking_recv() {
        let mut group = vec![first];
        readers.write_begins();
        let committed = transaction(&mut connection, &mut group, &mut jobs, careful > 0);
        careful = match group.iter().any(|job| job.error().is_some()) {
            true => CAREFUL,
            false => careful.saturating_sub(1),
        };
        readers.write_ended();
        for job in &mut group {
            job.finish(committed.as_ref().copied());
        }
    }
}

/// `is_careful`: with savepoints from the beginning.
fn transaction(
    connection: &mut Connection,
    group: &mut Vec<Box<dyn Job>>,
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
    is_careful: bool,
) -> Result<()> {
    statement(connection, "BEGIN IMMEDIATE")?;
    if is_careful {
        each_apart(connection, group, jobs)?;
    } else if !each(group, jobs, |job| job.run(connection)) {
        if !connection.is_autocommit() {
            statement(connection, "ROLLBACK")?;
        }
        statement(connection, "BEGIN IMMEDIATE")?;
        each_apart(connection, group, jobs)?;
    }
    statement(connection, "COMMIT").inspect_err(|_| {
        if !connection.is_autocommit() {
            let _ = statement(connection, "ROLLBACK");
        }
    })
}

/// Carries out each command in a savepoint.
fn each_apart(
    connection: &mut Connection,
    group: &mut Vec<Box<dyn Job>>,
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
) -> Result<()> {
    let mut spoilt = None;
    each(group, jobs, |job| {
        job.run_apart(connection);
        if connection.is_autocommit() {
            // No space: everything was rolled back, the others' commands too.
            spoilt = Some(job.error().map_or_else(gone, again));
        }
        spoilt.is_none()
    });
    spoilt.map_or(Ok(()), Err)
}

/// Carries out the commands of a group, and those that come meanwhile, until one does not go well.
fn each(
    group: &mut Vec<Box<dyn Job>>,
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
    mut carry_out: impl FnMut(&mut dyn Job) -> bool,
) -> bool {
    let mut done = 0;
    while let Some(job) = group.get_mut(done) {
        if !carry_out(job.as_mut()) {
            return false;
        }
        done += 1;
        if done == group.len() && done < GROUP {
            group.extend(jobs.try_recv());
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::engine::open_writer;
    use crate::tx::{Tx, params};
    use crate::{Audit, Refused};
    use std::sync::atomic::{AtomicU32, Ordering};
    use uuid::Uuid;

    #[derive(Clone, Copy, PartialEq)]
    enum Then {
        Succeed,
        Refuse,
        Panic,
    }

    /// Writes its number and its audit, then does as it is told.
    struct Number(i64, Then, Vec<Audit>);

    impl Command for Number {
        type Output = i64;

        async fn run<T: Tx>(&self, tx: &mut T) -> Result<i64> {
            tx.execute("INSERT INTO numbers VALUES (?1)", params![self.0]).await?;
            match self.1 {
                Then::Succeed => insert_audit(tx, &self.2).await.map(|()| self.0),
                Then::Refuse => Err(StoreError::Refused(Refused::NoEntity("none".parse().unwrap()))),
                Then::Panic => panic!("as told"),
            }
        }

        fn audit(&self) -> &[Audit] {
            &self.2
        }
    }

    fn line(n: i64) -> Audit {
        Audit {
            id: Uuid::now_v7(),
            at_ms: n,
            principal: "ann".into(),
            project: None,
            verb: "create".into(),
            path: "/".into(),
            outcome: String::new(),
            detail: String::new(),
            request: String::new(),
        }
    }

    /// Counts how often it is carried out, and is refused.
    struct Refusal(Arc<AtomicU32>);

    impl Command for Refusal {
        type Output = ();

        async fn run<T: Tx>(&self, _: &mut T) -> Result<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(StoreError::Refused(Refused::NoEntity("none".parse().unwrap())))
        }

        fn audit(&self) -> &[Audit] {
            &[]
        }
    }

    #[tokio::test]
    async fn who_is_refused_again_soon_is_carried_out_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db");
        let connection = open_writer(&file).unwrap();
        connection.execute_batch("CREATE TABLE numbers (n INTEGER)").unwrap();
        let readers = Arc::new(Readers::new(&file));
        let writer = Writer::start(connection, readers).unwrap();
        let refuse = async || {
            let runs = Arc::new(AtomicU32::new(0));
            writer.carry_out(Refusal(runs.clone())).await.unwrap_err();
            runs.load(Ordering::Relaxed)
        };
        assert_eq!(refuse().await, 2, "first without a savepoint");
        assert_eq!(refuse().await, 1);
        for n in 0..CAREFUL {
            writer
                .carry_out(Number(n.into(), Then::Succeed, Vec::new()))
                .await
                .unwrap();
        }
        assert_eq!(refuse().await, 2);
    }

    fn numbers(connection: &Connection, sql: &str) -> Vec<i64> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map((), |row| row.get(0)).unwrap();
        rows.map(std::result::Result::unwrap).collect()
    }

    #[test]
    fn who_fails_in_a_group_harms_no_other_and_leaves_its_audit_if_it_was_refused() {
        for is_careful in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut connection = open_writer(&folder.path().join("store.db")).unwrap();
            connection.execute_batch("CREATE TABLE numbers (n INTEGER)").unwrap();
            let (queue, mut jobs) = mpsc::channel::<Box<dyn Job>>(8);
            let mut results = Vec::new();
            for (n, then) in (0..).zip([Then::Succeed, Then::Refuse, Then::Succeed, Then::Panic, Then::Succeed]) {
                let (answer, result) = oneshot::channel();
                let job = Queued {
                    command: Number(n, then, vec![line(n)]),
                    answer: Some(answer),
                    result: None,
                };
                queue
                    .try_send(Box::new(job))
                    .unwrap_or_else(|_| panic!("the queue is full"));
                results.push((then, result));
            }
            let mut group = vec![jobs.try_recv().unwrap()];
            transaction(&mut connection, &mut group, &mut jobs, is_careful).unwrap();
            for job in &mut group {
                job.finish(Ok(()));
            }
            for (then, mut result) in results {
                match (then, result.try_recv().unwrap()) {
                    (Then::Succeed, Ok(_))
                    | (Then::Refuse, Err(StoreError::Refused(_)))
                    | (Then::Panic, Err(StoreError::Failed(_))) => {}
                    (_, other) => panic!("{other:?}"),
                }
            }
            assert_eq!(numbers(&connection, "SELECT n FROM numbers ORDER BY n"), [0, 2, 4]);
            assert_eq!(
                numbers(&connection, "SELECT at_ms FROM audit ORDER BY at_ms"),
                [0, 1, 2, 4]
            );
        }
    }
}
