//! Single entities (GFD.223, section 3.5): made, read, changed, replaced, acted on, deleted.

use crate::cases::core::{OS_TPL, PROFILE, SSH_KEY, USER_DATA};
use crate::site::{INFRA, Site, action, kind, mixin, unique};
use crate::suite::cases;
use crate::thing::Thing;

cases!(Checklist:
    http_14_http_17_text_26_text_35_a_create_answers_with_the_url_that_listings_have,
    http_15_the_root_takes_creates,
    http_16_a_kind_is_made_at_its_own_location,
    http_18_http_77_infra_35_inline_links_become_instances,
    http_20_text_5_text_33_an_entity_shows_everything_about_itself,
    http_21_text_6_only_applicable_actions_are_offered,
    http_22_http_79_a_partial_update_leaves_the_rest,
    http_22_a_partial_update_adds_mixins_and_links,
    http_23_a_link_takes_no_links,
    http_24_a_replacement_removes_what_it_leaves_out,
    http_25_http_26_a_replacement_leaves_links_alone,
    http_27_a_replacement_may_be_repeated,
    http_28_http_80_core_24_an_unknown_path_can_be_chosen_and_no_id_that_is_taken,
    http_29_reserved_paths_cannot_be_chosen,
    http_30_a_deleted_entity_is_gone_and_cannot_be_deleted_again,
    http_31_http_32_an_action_is_named_twice_and_answers_with_the_entity,
    http_33_infra_5_an_action_must_fit_the_state,
    http_34_text_36_an_action_can_be_named_by_its_term_alone,
    http_76_a_link_shows_at_its_source_only,
    http_81_a_replacement_by_kind_and_title_keeps_templates_and_keys,
);

fn http_14_http_17_text_26_text_35_a_create_answers_with_the_url_that_listings_have(site: &Site) {
    let made: Vec<_> = ["text/plain", "text/occi", "text/uri-list", "application/occi+json"]
        .iter()
        .map(|media| {
            let answer = site
                .post("/network/")
                .accept(media)
                .text(&[&kind("network")])
                .send()
                .is(201);
            let url = answer.location();
            assert!(url.starts_with(&format!("{}/", site.origin)), "{url} is not absolute");
            match *media {
                "text/plain" => assert_eq!(answer.text(), format!("X-OCCI-Location: {url}")),
                "text/occi" => {
                    assert_eq!(answer.header("x-occi-location"), Some(url.as_str()));
                    assert_eq!(answer.text().trim_end(), "OK");
                }
                "text/uri-list" => assert_eq!(answer.text().trim_end(), url),
                _ => assert_eq!(answer.json()["kind"], format!("{INFRA}network")),
            }
            Thing::new(site, url)
        })
        .collect();
    for media in ["text/uri-list", "text/plain", "text/occi"] {
        let listed = site.get("/network/").accept(media).send().is(200).read().locations;
        for thing in &made {
            assert!(listed.contains(&thing.url), "{media}: {} is not listed", thing.url);
        }
    }
}

fn http_15_the_root_takes_creates(site: &Site) {
    let network = site.create("/", &[&kind("network")]);
    assert!(network.path().starts_with(&site.target("/network/")));
    let occi = site
        .post("/")
        .accept("text/occi")
        .occi(&[&kind("network")])
        .send()
        .is(201);
    Thing::new(site, occi.location()).read();
}

fn http_16_a_kind_is_made_at_its_own_location(site: &Site) {
    for at in ["/network/", "/networkinterface/", "/-/"] {
        site.post(at).text(&[&kind("compute")]).send().is(400);
    }
    site.post("/nowhere")
        .text(&[&kind("compute")])
        .send()
        .among(&[400, 404]);
}

