//! Requests: what a client writes, in the form that every known server reads.
//!
//! Classes are always given, parameters stand in the order of the grammar, each field has a line of its own, inline
//! links say their target twice (`<target>` and `occi.core.target`), and no id is proposed. Locations of the server are
//! written as they come: as paths in links, as absolute URLs in lists.
//!
//! ```
//! use occi_model::{EntityDraft, Input, infrastructure};
//! use occi_rendering::{MediaType, compose};
//!
//! let draft = EntityDraft {
//!     kind: Some(infrastructure::COMPUTE.parse()?),
//!     attributes: vec![("occi.compute.cores".parse()?, Input::Typed(2.into()))],
//!     ..EntityDraft::default()
//! };
//! let request = compose::entity(&draft, MediaType::TextPlain)?;
//! assert_eq!(
//!     String::from_utf8(request.body)?,
//!     "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
//!      X-OCCI-Attribute: occi.compute.cores=2\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::request::{ActionDraft, Filter, Operator, last_of_each};
use crate::text::field::Field;
use crate::text::write::{Quoted, RESOURCE, Typed, Uri, Writer, head, put, short};
use crate::{ComposeError, MediaType, RenderError, Rendered};
use occi_model::{AttributeName, Class, EntityDraft, Input, LinkDraft, MixinDraft, TypeId, Value};
use serde_json::{Map, Value as Json, json};

type Composed = Result<Rendered, ComposeError>;

/// An entity to create, to replace or to change; of a change only what changes. The id of the draft is not sent.
///
/// # Errors
/// As text/uri-list or text/html; a value that the text renderings cannot carry; too large for headers.
pub fn entity(draft: &EntityDraft, media: MediaType) -> Composed {
    if media.is_json() {
        return Ok(json(media, &entity_json(draft)));
    }
    let mut writer = writer(media)?;
    if let Some(kind) = &draft.kind {
        writer.field(Field::Category, short(kind, Class::Kind));
    }
    for mixin in &draft.mixins {
        writer.field(Field::Category, short(mixin, Class::Mixin));
    }
    each_attribute(draft, |name, value| {
        writer.field(Field::Attribute, format_args!("{name}={value}"));
    })?;
    for link in &draft.links {
        writer.field(Field::Link, inline_link(link)?);
    }
    Ok(writer.finish_request()?)
}

/// Several entities to create with one request, which JSON alone can express. Links come after resources, in an array
/// of their own: `is_link` tells them.
///
/// # Errors
/// In any other rendering.
pub fn entities(drafts: &[EntityDraft], is_link: impl Fn(&EntityDraft) -> bool, media: MediaType) -> Composed {
    if !media.is_json() {
        return Err(RenderError::CannotExpress(media).into());
    }
    let (links, resources): (Vec<_>, Vec<_>) = drafts.iter().partition(|draft| is_link(draft));
    let mut document = Map::new();
    for (name, drafts) in [("resources", resources), ("links", links)] {
        if !drafts.is_empty() {
            document.insert(name.to_owned(), drafts.into_iter().map(entity_json).collect());
        }
    }
    Ok(json(media, &Json::Object(document)))
}

/// An action to invoke, with its parameters.
///
/// # Errors
/// As [`entity`].
pub fn action(action: &ActionDraft, media: MediaType) -> Composed {
    let ActionDraft { id, attributes } = action;
    if media.is_json() {
        let mut document = json!({ "action": id.as_str() });
        if !attributes.is_empty() {
            document["attributes"] = attributes_json(attributes);
        }
        return Ok(json(media, &document));
    }
    let mut writer = writer(media)?;
    writer.field(Field::Category, short(id, Class::Action));
    for (name, value) in last_of_each(attributes.clone()) {
        let value = value_text(&name, &value)?;
        writer.field(Field::Attribute, format_args!("{name}={value}"));
    }
    Ok(writer.finish_request()?)
}

/// Entities by location, absolute URLs: the members of a mixin's collection, what to delete.
///
/// # Errors
/// As text/html; too large for headers.
pub fn locations<'l>(locations: impl IntoIterator<Item = &'l str>, media: MediaType) -> Composed {
    let locations = locations.into_iter();
    if media.is_json() {
        return Ok(json(media, &locations.collect()));
    }
    if media == MediaType::UriList {
        let lines = locations.map(|location| format!("{}\n", Uri(location)));
        return Ok(Rendered {
            content_type: media.as_str(),
            headers: Vec::new(),
            body: lines.collect::<String>().into_bytes(),
        });
    }
    let mut writer = writer(media)?;
    for location in locations {
        writer.location(location);
    }
    Ok(writer.finish_request()?)
}

