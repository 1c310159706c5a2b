//! What a file says shall be there.
//!
//! Two forms are read: ours for people, a list of things by kind and title; and JSON of OCCI 1.2 (GFD.226), as `occi list
//! -o occi` prints it.

use super::node::{Entry, Node, Place, Shape};
use crate::failure::{Failure, Result};
use crate::names::concrete;
use crate::read;
use crate::verbs::values::{attribute_name, input, is_complete, one_of_each_family, text_or_file};
use occi_client::infrastructure::Compute;
use occi_client::{Category, EntityDraft, ErrorKind, Input, Model};
use occi_model::infrastructure::{
    COMPUTE, IPNETWORK, IPNETWORKINTERFACE, NETWORK, NETWORKINTERFACE, SSH_KEY, STORAGE, STORAGELINK, USER_DATA,
};
use occi_model::production::{OPENSTACK_PUBLIC_KEY, OPENSTACK_USER_DATA};
use occi_model::templates::{OS_TPL, RESOURCE_TPL};
use occi_model::{AttributeDefinition, AttributeName, TypeId, Value};

/// An entity that shall be there.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) place: Place,
    pub(super) kind: TypeId,
    /// By which it is found again; links go by their ends too.
    pub(super) title: Option<String>,
    /// Its id on the server from which the file comes.
    pub(super) id: Option<String>,
    pub(super) body: Body,
    /// What is given when it is made and cannot be asked for later: a key, user data.
    pub(super) once: Body,
    /// Of a resource: the links that start at it.
    pub(super) links: Vec<Link>,
    /// The kinds of link of which there shall be no others.
    pub(super) whole: Vec<&'static str>,
    /// Of a link that stands alone: where it starts and where it leads.
    pub(super) ends: Option<(End, End)>,
}

/// Mixins and attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Body {
    pub(super) mixins: Vec<TypeId>,
    /// The title is not among them. What is null shall not be there.
    pub(super) attributes: Vec<(AttributeName, Input)>,
}

/// A link of a resource.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) place: Place,
    pub(super) kind: TypeId,
    pub(super) to: End,
    pub(super) body: Body,
}

/// An end of a link, as the file calls it.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) name: String,
    /// If it is said.
    pub(super) kind: Option<TypeId>,
}

/// Words for attributes whose own names are less plain.
const ALIASES: [(&str, &str); 3] = [
    ("device", "deviceid"),
    ("mount_point", "mountpoint"),
    ("user-data", "user_data"),
];

impl Thing {
    fn new(place: Place, kind: TypeId) -> Self {
        Self {
            place,
            kind,
            title: None,
            id: None,
            body: Body::default(),
            once: Body::default(),
            links: Vec::new(),
            whole: Vec::new(),
            ends: None,
        }
    }

    /// `compute web1`
    pub(super) fn name(&self) -> String {
        let title = self.title.as_deref().or(self.id.as_deref());
        match (title, &self.ends) {
            (Some(title), _) => format!("{} {title}", self.kind.term()),
            (None, Some((from, to))) => format!("{} {} to {}", self.kind.term(), from.name, to.name),
            (None, None) => self.kind.term().to_owned(),
        }
    }
}

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

struct Reader<'m> {
    model: &'m Model,
}

impl Reader<'_> {
    fn is(&self, kind: &TypeId, ancestor: &str) -> bool {
        self.model.descends_from(kind.as_str(), ancestor)
    }

    // --- For people -------------------------------------------------------------------------------------------------

    fn thing(&self, node: &Node) -> Result<Thing> {
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

    fn mixin(&self, body: &mut Body, node: &Node) -> Result<()> {
        let name = node.need_text("a mixin")?;
        let mixin = self.model.mixin(name).map_err(|error| at(&node.place, error.into()))?;
        body.mixin(&mixin.id);
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

    /// `lan`, `network/lan`, a path.
    fn end(&self, node: &Node, kind: Option<TypeId>) -> Result<End> {
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

    // --- JSON of OCCI 1.2 -------------------------------------------------------------------------------------------

    fn rendered(&self, tree: &Node) -> Result<Vec<Thing>> {
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
            if let Some((_, title, kind)) = by_id.iter().find(|(id, ..)| id == last(&end.name)) {
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

/// What is given once and never changed: it is put into a machine at its first boot.
const WRITE_ONLY: [&str; 4] = [SSH_KEY, USER_DATA, OPENSTACK_PUBLIC_KEY, OPENSTACK_USER_DATA];

impl Thing {
    /// Whether it can be made as it is said.
    pub(super) fn is_complete(&self, model: &Model, is_occid: bool) -> Result<()> {
        let draft = EntityDraft {
            kind: Some(self.kind.clone()),
            mixins: self.body.mixins.clone(),
            attributes: self.body.attributes.clone(),
            ..EntityDraft::default()
        };
        one_of_each_family(&draft.mixins, model)?;
        is_complete(&draft, model, is_occid)
    }
}

impl Body {
    pub(super) fn mixin(&mut self, id: &TypeId) {
        if !self.mixins.contains(id) {
            self.mixins.push(id.clone());
        }
    }
}

/// Whether a mixin of the model is a template of a family.
pub(super) fn is_template_of(parent: &str, id: &TypeId, model: &Model) -> bool {
    match model.get(id.as_str()) {
        Some(Category::Mixin(mixin)) => mixin.depends.iter().any(|depends| *depends == *parent),
        _ => false,
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

/// The same failure with its place.
pub(super) fn at(place: &Place, failure: Failure) -> Failure {
    failure.about(place)
}
