//! Requests in JSON.

use super::node::Node;
use crate::request::{
    ActionDraft, Incoming, MAX_ATTRIBUTES, MAX_CATEGORIES, MAX_ENTITIES, MAX_LINKS, add_attribute, add_category,
    check_limit, known_kind, last_of_each,
};
use crate::resolve::{self, require};
use crate::{ParseError, ParseErrorKind};
use occi_model::{
    AttributeName, Class, EntityDraft, IdentError, Input, LinkDraft, MixinDraft, Registry, TypeId, ValueType,
};
use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// The way to a value; costs nothing until it is printed.
#[derive(Clone, Copy)]
enum Path<'p> {
    Root,
    Member(&'p Path<'p>, &'p str),
    Item(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Self::Root, name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl Path<'_> {
    fn syntax(&self, message: impl Into<String>) -> ParseError {
        ParseError::syntax(self.to_string(), message)
    }

    fn expected(&self, what: &str, found: &Node) -> ParseError {
        self.syntax(format!("expected {what}, found {}", found.what()))
    }

    fn string<'n>(&self, node: &'n Node) -> Result<&'n str, ParseError> {
        node.as_str().ok_or_else(|| self.expected("a string", node))
    }

    fn array<'n>(&self, node: &'n Node) -> Result<&'n [Node], ParseError> {
        match node {
            Node::Array(items) => Ok(items),
            _ => Err(self.expected("an array", node)),
        }
    }

    fn object<'n>(&self, node: &'n Node) -> Result<&'n [(String, Node)], ParseError> {
        match node {
            Node::Object(members) => Ok(members),
            _ => Err(self.expected("an object", node)),
        }
    }

    fn parse<T: std::str::FromStr<Err = IdentError>>(&self, text: &str) -> Result<T, ParseError> {
        text.parse().map_err(|error| ParseError::ident(self.to_string(), error))
    }
}

/// The document; `None` where there is nothing, or the `OK` that clients send where they have to send something.
fn document(incoming: &Incoming<'_>) -> Result<Option<Node>, ParseError> {
    match incoming.body.trim_ascii() {
        b"" | b"OK" => Ok(None),
        body => Node::parse(body).map(Some),
    }
}

pub(crate) fn entities(incoming: &Incoming<'_>) -> Result<Vec<EntityDraft>, ParseError> {
    let reader = Reader::new(incoming);
    let Some(document) = document(incoming)? else {
        return Err(ParseError::syntax("", "the request has no body"));
    };
    let root = Path::Root;
    match &document {
        Node::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| reader.entity(item, &mut Beside::default(), &Path::Item(&root, at)))
            .collect(),
        _ if is_collection(&document) => reader.collection(&document),
        _ => Ok(vec![reader.entity(&document, &mut Beside::default(), &root)?]),
    }
}

/// `{"resources": [..], "links": [..]}`, unlike a resource with links: those need not say where they start.
fn is_collection(node: &Node) -> bool {
    let all_start_somewhere = |links: &Node| match links {
        Node::Array(links) => !links.is_empty() && links.iter().all(|link| link.get("source").is_some()),
        _ => false,
    };
    let describes_itself = || {
        ["kind", "id", "attributes", "title", "mixins"]
            .iter()
            .any(|name| node.get(name).is_some())
    };
    node.get("resources").is_some() || node.get("links").is_some_and(all_start_somewhere) && !describes_itself()
}

pub(crate) fn action(incoming: &Incoming<'_>) -> Result<Option<ActionDraft>, ParseError> {
    let Some(document) = document(incoming)? else {
        return Ok(None);
    };
    Path::Root.object(&document)?;
    let path = Path::Member(&Path::Root, "action");
    let Some(action) = document.get("action") else {
        return Err(path.syntax("the invocation names no action"));
    };
    let id = path.parse(path.string(action)?)?;
    let id = incoming.action_id(&id, Some(Class::Action), || path.to_string())?;
    let attributes = Reader::new(incoming).attributes(document.get("attributes"), &Path::Root)?;
    Ok(Some(ActionDraft { id, attributes }))
}

