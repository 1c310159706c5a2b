//! One virtual machine while we run: its record, its QEMU if there is one, and what that says.
//!
//! ```text
//!            launch                 STOP / RESUME
//!   Off --------------> Running <--------------------> Paused
//!    ^                   |   |  guest switches itself off
//!    |   process gone    |   '-------------> Leaving --(quit)--> Off
//!    '------ wanted? ----'---- not wanted: Died
//! ```
//!
//! What is wanted is on disk before anything is done about it; so after a crash of ours, "no process" can be told apart:
//! nothing wanted is off, something wanted has died.

use crate::compute::command_line::{self, BASE, LOG, MONITOR};
use crate::compute::console;
use crate::compute::devices;
use crate::compute::saving;
use crate::config::OnHostBoot;
use crate::error::{Failure, for_users};
use crate::host::apart::{apart, if_wanted};
use crate::host::confine::{Confinement, INSIDE};
use crate::host::durable::{self, Record};
use crate::host::launch::{self, Order};
use crate::host::process::{Identity, Process, boot_id};
use crate::qemu::agent;
use crate::qemu::jobs;
use crate::qemu::qemu_img::Workplace;
use crate::qemu::qmp::{Qmp, QmpEvent};
use crate::record::{MachineRecord, Wanted};
use crate::site::{Site, Turn};
use crate::volume::{self, Hindrance};
use occi_backend::Context;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{MutexGuard, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// From `exec` until the monitor answers; 0.2 s on a quiet host.
const START: Duration = Duration::from_secs(30);
/// How long QEMU may take to end when it is told to, or to answer when it is to end, before it is killed.
const QUIT: Duration = Duration::from_secs(5);
/// So many times as long if it waits for the disk meanwhile: what it holds of the guest's writes has to get there, and a
/// kill would throw it away.
const FLUSHES: u32 = 6;
/// The power button is pressed again after this: a guest that was still booting did not hear the first time.
const BUTTON: Duration = Duration::from_secs(3);
/// A guest without agent counts as booted after this, for the queue of those that wait to boot.
const BOOTED: Duration = Duration::from_secs(12);

/// Disks, sockets and what QEMU needs itself.
const OPEN_FILES: u64 = 4096;

/// What a machine is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nobody has looked yet.
    Unknown,
    /// There is no process.
    Off,
    /// There is one, and the guest has not begun.
    Starting,
    Running,
    Paused,
    /// The guest has switched itself off.
    Leaving,
    /// QEMU holds the guest because of this.
    Failed(String),
    /// The process is gone although it was wanted.
    Died(String),
}

impl Status {
    /// The word of `query-status`.
    fn from_qemu(word: &str) -> Self {
        match word {
            "running" | "suspended" => Self::Running,
            "paused" | "save-vm" | "finish-migrate" | "postmigrate" | "colo" => Self::Paused,
            "prelaunch" | "inmigrate" | "restore-vm" => Self::Starting,
            "shutdown" => Self::Leaving,
            "io-error" => Self::Failed("a disk of the host failed or is full; start continues the guest".to_owned()),
            "guest-panicked" => Self::Failed("the guest's system crashed".to_owned()),
            other => Self::Failed(format!("QEMU reports {other}")),
        }
    }

    /// Whether there is a process.
    pub(crate) fn has_process(&self) -> bool {
        matches!(
            self,
            Self::Starting | Self::Running | Self::Paused | Self::Leaving | Self::Failed(_)
        )
    }
}

/// A living QEMU.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) process: Process,
    pub(crate) qmp: Qmp,
    _watcher: Arc<AbortOnDropHandle<()>>,
}

/// A virtual machine.
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) directory: PathBuf,
    pub(crate) record: Arc<Record<MachineRecord>>,
    pub(crate) console: console::Log,
    site: Weak<Site>,
    live: Mutex<Option<Live>>,
    status: watch::Sender<Status>,
    /// Held by whoever starts, ends or attaches to the process.
    work: tokio::sync::Mutex<()>,
    /// Held by whoever plugs devices.
    pub(crate) plugging: tokio::sync::Mutex<()>,
    /// Held by whoever copies one of its disks: of the file of a copy, and of its job, there is one.
    pub(crate) copying: Arc<tokio::sync::Mutex<()>>,
    clearing_up: Mutex<Option<AbortOnDropHandle<()>>>,
    /// We are ending the process ourselves, although the machine is wanted.
    quitting: AtomicBool,
}

