//! The client: sends requests, follows what servers do with them, and hands out what the answers mean.

use crate::answer::{Created, Done, RawAnswer, unreadable};
use crate::auth::Credentials;
use crate::dialect::{Dialect, Version};
use crate::endpoint::Endpoint;
use crate::entity::Entity;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Category, Model};
use crate::operation::Operation;
use crate::request::{Discovery, IDEMPOTENCY_KEY, Listing, Request, Requests, Write};
use crate::retry::Retries;
use crate::saved::Saved;
use crate::stream;
use crate::tls::Tls;
use crate::transport::{Http, Incoming, Limits, Transport};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use occi_model::{EntityDraft, Input, MixinDraft, TypeId};
use occi_rendering::request::{ActionDraft, Filter};
use occi_rendering::{MediaType, response};
use std::fmt::{self, Debug};
use std::sync::{Arc, PoisonError, RwLock};

/// The project that a request is about, for `occid`.
const X_OCCI_PROJECT: HeaderName = HeaderName::from_static("x-occi-project");
/// So many redirections are followed, within one server.
const MAX_REDIRECTIONS: usize = 5;
/// So many entities of a listing are fetched at the same time, where the server lists locations only.
const AT_ONCE: usize = 8;

/// Entities as they come.
pub type Entities = BoxStream<'static, Result<Entity>>;
/// Locations as they come: paths on the server.
pub type Locations = BoxStream<'static, Result<String>>;

/// Puts a client together.
#[derive(Debug)]
pub struct Builder {
    endpoint: Endpoint,
    credentials: Credentials,
    dialect: Dialect,
    limits: Limits,
    tls: Tls,
    retries: Retries,
    product: Option<String>,
    project: Option<String>,
    saved: Option<Saved>,
    transport: Option<Arc<dyn Transport>>,
}

impl Builder {
    /// Who asks. Default: nobody.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// The rendering to use, whatever the server prefers. Default: text/plain, and JSON where the server reads it.
    pub fn media(mut self, media: MediaType) -> Self {
        self.dialect.media = media;
        self.dialect.is_media_fixed = true;
        self
    }

    /// The version to begin with. Default: 1.2, and 1.1 where the server refuses that.
    pub fn version(mut self, version: Version) -> Self {
        self.dialect.version = version;
        self
    }

    /// How long to wait for what.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whom to trust.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// How often to try again what may be tried again.
    pub fn retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// The program that uses this library, for the server's log: `occi/0.1.0`.
    pub fn product(mut self, product: impl Into<String>) -> Self {
        self.product = Some(product.into());
        self
    }

    /// The project that everything is about. Default: the user's own.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// What is known of the server from the last time. It is taken as true; [`Client::revalidate`] asks. What was kept of
    /// another server is passed over.
    pub fn saved(mut self, saved: Saved) -> Self {
        self.saved = Some(saved);
        self
    }

    /// Another way to send requests: for tests, or around [`Http`] in order to look at what is sent. Limits and
    /// certificates are its own business then, but for the length of answers.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    /// Certificates that cannot be read; names that no header can carry.
    pub fn build(self) -> Result<Client> {
        let Self {
            endpoint,
            credentials,
            mut dialect,
            limits,
            tls,
            retries,
            product,
            project,
            saved,
            transport,
        } = self;
        let transport = match transport {
            Some(transport) => transport,
            None => Arc::new(Http::new(&endpoint, &limits, &tls)?),
        };
        let project = project.map(|name| {
            HeaderValue::try_from(name)
                .map_err(|_| Error::invalid("the project's name holds characters that no header can carry"))
        });
        let mut model = None;
        let saved = saved.filter(|saved| saved.is_of(&endpoint));
        if let Some(saved) = &saved
            && let Ok(known) = saved.model(&endpoint)
        {
            saved.teach(&mut dialect);
            model = Some(Arc::new(known));
        }
        Ok(Client(Arc::new(Shared {
            credentials: credentials.header()?,
            project: project.transpose()?,
            state: RwLock::new(State { dialect, model, saved }),
            discovering: tokio::sync::Mutex::new(()),
            endpoint,
            transport,
            limits,
            retries,
            product,
        })))
    }
}

