//! Answers: model values to bytes and headers, whatever rendering was asked for.

use crate::json::write::{Json, append};
use crate::text::write::{Uri, Writer, one_line};
use crate::{Agent, Base, MediaType, RenderError};
use occi_model::{
    Action, AttributeDefinition, AttributeName, Attributes, Entity, Kind, Mixin, Registry, Shape, TypeId, Value,
};
use serde::Serialize;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

/// An answer, ready to be sent: the status is the caller's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// Further headers, in order; none of a name twice. Values are UTF-8 without control characters.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// How large the headers of a text/occi answer may become; beyond it there is an error, never a truncation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderLimits {
    /// Bytes of one field: name, colon, value, line end. Default 60 KiB: Python's `http.client` stops at 64.
    pub per_field: usize,
    /// Bytes of all OCCI fields. Default 96 KiB: curl stops at 100.
    pub total: usize,
}

impl Default for HeaderLimits {
    fn default() -> Self {
        Self {
            per_field: 60 * 1024,
            total: 96 * 1024,
        }
    }
}

impl HeaderLimits {
    pub(crate) fn check(self, headers: &[(&'static str, String)]) -> Result<(), RenderError> {
        let sizes = headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + ": \r\n".len());
        let largest = sizes.clone().max().unwrap_or_default();
        for (size, limit) in [(largest, self.per_field), (sizes.sum(), self.total)] {
            if size > limit {
                return Err(RenderError::TooLargeForHeaders { size, limit });
            }
        }
        Ok(())
    }
}

/// The order in which attributes are rendered; names that it does not have come last, by name.
///
/// `occi.core.id`, `.title`, `.summary`, `.source` and `.target` always come first.
#[derive(Clone, Debug, Default)]
pub struct AttributeOrder(HashMap<AttributeName, usize>);

impl AttributeOrder {
    /// The order of `names`; the first of equal names counts.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a AttributeName>) -> Self {
        let mut ranks = HashMap::new();
        for name in names {
            let next = ranks.len();
            ranks.entry(name.clone()).or_insert(next);
        }
        Self(ranks)
    }

    /// The order in which a model defines them: kinds, base kinds first, then mixins. For any entity this is the order
    /// of its effective definitions, but for mixins that are listed later than their dependants. Make it once per model.
    pub fn of(registry: &Registry) -> Self {
        let kinds = registry.kinds().iter().flat_map(|kind| &kind.attributes);
        let mixins = registry.mixins().iter().flat_map(|mixin| &mixin.attributes);
        Self::new(kinds.chain(mixins).map(|definition| &definition.name))
    }

    fn rank(&self, name: &AttributeName) -> usize {
        self.0.get(name).copied().unwrap_or(usize::MAX)
    }
}

/// For whom an answer is rendered, and in whose words.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The model: what kinds inherit.
    pub registry: &'a Registry,
    /// Where the client reaches the service.
    pub base: &'a Base,
    /// Who reads the answer.
    pub agent: Agent,
    /// The order of attributes.
    pub order: &'a AttributeOrder,
    /// How much fits into headers.
    pub limits: HeaderLimits,
}

impl<'a> View<'a> {
    /// A path of the service as clients see it, below the base path; a foreign URI as it is. Safe between delimiters.
    pub(crate) fn path(&self, location: &'a str) -> Path<'a> {
        Path {
            base: if location.starts_with('/') {
                self.base.path()
            } else {
                ""
            },
            location,
        }
    }
}

impl View<'_> {
    /// The attributes that are not rendered before the others, in order.
    pub(crate) fn ordered<'e>(
        &self,
        attributes: &'e Attributes,
    ) -> impl Iterator<Item = (&'e AttributeName, &'e Value)> + use<'e> {
        let is_first = |name: &AttributeName| matches!(name.as_str(), "occi.core.title" | "occi.core.summary");
        let mut ordered = Vec::with_capacity(attributes.len());
        for (name, value) in attributes.iter().filter(|(name, _)| !is_first(name)) {
            ordered.push((self.order.rank(name), name, value));
        }
        ordered.sort_by_key(|(rank, _, _)| *rank);
        ordered.into_iter().map(|(_, name, value)| (name, value))
    }

    /// Where a kind's collection is said to be. The kind of all entities has none, which is what OCCI 1.2 says; but
    /// older clients fail on a kind without a location.
    pub(crate) fn kind_location<'k>(&self, kind: &'k Kind) -> Option<&'k occi_model::Location> {
        (kind.parent.is_some() || !self.agent.occi_1_2).then_some(&kind.location)
    }
}

/// A location as it is printed.
pub(crate) struct Path<'a> {
    base: &'a str,
    location: &'a str,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base)?;
        Uri(self.location).fmt(f)
    }
}

