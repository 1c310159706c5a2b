//! Who asks, and how.

use occi_store::Role;
use std::sync::Arc;
use std::time::Duration;

/// Somebody who has been authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name, unique over all authenticators.
    pub name: String,
    /// Sees and does everything.
    pub operator: bool,
    /// Projects and what the principal may do there.
    pub projects: Vec<(String, Role)>,
    /// Where creates land when the request names no project, as long as the principal is a member of it.
    pub default_project: String,
}

impl Principal {
    /// What the principal may do in `project`; operators are managers everywhere.
    pub fn role_in(&self, project: &str) -> Option<Role> {
        if self.operator {
            return Some(Role::Manager);
        }
        self.projects
            .iter()
            .find(|(name, _)| name == project)
            .map(|(_, role)| *role)
    }

    /// The project of a request that names none: the default one. Who is no member of that any more has the first of the
    /// projects that are left, by name; so has an operator, whose default one may have been removed.
    pub fn home(&self) -> &str {
        let default = self.default_project.as_str();
        let left = || self.projects.iter().map(|(name, _)| name.as_str());
        match left().any(|name| name == default) {
            true => default,
            false => left().min().unwrap_or(default),
        }
    }
}

/// How long a write may take before its answer (`Prefer`, RFC 7240).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Until the engine has accepted it, at most the backend's `accept_wait`.
    #[default]
    Accepted,
    /// Until it is recorded (`wait=0`).
    Recorded,
    /// Until it ends, at most so long (`wait=N`).
    Outcome(Duration),
    /// Not at all: the answer is the operation (`respond-async`).
    Async,
}

/// How old a picture may be (`Cache-Control` of the request).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// What is remembered.
    #[default]
    Any,
    /// Not older than this (`max-age`).
    MaxAge(Duration),
    /// As the engine says now (`no-cache`).
    Now,
}

/// What must be true of the entity's generation (`If-Match`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// It exists (`*`).
    Exists,
    /// It has one of these generations.
    Generations(Vec<i64>),
}

/// A page of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Counted from 1.
    pub page: u64,
    /// Entities per page, at least 1.
    pub number: u32,
}

/// One request, as far as the engine needs to know it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who; shared, because every request of a client carries it.
    pub principal: Arc<Principal>,
    /// The project that the request names (`X-OCCI-Project`, `?project=`), if it does.
    pub project: Option<String>,
    /// The id of the request, for audit and logs.
    pub request: String,
    /// How long a write may take.
    pub wait: Wait,
    /// How old a picture may be.
    pub freshness: Freshness,
    /// The newest event that the client knows of (`If-Match` on a collection): after a newer one nothing is changed.
    pub since: Option<i64>,
    /// The client's idempotency key and a hash of method, path and body.
    pub idempotency: Option<(String, String)>,
}

impl Caller {
    /// Whether the answer says only that it goes on.
    pub(crate) fn answers_at_once(&self) -> bool {
        matches!(self.wait, Wait::Recorded | Wait::Async)
    }

    /// The project in which this request creates, and whose model it sees.
    pub fn effective_project(&self) -> &str {
        self.project.as_deref().unwrap_or_else(|| self.principal.home())
    }
}