pub(crate) fn locations(incoming: &Incoming<'_>) -> Result<Vec<String>, ParseError> {
    let Some(document) = document(incoming)? else {
        return Ok(Vec::new());
    };
    items(&document, &["resources", "links"], |item, path| {
        if let Some(location) = item.as_str() {
            return Ok(incoming.localise(location));
        }
        path.object(item)?;
        if let Some(location) = item.get("location") {
            return Ok(incoming.localise(path.string(location)?));
        }
        let Some(id) = item.get("id") else {
            return Err(path.syntax("has neither location nor id"));
        };
        let id = path.string(id)?;
        let kind = item.get("kind").and_then(Node::as_str);
        Ok(match kind.and_then(|kind| incoming.registry.kind(kind)) {
            Some(kind) => format!("{}{id}", kind.location),
            None => id.to_owned(),
        })
    })
}

pub(crate) fn has_kind(incoming: &Incoming<'_>) -> Result<bool, ParseError> {
    let Some(document) = document(incoming)? else {
        return Ok(false);
    };
    let describes = items(&document, &["resources", "links"], |item, _| {
        Ok(item.get("kind").is_some() && item.get("location").is_none() && item.get("id").is_none())
    })?;
    Ok(describes.contains(&true))
}

pub(crate) fn mixins(incoming: &Incoming<'_>) -> Result<Vec<MixinDraft>, ParseError> {
    let Some(document) = document(incoming)? else {
        return Ok(Vec::new());
    };
    let mut read = 0;
    items(&document, &["mixins"], |item, path| {
        path.object(item)?;
        read += 1;
        check_limit("categories", read, MAX_CATEGORIES, String::new)?;
        let id = category_id(item, path)?;
        let brings = |name| match item.get(name) {
            None | Some(Node::Null) => false,
            Some(Node::Array(items)) => !items.is_empty(),
            Some(Node::Object(members)) => !members.is_empty(),
            Some(Node::Scalar(_)) => true,
        };
        let text = |name| {
            item.get(name)
                .map(|node| Path::Member(path, name).string(node))
                .transpose()
        };
        let ids = |name| match item.get(name) {
            Some(node) => type_ids(node, &Path::Member(path, name)),
            None => Ok(Vec::new()),
        };
        Ok(MixinDraft {
            title: text("title")?.filter(|title| !title.is_empty()).map(str::to_owned),
            location: text("location")?.map(|location| incoming.localise(location)),
            depends: [ids("depends")?, ids("related")?].concat(),
            has_capabilities: brings("attributes") || brings("actions"),
            id,
        })
    })
}

pub(crate) fn category_refs(incoming: &Incoming<'_>) -> Result<Vec<TypeId>, ParseError> {
    let Some(document) = document(incoming)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let mut add = |node: &Node, class, path: &Path<'_>| {
        let id = category_id(node, path)?;
        found.push(incoming.category_ref(&id, class, || path.to_string())?);
        Ok(())
    };
    let root = Path::Root;
    if let Node::Array(items) = &document {
        for (at, item) in items.iter().enumerate() {
            add(item, None, &Path::Item(&root, at))?;
        }
    } else if document.get("term").is_some() || document.as_str().is_some() {
        add(&document, None, &root)?;
    } else {
        path_is_object(&document)?;
        if let Some(kind) = document.get("kind") {
            add(kind, Some(Class::Kind), &Path::Member(&root, "kind"))?;
        }
        for (name, class) in [
            ("kinds", Class::Kind),
            ("mixins", Class::Mixin),
            ("actions", Class::Action),
        ] {
            let Some(list) = document.get(name) else { continue };
            let path = Path::Member(&root, name);
            for (at, item) in path.array(list)?.iter().enumerate() {
                add(item, Some(class), &Path::Item(&path, at))?;
            }
        }
    }
    check_limit("categories", found.len(), MAX_CATEGORIES, String::new)?;
    Ok(found)
}

pub(crate) fn filter_attributes(incoming: &Incoming<'_>) -> Result<Vec<(AttributeName, Input)>, ParseError> {
    match document(incoming)? {
        Some(document) => Reader::new(incoming).attributes(document.get("attributes"), &Path::Root),
        None => Ok(Vec::new()),
    }
}

