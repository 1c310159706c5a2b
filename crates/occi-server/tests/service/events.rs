//! What happened: who learns of it, and that nothing is lost or told twice.

use crate::client::{Client, Raw};
use crate::kinds::{COMPUTE, action, compute};
use crate::occid::{Occid, Setup, wait_for_all_operations, wait_until};
use crate::postgres::on_postgres;
use occi_store::{Commit, SqliteStore, Store, Write};
use rustix::process::Signal;
use serde_json::Value as Json;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const NETWORK: &str = "Category: network; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n";

/// A stream of events that is followed.
struct Stream(Raw);

/// What the stream told.
#[derive(Debug)]
struct Event {
    number: i64,
    what: String,
    document: Json,
}

impl Event {
    fn subject(&self) -> &str {
        self.document["subject"].as_str().unwrap()
    }

    /// Whether an operation ended with it.
    fn is_end(&self) -> bool {
        self.document["data"]["operation"]["state"] == "succeeded"
    }
}

impl Stream {
    /// Asks in the way of HTTP/1.0, whose bodies have no chunks between what they say.
    fn ask(who: &Client, query: &str, more: &str) -> Self {
        let mut raw = who.raw();
        let head = who.head();
        raw.write(format!(
            "GET /events{query} HTTP/1.0\r\n{head}Accept: text/event-stream\r\n{more}\r\n"
        ));
        Self(raw)
    }

    #[track_caller]
    fn follow(who: &Client, query: &str) -> Self {
        Self::resume(who, query, "")
    }

    #[track_caller]
    fn resume(who: &Client, query: &str, more: &str) -> Self {
        let mut stream = Self::ask(who, query, more);
        let head = stream.head();
        assert!(head[0].contains(" 200 "), "{head:?}");
        assert!(head.contains(&"Content-Type: text/event-stream".to_owned()), "{head:?}");
        // It says where it begins: from here on nothing is missed.
        assert!(stream.0.line().unwrap().starts_with("retry: "));
        assert!(stream.0.line().unwrap().starts_with("id: "));
        assert_eq!(stream.0.line().as_deref(), Some(""));
        stream
    }

    fn head(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.line().filter(|line| !line.is_empty())).collect()
    }

    /// The next event; none at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        loop {
            let (mut number, mut what, mut document) = (0, String::new(), None);
            loop {
                let line = self.0.line()?;
                match line.split_once(": ") {
                    Some(("id", value)) => number = value.parse().unwrap(),
                    Some(("event", value)) => what = value.to_owned(),
                    Some(("data", value)) => document = Some(serde_json::from_str(value).unwrap()),
                    _ if line.is_empty() => break,
                    _ => assert!(line.starts_with(':') || line.starts_with("retry: "), "{line:?}"),
                }
            }
            if let Some(document) = document {
                return Some(Event { number, what, document });
            }
        }
    }

    /// Everything up to the end of an operation, that included.
    fn until_an_end(&mut self) -> Vec<Event> {
        let mut seen = Vec::new();
        loop {
            seen.push(self.next().expect("another event"));
            if seen.last().is_some_and(Event::is_end) {
                return seen;
            }
        }
    }
}

#[test]
fn a_stream_tells_what_happens_and_where_operations_are() {
    let occid = Occid::start();
    it_is_told_what_happens(&occid.admin());
    occid.anonymous().get("/events").expect(401);
}

#[test]
fn events_are_told_from_postgresql_as_well() {
    on_postgres(it_is_told_what_happens);
}

