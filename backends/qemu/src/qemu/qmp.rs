//! QEMU's machine protocol: one JSON object per line over a unix socket.
//!
//! A monitor socket serves one client at a time; a second one connects and hears nothing, so there is one [`Qmp`] per
//! process and everybody shares it. Events are lost while nobody is connected: whoever connects asks for the state.

use crate::error::Failure;
use crate::host::process::Process;
use crate::host::socket;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;

/// How long a command may take unless the caller says otherwise. A round trip takes milliseconds; seconds on a host
/// that is overloaded.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The longest line that is read. The longest known answer (`query-qmp-schema`) has a quarter of a megabyte.
const LONGEST_LINE: u64 = 4 << 20;
/// Events kept for a reader that is behind; then it is told that it missed some.
const EVENTS: usize = 256;

/// Something that QEMU reports by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct QmpEvent {
    /// Its name, `SHUTDOWN`.
    pub name: String,
    /// Its data; null if it has none.
    pub data: Value,
}

impl QmpEvent {
    /// The text of a member of the data.
    pub fn text(&self, member: &str) -> Option<&str> {
        self.data.get(member)?.as_str()
    }
}

type Answer = Result<Value, Failure>;
type Pending = Arc<Mutex<Waiting>>;

/// Who waits for an answer; `None` once the connection has ended.
struct Waiting(Option<HashMap<u64, (String, oneshot::Sender<Answer>)>>);

/// A connection to the monitor of one QEMU. Cheap to clone; closed when the last clone goes.
#[derive(Clone)]
pub struct Qmp {
    inner: Arc<Inner>,
}

struct Inner {
    lines: mpsc::UnboundedSender<String>,
    next: std::sync::atomic::AtomicU64,
    pending: Pending,
    /// The reader holds the strong one: the streams end when it does.
    events: broadcast::WeakSender<QmpEvent>,
    tasks: [AbortHandle; 2],
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Qmp {
    /// Connects to the socket of `process` at `path` and negotiates.
    ///
    /// # Errors
    /// [`Failure::Host`] if nobody listens, or another process; [`Failure::Slow`] if nobody answers, also because somebody else is
    /// connected; [`Failure::Disconnected`] if what answers is not QEMU.
    pub async fn connect(path: &Path, process: &Process) -> Result<Self, Failure> {
        let stream = socket::connect_to(path, process)
            .await
            .map_err(Failure::host("connect to QEMU's monitor"))?;
        Self::negotiate(stream, PATIENCE).await
    }

    /// Connects to the socket at `path` of a process that may not have made it yet; `None` if the process ends before.
    ///
    /// # Errors
    /// As [`Qmp::connect`]; [`Failure::Slow`] after `limit`.
    pub async fn reach(path: &Path, process: &Process, limit: Duration) -> Result<Option<Self>, Failure> {
        let connect = async {
            loop {
                match Self::connect(path, process).await {
                    Err(Failure::Host { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                    other => break other.map(Some),
                }
            }
        };
        let connect = within("reach QEMU's monitor", limit, connect);
        tokio::select! {
            qmp = connect => qmp,
            () = process.ended() => Ok(None),
        }
    }

    async fn negotiate(stream: UnixStream, limit: Duration) -> Result<Self, Failure> {
        let (read, write) = stream.into_split();
        let mut reader = BufReader::new(read);
        let greeting = within("be greeted by QEMU", limit, next_line(&mut reader)).await?;
        if greeting.get("QMP").is_none() {
            return Err(Failure::Disconnected("it did not greet".to_owned()));
        }
        let pending = Arc::new(Mutex::new(Waiting(Some(HashMap::new()))));
        let events = broadcast::Sender::new(EVENTS);
        let weak_events = events.downgrade();
        let (lines, to_write) = mpsc::unbounded_channel();
        let tasks = [
            tokio::spawn(read_all(reader, pending.clone(), events)).abort_handle(),
            tokio::spawn(write_all(write, to_write)).abort_handle(),
        ];
        let qmp = Self {
            inner: Arc::new(Inner {
                lines,
                next: 1.into(),
                pending,
                events: weak_events,
                tasks,
            }),
        };
        qmp.execute("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Runs a command and returns what it returns.
    ///
    /// # Errors
    /// [`Failure::Refused`] with QEMU's words; [`Failure::Slow`] after [`PATIENCE`], and then the command may still
    /// take effect; [`Failure::Disconnected`].
    pub async fn execute(&self, command: &str, arguments: Value) -> Result<Value, Failure> {
        let id = self.inner.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        match &mut lock(&self.inner.pending).0 {
            Some(waiting) => waiting.insert(id, (command.to_owned(), tell)),
            None => return Err(Failure::Disconnected("it has ended".to_owned())),
        };
        let line = json!({"execute": command, "arguments": arguments, "id": id});
        // If the writer has gone, so has the reader, and the answer below says so.
        let _gone = self.inner.lines.send(format!("{line}\n"));
        let answer = async {
            told.await
                .unwrap_or_else(|_| Err(Failure::Disconnected("it has ended".to_owned())))
        };
        let answer = within(&format!("get QEMU's answer to {command}"), PATIENCE, answer).await;
        if let (Err(Failure::Slow { .. }), Some(waiting)) = (&answer, &mut lock(&self.inner.pending).0) {
            waiting.remove(&id);
        }
        answer
    }

    /// Runs a command of the human monitor, which some things (port forwarding) have only. Its answer is empty when
    /// all is well.
    ///
    /// # Errors
    /// As [`Qmp::execute`]; what the monitor says is [`Failure::Refused`].
    pub async fn human(&self, line: &str) -> Result<String, Failure> {
        let said = self
            .execute("human-monitor-command", json!({"command-line": line}))
            .await?;
        Ok(said.as_str().unwrap_or_default().trim().to_owned())
    }

    /// Everything that QEMU reports from now on. The stream ends with the connection.
    pub fn events(&self) -> broadcast::Receiver<QmpEvent> {
        match self.inner.events.upgrade() {
            Some(events) => events.subscribe(),
            None => broadcast::Sender::new(1).subscribe(),
        }
    }
}

fn lock(pending: &Mutex<Waiting>) -> std::sync::MutexGuard<'_, Waiting> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn within<T>(step: &str, limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(Failure::Slow {
            step: step.to_owned(),
            limit,
        })
    })
}

