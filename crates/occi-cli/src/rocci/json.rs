//! JSON as rOCCI-cli prints it: a dialect of 2013 that is nobody's wire format, with attributes in a tree.

use super::found::{Found, attributes};
use super::options::Format;
use occi_client::{Action, Entity, Kind, Mixin, Model, TypeId, Value};
use occi_model::{AttributeDefinition, core};
use serde_json::{Map, Value as Json, json};

/// What is found, with its last line ended.
///
/// Resources hold their links whole in every format: that is what rOCCI-cli does since 4.3.0, so that its `extended` formats
/// differ from the others in nothing.
pub(super) fn write(found: &Found<'_>, format: Format, model: &Model) -> String {
    let objects: Vec<Json> = match found {
        Found::Locations(locations) => {
            // Of locations only this one is pretty.
            return match format {
                Format::JsonPretty => format!("{:#}\n", json!(locations)),
                _ => format!("{}\n", json!(locations)),
            };
        }
        Found::Entities(entities) => entities.iter().map(|entity| of_entity(entity, model)).collect(),
        Found::Mixins(mixins) => mixins.iter().map(|mixin| of_mixin(mixin)).collect(),
        Found::Kinds(kinds) => kinds.iter().map(|kind| of_kind(kind)).collect(),
    };
    let is_pretty = matches!(format, Format::JsonPretty | Format::JsonExtendedPretty);
    let texts: Vec<_> = objects
        .iter()
        .map(|object| match is_pretty {
            true => format!("{object:#}"),
            false => object.to_string(),
        })
        .collect();
    match is_pretty {
        true => format!("[\n{}\n]\n", texts.join(",\n")),
        false => format!("[{}]\n", texts.join(",")),
    }
}

/// An object in the making: what is not there is left out.
#[derive(Default)]
struct Object(Map<String, Json>);

impl Object {
    fn set(&mut self, name: &str, value: impl Into<Json>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.set(name, value);
        }
    }

    fn ids<'a>(&mut self, name: &str, ids: impl IntoIterator<Item = &'a TypeId>) {
        let ids: Vec<_> = ids.into_iter().map(TypeId::as_str).collect();
        if !ids.is_empty() {
            self.set(name, ids);
        }
    }
}

fn of_entity(entity: &Entity, model: &Model) -> Json {
    let mut object = Object::default();
    let is_link = entity.is_link(model);
    let kind = entity.kind.as_ref().map(TypeId::as_str);
    object.text("kind", kind.unwrap_or_default());
    object.ids("mixins", &entity.mixins);
    object.ids("actions", entity.actions.iter().map(|action| &action.id));
    let mut tree = Tree::default();
    for (name, value) in attributes(entity, model) {
        tree.plant(&name, value.to_json());
    }
    if !tree.0.is_empty() {
        object.set("attributes", tree.into_json());
    }
    object.text("id", &entity.id);
    if is_link {
        object.set("rel", entity.target_kind.as_ref().map_or(core::LINK, TypeId::as_str));
        object.text("source", entity.source.as_deref().unwrap_or_default());
        object.text("target", entity.target.as_deref().unwrap_or_default());
    } else if !entity.links.is_empty() {
        let links: Vec<_> = entity.links.iter().map(|link| of_entity(link, model)).collect();
        object.set("links", links);
    }
    object.0.into()
}

/// Attributes in a tree: `occi.compute.cores` is `cores` in `compute` in `occi`.
#[derive(Default)]
struct Tree(Vec<(String, Node)>);

enum Node {
    Leaf(Json),
    Branch(Tree),
}

impl Tree {
    /// What lies below a value (`occi.compute.state.message`) has no place of its own: it stands beside it, as
    /// `state.message`, so that scripts find the state where it always was. Names come in their order.
    fn plant(&mut self, name: &str, value: Json) {
        if let Some((head, rest)) = name.split_once('.') {
            let known = self.0.iter().position(|(name, _)| name == head);
            let place = known.unwrap_or_else(|| {
                self.0.push((head.to_owned(), Node::Branch(Self::default())));
                self.0.len() - 1
            });
            if let Node::Branch(branch) = &mut self.0[place].1 {
                return branch.plant(rest, value);
            }
        }
        self.0.push((name.to_owned(), Node::Leaf(value)));
    }

    fn into_json(self) -> Json {
        let nodes = self.0.into_iter().map(|(name, node)| match node {
            Node::Leaf(value) => (name, value),
            Node::Branch(tree) => (name, tree.into_json()),
        });
        nodes.collect::<Map<_, _>>().into()
    }
}

pub(super) fn of_mixin(mixin: &Mixin) -> Json {
    let mut object = Object::default();
    object.ids("depends", &mixin.depends);
    object.ids("applies", &mixin.applies);
    object.ids("related", &mixin.depends);
    object.ids("actions", &mixin.actions);
    object.text("location", mixin.location.as_str());
    category(&mut object, &mixin.id, &mixin.title, &mixin.attributes);
    object.0.into()
}

pub(super) fn of_kind(kind: &Kind) -> Json {
    let mut object = Object::default();
    object.text("parent", kind.parent.as_ref().map(TypeId::as_str).unwrap_or_default());
    object.ids("related", &kind.parent);
    object.ids("actions", &kind.actions);
    object.text("location", kind.location.as_str());
    category(&mut object, &kind.id, &kind.title, &kind.attributes);
    object.0.into()
}

pub(super) fn of_action(action: &Action) -> Json {
    let mut object = Object::default();
    category(&mut object, &action.id, &action.title, &action.attributes);
    object.0.into()
}

fn category(object: &mut Object, id: &TypeId, title: &str, definitions: &[AttributeDefinition]) {
    object.set("scheme", id.scheme());
    object.set("term", id.term());
    object.text("title", title);
    let mut definitions: Vec<_> = definitions.iter().collect();
    definitions.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
    let mut tree = Tree::default();
    for definition in definitions {
        tree.plant(definition.name.as_str(), properties(definition));
    }
    object.set("attributes", tree.into_json());
}

fn properties(definition: &AttributeDefinition) -> Json {
    let mut object = Object::default();
    if let Some(default) = &definition.default {
        object.set("default", Value::to_json(default));
    }
    object.set("type", definition.value_type.json_type());
    object.set("required", definition.required);
    object.set("mutable", definition.mutable);
    object.set("pattern", ".*");
    object.text("description", definition.description.as_deref().unwrap_or_default());
    object.0.into()
}
