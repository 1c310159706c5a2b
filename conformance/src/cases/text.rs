//! The text renderings (GFD.229).

use crate::cases::core::{IPNETWORK, PROFILE};
use crate::reading::Literal;
use crate::schema::assert_valid;
use crate::site::{INFRA, Site, kind, unique};
use crate::suite::cases;
use crate::thing::Thing;
use serde_json::json;

cases!(Checklist:
    text_2_text_3_text_27_categories_are_written_as_the_grammar_says,
    text_4_definitions_are_names_with_flags,
    text_5_text_6_text_26_links_have_their_parameters_in_order,
    text_7_repeated_headers_and_lists_mean_the_same,
    text_8_strings_come_back_as_they_went,
    text_9_numbers_are_bare_and_strings_are_quoted,
    text_10_text_21_quoted_numbers_and_sloppy_separators_are_understood,
    text_12_text_11_text_occi_has_one_field_of_each_name,
    text_14_a_uri_list_is_for_lists,
    text_15_text_34_uri_lists_take_comments_and_give_lf,
    text_16_terms_may_begin_with_a_digit,
    text_17_json_5_the_rel_of_a_mixin_is_its_first_dependency,
    text_18_a_list_of_rel_is_understood,
    text_19_text_22_a_category_is_known_by_its_identifier_alone,
    text_20_fields_are_known_by_their_old_names,
    text_23_text_24_text_25_a_link_is_known_by_what_it_says,
    text_28_garbage_is_refused,
    text_29_folded_lines_are_one,
    text_30_the_first_two_categories_are_simple,
    text_31_the_escapes_of_rocci_are_understood_from_rocci,
    text_32_lists_travel_as_quoted_json,
    text_13_text_37_the_whole_model_fits_into_headers,
    text_33_a_link_names_its_ends,
    text_35_text_bodies_end_as_old_clients_expect,
);

/// The parameters of a category, in the order of the grammar.
const ORDER: &[&str] = &["scheme", "class", "title", "rel", "location", "attributes", "actions"];

fn text_2_text_3_text_27_categories_are_written_as_the_grammar_says(site: &Site) {
    let answer = site.get("/-/").accept("text/plain").send().is(200);
    for line in answer.text().lines() {
        let value = line
            .strip_prefix("Category: ")
            .unwrap_or_else(|| panic!("{line:?} is no category"));
        assert!(!line.ends_with(';') && !line.contains(" ;"), "{line:?}");
        assert!(!line.contains("=\"\""), "{line:?} has an empty parameter");
        // A reader that splits at every separator sees every parameter whole, in order.
        let mut parts = value.split("; ");
        assert!(parts.next().is_some_and(|term| !term.is_empty() && !term.contains('"')));
        let mut last = 0;
        for part in parts {
            let (name, quoted) = part.split_once('=').unwrap_or_else(|| panic!("{part:?} in {line:?}"));
            let place = ORDER.iter().position(|known| *known == name);
            let place = place.unwrap_or_else(|| panic!("{name} is no parameter: {line:?}")) + 1;
            assert!(place > last, "{name} is out of order: {line:?}");
            last = place;
            let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let inside = inside.unwrap_or_else(|| panic!("{part:?} is not quoted: {line:?}"));
            assert!(!inside.contains('"'), "{line:?}");
            if name == "title" {
                assert!(!inside.contains([',', ';']), "{line:?}");
            }
        }
        assert!(last >= 2, "{line:?} has no class");
    }
    // Every parameter is somewhere.
    let model = answer.read();
    for name in ORDER {
        assert!(
            model.categories.iter().any(|category| category.get(name).is_some()),
            "nothing has {name}"
        );
    }
}

