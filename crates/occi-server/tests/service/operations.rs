//! Writes that outlast their requests.

use crate::client::Client;
use crate::kinds::{COMPUTE, action, compute};
use crate::occid::{Occid, Setup, wait_for_all_operations, wait_until};

/// A cloud that takes its time.
fn slow(work_ms: u32) -> Occid {
    Setup::default().cloud(&format!("work_ms = {work_ms}")).start()
}

fn state(client: &Client, operation: &str) -> String {
    let answer = client
        .clone()
        .with("Accept", "application/json")
        .get(operation)
        .expect(200);
    answer.json()["state"].as_str().unwrap().to_owned()
}

fn path_of(url: &str) -> &str {
    &url[url.find("/-/").unwrap()..]
}

#[test]
fn a_client_that_does_not_wait_is_told_where_to_look() {
    let occid = slow(300);
    let admin = occid.admin();
    let answer = admin
        .clone()
        .with("Prefer", "respond-async")
        .post("/compute/", COMPUTE)
        .expect(202);
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
    let operation = answer.location();
    assert!(operation.starts_with("/-/operation/"), "{answer:?}");
    let polled = admin
        .clone()
        .with("Accept", "application/json")
        .get(&operation)
        .expect(200);
    assert!(polled.header("retry-after").is_some(), "{polled:?}");
    let document = polled.json();
    assert_eq!(document["verb"], "create");
    let entity = document["entity"].as_str().unwrap().to_owned();
    assert!(
        admin
            .get("/-/operation/?open=true")
            .expect(200)
            .body
            .contains(&operation)
    );
    wait_until("the operation", || {
        (state(&admin, &operation) == "succeeded").then_some(())
    });
    // Version 1.1 knows a task that points to its result; the alias is its name there.
    let old = admin.clone().with("User-Agent", "client/1 OCCI/1.1");
    let task = operation.replace("/-/operation/", "/task/");
    let moved = old.get(&task).expect(301);
    assert_eq!(moved.location(), entity);
    admin.get(&task).expect(200);
    admin.get(&entity).expect(200);
    // A deletion has no result to point to.
    let patient = admin.clone().with("Prefer", "wait=20");
    patient.delete(&entity).expect(200);
    let deletion = admin
        .clone()
        .with("Accept", "application/json")
        .get("/-/operation/?number=1");
    let deletion = deletion.expect(200).json()["operations"][0].clone();
    assert_eq!(deletion["verb"], "delete", "{deletion}");
    old.get(&format!("/task/{}", deletion["id"].as_str().unwrap()))
        .expect(200);
    admin
        .get("/-/operation/01890000-0000-7000-8000-000000000000")
        .expect(404);
    admin.get("/-/operation/x").expect(404);
    admin.send("POST", &operation, "x").expect(405);
    assert!(
        !admin
            .get("/-/operation/?open=true")
            .expect(200)
            .body
            .contains(&operation)
    );
}

#[test]
fn a_client_says_how_long_it_waits() {
    let occid = slow(300);
    let admin = occid.admin();
    // Until it is recorded.
    let recorded = admin
        .clone()
        .with("Prefer", "wait=0")
        .post("/compute/", COMPUTE)
        .expect(201);
    let operation = path_of(recorded.header("x-occi-operation").unwrap()).to_owned();
    assert!(matches!(&*state(&admin, &operation), "accepted" | "running"));
    // Until the outcome.
    let done = admin
        .clone()
        .with("Prefer", "wait=20")
        .post("/compute/", COMPUTE)
        .expect(201);
    assert_eq!(done.header("x-occi-operation"), None, "nothing goes on: {done:?}");
    let machine = done.location();
    assert!(
        admin
            .get(&machine)
            .expect(200)
            .body
            .contains("occi.compute.state=\"active\"")
    );
    let target = format!("{machine}?action=stop");
    let stopped = admin
        .clone()
        .with("Prefer", "wait=20")
        .post(&target, &action("stop"))
        .expect(200);
    assert!(stopped.body.contains("occi.compute.state=\"inactive\""), "{stopped:?}");
    admin.clone().with("Prefer", "wait=20").delete(&machine).expect(200);
    admin.get(&machine).expect(404);
}

