//! Why a verb failed, in the words a caller branches on. HTTP statuses are chosen in one table of the server.

use occi_backend::{BackendError, ErrorKind};
use occi_model::{Violation, ViolationKind};
use occi_store::{Refused, StoreError};
use serde_json::{Value as Json, json};
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
    /// A page larger than the server's limit, or more of something than a request or an entity may have. 413
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
    /// No space is left, for the database or for an image. 507
    Full,
    /// Our own fault. 500
    Internal,
}

/// A failed verb. Nothing was changed unless `operation` says what goes on.
#[derive(Clone, Debug, thiserror::Error)]
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

/// The code of a failure for want of room.
const OUT_OF_ROOM: &str = "capacity_exhausted";
/// The code of a size for which there never is room.
const TOO_LARGE: &str = "too_large";

impl EngineError {
    /// Whether an engine has no room for what was asked for: nothing is wrong with it.
    pub fn is_out_of_room(&self) -> bool {
        self.code == Some(OUT_OF_ROOM)
    }

    /// Whether an engine never has room for what was asked for; another one may.
    pub(crate) fn is_too_large(&self) -> bool {
        self.code == Some(TOO_LARGE)
    }

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

impl FailureKind {
    const ALL: [Self; 14] = [
        Self::Invalid,
        Self::Forbidden,
        Self::QuotaExceeded,
        Self::NotFound,
        Self::NotAllowed,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::KeyReused,
        Self::Unsupported,
        Self::BadGateway,
        Self::Unavailable,
        Self::Timeout,
        Self::Full,
    ];

    /// A stable name, as finished operations keep it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Forbidden => "forbidden",
            Self::QuotaExceeded => "quota_exceeded",
            Self::NotFound => "not_found",
            Self::NotAllowed => "not_allowed",
            Self::Conflict => "conflict",
            Self::PreconditionFailed => "precondition_failed",
            Self::TooLarge => "too_large",
            Self::KeyReused => "key_reused",
            Self::Unsupported => "unsupported",
            Self::BadGateway => "bad_gateway",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Full => "full",
            Self::Internal => "internal",
        }
    }
}

/// The codes that errors carry; the durable form names one of them.
const CODES: [&str; 6] = [
    "quota_exceeded",
    "capacity_exhausted",
    "too_large",
    "in_use",
    "rate_limited",
    "cancelled",
];

impl EngineError {
    /// The same, with a machine-readable code.
    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The same, naming the operation that is in the way or that failed.
    pub(crate) fn with_operation(mut self, operation: Uuid) -> Self {
        self.operation = Some(operation);
        self
    }

    /// A fault of ours: the caller learns that, the log learns why.
    pub fn internal(context: impl std::fmt::Display) -> Self {
        Self {
            context: Some(context.to_string().into()),
            ..Self::new(FailureKind::Internal, "the server made a mistake; its log says more")
        }
    }

    /// The form in which a failed operation keeps it.
    pub(crate) fn to_json(&self) -> Json {
        json!({ "kind": self.kind.as_str(), "message": self.message, "code": self.code })
    }

    /// Reads what [`EngineError::to_json`] wrote.
    pub(crate) fn from_json(json: &Json, operation: Uuid) -> Self {
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let kind = FailureKind::ALL
            .into_iter()
            .find(|kind| Some(kind.as_str()) == text("kind"))
            .unwrap_or(FailureKind::Internal);
        Self {
            code: CODES.into_iter().find(|code| Some(*code) == text("code")),
            ..Self::new(kind, text("message").unwrap_or("the operation failed")).with_operation(operation)
        }
    }
}

