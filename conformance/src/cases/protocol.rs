//! HTTP as OCCI uses it (GFD.223, section 3): versions, media types, methods, credentials, limits, conditions.

use crate::site::{Site, action, kind, unique};
use crate::suite::{cases, skip};
use std::time::Duration;

cases!(Checklist:
    http_6_a_version_above_ours_is_not_implemented,
    http_7_text_1_json_1_the_answer_is_what_was_negotiated,
    http_8_without_wishes_it_is_text_plain,
    http_9_what_nobody_can_render_is_not_acceptable,
    http_10_qualities_decide,
    http_11_a_list_of_content_types_is_one_request,
    http_12_an_unknown_content_type_is_unsupported,
    http_13_answers_say_what_is_accepted,
    http_13_old_agents_are_not_lured_into_json,
    http_37_a_method_that_makes_no_sense_is_not_allowed,
    http_60_http_61_nobody_enters_without_credentials,
    http_65_head_is_get_without_a_body_and_options_lists_methods,
    http_66_a_collection_needs_no_last_slash,
    http_82_empty_segments_are_dropped,
    http_68_a_client_may_ask_not_to_wait,
    http_69_a_condition_on_the_generation_is_kept,
    http_70_too_long_headers_are_refused,
    http_70_too_large_bodies_are_refused,
    http_73_text_11_errors_are_rendered_as_asked,
    http_74_old_paths_lead_to_the_same_place,
);

fn http_6_a_version_above_ours_is_not_implemented(site: &Site) {
    for agent in ["client/1 OCCI/1.3", "OCCI/2.0", "a OCCI/1.10 b"] {
        site.get("/-/").agent(agent).send().is(501);
        site.post("/network/")
            .agent(agent)
            .text(&[&kind("network")])
            .send()
            .is(501);
    }
    for agent in [
        "OCCI/1.0",
        "x OCCI/1.1 y",
        "OCCI/1.2",
        "OCCI/2.0 OCCI/1.1",
        "curl/8.0",
        "OCCI",
        "OCCI/one",
    ] {
        site.get("/-/").agent(agent).send().is(200);
    }
    site.get("/-/").without_agent().send().is(200);
}

fn http_7_text_1_json_1_the_answer_is_what_was_negotiated(site: &Site) {
    let network = site.network(&[]);
    let everywhere = [
        "text/plain",
        "text/occi",
        "text/occi+plain",
        "application/occi+json",
        "application/json",
    ];
    for media in everywhere {
        for at in ["/-/", "/network/?number=2", network.path().as_str()] {
            let answer = site.get(at).accept(media).send().is(200);
            let named = answer.header("content-type").unwrap_or_default().to_owned();
            let right = named == media || named.eq_ignore_ascii_case(&format!("{media}; charset=utf-8"));
            assert!(right, "{at} as {media} is {named}");
        }
    }
    for at in ["/network/?number=2", "/?number=2"] {
        assert_eq!(
            site.get(at).accept("text/uri-list").send().is(200).media(),
            "text/uri-list"
        );
    }
}

fn http_8_without_wishes_it_is_text_plain(site: &Site) {
    for at in ["/-/", "/network/?number=1", "/?number=1"] {
        assert_eq!(site.get(at).send().is(200).media(), "text/plain");
        assert_eq!(site.get(at).accept("*/*").send().is(200).media(), "text/plain");
        assert_eq!(site.get(at).accept("text/*").send().is(200).media(), "text/plain");
    }
}

fn http_9_what_nobody_can_render_is_not_acceptable(site: &Site) {
    for media in ["image/png", "application/xml", "text/csv, image/*"] {
        site.get("/-/").accept(media).send().is(406);
        site.get("/network/").accept(media).send().is(406);
    }
    // It is said before anything is done.
    let title = unique("unacceptable");
    let title_line = format!("X-OCCI-Attribute: occi.core.title=\"{title}\"");
    site.post("/network/")
        .accept("image/png")
        .text(&[&kind("network"), &title_line])
        .send()
        .is(406);
    assert_eq!(site.find("/network/", &title), Vec::<String>::new());
}

fn http_10_qualities_decide(site: &Site) {
    for (wishes, expected) in [
        ("text/plain;q=0.2, text/occi", "text/occi"),
        ("text/plain,text/occi;q=0.2", "text/plain"),
        ("text/occi, text/plain", "text/occi"),
        ("image/png, application/occi+json;q=0.1", "application/occi+json"),
        ("application/occi+json;q=0, text/plain;q=0.3", "text/plain"),
        ("application/*", "application/occi+json"),
        ("nonsense, text/occi", "text/occi"),
    ] {
        assert_eq!(
            site.get("/network/?number=1").accept(wishes).send().is(200).media(),
            expected,
            "{wishes}"
        );
    }
}

