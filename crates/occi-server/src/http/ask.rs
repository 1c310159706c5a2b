//! A request, read once: path, query, manners, who asks.

use super::answer;
use super::fault::Fault;
use super::ready::Reading;
use super::status::Part;
use crate::auth::Sight;
use crate::http::paths;
use bytes::Bytes;
use headers::HeaderMapExt;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use occi_engine::{Caller, Freshness, Page, Precondition, ProjectModel, Wait};
use occi_rendering::render::{AttributeOrder, HeaderLimits};
use occi_rendering::request::{self, Filter};
use occi_rendering::{Accept, Agent, Base, Incoming, MediaType, View, content_type, is_occi_field};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The project that a request is about.
pub(super) const X_OCCI_PROJECT: HeaderName = HeaderName::from_static("x-occi-project");

/// The keys of the query string that narrow a collection.
pub(super) const FILTER_KEYS: &[&str] = &["filter", "category", "attribute", "value", "operator"];

/// What the client says of how it wants to be answered.
#[derive(Clone, Debug)]
pub(super) struct Wishes {
    pub(super) agent: Agent,
    pub(super) accept: Accept,
}

impl Wishes {
    /// Reads `User-Agent` and `Accept`.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let agent = headers
            .get(header::USER_AGENT)
            .map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        Self {
            agent: Agent::from_user_agent(agent.as_deref().unwrap_or_default()),
            accept: Accept::parse(headers.get_all(header::ACCEPT).iter().map(|value| value.as_bytes())),
        }
    }
}

/// What decides how an answer looks, known before anything else.
#[derive(Clone, Debug)]
pub(super) struct Manners {
    pub(super) agent: Agent,
    pub(super) accept: Accept,
    pub(super) base: Base,
    pub(super) request_id: String,
}

impl Manners {
    /// `base` is where the client reaches the service.
    pub(super) fn new(wishes: &Wishes, base: Base, request_id: String) -> Self {
        Self {
            agent: wishes.agent,
            accept: wishes.accept.clone(),
            base,
            request_id,
        }
    }

    /// The media type to answer with. An entity list is all that text/uri-list can say: asked for anything else in that
    /// form alone, the request is bad rather than not acceptable.
    pub(super) fn choose(&self, offered: &[MediaType]) -> Result<MediaType, Fault> {
        self.accept.choose(offered).ok_or_else(|| {
            if self.accept.names(MediaType::UriList) && !offered.contains(&MediaType::UriList) {
                return Fault::bad_request("text/uri-list holds lists of entities only: accept text/plain here");
            }
            let names: Vec<_> = offered.iter().map(|media| media.as_str()).collect();
            let message = format!(
                "nothing that is accepted can be made here; there are {}",
                names.join(", ")
            );
            Fault::new(StatusCode::NOT_ACCEPTABLE, message)
        })
    }

    /// The URL of an operation.
    pub(super) fn operation_url(&self, id: Uuid) -> String {
        self.base.absolute(&paths::operation(id))
    }
}

/// The query string, decoded. Pairs are separated by `&` or `;` (GFD.223 shows both).
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn read(uri: &Uri) -> Self {
        let pairs = uri
            .query()
            .unwrap_or_default()
            .split(['&', ';'])
            .filter(|pair| !pair.is_empty());
        Self(
            pairs
                .flat_map(|pair| url::form_urlencoded::parse(pair.as_bytes()).into_owned())
                .collect(),
        )
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| matches!(value, "" | "true" | "1"))
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A request, with everything a handler needs.
pub(super) struct Ask {
    pub(super) method: Method,
    /// Below the base path, decoded, without empty segments.
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) manners: Manners,
    pub(super) caller: Caller,
    /// What the caller sees.
    pub(super) sight: Sight,
    pub(super) model: Arc<ProjectModel>,
    pub(super) order: Arc<AttributeOrder>,
    pub(super) limits: HeaderLimits,
}

