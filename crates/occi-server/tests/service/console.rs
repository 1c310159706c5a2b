//! Consoles: what has come over them, and who sits at them.

use crate::client::{Answer, Client, Raw};
use crate::kinds::{COMPUTE, action, compute};
use crate::occid::{Occid, Setup, wait_until};
use rustix::process::Signal;
use std::time::Duration;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: occi-console\r\n";

/// Asks for a console; its connection is the console if the answer is 101.
fn ask(occid: &Occid, who: &Client, target: &str) -> (Raw, Answer) {
    let mut raw = occid.raw();
    let answer = raw.exchange(&format!("GET {target} HTTP/1.1\r\n{}{UPGRADE}\r\n", who.head()));
    (raw, answer)
}

fn open(occid: &Occid, who: &Client, machine: &str) -> Raw {
    let (raw, answer) = ask(occid, who, &format!("/-/console{machine}"));
    let answer = answer.expect(101);
    assert_eq!(answer.header("upgrade"), Some("occi-console"), "{answer:?}");
    raw
}

/// Follows the output of a machine.
fn follow(occid: &Occid, who: &Client, machine: &str) -> Raw {
    let mut raw = occid.raw();
    let head = who.head();
    raw.write(format!(
        "GET /-/console-log{machine}?follow=true HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
    ));
    raw
}

#[test]
fn what_came_over_a_console_is_a_text() {
    let occid = Occid::start();
    let admin = occid.admin();
    let machine = admin.make("/compute/", COMPUTE);
    let log = |query: &str| admin.get(&format!("/-/console-log{machine}{query}")).expect(200);
    let answer = log("");
    assert_eq!(answer.body, "booted\r\n");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let mut followed = follow(&occid, &admin, &machine);
    followed.until("booted");
    admin.post(&format!("{machine}?action=suspend"), "").expect(200);
    followed.until("suspended");
    admin.post(&format!("{machine}?action=start"), "").expect(200);
    followed.until("continued");
    admin
        .post(&format!("{machine}?action=stop"), &action("stop"))
        .expect(200);
    // The end of the machine is the end of the text.
    let rest = followed.rest();
    assert!(
        rest.contains("switched off") && rest.ends_with("\r\n0\r\n\r\n"),
        "{rest:?}"
    );
    assert_eq!(log("?tail=2").body, "continued\r\nswitched off\r\n");
    assert_eq!(log("?tail=0").body, "");
    assert_eq!(log("?follow=true&tail=1").body, "switched off\r\n");
    assert_eq!(
        admin
            .send("HEAD", &format!("/-/console-log{machine}"), "")
            .expect(200)
            .body,
        ""
    );
    admin.get(&format!("/-/console-log{machine}?tail=all")).expect(400);
    admin.post(&format!("/-/console-log{machine}"), "").expect(405);
    let network = admin.make(
        "/network/",
        "Category: network; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"",
    );
    let none = admin.get(&format!("/-/console-log{network}")).expect(501);
    assert!(none.body.contains("\"memory\""), "{none:?}");
    admin.get("/-/console-log/compute/nothing").expect(404);
    admin.put("/-/console-log/compute/x", COMPUTE).expect(405);
}

#[test]
fn a_console_is_a_connection_that_was_upgraded() {
    let occid = Occid::start();
    let admin = occid.admin();
    let machine = admin.make("/compute/", COMPUTE);
    let target = format!("/-/console{machine}");
    let plain = admin.get(&target).expect(426);
    assert_eq!(plain.header("upgrade"), Some("occi-console"), "{plain:?}");
    let mut console = open(&occid, &admin, &machine);
    console.write("date\r");
    console.until("date\r\n");
    admin.post(&format!("{machine}?action=suspend"), "").expect(200);
    console.until("suspended");
    admin.post(&format!("{machine}?action=start"), "").expect(200);
    console.until("continued");
    // What was typed and shown is in the output too.
    let log = admin.get(&format!("/-/console-log{machine}")).expect(200).body;
    assert!(log.contains("date\r\n"), "{log:?}");
    admin
        .post(&format!("{machine}?action=stop"), &action("stop"))
        .expect(200);
    console.until("switched off");
    assert!(console.is_closed());
    let (_, answer) = ask(&occid, &admin, &target);
    assert!(answer.expect(409).body.contains("start it"));
    let (_, answer) = ask(&occid, &admin, "/-/console/compute/nothing");
    answer.expect(404);
}

