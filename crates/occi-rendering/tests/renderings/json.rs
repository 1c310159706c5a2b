//! The JSON part of the checklist.

use crate::common::{COMPUTE, attributes, base, incoming, registry, sample_text, view};
use crate::samples::{compute, interface};
use occi_model::{AttributeDefinition, Entity, EntityDraft, Input, Shape, TypeId, Value, ValueType};
use occi_rendering::render::{self, Categories, CollectionWriter, Contents, Detail, Failure};
use occi_rendering::response::{self, Answer};
use occi_rendering::{Agent, AttributeOrder, Base, MediaType, ParseError, ParseErrorKind, View, request};
use serde_json::{Value as Json, json};

fn read_all(body: &Json) -> Result<Vec<EntityDraft>, ParseError> {
    let (registry, base) = (registry(), base());
    request::entities(&incoming(
        MediaType::OcciJson,
        body.to_string().as_bytes(),
        &registry,
        &base,
    ))
}

fn read(body: &Json) -> Result<EntityDraft, ParseError> {
    read_all(body).map(|mut all| all.remove(0))
}

fn refusal(body: &Json) -> (ParseErrorKind, String) {
    let error = read_all(body).unwrap_err();
    (error.kind, error.place)
}

fn written(user_agent: &str, render: impl FnOnce(&View<'_>) -> render::Rendered) -> Json {
    let (registry, base) = (registry(), base());
    let order = AttributeOrder::of(&registry);
    let view = View {
        agent: Agent::from_user_agent(user_agent),
        ..view(&registry, &base, &order)
    };
    serde_json::from_slice(&render(&view).body).unwrap()
}

fn model(user_agent: &str) -> Json {
    let registry = registry();
    written(user_agent, |view| {
        render::model(&Categories::of(&registry), view, MediaType::OcciJson).unwrap()
    })
}

fn find<'j>(model: &'j Json, list: &str, term: &str) -> &'j Json {
    let mut all = model[list].as_array().unwrap().iter();
    all.find(|category| category["term"] == term).unwrap()
}

const NEW: &str = "x OCCI/1.2";

/// A checker for the words of JSON Schema that the project's schema uses; any other word is a failure, so that nothing
/// is passed over. (The `jsonschema` crate would be some fifty crates for this one test.)
fn assert_valid(schema: &Json, definition: &str, value: &Json) {
    fn check(root: &Json, schema: &Json, value: &Json, path: &str) -> Result<(), String> {
        let fail = |what: String| Err(format!("{path}: {what}: {value}"));
        let is = |name: &str| match name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            _ => panic!("type {name}"),
        };
        for (word, rule) in schema.as_object().unwrap() {
            match word.as_str() {
                "$ref" => {
                    let name = rule.as_str().unwrap().strip_prefix("#/definitions/").unwrap();
                    check(root, &root["definitions"][name], value, path)?;
                }
                "type" => {
                    let one_of = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                    if !one_of.iter().any(|name| is(name.as_str().unwrap())) {
                        return fail(format!("is not of type {rule}"));
                    }
                }
                "enum" if !rule.as_array().unwrap().contains(value) => return fail("is none of the enum".into()),
                "pattern" if value.as_str().unwrap().parse::<TypeId>().is_err() => {
                    return fail("is no identifier".into());
                }
                "required" => {
                    for name in rule.as_array().unwrap() {
                        if value.get(name.as_str().unwrap()).is_none() {
                            return fail(format!("lacks {name}"));
                        }
                    }
                }
                "properties" | "additionalProperties" => {
                    let known = schema.get("properties").unwrap_or(&Json::Null);
                    for (name, member) in value.as_object().unwrap() {
                        let rule = match (known.get(name), &schema["additionalProperties"]) {
                            (Some(rule), _) => rule,
                            (None, Json::Bool(false)) => return fail(format!("has {name}")),
                            (None, rule) => rule,
                        };
                        check(root, rule, member, &format!("{path}.{name}"))?;
                    }
                }
                "items" => {
                    for item in value.as_array().unwrap() {
                        check(root, rule, item, path)?;
                    }
                }
                "minLength" if value.as_str().unwrap().is_empty() => return fail("is empty".into()),
                "minProperties" if value.as_object().unwrap().is_empty() => return fail("is empty".into()),
                "enum" | "pattern" | "minLength" | "minProperties" => {}
                _ => panic!("the checker does not know {word}"),
            }
        }
        Ok(())
    }
    check(schema, &schema["definitions"][definition], value, definition).unwrap();
}

