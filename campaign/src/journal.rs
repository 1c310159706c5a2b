//! The oracle: what every client asked for and was answered, and so what must be true now.
//!
//! An answer 2xx leaves one possibility; a refusal leaves things as they were; no answer leaves both. An operation that
//! went on after its answer may end as `failed`, and then says why: what was before is possible too.

use crate::client::{Answer, Request};
use crate::deed::{Deed, Effect, Kind};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A thing, by its place in the journal.
pub(crate) type Ref = usize;

/// What may be true of a thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) may_exist: bool,
    pub(crate) may_be_absent: bool,
    /// Possible states; empty means that the state follows from something else.
    pub(crate) states: BTreeSet<&'static str>,
    /// Possible values of attributes, as text.
    pub(crate) values: BTreeMap<&'static str, BTreeSet<String>>,
    /// Whether it may have these tags, and may not have them.
    pub(crate) tags: BTreeMap<String, BTreeSet<bool>>,
}

impl Facts {
    fn after(&self, effect: &Effect) -> Self {
        let mut after = self.clone();
        match effect {
            Effect::Made => (after.may_exist, after.may_be_absent) = (true, false),
            Effect::Gone => (after.may_exist, after.may_be_absent) = (false, true),
            Effect::State(state) => after.states = BTreeSet::from([*state]),
            Effect::Value(name, value) => drop(after.values.insert(name, BTreeSet::from([text(value)]))),
            Effect::Tag(tag, has) => drop(after.tags.insert(tag.clone(), BTreeSet::from([*has]))),
        }
        after
    }

    /// Takes over from `other` what an effect is about; of all else other clients may have learnt more since.
    fn become_as(&mut self, effect: &Effect, other: &Self) {
        match effect {
            Effect::Made | Effect::Gone => {
                (self.may_exist, self.may_be_absent) = (other.may_exist, other.may_be_absent);
            }
            Effect::State(_) => self.states.clone_from(&other.states),
            Effect::Value(name, _) => drop(
                self.values
                    .insert(name, other.values.get(name).cloned().unwrap_or_default()),
            ),
            Effect::Tag(tag, _) => drop(self.tags.insert(tag.clone(), other.tag(tag))),
        }
    }

    /// The same, as a further possibility.
    fn or(&mut self, effect: &Effect, other: &Self) {
        match effect {
            Effect::Made | Effect::Gone => {
                self.may_exist |= other.may_exist;
                self.may_be_absent |= other.may_be_absent;
            }
            Effect::State(_) => self.states.extend(&other.states),
            Effect::Value(name, _) => {
                let others = other.values.get(name).cloned().unwrap_or_default();
                self.values.entry(name).or_default().extend(others);
            }
            Effect::Tag(tag, _) => {
                let both = self.tag(tag).union(&other.tag(tag)).copied().collect();
                self.tags.insert(tag.clone(), both);
            }
        }
    }

    /// What may be true of a tag; nobody has what nobody asked for.
    pub(crate) fn tag(&self, tag: &str) -> BTreeSet<bool> {
        self.tags.get(tag).cloned().unwrap_or_else(|| BTreeSet::from([false]))
    }
}

/// A value as it is compared: numbers by their size, whatever their form.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    }
}

/// Something that a client asked to be made.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub(crate) kind: Kind,
    /// Unique; it finds what a lost answer would have named.
    pub(crate) title: String,
    /// Where it is, once somebody said so.
    pub(crate) path: Option<String>,
    pub(crate) facts: Facts,
    /// The ends of a link.
    pub(crate) source: Option<Ref>,
    pub(crate) target: Option<Ref>,
    /// A compute that named no network gets one interface by itself.
    pub(crate) own_interface: bool,
}

impl Thing {
    pub(crate) fn new(kind: Kind, title: String, up: Option<&'static str>) -> Self {
        Self {
            kind,
            title,
            path: None,
            facts: Facts {
                may_be_absent: true,
                states: up.into_iter().collect(),
                ..Facts::default()
            },
            source: None,
            target: None,
            own_interface: false,
        }
    }

    pub(crate) fn made_with(&mut self, name: &'static str, value: Value) {
        self.facts.values.insert(name, BTreeSet::from([text(&value)]));
    }

