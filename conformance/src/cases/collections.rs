//! Collections (GFD.223, section 3.4): of kinds, of mixins, and of whatever lies below a path.

use crate::cases::core::{PROFILE, sorted};
use crate::site::{INFRA, Site, action, kind, mixin, unique};
use crate::suite::cases;
use crate::thing::Thing;
use serde_json::json;

cases!(Checklist:
    http_35_a_collection_lists_its_entities,
    http_36_json_20_text_11_an_empty_collection_is_an_empty_list,
    http_38_a_kind_collection_can_be_emptied_in_part_and_whole,
    http_39_http_43_entities_are_put_into_a_mixin_collection,
    http_40_a_mixin_collection_is_set,
    http_41_http_42_entities_leave_a_mixin_collection_and_live_on,
    http_44_a_batch_is_carried_out_whole_or_not_at_all,
    http_52_categories_filter_every_collection,
    http_53_attributes_filter_every_collection,
    http_55_query_strings_filter_too,
    http_56_http_58_http_59_pages_are_slices_of_one_order,
    http_57_a_page_has_a_largest_size,
    http_71_a_path_lists_what_lies_below_it,
    http_72_a_path_is_emptied,
    http_78_core_33_members_that_are_there_already_count_as_done,
    http_85_a_kind_at_a_mixin_location_is_made_there,
);

fn http_35_a_collection_lists_its_entities(site: &Site) {
    let things: Vec<_> = (0..3).map(|_| site.network(&[])).collect();
    for media in ["text/plain", "text/occi", "text/uri-list"] {
        let listed = site.get("/network/").accept(media).send().is(200).read().locations;
        for thing in &things {
            assert_eq!(listed.iter().filter(|url| **url == thing.url).count(), 1, "{media}");
        }
    }
    let json = site
        .get("/network/")
        .accept("application/occi+json")
        .send()
        .is(200)
        .json();
    for thing in &things {
        let ids = json["resources"].as_array().into_iter().flatten();
        assert_eq!(ids.filter(|entity| entity["id"] == thing.id()).count(), 1);
    }
}

fn http_36_json_20_text_11_an_empty_collection_is_an_empty_list(site: &Site) {
    let tag = site.tag();
    let at = format!("/network/?category={}", tag.id().replace('#', "%23"));
    for at in [tag.location(), at] {
        let plain = site.get(&at).accept("text/plain").send().is(200);
        assert_eq!(plain.text(), "");
        let occi = site.get(&at).accept("text/occi").send().is(200);
        assert_eq!(occi.text().trim_end(), "OK");
        assert_eq!(occi.header("x-occi-location"), None);
        assert_eq!(site.get(&at).accept("text/uri-list").send().is(200).text(), "");
    }
    let json = |at: &str| site.get(at).accept("application/occi+json").send().is(200).json();
    let nothing = format!("?category={}", tag.id().replace('#', "%23"));
    assert_eq!(json(&format!("/network/{nothing}")), json!({ "resources": [] }));
    assert_eq!(json(&format!("/storagelink/{nothing}")), json!({ "links": [] }));
    assert_eq!(json(&tag.location()), json!({ "resources": [], "links": [] }));
}

fn http_38_a_kind_collection_can_be_emptied_in_part_and_whole(site: &Site) {
    let newcomer = site.own_project();
    let site = &newcomer.site;
    // Some engines give each project a network to begin with.
    let before = site.list("/network/");
    let things: Vec<_> = (0..3).map(|_| site.network(&[])).collect();
    let storage = site.storage(&[]);
    let one = format!("X-OCCI-Location: {}", things[0].url);
    site.delete("/network/").text(&[&one]).send().is(200);
    assert_eq!(
        sorted(site.list("/network/")),
        sorted([before, vec![things[1].url.clone(), things[2].url.clone()]].concat())
    );
    site.delete("/network/").send().is(200);
    assert_eq!(site.list("/network/"), Vec::<String>::new());
    site.get(&things[1].url).send().is(404);
    site.get(&storage.url).send().is(200);
}

