//! The core model (GFD.221).
//!
//! What one compute, volume or network says of the model holds for all.

use crate::reading::Literal;
use crate::schema::assert_valid;
use crate::site::{CORE, INFRA, Site, Tag, action, kind, mixin, unique};
use crate::suite::cases;
use crate::thing::Thing;
use serde_json::{Value, json};

cases!(Checklist:
    core_1_core_5_core_9_the_base_kinds_are_there_and_all_others_descend_from_them,
    core_8_child_kinds_show_what_they_inherit,
    core_39_whatever_an_entity_shows_is_found_in_the_query_interface,
    core_40_json_5_restrictions_are_visible,
    core_2_a_category_is_its_scheme_and_term,
    core_3_a_user_mixin_under_the_schemes_of_ogf_is_refused,
    core_4_a_user_mixin_brings_no_attributes,
    core_6_entity_has_no_instances,
    core_7_an_entity_keeps_its_kind,
    core_10_core_14_infra_11_infra_43_a_mixin_brings_its_attributes_at_creation_and_later,
    core_11_what_a_mixin_depends_on_comes_with_it,
    core_12_a_mixin_stays_with_the_kinds_it_applies_to,
    core_13_a_mixin_applies_to_the_descendants_of_its_kinds,
    core_15_core_29_core_30_an_entity_is_in_every_collection_it_belongs_to,
    core_16_core_17_an_immutable_attribute_keeps_its_value,
    core_18_http_55_what_a_client_must_not_choose_is_ignored_on_create,
    core_18_infra_16_the_interface_of_a_link_is_a_wish,
    core_19_infra_12_a_missing_required_attribute_is_refused,
    core_20_a_mutable_attribute_is_set_and_changed,
    core_21_infra_24_the_default_of_a_mixin_beats_that_of_the_kind,
    core_22_an_unknown_attribute_is_refused,
    core_23_infra_9_infra_11_infra_16_a_wrong_value_is_refused,
    core_23_a_size_that_never_fits_is_the_clients_fault,
    core_24_an_id_is_unique_and_the_end_of_the_location,
    core_25_http_19_a_link_begins_at_a_resource_of_this_server,
    core_26_json_3_a_link_may_lead_elsewhere,
    core_27_http_75_a_removed_link_is_gone_from_its_source,
    core_28_a_resource_takes_its_links_along,
    core_28_a_link_goes_when_its_target_goes,
    core_31_all_some_and_one_can_be_had,
    core_32_an_action_belongs_to_the_kind_or_a_mixin,
    core_33_an_action_on_many_happens_to_all_or_none,
    core_34_an_entity_has_exactly_one_kind,
    core_35_http_44_several_entities_are_made_together_or_not_at_all,
    core_36_numbers_are_equal_by_value,
    core_37_a_stale_state_in_a_replacement_does_nothing,
    core_38_infra_26_user_data_comes_at_creation_or_never,
    core_41_an_unknown_category_is_refused,
    core_42_a_link_can_be_led_elsewhere_or_the_server_says_it_cannot,
);

pub(crate) const USER_DATA: &str = "http://schemas.ogf.org/occi/infrastructure/compute#user_data";
pub(crate) const SSH_KEY: &str = "http://schemas.ogf.org/occi/infrastructure/credentials#ssh_key";
pub(crate) const IPNETWORK: &str = "http://schemas.ogf.org/occi/infrastructure/network#ipnetwork";
pub(crate) const RESOURCE_TPL: &str = "http://schemas.ogf.org/occi/infrastructure#resource_tpl";
pub(crate) const OS_TPL: &str = "http://schemas.ogf.org/occi/infrastructure#os_tpl";
pub(crate) const PROFILE: &str = "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#";

fn core_1_core_5_core_9_the_base_kinds_are_there_and_all_others_descend_from_them(site: &Site) {
    let model = site.json_model();
    let kinds = members(&model, "kinds");
    let ids: Vec<_> = kinds.iter().map(id_of).collect();
    for kind in &kinds {
        let parent = kind["parent"].as_str();
        match id_of(kind).strip_prefix(CORE) {
            Some("entity") => assert_eq!(parent, None, "entity has no parent"),
            Some("resource" | "link") => assert_eq!(parent, Some(format!("{CORE}entity").as_str())),
            _ => assert!(
                parent.is_some_and(|parent| ids.iter().any(|id| id == parent)),
                "{kind:#} has no parent among the kinds"
            ),
        }
    }
    for term in ["entity", "resource", "link"] {
        assert!(ids.contains(&format!("{CORE}{term}")), "no {term}");
    }
    // The text form of the same: rel is the parent.
    let text = site.model();
    let parent = |id: String| text.category(&id).and_then(|kind| kind.get("rel").map(str::to_owned));
    assert_eq!(parent(format!("{CORE}entity")), None);
    assert_eq!(parent(format!("{CORE}link")), Some(format!("{CORE}entity")));
    assert_eq!(parent(format!("{INFRA}compute")), Some(format!("{CORE}resource")));
    assert_eq!(parent(format!("{INFRA}storagelink")), Some(format!("{CORE}link")));
    assert!(!members(&model, "mixins").is_empty() && !members(&model, "actions").is_empty());
}

