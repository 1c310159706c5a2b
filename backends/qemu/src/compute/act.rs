//! The actions on a compute.

use crate::compute::command_line::ROOT;
use crate::compute::files::complete;
use crate::compute::machine::{Machine, Status};
use crate::compute::saving;
use crate::error::{Failure, refuse};
use crate::host::blocking::blocking;
use crate::image::{saved, templates};
use crate::placing::Reservation;
use crate::record::{MachineRecord, Wanted};
use crate::site::Site;
use crate::translate::{self, bytes};
use occi_backend::{Acted, BackendError, Context, ErrorKind, Invocation, Result};
use std::sync::Arc;

/// Keeps the room of a machine that is to stop and to start again.
fn keep_room(site: &Arc<Site>, machine: &Machine) -> Reservation {
    let record = machine.record.get();
    site.keep_room(&machine.id, record.cores, record.memory_mib())
}

/// Keeps room for a machine that is to start.
pub(super) fn reserve(site: &Arc<Site>, machine: &Machine) -> Result<Reservation> {
    let record = machine.record.get();
    site.reserve(&machine.id, record.cores, record.memory_mib())
}

pub(crate) async fn act(
    site: &Arc<Site>,
    context: &Context,
    machine: &Arc<Machine>,
    invocation: &Invocation,
) -> Result<Acted> {
    if (invocation.action.term(), invocation.method()) == ("stop", Some("poweroff")) {
        machine.end_if_silent().await?;
    }
    machine.look().await?;
    match (invocation.action.term(), invocation.method()) {
        ("start", _) => {
            if machine.status() != Status::Running {
                complete(site, context, machine).await?;
                let to_start = !machine.status().has_process();
                let _room = to_start.then(|| reserve(site, machine)).transpose()?;
                machine.power_on(Some(context)).await?;
                context.step("machine started").await?;
            }
        }
        ("stop", method) => {
            stop(site, machine, method.unwrap_or("graceful")).await?;
            context.step("machine stopped").await?;
        }
        ("restart", method) => restart(site, context, machine, method.unwrap_or("graceful")).await?,
        ("suspend", Some("hibernate")) => {
            match (machine.status(), machine.record.get().wanted) {
                (Status::Off, Wanted::Hibernated) => {}
                (Status::Running, _) => hibernate(site, context, machine).await?,
                // Only an attempt of this operation that was broken off leaves the guest like this.
                (Status::Paused, wanted) if wanted != Wanted::Paused => hibernate(site, context, machine).await?,
                _ => return not_now("suspend", machine),
            }
            context.step("machine held on disk").await?;
        }
        ("suspend", _) => {
            match (machine.status(), machine.record.get().wanted) {
                (Status::Paused, _) => {}
                (Status::Running, _) => machine.pause().await?,
                _ => return not_now("suspend", machine),
            }
            context.step("machine held").await?;
        }
        ("save", method) => return save(site, context, machine, invocation, method.unwrap_or("deferred")).await,
        (term, method) => {
            return refuse(
                ErrorKind::Unsupported,
                format!(
                    "the qemu backend does not support {term} {}",
                    method.unwrap_or_default()
                ),
            );
        }
    }
    Ok(Acted {
        pictures: translate::machine_and_links(site, machine),
        template: None,
    })
}

async fn hibernate(site: &Site, context: &Context, machine: &Arc<Machine>) -> Result<()> {
    let room = bytes(machine.record.get().memory);
    site.check_disk(room)?;
    let kept = machine.hibernate(context).await;
    if matches!(&kept, Err(failure) if !matches!(failure, Failure::Interrupted(_))) {
        // QEMU only says that it could not write. If there is no room now, it was that.
        site.check_disk(room)?;
    }
    Ok(kept?)
}

