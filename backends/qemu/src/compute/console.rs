//! Serial consoles of machines: the socket that QEMU listens at, and the log that it keeps beside it.
//!
//! QEMU writes all that comes over the serial port to the end of [`CONSOLE_LOG`], whether somebody sits at the socket or not.
//! That file is kept within bounds by moving its newer half away and emptying it; what was moved last is still part of the log.
//! To whoever follows, the log is one text whose bytes are counted from the first that this process knows of.

use crate::compute::command_line::{CONSOLE, CONSOLE_LOG};
use crate::compute::machine::{Machine, Status};
use crate::error::{Failure, refuse};
use crate::host::blocking::blocking;
use crate::host::socket;
use crate::links::id;
use crate::site::{Site, lock};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use occi_backend::console::tail;
use occi_backend::{ErrorKind, Line, LogPart, Result, Scope, Target};
use rustix::fs::{Mode, OFlags, open};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks whether a log has grown that somebody follows.
const ROUND: Duration = Duration::from_millis(200);
/// After this it is read without that: it was emptied, and is as long again.
const UNSEEN: Duration = Duration::from_secs(5);
/// What is read at once.
const CHUNK: usize = 64 << 10;

/// The log of a machine's console.
pub(crate) struct Log {
    /// What QEMU writes; its directory is QEMU's, and what is there may be anything.
    file: PathBuf,
    /// What was moved away last.
    old: PathBuf,
    /// How many bytes the file may have; what was moved away has half as many.
    limit: u64,
    /// Where in the log the file begins, once somebody has looked. Held while the two files are read or changed.
    cut: Mutex<Option<u64>>,
    /// How long the file is, for those who follow, while there are any.
    length: Mutex<Option<watch::Sender<u64>>>,
}

/// A file of a log, with its length.
struct Part {
    file: File,
    length: u64,
}

impl Part {
    fn open(path: &Path, flags: OFlags) -> io::Result<Option<Self>> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match open(path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("the serial log is no file"));
        }
        let length = meta.len();
        Ok(Some(Self { file, length }))
    }

    fn read(&mut self, at: u64, most: u64) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        self.file.by_ref().take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Log {
    /// The log of the machine in `directory`, whose QEMU works in `inside`, of `limit` bytes.
    pub(crate) fn new(directory: &Path, inside: &Path, limit: u64) -> Self {
        Self {
            file: inside.join(CONSOLE_LOG),
            old: directory.join(CONSOLE_LOG).with_extension("log.old"),
            limit,
            cut: Mutex::default(),
            length: Mutex::default(),
        }
    }

    /// Keeps it within its limit. What QEMU writes at this moment may be lost.
    pub(crate) fn trim(&self) -> io::Result<()> {
        let is_long = |path| fs::symlink_metadata(path).is_ok_and(|meta| meta.len() > self.limit);
        if !is_long(&self.file) {
            return Ok(());
        }
        let mut cut = lock(&self.cut);
        let Some(mut now) = Part::open(&self.file, OFlags::RDWR)? else {
            return Ok(());
        };
        let before = self.start(&mut cut)?;
        let keep = self.limit / 2;
        fs::write(&self.old, now.read(now.length.saturating_sub(keep), keep)?)?;
        now.file.set_len(0)?;
        *cut = Some(before + now.length);
        Ok(())
    }

    /// Where the file begins.
    fn start(&self, cut: &mut Option<u64>) -> io::Result<u64> {
        let known = match *cut {
            Some(known) => known,
            None => Part::open(&self.old, OFlags::RDONLY)?.map_or(0, |old| old.length),
        };
        *cut = Some(known);
        Ok(known)
    }

    /// Where it begins and ends. No more of it is shown than twice its limit: QEMU may have made the file as long as it likes
    /// since it was trimmed.
    fn extent(&self) -> io::Result<(u64, u64)> {
        let mut cut = lock(&self.cut);
        let start = self.start(&mut cut)?;
        let length = |path| Ok::<_, io::Error>(Part::open(path, OFlags::RDONLY)?.map_or(0, |part| part.length));
        let end = start + length(&self.file)?;
        let begin = start.saturating_sub(length(&self.old)?);
        Ok((begin.max(end.saturating_sub(self.limit * 2)), end))
    }

    /// What is there from `at` on, or from where it begins by now: a chunk at most, and where that ends.
    fn read(&self, at: u64) -> io::Result<(Vec<u8>, u64)> {
        let mut cut = lock(&self.cut);
        let start = self.start(&mut cut)?;
        if at < start
            && let Some(mut old) = Part::open(&self.old, OFlags::RDONLY)?
        {
            let begin = start.saturating_sub(old.length);
            let at = at.max(begin);
            let bytes = old.read(at - begin, CHUNK as u64)?;
            if !bytes.is_empty() {
                let end = at + bytes.len() as u64;
                return Ok((bytes, end));
            }
        }
        let at = at.max(start);
        let bytes = match Part::open(&self.file, OFlags::RDONLY)? {
            Some(mut now) => now.read(at - start, CHUNK as u64)?,
            None => Vec::new(),
        };
        let end = at + bytes.len() as u64;
        Ok((bytes, end))
    }

    /// Where the last `lines` begin of what is there up to `end`.
    fn tail(&self, lines: usize, (begin, end): (u64, u64)) -> io::Result<u64> {
        let mut bytes = Vec::new();
        // From the end, in pieces that double: nobody reads a megabyte for ten lines.
        let mut size = 4096;
        loop {
            let from = end.saturating_sub(size).max(begin);
            bytes.clear();
            let mut at = from;
            while at < end {
                let (more, next) = self.read(at)?;
                if more.is_empty() {
                    break;
                }
                bytes.extend_from_slice(&more);
                at = next;
            }
            bytes.truncate(usize::try_from(end - from).unwrap_or(usize::MAX));
            let last = tail(&bytes, lines).len();
            if last < bytes.len() || from == begin {
                return Ok(from + (bytes.len() - last) as u64);
            }
            size *= 2;
        }
    }
}

