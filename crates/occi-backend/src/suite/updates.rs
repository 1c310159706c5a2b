//! Changes of what the engine owns, in the declared states and in no other.

use super::lab::{End, Lab, Verdict, ensure, refused, target};
use super::samples;
use crate::names::attribute;
use crate::{Change, ErrorKind, Picture, Target, TemplateKind, UpdateCapability};
use occi_model::TypeId;

/// Every declared change of a resource.
pub(super) async fn changes_happen_in_declared_states_only(lab: &Lab, kind: &TypeId) -> Verdict {
    if lab.capability(kind)?.update.is_empty() {
        return Err(End::Skip(format!("nothing of a {} can be changed", kind.term())));
    }
    let mut create = lab.resource(kind).await?;
    create.bring_up = false;
    lab.create(&create).await?;
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
            let before = lab.picture(target).await?;
            let Some(change) = sample(lab, update, &before).await? else {
                if *state == now {
                    let (backend, kind) = (lab.name, target.kind.term());
                    eprintln!(
                        "{backend}: no other value is known for {} of a {kind}: skipped",
                        update.what
                    );
                }
                continue;
            };
            if update.states.contains(&state.as_str()) {
                lab.backend.admit_change(&lab.scope(), target, &change).await?;
                ensure!(
                    lab.picture(target).await? == before,
                    "admitting a change of {} changes it",
                    update.what
                );
                // Twice, as after a crash.
                lab.update(target, &change).await?;
                lab.update(target, &change).await?;
                let after = lab.picture(target).await?;
                shows(&change, &after)?;
                ensure!(
                    after.native_id == before.native_id,
                    "a change of {} makes another",
                    update.what
                );
            } else {
                let what = format!("a change of {} while {state}", update.what);
                refused(what, lab.update(target, &change).await, ErrorKind::Conflict)?;
                ensure!(
                    lab.picture(target).await? == before,
                    "a refused change of {} changes it",
                    update.what
                );
            }
            let after = lab.state(target).await?;
            ensure!(after == *state, "a change of {} made it {after}", update.what);
        }
    }
    Ok(())
}

async fn sample(lab: &Lab, update: &UpdateCapability, now: &Picture) -> Verdict<Option<Change>> {
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

fn shows(change: &Change, after: &Picture) -> Verdict {
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