#[test]
fn json_1_both_names_are_the_same_rendering() {
    let (registry, base, order) = (registry(), base(), AttributeOrder::default());
    let view = view(&registry, &base, &order);
    let [occi, plain] =
        [MediaType::OcciJson, MediaType::Json].map(|media| render::entity(&compute(), &view, media).unwrap());
    assert_eq!(occi.body, plain.body);
    assert_eq!(
        (occi.content_type, plain.content_type),
        ("application/occi+json", "application/json")
    );
}

#[test]
fn json_2_json_3_json_21_what_is_written_is_valid() {
    let schema: Json = serde_json::from_str(&sample_text("occi-1.2.schema.json")).unwrap();
    let mut odd = compute();
    odd.attributes = attributes([
        ("com.example.list", Value::List(vec![1.into(), "a".into()])),
        ("com.example.hash", Value::Hash([("a".to_owned(), true.into())].into())),
        ("com.example.text", "\u{0}\n\"".into()),
    ]);
    odd.mixins.clear();
    odd.actions.clear();
    let entity = |entity: &Entity| written("", |view| render::entity(entity, view, MediaType::OcciJson).unwrap());
    let collection = |entities: &[Entity], contents| {
        written("", |view| {
            render::collection(entities, contents, view, MediaType::OcciJson).unwrap()
        })
    };
    let none: [Entity; 0] = [];
    for (definition, value) in [
        ("resource", entity(&compute())),
        ("resource", entity(&odd)),
        ("link", entity(&interface())),
        (
            "collection",
            collection(&[compute(), interface(), odd], Contents::Mixed),
        ),
        ("collection", collection(&none, Contents::Mixed)),
        ("collection", model("")),
        ("collection", model(NEW)),
    ] {
        assert_valid(&schema, definition, &value);
    }
    let template = registry();
    let template = template
        .mixin("http://cloud.example.org/occi/infrastructure/os_tpl#debian12")
        .unwrap();
    let mixin = written("", |view| render::mixin(template, view, MediaType::OcciJson).unwrap());
    assert_valid(&schema, "mixin", &mixin);
}

#[test]
fn json_5_json_11_the_model_is_one_object_with_relations_and_locations() {
    let model = model("");
    assert_eq!(
        model.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["kinds", "mixins", "actions"]
    );
    let compute = find(&model, "kinds", "compute");
    assert_eq!(compute["parent"], "http://schemas.ogf.org/occi/core#resource");
    assert_eq!(compute["location"], "/compute/");
    assert!(
        compute["attributes"]["occi.core.id"].is_object(),
        "inherited attributes are shown"
    );
    let os = find(&model, "mixins", "debian12");
    assert_eq!(
        os["depends"],
        json!(["http://schemas.ogf.org/occi/infrastructure#os_tpl"])
    );
    assert_eq!(os["applies"], json!([COMPUTE]));
    assert!(find(&model, "actions", "stop").get("location").is_none());
    // Older clients fail on a kind without a location.
    assert_eq!(model["kinds"][0]["location"], "/entity/");
    assert!(self::model(NEW)["kinds"][0].get("location").is_none());
}

#[test]
fn json_7_json_8_definitions_say_mutable_required_and_type() {
    let model = model("");
    let everything = ["kinds", "mixins", "actions"]
        .into_iter()
        .flat_map(|list| model[list].as_array().unwrap());
    let definitions = everything
        .filter_map(|category| category.get("attributes")?.as_object())
        .flatten();
    for (name, definition) in definitions {
        for member in ["mutable", "required", "type"] {
            assert!(definition.get(member).is_some(), "{name}: {member}");
        }
    }
    // What is absent is false, unlike in text.
    let (endpoint, fields) = (base(), [("content-type", &b"application/occi+json"[..])]);
    let body = br#"{"kinds":[{"term":"a","scheme":"http://a/b#","attributes":{"x.y":{}}}]}"#;
    let read = response::model(&Answer {
        status: 200,
        fields: &fields,
        body,
        base: &endpoint,
    });
    let read = read.unwrap();
    let AttributeDefinition {
        mutable,
        required,
        value_type,
        ..
    } = &read.kinds[0].attributes[0];
    assert_eq!((*mutable, *required, value_type), (false, false, &ValueType::String));
}