fn core_8_child_kinds_show_what_they_inherit(site: &Site) {
    let model = site.model();
    let names = |id: &str| -> Vec<String> {
        let category = model.category(id).unwrap_or_else(|| panic!("no {id}"));
        category.definitions().into_iter().map(|(name, _)| name).collect()
    };
    for category in model.categories.iter().filter(|category| category.class() == "kind") {
        let Some(parent) = category.get("rel") else { continue };
        let own = names(&category.id());
        for inherited in names(parent) {
            assert!(own.contains(&inherited), "{} lacks {inherited}", category.id());
        }
    }
    assert!(names(&format!("{INFRA}compute")).contains(&"occi.core.title".to_owned()));
}

fn core_39_whatever_an_entity_shows_is_found_in_the_query_interface(site: &Site) {
    let model = site.json_model();
    let known: Vec<String> = ["kinds", "mixins", "actions"]
        .iter()
        .flat_map(|class| members(&model, class))
        .map(|category| id_of(&category))
        .collect();
    let all = ["kinds", "mixins"].iter().flat_map(|class| members(&model, class));
    for category in all.collect::<Vec<_>>() {
        for relation in ["actions", "depends", "applies"] {
            for id in strings(&category[relation]) {
                assert!(
                    known.contains(&id),
                    "{} names {id}, which is not there",
                    id_of(&category)
                );
            }
        }
    }
    let network = site.network(&[]);
    let compute = site.compute(&[&mixin(&format!("{PROFILE}small"))]);
    let link = site.link("networkinterface", &compute, &network, &[]);
    for thing in [&compute, &link] {
        let entity = thing.json();
        let kind = entity["kind"].as_str().unwrap_or_default().to_owned();
        let categories: Vec<_> = [vec![kind], strings(&entity["mixins"])].concat();
        let mut defined = Vec::new();
        for id in &categories {
            let category = ["kinds", "mixins"]
                .iter()
                .flat_map(|class| members(&model, class))
                .find(|category| id_of(category) == *id)
                .unwrap_or_else(|| panic!("{id} is not in the query interface"));
            defined.extend(
                category["attributes"]
                    .as_object()
                    .into_iter()
                    .flat_map(|all| all.keys().cloned()),
            );
        }
        for name in entity["attributes"].as_object().into_iter().flat_map(|all| all.keys()) {
            assert!(
                defined.contains(name),
                "{name} is shown and defined nowhere: {entity:#}"
            );
        }
        for id in strings(&entity["actions"]) {
            assert!(known.contains(&id), "{id} is offered and not in the query interface");
        }
    }
}

fn core_40_json_5_restrictions_are_visible(site: &Site) {
    let model = site.json_model();
    let applies = |id: &str| {
        let found = members(&model, "mixins").into_iter().find(|mixin| id_of(mixin) == id);
        strings(&found.unwrap_or_else(|| panic!("no {id}"))["applies"])
    };
    assert_eq!(applies(SSH_KEY), [format!("{INFRA}compute")]);
    assert_eq!(applies(USER_DATA), [format!("{INFRA}compute")]);
    assert_eq!(applies(IPNETWORK), [format!("{INFRA}network")]);
}

fn core_2_a_category_is_its_scheme_and_term(site: &Site) {
    let compute = "Category: compute; scheme=\"http://schemas.OGF.org/occi/infrastructure#\"; class=\"kind\"";
    site.post("/compute/").text(&[compute]).send().is(400);
    let near = "Category: compute; scheme=\"http://schemas.ogf.org/occi/core#\"; class=\"kind\"";
    site.post("/compute/").text(&[near]).send().is(400);
}

fn core_3_a_user_mixin_under_the_schemes_of_ogf_is_refused(site: &Site) {
    let term = unique("tag");
    let own = format!(
        "Category: {term}; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"mixin\"; location=\"/mixin/{term}/\""
    );
    site.post("/-/").text(&[&own]).send().is(403);
    assert!(!site.model().has_category(&format!("{INFRA}{term}")));
}

