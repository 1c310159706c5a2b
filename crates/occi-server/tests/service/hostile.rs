//! Requests that nobody means well with: each gets a clear answer, and nothing has changed.

use crate::client::Client;
use crate::kinds::{COMPUTE, STORAGE, action, compute};
use crate::occid::{Occid, Setup};

/// Runs `attack` against a service with one compute, and looks that it is still the only one and as it was.
fn unharmed(setup: Setup, attack: impl FnOnce(&Occid, &Client, &str)) {
    let occid = setup.start();
    let admin = occid.admin();
    let machine = admin.make("/compute/", &compute("victim"));
    let before = admin.get("/").expect(200).body;
    let as_it_was = admin
        .clone()
        .with("Accept", "application/json")
        .get(&machine)
        .expect(200)
        .body;
    attack(&occid, &admin, &machine);
    assert_eq!(admin.get("/").expect(200).body, before);
    let as_it_is = admin
        .clone()
        .with("Accept", "application/json")
        .get(&machine)
        .expect(200)
        .body;
    assert_eq!(as_it_is, as_it_was);
    assert!(!occid.log().contains("panicked"), "{}", occid.log());
}

/// A refusal whose reason a person can read.
#[track_caller]
fn refused(answer: &crate::client::Answer, statuses: &[u16]) {
    assert!(statuses.contains(&answer.status), "{statuses:?}: {answer:#?}");
    assert!(answer.body.trim().len() > 5, "without a reason: {answer:?}");
    assert!(answer.header("x-request-id").is_some(), "{answer:?}");
}

