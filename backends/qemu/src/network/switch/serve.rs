//! The process: ports, the way out and the control socket.

use super::plan::{Sender, Verdict};
use super::{Mac, Plan};
use crate::error::Failure;
use crate::host::durable;
use crate::host::socket;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio_util::task::AbortOnDropHandle;

/// The hidden sub-command.
pub(crate) const SUBCOMMAND: &str = "qemu-switch";
/// The file with the [`Plan`], in the switch's directory.
pub(crate) const PLAN: &str = "plan.json";
/// The control socket: whoever connects makes the switch read its plan again, and gets a [`Report`].
pub(crate) const CONTROL: &str = "control";

/// How long a port without a guest is left alone; a new plan ends the wait.
const RETRY: Duration = Duration::from_secs(1);
/// Frames that wait for a slow guest; more are lost, as on a wire.
const QUEUE: usize = 512;
/// The largest frame that QEMU sends.
const LARGEST: usize = 68 << 10;

/// What the switch says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    /// The guests that are connected.
    pub(crate) connected: Vec<Mac>,
    /// Whether the way out is.
    pub(crate) uplink: bool,
}

/// A frame with its length before it, as it goes over a socket.
type Wire = Arc<[u8]>;

/// Who is at the other end of a socket; `None` is the way out.
type End = Option<Mac>;

#[derive(Default)]
struct State {
    plan: Plan,
    /// What is connected now.
    queues: HashMap<End, mpsc::Sender<Wire>>,
}

type Shared = Arc<Mutex<State>>;

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves the network described in `directory` for ever.
///
/// # Errors
/// If it cannot begin.
pub(crate) fn run(directory: &Path) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(Failure::host("start the switch"))?
        .block_on(serve(directory))
}

pub(super) async fn serve(directory: &Path) -> Result<(), Failure> {
    let control = directory.join(CONTROL);
    // The launcher holds the directory's lock, so nobody else listens there.
    let _old = std::fs::remove_file(&control);
    let (_held, short) = socket::short(&control).map_err(Failure::host("open the control socket"))?;
    let listener = UnixListener::bind(short).map_err(Failure::host("open the control socket"))?;
    let shared = Shared::default();
    let nudge = Arc::new(Notify::new());
    let mut lines = HashMap::new();
    adopt(directory, &shared, &nudge, &mut lines)?;
    loop {
        let Ok((mut client, _)) = listener.accept().await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let report = match adopt(directory, &shared, &nudge, &mut lines) {
            Ok(()) => {
                // Guests that listen already are connected before the answer.
                tokio::time::sleep(Duration::from_millis(5)).await;
                let state = lock(&shared);
                serde_json::to_vec(&Report {
                    connected: state.queues.keys().copied().flatten().collect(),
                    uplink: state.queues.contains_key(&None),
                })
                .unwrap_or_default()
            }
            Err(failure) => {
                eprintln!("failed to {}", crate::error::chain(&failure));
                Vec::new()
            }
        };
        let _client_went = client.write_all(&report).await;
    }
}

/// Reads the plan and makes the lines (tasks that keep a socket connected) agree with it.
fn adopt(
    directory: &Path,
    shared: &Shared,
    nudge: &Arc<Notify>,
    lines: &mut HashMap<(End, PathBuf), AbortOnDropHandle<()>>,
) -> Result<(), Failure> {
    let plan: Plan = durable::read_json(&directory.join(PLAN))?.unwrap_or_default();
    let ports = plan.ports.iter().map(|port| (Some(port.mac), port.socket.clone()));
    let uplink = plan.uplink.iter().map(|socket| (None, socket.clone()));
    let wanted: Vec<(End, PathBuf)> = ports.chain(uplink).collect();
    lines.retain(|line, _task| {
        let keep = wanted.contains(line);
        if !keep {
            lock(shared).queues.remove(&line.0);
        }
        keep
    });
    lock(shared).plan = plan;
    for (end, socket) in wanted {
        let socket_path = directory.join(&socket);
        lines.entry((end, socket)).or_insert_with(|| {
            AbortOnDropHandle::new(tokio::spawn(keep_line(end, socket_path, shared.clone(), nudge.clone())))
        });
    }
    nudge.notify_waiters();
    Ok(())
}