fn text_4_definitions_are_names_with_flags(site: &Site) {
    let model = site.model();
    let known = ["", "immutable", "required", "immutable required"];
    for category in &model.categories {
        for (name, flags) in category.definitions() {
            assert!(known.contains(&flags.as_str()), "{name}{{{flags}}}");
            let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            assert!(name.bytes().all(letters), "{name:?}");
        }
    }
    let flags = |id: &str, name: &str| {
        let definitions = model
            .category(id)
            .map(|category| category.definitions())
            .unwrap_or_default();
        let found = definitions.into_iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("{id} has no {name}")).1
    };
    assert_eq!(flags(&format!("{INFRA}compute"), "occi.compute.state"), "immutable");
    assert_eq!(flags(&format!("{INFRA}compute"), "occi.core.id"), "immutable");
    assert_eq!(flags(&format!("{INFRA}compute"), "occi.compute.cores"), "");
    assert_eq!(flags(&format!("{INFRA}storage"), "occi.storage.size"), "required");
    assert_eq!(flags(&format!("{INFRA}storagelink"), "occi.core.target"), "required");
}

fn text_5_text_6_text_26_links_have_their_parameters_in_order(site: &Site) {
    let (network, compute) = (site.network(&[]), site.compute(&[]));
    site.link("networkinterface", &compute, &network, &[]).read();
    let link = site.link("networkinterface", &compute, &network, &[]);
    let answer = site.get(&compute.url).accept("text/plain").send().is(200);
    let line = answer
        .text()
        .lines()
        .find(|line| line.contains(link.id()))
        .unwrap_or_default();
    let start = format!(
        "Link: <{}>; rel=\"{INFRA}network\"; self=\"{}\"; category=\"{INFRA}networkinterface",
        network.path(),
        link.path()
    );
    assert!(line.starts_with(&start), "{line:?} does not begin with {start:?}");
    let actions: Vec<_> = answer.text().lines().filter(|line| line.contains("?action=")).collect();
    for line in actions {
        let (path, rel) = line.split_once("; ").unwrap_or_default();
        assert!(
            path.starts_with(&format!("Link: <{}?action=", compute.path())),
            "{line:?}"
        );
        assert!(
            rel.starts_with("rel=\"http://") && rel.ends_with('"') && !rel.contains(';'),
            "{line:?}"
        );
    }
    // Category locations are paths, X-OCCI-Location is absolute.
    let reading = answer.read();
    let location = reading.categories[0].get("location").map(str::to_owned);
    assert!(location.is_none_or(|location| location.starts_with('/')));
    assert!(site.list("/compute/").iter().all(|url| url.starts_with(&site.origin)));
}

fn text_7_repeated_headers_and_lists_mean_the_same(site: &Site) {
    let (one, two) = (site.tag(), site.tag());
    let repeated = site
        .post("/network/")
        .accept("text/plain")
        .occi(&[&kind("network"), &one.line(), &two.line()])
        .header("X-OCCI-Attribute", "occi.core.title=\"a, b; c\"")
        .header("X-OCCI-Attribute", "occi.network.vlan=5")
        .send()
        .is(201);
    let line = kind("network");
    let whole = format!(
        "{}, {}, {}",
        line.strip_prefix("Category: ").unwrap_or_default(),
        one.category(),
        two.category()
    );
    let listed = site
        .post("/network/")
        .accept("text/plain")
        .header("Content-Type", "text/occi")
        .header("Category", &whole)
        .header("X-OCCI-Attribute", "occi.core.title=\"a, b; c\",occi.network.vlan=5")
        .send()
        .is(201);
    for answer in [repeated, listed] {
        let reading = Thing::new(site, answer.location()).read();
        assert!(reading.has_category(&one.id()) && reading.has_category(&two.id()));
        assert_eq!(reading.get("occi.core.title"), Some("a, b; c"));
        assert_eq!(reading.get("occi.network.vlan"), Some("5"));
    }
}

fn text_8_strings_come_back_as_they_went(site: &Site) {
    let title = r#"comma, semicolon; equals= "quotes" back\slash <angle> 'single' größe 日本"#;
    let quoted = title.replace('\\', "\\\\").replace('"', "\\\"");
    let line = format!("X-OCCI-Attribute: occi.core.title=\"{quoted}\", occi.network.vlan=3");
    for (media, ask) in [
        ("text/plain", site.post("/network/").text(&[&kind("network"), &line])),
        ("text/occi", site.post("/network/").occi(&[&kind("network"), &line])),
        (
            "application/occi+json",
            site.post("/network/").json(
                &json!({ "kind": format!("{INFRA}network"), "title": title, "attributes": { "occi.network.vlan": 3 } }),
            ),
        ),
    ] {
        let network = Thing::new(site, ask.accept("text/plain").send().is(201).location());
        for read_as in ["text/plain", "text/occi"] {
            let reading = site.get(&network.url).accept(read_as).send().is(200).read();
            assert_eq!(reading.get("occi.core.title"), Some(title), "{media} read as {read_as}");
            assert_eq!(reading.get("occi.network.vlan"), Some("3"));
        }
        assert_eq!(network.json()["title"], title);
    }
}

