//! Too much, too fast, too slow: every limit has its own answer, and what is below it is not touched.

use crate::client::{Client, Raw};
use crate::kinds::{COMPUTE, compute};
use crate::occid::{Occid, Setup};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

#[test]
fn wrong_passwords_are_slowed_down_and_right_ones_that_are_known_are_not() {
    let occid = Setup::default().config("[auth]\nwrong_passwords = 3").start();
    let admin = occid.admin();
    admin.get("/compute/").expect(200);
    let wrong = occid.client("admin", "wrong");
    for _ in 0..4 {
        wrong.get("/compute/").expect(401);
    }
    let slowed = wrong.get("/compute/").expect(429);
    let wait: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert!(slowed.body.contains("wrong passwords"), "{slowed:?}");
    // Nobody else has to wait, not even from this address; who is in stays in.
    occid.user("ann", &[]).get("/compute/").expect(200);
    occid.client("nobody", "x").get("/compute/").expect(401);
    admin.get("/compute/").expect(200);
    std::thread::sleep(Duration::from_secs(wait));
    wrong.get("/compute/").expect(401);
}

#[test]
fn who_comes_with_many_connections_at_once_is_let_in_with_all_and_a_wrong_password_is_slowed_down_as_ever() {
    let occid = Setup::default().config("[auth]\nwrong_passwords = 3").start();
    let all_at_once = |client: &Client| -> Vec<u16> {
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..48)
                .map(|_| scope.spawn(|| client.get("/compute/").status))
                .collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        })
    };
    let admin = occid.admin();
    assert_eq!(all_at_once(&admin), [200; 48]);
    // What is known of the old password does not count.
    occid
        .setup
        .run_with_input(&["user", "passwd", "admin"], "another\n")
        .good();
    let refused = all_at_once(&admin);
    assert!(refused.iter().all(|status| [401, 429].contains(status)), "{refused:?}");
    assert!(
        refused.iter().filter(|status| **status == 401).count() < 10,
        "{refused:?}"
    );
}

#[test]
fn who_comes_through_a_proxy_is_slowed_down_for_nobody_elses_wrong_passwords() {
    let config = "[auth]\nwrong_passwords = 3\n[http]\ntrusted_proxies = [\"127.0.0.0/8\"]";
    let occid = Setup::default().config(config).start();
    let from = |address: &str, password: &str| {
        let client = occid.client("ann", password);
        client.with("X-Forwarded-For", address).get("/compute/")
    };
    occid.user("ann", &[]);
    for _ in 0..4 {
        from("203.0.113.9, 192.0.2.1", "wrong").expect(401);
    }
    // Whatever the client writes before what the proxy appends.
    from("203.0.113.10, 192.0.2.1", "wrong").expect(429);
    from("192.0.2.1", "ann").expect(429);
    from("192.0.2.2", "ann").expect(200);
}

#[test]
fn who_asks_too_fast_is_told_to_wait_and_others_are_not() {
    let occid = Setup::default().config("[rate]\nper_second = 1\nburst = 3").start();
    let admin = occid.admin();
    let ann = occid.user("ann", &[]);
    for _ in 0..3 {
        admin.get("/compute/").expect(200);
    }
    let fast = admin.post("/compute/", COMPUTE).expect(429);
    assert_eq!(fast.header("retry-after"), Some("1"));
    assert!(ann.get("/compute/").expect(200).body.is_empty(), "nothing was made");
    std::thread::sleep(Duration::from_millis(1100));
    admin.get("/compute/").expect(200);
}

