//! What a request says, whatever rendering it is in: one function per purpose.

use crate::resolve::{self, find, require};
use crate::text::message::{CategoryField, Limits, LinkField, Manner, Message};
use crate::text::token::Escapes;
use crate::text::{occi, plain};
use crate::{Agent, Base, MediaType, ParseError, ParseErrorKind, json, uri_list};
use occi_model::{
    AttributeName, Category, Class, EntityDraft, IdentError, Input, LinkDraft, MixinDraft, Registry, TypeId, Value,
};
use std::collections::HashSet;

/// The most categories that one request may name.
pub const MAX_CATEGORIES: usize = 64;
/// The most attributes that one entity, link or action may have in a request.
pub const MAX_ATTRIBUTES: usize = 256;
/// The most links that one entity may bring along.
pub const MAX_LINKS: usize = 256;
/// The most entities that one request may describe, their links included.
pub const MAX_ENTITIES: usize = 1000;
/// The most entities that one request may name.
pub const MAX_LOCATIONS: usize = 100_000;

/// A request as it came, and what is needed to understand it.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The rendering it is in: the answer of [`content_type`](crate::content_type).
    pub media: MediaType,
    /// All headers, or those of which [`is_occi_field`](crate::is_occi_field) holds; they count in text/occi only.
    pub fields: &'a [(&'a str, &'a [u8])],
    /// The body; ignored in text/occi.
    pub body: &'a [u8],
    /// What the service offers to this client.
    pub registry: &'a Registry,
    /// Where the client reaches the service; its own URLs become paths.
    pub base: &'a Base,
    /// Who is asking.
    pub agent: Agent,
}

/// The action that a client invokes.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionDraft {
    /// Its identifier; that of the model's action where there is one, else as the client wrote it.
    pub id: TypeId,
    /// Its parameters. The last of a name has won.
    pub attributes: Vec<(AttributeName, Input)>,
}

/// How an attribute of a filter compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Equal, by the type of the attribute's definition.
    #[default]
    Equal,
    /// The value's text occurs in the attribute's.
    Contains,
}

/// One attribute of a filter.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeFilter {
    /// Whose value is compared; `occi.core.id`, `.source` and `.target` too. It need not exist.
    pub name: AttributeName,
    /// With what; own URLs have become paths.
    pub value: Input,
    /// How.
    pub operator: Operator,
}

/// What a listing is narrowed to: everything that is named must hold (GFD.223, filtering).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Kinds and mixins that an entity must have (on `/-/`: the categories asked for). All of them exist.
    pub categories: Vec<TypeId>,
    /// Attributes that it must have.
    pub attributes: Vec<AttributeFilter>,
}

impl Filter {
    /// Whether it narrows nothing.
    pub fn is_empty(&self) -> bool {
        self.categories.is_empty() && self.attributes.is_empty()
    }

    /// Both must hold.
    pub fn and(mut self, other: Self) -> Self {
        self.categories.extend(other.categories);
        self.attributes.extend(other.attributes);
        self
    }
}

/// The entities that a request describes in order to create them: one in text, any number in JSON.
///
/// # Errors
/// Anything that is not an entity of known categories. A missing kind is not an error here.
pub fn entities(incoming: &Incoming<'_>) -> Result<Vec<EntityDraft>, ParseError> {
    if incoming.media.is_json() {
        return json::read::entities(incoming);
    }
    if incoming.media == MediaType::UriList {
        let message = "a text/uri-list can name entities but not describe one";
        return Err(ParseError::new(ParseErrorKind::Unsupported, "", message));
    }
    Ok(vec![draft(incoming, incoming.message()?)?])
}

/// The one entity that a request describes in order to change or replace it, or to create it at a path.
///
/// # Errors
/// As [`entities`]; also if there are several.
pub fn entity(incoming: &Incoming<'_>) -> Result<EntityDraft, ParseError> {
    let mut all = entities(incoming)?;
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => {
            let message = "exactly one entity is expected here";
            Err(ParseError::new(ParseErrorKind::Contradiction, "", message))
        }
    }
}

