//! What is printed, as JSON: these shapes are stable.

use occi_client::{Category, Entity, Event, Model, Operation};
use occi_model::{AttributeDefinition, TypeId, Value};
use serde_json::{Map, Value as Json, json};

/// One thing that can be printed.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// What names it on the command line.
    pub(crate) name: String,
    /// The stable form for machines, from which the forms for people are made.
    pub(crate) json: Json,
    /// As GFD.226 writes it.
    pub(crate) occi: Json,
    /// Whether GFD.226 lists it among the links.
    pub(crate) is_link: bool,
}

impl Record {
    /// Something that OCCI does not know.
    pub(crate) fn other(name: impl Into<String>, json: Json) -> Self {
        Self {
            name: name.into(),
            occi: json.clone(),
            json,
            is_link: false,
        }
    }

    pub(crate) fn entity(entity: &Entity, model: &Model) -> Self {
        Self {
            name: entity.location.clone(),
            json: entity_json(entity, model),
            occi: occi_entity(entity),
            is_link: entity.is_link(model),
        }
    }

    pub(crate) fn operation(operation: &Operation) -> Self {
        Self::other(&operation.location, operation_json(operation))
    }

    pub(crate) fn event(event: &Event) -> Self {
        Self::other(event.number.to_string(), event_json(event))
    }

    pub(crate) fn category(category: Category<'_>) -> Self {
        let id = category.id();
        let (parent, actions, mixed) = match category {
            Category::Kind(kind) => (kind.parent.as_ref(), Some(&kind.actions), None),
            Category::Mixin(mixin) => (None, Some(&mixin.actions), Some((&mixin.depends, &mixin.applies))),
            Category::Action(_) => (None, None, None),
        };
        let definitions = category.attributes().iter().map(definition);
        let mut occi = json!({
            "term": id.term(),
            "scheme": id.scheme(),
            "title": Some(category.title()).filter(|title| !title.is_empty()),
            "location": category.location(),
            "parent": parent.map(TypeId::as_str),
            "depends": mixed.map(|(depends, _)| ids(depends)),
            "applies": mixed.map(|(_, applies)| ids(applies)),
            "actions": actions.map(|actions| ids(actions)),
            "attributes": definitions.collect::<Map<_, _>>(),
        });
        let mut json = json!({ "id": id.as_str(), "class": category.class().as_str() });
        strip(&mut occi);
        if let (Some(json), Some(occi)) = (json.as_object_mut(), occi.as_object()) {
            json.extend(occi.clone());
        }
        Self {
            name: id.to_string(),
            json,
            occi,
            is_link: false,
        }
    }
}

/// Takes away the members that are null: what is not there is not named.
fn strip(json: &mut Json) {
    if let Some(members) = json.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
}

fn ids(ids: &[TypeId]) -> Vec<&str> {
    ids.iter().map(TypeId::as_str).collect()
}

/// What is named only if there is some.
fn some<T>(all: Vec<T>) -> Option<Vec<T>> {
    Some(all).filter(|all| !all.is_empty())
}

/// An attribute definition as GFD.226 writes it (1.7).
fn definition(definition: &AttributeDefinition) -> (String, Json) {
    let mut json = json!({
        "type": definition.value_type.json_type(),
        "mutable": definition.mutable,
        "required": definition.required,
        "default": definition.default.as_ref().map(Value::to_json),
        "description": definition.description,
    });
    strip(&mut json);
    (definition.name.to_string(), json)
}

fn entity_json(entity: &Entity, model: &Model) -> Json {
    let state = entity.state(model);
    let actions: Vec<_> = entity.actions.iter().map(|action| action.id.term()).collect();
    let mut json = json!({
        "kind": entity.kind.as_ref().map(TypeId::as_str),
        "id": entity.id,
        "title": entity.title(),
        "summary": entity.summary(),
        "state": state.map(|state| state.word),
        "message": state.and_then(|state| state.message),
        "location": entity.location,
        "os": entity.os(model).map(TypeId::as_str),
        "size": entity.size(model).map(TypeId::as_str),
        "addresses": some(entity.addresses()),
        "source": entity.source,
        "target": entity.target,
        "mixins": ids(&entity.mixins),
        "attributes": attributes(entity),
        "links": some(entity.links.iter().map(|link| entity_json(link, model)).collect()),
        "actions": actions,
    });
    strip(&mut json);
    json
}

fn attributes(entity: &Entity) -> Json {
    let attributes = entity.attributes.iter();
    attributes
        .map(|(name, value)| (name.to_string(), value.to_json()))
        .collect()
}

/// An entity as GFD.226 writes it (1.1, 1.2).
fn occi_entity(entity: &Entity) -> Json {
    let end = |location: &Option<String>, kind: Option<&TypeId>| {
        let mut end = json!({ "location": location.as_ref()?, "kind": kind.map(TypeId::as_str) });
        strip(&mut end);
        Some(end)
    };
    let actions: Vec<_> = entity.actions.iter().map(|action| action.id.as_str()).collect();
    let mut json = json!({
        "kind": entity.kind.as_ref().map(TypeId::as_str),
        "id": entity.id,
        "title": entity.title(),
        "summary": entity.summary(),
        "mixins": ids(&entity.mixins),
        "attributes": attributes(entity),
        "actions": actions,
        "source": end(&entity.source, None),
        "target": end(&entity.target, entity.target_kind.as_ref()),
        "links": some(entity.links.iter().map(occi_entity).collect()),
    });
    strip(&mut json);
    json
}

fn operation_json(operation: &Operation) -> Json {
    let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string());
    let mixins: Vec<_> = operation.mixins.iter().map(ToString::to_string).collect();
    let mut json = json!({
        "id": operation.id,
        "verb": operation.verb,
        "state": operation.state.as_str(),
        "step": operation.step,
        "progress": operation.progress,
        "entity": operation.entity,
        "error": operation.error,
        "mixins": some(mixins),
        "created": time(operation.created),
        "finished": time(operation.finished),
        "deadline": time(operation.deadline),
        "location": operation.location,
        "parts": some(operation.parts.iter().map(operation_json).collect()),
    });
    strip(&mut json);
    json
}

fn event_json(event: &Event) -> Json {
    let operation = event.operation.as_ref();
    let mut json = json!({
        "number": event.number,
        "time": event.time,
        "what": event.what,
        "kind": event.kind.as_ref().map(TypeId::as_str),
        "title": event.title,
        "state": event.state,
        "subject": event.subject,
        "entity": event.entity,
        "project": event.project,
        "operation": operation.map(|(location, _)| location),
        "outcome": operation.map(|(_, state)| state.as_str()),
    });
    strip(&mut json);
    json
}
