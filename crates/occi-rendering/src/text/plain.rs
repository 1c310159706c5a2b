//! text/plain: one field per line of the body.

use super::field::Field;
use super::message::{Message, Source};
use super::token::Escapes;
use crate::ParseError;
use std::borrow::Cow;

/// What to do with a line that is no known field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// A server refuses it.
    Refuse,
    /// A client passes over it.
    Ignore,
}

/// Reads a body. One that says nothing but `OK` is empty: clients send that where they have to send something.
pub(crate) fn read(body: &[u8], escapes: Escapes, unknown: Unknown) -> Result<Message, ParseError> {
    let mut message = Message::default();
    if body.trim_ascii() == b"OK" {
        return Ok(message);
    }
    for (number, line) in logical_lines(&decode(body)) {
        let field = line
            .split_once(':')
            .and_then(|(name, value)| Some((Field::named(name.trim())?, value)));
        match field {
            Some((field, value)) => {
                let source = Source::Line {
                    number,
                    value_column: line[..line.len() - value.len()].chars().count(),
                };
                message.read(field, value, source, escapes)?;
            }
            None if unknown == Unknown::Ignore => {}
            None => {
                let name: String = line.split(':').next().unwrap_or_default().chars().take(40).collect();
                let message =
                    format!("unknown field {name:?}: must be Category, Link, X-OCCI-Attribute or X-OCCI-Location");
                return Err(ParseError::syntax(format!("line {number}"), message));
            }
        }
    }
    Ok(message)
}

/// UTF-8, else ISO-8859-1, which every sequence of bytes is.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// The lines that are not blank, each with the number of its first physical line. A line that begins with a space
/// continues the one before, as does any line after a backslash at the end.
fn logical_lines(text: &str) -> Vec<(usize, Cow<'_, str>)> {
    let mut lines: Vec<(usize, Cow<'_, str>)> = Vec::new();
    let mut rest = text;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = &rest[end..];
        rest = rest.strip_prefix("\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
        match lines.last_mut() {
            _ if line.trim().is_empty() => {}
            Some((_, previous)) if previous.ends_with('\\') => {
                let previous = previous.to_mut();
                previous.pop();
                previous.push_str(line);
            }
            Some((_, previous)) if line.starts_with([' ', '\t']) => {
                let previous = previous.to_mut();
                previous.push(' ');
                previous.push_str(line.trim_start());
            }
            _ => lines.push((number, Cow::Borrowed(line))),
        }
    }
    lines
}