/// The attributes of a kind, inherited ones first.
pub(crate) fn effective_attributes<'r>(registry: &'r Registry, kind: &Kind) -> Vec<&'r AttributeDefinition> {
    let definitions = registry.definitions(kind.id.as_str(), []);
    definitions.iter().map(|effective| effective.attribute).collect()
}

/// The actions of a kind, inherited ones first.
pub(crate) fn effective_actions<'r>(registry: &'r Registry, kind: &Kind) -> Vec<&'r TypeId> {
    let actions = registry.actions_of(kind.id.as_str(), []);
    actions.into_iter().map(|action| &action.id).collect()
}

/// Some or all categories of a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Categories<'a> {
    /// The kinds, base kinds first.
    pub kinds: &'a [Arc<Kind>],
    /// The mixins.
    pub mixins: &'a [Arc<Mixin>],
    /// The actions.
    pub actions: &'a [Arc<Action>],
}

impl<'a> Categories<'a> {
    /// All of a model.
    pub fn of(registry: &'a Registry) -> Self {
        Self {
            kinds: registry.kinds(),
            mixins: registry.mixins(),
            actions: registry.actions(),
        }
    }
}

fn json(media: MediaType, what: &impl Serialize) -> Rendered {
    let mut body = Vec::new();
    append(&mut body, what);
    Rendered {
        content_type: media.content_type(),
        headers: Vec::new(),
        body,
    }
}

/// One entity, in full.
///
/// # Errors
/// As text/uri-list or text/html, or too large as text/occi.
pub fn entity(entity: &Entity, view: &View<'_>, media: MediaType) -> Result<Rendered, RenderError> {
    match media {
        MediaType::TextPlain | MediaType::TextOcciPlain | MediaType::TextOcci => {
            let mut writer = Writer::new(media);
            writer.entity(entity, view);
            writer.finish(view.limits)
        }
        MediaType::OcciJson | MediaType::Json => Ok(json(media, &Json(entity, view))),
        MediaType::UriList | MediaType::Html => Err(RenderError::CannotExpress(media)),
    }
}

/// One entity, in full, as JSON: the same bytes alone and in a collection.
pub fn entity_as_json(entity: &Entity, view: &View<'_>) -> Vec<u8> {
    json(MediaType::OcciJson, &Json(entity, view)).body
}

/// A listing by location: the text renderings of every collection of entities.
///
/// # Errors
/// As JSON, which lists entities in full ([`collection`]), as text/html, or too large as text/occi.
pub fn locations<'l>(
    locations: impl IntoIterator<Item = &'l str>,
    view: &View<'_>,
    media: MediaType,
) -> Result<Rendered, RenderError> {
    if media == MediaType::TextOcci {
        let mut writer = Writer::new(media);
        for location in locations {
            writer.location(&view.base.absolute(location));
        }
        return writer.finish(view.limits);
    }
    let mut body = Vec::new();
    let mut writer = LocationWriter::new(media)?;
    for location in locations {
        writer.location(location, view, &mut body);
    }
    Ok(Rendered {
        content_type: media.content_type(),
        headers: Vec::new(),
        body,
    })
}

/// Writes a listing by location piece by piece, as text/plain or text/uri-list. Each call appends to a buffer of the
/// caller's, which may be sent and emptied between calls; there is nothing to write at the end.
#[derive(Debug)]
pub struct LocationWriter {
    before: &'static str,
    prefix: &'static str,
    after: &'static str,
}

impl LocationWriter {
    /// # Errors
    /// In any other rendering.
    pub fn new(media: MediaType) -> Result<Self, RenderError> {
        let (prefix, after) = match media {
            // No newline after the last line: Infrastructure Manager takes what follows the last `/` of such a body for an
            // id, and a network from any of its lines, which it splits at newlines. All others that we know allow one.
            MediaType::TextPlain | MediaType::TextOcciPlain => ("X-OCCI-Location: ", ""),
            // LF alone: rOCCI-api 4 keeps a CR as part of the URI.
            MediaType::UriList => ("", "\n"),
            _ => return Err(RenderError::CannotExpress(media)),
        };
        let before = "";
        Ok(Self { before, prefix, after })
    }

    /// Appends the URL of one entity.
    pub fn location(&mut self, location: &str, view: &View<'_>, out: &mut Vec<u8>) {
        let Self { before, prefix, after } = *self;
        let url = view.base.absolute(location);
        let _ = write!(out, "{before}{prefix}{}{after}", Uri(&url));
        if after.is_empty() {
            self.before = "\n";
        }
    }
}

