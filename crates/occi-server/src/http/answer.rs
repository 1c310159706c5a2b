//! Answers, from what was rendered to what is sent.

use super::ask::{Ask, Manners, Query};
use super::places::Place;
use super::serve::Body;
use crate::auth::Sight;
use bytes::Bytes;
use futures::StreamExt;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use occi_rendering::{MediaType, Rendered};
use std::time::Duration;

/// The operation that goes on after the answer, or that is in the way.
pub(super) const X_OCCI_OPERATION: HeaderName = HeaderName::from_static("x-occi-operation");
/// The backends whose picture is old because they cannot be reached.
pub(super) const X_OCCI_STALE: HeaderName = HeaderName::from_static("x-occi-stale");

/// What every negotiated answer varies with.
pub(super) const VARY: HeaderValue = HeaderValue::from_static("Accept, User-Agent, Authorization");

/// What is rendered of one entity, a list of them, or the model.
pub(super) const TEXT_AND_JSON: [MediaType; 5] = [
    MediaType::TextPlain,
    MediaType::TextOcciPlain,
    MediaType::TextOcci,
    MediaType::OcciJson,
    MediaType::Json,
];

/// The same and lists of URIs.
pub(super) const LISTS: [MediaType; 6] = [
    MediaType::TextPlain,
    MediaType::TextOcciPlain,
    MediaType::TextOcci,
    MediaType::UriList,
    MediaType::OcciJson,
    MediaType::Json,
];

/// Bytes that are ready.
pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Either::Left(Full::new(bytes.into()))
}

/// A stream keeps a place until it has ended or its client has gone.
pub(super) fn keep_place(body: Body, place: Place) -> Body {
    match body {
        Either::Left(_) => body,
        Either::Right(stream) => {
            let held = stream.into_data_stream().inspect(move |_| {
                let _until_it_goes = &place;
            });
            Either::Right(axum::body::Body::from_stream(held))
        }
    }
}

/// Nothing.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// What is possible here.
pub(super) fn options(allow: &'static str) -> Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// What was rendered.
pub(super) fn rendered(status: StatusCode, rendered: Rendered) -> Response<Body> {
    let Rendered {
        content_type,
        headers,
        body,
    } = rendered;
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let map = response.headers_mut();
    map.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in fields(headers) {
        map.append(name, value);
    }
    response
}

/// The headers of a rendering.
pub(super) fn fields(headers: Vec<(&'static str, String)>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    // Names are the standard's, and values hold no control characters.
    headers.into_iter().filter_map(|(name, value)| {
        Some((
            name.parse().ok()?,
            HeaderValue::from_maybe_shared(Bytes::from(value)).ok()?,
        ))
    })
}

/// Sets a header whose value is made of our own words or of a URL.
pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Says how old the picture is, and whose it is, if a backend cannot be reached.
pub(super) fn set_stale(response: &mut Response<Body>, stale: Option<(Duration, &str)>) {
    if let Some((age, backends)) = stale {
        response
            .headers_mut()
            .insert(header::AGE, HeaderValue::from(age.as_secs()));
        set(response, X_OCCI_STALE, backends);
    }
}

/// Says where the next page is: what was asked for, with these in its query.
pub(super) fn set_next(response: &mut Response<Body>, ask: &Ask, next: &[(&str, String)], media: MediaType) {
    // Clients of the text renderings read every Link header as OCCI's.
    if !media.is_json() {
        return;
    }
    link(response, "next", &ask.manners, &ask.path, &ask.query, next);
}

/// Points to what was asked for, with other keys (RFC 8288).
pub(super) fn link(
    response: &mut Response<Body>,
    relation: &str,
    manners: &Manners,
    path: &str,
    asked: &Query,
    keys: &[(&str, String)],
) {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let stays = |key: &str| keys.iter().all(|(name, _)| *name != key);
    query.extend_pairs(asked.pairs().filter(|(key, _)| stays(key)));
    query.extend_pairs(keys);
    let path = manners.base.absolute(path);
    set(
        response,
        header::LINK,
        &format!("<{path}?{}>; rel=\"{relation}\"", query.finish()),
    );
}

/// The tag of an entity: its generation and the rendering.
pub(super) fn entity_tag(generation: i64, media: MediaType) -> String {
    tag(generation, media)
}

/// The tag of a listing: the newest event, and who reads with which eyes in the life of which process. Listings change
/// with the projects of the reader too, which is no event.
pub(super) fn listing_tag(newest_event: i64, instance: u32, sight: Sight, media: MediaType) -> String {
    tag(format_args!("{newest_event}{}", listing_reader(instance, sight)), media)
}

/// What follows the event in the tag of a listing.
pub(super) fn listing_reader(instance: u32, sight: Sight) -> String {
    format!("-{instance:x}-{sight}")
}

fn tag(version: impl std::fmt::Display, media: MediaType) -> String {
    let rendering = match media {
        MediaType::TextPlain => "p",
        MediaType::TextOcciPlain => "op",
        MediaType::TextOcci => "o",
        MediaType::UriList => "u",
        MediaType::OcciJson => "oj",
        MediaType::Json => "j",
        MediaType::Html => "h",
    };
    format!("\"{version}.{rendering}\"")
}