fn http_11_a_list_of_content_types_is_one_request(site: &Site) {
    for media in [
        "text/plain,text/occi",
        "text/plain; charset=utf-8",
        "application/x-unknown, text/plain",
    ] {
        let answer = site
            .post("/network/")
            .accept("text/plain")
            .body(media, kind("network"))
            .send()
            .is(201);
        site.delete(&answer.location()).send().is(200);
    }
    // Without any, a body is text/plain, and headers alone are text/occi.
    let line = kind("network");
    let (_, value) = line.split_once(": ").unwrap_or_default();
    let answer = site.post("/network/").header("Category", value).send().is(201);
    site.delete(&answer.location()).send().is(200);
}

fn http_12_an_unknown_content_type_is_unsupported(site: &Site) {
    for media in ["application/xml", "application/x-www-form-urlencoded", "text/html"] {
        site.post("/network/").body(media, kind("network")).send().is(415);
    }
}

fn http_13_answers_say_what_is_accepted(site: &Site) {
    let answer = site.get("/-/").send().is(200);
    let accept = answer
        .header("accept")
        .unwrap_or_else(|| answer.fail("there is no Accept"));
    for media in ["text/plain", "text/occi", "application/occi+json"] {
        assert!(accept.contains(media), "{accept} lacks {media}");
    }
}

fn http_13_old_agents_are_not_lured_into_json(site: &Site) {
    for agent in [
        "rOCCI-core/4.3.6 rOCCI-api/4.3.9 OCCI/1.1 ruby-x86_64-linux/2.3.3p222",
        "client OCCI/1.1",
    ] {
        let answer = site.get("/-/").agent(agent).send().is(200);
        let accept = answer.header("accept").unwrap_or_default();
        assert!(!accept.contains("json"), "{agent}: {accept}");
    }
}

fn http_37_a_method_that_makes_no_sense_is_not_allowed(site: &Site) {
    for at in ["/compute/", "/", "/-/"] {
        let answer = site.put(at).text(&[&kind("compute")]).send().is(405);
        let allow = answer
            .header("allow")
            .unwrap_or_else(|| answer.fail("there is no Allow"))
            .to_owned();
        let methods: Vec<_> = allow.split(',').map(str::trim).collect();
        assert!(methods.contains(&"GET") && !methods.contains(&"PUT"), "{at}: {allow}");
    }
    let network = site.network(&[]);
    for at in ["/compute/", network.path().as_str()] {
        site.ask("PATCH", at).send().is(405);
    }
}

fn http_60_http_61_nobody_enters_without_credentials(site: &Site) {
    if site.login().is_none() {
        skip("needs a login: run with --user and --password-file");
    }
    let network = site.network(&[]);
    let stranger = site.stranger();
    let paths = [
        "/-/",
        "/.well-known/org/ogf/occi/-/",
        "/",
        "/compute/",
        network.path().as_str(),
        "/nowhere/at/all",
    ]
    .map(str::to_owned);
    for at in paths {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE"] {
            let answer = stranger.ask(method, &at).send().is(401);
            assert!(
                answer
                    .header("www-authenticate")
                    .is_some_and(|challenge| !challenge.is_empty()),
                "no challenge"
            );
        }
    }
    let answer = stranger
        .get("/-/")
        .header("Authorization", "Basic bm9ib2R5Om5vdGhpbmc=")
        .send()
        .is(401);
    assert!(
        answer
            .header("www-authenticate")
            .is_some_and(|challenge| challenge.starts_with("Basic realm=\""))
    );
    for nonsense in ["Basic", "Basic %%%", "Bearer", "Basic bm8=", "Nonsense x"] {
        stranger.get("/-/").header("Authorization", nonsense).send().is(401);
    }
    site.get(&network.url).send().is(200);
}

fn http_65_head_is_get_without_a_body_and_options_lists_methods(site: &Site) {
    let network = site.network(&[]);
    for at in ["/-/", "/network/?number=1", network.path().as_str()] {
        let get = site.get(at).accept("application/occi+json").send().is(200);
        let head = site.ask("HEAD", at).accept("application/occi+json").send().is(200);
        assert!(head.body.is_empty());
        for name in ["content-type", "server", "accept"] {
            assert_eq!(head.header(name), get.header(name), "{at}: {name}");
        }
        let options = site.ask("OPTIONS", at).send().is(204);
        assert!(
            options
                .header("allow")
                .is_some_and(|allow| allow.contains("GET") && allow.contains("HEAD"))
        );
    }
    site.ask("HEAD", "/network/00000000-0000-4000-8000-000000000000")
        .send()
        .is(404);
}

fn http_66_a_collection_needs_no_last_slash(site: &Site) {
    let tag = site.tag();
    let answer = site
        .post("/network")
        .text(&[&kind("network"), &tag.line()])
        .send()
        .is(201);
    let url = answer.location();
    for at in ["/network", tag.location().trim_end_matches('/')] {
        assert!(site.list(at).contains(&url), "{at}");
    }
    site.get(&format!("{url}/")).send().is(200);
    site.delete(&url).send().is(200);
}

fn http_82_empty_segments_are_dropped(site: &Site) {
    let network = site.network(&[]);
    let id = network.id();
    site.get(&format!("//network/{id}")).send().is(200);
    site.get(&format!("/network//{id}")).send().is(200);
    assert!(site.list("//network//").contains(&network.url));
}

