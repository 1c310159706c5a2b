//! What only an occid with certain settings shows. A test starts one for each case.

use crate::cases::{IPNETWORK, PROFILE};
use crate::clients;
use crate::options::{Options, Profile};
use crate::site::{Site, action, kind, mixin};
use crate::suite::Case;

/// A case and the configuration file of the occid that it needs.
pub struct Configured {
    name: &'static str,
    config: &'static str,
    body: fn(&Site),
}

impl Configured {
    /// A case that starts its server with `start`, which gives the options to reach it and what ends it when dropped.
    pub fn case<T: 'static>(self, start: impl Fn(&str) -> (Options, T) + Send + Sync + 'static) -> Case {
        Case::alone(self.name, move || {
            let (options, _server) = start(self.config);
            match Site::new(&options) {
                Ok(site) => (self.body)(&site),
                Err(problem) => panic!("{problem}"),
            }
        })
    }
}

macro_rules! configured {
    ($($name:ident: $config:literal),* $(,)?) => {
        /// All of them.
        pub fn configured() -> Vec<Configured> {
            vec![$(Configured { name: stringify!($name), config: $config, body: $name }),*]
        }
    };
}

configured! {
    http_2_http_4_text_26_below_a_path_everything_has_it: "http.base_path = \"/occi1.1\"",
    http_62_a_keystone_is_named_as_clients_look_for_it: "auth.keystone_uri = \"https://keystone.example.org:5000/\"",
    http_83_without_user_mixins_it_is_not_implemented: "engine.user_mixins = false",
    infra_38_infra_39_without_autostart_all_stays_as_it_was_made: "engine.autostart = false",
    text_13_what_does_not_fit_into_headers_is_refused: "http.answer_field_limit = \"2KiB\"",
    infra_24_strict_templates_refuse_another_size: "engine.strict_templates = true",
    http_57_the_largest_page_is_a_setting: "engine.page_limit = 10",
    infra_40_the_same_again_joins_another_is_refused_and_a_deletion_is_taken:
        "[backend.memory]\npersonality = \"remote\"\nwork_ms = 4000\nlost_request_rate = 0.0\nlost_answer_rate = 0.0",
    infra_5_infra_19_a_cloud_that_is_late_gets_there: "[backend.memory]\npersonality = \"remote\"",
}

fn http_2_http_4_text_26_below_a_path_everything_has_it(site: &Site) {
    assert_eq!(site.base, "/occi1.1");
    let model = site.get("/-/").accept("text/plain").send().is(200);
    for category in model
        .read()
        .categories
        .iter()
        .filter(|category| category.class() != "action")
    {
        let location = category.get("location").unwrap_or("/occi1.1/");
        assert!(location.starts_with("/occi1.1/"), "{location}");
    }
    for below in ["/occi1.1", ""] {
        let url = format!("{}{below}/.well-known/org/ogf/occi/-/", site.origin);
        let answer = site.get(&url).accept("text/plain").send().is(200);
        assert_eq!(answer.text(), model.text());
    }
    site.get(&format!("{}/-/", site.origin)).send().is(404);
    let network = site.network(&[
        &mixin(IPNETWORK),
        "X-OCCI-Attribute: occi.network.address=\"192.0.2.0/24\"",
    ]);
    assert!(network.url.starts_with(&format!("{}/occi1.1/network/", site.origin)));
    let compute = site.running(&[]);
    let link = site.link("networkinterface", &compute, &network, &[]);
    let reading = compute.read();
    assert!(
        reading
            .plain_links()
            .any(|shown| shown.uri == network.path() && shown.get("self") == Some(&link.path()))
    );
    assert!(reading.links.iter().all(|link| link.uri.starts_with("/occi1.1/")));
    drop((link, compute, network));
    // IM puts the base path before paths that have it already, so it works at the root only.
    for client in clients::all().iter().filter(|client| client.profile != Profile::Im) {
        client.run(site);
    }
}

fn http_62_a_keystone_is_named_as_clients_look_for_it(site: &Site) {
    for method in ["GET", "HEAD"] {
        let answer = site.stranger().ask(method, "/-/").send().is(401);
        let challenges: Vec<_> = answer.all("www-authenticate").collect();
        assert_eq!(challenges, ["Keystone uri='https://keystone.example.org:5000/'"]);
    }
    site.get("/-/").send().is(200);
}