/// One line as JSON. Whatever comes instead of a JSON object in a line of bearable length ends the connection.
async fn next_line(reader: &mut BufReader<OwnedReadHalf>) -> Result<Value, Failure> {
    let mut line = Vec::new();
    let length = reader
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut line)
        .await
        .map_err(|error| Failure::Disconnected(error.to_string()))?;
    if length == 0 {
        return Err(Failure::Disconnected("it has ended".to_owned()));
    }
    match serde_json::from_slice(&line) {
        Ok(object @ Value::Object(_)) => Ok(object),
        _ => Err(Failure::Disconnected("it sent something that is no message".to_owned())),
    }
}

async fn read_all(mut reader: BufReader<OwnedReadHalf>, pending: Pending, events: broadcast::Sender<QmpEvent>) {
    let why = loop {
        let mut message = match next_line(&mut reader).await {
            Ok(message) => message,
            Err(why) => break why.to_string(),
        };
        if let Some(name) = message.get("event").and_then(Value::as_str) {
            let name = name.to_owned();
            let data = message.get_mut("data").map_or(Value::Null, Value::take);
            let _nobody_listens = events.send(QmpEvent { name, data });
            continue;
        }
        let waiter = message.get("id").and_then(Value::as_u64);
        let waiter = waiter.and_then(|id| lock(&pending).0.as_mut()?.remove(&id));
        if let Some((command, tell)) = waiter {
            let answer = match message.get("error") {
                None => Ok(message.get_mut("return").map_or(Value::Null, Value::take)),
                Some(error) => Err(Failure::Refused {
                    command,
                    said: error
                        .get("desc")
                        .and_then(Value::as_str)
                        .unwrap_or("no reason")
                        .to_owned(),
                }),
            };
            let _gave_up = tell.send(answer);
        }
    };
    for (_command, tell) in lock(&pending)
        .0
        .take()
        .into_iter()
        .flatten()
        .map(|(_id, waiter)| waiter)
    {
        let _gave_up = tell.send(Err(Failure::Disconnected(why.clone())));
    }
}

async fn write_all(mut write: OwnedWriteHalf, mut lines: mpsc::UnboundedReceiver<String>) {
    while let Some(line) = lines.recv().await {
        if write.write_all(line.as_bytes()).await.is_err() {
            break; // the reader finds out why
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    /// A QEMU that says `script`, after reading a line before each entry but the first.
    async fn connect_to(script: &'static [&'static [u8]]) -> Result<Qmp, Failure> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(async move {
            let (read, mut write) = theirs.into_split();
            let mut lines = BufReader::new(read);
            for (index, say) in script.iter().enumerate() {
                if index > 0 {
                    lines.read_line(&mut String::new()).await.unwrap();
                }
                if write.write_all(say).await.is_err() {
                    return;
                }
            }
            let _closed = lines.read_to_end(&mut Vec::new()).await;
        });
        Qmp::negotiate(ours, Duration::from_millis(300)).await
    }

    const GREETING: &[u8] = b"{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n";
    const READY: &[u8] = b"{\"return\": {}, \"id\": 1}\r\n";

    #[tokio::test]
    async fn answers_find_their_commands_and_events_go_aside() {
        let qmp = connect_to(&[
            GREETING,
            READY,
            b"{\"event\": \"STOP\"}\n{\"return\": 7, \"id\": 99}\n{\"return\": {\"status\": \"paused\"}, \"id\": 2}\n",
            b"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}, \"id\": 3}\n",
        ])
        .await
        .unwrap();
        let mut events = qmp.events();
        let status = qmp.execute("query-status", json!({})).await.unwrap();
        assert_eq!(status["status"], "paused");
        assert_eq!(events.recv().await.unwrap().name, "STOP");
        let refused = qmp.execute("eject", json!({})).await.unwrap_err();
        assert_eq!(crate::error::chain(&refused), "eject: no such thing");
    }

    #[tokio::test]
    async fn garbage_silence_and_hang_ups_end_in_an_error_and_never_hang() {
        let deep = [b"[".repeat(100_000), b"\n".to_vec()].concat().leak();
        let scripts: [&'static [&'static [u8]]; 6] = [
            &[b""],
            &[b"\xff\xfe\x00garbage\n"],
            &[b"{\"QMP\"\n"],
            &[GREETING, b"[]\n"],
            vec![GREETING, deep as &[u8]].leak(),
            &[GREETING, b"{\"return\": {}, \"id\": \"1\"}\n{\"id\": -1}\n{}\nnull\n"],
        ];
        for script in scripts {
            let error = connect_to(script).await.err().unwrap();
            assert!(
                matches!(error, Failure::Disconnected(_) | Failure::Slow { .. }),
                "{error:?} after {script:?}"
            );
        }
    }
}
