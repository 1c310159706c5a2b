//! What an answer says, for a client: of this server or of anybody's.
//!
//! Other servers differ in almost everything (what they quote, where they put a location, what a link points to), so
//! this reads what it can and leaves out what it cannot; only a body that is no rendering at all is an error.

use crate::json::answer;
use crate::json::node::Node;
use crate::request::last_of_each;
use crate::text::message::{AttributeFlags, CategoryField, LinkField, Manner, Message};
use crate::text::token;
use crate::text::{occi, plain};
use crate::{Base, MediaType, ParseError, uri_list};
use occi_model::{
    Action, AttributeName, Class, IdentError, Input, Kind, Location, Mixin, Origin, TypeId, Value, ValueType,
};

pub(crate) use occi_model::AttributeDefinition as Definition;

/// An answer as it came.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub fields: &'a [(&'a str, &'a [u8])],
    /// The body.
    pub body: &'a [u8],
    /// The endpoint that was asked: URLs of its own become paths.
    pub base: &'a Base,
}

/// An entity as another server shows it: names are checked, values are as they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteEntity {
    /// Its path; text renderings say it for inline links only.
    pub location: Option<String>,
    /// Its kind.
    pub kind: Option<TypeId>,
    /// Its mixins.
    pub mixins: Vec<TypeId>,
    /// Its id, in whatever form the server has.
    pub id: Option<String>,
    /// Its attributes, without id, source and target.
    pub attributes: Vec<(AttributeName, Input)>,
    /// For a link: the path or URI at which it starts.
    pub source: Option<String>,
    /// For a link: the path or URI to which it leads.
    pub target: Option<String>,
    /// For a link: the kind of the target.
    pub target_kind: Option<TypeId>,
    /// For a resource: its links. Old JSON gives their locations only.
    pub links: Vec<RemoteEntity>,
    /// What may be invoked now.
    pub actions: Vec<RemoteAction>,
}

/// An action that a server offers on an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteAction {
    /// Its identifier.
    pub id: TypeId,
    /// Where to invoke it, query included; JSON does not say.
    pub target: Option<String>,
}

/// The categories of a server. Kinds hold inherited attributes too, if the server renders them. Text says nothing of
/// the types of attributes: they are all text then.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The kinds, in the server's order.
    pub kinds: Vec<Kind>,
    /// The mixins.
    pub mixins: Vec<Mixin>,
    /// The actions.
    pub actions: Vec<Action>,
}

/// The entities of an answer: one in text, any number in JSON.
///
/// # Errors
/// A body that is no rendering.
pub fn entities(answer: &Answer<'_>) -> Result<Vec<RemoteEntity>, ParseError> {
    match answer.payload()? {
        Payload::Json(document) => Ok(answer::entities(&document, answer.base)),
        Payload::Text(message) if message.categories.is_empty() => Ok(Vec::new()),
        Payload::Text(message) => Ok(vec![entity(&message, answer.base)?]),
    }
}

/// The absolute URLs that an answer lists, wherever it puts them.
///
/// # Errors
/// A body that is no rendering.
pub fn locations(answer: &Answer<'_>) -> Result<Vec<String>, ParseError> {
    let payload = answer.payload()?;
    let mut found: Vec<_> = match &payload {
        Payload::Text(message) => message.locations.iter().map(String::as_str).collect(),
        Payload::Json(document) => answer::locations(document),
    };
    let location = answer.header("location").map(plain::decode).unwrap_or_default();
    if found.is_empty() {
        found.extend(token::locations(&location));
    }
    Ok(found.into_iter().map(|location| answer.absolute(location)).collect())
}

/// The absolute URL of what a request created: in `Location`, else the first that the answer lists, else made from the
/// id and the kind of the entity that it shows (`collection` gives the location of a kind).
///
/// # Errors
/// A body that is no rendering.
pub fn created<'k>(
    answer: &Answer<'_>,
    collection: impl Fn(&TypeId) -> Option<&'k Location>,
) -> Result<Option<String>, ParseError> {
    if let Some(header) = answer.header("location").map(plain::decode)
        && let Some(first) = token::locations(&header).next()
    {
        return Ok(Some(answer.absolute(first)));
    }
    if let Some(first) = locations(answer)?.into_iter().next() {
        return Ok(Some(first));
    }
    let entity = entities(answer)?.into_iter().next().unwrap_or_default();
    let (Some(kind), Some(id)) = (&entity.kind, &entity.id) else {
        return Ok(None);
    };
    let id = id.rsplit('/').next().unwrap_or(id);
    Ok(collection(kind).map(|location| answer.base.absolute(&format!("{location}{id}"))))
}

