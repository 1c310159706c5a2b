//! Ending what takes too long.

use super::{Call, Layer};
use crate::{BackendError, Context, ErrorKind, Result};
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::time::timeout;

/// Drops a verb that takes too long: a read after `read`, a write that has come no further until its deadline. What a
/// dropped write did is unknown. The time-out of a single native call is the driver's, in its client.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit {
    /// For verbs that read. Default: 30 s.
    pub read: Duration,
}

impl Default for TimeLimit {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(30),
        }
    }
}

impl Layer for TimeLimit {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'a,
    {
        let done = match call.context {
            Some(context) => tokio::select! {
                biased;
                done = send(None) => Some(done),
                () = context.deadline.passed() => None,
            },
            None => timeout(self.read, send(None)).await.ok(),
        };
        done.unwrap_or_else(|| {
            let late = BackendError::new(ErrorKind::Timeout, format!("the {} took too long", call.verb));
            Err(if call.verb.writes() { late.ambiguous() } else { late })
        })
    }
}
