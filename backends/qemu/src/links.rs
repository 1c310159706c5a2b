//! Links: interfaces and attached volumes, with their compute or later.

use crate::compute::command_line::{MAX_DISKS, MAX_NICS, disk_device};
use crate::compute::devices;
use crate::compute::machine::Machine;
use crate::compute::place_nic;
use crate::error::refuse;
use crate::network::processes::Network;
use crate::record::{DiskRecord, MachineRecord, NicRecord};
use crate::site::Site;
use crate::translate;
use crate::volume::Volume;
use occi_backend::{Acted, Context, Create, CreateLink, ErrorKind, Invocation, Picture, Result, Scope, Target, names};
use std::sync::Arc;

/// The name under which this engine knows a target: native ids are our marks, except for what it makes by itself.
pub(crate) fn id(target: &Target) -> &str {
    target.native_id.as_deref().unwrap_or(target.mark.as_str())
}

/// The network that an interface is to lead to.
pub(crate) fn target_network(site: &Site, scope: &Scope, target: &Target) -> Result<Arc<Network>> {
    match site.network(id(target)) {
        Some(network) if network.record.get().project == target.project_in(&scope.project) => Ok(network),
        _ => refuse(
            ErrorKind::Conflict,
            "the network that the interface is to lead to does not exist",
        ),
    }
}

/// The volume that a link is to attach; it must be free.
pub(crate) fn target_volume(site: &Site, target: &Target) -> Result<Arc<Volume>> {
    let Some(volume) = site.volume(id(target)) else {
        return refuse(
            ErrorKind::Conflict,
            "the storage that the link is to lead to does not exist",
        );
    };
    if let Some((machine, _)) = site.attachment(&volume.id) {
        let message = format!("the storage is attached to the compute {}", machine.id);
        return refuse(ErrorKind::InUse, message);
    }
    Ok(volume)
}

/// The lowest place that none of `taken` has.
fn free_place(taken: impl Iterator<Item = u8> + Clone, most: u8, what: &str) -> Result<u8> {
    let free = (0..most).find(|index| !taken.clone().any(|taken| taken == *index));
    match free {
        Some(index) => Ok(index),
        None => refuse(ErrorKind::Conflict, format!("a compute has room for {most} {what}")),
    }
}

/// Gives a volume its place in a machine. For [`Site::place`].
pub(crate) fn place_disk(
    site: &Site,
    machine: &MachineRecord,
    link: &CreateLink,
    target: &Target,
) -> Result<DiskRecord> {
    let volume = target_volume(site, target)?;
    if machine.disks.iter().any(|disk| disk.volume == volume.id) {
        return refuse(ErrorKind::Conflict, "two links of one compute lead to the same storage");
    }
    let taken = machine.disks.iter().chain(&machine.former_disks).map(|disk| disk.index);
    let is_free = |index: &u8| !taken.clone().any(|taken| taken == *index);
    // The device name is a wish: GFD.224 leaves it to the provider.
    let wish = link
        .attributes
        .get("occi.storagelink.deviceid")
        .and_then(|value| value.as_str());
    let wished = (0..MAX_DISKS)
        .find(|index| wish == Some(&disk_device(machine, *index)))
        .filter(is_free);
    let index = match wished {
        Some(index) => index,
        None => free_place(taken, MAX_DISKS, "volumes")?,
    };
    Ok(DiskRecord {
        mark: link.mark.to_string(),
        index,
        volume: volume.id.clone(),
        online: true,
        leaving: false,
    })
}

/// An interface or an attached volume, found by its mark.
pub(crate) enum Link {
    Nic(NicRecord),
    Disk(DiskRecord),
}

/// The link called `id`, and its machine.
pub(crate) fn find(site: &Site, id: &str) -> Option<(Arc<Machine>, Link)> {
    site.machines().into_iter().find_map(|machine| {
        let record = machine.record.get();
        let nic = record.nics.iter().find(|nic| nic.mark == id).cloned().map(Link::Nic);
        let mut disks = record.disks.iter();
        let disk = || disks.find(|disk| disk.mark == id).cloned().map(Link::Disk);
        let link = nic.or_else(disk)?;
        Some((machine, link))
    })
}

/// What it looks like.
pub(crate) fn picture(site: &Site, machine: &Machine, link: &Link) -> Picture {
    match link {
        Link::Nic(nic) => translate::interface(site, machine, nic),
        Link::Disk(disk) => translate::storage_link(site, machine, disk),
    }
}

fn changed(site: &Site, id: &str) -> Result<Vec<Picture>> {
    match find(site, id) {
        Some((machine, link)) => Ok(vec![picture(site, &machine, &link)]),
        None => refuse(ErrorKind::NotFound, "the link is gone"),
    }
}

/// Links are made on computes that are off, run or are held; of one in error nobody knows what it would take.
fn check_state(machine: &Machine) -> Result<()> {
    let record = machine.record.get();
    let (state, _) = translate::machine_state(&record, &machine.status());
    match state {
        "inactive" | "active" | "suspended" => Ok(()),
        _ => refuse(
            ErrorKind::Conflict,
            format!("the compute is {state}; links are made while it is on, off or suspended"),
        ),
    }
}

fn ends<'a>(site: &Site, create: &'a Create) -> Result<(Arc<Machine>, &'a Target)> {
    let Some(ends) = &create.ends else {
        return refuse(ErrorKind::Invalid, "a link needs a source and a target");
    };
    match site.machine(id(&ends.source)) {
        Some(machine) => Ok((machine, &ends.target)),
        None => refuse(
            ErrorKind::Conflict,
            "the compute that the link is to start at does not exist",
        ),
    }
}

