//! What lies between what is there and what shall be there.

use super::found::{Known, location, paired};
use super::node::Place;
use super::thing::{Body, Link, Thing, is_template_of};
use crate::failure::{Exit, Failure, Result};
use crate::output::{Look, NOT_SHOWN, is_user_data};
use crate::verbs::attach::leads_to;
use occi_client::{Entity, Input, Model, TypeId, Value};
use occi_model::AttributeName;
use occi_model::infrastructure::STORAGE;
use occi_model::templates::{OS_TPL, RESOURCE_TPL};
use std::cmp::Reverse;

/// The attribute that an action changes.
pub(super) const STORAGE_SIZE: &str = "occi.storage.size";
/// Longer values are cut for people.
const MOST: usize = 60;

/// What is to be done about one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Change {
    pub(super) lines: Vec<Line>,
    pub(super) steps: Vec<Step>,
}

/// A part of what is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// The thing with all of its links.
    Create,
    /// Of the thing, or of the link at a location.
    Update { at: Option<String>, body: Body },
    /// Of a volume, to so many GiB.
    Resize(f64),
    /// The link with this number.
    Attach(usize),
    /// The link at a location.
    Detach(String),
}

/// A line of the difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) sign: char,
    pub(super) text: String,
}

fn line(sign: char, text: impl Into<String>) -> Line {
    Line {
        sign,
        text: text.into(),
    }
}

/// What is to be done about each thing.
///
/// # Errors
/// Something cannot be changed once it is there.
pub(super) fn differences(known: &[Known], model: &Model) -> Result<Vec<Change>> {
    let of = |one: &Known| match &one.now {
        Some(now) => changed(one, now, known, model),
        None => Ok(new(one, model)),
    };
    known.iter().map(of).collect()
}

fn new(one: &Known, model: &Model) -> Change {
    let Thing { body, once, links, .. } = &one.thing;
    let mut lines = body_lines(body, model);
    for (name, _) in &once.attributes {
        lines.push(line('+', format!("{name}: (not shown)")));
    }
    lines.extend(links.iter().map(link_line));
    Change {
        lines,
        steps: vec![Step::Create],
    }
}

fn body_lines(body: &Body, model: &Model) -> Vec<Line> {
    let mixins = body.mixins.iter().map(|id| line('+', mixin_words(id, model)));
    let attributes = body.attributes.iter().filter(|(_, value)| *value != Input::Null);
    let attributes = attributes.map(|(name, value)| line('+', format!("{name}: {}", input_words(name, value))));
    mixins.chain(attributes).collect()
}

/// As the file says it.
fn mixin_words(id: &TypeId, model: &Model) -> String {
    for (family, word) in [(OS_TPL, "os"), (RESOURCE_TPL, "size")] {
        if is_template_of(family, id, model) {
            return format!("{word}: {}", id.term());
        }
    }
    format!("mixin {id}")
}

fn link_line(link: &Link) -> Line {
    let attributes = link.body.attributes.iter();
    let attributes: Vec<_> = attributes
        .map(|(name, value)| format!("{name}: {}", input_words(name, value)))
        .collect();
    let attributes = match attributes.is_empty() {
        true => String::new(),
        false => format!(" ({})", attributes.join(", ")),
    };
    line('+', format!("{}{attributes}", link_name(link)))
}

fn link_name(link: &Link) -> String {
    format!("{} to {}", link.kind.term(), link.to.name)
}

/// What is there and would have to be made anew.
fn refused(place: &Place, name: &str, what: &str, now: &Entity) -> Failure {
    Failure::new(Exit::Conflict, format!("{place}: {name}: {what}")).with_hint(format!(
        "it cannot be changed once it is there; to make it anew: occi delete {}",
        now.location
    ))
}