/// A client of one server, cheap to clone.
///
/// Wherever a location is asked for, it is a path on the server or a URL of it; wherever a collection is, the name of a
/// kind or of a mixin will do too. Dropping a future ends its exchange; what the server does about a write that it has
/// seen goes on.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    endpoint: Endpoint,
    transport: Arc<dyn Transport>,
    credentials: Option<(HeaderName, HeaderValue)>,
    project: Option<HeaderValue>,
    limits: Limits,
    retries: Retries,
    product: Option<String>,
    state: RwLock<State>,
    /// One discovery at a time; others wait for it.
    discovering: tokio::sync::Mutex<()>,
}

/// What is known of the server.
struct State {
    dialect: Dialect,
    model: Option<Arc<Model>>,
    saved: Option<Saved>,
}

impl Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared {
            endpoint, transport, ..
        } = &*self.0;
        let dialect = self.dialect();
        f.debug_struct("Client")
            .field("endpoint", endpoint)
            .field("dialect", &dialect)
            .field("transport", transport)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server at an endpoint.
    pub fn builder(endpoint: Endpoint) -> Builder {
        Builder {
            endpoint,
            credentials: Credentials::None,
            dialect: Dialect::default(),
            limits: Limits::default(),
            tls: Tls::default(),
            retries: Retries::default(),
            product: None,
            project: None,
            saved: None,
            transport: None,
        }
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// How the server is spoken to, as far as it is known.
    pub fn dialect(&self) -> Dialect {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner).dialect
    }

    fn change_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the server offers: asked for once.
    pub async fn model(&self) -> Result<Arc<Model>> {
        let known = || {
            self.0
                .state
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .model
                .clone()
        };
        if let Some(model) = known() {
            return Ok(model);
        }
        let _turn = self.0.discovering.lock().await;
        match known() {
            Some(model) => Ok(model),
            None => self.discover().await,
        }
    }

    /// What the server offers, asked for anew.
    pub async fn discover(&self) -> Result<Arc<Model>> {
        let mut discovery = Discovery::Query;
        loop {
            let before = self.dialect();
            let empty = Model::default();
            let request = self.requests(&before, &empty).discover(discovery, None)?;
            let answer = self.exchange_whole(request).await?;
            if answer.status == StatusCode::NOT_FOUND && discovery == Discovery::Query {
                discovery = Discovery::WellKnown;
                continue;
            }
            let answer = answer.good(&self.0.endpoint)?;
            // JSON says more: types, defaults, descriptions.
            if self.dialect().media != before.media {
                continue;
            }
            return self.keep(&answer, discovery);
        }
    }

    /// Whether what is known of the server is still true; asks anew if not. Says whether something has changed.
    pub async fn revalidate(&self) -> Result<bool> {
        let saved = self.saved().filter(|saved| saved.etag.is_some());
        let Some(saved) = saved else {
            self.discover().await?;
            return Ok(true);
        };
        let dialect = self.dialect();
        let empty = Model::default();
        let request = self
            .requests(&dialect, &empty)
            .discover(saved.discovery, saved.etag.as_deref())?;
        let answer = self.exchange_whole(request).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(false);
        }
        if answer.status == StatusCode::NOT_FOUND || self.dialect() != dialect {
            self.discover().await?;
        } else {
            self.keep(&answer.good(&self.0.endpoint)?, saved.discovery)?;
        }
        Ok(true)
    }

    fn keep(&self, answer: &RawAnswer, discovery: Discovery) -> Result<Arc<Model>> {
        let saved = Saved::new(&self.0.endpoint, self.dialect(), discovery, answer);
        let model = Arc::new(saved.model(&self.0.endpoint)?);
        self.change_state(|state| {
            state.model = Some(model.clone());
            state.saved = Some(saved);
        });
        Ok(model)
    }

    /// What is known of the server, to be kept until the next time; `None` before the first answer.
    pub fn saved(&self) -> Option<Saved> {
        self.0
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .saved
            .clone()
    }

    /// The path of a collection: a path, a URL, or the name of a kind or mixin.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] and [`ErrorKind::Ambiguous`] for names; URLs of other servers.
    pub async fn collection(&self, at: &str) -> Result<String> {
        if at.starts_with('/') || (at.contains("://") && !at.contains('#')) {
            return self.0.endpoint.path_of(at);
        }
        let model = self.model().await?;
        let category = model.category(at)?;
        category
            .location()
            .map(str::to_owned)
            .ok_or_else(|| Error::invalid(format!("{} is an action, which has no collection", category.id())))
    }

    /// The locations of a collection's members, as they come.
    pub async fn list_stream(&self, at: &str, listing: &Listing) -> Result<Locations> {
        let at = self.collection(at).await?;
        let model = self.model().await?;
        let request = self.requests(&self.dialect(), &model).list(&at, listing)?;
        let incoming = self.good(self.exchange(request).await?).await?;
        let endpoint = self.0.endpoint.clone();
        let content_type = content_type(&incoming.head.headers);
        // Headers are there at once, and some servers put locations there whatever was asked for.
        let is_list = content_type == MediaType::UriList.as_str();
        let has_lines =
            content_type == MediaType::TextPlain.as_str() || content_type == MediaType::TextOcciPlain.as_str();
        if is_list || (has_lines && !has_locations(&incoming.head.headers)) {
            let lines = stream::lines(incoming.body).map(move |line| {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                let line = line.trim();
                let found: Vec<String> = if is_list {
                    (!line.is_empty() && !line.starts_with('#'))
                        .then(|| line.to_owned())
                        .into_iter()
                        .collect()
                } else {
                    // One line is a whole message.
                    let answer = RawAnswer {
                        status: StatusCode::OK,
                        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))]),
                        body: Bytes::copy_from_slice(line.as_bytes()),
                    };
                    let found = answer.read(&endpoint, response::locations);
                    found.map_err(|error| unreadable(&endpoint, &error.to_string()))?
                };
                let paths: Vec<_> = found.iter().map(|url| Ok(local(&endpoint, url))).collect();
                Ok::<_, Error>(futures::stream::iter(paths))
            });
            return Ok(lines.try_flatten().boxed());
        }
        let answer = self.rest(incoming).await?;
        let found = answer
            .read(&endpoint, response::locations)
            .map_err(|error| unreadable(&endpoint, &error.to_string()))?;
        let paths: Vec<_> = found.iter().map(|url| Ok(local(&endpoint, url))).collect();
        Ok(futures::stream::iter(paths).boxed())
    }

    /// The locations of a collection's members.
    pub async fn list(&self, at: &str, listing: &Listing) -> Result<Vec<String>> {
        self.list_stream(at, listing).await?.try_collect().await
    }

    /// The members of a collection in full, as they come. Where the server lists locations only, each is asked for, and
    /// what has gone meanwhile is left out.
    pub async fn entities(&self, at: &str, listing: &Listing) -> Result<Entities> {
        let at = self.collection(at).await?;
        let model = self.model().await?;
        if !self.dialect().media.is_json() {
            let locations = self.list_stream(&at, listing).await?;
            let client = self.clone();
            let entities = locations.map(move |location| {
                let client = client.clone();
                async move {
                    match client.show(&location?).await {
                        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                        found => found.map(Some),
                    }
                }
            });
            return Ok(entities
                .buffered(AT_ONCE)
                .try_filter_map(|found| async { Ok(found) })
                .boxed());
        }
        let request = self.requests(&self.dialect(), &model).list_full(&at, listing)?;
        let incoming = self.good(self.exchange(request).await?).await?;
        // Old JSON lists the links of resources beside them.
        let of_kind = match model.at(&at) {
            Some(Category::Kind(kind)) => Some(kind.id.clone()),
            _ => None,
        };
        let endpoint = self.0.endpoint.clone();
        let items = stream::items(incoming.body).map(move |item| {
            let answer = RawAnswer {
                status: StatusCode::OK,
                headers: HeaderMap::from_iter([(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/occi+json"),
                )]),
                body: item?,
            };
            let found = answer
                .read(&endpoint, response::entities)
                .map_err(|error| unreadable(&endpoint, &error.to_string()))?;
            let belongs = |entity: &Entity| match (&of_kind, &entity.kind) {
                (Some(of), Some(kind)) => model.descends_from(kind.as_str(), of.as_str()),
                _ => true,
            };
            let found = found
                .into_iter()
                .map(|remote| Entity::read(remote, None, &model))
                .filter(belongs);
            Ok::<_, Error>(futures::stream::iter(found.map(Ok).collect::<Vec<_>>()))
        });
        Ok(items.try_flatten().boxed())
    }

    /// One entity.
    pub async fn show(&self, location: &str) -> Result<Entity> {
        let location = self.0.endpoint.path_of(location)?;
        let model = self.model().await?;
        let request = self.requests(&self.dialect(), &model).show(&location)?;
        self.whole(request).await?.shown(&self.0.endpoint, &location, &model)
    }

    /// Makes an entity. Where the server recognises repetitions, the request is repeated if its answer is lost.
    pub async fn create(&self, draft: &EntityDraft, write: &Write) -> Result<Created> {
        let model = self.model().await?;
        let dialect = self.dialect();
        let mut write = write.clone();
        if dialect.is_occid && write.idempotency_key.is_none() {
            write.idempotency_key = Some(uuid::Uuid::new_v4().to_string());
        }
        let request = self.requests(&dialect, &model).create(draft, &write)?;
        self.whole(request).await?.created(&self.0.endpoint, &model)
    }

    /// Makes an entity at a path of one's choice, where there must be none.
    pub async fn create_at(&self, location: &str, draft: &EntityDraft, write: &Write) -> Result<Created> {
        let location = self.0.endpoint.path_of(location)?;
        let model = self.model().await?;
        let request = self
            .requests(&self.dialect(), &model)
            .create_at(&location, draft, write)?;
        let mut created = self.whole(request).await?.created(&self.0.endpoint, &model)?;
        created.location.get_or_insert(location);
        Ok(created)
    }

    /// Replaces an entity: what the draft leaves out goes, as far as it may.
    pub async fn replace(&self, location: &str, draft: &EntityDraft, write: &Write) -> Result<Done> {
        self.write(location, |requests, location| requests.replace(location, draft, write))
            .await
    }

    /// Changes what the draft says.
    pub async fn update(&self, location: &str, draft: &EntityDraft, write: &Write) -> Result<Done> {
        self.write(location, |requests, location| requests.update(location, draft, write))
            .await
    }

    /// Invokes an action on an entity; `action` is its name, found among those of the kind at the location.
    pub async fn act(&self, location: &str, action: &str, parameters: &[(&str, Input)], write: &Write) -> Result<Done> {
        let path = self.0.endpoint.path_of(location)?;
        let model = self.model().await?;
        let action = self.action(&path, action, &model)?;
        let draft = action_draft(action, parameters)?;
        self.write(&path, |requests, location| requests.act(location, &draft, write))
            .await
    }

    /// Invokes an action on all members of a collection, or on those of which a filter holds.
    pub async fn act_on_collection(
        &self,
        at: &str,
        filter: &Filter,
        action: &str,
        parameters: &[(&str, Input)],
        write: &Write,
    ) -> Result<Done> {
        let at = self.collection(at).await?;
        let model = self.model().await?;
        let draft = action_draft(self.action(&at, action, &model)?, parameters)?;
        self.write(&at, |requests, at| match filter.is_empty() {
            true => requests.act(at, &draft, write),
            false => requests.act_on_some(at, filter, &draft, write),
        })
        .await
    }

    /// An action by its name, among those of the kind at a path, or of the mixin; among all if neither is known.
    fn action(&self, path: &str, name: &str, model: &Model) -> Result<TypeId> {
        let action = match (model.at(path), model.kind_at(path)) {
            (Some(Category::Mixin(mixin)), _) => {
                let own = mixin.actions.iter().find(|id| id.term() == name || **id == *name);
                match own {
                    Some(own) => return Ok(own.clone()),
                    None => model.action(name, None),
                }
            }
            // Actions of the entity's mixins are not known here; they must be named so that one fits.
            (_, Some(kind)) => match model.action(name, Some((&kind.id, &[]))) {
                Err(error) if error.kind() == ErrorKind::NotFound => model.action(name, None).map_err(|_| error),
                found => found,
            },
            _ => model.action(name, None),
        };
        action.map(|action| action.id.clone())
    }

    /// Deletes an entity.
    pub async fn delete(&self, location: &str, write: &Write) -> Result<Done> {
        self.write(location, |requests, location| requests.delete(location, write))
            .await
    }

    /// Deletes members of a collection: all or none, and so only where the server can do that.
    pub async fn delete_several(&self, at: &str, locations: &[String], write: &Write) -> Result<Done> {
        let at = self.collection(at).await?;
        self.write(&at, |requests, at| requests.delete_several(at, locations, write))
            .await
    }

    /// Deletes everything in the collection of a kind, or that of which a filter holds.
    pub async fn delete_collection(&self, at: &str, filter: &Filter, write: &Write) -> Result<Done> {
        let at = self.collection(at).await?;
        self.write(&at, |requests, at| requests.delete_collection(at, filter, write))
            .await
    }

    /// Adds entities to a mixin's collection.
    pub async fn associate(&self, mixin: &str, locations: &[String]) -> Result<()> {
        let mixin = self.collection(mixin).await?;
        self.write(&mixin, |requests, mixin| requests.associate(mixin, locations))
            .await
            .map(drop)
    }

    /// Takes entities out of a mixin's collection; they live on.
    pub async fn dissociate(&self, mixin: &str, locations: &[String]) -> Result<()> {
        let mixin = self.collection(mixin).await?;
        self.write(&mixin, |requests, mixin| requests.dissociate(mixin, locations))
            .await
            .map(drop)
    }

    /// Makes a mixin's collection hold exactly these entities.
    pub async fn replace_members(&self, mixin: &str, locations: &[String]) -> Result<()> {
        let mixin = self.collection(mixin).await?;
        self.write(&mixin, |requests, mixin| requests.replace_members(mixin, locations))
            .await
            .map(drop)
    }

    /// Adds a mixin of the user's to the query interface.
    pub async fn add_mixin(&self, mixin: &MixinDraft) -> Result<()> {
        self.write("/", |requests, _| requests.add_mixin(mixin)).await?;
        self.discover().await.map(drop)
    }

    /// Removes a mixin of the user's, from all entities too.
    pub async fn remove_mixin(&self, mixin: &str) -> Result<()> {
        let model = self.model().await?;
        let id = model.mixin(mixin)?.id.clone();
        self.write("/", |requests, _| requests.remove_mixin(&id)).await?;
        self.discover().await.map(drop)
    }

    /// The newest operations of an `occid`, or those that go on.
    pub async fn operations(&self, open: bool) -> Result<Vec<Operation>> {
        let request = self.requests(&self.dialect(), &Model::default()).operations(open)?;
        Operation::read_list(&self.whole(request).await?, &self.0.endpoint)
    }

    /// One operation, by its path or URL.
    pub async fn operation(&self, operation: &str) -> Result<Operation> {
        let location = self.0.endpoint.path_of(operation)?;
        let request = self.requests(&self.dialect(), &Model::default()).operation(&location)?;
        Operation::read(&self.whole(request).await?, &location, &self.0.endpoint)
    }

    /// Stops an operation, where that is still possible.
    pub async fn cancel(&self, operation: &str) -> Result<Operation> {
        let location = self.0.endpoint.path_of(operation)?;
        let request = self.requests(&self.dialect(), &Model::default()).cancel(&location)?;
        Operation::read(&self.whole(request).await?, &location, &self.0.endpoint)
    }

    /// Sends anything, and returns the answer whatever its status.
    pub async fn raw(&self, method: Method, target: &str, headers: HeaderMap, body: Bytes) -> Result<RawAnswer> {
        let target = self.0.endpoint.path_of(target)?;
        let request = self
            .requests(&self.dialect(), &Model::default())
            .raw(method, &target, headers, body)?;
        self.exchange_whole(request).await
    }

    /// Sends a request that somebody has written with [`Requests`], and returns the answer whatever its status.
    pub async fn send(&self, request: Request) -> Result<RawAnswer> {
        let url = request.uri().to_string();
        self.0.endpoint.path_of(&url)?;
        self.exchange_whole(request).await
    }

    async fn write(
        &self,
        location: &str,
        request: impl FnOnce(&Requests<'_>, &str) -> Result<Request>,
    ) -> Result<Done> {
        let location = self.0.endpoint.path_of(location)?;
        let model = self.model().await?;
        let request = request(&self.requests(&self.dialect(), &model), &location)?;
        Ok(self.whole(request).await?.done(&self.0.endpoint, &location, &model))
    }

    fn requests<'a>(&'a self, dialect: &'a Dialect, model: &'a Model) -> Requests<'a> {
        Requests {
            endpoint: &self.0.endpoint,
            dialect,
            model,
        }
    }

    /// A successful answer as a whole.
    async fn whole(&self, request: Request) -> Result<RawAnswer> {
        self.exchange_whole(request).await?.good(&self.0.endpoint)
    }

    /// Any answer as a whole. An answer that breaks off is asked for again where that is safe.
    async fn exchange_whole(&self, request: Request) -> Result<RawAnswer> {
        let mut tries = self.0.retries.tries(&request);
        loop {
            let incoming = self.exchange_within(request.clone(), &mut tries).await?;
            match self.rest(incoming).await {
                Err(error) => tries.after(error).await?,
                Ok(answer) => return Ok(answer),
            }
        }
    }

    async fn rest(&self, Incoming { head, body }: Incoming) -> Result<RawAnswer> {
        Ok(RawAnswer {
            status: head.status,
            headers: head.headers,
            body: stream::whole(body, self.0.limits.body).await?,
        })
    }

    /// An answer whose status is a success; else its error.
    async fn good(&self, incoming: Incoming) -> Result<Incoming> {
        if incoming.head.status.is_success() {
            return Ok(incoming);
        }
        let answer = self.rest(incoming).await?;
        Err(answer.error(&self.0.endpoint))
    }

    async fn exchange(&self, request: Request) -> Result<Incoming> {
        let mut tries = self.0.retries.tries(&request);
        self.exchange_within(request, &mut tries).await
    }

    /// Sends a request, again and again if need be, until there is an answer for the caller.
    async fn exchange_within(&self, mut request: Request, tries: &mut crate::retry::Tries) -> Result<Incoming> {
        let mut redirections = 0;
        loop {
            let dialect = self.dialect();
            let mut sent = request.clone();
            self.complete(&mut sent, dialect.version);
            let incoming = match self.0.transport.send(sent).await {
                Ok(incoming) => incoming,
                Err(error) => {
                    tries.after(error).await?;
                    continue;
                }
            };
            let status = incoming.head.status;
            self.change_state(|state| state.dialect.learn(&incoming.head.headers));
            if status == StatusCode::NOT_IMPLEMENTED && dialect.version == Version::V1_2 && !self.dialect().is_occid {
                self.change_state(|state| state.dialect.version = Version::V1_1);
                continue;
            }
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                redirections += 1;
                request = self.redirected(request, &incoming.head, redirections)?;
                continue;
            }
            if tries.may_repeat(status) {
                let answer = self.rest(incoming).await?;
                let wait = answer.retry_after();
                if tries.again_after(wait).await {
                    continue;
                }
                return Ok(Incoming {
                    head: head_of(&answer),
                    body: futures::stream::iter([Ok(answer.body)]).boxed(),
                });
            }
            return Ok(incoming);
        }
    }

    /// What every request carries.
    fn complete(&self, request: &mut Request, version: Version) {
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, version.user_agent(self.0.product.as_deref()));
        if let Some(project) = &self.0.project {
            headers.entry(X_OCCI_PROJECT).or_insert_with(|| project.clone());
        }
        if let Some((name, value)) = &self.0.credentials {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        if let Some(key) = headers.get_mut(IDEMPOTENCY_KEY) {
            key.set_sensitive(false);
        }
    }

    /// The request for where a server points to, if that is itself.
    fn redirected(&self, request: Request, head: &http::response::Parts, redirections: usize) -> Result<Request> {
        let endpoint = &self.0.endpoint;
        let to = head.headers.get(header::LOCATION);
        let to = to
            .map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned())
            .unwrap_or_default();
        let refuse = |why: &str| {
            let to = crate::answer::printable(&crate::endpoint::shown(&to));
            let message = format!("{endpoint} redirects to {to:?}, {why}");
            Err(Error::protocol(message)
                .with_status(head.status.as_u16())
                .with_hint("if that is where the service is now, use that address"))
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return refuse("and a change is not sent on");
        }
        if redirections > MAX_REDIRECTIONS {
            return refuse("again and again");
        }
        let here = url::Url::parse(&request.uri().to_string());
        let Ok(target) = here.and_then(|here| here.join(&to)) else {
            return refuse("which is no address");
        };
        // Not merely the same host: from https to http the credentials would be seen.
        if target.origin().ascii_serialization() != endpoint.base().origin() {
            return refuse("which is not the server that was asked, so that nothing was sent there");
        }
        let mut request = request;
        let Ok(uri) = target.as_str().parse() else {
            return refuse("which is no address");
        };
        *request.uri_mut() = uri;
        Ok(request)
    }
}

fn head_of(answer: &RawAnswer) -> http::response::Parts {
    let mut response = http::Response::new(());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers.clone();
    response.into_parts().0
}

fn action_draft(id: TypeId, parameters: &[(&str, Input)]) -> Result<ActionDraft> {
    let attributes = parameters
        .iter()
        .map(|(name, value)| Ok((name.parse()?, value.clone())));
    Ok(ActionDraft {
        id,
        attributes: attributes.collect::<Result<_>>()?,
    })
}

/// The path of a location, or a foreign URL as it is.
fn local(endpoint: &Endpoint, url: &str) -> String {
    endpoint.base().localise(url).into_owned()
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn has_locations(headers: &HeaderMap) -> bool {
    headers.contains_key("x-occi-location")
}