#[test]
fn a_page_of_another_site_changes_nothing_with_the_login_that_a_browser_remembers() {
    unharmed(Setup::default(), |_, admin, machine| {
        for (name, value) in [
            ("Origin", "https://evil.example"),
            ("Origin", "http://127.0.0.1:1"),
            ("Origin", "null"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            let page = admin.clone().with(name, value);
            // What a form can send: text/plain needs nobody's leave.
            refused(&page.post("/compute/", COMPUTE), &[403]);
            refused(&page.post(&format!("{machine}?action=stop"), &action("stop")), &[403]);
            refused(&page.put(machine, COMPUTE), &[403]);
            refused(&page.delete(machine), &[403]);
            refused(&page.delete("/compute/"), &[403]);
            refused(&page.send("POST", "/-/image/?name=x", ""), &[403]);
            page.get(machine).expect(200);
        }
    });
    // The service's own pages, also behind a proxy that says where it is, or that changes the name of the server.
    let occid = Occid::start();
    let admin = occid.admin();
    let own = format!("http://{}", admin.address);
    admin
        .clone()
        .with("Origin", &own)
        .post("/compute/", COMPUTE)
        .expect(201);
    let proxied = admin.clone().with("Origin", "https://cloud.example.org");
    let told = proxied.clone().with("Sec-Fetch-Site", "same-origin");
    told.post("/compute/", COMPUTE).expect(201);
    refused(&proxied.post("/compute/", COMPUTE), &[403]);
    let public = "[http]\npublic_url = \"https://cloud.example.org\"";
    let occid = Setup::default().config(public).start();
    let proxied = occid.admin().with("Origin", "https://cloud.example.org");
    proxied.post("/compute/", COMPUTE).expect(201);
    let stranger = occid.admin().with("Origin", "https://example.org");
    refused(&stranger.post("/compute/", COMPUTE), &[403]);
}

#[test]
fn what_may_mean_several_things_is_refused() {
    unharmed(Setup::default(), |_, admin, machine| {
        let plain = admin.clone().with("Content-Type", "text/plain");
        let twice = "action=stop&action=start";
        for target in [machine, "/compute/"] {
            refused(&plain.send("POST", &format!("{target}?{twice}"), ""), &[400]);
        }
        for nothing in [";;;", ",", "; charset=utf-8"] {
            let unnamed = admin.clone().with("Content-Type", nothing);
            refused(&unnamed.send("POST", "/compute/", COMPUTE), &[415]);
        }
        let in_project = |name: &str| plain.clone().with("X-OCCI-Project", name);
        for (who, query) in [
            (&plain, "?project=default&project=lab"),
            (&plain, "?project=default&project=default"),
            (&in_project("lab"), "?project=default"),
            (&in_project("default\r\nX-OCCI-Project: lab"), ""),
            (&plain.clone().with("Idempotency-Key", "a\r\nIdempotency-Key: b"), ""),
        ] {
            refused(&who.send("POST", &format!("/compute/{query}"), COMPUTE), &[400]);
            refused(&who.send("DELETE", &format!("/compute/{query}"), ""), &[400]);
        }
        let list = admin.clone().with("Accept", "text/uri-list");
        refused(&list.get("/compute/nope"), &[404]);
        refused(&list.get(machine), &[400]);
        let tag = "Category: t; scheme=\"http://example.org/t#\"; class=\"mixin\"; location=\"/tags/t/\"";
        admin.post("/-/", tag).expect(200);
        for target in [
            "/tags/t/z",
            "/tags/t/y/z",
            "/mixin/os_tpl/q10",
            "/healthz/q9",
            "/events/x",
            "/openapi.json/x",
            "/metrics/a/b",
        ] {
            refused(&plain.send("PUT", target, COMPUTE), &[400]);
            admin.get(target).expect(404);
        }
        admin
            .clone()
            .with("Content-Type", "text/plain")
            .send("DELETE", "/-/", tag)
            .expect(200);
    });
}

#[test]
fn core_24_an_id_is_the_last_part_of_its_path_also_if_it_is_written_as_a_urn() {
    let occid = Occid::start();
    let admin = occid.admin();
    let made = admin.put("/compute/urn:uuid:zz9", COMPUTE).expect(201);
    assert_eq!(made.location(), "/compute/zz9");
    let machine = admin.make("/compute/", COMPUTE);
    let as_urn = machine.replace("/compute/", "/compute/urn:uuid:");
    for target in ["/compute/zz9", "/compute/urn:uuid:zz9", &as_urn, &format!("{as_urn}/")] {
        let id = target.trim_end_matches('/').rsplit(['/', ':']).next().unwrap();
        let seen = admin.get(target).expect(200).body;
        assert!(seen.contains(&format!("occi.core.id=\"{id}\"")), "{target}: {seen}");
    }
    admin.delete(&as_urn).expect(200);
    admin.get(&machine).expect(404);
    refused(&admin.put("/compute/urn:uuid:", COMPUTE), &[400]);
    refused(&admin.put("/compute/urn:x:zz9", COMPUTE), &[400]);
}

#[test]
fn bodies_that_say_nothing_sensible_are_bad_requests() {
    unharmed(Setup::default(), |_, admin, machine| {
        let plain = admin.clone().with("Content-Type", "text/plain");
        let json = admin.clone().with("Content-Type", "application/occi+json");
        let attribute = |text: &str| format!("{COMPUTE}X-OCCI-Attribute: {text}\n").into_bytes();
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let nested = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
        let kind = "\"kind\":\"http://schemas.ogf.org/occi/infrastructure#compute\"";
        let many: String = (0..300).map(|at| format!("X-OCCI-Attribute: a.b{at}=1\n")).collect();
        let links: String = (0..300)
            .map(|_| "Link: </storage/1>; rel=\"http://schemas.ogf.org/occi/infrastructure#storage\"\n")
            .collect();
        let text: Vec<(&str, Vec<u8>)> = vec![
            ("an open quote", attribute("occi.core.title=\"x")),
            ("a backslash at the end", attribute("occi.core.title=\"x\\")),
            ("a quote in the middle", attribute("occi.core.title=\"a\"b\"")),
            (
                "an open quote in a category",
                b"Category: compute; scheme=\"http://x#; class=\"kind\"".into(),
            ),
            ("no scheme", b"Category: compute; class=\"kind\"".into()),
            ("no value", attribute("occi.core.title")),
            (
                "not UTF-8",
                [COMPUTE.as_bytes(), b"X-OCCI-Attribute: occi.core.title=\"\xff\xfe\"\n"].concat(),
            ),
            ("a NUL in quotes", attribute("occi.core.title=\"a\0b\"")),
            ("an escape sequence", attribute("occi.core.title=\"\u{1b}[2J\"")),
            ("words for a number", attribute("occi.compute.cores=\"two\"")),
            ("no whole number", attribute("occi.compute.cores=1.5")),
            ("less than nothing", attribute("occi.compute.cores=-1")),
            (
                "more than any machine",
                attribute("occi.compute.cores=99999999999999999999"),
            ),
            ("not a number", attribute("occi.compute.memory=NaN")),
            ("infinite", attribute("occi.compute.memory=1e999")),
            ("no such attribute", attribute("occi.compute.colour=\"red\"")),
            ("no such kind", COMPUTE.replace("compute", "abacus").into()),
            (
                "no such mixin",
                format!("{COMPUTE}Category: x; scheme=\"http://example.org/x#\"; class=\"mixin\"").into(),
            ),
            (
                "two kinds",
                format!("{COMPUTE}{}", COMPUTE.replace("compute", "network")).into(),
            ),
            (
                "a class that it is not",
                COMPUTE.replace("\"kind\"", "\"mixin\"").into(),
            ),
            ("no field", b"hello\nworld".into()),
            ("nothing", b"\n\n".into()),
            (
                "a link to nowhere",
                format!("{COMPUTE}Link: </storage/0>; rel=\"http://schemas.ogf.org/occi/infrastructure#storage\"")
                    .into(),
            ),
            (
                "a link without an end",
                format!("{COMPUTE}Link: </storage/1; rel=\"x\"").into(),
            ),
            ("attributes without end", format!("{COMPUTE}{many}").into()),
            ("links without end", format!("{COMPUTE}{links}").into()),
            ("categories without end", COMPUTE.repeat(100).into()),
        ];
        for (what, body) in text {
            let answer = plain.send("POST", "/compute/", &body);
            assert!(matches!(answer.status, 400 | 404 | 413), "{what}: {answer:#?}");
            refused(&answer, &[400, 404, 413]);
        }
        for (what, body) in [
            ("half a document", format!("{{{kind}")),
            ("two documents", format!("{{{kind}}}{{{kind}}}")),
            ("a list", "[]".into()),
            ("a number", "1".into()),
            ("null", "null".into()),
            ("deep lists", format!("{{{kind},\"attributes\":{{\"a\":{deep}}}}}")),
            ("deep from the start", deep.clone()),
            ("deep objects", format!("{{{kind},\"attributes\":{nested}}}")),
            ("a kind that is a number", "{\"kind\":1}".into()),
            ("attributes that are a list", format!("{{{kind},\"attributes\":[]}}")),
            ("a title that is a list", format!("{{{kind},\"title\":[1]}}")),
            ("a NUL", format!("{{{kind},\"title\":\"a\\u0000b\"}}")),
            ("half a character", format!("{{{kind},\"title\":\"\\ud800\"}}")),
            ("mixins that are no names", format!("{{{kind},\"mixins\":[1]}}")),
        ] {
            let answer = json.send("POST", "/compute/", &body);
            assert!(matches!(answer.status, 400 | 413), "{what}: {answer:#?}");
            refused(&answer, &[400, 413]);
        }
        refused(&json.send("POST", "/compute/", b"{\"kind\":\"\xff\"}"), &[400]);
        // In headers, the same.
        let headers = admin.clone().with("Content-Type", "text/occi");
        refused(
            &headers
                .clone()
                .with("Category", "compute; scheme=\"x")
                .send("POST", "/compute/", ""),
            &[400],
        );
        refused(
            &headers
                .clone()
                .with("X-OCCI-Attribute", "occi.core.title=\"")
                .send("POST", machine, ""),
            &[400],
        );
        // As a filter.
        refused(&headers.with("Category", "compute").get("/compute/"), &[400]);
        for query in [
            "?page=x",
            "?number=0",
            "?number=-1",
            "?page=1&number=99999999999999999999",
            "?filter==",
            "?category=%22",
        ] {
            refused(&admin.get(&format!("/compute/{query}")), &[400, 404, 413]);
        }
        refused(&admin.get("/compute/?page=1&number=1001"), &[413]);
        // Media types.
        for media in [
            "application/xml",
            "text/html",
            "multipart/form-data",
            "text",
            "/",
            "\u{1}",
        ] {
            let answer = admin
                .clone()
                .with("Content-Type", media)
                .send("POST", "/compute/", COMPUTE);
            assert!(matches!(answer.status, 400 | 415), "{media}: {answer:?}");
        }
        refused(&admin.clone().with("Accept", "image/png").get(machine), &[406]);
        refused(&admin.clone().with("Accept", "text/uri-list").get(machine), &[400]);
        refused(&admin.clone().with("User-Agent", "x OCCI/2.0").get(machine), &[501]);
        refused(&admin.get(&format!("{machine}?action=fly")), &[200, 400]);
        refused(&admin.post(&format!("{machine}?action=fly"), ""), &[400]);
        for term in ["", "a%20b", "%22", "%00", "%ff", "//", "&action=start"] {
            refused(&admin.post(&format!("{machine}?action={term}"), ""), &[400]);
            refused(&admin.post(&format!("/compute/?action={term}"), ""), &[400]);
        }
    });
}

#[test]
fn what_the_moment_forbids_is_a_conflict() {
    unharmed(Setup::default(), |_, admin, machine| {
        let admin = admin.clone().with("Prefer", "wait=20");
        let start = format!("{machine}?action=start");
        // The first one finds it done.
        admin.post(&start, &action("start")).expect(200);
        refused(&admin.post(&start, &action("start")), &[409]);
        let volume = admin.post("/storage/", STORAGE).expect(201).location();
        let link = format!(
            "{}X-OCCI-Attribute: occi.core.source=\"{machine}\"\nX-OCCI-Attribute: occi.core.target=\"{volume}\"\n",
            COMPUTE.replace("compute", "storagelink")
        );
        let link = admin.post("/storagelink/", &link).expect(201).location();
        refused(&admin.delete(&volume), &[409]);
        refused(&admin.delete("/storage/"), &[409]);
        refused(&admin.post(&format!("{volume}?action=start"), &action("start")), &[400]);
        admin.get(&volume).expect(200);
        admin.delete(&link).expect(200);
        admin.delete(&volume).expect(200);
    });
}

#[test]
fn a_change_with_a_query_key_that_means_nothing_there_is_refused_and_not_made() {
    unharmed(Setup::default(), |_, admin, machine| {
        let stop = action("stop");
        let text = admin.clone().with("Content-Type", "text/plain");
        let new = "/compute/aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee?tilte=x";
        for (method, target, body, key, known) in [
            (
                "DELETE",
                "/compute/?fliter=occi.compute.cores=4",
                "",
                "fliter",
                "filter",
            ),
            ("DELETE", "/?Filter=occi.compute.cores=4", "", "Filter", "filter"),
            ("DELETE", "/compute/?page=2;number=1", "", "page", "filter"),
            (
                "DELETE",
                &format!("{machine}?filter=occi.compute.cores=99"),
                "",
                "filter",
                "project",
            ),
            (
                "DELETE",
                &format!("{machine}/?filter=occi.compute.cores=99"),
                "",
                "filter",
                "project",
            ),
            ("DELETE", &format!("{machine}?action=stop"), "", "action", "project"),
            (
                "POST",
                "/compute/?action=stop&fliter=a=b",
                &stop,
                "fliter",
                "action, filter",
            ),
            ("POST", &format!("{machine}?x"), COMPUTE, "x", "project"),
            ("POST", "/compute/?acton=stop", COMPUTE, "acton", "project"),
            ("PUT", &format!("{machine}?x=1"), COMPUTE, "x", "project"),
            ("PUT", new, COMPUTE, "tilte", "project"),
            ("DELETE", "/-/?x=1", "", "x", "project"),
        ] {
            let answer = text.send(method, target, body);
            refused(&answer, &[400]);
            assert!(
                answer.body.contains(&format!("{key:?}")) && answer.body.contains(&format!("there are: {known}")),
                "{method} {target}: {answer:#?}"
            );
        }
        // A cache is led past with such keys by clients that only read.
        admin.get(&format!("{machine}?_=1")).expect(200);
        admin
            .delete("/compute/?filter=occi.core.title=nobody&project=default")
            .expect(200);
    });
}

#[test]
fn a_deletion_that_names_amiss_what_it_means_deletes_nothing() {
    unharmed(Setup::default(), |_, admin, machine| {
        let tag = "Category: t; scheme=\"http://example.org/t#\"; class=\"mixin\"";
        admin.post("/-/", &format!("{tag}; location=\"/t/\"")).expect(200);
        let member = format!("X-OCCI-Location: {machine}");
        admin.post("/t/", &member).expect(200);
        let link = "</compute/x>; rel=\"http://schemas.ogf.org/occi/infrastructure#compute\"";
        for at in ["/compute/", "/t/", "/"] {
            for (media, header, body) in [
                // Of a script whose variable is empty.
                ("text/plain", None, "X-OCCI-Location:"),
                ("text/plain", None, "X-OCCI-Location: ,"),
                ("text/occi", Some(("X-OCCI-Location", "")), ""),
                ("text/occi", Some(("X-OCCI-Locations", machine)), ""),
                ("text/occi", None, &member),
                ("text/occi", Some(("Link", link)), ""),
                ("text/plain", None, &format!("Link: {link}")),
            ] {
                let mut client = admin.clone().with("Content-Type", media);
                if let Some((name, value)) = header {
                    client = client.with(name, value);
                }
                let answer = client.send("DELETE", at, body);
                assert_eq!(
                    answer.status, 400,
                    "DELETE {at} {media} {header:?} {body:?}: {answer:?}"
                );
                refused(&answer, &[400]);
            }
            refused(&admin.delete(&format!("{at}?operator=0")), &[400]);
        }
        // Members of a mixin are dissociated by name, or all of them.
        let titled = admin.clone().with("X-OCCI-Attribute", "occi.core.title=\"nobody\"");
        refused(&titled.clone().with("Content-Type", "text/occi").delete("/t/"), &[400]);
        assert!(admin.get("/t/").expect(200).body.contains(machine));
        admin.send("DELETE", "/-/", tag);
    });
}

#[test]
fn paths_lead_nowhere_but_to_entities() {
    unharmed(Setup::default(), |occid, admin, machine| {
        for target in [
            "/compute/../../etc/passwd",
            "/compute/%2e%2e/%2e%2e/etc/passwd",
            "/compute/..%2f..%2fetc%2fpasswd",
            "/compute/%2E%2E",
            "/compute/.",
            "/compute/a%00b",
            "/compute/%ff",
            "/compute/%",
            "/compute/%zz",
            "/compute/a%2Fb",
            "/%2e%2e/-/",
            "/compute/%0d%0aX-Injected:%20yes",
        ] {
            for method in ["GET", "PUT", "DELETE", "POST"] {
                let body = if matches!(method, "PUT" | "POST") { COMPUTE } else { "" };
                let answer = admin
                    .clone()
                    .with("Content-Type", "text/plain")
                    .send(method, target, body);
                assert!(matches!(answer.status, 400 | 404), "{method} {target}: {answer:?}");
                assert!(answer.header("x-injected").is_none());
            }
        }
        for target in [
            "/compute/%252e%252e",
            "/compute/a/b/c",
            "/compute/...",
            "/compute/-",
            "/nothing/here",
            "/-/x",
            "/.well-known/x",
            "/compute/\u{e9}t\u{e9}",
            "/compute/%F0%9F%92%A9",
            "/initial-admin-password",
            "/compute/'%20OR%201=1",
        ] {
            let target = target.replace('\u{e9}', "%C3%A9");
            let answer = admin.get(&target);
            assert!(matches!(answer.status, 400 | 404), "{target}: {answer:?}");
            admin.delete(&target).expect(404);
        }
        // A path given by a client has the form of an id at its end, in the kind's own collection, and is free.
        for target in [
            "/compute/a.b",
            "/compute/a/",
            "/-/x",
            "/.well-known/x",
            "/metrics",
            "/ui/x",
            "/storage/aaaa-bbbb",
            "/compute/%20",
            "/compute/a%20b",
        ] {
            let answer = admin.put(target, COMPUTE);
            assert!(matches!(answer.status, 400 | 405 | 409 | 501), "{target}: {answer:?}");
        }
        // Where the answer says it is does not follow a header into nonsense.
        let host = |host: &str| {
            let mut raw = occid.raw();
            let head = admin.head().replace(&occid.address.to_string(), host);
            raw.exchange(&format!("GET /compute/ HTTP/1.1\r\n{head}\r\n"))
        };
        assert!(
            host("cloud.example.org")
                .body
                .contains(&format!("http://cloud.example.org{machine}"))
        );
        for odd in ["a b", "x/../y", "<script>", "", "user@host:80:90"] {
            let answer = host(odd);
            assert!(
                answer.status == 400 || answer.body.contains(&format!("http://{}{machine}", occid.address)),
                "{odd}: {answer:?}"
            );
        }
    });
}

#[test]
fn a_connection_carries_requests_one_after_the_other_whatever_came_before() {
    unharmed(Setup::default(), |occid, admin, machine| {
        let head = admin.head();
        // Many at once: as many answers, in order.
        let mut raw = occid.raw();
        let one = |target: &str| format!("GET {target} HTTP/1.1\r\n{head}\r\n");
        raw.write(
            [
                one(machine),
                one("/nothing/x"),
                one("/healthz"),
                one("/compute/../x"),
                one("/compute/"),
            ]
            .concat(),
        );
        let statuses: Vec<_> = (0..5).map(|_| raw.answer().unwrap().status).collect();
        assert_eq!(statuses, [200, 404, 200, 400, 200]);
        // A body that was not asked for belongs to its request.
        let smuggled = one("/compute/");
        raw.write(format!(
            "GET {machine} HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{smuggled}",
            smuggled.len()
        ));
        raw.write(one("/healthz"));
        assert!(raw.answer().unwrap().expect(200).body.contains("victim"));
        assert_eq!(raw.answer().unwrap().expect(200).body, "ok\n");

        // The whole URL, and the old version.
        let answer = occid
            .raw()
            .exchange(&format!("GET http://cloud.example.org/compute/ HTTP/1.1\r\n{head}\r\n"))
            .expect(200);
        assert!(
            answer.body.contains(&format!("http://cloud.example.org{machine}")),
            "{answer:?}"
        );
        let mut old = occid.raw();
        let credentials = head.split_once("\r\n").unwrap().1;
        let answer = old
            .exchange(&format!("GET {machine} HTTP/1.0\r\n{credentials}\r\n"))
            .expect(200);
        assert!(answer.line.ends_with("200 OK"), "{answer:?}");
        assert!(old.is_closed());
        refused(
            &occid.raw().exchange(&format!("OPTIONS * HTTP/1.1\r\n{head}\r\n")),
            &[200, 204, 400],
        );
        refused(
            &occid.raw().exchange(&format!("PATCH {machine} HTTP/1.1\r\n{head}\r\n")),
            &[405],
        );
        refused(
            &occid.raw().exchange(&format!("BREW {machine} HTTP/1.1\r\n{head}\r\n")),
            &[405],
        );
        refused(
            &occid.raw().exchange(&format!("TRACE / HTTP/1.1\r\n{head}\r\n")),
            &[405],
        );
    });
}

#[test]
fn what_is_not_http_ends_its_own_connection_only() {
    unharmed(Setup::default(), |occid, admin, machine| {
        let head = admin.head();
        let body = compute("smuggled");
        let length = body.len();
        let mut bystander = occid.raw();
        bystander
            .exchange(&format!("GET {machine} HTTP/1.1\r\n{head}\r\n"))
            .expect(200);
        for bytes in [
            "hello\r\n\r\n".to_owned(),
            "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03".to_owned(),
            "GET / HTTP/9.9\r\n\r\n".to_owned(),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            format!("GET /compute/ HTTP/1.1\r\n{head}Bad Name: x\r\n\r\n"),
            format!("GET /compute/ HTTP/1.1\r\n{head}X: a\0b\r\n\r\n"),
            format!("GET /com pute/ HTTP/1.1\r\n{head}\r\n"),
            format!("POST /compute/ HTTP/1.1\r\n{head}Content-Length: x\r\n\r\n"),
            format!("POST /compute/ HTTP/1.1\r\n{head}Content-Length: -1\r\n\r\n"),
            format!("POST /compute/ HTTP/1.1\r\n{head}Content-Length: 1\r\nContent-Length: {length}\r\n\r\n{body}"),
            format!("POST /compute/ HTTP/1.1\r\n{head}Transfer-Encoding: gzip\r\n\r\n{body}"),
            format!("POST /compute/ HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n"),
            format!(
                "POST /compute/ HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{body}\r\n"
            ),
            format!("POST /compute/ HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{body}\r\n0\r\n\r\n"),
        ] {
            let mut raw = occid.raw();
            raw.write(&bytes);
            raw.end();
            let answer = raw.answer();
            assert!(
                answer
                    .as_ref()
                    .is_none_or(|answer| (400..=501).contains(&answer.status)),
                "{bytes}: {answer:?}"
            );
            while raw.answer().is_some() {}
        }
        // A body that breaks off is not acted on.
        let mut broken = occid.raw();
        broken.write(format!(
            "POST /compute/ HTTP/1.1\r\n{head}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            length + 10
        ));
        broken.end();
        assert!(broken.answer().is_none_or(|answer| answer.status == 400));
        // Of a length and chunks, chunks count and the connection ends, or it is refused.
        let mut both = occid.raw();
        both.write(format!("GET {machine} HTTP/1.1\r\n{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"));
        let statuses: Vec<_> = std::iter::from_fn(|| both.answer())
            .map(|answer| answer.status)
            .take(2)
            .collect();
        assert!(!statuses.is_empty());
        bystander
            .exchange(&format!("GET {machine} HTTP/1.1\r\n{head}\r\n"))
            .expect(200);
    });
}

#[test]
fn whom_a_request_asks_is_said_once_and_in_letters_of_a_url() {
    let occid = Setup::default().start();
    let ask = |request: &str| {
        let mut raw = occid.raw();
        raw.write(format!("{request}\r\n\r\n"));
        raw.answer().unwrap_or_else(|| panic!("no answer to {request:?}"))
    };
    for hosts in ["localhost", "EXAMPLE.org:80", "[::1]:8787", "a_b.example", ""] {
        ask(&format!("GET /healthz HTTP/1.1\r\nHost: {hosts}")).expect(200);
    }
    ask("GET /healthz HTTP/1.0").expect(200);
    for amiss in ["a\r\nHost: b", "user@host", "a,b", "a b", "evil\"><x", "a/b"] {
        ask(&format!("GET /healthz HTTP/1.1\r\nHost: {amiss}")).expect(400);
    }
    ask("GET /healthz HTTP/1.1").expect(400);
    ask("GET http://user@host/healthz HTTP/1.1\r\nHost: host").expect(400);
}

#[test]
fn http_64_a_panic_in_one_request_ends_no_other_changes_nothing_and_tells_nothing() {
    let occid = Setup::default().variable("OCCID_FAULT", "admit:start:panic").start();
    let admin = occid.admin();
    let head = admin.head();
    let mut bystander = occid.raw();
    let look = format!("GET /compute/ HTTP/1.1\r\n{head}\r\n");
    bystander.exchange(&look).expect(200);
    let mut raw = occid.raw();
    let length = COMPUTE.len();
    let create = format!(
        "POST /compute/ HTTP/1.1\r\n{head}Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{COMPUTE}"
    );
    let answer = raw.exchange(&create).expect(500);
    let id = answer.header("x-request-id").unwrap();
    assert!(
        !answer.body.contains("panic") && !answer.body.contains("src/"),
        "{answer:?}"
    );
    occid.has_said(id);
    assert!(bystander.exchange(&look).expect(200).body.is_empty());
    // The same connection goes on.
    let made = raw.exchange(&create).expect(201);
    admin.get(&made.location()).expect(200);
    assert!(
        occid
            .stop()
            .start()
            .admin()
            .get("/compute/")
            .expect(200)
            .body
            .contains(&made.location())
    );
}
