//! Writes the text renderings, in the form that every known reader accepts.

use super::field::Field;
use crate::render::{Categories, HeaderLimits, View, effective_actions, effective_attributes};
use crate::{MediaType, RenderError, Rendered};
use occi_model::{Action, AttributeDefinition, Class, Entity, Kind, LinkEnd, Location, Mixin, Shape, TypeId, Value};
use std::fmt::{self, Display, Write};

/// What a link leads to if nothing is known about it.
pub(crate) const RESOURCE: &str = "http://schemas.ogf.org/occi/core#resource";

/// The fields of an answer, collected as lines or as headers.
pub(crate) struct Writer {
    media: MediaType,
    lines: String,
    /// One per field, in the order of sending.
    headers: [(Field, String); 4],
}

impl Writer {
    /// For one of the text media types.
    pub(crate) fn new(media: MediaType) -> Self {
        let fields = [Field::Category, Field::Attribute, Field::Link, Field::Location];
        Self {
            media,
            lines: String::new(),
            headers: fields.map(|field| (field, String::new())),
        }
    }

    /// Adds a field. `text/occi` has one header per name: rOCCI-api 4 reads only the first of several, and takes
    /// `, ` between values for a part of them; the OGF's test splits locations at exactly that.
    pub(crate) fn field(&mut self, field: Field, value: impl Display) {
        if self.media == MediaType::TextOcci {
            let header = self.headers.iter_mut().find(|(name, _)| *name == field);
            if let Some((_, values)) = header {
                let separator = match (values.is_empty(), field) {
                    (true, _) => "",
                    (false, Field::Location) => ", ",
                    (false, _) => ",",
                };
                put(values, format_args!("{separator}{value}"));
            }
        } else {
            put(&mut self.lines, format_args!("{}: {value}\n", field.name()));
        }
    }

    /// The finished request: as an answer, but that in text/occi there is nothing to say `OK` to, and that the type has
    /// no parameter, which some servers compare with the whole.
    pub(crate) fn finish_request(self) -> Result<Rendered, RenderError> {
        let media = self.media;
        let mut rendered = self.finish(HeaderLimits::default())?;
        if media == MediaType::TextOcci {
            rendered.body.clear();
        }
        rendered.content_type = media.as_str();
        Ok(rendered)
    }

    /// The finished answer.
    pub(crate) fn finish(self, limits: HeaderLimits) -> Result<Rendered, RenderError> {
        let content_type = self.media.content_type();
        if self.media != MediaType::TextOcci {
            return Ok(Rendered {
                content_type,
                headers: Vec::new(),
                body: self.lines.into_bytes(),
            });
        }
        let headers: Vec<_> = self
            .headers
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(field, values)| (field.name(), values))
            .collect();
        limits.check(&headers)?;
        Ok(Rendered {
            content_type,
            headers,
            body: b"OK".to_vec(),
        })
    }

    pub(crate) fn entity(&mut self, entity: &Entity, view: &View<'_>) {
        let path = view.path(&entity.location);
        let kind = view.registry.kind(entity.kind.as_str());
        self.category(&entity.kind, Class::Kind, kind.map(|kind| &kind.location), view);
        for id in &entity.mixins {
            let mixin = view.registry.mixin(id.as_str());
            self.category(id, Class::Mixin, mixin.map(|mixin| &mixin.location), view);
        }
        each_attribute(entity, view, |name, value| {
            self.field(Field::Attribute, format_args!("{name}={value}"));
        });
        if let Shape::Resource { links } = &entity.shape {
            for link in links {
                self.link(link, view);
            }
        }
        // The OGF's test looks for `start` and stumbles over what comes before it.
        let (start, others): (Vec<_>, Vec<_>) = entity.actions.iter().partition(|action| action.term() == "start");
        for action in start.into_iter().chain(others) {
            let term = action.term();
            self.field(Field::Link, format_args!("<{path}?action={term}>; rel=\"{action}\""));
        }
    }

    /// A category of an entity. jOCCI finds in it where the entity's kind is, and writes no entity without.
    fn category(&mut self, id: &TypeId, class: Class, location: Option<&Location>, view: &View<'_>) {
        let mut text = short(id, class);
        if let Some(location) = location {
            put_location(&mut text, location, view);
        }
        self.field(Field::Category, text);
    }

    fn link(&mut self, link: &Entity, view: &View<'_>) {
        let Shape::Link { target, .. } = &link.shape else {
            return;
        };
        let rel = target.kind.as_ref().map_or(RESOURCE, TypeId::as_str);
        let mut value = String::with_capacity(512);
        put(
            &mut value,
            format_args!(
                "<{}>; rel=\"{rel}\"; self=\"{}\"; category=\"{}",
                view.path(&target.location),
                view.path(&link.location),
                link.kind
            ),
        );
        for mixin in &link.mixins {
            put(&mut value, format_args!(" {mixin}"));
        }
        value.push('"');
        each_attribute(link, view, |name, text| {
            put(&mut value, format_args!("; {name}={text}"))
        });
        self.field(Field::Link, value);
    }

    pub(crate) fn categories(&mut self, categories: &Categories<'_>, view: &View<'_>) {
        for kind in categories.kinds {
            self.kind(kind, view);
        }
        for mixin in categories.mixins {
            self.mixin(mixin, view);
        }
        for action in categories.actions {
            self.action(action);
        }
    }

    fn kind(&mut self, kind: &Kind, view: &View<'_>) {
        let mut text = head(&kind.id, Class::Kind, &kind.title);
        if let Some(parent) = &kind.parent {
            put(&mut text, format_args!("; rel=\"{parent}\""));
        }
        if let Some(location) = view.kind_location(kind) {
            put_location(&mut text, location, view);
        }
        put_attributes(&mut text, effective_attributes(view.registry, kind));
        put_actions(&mut text, effective_actions(view.registry, kind));
        self.field(Field::Category, text);
    }

    pub(crate) fn mixin(&mut self, mixin: &Mixin, view: &View<'_>) {
        let mut text = head(&mixin.id, Class::Mixin, &mixin.title);
        if let Some(first) = mixin.depends.first() {
            put(&mut text, format_args!("; rel=\"{first}\""));
        }
        put_location(&mut text, &mixin.location, view);
        put_attributes(&mut text, &mixin.attributes);
        put_actions(&mut text, &mixin.actions);
        self.field(Field::Category, text);
    }

    fn action(&mut self, action: &Action) {
        let mut text = head(&action.id, Class::Action, &action.title);
        put_attributes(&mut text, &action.attributes);
        self.field(Field::Category, text);
    }

    /// Locations, as absolute URLs.
    pub(crate) fn location(&mut self, url: &str) {
        self.field(Field::Location, Uri(url));
    }
}

