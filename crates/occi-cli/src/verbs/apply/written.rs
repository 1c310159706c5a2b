//! The form for people: a list of things, each begun by its kind and its title.

use super::node::{Entry, Node, Shape};
use super::reader::Reader;
use super::thing::{Body, Link, Thing, at};
use crate::failure::{Failure, Result};
use crate::names::concrete;
use crate::read;
use crate::verbs::values::{attribute_name, input, text_or_file};
use occi_client::infrastructure::Compute;
use occi_client::{EntityDraft, ErrorKind, Input};
use occi_model::infrastructure::{
    COMPUTE, IPNETWORK, IPNETWORKINTERFACE, NETWORK, NETWORKINTERFACE, STORAGE, STORAGELINK,
};
use occi_model::templates::{OS_TPL, RESOURCE_TPL};
use occi_model::{AttributeDefinition, TypeId, Value};

/// Words for attributes whose own names are less plain.
const ALIASES: [(&str, &str); 3] = [
    ("device", "deviceid"),
    ("mount_point", "mountpoint"),
    ("user-data", "user_data"),
];

impl Reader<'_> {
    pub(super) fn thing(&self, node: &Node) -> Result<Thing> {
        let entries = node.entries("a thing")?;
        let (kind, head) = self.head(node, entries)?;
        let mut thing = Thing::new(head.place.clone(), kind);
        match head.node.shape {
            Shape::Null => {}
            _ => thing.title = Some(head.node.need_text("a title")?.to_owned()),
        }
        let is_link = self.model.is_link(thing.kind.as_str());
        if thing.title.is_none() && !is_link {
            return Err(thing.place.refuse(format!(
                "a {} without a title could not be found again",
                thing.kind.term()
            )));
        }
        self.mixins(&mut thing.body, entries)?;
        let mut ends = (None, None);
        for entry in entries.iter().filter(|entry| entry.name != head.name) {
            let Entry { name, node, .. } = entry;
            let is_machine = self.is(&thing.kind, COMPUTE);
            match name.as_str() {
                "mixins" => {}
                "source" if is_link => ends.0 = Some(self.end(node, None)?),
                "target" if is_link => ends.1 = Some(self.end(node, None)?),
                "os" if is_machine => self.template(&mut thing.body, OS_TPL, node)?,
                "size" if is_machine => self.template(&mut thing.body, RESOURCE_TPL, node)?,
                "key" if is_machine => {
                    let key = self.content(node, "a key")?;
                    let key = String::from_utf8(key).map_err(|_| {
                        node.place
                            .refuse("the key is no text; it is the file that ends in .pub")
                    })?;
                    let machine = Compute {
                        ssh_key: Some(key),
                        ..Compute::default()
                    };
                    self.once(&mut thing.once, &machine, node)?;
                }
                "user_data" | "user-data" if is_machine => {
                    let machine = Compute {
                        user_data: Some(self.content(node, "user data")?),
                        ..Compute::default()
                    };
                    self.once(&mut thing.once, &machine, node)?;
                }
                "networks" if !is_link => {
                    thing.whole.push(NETWORKINTERFACE);
                    for one in node.many() {
                        thing.links.push(self.link(one, Some(NETWORK))?);
                    }
                }
                "volumes" if !is_link => {
                    thing.whole.push(STORAGELINK);
                    for one in node.many() {
                        thing.links.push(self.link(one, Some(STORAGE))?);
                    }
                }
                "links" if !is_link => {
                    for one in node.many() {
                        thing.links.push(self.link(one, None)?);
                    }
                }
                _ => self.attribute_or_more(&thing.kind, &mut thing.body, entry)?,
            }
        }
        thing.ends = match (is_link, ends) {
            (false, _) => None,
            (true, (Some(source), Some(target))) => Some((source, target)),
            (true, _) => {
                return Err(thing
                    .place
                    .refuse(format!("a {} has a source and a target", thing.kind.term())));
            }
        };
        Ok(thing)
    }

    /// The entry that says the kind and the title: that whose name is a kind's, the first of several if the others could
    /// be attributes.
    fn head<'n>(&self, node: &Node, entries: &'n [Entry]) -> Result<(TypeId, &'n Entry)> {
        const OWN: [&str; 12] = [
            "mixins",
            "attributes",
            "summary",
            "source",
            "target",
            "os",
            "size",
            "key",
            "user_data",
            "networks",
            "volumes",
            "links",
        ];
        let could_be = entries.iter().filter(|entry| !OWN.contains(&entry.name.as_str()));
        for entry in could_be {
            match crate::names::kind(self.model, &entry.name) {
                Ok(kind) => return Ok((kind.id.clone(), entry)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(at(&entry.place, Failure::from(error))),
            }
        }
        let kinds: Vec<_> = concrete(self.model).map(|kind| kind.id.term()).collect();
        let words = match entries.first() {
            Some(first) => format!(
                "{:?} is no kind of this server, and a thing begins with one",
                first.name
            ),
            None => "a thing is written KIND: TITLE".to_owned(),
        };
        Err(node
            .place
            .refuse(words)
            .with_hint(format!("its kinds are {}", kinds.join(", "))))
    }

    fn mixins(&self, body: &mut Body, entries: &[Entry]) -> Result<()> {
        for entry in entries.iter().filter(|entry| entry.name == "mixins") {
            for node in entry.node.many() {
                self.mixin(body, node)?;
            }
        }
        Ok(())
    }

    fn template(&self, body: &mut Body, parent: &str, node: &Node) -> Result<()> {
        let name = node.need_text("a template")?;
        let mixin = self
            .model
            .template(parent, name)
            .map_err(|error| at(&node.place, error.into()))?;
        body.mixin(&mixin.id);
        Ok(())
    }

    /// A text, or `@FILE` beside the one that says so.
    fn content(&self, node: &Node, what: &str) -> Result<Vec<u8>> {
        let text = node.need_text(what)?;
        let named = text
            .strip_prefix('@')
            .filter(|name| *name != "-" && !name.starts_with('~'));
        match named {
            Some(name) => {
                let content = read::file(&node.place.beside(name), read::DOCUMENT);
                content.map_err(|failure| at(&node.place, failure))
            }
            None => text_or_file(text, read::DOCUMENT).map_err(|failure| at(&node.place, failure)),
        }
    }

    fn once(&self, once: &mut Body, machine: &Compute, node: &Node) -> Result<()> {
        let EntityDraft { mixins, attributes, .. } = machine
            .draft(self.model)
            .map_err(|error| at(&node.place, error.into()))?;
        once.mixins.extend(mixins);
        once.attributes.extend(attributes);
        Ok(())
    }

    /// `lan`, or `{network: lan, address: 10.1.0.5}`.
    fn link(&self, node: &Node, to: Option<&str>) -> Result<Link> {
        let entries = match &node.shape {
            Shape::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        let wanted = to.and_then(|to| self.model.kind(to).ok()).map(|kind| kind.id.clone());
        let (end, head) = if entries.is_empty() {
            (self.end(node, wanted)?, None)
        } else {
            let (kind, head) = self.head(node, entries)?;
            if let Some(to) = to.filter(|to| !self.is(&kind, to)) {
                let to = to.rsplit('#').next().unwrap_or(to);
                return Err(head
                    .place
                    .refuse(format!("a {to} is meant here, and {} is none", kind.term())));
            }
            (self.end(&head.node, Some(kind))?, Some(head))
        };
        let target = end.kind.clone();
        let kind = target.as_ref().and_then(|kind| self.model.link_kind_to(kind.as_str()));
        let Some(kind) = kind else {
            let why = match target {
                Some(target) => format!("the server has no kind of link to a {}", target.term()),
                None => format!(
                    "say the kind of what this leads to: KIND/{0}, or {{KIND: {0}}}",
                    end.name
                ),
            };
            return Err(node.place.refuse(why));
        };
        let mut link = Link {
            place: node.place.clone(),
            kind: kind.id.clone(),
            to: end,
            body: Body::default(),
        };
        self.mixins(&mut link.body, entries)?;
        for entry in entries {
            if head.is_none_or(|head| head.name != entry.name) && entry.name != "mixins" {
                self.attribute_or_more(&link.kind, &mut link.body, entry)?;
            }
        }
        Ok(link)
    }

    /// `attributes`, or an attribute.
    fn attribute_or_more(&self, kind: &TypeId, body: &mut Body, entry: &Entry) -> Result<()> {
        if entry.name != "attributes" {
            return self.attribute(kind, body, entry);
        }
        for entry in entry.node.entries("attributes")? {
            self.attribute(kind, body, entry)?;
        }
        Ok(())
    }

    /// An attribute by its full name or the end of it. What a mixin defines that goes with the kind brings that mixin.
    fn attribute(&self, kind: &TypeId, body: &mut Body, entry: &Entry) -> Result<()> {
        let short = ALIASES
            .iter()
            .find(|(alias, _)| *alias == entry.name)
            .map_or(entry.name.as_str(), |(_, name)| name);
        let own = self.model.attributes_of(kind, &body.mixins);
        let found = |definitions: &[&AttributeDefinition]| -> Result<Option<AttributeDefinition>> {
            let full = attribute_name(short, definitions).map_err(|failure| at(&entry.place, failure))?;
            let found = definitions.iter().find(|definition| definition.name.as_str() == full);
            Ok(found.map(|definition| (*definition).clone()))
        };
        let mut definition = found(&own)?;
        let more = self.mixins_for(kind);
        if definition.is_none() {
            let all: Vec<_> = more.iter().flat_map(|mixin| &mixin.attributes).collect();
            definition = found(&all)?;
            if let Some(definition) = &definition {
                let defines =
                    |mixin: &&&occi_client::Mixin| mixin.attributes.iter().any(|one| one.name == definition.name);
                if let Some(mixin) = more.iter().find(defines) {
                    body.mixin(&mixin.id);
                }
            }
        }
        let Some(definition) = definition else {
            let names = own
                .iter()
                .copied()
                .chain(more.iter().flat_map(|mixin| &mixin.attributes));
            let mut names: Vec<_> = names
                .filter(|definition| self.model.is_given_at_creation(definition))
                .map(|definition| definition.name.as_str())
                .collect();
            names.dedup();
            return Err(entry
                .place
                .refuse(format!("{:?} means nothing for a {}", entry.name, kind.term()))
                .with_hint(format!("its attributes are {}", names.join(", "))));
        };
        // What a mixin does not let change may still be what it is made with.
        let of_kind = self.model.attributes_of(kind, &[]);
        let of_kind = of_kind.into_iter().find(|own| own.name == definition.name);
        if !self.model.is_given_at_creation(of_kind.unwrap_or(&definition)) {
            return Err(entry
                .place
                .refuse(format!("{} is for the server to say", definition.name)));
        }
        if definition.name.as_str() == "occi.core.title" {
            return Err(entry.place.refuse("the title is what stands behind the kind"));
        }
        let value = self.value(definition.name.as_str(), &entry.node)?;
        body.attributes.retain(|(name, _)| *name != definition.name);
        body.attributes.push((definition.name, value));
        Ok(())
    }

    fn value(&self, name: &str, node: &Node) -> Result<Input> {
        match &node.shape {
            Shape::Null => Ok(Input::Null),
            Shape::Word(text) | Shape::Text(text) => {
                input(name, text, self.model).map_err(|failure| at(&node.place, failure))
            }
            Shape::List(_) | Shape::Map(_) => {
                let value = Value::from_json(&node.json()).map(Input::Typed);
                let fits = value.filter(|value| match self.model.value_type(name) {
                    Some(value_type) => value_type.read(value).is_some(),
                    None => true,
                });
                fits.ok_or_else(|| {
                    node.place
                        .refuse(format!("{name} is no {}", node.what().trim_start_matches("a ")))
                })
            }
        }
    }

    /// The mixins that go with a kind and are no templates.
    fn mixins_for(&self, kind: &TypeId) -> Vec<&occi_client::Mixin> {
        let is_template = |mixin: &occi_client::Mixin| {
            let is_of = |id: &str| [OS_TPL, RESOURCE_TPL].contains(&id);
            is_of(mixin.id.as_str()) || mixin.depends.iter().any(|depends| is_of(depends.as_str()))
        };
        let by_documents = |mixin: &occi_client::Mixin| {
            let pairs = [(IPNETWORK, NETWORK), (IPNETWORKINTERFACE, NETWORKINTERFACE)];
            pairs
                .iter()
                .any(|(of, ancestor)| mixin.id.as_str() == *of && self.is(kind, ancestor))
        };
        let all = self.model.mixins().iter();
        all.filter(|mixin| {
            let applies = mixin.applies.iter().any(|applies| self.is(kind, applies.as_str()));
            (applies || by_documents(mixin)) && !is_template(mixin)
        })
        .collect()
    }
}
