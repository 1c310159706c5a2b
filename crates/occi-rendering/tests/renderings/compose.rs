//! What a client writes: as the strictest servers want it, and as this one reads it.

use crate::common::{COMPUTE, NETWORK, base, incoming, registry};
use occi_model::{Class, EntityDraft, Input, LinkDraft, MixinDraft, TypeId, Value};
use occi_rendering::request::{self, ActionDraft, AttributeFilter, Filter, Operator};
use occi_rendering::{ComposeError, Incoming, MediaType, Rendered, compose};
use proptest::prelude::*;

const OS: &str = "http://cloud.example.org/occi/infrastructure/os_tpl#debian12";
const INTERFACE: &str = "http://schemas.ogf.org/occi/infrastructure#networkinterface";
const IPINTERFACE: &str = "http://schemas.ogf.org/occi/infrastructure/networkinterface#ipnetworkinterface";
const STOP: &str = "http://schemas.ogf.org/occi/infrastructure/compute/action#stop";
const WRITTEN: [MediaType; 5] = [
    MediaType::TextPlain,
    MediaType::TextOcciPlain,
    MediaType::TextOcci,
    MediaType::OcciJson,
    MediaType::Json,
];

fn id(text: &str) -> TypeId {
    text.parse().unwrap()
}

fn typed(name: &str, value: impl Into<Value>) -> (occi_model::AttributeName, Input) {
    (name.parse().unwrap(), Input::Typed(value.into()))
}

/// A machine with everything that a draft can have.
fn machine() -> EntityDraft {
    EntityDraft {
        kind: Some(id(COMPUTE)),
        mixins: vec![id(OS)],
        id: Some("never-sent".to_owned()),
        attributes: vec![
            typed("occi.core.title", "How's \"this\", then; \\o/"),
            typed("occi.compute.cores", 4),
            typed("occi.compute.memory", 7.5),
        ],
        links: vec![LinkDraft {
            entity: EntityDraft {
                kind: Some(id(INTERFACE)),
                mixins: vec![id(IPINTERFACE)],
                attributes: vec![typed("occi.networkinterface.address", "10.0.0.7")],
                source: Some("/compute/ignored".to_owned()),
                target: Some("/network/lan".to_owned()),
                target_kind: Some(id(NETWORK)),
                ..EntityDraft::default()
            },
            own_location: None,
        }],
        ..EntityDraft::default()
    }
}

fn body(rendered: Rendered) -> String {
    String::from_utf8(rendered.body).unwrap()
}

/// What the server makes of a request.
fn read<T>(rendered: &Rendered, media: MediaType, read: impl FnOnce(&Incoming<'_>) -> T) -> T {
    let (registry, base) = (registry(), base());
    let fields: Vec<_> = rendered
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    read(&Incoming {
        fields: &fields,
        ..incoming(media, &rendered.body, &registry, &base)
    })
}

#[test]
fn a_create_is_written_in_the_order_of_the_grammar() {
    let rendered = compose::entity(&machine(), MediaType::TextPlain).unwrap();
    assert_eq!(rendered.content_type, "text/plain");
    assert_eq!(
        body(rendered),
        r#"Category: compute; scheme="http://schemas.ogf.org/occi/infrastructure#"; class="kind"
Category: debian12; scheme="http://cloud.example.org/occi/infrastructure/os_tpl#"; class="mixin"
X-OCCI-Attribute: occi.core.title="How's \"this\", then; \\o/"
X-OCCI-Attribute: occi.compute.cores=4
X-OCCI-Attribute: occi.compute.memory=7.5
Link: </network/lan>; rel="http://schemas.ogf.org/occi/infrastructure#network"; category="http://schemas.ogf.org/occi/infrastructure#networkinterface http://schemas.ogf.org/occi/infrastructure/networkinterface#ipnetworkinterface"; occi.core.target="/network/lan"; occi.networkinterface.address="10.0.0.7"
"#
    );
}

#[test]
fn headers_hold_one_line_per_field_and_the_body_nothing() {
    let rendered = compose::entity(&machine(), MediaType::TextOcci).unwrap();
    assert_eq!((rendered.content_type, rendered.body.len()), ("text/occi", 0));
    let names: Vec<_> = rendered.headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["Category", "X-OCCI-Attribute", "Link"]);
    assert!(rendered.headers[0].1.contains("class=\"kind\",debian12; "));
}

