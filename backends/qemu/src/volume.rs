//! Volumes: the steps of each verb and action.

use crate::command_line::{INSIDE, disk_name};
use crate::confine;
use crate::devices;
use crate::durable::Record;
use crate::error::{Failure, refuse};
use crate::jobs;
use crate::machine::Machine;
use crate::qemu_img::Workplace;
use crate::record::{DiskRecord, VolumeRecord};
use crate::saving;
use crate::site::Site;
use crate::translate::{self, bytes};
use occi_backend::{Acted, Change, Context, Create, ErrorKind, Invocation, Picture, Result};
use occi_model::Value;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

const FILE: &str = "disk.qcow2";

/// A volume.
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) record: Arc<Record<VolumeRecord>>,
    directory: PathBuf,
    /// Held by whoever works on its file.
    work: tokio::sync::Mutex<()>,
}

impl Volume {
    pub(crate) fn new(directory: PathBuf, record: Arc<Record<VolumeRecord>>) -> Arc<Self> {
        Arc::new(Self {
            id: record.get().mark.clone(),
            record,
            directory,
            work: tokio::sync::Mutex::default(),
        })
    }

    /// Its file, in a directory in which image tools work.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.join(INSIDE).join(FILE)
    }

    /// Where image tools work on it. As root its file may be a machine's that was off when it was last looked at.
    fn workplace(&self, site: &Site) -> Result<Workplace> {
        let directory = self.directory.join(INSIDE);
        let user = site.tools_user();
        std::fs::create_dir_all(&directory).map_err(Failure::host("make the volume's directory"))?;
        confine::give(&directory, user)?;
        if self.file().exists() {
            confine::give(&self.file(), user)?;
        }
        Ok(Workplace {
            directory,
            read: Vec::new(),
            user,
        })
    }

    /// The machine whose guest has it as long as it is online, running or held.
    fn user(&self, site: &Site) -> Option<Arc<Machine>> {
        let (machine, disk) = site.attachment(&self.id)?;
        let is_there = machine.status().has_process() || machine.is_held();
        (is_there && disk.online && !disk.leaving).then_some(machine)
    }

    fn refuse_if_used(&self, site: &Site) -> Result<()> {
        match self.user(site) {
            Some(machine) => refuse(
                ErrorKind::InUse,
                format!(
                    "the volume is in use by the compute {}; stop that, or take the link offline",
                    machine.id
                ),
            ),
            None => Ok(()),
        }
    }

    /// The running machine that has it, and under which name.
    fn in_use(&self, site: &Site) -> Option<(Arc<Machine>, DiskRecord)> {
        let (machine, disk) = site.attachment(&self.id)?;
        let is_plugged = machine.live().is_some() && site.attached(&machine.record.get()).contains(&disk);
        is_plugged.then_some((machine, disk))
    }
}

/// A size in GiB.
fn size(value: Option<&Value>) -> Result<f64> {
    match value.and_then(Value::as_f64) {
        Some(gib) if gib > 0.0 => Ok(gib),
        _ => refuse(ErrorKind::Invalid, "the size must be a number of GiB above zero"),
    }
}

pub(crate) fn admit(site: &Site, create: &Create) -> Result<()> {
    site.check_disk(bytes(size(create.attributes.get("occi.storage.size"))?))
}

pub(crate) async fn create(site: &Arc<Site>, context: &Context, create: &Create) -> Result<Vec<Picture>> {
    let volume = match site.volume(create.mark.as_str()) {
        Some(volume) => volume,
        None => {
            admit(site, create)?;
            let record = VolumeRecord {
                mark: create.mark.to_string(),
                project: context.scope.project.clone(),
                size: size(create.attributes.get("occi.storage.size"))?,
                made: false,
                online: false,
            };
            let volume = site.add_volume(record).await?;
            context.step("volume recorded").await?;
            volume
        }
    };
    if !volume.record.get().made {
        let place = volume.workplace(site)?;
        site.qemu_img
            .create(&place, FILE, bytes(volume.record.get().size))
            .await?;
        volume.record.change(|record| record.made = true).await?;
        context.step("volume made").await?;
    }
    context.accepted(&translate::volume(&volume)).await?;
    if create.bring_up && !volume.record.get().online {
        volume.record.change(|record| record.online = true).await?;
        context.step("volume online").await?;
    }
    Ok(vec![translate::volume(&volume)])
}

/// Online or offline: attached where links say so, or nowhere.
async fn set_online(site: &Arc<Site>, volume: &Volume, online: bool) -> Result<()> {
    volume.record.change(move |record| record.online = online).await?;
    if let Some((machine, _)) = site.attachment(&volume.id) {
        devices::settle(site, &machine).await?;
        site.publish_machine(&machine);
    }
    site.publish_volume(volume);
    Ok(())
}

/// Offline, if no guest has it.
async fn set_offline(site: &Arc<Site>, volume: &Volume) -> Result<()> {
    if volume.record.get().online {
        volume.refuse_if_used(site)?;
        volume.record.change(|record| record.online = false).await?;
        // A machine says that it starts before it looks which volumes are online; so one that took it is seen here.
        if let Err(used) = volume.refuse_if_used(site) {
            set_online(site, volume, true).await?;
            return Err(used);
        }
    }
    set_online(site, volume, false).await
}

