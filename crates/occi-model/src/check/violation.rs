//! Why a request was refused.

use crate::ResolveError;

/// What a caller branches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ViolationKind {
    /// It contradicts the model: unknown, wrong, or missing.
    Invalid,
    /// The model does not permit it: immutable, not applicable to this kind, reserved.
    Forbidden,
    /// It contradicts itself or what is there: two templates, a name that is taken.
    Conflict,
    /// The documents define it and this service leaves it out.
    Unsupported,
    /// There is too much of it.
    TooLarge,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Violation {
    /// What a caller branches on.
    pub kind: ViolationKind,
    /// The part at fault: `kind`, `mixins`, `source`, `attributes.occi.compute.cores`, `links[0].target`.
    pub path: String,
    /// One sentence that says what is wrong and what is expected.
    pub message: String,
}

impl Violation {
    pub(super) fn new(kind: ViolationKind, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            path: path.into(),
            message: message.into(),
        }
    }

    pub(super) fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ViolationKind::Invalid, path, message)
    }

    pub(super) fn forbidden(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ViolationKind::Forbidden, path, message)
    }

    pub(super) fn conflict(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ViolationKind::Conflict, path, message)
    }

    pub(super) fn of_category(error: &ResolveError, path: impl Into<String>) -> Self {
        let kind = match error {
            ResolveError::LeftOut(_) => ViolationKind::Unsupported,
            _ => ViolationKind::Invalid,
        };
        Self::new(kind, path, error.to_string())
    }

    /// The same, of a part of the request.
    pub(super) fn at(mut self, at: &str) -> Self {
        self.path.insert_str(0, at);
        self
    }
}