/// Makes a template of the compute: `hot` as it runs, `deferred` by way of a stop and a start.
async fn save(
    site: &Arc<Site>,
    context: &Context,
    machine: &Arc<Machine>,
    invocation: &Invocation,
    method: &str,
) -> Result<Acted> {
    let name = invocation.parameters.get("name").and_then(|value| value.as_str());
    let operation = context.operation.to_string();
    let wish = name.filter(|name| !name.is_empty()).unwrap_or(&machine.id);
    let term = saved::term(wish, &operation);
    if !saved::is_saved(site, &term) {
        let allowed = matches!(machine.status(), Status::Running | Status::Off | Status::Died(_));
        if !allowed || machine.record.get().wanted == Wanted::Hibernated {
            return not_now("save", machine);
        }
        complete(site, context, machine).await?;
        let size = std::fs::symlink_metadata(machine.inside().join(ROOT)).map_or(0, |meta| meta.len());
        let (of, project) = (site.clone(), machine.record.get().project.clone());
        blocking(move || of.check_images(&project, size)).await?;
        site.check_disk(size)?;
    }
    let runs = machine.status() == Status::Running;
    let _room = runs.then(|| keep_room(site, machine));
    if runs && method == "deferred" && !saved::is_saved(site, &term) {
        let before = machine.identity();
        let note = move |record: &mut MachineRecord| record.restart = Some((operation, before));
        machine.record.change(note).await?;
        context.step("restart recorded").await?;
        ask_off(site, machine, true).await?;
        context.step("machine stopped").await?;
    }
    let saved = saving::save(site, machine, &term, name.unwrap_or(&term), context).await;
    if saved.is_ok() {
        context.step("image saved").await?;
    }
    // Saved or not: what was stopped for it goes on.
    let stopped_for_this = machine
        .record
        .get()
        .restart
        .as_ref()
        .is_some_and(|(by, _)| *by == context.operation.to_string());
    if stopped_for_this && !machine.status().has_process() {
        machine.power_on(Some(context)).await?;
        context.step("machine started").await?;
    }
    Ok(Acted {
        template: Some(templates::template(&saved?)),
        pictures: translate::machine_and_links(site, machine),
    })
}

fn not_now<T>(term: &str, machine: &Machine) -> Result<T> {
    let (state, _) = translate::machine_state(&machine.record.get(), &machine.status());
    refuse(
        ErrorKind::Conflict,
        format!("{term} is not possible while the compute is {state}"),
    )
}

async fn stop(site: &Site, machine: &Arc<Machine>, method: &str) -> Result<()> {
    match (method, machine.status()) {
        (_, Status::Paused) => return not_now("stop", machine),
        ("acpioff" | "graceful", Status::Running) => ask_off(site, machine, method == "graceful").await?,
        // Nothing listens in a guest that does not run.
        _ => drop(machine.power_off().await?),
    }
    Ok(())
}

/// Asks the guest; that it does not react changes nothing, and is known for certain.
async fn ask_off(site: &Site, machine: &Arc<Machine>, agent: bool) -> Result<()> {
    let grace = site.config.grace();
    match machine.ask_off(agent, grace).await {
        Err(failure @ Failure::Slow { .. }) => Err(BackendError::new(
            ErrorKind::Timeout,
            format!(
                "the guest did not switch itself off within {} s; it goes on, and can be stopped with method poweroff",
                grace.as_secs()
            ),
        )
        .with_source(failure)),
        other => Ok(other?),
    }
}

async fn restart(site: &Arc<Site>, context: &Context, machine: &Arc<Machine>, method: &str) -> Result<()> {
    let operation = context.operation.to_string();
    let ours = |record: &MachineRecord| record.restart.as_ref().is_some_and(|(by, _)| *by == operation);
    let begun = ours(&machine.record.get());
    if !begun && machine.status() != Status::Running {
        return not_now("restart", machine);
    }
    if method == "warm" {
        // Whether the last attempt got this far cannot be told; a second reset does no other harm than the first.
        machine.reset().await?;
        return context.step("machine reset").await;
    }
    if !begun {
        let before = machine.identity();
        let note = move |record: &mut MachineRecord| record.restart = Some((operation, before));
        machine.record.change(note).await?;
        context.step("restart recorded").await?;
    }
    let _room = keep_room(site, machine);
    let before = machine.record.get().restart.clone().and_then(|(_, before)| before);
    let is_new = machine.status() == Status::Running && machine.identity() != before;
    if !is_new {
        if machine.status().has_process() && machine.identity() == before {
            match method {
                "graceful" => ask_off(site, machine, true).await?,
                _ => machine.end().await?,
            }
            context.step("machine stopped").await?;
        }
        machine.power_on(Some(context)).await?;
        context.step("machine started").await?;
    }
    // What was noted stays: whoever does not get to know that this is done asks once more.
    Ok(())
}