fn core_4_a_user_mixin_brings_no_attributes(site: &Site) {
    let term = unique("tag");
    let own = |attributes: &str| {
        format!(
            "Category: {term}; scheme=\"{}\"; class=\"mixin\"; location=\"/mixin/{term}/\"; attributes=\"{attributes}\"",
            Tag::SCHEME
        )
    };
    for attributes in ["occi.compute.colour", "colour", "org.example.colour"] {
        site.post("/-/").text(&[&own(attributes)]).send().is(400);
    }
}

fn core_6_entity_has_no_instances(site: &Site) {
    let entity = format!("Category: entity; scheme=\"{CORE}\"; class=\"kind\"");
    for at in ["/", "/entity/"] {
        site.post(at).text(&[&entity]).send().is(400);
    }
}

fn core_7_an_entity_keeps_its_kind(site: &Site) {
    let network = site.network(&[]);
    network.update(&[&kind("storage")]).is(400);
    let storage = [kind("storage"), "X-OCCI-Attribute: occi.storage.size=1".to_owned()];
    network.replace(&[&storage[0], &storage[1]]).is(400);
    network
        .update(&[&kind("network"), "X-OCCI-Attribute: occi.core.title=\"same\""])
        .is(200);
    assert!(network.read().has_category(&format!("{INFRA}network")));
}

fn core_10_core_14_infra_11_infra_43_a_mixin_brings_its_attributes_at_creation_and_later(site: &Site) {
    let address = "X-OCCI-Attribute: occi.network.address=\"192.0.2.0/24\", occi.network.gateway=\"192.0.2.1\"";
    let allocation = "X-OCCI-Attribute: occi.network.allocation=\"static\"";
    site.post("/network/").text(&[&kind("network"), address]).send().is(400);
    let early = site.network(&[&mixin(IPNETWORK), address, allocation]);
    let late = site.network(&[]);
    let addressed = [&mixin(IPNETWORK), address, allocation];
    if late.update(&addressed).among(&[200, 409]).status == 409 {
        // Not while it is up.
        late.act("down", &[]).is(200);
        late.wait("inactive");
        late.update(&addressed).is(200);
    }
    for network in [early, late] {
        let reading = network.read();
        assert!(reading.has_category(IPNETWORK));
        assert_eq!(reading.get("occi.network.address"), Some("192.0.2.0/24"));
        assert_eq!(reading.get("occi.network.gateway"), Some("192.0.2.1"));
        assert_eq!(reading.get("occi.network.allocation"), Some("static"));
    }
}

fn core_11_what_a_mixin_depends_on_comes_with_it(site: &Site) {
    let tag = site.tag_with(&format!("; rel=\"{IPNETWORK}\""));
    let network = site.network(&[
        &tag.line(),
        "X-OCCI-Attribute: occi.network.address=\"198.51.100.0/24\"",
    ]);
    assert_eq!(network.get("occi.network.address").as_deref(), Some("198.51.100.0/24"));
}

fn core_12_a_mixin_stays_with_the_kinds_it_applies_to(site: &Site) {
    let key = "X-OCCI-Attribute: occi.credentials.ssh.publickey=\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tL test\"";
    site.post("/network/")
        .text(&[&kind("network"), &mixin(SSH_KEY), key])
        .send()
        .is(403);
    let network = site.network(&[]);
    network.update(&[&mixin(SSH_KEY), key]).is(403);
    let location = site.collection(SSH_KEY);
    site.post(&location)
        .text(&[&format!("X-OCCI-Location: {}", network.url)])
        .send()
        .is(403);
    // Nothing in `applies` means anything.
    let tag = site.tag();
    network.update(&[&tag.line()]).is(200);
    let compute = site.compute(&[&tag.line()]);
    site.link("networkinterface", &compute, &network, &[&tag.line()]);
}

fn core_13_a_mixin_applies_to_the_descendants_of_its_kinds(site: &Site) {
    site.needs_kind("ipreservation");
    let lines = [kind("ipreservation"), mixin(IPNETWORK)];
    let reservation = site.create("/ipreservation/", &[&lines[0], &lines[1]]);
    assert!(reservation.read().has_category(IPNETWORK));
}

