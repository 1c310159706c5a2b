//! An answer as it came, and what a case may say about it. A case that is disappointed panics with the whole exchange.

use crate::reading::Reading;
use serde_json::Value;

/// An answer. Its assertions name the caller's line, not theirs.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The request, for the message of a failure.
    pub(crate) question: String,
    /// The minor version of HTTP/1.
    pub(crate) version: u8,
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// Every line, in order, spelled as it came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first line with this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every line with this name, in order.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The media type without parameters.
    pub(crate) fn media(&self) -> &str {
        self.header("content-type")
            .map_or("", |media| media.split(';').next().unwrap_or_default().trim())
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => self.fail(&format!("the body is not UTF-8: {error}")),
        }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => self.fail(&format!("the body is not JSON: {error}")),
        }
    }

    /// What it says, in text/plain or text/occi.
    #[track_caller]
    pub(crate) fn read(&self) -> Reading {
        match Reading::of(self) {
            Ok(reading) => reading,
            Err(problem) => self.fail(&format!("it cannot be read: {problem}")),
        }
    }

    /// The URI of what was made.
    #[track_caller]
    pub(crate) fn location(&self) -> String {
        match self.header("location") {
            Some(location) => location.to_owned(),
            None => self.fail("there is no Location"),
        }
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        self.among(&[status])
    }

    #[track_caller]
    pub(crate) fn among(self, statuses: &[u16]) -> Self {
        if !statuses.contains(&self.status) {
            self.fail(&format!("expected the status {statuses:?}"));
        }
        self
    }

    #[track_caller]
    pub(crate) fn not(self, status: u16) -> Self {
        if self.status == status {
            self.fail("expected another status");
        }
        self
    }

    /// Ends the case with the exchange and what was wrong with it.
    #[track_caller]
    pub(crate) fn fail(&self, problem: &str) -> ! {
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("< {name}: {}\n", shortened(value)))
            .collect();
        let body = String::from_utf8_lossy(&self.body);
        panic!(
            "{problem}\n{}< {} {}\n{headers}<\n{}",
            self.question,
            self.status,
            self.reason,
            shortened(&body)
        );
    }
}

/// Enough to see what was sent.
pub(crate) fn shortened(text: &str) -> String {
    const ENOUGH: usize = 2000;
    if text.chars().count() <= ENOUGH {
        return text.to_owned();
    }
    let start: String = text.chars().take(ENOUGH).collect();
    format!("{start}... ({} bytes)", text.len())
}
