//! One entity (GFD.223, section 5.4).

use super::answer;
use super::ask::Ask;
use super::fault::Fault;
use super::operation;
use super::ready::Ready;
use super::serve::Body;
use super::service::Service;
use http::{Method, Response, StatusCode, header};
use occi_engine::{Call, Created, Deleted, Done, EngineError, FailureKind, Found, Precondition, Wait};
use occi_model::{Entity, EntityDraft, TypeId};
use occi_rendering::{MediaType, render, request};
use uuid::Uuid;

const ALLOW: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

/// Any request on the path of an entity, whether or not there is one.
pub(super) async fn answer(service: &Service, ask: &Ask, path: &str) -> Result<Response<Body>, Fault> {
    // What an action of one entity does no key can widen, and the protocol ignores the others.
    if !ask.is_action() {
        ask.heeds(&[])?;
    }
    match ask.method {
        Method::GET | Method::HEAD => get(service, ask, path).await,
        Method::POST if ask.is_action() => act(service, ask, path).await,
        Method::POST => update(service, ask, path).await,
        Method::PUT => put(service, ask, path).await,
        Method::DELETE => delete(service, ask, path).await,
        Method::OPTIONS => Ok(answer::options(ALLOW)),
        _ => Err(Fault::not_allowed(&ask.method, "an entity", ALLOW)),
    }
}

async fn get(service: &Service, ask: &Ask, path: &str) -> Result<Response<Body>, Fault> {
    let found = service.engine.retrieve(&ask.caller, path).await?;
    let media = ask.manners.choose(&answer::TEXT_AND_JSON)?;
    let (reading, stamp) = (ask.reading(media), found.stamp());
    let ready = match service.answers.get(reading, stamp) {
        Some(ready) => ready,
        None => {
            let ready = Ready::new(render::entity(&found.entity, &ask.view(), media)?);
            service.answers.keep(reading, stamp, &ready);
            ready
        }
    };
    let mut response = ready.answer(&ask.headers, found.generation, media);
    set_stale(&mut response, &found);
    Ok(response)
}

async fn update(service: &Service, ask: &Ask, path: &str) -> Result<Response<Body>, Fault> {
    let media = ask.manners.choose(&answer::TEXT_AND_JSON)?;
    let draft = ask.read("a description of what changes", request::entity)?;
    let done = service
        .engine
        .update(&ask.caller, path, draft, &ask.precondition())
        .await?;
    changed(ask, done, media)
}

async fn put(service: &Service, ask: &Ask, path: &str) -> Result<Response<Body>, Fault> {
    let media = ask.manners.choose(&answer::TEXT_AND_JSON)?;
    let draft = ask.read("a description of the entity", request::entity)?;
    let is_there = || {
        let message = format!("there is an entity at {path} already");
        Fault::new(StatusCode::PRECONDITION_FAILED, message)
    };
    let mut precondition = ask.precondition();
    match ask.must_not_hold() {
        Precondition::None => {}
        // Of those who find nothing whoever comes first makes it: only the store can tell.
        Precondition::Exists if precondition == Precondition::None => {
            if service.engine.retrieve(&ask.caller, path).await.is_ok() {
                return Err(is_there());
            }
            return match create_at(service, ask, path, draft).await {
                Err(EngineError {
                    kind: FailureKind::Conflict,
                    operation: None,
                    ..
                }) if service.engine.retrieve(&ask.caller, path).await.is_ok() => Err(is_there()),
                made => created(ask, made?, media),
            };
        }
        Precondition::Exists => return Err(is_there()),
        Precondition::Generations(unwanted) => {
            if let Ok(found) = service.engine.retrieve(&ask.caller, path).await {
                if unwanted.contains(&found.generation) {
                    return Err(is_there());
                }
                if precondition == Precondition::None {
                    precondition = Precondition::Generations(vec![found.generation]);
                }
            }
        }
    }
    let replaced = service
        .engine
        .replace(&ask.caller, path, draft.clone(), &precondition)
        .await;
    match replaced {
        Err(EngineError {
            kind: FailureKind::NotFound,
            ..
        }) if precondition == Precondition::None => created(ask, create_at(service, ask, path, draft).await?, media),
        Err(EngineError {
            kind: FailureKind::NotFound,
            ..
        }) => Err(Fault::new(
            StatusCode::PRECONDITION_FAILED,
            format!("there is no entity at {path}"),
        )),
        replaced => changed(ask, replaced?, media),
    }
}

async fn create_at(service: &Service, ask: &Ask, path: &str, draft: EntityDraft) -> Result<Created, EngineError> {
    if ask.path.ends_with('/') {
        let message = "the path of an entity does not end with a slash";
        return Err(EngineError::new(FailureKind::Invalid, message));
    }
    service.engine.create_at(&ask.caller, path, draft).await
}

