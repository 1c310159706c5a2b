//! Actions lead where the model says, from where the declaration says, by every declared method.

use super::journal::Notes;
use super::lab::{End, Lab, Verdict, ensure, invocation, name, refused, state, target};
use super::samples;
use crate::names::{COMPUTE, action, attribute};
use crate::{Acted, ActionCapability, Context, Create, ErrorKind, Invocation, Target, TemplateKind};
use occi_model::{Term, TypeId, Value};
use uuid::Uuid;

/// Every declared action of a resource.
pub(super) async fn actions_lead_where_the_model_says(lab: &Lab, kind: &TypeId) -> Verdict {
    if lab.capability(kind)?.actions.is_empty() {
        return Err(End::Skip(format!("a {} has no actions", kind.term())));
    }
    let create = lab.resource(kind).await?;
    lab.create(&create).await?;
    walk(lab, &target(&create)).await
}

/// Invokes every declared action of an entity by every method in every state that actions can reach.
pub(super) async fn walk(lab: &Lab, target: &Target) -> Verdict {
    let capability = lab.capability(&target.kind)?;
    let lifecycle = lab.lifecycle(&target.kind)?;
    let now = lab.state(target).await?;
    let mut states: Vec<String> = lab.ways(&target.kind, &now)?.into_keys().collect();
    states.sort();
    for state in &states {
        lab.go(target, state).await?;
        for action in &capability.actions {
            let leads_here = lifecycle.target(&action.action) == Some(state.as_str());
            if !leads_here && !action.states.contains(&state.as_str()) {
                let method = action.methods.first().map(|method| method.method);
                let invocation = with_parameters(lab, target, action, method).await?;
                let what = format!("{} while {state}", action.action.term());
                refused(what, lab.act(target, &invocation).await, ErrorKind::Conflict)?;
                let after = lab.state(target).await?;
                ensure!(after == *state, "a refused {} made it {after}", action.action.term());
            }
        }
    }
    for action in &capability.actions {
        let methods = methods(action);
        for state in states.iter().filter(|state| action.states.contains(&state.as_str())) {
            for method in &methods {
                lab.go(target, state).await?;
                let invocation = with_parameters(lab, target, action, *method).await?;
                let reached = lifecycle.target(&action.action).unwrap_or(state.as_str());
                once_and_again(lab, target, &invocation, reached).await?;
            }
        }
    }
    Ok(())
}

/// Every declared method of an action; none, once, of one that has no methods.
pub(super) fn methods(action: &ActionCapability) -> Vec<Option<&'static str>> {
    match action.methods.as_slice() {
        [] => vec![None],
        methods => methods.iter().map(|method| Some(method.method)).collect(),
    }
}

/// Acts, and acts again as after a crash: both times it is where the action leads.
async fn once_and_again(lab: &Lab, target: &Target, invocation: &Invocation, reached: &str) -> Verdict {
    let what = format!(
        "{} {}",
        invocation.action.term(),
        invocation.method().unwrap_or_default()
    );
    let notes = Notes::quiet();
    let operation = Uuid::new_v4();
    for first in [1, 2] {
        let act = async |context: &_| lab.backend.act(context, target, invocation).await;
        let acted = lab.send_with(&notes, operation, first, act).await?;
        arrived(lab, target, &what, reached, &acted).await?;
    }
    ensure!(!notes.lacks_steps(), "{what} records no step");
    Ok(())
}

/// Both the answer of an action and the engine say that it is where the action leads.
pub(super) async fn arrived(lab: &Lab, target: &Target, what: &str, reached: &str, acted: &Acted) -> Verdict {
    let Some(picture) = acted.pictures.first() else {
        return Err(End::Fail(format!("{what} returns no picture")));
    };
    ensure!(
        picture.mark.as_ref() == Some(&target.mark),
        "the first picture of {what} is not the entity's"
    );
    let told = state(&*lab.lifecycle(&target.kind)?, picture)?;
    ensure!(told == reached, "{what} returns when it is {told} and not {reached}");
    let found = lab.state(target).await?;
    ensure!(
        found == reached,
        "after {what} the {} is {found} and not {reached}",
        name(target)
    );
    Ok(())
}

/// The parameters that actions need besides the method.
pub(super) async fn with_parameters(
    lab: &Lab,
    target: &Target,
    action: &ActionCapability,
    method: Option<&str>,
) -> Verdict<Invocation> {
    let mut invocation = invocation(&action.action, method);
    match action.action.term() {
        "save" => {
            invocation.parameters.set(attribute("name"), "suite");
        }
        "resize" => {
            let picture = lab.picture(target).await?;
            let now = picture.attributes.get("occi.storage.size");
            if let Some(Value::Float(size)) = samples::another(&lab.config, "occi.storage.size", now) {
                invocation.parameters.set(attribute("size"), size);
            }
        }
        _ => {}
    }
    Ok(invocation)
}

