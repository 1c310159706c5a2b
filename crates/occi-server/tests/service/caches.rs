//! Answers that are kept: exact after every write, and for those only who may see them.

use crate::client::Client;
use crate::kinds::{COMPUTE, STORAGE, action, compute};
use crate::occid::{Occid, wait_for_all_operations, wait_until};

#[test]
fn an_answer_that_the_client_has_is_not_sent_again() {
    let occid = Occid::start();
    let admin = occid.admin();
    let machine = admin.make("/compute/", COMPUTE);
    let json = admin.clone().with("Accept", "application/occi+json");
    for target in [machine.as_str(), "/compute/", "/-/"] {
        // Once from the store and then from memory.
        for _ in 0..3 {
            let full = admin.get(target).expect(200);
            let tag = full.header("etag").unwrap();
            for given in [tag, "*", &format!("W/{tag}"), &format!("\"x\", {tag}")] {
                let none = admin.clone().with("If-None-Match", given).get(target).expect(304);
                assert_eq!((none.header("etag"), none.body.as_str()), (Some(tag), ""));
                assert_eq!(none.header("vary"), full.header("vary"));
            }
            admin.clone().with("If-None-Match", "\"0.p\"").get(target).expect(200);
            json.clone().with("If-None-Match", tag).get(target).expect(200);
            let head = admin.send("HEAD", target, "").expect(200);
            assert_eq!(
                (head.header("etag"), head.header("content-type")),
                (Some(tag), full.header("content-type"))
            );
            assert_eq!(head.header("content-length"), full.header("content-length"));
        }
    }
}

#[test]
fn a_listing_is_another_one_when_its_reader_sees_another_project() {
    let occid = Occid::start();
    let setup = &occid.setup;
    setup.run(&["project", "add", "lab"]).good();
    let ann = occid.user("ann", &["--project", "physics"]);
    let lab = occid.admin().with("X-OCCI-Project", "lab");
    let machine = lab.make("/compute/", COMPUTE);
    wait_for_all_operations(&lab);
    let before = ann.get("/compute/").expect(200);
    assert!(before.body.is_empty());
    let tag = before.header("etag").unwrap().to_owned();
    let again = ann.with("If-None-Match", &tag);
    again.get("/compute/").expect(304);
    // Which is no event: nothing has happened to any entity.
    setup.run(&["project", "member", "add", "lab", "ann"]).good();
    assert!(again.get("/compute/").expect(200).body.contains(&machine));
    // A project that only a header names is no part of what the URL says.
    assert_eq!(lab.get("/compute/").expect(200).header("etag"), None);
}

#[test]
fn a_change_is_made_only_to_what_the_client_has_seen() {
    let occid = Occid::start();
    let admin = occid.admin();
    let machine = admin.make("/compute/", COMPUTE);
    let seen = admin.get(&machine).expect(200).header("etag").unwrap().to_owned();
    let stop = format!("{machine}?action=stop");
    admin
        .clone()
        .with("If-Match", &seen)
        .with("Prefer", "wait=20")
        .post(&stop, &action("stop"))
        .expect(200);
    let old = admin.clone().with("If-Match", &seen);
    let refused = old
        .post(&format!("{machine}?action=start"), &action("start"))
        .expect(412);
    assert!(!refused.body.is_empty());
    old.delete(&machine).expect(412);
    let now = admin.get(&machine).expect(200);
    assert!(now.body.contains("occi.compute.state=\"inactive\""), "{now:?}");
    let tags = format!("\"1.p\", {}", now.header("etag").unwrap());
    admin.clone().with("If-Match", &tags).delete(&machine).expect(200);
    admin.get(&machine).expect(404);
}

