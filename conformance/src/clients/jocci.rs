//! jOCCI-api and jOCCI-core, on Apache's HttpClient, in text/plain (its default) and text/occi.
//!
//! Its model parser stops at a kind without a location and at a `rel` that nobody has; its entity parser wants the kind
//! first and skips attributes that it does not understand; a link without attributes ends it. What it read it can only
//! write again (to replace it, or to show it) if the kind came with its location.

use crate::answer::Answer;
use crate::site::{INFRA, Site};
use crate::suite::cases;
use crate::thing::Thing;

cases!(Jocci:
    http_65_http_1_http_3_jocci_connects,
    http_14_http_20_http_32_jocci_from_create_to_delete,
    http_24_text_26_jocci_updates_by_replacing,
);

struct Jocci<'a> {
    site: &'a Site,
    media: &'static str,
}

/// Identifier, class, `rel` and location of a category.
struct Known {
    id: String,
    class: String,
    rel: String,
    location: String,
}

const ID: &str = r"[A-Za-z][A-Za-z0-9+.-]*:[^\s#\x22]*#[A-Za-z0-9][a-z0-9_-]*";
const NAME: &str = r"[a-z][a-z0-9_-]*(?:\.[a-z][a-z0-9_-]*)*";
const FLAGS: &str = r"(?:\{(?:required immutable|immutable required|required|immutable)\})?";

fn category(line: &str) -> Option<Known> {
    // Found anywhere in the line, in this order.
    let pattern = format!(
        "(?P<term>[A-Za-z0-9][a-z0-9_-]*);\\s*scheme=\"(?P<scheme>[^\"\\s]*#)\";\\s*class=\"?(?P<class>action|mixin|kind)\"?\
         (;\\s*title=\"[^\"\\\\]*\")?(;\\s*rel=\"(?P<rel>{ID}(\\s+{ID})*)\")?(;\\s*location=\"(?P<location>[^\"\\s]*)\")?\
         (;\\s*attributes=\"{NAME}{FLAGS}(\\s+{NAME}{FLAGS})*\")?(;\\s*actions=\"{ID}(\\s+{ID})*\")?;?$"
    );
    let found = super::regex(&pattern).captures(line)?;
    let part = |name| found.name(name).map_or("", |part| part.as_str()).to_owned();
    Some(Known {
        id: format!("{}{}", part("scheme"), part("term")),
        class: part("class"),
        rel: part("rel"),
        location: part("location"),
    })
}

