//! Failures of an engine, in the words a caller branches on.

use std::time::Duration;

/// What went wrong; the HTTP status follows from it (backends' error taxonomy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The native credentials were refused or have expired.
    Unauthenticated,
    /// Native access control or policy, or a read-only backend.
    Forbidden,
    /// The native quota is used up.
    QuotaExceeded,
    /// The object is missing, or hidden.
    NotFound,
    /// Not in this state, locked or busy.
    Conflict,
    /// Others depend on it: an attached volume, a network with interfaces.
    InUse,
    /// Malformed or contradictory attributes, by native validation.
    Invalid,
    /// The capability is absent; the message names who does not support what.
    Unsupported,
    /// No room now: memory, disk space, hosts. It comes when somebody gives something back.
    CapacityExhausted,
    /// More than the engine has in all, so that no waiting helps. The message names the most that there can be.
    TooLarge,
    /// The engine throttles us.
    RateLimited,
    /// The engine cannot be reached, or failed inside.
    Unavailable,
    /// The engine did not answer in time.
    Timeout,
    /// The journal told us to stop: superseded, cancelled, or the server is going down.
    Interrupted,
    /// An answer that makes no sense.
    Unexpected,
}

impl ErrorKind {
    /// The kind as a word, for metrics and machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::QuotaExceeded => "quota_exceeded",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::InUse => "in_use",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::CapacityExhausted => "capacity_exhausted",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::Unexpected => "unexpected",
        }
    }
}

/// What may have happened in the engine when a verb failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the engine refused, or was never asked.
    Nothing,
    /// Something may have been made or done. The caller looks for the mark before it sends anything again.
    Unknown,
}

/// A failure of a backend.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct BackendError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What may have happened all the same.
    pub outcome: Outcome,
    /// For the user: one sentence, no credentials, no host paths, not what others use or leave.
    pub message: String,
    /// For the operator: native code, native request id, the step that failed. Never shown to users.
    pub context: Option<String>,
    /// When to try again, if the engine said so.
    pub retry_after: Option<Duration>,
    /// What lies beneath.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl BackendError {
    /// A failure after which nothing has happened in the engine.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            outcome: Outcome::Nothing,
            message: message.into(),
            context: None,
            retry_after: None,
            source: None,
        }
    }

    /// The same, when something may have happened.
    #[must_use]
    pub fn ambiguous(mut self) -> Self {
        self.outcome = Outcome::Unknown;
        self
    }

    /// Adds what only the operator should see.
    #[must_use]
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Adds what lies beneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether trying again later may succeed without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Timeout
        )
    }
}
