//! Stopping a verb at every point that it records: told to by the journal, or dropped there as a crash would.

use super::journal::{How, Notes, Stop};
use super::lab::{End, Lab, Ran, Verdict, ensure, link_targets, target};
use super::{actions, updates};
use crate::names::attribute;
use crate::{Context, Create, Result, Target};
use occi_model::TypeId;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

/// More points than any verb has.
const POINTS_MAX: u32 = 60;

fn how(number: u32) -> How {
    if number.is_multiple_of(2) {
        How::Interrupt
    } else {
        How::Drop
    }
}

/// Stops a verb at each new point and calls it again, until it ends; `after` looks at what each stop left. Returns what
/// the last call did.
async fn with_stops<T>(
    lab: &Lab,
    verb: impl AsyncFn(&Context) -> Result<T>,
    after: impl AsyncFn() -> Verdict,
) -> Verdict<T> {
    let operation = Uuid::new_v4();
    let mut seen = HashSet::new();
    let mut failed = false;
    for attempt in 1..=POINTS_MAX {
        let notes = Arc::new(Notes::new(Stop::AtNew(seen.clone()), how(attempt)));
        match lab.run(&notes, operation, attempt, &verb).await {
            Ok(Ran::Done(done)) => {
                // A call that finds done what a failed one did records nothing.
                ensure!(
                    failed || !seen.is_empty(),
                    "there is no point at which it can be stopped"
                );
                return Ok(done);
            }
            Ok(Ran::Stopped) => after().await?,
            Err(error) => {
                failed = true;
                lab.overcome(attempt, error).await?;
            }
        }
        seen.extend(notes.points());
    }
    Err(End::Fail(format!(
        "still not done after {POINTS_MAX} attempts; the points were {seen:?}"
    )))
}

/// A create that is stopped at each of its points and called again makes one whole thing; a delete removes it.
pub(super) async fn stopped_verbs_continue(lab: &Lab, kind: &TypeId) -> Verdict {
    let create = lab.resource(kind).await?;
    let made = target(&create);
    lab.remember(&create);
    // Whatever carries the mark first is what is made in the end.
    let first = OnceCell::new();
    let stays_the_same = async || {
        if let Some(found) = lab.find(&made).await? {
            let first = first.get_or_init(|| found.native_id.clone());
            ensure!(
                *first == found.native_id,
                "a create that goes on after a stop makes another"
            );
        }
        Ok(())
    };
    let make = async |context: &_| lab.backend.create(context, &create).await;
    with_stops(lab, make, stays_the_same).await?;
    stays_the_same().await?;
    let (state, up) = (lab.state(&made).await?, lab.lifecycle(kind)?.up);
    ensure!(state == up, "after a stop at each point it is {state} and not {up}");
    lab.listed(&made, 1).await?;
    for link in link_targets(&create) {
        lab.picture(&link).await?;
        lab.listed(&link, 1).await?;
    }
    if lab.capability(kind)?.delete {
        let remove = async |context: &_| lab.backend.delete(context, &made).await;
        with_stops(lab, remove, async || Ok(())).await?;
        lab.gone(&create).await?;
    }
    Ok(())
}

