//! The client: what it knows of its server, and its verbs. How a request is sent and followed is in `exchange`, how
//! collections are read in `listing`.

mod builder;
mod console;
mod events;
mod exchange;
mod listing;

pub use builder::Builder;
pub use console::Console;
pub use events::News;
pub use listing::{Entities, Locations};

use crate::answer::{Created, Done, RawAnswer};
use crate::auth::{Auth, keystone};
use crate::dialect::{Dialect, is_occid};
use crate::endpoint::Endpoint;
use crate::entity::Entity;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::model::{Category, Model};
use crate::operation::Operation;
use crate::place::Place;
use crate::request::{Discovery, Request, Requests, Write};
use crate::retry::Retries;
use crate::saved::Saved;
use crate::stream::at_most;
use crate::transport::{Incoming, Transport};
use bytes::Bytes;
use exchange::{AsItIs, Deletion};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use occi_model::{EntityDraft, Input, MixinDraft, TypeId};
use occi_rendering::MediaType;
use occi_rendering::request::{ActionDraft, Filter};
use std::fmt::{self, Debug};
use std::sync::{Arc, PoisonError, RwLock};

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
    auth: Auth,
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
        Builder::new(endpoint)
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// How the server is spoken to, as far as it is known.
    pub fn dialect(&self) -> Dialect {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner).dialect
    }

    /// The project for which Keystone gave a token, if it did.
    pub fn keystone_project(&self) -> Option<keystone::Chosen> {
        self.0.auth.project()
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

    /// What the server offers, asked for anew: in another rendering where nothing comes of the first.
    pub async fn discover(&self) -> Result<Arc<Model>> {
        let mut discovery = Discovery::Query;
        let begun = self.dialect();
        let mut asked_in = Vec::new();
        let mut first_error = None;
        loop {
            let before = self.dialect();
            let empty = Model::default();
            let request = self.requests(&before, &empty).discover(discovery, None)?;
            let answer = self.exchange_whole(request).await?;
            if answer.status == StatusCode::NOT_FOUND && discovery == Discovery::Query {
                discovery = Discovery::WellKnown;
                continue;
            }
            if answer.status == StatusCode::NOT_FOUND {
                let message = format!("{} answers 404 for its model", self.0.endpoint);
                return Err(Error::new(ErrorKind::NotFound, message)
                    .with_status(404)
                    .with_hint("is this the address of an OCCI service?"));
            }
            asked_in.push(before.media);
            let is_refused = matches!(
                answer.status,
                StatusCode::NOT_ACCEPTABLE | StatusCode::UNSUPPORTED_MEDIA_TYPE
            );
            let found = self.judged(answer).and_then(|answer| {
                let media = self.dialect().media;
                // JSON says more: types, defaults, descriptions.
                match media != before.media && !asked_in.contains(&media) {
                    true => Ok(None),
                    false => self.keep(&answer, discovery).map(Some),
                }
            });
            let error = match found {
                Ok(Some(model)) => return Ok(model),
                Ok(None) => continue,
                Err(error) => error,
            };
            let is_media = is_refused || error.kind() == ErrorKind::Protocol;
            let error = first_error.take().unwrap_or(error);
            let others = [MediaType::TextPlain, MediaType::OcciJson, MediaType::TextOcci];
            let next = others.into_iter().find(|media| !asked_in.contains(media));
            let Some(next) = next.filter(|_| is_media && !begun.is_media_fixed) else {
                self.change_state(|state| {
                    state.dialect.media = begun.media;
                    state.dialect.is_json_only = begun.is_json_only;
                });
                return Err(error);
            };
            first_error = Some(error);
            self.change_state(|state| state.dialect.speak(next));
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
            self.keep(&self.judged(answer)?, saved.discovery)?;
        }
        Ok(true)
    }

    fn keep(&self, answer: &RawAnswer, discovery: Discovery) -> Result<Arc<Model>> {
        // Another server may be there now.
        let mut dialect = self.dialect();
        dialect.is_occid = is_occid(&answer.headers);
        dialect.learn_from_type(&answer.content_type());
        let saved = Saved::new(&self.0.endpoint, dialect, discovery, answer);
        let model = Arc::new(saved.model(&self.0.endpoint)?);
        self.change_state(|state| {
            state.dialect = dialect;
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

    /// One entity.
    pub async fn show(&self, location: &str) -> Result<Entity> {
        let location = self.0.endpoint.path_of(location)?;
        let model = self.model().await?;
        let request = self.requests(&self.dialect(), &model).show(&location)?;
        self.whole(request).await?.shown(&self.0.endpoint, &location, &model)
    }

    /// One entity, if it is no longer what it was; its [`etag`](Entity::etag) says what it was.
    pub async fn show_if_changed(&self, location: &str, etag: &str) -> Result<Option<Entity>> {
        let location = self.0.endpoint.path_of(location)?;
        let model = self.model().await?;
        let mut request = self.requests(&self.dialect(), &model).show(&location)?;
        let etag = HeaderValue::try_from(etag).map_err(|_| Error::invalid("this is no entity tag"))?;
        request.headers_mut().insert(header::IF_NONE_MATCH, etag);
        let answer = self.whole(request).await?;
        match answer.status {
            StatusCode::NOT_MODIFIED => Ok(None),
            _ => answer.shown(&self.0.endpoint, &location, &model).map(Some),
        }
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

    /// Invokes an action on an entity; `action` is its name. Those of its kind are known by the location; for others, and
    /// for entities outside of their kind's location, the entity is asked for first.
    pub async fn act(&self, location: &str, action: &str, parameters: &[(&str, Input)], write: &Write) -> Result<Done> {
        let model = self.model().await?;
        let path = Place::new(location, &self.0.endpoint, &model)?.entity()?;
        let action = self.action_of_entity(&path, action, &model).await?;
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
        let draft = action_draft(self.action_of_collection(&at, action, &model)?, parameters)?;
        self.write(&at, |requests, at| {
            requests.act_on_collection(at, filter, &draft, write)
        })
        .await
    }

    /// An action by its name: among those of the kind that is at home there, else of what the entity says it is.
    async fn action_of_entity(&self, path: &str, name: &str, model: &Model) -> Result<TypeId> {
        if let Some(Category::Action(action)) = model.get(name) {
            return Ok(action.id.clone());
        }
        let by_place = model
            .kind_at(path)
            .map(|kind| model.action(name, Some((&kind.id, &[]))));
        let unknown = match by_place {
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => Some(error),
            Some(found) => return found.map(|action| action.id.clone()),
            None => None,
        };
        let entity = match (self.show(path).await, unknown) {
            (Ok(entity), _) => entity,
            (Err(_), Some(unknown)) => return Err(unknown),
            (Err(error), None) => return Err(error),
        };
        let of = entity.kind.as_ref().map(|kind| (kind, entity.mixins.as_slice()));
        model.action(name, of).map(|action| action.id.clone())
    }

    /// An action by its name: among those of the kind or of the mixin whose collection it is, else among all.
    fn action_of_collection(&self, at: &str, name: &str, model: &Model) -> Result<TypeId> {
        let action = match model.at(at) {
            Some(Category::Kind(kind)) => model.action(name, Some((&kind.id, &[]))),
            Some(Category::Mixin(mixin)) => match mixin.actions.iter().find(|id| id.term() == name || **id == *name) {
                Some(own) => return Ok(own.clone()),
                None => model.action(name, None),
            },
            _ => model.action(name, None),
        };
        action.map(|action| action.id.clone())
    }

    /// Deletes an entity.
    pub async fn delete(&self, location: &str, write: &Write) -> Result<Done> {
        self.write(location, |requests, location| {
            let mut request = requests.delete(location, write)?;
            request.extensions_mut().insert(Deletion);
            Ok(request)
        })
        .await
    }

    /// Deletes members of the collection of a kind or below a path: all or none, and so only where the server can do that.
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
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: that is no mixin. A collection of a kind would lose them for good.
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

    /// The operations of an `occid`, or those that go on, the newest first, page by page as they come.
    pub fn operations(&self, open: bool) -> BoxStream<'static, Result<Operation>> {
        let first = self.requests(&self.dialect(), &Model::default()).operations(open);
        let state = (self.clone(), Some(first), None::<String>);
        let pages = futures::stream::try_unfold(state, |(client, request, last)| async move {
            let Some(request) = request else { return Ok(None) };
            let answer = client.whole(request?).await?;
            let mut found = Operation::read_list(&answer, &client.0.endpoint)?;
            // Ids are in the order of time, and no page goes back: a server that repeats itself comes to an end.
            found.retain(|operation| last.as_ref().is_none_or(|last| operation.id < *last));
            let next = answer.next_page(&client.0.endpoint).filter(|_| !found.is_empty());
            let next = next.map(|page| client.requests(&client.dialect(), &Model::default()).operation(&page));
            let last = found.last().map(|operation| operation.id.clone());
            let found = futures::stream::iter(found.into_iter().map(Ok));
            Ok::<_, Error>(Some((found, (client, next, last))))
        });
        at_most(self.0.limits.listing, pages.try_flatten())
    }

    /// One operation, by its path or URL.
    pub async fn operation(&self, operation: &str) -> Result<Operation> {
        let location = self.0.endpoint.path_of(operation)?;
        let request = self.requests(&self.dialect(), &Model::default()).operation(&location)?;
        Operation::read(&self.whole(request).await?, &location, &self.0.endpoint)
    }

    /// What there is at the path of an operation, or of what another server calls so.
    pub(crate) async fn look_at_operation(&self, location: &str) -> Result<RawAnswer> {
        let mut request = self.requests(&self.dialect(), &Model::default()).operation(location)?;
        let accept = HeaderValue::from_static("application/occi+json, */*;q=0.5");
        request.headers_mut().insert(header::ACCEPT, accept);
        request.extensions_mut().insert(AsItIs);
        self.exchange_whole(request).await
    }

    /// Stops an operation, where that is still possible.
    pub async fn cancel(&self, operation: &str) -> Result<Operation> {
        let location = self.0.endpoint.path_of(operation)?;
        let request = self.requests(&self.dialect(), &Model::default()).cancel(&location)?;
        Operation::read(&self.whole(request).await?, &location, &self.0.endpoint)
    }

    /// Sends anything, and returns the answer whatever its status. No redirection is followed.
    pub async fn raw(&self, method: Method, target: &str, headers: HeaderMap, body: Bytes) -> Result<RawAnswer> {
        let target = self.0.endpoint.path_of(target)?;
        let mut request = self
            .requests(&self.dialect(), &Model::default())
            .raw(method, &target, headers, body)?;
        request.extensions_mut().insert(AsItIs);
        self.exchange_whole(request).await
    }

    /// Asks for something whose bytes are read as they come. A redirection is not followed.
    ///
    /// # Errors
    /// A status that is no success, but for 416: whoever asks for a part wants to know that there is none.
    pub async fn open(&self, target: &str, headers: HeaderMap) -> Result<Incoming> {
        let target = self.0.endpoint.path_of(target)?;
        let mut request =
            self.requests(&self.dialect(), &Model::default())
                .raw(Method::GET, &target, headers, Bytes::new())?;
        request.extensions_mut().insert(AsItIs);
        let incoming = self.exchange(request).await?;
        match incoming.head.status {
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(incoming),
            _ => self.good(incoming).await,
        }
    }

    /// Sends a request that somebody has written with [`Requests`], and returns the answer whatever its status.
    pub async fn send(&self, mut request: Request) -> Result<RawAnswer> {
        // Whatever scheme it names: from https to http the credentials would be seen.
        let path = self.0.endpoint.path_of(&request.uri().to_string())?;
        let url = self.0.endpoint.url(&path);
        *request.uri_mut() = url
            .parse()
            .map_err(|error| Error::invalid(format!("{url} is no URL: {error}")))?;
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
