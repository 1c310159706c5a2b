//! Not asking an engine that is known to be down.

use super::{Call, Layer};
use crate::{BackendError, Context, ErrorKind, Result};
use futures::future::BoxFuture;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// After so many failures in a row to reach the engine every verb fails at once with [`ErrorKind::Unavailable`], so that
/// a write is refused at admission; after a pause one verb is let through, and its success opens the way again.
///
/// A failure to reach the engine is [`ErrorKind::Unavailable`], or the [`ErrorKind::Timeout`] of a read. Any other
/// answer, refusals too, shows that the engine is there.
#[derive(Debug)]
pub struct Breaker {
    failures_max: u32,
    pause: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    failures: u32,
    /// Until when nothing is let through, and what was said last.
    closed: Option<(Instant, String)>,
}

impl Default for Breaker {
    /// Five failures, five seconds.
    fn default() -> Self {
        Self::new(5, Duration::from_secs(5))
    }
}

impl Breaker {
    /// Closes after `failures_max` failures in a row, for `pause`.
    pub fn new(failures_max: u32, pause: Duration) -> Self {
        Self {
            failures_max,
            pause,
            seen: Mutex::default(),
        }
    }

    fn pass(&self) -> Result<()> {
        let mut seen = self.seen();
        let Some((until, said)) = &mut seen.closed else {
            return Ok(());
        };
        let now = Instant::now();
        if *until <= now {
            // This one finds out; the others wait for what it finds.
            *until = now + self.pause;
            return Ok(());
        }
        let mut error = BackendError::new(ErrorKind::Unavailable, said.clone());
        error.retry_after = Some(*until - now);
        Err(error.with_context("not asked: the engine is known to be down"))
    }

    fn learn<T>(&self, call: &Call<'_>, result: &Result<T>) {
        let mut seen = self.seen();
        let unreached = match result {
            Err(error) if error.kind == ErrorKind::Interrupted => return,
            Err(error) if error.kind == ErrorKind::Unavailable => Some(error),
            Err(error) if error.kind == ErrorKind::Timeout => {
                if call.verb.writes() {
                    return;
                }
                Some(error)
            }
            _ => None,
        };
        let Some(error) = unreached else {
            if seen.closed.is_some() {
                tracing::info!("the engine is back");
            }
            *seen = Seen::default();
            return;
        };
        seen.failures = seen.failures.saturating_add(1);
        if seen.failures >= self.failures_max {
            if seen.closed.is_none() {
                tracing::warn!(%error, "the engine cannot be reached; not asked for {:?}", self.pause);
            }
            seen.closed = Some((Instant::now() + self.pause, error.message.clone()));
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Layer for Breaker {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'a,
    {
        self.pass()?;
        let result = send(None).await;
        self.learn(&call, &result);
        result
    }
}
