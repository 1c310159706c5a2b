//! What holds for everything that a generator thinks of.

use crate::common::{base, registry, view};
use crate::samples::{compute, interface};
use occi_model::{AttributeName, Attributes, Entity, EntityDraft, Input, Registry, Shape, TypeId, Value, ValueType};
use occi_rendering::response::{self, Answer};
use occi_rendering::{
    Accept, Agent, AttributeOrder, Base, Incoming, MediaType, content_type, is_occi_field, render, request,
};
use proptest::prelude::*;
use std::sync::LazyLock;

static REGISTRY: LazyLock<Registry> = LazyLock::new(registry);
static BASE: LazyLock<Base> = LazyLock::new(base);
const READ: [MediaType; 5] = [
    MediaType::TextPlain,
    MediaType::TextOcci,
    MediaType::UriList,
    MediaType::OcciJson,
    MediaType::Json,
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC*", r#"[\\",;=<>{}'# a]*"#]
}

fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ];
    let inner = scalar.clone();
    prop_oneof![
        4 => scalar,
        1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
        1 => prop::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(Value::Hash),
    ]
}

/// An object as the value of an attribute that no definition says to have one is taken for a nested name in JSON.
fn is_hash(value: &Value) -> bool {
    matches!(value, Value::Hash(_))
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let name = "[a-z][a-z0-9]{0,4}(\\.[a-z0-9_-]{1,5}){1,3}".prop_map(|name| name.parse::<AttributeName>().unwrap());
    let extra = prop::collection::btree_map(name, values(), 0..8);
    (extra, prop::option::of(text()), prop::option::of(text())).prop_map(|(extra, title, summary)| {
        let mut attributes: Attributes = extra.into_iter().collect();
        for (name, value) in [("occi.core.title", title), ("occi.core.summary", summary)] {
            if let Some(value) = value {
                attributes.set(name.parse().unwrap(), value);
            }
        }
        attributes
    })
}

fn entities() -> impl Strategy<Value = Entity> {
    (attributes(), attributes(), any::<bool>()).prop_map(|(own, of_link, has_link)| {
        let link = Entity {
            attributes: of_link,
            ..interface()
        };
        Entity {
            attributes: own,
            shape: Shape::Resource {
                links: if has_link { vec![link] } else { vec![] },
            },
            ..compute()
        }
    })
}

/// The type of which a value is.
fn type_of(value: &Value) -> ValueType {
    match value {
        Value::String(_) => ValueType::String,
        Value::Integer(_) => ValueType::Integer { min: None, max: None },
        Value::Float(_) => ValueType::Float { above: None },
        Value::Boolean(_) => ValueType::Boolean,
        Value::List(_) => ValueType::List,
        Value::Hash(_) => ValueType::Hash,
    }
}

fn assert_same(written: &Attributes, read: &[(AttributeName, Input)], is_json: bool) -> Result<(), TestCaseError> {
    prop_assert_eq!(written.len(), read.len());
    for (name, value) in written.iter() {
        let found = read.iter().find(|(other, _)| other == name).map(|(_, input)| input);
        let Some(input) = found else {
            return Err(TestCaseError::fail(format!("{name} is lost")));
        };
        if is_json {
            prop_assert_eq!(input, &Input::Typed(value.clone()));
        } else {
            let read = type_of(value).read(input);
            prop_assert_eq!(read.as_ref(), Some(value), "{} from {:?}", name, input);
        }
    }
    Ok(())
}

fn assert_round_trip(entity: &Entity, media: MediaType) -> Result<(), TestCaseError> {
    let order = AttributeOrder::of(&REGISTRY);
    let rendered = render::entity(entity, &view(&REGISTRY, &BASE, &order), media);
    let Ok(rendered) = rendered else { return Ok(()) };
    let fields: Vec<_> = rendered
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    for (_, value) in &fields {
        prop_assert!(
            value.iter().all(|b| *b >= b' ' && *b != 0x7f),
            "a header may not hold control characters"
        );
    }
    let draft = request::entity(&Incoming {
        media,
        fields: &fields,
        body: &rendered.body,
        registry: &REGISTRY,
        base: &BASE,
        agent: Agent::default(),
    });
    let EntityDraft {
        kind,
        mixins,
        id,
        attributes,
        links,
        ..
    } = draft.map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(kind.as_ref(), Some(&entity.kind));
    prop_assert_eq!(&mixins, &entity.mixins);
    prop_assert_eq!(id.as_deref(), Some(entity.id.as_str()));
    assert_same(&entity.attributes, &attributes, media.is_json())?;
    let Shape::Resource { links: written } = &entity.shape else {
        panic!()
    };
    prop_assert_eq!(written.len(), links.len());
    for (written, read) in std::iter::zip(written, links) {
        prop_assert_eq!(read.own_location.as_deref(), Some(written.location.as_str()));
        assert_same(&written.attributes, &read.entity.attributes, media.is_json())?;
    }
    Ok(())
}