#[test]
fn a_console_has_one_place() {
    let occid = Occid::start();
    let admin = occid.admin();
    let machine = admin.make("/compute/", COMPUTE);
    let mut first = open(&occid, &admin, &machine);
    first.write("a");
    first.until("a");
    let target = format!("/-/console{machine}");
    let (_, refused) = ask(&occid, &admin, &target);
    assert!(
        refused.expect(409).body.contains("somebody else"),
        "who sits there stays"
    );
    let (mut second, forced) = ask(&occid, &admin, &format!("{target}?force=true"));
    forced.expect(101);
    first.until("somebody else has taken this console");
    assert!(first.is_closed());
    second.write("b");
    second.until("b");
    // Nobody has to go for somebody who cannot come.
    admin.post(&format!("{machine}?action=suspend"), "").expect(200);
    ask(&occid, &admin, &format!("{target}?force=true")).1.expect(409);
    second.write("still here");
    second.until("still here");
    admin.post(&format!("{machine}?action=start"), "").expect(200);
    // Who goes without a word leaves the place free.
    drop(second);
    wait_until("the place", || {
        (ask(&occid, &admin, &target).1.status == 101).then_some(())
    });
}

#[test]
fn readers_look_and_do_not_type_and_others_see_nothing() {
    let occid = Occid::start();
    let ann = occid.user("ann", &["--project", "physics"]);
    let bob = occid.user("bob", &["--project", "chemistry"]);
    let reader = occid.user("reader", &["--project", "physics"]);
    let member = ["project", "member", "add", "physics", "reader", "--role", "reader"];
    occid.setup.run(&member).good();
    let machine = ann.make("/compute/", &compute("ann's"));
    let log = format!("/-/console-log{machine}");
    let line = format!("/-/console{machine}");
    for who in [&ann, &reader, &occid.admin()] {
        assert_eq!(who.get(&log).expect(200).body, "booted\r\n");
    }
    bob.get(&log).expect(404);
    ask(&occid, &bob, &line).1.expect(404);
    ask(&occid, &reader, &line).1.expect(403);
    occid.anonymous().get(&log).expect(401);
    ask(&occid, &occid.anonymous(), &line).1.expect(401);
    ask(&occid, &ann, &line).1.expect(101);
}

#[test]
fn an_engine_without_consoles_says_so() {
    let occid = Setup::default().cloud("").start();
    let admin = occid.admin();
    let machine = admin.make("/compute/", COMPUTE);
    let log = admin.get(&format!("/-/console-log{machine}")).expect(501);
    assert!(log.body.contains("\"memory\""), "{log:?}");
    ask(&occid, &admin, &format!("/-/console{machine}")).1.expect(501);
}

#[test]
fn open_consoles_take_nobody_s_turn_and_no_time_out_ends_them() {
    let timeouts = "[http]\nrequests = 2\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\nconnections = 8";
    let occid = Setup::default().config(timeouts).start();
    let admin = occid.admin();
    let machines: Vec<_> = (0..2).map(|_| admin.make("/compute/", COMPUTE)).collect();
    let mut console = open(&occid, &admin, &machines[0]);
    let mut log = follow(&occid, &admin, &machines[0]);
    log.until("booted");
    // What is open for long has places of its own: half of the connections, and half of that for one of us.
    let (_, full) = ask(&occid, &admin, &format!("/-/console{}", machines[1]));
    assert!(full.expect(429).body.contains("too many open consoles"));
    std::thread::sleep(Duration::from_millis(2500));
    admin.get(&machines[0]).expect(200);
    console.write("still here");
    console.until("still here");
    log.until("still here");
}

#[test]
fn the_end_of_the_service_ends_consoles_at_once_and_says_so() {
    let mut occid = Occid::start();
    let admin = occid.admin();
    let machine = admin.make("/compute/", COMPUTE);
    let mut console = open(&occid, &admin, &machine);
    let mut log = follow(&occid, &admin, &machine);
    log.until("booted");
    let begin = std::time::Instant::now();
    occid.signal(Signal::TERM);
    console.until("the service stops");
    assert_eq!(log.rest(), "0\r\n\r\n");
    assert!(occid.wait().success(), "{}", occid.log());
    // Long before requests would be cut off.
    assert!(begin.elapsed() < Duration::from_secs(8));
}
