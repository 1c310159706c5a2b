//! What users of ooi, OCCI for OpenStack, have in their scripts: the requests of its documentation, with curl.
//!
//! Collections without a slash at the end, a dummy in the brackets of a link and the target in an attribute, values
//! without quotes, the terms of templates as OpenStack has them.

use crate::site::{INFRA, Site};
use crate::suite::cases;
use crate::thing::Thing;
use serde_json::json;

cases!(Ooi:
    http_66_text_20_text_23_ooi_creates_with_links,
    http_19_text_21_text_25_ooi_attaches_and_detaches,
    http_31_json_4_ooi_triggers_actions,
);

const AGENT: &str = "curl/7.52.1";

/// A header line of curl's `-H`, with a template of the server.
fn template(site: &Site, parent: &str) -> String {
    let found = site.templates(&format!("{INFRA}{parent}")).into_iter().next();
    let found = found.unwrap_or_else(|| panic!("nothing depends on {parent}"));
    format!(
        "{}; scheme=\"{}\"; class=\"mixin\"",
        found.term,
        found.get("scheme").unwrap_or_default()
    )
}

fn compute_kind() -> String {
    format!("compute; scheme=\"{INFRA}\"; class=\"kind\"")
}

/// What it prints, in text/plain because curl accepts anything.
fn printed(answer: &crate::answer::Answer) -> String {
    assert_eq!(answer.media(), "text/plain");
    let line = answer.text().lines().next().unwrap_or_default();
    let url = line
        .strip_prefix("X-OCCI-Location: ")
        .unwrap_or_else(|| panic!("{line:?} is no location"));
    url.to_owned()
}

fn http_66_text_20_text_23_ooi_creates_with_links(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    let (network, storage) = (site.network(&[]), site.storage(&[]));
    for (rel, target) in [("network", &network), ("storage", &storage)] {
        let link = format!("</bar>; rel=\"{INFRA}{rel}\"; occi.core.target=\"{}\"", target.url);
        let answer = site
            .post("/compute/")
            .agent(AGENT)
            .accept("*/*")
            .header("X-Auth-Token", "0123456789abcdef")
            .header("Category", &compute_kind())
            .header("Category", &template(site, "os_tpl"))
            .header("Category", &template(site, "resource_tpl"))
            .header("Link", &link)
            .header("Content-Type", "text/occi")
            .header("X-OCCI-Attribute", "occi.core.title=\"OOI_VM_1\"")
            .send()
            .among(&[200, 201]);
        let compute = Thing::new(site, printed(&answer));
        let reading = compute.read();
        assert_eq!(reading.get("occi.core.title"), Some("OOI_VM_1"));
        assert!(
            reading.plain_links().any(|link| link.uri == target.path()),
            "no link to {}",
            target.url
        );
        let listed = site.get("/compute").agent(AGENT).accept("*/*").send().is(200);
        assert!(
            listed
                .text()
                .lines()
                .any(|line| line == format!("X-OCCI-Location: {}", compute.url))
        );
        site.delete(&compute.url)
            .agent(AGENT)
            .accept("*/*")
            .send()
            .among(&[200, 204]);
    }
}

fn http_19_text_21_text_25_ooi_attaches_and_detaches(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    let (storage, compute) = (site.storage(&[]), site.running(&[]));
    let ends = format!(
        "occi.core.target={}, occi.core.source=\"{}\"",
        storage.path(),
        compute.path()
    );
    let answer = site
        .post("/storagelink/")
        .agent(AGENT)
        .accept("*/*")
        .header("Content-Type", "text/occi")
        .header("Category", &format!("storagelink;scheme=\"{INFRA}\";class=\"kind\";"))
        .header("X-OCCI-Attribute", &ends)
        .send()
        .among(&[200, 201]);
    let link = Thing::new(site, printed(&answer));
    assert_eq!(link.get("occi.core.target"), Some(storage.path()));
    let listed = site.get("/storagelink").agent(AGENT).accept("*/*").send().is(200);
    assert!(listed.text().contains(&link.url));
    site.delete(&link.url)
        .agent(AGENT)
        .accept("*/*")
        .send()
        .among(&[200, 204]);
    site.delete(&storage.url)
        .agent(AGENT)
        .accept("*/*")
        .send()
        .among(&[200, 204]);
}

fn http_31_json_4_ooi_triggers_actions(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    let compute = site.running(&[]);
    let stop = "stop; scheme=\"http://schemas.ogf.org/occi/infrastructure/compute/action#\"; class=\"action\"";
    let ask = site
        .post(&format!("{}?action=stop", compute.url))
        .agent(AGENT)
        .accept("*/*");
    ask.header("Content-Type", "text/occi")
        .header("Category", stop)
        .send()
        .among(&[200, 204]);
    compute.wait("inactive");
    let start = json!({ "action": "http://schemas.ogf.org/occi/infrastructure/compute/action#start" });
    let ask = site
        .post(&format!("{}?action=start", compute.url))
        .agent(AGENT)
        .accept("application/occi+json");
    ask.json(&start).send().among(&[200, 204]);
    compute.wait("active");
    // A compute in JSON.
    let template = |parent: &str| {
        let found = site.templates(&format!("{INFRA}{parent}")).into_iter().next();
        found.unwrap_or_else(|| panic!("nothing depends on {parent}")).id()
    };
    let entity = json!({
        "kind": format!("{INFRA}compute"),
        "mixins": [template("os_tpl"), template("resource_tpl")],
        "attributes": { "occi.core.title": "OOI VM" },
    });
    let answer = site
        .post("/compute/")
        .agent(AGENT)
        .accept("application/occi+json")
        .json(&entity)
        .send()
        .among(&[200, 201]);
    let made = Thing::new(site, answer.location());
    assert_eq!(made.json()["title"], "OOI VM");
}