fn http_18_http_77_infra_35_inline_links_become_instances(site: &Site) {
    let (network, storage) = (site.network(&[]), site.storage(&[]));
    let interface = format!(
        "Link: <{}>; rel=\"{INFRA}network\"; category=\"{INFRA}networkinterface\"; occi.core.title=\"front\"; \
         occi.networkinterface.mac=\"02:00:5e:10:00:01\"",
        network.path()
    );
    let volume = format!(
        "Link: <{}>; rel=\"{INFRA}storage\"; category=\"{INFRA}storagelink\"; occi.storagelink.deviceid=\"/dev/vdc\"",
        storage.url
    );
    let answer = site
        .post("/compute/")
        .accept("text/plain")
        .text(&[&kind("compute"), &interface, &volume])
        .send()
        .is(201);
    assert_eq!(answer.read().locations.len(), 1, "only the resource is named");
    let compute = Thing::new(site, answer.location());
    let reading = compute.read();
    let own = |target: &Thing| {
        let link = reading.plain_links().find(|link| link.uri == target.path());
        let link = link.unwrap_or_else(|| panic!("no link to {}", target.url));
        link.get("self")
            .unwrap_or_else(|| panic!("a link without self"))
            .to_owned()
    };
    let link = site.get(&own(&network)).send().is(200).read();
    assert!(link.has_category(&format!("{INFRA}networkinterface")));
    assert_eq!(link.get("occi.core.title"), Some("front"));
    assert_eq!(link.get("occi.networkinterface.mac"), Some("02:00:5e:10:00:01"));
    assert_eq!(link.get("occi.core.source"), Some(compute.path().as_str()));
    let link = site.get(&own(&storage)).send().is(200).read();
    assert!(link.has_category(&format!("{INFRA}storagelink")));
    assert_eq!(link.get("occi.storagelink.deviceid"), Some("/dev/vdc"));
    drop(compute);
    site.get(&storage.url).send().is(200);
}

fn http_20_text_5_text_33_an_entity_shows_everything_about_itself(site: &Site) {
    let tag = site.tag();
    let (network, compute) = (
        site.network(&[]),
        site.compute(&[&tag.line(), "X-OCCI-Attribute: occi.core.title=\"whole\""]),
    );
    let link = site.link("networkinterface", &compute, &network, &[]);
    let reading = compute.read();
    assert_eq!(
        reading.categories.first().map(|category| category.id()),
        Some(format!("{INFRA}compute"))
    );
    assert!(reading.has_category(&tag.id()));
    assert_eq!(reading.get("occi.core.title"), Some("whole"));
    assert_eq!(reading.get("occi.core.id"), Some(compute.id()));
    assert!(reading.get("occi.compute.state").is_some());
    let shown: Vec<_> = reading
        .plain_links()
        .filter(|shown| shown.uri == network.path())
        .collect();
    let [shown] = shown.as_slice() else {
        panic!("{} links to the network", shown.len());
    };
    assert_eq!(shown.get("rel"), Some(format!("{INFRA}network").as_str()));
    assert_eq!(shown.get("self"), Some(link.path().as_str()));
    let categories = shown.get("category").unwrap_or_default();
    assert!(
        categories.split(' ').next() == Some(format!("{INFRA}networkinterface").as_str()),
        "{categories}"
    );
    assert_eq!(shown.get("occi.core.id"), Some(link.id()));
    assert_eq!(shown.get("occi.core.source"), Some(compute.path().as_str()));
    assert_eq!(shown.get("occi.core.target"), Some(network.path().as_str()));
    let own = link.read();
    assert_eq!(own.get("occi.core.source"), Some(compute.path().as_str()));
    assert_eq!(own.get("occi.core.target"), Some(network.path().as_str()));
}

fn http_21_text_6_only_applicable_actions_are_offered(site: &Site) {
    let compute = site.running(&[]);
    let actions = || {
        let reading = compute.read();
        for link in reading.links.iter().filter(|link| link.is_action()) {
            let (path, term) = link.uri.split_once("?action=").unwrap_or_default();
            assert_eq!(path, compute.path());
            let rel = format!("http://schemas.ogf.org/occi/infrastructure/compute/action#{term}");
            assert_eq!(link.get("rel"), Some(rel.as_str()));
        }
        reading
            .actions()
            .iter()
            .map(|term| (*term).to_owned())
            .collect::<Vec<_>>()
    };
    for term in ["stop", "restart", "suspend"] {
        assert!(
            actions().contains(&term.to_owned()),
            "{term} is not offered to an active compute"
        );
    }
    assert!(!actions().contains(&"start".to_owned()));
    compute.act("stop", &[]).is(200);
    compute.wait("inactive");
    assert_eq!(actions().first().map(String::as_str), Some("start"));
    for term in ["stop", "restart", "suspend"] {
        assert!(
            !actions().contains(&term.to_owned()),
            "{term} is offered to an inactive compute"
        );
    }
}