impl Machine {
    pub(crate) fn new(site: &Arc<Site>, directory: PathBuf, record: Arc<Record<MachineRecord>>) -> Arc<Self> {
        // What is not made in full has no process.
        let status = if record.get().made {
            Status::Unknown
        } else {
            Status::Off
        };
        Arc::new(Self {
            id: record.get().mark.clone(),
            console: console::Log::new(&directory, &directory.join(INSIDE), site.config.console_log << 10),
            directory,
            record,
            site: Arc::downgrade(site),
            live: Mutex::default(),
            status: watch::Sender::new(status),
            work: tokio::sync::Mutex::default(),
            plugging: tokio::sync::Mutex::default(),
            copying: Arc::default(),
            clearing_up: Mutex::default(),
            quitting: AtomicBool::new(false),
        })
    }

    /// Where its QEMU works.
    pub(crate) fn inside(&self) -> PathBuf {
        self.directory.join(INSIDE)
    }

    /// Whether its root disk is not there although it was made.
    pub(crate) fn has_lost_root(&self) -> bool {
        self.record.get().made && durable::is_lost(&self.inside().join(command_line::ROOT))
    }

    /// Where image tools work on its disks.
    pub(crate) fn workplace(&self) -> Workplace {
        Workplace {
            directory: self.inside(),
            read: vec![Path::new("..").join(BASE)],
            user: self.record.get().user,
        }
    }

