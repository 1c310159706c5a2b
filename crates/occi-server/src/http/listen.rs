//! Sockets.

use crate::config::{Address, ConfigError};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};

/// A socket that listens.
#[derive(Debug)]
pub enum Listener {
    /// TCP, at this address.
    Tcp(TcpListener, SocketAddr),
    /// A unix socket, for this user alone.
    Unix(UnixListener, SocketFile, Asks),
}

/// What a unix socket asks the kernel about who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Nothing: whoever can open it is a stranger. A proxy may connect for all the world.
    Nothing,
    /// Whether it is an owner of the service ([`owners`]).
    ///
    /// [`owners`]: crate::auth::owners
    Owner,
}

/// Removes the socket's file when the listener goes.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens at `address`, which the key `key` names; `None` if that is off.
    pub async fn bind(key: &str, address: &Address, asks: Asks) -> Result<Option<Self>, ConfigError> {
        match address {
            Address::Off => Ok(None),
            Address::Tcp(address) => {
                let bound = async {
                    let listener = TcpListener::bind(address).await?;
                    let local = listener.local_addr()?;
                    Ok::<_, std::io::Error>(Self::Tcp(listener, local))
                };
                let bound = bound.await.map_err(|error| {
                    ConfigError::new(
                        format!("{key}: cannot listen at {address}: {error}"),
                        "choose another port (0 takes a free one), or stop what uses this one",
                    )
                })?;
                Ok(Some(bound))
            }
            Address::Unix(path) => {
                let bound = bind_unix(path).map_err(|error| {
                    ConfigError::new(
                        format!("{key}: cannot listen at unix:{}: {error}", path.display()),
                        "choose a path of at most 107 bytes in a directory that this user may write",
                    )
                })?;
                Ok(Some(Self::Unix(bound, SocketFile(path.clone()), asks)))
            }
        }
    }

    /// Whether other machines can reach it, which needs TLS.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Tcp(_, address) if !address.ip().is_loopback())
    }
}

fn bind_unix(path: &Path) -> std::io::Result<UnixListener> {
    // A socket that a killed process left behind. The lock of the data directory says that none is alive; elsewhere a
    // connection tells.
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(std::io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
