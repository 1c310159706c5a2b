//! What survives a process that is killed.

use crate::kinds::{STORAGE, compute};
use crate::occid::{Setup, wait_for_all_operations, wait_until};
use std::collections::BTreeSet;

#[test]
fn machines_are_found_again_after_a_kill_and_nothing_is_made_twice() {
    // A cloud that works slowly and shows late what it has made.
    let setup = Setup::default().cloud("work_ms = 400\nlatency_ms = 5\nlate_ms = 150\nlist_delay_ms = 50");
    let occid = setup.start();
    let admin = occid.admin();
    let first = admin.post("/compute/", &compute("first")).expect(201).location();
    let disk = admin.post("/storage/", STORAGE).expect(201).location();
    // Answered when they are recorded: the engine may not have heard of them when the process is killed.
    let hasty = admin.clone().with("Prefer", "wait=0");
    let mut all: BTreeSet<String> = [first.clone(), disk].into();
    for number in 0..5 {
        all.insert(
            hasty
                .post("/compute/", &compute(&format!("c{number}")))
                .expect(201)
                .location(),
        );
    }
    let gone = admin.post("/compute/", &compute("gone")).expect(201).location();
    hasty.delete(&gone).expect(200);
    let occid = occid.kill().start();
    let admin = occid.admin();
    for path in &all {
        admin.get(path).expect(200);
    }
    admin.get(&gone).expect(404);
    wait_until("the machines", || {
        let list = admin.clone().with("Accept", "application/json").get("/compute/").json();
        let resources = list["resources"].as_array().unwrap();
        assert_eq!(resources.len(), 6, "{list:#}");
        let up = |resource: &serde_json::Value| resource["attributes"]["occi.compute.state"] == "active";
        resources.iter().all(up).then_some(())
    });
    wait_for_all_operations(&admin);
    // What the cloud holds is what we know, after it was asked afresh.
    let fresh = admin
        .clone()
        .with("Cache-Control", "no-cache")
        .with("Accept", "text/uri-list");
    let held = |kind: &str| fresh.get(kind).expect(200).body.lines().count();
    assert_eq!((held("/compute/"), held("/storage/")), (6, 1));
    assert_eq!(computes_in_the_cloud(&occid.setup), 6);
}

/// How many there are, by the cloud's own journal.
fn computes_in_the_cloud(setup: &Setup) -> usize {
    let journal = std::fs::read_to_string(setup.home().join("cloud.json")).unwrap();
    let mut there = BTreeSet::new();
    for line in journal.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let key = |change: &str| entry[change]["key"]["id"].as_str().map(str::to_owned);
        there.extend(key("Put"));
        key("Gone").map(|id| there.remove(&id));
    }
    there.iter().filter(|id| id.starts_with("compute-")).count()
}
