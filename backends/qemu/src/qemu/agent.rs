//! The guest agent: a few requests to software inside the guest, which may be missing, asleep or lying.

use crate::error::Failure;
use crate::host::process::Process;
use crate::host::socket;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// The longest answer that is read.
const LONGEST: u64 = 256 << 10;

/// Asks the agent behind the socket of the QEMU `process` at `path` to run `command`, and gives what it returns.
///
/// The answers of requests that earlier callers gave up on may still be in the channel, so a number is exchanged first.
///
/// # Errors
/// [`Failure::Slow`] if nobody answers within `limit` (no agent, or the guest is not that far);
/// [`Failure::Refused`] with the agent's words.
pub async fn call(
    path: &Path,
    process: &Process,
    command: &str,
    arguments: Value,
    limit: Duration,
) -> Result<Value, Failure> {
    let step = || format!("get the guest agent's answer to {command}");
    let talk = async {
        let stream = socket::connect_to(path, process).await?;
        let (read, mut write) = stream.into_split();
        let mut reader = BufReader::new(read);
        let number = u64::from(uuid::Uuid::new_v4().as_fields().0);
        // A byte that is no UTF-8 makes the agent forget a half request.
        write.write_all(b"\xff").await?;
        write
            .write_all(request("guest-sync-delimited", json!({"id": number})).as_bytes())
            .await?;
        loop {
            let mut line = Vec::new();
            if (&mut reader).take(LONGEST).read_until(b'\n', &mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let text = line.rsplit(|byte| *byte == 0xFF).next().unwrap_or_default();
            let answer = serde_json::from_slice::<Value>(text).ok();
            if answer.is_some_and(|answer| answer["return"] == number) {
                break;
            }
        }
        write.write_all(request(command, arguments).as_bytes()).await?;
        let mut line = Vec::new();
        reader.take(LONGEST).read_until(b'\n', &mut line).await?;
        serde_json::from_slice::<Value>(&line).map_err(std::io::Error::other)
    };
    let answer = tokio::time::timeout(limit, talk)
        .await
        .map_err(|_| Failure::Slow { step: step(), limit })?
        .map_err(Failure::host(step()))?;
    match answer.get("error") {
        None => Ok(answer.get("return").cloned().unwrap_or_default()),
        Some(error) => Err(Failure::Refused {
            command: command.to_owned(),
            said: error["desc"].as_str().unwrap_or("no reason").to_owned(),
        }),
    }
}

/// How long a guest's agent may take to say how it is.
const STATUS: Duration = Duration::from_secs(3);
/// How long it may take to bring its file systems to rest, or back.
const FREEZE: Duration = Duration::from_secs(20);

/// Does `work` while the guest's file systems are at rest, if it has an agent that can do so. They go on afterwards on
/// every way but one, that we are ended in the middle; see [`thaw_if_frozen`].
///
/// # Errors
/// Those of `work`; [`Failure::Slow`] or [`Failure::Refused`] if the guest stays at rest.
pub async fn at_rest(
    path: &Path,
    process: &Process,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    if !thaw_if_frozen(path, process).await {
        return work.await;
    }
    // One that did not answer in time may do it yet, so it is woken whatever it said.
    let frozen = call(path, process, "guest-fsfreeze-freeze", json!({}), FREEZE).await;
    let done = work.await;
    let thawed = call(path, process, "guest-fsfreeze-thaw", json!({}), FREEZE).await;
    if frozen.is_ok() {
        thawed?;
    }
    done
}

/// Lets the guest's file systems go on if they are at rest; whether there is an agent that knows about it.
pub async fn thaw_if_frozen(path: &Path, process: &Process) -> bool {
    let Ok(status) = call(path, process, "guest-fsfreeze-status", json!({}), STATUS).await else {
        return false;
    };
    if status == "frozen"
        && let Err(failure) = call(path, process, "guest-fsfreeze-thaw", json!({}), FREEZE).await
    {
        let error = crate::error::chain(&failure);
        tracing::warn!(error, "a guest's file systems stay at rest");
    }
    true
}

/// Asks the guest to switch itself off; there is no answer to that. Whether somebody was there to hear it.
pub async fn power_off(path: &Path, process: &Process) -> bool {
    const PATIENCE: Duration = Duration::from_secs(2);
    if call(path, process, "guest-ping", json!({}), PATIENCE).await.is_err() {
        return false;
    }
    let Ok(mut stream) = socket::connect_to(path, process).await else {
        return false;
    };
    let sent = stream
        .write_all(request("guest-shutdown", json!({"mode": "powerdown"})).as_bytes())
        .await;
    // Closing at once would throw the request away before QEMU has read it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    sent.is_ok()
}

fn request(command: &str, arguments: Value) -> String {
    format!("{}\n", json!({"execute": command, "arguments": arguments}))
}