fn http_22_http_79_a_partial_update_leaves_the_rest(site: &Site) {
    let network =
        site.network(&["X-OCCI-Attribute: occi.core.title=\"kept\", occi.network.vlan=7, occi.network.label=\"old\""]);
    let answer = network
        .update(&["X-OCCI-Attribute: occi.network.label=\"new\""])
        .is(200);
    assert_eq!(answer.location(), network.url);
    for reading in [answer.read(), network.read()] {
        assert_eq!(reading.get("occi.network.label"), Some("new"));
        assert_eq!(reading.get("occi.core.title"), Some("kept"));
        assert_eq!(reading.get("occi.network.vlan"), Some("7"));
        assert!(reading.has_category(&format!("{INFRA}network")));
    }
}

fn http_22_a_partial_update_adds_mixins_and_links(site: &Site) {
    let tag = site.tag();
    let (network, compute) = (site.network(&[]), site.running(&[]));
    let link = format!(
        "Link: <{}>; rel=\"{INFRA}network\"; category=\"{INFRA}networkinterface\"",
        network.path()
    );
    let reading = compute.update(&[&tag.line(), &link]).is(200).read();
    assert!(reading.has_category(&tag.id()));
    let own = reading.plain_links().find(|link| link.uri == network.path());
    let own = own
        .and_then(|link| link.get("self"))
        .unwrap_or_else(|| panic!("no link to the network"));
    assert_eq!(
        site.get(own).send().is(200).read().get("occi.core.target"),
        Some(network.path().as_str())
    );
    site.delete(own).send().is(200);
}

fn http_23_a_link_takes_no_links(site: &Site) {
    let (network, compute) = (site.network(&[]), site.compute(&[]));
    let link = site.link("networkinterface", &compute, &network, &[]);
    let another = format!(
        "Link: <{}>; rel=\"{INFRA}network\"; category=\"{INFRA}networkinterface\"",
        network.path()
    );
    link.update(&[&another]).is(400);
}

fn http_24_a_replacement_removes_what_it_leaves_out(site: &Site) {
    let tag = site.tag();
    let network = site.network(&[
        &tag.line(),
        "X-OCCI-Attribute: occi.core.title=\"old\", occi.core.summary=\"old\"",
    ]);
    let answer = network
        .replace(&[&kind("network"), "X-OCCI-Attribute: occi.core.title=\"new\""])
        .is(200);
    for reading in [answer.read(), network.read()] {
        assert_eq!(reading.get("occi.core.title"), Some("new"));
        assert_eq!(reading.get("occi.core.summary"), None);
        assert!(!reading.has_category(&tag.id()));
        assert_eq!(reading.get("occi.core.id"), Some(network.id()));
        assert_eq!(reading.get("occi.network.state"), Some("active"));
    }
    assert_eq!(site.list(&tag.location()), Vec::<String>::new());
}

fn http_25_http_26_a_replacement_leaves_links_alone(site: &Site) {
    let (network, other, compute) = (site.network(&[]), site.network(&[]), site.running(&[]));
    let link = site.link("networkinterface", &compute, &network, &[]);
    compute
        .replace(&[&kind("compute"), "X-OCCI-Attribute: occi.core.title=\"again\""])
        .is(200);
    site.get(&link.url).send().is(200);
    // All that GET gave comes back, action links and links included.
    let whole = site.get(&compute.url).accept("text/plain").send().is(200);
    let lines: Vec<_> = whole.text().lines().collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("Link: <") && line.contains("?action="))
    );
    compute.replace(&lines).is(200);
    let new = format!(
        "Link: <{}>; rel=\"{INFRA}network\"; category=\"{INFRA}networkinterface\"",
        other.path()
    );
    compute.replace(&[&kind("compute"), &new]).is(400);
    let links: Vec<_> = compute.read().plain_links().map(|link| link.uri.clone()).collect();
    assert!(
        links.contains(&network.path()) && !links.contains(&other.path()),
        "{links:?}"
    );
}