/// The action that the payload names; `None` if there is no payload.
///
/// The action need not exist: whether an unknown one is a bad request or something that a backend lacks is for the
/// caller to say.
///
/// # Errors
/// Several categories, one of another class, or parameters without the action.
pub fn action(incoming: &Incoming<'_>) -> Result<Option<ActionDraft>, ParseError> {
    if incoming.media.is_json() {
        return json::read::action(incoming);
    }
    let message = incoming.message()?;
    let [category] = message.categories.as_slice() else {
        let fault = if !message.categories.is_empty() {
            "an invocation names exactly one category, its action"
        } else if !message.attributes.is_empty() {
            "the parameters come without the category of their action"
        } else {
            return Ok(None);
        };
        return Err(ParseError::new(ParseErrorKind::Contradiction, "", fault));
    };
    Ok(Some(ActionDraft {
        id: incoming.action_id(&category.id, category.class, || category.place.to_string())?,
        attributes: last_of_each(message.attributes),
    }))
}

/// The entities that a request names: paths of this service, foreign absolute URIs as they are, and bare ids where a
/// JSON item has nothing but an id. Empty if there is no payload.
///
/// # Errors
/// A payload that cannot be read.
pub fn locations(incoming: &Incoming<'_>) -> Result<Vec<String>, ParseError> {
    if incoming.media.is_json() {
        return json::read::locations(incoming);
    }
    let locations = incoming.message()?.locations;
    Ok(locations.iter().map(|location| incoming.localise(location)).collect())
}

/// The mixins that a client wants to add to the query interface; whether they may be is for the model to say.
///
/// # Errors
/// No mixin at all, or another class.
pub fn mixins(incoming: &Incoming<'_>) -> Result<Vec<MixinDraft>, ParseError> {
    let mixins = if incoming.media.is_json() {
        json::read::mixins(incoming)?
    } else {
        let categories = incoming.message()?.categories;
        categories
            .iter()
            .map(|category| mixin(incoming, category))
            .collect::<Result<_, _>>()?
    };
    if mixins.is_empty() {
        return Err(ParseError::syntax("", "the request names no mixin"));
    }
    Ok(mixins)
}

/// The categories that a request names without describing them: what to remove, what to list. They need not exist.
///
/// # Errors
/// A class that the model contradicts, or a payload that cannot be read.
pub fn category_refs(incoming: &Incoming<'_>) -> Result<Vec<TypeId>, ParseError> {
    if incoming.media.is_json() {
        return json::read::category_refs(incoming);
    }
    let categories = incoming.message()?.categories;
    categories
        .iter()
        .map(|category| incoming.category_ref(&category.id, category.class, || category.place.to_string()))
        .collect()
}

/// What a request narrows its listing to, in headers or in a body.
///
/// # Errors
/// [`ParseErrorKind::UnknownCategory`] for a category that does not exist (404 in the protocol, unlike in a body), and
/// a payload that cannot be read.
pub fn filter(incoming: &Incoming<'_>) -> Result<Filter, ParseError> {
    let attributes = if incoming.media.is_json() {
        json::read::filter_attributes(incoming)?
    } else {
        let message = incoming.message()?;
        if let Some(link) = message.links.first() {
            let message = "what is narrowed is narrowed by categories and attributes, not by links";
            return Err(ParseError::syntax(link.place.to_string(), message));
        }
        last_of_each(message.attributes)
    };
    let categories = category_refs(incoming)?;
    for category in &categories {
        require(incoming.registry, category, None, String::new)?;
    }
    let attributes = attributes.into_iter().map(|(name, value)| AttributeFilter {
        value: incoming.localise_end(&name, value),
        name,
        operator: Operator::Equal,
    });
    Ok(Filter {
        categories,
        attributes: attributes.collect(),
    })
}

