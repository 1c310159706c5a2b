//! Devices of a running machine: made to agree with its record, whatever was plugged before.
//!
//! Every device of ours that comes and goes has a name that follows from its place (`disk0`, `nic1`), so what is there
//! can be compared with what should be, after a crash too.

use crate::compute::command_line::{
    MAX_DISKS, disk_file, disk_name, empty_name, empty_node, nic_device, nic_name, nic_socket, volume_device,
    volume_node,
};
use crate::compute::machine::{Live, Machine, wait};
use crate::error::Failure;
use crate::host::confine;
use crate::qemu::qmp::Qmp;
use crate::record::{DiskRecord, MachineRecord};
use crate::site::Site;
use crate::volume::{self, Hindrance};
use occi_backend::Context;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A guest lets go of a device in half a second. One that is still booting does so when it gets there.
const LET_GO: Duration = Duration::from_secs(60);
/// QEMU forgets a request that the guest has not answered after this, and must be asked again.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// How long a process may take to end that has hung up.
const ENDING: Duration = Duration::from_secs(5);

/// Plugs what is missing and unplugs what should not be there; nothing to do while there is no process. A guest that is
/// held can let go of nothing: what is taken from it then is an empty shell, unplugged when it goes on.
///
/// Waits for image tools that work on a volume, as long as whoever asked for it, if somebody did, still wants it.
pub(crate) async fn settle(site: &Site, machine: &Arc<Machine>, asker: Option<&Context>) -> Result<(), Failure> {
    // A start that read the record before it became what it is now has come to its end after this.
    machine.look().await?;
    agree(site, machine, asker, true).await
}

/// Plugs what is missing, as [`settle`] does.
pub(crate) async fn plug(site: &Site, machine: &Machine, asker: Option<&Context>) -> Result<(), Failure> {
    agree(site, machine, asker, false).await
}

async fn agree(site: &Site, machine: &Machine, asker: Option<&Context>, unplugs: bool) -> Result<(), Failure> {
    while let Some(live) = machine.live() {
        let try_it = async {
            let _alone = machine.plugging.lock().await;
            let done = match unplugs {
                true => settle_alone(site, machine, &live).await,
                false => plug_alone(site, machine, &live).await,
            };
            match done {
                Ok(()) => Ok(None),
                Err(Hindrance::Busy(volume)) => Ok(Some(volume)),
                Err(Hindrance::Failed(failure)) => Err(failure),
            }
        };
        let Some(busy) = while_it_lives(&live, try_it).await? else {
            break;
        };
        let idle = async { wait(asker, busy.idle()).await.map(Some) };
        if while_it_lives(&live, idle).await?.is_none() {
            break;
        }
    }
    Ok(())
}

/// What `work` gives; nothing if the machine goes off meanwhile: it has let go of everything then, and is given the rest
/// when it starts.
async fn while_it_lives<T>(
    live: &Live,
    work: impl Future<Output = Result<Option<T>, Failure>>,
) -> Result<Option<T>, Failure> {
    let done = tokio::select! {
        done = work => done,
        () = live.process.ended() => return Ok(None),
    };
    match done {
        Err(Failure::Disconnected(_)) if timeout(ENDING, live.process.ended()).await.is_ok() => Ok(None),
        done => done,
    }
}

async fn settle_alone(site: &Site, machine: &Machine, live: &Live) -> Result<(), Hindrance> {
    plug_alone(site, machine, live).await?;
    let record = machine.record.get();
    let disks = site.attached(&record);
    let is_wanted = |name: &String| {
        let mut nics = record.nics.iter().filter(|nic| !nic.leaving);
        disks.iter().any(|disk| disk_name(disk.index) == *name) || nics.any(|nic| nic_name(nic.index) == *name)
    };
    let held = machine.is_held();
    for name in plugged(&live.qmp).await?.iter().filter(|name| !is_wanted(name)) {
        let _held = volume::hold(site, record.disks.iter().filter(|disk| disk_name(disk.index) == *name))?;
        match held {
            true => empty(&live.qmp, name).await?,
            false => unplug(&live.qmp, name).await?,
        }
    }
    for index in given(machine, &disks) {
        // What a plugging that was broken off has left open.
        let _nothing_left = live
            .qmp
            .execute("blockdev-del", json!({"node-name": disk_name(index)}))
            .await;
    }
    withdraw(machine, &disks)?;
    let keeps = !record.former_nics.is_empty() || !record.former_disks.is_empty();
    if keeps && !held {
        let forget = |record: &mut MachineRecord| {
            record.former_nics.clear();
            record.former_disks.clear();
        };
        machine.record.change(forget).await?;
    }
    Ok(())
}

