//! An `occid` for a test, and the `occi` of somebody who has it to himself.

#[expect(dead_code, reason = "shared with the tests of the client")]
#[path = "../../../occi-client/tests/occid/server.rs"]
mod server;

use server::launch;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running `occid`, and a home for the one who uses it. It ends with the value.
pub(crate) struct World {
    process: Child,
    options: Vec<String>,
    directory: TempDir,
    pub(crate) url: String,
    pub(crate) password: String,
}

/// What an `occi` said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl World {
    /// With the engine in memory.
    pub(crate) fn new() -> Self {
        Self::with(&["--backend", "memory"], "")
    }

    /// With these options and this configuration, on a free port of the loopback.
    pub(crate) fn with(options: &[&str], config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("occid.toml"), config).expect("a configuration file");
        std::fs::create_dir(path("home")).expect("a home");
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        let (process, url) = launch(directory.path(), &path("data"), "127.0.0.1:0", &options);
        let password = std::fs::read_to_string(path("data/initial-admin-password")).unwrap_or_default();
        Self {
            process,
            options,
            url,
            password: password.trim().to_owned(),
            directory,
        }
    }

    /// Kills it, and starts it again where it was.
    pub(crate) fn crash(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        self.process = launch(self.directory.path(), &self.path("data"), address, &self.options).0;
    }

    /// A file in its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file, and says what it is called.
    pub(crate) fn file(&self, name: &'static str, text: &str) -> &'static str {
        std::fs::write(self.path(name), text).expect("a file");
        name
    }

    /// An `occi` that speaks to it, with its arguments between spaces.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_occi"));
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("HOME", self.path("home"))
            .env("OCCI_ENDPOINT", &self.url)
            .env("OCCI_USER", "admin")
            .env("OCCI_PASSWORD", &self.password)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs one.
    pub(crate) fn occi(&self, line: &str) -> Said {
        said(self.command(line).spawn().expect("occi starts"))
    }

    /// Runs one that must succeed; what it says on stdout.
    pub(crate) fn good(&self, line: &str) -> String {
        let said = self.occi(line);
        assert_eq!(said.code, Some(0), "occi {line}: {said:?}");
        said.out
    }

    /// Runs one with a text on stdin.
    pub(crate) fn reading(&self, text: &str, line: &str) -> Said {
        let mut process = self.command(line).stdin(Stdio::piped()).spawn().expect("occi starts");
        let mut stdin = process.stdin.take().expect("occi has a stdin");
        stdin.write_all(text.as_bytes()).expect("occi reads");
        drop(stdin);
        said(process)
    }
}

/// Waits for the end of an `occi`.
pub(crate) fn said(process: Child) -> Said {
    let output = process.wait_with_output().expect("occi ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("occi writes UTF-8");
    Said {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
