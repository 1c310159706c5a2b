//! Who may do what, and who sees what.

use crate::client::Client;
use crate::kinds::{COMPUTE, STORAGE, action, compute};
use crate::occid::{Occid, Setup};

/// Some projects with a user in each, and what is in them.
struct World {
    occid: Occid,
    ann: Client,
    bob: Client,
    reader: Client,
    /// Of ann's.
    machine: String,
}

fn world() -> World {
    let occid = Occid::start();
    let ann = occid.user("ann", &["--project", "physics"]);
    let bob = occid.user("bob", &["--project", "chemistry"]);
    let reader = occid.user("reader", &["--project", "physics"]);
    let member = ["project", "member", "add", "physics", "reader", "--role", "reader"];
    occid.setup.run(&member).good();
    let machine = ann.post("/compute/", &compute("ann's")).expect(201).location();
    World {
        occid,
        ann,
        bob,
        reader,
        machine,
    }
}

#[test]
fn what_belongs_to_another_project_does_not_exist() {
    let World {
        occid,
        ann,
        bob,
        machine,
        ..
    } = world();
    let operations = ann.get("/-/operation/").expect(200).body;
    let operation = operations
        .split_once("/-/operation/")
        .map(|(_, id)| format!("/-/operation/{}", &id[..36]));
    let started = action("stop");
    for (method, target, body) in [
        ("GET", machine.as_str(), ""),
        ("HEAD", &machine, ""),
        ("POST", &machine, COMPUTE),
        ("PUT", &machine, COMPUTE),
        ("DELETE", &machine, ""),
        ("POST", &format!("{machine}?action=stop"), &started),
        ("GET", &operation.clone().unwrap(), ""),
        ("DELETE", &operation.unwrap(), ""),
    ] {
        let there = bob
            .clone()
            .with("Content-Type", "text/plain")
            .send(method, target, body);
        let nowhere = format!("{}00", &target[..target.len() - 2]);
        let status = there.status;
        // An id that somebody else uses cannot be taken, and saying so is all that is said.
        let expected = if method == "PUT" { 409 } else { 404 };
        assert_eq!(status, expected, "{method} {target}: {there:?}");
        if method == "GET" {
            let missing = bob.get(&nowhere).expect(404);
            let id = |target: &str| target.rsplit('/').next().unwrap().to_owned();
            assert_eq!(
                there.body.replace(&id(target), ""),
                missing.body.replace(&id(&nowhere), "")
            );
        }
    }
    for collection in ["/compute/", "/", "/network/", "/-/operation/"] {
        let list = bob.get(collection).expect(200);
        assert!(list.body.is_empty(), "{collection}: {list:?}");
    }
    // Deleting all that one sees leaves the others' alone.
    bob.delete("/compute/").expect(200);
    bob.delete("/").expect(200);
    ann.get(&machine).expect(200);
    // A stranger's project cannot be entered.
    let intruder = bob.clone().with("X-OCCI-Project", "physics");
    intruder.post("/compute/", COMPUTE).expect(403);
    intruder.get("/compute/").expect(403);
    bob.get("/compute/?project=physics").expect(403);
    // An operator sees everything, or one project.
    let admin = occid.admin();
    admin.get(&machine).expect(200);
    assert!(admin.get("/compute/").expect(200).body.contains(&machine));
    assert!(
        admin
            .get("/compute/?project=physics")
            .expect(200)
            .body
            .contains(&machine)
    );
    assert!(admin.get("/compute/?project=chemistry").expect(200).body.is_empty());
}

#[test]
fn nothing_is_made_in_a_project_that_does_not_exist() {
    let occid = Occid::start();
    let setup = &occid.setup;
    let admin = occid.admin();
    setup.run(&["project", "remove", "default"]).good();
    let refused = admin.post("/compute/", COMPUTE).expect(403);
    assert!(refused.body.contains("there is no project"), "{refused:?}");
    assert_eq!(setup.run(&["check"]).good(), "nothing is wrong\n");
    // Who has another project left is at home there.
    setup.run(&["project", "add", "lab"]).good();
    setup.run(&["project", "member", "add", "lab", "admin"]).good();
    admin.make("/compute/", COMPUTE);
    let quota = setup.run(&["project", "quota", "lab"]).good();
    assert!(quota.contains("instances\t1\t"), "{quota}");
}

