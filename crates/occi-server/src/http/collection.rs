//! Collections: of a kind, of a mixin, or of all entities below a path (GFD.223, section 5.5).

use super::answer;
use super::ask::{Ask, FILTER_KEYS, X_OCCI_PROJECT};
use super::entity::{call, changed, created, deleted};
use super::fault::Fault;
use super::ready::{Answers, Reading, Ready};
use super::serve::Body;
use super::service::Service;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use http::{Method, Response, StatusCode, header};
use http_body_util::Either;
use occi_engine::{ListingHead, Page, Result as EngineResult, Selection, Shown, Where};
use occi_model::{Input, Registry, Shape, TypeId, Value};
use occi_rendering::render::{self, AttributeOrder, CollectionWriter, Contents, HeaderLimits, LocationWriter};
use occi_rendering::request::{self, Filter, Operator};
use occi_rendering::{Base, MediaType, View};
use std::sync::Arc;

const ALLOW_KIND: &str = "GET, HEAD, POST, DELETE, OPTIONS";
const ALLOW_MIXIN: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

/// A streamed answer is sent in pieces of about this size.
const PIECE: usize = 64 << 10;

/// Any request on a collection.
pub(super) async fn answer(service: &Service, ask: &Ask, at: &Where) -> Result<Response<Body>, Fault> {
    let mixin = match at {
        Where::Mixin(mixin) => Some(mixin),
        _ => None,
    };
    let is_filtered = ask.is_action() || (ask.method == Method::DELETE && mixin.is_none());
    ask.heeds(if is_filtered { FILTER_KEYS } else { &[] })?;
    match (&ask.method, mixin) {
        (&Method::GET | &Method::HEAD, _) => list(service, ask, at).await,
        (&Method::POST, _) if ask.is_action() => act(service, ask, at).await,
        (&Method::POST, Some(mixin)) if !describes_entity(ask)? => {
            let paths = ask.read("a list of locations", request::locations)?;
            service.engine.associate(&ask.caller, mixin, paths).await?;
            members(service, ask, at).await
        }
        (&Method::POST, _) => {
            let media = ask.manners.choose(&answer::LISTS)?;
            let drafts = ask.read("a description of the entity", request::entities)?;
            created(ask, service.engine.create(&ask.caller, at, drafts).await?, media)
        }
        (&Method::PUT, Some(mixin)) => {
            let paths = ask.read_if_any(request::locations)?;
            service.engine.replace_members(&ask.caller, mixin, paths).await?;
            members(service, ask, at).await
        }
        (&Method::DELETE, mixin) => delete(service, ask, at, mixin).await,
        (&Method::OPTIONS, Some(_)) => Ok(answer::options(ALLOW_MIXIN)),
        (&Method::OPTIONS, None) => Ok(answer::options(ALLOW_KIND)),
        (method, Some(_)) => Err(Fault::not_allowed(method, "the collection of a mixin", ALLOW_MIXIN)),
        (method, None) => Err(Fault::not_allowed(method, "a collection", ALLOW_KIND)),
    }
}

/// Whether a POST on a mixin's collection makes something there, rather than naming what there is.
fn describes_entity(ask: &Ask) -> Result<bool, Fault> {
    ask.read_if_any(request::has_kind)
}

async fn act(service: &Service, ask: &Ask, at: &Where) -> Result<Response<Body>, Fault> {
    let media = ask.manners.choose(&answer::TEXT_AND_JSON)?;
    let selection = selection(&ask.model.registry, ask.filter(false)?);
    let done = service
        .engine
        .act_on_collection(&ask.caller, at, &selection, call(ask)?)
        .await?;
    changed(ask, done, media)
}

async fn delete(service: &Service, ask: &Ask, at: &Where, mixin: Option<&TypeId>) -> Result<Response<Body>, Fault> {
    let media = ask.manners.choose(&answer::LISTS)?;
    let named = ask.read_if_any(|incoming| {
        let named = request::locations(incoming)?;
        // A list that is there but empty names nothing; that is not the same as no list.
        let is_list = incoming.media.is_json() || incoming.media == MediaType::UriList;
        Ok((!named.is_empty() || is_list).then_some(named))
    })?;
    let filter = ask.filter(named.is_none())?;
    if named.is_none() && filter.is_empty() {
        ask.means_everything()?;
    }
    let Some(mixin) = mixin else {
        let selection = selection(&ask.model.registry, filter);
        let gone = service
            .engine
            .delete_collection(&ask.caller, at, &selection, named)
            .await?;
        return Ok(deleted(ask, gone, media));
    };
    if !filter.attributes.is_empty() || filter.categories.iter().any(|category| category != mixin) {
        return Err(Fault::bad_request(
            "members of a mixin are dissociated by their locations, or all of them, and nothing was done",
        ));
    }
    service.engine.dissociate(&ask.caller, mixin, named).await?;
    Ok(answer::rendered(StatusCode::OK, render::done(media)))
}