/// What a query string narrows its listing to: `category=<identifier or term>`, `attribute=<name>&value=<value>` (with
/// `operator=0` equal or `1` contains) and `filter=<name>=<value>`, each any number of times; other keys are passed
/// over. The pairs come percent-decoded.
///
/// # Errors
/// As [`filter`]; also a term that several categories share, and an attribute without a value.
pub fn query_filter<'q>(
    pairs: impl IntoIterator<Item = (&'q str, &'q str)>,
    registry: &Registry,
    base: &Base,
) -> Result<Filter, ParseError> {
    let mut filter = Filter::default();
    let (mut names, mut values, mut operators) = (Vec::new(), Vec::new(), Vec::new());
    let name_of = |key: &str, name: &str| {
        let name: Result<AttributeName, _> = name.trim().parse();
        name.map_err(|error| ParseError::ident(format!("query {key}"), error))
    };
    let mut compared = Vec::new();
    for (key, value) in pairs {
        match key {
            "category" => filter.categories.push(category_by_name(registry, value)?),
            "attribute" => names.push(name_of(key, value)?),
            "value" => values.push(value),
            "operator" => operators.push(match value {
                "0" => Operator::Equal,
                "1" => Operator::Contains,
                _ => {
                    return Err(ParseError::syntax(
                        "query operator",
                        "must be 0 (equal) or 1 (contains)",
                    ));
                }
            }),
            "filter" => {
                let Some((name, value)) = value.split_once('=') else {
                    return Err(ParseError::syntax("query filter", "must be <name>=<value>"));
                };
                compared.push((name_of(key, name)?, value, Operator::Equal));
            }
            _ => {}
        }
    }
    if names.len() != values.len() || operators.len() > names.len() {
        return Err(ParseError::syntax(
            "query",
            "attribute and value come in pairs, each with one operator at most",
        ));
    }
    // A single operator means all of them, as MartServer reads it.
    let all = if operators.len() == 1 {
        operators[0]
    } else {
        Operator::Equal
    };
    for (at, (name, value)) in std::iter::zip(names, values).enumerate() {
        compared.push((name, value, operators.get(at).copied().unwrap_or(all)));
    }
    filter.attributes = compared
        .into_iter()
        .map(|(name, value, operator)| AttributeFilter {
            value: localise_end(base, &name, Input::Token(value.to_owned())),
            name,
            operator,
        })
        .collect();
    Ok(filter)
}

/// Whether a request on the collection of a mixin describes an entity to create there, rather than naming entities to
/// associate: it has a kind, and neither location nor, in JSON, id.
///
/// # Errors
/// A payload that cannot be read.
pub fn has_kind(incoming: &Incoming<'_>) -> Result<bool, ParseError> {
    if incoming.media.is_json() {
        return json::read::has_kind(incoming);
    }
    let message = incoming.message()?;
    let is_kind = |category: &CategoryField| match find(incoming.registry, &category.id) {
        Some(found) => matches!(found, Category::Kind(_)),
        None => category.class == Some(Class::Kind),
    };
    Ok(message.locations.is_empty() && message.categories.iter().any(is_kind))
}

impl Incoming<'_> {
    /// The fields of a text rendering, within the limits of a request.
    fn message(&self) -> Result<Message, ParseError> {
        let manner = Manner {
            escapes: if self.agent.rocci {
                Escapes::Ruby
            } else {
                Escapes::Quoting
            },
            is_strict: true,
            limits: Limits {
                categories: MAX_CATEGORIES,
                links: MAX_LINKS,
                attributes: MAX_ATTRIBUTES,
                locations: MAX_LOCATIONS,
            },
        };
        match self.media {
            MediaType::TextOcci => occi::read(self.fields, &manner),
            MediaType::UriList => {
                let locations = uri_list::read(self.body);
                check_limit("locations", locations.len(), MAX_LOCATIONS, String::new)?;
                Ok(Message {
                    locations,
                    ..Message::default()
                })
            }
            _ => plain::read(self.body, &manner),
        }
    }

    pub(crate) fn localise(&self, location: &str) -> String {
        self.base.localise(location).into_owned()
    }

    fn localise_end(&self, name: &AttributeName, value: Input) -> Input {
        localise_end(self.base, name, value)
    }

    /// The identifier of an action, checked to be one as far as it is known.
    pub(crate) fn action_id(
        &self,
        id: &TypeId,
        class: Option<Class>,
        place: impl Fn() -> String,
    ) -> Result<TypeId, ParseError> {
        if find(self.registry, id).is_none() && matches!(class, None | Some(Class::Action)) {
            return Ok(id.clone());
        }
        require(self.registry, id, class, &place)?;
        require(self.registry, id, Some(Class::Action), place).map(|found| found.id().clone())
    }

    /// The identifier of any category, in the model's spelling where it is known.
    pub(crate) fn category_ref(
        &self,
        id: &TypeId,
        class: Option<Class>,
        place: impl Fn() -> String,
    ) -> Result<TypeId, ParseError> {
        if find(self.registry, id).is_none() {
            return Ok(id.clone());
        }
        require(self.registry, id, class, place).map(|found| found.id().clone())
    }
}

