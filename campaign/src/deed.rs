//! What clients ask for: requests together with what they should bring about.

use crate::client::{Body, Request};
use crate::journal::{Journal, Ref, Thing};
use http::Method;
use serde_json::{Value, json};

const INFRASTRUCTURE: &str = "http://schemas.ogf.org/occi/infrastructure";

/// The kinds that the campaign makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Compute,
    Network,
    Storage,
    NetworkInterface,
    StorageLink,
}

impl Kind {
    /// All, users before what they use.
    pub(crate) const ALL: [Self; 5] = [
        Self::StorageLink,
        Self::NetworkInterface,
        Self::Compute,
        Self::Storage,
        Self::Network,
    ];

    /// Its term.
    pub(crate) fn term(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Network => "network",
            Self::Storage => "storage",
            Self::NetworkInterface => "networkinterface",
            Self::StorageLink => "storagelink",
        }
    }

    /// Its type identifier.
    pub(crate) fn id(self) -> String {
        format!("{INFRASTRUCTURE}#{}", self.term())
    }

    /// Whether it is a link.
    pub(crate) fn is_link(self) -> bool {
        matches!(self, Self::NetworkInterface | Self::StorageLink)
    }

    /// The state in which it is when it is made and nothing went wrong; links follow their ends.
    fn up(self) -> Option<&'static str> {
        match self {
            Self::Compute | Self::Network => Some("active"),
            Self::Storage => Some("online"),
            Self::NetworkInterface | Self::StorageLink => None,
        }
    }
}

/// What a write should do to one thing.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// It exists from now on.
    Made,
    /// It is gone.
    Gone,
    /// It is in this state.
    State(&'static str),
    /// An attribute has this value.
    Value(&'static str, Value),
    /// It has this tag, or has it not.
    Tag(String, bool),
}

/// A write.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    /// For people.
    pub(crate) name: &'static str,
    /// What is sent.
    pub(crate) request: Request,
    /// What it should do.
    pub(crate) effects: Vec<(Ref, Effect)>,
    /// Whose paths the answer says, in this order.
    pub(crate) made: Vec<Ref>,
}

/// An action and where it leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Action {
    pub(crate) kind: Kind,
    pub(crate) term: &'static str,
    pub(crate) method: Option<&'static str>,
    /// From one of these states.
    pub(crate) from: &'static [&'static str],
    /// To this one; none if it stays.
    pub(crate) to: Option<&'static str>,
}

const fn action(
    kind: Kind,
    term: &'static str,
    method: Option<&'static str>,
    from: &'static [&'static str],
    to: Option<&'static str>,
) -> Action {
    Action {
        kind,
        term,
        method,
        from,
        to,
    }
}

/// All actions but `resize`, which has a parameter.
pub(crate) const ACTIONS: [Action; 11] = [
    action(Kind::Compute, "stop", Some("poweroff"), &["active"], Some("inactive")),
    action(Kind::Compute, "start", None, &["inactive", "suspended"], Some("active")),
    action(
        Kind::Compute,
        "suspend",
        Some("suspend"),
        &["active"],
        Some("suspended"),
    ),
    action(Kind::Compute, "restart", Some("cold"), &["active"], None),
    action(Kind::Compute, "save", Some("hot"), &["inactive", "active"], None),
    action(Kind::Network, "down", None, &["active"], Some("inactive")),
    action(Kind::Network, "up", None, &["inactive"], Some("active")),
    action(Kind::Storage, "offline", None, &["online"], Some("offline")),
    action(Kind::Storage, "online", None, &["offline"], Some("online")),
    action(Kind::Storage, "snapshot", None, &["online"], None),
    action(Kind::Storage, "backup", None, &["online"], None),
];

/// One of [`ACTIONS`].
pub(crate) fn action_named(kind: Kind, term: &str) -> Option<Action> {
    ACTIONS
        .into_iter()
        .find(|action| action.kind == kind && action.term == term)
}

/// The store's own attribute that groups computes for actions on several.
pub(crate) const SUMMARY: &str = "occi.core.summary";
pub(crate) const CORES: &str = "occi.compute.cores";
/// The scheme of the users' mixins that clients tag things with.
const TAGS: &str = "http://campaign.example/tags#";
/// Little, so that many machines fit.
const MEMORY: &str = "occi.compute.memory";
pub(crate) const SIZE: &str = "occi.storage.size";

impl Journal {
    fn thing(&mut self, kind: Kind) -> Thing {
        let title = self.new_title(kind);
        Thing::new(kind, title, kind.up())
    }

