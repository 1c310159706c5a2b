//! Doing what is to be done, one thing after the other.

use super::difference::{STORAGE_SIZE, Step};
use super::found::{Known, Where};
use super::plan::Plan;
use super::thing::{Body, Link, Thing};
use crate::failure::{Failure, Result};
use crate::progress::{Waiting, is_so_far};
use crate::session::Session;
use crate::verbs::create::{create, inline, location_of};
use crate::verbs::update::guarded;
use occi_client::{AttributeName, Entity, EntityDraft, Input, TypeId, Until, Write};

/// Carries a plan out. What is taken away is taken first: somebody else in the files may want it.
///
/// # Errors
/// Something failed: nothing more is done then, and what has been done is said. What the server does not offer is left, with
/// what refers to it, and fails in the end.
pub(super) async fn carry_out(plan: &Plan, waiting: Waiting, session: &Session) -> Result<()> {
    let mut work = Work {
        locations: plan
            .known
            .iter()
            .map(|one| one.now.as_ref().map(|now| now.location.clone()))
            .collect(),
        plan,
        waiting,
        session,
    };
    let is_detach = |step: &&Step| matches!(step, Step::Detach(_));
    let mut done = Done::default();
    is_so_far(done.goes_on(plan));
    for takes_away in [true, false] {
        for (number, one, change) in plan.open() {
            if done.whole.contains(&number) {
                continue;
            }
            if one.refers_to().any(|other| done.left.contains(&other)) {
                done.left.push(number);
                continue;
            }
            for step in change.steps.iter().filter(|step| is_detach(step) == takes_away) {
                match work.step(number, step).await {
                    Ok(()) => done.begun(number, plan),
                    Err(failure) if failure.is_unsupported => {
                        done.left.push(number);
                        done.refused
                            .push(about(failure, one).with_hint(work.way_out(number, step)));
                    }
                    Err(failure) => return Err(done.stopped(plan, about(failure, one))),
                }
            }
            let has_more = takes_away && !change.steps.iter().all(|step| is_detach(&step));
            if !has_more && !done.left.contains(&number) {
                done.whole(number, &work)?;
            }
        }
    }
    if !session.output.is_for_people() {
        let told = plan.order.iter().map(|number| {
            let change = match (&plan.known[*number].now, done.begun.contains(number)) {
                (_, false) => "none",
                (None, true) => "created",
                (Some(_), true) => "changed",
            };
            (*number, change, work.locations[*number].as_deref())
        });
        plan.records(told, session)?;
    }
    done.ended(plan)
}

/// What has been done, by numbers.
#[derive(Default)]
struct Done {
    whole: Vec<usize>,
    /// Of these at least one step.
    begun: Vec<usize>,
    /// Of these the server does not offer a step, or of what they refer to.
    left: Vec<usize>,
    /// Why.
    refused: Vec<Failure>,
}

impl Done {
    /// Nothing is left to do of this one.
    fn whole(&mut self, number: usize, work: &Work<'_>) -> Result<()> {
        self.whole.push(number);
        is_so_far(self.goes_on(work.plan));
        let output = &work.session.output;
        if !output.is_for_people() {
            return Ok(());
        }
        let one = &work.plan.known[number];
        let word = if one.now.is_some() { "changed" } else { "created" };
        let location = work.locations[number].as_deref().unwrap_or_default();
        output.text(&format!("{}: {word} {location}\n", one.thing.name()))
    }

    /// A step of this one has been done.
    fn begun(&mut self, number: usize, plan: &Plan) {
        self.begun.push(number);
        is_so_far(self.goes_on(plan));
    }

    /// The same failure, with how far it came.
    fn stopped(&self, plan: &Plan, mut failure: Failure) -> Failure {
        self.refused.iter().for_each(Failure::print);
        failure.hints.extend(self.goes_on(plan));
        failure
    }

    /// All has been done that the server offers.
    fn ended(mut self, plan: &Plan) -> Result<()> {
        let Some(mut last) = self.refused.pop() else {
            return Ok(());
        };
        self.refused.iter().for_each(Failure::print);
        last.hints.extend(self.far(plan));
        Err(last)
    }

    /// How far it is, for whoever ends it here.
    fn goes_on(&self, plan: &Plan) -> Vec<String> {
        let mut far = self.far(plan);
        far.push("the same command goes on from here".to_owned());
        far
    }

    /// What has been done, and what has not.
    fn far(&self, plan: &Plan) -> Vec<String> {
        let names = |is_meant: &dyn Fn(usize) -> bool| {
            let chosen = plan.open().filter(|(number, ..)| is_meant(*number));
            let names: Vec<_> = chosen.map(|(_, one, _)| one.thing.name()).collect();
            names.join(", ")
        };
        let is_whole = |number| self.whole.contains(&number);
        let is_begun = |number| self.begun.contains(&number);
        let mut far = Vec::new();
        for (words, names) in [
            ("done", names(&is_whole)),
            ("done in part", names(&|number| is_begun(number) && !is_whole(number))),
            ("not done", names(&|number| !is_begun(number) && !is_whole(number))),
        ] {
            if !names.is_empty() {
                far.push(format!("{words}: {names}"));
            }
        }
        far
    }
}

/// The same failure, with the name of what it is about.
fn about(failure: Failure, one: &Known) -> Failure {
    let name = one.thing.name();
    match failure.message.starts_with(&name) {
        true => failure,
        false => failure.about(name),
    }
}

