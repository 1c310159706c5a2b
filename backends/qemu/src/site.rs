//! Everything of this engine on this host: what exists, and where it is.

use crate::compute::machine::{Machine, Status};
use crate::config::QemuConfig;
use crate::error::Failure;
use crate::host::blocking::blocking;
use crate::host::confine;
use crate::host::durable::{self, Record};
use crate::host::launch;
use crate::image::bases::Kept;
use crate::image::saved;
use crate::image::upload::Uploading;
use crate::image::{Images, Library, Refusal};
use crate::network::processes::Network;
use crate::qemu::probe::{self, Host};
use crate::qemu::qemu_img::QemuImg;
use crate::record::{self, DiskRecord, MachineRecord, NetworkRecord, VolumeRecord, Wanted};
use crate::translate;
use crate::volume::Volume;
use occi_backend::Event;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// For so long the lock of the directory is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks at the guests' serial logs.
const LOG_ROUND: Duration = Duration::from_secs(5);
/// Between two looks at the directories of images.
pub(crate) const IMAGE_ROUND: Duration = Duration::from_secs(2);

/// So many uploads are looked at at a time.
const LOOKED_AT: usize = 2;
/// Between two looks at uploads that nobody goes on with.
const UPLOAD_ROUND: Duration = Duration::from_secs(600);

/// The version of how things lie in the engine's directory, as its file `layout` says.
const LAYOUT: &str = "3\n";

/// The users that are for machines where nothing else is said: above those of containers, below those of no meaning.
const FIRST_USER: u32 = 1_900_000_000;
/// So many belong to a directory.
const USERS: u32 = 1 << 16;
/// So many directories have users of their own.
const RANGES: u32 = 1500;

const MACHINES: &str = "vm";
const NETWORKS: &str = "net";
const VOLUMES: &str = "volume";
pub(crate) const BASES: &str = "base";
const TRASH: &str = "trash";
/// Images made by `save`, and those that clients have brought.
pub(crate) const SAVED: &str = "saved";
/// What clients are bringing.
pub(crate) const UPLOADS: &str = "upload";