/// The answer to a create: the new entities' locations, in JSON the entities themselves; and the header `Location`
/// with the first one's URL, byte for byte what a listing will say.
///
/// # Errors
/// As text/html, or too large as text/occi.
pub fn created<E: Borrow<Entity>>(entities: &[E], view: &View<'_>, media: MediaType) -> Result<Rendered, RenderError> {
    let mut rendered = match (media, entities) {
        (MediaType::OcciJson | MediaType::Json, [only]) => entity(only.borrow(), view, media)?,
        (MediaType::OcciJson | MediaType::Json, several) => collection(several, Contents::Mixed, view, media)?,
        _ => locations(
            entities.iter().map(|entity| entity.borrow().location.as_str()),
            view,
            media,
        )?,
    };
    if let Some(first) = entities.first() {
        let url = Uri(&view.base.absolute(&first.borrow().location)).to_string();
        rendered.headers.insert(0, ("Location", url));
    }
    Ok(rendered)
}

/// What a collection can hold, which decides how JSON names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Resources only: `{"resources": [..]}`.
    Resources,
    /// Links only: `{"links": [..]}`.
    Links,
    /// Both: `{"resources": [..], "links": [..]}`.
    Mixed,
}

/// A collection of entities: in full as JSON, else by location.
///
/// # Errors
/// As [`locations`], but for JSON.
pub fn collection<E: Borrow<Entity>>(
    entities: &[E],
    contents: Contents,
    view: &View<'_>,
    media: MediaType,
) -> Result<Rendered, RenderError> {
    if !media.is_json() {
        return locations(
            entities.iter().map(|entity| entity.borrow().location.as_str()),
            view,
            media,
        );
    }
    let mut body = Vec::new();
    let mut writer = CollectionWriter::new(contents, &mut body);
    for entity in entities {
        writer.entity(entity.borrow(), view, &mut body);
    }
    writer.finish(&mut body);
    Ok(Rendered {
        content_type: media.content_type(),
        headers: Vec::new(),
        body,
    })
}

/// Writes a collection as JSON piece by piece, so that a listing of any length is sent from a small buffer.
///
/// Each call appends to a buffer of the caller's, which may be sent and emptied between calls. In a mixed collection
/// links are held back to the end, because they have an array of their own: list the resources first, then call
/// [`resources_done`](Self::resources_done), and nothing is held.
#[derive(Debug)]
pub struct CollectionWriter {
    contents: Contents,
    /// Which array is open.
    in_links: bool,
    /// Whether the open array has an item.
    has_item: bool,
    held_links: Vec<u8>,
}

impl CollectionWriter {
    /// Appends the beginning.
    pub fn new(contents: Contents, out: &mut Vec<u8>) -> Self {
        let in_links = contents == Contents::Links;
        out.extend_from_slice(if in_links { b"{\"links\":[" } else { b"{\"resources\":[" });
        Self {
            contents,
            in_links,
            has_item: false,
            held_links: Vec::new(),
        }
    }

    /// Appends an entity. One that the collection cannot hold is left out.
    pub fn entity(&mut self, entity: &Entity, view: &View<'_>, out: &mut Vec<u8>) {
        if let Some(out) = self.next(matches!(entity.shape, Shape::Link { .. }), out) {
            append(out, &Json(entity, view));
        }
    }

    /// The same with what [`entity_as_json`] made of one before.
    pub fn ready(&mut self, json: &[u8], is_link: bool, out: &mut Vec<u8>) {
        if let Some(out) = self.next(is_link, out) {
            out.extend_from_slice(json);
        }
    }

    /// Where the next entity goes.
    fn next<'o>(&'o mut self, is_link: bool, out: &'o mut Vec<u8>) -> Option<&'o mut Vec<u8>> {
        if is_link == self.in_links {
            if std::mem::replace(&mut self.has_item, true) {
                out.push(b',');
            }
            Some(out)
        } else if is_link && self.contents == Contents::Mixed {
            if !self.held_links.is_empty() {
                self.held_links.push(b',');
            }
            Some(&mut self.held_links)
        } else {
            None
        }
    }

    /// In a mixed collection: no more resources will come, and links need not be held any longer.
    pub fn resources_done(&mut self, out: &mut Vec<u8>) {
        if self.contents == Contents::Mixed && !self.in_links {
            out.extend_from_slice(b"],\"links\":[");
            self.in_links = true;
            self.has_item = !self.held_links.is_empty();
            out.append(&mut self.held_links);
        }
    }

    /// Appends the end.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.resources_done(out);
        out.extend_from_slice(b"]}");
    }
}

