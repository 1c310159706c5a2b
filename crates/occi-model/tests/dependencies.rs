//! Who may know whom: dependencies between the crates point down only, and the lower ones stay free of I/O.
//!
//! Change the table in the commit that gives the reason.

#![expect(
    clippy::expect_used,
    reason = "a test: what is not as expected fails it, with these words"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate and the crates of ours that it may name in `[dependencies]`; development dependencies are free.
const ALLOWED: &[(&str, &[&str])] = &[
    ("occi-model", &[]),
    ("occi-rendering", &["occi-model"]),
    // It speaks to anybody's server, so it knows nothing of ours.
    ("occi-client", &["occi-model", "occi-rendering"]),
    ("occi-cli", &["occi-client", "occi-model", "occi-rendering"]),
    ("occi-backend", &["occi-model"]),
    ("occi-store", &["occi-model"]),
    ("occi-engine", &["occi-backend", "occi-model", "occi-store"]),
    (
        "occi-server",
        &[
            "occi-backend",
            "occi-backend-memory",
            "occi-backend-qemu",
            "occi-engine",
            "occi-model",
            "occi-rendering",
            "occi-store",
        ],
    ),
    ("occi-backend-memory", &["occi-backend", "occi-model"]),
    ("occi-backend-qemu", &["occi-backend", "occi-model"]),
    // It judges a server from outside, so it shares no code with one.
    ("occi-conformance", &[]),
    // It kills a server whose cloud, the memory engine, runs in its own process.
    ("occi-campaign", &["occi-backend", "occi-backend-memory"]),
    // It prepares data where the server will look for them and compares with the layers one by one.
    (
        "occi-bench",
        &[
            "occi-backend",
            "occi-engine",
            "occi-model",
            "occi-rendering",
            "occi-store",
        ],
    ),
];

/// What the crates without I/O never pull in, however indirectly.
const WITHOUT_IO: &[&str] = &["occi-model", "occi-rendering"];
const IO: &[&str] = &["tokio", "hyper", "http", "reqwest", "mio", "rusqlite"];

/// Crates for development and tests.
const FOR_TESTS: &[&str] = &[
    "assert_cmd",
    "criterion",
    "insta",
    "proptest",
    "rstest",
    "trycmd",
    "turmoil",
    "wiremock",
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn members(metadata: &Value) -> Vec<&Value> {
    let members = list(metadata, "workspace_members");
    list(metadata, "packages")
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .collect()
}

/// The dependencies that end up in a program; `kind` is null for these and `build` for build scripts.
fn shipped(package: &Value) -> impl Iterator<Item = &Value> {
    list(package, "dependencies")
        .iter()
        .filter(|d| text(d, "kind") != "dev")
}

#[test]
fn dependencies_between_our_crates_point_down() {
    let metadata = metadata();
    let members = members(&metadata);
    let ours: BTreeSet<&str> = members.iter().map(|package| text(package, "name")).collect();
    for package in members {
        let name = text(package, "name");
        let (_, allowed) = ALLOWED
            .iter()
            .find(|(known, _)| *known == name)
            .unwrap_or_else(|| panic!("{name} is new: say in ALLOWED whom it may know"));
        for dependency in shipped(package).map(|d| text(d, "name")).filter(|d| ours.contains(d)) {
            assert!(allowed.contains(&dependency), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_model_and_the_renderings_pull_in_no_io() {
    let metadata = metadata();
    let names: BTreeMap<&str, &str> = list(&metadata, "packages")
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let edges: BTreeMap<&str, Vec<&str>> = list(&metadata["resolve"], "nodes")
        .iter()
        .map(|node| {
            let shipped = list(node, "deps")
                .iter()
                .filter(|dep| list(dep, "dep_kinds").iter().any(|kind| text(kind, "kind") != "dev"));
            (text(node, "id"), shipped.map(|dep| text(dep, "pkg")).collect())
        })
        .collect();
    for start in WITHOUT_IO {
        let (start, _) = names.iter().find(|(_, name)| *name == start).expect("a crate of ours");
        let mut seen = BTreeSet::new();
        let mut open = vec![*start];
        while let Some(id) = open.pop() {
            assert!(!IO.contains(&names[id]), "{} reaches {}", names[start], names[id]);
            if seen.insert(id) {
                open.extend(edges.get(id).into_iter().flatten());
            }
        }
    }
}

#[test]
fn requirements_are_caret_and_test_crates_stay_in_tests() {
    let metadata = metadata();
    for package in members(&metadata) {
        for dependency in shipped(package) {
            let (name, requirement) = (text(dependency, "name"), text(dependency, "req"));
            assert!(
                requirement.starts_with('^') || !dependency["path"].is_null(),
                "{}: {name} = {requirement} is no caret requirement",
                text(package, "name")
            );
            assert!(
                !FOR_TESTS.contains(&name),
                "{}: {name} belongs into [dev-dependencies]",
                text(package, "name")
            );
        }
    }
}
