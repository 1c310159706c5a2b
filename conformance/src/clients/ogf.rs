//! The working group's own test of OCCI 1.1 (`test_occi_11.py`, on httplib2).
//!
//! Everything travels in headers, without a class and with trailing semicolons; what is made is posted to the root, and
//! answers are searched as text and split at `,` or `, `. httplib2 joins repeated header lines with `, `.

use crate::answer::Answer;
use crate::site::Site;
use crate::suite::cases;

cases!(Ogf11:
    http_2_http_51_http_45_http_49_ogf_query_interface,
    http_39_http_40_http_41_http_52_http_53_http_78_ogf_mixins_and_kinds,
    http_15_http_22_http_28_http_81_ogf_resource_instances,
    http_18_text_33_ogf_link_instances,
    text_8_text_30_ogf_syntax,
    http_5_ogf_versioning,
    http_7_ogf_content_types,
    http_2_text_37_ogf_well_known,
    infra_1_infra_3_infra_13_ogf_infrastructure,
);

const COMPUTE: &str = r#"compute;scheme="http://schemas.ogf.org/occi/infrastructure#""#;
const MY_STUFF: &str = r#"my_stuff; scheme="http://example.com/occi/my_stuff#""#;
const MY_MIXIN: &str = r#"my_stuff; scheme="http://example.com/occi/my_stuff#"; class="mixin"; rel="http://example.com/occi/something_else#mixin"; location="/my_stuff/""#;
const START: &str = r#"start; scheme="http://schemas.ogf.org/occi/infrastructure/compute/action#""#;
const WELL_KNOWN: &str = "/.well-known/org/ogf/occi/-/";

/// What the test sends with `headers`: httplib2 names itself, and adds nothing else of interest.
fn send(site: &Site, method: &str, to: &str, accept: &str, headers: &[(&str, &str)]) -> Answer {
    let mut ask = site
        .ask(method, to)
        .agent("Python-httplib2/0.22.0 (gzip)")
        .header("Content-type", "text/occi");
    if !accept.is_empty() {
        ask = ask.accept(accept);
    }
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    ask.send()
}

/// A header as httplib2 hands it over; nothing if it is not there.
fn joined(answer: &Answer, name: &str) -> String {
    answer.all(name).collect::<Vec<_>>().join(", ")
}

fn http_2_http_51_http_45_http_49_ogf_query_interface(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    site.get(WELL_KNOWN).without_agent().send().is(200);
    let compute = r#"compute; scheme="http://schemas.ogf.org/occi/infrastructure#""#;
    let answer = send(site, "GET", WELL_KNOWN, "text/occi", &[("Category", compute)]).is(200);
    assert_eq!(
        joined(&answer, "category").split(',').count(),
        1,
        "the compute category holds a comma"
    );
    if send(site, "GET", WELL_KNOWN, "text/plain", &[("Category", MY_STUFF)]).status == 200 {
        send(site, "DELETE", WELL_KNOWN, "text/plain", &[("Category", MY_STUFF)]);
    }
    send(site, "POST", WELL_KNOWN, "text/plain", &[("Category", MY_MIXIN)]).is(200);
    let gone = format!("{MY_STUFF}; class=\"mixin\";");
    send(site, "DELETE", WELL_KNOWN, "text/plain", &[("Category", &gone)]).is(200);
}

fn http_39_http_40_http_41_http_52_http_53_http_78_ogf_mixins_and_kinds(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    let ask = |method: &str, to: &str, headers: &[(&str, &str)]| send(site, method, to, "text/occi", headers);
    let hostname = format!("foo {} bar", uuid::Uuid::new_v4());
    let named = format!("occi.compute.hostname=\"{hostname}\"");
    ask("POST", "", &[("Category", COMPUTE)]);
    ask("POST", "", &[("Category", COMPUTE), ("X-OCCI-Attribute", &named)]);
    let listed = joined(&ask("GET", "/compute/", &[]), "x-occi-location");
    let list = site.get("/compute/").without_agent().accept("text/uri-list").send();
    let list: Vec<_> = list.text().split('\n').map(str::trim).collect();
    for item in listed.split(',') {
        assert!(list.contains(&item.trim()), "{item} is not in {list:?}");
    }
    ask("POST", "/compute/?action=start", &[("Category", START)]).is(200);
    let mut both = listed.split(", ");
    let (Some(first), Some(second)) = (both.next(), both.next()) else {
        panic!("{listed:?} are not two computes");
    };
    ask("POST", "/-/", &[("Category", MY_MIXIN)]).is(200);
    ask("POST", "/my_stuff/", &[("X-OCCI-Location", first)]).is(200);
    let answer = ask("GET", first, &[]);
    assert!(
        joined(&answer, "category").contains("my_stuff"),
        "the mixin does not show"
    );
    let answer = ask("GET", "", &[]);
    assert!(!joined(&answer, "x-occi-location").is_empty());
    ask("PUT", "/my_stuff/", &[("X-OCCI-Location", second)]).is(200);
    assert_eq!(joined(&ask("GET", "/my_stuff/", &[]), "x-occi-location"), second);
    let filtered = ask("GET", "/compute/", &[("Category", MY_STUFF)]);
    assert_eq!(joined(&filtered, "x-occi-location"), second);
    let filtered = ask("GET", "/compute/", &[("X-OCCI-Attribute", &named)]);
    assert_eq!(joined(&filtered, "x-occi-location").split_whitespace().count(), 1);
    ask("DELETE", "/my_stuff/", &[("X-OCCI-Location", second)]).is(200);
    assert_eq!(joined(&ask("GET", "/my_stuff/", &[]), "x-occi-location"), "");
    let gone = format!("{MY_STUFF}; class=\"mixin\"");
    ask("DELETE", "/-/", &[("Category", &gone)]).is(200);
    site.delete("/compute/").without_agent().send().is(200);
}