#[test]
fn json_9_patterns_are_schemas_for_agents_that_know_them() {
    let state = |user_agent: &str| {
        find(&model(user_agent), "kinds", "compute")["attributes"]["occi.compute.state"]
            .get("pattern")
            .cloned()
    };
    let expected = json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "string",
        "enum": ["active", "inactive", "suspended", "error"],
    });
    assert_eq!(state(NEW), Some(expected));
    assert_eq!(state(""), None);
    assert_eq!(state("rOCCI-api/5.0 OCCI/1.2"), None);
}

#[test]
fn json_10_json_20_a_collection_is_named_after_what_it_can_hold() {
    let collection = |contents| {
        let none: [Entity; 0] = [];
        written("", |view| {
            render::collection(&none, contents, view, MediaType::OcciJson).unwrap()
        })
    };
    assert_eq!(collection(Contents::Resources), json!({"resources": []}));
    assert_eq!(collection(Contents::Links), json!({"links": []}));
    assert_eq!(collection(Contents::Mixed), json!({"resources": [], "links": []}));
}

#[test]
fn json_12_a_streamed_collection_is_the_collection_in_full() {
    let (registry, base, order) = (registry(), base(), AttributeOrder::default());
    let view = view(&registry, &base, &order);
    let whole = |entities: &[Entity]| {
        let rendered = render::collection(entities, Contents::Mixed, &view, MediaType::OcciJson).unwrap();
        serde_json::from_slice::<Json>(&rendered.body).unwrap()
    };
    let (compute, interface) = (compute(), interface());
    // Links that come early are held back, and nothing else is.
    let (mut sent, mut buffer) = (Vec::new(), Vec::new());
    let mut writer = CollectionWriter::new(Contents::Mixed, &mut buffer);
    for (entity, is_sent) in [
        (&interface, false),
        (&compute, true),
        (&interface, false),
        (&compute, true),
    ] {
        sent.append(&mut buffer);
        writer.entity(entity, &view, &mut buffer);
        assert_eq!(!buffer.is_empty(), is_sent);
    }
    writer.resources_done(&mut buffer);
    writer.entity(&interface, &view, &mut buffer);
    writer.finish(&mut buffer);
    sent.append(&mut buffer);
    let found: Json = serde_json::from_slice(&sent).unwrap();
    let expected = [&interface, &compute, &interface, &compute, &interface].map(Clone::clone);
    assert_eq!(found, whole(&expected));
    assert_eq!(found["links"].as_array().unwrap().len(), 3);
    assert!(found["resources"][1]["attributes"].is_object());
}

#[test]
fn json_13_nested_attributes_are_flattened() {
    let flat = json!({"occi.core.title": "t", "occi.compute.cores": 2, "occi.securitygroup.rules": [{"a": {"b": 1}}]});
    let nested = json!({
        "occi": {"core": {"title": "t"}, "compute.cores": 2, "securitygroup": {"rules": [{"a": {"b": 1}}]}},
    });
    let read = |attributes| read(&json!({"kind": COMPUTE, "attributes": attributes})).unwrap();
    assert_eq!(read(flat), read(nested));
    // An attribute whose definition says that it is an object keeps it.
    let expected = Value::Hash([("a".to_owned(), 1.into())].into());
    for map in [
        json!({"com.example.map": {"a": 1}}),
        json!({"com": {"example": {"map": {"a": 1}}}}),
    ] {
        let draft = read(map);
        assert_eq!(draft.attributes[0].1, Input::Typed(expected.clone()));
    }
}

#[test]
fn json_14_create_is_read_bare_wrapped_and_as_an_array() {
    let entity = json!({"kind": COMPUTE, "title": "x"});
    let bare = read_all(&entity).unwrap();
    assert_eq!(bare.len(), 1);
    assert_eq!(read_all(&json!({"resources": [entity]})).unwrap(), bare);
    assert_eq!(read_all(&json!([entity])).unwrap(), bare);
    assert_eq!(read_all(&json!([entity, entity])).unwrap().len(), 2);
    let (registry, base) = (registry(), base());
    let two = json!([entity, entity]).to_string();
    let error = request::entity(&incoming(MediaType::Json, two.as_bytes(), &registry, &base)).unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::Contradiction);
}

