//! Changes of what the engine owns, in the declared states and in no other.

use super::journal::Notes;
use super::lab::{End, Lab, Verdict, ensure, refused, target};
use super::samples;
use crate::names::attribute;
use crate::{Change, ErrorKind, Picture, Target, TemplateKind, UpdateCapability};
use occi_model::TypeId;
use uuid::Uuid;

/// Every declared change of a resource.
pub(super) async fn changes_happen_in_declared_states_only(lab: &Lab, kind: &TypeId) -> Verdict {
    if lab.capability(kind)?.update.is_empty() {
        return Err(End::Skip(format!("nothing of a {} can be changed", kind.term())));
    }
    let mut create = lab.resource(kind).await?;
    create.bring_up = false;
    lab.create(&create).await?;
    let lifecycle = lab.lifecycle(kind)?;
    if lifecycle.bring_up.is_some() {
        let (state, initial) = (lab.state(&target(&create)).await?, lifecycle.initial);
        ensure!(state == initial, "what shall not come up is {state} and not {initial}");
    }
    change_everywhere(lab, &target(&create)).await
}

/// Tries every declared change of an entity in every state that actions can reach.
pub(super) async fn change_everywhere(lab: &Lab, target: &Target) -> Verdict {
    let now = lab.state(target).await?;
    let mut states: Vec<String> = lab.ways(&target.kind, &now)?.into_keys().collect();
    states.sort();
    // The state that it is in comes first: it need not be left and reached again.
    states.sort_by_key(|state| *state != now);
    for state in &states {
        lab.go(target, state).await?;
        for update in &lab.capability(&target.kind)?.update {
            let (what, before) = (&update.what, lab.picture(target).await?);
            let Some(change) = sample(lab, update, &before).await? else {
                if *state == now {
                    let (backend, kind) = (lab.name, target.kind.term());
                    eprintln!("{backend}: no other value is known for {what} of a {kind}: skipped");
                }
                continue;
            };
            if update.states.contains(&state.as_str()) {
                lab.backend.admit_change(&lab.scope(), target, &change).await?;
                let admitted = lab.picture(target).await?;
                ensure!(admitted == before, "admitting a change of {what} changes it");
                let (notes, operation) = (Notes::quiet(), Uuid::new_v4());
                let update = async |context: &_| lab.backend.update(context, target, &change).await;
                // Twice, as after a crash.
                for first in [1, 2] {
                    lab.send_with(&notes, operation, first, update).await?;
                }
                ensure!(!notes.lacks_steps(), "a change of {what} records no step");
                let after = lab.picture(target).await?;
                shows(&change, &after)?;
                ensure!(after.native_id == before.native_id, "a change of {what} makes another");
            } else {
                let refusal = lab.update(target, &change).await;
                refused(
                    format!("a change of {what} while {state}"),
                    refusal,
                    ErrorKind::Conflict,
                )?;
                let after = lab.picture(target).await?;
                ensure!(after == before, "a refused change of {what} changes it");
            }
            let after = lab.state(target).await?;
            ensure!(after == *state, "a change of {what} made it {after}");
        }
    }
    Ok(())
}

pub(super) async fn sample(lab: &Lab, update: &UpdateCapability, now: &Picture) -> Verdict<Option<Change>> {
    let wanted = match update.what.as_str() {
        "resource_tpl" => TemplateKind::Resource,
        "os_tpl" => TemplateKind::Os,
        name => {
            let another = samples::another(&lab.config, name, now.attributes.get(name));
            return Ok(another.map(|value| Change {
                set: [(attribute(name), value)].into_iter().collect(),
                ..Change::default()
            }));
        }
    };
    let templates = lab.backend.catalogue(&lab.scope()).await?.templates;
    let current = if wanted == TemplateKind::Os {
        &now.os_template
    } else {
        &now.resource_template
    };
    let other = templates
        .into_iter()
        .find(|template| template.kind == wanted && Some(&template.term) != current.as_ref());
    Ok(other.map(|template| match wanted {
        TemplateKind::Os => Change {
            os_template: Some(template.term),
            ..Change::default()
        },
        TemplateKind::Resource => Change {
            set: template.defaults,
            resource_template: Some(template.term),
            ..Change::default()
        },
    }))
}

pub(super) fn shows(change: &Change, after: &Picture) -> Verdict {
    for (name, wanted) in change.set.iter() {
        let got = after.attributes.get(name.as_str());
        let enough = match (got.and_then(|got| got.as_f64()), wanted.as_f64()) {
            (Some(got), Some(wanted)) => got >= wanted,
            _ => got == Some(wanted),
        };
        ensure!(enough, "after its change {name} is {got:?} and not {wanted:?}");
    }
    let os_template = change.os_template.is_none() || after.os_template == change.os_template;
    ensure!(
        os_template,
        "after its change the OS template is {:?}",
        after.os_template
    );
    let size = change.resource_template.is_none() || after.resource_template == change.resource_template;
    ensure!(size, "after its change the size is {:?}", after.resource_template);
    Ok(())
}
