//! Links: with their compute and later; their states follow, and what they lead to stays.

use super::actions::walk;
use super::journal::Notes;
use super::lab::{End, Lab, Verdict, ensure, invocation, name, refused, target};
use super::samples;
use super::updates::change_everywhere;
use crate::names::{COMPUTE, NETWORK, NETWORKINTERFACE, action};
use crate::{Create, ErrorKind, Picture, Target};
use occi_model::TypeId;
use uuid::Uuid;

/// The life of links of one kind at one compute.
pub(super) async fn links_live_and_die_with_their_compute(lab: &Lab, kind: &TypeId) -> Verdict {
    lab.capability(kind)?;
    let compute = lab.capability(&COMPUTE)?;
    let inline = compute.inline_links.contains(kind);
    let Some(target_kind) = samples::link_target(kind) else {
        return Err(End::Skip(format!(
            "the suite does not know where a {} leads",
            kind.term()
        )));
    };
    let leads_to = lab.resource(target_kind).await?;
    lab.create(&leads_to).await?;
    let end = target(&leads_to);

    // Beside a link that comes with it, nothing else leads anywhere.
    let mut create = lab.resource(&COMPUTE).await?;
    create.bring_up = false;
    create.links.retain(|link| link.kind != *kind);
    if inline {
        create.links.push(samples::inline(kind, Some(end.clone())));
    }
    lab.create(&create).await?;
    let machine = target(&create);
    if inline {
        let link = by_mark(kind, &create);
        is_between(&lab.picture(&link).await?, &machine, &end)?;
        follows(lab, &link, "inactive").await?;
        lab.go(&machine, "active").await?;
        follows(lab, &link, "active").await?;
        let deleted = lab.delete(&end).await;
        refused("a delete of what a link leads to", deleted, ErrorKind::InUse)?;
        lab.picture(&end).await?;
        stays_while_used(lab, &machine, &link, &end).await?;
        walk(lab, &link).await?;
        lab.go(&machine, "active").await?;
        change_everywhere(lab, &link).await?;
    }
    made_later(lab, kind, &machine).await?;
    lab.go(&machine, "inactive").await?;
    if inline {
        follows(lab, &by_mark(kind, &create), "inactive").await?;
    }
    lab.delete(&machine).await?;
    lab.gone(&create).await?;
    lab.picture(&end).await?;
    lab.delete(&end).await?;
    lab.gone(&leads_to).await
}

/// What a compute uses goes offline when it is off, and its link with it.
async fn stays_while_used(lab: &Lab, machine: &Target, link: &Target, end: &Target) -> Verdict {
    let offline = action(end.kind.term(), "offline");
    if lab.capability(&end.kind)?.action(&offline).is_none() {
        return Ok(());
    }
    for state in ["active", "suspended"] {
        if lab.ways(&COMPUTE, &lab.state(machine).await?)?.contains_key(state) {
            lab.go(machine, state).await?;
            let taken = lab.act(end, &invocation(&offline, None)).await;
            refused(
                format!("offline of what a compute uses that is {state}"),
                taken,
                ErrorKind::InUse,
            )?;
            follows(lab, link, if state == "active" { "active" } else { "inactive" }).await?;
        }
    }
    lab.go(machine, "inactive").await?;
    lab.go(end, "offline").await?;
    lab.go(machine, "active").await?;
    follows(lab, link, "inactive").await?;
    lab.go(end, "online").await?;
    follows(lab, link, "active").await
}

/// A network that one project shares with another.
pub(super) async fn an_interface_leads_to_a_network_of_another_project(lab: &Lab) -> Verdict {
    if !lab.backend.capabilities().shared_networks {
        return Err(End::Skip("it is not declared".to_owned()));
    }
    let owner = lab.next_door();
    let verdict = share(lab, &owner).await;
    let clean = lab.clean().await;
    verdict.and(clean).and(owner.clean().await)
}