pub(crate) struct Site {
    pub(crate) config: QemuConfig,
    pub(crate) qemu_img: QemuImg,
    pub(crate) library: Library,
    host: OnceCell<Host>,
    machines: Mutex<BTreeMap<String, Arc<Machine>>>,
    networks: Mutex<BTreeMap<String, Arc<Network>>>,
    volumes: Mutex<BTreeMap<String, Arc<Volume>>>,
    pub(crate) uploads: Mutex<BTreeMap<String, Arc<Uploading>>>,
    /// Held while room for an upload is given out, also while that waits for the disk.
    pub(crate) beginning: Mutex<()>,
    /// The turns of uploads to be looked at: that takes all of a disk's speed, or of a processor's.
    pub(crate) looking: Semaphore,
    /// Held while addresses, ports, memory and names are given out; see [`Site::place`].
    pub(crate) placing: Arc<tokio::sync::Mutex<()>>,
    pub(crate) kept_bases: Mutex<BTreeMap<OsString, Arc<Kept>>>,
    /// Cores and MiB of what is about to start, by machine.
    pub(crate) reserved: Mutex<BTreeMap<String, (u32, u64)>>,
    /// The port that was given out last.
    pub(crate) latest_port: Mutex<Option<u16>>,
    /// The first and the last of the users as whom machines run, if we are root.
    pub(crate) users: Option<[u32; 2]>,
    boots: Arc<Semaphore>,
    events: mpsc::UnboundedSender<Event>,
    settled: watch::Sender<bool>,
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
    _lock: File,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    /// Reads what there is, and begins to attach to what runs. Images are looked at every `image_round`.
    pub(crate) fn open(
        config: QemuConfig,
        image_round: Duration,
    ) -> Result<(Arc<Self>, mpsc::UnboundedReceiver<Event>), Failure> {
        for name in [MACHINES, NETWORKS, VOLUMES, BASES, TRASH, SAVED, UPLOADS] {
            make_private(&config.directory.join(name))?;
        }
        let lock_file = File::create(config.directory.join("lock")).map_err(Failure::host("open the lock"))?;
        // A program that is being started holds it for a moment for whoever has ended.
        let begun = Instant::now();
        while flock(&lock_file, FlockOperation::NonBlockingLockExclusive).is_err() {
            if begun.elapsed() > LOCK_PATIENCE {
                return Err(Failure::Record {
                    file: config.directory.display().to_string(),
                    reason: "another server uses this directory; stop it or name another one".to_owned(),
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        check_layout(&config.directory)?;
        for left in directories(&config.directory.join(TRASH))? {
            durable::remove_dir(&left)?;
        }
        let users = match (rustix::process::geteuid().is_root(), config.users) {
            (false, _) => None,
            (true, Some(users)) => Some(users),
            (true, None) => Some(own_users(&config)?),
        };
        let (events, receiver) = mpsc::unbounded_channel();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let site = Arc::new(Self {
            qemu_img: QemuImg {
                program: config.qemu_img.clone(),
                launcher: config.launcher.clone(),
            },
            library: Library::new(config.directory.join(SAVED), config.images.clone()),
            host: OnceCell::new(),
            machines: Mutex::default(),
            networks: Mutex::default(),
            volumes: Mutex::default(),
            uploads: Mutex::default(),
            beginning: Mutex::default(),
            looking: Semaphore::new(LOOKED_AT),
            placing: Arc::default(),
            kept_bases: Mutex::default(),
            reserved: Mutex::default(),
            latest_port: Mutex::default(),
            users,
            boots: Arc::new(Semaphore::new(config.boots.unwrap_or(processors))),
            events,
            settled: watch::Sender::new(false),
            tasks: Mutex::default(),
            _lock: lock_file,
            config,
        });
        recorded(&site.config.directory.join(NETWORKS), |directory, record| {
            let network = Network::new(directory, record);
            lock(&site.networks).insert(network.id.clone(), network);
        })?;
        recorded(&site.config.directory.join(VOLUMES), |directory, record| {
            let volume = Volume::new(directory, record);
            lock(&site.volumes).insert(volume.id.clone(), volume);
        })?;
        for volume in site.volumes() {
            volume.clear_up();
            // It stays offline, which whoever asks is told; all else is there.
            if let Err(failure) = volume.undo_leaving() {
                tracing::warn!(volume = volume.id, error = %crate::error::chain(&failure), "not brought online again");
            }
        }
        saved::clear_up(&site.config.directory.join(SAVED))?;
        for directory in directories(&site.config.directory.join(UPLOADS))? {
            // Bytes that no record counts are nobody's.
            if !record::path(&directory).exists() {
                site.discard(&directory)?.empty()?;
            }
        }
        let mut found = Vec::new();
        recorded(&site.config.directory.join(UPLOADS), |directory, record| {
            found.push(Uploading::new(directory, record));
        })?;
        for upload in found {
            site.find_upload(upload)?;
        }
        recorded(&site.config.directory.join(MACHINES), |directory, record| {
            let machine = Machine::new(&site, directory, record);
            lock(&site.machines).insert(machine.id.clone(), machine);
        })?;
        site.drop_unused_bases();
        if !confine::has_landlock() {
            tracing::warn!(
                "this kernel has no Landlock (Linux 5.13, `lsm=landlock,...`): a guest that breaks out of QEMU sees {}",
                if rustix::process::geteuid().is_root() {
                    "what everybody may read"
                } else {
                    "all files of this user"
                }
            );
        }
        let early = site.clone();
        let tasks = [
            // Whoever needs to know asks again, and is told what is wrong.
            tokio::spawn(async move { drop(early.host().await) }),
            tokio::spawn(revive(site.clone())),
            tokio::spawn(keep_looking(Arc::downgrade(&site), LOG_ROUND, |site, ()| {
                site.trim_logs()
            })),
            tokio::spawn(keep_looking(Arc::downgrade(&site), image_round, Site::look_at_images)),
            tokio::spawn(keep_looking(Arc::downgrade(&site), UPLOAD_ROUND, |site, ()| {
                site.drop_old_uploads()
            })),
        ];
        lock(&site.tasks).extend(tasks.map(AbortOnDropHandle::new));
        Ok((site, receiver))
    }

    /// Lets go of everything; machines and networks go on.
    pub(crate) async fn close(&self) {
        lock(&self.tasks).clear();
        for network in self.networks() {
            network.release().await;
        }
        for machine in std::mem::take(&mut *lock(&self.machines)).into_values() {
            machine.release();
        }
        lock(&self.networks).clear();
    }

    /// Returns when everything that was there at the start has been looked at.
    pub(crate) async fn settled(&self) {
        // The sender lives as long as we do.
        let mut settled = self.settled.subscribe();
        let _always_there = settled.wait_for(|settled| *settled).await;
    }

    /// What QEMU can do here.
    pub(crate) async fn host(&self) -> Result<&Host, Failure> {
        let cache = self.config.directory.join("probe.json");
        let host = self.host.get_or_try_init(|| async {
            let guest = self.tools_user().map(|user| probe::Guest {
                user,
                launcher: &self.config.launcher,
            });
            let host = probe::probe(&self.config.qemu, self.config.accelerator, guest, &cache).await?;
            tracing::info!(
                qemu = format!("{}.{}", host.version.0, host.version.1),
                accelerator = ?host.accelerator,
                "virtual machines run{}{}",
                host.why_slow().map_or("", |_| " by emulation (TCG), which is slow"),
                host.why_slow().unwrap_or_default()
            );
            Ok(host)
        });
        host.await
    }

    /// Whether guests are known to run by themselves, without translation of their code.
    pub(crate) fn has_kvm(&self) -> bool {
        self.host
            .get()
            .is_some_and(|host| host.accelerator == probe::Accelerator::Kvm)
    }

    /// Waits for a free place among those that boot.
    pub(crate) async fn turn_to_boot(&self) -> Turn {
        Turn {
            // Never closed, so it is given in the end.
            _permit: self.boots.clone().acquire_owned().await.ok(),
        }
    }

    // What exists.

    pub(crate) fn machines(&self) -> Vec<Arc<Machine>> {
        lock(&self.machines).values().cloned().collect()
    }

    pub(crate) fn machine(&self, id: &str) -> Option<Arc<Machine>> {
        lock(&self.machines).get(id).cloned()
    }

    pub(crate) fn networks(&self) -> Vec<Arc<Network>> {
        lock(&self.networks).values().cloned().collect()
    }

    pub(crate) fn network(&self, id: &str) -> Option<Arc<Network>> {
        lock(&self.networks).get(id).cloned()
    }

    pub(crate) fn machine_directory(&self, id: &str) -> PathBuf {
        self.config.directory.join(MACHINES).join(id)
    }

    /// Records a new machine. For [`Site::place`].
    pub(crate) fn add_machine(self: &Arc<Self>, record: MachineRecord) -> Result<Arc<Machine>, Failure> {
        let directory = self.machine_directory(&record.mark);
        make_private(&directory)?;
        // The machine's user passes through on its way to the image below its disk; the directory above stays closed.
        let passable = fs::Permissions::from_mode(0o711);
        fs::set_permissions(&directory, passable).map_err(Failure::host("make the machine's directory"))?;
        let record = Record::create(record::path(&directory), record)?;
        let machine = Machine::new(self, directory, record);
        lock(&self.machines).insert(machine.id.clone(), machine.clone());
        Ok(machine)
    }

    /// Removes what is left of a machine that is off; nobody starts it. What an earlier start that was cut off still sets off
    /// is ended.
    pub(crate) async fn remove_machine(self: &Arc<Self>, id: &str) -> Result<(), Failure> {
        launch::end(&self.machine_directory(id)).await?;
        let (site, own) = (self.clone(), id.to_owned());
        let removed = blocking(move || {
            let trash = site.discard(&site.machine_directory(&own))?;
            Ok::<_, Failure>((trash, lock(&site.machines).remove(&own)))
        });
        let (trash, machine) = removed.await?;
        if let Some(machine) = machine {
            for nic in &machine.record.get().nics {
                if let Some(network) = self.network(&nic.network) {
                    network.settle(self).await?;
                }
            }
        }
        self.empty(trash).await?;
        self.place(|site| {
            site.drop_unused_bases();
            Ok(())
        })
        .await
    }

    /// Records a new network. For [`Site::place`].
    pub(crate) fn add_network(&self, record: NetworkRecord) -> Result<Arc<Network>, Failure> {
        let directory = self.config.directory.join(NETWORKS).join(&record.id);
        make_private(&directory)?;
        let record = Record::create(record::path(&directory), record)?;
        let network = Network::new(directory, record);
        lock(&self.networks).insert(network.id.clone(), network.clone());
        Ok(network)
    }

    /// Forgets a network that has been removed.
    pub(crate) fn forget_network(&self, id: &str) {
        lock(&self.networks).remove(id);
    }

    pub(crate) fn volumes(&self) -> Vec<Arc<Volume>> {
        lock(&self.volumes).values().cloned().collect()
    }

    pub(crate) fn volume(&self, id: &str) -> Option<Arc<Volume>> {
        lock(&self.volumes).get(id).cloned()
    }

    /// Records a new volume. For [`Site::place`].
    pub(crate) fn add_volume(&self, record: VolumeRecord) -> Result<Arc<Volume>, Failure> {
        let directory = self.config.directory.join(VOLUMES).join(&record.mark);
        make_private(&directory)?;
        let record = Record::create(record::path(&directory), record)?;
        let volume = Volume::new(directory, record);
        lock(&self.volumes).insert(volume.id.clone(), volume.clone());
        Ok(volume)
    }

    /// Removes what is left of a volume; nobody uses it. For [`Site::place`].
    pub(crate) fn remove_volume(&self, id: &str) -> Result<Trash, Failure> {
        let trash = self.discard(&self.config.directory.join(VOLUMES).join(id))?;
        lock(&self.volumes).remove(id);
        Ok(trash)
    }

    /// The machine to which a volume is attached, and how.
    pub(crate) fn attachment(&self, volume: &str) -> Option<(Arc<Machine>, DiskRecord)> {
        self.machines().into_iter().find_map(|machine| {
            let disk = machine
                .record
                .get()
                .disks
                .iter()
                .find(|disk| disk.volume == volume)
                .cloned()?;
            Some((machine, disk))
        })
    }

    /// The volumes that a machine should have now.
    pub(crate) fn attached(&self, machine: &MachineRecord) -> Vec<DiskRecord> {
        let is_online = |id: &str| self.volume(id).is_some_and(|volume| volume.record.get().online);
        let wanted = machine
            .disks
            .iter()
            .filter(|disk| disk.online && !disk.leaving && is_online(&disk.volume));
        wanted.cloned().collect()
    }

    /// Makes a directory disappear in one step; what it becomes is for [`Site::empty`].
    pub(crate) fn discard(&self, directory: &Path) -> Result<Trash, Failure> {
        let trash = self.config.directory.join(TRASH).join(Uuid::new_v4().to_string());
        match fs::rename(directory, &trash) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::host("remove a directory")(error))
            }
            // Or it would be there again after the host has lost its power.
            _ => durable::sync(directory.parent().unwrap_or(directory)).map(|()| Trash(trash)),
        }
    }

    /// Gives the space of what was removed back, which may take its time: nobody else waits for it.
    pub(crate) async fn empty(&self, trash: Trash) -> Result<(), Failure> {
        blocking(move || trash.empty()).await
    }

    // What happens.

    fn publish(&self, event: Event) {
        let _nobody_listens = self.events.send(event);
    }

    /// Reports a machine that changed, and with it its links, whose state follows.
    pub(crate) fn publish_machine(&self, machine: &Machine) {
        for picture in translate::machine_and_links(self, machine) {
            self.publish(Event::Changed(Box::new(picture)));
        }
    }

    /// Reports a volume that changed.
    pub(crate) fn publish_volume(&self, volume: &Volume) {
        self.publish(Event::Changed(Box::new(translate::volume(volume))));
    }

    /// Reports a network that changed.
    pub(crate) fn publish_network(&self, network: &Network) {
        self.publish(Event::Changed(Box::new(translate::network(network))));
    }

    /// Tells of images that came and went since `known`.
    fn look_at_images(&self, known: Option<Images>) -> Option<Images> {
        let images = self.library.look();
        if known.as_ref() == Some(&images) {
            return known;
        }
        let is_new =
            |refused: &&(String, Refusal)| !known.as_ref().is_some_and(|known| known.refused.contains(refused));
        for (name, why) in images.refused.iter().filter(is_new) {
            tracing::warn!("the image {name} is left out: {why}");
        }
        if self.default_image(&images).is_none() {
            let name = self.config.default_image.as_deref().unwrap_or("NAME");
            let directories = self
                .config
                .images
                .iter()
                .map(|directory| directory.display().to_string());
            tracing::warn!(
                "there is no image for a compute that names none: put {name}.qcow2, {name}.raw or {name}.img into {}",
                directories.collect::<Vec<_>>().join(" or ")
            );
        }
        if known.is_some() {
            self.publish(Event::Catalogue);
        }
        Some(images)
    }

    /// Keeps the guests' serial logs within bounds: the older half goes.
    fn trim_logs(&self) {
        for machine in self.machines() {
            if let Err(error) = machine.console.trim() {
                tracing::warn!(machine = machine.id, %error, "a serial log could not be cut");
            }
        }
    }
}

/// A place among the machines that boot, until this goes.
pub(crate) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A directory that was removed and whose space is not given back yet.
#[must_use]
pub(crate) struct Trash(PathBuf);

impl Trash {
    /// [`Site::empty`] as a part of other work that may wait.
    pub(crate) fn empty(self) -> Result<(), Failure> {
        durable::remove_dir(&self.0)
    }
}

/// Looks again and again, at something that is on the disk; each time told what it has seen before.
async fn keep_looking<T: Default + Send + 'static>(
    site: Weak<Site>,
    round: Duration,
    look: impl Fn(&Site, T) -> T + Copy + Send + 'static,
) {
    let mut seen = T::default();
    while let Some(site) = site.upgrade() {
        let before = seen;
        seen = blocking(move || Ok::<_, Failure>(look(&site, before)))
            .await
            .unwrap_or_default();
        tokio::time::sleep(round).await;
    }
}