/// The consoles of this host's machines.
pub(crate) struct Consoles(pub(crate) Arc<Site>);

impl Consoles {
    fn machine(&self, scope: &Scope, target: &Target) -> Result<Arc<Machine>> {
        let found = self.0.machine(id(target));
        match found.filter(|machine| machine.record.get().project == scope.project) {
            Some(machine) => Ok(machine),
            None => refuse(ErrorKind::NotFound, format!("there is no compute {}", target.mark)),
        }
    }
}

#[async_trait]
impl occi_backend::Consoles for Consoles {
    async fn log(&self, scope: &Scope, target: &Target, part: LogPart) -> Result<BoxStream<'static, Result<Bytes>>> {
        let machine = self.machine(scope, target)?;
        if part.follow {
            machine.look().await?;
        }
        let (first, end) = of(&machine, move |log| {
            let extent = log.extent()?;
            let first = part.tail.map(|lines| log.tail(lines, extent)).transpose()?;
            Ok((first.unwrap_or(extent.0), extent.1))
        })
        .await?;
        if part.follow {
            let length = watch_length(&machine);
            return Ok(stream::try_unfold((machine, length, first), follow).boxed());
        }
        let kept = stream::try_unfold((machine, first), move |(machine, at)| async move {
            if at >= end {
                return Ok(None);
            }
            let (mut bytes, next) = of(&machine, move |log| log.read(at)).await?;
            // What has come meanwhile is not asked for.
            let over = usize::try_from(next.saturating_sub(end)).unwrap_or(usize::MAX);
            bytes.truncate(bytes.len().saturating_sub(over));
            Ok((!bytes.is_empty()).then(|| (bytes.into(), (machine, next))))
        });
        Ok(kept.boxed())
    }

    async fn open(&self, scope: &Scope, target: &Target) -> Result<Box<dyn Line>> {
        let machine = self.machine(scope, target)?;
        machine.look().await?;
        let (Status::Running, Some(live)) = (machine.status(), machine.live()) else {
            let message = "the compute is not active: start it, then there is somebody at its console";
            return refuse(ErrorKind::Conflict, message);
        };
        let line = socket::connect_to(&machine.inside().join(CONSOLE), &live.process).await;
        Ok(Box::new(line.map_err(Failure::host("reach the machine's console"))?))
    }
}

/// Tells when the log of a machine has another length. One looks for all who follow.
fn watch_length(machine: &Arc<Machine>) -> watch::Receiver<u64> {
    let mut known = lock(&machine.console.length);
    if let Some(length) = known.as_ref() {
        return length.subscribe();
    }
    let (length, receiver) = watch::channel(0);
    *known = Some(length);
    let machine = Arc::downgrade(machine);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(ROUND).await;
            let Some(machine) = machine.upgrade() else { return };
            let mut known = lock(&machine.console.length);
            let Some(length) = known.as_ref().filter(|length| length.receiver_count() > 0) else {
                *known = None;
                return;
            };
            let now = fs::symlink_metadata(&machine.console.file).map_or(0, |meta| meta.len());
            length.send_if_modified(|before| std::mem::replace(before, now) != now);
        }
    });
    receiver
}

