//! text/plain: one field per line of the body.

use super::field::Field;
use super::message::{Manner, Message, Source};
use crate::ParseError;
use std::borrow::Cow;

/// Reads a body. One that says nothing but `OK` is empty: clients send that where they have to send something.
pub(crate) fn read(body: &[u8], manner: &Manner) -> Result<Message, ParseError> {
    let mut message = Message::default();
    if body.trim_ascii() == b"OK" {
        return Ok(message);
    }
    let text = match std::str::from_utf8(body) {
        Err(error) if manner.is_strict => {
            let line = 1 + body[..error.valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            return Err(ParseError::syntax(format!("line {line}"), "the body is not UTF-8"));
        }
        _ => decode(body),
    };
    for (number, line) in (Lines { rest: &text, number: 0 }) {
        let field = line
            .split_once(':')
            .and_then(|(name, value)| Some((Field::named(name.trim())?, value)));
        match field {
            Some((field, value)) => {
                let source = Source::Line {
                    number,
                    value_column: line.len() - value.len(),
                };
                message.read(field, value, source, manner)?;
            }
            None if !manner.is_strict => {}
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
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    /// The next physical line, ended by CR, LF or both.
    fn physical(&mut self) -> &'a str {
        let end = self.rest.find(['\r', '\n']).unwrap_or(self.rest.len());
        let (line, after) = self.rest.split_at(end);
        let after = after.strip_prefix('\r').unwrap_or(after);
        // A CR alone ends a line as well.
        self.rest = after.strip_prefix('\n').unwrap_or(after);
        self.number += 1;
        line
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let line = self.physical();
            if line.trim().is_empty() {
                continue;
            }
            let number = self.number;
            let mut line = Cow::Borrowed(line);
            while !self.rest.is_empty() {
                if line.ends_with('\\') {
                    line.to_mut().pop();
                    line.to_mut().push_str(self.physical());
                } else if self.rest.starts_with([' ', '\t']) {
                    let more = self.physical().trim();
                    line.to_mut().push(' ');
                    line.to_mut().push_str(more);
                } else {
                    break;
                }
            }
            return Some((number, line));
        }
        None
    }
}
