//! What real clients and servers send, in their style, and what it must mean.

use crate::common::{Http, registry, sample_text};
use occi_model::{Input, LinkDraft, Registry, Value, ValueType};
use occi_rendering::response::{self, Answer, RemoteEntity};
use occi_rendering::{Incoming, request};
use serde_json::Value as Json;

/// The attributes as their definitions type them; undefined ones as their look says, for other people's servers.
fn typed(attributes: &[(occi_model::AttributeName, Input)], registry: &Registry) -> Json {
    let definition = |name: &str| {
        let kinds = registry.kinds().iter().flat_map(|kind| &kind.attributes);
        let mixins = registry.mixins().iter().flat_map(|mixin| &mixin.attributes);
        kinds.chain(mixins).find(|definition| definition.name.as_str() == name)
    };
    let value = |name: &str, input: &Input| match definition(name) {
        Some(definition) => definition.value_type.read(input),
        None => ValueType::String.read(input),
    };
    attributes
        .iter()
        .map(|(name, input)| {
            let plain = match input {
                Input::Token(text) | Input::Quoted(text) => Value::from(text.as_str()),
                other => panic!("{other:?}"),
            };
            (name.to_string(), value(name.as_str(), input).unwrap_or(plain).to_json())
        })
        .collect()
}

/// What `expected` says holds of `found`: numbers by value, everything else exactly.
fn assert_says(file: &str, expected: &Json, found: &Json) {
    match (expected, found) {
        (Json::Object(expected), Json::Object(found)) => {
            for (key, expected) in expected {
                let found = found
                    .get(key)
                    .unwrap_or_else(|| panic!("{file}: no {key} in {found:?}"));
                assert_says(&format!("{file} {key}"), expected, found);
            }
            if file.ends_with("attributes") {
                assert_eq!(expected.len(), found.len(), "{file}: {found:?}");
            }
        }
        (Json::Array(expected), Json::Array(found)) => {
            assert_eq!(expected.len(), found.len(), "{file}: {found:?}");
            for (expected, found) in std::iter::zip(expected, found) {
                assert_says(file, expected, found);
            }
        }
        (Json::Number(_), Json::Number(_)) => assert_eq!(expected.as_f64(), found.as_f64(), "{file}"),
        _ => assert_eq!(expected, found, "{file}"),
    }
}

fn categories(link: &LinkDraft) -> Vec<&str> {
    let kind = link.entity.kind.iter();
    kind.chain(&link.entity.mixins).map(|id| id.as_str()).collect()
}

