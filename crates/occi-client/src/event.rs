//! Events: what happened at an `occid`.

use crate::answer::{RawAnswer, printable, unreadable};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::operation::OperationState;
use crate::request::EventsOf;
use occi_model::TypeId;
use serde_json::Value as Json;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Its number, in the order in which things happened.
    pub number: u64,
    /// `created`, `changed`, `deleted`, `model`, or `operation`.
    pub what: String,
    /// When (RFC 3339).
    pub time: String,
    /// The path of what it is about: an entity, an operation, the query interface.
    pub subject: Option<String>,
    /// The path of the entity.
    pub entity: Option<String>,
    /// Its kind.
    pub kind: Option<TypeId>,
    /// Its title then.
    pub title: Option<String>,
    /// Its state then.
    pub state: Option<String>,
    /// Its project.
    pub project: Option<String>,
    /// The path of the operation that began, got further or ended with it, and where it was then.
    pub operation: Option<(String, OperationState)>,
}

/// A page of events.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EventPage {
    /// In their order. They may be fewer than were asked for, or none, although there are more.
    pub events: Vec<Event>,
    /// How to ask for the page after it, in the same direction; none where there is no more.
    pub more: Option<EventsOf>,
}

impl EventPage {
    pub(crate) fn read(answer: &RawAnswer, of: &EventsOf, endpoint: &Endpoint) -> Result<Self> {
        let document: Json =
            serde_json::from_slice(&answer.body).map_err(|error| unreadable(endpoint, &error.to_string()))?;
        let Some(all) = document.get("events").and_then(Json::as_array) else {
            return Err(unreadable(endpoint, "this is no list of events"));
        };
        let linked = |relation, key| -> Option<u64> {
            let page = answer.linked(relation, endpoint)?;
            let (_, query) = page.split_once('?')?;
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == key)?.1.parse().ok()
        };
        // No page goes back: a server that repeats itself comes to an end.
        let mut more = of.clone();
        let is_more = match of.after {
            Some(_) => {
                more.after = linked("next", "after");
                more.after > of.after
            }
            None => {
                more.before = linked("prev", "before");
                more.before
                    .is_some_and(|number| of.before.is_none_or(|before| number < before))
            }
        };
        Ok(Self {
            events: all.iter().filter_map(Event::of).collect(),
            more: is_more.then_some(more),
        })
    }
}

impl Event {
    /// Of an envelope of CloudEvents.
    fn of(envelope: &Json) -> Option<Self> {
        let text = |of: &Json, name: &str| of.get(name).and_then(Json::as_str).map(printable);
        let data = envelope.get("data").unwrap_or(&Json::Null);
        let operation = data.get("operation").and_then(|operation| {
            let state = OperationState::named(&text(operation, "state")?)?;
            Some((text(operation, "location")?, state))
        });
        Some(Self {
            number: text(envelope, "id")?.parse().ok()?,
            what: text(envelope, "type")?.strip_prefix("occid.")?.to_owned(),
            time: text(envelope, "time")?,
            subject: text(envelope, "subject"),
            entity: text(data, "entity"),
            kind: text(data, "kind").and_then(|kind| kind.parse().ok()),
            title: text(data, "title"),
            state: text(data, "state"),
            project: text(data, "project"),
            operation,
        })
    }
}
