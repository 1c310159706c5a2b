//! The way of a request, from its head to its answer: the layers, in order.

use super::answer;
use super::ask::{self, Ask, Manners, Query, Wishes, X_OCCI_PROJECT};
use super::fault::Fault;
use super::meters::{Meters, RouteClass};
use super::paths::{self, BadPath, Route};
use super::places::{Full, Place, Places};
use super::ready::{Answers, Reading};
use super::serve::{Body, Door, Peer};
use super::taking_over::TakingOver;
use super::visit::Visit;
use super::{collection, discovery, entity, foreign, operation};
use crate::auth::origin::origin;
use crate::auth::{Authenticator, Refusal, Visitor, owners};
use crate::config::{self, Config};
use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use occi_engine::{Caller, Engine, Freshness, Principal, ProjectModel, Where};
use occi_model::Registry;
use occi_rendering::render::{AttributeOrder, HeaderLimits};
use occi_rendering::{Base, accepted};
use quick_cache::sync::Cache;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// By which clients know us: a proxy in front puts itself into `Server`.
const OCCID: HeaderName = HeaderName::from_static("occid");
/// Above so many principals, the limiter drops those who have been quiet.
const PRUNE_ABOVE: usize = 100_000;

/// So much of each body needs no room: the places for requests bound that.
const PIECE: usize = 64 << 10;

/// So many streams of events one principal may have: each reads for itself.
const STREAMS: usize = 16;

/// How long consoles may take to say that they end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// OCCI over HTTP, in front of an engine.
pub struct Service {
    pub(super) engine: Engine,
    pub(super) authenticator: Arc<Authenticator>,
    http: config::Http,
    access_log: bool,
    challenge: HeaderValue,
    limiter: Option<DefaultKeyedRateLimiter<String>>,
    working: Places,
    /// For bodies, in pieces of [`PIECE`].
    bodies: Places,
    /// For what is open for long.
    pub(super) lasting: Places,
    /// For streams of events, each of which has one of the places above besides.
    pub(super) streams: Places,
    pub(super) lines: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) answers: Arc<Answers>,
    pub(super) uploads: TakingOver,
    orders: Cache<usize, Arc<Known>>,
    meters: Meters,
    server: ArcSwap<HeaderValue>,
    spelling: Extensions,
    /// `https` if the listener speaks TLS.
    scheme: &'static str,
    /// Where the service is if a request does not say.
    authority: String,
    /// Random; makes the ids of requests, and the tags of models, those of this process.
    pub(super) instance: u32,
    requests: AtomicU64,
}

/// A model, and what rendering needs to know of it.
struct Known {
    /// Keeps the model alive, so that its address stays its own.
    model: Arc<ProjectModel>,
    order: Arc<AttributeOrder>,
}

/// What is known about a request when it is answered.
struct Trace {
    request_id: HeaderValue,
    route: RouteClass,
    principal: Option<Arc<Principal>>,
}

impl Service {
    /// Everything the layers need. `authority` is where it is reached if a request does not say; `stop` ends what would
    /// last.
    pub async fn new(
        engine: Engine,
        authenticator: Arc<Authenticator>,
        config: &Config,
        authority: String,
        tls: bool,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let challenge = match &config.auth.keystone_uri {
            // To the letter: three clients match this value.
            Some(uri) => HeaderValue::from_str(&format!("Keystone uri='{uri}'")),
            None => HeaderValue::from_str(&format!("Basic realm=\"{}\", charset=\"UTF-8\"", config.auth.realm)),
        };
        let limiter = NonZeroU32::new(config.rate.per_second).map(|rate| {
            let burst = NonZeroU32::new(config.rate.burst).unwrap_or(rate);
            RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
        });
        let mut random = [0; 4];
        // A failure costs uniqueness over restarts, nothing else.
        let _ = getrandom::fill(&mut random);
        Arc::new(Self {
            engine,
            authenticator,
            http: config.http.clone(),
            access_log: config.log.access,
            challenge: challenge.unwrap_or(HeaderValue::from_static("Basic realm=\"occid\"")),
            limiter,
            working: Places::new(config.http.requests),
            bodies: Places::new(config.http.body_memory.0.max(2 * config.http.body_limit.0) / PIECE),
            lasting: Places::new(config.http.connections / 2),
            streams: Places::shared(config.http.connections / 2, STREAMS),
            lines: TaskTracker::new(),
            stop,
            answers: Arc::new(Answers::new(config.engine.cache_of_answers())),
            uploads: TakingOver::default(),
            orders: Cache::new(256),
            meters: Meters::new(),
            server: ArcSwap::from_pointee(server_tokens(None)),
            spelling: super::spelling::learn().await,
            scheme: if tls { "https" } else { "http" },
            authority,
            instance: u32::from_be_bytes(random),
            requests: AtomicU64::new(0),
        })
    }

