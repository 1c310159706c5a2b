//! The samples of what the project itself reads and writes.

use crate::common::{
    COMPUTE, Http, NETWORK, attributes, base, incoming, registry, sample, sample_registry, sample_text, view,
};
use occi_model::{AttributeName, Entity, EntityDraft, LinkEnd, Shape};
use occi_rendering::render::{self, Categories, Contents, Failure};
use occi_rendering::{Agent, AttributeOrder, Incoming, MediaType, ParseErrorKind, Rendered, View, request};

fn names(names: &[&str]) -> AttributeOrder {
    let names: Vec<AttributeName> = names.iter().map(|name| name.parse().unwrap()).collect();
    AttributeOrder::new(&names)
}

/// The compute of the samples, with its two links.
pub(crate) fn compute() -> Entity {
    let source = "/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11";
    let action = |action: &str| {
        format!("http://schemas.ogf.org/occi/infrastructure/{action}")
            .parse()
            .unwrap()
    };
    Entity {
        location: source.into(),
        id: "5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11".parse().unwrap(),
        kind: COMPUTE.parse().unwrap(),
        mixins: vec![
            "http://cloud.example.org/occi/infrastructure/os_tpl#debian12"
                .parse()
                .unwrap(),
            "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#large"
                .parse()
                .unwrap(),
        ],
        attributes: attributes([
            ("occi.core.title", "build node".into()),
            ("occi.core.summary", "Nightly builds".into()),
            ("occi.compute.architecture", "x64".into()),
            ("occi.compute.cores", 4.into()),
            ("occi.compute.memory", 4.0.into()),
            ("occi.compute.hostname", "build.example.org".into()),
            ("occi.compute.state", "active".into()),
            ("occi.compute.ephemeral_storage.size", 40.0.into()),
            ("occi.compute.ephemeral_storage.deviceid", "/dev/vdc".into()),
        ]),
        actions: ["stop", "restart", "suspend", "save"]
            .map(|term| action(&format!("compute/action#{term}")))
            .into(),
        shape: Shape::Resource {
            links: vec![
                interface(),
                Entity {
                    location: "/storagelink/deadbeef-0000-4000-8000-000000000001".into(),
                    id: "deadbeef-0000-4000-8000-000000000001".parse().unwrap(),
                    kind: "http://schemas.ogf.org/occi/infrastructure#storagelink"
                        .parse()
                        .unwrap(),
                    mixins: vec![],
                    attributes: attributes([
                        ("occi.storagelink.deviceid", "/dev/vdb".into()),
                        ("occi.storagelink.mountpoint", "/srv".into()),
                        ("occi.storagelink.state", "active".into()),
                    ]),
                    actions: vec![action("storagelink/action#offline")],
                    shape: Shape::Link {
                        source: LinkEnd {
                            location: source.into(),
                            kind: Some(COMPUTE.parse().unwrap()),
                        },
                        target: LinkEnd {
                            location: "/storage/0aa3d6a8-71c7-4a6f-9a53-0f4a54f1c7aa".into(),
                            kind: Some("http://schemas.ogf.org/occi/infrastructure#storage".parse().unwrap()),
                        },
                    },
                },
            ],
        },
    }
}

/// The network interface of the samples.
pub(crate) fn interface() -> Entity {
    Entity {
        location: "/networkinterface/c0ffee00-1111-4222-8333-444455556666".into(),
        id: "c0ffee00-1111-4222-8333-444455556666".parse().unwrap(),
        kind: "http://schemas.ogf.org/occi/infrastructure#networkinterface"
            .parse()
            .unwrap(),
        mixins: vec![
            "http://schemas.ogf.org/occi/infrastructure/networkinterface#ipnetworkinterface"
                .parse()
                .unwrap(),
        ],
        attributes: attributes([
            ("occi.networkinterface.interface", "eth0".into()),
            ("occi.networkinterface.mac", "02:00:0a:00:00:07".into()),
            ("occi.networkinterface.state", "active".into()),
            ("occi.networkinterface.address", "10.0.0.7".into()),
            ("occi.networkinterface.allocation", "static".into()),
        ]),
        actions: vec![
            "http://schemas.ogf.org/occi/infrastructure/networkinterface/action#down"
                .parse()
                .unwrap(),
        ],
        shape: Shape::Link {
            source: LinkEnd {
                location: "/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11".into(),
                kind: Some(COMPUTE.parse().unwrap()),
            },
            target: LinkEnd {
                location: "/network/b1b7a7c2-3a70-4b7e-8a5e-3f1d2c9a0e42".into(),
                kind: Some(NETWORK.parse().unwrap()),
            },
        },
    }
}

