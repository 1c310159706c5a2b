//! What went wrong, for the person at the terminal and for the script that called.

use crate::words::{paint, told};
use anstyle::{AnsiColor, Style};
use occi_client::{Error, ErrorKind};
use std::fmt::{self, Display};
use std::process::ExitCode;

/// The result of everything that may fail here.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// How the process ends: a class of failure that a script can branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It did not work.
    Failure = 1,
    /// The command makes no sense as it stands, or a name in it means several things.
    Usage = 2,
    /// There is no such thing, or it may not be seen.
    NotFound = 3,
    /// The server does not accept who asks, or does not let him.
    Auth = 4,
    /// Not in this state, or somebody else was faster.
    Conflict = 5,
    /// It took too long.
    Timeout = 6,
    /// Nobody answers, or the server cannot do it now.
    Unavailable = 7,
    /// Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// How a command ends after such an error; `is_answer` if the server said it.
    pub(crate) fn of(kind: ErrorKind, is_answer: bool) -> Self {
        match kind {
            ErrorKind::Invalid if is_answer => Self::Failure,
            ErrorKind::Invalid | ErrorKind::Ambiguous => Self::Usage,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Unauthenticated | ErrorKind::Forbidden => Self::Auth,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::Timeout => Self::Timeout,
            ErrorKind::Unavailable => Self::Unavailable,
            _ => Self::Failure,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure: a sentence, what to do about it, and how the process ends. It never holds a credential.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hints: Vec<String>,
    /// The connection ended in the middle of an answer.
    pub(crate) is_broken_off: bool,
    /// The server does not offer this, now or later.
    pub(crate) is_unsupported: bool,
    /// All the same the server may have done what was asked for, or has.
    pub(crate) may_have_happened: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hints: Vec::new(),
            is_broken_off: false,
            is_unsupported: false,
            may_have_happened: false,
        }
    }

    /// An end that is no success and needs no words: a difference that has been shown.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// The command makes no sense as it stands.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same about something: `web1: it is suspended`.
    pub(crate) fn about(mut self, what: impl Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Says it on stderr.
    pub(crate) fn print(&self) {
        if self.message.is_empty() {
            return;
        }
        let red = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
        let dim = Style::new().dimmed();
        paint(format_args!("{red}error:{red:#} {}\n", told(&self.message)));
        for hint in &self.hints {
            paint(format_args!("{dim}  {}{dim:#}\n", told(hint)));
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = Exit::of(error.kind(), error.status().is_some());
        let mut failure = Self::new(exit, error.message());
        failure.is_broken_off = error.is_broken_off();
        failure.is_unsupported = error.status() == Some(501);
        failure.may_have_happened = error.may_have_happened();
        failure.hints.extend(error.hint().map(str::to_owned));
        if error.wants_authority() {
            failure
                .hints
                .push("--ca-file FILE names a certificate to trust".to_owned());
        }
        if error.status().is_some() && error.message().ends_with("...") {
            failure.hints.push("--debug shows more of the answer".to_owned());
        }
        if error.status() == Some(401) {
            let hint =
                "occi login URL --user NAME keeps who asks; --user NAME, with --password-file FILE, says it for once";
            failure.hints.push(hint.to_owned());
        }
        failure
            .hints
            .extend(error.candidates().iter().map(|name| format!("- {name}")));
        if let Some(operation) = error.operation() {
            failure.hints.push(format!("see: occi show {operation}"));
        }
        // What is no fault of the server is in no log that it keeps unasked.
        let is_its_fault = matches!(error.status(), Some(500 | 502 | 504 | 507));
        if let Some(id) = error.request_id().filter(|_| is_its_fault) {
            failure.hints.push(format!("the server's log knows it as {id}"));
        }
        failure
    }
}

/// A failure of this machine: a file that cannot be read or written.
pub(crate) fn file_failure(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("{}: {error}", path.display()))
}