/// The query interface of a server.
///
/// # Errors
/// A body that is no rendering.
pub fn model(answer: &Answer<'_>) -> Result<Model, ParseError> {
    let message = match answer.payload()? {
        Payload::Json(document) => return Ok(answer::model(&document, answer.base)),
        Payload::Text(message) => message,
    };
    let mut model = Model::default();
    for category in message.categories {
        let CategoryField {
            place: _,
            id,
            class,
            title,
            rel,
            location: path,
            attributes,
            actions,
        } = category;
        let ids = |names: Vec<String>| names.iter().filter_map(|name| name.parse().ok()).collect();
        let title = title.unwrap_or_default();
        let attributes = attributes.into_iter().map(definition).collect();
        let actions = ids(actions);
        let related: Vec<TypeId> = ids(rel);
        let location = location(path.as_deref(), &id, answer.base);
        match (class, location) {
            (Some(Class::Kind), Some(location)) => model.kinds.push(Kind {
                id,
                title,
                parent: related.into_iter().next(),
                attributes,
                actions,
                location,
                lifecycle: None,
            }),
            (Some(Class::Mixin), Some(location)) => model.mixins.push(Mixin {
                id,
                title,
                depends: related,
                applies: Vec::new(),
                attributes,
                actions,
                location,
                origin: Origin::Provider { backend: String::new() },
            }),
            (Some(Class::Action), _) => model.actions.push(Action { id, title, attributes }),
            _ => {}
        }
    }
    Ok(model)
}

/// The mixins that an answer shows without any entity: the template that `save` has made.
pub fn mixins(answer: &Answer<'_>) -> Vec<Mixin> {
    let shows_kind = entities(answer).is_ok_and(|found| found.iter().any(|entity| entity.kind.is_some()));
    match model(answer) {
        Ok(model) if model.kinds.is_empty() && !shows_kind => model.mixins,
        _ => Vec::new(),
    }
}

/// What a server says of a failure, in one line; empty if it says nothing.
pub fn error(answer: &Answer<'_>) -> String {
    if let Some(header) = answer.header("x-occi-error") {
        return plain::decode(header).trim().to_owned();
    }
    let body = plain::decode(answer.body);
    let document = Node::parse(answer.body).ok();
    let message = document.as_ref().and_then(answer::error);
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    message.map_or_else(|| line(&body), line)
}

/// The Keystone that a 401 sends us to.
pub fn keystone(answer: &Answer<'_>) -> Option<String> {
    let challenge = plain::decode(answer.header("www-authenticate")?);
    let rest = challenge
        .strip_prefix("Keystone uri=")
        .or_else(|| challenge.strip_prefix("snf-auth uri="))?;
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    rest[1..].split_once(quote).map(|(uri, _)| uri.to_owned())
}

/// The version to ask again with, where a server refuses that of the request: ooi serves exactly `OCCI/1.1`.
pub fn retry_with(answer: &Answer<'_>) -> Option<&'static str> {
    (answer.status == 501).then_some("OCCI/1.1")
}

/// A payload, as far as it can be read without knowing what it is for.
enum Payload {
    Text(Message),
    Json(Node),
}

impl Answer<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }

    fn payload(&self) -> Result<Payload, ParseError> {
        let content_type = self.header("content-type").map(plain::decode).unwrap_or_default();
        let essence = content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let body = self.body.trim_ascii();
        if essence.ends_with("json") || essence.is_empty() && body.starts_with(b"{") {
            return if body.is_empty() {
                Ok(Payload::Text(Message::default()))
            } else {
                Node::parse(body).map(Payload::Json)
            };
        }
        if essence == MediaType::UriList.as_str() {
            return Ok(Payload::Text(Message {
                locations: uri_list::read(self.body),
                ..Message::default()
            }));
        }
        let message = occi::read(self.fields, &Manner::CLIENT)?;
        let headers_speak = !message.categories.is_empty() || !message.locations.is_empty();
        if essence == MediaType::TextOcci.as_str() || headers_speak {
            return Ok(Payload::Text(message));
        }
        plain::read(self.body, &Manner::CLIENT).map(Payload::Text)
    }

    /// Paths that a server writes are on its authority, base path included.
    fn absolute(&self, location: &str) -> String {
        match location.strip_prefix('/') {
            Some(rest) => format!("{}/{rest}", self.base.origin()),
            None => location.to_owned(),
        }
    }
}