fn path_is_object(node: &Node) -> Result<(), ParseError> {
    Path::Root.object(node).map(|_| ())
}

/// Reads the items of a bare array, of the arrays named `names` of an object, or else the document as the only item.
fn items<T>(
    document: &Node,
    names: &[&str],
    mut read: impl FnMut(&Node, &Path<'_>) -> Result<T, ParseError>,
) -> Result<Vec<T>, ParseError> {
    let root = Path::Root;
    let mut found = Vec::new();
    if let Node::Array(items) = document {
        for (at, item) in items.iter().enumerate() {
            found.push(read(item, &Path::Item(&root, at))?);
        }
        return Ok(found);
    }
    let members = root.object(document)?;
    let is_list = |name: &&str| matches!(document.get(name), Some(Node::Array(_)));
    if members.is_empty() || (names.iter().any(is_list) && document.get("kind").is_none()) {
        for name in names {
            let Some(list) = document.get(name) else { continue };
            let path = Path::Member(&root, name);
            for (at, item) in path.array(list)?.iter().enumerate() {
                found.push(read(item, &Path::Item(&path, at))?);
            }
        }
        return Ok(found);
    }
    Ok(vec![read(document, &root)?])
}

/// A category as an identifier or as an object with term and scheme.
fn category_id(node: &Node, path: &Path<'_>) -> Result<TypeId, ParseError> {
    if let Some(text) = node.as_str() {
        return path.parse(text);
    }
    path.object(node)?;
    let member = |name| match node.get(name) {
        Some(node) => Path::Member(path, name).string(node),
        None => Err(path.syntax(format!("has no {name}"))),
    };
    TypeId::new(member("scheme")?, member("term")?).map_err(|error| ParseError::ident(path.to_string(), error))
}

fn type_ids(node: &Node, path: &Path<'_>) -> Result<Vec<TypeId>, ParseError> {
    let ids = path.array(node)?.iter().enumerate();
    ids.map(|(at, item)| category_id(item, &Path::Item(path, at))).collect()
}

struct Reader<'a> {
    incoming: &'a Incoming<'a>,
    /// The attributes whose value is an object, so that it is not taken for a nested name.
    hashes: OnceCell<HashSet<&'a str>>,
    /// How many entities were read.
    entities: Cell<usize>,
}

impl<'a> Reader<'a> {
    fn new(incoming: &'a Incoming<'a>) -> Self {
        Self {
            incoming,
            hashes: OnceCell::new(),
            entities: Cell::default(),
        }
    }