fn http_15_http_22_http_28_http_81_ogf_resource_instances(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    let ask = |method: &str, to: &str, headers: &[(&str, &str)]| send(site, method, to, "text/occi", headers);
    let url = ask("POST", "", &[("Category", COMPUTE)]).among(&[200, 201]).location();
    let links = joined(&ask("GET", &url, &[]), "link");
    for link in links.split(',') {
        // It takes the path between the first two angle brackets, which are right for the first link only.
        if link.contains("?action=start>") {
            let path = link.get(1..link.find('>').unwrap_or(1)).unwrap_or_default();
            ask("POST", path, &[("Category", START)]).is(200);
        }
    }
    ask("POST", &url, &[("X-OCCI-Attribute", "occi.compute.hostname=\"foo\"")]).is(200);
    let unknown = [("Category", COMPUTE), ("X-OCCI-Attribute", "example.test=\"foo\"")];
    let answer = ask("PUT", "/123", &unknown).among(&[200, 201, 400]);
    let put = if answer.status == 400 {
        url.clone()
    } else {
        site.url("/123")
    };
    let title = [
        ("Category", COMPUTE),
        ("X-OCCI-Attribute", "occi.core.title=\"My Compute instance\""),
    ];
    ask("PUT", &put, &title).is(200);
    ask("GET", &url, &[]).is(200);
    ask("DELETE", &url, &[]).is(200);
    if put != url {
        ask("DELETE", &put, &[]).is(200);
    }
}

fn http_18_text_33_ogf_link_instances(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    let made = |headers: &[(&str, &str)]| send(site, "POST", "", "", headers).among(&[200, 201]).location();
    let gone = |url: &str| send(site, "DELETE", url, "", &[]).is(200);
    let network_kind = r#"network;scheme="http://schemas.ogf.org/occi/infrastructure#""#;
    let interface_kind = r#"networkinterface;scheme="http://schemas.ogf.org/occi/infrastructure#""#;
    let compute = made(&[("Category", COMPUTE)]);
    let network = made(&[("Category", network_kind)]);
    let ends = format!("occi.core.source=\"{compute}\", occi.core.target=\"{network}\"");
    // At once: nobody waits for the compute.
    let link = made(&[("Category", interface_kind), ("X-OCCI-Attribute", &ends)]);
    let attributes = joined(&send(site, "GET", &link, "text/occi", &[]), "x-occi-attribute");
    assert!(
        attributes.contains("occi.core.source") && attributes.contains("occi.core.target"),
        "{attributes}"
    );
    gone(&compute);
    let inline = format!(
        r#"<{network}>; rel="http://schemas.ogf.org/occi/infrastructure#network"; category="http://schemas.ogf.org/occi/infrastructure#networkinterface";"#
    );
    let compute = made(&[("Category", COMPUTE), ("Link", &inline)]);
    assert_ne!(joined(&send(site, "GET", &compute, "text/occi", &[]), "link"), "");
    gone(&compute);
    gone(&network);
}

fn text_8_text_30_ogf_syntax(site: &Site) {
    let regex = super::regex(r#"^\w+; \bscheme=[a-z:./#"]*; \bclass="(?:action|kind|mixin)""#);
    let answer = site.get("/-/").accept("text/plain").without_agent().send();
    let second = answer.text().split('\n').nth(1).unwrap_or_default().trim();
    assert!(regex.is_match(second.get(10..).unwrap_or_default()), "{second}");
    let answer = site.get("/-/").accept("text/occi").without_agent().send();
    let category = joined(&answer, "category");
    assert!(regex.is_match(category.trim()), "{category}");
    let title = r#"occi.compute.memory=3.6, occi.core.title="How's your quotes escaping? \", occi.compute.memory=1.0""#;
    let answer = send(
        site,
        "POST",
        "",
        "",
        &[("Category", COMPUTE), ("X-OCCI-Attribute", title)],
    );
    let url = answer.among(&[200, 201]).location();
    let answer = site.get(&url).accept("text/plain").without_agent().send().is(200);
    let memory = answer.text().split('\n').find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let (attribute, value) = value.trim().split_once('=')?;
        let wanted = name.trim().eq_ignore_ascii_case("x-occi-attribute") && attribute == "occi.compute.memory";
        wanted.then(|| value.trim_matches(['s', '\\', '"']).parse::<f64>().ok())?
    });
    site.delete(&url).send().is(200);
    assert_eq!(memory, Some(3.6));
}