fn entity(message: &Message, base: &Base) -> Result<RemoteEntity, ParseError> {
    let mut entity = RemoteEntity::default();
    for category in &message.categories {
        // A server that leaves out the class puts the kind first.
        match category.class {
            Some(Class::Mixin) => entity.mixins.push(category.id.clone()),
            Some(Class::Action) => {}
            _ if entity.kind.is_some() => entity.mixins.push(category.id.clone()),
            _ => entity.kind = Some(category.id.clone()),
        }
    }
    for (name, value) in &message.attributes {
        entity.add(name.as_str(), value.clone(), base);
    }
    for field in &message.links {
        if field.is_action() {
            let action = field.rel.first().and_then(|rel| rel.parse().ok());
            entity.actions.extend(action.map(|id| RemoteAction {
                id,
                target: Some(base.localise(&field.target).into_owned()),
            }));
        } else {
            entity.links.push(link(field, base)?);
        }
    }
    Ok(entity.settled())
}

fn link(field: &LinkField, base: &Base) -> Result<RemoteEntity, ParseError> {
    let ids = field.category.iter().map(|name| name.parse());
    let mut ids = ids
        .collect::<Result<Vec<TypeId>, IdentError>>()
        .map_err(|error| ParseError::ident(field.place, error))?
        .into_iter();
    let mut link = RemoteEntity {
        location: field.own_location.as_deref().map(|own| base.localise(own).into_owned()),
        kind: ids.next(),
        mixins: ids.collect(),
        target: Some(base.localise(&field.target).into_owned()),
        target_kind: field.rel.first().and_then(|rel| rel.parse().ok()),
        ..RemoteEntity::default()
    };
    for (name, value) in &field.attributes {
        link.add(name.as_str(), value.clone(), base);
    }
    Ok(link.settled())
}

impl RemoteEntity {
    /// Puts an attribute where it belongs; one with a name that is none is left out.
    pub(crate) fn add(&mut self, name: &str, value: Input, base: &Base) {
        let text = match &value {
            Input::Token(text) | Input::Quoted(text) => Some(text.as_str()),
            Input::Typed(value) => value.as_str(),
            Input::Null => None,
        };
        let local = |text: Option<&str>| text.map(|text| base.localise(text).into_owned());
        match name {
            "occi.core.id" => {
                self.id = match (text, &value) {
                    (None, Input::Typed(number @ (Value::Integer(_) | Value::Float(_)))) => Some(number.to_string()),
                    _ => text.map(str::to_owned),
                };
            }
            "occi.core.source" => self.source = local(text),
            "occi.core.target" => self.target = local(text),
            "occi.core.target.kind" => self.target_kind = text.and_then(|kind| kind.parse().ok()),
            _ => {
                let name = name.parse::<AttributeName>();
                self.attributes.extend(name.map(|name| (name, value)));
            }
        }
    }

    /// The last of equal attributes wins.
    pub(crate) fn settled(mut self) -> Self {
        self.attributes = last_of_each(self.attributes);
        self
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&Input> {
        self.attributes
            .iter()
            .find(|(other, _)| other.as_str() == name)
            .map(|(_, value)| value)
    }
}

fn definition(flags: AttributeFlags) -> Definition {
    Definition {
        name: flags.name,
        value_type: ValueType::String,
        mutable: !flags.immutable,
        required: flags.required,
        default: None,
        description: None,
        creation_only: false,
    }
}

/// The location of a category: a path or a URL of the server, with or without a slash at the end. Where there is none,
/// or none that is a path (`entity`, templates of URIs), it is the term's.
pub(crate) fn location(text: Option<&str>, id: &TypeId, base: &Base) -> Option<Location> {
    let said = text.and_then(|text| {
        let path = base.localise(text.trim());
        format!("{}/", path.trim_end_matches('/')).parse().ok()
    });
    said.or_else(|| format!("/{}/", id.term()).parse().ok())
}
