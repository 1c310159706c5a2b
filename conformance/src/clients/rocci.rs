//! rOCCI-cli 4.3 on rOCCI-api and rOCCI-core 4, in its three media types.
//!
//! It reads every line with one regular expression whose parts stand in a fixed order, takes only the first of repeated
//! headers and splits it at every `,`, follows locations that begin with its endpoint, and writes `;` without a space,
//! an id of its own making, and no newline at the end. Attributes are a tree for it: of `x.state` and `x.state.message` it
//! keeps the one that comes later.
//!
//! rOCCI-core 5, of which no command line came, speaks the JSON of OCCI 1.2 and sends every default of the model back.

use crate::answer::Answer;
use crate::site::{INFRA, Site, unique};
use crate::suite::cases;
use crate::thing::Thing;
use serde_json::json;

cases!(Rocci:
    http_11_http_13_text_2_rocci_reads_the_model,
    http_17_http_18_http_20_infra_28_rocci_plain_from_create_to_delete,
    text_12_http_79_rocci_headers_from_create_to_delete,
    json_13_json_14_json_15_rocci_json_creates_links_and_acts,
    infra_22_http_22_rocci_resizes_by_a_mixin,
    json_2_core_17_rocci_5_sends_the_defaults_of_the_model,
    text_31_rocci_escapes_as_ruby_does,
);

const AGENT: &str = "rOCCI-core/4.3.6 rOCCI-api/4.3.14 OCCI/1.1 ruby-x86_64-linux/2.3.3p222";
/// What the command line sends as Accept and as Content-Type unless it is told otherwise.
const PLAIN: &str = "text/plain,text/occi";
const OCCI: &str = "text/occi";

/// What it does to a server: one media type for everything.
struct Rocci<'a> {
    site: &'a Site,
    media: &'static str,
}

/// A part of a line: an identifier, a quoted string, an attribute's definition or value.
const ID: &str = r"[^\s#\x22]+#[A-Za-z0-9][A-Za-z0-9_-]*";
const STRING: &str = r#""(?:[^"\\]|\\.)*""#;
const ATTRIBUTE: &str = r"[a-z][a-z0-9_-]*(?:\.[a-z][a-z0-9_-]*)*";
const FLAGS: &str = r"(?:\{(?:immutable|required)(?:\s+(?:immutable|required))*\})?";
const NUMBER: &str = r"[0-9]+(?:\.[0-9]+)?";

fn category_line() -> regex::Regex {
    super::regex(&format!(
        "^Category:\\s*(?P<term>[A-Za-z0-9][A-Za-z0-9_-]*);\\s*scheme=\"(?P<scheme>[^\"\\s]+#)\";\\s*\
         class=\"?(?P<class>action|mixin|kind)\"?(;\\s*title={STRING})?(;\\s*rel=\"{ID}(\\s+{ID})*\")?\
         (;\\s*location=\"(?P<location>[^\"\\s]*)\")?\
         (;\\s*attributes=\"(?P<attributes>{ATTRIBUTE}{FLAGS}(\\s+{ATTRIBUTE}{FLAGS})*)\")?(;\\s*actions=\"{ID}(\\s+{ID})*\")?;?$"
    ))
}

fn link_line() -> regex::Regex {
    let value = format!("{ATTRIBUTE}=({STRING}|{NUMBER}|true|false)");
    super::regex(&format!(
        "^Link:\\s*<(?P<uri>[^>\\s]*)>;\\s*rel=\"{ID}(\\s+{ID})*\"(;\\s*self=\"(?P<self>[^\"\\s]*)\")?\
         (;\\s*category=\"{ID}(\\s+{ID})*\")?(;?\\s*{value})*;?$"
    ))
}

fn attribute_line() -> regex::Regex {
    super::regex(&format!(
        "^X-OCCI-Attribute:\\s*(?P<name>{ATTRIBUTE})=(\"(?P<string>(?:[^\"\\\\]|\\\\.)*)\"|(?P<number>{NUMBER})|(?P<bool>true|false));?$"
    ))
}

