//! Machines and networks outlive the server, and the ends of things are told apart.

use crate::lab::{self, Lab, console, switch_off_inside};
use crate::world::{act, compute, context, deaf, greets, other, state, target, text};
use occi_backend::names::{COMPUTE, NETWORK, NETWORKINTERFACE, STORAGE, STORAGELINK, attribute};
use occi_backend::{Backend, Create, ErrorKind, Target};
use occi_backend_qemu::config::OnHostBoot;
use occi_backend_qemu::host::process::{Identity, Process};
use occi_backend_qemu::{Qemu, QemuConfig};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The server of [`survival`], in a process of its own: makes one machine, says so, and waits to be killed.
pub(crate) fn serve(directory: &Path) -> ExitCode {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let config: QemuConfig = QemuConfig {
            images: vec![lab::images().unwrap()],
            default_image: Some("tiny".to_owned()),
            ..QemuConfig::new(directory)
        };
        let qemu = Qemu::open(config).unwrap();
        let create = compute(&[]);
        qemu.create(&context(), &create).await.unwrap();
        println!("{}", create.mark);
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

/// A host that was started again: its processes are gone, and their records name another boot.
pub(crate) async fn host_boot(lab: &Lab, mut config: QemuConfig) {
    let (runs, rests) = (deaf(), deaf());
    let mut qemu = Qemu::open(config.clone()).unwrap();
    for create in [&runs, &rests] {
        qemu.create(&context(), create).await.unwrap();
    }
    act(&qemu, &rests, "stop", &[("method", "poweroff".into())])
        .await
        .unwrap();
    for (policy, expected, processes) in [(OnHostBoot::Resume, "active", 3), (OnHostBoot::Leave, "inactive", 2)] {
        qemu.shutdown().await;
        drop(qemu);
        for (directory, process) in lab.living() {
            process.kill().await.unwrap();
            let identity = Identity {
                boot: "an earlier one".to_owned(),
                ..process.identity().clone()
            };
            identity.write(&directory).unwrap();
        }
        config.on_host_boot = policy;
        qemu = Qemu::open(config.clone()).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while state(&qemu, &runs).await.0 != expected || lab.living().len() != processes {
            assert!(Instant::now() < until, "{policy:?}: {:?}", state(&qemu, &runs).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(state(&qemu, &rests).await.0, "inactive");
    }
    for create in [&runs, &rests] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    qemu.shutdown().await;
}

/// A machine whose QEMU is killed from outside.
pub(crate) async fn infra_7_a_compute_in_error_recovers_by_start_and_by_stop(lab: &Lab, config: QemuConfig) {
    let image = config.images[1].join("deaf.img");
    let qemu = Qemu::open(config).unwrap();
    let create = deaf();
    qemu.create(&context(), &create).await.unwrap();
    let poweroff: &[_] = &[("method", "poweroff".into())];
    for (term, parameters, expected) in [("start", &[][..], "active"), ("stop", poweroff, "inactive")] {
        let process = Process::recorded(&lab.machine(create.mark.as_str())).unwrap().unwrap();
        process.kill().await.unwrap();
        let (now, message) = state(&qemu, &create).await;
        assert_eq!(now, "error");
        assert!(message.contains("its QEMU process ended"), "{message}");
        act(&qemu, &create, term, parameters).await.unwrap();
        assert_eq!(state(&qemu, &create).await.0, expected);
    }
    // One that hangs is killed, by a stop at once and by a deletion, whoever waits for its answer meanwhile.
    let hang = || {
        let process = Process::recorded(&lab.machine(create.mark.as_str())).unwrap().unwrap();
        let pid = process.identity().pid.to_string();
        assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    };
    act(&qemu, &create, "start", &[]).await.unwrap();
    hang();
    let scope = context().scope;
    let asked = target(&create);
    let (_not_answered, stopped) = tokio::join!(
        qemu.find(&scope, &asked),
        tokio::time::timeout(Duration::from_secs(9), act(&qemu, &create, "stop", poweroff))
    );
    stopped.unwrap().unwrap();
    assert_eq!(state(&qemu, &create).await.0, "inactive");
    // Nor does it hurt that somebody writes into the image of which it was made.
    std::fs::write(image, "something else").unwrap();
    let base = std::fs::read(lab.machine(create.mark.as_str()).join("base")).unwrap();
    assert!(base.len() == 1 << 20 && base.iter().all(|byte| *byte == 0));
    act(&qemu, &create, "start", &[]).await.unwrap();
    hang();
    let deleted = tokio::time::timeout(Duration::from_secs(9), qemu.delete(&context(), &target(&create))).await;
    deleted.unwrap().unwrap();
    assert!(
        lab.living()
            .iter()
            .all(|(path, _)| !path.starts_with(lab.machine(create.mark.as_str())))
    );
    qemu.shutdown().await;
}

/// A QEMU that ends as it starts: whatever the moment in which it hangs up, nothing is in doubt.
pub(crate) async fn dies_at_its_start(lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config).unwrap();
    let create = deaf();
    qemu.create(&context(), &create).await.unwrap();
    act(&qemu, &create, "stop", &[("method", "poweroff".into())])
        .await
        .unwrap();
    let [root, away] = ["root.qcow2", "away"].map(|name| lab.inside(create.mark.as_str()).join(name));
    std::fs::rename(&root, &away).unwrap();
    for _ in 0..30 {
        let error = act(&qemu, &create, "start", &[]).await.map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unexpected, "{error:?}");
        let (now, message) = state(&qemu, &create).await;
        assert_eq!(now, "error");
        assert!(message.contains("root.qcow2"), "{message}");
    }
    std::fs::rename(&away, &root).unwrap();
    act(&qemu, &create, "start", &[]).await.unwrap();
    assert_eq!(state(&qemu, &create).await.0, "active");
    qemu.delete(&context(), &target(&create)).await.unwrap();
    qemu.shutdown().await;
}

/// Disks whose files somebody has taken away: that is seen, what fails over it says so, and all is well when they are back.
pub(crate) async fn lost_files(lab: &Lab, config: QemuConfig) {
    let volumes = config.directory.join("volume");
    let qemu = Qemu::open(config).unwrap();
    let (machine, mut volume) = (deaf(), other(&STORAGE, None));
    volume.attributes.set(attribute("occi.storage.size"), 0.0625);
    for create in [&machine, &volume] {
        qemu.create(&context(), create).await.unwrap();
    }
    let disk = other(&STORAGELINK, Some((&machine, &volume)));
    act(&qemu, &machine, "stop", &[("method", "poweroff".into())])
        .await
        .unwrap();
    qemu.create(&context(), &disk).await.unwrap();
    let looks = async |of: &Create| {
        let listed = qemu.list(&context().scope, &of.kind).await.unwrap().pictures;
        let prefix = format!("occi.{}.state", of.kind.term());
        let [state, message] = ["", ".message"].map(|end| text(&listed[0], &format!("{prefix}{end}")).to_owned());
        (state, message)
    };
    let of_volume = volumes.join(volume.mark.as_str()).join("inside/disk.qcow2");
    let of_machine = lab.inside(machine.mark.as_str()).join("root.qcow2");
    let away = of_volume.with_extension("away");
    for (of, file, before) in [(&volume, of_volume, "online"), (&machine, of_machine, "inactive")] {
        std::fs::rename(&file, &away).unwrap();
        let (state, message) = looks(of).await;
        assert_eq!(state, "error");
        assert!(message.contains("is gone"), "{message}");
        if of.kind == *STORAGE {
            for (term, parameters) in [("resize", &[("size", 0.125.into())][..]), ("snapshot", &[])] {
                let error = act(&qemu, of, term, parameters).await.map(drop).unwrap_err();
                assert!(
                    error.message.contains("qemu-img: Could not open 'disk.qcow2'"),
                    "{error}"
                );
            }
        }
        let error = act(&qemu, &machine, "start", &[]).await.map(drop).unwrap_err();
        let file_of = if of.kind == *STORAGE {
            volume.mark.as_str()
        } else {
            "root.qcow2"
        };
        assert!(error.message.contains(file_of), "{error}");
        std::fs::rename(&away, &file).unwrap();
        act(&qemu, &machine, "stop", &[("method", "poweroff".into())])
            .await
            .unwrap();
        assert_eq!(looks(of).await, (before.to_owned(), String::new()));
    }
    act(&qemu, &volume, "snapshot", &[]).await.unwrap();
    act(&qemu, &machine, "start", &[]).await.unwrap();
    assert_eq!(state(&qemu, &machine).await.0, "active");
    for create in [&machine, &volume] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    qemu.shutdown().await;
}

/// Machines whose QEMU ends while something is asked of them: whatever the moment, reading and deleting go well.
pub(crate) async fn sudden_ends(lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config).unwrap();
    for delay_ms in [0, 1, 2, 4, 8, 16, 32, 64] {
        let create = deaf();
        qemu.create(&context(), &create).await.unwrap();
        let process = Process::recorded(&lab.machine(create.mark.as_str())).unwrap().unwrap();
        let end = async {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            process.kill().await.unwrap();
        };
        let read_and_delete = async {
            state(&qemu, &create).await;
            qemu.delete(&context(), &target(&create)).await.unwrap();
        };
        tokio::join!(end, read_and_delete);

        // One whose link is deleted at the same time.
        let create = deaf();
        qemu.create(&context(), &create).await.unwrap();
        let link = Target {
            kind: NETWORKINTERFACE.clone(),
            mark: create.links[0].mark.clone(),
            native_id: None,
            project: None,
        };
        let scope = context();
        let unlink = async {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            qemu.delete(&context(), &link).await
        };
        let whole = target(&create);
        let (deleted, unlinked) = tokio::join!(qemu.delete(&scope, &whole), unlink);
        deleted.unwrap();
        unlinked.unwrap();

        // And one that is given up while it starts.
        let create = deaf();
        let scope = context();
        let patience = Duration::from_millis(40 + 2 * delay_ms);
        let _given_up = tokio::time::timeout(patience, qemu.create(&scope, &create)).await;
        qemu.find(&context().scope, &target(&create)).await.unwrap();
        qemu.delete(&context(), &target(&create)).await.unwrap();
    }
    assert!(lab.living().is_empty(), "{:?}", lab.living());
    qemu.shutdown().await;
}