fn http_68_a_client_may_ask_not_to_wait(site: &Site) {
    let compute = site.running(&[]);
    let stop = |agent: &str, term: &str| {
        site.post(&format!("{}?action={term}", compute.url))
            .agent(agent)
            .header("Prefer", "respond-async")
            .text(&[&action("compute", term)])
            .send()
            .is(202)
            .location()
    };
    for (agent, term, finished) in [("client OCCI/1.1", "stop", 301), ("client OCCI/1.2", "start", 200)] {
        let task = stop(agent, term);
        assert_ne!(task, compute.url);
        compute.wait(if term == "stop" { "inactive" } else { "active" });
        let mut answer = site.get(&task).agent(agent).send().among(&[200, 301]);
        for _ in 0..100 {
            if answer.status == finished {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            answer = site.get(&task).agent(agent).send().among(&[200, 301]);
        }
        assert_eq!(answer.status, finished);
        if finished == 301 {
            assert_eq!(answer.location(), compute.url);
        }
    }
}

fn http_69_a_condition_on_the_generation_is_kept(site: &Site) {
    let network = site.network(&[]);
    let tag = |answer: &crate::answer::Answer| {
        answer
            .header("etag")
            .unwrap_or_else(|| answer.fail("there is no ETag"))
            .to_owned()
    };
    let first = tag(&site.get(&network.url).send().is(200));
    site.get(&network.url).header("If-None-Match", &first).send().is(304);
    let update = |condition: &str, title: &str| {
        let line = format!("X-OCCI-Attribute: occi.core.title=\"{title}\"");
        site.post(&network.url)
            .header("If-Match", condition)
            .text(&[&line])
            .send()
    };
    update(&first, "one").is(200);
    update(&first, "two").is(412);
    assert_eq!(network.get("occi.core.title").as_deref(), Some("one"));
    site.get(&network.url).header("If-None-Match", &first).send().is(200);
    site.delete(&network.url).header("If-Match", &first).send().is(412);
    let second = tag(&site.get(&network.url).send().is(200));
    assert_ne!(first, second);
    site.delete(&network.url).header("If-Match", &second).send().is(200);
}

fn http_70_too_long_headers_are_refused(site: &Site) {
    let long = "x".repeat(17 << 10);
    site.get("/-/").header("X-Long", &long).send().is(431);
    let many: Vec<_> = (0..5)
        .map(|number| (format!("X-Long-{number}"), "x".repeat(15 << 10)))
        .collect();
    let ask = many
        .iter()
        .fold(site.get("/-/"), |ask, (name, value)| ask.header(name, value));
    ask.send().is(431);
    site.get("/-/").header("X-Long", &"x".repeat(15 << 10)).send().is(200);
}

fn http_70_too_large_bodies_are_refused(site: &Site) {
    let body = format!(
        "{}\nX-OCCI-Attribute: occi.core.title=\"{}\"",
        kind("network"),
        "x".repeat(5 << 20)
    );
    site.post("/network/").body("text/plain", body).send().is(413);
    site.get("/-/").send().is(200);
}

fn http_73_text_11_errors_are_rendered_as_asked(site: &Site) {
    let missing = "/network/00000000-0000-4000-8000-000000000000";
    let plain = site.get(missing).accept("text/plain").send().is(404);
    assert_eq!(plain.media(), "text/plain");
    assert_eq!(plain.text().trim_end().lines().count(), 1);
    let occi = site.get(missing).accept("text/occi").send().is(404);
    assert_eq!(occi.media(), "text/occi");
    assert_eq!(occi.header("x-occi-error"), Some(occi.text().trim_end()));
    let nowhere = "/conformance/nobody/was/here/";
    let list = site.get(nowhere).accept("text/uri-list").send().is(404);
    assert_eq!(list.media(), "text/plain");
    let json = site.get(missing).accept("application/occi+json").send().is(404);
    assert_eq!(json.media(), "application/occi+json");
    assert_eq!(json.json()["code"], 404);
    let problem = site
        .get(missing)
        .accept("application/occi+json, application/problem+json");
    let problem = problem.send().is(404);
    assert_eq!(problem.media(), "application/problem+json");
    assert_eq!(problem.json()["status"], 404);
}

fn http_74_old_paths_lead_to_the_same_place(site: &Site) {
    let (network, storage, compute) = (site.network(&[]), site.storage(&[]), site.compute(&[]));
    let interface = site.link("networkinterface", &compute, &network, &[]);
    let volume = site.link("storagelink", &compute, &storage, &[]);
    for (old, link) in [
        ("/link/networkinterface/", &interface),
        ("/networklink/", &interface),
        ("/link/storagelink/", &volume),
        ("/entity/", &interface),
    ] {
        assert!(site.list(old).contains(&link.url), "{old} lacks {}", link.url);
    }
    site.get(&format!("/link/networkinterface/{}", interface.id()))
        .send()
        .is(200);
    site.get(&format!("/networklink/{}", interface.id())).send().is(200);
}