#[test]
fn an_operator_is_told_that_there_is_no_such_project() {
    let World {
        occid, bob, machine, ..
    } = world();
    let admin = occid.admin();
    let tag = "Category: mine; scheme=\"http://example.org/mine#\"; class=\"mixin\"; location=\"/mine/\"\n";
    for (method, target, body) in [
        ("GET", "/-/", ""),
        ("POST", "/-/", tag),
        ("GET", "/", ""),
        ("GET", "/compute/", ""),
        ("DELETE", "/compute/", ""),
        ("POST", "/compute/", COMPUTE),
        ("PUT", "/compute/11111111-2222-4333-8444-555555555555", COMPUTE),
        ("GET", &machine, ""),
        ("GET", "/-/operation/", ""),
        ("GET", "/-/image/", ""),
        ("POST", "/-/upload/?name=x", ""),
        ("GET", &format!("/-/console-log{machine}"), ""),
    ] {
        let plain = |client: &Client| client.clone().with("Content-Type", "text/plain");
        let named = plain(&admin).with("X-OCCI-Project", "nosuch");
        let separator = if target.contains('?') { '&' } else { '?' };
        for answer in [
            named.send(method, target, body),
            plain(&admin).send(method, &format!("{target}{separator}project=nosuch"), body),
        ] {
            assert_eq!(answer.status, 403, "{method} {target}: {answer:?}");
            assert!(
                answer.body.contains("there is no project \"nosuch\""),
                "{method} {target}: {answer:?}"
            );
        }
        // Who is no operator does not learn which projects there are.
        let said = |project: &str| {
            let answer = plain(&bob).with("X-OCCI-Project", project).send(method, target, body);
            (answer.status, answer.body.replace(project, ""))
        };
        assert_eq!(said("physics"), said("nosuch"), "{method} {target}");
        assert_eq!(said("nosuch").0, 403, "{method} {target}");
    }
    assert!(admin.get("/compute/").expect(200).body.ends_with(&machine));
    let checked = occid.setup.run(&["check"]).good();
    assert_eq!(checked, "nothing is wrong\n");
    // It can be entered from the moment on in which it is made.
    occid.setup.run(&["project", "add", "nosuch"]).good();
    let named = admin.with("X-OCCI-Project", "nosuch");
    named.post("/compute/", COMPUTE).expect(201);
    assert_eq!(named.get("/compute/").expect(200).body.lines().count(), 1);
}

#[test]
fn a_reader_reads() {
    let World {
        occid: _occid,
        ann,
        reader,
        machine,
        ..
    } = world();
    reader.get(&machine).expect(200);
    assert!(reader.get("/compute/").expect(200).body.contains(&machine));
    let tag = "Category: mine; scheme=\"http://example.org/mine#\"; class=\"mixin\"; location=\"/mine/\"\n";
    for (method, target, body) in [
        ("POST", "/compute/", COMPUTE),
        ("POST", machine.as_str(), "X-OCCI-Attribute: occi.core.title=\"x\""),
        ("PUT", &machine, COMPUTE),
        ("DELETE", &machine, ""),
        ("DELETE", "/compute/", ""),
        ("POST", &format!("{machine}?action=stop"), &action("stop")),
        ("POST", "/compute/?action=stop", &action("stop")),
        ("PUT", "/compute/11111111-2222-4333-8444-555555555555", COMPUTE),
        ("POST", "/-/", tag),
    ] {
        let answer = reader
            .clone()
            .with("Content-Type", "text/plain")
            .send(method, target, body);
        assert_eq!(answer.status, 403, "{method} {target}: {answer:?}");
    }
    assert!(ann.get(&machine).expect(200).body.contains("ann's"));
    assert!(!ann.get("/-/").expect(200).body.contains("example.org/mine"));
}

#[test]
fn a_role_counts_in_its_project_only_and_from_the_next_request_on() {
    let World {
        occid,
        ann,
        reader,
        machine,
        ..
    } = world();
    let setup = &occid.setup;
    setup.run(&["project", "add", "lab"]).good();
    setup.run(&["project", "member", "add", "lab", "reader"]).good();
    let in_lab = reader.clone().with("X-OCCI-Project", "lab");
    let own = in_lab.post("/compute/", COMPUTE).expect(201).location();
    reader.post("/compute/", COMPUTE).expect(403);
    reader.get(&own).expect(200);
    reader.delete(&own).expect(200);
    ann.get(&own).expect(404);

    setup
        .run(&["project", "member", "add", "physics", "reader", "--role", "member"])
        .good();
    reader.post("/compute/", COMPUTE).expect(201);
    setup.run(&["project", "member", "remove", "physics", "reader"]).good();
    // Answers that are kept in memory are no way in.
    ann.get(&machine).expect(200);
    ann.get(&machine).expect(200);
    reader.clone().with("X-OCCI-Project", "lab").get(&machine).expect(404);
    reader.get(&machine).expect(404);
    // Who has left the project where things landed goes on in what is left.
    assert!(reader.get("/compute/").expect(200).body.is_empty());
    let landed = reader.post("/compute/", COMPUTE).expect(201).location();
    in_lab.get(&landed).expect(200);
    ann.get(&landed).expect(404);
    setup.run(&["project", "member", "remove", "lab", "reader"]).good();
    let nowhere = reader.get("/compute/").expect(403);
    assert!(nowhere.body.contains("no member of any project"), "{nowhere:?}");
    reader.post("/compute/", COMPUTE).expect(403);
    reader.get(&landed).expect(403);
}