    /// Whether it certainly exists and its path is known.
    pub(crate) fn is_there(&self) -> bool {
        self.facts.may_exist && !self.facts.may_be_absent && self.path.is_some()
    }

    /// The state, if only one is possible.
    pub(crate) fn state(&self) -> Option<&'static str> {
        match self.facts.states.len() {
            1 => self.facts.states.first().copied(),
            _ => None,
        }
    }
}

/// A write under way.
pub(crate) struct Begun {
    before: Vec<(Ref, Facts)>,
}

/// A promise whose operation went on after the answer.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) operation: String,
    pub(crate) effects: Vec<(Ref, Effect)>,
    before: Vec<(Ref, Facts)>,
}

/// What happened to the requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) done: u64,
    pub(crate) refused: u64,
    pub(crate) lost: u64,
}

/// The journal.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) things: Vec<Thing>,
    pub(crate) promises: Vec<Promise>,
    /// Creates with an `Idempotency-Key` whose answer was lost: they can be sent again.
    pub(crate) retries: Vec<Deed>,
    /// Things that one request without an answer made or deleted: all of them, or none.
    pub(crate) together: Vec<Vec<Ref>>,
    pub(crate) tally: BTreeMap<&'static str, Tally>,
    /// Refusals that were not expected to come, by deed and status, with one example.
    pub(crate) refusals: BTreeMap<(&'static str, u16), String>,
    /// What this server does not offer.
    pub(crate) unsupported: BTreeSet<&'static str>,
    /// What was written last, the latest first: there the next client finds an operation running.
    pub(crate) recent: VecDeque<Ref>,
    /// What clients saw between their writes and should not have.
    pub(crate) broken: Vec<String>,
    /// How often they looked.
    pub(crate) looks: u64,
    titles: u64,
}

impl Journal {
    pub(crate) fn new_title(&mut self, kind: Kind) -> String {
        self.titles += 1;
        format!("{}-{}", kind.term(), self.titles)
    }

    pub(crate) fn add(&mut self, thing: Thing) -> Ref {
        self.things.push(thing);
        self.things.len() - 1
    }

    pub(crate) fn kind(&self, thing: Ref) -> Kind {
        self.things[thing].kind
    }

    /// The path of a thing that is there.
    pub(crate) fn path(&self, thing: Ref) -> String {
        self.things[thing].path.clone().unwrap_or_default()
    }

    /// The links that go with a resource and may exist.
    pub(crate) fn links_of(&self, thing: Ref) -> Vec<Ref> {
        let links = self.things.iter().enumerate();
        links
            .filter(|(_, link)| link.source == Some(thing) && link.facts.may_exist)
            .map(|(at, _)| at)
            .collect()
    }

    /// The links that lead to a resource and may exist.
    pub(crate) fn is_used(&self, thing: Ref) -> bool {
        self.things
            .iter()
            .any(|link| link.target == Some(thing) && link.facts.may_exist)
    }

    /// Whether the thing certainly has this tag, or has it not; none: both may be, or an operation is still to write it.
    pub(crate) fn has_tag(&self, thing: Ref, tag: &str) -> Option<bool> {
        let is_it =
            |(at, effect): &(Ref, Effect)| *at == thing && matches!(effect, Effect::Tag(name, _) if name == tag);
        if self.promises.iter().any(|promise| promise.effects.iter().any(is_it)) {
            return None;
        }
        let may_be = self.things[thing].facts.tag(tag);
        may_be.first().copied().filter(|_| may_be.len() == 1)
    }

    /// A request is about to be sent: its effects are possible from now on.
    pub(crate) fn begin(&mut self, deed: &Deed) -> Begun {
        if let Some((thing, _)) = deed.effects.first() {
            self.recent.push_front(*thing);
            self.recent.truncate(RECENT);
        }
        let mut before = Vec::new();
        for (thing, effect) in &deed.effects {
            let facts = &mut self.things[*thing].facts;
            before.push((*thing, facts.clone()));
            let after = facts.after(effect);
            facts.or(effect, &after);
        }
        Begun { before }
    }