#[test]
fn a_collection_is_changed_only_as_the_client_has_seen_it() {
    let occid = Occid::start();
    let admin = occid.admin();
    admin.make("/compute/", COMPUTE);
    let storage = admin.make("/storage/", STORAGE);
    let tag = "Category: mine; scheme=\"http://example.org/mine#\"; class=\"mixin\"; location=\"/mine/\"";
    let model = admin.get("/-/").expect(200).header("etag").unwrap().to_owned();
    admin.clone().with("If-Match", &model).post("/-/", tag).expect(200);
    wait_for_all_operations(&admin);
    let tag_of = |target: &str| admin.get(target).expect(200).header("etag").unwrap().to_owned();
    let old = tag_of("/compute/");
    admin.make("/compute/", COMPUTE);
    wait_for_all_operations(&admin);
    let offline =
        "Category: offline; scheme=\"http://schemas.ogf.org/occi/infrastructure/storage/action#\"; class=\"action\"\n";
    let member = format!("X-OCCI-Location: {storage}");
    for given in [old.as_str(), "\"nope\"", "nope", "\"1\"", "W/\"1.p\"", ""] {
        let careful = admin.clone().with("If-Match", given).with("Content-Type", "text/plain");
        for (method, target, body) in [
            ("DELETE", "/compute/", ""),
            ("DELETE", "/", ""),
            ("POST", "/compute/", COMPUTE),
            ("POST", "/storage/?action=offline", offline),
            ("POST", "/mine/", &member),
            ("PUT", "/mine/", &member),
            ("DELETE", "/mine/", ""),
            ("DELETE", "/-/", tag),
        ] {
            let answer = careful.send(method, target, body);
            assert_eq!(answer.status, 412, "{method} {target} {given}: {answer:?}");
        }
        // What is recorded with a key is held against the record.
        let key = careful.with("Idempotency-Key", "once").delete("/compute/");
        assert_eq!(key.status, 412, "{given}: {key:?}");
    }
    assert_eq!(admin.get("/compute/").expect(200).body.lines().count(), 2);
    assert!(admin.get("/mine/").expect(200).body.is_empty());
    let now = tag_of("/storage/");
    let patient = admin.clone().with("Prefer", "wait=20").with("Idempotency-Key", "key");
    let careful = patient.with("If-Match", &format!("{old}, {now}"));
    for _ in 0..2 {
        careful.post("/storage/?action=offline", offline).expect(200);
    }
    let any = admin.clone().with("If-Match", "*");
    any.clone().put("/mine/", &member).expect(200);
    wait_for_all_operations(&admin);
    let now = tag_of("/compute/");
    admin.clone().with("If-Match", &now).delete("/compute/").expect(200);
    any.delete("/").expect(200);
}

#[test]
fn of_those_who_change_the_model_as_they_have_seen_it_one_does() {
    let occid = Occid::start();
    let admin = occid.admin();
    let tag =
        |n: usize| format!("Category: t{n}; scheme=\"http://example.org/t#\"; class=\"mixin\"; location=\"/t{n}/\"");
    let all_at_once = |method: &'static str| {
        let seen = admin.get("/-/").expect(200).header("etag").unwrap().to_owned();
        let careful = admin.clone().with("If-Match", &seen).with("Content-Type", "text/plain");
        let answers: Vec<_> = std::thread::scope(|scope| {
            let send = |n| careful.send(method, "/-/", tag(n));
            let all: Vec<_> = (0..8).map(|n| scope.spawn(move || send(n))).collect();
            all.into_iter().map(|one| one.join().unwrap().status).collect()
        });
        let count = |status| answers.iter().filter(|one| **one == status).count();
        assert_eq!((count(200), count(412)), (1, 7), "{method} {answers:?}");
    };
    all_at_once("POST");
    for n in 0..8 {
        admin.post("/-/", &tag(n)).expect(200);
    }
    all_at_once("DELETE");
    // What comes twice with a key gets its first answer, though the model is another one by then.
    let seen = admin.get("/-/").expect(200).header("etag").unwrap().to_owned();
    let keyed = admin.clone().with("If-Match", &seen).with("Idempotency-Key", "once");
    for _ in 0..2 {
        keyed.post("/-/", &tag(8)).expect(200);
    }
    keyed
        .with("Idempotency-Key", "another")
        .post("/-/", &tag(9))
        .expect(412);
}

