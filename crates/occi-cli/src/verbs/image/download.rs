//! `occi image download`: what has come lies beside its place until it is whole, so that what broke off goes on.
//!
//! The server is not trusted: it names no file, writes no more bytes than it said, and what is there at last is compared.

use super::{GOES_ON, Tries, ask, good, image, sha256};
use crate::complete;
use crate::failure::{Exit, Failure, Result, file_failure};
use crate::progress::{self, byte_bar};
use crate::session::Session;
use bytes::Bytes;
use clap::Args;
use data_encoding::HEXLOWER;
use futures::StreamExt;
use headers::{ContentRange, HeaderMapExt};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use indicatif::ProgressBar;
use occi_model::templates::OS_TPL;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde_json::Value as Json;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, IsTerminal, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// Take an image away, into a file
#[derive(Debug, Args)]
#[command(after_help = "\
What broke off goes on where it was.

Examples:
  occi image download tiny
  occi image download tiny copy.qcow2
  occi image download tiny - | sha256sum")]
pub(super) struct Download {
    /// Which (occi image list)
    #[arg(value_name = "NAME", add = complete::templates(OS_TPL))]
    name: String,
    /// Into this file, where there must be none, or - for stdout, once all of it has come [default: its name here]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Download {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let name = self.name.rsplit('#').next().unwrap_or_default();
        let is_stdout = self.file.as_deref() == Some(Path::new("-"));
        if is_stdout && std::io::stdout().is_terminal() {
            return Err(Failure::usage("a terminal shows no image").with_hint("occi image download NAME - > FILE"));
        }
        let wanted = Wanted::of(name, session).await?;
        if is_stdout {
            let mut begun = Begun::unnamed()?;
            begun.fetch_all(name, &wanted, session).await?;
            return begun.print();
        }
        let target = match self.file {
            Some(file) => file,
            None => wanted.file_name(name)?,
        };
        if target.symlink_metadata().is_ok() {
            return Err(is_there(&target));
        }
        let _goes_on = progress::if_interrupted(GOES_ON);
        // The tag of what has been begun stands in the name of its file.
        let tag: String = wanted
            .etag
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(32)
            .collect();
        let mut part = target.clone().into_os_string();
        part.push(format!(".{tag}.part"));
        let mut begun = Begun::open(part.into())?;
        // Without a tag nobody knows of what it is a part.
        if begun.length > wanted.size || wanted.etag.is_empty() {
            begun.empty()?;
        }
        begun.fetch_all(name, &wanted, session).await?;
        begun.keep(&target)?;
        session.output.text(&format!("{}\n", target.display()))
    }
}

/// The image, as the server describes it.
struct Wanted {
    path: String,
    format: String,
    size: u64,
    sha256: Option<String>,
    /// A strong one, or nothing.
    etag: String,
}

impl Wanted {
    async fn of(name: &str, session: &Session) -> Result<Self> {
        let image = image(name, session).await?;
        let text = |member: &str| image.get(member).and_then(Json::as_str).map(str::to_owned);
        let unclear = || Failure::new(Exit::Failure, "the answer about images cannot be understood");
        let path = text("path").ok_or_else(unclear)?;
        let head = ask(Method::HEAD, &path, HeaderMap::new(), Bytes::new(), session).await?;
        let etag = good(head, session)?.header(header::ETAG);
        Ok(Self {
            format: text("format").ok_or_else(unclear)?,
            size: image.get("size").and_then(Json::as_u64).ok_or_else(unclear)?,
            sha256: text("sha256"),
            etag: etag.filter(|etag| etag.starts_with('"')).unwrap_or_default(),
            path,
        })
    }

    /// A file here that is called like the image.
    fn file_name(&self, name: &str) -> Result<PathBuf> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let is_format = ["qcow2", "raw"].contains(&self.format.as_str());
        match is_format && name.bytes().all(is_plain) && !name.starts_with(['-', '.']) {
            true => Ok(format!("{name}.{}", self.format).into()),
            false => Err(Failure::usage(format!(
                "{name:?} in the format {:?} gives no name of a file: say into which FILE",
                self.format
            ))),
        }
    }
}

/// What has come so far, in a file that nobody else has.
struct Begun {
    file: File,
    path: PathBuf,
    /// Whether it has a name by which it could go on another time.
    is_named: bool,
    length: u64,
}

