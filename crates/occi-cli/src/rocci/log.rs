//! The log, in the form of Ruby's Logger: `F, [2026-01-31T12:00:00.000000 #42] FATAL -- : [rOCCI-cli] ...`.

use super::options::{Level, Options};
use crate::words;
use std::io::{IsTerminal, Write};

/// Where it goes, and what is worth it.
#[derive(Debug)]
pub(super) struct Log {
    to_stdout: bool,
    level: Level,
}

impl Log {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            to_stdout: options.log_to_stdout,
            level: options.level,
        }
    }

    pub(super) fn info(&self, message: &str) {
        self.write(Level::Info, "I", " INFO", message);
    }

    pub(super) fn warn(&self, message: &str) {
        self.write(Level::Warn, "W", " WARN", message);
    }

    pub(super) fn fatal(&self, message: &str) {
        self.write(Level::Fatal, "F", "FATAL", message);
    }

    /// A warning for the person at the terminal, who sees it whatever is logged. Output that is read by a program stays as
    /// it was.
    pub(super) fn caution(&self, message: &str) {
        if self.level > Level::Warn && std::io::stderr().is_terminal() {
            words::say(format!("warning: {message}"));
        }
        self.warn(message);
    }

    fn write(&self, level: Level, letter: &str, word: &str, message: &str) {
        if level < self.level {
            return;
        }
        let time = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.6f");
        let process = std::process::id();
        // One line is one message, and holds no secret, whatever a server says.
        let message = words::told(message);
        let line = format!("{letter}, [{time} #{process}] {word} -- : [rOCCI-cli] {message}\n");
        // A log that nobody reads is no reason to stop.
        let _ = match self.to_stdout {
            true => std::io::stdout().write_all(line.as_bytes()),
            false => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}