fn text_9_numbers_are_bare_and_strings_are_quoted(site: &Site) {
    let compute =
        site.compute(&["X-OCCI-Attribute: occi.compute.cores=2, occi.compute.memory=1.5, occi.compute.hostname=\"7\""]);
    let reading = compute.read();
    assert_eq!(
        reading.literal("occi.compute.cores"),
        Some(&Literal::Bare("2".to_owned()))
    );
    assert_eq!(
        reading.literal("occi.compute.memory"),
        Some(&Literal::Bare("1.5".to_owned()))
    );
    assert_eq!(
        reading.literal("occi.compute.hostname"),
        Some(&Literal::Quoted("7".to_owned()))
    );
    assert!(matches!(
        reading.literal("occi.compute.state"),
        Some(Literal::Quoted(_))
    ));
    if !site.offers("ipreservation") {
        return;
    }
    let reservation = site.create("/ipreservation/", &[&kind("ipreservation")]);
    let used = reservation.read();
    assert!(
        matches!(used.literal("occi.ipreservation.used"), Some(Literal::Bare(used)) if used == "true" || used == "false")
    );
}

fn text_10_text_21_quoted_numbers_and_sloppy_separators_are_understood(site: &Site) {
    for (line, cores, memory) in [
        ("occi.compute.cores=\"2\", occi.compute.memory=\"1.5\"", "2", "1.5"),
        ("occi.compute.cores=2.0,occi.compute.memory=2", "2", "2.0"),
        ("occi.compute.cores = 2 ;, occi.compute.memory= 2.5;", "2", "2.5"),
    ] {
        let compute = site.compute(&[&format!("X-OCCI-Attribute: {line}")]);
        let reading = compute.read();
        assert_eq!(reading.get("occi.compute.cores"), Some(cores), "{line}");
        assert_eq!(reading.get("occi.compute.memory"), Some(memory), "{line}");
    }
    for sloppy in [
        format!("Category: network;scheme=\"{INFRA}\";class=\"kind\";"),
        format!("Category:network ; scheme = \"{INFRA}\" ; class = kind ;; ,"),
        format!("Category: network; class='kind'; scheme='{INFRA}'; unknown=\"x\""),
    ] {
        site.create("/network/", &[&sloppy]);
    }
}

fn text_12_text_11_text_occi_has_one_field_of_each_name(site: &Site) {
    let tag = site.tag();
    let (network, compute) = (site.network(&[&tag.line()]), site.compute(&[&tag.line()]));
    site.link("networkinterface", &compute, &network, &[]).read();
    let link = site.link("networkinterface", &compute, &network, &[]);
    let answer = site.get(&compute.url).accept("text/occi").send().is(200);
    assert_eq!(answer.text().trim_end(), "OK");
    for name in ["Category", "X-OCCI-Attribute", "Link"] {
        let lines: Vec<_> = answer
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .collect();
        assert_eq!(lines.len(), 1, "{name}");
        // Values follow each other without a space.
        let separators = lines[0].1.matches("\",").count() + lines[0].1.matches("\", ").count();
        assert!(separators > 0 && !lines[0].1.contains("\", "), "{name}: {}", lines[0].1);
    }
    // Both renderings say the same.
    let (occi, plain) = (answer.read(), compute.read());
    let ids = |reading: &crate::reading::Reading| {
        reading
            .categories
            .iter()
            .map(|category| category.id())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&occi), ids(&plain));
    assert_eq!(occi.get("occi.core.id"), plain.get("occi.core.id"));
    assert!(
        occi.plain_links()
            .any(|shown| shown.get("self") == Some(link.path().as_str()))
    );
    let listed = site.get(&tag.location()).accept("text/occi").send().is(200);
    let all = listed.header("x-occi-location").unwrap_or_default().to_owned();
    assert_eq!(all, format!("{}, {}", network.url, compute.url));
}