fn core_15_core_29_core_30_an_entity_is_in_every_collection_it_belongs_to(site: &Site) {
    let tag = site.tag();
    let network = site.network(&[]);
    let compute = site.compute(&[&tag.line(), &mixin(&format!("{PROFILE}small"))]);
    let link = site.link("networkinterface", &compute, &network, &[&tag.line()]);
    let small = site.collection(&format!("{PROFILE}small"));
    let listed = |at: &str| site.list(at);
    for at in ["/compute/", "/resource/", "/entity/", "/", &tag.location(), &small] {
        assert!(listed(at).contains(&compute.url), "{} is not in {at}", compute.url);
    }
    for at in ["/networkinterface/", "/link/", &tag.location()] {
        assert!(listed(at).contains(&link.url), "{} is not in {at}", link.url);
    }
    for at in ["/storage/", "/link/", "/network/"] {
        assert!(!listed(at).contains(&compute.url), "{} is in {at}", compute.url);
    }
    assert_eq!(
        sorted(listed(&tag.location())),
        sorted(vec![compute.url.clone(), link.url.clone()])
    );
}

fn core_16_core_17_an_immutable_attribute_keeps_its_value(site: &Site) {
    let compute = site.running(&[]);
    let id = compute.id().to_owned();
    compute.update(&["X-OCCI-Attribute: occi.core.id=\"another\""]).is(403);
    compute
        .update(&["X-OCCI-Attribute: occi.compute.state=\"suspended\""])
        .is(403);
    compute
        .replace(&[&kind("compute"), "X-OCCI-Attribute: occi.core.id=\"another\""])
        .is(403);
    assert_eq!(compute.get("occi.core.id"), Some(id.clone()));
    assert_eq!(compute.state(), "active");
    let same = format!("X-OCCI-Attribute: occi.core.id=\"{id}\", occi.compute.state=\"active\"");
    compute
        .update(&[&same, "X-OCCI-Attribute: occi.core.title=\"kept\""])
        .is(200);
    compute.replace(&[&kind("compute"), &same]).is(200);
    let as_urn = format!("X-OCCI-Attribute: occi.core.id=\"urn:uuid:{id}\"");
    compute.update(&[&as_urn]).is(200);
}

fn core_18_http_55_what_a_client_must_not_choose_is_ignored_on_create(site: &Site) {
    let wished = unique("wished");
    let compute = site.compute(&[
        &format!("X-OCCI-Attribute: occi.core.id=\"{wished}\""),
        "X-OCCI-Attribute: occi.compute.state=\"suspended\", occi.compute.state.message=\"hello\"",
        &format!("X-OCCI-Attribute: occi.core.title=\"{wished}\""),
    ]);
    assert_ne!(compute.id(), wished);
    assert_eq!(compute.get("occi.core.id").as_deref(), Some(compute.id()));
    assert_ne!(compute.state(), "suspended");
    assert_ne!(compute.get("occi.compute.state.message").as_deref(), Some("hello"));
    let found = site
        .get(&format!("/compute/?attribute=occi.core.title&value={wished}"))
        .accept("text/uri-list")
        .send()
        .is(200);
    assert_eq!(found.read().locations, [compute.url.as_str()]);
}

fn core_18_infra_16_the_interface_of_a_link_is_a_wish(site: &Site) {
    let (network, compute) = (site.network(&[]), site.compute(&[]));
    let wish = "X-OCCI-Attribute: occi.networkinterface.interface=\"eth7\"";
    let link = site.link("networkinterface", &compute, &network, &[wish]);
    let reading = link.read();
    assert!(
        reading
            .get("occi.networkinterface.interface")
            .is_some_and(|name| !name.is_empty())
    );
    let mac = reading.get("occi.networkinterface.mac").unwrap_or_default().to_owned();
    let octets: Vec<_> = mac.split(':').collect();
    assert!(
        octets.len() == 6
            && octets
                .iter()
                .all(|octet| octet.len() == 2 && u8::from_str_radix(octet, 16).is_ok()),
        "{mac:?} is no MAC address"
    );
}

fn core_19_infra_12_a_missing_required_attribute_is_refused(site: &Site) {
    site.post("/storage/").text(&[&kind("storage")]).send().is(400);
    site.post("/compute/")
        .text(&[&kind("compute"), &mixin(SSH_KEY)])
        .send()
        .is(400);
    let storage = site.storage(&[]);
    storage
        .replace(&[&kind("storage"), "X-OCCI-Attribute: occi.core.title=\"x\""])
        .is(400);
    assert_eq!(
        storage.read().literal("occi.storage.size").map(Literal::text),
        Some("1.0")
    );
}

