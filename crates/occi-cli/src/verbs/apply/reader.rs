//! What a file says, in one of two forms: that for people, a list of things by kind and title; or JSON of OCCI 1.2
//! (GFD.226), as `occi list -o occi` prints it.

use super::node::{Node, Shape};
use super::thing::{Body, End, Thing, at};
use crate::failure::Result;
use occi_client::Model;
use occi_model::TypeId;

/// The things of a file.
///
/// # Errors
/// What makes no sense, with its place.
pub(super) fn read(tree: &Node, model: &Model) -> Result<Vec<Thing>> {
    let reader = Reader { model };
    let is_occi = |node: &Node| match &node.shape {
        Shape::Map(entries) => entries.iter().any(|entry| {
            ["resources", "links"].contains(&entry.name.as_str())
                || entry.name == "kind" && entry.node.text().is_some_and(|kind| kind.contains('#'))
        }),
        _ => false,
    };
    match &tree.shape {
        Shape::Map(_) if is_occi(tree) => reader.rendered(tree),
        Shape::List(_) => tree.many().iter().map(|node| reader.thing(node)).collect(),
        Shape::Map(_) => Err(tree
            .place
            .refuse("a file is a list of things, each of them - KIND: TITLE, or JSON of OCCI 1.2")),
        _ => Err(tree
            .place
            .refuse(format!("a file is a list of things, and this is {}", tree.what()))),
    }
}

pub(super) struct Reader<'m> {
    pub(super) model: &'m Model,
}

impl Reader<'_> {
    pub(super) fn is(&self, kind: &TypeId, ancestor: &str) -> bool {
        self.model.descends_from(kind.as_str(), ancestor)
    }

    pub(super) fn mixin(&self, body: &mut Body, node: &Node) -> Result<()> {
        let name = node.need_text("a mixin")?;
        let mixin = self.model.mixin(name).map_err(|error| at(&node.place, error.into()))?;
        body.mixin(&mixin.id);
        Ok(())
    }

    /// `lan`, `network/lan`, a path.
    pub(super) fn end(&self, node: &Node, kind: Option<TypeId>) -> Result<End> {
        let text = node.need_text("a name")?;
        if text.starts_with('/') || text.contains("://") {
            let kind = kind.or_else(|| self.model.kind_at(text).map(|kind| kind.id.clone()));
            let name = text.to_owned();
            return Ok(End { name, kind });
        }
        if let Some((before, name)) = text.split_once('/') {
            let found = crate::names::kind(self.model, before).map_err(|error| at(&node.place, error.into()))?;
            return Ok(End {
                name: name.to_owned(),
                kind: Some(found.id.clone()),
            });
        }
        let name = text.to_owned();
        Ok(End { name, kind })
    }
}