async fn plug_alone(site: &Site, machine: &Machine, live: &Live) -> Result<(), Hindrance> {
    let qmp = &live.qmp;
    let record = machine.record.get();
    let disks = site.attached(&record);
    let present = plugged(qmp).await?;
    for disk in &disks {
        let name = disk_name(disk.index);
        let is_plugged = present.contains(&name);
        if is_plugged && drive(qmp, &name).await? == name {
            continue;
        }
        let _held = volume::hold(site, [disk])?;
        provide(site, machine, std::slice::from_ref(disk))?;
        // What an earlier try may have left.
        let _nothing_left = qmp.execute("blockdev-del", json!({"node-name": name})).await;
        qmp.execute("blockdev-add", volume_node(disk)).await?;
        if is_plugged {
            set_drive(qmp, &name, &name).await?;
            qmp.execute("blockdev-del", json!({"node-name": empty_name(disk.index)}))
                .await?;
        } else {
            qmp.execute("device_add", volume_device(disk, &name)).await?;
        }
    }
    for nic in record.nics.iter().filter(|nic| !nic.leaving) {
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

/// Takes from a device what is behind it.
async fn empty(qmp: &Qmp, name: &str) -> Result<(), Failure> {
    let Some(index) = name.strip_prefix("disk").and_then(|index| index.parse().ok()) else {
        return qmp
            .execute("set_link", json!({"name": name, "up": false}))
            .await
            .map(drop);
    };
    if drive(qmp, name).await? != name {
        return Ok(());
    }
    let empty = empty_name(index);
    let _nothing_left = qmp.execute("blockdev-del", json!({"node-name": empty})).await;
    qmp.execute("blockdev-add", empty_node(index)).await?;
    set_drive(qmp, name, &empty).await?;
    qmp.execute("blockdev-del", json!({"node-name": name})).await.map(drop)
}

/// The block node behind a disk.
async fn drive(qmp: &Qmp, name: &str) -> Result<String, Failure> {
    let property = json!({"path": format!("/machine/peripheral/{name}"), "property": "drive"});
    let node = qmp.execute("qom-get", property).await?;
    Ok(node.as_str().unwrap_or_default().to_owned())
}

/// Whether QEMU has the block node `name`, and so its file.
pub(crate) async fn has_node(qmp: &Qmp, name: &str) -> Result<bool, Failure> {
    let answer = qmp.execute("query-named-block-nodes", json!({"flat": true})).await?;
    let nodes = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(nodes.iter().any(|node| node["node-name"] == name))
}

async fn set_drive(qmp: &Qmp, name: &str, node: &str) -> Result<(), Failure> {
    let property = json!({"path": format!("/machine/peripheral/{name}"), "property": "drive", "value": node});
    qmp.execute("qom-set", property).await.map(drop)
}

/// Puts the files of `disks` where the machine's QEMU works: each under a second name. As root they belong to the
/// machine's user as long as they are there.
pub(crate) fn provide(site: &Site, machine: &Machine, disks: &[DiskRecord]) -> Result<(), Failure> {
    let user = machine.record.get().user;
    for disk in disks {
        let Some(volume) = site.volume(&disk.volume) else {
            continue;
        };
        let name = machine.inside().join(disk_file(disk.index));
        if volume.is_lost() {
            return Err(Failure::Lost(volume.id.clone()));
        }
        let own = std::fs::symlink_metadata(volume.file()).map_err(Failure::host("find a volume"))?;
        let there = std::fs::symlink_metadata(&name).ok();
        if there
            .as_ref()
            .is_none_or(|there| (there.dev(), there.ino()) != (own.dev(), own.ino()))
        {
            if there.is_some() {
                std::fs::remove_file(&name).map_err(Failure::host("take a volume away"))?;
            }
            std::fs::hard_link(volume.file(), &name).map_err(Failure::host("give a volume"))?;
        }
        confine::give(&name, user)?;
    }
    Ok(())
}

/// The places of volumes that are not among `disks` and whose files are there.
fn given(machine: &Machine, disks: &[DiskRecord]) -> impl Iterator<Item = u8> {
    let gone = (0..MAX_DISKS).filter(|index| !disks.iter().any(|disk| disk.index == *index));
    gone.filter(|index| std::fs::symlink_metadata(machine.inside().join(disk_file(*index))).is_ok())
}

/// Takes away the files of volumes that are not among `disks`. Whose they are as root is left to the next user: that may
/// be another machine already, which has a second name of its own for the same file.
pub(crate) fn withdraw(machine: &Machine, disks: &[DiskRecord]) -> Result<(), Failure> {
    for index in given(machine, disks) {
        std::fs::remove_file(machine.inside().join(disk_file(index))).map_err(Failure::host("take a volume away"))?;
    }
    Ok(())
}

/// The names of the devices that come and go.
pub(crate) async fn plugged(qmp: &Qmp) -> Result<Vec<String>, Failure> {
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
    let node = match name.starts_with("disk") {
        true => Some(drive(qmp, name).await?),
        false => None,
    };
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
    match &node {
        None => {
            let id = name.replace("nic", "net");
            qmp.execute("netdev_del", json!({"id": id})).await.map(drop)
        }
        Some(node) => qmp.execute("blockdev-del", json!({"node-name": node})).await.map(drop),
    }
}