async fn act(service: &Service, ask: &Ask, path: &str) -> Result<Response<Body>, Fault> {
    let media = ask.manners.choose(&answer::TEXT_AND_JSON)?;
    let done = service
        .engine
        .act(&ask.caller, path, call(ask)?, &ask.precondition())
        .await?;
    changed(ask, done, media)
}

async fn delete(service: &Service, ask: &Ask, path: &str) -> Result<Response<Body>, Fault> {
    let media = ask.manners.choose(&answer::LISTS)?;
    let deleted = service.engine.delete(&ask.caller, path, &ask.precondition()).await?;
    Ok(self::deleted(ask, deleted, media))
}

/// The action of a request: the term of the query string, and the payload if there is one.
pub(super) fn call(ask: &Ask) -> Result<Call, Fault> {
    let term = ask.query.get("action").unwrap_or_default().to_owned();
    if ask.query.pairs().filter(|(key, _)| *key == "action").count() > 1 {
        return Err(Fault::bad_request(
            "a request invokes one action, and the query names several",
        ));
    }
    // What cannot be the term of any action is not worth a search.
    TypeId::new("http://schemas.ogf.org/occi/core#", &term)
        .map_err(|error| Fault::bad_request(format!("?action={term}: {error}")))?;
    let action = ask.read_if_any(request::action)?;
    Ok(match action {
        Some(action) => Call {
            term,
            action: Some(action.id),
            parameters: action.attributes,
        },
        None => Call {
            term,
            action: None,
            parameters: Vec::new(),
        },
    })
}

/// The answer to a create.
pub(super) fn created(ask: &Ask, created: Created, media: MediaType) -> Result<Response<Body>, Fault> {
    if let Some(response) = later(ask, created.operation, media) {
        return Ok(response);
    }
    let entities: Vec<Entity> = created.entities.iter().map(|entity| Entity::clone(entity)).collect();
    let mut response = answer::rendered(StatusCode::CREATED, render::created(&entities, &ask.view(), media)?);
    if let ([_], [generation]) = (&*created.entities, &*created.generations) {
        answer::set(&mut response, header::ETAG, &answer::entity_tag(*generation, media));
    }
    going_on(ask, &mut response, created.operation);
    Ok(response)
}

/// The answer to a change or an action: the entity as it is now, or the template that was made.
pub(super) fn changed(ask: &Ask, done: Done, media: MediaType) -> Result<Response<Body>, Fault> {
    if let Some(response) = later(ask, done.operation, media) {
        return Ok(response);
    }
    let view = ask.view();
    let rendered = match (&done.mixin, &done.found) {
        (Some(mixin), _) => render::mixin(mixin, &view, media)?,
        (None, Some(found)) => render::entity(&found.entity, &view, media)?,
        (None, None) => render::done(media),
    };
    let mut response = answer::rendered(StatusCode::OK, rendered);
    if let Some(found) = &done.found {
        // rOCCI-api 4 looks for the location of what it has updated.
        let url = ask.manners.base.absolute(&found.entity.location);
        answer::set(&mut response, header::LOCATION, &url);
        if done.mixin.is_none() {
            answer::set(
                &mut response,
                header::ETAG,
                &answer::entity_tag(found.generation, media),
            );
        }
        set_stale(&mut response, found);
    }
    going_on(ask, &mut response, done.operation);
    Ok(response)
}

/// The answer to a delete.
pub(super) fn deleted(ask: &Ask, deleted: Deleted, media: MediaType) -> Response<Body> {
    if let Some(response) = later(ask, deleted.operation, media) {
        return response;
    }
    let mut response = answer::rendered(StatusCode::OK, render::done(media));
    going_on(ask, &mut response, deleted.operation);
    response
}

/// 202, for clients that asked for it and where something goes on.
fn later(ask: &Ask, operation: Option<Uuid>, media: MediaType) -> Option<Response<Body>> {
    let operation = operation.filter(|_| ask.caller.wait == Wait::Async)?;
    Some(operation::accepted(ask, operation, media))
}

fn going_on(ask: &Ask, response: &mut Response<Body>, operation: Option<Uuid>) {
    if let Some(operation) = operation {
        answer::set(
            response,
            answer::X_OCCI_OPERATION,
            &ask.manners.operation_url(operation),
        );
    }
}

fn set_stale(response: &mut Response<Body>, found: &Found) {
    answer::set_stale(
        response,
        found.stale.as_ref().map(|(age, backend)| (*age, backend.as_str())),
    );
}