/// Finds what ran when we ended, and after a boot of the host starts what should run.
async fn revive(site: Arc<Site>) {
    let look = async |machine: Arc<Machine>| {
        let looked = match machine.ran_before_host_boot() {
            true => machine.after_host_boot().await,
            false => machine.look().await,
        };
        if let Err(failure) = looked {
            tracing::warn!(machine = machine.id, error = %crate::error::chain(&failure), "not found again");
        }
    };
    futures::future::join_all(site.machines().into_iter().map(look)).await;
    // Networks are settled when their machines' records are known; their processes never stopped.
    for network in site.networks() {
        if let Err(failure) = network.settle(&site).await {
            tracing::warn!(network = network.id, error = %crate::error::chain(&failure), "not found again");
        }
    }
    site.settled.send_replace(true);
    for machine in site.machines() {
        if machine.status() == Status::Running {
            machine.clear_up(&site);
        }
        tokio::spawn(async move { machine.end_left().await });
    }
    let start = async |machine: Arc<Machine>| {
        if machine.record.get().wanted == Wanted::Running
            && machine.status() == Status::Off
            && let Err(failure) = machine.power_on(None).await
        {
            tracing::warn!(machine = machine.id, error = %crate::error::chain(&failure), "not started after the host's boot");
        }
    };
    // Together: one of them may wait for its volumes. How many boot at a time is up to their turns.
    futures::future::join_all(site.machines().into_iter().map(start)).await;
}

