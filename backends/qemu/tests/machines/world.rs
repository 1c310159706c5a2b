//! What the tests say to an engine, and what they ask it.

use crate::lab::Lab;
use async_trait::async_trait;
use occi_backend::names::{COMPUTE, NETWORKINTERFACE, action, attribute};
use occi_backend::suite::Silent;
use occi_backend::{
    Acted, Backend, Context, Create, CreateLink, Deadline, Interrupted, Invocation, Journal, LinkEnds, Picture,
    Result as Done, Scope, Target,
};
use occi_backend_qemu::Qemu;
use occi_backend_qemu::host::process::Process;
use occi_model::{Attributes, EntityId, TypeId, Value};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

pub(crate) fn context() -> Context {
    within(Duration::from_secs(300))
}

/// For an operation that may stand still for so long.
pub(crate) fn within(patience: Duration) -> Context {
    Context {
        scope: Scope {
            project: "lab".to_owned(),
        },
        operation: uuid::Uuid::new_v4(),
        attempt: 1,
        deadline: Deadline::new(patience),
        journal: Arc::new(Silent),
    }
}

/// The journal of an operation that is cancelled.
struct Cancelled(CancellationToken);

#[async_trait]
impl Journal for Cancelled {
    async fn accepted(&self, _picture: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
    async fn step(&self, _step: &str) -> Result<(), Interrupted> {
        Ok(())
    }
    fn progress(&self, _percent: u8) {}
    async fn picture(&self, _picture: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
    async fn stopped(&self) -> Interrupted {
        self.0.cancelled().await;
        Interrupted
    }
}

/// For an operation that is cancelled with `token`.
pub(crate) fn cancelled_by(token: &CancellationToken) -> Context {
    Context {
        journal: Arc::new(Cancelled(token.clone())),
        ..context()
    }
}

/// Something that is done while a QEMU is stopped.
pub(crate) struct WhileStopped {
    over: Arc<AtomicBool>,
    doing: JoinHandle<()>,
}

impl WhileStopped {
    /// Waits for its end; if the QEMU has not begun to write, it is not done any more.
    pub(crate) fn over(self) {
        self.over.store(true, Ordering::Relaxed);
        self.doing.join().unwrap();
    }
}

/// Stops the QEMU of a machine when it has begun to write a guest's memory to its root disk, for as long as `work` takes. In a
/// thread of its own, as those of the engine may be busy.
pub(crate) fn stopped_as_it_writes(lab: &Lab, machine: &Create, work: impl FnOnce() + Send + 'static) -> WhileStopped {
    let qemu = Process::recorded(&lab.machine(machine.mark.as_str())).unwrap().unwrap();
    let qemu = Pid::from_raw(qemu.identity().pid).unwrap();
    let root = lab.inside(machine.mark.as_str()).join("root.qcow2");
    let length = move || fs::metadata(&root).unwrap().len();
    let before = length();
    let over = Arc::new(AtomicBool::new(false));
    let is_over = over.clone();
    let doing = std::thread::spawn(move || {
        // More than what a guest that has little to do writes.
        while length() < before + (1 << 20) {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            std::thread::yield_now();
        }
        // It may have ended by now.
        let _stopped = kill_process(qemu, Signal::STOP);
        work();
        let _goes_on = kill_process(qemu, Signal::CONT);
    });
    WhileStopped { over, doing }
}

pub(crate) fn compute(attributes: &[(&str, &str)]) -> Create {
    let mut all = Attributes::new();
    all.set(attribute("occi.compute.memory"), 0.125);
    for (name, value) in attributes {
        all.set(attribute(name), *value);
    }
    Create {
        mark: EntityId::from(uuid::Uuid::new_v4()),
        kind: COMPUTE.clone(),
        os_template: None,
        resource_template: None,
        mixins: Vec::new(),
        attributes: all,
        links: vec![CreateLink {
            mark: EntityId::from(uuid::Uuid::new_v4()),
            kind: NETWORKINTERFACE.clone(),
            mixins: Vec::new(),
            attributes: Attributes::new(),
            target: None,
        }],
        ends: None,
        bring_up: true,
    }
}

pub(crate) fn target(create: &Create) -> Target {
    Target {
        kind: create.kind.clone(),
        mark: create.mark.clone(),
        native_id: None,
        project: None,
    }
}

pub(crate) fn text<'a>(picture: &'a Picture, name: &str) -> &'a str {
    picture
        .attributes
        .get(name)
        .and_then(|value| value.as_str())
        .unwrap_or_default()
}

pub(crate) async fn state(qemu: &Qemu, create: &Create) -> (String, String) {
    let found = qemu.find(&context().scope, &target(create)).await.unwrap().unwrap();
    let state = text(&found, "occi.compute.state");
    (state.to_owned(), text(&found, "occi.compute.state.message").to_owned())
}

pub(crate) async fn act(qemu: &impl Backend, create: &Create, term: &str, parameters: &[(&str, Value)]) -> Done<Acted> {
    act_in(qemu, context(), create, term, parameters).await
}

pub(crate) async fn act_in(
    qemu: &impl Backend,
    context: Context,
    create: &Create,
    term: &str,
    parameters: &[(&str, Value)],
) -> Done<Acted> {
    let parameters = parameters.iter().map(|(name, value)| (attribute(name), value.clone()));
    let invocation = Invocation {
        action: action(create.kind.term(), term),
        parameters: parameters.collect(),
    };
    qemu.act(&context, &target(create), &invocation).await
}

/// Something that is no compute.
pub(crate) fn other(kind: &TypeId, ends: Option<(&Create, &Create)>) -> Create {
    let mut create = compute(&[]);
    create.kind = kind.clone();
    create.attributes = Attributes::new();
    create.links.clear();
    create.ends = ends.map(|(source, leads_to)| LinkEnds {
        source: target(source),
        target: target(leads_to),
    });
    create
}

/// A compute that runs and on which no system is.
pub(crate) fn deaf() -> Create {
    let mut create = compute(&[]);
    create.os_template = Some("deaf".parse().unwrap());
    create
}

/// Whether an ssh server greets behind the published port that `login` names; at its first boot it makes its key first.
pub(crate) async fn greets(login: &str) -> bool {
    let port: u16 = login.split_whitespace().nth(2).unwrap().parse().unwrap();
    for _try in 0..50 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut greeting = [0; 8];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut greeting)).await;
        if let Ok(Ok(_)) = read {
            return greeting == *b"SSH-2.0-";
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    false
}

/// Waits for the shell on the serial console of the demonstration guest, which comes a little later than its readiness.
pub(crate) async fn shell(machine: &Path) {
    let log = machine.join("console.log");
    let from = std::fs::metadata(&log).map_or(0, |meta| usize::try_from(meta.len()).unwrap());
    let until = Instant::now() + Duration::from_secs(60);
    let answers = || String::from_utf8_lossy(&std::fs::read(&log).unwrap()[from..]).contains("shell-42");
    while !answers() {
        assert!(Instant::now() < until, "no shell on the console");
        type_in(machine, "echo shell-$((6*7))").await;
    }
}

/// Types a line on the serial console.
pub(crate) async fn type_in(machine: &Path, line: &str) {
    let mut console = occi_backend_qemu::host::socket::connect(&machine.join("console"))
        .await
        .unwrap();
    console.write_all(format!("\n{line}\n").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
}