/// Makes it `gib` large, also while a guest uses it. Never smaller.
async fn resize(site: &Site, volume: &Volume, gib: f64) -> Result<()> {
    let now = volume.record.get().size;
    if gib < now {
        return refuse(
            ErrorKind::Conflict,
            format!("the volume has {now} GiB and cannot shrink to {gib}: what is on it would be cut off"),
        );
    }
    let size = bytes(gib);
    site.check_disk(size.saturating_sub(bytes(now)))?;
    match volume
        .in_use(site)
        .and_then(|(machine, disk)| Some((machine.live()?, disk)))
    {
        Some((live, disk)) => {
            let arguments = json!({"node-name": disk_name(disk.index), "size": size});
            live.qmp.execute("block_resize", arguments).await.map(drop)?;
        }
        None => site.qemu_img.resize(&volume.workplace(site)?, FILE, size).await?,
    }
    volume.record.change(move |record| record.size = gib).await?;
    Ok(())
}

/// Keeps the present content inside of the volume's file, under the operation's name.
async fn snapshot(site: &Site, volume: &Volume, name: &str) -> Result<()> {
    match volume
        .in_use(site)
        .and_then(|(machine, disk)| Some((machine.live()?, disk)))
    {
        Some((live, disk)) => {
            let arguments = json!({"device": disk_name(disk.index), "name": name});
            match live.qmp.execute("blockdev-snapshot-internal-sync", arguments).await {
                // An earlier attempt of the same operation.
                Err(Failure::Refused { said, .. }) if said.contains("already exists") => Ok(()),
                other => Ok(other.map(drop)?),
            }
        }
        None if site.qemu_img.has_snapshot(&volume.workplace(site)?, FILE, name).await? => Ok(()),
        None => Ok(site.qemu_img.snapshot(&volume.workplace(site)?, FILE, name).await?),
    }
}

/// Copies the present content into a file of its own beside the volume's.
async fn backup(site: &Site, volume: &Volume, name: &str) -> Result<()> {
    let done = volume.directory.join(format!("backup-{name}.qcow2"));
    if done.exists() {
        return Ok(());
    }
    site.check_disk(std::fs::metadata(volume.file()).map_or(0, |meta| meta.len()))?;
    if let Some((machine, disk)) = volume.in_use(site)
        && let Some(live) = machine.live()
    {
        let _alone = machine.copying.lock().await;
        let copy = machine.inside().join(saving::COPY);
        let copied = async {
            jobs::begin_copy(&live.qmp, &disk_name(disk.index), saving::COPY).await?;
            jobs::end_copy(&live.qmp).await
        };
        saving::or_remove(copied.await, &copy)?;
        return Ok(saving::take(&copy, &done)?);
    }
    let copy = volume.directory.join(INSIDE).join(saving::COPY);
    let copied = site.qemu_img.copy(&volume.workplace(site)?, FILE, saving::COPY).await;
    saving::or_remove(copied, &copy)?;
    Ok(saving::take(&copy, &done)?)
}

pub(crate) async fn act(
    site: &Arc<Site>,
    context: &Context,
    volume: &Arc<Volume>,
    invocation: &Invocation,
) -> Result<Acted> {
    let _alone = volume.work.lock().await;
    let operation = context.operation.to_string();
    let record = volume.record.get();
    let term = invocation.action.term();
    if !record.made || (matches!(term, "snapshot" | "backup") && !record.online) {
        return refuse(
            ErrorKind::Conflict,
            format!("{term} is not possible while the volume is offline"),
        );
    }
    match term {
        "online" => set_online(site, volume, true).await?,
        "offline" => set_offline(site, volume).await?,
        "resize" => resize(site, volume, size(invocation.parameters.get("size"))?).await?,
        "snapshot" => snapshot(site, volume, &operation).await?,
        "backup" => backup(site, volume, &operation).await?,
        _ => {
            return refuse(
                ErrorKind::Unsupported,
                format!("the qemu backend does not support {term} of a storage"),
            );
        }
    }
    context.step(&format!("volume: {term} done")).await?;
    let mut pictures = vec![translate::volume(volume)];
    if let Some((machine, disk)) = site.attachment(&volume.id) {
        pictures.push(translate::storage_link(site, &machine, &disk));
    }
    Ok(Acted {
        pictures,
        template: None,
    })
}

pub(crate) async fn update(
    site: &Arc<Site>,
    context: &Context,
    volume: &Arc<Volume>,
    change: &Change,
) -> Result<Vec<Picture>> {
    let _alone = volume.work.lock().await;
    if change.set.get("occi.storage.size").is_some() {
        resize(site, volume, size(change.set.get("occi.storage.size"))?).await?;
        context.step("volume resized").await?;
    }
    Ok(vec![translate::volume(volume)])
}

pub(crate) async fn delete(site: &Arc<Site>, context: &Context, id: &str) -> Result<()> {
    let own = id.to_owned();
    let remove = move |site: &Arc<Site>| match site.attachment(&own) {
        Some((machine, _)) => refuse(
            ErrorKind::InUse,
            format!("the volume is attached to the compute {}", machine.id),
        ),
        None => Ok(site.remove_volume(&own)?),
    };
    let trash = site.place(remove).await?;
    site.empty(trash).await?;
    context.step("volume removed").await
}