#[test]
fn requests_of_other_clients_mean_what_is_expected() {
    let registry = registry();
    let expectations: Json = serde_json::from_str(&sample_text("wild/expect.json")).unwrap();
    for (file, expected) in expectations.as_object().unwrap() {
        if file.ends_with(".resp.http") {
            continue;
        }
        let http = match file.ends_with(".http") {
            true => Http::sample(&format!("wild/{file}")),
            false => Http {
                start: String::new(),
                headers: Vec::new(),
                body: sample_text(&format!("wild/{file}")).into_bytes(),
            },
        };
        let (fields, base) = (http.fields(), http.base());
        let incoming = Incoming {
            media: http.media(),
            fields: &fields,
            body: &http.body,
            registry: &registry,
            base: &base,
            agent: http.agent(),
        };
        if let Some(mixin) = expected.get("mixin") {
            let [draft] = &*request::mixins(&incoming).unwrap() else {
                panic!("{file}")
            };
            assert_eq!(*mixin, *draft.id.as_str());
            assert_eq!(expected["location"], draft.location.clone().unwrap());
            assert_eq!(expected["rel"][0], *draft.depends[0].as_str());
            continue;
        }
        let draft = request::entity(&incoming).unwrap_or_else(|error| panic!("{file}: {error}"));
        if let Some(media) = expected.get("content_type") {
            assert_eq!(*media, incoming.media.as_str());
        }
        assert_eq!(expected["kind"], *draft.kind.as_ref().unwrap().as_str(), "{file}");
        let mixins: Json = draft.mixins.iter().map(|mixin| mixin.as_str()).collect();
        assert_eq!(
            *expected.get("mixins").unwrap_or(&serde_json::json!([])),
            mixins,
            "{file}"
        );
        assert_says(
            &format!("{file} attributes"),
            &expected["attributes"],
            &typed(&draft.attributes, &registry),
        );
        if let Some(ignored) = expected.get("ignored") {
            assert_eq!(*ignored, serde_json::json!(["occi.core.id"]));
            assert!(draft.id.is_some() && draft.attributes.iter().all(|(name, _)| name.as_str() != "occi.core.id"));
        }
        let links = expected
            .get("links")
            .and_then(Json::as_array)
            .cloned()
            .unwrap_or_default();
        assert_eq!(links.len(), draft.links.len(), "{file}");
        for (expected, link) in std::iter::zip(&links, &draft.links) {
            assert_eq!(expected["target"], *link.entity.target.as_ref().unwrap(), "{file}");
            assert_eq!(
                expected["rel"],
                *link.entity.target_kind.as_ref().unwrap().as_str(),
                "{file}"
            );
            match &expected["category"] {
                Json::Array(ids) => assert_eq!(*ids, categories(link), "{file}"),
                inferred => {
                    assert_eq!(*inferred, "inferred networkinterface");
                    assert!(categories(link)[0].ends_with("#networkinterface"), "{file}");
                }
            }
        }
    }
}

fn shown(entity: &RemoteEntity, registry: &Registry) -> Json {
    let mut attributes = typed(&entity.attributes, registry);
    if let Some(id) = &entity.id {
        attributes["occi.core.id"] = id.as_str().into();
    }
    let links: Json = entity
        .links
        .iter()
        .map(|link| serde_json::json!({ "target": link.target }))
        .collect();
    let actions: Json = entity.actions.iter().map(|action| action.id.as_str()).collect();
    serde_json::json!({
        "kind": entity.kind.as_ref().map(|kind| kind.as_str()),
        "attributes": attributes,
        "links": links,
        "actions": actions,
    })
}

#[test]
fn cli_3_answers_of_other_servers_mean_what_is_expected() {
    let registry = registry();
    let both = ["wild/expect.json", "wild/expect-client.json"].map(sample_text);
    let both = both.map(|text| serde_json::from_str::<Json>(&text).unwrap());
    let files = both.iter().flat_map(|all| all.as_object().unwrap());
    let mut read = 0;
    for (file, expected) in files.filter(|(file, _)| file.ends_with(".resp.http")) {
        let http = Http::sample(&format!("wild/{file}"));
        let fields = http.fields();
        let base = occi_rendering::Base::new("http://cloud.example.org:8787", "");
        let answer = Answer {
            status: http.status(),
            fields: &fields,
            body: &http.body,
            base: &base,
        };
        for (key, expected) in expected.as_object().unwrap() {
            let found: Json = match key.as_str() {
                "keystone" => response::keystone(&answer).into(),
                "retry_with" => response::retry_with(&answer).into(),
                "success" => (200..300).contains(&answer.status).into(),
                "created" => response::created(&answer, |_| None).unwrap().into(),
                "locations" => response::locations(&answer).unwrap().into(),
                _ => {
                    let [entity] = &*response::entities(&answer).unwrap() else {
                        panic!("{file}")
                    };
                    shown(entity, &registry)[key].clone()
                }
            };
            match (key.as_str(), expected, &found) {
                // Only those attributes that matter are named.
                ("attributes", Json::Object(expected), found) => {
                    for (name, expected) in expected {
                        assert_says(&format!("{file} {name}"), expected, &found[name]);
                    }
                }
                _ => assert_says(&format!("{file} {key}"), expected, &found),
            }
        }
        read += 1;
    }
    assert_eq!(read, 11);
}
