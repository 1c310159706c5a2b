//! Servers that lie, stall, break off or send us away: one sentence of the right kind, and nothing done twice that must not.

use crate::common::{COMPUTE, id, query_interface, typed};
use crate::stub::{Seen, Stub, Withheld, answer, builder, bytes, json, raw, text, with};
use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::Response;
use occi_client::{
    Answer, Credentials, EntityDraft, Error, ErrorKind, Filter, Limits, Listing, MediaType, OperationState, Patience,
    Retries, Until, Write, blocking,
};
use occi_rendering::Base;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

fn machine() -> EntityDraft {
    EntityDraft {
        kind: Some(id(COMPUTE)),
        attributes: vec![typed("occi.core.title", "web 1")],
        ..EntityDraft::default()
    }
}

/// The query interface of all documents.
fn model() -> Response<Body> {
    let base = Base::new("http://cloud.example.org", "");
    text(200, query_interface(MediaType::TextPlain, &base))
}

/// One server of bytes, asked for its model.
async fn asked(url: &str) -> Error {
    let client = builder(url).retries(Retries::NONE).build().unwrap();
    client.model().await.unwrap_err()
}

#[tokio::test]
async fn answers_that_break_off_or_are_none_are_said_to_be_so() {
    for (what, answer) in [
        (
            "shorter than it says",
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\nCategory: x",
        ),
        (
            "a chunk that ends early",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nCategory",
        ),
        ("nothing at all", ""),
        ("half a head", "HTTP/1.1 200 OK\r\ncontent-ty"),
        ("no HTTP", "SSH-2.0-OpenSSH_9.2p1 Debian\r\n"),
        (
            "truncated JSON",
            "HTTP/1.1 200 OK\r\ncontent-type: application/occi+json\r\ncontent-length: 10\r\n\r\n{\"kinds\":[",
        ),
        (
            "a page",
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>",
        ),
        (
            "no kinds",
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nOK",
        ),
        (
            "a category without scheme",
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 17\r\n\r\nCategory: compute",
        ),
    ] {
        let error = asked(&bytes(answer).await).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error:?}");
        assert!(error.message().contains("127.0.0.1"), "{what}: {error}");
    }
}