fn http_39_http_43_entities_are_put_into_a_mixin_collection(site: &Site) {
    let tag = site.tag();
    let things: Vec<_> = (0..4).map(|_| site.network(&[])).collect();
    let at = tag.location();
    // Every rendering, URLs and paths.
    let plain = format!("X-OCCI-Location: {}", things[0].url);
    site.post(&at).accept("text/plain").text(&[&plain]).send().is(200);
    let occi = format!("X-OCCI-Location: {}, {}", things[0].path(), things[1].url);
    site.post(&at).accept("text/occi").occi(&[&occi]).send().is(200);
    let answer = site
        .post(&at)
        .accept("application/occi+json")
        .json(&json!([things[2].url]))
        .send()
        .is(200);
    assert!(answer.json()["resources"].is_array(), "the answer is the collection");
    let list = format!("# more\r\n{}\r\n", things[3].url);
    let answer = site
        .post(&at)
        .accept("text/plain")
        .body("text/uri-list", list)
        .send()
        .is(200);
    let all: Vec<_> = things.iter().map(|thing| thing.url.clone()).collect();
    assert_eq!(sorted(answer.read().locations), sorted(all.clone()));
    assert_eq!(sorted(site.list(&at)), sorted(all));
    assert!(things[1].read().has_category(&tag.id()));
}

fn http_40_a_mixin_collection_is_set(site: &Site) {
    let tag = site.tag();
    let (first, second) = (site.network(&[&tag.line()]), site.network(&[]));
    let put = |body: &str| {
        site.put(&tag.location())
            .accept("text/plain")
            .body("text/uri-list", body)
            .send()
    };
    let answer = put(&second.url).is(200);
    assert_eq!(answer.read().locations, [second.url.as_str()]);
    assert_eq!(site.list(&tag.location()), [second.url.as_str()]);
    assert!(!first.read().has_category(&tag.id()));
    put(&format!("{}\n{}\n", first.url, second.url)).is(200);
    assert_eq!(site.list(&tag.location()).len(), 2);
    put("").is(200);
    assert_eq!(site.list(&tag.location()), Vec::<String>::new());
    site.get(&first.url).send().is(200);
}

fn http_41_http_42_entities_leave_a_mixin_collection_and_live_on(site: &Site) {
    let tag = site.tag();
    let things: Vec<_> = (0..3).map(|_| site.network(&[&tag.line()])).collect();
    let one = format!("X-OCCI-Location: {}", things[0].url);
    site.delete(&tag.location()).text(&[&one]).send().is(200);
    assert!(!things[0].read().has_category(&tag.id()));
    assert_eq!(site.list(&tag.location()).len(), 2);
    site.delete(&tag.location()).text(&[&one]).send().is(404);
    site.delete(&tag.location()).send().is(200);
    assert_eq!(site.list(&tag.location()), Vec::<String>::new());
    for thing in &things {
        assert!(!thing.read().has_category(&tag.id()));
    }
}

fn http_44_a_batch_is_carried_out_whole_or_not_at_all(site: &Site) {
    let tag = site.tag();
    let (inside, outside) = (site.network(&[&tag.line()]), site.network(&[]));
    let missing = site.url("/network/00000000-0000-4000-8000-000000000000");
    let list = format!("{}\n{missing}\n", outside.url);
    site.post(&tag.location())
        .body("text/uri-list", list.clone())
        .send()
        .is(404);
    site.put(&tag.location()).body("text/uri-list", list).send().is(404);
    let list = format!("{}\n{missing}\n", inside.url);
    site.delete(&tag.location())
        .body("text/uri-list", list.clone())
        .send()
        .is(404);
    site.delete("/network/").body("text/uri-list", list).send().is(404);
    assert_eq!(site.list(&tag.location()), [inside.url.as_str()]);
}

fn http_52_categories_filter_every_collection(site: &Site) {
    let (one, two) = (site.tag(), site.tag());
    let network = site.network(&[&one.line(), &two.line()]);
    let storage = site.storage(&[&one.line()]);
    let filtered = |at: &str, lines: &[&str]| {
        let answer = site.get(at).accept("text/plain").occi(lines).send().is(200);
        sorted(answer.read().locations)
    };
    let both = sorted(vec![network.url.clone(), storage.url.clone()]);
    assert_eq!(filtered("/", &[&one.line()]), both);
    assert_eq!(filtered("/resource/", &[&one.line()]), both);
    assert_eq!(filtered("/network/", &[&one.line()]), [network.url.as_str()]);
    assert_eq!(filtered("/", &[&one.line(), &two.line()]), [network.url.as_str()]);
    assert_eq!(filtered(&one.location(), &[&kind("storage")]), [storage.url.as_str()]);
    assert_eq!(filtered(&two.location(), &[&kind("storage")]), Vec::<String>::new());
    // The collection's own category changes nothing.
    assert_eq!(filtered(&one.location(), &[&one.line()]), both);
    assert!(filtered("/network/", &[&kind("network")]).contains(&network.url));
    let unknown = mixin("http://conformance.example.org/unknown#nothing");
    site.get("/network/").occi(&[&unknown]).send().is(404);
}