fn changed(one: &Known, now: &Entity, known: &[Known], model: &Model) -> Result<Change> {
    let thing = &one.thing;
    let mut change = Change::default();
    let mut body = body_difference(&thing.body, now, model, &mut change.lines, "")
        .map_err(|what| refused(&thing.place, &thing.name(), &what, now))?;
    let mut attributes = body.attributes.iter();
    let size = attributes.position(|(name, _)| is_resized(name, now, model));
    let size = size.map(|size| body.attributes.remove(size).1);
    if !body.mixins.is_empty() || !body.attributes.is_empty() {
        change.steps.push(Step::Update { at: None, body });
    }
    if let Some(Input::Typed(size)) = size
        && let Some(size) = size.as_f64()
    {
        let before = now.attribute(STORAGE_SIZE).and_then(Value::as_f64);
        if let Some(before) = before.filter(|before| *before > size) {
            let message = format!(
                "{}: {}: a volume only grows, and this has {before} GiB",
                thing.place,
                thing.name()
            );
            return Err(Failure::new(Exit::Conflict, message));
        }
        change.steps.push(Step::Resize(size));
    }
    links_difference(one, now, known, model, &mut change)?;
    Ok(change)
}

/// Whether it is an action that changes an attribute of this.
fn is_resized(name: &AttributeName, now: &Entity, model: &Model) -> bool {
    let is_of = |kind: &TypeId| {
        model.descends_from(kind.as_str(), STORAGE) && model.action("resize", Some((kind, &[]))).is_ok()
    };
    name.as_str() == STORAGE_SIZE && now.kind.as_ref().is_some_and(is_of)
}

/// How far it is from what it shall be: the changes that it needs, and of as many how little is said, for what says nothing
/// would take what another means. `None` if it cannot become so.
pub(super) fn distance(body: &Body, now: &Entity, model: &Model) -> Option<(usize, Reverse<usize>)> {
    let mut lines = Vec::new();
    body_difference(body, now, model, &mut lines, "").ok()?;
    Some((lines.len(), Reverse(body.mixins.len() + body.attributes.len())))
}

/// What is to be sent; the error is what cannot be changed.
fn body_difference(
    body: &Body,
    now: &Entity,
    model: &Model,
    lines: &mut Vec<Line>,
    before: &str,
) -> Result<Body, String> {
    let mut send = Body::default();
    for mixin in body.mixins.iter().filter(|mixin| !now.mixins.contains(mixin)) {
        if is_template_of(OS_TPL, mixin, model) {
            match now.os(model) {
                Some(os) => return Err(format!("it was made from {}, and not from {}", os.term(), mixin.term())),
                // This server does not tell.
                None => continue,
            }
        }
        if is_template_of(RESOURCE_TPL, mixin, model)
            && let Some(size) = now.size(model)
        {
            lines.push(line('~', format!("{before}size: {} -> {}", size.term(), mixin.term())));
        } else {
            lines.push(line('+', format!("{before}{}", mixin_words(mixin, model))));
        }
        send.mixins.push(mixin.clone());
    }
    let definitions = now.kind.as_ref().map(|kind| model.attributes_of(kind, &now.mixins));
    let definitions = definitions.unwrap_or_default();
    for (name, wanted) in &body.attributes {
        let wanted_value = model.read_value(name.as_str(), wanted);
        let is = now.attribute(name.as_str());
        let mut definitions = definitions.iter();
        let is_fixed = definitions.any(|definition| definition.name == *name && !definition.mutable);
        match (is, &wanted_value) {
            (None, None) => continue,
            (Some(is), Some(wanted)) if is == wanted => continue,
            _ if is_fixed && !is_resized(name, now, model) => {
                return Err(match (is, &wanted_value) {
                    (None, _) => format!("{name} is not set"),
                    (Some(is), None) => format!("{name} is {}", words(name, is)),
                    (Some(is), Some(wanted)) => {
                        format!("{name} is {} and not {}", words(name, is), words(name, wanted))
                    }
                });
            }
            (None, Some(wanted)) => lines.push(line('+', format!("{before}{name}: {}", words(name, wanted)))),
            (Some(is), None) => lines.push(line('-', format!("{before}{name}: {}", words(name, is)))),
            (Some(is), Some(wanted)) => {
                let (is, wanted) = (words(name, is), words(name, wanted));
                lines.push(line('~', format!("{before}{name}: {is} -> {wanted}")));
            }
        }
        let value = wanted_value.map_or(Input::Null, Input::Typed);
        send.attributes.push((name.clone(), value));
    }
    Ok(send)
}

