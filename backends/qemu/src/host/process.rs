//! Processes that outlive us, and how one is known again.
//!
//! A pid alone names nothing: it is reused. A process is known by its pid, the moment it started and the boot of the
//! host in which that was; a pidfd taken first and compared afterwards cannot mean another one. Everything that is done
//! to a process (waiting for its end, ending it) goes through that descriptor.

use crate::error::Failure;
use crate::host::durable;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;

/// The name of the record in a process's directory.
pub const RECORD: &str = "process.json";

/// The id of this boot of the host.
///
/// # Errors
/// [`Failure::Host`] where `/proc` is not mounted.
pub fn boot_id() -> Result<String, Failure> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(Failure::host("read the boot id"))?;
    Ok(text.trim().to_owned())
}

/// What names one process for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Its pid.
    pub pid: i32,
    /// When it started, in clock ticks since the host booted.
    pub start: u64,
    /// The boot of the host.
    pub boot: String,
}

impl Identity {
    /// The calling process.
    ///
    /// # Errors
    /// [`Failure::Host`] where `/proc` is not mounted.
    pub fn own() -> Result<Self, Failure> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let stat = Stat::read(pid).ok_or_else(|| Failure::Record {
            file: format!("/proc/{pid}/stat"),
            reason: "it is not understood".to_owned(),
        })?;
        Ok(Self {
            pid,
            start: stat.start,
            boot: boot_id()?,
        })
    }

    /// Reads the record in `directory`. It is not written durably: one that cannot be read was cut off with the host's
    /// power, and names a process of no boot.
    ///
    /// # Errors
    /// [`Failure::Host`].
    pub fn read(directory: &Path) -> Result<Option<Self>, Failure> {
        match durable::read_json(&directory.join(RECORD)) {
            Err(Failure::Record { .. }) => Ok(Some(Self {
                pid: 0,
                start: 0,
                boot: String::new(),
            })),
            other => other,
        }
    }

    /// Writes the record into `directory`.
    ///
    /// # Errors
    /// [`Failure::Host`].
    pub fn write(&self, directory: &Path) -> Result<(), Failure> {
        durable::note_json(&directory.join(RECORD), self)
    }
}

/// The fields of `/proc/PID/stat` that matter here.
struct Stat {
    state: char,
    /// Clock ticks in which it was on a processor, in its own code and in the kernel's.
    work: u64,
    start: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The program's name is in parentheses and may hold anything, so the fields are counted from the last `)`:
    /// state is field 3, the two times at work fields 14 and 15, the start time field 22 (proc(5)).
    fn parse(stat: &str) -> Option<Self> {
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let own: u64 = fields.nth(10)?.parse().ok()?;
        let kernel: u64 = fields.next()?.parse().ok()?;
        let start = fields.nth(6)?.parse().ok()?;
        let work = own.saturating_add(kernel);
        Some(Self { state, work, start })
    }
}

/// A process that lives, or lived when this was made.
#[derive(Clone, Debug)]
pub struct Process {
    identity: Identity,
    pidfd: Arc<AsyncFd<OwnedFd>>,
}

impl Process {
    /// The process named by `identity`, if it still lives. One that has ended and was not waited for does not.
    ///
    /// # Errors
    /// [`Failure::Host`] if the host does not let us look.
    pub fn open(identity: &Identity) -> Result<Option<Self>, Failure> {
        if boot_id()? != identity.boot {
            return Ok(None);
        }
        let Some(pid) = Pid::from_raw(identity.pid) else {
            return Ok(None);
        };
        let pidfd = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(pidfd) => pidfd,
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
            Err(error) => return Err(Failure::host("open a process")(error.into())),
        };
        // Compared only now: the descriptor cannot come to mean another process any more.
        match Stat::read(identity.pid) {
            Some(stat) if stat.start == identity.start && !matches!(stat.state, 'Z' | 'X') => {}
            _ => return Ok(None),
        }
        #[expect(
            deprecated,
            reason = "its successor is an unsafe function; what makes this one unsound, a descriptor that changes, \
                      an OwnedFd cannot do"
        )]
        let pidfd = AsyncFd::with_interest(pidfd, tokio::io::Interest::READABLE);
        let pidfd = pidfd.map_err(Failure::host("watch a process"))?;
        Ok(Some(Self {
            identity: identity.clone(),
            pidfd: Arc::new(pidfd),
        }))
    }

    /// The process recorded in `directory`, if it still lives.
    ///
    /// # Errors
    /// [`Failure::Host`].
    pub fn recorded(directory: &Path) -> Result<Option<Self>, Failure> {
        match Identity::read(directory)? {
            Some(identity) => Self::open(&identity),
            None => Ok(None),
        }
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How long it has been on a processor, in clock ticks. What does not grow stands still.
    pub fn work(&self) -> Option<u64> {
        Stat::read(self.identity.pid).map(|stat| stat.work)
    }

    /// Whether one of its threads waits for a disk: then it is at work, however silent it is.
    pub fn waits_for_disk(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.identity.pid));
        let states = threads.into_iter().flatten().flatten().filter_map(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
            Some(Stat::parse(&stat)?.state)
        });
        states.into_iter().any(|state| state == 'D')
    }

    /// Returns when it has ended.
    pub async fn ended(&self) {
        // A pidfd becomes readable when its process ends and stays so; an error of the reactor counts as the end, and
        // whoever asked looks again.
        let _ready = self.pidfd.readable().await;
    }

    /// Ends it at once and returns when it is gone.
    ///
    /// # Errors
    /// [`Failure::Host`] if the host does not let us.
    pub async fn kill(&self) -> Result<(), Failure> {
        match pidfd_send_signal(self.pidfd.get_ref(), Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(Failure::host("end a process")(error.into())),
        }
        self.ended().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = Stat::parse("77 (a) b (c) S 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 424242 99 1").unwrap();
        assert_eq!((stat.state, stat.work, stat.start), ('S', 11, 424_242));
    }

    #[tokio::test]
    async fn a_process_is_known_again_until_it_ends_and_never_by_its_pid_alone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = Identity {
            pid,
            start: Stat::read(pid).unwrap().start,
            boot: boot_id().unwrap(),
        };
        let other_start = Identity {
            start: identity.start + 1,
            ..identity.clone()
        };
        let other_boot = Identity {
            boot: "another".to_owned(),
            ..identity.clone()
        };
        assert!(Process::open(&other_start).unwrap().is_none());
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(RECORD), "").unwrap();
        assert!(Process::recorded(directory.path()).unwrap().is_none());
        assert!(Process::open(&other_boot).unwrap().is_none());

        let process = Process::open(&identity).unwrap().unwrap();
        process.kill().await.unwrap();
        // Not waited for yet: the pid is still taken, but the process has ended.
        assert!(Process::open(&identity).unwrap().is_none());
        child.wait().unwrap();
        process.ended().await;
    }
}
