//! What is printed, as JSON: these shapes are stable.

use occi_client::{Category, Entity, Kind, Mixin, Model, Operation};
use occi_model::{AttributeDefinition, TypeId};
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

    pub(crate) fn category(category: Category<'_>) -> Self {
        let id = category.id();
        let mut json = Map::new();
        let mut set = |name: &str, value: Json| drop(json.insert(name.to_owned(), value));
        set("class", category.class().as_str().into());
        set("term", id.term().into());
        set("scheme", id.scheme().into());
        set("title", text(category.title()));
        set("location", category.location().map_or(Json::Null, Into::into));
        match category {
            Category::Kind(Kind { parent, actions, .. }) => {
                set(
                    "parent",
                    parent.as_ref().map_or(Json::Null, |parent| parent.as_str().into()),
                );
                set("actions", ids(actions));
            }
            Category::Mixin(Mixin {
                depends,
                applies,
                actions,
                ..
            }) => {
                set("depends", ids(depends));
                set("applies", ids(applies));
                set("actions", ids(actions));
            }
            Category::Action(_) => {}
        }
        let definitions = category.attributes().iter().map(definition);
        set("attributes", Json::Object(definitions.collect()));
        json.retain(|_, value| !value.is_null());
        let mut occi = json.clone();
        occi.remove("class");
        let mut own = Map::new();
        own.insert("id".to_owned(), id.as_str().into());
        own.append(&mut json);
        Self {
            name: id.to_string(),
            json: Json::Object(own),
            occi: Json::Object(occi),
            is_link: false,
        }
    }
}

fn text(text: &str) -> Json {
    match text.is_empty() {
        true => Json::Null,
        false => text.into(),
    }
}

fn ids(ids: &[TypeId]) -> Json {
    ids.iter().map(TypeId::as_str).collect()
}

/// An attribute definition as GFD.226 writes it (1.7).
fn definition(definition: &AttributeDefinition) -> (String, Json) {
    let mut json = json!({
        "type": definition.value_type.json_type(),
        "mutable": definition.mutable,
        "required": definition.required,
    });
    if let Some(default) = &definition.default {
        json["default"] = default.to_json();
    }
    if let Some(description) = &definition.description {
        json["description"] = description.as_str().into();
    }
    (definition.name.to_string(), json)
}

fn entity_json(entity: &Entity, model: &Model) -> Json {
    let mut json = Map::new();
    let mut set = |name: &str, value: Json| drop(json.insert(name.to_owned(), value));
    set(
        "kind",
        entity.kind.as_ref().map_or(Json::Null, |kind| kind.as_str().into()),
    );
    set("id", entity.id.as_str().into());
    set("title", entity.title().map_or(Json::Null, Into::into));
    set("summary", entity.summary().map_or(Json::Null, Into::into));
    let state = entity.state(model);
    set("state", state.map_or(Json::Null, |state| state.word.into()));
    set(
        "message",
        state.and_then(|state| state.message).map_or(Json::Null, Into::into),
    );
    set("location", entity.location.as_str().into());
    let os = entity.os(model);
    set("os", os.map_or(Json::Null, |id| id.as_str().into()));
    let size = entity.size(model);
    set("size", size.map_or(Json::Null, |id| id.as_str().into()));
    let addresses = entity.addresses();
    set(
        "addresses",
        match addresses.is_empty() {
            true => Json::Null,
            false => addresses.into_iter().collect(),
        },
    );
    set("source", entity.source.as_deref().map_or(Json::Null, Into::into));
    set("target", entity.target.as_deref().map_or(Json::Null, Into::into));
    set("mixins", ids(&entity.mixins));
    set("attributes", attributes(entity));
    if !entity.links.is_empty() {
        set(
            "links",
            entity.links.iter().map(|link| entity_json(link, model)).collect(),
        );
    }
    let actions = entity.actions.iter().map(|action| action.id.term());
    set("actions", actions.collect());
    json.retain(|_, value| !value.is_null());
    Json::Object(json)
}

fn attributes(entity: &Entity) -> Json {
    let attributes = entity.attributes.iter();
    attributes
        .map(|(name, value)| (name.to_string(), value.to_json()))
        .collect()
}

/// An entity as GFD.226 writes it (1.1, 1.2).
fn occi_entity(entity: &Entity) -> Json {
    let mut json = Map::new();
    let mut set = |name: &str, value: Json| drop(json.insert(name.to_owned(), value));
    set(
        "kind",
        entity.kind.as_ref().map_or(Json::Null, |kind| kind.as_str().into()),
    );
    set("id", entity.id.as_str().into());
    set("title", entity.title().map_or(Json::Null, Into::into));
    set("summary", entity.summary().map_or(Json::Null, Into::into));
    set("mixins", ids(&entity.mixins));
    set("attributes", attributes(entity));
    set(
        "actions",
        entity.actions.iter().map(|action| action.id.as_str()).collect(),
    );
    if let Some(source) = &entity.source {
        set("source", json!({ "location": source }));
    }
    if let Some(target) = &entity.target {
        let mut end = json!({ "location": target });
        if let Some(kind) = &entity.target_kind {
            end["kind"] = kind.as_str().into();
        }
        set("target", end);
    }
    if !entity.links.is_empty() {
        set("links", entity.links.iter().map(occi_entity).collect());
    }
    json.retain(|_, value| !value.is_null());
    Json::Object(json)
}

fn operation_json(operation: &Operation) -> Json {
    let optional = |text: &Option<String>| text.as_deref().map_or(Json::Null, Into::into);
    let mut json = json!({
        "id": operation.id,
        "verb": operation.verb,
        "state": operation.state.as_str(),
        "step": optional(&operation.step),
        "progress": operation.progress,
        "entity": optional(&operation.entity),
        "error": optional(&operation.error),
        "mixins": operation.mixins.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "created": optional(&operation.created),
        "finished": optional(&operation.finished),
        "deadline": optional(&operation.deadline),
        "location": operation.location,
        "parts": operation.parts.iter().map(operation_json).collect::<Vec<_>>(),
    });
    if let Some(members) = json.as_object_mut() {
        members.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|all| !all.is_empty()));
    }
    json
}