/// The query interface: all categories, or those that were asked for.
///
/// # Errors
/// As text/uri-list or text/html, or too large as text/occi.
pub fn model(categories: &Categories<'_>, view: &View<'_>, media: MediaType) -> Result<Rendered, RenderError> {
    match media {
        MediaType::TextPlain | MediaType::TextOcciPlain | MediaType::TextOcci => {
            let mut writer = Writer::new(media);
            writer.categories(categories, view);
            writer.finish(view.limits)
        }
        MediaType::OcciJson | MediaType::Json => Ok(json(media, &Json(categories, view))),
        MediaType::UriList | MediaType::Html => Err(RenderError::CannotExpress(media)),
    }
}

/// One mixin, in full: what an action that makes a template answers.
///
/// # Errors
/// As [`model`].
pub fn mixin(mixin: &Mixin, view: &View<'_>, media: MediaType) -> Result<Rendered, RenderError> {
    match media {
        MediaType::TextPlain | MediaType::TextOcciPlain | MediaType::TextOcci => {
            let mut writer = Writer::new(media);
            writer.mixin(mixin, view);
            writer.finish(view.limits)
        }
        MediaType::OcciJson | MediaType::Json => Ok(json(media, &Json(mixin, view))),
        MediaType::UriList | MediaType::Html => Err(RenderError::CannotExpress(media)),
    }
}

/// Success with nothing to say about any entity: the word `OK`, or an empty object.
pub fn done(media: MediaType) -> Rendered {
    let (media, body) = match media {
        MediaType::OcciJson | MediaType::Json => (media, &b"{}"[..]),
        MediaType::TextOcci => (media, &b"OK"[..]),
        MediaType::TextOcciPlain => (media, &b"OK\n"[..]),
        MediaType::TextPlain | MediaType::UriList | MediaType::Html => (MediaType::TextPlain, &b"OK\n"[..]),
    };
    Rendered {
        content_type: media.content_type(),
        headers: Vec::new(),
        body: body.to_vec(),
    }
}

/// A refused request, for the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failure<'a> {
    /// The HTTP status.
    pub code: u16,
    /// Its reason phrase, `Bad Request`.
    pub status: &'a str,
    /// What went wrong, in a sentence.
    pub message: &'a str,
    /// What exactly, by place.
    pub details: &'a [Detail<'a>],
    /// A URI for this type of problem; `None` if the status says it all. Only problem+json shows it.
    pub problem_type: Option<&'a str>,
    /// The request's id. Only the JSON forms show it.
    pub request_id: Option<&'a str>,
}

/// One place of a request and what is wrong there.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Detail<'a> {
    /// `attributes.occi.compute.cores`.
    pub path: &'a str,
    /// What is wrong.
    pub message: &'a str,
}

/// A failure in the client's rendering; what has no way to express one becomes text/plain.
pub fn error(failure: &Failure<'_>, media: MediaType) -> Rendered {
    #[derive(Serialize)]
    struct ErrorObject<'a> {
        code: u16,
        status: &'a str,
        message: &'a str,
        // The same under the name that rOCCI reads.
        error: &'a str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        details: &'a [Detail<'a>],
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a str>,
    }
    let message = one_line(failure.message);
    match media {
        MediaType::OcciJson | MediaType::Json => json(
            media,
            &ErrorObject {
                code: failure.code,
                status: failure.status,
                message: failure.message,
                error: failure.message,
                details: failure.details,
                request_id: failure.request_id,
            },
        ),
        MediaType::TextOcci => Rendered {
            content_type: media.content_type(),
            body: format!("{message}\n").into_bytes(),
            headers: vec![("X-OCCI-Error", shortened(message))],
        },
        MediaType::TextPlain | MediaType::TextOcciPlain | MediaType::UriList | MediaType::Html => {
            let media = if media == MediaType::TextOcciPlain {
                media
            } else {
                MediaType::TextPlain
            };
            Rendered {
                content_type: media.content_type(),
                headers: Vec::new(),
                body: format!("{message}\n").into_bytes(),
            }
        }
    }
}

/// A message that fits into a header; the body has it whole.
fn shortened(mut message: String) -> String {
    const MOST: usize = 1024;
    if message.len() > MOST {
        message.truncate(message.floor_char_boundary(MOST));
        message.push_str("...");
    }
    message
}

/// A failure as `application/problem+json` (RFC 9457).
pub fn problem(failure: &Failure<'_>) -> Rendered {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'a str,
        title: &'a str,
        status: u16,
        detail: &'a str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        errors: &'a [Detail<'a>],
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a str>,
    }
    let mut body = Vec::new();
    append(
        &mut body,
        &Problem {
            r#type: failure.problem_type.unwrap_or("about:blank"),
            title: failure.status,
            status: failure.code,
            detail: failure.message,
            errors: failure.details,
            request_id: failure.request_id,
        },
    );
    Rendered {
        content_type: "application/problem+json",
        headers: Vec::new(),
        body,
    }
}