fn http_27_a_replacement_may_be_repeated(site: &Site) {
    let network = site.network(&["X-OCCI-Attribute: occi.core.summary=\"old\""]);
    let lines = [
        kind("network"),
        "X-OCCI-Attribute: occi.core.title=\"once\", occi.network.vlan=3".to_owned(),
    ];
    let once = network.replace(&[&lines[0], &lines[1]]).is(200).body;
    let twice = network.replace(&[&lines[0], &lines[1]]).is(200).body;
    assert_eq!(String::from_utf8_lossy(&once), String::from_utf8_lossy(&twice));
}

fn http_28_http_80_core_24_an_unknown_path_can_be_chosen_and_no_id_that_is_taken(site: &Site) {
    let network = site.network(&[]);
    let id = unique("chosen");
    let path = site.target(&format!("/network/{id}"));
    let inline = |term: &str, target: &Thing| {
        format!(
            "Link: <{}>; rel=\"{INFRA}{term}\"; category=\"{INFRA}networkinterface\"",
            target.path()
        )
    };
    let answer = site
        .put(&path)
        .accept("text/plain")
        .text(&[&kind("network")])
        .send()
        .among(&[201, 400]);
    if answer.status == 400 {
        return;
    }
    assert_eq!(answer.location(), site.url(&path));
    let chosen = Thing::new(site, answer.location());
    assert_eq!(chosen.get("occi.core.id"), Some(id.clone()));
    assert!(site.list("/network/").contains(&chosen.url));
    // Below a path that nobody has, and with links.
    let free = site.target(&format!("/conformance/{}/{}", unique("folder"), unique("compute")));
    let answer = site
        .put(&free)
        .text(&[&kind("compute"), &inline("network", &network)])
        .send()
        .is(201);
    let compute = Thing::new(site, answer.location());
    assert_eq!(compute.path(), free);
    assert!(compute.read().plain_links().any(|link| link.uri == network.path()));
    let folder = free
        .rsplit_once('/')
        .map(|(folder, _)| format!("{folder}/"))
        .unwrap_or_default();
    assert_eq!(site.list(&folder), [compute.url.as_str()]);
    // Taken ids, and what is no id.
    site.put(&format!("/conformance/{id}"))
        .text(&[&kind("network")])
        .send()
        .is(409);
    for wrong in ["-x", "x.y", "x%20y", "a%2Fb"] {
        site.put(&format!("/network/{wrong}"))
            .text(&[&kind("network")])
            .send()
            .is(400);
    }
    // The kind must be named, and fit.
    site.put(&format!("/network/{}", unique("kindless")))
        .text(&["X-OCCI-Attribute: occi.core.title=\"x\""])
        .send()
        .is(400);
    site.put(&format!("/network/{}", unique("misplaced")))
        .text(&[&kind("compute")])
        .send()
        .is(400);
}

fn http_29_reserved_paths_cannot_be_chosen(site: &Site) {
    for path in [
        "/-/conformance",
        "/.well-known/conformance",
        "/task/conformance",
        "/events",
        "/healthz",
        "/compute",
    ] {
        site.put(path).text(&[&kind("network")]).send().among(&[400, 405]);
    }
    // A user's mixin makes its location a collection.
    let tag = site.tag();
    site.put(tag.location().trim_end_matches('/'))
        .text(&[&kind("network")])
        .send()
        .not(201);
}

fn http_30_a_deleted_entity_is_gone_and_cannot_be_deleted_again(site: &Site) {
    for thing in [site.network(&[]), site.storage(&[]), site.compute(&[])] {
        thing.remove().is(200);
        site.get(&thing.url).send().is(404);
        thing.remove().is(404);
        thing.update(&["X-OCCI-Attribute: occi.core.title=\"x\""]).is(404);
        let collection = thing
            .url
            .rsplit_once('/')
            .map(|(collection, _)| format!("{collection}/"));
        assert!(!site.list(&collection.unwrap_or_default()).contains(&thing.url));
    }
}

