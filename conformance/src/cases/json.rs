//! The JSON rendering (GFD.226).

use crate::cases::core::{IPNETWORK, PROFILE, id_of, members, strings};
use crate::schema::assert_valid;
use crate::site::{INFRA, Site, kind, mixin, unique};
use crate::suite::cases;
use crate::thing::Thing;
use serde_json::{Value, json};

cases!(Checklist:
    json_1_the_alias_is_the_same_rendering,
    json_2_json_3_json_12_json_21_entities_are_valid_alone_and_in_collections,
    json_4_http_32_an_action_is_called_by_its_identifier,
    json_5_json_11_json_21_the_model_is_valid,
    json_6_json_8_json_7_definitions_are_flat_and_complete,
    json_9_patterns_are_schemas_and_only_for_those_who_know_them,
    json_10_collections_are_named_after_what_is_in_them,
    json_13_nested_attributes_are_flattened,
    json_14_one_entity_can_be_wrapped_in_three_ways,
    json_15_the_ends_of_a_link_may_be_strings,
    json_16_core_attributes_are_in_both_places_and_must_agree,
    json_17_types_are_checked,
    json_18_an_error_has_all_names_that_readers_look_for,
    json_19_broken_json_is_refused,
    json_22_core_21_defaults_are_of_their_type_and_used,
    json_23_null_unsets_and_actions_are_ignored,
);

fn network(members: Value) -> Value {
    let mut entity = json!({ "kind": format!("{INFRA}network") });
    if let (Some(entity), Value::Object(members)) = (entity.as_object_mut(), members) {
        entity.extend(members);
    }
    entity
}

fn create<'a>(site: &'a Site, at: &str, entity: &Value) -> Thing<'a> {
    let answer = site.post(at).accept("text/plain").json(entity).send().is(201);
    Thing::new(site, answer.location())
}