    /// Returns when the consoles that were open have said that they end, or soon.
    pub async fn consoles_ended(&self) {
        self.lines.close();
        let _late = tokio::time::timeout(LAST_WORDS, self.lines.wait()).await;
    }

    /// The most entities on a page.
    pub(super) fn page_limit(&self) -> u32 {
        self.engine.config().page_max
    }

    /// Ends what may last and can be gone on with later: uploads. The rest of the requests ends by itself.
    pub fn wind_up(&self) {
        self.uploads.end();
    }

    /// The largest image, in bytes.
    pub(super) fn image_limit(&self) -> u64 {
        self.http.image_limit.0 as u64
    }

    /// How long a client may be silent in the middle of a body.
    pub(super) fn patience(&self) -> Duration {
        self.http.body_timeout.0
    }

    /// The layers. What comes first sees every answer; what fails early costs little.
    async fn admit(
        self: &Arc<Self>,
        head: Parts,
        body: Incoming,
        peer: Peer,
        wishes: &Wishes,
        trace: &mut Trace,
    ) -> Response<Body> {
        let manners = || {
            let id = trace.request_id.to_str().unwrap_or_default().to_owned();
            Manners::new(wishes, self.base(&head, peer), id)
        };
        // 1. Is the request of a size that we read? Its end is not, so the connection does not outlive it.
        if let Err(fault) = self.check_size(&head) {
            return fault
                .with(header::CONNECTION, HeaderValue::from_static("close"))
                .answer(&manners());
        }
        if let Err(fault) = check_host(&head) {
            return fault.answer(&manners());
        }
        // 2. What may be asked without a name.
        let path = paths::canonical(head.uri.path(), &self.http.base_path);
        if path.as_deref().is_ok_and(paths::is_health) {
            trace.route = RouteClass::Health;
            return health(&head.method, &manners());
        }
        // 3. Does the client speak a version that we do?
        if wishes.agent.too_new {
            let fault = Fault::new(
                StatusCode::NOT_IMPLEMENTED,
                "the versions of OCCI spoken here are 1.1 and 1.2",
            );
            return fault.answer(&manners());
        }
        // 4. Who is it?
        let visitor = match self.identify(&head.headers, peer).await {
            Ok(visitor) => visitor,
            Err(refusal) => return Fault::refused(&refusal, &self.challenge).answer(&manners()),
        };
        trace.principal = Some(visitor.principal.clone());
        // 5. Not too fast.
        if let Err(fault) = self.check_rate(&visitor.principal) {
            return fault.answer(&manners());
        }
        let path = match path {
            Ok(path) => path,
            Err(BadPath::Outside) => {
                let message = format!("nothing is here; the service is below {}", self.http.base_path);
                return Fault::new(StatusCode::NOT_FOUND, message).answer(&manners());
            }
            Err(BadPath::Malformed) => return Fault::bad_request("the path names nothing").answer(&manners()),
        };
        // 6. Is the answer ready?
        if let Some(response) = self.ready(&head, &path, wishes, &visitor).await {
            trace.route = RouteClass::Entity;
            self.meters.ready();
            return response;
        }
        // 7. Not too many at once.
        let place = match self.working.take(&visitor.principal.name) {
            Ok(place) => place,
            Err(full) => return no_place(full, "requests that are being answered").answer(&manners()),
        };
        // 8. The whole request, and what it is for.
        let manners = manners();
        let path = path.into_owned();
        // In a box: a request whose answer is ready shall not carry the room for this.
        match Box::pin(self.route(head, body, path, &manners, visitor, trace)).await {
            Ok(response) => match trace.route {
                // What lasts has a place of its own.
                RouteClass::Image | RouteClass::Console | RouteClass::Events => response,
                _ => response.map(|body| answer::keep_place(body, place)),
            },
            Err(fault) => fault.answer(&manners),
        }
    }

