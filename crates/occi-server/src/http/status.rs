//! The one table from kinds of failure to statuses, and what a client should make of each.

use http::StatusCode;
use occi_engine::FailureKind;
use occi_rendering::{ParseErrorKind, RenderError};

/// The status and the type of problem (RFC 9457) of a failed verb.
pub(crate) fn of_failure(kind: FailureKind) -> (StatusCode, &'static str) {
    match kind {
        // Change the request.
        FailureKind::Invalid => (StatusCode::BAD_REQUEST, "urn:occid:problem:invalid"),
        FailureKind::Forbidden => (StatusCode::FORBIDDEN, "urn:occid:problem:forbidden"),
        FailureKind::QuotaExceeded => (StatusCode::FORBIDDEN, "urn:occid:problem:quota-exceeded"),
        // Also for what exists but may not be seen.
        FailureKind::NotFound => (StatusCode::NOT_FOUND, "urn:occid:problem:not-found"),
        FailureKind::NotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "urn:occid:problem:not-allowed"),
        // Look at the entity and try again.
        FailureKind::Conflict => (StatusCode::CONFLICT, "urn:occid:problem:conflict"),
        FailureKind::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "urn:occid:problem:changed-meanwhile"),
        FailureKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "urn:occid:problem:too-large"),
        FailureKind::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "urn:occid:problem:key-reused"),
        // Do not try again here.
        FailureKind::Unsupported => (StatusCode::NOT_IMPLEMENTED, "urn:occid:problem:unsupported"),
        // Try again later.
        FailureKind::BadGateway => (StatusCode::BAD_GATEWAY, "urn:occid:problem:engine-failed"),
        FailureKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "urn:occid:problem:unavailable"),
        FailureKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "urn:occid:problem:timeout"),
        FailureKind::Full => (StatusCode::INSUFFICIENT_STORAGE, "urn:occid:problem:full"),
        // Tell the operator.
        FailureKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "urn:occid:problem:internal"),
    }
}

/// The type of problem of a reader of events who has missed some: list again, then follow.
pub(super) const RESYNC: &str = "urn:occid:problem:resync";

/// Where an unreadable message stood, which decides what an unknown category means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A description: an unknown category is a bad request.
    Body,
    /// A filter: an unknown category is something that is not there.
    Filter,
}

/// The status of a message that could not be read.
pub(super) fn of_parse_error(kind: ParseErrorKind, part: Part) -> StatusCode {
    match (kind, part) {
        (ParseErrorKind::UnknownCategory, Part::Filter) => StatusCode::NOT_FOUND,
        (
            ParseErrorKind::UnknownCategory
            | ParseErrorKind::Syntax
            | ParseErrorKind::ClassMismatch
            | ParseErrorKind::Contradiction
            | ParseErrorKind::Unsupported,
            _,
        ) => StatusCode::BAD_REQUEST,
        (ParseErrorKind::TooLarge, _) => StatusCode::PAYLOAD_TOO_LARGE,
    }
}

/// The status of an answer that could not be written as asked.
pub(super) fn of_render_error(error: &RenderError) -> StatusCode {
    match error {
        RenderError::TooLargeForHeaders { .. } => StatusCode::NOT_ACCEPTABLE,
        RenderError::CannotExpress(_) => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_status() {
        for (kind, status) in [
            (FailureKind::Invalid, 400),
            (FailureKind::Forbidden, 403),
            (FailureKind::QuotaExceeded, 403),
            (FailureKind::NotFound, 404),
            (FailureKind::NotAllowed, 405),
            (FailureKind::Conflict, 409),
            (FailureKind::PreconditionFailed, 412),
            (FailureKind::TooLarge, 413),
            (FailureKind::KeyReused, 422),
            (FailureKind::Internal, 500),
            (FailureKind::Unsupported, 501),
            (FailureKind::BadGateway, 502),
            (FailureKind::Unavailable, 503),
            (FailureKind::Timeout, 504),
            (FailureKind::Full, 507),
        ] {
            assert_eq!(of_failure(kind).0.as_u16(), status, "{kind:?}");
        }
    }

    #[test]
    fn an_unknown_category_is_bad_in_a_body_and_missing_in_a_filter() {
        let unknown = ParseErrorKind::UnknownCategory;
        assert_eq!(of_parse_error(unknown, Part::Body), StatusCode::BAD_REQUEST);
        assert_eq!(of_parse_error(unknown, Part::Filter), StatusCode::NOT_FOUND);
        assert_eq!(
            of_parse_error(ParseErrorKind::Syntax, Part::Filter),
            StatusCode::BAD_REQUEST
        );
        let large = RenderError::TooLargeForHeaders { size: 2, limit: 1 };
        assert_eq!(of_render_error(&large), StatusCode::NOT_ACCEPTABLE);
    }
}
