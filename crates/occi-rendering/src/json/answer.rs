//! Answers in JSON, from any server: what makes no sense is passed over.

use super::node::Node;
use crate::Base;
use crate::response::{Definition, Model, RemoteAction, RemoteEntity};
use occi_model::{Action, AttributeName, Input, Kind, Mixin, Origin, TypeId, Value, ValueType};

fn text<'n>(node: &'n Node, member: &str) -> Option<&'n str> {
    node.get(member)?.as_str()
}

fn list<'n>(node: &'n Node, member: &str) -> &'n [Node] {
    match node.get(member) {
        Some(Node::Array(items)) => items,
        _ => &[],
    }
}

/// An identifier: a string, or an object with scheme and term.
fn type_id(node: &Node) -> Option<TypeId> {
    match node.as_str() {
        Some(text) => text.parse().ok(),
        None => TypeId::new(text(node, "scheme")?, text(node, "term")?).ok(),
    }
}

fn type_ids(node: &Node, member: &str) -> Vec<TypeId> {
    list(node, member).iter().filter_map(type_id).collect()
}

/// The items of a bare array, of the arrays `members`, or the document itself if it has `single`.
fn items<'n>(document: &'n Node, members: &[&str], single: &str) -> Vec<&'n Node> {
    match document {
        Node::Array(items) => items.iter().collect(),
        _ if document.get(single).is_some() => vec![document],
        _ => members.iter().flat_map(|member| list(document, member)).collect(),
    }
}

/// Every entity of a document; links come after resources.
pub(crate) fn entities(document: &Node, base: &Base) -> Vec<RemoteEntity> {
    items(document, &["resources", "links"], "kind")
        .into_iter()
        .filter(|node| node.get("kind").is_some())
        .map(|node| entity(node, base))
        .collect()
}

/// URLs in a document that is a list of them, or of things that say where they are.
pub(crate) fn locations(document: &Node) -> Vec<&str> {
    items(document, &["resources", "links", "locations"], "location")
        .into_iter()
        .filter_map(|node| node.as_str().or_else(|| text(node, "location")))
        .collect()
}

/// The message of an error document: ours, those of rOCCI, ooi and MartServer, problem+json.
pub(crate) fn error(document: &Node) -> Option<&str> {
    let nested = document.get("error").and_then(|error| text(error, "message"));
    ["message", "error", "detail", "title"]
        .into_iter()
        .find_map(|member| text(document, member))
        .or(nested)
}

fn entity(node: &Node, base: &Base) -> RemoteEntity {
    let local = |location: &str| base.localise(location).into_owned();
    let end = |member: &str| {
        let end = node.get(member)?;
        let location = end.as_str().or_else(|| text(end, "location"))?;
        Some((local(location), end.get("kind").and_then(type_id)))
    };
    let mut entity = RemoteEntity {
        location: text(node, "location").map(local),
        kind: node.get("kind").and_then(type_id),
        mixins: type_ids(node, "mixins"),
        id: text(node, "id").map(str::to_owned),
        actions: list(node, "actions")
            .iter()
            .filter_map(type_id)
            .map(|id| RemoteAction { id, target: None })
            .collect(),
        ..RemoteEntity::default()
    };
    for (member, name) in [("title", "occi.core.title"), ("summary", "occi.core.summary")] {
        if let Some(value) = text(node, member) {
            entity.add(name, Input::Typed(value.into()), base);
        }
    }
    if let Some(Node::Object(attributes)) = node.get("attributes") {
        for (name, value) in attributes {
            add_flat(&mut entity, name, value, name.contains('.'), base);
        }
    }
    if let Some((source, _)) = end("source") {
        entity.source = Some(source);
    }
    if let Some((target, kind)) = end("target") {
        entity.target = Some(target);
        entity.target_kind = kind.or_else(|| node.get("rel").and_then(type_id));
    }
    for link in list(node, "links") {
        entity.links.push(match link.as_str() {
            Some(location) => RemoteEntity {
                location: Some(local(location)),
                ..RemoteEntity::default()
            },
            None => self::entity(link, base),
        });
    }
    entity.settled()
}

