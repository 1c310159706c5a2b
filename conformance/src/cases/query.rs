//! The query interface (GFD.223, section 3.3): what there is, and the mixins of users.

use crate::cases::core::{IPNETWORK, id_of, members};
use crate::reading::Category;
use crate::site::{CORE, INFRA, Site, Tag, kind, unique};
use crate::suite::cases;
use std::collections::BTreeMap;

cases!(Checklist:
    http_1_the_query_interface_has_kinds_mixins_and_actions,
    http_2_the_well_known_path_is_the_query_interface_in_every_rendering,
    http_3_http_4_every_location_is_one_path_that_answers,
    http_3_entity_has_a_location_for_old_clients_only,
    http_45_core_15_a_user_mixin_is_there_at_once,
    http_46_a_user_mixin_has_term_scheme_and_location,
    http_47_a_user_mixin_takes_nobodys_name_or_place,
    http_48_a_user_mixin_may_relate_to_what_nobody_knows,
    http_49_a_removed_user_mixin_leaves_nothing_behind,
    http_50_the_mixins_of_the_provider_stay,
    http_51_a_filter_leaves_the_categories_asked_for,
    http_54_a_malformed_filter_is_refused,
    json_5_json_11_a_user_mixin_comes_and_goes_in_json,
);

const WELL_KNOWN: &str = "/.well-known/org/ogf/occi/-/";

fn http_1_the_query_interface_has_kinds_mixins_and_actions(site: &Site) {
    let model = site.model();
    for class in ["kind", "mixin", "action"] {
        assert!(
            model.categories.iter().any(|category| category.class() == class),
            "no {class}"
        );
    }
    for kind in ["compute", "network", "storage", "networkinterface", "storagelink"] {
        assert!(model.has_category(&format!("{INFRA}{kind}")), "no {kind}");
    }
    let json = site.json_model();
    let all: usize = ["kinds", "mixins", "actions"]
        .iter()
        .map(|class| members(&json, class).len())
        .sum();
    // `entity` is there for both; users of others come and go.
    assert!(
        all.abs_diff(model.categories.len()) < 20,
        "{all} in JSON, {} in text",
        model.categories.len()
    );
}

fn http_2_the_well_known_path_is_the_query_interface_in_every_rendering(site: &Site) {
    let compute = format!("Category: compute; scheme=\"{INFRA}\"; class=\"kind\"");
    for media in ["text/plain", "text/occi", "application/occi+json", "application/json"] {
        let both = ["/-/", "/-", WELL_KNOWN, WELL_KNOWN.trim_end_matches('/')].map(|at| {
            let answer = site.get(at).accept(media).occi(&[&compute]).send().is(200);
            assert_eq!(answer.media(), media);
            let category = answer.header("category").map(str::to_owned);
            (category, answer.body)
        });
        assert!(both.iter().all(|one| *one == both[0]), "{media}: {both:?}");
    }
    let term = unique("tag");
    let tag = format!(
        "Category: {term}; scheme=\"{}\"; class=\"mixin\"; location=\"{}\"",
        Tag::SCHEME,
        site.target(&format!("/mixin/{term}/"))
    );
    site.post(WELL_KNOWN).text(&[&tag]).send().is(200);
    assert!(site.model().has_category(&format!("{}{term}", Tag::SCHEME)));
    site.delete(WELL_KNOWN).text(&[&tag]).send().is(200);
    assert!(!site.model().has_category(&format!("{}{term}", Tag::SCHEME)));
}

fn http_3_http_4_every_location_is_one_path_that_answers(site: &Site) {
    let tag = site.tag();
    let model = site.model();
    let mut seen = BTreeMap::new();
    for category in &model.categories {
        let location = category.get("location");
        if category.class() == "action" {
            assert_eq!(location, None, "{} has a location", category.id());
            continue;
        }
        if category.id() == format!("{CORE}entity") {
            continue;
        }
        let Some(location) = location else {
            panic!("{} has no location", category.id());
        };
        assert!(
            location.starts_with('/') && location.ends_with('/') && !location.contains("//"),
            "{location} is no path of a collection"
        );
        if let Some(other) = seen.insert(location.to_owned(), category.id()) {
            panic!("{location} belongs to {other} and to {}", category.id());
        }
    }
    assert_eq!(seen.get(&tag.location()), Some(&tag.id()));
    // Mixins of others may go while this runs.
    for (location, _) in seen.iter().filter(|(_, id)| !id.starts_with(Tag::SCHEME)) {
        site.get(location).accept("text/uri-list").send().is(200);
    }
}

