//! What the four fields of a message say, before the model has been asked about it.

use super::field::Field;
use super::token::{self, Escapes, Fault, Tokens, Word};
use crate::{ParseError, ParseErrorKind};
use occi_model::{AttributeName, Class, IdentError, Input, TypeId};
use std::fmt;

/// Where in a message something stands. Columns count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    source: Source,
    column: usize,
}

/// What a field was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A line of a body, counted from 1, and the column at which the field's value begins.
    Line { number: usize, value_column: usize },
    /// A header.
    Header(Field),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Line { number, value_column } => write!(f, "line {number}, column {}", value_column + self.column),
            Source::Header(field) => write!(f, "header {}, column {}", field.name(), self.column),
        }
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

/// The name and flags of an attribute that a category defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttributeFlags {
    pub(crate) name: AttributeName,
    pub(crate) immutable: bool,
    pub(crate) required: bool,
}

/// A `Category` field.
#[derive(Clone, Debug)]
pub(crate) struct CategoryField {
    pub(crate) place: Place,
    pub(crate) id: TypeId,
    pub(crate) class: Option<Class>,
    pub(crate) title: Option<String>,
    pub(crate) rel: Vec<String>,
    pub(crate) location: Option<String>,
    pub(crate) attributes: Vec<AttributeFlags>,
    pub(crate) actions: Vec<String>,
}

/// A `Link` field.
#[derive(Clone, Debug)]
pub(crate) struct LinkField {
    pub(crate) place: Place,
    pub(crate) target: String,
    pub(crate) rel: Vec<String>,
    pub(crate) own_location: Option<String>,
    pub(crate) category: Vec<String>,
    pub(crate) attributes: Vec<(AttributeName, Input)>,
}

impl LinkField {
    /// Whether this refers to an action and not to a link instance.
    pub(crate) fn is_action(&self) -> bool {
        self.target.contains("?action=")
    }
}

/// All fields of a message, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) categories: Vec<CategoryField>,
    pub(crate) links: Vec<LinkField>,
    pub(crate) attributes: Vec<(AttributeName, Input)>,
    pub(crate) locations: Vec<String>,
}

/// In what manner a message is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// What backslashes do.
    pub(crate) escapes: Escapes,
    /// Whether what the grammar has no place for is an error: in text/plain a line that is no known field, anywhere a
    /// control character.
    pub(crate) is_strict: bool,
    /// Where to stop.
    pub(crate) limits: Limits,
}

/// The most of each thing that is read from one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) categories: usize,
    pub(crate) links: usize,
    /// Of the message, and of each link.
    pub(crate) attributes: usize,
    pub(crate) locations: usize,
}

impl Manner {
    /// A client takes what it gets.
    pub(crate) const CLIENT: Self = Self {
        escapes: Escapes::Quoting,
        is_strict: false,
        limits: Limits {
            categories: usize::MAX,
            links: usize::MAX,
            attributes: usize::MAX,
            locations: usize::MAX,
        },
    };
}

impl Message {
    /// Reads the value of one field and adds what it says.
    pub(crate) fn read(
        &mut self,
        field: Field,
        value: &str,
        source: Source,
        manner: &Manner,
    ) -> Result<(), ParseError> {
        let reader = Reader {
            whole: value,
            source,
            manner,
        };
        if manner.is_strict {
            reader.check_characters()?;
        }
        let Limits {
            categories,
            links,
            attributes,
            locations,
        } = manner.limits;
        match field {
            Field::Category => reader.list(&mut self.categories, categories, Reader::category),
            Field::Link => reader.list(&mut self.links, links, Reader::link),
            Field::Attribute => reader.list(&mut self.attributes, attributes, Reader::attribute),
            Field::Location => {
                let before = self.locations.len();
                self.locations.extend(token::locations(value).map(str::to_owned));
                // Who names nothing is not to be taken for one who means everything.
                if manner.is_strict && self.locations.len() == before {
                    return Err(ParseError::syntax(reader.place(value.len()), "expected a location"));
                }
                reader.check_count(self.locations.len(), locations, 0)
            }
        }
    }
}

/// Reads one field value; knows where it is.
struct Reader<'a> {
    whole: &'a str,
    source: Source,
    manner: &'a Manner,
}

impl<'a> Reader<'a> {
    fn place(&self, bytes_left: usize) -> Place {
        Place {
            source: self.source,
            column: self.whole.len() - bytes_left + 1,
        }
    }

    /// Text holds tabs, but no other control characters (GFD.229, after RFC 9110, section 5.6.4).
    fn check_characters(&self) -> Result<(), ParseError> {
        let is_control = |byte: u8| byte.is_ascii_control() && byte != b'\t';
        match self.whole.bytes().position(is_control) {
            Some(at) => Err(ParseError::syntax(
                self.place(self.whole.len() - at),
                format!(
                    "the control character {:?} is not allowed",
                    char::from(self.whole.as_bytes()[at])
                ),
            )),
            None => Ok(()),
        }
    }

