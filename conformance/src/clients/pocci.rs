//! pOCCI, the compliance tool of the EGI, as its tests run by default: in text/plain and in text/occi.
//!
//! It splits at every `;`, wants quotes exactly where the grammar has them, knows no further parameter, and compares
//! whole status lines. Requests of text/plain have CRLF; filters travel in headers; it speaks as curl does.

use crate::answer::Answer;
use crate::site::{INFRA, Site};
use crate::suite::cases;
use crate::thing::Thing;
use std::collections::BTreeMap;

cases!(Pocci:
    http_1_http_51_core_5_pocci_discovery,
    http_35_http_52_http_20_pocci_read,
    http_14_http_30_pocci_create_and_delete,
    http_24_http_26_core_37_pocci_update,
    http_31_http_67_pocci_action,
    http_14_infra_37_pocci_infrastructure,
    http_19_infra_15_infra_18_pocci_links,
);

const MEDIA: [&str; 2] = ["text/plain", "text/occi"];

/// One run in one media type.
struct Pocci<'a> {
    site: &'a Site,
    media: &'static str,
}

/// A category, a link or an attribute as pOCCI keeps it: what comes first, and pairs.
#[derive(Clone, Debug)]
struct Item {
    head: String,
    pairs: Vec<(String, String)>,
}

impl Item {
    fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn id(&self) -> String {
        format!("{}{}", self.get("scheme").unwrap_or_default(), self.head)
    }
}

impl<'a> Pocci<'a> {
    fn ask(&self, method: &str, to: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut ask = self
            .site
            .ask(method, to)
            .agent("PycURL/7.45 libcurl/8.14")
            .accept(self.media);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        if matches!(method, "POST" | "PUT") {
            return ask.body(self.media, body).send();
        }
        ask.send()
    }

    fn get(&self, to: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = self.ask("GET", to, headers, "");
        status_line(&answer, "200 OK");
        self.own_type(&answer);
        answer
    }

    fn own_type(&self, answer: &Answer) {
        assert_eq!(answer.media(), self.media);
    }

    /// The values of a field: lines of the body, or what stands between commas of a header.
    fn values(&self, answer: &Answer, field: &str) -> Vec<String> {
        if self.media == "text/plain" {
            let prefix = format!("{field}: ").to_ascii_lowercase();
            let lines = answer
                .text()
                .lines()
                .filter(|line| line.to_ascii_lowercase().starts_with(&prefix));
            return lines
                .map(|line| line.get(prefix.len()..).unwrap_or_default().to_owned())
                .collect();
        }
        let chunk = super::regex(r#"^(?P<chunk>(?:"(?:[^"\\]|\\.)*"|[^,"\\]+)*)(?P<separator>\s*,\s*)?"#);
        let mut values = Vec::new();
        for line in answer.all(field) {
            let mut rest = line;
            while !rest.is_empty() {
                let Some(found) = chunk.captures(rest).filter(|found| !found[0].is_empty()) else {
                    panic!("bad quoting in {line:?}");
                };
                values.push(found["chunk"].trim().to_owned());
                rest = rest.get(found[0].len()..).unwrap_or_default();
                assert!(
                    rest.is_empty() || found.name("separator").is_some(),
                    "no separator before {rest:?}"
                );
            }
        }
        values
    }

    fn model(&self) -> Vec<Item> {
        // The model is asked for in text/plain even by those who speak text/occi.
        let plain = Pocci {
            site: self.site,
            media: "text/plain",
        };
        let answer = plain.get("/-/", &[]);
        plain
            .values(&answer, "Category")
            .iter()
            .map(|value| category(value))
            .collect()
    }

    fn locations(&self, answer: &Answer) -> Vec<String> {
        let headers = Pocci {
            site: self.site,
            media: "text/occi",
        };
        let mut found = headers.values(answer, "X-OCCI-Location");
        found.extend(headers.values(answer, "Location"));
        if found.is_empty() && self.media == "text/plain" {
            found = self.values(answer, "X-OCCI-Location");
        }
        for url in &found {
            assert!(
                url.starts_with("http://") || url.starts_with("https://"),
                "{url} is not absolute"
            );
        }
        found
    }

    fn read(&self, url: &str) -> (Vec<Item>, Vec<Item>, Vec<(String, String)>) {
        let answer = self.get(url, &[]);
        let categories = self
            .values(&answer, "Category")
            .iter()
            .map(|value| category(value))
            .collect();
        let links = self.values(&answer, "Link").iter().map(|value| link(value)).collect();
        (
            categories,
            links,
            self.values(&answer, "X-OCCI-Attribute")
                .iter()
                .map(|value| attribute(value))
                .collect(),
        )
    }

    /// A create or replace: CRLF lines of a body, or one header per field.
    fn write(&self, method: &str, to: &str, categories: &[String], links: &[String], attributes: &[String]) -> Answer {
        let fields = [
            ("Category", categories),
            ("Link", links),
            ("X-OCCI-Attribute", attributes),
        ];
        if self.media == "text/plain" {
            let lines = fields
                .iter()
                .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}\r\n")));
            return self.ask(method, to, &[], &lines.collect::<String>());
        }
        let headers: Vec<_> = fields
            .iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| (*name, values.join(",")))
            .collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.ask(method, to, &headers, "")
    }

    /// Creates with what the kind requires, and looks for it in the listing.
    fn create(&self, kind: &str, more: &[String], titled: bool) -> Thing<'a> {
        let model = self.model();
        let found = model.iter().find(|item| item.id() == format!("{INFRA}{kind}"));
        let found = found.unwrap_or_else(|| panic!("no {kind}"));
        let mut attributes: BTreeMap<String, String> = BTreeMap::new();
        if titled {
            attributes.insert(
                "occi.core.title".to_owned(),
                "occi.core.title=\"Test_title_1700000000\"".to_owned(),
            );
        }
        for (name, flags) in definitions(found.get("attributes").unwrap_or_default()) {
            if flags.contains(&"required".to_owned()) && !flags.contains(&"immutable".to_owned()) {
                attributes.insert(name.clone(), example(&name));
            }
        }
        let own = format!("{kind};scheme=\"{INFRA}\";class=\"kind\"");
        let categories = [&[own][..], more].concat();
        let attributes: Vec<_> = attributes.into_values().collect();
        // The URL is put together from the endpoint and the location.
        let at = found
            .get("location")
            .unwrap_or_else(|| panic!("{kind} has no location"));
        let answer = self.write("POST", at, &categories, &[], &attributes);
        assert!(
            matches!(line(&answer).as_str(), "200 OK" | "201 Created"),
            "{}",
            line(&answer)
        );
        self.own_type(&answer);
        let made = self.locations(&answer);
        let first = made.first().unwrap_or_else(|| panic!("no location of the {kind}"));
        let thing = Thing::new(self.site, first.clone());
        let listed = self.locations(&self.get(at, &[]));
        assert!(listed.contains(first), "{first} is not listed");
        thing
    }
}