fn text_14_a_uri_list_is_for_lists(site: &Site) {
    let network = site.network(&[]);
    for at in ["/-/", network.path().as_str()] {
        site.get(at).accept("text/uri-list").send().is(400);
        let answer = site.get(at).accept("text/uri-list, text/occi").send().is(200);
        assert_eq!(answer.media(), "text/occi");
    }
}

fn text_15_text_34_uri_lists_take_comments_and_give_lf(site: &Site) {
    let tag = site.tag();
    let things = [site.network(&[]), site.network(&[])];
    let list = format!(
        "# first\r\n{}\r\n\r\n# second\r\n{}\r\n",
        things[0].url,
        things[1].path()
    );
    site.post(&tag.location()).body("text/uri-list", list).send().is(200);
    let answer = site.get(&tag.location()).accept("text/uri-list").send().is(200);
    assert!(!answer.text().contains('\r'));
    assert_eq!(
        answer.text().lines().collect::<Vec<_>>(),
        [things[0].url.as_str(), things[1].url.as_str()]
    );
}

fn text_16_terms_may_begin_with_a_digit(site: &Site) {
    for term in [unique("42"), unique("5f4311da-2ee2.Upper_case")] {
        let line = format!("Category: {term}; scheme=\"http://conformance.example.org/occi/digit#\"; class=\"mixin\"");
        let whole = format!(
            "{line}; location=\"{}\"",
            site.target(&format!("/mixin/{}/", term.to_lowercase()))
        );
        site.post("/-/").text(&[&whole]).send().is(200);
        let network = site.network(&[&line]);
        assert!(
            network
                .read()
                .has_category(&format!("http://conformance.example.org/occi/digit#{term}"))
        );
        site.delete("/-/").text(&[&line]).send().is(200);
    }
}

fn text_17_json_5_the_rel_of_a_mixin_is_its_first_dependency(site: &Site) {
    let (text, json) = (site.model(), site.json_model());
    for mixin in crate::cases::core::members(&json, "mixins") {
        let id = crate::cases::core::id_of(&mixin);
        // A mixin of another case may come or go between the two.
        let Some(category) = text.category(&id) else { continue };
        assert_eq!(category.get("rel"), mixin["depends"][0].as_str(), "{id}");
    }
    let small = site.category(&format!("{PROFILE}small"));
    assert_eq!(small.get("rel"), Some(format!("{INFRA}resource_tpl").as_str()));
    assert_eq!(site.category(IPNETWORK).get("rel"), None);
}

fn text_18_a_list_of_rel_is_understood(site: &Site) {
    let (network, compute) = (site.network(&[]), site.running(&[]));
    let tag = site.tag_with(&format!("; rel=\"{IPNETWORK} http://example.com/unknown#mixin\""));
    assert_eq!(site.category(&tag.id()).get("rel"), Some(IPNETWORK));
    let link = format!(
        "Link: <{}>; rel=\"{INFRA}network http://example.com/unknown#kind\"; category=\"{INFRA}networkinterface\"",
        network.path()
    );
    compute.update(&[&link]).is(200);
}

fn text_19_text_22_a_category_is_known_by_its_identifier_alone(site: &Site) {
    for line in [
        format!("Category: network; scheme=\"{INFRA}\""),
        format!("Category: network; scheme=\"{INFRA}network\"; class=\"kind\""),
        "Category: network; scheme=\"http://schemas.ogf.org/occi/infrastructure\"; class=\"kind\"".to_owned(),
        format!("Category: Network; scheme=\"{INFRA}\"; class=\"kind\"; title=\"anything\"; location=\"/x/\""),
    ] {
        let network = site.create("/network/", &[&line]);
        assert!(network.read().has_category(&format!("{INFRA}network")), "{line}");
    }
    // A class that is given must be right.
    site.post("/network/")
        .text(&[&format!("Category: network; scheme=\"{INFRA}\"; class=\"mixin\"")])
        .send()
        .is(400);
}

