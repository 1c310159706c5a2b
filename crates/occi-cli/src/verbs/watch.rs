//! `occi watch`.
//!
//! It asks again when the server tells that something happened (`occid` does), and else again and again; the tag of a listing
//! says cheaply that nothing has changed.

use crate::args::duration;
use crate::complete;
use crate::failure::{Exit, Failure, Result};
use crate::names::{Among, Found};
use crate::output::{Format, Look, Record};
use crate::session::Session;
use clap::Args;
use futures::TryStreamExt;
use occi_client::{Entity, ErrorKind, EventsOf, Listing, Model, News, TypeId};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Between questions where something has changed.
const PACE: Duration = Duration::from_secs(1);
/// Between questions where nothing does, or to a server that has no tags, where each costs a whole listing.
const SLOW: Duration = Duration::from_secs(5);
/// Between questions to a server that tells what happens.
const SELDOM: Duration = Duration::from_secs(30);
/// Between questions to a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Print what changes, as it changes, until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi watch compute --for 2s
  occi watch web1 --until active
  occi watch compute web1 web2 --until up --for 5m -o json

It looks when the server tells that something happens, at most once a second, and every 30 seconds besides.
A server that does not tell is asked each second while something changes and, if nothing does, ever more
seldom down to every 5 seconds; one that gives no tags (ETag) always every 5 seconds.")]
pub(crate) struct Watch {
    /// A kind, or what things are called; a kind may stand in front. Without it, everything
    #[arg(value_name = "[KIND] NAME", num_args = 0.., add = complete::names(None))]
    names: Vec<String>,
    /// End when all of it is in this state; several with commas, up (active or online), or gone
    #[arg(long, value_name = "STATE")]
    until: Option<String>,
    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    limit: Option<Duration>,
}

/// What is watched.
enum Watched {
    /// A collection, and the tag of its last listing.
    Collection {
        at: String,
        kind: Option<TypeId>,
        etag: Option<String>,
    },
    /// These.
    Things(Vec<Found>),
}

/// How long it is to the next question.
struct Pace {
    usual: Duration,
    next: Duration,
}

impl Pace {
    fn new(usual: Duration) -> Self {
        Self { usual, next: usual }
    }

    /// There is an answer.
    fn answered(&mut self, has_changed: bool) {
        self.next = match has_changed || self.next > SLOW {
            true => self.usual,
            false => SLOW.min(self.next * 3 / 2),
        };
    }

    /// There is none.
    fn failed(&mut self) {
        self.next = PATIENCE.min(self.next * 2);
    }
}

/// What was there when watching began.
struct Begun {
    model: Arc<Model>,
    watched: Watched,
    news: News,
    looked: tokio::time::Instant,
    last: Picture,
}

/// Things by where they are.
type Picture = BTreeMap<String, Entity>;