/// Reads bytes as everything that they could be meant for.
fn read_as_everything(media: MediaType, fields: &[(&str, &[u8])], body: &[u8], agent: Agent) {
    let incoming = Incoming {
        media,
        fields,
        body,
        registry: &REGISTRY,
        base: &BASE,
        agent,
    };
    let _ = request::entities(&incoming);
    let _ = request::entity(&incoming);
    let _ = request::action(&incoming);
    let _ = request::locations(&incoming);
    let _ = request::mixins(&incoming);
    let _ = request::category_refs(&incoming);
    let _ = request::filter(&incoming);
    let _ = request::has_kind(&incoming);
    let media = media.as_str().as_bytes();
    let fields: Vec<_> = fields.iter().copied().chain([("Content-Type", media)]).collect();
    let answer = Answer {
        status: 200,
        fields: &fields,
        body,
        base: &BASE,
    };
    let _ = response::entities(&answer);
    let _ = response::locations(&answer);
    let _ = response::model(&answer);
    let _ = response::created(&answer, |kind: &TypeId| {
        REGISTRY.kind(kind.as_str()).map(|kind| &kind.location)
    });
    let _ = response::error(&answer);
    let _ = response::keystone(&answer);
}

/// Pieces of the grammars in no order.
fn soup() -> impl Strategy<Value = String> {
    const PIECES: [&str; 51] = [
        "Category",
        "Link",
        "X-OCCI-Attribute",
        "X-OCCI-Location",
        ":",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\\",
        "\"",
        "'",
        ";",
        ",",
        "=",
        "<",
        ">",
        "{",
        "}",
        "[",
        "]",
        "compute",
        "scheme",
        "class",
        "kind",
        "rel",
        "self",
        "category",
        "location",
        "attributes",
        "actions",
        "immutable",
        "http://schemas.ogf.org/occi/infrastructure#",
        "/compute/1",
        "?action=",
        "occi.core.id",
        "occi.core.target",
        "1",
        "-1.5e9",
        "true",
        "null",
        "é",
        "\u{0}",
        "\"kind\":",
        "\"links\":",
        "\"resources\":",
        "\"mixins\":",
        "\"attributes\":{",
        "\"target\":",
        "\"term\":",
        "\"scheme\":",
    ];
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn text_8_text_plain_round_trips(entity in entities()) {
        assert_round_trip(&entity, MediaType::TextPlain)?;
    }

    #[test]
    fn text_8_text_occi_round_trips(entity in entities()) {
        assert_round_trip(&entity, MediaType::TextOcci)?;
    }

    #[test]
    fn json_16_json_round_trips(mut entity in entities()) {
        let Shape::Resource { links } = &mut entity.shape else { panic!() };
        let attributes = links.iter_mut().map(|link| &mut link.attributes);
        for attributes in attributes.chain([&mut entity.attributes]) {
            *attributes = std::mem::take(attributes).into_iter().filter(|(_, value)| !is_hash(value)).collect();
        }
        assert_round_trip(&entity, MediaType::OcciJson)?;
    }

    #[test]
    fn text_34_uri_lists_round_trip(paths in prop::collection::vec("/[a-z0-9/._~-]{0,20}", 0..10)) {
        let order = AttributeOrder::default();
        for media in [MediaType::UriList, MediaType::TextPlain, MediaType::TextOcci] {
            let written = render::locations(paths.iter().map(String::as_str), &view(&REGISTRY, &BASE, &order), media);
            let written = written.unwrap();
            let fields: Vec<_> = written.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            let read = request::locations(&Incoming {
                media, fields: &fields, body: &written.body, registry: &REGISTRY, base: &BASE, agent: Agent::default(),
            });
            let paths: Vec<_> = paths.iter().map(|path| BASE.localise(path).into_owned()).collect();
            prop_assert_eq!(read.unwrap(), paths);
        }
    }

    #[test]
    fn text_28_json_19_no_bytes_make_a_reader_panic(
        body in prop::collection::vec(any::<u8>(), 0..200),
        field in "[A-Za-z_-]{0,20}",
        rocci in any::<bool>(),
    ) {
        let agent = Agent { rocci, ..Agent::default() };
        for media in READ {
            for name in ["Category", "Link", "X-OCCI-Attribute", "Location", &field] {
                read_as_everything(media, &[(name, &body)], &body, agent);
            }
        }
        let _ = is_occi_field(&field);
    }

    #[test]
    fn text_28_json_19_no_soup_makes_a_reader_panic(body in soup(), rocci in any::<bool>()) {
        let agent = Agent { rocci, ..Agent::default() };
        let body = body.as_bytes();
        for media in READ {
            let fields = ["Category", "Link", "X-OCCI-Attribute"].map(|name| (name, body));
            read_as_everything(media, &fields, body, agent);
        }
        let names = [("category", "value"), ("attribute", "operator")];
        for (a, b) in names {
            let text = std::str::from_utf8(body).unwrap();
            let _ = request::query_filter([(a, text), (b, text), ("filter", text)], &REGISTRY, &BASE);
        }
    }

    #[test]
    fn http_10_no_header_makes_negotiation_panic(value in "[ -~]{0,60}", odd in "\\PC{0,20}") {
        for value in [&value, &odd] {
            let accept = Accept::parse([value.as_bytes()]);
            let chosen = accept.choose(&MediaType::ALL);
            prop_assert!(chosen.is_none_or(|media| !accept.names_problem() || MediaType::ALL.contains(&media)));
            let _ = content_type([value.as_bytes()], true, b"x");
            let _ = Agent::from_user_agent(value);
            let _ = BASE.localise(value);
        }
    }
}