impl Ask {
    /// For rendering an answer.
    pub(super) fn view(&self) -> View<'_> {
        View {
            registry: &self.model.registry,
            base: &self.manners.base,
            agent: self.manners.agent,
            order: &self.order,
            limits: self.limits,
        }
    }

    /// For whom an answer is kept.
    pub(super) fn reading(&self, media: MediaType) -> Reading {
        Reading::new(self.sight, media, self.manners.agent, self.model.epoch)
    }

    pub(super) fn is_write(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    pub(super) fn is_action(&self) -> bool {
        self.method == Method::POST && self.query.get("action").is_some()
    }

    /// Refuses a change whose query string has keys other than these, `project`, and `action` where one is meant, or whose
    /// headers are none of OCCI's though they begin like one: a filter that is misspelt, or of no use here, would change
    /// more than the client means. Whoever only reads is not refused.
    pub(super) fn heeds(&self, keys: &[&str]) -> Result<(), Fault> {
        if !self.is_write() {
            return Ok(());
        }
        let action = self.is_action().then_some("action");
        let known: Vec<_> = action
            .into_iter()
            .chain(keys.iter().copied())
            .chain(["project"])
            .collect();
        if let Some((key, _)) = self.query.pairs().find(|(key, _)| !known.contains(key)) {
            return Err(Fault::bad_request(format!(
                "the query key {key:?} means nothing here, and nothing was done; there are: {}",
                known.join(", ")
            )));
        }
        let is_ours = |name: &HeaderName| is_occi_field(name.as_str()) || *name == X_OCCI_PROJECT;
        let mut like_ours = self.headers.keys().filter(|name| name.as_str().starts_with("x-occi-"));
        match like_ours.find(|name| !is_ours(name)) {
            None => Ok(()),
            Some(name) => Err(Fault::bad_request(format!(
                "the header {name} means nothing here, and nothing was done"
            ))),
        }
    }

    /// Refuses a payload that nobody reads where the request means everything if it names nothing: the body of text/occi,
    /// which is `OK` if there is one.
    pub(super) fn means_everything(&self) -> Result<(), Fault> {
        match self.body.trim_ascii() {
            b"" | b"OK" => Ok(()),
            _ => Err(Fault::bad_request(
                "the body names nothing that is read, and nothing was done: in text/occi the headers name what is meant",
            )),
        }
    }

    /// Reads the payload with `read`, which gets `None` if there is none.
    fn payload<T>(
        &self,
        part: Part,
        read: impl FnOnce(Option<&Incoming<'_>>) -> Result<T, occi_rendering::ParseError>,
    ) -> Result<T, Fault> {
        let fields: Vec<_> = self
            .headers
            .iter()
            .filter(|(name, _)| is_occi_field(name.as_str()))
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let media = if fields.is_empty() && self.body.is_empty() {
            // A Content-Type without anything of that type says nothing.
            None
        } else {
            let types = self.headers.get_all(header::CONTENT_TYPE);
            content_type(
                types.iter().map(|value| value.as_bytes()),
                !fields.is_empty(),
                &self.body,
            )
            .map_err(|error| Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_string()))?
        };
        let incoming = media.map(|media| Incoming {
            media,
            fields: &fields,
            body: &self.body,
            registry: &self.model.registry,
            base: &self.manners.base,
            agent: self.manners.agent,
        });
        read(incoming.as_ref()).map_err(|error| Fault::unreadable(error, part))
    }

    /// Reads what the request describes.
    pub(super) fn read<T>(
        &self,
        what: &str,
        read: impl FnOnce(&Incoming<'_>) -> Result<T, occi_rendering::ParseError>,
    ) -> Result<T, Fault> {
        self.payload(Part::Body, |incoming| incoming.map(read).transpose())?
            .ok_or_else(|| Fault::bad_request(format!("the request has no payload: {what} is expected")))
    }

    /// The same where the payload may be missing.
    pub(super) fn read_if_any<T: Default>(
        &self,
        read: impl FnOnce(&Incoming<'_>) -> Result<T, occi_rendering::ParseError>,
    ) -> Result<T, Fault> {
        self.payload(Part::Body, |incoming| incoming.map(read).transpose())
            .map(Option::unwrap_or_default)
    }

    /// What the listing is narrowed to, by query string and, if `payload`, by headers or body.
    pub(super) fn filter(&self, payload: bool) -> Result<Filter, Fault> {
        let by_query = request::query_filter(self.query.pairs(), &self.model.registry, &self.manners.base)
            .map_err(|error| Fault::unreadable(error, Part::Filter))?;
        if !payload {
            return Ok(by_query);
        }
        let by_payload = self.payload(Part::Filter, |incoming| incoming.map(request::filter).transpose())?;
        Ok(by_query.and(by_payload.unwrap_or_default()))
    }

    /// `page` and `number`. Counted from 1, and 0 means 1; `number` alone means the first page. MartServer's clients send
    /// `page` alone and expect 20.
    pub(super) fn page(&self, limit: u32) -> Result<Option<Page>, Fault> {
        let read = |key: &str| {
            let text = self.query.get(key);
            text.map(|text| {
                text.parse::<u64>()
                    .map_err(|_| Fault::bad_request(format!("{key} must be a whole number")))
            })
            .transpose()
        };
        let (page, number) = (read("page")?, read("number")?);
        if page.is_none() && number.is_none() {
            return Ok(None);
        }
        let number = number.unwrap_or(20);
        if number == 0 {
            return Err(Fault::bad_request("number must be at least 1"));
        }
        match u32::try_from(number) {
            Ok(number) if number <= limit => Ok(Some(Page {
                page: page.unwrap_or(1).max(1),
                number,
            })),
            _ => {
                let message = format!("number must be at most {limit}");
                Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, message))
            }
        }
    }

    /// The versions that `If-Match` names: its tags without the rendering, and `*`. None without that header.
    fn if_match(&self) -> Option<Vec<&str>> {
        versions(&self.headers, header::IF_MATCH)
    }

    /// Whether `If-Match` names a version, rather than any.
    pub(super) fn names_version(&self) -> bool {
        self.if_match().is_some_and(|versions| !versions.contains(&"*"))
    }

    /// The generations that `If-Match` allows.
    pub(super) fn precondition(&self) -> Precondition {
        generations(self.if_match())
    }

    /// What must not hold where something is written (`If-None-Match`). A proxy may have made a tag of ours a weak one.
    pub(super) fn must_not_hold(&self) -> Precondition {
        let versions = versions(&self.headers, header::IF_NONE_MATCH);
        let strong = versions.map(|versions| versions.into_iter().map(|one| one.trim_start_matches("W/\"")).collect());
        generations(strong)
    }

    /// The newest event that a client knows of that names the tag of a listing in `If-Match`; none if it names none. A tag
    /// that is none of its own is older than all events.
    pub(super) fn since(&self, instance: u32) -> Option<i64> {
        let versions = self.if_match().filter(|versions| !versions.contains(&"*"))?;
        let reader = answer::listing_reader(instance, self.sight);
        let events = versions
            .iter()
            .filter_map(|version| version.strip_suffix(&reader)?.parse().ok());
        Some(events.max().unwrap_or(-1))
    }

    /// Refuses a change whose `If-Match` does not name `version`, the present one; none: there is no tag.
    pub(super) fn require(&self, version: Option<&str>) -> Result<(), Fault> {
        match self.if_match() {
            Some(versions) if !versions.iter().any(|one| *one == "*" || Some(*one) == version) => {
                Err(Fault::changed_meanwhile())
            }
            _ => Ok(()),
        }
    }

    /// Whether the client has this answer already (`If-None-Match`).
    pub(super) fn has(&self, etag: &str) -> bool {
        none_match(&self.headers, etag)
    }
}