fn core_20_a_mutable_attribute_is_set_and_changed(site: &Site) {
    let network = site.network(&["X-OCCI-Attribute: occi.core.title=\"first\", occi.network.label=\"red\""]);
    assert_eq!(network.get("occi.network.label").as_deref(), Some("red"));
    network
        .update(&["X-OCCI-Attribute: occi.core.title=\"second\", occi.network.label=\"blue\""])
        .is(200);
    let reading = network.read();
    assert_eq!(reading.get("occi.core.title"), Some("second"));
    assert_eq!(reading.get("occi.network.label"), Some("blue"));
    // On a resource the summary is inherited.
    network
        .update(&["X-OCCI-Attribute: occi.core.summary=\"in short\""])
        .is(200);
    assert_eq!(network.get("occi.core.summary").as_deref(), Some("in short"));
}

fn core_21_infra_24_the_default_of_a_mixin_beats_that_of_the_kind(site: &Site) {
    let medium = mixin(&format!("{PROFILE}medium"));
    let compute = site.compute(&[&medium]);
    let reading = compute.read();
    assert_eq!(reading.get("occi.compute.cores"), Some("2"));
    assert_eq!(reading.get("occi.compute.memory"), Some("2.0"));
    let plain = site.compute(&[]);
    assert_ne!(plain.get("occi.compute.cores"), None);
    // The template's size also beats the client's.
    let greedy = site
        .post("/compute/")
        .text(&[&kind("compute"), &medium, "X-OCCI-Attribute: occi.compute.cores=3"]);
    let answer = greedy.accept("text/plain").send().among(&[201, 409]);
    if answer.status == 201 {
        let compute = Thing::new(site, answer.location());
        assert_eq!(compute.get("occi.compute.cores").as_deref(), Some("2"));
    }
}

fn core_22_an_unknown_attribute_is_refused(site: &Site) {
    let unknown = "X-OCCI-Attribute: org.example.colour=\"blue\"";
    site.post("/network/").text(&[&kind("network"), unknown]).send().is(400);
    let network = site.network(&[]);
    network.update(&[unknown]).is(400);
    network.replace(&[&kind("network"), unknown]).is(400);
    // Known elsewhere is not known here.
    network.update(&["X-OCCI-Attribute: occi.storage.size=1"]).is(400);
}

fn core_23_a_size_that_never_fits_is_the_clients_fault(site: &Site) {
    for (path, term, size) in [
        ("/compute/", "compute", "occi.compute.memory=1000000000.0"),
        ("/compute/", "compute", "occi.compute.cores=1000000000"),
        ("/storage/", "storage", "occi.storage.size=1000000000.0"),
    ] {
        let lines = [kind(term), format!("X-OCCI-Attribute: {size}")];
        // An engine without bounds takes it, and over a quota it is 403. Nobody is told to come again.
        let answer = site
            .post(path)
            .text(&[&lines[0], &lines[1]])
            .send()
            .among(&[201, 400, 403]);
        let _made = (answer.status == 201).then(|| Thing::new(site, answer.location()));
    }
}

fn core_23_infra_9_infra_11_infra_16_a_wrong_value_is_refused(site: &Site) {
    let compute = [
        "occi.compute.cores=0",
        "occi.compute.cores=-1",
        "occi.compute.cores=1.5",
        "occi.compute.cores=\"many\"",
        "occi.compute.memory=0",
        "occi.compute.memory=\"2 GiB\"",
        "occi.compute.share=-1",
        "occi.compute.speed=-0.5",
        "occi.compute.architecture=\"sparc\"",
        "occi.compute.hostname=\"\"",
    ];
    for wrong in compute {
        let lines = [kind("compute"), format!("X-OCCI-Attribute: {wrong}")];
        site.post("/compute/").text(&[&lines[0], &lines[1]]).send().is(400);
    }
    let network = [
        "occi.network.vlan=4096",
        "occi.network.vlan=-1",
        "occi.network.vlan=\"red\"",
        "occi.network.address=\"300.1.2.0/24\"",
        "occi.network.address=\"192.0.2.0/33\"",
        "occi.network.address=\"2001:db8::/129\"",
        "occi.network.gateway=\"192.0.2\"",
        "occi.network.allocation=\"sometimes\"",
    ];
    for wrong in network {
        let lines = [kind("network"), mixin(IPNETWORK), format!("X-OCCI-Attribute: {wrong}")];
        site.post("/network/")
            .text(&[&lines[0], &lines[1], &lines[2]])
            .send()
            .is(400);
    }
    for right in ["occi.network.vlan=0", "occi.network.vlan=4095"] {
        site.network(&[&mixin(IPNETWORK), &format!("X-OCCI-Attribute: {right}")]);
    }
    // A right one, which not every engine can carry out.
    let six = "X-OCCI-Attribute: occi.network.address=\"2001:db8::/64\"";
    let answer = site
        .post("/network/")
        .text(&[&kind("network"), &mixin(IPNETWORK), six])
        .send()
        .among(&[201, 501]);
    let _made = (answer.status == 201).then(|| Thing::new(site, answer.location()));
    let (network, compute) = (site.network(&[]), site.compute(&[]));
    for wrong in ["02:00", "02:00:00:00:00:zz", "hello"] {
        let lines = [
            kind("networkinterface"),
            format!("X-OCCI-Attribute: occi.core.source=\"{}\"", compute.path()),
            format!("X-OCCI-Attribute: occi.core.target=\"{}\"", network.path()),
            format!("X-OCCI-Attribute: occi.networkinterface.mac=\"{wrong}\""),
        ];
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        site.post("/networkinterface/").text(&lines).send().is(400);
    }
    let storage = [kind("storage"), "X-OCCI-Attribute: occi.storage.size=-1".to_owned()];
    site.post("/storage/").text(&[&storage[0], &storage[1]]).send().is(400);
}

