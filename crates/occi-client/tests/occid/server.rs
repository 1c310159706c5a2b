//! An `occid` for a test.

use std::io::{BufRead, BufReader};
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
        Self::listening("127.0.0.1:0")
    }

    /// Starts one on a socket.
    pub(crate) fn on_a_socket() -> Self {
        Self::listening("unix:")
    }

    fn listening(address: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        let address = match address {
            "unix:" => format!("unix:{}", path("occid.sock").display()),
            address => address.to_owned(),
        };
        std::os::unix::fs::symlink(std::env::current_exe().expect("this program"), path("occid")).expect("a link");
        std::fs::write(path("occid.toml"), "").expect("a configuration file");
        let mut process = Command::new(path("occid"))
            .args(["--listen", &address, "--backend", "memory", "--config"])
            .arg(path("occid.toml"))
            .arg("--data-dir")
            .arg(path("data"))
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
        let mut occid = Self {
            process,
            directory,
            url: String::new(),
        };
        match first.trim_end().strip_prefix("listening on ") {
            Some(url) => url.clone_into(&mut occid.url),
            None => panic!("occid said {first:?}\n{}", occid.read("log")),
        }
        occid
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