    /// The entities of `{"resources": [..], "links": [..]}`. Where a resource names its links by location, as the
    /// drafts of JSON did, they are found among the links beside it and become its inline links.
    fn collection(&self, document: &Node) -> Result<Vec<EntityDraft>, ParseError> {
        let root = Path::Root;
        let list = |name: &'static str| match document.get(name) {
            Some(node) => Path::Member(&root, name).array(node),
            None => Ok(&[][..]),
        };
        let (resources, links) = (list("resources")?, list("links")?);
        let mut beside = Beside::new(links);
        let mut drafts = Vec::new();
        let path = Path::Member(&root, "resources");
        for (at, item) in resources.iter().enumerate() {
            drafts.push(self.entity(item, &mut beside, &Path::Item(&path, at))?);
        }
        let path = Path::Member(&root, "links");
        for (at, item) in links.iter().enumerate() {
            if !beside.taken.contains(&at) {
                drafts.push(self.entity(item, &mut Beside::default(), &Path::Item(&path, at))?);
            }
        }
        Ok(drafts)
    }

    /// An entity, with those of the links beside it that it names.
    fn entity(&self, node: &Node, beside: &mut Beside<'_>, path: &Path<'_>) -> Result<EntityDraft, ParseError> {
        path.object(node)?;
        self.entities.update(|read| read + 1);
        check_limit("entities", self.entities.get(), MAX_ENTITIES, String::new)?;
        let incoming = self.incoming;
        let registry = incoming.registry;
        let mut draft = EntityDraft::default();
        if let Some(kind) = node.get("kind") {
            let at = Path::Member(path, "kind");
            let id = at.parse(at.string(kind)?)?;
            let place = || at.to_string();
            add_category(&mut draft, require(registry, &id, Some(Class::Kind), place)?, place)?;
        }
        if let Some(mixins) = node.get("mixins") {
            let at = Path::Member(path, "mixins");
            let ids = type_ids(mixins, &at)?;
            let place = || at.to_string();
            check_limit("mixins", ids.len(), MAX_CATEGORIES, place)?;
            for id in ids {
                add_category(&mut draft, require(registry, &id, Some(Class::Mixin), place)?, place)?;
            }
        }
        for (name, value) in self.attributes(node.get("attributes"), path)? {
            let place = || Path::Member(&Path::Member(path, "attributes"), name.as_str()).to_string();
            add_attribute(&mut draft, incoming, name.clone(), value, place)?;
        }
        if let Some(id) = node.get("id") {
            let at = Path::Member(path, "id");
            agree(&mut draft.id, at.string(id)?.to_owned(), &at)?;
        }
        for (member, name) in [("title", "occi.core.title"), ("summary", "occi.core.summary")] {
            let Some(value) = node.get(member) else { continue };
            let at = Path::Member(path, member);
            let value = match value {
                Node::Null => Input::Null,
                _ => Input::Typed(at.string(value)?.into()),
            };
            match draft.attributes.iter().find(|(other, _)| other.as_str() == name) {
                Some((_, other)) if *other != value => return Err(differs(&at)),
                Some(_) => {}
                None => draft.attributes.push((at.parse(name)?, value)),
            }
        }
        if let Some(source) = node.get("source") {
            let at = Path::Member(path, "source");
            agree(&mut draft.source, self.end(source, &at)?.0, &at)?;
        }
        if let Some(target) = node.get("target") {
            let at = Path::Member(path, "target");
            let (location, kind) = self.end(target, &at)?;
            agree(&mut draft.target, location, &at)?;
            if let Some(kind) = kind {
                agree(&mut draft.target_kind, kind, &at)?;
            }
        }
        if let Some(links) = node.get("links") {
            let at = Path::Member(path, "links");
            let links = at.array(links)?;
            check_limit("links", links.len(), MAX_LINKS, || at.to_string())?;
            for (index, link) in links.iter().enumerate() {
                let at = Path::Item(&at, index);
                draft
                    .links
                    .push(match link.as_str().map(|name| (name, beside.take(name))) {
                        None => self.link(link, &at)?,
                        Some((_, Some((index, link)))) => {
                            self.link(link, &Path::Item(&Path::Member(&Path::Root, "links"), index))?
                        }
                        Some((name, None)) => LinkDraft {
                            entity: EntityDraft::default(),
                            own_location: Some(incoming.localise(name)),
                        },
                    });
            }
        }
        Ok(draft)
    }

    /// An inline link.
    fn link(&self, node: &Node, path: &Path<'_>) -> Result<LinkDraft, ParseError> {
        let mut entity = self.entity(node, &mut Beside::default(), path)?;
        if entity.target.is_none() {
            return Err(path.syntax("the link has no target"));
        }
        let registry = self.incoming.registry;
        let rel = node.get("rel").and_then(Node::as_str);
        if entity.target_kind.is_none() {
            entity.target_kind = rel.and_then(|rel| known_kind(registry, rel));
        }
        if entity.kind.is_none() {
            entity.kind = resolve::link_kind_towards(registry, entity.target.as_deref(), entity.target_kind.as_ref());
        }
        let kind = entity.kind.as_ref().and_then(|kind| registry.kind(kind.as_str()));
        let own_location = match (node.get("location").and_then(Node::as_str), kind, &entity.id) {
            (Some(location), _, _) => Some(self.incoming.localise(location)),
            (None, Some(kind), Some(id)) => Some(format!("{}{id}", kind.location)),
            _ => None,
        };
        Ok(LinkDraft { entity, own_location })
    }

    /// One end of a link: `{"location": .., "kind": ..}`, or the location alone.
    fn end(&self, node: &Node, path: &Path<'_>) -> Result<(String, Option<TypeId>), ParseError> {
        if let Some(location) = node.as_str() {
            return Ok((self.incoming.localise(location), None));
        }
        path.object(node)?;
        let Some(location) = node.get("location") else {
            return Err(path.syntax("has no location"));
        };
        let location = Path::Member(path, "location").string(location)?;
        let kind = node.get("kind").map(|kind| {
            let at = Path::Member(path, "kind");
            at.parse(at.string(kind)?)
        });
        Ok((self.incoming.localise(location), kind.transpose()?))
    }

    /// Attributes, flat or nested, in order.
    fn attributes(&self, node: Option<&Node>, path: &Path<'_>) -> Result<Vec<(AttributeName, Input)>, ParseError> {
        let mut found = Vec::new();
        if let Some(node) = node {
            let path = Path::Member(path, "attributes");
            for (name, node) in path.object(node)? {
                self.flatten(name.clone(), node, &path, &mut found)?;
            }
        }
        Ok(last_of_each(found))
    }

    fn flatten(
        &self,
        name: String,
        node: &Node,
        path: &Path<'_>,
        found: &mut Vec<(AttributeName, Input)>,
    ) -> Result<(), ParseError> {
        match node {
            Node::Object(members) if !self.is_hash(&name) => {
                for (key, node) in members {
                    // Each name repeats those above it: without a limit a long one makes many long ones.
                    check_limit("bytes in a name", name.len() + key.len(), MAX_NAME, || path.to_string())?;
                    self.flatten(format!("{name}.{key}"), node, path, found)?;
                }
                Ok(())
            }
            _ => {
                check_limit("attributes", found.len() + 1, MAX_ATTRIBUTES, || path.to_string())?;
                let at = Path::Member(path, &name);
                let value = match node {
                    Node::Null => Input::Null,
                    _ => Input::Typed(node.to_value().ok_or_else(|| at.syntax("null has no value here"))?),
                };
                found.push((at.parse(&name)?, value));
                Ok(())
            }
        }
    }

    fn is_hash(&self, name: &str) -> bool {
        self.hashes
            .get_or_init(|| hashes(self.incoming.registry))
            .contains(name)
    }
}