fn http_53_attributes_filter_every_collection(site: &Site) {
    let tag = site.tag();
    let title = &tag.term;
    let network = site.network(&[
        &tag.line(),
        &format!("X-OCCI-Attribute: occi.core.title=\"{title}\", occi.network.vlan=7"),
    ]);
    let other = site.network(&[
        &tag.line(),
        &format!("X-OCCI-Attribute: occi.core.title=\"{title}\", occi.network.vlan=8"),
    ]);
    let filtered = |at: &str, filter: &str| {
        let answer = site
            .get(at)
            .accept("text/plain")
            .occi(&[&format!("X-OCCI-Attribute: {filter}")])
            .send()
            .is(200);
        sorted(answer.read().locations)
    };
    let both = sorted(vec![network.url.clone(), other.url.clone()]);
    let named = format!("occi.core.title=\"{title}\"");
    for at in ["/", "/network/", &tag.location()] {
        assert_eq!(filtered(at, &named), both);
        assert_eq!(
            filtered(at, &format!("{named}, occi.network.vlan=7")),
            [network.url.as_str()]
        );
        assert_eq!(
            filtered(at, &format!("{named}, occi.network.vlan=9")),
            Vec::<String>::new()
        );
        // An attribute that is not there equals nothing; so does one that nobody knows.
        assert_eq!(
            filtered(at, &format!("{named}, occi.network.label=\"red\"")),
            Vec::<String>::new()
        );
        assert_eq!(
            filtered(at, &format!("{named}, org.example.unknown=\"x\"")),
            Vec::<String>::new()
        );
    }
    assert_eq!(filtered("/storage/", &named), Vec::<String>::new());
}

fn http_55_query_strings_filter_too(site: &Site) {
    let tag = site.tag();
    let title = format!("{} with spaces & more", tag.term);
    let network = site.network(&[
        &tag.line(),
        &format!("X-OCCI-Attribute: occi.core.title=\"{title}\", occi.network.vlan=7"),
    ]);
    let escaped = title.replace(' ', "%20").replace('&', "%26");
    let id = tag.id().replace('#', "%23");
    for query in [
        format!("category={id}"),
        format!("category={}", tag.term),
        format!("category={id}&category=network"),
        format!("attribute=occi.core.title&value={escaped}"),
        format!("attribute=occi.core.title&value={}&operator=1", tag.term),
        format!("filter=occi.core.title={escaped}"),
        format!("category={id}&attribute=occi.network.vlan&value=7&filter=occi.core.title={escaped}"),
    ] {
        assert_eq!(
            site.list(&format!("/network/?{query}")),
            [network.url.as_str()],
            "{query}"
        );
        assert_eq!(site.list(&format!("/?{query}")), [network.url.as_str()], "{query}");
    }
    assert_eq!(
        site.list(&format!("/network/?category={id}&filter=occi.network.vlan=8")),
        Vec::<String>::new()
    );
    // Together with a header.
    let answer = site
        .get(&format!("/network/?category={id}"))
        .accept("text/uri-list")
        .occi(&["X-OCCI-Attribute: occi.network.vlan=8"])
        .send()
        .is(200);
    assert_eq!(answer.text(), "");
    site.get("/network/?category=nothing-of-the-kind").send().is(404);
}