fn text_20_fields_are_known_by_their_old_names(site: &Site) {
    let network = site.network(&[]);
    let value = kind("compute");
    let value = value.strip_prefix("Category: ").unwrap_or_default();
    let link = format!(
        "<{}>; rel=\"{INFRA}network\"; category=\"{INFRA}networkinterface\"",
        network.path()
    );
    for [category, attribute, links] in [
        ["category", "x-occi-attribute", "LINK"],
        ["X-OCCI-Category", "X-OCCI-Attribute", "X-OCCI-Link"],
    ] {
        let body = format!("{category}: {value}\n{attribute}: occi.core.title=\"old\"\n{links}: {link}");
        let plain = site.post("/compute/").body("text/plain", body).send().is(201);
        let occi = site
            .post("/compute/")
            .header("Content-Type", "text/occi")
            .header(category, value)
            .header(attribute, "occi.core.title=\"old\"")
            .header(links, &link)
            .send()
            .is(201);
        for answer in [plain, occi] {
            let compute = Thing::new(site, answer.location());
            let reading = compute.read();
            assert_eq!(reading.get("occi.core.title"), Some("old"));
            assert!(reading.plain_links().any(|link| link.uri == network.path()));
        }
    }
}

fn text_23_text_24_text_25_a_link_is_known_by_what_it_says(site: &Site) {
    let (network, storage) = (site.network(&[]), site.storage(&[]));
    let compute = site.compute(&[
        &format!(
            "Link: </bar>; rel=\"{INFRA}network\"; occi.core.target=\"{}\"",
            network.url
        ),
        &format!("Link: <{}>; rel=\"{INFRA}storage\"", storage.url),
    ]);
    let reading = compute.read();
    for (target, kind) in [(&network, "networkinterface"), (&storage, "storagelink")] {
        let link = reading.plain_links().find(|link| link.uri == target.path());
        let category = link.and_then(|link| link.get("category")).unwrap_or_default();
        assert!(
            category.starts_with(&format!("{INFRA}{kind}")),
            "{category:?} of the link to {}",
            target.url
        );
    }
}

fn text_28_garbage_is_refused(site: &Site) {
    let title = unique("garbage");
    let named = format!("X-OCCI-Attribute: occi.core.title=\"{title}\"");
    for garbage in [
        "X-OCCI-Attribute: occi.network.label=\"open",
        "X-OCCI-Attribute: occi.network.label",
        "X-OCCI-Attribute: =\"x\"",
        "X-OCCI-Attribute: occi.network.vlan=",
        "Category: compute",
        "Link: /network/1; rel=\"x\"",
        "Link: <>",
        "Link: </network/1",
        "Nonsense: x",
        "no field at all",
        "Category",
        ":",
    ] {
        site.post("/network/")
            .text(&[&kind("network"), &named, garbage])
            .send()
            .is(400);
    }
    let broken = [
        kind("network").as_bytes(),
        b"\n",
        named.as_bytes(),
        b"\nX-OCCI-Attribute: occi.network.label=\"\xff\xfe\"",
    ]
    .concat();
    site.post("/network/").body("text/plain", broken).send().is(400);
    let zeros = [named.as_bytes(), &[0; 64]].concat();
    site.post("/network/").body("text/plain", zeros).send().is(400);
    site.post("/network/")
        .body("text/plain", vec![b'"'; 10_000])
        .send()
        .is(400);
    site.post("/network/").body("text/plain", "").send().is(400);
    assert_eq!(site.find("/network/", &title), Vec::<String>::new());
}

fn text_29_folded_lines_are_one(site: &Site) {
    let body = format!(
        "category: network;\r\n   scheme=\"{INFRA}\";\r\n\tclass=\"kind\"\r\n\r\nx-occi-attribute: occi.network.vlan = 2\r\n"
    );
    let answer = site.post("/network/").body("text/plain", body).send().is(201);
    let network = Thing::new(site, answer.location());
    assert_eq!(network.get("occi.network.vlan").as_deref(), Some("2"));
}