#[test]
fn json_14_links_beside_a_resource_become_its_own() {
    let storagelink = "http://schemas.ogf.org/occi/infrastructure#storagelink";
    let link = json!({"kind": storagelink, "id": "l1", "source": "/compute/c1", "target": "/storage/s1"});
    let other = json!({"kind": storagelink, "id": "l2", "source": "/compute/c2", "target": "/storage/s2"});
    let drafts = read_all(&json!({
        "resources": [{"kind": COMPUTE, "links": ["/link/storagelink/l1", "/storagelink/known"]}],
        "links": [other, link],
    }));
    let [resource, left] = &*drafts.unwrap() else { panic!() };
    assert_eq!(resource.links[0].entity.target.as_deref(), Some("/storage/s1"));
    assert_eq!(resource.links[0].own_location.as_deref(), Some("/storagelink/l1"));
    assert_eq!(resource.links[1].own_location.as_deref(), Some("/storagelink/known"));
    assert_eq!(resource.links[1].entity, EntityDraft::default());
    assert_eq!(left.id.as_deref(), Some("l2"));
}

#[test]
fn json_14_links_alone_are_a_collection_or_what_is_added_to_a_resource() {
    let wrapped = json!({"links": [{"source": "/compute/1", "target": "/storage/1"}]});
    assert_eq!(read(&wrapped).unwrap().source.as_deref(), Some("/compute/1"));
    let added = read(&json!({"links": [{"target": "/storage/1"}]})).unwrap();
    assert_eq!((added.source, added.links.len()), (None, 1));
}

#[test]
fn json_15_the_ends_of_a_link_may_be_strings() {
    let kind = "http://schemas.ogf.org/occi/infrastructure#networkinterface";
    let strings = read(&json!({
        "kind": kind, "source": "http://cloud.example.org/compute/1", "target": "/network/1",
    }));
    let objects = read(&json!({
        "kind": kind, "source": {"location": "/compute/1"}, "target": {"location": "/network/1"},
    }));
    let strings = strings.unwrap();
    assert_eq!(strings, objects.unwrap());
    assert_eq!(
        (strings.source.as_deref(), strings.target.as_deref()),
        (Some("/compute/1"), Some("/network/1"))
    );
    let inline = read(&json!({"kind": COMPUTE, "links": [{"target": {
        "location": "/network/1", "kind": "http://schemas.ogf.org/occi/infrastructure#network",
    }}]}));
    assert_eq!(inline.unwrap().links[0].entity.kind.as_ref().unwrap(), &kind);
}

#[test]
fn json_16_the_core_attributes_are_in_both_places_and_must_agree() {
    for entity in [compute(), interface()] {
        let shown = written("", |view| render::entity(&entity, view, MediaType::OcciJson).unwrap());
        assert_eq!(shown["id"], shown["attributes"]["occi.core.id"]);
        for (member, name) in [("title", "occi.core.title"), ("summary", "occi.core.summary")] {
            assert_eq!(shown.get(member), shown["attributes"].get(name));
        }
        if let Shape::Link { .. } = entity.shape {
            assert_eq!(shown["source"]["location"], shown["attributes"]["occi.core.source"]);
            assert_eq!(shown["target"]["location"], shown["attributes"]["occi.core.target"]);
        }
        assert!(read(&shown).is_ok(), "what we write we read");
    }
    for (body, place) in [
        (json!({"id": "a", "attributes": {"occi.core.id": "b"}}), "id"),
        (json!({"title": "a", "attributes": {"occi.core.title": "b"}}), "title"),
        (
            json!({"summary": null, "attributes": {"occi.core.summary": "b"}}),
            "summary",
        ),
        (
            json!({"source": "/a", "attributes": {"occi.core.source": "/b"}}),
            "source",
        ),
        (
            json!({"target": "/a", "attributes": {"occi.core.target": "/b"}}),
            "target",
        ),
    ] {
        assert_eq!(refusal(&body), (ParseErrorKind::Contradiction, place.to_owned()));
    }
}

#[test]
fn json_17_native_types_are_kept_and_numbers_may_be_strings() {
    let draft =
        read(&json!({"attributes": {"occi.compute.cores": "4", "occi.compute.memory": 1, "a.b": 1.0}})).unwrap();
    let registry = registry();
    let definitions = registry.definitions(COMPUTE, []);
    let typed = |at: usize| {
        let (name, input) = &draft.attributes[at];
        definitions.get(name.as_str()).unwrap().attribute.value_type.read(input)
    };
    assert_eq!((typed(0), typed(1)), (Some(4.into()), Some(1.0.into())));
    assert_eq!(draft.attributes[2].1, Input::Typed(Value::Float(1.0)));
    assert_eq!(ValueType::String.read(&draft.attributes[2].1), None);
}

