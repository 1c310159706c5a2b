//! The engine itself: its objects, what follows from them, and how they change. No waiting and no failing here: that is
//! the way to the engine ([`crate::client`]).

use crate::config::Config;
use crate::console::Screens;
use crate::file::{Change, Log};
use crate::object::{Key, Object, State, Then};
use crate::templates::{Saved, is_given};
use ipnet::IpNet;
use occi_backend::names::{COMPUTE, IPNETWORK, IPRESERVATION, NETWORK, attribute, state_attribute};
use occi_backend::{BackendError, ErrorKind, Event, NativeEnds, NativeRef, Picture, Result, Target};
use occi_model::{EntityId, Term, TypeId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::sync::mpsc::UnboundedSender;

/// Everything that exists.
pub(crate) struct Engine {
    /// The time of the call that is being served, in milliseconds since the epoch.
    pub(crate) now: u64,
    pub(crate) templates: Vec<Saved>,
    /// What has come over the consoles of computes.
    pub(crate) screens: Screens,
    /// Who is told what happens.
    pub(crate) events: Option<UnboundedSender<Event>>,
    /// How late a new object shows, for a call whose answer is lost.
    pub(crate) late_ms: u64,
    /// Why nothing can be kept any more.
    broken: Option<String>,
    objects: BTreeMap<Key, Object>,
    by_mark: HashMap<(TypeId, EntityId), BTreeSet<Key>>,
    /// The links at an object, whichever end it is.
    links: HashMap<Key, BTreeSet<Key>>,
    /// When the next thing happens to an object by itself.
    due: BTreeSet<(u64, Key)>,
    /// How things looked before each change of the last `list_delay_ms`, oldest first.
    past: VecDeque<(u64, Key, Option<Picture>)>,
    list_delay_ms: u64,
    memory_gib: Option<f64>,
    next: u64,
    log: Option<Log>,
}

impl Engine {
    /// An engine with what its file holds, if it has one.
    pub(crate) fn open(config: &Config) -> std::io::Result<Self> {
        let mut engine = Self {
            now: 0,
            templates: Vec::new(),
            screens: Screens::default(),
            events: None,
            late_ms: 0,
            broken: None,
            objects: BTreeMap::new(),
            by_mark: HashMap::new(),
            links: HashMap::new(),
            due: BTreeSet::new(),
            past: VecDeque::new(),
            list_delay_ms: 0,
            memory_gib: config.memory_gib,
            next: 0,
            log: None,
        };
        if let Some(path) = &config.path {
            let (log, changes) = Log::open(path)?;
            for change in changes {
                match change {
                    Change::Put(next, key, object) => {
                        engine.next = engine.next.max(next);
                        engine.put(&key, Some(*object));
                    }
                    Change::Gone(key) => engine.put(&key, None),
                    Change::Template(saved) => engine.templates.push(saved),
                    Change::TemplateGone(term) => engine.templates.retain(|saved| saved.term != term),
                }
            }
            engine.log = Some(log);
        }
        engine.list_delay_ms = config.list_delay_ms;
        Ok(engine)
    }

    /// Fails once something could not be kept.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.broken {
            None => Ok(()),
            Some(reason) => Err(
                BackendError::new(ErrorKind::Unavailable, "the engine cannot keep its state")
                    .with_context(reason.clone()),
            ),
        }
    }

    /// Lets happen by itself what is due.
    pub(crate) fn settle(&mut self) {
        while let Some((at, key)) = self.due.first().filter(|(at, _)| *at <= self.now).cloned() {
            let Some(mut object) = self.objects.get(&key).cloned() else {
                self.due.remove(&(at, key));
                continue;
            };
            let then = object.pending.remove(0).1;
            self.happen(&key, object, then);
        }
        while self
            .past
            .front()
            .is_some_and(|(at, ..)| at + self.list_delay_ms < self.now)
        {
            self.past.pop_front();
        }
    }

    /// What was to happen to an object happens.
    fn happen(&mut self, key: &Key, mut object: Object, then: Then) {
        match then {
            Then::Appear => {}
            Then::Reach(state) => {
                object.state = state;
                object.message = None;
            }
            Then::Vanish => return self.put(key, None),
        }
        self.put(key, Some(object));
    }

    /// When something happens by itself next.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A key for a new object: its mark where the engine takes our ids, else one of its own.
    pub(crate) fn new_key(&mut self, project: &str, kind: &TypeId, mark: Option<&EntityId>) -> Key {
        self.next += 1;
        Key {
            project: project.to_owned(),
            kind: kind.clone(),
            id: mark.map_or_else(|| format!("{}-{}", kind.term(), self.next), ToString::to_string),
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key).filter(|object| !object.is_hidden())
    }

    /// The objects that `target` names: that with its native id, else all with its mark.
    pub(crate) fn named(&self, project: &str, target: &Target) -> Vec<Key> {
        if let Some(id) = &target.native_id {
            let key = Key {
                project: project.to_owned(),
                kind: target.kind.clone(),
                id: id.clone(),
            };
            return self.get(&key).map(|_| key).into_iter().collect();
        }
        self.marked(project, &target.kind, &target.mark)
    }

    /// The objects that carry `mark`.
    pub(crate) fn marked(&self, project: &str, kind: &TypeId, mark: &EntityId) -> Vec<Key> {
        self.by_mark
            .get(&(kind.clone(), mark.clone()))
            .into_iter()
            .flatten()
            .filter(|key| key.project == project && self.get(key).is_some())
            .cloned()
            .collect()
    }

    /// The links at an object, whichever end it is; of a link none.
    pub(crate) fn links_at(&self, key: &Key) -> Vec<Key> {
        self.links.get(key).into_iter().flatten().cloned().collect()
    }

    /// The links that an object owns.
    pub(crate) fn links_from(&self, key: &Key) -> Vec<Key> {
        self.links_where(key, |(source, _)| source == key)
    }

    /// The links that lead to an object.
    pub(crate) fn links_to(&self, key: &Key) -> Vec<Key> {
        self.links_where(key, |(_, target)| target == key)
    }

    fn links_where(&self, key: &Key, wanted: impl Fn(&(Key, Key)) -> bool) -> Vec<Key> {
        let mut links = self.links_at(key);
        links.retain(|link| {
            self.objects
                .get(link)
                .and_then(|object| object.ends.as_ref())
                .is_some_and(&wanted)
        });
        links
    }

    /// All objects of a kind.
    pub(crate) fn keys(&self, project: &str, kind: &TypeId) -> Vec<Key> {
        let from = Key {
            project: project.to_owned(),
            kind: kind.clone(),
            id: String::new(),
        };
        self.objects
            .range(from..)
            .take_while(|(key, _)| key.project == project && key.kind == *kind)
            .filter(|(_, object)| !object.is_hidden())
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The projects in which there are objects.
    pub(crate) fn projects(&self) -> Vec<String> {
        let shown = self.objects.iter().filter(|(_, object)| !object.is_hidden());
        let mut projects: Vec<_> = shown.map(|(key, _)| key.project.clone()).collect();
        // Keys are in order of their projects.
        projects.dedup();
        projects
    }

    /// The state that an object shows.
    pub(crate) fn state(&self, object: &Object) -> State {
        let Some((source, target)) = &object.ends else {
            return object.state;
        };
        let up = |end: &Key| self.objects.get(end).is_some_and(|end| end.state.is_up());
        if !object.held_down && up(source) && up(target) {
            State::Active
        } else {
            State::Inactive
        }
    }

    /// Whether the engine still works on an object.
    pub(crate) fn is_busy(&self, key: &Key) -> bool {
        self.objects.get(key).is_some_and(|object| !object.pending.is_empty())
    }

    pub(crate) fn picture(&self, key: &Key) -> Option<Picture> {
        let object = self.get(key)?;
        let mut attributes = object.attributes.clone();
        attributes.set(state_attribute(&key.kind), self.state(object).as_str());
        if let Some(message) = &object.message {
            attributes.set(
                attribute(&format!("occi.{}.state.message", key.kind.term())),
                message.as_str(),
            );
        }
        if key.kind == *IPRESERVATION {
            let used = !self.links_to(key).is_empty();
            attributes.set(attribute("occi.ipreservation.used"), used);
        }
        let reference = |key: &Key| NativeRef {
            kind: key.kind.clone(),
            native_id: key.id.clone(),
            mark: self.objects.get(key).and_then(|object| object.mark.clone()),
        };
        Some(Picture {
            native_id: key.id.clone(),
            mark: object.mark.clone(),
            kind: key.kind.clone(),
            os_template: object.os_template.clone(),
            resource_template: object.resource_template.clone(),
            mixins: object.mixins.clone(),
            attributes,
            ends: object.ends.as_ref().map(|(source, target)| NativeEnds {
                source: reference(source),
                target: reference(target),
            }),
        })
    }

    /// The pictures of an object and of all in its project that shows its state, the object first.
    pub(crate) fn pictures(&self, key: &Key) -> Vec<Picture> {
        self.around(key, None)
            .iter()
            .filter(|around| around.project == key.project)
            .filter_map(|key| self.picture(key))
            .collect()
    }

    /// An object, the links at it, and what shows that a link leads to it.
    fn around(&self, key: &Key, new: Option<&Object>) -> Vec<Key> {
        let mut around = vec![key.clone()];
        around.extend(self.links_at(key));
        if let Some((_, target)) = new
            .or_else(|| self.objects.get(key))
            .and_then(|object| object.ends.as_ref())
            && target.kind == *IPRESERVATION
        {
            around.push(target.clone());
        }
        around
    }

    /// A kind's objects as they were a list delay ago.
    pub(crate) fn list(&self, project: &str, kind: &TypeId) -> Vec<Picture> {
        let mut listed: BTreeMap<Key, Option<Picture>> = BTreeMap::new();
        for (_, key, before) in &self.past {
            if key.project == project && key.kind == *kind {
                listed.entry(key.clone()).or_insert_with(|| before.clone());
            }
        }
        for key in self.keys(project, kind) {
            listed.entry(key).or_insert_with_key(|key| self.picture(key));
        }
        listed.into_values().flatten().collect()
    }

    /// The one way in which anything changes: sets or removes an object, keeps that, and tells it.
    pub(crate) fn put(&mut self, key: &Key, new: Option<Object>) {
        let watched = self.events.is_some() || self.list_delay_ms > 0;
        let before: Vec<_> = if watched {
            let around = self.around(key, new.as_ref());
            around.into_iter().map(|key| (self.picture(&key), key)).collect()
        } else {
            Vec::new()
        };
        if let Some(log) = &mut self.log {
            let kept = match &new {
                Some(object) => log.put(self.next, key, object),
                None => log.gone(key),
            };
            if let Err(error) = kept {
                self.broken = Some(error.to_string());
            }
        }
        let old = self.objects.remove(key);
        self.screens.show(key, old.as_ref(), new.as_ref());
        if let Some(old) = old {
            self.index(key, &old, false);
        }
        if let Some(new) = new {
            self.index(key, &new, true);
            self.objects.insert(key.clone(), new);
        }
        for (before, key) in before {
            let after = self.picture(&key);
            if after == before {
                continue;
            }
            if self.list_delay_ms > 0 {
                self.past.push_back((self.now, key.clone(), before));
            }
            let event = match after {
                Some(picture) => Event::Changed(Box::new(picture)),
                None => Event::Gone {
                    kind: key.kind,
                    native_id: key.id,
                },
            };
            self.tell(event);
        }
    }

    /// Makes an object.
    pub(crate) fn insert(&mut self, key: &Key, mut object: Object) {
        if self.late_ms > 0 {
            for (at, _) in &mut object.pending {
                *at += self.late_ms;
            }
            object.pending.insert(0, (self.now + self.late_ms, Then::Appear));
        }
        self.put(key, Some(object));
    }

    /// Begins to bring an object to what `then` says; it is there after `work_ms`.
    pub(crate) fn begin(&mut self, key: &Key, then: Then, work_ms: u64) {
        let Some(mut object) = self.get(key).cloned() else {
            return;
        };
        if work_ms == 0 && object.pending.is_empty() {
            return self.happen(key, object, then);
        }
        object.pending.push((self.now + work_ms, then));
        self.put(key, Some(object));
        self.settle();
    }

    /// Tells an event, if anybody listens.
    pub(crate) fn tell(&self, event: Event) {
        if let Some(events) = &self.events {
            // Nobody listens any more: then nobody needs to know.
            let _ = events.send(event);
        }
    }

    fn index(&mut self, key: &Key, object: &Object, add: bool) {
        if let Some(mark) = &object.mark {
            index(&mut self.by_mark, (key.kind.clone(), mark.clone()), key, add);
        }
        for end in object.ends.iter().flat_map(|(source, target)| [source, target]) {
            index(&mut self.links, end.clone(), key, add);
        }
        if let Some((at, _)) = object.pending.first() {
            let entry = (*at, key.clone());
            if add {
                self.due.insert(entry);
            } else {
                self.due.remove(&entry);
            }
        }
    }

    /// Keeps a template and tells that the catalogue changed.
    pub(crate) fn add_template(&mut self, saved: Saved) {
        if let Some(Err(error)) = self.log.as_mut().map(|log| log.template(&saved)) {
            self.broken = Some(error.to_string());
        }
        self.templates.push(saved);
        self.tell(Event::Catalogue);
    }

    /// Removes a template of `project` of which nothing is made, and tells that the catalogue changed.
    pub(crate) fn remove_template(&mut self, project: &str, term: &Term) -> Result<()> {
        let refuse = |kind, message: String| Err(BackendError::new(kind, message));
        match self.templates.iter().find(|saved| saved.term == *term) {
            Some(saved) if saved.project == project => {}
            None if !is_given(term) => return Ok(()),
            _ => return refuse(ErrorKind::Forbidden, format!("{term} is not the project's own")),
        }
        if self
            .objects
            .values()
            .any(|object| object.os_template.as_ref() == Some(term))
        {
            return refuse(ErrorKind::InUse, format!("there are computes of {term}"));
        }
        if let Some(Err(error)) = self.log.as_mut().map(|log| log.template_gone(term)) {
            self.broken = Some(error.to_string());
        }
        self.templates.retain(|saved| saved.term != *term);
        self.tell(Event::Catalogue);
        Ok(())
    }

    /// The project's default network, made if it is missing.
    pub(crate) fn default_network(&mut self, project: &str) -> Key {
        let there = self
            .keys(project, &NETWORK)
            .into_iter()
            .find(|key| self.objects.get(key).is_some_and(|object| object.is_default));
        if let Some(key) = there {
            return key;
        }
        let key = self.new_key(project, &NETWORK, None);
        let mut network = Object::new(State::Active);
        network.is_default = true;
        network.mixins.push(IPNETWORK.clone());
        for (name, value) in [
            ("occi.network.label", "default"),
            ("occi.network.address", "10.0.0.0/8"),
            ("occi.network.gateway", "10.0.0.1"),
            ("occi.network.allocation", "dynamic"),
        ] {
            network.attributes.set(attribute(name), value);
        }
        self.put(&key, Some(network));
        key
    }

    /// A free address on a network that has addresses; on any other, none.
    pub(crate) fn free_address(&self, network: &Key) -> Result<Option<IpAddr>> {
        let Some(net) = self.get(network).and_then(|object| {
            let text = object.attributes.get("occi.network.address")?.as_str()?;
            text.parse::<IpNet>().ok()
        }) else {
            return Ok(None);
        };
        // The first address is the network's and the second its gateway's. A small network is searched; in a large one
        // the count of all that was ever made is free.
        let hosts = 1u128 << (net.max_prefix_len() - net.prefix_len()).min(100);
        let first = if hosts > 1 << 16 {
            u128::from(self.next) % (hosts - 3) + 2
        } else {
            2
        };
        let used: HashSet<IpAddr> = if hosts > 1 << 16 {
            HashSet::new()
        } else {
            let address = |link: &Key| {
                let address = self
                    .objects
                    .get(link)?
                    .attributes
                    .get("occi.networkinterface.address")?;
                address.as_str()?.parse().ok()
            };
            self.links_to(network).iter().filter_map(address).collect()
        };
        (first..hosts.saturating_sub(1))
            .map(|host| offset(net.network(), host))
            .find(|address| !used.contains(address))
            .map(Some)
            .ok_or_else(|| {
                BackendError::new(
                    ErrorKind::CapacityExhausted,
                    format!("the network {net} has no free address"),
                )
            })
    }

    /// A MAC address that no other interface has got.
    pub(crate) fn free_mac(&self) -> String {
        let [.., a, b, c] = self.next.to_be_bytes();
        format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
    }

    /// An address that the world outside can reach; there are 131072 (RFC 2544).
    pub(crate) fn public_address(&self) -> IpAddr {
        offset(Ipv4Addr::new(198, 18, 0, 0).into(), u128::from(self.next % (1 << 17)))
    }

    /// Refuses a compute of `wanted_gib`, of which it has some, for which there is no memory.
    pub(crate) fn check_memory(&self, wanted_gib: f64, has_gib: f64) -> Result<()> {
        let Some(limit) = self.memory_gib else {
            return Ok(());
        };
        if wanted_gib > limit {
            let message = format!("a compute can have at most {limit} GiB of memory here");
            return Err(BackendError::new(ErrorKind::TooLarge, message));
        }
        let more_gib = wanted_gib - has_gib;
        let used: f64 = self
            .objects
            .iter()
            .filter(|(key, _)| key.kind == *COMPUTE)
            .map(|(_, object)| object.number("occi.compute.memory"))
            .sum();
        if used + more_gib <= limit {
            return Ok(());
        }
        let message = format!("no room for {more_gib} GiB of memory");
        Err(BackendError::new(ErrorKind::CapacityExhausted, message)
            .with_context(format!("{} GiB are free", limit - used)))
    }
}

fn index<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<Key>>, at: K, key: &Key, add: bool) {
    if add {
        map.entry(at).or_default().insert(key.clone());
    } else if let Some(keys) = map.get_mut(&at) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(&at);
        }
    }
}

fn offset(network: IpAddr, host: u128) -> IpAddr {
    match network {
        IpAddr::V4(address) => {
            let host = u32::try_from(host).unwrap_or(u32::MAX);
            Ipv4Addr::from_bits(address.to_bits().wrapping_add(host)).into()
        }
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits().wrapping_add(host)).into(),
    }
}
