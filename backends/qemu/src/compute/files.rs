//! The files of a compute: its directory, disks and seed.

use crate::compute::command_line::{BASE, EPHEMERAL, ROOT, SEED};
use crate::compute::machine::Machine;
use crate::compute::seed::Seed;
use crate::error::Failure;
use crate::host::blocking::blocking;
use crate::host::confine;
use crate::host::durable;
use crate::image::{self, Header};
use crate::record::MachineRecord;
use crate::site::Site;
use crate::translate::bytes;
use occi_backend::{Context, Result};
use occi_model::userdata;
use std::path::Path;
use std::sync::Arc;

/// A disk that is being made.
const NEW: &str = "disk.new";

/// Makes what a machine lacks, if it has not been made in full: it is new, or whoever changed it was broken off.
pub(super) async fn complete(site: &Site, context: &Context, machine: &Arc<Machine>) -> Result<()> {
    if machine.record.get().made {
        return Ok(());
    }
    make(site, machine).await?;
    let whole = |record: &mut MachineRecord| {
        record.made = true;
        record.fresh_root = false;
    };
    machine.record.change(whole).await?;
    context.step("files made").await
}

/// Makes the files that a machine lacks, and its seed.
async fn make(site: &Site, machine: &Arc<Machine>) -> Result<()> {
    let record = machine.record.get();
    let (inside, frozen) = (machine.inside(), site.base(&record.base));
    let (own, of) = (machine.clone(), record.clone());
    let base = blocking(move || lay_out(&own, &of, &frozen)).await?;
    let place = machine.workplace();
    // A file under its name is whole, also after a power cut.
    let keep = |name: &str| {
        let (new, done) = (inside.join(NEW), inside.join(name));
        blocking(move || durable::rename(&new, &done))
    };
    if let Some(header) = base {
        let below = format!("../{BASE}");
        site.qemu_img
            .overlay(&place, (&below, header), NEW, header.size)
            .await?;
        keep(ROOT).await?;
    }
    match record.ephemeral.map(bytes) {
        Some(size) if inside.join(EPHEMERAL).exists() => {
            site.qemu_img.resize(&place, EPHEMERAL, size).await?;
            let grown = inside.join(EPHEMERAL);
            blocking(move || durable::sync(&grown)).await?;
        }
        Some(size) => {
            site.qemu_img.create(&place, NEW, size).await?;
            keep(EPHEMERAL).await?;
        }
        None => {}
    }
    Ok(())
}

/// Makes a machine's directory and seed; where there is no root disk yet, what belongs below it, and says what that is.
fn lay_out(machine: &Machine, record: &MachineRecord, frozen: &Path) -> Result<Option<Header>> {
    let inside = machine.inside();
    // Not the directory above: if that is gone, so is the machine, and whoever asked for it was cut off before.
    match std::fs::create_dir(&inside) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => made.map_err(Failure::host("make the machine's directory"))?,
    }
    confine::give(&inside, record.user)?;
    remove(&inside.join(NEW))?;
    write_seed(machine, record)?;
    if record.fresh_root {
        remove(&inside.join(ROOT))?;
    }
    if inside.join(ROOT).exists() {
        return Ok(None);
    }
    let header = image::read_header(frozen)?;
    let base = machine.directory.join(BASE);
    remove(&base)?;
    std::fs::hard_link(frozen, &base).map_err(Failure::host("make a disk"))?;
    durable::sync(&machine.directory)?;
    Ok(Some(header))
}

/// Writes what the guest of `record` reads at its next start. One that runs keeps the seed that it has.
pub(super) fn write_seed(machine: &Machine, record: &MachineRecord) -> Result<()> {
    let macs: Vec<String> = record.nics.iter().map(|nic| nic.mac.to_string()).collect();
    let default_name = format!("compute-{}", record.mark.chars().take(8).collect::<String>());
    let user_data = record.user_data.as_deref().map(userdata::read);
    let seed = Seed {
        instance: &record.mark,
        hostname: record.hostname.as_deref().unwrap_or(&default_name),
        keys: record.key.as_slice(),
        user_data: user_data.as_ref().map_or(&[], |data| &data.content),
        macs: &macs,
    };
    // Written where only we write, then moved.
    let new = machine.directory.join("seed.new");
    seed.write(&new)?;
    confine::give(&new, record.user)?;
    Ok(durable::rename(&new, &machine.inside().join(SEED))?)
}

fn remove(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::host("remove a disk")(error).into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::QemuConfig;
    use serde_json::json;
    use std::time::Duration;

    #[tokio::test]
    async fn what_is_made_of_a_machine_too_late_leaves_nothing_where_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let (site, _events) = Site::open(QemuConfig::new(directory.path()), Duration::from_secs(60)).unwrap();
        let frozen = directory.path().join("frozen");
        std::fs::write(&frozen, [0; 512]).unwrap();
        let record = json!({
            "mark": "late", "project": "lab", "user": null, "made": false, "wanted": "off", "hostname": null, "cores": 1,
            "memory": 1.0, "template": "t", "base": "frozen", "ssh_user": null, "machine": "q35", "key": null,
            "user_data": null, "ephemeral": null, "nics": [], "disks": [], "former_nics": [], "former_disks": [],
            "hardware": [], "restart": null,
        });
        let machine = site.add_machine(serde_json::from_value(record).unwrap()).unwrap();
        let record = machine.record.get();
        lay_out(&machine, &record, &frozen).unwrap();
        assert!(machine.inside().exists());
        // The create was cut off, and the machine deleted, before a thread came to it.
        site.remove_machine("late").await.unwrap();
        assert!(lay_out(&machine, &record, &frozen).is_err());
        assert!(!machine.directory.exists());
        site.close().await;
    }
}
