//! Consoles of computes. OCCI has no verb for them: what is typed is between a person and a machine.
//!
//! The output is kept by the engine behind the backend and only passed on here. A line is one person's at a time; that, and
//! that nobody who is slow holds a machine up, is seen to here for all backends.

use crate::carrier::Carrier;
use crate::create::unsupported;
use crate::engine::{Engine, Inner};
use crate::plan::Request;
use crate::{Caller, EngineError, FailureKind, Result, place, policy, row};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use futures::stream::{self, BoxStream, StreamExt};
use occi_backend::{Consoles, Line, LogPart, Scope};
use occi_model::EntityId;
use occi_store::{Commit, EntityRow};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long an engine may take to say that it opens a console or a log.
const OPENING: Duration = Duration::from_secs(30);
/// Between two looks whether a machine that is being started is on.
const COMING: Duration = Duration::from_millis(200);
/// So many bytes wait for whoever sits at a console; what comes then is left out.
const WAITING: usize = 256 << 10;
const CHUNK: usize = 4096;

/// A console that somebody sits at. Dropping it frees the place.
pub struct Console {
    /// What the machine writes. Its end is the end of the console.
    pub output: mpsc::Receiver<Bytes>,
    /// What is typed.
    pub input: WriteHalf<Box<dyn Line>>,
    /// Cancelled when somebody else has taken the place.
    pub taken: CancellationToken,
    _seat: Seat,
    _reading: AbortOnDropHandle<()>,
}

impl Engine {
    /// What has come over the console of the compute at `path`; readers may look at it.
    ///
    /// A machine that is just being started is waited for by whoever follows.
    ///
    /// # Errors
    /// `NotFound`. `Unsupported`: its backend keeps no output.
    pub async fn console_log(
        &self,
        caller: &Caller,
        path: &str,
        part: LogPart,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let row = self.inner.console_of(caller, path).await?;
        let (carrier, consoles) = self.inner.consoles_of(&row)?;
        if !carrier.kind(&row.kind).is_some_and(|kind| kind.console_log) {
            return Err(unsupported(carrier, "keep what comes over consoles"));
        }
        carrier.require_up().await?;
        let (scope, target) = (scope(&row), row::target(&row));
        if part.follow && row.operation.is_some() {
            let inner = self.inner.clone();
            let begun = async move {
                inner.begun(&row.id).await?;
                let log = consoles.log(&scope, &target, part).await?;
                Ok::<_, EngineError>(log.map_err(EngineError::from))
            };
            return Ok(stream::once(begun).try_flatten().boxed());
        }
        let log = in_time(consoles.log(&scope, &target, part)).await?;
        Ok(log.map_err(EngineError::from).boxed())
    }

    /// Opens the console of the compute at `path`, which takes who may change it, and leaves an audit record. With `force`
    /// whoever sits there has to go.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`. `Conflict`: somebody else sits there, or the machine is off. `Unsupported`: its backend opens
    /// no console.
    pub async fn open_console(&self, caller: &Caller, path: &str, force: bool) -> Result<Console> {
        let inner = &self.inner;
        let row = inner.console_of(caller, path).await?;
        policy::may_change_row(caller, &row)?;
        let (carrier, consoles) = inner.consoles_of(&row)?;
        if carrier.kind(&row.kind).is_none_or(|kind| kind.console.is_empty()) {
            return Err(unsupported(carrier, "open consoles"));
        }
        carrier.require_up().await?;
        let taken = || {
            let message = "somebody else sits at this console; force it open, and theirs ends";
            EngineError::new(FailureKind::Conflict, message).with_code("in_use")
        };
        let free = match force {
            true => None,
            false => Some(inner.seats.take(&row.id).ok_or_else(taken)?),
        };
        let (scope, target) = (scope(&row), row::target(&row));
        let line = in_time(consoles.open(&scope, &target)).await?;
        let request = Request {
            caller,
            project: &row.project,
            verb: "open console",
            path: &row.path,
            answer: json!({}),
        };
        let commit = Commit {
            audit: vec![inner.audit(&request, "accepted", if force { "by force" } else { "" })],
            ..Commit::default()
        };
        inner.commit(commit).await?;
        // Nobody has to go before it is sure that somebody comes.
        let seat = free.unwrap_or_else(|| inner.seats.seize(&row.id));
        let (reading, input) = tokio::io::split(line);
        let (to, output) = mpsc::channel(1);
        Ok(Console {
            output,
            input,
            taken: seat.lost.clone(),
            _seat: seat,
            _reading: AbortOnDropHandle::new(tokio::spawn(read_on(reading, to))),
        })
    }

    /// Whether the caller may still look at the console of the compute at `path`, or type on it.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn may_use_console(&self, caller: &Caller, path: &str, to_type: bool) -> Result<()> {
        let row = self.inner.console_of(caller, path).await?;
        match to_type {
            true => policy::may_change_row(caller, &row),
            false => Ok(()),
        }
    }
}

impl Inner {
    /// The entity of whose console somebody asks. What others merely show has none.
    async fn console_of(&self, caller: &Caller, path: &str) -> Result<EntityRow> {
        let row = self.seen_at(caller, &place::of_entity(path)).await?;
        match policy::is_own(caller, &row) {
            true => Ok(row),
            false => Err(policy::only_shown(&row)),
        }
    }

