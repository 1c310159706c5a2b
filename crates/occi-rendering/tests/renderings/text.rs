//! The text part of the checklist.

use crate::common::{COMPUTE, NETWORK, attributes, base, incoming, registry, sample, view};
use crate::samples::{compute, interface};
use occi_model::{AttributeDefinition, Entity, EntityDraft, Input, Mixin, Shape, Value, ValueType};
use occi_rendering::render::{self, Categories, Contents, HeaderLimits};
use occi_rendering::response::{self, Answer};
use occi_rendering::{
    Agent, AttributeOrder, Base, Incoming, MediaType, ParseError, ParseErrorKind, RenderError, Rendered, View, request,
};
use std::sync::Arc;

const KIND: &str = r#"Category: compute; scheme="http://schemas.ogf.org/occi/infrastructure#"; class="kind""#;

/// An entity as a text/plain body describes it.
fn read(body: &str) -> Result<EntityDraft, ParseError> {
    read_as(body, Agent::default())
}

fn read_as(body: &str, agent: Agent) -> Result<EntityDraft, ParseError> {
    let (registry, base) = (registry(), base());
    request::entity(&Incoming {
        agent,
        ..incoming(MediaType::TextPlain, body.as_bytes(), &registry, &base)
    })
}

/// The same from headers; whatever the body.
fn read_headers(fields: &[(&str, &str)], body: &str) -> Result<EntityDraft, ParseError> {
    let (registry, base) = (registry(), base());
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    request::entity(&Incoming {
        fields: &fields,
        ..incoming(MediaType::TextOcci, body.as_bytes(), &registry, &base)
    })
}

fn value<'a>(draft: &'a EntityDraft, name: &str) -> &'a Input {
    let mut found = draft.attributes.iter().filter(|(other, _)| other.as_str() == name);
    let value = &found.next().unwrap_or_else(|| panic!("no {name} in {draft:?}")).1;
    assert!(found.next().is_none(), "{name} is there twice");
    value
}

fn quoted(text: &str) -> Input {
    Input::Quoted(text.into())
}

