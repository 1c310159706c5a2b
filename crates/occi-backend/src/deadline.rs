//! When a verb is given up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// More than anybody waits.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// When a verb is given up: when it was not seen to come further for so long. What comes further may take any time, and
/// what stands still is not waited for.
///
/// Clones are one and the same deadline.
#[derive(Clone, Debug)]
pub struct Deadline {
    patience: Duration,
    seen: Arc<Mutex<Instant>>,
}

impl Deadline {
    /// One of a verb that begins now and may stand still for as long as `patience`.
    pub fn new(patience: Duration) -> Self {
        Self {
            patience: patience.min(LONGEST),
            seen: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// The verb has come further: its time begins anew.
    pub fn renew(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long it may stand still from now on.
    pub fn left(&self) -> Duration {
        self.at(self.patience).saturating_duration_since(Instant::now())
    }

    /// Returns when it has passed.
    pub async fn passed(&self) {
        self.stood_still(self.patience).await;
    }

    /// Returns when half of the time has passed.
    pub(crate) async fn nears(&self) {
        self.stood_still(self.patience / 2).await;
    }

    fn at(&self, time: Duration) -> Instant {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) + time
    }

    async fn stood_still(&self, time: Duration) {
        loop {
            let at = self.at(time);
            if at <= Instant::now() {
                break;
            }
            sleep_until(at).await;
        }
    }
}