    fn check_size(&self, head: &Parts) -> Result<(), Fault> {
        let too_large = |what: String| Fault::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, what);
        let url = head.uri.path().len() + head.uri.query().map_or(0, str::len);
        if url > self.http.header_field_limit.0 {
            let message = format!("the URL is longer than {} bytes", self.http.header_field_limit.0);
            return Err(Fault::new(StatusCode::URI_TOO_LONG, message));
        }
        let mut total = url;
        for (name, value) in &head.headers {
            let size = name.as_str().len() + value.len() + 4;
            if size > self.http.header_field_limit.0 {
                let message = format!(
                    "the header {name} is longer than {} bytes",
                    self.http.header_field_limit.0
                );
                return Err(too_large(message));
            }
            total += size;
        }
        if total > self.http.header_limit.0 {
            return Err(too_large(format!(
                "the headers are longer than {} bytes",
                self.http.header_limit.0
            )));
        }
        if head.headers.len() > self.http.header_count {
            return Err(too_large(format!(
                "there are more than {} headers",
                self.http.header_count
            )));
        }
        Ok(())
    }

    /// Where the client reaches the service: as configured, else as it says, else where we listen.
    fn base(&self, head: &Parts, peer: Peer) -> Base {
        if let Some(url) = &self.http.public_url {
            return Base::new(url, &self.http.base_path);
        }
        let said = head.uri.authority().map(|authority| authority.as_str());
        let said = said.or_else(|| head.headers.get(header::HOST)?.to_str().ok());
        let is_authority = |text: &&str| text.parse::<http::uri::Authority>().is_ok();
        let authority = said.filter(is_authority).unwrap_or(&self.authority);
        let scheme = match peer {
            Peer::Ip(_) => self.scheme,
            // There is no TLS on a unix socket.
            Peer::Local | Peer::Owner(_) => "http",
        };
        Base::new(&format!("{scheme}://{authority}"), &self.http.base_path)
    }

    async fn identify(&self, headers: &HeaderMap, peer: Peer) -> Result<Visitor, Refusal> {
        let Some(header) = headers.get(header::AUTHORIZATION) else {
            return match peer {
                Peer::Owner(user) if !owners::is_passed_on(headers) => self.authenticator.owner(user).await,
                Peer::Owner(_) | Peer::Local | Peer::Ip(_) => Err(Refusal::Unauthenticated),
            };
        };
        if let Some(visitor) = self.authenticator.known(header) {
            return Ok(visitor);
        }
        // Whoever is new to the limiter comes this way.
        if let Some(limiter) = self.limiter.as_ref().filter(|limiter| limiter.len() > PRUNE_ABOVE) {
            limiter.retain_recent();
        }
        let from = match peer {
            Peer::Ip(ip) => Some(origin(ip, headers, &self.http.trusted_proxies)),
            Peer::Local | Peer::Owner(_) => None,
        };
        self.authenticator.authenticate(header, from).await
    }

    fn check_rate(&self, principal: &Principal) -> Result<(), Fault> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.check_key(&principal.name).map_err(|not_until| {
            let now = governor::clock::Clock::now(&governor::clock::DefaultClock::default());
            let fault = Fault::new(StatusCode::TOO_MANY_REQUESTS, "too many requests: slow down");
            fault.retry_after(not_until.wait_time_from(now))
        })
    }

    /// A GET of an entity that was answered before and has not changed: nothing here waits for the store.
    async fn ready(&self, head: &Parts, path: &str, wishes: &Wishes, visitor: &Visitor) -> Option<Response<Body>> {
        let plain = matches!(head.method, Method::GET | Method::HEAD)
            && head.uri.query().is_none()
            && ![header::CACHE_CONTROL, X_OCCI_PROJECT]
                .iter()
                .any(|name| head.headers.contains_key(name));
        if !plain || path.ends_with('/') {
            return None;
        }
        let caller = self.caller(visitor, None, String::new());
        let stamp = self.engine.peek(&caller, path)?;
        let media = wishes.accept.choose(&answer::TEXT_AND_JSON)?;
        let model = self.engine.model(&caller).await.ok()?;
        let reading = Reading::new(visitor.sight, media, wishes.agent, model.epoch);
        let ready = self.answers.get(reading, stamp)?;
        Some(ready.answer(&head.headers, stamp.generation, media))
    }

    fn caller(&self, visitor: &Visitor, project: Option<String>, request: String) -> Caller {
        Caller {
            principal: visitor.principal.clone(),
            project,
            request,
            wait: occi_engine::Wait::default(),
            freshness: Freshness::default(),
            since: None,
            idempotency: None,
        }
    }

    async fn route(
        self: &Arc<Self>,
        mut head: Parts,
        body: Incoming,
        path: String,
        manners: &Manners,
        visitor: Visitor,
        trace: &mut Trace,
    ) -> Result<Response<Body>, Fault> {
        let query = Query::read(&head.uri);
        let project = query.get("project").map(str::to_owned).or_else(|| {
            let value = head.headers.get(X_OCCI_PROJECT)?;
            Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        });
        let mut caller = self.caller(
            &visitor,
            project.filter(|name| !name.is_empty()),
            manners.request_id.clone(),
        );
        let upgrade = head.extensions.remove::<OnUpgrade>();
        let is_write = !matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let answered = async {
            if is_write {
                foreign::refuse(&head.headers, &manners.base)?;
                ask::means_one_project(&query, &head.headers)?;
            }
            self.engine.enter(&caller).await?;
            caller.wait = ask::wait(&head.headers);
            caller.freshness = ask::freshness(&head.headers);
            let route = Route::of(&path);
            let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
            let visit = Visit {
                service: self,
                method: &head.method,
                target,
                headers: &head.headers,
                query: &query,
                manners,
                caller: &caller,
                visitor: &visitor,
            };
            let route = match route {
                Route::Images(about) => {
                    trace.route = RouteClass::Image;
                    return visit.images(about, body).await;
                }
                Route::Console(about, entity) => {
                    trace.route = RouteClass::Console;
                    return visit.console(about, entity, upgrade).await;
                }
                Route::Events => {
                    trace.route = RouteClass::Events;
                    return visit.events().await;
                }
                about_entities => about_entities,
            };
            let (body, _room) = self.read(body, &caller.principal.name).await?;
            if is_write {
                caller.idempotency = ask::idempotency(&head.method, target, &head.headers, &body)?;
            }
            let model = self.engine.model(&caller).await?;
            let ask = Ask {
                method: head.method.clone(),
                path: path.clone(),
                query,
                headers: head.headers,
                body,
                manners: manners.clone(),
                caller: caller.clone(),
                sight: visitor.sight,
                order: self.order_of(&model),
                model,
                limits: HeaderLimits {
                    per_field: self.http.answer_field_limit.0,
                    total: self.http.answer_header_limit.0,
                },
            };
            self.dispatch(route, ask, trace).await
        };
        let answered = answered.await;
        if let (Err(fault), true) = (&answered, is_write) {
            let verb = head.method.as_str().to_ascii_lowercase();
            self.engine
                .audit_refused(&caller, &verb, &path, fault.status.as_u16(), &fault.message)
                .await;
        }
        answered
    }

    async fn dispatch(
        self: &Arc<Self>,
        route: Route,
        mut ask: Ask,
        trace: &mut Trace,
    ) -> Result<Response<Body>, Fault> {
        match route {
            Route::Discovery => {
                trace.route = RouteClass::Discovery;
                discovery::answer(self, &mut ask).await
            }
            Route::Operations => {
                trace.route = RouteClass::Operation;
                operation::list(self, &ask).await
            }
            Route::Operation(id) => {
                trace.route = RouteClass::Operation;
                operation::answer(self, &ask, id).await
            }
            Route::Nothing | Route::Events | Route::Images(_) if ask.method == Method::PUT => {
                Err(Fault::bad_request(format!("{} is reserved for the service", ask.path)))
            }
            Route::Nothing | Route::Events | Route::Images(_) | Route::Console(..) => Err(Fault::new(
                StatusCode::NOT_FOUND,
                format!("there is nothing at {}", ask.path),
            )),
            Route::Entities => {
                let at = self.engine.resolve(&ask.model, &ask.path);
                trace.route = match &at {
                    Where::Query => RouteClass::Discovery,
                    Where::Kind(_) => RouteClass::Kind,
                    Where::Mixin(_) => RouteClass::Mixin,
                    Where::Unbound(_) => RouteClass::Unbound,
                    Where::Entity(_) => RouteClass::Entity,
                };
                match at {
                    Where::Query => discovery::answer(self, &mut ask).await,
                    Where::Entity(path) => entity::answer(self, &ask, &path).await,
                    Where::Unbound(below) => match self.entity_with_slash(&ask, &below).await {
                        Some(path) => {
                            trace.route = RouteClass::Entity;
                            entity::answer(self, &ask, &path).await
                        }
                        None => self.collection(&mut ask, &Where::Unbound(below)).await,
                    },
                    at => self.collection(&mut ask, &at).await,
                }
            }
        }
    }

    /// Any request on a collection. A change of one that is not as the client has seen it is refused here where that is
    /// plain, and else when it is recorded; what is asked a second time gets its first answer.
    async fn collection(&self, ask: &mut Ask, at: &Where) -> Result<Response<Body>, Fault> {
        ask.caller.since = ask.since(self.instance).filter(|_| ask.is_write());
        let is_old = ask
            .caller
            .since
            .is_some_and(|since| since != self.engine.newest_event());
        if is_old && ask.caller.idempotency.is_none() {
            return Err(Fault::changed_meanwhile());
        }
        collection::answer(self, ask, at).await
    }

    /// One slash too many at the end of an entity's path is forgiven.
    async fn entity_with_slash(&self, ask: &Ask, below: &str) -> Option<String> {
        let path = below.strip_suffix('/').filter(|path| path.matches('/').count() > 1)?;
        self.engine
            .retrieve(&ask.caller, path)
            .await
            .ok()
            .map(|_| path.to_owned())
    }

    /// The order of a model's attributes, made once per model.
    fn order_of(&self, model: &Arc<ProjectModel>) -> Arc<AttributeOrder> {
        let address = Arc::as_ptr(model).addr();
        if let Some(known) = self.orders.get(&address)
            && Arc::ptr_eq(&known.model, model)
        {
            return known.order.clone();
        }
        let order = Arc::new(AttributeOrder::of(&model.registry));
        self.server.store(Arc::new(server_tokens(Some(&model.registry))));
        self.orders.insert(
            address,
            Arc::new(Known {
                model: model.clone(),
                order: order.clone(),
            }),
        );
        order
    }

    /// The whole body, within its limit, from a client that keeps sending, and the room that it takes until it is answered.
    async fn read(&self, mut body: Incoming, principal: &str) -> Result<(Bytes, Vec<Place>), Fault> {
        let mut room = Vec::new();
        if body.is_end_stream() {
            return Ok((Bytes::new(), room));
        }
        let limit = self.http.body_limit.0;
        let close = |fault: Fault| fault.with(header::CONNECTION, HeaderValue::from_static("close"));
        let too_large = || {
            let message = format!("the body is larger than {limit} bytes");
            close(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, message))
        };
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        let mut whole = BytesMut::new();
        let patience = self.http.body_timeout.0;
        // Who sends a byte now and then is not silent, but must come to an end too.
        let end = tokio::time::Instant::now() + 10 * patience;
        loop {
            let silence = tokio::time::Instant::now() + patience;
            let frame = tokio::time::timeout_at(silence.min(end), body.frame())
                .await
                .map_err(|_| close(Fault::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")))?;
            let Some(frame) = frame else {
                return Ok((whole.freeze(), room));
            };
            let frame = frame.map_err(|_| close(Fault::bad_request("the body is broken")))?;
            if let Ok(data) = frame.into_data() {
                let size = whole.len() + data.len();
                if size > limit {
                    return Err(too_large());
                }
                // By what has come, not by what was announced: who says much and sends little takes nobody's room.
                while room.len() < size.saturating_sub(1) / PIECE {
                    let piece = self.bodies.take(principal);
                    room.push(piece.map_err(|full| close(no_place(full, "large bodies that are on their way")))?);
                }
                whole.extend_from_slice(&data);
            }
        }
    }

    /// The id of a request: the client's if it is one, else ours.
    fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        let given = headers.get(X_REQUEST_ID).filter(|id| {
            let is_id = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
            !id.is_empty() && id.len() <= 128 && id.as_bytes().iter().all(is_id)
        });
        given.cloned().unwrap_or_else(|| {
            let number = self.requests.fetch_add(1, Ordering::Relaxed);
            let id = format!("{:08x}-{number:x}", self.instance);
            HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
        })
    }
}