    /// What it is doing, as far as we know; see [`Machine::look`].
    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Its QEMU, if we are attached to one.
    pub(crate) fn live(&self) -> Option<Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_live(&self, live: Option<Live>) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = live;
    }

    fn set_status(&self, status: Status) {
        let changed = self.status.send_if_modified(|known| {
            let changed = *known != status;
            *known = status;
            changed
        });
        if let (true, Some(site)) = (changed, self.site.upgrade()) {
            site.publish_machine(self);
        }
    }

    /// Whether its guest is held, in memory or on disk, and so can take and let go of nothing.
    pub(crate) fn is_held(&self) -> bool {
        self.status() == Status::Paused || self.record.get().wanted == Wanted::Hibernated
    }

    /// Waits until it is in a state that `is`, for `limit`; whether that came to pass.
    pub(crate) async fn wait_for(&self, limit: Duration, is: impl Fn(&Status) -> bool) -> bool {
        let mut status = self.status.subscribe();
        matches!(tokio::time::timeout(limit, status.wait_for(is)).await, Ok(Ok(_)))
    }

    /// Whether there is a process, whoever knows of it.
    pub(crate) fn has_process(&self) -> Result<bool, Failure> {
        Ok(Process::recorded(&self.directory)?.is_some())
    }

    /// Attaches to its process if there is one, and asks it; after this [`Machine::status`] is the truth.
    pub(crate) async fn look(self: &Arc<Self>) -> Result<(), Failure> {
        let _alone = self.work.lock().await;
        self.look_alone().await
    }

    async fn look_alone(self: &Arc<Self>) -> Result<(), Failure> {
        if let Some(live) = self.live() {
            if let Ok(status) = query_status(&live.qmp).await {
                self.adopt(&live.qmp, status).await?;
                return Ok(());
            }
            if tokio::time::timeout(QUIT, live.process.ended()).await.is_ok() {
                self.process_gone();
                return Ok(());
            }
            self.set_live(None);
        }
        match Process::recorded(&self.directory)? {
            Some(process) => match self.attach(process.clone()).await {
                // One that ends while we look is as good as gone.
                Err(_) if tokio::time::timeout(QUIT, process.ended()).await.is_ok() => {
                    self.process_gone();
                    Ok(())
                }
                attached => attached,
            },
            None => {
                self.process_gone();
                Ok(())
            }
        }
    }

    /// Connects to the monitor of `process` and keeps listening.
    async fn attach(self: &Arc<Self>, process: Process) -> Result<(), Failure> {
        let monitor = self.inside().join(MONITOR);
        let greet = async {
            let Some(qmp) = Qmp::reach(&monitor, &process, START).await? else {
                return Ok(None);
            };
            let events = qmp.events();
            let status = query_status(&qmp).await?;
            Ok(Some((qmp, events, status)))
        };
        let greeted = match greet.await {
            // One that ends may hang up before it is gone.
            Err(Failure::Disconnected(_)) if tokio::time::timeout(QUIT, process.ended()).await.is_ok() => None,
            greeted => greeted?,
        };
        let Some((qmp, events, status)) = greeted else {
            let failure = launch::last_words(&self.directory, &self.site()?.config.qemu, LOG);
            self.process_gone();
            return Err(failure);
        };
        let watcher = tokio::spawn(watch_process(
            Arc::downgrade(self),
            process.clone(),
            qmp.clone(),
            events,
        ));
        self.set_live(Some(Live {
            process,
            qmp: qmp.clone(),
            _watcher: Arc::new(AbortOnDropHandle::new(watcher)),
        }));
        self.adopt(&qmp, status).await
    }

    /// Takes `status` for the truth; a guest that has left is let go.
    async fn adopt(&self, qmp: &Qmp, status: Status) -> Result<(), Failure> {
        if status == Status::Leaving {
            self.record.change(|record| record.wanted = Wanted::Off).await?;
            // The end of the process says the rest.
            let _ended_before_it_answered = qmp.execute("quit", json!({})).await;
        }
        self.set_status(status);
        Ok(())
    }

    /// There is no process any more, or never was one.
    fn process_gone(&self) {
        self.set_live(None);
        let record = self.record.get();
        let expected = self.quitting.load(Ordering::Acquire)
            || matches!(record.wanted, Wanted::Off | Wanted::Hibernated)
            || !record.made
            || self.ran_before_host_boot();
        self.set_status(if expected {
            Status::Off
        } else {
            let said = launch::tail(&self.directory.join(LOG)).map(|said| format!(": {}", for_users(&said)));
            Status::Died(format!("its QEMU process ended{}", said.unwrap_or_default()))
        });
    }

    fn site(&self) -> Result<Arc<Site>, Failure> {
        let gone = || Failure::Disconnected("the engine is shutting down".to_owned());
        self.site.upgrade().ok_or_else(gone)
    }

    /// Starts it, or lets it go on; fine if it runs. Waits for its turn, and for volumes on which somebody works, as long as
    /// whoever asked for it, if somebody did, still wants it.
    pub(crate) async fn power_on(self: &Arc<Self>, asker: Option<&Context>) -> Result<(), Failure> {
        let site = self.site()?;
        let hibernated = self.record.get().wanted == Wanted::Hibernated;
        let mut turn = None;
        loop {
            let may_launch = turn.is_some();
            let goes_on = self.go_on(turn.take(), asker).await;
            // Whoever stops or removes it does not wait for what this waits for; nor do others that want to boot.
            match goes_on {
                Ok(true) if may_launch => break,
                Ok(true) => return Ok(()),
                Ok(false) => turn = Some(wait(asker, site.turn_to_boot()).await?),
                Err(Hindrance::Busy(volume)) => wait(asker, volume.idle()).await?,
                Err(Hindrance::Failed(failure)) => return Err(failure),
            }
        }
        devices::plug(&site, self, asker).await?;
        if hibernated {
            self.clear_up(&site);
        }
        Ok(())
    }

    /// Lets it go on; what has to boot for that is started if there is a `turn`. Whether it runs now.
    async fn go_on(self: &Arc<Self>, turn: Option<Turn>, asker: Option<&Context>) -> Result<bool, Hindrance> {
        let _alone = self.work.lock().await;
        let site = self.site()?;
        if site.machine(&self.id).is_none() {
            return Err(Failure::Removed.into());
        }
        self.look_alone().await?;
        self.wait_until_left().await?;
        let hibernated = self.record.get().wanted == Wanted::Hibernated;
        if hibernated && self.status().has_process() {
            // A start that was broken off: nothing has run yet, and the state is still on the disk.
            self.end_alone().await?;
        }
        match (self.status(), self.live()) {
            (Status::Running, _) => return Ok(true),
            (Status::Paused | Status::Starting, Some(live)) => {
                self.record.change(|record| record.wanted = Wanted::Running).await?;
                live.qmp.execute("cont", json!({})).await?;
                self.set_status(query_status(&live.qmp).await?);
                self.clear_up(&site);
                return Ok(true);
            }
            (Status::Failed(_), Some(live)) => {
                // A disk that has room again lets the guest go on; whatever else holds it ends with a new start.
                let continued = live.qmp.execute("cont", json!({})).await.is_ok();
                if continued && query_status(&live.qmp).await? == Status::Running {
                    self.look_alone().await?;
                    return Ok(true);
                }
                self.end_alone().await?;
            }
            _ => {}
        }
        match turn {
            Some(turn) => self.launch(&site, turn, asker).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Keeps the guest's state on its disk and ends the process. If `asker` is told to stop, or goes away, the guest goes on as
    /// soon as QEMU answers again.
    pub(crate) async fn hibernate(self: &Arc<Self>, asker: &Context) -> Result<(), Failure> {
        let (machine, told) = (self.clone(), asker.clone());
        let hibernate = |token| async move { machine.hibernate_if(&token, &told).await };
        apart(asker.stopped(), hibernate).await
    }

    async fn hibernate_if(self: &Arc<Self>, wanted: &CancellationToken, asker: &Context) -> Result<(), Failure> {
        let _alone = if_wanted(wanted, self.work.lock()).await?;
        self.look_alone().await?;
        let _no_plugging = if_wanted(wanted, self.plugging.lock()).await?;
        if let Some(live) = self.live() {
            saving::keep_state(&live, self.record.get().memory_mib(), wanted, asker).await?;
            if let Err(failure) = self.record_hibernated(&live).await {
                saving::go_on(&live).await?;
                return Err(failure);
            }
        }
        self.end_alone().await
    }

    async fn record_hibernated(&self, live: &Live) -> Result<(), Failure> {
        let hardware = devices::plugged(&live.qmp).await?;
        let hibernated = |record: &mut MachineRecord| {
            record.wanted = Wanted::Hibernated;
            record.hardware = hardware;
        };
        self.record.change(hibernated).await.map(drop)
    }

    /// A guest that has just switched itself off is on its way out: its process must be gone first.
    async fn wait_until_left(&self) -> Result<(), Failure> {
        if self.status() == Status::Leaving && !self.wait_for(QUIT, |status| !status.has_process()).await {
            self.end_alone().await?;
        }
        Ok(())
    }

    async fn launch(self: &Arc<Self>, site: &Arc<Site>, turn: Turn, asker: Option<&Context>) -> Result<(), Hindrance> {
        let host = site.host().await?;
        let before = self.record.get();
        // If one of them is busy nothing has begun.
        let held = volume::hold(site, &before.disks)?;
        let mut record = before.clone();
        let hibernated = record.wanted == Wanted::Hibernated;
        if !hibernated {
            let afresh = |record: &mut MachineRecord| {
                record.wanted = Wanted::Running;
                record.former_nics.clear();
                record.former_disks.clear();
            };
            record = self.record.change(afresh).await?;
        }
        self.quitting.store(false, Ordering::Release);
        // Before it looks which volumes are online: whoever takes one offline asks afterwards who has it.
        self.set_status(Status::Starting);
        let disks = site.attached(&before);
        devices::provide(site, self, &disks)?;
        devices::withdraw(self, &disks)?;
        let order = Order {
            program: site.config.qemu.clone(),
            args: command_line::arguments(&record, &disks, host, hibernated),
            log: LOG.to_owned(),
            inside: INSIDE.into(),
            confinement: Confinement {
                write: vec![INSIDE.into()],
                read: vec![BASE.into()],
                user: record.user,
                open_files: Some(OPEN_FILES),
                ..Confinement::default()
            },
        };
        let start = async {
            let process = launch::start(&site.config.launcher, &self.directory, &order).await?;
            let attached = self.attach(process).await;
            // A QEMU whose monitor answers has opened them all.
            drop(held);
            attached
        };
        // A guest needs its networks long after its QEMU has begun; both start at once.
        let (started, connected) = tokio::join!(start, self.connect(site));
        started?;
        if let Err(failure) = connected {
            if !hibernated {
                self.record.change(|record| record.wanted = Wanted::Off).await?;
            }
            self.end_alone().await?;
            return Err(failure.into());
        }
        if let (true, Some(live)) = (hibernated, self.live()) {
            saving::restore_state(&live, self.record.get().memory_mib(), asker).await?;
            self.record.change(|record| record.wanted = Wanted::Running).await?;
            live.qmp.execute("cont", json!({})).await?;
            saving::forget_state(&live).await;
            self.set_status(query_status(&live.qmp).await?);
        }
        if let Some(live) = self.live() {
            let mut events = live.qmp.events();
            tokio::spawn(async move {
                let _turn = turn;
                // The guest's agent opening its channel is the end of a boot; so is the end of QEMU.
                let settled = async {
                    while let Ok(event) = events.recv().await {
                        if event.name == "VSERPORT_CHANGE" && event.data["open"] == true {
                            break;
                        }
                    }
                };
                let _booted_or_not = tokio::time::timeout(BOOTED, settled).await;
            });
        }
        // The switches find the guest's sockets at once, instead of at their next round.
        self.connect(site).await?;
        Ok(())
    }

    /// Makes its networks what their records say.
    async fn connect(&self, site: &Arc<Site>) -> Result<(), Failure> {
        let record = self.record.get();
        let mut networks: Vec<_> = record.nics.iter().map(|nic| &nic.network).collect();
        networks.sort();
        networks.dedup();
        for network in networks.into_iter().filter_map(|id| site.network(id)) {
            network.settle(site).await?;
        }
        Ok(())
    }

    /// Ends what a server has left that ended in the middle of a save, a backup or a hibernation: the copy, and that the
    /// guest is held, or does not write.
    pub(crate) async fn end_left(&self) {
        if let Err(failure) = self.end_left_copy().await.and(self.end_left_hold().await) {
            tracing::warn!(machine = self.id, error = %crate::error::chain(&failure), "not ended as it was left");
        }
        if let (Status::Running, Some(live)) = (self.status(), self.live()) {
            agent::thaw_if_frozen(&self.inside().join(command_line::AGENT), &live.process).await;
        }
    }

    async fn end_left_copy(&self) -> Result<(), Failure> {
        let _alone = self.copying.lock().await;
        match self.live() {
            Some(live) => jobs::give_up_copy(&live).await?,
            // Nobody can tell it.
            None if self.has_process()? => return Ok(()),
            None => {}
        }
        let _mostly_none = std::fs::remove_file(self.inside().join(saving::COPY));
        Ok(())
    }

    async fn end_left_hold(&self) -> Result<(), Failure> {
        let _alone = self.work.lock().await;
        if let (Status::Paused, Wanted::Running, Some(live)) = (self.status(), self.record.get().wanted, self.live()) {
            saving::forget_state(&live).await;
            live.qmp.execute("cont", json!({})).await?;
            self.set_status(query_status(&live.qmp).await?);
        }
        Ok(())
    }

    /// Has a guest that goes on let go of what was taken from it while it was held. In the background: it may take its
    /// time, and nobody waits for it.
    pub(crate) fn clear_up(self: &Arc<Self>, site: &Arc<Site>) {
        let (machine, site) = (self.clone(), site.clone());
        let task = tokio::spawn(async move {
            if let Err(failure) = devices::settle(&site, &machine, None).await
                && machine.status().has_process()
            {
                let error = crate::error::chain(&failure);
                tracing::warn!(
                    machine = machine.id,
                    error,
                    "the guest keeps devices whose links are gone"
                );
            }
        });
        self.set_clearing_up(Some(AbortOnDropHandle::new(task)));
    }

    fn set_clearing_up(&self, task: Option<AbortOnDropHandle<()>>) {
        *self.clearing_up.lock().unwrap_or_else(PoisonError::into_inner) = task;
    }

    /// Ends it at once, and it is not wanted any more; fine if it is off. Nobody starts it as long as the guard lives.
    pub(crate) async fn power_off(self: &Arc<Self>) -> Result<MutexGuard<'_, ()>, Failure> {
        let alone = self.work.lock().await;
        self.record.change(|record| record.wanted = Wanted::Off).await?;
        self.look_alone().await?;
        self.end_alone().await?;
        Ok(alone)
    }

    /// Kills its process if its monitor does not answer. Waits for no turn: whoever has it waits for that answer.
    pub(crate) async fn end_if_silent(&self) -> Result<(), Failure> {
        let Some(process) = Process::recorded(&self.directory)? else {
            return Ok(());
        };
        let ask = || async {
            match self.live() {
                Some(live) => query_status(&live.qmp).await.map(drop),
                None => Qmp::connect(&self.inside().join(MONITOR), &process).await.map(drop),
            }
        };
        let answers = unless_it_hangs(&process, || async {
            // Any other error is an answer as well: who asks next finds out what it means.
            !matches!(ask().await, Err(Failure::Slow { .. }))
        });
        if !answers.await {
            tracing::warn!(machine = self.id, "QEMU does not answer, and is killed");
            self.quitting.store(true, Ordering::Release);
            process.kill().await?;
        }
        Ok(())
    }

    /// Ends its process, whatever is wanted.
    pub(crate) async fn end(self: &Arc<Self>) -> Result<(), Failure> {
        let _alone = self.work.lock().await;
        self.look_alone().await?;
        self.end_alone().await
    }

    async fn end_alone(&self) -> Result<(), Failure> {
        let process = match self.live() {
            Some(live) => {
                self.quitting.store(true, Ordering::Release);
                let _ended_before_it_answered = tokio::time::timeout(QUIT, live.qmp.execute("quit", json!({}))).await;
                Some(live.process)
            }
            None => Process::recorded(&self.directory)?,
        };
        if let Some(process) = process {
            self.quitting.store(true, Ordering::Release);
            let ends = || async {
                process.ended().await;
                true
            };
            if !unless_it_hangs(&process, ends).await {
                process.kill().await?;
            }
        }
        self.process_gone();
        Ok(())
    }

    /// Asks the guest to switch itself off: through its agent if `agent` and there is one, else by the power button.
    pub(crate) async fn ask_off(self: &Arc<Self>, agent: bool, grace: Duration) -> Result<(), Failure> {
        self.look().await?;
        let Some(live) = self.live() else { return Ok(()) };
        let off = self.wait_for(grace, |status| !status.has_process());
        let asking = async {
            let channel = self.inside().join(command_line::AGENT);
            if agent && agent::power_off(&channel, &live.process).await {
                tokio::time::sleep(grace / 2).await;
            }
            loop {
                // Refused only by a QEMU that is on its way out.
                let _refused = live.qmp.execute("system_powerdown", json!({})).await;
                tokio::time::sleep(BUTTON).await;
            }
        };
        let is_off = tokio::select! {
            is_off = off => is_off,
            () = asking => false,
        };
        if is_off {
            return Ok(());
        }
        Err(Failure::Slow {
            step: "switch the guest off, which did not react".to_owned(),
            limit: grace,
        })
    }

    /// Holds the guest, in memory.
    pub(crate) async fn pause(self: &Arc<Self>) -> Result<(), Failure> {
        let _alone = self.work.lock().await;
        self.look_alone().await?;
        if let Some(live) = self.live() {
            self.record.change(|record| record.wanted = Wanted::Paused).await?;
            live.qmp.execute("stop", json!({})).await?;
            self.set_status(query_status(&live.qmp).await?);
        }
        Ok(())
    }

    /// Resets the guest.
    pub(crate) async fn reset(self: &Arc<Self>) -> Result<(), Failure> {
        match self.live() {
            Some(live) => live.qmp.execute("system_reset", json!({})).await.map(drop),
            None => Err(Failure::Disconnected("there is no process".to_owned())),
        }
    }

    /// Whether the last process that it had ran before the host's last boot.
    pub(crate) fn ran_before_host_boot(&self) -> bool {
        let boot = boot_id().unwrap_or_default();
        matches!(Identity::read(&self.directory), Ok(Some(identity)) if identity.boot != boot)
    }

    /// The host was started again: what ran is gone, and is wanted still only if the operator says so.
    pub(crate) async fn after_host_boot(self: &Arc<Self>) -> Result<(), Failure> {
        let _alone = self.work.lock().await;
        let resume = self.site()?.config.on_host_boot == OnHostBoot::Resume;
        let wanted = self.record.get().wanted;
        if wanted == Wanted::Paused || (wanted == Wanted::Running && !resume) {
            self.record.change(|record| record.wanted = Wanted::Off).await?;
        }
        self.set_live(None);
        self.set_status(Status::Off);
        Ok(())
    }

    /// Lets go of its process, which goes on.
    pub(crate) fn release(&self) {
        self.set_clearing_up(None);
        self.set_live(None);
        self.set_status(Status::Unknown);
    }

    /// Who runs it.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.live().map(|live| live.process.identity().clone())
    }
}