impl<'a> Jocci<'a> {
    fn ask(&self, method: &str, to: &str) -> crate::site::Ask<'a> {
        let ask = self.site.ask(method, to).agent("Apache-HttpClient/4.3.6 (java 1.5)");
        ask.header("Content-Type", self.media).header("Accept", self.media)
    }

    fn lines(&self, answer: &Answer) -> Vec<String> {
        // It takes the first value without asking whether there is one.
        assert!(!answer.media().is_empty());
        if self.media == "text/plain" {
            return answer.text().trim().split(['\r', '\n']).map(str::to_owned).collect();
        }
        let fields = ["category", "x-occi-attribute", "link"];
        let first = |name: &&str| answer.header(name).unwrap_or_default().to_owned();
        let split = |value: String| value.split(',').map(str::to_owned).collect::<Vec<_>>();
        fields
            .iter()
            .map(first)
            .filter(|value| !value.is_empty())
            .flat_map(split)
            .collect()
    }

    fn connect(&self) -> Vec<Known> {
        self.ask("HEAD", "/-/").send().is(200);
        let answer = self.ask("GET", "/-/").send().is(200);
        let read = |line: String| category(&line).unwrap_or_else(|| panic!("it cannot read {line:?}"));
        let model: Vec<Known> = self.lines(&answer).into_iter().map(read).collect();
        for known in model.iter().filter(|known| known.class != "action") {
            assert!(
                known.class != "kind" || !known.location.is_empty(),
                "{} has no location",
                known.id
            );
            let parent = known.rel.is_empty() || model.iter().any(|other| other.id == known.rel);
            assert!(parent, "{} is related to {}, which is not there", known.id, known.rel);
        }
        model
    }

    /// The kind's location, the attributes and the links of an entity.
    fn describe(&self, url: &str) -> (String, Vec<(String, String)>, Vec<String>) {
        let answer = self.ask("GET", url).send().is(200);
        let lines = self.lines(&answer);
        let first = category(lines.first().map_or("", String::as_str)).filter(|first| first.class == "kind");
        let first = first.unwrap_or_else(|| panic!("the kind does not come first: {lines:?}"));
        assert!(!first.location.is_empty(), "{} has no location", first.id);
        let attribute = super::regex(&format!(
            "^{NAME}=(\"[^\"\\\\]*\"|[0-9]+\\.[0-9]+|[0-9]+|true|false);?$"
        ));
        let link = super::regex(&format!(
            "<(?P<uri>[^>\\s]*)>;\\s*rel=\"{ID}(\\s+{ID})*\"(;\\s*self=\"(?P<self>[^\"\\s]*)\")?\
             (;\\s*category=\"{ID}(\\s+{ID})*\")?(;\\s*(?P<attributes>{NAME}=.*))?$"
        ));
        let (mut attributes, mut links) = (Vec::new(), Vec::new());
        for line in lines {
            let line = line.strip_prefix("X-OCCI-Attribute: ").unwrap_or(&line);
            if attribute.is_match(line) {
                let (name, value) = line.split_once('=').unwrap_or_default();
                attributes.push((name.to_owned(), value.replace('"', "")));
            } else if let Some(found) = link.captures(line) {
                if found["uri"].contains("?action=") {
                    continue;
                }
                let pairs = found.name("attributes").map_or("", |pairs| pairs.as_str());
                assert!(pairs.split(';').all(|pair| pair.contains('=')), "{line:?}");
                links.push(found["uri"].to_owned());
            }
        }
        assert!(attributes.iter().any(|(name, _)| name == "occi.core.id"), "no id");
        (first.location, attributes, links)
    }

    /// Where something is, as it finds it in an answer.
    fn locations(&self, answer: &Answer) -> Vec<String> {
        if self.media == "text/plain" {
            let body = answer.text().trim().replace("X-OCCI-Location: ", "");
            let found: Vec<_> = body.split(['\r', '\n']).map(str::to_owned).collect();
            assert!(found.iter().all(|uri| url::Url::parse(uri).is_ok()), "{found:?}");
            return found;
        }
        answer.location().split(',').map(str::to_owned).collect()
    }

    fn write(&self, method: &str, to: &str, lines: &[String]) -> Answer {
        if self.media == "text/plain" {
            let ask = self
                .site
                .ask(method, to)
                .agent("Apache-HttpClient/4.3.6 (java 1.5)")
                .accept(self.media);
            return ask.body(self.media, lines.join("\n")).send();
        }
        // A header line for each value.
        let ask = lines.iter().fold(self.ask(method, to), |ask, line| {
            let (name, value) = line.split_once(": ").unwrap_or_default();
            ask.header(name, value)
        });
        ask.send()
    }

    fn create(&self, location: &str, lines: &[String]) -> Thing<'a> {
        let answer = self.write("POST", location, lines).among(&[200, 201]);
        let first = self.locations(&answer).into_iter().next();
        Thing::new(self.site, first.unwrap_or_else(|| panic!("no location")))
    }
}

fn location<'a>(model: &'a [Known], term: &str) -> &'a str {
    let found = model.iter().find(|known| known.id == format!("{INFRA}{term}"));
    found.map_or_else(|| panic!("no {term}"), |known| known.location.as_str())
}

fn kind(term: &str) -> String {
    format!("Category: {term};scheme=\"{INFRA}\";class=\"kind\"")
}

fn http_65_http_1_http_3_jocci_connects(site: &Site) {
    let own = site.own_project();
    for media in ["text/plain", "text/occi"] {
        let model = Jocci { site: &own.site, media }.connect();
        assert!(model.len() > 10);
    }
}

