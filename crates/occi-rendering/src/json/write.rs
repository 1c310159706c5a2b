//! Writes the JSON rendering, straight from the model: no tree in between, nothing allocated per attribute.

use crate::View;
use crate::render::{Categories, effective_actions, effective_attributes};
use occi_model::{Action, AttributeDefinition, Entity, Kind, LinkEnd, Location, Mixin, Shape, Value, ValueType};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;

/// Something of the model, as seen through a view.
pub(crate) struct Json<'a, T: ?Sized>(pub(crate) &'a T, pub(crate) &'a View<'a>);

/// As bytes. Nothing that is written here can fail: keys are strings and the writer is memory.
pub(crate) fn append(out: &mut Vec<u8>, what: &impl Serialize) {
    let _ = serde_json::to_writer(out, what);
}

impl Serialize for Json<'_, Entity> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(entity, view) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", entity.kind.as_str())?;
        map.serialize_entry("id", entity.id.as_str())?;
        if let Some(title) = entity.attributes.get("occi.core.title") {
            map.serialize_entry("title", &JsonValue(title))?;
        }
        let summary = entity.attributes.get("occi.core.summary");
        if let (Some(summary), Shape::Resource { .. }) = (summary, &entity.shape) {
            map.serialize_entry("summary", &JsonValue(summary))?;
        }
        if !entity.mixins.is_empty() {
            map.serialize_entry("mixins", &Texts(&entity.mixins))?;
        }
        map.serialize_entry("attributes", &JsonAttributes(entity, view))?;
        if let Shape::Link { source, target } = &entity.shape {
            map.serialize_entry("source", &Json(source, view))?;
            map.serialize_entry("target", &Json(target, view))?;
        }
        if !entity.actions.is_empty() {
            map.serialize_entry("actions", &Texts(&entity.actions))?;
        }
        match &entity.shape {
            Shape::Resource { links } if !links.is_empty() => {
                map.serialize_entry("links", &Json(links.as_slice(), view))?;
            }
            _ => {}
        }
        map.end()
    }
}

/// The attributes of an entity, those of the core included: readers look for them in either place.
struct JsonAttributes<'a>(&'a Entity, &'a View<'a>);

impl Serialize for JsonAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(entity, view) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("occi.core.id", entity.id.as_str())?;
        for name in ["occi.core.title", "occi.core.summary"] {
            if let Some(value) = entity.attributes.get(name) {
                map.serialize_entry(name, &JsonValue(value))?;
            }
        }
        if let Shape::Link { source, target } = &entity.shape {
            map.serialize_entry("occi.core.source", &JsonPath(&source.location, view))?;
            map.serialize_entry("occi.core.target", &JsonPath(&target.location, view))?;
        }
        for (name, value) in view.ordered(&entity.attributes) {
            map.serialize_entry(name.as_str(), &JsonValue(value))?;
        }
        map.end()
    }
}

impl Serialize for Json<'_, LinkEnd> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(LinkEnd { location, kind }, view) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("location", &JsonPath(location, view))?;
        if let Some(kind) = kind {
            map.serialize_entry("kind", kind.as_str())?;
        }
        map.end()
    }
}

/// A path of this service below its base path, or a foreign URI.
struct JsonPath<'a>(&'a str, &'a View<'a>);

impl Serialize for JsonPath<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(location, view) = *self;
        if view.base.path().is_empty() || !location.starts_with('/') {
            serializer.serialize_str(location)
        } else {
            serializer.collect_str(&format_args!("{}{location}", view.base.path()))
        }
    }
}

struct JsonValue<'a>(&'a Value);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) => serializer.serialize_str(text),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Boolean(truth) => serializer.serialize_bool(*truth),
            Value::List(values) => serializer.collect_seq(values.iter().map(JsonValue)),
            Value::Hash(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, JsonValue(value))))
            }
        }
    }
}

/// A list of names.
struct Texts<'a, T>(&'a [T]);

impl<T: AsRef<str>> Serialize for Texts<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(AsRef::as_ref))
    }
}

impl<'a, T> Serialize for Json<'a, [T]>
where
    Json<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|item| Json(item, self.1)))
    }
}

impl<'a, T> Serialize for Json<'a, std::sync::Arc<T>>
where
    Json<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Json(&**self.0, self.1).serialize(serializer)
    }
}

impl Serialize for Json<'_, Categories<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(Categories { kinds, mixins, actions }, view) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kinds", &Json(*kinds, view))?;
        map.serialize_entry("mixins", &Json(*mixins, view))?;
        map.serialize_entry("actions", &Json(*actions, view))?;
        map.end()
    }
}