#[test]
fn an_operation_names_what_it_has_made() {
    let occid = slow(300);
    let admin = occid.admin();
    let machine = admin.make("/compute/", COMPUTE);
    let save = format!("{machine}?action=save");
    let gold = format!("{}X-OCCI-Attribute: name=\"gold\", method=\"hot\"\n", action("save"));
    let json = admin.clone().with("Accept", "application/json");
    for preference in ["respond-async", "wait=0"] {
        let asked = admin.clone().with("Prefer", preference).post(&save, &gold);
        let url = asked
            .header("x-occi-operation")
            .or_else(|| asked.header("location"))
            .unwrap();
        let operation = path_of(url).to_owned();
        wait_until("the template", || {
            (state(&admin, &operation) == "succeeded").then_some(())
        });
        let document = json.get(&operation).expect(200).json();
        let made = document["result"]["mixins"][0].as_str().unwrap().to_owned();
        let (scheme, term) = made.split_once('#').unwrap();
        let model = admin.get("/-/").expect(200).body;
        assert!(
            model.contains(&format!("Category: {term}; scheme=\"{scheme}#\"")),
            "{made}: {model}"
        );
        let text = admin.get(&operation).expect(200).body;
        assert!(text.contains(&format!("occid.operation.result=\"{made}\"")), "{text}");
        let old = json.clone().with("User-Agent", "client/1 OCCI/1.1");
        let moved = old.get(&operation).expect(301);
        assert_eq!(moved.json()["result"]["mixins"][0], made);
    }
    let keyed = admin.clone().with("Prefer", "wait=20").with("Idempotency-Key", "gold");
    let first = keyed.post(&save, &gold).expect(200);
    assert!(first.body.contains("class=\"mixin\""), "{first:?}");
    assert_eq!(keyed.post(&save, &gold).expect(200).body, first.body);
}