/// Whether `If-None-Match` names this tag.
pub(super) fn none_match(headers: &HeaderMap, etag: &str) -> bool {
    let mut values = headers.get_all(header::IF_NONE_MATCH).iter();
    values.any(|value| {
        entity_tags(value.as_bytes()).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

/// The versions that a condition names: its tags without the rendering, and `*`. None without that header.
fn versions(headers: &HeaderMap, condition: HeaderName) -> Option<Vec<&str>> {
    let mut values = headers.get_all(condition).iter().peekable();
    values.peek()?;
    let tags = values.flat_map(|value| entity_tags(value.as_bytes()));
    Some(tags.filter_map(|tag| tag.trim_matches('"').split('.').next()).collect())
}

/// The generations among the versions of a condition.
fn generations(versions: Option<Vec<&str>>) -> Precondition {
    match versions {
        None => Precondition::None,
        Some(versions) if versions.contains(&"*") => Precondition::Exists,
        Some(versions) => Precondition::Generations(versions.iter().filter_map(|one| one.parse().ok()).collect()),
    }
}

/// The tags of an `If-Match` or `If-None-Match` header. Ours hold no comma.
fn entity_tags(value: &[u8]) -> impl Iterator<Item = &str> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty())
}

/// Who asks to wait longer is answered after this time: what goes on has a URL, and a connection costs a place.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How long a write may take: `Prefer` (RFC 7240).
pub(super) fn wait(headers: &HeaderMap) -> Wait {
    let mut wait = Wait::Accepted;
    for value in headers.get_all("prefer") {
        let text = String::from_utf8_lossy(value.as_bytes());
        for preference in text.split([',', ';']).map(str::trim) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => wait = Wait::Async,
                "wait" if wait != Wait::Async => match value.trim().trim_matches('"').parse() {
                    Ok(0) => wait = Wait::Recorded,
                    Ok(seconds) => wait = Wait::Outcome(Duration::from_secs(seconds).min(LONGEST_WAIT)),
                    Err(_) => {}
                },
                _ => {}
            }
        }
    }
    wait
}

/// How old a picture may be: `Cache-Control` of the request.
pub(super) fn freshness(headers: &HeaderMap) -> Freshness {
    match headers.typed_get::<headers::CacheControl>() {
        Some(control) if control.no_cache() || control.no_store() => Freshness::Now,
        Some(control) => control.max_age().map_or(Freshness::Any, Freshness::MaxAge),
        None => Freshness::Any,
    }
}

