//! Records on disk: small JSON files that are either the old one or the new one, whatever happens in between.

use crate::error::Failure;
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Writes `value` to `path`, durably and in one step.
///
/// # Errors
/// [`Failure::Host`]; the old file, if there was one, is then still there.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    let step = || format!("write {}", path.display());
    let json = serde_json::to_vec_pretty(value).map_err(|error| Failure::Record {
        file: path.display().to_string(),
        reason: error.to_string(),
    })?;
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(&json)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(parent)?.sync_all()
    };
    write().map_err(Failure::host(step()))
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