/// Mixins of a user, to add to the query interface.
///
/// # Errors
/// As text/uri-list or text/html; too large for headers.
pub fn mixins(mixins: &[MixinDraft], media: MediaType) -> Composed {
    if media.is_json() {
        let documents: Vec<Json> = mixins.iter().map(mixin_json).collect();
        return Ok(match <[Json; 1]>::try_from(documents) {
            Ok([only]) => json(media, &only),
            Err(several) => json(media, &json!({ "mixins": several })),
        });
    }
    let mut writer = writer(media)?;
    for mixin in mixins {
        let mut text = head(&mixin.id, Class::Mixin, mixin.title.as_deref().unwrap_or_default());
        if let Some(first) = mixin.depends.first() {
            put(&mut text, format_args!("; rel=\"{first}\""));
        }
        if let Some(location) = &mixin.location {
            put(&mut text, format_args!("; location=\"{}\"", Uri(location)));
        }
        writer.field(Field::Category, text);
    }
    Ok(writer.finish_request()?)
}

/// Categories by name: the mixins to remove from the query interface.
///
/// # Errors
/// As text/uri-list or text/html; too large for headers.
pub fn category_refs<'c>(categories: impl IntoIterator<Item = (&'c TypeId, Class)>, media: MediaType) -> Composed {
    if media.is_json() {
        let mut document = json!({});
        for (id, class) in categories {
            let list = &mut document[format!("{class}s")];
            match list.as_array_mut() {
                Some(list) => list.push(id.as_str().into()),
                None => *list = json!([id.as_str()]),
            }
        }
        return Ok(json(media, &document));
    }
    let mut writer = writer(media)?;
    for (id, class) in categories {
        writer.field(Field::Category, short(id, class));
    }
    Ok(writer.finish_request()?)
}

/// A filter as headers, which every version of the protocol has: they go with a GET, whose `Content-Type` they need.
/// `class` says what a category is, if it is known.
///
/// # Errors
/// A comparison other than equality; a value with a control character; too large for headers.
pub fn filter(filter: &Filter, class: impl Fn(&TypeId) -> Option<Class>) -> Composed {
    let mut writer = Writer::new(MediaType::TextOcci);
    for category in &filter.categories {
        match class(category) {
            Some(class) => writer.field(Field::Category, short(category, class)),
            None => writer.field(
                Field::Category,
                format_args!("{}; scheme=\"{}\"", category.term(), category.scheme()),
            ),
        }
    }
    for attribute in &filter.attributes {
        if attribute.operator != Operator::Equal {
            return Err(RenderError::CannotExpress(MediaType::TextOcci).into());
        }
        let value = value_text(&attribute.name, &attribute.value)?;
        writer.field(Field::Attribute, format_args!("{}={value}", attribute.name));
    }
    Ok(writer.finish_request()?)
}

/// A filter as pairs of a query string, not yet encoded: not in the standard, but what this server and MartServer
/// read ([`query_filter`](crate::request::query_filter)).
pub fn filter_query(filter: &Filter) -> Vec<(&'static str, String)> {
    let mut pairs: Vec<_> = filter
        .categories
        .iter()
        .map(|id| ("category", id.to_string()))
        .collect();
    for attribute in &filter.attributes {
        let text = match &attribute.value {
            Input::Token(text) | Input::Quoted(text) => text.clone(),
            Input::Typed(value) => value.to_string(),
            Input::Null => String::new(),
        };
        match attribute.operator {
            Operator::Equal => pairs.push(("filter", format!("{}={text}", attribute.name))),
            Operator::Contains => pairs.extend([
                ("attribute", attribute.name.to_string()),
                ("value", text),
                ("operator", "1".to_owned()),
            ]),
        }
    }
    pairs
}

fn writer(media: MediaType) -> Result<Writer, RenderError> {
    match media {
        MediaType::TextPlain | MediaType::TextOcciPlain | MediaType::TextOcci => Ok(Writer::new(media)),
        _ => Err(RenderError::CannotExpress(media)),
    }
}

/// Every attribute in the order of the draft, those that a draft has members for first.
fn each_attribute(draft: &EntityDraft, mut write: impl FnMut(&str, &str)) -> Result<(), ComposeError> {
    let ends = [("occi.core.source", &draft.source), ("occi.core.target", &draft.target)];
    for (name, end) in ends {
        if let Some(end) = end {
            write(name, &format!("\"{}\"", Uri(end)));
        }
    }
    for (name, value) in last_of_each(draft.attributes.clone()) {
        write(name.as_str(), &value_text(&name, &value)?);
    }
    Ok(())
}

