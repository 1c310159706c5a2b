//! Making and removing: once, or not at all.

use super::journal::Notes;
use super::lab::{End, Lab, Verdict, ensure, link_targets, name, refused, state, target};
use super::samples;
use crate::names::{COMPUTE, attribute};
use crate::{Change, ErrorKind, Outcome, Picture, Target};
use occi_model::{Attributes, TypeId};
use uuid::Uuid;

/// One mark, one object: made, made again, found, listed, removed, removed again.
pub(super) async fn made_twice_is_made_once(lab: &Lab, kind: &TypeId) -> Verdict {
    let create = lab.resource(kind).await?;
    let lifecycle = lab.lifecycle(kind)?;
    let by_mark = target(&create);
    let notes = Notes::quiet();
    let operation = Uuid::new_v4();
    lab.remember(&create);
    let make = async |context: &_| lab.backend.create(context, &create).await;
    let made = lab.send_with(&notes, operation, 1, make).await?;
    let Some(first) = made.first() else {
        ensure!(false, "create returns no picture");
        return Ok(());
    };
    ensure!(
        first.mark.as_ref() == Some(&create.mark),
        "the first picture does not carry the mark"
    );
    ensure!(first.kind == *kind, "the first picture is of a {}", first.kind.term());
    let reached = state(&lifecycle, first)?;
    ensure!(
        reached == lifecycle.up,
        "create returns when it is {reached} and not {}",
        lifecycle.up
    );
    has_what_was_asked(lab, first, &create.attributes)?;

    let Some(accepted) = notes.accepted_picture() else {
        ensure!(false, "create never says that it is accepted");
        return Ok(());
    };
    ensure!(
        accepted.native_id == first.native_id,
        "what is accepted is not what is made"
    );
    ensure!(!notes.lacks_steps(), "create records no step");

    let again = lab.send_with(&notes, operation, 2, make).await?;
    let same = again.first().map(|picture| &picture.native_id) == Some(&first.native_id);
    ensure!(same, "the second create of a mark makes another");

    let found = lab.picture(&by_mark).await?;
    ensure!(found.native_id == first.native_id, "the mark finds something else");
    let by_id = Target {
        mark: samples::mark(),
        native_id: Some(first.native_id.clone()),
        ..by_mark.clone()
    };
    let found = lab.picture(&by_id).await?;
    ensure!(
        found.mark.as_ref() == Some(&create.mark),
        "the native id finds something else"
    );
    lab.listed_as(&by_mark, &found).await?;
    for link in link_targets(&create) {
        let returned = made.iter().any(|picture| picture.mark.as_ref() == Some(&link.mark));
        ensure!(returned, "create does not return the {}", name(&link));
        let picture = lab.picture(&link).await?;
        let Some(ends) = picture.ends else {
            ensure!(false, "the {} has no ends", name(&link));
            return Ok(());
        };
        ensure!(
            ends.source.native_id == first.native_id,
            "the {} starts elsewhere",
            name(&link)
        );
        let listing = lab.backend.list(&lab.scope(), &ends.target.kind).await?;
        let leads = listing
            .pictures
            .iter()
            .any(|picture| picture.native_id == ends.target.native_id);
        ensure!(leads, "the {} leads to what no listing shows", name(&link));
        lab.listed(&link, 1).await?;
    }

    if !lab.capability(kind)?.delete {
        return Ok(());
    }
    lab.delete(&by_mark).await?;
    lab.gone(&create).await?;
    lab.delete(&by_mark).await?;
    lab.delete(&by_id).await?;
    Ok(())
}

/// Every attribute that was asked for and that the engine owns is there; sizes may be more.
fn has_what_was_asked(lab: &Lab, picture: &Picture, asked: &Attributes) -> Verdict {
    let owned = &lab.capability(&picture.kind)?.owned;
    for (name, asked) in asked.iter().filter(|(name, _)| owned.contains(name)) {
        let Some(got) = picture.attributes.get(name.as_str()) else {
            ensure!(false, "{name} was asked for and is missing");
            continue;
        };
        let enough = match (got.as_f64(), asked.as_f64()) {
            (Some(got), Some(asked)) => got >= asked,
            _ => got == asked,
        };
        ensure!(enough, "{name} is {got}, and {asked} was asked for");
    }
    for (name, _) in picture.attributes.iter() {
        ensure!(
            owned.contains(name),
            "the picture has {name}, which the engine does not own"
        );
    }
    Ok(())
}

