//! `--dump-model`: what the server offers, a category after the other.

use super::json;
use super::options::{Format, Options};
use occi_client::{Action, AttributeName, Kind, Mixin, Model, TypeId};
use occi_model::AttributeDefinition;
use std::fmt::Write;

/// All of it, or a category and what is directly related to it. In JSON the categories are objects, one a line; else they
/// are lines as the text rendering has them.
pub(super) fn write(options: &Options, model: &Model) -> String {
    let filter = options.filter.as_deref();
    let belongs = |id: &TypeId, related: &[TypeId]| {
        filter.is_none_or(|filter| *id == *filter || related.iter().any(|related| *related == *filter))
    };
    let kinds = model.kinds().iter();
    let kinds = kinds.filter(|kind| belongs(&kind.id, kind.parent.as_slice()));
    let mixins = model.mixins().iter().filter(|mixin| belongs(&mixin.id, &mixin.depends));
    // Actions are related to nothing.
    let actions = model.actions().iter().filter(|_| filter.is_none());
    let sections: [(&str, Vec<String>); 5] = match options.format {
        Format::Json => [
            (
                "kinds",
                kinds.map(|kind| format!("{}\n", json::of_kind(kind))).collect(),
            ),
            (
                "mixins",
                mixins.map(|mixin| format!("{}\n", json::of_mixin(mixin))).collect(),
            ),
            (
                "actions",
                actions.map(|action| format!("{}\n", json::of_action(action))).collect(),
            ),
            ("resources", Vec::new()),
            ("links", Vec::new()),
        ],
        _ => [
            ("kinds", kinds.map(kind_line).collect()),
            ("mixins", mixins.map(mixin_line).collect()),
            ("actions", actions.map(action_line).collect()),
            ("resources", Vec::new()),
            ("links", Vec::new()),
        ],
    };
    let rule = "#".repeat(79);
    let mut text = String::new();
    for (name, lines) in sections {
        text.push_str(&format!("{rule}\nDumping \"@{name}\":\n"));
        for line in lines {
            text.push_str(&format!("\n{}\n", line));
        }
        text.push_str(&format!("{rule}\n"));
    }
    text
}

fn action_line(action: &Action) -> String {
    category_line(&action.id, "action", &action.title)
}

fn category_line(id: &TypeId, class: &str, title: &str) -> String {
    let mut text = format!("{};scheme={:?};class={class:?}", id.term(), id.scheme());
    if !title.is_empty() {
        let _ = write!(text, ";title={title:?}");
    }
    text
}

fn kind_line(kind: &Kind) -> String {
    let related: Vec<_> = kind.parent.iter().collect();
    category_line(&kind.id, "kind", &kind.title)
        + &rest_of_line(&related, kind.location.as_str(), &kind.attributes, &kind.actions)
}

fn mixin_line(mixin: &Mixin) -> String {
    let related: Vec<_> = mixin.depends.iter().collect();
    category_line(&mixin.id, "mixin", &mixin.title)
        + &rest_of_line(&related, mixin.location.as_str(), &mixin.attributes, &mixin.actions)
}

fn rest_of_line(
    related: &[&TypeId],
    location: &str,
    definitions: &[AttributeDefinition],
    actions: &[TypeId],
) -> String {
    let joined = |ids: Vec<&str>| ids.join(" ");
    let mut text = String::new();
    if !related.is_empty() {
        let _ = write!(
            text,
            ";rel={:?}",
            joined(related.iter().map(|id| id.as_str()).collect())
        );
    }
    let _ = write!(text, ";location={location:?}");
    if !definitions.is_empty() {
        let names: Vec<_> = definitions
            .iter()
            .map(|definition| with_properties(&definition.name, definition.mutable, definition.required))
            .collect();
        let _ = write!(text, ";attributes={:?}", names.join(" "));
    }
    if !actions.is_empty() {
        let _ = write!(
            text,
            ";actions={:?}",
            joined(actions.iter().map(TypeId::as_str).collect())
        );
    }
    text
}

fn with_properties(name: &AttributeName, mutable: bool, required: bool) -> String {
    let properties: Vec<_> = [(!mutable).then_some("immutable"), required.then_some("required")]
        .into_iter()
        .flatten()
        .collect();
    match properties.is_empty() {
        true => name.to_string(),
        false => format!("{name}{{{}}}", properties.join(" ")),
    }
}