pub(crate) fn check_limit(what: &str, count: usize, most: usize, place: impl Fn() -> String) -> Result<(), ParseError> {
    if count <= most {
        return Ok(());
    }
    Err(ParseError::new(
        ParseErrorKind::TooLarge,
        place(),
        format!("more than {most} {what}"),
    ))
}

/// Keeps the last value of each name, and the order otherwise.
pub(crate) fn last_of_each(mut attributes: Vec<(AttributeName, Input)>) -> Vec<(AttributeName, Input)> {
    let mut seen = HashSet::new();
    attributes.reverse();
    attributes.retain(|(name, _)| seen.insert(name.clone()));
    attributes.reverse();
    attributes
}

fn draft(incoming: &Incoming<'_>, message: Message) -> Result<EntityDraft, ParseError> {
    let mut draft = EntityDraft::default();
    for category in &message.categories {
        let place = || category.place.to_string();
        let found = require(incoming.registry, &category.id, category.class, place)?;
        add_category(&mut draft, found, place)?;
    }
    for (name, value) in last_of_each(message.attributes) {
        add_attribute(&mut draft, incoming, name, value, String::new)?;
    }
    draft.links = message
        .links
        .into_iter()
        .filter(|link| !link.is_action())
        .map(|link| link_draft(incoming, link))
        .collect::<Result<_, _>>()?;
    Ok(draft)
}

/// Adds a kind or a mixin to a draft.
pub(crate) fn add_category(
    draft: &mut EntityDraft,
    category: &Category,
    place: impl Fn() -> String,
) -> Result<(), ParseError> {
    match category {
        Category::Kind(kind) => {
            if let Some(first) = draft.kind.as_ref().filter(|first| **first != kind.id) {
                let message = format!("an entity has one kind, and this is the second after {first}");
                return Err(ParseError::new(ParseErrorKind::Contradiction, place(), message));
            }
            draft.kind = Some(kind.id.clone());
        }
        Category::Mixin(mixin) => {
            if !draft.mixins.contains(&mixin.id) {
                draft.mixins.push(mixin.id.clone());
            }
        }
        Category::Action(action) => {
            let message = format!("an entity cannot be of the action {}", action.id);
            return Err(ParseError::new(ParseErrorKind::ClassMismatch, place(), message));
        }
    }
    Ok(())
}

/// Puts an attribute where a draft has its place for it.
pub(crate) fn add_attribute(
    draft: &mut EntityDraft,
    incoming: &Incoming<'_>,
    name: AttributeName,
    value: Input,
    place: impl Fn() -> String,
) -> Result<(), ParseError> {
    let text = |value: Input| match value {
        Input::Token(text) | Input::Quoted(text) | Input::Typed(Value::String(text)) => Ok(text),
        _ => Err(ParseError::syntax(place(), format!("attribute {name}: expected text"))),
    };
    match name.as_str() {
        "occi.core.id" => draft.id = Some(text(value)?),
        "occi.core.source" => draft.source = Some(incoming.localise(&text(value)?)),
        "occi.core.target" => draft.target = Some(incoming.localise(&text(value)?)),
        "occi.core.target.kind" => {
            let kind = text(value)?.parse();
            draft.target_kind =
                Some(kind.map_err(|error| ParseError::syntax(place(), format!("attribute {name}: {error}")))?);
        }
        // It follows from the source.
        "occi.core.source.kind" => {}
        _ => draft.attributes.push((name, value)),
    }
    Ok(())
}