fn core_24_an_id_is_unique_and_the_end_of_the_location(site: &Site) {
    let mut ids = Vec::new();
    let things: Vec<_> = (0..3).map(|_| site.network(&[])).collect();
    for thing in &things {
        let id = thing.get("occi.core.id").unwrap_or_default();
        assert_eq!(id, thing.id());
        let mut letters = id.bytes();
        assert!(
            letters.next().is_some_and(|first| first.is_ascii_alphanumeric()),
            "{id}"
        );
        assert!(
            letters.all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
            "{id}"
        );
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

fn core_25_http_19_a_link_begins_at_a_resource_of_this_server(site: &Site) {
    let network = site.network(&[]);
    let compute = site.compute(&[]);
    let link = |source: &str, target: &str| {
        let lines = [
            kind("networkinterface"),
            format!("X-OCCI-Attribute: occi.core.source=\"{source}\""),
            format!("X-OCCI-Attribute: occi.core.target=\"{target}\""),
        ];
        site.post("/networkinterface/")
            .text(&[&lines[0], &lines[1], &lines[2]])
            .send()
    };
    link("http://elsewhere.example.org/compute/1", &network.path()).is(400);
    link("/compute/00000000-0000-4000-8000-000000000000", &network.path()).is(400);
    link(&compute.path(), "/network/00000000-0000-4000-8000-000000000000").is(400);
    // The target's kind does not fit.
    link(&compute.path(), &compute.path()).is(400);
    for lonely in ["source", "target"] {
        let lines = [
            kind("networkinterface"),
            format!("X-OCCI-Attribute: occi.core.{lonely}=\"{}\"", compute.path()),
        ];
        site.post("/networkinterface/")
            .text(&[&lines[0], &lines[1]])
            .send()
            .is(400);
    }
}

fn core_26_json_3_a_link_may_lead_elsewhere(site: &Site) {
    let compute = site.compute(&[]);
    let foreign = "http://elsewhere.example.org/storage/7";
    let answer = site
        .post("/link/")
        .accept("text/plain")
        .json(&json!({
            "kind": format!("{CORE}link"),
            "source": { "location": compute.path() },
            "target": { "location": foreign, "kind": format!("{INFRA}storage") },
        }))
        .send()
        .is(201);
    let link = Thing::new(site, answer.location());
    let entity = link.json();
    assert_valid("link", &entity);
    assert_eq!(
        entity["target"],
        json!({ "location": foreign, "kind": format!("{INFRA}storage") })
    );
    let reading = link.read();
    assert_eq!(reading.get("occi.core.target"), Some(foreign));
    assert_eq!(
        reading.get("occi.core.target.kind"),
        Some(format!("{INFRA}storage").as_str())
    );
    let shown = compute.read();
    assert!(
        shown.plain_links().any(|link| link.uri == foreign),
        "the compute does not show its link"
    );
}

fn core_27_http_75_a_removed_link_is_gone_from_its_source(site: &Site) {
    let (network, compute) = (site.network(&[]), site.compute(&[]));
    let link = site.link("networkinterface", &compute, &network, &[]);
    let links = || -> Vec<String> {
        let reading = compute.read();
        reading
            .plain_links()
            .filter_map(|link| link.get("self").map(str::to_owned))
            .collect()
    };
    assert!(links().contains(&link.path()));
    link.remove().is(200);
    site.get(&link.url).send().is(404);
    assert!(!links().contains(&link.path()));
    assert!(!compute.json()["links"].to_string().contains(link.id()));
    assert!(!site.list("/networkinterface/").contains(&link.url));
}

fn core_28_a_resource_takes_its_links_along(site: &Site) {
    let (network, storage, compute) = (site.network(&[]), site.storage(&[]), site.compute(&[]));
    let interface = site.link("networkinterface", &compute, &network, &[]);
    let volume = site.link("storagelink", &compute, &storage, &[]);
    compute.remove().is(200);
    for link in [&interface, &volume] {
        site.get(&link.url).send().is(404);
    }
    site.get(&network.url).send().is(200);
    site.get(&storage.url).send().is(200);
}

fn core_28_a_link_goes_when_its_target_goes(site: &Site) {
    site.needs_kind("securitygroup");
    let compute = site.compute(&[]);
    let rules =
        r#"X-OCCI-Attribute: occi.securitygroup.rules="[{\"protocol\":\"tcp\",\"type\":\"inbound\",\"port\":\"22\"}]""#;
    let group = site.create("/securitygroup/", &[&kind("securitygroup"), rules]);
    let link = site.link("securitygrouplink", &compute, &group, &[]);
    group.remove().is(200);
    site.get(&link.url).send().is(404);
    assert_eq!(
        compute
            .read()
            .plain_links()
            .filter(|link| link.uri == group.path())
            .count(),
        0
    );
}

fn core_31_all_some_and_one_can_be_had(site: &Site) {
    let tag = site.tag();
    let things: Vec<_> = (0..3)
        .map(|number| {
            let title = format!("X-OCCI-Attribute: occi.core.title=\"{}-{number}\"", tag.term);
            site.network(&[&tag.line(), &title])
        })
        .collect();
    let urls: Vec<_> = things.iter().map(|thing| thing.url.clone()).collect();
    let all = site.get(&tag.location()).accept("text/uri-list").send().is(200);
    assert_eq!(sorted(all.read().locations), sorted(urls.clone()));
    let some = site
        .get(&tag.location())
        .accept("text/uri-list")
        .occi(&[&format!("X-OCCI-Attribute: occi.core.title=\"{}-1\"", tag.term)])
        .send()
        .is(200);
    assert_eq!(some.read().locations, [urls[1].as_str()]);
    site.get(&urls[0]).send().is(200);
}

fn core_32_an_action_belongs_to_the_kind_or_a_mixin(site: &Site) {
    let network = site.network(&[]);
    let wrong = action("compute", "stop");
    site.post(&format!("{}?action=stop", network.url))
        .text(&[&wrong])
        .send()
        .is(400);
    assert_eq!(network.state(), "active");
}

fn core_33_an_action_on_many_happens_to_all_or_none(site: &Site) {
    let newcomer = site.own_project();
    let site = &newcomer.site;
    let (network, compute) = (site.network(&[]), site.running(&[]));
    let stop = action("compute", "stop");
    site.post("/?action=stop").text(&[&stop]).send().among(&[400, 409]);
    let suspended = site.running(&[]);
    suspended.act("suspend", &[]).is(200);
    suspended.wait("suspended");
    // A suspended compute cannot be restarted, so none is.
    site.post("/compute/?action=restart")
        .text(&[&action("compute", "restart")])
        .send()
        .is(409);
    assert_eq!(
        [compute.state(), suspended.state(), network.state()],
        ["active", "suspended", "active"]
    );
    suspended.act("start", &[]).is(200);
    suspended.wait("active");
    site.post("/compute/?action=stop").text(&[&stop]).send().is(200);
    compute.wait("inactive");
    suspended.wait("inactive");
}

fn core_34_an_entity_has_exactly_one_kind(site: &Site) {
    for at in ["/compute/", "/"] {
        site.post(at).text(&[&kind("compute"), &kind("network")]).send().is(400);
        site.post(at)
            .text(&["X-OCCI-Attribute: occi.core.title=\"nothing\""])
            .send()
            .is(400);
        site.post(at).text(&[&action("compute", "start")]).send().is(400);
    }
}

fn core_35_http_44_several_entities_are_made_together_or_not_at_all(site: &Site) {
    let title = unique("batch");
    let network = json!({ "kind": format!("{INFRA}network"), "title": title });
    let broken =
        json!({ "kind": format!("{INFRA}network"), "title": title, "attributes": { "occi.network.vlan": 9999 } });
    let listed = || site.find("/network/", &title);
    site.post("/network/")
        .json(&json!({ "resources": [network, broken] }))
        .send()
        .is(400);
    assert_eq!(listed(), Vec::<String>::new());
    site.post("/network/")
        .accept("text/uri-list")
        .json(&json!({ "resources": [network, network] }))
        .send()
        .is(201);
    let made: Vec<_> = listed().into_iter().map(|url| Thing::new(site, url)).collect();
    assert_eq!(made.len(), 2);
}

fn core_36_numbers_are_equal_by_value(site: &Site) {
    let title = unique("numbers");
    let compute = site.compute(&[&format!(
        "X-OCCI-Attribute: occi.core.title=\"{title}\", occi.compute.cores=1.0, occi.compute.memory=1"
    )]);
    let reading = compute.read();
    assert_eq!(
        reading.literal("occi.compute.cores"),
        Some(&Literal::Bare("1".to_owned()))
    );
    assert_eq!(
        reading.literal("occi.compute.memory"),
        Some(&Literal::Bare("1.0".to_owned()))
    );
    for filter in [
        "occi.compute.cores=1.0",
        "occi.compute.cores=1",
        "occi.compute.memory=1",
    ] {
        let found = site
            .get("/compute/")
            .accept("text/uri-list")
            .occi(&[&format!("X-OCCI-Attribute: occi.core.title=\"{title}\", {filter}")])
            .send()
            .is(200);
        assert_eq!(found.read().locations, [compute.url.as_str()], "{filter}");
    }
}

fn core_37_a_stale_state_in_a_replacement_does_nothing(site: &Site) {
    let compute = site.running(&[]);
    compute
        .replace(&[
            &kind("compute"),
            "X-OCCI-Attribute: occi.core.title=\"again\"",
            "X-OCCI-Attribute: occi.compute.state=\"inactive\", occi.compute.state.message=\"long ago\"",
        ])
        .is(200);
    assert_eq!(compute.state(), "active");
    assert_ne!(compute.get("occi.compute.state.message").as_deref(), Some("long ago"));
    assert_eq!(compute.get("occi.core.title").as_deref(), Some("again"));
}

fn core_38_infra_26_user_data_comes_at_creation_or_never(site: &Site) {
    let data = |data: &str| format!("X-OCCI-Attribute: occi.compute.userdata=\"{data}\"");
    let late = site.compute(&[]);
    late.update(&[&mixin(USER_DATA), &data("IyEvYmluL3NoCg==")]).is(400);
    let compute = site.compute(&[&mixin(USER_DATA), &data("IyEvYmluL3NoCg==")]);
    assert_eq!(
        compute.get("occi.compute.userdata").as_deref(),
        Some("IyEvYmluL3NoCg==")
    );
    compute.update(&[&data("IyEvYmluL3NoCg==")]).is(200);
    compute.update(&[&data("IyEvYmluL2Jhc2gK")]).is(403);
    site.post("/network/")
        .text(&[&kind("network"), &mixin(USER_DATA), &data("IyEvYmluL3NoCg==")])
        .send()
        .is(403);
}

fn core_41_an_unknown_category_is_refused(site: &Site) {
    site.post("/").text(&[&kind("teapot")]).send().is(400);
    let unknown = mixin("http://conformance.example.org/occi/unknown#nothing");
    site.post("/network/")
        .text(&[&kind("network"), &unknown])
        .send()
        .is(400);
    let network = site.network(&[]);
    network.update(&[&unknown]).is(400);
    network.act("explode", &[]).is(400);
}

fn core_42_a_link_can_be_led_elsewhere_or_the_server_says_it_cannot(site: &Site) {
    let (first, second, compute) = (site.network(&[]), site.network(&[]), site.compute(&[]));
    let link = site.link("networkinterface", &compute, &first, &[]);
    link.wait("active");
    let target = format!("X-OCCI-Attribute: occi.core.target=\"{}\"", second.path());
    let answer = link.update(&[&target]).among(&[200, 501]);
    let expected = if answer.status == 200 {
        second.path()
    } else {
        first.path()
    };
    assert_eq!(link.get("occi.core.target"), Some(expected));
}

/// The members of a category collection.
pub(crate) fn members(model: &Value, class: &str) -> Vec<Value> {
    match model[class].as_array() {
        Some(members) => members.clone(),
        None => panic!("the model has no {class}"),
    }
}

/// The identifier of a category in JSON.
pub(crate) fn id_of(category: &Value) -> String {
    let part = |name: &str| category[name].as_str().unwrap_or_default();
    format!("{}{}", part("scheme"), part("term"))
}

/// A list of strings, maybe absent.
pub(crate) fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The same in order.
pub(crate) fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}