    /// It was answered, or will never be.
    pub(crate) fn conclude(&mut self, deed: &Deed, begun: Begun, answer: &Answer) {
        let tally = self.tally.entry(deed.name).or_default();
        match answer {
            Answer::Done { paths, operation } => {
                tally.done += 1;
                for (thing, path) in deed.made.iter().zip(paths) {
                    self.things[*thing].path.get_or_insert_with(|| path.clone());
                }
                for ((thing, effect), (_, before)) in deed.effects.iter().zip(&begun.before) {
                    self.things[*thing].facts.become_as(effect, &before.after(effect));
                }
                if let Some(operation) = operation {
                    self.promises.push(Promise {
                        operation: operation.clone(),
                        effects: deed.effects.clone(),
                        before: begun.before,
                    });
                }
            }
            Answer::Refused(status, message) => {
                tally.refused += 1;
                if *status == 501 {
                    self.unsupported.insert(deed.name);
                }
                self.refusals
                    .entry((deed.name, *status))
                    .or_insert_with(|| message.clone());
                let is_made = |(_, effect): &(Ref, Effect)| matches!(effect, Effect::Made);
                let nothing_happened = match (deed.effects.iter().any(is_made), deed.effects.iter().all(is_made)) {
                    // What is new goes again.
                    (true, true) => true,
                    // What is new goes again, and what became of the rest only the service knows.
                    (true, false) => false,
                    // A failure of the engine may leave things half done.
                    (false, _) => *status < 500 || *status == 501 || *status == 503,
                };
                if nothing_happened {
                    for ((thing, effect), (_, before)) in deed.effects.iter().zip(&begun.before) {
                        self.things[*thing].facts.become_as(effect, before);
                    }
                }
            }
            Answer::Lost => {
                tally.lost += 1;
                let is_whole = |(_, effect): &(Ref, Effect)| matches!(effect, Effect::Made | Effect::Gone);
                let was_sure = |(_, before): &(Ref, Facts)| before.may_exist != before.may_be_absent;
                if deed.effects.iter().all(is_whole) && begun.before.iter().all(was_sure) {
                    self.together
                        .push(deed.effects.iter().map(|(thing, _)| *thing).collect());
                }
                let is_keyed = deed.request.fields.iter().any(|(name, _)| *name == KEY);
                if is_keyed && deed.effects.iter().any(|(_, effect)| matches!(effect, Effect::Made)) {
                    self.retries.push(deed.clone());
                }
            }
        }
    }

    /// A promise was not kept, and its operation says why: what was before may be true.
    pub(crate) fn excuse(&mut self, promise: &Promise) {
        for ((thing, effect), (_, before)) in promise.effects.iter().zip(&promise.before) {
            self.things[*thing].facts.or(effect, before);
        }
    }

    /// A lost create that is sent again must succeed now. A link that had an end which has been deleted since then is gone
    /// with it, whether it had been made or not: then a refusal is right too, and success says nothing new.
    pub(crate) fn repeated(&mut self, deed: &Deed, answer: &Answer) -> Result<(), String> {
        let has_gone = deed.made.iter().any(|made| self.has_lost_an_end(*made));
        let begun = self.begin(deed);
        let before = begun.before.clone();
        self.conclude(deed, begun, answer);
        match answer {
            Answer::Done { .. } | Answer::Refused(..) if has_gone => {
                for ((thing, effect), (_, facts)) in deed.effects.iter().zip(&before) {
                    self.things[*thing].facts.become_as(effect, facts);
                }
                Ok(())
            }
            Answer::Done { .. } => Ok(()),
            Answer::Refused(status, message) => Err(format!("{status} {message}")),
            Answer::Lost => Err("no answer".to_owned()),
        }
    }

    fn has_lost_an_end(&self, link: Ref) -> bool {
        let Thing { source, target, .. } = &self.things[link];
        let is_gone = |end: &Ref| !self.things[*end].facts.may_exist;
        source.iter().chain(target).any(is_gone)
    }
}

/// So much of what was written is remembered as recent.
const RECENT: usize = 4;

/// The header field of an idempotency key.
pub(crate) const KEY: &str = "idempotency-key";

/// Gives a request a key that no other has.
pub(crate) fn with_key(request: Request, key: &str) -> Request {
    request.field(KEY, key)
}