/// The order in which the samples list attributes.
pub(crate) fn sample_order() -> AttributeOrder {
    names(&[
        "occi.compute.architecture",
        "occi.compute.cores",
        "occi.compute.memory",
        "occi.compute.hostname",
        "occi.compute.state",
        "occi.compute.ephemeral_storage.size",
        "occi.compute.ephemeral_storage.deviceid",
        "occi.networkinterface.interface",
        "occi.networkinterface.mac",
        "occi.networkinterface.state",
        "occi.networkinterface.address",
        "occi.networkinterface.allocation",
        "occi.storagelink.deviceid",
        "occi.storagelink.mountpoint",
        "occi.storagelink.state",
    ])
}

fn text(rendered: Rendered) -> String {
    String::from_utf8(rendered.body).unwrap()
}

/// A text/occi answer as the sample has it: its OCCI headers and its body.
fn assert_headers(rendered: &Rendered, file: &str) {
    let http = Http::sample(file);
    assert_eq!(http.header("content-type"), rendered.content_type);
    let known = [
        "category",
        "x-occi-attribute",
        "link",
        "x-occi-location",
        "location",
        "x-occi-error",
    ];
    let expected: Vec<_> = http
        .headers
        .iter()
        .filter(|(name, _)| known.contains(&name.to_lowercase().as_str()))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let found: Vec<_> = rendered
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(found, expected, "{file}");
    assert_eq!(
        String::from_utf8_lossy(&rendered.body),
        String::from_utf8_lossy(&http.body)
    );
}

#[test]
fn entities_are_written_as_the_text_samples() {
    let (registry, base, order) = (registry(), base(), sample_order());
    let view = view(&registry, &base, &order);
    for (entity, file) in [
        (compute(), "text/compute.txt"),
        (interface(), "text/networkinterface.txt"),
    ] {
        let rendered = render::entity(&entity, &view, MediaType::TextPlain).unwrap();
        assert_eq!(text(rendered), sample_text(file));
    }
    let rendered = render::entity(&compute(), &view, MediaType::TextOcci).unwrap();
    assert_headers(&rendered, "text-occi/compute.resp.http");
}

#[test]
fn json_6_entities_are_written_as_the_json_samples() {
    let (registry, base, order) = (registry(), base(), sample_order());
    let view = view(&registry, &base, &order);
    let same = |body: &[u8], file: &str| {
        // Order counts as well: the map type keeps it, but comparing maps does not look at it.
        let pretty = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).unwrap().to_string();
        assert_eq!(pretty(body), pretty(&sample(file)), "{file}");
    };
    for (entity, file) in [
        (compute(), "json/compute.json"),
        (interface(), "json/networkinterface.json"),
    ] {
        same(&render::entity(&entity, &view, MediaType::OcciJson).unwrap().body, file);
    }
    let collection = |entities: &[Entity], contents| {
        render::collection(entities, contents, &view, MediaType::OcciJson)
            .unwrap()
            .body
    };
    same(
        &collection(&[compute()], Contents::Resources),
        "json/collection-compute.json",
    );
    same(&collection(&[], Contents::Resources), "json/collection-empty.json");
    let Shape::Resource { links } = compute().shape else {
        panic!()
    };
    same(&collection(&links, Contents::Links), "json/collection-links.json");
    let rules = r#"[{"protocol":"tcp","type":"inbound","port":"443","range":"0.0.0.0/0"}]"#;
    let group = Entity {
        location: "/securitygroup/0aa3d6a8-71c7-4a6f-9a53-0f4a54f1c7aa".into(),
        id: "0aa3d6a8-71c7-4a6f-9a53-0f4a54f1c7aa".parse().unwrap(),
        kind: "http://schemas.ogf.org/occi/infrastructure#securitygroup"
            .parse()
            .unwrap(),
        mixins: vec![],
        attributes: attributes([
            ("occi.core.title", "web".into()),
            (
                "occi.securitygroup.rules",
                occi_model::Value::from_json(&serde_json::from_str(rules).unwrap()).unwrap(),
            ),
            ("occi.securitygroup.state", "active".into()),
        ]),
        actions: vec![],
        shape: Shape::Resource { links: vec![] },
    };
    let written = render::entity(&group, &view, MediaType::Json).unwrap().body;
    let (written, sample): (serde_json::Value, serde_json::Value) = (
        serde_json::from_slice(&written).unwrap(),
        serde_json::from_slice(&sample("json/securitygroup.json")).unwrap(),
    );
    assert_eq!(written, sample);
}

