//! Trying again what failed for the moment.

use super::{Call, Layer};
use crate::{BackendError, Context, ErrorKind, Outcome, Result};
use backon::{ExponentialBuilder, Retryable};
use futures::future::BoxFuture;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Tries a verb again, a few times and soon, when that cannot do it twice.
///
/// - A verb that writes: only when the engine could not be reached or throttled us, and nothing has happened. What is
///   unknown is for the engine above, which looks before it sends anything again; a time-out of a write is never
///   retried (a guest that ignored a stop is no passing failure).
/// - A verb that reads: time-outs too.
/// - Not before the time that the engine named, and not past the operation's deadline.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// How many tries there are at most, the first included. Default: 3.
    pub tries: usize,
    /// The wait before the second try; it doubles each time. Default: 200 ms.
    pub first_wait: Duration,
    /// The longest wait, also where the engine names one: beyond it the failure is given back. Default: 5 s.
    pub longest_wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            tries: 3,
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(5),
        }
    }
}

impl Retry {
    fn wait(&self, call: &Call<'_>, error: &BackendError, planned: Option<Duration>) -> Option<Duration> {
        let wait = planned?.max(error.retry_after.unwrap_or_default());
        let in_time = call.context.is_none_or(|context| wait < context.deadline.left());
        (wait <= self.longest_wait && in_time).then_some(wait)
    }
}

fn is_safe(call: &Call<'_>, error: &BackendError) -> bool {
    match error.kind {
        ErrorKind::RateLimited | ErrorKind::Unavailable => !call.verb.writes() || error.outcome == Outcome::Nothing,
        ErrorKind::Timeout => !call.verb.writes(),
        _ => false,
    }
}

impl Layer for Retry {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'a,
    {
        let tries = AtomicU32::new(0);
        let next_try = || {
            let before = tries.fetch_add(1, Ordering::Relaxed);
            let context = call.context.filter(|_| before > 0).cloned();
            send(context.map(|context| Context {
                attempt: context.attempt + before,
                ..context
            }))
        };
        let waits = ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.tries.saturating_sub(1));
        next_try
            .retry(waits)
            .when(|error| is_safe(&call, error))
            .adjust(|error, planned| self.wait(&call, error, planned))
            .notify(|error, wait| tracing::debug!(verb = %call.verb, ?wait, %error, "will try again"))
            .await
    }
}
