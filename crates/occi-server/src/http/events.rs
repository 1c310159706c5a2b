//! Events (docs/events.md): a page of them, or a stream that follows what happens (server-sent events, WHATWG HTML).
//!
//! A stream holds nothing but a number. What comes next is read from the store when the client has taken what came before, so
//! a slow client costs no memory, and one that takes nothing is cut off like everybody else.

use super::answer;
use super::fault::Fault;
use super::paths;
use super::places::Place;
use super::serve::Body;
use super::service::{Service, no_place};
use super::status;
use super::visit::Visit;
use crate::auth::Visitor;
use axum::body::Body as StreamBody;
use bytes::Bytes;
use futures::stream;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::Either;
use occi_engine::{Caller, EventFilter, Told};
use occi_rendering::{MediaType, Rendered};
use occi_store::{EventRow, Way};
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const ALLOW: &str = "GET, HEAD, OPTIONS";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const STREAM: &str = "text/event-stream";

/// So many events are on a page where the client does not say.
const PAGE: u32 = 100;
/// So many events are read at once for a stream.
const GULP: u32 = 500;
/// After so long a stream says that it is there, and looks whether its client is still allowed in.
const BEAT: Duration = Duration::from_secs(15);
/// Between two readings for one stream: what happens meanwhile is told together.
const BREATH: Duration = Duration::from_millis(50);
/// How long a client is to wait before it comes back.
const RETRY: Duration = Duration::from_secs(2);

impl Visit<'_> {
    /// Any request on the events.
    pub(super) async fn events(self) -> Result<Response<Body>, Fault> {
        match *self.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return Ok(answer::options(ALLOW)),
            _ => return Err(Fault::not_allowed(self.method, "events", ALLOW)),
        }
        let filter = self.filter()?;
        let after = self.after()?;
        let accept = &self.manners.accept;
        match accept.choose(&[MediaType::OcciJson, MediaType::Json]) {
            Some(media) if accept.names(media) && !accept.names_type(STREAM) => self.page(filter, after, media).await,
            _ if accept.takes_type(STREAM) => self.stream(filter, after).await,
            _ => Err(Fault::new(
                StatusCode::NOT_ACCEPTABLE,
                format!("nothing that is accepted can be made here; there are {STREAM}, application/json"),
            )),
        }
    }

    fn filter(&self) -> Result<EventFilter, Fault> {
        let query = self.query;
        let path = query
            .get("entity")
            .map(|url| self.manners.base.localise(url).into_owned());
        let kind = query.get("kind").map(str::parse).transpose();
        let operation = query.get("operation").map(str::parse).transpose();
        Ok(EventFilter {
            path,
            kind: kind
                .map_err(|_| Fault::bad_request("kind must be the identifier of a kind: its scheme and its term"))?,
            operation: operation.map_err(|_| Fault::bad_request("operation must be the id of an operation"))?,
        })
    }

    /// After which event the client wants to go on. What a browser says when it comes back wins over the URL, which is the
    /// one that it began with.
    fn after(&self) -> Result<Option<i64>, Fault> {
        let last = self.headers.get(LAST_EVENT_ID);
        let last = last
            .map(|value| value.to_str().unwrap_or("none"))
            .filter(|last| !last.is_empty());
        let number = last.or_else(|| self.query.get("after"));
        let number = number.map(number_of_event).transpose();
        number.map_err(|_| Fault::bad_request("after, or Last-Event-ID, must be the number of an event"))
    }

    async fn page(self, filter: EventFilter, after: Option<i64>, media: MediaType) -> Result<Response<Body>, Fault> {
        let limit = self.service.page_limit();
        let number = self.query.get("number").map(str::parse::<u32>).transpose();
        let number = match number {
            Ok(Some(0)) | Err(_) => return Err(Fault::bad_request("number must be a whole number from 1")),
            Ok(number) => number.unwrap_or(PAGE).min(limit),
        };
        let before = self.query.get("before").map(number_of_event).transpose();
        let before = before.map_err(|_| Fault::bad_request("before must be the number of an event"))?;
        let way = match (after, before) {
            (Some(_), Some(_)) => return Err(Fault::bad_request("after and before exclude each other")),
            (Some(after), None) => Way::After(after),
            (None, before) => Way::Before(before.unwrap_or(i64::MAX)),
        };
        let told = self.service.engine.events(self.caller, &filter, way, number).await?;
        let more = match way {
            Way::After(after) => {
                is_kept(after, &told)?;
                (told.reached < told.newest).then_some(("next", "after"))
            }
            Way::Before(_) => (told.reached > told.oldest).then_some(("prev", "before")),
        };
        let events = told
            .events
            .iter()
            .map(|event| document(event, self.manners.base.path()));
        let rendered = Rendered {
            content_type: media.content_type(),
            headers: Vec::new(),
            body: json!({ "events": events.collect::<Vec<_>>() }).to_string().into_bytes(),
        };
        let mut response = answer::rendered(StatusCode::OK, rendered);
        if let Some((relation, key)) = more {
            let keys = [(key, told.reached.to_string()), ("number", number.to_string())];
            answer::link(&mut response, relation, self.manners, paths::EVENTS, self.query, &keys);
        }
        Ok(response)
    }

    fn place_for_stream(&self) -> Result<Place, Fault> {
        let taken = self.service.streams.take(&self.caller.principal.name);
        taken.map_err(|full| no_place(full, "streams of events"))
    }

    async fn stream(self, filter: EventFilter, after: Option<i64>) -> Result<Response<Body>, Fault> {
        let mut following = Following {
            service: self.service.clone(),
            caller: self.caller.clone(),
            visitor: self.visitor.clone(),
            base: self.manners.base.path().to_owned(),
            filter,
            at: 0,
            said: None,
            asked: Instant::now(),
            accounts: self.service.authenticator.accounts(),
            read: Instant::now(),
            _places: (self.place()?, self.place_for_stream()?),
        };
        // Who comes without a number has missed nothing.
        let told = following.read(after.unwrap_or(i64::MAX), 1).await?;
        following.at = match after {
            Some(after) => {
                is_kept(after, &told)?;
                after
            }
            None => told.newest,
        };
        let events = stream::unfold(following, |mut following| async {
            let text = following.next().await?;
            Some((Ok::<_, Infallible>(Bytes::from(text)), following))
        });
        let mut response = Response::new(Either::Right(StreamBody::from_stream(events)));
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, STREAM),
            (header::CACHE_CONTROL, "no-store"),
            // nginx would keep events until a page is full.
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }
}

