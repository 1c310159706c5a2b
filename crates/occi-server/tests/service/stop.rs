//! How the service ends.

use crate::kinds::{COMPUTE, compute};
use crate::occid::{Occid, Setup};
use rustix::process::Signal;
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn a_request_that_is_being_answered_is_answered_before_the_end() {
    let mut occid = Occid::start();
    let admin = occid.admin();
    let body = compute("late");
    let mut open = occid.raw();
    let head = format!(
        "{}Content-Type: text/plain\r\nContent-Length: {}\r\n",
        admin.head(),
        body.len()
    );
    open.write(format!("POST /compute/ HTTP/1.1\r\n{head}\r\n{}", &body[..20]));
    // An idle connection does not delay the end.
    let mut idle = occid.raw();
    idle.exchange("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect(200);
    occid.signal(Signal::TERM);
    assert!(idle.is_closed());
    let begin = Instant::now();
    while TcpStream::connect(occid.address).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(5), "it goes on listening");
        std::thread::sleep(Duration::from_millis(10));
    }
    open.write(&body[20..]);
    let answer = open.answer().unwrap().expect(201);
    assert!(open.is_closed());
    assert!(occid.wait().success(), "{}", occid.log());
    let again = occid.setup.clone().start();
    again.admin().get(&answer.location()).expect(200);
}

#[test]
fn a_request_that_does_not_end_is_cut_off_after_the_grace() {
    let mut occid = Setup::default().config("[http]\nshutdown_grace = \"300ms\"").start();
    let mut open = occid.raw();
    let head = occid.admin().head();
    open.write(format!(
        "POST /compute/ HTTP/1.1\r\n{head}Content-Length: 100\r\n\r\nabc"
    ));
    std::thread::sleep(Duration::from_millis(100));
    occid.signal(Signal::INT);
    let begin = Instant::now();
    assert!(occid.wait().success());
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(
        occid
            .setup
            .clone()
            .start()
            .admin()
            .get("/compute/")
            .expect(200)
            .body
            .is_empty()
    );
}

#[test]
fn the_end_leaves_machines_alone() {
    let occid = Setup::default().cloud("").start();
    let machine = occid
        .admin()
        .clone()
        .with("Prefer", "wait=20")
        .post("/compute/", COMPUTE)
        .expect(201)
        .location();
    let occid = occid.stop().start();
    let fresh = occid.admin().with("Cache-Control", "no-cache");
    assert!(
        fresh
            .get(&machine)
            .expect(200)
            .body
            .contains("occi.compute.state=\"active\"")
    );
}
