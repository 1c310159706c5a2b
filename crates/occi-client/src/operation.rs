//! Operations: what an `occid` does after it has answered.

use crate::answer::{RawAnswer, printable, unreadable};
use crate::endpoint::Endpoint;
use crate::error::Result;
use jiff::Timestamp;
use occi_model::TypeId;
use serde_json::Value as Json;

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OperationState {
    /// Recorded, not begun.
    Accepted,
    /// Being carried out.
    Running,
    /// Done.
    Succeeded,
    /// Ended without success.
    Failed,
    /// Ended, and left something behind that a person must look at.
    NeedsAttention,
}

impl OperationState {
    /// The server's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NeedsAttention => "needs-attention",
        }
    }

    pub(crate) fn named(word: &str) -> Option<Self> {
        [
            Self::Accepted,
            Self::Running,
            Self::Succeeded,
            Self::Failed,
            Self::NeedsAttention,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }

    /// Whether it has ended.
    pub fn is_finished(self) -> bool {
        !matches!(self, Self::Accepted | Self::Running)
    }
}

/// An operation as it was when it was asked for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Operation {
    /// Its path on the server.
    pub location: String,
    /// Its id.
    pub id: String,
    /// The path of the entity that it is about.
    pub entity: Option<String>,
    /// What is done: `create`, `delete`, `start`, ...
    pub verb: String,
    /// How far it is.
    pub state: OperationState,
    /// What is being done now, in the engine's words.
    pub step: Option<String>,
    /// In percent.
    pub progress: Option<u8>,
    /// When it was recorded.
    pub created: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// When it is given up.
    pub deadline: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
    /// The mixins that it has made: the template of a saved machine.
    pub mixins: Vec<TypeId>,
    /// One for each member, of an operation on a collection.
    pub parts: Vec<Operation>,
}

impl Operation {
    pub(crate) fn read(answer: &RawAnswer, location: &str, endpoint: &Endpoint) -> Result<Self> {
        let document = document(answer, endpoint)?;
        let mut operation =
            Self::of(&document, endpoint).ok_or_else(|| unreadable(endpoint, "this is no operation"))?;
        location.clone_into(&mut operation.location);
        Ok(operation)
    }

    pub(crate) fn read_list(answer: &RawAnswer, endpoint: &Endpoint) -> Result<Vec<Self>> {
        let document = document(answer, endpoint)?;
        let Some(all) = document.get("operations").and_then(Json::as_array) else {
            return Err(unreadable(endpoint, "this is no list of operations"));
        };
        Ok(all.iter().filter_map(|document| Self::of(document, endpoint)).collect())
    }

    fn of(document: &Json, endpoint: &Endpoint) -> Option<Self> {
        let text = |name: &str| document.get(name).and_then(Json::as_str).map(printable);
        // RFC 3339; what is none is not known.
        let time = |name: &str| document.get(name)?.as_str()?.parse().ok();
        let id = text("id")?;
        let error = document.get("error").and_then(|error| match error {
            Json::String(message) => Some(message.as_str()),
            error => error.get("message")?.as_str(),
        });
        let made = document
            .get("result")
            .and_then(|result| result.get("mixins")?.as_array());
        let made = made.into_iter().flatten();
        let progress = document.get("progress").and_then(Json::as_u64);
        Some(Self {
            location: endpoint.below(&format!("/-/operation/{id}")),
            id,
            entity: text("entity"),
            verb: text("verb").unwrap_or_default(),
            state: OperationState::named(&text("state")?)?,
            step: text("step").filter(|step| !step.is_empty()),
            progress: progress.map(|percent| u8::try_from(percent.min(100)).unwrap_or(100)),
            created: time("created"),
            finished: time("finished"),
            deadline: time("deadline"),
            error: error.map(printable),
            mixins: made.filter_map(|id| id.as_str()?.parse().ok()).collect(),
            parts: document
                .get("parts")
                .and_then(Json::as_array)
                .map(|parts| parts.iter().filter_map(|part| Self::of(part, endpoint)).collect())
                .unwrap_or_default(),
        })
    }
}

fn document(answer: &RawAnswer, endpoint: &Endpoint) -> Result<Json> {
    serde_json::from_slice(&answer.body).map_err(|error| unreadable(endpoint, &error.to_string()))
}