fn http_3_entity_has_a_location_for_old_clients_only(site: &Site) {
    let entity = format!("Category: entity; scheme=\"{CORE}\"");
    let location = |agent: Option<&str>| {
        let ask = site.get("/-/").accept("text/plain").occi(&[&entity]);
        let ask = match agent {
            Some(agent) => ask.agent(agent),
            None => ask.without_agent(),
        };
        let categories = ask.send().is(200).read().categories;
        assert_eq!(categories.len(), 1);
        categories[0].get("location").map(str::to_owned)
    };
    assert_eq!(location(Some("client/1 OCCI/1.2")), None);
    assert_eq!(location(Some("client/1 OCCI/1.1")), Some(site.target("/entity/")));
    assert_eq!(location(None), Some(site.target("/entity/")));
}

fn http_45_core_15_a_user_mixin_is_there_at_once(site: &Site) {
    let tag = site.tag();
    let category = site.category(&tag.id());
    assert_eq!(category.class(), "mixin");
    assert_eq!(category.get("location"), Some(tag.location().as_str()));
    assert_eq!(site.list(&tag.location()), Vec::<String>::new());
    let network = site.network(&[&tag.line()]);
    assert_eq!(site.list(&tag.location()), [network.url.as_str()]);
}

fn http_46_a_user_mixin_has_term_scheme_and_location(site: &Site) {
    let term = unique("tag");
    let scheme = Tag::SCHEME;
    let wrong = [
        format!("Category: {term}; scheme=\"{scheme}\"; class=\"mixin\""),
        format!("Category: {term}; class=\"mixin\"; location=\"/mixin/{term}/\""),
        format!("Category: ; scheme=\"{scheme}\"; class=\"mixin\"; location=\"/mixin/{term}/\""),
        format!("Category: {term}; scheme=\"{scheme}\"; class=\"mixin\"; location=\"/mixin/{term}\""),
        format!("Category: {term}; scheme=\"{scheme}\"; class=\"mixin\"; location=\"mixin/{term}/\""),
        format!(
            "Category: {term}; scheme=\"{scheme}\"; class=\"mixin\"; location=\"http://elsewhere.example.org/{term}/\""
        ),
        format!("Category: {term}; scheme=\"{scheme}\"; class=\"kind\"; location=\"/mixin/{term}/\""),
        format!(
            "Category: {term}; scheme=\"{scheme}\"; class=\"mixin\"; location=\"/mixin/{term}/\"; actions=\"http://example.org/a#b\""
        ),
    ];
    for wrong in wrong {
        site.post("/-/").text(&[&wrong]).send().is(400);
    }
    assert!(!site.model().has_category(&format!("{scheme}{term}")));
    // A URL of this server is its path.
    let path = site.target(&format!("/mixin/{term}/"));
    let url = site.url(&path);
    let right = format!("Category: {term}; scheme=\"{scheme}\"; class=\"mixin\"; location=\"{url}\"");
    site.post("/-/").text(&[&right]).send().is(200);
    assert_eq!(site.collection(&format!("{scheme}{term}")), path);
    site.delete("/-/").text(&[&right]).send().is(200);
}

fn http_47_a_user_mixin_takes_nobodys_name_or_place(site: &Site) {
    let tag = site.tag();
    let mixin = |term: &str, location: &str| {
        let line = format!(
            "Category: {term}; scheme=\"{}\"; class=\"mixin\"; location=\"{location}\"",
            Tag::SCHEME
        );
        site.post("/-/").text(&[&line]).send()
    };
    let other = unique("tag");
    mixin(&tag.term, &tag.location()).is(200);
    mixin(&tag.term, &site.target(&format!("/mixin/{other}/"))).is(409);
    mixin(&other, &tag.location()).is(409);
    for taken in ["/compute/", "/-/", "/-/operation/", "/.well-known/", "/events/", "/"] {
        mixin(&other, &site.target(taken)).is(409);
    }
    assert!(!site.model().has_category(&format!("{}{other}", Tag::SCHEME)));
}

fn http_48_a_user_mixin_may_relate_to_what_nobody_knows(site: &Site) {
    let rel = "http://example.com/occi/something_else#mixin";
    let tag = site.tag_with(&format!("; rel=\"{rel}\""));
    assert_eq!(site.category(&tag.id()).get("rel"), Some(rel));
    site.network(&[&tag.line()]);
}

