//! What the files name, as it is on the server, and the order in which it can be made.

use super::difference::{could_be, distance};
use super::node::Place;
use super::thing::{Body, End, Link, Thing, at};
use crate::failure::Result;
use crate::names::{Among, TITLE, only_with};
use crate::session::Session;
use crate::verbs::attach::{leads_to, links_of};
use futures::TryStreamExt;
use occi_client::{Entity, ErrorKind, Listing, Model, TypeId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The end of a link, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// Another thing of the files.
    Thing(usize),
    /// Something on the server.
    At(String),
}

/// A thing, what it refers to, and what is there of it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) thing: Thing,
    /// Where its links lead, in their order.
    pub(super) links: Vec<Where>,
    pub(super) ends: Option<(Where, Where)>,
    /// As it is, with its links in full.
    pub(super) now: Option<Entity>,
}

impl Known {
    pub(super) fn refers_to(&self) -> impl Iterator<Item = usize> {
        let ends = self.ends.iter().flat_map(|(source, target)| [source, target]);
        self.links.iter().chain(ends).filter_map(|end| match end {
            Where::Thing(other) => Some(*other),
            Where::At(_) => None,
        })
    }
}

/// Finds on the server what the files name.
///
/// # Errors
/// Two things of one kind and title, in the files or on the server; ends of links that are nowhere.
pub(super) async fn find(things: Vec<Thing>, session: &Session) -> Result<Vec<Known>> {
    for (number, thing) in things.iter().enumerate() {
        let is_same = |other: &&Thing| other.kind == thing.kind && other.title == thing.title && thing.ends.is_none();
        if let Some(other) = things[..number].iter().find(is_same)
            && thing.title.is_some()
        {
            return Err(thing
                .place
                .refuse(format!("{} is at {} already", thing.name(), other.place)));
        }
    }
    let mut known = Vec::new();
    let mut finding = Finding {
        session,
        by_kind: HashMap::new(),
    };
    for thing in &things {
        let mut links = Vec::new();
        for link in &thing.links {
            links.push(finding.end(&link.to, &things, &link.place).await?);
        }
        let ends = match &thing.ends {
            Some((source, target)) => Some((
                finding.end(source, &things, &thing.place).await?,
                finding.end(target, &things, &thing.place).await?,
            )),
            None => None,
        };
        let now = match thing.ends {
            None => finding.thing(thing).await?,
            Some(_) => None,
        };
        known.push(Known {
            thing: thing.clone(),
            links,
            ends,
            now,
        });
    }
    finding.alone(&mut known).await?;
    Ok(known)
}

/// Which link each has, and each is that of one: first of the choices that are least.
pub(super) fn paired<K: Ord, W: Ord>(mut choices: Vec<(K, W, &Entity)>) -> BTreeMap<W, &Entity> {
    choices.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let (mut paired, mut taken) = (BTreeMap::new(), HashSet::new());
    for (_, whose, link) in choices {
        if !paired.contains_key(&whose) && taken.insert(link.location.as_str()) {
            paired.insert(whose, link);
        }
    }
    paired
}

/// How well a link is what is looked for, the least best: by its id, by its title, or because it is as it shall be. If by
/// none, it may be another's.
fn nearness(
    id: Option<&str>,
    title: Option<&str>,
    body: &Body,
    is: &Entity,
    model: &Model,
) -> Option<impl Ord + use<>> {
    let is_by_id = id == Some(is.id.as_str());
    let is_by_title = title.is_some() && title == is.title();
    let distance = distance(body, is, model);
    let is_so = distance.is_some_and(|(changes, _)| changes == 0);
    // What is named is meant, even if it cannot become so.
    (is_by_id || is_by_title || is_so).then_some((!is_by_id, !is_by_title, distance.is_none(), distance))
}

struct Finding<'s> {
    session: &'s Session,
    /// What has been listed of servers that do not look for titles themselves.
    by_kind: HashMap<TypeId, Vec<Entity>>,
}