impl Door for Service {
    async fn answer(self: Arc<Self>, request: http::Request<Incoming>, peer: Peer) -> Response<Body> {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        let method = head.method.clone();
        let wishes = Wishes::read(&head.headers);
        let uri = head.uri.clone();
        let mut trace = Trace {
            request_id: self.request_id(&head.headers),
            route: RouteClass::None,
            principal: None,
        };
        // A panic in one request ends no other, and tells its client nothing but that it happened.
        let admitted = AssertUnwindSafe(self.admit(head, body, peer, &wishes, &mut trace))
            .catch_unwind()
            .await;
        let mut response = admitted.unwrap_or_else(|_| {
            let id = trace.request_id.to_str().unwrap_or_default();
            tracing::error!(request.id = id, %method, "a request panicked");
            let manners = Manners::new(&wishes, Base::new("", ""), id.to_owned());
            let message = "this is a fault of the service; its log has the details under the request's id";
            Fault::new(StatusCode::INTERNAL_SERVER_ERROR, message).answer(&manners)
        });
        if method == Method::HEAD {
            super::collection::forget_stream(&mut response);
        }
        let headers = response.headers_mut();
        headers.insert(header::SERVER, HeaderValue::clone(&self.server.load()));
        headers.insert(OCCID, HeaderValue::from_static("1"));
        headers.insert(header::ACCEPT, HeaderValue::from_static(accepted(wishes.agent)));
        headers.insert(X_REQUEST_ID, trace.request_id.clone());
        headers.entry(header::VARY).or_insert(answer::VARY);
        if headers.keys().any(|name| name.as_str().starts_with("x-occi-")) {
            *response.extensions_mut() = self.spelling.clone();
        }
        let took = started.elapsed();
        self.meters.answered(trace.route, &method, response.status(), took);
        // By this line somebody who was told the id of a failed request finds what the log says above it.
        if self.access_log || is_failure(response.status()) {
            tracing::info!(
                target: "occid::access",
                principal = trace.principal.as_deref().map(|principal| principal.name.as_str()),
                %peer,
                %method,
                path = uri.path(),
                status = response.status().as_u16(),
                request.id = trace.request_id.to_str().unwrap_or_default(),
                duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                "answered"
            );
        }
        response
    }
}

