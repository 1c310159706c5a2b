//! What the contract suite cannot see: that there are real machines behind it, and that they outlive the server.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod lab;

use lab::{Lab, console, switch_off_inside};
use libtest_mimic::{Arguments, Trial};
use occi_backend::names::{COMPUTE, NETWORK, NETWORKINTERFACE, STORAGE, STORAGELINK, action, attribute};
use occi_backend::{
    Acted, Backend, Context, Create, CreateLink, Interrupted, Invocation, Journal, LinkEnds, Picture, Result as Done,
    Scope, Target,
};
use occi_backend_qemu::confine::{Confinement, has_landlock};
use occi_backend_qemu::process::Process;
use occi_backend_qemu::qmp::Qmp;
use occi_backend_qemu::{Qemu, QemuConfig};
use occi_model::{Attributes, EntityId, TypeId, Value, infrastructure};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Types a line on the serial console, where the demonstration guest has a shell.
async fn type_in(machine: &Path, line: &str) {
    let mut console = occi_backend_qemu::socket::connect(&machine.join("console"))
        .await
        .unwrap();
    console.write_all(format!("\n{line}\n").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
}

struct Quiet;

#[async_trait::async_trait]
impl Journal for Quiet {
    async fn accepted(&self, _: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
    async fn step(&self, _: &str) -> Result<(), Interrupted> {
        Ok(())
    }
    fn progress(&self, _: u8) {}
    async fn picture(&self, _: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
}

fn context() -> Context {
    Context {
        scope: Scope {
            project: "lab".to_owned(),
        },
        operation: uuid::Uuid::new_v4(),
        attempt: 1,
        deadline: Instant::now() + Duration::from_secs(300),
        journal: Arc::new(Quiet),
    }
}

fn compute(attributes: &[(&str, &str)]) -> Create {
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

fn target(create: &Create) -> Target {
    Target {
        kind: create.kind.clone(),
        mark: create.mark.clone(),
        native_id: None,
    }
}

fn text<'a>(picture: &'a Picture, name: &str) -> &'a str {
    picture
        .attributes
        .get(name)
        .and_then(|value| value.as_str())
        .unwrap_or_default()
}

async fn state(qemu: &Qemu, create: &Create) -> (String, String) {
    let found = qemu.find(&context().scope, &target(create)).await.unwrap().unwrap();
    let state = text(&found, "occi.compute.state");
    (state.to_owned(), text(&found, "occi.compute.state.message").to_owned())
}

async fn act(qemu: &Qemu, create: &Create, term: &str, parameters: &[(&str, Value)]) -> Done<Acted> {
    let parameters = parameters.iter().map(|(name, value)| (attribute(name), value.clone()));
    let invocation = Invocation {
        action: action(create.kind.term(), term),
        parameters: parameters.collect(),
    };
    qemu.act(&context(), &target(create), &invocation).await
}

/// Something that is no compute.
fn other(kind: &TypeId, ends: Option<(&Create, &Create)>) -> Create {
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

/// Whether an ssh server greets behind the published port that `login` names; at its first boot it makes its key first.
async fn greets(login: &str) -> bool {
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

/// Two guests on the default network of their project.
async fn neighbours(lab: &Lab, config: QemuConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let qemu = Qemu::open(config).unwrap();
    let first = compute(&[
        ("occi.compute.hostname", "first guest"),
        (
            infrastructure::SSH_PUBLIC_KEY,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtleQ== somebody",
        ),
    ]);
    let made = qemu.create(&context(), &first).await.unwrap();
    let address = text(&made[1], "occi.networkinterface.address").to_owned();
    let gateway = text(&made[1], "occi.networkinterface.gateway").to_owned();
    let serial = lab.inside(first.mark.as_str());
    console(&serial, 0, &format!("GUEST-READY first-guest ip={address}")).await;
    let (now, login) = state(&qemu, &first).await;
    assert_eq!(
        (now.as_str(), login.starts_with("ssh -p ")),
        ("active", true),
        "{login}"
    );
    assert!(greets(&login).await);

    // The second looks at the first, and at what it must not see: a service on the host's loopback.
    let script = format!(
        "#!/bin/sh\nping -c 3 -w 9 {address} >/dev/null && echo neighbour-reached\n\
         for host in {gateway} 127.0.0.1; do echo x | nc -w 2 $host {port} && echo loopback-reached; done\n\
         ping -c 1 -w 3 {gateway} >/dev/null && echo gateway-reached\n\
         nslookup localhost 2>&1 | grep -q answer; grep nameserver /etc/resolv.conf\n"
    );
    let second = compute(&[(infrastructure::USERDATA, &script)]);
    qemu.create(&context(), &second).await.unwrap();
    let serial = lab.inside(second.mark.as_str());
    console(&serial, 0, "GUEST-USERDATA-DONE 0").await;
    let log = std::fs::read_to_string(serial.join("console.log")).unwrap();
    assert!(log.contains("ud| neighbour-reached"), "{log}");
    assert!(log.contains("ud| gateway-reached"), "{log}");
    assert!(log.contains("ud| nameserver 10.213."), "{log}");
    assert!(!log.contains("loopback-reached"), "{log}");
    let nobody_came = tokio::time::timeout(Duration::from_millis(10), listener.accept()).await;
    assert!(nobody_came.is_err(), "a guest reached the host's loopback");

    for create in [&first, &second] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    assert!(qemu.list(&context().scope, &COMPUTE).await.unwrap().pictures.is_empty());
    qemu.shutdown().await;
    let living = lab.living();
    assert!(
        living
            .iter()
            .all(|(directory, _)| !directory.starts_with(lab.machine(""))),
        "{living:?}"
    );
}

/// A guest to which things are plugged, that is held on disk, and of which a copy is made.
async fn devices(lab: &Lab, config: QemuConfig) {
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

    act(&qemu, &volume, "offline", &[]).await.unwrap();
    at = console(&serial, at, "GUEST-DISK-GONE vdb").await;
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
async fn held(lab: &Lab, config: QemuConfig) {
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

/// What a helper can see in its bounds: its own directory, the system's programs, and nothing else.
async fn bounds(lab: &Lab, config: QemuConfig) {
    let home = lab.machine("");
    std::fs::create_dir_all(home.join("inside")).unwrap();
    std::fs::write(home.join("inside/own"), "own file").unwrap();
    std::fs::write(home.join("secret"), "secret").unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let bounds = Confinement {
        write: vec![".".into()],
        user: is_root.then_some(config.users[0]),
        open_files: Some(64),
        ..Confinement::default()
    };
    let script = "cat own; cat ../secret; ls /; cat /etc/hostname; kill -0 $1 && echo signalled; \
        ulimit -n; while read name value; do [ $name = NoNewPrivs: ] && echo $name $value; done </proc/$$/status; id -u";
    let ran = Command::new(&config.launcher)
        .arg("qemu-confined")
        .arg(serde_json::to_string(&bounds).unwrap())
        .args(["/bin/sh", "-c", script, "sh", &std::process::id().to_string()])
        .current_dir(home.join("inside"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.starts_with("own file"), "{ran:?}");
    assert!(said.contains("64\n") && said.contains("NoNewPrivs: 1"), "{said}");
    if is_root {
        assert!(said.ends_with(&format!("{}\n", config.users[0])), "{said}");
    }
    if !has_landlock() {
        println!("skipped in part: this kernel has no Landlock");
        return;
    }
    let forbidden = ["secret", "root\n", "signalled"];
    assert!(!forbidden.iter().any(|word| said.contains(word)), "{said}");
}

/// A compute that runs and on which no system is.
fn deaf() -> Create {
    let mut create = compute(&[]);
    create.os_template = Some("deaf".parse().unwrap());
    create
}

/// What a QEMU that a guest has taken over could do, asked through its monitor: nothing outside of its directory.
async fn prison(lab: &Lab, config: QemuConfig) {
    let directory = config.directory.clone();
    let qemu = Qemu::open(config).unwrap();
    let (prisoner, mut other) = (deaf(), deaf());
    other.bring_up = false;
    for create in [&prisoner, &other] {
        qemu.create(&context(), create).await.unwrap();
    }
    let process = Process::recorded(&lab.machine(prisoner.mark.as_str()))
        .unwrap()
        .unwrap();
    qemu.shutdown().await;

    let monitor = Qmp::connect(&lab.inside(prisoner.mark.as_str()).join("qmp"))
        .await
        .unwrap();
    let foreign = [
        PathBuf::from("/etc/passwd"),
        lab.inside(other.mark.as_str()).join("root.qcow2"),
        directory.join("probe.json"),
        lab.machine(prisoner.mark.as_str()).join("record.json"),
        "../process.json".into(),
    ];
    for file in &foreign {
        for read_only in [true, false] {
            let node = json!({"driver": "file", "node-name": "stolen", "filename": file, "read-only": read_only});
            let said = monitor.execute("blockdev-add", node).await.unwrap_err().to_string();
            assert!(said.contains("Permission denied"), "{file:?}: {said}");
        }
    }
    let own =
        json!({"driver": "file", "node-name": "own", "filename": "root.qcow2", "read-only": true, "locking": "off"});
    monitor.execute("blockdev-add", own).await.unwrap();
    let outside = directory.join("dump");
    for target in [outside.as_path(), Path::new("../dump")] {
        let dump = json!({"paging": false, "protocol": format!("file:{}", target.display())});
        let said = monitor
            .execute("dump-guest-memory", dump)
            .await
            .unwrap_err()
            .to_string();
        assert!(said.contains("ermission denied"), "{target:?}: {said}");
    }
    assert!(!outside.exists());

    let status = std::fs::read_to_string(format!("/proc/{}/status", process.identity().pid)).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    if rustix::process::geteuid().is_root() {
        let own = field("Uid:");
        assert!(own.iter().all(|user| *user == own[0] && user != "0"), "{own:?}");
        assert!(
            field("CapEff:").iter().all(|set| set.chars().all(|digit| digit == '0')),
            "{status}"
        );
    }
}

/// The server of [`survival`], in a process of its own: makes one machine, says so, and waits to be killed.
fn serve(directory: &Path) -> ExitCode {
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

/// A machine whose server is killed, whose guest leaves while nobody watches, and whose QEMU is killed.
async fn survival(lab: &Lab, config: QemuConfig) {
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
    let listed = qemu.list(&context().scope, &COMPUTE).await.unwrap().pictures;
    assert_eq!(text(&listed[0], "occi.compute.state"), "active");
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

fn main() -> ExitCode {
    if let Some(code) = occi_backend_qemu::intercept(std::env::args_os()) {
        return code;
    }
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("serve") {
        return serve(Path::new(&args.next().unwrap()));
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let trial = |name: &str, test: AsyncTest| {
        let ignored = lab::images().err();
        if let Some(why) = &ignored {
            println!("skipped: {why}");
        }
        let run = move || {
            let lab = Lab::new();
            let config = lab.config()?;
            let runtime = tokio::runtime::Runtime::new()?;
            let tested =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(test(&lab, config))));
            runtime.block_on(lab.end());
            tested.map_err(|_| "see above".into())
        };
        Trial::test(name, run).with_ignored_flag(ignored.is_some())
    };
    let trials = vec![
        trial("a_helper_sees_its_own_directory_and_nothing_else", |lab, config| {
            Box::pin(bounds(lab, config))
        }),
        trial(
            "a_qemu_that_was_taken_over_reaches_no_file_outside_of_its_directory",
            |lab, config| Box::pin(prison(lab, config)),
        ),
        trial(
            "guests_of_a_project_reach_each_other_and_not_the_hosts_loopback",
            |lab, config| Box::pin(neighbours(lab, config)),
        ),
        trial(
            "a_guest_sees_what_is_plugged_and_continues_after_a_hibernation_and_its_copy_boots",
            |lab, config| Box::pin(devices(lab, config)),
        ),
        trial(
            "links_come_and_go_while_a_guest_is_held_in_memory_or_on_disk",
            |lab, config| Box::pin(held(lab, config)),
        ),
        trial(
            "machines_and_networks_outlive_the_server_and_their_ends_are_told_apart",
            |lab, config| Box::pin(survival(lab, config)),
        ),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

type AsyncTest = for<'a> fn(&'a Lab, QemuConfig) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;