fn http_14_http_20_http_32_jocci_from_create_to_delete(site: &Site) {
    let own = site.own_project();
    for media in ["text/plain", "text/occi"] {
        let jocci = Jocci { site: &own.site, media };
        let model = jocci.connect();
        let storage = jocci.create(
            location(&model, "storage"),
            &[
                kind("storage"),
                format!("X-OCCI-Attribute: occi.core.id=\"{}\"", uuid::Uuid::new_v4()),
                "X-OCCI-Attribute: occi.storage.size=1.0".to_owned(),
            ],
        );
        storage.wait("online");
        let (link, own) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let link = format!(
            "Link: <{storage}>;rel=\"{INFRA}storage\";self=\"/storagelink/{link}\";category=\"{INFRA}storagelink\";\
             occi.core.id=\"{link}\";occi.core.source=\"/compute/{own}\";occi.core.target=\"{storage}\";",
            storage = storage.path()
        );
        let compute = jocci.create(
            location(&model, "compute"),
            &[
                kind("compute"),
                "X-OCCI-Attribute: occi.compute.cores=1".to_owned(),
                format!("X-OCCI-Attribute: occi.core.id=\"{own}\""),
                "X-OCCI-Attribute: occi.core.title=\"jOCCI\"".to_owned(),
                link,
            ],
        );
        compute.wait("active");
        let (_, attributes, links) = jocci.describe(&compute.url);
        assert!(
            attributes.contains(&("occi.core.title".to_owned(), "jOCCI".to_owned())),
            "{attributes:?}"
        );
        assert!(
            attributes.contains(&("occi.compute.cores".to_owned(), "1".to_owned())),
            "{attributes:?}"
        );
        assert!(links.contains(&storage.path()), "{links:?}");
        if media == "text/plain" {
            let listed = jocci.locations(&jocci.ask("GET", location(&model, "compute")).send().is(200));
            assert!(listed.contains(&compute.url));
        }
        let stop = "Category: stop;scheme=\"http://schemas.ogf.org/occi/infrastructure/compute/action#\";class=\"action\";\
                    title=\"Stop the compute\";attributes=\"method\";";
        let lines = [stop.to_owned(), "X-OCCI-Attribute: method=\"poweroff\"".to_owned()];
        jocci
            .write("POST", &format!("{}?action=stop", compute.url), &lines)
            .among(&[200, 204]);
        compute.wait("inactive");
        for thing in [&compute, &storage] {
            jocci.ask("DELETE", &thing.url).send().among(&[200, 204]);
        }
    }
}

fn http_24_text_26_jocci_updates_by_replacing(site: &Site) {
    let own = site.own_project();
    // In text/plain it takes the answer for a list of URIs, which fails with every server that answers with the entity.
    let jocci = Jocci {
        site: &own.site,
        media: "text/occi",
    };
    jocci.connect();
    let compute = own.site.running(&["X-OCCI-Attribute: occi.core.title=\"before\""]);
    let (at, attributes, _) = jocci.describe(&compute.url);
    // Everything that it read, with a semicolon behind each link and each action link among them.
    let answer = jocci.ask("GET", &compute.url).send().is(200);
    let mut lines = vec![kind("compute")];
    lines.extend(jocci.lines(&answer).iter().skip(1).filter_map(|line| {
        let mixin = category(line)?;
        let (scheme, term) = mixin.id.split_at(mixin.id.find('#')? + 1);
        Some(format!("Category: {term};scheme=\"{scheme}\";class=\"mixin\""))
    }));
    for (name, value) in &attributes {
        let bare = value.parse::<f64>().is_ok();
        let value = if name == "occi.core.title" { "after" } else { value };
        let value = if bare { value.to_owned() } else { format!("\"{value}\"") };
        lines.push(format!("X-OCCI-Attribute: {name}={value}"));
    }
    let links = jocci.lines(&answer).into_iter().filter(|line| line.starts_with('<'));
    lines.extend(links.map(|link| format!("Link: {};", link.replace("; ", ";"))));
    let answer = jocci
        .write("PUT", &format!("{at}{}", compute.id()), &lines)
        .among(&[200, 201]);
    assert_eq!(jocci.locations(&answer), [compute.url.as_str()]);
    assert_eq!(compute.get("occi.core.title").as_deref(), Some("after"));
}
