//! Writes as operations: waiting for them, finding them, repeating them safely.

use crate::site::{Site, action, kind, unique};
use crate::suite::cases;
use crate::thing::Thing;

cases!(Checklist:
    http_68_an_operation_tells_how_far_it_is,
    http_14_a_create_that_is_repeated_with_its_key_is_one_create,
    http_69_core_20_a_generation_grows_with_what_can_be_seen,
);

fn http_68_an_operation_tells_how_far_it_is(site: &Site) {
    let answer = site
        .post("/network/")
        .header("Prefer", "respond-async")
        .accept("application/occi+json")
        .text(&[&kind("network")])
        .send()
        .is(202);
    let task = answer.location();
    let mut document = site.get(&task).accept("application/occi+json").send().is(200).json();
    for _ in 0..200 {
        if document["state"] == "succeeded" {
            break;
        }
        assert_ne!(document["state"], "failed", "{document:#}");
        std::thread::sleep(std::time::Duration::from_millis(25));
        document = site.get(&task).accept("application/occi+json").send().is(200).json();
    }
    assert_eq!(document["state"], "succeeded", "{document:#}");
    let id = document["id"].as_str().unwrap_or_default().to_owned();
    assert!(task.ends_with(&id), "{task} and {id}");
    let entity = document["entity"].as_str().unwrap_or_default().to_owned();
    let network = Thing::new(site, site.url(&entity));
    network.wait("active");
    site.get(&format!("/task/{id}")).agent("client OCCI/1.2").send().is(200);
    let listed = site.get("/-/operation/").accept("application/occi+json").send().is(200);
    assert!(listed.text().contains(&id));
    site.get("/-/operation/00000000-0000-7000-8000-000000000000")
        .send()
        .is(404);
}

fn http_14_a_create_that_is_repeated_with_its_key_is_one_create(site: &Site) {
    let (title, key) = (unique("once"), unique("key"));
    let create = |title: &str| {
        let line = format!("X-OCCI-Attribute: occi.core.title=\"{title}\"");
        let ask = site
            .post("/network/")
            .header("Idempotency-Key", &key)
            .accept("text/plain");
        ask.text(&[&kind("network"), &line]).send()
    };
    let first = create(&title).is(201).location();
    let network = Thing::new(site, first.clone());
    assert_eq!(create(&title).is(201).location(), first);
    assert_eq!(site.find("/network/", &title), [first.as_str()]);
    create("another").is(422);
    network.wait("active");
}

fn http_69_core_20_a_generation_grows_with_what_can_be_seen(site: &Site) {
    let network = site.network(&[]);
    let tag = || {
        let answer = site.get(&network.url).send().is(200);
        answer
            .header("etag")
            .unwrap_or_else(|| answer.fail("there is no ETag"))
            .to_owned()
    };
    let first = tag();
    assert_eq!(tag(), first);
    network.update(&["X-OCCI-Attribute: occi.core.title=\"seen\""]).is(200);
    let second = tag();
    assert_ne!(second, first);
    site.post(&format!("{}?action=down", network.url))
        .header("If-Match", &first)
        .text(&[&action("network", "down")])
        .send()
        .is(412);
    network.act("down", &[]).is(200);
    network.wait("inactive");
    assert_ne!(tag(), second);
}