/// Refuses a request that does not say once, and in letters that may stand in a URL of an answer, whom it asks (RFC 9112,
/// section 3.2; a comma, which a name may have by RFC 3986, would end a URL in the middle of a list).
fn check_host(head: &Parts) -> Result<(), Fault> {
    let is_name = |text: &[u8]| {
        let may_be = |b: &u8| b.is_ascii_alphanumeric() || b".-_~%:[]".contains(b);
        text.iter().all(may_be)
    };
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let is_right = match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_name(host.as_bytes()),
        (None, _) => head.version < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    let is_asked = head
        .uri
        .authority()
        .is_none_or(|asked| is_name(asked.as_str().as_bytes()));
    match is_right && is_asked {
        true => Ok(()),
        false => Err(Fault::bad_request("the header Host names no host, or more than one")),
    }
}

/// The service or an engine failed, rather than that it will not, cannot, or has no room now.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error() && !matches!(status, StatusCode::NOT_IMPLEMENTED | StatusCode::SERVICE_UNAVAILABLE)
}

/// There are too many of `what` already.
pub(super) fn no_place(full: Full, what: &str) -> Fault {
    let fault = match full {
        Full::All => Fault::new(StatusCode::SERVICE_UNAVAILABLE, format!("there are too many {what}")),
        Full::Share => Fault::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!("you have too many {what}: wait until some of them end"),
        ),
    };
    fault.retry_after(Duration::from_secs(1))
}

