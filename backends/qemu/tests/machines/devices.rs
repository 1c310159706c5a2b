//! What guests see of what is plugged, before, while and after they are held.

use crate::lab::{Lab, console};
use crate::world::{act, compute, context, deaf, other, shell, state, target, text, type_in};
use occi_backend::names::{NETWORK, NETWORKINTERFACE, STORAGE, STORAGELINK, attribute};
use occi_backend::{Backend, Create, ErrorKind};
use occi_backend_qemu::host::process::Process;
use occi_backend_qemu::{Qemu, QemuConfig};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Long enough for what must not happen to happen.
const A_WHILE: Duration = Duration::from_secs(2);

/// A guest to which things are plugged, that is held on disk, and of which a copy is made.
pub(crate) async fn devices(lab: &Lab, config: QemuConfig) {
    let directory = config.directory.clone();
    let qemu = Qemu::open(config).unwrap();
    let machine = compute(&[]);
    let mut volume = other(&STORAGE, None);
    volume.attributes.set(attribute("occi.storage.size"), 1.0);
    let network = other(&NETWORK, None);
    for create in [&machine, &volume, &network] {
        qemu.create(&context(), create).await.unwrap();
    }
    let serial = lab.inside(machine.mark.as_str());
    let mut at = console(&serial, 0, "GUEST-READY").await;

    let disk = other(&STORAGELINK, Some((&machine, &volume)));
    let made = qemu.create(&context(), &disk).await.unwrap();
    at = console(&serial, at, "GUEST-DISK vdb 1024").await;
    assert_eq!(text(&made[0], "occi.storagelink.deviceid"), "/dev/vdb");
    act(&qemu, &volume, "resize", &[("size", 2.0.into())]).await.unwrap();
    at = console(&serial, at, "GUEST-DISK vdb 2048").await;
    let nic = other(&NETWORKINTERFACE, Some((&machine, &network)));
    let made = qemu.create(&context(), &nic).await.unwrap();
    let address = text(&made[0], "occi.networkinterface.address");
    at = console(&serial, at, &format!("GUEST-NIC eth1 ip={address}/24")).await;

    shell(&serial).await;
    // What is in memory and on disk is there after a hibernation, with everything that was plugged.
    type_in(
        &serial,
        "echo kept >/run/marker; echo written >/dev/vdb; sync; echo typed-$((6*7))",
    )
    .await;
    at = console(&serial, at, "typed-42").await;
    act(&qemu, &machine, "suspend", &[("method", "hibernate".into())])
        .await
        .unwrap();
    assert_eq!(state(&qemu, &machine).await.0, "suspended");
    assert!(
        Process::recorded(&lab.machine(machine.mark.as_str()))
            .unwrap()
            .is_none()
    );
    act(&qemu, &machine, "start", &[]).await.unwrap();
    assert_eq!(state(&qemu, &machine).await.0, "active");
    type_in(&serial, "cat /run/marker; head -c 7 /dev/vdb; echo read-$((6*7))").await;
    let from = at;
    at = console(&serial, at, "read-42").await;
    let log = std::fs::read_to_string(serial.join("console.log")).unwrap();
    assert!(
        log[from..].contains("kept") && log[from..].contains("written"),
        "{}",
        &log[from..]
    );

    act(&qemu, &volume, "snapshot", &[]).await.unwrap();
    act(&qemu, &volume, "backup", &[]).await.unwrap();
    let home = directory.join("volume").join(volume.mark.as_str());
    let backup = std::fs::read_dir(&home).unwrap().flatten().map(|entry| entry.path());
    let backup = backup
        .into_iter()
        .find(|path| path.to_string_lossy().contains("backup-"))
        .unwrap();
    let raw = home.join("raw");
    let args = ["convert", "-f", "qcow2", "-O", "raw"];
    let converted = Command::new("qemu-img")
        .args(args)
        .arg(&backup)
        .arg(&raw)
        .status()
        .unwrap();
    assert!(converted.success() && std::fs::read(&raw).unwrap().starts_with(b"written\n"));

    act(&qemu, &disk, "offline", &[]).await.unwrap();
    at = console(&serial, at, "GUEST-DISK-GONE vdb").await;
    act(&qemu, &volume, "offline", &[]).await.unwrap();
    qemu.delete(&context(), &target(&nic)).await.unwrap();
    console(&serial, at, "GUEST-NIC-GONE eth1").await;

    // A copy made while it ran boots, and remembers that it was booted before.
    let parameters = [("method", "hot".into()), ("name", "Golden image".into())];
    let saved = act(&qemu, &machine, "save", &parameters);
    let template = saved.await.unwrap().template.unwrap();
    assert_eq!(template.title, "Golden image");
    let mut copy = compute(&[]);
    copy.os_template = Some(template.term);
    qemu.create(&context(), &copy).await.unwrap();
    console(&lab.inside(copy.mark.as_str()), 0, "boots=2").await;
    for create in [&copy, &machine, &volume, &network] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    assert!(lab.living().is_empty(), "{:?}", lab.living());
    qemu.shutdown().await;
}

