//! What people call things: an id, a title, the first four or more characters of an id, KIND/NAME, a path, a URL.

use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use futures::TryStreamExt;
use occi_client::{AttributeFilter, ErrorKind, Filter, Input, Kind, Listing, Mixin, Model, Operator, Place};
use occi_model::core;
use occi_model::templates::{OS_TPL, RESOURCE_TPL};
use std::collections::BTreeMap;

/// Something that has been found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// Its path on the server.
    pub(crate) location: String,
    /// What it was called.
    pub(crate) name: String,
}

/// Where a name is looked for.
#[derive(Clone, Debug)]
pub(crate) enum Among {
    /// Resources and links of every kind.
    All,
    /// Of one kind.
    Kind(String),
    /// Of kinds that have an action of this name.
    WithAction(String),
}

impl Among {
    fn kinds<'m>(&self, model: &'m Model) -> Result<Vec<&'m Kind>> {
        Ok(match self {
            Self::All => concrete(model).collect(),
            Self::Kind(name) => vec![kind(model, name)?],
            Self::WithAction(action) => {
                let has = |kind: &&Kind| model.action(action, Some((&kind.id, &[]))).is_ok();
                let kinds: Vec<_> = concrete(model).filter(has).collect();
                match kinds.is_empty() {
                    true => concrete(model).collect(),
                    false => kinds,
                }
            }
        })
    }

    fn words(&self) -> String {
        match self {
            Self::All => "nothing".to_owned(),
            Self::Kind(kind) => format!("no {}", kind.rsplit('#').next().unwrap_or(kind)),
            Self::WithAction(action) => format!("nothing that has {action}"),
        }
    }
}

/// The kinds that entities are of: not those that others are made from.
pub(crate) fn concrete(model: &Model) -> impl Iterator<Item = &Kind> {
    let is_abstract = |kind: &Kind| [core::ENTITY, core::RESOURCE, core::LINK].contains(&kind.id.as_str());
    model.kinds().iter().filter(move |kind| !is_abstract(kind))
}

/// A kind by any of its names, also in the plural.
pub(crate) fn kind<'m>(model: &'m Model, name: &str) -> occi_client::Result<&'m Kind> {
    model.kind(name).or_else(|error| match name.strip_suffix('s') {
        Some(one) => model.kind(one).map_err(|_| error),
        None => Err(error),
    })
}

impl Session {
    /// What a name means.
    ///
    /// # Errors
    /// There is no such thing, or several: these are listed.
    pub(crate) async fn find(&self, name: &str, among: &Among) -> Result<Found> {
        let found = |location: String| Found {
            location,
            name: name.to_owned(),
        };
        let model = self.model().await?;
        if name.starts_with('/') || name.contains("://") {
            return match Place::new(name, self.client.endpoint(), &model)? {
                Place::Entity(path) => Ok(found(path)),
                Place::Collection(path, _) => Err(Failure::usage(format!("{name} is a collection, not one thing"))
                    .with_hint(format!("what is in it: occi api GET {path}"))),
                Place::Query(path) => Err(Failure::usage(format!("{name} has a query, and is not one thing"))
                    .with_hint(format!("what is there: occi api GET {path}"))),
            };
        }
        let (kind_name, bare) = match name.split_once('/') {
            Some((before, after)) if kind(&model, before).is_ok() => (Some(before), after),
            _ => (None, name),
        };
        let among = match kind_name {
            Some(kind) => Among::Kind(kind.to_owned()),
            None => among.clone(),
        };
        if let Among::Kind(name) = &among {
            self.look_up(|model| kind(model, name).map(drop)).await?;
        }
        if bare.is_empty() {
            return Err(Failure::usage("a name is not empty"));
        }
        let mut locations = self.candidates(bare, &among.kinds(&model)?, &model).await?;
        match (locations.pop(), locations.is_empty()) {
            (None, _) => {
                let message = format!("there is {} called {bare:?} on {}", among.words(), self.server);
                let missing = Failure::new(Exit::NotFound, message);
                let is_kind = kind_name.is_none() && kind(&model, bare).is_ok();
                Err(match bare.parse::<u32>() {
                    Ok(_) => missing.with_hint(format!("if it is a time: --wait={bare}")),
                    Err(_) if is_kind => {
                        missing.with_hint(format!("{bare} is a kind: occi list {bare} shows what there is of it"))
                    }
                    Err(_) => missing,
                })
            }
            (Some(only), true) => Ok(found(only)),
            (Some(last), false) => {
                locations.push(last);
                locations.sort();
                let message = format!("{bare:?} could be any of {}", locations.len());
                let listed = locations.iter().take(20).map(|location| format!("- {location}"));
                let mut failure = Failure::usage(message);
                failure.hints = listed.collect();
                Err(failure)
            }
        }
    }

    /// The same, and that something is there: a path alone says nothing about that. Servers but an `occid` may not show all
    /// that they link to.
    ///
    /// # Errors
    /// As of [`Session::find`].
    pub(crate) async fn find_there(&self, name: &str, among: &Among) -> Result<Found> {
        let found = self.find(name, among).await?;
        let is_path = name.starts_with('/') || name.contains("://");
        if is_path && self.client.dialect().is_occid {
            let there = self.client.show(&found.location).await;
            there.map_err(|error| Failure::from(error).about(name))?;
        }
        Ok(found)
    }