impl Serialize for Json<'_, Kind> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(kind, view) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("term", kind.id.term())?;
        map.serialize_entry("scheme", kind.id.scheme())?;
        title(&mut map, &kind.title)?;
        if let Some(parent) = &kind.parent {
            map.serialize_entry("parent", parent.as_str())?;
        }
        attributes(&mut map, &effective_attributes(view.registry, kind), view)?;
        let actions = effective_actions(view.registry, kind);
        if !actions.is_empty() {
            map.serialize_entry("actions", &Texts(&actions))?;
        }
        if let Some(location) = view.kind_location(kind) {
            map.serialize_entry("location", &JsonPath(location.as_str(), view))?;
        }
        map.end()
    }
}

impl Serialize for Json<'_, Mixin> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(mixin, view) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("term", mixin.id.term())?;
        map.serialize_entry("scheme", mixin.id.scheme())?;
        title(&mut map, &mixin.title)?;
        attributes(&mut map, &mixin.attributes.iter().collect::<Vec<_>>(), view)?;
        for (name, ids) in [
            ("actions", &mixin.actions),
            ("depends", &mixin.depends),
            ("applies", &mixin.applies),
        ] {
            if !ids.is_empty() {
                map.serialize_entry(name, &Texts(ids))?;
            }
        }
        map.serialize_entry("location", &JsonPath(Location::as_str(&mixin.location), view))?;
        map.end()
    }
}

impl Serialize for Json<'_, Action> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(action, view) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("term", action.id.term())?;
        map.serialize_entry("scheme", action.id.scheme())?;
        title(&mut map, &action.title)?;
        attributes(&mut map, &action.attributes.iter().collect::<Vec<_>>(), view)?;
        map.end()
    }
}

fn title<M: SerializeMap>(map: &mut M, title: &str) -> Result<(), M::Error> {
    match title {
        "" => Ok(()),
        title => map.serialize_entry("title", title),
    }
}

fn attributes<M: SerializeMap>(
    map: &mut M,
    definitions: &[&AttributeDefinition],
    view: &View<'_>,
) -> Result<(), M::Error> {
    if definitions.is_empty() {
        return Ok(());
    }
    map.serialize_entry("attributes", &Definitions(definitions, view))
}

struct Definitions<'a>(&'a [&'a AttributeDefinition], &'a View<'a>);

impl Serialize for Definitions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|definition| (definition.name.as_str(), Json(*definition, self.1))),
        )
    }
}

impl Serialize for Json<'_, AttributeDefinition> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(definition, view) = *self;
        let AttributeDefinition {
            name: _,
            value_type,
            mutable,
            required,
            default,
            description,
            // The rendering has no word for it: the attribute is mutable until it has been set.
            creation_only: _,
        } = definition;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("mutable", mutable)?;
        map.serialize_entry("required", required)?;
        map.serialize_entry("type", value_type.json_type())?;
        // rOCCI-core 5 refuses a whole model in which a pattern is an object.
        if view.agent.occi_1_2
            && !view.agent.rocci
            && let Some(mut pattern) = pattern(value_type)
        {
            pattern["$schema"] = "http://json-schema.org/draft-04/schema#".into();
            map.serialize_entry("pattern", &pattern)?;
        }
        if let Some(default) = default {
            map.serialize_entry("default", &JsonValue(default))?;
        }
        if let Some(description) = description {
            map.serialize_entry("description", description)?;
        }
        map.end()
    }
}

/// What a type says beyond its name, as a JSON Schema of draft 4.
fn pattern(value_type: &ValueType) -> Option<serde_json::Value> {
    match value_type {
        ValueType::Enum { values, .. } => Some(json!({ "type": "string", "enum": values })),
        ValueType::Integer { min, max } => {
            let mut schema = json!({ "type": "integer" });
            if let Some(min) = min {
                schema["minimum"] = (*min).into();
            }
            if let Some(max) = max {
                schema["maximum"] = (*max).into();
            }
            Some(schema)
        }
        ValueType::Float { above: Some(above) } => {
            Some(json!({ "type": "number", "minimum": above, "exclusiveMinimum": true }))
        }
        ValueType::IpAddr => Some(json!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] })),
        ValueType::Mac => Some(json!({ "type": "string", "pattern": "^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$" })),
        ValueType::DateTime => Some(json!({ "type": "string", "format": "date-time" })),
        ValueType::String
        | ValueType::Float { above: None }
        | ValueType::Boolean
        | ValueType::Uri
        | ValueType::IpNet
        | ValueType::List
        | ValueType::Hash => None,
    }
}
