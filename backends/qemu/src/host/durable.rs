//! Records on disk: small JSON files that are either the old one or the new one, whatever happens in between.

use crate::error::Failure;
use crate::host::blocking::blocking;
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Writes `value` to `path`, durably and in one step.
///
/// # Errors
/// [`Failure::Host`]; the old file, if there was one, is then still there.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    write(path, &json(path, value)?)
}

/// Writes `bytes` to `path`, durably and in one step.
///
/// # Errors
/// As [`write_json`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes, true)
}

/// Writes `value` to `path` in one step, but not durably: for what means nothing any more once the host has gone down.
/// After that the file may be empty.
///
/// # Errors
/// As [`write_json`].
pub fn note_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    replace(path, &json(path, value)?, false)
}

/// Whether there is no such file; not where that cannot be said.
pub fn is_lost(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

fn json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec_pretty(value).map_err(|error| Failure::Record {
        file: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn replace(path: &Path, bytes: &[u8], durably: bool) -> Result<(), Failure> {
    let step = || format!("write {}", path.display());
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        if durably {
            file.sync_all()?;
        }
        fs::rename(&new, path)?;
        match durably {
            true => File::open(parent)?.sync_all(),
            false => Ok(()),
        }
    };
    write().map_err(|error| {
        // It may have failed for want of room.
        let _was_not_begun = fs::remove_file(&new);
        Failure::host(step())(error)
    })
}

/// Gives a file, which nobody changes any more, the name `path` in one step; file and name are durable then.
///
/// # Errors
/// [`Failure::Host`].
pub fn rename(file: &Path, path: &Path) -> Result<(), Failure> {
    let renamed = File::open(file)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(file, path));
    renamed.map_err(Failure::host(format!("write {}", path.display())))?;
    sync(path.parent().unwrap_or_else(|| Path::new(".")))
}

/// Makes what is in a file, or the names in a directory, durable.
///
/// # Errors
/// [`Failure::Host`].
pub fn sync(path: &Path) -> Result<(), Failure> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(Failure::host(format!("write {}", path.display())))
}

/// Reads what [`write_json`] wrote; `None` if there is no such file.
///
/// # Errors
/// [`Failure::Record`] if the file holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::host(format!("read {}", path.display()))(error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Failure::Record {
            file: path.display().to_string(),
            reason: error.to_string(),
        })
}

/// What failed leaves no file: it may have failed for want of room.
pub(crate) fn or_remove(copied: Result<(), Failure>, copy: &Path) -> Result<(), Failure> {
    if copied.is_err() {
        let _was_not_begun = fs::remove_file(copy);
    }
    copied
}

/// Removes a directory and everything in it; fine if it is not there.
///
/// # Errors
/// [`Failure::Host`].
pub fn remove_dir(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::host(format!("remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

/// A record with its present value in memory: reading costs nothing, a change is on disk before it is seen.
#[derive(Debug)]
pub struct Record<T> {
    path: PathBuf,
    value: RwLock<Arc<T>>,
    writer: Mutex<()>,
}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Record<T> {
    /// The record at `path`, if there is one.
    ///
    /// # Errors
    /// As [`read_json`].
    pub fn load(path: PathBuf) -> Result<Option<Arc<Self>>, Failure> {
        Ok(read_json(&path)?.map(|value| Self::with(path, value)))
    }

    /// A new record. Its directory exists.
    ///
    /// # Errors
    /// As [`write_json`].
    pub fn create(path: PathBuf, value: T) -> Result<Arc<Self>, Failure> {
        write_json(&path, &value)?;
        Ok(Self::with(path, value))
    }

    fn with(path: PathBuf, value: T) -> Arc<Self> {
        Arc::new(Self {
            path,
            value: RwLock::new(Arc::new(value)),
            writer: Mutex::new(()),
        })
    }

    /// The present value.
    pub fn get(&self) -> Arc<T> {
        self.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it; durable when this returns, and complete even if the caller goes away.
    ///
    /// # Errors
    /// As [`write_json`]; the value is then what it was.
    pub async fn change(self: &Arc<Self>, change: impl FnOnce(&mut T) + Send + 'static) -> Result<Arc<T>, Failure> {
        let record = self.clone();
        blocking(move || record.blocking_change(change)).await
    }

    /// [`Record::change`] as a part of other work that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_change(&self, change: impl FnOnce(&mut T)) -> Result<Arc<T>, Failure> {
        let _one_at_a_time = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut value = T::clone(&self.get());
        change(&mut value);
        write_json(&self.path, &value)?;
        let value = Arc::new(value);
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = value.clone();
        Ok(value)
    }
}