impl Watch {
    /// Whether it ends by Ctrl-C only, which is then its usual end.
    pub(crate) fn is_endless(&self) -> bool {
        self.until.is_none() && self.limit.is_none()
    }

    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let Some(limit) = self.limit else {
            let begun = self.begin(session).await?;
            return self.watch(begun, session).await;
        };
        let begun = tokio::time::timeout(limit, self.begin(session)).await;
        let late = |_| {
            Failure::new(
                Exit::Timeout,
                format!("{} has shown nothing in that time", session.server),
            )
        };
        let begun = begun.map_err(late)??;
        // The time is that of watching.
        match (
            tokio::time::timeout(limit, self.watch(begun, session)).await,
            &self.until,
        ) {
            (Ok(ended), _) => ended,
            (Err(_), None) => Ok(()),
            (Err(_), Some(until)) => Err(Failure::new(Exit::Timeout, format!("it was not {until} in time"))),
        }
    }

    /// The first look.
    async fn begin(&self, session: &Session) -> Result<Begun> {
        let model = session.model().await?;
        let mut watched = self.watched(&model, session).await?;
        let news = session.client.news(&watched.events());
        let looked = tokio::time::Instant::now();
        let last = watched.look(&Picture::new(), session).await?.unwrap_or_default();
        session.output.note(match last.len() {
            1 => "watching one thing".to_owned(),
            number => format!("watching {number} things"),
        });
        Ok(Begun {
            model,
            watched,
            news,
            looked,
            last,
        })
    }

    async fn watch(&self, begun: Begun, session: &Session) -> Result<()> {
        let Begun {
            model,
            mut watched,
            mut news,
            mut looked,
            mut last,
        } = begun;
        let mut pace = Pace::new(if watched.has_tags(&last) { PACE } else { SLOW });
        let mut is_in_trouble = false;
        while !self.is_reached(&last, &model) {
            if let Watched::Things(_) = watched
                && last.is_empty()
            {
                return match self.until {
                    Some(_) => Err(Failure::new(Exit::NotFound, "nothing is left of it")),
                    None => Ok(()),
                };
            }
            let pause = if news.is_told() && !is_in_trouble {
                SELDOM
            } else {
                pace.next
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = news.next() => tokio::time::sleep_until(looked + PACE).await,
            }
            looked = tokio::time::Instant::now();
            is_in_trouble = false;
            match watched.look(&last, session).await {
                Ok(Some(now)) => {
                    pace.answered(say(&last, &now, &model, session)?);
                    last = now;
                }
                Ok(None) => pace.answered(false),
                Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
                    session.output.note(format!("{error}; asking again"));
                    pace.failed();
                    is_in_trouble = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn watched(&self, model: &Model, session: &Session) -> Result<Watched> {
        let collection = |at: &str, kind: Option<&TypeId>| Watched::Collection {
            at: at.to_owned(),
            kind: kind.cloned(),
            etag: None,
        };
        if let [only] = self.names.as_slice()
            && let Ok(kind) = crate::names::kind(model, only)
        {
            return Ok(collection(kind.location.as_str(), Some(&kind.id)));
        }
        if self.names.is_empty() {
            return Ok(collection(&session.client.endpoint().root(), None));
        }
        Ok(Watched::Things(session.find_all(&self.names, &Among::All).await?))
    }

    fn is_reached(&self, picture: &Picture, model: &Model) -> bool {
        let Some(until) = &self.until else { return false };
        if picture.is_empty() {
            return until == "gone";
        }
        let wanted = |state: &str| match until.as_str() {
            "up" => matches!(state, "active" | "online"),
            states => states.split(',').any(|one| one.trim().eq_ignore_ascii_case(state)),
        };
        picture
            .values()
            .all(|entity| entity.state(model).is_some_and(|state| wanted(state.word)))
    }
}

impl Watched {
    fn has_tags(&self, last: &Picture) -> bool {
        match self {
            Self::Collection { etag, .. } => etag.is_some(),
            Self::Things(_) => last.values().all(|entity| entity.etag.is_some()),
        }
    }

    /// What the server may tell of it. Things go by several names, and it tells of one of them: of these, all that happens.
    fn events(&self) -> EventsOf {
        let mut of = EventsOf::default();
        if let Self::Collection { kind, .. } = self {
            of.kind.clone_from(kind);
        }
        of
    }

    /// What there is, if something may be other than it was.
    async fn look(&mut self, last: &Picture, session: &Session) -> occi_client::Result<Option<Picture>> {
        let client = &session.client;
        match self {
            Self::Collection { at, etag, .. } => {
                let listing = Listing::default();
                let Some((_, new)) = client.list_if_changed(at, &listing, etag.as_deref()).await? else {
                    return Ok(None);
                };
                let mut entities = client.entities(at, &listing).await?;
                let mut picture = Picture::new();
                while let Some(entity) = entities.try_next().await? {
                    picture.insert(entity.location.clone(), entity);
                }
                // What changed after the list is found with the next one.
                *etag = new;
                Ok(Some(picture))
            }
            Self::Things(things) => {
                let mut picture = Picture::new();
                for Found { location, .. } in things {
                    let before = last.get(location);
                    let etag = before.and_then(|before| before.etag.as_deref());
                    let now = match etag {
                        Some(etag) => client.show_if_changed(location, etag).await,
                        None => client.show(location).await.map(Some),
                    };
                    match (now, before) {
                        (Ok(Some(now)), _) => drop(picture.insert(location.clone(), now)),
                        (Ok(None), Some(before)) => drop(picture.insert(location.clone(), before.clone())),
                        (Err(error), _) if error.kind() == ErrorKind::NotFound => {}
                        (Err(error), _) => return Err(error),
                        (Ok(None), None) => {}
                    }
                }
                Ok(Some(picture))
            }
        }
    }
}

/// Prints what is other than it was, and tells whether anything is.
fn say(last: &Picture, now: &Picture, model: &Model, session: &Session) -> Result<bool> {
    let mut has_changed = false;
    for (location, entity) in now {
        let (change, differences) = match last.get(location) {
            None => ("created", Vec::new()),
            Some(before) => ("changed", differences(before, entity, model)),
        };
        if change == "created" || !differences.is_empty() {
            line(change, entity, &differences, model, session)?;
            has_changed = true;
        }
    }
    for (_, entity) in last.iter().filter(|(location, _)| !now.contains_key(*location)) {
        line("deleted", entity, &[], model, session)?;
        has_changed = true;
    }
    Ok(has_changed)
}

/// A name, what it was, what it is.
type Difference = (String, Json, Json);

fn differences(before: &Entity, now: &Entity, model: &Model) -> Vec<Difference> {
    let names = before
        .attributes
        .iter()
        .chain(now.attributes.iter())
        .map(|(name, _)| name);
    let mut found: Vec<Difference> = Vec::new();
    for name in names {
        let value = |entity: &Entity| entity.attribute(name.as_str()).cloned();
        if value(before) != value(now) && !found.iter().any(|(other, ..)| other == name.as_str()) {
            let json = |entity: &Entity| value(entity).map_or(Json::Null, |value| value.to_json());
            found.push((name.to_string(), json(before), json(now)));
        }
    }
    // What people look for stands in front.
    let state = now.state_attribute(model);
    found.sort_by_key(|(name, ..)| state.as_ref().is_none_or(|state| state.as_str() != name));
    let terms = |entity: &Entity| entity.mixins.iter().map(|id| id.term()).collect::<Json>();
    let targets = |entity: &Entity| entity.links.iter().map(|link| link.target.clone()).collect::<Json>();
    for (name, was, is) in [
        ("mixins", terms(before), terms(now)),
        ("links", targets(before), targets(now)),
    ] {
        if was != is {
            found.push((name.to_owned(), was, is));
        }
    }
    found
}

fn line(change: &str, entity: &Entity, differences: &[Difference], model: &Model, session: &Session) -> Result<()> {
    let state = entity.state(model).map(|state| state.word);
    if session.output.is_for_people() {
        let kind = entity.kind.as_ref().map(|kind| kind.term()).unwrap_or_default();
        let name = entity.title().unwrap_or(&entity.location);
        let words: Vec<_> = match change {
            "changed" => differences.iter().map(difference_words).collect(),
            change => vec![change.to_owned()],
        };
        let time = jiff::Zoned::now().strftime("%H:%M:%S");
        let name = Look::Title.words(&name.into());
        return session
            .output
            .text(&format!("{time}  {kind} {name}  {}\n", words.join(", ")));
    }
    let changes = differences
        .iter()
        .map(|(name, was, is)| (name.clone(), json!({ "from": was, "to": is })));
    let json = json!({
        "time": jiff::Timestamp::now().to_string(),
        "change": change,
        "kind": entity.kind.as_ref().map(|kind| kind.as_str()),
        "title": entity.title(),
        "location": entity.location,
        "state": state,
        "changes": changes.collect::<serde_json::Map<_, _>>(),
    });
    match session.output.format {
        Format::Json => session.output.text(&format!("{json}\n")),
        _ => session.output.show(&Record::other(&entity.location, json)),
    }
}

/// `state inactive -> active`
fn difference_words((name, was, is): &Difference) -> String {
    let look = Look::of_attribute(name);
    let short = name.rsplit('.').next().unwrap_or(name);
    let words = |value: &Json| match value.is_null() {
        true => "-".to_owned(),
        false => look.words(value),
    };
    format!("{short} {} -> {}", words(was), words(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_more_seldom_while_nothing_changes_or_comes() {
        let mut pace = Pace::new(PACE);
        (0..9).for_each(|_| pace.answered(false));
        assert_eq!(pace.next, SLOW);
        pace.answered(true);
        assert_eq!(pace.next, PACE);
        (0..9).for_each(|_| pace.failed());
        assert_eq!(pace.next, PATIENCE);
        pace.answered(false);
        assert_eq!(pace.next, PACE, "what was missed is looked for soon");
    }
}