impl From<BackendError> for EngineError {
    fn from(error: BackendError) -> Self {
        let BackendError {
            kind,
            outcome: _,
            message,
            context,
            retry_after,
            source,
        } = error;
        let (failure, code) = match kind {
            ErrorKind::Forbidden => (FailureKind::Forbidden, None),
            ErrorKind::QuotaExceeded => (FailureKind::QuotaExceeded, Some("quota_exceeded")),
            ErrorKind::NotFound => (FailureKind::NotFound, None),
            ErrorKind::Conflict | ErrorKind::Interrupted => (FailureKind::Conflict, None),
            ErrorKind::InUse => (FailureKind::Conflict, Some("in_use")),
            ErrorKind::Invalid => (FailureKind::Invalid, None),
            ErrorKind::Unsupported => (FailureKind::Unsupported, None),
            ErrorKind::CapacityExhausted => (FailureKind::Unavailable, Some(OUT_OF_ROOM)),
            ErrorKind::TooLarge => (FailureKind::Invalid, Some(TOO_LARGE)),
            ErrorKind::RateLimited => (FailureKind::Unavailable, Some("rate_limited")),
            // The service's own credentials: nothing that the caller could mend by logging in again.
            ErrorKind::Unavailable | ErrorKind::Unauthenticated => (FailureKind::Unavailable, None),
            ErrorKind::Timeout => (FailureKind::Timeout, None),
            ErrorKind::Unexpected => (FailureKind::BadGateway, None),
        };
        // Room comes when somebody gives something back.
        let soon = Duration::from_secs(if code == Some(OUT_OF_ROOM) { 60 } else { 10 });
        let context = match (context, source) {
            (Some(context), Some(source)) => Some(format!("{context}: {source}")),
            (context, source) => context.or_else(|| source.map(|source| source.to_string())),
        };
        Self {
            code,
            retry_after: retry_after.or_else(|| (failure == FailureKind::Unavailable).then_some(soon)),
            context: context.map(Into::into),
            ..Self::new(failure, message)
        }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refused) => refused.into(),
            StoreError::Full(source) => Self {
                context: Some(source.to_string().into()),
                retry_after: Some(Duration::from_secs(30)),
                ..Self::new(
                    FailureKind::Full,
                    "no space is left for the database: nothing can be changed now",
                )
            },
            StoreError::Failed(source) => Self {
                context: Some(source.to_string().into()),
                retry_after: Some(Duration::from_secs(10)),
                ..Self::new(FailureKind::Unavailable, "the database cannot be used now")
            },
            other @ (StoreError::Unsettled(_)
            | StoreError::Newer { .. }
            | StoreError::Locked
            | StoreError::Corrupt(_)) => Self::internal(other),
        }
    }
}

impl From<Refused> for EngineError {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::NoEntity(_) => Self::new(FailureKind::NotFound, "it is gone"),
            Refused::Generation { current, .. } => Self::new(
                FailureKind::PreconditionFailed,
                format!("it has changed: its generation is {current} now"),
            ),
            Refused::Changed { .. } => Self::new(
                FailureKind::PreconditionFailed,
                "something has changed since this was read: nothing was done",
            ),
            Refused::Busy { operation, verb, .. } => Self::new(
                FailureKind::Conflict,
                format!("busy: the operation {verb:?} is running on it"),
            )
            .with_operation(operation),
            Refused::Targeted { by, .. } => {
                Self::new(FailureKind::Conflict, format!("in use: {by} leads to it")).with_code("in_use")
            }
            Refused::Associated { mixin, by } => {
                Self::new(FailureKind::Conflict, format!("{mixin} is in use: {by} was made of it")).with_code("in_use")
            }
            Refused::Taken { what, name } => Self::new(FailureKind::Conflict, format!("the {what} {name:?} is taken")),
            Refused::Quota {
                what,
                limit,
                used,
                asked,
            } => Self::new(
                FailureKind::QuotaExceeded,
                format!("the quota of the project allows {limit} {what}: {used} are used, {asked} more are asked for"),
            )
            .with_code("quota_exceeded"),
            Refused::NoMixin(_) => Self::new(FailureKind::NotFound, message),
            Refused::Missing { what, name } => Self::new(FailureKind::NotFound, format!("no {what} {name:?}")),
            Refused::NotEmpty(_) | Refused::Shared { .. } | Refused::LastOperator(_) => {
                Self::new(FailureKind::Conflict, message)
            }
            Refused::LeaseLost(_) | Refused::Cancelled(_) | Refused::Repeated(_) => Self::internal(message),
        }
    }
}

impl EngineError {
    /// The same, naming the part of the request at fault.
    pub(crate) fn at(mut self, part: &str) -> Self {
        if self.details.is_empty() {
            self.details.push((part.to_owned(), self.message.clone()));
        }
        self
    }

    /// The same, for one of several parts of a request.
    pub(crate) fn within(mut self, part: &str) -> Self {
        self.message = format!("{part}: {}", self.message);
        for (path, _) in &mut self.details {
            *path = format!("{part}: {path}");
        }
        self
    }
}

impl From<Violation> for EngineError {
    fn from(violation: Violation) -> Self {
        let Violation { kind, path, message } = violation;
        Self::new(kind.into(), message).at(&path)
    }
}

impl From<ViolationKind> for FailureKind {
    fn from(kind: ViolationKind) -> Self {
        match kind {
            ViolationKind::Invalid => Self::Invalid,
            ViolationKind::Forbidden => Self::Forbidden,
            ViolationKind::Conflict => Self::Conflict,
            ViolationKind::Unsupported => Self::Unsupported,
            ViolationKind::TooLarge => Self::TooLarge,
        }
    }
}