/// The answer to a change of a mixin's collection: its members, whatever the request filtered by.
async fn members(service: &Service, ask: &Ask, at: &Where) -> Result<Response<Body>, Fault> {
    listing(service, ask, at, Selection::default(), None, false).await
}

async fn list(service: &Service, ask: &Ask, at: &Where) -> Result<Response<Body>, Fault> {
    let by_query = ask.filter(false)?;
    let filter = ask.filter(true)?;
    // A filter or a project in headers or body is no part of the URL, so that answer has no tag.
    let tagged = filter == by_query && !ask.headers.contains_key(X_OCCI_PROJECT);
    let page = ask.page(service.page_limit())?;
    listing(service, ask, at, selection(&ask.model.registry, filter), page, tagged).await
}

async fn listing(
    service: &Service,
    ask: &Ask,
    at: &Where,
    selection: Selection,
    page: Option<Page>,
    tagged: bool,
) -> Result<Response<Body>, Fault> {
    let media = ask.manners.choose(&answer::LISTS)?;
    let reader = Reader::new(ask);
    let tag =
        |head: &ListingHead| tagged.then(|| answer::listing_tag(head.generation, service.instance, ask.sight, media));
    let (head, body) = if media.is_json() {
        let reading = ask.reading(media);
        let answers = service.answers.clone();
        let known = move |stamp| answers.get(reading, stamp).map(|ready| ready.body);
        let listing = service.engine.list(&ask.caller, at, &selection, page, known).await?;
        let head = listing.head;
        if let Some(response) = not_modified(ask, tag(&head).as_deref()) {
            return Ok(response);
        }
        let keeper = Keeper {
            answers: service.answers.clone(),
            reading,
            left: service.answers.share(),
        };
        let body = entities(reader, keeper, contents(&ask.model.registry, at), listing.entities).await?;
        (head, body)
    } else {
        let listing = service.engine.list_paths(&ask.caller, at, &selection, page).await?;
        let head = listing.head;
        if let Some(response) = not_modified(ask, tag(&head).as_deref()) {
            return Ok(response);
        }
        if media == MediaType::TextOcci {
            let paths: Vec<String> = listing.paths.try_concat().await?;
            let rendered = render::locations(paths.iter().map(String::as_str), &ask.view(), media)?;
            let mut response = answer::rendered(StatusCode::OK, rendered);
            finish(ask, &mut response, &head, page, media, tag(&head).as_deref());
            return Ok(response);
        }
        (head, locations(reader, media, listing.paths).await?)
    };
    let mut response = Response::new(body);
    let content_type = http::HeaderValue::from_static(media.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    finish(ask, &mut response, &head, page, media, tag(&head).as_deref());
    Ok(response)
}

fn not_modified(ask: &Ask, tag: Option<&str>) -> Option<Response<Body>> {
    let tag = tag.filter(|tag| ask.has(tag))?;
    let mut response = answer::empty(StatusCode::NOT_MODIFIED);
    answer::set(&mut response, header::ETAG, tag);
    Some(response)
}

fn finish(
    ask: &Ask,
    response: &mut Response<Body>,
    head: &ListingHead,
    page: Option<Page>,
    media: MediaType,
    tag: Option<&str>,
) {
    if let Some(tag) = tag {
        answer::set(response, header::ETAG, tag);
    }
    if let Some((age, backends)) = &head.stale {
        answer::set_stale(response, Some((*age, &backends.join(", "))));
    }
    if let Some(Page { page, number }) = page.filter(|_| head.more) {
        let next = [("page", (page + 1).to_string()), ("number", number.to_string())];
        answer::set_next(response, ask, &next, media);
    }
}

/// What rendering needs, owned: a stream outlives its request.
struct Reader {
    registry: Arc<Registry>,
    order: Arc<AttributeOrder>,
    base: Base,
    agent: occi_rendering::Agent,
    limits: HeaderLimits,
}

impl Reader {
    fn new(ask: &Ask) -> Self {
        Self {
            registry: ask.model.registry.clone(),
            order: ask.order.clone(),
            base: ask.manners.base.clone(),
            agent: ask.manners.agent,
            limits: ask.limits,
        }
    }

    fn view(&self) -> View<'_> {
        View {
            registry: &self.registry,
            base: &self.base,
            agent: self.agent,
            order: &self.order,
            limits: self.limits,
        }
    }
}

/// Keeps what a listing renders, from its beginning until its share of the memory is full.
struct Keeper {
    answers: Arc<Answers>,
    reading: Reading,
    left: usize,
}

impl Keeper {
    /// This entity as JSON, and whether it is a link.
    fn ready(&mut self, shown: Shown<Bytes>, view: &View<'_>) -> (Bytes, bool) {
        let (json, is_link) = match shown {
            Shown::Known { known, is_link } => (known, is_link),
            Shown::Found(found) => {
                let ready = Ready::json(render::entity_as_json(&found.entity, view));
                let json = ready.body.clone();
                if self.left > 0 {
                    self.answers.keep(self.reading, found.stamp(), &ready);
                }
                (json, matches!(found.entity.shape, Shape::Link { .. }))
            }
        };
        self.left = self.left.saturating_sub(json.len());
        (json, is_link)
    }
}

