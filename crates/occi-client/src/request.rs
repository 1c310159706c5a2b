//! Requests, as values: what is sent can be looked at without a socket.

use crate::dialect::Dialect;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Category, Model};
use crate::place::Place;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use occi_model::{Class, EntityDraft, LinkDraft, MixinDraft, TypeId};
use occi_rendering::request::{ActionDraft, Filter};
use occi_rendering::{MediaType, Rendered, compose};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use url::Url;
use url::form_urlencoded::Serializer;

/// A request, complete but for the credentials.
pub type Request = http::Request<Bytes>;

/// The key under which a server recognises a create that it has seen already.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// How long a write may take.
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Which part of a collection is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Listing {
    /// What must hold of every member. Some historic servers pass over it.
    pub filter: Filter,
    /// One page, counted from 1, and how many members it has at most. Some historic servers pass over it.
    pub page: Option<(u32, u32)>,
}

impl Listing {
    /// The members of which a filter holds.
    pub fn of(filter: Filter) -> Self {
        Self { filter, page: None }
    }
}

/// How a write is to be carried out. The headers mean nothing to servers other than `occid`, which pass over them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Write {
    /// Only if the entity is still what it was: its [`etag`](crate::Entity::etag).
    pub if_match: Option<String>,
    /// When to answer.
    pub answer: Answer,
    /// Recognises a repetition of the same request. Creates get one by themselves.
    pub idempotency_key: Option<String>,
}

/// When a write is to be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answer {
    /// When the server thinks best: mostly when its engine has accepted.
    #[default]
    AsUsual,
    /// As soon as it is recorded; the answer names the operation.
    Early,
    /// When it is done, at most after this time, in seconds and rounded up.
    Done(Duration),
}

/// Where the query interface is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Discovery {
    /// `/-/` below the base path.
    #[default]
    Query,
    /// `/.well-known/org/ogf/occi/-/` at the root.
    WellKnown,
}

/// Which events of an `occid`; all conditions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventsOf {
    /// Only of the entity at this path, and of the operations on it.
    pub entity: Option<String>,
    /// Only of entities of this kind.
    pub kind: Option<TypeId>,
    /// Only what tells of the operation of this id.
    pub operation: Option<String>,
    /// Only what happened after the event of this number: of these the first, where there are more than were asked for.
    pub after: Option<u64>,
    /// Only what happened before the event of this number: of these the last. A stream knows only what comes after.
    pub before: Option<u64>,
}

impl EventsOf {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let Self {
            entity,
            kind,
            operation,
            after,
            before,
        } = self;
        let kind = kind.as_ref().map(ToString::to_string);
        let after = after.as_ref().map(ToString::to_string);
        let before = before.as_ref().map(ToString::to_string);
        let all = [
            ("entity", entity.clone()),
            ("kind", kind),
            ("operation", operation.clone()),
            ("after", after),
            ("before", before),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// Writes requests for one server, in its dialect: what is sent can be looked at without a socket.
///
/// Authentication is added when they are sent ([`Client::send`](crate::Client::send)), and the version is lowered then
/// where a server refuses it.
#[derive(Clone, Copy, Debug)]
pub struct Requests<'a> {
    /// Where it is.
    pub endpoint: &'a Endpoint,
    /// How it is spoken to.
    pub dialect: &'a Dialect,
    /// What it offers; empty before the first request.
    pub model: &'a Model,
}

impl Requests<'_> {
    /// The path of the query interface.
    pub fn discovery_path(&self, discovery: Discovery) -> String {
        match discovery {
            Discovery::Query => self.endpoint.below("/-/"),
            Discovery::WellKnown => "/.well-known/org/ogf/occi/-/".to_owned(),
        }
    }

    /// What the server offers; with the tag of the model that is known, nothing if that is still true.
    pub fn discover(&self, discovery: Discovery, etag: Option<&str>) -> Result<Request> {
        let mut request = self.get(&self.discovery_path(discovery), self.dialect.media.as_str())?;
        set_if_some(&mut request, header::IF_NONE_MATCH, etag)?;
        Ok(request)
    }