/// Refuses a request that names several projects: only one of them would be changed.
pub(super) fn means_one_project(query: &Query, headers: &HeaderMap) -> Result<(), Fault> {
    let in_query: Vec<_> = query.pairs().filter(|(key, _)| *key == "project").collect();
    let in_headers: Vec<_> = headers.get_all(X_OCCI_PROJECT).iter().collect();
    let contradict = |in_query: &str, header: &HeaderValue| in_query.as_bytes() != header.as_bytes().trim_ascii();
    let is_plain = match (in_query.as_slice(), in_headers.as_slice()) {
        ([] | [_], []) | ([], [_]) => true,
        ([(_, name)], [header]) => !contradict(name, header),
        _ => false,
    };
    match is_plain {
        true => Ok(()),
        false => Err(Fault::bad_request(
            "the request names its project twice, and nothing was done",
        )),
    }
}

/// The idempotency key of a write, and a hash of everything that the request says.
pub(super) fn idempotency(
    method: &Method,
    path_and_query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<(String, String)>, Fault> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    if keys.next().is_some() {
        return Err(Fault::bad_request(
            "a request has one Idempotency-Key, and nothing was done",
        ));
    }
    let key = key.to_str().unwrap_or_default().trim().trim_matches('"');
    if key.is_empty() || key.len() > 255 {
        return Err(Fault::bad_request(
            "Idempotency-Key must hold 1 to 255 visible characters",
        ));
    }
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut add = |part: &[u8]| {
        hash.update(&part.len().to_be_bytes());
        hash.update(part);
    };
    add(method.as_str().as_bytes());
    add(path_and_query.as_bytes());
    for (name, value) in headers {
        if is_occi_field(name.as_str()) || name == header::CONTENT_TYPE {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
    }
    add(body);
    let hash: String = hash
        .finish()
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Some((key.to_owned(), hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name: http::HeaderName = name.parse().unwrap();
            map.append(name, http::HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn preferences_say_how_long_a_write_may_take() {
        for (value, expected) in [
            ("wait=0", Wait::Recorded),
            ("wait=5", Wait::Outcome(Duration::from_secs(5))),
            ("wait=86400", Wait::Outcome(LONGEST_WAIT)),
            ("respond-async, wait=10", Wait::Async),
            ("wait=10; respond-async", Wait::Async),
            ("return=minimal", Wait::Accepted),
            ("wait=soon", Wait::Accepted),
        ] {
            assert_eq!(wait(&headers(&[("prefer", value)])), expected, "{value}");
        }
        assert_eq!(
            wait(&headers(&[("prefer", "x"), ("prefer", "wait=1")])),
            Wait::Outcome(Duration::from_secs(1))
        );
    }

    #[test]
    fn cache_control_says_how_old_a_picture_may_be() {
        assert_eq!(freshness(&headers(&[("cache-control", "no-cache")])), Freshness::Now);
        let minute = Freshness::MaxAge(Duration::from_secs(60));
        assert_eq!(freshness(&headers(&[("cache-control", "max-age=60")])), minute);
        assert_eq!(freshness(&headers(&[])), Freshness::Any);
    }

    #[test]
    fn the_query_string_takes_both_separators_and_is_decoded() {
        let query = Query::read(
            &"/compute/?page=2;number=10&filter=occi.core.title=a%20b+c"
                .parse()
                .unwrap(),
        );
        assert_eq!((query.get("page"), query.get("number")), (Some("2"), Some("10")));
        assert_eq!(query.get("filter"), Some("occi.core.title=a b c"));
        assert_eq!(query.get("absent"), None);
    }

    #[test]
    fn the_hash_of_a_keyed_request_covers_all_that_it_says() {
        let keyed = headers(&[("idempotency-key", "\"k\""), ("category", "a"), ("x-other", "1")]);
        let other = headers(&[("idempotency-key", "k"), ("category", "b")]);
        let hash = |headers: &HeaderMap, body: &[u8]| idempotency(&Method::POST, "/x", headers, body).unwrap().unwrap();
        assert_eq!(hash(&keyed, b"1").0, "k");
        assert_eq!(hash(&keyed, b"1"), hash(&keyed, b"1"));
        assert_ne!(hash(&keyed, b"1").1, hash(&keyed, b"2").1);
        assert_ne!(hash(&keyed, b"1").1, hash(&other, b"1").1);
        assert!(idempotency(&Method::POST, "/", &headers(&[]), b"").unwrap().is_none());
        assert!(idempotency(&Method::POST, "/", &headers(&[("idempotency-key", "")]), b"").is_err());
    }

    #[test]
    fn entity_tags_are_compared_as_weak_ones() {
        assert!(none_match(
            &headers(&[("if-none-match", "W/\"7.p\", \"8.p\"")]),
            "\"7.p\""
        ));
        assert!(!none_match(&headers(&[("if-none-match", "\"7.j\"")]), "\"7.p\""));
        assert!(none_match(&headers(&[("if-none-match", "*")]), "\"7.p\""));
    }
}
