//! Operations: writes that outlast their requests, as resources that can be looked at and cancelled.

use super::answer;
use super::ask::Ask;
use super::fault::Fault;
use super::paths;
use super::serve::Body;
use super::service::Service;
use http::{HeaderValue, Method, Response, StatusCode, header};
use occi_engine::OperationView;
use occi_rendering::{MediaType, Rendered, render};
use occi_store::{OperationQuery, OperationRow, OperationState};
use serde_json::{Map, Value, json};
use uuid::Uuid;

const ALLOW_ONE: &str = "GET, HEAD, DELETE, OPTIONS";
const ALLOW_ALL: &str = "GET, HEAD, OPTIONS";

/// So many operations are on a page where the client does not say.
const PAGE: u32 = 500;

/// Any request on one operation.
pub(super) async fn answer(service: &Service, ask: &Ask, id: Uuid) -> Result<Response<Body>, Fault> {
    ask.heeds(&[])?;
    match ask.method {
        Method::GET | Method::HEAD => get(service, ask, id).await,
        Method::DELETE => {
            let media = ask.manners.choose(&answer::TEXT_AND_JSON)?;
            let known = service.engine.operation(&ask.caller, id).await?;
            ask.require(version(&known).as_deref())?;
            let operation = service.engine.cancel(&ask.caller, id).await?;
            Ok(answer::rendered(StatusCode::OK, document(&operation, ask, media)))
        }
        Method::OPTIONS => Ok(answer::options(ALLOW_ONE)),
        _ => Err(Fault::not_allowed(&ask.method, "an operation", ALLOW_ONE)),
    }
}

/// Any request on all operations, the newest first; `?open=true` those that have not ended. A page begins where the one
/// before it ended, `?before=ID`: what begins meanwhile moves nothing.
pub(super) async fn list(service: &Service, ask: &Ask) -> Result<Response<Body>, Fault> {
    match ask.method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(answer::options(ALLOW_ALL)),
        _ => return Err(Fault::not_allowed(&ask.method, "the list of operations", ALLOW_ALL)),
    }
    let media = ask.manners.choose(&answer::LISTS)?;
    if ask.query.get("page").is_some() {
        return Err(Fault::bad_request(
            "operations have no numbered pages: before=ID begins after the last one of a page",
        ));
    }
    let limit = service.page_limit();
    let number = ask.page(limit)?.map_or_else(|| PAGE.min(limit), |page| page.number);
    let before = ask.query.get("before").map(str::parse).transpose();
    let query = OperationQuery {
        projects: ask.caller.project.iter().cloned().collect(),
        open: ask.query.is_true("open"),
        before: before.map_err(|_| Fault::bad_request("before must be the id of an operation"))?,
        limit: number.saturating_add(1),
        ..OperationQuery::default()
    };
    let mut operations = service.engine.operations(&ask.caller, query).await?;
    let more = operations.len() > number as usize;
    operations.truncate(number as usize);
    let rendered = if media.is_json() {
        let all: Vec<_> = operations
            .iter()
            .map(|operation| describe(&operation.row, ask))
            .collect();
        as_json(media, &json!({ "operations": all }))
    } else {
        let paths: Vec<_> = operations
            .iter()
            .map(|operation| paths::operation(operation.row.id))
            .collect();
        render::locations(paths.iter().map(String::as_str), &ask.view(), media)?
    };
    let mut response = answer::rendered(StatusCode::OK, rendered);
    if let Some(last) = operations.last().filter(|_| more) {
        let next = [("before", last.row.id.to_string()), ("number", number.to_string())];
        answer::set_next(&mut response, ask, &next, media);
    }
    Ok(response)
}

async fn get(service: &Service, ask: &Ask, id: Uuid) -> Result<Response<Body>, Fault> {
    let operation = service.engine.operation(&ask.caller, id).await?;
    let media = ask.manners.choose(&answer::TEXT_AND_JSON)?;
    let row = &operation.row;
    // GFD.185, section 3.5.5: the finished task points to its result, and a deletion has none. Version 1.2 has no such thing.
    let is_1_1 = ask.manners.agent.occi_1_1 && !ask.manners.agent.occi_1_2;
    let has_result = row.state == OperationState::Succeeded && row.verb != "delete";
    if let (true, true, Some(path)) = (is_1_1, has_result, &row.path) {
        let mut response = answer::rendered(StatusCode::MOVED_PERMANENTLY, document(&operation, ask, media));
        answer::set(&mut response, header::LOCATION, &ask.manners.base.absolute(path));
        return Ok(response);
    }
    let etag = version(&operation).map(|version| format!("\"{version}.{media}\""));
    let mut response = if etag.as_deref().is_some_and(|etag| ask.has(etag)) {
        answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        answer::rendered(StatusCode::OK, document(&operation, ask, media))
    };
    if let Some(etag) = etag {
        answer::set(&mut response, header::ETAG, &etag);
    }
    if !operation.is_finished() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(1));
    }
    Ok(response)
}