    /// A storage of 1 GiB.
    pub(crate) fn create_storage(&mut self) -> Deed {
        let mut storage = self.thing(Kind::Storage);
        storage.made_with(SIZE, json!(1.0));
        let document = json!({ "kind": Kind::Storage.id(), "title": storage.title, "attributes": { SIZE: 1.0 } });
        let made = self.add(storage);
        create("create storage", Kind::Storage, document, vec![made], vec![made])
    }

    /// A network.
    pub(crate) fn create_network(&mut self) -> Deed {
        let network = self.thing(Kind::Network);
        let document = json!({ "kind": Kind::Network.id(), "title": network.title });
        let made = self.add(network);
        create("create network", Kind::Network, document, vec![made], vec![made])
    }

    /// The document of a compute and all things that come with it.
    fn compute(&mut self, group: &str, targets: &[Ref]) -> (Value, Vec<Ref>) {
        let mut compute = self.thing(Kind::Compute);
        compute.made_with(SUMMARY, json!(group));
        compute.made_with(CORES, json!(1));
        compute.own_interface = !targets.iter().any(|target| self.kind(*target) == Kind::Network);
        let title = compute.title.clone();
        let source = self.add(compute);
        let mut made = vec![source];
        let mut links = Vec::new();
        for target in targets {
            let (link, document) = self.link(source, *target);
            links.push(document);
            made.push(link);
        }
        let document = json!({
            "kind": Kind::Compute.id(),
            "title": title,
            "summary": group,
            "attributes": { CORES: 1, MEMORY: 0.25 },
            "links": links,
        });
        (document, made)
    }

    /// A compute with links to these.
    pub(crate) fn create_compute(&mut self, group: &str, targets: &[Ref]) -> Deed {
        let (document, made) = self.compute(group, targets);
        let name = if targets.is_empty() {
            "create compute"
        } else {
            "create compute with links"
        };
        create(name, Kind::Compute, document, vec![made[0]], made)
    }

    /// Two computes by one request: both or none.
    pub(crate) fn create_two(&mut self, group: &str) -> Deed {
        let (one, mut made) = self.compute(group, &[]);
        let (other, more) = self.compute(group, &[]);
        made.extend(more);
        let document = json!({ "resources": [one, other] });
        create("create two computes", Kind::Compute, document, made.clone(), made)
    }

    /// A link, and its document inside that of its source.
    fn link(&mut self, source: Ref, target: Ref) -> (Ref, Value) {
        let kind = link_to(self.kind(target));
        let mut link = self.thing(kind);
        (link.source, link.target) = (Some(source), Some(target));
        let document = json!({
            "kind": kind.id(),
            "title": link.title,
            "target": { "location": self.path(target), "kind": self.kind(target).id() },
        });
        (self.add(link), document)
    }

    /// A link of a compute that exists.
    pub(crate) fn create_link(&mut self, source: Ref, target: Ref) -> Deed {
        let (made, mut document) = self.link(source, target);
        document["source"] = json!({ "location": self.path(source), "kind": self.kind(source).id() });
        let kind = self.kind(made);
        let name = match kind {
            Kind::StorageLink => "create storagelink",
            _ => "create networkinterface",
        };
        create(name, kind, document, vec![made], vec![made])
    }

    /// Another value of an attribute.
    pub(crate) fn update(&self, thing: Ref, name: &'static str, value: Value) -> Deed {
        let kind = self.kind(thing).id();
        let document = match name {
            SUMMARY => json!({ "kind": kind, "summary": value }),
            _ => json!({ "kind": kind, "attributes": { name: value } }),
        };
        let label = match name {
            SUMMARY => "update what the store holds",
            _ => "update what the engine holds",
        };
        Deed {
            name: label,
            request: Request::new(Method::POST, self.path(thing)).json(document),
            effects: vec![(thing, Effect::Value(name, value))],
            made: Vec::new(),
        }
    }

    /// Another value of what the engine holds, and a tag with it: the one waits for the other.
    pub(crate) fn update_both(&self, thing: Ref, value: Value, tag: &str) -> Deed {
        let mut deed = self.update(thing, CORES, value);
        if let Some(Body::Json(document)) = &mut deed.request.body {
            document["mixins"] = json!([format!("{TAGS}{tag}")]);
        }
        deed.name = "update what both hold";
        deed.effects.push((thing, Effect::Tag(tag.to_owned(), true)));
        deed
    }

    /// Another number of cores, and a link with it: either may fail, and then the other stays as it is.
    pub(crate) fn update_with_link(&mut self, source: Ref, target: Ref, value: Value) -> Deed {
        let mut deed = self.update(source, CORES, value);
        let (link, document) = self.link(source, target);
        if let Some(Body::Json(update)) = &mut deed.request.body {
            update["links"] = json!([document]);
        }
        deed.name = "update with a link";
        deed.effects.push((link, Effect::Made));
        deed
    }