/// What each link of a resource in the files could be on the server: its number, itself, and that.
pub(super) fn could_be<'k>(
    one: &'k Known,
    now: &'k Entity,
    known: &'k [Known],
    model: &'k Model,
) -> impl Iterator<Item = (usize, &'k Link, &'k Entity)> {
    let links = one.thing.links.iter().zip(&one.links).enumerate();
    links.flat_map(move |(number, (link, to))| {
        let location = location(to, known);
        let is_meant = move |is: &&Entity| {
            let leads_there = location.as_deref().is_some_and(|location| leads_to(is, location));
            leads_there && is_of(is, link.kind.as_str(), model)
        };
        now.links.iter().filter(is_meant).map(move |is| (number, link, is))
    })
}

fn links_difference(one: &Known, now: &Entity, known: &[Known], model: &Model, change: &mut Change) -> Result<()> {
    // A link that stands alone in the files is wanted too, and is none of these.
    let stands_alone = |is: &Entity| {
        known.iter().any(|other| {
            other.thing.ends.is_some() && other.now.as_ref().is_some_and(|now| now.location == is.location)
        })
    };
    let refuse = |link: &Link, what: &str, is: &Entity| {
        let name = format!("{}: {}", one.thing.name(), link_name(link));
        refused(&link.place, &name, what, is)
    };
    let difference = |is: &Entity, link: &Link| {
        let mut lines = Vec::new();
        let body = body_difference(&link.body, is, model, &mut lines, &format!("{}: ", link_name(link)))?;
        Ok::<_, String>((lines, body))
    };
    let choices = could_be(one, now, known, model).filter(|(.., is)| !stands_alone(is));
    let choices = choices.filter_map(|(number, link, is)| Some((distance(&link.body, is, model)?, number, is)));
    let paired = paired(choices.collect());
    let is_left = |is: &&Entity| !stands_alone(is) && paired.values().all(|other| other.location != is.location);
    let left: Vec<&Entity> = now.links.iter().filter(is_left).collect();
    let mut missing = Vec::new();
    for (number, link) in one.thing.links.iter().enumerate() {
        let Some(is) = paired.get(&number) else {
            missing.push((number, link));
            continue;
        };
        let (lines, body) = difference(is, link).map_err(|what| refuse(link, &what, is))?;
        change.lines.extend(lines);
        if !body.mixins.is_empty() || !body.attributes.is_empty() {
            change.steps.push(Step::Update {
                at: Some(is.location.clone()),
                body,
            });
        }
    }
    for (number, link) in missing {
        let mut others = could_be(one, now, known, model).filter(|(at, ..)| *at == number);
        let other = others.find(|(.., is)| left.iter().any(|left| left.location == is.location));
        if let Some((.., is)) = other
            && let Err(what) = difference(is, link)
        {
            return Err(refuse(link, &what, is));
        }
        change.lines.push(link_line(link));
        change.steps.push(Step::Attach(number));
    }
    for is in left {
        if one.thing.whole.iter().any(|kind| is_of(is, kind, model)) {
            let target = is.target.as_deref().unwrap_or_default();
            let other = known
                .iter()
                .find(|other| other.now.as_ref().is_some_and(|now| now.location == target));
            let name = other.and_then(|other| other.thing.title.as_deref()).unwrap_or(target);
            let term = is.kind.as_ref().map(TypeId::term).unwrap_or_default();
            change.lines.push(line('-', format!("{term} to {name}")));
            change.steps.push(Step::Detach(is.location.clone()));
        }
    }
    Ok(())
}

