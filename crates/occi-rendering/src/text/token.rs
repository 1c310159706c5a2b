//! The tokenizer of the text renderings: comma lists of items, each with a head and parameters after semicolons.
//!
//! It accepts more than the grammar (GFD.229) asks for: parameters in any order, spaces around every
//! separator, separators too many, single quotes, bare words. It knows where quotes and angle brackets end, which is
//! what the clients and servers that split blindly get wrong.

use std::borrow::Cow;
use winnow::Parser;
use winnow::error::{AddContext, ParserError};
use winnow::stream::Stream;
use winnow::token::{any, literal, one_of, take_till, take_while};

/// Where a parser stopped, as the number of bytes that it had left, and what it wanted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) bytes_left: usize,
    pub(crate) expected: &'static str,
}

impl ParserError<&str> for Fault {
    type Inner = Self;

    fn from_input(input: &&str) -> Self {
        Self {
            bytes_left: input.len(),
            expected: "something else",
        }
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

impl<'a> AddContext<&'a str, &'static str> for Fault {
    fn add_context(self, _: &&'a str, _: &<&'a str as Stream>::Checkpoint, expected: &'static str) -> Self {
        Self { expected, ..self }
    }
}

pub(crate) type Tokens<T> = winnow::Result<T, Fault>;

/// What a backslash in a quoted string does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// It quotes the next character, whatever that is (RFC 9110, section 5.6.4).
    Quoting,
    /// The same, but `\n`, `\t`, `\r` and `\e` are control characters: rOCCI 4 writes strings as Ruby does.
    Ruby,
}

impl Escapes {
    fn decode(self, escaped: char) -> char {
        match (self, escaped) {
            (Self::Ruby, 'n') => '\n',
            (Self::Ruby, 't') => '\t',
            (Self::Ruby, 'r') => '\r',
            (Self::Ruby, 'e') => '\u{1b}',
            _ => escaped,
        }
    }
}

/// A value: its text and whether it stood in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word<'a> {
    Bare(&'a str),
    Quoted(Cow<'a, str>),
}

impl<'a> Word<'a> {
    pub(crate) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Bare(text) => Cow::Borrowed(text),
            Self::Quoted(text) => text,
        }
    }
}

/// `name=value`, and how many bytes were left before it.
#[derive(Clone, Debug)]
pub(crate) struct Parameter<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: Word<'a>,
    pub(crate) bytes_left: usize,
}

const SPACES: [char; 2] = [' ', '\t'];

fn skip<'a, const N: usize>(input: &mut &'a str, what: [char; N]) -> Tokens<&'a str> {
    take_while(0.., what).parse_next(input)
}

/// Goes to the next item of a list; false at the end.
pub(crate) fn next_item(input: &mut &str) -> Tokens<bool> {
    skip(input, [' ', '\t', ',', ';'])?;
    Ok(!input.is_empty())
}

/// The term at the head of a category.
pub(crate) fn term<'a>(input: &mut &'a str) -> Tokens<&'a str> {
    let term = take_till(1.., [' ', '\t', ',', ';', '=', '"'])
        .context("a term")
        .parse_next(input)?;
    end_of_value(input, "';' after the term")?;
    Ok(term)
}

/// The URI reference in angle brackets at the head of a link.
pub(crate) fn target<'a>(input: &mut &'a str) -> Tokens<&'a str> {
    literal("<").context("'<' before the target").parse_next(input)?;
    let target = take_till(0.., '>').parse_next(input)?;
    literal(">").context("'>' after the target").parse_next(input)?;
    end_of_value(input, "';' after the target")?;
    Ok(target.trim())
}

/// `name=value`, of an attribute field or as a parameter.
pub(crate) fn parameter<'a>(input: &mut &'a str, escapes: Escapes) -> Tokens<Parameter<'a>> {
    let bytes_left = input.len();
    let name = take_till(1.., [' ', '\t', ',', ';', '=', '"', '<', '>'])
        .context("a name")
        .parse_next(input)?;
    skip(input, SPACES)?;
    literal("=")
        .context("'=' and a value after the name")
        .parse_next(input)?;
    skip(input, SPACES)?;
    let value = match input.chars().next() {
        Some('"' | '\'') => Word::Quoted(quoted(input, escapes)?),
        _ => {
            let bare = take_till(1.., [',', ';', '"']).context("a value").parse_next(input)?;
            Word::Bare(bare.trim_end_matches(SPACES))
        }
    };
    end_of_value(input, "',' or ';' after the value")?;
    Ok(Parameter {
        name,
        value,
        bytes_left,
    })
}

/// The parameters of an item, up to the comma that ends it.
pub(crate) fn parameters<'a>(input: &mut &'a str, escapes: Escapes) -> Tokens<Vec<Parameter<'a>>> {
    let mut found = Vec::new();
    loop {
        skip(input, [' ', '\t', ';'])?;
        if input.is_empty() || input.starts_with(',') {
            return Ok(found);
        }
        found.push(parameter(input, escapes)?);
    }
}

/// A list of plain URI references.
pub(crate) fn locations(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|location| !location.is_empty())
}

fn quoted<'a>(input: &mut &'a str, escapes: Escapes) -> Tokens<Cow<'a, str>> {
    let quote = one_of(['"', '\'']).parse_next(input)?;
    let mut text = Cow::Borrowed(take_till(0.., [quote, '\\']).parse_next(input)?);
    loop {
        if any.context("a closing quote").parse_next(input)? == quote {
            return Ok(text);
        }
        let escaped = any.context("a character after the backslash").parse_next(input)?;
        let text = text.to_mut();
        text.push(escapes.decode(escaped));
        text.push_str(take_till(0.., [quote, '\\']).parse_next(input)?);
    }
}

fn end_of_value(input: &mut &str, expected: &'static str) -> Tokens<()> {
    skip(input, SPACES)?;
    if input.is_empty() || input.starts_with([',', ';']) {
        Ok(())
    } else {
        Err(Fault {
            bytes_left: input.len(),
            expected,
        })
    }
}