#[test]
fn json_says_the_title_in_both_places_and_no_id() {
    let rendered = compose::entity(&machine(), MediaType::OcciJson).unwrap();
    assert_eq!(rendered.content_type, "application/occi+json");
    let document: serde_json::Value = serde_json::from_slice(&rendered.body).unwrap();
    assert_eq!(
        document,
        serde_json::json!({
            "kind": COMPUTE,
            "mixins": [OS],
            "title": "How's \"this\", then; \\o/",
            "attributes": {
                "occi.core.title": "How's \"this\", then; \\o/",
                "occi.compute.cores": 4,
                "occi.compute.memory": 7.5
            },
            "links": [{
                "kind": INTERFACE,
                "mixins": [IPINTERFACE],
                "attributes": { "occi.networkinterface.address": "10.0.0.7" },
                "source": { "location": "/compute/ignored" },
                "target": { "location": "/network/lan", "kind": NETWORK }
            }]
        })
    );
}

#[test]
fn a_link_of_its_own_says_both_ends() {
    let link = EntityDraft {
        kind: Some(id(INTERFACE)),
        source: Some("/compute/1".to_owned()),
        target: Some("http://elsewhere.test/network/<2>".to_owned()),
        ..EntityDraft::default()
    };
    assert_eq!(
        body(compose::entity(&link, MediaType::TextPlain).unwrap()),
        "Category: networkinterface; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
         X-OCCI-Attribute: occi.core.source=\"/compute/1\"\n\
         X-OCCI-Attribute: occi.core.target=\"http://elsewhere.test/network/%3C2%3E\"\n"
    );
}

#[test]
fn the_server_reads_what_was_meant_in_every_rendering() {
    for media in WRITTEN {
        let rendered = compose::entity(&machine(), media).unwrap();
        let found = read(&rendered, media, |incoming| request::entity(incoming).unwrap());
        let meant = machine();
        assert_eq!(
            (&found.kind, &found.mixins, &found.id),
            (&meant.kind, &meant.mixins, &None),
            "{media}"
        );
        assert_eq!(values(&found), values(&meant), "{media}");
        let ([found], [meant]) = (&*found.links, &*meant.links) else {
            panic!("{media}: {:?}", found.links)
        };
        let (found, meant) = (&found.entity, &meant.entity);
        assert_eq!((&found.kind, &found.mixins), (&meant.kind, &meant.mixins), "{media}");
        assert_eq!(
            (&found.target, &found.target_kind),
            (&meant.target, &meant.target_kind),
            "{media}"
        );
        assert_eq!(values(found), values(meant), "{media}");
    }
}

