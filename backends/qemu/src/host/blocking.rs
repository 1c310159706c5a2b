//! Work that waits for the disk.
//!
//! What is not `async` in this engine may wait for the disk, and holds up everything else of its thread while it does. So a
//! verb gives such work away as a whole, one call of [`blocking`] for each job. A few calls that only touch names (a
//! rename, a link, a change of the owner) stay where they are.

use crate::error::Failure;

/// Does `work` where it may wait. It is done in full, also if the caller goes away.
///
/// # Errors
/// Those of `work`.
pub async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Failure> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::host("work on the disk")(std::io::Error::other(error)).into()))
}
