//! What nobody should send: a clear refusal, and nothing changed.

use crate::site::{INFRA, Site, kind, unique};
use crate::suite::cases;
use crate::thing::Thing;
use serde_json::json;

cases!(Checklist:
    http_70_text_28_odd_bytes_on_the_wire_are_refused,
    http_70_more_of_anything_than_is_sensible_is_refused,
    text_28_json_19_odd_ids_are_nobody,
    http_70_core_35_a_refused_request_changes_nothing,
);

fn http_70_text_28_odd_bytes_on_the_wire_are_refused(site: &Site) {
    let host = site.origin.split_once("://").map_or("", |(_, host)| host).to_owned();
    for request in [
        "GARBAGE\r\n\r\n".to_owned(),
        format!("GET /-/ HTTP/1.1\r\nHost: {host}\r\nBroken header\r\n\r\n"),
        format!("POST /network/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n"),
        format!("POST /network/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
        format!("POST /network/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ] {
        let answer = site.raw_unnoted(request.as_bytes());
        assert!((400..500).contains(&answer.status), "{} for {request:?}", answer.status);
    }
    site.get("/-/").send().is(200);
    // A header that is no UTF-8 is taken for what it was before UTF-8, or refused; a null byte is refused.
    let network = site.network(&[]);
    let title = site.post(&network.url).header("Content-Type", "text/occi");
    title
        .raw_header(b"X-OCCI-Attribute: occi.core.title=\"gr\xf6\xdfe\"")
        .send()
        .among(&[200, 400]);
    let odd = site.post(&network.url).header("Content-Type", "text/occi");
    let answer = odd
        .raw_header(b"X-OCCI-Attribute: occi.core.title=\"a\0b\"")
        .send_unnoted();
    assert_eq!(answer.status, 400);
}

fn http_70_more_of_anything_than_is_sensible_is_refused(site: &Site) {
    // All of it is right but for how much of it there is.
    let title = unique("much");
    let titled = format!("X-OCCI-Attribute: occi.core.title=\"{title}\"");
    let (network, compute) = (kind("network"), kind("compute"));
    let with = |first: &str, line: &str, count: usize| {
        let lines: Vec<_> = [first, &titled].into_iter().chain((0..count).map(|_| line)).collect();
        let at = if first == network { "/network/" } else { "/compute/" };
        site.post(at).text(&lines).send()
    };
    let tag = site.tag();
    let other = site.network(&[]);
    let link = format!(
        "Link: <{}>; rel=\"{INFRA}network\"; category=\"{INFRA}networkinterface\"",
        other.path()
    );
    for (first, line, most) in [
        (&network, &titled, 255),
        (&network, &tag.line(), 63),
        (&compute, &link, 256),
    ] {
        with(first, line, most + 1).is(413);
        if *line != link {
            Thing::new(site, with(first, line, most).is(201).location()).wait("active");
        }
    }
    let batch = |mixins: usize, count: usize| {
        let network = json!({
            "kind": format!("{INFRA}network"), "title": title, "mixins": vec![tag.id(); mixins]
        });
        site.post("/network/")
            .json(&json!({ "resources": vec![network; count] }))
            .send()
    };
    batch(65, 1).is(413);
    batch(0, 1001).is(413);
    let mixins: Vec<_> = (0..65)
        .map(|number| {
            let term = format!("{title}-{number}");
            let location = site.target(&format!("/mixin/conformance/{term}/"));
            json!({ "term": term, "scheme": "http://conformance.example.org/occi/tag#", "location": location })
        })
        .collect();
    site.post("/-/").json(&json!({ "mixins": mixins })).send().is(413);
    assert_eq!(site.find("/network/", &title), Vec::<String>::new());
    assert!(!site.get("/-/").send().text().contains(&title));
}

fn text_28_json_19_odd_ids_are_nobody(site: &Site) {
    for id in [
        "..",
        "../../etc/passwd",
        "%2e%2e",
        "a%2fb",
        "%00",
        "'",
        "x;y",
        "%ff",
        "*",
    ] {
        let path = format!("/network/{id}");
        site.get(&path).send().among(&[400, 404]);
        site.delete(&path).send().among(&[400, 404]);
    }
    let long = format!("/network/{}", "x".repeat(8000));
    site.get(&long).send().among(&[400, 404, 414, 431]);
    let storage = site.storage(&[]);
    // Right id, wrong kind.
    site.get(&format!("/network/{}", storage.id())).send().is(404);
}

fn http_70_core_35_a_refused_request_changes_nothing(site: &Site) {
    let title = unique("unchanged");
    let network = site.network(&[&format!(
        "X-OCCI-Attribute: occi.core.title=\"{title}\", occi.network.vlan=1"
    )]);
    let before = network.json();
    for wrong in [
        &[
            "X-OCCI-Attribute: occi.core.title=\"changed\"",
            "X-OCCI-Attribute: occi.network.vlan=5000",
        ][..],
        &[
            "X-OCCI-Attribute: occi.core.title=\"changed\"",
            "X-OCCI-Attribute: org.example.x=1",
        ],
        &[
            "X-OCCI-Attribute: occi.core.title=\"changed\"",
            "X-OCCI-Attribute: occi.core.id=\"x\"",
        ],
        &[
            "X-OCCI-Attribute: occi.core.title=\"changed\"",
            "Category: nothing; scheme=\"http://example.org/x#\"",
        ],
        &[
            "X-OCCI-Attribute: occi.core.title=\"changed\"",
            "Link: </network/none>; rel=\"http://example.org/x#y\"",
        ],
    ] {
        let status = network.update(wrong).status;
        assert!((400..500).contains(&status), "{status} for {wrong:?}");
        let replaced: Vec<_> = std::iter::once(kind("network"))
            .chain(wrong.iter().map(|line| (*line).to_owned()))
            .collect();
        let replaced: Vec<_> = replaced.iter().map(String::as_str).collect();
        let status = network.replace(&replaced).status;
        assert!((400..500).contains(&status), "{status} for {wrong:?}");
        assert_eq!(network.json(), before);
    }
}
