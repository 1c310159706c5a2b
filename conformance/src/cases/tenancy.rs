//! Who sees what: users, projects, and what belongs to somebody else.

use crate::site::{Site, kind};
use crate::suite::cases;

cases!(Checklist:
    http_63_what_belongs_to_others_does_not_exist,
    http_63_the_mixins_of_others_do_not_exist,
    http_63_a_link_to_what_belongs_to_others_is_refused,
);

fn http_63_what_belongs_to_others_does_not_exist(site: &Site) {
    let (ann, bob) = (site.newcomer(), site.newcomer());
    let (ann, bob) = (&ann.site, &bob.site);
    let network = ann.network(&["X-OCCI-Attribute: occi.core.title=\"mine\""]);
    bob.get(&network.url).send().is(404);
    bob.ask("HEAD", &network.url).send().is(404);
    bob.post(&network.url)
        .text(&["X-OCCI-Attribute: occi.core.title=\"yours\""])
        .send()
        .is(404);
    bob.delete(&network.url).send().is(404);
    bob.post(&format!("{}?action=down", network.url)).send().is(404);
    for at in ["/network/", "/"] {
        assert_eq!(bob.list(at), Vec::<String>::new());
        assert_eq!(ann.list(at), [network.url.as_str()]);
    }
    bob.delete("/network/").send().is(200);
    bob.delete("/network/")
        .text(&[&format!("X-OCCI-Location: {}", network.url)])
        .send()
        .is(404);
    assert_eq!(network.get("occi.core.title").as_deref(), Some("mine"));
    assert_eq!(network.state(), "active");
}

fn http_63_the_mixins_of_others_do_not_exist(site: &Site) {
    let (ann, bob) = (site.newcomer(), site.newcomer());
    let (ann, bob) = (&ann.site, &bob.site);
    let tag = ann.tag();
    assert!(ann.model().has_category(&tag.id()) && !bob.model().has_category(&tag.id()));
    bob.get(&tag.location()).send().is(404);
    bob.post("/network/")
        .text(&[&kind("network"), &tag.line()])
        .send()
        .is(400);
    bob.delete("/-/").text(&[&tag.line()]).send().is(404);
    // The name is free for others.
    let same = format!("{}; location=\"{}\"", tag.line(), tag.location());
    bob.post("/-/").text(&[&same]).send().is(200);
    let network = ann.network(&[&tag.line()]);
    assert_eq!(bob.list(&tag.location()), Vec::<String>::new());
    bob.delete("/-/").text(&[&same]).send().is(200);
    assert_eq!(ann.list(&tag.location()), [network.url.as_str()]);
}

fn http_63_a_link_to_what_belongs_to_others_is_refused(site: &Site) {
    let (ann, bob) = (site.newcomer(), site.newcomer());
    let (ann, bob) = (&ann.site, &bob.site);
    let (storage, compute, tag) = (ann.storage(&[]), bob.compute(&[]), bob.tag());
    let lines = [
        kind("storagelink"),
        format!("X-OCCI-Attribute: occi.core.source=\"{}\"", compute.path()),
        format!("X-OCCI-Attribute: occi.core.target=\"{}\"", storage.path()),
    ];
    bob.post("/storagelink/")
        .text(&[&lines[0], &lines[1], &lines[2]])
        .send()
        .is(400);
    let location = format!("X-OCCI-Location: {}", storage.url);
    bob.post(&tag.location()).text(&[&location]).send().is(404);
    storage.remove().is(200);
}