/// Keeps `end` connected as long as it is in the plan.
async fn keep_line(end: End, socket: PathBuf, shared: Shared, nudge: Arc<Notify>) {
    loop {
        let nudged = nudge.notified();
        if let Ok(stream) = socket::connect(&socket).await {
            carry(end, stream, &shared).await;
        }
        tokio::select! {
            () = nudged => {}
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// Carries frames from and to `end` until its connection ends.
async fn carry(end: End, stream: UnixStream, shared: &Shared) {
    let (read, write) = stream.into_split();
    let (queue, frames) = mpsc::channel(QUEUE);
    lock(shared).queues.insert(end, queue);
    tokio::select! {
        () = receive(end, read, shared) => {}
        () = send(write, frames) => {}
    }
    lock(shared).queues.remove(&end);
}

async fn receive(end: End, read: OwnedReadHalf, shared: &Shared) {
    let mut reader = BufReader::with_capacity(LARGEST, read);
    let mut wire = Vec::new();
    loop {
        let Ok(length) = reader.read_u32().await else { return };
        let size = length as usize;
        if size > LARGEST {
            return; // not QEMU's framing any more
        }
        wire.clear();
        wire.extend(length.to_be_bytes());
        wire.resize(size + 4, 0);
        let Some(frame) = wire.get_mut(4..) else { return };
        if reader.read_exact(frame).await.is_err() {
            return;
        }
        dispatch(end, &wire, &lock(shared));
    }
}

fn dispatch(end: End, wire: &[u8], state: &State) {
    let from = match end {
        None => Sender::Uplink,
        Some(mac) => match state.plan.ports.iter().find(|port| port.mac == mac) {
            Some(port) => Sender::Port(port),
            None => return,
        },
    };
    let to = |end: End, wire: Wire| {
        if let Some(queue) = state.queues.get(&end) {
            let _full = queue.try_send(wire);
        }
    };
    match state.plan.decide(from, wire.get(4..).unwrap_or_default()) {
        Verdict::Drop => {}
        Verdict::Port(mac) => {
            let mut wire = Wire::from(wire);
            if let Some(destination) = Arc::get_mut(&mut wire).and_then(|wire| wire.get_mut(4..10)) {
                destination.copy_from_slice(&mac.0);
            }
            to(Some(mac), wire);
        }
        Verdict::Uplink => to(None, wire.into()),
        Verdict::Flood { uplink } => {
            let wire: Wire = wire.into();
            for other in state.queues.keys().filter(|other| **other != end) {
                if other.is_some() || uplink {
                    to(*other, wire.clone());
                }
            }
        }
        Verdict::Answer(answer) => {
            if let Ok(length) = u32::try_from(answer.len()) {
                to(end, [&length.to_be_bytes(), answer.as_slice()].concat().into());
            }
        }
    }
}

async fn send(mut write: OwnedWriteHalf, mut frames: mpsc::Receiver<Wire>) {
    let mut batch = Vec::new();
    while let Some(frame) = frames.recv().await {
        batch.clear();
        batch.extend_from_slice(&frame);
        while batch.len() < LARGEST
            && let Ok(frame) = frames.try_recv()
        {
            batch.extend_from_slice(&frame);
        }
        if write.write_all(&batch).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::switch::Port;
    use std::net::Ipv4Addr;

    fn mac(last: u8) -> Mac {
        Mac([0x52, 0x54, 0, 0, 0, last])
    }

    async fn report(directory: &Path) -> Report {
        let mut answer = Vec::new();
        let mut client = socket::connect(&directory.join(CONTROL)).await.unwrap();
        client.read_to_end(&mut answer).await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    #[tokio::test]
    async fn a_switch_connects_to_its_ports_and_a_new_one_takes_over() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let port = |last: u8| Port {
            mac: mac(last),
            address: Some(Ipv4Addr::new(10, 0, 0, last)),
            socket: format!("nic{last}").into(),
        };
        let mut plan = Plan {
            subnet: Some("10.0.0.0/24".parse().unwrap()),
            ports: vec![port(5), port(6)],
            ..Plan::default()
        };
        durable::write_json(&at(PLAN), &plan).unwrap();
        let guests = [5, 6].map(|last| UnixListener::bind(at(&format!("nic{last}"))).unwrap());
        let [five, six] = &guests;
        for _life in 0..2 {
            let path = directory.path().to_owned();
            let switch = tokio::spawn(async move { serve(&path).await });
            let ((mut from_five, _), (mut to_six, _)) = tokio::try_join!(five.accept(), six.accept()).unwrap();
            let mut seen = report(directory.path()).await;
            seen.connected.sort();
            assert_eq!(seen.connected, [mac(5), mac(6)]);

            let packet = [&[0x45][..], &[0; 11], &[10, 0, 0, 5, 10, 0, 0, 6]].concat();
            for destination in [mac(6), mac(7)] {
                let frame = |to: Mac| [&to.0[..], &mac(5).0, &[0x08, 0x00], &packet].concat();
                let sent = frame(destination);
                from_five.write_u32(u32::try_from(sent.len()).unwrap()).await.unwrap();
                from_five.write_all(&sent).await.unwrap();
                let mut got = vec![0; sent.len() + 4];
                to_six.read_exact(&mut got).await.unwrap();
                assert_eq!(got[4..], frame(mac(6)));
            }
            switch.abort();
            let _aborted = switch.await;
        }
        plan.ports.pop();
        durable::write_json(&at(PLAN), &plan).unwrap();
        let path = directory.path().to_owned();
        let switch = tokio::spawn(async move { serve(&path).await });
        five.accept().await.unwrap();
        assert_eq!(report(directory.path()).await.connected, [mac(5)]);
        switch.abort();
    }
}