fn number_of_event(text: &str) -> Result<i64, ()> {
    text.parse().ok().filter(|number| *number >= 0).ok_or(())
}

/// Refuses a reader who has missed something that is kept no more, or who comes from another service's events.
fn is_kept(after: i64, told: &Told) -> Result<(), Fault> {
    if after.saturating_add(1) >= told.oldest && after <= told.newest {
        return Ok(());
    }
    let message = "not all that happened since then is kept: list again what there is, and follow from there (resync)";
    Err(Fault::new(StatusCode::GONE, message).problem(status::RESYNC))
}

/// A stream of events.
struct Following {
    service: Arc<Service>,
    caller: Caller,
    visitor: Visitor,
    /// What stands in front of paths.
    base: String,
    filter: EventFilter,
    /// Everything up to this number has been told, or is not for this client.
    at: i64,
    /// The number that the client knows as the last one; none at the beginning.
    said: Option<i64>,
    /// When it was last asked who the client is, and the state of the accounts then.
    asked: Instant,
    accounts: u64,
    /// When the store was last read.
    read: Instant,
    _places: (Place, Place),
}

impl Following {
    /// What to write next; none at the end.
    async fn next(&mut self) -> Option<String> {
        if self.said.is_none() {
            self.said = Some(self.at);
            return Some(format!("retry: {}\nid: {}\n\n", RETRY.as_millis(), self.at));
        }
        let stop = self.service.stop.clone();
        let beat = Instant::now() + BEAT;
        loop {
            let engine = self.service.engine.clone();
            let happened = async {
                engine.happened_after(self.at).await;
                tokio::time::sleep_until(self.read + BREATH).await;
            };
            let is_beat = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = happened => false,
                () = tokio::time::sleep_until(beat) => true,
            };
            if !self.is_welcome().await {
                return None;
            }
            if is_beat {
                return Some(self.beat());
            }
            let told = match self.read(self.at, GULP).await {
                Ok(told) => told,
                // The client comes back, and is told then what is the matter.
                Err(fault) => {
                    tracing::debug!(message = fault.message, "a stream of events ends");
                    return None;
                }
            };
            // So slow that what it has not read is kept no more: it learns that when it comes back.
            is_kept(self.at, &told).ok()?;
            self.at = told.reached;
            if let Some(last) = told.events.last() {
                self.said = Some(last.number);
                return Some(told.events.iter().map(|event| self.write(event)).collect());
            }
        }
    }

    async fn read(&mut self, after: i64, limit: u32) -> Result<Told, Fault> {
        self.read = Instant::now();
        let told = self
            .service
            .engine
            .events(&self.caller, &self.filter, Way::After(after), limit);
        Ok(told.await?)
    }

    /// That the stream is there; with how far it is, so that who has nothing to read for a week can go on from there.
    fn beat(&mut self) -> String {
        let is_known = self.said == Some(self.at);
        self.said = Some(self.at);
        match is_known {
            true => ":\n\n".to_owned(),
            false => format!("id: {}\n\n", self.at),
        }
    }

    fn write(&self, event: &EventRow) -> String {
        let document = document(event, &self.base);
        format!("id: {}\nevent: {}\ndata: {document}\n\n", event.number, event.what)
    }

    /// Whether the client is still allowed in, and as whom: asked now and then, and when an account has changed.
    async fn is_welcome(&mut self) -> bool {
        let accounts = self.service.authenticator.accounts();
        if accounts == self.accounts && self.asked.elapsed() < BEAT {
            return true;
        }
        match self.service.authenticator.again(&self.visitor).await {
            Ok(Some(principal)) => {
                self.caller.principal = principal;
                (self.accounts, self.asked) = (accounts, Instant::now());
                self.service.engine.enter(&self.caller).await.is_ok()
            }
            Ok(None) => false,
            // Nothing is told to who may not be allowed in any more; it comes back.
            Err(_) => false,
        }
    }
}

