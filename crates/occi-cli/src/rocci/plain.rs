//! The output for people: one location a line, and records between lines of `#`.

use super::found::{Found, attributes, mixin_line};
use occi_client::{Entity, Kind, Mixin, Model, TypeId};
use occi_model::core;
use std::fmt::Write;

/// What is found, with its last line ended.
pub(super) fn write(found: &Found<'_>, model: &Model) -> String {
    let records: Vec<String> = match found {
        Found::Locations(locations) => return format!("{}\n", locations.join("\n")),
        Found::Entities(entities) => entities.iter().map(|entity| of_entity(entity, model)).collect(),
        Found::Mixins(mixins) => mixins.iter().map(|mixin| of_mixin(mixin)).collect(),
        Found::Kinds(kinds) => kinds.iter().map(|kind| of_kind(kind)).collect(),
    };
    if records.is_empty() {
        return "\n".to_owned();
    }
    let rule = "#".repeat(width().saturating_sub(1));
    let mut text = format!("{rule}\n");
    for record in records {
        text.push_str(&record);
        text.push_str(&rule);
        text.push('\n');
    }
    text
}

/// The width of the terminal, or the usual one.
fn width() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into())
}

// Nothing here fails: it is written to a String.
macro_rules! line {
    ($text:expr, $($words:tt)*) => { let _ = writeln!($text, $($words)*); };
}

fn of_entity(entity: &Entity, model: &Model) -> String {
    let mut text = String::new();
    line!(text, "[[ {} ]]", kind(entity));
    line!(text, ">> location: {}", entity.location);
    for (name, value) in attributes(entity, model) {
        line!(text, "{name} = {value}");
    }
    if !entity.is_link(model) {
        line!(text, "\nLinks:");
        for link in &entity.links {
            line!(text, "\n    [[ {} ]]", kind(link));
            line!(text, "    >> location: {}", link.location);
            for (name, value) in attributes(link, model) {
                line!(text, "    {name} = {value}");
            }
        }
    }
    line!(text, "\nMixins:");
    for id in &entity.mixins {
        let (title, location) = mixin_line(id, model);
        line!(text, "\n    [[ {id} ]]");
        line!(text, "    title:        {title}");
        line!(text, "    term:         {}", id.term());
        line!(text, "    location:     {location}");
    }
    line!(text, "\nActions:");
    of_actions(&mut text, entity.actions.iter().map(|action| &action.id));
    text
}

fn of_actions<'a>(text: &mut String, actions: impl Iterator<Item = &'a TypeId>) {
    for id in actions {
        line!(text, "\n    [[ {id} ]]");
    }
}

fn kind(entity: &Entity) -> &str {
    entity.kind.as_ref().map_or(core::LINK, TypeId::as_str)
}

fn of_mixin(mixin: &Mixin) -> String {
    let Mixin {
        id, title, location, ..
    } = mixin;
    let term = id.term();
    format!("[[ {id} ]]\ntitle:        {title}\nterm:         {term}\nlocation:     {location}\n")
}

fn of_kind(kind: &Kind) -> String {
    let parent = kind.parent.as_ref().map(TypeId::as_str).unwrap_or_default();
    let mut text = String::new();
    line!(text, "[[ {} ]]", kind.id);
    line!(text, ">> title:      {}", kind.title);
    line!(text, ">> parent:     {parent}");
    line!(text, ">> location:   {}", kind.location);
    line!(text, ">> related to: {parent}");
    line!(text, "\nAttributes:");
    for definition in &kind.attributes {
        let default = definition.default.as_ref().map(ToString::to_string).unwrap_or_default();
        line!(text, "\n    [[ {} ]]", definition.name);
        line!(text, "    | type:        {}", definition.value_type.json_type());
        line!(text, "    | required:    {}", definition.required);
        line!(text, "    | mutable:     {}", definition.mutable);
        line!(text, "    | default:     {default}");
        line!(
            text,
            "    | description: {}",
            definition.description.as_deref().unwrap_or_default()
        );
        line!(text, "    | pattern:     .*");
    }
    line!(text, "\nActions:");
    of_actions(&mut text, kind.actions.iter());
    text
}