fn json_1_the_alias_is_the_same_rendering(site: &Site) {
    let network = create(site, "/network/", &network(json!({ "title": "one" })));
    network.wait("active");
    let answers = ["application/occi+json", "application/json"].map(|media| {
        let answer = site.get(&network.url).accept(media).send().is(200);
        assert_eq!(answer.media(), media);
        answer.json()
    });
    assert_eq!(answers[0], answers[1]);
    site.post(&network.url)
        .body("application/json", r#"{"title":"two"}"#)
        .send()
        .is(200);
    assert_eq!(network.json()["title"], "two");
}

fn json_2_json_3_json_12_json_21_entities_are_valid_alone_and_in_collections(site: &Site) {
    let tag = site.tag();
    let (net, storage) = (site.network(&[&tag.line()]), site.storage(&[&tag.line()]));
    let compute = site.running(&[&tag.line(), &mixin(&format!("{PROFILE}small"))]);
    let interface = site.link("networkinterface", &compute, &net, &[&tag.line()]);
    let volume = site.link("storagelink", &compute, &storage, &[&tag.line()]);
    for (link, kind) in [(&volume, "storagelink"), (&interface, "networkinterface")] {
        link.wait("active");
        // It may be there before the service is done with it, which says so.
        let message = format!("occi.{kind}.state.message");
        link.wait_for("nothing more to say", |reading| reading.get(&message).is_none());
    }
    for resource in [&net, &storage, &compute] {
        assert_valid("resource", &resource.json());
    }
    for link in [&interface, &volume] {
        assert_valid("link", &link.json());
    }
    let link = interface.json();
    assert_eq!(link["source"]["location"], compute.path());
    assert_eq!(
        link["target"],
        json!({ "location": net.path(), "kind": format!("{INFRA}network") })
    );
    // Collections hold entities in full.
    let all = site
        .get(&tag.location())
        .accept("application/occi+json")
        .send()
        .is(200)
        .json();
    assert_valid("collection", &all);
    assert_eq!(all["resources"], json!([net.json(), storage.json(), compute.json()]));
    assert_eq!(all["links"], json!([interface.json(), volume.json()]));
    let links = compute.json()["links"].clone();
    assert!(
        links.as_array().is_some_and(|links| links.contains(&link)),
        "{links:#} lacks {link:#}"
    );
    // What is made is in the answer.
    let answer = site
        .post("/network/")
        .accept("application/occi+json")
        .json(&network(json!({})))
        .send()
        .is(201);
    let made = Thing::new(site, answer.location());
    assert_valid("resource", &answer.json());
    assert_eq!(answer.json()["id"], made.id());
}

fn json_4_http_32_an_action_is_called_by_its_identifier(site: &Site) {
    let compute = site.running(&[]);
    let scheme = "http://schemas.ogf.org/occi/infrastructure/compute/action#";
    let call = |term: &str, value: Value| {
        let ask = site
            .post(&format!("{}?action={term}", compute.url))
            .accept("application/occi+json");
        ask.json(&value).send()
    };
    let stop = |method: &str| json!({ "action": format!("{scheme}stop"), "attributes": { "method": method } });
    call("start", stop("poweroff")).is(400);
    call("stop", stop("gently")).is(400);
    call("stop", json!({ "attributes": {} })).is(400);
    assert_eq!(compute.state(), "active");
    let answer = call("stop", stop("poweroff")).is(200);
    assert_valid("resource", &answer.json());
    compute.wait("inactive");
    call("start", json!({ "action": format!("{scheme}start"), "attributes": {} })).is(200);
    compute.wait("active");
}

fn json_5_json_11_json_21_the_model_is_valid(site: &Site) {
    let model = site.json_model();
    assert_valid("collection", &model);
    assert_eq!(model.as_object().map(serde_json::Map::len), Some(3));
    for (class, definition) in [("kinds", "kind"), ("mixins", "mixin"), ("actions", "action")] {
        for category in members(&model, class) {
            assert_valid(definition, &category);
            let entity = id_of(&category).ends_with("core#entity");
            assert!(
                category["location"].is_string() != (class == "actions" || entity),
                "{category:#}"
            );
        }
    }
    let find = |class: &str, id: &str| {
        let found = members(&model, class)
            .into_iter()
            .find(|category| id_of(category) == id);
        found.unwrap_or_else(|| panic!("no {id}"))
    };
    assert_eq!(
        find("kinds", &format!("{INFRA}compute"))["parent"],
        "http://schemas.ogf.org/occi/core#resource"
    );
    let small = find("mixins", &format!("{PROFILE}small"));
    assert_eq!(strings(&small["depends"]), [format!("{INFRA}resource_tpl")]);
}

fn json_6_json_8_json_7_definitions_are_flat_and_complete(site: &Site) {
    let model = site.json_model();
    let mut seen = 0;
    for class in ["kinds", "mixins", "actions"] {
        for category in members(&model, class) {
            for (name, definition) in category["attributes"].as_object().into_iter().flatten() {
                seen += 1;
                for member in ["mutable", "required"] {
                    assert!(
                        definition[member].is_boolean(),
                        "{}: {name} has no {member}",
                        id_of(&category)
                    );
                }
                assert!(
                    definition["type"].is_string(),
                    "{}: {name} has no type",
                    id_of(&category)
                );
            }
        }
    }
    assert!(seen > 40, "{seen} definitions");
    let compute = members(&model, "kinds")
        .into_iter()
        .find(|kind| id_of(kind) == format!("{INFRA}compute"));
    let attributes = compute.unwrap_or_default()["attributes"].clone();
    let flags = |name: &str| {
        let definition = &attributes[name];
        (
            definition["type"].clone(),
            definition["mutable"].clone(),
            definition["required"].clone(),
        )
    };
    assert_eq!(
        flags("occi.compute.cores"),
        (json!("number"), json!(true), json!(false))
    );
    assert_eq!(
        flags("occi.compute.state"),
        (json!("string"), json!(false), json!(false))
    );
    assert_eq!(flags("occi.core.id"), (json!("string"), json!(false), json!(false)));
}

fn json_9_patterns_are_schemas_and_only_for_those_who_know_them(site: &Site) {
    let patterns = |agent: &str| -> Vec<Value> {
        let answer = site
            .get("/-/")
            .agent(agent)
            .accept("application/occi+json")
            .send()
            .is(200);
        let model = answer.json();
        let categories = ["kinds", "mixins", "actions"]
            .into_iter()
            .flat_map(|class| members(&model, class));
        let definitions =
            categories.flat_map(|category| category["attributes"].as_object().cloned().unwrap_or_default());
        definitions
            .filter_map(|(_, definition)| definition.get("pattern").cloned())
            .collect()
    };
    let known = patterns("client OCCI/1.2");
    assert!(!known.is_empty() && known.iter().all(Value::is_object), "{known:?}");
    assert_eq!(patterns("rOCCI-core/5.0.4 OCCI/1.1"), Vec::<Value>::new());
}

fn json_10_collections_are_named_after_what_is_in_them(site: &Site) {
    let (net, compute) = (site.network(&[]), site.compute(&[]));
    let link = site.link("networkinterface", &compute, &net, &[]);
    let of = |at: &str| {
        let collection = site.get(at).accept("application/occi+json").send().is(200).json();
        assert_valid("collection", &collection);
        collection
            .as_object()
            .map(|all| all.keys().cloned().collect::<Vec<_>>())
            .unwrap_or_default()
    };
    assert_eq!(of("/compute/"), ["resources"]);
    assert_eq!(of("/networkinterface/"), ["links"]);
    assert_eq!(of("/link/"), ["links"]);
    assert_eq!(of("/"), ["resources", "links"]);
    // A filter on categories is a category collection of those classes alone or with empty others.
    let kinds = site
        .get("/-/")
        .accept("application/occi+json")
        .occi(&[&kind("compute")])
        .send()
        .is(200)
        .json();
    assert_valid("collection", &kinds);
    assert_eq!(members(&kinds, "kinds").len(), 1);
    link.read();
}

fn json_13_nested_attributes_are_flattened(site: &Site) {
    let nested = network(json!({
        "mixins": [IPNETWORK],
        "attributes": {
            "occi": { "core": { "title": "nested" }, "network": { "vlan": 4 } },
            "occi.network.address": "192.0.2.0/24",
        },
    }));
    let reading = create(site, "/network/", &nested).json();
    assert_eq!(reading["title"], "nested");
    assert_eq!(reading["attributes"]["occi.network.vlan"], 4);
    assert_eq!(reading["attributes"]["occi.network.address"], "192.0.2.0/24");
}

fn json_14_one_entity_can_be_wrapped_in_three_ways(site: &Site) {
    let bare = network(json!({ "title": "wrapped" }));
    for wrapped in [bare.clone(), json!({ "resources": [bare] }), json!([bare])] {
        let thing = create(site, "/network/", &wrapped);
        assert_eq!(thing.json()["title"], "wrapped");
    }
    // A link beside its source, as rOCCI writes it.
    let target = site.network(&[]);
    let whole = json!({ "resources": [{
        "kind": format!("{INFRA}compute"),
        "links": [{ "kind": format!("{INFRA}networkinterface"), "target": { "location": target.path() } }],
    }] });
    let compute = create(site, "/compute/", &whole);
    assert_eq!(compute.json()["links"][0]["target"]["location"], target.path());
}

fn json_15_the_ends_of_a_link_may_be_strings(site: &Site) {
    let (net, compute) = (site.network(&[]), site.running(&[]));
    let link = json!({ "kind": format!("{INFRA}networkinterface"), "source": compute.path(), "target": net.url });
    for link in [link.clone(), json!({ "links": [link] })] {
        let made = create(site, "/networkinterface/", &link);
        assert_eq!(made.json()["target"]["location"], net.path());
    }
}

fn json_16_core_attributes_are_in_both_places_and_must_agree(site: &Site) {
    let net = create(
        site,
        "/network/",
        &network(json!({ "title": "same", "attributes": { "occi.core.title": "same", "occi.core.summary": "sum" } })),
    );
    let entity = net.json();
    assert_eq!(entity["title"], entity["attributes"]["occi.core.title"]);
    assert_eq!(entity["summary"], entity["attributes"]["occi.core.summary"]);
    assert_eq!(entity["id"], entity["attributes"]["occi.core.id"]);
    let compute = site.compute(&[]);
    let link = site.link("networkinterface", &compute, &net, &[]).json();
    assert_eq!(link["source"]["location"], link["attributes"]["occi.core.source"]);
    assert_eq!(link["target"]["location"], link["attributes"]["occi.core.target"]);
    let torn = network(json!({ "title": "one", "attributes": { "occi.core.title": "two" } }));
    site.post("/network/").json(&torn).send().is(400);
}

fn json_17_types_are_checked(site: &Site) {
    for wrong in [
        json!({ "occi.network.vlan": true }),
        json!({ "occi.network.vlan": [1] }),
        json!({ "occi.network.vlan": "red" }),
        json!({ "occi.network.label": 7 }),
        json!({ "occi.network.label": { "x": 1 } }),
        json!({ "occi.network.label": null }),
    ] {
        site.post("/network/")
            .json(&network(json!({ "attributes": wrong })))
            .send()
            .is(400);
    }
    let net = create(
        site,
        "/network/",
        &network(json!({ "attributes": { "occi.network.vlan": "12" } })),
    );
    assert_eq!(net.json()["attributes"]["occi.network.vlan"], 12);
    // Integers are written without a fraction, other numbers as they are.
    let compute = site
        .compute(&["X-OCCI-Attribute: occi.compute.cores=2, occi.compute.memory=1.5"])
        .json();
    assert_eq!(compute["attributes"]["occi.compute.cores"].to_string(), "2");
    assert_eq!(compute["attributes"]["occi.compute.memory"].to_string(), "1.5");
}

fn json_18_an_error_has_all_names_that_readers_look_for(site: &Site) {
    let wrong = network(json!({ "attributes": { "occi.network.vlan": 5000 } }));
    let error = site
        .post("/network/")
        .accept("application/occi+json")
        .json(&wrong)
        .send()
        .is(400)
        .json();
    assert_eq!(error["code"], 400);
    assert_eq!(error["status"], "Bad Request");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|message| message.contains("occi.network.vlan")),
        "{error:#}"
    );
    assert_eq!(error["message"], error["error"]);
}