fn link_draft(incoming: &Incoming<'_>, link: LinkField) -> Result<LinkDraft, ParseError> {
    let place = || link.place.to_string();
    let registry = incoming.registry;
    let mut entity = EntityDraft {
        target: Some(incoming.localise(&link.target)),
        target_kind: link.rel.iter().find_map(|rel| known_kind(registry, rel)),
        ..EntityDraft::default()
    };
    for category in &link.category {
        let id = category
            .parse()
            .map_err(|error: IdentError| ParseError::ident(place(), error))?;
        add_category(&mut entity, require(registry, &id, None, place)?, place)?;
    }
    for (name, value) in last_of_each(link.attributes) {
        add_attribute(&mut entity, incoming, name, value, place)?;
    }
    if entity.kind.is_none() {
        entity.kind = resolve::link_kind_towards(registry, entity.target.as_deref(), entity.target_kind.as_ref());
    }
    Ok(LinkDraft {
        entity,
        own_location: link.own_location.map(|location| incoming.localise(&location)),
    })
}

/// The kind that `name` names, if it is one of the model's.
pub(crate) fn known_kind(registry: &Registry, name: &str) -> Option<TypeId> {
    match find(registry, &name.parse().ok()?)? {
        Category::Kind(kind) => Some(kind.id.clone()),
        _ => None,
    }
}

fn mixin(incoming: &Incoming<'_>, category: &CategoryField) -> Result<MixinDraft, ParseError> {
    let place = || category.place.to_string();
    if let Some(class @ (Class::Kind | Class::Action)) = category.class {
        let message = format!("only mixins can be added, and {} is of class {class}", category.id);
        return Err(ParseError::new(ParseErrorKind::ClassMismatch, place(), message));
    }
    let depends = category
        .rel
        .iter()
        .map(|rel| rel.parse())
        .collect::<Result<_, IdentError>>();
    Ok(MixinDraft {
        id: category.id.clone(),
        title: category.title.clone().filter(|title| !title.is_empty()),
        location: category.location.as_deref().map(|location| incoming.localise(location)),
        depends: depends.map_err(|error| ParseError::ident(place(), error))?,
        has_capabilities: !category.attributes.is_empty() || !category.actions.is_empty(),
    })
}

/// Own URLs of a link's ends become paths, as they are stored.
fn localise_end(base: &Base, name: &AttributeName, value: Input) -> Input {
    let is_end = matches!(name.as_str(), "occi.core.source" | "occi.core.target");
    match value {
        Input::Token(text) if is_end => Input::Token(base.localise(&text).into_owned()),
        Input::Quoted(text) if is_end => Input::Quoted(base.localise(&text).into_owned()),
        Input::Typed(Value::String(text)) if is_end => Input::Typed(base.localise(&text).into_owned().into()),
        other => other,
    }
}

/// A category by its identifier, or by its term if only one has that; an entity's categories come before actions.
fn category_by_name(registry: &Registry, name: &str) -> Result<TypeId, ParseError> {
    let place = || "query category".to_owned();
    if name.contains('#') {
        let id: TypeId = name
            .parse()
            .map_err(|error: IdentError| ParseError::ident(place(), error))?;
        return require(registry, &id, None, place).map(|found| found.id().clone());
    }
    let kinds = registry.kinds().iter().map(|kind| &kind.id);
    let mixins = registry.mixins().iter().map(|mixin| &mixin.id);
    let mut found: Vec<_> = kinds.chain(mixins).filter(|id| id.term() == name).collect();
    if found.is_empty() {
        found = registry
            .actions()
            .iter()
            .map(|action| &action.id)
            .filter(|id| id.term() == name)
            .collect();
    }
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let message = format!("unknown category {name:?}");
            Err(ParseError::new(ParseErrorKind::UnknownCategory, place(), message))
        }
        several => {
            let names: Vec<_> = several.iter().map(|id| id.as_str()).collect();
            let message = format!("{name:?} could be any of {}", names.join(", "));
            Err(ParseError::new(ParseErrorKind::Contradiction, place(), message))
        }
    }
}