#[test]
fn json_18_errors_have_all_names_that_readers_look_for() {
    let failure = Failure {
        code: 400,
        status: "Bad Request",
        message: "no",
        details: &[Detail {
            path: "attributes.occi.compute.cores",
            message: "must be a number",
        }],
        request_id: Some("r1"),
        ..Failure::default()
    };
    let shown: Json = serde_json::from_slice(&render::error(&failure, MediaType::Json).body).unwrap();
    assert_eq!(
        shown,
        json!({
            "code": 400, "status": "Bad Request", "message": "no", "error": "no", "request_id": "r1",
            "details": [{"path": "attributes.occi.compute.cores", "message": "must be a number"}],
        })
    );
}

#[test]
fn json_19_malformed_and_excessive_json_is_refused() {
    let (registry, base) = (registry(), base());
    let read = |body: &str| request::entities(&incoming(MediaType::OcciJson, body.as_bytes(), &registry, &base));
    for body in [
        "",
        "OK",
        "{",
        "{}x",
        "{\"a\":1,}",
        "nul",
        "\"",
        "\u{0}",
        "{\"kind\":\"\\ud800\"}",
        "{\"title\":\"a\\u0000b\"}",
        "{\"attributes\":{\"a\\u0000b\":1}}",
    ] {
        assert_eq!(read(body).unwrap_err().kind, ParseErrorKind::Syntax, "{body}");
    }
    assert!(read("{\"title\":\"\\\\u0000 is six characters\"}").is_ok());
    let deep = |levels: usize| format!("{{\"attributes\":{}1{}}}", "{\"a\":".repeat(levels), "}".repeat(levels));
    assert_eq!(read(&deep(31)).unwrap()[0].attributes.len(), 1);
    assert_eq!(read(&deep(32)).unwrap_err().kind, ParseErrorKind::TooLarge);
    assert!(read(&"[".repeat(100_000)).is_err());
    assert_eq!(
        read(&format!("[{}1]", "1,".repeat(300_000))).unwrap_err().kind,
        ParseErrorKind::TooLarge
    );
    let many: Json = (0..257).map(|n| (format!("a{n}"), Json::from(n))).collect();
    assert_eq!(refusal(&json!({"attributes": many})).0, ParseErrorKind::TooLarge);

    // A resource and 255 links, and so on: links are entities too.
    let resource = |links: usize| json!({"kind": COMPUTE, "links": vec![json!({"target": "/storage/x"}); links]});
    let mut all = vec![resource(255); 3];
    all.push(resource(231));
    assert_eq!(read_all(&Json::from(all.clone())).unwrap().len(), 4);
    all.push(resource(0));
    let (kind, _) = refusal(&Json::from(all.clone()));
    assert_eq!(kind, ParseErrorKind::TooLarge);
    assert_eq!(refusal(&json!({"resources": all})).0, ParseErrorKind::TooLarge);

    let tags = |count| {
        let tag =
            |n| json!({"term": format!("t{n}"), "scheme": "http://example.com/tags#", "location": format!("/t/{n}/")});
        let body = json!({"mixins": (0..count).map(tag).collect::<Vec<_>>()}).to_string();
        request::mixins(&incoming(MediaType::OcciJson, body.as_bytes(), &registry, &base))
    };
    assert_eq!(tags(64).unwrap().len(), 64);
    assert_eq!(tags(65).unwrap_err().kind, ParseErrorKind::TooLarge);
}

#[test]
fn json_22_defaults_have_the_type_of_their_attribute() {
    let model = model("");
    let small = &find(&model, "mixins", "small")["attributes"];
    assert_eq!(small["occi.compute.memory"]["default"].to_string(), "1.0");
    assert_eq!(small["occi.compute.cores"]["default"].to_string(), "1");
    let everything = ["kinds", "mixins", "actions"]
        .into_iter()
        .flat_map(|list| model[list].as_array().unwrap());
    let definitions = everything
        .filter_map(|category| category.get("attributes")?.as_object())
        .flatten();
    for (name, definition) in definitions {
        let Some(default) = definition.get("default") else {
            continue;
        };
        let is = match default {
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Bool(_) => "boolean",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
            Json::Null => "null",
        };
        assert_eq!(definition["type"], is, "{name}");
    }
}

