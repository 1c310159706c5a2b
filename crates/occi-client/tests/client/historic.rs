//! Each historic server in its own ways, as its source and recorded answers show them.

use crate::common::{COMPUTE, id, typed};
use crate::stub::{Seen, Stub, answer, json, recorded, text, with};
use axum::body::Body;
use futures::TryStreamExt;
use http::{Method, Response};
use occi_client::{
    Entity, EntityDraft, ErrorKind, Filter, Input, LinkDraft, Listing, MediaType, Patience, Progress, Until, Value,
    Version, Write,
};
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What every one of them offers, in the words of rOCCI 1: no space after the semicolon.
const ROCCI_1: &str = r#"Category: entity;scheme="http://schemas.ogf.org/occi/core#";class="kind";title="entity";location="/entity/";attributes="occi.core.id{immutable} occi.core.title"
Category: resource;scheme="http://schemas.ogf.org/occi/core#";class="kind";title="resource";rel="http://schemas.ogf.org/occi/core#entity";location="/resource/";attributes="occi.core.summary"
Category: link;scheme="http://schemas.ogf.org/occi/core#";class="kind";title="link";rel="http://schemas.ogf.org/occi/core#entity";location="/link/";attributes="occi.core.source occi.core.target"
Category: compute;scheme="http://schemas.ogf.org/occi/infrastructure#";class="kind";title="compute resource";rel="http://schemas.ogf.org/occi/core#resource";location="/compute/";attributes="occi.compute.architecture occi.compute.cores occi.compute.hostname occi.compute.memory occi.compute.state{immutable}";actions="http://schemas.ogf.org/occi/infrastructure/compute/action#start http://schemas.ogf.org/occi/infrastructure/compute/action#stop"
Category: network;scheme="http://schemas.ogf.org/occi/infrastructure#";class="kind";title="network resource";rel="http://schemas.ogf.org/occi/core#resource";location="/network/"
Category: networkinterface;scheme="http://schemas.ogf.org/occi/infrastructure#";class="kind";title="networkinterface link";rel="http://schemas.ogf.org/occi/core#link";location="/link/networkinterface/"
Category: os_tpl;scheme="http://schemas.ogf.org/occi/infrastructure#";class="mixin";title="operating system template";location="/mixin/os_tpl/"
Category: debian12;scheme="http://occi.example.org/occi/infrastructure/os_tpl#";class="mixin";title="Debian 12";rel="http://schemas.ogf.org/occi/infrastructure#os_tpl";location="/mixin/os_tpl/debian12/"
Category: start;scheme="http://schemas.ogf.org/occi/infrastructure/compute/action#";class="action";title="Start compute"
Category: stop;scheme="http://schemas.ogf.org/occi/infrastructure/compute/action#";class="action";title="Stop compute";attributes="method"
"#;

fn machine() -> EntityDraft {
    EntityDraft {
        kind: Some(id(COMPUTE)),
        attributes: vec![typed("occi.core.title", "web 1"), typed("occi.compute.memory", 2.0)],
        ..EntityDraft::default()
    }
}

fn patience() -> Patience {
    let mut patience = Patience::default();
    patience.limit = Duration::from_secs(20);
    patience.first = Duration::from_millis(1);
    patience.most = Duration::from_millis(10);
    patience
}

fn host(seen: &Seen) -> &str {
    seen.header("host")
}