fn http_49_a_removed_user_mixin_leaves_nothing_behind(site: &Site) {
    let tag = site.tag();
    let network = site.network(&[&tag.line()]);
    // The class may be left out.
    let name = format!("Category: {}; scheme=\"{}\"", tag.term, Tag::SCHEME);
    site.delete("/-/").text(&[&name]).send().is(200);
    assert!(!network.read().has_category(&tag.id()));
    assert!(!site.model().has_category(&tag.id()));
    site.get(&tag.location()).send().is(404);
    site.delete("/-/").text(&[&name]).send().is(404);
    network.update(&[&tag.line()]).is(400);
}

fn http_50_the_mixins_of_the_provider_stay(site: &Site) {
    for id in [IPNETWORK.to_owned(), format!("{INFRA}os_tpl")] {
        let category = site.category(&id);
        let line = format!(
            "Category: {}; scheme=\"{}\"; class=\"mixin\"",
            category.term,
            category.get("scheme").unwrap_or_default()
        );
        site.delete("/-/").text(&[&line]).send().is(403);
        site.category(&id);
    }
    site.delete("/-/").text(&[&kind("compute")]).send().not(200);
    site.category(&format!("{INFRA}compute"));
}

fn http_51_a_filter_leaves_the_categories_asked_for(site: &Site) {
    let model = site.model();
    let short = |category: &Category| {
        let part = |name| category.get(name).unwrap_or_default();
        format!(
            "Category: {}; scheme=\"{}\"; class=\"{}\"",
            category.term,
            part("scheme"),
            category.class()
        )
    };
    let of_class = |class: &str| {
        let found = model.categories.iter().find(|category| category.class() == class);
        found.unwrap_or_else(|| panic!("no {class}")).clone()
    };
    let all = [of_class("kind"), of_class("mixin"), of_class("action")];
    let filtered = |lines: &[&str]| -> Vec<String> {
        let answer = site.get("/-/").accept("text/plain").occi(lines).send().is(200);
        answer.read().categories.iter().map(Category::id).collect()
    };
    for category in &all {
        assert_eq!(filtered(&[&short(category)]), [category.id()]);
        // Complete, not in short form.
        let answer = site
            .get("/-/")
            .accept("text/plain")
            .occi(&[&short(category)])
            .send()
            .is(200);
        assert_eq!(
            answer.read().categories[0].get("attributes"),
            category.get("attributes")
        );
    }
    let two = filtered(&[&short(&all[0]), &short(&all[2])]);
    assert_eq!(two, [all[0].id(), all[2].id()]);
    let query = site
        .get(&format!("/-/?category={}", all[1].id().replace('#', "%23")))
        .accept("application/occi+json")
        .send()
        .is(200)
        .json();
    assert_eq!(
        members(&query, "mixins").iter().map(id_of).collect::<Vec<_>>(),
        [all[1].id()]
    );
    let unknown = "Category: nothing; scheme=\"http://conformance.example.org/unknown#\"; class=\"mixin\"";
    site.get("/-/").occi(&[unknown]).send().is(404);
}

fn http_54_a_malformed_filter_is_refused(site: &Site) {
    for at in ["/-/", "/compute/", "/"] {
        for wrong in [
            "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#",
            "Category: compute; class=\"kind\"",
            "Category: compute; scheme=\"x",
        ] {
            site.get(at).occi(&[wrong]).send().is(400);
        }
    }
    for wrong in [
        "X-OCCI-Attribute: occi.core.title",
        "X-OCCI-Attribute: occi.core.title=\"open",
        "X-OCCI-Attribute: =1",
    ] {
        site.get("/compute/").occi(&[wrong]).send().is(400);
    }
    site.get("/compute/?filter=occi.core.title").send().is(400);
}

fn json_5_json_11_a_user_mixin_comes_and_goes_in_json(site: &Site) {
    let term = unique("tag");
    let location = site.target(&format!("/mixin/{term}/"));
    let tag = serde_json::json!({ "term": term, "scheme": Tag::SCHEME, "title": "A tag", "location": location });
    site.post("/-/").json(&tag).send().is(200);
    let model = site.json_model();
    let found = members(&model, "mixins")
        .into_iter()
        .find(|mixin| mixin["term"] == term.as_str());
    assert_eq!(found.map(|mixin| mixin["location"].clone()), Some(location.into()));
    let name = serde_json::json!({ "mixins": [format!("{}{term}", Tag::SCHEME)] });
    site.delete("/-/").json(&name).send().is(200);
    site.delete("/-/").json(&name).send().is(404);
}