/// Refuses a directory that another version has laid out otherwise; marks one in which nothing is yet.
fn check_layout(directory: &Path) -> Result<(), Failure> {
    let file = directory.join("layout");
    let found = match fs::read_to_string(&file) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut is_used = false;
            for name in [MACHINES, NETWORKS, VOLUMES] {
                is_used |= !directories(&directory.join(name))?.is_empty();
            }
            if !is_used {
                return fs::write(&file, LAYOUT).map_err(Failure::host("write the layout's version"));
            }
            "none\n".to_owned()
        }
        Err(error) => return Err(Failure::host("read the layout's version")(error)),
    };
    if found == LAYOUT {
        return Ok(());
    }
    Err(Failure::Record {
        file: file.display().to_string(),
        reason: format!(
            "the machines in this directory were made by another version of this program (layout {}, not {}); \
             use that version, or save what is on their disks, end their processes and name another directory",
            found.trim(),
            LAYOUT.trim()
        ),
    })
}

/// The users of the machines in this directory, drawn once: another server of this host has drawn others.
fn own_users(config: &QemuConfig) -> Result<[u32; 2], Failure> {
    let file = config.directory.join("users");
    if let Some(users) = durable::read_json(&file)? {
        let drawn = QemuConfig {
            users: Some(users),
            ..config.clone()
        };
        drawn.validate().map_err(|reason| Failure::Record {
            file: file.display().to_string(),
            reason,
        })?;
        return Ok(users);
    }
    let (_, random, ..) = Uuid::new_v4().as_fields();
    let first = FIRST_USER + u32::from(random) % RANGES * USERS;
    let users = [first, first + USERS - 1];
    durable::write_json(&file, &users)?;
    Ok(users)
}

