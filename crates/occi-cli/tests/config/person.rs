//! Somebody with a home and an `occi`, and nothing in the environment.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What nobody may ever see.
pub(crate) const PASSWORD: &str = "s3cret-pa55word";
pub(crate) const TOKEN: &str = "s3cret-t0ken";

/// A person.
pub(crate) struct Person {
    home: TempDir,
}

/// What an `occi` said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Person {
    /// With files for a password and a token: `password` and `token`.
    pub(crate) fn new() -> Self {
        let person = Self {
            home: tempfile::tempdir().unwrap(),
        };
        person.write("password", PASSWORD);
        person.write("token", TOKEN);
        person
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Writes a file that nobody else can read.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        self.set_mode(name, 0o600);
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    /// Runs `occi` with the words of a line; `~/` is the home.
    pub(crate) async fn occi(&self, line: &str) -> Said {
        self.with(&[], line).await
    }

    /// The same with variables in the environment.
    pub(crate) async fn with(&self, variables: &[(&str, &str)], line: &str) -> Said {
        let words: Vec<_> = line.split_whitespace().map(|word| self.at_home(word)).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        self.run(variables, &words, "").await
    }

    /// Runs `occi` with these words and this on stdin.
    pub(crate) async fn run(&self, variables: &[(&str, &str)], words: &[&str], stdin: &str) -> Said {
        let mut process = Command::new(env!("CARGO_BIN_EXE_occi"))
            .args(words)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(variables.iter().copied())
            .current_dir(self.home.path())
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = process.stdin.take().unwrap();
        let _ = pipe.write_all(stdin.as_bytes()).await;
        drop(pipe);
        let output = process.wait_with_output().await.unwrap();
        let said = Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        said.keeps_secrets();
        said
    }

    /// Runs one that must succeed; what it says on stdout.
    pub(crate) async fn good(&self, line: &str) -> String {
        let said = self.occi(line).await;
        assert_eq!(said.code, Some(0), "occi {line}: {said:?}");
        said.out
    }

    fn at_home(&self, word: &str) -> String {
        word.replace("~/", &format!("{}/", self.home.path().display()))
    }
}

impl Said {
    /// No credential is in it, nor anything that Rust says when a program is broken.
    fn keeps_secrets(&self) {
        // The last is ann and the password as Basic shows them.
        for secret in ["s3cret", "YW5uOnMzY3JldC1wYTU1d29yZA"] {
            assert!(
                !self.out.contains(secret) && !self.err.contains(secret),
                "{secret}: {self:?}"
            );
        }
        for broken in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!self.err.contains(broken), "{self:?}");
        }
    }

    /// It failed so, with these words, and nothing on stdout.
    pub(crate) fn fails(&self, what: &str, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{what}: {self:?}");
        for word in words {
            assert!(self.err.contains(word), "{what}: no {word:?} in {self:?}");
        }
        assert!(self.out.is_empty(), "{what}: {self:?}");
    }
}