fn http_83_without_user_mixins_it_is_not_implemented(site: &Site) {
    let own = "Category: tag; scheme=\"http://conformance.example.org/occi/tag#\"; class=\"mixin\"";
    let whole = format!("{own}; location=\"/mixin/tag/\"");
    site.post("/-/").text(&[&whole]).send().is(501);
    site.delete("/-/").text(&[own]).send().is(501);
}

fn infra_38_infra_39_without_autostart_all_stays_as_it_was_made(site: &Site) {
    let volume = "X-OCCI-Attribute: occi.storage.size=1";
    let things = [
        (site.compute(&[]), "inactive", "start", "active"),
        (
            site.create("/network/", &[&kind("network")]),
            "inactive",
            "up",
            "active",
        ),
        (
            site.create("/storage/", &[&kind("storage"), volume]),
            "offline",
            "online",
            "online",
        ),
    ];
    std::thread::sleep(std::time::Duration::from_millis(500));
    for (thing, before, up, after) in &things {
        assert_eq!(thing.state(), *before);
        thing.act(up, &[]).is(200);
        thing.wait(after);
        thing.act(up, &[]).is(409);
    }
}

fn text_13_what_does_not_fit_into_headers_is_refused(site: &Site) {
    let answer = site.get("/-/").accept("text/occi").send().is(406);
    assert!(answer.text().contains("text/plain"), "there is no hint");
    site.get("/-/")
        .accept("text/occi, text/plain;q=0.5")
        .send()
        .among(&[200, 406]);
    let network = site.network(&[]);
    let answer = site.get(&network.url).accept("text/occi").send().is(200);
    assert!(answer.header("x-occi-attribute").is_some());
    // Nothing is done whose answer could not be given.
    let long = format!("X-OCCI-Attribute: occi.core.summary=\"{}\"", "x".repeat(3000));
    site.post(&network.url)
        .accept("text/occi")
        .text(&[&long])
        .send()
        .among(&[200, 406]);
    site.get(&network.url).accept("text/plain").send().is(200);
}

fn infra_24_strict_templates_refuse_another_size(site: &Site) {
    let small = mixin(&format!("{PROFILE}small"));
    let greedy = "X-OCCI-Attribute: occi.compute.cores=2";
    site.post("/compute/")
        .text(&[&kind("compute"), &small, greedy])
        .send()
        .is(409);
    let same = "X-OCCI-Attribute: occi.compute.cores=1, occi.compute.memory=1.0";
    site.compute(&[&small, same]).read();
}

fn http_57_the_largest_page_is_a_setting(site: &Site) {
    site.get("/network/?page=1&number=11").send().is(413);
    site.get("/network/?page=1&number=10").send().is(200);
}

/// Each action takes the engine seconds: what comes meanwhile comes while it runs.
fn infra_40_the_same_again_joins_another_is_refused_and_a_deletion_is_taken(site: &Site) {
    let compute = site.running(&[]);
    let ask = |term: &str, prefer: &str| {
        site.post(&format!("{}?action={term}", compute.url))
            .header("Prefer", prefer)
            .text(&[&action("compute", term)])
            .send()
    };
    ask("stop", "wait=0").is(200);
    ask("stop", "wait=0").is(200);
    let joined = ask("stop", "respond-async").is(202).location();
    assert_eq!(ask("stop", "respond-async").is(202).location(), joined);
    ask("restart", "wait=0").is(409);
    ask("start", "wait=0").is(409);
    assert_eq!(compute.state(), "active", "it runs still");
    compute.remove().is(200);
    site.get(&compute.url).send().is(404);
}

fn infra_5_infra_19_a_cloud_that_is_late_gets_there(site: &Site) {
    let (network, storage) = (site.network(&[]), site.storage(&[]));
    let compute = site.running(&[]);
    let interface = site.link("networkinterface", &compute, &network, &[]);
    let volume = site.link("storagelink", &compute, &storage, &[]);
    interface.wait("active");
    volume.wait("active");
    compute.act("stop", &[]).is(200);
    compute.wait("inactive");
    interface.wait("inactive");
    compute.act("stop", &[]).is(409);
    compute.act("start", &[]).is(200);
    compute.wait("active");
    site.post("/compute/?action=stop")
        .text(&[&action("compute", "stop")])
        .send()
        .is(200);
    compute.wait("inactive");
    for thing in [&volume, &interface, &compute, &storage, &network] {
        thing.remove_when_free();
        site.get(&thing.url).send().is(404);
    }
    assert_eq!(site.list("/compute/"), Vec::<String>::new());
}