fn health(method: &Method, manners: &Manners) -> Response<Body> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Fault::not_allowed(method, "/healthz", "GET, HEAD").answer(manners);
    }
    let mut response = Response::new(answer::full("ok\n"));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// The `Server` header: the versions, and the resource template profile if the model has it.
fn server_tokens(registry: Option<&Registry>) -> HeaderValue {
    const PROFILE: &str = "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#";
    let has = |terms: &[&str]| {
        registry.is_some_and(|registry| {
            terms
                .iter()
                .all(|term| registry.mixin(&format!("{PROFILE}{term}")).is_some())
        })
    };
    let base = has(&["small", "medium", "large"]);
    let extended = base && has(&["mem_small", "mem_medium", "mem_large"]);
    HeaderValue::from_static(match (base, extended) {
        (_, true) => concat!(
            "occid/",
            env!("CARGO_PKG_VERSION"),
            " OCCI/1.2 OCCI/1.1 OCCI-CRTP-EP/1.1"
        ),
        (true, false) => concat!("occid/", env!("CARGO_PKG_VERSION"), " OCCI/1.2 OCCI/1.1 OCCI-CRTP/1.1"),
        (false, false) => concat!("occid/", env!("CARGO_PKG_VERSION"), " OCCI/1.2 OCCI/1.1"),
    })
}