#[test]
fn the_model_is_written_as_the_samples() {
    let (registry, base) = (sample_registry(), base());
    let order = AttributeOrder::of(&registry);
    let older = view(&registry, &base, &order);
    let newer = View {
        agent: Agent::from_user_agent("occi/0.1 OCCI/1.2"),
        ..older
    };
    let all = Categories::of(&registry);
    // The tables list the templates' parents where the documents do; the sample has an order of its own.
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let written = text(render::model(&all, &older, MediaType::TextPlain).unwrap());
    assert_eq!(sorted(&written), sorted(&sample_text("text/query-interface.txt")));

    let by_id = |json: &[u8]| {
        let mut json: serde_json::Value = serde_json::from_slice(json).unwrap();
        for list in ["kinds", "mixins", "actions"] {
            let list = json[list].as_array_mut().unwrap();
            list.sort_by_key(|category| format!("{}{}", category["scheme"], category["term"]));
        }
        json
    };
    let mut expected = by_id(&sample("json/query-interface.json"));
    let mut written = by_id(&render::model(&all, &newer, MediaType::OcciJson).unwrap().body);
    // The sample is for clients of 1.1 as well, and it does not spell out every pattern that a type implies.
    written["kinds"][0]["location"] = "/entity/".into();
    for list in ["kinds", "mixins", "actions"] {
        let pairs = std::iter::zip(
            expected[list].as_array_mut().unwrap(),
            written[list].as_array_mut().unwrap(),
        );
        for (expected, written) in pairs {
            let definitions = written.get_mut("attributes").and_then(|all| all.as_object_mut());
            for (name, ours) in definitions.into_iter().flatten() {
                let ours = ours.as_object_mut().unwrap();
                if expected["attributes"][name].get("pattern").is_none() {
                    ours.remove("pattern");
                }
                ours.remove("description");
            }
            assert_eq!(written, expected);
        }
    }
}

#[test]
fn listings_are_written_as_the_samples() {
    let (registry, base, order) = (registry(), base(), sample_order());
    let view = view(&registry, &base, &order);
    let paths = [
        "/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11",
        "/compute/b1b7a7c2-3a70-4b7e-8a5e-3f1d2c9a0e42",
        "/compute/0aa3d6a8-71c7-4a6f-9a53-0f4a54f1c7aa",
    ];
    let list = |media| render::locations(paths, &view, media).unwrap();
    assert_eq!(text(list(MediaType::TextPlain)), sample_text("text/collection.txt"));
    assert_eq!(text(list(MediaType::UriList)), sample_text("uri-list/collection.uri"));
    assert_headers(&list(MediaType::TextOcci), "text-occi/collection.resp.http");
    let created = render::created(&[compute()], &view, MediaType::TextOcci).unwrap();
    assert_headers(&created, "text-occi/create-compute.resp.http");
}

#[test]
fn http_73_errors_are_written_as_the_samples() {
    let failure = Failure {
        code: 400,
        status: "Bad Request",
        message: "attribute occi.compute.cores: expected a number",
        ..Failure::default()
    };
    assert_headers(
        &render::error(&failure, MediaType::TextOcci),
        "text-occi/error.resp.http",
    );
    let json: serde_json::Value = serde_json::from_slice(&render::error(&failure, MediaType::OcciJson).body).unwrap();
    assert_eq!(
        json,
        serde_json::from_slice::<serde_json::Value>(&sample("json/error.json")).unwrap()
    );
    for media in [MediaType::TextPlain, MediaType::UriList, MediaType::Html] {
        let rendered = render::error(&failure, media);
        assert_eq!(rendered.content_type, "text/plain; charset=utf-8");
        assert_eq!(text(rendered), "attribute occi.compute.cores: expected a number\n");
    }
    let problem = render::problem(&Failure {
        request_id: Some("r1"),
        ..failure
    });
    assert_eq!(problem.content_type, "application/problem+json");
    assert_eq!(
        text(problem),
        r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"attribute occi.compute.cores: expected a number","request_id":"r1"}"#
    );
}

