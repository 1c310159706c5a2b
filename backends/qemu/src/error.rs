//! Failures inside this engine, and what they are called towards the contract.
//!
//! [`Failure`] is what the lower modules return: it names the step that failed. [`BackendError`] is what the contract
//! knows; one function folds the first into the second. Where things are on the host goes to the operator's half.

use crate::image::Refusal;
use occi_backend::{BackendError, ErrorKind, Interrupted};
use rustix::io::Errno;
use std::time::Duration;

/// What users see of what a program says, in characters.
const SHOWN: usize = 400;

/// What failed below the contract. Texts read after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The host refused a file, a socket or a process.
    #[error("{step}")]
    Host {
        /// What was being done.
        step: String,
        /// What the host said.
        #[source]
        source: std::io::Error,
    },
    /// A program that this engine needs is not there.
    #[error("run {program}: it is not installed (Debian, Ubuntu: apt-get install {package})")]
    Missing {
        /// What was called.
        program: String,
        /// The package that holds it.
        package: &'static str,
    },
    /// A program ended badly.
    #[error("run {program}: {said}")]
    Program {
        /// What was called.
        program: String,
        /// The end of what it wrote to its standard error.
        said: String,
    },
    /// A program or a guest did not come to an end in time.
    #[error("{step} within {} s", .limit.as_secs_f32())]
    Slow {
        /// What took too long.
        step: String,
        /// How long it was given.
        limit: Duration,
    },
    /// QEMU answered a command with an error.
    #[error("{command}: {said}")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's words.
        said: String,
    },
    /// The connection to QEMU ended, or carried something that is not its protocol.
    #[error("talk to QEMU: {0}")]
    Disconnected(String),
    /// A record of ours on disk cannot be read.
    #[error("read {file}: {reason}")]
    Record {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Whoever asked does not want it any more.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The machine was removed while something waited for it.
    #[error("start the compute: it is gone")]
    Removed,
    /// A file without which there is no volume is not there.
    #[error("find the file of the volume {0}")]
    Lost(String),
    /// An image that this engine does not take.
    #[error("use the image {image}: {reason}")]
    Image {
        /// Its file name.
        image: String,
        /// Why not.
        reason: String,
    },
    /// An image was written to since it was looked at, or while it was copied.
    #[error("use the image {image}: {}", Refusal::Written)]
    Written {
        /// Its name.
        image: String,
    },
}

impl Failure {
    /// For `map_err`: the host refused while `step` was being done.
    pub fn host(step: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let step = step.into();
        move |source| Self::Host { step, source }
    }

    /// For `map_err` of a started program: says which package is missing if it is not there.
    pub fn spawn(program: &std::path::Path, package: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let program = program.display().to_string();
        move |source| match source.kind() {
            std::io::ErrorKind::NotFound => Self::Missing { program, package },
            _ => Self::Host {
                step: format!("run {program}"),
                source,
            },
        }
    }

    /// Whether the host is short of something that others will give back: files, processes, memory.
    fn is_short(&self) -> bool {
        let Self::Host { source, .. } = self else { return false };
        let refused = Errno::from_io_error(source);
        refused.is_some_and(|errno| [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM].contains(&errno))
    }

    /// Whether nothing but room on the disk is missing.
    fn is_full(&self) -> bool {
        match self {
            Self::Host { source, .. } => matches!(
                source.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            ),
            Self::Program { said, .. } | Self::Refused { said, .. } => said.contains("No space left"),
            _ => false,
        }
    }
}

/// An answer in the contract's words, before anything was done.
pub(crate) fn refuse<T>(kind: ErrorKind, message: impl Into<String>) -> occi_backend::Result<T> {
    Err(BackendError::new(kind, message))
}

/// The failure and what lies beneath it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// What a program said, for users: in one line that one can read, and not in which directories of the host it works.
pub(crate) fn for_users(said: &str) -> String {
    let ends_word = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ':' | ',' | ';' | '=' | '(' | ')');
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join("; ");
    let words = line.split_inclusive(ends_word).map(|word| match word.rsplit_once('/') {
        Some((_directory, name)) if word.starts_with('/') => name,
        _ => word,
    });
    let mut shown: String = words.collect();
    if let Some((end, _)) = shown.char_indices().nth(SHOWN) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

impl From<Failure> for BackendError {
    fn from(failure: Failure) -> Self {
        let (kind, message) = match &failure {
            full if full.is_full() => (
                ErrorKind::CapacityExhausted,
                "the host's disk is full; free some space and try again".to_owned(),
            ),
            Failure::Missing { .. } => (ErrorKind::Unavailable, failure.to_string()),
            // To be tried again, and still no reason to think that the engine cannot be reached.
            short if short.is_short() => (
                ErrorKind::RateLimited,
                "the host is short of files, processes or memory for now".to_owned(),
            ),
            // Of one machine, not of the engine: everybody else's goes on.
            Failure::Host { .. } => (ErrorKind::Unexpected, "the host refused a file or a process".to_owned()),
            Failure::Disconnected(_) => (
                ErrorKind::Timeout,
                "QEMU ended before it answered; the state says what became of the machine".to_owned(),
            ),
            // What was called is mostly the launcher; who failed says so.
            Failure::Program { said, .. } => (
                ErrorKind::Unexpected,
                format!("a program of the engine failed: {}", for_users(said)),
            ),
            Failure::Lost(volume) => (
                ErrorKind::Unexpected,
                format!("the file of the volume {volume} is gone"),
            ),
            Failure::Slow { step, limit } => (
                ErrorKind::Timeout,
                format!("failed to {step} within {} s", limit.as_secs_f32()),
            ),
            Failure::Refused { command, .. } => (ErrorKind::Unexpected, format!("QEMU refused {command}")),
            Failure::Record { .. } => (ErrorKind::Unexpected, "a record of the engine is damaged".to_owned()),
            Failure::Interrupted(interrupted) => (ErrorKind::Interrupted, interrupted.to_string()),
            Failure::Removed => (ErrorKind::NotFound, "the compute is gone".to_owned()),
            Failure::Image { .. } => (ErrorKind::Invalid, failure.to_string()),
            Failure::Written { .. } => (ErrorKind::RateLimited, failure.to_string()),
        };
        // Whether something happened is known to the step that failed, not to this table; doubt is the safe answer.
        Self::new(kind, message)
            .ambiguous()
            .with_context(chain(&failure))
            .with_source(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_is_short_of_for_a_moment_is_asked_for_again() {
        let fails = |errno: Errno| BackendError::from(Failure::host("start a machine")(errno.into()));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM] {
            let error = fails(errno);
            assert!(error.is_temporary() && error.kind != ErrorKind::Unavailable, "{errno}");
        }
        assert!(!fails(Errno::ACCESS).is_temporary());
        assert_eq!(fails(Errno::NOSPC).kind, ErrorKind::CapacityExhausted);
    }

    #[test]
    fn users_see_what_a_program_said_and_not_where_it_works() {
        let shows = |said: &str| {
            let program = "/proc/self/exe".to_owned();
            let said = said.to_owned();
            BackendError::from(Failure::Program { program, said }).message
        };
        assert_eq!(
            shows("qemu-img: Could not open 'disk.qcow2': file=/var/lib/occid/a.img, '/b/c/d':\n  No such file\n"),
            "a program of the engine failed: qemu-img: Could not open 'disk.qcow2': file=a.img, 'd':; No such file"
        );
        assert!(shows(&"ä".repeat(1 << 20)).ends_with("ä…"));
    }
}