/// rOCCI-server 1: locations are absolute, a create is answered by its location, states are its own.
#[tokio::test]
async fn cli_3_cli_4_cli_6_rocci_1_is_understood() {
    let shown = AtomicUsize::new(0);
    let stub = Stub::start(move |seen| {
        let url = |path: &str| format!("X-OCCI-Location: http://{}{path}", host(seen));
        let response = match seen.line().as_str() {
            "GET /-/" => text(200, ROCCI_1),
            "GET /compute/" => text(200, format!("{}\n{}", url("/compute/1"), url("/compute/2"))),
            "POST /compute/" => text(201, url("/compute/1")),
            "GET /compute/1" => {
                let state = ["waiting", "waiting", "active"][shown.fetch_add(1, Ordering::SeqCst).min(2)];
                text(
                    200,
                    format!(
                        "Category: compute;scheme=\"http://schemas.ogf.org/occi/infrastructure#\";class=\"kind\";title=\"compute resource\"\n\
                         Category: debian12;scheme=\"http://occi.example.org/occi/infrastructure/os_tpl#\";class=\"mixin\"\n\
                         X-OCCI-Attribute: occi.core.id=\"1\"\nX-OCCI-Attribute: occi.core.title=\"web 1\"\n\
                         X-OCCI-Attribute: occi.compute.memory=2.0\nX-OCCI-Attribute: occi.compute.state=\"{state}\"\n\
                         Link: </compute/1?action=stop>;rel=\"http://schemas.ogf.org/occi/infrastructure/compute/action#stop\"\n\
                         Link: </network/24>;rel=\"http://schemas.ogf.org/occi/infrastructure#network\";self=\"/link/networkinterface/compute_1_nic_0\";category=\"http://schemas.ogf.org/occi/infrastructure#networkinterface\";occi.core.id=\"compute_1_nic_0\";occi.core.target=\"/network/24\""
                    ),
                )
            }
            "POST /compute/1?action=stop" => text(200, ""),
            "DELETE /compute/1" => text(200, ""),
            _ => text(404, "Not Found"),
        };
        with(response, "server", "Apache rOCCI-server OCCI/1.1")
    })
    .await;
    let client = stub.client();
    let model = client.model().await.unwrap();
    assert_eq!(model.mixin("os_tpl#debian12").unwrap().title, "Debian 12");
    assert_eq!(client.dialect().media, MediaType::TextPlain);
    assert_eq!(
        client.list("compute", &Listing::default()).await.unwrap(),
        ["/compute/1", "/compute/2"]
    );

    let created = client.create(&machine(), &Write::default()).await.unwrap();
    assert_eq!(created.location.as_deref(), Some("/compute/1"));
    let mut states = Vec::new();
    let report = |progress: Progress<'_>| {
        if let Progress::Entity { state, .. } = progress {
            states.push(state.unwrap().to_owned());
        }
    };
    let entity = client
        .wait_for("/compute/1", &Until::Up, &patience(), report)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(states, ["waiting", "waiting", "active"]);
    assert_eq!(entity.attribute("occi.compute.memory"), Some(&Value::Float(2.0)));
    assert_eq!(entity.actions[0].id.term(), "stop");
    let link = &entity.links[0];
    assert_eq!(
        (link.id.as_str(), link.target.as_deref()),
        ("compute_1_nic_0", Some("/network/24"))
    );

    stub.seen();
    client.act("/compute/1", "stop", &[], &Write::default()).await.unwrap();
    client.delete("/compute/1", &Write::default()).await.unwrap();
    let seen = stub.seen();
    assert_eq!(
        seen[0].body,
        "Category: stop; scheme=\"http://schemas.ogf.org/occi/infrastructure/compute/action#\"; class=\"action\"\n"
    );
    // Not in the model of the server, and so never sent: what would an old server make of a key?
    assert!(seen.iter().all(|seen| seen.header("idempotency-key").is_empty()));
    assert_eq!(client.show("/compute/9").await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// rOCCI-server 2: nothing is 204, headers have names of their own, JSON lists URLs, errors have two members.
#[tokio::test]
async fn cli_3_cli_4_rocci_2_is_understood() {
    let stub = Stub::start(|seen| {
        let is_json = seen.header("accept").contains("json");
        let response = match (seen.line().as_str(), is_json) {
            ("GET /-/", _) => text(200, ROCCI_1),
            ("GET /network/", _) => Response::builder().status(204).body(Body::empty()).unwrap(),
            ("GET /compute/", true) => json(200, &json!({})),
            ("GET /compute/", false) => answer(200, "text/uri-list", format!("http://{}/compute/42\r\n", host(seen))),
            ("POST /compute/", true) => json(201, &json!([format!("http://{}/compute/42", host(seen))])),
            ("POST /compute/", false) => with(answer(201, "text/occi", ""), "location", &format!("http://{}/compute/42", host(seen))),
            ("GET /compute/42", _) => {
                let headers = [
                    ("x-occi-category", "compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\""),
                    ("x-occi-attribute", "occi.core.id=\"42\""),
                    ("x-occi-attribute", "occi.compute.state=\"waiting\""),
                    ("x-occi-link", "</compute/42?action=stop>; rel=\"http://schemas.ogf.org/occi/infrastructure/compute/action#stop\""),
                ];
                headers.iter().fold(answer(200, "text/occi", ""), |response, (name, value)| with(response, name, value))
            }
            ("DELETE /compute/42", _) => Response::builder().status(204).body(Body::empty()).unwrap(),
            _ => json(400, &json!({ "status": "bad_request", "error": "Requested action is not available" })),
        };
        with(response, "server", "rOCCI-server OCCI/1.1 OCCI-CRTP/1.0 OCCI/1.2 OCCI-CRTP/1.1")
    })
    .await;
    for media in [MediaType::TextPlain, MediaType::OcciJson, MediaType::TextOcci] {
        let client = stub.builder().media(media).build().unwrap();
        assert!(client.list("network", &Listing::default()).await.unwrap().is_empty());
        let created = client.create(&machine(), &Write::default()).await.unwrap();
        assert_eq!(created.location.as_deref(), Some("/compute/42"), "{media}");
        let entity = client.show("/compute/42").await.unwrap();
        assert_eq!(
            (entity.id.as_str(), entity.text("occi.compute.state")),
            ("42", Some("waiting"))
        );
        assert_eq!(entity.actions[0].id.term(), "stop");
        client.delete("/compute/42", &Write::default()).await.unwrap();
        let refused = client
            .act("/compute/42", "start", &[], &Write::default())
            .await
            .unwrap_err();
        assert_eq!(
            (refused.kind(), refused.message()),
            (ErrorKind::Invalid, "Requested action is not available")
        );
        match media {
            MediaType::OcciJson => {
                let mut entities = client.entities("compute", &Listing::default()).await.unwrap();
                assert!(entities.try_next().await.unwrap().is_none());
            }
            _ => assert_eq!(
                client.list("compute", &Listing::default()).await.unwrap(),
                ["/compute/42"]
            ),
        }
    }
}

/// ooi: version 1.1 exactly, a base path, absolute URLs everywhere, 200 for a create, 204 for an action, and links that
/// point to themselves.
#[tokio::test]
async fn cli_1_cli_3_cli_4_ooi_is_understood() {
    let stub = Stub::start(|seen| {
        let agent = seen.header("user-agent");
        if !agent.contains("OCCI/1.1") || agent.contains("OCCI/1.2") {
            return with(text(501, "OCCI/1.2 not supported"), "server", "ooi/1.2.0 OCCI/1.1");
        }
        let base = format!("http://{}/occi1.1", host(seen));
        let response = match seen.line().as_str() {
            "GET /occi1.1/-/" => text(200, ROCCI_1.replace("location=\"/", &format!("location=\"{base}/"))),
            "GET /occi1.1/compute/" => text(200, format!("X-OCCI-Location: {base}/compute/vm-1\n")),
            "POST /occi1.1/compute/" => text(200, format!("X-OCCI-Location: {base}/compute/vm-1")),
            "GET /occi1.1/compute/vm-1" => text(
                200,
                format!(
                    "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"; location=\"{base}/compute/\"\n\
                     X-OCCI-Attribute: occi.core.id=\"vm-1\"\nX-OCCI-Attribute: occi.compute.memory=2048\n\
                     Link: <{base}/networklink/vm-1_net-9_10.0.0.5>; rel=\"http://schemas.ogf.org/occi/infrastructure#network\"; self=\"{base}/networklink/vm-1_net-9_10.0.0.5\"; category=\"http://schemas.ogf.org/occi/infrastructure#networkinterface\"; occi.core.target=\"{base}/network/net-9\"; occi.networkinterface.address=\"10.0.0.5\""
                ),
            ),
            "POST /occi1.1/compute/vm-1?action=start" | "DELETE /occi1.1/compute/vm-1" => {
                Response::builder().status(204).body(Body::empty()).unwrap()
            }
            _ => json(404, &json!({ "code": 404, "message": "Instance vm-2 could not be found." })),
        };
        with(response, "server", "ooi/1.2.0 OCCI/1.1")
    })
    .await;
    let client = crate::stub::builder(&format!("{}occi1.1", stub.url)).build().unwrap();
    client.model().await.unwrap();
    assert_eq!(client.dialect().version, Version::V1_1);
    assert_eq!(stub.lines(), ["GET /occi1.1/-/", "GET /occi1.1/-/"]);

    assert_eq!(
        client.list("compute", &Listing::default()).await.unwrap(),
        ["/occi1.1/compute/vm-1"]
    );
    // It is remembered.
    assert_eq!(stub.lines(), ["GET /occi1.1/compute/"]);
    let mut draft = machine();
    draft.links.push(LinkDraft {
        entity: EntityDraft {
            target: Some("/occi1.1/network/net-9".to_owned()),
            ..EntityDraft::default()
        },
        own_location: None,
    });
    let created = client.create(&draft, &Write::default()).await.unwrap();
    assert_eq!(created.location.as_deref(), Some("/occi1.1/compute/vm-1"));
    let body = &stub.seen()[0].body;
    assert!(body.contains("occi.core.target=\"/occi1.1/network/net-9\""), "{body}");

    let entity = client.show("/occi1.1/compute/vm-1").await.unwrap();
    assert_eq!(entity.links[0].target.as_deref(), Some("/occi1.1/network/net-9"));
    assert_eq!(entity.addresses(), ["10.0.0.5"]);
    client
        .act("/occi1.1/compute/vm-1", "start", &[], &Write::default())
        .await
        .unwrap();
    client.delete("/occi1.1/compute/vm-1", &Write::default()).await.unwrap();
    let missing = client.show("/occi1.1/compute/vm-2").await.unwrap_err();
    assert_eq!(missing.message(), "Instance vm-2 could not be found.");
}

/// pyssf and occi-os: every value is quoted, text/occi says `OK`, ids are paths.
#[tokio::test]
async fn cli_3_pyssf_is_understood() {
    let stub = Stub::start(|seen| {
        let response = match seen.line().as_str() {
            "GET /-/" => ROCCI_1.lines().fold(answer(200, "text/occi", "OK"), |response, line| {
                with(response, "category", line.strip_prefix("Category: ").unwrap())
            }),
            "GET /compute/" => with(
                answer(200, "text/occi", "OK"),
                "x-occi-location",
                &format!("http://{0}/compute/7,http://{0}/compute/8", host(seen)),
            ),
            "POST /compute/" => with(answer(200, "text/occi", "OK"), "location", &format!("http://{}/compute/7", host(seen))),
            "GET /compute/7" => {
                let headers = [
                    ("link", "</compute/7?action=start>; rel=\"http://schemas.ogf.org/occi/infrastructure/compute/action#start\""),
                    ("x-occi-attribute", "occi.compute.cores=\"2\", occi.compute.memory=\"2.0\", occi.core.id=\"/compute/7\""),
                    ("category", "compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"; title=\"A compute\"; location=\"/compute/\""),
                ];
                headers.iter().fold(answer(200, "text/occi", "OK"), |response, (name, value)| with(response, name, value))
            }
            _ => text(406, "Not acceptable"),
        };
        with(response, "server", "pyssf OCCI/1.1")
    })
    .await;
    // The head of the query interface alone is larger than the usual limit on header lines, where there are many.
    let client = stub.client();
    assert_eq!(client.model().await.unwrap().kinds().len(), 6);
    assert_eq!(client.dialect().media, MediaType::TextOcci);
    assert_eq!(
        client.list("compute", &Listing::default()).await.unwrap(),
        ["/compute/7", "/compute/8"]
    );
    let created = client.create(&machine(), &Write::default()).await.unwrap();
    assert_eq!(created.location.as_deref(), Some("/compute/7"));
    let seen = stub.seen();
    let create = seen.last().unwrap();
    assert_eq!((create.header("content-type"), create.body.as_str()), ("text/occi", ""));
    assert_eq!(
        create.header("x-occi-attribute"),
        "occi.core.title=\"web 1\",occi.compute.memory=2.0"
    );
    let entity = client.show("/compute/7").await.unwrap();
    assert_eq!(
        (entity.id.as_str(), entity.cores(), entity.memory_gib()),
        ("7", Some(2), Some(2.0))
    );
    assert_eq!(entity.actions[0].target.as_deref(), Some("/compute/7?action=start"));
}

/// MartServer: JSON of OCCI 1.2 with a location in every entity. What it is not asked for in JSON by that name alone, it
/// answers with success and nothing, refuses, or answers in JSON all the same, by its version.
#[tokio::test]
async fn cli_3_martserver_is_understood() {
    for (status, is_json_anyhow) in [(200, false), (406, false), (415, false), (200, true)] {
        martserver(status, is_json_anyhow).await;
    }
}

async fn martserver(status: u16, is_json_anyhow: bool) {
    let entity = |number: u32| {
        json!({
            "id": format!("urn:uuid:{number}"), "kind": COMPUTE, "title": format!("m{number}"), "mixins": [],
            "attributes": { "occi.compute.cores": number, "occi.compute.state": "active" },
            "actions": ["http://schemas.ogf.org/occi/infrastructure/compute/action#stop"],
            "links": [], "location": format!("/compute/{number}"),
        })
    };
    let stub = Stub::start(move |seen| {
        let is_json = matches!(seen.header("accept"), "application/occi+json" | "application/json");
        let response = match seen.line().as_str() {
            "GET /-/" => text(404, "not here"),
            _ if !is_json && !is_json_anyhow => text(status, ""),
            "GET /.well-known/org/ogf/occi/-/" => json(
                200,
                &json!({
                    "kinds": [{
                        "term": "compute", "scheme": "http://schemas.ogf.org/occi/infrastructure#", "title": "Compute Resource",
                        "parent": "http://schemas.ogf.org/occi/core#resource", "location": "/compute/",
                        "actions": ["http://schemas.ogf.org/occi/infrastructure/compute/action#stop"],
                        "attributes": { "occi.compute.cores": { "mutable": true, "required": false, "type": "number" } },
                    }],
                    "mixins": [],
                    "actions": [{ "term": "stop", "scheme": "http://schemas.ogf.org/occi/infrastructure/compute/action#" }],
                }),
            ),
            "GET /compute/" => json(200, &json!({ "resources": [entity(1), entity(2)] })),
            "GET /compute/1" => json(200, &entity(1)),
            "POST /compute/" => json(200, &entity(3)),
            "POST /compute/1?action=stop" => json(200, &json!({ "message": "ok" })),
            _ => json(404, &json!({ "message": "entity unknown" })),
        };
        with(response, "server", "MartServer/1.0 OCCI/1.2")
    })
    .await;
    let client = stub.client();
    client.model().await.unwrap();
    assert_eq!(client.dialect().media, MediaType::OcciJson);
    let later = stub.builder().saved(client.saved().unwrap()).build().unwrap();
    assert_eq!(later.dialect(), client.dialect());
    let listed = client.list("compute", &Listing::default()).await.unwrap();
    assert_eq!(listed, ["/compute/1", "/compute/2"]);
    let all = client.entities("compute", &Listing::default()).await.unwrap();
    let all: Vec<Entity> = all.try_collect().await.unwrap();
    assert_eq!(
        all.iter().map(|entity| entity.location.as_str()).collect::<Vec<_>>(),
        ["/compute/1", "/compute/2"]
    );
    assert_eq!(
        (all[1].id.as_str(), all[1].cores(), all[1].title()),
        ("2", Some(2), Some("m2"))
    );
    let created = client.create(&machine(), &Write::default()).await.unwrap();
    assert_eq!(created.location.as_deref(), Some("/compute/3"));
    assert_eq!(created.entity.unwrap().title(), Some("m3"));
    client
        .act(
            "/compute/1",
            "stop",
            &[("method", Input::Typed("graceful".into()))],
            &Write::default(),
        )
        .await
        .unwrap();
    let seen = stub.seen();
    assert_eq!(
        seen.last().unwrap().body,
        "{\"action\":\"http://schemas.ogf.org/occi/infrastructure/compute/action#stop\",\"attributes\":{\"method\":\"graceful\"}}"
    );
    assert_eq!(client.show("/compute/9").await.unwrap_err().message(), "entity unknown");
}

/// MartServer shows 20 to whoever does not say how many, and its page N begins with the member N; others have exactly 20.
#[tokio::test]
async fn cli_3_a_listing_is_whole_where_the_server_cuts_it() {
    for (is_martserver, number) in [(true, 19), (true, 20), (true, 45), (false, 20), (false, 45)] {
        let stub = Stub::start(move |seen| {
            let is_json = seen.header("accept").contains("json");
            let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
            let query: HashMap<_, _> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
            let number_of = |name: &str, usual: usize| query.get(name).map_or(usual, |text| text.parse().unwrap());
            match path {
                _ if !is_json => text(406, ""),
                "/-/" => json(200, &json!({ "kinds": [{
                    "term": "compute", "scheme": "http://schemas.ogf.org/occi/infrastructure#", "location": "/compute/",
                    "parent": "http://schemas.ogf.org/occi/core#resource", "attributes": {}, "actions": [],
                }], "mixins": [], "actions": [] })),
                _ if !is_martserver && !query.is_empty() => text(400, "what is this?"),
                _ => {
                    let entity = |id: usize| json!({
                        "id": id.to_string(), "kind": COMPUTE, "mixins": [], "attributes": {}, "actions": [], "links": [],
                        "location": format!("/compute/{id}"),
                    });
                    let most = if is_martserver { number_of("number", 20) } else { number };
                    let shown = (number_of("page", 1)..=number).take(most);
                    json(200, &json!({ "resources": shown.map(entity).collect::<Vec<_>>() }))
                }
            }
        })
        .await;
        let client = stub.client();
        let expected: Vec<_> = (1..=number).map(|id| format!("/compute/{id}")).collect();
        let listed = client.list("compute", &Listing::default()).await.unwrap();
        assert_eq!(listed, expected, "{is_martserver}");
        if is_martserver {
            let paged = client.list_pages("compute", &Filter::default(), 7);
            assert_eq!(paged.try_collect::<Vec<String>>().await.unwrap(), expected);
            let mut page = Listing::default();
            page.page = Some((1, 3));
            assert_eq!(client.list("compute", &page).await.unwrap(), expected[..3]);
        }
    }
}

/// GFD.185, section 3.5.5: a task says that it goes on, and at last where its result is.
#[tokio::test]
async fn the_task_of_a_1_1_server_leads_to_its_result() {
    let asked = AtomicUsize::new(0);
    let stub = Stub::start(move |seen| {
        let task = |status| {
            with(
                text(status, "OK"),
                "location",
                &format!("http://{}/tasks/9", host(seen)),
            )
        };
        match seen.line().as_str() {
            "GET /-/" => text(200, ROCCI_1),
            "POST /compute/" => task(202),
            "DELETE /compute/1" => task(202),
            "GET /tasks/9" if asked.fetch_add(1, Ordering::SeqCst) < 2 => text(200, "OK"),
            "GET /tasks/9" => with(text(301, ""), "location", "/compute/5"),
            _ => text(404, ""),
        }
    })
    .await;
    let client = stub.client();
    let created = client.create(&machine(), &Write::default()).await.unwrap();
    assert_eq!(
        (created.location, created.operation.as_deref()),
        (None, Some("/tasks/9"))
    );
    let mut looks = 0;
    let ended = client
        .wait_for_operation("/tasks/9", &patience(), |_| looks += 1)
        .await
        .unwrap();
    assert_eq!((ended.entity.as_deref(), looks), (Some("/compute/5"), 3));
    let deleted = client.delete("/compute/1", &Write::default()).await.unwrap();
    assert_eq!(deleted.operation.as_deref(), Some("/tasks/9"));
}

/// Whoever shows one: an `occid` is not always known as such before it is asked.
#[tokio::test]
async fn an_operation_that_failed_is_no_task_that_goes_on() {
    let stub = Stub::start(|seen| match seen.line().as_str() {
        "GET /-/operation/1" => json(
            200,
            &json!({ "id": "1", "verb": "stop", "state": "failed", "error": { "message": "no power" } }),
        ),
        _ => text(404, ""),
    })
    .await;
    let failed = stub
        .client()
        .wait_for_operation("/-/operation/1", &patience(), |_| {})
        .await;
    let failed = failed.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.message()),
        (ErrorKind::Failed, "stop failed: no power")
    );
}