/// A log that somebody follows: its machine, its length, and where the next bytes begin.
type Followed = (Arc<Machine>, watch::Receiver<u64>, u64);

/// The next bytes of a log that somebody follows, until its machine is off.
async fn follow((machine, mut length, at): Followed) -> Result<Option<(Bytes, Followed)>> {
    loop {
        length.mark_unchanged();
        // First: what it wrote last is there when it is off.
        let is_over = !machine.status().has_process();
        let (bytes, next) = of(&machine, move |log| log.read(at)).await?;
        if !bytes.is_empty() {
            return Ok(Some((bytes.into(), (machine, length, next))));
        }
        if is_over {
            return Ok(None);
        }
        tokio::select! {
            Ok(()) = length.changed() => {}
            _is_off = machine.wait_for(UNSEEN, |status| !status.has_process()) => {}
        }
    }
}

/// Looks at the log of a machine, where waiting for the disk holds nobody up.
async fn of<T: Send + 'static>(
    machine: &Arc<Machine>,
    look: impl FnOnce(&Log) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let machine = machine.clone();
    let looked = blocking(move || look(&machine.console).map_err(Failure::host("read a serial log")));
    Ok(looked.await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A machine's directory, its log, and what QEMU does.
    fn log(limit: u64) -> (tempfile::TempDir, Log, impl Fn(&str)) {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::new(directory.path(), &directory.path().join("inside"), limit);
        fs::create_dir(directory.path().join("inside")).unwrap();
        let file = log.file.clone();
        let write = move |text: &str| {
            let mut file = File::options().append(true).create(true).open(&file).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        (directory, log, write)
    }

    #[test]
    fn who_follows_a_log_misses_nothing_when_its_older_half_goes() {
        let (_directory, log, write) = log(16);
        assert_eq!(log.read(0).unwrap(), (Vec::new(), 0));
        write("0123456789");
        let (_, at) = log.read(0).unwrap();
        write("abcdefghij");
        log.trim().unwrap();
        assert_eq!(fs::metadata(&log.file).unwrap().len(), 0);
        write("xyz");
        // The old half ends at 20; of it there are eight bytes.
        assert_eq!(log.extent().unwrap(), (12, 23));
        let (bytes, at) = log.read(at).unwrap();
        assert_eq!((bytes.as_slice(), at), (b"cdefghij".as_slice(), 20));
        let (bytes, at) = log.read(at).unwrap();
        assert_eq!((bytes.as_slice(), at), (b"xyz".as_slice(), 23));
        // Another process begins to count with what it finds.
        let again = Log::new(log.old.parent().unwrap(), log.file.parent().unwrap(), 16);
        assert_eq!(again.extent().unwrap(), (0, 11));
        assert_eq!(again.read(0).unwrap(), (b"cdefghij".to_vec(), 8));
        log.trim().unwrap();
        assert_eq!(log.extent().unwrap(), (12, 23), "a short one stays as it is");
    }

    #[test]
    fn the_last_lines_may_lie_in_both_halves() {
        let (_directory, log, write) = log(10_000);
        write(&"a line of the past\n".repeat(1000));
        write("one\ntwo\n");
        log.trim().unwrap();
        write("three\nfour");
        let last = |lines| {
            let extent = log.extent().unwrap();
            let mut at = log.tail(lines, extent).unwrap();
            let mut text = String::new();
            while at < extent.1 {
                let (bytes, next) = log.read(at).unwrap();
                text.push_str(&String::from_utf8(bytes).unwrap());
                at = next;
            }
            text
        };
        assert_eq!(last(3), "two\nthree\nfour");
        assert_eq!(last(0), "");
        assert_eq!(last(200).lines().count(), 200);
        assert_eq!(last(5000).len(), 5010, "all that is kept");
    }

    #[test]
    fn a_file_of_any_length_is_shown_from_twice_its_limit_on() {
        let (_directory, log, write) = log(10_000);
        write("");
        let size = 1 << 40;
        File::options()
            .write(true)
            .open(&log.file)
            .unwrap()
            .set_len(size)
            .unwrap();
        let extent = log.extent().unwrap();
        assert_eq!(extent, (size - 20_000, size));
        assert_eq!(log.tail(10, extent).unwrap(), extent.0);
        log.trim().unwrap();
        assert_eq!(log.extent().unwrap(), (size - 5000, size));
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let (directory, log, _write) = log(16);
        let secret = directory.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        std::os::unix::fs::symlink(&secret, &log.file).unwrap();
        assert!(log.read(0).is_err());
    }
}