#[test]
fn operations_are_listed_by_page() {
    let occid = Occid::start();
    let admin = occid.admin();
    let ann = occid.user("ann", &["--project", "physics"]);
    for _ in 0..4 {
        admin.make("/compute/", COMPUTE);
    }
    ann.make("/compute/", COMPUTE);
    let all: Vec<_> = admin
        .get("/-/operation/")
        .expect(200)
        .body
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(all.len(), 5, "{all:?}");
    let page = |query: &str| {
        let list = admin.get(&format!("/-/operation/?{query}")).expect(200).body;
        list.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let id = |line: &str| line.rsplit('/').next().unwrap().to_owned();
    assert_eq!(page("number=2"), all[..2]);
    let second = format!("before={}&number=2", id(&all[1]));
    assert_eq!(page(&second), all[2..4]);
    assert_eq!(page(&format!("before={}", id(&all[3]))), all[4..]);
    assert_eq!(page(&format!("before={}", id(&all[4]))), all[..0]);
    assert_eq!(page("project=physics").len(), 1);
    // Following the links, nothing comes twice or is left out while more begin.
    let json = admin.clone().with("Accept", "application/json");
    let mut target = "/-/operation/?open=false&number=2".to_owned();
    let mut walked = Vec::new();
    loop {
        let answer = json.get(&target).expect(200);
        let operations = answer.json()["operations"].as_array().unwrap().clone();
        walked.extend(operations.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        let Some(next) = answer.header("link") else { break };
        let last = walked.last().unwrap();
        let expected = format!("/-/operation/?open=false&before={last}&number=2>; rel=\"next\"");
        assert!(next.ends_with(&expected), "{next}");
        target = expected.split_once('>').unwrap().0.to_owned();
        admin.make("/compute/", COMPUTE);
    }
    assert_eq!(walked, all.iter().map(|line| id(line)).collect::<Vec<_>>());
    assert_eq!(page(&second), all[2..4]);
    for bad in ["number=abc", "number=0", "before=x", "page=1", "page=x"] {
        admin.get(&format!("/-/operation/?{bad}")).expect(400);
    }
    admin.get("/-/operation/?number=100000").expect(413);
    // What narrows a listing narrows its next page.
    let first = json
        .get("/compute/?number=2&attribute=occi.compute.state&value=active")
        .expect(200);
    let next = first.header("link").unwrap();
    assert!(
        next.contains("attribute=occi.compute.state&value=active&page=2"),
        "{next}"
    );
}

#[test]
fn a_request_that_comes_twice_with_one_key_is_done_once() {
    let occid = slow(50);
    let admin = occid.admin();
    let keyed = admin.clone().with("Idempotency-Key", "\"5e1f\"");
    let first = keyed.post("/compute/", &compute("once")).expect(201);
    let again = keyed.post("/compute/", &compute("once"));
    assert_eq!(
        (again.status, again.location(), &again.body),
        (201, first.location(), &first.body)
    );
    let other = keyed.post("/compute/", &compute("twice")).expect(422);
    assert!(!other.body.is_empty());
    assert_eq!(
        admin
            .clone()
            .with("Accept", "text/uri-list")
            .get("/compute/")
            .body
            .lines()
            .count(),
        1
    );
    // Keys are a user's own, and outlive the process.
    let ann = occid.user("ann", &[]);
    let hers = ann
        .with("Idempotency-Key", "\"5e1f\"")
        .post("/compute/", &compute("once"))
        .expect(201);
    assert_ne!(hers.location(), first.location());
    let occid = occid.kill().start();
    let keyed = occid.admin().with("Idempotency-Key", "\"5e1f\"");
    assert_eq!(
        keyed.post("/compute/", &compute("once")).expect(201).location(),
        first.location()
    );
    keyed
        .clone()
        .with("Idempotency-Key", "")
        .post("/compute/", COMPUTE)
        .expect(400);
    keyed
        .with("Idempotency-Key", &"k".repeat(300))
        .post("/compute/", COMPUTE)
        .expect(400);
}

#[test]
fn what_runs_on_an_entity_keeps_other_changes_away_and_can_be_superseded() {
    let occid = slow(3000);
    let admin = occid.admin();
    let machine = admin.make("/compute/", COMPUTE);
    let stop = format!("{machine}?action=stop");
    let stopping = admin.clone().with("Prefer", "wait=0").post(&stop, &action("stop"));
    let operation = path_of(stopping.header("x-occi-operation").unwrap()).to_owned();
    let busy = admin
        .post(&format!("{machine}?action=suspend"), &action("suspend"))
        .expect(409);
    assert!(
        busy.header("x-occi-operation")
            .is_some_and(|url| url.ends_with(&operation)),
        "{busy:?}"
    );
    // What only the store holds can be changed.
    admin
        .post(&machine, "X-OCCI-Attribute: occi.core.title=\"new\"")
        .expect(200);
    admin.delete(&machine).expect(200);
    admin.get(&machine).expect(404);
    wait_for_all_operations(&admin);
    assert_eq!(admin.get("/compute/").expect(200).body, "");
}

#[test]
fn an_operation_can_be_cancelled() {
    let occid = slow(2000);
    let admin = occid.admin();
    let begun = admin
        .clone()
        .with("Prefer", "wait=0")
        .post("/compute/", COMPUTE)
        .expect(201);
    let operation = path_of(begun.header("x-occi-operation").unwrap()).to_owned();
    admin.delete(&operation).expect(200);
    wait_until("its end", || (state(&admin, &operation) == "failed").then_some(()));
    admin.delete(&operation).expect(409);
    let fresh = admin.clone().with("Cache-Control", "no-cache");
    wait_until("nothing to be left", || {
        fresh.get("/compute/").expect(200).body.is_empty().then_some(())
    });
}