#[test]
fn of_those_who_put_what_must_be_new_one_does() {
    let occid = Occid::start();
    let admin = occid.admin().with("Content-Type", "text/plain");
    for round in 0..5 {
        let path = format!("/compute/new-{round}");
        let new = admin.clone().with("If-None-Match", "*").with("Prefer", "wait=20");
        let title = |n: usize| compute(&format!("made-by-{n}"));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let send = |n| new.send("PUT", &path, title(n)).status;
            let all: Vec<_> = (0..8).map(|n| scope.spawn(move || send(n))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let winner = answers.iter().position(|status| *status == 201);
        assert!(
            answers.iter().filter(|status| **status == 412).count() == 7,
            "{answers:?}"
        );
        let is = admin.get(&path).expect(200).body;
        assert!(
            is.contains(&format!("made-by-{}\"", winner.unwrap())),
            "{answers:?} {is}"
        );
    }
    // The tags of others do not hinder; its own does, also if a proxy has made it a weak one.
    let tag = admin
        .get("/compute/new-0")
        .expect(200)
        .header("etag")
        .unwrap()
        .to_owned();
    let unless = |tag: &str| admin.clone().with("If-None-Match", tag).with("Prefer", "wait=20");
    for own in [tag.clone(), format!("\"1234.p\", W/{tag}")] {
        unless(&own).send("PUT", "/compute/new-0", compute("other")).expect(412);
    }
    unless("\"1234.p\"")
        .send("PUT", "/compute/new-0", compute("other"))
        .expect(200);
}

#[test]
fn what_is_kept_is_never_older_than_the_last_write() {
    let occid = Occid::start();
    let admin = occid.admin();
    let machine = admin.make("/compute/", &compute("a"));
    let waits = admin.clone().with("Prefer", "wait=20");
    for _ in 0..5 {
        for (term, state) in [("stop", "inactive"), ("start", "active")] {
            for _ in 0..3 {
                admin.get(&machine).expect(200);
            }
            waits
                .post(&format!("{machine}?action={term}"), &action(term))
                .expect(200);
            let now = admin.get(&machine).expect(200).body;
            assert!(now.contains(&format!("occi.compute.state=\"{state}\"")), "{now}");
        }
    }
    let metrics = occid.side_door("/metrics").expect(200).body;
    let kept = number(&metrics, "occid_ready_answers_total");
    assert!(kept >= 10.0, "answers come from memory: {kept}");
    // The same path, other readers: by rendering, by version, by right.
    let plain = admin.get(&machine).expect(200);
    let json = admin
        .clone()
        .with("Accept", "application/json")
        .get(&machine)
        .expect(200);
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_ne!(plain.header("etag"), json.header("etag"));
    occid.user("eve", &["--project", "elsewhere"]).get(&machine).expect(404);
    waits.delete(&machine).expect(200);
    admin.get(&machine).expect(404);
}

#[test]
fn a_listing_from_memory_is_never_older_than_the_last_write() {
    let occid = Occid::start();
    let setup = &occid.setup;
    setup.run(&["project", "add", "lab"]).good();
    let plain = occid.user("ann", &["--project", "lab"]);
    let json = |who: &Client| who.clone().with("Accept", "application/json").with("Prefer", "wait=20");
    let (ann, eve) = (json(&plain), json(&occid.user("eve", &["--project", "elsewhere"])));
    let machine = ann.make("/compute/", &compute("first"));
    let other = ann.make("/compute/", &compute("other"));
    // Twice: from the store and from memory. The second machine never changes.
    let shows = |words: &[&str], lacks: &[&str]| {
        wait_for_all_operations(&plain);
        let body = ann.get("/compute/").expect(200).body;
        assert_eq!(ann.get("/compute/").expect(200).body, body);
        assert!(body.contains("\"other\""), "{body}");
        for word in words {
            assert!(body.contains(word), "{word}: {body}");
        }
        for word in lacks {
            assert!(!body.contains(word), "{word}: {body}");
        }
        let one = |path: &str| ann.clone().with("Cache-Control", "no-cache").get(path).expect(200).body;
        assert_eq!(body, format!("{{\"resources\":[{},{}]}}", one(&machine), one(&other)));
        assert_eq!(eve.get("/compute/").expect(200).body, "{\"resources\":[]}");
    };
    shows(&["\"first\""], &[]);
    ann.post(&machine, "X-OCCI-Attribute: occi.core.title=\"second\"\n")
        .expect(200);
    shows(&["\"second\""], &["\"first\""]);
    ann.post(&format!("{machine}?action=stop"), &action("stop")).expect(200);
    shows(&["\"inactive\""], &[]);
    let tag = "Category: mine; scheme=\"http://example.org/mine#\"; class=\"mixin\"; location=\"/mine/\"\n";
    ann.post("/-/", tag).expect(200);
    shows(&[], &["example.org/mine"]);
    ann.post("/mine/", &format!("X-OCCI-Location: {machine}\n")).expect(200);
    shows(&["example.org/mine"], &[]);
    ann.clone()
        .with("Content-Type", "text/plain")
        .send("DELETE", "/-/", tag)
        .expect(200);
    shows(&[], &["example.org/mine"]);
    let volume = ann.make("/storage/", STORAGE);
    let link = format!(
        "{}X-OCCI-Attribute: occi.core.source=\"{machine}\"\nX-OCCI-Attribute: occi.core.target=\"{volume}\"\n",
        COMPUTE.replace("compute", "storagelink")
    );
    let link = ann.make("/storagelink/", &link);
    shows(&[&volume], &[]);
    ann.delete(&link).expect(200);
    shows(&[], &[&volume]);
    ann.delete(&machine).expect(200);
    let left = ann.get("/compute/").expect(200).body;
    assert_eq!(
        left,
        format!("{{\"resources\":[{}]}}", ann.get(&other).expect(200).body)
    );
    // Who comes to the project sees it with their own eyes.
    setup.run(&["project", "member", "add", "lab", "eve"]).good();
    assert!(eve.get("/compute/").expect(200).body.contains(&other));
}

#[test]
fn what_is_measured_names_classes_and_never_paths() {
    let occid = Occid::start();
    let admin = occid.admin();
    let machine = admin.make("/compute/", COMPUTE);
    admin.get(&machine).expect(200);
    admin.get(&machine).expect(200);
    admin.get("/compute/nothing").expect(404);
    occid.anonymous().get("/-/").expect(401);
    let answer = occid.side_door("/metrics").expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    let text = answer.body;
    assert_eq!(
        number(
            &text,
            "occid_requests_total{route=\"entity\",method=\"GET\",status=\"2xx\"}"
        ),
        2.0
    );
    assert_eq!(
        number(
            &text,
            "occid_requests_total{route=\"entity\",method=\"GET\",status=\"4xx\"}"
        ),
        1.0
    );
    assert_eq!(
        number(
            &text,
            "occid_requests_total{route=\"kind\",method=\"POST\",status=\"2xx\"}"
        ),
        1.0
    );
    assert_eq!(
        number(
            &text,
            "occid_requests_total{route=\"none\",method=\"GET\",status=\"4xx\"}"
        ),
        1.0
    );
    assert_eq!(number(&text, "occid_request_seconds_count{route=\"entity\"}"), 3.0);
    assert!(text.contains("backend=\"memory\""), "{text}");
    for secret in [machine.rsplit('/').next().unwrap(), "nothing", "admin"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn the_service_is_ready_when_its_engines_are() {
    let occid = Occid::start();
    wait_until("readiness", || (occid.side_door("/readyz").status == 200).then_some(()));
    assert_eq!(occid.side_door("/healthz").expect(200).body, "ok\n");
    let open = occid.anonymous().get("/healthz").expect(200);
    assert!(
        open.header("server").is_some_and(|server| server.contains("OCCI/1.2")),
        "{open:?}"
    );
}

/// The value of a sample.
#[track_caller]
fn number(metrics: &str, name: &str) -> f64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = line.unwrap_or_else(|| panic!("no {name} in {metrics}"));
    value.parse().unwrap()
}
