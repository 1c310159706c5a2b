//! What can go wrong, in the kinds that callers branch on.

use std::fmt;
use std::time::Duration;

/// The result of everything that may fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request makes no sense, by our own judgement or the server's (400, 405, 406, 413, 415, 422): change it.
    Invalid,
    /// Several things go by the name that was given: [`Error::candidates`] lists them.
    Ambiguous,
    /// There is no such thing, or it may not be seen (404, 410).
    NotFound,
    /// The server does not know who asks (401): other credentials are needed.
    Unauthenticated,
    /// It knows, and refuses (403).
    Forbidden,
    /// Not in this state, or somebody else was faster (409, 412): look again.
    Conflict,
    /// It took too long, on the way or in the server (504), or what was waited for did not come.
    Timeout,
    /// Nobody answers, or the server is overloaded or broken (429, 500, 502, 503, 507): try later.
    Unavailable,
    /// The server does not offer this (501).
    Unsupported,
    /// What was waited for has ended badly: a failed operation, a state `error`.
    Failed,
    /// The answer is not what the protocol says: broken off, unreadable, endless, or sent elsewhere.
    Protocol,
    /// The connection cannot be trusted, or the server does not accept our certificate.
    Tls,
}

impl ErrorKind {
    /// What an HTTP status says; of one that is no failure, [`Protocol`](Self::Protocol).
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthenticated,
            403 => Self::Forbidden,
            404 | 410 => Self::NotFound,
            408 | 504 => Self::Timeout,
            409 | 412 | 423 => Self::Conflict,
            429 | 500 | 502 | 503 | 507 => Self::Unavailable,
            501 | 505 => Self::Unsupported,
            400..=499 => Self::Invalid,
            500..=599 => Self::Unavailable,
            // A redirection that was not followed, or no status of an answer at all.
            _ => Self::Protocol,
        }
    }
}

/// A failure: of what kind, in a sentence, and what is known besides.
///
/// Its [`ErrorKind`] decides what a caller does next; its words are for people. Nothing in it ever holds a credential:
/// messages are made of our own words, of what the server says, and of URLs without user information. And nothing in it
/// moves the cursor of a terminal: what a server says is in one line.
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    status: Option<u16>,
    request_id: Option<String>,
    operation: Option<String>,
    candidates: Vec<String>,
    retry_after: Option<Duration>,
    exchange: Exchange,
    may_have_happened: bool,
    wants_authority: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// How far an exchange came before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exchange {
    Unknown,
    NotSent,
    BrokenOff,
}

impl Error {
    /// A failure in a sentence: what a [`Transport`](crate::transport::Transport) returns, or somebody who builds on this
    /// library. Words that move cursors are taken out.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: one_line(message),
            hint: None,
            status: None,
            request_id: None,
            operation: None,
            candidates: Vec::new(),
            retry_after: None,
            exchange: Exchange::Unknown,
            may_have_happened: false,
            wants_authority: false,
            source: None,
        }))
    }

    /// The same, where it is certain that the server has not seen the request: it may be sent again, whatever it is.
    pub fn not_sent(mut self) -> Self {
        self.0.exchange = Exchange::NotSent;
        self
    }

    /// The same, where the connection ended in the middle of an exchange: what does no harm if the server sees it twice may
    /// be sent again.
    pub fn broken_off(mut self) -> Self {
        self.0.exchange = Exchange::BrokenOff;
        self
    }

    /// The same with a [`hint`](Self::hint).
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(one_line(hint));
        self
    }

    /// The same with what caused it, which must hold no credential.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Protocol, message)
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(crate) fn with_request_id(mut self, id: Option<String>) -> Self {
        self.0.request_id = id.map(one_line);
        self
    }

    pub(crate) fn with_operation(mut self, url: Option<String>) -> Self {
        self.0.operation = url.map(one_line);
        self
    }

    pub(crate) fn with_candidates(mut self, candidates: Vec<String>) -> Self {
        self.0.candidates = candidates.into_iter().map(one_line).collect();
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// The server may have done what was asked for, or do it yet.
    pub(crate) fn uncertain(mut self) -> Self {
        self.0.may_have_happened = true;
        self.with_hint("what was asked for may have happened, or may still happen: look before asking again")
    }

    /// The same, with what came of asking again.
    pub(crate) fn and_then(mut self, next: &Self) -> Self {
        self.0.message = format!("{}; asked again, {}", self.0.message, next.0.message);
        self
    }

    /// Nobody whom the caller trusts has signed the server's certificate.
    pub(crate) fn wanting_authority(mut self) -> Self {
        self.0.wants_authority = true;
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, in a sentence; the server's own words where it had some.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it, in a sentence of its own.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The status of the server's answer.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// By which the server's log knows the request.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The operation that is in the way, or that goes on: its path on the server.
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// What an ambiguous name could have meant.
    pub fn candidates(&self) -> &[String] {
        &self.0.candidates
    }

    /// Whether a change was sent, and nobody knows what became of it: the server may have made it, or make it yet.
    pub fn may_have_happened(&self) -> bool {
        self.0.may_have_happened
    }

    /// Whether [`Tls::ca_files`](crate::Tls::ca_files) could name who is not trusted.
    pub fn wants_authority(&self) -> bool {
        self.0.wants_authority
    }

    /// After which time the server wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether it is certain that the server has not seen the request. If not, it may have.
    pub fn is_not_sent(&self) -> bool {
        self.0.exchange == Exchange::NotSent
    }

    /// Whether the connection ended in the middle of an exchange.
    pub fn is_broken_off(&self) -> bool {
        self.0.exchange == Exchange::BrokenOff
    }
}

/// Without what moves cursors.
fn one_line(text: impl Into<String>) -> String {
    let text = text.into();
    match text.contains(char::is_control) {
        true => text.replace(char::is_control, " "),
        false => text,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<occi_rendering::ComposeError> for Error {
    fn from(error: occi_rendering::ComposeError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<occi_model::IdentError> for Error {
    fn from(error: occi_model::IdentError) -> Self {
        Self::invalid(error.to_string())
    }
}