/// A guest that ignores a graceful stop is no broken guest.
pub(super) async fn an_ignored_graceful_stop_leaves_it_active(lab: &Lab) -> Verdict {
    let Some(deafen) = lab.config.deafen.clone() else {
        return Err(End::Skip(
            "no way was given to make a guest that ignores a stop".to_owned(),
        ));
    };
    let stop = action("compute", "stop");
    let declared = lab.capability(&COMPUTE)?.action(&stop);
    if !declared.is_some_and(|stop| stop.methods.iter().any(|method| method.method == "graceful")) {
        return Err(End::Skip("no graceful stop is declared".to_owned()));
    }
    let mut create = lab.resource(&COMPUTE).await?;
    deafen(&mut create);
    lab.create(&create).await?;
    let target = target(&create);
    let stopped = lab.act(&target, &invocation(&stop, Some("graceful"))).await;
    refused("a graceful stop that the guest ignores", stopped, ErrorKind::Timeout)?;
    let after = lab.state(&target).await?;
    ensure!(
        after == "active",
        "a graceful stop that the guest ignores made it {after}"
    );
    lab.delete(&target).await?;
    lab.gone(&create).await
}

/// A saved compute is a template: one per operation, in the catalogue, fit to make computes from.
pub(super) async fn a_saved_compute_is_a_template(lab: &Lab) -> Verdict {
    let save = action("compute", "save");
    let Some(declared) = lab.capability(&COMPUTE)?.action(&save) else {
        return Err(End::Skip("no save is declared".to_owned()));
    };
    let mut create = lab.resource(&COMPUTE).await?;
    create.bring_up = !declared.states.contains(&"inactive");
    lab.create(&create).await?;
    let method = declared.methods.first().map(|method| method.method);
    let invocation = with_parameters(lab, &target(&create), declared, method).await?;
    let notes = Notes::quiet();
    let operation = Uuid::new_v4();
    let mut terms = Vec::new();
    for first in [1, 2] {
        let act = async |context: &_| lab.backend.act(context, &target(&create), &invocation).await;
        let saved = lab.send_with(&notes, operation, first, act).await?.template;
        terms.extend(saved.map(|template| template.term));
    }
    let [term, again] = terms.as_slice() else {
        return Err(End::Fail("save returns no template".to_owned()));
    };
    ensure!(term == again, "a save that is sent twice makes {term} and {again}");
    let templates = lab.backend.catalogue(&lab.scope()).await?.templates;
    let same = templates
        .iter()
        .filter(|template| template.kind == TemplateKind::Os && template.term == *term);
    ensure!(same.count() == 1, "the catalogue does not hold {term} once");
    let mut copy = lab.resource(&COMPUTE).await?;
    copy.os_template = Some(term.clone());
    copy.bring_up = false;
    lab.backend.admit(&lab.scope(), &copy).await?;
    let made = lab.create(&copy).await?;
    let template = made.first().and_then(|picture| picture.os_template.as_ref());
    ensure!(
        template.is_none_or(|made_from| made_from == term),
        "the copy is made from something else"
    );
    if lab.backend.capabilities().removes_templates {
        removed_when_unused(lab, term, &copy).await?;
    }
    Ok(())
}

/// A saved template goes when nothing is made of it any more, and no other does.
async fn removed_when_unused(lab: &Lab, term: &Term, copy: &Create) -> Verdict {
    let remove = async |term: &Term| {
        let verb = async |_: &Context| lab.backend.remove_template(&lab.scope(), term).await;
        lab.send(verb).await
    };
    refused(
        "a removal of a template of a compute",
        remove(term).await,
        ErrorKind::InUse,
    )?;
    if let Some(given) = lab.backend.catalogue(&lab.scope()).await?.default_os {
        refused(
            "a removal of what nobody saved",
            remove(&given).await,
            ErrorKind::Forbidden,
        )?;
    }
    lab.delete(&target(copy)).await?;
    for _again in 0..2 {
        remove(term).await?;
        let left = lab.backend.catalogue(&lab.scope()).await?.templates;
        let left = left.iter().any(|template| template.term == *term);
        ensure!(!left, "the catalogue holds {term}, which was removed");
    }
    let admitted = lab.backend.admit(&lab.scope(), copy).await;
    refused("a compute of a removed template", admitted, ErrorKind::Invalid)
}