/// The shapes that make a careless reader quadratic: at this size that would be seen.
#[test]
fn http_70_hostile_bodies_take_time_in_proportion() {
    const SIZE: usize = 128 << 10;
    let fill = |head: &str, piece: &str, tail: &str| {
        let body = format!(
            "{head}{}{tail}",
            piece.repeat((SIZE - head.len() - tail.len()) / piece.len())
        );
        body.into_bytes()
    };
    let long = "a".repeat(SIZE / 4);
    let text = [
        fill("Category: ", "a;scheme=\"b:c\",", ""),
        fill("X-OCCI-Attribute: ", "a=1,", ""),
        fill("X-OCCI-Location: ", "a,", ""),
        fill("Link: ", "</a>;rel=x,", ""),
        fill("Link: </a>", ";a=1", ""),
        fill("Link: </a>", ";", ""),
        fill("X-OCCI-Attribute: a=\"", "\\\"", ""),
        fill("", "a\n", ""),
        fill("", "\n", ""),
        fill("X-OCCI-Attribute: a=1\n", " b\n", ""),
        fill("X-OCCI-Attribute: a=1\\\n", "b\\\n", ""),
        fill("Category: ", "a", ";x=y"),
        fill("Category: a;scheme=\"b:c\";attributes=\"", "a{immutable} ", "\""),
    ];
    let json = [
        fill("{\"attributes\":{\"a\":[", "1,", "1]}}"),
        fill("{\"attributes\":{", "\"a\":{},", "\"a\":{}}}"),
        fill(&format!("{{\"attributes\":{{\"{long}\":{{"), "\"a\":{},", "\"a\":{}}}}"),
        fill("{\"kind\":1,", "\"a\":1,", "\"a\":1}"),
        fill("[", "{},", "{}]"),
        fill("{\"resources\":[{\"links\":[\"", "x\",\"", "\"]}]}"),
        fill(
            &format!(
                "{{\"links\":[{}],\"resources\":[",
                "{\"id\":\"x\"},".repeat(9_999) + "{}"
            ),
            "{\"links\":[\"x\"]},",
            "{}]}",
        ),
        fill("{\"kinds\":[", "\"http://a/b#c\",", "1]}"),
        fill("{\"mixins\":[", "{\"term\":\"a\",\"scheme\":\"b:c#\"},", "{}]}"),
        fill(
            "{\"mixins\":[{\"term\":\"a\",\"scheme\":\"b:c#\",\"depends\":[",
            "\"b:c#d\",",
            "\"b:c#d\"]}]}",
        ),
    ];
    let run = |media, body: &[u8]| {
        let start = std::time::Instant::now();
        let incoming = Incoming {
            media,
            fields: &[],
            body,
            registry: &REGISTRY,
            base: &BASE,
            agent: Agent::default(),
        };
        let _ = request::entities(&incoming);
        let _ = request::locations(&incoming);
        let _ = request::mixins(&incoming);
        let _ = request::category_refs(&incoming);
        let answer = Answer {
            status: 200,
            fields: &[("Content-Type", media.as_str().as_bytes())],
            body,
            base: &BASE,
        };
        let _ = response::entities(&answer);
        let head = String::from_utf8_lossy(&body[..40]);
        assert!(start.elapsed().as_secs() < 5, "{head} took {:?}", start.elapsed());
    };
    for body in &text {
        run(MediaType::TextPlain, body);
        run(MediaType::UriList, body);
    }
    for body in &json {
        run(MediaType::OcciJson, body);
    }
}