struct Work<'p> {
    plan: &'p Plan,
    /// Where each thing is, as soon as it is.
    locations: Vec<Option<String>>,
    waiting: Waiting,
    session: &'p Session,
}

impl Work<'_> {
    async fn step(&mut self, number: usize, step: &Step) -> Result<()> {
        let Self {
            plan, waiting, session, ..
        } = *self;
        let thing = &plan.known[number].thing;
        let name = thing.name();
        let own = self.locations[number].clone().unwrap_or_default();
        match step {
            Step::Create => {
                let draft = self.draft(number)?;
                // Without a title it can only be found again by where it is.
                let at = match (&thing.title, &thing.id) {
                    (None, Some(id)) => Some(format!("{}{id}", plan.model.kind(thing.kind.as_str())?.location)),
                    _ => None,
                };
                let created = create(&draft, at.as_deref(), &name, waiting, session).await?;
                self.locations[number] = Some(location_of(&created)?.to_owned());
            }
            Step::Update { at, body } => {
                let at = at.as_deref().unwrap_or(&own);
                let draft = EntityDraft {
                    mixins: body.mixins.clone(),
                    attributes: body.attributes.clone(),
                    ..EntityDraft::default()
                };
                let change = async |write: &Write| session.client.update(at, &draft, write).await;
                let done = guarded(self.seen(number, at)?, &draft, waiting, session, change).await?;
                self.wait(&name, at, &done, &Until::Up).await?;
            }
            Step::Resize(size) => {
                let size = Input::Typed((*size).into());
                let draft = EntityDraft {
                    attributes: vec![(STORAGE_SIZE.parse().map_err(occi_client::Error::from)?, size.clone())],
                    ..EntityDraft::default()
                };
                let size = [("size", size)];
                let change = async |write: &Write| session.client.act(&own, "resize", &size, write).await;
                let done = guarded(self.seen(number, &own)?, &draft, waiting, session, change).await?;
                self.wait(&name, &own, &done, &Until::Up).await?;
            }
            Step::Attach(link) => {
                let known = &plan.known[number];
                let mut draft = self.link(&known.thing.links[*link], &known.links[*link])?;
                draft.source = Some(own);
                create(&draft, None, &name, waiting, session).await?;
            }
            Step::Detach(link) => {
                let done = session.client.delete(link, &waiting.write()).await?;
                self.wait(&name, link, &done, &Until::Gone).await?;
            }
        }
        Ok(())
    }

    /// What to do about a step that the server does not offer.
    fn way_out(&self, number: usize, step: &Step) -> String {
        let link = match step {
            Step::Update { at: Some(link), .. } => Some(link),
            Step::Update { at: None, .. } if self.plan.known[number].ends.is_some() => self.locations[number].as_ref(),
            _ => None,
        };
        match link {
            Some(link) => {
                format!("leave it out of the file, or take the link away and apply again: occi delete {link}")
            }
            None => "leave it out of the file".to_owned(),
        }
    }

    /// A thing, or one of its links, as it was when the plan was made.
    fn seen(&self, number: usize, at: &str) -> Result<&Entity> {
        let now = self.plan.known[number].now.as_ref();
        let mut seen = now.into_iter().flat_map(|now| std::iter::once(now).chain(&now.links));
        seen.find(|entity| entity.location == at)
            .ok_or_else(|| Failure::usage(format!("{at} has not been seen")))
    }

    async fn wait(&self, name: &str, location: &str, done: &occi_client::Done, until: &Until) -> Result<()> {
        let operation = done.operation.as_deref();
        if let Some(limit) = self.waiting.wait
            && (operation.is_some() || *until == Until::Gone)
        {
            self.session.wait(name, location, operation, until, limit).await?;
        }
        Ok(())
    }

    fn draft(&self, number: usize) -> Result<EntityDraft> {
        let known = &self.plan.known[number];
        let Thing {
            kind,
            title,
            body,
            once,
            links,
            ..
        } = &known.thing;
        let mut draft = draft(kind, &[body, once]);
        if let Some(title) = title {
            let name: AttributeName = "occi.core.title".parse().map_err(occi_client::Error::from)?;
            draft.attributes.insert(0, (name, Input::Typed(title.as_str().into())));
        }
        for (link, to) in links.iter().zip(&known.links) {
            draft.links.push(inline(self.link(link, to)?));
        }
        if let Some((source, target)) = &known.ends {
            draft.source = Some(self.location(source)?);
            draft.target = Some(self.location(target)?);
        }
        Ok(draft)
    }

    fn link(&self, link: &Link, to: &Where) -> Result<EntityDraft> {
        let mut draft = draft(&link.kind, &[&link.body]);
        draft.target = Some(self.location(to)?);
        Ok(draft)
    }

    fn location(&self, end: &Where) -> Result<String> {
        match end {
            Where::At(location) => Ok(location.clone()),
            Where::Thing(number) => self.locations[*number].clone().ok_or_else(|| {
                let name = self.plan.known[*number].thing.name();
                Failure::usage(format!("{name} is not there yet"))
            }),
        }
    }
}

fn draft(kind: &TypeId, bodies: &[&Body]) -> EntityDraft {
    let attributes = bodies.iter().flat_map(|body| &body.attributes);
    EntityDraft {
        kind: Some(kind.clone()),
        mixins: bodies.iter().flat_map(|body| body.mixins.iter().cloned()).collect(),
        attributes: attributes.filter(|(_, value)| *value != Input::Null).cloned().collect(),
        ..EntityDraft::default()
    }
}