/// What it makes of an answer.
#[derive(Debug, Default)]
struct Seen {
    /// Identifier, class and location.
    categories: Vec<(String, String, String)>,
    /// The names of the attributes that any category defines.
    defined: Vec<String>,
    attributes: Vec<(String, String)>,
    /// Target and self.
    links: Vec<(String, String)>,
    actions: Vec<String>,
}

/// Takes out of a tree what has no place in it beside `name`: what is above it, and what is below.
fn make_room<T>(tree: &mut Vec<T>, name: &str, known: impl Fn(&T) -> &String) {
    let is_below = |name: &str, other: &str| name.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'));
    tree.retain(|one| !is_below(name, known(one)) && !is_below(known(one), name));
}

impl Seen {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

impl<'a> Rocci<'a> {
    fn ask(&self, method: &str, to: &str) -> crate::site::Ask<'a> {
        self.site.ask(method, to).agent(AGENT).accept(self.media)
    }

    /// Lines of the body, or the first of each header split at every comma.
    fn lines(&self, answer: &Answer) -> Vec<String> {
        if self.media == PLAIN {
            assert_eq!(answer.media(), "text/plain");
            return answer.text().split('\n').map(|line| line.trim().to_owned()).collect();
        }
        let fields = ["Category", "Link", "X-OCCI-Location", "X-OCCI-Attribute"];
        let pieces = |name: &&str| -> Vec<String> {
            let first = answer.header(name).unwrap_or_default();
            first
                .split(',')
                .filter(|piece| !piece.is_empty())
                .map(|piece| format!("{name}: {piece}").trim().to_owned())
                .collect()
        };
        fields.iter().flat_map(pieces).collect()
    }

    fn see(&self, answer: &Answer) -> Seen {
        let (category, link, attribute) = (category_line(), link_line(), attribute_line());
        let mut seen = Seen::default();
        for line in self.lines(answer) {
            let part = |found: &regex::Captures, name| found.name(name).map_or("", |part| part.as_str()).to_owned();
            if line.starts_with("Category:") {
                let found = category
                    .captures(&line)
                    .unwrap_or_else(|| panic!("it cannot read {line:?}"));
                let id = format!("{}{}", &found["scheme"], &found["term"]);
                seen.categories
                    .push((id, part(&found, "class"), part(&found, "location")));
                let mut defined = Vec::new();
                for definition in part(&found, "attributes").split_whitespace() {
                    let name = definition.split('{').next().unwrap_or_default().to_owned();
                    make_room(&mut defined, &name, |known| known);
                    defined.push(name);
                }
                seen.defined.append(&mut defined);
            } else if line.starts_with("X-OCCI-Attribute:") {
                let found = attribute
                    .captures(&line)
                    .unwrap_or_else(|| panic!("it cannot read {line:?}"));
                let value = [part(&found, "string"), part(&found, "number"), part(&found, "bool")].concat();
                let name = part(&found, "name");
                make_room(&mut seen.attributes, &name, |(known, _)| known);
                seen.attributes.push((name, value));
            } else if line.starts_with("Link:") {
                let found = link
                    .captures(&line)
                    .unwrap_or_else(|| panic!("it cannot read {line:?}"));
                match found["uri"].split_once("?action=") {
                    Some((_, term)) => seen.actions.push(term.to_owned()),
                    None => seen.links.push((part(&found, "uri"), part(&found, "self"))),
                }
            }
        }
        seen
    }

    fn model(&self) -> Seen {
        self.see(&self.ask("GET", "/-/").send().is(200))
    }

    /// The path of a kind, which must be one.
    fn location(&self, kind: &str) -> String {
        let model = self.model();
        let found = model
            .categories
            .into_iter()
            .find(|(id, ..)| *id == format!("{INFRA}{kind}"));
        let (_, _, location) = found.unwrap_or_else(|| panic!("no {kind}"));
        assert!(location.starts_with('/') && location.ends_with('/'), "{location:?}");
        location
    }

    fn describe(&self, url: &str) -> Seen {
        // Locations are followed only if they begin with the endpoint.
        assert!(url.starts_with('/') || url.starts_with(&self.site.origin), "{url}");
        self.see(&self.ask("GET", url).send().is(200))
    }