/// The envelope is that of CloudEvents 1.0, in its JSON format.
fn document(event: &EventRow, base: &str) -> Value {
    let EventRow {
        number,
        at_ms,
        what,
        entity: _,
        path,
        kind,
        project,
        generation,
        title,
        state,
        visibility: _,
        operation,
    } = event;
    let path = path.as_deref().map(|path| format!("{base}{path}"));
    let operation = operation.map(|(id, state)| {
        let location = format!("{base}{}", paths::operation(id));
        (location, super::operation::word(state))
    });
    let subject = match what.as_str() {
        "operation" => operation.as_ref().map(|(location, _)| location.clone()),
        "model" => Some(format!("{base}/-/")),
        _ => path.clone(),
    };
    let mut data = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            data.insert(name.to_owned(), value);
        }
    };
    set("entity", json!(path));
    set("kind", json!(kind.as_ref().map(|kind| kind.as_str())));
    set("title", json!(title));
    set("state", json!(state));
    set("project", json!(project));
    set("generation", json!((*generation > 0).then_some(generation)));
    set(
        "operation",
        operation.map_or(
            Value::Null,
            |(location, state)| json!({ "location": location, "state": state }),
        ),
    );
    let time = jiff::Timestamp::from_millisecond(*at_ms);
    json!({
        "specversion": "1.0",
        "id": number.to_string(),
        "source": format!("{base}/events"),
        "type": format!("occid.{what}"),
        "time": time.map(|time| time.to_string()).unwrap_or_default(),
        "subject": subject,
        "datacontenttype": "application/json",
        "data": data,
    })
}
