//! A JSON document in memory, bounded while it is being read.
//!
//! serde_json's own `Value` takes eighty bytes for each `0,` of a hostile body and keeps reading; this one stops at a
//! number of values that no honest request has, and at a depth at which recursion is still cheap.

use crate::{ParseError, ParseErrorKind};
use occi_model::Value;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// The deepest nesting of arrays and objects.
pub(crate) const MAX_DEPTH: usize = 32;
/// The most values in one document.
pub(crate) const MAX_VALUES: usize = 200_000;

/// A JSON value. Members keep their order; the last of a name counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Scalar(Value),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Reads a document.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let values = Cell::new(0);
        let seed = Seed {
            values: &values,
            depth: 0,
        };
        let mut reader = serde_json::Deserializer::from_slice(body);
        let parsed = seed
            .deserialize(&mut reader)
            .and_then(|node| reader.end().map(|()| node));
        let node = parsed.map_err(|error| {
            let text = error.to_string();
            let reason = text.rsplit_once(" at line").map_or(text.as_str(), |(reason, _)| reason);
            let kind = match error.is_data() {
                true => ParseErrorKind::TooLarge,
                false => ParseErrorKind::Syntax,
            };
            let place = format!("line {}, column {}", error.line(), error.column());
            ParseError::new(kind, place, format!("not readable as JSON: {reason}"))
        })?;
        // It can be written in one way only, and no other rendering and not every database has a place for it.
        if body.windows(6).any(|six| six == b"\\u0000") && node.holds_nul() {
            return Err(ParseError::syntax("", "the character U+0000 is not allowed"));
        }
        Ok(node)
    }

    fn holds_nul(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Scalar(value) => value.as_str().is_some_and(|text| text.contains('\0')),
            Self::Array(nodes) => nodes.iter().any(Self::holds_nul),
            Self::Object(members) => members
                .iter()
                .any(|(name, node)| name.contains('\0') || node.holds_nul()),
        }
    }

    /// What this is, in words.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Scalar(Value::String(_)) => "a string",
            Self::Scalar(Value::Boolean(_)) => "a boolean",
            Self::Scalar(_) => "a number",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The text of a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Scalar(value) => value.as_str(),
            _ => None,
        }
    }

    /// The member `name` of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().rev().find(|(key, _)| key == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// As the value of an attribute; `None` if there is a `null` in it.
    pub(crate) fn to_value(&self) -> Option<Value> {
        Some(match self {
            Self::Null => return None,
            Self::Scalar(value) => value.clone(),
            Self::Array(nodes) => Value::List(nodes.iter().map(Self::to_value).collect::<Option<_>>()?),
            Self::Object(members) => Value::Hash(
                members
                    .iter()
                    .map(|(name, node)| Some((name.clone(), node.to_value()?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }
}

/// Reads one value and counts it.
#[derive(Clone, Copy)]
struct Seed<'c> {
    values: &'c Cell<usize>,
    depth: usize,
}

impl Seed<'_> {
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > MAX_VALUES {
            return Err(D::Error::custom(format_args!("more than {MAX_VALUES} values")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
        Ok(Node::Scalar(truth.into()))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Scalar(number.into()))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "JSON numbers beyond 64 bits are approximate anyway"
        )]
        Ok(Node::Scalar(match i64::try_from(number) {
            Ok(whole) => whole.into(),
            Err(_) => (number as f64).into(),
        }))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Scalar(number.into()))
    }
    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Scalar(text.into()))
    }
    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Scalar(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let inside = self.inside()?;
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element_seed(inside)? {
            nodes.push(node);
        }
        Ok(Node::Array(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let inside = self.inside()?;
        let mut members = Vec::new();
        while let Some(name) = access.next_key()? {
            members.push((name, access.next_value_seed(inside)?));
        }
        Ok(Node::Object(members))
    }
}
