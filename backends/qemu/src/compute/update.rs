//! How a compute is changed.

use crate::compute::create::{freeze, image_of, text};
use crate::compute::files::{complete, write_seed};
use crate::compute::machine::Machine;
use crate::error::refuse;
use crate::host::blocking::blocking;
use crate::image::Image;
use crate::image::bases::Frozen;
use crate::record::{MachineRecord, Wanted};
use crate::site::Site;
use crate::translate::{self, bytes};
use occi_backend::{Change, Context, ErrorKind, Picture, Result, Scope};
use occi_model::templates;
use std::sync::Arc;

pub(crate) async fn admit_change(
    site: &Arc<Site>,
    scope: &Scope,
    machine: &Arc<Machine>,
    change: &Change,
) -> Result<()> {
    let (site, scope, machine, change) = (site.clone(), scope.clone(), machine.clone(), change.clone());
    blocking(move || {
        let asked = change.os_template.as_ref();
        let image = asked.map(|term| image_of(&site, &scope, Some(term))).transpose()?;
        changed(&site, &scope, &machine, &change, image.as_ref()).map(drop)
    })
    .await
}

/// What a change makes of a machine's record, with the image of its new root disk if it gets one.
fn changed(
    site: &Site,
    scope: &Scope,
    machine: &Machine,
    change: &Change,
    image: Option<&Image>,
) -> Result<MachineRecord> {
    let now = machine.record.get();
    let mut record = MachineRecord::clone(&now);
    let number = |name: &str| change.set.get(name).and_then(occi_model::Value::as_f64);
    if let Some(cores) = change.set.get("occi.compute.cores").and_then(occi_model::Value::as_i64) {
        record.cores = u32::try_from(cores).unwrap_or(u32::MAX);
    }
    if let Some(memory) = number("occi.compute.memory") {
        record.memory = memory;
    }
    if let Some(hostname) = text(&change.set, "occi.compute.hostname") {
        record.hostname = Some(hostname.to_owned());
    }
    if change.unset.iter().any(|name| name.as_str() == "occi.compute.hostname") {
        record.hostname = None;
    }
    if let Some(gib) = number(templates::EPHEMERAL_SIZE) {
        record.ephemeral = Some(gib.max(record.ephemeral.unwrap_or(0.0)));
    }
    let is_renamed_only = image.is_none()
        && *now
            == MachineRecord {
                hostname: now.hostname.clone(),
                ..record.clone()
            };
    if is_renamed_only && !machine.is_held() {
        return Ok(record);
    }
    if !is_off(machine) {
        return refuse(
            ErrorKind::Conflict,
            "the compute can be changed while it is inactive; stop it first",
        );
    }
    let images = site.images(&scope.project);
    let booted = image.or_else(|| images.get(&record.template));
    if let Some(booted) = booted.filter(|image| record.memory_mib() < image.min_memory_mib()) {
        return refuse(
            ErrorKind::Invalid,
            format!(
                "{} needs at least {} MiB of memory, and {} MiB were asked for",
                booted.term,
                booted.min_memory_mib(),
                record.memory_mib()
            ),
        );
    }
    let root = image.map_or(0, |image| image.header.size);
    let ephemeral = |record: &MachineRecord| record.ephemeral.map_or(0, bytes);
    let grown = ephemeral(&record).saturating_sub(ephemeral(&now));
    site.check_size(record.cores, record.memory_mib())?;
    if grown > 0 || root > 0 {
        site.check_disk_size(root.saturating_add(ephemeral(&record)))?;
    }
    site.check_room(&record.mark, record.cores, record.memory_mib())?;
    site.check_disk(root.saturating_add(grown))?;
    Ok(record)
}

/// Whether nothing of it runs or is held.
fn is_off(machine: &Machine) -> bool {
    !machine.status().has_process() && machine.record.get().wanted != Wanted::Hibernated
}

/// Changes what a compute will be at its next start. One that runs can get another name.
pub(crate) async fn update(
    site: &Arc<Site>,
    context: &Context,
    machine: &Arc<Machine>,
    change: &Change,
) -> Result<Vec<Picture>> {
    machine.look().await?;
    let frozen = match &change.os_template {
        Some(term) => Some(freeze(site, context, Some(term)).await?),
        None => None,
    };
    let (scope, own, wish) = (context.scope.clone(), machine.clone(), change.clone());
    site.place(move |site| record_change(site, &scope, &own, &wish, frozen.as_ref()))
        .await?;
    context.step("change recorded").await?;
    complete(site, context, machine).await?;
    Ok(translate::machine_and_links(site, machine))
}

/// Records what a compute is to be. For [`Site::place`].
fn record_change(
    site: &Site,
    scope: &Scope,
    machine: &Machine,
    change: &Change,
    frozen: Option<&Frozen>,
) -> Result<()> {
    let mut wanted = changed(site, scope, machine, change, frozen.map(|frozen| &frozen.image))?;
    if !is_off(machine) {
        write_seed(machine, &wanted)?;
        machine
            .record
            .blocking_change(|record| record.hostname = wanted.hostname)?;
        return Ok(());
    }
    let now = machine.record.get();
    // Until its files are made anew it is not whole; whoever finds it so makes them.
    wanted.made &= frozen.is_none() && wanted.hostname == now.hostname && wanted.ephemeral == now.ephemeral;
    if let Some(Frozen { image, base, .. }) = frozen {
        wanted.fresh_root = true;
        wanted.base = base.clone();
        wanted.template = image.term.to_string();
        wanted.ssh_user = image.ssh_user().map(str::to_owned);
    }
    // Links that come and go meanwhile stay as they are.
    machine.record.blocking_change(|record| {
        record.cores = wanted.cores;
        record.memory = wanted.memory;
        record.hostname = wanted.hostname;
        record.ephemeral = wanted.ephemeral;
        record.base = wanted.base;
        record.template = wanted.template;
        record.ssh_user = wanted.ssh_user;
        record.made = wanted.made;
        record.fresh_root = wanted.fresh_root;
    })?;
    Ok(())
}
