//! An `occid` for a test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running `occid` with everything it keeps in a directory of its own. It ends with the value.
pub(crate) struct Occid {
    process: Child,
    directory: TempDir,
    pub(crate) url: String,
}

impl Occid {
    /// Starts one on a free port of the loopback, with this configuration file.
    pub(crate) fn start(config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink(std::env::current_exe().expect("this program"), path("occid")).expect("a link");
        std::fs::write(path("occid.toml"), config).expect("a configuration file");
        let mut process = Command::new(path("occid"))
            .args(["--listen", "127.0.0.1:0", "--backend", "memory", "--config"])
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
            Some(url) => occid.url = url.to_owned(),
            None => panic!("occid said {first:?}\n{}", occid.log()),
        }
        occid
    }

    /// A file in its directory.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// What it wrote to stderr.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(PathBuf::from(self.path("log"))).unwrap_or_default()
    }
}

impl Drop for Occid {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