fn draft_of(file: &str) -> EntityDraft {
    let (registry, base) = (registry(), base());
    let media = if file.ends_with(".json") {
        MediaType::OcciJson
    } else {
        MediaType::TextPlain
    };
    request::entity(&incoming(media, &sample(file), &registry, &base)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_request_samples_are_read() {
    let (registry, base) = (registry(), base());
    let plain = draft_of("text/create-compute.req.txt");
    let json = draft_of("json/create-compute.json");
    let nested = draft_of("json/create-legacy-nested.json");
    for draft in [&plain, &json, &nested] {
        assert_eq!(draft.kind.as_ref().unwrap(), &COMPUTE);
        assert_eq!(
            draft.mixins[0],
            "http://cloud.example.org/occi/infrastructure/os_tpl#debian12"
        );
        let mut names: Vec<_> = draft.attributes.iter().map(|(name, _)| name.as_str()).collect();
        names.sort();
        assert_eq!(names, ["occi.compute.cores", "occi.compute.memory", "occi.core.title"]);
    }
    let [link] = &*plain.links else { panic!() };
    assert_eq!(
        link.entity.target.as_deref(),
        Some("/network/b1b7a7c2-3a70-4b7e-8a5e-3f1d2c9a0e42")
    );
    assert_eq!(nested.id.as_deref(), Some("5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11"));

    let http = Http::sample("text-occi/create-compute.req.http");
    let fields = http.fields();
    let headers = request::entity(&Incoming {
        fields: &fields,
        ..incoming(http.media(), &http.body, &registry, &base)
    });
    assert_eq!(headers.unwrap().attributes, plain.attributes);

    for (media, file) in [
        (MediaType::TextPlain, "text/action-stop.req.txt"),
        (MediaType::OcciJson, "json/action-stop.json"),
    ] {
        let body = sample(file);
        let action = request::action(&incoming(media, &body, &registry, &base))
            .unwrap()
            .unwrap();
        assert_eq!(
            action.id,
            "http://schemas.ogf.org/occi/infrastructure/compute/action#stop"
        );
        assert_eq!(action.attributes[0].0.as_str(), "method");
    }
    for (media, file) in [
        (MediaType::TextPlain, "text/user-mixin.req.txt"),
        (MediaType::OcciJson, "json/user-mixin.json"),
    ] {
        let body = sample(file);
        let [mixin] = &*request::mixins(&incoming(media, &body, &registry, &base)).unwrap() else {
            panic!()
        };
        assert_eq!(mixin.id, "http://cloud.example.org/users/ann#nightly");
        assert_eq!(mixin.title.as_deref(), Some("Nightly machines"));
        assert_eq!(mixin.location.as_deref(), Some("/mixin/nightly/"));
        assert!(!mixin.has_capabilities);
    }
    assert_eq!(draft_of("text/partial-update.req.txt").attributes.len(), 2);

    let body = sample("uri-list/with-comments.uri");
    let locations = request::locations(&incoming(MediaType::UriList, &body, &registry, &base)).unwrap();
    assert_eq!(
        locations,
        [
            "/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11",
            "/compute/b1b7a7c2-3a70-4b7e-8a5e-3f1d2c9a0e42"
        ]
    );

    let http = Http::sample("text-occi/filter.req.http");
    let fields = http.fields();
    let filter = request::filter(&Incoming {
        fields: &fields,
        ..incoming(http.media(), &http.body, &registry, &base)
    });
    let filter = filter.unwrap();
    assert_eq!(
        filter.categories[0],
        "http://cloud.example.org/occi/infrastructure/os_tpl#debian12"
    );
    assert_eq!(filter.attributes[0].name.as_str(), "occi.compute.state");
}

#[test]
fn what_is_bad_is_refused_or_left_for_the_model_to_refuse() {
    use ParseErrorKind::{ClassMismatch, Contradiction, Syntax};
    let (registry, base) = (registry(), base());
    let mut refusals = Vec::new();
    for (file, expected) in [
        ("array-attribute.json", None),
        ("attribute-without-value.txt", Some(Syntax)),
        ("conflict-title.json", Some(Contradiction)),
        ("immutable-state.txt", None),
        ("kind-and-action.txt", Some(ClassMismatch)),
        ("link-without-brackets.txt", Some(Syntax)),
        ("no-scheme.txt", Some(Syntax)),
        ("null-kind.json", Some(Syntax)),
        ("string-for-number.txt", None),
        ("truncated.json", Some(Syntax)),
        ("two-kinds.txt", Some(Contradiction)),
        ("unbalanced-quote.txt", Some(Syntax)),
        ("unknown-field.txt", Some(Syntax)),
        ("wrong-class.txt", Some(ClassMismatch)),
    ] {
        let media = if file.ends_with(".json") {
            MediaType::OcciJson
        } else {
            MediaType::TextPlain
        };
        let body = sample(&format!("bad/{file}"));
        let read = request::entities(&incoming(media, &body, &registry, &base));
        assert_eq!(
            read.as_ref().err().map(|error| error.kind),
            expected,
            "{file}: {read:?}"
        );
        if let Err(error) = read {
            refusals.push(format!("{file}: {error}"));
        } else {
            // A value of the wrong type is known by the definition, and what is immutable by the entity.
            for (name, input) in read.iter().flatten().flat_map(|draft| &draft.attributes) {
                let compute = registry.definitions(COMPUTE, []);
                let attribute = compute.get(name.as_str()).unwrap().attribute;
                assert!(
                    !attribute.mutable || attribute.value_type.read(input).is_none(),
                    "{file}"
                );
            }
        }
    }
    let body = sample("bad/bad-property.txt");
    let error = request::mixins(&incoming(MediaType::TextPlain, &body, &registry, &base)).unwrap_err();
    assert_eq!(error.kind, Syntax);
    refusals.push(format!("bad-property.txt: {error}"));
    insta::assert_snapshot!(refusals.join("\n"));
}