    /// Where the things are that go by a name: those with this id, which may be of several kinds, else with this title, else
    /// with an id that begins so.
    async fn candidates(&self, name: &str, kinds: &[&Kind], model: &Model) -> Result<Vec<String>> {
        let is_of_these = |location: &str| {
            let at = model.kind_at(location);
            at.is_none_or(|at| kinds.iter().any(|kind| kind.id == at.id))
        };
        // One question for all, where one will do.
        let root = self.client.endpoint().root();
        let places: Vec<&str> = match kinds {
            [only] => vec![only.location.as_str()],
            _ if self.client.dialect().is_occid => vec![root.as_str()],
            several => several.iter().map(|kind| kind.location.as_str()).collect(),
        };
        // Ids of servers are of many forms, but there is nothing in them that a path would not show.
        let could_be_id = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
        let (mut named, mut titled, mut beginning) = (Vec::new(), Vec::new(), Vec::new());
        let is_occid = self.client.dialect().is_occid;
        if is_occid {
            for place in &places {
                let (by_id, by_title) = (only_with("occi.core.id", name)?, only_with(TITLE, name)?);
                let (by_id, by_title) =
                    futures::try_join!(self.client.list(place, &by_id), self.client.list(place, &by_title))?;
                named.extend(by_id.into_iter().filter(|location| is_of_these(location)));
                titled.extend(by_title.into_iter().filter(|location| is_of_these(location)));
            }
        }
        if could_be_id && named.is_empty() && titled.is_empty() {
            for place in &places {
                let looked = async {
                    let mut locations = self.client.list_stream(place, &Listing::default()).await?;
                    while let Some(location) = locations.try_next().await? {
                        let id = location.rsplit('/').next().unwrap_or_default();
                        if id == name && is_of_these(&location) {
                            named.push(location);
                        } else if name.len() >= SHORTEST && id.starts_with(name) && is_of_these(&location) {
                            beginning.push(location);
                        }
                    }
                    Ok(())
                };
                if_there(looked.await)?;
            }
        }
        if !is_occid && named.is_empty() {
            for place in &places {
                let looked = async {
                    let mut entities = self.client.entities(place, &Listing::default()).await?;
                    while let Some(entity) = entities.try_next().await? {
                        if entity.title() == Some(name) {
                            titled.push(entity.location);
                        }
                    }
                    Ok(())
                };
                if_there(looked.await)?;
            }
        }
        let found = [named, titled, beginning].into_iter().find(|found| !found.is_empty());
        Ok(found.unwrap_or_default())
    }

    /// The same for several; the same thing is there once. A kind may stand in front of all.
    pub(crate) async fn find_all(&self, words: &[String], among: &Among) -> Result<Vec<Found>> {
        let names = kind_in_front(words, &*self.model().await?);
        let mut found = BTreeMap::new();
        for (place, name) in names.iter().enumerate() {
            let one = self.find(name, among).await?;
            found.entry(one.location.clone()).or_insert((place, one));
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort();
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }
}

/// `compute web1 web2` is `compute/web1` and `compute/web2`: a kind in front of names is that of all of them.
pub(crate) fn kind_in_front(words: &[String], model: &Model) -> Vec<String> {
    match words.split_first() {
        Some((first, names)) if !names.is_empty() && kind(model, first).is_ok() => {
            let whole = |name: &String| match name.starts_with('/') || name.contains("://") {
                true => name.clone(),
                false => format!("{first}/{name}"),
            };
            names.iter().map(whole).collect()
        }
        _ => words.to_vec(),
    }
}

/// The names of mixins, if the words are such: `os_tpl#tiny`, `os_tpl tiny small`, `mixin blue`.
pub(crate) fn mixins(words: &[String], model: &Model) -> Option<Vec<String>> {
    if words.iter().all(|word| word.contains('#')) {
        return Some(words.to_vec());
    }
    let (first, names) = words.split_first().filter(|(_, names)| !names.is_empty())?;
    if first == "mixin" {
        return Some(names.to_vec());
    }
    let family = model.mixin(first).ok().filter(|_| kind(model, first).is_err())?;
    if !is_template_family(family, model) {
        return None;
    }
    let whole = |name: &String| match name.contains('#') {
        true => name.clone(),
        false => format!("{}#{name}", family.id.term()),
    };
    Some(names.iter().map(whole).collect())
}

/// What templates depend on is no collection of machines to anybody who says `occi list os_tpl`.
pub(crate) fn is_template_family(mixin: &Mixin, model: &Model) -> bool {
    [OS_TPL, RESOURCE_TPL].contains(&mixin.id.as_str()) || model.dependants(mixin.id.as_str()).next().is_some()
}

/// Some servers have no collection of a kind that they describe.
fn if_there(looked: occi_client::Result<()>) -> occi_client::Result<()> {
    match looked {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => Ok(()),
        looked => looked,
    }
}

/// What people call things.
pub(crate) const TITLE: &str = "occi.core.title";

/// So many characters of an id are enough.
const SHORTEST: usize = 4;

/// What has this value and no other.
pub(crate) fn only_with(attribute: &str, value: &str) -> Result<Listing> {
    let filter = Filter {
        categories: Vec::new(),
        attributes: vec![AttributeFilter {
            name: attribute.parse().map_err(occi_client::Error::from)?,
            value: Input::Quoted(value.to_owned()),
            operator: Operator::Equal,
        }],
    };
    Ok(Listing::of(filter))
}
