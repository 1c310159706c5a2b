//! A host whose disk is full. The engine works in a process of its own, on a small file system that only it sees.

use crate::lab::{Lab, console};
use crate::world::{act, act_in, compute, context, deaf, other, shell, state, stopped_as_it_writes, target, type_in};
use occi_backend::names::{STORAGE, STORAGELINK, attribute};
use occi_backend::{Backend, Context, ErrorKind, Interrupted, Journal, Picture};
use occi_backend_qemu::{Qemu, QemuConfig};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The sub-command of this test that is run on the small file system.
pub(crate) const INNER: &str = "full-disk";

/// More than the engine wants to see free before it makes anything.
const SIZE: &str = "size=640m";

/// Runs [`inner`] in a mount name space of its own.
pub(crate) async fn full_disk(lab: &Lab, config: QemuConfig) {
    let home = config.directory.parent().unwrap();
    let is_possible = Command::new("unshare").args(["--mount", "true"]).output();
    if !is_possible.is_ok_and(|ran| ran.status.success()) {
        println!("skipped: a small file system needs root");
        return;
    }
    let script = "mount -t tmpfs -o \"$1\" none \"$2\" && exec \"$3\" \"$4\" \"$2\"";
    let small = home.join("small");
    fs::create_dir(&small).unwrap();
    let ran = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh", SIZE])
        .args([&small, &std::env::current_exe().unwrap()])
        .arg(INNER)
        .env("TMPDIR", &small)
        .output()
        .unwrap();
    assert!(lab.living().is_empty());
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
}

/// The tests on the small file system at `directory`.
pub(crate) fn inner(directory: &Path) -> ExitCode {
    let lab = Lab::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tested = std::panic::catch_unwind(|| runtime.block_on(everything(&lab, directory)));
    runtime.block_on(lab.end());
    if tested.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Takes all room at a step of a verb.
struct Fills {
    step: &'static str,
    filler: PathBuf,
}

#[async_trait::async_trait]
impl Journal for Fills {
    async fn accepted(&self, _: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
    async fn step(&self, name: &str) -> Result<(), Interrupted> {
        if name == self.step {
            fill(&self.filler);
        }
        Ok(())
    }
    fn progress(&self, _: u8) {}
    async fn picture(&self, _: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
}

fn fill(filler: &Path) {
    let file = File::create(filler).unwrap();
    let disk = rustix::fs::fstatvfs(&file).unwrap();
    let flags = rustix::fs::FallocateFlags::empty();
    rustix::fs::fallocate(&file, flags, 0, disk.f_bavail * disk.f_frsize).unwrap();
}

/// Makes the small file system another size; not one below what is in it.
fn resize(directory: &Path, size: &str) -> bool {
    let mut mount = Command::new("mount");
    let resized = mount.args(["-o", &format!("remount,{size}")]).arg(directory).output();
    resized.unwrap().status.success()
}

/// Makes the small file system too small for the rest of a guest's memory.
fn shrink(directory: &Path) {
    let disk = rustix::fs::statvfs(directory).unwrap();
    let used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize;
    assert!(resize(directory, &format!("size={}", used + (8 << 20))));
}

fn filling(filler: &Path, step: &'static str) -> Context {
    let filler = filler.to_owned();
    Context {
        journal: Arc::new(Fills { step, filler }),
        ..context()
    }
}

async fn everything(lab: &Lab, directory: &Path) {
    let filler = directory.join("filler");
    let free = || fs::remove_file(&filler).unwrap();
    let is_full = |error: &occi_backend::BackendError| {
        assert_eq!(error.kind, ErrorKind::CapacityExhausted, "{error:?}");
        error.message.contains("disk")
    };
    let qemu = Qemu::open(lab.config().unwrap()).unwrap();
    let (machine, mut volume) = (compute(&[]), other(&STORAGE, None));
    volume.attributes.set(attribute("occi.storage.size"), 0.0625);

    // Nothing is begun for which there is no room.
    qemu.admit(&context().scope, &deaf()).await.unwrap();
    fill(&filler);
    for create in [&machine, &volume] {
        assert!(is_full(&qemu.admit(&context().scope, create).await.unwrap_err()));
    }
    free();

    // What the disk ran out of in the middle is done by the next try, or removed.
    let discarded = deaf();
    for (create, step) in [
        (&volume, "volume recorded"),
        (&machine, "machine recorded"),
        (&discarded, "machine recorded"),
    ] {
        assert!(is_full(
            &qemu.create(&filling(&filler, step), create).await.unwrap_err()
        ));
        free();
    }
    for create in [&volume, &machine] {
        qemu.create(&context(), create).await.unwrap();
    }
    qemu.delete(&context(), &target(&discarded)).await.unwrap();
    assert!(!lab.machine(discarded.mark.as_str()).exists());
    let link = other(&STORAGELINK, Some((&machine, &volume)));
    qemu.create(&context(), &link).await.unwrap();

    // A guest that writes is held, says why, and goes on when there is room again.
    let serial = lab.inside(machine.mark.as_str());
    let from = console(&serial, 0, "GUEST-READY").await;
    shell(&serial).await;
    fill(&filler);
    type_in(
        &serial,
        "dd if=/dev/urandom of=/dev/vdb bs=65536 count=64; sync; echo written-$((6*7))",
    )
    .await;
    let until = Instant::now() + Duration::from_secs(60);
    let message = loop {
        match state(&qemu, &machine).await {
            (state, message) if state == "error" => break message,
            other => assert!(Instant::now() < until, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(message.contains("full") && message.contains("start"), "{message}");
    free();
    act(&qemu, &machine, "start", &[]).await.unwrap();
    assert_eq!(state(&qemu, &machine).await.0, "active");
    console(&serial, from, "written-42").await;

    // A guest that is to be held on a disk that fills meanwhile goes on.
    let hibernate: &[_] = &[("method", "hibernate".into())];
    let place = directory.to_owned();
    let shrinks = stopped_as_it_writes(lab, &machine, move || shrink(&place));
    let held = act(&qemu, &machine, "suspend", hibernate).await;
    shrinks.over();
    match held {
        Err(error) => assert!(is_full(&error)),
        Ok(_) => {
            println!("skipped: QEMU had written everything before it was seen to write");
            assert!(resize(directory, SIZE));
            act(&qemu, &machine, "start", &[]).await.unwrap();
        }
    }
    assert_eq!(state(&qemu, &machine).await.0, "active");
    assert!(resize(directory, SIZE));
    type_in(&serial, "echo goes-on-$((6*7))").await;
    console(&serial, from, "goes-on-42").await;
    act(&qemu, &machine, "suspend", hibernate).await.unwrap();
    act(&qemu, &machine, "start", &[]).await.unwrap();
    assert_eq!(state(&qemu, &machine).await.0, "active");

    // A copy for which the room does not suffice leaves nothing, and the machine can be started.
    let parameters = [("method", "deferred".into())];
    let save = act_in(
        &qemu,
        filling(&filler, "machine stopped"),
        &machine,
        "save",
        &parameters,
    );
    assert!(is_full(&save.await.unwrap_err()));
    free();
    assert!(!serial.join("copy.new").exists());
    assert_eq!(fs::read_dir(lab.machine("").join("../saved")).unwrap().count(), 0);
    act(&qemu, &machine, "start", &[]).await.unwrap();
    assert_eq!(state(&qemu, &machine).await.0, "active");
    for create in [&machine, &volume] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    qemu.shutdown().await;
}