#[test]
fn a_quota_holds_until_something_is_deleted() {
    let World {
        occid, ann, machine, ..
    } = world();
    let setup = &occid.setup;
    setup.run(&["project", "quota", "physics", "--instances", "2"]).good();
    let second = ann.post("/compute/", COMPUTE).expect(201).location();
    let refused = ann.post("/compute/", COMPUTE).expect(403);
    assert!(refused.body.contains("instances"), "{refused:?}");
    assert!(
        setup
            .run(&["project", "quota", "physics"])
            .good()
            .contains("instances\t2\t2\n")
    );
    ann.delete(&second).expect(200);
    ann.get(&second).expect(404);
    crate::occid::wait_until("room", || {
        let free = setup
            .run(&["project", "quota", "physics"])
            .good()
            .contains("instances\t1\t2\n");
        free.then_some(())
    });
    ann.post("/compute/", COMPUTE).expect(201);
    ann.get(&machine).expect(200);
    let words = setup.run(&["project", "remove", "physics"]).bad();
    assert!(words.contains("physics"), "{words}");
    ann.get(&machine).expect(200);
}

#[test]
fn a_quota_has_its_word_before_the_room_of_the_host_of_which_nobody_learns_what_is_free() {
    let path = std::env::var("PATH").unwrap();
    let engine = Setup::default().flags(&["--backend", "qemu"]).variable("PATH", &path);
    let occid = engine.start();
    let ann = occid.user("ann", &["--project", "physics"]);
    let bytes = |at: usize| match at {
        510 => 0x55,
        511 => 0xaa,
        _ => 0,
    };
    let image: Vec<u8> = (0..512).map(bytes).collect();
    let image = ann.send("POST", "/-/image/?name=x", image).expect(201).location();
    let image = image.rsplit('/').next().unwrap();
    let os = format!("Category: {image}; scheme=\"http://occid.local/occi/infrastructure/os_tpl#\"; class=\"mixin\"\n");
    let too_much = [
        ("/storage/", STORAGE.replace("1.0", "900000000.0")),
        (
            "/compute/",
            format!("{COMPUTE}{os}X-OCCI-Attribute: occi.compute.cores=90000\n"),
        ),
        (
            "/compute/",
            format!("{COMPUTE}{os}X-OCCI-Attribute: occi.compute.memory=900000.0\n"),
        ),
    ];
    for (target, body) in &too_much {
        let refused = ann.post(target, body).expect(400);
        assert!(refused.body.contains("at most"), "{refused:?}");
        assert!(refused.header("retry-after").is_none(), "{refused:?}");
    }
    // What would fit a host on which nothing else is, as its limit says, is asked for again some time.
    let refused = ann.post(too_much[2].0, &too_much[2].1).expect(400);
    let limit: f64 = refused
        .body
        .split(|c: char| !c.is_ascii_digit())
        .find(|number| !number.is_empty())
        .unwrap()
        .parse()
        .unwrap();
    let body = format!(
        "{COMPUTE}{os}X-OCCI-Attribute: occi.compute.memory={}\n",
        limit / 1024.0
    );
    let refused = ann.post("/compute/", &body).expect(503);
    assert!(refused.body.contains("no room"), "{refused:?}");
    // What was asked for may be said again.
    let mut numbers = refused.body.split(|c: char| !c.is_ascii_digit());
    assert!(
        numbers.all(|number| number.is_empty() || number.parse() == Ok(limit)),
        "{refused:?}"
    );
    let limits = ["--volume-gib", "2", "--cores", "2", "--memory-mib", "2048"];
    let quota = [&["project", "quota", "physics"][..], &limits].concat();
    occid.setup.run(&quota).good();
    for (target, body) in &too_much {
        let refused = ann.post(target, body).expect(403);
        assert!(refused.body.contains("quota"), "{refused:?}");
    }
}