fn http_31_http_32_an_action_is_named_twice_and_answers_with_the_entity(site: &Site) {
    let network = site.network(&[]);
    let down = action("network", "down");
    site.post(&format!("{}?action=up", network.url))
        .text(&[&down])
        .send()
        .is(400);
    site.post(&format!("{}?action=down", network.url))
        .text(&[&down, &action("network", "up")])
        .send()
        .is(400);
    site.post(&format!("{}?action=down", network.url))
        .text(&[&kind("network")])
        .send()
        .is(400);
    site.post(&format!("{}?action=", network.url))
        .text(&[&down])
        .send()
        .is(400);
    assert_eq!(network.state(), "active");
    let answer = site
        .post(&format!("{}?action=down&another=1", network.url))
        .accept("text/plain")
        .text(&[&down])
        .send()
        .is(200);
    assert_eq!(answer.read().get("occi.core.id"), Some(network.id()));
    network.wait("inactive");
}

fn http_33_infra_5_an_action_must_fit_the_state(site: &Site) {
    let compute = site.running(&[]);
    compute.act("stop", &[]).is(200);
    compute.wait("inactive");
    for term in ["stop", "suspend", "restart"] {
        compute.act(term, &[]).is(409);
    }
    let unknown = "Category: explode; scheme=\"http://conformance.example.org/action#\"; class=\"action\"";
    site.post(&format!("{}?action=explode", compute.url))
        .text(&[unknown])
        .send()
        .is(400);
    assert_eq!(compute.state(), "inactive");
}

fn http_34_text_36_an_action_can_be_named_by_its_term_alone(site: &Site) {
    let network = site.network(&[]);
    site.post(&format!("{}?action=down", network.url)).send().is(200);
    network.wait("inactive");
    site.post(&format!("{}?action=explode", network.url)).send().is(400);
    // In text/occi the body means nothing.
    for (term, body, state) in [("up", "OK", "active"), ("down", "anything: at all", "inactive")] {
        let line = action("network", term);
        let (_, value) = line.split_once(": ").unwrap_or_default();
        let ask = site
            .post(&format!("{}?action={term}", network.url))
            .header("Category", value);
        ask.body("text/occi", body).send().is(200);
        network.wait(state);
    }
}

fn http_76_a_link_shows_at_its_source_only(site: &Site) {
    let (network, compute) = (site.network(&[]), site.compute(&[]));
    let link = site.link("networkinterface", &compute, &network, &[]);
    assert_eq!(network.read().plain_links().count(), 0);
    assert!(network.json()["links"].as_array().is_none_or(Vec::is_empty));
    assert!(
        compute
            .read()
            .plain_links()
            .any(|shown| shown.get("self") == Some(link.path().as_str()))
    );
}

fn http_81_a_replacement_by_kind_and_title_keeps_templates_and_keys(site: &Site) {
    let medium = mixin(&format!("{PROFILE}medium"));
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tL test";
    let compute = site.compute(&[
        &medium,
        &mixin(SSH_KEY),
        &mixin(USER_DATA),
        &format!(
            "X-OCCI-Attribute: occi.credentials.ssh.publickey=\"{key}\", occi.compute.userdata=\"IyEvYmluL3NoCg==\""
        ),
    ]);
    let system = || {
        let known: Vec<_> = site.templates(OS_TPL).iter().map(|template| template.id()).collect();
        let shown = compute.read().categories;
        shown.iter().map(|category| category.id()).find(|id| known.contains(id))
    };
    let before = system();
    assert!(before.is_some(), "the compute names no OS template");
    let reading = compute
        .replace(&[&kind("compute"), "X-OCCI-Attribute: occi.core.title=\"mine\""])
        .is(200)
        .read();
    assert_eq!(system(), before);
    assert!(reading.has_category(&format!("{PROFILE}medium")));
    assert_eq!(reading.get("occi.compute.cores"), Some("2"));
    assert_eq!(reading.get("occi.compute.memory"), Some("2.0"));
    assert_eq!(reading.get("occi.credentials.ssh.publickey"), Some(key));
    assert_eq!(reading.get("occi.compute.userdata"), Some("IyEvYmluL3NoCg=="));
    assert_eq!(reading.get("occi.core.title"), Some("mine"));
}
