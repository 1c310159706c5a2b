//! Waiting for a place.

use super::{Call, Layer};
use crate::{BackendError, Context, ErrorKind, Result, Verb};
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

/// Lets so many verbs that make something run at the same time, and the others wait in order: boots queue.
///
/// Reads never wait, and neither does what frees room: `delete` and the action `stop`.
#[derive(Debug)]
pub struct Queue {
    places: Semaphore,
}

impl Queue {
    /// A queue before `places` places; at least one.
    pub fn new(places: usize) -> Self {
        Self {
            places: Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)),
        }
    }
}

fn waits(call: &Call<'_>) -> bool {
    match call.verb {
        Verb::Create | Verb::Update => true,
        Verb::Act => call.action.is_none_or(|action| action.term() != "stop"),
        _ => false,
    }
}

impl Layer for Queue {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'a,
    {
        let Some(context) = call.context.filter(|_| waits(&call)) else {
            return send(None).await;
        };
        let place = tokio::select! {
            biased;
            // Never closed, so it is given in the end.
            place = self.places.acquire() => place.ok(),
            () = context.deadline.passed() => {
                return Err(BackendError::new(
                    ErrorKind::Timeout,
                    format!("the {} waited for its turn until its deadline", call.verb),
                ));
            }
        };
        let _until_done = place;
        context.goes_on();
        send(None).await
    }
}
