//! YAML and JSON as a tree in which everything knows its line.

use crate::failure::Failure;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_saphyr::{Location, Spanned};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place in a file, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: Arc<Path>,
    pub(super) line: u64,
}

/// A part of a file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) shape: Shape,
}

/// What a part is.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Null,
    /// A number or a truth value, as it is written: what it means is for the attribute's definition to say.
    Word(String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<Entry>),
}

/// A name in a map, and what it names.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) node: Node,
}

impl Place {
    /// `web.yaml:12: ...`
    pub(super) fn refuse(&self, why: impl fmt::Display) -> Failure {
        Failure::usage(format!("{self}: {why}"))
    }

    /// Where a file that this one names is looked for.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.file.parent().unwrap_or_else(|| Path::new("")).join(name)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl Node {
    /// Reads a whole file.
    ///
    /// # Errors
    /// It is neither YAML nor JSON; a name is there twice in a map.
    pub(super) fn read(text: &str, file: &Path) -> Result<Self, Failure> {
        let options = serde_saphyr::options! { with_snippet: false };
        let file: Arc<Path> = file.into();
        match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
            Ok(raw) => Ok(Reading { text, file }.node(raw)),
            Err(error) => {
                let line = error.location().map_or(1, |location| location.line());
                let words = error.to_string();
                // Its advice is for programmers, and its place is said already.
                let words = match words.as_str() {
                    words if words.contains("recursive references") => "this refers to itself",
                    words if words.contains("budget") => "this is too much for one file, or repeats itself too often",
                    words => [" at line ", ", set ", "; use "]
                        .iter()
                        .fold(words, |words, end| words.split(end).next().unwrap_or(words)),
                };
                Err(Place { file, line }.refuse(words))
            }
        }
    }

    /// What it is, for messages.
    pub(super) fn what(&self) -> &'static str {
        match self.shape {
            Shape::Null => "nothing",
            Shape::Word(_) | Shape::Text(_) => "a word",
            Shape::List(_) => "a list",
            Shape::Map(_) => "a map",
        }
    }

    /// The text, if this is a single value.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.shape {
            Shape::Word(text) | Shape::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text; `what` says what it is the text of.
    pub(super) fn need_text(&self, what: &str) -> Result<&str, Failure> {
        self.text().filter(|text| !text.trim().is_empty()).ok_or_else(|| {
            self.place
                .refuse(format!("{what} is a word, and this is {}", self.what()))
        })
    }

    /// The members, if this is a list; a single thing is a list of one, and nothing is an empty one.
    pub(super) fn many(&self) -> &[Node] {
        match &self.shape {
            Shape::List(all) => all,
            Shape::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// The entries of a map; `what` says of what.
    pub(super) fn entries(&self, what: &str) -> Result<&[Entry], Failure> {
        match &self.shape {
            Shape::Map(entries) => Ok(entries),
            Shape::Null => Ok(&[]),
            _ => Err(self.place.refuse(format!(
                "{what} is a map of names and values, and this is {}",
                self.what()
            ))),
        }
    }

    /// As JSON, where the meaning of a word is that of its look.
    pub(super) fn json(&self) -> Json {
        match &self.shape {
            Shape::Null => Json::Null,
            Shape::Word(word) => serde_json::from_str(word).unwrap_or_else(|_| word.as_str().into()),
            Shape::Text(text) => text.as_str().into(),
            Shape::List(all) => all.iter().map(Self::json).collect(),
            Shape::Map(entries) => {
                let members = entries.iter().map(|entry| (entry.name.clone(), entry.node.json()));
                Json::Object(members.collect())
            }
        }
    }
}

/// A file on its way to a tree.
struct Reading<'t> {
    text: &'t str,
    file: Arc<Path>,
}

impl Reading<'_> {
    fn place(&self, location: Location) -> Place {
        Place {
            file: self.file.clone(),
            line: location.line(),
        }
    }

    fn node(&self, raw: Spanned<Raw>) -> Node {
        let place = self.place(raw.referenced);
        let shape = match raw.value {
            Raw::Null => Shape::Null,
            // `1.10` and `0x10` are for whoever knows what they are values of.
            Raw::Word(read) => Shape::Word(self.written(raw.defined).unwrap_or(read)),
            Raw::Text(text) => Shape::Text(text),
            Raw::List(all) => Shape::List(all.into_iter().map(|one| self.node(one)).collect()),
            Raw::Map(entries) => {
                let entries = entries.into_iter().map(|(name, raw)| Entry {
                    place: self.place(name.referenced),
                    name: name.value,
                    node: self.node(raw),
                });
                Shape::Map(entries.collect())
            }
        };
        Node { place, shape }
    }

    fn written(&self, location: Location) -> Option<String> {
        let span = location.span();
        let begin = usize::try_from(span.byte_offset()?).ok()?;
        let end = begin.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
        let written = self.text.get(begin..end)?.trim();
        (!written.is_empty()).then(|| written.to_owned())
    }
}

/// What the parser reads.
enum Raw {
    Null,
    Word(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shaping)
    }
}

struct Shaping;

impl<'de> Visitor<'de> for Shaping {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a map")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Raw, E> {
        Ok(Raw::Word(truth.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Raw, E> {
        Ok(Raw::Word(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Raw, E> {
        Ok(Raw::Word(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Raw, E> {
        Ok(Raw::Word(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = access.next_element()? {
            all.push(one);
        }
        Ok(Raw::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_knows_its_line_and_words_stay_as_they_are_written() {
        let text =
            "- network: 1.10\n  address: 10.1.0.0/24\n  on: yes\n- {storage: data,\n   size: 010}\n- n: ~\n  t: '7'\n";
        let tree = Node::read(text, Path::new("x.yaml")).unwrap();
        let [first, second, third] = tree.many() else {
            panic!("{tree:?}")
        };
        let entries = first.entries("it").unwrap();
        let said: Vec<_> = entries
            .iter()
            .map(|entry| (entry.place.line, entry.name.as_str(), entry.node.text().unwrap()))
            .collect();
        assert_eq!(
            said,
            [(1, "network", "1.10"), (2, "address", "10.1.0.0/24"), (3, "on", "yes")]
        );
        let entries = second.entries("it").unwrap();
        assert_eq!((entries[1].place.line, entries[1].node.text()), (5, Some("010")));
        let entries = third.entries("it").unwrap();
        assert!(matches!(entries[0].node.shape, Shape::Null));
        assert!(matches!(entries[1].node.shape, Shape::Text(_)));

        for (wrong, words) in [
            ("- a: 1\n  a: 2\n", "x.yaml:2: "),
            ("- a: [1\n", "x.yaml:"),
            ("---\n- a: 1\n---\n- b: 2\n", "x.yaml:"),
        ] {
            let failure = Node::read(wrong, Path::new("x.yaml")).unwrap_err();
            assert!(failure.message.starts_with(words), "{failure}");
            println!("{failure}");
        }
    }
}