async fn share(lab: &Lab, owner: &Lab) -> Verdict {
    let kind: &TypeId = &NETWORKINTERFACE;
    let compute = lab.capability(&COMPUTE)?;
    let network = owner.resource(&NETWORK).await?;
    owner.create(&network).await?;
    let unsaid = target(&network);
    let end = Target {
        project: Some(owner.config.project.clone()),
        ..unsaid.clone()
    };
    let mut create = lab.resource(&COMPUTE).await?;
    create.bring_up = false;
    create.links = vec![samples::inline(kind, Some(unsaid.clone()))];
    let made = lab
        .send(async |context| lab.backend.create(context, &create).await)
        .await;
    ensure!(
        made.is_err(),
        "a network of another project is found although nobody says whose"
    );
    lab.gone(&create).await?;

    create.mark = samples::mark();
    create.links = vec![samples::inline(kind, Some(end.clone()))];
    let made = lab.create(&create).await?;
    ensure!(
        made.iter().all(|picture| picture.mark.as_ref() != Some(&network.mark)),
        "the network is among the pictures of another project"
    );
    let (machine, link) = (target(&create), by_mark(kind, &create));
    is_between(&lab.picture(&link).await?, &machine, &end)?;
    lab.listed(&link, 1).await?;
    owner.listed(&link, 0).await?;
    ensure!(lab.find(&unsaid).await?.is_none(), "the network is in both projects");
    let later = compute.later_links.iter().find(|(later, _)| later == kind);
    if later.is_some_and(|(_, states)| states.contains(&"inactive")) {
        let second = samples::link(kind, machine.clone(), end.clone());
        lab.create(&second).await?;
        is_between(&lab.picture(&target(&second)).await?, &machine, &end)?;
        lab.delete(&target(&second)).await?;
        lab.gone(&second).await?;
    }
    lab.go(&machine, "active").await?;
    follows(lab, &link, "active").await?;
    let deleted = owner.delete(&unsaid).await;
    refused("a delete of what another project uses", deleted, ErrorKind::InUse)?;
    for (term, state) in [("down", "inactive"), ("up", "active")] {
        let acted = owner.act(&unsaid, &invocation(&action("network", term), None)).await?;
        ensure!(
            acted
                .pictures
                .iter()
                .all(|picture| picture.mark.as_ref() != Some(&link.mark)),
            "the link is among the pictures of another project"
        );
        follows(lab, &link, state).await?;
    }
    lab.delete(&machine).await?;
    lab.gone(&create).await?;
    owner.delete(&unsaid).await?;
    owner.gone(&network).await
}

/// Links that are made on an existing compute: in the declared states, and in no other.
async fn made_later(lab: &Lab, kind: &TypeId, machine: &Target) -> Verdict {
    let compute = lab.capability(&COMPUTE)?;
    let Some((_, allowed)) = compute.later_links.iter().find(|(later, _)| later == kind) else {
        return Ok(());
    };
    let Some(target_kind) = samples::link_target(kind) else {
        return Ok(());
    };
    let leads_to = lab.resource(target_kind).await?;
    lab.create(&leads_to).await?;
    let end = target(&leads_to);
    let now = lab.state(machine).await?;
    let mut states: Vec<String> = lab.ways(&COMPUTE, &now)?.into_keys().collect();
    states.sort();
    states.sort_by_key(|state| *state != now);
    for state in states {
        lab.go(machine, &state).await?;
        let link = samples::link(kind, machine.clone(), end.clone());
        if !allowed.contains(&state.as_str()) {
            let made = lab.send(async |context| lab.backend.create(context, &link).await).await;
            refused(format!("a {} while {state}", kind.term()), made, ErrorKind::Conflict)?;
            lab.gone(&link).await?;
            continue;
        }
        let made = lab.create(&link).await?;
        let first = made.first().and_then(|picture| picture.mark.as_ref());
        ensure!(first == Some(&link.mark), "the first picture is not the link's");
        let by_mark = target(&link);
        is_between(&lab.picture(&by_mark).await?, machine, &end)?;
        lab.listed(&by_mark, 1).await?;
        let make = async |context: &_| lab.backend.create(context, &link).await;
        lab.send_with(&Notes::quiet(), Uuid::new_v4(), 2, make).await?;
        lab.listed(&by_mark, 1).await?;
        follows(lab, &by_mark, if state == "active" { "active" } else { "inactive" }).await?;
        let deleted = lab.delete(&end).await;
        refused("a delete of what a link leads to", deleted, ErrorKind::InUse)?;
        lab.delete(&by_mark).await?;
        lab.gone(&link).await?;
        lab.delete(&by_mark).await?;
    }
    lab.delete(&end).await?;
    lab.gone(&leads_to).await
}

/// The state of a link is what its ends make it.
async fn follows(lab: &Lab, link: &Target, wanted: &str) -> Verdict {
    let state = lab.state(link).await?;
    ensure!(state == wanted, "the {} is {state} and not {wanted}", name(link));
    Ok(())
}

fn is_between(picture: &Picture, source: &Target, target: &Target) -> Verdict {
    let Some(ends) = &picture.ends else {
        return Err(End::Fail(format!("a {} has no ends", picture.kind.term())));
    };
    let right = ends.source.mark.as_ref() == Some(&source.mark) && ends.target.mark.as_ref() == Some(&target.mark);
    ensure!(right, "a {} joins other ends: {ends:?}", picture.kind.term());
    Ok(())
}

fn by_mark(kind: &TypeId, create: &Create) -> Target {
    let link = create.links.iter().rfind(|link| link.kind == *kind);
    Target {
        kind: kind.clone(),
        mark: link.map_or_else(samples::mark, |link| link.mark.clone()),
        native_id: None,
        project: None,
    }
}
