//! A request that failed: what the client gets to read, in its own rendering.

use super::answer;
use super::ask::Manners;
use super::serve::Body;
use super::status::{self, Part};
use crate::auth::Refusal;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use occi_engine::{EngineError, FailureKind};
use occi_rendering::render::{self, Detail, Failure};
use occi_rendering::{MediaType, ParseError, RenderError};
use std::time::Duration;
use uuid::Uuid;

/// Everything an error answer is made of.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) message: String,
    details: Vec<(String, String)>,
    problem: Option<&'static str>,
    pub(super) operation: Option<Uuid>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            details: Vec::new(),
            problem: None,
            operation: None,
            headers: Vec::new(),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 412, where it is not an engine that says so.
    pub(super) fn changed_meanwhile() -> Self {
        let (status, problem) = status::of_failure(FailureKind::PreconditionFailed);
        let message = "it is not as If-Match says: nothing was done; read it again";
        Self::new(status, message).problem(problem)
    }

    /// 405, with what is possible instead.
    pub(super) fn not_allowed(method: &http::Method, what: &str, allow: &'static str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{method} is not possible on {what}; possible are {allow}"),
        )
        .with(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// The same, of a type of problem that is registered.
    pub(super) fn problem(mut self, problem: &'static str) -> Self {
        self.problem = Some(problem);
        self
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Tells the client when to try again.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        // A wait of 1.2 s is not over after 1 s.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// A message of the client that could not be read.
    pub(super) fn unreadable(error: ParseError, part: Part) -> Self {
        let mut fault = Self::new(status::of_parse_error(error.kind, part), error.to_string());
        if !error.place.is_empty() {
            fault.details.push((error.place, error.message));
        }
        fault
    }

    /// Who wants in, but may not.
    pub(super) fn refused(refusal: &Refusal, challenge: &HeaderValue) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Unauthenticated => {
                Self::new(StatusCode::UNAUTHORIZED, message).with(header::WWW_AUTHENTICATE, challenge.clone())
            }
            Refusal::SlowDown(wait) => Self::new(StatusCode::TOO_MANY_REQUESTS, message).retry_after(*wait),
            Refusal::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, message).retry_after(Duration::from_secs(1)),
            Refusal::Store(error) => {
                tracing::error!(%error, cause = ?std::error::Error::source(error), "the accounts cannot be read");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message).retry_after(Duration::from_secs(5))
            }
            Refusal::Failed => Self::new(StatusCode::INTERNAL_SERVER_ERROR, message),
        }
    }

    /// The answer.
    pub(super) fn answer(self, manners: &Manners) -> Response<Body> {
        let details: Vec<_> = self
            .details
            .iter()
            .map(|(path, message)| Detail { path, message })
            .collect();
        let failure = Failure {
            code: self.status.as_u16(),
            status: self.status.canonical_reason().unwrap_or("Error"),
            message: &self.message,
            details: &details,
            problem_type: self.problem,
            request_id: Some(&manners.request_id),
        };
        let rendered = if manners.accept.names_problem() {
            render::problem(&failure)
        } else {
            let media = manners.accept.choose(&answer::TEXT_AND_JSON);
            render::error(&failure, media.unwrap_or(MediaType::TextPlain))
        };
        let mut response = answer::rendered(self.status, rendered);
        if let Some(operation) = self.operation {
            answer::set(
                &mut response,
                answer::X_OCCI_OPERATION,
                &manners.operation_url(operation),
            );
        }
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        let is_out_of_room = error.is_out_of_room();
        let EngineError {
            kind,
            message,
            details,
            operation,
            retry_after,
            code: _,
            context,
        } = error;
        let (status, problem) = status::of_failure(kind);
        if is_out_of_room {
            // Whoever asks for more than there is can do so all day.
            tracing::debug!(message, context, "a request was refused: the engine has no room");
        } else if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            tracing::warn!(%status, message, context, "a request failed");
        }
        let fault = Self {
            problem: Some(problem),
            details,
            operation,
            ..Self::new(status, message)
        };
        match retry_after {
            Some(wait) => fault.retry_after(wait),
            None => fault,
        }
    }
}

impl From<RenderError> for Fault {
    fn from(error: RenderError) -> Self {
        Self::new(status::of_render_error(&error), error.to_string())
    }
}
