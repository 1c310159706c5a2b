//! Files that are read as a whole, as far as such files reach: `/dev/zero` has no end.

use crate::failure::{Exit, Failure, Result, file_failure};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A password, a token, a passphrase.
pub(crate) const SECRET: u64 = 64 << 10;
/// Certificates and their keys.
pub(crate) const CERTIFICATES: u64 = 1 << 20;
/// What somebody has written: user data, things to apply, a configuration.
pub(crate) const DOCUMENT: u64 = 16 << 20;
/// The body of a request.
pub(crate) const BODY: u64 = 256 << 20;

/// All of a file.
///
/// # Errors
/// It cannot be read, or has more than `most` bytes.
pub(crate) fn file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|error| file_failure(path, &error))?;
    all(file, path, most)
}

/// All of stdin.
///
/// # Errors
/// As of [`file()`].
pub(crate) fn stdin(most: u64) -> Result<Vec<u8>> {
    all(std::io::stdin().lock(), Path::new("stdin"), most)
}

/// The rest of what is open.
///
/// # Errors
/// As of [`file()`].
pub(crate) fn all(from: impl Read, path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| file_failure(path, &error))?;
    match bytes.len() as u64 > most {
        false => Ok(bytes),
        true => {
            let most = match most >> 20 {
                0 => format!("{} KiB", most >> 10),
                mib => format!("{mib} MiB"),
            };
            let message = format!("{} has more than {most}, and is not what is meant here", path.display());
            Err(Failure::new(Exit::Failure, message))
        }
    }
}

/// What has been read, as text.
///
/// # Errors
/// It is none.
pub(crate) fn text(bytes: Vec<u8>, path: &Path) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Failure::new(Exit::Failure, format!("{} is no text", path.display())))
}
