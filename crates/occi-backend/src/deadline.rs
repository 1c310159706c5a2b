//! When a verb is given up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// More than anybody waits.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// When a verb is given up: when it was not seen to come further for so long. What comes further may take any time, and
/// what stands still is not waited for.
///
/// Clones are one and the same deadline.
#[derive(Clone, Debug)]
pub struct Deadline {
    patience: Duration,
    at: Arc<Mutex<Instant>>,
}

impl Deadline {
    /// One of a verb that begins now and may stand still for as long as `patience`.
    pub fn new(patience: Duration) -> Self {
        Self::with_left(patience, patience)
    }

    /// One of a verb that stood still before: it has `left` until it comes further, and from then on `patience`.
    pub fn with_left(patience: Duration, left: Duration) -> Self {
        Self {
            patience: patience.min(LONGEST),
            at: Arc::new(Mutex::new(Instant::now() + left.min(LONGEST))),
        }
    }

    /// The verb has come further: its time begins anew.
    pub fn renew(&self) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + self.patience;
    }

    /// How long it may stand still from now on.
    pub fn left(&self) -> Duration {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.saturating_duration_since(Instant::now())
    }

    /// Returns when it has passed.
    pub async fn passed(&self) {
        self.comes_near(Duration::ZERO).await;
    }

    /// Returns when half of the time has passed.
    pub(crate) async fn nears(&self) {
        self.comes_near(self.patience / 2).await;
    }

    async fn comes_near(&self, distance: Duration) {
        loop {
            let left = self.left();
            if left <= distance {
                break;
            }
            sleep(left - distance).await;
        }
    }
}
