//! Why a verb failed, in the words a caller branches on. HTTP statuses are chosen in one table of the server.

use std::time::Duration;
use uuid::Uuid;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The request contradicts the model: unknown category, wrong value, missing attribute, wrong path. 400
    Invalid,
    /// Not permitted, immutable, not applicable to this kind. 403
    Forbidden,
    /// A quota of ours or of the engine is used up. 403
    QuotaExceeded,
    /// Nothing there that the caller may see. 404
    NotFound,
    /// The path exists, the verb does not fit it. 405
    NotAllowed,
    /// Not in this state, busy, ambiguous, taken, in use. 409
    Conflict,
    /// If-Match failed. 412
    PreconditionFailed,
    /// A page larger than the server's limit. 413
    TooLarge,
    /// The idempotency key was used for another request. 422
    KeyReused,
    /// Nobody here can do that: switched off, or missing in the backend. 501
    Unsupported,
    /// The engine answered nonsense. 502
    BadGateway,
    /// Overload, maintenance, no capacity, backend down. 503
    Unavailable,
    /// The engine did not answer in time; the operation may still happen. 504
    Timeout,
    /// No space is left for the database. 507
    Full,
    /// Our own fault. 500
    Internal,
}

/// A failed verb. Nothing was changed unless `operation` says what goes on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// What went wrong.
    pub kind: FailureKind,
    /// For the user: one sentence that says what and, where possible, what to do.
    pub message: String,
    /// The parts of the request at fault: path and sentence.
    pub details: Vec<(String, String)>,
    /// The operation that is in the way, or that failed.
    pub operation: Option<Uuid>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// A stable machine-readable code (`quota_exceeded`).
    pub code: Option<&'static str>,
    /// For the operator's log; never shown.
    pub context: Option<Box<str>>,
}

impl EngineError {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            details: Vec::new(),
            operation: None,
            retry_after: None,
            code: None,
            context: None,
        }
    }
}
