//! `occi watch`.

use crate::world::{World, said};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

/// Starts one, and returns when it has seen what there is.
fn watching(world: &World, line: &str) -> Child {
    let mut process = world.command(line).spawn().expect("occi starts");
    let mut first = String::new();
    let stderr = process.stderr.take().expect("occi has a stderr");
    BufReader::new(stderr)
        .read_line(&mut first)
        .expect("occi says something");
    assert!(first.starts_with("watching "), "{first}");
    process
}

pub(crate) fn changes_are_told_as_they_come() {
    let world = World::new();
    world.good("create compute web1 --wait");
    let mut people = watching(&world, "watch compute");
    let json = watching(&world, "watch -o json --for 1m --until gone");
    let gone = watching(&world, "watch web1 --until inactive,gone");

    let mut told = BufReader::new(people.stdout.take().expect("occi has a stdout")).lines();
    let mut next = || told.next().expect("there is more").expect("a line");
    world.good("update web1 memory=2G --wait");
    let line = next();
    assert!(line.ends_with("compute web1  memory 1 GiB -> 2 GiB"), "{line}");
    world.good("stop web1 --wait");
    let line = next();
    assert!(line.contains("compute web1  state active -> inactive"), "{line}");
    assert_eq!(said(gone).code, Some(0));
    world.good("create compute web2 --wait");
    let line = next();
    assert!(line.ends_with("compute web2  created"), "{line}");
    world.good("delete compute --all --yes --wait");
    while !next().ends_with("deleted") {}

    let interrupted = Command::new("kill").args(["-INT", &people.id().to_string()]).status();
    assert!(interrupted.expect("kill runs").success());
    assert_eq!(said(people).code, Some(0));

    // What the project has of its own may stay.
    for network in world.good("list network -o name").lines() {
        world.good(&format!("delete {network} --wait"));
    }
    let json = said(json);
    assert_eq!(json.code, Some(0), "{json:?}");
    let has = |part: &str| json.out.lines().any(|line| line.contains(part));
    assert!(has(r#""occi.compute.memory":{"from":1.0,"to":2.0}"#), "{}", json.out);
    assert!(
        has(r#""change":"deleted""#) && has(r#""change":"created""#),
        "{}",
        json.out
    );

    let late = world.occi("watch compute --until active --for 1s");
    assert_eq!(late.code, Some(6), "{late:?}");
}
