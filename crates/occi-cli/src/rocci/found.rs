//! What an action brings to be printed, and what both outputs say of it.

use super::options::Format;
use super::{json, plain};
use occi_client::{Category, Entity, Kind, Mixin, Model, TypeId, Value};

/// What is to be printed.
#[derive(Debug)]
pub(super) enum Found<'m> {
    /// Locations, or identifiers.
    Locations(Vec<String>),
    Entities(Vec<Entity>),
    Mixins(Vec<&'m Mixin>),
    Kinds(Vec<&'m Kind>),
}

impl Found<'_> {
    /// As text, with its last line ended.
    pub(super) fn write(&self, format: Format, model: &Model) -> String {
        match format {
            Format::Plain => plain::write(self, model),
            _ => json::write(self, format, model),
        }
    }
}

/// The attributes with those that are members of an entity, these first.
pub(super) fn attributes(entity: &Entity, model: &Model) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut push = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            all.push((name.to_owned(), Value::from(value)));
        }
    };
    push("occi.core.id", Some(&entity.id));
    push("occi.core.title", entity.title());
    if entity.is_link(model) {
        push("occi.core.target", entity.target.as_deref());
        push("occi.core.source", entity.source.as_deref());
    }
    let rest = entity
        .attributes
        .iter()
        .filter(|(name, _)| name.as_str() != "occi.core.title");
    all.extend(rest.map(|(name, value)| (name.to_string(), value.clone())));
    all
}

/// The title and the location of an entity's mixin; of one that the server does not describe they are empty.
pub(super) fn mixin_line<'m>(id: &TypeId, model: &'m Model) -> (&'m str, &'m str) {
    match model.get(id.as_str()) {
        Some(Category::Mixin(mixin)) => (&mixin.title, mixin.location.as_str()),
        _ => ("", ""),
    }
}
