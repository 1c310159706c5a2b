//! How a process that outlives us is started.
//!
//! `occid` does not start QEMU itself. It writes what to run into a directory and starts a second copy of its own
//! program there (`occid qemu-launch`), which becomes leader of a session of its own, takes the directory's lock, gives
//! up what the engine must not have ([`Confinement`]), records who it is, and then turns into the program. So:
//! - the record exists before the engine does, and names it, because `exec` keeps pid and start time;
//! - the lock is inherited and held as long as the engine lives: a second start in the same directory is impossible,
//!   also after a crash of `occid` between any two steps;
//! - the order is read under the lock: whoever takes that and the order away ([`end`]) knows that no launcher is late;
//! - order, lock and record lie outside of what the engine may touch: it works in a directory below;
//! - the engine's paths are relative to its directory, so that socket names stay far below the 107 bytes of `sun_path`;
//! - `-daemonize` is not needed (it does not go with QEMU's own system call filter).

use crate::error::{Failure, chain};
use crate::host::confine::Confinement;
use crate::host::durable;
use crate::host::process::{Identity, Process};
use crate::host::scope;
use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The hidden sub-command.
pub const SUBCOMMAND: &str = "qemu-launch";
/// The hidden sub-command for helpers: `qemu-confined SERVER BOUNDS PROGRAM ARGUMENT...`; see [`Confinement::command`].
pub const CONFINED: &str = "qemu-confined";

const ORDER: &str = "launch.json";
const LOCK: &str = "lock";
const LAUNCHER_LOG: &str = "launch.log";
/// The exit code that says "another process holds the lock" (EX_TEMPFAIL).
const LOCKED: u8 = 75;
/// How long a launcher may have the lock and not say who it is.
const LATE: Duration = Duration::from_secs(10);
/// How much of a log is quoted.
const LOG_TAIL: u64 = 2048;
/// How a line begins that QEMU, as its image tool, writes about every disk that it makes.
const NO_REASON: &str = "Formatting '";

/// What to run in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The program; a bare name is searched in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// The file in the directory that gets its output. Started anew each time.
    pub log: String,
    /// The directory below, in which it runs; its current one if this is empty.
    pub inside: PathBuf,
    /// Its bounds; paths are relative to the directory.
    pub confinement: Confinement,
}

/// Runs the order in the current directory. Does not return unless something is wrong.
fn obey() -> Result<std::convert::Infallible, Failure> {
    let here = Path::new(".");
    let lock = open_lock(here).map_err(Failure::host("open the lock"))?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        std::process::exit(LOCKED.into());
    }
    // Only now: whoever has the lock may take the order away, see [`end`].
    let order: Order = durable::read_json(&here.join(ORDER))?.ok_or_else(|| Failure::Record {
        file: ORDER.to_owned(),
        reason: "there is none in this directory".to_owned(),
    })?;
    fcntl_setfd(&lock, FdFlags::empty()).map_err(|e| Failure::host("keep the lock")(e.into()))?;
    // Fails only if we lead a session already, which is as good.
    let _session = rustix::process::setsid();
    let log = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(here.join(&order.log))
        .map_err(Failure::host("open the log"))?;
    let copy = log.try_clone().map_err(Failure::host("open the log"))?;
    Identity::own()?.write(here)?;
    let mut command = Command::new(&order.program);
    command.args(&order.args).stdin(Stdio::null()).stdout(log).stderr(copy);
    order.confinement.apply()?;
    if !order.inside.as_os_str().is_empty() {
        rustix::process::chdir(&order.inside).map_err(|e| Failure::host("enter the directory")(e.into()))?;
    }
    order.confinement.become_user()?;
    Err(Failure::spawn(&order.program, "qemu-system-x86")(command.exec()))
}

/// Runs one helper in its bounds, in the current directory: the pid of the server that starts it and with which it ends,
/// the bounds as JSON, the program, its arguments.
fn run_confined(mut args: impl Iterator<Item = OsString>) -> Result<std::convert::Infallible, Failure> {
    let misused = || Failure::Record {
        file: CONFINED.to_owned(),
        reason: "it takes a server, bounds, a program and its arguments".to_owned(),
    };
    let server = args
        .next()
        .and_then(|pid| Pid::from_raw(pid.to_str()?.parse().ok()?))
        .ok_or_else(misused)?;
    let bounds = args
        .next()
        .and_then(|json| json.into_string().ok())
        .ok_or_else(misused)?;
    let bounds: Confinement = serde_json::from_str(&bounds).map_err(|_| misused())?;
    let program = PathBuf::from(args.next().ok_or_else(misused)?);
    bounds.apply()?;
    bounds.become_user()?;
    // What it works on is free for others as soon as the server is gone that knows of it. Last: who becomes another user
    // loses this. To the kernel the parent is the thread that started us, one of the runtime's own, which end with it; one
    // that only waits for blocking work would end before.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| Failure::host("end with the server")(e.into()))?;
    // A server that was gone by then sends nothing.
    if getppid() != Some(server) {
        let ended = std::io::Error::other("it has ended already");
        return Err(Failure::host("end with the server")(ended));
    }
    Err(Failure::spawn(&program, "qemu-utils")(
        Command::new(&program).args(args).exec(),
    ))
}