#[tokio::test]
async fn cli_3_recorded_answers_mean_the_same_over_the_wire() {
    for (file, line, path) in [
        (
            "rocci1-create.resp.http",
            "POST /compute/",
            "/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11",
        ),
        (
            "rocci1-create-occi.resp.http",
            "POST /compute/",
            "/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11",
        ),
        (
            "rocci2-create-json.resp.http",
            "POST /compute/",
            "/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11",
        ),
        (
            "ooi-create.resp.http",
            "POST /compute/",
            "/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11",
        ),
        (
            "rocci1-list-occi.resp.http",
            "GET /compute/",
            "/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b12",
        ),
        ("ooi-action.resp.http", "POST /compute/1?action=start", ""),
        ("ooi-compute.resp.http", "GET /compute/1", "/occi1.1/network/net-9"),
        ("pyssf-entity.resp.http", "GET /compute/1", "7"),
        ("rocci-v2-headers.resp.http", "GET /compute/1", "42"),
        (
            "keystone-401.resp.http",
            "GET /compute/1",
            "https://keystone.example.org:5000/",
        ),
        ("ooi-version.resp.http", "GET /compute/1", ""),
    ] {
        let stub = Stub::start(move |seen| match seen.line() == line {
            true => recorded(file, host(seen)),
            false => text(200, ROCCI_1),
        })
        .await;
        let client = stub.client();
        match (file, Method::GET) {
            (_, _) if line.starts_with("POST /compute/1") => {
                client.act("/compute/1", "start", &[], &Write::default()).await.unwrap();
            }
            (_, _) if line.starts_with("POST") => {
                let created = client.create(&machine(), &Write::default()).await.unwrap();
                assert_eq!(created.location.as_deref(), Some(path), "{file}");
            }
            (_, _) if line.ends_with("/compute/") => {
                let listed = client.list("compute", &Listing::default()).await.unwrap();
                assert_eq!(
                    (listed.len(), listed.last().map(String::as_str)),
                    (2, Some(path)),
                    "{file}"
                );
            }
            ("keystone-401.resp.http", _) => {
                let refused = client.show("/compute/1").await.unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
                assert!(refused.hint().unwrap().contains(path), "{refused:?}");
            }
            ("ooi-version.resp.http", _) => {
                let refused = client.show("/compute/1").await.unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Unsupported);
                // It was asked again as 1.1, and it was not the version.
                assert_eq!(client.dialect().version, Version::V1_2);
                let agents: Vec<_> = stub
                    .seen()
                    .iter()
                    .map(|seen| seen.header("user-agent").to_owned())
                    .collect();
                assert!(
                    agents[1].ends_with("OCCI/1.2") && agents[2].ends_with("OCCI/1.1"),
                    "{agents:?}"
                );
            }
            ("ooi-compute.resp.http", _) => {
                let entity = client.show("/compute/1").await.unwrap();
                assert_eq!(entity.links[0].target.as_deref(), Some(path));
                assert_eq!(entity.attribute("occi.ipreservation.used"), Some(&Value::Boolean(true)));
            }
            _ => {
                let entity = client.show("/compute/1").await.unwrap();
                assert_eq!(entity.id, path, "{file}");
                assert_eq!(entity.actions.len(), 1, "{file}");
            }
        }
    }
    // The samples that the readers of renderings know are all here.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../occi-rendering/tests/samples/wild");
    let answers = std::fs::read_dir(folder).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".resp.http")
    });
    assert_eq!(answers.count(), 11);
}