#[test]
fn requests_beyond_those_that_can_be_worked_on_are_turned_away() {
    let occid = Setup::default().config("[http]\nrequests = 1").start();
    let admin = occid.admin();
    admin.get("/compute/").expect(200);
    // One that takes its time occupies the only place, once it has come before who asks whether it does.
    let request = format!("POST /compute/ HTTP/1.1\r\n{}Content-Length: 100\r\n\r\n", admin.head());
    let mut slow = None;
    let refused = crate::occid::wait_until("the only place to be taken", || {
        let held = slow.get_or_insert_with(|| {
            let mut slow = occid.raw();
            slow.write(&request);
            slow
        });
        if !held.is_silent_for(Duration::from_millis(20)) {
            slow = None;
        }
        let answer = admin.get("/compute/");
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(refused.header("retry-after"), Some("1"));
    occid.anonymous().get("/healthz").expect(200);
    drop(slow);
    crate::occid::wait_until("the place", || (admin.get("/compute/").status == 200).then_some(()));
}

#[test]
fn a_listing_keeps_its_place_until_it_is_read_or_its_reader_goes() {
    let occid = Setup::default().config("[http]\nrequests = 2").start();
    let admin = occid.admin();
    let long = "x".repeat(60_000);
    for _ in 0..40 {
        admin
            .post(
                "/compute/",
                &format!("{COMPUTE}X-OCCI-Attribute: occi.core.summary=\"{long}\"\n"),
            )
            .expect(201);
    }
    let ask = "GET /compute/ HTTP/1.0\r\nHost: occid\r\nAccept: application/occi+json\r\n\r\n";
    let begun = || {
        // Of a socket of this machine we know that it does not hold so much.
        let mut raw = Raw::over(UnixStream::connect(occid.setup.data().join("occid.sock")).unwrap());
        raw.write(ask);
        assert!(raw.line().unwrap().contains(" 200 "));
        raw
    };
    let asked = || {
        occid
            .at_socket("occid.sock", "GET /-/ HTTP/1.1\r\nHost: occid\r\n\r\n")
            .status
    };
    let has_room = || crate::occid::wait_until("the place", || (asked() == 200).then_some(()));
    let mut listing = begun();
    assert_eq!(asked(), 429);
    admin.get("/-/").expect(200);
    assert!(listing.rest().len() > 40 * long.len());
    has_room();
    let left = begun();
    assert_eq!(asked(), 429);
    drop(left);
    has_room();
}

#[test]
fn http_70_headers_that_are_too_many_or_too_large_are_refused() {
    let occid = Occid::start();
    let admin = occid.admin();
    let long = "x".repeat(20 << 10);
    let many = |number: usize, length: usize| {
        let value = "y".repeat(length);
        (0..number).fold(admin.clone(), |client, at| client.with(&format!("X-A{at}"), &value))
    };
    for (client, limit) in [
        (admin.clone().with("X-Long", &long), "16384 bytes"),
        (admin.clone().with("Category", &long), "16384 bytes"),
        (many(20, 4000), "65536 bytes"),
        (many(600, 1), "512 headers"),
    ] {
        let answer = client.get("/compute/").expect(431);
        assert!(answer.body.contains(limit), "{answer:?}");
        assert!(answer.header("server").is_some() && answer.header("x-request-id").is_some());
    }
    // What hyper itself refuses says less.
    for client in [many(3000, 1), many(50, 10_000)] {
        client.get("/compute/").expect(431);
    }
    many(400, 10).get("/compute/").expect(200);
    let answer = admin.get(&format!("/compute/{long}")).expect(414);
    assert!(answer.body.len() < 500, "{answer:?}");
    admin
        .get(&format!("/compute/?filter={}", "z".repeat(70_000)))
        .expect(414);
}

#[test]
fn http_70_a_body_over_the_limit_is_refused_before_it_is_read() {
    let occid = Setup::default().config("[http]\nbody_limit = \"64 KiB\"").start();
    let admin = occid.admin();
    let head = admin.head();
    let mut said = occid.raw();
    let answer = said
        .exchange(&format!(
            "POST /compute/ HTTP/1.1\r\n{head}Content-Length: 65537\r\n\r\n"
        ))
        .expect(413);
    assert!(answer.body.contains("65536 bytes"), "{answer:?}");
    assert!(said.is_closed());
    // A client that asks first is not told to go on.
    let mut asks = occid.raw();
    asks.write(format!(
        "POST /compute/ HTTP/1.1\r\n{head}Content-Length: 9999999\r\nExpect: 100-continue\r\n\r\n"
    ));
    asks.answer().unwrap().expect(413);
    let mut goes_on = occid.raw();
    let body = compute("expected");
    let length = body.len();
    goes_on.write(format!(
        "POST /compute/ HTTP/1.1\r\n{head}Content-Type: text/plain\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    ));
    goes_on.answer_to("HEAD").unwrap().expect(100);
    goes_on.exchange(&body).expect(201);
    // One without a length is measured.
    let mut chunks = occid.raw();
    chunks.write(format!(
        "POST /compute/ HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n"
    ));
    for _ in 0..5 {
        chunks.write(format!("4000\r\n{}\r\n", " ".repeat(0x4000)));
    }
    chunks.answer().unwrap().expect(413);
    assert!(chunks.is_closed());
    // All of it sent before the answer is looked at.
    admin.post("/compute/", &" ".repeat(1 << 20)).expect(413);
    let list = admin
        .clone()
        .with("Accept", "text/uri-list")
        .get("/compute/")
        .expect(200);
    assert_eq!(list.body.lines().count(), 1, "{list:?}");
}

#[test]
fn http_70_large_bodies_have_so_much_memory_and_no_more_and_small_ones_do_not_notice() {
    let config = "[http]\nbody_limit = \"320 KiB\"\nbody_memory = \"1 MiB\"";
    let occid = Setup::default().config(config).start();
    let [admin, ann, bob] = [occid.admin(), occid.user("ann", &[]), occid.user("bob", &[])];
    let large = format!(
        "{COMPUTE}X-OCCI-Attribute: occi.core.summary=\"{}\"\n",
        "x".repeat(310 << 10)
    );
    // 512 KiB of the one MiB are one principal's: two such bodies are held, and the third is turned away.
    let fill = |client: &Client| {
        let mut held = Vec::new();
        let refused = crate::occid::wait_until("a refusal", || {
            let mut slow = occid.raw();
            slow.write(format!(
                "POST /compute/ HTTP/1.1\r\n{}Content-Length: 327680\r\n\r\n{}",
                client.head(),
                " ".repeat(310 << 10)
            ));
            if slow.is_silent_for(Duration::from_secs(1)) {
                held.push(slow);
                return None;
            }
            slow.answer()
        });
        assert!(held.len() <= 2, "{} are held", held.len());
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        assert_eq!(refused.header("connection"), Some("close"));
        (held, refused.status)
    };
    let (held, status) = fill(&ann);
    assert_eq!(status, 429);
    ann.post("/compute/", COMPUTE).expect(201);
    admin.post("/compute/", &large).expect(201);
    let (_others, _) = fill(&admin);
    let refused = bob.post("/compute/", &large).expect(503);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    bob.post("/compute/", COMPUTE).expect(201);
    drop(held);
    let again = || (ann.post("/compute/", &large).status == 201).then_some(());
    crate::occid::wait_until("room for the body", again);
}

#[test]
fn clients_that_stall_are_cut_off() {
    let occid = Setup::default()
        .config("[http]\nheader_timeout = \"400ms\"\nbody_timeout = \"300ms\"")
        .start();
    let admin = occid.admin();
    admin.get("/compute/").expect(200);
    let head = admin.head();
    let soon = |begin: Instant| assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());

    // Nothing, half a head, and an idle connection.
    let begin = Instant::now();
    let mut silent = occid.raw();
    let mut half = occid.raw();
    half.write("GET /compute/ HTTP/1.1\r\nHost: x\r\nX-A: ");
    let mut idle = occid.raw();
    idle.exchange("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect(200);
    assert!(silent.is_closed() && idle.is_closed());
    assert!(half.answer().is_none_or(|answer| answer.status == 408));
    soon(begin);

    // A head that comes a byte at a time.
    let begin = Instant::now();
    let mut drop_by_drop = occid.raw();
    for byte in "GET / HTTP/1.1\r\nHost: x\r\n".bytes().cycle().take(60) {
        drop_by_drop.write([byte]);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(drop_by_drop.answer().is_none_or(|answer| answer.status == 408));
    soon(begin);

    // A body that stops, and one that never ends although it never stops.
    let begin = Instant::now();
    let mut stalled = occid.raw();
    stalled.write(format!(
        "POST /compute/ HTTP/1.1\r\n{head}Content-Length: 100\r\n\r\nCat"
    ));
    stalled.answer().unwrap().expect(408);
    assert!(stalled.is_closed());
    soon(begin);
    let begin = Instant::now();
    let mut endless = occid.raw();
    endless.write(format!(
        "POST /compute/ HTTP/1.1\r\n{head}Content-Length: 100000\r\n\r\n"
    ));
    while begin.elapsed() < Duration::from_millis(3300) {
        endless.write("x");
        std::thread::sleep(Duration::from_millis(50));
    }
    endless.answer().unwrap().expect(408);
    soon(begin);
    // Nobody else has noticed.
    assert!(admin.get("/compute/").expect(200).body.is_empty());
}

#[test]
fn a_client_that_reads_nothing_gives_its_place_back() {
    let occid = Setup::default()
        .config("[http]\nbody_timeout = \"300ms\"\nconnections = 1")
        .start();
    let head = occid.admin().head();
    let mut deaf = occid.raw();
    // More answers than the sockets between us hold.
    deaf.write(format!("GET /-/ HTTP/1.1\r\n{head}\r\n").repeat(1000));
    let begin = Instant::now();
    occid.anonymous().get("/healthz").expect(200);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let occid = Setup::default().config("[http]\nconnections = 2").start();
    let hello = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut first = occid.raw();
    let mut second = occid.raw();
    first.exchange(hello).expect(200);
    second.exchange(hello).expect(200);
    let mut third = occid.raw();
    third.write(hello);
    assert!(third.is_silent_for(Duration::from_millis(300)));
    drop(first);
    third.answer().unwrap().expect(200);
}