fn http_5_ogf_versioning(site: &Site) {
    let answer = site.get("/").without_agent().send();
    assert!(
        answer
            .header("server")
            .is_some_and(|server| server.contains("OCCI/1.1"))
    );
}

fn http_7_ogf_content_types(site: &Site) {
    for media in ["text/plain", "text/occi"] {
        assert_eq!(site.get("/-/").accept(media).without_agent().send().media(), media);
    }
}

fn http_2_text_37_ogf_well_known(site: &Site) {
    let own = site.own_project();
    let category = |at: &str| {
        let answer = own.site.get(at).accept("text/occi").without_agent().send().is(200);
        let category = joined(&answer, "category");
        // Python's http.client takes no longer line.
        assert!(category.len() < 65_000, "{} bytes", category.len());
        category
    };
    assert_eq!(category(WELL_KNOWN), category("/-/"));
}

/// A category, what its `rel` holds, and which attributes and actions it has.
type Complete = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

fn infra_1_infra_3_infra_13_ogf_infrastructure(site: &Site) {
    const INFRA: &str = "http://schemas.ogf.org/occi/infrastructure#";
    const IP: &str = "http://schemas.ogf.org/occi/infrastructure/network#";
    const COMPUTES: &str = "http://schemas.ogf.org/occi/infrastructure/compute/action#";
    const NETWORKS: &str = "http://schemas.ogf.org/occi/infrastructure/network/action#";
    const STORAGES: &str = "http://schemas.ogf.org/occi/infrastructure/storage/action#";
    const RESOURCE: &str = "http://schemas.ogf.org/occi/core#resource";
    const LINK: &str = "http://schemas.ogf.org/occi/core#link";
    let complete: &[Complete] = &[
        (
            "compute",
            INFRA,
            RESOURCE,
            &[
                "occi.compute.architecture",
                "occi.compute.cores",
                "occi.compute.hostname",
                "occi.compute.speed",
                "occi.compute.memory",
                "occi.compute.state",
            ],
            &["start", "stop", "suspend", "restart"],
        ),
        (
            "network",
            INFRA,
            RESOURCE,
            &["occi.network.vlan", "occi.network.label", "occi.network.state"],
            &["up", "down"],
        ),
        (
            "storage",
            INFRA,
            RESOURCE,
            &["occi.storage.size", "occi.storage.state"],
            &["online", "offline", "backup", "snapshot", "resize"],
        ),
        (
            "storagelink",
            INFRA,
            LINK,
            &[
                "occi.storagelink.deviceid",
                "occi.storagelink.mountpoint",
                "occi.storagelink.state",
            ],
            &[],
        ),
        (
            "networkinterface",
            INFRA,
            LINK,
            &[
                "occi.networkinterface.state",
                "occi.networkinterface.mac",
                "occi.networkinterface.interface",
            ],
            &[],
        ),
        // If it has a rel at all, it must be that of a link.
        (
            "ipnetwork",
            IP,
            LINK,
            &[
                "occi.network.address",
                "occi.network.gateway",
                "occi.network.allocation",
            ],
            &[],
        ),
        ("start", COMPUTES, "", &[], &[]),
        ("stop", COMPUTES, "", &["method"], &[]),
        ("restart", COMPUTES, "", &["method"], &[]),
        ("suspend", COMPUTES, "", &["method"], &[]),
        ("up", NETWORKS, "", &[], &[]),
        ("down", NETWORKS, "", &[], &[]),
        ("online", STORAGES, "", &[], &[]),
        ("offline", STORAGES, "", &[], &[]),
        ("resize", STORAGES, "", &["size"], &[]),
        ("backup", STORAGES, "", &[], &[]),
        ("snapshot", STORAGES, "", &[], &[]),
    ];
    let answer = site.get("/-/").accept("text/plain").without_agent().send();
    let model: Vec<Vec<&str>> = answer
        .text()
        .split('\n')
        .map(|line| {
            line.trim_start_matches("Category: ")
                .split(';')
                .map(str::trim)
                .collect()
        })
        .collect();
    for (term, scheme, rel, attributes, actions) in complete {
        let scheme = format!("scheme=\"{scheme}\"");
        let found = model
            .iter()
            .find(|parts| parts.first() == Some(term) && parts.get(1) == Some(&scheme.as_str()));
        let parts = found.unwrap_or_else(|| panic!("no {term}"));
        let value = |name: &str| parts.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        assert!(
            value("rel").is_none_or(|value| value.contains(rel)),
            "{term}: {parts:?}"
        );
        for attribute in *attributes {
            assert!(
                value("attributes").is_none_or(|value| value.contains(attribute)),
                "{term} lacks {attribute}"
            );
        }
        for action in *actions {
            assert!(
                value("actions").is_none_or(|value| value.contains(action)),
                "{term} lacks {action}"
            );
        }
    }
}
