//! Lists of which a part is wanted, what is watched for a time, and what is kept for the next time.

use crate::person::Person;
use crate::stub::{Seen, Stub, json, model, with};
use axum::body::Body;
use futures::StreamExt;
use http::Response;
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::time::{Duration, SystemTime};

/// An `occid` that keeps the events from 301 on, of which 301, 400 and 20000 are old and those from 901 to 1900 others'. It tells
/// 400 at once, and looks at no more than 600.
fn keeps_events(newest: usize, seen: &Seen) -> Response<Body> {
    let Some(query) = seen.target.strip_prefix("/events?") else {
        return with(model(), "occid", "1");
    };
    let pairs: HashMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let number = |name: &str| pairs.get(name).map(|number| number.parse::<usize>().unwrap());
    let before = number("before").unwrap_or(newest + 1);
    let lowest = before.saturating_sub(600).max(301);
    let own = (lowest..before).rev().filter(|number| !(901..=1900).contains(number));
    let mut numbers: Vec<_> = own.take(number("number").unwrap().min(400)).collect();
    numbers.reverse();
    let reached = match numbers.len() {
        400 => numbers[0],
        _ => lowest,
    };
    let events = numbers.iter().map(|number| {
        let title = if [301, 400, 20_000].contains(number) {
            "old"
        } else {
            "new"
        };
        json!({
            "id": number.to_string(),
            "type": "occid.changed",
            "time": "2026-01-31T12:00:00Z",
            "data": { "title": title },
        })
    });
    let page = json(200, &json!({ "events": events.collect::<Vec<_>>() }));
    let page = match reached {
        301 => page,
        _ => with(
            page,
            "link",
            &format!("</events?number=400&before={reached}>; rel=\"prev\""),
        ),
    };
    with(page, "occid", "1")
}

pub(crate) async fn events() {
    let person = Person::new();
    let few = Stub::start(|seen| keeps_events(2500, seen)).await;
    let many = Stub::start(|seen| keeps_events(60_300, seen)).await;
    for (stub, options, count, first, note) in [
        (&few, "", 100, Some("2401"), ""),
        (&few, "--limit 1", 1, Some("2500"), ""),
        (&few, "--limit 700", 700, Some("801"), ""),
        (&few, "--limit 5000", 1200, Some("301"), ""),
        (&few, "--filter title=old", 2, Some("301"), ""),
        (&few, "--filter title=old --limit 1", 1, Some("400"), ""),
        (&few, "--filter title=none", 0, None, ""),
        (&few, "--sort number --limit 3", 3, Some("301"), ""),
        (&few, "--sort -number --limit 3", 3, Some("2500"), ""),
        (&few, "--sort number", 100, Some("2401"), ""),
        (&many, "--filter title=old", 1, Some("20000"), "before the number 10301"),
    ] {
        let line = format!("--endpoint {} list event {options} -o jsonpath=$[*].number", stub.url);
        let listed = person.occi(&line).await;
        assert_eq!(listed.code, Some(0), "{options}: {}", listed.err);
        let numbers: Vec<_> = listed.out.lines().collect();
        assert_eq!((numbers.len(), numbers.first().copied()), (count, first), "{options}");
        assert!(
            listed.err.contains(note) && listed.err.is_empty() == note.is_empty(),
            "{options}: {}",
            listed.err
        );
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