/// Entities in full, as JSON, in pieces.
async fn entities(
    reader: Reader,
    keeper: Keeper,
    contents: Contents,
    entities: BoxStream<'static, EngineResult<Shown<Bytes>>>,
) -> Result<Body, Fault> {
    let empty = || Vec::with_capacity(PIECE + PIECE / 8);
    let mut piece = empty();
    let writer = CollectionWriter::new(contents, &mut piece);
    let state = (entities, Some(writer), piece, reader, keeper);
    let pieces = stream::try_unfold(
        state,
        move |(mut entities, writer, mut piece, reader, mut keeper)| async move {
            let Some(mut writer) = writer else { return Ok(None) };
            while piece.len() < PIECE {
                let Some(shown) = entities.try_next().await? else {
                    writer.finish(&mut piece);
                    return Ok(Some((Bytes::from(piece), (entities, None, Vec::new(), reader, keeper))));
                };
                let (json, is_link) = keeper.ready(shown, &reader.view());
                writer.ready(&json, is_link, &mut piece);
            }
            let full = std::mem::replace(&mut piece, empty());
            Ok(Some((
                Bytes::from(full),
                (entities, Some(writer), piece, reader, keeper),
            )))
        },
    );
    begin(pieces.boxed()).await
}

/// Locations as lines, in pieces.
async fn locations(
    reader: Reader,
    media: MediaType,
    paths: BoxStream<'static, EngineResult<Vec<String>>>,
) -> Result<Body, Fault> {
    let mut writer = LocationWriter::new(media)?;
    let pieces = paths
        .try_filter(|batch| std::future::ready(!batch.is_empty()))
        .map_ok(move |batch| {
            let mut piece = Vec::with_capacity(batch.len() * 96);
            let view = reader.view();
            for path in &batch {
                writer.location(path, &view, &mut piece);
            }
            Bytes::from(piece)
        });
    begin(pieces.boxed()).await
}

/// The first piece is made before the status is sent: an error in it is an error of the request. A listing that fits into
/// one piece or two is sent with its length.
async fn begin(mut pieces: BoxStream<'static, EngineResult<Bytes>>) -> Result<Body, Fault> {
    let Some(first) = pieces.try_next().await? else {
        return Ok(answer::full(Bytes::new()));
    };
    let Some(second) = pieces.try_next().await? else {
        return Ok(answer::full(first));
    };
    let begun = stream::iter([Ok(first), Ok(second)]).chain(pieces);
    let logged = begun.inspect_err(|error| tracing::error!(%error, "a listing broke off"));
    Ok(Either::Right(axum::body::Body::from_stream(logged)))
}

/// An answer to HEAD needs no stream; one whose body is ready keeps it, for its length.
pub(super) fn forget_stream(response: &mut Response<Body>) {
    if matches!(response.body(), Either::Right(_)) {
        *response.body_mut() = answer::full(Bytes::new());
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
}

/// What JSON calls the members of a collection.
fn contents(registry: &Registry, at: &Where) -> Contents {
    let Where::Kind(kind) = at else { return Contents::Mixed };
    let mut id = Some(kind);
    while let Some(kind) = id {
        match kind.as_str() {
            "http://schemas.ogf.org/occi/core#resource" => return Contents::Resources,
            "http://schemas.ogf.org/occi/core#link" => return Contents::Links,
            _ => id = registry.kind(kind.as_str()).and_then(|kind| kind.parent.as_ref()),
        }
    }
    Contents::Mixed
}

/// A filter in the engine's terms: values typed by the definitions of their attributes. A value that no such attribute
/// can have stays text, and matches nothing.
fn selection(registry: &Registry, filter: Filter) -> Selection {
    let mut selection = Selection {
        categories: filter.categories,
        ..Selection::default()
    };
    for attribute in filter.attributes {
        let name = attribute.name.to_string();
        match attribute.operator {
            Operator::Equal => selection
                .attributes
                .push((name, typed(registry, attribute.name.as_str(), attribute.value))),
            Operator::Contains => selection.contains.push((name, text(attribute.value))),
        }
    }
    selection
}

fn typed(registry: &Registry, name: &str, value: Input) -> Value {
    let kinds = registry.kinds().iter().flat_map(|kind| &kind.attributes);
    let mixins = registry.mixins().iter().flat_map(|mixin| &mixin.attributes);
    let read = kinds
        .chain(mixins)
        .filter(|definition| definition.name.as_str() == name)
        .find_map(|definition| definition.value_type.read(&value));
    read.unwrap_or_else(|| match value {
        Input::Typed(value) => value,
        other => Value::String(text(other)),
    })
}

fn text(value: Input) -> String {
    match value {
        Input::Token(text) | Input::Quoted(text) | Input::Typed(Value::String(text)) => text,
        Input::Typed(value) => value.to_json().to_string(),
        Input::Null => String::new(),
    }
}