fn is_of(entity: &Entity, kind: &str, model: &Model) -> bool {
    entity
        .kind
        .as_ref()
        .is_some_and(|own| model.descends_from(own.as_str(), kind))
}

fn input_words(name: &AttributeName, input: &Input) -> String {
    match input {
        Input::Typed(value) => words(name, value),
        Input::Token(text) | Input::Quoted(text) => words(name, &Value::from(text.as_str())),
        Input::Null => String::new(),
    }
}

fn words(name: &AttributeName, value: &Value) -> String {
    if is_user_data(name.as_str()) {
        return NOT_SHOWN.to_owned();
    }
    let text = Look::of_attribute(name.as_str()).words(&value.to_json());
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::apply::found::{Where, order};
    use crate::verbs::apply::node::Node;
    use crate::verbs::apply::reader;
    use crate::verbs::apply::thing::End;
    use occi_model::Registry;
    use occi_rendering::response;
    use proptest::prelude::*;
    use std::path::Path;

    fn model() -> Model {
        let registry = Registry::standard();
        Model::from(response::Model {
            kinds: registry.kinds().iter().map(|kind| (**kind).clone()).collect(),
            mixins: registry.mixins().iter().map(|mixin| (**mixin).clone()).collect(),
            actions: registry.actions().iter().map(|action| (**action).clone()).collect(),
        })
    }

    /// The things of a text that refer to nothing outside of it.
    fn known(text: &str, now: &[Option<Entity>], model: &Model) -> Vec<Known> {
        let things = reader::read(&Node::read(text, Path::new("x")).unwrap(), model).unwrap();
        let place = |end: &End| {
            let found = things
                .iter()
                .position(|thing| thing.title.as_deref() == Some(&end.name));
            Where::Thing(found.unwrap())
        };
        let one = |(thing, now): (&Thing, &Option<Entity>)| Known {
            links: thing.links.iter().map(|link| place(&link.to)).collect(),
            ends: None,
            now: now.clone(),
            thing: thing.clone(),
        };
        things.iter().zip(now).map(one).collect()
    }

    fn put(entity: &mut Entity, body: &Body, model: &Model) {
        for id in &body.mixins {
            if is_template_of(RESOURCE_TPL, id, model) {
                entity
                    .mixins
                    .retain(|other| !is_template_of(RESOURCE_TPL, other, model));
            }
            if !entity.mixins.contains(id) {
                entity.mixins.push(id.clone());
            }
        }
        for (name, input) in &body.attributes {
            match model.read_value(name.as_str(), input) {
                Some(value) => drop(entity.attributes.set(name.clone(), value)),
                None => drop(entity.attributes.remove(name.as_str())),
            }
        }
    }

    fn linked(link: &Link, to: &Where, number: usize, model: &Model) -> Entity {
        let Where::Thing(to) = to else { panic!("{to:?}") };
        let mut entity = Entity::default();
        entity.location = format!("/link/{number}");
        entity.kind = Some(link.kind.clone());
        entity.target = Some(format!("/thing/{to}"));
        put(&mut entity, &link.body, model);
        entity
    }

    /// What a server that does as it is told makes of a thing.
    fn obeyed(number: usize, one: &Known, change: &Change, model: &Model) -> Option<Entity> {
        let mut entity = one.now.clone();
        for (step, at) in change.steps.iter().zip(100..) {
            if *step == Step::Create {
                let mut new = Entity::default();
                new.location = format!("/thing/{number}");
                new.kind = Some(one.thing.kind.clone());
                put(&mut new, &one.thing.body, model);
                let title = one.thing.title.clone().unwrap();
                new.attributes.set("occi.core.title".parse().unwrap(), title);
                let links = one.thing.links.iter().zip(&one.links).enumerate();
                new.links = links.map(|(at, (link, to))| linked(link, to, at, model)).collect();
                entity = Some(new);
                continue;
            }
            let now = entity.as_mut().unwrap();
            match step {
                Step::Create => {}
                Step::Update { at: None, body } => put(now, body, model),
                Step::Update { at: Some(at), body } => {
                    let link = now.links.iter_mut().find(|link| link.location == *at);
                    put(link.unwrap(), body, model);
                }
                Step::Resize(size) => drop(now.attributes.set(STORAGE_SIZE.parse().unwrap(), *size)),
                Step::Attach(link) => {
                    let link = linked(&one.thing.links[*link], &one.links[*link], 100 * number + at, model);
                    now.links.push(link);
                }
                Step::Detach(location) => now.links.retain(|link| link.location != *location),
            }
        }
        entity
    }

    fn compute() -> impl Strategy<Value = String> {
        let one_of = |values: &'static [&'static str]| prop::sample::select(values);
        let networks = [
            "",
            "networks: [n]",
            "networks: []",
            "networks: [n, m]",
            "networks: [n, n]",
        ];
        let more = [
            "networks: [{network: n, address: 10.0.0.5}]",
            "networks: [{network: n, address: 10.0.0.6}, m]",
        ];
        (
            one_of(&["", "cores: 1", "cores: 2", "cores: null"]),
            one_of(&["", "memory: 512M", "memory: 0.5", "memory: 2"]),
            one_of(&["", "summary: a", "summary: b", "summary: ~"]),
            one_of(&["", "size: small", "size: large"]),
            prop::sample::select([networks.as_slice(), more.as_slice()].concat()),
            one_of(&[
                "",
                "volumes: [s]",
                "volumes: [{storage: s, device: /dev/vdb}]",
                "volumes: []",
            ]),
        )
            .prop_map(|(cores, memory, summary, size, networks, volumes)| {
                let keys = [cores, memory, summary, size, networks, volumes];
                let keys = keys.iter().filter(|key| !key.is_empty());
                keys.fold("- compute: c\n".to_owned(), |text, key| format!("{text}  {key}\n"))
            })
    }

    fn file() -> impl Strategy<Value = String> {
        let network = prop::sample::select(&["", "  address: 10.0.0.0/24\n", "  vlan: 7\n"]);
        let size = prop::sample::select(&["1", "1G", "1024M", "2G"]);
        (compute(), network, size).prop_map(|(compute, network, size)| {
            format!("{compute}- network: n\n{network}- network: m\n- storage: s\n  size: {size}\n")
        })
    }

    proptest! {
        #[test]
        fn what_is_done_leaves_no_difference(first in file(), second in file()) {
            let model = model();
            let mut now = vec![None, None, None, None];
            for text in [&first, &second] {
                let before = known(text, &now, &model);
                order(&before).unwrap();
                // A volume does not become smaller.
                let Ok(changes) = differences(&before, &model) else {
                    let is_large = |text: &str| text.contains("size: 2G");
                    prop_assert!(is_large(&first) && !is_large(&second));
                    return Ok(());
                };
                for (number, (one, change)) in before.iter().zip(&changes).enumerate() {
                    // There is something to say exactly if there is something to do.
                    if one.now.is_some() {
                        prop_assert_eq!(change.lines.is_empty(), change.steps.is_empty(), "{:?}", change);
                    }
                    now[number] = obeyed(number, one, change, &model);
                }
                let after = differences(&known(text, &now, &model), &model).unwrap();
                prop_assert!(after.iter().all(|change| *change == Change::default()), "{first}{second}{after:?}");
            }
            // What the second does not name is as the first left it.
            for name in ["cores", "memory", "summary"] {
                let line = |text: &str| text.lines().find(|line| line.contains(name)).map(str::to_owned);
                if line(&second).is_none() && let Some(named) = line(&first) {
                    let compute = now[0].as_ref().unwrap();
                    let is_there = compute.attributes.iter().any(|(full, _)| full.as_str().ends_with(name));
                    prop_assert_eq!(is_there, !named.contains("null") && !named.contains('~'));
                }
            }
        }
    }
}