/// Attributes by their look, which is all that a test without definitions has.
fn values(draft: &EntityDraft) -> Vec<(String, String)> {
    draft
        .attributes
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

fn text(value: &Input) -> String {
    match value {
        Input::Token(text) | Input::Quoted(text) => text.clone(),
        Input::Typed(value) => value.to_string(),
        Input::Null => "null".to_owned(),
    }
}

#[test]
fn actions_locations_mixins_and_filters_are_read_back() {
    let action = ActionDraft {
        id: id(STOP),
        attributes: vec![typed("method", "graceful")],
    };
    let places = [
        "http://cloud.example.org/compute/1",
        "http://cloud.example.org/compute/2",
    ];
    let mixin = MixinDraft {
        id: id("http://example.com/occi/mine#mine"),
        title: Some("Mine".to_owned()),
        depends: vec![id("http://example.com/occi/unknown#mixin")],
        location: Some("/mine/".to_owned()),
        has_capabilities: false,
    };
    for media in WRITTEN {
        let rendered = compose::action(&action, media).unwrap();
        let found = read(&rendered, media, |incoming| request::action(incoming).unwrap().unwrap());
        assert_eq!(
            (&found.id, text(&found.attributes[0].1)),
            (&action.id, "graceful".to_owned()),
            "{media}"
        );

        let rendered = compose::locations(places, media).unwrap();
        let found = read(&rendered, media, |incoming| request::locations(incoming).unwrap());
        assert_eq!(found, ["/compute/1", "/compute/2"], "{media}");

        for count in [1, 2] {
            let rendered = compose::mixins(&vec![mixin.clone(); count], media).unwrap();
            let found = read(&rendered, media, |incoming| request::mixins(incoming).unwrap());
            assert_eq!(found, vec![mixin.clone(); count], "{media}");
        }

        let rendered = compose::category_refs([(&mixin.id, Class::Mixin)], media).unwrap();
        let found = read(&rendered, media, |incoming| request::category_refs(incoming).unwrap());
        assert_eq!(found, std::slice::from_ref(&mixin.id), "{media}");
    }
    let rendered = compose::locations(places, MediaType::UriList).unwrap();
    assert_eq!(
        body(rendered),
        "http://cloud.example.org/compute/1\nhttp://cloud.example.org/compute/2\n"
    );

    let mut filter = Filter {
        categories: vec![id(COMPUTE)],
        attributes: vec![AttributeFilter {
            name: "occi.core.title".parse().unwrap(),
            value: Input::Quoted("a, b".to_owned()),
            operator: Operator::Equal,
        }],
    };
    let rendered = compose::filter(&filter, |_| Some(Class::Kind)).unwrap();
    assert_eq!(rendered.content_type, "text/occi");
    assert_eq!(
        read(&rendered, MediaType::TextOcci, |incoming| request::filter(incoming)
            .unwrap()),
        filter
    );

    filter.attributes.push(AttributeFilter {
        name: "occi.core.summary".parse().unwrap(),
        value: Input::Token("c=d".to_owned()),
        operator: Operator::Contains,
    });
    assert!(compose::filter(&filter, |_| None).is_err());
    let pairs = compose::filter_query(&filter);
    let pairs = pairs.iter().map(|(key, value)| (*key, value.as_str()));
    let found = request::query_filter(pairs, &registry(), &base()).unwrap();
    assert_eq!(found.categories, filter.categories);
    let compared = |filter: &Filter| -> Vec<_> {
        let attributes = filter.attributes.iter();
        let mut all: Vec<_> = attributes
            .map(|a| (a.name.to_string(), text(&a.value), a.operator == Operator::Equal))
            .collect();
        all.sort();
        all
    };
    assert_eq!(compared(&found), compared(&filter));
}

#[test]
fn what_a_rendering_cannot_carry_is_an_error_and_never_altered() {
    let with = |value| EntityDraft {
        attributes: vec![("occi.core.title".parse().unwrap(), value)],
        ..EntityDraft::default()
    };
    let lines = with(Input::Quoted("two\nlines".to_owned()));
    let unset = with(Input::Null);
    for media in [MediaType::TextPlain, MediaType::TextOcci] {
        assert!(matches!(
            compose::entity(&lines, media),
            Err(ComposeError::ControlCharacter(_))
        ));
        assert!(matches!(
            compose::entity(&unset, media),
            Err(ComposeError::CannotUnset(_))
        ));
    }
    assert_eq!(
        body(compose::entity(&unset, MediaType::Json).unwrap()),
        r#"{"title":null,"attributes":{"occi.core.title":null}}"#
    );
    assert!(compose::entity(&lines, MediaType::Json).is_ok());
    assert!(compose::entity(&lines, MediaType::UriList).is_err());
}

proptest! {
    #[test]
    fn any_value_comes_through(text in r#"[^\p{Cc}]*"#, number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
        let draft = EntityDraft {
            kind: Some(id(COMPUTE)),
            attributes: vec![typed("occi.core.title", text.as_str()), typed("occi.compute.memory", number)],
            ..EntityDraft::default()
        };
        for media in WRITTEN {
            let rendered = compose::entity(&draft, media).unwrap();
            let found = read(&rendered, media, |incoming| request::entity(incoming).unwrap());
            let memory = occi_model::ValueType::Float { above: None }.read(&found.attributes[1].1);
            prop_assert_eq!(self::text(&found.attributes[0].1), text.as_str());
            prop_assert_eq!(memory, Some(Value::Float(number)));
        }
    }
}