fn http_56_http_58_http_59_pages_are_slices_of_one_order(site: &Site) {
    let tag = site.tag();
    let made: Vec<_> = (0..5).map(|_| site.network(&[&tag.line()])).collect();
    let made: Vec<_> = made.iter().map(|thing| thing.url.clone()).zip(&made).collect();
    let order: Vec<_> = made.iter().map(|(url, _)| url.clone()).collect();
    let at = tag.location();
    assert_eq!(site.list(&at), order, "by creation");
    let page = |query: &str| site.list(&format!("{at}?{query}"));
    assert_eq!(page("page=1&number=2"), order[..2]);
    assert_eq!(page("page=2&number=2"), order[2..4]);
    assert_eq!(page("page=3&number=2"), order[4..]);
    assert_eq!(page("page=4&number=2"), Vec::<String>::new());
    assert_eq!(page("page=1000000&number=2"), Vec::<String>::new());
    assert_eq!(page("page=0&number=2"), order[..2]);
    assert_eq!(page("number=2"), order[..2]);
    assert_eq!(page("page=2;number=2"), order[2..4]);
    let json = site
        .get(&format!("{at}?page=2&number=2"))
        .accept("application/occi+json")
        .send()
        .is(200);
    assert!(
        json.header("link").is_some_and(|link| link.contains("rel=\"next\"")),
        "no next page"
    );
    let ids: Vec<_> = json.json()["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entity| entity["id"].clone())
        .collect();
    assert_eq!(ids.len(), 2);
    for wrong in [
        "page=1&number=0",
        "page=x&number=2",
        "page=1&number=x",
        "page=1&number=-1",
        "page=1&number=1.5",
    ] {
        site.get(&format!("{at}?{wrong}")).send().is(400);
    }
}

fn http_57_a_page_has_a_largest_size(site: &Site) {
    site.get("/network/?page=1&number=1000000000").send().is(413);
}

fn http_71_a_path_lists_what_lies_below_it(site: &Site) {
    let (network, storage) = (site.network(&[]), site.storage(&[]));
    let all = site.list("/");
    assert!(all.contains(&network.url) && all.contains(&storage.url));
    let folder = site.target(&format!("/conformance/{}/", unique("folder")));
    let deep = format!("{folder}deep/{}", unique("network"));
    let answer = site.put(&deep).text(&[&kind("network")]).send().among(&[201, 400]);
    if answer.status == 201 {
        let thing = Thing::new(site, answer.location());
        for at in [folder.as_str(), &format!("{folder}deep/")] {
            assert_eq!(site.list(at), [thing.url.as_str()], "{at}");
        }
    }
    site.get(&folder).send().is(404);
    site.get("/conformance/nobody/was/here/").send().is(404);
}

fn http_72_a_path_is_emptied(site: &Site) {
    let folder = site.target(&format!("/conformance/{}/", unique("folder")));
    let put = |name: &str| {
        site.put(&format!("{folder}{}", unique(name)))
            .text(&[&kind("network")])
            .send()
            .is(201)
            .location()
    };
    let (one, two) = (put("one"), put("two"));
    let outside = site.network(&[]);
    site.delete(&folder).send().is(200);
    for gone in [one, two] {
        site.get(&gone).send().is(404);
    }
    site.get(&outside.url).send().is(200);
    let newcomer = site.own_project();
    let (network, storage) = (newcomer.site.network(&[]), newcomer.site.storage(&[]));
    newcomer.site.delete("/").send().is(200);
    assert_eq!(newcomer.site.list("/"), Vec::<String>::new());
    site.get(&network.url).send().is(404);
    site.get(&storage.url).send().is(404);
    if newcomer.site.login() != site.login() {
        site.get(&outside.url).send().is(200);
    }
}

fn http_78_core_33_members_that_are_there_already_count_as_done(site: &Site) {
    let newcomer = site.own_project();
    let site = &newcomer.site;
    let (active, stopped) = (site.running(&[]), site.running(&[]));
    stopped.act("stop", &[]).is(200);
    stopped.wait("inactive");
    let start = action("compute", "start");
    site.post("/compute/?action=start").occi(&[&start]).send().is(200);
    stopped.wait("active");
    site.post("/compute/?action=start").text(&[&start]).send().is(200);
    assert_eq!([active.state(), stopped.state()], ["active", "active"]);
    // Nothing to do is done.
    site.post("/storage/?action=online")
        .text(&[&action("storage", "online")])
        .send()
        .is(200);
}

fn http_85_a_kind_at_a_mixin_location_is_made_there(site: &Site) {
    let tag = site.tag();
    let network = site.create(&tag.location(), &[&kind("network")]);
    let reading = network.read();
    assert!(reading.has_category(&format!("{INFRA}network")) && reading.has_category(&tag.id()));
    assert_eq!(site.list(&tag.location()), [network.url.as_str()]);
    let small = site.collection(&format!("{PROFILE}small"));
    let compute = site.create(&small, &[&kind("compute")]);
    assert_eq!(compute.get("occi.compute.cores").as_deref(), Some("1"));
}