/// Makes a directory for us alone, durably; fine if it is there.
pub(crate) fn make_private(directory: &Path) -> Result<(), Failure> {
    let step = format!("make the directory {}", directory.display());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(Failure::host(step))?;
    durable::sync(directory.parent().unwrap_or(directory))
}

fn directories(parent: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(parent).map_err(Failure::host(format!("read {}", parent.display())))?;
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect())
}

/// Hands over the objects below `parent` with their directories. A directory that was made for an object and never got its
/// record goes; one in which there is anything else stays as it is.
fn recorded<T>(parent: &Path, mut found: impl FnMut(PathBuf, Arc<Record<T>>)) -> Result<(), Failure>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    for directory in directories(parent)? {
        match Record::load(record::path(&directory))? {
            Some(record) => found(directory, record),
            None => {
                // The record is the first thing in it, and it is written beside its place.
                let _not_begun = fs::remove_file(record::path(&directory).with_extension("new"));
                let _not_empty = fs::remove_dir(&directory);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_directory_without_a_record_goes_unless_there_is_something_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        for directory in ["empty", "begun", "used"] {
            fs::create_dir(at(directory)).unwrap();
        }
        fs::write(at("begun/record.new"), "{").unwrap();
        fs::write(at("used/disk.qcow2"), "").unwrap();
        recorded::<NetworkRecord>(parent.path(), |_, _| unreachable!()).unwrap();
        assert!(!at("empty").exists() && !at("begun").exists() && at("used/disk.qcow2").exists());
    }

    #[test]
    fn users_are_drawn_once_and_root_is_none_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let config = QemuConfig {
            directory: directory.path().to_owned(),
            ..QemuConfig::default()
        };
        let drawn = own_users(&config).unwrap();
        assert!(drawn[0] >= FIRST_USER && drawn[1] == drawn[0] + USERS - 1, "{drawn:?}");
        assert_eq!(own_users(&config).unwrap(), drawn);
        for wrong in ["[0, 65535]", "[7, 7]", "[9, 7]"] {
            fs::write(directory.path().join("users"), wrong).unwrap();
            let refused = own_users(&config).unwrap_err().to_string();
            assert!(refused.contains("above 0"), "{wrong}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_volume_that_cannot_be_brought_online_again_keeps_nothing_from_starting() {
        let directory = tempfile::tempdir().unwrap();
        let config = QemuConfig {
            directory: directory.path().to_owned(),
            ..QemuConfig::default()
        };
        fs::write(directory.path().join("layout"), LAYOUT).unwrap();
        let volume = directory.path().join(VOLUMES).join("leaves");
        // The place where its next record is written first is taken: as on a full disk, nothing can be written.
        fs::create_dir_all(volume.join("record.new")).unwrap();
        let record =
            json!({"mark": "leaves", "project": "lab", "size": 1.0, "made": true, "online": false, "leaving": true});
        fs::write(record::path(&volume), record.to_string()).unwrap();
        let (site, _events) = Site::open(config, UPLOAD_ROUND).unwrap();
        assert!(site.volume("leaves").unwrap().record.get().leaving);
        site.close().await;
    }

    #[test]
    fn a_directory_of_another_version_is_refused_with_words_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        for name in [MACHINES, NETWORKS, VOLUMES] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        check_layout(directory.path()).unwrap();
        check_layout(directory.path()).unwrap();
        let file = directory.path().join("layout");
        fs::write(&file, "2\n").unwrap();
        let refused = check_layout(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("layout 2, not 3"), "{refused}");
        // Before there was a version, machines lay there without one.
        fs::remove_file(&file).unwrap();
        fs::create_dir(directory.path().join(MACHINES).join("old")).unwrap();
        let refused = check_layout(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("another version"), "{refused}");
        assert!(!file.exists());
    }
}
