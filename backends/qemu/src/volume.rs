//! Volumes: the steps of each verb and action.
//!
//! A volume's file has one user at a time: a QEMU that has it open, or the image tools. Its lock (`Volume::busy`) is held
//! while that changes: from before QEMU is given the file until it has opened it, while QEMU lets go of it, and while the
//! tools work. Whoever holds it sees from QEMU itself which of the two it is.

use crate::compute::command_line::disk_name;
use crate::compute::devices;
use crate::compute::machine::{Live, Machine};
use crate::compute::saving;
use crate::error::{Failure, refuse};
use crate::host::apart::{apart, if_wanted};
use crate::host::blocking::blocking;
use crate::host::confine::{self, INSIDE};
use crate::host::durable::{self, Record};
use crate::qemu::jobs;
use crate::qemu::qemu_img::Workplace;
use crate::record::{DiskRecord, VolumeRecord};
use crate::site::Site;
use crate::translate::{self, bytes};
use occi_backend::{Acted, Change, Context, Create, ErrorKind, Invocation, Picture, Result};
use occi_model::Value;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

const FILE: &str = "disk.qcow2";

/// A volume.
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) record: Arc<Record<VolumeRecord>>,
    directory: PathBuf,
    /// Held by whoever acts on it, of whom there is one at a time.
    work: Mutex<()>,
    /// Held by whoever works on its file or has QEMU open or close it. Not `work`: an action that holds that goes online,
    /// and so has QEMU open it.
    ///
    /// The tools may keep it for an hour. So nobody waits for it who holds something of a machine, which others want to
    /// look at, to stop and to delete meanwhile: see [`hold`].
    busy: Arc<Mutex<()>>,
}

/// Why something is not done now.
pub(crate) enum Hindrance {
    /// It failed.
    Failed(Failure),
    /// The file of this volume is held. Whoever meets this lets go of everything, waits for [`Volume::idle`] and tries
    /// again.
    Busy(Arc<Volume>),
}

impl From<Failure> for Hindrance {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The files of volumes that others leave alone as long as this lives.
pub(crate) type Held = Vec<OwnedMutexGuard<()>>;

/// Holds the files of the volumes of `disks`, if that can be done at once. As nobody waits for one while holding another,
/// their order does not matter.
pub(crate) fn hold<'a>(
    site: &Site,
    disks: impl IntoIterator<Item = &'a DiskRecord>,
) -> std::result::Result<Held, Hindrance> {
    let volumes = disks.into_iter().filter_map(|disk| site.volume(&disk.volume));
    let held = volumes.map(|volume| {
        let held = volume.busy.clone().try_lock_owned();
        held.map_err(|_| Hindrance::Busy(volume))
    });
    held.collect()
}

/// Who works on a volume's file.
enum Worker {
    /// The QEMU of this machine, which has it open under this name.
    Qemu {
        machine: Arc<Machine>,
        live: Live,
        node: String,
    },
    /// The image tools, here.
    Tools(Workplace),
}

impl Volume {
    pub(crate) fn new(directory: PathBuf, record: Arc<Record<VolumeRecord>>) -> Arc<Self> {
        Arc::new(Self {
            id: record.get().mark.clone(),
            record,
            directory,
            work: Mutex::default(),
            busy: Arc::default(),
        })
    }

