//! What the tests with real virtual machines share: images, a directory of their own, and cleaning up.

use occi_backend_qemu::QemuConfig;
use occi_backend_qemu::host::process::Process;
use occi_backend_qemu::qemu::agent;
use serde_json::json;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// The demonstration guest's image directory: `OCCI_TEST_IMAGES`, else the user's; or why there is none.
pub(crate) fn images() -> Result<PathBuf, String> {
    let given = std::env::var_os("OCCI_TEST_IMAGES").map(PathBuf::from);
    let home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".local/share")));
    let directory = given.or_else(|| Some(home?.join("occid/images")));
    match directory {
        Some(directory) if directory.join("tiny.qcow2").exists() => Ok(directory),
        _ => Err(
            "the demonstration guest is not built; run `make guest`, or name its directory in OCCI_TEST_IMAGES".into(),
        ),
    }
}

/// A directory for one engine; what still runs in it ends when this goes.
pub(crate) struct Lab {
    directory: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// An engine in it that boots the demonstration guest, and an image `deaf` on which no system is.
    pub(crate) fn config(&self) -> Result<QemuConfig, String> {
        let own = self.directory.path().join("images");
        fs::create_dir_all(&own).unwrap();
        let deaf = own.join("deaf.img");
        fs::write(&deaf, vec![0; 1 << 20]).unwrap();
        // An image that was just written to may not be whole.
        let long_ago = SystemTime::now() - Duration::from_secs(60);
        File::options()
            .write(true)
            .open(deaf)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        Ok(QemuConfig {
            images: vec![images()?, own],
            default_image: Some("tiny".to_owned()),
            stop_grace: 60,
            ..QemuConfig::new(self.directory.path())
        })
    }

    /// The directory of a machine.
    pub(crate) fn machine(&self, native_id: &str) -> PathBuf {
        self.directory.path().join("qemu/vm").join(native_id)
    }

    /// The directory in which its QEMU works: sockets, console.
    pub(crate) fn inside(&self, native_id: &str) -> PathBuf {
        self.machine(native_id).join("inside")
    }

    /// The processes of the engine that live, by their directories.
    pub(crate) fn living(&self) -> Vec<(PathBuf, Process)> {
        let mut found = Vec::new();
        let mut left = vec![self.directory.path().join("qemu")];
        while let Some(directory) = left.pop() {
            if let Ok(Some(process)) = Process::recorded(&directory) {
                found.push((directory.clone(), process));
            }
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
        found
    }

    /// Ends what lives.
    pub(crate) async fn end(&self) {
        for (_, process) in self.living() {
            process.kill().await.unwrap();
        }
    }
}

/// Waits until the serial log of a machine, from byte `from` on, holds `words`; where they end.
pub(crate) async fn console(machine: &Path, from: usize, words: &str) -> usize {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let log = fs::read(machine.join("console.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(log.get(from..).unwrap_or_default()).into_owned();
        if let Some(at) = log.find(words) {
            return from + at + words.len();
        }
        assert!(Instant::now() < until, "no {words:?} on the console: {log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Makes the guest switch itself off, and returns with its last words.
pub(crate) async fn switch_off_inside(machine: &Path) {
    let agent = machine.join("agent");
    let process = Process::recorded(machine.parent().unwrap()).unwrap().unwrap();
    let from = fs::metadata(machine.join("console.log")).map_or(0, |meta| meta.len());
    while agent::call(&agent, &process, "guest-ping", json!({}), Duration::from_secs(1))
        .await
        .is_err()
    {}
    assert!(agent::power_off(&agent, &process).await);
    console(machine, usize::try_from(from).unwrap(), "reboot: Power down").await;
}
