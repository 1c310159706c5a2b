//! Runs the program.

use crate::world::{Said, said};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// An invocation in the making.
pub(crate) struct Run {
    command: Command,
    stdin: String,
}

impl Run {
    /// A line as one would type it: words between spaces, quotes around what holds some.
    pub(crate) fn new(line: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_occi"));
        command
            .args(words(line))
            .env_clear()
            .env("HOME", "/nonexistent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            command,
            stdin: String::new(),
        }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn home(self, home: &Path) -> Self {
        self.env("HOME", home)
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.to_owned();
        self
    }

    pub(crate) fn said(mut self) -> Said {
        let mut process = self.command.spawn().expect("occi starts");
        let mut stdin = process.stdin.take().expect("occi has a stdin");
        // It may end before it has read all.
        let _ = stdin.write_all(self.stdin.as_bytes());
        drop(stdin);
        said(process)
    }
}

/// What an invocation says.
pub(crate) fn occi(line: &str) -> Said {
    Run::new(line).said()
}

/// One that must succeed; what it says on stdout.
pub(crate) fn good(line: &str) -> String {
    let said = occi(line);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "occi {line}: {said:?}");
    said.out
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_with(String::new);
            }
            (None, ' ' | '\n') => words.extend(word.take()),
            _ => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    words
}
