//! The files of the configuration: read, checked, and replaced as a whole or not at all.

use crate::failure::{Exit, Failure, Result, file_failure};
use crate::read;
use etcetera::{BaseStrategy, choose_base_strategy};
use std::fs::{DirBuilder, File, Permissions};
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file of the configuration.
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// The permissions that nobody but the owner may have.
    forbidden: u32,
}

impl Place {
    /// `config.toml`: what it says is done, so that nobody else may write it.
    pub(super) fn contexts() -> Option<Self> {
        Self::of("config.toml", 0o022)
    }

    /// `credentials.toml`: nobody else may even read it.
    pub(super) fn secrets() -> Option<Self> {
        Self::of("credentials.toml", 0o077)
    }

    fn of(name: &str, forbidden: u32) -> Option<Self> {
        Some(Self {
            path: choose_base_strategy().ok()?.config_dir().join("occi").join(name),
            forbidden,
        })
    }

    /// Where the user has no directory, nothing can be kept.
    pub(super) fn or_nowhere(place: Option<Self>) -> Result<Self> {
        place.ok_or_else(|| {
            Failure::new(Exit::Failure, "there is no place for the configuration")
                .with_hint("set HOME or XDG_CONFIG_HOME")
        })
    }

    /// The text; empty if there is no file.
    pub(super) fn read(&self) -> Result<String> {
        let fail = |error: std::io::Error| file_failure(&self.path, &error);
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
            file => file.map_err(fail)?,
        };
        // Of what is read, not of what may lie there a moment later.
        let metadata = file.metadata().map_err(fail)?;
        let (mode, path) = (metadata.permissions().mode(), self.path.display());
        // As ssh: in a directory that others can write a file may be theirs, whatever its mode.
        if ![0, rustix::process::geteuid().as_raw()].contains(&metadata.uid()) {
            let message = format!("{path} belongs to somebody else, and is not used");
            return Err(Failure::new(Exit::Failure, message).with_hint("look at what it says, and make it your own"));
        }
        if mode & self.forbidden != 0 {
            let message = format!("{path} is open to others ({:04o}), and is not used", mode & 0o7777);
            return Err(Failure::new(Exit::Failure, message).with_hint(format!("chmod 600 {path}")));
        }
        read::text(read::all(file, &self.path, read::DOCUMENT)?, &self.path)
    }

    /// Reads, changes and replaces it; whoever else does so waits.
    pub(super) fn change<T>(&self, change: impl FnOnce(String) -> Result<(String, T)>) -> Result<T> {
        // What a link points to is replaced, not the link.
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let fail = |error: std::io::Error| file_failure(&path, &error);
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| file_failure(directory, &error))?;
        let lock = File::create(directory.join(".lock")).map_err(fail)?;
        lock.lock().map_err(fail)?;
        let (text, result) = change(self.read()?)?;
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(fail)?;
        file.as_file()
            .set_permissions(Permissions::from_mode(0o600))
            .map_err(fail)?;
        file.write_all(text.as_bytes()).map_err(fail)?;
        file.as_file().sync_all().map_err(fail)?;
        file.persist(&path).map_err(|error| fail(error.error))?;
        Ok(result)
    }

    /// Something in it makes no sense.
    pub(super) fn broken(&self, text: &str, at: Option<Range<usize>>, why: &str) -> Failure {
        let line = at.map(|at| text[..at.start.min(text.len())].matches('\n').count() + 1);
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        Failure::new(
            Exit::Failure,
            format!("{}{line}: {}", self.path.display(), one_line(why)),
        )
    }
}

/// A message of several lines in one.
fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).collect::<Vec<_>>().join(", ")
}