#[test]
fn json_23_actions_are_ignored_and_null_unsets() {
    let draft = read(&json!({
        "actions": [1, "nonsense"], "rel": 7, "location": "/x", "title": null, "attributes": {"a.b": null},
    }));
    let draft = draft.unwrap();
    let nulls: Vec<_> = draft
        .attributes
        .iter()
        .map(|(name, input)| (name.as_str(), input))
        .collect();
    assert_eq!(nulls, [("a.b", &Input::Null), ("occi.core.title", &Input::Null)]);
    assert_eq!(
        refusal(&json!({"attributes": {"a.b": [null]}})),
        (ParseErrorKind::Syntax, "attributes.a.b".into())
    );
}

#[test]
fn json_4_an_action_is_named_by_its_identifier() {
    let (registry, base) = (registry(), base());
    let action = |body: Json| {
        request::action(&incoming(
            MediaType::OcciJson,
            body.to_string().as_bytes(),
            &registry,
            &base,
        ))
    };
    let stop = "http://schemas.ogf.org/occi/infrastructure/compute/action#stop";
    assert_eq!(
        action(json!({"action": stop, "attributes": {}})).unwrap().unwrap().id,
        stop
    );
    assert_eq!(
        action(json!({"action": "http://a/b#c"})).unwrap().unwrap().id,
        "http://a/b#c"
    );
    assert_eq!(
        action(json!({"action": COMPUTE})).unwrap_err().kind,
        ParseErrorKind::ClassMismatch
    );
    assert_eq!(action(json!({})).unwrap_err().kind, ParseErrorKind::Syntax);
    assert_eq!(
        request::action(&incoming(MediaType::Json, b"", &registry, &base)),
        Ok(None)
    );
}

#[test]
fn members_of_a_collection_are_named_in_every_way() {
    let registry = registry();
    let below = Base::new("http://cloud.example.org", "/occi");
    let locations = |body: Json| {
        request::locations(&incoming(
            MediaType::OcciJson,
            body.to_string().as_bytes(),
            &registry,
            &below,
        ))
        .unwrap()
    };
    assert_eq!(
        locations(json!(["http://cloud.example.org/occi/compute/1", "/compute/2"])),
        ["/compute/1", "/compute/2"]
    );
    assert_eq!(
        locations(json!({
            "resources": [{"id": "1", "kind": COMPUTE}, {"id": "2"}, {"id": "3", "location": "/occi/compute/3"}],
            "links": ["/occi/storagelink/4"],
        })),
        ["/compute/1", "2", "/compute/3", "/storagelink/4"]
    );
    assert!(locations(json!({"resources": []})).is_empty());
    assert!(locations(json!({})).is_empty());
    let has_kind = |body: Json| {
        request::has_kind(&incoming(
            MediaType::OcciJson,
            body.to_string().as_bytes(),
            &registry,
            &below,
        ))
        .unwrap()
    };
    assert!(has_kind(json!({"kind": COMPUTE})));
    assert!(has_kind(json!({"kind": COMPUTE, "links": [{"target": "/network/1"}]})));
    assert!(!has_kind(json!({"resources": [{"kind": COMPUTE, "id": "1"}]})));
    assert!(!has_kind(
        json!({"resources": [{"kind": COMPUTE, "location": "/compute/1"}]})
    ));
    assert!(!has_kind(json!(["/compute/1"])));
}

#[test]
fn categories_are_named_in_every_way() {
    let (registry, base) = (registry(), base());
    let refs = |body: Json| {
        request::category_refs(&incoming(
            MediaType::OcciJson,
            body.to_string().as_bytes(),
            &registry,
            &base,
        ))
    };
    let tag = json!({"term": "my_stuff", "scheme": "http://example.com/occi/my_stuff#"});
    let id = "http://example.com/occi/my_stuff#my_stuff";
    for body in [
        tag.clone(),
        json!({"mixins": [tag]}),
        json!({"mixins": [id]}),
        json!([id]),
        json!([tag]),
        json!(id),
    ] {
        assert_eq!(refs(body).unwrap()[..], [id.parse::<TypeId>().unwrap()]);
    }
    assert_eq!(
        refs(json!({"kinds": [id]})).unwrap_err().kind,
        ParseErrorKind::ClassMismatch
    );
    let filter = json!({"kind": COMPUTE, "attributes": {"occi.compute.cores": 2}});
    let filter = filter.to_string();
    let filter = request::filter(&incoming(MediaType::OcciJson, filter.as_bytes(), &registry, &base)).unwrap();
    assert_eq!((filter.categories.len(), filter.attributes.len()), (1, 1));
}