    /// Puts something into a tag's collection, or takes it out of it.
    pub(crate) fn tag(&self, thing: Ref, tag: &str, has: bool) -> Deed {
        let (name, method) = match has {
            true => ("add a tag", Method::POST),
            false => ("remove a tag", Method::DELETE),
        };
        let mut request = Request::new(method, format!("/tags/{tag}/"));
        request.body = Some(Body::Uris(vec![self.path(thing)]));
        Deed {
            name,
            request,
            effects: vec![(thing, Effect::Tag(tag.to_owned(), has))],
            made: Vec::new(),
        }
    }

    /// An action on one.
    pub(crate) fn act(&self, thing: Ref, action: Action) -> Deed {
        Deed {
            name: action.term,
            request: invocation(&self.path(thing), action, json!({})),
            effects: action.to.map(|to| (thing, Effect::State(to))).into_iter().collect(),
            made: Vec::new(),
        }
    }

    /// The action `resize` of a storage, in GiB.
    pub(crate) fn resize(&self, thing: Ref, size_gib: f64) -> Deed {
        let resize = action(Kind::Storage, "resize", None, &[], None);
        Deed {
            name: "resize",
            request: invocation(&self.path(thing), resize, json!({ "size": size_gib })),
            effects: vec![(thing, Effect::Value(SIZE, json!(size_gib)))],
            made: Vec::new(),
        }
    }

    /// An action on all computes of a group, which are these.
    pub(crate) fn act_on_group(&self, group: &str, members: &[Ref], action: Action) -> Deed {
        let mut request = invocation("/compute/", action, json!({}));
        request.path = format!("{}&filter={SUMMARY}={group}", request.path);
        let effects = members
            .iter()
            .filter_map(|member| Some((*member, Effect::State(action.to?))));
        Deed {
            name: "an action on several",
            request,
            effects: effects.collect(),
            made: Vec::new(),
        }
    }

    /// Deletes one, its links with it.
    pub(crate) fn delete(&self, thing: Ref) -> Deed {
        Deed {
            name: match self.kind(thing) {
                Kind::Compute => "delete compute",
                Kind::Network => "delete network",
                Kind::Storage => "delete storage",
                Kind::NetworkInterface => "delete networkinterface",
                Kind::StorageLink => "delete storagelink",
            },
            request: Request::new(Method::DELETE, self.path(thing)),
            effects: self.gone_with(thing),
            made: Vec::new(),
        }
    }

    /// Deletes these computes by one request.
    pub(crate) fn delete_several(&self, things: &[Ref]) -> Deed {
        let mut request = Request::new(Method::DELETE, "/compute/");
        request.body = Some(Body::Uris(things.iter().map(|thing| self.path(*thing)).collect()));
        Deed {
            name: "delete several",
            request,
            effects: things.iter().flat_map(|thing| self.gone_with(*thing)).collect(),
            made: Vec::new(),
        }
    }

    fn gone_with(&self, thing: Ref) -> Vec<(Ref, Effect)> {
        let links = self.links_of(thing);
        links
            .into_iter()
            .chain([thing])
            .map(|thing| (thing, Effect::Gone))
            .collect()
    }
}

/// Makes a user's mixin that things can be tagged with.
pub(crate) fn make_tag(tag: &str) -> Request {
    let mixin = json!({ "scheme": TAGS, "term": tag, "location": format!("/tags/{tag}/") });
    Request::new(Method::POST, "/-/").json(json!({ "mixins": [mixin] }))
}

/// The tag in a mixin's identifier.
pub(crate) fn tag_in(mixin: &str) -> Option<&str> {
    mixin.strip_prefix(TAGS)
}

fn create(name: &'static str, kind: Kind, document: Value, told: Vec<Ref>, made: Vec<Ref>) -> Deed {
    Deed {
        name,
        request: Request::new(Method::POST, format!("/{}/", kind.term())).json(document),
        effects: made.into_iter().map(|thing| (thing, Effect::Made)).collect(),
        made: told,
    }
}

fn link_to(kind: Kind) -> Kind {
    match kind {
        Kind::Storage => Kind::StorageLink,
        _ => Kind::NetworkInterface,
    }
}

fn invocation(path: &str, action: Action, mut parameters: Value) -> Request {
    if let Some(method) = action.method {
        parameters["method"] = method.into();
    }
    let id = format!("{INFRASTRUCTURE}/{}/action#{}", action.kind.term(), action.term);
    Request::new(Method::POST, format!("{path}?action={}", action.term))
        .json(json!({ "action": id, "attributes": parameters }))
}