/// A guest to which links come and from which they go while it is held, in memory and on disk.
pub(crate) async fn held(lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config).unwrap();
    let volume = |gib: f64| {
        let mut volume = other(&STORAGE, None);
        volume.attributes.set(attribute("occi.storage.size"), gib);
        volume
    };
    let (first, second, third) = (volume(1.0), volume(2.0), volume(3.0));
    let (machine, network) = (compute(&[]), other(&NETWORK, None));
    for create in [&machine, &first, &second, &third, &network] {
        qemu.create(&context(), create).await.unwrap();
    }
    let serial = lab.inside(machine.mark.as_str());
    let mut at = console(&serial, 0, "GUEST-READY").await;
    let goes = other(&STORAGELINK, Some((&machine, &first)));
    qemu.create(&context(), &goes).await.unwrap();
    at = console(&serial, at, "GUEST-DISK vdb 1024").await;

    // In memory: what came is there when it goes on, and what went is free at once.
    act(&qemu, &machine, "suspend", &[("method", "suspend".into())])
        .await
        .unwrap();
    let comes = other(&STORAGELINK, Some((&machine, &second)));
    let nic = other(&NETWORKINTERFACE, Some((&machine, &network)));
    for create in [&comes, &nic] {
        qemu.create(&context(), create).await.unwrap();
    }
    for create in [&goes, &first] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    assert_eq!(state(&qemu, &machine).await.0, "suspended");
    act(&qemu, &machine, "start", &[]).await.unwrap();
    let resumed = at;
    for words in ["GUEST-DISK vdc 2048", "GUEST-DISK-GONE vdb", "GUEST-NIC eth1 ip="] {
        at = at.max(console(&serial, resumed, words).await);
    }

    // On disk.
    shell(&serial).await;
    type_in(&serial, "echo kept >/run/marker; echo typed-$((6*7))").await;
    at = console(&serial, at, "typed-42").await;
    act(&qemu, &machine, "suspend", &[("method", "hibernate".into())])
        .await
        .unwrap();
    let last = other(&STORAGELINK, Some((&machine, &third)));
    qemu.create(&context(), &last).await.unwrap();
    for create in [&comes, &second, &nic, &network] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    act(&qemu, &machine, "start", &[]).await.unwrap();
    let resumed = at;
    for words in ["GUEST-DISK vdb 3072", "GUEST-DISK-GONE vdc", "GUEST-NIC-GONE eth1"] {
        at = at.max(console(&serial, resumed, words).await);
    }
    type_in(&serial, "cat /run/marker; echo read-$((6*7))").await;
    let from = at;
    console(&serial, at, "read-42").await;
    let log = std::fs::read_to_string(serial.join("console.log")).unwrap();
    assert!(log[from..].contains("kept"), "{}", &log[from..]);

    for create in [&machine, &third] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    assert!(lab.living().is_empty(), "{:?}", lab.living());
    qemu.shutdown().await;
}