/// Admission has no effect.
pub(super) async fn admission_has_no_effect(lab: &Lab, kind: &TypeId) -> Verdict {
    let create = lab.resource(kind).await?;
    lab.backend.admit(&lab.scope(), &create).await?;
    lab.gone(&create).await
}

/// What is refused leaves nothing, and admission refuses no more than create does.
pub(super) async fn an_unknown_system_is_refused(lab: &Lab, kind: &TypeId) -> Verdict {
    let mut create = lab.resource(kind).await?;
    create.os_template = "no-such-system".parse().ok();
    let admitted = lab.backend.admit(&lab.scope(), &create).await;
    ensure!(admitted.is_err(), "an unknown OS template is admitted");
    let made = lab
        .send(async |context| lab.backend.create(context, &create).await)
        .await;
    match made {
        Ok(_) => ensure!(false, "a compute is made from an unknown OS template"),
        Err(error) => ensure!(
            error.outcome == Outcome::Nothing,
            "a refusal says that something may be there"
        ),
    }
    lab.gone(&create).await
}

/// What there never is room for is no want of room, which would pass: nobody asks again for it.
pub(super) async fn what_never_fits_is_too_large(lab: &Lab, kind: &TypeId) -> Verdict {
    let size = match *kind == *COMPUTE {
        true => "occi.compute.memory",
        false => "occi.storage.size",
    };
    let mut create = lab.resource(kind).await?;
    create.attributes.set(attribute(size), 1e9);
    let Err(refusal) = lab.backend.admit(&lab.scope(), &create).await else {
        return Err(End::Skip("any size is admitted".to_owned()));
    };
    let made = lab
        .send(async |context| lab.backend.create(context, &create).await)
        .await;
    let Err(failure) = made else {
        ensure!(false, "what is not admitted is made");
        return Ok(());
    };
    for error in [refusal, failure] {
        ensure!(
            matches!(
                error.kind,
                ErrorKind::TooLarge | ErrorKind::Invalid | ErrorKind::QuotaExceeded
            ),
            "a size that never fits is refused as {:?}: {error}",
            error.kind
        );
        ensure!(
            error.outcome == Outcome::Nothing,
            "a refusal says that something may be there"
        );
    }
    lab.gone(&create).await
}

/// What is missing: not found, and no failure to delete.
pub(super) async fn what_is_missing_is_not_found(lab: &Lab, kind: &TypeId) -> Verdict {
    let capability = lab.capability(kind)?;
    let mut missing = Target {
        kind: kind.clone(),
        mark: samples::mark(),
        native_id: None,
        project: None,
    };
    for native_id in [None, Some("no-such-object".to_owned())] {
        missing.native_id = native_id;
        ensure!(lab.find(&missing).await?.is_none(), "something missing is found");
        lab.delete(&missing).await?;
        if let Some(action) = capability.actions.first() {
            let method = action.methods.first().map(|method| method.method);
            let invocation = super::lab::invocation(&action.action, method);
            let acted = lab.act(&missing, &invocation).await;
            refused("an action on something missing", acted, ErrorKind::NotFound)?;
        }
        let change = capability.update.iter().find_map(|update| {
            let value = samples::another(&lab.config, &update.what, None)?;
            let set = [(attribute(&update.what), value)].into_iter().collect();
            Some(Change {
                set,
                ..Change::default()
            })
        });
        if let Some(change) = change {
            let updated = lab.update(&missing, &change).await;
            refused("a change of something missing", updated, ErrorKind::NotFound)?;
        }
    }
    Ok(())
}

/// What is not declared is not supported.
pub(super) async fn what_is_not_declared_is_unsupported(lab: &Lab) -> Verdict {
    let Ok(teapot) = "http://example.org/occi/suite#teapot".parse::<TypeId>() else {
        return Ok(());
    };
    let scope = lab.scope();
    refused(
        "a listing of teapots",
        lab.backend.list(&scope, &teapot).await,
        ErrorKind::Unsupported,
    )?;
    let capability = lab.capability(&COMPUTE)?;
    let target = Target {
        kind: capability.kind.clone(),
        mark: samples::mark(),
        native_id: None,
        project: None,
    };
    let brewed = lab.act(&target, &super::lab::invocation(&teapot, None)).await;
    refused("brewing", brewed, ErrorKind::Unsupported)
}