/// What `work` gives, which waits for others; or that whoever asked for it, if somebody did, does not want it any more.
pub(crate) async fn wait<T>(asker: Option<&Context>, work: impl Future<Output = T>) -> Result<T, Failure> {
    match asker {
        Some(asker) => Ok(asker.wait(work).await?),
        None => Ok(work.await),
    }
}

/// Whether something comes true of a process, in the time that one may take that does not hang.
async fn unless_it_hangs<W: Future<Output = bool>>(process: &Process, comes_true: impl Fn() -> W) -> bool {
    for _ in 0..FLUSHES {
        if let Ok(true) = tokio::time::timeout(QUIT, comes_true()).await {
            return true;
        }
        if !process.waits_for_disk() {
            return false;
        }
    }
    false
}

async fn query_status(qmp: &Qmp) -> Result<Status, Failure> {
    let answer = qmp.execute("query-status", json!({})).await?;
    let word = answer.get("status").and_then(Value::as_str);
    Ok(Status::from_qemu(word.unwrap_or("no status")))
}

/// Whether a machine may look different after this event.
fn matters(event: &QmpEvent) -> bool {
    matches!(
        event.name.as_str(),
        "STOP" | "RESUME" | "SHUTDOWN" | "GUEST_PANICKED" | "BLOCK_IO_ERROR" | "SUSPEND" | "WAKEUP"
    )
}