/// Two volumes of one machine that are backed up at the same time.
pub(crate) async fn backups(_lab: &Lab, config: QemuConfig) {
    let home = config.directory.join("volume");
    let qemu = Qemu::open(config).unwrap();
    let machine = deaf();
    qemu.create(&context(), &machine).await.unwrap();
    let mut volumes = Vec::new();
    for gib in [0.0625, 0.125] {
        let mut volume = other(&STORAGE, None);
        volume.attributes.set(attribute("occi.storage.size"), gib);
        qemu.create(&context(), &volume).await.unwrap();
        let link = other(&STORAGELINK, Some((&machine, &volume)));
        qemu.create(&context(), &link).await.unwrap();
        volumes.push(volume);
    }
    let back_up = |volume| act(&qemu, volume, "backup", &[]);
    let (first, second) = tokio::join!(back_up(&volumes[0]), back_up(&volumes[1]));
    first.and(second).unwrap();
    for (volume, mib) in volumes.iter().zip([64, 128]) {
        let files = std::fs::read_dir(home.join(volume.mark.as_str())).unwrap().flatten();
        let files: Vec<_> = files.map(|file| file.path()).collect();
        let backup = files
            .iter()
            .find(|path| path.to_string_lossy().contains("backup-"))
            .unwrap();
        let header = occi_backend_qemu::image::read_header(backup).unwrap();
        assert_eq!(header.size, mib << 20);
    }
    qemu.delete(&context(), &target(&machine)).await.unwrap();
    qemu.shutdown().await;
}

/// A volume that is taken offline while its machine starts: one of the two comes first, and both know which.
pub(crate) async fn offline_or_used(lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config.clone()).unwrap();
    let (machine, volume, _link) = off_with_volume(&qemu).await;
    let disk = lab.inside(machine.mark.as_str()).join("disk0.qcow2");
    for delay_ms in 0..12 {
        let take = async {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            act(&qemu, &volume, "offline", &[]).await
        };
        let (started, taken) = tokio::join!(act(&qemu, &machine, "start", &[]), take);
        started.unwrap();
        let found = qemu.find(&context().scope, &target(&volume)).await.unwrap().unwrap();
        let is_online = text(&found, "occi.storage.state") == "online";
        match taken {
            Ok(_) => assert!(!is_online),
            Err(used) => assert!(is_online && used.kind == ErrorKind::InUse, "{used:?}"),
        }
        assert_eq!(disk.exists(), is_online, "after {delay_ms} ms");
        act(&qemu, &machine, "stop", &[("method", "poweroff".into())])
            .await
            .unwrap();
        act(&qemu, &volume, "online", &[]).await.unwrap();
    }

    // The server is killed when it has recorded the volume as offline, and a machine has just taken it.
    act(&qemu, &machine, "start", &[]).await.unwrap();
    qemu.shutdown().await;
    drop(qemu);
    let record = lab
        .machine("")
        .join("../volume")
        .join(volume.mark.as_str())
        .join("record.json");
    let broken_off = std::fs::read_to_string(&record).unwrap();
    let broken_off = broken_off
        .replace("\"online\": true", "\"online\": false")
        .replace("\"leaving\": false", "\"leaving\": true");
    std::fs::write(&record, broken_off).unwrap();
    let qemu = Qemu::open(config).unwrap();
    let used = act(&qemu, &volume, "offline", &[]).await.unwrap_err();
    assert_eq!(used.kind, ErrorKind::InUse);
    let found = qemu.find(&context().scope, &target(&volume)).await.unwrap().unwrap();
    assert_eq!(text(&found, "occi.storage.state"), "online");
    assert!(disk.exists());
    for create in [&machine, &volume] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    qemu.shutdown().await;
}

/// A machine that is off, a volume, and the link that attaches it.
pub(crate) async fn off_with_volume(qemu: &impl Backend) -> (Create, Create, Create) {
    let (mut machine, mut volume) = (deaf(), other(&STORAGE, None));
    machine.bring_up = false;
    volume.attributes.set(attribute("occi.storage.size"), 0.0625);
    let link = other(&STORAGELINK, Some((&machine, &volume)));
    for create in [&machine, &volume, &link] {
        qemu.create(&context(), create).await.unwrap();
    }
    (machine, volume, link)
}

