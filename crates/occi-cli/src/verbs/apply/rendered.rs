//! JSON of OCCI 1.2 (GFD.226), as a server renders its entities.

use super::node::{Entry, Node, Shape};
use super::reader::Reader;
use super::thing::{End, Link, Thing, at};
use crate::failure::{Failure, Result};
use occi_client::{Input, TypeId};
use occi_model::infrastructure::{SSH_KEY, USER_DATA};
use occi_model::production::{OPENSTACK_PUBLIC_KEY, OPENSTACK_USER_DATA};
use occi_model::{AttributeName, Value};

/// What is given once and never changed: it is put into a machine at its first boot.
const WRITE_ONLY: [&str; 4] = [SSH_KEY, USER_DATA, OPENSTACK_PUBLIC_KEY, OPENSTACK_USER_DATA];

impl Reader<'_> {
    pub(super) fn rendered(&self, tree: &Node) -> Result<Vec<Thing>> {
        let entries = tree.entries("a rendering")?;
        if entries.iter().any(|entry| entry.name == "kind") {
            return Ok(vec![self.entity(tree)?]);
        }
        let mut things: Vec<Thing> = Vec::new();
        for entry in entries {
            if !["resources", "links"].contains(&entry.name.as_str()) {
                return Err(unknown(entry));
            }
            for node in entry.node.many() {
                things.push(self.entity(node)?);
            }
        }
        // The links of a resource are listed twice.
        let inline: Vec<_> = things
            .iter()
            .filter_map(|thing| Some((thing, thing.id.as_deref()?)))
            .flat_map(|(thing, id)| thing.links.iter().map(move |link| (id.to_owned(), link.clone())))
            .collect();
        if let Some(thing) = things
            .iter()
            .find(|thing| matches!(&thing.ends, Some((from, _)) if from.name.is_empty()))
        {
            return Err(thing.place.refuse("a link that stands alone has a source"));
        }
        things.retain(|thing| {
            let Some((source, target)) = &thing.ends else {
                return true;
            };
            !inline.iter().any(|(id, link)| {
                last(&source.name) == id && last(&target.name) == last(&link.to.name) && link.kind == thing.kind
            })
        });
        // What the file itself has is meant where it is said by id.
        let by_id: Vec<_> = things
            .iter()
            .filter_map(|thing| {
                let id = thing.id.clone()?;
                Some((id.clone(), thing.title.clone().unwrap_or(id), thing.kind.clone()))
            })
            .collect();
        let rename = |end: &mut End| {
            // Things of several kinds may have one id.
            let at = self.model.kind_at(&end.name).map(|kind| &kind.id);
            let mut by_id = by_id.iter();
            let is_meant =
                |(id, _, kind): &&(String, String, TypeId)| id == last(&end.name) && at.is_none_or(|at| at == kind);
            if let Some((_, title, kind)) = by_id.find(is_meant) {
                *end = End {
                    name: title.clone(),
                    kind: Some(kind.clone()),
                };
            }
        };
        for thing in &mut things {
            if let Some((source, target)) = &mut thing.ends {
                rename(source);
                rename(target);
            }
            thing.links.iter_mut().for_each(|link| rename(&mut link.to));
        }
        Ok(things)
    }

    fn entity(&self, node: &Node) -> Result<Thing> {
        let entries = node.entries("an entity")?;
        let kind = entries.iter().find(|entry| entry.name == "kind");
        let kind = kind.ok_or_else(|| node.place.refuse("an entity has a kind"))?;
        let name = kind.node.need_text("a kind")?;
        let id = &self.model.kind(name).map_err(|error| at(&kind.place, error.into()))?.id;
        let mut thing = Thing::new(node.place.clone(), id.clone());
        let mut ends = (None, None);
        for entry in entries {
            let Entry { name, node, .. } = entry;
            match name.as_str() {
                // What can be done with it is for the server to say.
                "kind" | "actions" => {}
                "id" => thing.id = Some(last(node.need_text("an id")?).to_owned()),
                "title" => thing.title = node.text().map(str::to_owned),
                "summary" => self.rendered_attribute(&mut thing, "occi.core.summary", node)?,
                "mixins" => {
                    for one in node.many() {
                        self.mixin(&mut thing.body, one)?;
                    }
                    let (once, other) = std::mem::take(&mut thing.body.mixins)
                        .into_iter()
                        .partition(|id| WRITE_ONLY.contains(&id.as_str()));
                    thing.once.mixins = once;
                    thing.body.mixins = other;
                }
                "attributes" => {
                    for entry in node.entries("attributes")? {
                        self.rendered_attribute(&mut thing, &entry.name, &entry.node)?;
                    }
                }
                "source" => ends.0 = Some(self.rendered_end(node)?),
                "target" => ends.1 = Some(self.rendered_end(node)?),
                "links" => {
                    for one in node.many() {
                        let Thing {
                            place,
                            kind,
                            body,
                            ends,
                            ..
                        } = self.entity(one)?;
                        let (_, to) = ends.ok_or_else(|| place.refuse("a link has a target"))?;
                        thing.links.push(Link { place, kind, to, body });
                    }
                }
                _ => return Err(unknown(entry)),
            }
        }
        if self.model.is_link(thing.kind.as_str()) {
            let nobody = End {
                name: String::new(),
                kind: None,
            };
            let (source, target) = ends;
            let target = target.ok_or_else(|| thing.place.refuse("a link has a target"))?;
            thing.ends = Some((source.unwrap_or(nobody), target));
        } else if thing.title.is_none() && thing.id.is_none() {
            return Err(thing
                .place
                .refuse("what has neither title nor id could not be found again"));
        }
        Ok(thing)
    }

    fn rendered_end(&self, node: &Node) -> Result<End> {
        let named = match &node.shape {
            Shape::Map(entries) => {
                let location = entries.iter().find(|entry| entry.name == "location");
                &location
                    .ok_or_else(|| node.place.refuse("an end of a link has a location"))?
                    .node
            }
            _ => node,
        };
        self.end(named, None)
    }

    /// What the server says of itself is no wish.
    fn rendered_attribute(&self, thing: &mut Thing, name: &str, node: &Node) -> Result<()> {
        let name: AttributeName = name
            .parse()
            .map_err(|error: occi_model::IdentError| node.place.refuse(error))?;
        if name.as_str() == "occi.core.title" {
            thing.title = node.text().map(str::to_owned);
            return Ok(());
        }
        let of_kind = self.model.attributes_of(&thing.kind, &thing.body.mixins);
        let mixed = self.model.mixins().iter().flat_map(|mixin| &mixin.attributes);
        let definition = of_kind
            .iter()
            .copied()
            .chain(mixed)
            .find(|definition| definition.name == name);
        if definition.is_some_and(|definition| !definition.mutable) || name.as_str() == "occi.core.id" {
            return Ok(());
        }
        let value = match &node.shape {
            Shape::Null => Input::Null,
            Shape::Word(word) => Input::Token(word.clone()),
            _ => Value::from_json(&node.json()).map_or(Input::Null, Input::Typed),
        };
        let is_once = |mixin: &str| match self.model.get(mixin) {
            Some(category) => category.attributes().iter().any(|definition| definition.name == name),
            None => false,
        };
        let body = match WRITE_ONLY.iter().any(|mixin| is_once(mixin)) {
            true => &mut thing.once,
            false => &mut thing.body,
        };
        body.attributes.retain(|(other, _)| *other != name);
        body.attributes.push((name, value));
        Ok(())
    }
}

fn unknown(entry: &Entry) -> Failure {
    entry
        .place
        .refuse(format!("{:?} is no member of OCCI's JSON here (GFD.226)", entry.name))
}

/// The last segment of a path.
fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}