/// A machine whose server is killed, whose guest leaves while nobody watches, and whose QEMU is killed.
pub(crate) async fn survival(lab: &Lab, config: QemuConfig) {
    let data_dir = config.directory.parent().unwrap();
    let mut server = Command::new("/proc/self/exe")
        .arg("serve")
        .arg(data_dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut mark = String::new();
    BufReader::new(server.stdout.as_mut().unwrap())
        .read_line(&mut mark)
        .unwrap();
    let mut create = compute(&[]);
    create.mark = mark.trim().parse().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let machine = lab.machine(create.mark.as_str());
    let before: Vec<_> = lab
        .living()
        .into_iter()
        .map(|(_, process)| process.identity().clone())
        .collect();
    assert_eq!(before.len(), 3, "a machine, a switch and a way out: {before:?}");

    // Found again, in the middle of its boot, and nothing was started anew.
    let qemu = Qemu::open(config.clone()).unwrap();
    for (kind, state) in [(&NETWORK, "occi.network.state"), (&COMPUTE, "occi.compute.state")] {
        let listed = qemu.list(&context().scope, kind).await.unwrap().pictures;
        assert_eq!(text(&listed[0], state), "active");
    }
    console(&machine.join("inside"), 0, "GUEST-READY").await;
    let (_, login) = state(&qemu, &create).await;
    assert!(greets(&login).await);
    let after: Vec<_> = lab
        .living()
        .into_iter()
        .map(|(_, process)| process.identity().clone())
        .collect();
    assert_eq!(before, after);

    // The guest leaves while no server is there.
    qemu.shutdown().await;
    drop(qemu);
    switch_off_inside(&machine.join("inside")).await;
    let qemu = Qemu::open(config.clone()).unwrap();
    assert_eq!(state(&qemu, &create).await.0, "inactive");

    // QEMU dies under a server that watches.
    act(&qemu, &create, "start", &[]).await.unwrap();
    let process = Process::recorded(&machine).unwrap().unwrap();
    process.kill().await.unwrap();
    let until = Instant::now() + Duration::from_secs(1);
    loop {
        let listed = qemu.list(&context().scope, &COMPUTE).await.unwrap().pictures;
        if text(&listed[0], "occi.compute.state") == "error" {
            assert!(text(&listed[0], "occi.compute.state.message").contains("ended"));
            break;
        }
        assert!(Instant::now() < until, "still {listed:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // And under one that does not.
    act(&qemu, &create, "start", &[]).await.unwrap();
    qemu.shutdown().await;
    drop(qemu);
    Process::recorded(&machine).unwrap().unwrap().kill().await.unwrap();
    let qemu = Qemu::open(config).unwrap();
    assert_eq!(state(&qemu, &create).await.0, "error");

    // A switch that is killed is replaced, and the guest's link with it.
    act(&qemu, &create, "start", &[]).await.unwrap();
    let (directory, switch) = lab
        .living()
        .into_iter()
        .find(|(path, _)| path.ends_with("switch"))
        .unwrap();
    switch.kill().await.unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    while Process::recorded(&directory).unwrap().is_none() {
        assert!(Instant::now() < until, "the switch is not replaced");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    qemu.delete(&context(), &target(&create)).await.unwrap();
    assert!(!machine.exists());
    qemu.shutdown().await;
}