pub(crate) async fn exists(file: &Path) {
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A volume that its machine has been given and has not opened yet.
pub(crate) async fn tools_wait(lab: &Lab, mut config: QemuConfig) {
    // One that is being started does not keep the other from being started.
    config.boots = Some(2);
    let qemu = Qemu::open(config).unwrap();
    // A machine had it before, and is started at the same time.
    let (former, volume, link) = off_with_volume(&qemu).await;
    act(&qemu, &former, "start", &[]).await.unwrap();
    act(&qemu, &former, "stop", &[("method", "poweroff".into())])
        .await
        .unwrap();
    qemu.delete(&context(), &target(&link)).await.unwrap();
    let mut machine = deaf();
    machine.bring_up = false;
    let link = other(&STORAGELINK, Some((&machine, &volume)));
    for create in [&machine, &link] {
        qemu.create(&context(), create).await.unwrap();
    }
    let given = lab.inside(machine.mark.as_str()).join("disk0.qcow2");
    // QEMU begins when somebody reads what it says.
    let log = lab.machine(machine.mark.as_str()).join("qemu.log");
    mknodat(CWD, &log, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let worked = Cell::new(false);
    let work = async {
        exists(&given).await;
        act(&qemu, &volume, "resize", &[("size", 0.125.into())]).await.unwrap();
        worked.set(true);
        act(&qemu, &volume, "snapshot", &[]).await.unwrap();
    };
    let read = async {
        exists(&given).await;
        act(&qemu, &former, "start", &[]).await.unwrap();
        tokio::time::sleep(A_WHILE).await;
        let early = worked.get();
        let reader = open(&log, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        fs::remove_file(&log).unwrap();
        (early, fs::File::from(reader))
    };
    let (started, (early, said), ()) = tokio::join!(act(&qemu, &machine, "start", &[]), read, work);
    if let Err(error) = started {
        panic!("{error}: {}", std::io::read_to_string(said).unwrap());
    }
    assert!(!early, "image tools worked on a file that QEMU was about to open");
    for create in [&former, &machine, &volume] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    qemu.shutdown().await;
}

/// A volume on which image tools are at work, for as long as they like.
pub(crate) async fn machines_wait(_lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config.clone()).unwrap();
    let (machine, volume, _) = off_with_volume(&qemu).await;
    let runs = deaf();
    qemu.create(&context(), &runs).await.unwrap();
    qemu.shutdown().await;
    drop(qemu);

    // In the place of `qemu-img convert ...`, a script of this name in the directory in which it works.
    let qemu = Qemu::open(QemuConfig {
        qemu_img: "sh".into(),
        ..config.clone()
    })
    .unwrap();
    let place = config
        .directory
        .join("volume")
        .join(volume.mark.as_str())
        .join("inside");
    let (begun, may_end) = (place.join("begun"), place.join("may_end"));
    let script = "echo >begun; until [ -e may_end ]; do sleep 0.05; done; exec qemu-img convert \"$@\"";
    fs::write(place.join("convert"), script).unwrap();
    let back_up = async || act(&qemu, &volume, "backup", &[]).await.unwrap();

    // The start waits; the machine is looked at meanwhile, and deleted.
    let meanwhile = async {
        exists(&begun).await;
        let delete = async {
            tokio::time::sleep(A_WHILE).await;
            assert_eq!(state(&qemu, &machine).await.0, "inactive");
            qemu.delete(&context(), &target(&machine)).await.unwrap();
            fs::write(&may_end, "").unwrap();
        };
        tokio::join!(act(&qemu, &machine, "start", &[]), delete).0
    };
    let (_, started) = tokio::join!(back_up(), meanwhile);
    assert_eq!(started.unwrap_err().kind, ErrorKind::NotFound);

    // So does a link; the machine to which it leads goes its way meanwhile, and has the volume later.
    for file in [&begun, &may_end] {
        fs::remove_file(file).unwrap();
    }
    let link = other(&STORAGELINK, Some((&runs, &volume)));
    let meanwhile = async {
        exists(&begun).await;
        let go = async {
            tokio::time::sleep(A_WHILE).await;
            assert_eq!(state(&qemu, &runs).await.0, "active");
            let hibernate = [("method", "hibernate".into())];
            act(&qemu, &runs, "suspend", &hibernate).await.unwrap();
            fs::write(&may_end, "").unwrap();
            act(&qemu, &runs, "start", &[]).await.unwrap();
        };
        tokio::join!(async { qemu.create(&context(), &link).await.unwrap() }, go);
    };
    tokio::join!(back_up(), meanwhile);
    let linked = qemu.find(&context().scope, &target(&link)).await.unwrap().unwrap();
    assert_eq!(text(&linked, "occi.storagelink.state"), "active");
    // QEMU has it, and does the work.
    act(&qemu, &volume, "snapshot", &[]).await.unwrap();
    for create in [&runs, &volume] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    qemu.shutdown().await;
}