/// The version of an operation, for its tag. What is shown of a collection's changes with its parts, which have steps of
/// their own: that has none.
fn version(operation: &OperationView) -> Option<String> {
    let row = &operation.row;
    let step = row.step.as_deref().unwrap_or_default();
    let step: String = step.chars().filter(char::is_ascii_alphanumeric).collect();
    let (state, deadline) = (word(row.state), row.deadline_ms.unwrap_or_default());
    let version = format!("{state}-{}-{}-{deadline}-{step}", row.attempt, row.progress);
    operation.parts.is_empty().then_some(version)
}

/// 202: the operation goes on, and this is where.
pub(super) fn accepted(ask: &Ask, id: Uuid, media: MediaType) -> Response<Body> {
    let mut rendered = render::done(media);
    if media.is_json() {
        rendered = as_json(
            media,
            &json!({ "id": id.to_string(), "state": word(OperationState::Accepted) }),
        );
    }
    let mut response = answer::rendered(StatusCode::ACCEPTED, rendered);
    answer::set(&mut response, header::LOCATION, &ask.manners.operation_url(id));
    let applied = HeaderValue::from_static("respond-async");
    response.headers_mut().insert("preference-applied", applied);
    response
}

pub(super) fn word(state: OperationState) -> &'static str {
    match state {
        OperationState::Accepted => "accepted",
        OperationState::Running => "running",
        OperationState::Succeeded => "succeeded",
        OperationState::Failed => "failed",
        OperationState::NeedsAttention => "needs-attention",
    }
}

/// What a client may know of an operation.
fn describe(row: &OperationRow, ask: &Ask) -> Map<String, Value> {
    let time = |ms: i64| {
        jiff::Timestamp::from_millisecond(ms)
            .map(|time| time.to_string())
            .unwrap_or_default()
    };
    let mut document = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            document.insert(name.to_owned(), value);
        }
    };
    set("id", json!(row.id.to_string()));
    set(
        "entity",
        json!(
            row.path
                .as_deref()
                .map(|path| format!("{}{path}", ask.manners.base.path()))
        ),
    );
    set("verb", json!(row.verb));
    set("state", json!(word(row.state)));
    set("step", json!(row.step));
    set("progress", json!(row.progress));
    set("attempt", json!(row.attempt));
    set("created", json!(time(row.created_ms)));
    set("finished", json!(row.finished_ms.map(time)));
    set("deadline", json!(row.deadline_ms.map(time)));
    set("error", json!(row.error.as_ref().map(shown_error)));
    set("result", row.result.clone().unwrap_or_default());
    document
}

/// What a client may know of a failure: the engine keeps notes of its own beside it.
fn shown_error(error: &Value) -> Map<String, Value> {
    ["kind", "message", "code"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), error.get(name)?.clone())))
        .collect()
}

/// The document of one operation: an object in JSON, attributes in the text renderings.
fn document(operation: &OperationView, ask: &Ask, media: MediaType) -> Rendered {
    let mut document = describe(&operation.row, ask);
    if media.is_json() {
        if !operation.parts.is_empty() {
            let parts = operation.parts.iter().map(|part| describe(part, ask).into()).collect();
            document.insert("parts".to_owned(), Value::Array(parts));
        }
        return as_json(media, &Value::Object(document));
    }
    let attributes: Vec<_> = document
        .iter()
        .map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                // What went wrong, or what was made.
                Value::Object(object) => {
                    let made = object.get("mixins").and_then(Value::as_array).into_iter().flatten();
                    let words = object.get("message").into_iter().chain(made);
                    words.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
                }
                other => other.to_string(),
            };
            let quoted = text
                .replace(char::is_control, " ")
                .replace('\\', "\\\\")
                .replace('"', "\\\"");
            format!("occid.operation.{name}=\"{quoted}\"")
        })
        .collect();
    if media == MediaType::TextOcci {
        return Rendered {
            headers: vec![("X-OCCI-Attribute", attributes.join(","))],
            ..render::done(media)
        };
    }
    let lines: String = attributes
        .iter()
        .map(|attribute| format!("X-OCCI-Attribute: {attribute}\n"))
        .collect();
    Rendered {
        content_type: media.content_type(),
        headers: Vec::new(),
        body: lines.into_bytes(),
    }
}

fn as_json(media: MediaType, value: &Value) -> Rendered {
    Rendered {
        content_type: media.content_type(),
        headers: Vec::new(),
        body: value.to_string().into_bytes(),
    }
}