/// Renders with the model of the tests.
fn with_view<T>(render: impl FnOnce(&View<'_>) -> T) -> T {
    let (registry, base) = (registry(), base());
    let order = AttributeOrder::of(&registry);
    render(&view(&registry, &base, &order))
}

fn lines(rendered: Rendered) -> Vec<String> {
    let body = String::from_utf8(rendered.body).unwrap();
    assert!(body.ends_with('\n') && !body.contains("\n\n"), "{body:?}");
    body.lines().map(str::to_owned).collect()
}

fn entity_lines(entity: &Entity) -> Vec<String> {
    lines(with_view(|view| render::entity(entity, view, MediaType::TextPlain)).unwrap())
}

fn with_attributes<const N: usize>(pairs: [(&str, Value); N]) -> Entity {
    Entity {
        attributes: attributes(pairs),
        mixins: vec![],
        actions: vec![],
        shape: Shape::Resource { links: vec![] },
        ..compute()
    }
}

fn mixin() -> Mixin {
    let definition = |name: &str, mutable, required| AttributeDefinition {
        mutable,
        required,
        ..AttributeDefinition::new(name.parse().unwrap(), ValueType::String)
    };
    Mixin {
        id: "http://example.com/occi/x#2-full.size".parse().unwrap(),
        title: "Big; bad, \"ugly\"\n".into(),
        depends: vec![
            "http://example.com/occi/a#one".parse().unwrap(),
            "http://example.com/occi/a#two".parse().unwrap(),
        ],
        applies: vec![COMPUTE.parse().unwrap()],
        attributes: vec![
            definition("com.example.free", true, false),
            definition("com.example.must", true, true),
            definition("com.example.fixed", false, false),
            definition("com.example.both", false, true),
        ],
        actions: vec![
            "http://example.com/occi/x/action#grow".parse().unwrap(),
            "http://example.com/occi/x/action#shrink".parse().unwrap(),
        ],
        location: "/mixin/full/".parse().unwrap(),
        origin: occi_model::Origin::Standard,
    }
}

fn mixin_line(mixin: &Mixin) -> String {
    let rendered = with_view(|view| render::mixin(mixin, view, MediaType::TextPlain)).unwrap();
    let [line] = &*lines(rendered) else { panic!() };
    line.clone()
}

#[test]
fn text_1_every_text_rendering_is_written_under_its_name() {
    for media in [
        MediaType::TextPlain,
        MediaType::TextOcciPlain,
        MediaType::TextOcci,
        MediaType::UriList,
    ] {
        let rendered = with_view(|view| render::created(&[compute()], view, media)).unwrap();
        assert_eq!(rendered.content_type, format!("{media}; charset=utf-8"));
    }
    let (registry, base) = (registry(), base());
    let body = sample("text/create-compute.req.txt");
    let read = |media| request::entity(&incoming(media, &body, &registry, &base)).unwrap();
    assert_eq!(read(MediaType::TextOcciPlain), read(MediaType::TextPlain));
}

#[test]
fn text_2_text_3_a_category_has_all_parameters_in_the_order_of_the_grammar() {
    assert_eq!(
        mixin_line(&mixin()),
        concat!(
            r#"Category: 2-full.size; scheme="http://example.com/occi/x#"; class="mixin"; title="Big - bad - ugly"; "#,
            r#"rel="http://example.com/occi/a#one"; location="/mixin/full/"; "#,
            r#"attributes="com.example.free com.example.must{required} com.example.fixed{immutable} "#,
            r#"com.example.both{immutable required}"; "#,
            r#"actions="http://example.com/occi/x/action#grow http://example.com/occi/x/action#shrink""#,
        )
    );
}

#[test]
fn text_4_attribute_definitions_are_read_back() {
    let line = mixin_line(&mixin());
    let base = base();
    let model = response::model(&Answer {
        status: 200,
        fields: &[("content-type", b"text/plain")],
        body: line.as_bytes(),
        base: &base,
    });
    let [read] = &*model.unwrap().mixins else { panic!() };
    let flags = |mixin: &Mixin| -> Vec<_> {
        let definitions = mixin.attributes.iter();
        definitions
            .map(|one| (one.name.clone(), one.mutable, one.required))
            .collect()
    };
    assert_eq!(flags(read), flags(&mixin()));
    assert_eq!(
        (&read.id, &read.actions, &read.location),
        (&mixin().id, &mixin().actions, &mixin().location)
    );
}

#[test]
fn text_5_a_link_shows_its_target_itself_and_its_attributes() {
    let mut link = interface();
    link.attributes.set("occi.core.title".parse().unwrap(), "a, \"b\"; c");
    let Shape::Link { target, .. } = &mut link.shape else {
        panic!()
    };
    target.location = "http://elsewhere.example/net>1".into();
    target.kind = None;
    let mut entity = with_attributes([]);
    entity.shape = Shape::Resource { links: vec![link] };
    let lines = entity_lines(&entity);
    let expected = concat!(
        r#"Link: <http://elsewhere.example/net%3E1>; rel="http://schemas.ogf.org/occi/core#resource"; "#,
        r#"self="/networkinterface/c0ffee00-1111-4222-8333-444455556666"; "#,
        r#"category="http://schemas.ogf.org/occi/infrastructure#networkinterface "#,
        r#"http://schemas.ogf.org/occi/infrastructure/networkinterface#ipnetworkinterface"; "#,
        r#"occi.core.id="c0ffee00-1111-4222-8333-444455556666"; occi.core.title="a, \"b\"; c"; "#,
        r#"occi.core.source="/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11"; "#,
        r#"occi.core.target="http://elsewhere.example/net%3E1"; occi.networkinterface.interface="eth0"; "#,
        r#"occi.networkinterface.mac="02:00:0a:00:00:07"; occi.networkinterface.state="active"; "#,
        r#"occi.networkinterface.address="10.0.0.7"; occi.networkinterface.allocation="static""#,
    );
    assert_eq!(lines.last().unwrap(), expected);
}

#[test]
fn text_6_actions_are_links_and_start_comes_first() {
    let mut entity = with_attributes([]);
    entity.actions = ["save", "start"]
        .map(|term| {
            format!("http://schemas.ogf.org/occi/infrastructure/compute/action#{term}")
                .parse()
                .unwrap()
        })
        .into();
    let path = &entity.location;
    let link = |term: &str| {
        format!(
            r#"Link: <{path}?action={term}>; rel="http://schemas.ogf.org/occi/infrastructure/compute/action#{term}""#
        )
    };
    assert_eq!(entity_lines(&entity)[2..], [link("start"), link("save")]);
}

#[test]
fn text_7_repeated_headers_and_comma_lists_mean_the_same() {
    let kind = KIND.strip_prefix("Category: ").unwrap();
    let tag = r#"my_stuff; scheme="http://example.com/occi/my_stuff#"; class="mixin""#;
    let repeated = read_headers(
        &[
            ("Category", kind),
            ("category", tag),
            ("X-OCCI-Attribute", "occi.compute.cores=2"),
            ("X-OCCI-Attribute", r#"occi.core.title="a, b""#),
        ],
        "",
    );
    let listed = read_headers(
        &[
            ("Category", &format!("{kind}, {tag}")),
            ("X-OCCI-Attribute", r#"occi.compute.cores=2,occi.core.title="a, b""#),
        ],
        "",
    );
    assert_eq!(repeated.unwrap(), listed.unwrap());
}

#[test]
fn text_8_text_holds_no_control_characters_but_tabs() {
    let attribute = |value: &str| read(&format!("{KIND}\nX-OCCI-Attribute: occi.core.title={value}"));
    for value in ["\"a\0b\"", "\"a\\\0\"", "\"\u{1b}[31m\"", "a\u{7f}b", "\"a\" ;\0"] {
        let error = attribute(value).unwrap_err();
        assert_eq!(error.kind, ParseErrorKind::Syntax, "{value:?}");
        assert!(error.message.contains("control character"), "{error}");
        assert!(error.place.starts_with("line 2, column "), "{error}");
    }
    let draft = attribute("\"a\tb\"").unwrap();
    assert_eq!(*value(&draft, "occi.core.title"), quoted("a\tb"));
    assert!(read(&format!("{}\0\"", KIND.trim_end_matches('"'))).is_err());
}

#[test]
fn text_8_quoted_strings_round_trip() {
    for text in [
        r#"say "hi", occi.compute.memory=1.0"#,
        r"back\slash; semicolon = equals",
        r#"\"#,
        r#"""#,
        "ünïcode; 雲 <a> {b}",
        "",
    ] {
        let lines = entity_lines(&with_attributes([("occi.core.title", text.into())]));
        let draft = read(&format!("{KIND}\n{}", lines[2])).unwrap();
        assert_eq!(*value(&draft, "occi.core.title"), quoted(text));
    }
    let draft = read(std::str::from_utf8(&sample("text/quoting.txt")).unwrap()).unwrap();
    assert_eq!(
        *value(&draft, "occi.core.title"),
        quoted(r#"say "hi", occi.compute.memory=1.0"#)
    );
    assert_eq!(
        *value(&draft, "occi.core.summary"),
        quoted(r"back\slash; semicolon = equals")
    );
    assert_eq!(*value(&draft, "occi.compute.memory"), Input::Token("3.6".into()));
}

#[test]
fn text_9_numbers_and_booleans_are_bare_and_strings_quoted() {
    let lines = entity_lines(&with_attributes([
        ("com.example.a", 4.into()),
        ("com.example.b", 2.0.into()),
        ("com.example.c", 0.1.into()),
        ("com.example.d", 1e20.into()),
        ("com.example.e", (-1e-7).into()),
        ("com.example.f", true.into()),
        ("com.example.g", "4".into()),
        ("com.example.h", "two\r\nlines".into()),
    ]));
    let values: Vec<_> = lines[2..].iter().map(|line| line.split_once('=').unwrap().1).collect();
    assert_eq!(
        values,
        [
            "4",
            "2.0",
            "0.1",
            "100000000000000000000.0",
            "-0.0000001",
            "true",
            "\"4\"",
            "\"two  lines\""
        ]
    );
}

#[test]
fn text_10_quoted_numbers_and_booleans_are_read_by_their_definition() {
    let registry = registry();
    let definitions = registry.definitions(COMPUTE, []);
    for written in ["2", "\"2\"", "2.0", "'2'"] {
        let draft = read(&format!("{KIND}\nX-OCCI-Attribute: occi.compute.cores={written}")).unwrap();
        let cores = definitions.get("occi.compute.cores").unwrap().attribute;
        assert_eq!(
            cores.value_type.read(value(&draft, "occi.compute.cores")),
            Some(2.into()),
            "{written}"
        );
    }
    for written in ["true", "\"True\"", "yes"] {
        assert_eq!(
            ValueType::Boolean.read(&Input::Token(written.trim_matches('"').into())),
            Some(true.into())
        );
    }
}

#[test]
fn text_11_the_body_of_a_text_occi_answer_is_ok() {
    for rendered in [
        with_view(|view| render::entity(&compute(), view, MediaType::TextOcci)).unwrap(),
        with_view(|view| render::locations([], view, MediaType::TextOcci)).unwrap(),
        render::done(MediaType::TextOcci),
    ] {
        assert_eq!(rendered.body, b"OK");
    }
}

#[test]
fn text_12_there_is_one_header_per_name() {
    let rendered = with_view(|view| render::entity(&compute(), view, MediaType::TextOcci)).unwrap();
    let names: Vec<_> = rendered.headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["Category", "X-OCCI-Attribute", "Link"]);
    let (_, categories) = &rendered.headers[0];
    assert!(
        categories.contains(r#"location="/compute/",debian12; scheme="#),
        "{categories}"
    );
    let (_, attributes) = &rendered.headers[1];
    assert!(
        attributes.contains(r#",occi.core.title="build node",occi."#),
        "{attributes}"
    );
    let rendered = with_view(|view| render::locations(["/a/1", "/a/2"], view, MediaType::TextOcci)).unwrap();
    let expected = "http://cloud.example.org/a/1, http://cloud.example.org/a/2".to_owned();
    assert_eq!(rendered.headers, [("X-OCCI-Location", expected)]);
}

#[test]
fn text_13_headers_are_refused_rather_than_cut() {
    let paths: Vec<_> = (0..1000)
        .map(|n| format!("/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f{n:04}"))
        .collect();
    let list = |most: usize, limits: HeaderLimits| {
        with_view(|view| {
            let view = View { limits, ..*view };
            let paths = paths.iter().take(most).map(String::as_str);
            render::locations(paths, &view, MediaType::TextOcci)
        })
    };
    assert!(list(800, HeaderLimits::default()).is_ok());
    assert!(matches!(
        list(1000, HeaderLimits::default()),
        Err(RenderError::TooLargeForHeaders { .. })
    ));
    let wide = HeaderLimits {
        per_field: 1 << 20,
        ..HeaderLimits::default()
    };
    assert!(list(1000, wide).is_ok());
    assert!(list(1000, HeaderLimits { total: 10, ..wide }).is_err());
    assert_eq!(HeaderLimits::default().per_field, 60 * 1024);
    assert_eq!(HeaderLimits::default().total, 96 * 1024);
}

#[test]
fn text_14_a_uri_list_is_for_lists_only() {
    let refused = RenderError::CannotExpress(MediaType::UriList);
    assert_eq!(
        with_view(|view| render::entity(&compute(), view, MediaType::UriList)),
        Err(refused.clone())
    );
    let registry = registry();
    let all = Categories::of(&registry);
    assert_eq!(
        with_view(|view| render::model(&all, view, MediaType::UriList)),
        Err(refused)
    );
    let (registry, base) = (self::registry(), base());
    let error = request::entities(&incoming(MediaType::UriList, b"http://a/1", &registry, &base)).unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::Unsupported);
}

#[test]
fn text_16_terms_may_start_with_a_digit() {
    let body = "Category: 5f4311da-2ee2-47a6-913b-5d8496486c62; scheme=\"http://schemas.openstack.org/template/os#\"";
    assert_eq!(
        read(body).unwrap().mixins[0],
        "http://schemas.openstack.org/template/os#5f4311da-2ee2-47a6-913b-5d8496486c62"
    );
    assert!(read("Category: _x; scheme=\"http://a/b#\"").is_err());
}

#[test]
fn text_17_the_rel_of_a_mixin_is_its_first_dependency() {
    assert_eq!(mixin_line(&mixin()).matches("occi/a#").count(), 1);
    let alone = Mixin {
        depends: vec![],
        ..mixin()
    };
    assert!(!mixin_line(&alone).contains("rel="));
}

#[test]
fn text_18_a_list_of_rel_is_read() {
    let (registry, base) = (registry(), base());
    let body =
        br#"Category: x; scheme="http://a/b#"; class="mixin"; rel="http://a/b#one http://a/b#two"; location="/x/""#;
    let mixins = request::mixins(&incoming(MediaType::TextPlain, body, &registry, &base)).unwrap();
    assert_eq!(mixins[0].depends.len(), 2);
}

#[test]
fn text_19_a_missing_class_follows_from_the_model() {
    let body = r#"Category: compute; scheme="http://schemas.ogf.org/occi/infrastructure#"
Category: my_stuff; scheme="http://example.com/occi/my_stuff#""#;
    let draft = read(body).unwrap();
    assert_eq!(draft.kind.unwrap(), COMPUTE);
    assert_eq!(draft.mixins.len(), 1);
}

#[test]
fn text_21_separators_too_many_and_spaces_are_accepted() {
    let plain = read(&format!(
        "{KIND}\nX-OCCI-Attribute: occi.compute.cores=2,occi.core.title=\"x\""
    ))
    .unwrap();
    let odd = concat!(
        "Category :  compute ;; SCHEME = 'http://schemas.ogf.org/occi/infrastructure#' ;class= kind ; ,;\r\n",
        "\r\n",
        "X-OCCI-Attribute:,, occi.compute.cores =\t2 ;,occi.core.title = \"x\" ; \r",
        "Category: compute; foo=bar; scheme=\"http://old/#\"; ",
        "scheme=\"http://schemas.ogf.org/occi/infrastructure#\"",
    );
    assert_eq!(read(odd).unwrap(), plain);
}

#[test]
fn text_22_the_scheme_may_lack_the_hash_or_have_the_term() {
    for scheme in ["infrastructure", "infrastructure#", "infrastructure#compute"] {
        let body = format!(r#"Category: Compute; scheme="http://schemas.ogf.org/occi/{scheme}""#);
        assert_eq!(read(&body).unwrap().kind.unwrap(), COMPUTE, "{scheme}");
    }
}

#[test]
fn text_23_the_target_attribute_of_a_link_counts() {
    let draft = read(&format!(
        r#"{KIND}
Link: </bar>; rel="{NETWORK}"; occi.core.target="http://cloud.example.org/network/1""#
    ));
    assert_eq!(draft.unwrap().links[0].entity.target.as_deref(), Some("/network/1"));
}

#[test]
fn text_24_the_kind_of_a_link_follows_from_what_it_leads_to() {
    for (rel, kind) in [
        ("infrastructure#storage", "infrastructure#storagelink"),
        ("infrastructure#network", "infrastructure#networkinterface"),
        ("infrastructure#ipreservation", "infrastructure#networkinterface"),
        ("infrastructure#securitygroup", "infrastructure#securitygrouplink"),
        ("infrastructure#compute", "core#link"),
        ("unheard#of", "core#link"),
    ] {
        let link = format!(r#"Link: </x/1>; rel="http://schemas.ogf.org/occi/{rel}""#);
        let draft = read(&format!("{KIND}\n{link}")).unwrap();
        let found = draft.links[0].entity.kind.clone().unwrap();
        assert_eq!(found, *format!("http://schemas.ogf.org/occi/{kind}"), "{rel}");
        // What is elsewhere no engine here can attach.
        let elsewhere = link.replace("</x/1>", "<http://elsewhere.example.org/x/1>");
        let draft = read(&format!("{KIND}\n{elsewhere}")).unwrap();
        let found = draft.links[0].entity.kind.clone().unwrap();
        assert_eq!(found, *"http://schemas.ogf.org/occi/core#link", "{rel} elsewhere");
    }
}

#[test]
fn text_26_listings_have_urls_and_entities_have_paths() {
    let registry = registry();
    let order = AttributeOrder::default();
    let below = Base::new("https://cloud.example.org:8787", "/occi1.1");
    let view = view(&registry, &below, &order);
    let created = render::created(&[compute()], &view, MediaType::TextPlain).unwrap();
    let url = format!("https://cloud.example.org:8787/occi1.1{}", compute().location);
    assert_eq!(created.headers, [("Location", url.clone())]);
    assert_eq!(created.body, format!("X-OCCI-Location: {url}").into_bytes());
    let entity = render::entity(&compute(), &view, MediaType::TextPlain).unwrap();
    let entity = String::from_utf8(entity.body).unwrap();
    assert!(
        entity.contains(r#"Link: </occi1.1/network/b1b7a7c2"#)
            && entity.contains(r#"self="/occi1.1/networkinterface/"#)
    );
    assert!(entity.contains(r#"</occi1.1/compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11?action=stop>"#));
    let model = render::model(&Categories::of(&registry), &view, MediaType::TextPlain).unwrap();
    assert!(
        String::from_utf8(model.body)
            .unwrap()
            .contains(r#"; location="/occi1.1/compute/""#)
    );
}

#[test]
fn text_27_titles_have_no_separators_and_nothing_is_empty() {
    assert!(mixin_line(&mixin()).contains(r#"; title="Big - bad - ugly"; "#));
    let bare = Mixin {
        title: " \"\" ".into(),
        attributes: vec![],
        actions: vec![],
        depends: vec![],
        ..mixin()
    };
    assert_eq!(
        mixin_line(&bare),
        r#"Category: 2-full.size; scheme="http://example.com/occi/x#"; class="mixin"; location="/mixin/full/""#
    );
}

#[test]
fn text_29_folded_lines_are_one_line() {
    let folded = "Category: compute;\r\n\tscheme=\"http://schemas.ogf.org/occi/infrastructure#\";\n   class=\"kind\"\nX-OCCI-Attribute: \\\nocci.compute.cores=2";
    let draft = read(folded).unwrap();
    assert_eq!(draft.kind.clone().unwrap(), COMPUTE);
    assert_eq!(*value(&draft, "occi.compute.cores"), Input::Token("2".into()));
}

#[test]
fn text_30_the_first_two_categories_are_simple() {
    let registry = registry();
    let model = with_view(|view| render::model(&Categories::of(&registry), view, MediaType::TextPlain)).unwrap();
    for line in &lines(model)[..2] {
        let (term, rest) = line
            .strip_prefix("Category: ")
            .unwrap()
            .split_once("; scheme=\"")
            .unwrap();
        let (scheme, _) = rest.split_once("\"; class=\"kind\"; title=\"").unwrap();
        assert!(term.chars().all(char::is_alphabetic));
        assert!(
            scheme.chars().all(|c| c.is_alphabetic() || ":/.#".contains(c)),
            "{scheme}"
        );
    }
}

#[test]
fn text_31_rocci_writes_strings_as_ruby_does() {
    let body = format!("{KIND}\nX-OCCI-Attribute: occi.core.title=\"a\\nb\\t\\\"\\#{{c\"");
    let rocci = Agent::from_user_agent("rOCCI-core/4.3.6 rOCCI-api/4.3.9 OCCI/1.1");
    assert_eq!(
        *value(&read_as(&body, rocci).unwrap(), "occi.core.title"),
        quoted("a\nb\t\"#{c")
    );
    assert_eq!(*value(&read(&body).unwrap(), "occi.core.title"), quoted("anbt\"#{c"));
}

#[test]
fn text_32_lists_and_objects_are_quoted_json() {
    let rules = r#"[{"port":"22","protocol":"tcp","type":"inbound"}]"#;
    let parsed = Value::from_json(&serde_json::from_str(rules).unwrap()).unwrap();
    let lines = entity_lines(&with_attributes([("occi.securitygroup.rules", parsed.clone())]));
    assert_eq!(
        lines[2],
        r#"X-OCCI-Attribute: occi.securitygroup.rules="[{\"port\":\"22\",\"protocol\":\"tcp\",\"type\":\"inbound\"}]""#
    );
    let draft = read(&format!("{KIND}\n{}", lines[2])).unwrap();
    assert_eq!(
        ValueType::List.read(value(&draft, "occi.securitygroup.rules")),
        Some(parsed)
    );
}

#[test]
fn text_33_a_link_has_source_and_target_as_attributes() {
    let lines = entity_lines(&interface());
    let body = lines.join("\n");
    assert!(body.contains(r#"X-OCCI-Attribute: occi.core.source="/compute/5d2f6d0e-"#));
    assert!(body.contains(r#"X-OCCI-Attribute: occi.core.target="/network/b1b7a7c2-"#));
    let draft = read(&body).unwrap();
    assert_eq!(
        draft.target.as_deref(),
        Some("/network/b1b7a7c2-3a70-4b7e-8a5e-3f1d2c9a0e42")
    );
    assert!(draft.source.is_some() && draft.id.is_some() && draft.links.is_empty());
}

#[test]
fn text_34_uri_lists_end_every_line_with_lf() {
    let list = with_view(|view| render::locations(["/a/1", "/a/2"], view, MediaType::UriList)).unwrap();
    assert_eq!(
        list.body,
        b"http://cloud.example.org/a/1\nhttp://cloud.example.org/a/2\n"
    );
}

#[test]
fn text_35_locations_end_without_a_newline() {
    let list = |paths: &[&str]| {
        with_view(|view| render::locations(paths.iter().copied(), view, MediaType::TextPlain))
            .unwrap()
            .body
    };
    assert_eq!(list(&[]), b"");
    let two = b"X-OCCI-Location: http://cloud.example.org/a/1\nX-OCCI-Location: http://cloud.example.org/a/2";
    assert_eq!(list(&["/a/1", "/a/2"]), two);
    let none: [Entity; 0] = [];
    let empty = with_view(|view| render::collection(&none, Contents::Mixed, view, MediaType::TextPlain)).unwrap();
    assert_eq!(empty.body, b"");
}

#[test]
fn text_36_the_body_of_a_text_occi_request_does_not_count() {
    let fields = [("Category", KIND.strip_prefix("Category: ").unwrap())];
    for body in ["", "OK", "Category: nonsense", "{\"kind\":1}"] {
        assert_eq!(read_headers(&fields, body).unwrap().kind.unwrap(), COMPUTE, "{body}");
    }
}

#[test]
fn text_37_the_built_in_model_fits_into_headers() {
    let registry = registry();
    let model = with_view(|view| render::model(&Categories::of(&registry), view, MediaType::TextOcci)).unwrap();
    let [("Category", categories)] = &*model.headers else {
        panic!()
    };
    let base = base();
    let read = response::model(&Answer {
        status: 200,
        fields: &[("Content-Type", b"text/occi"), ("Category", categories.as_bytes())],
        body: b"OK",
        base: &base,
    });
    let read = read.unwrap();
    let ids = |kinds: &[Arc<occi_model::Kind>]| kinds.iter().map(|kind| kind.id.clone()).collect::<Vec<_>>();
    assert_eq!(
        read.kinds.iter().map(|kind| kind.id.clone()).collect::<Vec<_>>(),
        ids(registry.kinds())
    );
    assert_eq!(read.mixins.len(), registry.mixins().len());
    assert_eq!(read.actions.len(), registry.actions().len());
}

#[test]
fn attributes_are_listed_in_the_order_of_their_definitions() {
    let mut entity = with_attributes([
        ("com.example.z", 1.into()),
        ("com.example.a", 1.into()),
        ("occi.compute.state", "active".into()),
        ("occi.compute.memory", 1.0.into()),
        ("occi.compute.architecture", "x64".into()),
        ("occi.core.summary", "s".into()),
        ("occi.core.title", "t".into()),
        ("occi.compute.cores", 1.into()),
    ]);
    entity.actions = vec![];
    let names: Vec<_> = entity_lines(&entity)[1..]
        .iter()
        .map(|line| line["X-OCCI-Attribute: ".len()..].split_once('=').unwrap().0.to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "occi.core.id",
            "occi.core.title",
            "occi.core.summary",
            "occi.compute.architecture",
            "occi.compute.cores",
            "occi.compute.memory",
            "occi.compute.state",
            "com.example.a",
            "com.example.z",
        ]
    );
}

#[test]
fn the_last_of_equal_attributes_wins() {
    let draft = read(&format!(
        "{KIND}\nX-OCCI-Attribute: a.b=1, c.d=2\nX-OCCI-Attribute: a.b=3"
    ))
    .unwrap();
    let names: Vec<_> = draft.attributes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["c.d", "a.b"]);
    assert_eq!(*value(&draft, "a.b"), Input::Token("3".into()));
}

#[test]
fn action_links_and_the_ids_of_links_do_not_make_new_links() {
    // pOCCI sends back what GET gave it.
    let shown = entity_lines(&compute()).join("\n");
    let draft = read(&shown).unwrap();
    assert_eq!(draft.links.len(), 2);
    let own: Vec<_> = draft
        .links
        .iter()
        .map(|link| link.own_location.as_deref().unwrap())
        .collect();
    assert_eq!(
        own,
        [
            "/networkinterface/c0ffee00-1111-4222-8333-444455556666",
            "/storagelink/deadbeef-0000-4000-8000-000000000001"
        ]
    );
}

#[test]
fn an_action_has_one_category_of_its_class() {
    let (registry, base) = (registry(), base());
    let action = |body: &str| request::action(&incoming(MediaType::TextPlain, body.as_bytes(), &registry, &base));
    let category = |term: &str| {
        format!(
            r#"Category: {term}; scheme="http://schemas.ogf.org/occi/infrastructure/compute/action#"; class="action""#
        )
    };
    assert_eq!(action("").unwrap(), None);
    assert_eq!(action("OK").unwrap(), None);
    assert_eq!(action(&category("START")).unwrap().unwrap().id.term(), "start");
    assert_eq!(action(&category("explode")).unwrap().unwrap().id.term(), "explode");
    for (body, kind) in [
        (KIND.to_owned(), ParseErrorKind::ClassMismatch),
        (KIND.replace("kind", "action"), ParseErrorKind::ClassMismatch),
        (
            format!("{}\n{}", category("start"), category("stop")),
            ParseErrorKind::Contradiction,
        ),
        (
            "X-OCCI-Attribute: method=graceful".to_owned(),
            ParseErrorKind::Contradiction,
        ),
    ] {
        assert_eq!(action(&body).unwrap_err().kind, kind, "{body}");
    }
}

#[test]
fn http_85_a_kind_tells_create_from_associate() {
    let (registry, base) = (registry(), base());
    let has_kind =
        |body: &str| request::has_kind(&incoming(MediaType::TextPlain, body.as_bytes(), &registry, &base)).unwrap();
    assert!(has_kind(KIND));
    assert!(!has_kind("X-OCCI-Location: /compute/1"));
    assert!(!has_kind(""));
}

#[test]
fn http_55_query_strings_filter() {
    let (registry, base) = (registry(), base());
    let filter = |pairs: &[(&str, &str)]| request::query_filter(pairs.iter().copied(), &registry, &base);
    let found = filter(&[
        ("category", "compute"),
        ("category", "http://schemas.ogf.org/occi/infrastructure#OS_TPL"),
        ("attribute", "occi.core.title"),
        ("value", "a=b"),
        ("filter", "occi.core.target=http://cloud.example.org/network/1"),
        ("attribute", "occi.compute.cores"),
        ("value", "2"),
        ("operator", "1"),
        ("operator", "0"),
        ("page", "2"),
    ])
    .unwrap();
    let ids: Vec<_> = found.categories.iter().map(|id| id.as_str()).collect();
    assert_eq!(ids, [COMPUTE, "http://schemas.ogf.org/occi/infrastructure#os_tpl"]);
    let attributes: Vec<_> = found
        .attributes
        .iter()
        .map(|one| (one.name.as_str(), &one.value, one.operator))
        .collect();
    let token = |text: &str| Input::Token(text.into());
    use request::Operator::{Contains, Equal};
    assert_eq!(
        attributes,
        [
            ("occi.core.target", &token("/network/1"), Equal),
            ("occi.core.title", &token("a=b"), Contains),
            ("occi.compute.cores", &token("2"), Equal),
        ]
    );
    for (pairs, kind) in [
        (&[("category", "nonsense")][..], ParseErrorKind::UnknownCategory),
        (&[("category", "up")], ParseErrorKind::Contradiction),
        (&[("attribute", "a")], ParseErrorKind::Syntax),
        (&[("value", "a")], ParseErrorKind::Syntax),
        (&[("filter", "a")], ParseErrorKind::Syntax),
        (
            &[("attribute", "a"), ("value", "b"), ("operator", "2")],
            ParseErrorKind::Syntax,
        ),
    ] {
        assert_eq!(filter(pairs).unwrap_err().kind, kind, "{pairs:?}");
    }
}

#[test]
fn http_54_filters_say_what_is_unknown_and_what_is_malformed() {
    let (registry, base) = (registry(), base());
    let filter = |category: &str| {
        let fields = [("Category", category.as_bytes())];
        request::filter(&Incoming {
            fields: &fields,
            ..incoming(MediaType::TextOcci, b"", &registry, &base)
        })
    };
    assert_eq!(
        filter(r#"x; scheme="http://a/b#""#).unwrap_err().kind,
        ParseErrorKind::UnknownCategory
    );
    assert_eq!(
        filter(r#"x; scheme="http://a/b#"#).unwrap_err().kind,
        ParseErrorKind::Syntax
    );
    assert!(filter("").unwrap().is_empty());
}

#[test]
fn http_70_requests_have_limits() {
    let many = |n: usize| {
        let attributes: Vec<_> = (0..n).map(|n| format!("a{n}=1")).collect();
        read(&format!("{KIND}\nX-OCCI-Attribute: {}", attributes.join(","))).map(|draft| draft.attributes.len())
    };
    assert_eq!(many(256), Ok(256));
    assert_eq!(many(257).unwrap_err().kind, ParseErrorKind::TooLarge);
    let categories = format!("{KIND}\n").repeat(65);
    assert_eq!(read(&categories).unwrap_err().kind, ParseErrorKind::TooLarge);
}

#[test]
fn header_bytes_that_are_not_utf_8_are_latin_1_and_such_a_body_is_refused() {
    let (registry, base) = (registry(), base());
    let body = [KIND.as_bytes(), b"\nX-OCCI-Attribute: occi.core.title=\"caf\xe9\""].concat();
    let refused = request::entity(&incoming(MediaType::TextPlain, &body, &registry, &base)).unwrap_err();
    assert_eq!(refused.kind, ParseErrorKind::Syntax);
    let fields: [(&str, &[u8]); 2] = [
        ("Category", KIND.trim_start_matches("Category: ").as_bytes()),
        ("X-OCCI-Attribute", b"occi.core.title=\"caf\xe9\""),
    ];
    let incoming = Incoming {
        fields: &fields,
        ..incoming(MediaType::TextOcci, b"", &registry, &base)
    };
    let draft = request::entity(&incoming).unwrap();
    assert_eq!(*value(&draft, "occi.core.title"), quoted("café"));
}
