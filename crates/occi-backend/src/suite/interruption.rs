//! Stopping a verb at every point that it records: told to by the journal, or dropped there as a crash would.

use super::journal::{How, Notes, Stop};
use super::lab::{End, Lab, Ran, Verdict, ensure, link_targets, target};
use crate::{Context, Create, Result};
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

/// Stops a verb at each new point and calls it again, until it ends; `after` looks at what each stop left.
async fn with_stops<T>(
    lab: &Lab,
    verb: impl AsyncFn(&Context) -> Result<T>,
    after: impl AsyncFn() -> Verdict,
) -> Verdict {
    let operation = Uuid::new_v4();
    let mut seen = HashSet::new();
    let mut failed = false;
    for attempt in 1..=POINTS_MAX {
        let notes = Arc::new(Notes::new(Stop::AtNew(seen.clone()), how(attempt)));
        match lab.run(&notes, operation, attempt, &verb).await {
            Ok(Ran::Done(_)) => {
                // A call that finds done what a failed one did records nothing.
                ensure!(
                    failed || !seen.is_empty(),
                    "there is no point at which it can be stopped"
                );
                return Ok(());
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