fn json_19_broken_json_is_refused(site: &Site) {
    let title = unique("broken");
    let kind = format!("{INFRA}network");
    let deep = format!(
        "{{\"kind\":\"{kind}\",\"attributes\":{}1{}}}",
        "{\"a\":".repeat(100),
        "}".repeat(100)
    );
    let endless = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for broken in [
        "",
        "{",
        "[]",
        "null",
        "7",
        "\"x\"",
        "{}",
        &format!("{{\"kind\":\"{kind}\",\"title\":\"{title}\",}}"),
        &format!("{{\"kind\":\"{kind}\",\"title\":\"{title}\"}} trailing"),
        &format!("{{\"kind\":7,\"title\":\"{title}\"}}"),
        &format!("{{\"kind\":\"{kind}\",\"title\":7}}"),
        &format!("{{\"kind\":\"{kind}\",\"mixins\":\"x\"}}"),
        &format!("{{\"kind\":\"{kind}\",\"attributes\":[]}}"),
        &format!("{{\"kind\":\"{kind}\",\"title\":\"\\ud800\"}}"),
        &deep,
        &endless,
    ] {
        site.post("/network/")
            .body("application/occi+json", broken)
            .send()
            .among(&[400, 413]);
    }
    let large = format!("{{\"kind\":\"{kind}\",\"title\":\"{}\"}}", "x".repeat(5 << 20));
    site.post("/network/")
        .body("application/occi+json", large)
        .send()
        .is(413);
    assert_eq!(site.find("/network/", &title), Vec::<String>::new());
}