impl Finding<'_> {
    async fn end(&self, end: &End, things: &[Thing], place: &Place) -> Result<Where> {
        let model = self.session.model().await?;
        if end.name.starts_with('/') || end.name.contains("://") {
            let location = self.session.client.endpoint().path_of(&end.name);
            let location = location.map_err(|error| at(place, error.into()))?;
            let there = self.session.find_there(&location, &Among::All).await;
            return Ok(Where::At(there.map_err(|failure| at(place, failure))?.location));
        }
        let is_meant = |thing: &Thing| {
            let is_kind = |kind: &TypeId| model.descends_from(thing.kind.as_str(), kind.as_str());
            let goes_by = |name: &Option<String>| name.as_deref() == Some(end.name.as_str());
            (goes_by(&thing.title) || goes_by(&thing.id)) && end.kind.as_ref().is_none_or(is_kind)
        };
        let mut found = things.iter().enumerate().filter(|(_, thing)| is_meant(thing));
        match (found.next(), found.next()) {
            (Some((number, _)), None) => return Ok(Where::Thing(number)),
            (Some((_, one)), Some((_, other))) => {
                return Err(place
                    .refuse(format!("{:?} could be any of several things", end.name))
                    .with_hint(format!("- {} of {}", one.name(), one.place))
                    .with_hint(format!("- {} of {}", other.name(), other.place)));
            }
            (None, _) => {}
        }
        let among = match &end.kind {
            Some(kind) => Among::Kind(kind.to_string()),
            None => Among::All,
        };
        let found = self.session.find(&end.name, &among).await;
        Ok(Where::At(found.map_err(|failure| at(place, failure))?.location))
    }

    /// By the id that the file says, else by its title. Servers count from one, each of them: what has the id is meant only if
    /// it is of the kind and called as the file says.
    async fn thing(&mut self, thing: &Thing) -> Result<Option<Entity>> {
        let model = self.session.model().await?;
        let client = &self.session.client;
        let home = model.kind(thing.kind.as_str())?.location.as_str();
        let mut other = None;
        if let Some(id) = &thing.id {
            let is_meant = |entity: &Entity| {
                let is_called_so = thing.title.is_none() || thing.title.as_deref() == entity.title();
                is_called_so && entity.kind.as_ref() == Some(&thing.kind)
            };
            match client.show(&format!("{home}{id}")).await {
                Ok(entity) if is_meant(&entity) => return self.whole(entity).await.map(Some),
                Ok(entity) => other = Some(entity),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        let refused = |other: Entity| {
            let called = match other.title() {
                Some(title) => format!("is called {title:?}"),
                None => "has no title".to_owned(),
            };
            let message = format!(
                "{} has an id that is another's here: {} {called}",
                thing.name(),
                other.location
            );
            let failure = thing.place.refuse(message);
            failure.with_hint("without its id in the file it is made anew; occi update gives a thing another title")
        };
        let Some(title) = thing.title.as_deref() else {
            return other.map_or(Ok(None), |other| Err(refused(other)));
        };
        let mut found: Vec<Entity> = match client.dialect().is_occid {
            true => {
                let listing = only_with(TITLE, title)?;
                client.entities(home, &listing).await?.try_collect().await?
            }
            false => {
                if !self.by_kind.contains_key(&thing.kind) {
                    let all = client.entities(home, &Listing::default()).await?;
                    self.by_kind.insert(thing.kind.clone(), all.try_collect().await?);
                }
                self.by_kind.get(&thing.kind).cloned().unwrap_or_default()
            }
        };
        found.retain(|entity| entity.title() == Some(title) && entity.kind.as_ref() == Some(&thing.kind));
        match (found.pop(), found.pop()) {
            (None, _) => other.map_or(Ok(None), |other| Err(refused(other))),
            (Some(only), None) => self.whole(only).await.map(Some),
            (Some(one), Some(other)) => {
                found.extend([other, one]);
                let message = format!("there are {} of that name: {}", found.len(), thing.name());
                let mut failure = thing.place.refuse(message);
                failure.hints = found.iter().map(|entity| format!("- {}", entity.location)).collect();
                Err(failure)
            }
        }
    }

    async fn whole(&self, mut entity: Entity) -> Result<Entity> {
        entity.links = links_of(&entity, self.session).await?;
        Ok(entity)
    }

    /// The links that stand alone, where they start. What is one of a resource's own is none of them.
    ///
    /// # Errors
    /// One could be any of several.
    async fn alone(&self, known: &mut [Known]) -> Result<()> {
        let model = self.session.model().await?;
        let mut alone = Vec::new();
        for (number, one) in known.iter().enumerate() {
            if let Some(ends) = &one.ends {
                alone.push((number, self.between(ends, &one.thing, known).await?));
            }
        }
        let mut choices = Vec::new();
        for (number, one) in known.iter().enumerate() {
            let own = one.now.iter().flat_map(|now| could_be(one, now, known, &model));
            let choice = |(at, link, is): (usize, &Link, _)| {
                Some((nearness(None, None, &link.body, is, &model)?, (number, Some(at)), is))
            };
            choices.extend(own.filter_map(choice));
        }
        for (number, links) in &alone {
            let Thing { id, title, body, .. } = &known[*number].thing;
            let nearness = |is| nearness(id.as_deref(), title.as_deref(), body, is, &model);
            let choice = |is| Some((nearness(is)?, (*number, None), is));
            choices.extend(links.iter().filter_map(choice));
        }
        let paired: Vec<_> = paired(choices)
            .into_iter()
            .map(|(whose, link)| (whose, link.clone()))
            .collect();
        // What is taken, and whether by what says nothing and could as well be another.
        let mut taken = Vec::new();
        for ((number, own), link) in paired {
            let one = &mut known[number];
            let Thing {
                id, title, body, links, ..
            } = &one.thing;
            let says_nothing = match own {
                Some(own) => links[own].body == Body::default(),
                None => id.is_none() && title.is_none() && *body == Body::default(),
            };
            taken.push((link.location.clone(), says_nothing));
            if own.is_none() {
                one.now = Some(link);
            }
        }
        for (number, mut links) in alone {
            let one = &mut known[number];
            let is_taken = |link: &Entity| taken.iter().any(|(location, _)| *location == link.location);
            if one.now.is_some() || links.iter().all(is_taken) {
                continue;
            }
            let is_anothers = |link: &Entity| {
                let mut taken = taken.iter();
                taken.any(|(location, says_nothing)| *location == link.location && !says_nothing)
            };
            links.retain(|link| !is_anothers(link));
            if links.len() > 1 {
                let message = format!("{} could be any of {} between its ends", one.thing.name(), links.len());
                let mut failure = one.thing.place.refuse(message);
                failure.hints = links.iter().map(|link| format!("- {}", link.location)).collect();
                return Err(failure);
            }
            taken.extend(links.iter().map(|link| (link.location.clone(), false)));
            one.now = links.pop();
        }
        Ok(())
    }

    /// The links of its kind between its ends.
    async fn between(&self, (source, target): &(Where, Where), thing: &Thing, known: &[Known]) -> Result<Vec<Entity>> {
        let Some(target) = location(target, known) else {
            return Ok(Vec::new());
        };
        let mut links = match source {
            Where::Thing(number) => match &known[*number].now {
                Some(entity) => entity.links.clone(),
                None => return Ok(Vec::new()),
            },
            Where::At(location) => {
                let entity = self.session.client.show(location).await;
                links_of(&entity.map_err(|error| at(&thing.place, error.into()))?, self.session).await?
            }
        };
        links.retain(|link| leads_to(link, &target) && link.kind.as_ref() == Some(&thing.kind));
        Ok(links)
    }
}

pub(super) fn location(end: &Where, known: &[Known]) -> Option<String> {
    match end {
        Where::At(location) => Some(location.clone()),
        Where::Thing(number) => known[*number].now.as_ref().map(|entity| entity.location.clone()),
    }
}

/// The order in which things can be made: what others refer to comes first, else that of the files.
///
/// # Errors
/// There is none: they refer to each other in a circle.
pub(super) fn order(known: &[Known]) -> Result<Vec<usize>> {
    let mut order: Vec<usize> = Vec::new();
    let mut is_placed = vec![false; known.len()];
    while order.len() < known.len() {
        let before = order.len();
        for (number, one) in known.iter().enumerate() {
            if !is_placed[number] && one.refers_to().all(|other| is_placed[other]) {
                is_placed[number] = true;
                order.push(number);
            }
        }
        if order.len() == before {
            let left = known.iter().zip(&is_placed).filter(|(_, is_placed)| !**is_placed);
            let left: Vec<_> = left.map(|(one, _)| &one.thing).collect();
            let names: Vec<_> = left.iter().map(|thing| thing.name()).collect();
            return Err(left[0].place.refuse(format!(
                "these refer to each other in a circle, so that none can be made first: {}",
                names.join(", ")
            )));
        }
    }
    Ok(order)
}
