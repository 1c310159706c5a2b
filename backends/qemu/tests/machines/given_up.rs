//! Copies and hibernations that were cancelled, or whose server died, or that take long.

use crate::devices::{exists, off_with_volume};
use crate::lab::Lab;
use crate::world::{act, act_in, cancelled_by, context, state, stopped_as_it_writes, target, within};
use async_trait::async_trait;
use futures::StreamExt;
use occi_backend::layers::{Layered, TimeLimit};
use occi_backend::{Backend, Context, Create, ErrorKind, Event, Interrupted, Journal, Picture};
use occi_backend_qemu::host::process::Process;
use occi_backend_qemu::qemu::qmp::{PATIENCE, Qmp};
use occi_backend_qemu::{Qemu, QemuConfig};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

async fn becomes(what: &str, is: impl AsyncFn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is().await {
        assert!(Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the file of a copy is gone and its QEMU does not write it either.
async fn is_gone(copy: &Path) {
    let machine = copy.parent().and_then(Path::parent).unwrap();
    let is_open = || {
        let process = Process::recorded(machine).unwrap()?;
        let files = fs::read_dir(format!("/proc/{}/fd", process.identity().pid)).ok()?;
        let mut files = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        files.find(|file| file.to_string_lossy().contains("copy.new"))
    };
    becomes("the copy is given up", async || !copy.exists() && is_open().is_none()).await;
}

/// Fills the volume in this directory: it takes a while to copy it.
fn fill(home: &Path) {
    let fill = "head -c 512M /dev/urandom >../raw && qemu-img convert -O qcow2 ../raw disk.qcow2 && rm ../raw";
    let filled = Command::new("sh").args(["-c", fill]).current_dir(home).status();
    assert!(filled.unwrap().success());
}

/// Copies are cancelled, their callers go away, and their server dies; so does a hibernation.
pub(crate) async fn given_up(lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config.clone()).unwrap();
    let (machine, volume, _) = off_with_volume(&qemu).await;
    let home = config.directory.join("volume").join(volume.mark.as_str());
    let inside = lab.inside(machine.mark.as_str());
    fill(&home.join("inside"));
    act(&qemu, &machine, "start", &[]).await.unwrap();

    // A running machine's QEMU makes the copy.
    let copy = inside.join("copy.new");
    let token = CancellationToken::new();
    let cancel = async {
        exists(&copy).await;
        token.cancel();
    };
    let (backup, ()) = tokio::join!(act_in(&qemu, cancelled_by(&token), &volume, "backup", &[]), cancel);
    assert_eq!(backup.unwrap_err().kind, ErrorKind::Interrupted);
    assert!(!copy.exists());
    is_gone(&copy).await;
    tokio::select! {
        biased;
        backup = act(&qemu, &volume, "backup", &[]) => panic!("{backup:?}"),
        () = exists(&copy) => {}
    }
    is_gone(&copy).await;

    let hibernate = [("method", "hibernate".into())];
    // A hibernation that takes long is none that failed, though QEMU says nothing meanwhile.
    let slowly = stopped_as_it_writes(lab, &machine, || std::thread::sleep(PATIENCE + Duration::from_secs(1)));
    act(&qemu, &machine, "suspend", &hibernate).await.unwrap();
    slowly.over();
    assert_eq!(state(&qemu, &machine).await.0, "suspended");
    act(&qemu, &machine, "start", &[]).await.unwrap();
    assert_eq!(state(&qemu, &machine).await.0, "active");

    // One that cannot be recorded lets the guest go on.
    let taken = lab.machine(machine.mark.as_str()).join("record.new");
    fs::create_dir(&taken).unwrap();
    act(&qemu, &machine, "suspend", &hibernate).await.unwrap_err();
    fs::remove_dir(&taken).unwrap();
    assert_eq!(state(&qemu, &machine).await.0, "active");

    // A hibernation has held the guest.
    let mut events = qemu.events().unwrap();
    let held = async {
        while let Some(event) = events.next().await {
            if let Event::Changed(picture) = event
                && picture.attributes.get("occi.compute.state") == Some(&"suspended".into())
            {
                break;
            }
        }
    };
    tokio::select! {
        hibernated = act(&qemu, &machine, "suspend", &hibernate) => panic!("{hibernated:?}"),
        () = held => {}
    }
    becomes("the guest goes on", async || state(&qemu, &machine).await.0 == "active").await;
    qemu.shutdown().await;
    drop(qemu);

    // A server that dies leaves a copy that goes on, and a guest that is held.
    let process = Process::recorded(&lab.machine(machine.mark.as_str())).unwrap().unwrap();
    let qmp = Qmp::connect(&inside.join("qmp"), &process).await.unwrap();
    let for_ever = json!({
        "job-id": "copy", "device": "root", "target": "copy.new", "format": "qcow2", "sync": "full",
        "auto-dismiss": false, "speed": 1,
    });
    qmp.execute("drive-backup", for_ever).await.unwrap();
    qmp.execute("stop", json!({})).await.unwrap();
    drop(qmp);
    fs::write(home.join("inside/copy.new"), "").unwrap();
    let qemu = Qemu::open(config.clone()).unwrap();
    is_gone(&copy).await;
    is_gone(&home.join("inside/copy.new")).await;
    becomes("the guest goes on", async || state(&qemu, &machine).await.0 == "active").await;
    let poweroff = [("method", "poweroff".into())];
    act(&qemu, &machine, "stop", &poweroff).await.unwrap();
    qemu.shutdown().await;
    drop(qemu);

    // One that is off is copied by the image tool. In the place of `qemu-img convert ...`, a script of this name.
    let qemu = Qemu::open(QemuConfig {
        qemu_img: "sh".into(),
        ..config
    })
    .unwrap();
    fs::write(inside.join("convert"), "echo >copy.new; exec sleep 600").unwrap();
    tokio::select! {
        biased;
        saved = act(&qemu, &machine, "save", &[]) => panic!("{:?}", saved.map(drop)),
        () = exists(&copy) => {}
    }
    is_gone(&copy).await;
    for create in [&machine, &volume] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    qemu.shutdown().await;
}

/// The journal of an operation whose progress is of interest.
#[derive(Clone, Default)]
struct Progress(Arc<Mutex<Vec<u8>>>);

#[async_trait]
impl Journal for Progress {
    async fn accepted(&self, _: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
    async fn step(&self, _: &str) -> Result<(), Interrupted> {
        Ok(())
    }
    fn progress(&self, percent: u8) {
        self.0.lock().unwrap().push(percent);
    }
    async fn picture(&self, _: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
}

/// Copies that take longer than an operation may stand still: QEMU's, and the image tool's.
pub(crate) async fn slow(lab: &Lab, config: QemuConfig) {
    let open = |qemu_img: &str| {
        let config = QemuConfig {
            qemu_img: qemu_img.into(),
            ..config.clone()
        };
        Layered::new(Arc::new(Qemu::open(config).unwrap()), TimeLimit::default())
    };
    let copy = async |backend: &Layered<TimeLimit>, of: &Create, term: &str| {
        let progress = Progress::default();
        let context = Context {
            journal: Arc::new(progress.clone()),
            ..within(Duration::from_secs(3))
        };
        let done = act_in(backend, context, of, term, &[]).await;
        let told = progress.0.lock().unwrap().clone();
        (done.map(drop).map_err(|error| error.kind), told)
    };
    let backend = open("qemu-img");
    let (machine, volume, _) = off_with_volume(&backend).await;
    let inside = lab.inside(machine.mark.as_str());
    let file = inside.join("copy.new");
    fill(
        &config
            .directory
            .join("volume")
            .join(volume.mark.as_str())
            .join("inside"),
    );
    act(&backend, &machine, "start", &[]).await.unwrap();

    // QEMU's. One that is not let run stands still.
    let (done, told) = copy(&backend, &volume, "backup").await;
    done.unwrap();
    assert!(
        told.is_sorted() && told.iter().any(|percent| (1..100).contains(percent)),
        "{told:?}"
    );
    let process = Process::recorded(&lab.machine(machine.mark.as_str())).unwrap().unwrap();
    let pid = Pid::from_raw(process.identity().pid).unwrap();
    let stop = async {
        exists(&file).await;
        kill_process(pid, Signal::STOP).unwrap();
    };
    let ((late, _), ()) = tokio::join!(copy(&backend, &volume, "backup"), stop);
    assert_eq!(late, Err(ErrorKind::Timeout));
    kill_process(pid, Signal::CONT).unwrap();
    is_gone(&file).await;
    act(&backend, &machine, "stop", &[("method", "poweroff".into())])
        .await
        .unwrap();
    backend.shutdown().await;
    drop(backend);

    // The image tool's. In the place of `qemu-img convert -p ...`, a script of this name.
    let backend = open("sh");
    let script = "for i in 1 2 3 4 5 6 7 8; do printf '    (%s.25/100%%)\\r' $i; sleep 0.6; done; ";
    fs::write(
        inside.join("convert"),
        format!("{script}exec qemu-img convert -q \"$@\""),
    )
    .unwrap();
    let (done, told) = copy(&backend, &machine, "save").await;
    assert_eq!((done, told), (Ok(()), (1..=8).collect()));
    fs::write(inside.join("convert"), "echo >copy.new; exec sleep 600").unwrap();
    assert_eq!(
        copy(&backend, &machine, "save").await,
        (Err(ErrorKind::Timeout), vec![])
    );
    is_gone(&file).await;
    for create in [&machine, &volume] {
        backend.delete(&context(), &target(create)).await.unwrap();
    }
    backend.shutdown().await;
}