/// The only attributes that pOCCI can invent values for.
fn example(name: &str) -> String {
    let value = match name {
        "occi.core.id" => "\"1\"",
        "occi.core.title" => "\"Test_title_1700000000\"",
        "occi.storage.size" => "0.1",
        "occi.storage.state" => "\"inactive\"",
        "occi.storagelink.deviceid" => "\"/dev/blk0\"",
        other => panic!("{other} is required, and pOCCI has no value for it"),
    };
    format!("{name}={value}")
}

fn line(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.reason)
}

fn status_line(answer: &Answer, expected: &str) {
    if line(answer) != expected {
        answer.fail(&format!("expected {expected}"));
    }
}

/// Splits at every semicolon; values are quoted, but that of a class need not be.
fn chunks(value: &str) -> (String, Vec<(String, String)>) {
    let separator = super::regex(r";\s*");
    let mut parts = separator.split(value);
    let head = parts.next().unwrap_or_default().to_owned();
    assert!(!head.is_empty(), "{value:?} begins with nothing");
    let pairs = parts.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or_else(|| panic!("{part:?} is no pair"));
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        assert!(name.bytes().all(letters), "{name:?}");
        let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let is_free = !matches!(
            name,
            "scheme" | "title" | "rel" | "location" | "attributes" | "actions" | "self" | "category"
        );
        assert!(quoted.is_some() || is_free, "{part:?} is not quoted");
        let value = quoted.unwrap_or(value);
        // An empty value ends it with an exception; a quote inside too.
        assert!(
            !value.is_empty() && !value.starts_with('"') && !value.ends_with('"'),
            "{part:?}"
        );
        (name.to_owned(), value.to_owned())
    });
    (head, pairs.collect())
}

fn category(value: &str) -> Item {
    let (head, pairs) = chunks(value);
    for (name, _) in &pairs {
        let known = ["scheme", "class", "title", "rel", "location", "attributes", "actions"];
        assert!(known.contains(&name.as_str()), "{name} is unknown in {value:?}");
    }
    let item = Item { head, pairs };
    assert!(item.get("scheme").is_some() && item.get("class").is_some(), "{value:?}");
    for action in item.get("actions").unwrap_or_default().split_whitespace() {
        assert!(action.contains("://"), "{action}");
    }
    definitions(item.get("attributes").unwrap_or_default());
    item
}

