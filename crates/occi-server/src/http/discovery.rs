//! The query interface (GFD.223, section 5.3): what there is, and the mixins of users.

use super::answer;
use super::ask::Ask;
use super::fault::Fault;
use super::serve::Body;
use super::service::Service;
use http::{Method, Response, StatusCode, header};
use occi_engine::Page;
use occi_model::{Registry, TypeId};
use occi_rendering::render::{self, Categories};
use occi_rendering::request;
use std::collections::HashSet;

const ALLOW: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// So often a change under `If-Match` is tried again because something else than the model has changed meanwhile.
const TRIES: u32 = 10;

/// Any request on `/-/`.
pub(super) async fn answer(service: &Service, ask: &mut Ask) -> Result<Response<Body>, Fault> {
    ask.heeds(&[])?;
    match ask.method {
        Method::GET | Method::HEAD => get(service, ask),
        Method::POST if ask.is_action() => Err(Fault::bad_request("the query interface has no actions")),
        Method::POST | Method::DELETE => change(service, ask).await,
        Method::OPTIONS => Ok(answer::options(ALLOW)),
        _ => Err(Fault::not_allowed(&ask.method, "the query interface", ALLOW)),
    }
}

fn get(service: &Service, ask: &Ask) -> Result<Response<Body>, Fault> {
    let filter = ask.filter(true)?;
    let page = ask.page(service.page_limit())?;
    let media = ask.manners.choose(&answer::TEXT_AND_JSON)?;
    let registry = &ask.model.registry;
    let wanted =
        (!filter.categories.is_empty()).then(|| wanted(registry, filter.categories, ask.query.is_true("related")));
    let mut number = 0;
    let mut select = |id: &TypeId| {
        if wanted.as_ref().is_some_and(|wanted| !wanted.contains(id)) {
            return false;
        }
        number += 1;
        is_on(page, number - 1)
    };
    let kinds = chosen(registry.kinds(), |kind| select(&kind.id));
    let mixins = chosen(registry.mixins(), |mixin| select(&mixin.id));
    let actions = chosen(registry.actions(), |action| select(&action.id));
    let categories = Categories {
        kinds: &kinds,
        mixins: &mixins,
        actions: &actions,
    };
    let etag = format!("\"{}.{media}\"", version(service, ask));
    // A filter in headers is no part of the URL.
    let tagged = wanted.is_none();
    if tagged && ask.has(&etag) {
        let mut response = answer::empty(StatusCode::NOT_MODIFIED);
        answer::set(&mut response, header::ETAG, &etag);
        return Ok(response);
    }
    let mut response = answer::rendered(StatusCode::OK, render::model(&categories, &ask.view(), media)?);
    if tagged {
        answer::set(&mut response, header::ETAG, &etag);
    }
    Ok(response)
}

/// The version of the model, for its tag. What it looks like depends on the agent.
fn version(service: &Service, ask: &Ask) -> String {
    let form = if ask.manners.agent.occi_1_2 { "n" } else { "" };
    format!("{:x}-{}{form}", service.instance, ask.model.epoch)
}

/// The categories asked for; with `related`, those that descend from or depend on them too.
fn wanted(registry: &Registry, categories: Vec<TypeId>, related: bool) -> HashSet<TypeId> {
    let mut wanted: HashSet<TypeId> = categories.into_iter().collect();
    if !related {
        return wanted;
    }
    loop {
        let before = wanted.len();
        for kind in registry.kinds() {
            if kind.parent.as_ref().is_some_and(|parent| wanted.contains(parent)) {
                wanted.insert(kind.id.clone());
            }
        }
        for mixin in registry.mixins() {
            if mixin.depends.iter().any(|depends| wanted.contains(depends)) {
                wanted.insert(mixin.id.clone());
            }
        }
        if wanted.len() == before {
            return wanted;
        }
    }
}

fn chosen<T: Clone>(all: &[T], is_chosen: impl FnMut(&&T) -> bool) -> Vec<T> {
    all.iter().filter(is_chosen).cloned().collect()
}

fn is_on(page: Option<Page>, index: u64) -> bool {
    page.is_none_or(|Page { page, number }| index / u64::from(number) == page - 1)
}

/// A change of the model. If that is not as the client has seen it, this is refused: before it is tried where that is plain,
/// and else when it is recorded.
async fn change(service: &Service, ask: &mut Ask) -> Result<Response<Body>, Fault> {
    let mut left = TRIES;
    loop {
        let is_seen = look(service, ask).await?;
        let done = match ask.method {
            Method::POST => add(service, ask).await,
            _ => remove(service, ask).await,
        };
        match done {
            Err(fault) if fault.status == StatusCode::PRECONDITION_FAILED && is_seen && left > 0 => left -= 1,
            done => return done,
        }
    }
}

/// Holds the model against `If-Match`, if that names a version: then nothing may happen from here on until the change is
/// recorded. What is asked a second time gets its first answer, whatever the model is by now. Whether the versions met.
async fn look(service: &Service, ask: &mut Ask) -> Result<bool, Fault> {
    if !ask.names_version() {
        return Ok(false);
    }
    let newest = service.engine.newest_event();
    ask.model = service.engine.model_now(&ask.caller).await?;
    let is_seen = match ask.require(Some(&version(service, ask))) {
        Err(fault) if ask.caller.idempotency.is_none() => return Err(fault),
        compared => compared.is_ok(),
    };
    // Something has always happened since then.
    ask.caller.since = Some(if is_seen { newest } else { -1 });
    Ok(is_seen)
}

async fn add(service: &Service, ask: &Ask) -> Result<Response<Body>, Fault> {
    let media = ask.manners.choose(&answer::TEXT_AND_JSON)?;
    let mixins = ask.read("a mixin", request::mixins)?;
    service.engine.add_mixins(&ask.caller, mixins).await?;
    Ok(answer::rendered(StatusCode::OK, render::done(media)))
}

async fn remove(service: &Service, ask: &Ask) -> Result<Response<Body>, Fault> {
    let media = ask.manners.choose(&answer::TEXT_AND_JSON)?;
    let ids = ask.read("the mixin to remove", request::category_refs)?;
    if ids.is_empty() {
        return Err(Fault::bad_request("the request names no mixin to remove"));
    }
    service.engine.remove_mixins(&ask.caller, ids).await?;
    Ok(answer::rendered(StatusCode::OK, render::done(media)))
}
