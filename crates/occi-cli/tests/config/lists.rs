//! Lists of which a part is wanted, what is watched for a time, and what is kept for the next time.

use crate::person::Person;
use crate::stub::{Seen, Stub, json, model, text, with};
use axum::body::Body;
use futures::StreamExt;
use http::Response;
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::time::{Duration, SystemTime};

/// An `occid` that keeps the events from 301 to 2500, of which two are old.
fn keeps_events(seen: &Seen) -> Response<Body> {
    let Some(query) = seen.target.strip_prefix("/events?") else {
        return with(model(), "occid", "1");
    };
    let pairs: HashMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let number = |name: &str| pairs.get(name).map(|number| number.parse::<usize>().unwrap());
    let most = number("number").unwrap();
    let numbers: Vec<_> = match number("after") {
        _ if most > 1000 => return text(400, "too many"),
        Some(after) if after < 300 => return with(text(410, "resync"), "occid", "1"),
        Some(after) => (after + 1..=2500).take(most).collect(),
        None => (2501 - most..=2500).collect(),
    };
    let events = numbers.iter().map(|number| {
        let title = if [301, 400].contains(number) { "old" } else { "new" };
        json!({
            "id": number.to_string(),
            "type": "occid.changed",
            "time": "2026-01-31T12:00:00Z",
            "data": { "title": title },
        })
    });
    with(
        json(200, &json!({ "events": events.collect::<Vec<_>>() })),
        "occid",
        "1",
    )
}

pub(crate) async fn events() {
    let person = Person::new();
    let stub = Stub::start(keeps_events).await;
    for (options, count, first) in [
        ("", 100, Some("2401")),
        ("--limit 1", 1, Some("2500")),
        ("--limit 1500", 1500, Some("1001")),
        ("--limit 5000", 2200, Some("301")),
        ("--filter title=old", 2, Some("301")),
        ("--filter title=old --limit 1", 1, Some("400")),
        ("--filter title=none", 0, None),
        ("--sort number --limit 3", 3, Some("301")),
        ("--sort -number --limit 3", 3, Some("2500")),
        ("--sort number", 100, Some("2401")),
    ] {
        let line = format!("--endpoint {} list event {options} -o jsonpath=$[*].number", stub.url);
        let listed = person.good(&line).await;
        let numbers: Vec<_> = listed.lines().collect();
        assert_eq!((numbers.len(), numbers.first().copied()), (count, first), "{options}");
    }
}

/// The time is that of watching: who has seen nothing by then has not succeeded, nor has who has not seen all.
pub(crate) async fn clock() {
    let person = Person::new();
    let stub = Stub::start(|seen| {
        let piece = futures::stream::once(async { Ok::<_, std::io::Error>("booted\n") });
        let response = match seen.target.starts_with("/-/console-log") {
            true => Response::new(Body::from_stream(piece.chain(futures::stream::pending()))),
            false => model(),
        };
        with(response, "occid", "1")
    })
    .await;
    let log = async |options: &str| {
        let line = format!("--endpoint {} log /compute/1 --for 3s {options}", stub.url);
        person.occi(&line).await
    };
    let (whole, followed) = futures::join!(log(""), log("-f"));
    assert_eq!((whole.code, whole.out.as_str()), (Some(6), "booted\n"), "{whole:?}");
    assert!(whole.err.contains("has not ended"), "{whole:?}");
    assert_eq!(
        (followed.code, followed.out.as_str()),
        (Some(0), "booted\n"),
        "{followed:?}"
    );
}

/// What is kept of servers does not grow for ever.
pub(crate) async fn kept() {
    let person = Person::new();
    let stub = Stub::of("one").await;
    let kept = || {
        let all = std::fs::read_dir(person.path(".cache/occi/models")).unwrap();
        all.map(|file| file.unwrap().path()).collect::<Vec<_>>()
    };
    for token in ["first", "second", "third"] {
        person.write("one", token);
        let line = format!("--endpoint {} --token-file ~/one list kind", stub.url);
        person.good(&line).await;
        // What has not been asked for since is gone with the next.
        let files = kept();
        assert_eq!(files.len(), 1, "{files:?}");
        let old = SystemTime::now() - Duration::from_hours(60 * 24);
        let file = File::options().write(true).open(&files[0]).unwrap();
        file.set_modified(old).unwrap();
    }
}
