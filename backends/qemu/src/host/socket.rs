//! Unix sockets in directories of any depth.
//!
//! The kernel takes socket paths of 107 bytes at most. A descriptor of the directory makes every path short:
//! `/proc/self/fd/N/NAME`.

use crate::host::process::Process;
use rustix::fs::{Mode, OFlags, open};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;

/// A short name for `path`, good as long as the descriptor lives.
///
/// # Errors
/// If the directory of `path` cannot be opened.
pub fn short(path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no path of a socket"));
    };
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let directory = open(
        directory,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let path = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(name);
    Ok((directory, path))
}

/// Connects to the stream socket at `path`.
///
/// # Errors
/// As `connect(2)`: nobody listens, no such file.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_held, short) = short(path)?;
    UnixStream::connect(short).await
}

/// Connects to the stream socket at `path` at which `process` listens.
///
/// A QEMU may change what is in its directory. One that was taken over could lead what is said to it to another socket, such
/// as our own, where it would come from an owner of this service.
///
/// # Errors
/// As [`connect`]; `PermissionDenied` if another listens there.
pub async fn connect_to(path: &Path, process: &Process) -> io::Result<UnixStream> {
    let stream = connect(path).await?;
    if stream.peer_cred()?.pid() != Some(process.identity().pid) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "another process listens there",
        ));
    }
    Ok(stream)
}