/// An action that is stopped at each of its points and called again leads where the model says, by every declared method;
/// a save makes one template.
pub(super) async fn stopped_actions_continue(lab: &Lab, kind: &TypeId) -> Verdict {
    let capability = lab.capability(kind)?;
    if capability.actions.is_empty() {
        return Err(End::Skip(format!("a {} has no actions", kind.term())));
    }
    let create = lab.resource(kind).await?;
    lab.create(&create).await?;
    let target = target(&create);
    let first = lab.picture(&target).await?.native_id;
    for action in &capability.actions {
        for method in actions::methods(action) {
            let state = lab.go_to_one(&target, &action.states).await?;
            let mut invocation = actions::with_parameters(lab, &target, action, method).await?;
            // Other cases save at the same time.
            let name = format!("suite-{}", &Uuid::new_v4().simple().to_string()[..8]);
            if invocation.parameters.get("name").is_some() {
                invocation.parameters.set(attribute("name"), name.as_str());
            }
            let act = async |context: &_| lab.backend.act(context, &target, &invocation).await;
            let acted = with_stops(lab, act, async || stays(lab, &target, &first).await).await?;
            let what = format!("after a stop at each point, {}", action.action.term());
            let reached = lab.lifecycle(kind)?.target(&action.action).unwrap_or(state);
            actions::arrived(lab, &target, &what, reached, &acted).await?;
            stays(lab, &target, &first).await?;
            let templates = lab.backend.catalogue(&lab.scope()).await?.templates;
            let made = templates
                .iter()
                .filter(|template| template.title.contains(&name))
                .count();
            let wanted = usize::from(acted.template.is_some());
            ensure!(made == wanted, "{what} makes {made} templates and not {wanted}");
        }
    }
    Ok(())
}

/// A change that is stopped at each of its points and called again is there whole, and nothing else has changed.
pub(super) async fn stopped_changes_continue(lab: &Lab, kind: &TypeId) -> Verdict {
    let capability = lab.capability(kind)?;
    if capability.update.is_empty() {
        return Err(End::Skip(format!("nothing of a {} can be changed", kind.term())));
    }
    let mut create = lab.resource(kind).await?;
    create.bring_up = false;
    lab.create(&create).await?;
    let target = target(&create);
    for update in &capability.update {
        let state = lab.go_to_one(&target, &update.states).await?;
        let before = lab.picture(&target).await?;
        let Some(change) = updates::sample(lab, update, &before).await? else {
            continue;
        };
        let alter = async |context: &_| lab.backend.update(context, &target, &change).await;
        with_stops(lab, alter, async || stays(lab, &target, &before.native_id).await).await?;
        let after = lab.picture(&target).await?;
        updates::shows(&change, &after)?;
        let now = lab.state(&target).await?;
        ensure!(
            now == state && after.native_id == before.native_id,
            "after a stop at each point a change of {} made it {now}, or another",
            update.what
        );
    }
    Ok(())
}

/// It is there, and the same.
async fn stays(lab: &Lab, target: &Target, native_id: &str) -> Verdict {
    let found = lab.picture(target).await?.native_id;
    ensure!(
        found == native_id,
        "a stop makes another: {found} instead of {native_id}"
    );
    Ok(())
}

/// What a stopped create leaves, a delete by the mark removes whole.
pub(super) async fn stopped_creates_are_removed_whole(lab: &Lab, kind: &TypeId) -> Verdict {
    let mut sample = lab.resource(kind).await?;
    lab.capability(kind)?;
    // A boot takes long; what it leaves is stopped and removed by the other case.
    sample.bring_up = !lab.config.slow;
    for point in 0..POINTS_MAX {
        let both = [How::Interrupt, How::Drop];
        let alternate = [how(point)];
        for how in if lab.config.slow {
            alternate.as_slice()
        } else {
            both.as_slice()
        } {
            let create = anew(&sample);
            lab.remember(&create);
            let notes = Arc::new(Notes::new(Stop::At(point as usize), *how));
            let make = async |context: &_| lab.backend.create(context, &create).await;
            let ran = lab.run(&notes, Uuid::new_v4(), 1, make).await;
            let done = matches!(ran, Ok(Ran::Done(_)));
            if let Err(error) = ran {
                lab.overcome(1, error).await?;
            }
            lab.delete(&target(&create)).await?;
            lab.gone(&create).await?;
            if done {
                ensure!(point > 0, "create has no point at which it can be stopped");
                return Ok(());
            }
        }
    }
    ensure!(false, "create has more than {POINTS_MAX} points");
    Ok(())
}

/// The same to be made, with other marks.
fn anew(sample: &Create) -> Create {
    let mut create = sample.clone();
    create.mark = super::samples::mark();
    for link in &mut create.links {
        link.mark = super::samples::mark();
    }
    create
}