/// Attributes may be nested, name part by name part, as before GFD.226. A name with dots is whole, and what it holds is
/// the value.
fn add_flat(entity: &mut RemoteEntity, name: &str, node: &Node, is_whole: bool, base: &Base) {
    match node {
        Node::Object(members) if !is_whole => {
            for (key, node) in members {
                add_flat(entity, &format!("{name}.{key}"), node, false, base);
            }
        }
        _ => {
            if let Some(value) = node.to_value() {
                entity.add(name, Input::Typed(value), base);
            }
        }
    }
}

/// The query interface, or a part of it.
pub(crate) fn model(document: &Node, base: &Base) -> Model {
    let location = |node: &Node, id: &TypeId| crate::response::location(text(node, "location"), id, base);
    let title = |node: &Node| text(node, "title").unwrap_or_default().to_owned();
    let kind = |node: &Node| {
        let id = type_id(node)?;
        let parent = node.get("parent").and_then(type_id);
        Some(Kind {
            title: title(node),
            parent: parent.or_else(|| type_ids(node, "related").into_iter().next()),
            attributes: definitions(node),
            actions: type_ids(node, "actions"),
            location: location(node, &id)?,
            lifecycle: None,
            id,
        })
    };
    let mixin = |node: &Node| {
        let id = type_id(node)?;
        let depends = type_ids(node, "depends");
        Some(Mixin {
            title: title(node),
            depends: if depends.is_empty() {
                type_ids(node, "related")
            } else {
                depends
            },
            applies: type_ids(node, "applies"),
            attributes: definitions(node),
            actions: type_ids(node, "actions"),
            location: location(node, &id)?,
            origin: Origin::Provider { backend: String::new() },
            id,
        })
    };
    let action = |node: &Node| {
        Some(Action {
            id: type_id(node)?,
            title: title(node),
            attributes: definitions(node),
        })
    };
    // A single category is a mixin: nothing else is ever rendered alone.
    let single = document.get("term").is_some().then_some(document);
    Model {
        kinds: list(document, "kinds").iter().filter_map(kind).collect(),
        mixins: list(document, "mixins")
            .iter()
            .chain(single)
            .filter_map(mixin)
            .collect(),
        actions: list(document, "actions").iter().filter_map(action).collect(),
    }
}

fn definitions(node: &Node) -> Vec<Definition> {
    let mut found = Vec::new();
    if let Some(Node::Object(members)) = node.get("attributes") {
        for (name, node) in members {
            add_definition(&mut found, name, node, name.contains('.'));
        }
    }
    found
}

/// What is under a whole name is its definition. What is under a part of a name may be a definition, more of the name,
/// or both (`occi.compute.state` and `occi.compute.state.message`).
fn add_definition(found: &mut Vec<Definition>, name: &str, node: &Node, is_whole: bool) {
    const MEMBERS: [&str; 6] = ["type", "mutable", "required", "default", "description", "pattern"];
    let Node::Object(members) = node else { return };
    let says = |member: &str| matches!(node.get(member), Some(Node::Scalar(_)));
    let flag = |member| matches!(node.get(member), Some(Node::Scalar(Value::Boolean(true))));
    if is_whole || members.is_empty() || MEMBERS.into_iter().any(says) {
        found.extend(name.parse::<AttributeName>().map(|name| Definition {
            name,
            value_type: value_type(node),
            mutable: flag("mutable"),
            required: flag("required"),
            default: node.get("default").and_then(Node::to_value),
            description: text(node, "description").map(str::to_owned),
            creation_only: false,
        }));
    }
    if !is_whole {
        for (key, node) in members.iter().filter(|(key, _)| !MEMBERS.contains(&key.as_str())) {
            add_definition(found, &format!("{name}.{key}"), node, false);
        }
    }
}

fn value_type(node: &Node) -> ValueType {
    let pattern = node.get("pattern");
    match text(node, "type") {
        Some("number") if pattern.is_some_and(|pattern| text(pattern, "type") == Some("integer")) => {
            ValueType::Integer { min: None, max: None }
        }
        Some("number") => ValueType::Float { above: None },
        Some("boolean") => ValueType::Boolean,
        Some("array") => ValueType::List,
        Some("object") => ValueType::Hash,
        _ => ValueType::String,
    }
}