#[test]
fn no_road_leads_past_a_quota() {
    let World {
        occid, ann, machine, ..
    } = world();
    let setup = &occid.setup;
    let storage = ann.make("/storage/", STORAGE);
    let limits = ["--volume-gib", "2", "--cores", "1", "--memory-mib", "1024"];
    setup
        .run(&[&["project", "quota", "physics"][..], &limits].concat())
        .good();
    let resize = |size: u8| {
        format!(
            "Category: resize; scheme=\"http://schemas.ogf.org/occi/infrastructure/storage/action#\"; class=\"action\"\n\
             X-OCCI-Attribute: size={size}.0\n"
        )
    };
    let attribute = "X-OCCI-Attribute: occi.storage.size=10.0";
    let larger = STORAGE.replace("1.0", "10.0");
    let template = "Category: large; scheme=\"http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#\"; class=\"mixin\"\n";
    let sized = format!("{COMPUTE}{template}");
    let member = format!("X-OCCI-Location: {machine}");
    for (method, target, body) in [
        ("POST", format!("{storage}?action=resize"), resize(10).as_str()),
        ("POST", "/storage/?action=resize".to_owned(), &resize(10)),
        ("POST", storage.clone(), attribute),
        ("PUT", storage.clone(), &larger),
        ("POST", "/storage/".to_owned(), &larger),
        ("POST", machine.clone(), template),
        ("POST", machine.clone(), "X-OCCI-Attribute: occi.compute.cores=2"),
        ("PUT", machine.clone(), &sized),
        ("POST", "/compute/".to_owned(), &sized),
        ("POST", "/mixin/resource_tpl/large/".to_owned(), &member),
        ("PUT", "/mixin/resource_tpl/large/".to_owned(), &member),
    ] {
        let plain = ann.clone().with("Content-Type", "text/plain");
        let answer = plain.send(method, &target, body);
        assert_eq!(answer.status, 403, "{method} {target}: {answer:?}");
        assert!(answer.body.contains("quota"), "{method} {target}: {answer:?}");
    }
    let used = |what: &str| {
        let quota = setup.run(&["project", "quota", "physics"]).good();
        assert!(quota.contains(what), "{quota}");
    };
    used("volume_gib\t1\t2\n");
    let patient = ann.clone().with("Prefer", "wait=20");
    patient
        .post(&format!("{storage}?action=resize"), &resize(2))
        .expect(200);
    used("volume_gib\t2\t2\n");
}

#[test]
fn a_mixin_of_a_project_is_seen_there_alone() {
    let World {
        occid: _occid,
        ann,
        bob,
        machine,
        ..
    } = world();
    let tag = "Category: mine; scheme=\"http://example.org/mine#\"; class=\"mixin\"; location=\"/mine/\"";
    ann.post("/-/", tag).expect(200);
    ann.post("/mine/", &format!("X-OCCI-Location: {machine}")).expect(200);
    assert!(ann.get("/-/").expect(200).body.contains("example.org/mine"));
    assert!(ann.get("/mine/").expect(200).body.contains(&machine));
    assert!(!bob.get("/-/").expect(200).body.contains("example.org/mine"));
    bob.get("/mine/").expect(404);
    // The same name is free in another project.
    bob.post("/-/", tag).expect(200);
    assert!(bob.get("/mine/").expect(200).body.is_empty());
}

#[test]
fn nobody_comes_in_without_a_password() {
    let occid = Setup::default()
        .config("[auth]\nkeystone_uri = \"https://keystone.example.org:5000/\"")
        .start();
    let anonymous = occid.anonymous();
    for target in [
        "/-/",
        "/.well-known/org/ogf/occi/-/",
        "/compute/",
        "/",
        "/compute/x",
        "/-/operation/",
        "/metrics",
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let answer = anonymous.send(method, target, "").expect(401);
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, Some("Keystone uri='https://keystone.example.org:5000/'"));
        }
    }
    let admin = occid.admin();
    admin.get("/compute/").expect(200);
    for authorization in [
        "Basic",
        "Basic !!!",
        "Basic YWRtaW4=",
        "Bearer x",
        "basic",
        "Negotiate YQ==",
        "Basic OnB3",
    ] {
        anonymous
            .clone()
            .with("Authorization", authorization)
            .get("/compute/")
            .expect(401);
    }
    // A scheme's name has no case.
    let header = admin.head();
    let lower = header.split_once("Basic ").unwrap().1.trim_end();
    anonymous
        .with("Authorization", &format!("bAsIc {lower}"))
        .get("/compute/")
        .expect(200);
}
