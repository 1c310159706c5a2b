//! Passwords: argon2 hashes in PHC form, one computation per core at a time and never on an async thread.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Why a password was neither accepted nor refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait already.
    #[error("too many passwords are being checked")]
    Busy,
    /// The computation failed: no memory, or a damaged hash.
    #[error("the password could not be checked")]
    Failed,
}

/// How many computations may wait for a core before further ones are turned away.
const QUEUE: usize = 64;

/// Computes hashes. Each takes tens of milliseconds and 19 MiB on purpose.
#[derive(Clone, Debug)]
pub struct Hasher {
    cores: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            cores: Arc::new(Semaphore::new(cores)),
            queue: Arc::new(Semaphore::new(cores + QUEUE)),
        }
    }
}

impl Hasher {
    /// A hash with a salt of its own.
    pub async fn hash(&self, password: String) -> Result<String, HashError> {
        self.run(move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|_| HashError::Failed)
        })
        .await
    }

    /// Whether `password` is the one of `hash`. Without a hash (no such user) the same time is spent, so that nobody
    /// learns which users exist. `still` is asked when it is this check's turn: `false` ends it as a mismatch.
    pub async fn verify(
        &self,
        password: String,
        hash: Option<String>,
        still: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<bool, HashError> {
        self.run(move || {
            if !still() {
                return Ok(false);
            }
            match hash {
                Some(hash) => {
                    let hash = PasswordHash::new(&hash).map_err(|_| HashError::Failed)?;
                    Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
                }
                None => {
                    let mut wasted = [0_u8; 32];
                    let salt = [0_u8; 16];
                    let _ = Argon2::default().hash_password_into(password.as_bytes(), &salt, &mut wasted);
                    Ok(false)
                }
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        computation: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let _place = self.queue.try_acquire().map_err(|_| HashError::Busy)?;
        let core = self
            .cores
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| HashError::Failed)?;
        // The core is held by the computation itself: a client that goes away does not make room for another one.
        let computation = move || {
            let _core = core;
            computation()
        };
        tokio::task::spawn_blocking(computation)
            .await
            .map_err(|_| HashError::Failed)?
    }
}

/// A password for somebody who has none yet: 120 random bits, 20 characters that need no quoting.
pub fn random_password() -> Result<String, HashError> {
    let mut bytes = [0_u8; 15];
    getrandom::fill(&mut bytes).map_err(|_| HashError::Failed)?;
    Ok(base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        bytes,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_accepted() {
        let hasher = Hasher::default();
        let hash = hasher.hash("secret".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert_eq!(
            hasher.verify("secret".into(), Some(hash.clone()), || true).await,
            Ok(true)
        );
        assert_eq!(
            hasher.verify("secret".into(), Some(hash.clone()), || false).await,
            Ok(false)
        );
        assert_eq!(hasher.verify("Secret".into(), Some(hash), || true).await, Ok(false));
        assert_eq!(hasher.verify("secret".into(), None, || true).await, Ok(false));
        assert_ne!(random_password().unwrap(), random_password().unwrap());
    }
}