fn inline_link(link: &LinkDraft) -> Result<String, ComposeError> {
    let draft = &link.entity;
    let target = draft.target.as_deref().unwrap_or_default();
    let rel = draft.target_kind.as_ref().map_or(RESOURCE, TypeId::as_str);
    let mut text = format!("<{}>; rel=\"{rel}\"", Uri(target));
    let mut separator = "; category=\"";
    for category in draft.kind.iter().chain(&draft.mixins) {
        put(&mut text, format_args!("{separator}{category}"));
        separator = " ";
    }
    if separator == " " {
        text.push('"');
    }
    // The source is the entity that the link comes with.
    let draft = EntityDraft {
        source: None,
        ..draft.clone()
    };
    each_attribute(&draft, |name, value| put(&mut text, format_args!("; {name}={value}")))?;
    Ok(text)
}

/// A value as the grammar has it: numbers and truths bare, everything else in quotes.
fn value_text(name: &AttributeName, value: &Input) -> Result<String, ComposeError> {
    let quoted = |text: &str| {
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(ComposeError::ControlCharacter(name.clone()));
        }
        Ok(Quoted(text).to_string())
    };
    match value {
        Input::Null => Err(ComposeError::CannotUnset(name.clone())),
        Input::Token(text) if is_bare(text) => Ok(text.clone()),
        Input::Token(text) | Input::Quoted(text) => quoted(text),
        Input::Typed(Value::String(text)) => quoted(text),
        Input::Typed(value) => Ok(Typed(value).to_string()),
    }
}

/// Whether a word is a number or a truth of the grammar.
fn is_bare(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = [whole, fraction]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    is_number || matches!(text, "true" | "false")
}

fn json(media: MediaType, document: &Json) -> Rendered {
    Rendered {
        content_type: media.as_str(),
        headers: Vec::new(),
        body: document.to_string().into_bytes(),
    }
}

fn entity_json(draft: &EntityDraft) -> Json {
    let mut document = Map::new();
    let mut set = |name: &str, value: Json| drop(document.insert(name.to_owned(), value));
    if let Some(kind) = &draft.kind {
        set("kind", kind.as_str().into());
    }
    if !draft.mixins.is_empty() {
        set("mixins", draft.mixins.iter().map(TypeId::as_str).collect());
    }
    // Some servers read the title here, others among the attributes.
    for (member, name) in [("title", "occi.core.title"), ("summary", "occi.core.summary")] {
        if let Some((_, value)) = draft.attributes.iter().rev().find(|(other, _)| other.as_str() == name) {
            set(member, value_json(value));
        }
    }
    set("attributes", attributes_json(&draft.attributes));
    if let Some(source) = &draft.source {
        set("source", json!({ "location": source }));
    }
    if let Some(target) = &draft.target {
        let mut end = json!({ "location": target });
        if let Some(kind) = &draft.target_kind {
            end["kind"] = kind.as_str().into();
        }
        set("target", end);
    }
    if !draft.links.is_empty() {
        set(
            "links",
            draft.links.iter().map(|link| entity_json(&link.entity)).collect(),
        );
    }
    Json::Object(document)
}

fn attributes_json(attributes: &[(AttributeName, Input)]) -> Json {
    attributes
        .iter()
        .map(|(name, value)| (name.to_string(), value_json(value)))
        .collect()
}

/// A bare word is what it looks like; JSON has no other way to know.
fn value_json(value: &Input) -> Json {
    match value {
        Input::Null => Json::Null,
        Input::Token(text) if is_bare(text) => text.parse().unwrap_or_else(|_| text.as_str().into()),
        Input::Token(text) | Input::Quoted(text) => text.as_str().into(),
        Input::Typed(value) => value.to_json(),
    }
}

fn mixin_json(mixin: &MixinDraft) -> Json {
    let mut document = json!({ "term": mixin.id.term(), "scheme": mixin.id.scheme() });
    if let Some(title) = &mixin.title {
        document["title"] = title.as_str().into();
    }
    if !mixin.depends.is_empty() {
        document["depends"] = mixin.depends.iter().map(TypeId::as_str).collect();
    }
    if let Some(location) = &mixin.location {
        document["location"] = location.as_str().into();
    }
    document
}