fn it_is_told_what_happens(admin: &Client) {
    admin.make("/compute/", &compute("before"));
    let mut stream = Stream::follow(admin, "");
    let machine = admin.make("/compute/", &compute("web"));
    let made = stream.until_an_end();
    assert_eq!((made[0].what.as_str(), made[0].subject()), ("created", &*machine));
    let last = made.last().unwrap();
    assert_eq!((last.what.as_str(), last.subject()), ("changed", &*machine));
    let envelope = &last.document;
    assert_eq!(envelope["specversion"], "1.0");
    assert_eq!(envelope["id"], last.number.to_string());
    assert_eq!(envelope["source"], "/events");
    assert_eq!(envelope["type"], "occid.changed");
    assert!(envelope["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let data = &envelope["data"];
    assert_eq!(
        (&data["title"], &data["state"], &data["kind"]),
        (
            &"web".into(),
            &"active".into(),
            &"http://schemas.ogf.org/occi/infrastructure#compute".into()
        )
    );
    let operation = data["operation"]["location"].as_str().unwrap();
    assert_eq!(
        admin.clone().with("Accept", "application/json").get(operation).json()["state"],
        "succeeded"
    );
    admin
        .post(&format!("{machine}?action=stop"), &action("stop"))
        .expect(200);
    let stopped = stream.until_an_end();
    assert!(stopped.iter().all(|event| event.what == "changed"), "{stopped:?}");
    assert_eq!(stopped.last().unwrap().document["data"]["state"], "inactive");
    admin.clone().with("Prefer", "wait=20").delete(&machine).expect(200);
    let mut gone = stream.until_an_end();
    // Its interface goes with it.
    gone.push(stream.next().unwrap());
    assert!(gone.iter().all(|event| event.what == "deleted"), "{gone:?}");
    let told: Vec<_> = made.iter().chain(&stopped).chain(&gone).collect();
    let numbers: Vec<_> = told.iter().map(|event| event.number).collect();
    let first = numbers[0];
    assert_eq!(numbers, (first..).take(numbers.len()).collect::<Vec<_>>());

    // The same as pages, and narrowed.
    let json = admin.clone().with("Accept", "application/json");
    let page = |query: &str| json.get(&format!("/events{query}")).expect(200);
    let found = |query: &str| -> Vec<_> {
        let events = page(query).json()["events"].as_array().unwrap().clone();
        events
            .into_iter()
            .map(|event| event["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let all: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    assert_eq!(found(&format!("?after={}", first - 1)), all);
    let of_machine = told.iter().filter(|event| event.subject() == machine);
    let of_machine: Vec<_> = of_machine.map(|event| event.number.to_string()).collect();
    let url = format!("HTTP://{}{machine}", admin.address);
    for spelling in [machine.clone(), format!("{machine}/"), format!("/{machine}"), url] {
        assert_eq!(found(&format!("?entity={spelling}")), of_machine, "{spelling}");
    }
    assert_eq!(found(&format!("?number={}", all.len())), all, "the last ones");
    assert_eq!(found("?number=1"), all[all.len() - 1..]);
    let id = operation.rsplit('/').next().unwrap();
    let begun_and_ended = [made[0].number.to_string(), last.number.to_string()];
    assert_eq!(found(&format!("?operation={id}")), begun_and_ended);
    assert_eq!(
        found("?kind=http://schemas.ogf.org/occi/infrastructure%23storage"),
        [""; 0]
    );
    let first_page = page(&format!("?number=2&after={}", first - 1));
    let link = first_page.header("link").unwrap();
    assert!(
        link.contains(&format!("after={}", first + 1)) && link.contains("rel=\"next\""),
        "{link}"
    );
    for bad in [
        "?after=x",
        "?before=x",
        "?after=1&before=9",
        "?number=0",
        "?kind=x",
        "?operation=x",
    ] {
        json.get(&format!("/events{bad}")).expect(400);
    }
    admin.clone().with("Accept", "text/plain").get("/events").expect(406);
    admin.put("/events", "").expect(405);
}

#[test]
fn nothing_is_lost_or_told_twice_when_the_service_dies() {
    let occid = Occid::start();
    let admin = occid.admin();
    let mut stream = Stream::follow(&admin, "");
    admin.make("/compute/", COMPUTE);
    let mut told: Vec<_> = stream.until_an_end().iter().map(|event| event.number).collect();
    // These are recorded, and nobody has read of them.
    drop(stream);
    admin.make("/compute/", COMPUTE);
    let setup = occid.kill();
    let occid = setup.start();
    let admin = occid.admin();
    admin.make("/compute/", COMPUTE);
    let last = told[told.len() - 1];
    // What a browser says that comes back, which wins over the URL.
    let mut stream = Stream::resume(&admin, "?after=0", &format!("Last-Event-ID: {last}\r\n"));
    for _ in 0..2 {
        told.extend(stream.until_an_end().iter().map(|event| event.number));
    }
    let first = told[0];
    assert_eq!(told, (first..).take(told.len()).collect::<Vec<_>>());
}

#[test]
fn others_learn_of_nothing_but_what_is_shown_to_them() {
    let occid = Occid::start();
    let ann = occid.user("ann", &["--project", "physics"]);
    let bob = occid.user("bob", &["--project", "chemistry"]);
    let mut his = Stream::follow(&bob, "");
    let network = ann.make("/network/", NETWORK);
    let machine = ann.make("/compute/", &compute("secret"));
    bob.get("/events?project=physics").expect(403);
    let share = |with: &[&str]| {
        occid
            .setup
            .run(&[&["network", "share", &*network, "--with"], with].concat())
            .good();
    };
    share(&["chemistry"]);
    let shown = his.next().unwrap();
    assert_eq!((shown.what.as_str(), shown.subject()), ("changed", &*network));
    let data = &shown.document["data"];
    assert!(data["project"].is_null() && data["operation"].is_null(), "{shown:?}");
    occid.setup.run(&["network", "unshare", &network]).good();
    let hidden = his.next().unwrap();
    assert_eq!((hidden.what.as_str(), hidden.subject()), ("deleted", &*network));
    ann.clone().with("Prefer", "wait=20").delete(&machine).expect(200);
    let own = bob.make("/compute/", COMPUTE);
    assert_eq!(his.next().unwrap().subject(), own);
    // Nor afterwards: what is shown to nobody any more is not described.
    let page = bob
        .with("Accept", "application/json")
        .get("/events?after=0")
        .expect(200)
        .body;
    assert!(
        !page.contains(&machine) && !page.contains("secret") && !page.contains("physics"),
        "{page}"
    );
    let all = occid.admin().with("Accept", "application/json").get("/events?after=0");
    assert!(all.body.contains(&machine) && all.body.contains("physics"));
}

#[test]
fn a_stream_ends_with_the_account_and_with_the_service() {
    let mut occid = Occid::start();
    let admin = occid.admin();
    let ann = occid.user("ann", &["--project", "physics"]);
    let bob = occid.user("bob", &["--project", "physics"]);
    let mut hers = Stream::follow(&ann, "");
    let mut his = Stream::follow(&bob, "");
    ann.make("/compute/", COMPUTE);
    hers.until_an_end();
    his.until_an_end();
    occid.setup.run(&["user", "remove", "ann"]).good();
    let machine = bob.make("/compute/", COMPUTE);
    while let Some(event) = hers.next() {
        assert_ne!(event.subject(), machine, "nothing is told after that");
    }
    while his.next().unwrap().subject() != machine {}
    drop(admin);
    let begin = Instant::now();
    occid.signal(Signal::TERM);
    while his.next().is_some() {}
    assert!(occid.wait().success(), "{}", occid.log());
    assert!(begin.elapsed() < Duration::from_secs(8));
}

#[test]
fn who_has_missed_what_is_kept_no_more_has_to_list_again() {
    let occid = Occid::start();
    let admin = occid.admin();
    for _ in 0..3 {
        admin.make("/compute/", COMPUTE);
    }
    let json = admin
        .clone()
        .with("Accept", "application/problem+json, application/json");
    let newest = |json: &Client| -> i64 {
        let page = json.get("/events?number=1").json();
        page["events"][0]["id"].as_str().unwrap().parse().unwrap()
    };
    let last = newest(&json);
    json.get(&format!("/events?after={}", last + 1)).expect(410);
    let setup = occid.stop();
    let keep = 2;
    let store = SqliteStore::open(setup.data().join("occid.db")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(store.sweep(0, keep, 0, 0, 0)).unwrap();
    drop((store, runtime));
    let occid = setup.start();
    let json = occid
        .admin()
        .with("Accept", "application/problem+json, application/json");
    let gone = json.get(&format!("/events?after={}", last - keep - 1)).expect(410);
    assert!(gone.body.contains("urn:occid:problem:resync"), "{gone:?}");
    let mut stream = Stream::ask(&occid.admin(), "?after=0", "");
    assert!(stream.head()[0].contains(" 410 "));
    let left = json.get(&format!("/events?after={}", last - keep)).expect(200).json();
    assert_eq!(left["events"].as_array().unwrap().len(), 2);
}

#[test]
fn the_last_events_are_found_however_many_others_made_since() {
    let occid = Setup::default().config("[engine]\npage_limit = 3").start();
    let ann = occid.user("ann", &["--project", "physics"]);
    occid.user("bob", &["--project", "chemistry"]);
    for _ in 0..2 {
        ann.make("/compute/", COMPUTE);
    }
    wait_for_all_operations(&ann);
    let setup = occid.stop();
    let store = SqliteStore::open(setup.data().join("occid.db")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let others = (0..110_000).map(|_| Write::ModelChanged(Some("chemistry".to_owned())));
    let commit = Commit {
        writes: others.collect(),
        ..Commit::default()
    };
    runtime.block_on(store.commit(commit)).unwrap();
    drop((store, runtime));
    let occid = setup.start();
    let ann = occid.client("ann", "ann").with("Accept", "application/json");
    // Each as far as it looks, and the whole again from the other end.
    let walk = |first: &str, rel: &str| -> Vec<Vec<u64>> {
        let mut target = first.to_owned();
        let mut pages = Vec::new();
        loop {
            let page = ann.get(&target).expect(200);
            let events = page.json()["events"].as_array().unwrap().clone();
            let number = |event: &Json| event["id"].as_str().unwrap().parse().unwrap();
            pages.push(events.iter().map(number).collect());
            let Some(link) = page.header("link") else { return pages };
            let url = link.strip_prefix('<').unwrap();
            let url = url.strip_suffix(&format!(">; rel=\"{rel}\"")).expect(link);
            target = url[url.find("/events").unwrap()..].to_owned();
        }
    };
    let mut back = walk("/events?number=1000", "prev");
    assert!(
        back[0].is_empty() && back.iter().all(|page| page.len() <= 3),
        "{back:?}"
    );
    back.reverse();
    let on = walk("/events?number=1000&after=0", "next");
    assert_eq!(back.concat(), on.concat());
    assert!(back.concat().len() > 3, "{back:?}");
}

#[test]
fn one_user_has_sixteen_streams_at_most() {
    let occid = Occid::start();
    let ann = occid.user("ann", &["--project", "physics"]);
    let mut streams: Vec<_> = (0..16).map(|_| Stream::follow(&ann, "")).collect();
    let head = Stream::ask(&ann, "", "").head();
    assert!(head[0].contains(" 429 "), "{head:?}");
    Stream::follow(&occid.admin(), "");
    // A page is none.
    ann.clone()
        .with("Accept", "application/json")
        .get("/events")
        .expect(200);
    drop(streams.pop());
    wait_until("a place", || {
        Stream::ask(&ann, "", "").head()[0].contains(" 200 ").then_some(())
    });
}

#[test]
fn who_does_not_read_is_cut_off_and_takes_no_place() {
    let impatient = "[http]\nrequests = 2\nbody_timeout = \"1s\"\nconnections = 8";
    let occid = Setup::default().config(impatient).start();
    let admin = occid.admin();
    // What each event says twice.
    let machine = format!("/{}/web", "x".repeat(2000));
    admin.put(&machine, COMPUTE).expect(201);
    for turn in 0..150 {
        let title = format!("X-OCCI-Attribute: occi.core.title=\"{turn}\"\n");
        admin.post(&machine, &format!("{COMPUTE}{title}")).expect(200);
    }
    // Of a socket of this machine we know how much it holds of what nobody reads.
    let ask = |query: &str| {
        let socket = UnixStream::connect(occid.setup.data().join("occid.sock")).unwrap();
        let mut raw = Raw::over(socket);
        raw.write(format!("GET /events{query} HTTP/1.0\r\nHost: occid\r\n\r\n"));
        Stream(raw)
    };
    let mut idle = ask("");
    assert!(idle.head()[0].contains(" 200 "));
    let mut deaf = ask("?after=0");
    assert!(deaf.head()[0].contains(" 200 "));
    assert!(ask("").head()[0].contains(" 429 "), "half of the places for one");
    let begin = Instant::now();
    while !ask("").head()[0].contains(" 200 ") {
        assert!(begin.elapsed() < Duration::from_secs(20), "its place is not free");
        std::thread::sleep(Duration::from_millis(100));
    }
    // Who has nothing to read is not slow.
    admin.make("/compute/", COMPUTE);
    assert!(idle.next().is_some());
    drop(deaf);
}
