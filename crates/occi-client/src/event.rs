//! Events: what happened at an `occid`.

use crate::answer::{RawAnswer, printable, unreadable};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::operation::OperationState;
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

impl Event {
    pub(crate) fn read_list(answer: &RawAnswer, endpoint: &Endpoint) -> Result<Vec<Self>> {
        let document: Json =
            serde_json::from_slice(&answer.body).map_err(|error| unreadable(endpoint, &error.to_string()))?;
        let Some(all) = document.get("events").and_then(Json::as_array) else {
            return Err(unreadable(endpoint, "this is no list of events"));
        };
        Ok(all.iter().filter_map(Self::of).collect())
    }

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