/// Runs the hidden sub-commands of this engine. A server's `main` calls this before anything else, with its arguments;
/// `None` means that they were not for us.
pub fn intercept(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let _program = args.next();
    let word = args.next()?;
    let failed = if word == SUBCOMMAND {
        match obey() {
            Ok(never) => match never {},
            Err(failure) => failure,
        }
    } else if word == CONFINED {
        match run_confined(args) {
            Ok(never) => match never {},
            Err(failure) => failure,
        }
    } else if word == crate::network::switch::SUBCOMMAND {
        match crate::network::switch::run(Path::new(".")) {
            Ok(()) => return Some(ExitCode::SUCCESS),
            Err(failure) => failure,
        }
    } else {
        return None;
    };
    eprintln!("failed to {}", chain(&failed));
    Some(ExitCode::FAILURE)
}

/// Starts `order` in `directory` through `launcher`, and returns when the program runs in it.
///
/// If a process of an earlier start still lives there, that one is returned: its order is not looked at.
///
/// # Errors
/// [`Failure::Missing`], [`Failure::Program`] with the program's last words, [`Failure::Host`].
pub async fn start(launcher: &Path, directory: &Path, order: &Order) -> Result<Process, Failure> {
    if let Some(process) = Process::recorded(directory)? {
        return Ok(process);
    }
    durable::note_json(&directory.join(ORDER), order)?;
    let log = File::create(directory.join(LAUNCHER_LOG)).map_err(Failure::host("open the launcher's log"))?;
    let child = tokio::process::Command::new(launcher)
        .arg(SUBCOMMAND)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(Failure::host("start the launcher"))?;
    if let Some(pid) = child.id() {
        scope::leave_service(directory, pid);
    }
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let mut ended = reap(child);
    loop {
        // The record is the launcher's last act before `exec`; ours or, if it found the lock taken, another's.
        if let Some(identity) = Identity::read(directory)?
            && Some(identity.pid) == pid
            && let Some(process) = Process::open(&identity)?
        {
            return Ok(process);
        }
        match tokio::time::timeout(Duration::from_millis(2), &mut ended).await {
            Err(_not_yet) => {}
            Ok(code) => {
                if code.ok().flatten() == Some(LOCKED.into())
                    && let Some(process) = Process::recorded(directory)?
                {
                    return Ok(process);
                }
                return Err(last_words(directory, &order.program, &order.log));
            }
        }
    }
}

/// Ends what runs in `directory`, and what is about to: a [`start`] that was cut off leaves a launcher that may be late, and
/// finds nothing to do then. Until [`start`] is called again, nothing runs there. Fine if there is no such directory.
///
/// # Errors
/// [`Failure::Slow`] if somebody has the lock and does not say who it is, [`Failure::Host`].
pub async fn end(directory: &Path) -> Result<(), Failure> {
    let lock = match open_lock(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(Failure::host("open the lock"))?,
    };
    let until = Instant::now() + LATE;
    loop {
        if let Some(process) = Process::recorded(directory)? {
            process.kill().await?;
        }
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) if Instant::now() < until => {}
            Err(Errno::WOULDBLOCK) => {
                let step = "end a process that is being started".to_owned();
                return Err(Failure::Slow { step, limit: LATE });
            }
            Err(error) => return Err(Failure::host("take the lock")(error.into())),
        }
        // Its launcher says who it is in a moment, or ends.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    match fs::remove_file(directory.join(ORDER)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::host("take an order back")(error)),
        _ => Ok(()),
    }
}

fn open_lock(directory: &Path) -> std::io::Result<File> {
    let mut how = OpenOptions::new();
    how.create(true).write(true).truncate(false).open(directory.join(LOCK))
}

/// Waits for `child` in the background, so that it does not stay as a zombie; gives its exit code.
fn reap(mut child: tokio::process::Child) -> tokio::sync::oneshot::Receiver<Option<i32>> {
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let code = child.wait().await.ok().and_then(|status| status.code());
        let _nobody_asks = tell.send(code);
    });
    told
}

/// Why the program in `directory` is not there any more, as far as it said so itself.
pub fn last_words(directory: &Path, program: &Path, log: &str) -> Failure {
    let said: Vec<String> = [LAUNCHER_LOG, log]
        .iter()
        .filter_map(|name| tail(&directory.join(name)))
        .collect();
    Failure::Program {
        program: program.display().to_string(),
        said: if said.is_empty() {
            "it ended and said nothing".to_owned()
        } else {
            said.join("; ")
        },
    }
}

/// The end of a log file, in one line, without what QEMU says of a copy that it makes; nothing if it is empty.
pub fn tail(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = fs::metadata(path).ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.split(['\n', '\r']).map(str::trim);
    let telling = lines.filter(|line| !line.is_empty() && !line.starts_with(NO_REASON));
    Some(telling.collect::<Vec<_>>().join("; ")).filter(|said| !said.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_an_end_is_not_the_copy_that_was_made_before() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("qemu.log");
        let copy = "Formatting 'copy.new', fmt=qcow2 cluster_size=65536\n";
        fs::write(&log, copy).unwrap();
        assert_eq!(tail(&log), None);
        fs::write(&log, format!("{copy}qemu: out of memory\n")).unwrap();
        assert_eq!(tail(&log).unwrap(), "qemu: out of memory");
    }
}