    fn consoles_of(&self, row: &EntityRow) -> Result<(&Carrier, Arc<dyn Consoles>)> {
        let Some(carrier) = self.carrier_for(row)?.map(|carrier| &self.carriers[carrier]) else {
            let message = format!("a {} has no console", row.kind.term());
            return Err(EngineError::new(FailureKind::Unsupported, message));
        };
        let consoles = carrier.backend.consoles();
        let none = || unsupported(carrier, &format!("have a console for a {}", row.kind.term()));
        Ok((carrier, consoles.ok_or_else(none)?))
    }

    /// Returns when an entity is on, or nothing is done about it any more.
    async fn begun(&self, id: &EntityId) -> Result<()> {
        while let Some(row) = self.store.entity(id).await? {
            if row.operation.is_none() || row.state.as_deref() == Some("active") {
                break;
            }
            tokio::time::sleep(COMING).await;
        }
        Ok(())
    }
}

fn scope(row: &EntityRow) -> Scope {
    Scope {
        project: row.native_project.clone(),
    }
}

async fn in_time<T>(opening: impl Future<Output = occi_backend::Result<T>>) -> Result<T> {
    match tokio::time::timeout(OPENING, opening).await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(EngineError::new(
            FailureKind::Timeout,
            format!("the console did not open within {} s", OPENING.as_secs()),
        )),
    }
}

/// Reads all the time: a machine whose serial port nobody reads stands still.
async fn read_on(mut line: ReadHalf<Box<dyn Line>>, to: mpsc::Sender<Bytes>) {
    let mut waiting = BytesMut::new();
    let mut left_out = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        tokio::select! {
            permit = to.reserve(), if !waiting.is_empty() => match permit {
                Ok(permit) => permit.send(waiting.split().freeze()),
                Err(_gone) => return,
            },
            read = line.read(&mut chunk) => match read {
                Ok(count @ 1..) if waiting.len() + count <= WAITING => {
                    if left_out > 0 {
                        let words = format!("\r\n[{left_out} bytes are left out here: the log has them]\r\n");
                        waiting.extend_from_slice(words.as_bytes());
                        left_out = 0;
                    }
                    waiting.extend_from_slice(&chunk[..count]);
                }
                Ok(count @ 1..) => left_out += count,
                Ok(0) | Err(_) => break,
            },
            () = to.closed() => return,
        }
    }
    if !waiting.is_empty() {
        let _ = to.send(waiting.freeze()).await;
    }
}

/// Who sits at which console of this process.
#[derive(Clone, Default)]
pub(crate) struct Seats(Arc<Mutex<HashMap<EntityId, CancellationToken>>>);

/// The place at one.
struct Seat {
    seats: Seats,
    id: EntityId,
    lost: CancellationToken,
}

impl Seats {
    /// The place if it is free.
    fn take(&self, id: &EntityId) -> Option<Seat> {
        let mut taken = self.taken();
        let is_free = !taken.contains_key(id);
        is_free.then(|| self.sit(&mut taken, id))
    }

    /// The place; whoever sits there loses it.
    fn seize(&self, id: &EntityId) -> Seat {
        self.sit(&mut self.taken(), id)
    }

    fn sit(&self, taken: &mut HashMap<EntityId, CancellationToken>, id: &EntityId) -> Seat {
        let lost = CancellationToken::new();
        if let Some(before) = taken.insert(id.clone(), lost.clone()) {
            before.cancel();
        }
        Seat {
            seats: self.clone(),
            id: id.clone(),
            lost,
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<EntityId, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        // One that was lost is another's by now.
        if !self.lost.is_cancelled() {
            taken.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_when_its_owner_goes_and_not_when_somebody_who_lost_it_does() {
        let seats = Seats::default();
        let id: EntityId = "vm".parse().unwrap();
        let first = seats.take(&id).unwrap();
        assert!(seats.take(&id).is_none());
        let second = seats.seize(&id);
        assert!(first.lost.is_cancelled());
        drop(first);
        assert!(seats.take(&id).is_none());
        drop(second);
        assert!(seats.take(&id).is_some());
    }

    #[tokio::test]
    async fn a_machine_is_read_however_slow_its_reader_is() {
        let (line, mut machine) = tokio::io::duplex(64);
        let (reading, _input) = tokio::io::split(Box::new(line) as Box<dyn Line>);
        let (to, mut output) = mpsc::channel(1);
        let _reading = tokio::spawn(read_on(reading, to));
        let written = vec![b'x'; 3 * WAITING];
        tokio::io::AsyncWriteExt::write_all(&mut machine, &written)
            .await
            .unwrap();
        let mut seen = output.recv().await.unwrap().len() + output.recv().await.unwrap().len();
        assert!(seen <= WAITING + CHUNK, "{seen}");
        tokio::io::AsyncWriteExt::write_all(&mut machine, b"again")
            .await
            .unwrap();
        drop(machine);
        let mut rest = Vec::new();
        while let Some(bytes) = output.recv().await {
            rest.extend_from_slice(&bytes);
        }
        seen += rest.len();
        let rest = String::from_utf8(rest).unwrap();
        let is_told = rest.contains("bytes are left out here: the log has them]\r\n");
        assert!(is_told && rest.ends_with("again"), "{rest}");
        assert!(seen < written.len() && seen > 1000, "{seen}");
    }
}