pub(crate) fn admit(site: &Site, scope: &Scope, create: &Create) -> Result<()> {
    let (machine, target) = ends(site, create)?;
    if find(site, create.mark.as_str()).is_some() {
        return Ok(());
    }
    check_state(&machine)?;
    if create.kind == *names::NETWORKINTERFACE {
        target_network(site, scope, target).map(drop)
    } else {
        target_volume(site, target).map(drop)
    }
}

pub(crate) async fn create(site: &Arc<Site>, context: &Context, create: &Create) -> Result<Vec<Picture>> {
    let (machine, target) = ends(site, create)?;
    machine.look().await?;
    let mark = create.mark.as_str();
    if find(site, mark).is_none() {
        let (scope, machine) = (context.scope.clone(), machine.clone());
        let (create, target) = (create.clone(), target.clone());
        site.place(move |site| place(site, &scope, &machine, &create, &target))
            .await?;
        context.step("link recorded").await?;
    }
    if let Some(first) = changed(site, mark)?.first() {
        context.accepted(first).await?;
    }
    settle(site, context, &machine, mark).await?;
    context.step("device plugged").await?;
    changed(site, mark)
}

/// Gives a link its place in a machine. For [`Site::place`].
fn place(site: &Site, scope: &Scope, machine: &Machine, create: &Create, target: &Target) -> Result<()> {
    check_state(machine)?;
    let link = CreateLink {
        mark: create.mark.clone(),
        kind: create.kind.clone(),
        mixins: create.mixins.clone(),
        attributes: create.attributes.clone(),
        target: Some(target.clone()),
    };
    let record = machine.record.get();
    if create.kind == *names::NETWORKINTERFACE {
        let network = target_network(site, scope, target)?;
        let taken = record.nics.iter().chain(&record.former_nics).map(|nic| nic.index);
        let index = free_place(taken, MAX_NICS, "network interfaces")?;
        let nic = place_nic(site, &network, &link, index, &record.nics)?;
        machine.record.blocking_change(|record| record.nics.push(nic))?;
    } else {
        let disk = place_disk(site, &record, &link, target)?;
        machine.record.blocking_change(|record| record.disks.push(disk))?;
    }
    Ok(())
}

/// Makes network and machine agree with the records.
async fn settle(site: &Arc<Site>, context: &Context, machine: &Arc<Machine>, mark: &str) -> Result<()> {
    if let Some((_, Link::Nic(nic))) = find(site, mark)
        && let Some(network) = site.network(&nic.network)
    {
        network.settle(site).await?;
        devices::settle(site, machine, Some(context)).await?;
        // The switch finds the socket at once, instead of at its next round.
        network.settle(site).await?;
    } else {
        devices::settle(site, machine, Some(context)).await?;
    }
    Ok(())
}

pub(crate) async fn delete(site: &Arc<Site>, context: &Context, mark: &str) -> Result<()> {
    let Some((machine, link)) = find(site, mark) else {
        return Ok(());
    };
    match unlink(site, context, &machine, &link, mark).await {
        // It went with its compute meanwhile.
        Err(_) if !machine.directory.exists() => Ok(()),
        done => done,
    }
}

async fn unlink(site: &Arc<Site>, context: &Context, machine: &Arc<Machine>, link: &Link, mark: &str) -> Result<()> {
    machine.look().await?;
    let own = mark.to_owned();
    let leave = move |record: &mut MachineRecord| {
        record.nic_mut(&own).into_iter().for_each(|nic| nic.leaving = true);
        record.disk_mut(&own).into_iter().for_each(|disk| disk.leaving = true);
    };
    machine.record.change(leave).await?;
    context.step("link on its way out").await?;
    // Decided before the device goes: a guest that is let go on meanwhile is asked again below.
    let held = machine.is_held();
    devices::settle(site, machine, Some(context)).await?;
    context.step("device unplugged").await?;
    let own = mark.to_owned();
    let forget = move |record: &mut MachineRecord| {
        let nics = record.nics.extract_if(.., |nic| nic.mark == own);
        record.former_nics.extend(nics.filter(|_| held));
        let disks = record.disks.extract_if(.., |disk| disk.mark == own);
        record.former_disks.extend(disks.filter(|_| held));
    };
    machine.record.change(forget).await?;
    if held {
        machine.clear_up(site);
    }
    if let Link::Nic(nic) = link
        && let Some(network) = site.network(&nic.network)
    {
        network.settle(site).await?;
    }
    context.step("link removed").await
}

pub(crate) async fn act(site: &Arc<Site>, context: &Context, mark: &str, invocation: &Invocation) -> Result<Acted> {
    let Some((machine, _)) = find(site, mark) else {
        return refuse(ErrorKind::NotFound, "there is no such link");
    };
    machine.look().await?;
    check_state(&machine)?;
    let on = matches!(invocation.action.term(), "up" | "online");
    let own = mark.to_owned();
    let switch = move |record: &mut MachineRecord| {
        record.nic_mut(&own).into_iter().for_each(|nic| nic.up = on);
        record.disk_mut(&own).into_iter().for_each(|disk| disk.online = on);
    };
    machine.record.change(switch).await?;
    settle(site, context, &machine, mark).await?;
    context.step(if on { "link on" } else { "link off" }).await?;
    Ok(Acted {
        pictures: changed(site, mark)?,
        template: None,
    })
}
