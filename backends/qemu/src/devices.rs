//! Devices of a running machine: made to agree with its record, whatever was plugged before.
//!
//! Every device of ours that comes and goes has a name that follows from its place (`disk0`, `nic1`), so what is there
//! can be compared with what should be, after a crash too.

use crate::command_line::{
    MAX_DISKS, disk_file, disk_name, nic_device, nic_name, nic_socket, volume_device, volume_node,
};
use crate::confine;
use crate::error::Failure;
use crate::machine::Machine;
use crate::qmp::Qmp;
use crate::record::DiskRecord;
use crate::site::Site;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A guest lets go of a device in half a second. One that is still booting does so when it gets there.
const LET_GO: Duration = Duration::from_secs(60);
/// QEMU forgets a request that the guest has not answered after this, and must be asked again.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Plugs what is missing and unplugs what should not be there; nothing to do while there is no process.
pub(crate) async fn settle(site: &Site, machine: &Machine) -> Result<(), Failure> {
    let _alone = machine.plugging.lock().await;
    let Some(live) = machine.live() else { return Ok(()) };
    let qmp = &live.qmp;
    let record = machine.record.get();
    let disks = site.attached(&record);
    let nics: Vec<_> = record.nics.iter().filter(|nic| !nic.leaving).collect();
    let is_wanted = |name: &String| {
        disks.iter().any(|disk| disk_name(disk.index) == *name) || nics.iter().any(|nic| nic_name(nic.index) == *name)
    };
    let present = plugged(qmp).await?;
    for name in present.iter().filter(|name| !is_wanted(name)) {
        tokio::select! {
            unplugged = unplug(qmp, name) => unplugged?,
            // A machine that is off has let go of everything.
            () = live.process.ended() => return Ok(()),
        }
    }
    provide(site, machine, &disks)?;
    for disk in disks.iter().filter(|disk| !present.contains(&disk_name(disk.index))) {
        let name = disk_name(disk.index);
        // What an earlier try may have left.
        let _nothing_left = qmp.execute("blockdev-del", json!({"node-name": name})).await;
        qmp.execute("blockdev-add", volume_node(disk)).await?;
        qmp.execute("device_add", volume_device(disk)).await?;
    }
    for nic in nics {
        let name = nic_name(nic.index);
        if !present.contains(&name) {
            let _nothing_left = qmp
                .execute("netdev_del", json!({"id": format!("net{}", nic.index)}))
                .await;
            qmp.execute("netdev_add", nic_socket(nic)).await?;
            qmp.execute("device_add", nic_device(nic)).await?;
        }
        qmp.execute("set_link", json!({"name": name, "up": nic.up})).await?;
    }
    Ok(())
}

/// Puts the files of `disks` where the machine's QEMU works, and takes away those of other volumes. A file is there
/// under a second name; as root it belongs to the machine's user as long as it is.
pub(crate) fn provide(site: &Site, machine: &Machine, disks: &[DiskRecord]) -> Result<(), Failure> {
    let user = machine.record.get().user;
    for index in 0..MAX_DISKS {
        let name = machine.inside().join(disk_file(index));
        let volume = disks
            .iter()
            .find(|disk| disk.index == index)
            .and_then(|disk| site.volume(&disk.volume));
        let is_there = std::fs::symlink_metadata(&name).ok();
        match (volume, is_there) {
            (None, None) => {}
            (None, Some(_)) => {
                confine::give(&name, user.map(|_| 0))?;
                std::fs::remove_file(&name).map_err(Failure::host("take a volume away"))?;
            }
            (Some(volume), is_there) => {
                let own = std::fs::symlink_metadata(volume.file()).map_err(Failure::host("find a volume"))?;
                if is_there
                    .as_ref()
                    .is_none_or(|there| (there.dev(), there.ino()) != (own.dev(), own.ino()))
                {
                    if is_there.is_some() {
                        std::fs::remove_file(&name).map_err(Failure::host("take a volume away"))?;
                    }
                    std::fs::hard_link(volume.file(), &name).map_err(Failure::host("give a volume"))?;
                }
                confine::give(&name, user)?;
            }
        }
    }
    Ok(())
}

/// The names of the devices that come and go.
async fn plugged(qmp: &Qmp) -> Result<Vec<String>, Failure> {
    let answer = qmp.execute("qom-list", json!({"path": "/machine/peripheral"})).await?;
    let entries = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let names = entries
        .iter()
        .filter_map(|entry| entry.get("name").and_then(Value::as_str));
    let ours = |name: &&str| {
        let number = name.strip_prefix("disk").or_else(|| name.strip_prefix("nic"));
        number.is_some_and(|number| number.parse::<u8>().is_ok())
    };
    Ok(names.filter(ours).map(str::to_owned).collect())
}

/// Takes a device out of the machine. The guest must let go of it first.
async fn unplug(qmp: &Qmp, name: &str) -> Result<(), Failure> {
    let mut events = qmp.events();
    let until = Instant::now() + LET_GO;
    loop {
        // Refused while the last request is pending.
        let _pending = qmp.execute("device_del", json!({"id": name})).await;
        let gone = async {
            while let Ok(event) = events.recv().await {
                if event.name == "DEVICE_DELETED" && event.text("device") == Some(name) {
                    break;
                }
            }
        };
        let _heard = timeout(ASK_AGAIN, gone).await;
        if !plugged(qmp).await?.iter().any(|present| present == name) {
            break;
        }
        if Instant::now() > until {
            return Err(Failure::Slow {
                step: "take a device out of the guest, which does not let go of it".to_owned(),
                limit: LET_GO,
            });
        }
    }
    match name.strip_prefix("nic") {
        Some(index) => qmp.execute("netdev_del", json!({"id": format!("net{index}")})).await?,
        None => qmp.execute("blockdev-del", json!({"node-name": name})).await?,
    };
    Ok(())
}
