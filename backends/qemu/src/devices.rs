//! Devices of a running machine: made to agree with its record, whatever was plugged before.
//!
//! Every device of ours that comes and goes has a name that follows from its place (`disk0`, `nic1`), so what is there
//! can be compared with what should be, after a crash too.

use crate::command_line::{
    MAX_DISKS, disk_file, disk_name, empty_name, empty_node, nic_device, nic_name, nic_socket, volume_device,
    volume_node,
};
use crate::confine;
use crate::error::Failure;
use crate::machine::{Live, Machine};
use crate::qmp::Qmp;
use crate::record::{DiskRecord, MachineRecord};
use crate::site::Site;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
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
pub(crate) async fn settle(site: &Site, machine: &Machine) -> Result<(), Failure> {
    let _alone = machine.plugging.lock().await;
    match machine.live() {
        Some(live) => while_it_lives(&live, settle_alone(site, machine, &live)).await,
        None => Ok(()),
    }
}

/// A machine that goes off meanwhile has let go of everything, and is given the rest when it starts.
async fn while_it_lives(live: &Live, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let done = tokio::select! {
        done = work => done,
        () = live.process.ended() => return Ok(()),
    };
    match done {
        Err(Failure::Disconnected(_)) if timeout(ENDING, live.process.ended()).await.is_ok() => Ok(()),
        done => done,
    }
}

async fn settle_alone(site: &Site, machine: &Machine, live: &Live) -> Result<(), Failure> {
    plug_alone(site, machine, live).await?;
    let record = machine.record.get();
    let disks = site.attached(&record);
    let is_wanted = |name: &String| {
        let mut nics = record.nics.iter().filter(|nic| !nic.leaving);
        disks.iter().any(|disk| disk_name(disk.index) == *name) || nics.any(|nic| nic_name(nic.index) == *name)
    };
    let held = machine.is_held();
    for name in plugged(&live.qmp).await?.iter().filter(|name| !is_wanted(name)) {
        match held {
            true => empty(&live.qmp, name).await?,
            false => unplug(&live.qmp, name).await?,
        }
    }
    withdraw(site, machine, &disks)?;
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

/// Plugs what is missing.
pub(crate) async fn plug(site: &Site, machine: &Machine) -> Result<(), Failure> {
    let _alone = machine.plugging.lock().await;
    match machine.live() {
        Some(live) => while_it_lives(&live, plug_alone(site, machine, &live)).await,
        None => Ok(()),
    }
}

async fn plug_alone(site: &Site, machine: &Machine, live: &Live) -> Result<(), Failure> {
    let qmp = &live.qmp;
    let record = machine.record.get();
    let disks = site.attached(&record);
    let present = plugged(qmp).await?;
    provide(site, machine, &disks)?;
    for disk in &disks {
        let name = disk_name(disk.index);
        let is_plugged = present.contains(&name);
        if is_plugged && drive(qmp, &name).await? == name {
            continue;
        }
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

/// Takes away the files of volumes that are not among `disks`.
pub(crate) fn withdraw(site: &Site, machine: &Machine, disks: &[DiskRecord]) -> Result<(), Failure> {
    for index in (0..MAX_DISKS).filter(|index| !disks.iter().any(|disk| disk.index == *index)) {
        let name = machine.inside().join(disk_file(index));
        if std::fs::symlink_metadata(&name).is_ok() {
            confine::give(&name, site.tools_user())?;
            std::fs::remove_file(&name).map_err(Failure::host("take a volume away"))?;
        }
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
