//! What a server offers, kept from the last time.
//!
//! A file for each server, user and project below the user's cache directory; a model may differ from user to user. It is
//! believed for a minute, then the server is asked whether it is still true. A file that cannot be read or written costs
//! time and nothing else.

use occi_client::{Client, Saved};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For so long a server is not asked again.
const BELIEVED: Duration = Duration::from_secs(60);
/// For so long what nobody asks for is kept: without a context each new token makes a file.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// The place of one server's model.
#[derive(Clone, Debug)]
pub(crate) struct ModelCache {
    file: PathBuf,
}

impl ModelCache {
    /// For whoever sees the same: `whose` are the server, the user and the project.
    pub(crate) fn new(directory: &Path, whose: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (env!("CARGO_PKG_VERSION"), whose).hash(&mut hasher);
        Self {
            file: directory.join(format!("models/{:016x}.json", hasher.finish())),
        }
    }

    /// What was kept.
    pub(crate) fn load(&self) -> Option<Saved> {
        serde_json::from_slice(&std::fs::read(&self.file).ok()?).ok()
    }

    /// Whether what was kept is believed without asking.
    pub(crate) fn is_fresh(&self) -> bool {
        let modified = std::fs::metadata(&self.file).and_then(|file| file.modified());
        modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age < BELIEVED))
    }

    /// Keeps what the client knows.
    pub(crate) fn store(&self, client: &Client) {
        if let Some(saved) = client.saved() {
            let _ = self.write(&saved);
        }
    }

    fn write(&self, saved: &Saved) -> std::io::Result<()> {
        let directory = self.file.parent().unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut file, saved)?;
        file.persist(&self.file)?;
        for other in std::fs::read_dir(directory)?.flatten() {
            let modified = other.metadata().and_then(|file| file.modified())?;
            if modified.elapsed().is_ok_and(|age| age > KEPT) {
                std::fs::remove_file(other.path())?;
            }
        }
        Ok(())
    }
}