    /// A collection by location.
    pub fn list(&self, at: &str, listing: &Listing) -> Result<Request> {
        self.listing(at, listing, self.dialect.accept_locations())
    }

    /// A collection in full: where the dialect is JSON. The text renderings cannot say it.
    pub fn list_full(&self, at: &str, listing: &Listing) -> Result<Request> {
        if !self.dialect.media.is_json() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{} lists entities by location only", self.dialect.media),
            ));
        }
        self.listing(at, listing, self.dialect.media.as_str())
    }

    fn listing(&self, at: &str, listing: &Listing, accept: &str) -> Result<Request> {
        let mut pairs = Vec::new();
        if let Some((page, number)) = listing.page {
            pairs.push(("page", page.to_string()));
            pairs.push(("number", number.to_string()));
        }
        let in_headers = !self.dialect.is_occid && !listing.filter.is_empty();
        if !in_headers {
            pairs.extend(compose::filter_query(&listing.filter));
        }
        let mut request = self.get(&with_query(at, &pairs), accept)?;
        if in_headers {
            let class = |id: &TypeId| self.model.get(id.as_str()).map(Category::class);
            put(&mut request, compose::filter(&listing.filter, class)?)?;
        }
        Ok(request)
    }

    /// One entity in full.
    pub fn show(&self, location: &str) -> Result<Request> {
        self.get(location, self.dialect.media.as_str())
    }

    /// A new entity, in the collection of its kind.
    pub fn create(&self, draft: &EntityDraft, write: &Write) -> Result<Request> {
        let Some(kind) = &draft.kind else {
            return Err(Error::invalid("what is created has a kind"));
        };
        let at = match self.model.get(kind.as_str()) {
            Some(Category::Kind(kind)) => kind.location.as_str(),
            _ => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("the server offers no kind {kind}"),
                ));
            }
        };
        let draft = self.prepared(draft)?;
        self.write(
            Method::POST,
            at,
            Some(compose::entity(&draft, self.dialect.media)?),
            write,
        )
    }

    /// A new entity at a path of the client's choice.
    pub fn create_at(&self, location: &str, draft: &EntityDraft, write: &Write) -> Result<Request> {
        let mut request = self.replace(location, draft, write)?;
        request
            .headers_mut()
            .insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        Ok(request)
    }

    /// The whole of an entity anew.
    ///
    /// # Errors
    /// The path of a collection: that would have other members.
    pub fn replace(&self, location: &str, draft: &EntityDraft, write: &Write) -> Result<Request> {
        let draft = self.prepared(draft)?;
        self.write(
            Method::PUT,
            &self.entity(location)?,
            Some(compose::entity(&draft, self.dialect.media)?),
            write,
        )
    }

    /// What changes of an entity.
    ///
    /// # Errors
    /// The path of a collection: that would get a new member.
    pub fn update(&self, location: &str, draft: &EntityDraft, write: &Write) -> Result<Request> {
        let draft = self.prepared(draft)?;
        self.write(
            Method::POST,
            &self.entity(location)?,
            Some(compose::entity(&draft, self.dialect.media)?),
            write,
        )
    }

    /// An action on an entity.
    ///
    /// # Errors
    /// The path of a collection: that has a request of its own.
    pub fn act(&self, location: &str, action: &ActionDraft, write: &Write) -> Result<Request> {
        self.invoke(&self.entity(location)?, &Filter::default(), action, write)
    }

    /// An action on all of a collection, or on those members of which a filter holds.
    ///
    /// # Errors
    /// A filter, of a server other than `occid`, which would pass over it.
    pub fn act_on_collection(&self, at: &str, filter: &Filter, action: &ActionDraft, write: &Write) -> Result<Request> {
        if !filter.is_empty() {
            self.needs_occid("acts on a part of a collection")?;
        }
        self.invoke(&self.bare(at)?, filter, action, write)
    }

    fn invoke(&self, path: &str, filter: &Filter, action: &ActionDraft, write: &Write) -> Result<Request> {
        let mut pairs = vec![("action", action.id.term().to_owned())];
        pairs.extend(compose::filter_query(filter));
        self.write(
            Method::POST,
            &with_query(path, &pairs),
            Some(compose::action(action, self.dialect.media)?),
            write,
        )
    }

    /// The end of an entity.
    ///
    /// # Errors
    /// The path of a collection: that has a request of its own.
    pub fn delete(&self, location: &str, write: &Write) -> Result<Request> {
        self.write(Method::DELETE, &self.entity(location)?, None, write)
    }

    /// The end of these members of the collection of a kind or below a path, of all or none.
    ///
    /// # Errors
    /// A server other than `occid` may pass over the list, and delete everything. The path of one thing: that would be
    /// deleted. The collection of a mixin: that would lose its members, and they would live on.
    pub fn delete_several(&self, at: &str, locations: &[String], write: &Write) -> Result<Request> {
        self.needs_occid("deletes several entities at once")?;
        if locations.is_empty() {
            return Err(Error::invalid("there is nothing to delete"));
        }
        let path = match Place::new(at, self.endpoint, self.model)? {
            Place::Collection(path, Some(Category::Kind(_))) => path,
            Place::Collection(path, None) if path.ends_with('/') => path,
            _ => {
                return Err(Error::invalid(format!(
                    "{at} is no collection of which members are deleted"
                )));
            }
        };
        self.write(Method::DELETE, &path, Some(self.locations(locations)?), write)
    }

    /// The end of everything in the collection of a kind or below a path, or of that part of which a filter holds.
    ///
    /// # Errors
    /// A filter, of a server other than `occid`, which would pass over it.
    pub fn delete_collection(&self, at: &str, filter: &Filter, write: &Write) -> Result<Request> {
        if !filter.is_empty() {
            self.needs_occid("deletes a part of a collection")?;
        }
        self.write(
            Method::DELETE,
            &with_query(&self.bare(at)?, &compose::filter_query(filter)),
            None,
            write,
        )
    }

    /// More members for the collection of a mixin.
    ///
    /// # Errors
    /// The path of anything else: that would be created or changed.
    pub fn associate(&self, mixin: &str, locations: &[String]) -> Result<Request> {
        self.of_mixin(Method::POST, mixin, locations)
    }

    /// Fewer members for the collection of a mixin. They are not deleted.
    ///
    /// # Errors
    /// An empty list would mean all. The path of anything else: in the collection of a kind they would be deleted.
    pub fn dissociate(&self, mixin: &str, locations: &[String]) -> Result<Request> {
        if locations.is_empty() {
            return Err(Error::invalid("there is nothing to dissociate"));
        }
        self.of_mixin(Method::DELETE, mixin, locations)
    }

    /// These members and no others for the collection of a mixin.
    ///
    /// # Errors
    /// The path of anything else: that would be replaced.
    pub fn replace_members(&self, mixin: &str, locations: &[String]) -> Result<Request> {
        self.of_mixin(Method::PUT, mixin, locations)
    }

    /// A request that means what it should at the collection of a mixin only.
    fn of_mixin(&self, method: Method, mixin: &str, locations: &[String]) -> Result<Request> {
        match Place::new(mixin, self.endpoint, self.model)? {
            Place::Collection(path, Some(Category::Mixin(_))) => {
                self.write(method, &path, Some(self.locations(locations)?), &Write::default())
            }
            _ => Err(Error::invalid(format!("{mixin} is not the collection of a mixin"))),
        }
    }

    /// A mixin of the user's.
    pub fn add_mixin(&self, mixin: &MixinDraft) -> Result<Request> {
        let body = compose::mixins(std::slice::from_ref(mixin), self.dialect.media)?;
        self.write(
            Method::POST,
            &self.discovery_path(Discovery::Query),
            Some(body),
            &Write::default(),
        )
    }

    /// The end of a mixin of the user's.
    pub fn remove_mixin(&self, mixin: &TypeId) -> Result<Request> {
        let body = compose::category_refs([(mixin, Class::Mixin)], self.dialect.media)?;
        self.write(
            Method::DELETE,
            &self.discovery_path(Discovery::Query),
            Some(body),
            &Write::default(),
        )
    }

    /// The first page of the operations, or of those that go on.
    pub fn operations(&self, open: bool) -> Result<Request> {
        let pairs: &[_] = if open { &[("open", "true".to_owned())] } else { &[] };
        self.get(
            &with_query(&self.endpoint.below("/-/operation/"), pairs),
            MediaType::OcciJson.as_str(),
        )
    }

    /// One operation.
    pub fn operation(&self, location: &str) -> Result<Request> {
        self.get(location, MediaType::OcciJson.as_str())
    }

    /// The end of an operation, where it can still be stopped.
    ///
    /// # Errors
    /// The path of anything else.
    pub fn cancel(&self, operation: &str) -> Result<Request> {
        let path = self.entity(operation)?;
        if !path.starts_with(&self.endpoint.below("/-/operation/")) {
            return Err(Error::invalid(format!("{path} is no operation")));
        }
        let mut request = self.write(Method::DELETE, &path, None, &Write::default())?;
        request
            .headers_mut()
            .insert(header::ACCEPT, HeaderValue::from_static(MediaType::OcciJson.as_str()));
        Ok(request)
    }

    /// The last events, at most so many.
    pub fn events(&self, of: &EventsOf, number: u32) -> Result<Request> {
        let mut pairs = of.pairs();
        pairs.push(("number", number.to_string()));
        let target = with_query(&self.endpoint.below("/events"), &pairs);
        self.get(&target, MediaType::OcciJson.as_str())
    }

    /// Events from now on, as server-sent events.
    pub fn follow_events(&self, of: &EventsOf) -> Result<Request> {
        let target = with_query(&self.endpoint.below("/events"), &of.pairs());
        self.get(&target, "text/event-stream")
    }

    /// Anything else.
    pub fn raw(&self, method: Method, target: &str, headers: HeaderMap, body: Bytes) -> Result<Request> {
        let mut request = self.request(method, target)?;
        *request.body_mut() = body;
        // In a map of headers the first of several of a name comes with the name, the others without.
        let mut last = None;
        for (name, value) in headers {
            match (name, &last) {
                (Some(name), _) => {
                    request.headers_mut().insert(name.clone(), value);
                    last = Some(name);
                }
                (None, Some(name)) => {
                    request.headers_mut().append(name.clone(), value);
                }
                (None, None) => {}
            }
        }
        Ok(request)
    }

    /// What the links of a draft leave out: their kind, and the kind of their target, by where they lead. What is a URL of
    /// the server becomes a path, which every server understands.
    fn prepared(&self, draft: &EntityDraft) -> Result<EntityDraft> {
        let local = |location: &str| self.endpoint.base().localise(location).into_owned();
        let ends = |draft: &mut EntityDraft| {
            draft.source = draft.source.as_deref().map(local);
            draft.target = draft.target.as_deref().map(local);
            if draft.target_kind.is_none() {
                let by_place = draft.target.as_deref().and_then(|target| self.model.kind_at(target));
                let by_kind = || self.model.target_kind_of(draft.kind.as_ref()?.as_str());
                draft.target_kind = by_place.map(|kind| kind.id.clone()).or_else(by_kind);
            }
        };
        let mut draft = draft.clone();
        if draft.target.is_some() {
            ends(&mut draft);
        }
        for LinkDraft { entity, .. } in &mut draft.links {
            ends(entity);
            let Some(target) = &entity.target else {
                return Err(Error::invalid("a link leads somewhere"));
            };
            if entity.kind.is_none() {
                let to = entity
                    .target_kind
                    .as_ref()
                    .and_then(|kind| self.model.link_kind_to(kind.as_str()));
                let Some(kind) = to else {
                    return Err(Error::invalid(format!(
                        "the kind of the link to {target} cannot be told from where it leads"
                    )));
                };
                entity.kind = Some(kind.id.clone());
            }
        }
        Ok(draft)
    }

    fn locations(&self, locations: &[String]) -> Result<Rendered> {
        let urls: Vec<_> = locations
            .iter()
            .map(|location| self.endpoint.base().absolute(location))
            .collect();
        Ok(compose::locations(urls.iter().map(String::as_str), self.dialect.media)?)
    }

    fn needs_occid(&self, what: &str) -> Result<()> {
        if self.dialect.is_occid {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("this server is none that surely {what}"),
        ))
    }

    fn entity(&self, location: &str) -> Result<String> {
        Place::new(location, self.endpoint, self.model)?.entity()
    }

    /// A path without a query: a server might pass over what that says.
    fn bare(&self, at: &str) -> Result<String> {
        match Place::new(at, self.endpoint, self.model)? {
            Place::Entity(path) | Place::Collection(path, _) => Ok(path),
            Place::Query(path) => Err(
                Error::invalid(format!("{path} has a query, which may mean nothing there"))
                    .with_hint("a filter says which members are meant"),
            ),
        }
    }

    fn get(&self, target: &str, accept: &str) -> Result<Request> {
        let mut request = self.request(Method::GET, target)?;
        set_if_some(&mut request, header::ACCEPT, Some(accept))?;
        Ok(request)
    }

    fn write(&self, method: Method, target: &str, body: Option<Rendered>, write: &Write) -> Result<Request> {
        let mut request = self.request(method, target)?;
        set_if_some(&mut request, header::ACCEPT, Some(self.dialect.media.as_str()))?;
        if let Some(body) = body {
            put(&mut request, body)?;
        }
        set_if_some(&mut request, header::IF_MATCH, write.if_match.as_deref())?;
        set_if_some(&mut request, IDEMPOTENCY_KEY, write.idempotency_key.as_deref())?;
        let prefer = match write.answer {
            Answer::AsUsual => None,
            Answer::Early => Some("respond-async".to_owned()),
            Answer::Done(wait) => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Some(format!("wait={seconds}"))
            }
        };
        set_if_some(&mut request, PREFER, prefer.as_deref())?;
        Ok(request)
    }

    fn request(&self, method: Method, target: &str) -> Result<Request> {
        let url = self.endpoint.url(target);
        // What a server lists may hold characters that a URL has to encode.
        let url = Url::parse(&url).map_err(|error| Error::invalid(format!("{url} is no URL: {error}")))?;
        let mut request = http::Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|error| Error::invalid(format!("{url} is no URL: {error}")))?;
        request
            .headers_mut()
            .insert(header::USER_AGENT, self.dialect.version.user_agent(None));
        Ok(request)
    }
}

fn put(request: &mut Request, rendered: Rendered) -> Result<()> {
    let Rendered {
        content_type,
        headers,
        body,
    } = rendered;
    for (name, value) in headers {
        let value = HeaderValue::from_maybe_shared(Bytes::from(value))
            .map_err(|_| Error::invalid(format!("{name} cannot be sent as a header: use text/plain or JSON")))?;
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| Error::invalid(format!("{name} is no header")))?;
        request.headers_mut().append(name, value);
    }
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    *request.body_mut() = body.into();
    Ok(())
}

fn set_if_some(request: &mut Request, name: HeaderName, value: Option<&str>) -> Result<()> {
    if let Some(value) = value {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Error::invalid(format!("{value:?} cannot be the value of the header {name}")))?;
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

fn with_query(target: &str, pairs: &[(&'static str, String)]) -> String {
    if pairs.is_empty() {
        return target.to_owned();
    }
    let separator = if target.contains('?') { '&' } else { '?' };
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{target}{separator}{query}")
}
