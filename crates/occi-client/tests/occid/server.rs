//! An `occid` for a test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running `occid` with everything it keeps in a directory of its own. It ends with the value.
pub(crate) struct Occid {
    process: Child,
    directory: TempDir,
    pub(crate) url: String,
}

impl Occid {
    /// Starts one on a free port of the loopback.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// The same with a configuration.
    pub(crate) fn with(config: &str) -> Self {
        Self::listening("127.0.0.1:0", config)
    }

    /// Starts one on a socket.
    pub(crate) fn on_a_socket() -> Self {
        Self::listening("unix:", "")
    }

    fn listening(address: &str, config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("occid.toml"), config).expect("a configuration file");
        let address = match address {
            "unix:" => format!("unix:{}", path("occid.sock").display()),
            address => address.to_owned(),
        };
        let (process, url) = launch(directory.path(), &path("data"), &address, &["--backend", "memory"]);
        Self {
            process,
            directory,
            url,
        }
    }

    /// A file in its directory.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }

    /// The password of the first operator.
    pub(crate) fn password(&self) -> String {
        self.read("data/initial-admin-password").trim().to_owned()
    }
}

impl Drop for Occid {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts this program by the name of `occid` in a directory: its configuration is `occid.toml` there, empty if there is
/// none, and what it says on stderr goes into `log`. Returns it, and where it listens.
pub(crate) fn launch(directory: &Path, data: &Path, address: &str, options: &[impl AsRef<OsStr>]) -> (Child, String) {
    let path = |name: &str| directory.join(name);
    if !path("occid").exists() {
        std::os::unix::fs::symlink(std::env::current_exe().expect("this program"), path("occid")).expect("a link");
    }
    if !path("occid.toml").exists() {
        std::fs::write(path("occid.toml"), "").expect("a configuration file");
    }
    let mut process = Command::new(path("occid"))
        .args(["--listen", address])
        .args(options)
        .arg("--config")
        .arg(path("occid.toml"))
        .arg("--data-dir")
        .arg(data)
        .env("XDG_STATE_HOME", path("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(path("log")).expect("a log"))
        .spawn()
        .expect("occid starts");
    let mut first = String::new();
    let stdout = process.stdout.take().expect("occid has a stdout");
    BufReader::new(stdout)
        .read_line(&mut first)
        .expect("occid says where it is");
    match first.trim_end().strip_prefix("listening on ") {
        Some(url) => (process, url.to_owned()),
        None => {
            let said = std::fs::read_to_string(path("log")).unwrap_or_default();
            panic!("occid said {first:?}\n{said}")
        }
    }
}