fn text_30_the_first_two_categories_are_simple(site: &Site) {
    let answer = site.get("/-/").accept("text/plain").send().is(200);
    let simple = regex(r#"^Category: \w+; \bscheme=[a-z:./#"]*; \bclass="(?:action|kind|mixin)""#);
    for line in answer.text().lines().take(2) {
        assert!(simple.is_match(line), "{line:?}");
    }
}

fn text_31_the_escapes_of_rocci_are_understood_from_rocci(site: &Site) {
    let line = r#"X-OCCI-Attribute: occi.core.summary="one\ntwo\tthree""#;
    let summary = |agent: &str| {
        let ask = site
            .post("/network/")
            .agent(agent)
            .accept("text/plain")
            .text(&[&kind("network"), line]);
        let network = Thing::new(site, ask.send().is(201).location());
        network.json()["summary"].as_str().map(str::to_owned)
    };
    let rocci = "rOCCI-core/4.3.6 rOCCI-api/4.3.9 OCCI/1.1 ruby-x86_64-linux/2.3.3p222";
    assert_eq!(summary(rocci).as_deref(), Some("one\ntwo\tthree"));
    assert_eq!(summary("curl/8.0").as_deref(), Some("onentwotthree"));
}

fn text_32_lists_travel_as_quoted_json(site: &Site) {
    site.needs_kind("securitygroup");
    let rules = json!([{ "protocol": "tcp", "type": "inbound", "port": "22", "range": "192.0.2.0/24" }]);
    let quoted = rules.to_string().replace('"', "\\\"");
    let line = format!("X-OCCI-Attribute: occi.securitygroup.rules=\"{quoted}\"");
    let group = site.create("/securitygroup/", &[&kind("securitygroup"), &line]);
    let text = group.get("occi.securitygroup.rules").unwrap_or_default();
    let read: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(read, rules);
    let entity = group.json();
    assert_valid("resource", &entity);
    assert_eq!(entity["attributes"]["occi.securitygroup.rules"], rules);
    for wrong in ["22", "[{", ""] {
        let line = format!("X-OCCI-Attribute: occi.securitygroup.rules=\"{wrong}\"");
        site.post("/securitygroup/")
            .text(&[&kind("securitygroup"), &line])
            .send()
            .is(400);
    }
}

fn text_13_text_37_the_whole_model_fits_into_headers(site: &Site) {
    let occi = site.get("/-/").accept("text/occi").send().among(&[200, 406]);
    // With many templates it may not fit. Then it is refused, never cut.
    if occi.status == 406 {
        assert!(occi.text().contains("text/plain"), "the hint is missing");
        return;
    }
    let ids: Vec<_> = occi.read().categories.iter().map(|category| category.id()).collect();
    let plain: Vec<_> = site.model().categories.iter().map(|category| category.id()).collect();
    let built_in =
        |ids: Vec<String>| -> Vec<String> { ids.into_iter().filter(|id| id.starts_with("http://schemas.")).collect() };
    assert_eq!(built_in(ids), built_in(plain));
}

fn text_33_a_link_names_its_ends(site: &Site) {
    let (storage, compute) = (site.storage(&[]), site.compute(&[]));
    let link = site.link("storagelink", &compute, &storage, &[]);
    for media in ["text/plain", "text/occi"] {
        let reading = site.get(&link.url).accept(media).send().is(200).read();
        assert_eq!(reading.get("occi.core.source"), Some(compute.path().as_str()));
        assert_eq!(reading.get("occi.core.target"), Some(storage.path().as_str()));
        assert!(reading.plain_links().next().is_none());
    }
}

fn text_35_text_bodies_end_as_old_clients_expect(site: &Site) {
    let tag = site.tag();
    let network = site.network(&[&tag.line()]);
    let body = |at: &str| site.get(at).accept("text/plain").send().is(200).text().to_owned();
    assert_eq!(body(&tag.location()), format!("X-OCCI-Location: {}", network.url));
    for at in ["/-/", &network.url] {
        let body = body(at);
        assert!(
            body.ends_with('\n') && !body.contains("\n\n") && !body.contains('\r'),
            "{at}"
        );
    }
}

#[track_caller]
pub(crate) fn regex(pattern: &str) -> regex::Regex {
    match regex::Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => panic!("{error}"),
    }
}
