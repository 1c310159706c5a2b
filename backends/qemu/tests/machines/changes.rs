//! Changes of a compute that are broken off.

use crate::lab::{Lab, console};
use crate::world::{act, act_in, compute, context, deaf, other, target};
use occi_backend::names::{STORAGE, STORAGELINK, attribute};
use occi_backend::{Backend, Change, Context, Create, ErrorKind, Interrupted, Journal, Picture};
use occi_backend_qemu::{Qemu, QemuConfig};
use std::sync::Arc;

/// Breaks an operation off at a step.
struct BreaksOff(&'static str);

#[async_trait::async_trait]
impl Journal for BreaksOff {
    async fn accepted(&self, _: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
    async fn step(&self, name: &str) -> Result<(), Interrupted> {
        if name == self.0 { Err(Interrupted) } else { Ok(()) }
    }
    fn progress(&self, _: u8) {}
    async fn picture(&self, _: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
}

async fn break_off(qemu: &Qemu, create: &Create, step: &'static str, change: Change) {
    let context = Context {
        journal: Arc::new(BreaksOff(step)),
        ..context()
    };
    let broken_off = qemu.update(&context, &target(create), &change).await;
    assert_eq!(broken_off.unwrap_err().kind, ErrorKind::Interrupted, "{step}");
}

fn image(term: &str) -> Change {
    Change {
        os_template: Some(term.parse().unwrap()),
        ..Change::default()
    }
}

/// The guest says its name, and how often its disk has been booted.
pub(crate) async fn broken_off(lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config).unwrap();
    let machine = compute(&[("occi.compute.hostname", "first")]);
    let serial = lab.inside(machine.mark.as_str());
    let mut read = 0;
    let mut boots = async |words: [&str; 2]| {
        for words in words {
            read = console(&serial, read, words).await;
        }
        act(&qemu, &machine, "stop", &[("method", "poweroff".into())])
            .await
            .unwrap();
    };
    qemu.create(&context(), &machine).await.unwrap();
    boots(["GUEST-READY first ", " boots=1"]).await;

    // It has its new name, and what was on its disk.
    let renamed = Change {
        set: [(attribute("occi.compute.hostname"), "second".into())]
            .into_iter()
            .collect(),
        ..Change::default()
    };
    break_off(&qemu, &machine, "change recorded", renamed).await;
    act(&qemu, &machine, "start", &[]).await.unwrap();
    boots(["GUEST-READY second ", " boots=2"]).await;

    // It boots the image that was asked for last, and nothing is left of what was on its disk.
    for step in ["change recorded", "files made"] {
        break_off(&qemu, &machine, step, image("deaf")).await;
        break_off(&qemu, &machine, step, image("tiny")).await;
        let mut volume = other(&STORAGE, None);
        volume.attributes.set(attribute("occi.storage.size"), 0.0625);
        qemu.create(&context(), &volume).await.unwrap();
        let link = other(&STORAGELINK, Some((&machine, &volume)));
        qemu.create(&context(), &link).await.unwrap();
        act(&qemu, &machine, "start", &[]).await.unwrap();
        boots(["GUEST-READY second ", " boots=1"]).await;
    }

    // A template is made of the disk that it has now.
    break_off(&qemu, &machine, "change recorded", image("deaf")).await;
    act(&qemu, &machine, "save", &[("name", "copy".into())]).await.unwrap();
    let saved = lab.machine("").join("../saved");
    let saved = std::fs::read_dir(saved).unwrap().flatten().map(|entry| entry.path());
    let saved = saved.filter(|path| path.extension().is_some_and(|end| end == "qcow2"));
    let lengths: Vec<u64> = saved.map(|path| path.metadata().unwrap().len()).collect();
    assert!(matches!(lengths[..], [length] if length < 1 << 20), "{lengths:?}");
    qemu.delete(&context(), &target(&machine)).await.unwrap();
    qemu.shutdown().await;
}

/// A restart that has been done, and the same operation once more, as after a crash.
pub(crate) async fn restarted_once(lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config).unwrap();
    let machine = deaf();
    qemu.create(&context(), &machine).await.unwrap();
    let process = || std::fs::read(lab.machine(machine.mark.as_str()).join("process.json")).unwrap();
    let mut runs = vec![process()];
    for operation in [context(), context()] {
        for _attempt in 0..2 {
            let method = [("method", "cold".into())];
            act_in(&qemu, operation.clone(), &machine, "restart", &method)
                .await
                .unwrap();
            runs.push(process());
        }
    }
    assert!(runs[0] != runs[1] && runs[1] != runs[3], "each was done");
    assert!(runs[1] == runs[2] && runs[3] == runs[4], "each was done once");
    qemu.delete(&context(), &target(&machine)).await.unwrap();
    qemu.shutdown().await;
}
