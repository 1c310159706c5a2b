//! Why a message could not be read, or an answer not be written.

use crate::MediaType;
use occi_model::{AttributeName, IdentError};
use std::fmt;

/// What is wrong with a message; what callers branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParseErrorKind {
    /// It does not follow the rendering's grammar.
    Syntax,
    /// It names a kind, mixin or action that the service does not have. In a body this is a bad request, in a filter
    /// something that was not found.
    UnknownCategory,
    /// A category is not of the class that the message gives or the request needs.
    ClassMismatch,
    /// It says one thing in one place and another in another: two kinds, two titles.
    Contradiction,
    /// The rendering or the service has no way to say this in this request.
    Unsupported,
    /// It holds more categories, attributes or levels than the service reads.
    TooLarge,
}

/// A message that could not be read: what kind of fault, where, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// What callers branch on.
    pub kind: ParseErrorKind,
    /// Where: `line 2, column 14`, `header Category, column 3`, `resources[0].attributes.occi.compute.cores`; may be
    /// empty.
    pub place: String,
    /// What is wrong, in words for the client.
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(kind: ParseErrorKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            place: shortened(place.into()),
            message: shortened(message.into()),
        }
    }

    pub(crate) fn syntax(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ParseErrorKind::Syntax, place, message)
    }

    pub(crate) fn ident(place: impl Into<String>, error: IdentError) -> Self {
        Self::syntax(place, error.to_string())
    }
}

/// What quotes the client may not be as long as what the client sent.
fn shortened(mut text: String) -> String {
    const MOST: usize = 500;
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push_str("...");
    }
    text
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.place, self.message)
        }
    }
}

/// Why something could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The headers of a text/occi answer would be larger than clients read; nothing is ever cut off.
    #[error("the answer needs {size} bytes of headers and only {limit} are allowed: ask for text/plain")]
    TooLargeForHeaders {
        /// The bytes needed, of the largest field or of all.
        size: usize,
        /// The limit that was passed.
        limit: usize,
    },
    /// The media type has no way to express this (a single entity as text/uri-list).
    #[error("this cannot be rendered as {0}")]
    CannotExpress(MediaType),
}

/// Why a client's request could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// As for answers.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The text renderings have no word for the absence of a value.
    #[error("{0} can be unset in JSON only: the text renderings have no word for it")]
    CannotUnset(AttributeName),
    /// A line break or another control character would end the line, or the header, of a text rendering.
    #[error("{0} holds a line break or another control character, which the text renderings cannot carry: use JSON")]
    ControlCharacter(AttributeName),
}
