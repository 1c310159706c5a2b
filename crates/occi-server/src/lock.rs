//! One data directory, one process.

use crate::config::ConfigError;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a lock may outlive its process: a child that it was about to start has it until its `exec`.
const PATIENCE: Duration = Duration::from_secs(1);

/// Held while this process uses the data directory; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Makes the directory if it is not there (readable by this user alone) and takes its lock.
    pub fn take(data_dir: &Path) -> Result<Self, ConfigError> {
        let failed = |what: &str, error: std::io::Error| {
            ConfigError::new(
                format!("server.data_dir: {} cannot be {what}: {error}", data_dir.display()),
                "name a directory that this user may write with --data-dir",
            )
        };
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .map_err(|error| failed("made", error))?;
        let mut options = File::options();
        options.create(true).read(true).write(true).truncate(false).mode(0o600);
        let mut file = options
            .open(data_dir.join("lock"))
            .map_err(|error| failed("written", error))?;
        let until = Instant::now() + PATIENCE;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            if Instant::now() < until {
                std::thread::sleep(PATIENCE / 100);
                continue;
            }
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(ConfigError::new(
                format!(
                    "server.data_dir: {} is used by another occid (process {})",
                    data_dir.display(),
                    holder.trim()
                ),
                "stop that one, or give this one a directory of its own with --data-dir",
            ));
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| failed("written", error))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_was_about_to_start_does_not_keep_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DataLock::take(dir.path()).unwrap();
        // As its child has it until it becomes the program that it is to run.
        let inherited = lock._file.try_clone().unwrap();
        drop(lock);
        let child = std::thread::spawn(move || {
            std::thread::sleep(PATIENCE / 10);
            drop(inherited);
        });
        DataLock::take(dir.path()).unwrap();
        child.join().unwrap();
    }

    #[test]
    fn a_data_directory_has_one_user_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        let lock = DataLock::take(&data).unwrap();
        let error = DataLock::take(&data).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(lock);
        DataLock::take(&data).unwrap();
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