fn json_22_core_21_defaults_are_of_their_type_and_used(site: &Site) {
    let model = site.json_model();
    let mut seen = 0;
    for class in ["kinds", "mixins", "actions"] {
        for category in members(&model, class) {
            for (name, definition) in category["attributes"].as_object().into_iter().flatten() {
                let Some(default) = definition.get("default") else {
                    continue;
                };
                seen += 1;
                let right = match definition["type"].as_str() {
                    Some("number") => default.is_number(),
                    Some("boolean") => default.is_boolean(),
                    Some("array") => default.is_array(),
                    Some("object") => default.is_object(),
                    _ => default.is_string(),
                };
                assert!(right, "{}: {name} has the default {default}", id_of(&category));
            }
        }
    }
    assert!(seen > 0, "nothing has a default");
    let large = members(&model, "mixins")
        .into_iter()
        .find(|mixin| id_of(mixin) == format!("{PROFILE}large"));
    let default = large.unwrap_or_default()["attributes"]["occi.compute.cores"]["default"].clone();
    let compute = site.compute(&[&mixin(&format!("{PROFILE}large"))]);
    assert_eq!(compute.json()["attributes"]["occi.compute.cores"], default);
}

fn json_23_null_unsets_and_actions_are_ignored(site: &Site) {
    let net = create(
        site,
        "/network/",
        &network(json!({
            "title": "title",
            "actions": ["http://schemas.ogf.org/occi/infrastructure/network/action#down", "http://example.org/nonsense#x"],
            "attributes": { "occi.network.label": "red" },
        })),
    );
    net.wait("active");
    let update = |value: Value| site.post(&net.url).json(&value).send();
    update(json!({ "attributes": { "occi.network.label": null }, "title": null })).is(200);
    let entity = net.json();
    assert_eq!(entity["attributes"].get("occi.network.label"), None);
    assert_eq!(entity.get("title"), None);
    update(json!({ "attributes": { "occi.network.state": null } })).among(&[400, 403]);
    let storage = site.storage(&[]);
    site.post(&storage.url)
        .json(&json!({ "attributes": { "occi.storage.size": null } }))
        .send()
        .is(400);
    site.put(&net.url)
        .json(&network(json!({ "title": null })))
        .send()
        .is(400);
}
