//! What may be sent again, and when.

use crate::answer::RawAnswer;
use crate::dialect::{Dialect, is_occid};
use crate::error::{Error, ErrorKind, Result};
use crate::request::{IDEMPOTENCY_KEY, Request};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::{Method, StatusCode, header};
use std::time::Duration;

/// How often what failed is sent again, and after how long.
///
/// A request that the server has not seen may always be sent again. One that it may have seen only if seeing it twice
/// does no harm: a read, a replacement, a deletion, and a create that carries an idempotency key to an `occid`; others pass
/// over the key. An action never is: to restart a machine twice is not to restart it once.
///
/// What took too long is not asked again: a limit of time that is multiplied is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retries {
    /// How often at most. Default 3; 0 for never.
    pub most: usize,
    /// After how long the first time; then twice as long, and so on, each a little more or less. Default 200 ms.
    pub first: Duration,
    /// The longest wait that the server may ask for (`Retry-After`); one that is longer is an error at once, and says so.
    /// Default 30 s.
    pub longest: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            most: 3,
            first: Duration::from_millis(200),
            longest: Duration::from_secs(30),
        }
    }
}

impl Retries {
    /// Never.
    pub const NONE: Self = Self {
        most: 0,
        first: Duration::ZERO,
        longest: Duration::ZERO,
    };

    pub(crate) fn tries(self, request: &Request, dialect: &Dialect) -> Tries {
        let waits = ExponentialBuilder::default()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_factor(2.0)
            .with_max_times(self.most)
            .with_jitter()
            .build();
        Tries {
            is_repeatable: is_repeatable(request, dialect),
            is_write: !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS),
            longest: self.longest,
            waits,
            may_be_done: false,
            lost: None,
        }
    }
}

/// Whether it does no harm if the server sees it twice.
fn is_repeatable(request: &Request, dialect: &Dialect) -> bool {
    match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => true,
        // The second time the condition would fail because of the first.
        Method::PUT | Method::DELETE => {
            let headers = request.headers();
            !headers.contains_key(header::IF_MATCH) && !headers.contains_key(header::IF_NONE_MATCH)
        }
        Method::POST => {
            let query = request.uri().query().unwrap_or_default();
            let is_action = url::form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == "action");
            dialect.is_occid && !is_action && request.headers().contains_key(IDEMPOTENCY_KEY)
        }
        _ => false,
    }
}

/// Whether a request that was answered so has done nothing.
pub(crate) fn is_turned_away(answer: &RawAnswer) -> bool {
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE => is_occid(&answer.headers),
        _ => false,
    }
}

/// The tries of one request.
#[derive(Debug)]
pub(crate) struct Tries {
    is_repeatable: bool,
    is_write: bool,
    longest: Duration,
    waits: ExponentialBackoff,
    /// Whether the server may have done already what it is asked again.
    pub(crate) may_be_done: bool,
    /// How the first answer was lost: what comes of asking again says less of what was asked for.
    lost: Option<Error>,
}

impl Tries {
    /// Waits, if the request may be sent again after this failure; returns the failure if not.
    pub(crate) async fn after(&mut self, error: Error) -> Result<()> {
        let may = error.is_not_sent()
            || self.is_repeatable && (error.kind() == ErrorKind::Unavailable || error.is_broken_off());
        let is_final = matches!(error.kind(), ErrorKind::Tls | ErrorKind::Timeout);
        if may && !is_final && self.again_after(None).await {
            if !error.is_not_sent() {
                self.may_be_done = true;
                self.lost.get_or_insert(error);
            }
            return Ok(());
        }
        let is_lost = error.is_broken_off() || error.kind() == ErrorKind::Timeout && !error.is_not_sent();
        if !self.is_write || !is_lost && !self.may_be_done {
            return Err(error);
        }
        Err(match self.lost.take() {
            Some(lost) => lost.and_then(&error).uncertain(),
            None => error.uncertain(),
        })
    }

    /// Whether a request that was answered so may be sent again.
    pub(crate) fn may_repeat(&self, status: StatusCode) -> bool {
        match status {
            // It was turned away at the door.
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => self.is_repeatable,
            _ => false,
        }
    }

    /// Whether nobody knows what became of a change that was answered so in the end.
    pub(crate) fn is_uncertain(&self, answer: &RawAnswer) -> bool {
        // Somebody in between has lost the server's answer, or does not wait for it.
        let is_lost = matches!(answer.status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
            && !is_occid(&answer.headers);
        self.is_write && !answer.status.is_success() && (self.may_be_done || is_lost)
    }

    /// Waits before the next try; false if there is none.
    pub(crate) async fn again_after(&mut self, asked: Option<Duration>) -> bool {
        if asked.is_some_and(|asked| asked > self.longest) {
            return false;
        }
        let Some(wait) = self.waits.next() else { return false };
        tokio::time::sleep(asked.map_or(wait, |asked| asked.max(wait))).await;
        true
    }
}