#[tokio::test]
async fn longer_than_it_says_is_cut_and_harms_nobody() {
    let body = "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"; location=\"/compute/\"";
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        body.len()
    );
    let url = raw(move |_, _, mut stream| {
        let answer = answer.clone();
        async move {
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    let client = builder(&url).build().unwrap();
    assert_eq!(client.model().await.unwrap().kinds().len(), 1);
    // What is left in the connection is no answer to the next request.
    assert!(client.discover().await.is_ok());
}

#[tokio::test]
async fn an_endless_body_is_not_read_for_ever() {
    let url = raw(|_, _, mut stream| async move {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
            .await;
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let mut limits = Limits::default();
    limits.body = 1 << 20;
    let error = builder(&url)
        .limits(limits)
        .retries(Retries::NONE)
        .build()
        .unwrap()
        .model()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.message().contains("longer than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn an_endless_line_of_a_listing_ends_it() {
    let stub = Stub::start(|seen| match seen.target.as_str() {
        "/-/" => model(),
        _ => answer(200, "text/uri-list", vec![b'x'; 5 << 20]),
    })
    .await;
    let error = stub.client().list("compute", &Listing::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn an_endless_listing_is_not_read_for_ever() {
    let number = Arc::new(AtomicUsize::new(1_000_000));
    let stub = Stub::start(move |seen| {
        let endless = |kind, head: &str, member: String| {
            let head = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(head.to_owned()))]);
            let members = futures::stream::repeat_with(move || Ok(Bytes::from(member.clone())));
            let mut response = answer(200, kind, "");
            *response.body_mut() = Body::from_stream(head.chain(members));
            response
        };
        let next = || number.fetch_sub(1, Ordering::SeqCst);
        match (seen.target.as_str(), seen.header("accept")) {
            ("/-/", _) => model(),
            ("/compute/", "application/occi+json") => {
                let member = format!("{{\"kind\":\"{COMPUTE}\",\"id\":\"1\"}},");
                endless("application/occi+json", "{\"resources\":[", member)
            }
            ("/compute/", _) => endless("text/uri-list", "", "http://h/compute/1\n".to_owned()),
            (target, _) if target.starts_with("/-/operation/") => {
                let operation = json!({ "id": format!("{:07}", next()), "verb": "stop", "state": "running" });
                let next = "</-/operation/?before=x>; rel=\"next\"";
                with(json(200, &json!({ "operations": [operation] })), "link", next)
            }
            _ => answer(200, "text/uri-list", format!("http://h/compute/{}\n", next())),
        }
    })
    .await;
    let mut limits = Limits::default();
    limits.listing = 100;
    let client = stub.builder().limits(limits);
    let client = client.media(MediaType::OcciJson).build().unwrap();
    let all = Listing::default();
    let errors = [
        client.list("compute", &all).await.unwrap_err(),
        client.list_if_changed("compute", &all, None).await.unwrap_err(),
        client
            .list_pages("compute", &Filter::default(), 1)
            .try_collect::<Vec<_>>()
            .await
            .unwrap_err(),
        client
            .entities("compute", &all)
            .await
            .unwrap()
            .try_collect::<Vec<_>>()
            .await
            .unwrap_err(),
        client.operations(false).try_collect::<Vec<_>>().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
        assert!(error.message().contains("more than 100 members"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let url = raw(|_, _, stream| async move {
        // It stays open for as long as the other side likes.
        let _ = stream.readable().await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut limits = Limits::default();
    limits.read = Duration::from_millis(50);
    let error = builder(&url)
        .limits(limits)
        .retries(Retries::NONE)
        .build()
        .unwrap()
        .model()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert!(!error.may_have_happened() && error.hint().is_none(), "{error:?}");
}

#[tokio::test]
async fn nobody_at_home_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let error = builder(&url).build().unwrap().model().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("cannot be reached"), "{error}");
    let error = builder("unix:/nowhere/occid.sock")
        .build()
        .unwrap()
        .model()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("unix:/nowhere/occid.sock"), "{error}");
}

#[tokio::test]
async fn nothing_is_carried_to_another_server() {
    let elsewhere = Stub::start(|_| model()).await;
    let to = elsewhere.url.clone();
    let stub = Stub::start(move |seen| match seen.target.as_str() {
        "/-/" => with(text(302, ""), "location", &format!("{to}-/")),
        "/moved/-/" => with(text(301, ""), "location", "/-x/"),
        "/-x/" => model(),
        "/loop/-/" => with(text(302, ""), "location", "/loop/-/"),
        _ => with(text(307, ""), "location", "/elsewhere/"),
    })
    .await;
    let secret = Credentials::Bearer("s3cret".into());
    let client = stub.builder().credentials(secret.clone()).build().unwrap();
    let error = client.model().await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Protocol, Some(302)));
    assert!(
        error.message().contains(&elsewhere.url) && error.hint().is_some(),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("s3cret"));
    assert!(elsewhere.seen().is_empty());
    // Within the server a read is followed, with its credentials.
    let moved = builder(&format!("{}moved/", stub.url))
        .credentials(secret)
        .build()
        .unwrap();
    moved.model().await.unwrap();
    assert_eq!(stub.seen().last().unwrap().header("authorization"), "Bearer s3cret");
    let error = moved.delete("/compute/1", &Write::default()).await.unwrap_err();
    assert!(error.message().contains("a change is not sent on"), "{error}");
    let error = builder(&format!("{}loop/", stub.url))
        .build()
        .unwrap()
        .model()
        .await
        .unwrap_err();
    assert!(error.message().contains("again and again"), "{error}");
    // Nor does a request that names another scheme, by which nothing is encrypted.
    let encrypted =
        builder(&elsewhere.url.replace("http:", "https:")).credentials(Credentials::Bearer("s3cret".into()));
    let request = http::Request::get(format!("{}compute/1", elsewhere.url));
    let request = request.body(Bytes::new()).unwrap();
    let error = encrypted.build().unwrap().send(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    assert!(elsewhere.seen().is_empty());
    // Nor does a location take us there.
    let error = moved.show(&format!("{}compute/1", elsewhere.url)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_calls_itself_by_another_name_is_asked_where_it_is() {
    let elsewhere = Stub::start(|_| text(200, "OK")).await;
    let other = elsewhere.url.clone();
    let stub = Stub::start(move |seen| match seen.line().as_str() {
        "GET /-/" => model(),
        "POST /compute/" => with(text(201, ""), "location", &format!("{other}compute/1")),
        "GET /compute/" => answer(
            200,
            "text/uri-list",
            format!("{other}compute/1\nhttp://other.test/x/2\n"),
        ),
        "GET /compute/1" => text(
            200,
            "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"",
        ),
        "POST /network/" => with(text(201, ""), "location", "http://evil.test/x/1"),
        _ => text(404, ""),
    })
    .await;
    let client = stub.client();
    let created = client.create(&machine(), &Write::default()).await.unwrap();
    assert_eq!(created.location.as_deref(), Some("/compute/1"));
    client.show("/compute/1").await.unwrap();
    let listed = client.list("compute", &Listing::default()).await.unwrap();
    assert_eq!(listed, ["/compute/1", "http://other.test/x/2"]);
    assert!(elsewhere.seen().is_empty());
    let network = EntityDraft {
        kind: Some(id(crate::common::NETWORK)),
        ..EntityDraft::default()
    };
    let error = client.create(&network, &Write::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(
        error.message().contains("evil.test") && error.hint().is_some(),
        "{error}"
    );
}

#[tokio::test]
async fn an_action_is_found_by_what_the_entity_is() {
    let stub = Stub::start(|seen| match seen.line().as_str() {
        "GET /-/" => model(),
        "GET /my/router" | "GET /compute/1" => text(
            200,
            "Category: network; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
             Category: os_vms; scheme=\"http://schemas.openstack.org/compute/instance#\"; class=\"mixin\"",
        ),
        _ => text(200, "OK"),
    })
    .await;
    let client = stub.client();
    client.model().await.unwrap();
    for (location, action, scheme, asks) in [
        ("/network/1", "up", "network/action#", false),
        // Not at home in its kind's location.
        ("/my/router", "up", "network/action#", true),
        // Of a mixin.
        (
            "/compute/1",
            "chg_pwd",
            "http://schemas.openstack.org/instance/action#",
            true,
        ),
        (
            "/compute/1",
            "http://schemas.ogf.org/occi/infrastructure/storage/action#backup",
            "storage/action#",
            false,
        ),
    ] {
        stub.seen();
        client.act(location, action, &[], &Write::default()).await.unwrap();
        let seen = stub.seen();
        assert_eq!(seen.len(), 1 + usize::from(asks), "{location} {action}");
        assert!(seen.last().unwrap().body.contains(scheme), "{seen:?}");
    }
}

#[tokio::test]
async fn a_server_with_json_alone_lists_by_what_it_shows() {
    let stub = Stub::start(|seen| match (seen.target.as_str(), seen.header("accept")) {
        ("/-/", _) => model(),
        (_, "application/occi+json") => answer(
            200,
            "application/occi+json",
            format!("{{\"resources\":[{{\"kind\":\"{COMPUTE}\",\"id\":\"1\"}}]}}"),
        ),
        _ => text(406, "JSON only"),
    })
    .await;
    let client = stub.builder().media(MediaType::OcciJson).build().unwrap();
    assert_eq!(
        client.list("compute", &Listing::default()).await.unwrap(),
        ["/compute/1"]
    );
}

/// An `occid` that answers the model, and then breaks off so many exchanges before it answers one.
async fn breaks_off(times: usize, then: &'static str) -> (String, Arc<AtomicUsize>) {
    breaks_off_as("occid: 1\r\n", times, then).await
}

/// The same of a server that says so of itself.
async fn breaks_off_as(name: &'static str, times: usize, then: &'static str) -> (String, Arc<AtomicUsize>) {
    let writes = Arc::new(AtomicUsize::new(0));
    let count = writes.clone();
    let base = Base::new("http://cloud.example.org", "");
    let model = String::from_utf8(query_interface(MediaType::TextPlain, &base)).unwrap();
    let url = raw(move |_, head, mut stream| {
        let (count, model) = (count.clone(), model.clone());
        async move {
            let answer = if head.starts_with("GET /-/") {
                format!("HTTP/1.1 200 OK\r\n{name}content-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{model}", model.len())
            } else if count.fetch_add(1, Ordering::SeqCst) < times {
                // Read, and no answer.
                return;
            } else {
                then.to_owned()
            };
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    (url, writes)
}

#[tokio::test]
async fn only_what_may_be_repeated_is_repeated() {
    const CREATED: &str =
        "HTTP/1.1 201 Created\r\nlocation: /compute/1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\nconnection: close\r\n\r\nOK";
    const GONE: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    // A create has a key at an occid.
    let (url, writes) = breaks_off(2, CREATED).await;
    let created = builder(&url)
        .build()
        .unwrap()
        .create(&machine(), &Write::default())
        .await
        .unwrap();
    assert_eq!(
        (created.location.as_deref(), writes.load(Ordering::SeqCst)),
        (Some("/compute/1"), 3)
    );
    // Others pass over the key, also over one of the caller's.
    let (url, writes) = breaks_off_as("", 1, CREATED).await;
    let mut keyed = Write::default();
    keyed.idempotency_key = Some("once".to_owned());
    let error = builder(&url).build().unwrap().create(&machine(), &keyed).await;
    assert_eq!(writes.load(Ordering::SeqCst), 1);
    assert!(error.unwrap_err().may_have_happened());
    // An action is never repeated.
    let (url, writes) = breaks_off(1, OK).await;
    let client = builder(&url).build().unwrap();
    let error = client
        .act("/compute/1", "restart", &[], &Write::default())
        .await
        .unwrap_err();
    assert_eq!((error.kind(), writes.load(Ordering::SeqCst)), (ErrorKind::Protocol, 1));
    assert!(error.may_have_happened(), "{error:?}");
    // Nor is a partial update, nor what is bound to a condition.
    let error = client
        .update("/compute/1", &EntityDraft::default(), &Write::default())
        .await;
    assert_eq!((error.is_ok(), writes.load(Ordering::SeqCst)), (true, 2));
    let (url, writes) = breaks_off(1, OK).await;
    let mut guarded = Write::default();
    guarded.if_match = Some("\"1.p\"".to_owned());
    let error = builder(&url)
        .build()
        .unwrap()
        .delete("/compute/1", &guarded)
        .await
        .unwrap_err();
    assert_eq!((error.kind(), writes.load(Ordering::SeqCst)), (ErrorKind::Protocol, 1));
    // A deletion whose answer was lost has happened if there is nothing any more.
    let (url, writes) = breaks_off(1, GONE).await;
    builder(&url)
        .build()
        .unwrap()
        .delete("/compute/1", &Write::default())
        .await
        .unwrap();
    assert_eq!(writes.load(Ordering::SeqCst), 2);
    // That says nothing of several, nor of what is taken out of a collection.
    let members = ["/compute/1".to_owned(), "/compute/2".to_owned()];
    let (url, _) = breaks_off(1, GONE).await;
    let client = builder(&url).build().unwrap();
    let error = client.delete_several("compute", &members, &Write::default()).await;
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.may_have_happened()), (ErrorKind::NotFound, true));
    let (url, _) = breaks_off(1, GONE).await;
    let client = builder(&url).build().unwrap();
    let error = client.dissociate("infrastructure/credentials#ssh_key", &members).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    let (url, _) = breaks_off(0, GONE).await;
    let error = builder(&url)
        .build()
        .unwrap()
        .delete("/compute/1", &Write::default())
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.may_have_happened()), (ErrorKind::NotFound, false));
    // What comes of asking again says nothing of the first time.
    const CONFLICT: &str = "HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (url, _) = breaks_off(1, CONFLICT).await;
    let client = builder(&url).build().unwrap();
    let error = client.replace("/compute/1", &machine(), &Write::default()).await;
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.may_have_happened()), (ErrorKind::Conflict, true));
    // There is an end to it.
    let (url, writes) = breaks_off(100, OK).await;
    let error = builder(&url).build().unwrap().show("/compute/1").await.unwrap_err();
    assert_eq!((error.kind(), writes.load(Ordering::SeqCst)), (ErrorKind::Protocol, 4));
}

#[tokio::test]
async fn the_server_says_when_to_come_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let stub = Stub::start(move |seen| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        match seen.line().as_str() {
            "GET /-/" => {
                count.store(0, Ordering::SeqCst);
                model()
            }
            "GET /compute/1" if first => with(text(503, "starting"), "retry-after", "0"),
            "POST /compute/1?action=stop" if first => with(text(429, "slower"), "retry-after", "0"),
            "POST /compute/1?action=start" => with(text(503, "maintenance"), "retry-after", "0"),
            // Somebody in between, behind whom it may have happened.
            "DELETE /compute/1" if first => text(502, "no answer"),
            "DELETE /compute/1" => text(404, ""),
            "GET /compute/3" => text(504, "no answer in time"),
            "GET /compute/2" => with(text(503, "come tomorrow"), "retry-after", "86400"),
            "GET /compute/1" => text(
                200,
                "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"",
            ),
            _ => text(200, "OK"),
        }
    })
    .await;
    let client = stub.client();
    client.show("/compute/1").await.unwrap();
    asked.store(0, Ordering::SeqCst);
    stub.seen();
    // Turned away at the door, whatever it was.
    client.act("/compute/1", "stop", &[], &Write::default()).await.unwrap();
    assert_eq!(stub.seen().len(), 2);
    // Not so surely here.
    let error = client
        .act("/compute/1", "start", &[], &Write::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error
            .message()
            .ends_with("answered 503 Service Unavailable: maintenance"),
        "{error}"
    );
    assert_eq!(stub.seen().len(), 1);
    asked.store(0, Ordering::SeqCst);
    client.delete("/compute/1", &Write::default()).await.unwrap();
    assert_eq!(stub.seen().len(), 2);
    // What took too long there is not asked again either.
    let error = client.show("/compute/3").await.unwrap_err();
    assert_eq!((error.kind(), stub.seen().len()), (ErrorKind::Timeout, 1));
    // Longer than anybody waits.
    let error = client.show("/compute/2").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(86400)));
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn what_somebody_in_between_has_lost_may_have_happened() {
    let asked = AtomicUsize::new(0);
    let stub = Stub::start(move |seen| {
        let occids = |response| with(response, "occid", "1");
        match seen.line().as_str() {
            "GET /-/" => occids(model()),
            "POST /compute/1?action=stop" => text(502, ""),
            "POST /compute/1?action=start" => occids(text(504, "")),
            // It is busy, and then looks.
            "DELETE /compute/typo" => match asked.fetch_add(1, Ordering::SeqCst) {
                0 => occids(with(text(503, ""), "retry-after", "0")),
                _ => occids(text(404, "")),
            },
            _ => text(504, ""),
        }
    })
    .await;
    let client = stub.client();
    let write = Write::default();
    for (error, may_have_happened) in [
        (client.create(&machine(), &write).await.unwrap_err(), true),
        (client.act("/compute/1", "stop", &[], &write).await.unwrap_err(), true),
        (client.act("/compute/1", "start", &[], &write).await.unwrap_err(), false),
        (client.show("/compute/1").await.unwrap_err(), false),
        (client.delete("/compute/typo", &write).await.unwrap_err(), false),
    ] {
        assert_eq!(error.may_have_happened(), may_have_happened, "{error:?}");
    }
    assert_eq!(stub.lines().iter().filter(|line| line.starts_with("DELETE")).count(), 2);
}

#[tokio::test]
async fn cli_2_every_status_has_its_kind_and_the_words_of_the_server() {
    for (status, kind) in [
        (400, ErrorKind::Invalid),
        (401, ErrorKind::Unauthenticated),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::NotFound),
        (405, ErrorKind::Invalid),
        (406, ErrorKind::Invalid),
        (409, ErrorKind::Conflict),
        (410, ErrorKind::NotFound),
        (412, ErrorKind::Conflict),
        (413, ErrorKind::Invalid),
        (415, ErrorKind::Invalid),
        (418, ErrorKind::Invalid),
        (422, ErrorKind::Invalid),
        (429, ErrorKind::Unavailable),
        (500, ErrorKind::Unavailable),
        (501, ErrorKind::Unsupported),
        (502, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
        (504, ErrorKind::Timeout),
        (507, ErrorKind::Unavailable),
        (599, ErrorKind::Unavailable),
        (300, ErrorKind::Protocol),
    ] {
        let stub = Stub::start(move |seen| match seen.target.as_str() {
            "/-/" => model(),
            _ => with(
                json(status, &json!({ "message": "because\u{1b}[31m" })),
                "x-request-id",
                "r-1",
            ),
        })
        .await;
        let client = stub.builder().retries(Retries::NONE).build().unwrap();
        let error = client.show("/compute/1").await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{error:?}");
        if status != 300 {
            // Nothing that a terminal would obey.
            let words = match status {
                429 | 500.. => format!("{} answered {status}", stub.url),
                _ => "because [31m".to_owned(),
            };
            assert!(error.message().starts_with(&words), "{error:?}");
            assert!(error.message().ends_with("because [31m"), "{error:?}");
            assert_eq!(error.request_id(), Some("r-1"));
        }
    }
}

#[tokio::test]
async fn a_listing_is_handed_out_while_it_comes() {
    let go_on = Arc::new(Notify::new());
    let rest = go_on.clone();
    let stub = Stub::start(move |seen| {
        if seen.target == "/-/" {
            return model();
        }
        let rest = rest.clone();
        let entity = |number: u32| format!("{{\"kind\":\"{COMPUTE}\",\"id\":\"{number}\",\"attributes\":{{}}}}");
        let begin = Bytes::from(format!("{{\"resources\":[{},", entity(1)));
        let end = Bytes::from(format!("{}]}}", entity(2)));
        let pieces = futures::stream::iter([Ok::<_, std::io::Error>(begin)]).chain(futures::stream::once(async move {
            // Not before the client has the first.
            rest.notified().await;
            Ok(end)
        }));
        let mut response = answer(200, "application/occi+json", "");
        *response.body_mut() = Body::from_stream(pieces);
        response
    })
    .await;
    let client = stub.builder().media(MediaType::OcciJson).build().unwrap();
    let mut entities = client.entities("compute", &Listing::default()).await.unwrap();
    assert_eq!(entities.try_next().await.unwrap().unwrap().location, "/compute/1");
    go_on.notify_one();
    assert_eq!(entities.try_next().await.unwrap().unwrap().location, "/compute/2");
    assert!(entities.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn pages_are_turned_until_there_are_no_more() {
    for knows_pages in [true, false] {
        let stub = Stub::start(move |seen| {
            let all: Vec<_> = (1..=5)
                .map(|number| format!("http://{}/compute/{number}\n", seen.header("host")))
                .collect();
            let page = |page: usize| all.chunks(2).nth(page - 1).unwrap_or_default().concat();
            match seen.target.split_once("page=") {
                None => model(),
                Some((_, rest)) if knows_pages => answer(200, "text/uri-list", page(rest[..1].parse().unwrap())),
                Some(_) => answer(200, "text/uri-list", all.concat()),
            }
        })
        .await;
        let client = stub.client();
        let found: Vec<String> = client
            .list_pages("compute", &Filter::default(), 2)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(found.len(), 5, "{knows_pages}");
    }
    // A server that gives as many as fit on a page, and always the same, does not keep us for ever.
    let stub = Stub::start(|seen| match seen.target.as_str() {
        "/-/" => model(),
        _ => answer(
            200,
            "text/uri-list",
            format!("http://{}/compute/1\n", seen.header("host")),
        ),
    })
    .await;
    let found: Vec<String> = stub
        .client()
        .list_pages("compute", &Filter::default(), 1)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(found, ["/compute/1"]);
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let stub = Stub::start(|seen| {
        let is_known = !seen.header("if-none-match").is_empty();
        let tagged = |response| with(response, "etag", "\"7.p\"");
        match seen.target.as_str() {
            "/-/" => model(),
            _ if is_known => tagged(Response::builder().status(304).body(Body::empty()).unwrap()),
            "/compute/" => tagged(answer(
                200,
                "text/uri-list",
                format!("http://{}/compute/1", seen.header("host")),
            )),
            _ => tagged(text(
                200,
                "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"",
            )),
        }
    })
    .await;
    let client = stub.client();
    let entity = client.show("/compute/1").await.unwrap();
    let etag = entity.etag.unwrap();
    assert!(client.show_if_changed("/compute/1", &etag).await.unwrap().is_none());
    let (locations, etag) = client
        .list_if_changed("compute", &Listing::default(), None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(locations, ["/compute/1"]);
    assert!(
        client
            .list_if_changed("compute", &Listing::default(), etag.as_deref())
            .await
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_program_without_a_runtime_waits_for_its_answers() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let at = |id: &str, seen: &Seen| {
        let location = format!("X-OCCI-Location: http://{}/compute/{id}", seen.header("host"));
        text(200, location)
    };
    let stub = runtime.block_on(Stub::start(move |seen| match seen.target.as_str() {
        "/-/" => model(),
        "/compute/" | "/compute/?page=1&number=1" => at("1", seen),
        "/compute/?page=2&number=1" => at("2", seen),
        "/compute/?page=3&number=1" => text(200, ""),
        _ => text(
            200,
            "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"",
        ),
    }));
    let client = blocking::Client::new(stub.builder()).unwrap();
    assert_eq!(client.list("compute", &Listing::default()).unwrap(), ["/compute/1"]);
    let all = |locations: blocking::Items<'_, String>| locations.collect::<Result<Vec<_>, _>>().unwrap();
    let streamed = client.list_stream("compute", &Listing::default()).unwrap();
    assert_eq!(all(streamed), ["/compute/1"]);
    let paged = client.list_pages("compute", &Filter::default(), 1);
    assert_eq!(all(paged), ["/compute/1", "/compute/2"]);
    let entities: Vec<_> = client
        .entities("compute", &Listing::default())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(entities[0].location, "/compute/1");
}

/// Byte by byte, each in time, and never whole.
#[tokio::test]
async fn an_answer_that_does_not_end_is_given_up() {
    let url = raw(|_, _, mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let mut limits = Limits::default();
    limits.whole = Duration::from_millis(200);
    let error = builder(&url).limits(limits).build().unwrap().model().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("goes on"), "{error}");
}

/// What somebody in between says is no answer to anything that was asked.
#[tokio::test]
async fn a_page_is_no_success() {
    let stub = Stub::start(|seen| match seen.target.as_str() {
        "/-/" => model(),
        target if target.starts_with("/storage/") => answer(200, "text/html", ""),
        _ => answer(200, "text/html; charset=utf-8", "It works!"),
    })
    .await;
    let client = stub.client();
    let write = Write::default();
    let errors = [
        client.list("compute", &Listing::default()).await.unwrap_err(),
        client.show("/compute/1").await.unwrap_err(),
        client.create(&machine(), &write).await.unwrap_err(),
        client.act("/compute/1", "stop", &[], &write).await.unwrap_err(),
        client.update("/compute/1", &machine(), &write).await.unwrap_err(),
        client.delete("/compute/1", &write).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
        assert!(
            error.message().ends_with("cannot be understood: it is text/html"),
            "{error}"
        );
    }
    // Who says nothing says nothing else either.
    client.delete("/storage/1", &write).await.unwrap();
    let stub = Stub::start(|_| {
        let base = Base::new("http://cloud.example.org", "");
        answer(200, "image/png", query_interface(MediaType::TextPlain, &base))
    })
    .await;
    let error = stub.client().model().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    assert!(error.message().contains("it is image/png"), "{error}");
}

#[tokio::test]
async fn what_took_too_long_is_not_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let url = raw(move |_, _, stream| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            let _stream = stream;
            std::future::pending::<()>().await;
        }
    })
    .await;
    let limits = Limits::of(Duration::from_millis(100));
    let error = builder(&url).limits(limits).build().unwrap().model().await.unwrap_err();
    assert_eq!((error.kind(), asked.load(Ordering::SeqCst)), (ErrorKind::Timeout, 1));
}

#[tokio::test]
async fn patience_ends_while_an_answer_is_waited_for() {
    let base = Base::new("http://cloud.example.org", "");
    let model = String::from_utf8(query_interface(MediaType::TextPlain, &base)).unwrap();
    let url = raw(move |_, head, mut stream| {
        let model = model.clone();
        async move {
            if !head.starts_with("GET /-/ ") {
                std::future::pending::<()>().await;
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{model}",
                model.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let client = builder(&url).build().unwrap();
    let mut patience = Patience::default();
    patience.limit = Duration::from_millis(300);
    let began = std::time::Instant::now();
    let entity = client.wait_for("/compute/1", &Until::Up, &patience, |_| {}).await;
    let operation = client.wait_for_operation("/-/operation/1", &patience, |_| {}).await;
    for error in [entity.unwrap_err(), operation.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        assert!(
            error.message().ends_with("in time") || error.message().contains("not known"),
            "{error}"
        );
    }
    // Far less than the 20 s for one answer.
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// A line that is slow, and a server that was told how long it may take: neither has taken too long to answer.
#[tokio::test]
async fn the_clock_of_an_answer_begins_when_it_can_be_given() {
    let url = raw(|_, head, mut stream| async move {
        let fields = head.to_ascii_lowercase();
        let length = fields
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let mut left: usize = length.map_or(0, |length| length.parse().unwrap());
        left -= head.split_once("\r\n\r\n").unwrap().1.len();
        let mut bytes = vec![0; 1 << 20];
        while left > 0 {
            left -= stream.read(&mut bytes).await.unwrap();
            tokio::time::sleep(Duration::from_millis(if left > 0 { 20 } else { 0 })).await;
        }
        if fields.contains("prefer: wait=1\r\n") {
            tokio::time::sleep(Duration::from_millis(1000)).await;
        }
        let answer = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let mut limits = Limits::default();
    limits.read = Duration::from_millis(700);
    let client = builder(&url).limits(limits).build().unwrap();
    let begun = std::time::Instant::now();
    let body = Bytes::from(vec![b'x'; 48 << 20]);
    let answer = client
        .raw(http::Method::POST, "/compute/", http::HeaderMap::new(), body)
        .await;
    assert_eq!(answer.unwrap().status, 204);
    assert!(begun.elapsed() > limits.read);
    let mut patient = Write::default();
    patient.answer = Answer::Done(Duration::from_millis(500));
    let requests = occi_client::Requests {
        endpoint: client.endpoint(),
        dialect: &client.dialect(),
        model: &crate::common::model(MediaType::TextPlain),
    };
    let request = requests.delete("/compute/1", &patient).unwrap();
    assert_eq!(client.send(request).await.unwrap().status, 204);
}

#[tokio::test]
async fn what_comes_up_at_the_last_moment_is_seen() {
    let looks = AtomicUsize::new(0);
    let stub = Stub::start(move |seen| match seen.target.as_str() {
        "/-/" => model(),
        _ => {
            let state = match looks.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => "inactive",
                _ => "active",
            };
            text(
                200,
                format!(
                    "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
                     X-OCCI-Attribute: occi.compute.state=\"{state}\""
                ),
            )
        }
    })
    .await;
    let mut patience = Patience::default();
    patience.limit = Duration::from_millis(1500);
    // The second pause would last until the end, or longer.
    (patience.first, patience.most) = (Duration::from_secs(1), Duration::from_secs(1));
    let up = stub
        .client()
        .wait_for("/compute/1", &Until::Up, &patience, |_| {})
        .await;
    assert!(up.unwrap().is_some());
}

/// How often it is asked while an operation lasts a second, where `/events` is answered so.
async fn looks(events: impl Fn() -> Response<Body> + Send + Sync + 'static) -> usize {
    let base = Base::new("http://cloud.example.org", "");
    let model = String::from_utf8(query_interface(MediaType::OcciJson, &base)).unwrap();
    let began = std::time::Instant::now();
    let stub = Stub::start(move |seen| {
        let response = match seen.target.split('?').next().unwrap() {
            "/-/" => answer(200, "application/occi+json", model.clone()),
            "/events" => {
                assert_eq!(seen.target, "/events?operation=1");
                events()
            }
            _ => {
                let is_over = began.elapsed() > Duration::from_secs(1);
                let state = if is_over { "succeeded" } else { "running" };
                json(200, &serde_json::json!({ "id": "1", "verb": "create", "state": state }))
            }
        };
        with(response, "occid", "0.1.0")
    })
    .await;
    let client = stub.client();
    client.model().await.unwrap();
    let mut patience = Patience::default();
    patience.limit = Duration::from_secs(20);
    (patience.first, patience.most) = (Duration::from_millis(50), Duration::from_millis(50));
    let operation = client.wait_for_operation("/-/operation/1", &patience, |_| {}).await;
    assert_eq!(operation.unwrap().state, OperationState::Succeeded);
    assert!(began.elapsed() < Duration::from_secs(10));
    let lines = stub.lines();
    lines
        .iter()
        .filter(|line| line.starts_with("GET /-/operation/"))
        .count()
}

/// A stream that says after a second that something happened.
fn told() -> Response<Body> {
    let first = futures::stream::once(async { Ok::<_, std::io::Error>("retry: 2000\nid: 1\n\n:\n\n") });
    let late = futures::stream::once(async {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        Ok("id: 2\nevent: changed\ndata: {}\n\n")
    });
    let rest = futures::stream::pending();
    let body = Body::from_stream(first.chain(late).chain(rest));
    let mut response = Response::new(body);
    let kind = "text/event-stream".parse().unwrap();
    response.headers_mut().insert("content-type", kind);
    response
}

#[tokio::test]
async fn who_is_told_what_happens_asks_less() {
    // Once, once more and while the stream opens, once since it is told, and once because it is told something.
    assert!((4..=6).contains(&looks(told).await));
    for silent in [
        || text(404, "there is nothing at /events"),
        || text(503, "too many"),
        || with(text(429, "too many"), "retry-after", "1"),
        || {
            let mut held_back = told();
            held_back.extensions_mut().insert(Withheld);
            held_back
        },
        || answer(200, "text/html", "<html>"),
        || answer(200, "text/event-stream", "id: 1\n\n"),
    ] {
        assert!(looks(silent).await > 6, "it is asked again and again");
    }
}