    fn token<T>(&self, result: Tokens<T>) -> Result<T, ParseError> {
        result.map_err(|Fault { bytes_left, expected }| {
            ParseError::syntax(self.place(bytes_left), format!("expected {expected}"))
        })
    }

    fn ident<T>(&self, bytes_left: usize, result: Result<T, IdentError>) -> Result<T, ParseError> {
        result.map_err(|error| ParseError::ident(self.place(bytes_left), error))
    }

    fn list<T>(
        &self,
        found: &mut Vec<T>,
        most: usize,
        item: impl Fn(&Self, &mut &'a str) -> Result<T, ParseError>,
    ) -> Result<(), ParseError> {
        let mut input = self.whole;
        while self.token(token::next_item(&mut input))? {
            found.push(item(self, &mut input)?);
            self.check_count(found.len(), most, input.len())?;
        }
        Ok(())
    }

    fn check_count(&self, count: usize, most: usize, bytes_left: usize) -> Result<(), ParseError> {
        if count <= most {
            return Ok(());
        }
        let message = format!("more than {most} in one request");
        Err(ParseError::new(
            ParseErrorKind::TooLarge,
            self.place(bytes_left),
            message,
        ))
    }

    fn category(&self, input: &mut &'a str) -> Result<CategoryField, ParseError> {
        let start = input.len();
        let term = self.token(token::term(input))?;
        let (mut scheme, mut class, mut title, mut location) = (None, None, None, None);
        let (mut rel, mut attributes, mut actions) = (Vec::new(), Vec::new(), Vec::new());
        for parameter in self.token(token::parameters(input, self.manner.escapes))? {
            let text = parameter.value.into_text();
            match parameter.name.to_ascii_lowercase().as_str() {
                "scheme" => scheme = Some(text),
                "class" => class = Some(self.ident(parameter.bytes_left, text.trim().parse())?),
                "title" => title = Some(text.into_owned()),
                "rel" => rel = words(&text),
                "location" => location = Some(text.trim().to_owned()),
                "attributes" => attributes = self.attribute_flags(&text, parameter.bytes_left)?,
                "actions" => actions = words(&text),
                _ => {}
            }
        }
        let Some(scheme) = scheme else {
            return Err(ParseError::syntax(
                self.place(start),
                format!("category {term:?} has no scheme"),
            ));
        };
        Ok(CategoryField {
            place: self.place(start),
            id: self.ident(start, TypeId::new(scheme.trim(), term))?,
            class,
            title,
            rel,
            location,
            attributes,
            actions,
        })
    }

    /// `name{immutable required} name ...`
    fn attribute_flags(&self, text: &str, bytes_left: usize) -> Result<Vec<AttributeFlags>, ParseError> {
        let mut found = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let end = rest.find(|c: char| c.is_whitespace() || c == '{').unwrap_or(rest.len());
            let name = self.ident(bytes_left, rest[..end].parse())?;
            rest = rest[end..].trim_start();
            let mut flags = AttributeFlags {
                name,
                immutable: false,
                required: false,
            };
            if let Some(inner) = rest.strip_prefix('{') {
                let Some((properties, after)) = inner.split_once('}') else {
                    return Err(ParseError::syntax(
                        self.place(bytes_left),
                        "expected '}' after the properties",
                    ));
                };
                for property in properties.split_whitespace() {
                    match property {
                        "immutable" => flags.immutable = true,
                        "required" => flags.required = true,
                        _ => {
                            let message = format!("attribute property {property:?}: must be immutable or required");
                            return Err(ParseError::syntax(self.place(bytes_left), message));
                        }
                    }
                }
                rest = after.trim_start();
            }
            found.push(flags);
        }
        Ok(found)
    }

    fn link(&self, input: &mut &'a str) -> Result<LinkField, ParseError> {
        let start = input.len();
        let mut link = LinkField {
            place: self.place(start),
            target: self.token(token::target(input))?.to_owned(),
            rel: Vec::new(),
            own_location: None,
            category: Vec::new(),
            attributes: Vec::new(),
        };
        for parameter in self.token(token::parameters(input, self.manner.escapes))? {
            match parameter.name.to_ascii_lowercase().as_str() {
                "rel" => link.rel = words(&parameter.value.into_text()),
                "self" => link.own_location = Some(parameter.value.into_text().trim().to_owned()),
                "category" => link.category = words(&parameter.value.into_text()),
                _ => {
                    let name = self.ident(parameter.bytes_left, parameter.name.parse())?;
                    link.attributes.push((name, input_value(parameter.value)));
                }
            }
        }
        self.check_count(link.attributes.len(), self.manner.limits.attributes, start)?;
        Ok(link)
    }

    fn attribute(&self, input: &mut &'a str) -> Result<(AttributeName, Input), ParseError> {
        let parameter = self.token(token::parameter(input, self.manner.escapes))?;
        let name = self.ident(parameter.bytes_left, parameter.name.parse())?;
        Ok((name, input_value(parameter.value)))
    }
}

fn input_value(word: Word<'_>) -> Input {
    match word {
        Word::Bare(text) => Input::Token(text.to_owned()),
        Word::Quoted(text) => Input::Quoted(text.into_owned()),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