impl Begun {
    fn open(path: PathBuf) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let foreign = || Failure::usage(format!("{} is there, and is no download of yours", path.display()));
        let opened = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o666));
        let file = opened.map(File::from).map_err(|error| match error {
            Errno::LOOP => foreign(),
            error => file_failure(&path, &error.into()),
        })?;
        let metadata = file.metadata().map_err(|error| file_failure(&path, &error))?;
        let is_own = metadata.is_file() && metadata.uid() == rustix::process::geteuid().as_raw();
        // Under another name it may be anything.
        if !is_own || metadata.nlink() != 1 {
            return Err(foreign());
        }
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let message = format!("{} is being written by another download", path.display());
            return Err(Failure::new(Exit::Conflict, message));
        }
        Ok(Self {
            file,
            length: metadata.len(),
            path,
            is_named: true,
        })
    }

    /// In a file that goes with the process: stdout takes nothing back that turns out to be damaged.
    fn unnamed() -> Result<Self> {
        let path = std::env::temp_dir();
        Ok(Self {
            file: tempfile::tempfile().map_err(|error| file_failure(&path, &error))?,
            path,
            is_named: false,
            length: 0,
        })
    }

    /// Brings all of it, and looks whether it is right.
    async fn fetch_all(&mut self, name: &str, wanted: &Wanted, session: &Session) -> Result<()> {
        let bar = byte_bar(name, wanted.size, session.output.quiet);
        let mut tries = Tries::default();
        while self.length < wanted.size {
            tries.reached(self.length);
            bar.set_position(self.length);
            if let Err(failure) = self.fetch(wanted, &bar, session).await {
                tries.reached(self.length);
                let again = tries.again(failure, &bar).await;
                again.map_err(|failure| failure.about(name))?;
            }
        }
        bar.finish_and_clear();
        self.check(wanted, session).map_err(|failure| failure.about(name))
    }

    fn print(mut self) -> Result<()> {
        self.file.rewind().map_err(|error| self.failed(&error))?;
        let mut stdout = std::io::stdout().lock();
        let copied = std::io::copy(&mut self.file, &mut stdout).and_then(|_| stdout.flush());
        copied.map_err(|error| file_failure(Path::new("stdout"), &error))
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        file_failure(&self.path, error)
    }

    fn empty(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|error| self.failed(&error))?;
        self.file.rewind().map_err(|error| self.failed(&error))?;
        self.length = 0;
        Ok(())
    }

    /// Appends what is missing: all of it, or this fails. A server that has another image meanwhile sends it from its
    /// beginning.
    async fn fetch(&mut self, wanted: &Wanted, bar: &ProgressBar, session: &Session) -> Result<()> {
        let mut headers = HeaderMap::new();
        if self.length > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", self.length));
            headers.insert(header::RANGE, range.map_err(|_| Failure::usage("this is no offset"))?);
            if let Ok(etag) = HeaderValue::try_from(&wanted.etag) {
                headers.insert(header::IF_RANGE, etag);
            }
        }
        let incoming = session.client.open(&wanted.path, headers).await?;
        match incoming.head.status {
            StatusCode::OK => {
                self.empty()?;
                bar.set_position(0);
            }
            StatusCode::PARTIAL_CONTENT if self.is_next(&incoming.head.headers, wanted) => {}
            StatusCode::PARTIAL_CONTENT => return Err(unbelievable("sends other bytes than it was asked for")),
            _ => return Err(unbelievable("has fewer bytes than it says")),
        }
        let mut body = incoming.body;
        while let Some(bytes) = body.next().await {
            let bytes = bytes?;
            let length = self.length + bytes.len() as u64;
            if length > wanted.size {
                self.throw_away()?;
                return Err(unbelievable("sends more bytes than it says"));
            }
            self.file.write_all(&bytes).map_err(|error| self.failed(&error))?;
            self.length = length;
            bar.set_position(length);
        }
        match self.length == wanted.size {
            true => Ok(()),
            false => Err(Failure {
                is_broken_off: true,
                ..Failure::new(Exit::Failure, "the answer ended too early")
            }),
        }
    }

    /// Whether these are the bytes that are missing.
    fn is_next(&self, headers: &HeaderMap, wanted: &Wanted) -> bool {
        let range = headers.typed_get::<ContentRange>();
        range.is_some_and(|range| {
            let from = range.bytes_range().map(|(from, _)| from);
            from == Some(self.length) && range.bytes_len().is_none_or(|size| size == wanted.size)
        })
    }

    /// Compares what is there with what was said of it.
    fn check(&mut self, wanted: &Wanted, session: &Session) -> Result<()> {
        let synced = self.file.sync_all();
        synced.map_err(|error| self.failed(&error))?;
        let found = sha256(&mut self.file, self.length, session);
        let found = HEXLOWER.encode(found.map_err(|error| self.failed(&error))?.as_ref());
        if wanted.sha256.as_ref().is_some_and(|sha256| *sha256 != found) {
            self.throw_away()?;
            return Err(Failure::new(
                Exit::Failure,
                "it has arrived damaged and was thrown away",
            ));
        }
        Ok(())
    }

    fn throw_away(&self) -> Result<()> {
        if !self.is_named {
            return Ok(());
        }
        std::fs::remove_file(&self.path).map_err(|error| self.failed(&error))
    }

    /// Gives it its name, where there is still none.
    fn keep(self, target: &Path) -> Result<()> {
        let part = TempPath::try_from_path(&self.path).map_err(|error| self.failed(&error))?;
        part.persist_noclobber(target).map_err(|failed| {
            let failure = match failed.error.kind() {
                ErrorKind::AlreadyExists => is_there(target),
                _ => file_failure(target, &failed.error),
            };
            let _kept = failed.path.keep();
            failure.with_hint(format!("the image is in {}", self.path.display()))
        })
    }
}

fn is_there(target: &Path) -> Failure {
    Failure::usage(format!("there is a file {} already", target.display()))
}

fn unbelievable(what: &str) -> Failure {
    Failure::new(Exit::Failure, format!("the server {what}"))
}