fn definitions(text: &str) -> Vec<(String, Vec<String>)> {
    let one = super::regex(r"([^\{ ]+)(\{[^\}]*\})?\s*");
    let flags = |found: &regex::Captures| -> Vec<String> {
        let flags = found.get(2).map_or("", |flags| flags.as_str().trim_matches(['{', '}']));
        flags.split_whitespace().map(str::to_owned).collect()
    };
    let all: Vec<_> = one
        .captures_iter(text)
        .map(|found| (found[1].to_owned(), flags(&found)))
        .collect();
    for (name, flags) in &all {
        let known = flags.iter().all(|flag| flag == "required" || flag == "immutable");
        assert!(known, "{name}{flags:?}");
    }
    all
}

fn link(value: &str) -> Item {
    let (head, pairs) = chunks(value);
    let uri = head.strip_prefix('<').and_then(|uri| uri.strip_suffix('>'));
    let item = Item {
        head: uri.unwrap_or_else(|| panic!("{value:?} has no brackets")).to_owned(),
        pairs,
    };
    assert!(item.get("rel").is_some(), "{value:?} has no rel");
    item
}

fn attribute(value: &str) -> (String, String) {
    let form = super::regex(r#"^([A-Za-z0-9_.-]+)=("[^"]*"|[0-9.+-]+|true|false)$"#);
    let found = form
        .captures(value)
        .unwrap_or_else(|| panic!("{value:?} is no attribute"));
    (found[1].to_owned(), found[2].to_owned())
}

fn http_1_http_51_core_5_pocci_discovery(site: &Site) {
    let own = site.own_project();
    for media in MEDIA {
        let pocci = Pocci { site: &own.site, media };
        let model = pocci.model();
        for term in ["entity", "resource", "link"] {
            let id = format!("http://schemas.ogf.org/occi/core#{term}");
            assert!(model.iter().any(|item| item.id() == id), "no {term}");
        }
        let first = &model[0];
        let filter = format!(
            "{};scheme=\"{}\";class=\"{}\"",
            first.head,
            first.get("scheme").unwrap_or_default(),
            first.get("class").unwrap_or_default()
        );
        let answer = pocci.get("/-/", &[("Content-Type", "text/occi"), ("Category", &filter)]);
        let found: Vec<_> = pocci
            .values(&answer, "Category")
            .iter()
            .map(|value| category(value).id())
            .collect();
        assert!(found.contains(&first.id()), "{found:?}");
    }
}

fn http_35_http_52_http_20_pocci_read(site: &Site) {
    let own = site.own_project();
    let _compute = own.site.running(&[]);
    for media in MEDIA {
        let pocci = Pocci { site: &own.site, media };
        for url in pocci.locations(&pocci.get("/compute/", &[])) {
            let (categories, _, attributes) = pocci.read(&url);
            assert!(!categories.is_empty() && !attributes.is_empty());
        }
        // Kinds and mixins of the model, each filtered by itself.
        let model = pocci.model();
        let resources = model
            .iter()
            .filter(|item| item.get("rel") == Some("http://schemas.ogf.org/occi/core#resource"));
        for item in resources {
            let scheme = item.get("scheme").unwrap_or_default();
            let filter = format!("{};scheme=\"{scheme}\";class=\"kind\"", item.head);
            let at = item.get("location").unwrap_or_default();
            pocci.locations(&pocci.get(at, &[("Content-Type", "text/occi"), ("Category", &filter)]));
        }
    }
}

fn http_14_http_30_pocci_create_and_delete(site: &Site) {
    let own = site.own_project();
    for media in MEDIA {
        let pocci = Pocci { site: &own.site, media };
        let compute = pocci.create("compute", &[], false);
        status_line(&pocci.ask("GET", &compute.url, &[], ""), "200 OK");
        let answer = pocci.ask("DELETE", &compute.url, &[], "");
        assert_eq!(answer.status / 100, 2);
        pocci.ask("DELETE", &compute.url, &[], "");
        status_line(&pocci.ask("GET", &compute.url, &[], ""), "404 Not Found");
    }
}

fn http_24_http_26_core_37_pocci_update(site: &Site) {
    let own = site.own_project();
    for media in MEDIA {
        let pocci = Pocci { site: &own.site, media };
        let compute = pocci.create("compute", &[], true);
        // Everything comes back, the title changed: categories, links and action links, the id and the state.
        let answer = pocci.get(&compute.url, &[]);
        let (categories, links) = (pocci.values(&answer, "Category"), pocci.values(&answer, "Link"));
        let mut attributes = pocci.values(&answer, "X-OCCI-Attribute");
        for attribute in &mut attributes {
            if attribute.starts_with("occi.core.title=") {
                *attribute = "occi.core.title=\"Test_title_1700000000_1700000001\"".to_owned();
            }
        }
        let answer = pocci.write("PUT", &compute.url, &categories, &links, &attributes);
        pocci.own_type(&answer);
        status_line(&answer, "200 OK");
        assert!(!pocci.values(&answer, "Category").is_empty());
        assert!(!pocci.values(&answer, "X-OCCI-Attribute").is_empty());
        assert_eq!(
            compute.get("occi.core.title").as_deref(),
            Some("Test_title_1700000000_1700000001")
        );
    }
}

fn http_31_http_67_pocci_action(site: &Site) {
    let own = site.own_project();
    for media in MEDIA {
        let pocci = Pocci { site: &own.site, media };
        let compute = pocci.create("compute", &[], false);
        // What it reads decides; what happens meanwhile must not matter.
        let (_, _, attributes) = pocci.read(&compute.url);
        let active = attributes
            .iter()
            .any(|(name, value)| name == "occi.compute.state" && value == "\"active\"");
        let term = if active { "suspend" } else { "start" };
        let id = format!("http://schemas.ogf.org/occi/infrastructure/compute/action#{term}");
        let model = pocci.model();
        let action = model
            .iter()
            .find(|item| item.id() == id)
            .unwrap_or_else(|| panic!("no {term}"));
        // It sends the whole definition, title and attributes included, and a location of its own making.
        let mut whole = format!(
            "{term};scheme=\"{}\";class=\"action\"",
            action.get("scheme").unwrap_or_default()
        );
        let location = format!("/{term}/");
        for (name, value) in [
            ("title", action.get("title")),
            ("location", Some(location.as_str())),
            ("attributes", action.get("attributes")),
        ] {
            if let Some(value) = value {
                whole.push_str(&format!(";{name}=\"{value}\""));
            }
        }
        let answer = pocci.write("POST", &format!("{}?action={term}", compute.url), &[whole], &[], &[]);
        status_line(&answer, "200 OK");
    }
}

fn http_14_infra_37_pocci_infrastructure(site: &Site) {
    let own = site.own_project();
    for media in MEDIA {
        let pocci = Pocci { site: &own.site, media };
        let compute = pocci.create("compute", &[], false);
        let storage = pocci.create("storage", &[], true);
        let network = pocci.create("network", &[], true);
        let template = |parent: &str| {
            let rel = format!("{INFRA}{parent}");
            let model = pocci.model();
            let found = model
                .iter()
                .find(|item| item.get("class") == Some("mixin") && item.get("rel") == Some(&rel));
            let found = found.unwrap_or_else(|| panic!("nothing depends on {parent}"));
            format!(
                "{};scheme=\"{}\";class=\"mixin\"",
                found.head,
                found.get("scheme").unwrap_or_default()
            )
        };
        let sized = pocci.create("compute", &[template("os_tpl"), template("resource_tpl")], false);
        for thing in [compute, storage, network, sized] {
            thing.remove().is(200);
        }
    }
}

fn http_19_infra_15_infra_18_pocci_links(site: &Site) {
    let own = site.own_project();
    for media in MEDIA {
        let pocci = Pocci { site: &own.site, media };
        let (storage, network) = (own.site.storage(&[]), own.site.network(&[]));
        let compute = pocci.create("compute", &[], false);
        compute.wait("active");
        // It has just been suspended by the test before.
        compute.act("suspend", &[]).is(200);
        compute.wait("suspended");
        let model = pocci.model();
        for (term, id, target) in [
            ("storagelink", "Storagelink", &storage),
            ("networkinterface", "Networkinterface", &network),
        ] {
            let kind = model.iter().find(|item| item.id() == format!("{INFRA}{term}"));
            let kind = kind.unwrap_or_else(|| panic!("no {term}"));
            let mut attributes = vec![
                format!("occi.core.id=\"{id}_1700000000\""),
                format!("occi.core.source=\"{}\"", compute.url),
                format!("occi.core.target=\"{}\"", target.url),
            ];
            for (name, flags) in definitions(kind.get("attributes").unwrap_or_default()) {
                let given = matches!(name.as_str(), "occi.core.id" | "occi.core.source" | "occi.core.target");
                if !given && flags == ["required"] {
                    attributes.push(example(&name));
                }
            }
            let own = format!("{term};scheme=\"{INFRA}\";class=\"kind\"");
            let at = kind.get("location").unwrap_or_default();
            let answer = pocci.write("POST", at, &[own], &[], &attributes);
            status_line(&answer, "201 Created");
            let made = Thing::new(pocci.site, answer.location());
            let (_, links, _) = pocci.read(&compute.url);
            let shown = links
                .iter()
                .any(|link| link.head == target.url || link.head == target.path());
            assert!(shown, "{links:?} do not lead to {}", target.url);
            made.remove().is(200);
        }
    }
}
