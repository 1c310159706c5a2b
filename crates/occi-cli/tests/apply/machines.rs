//! `occi apply` with real machines: the qemu engine and the demonstration guest.

use crate::files::KEY;
use crate::world::World;
use occi_backend_qemu::host::process::Process;
use std::path::PathBuf;

const LAB: &str = "
- network: lan
  address: 10.77.0.0/24
  gateway: 10.77.0.1
- storage: data
  size: 64M
- compute: web1
  os: tiny
  memory: 128M
  networks: [lan]
  volumes: [{storage: data, device: /dev/vdb}]
- compute: web2
  os: tiny
  memory: 128M
  networks: [lan]
";

/// The directory of the demonstration guest, or why there is none.
pub(crate) fn images() -> Result<PathBuf, String> {
    match std::env::var_os("OCCI_TEST_IMAGES").map(PathBuf::from) {
        Some(directory) if directory.join("tiny.qcow2").exists() => Ok(directory),
        _ => {
            Err("the demonstration guest is built by labs/guest/build; OCCI_TEST_IMAGES names its directory".to_owned())
        }
    }
}

/// The machines and networks of a server end with this.
struct Lab(World);

impl Drop for Lab {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let _entered = runtime.enter();
        let mut left = vec![self.0.path("data")];
        while let Some(directory) = left.pop() {
            if let Ok(Some(process)) = Process::recorded(&directory) {
                let _ = runtime.block_on(process.kill());
            }
            let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
    }
}

impl Lab {
    fn new() -> Self {
        let images = images().expect("images");
        let config = format!("[backend.qemu]\nimages = [{images:?}]\n");
        Self(World::with(&["--backend", "qemu"], &config))
    }
}

pub(crate) fn what_the_server_cannot_change_is_left_and_the_rest_done() {
    let lab = Lab::new();
    let world = &lab.0;
    world.file("id.pub", KEY);
    let example = crate::files::example();
    world.file("web.yaml", &example);
    world.good("apply -f web.yaml");
    assert_eq!(world.good("apply -f web.yaml"), "nothing differs\n");

    // The ephemeral disk of the size has the name, and what is there keeps its own.
    let wish = example.replace("volumes: [data]", "volumes: [{storage: data, device: /dev/vdb}]");
    assert_ne!(wish, example);
    let wish = format!(
        "{wish}  summary: first\n- network: more\n- storage: next\n  size: 64M\n\
         - storagelink: on\n  source: compute/web1\n  target: next\n"
    );
    world.file("web.yaml", &wish);
    for far in [
        &["  done: network more, storage next\n", "  done in part: compute web1\n"][..],
        &["  not done: compute web1, storagelink on\n"],
    ] {
        let left = world.occi("apply -f web.yaml");
        assert_eq!(left.code, Some(1), "{left:?}");
        for words in [
            "error: compute web1: the backend \"qemu\" does not change occi.storagelink.deviceid of an existing storagelink\n",
            "  leave it out of the file, or take the link away and apply again: occi delete /storagelink/",
        ]
        .iter()
        .chain(far)
        {
            assert!(left.err.contains(words), "{words}: {left:?}");
        }
        assert!(!left.err.contains("goes on"), "{left:?}");
    }
    let told = world.occi("apply -f web.yaml -o csv");
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(
        told.out.lines().skip(1).all(|line| line.starts_with("none,")),
        "{told:?}"
    );

    world.file("web.yaml", &wish.replace("{storage: data, device: /dev/vdb}", "data"));
    world.good("apply -f web.yaml");
    assert_eq!(world.good("diff -f web.yaml"), "nothing differs\n");
}

pub(crate) fn a_network_a_volume_and_two_machines_are_there_after_one_file() {
    let lab = Lab::new();
    let world = &lab.0;
    world.file("lab.yaml", LAB);

    let made = world.good("apply -f lab.yaml");
    assert_eq!(made.lines().count(), 4, "{made}");
    let states = world.good("list compute -o jsonpath=$[*].state");
    assert_eq!(states, "active\nactive\n");
    let web1 = world.good("show web1 -o json");
    assert!(web1.contains("10.77.0.") && web1.contains("/dev/vdb"), "{web1}");

    assert_eq!(world.good("apply -f lab.yaml"), "nothing differs\n");
    let sent = crate::files::methods(world, "apply -f lab.yaml");
    assert!(sent.iter().all(|method| method == "GET"), "{sent:?}");
    let exported = world.good("list -o occi");
    let again = world.reading(&exported, "diff -f -");
    assert_eq!(
        (again.code, again.out.as_str()),
        (Some(0), "nothing differs\n"),
        "{again:?}"
    );

    // A volume grows where it is; a machine that runs lets one go.
    let changed = LAB
        .replace("size: 64M", "size: 128M")
        .replace("  volumes: [{storage: data, device: /dev/vdb}]\n", "  volumes: []\n");
    world.file("lab.yaml", &changed);
    world.good("apply -f lab.yaml --yes");
    assert_eq!(world.good("diff -f lab.yaml"), "nothing differs\n");
    assert_eq!(world.good("list storagelink -o name"), "");

    world.good("delete -f lab.yaml --yes");
    let left = world.good("list -o name");
    assert!(!left.contains("/compute/") && !left.contains("/storage/"), "{left}");
}