/// Follows a QEMU until its process is gone.
async fn watch_process(
    machine: Weak<Machine>,
    process: Process,
    mut qmp: Qmp,
    mut events: broadcast::Receiver<QmpEvent>,
) {
    loop {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = process.ended() => break,
            };
            match event {
                Ok(event) if !matters(&event) => continue,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => break,
            }
            let Some(machine) = machine.upgrade() else { return };
            let adopted = match query_status(&qmp).await {
                Ok(status) => machine.adopt(&qmp, status).await,
                Err(failure) => Err(failure),
            };
            if let Err(failure) = adopted {
                tracing::debug!(machine = machine.id, error = %failure, "an event was not followed up");
            }
        }
        if tokio::time::timeout(QUIT, process.ended()).await.is_ok() {
            break;
        }
        // The process lives and hung up on us: connect again.
        let Some(monitor) = machine.upgrade().map(|machine| machine.inside().join(MONITOR)) else {
            return;
        };
        if let Ok(again) = Qmp::connect(&monitor, &process).await {
            events = again.events();
            qmp = again;
        }
    }
    // Whoever has seen it before us may have started another one meanwhile.
    if let Some(machine) = machine.upgrade()
        && machine.identity().as_ref() == Some(process.identity())
    {
        machine.process_gone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_guest_that_can_go_on_counts_as_running_or_paused() {
        assert_eq!(Status::from_qemu("running"), Status::Running);
        assert_eq!(Status::from_qemu("shutdown"), Status::Leaving);
        for word in ["io-error", "guest-panicked", "internal-error", "something new"] {
            assert!(matches!(Status::from_qemu(word), Status::Failed(_)), "{word}");
        }
    }
}
