//! What a QEMU or a helper that a guest has taken over can reach.

use crate::lab::Lab;
use crate::world::{context, deaf};
use occi_backend::Backend;
use occi_backend_qemu::host::confine::{Confinement, has_landlock};
use occi_backend_qemu::host::launch::{self, Order};
use occi_backend_qemu::host::process::Process;
use occi_backend_qemu::qemu::qmp::Qmp;
use occi_backend_qemu::{Qemu, QemuConfig};
use serde_json::json;
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A user that is nobody's.
const SOMEBODY: u32 = 1_900_000_000;

/// What a helper can see in its bounds: its own directory, the system's programs, and nothing else.
pub(crate) async fn bounds(lab: &Lab, config: QemuConfig) {
    let home = lab.machine("");
    std::fs::create_dir_all(home.join("inside")).unwrap();
    std::fs::write(home.join("inside/own"), "own file").unwrap();
    std::fs::write(home.join("secret"), "secret").unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let bounds = Confinement {
        write: vec![".".into()],
        user: is_root.then_some(SOMEBODY),
        open_files: Some(64),
        ..Confinement::default()
    };
    let script = "cat own; cat ../secret; ls /; cat /etc/hostname; kill -0 $1 && echo signalled; \
        ulimit -n; while read name value; do [ $name = NoNewPrivs: ] && echo $name $value; done </proc/$$/status; id -u";
    let ran = Command::new(&config.launcher)
        .args(["qemu-confined", &std::process::id().to_string()])
        .arg(serde_json::to_string(&bounds).unwrap())
        .args(["/bin/sh", "-c", script, "sh", &std::process::id().to_string()])
        .current_dir(home.join("inside"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.starts_with("own file"), "{ran:?}");
    assert!(said.contains("64\n") && said.contains("NoNewPrivs: 1"), "{said}");
    if is_root {
        assert!(said.ends_with(&format!("{}\n", SOMEBODY)), "{said}");
    }
    if !has_landlock() {
        println!("skipped in part: this kernel has no Landlock");
        return;
    }
    let forbidden = ["secret", "root\n", "signalled"];
    assert!(!forbidden.iter().any(|word| said.contains(word)), "{said}");
}

/// A helper whose server is killed: what it would do later does not happen.
pub(crate) async fn ends_with_the_server(lab: &Lab, config: QemuConfig) {
    let home = lab.machine("");
    std::fs::create_dir_all(&home).unwrap();
    let bounds = Confinement {
        write: vec![".".into()],
        user: rustix::process::geteuid().is_root().then_some(SOMEBODY),
        ..Confinement::default()
    };
    let mut server = Command::new("/bin/sh")
        .args([
            "-c",
            "program=$1; shift; \"$program\" qemu-confined $$ \"$@\" & wait",
            "sh",
        ])
        .arg(std::env::current_exe().unwrap())
        .arg(serde_json::to_string(&bounds).unwrap())
        .args(["/bin/sh", "-c", "echo begun; sleep 3; echo done"])
        .current_dir(&home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    server.kill().unwrap();
    server.wait().unwrap();
    // Until nobody is left who could say something.
    assert_eq!(std::io::read_to_string(said).unwrap(), "");
    // One whose server is gone when it begins does not begin: its parent is another then.
    let late = Command::new(&config.launcher)
        .args(["qemu-confined", "1"])
        .arg(serde_json::to_string(&bounds).unwrap())
        .args(["/bin/sh", "-c", "echo begun"])
        .current_dir(&home)
        .output()
        .unwrap();
    assert!(!late.status.success() && late.stdout.is_empty(), "{late:?}");
}

/// A launcher whose call was cut off before it began, and an end in between; also of what runs.
pub(crate) async fn late_launcher(lab: &Lab, config: QemuConfig) {
    let home = lab.machine("");
    std::fs::create_dir_all(&home).unwrap();
    let order = Order {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), "echo >ran; exec sleep 600".into()],
        log: "log".into(),
        inside: PathBuf::new(),
        confinement: Confinement {
            write: vec![".".into()],
            ..Confinement::default()
        },
    };
    let wait_for = async |is: &dyn Fn() -> bool| {
        let waited = async {
            while !is() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waited).await.is_ok()
    };
    let script = home.join("late");
    let own = std::env::current_exe().unwrap();
    let late = format!(
        "#!/bin/sh\necho >begun\nwhile [ ! -e go ]; do sleep 0.01; done\nexec {} \"$@\"\n",
        own.display()
    );
    std::fs::write(&script, late).unwrap();
    std::fs::set_permissions(&script, Permissions::from_mode(0o700)).unwrap();
    let has_begun = || home.join("begun").exists();
    tokio::select! {
        started = launch::start(&script, &home, &order) => panic!("{started:?}"),
        begun = wait_for(&has_begun) => assert!(begun),
    }
    launch::end(&home).await.unwrap();
    std::fs::write(home.join("go"), "").unwrap();
    let said = || launch::tail(&home.join("launch.log")).unwrap_or_default();
    assert!(wait_for(&|| said().contains("launch.json")).await, "{}", said());
    assert!(!home.join("ran").exists());

    let process = launch::start(&config.launcher, &home, &order).await.unwrap();
    assert!(wait_for(&|| home.join("ran").exists()).await);
    launch::end(&home).await.unwrap();
    assert!(Process::open(process.identity()).unwrap().is_none());
    launch::end(&home.join("nowhere")).await.unwrap();
}

/// What a QEMU that a guest has taken over could do, asked through its monitor: nothing outside of its directory.
pub(crate) async fn prison(lab: &Lab, config: QemuConfig) {
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

    let monitor = Qmp::connect(&lab.inside(prisoner.mark.as_str()).join("qmp"), &process)
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

/// Two servers of one host, both root: no machine of one runs as the user of a machine of the other.
pub(crate) async fn two_servers(lab: &Lab, config: QemuConfig) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: users are for root to give out");
        return;
    }
    let beside = Lab::new();
    let other = beside.config().unwrap();
    let drawn = |config: &QemuConfig| config.directory.join("users");
    // One of 1500 ranges is drawn: the same twice is luck, ten times it is not.
    for _draw in 0..10 {
        for config in [&config, &other] {
            Qemu::open(config.clone()).unwrap().shutdown().await;
        }
        if std::fs::read(drawn(&config)).unwrap() != std::fs::read(drawn(&other)).unwrap() {
            break;
        }
        std::fs::remove_file(drawn(&other)).unwrap();
    }
    let mut users = Vec::new();
    for (lab, config) in [(lab, config), (&beside, other)] {
        for _life in 0..2 {
            let qemu = Qemu::open(config.clone()).unwrap();
            let mut machine = deaf();
            machine.bring_up = false;
            qemu.create(&context(), &machine).await.unwrap();
            let record = std::fs::read(lab.machine(machine.mark.as_str()).join("record.json")).unwrap();
            let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
            users.push(record["user"].as_u64().unwrap());
            qemu.shutdown().await;
        }
    }
    beside.end().await;
    assert!(users.iter().all(|user| *user > 1_900_000_000), "{users:?}");
    users.sort_unstable();
    users.dedup();
    assert_eq!(users.len(), 4);
}