/// The longest name of an attribute that is put together from parts.
const MAX_NAME: usize = 1024;

/// The names of the attributes whose values are objects.
fn hashes(registry: &Registry) -> HashSet<&str> {
    let kinds = registry.kinds().iter().flat_map(|kind| &kind.attributes);
    let mixins = registry.mixins().iter().flat_map(|mixin| &mixin.attributes);
    let actions = registry.actions().iter().flat_map(|action| &action.attributes);
    kinds
        .chain(mixins)
        .chain(actions)
        .filter(|definition| definition.value_type == ValueType::Hash)
        .map(|definition| definition.name.as_str())
        .collect()
}

/// The links beside the resources of a collection, found by location or id; each belongs to one resource at most.
#[derive(Default)]
struct Beside<'n> {
    links: &'n [Node],
    by_name: HashMap<&'n str, usize>,
    taken: HashSet<usize>,
}

impl<'n> Beside<'n> {
    fn new(links: &'n [Node]) -> Self {
        let mut by_name = HashMap::new();
        for (at, link) in links.iter().enumerate() {
            for member in ["location", "id"] {
                by_name.extend(link.get(member).and_then(Node::as_str).map(|name| (name, at)));
            }
        }
        Self {
            links,
            by_name,
            taken: HashSet::new(),
        }
    }

    /// The link that `name` means: its location, or one that ends with its id.
    fn take(&mut self, name: &str) -> Option<(usize, &'n Node)> {
        let id = name.rsplit('/').next().unwrap_or(name);
        let at = *self.by_name.get(name).or_else(|| self.by_name.get(id))?;
        self.taken.insert(at).then(|| (at, &self.links[at]))
    }
}

fn agree<T: PartialEq>(slot: &mut Option<T>, value: T, path: &Path<'_>) -> Result<(), ParseError> {
    match slot {
        Some(other) if *other != value => Err(differs(path)),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

fn differs(path: &Path<'_>) -> ParseError {
    let message = "differs from the attribute that says the same";
    ParseError::new(ParseErrorKind::Contradiction, path.to_string(), message)
}