#[test]
fn older_models_are_read() {
    let body = br#"{"kinds":[{"term":"compute","scheme":"http://a/b#","related":["http://a/b#resource"],"location":"http://h/compute",
        "attributes":{"occi":{"compute":{"cores":{"type":"number","mutable":true,"pattern":"[0-9]"},
            "state":{"type":"string","message":{"type":"string","required":true}}}}},
        "actions":["http://a/b/action#start"]}],
        "mixins":[{"term":"t","scheme":"http://a/b#","depends":[],"related":["http://a/b#os"]}],
        "actions":[{"term":"start","scheme":"http://a/b/action#","attributes":{"method":{"type":"string","mutable":true}}}]}"#;
    let base = Base::new("http://h", "");
    let fields = [("Content-Type", &b"application/occi+json"[..])];
    let model = response::model(&Answer {
        status: 200,
        fields: &fields,
        body,
        base: &base,
    });
    let model = model.unwrap();
    let compute = &model.kinds[0];
    assert_eq!(
        (compute.location.as_str(), compute.parent.as_ref().unwrap().term()),
        ("/compute/", "resource")
    );
    let names: Vec<_> = compute
        .attributes
        .iter()
        .map(|one| (one.name.as_str(), one.mutable, one.required))
        .collect();
    assert_eq!(
        names,
        [
            ("occi.compute.cores", true, false),
            ("occi.compute.state", false, false),
            ("occi.compute.state.message", false, true),
        ]
    );
    assert_eq!(model.mixins[0].depends[0].term(), "os");
    assert_eq!(model.actions[0].attributes[0].name.as_str(), "method");
}

#[test]
fn what_we_write_a_client_reads() {
    let (registry, base, order) = (registry(), base(), AttributeOrder::default());
    let view = view(&registry, &base, &order);
    for media in [MediaType::TextPlain, MediaType::TextOcci, MediaType::OcciJson] {
        let rendered = render::created(&[compute()], &view, media).unwrap();
        let mut fields: Vec<_> = rendered
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        fields.push(("Content-Type", rendered.content_type.as_bytes()));
        let url = base.absolute(&compute().location);
        let kind = |kind: &TypeId| registry.kind(kind.as_str()).map(|kind| &kind.location);
        for skip in [0, 1] {
            // With and without the header `Location`.
            let answer = Answer {
                status: 201,
                fields: &fields[skip..],
                body: &rendered.body,
                base: &base,
            };
            assert_eq!(
                response::created(&answer, kind).unwrap().as_ref(),
                Some(&url),
                "{media}"
            );
        }
        let rendered = render::entity(&compute(), &view, media).unwrap();
        let mut fields: Vec<_> = rendered
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        fields.push(("Content-Type", rendered.content_type.as_bytes()));
        let read = response::entities(&Answer {
            status: 200,
            fields: &fields,
            body: &rendered.body,
            base: &base,
        });
        let [read] = &*read.unwrap() else { panic!("{media}") };
        assert_eq!(read.kind.as_ref(), Some(&compute().kind));
        assert_eq!(read.mixins, compute().mixins);
        assert_eq!(read.attributes.len(), compute().attributes.len());
        assert_eq!(read.links.len(), 2);
        assert_eq!(
            read.links[0].target.as_deref(),
            Some("/network/b1b7a7c2-3a70-4b7e-8a5e-3f1d2c9a0e42")
        );
        assert_eq!(read.links[0].mixins.len(), 1);
        assert_eq!(read.actions.len(), 4);
        let failure = Failure {
            code: 409,
            message: "not\nnow",
            ..Failure::default()
        };
        let rendered = render::error(&failure, media);
        let fields: Vec<_> = rendered
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let answer = Answer {
            status: 409,
            fields: &fields,
            body: &rendered.body,
            base: &base,
        };
        assert_eq!(response::error(&answer), "not now", "{media}");
    }
}