    /// Posts lines as it renders them; gives what it would print.
    fn post(&self, to: &str, lines: &[String]) -> Answer {
        if self.media == PLAIN {
            return self.ask("POST", to).body(PLAIN, lines.join("\n")).send();
        }
        let mut ask = self.ask("POST", to).header("Content-Type", self.media);
        for name in ["Category", "X-OCCI-Attribute", "Link"] {
            let values = lines.iter().filter_map(|line| line.strip_prefix(&format!("{name}: ")));
            let joined = values.collect::<Vec<_>>().join(",");
            if !joined.is_empty() {
                ask = ask.header(name, &joined);
            }
        }
        ask.send()
    }

    fn create(&self, kind: &str, lines: &[String]) -> Thing<'a> {
        let answer = self.post(&self.location(kind), lines).among(&[200, 201, 202, 204]);
        // It looks at Location first, then at the body.
        let url = answer.location();
        if self.media == PLAIN {
            let found = super::regex(r"^X-OCCI-Location:\s*(\S+?);?$");
            let named = self
                .lines(&answer)
                .iter()
                .filter_map(|line| Some(found.captures(line)?[1].to_owned()))
                .next();
            assert_eq!(named.as_deref(), Some(url.as_str()));
        }
        Thing::new(self.site, url)
    }

    /// What `--wait-for-active` does, and the probe of EGI's monitoring.
    fn wait(&self, thing: &Thing, attribute: &str, state: &str) {
        let begin = std::time::Instant::now();
        while self.describe(&thing.url).get(attribute) != Some(state) {
            assert!(begin.elapsed() < thing.patience(), "it waits in vain for {state}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn list(&self, kind: &str) -> Vec<String> {
        let at = self.location(kind);
        let answer = self
            .site
            .get(&at)
            .agent(AGENT)
            .accept("text/uri-list")
            .send()
            .among(&[200, 204]);
        answer
            .text()
            .split('\n')
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn trigger(&self, url: &str, of: &str, term: &str, parameters: &[&str]) {
        let scheme = format!("http://schemas.ogf.org/occi/infrastructure/{of}/action#");
        let mut lines = vec![format!("Category: {term};scheme=\"{scheme}\";class=\"action\"")];
        lines.extend(
            parameters
                .iter()
                .map(|parameter| format!("X-OCCI-Attribute: {parameter}")),
        );
        self.post(&format!("{}?action={term}", self.site.target(url)), &lines)
            .among(&[200, 201, 202, 204]);
    }

    fn template(&self, parent: &str) -> String {
        let found = self.site.templates(&format!("{INFRA}{parent}")).into_iter().next();
        let found = found.unwrap_or_else(|| panic!("nothing depends on {parent}"));
        format!(
            "Category: {};scheme=\"{}\";class=\"mixin\"",
            found.term,
            found.get("scheme").unwrap_or_default()
        )
    }
}

fn kind(term: &str) -> String {
    format!("Category: {term};scheme=\"{INFRA}\";class=\"kind\"")
}

fn own_id() -> String {
    format!("X-OCCI-Attribute: occi.core.id=\"{}\"", uuid::Uuid::new_v4())
}

/// An inline link of what will not get the id that the client made up for it.
fn own_link(target: &Thing, to: &str, category: &str) -> String {
    let (id, source) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    format!(
        "Link: <{target}>;rel=\"{INFRA}{to}\";self=\"/{category}/{id}\";category=\"{INFRA}{category}\";\
         occi.core.id=\"{id}\";occi.core.target=\"{target}\";occi.core.source=\"/compute/{source}\"",
        target = target.path()
    )
}

fn http_11_http_13_text_2_rocci_reads_the_model(site: &Site) {
    let own = site.own_project();
    for media in [PLAIN, OCCI] {
        let rocci = Rocci { site: &own.site, media };
        let model = rocci.model();
        for term in ["compute", "network", "storage", "networkinterface", "storagelink"] {
            assert!(
                model
                    .categories
                    .iter()
                    .any(|(id, class, _)| *id == format!("{INFRA}{term}") && class == "kind")
            );
        }
        // A kind's location without a slash at its end raises, also that of entity.
        for (id, class, location) in &model.categories {
            assert!(class != "kind" || location.ends_with('/'), "{id}: {location:?}");
        }
        for name in ["occi.compute.state", "occi.core.target"] {
            assert!(model.defined.iter().any(|known| known == name), "{name} is lost");
        }
    }
    // Which media type it takes if it is not told, it reads from the server's Accept: not JSON, which it knows only
    // in the form of a draft.
    let answer = own.site.get("/-/").agent(AGENT).send().is(200);
    assert!(
        !answer
            .header("accept")
            .unwrap_or_default()
            .contains("application/occi+json")
    );
}

fn http_17_http_18_http_20_infra_28_rocci_plain_from_create_to_delete(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    let rocci = Rocci { site, media: PLAIN };
    let title = |title: &str| format!("X-OCCI-Attribute: occi.core.title=\"{title}\"");
    let storage = rocci.create(
        "storage",
        &[
            kind("storage"),
            own_id(),
            title("data"),
            "X-OCCI-Attribute: occi.storage.size=1".to_owned(),
        ],
    );
    rocci.wait(&storage, "occi.storage.state", "online");
    let network = rocci.create("network", &[kind("network"), own_id(), title("inner")]);
    network.wait("active");
    let compute = rocci.create(
        "compute",
        &[
            kind("compute"),
            rocci.template("os_tpl"),
            rocci.template("resource_tpl"),
            "Category: public_key;scheme=\"http://schemas.openstack.org/instance/credentials#\";class=\"mixin\""
                .to_owned(),
            "Category: user_data;scheme=\"http://schemas.openstack.org/compute/instance#\";class=\"mixin\"".to_owned(),
            own_id(),
            title("build node"),
            "X-OCCI-Attribute: occi.compute.hostname=\"build node\"".to_owned(),
            "X-OCCI-Attribute: org.openstack.credentials.publickey.data=\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tL ann\""
                .to_owned(),
            "X-OCCI-Attribute: org.openstack.compute.user_data=\"IyEvYmluL3NoCg==\"".to_owned(),
            own_link(&storage, "storage", "storagelink"),
            own_link(&network, "network", "networkinterface"),
        ],
    );
    assert!(rocci.list("compute").contains(&compute.url));
    rocci.wait(&compute, "occi.compute.state", "active");
    let seen = rocci.describe(&compute.url);
    assert_eq!(seen.get("occi.core.id"), Some(compute.id()));
    assert_eq!(seen.get("occi.core.title"), Some("build node"));
    for target in [&storage, &network] {
        let link = seen.links.iter().find(|(uri, _)| *uri == target.path());
        let (_, own) = link.unwrap_or_else(|| panic!("no link to {}", target.url));
        let link = rocci.describe(own);
        assert_eq!(link.get("occi.core.source"), Some(compute.path().as_str()));
        rocci.ask("DELETE", own).send().among(&[200, 201, 202, 204]);
    }
    // A link made for itself.
    let link = rocci.create(
        "storagelink",
        &[
            kind("storagelink"),
            format!("X-OCCI-Attribute: occi.core.source=\"{}\"", compute.path()),
            format!("X-OCCI-Attribute: occi.core.target=\"{}\"", storage.path()),
            own_id(),
        ],
    );
    assert!(
        rocci
            .describe(&compute.url)
            .links
            .iter()
            .any(|(_, own)| *own == link.path())
    );
    link.remove().is(200);
    rocci.trigger(&compute.url, "compute", "stop", &["method=\"poweroff\""]);
    compute.wait("inactive");
    assert_eq!(
        rocci.describe(&compute.url).actions.first().map(String::as_str),
        Some("start")
    );
    rocci.trigger(&compute.url, "compute", "start", &[]);
    compute.wait("active");
    // An action on all of a kind.
    rocci.trigger("/compute/", "compute", "stop", &[]);
    compute.wait("inactive");
    for thing in [&compute, &storage, &network] {
        rocci.ask("DELETE", &thing.path()).send().among(&[200, 201, 202, 204]);
    }
    assert!(!rocci.list("compute").contains(&compute.url));
}

fn text_12_http_79_rocci_headers_from_create_to_delete(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    let rocci = Rocci { site, media: OCCI };
    let network = rocci.create(
        "network",
        &[
            kind("network"),
            own_id(),
            "X-OCCI-Attribute: occi.core.title=\"inner\"".to_owned(),
        ],
    );
    let compute = rocci.create(
        "compute",
        &[
            kind("compute"),
            rocci.template("os_tpl"),
            rocci.template("resource_tpl"),
            own_id(),
            "X-OCCI-Attribute: occi.core.title=\"headers\"".to_owned(),
            "X-OCCI-Attribute: occi.compute.hostname=\"headers\"".to_owned(),
            own_link(&network, "network", "networkinterface"),
        ],
    );
    rocci.wait(&compute, "occi.compute.state", "active");
    let seen = rocci.describe(&compute.url);
    // Split at commas without more ado: kind, both templates, every attribute, every link.
    assert!(seen.categories.len() >= 3, "{seen:?}");
    assert_eq!(seen.get("occi.core.title"), Some("headers"));
    assert!(seen.links.iter().any(|(uri, _)| *uri == network.path()), "{seen:?}");
    assert!(seen.actions.contains(&"stop".to_owned()), "{seen:?}");
    // After an update it wants to know where the thing is.
    let answer = rocci
        .post(
            &compute.path(),
            &["X-OCCI-Attribute: occi.core.summary=\"updated\"".to_owned()],
        )
        .is(200);
    assert_eq!(answer.location(), compute.url);
    rocci.trigger(&compute.url, "compute", "stop", &["method=\"poweroff\""]);
    compute.wait("inactive");
}

fn json_13_json_14_json_15_rocci_json_creates_links_and_acts(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    let post = |to: &str, value: serde_json::Value| {
        let ask = site.post(to).agent(AGENT).accept("application/occi+json");
        ask.json(&value).send().among(&[200, 201, 202, 204])
    };
    let id = uuid::Uuid::new_v4().to_string();
    let storage = post(
        "/storage/",
        json!({ "resources": [{
            "kind": format!("{INFRA}storage"),
            "attributes": { "occi": { "core": { "id": id, "title": "data" }, "storage": { "size": 1.0 } } },
            "id": id,
        }] }),
    );
    let storage = Thing::new(site, storage.location());
    storage.wait("online");
    let link = |number: usize| {
        json!({
            "kind": format!("{INFRA}storagelink"),
            "attributes": { "occi": { "core": { "id": format!("link-{number}"), "target": storage.path() } } },
            "id": format!("link-{number}"),
            "rel": format!("{INFRA}storage"),
            "target": storage.path(),
        })
    };
    let compute = |links: serde_json::Value| {
        json!({
            "kind": format!("{INFRA}compute"),
            "mixins": [],
            "attributes": { "occi": { "core": { "title": "nested" }, "compute": { "hostname": "nested", "cores": 2 } } },
            "links": links,
        })
    };
    // Links as objects, and as locations with the links beside.
    let inside = post("/compute/", json!({ "resources": [compute(json!([link(1)]))] }));
    let inside = Thing::new(site, inside.location());
    assert_eq!(inside.json()["attributes"]["occi.compute.cores"], 2);
    assert_eq!(inside.json()["links"][0]["target"]["location"], storage.path());
    inside.wait("active");
    let stop = json!({
        "action": "http://schemas.ogf.org/occi/infrastructure/compute/action#stop",
        "attributes": { "method": "poweroff" },
    });
    post(&format!("{}?action=stop", inside.path()), stop);
    inside.wait("inactive");
    let start =
        json!({ "action": "http://schemas.ogf.org/occi/infrastructure/compute/action#start", "attributes": {} });
    post(&format!("{}?action=start", inside.path()), start);
    inside.wait("active");
    drop(inside);
    let beside = json!({ "resources": [compute(json!(["/link/storagelink/link-2"]))], "links": [link(2)] });
    let beside = Thing::new(site, post("/compute/", beside).location());
    assert_eq!(beside.json()["links"][0]["target"]["location"], storage.path());
}

fn infra_22_http_22_rocci_resizes_by_a_mixin(site: &Site) {
    let own = site.own_project();
    let rocci = Rocci {
        site: &own.site,
        media: PLAIN,
    };
    let profile = "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#";
    let compute = rocci.create(
        "compute",
        &[
            kind("compute"),
            format!("Category: small;scheme=\"{profile}\";class=\"mixin\""),
            own_id(),
        ],
    );
    compute.wait("active");
    rocci.trigger(&compute.url, "compute", "stop", &["method=\"poweroff\""]);
    compute.wait("inactive");
    // The mixin as the model has it, in full.
    let medium = own.site.category(&format!("{profile}medium"));
    let mut line = format!("Category: medium;scheme=\"{profile}\";class=\"mixin\"");
    for name in ["title", "rel", "location", "attributes"] {
        if let Some(value) = medium.get(name) {
            line.push_str(&format!(";{name}=\"{value}\""));
        }
    }
    let answer = rocci.post(&compute.path(), &[line]).among(&[200, 201, 202, 204]);
    assert!(!rocci.see(&answer).categories.is_empty());
    compute.wait_for("two cores", |reading| reading.get("occi.compute.cores") == Some("2"));
}

fn json_2_core_17_rocci_5_sends_the_defaults_of_the_model(site: &Site) {
    let own = site.own_project();
    let ask = |method: &str, to: &str| own.site.ask(method, to).agent("Faraday v0.17.3");
    let json = |to: &str| ask("GET", to).accept("application/occi+json").send().is(200).json();
    let model = json("/-/");
    let in_model = |of: &str, fits: &dyn Fn(&serde_json::Value) -> bool| {
        let found = model[of]
            .as_array()
            .into_iter()
            .flatten()
            .find(|category| fits(category));
        found.unwrap_or_else(|| panic!("not among the {of}")).clone()
    };
    let depends_on = |parent: &str| {
        let id = json!(format!("{INFRA}{parent}"));
        in_model("mixins", &|mixin| {
            mixin["depends"].as_array().is_some_and(|depends| depends.contains(&id))
        })
    };
    let kind = in_model("kinds", &|kind| kind["term"] == "compute" && kind["scheme"] == INFRA);
    // Its schema wants the location of every kind, and no pattern but a string.
    for kind in model["kinds"].as_array().into_iter().flatten() {
        assert!(kind["location"].is_string(), "{kind}");
    }
    assert!(!model.to_string().contains("\"pattern\":{"));
    let templates = [depends_on("os_tpl"), depends_on("resource_tpl")];
    let mut attributes = serde_json::Map::new();
    for category in [&kind].into_iter().chain(&templates) {
        for (name, definition) in category["attributes"].as_object().into_iter().flatten() {
            if let Some(default) = definition.get("default") {
                attributes.insert(name.clone(), default.clone());
            }
        }
    }
    attributes.insert("occi.core.title".to_owned(), json!("five"));
    let id = |category: &serde_json::Value| {
        let part = |name: &str| category[name].as_str().unwrap_or_default().to_owned();
        part("scheme") + &part("term")
    };
    let body = json!({
        "kind": id(&kind),
        "mixins": templates.iter().map(id).collect::<Vec<_>>(),
        "attributes": attributes,
        "title": "five",
    });
    let answer = ask("POST", "/compute/")
        .accept("application/occi+json")
        .json(&body)
        .send()
        .is(201);
    let compute = Thing::new(&own.site, answer.location());
    let listed = ask("GET", "/compute/").accept("text/uri-list").send().is(200);
    assert!(listed.text().lines().any(|line| line == compute.url));
    let found = json("/compute/");
    assert_eq!(found["resources"][0]["title"], "five");
}

fn text_31_rocci_escapes_as_ruby_does(site: &Site) {
    let own = site.own_project();
    let rocci = Rocci {
        site: &own.site,
        media: PLAIN,
    };
    let title = unique("ruby");
    let line = format!(r#"X-OCCI-Attribute: occi.core.summary="{title}\tsays \"hello\", #{{you}}""#);
    let network = rocci.create("network", &[kind("network"), own_id(), line]);
    assert_eq!(network.json()["summary"], format!("{title}\tsays \"hello\", #{{you}}"));
    rocci.describe(&network.url);
}