/// Every attribute of an entity with its value as it is written.
fn each_attribute(entity: &Entity, view: &View<'_>, mut write: impl FnMut(&str, &dyn Display)) {
    write("occi.core.id", &Quoted(entity.id.as_str()));
    let mut named = |name: &str| {
        if let Some(value) = entity.attributes.get(name) {
            write(name, &Typed(value));
        }
    };
    named("occi.core.title");
    named("occi.core.summary");
    if let Shape::Link { source, target } = &entity.shape {
        write("occi.core.source", &Quoted(&view.path(&source.location).to_string()));
        // What the target is, is known from asking it, if it is ours.
        if let LinkEnd {
            location,
            kind: Some(kind),
        } = target
            && !location.starts_with('/')
        {
            write("occi.core.target.kind", &Quoted(kind.as_str()));
        }
        write("occi.core.target", &Quoted(&view.path(&target.location).to_string()));
    }
    for (name, value) in view.ordered(&entity.attributes) {
        write(name.as_str(), &Typed(value));
    }
}

/// Writes to a string, which cannot fail.
pub(crate) fn put(text: &mut String, what: fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

/// A category by name.
pub(crate) fn short(id: &TypeId, class: Class) -> String {
    format!(
        "{}; scheme=\"{}\"; class=\"{}\"",
        id.term(),
        id.scheme(),
        class.as_str()
    )
}

/// The beginning of a category that is described: its name and its title.
pub(crate) fn head(id: &TypeId, class: Class, title: &str) -> String {
    let mut text = short(id, class);
    let title = plain_title(title);
    if !title.is_empty() {
        put(&mut text, format_args!("; title={}", Quoted(&title)));
    }
    text
}

/// A title without the characters at which other people's readers split.
fn plain_title(title: &str) -> String {
    let mut plain = String::with_capacity(title.len());
    for c in title.trim().chars() {
        match c {
            ',' | ';' => plain.push_str(" -"),
            '"' => {}
            _ => plain.push(c),
        }
    }
    plain
}

fn put_location(text: &mut String, location: &Location, view: &View<'_>) {
    put(text, format_args!("; location=\"{}\"", view.path(location.as_str())));
}

fn put_attributes<'a>(text: &mut String, definitions: impl IntoIterator<Item = &'a AttributeDefinition>) {
    let mut separator = "; attributes=\"";
    for definition in definitions {
        let flags = match (definition.mutable, definition.required) {
            (true, false) => "",
            (true, true) => "{required}",
            (false, false) => "{immutable}",
            (false, true) => "{immutable required}",
        };
        put(text, format_args!("{separator}{}{flags}", definition.name));
        separator = " ";
    }
    if separator == " " {
        text.push('"');
    }
}

fn put_actions<'a>(text: &mut String, actions: impl IntoIterator<Item = &'a TypeId>) {
    let mut separator = "; actions=\"";
    for action in actions {
        put(text, format_args!("{separator}{action}"));
        separator = " ";
    }
    if separator == " " {
        text.push('"');
    }
}

/// A quoted string. A control character has no place in a line or a header and becomes a space.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut rest = self.0;
        while let Some(at) = rest.find(|c: char| matches!(c, '"' | '\\') || c.is_control()) {
            f.write_str(&rest[..at])?;
            let found = rest[at..].chars().next().unwrap_or(' ');
            match found {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                _ => f.write_char(' ')?,
            }
            rest = &rest[at + found.len_utf8()..];
        }
        f.write_str(rest)?;
        f.write_char('"')
    }
}

/// A value of the model: strings quoted, numbers and booleans bare, everything else as JSON in quotes.
pub(crate) struct Typed<'a>(pub(crate) &'a Value);

impl Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) => Quoted(text).fmt(f),
            Value::Integer(number) => number.fmt(f),
            // Never an exponent: other readers know digits and one dot.
            Value::Float(number) if number.fract() == 0.0 => write!(f, "{number:.1}"),
            Value::Float(number) => write!(f, "{number}"),
            Value::Boolean(truth) => truth.fmt(f),
            value @ (Value::List(_) | Value::Hash(_)) => Quoted(&value.to_json().to_string()).fmt(f),
        }
    }
}

/// A URI between delimiters: what would end it, or the line, is percent-encoded.
pub(crate) struct Uri<'a>(pub(crate) &'a str);

impl Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' | '>' | '"' | '\\' | ' ' => write!(f, "%{:02X}", u32::from(c))?,
                _ if c.is_control() => write!(f, "%{:02X}", u32::from(c))?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A message as one line.
pub(crate) fn one_line(message: &str) -> String {
    message.replace(char::is_control, " ")
}