    /// Its file, in a directory in which image tools work.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.join(INSIDE).join(FILE)
    }

    /// Whether its file is not there although it was made.
    pub(crate) fn is_lost(&self) -> bool {
        self.record.get().made && durable::is_lost(&self.file())
    }

    /// Where image tools work on it. As root its file belongs to whoever used it last.
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

    /// Removes what a server that ended in the middle of a backup has left.
    pub(crate) fn clear_up(&self) {
        let _mostly_none = std::fs::remove_file(self.directory.join(INSIDE).join(saving::COPY));
    }

    /// What was broken off while it went offline begins again: a machine may have it.
    pub(crate) fn undo_leaving(&self) -> std::result::Result<(), Failure> {
        let stay = |record: &mut VolumeRecord| {
            record.online = true;
            record.leaving = false;
        };
        match self.record.get().leaving {
            true => self.record.blocking_change(stay).map(drop),
            false => Ok(()),
        }
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

    /// Returns when nobody holds its file for a moment.
    pub(crate) async fn idle(&self) {
        drop(self.busy.lock().await);
    }

    /// Who is to work on its file, which is held for that.
    async fn worker(&self, site: &Site, asker: &Context) -> Result<(OwnedMutexGuard<()>, Worker)> {
        loop {
            // Connects to a process that lives, and waits for one that is being started or ended. Not while the file is
            // held, for which whoever starts it may wait.
            if let Some((machine, _)) = site.attachment(&self.id) {
                machine.look().await?;
            }
            let held = asker.wait(self.busy.clone().lock_owned()).await?;
            let Some((machine, disk)) = site.attachment(&self.id) else {
                return Ok((held, Worker::Tools(self.workplace(site)?)));
            };
            let node = disk_name(disk.index);
            let Some(live) = machine.live() else {
                if machine.has_process()? {
                    continue;
                }
                return Ok((held, Worker::Tools(self.workplace(site)?)));
            };
            match devices::has_node(&live.qmp, &node).await {
                Ok(true) => return Ok((held, Worker::Qemu { machine, live, node })),
                Ok(false) => return Ok((held, Worker::Tools(self.workplace(site)?))),
                // It ends.
                Err(Failure::Disconnected(_)) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
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
    let size = bytes(size(create.attributes.get("occi.storage.size"))?);
    site.check_disk_size(size)?;
    site.check_disk(size)
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
                leaving: false,
            };
            let volume = site.place(move |site| site.add_volume(record)).await?;
            context.step("volume recorded").await?;
            volume
        }
    };
    if !volume.record.get().made {
        let _held = volume.busy.lock().await;
        let place = volume.workplace(site)?;
        site.qemu_img
            .create(&place, FILE, bytes(volume.record.get().size))
            .await?;
        let made = [volume.file(), place.directory, volume.directory.clone()];
        blocking(move || made.iter().try_for_each(|path| durable::sync(path))).await?;
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
async fn set_online(site: &Arc<Site>, context: &Context, volume: &Volume, online: bool) -> Result<()> {
    let set = move |record: &mut VolumeRecord| {
        record.online = online;
        record.leaving = false;
    };
    volume.record.change(set).await?;
    if let Some((machine, _)) = site.attachment(&volume.id) {
        devices::settle(site, &machine, Some(context)).await?;
        site.publish_machine(&machine);
    }
    site.publish_volume(volume);
    Ok(())
}

/// Offline, if no guest has it.
async fn set_offline(site: &Arc<Site>, context: &Context, volume: &Volume) -> Result<()> {
    if volume.record.get().online {
        // After a start nobody may have looked yet whether the machine runs.
        if let Some((machine, _)) = site.attachment(&volume.id) {
            machine.look().await?;
        }
        volume.refuse_if_used(site)?;
        let leave = |record: &mut VolumeRecord| {
            record.online = false;
            record.leaving = true;
        };
        volume.record.change(leave).await?;
    }
    // A machine says that it starts before it looks which volumes are online; so one that took it is seen here, also if
    // we were broken off.
    if volume.record.get().leaving
        && let Err(used) = volume.refuse_if_used(site)
    {
        set_online(site, context, volume, true).await?;
        return Err(used);
    }
    set_online(site, context, volume, false).await
}

/// Makes it `gib` large, also while a guest uses it. Never smaller.
async fn resize(site: &Site, volume: &Volume, gib: f64, asker: &Context) -> Result<()> {
    let now = volume.record.get().size;
    if gib < now {
        return refuse(
            ErrorKind::Conflict,
            format!("the volume has {now} GiB and cannot shrink to {gib}: what is on it would be cut off"),
        );
    }
    let size = bytes(gib);
    site.check_disk_size(size)?;
    site.check_disk(size.saturating_sub(bytes(now)))?;
    let (_held, worker) = volume.worker(site, asker).await?;
    match worker {
        Worker::Qemu { live, node, .. } => {
            let arguments = json!({"node-name": node, "size": size});
            live.qmp.execute("block_resize", arguments).await.map(drop)?;
        }
        Worker::Tools(place) => site.qemu_img.resize(&place, FILE, size).await?,
    }
    volume.record.change(move |record| record.size = gib).await?;
    Ok(())
}

/// Keeps the present content inside of the volume's file, under the operation's name.
async fn snapshot(site: &Site, volume: &Volume, name: &str, asker: &Context) -> Result<()> {
    let (_held, worker) = volume.worker(site, asker).await?;
    match worker {
        Worker::Qemu { live, node, .. } => {
            let arguments = json!({"device": node, "name": name});
            match live.qmp.execute("blockdev-snapshot-internal-sync", arguments).await {
                // An earlier attempt of the same operation.
                Err(Failure::Refused { said, .. }) if said.contains("already exists") => Ok(()),
                other => Ok(other.map(drop)?),
            }
        }
        Worker::Tools(place) if site.qemu_img.has_snapshot(&place, FILE, name).await? => Ok(()),
        Worker::Tools(place) => Ok(site.qemu_img.snapshot(&place, FILE, name).await?),
    }
}

/// Copies the present content into a file of its own beside the volume's. Gives up when `asker` is told to stop.
async fn backup(site: &Site, volume: &Volume, name: &str, asker: &Context) -> Result<()> {
    let done = volume.directory.join(format!("backup-{name}.qcow2"));
    if done.exists() {
        return Ok(());
    }
    site.check_disk(std::fs::metadata(volume.file()).map_or(0, |meta| meta.len()))?;
    let (held, worker) = volume.worker(site, asker).await?;
    let alone = match &worker {
        Worker::Qemu { machine, .. } => Some(asker.wait(machine.copying.clone().lock_owned()).await?),
        Worker::Tools(_) => None,
    };
    let (tools, told) = (site.qemu_img.clone(), asker.clone());
    let copy = |token: CancellationToken| async move {
        let _alone = (held, alone);
        match worker {
            Worker::Qemu { machine, live, node } => {
                let copy = machine.inside().join(saving::COPY);
                let begun = jobs::begin_copy(&live, &node, saving::COPY).await;
                let copied = saving::copied_by(&live, begun, &token, &told).await;
                saving::settle(copied, &copy, &token, &told).await?;
                blocking(move || durable::rename(&copy, &done)).await
            }
            Worker::Tools(place) => {
                let copy = place.directory.join(saving::COPY);
                let copied = tools.copy(&place, FILE, saving::COPY, &told);
                let copied = if_wanted(&token, copied).await;
                saving::settle(copied.flatten(), &copy, &token, &told).await?;
                blocking(move || durable::rename(&copy, &done)).await
            }
        }
    };
    Ok(apart(asker.stopped(), copy).await?)
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
        "online" => set_online(site, context, volume, true).await?,
        "offline" => set_offline(site, context, volume).await?,
        "resize" => resize(site, volume, size(invocation.parameters.get("size"))?, context).await?,
        "snapshot" => snapshot(site, volume, &operation, context).await?,
        "backup" => backup(site, volume, &operation, context).await?,
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
        resize(site, volume, size(change.set.get("occi.storage.size"))?, context).await?;
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
