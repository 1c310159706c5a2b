//! Networks: a switch process for each, and for those with a way out a QEMU without a machine that does NAT and names.
//!
//! Both outlive us. What they should do follows from the records of the network and of the machines on it; `settle`
//! makes it so, whatever was there before.

use crate::error::Failure;
use crate::host::blocking::blocking;
use crate::host::confine::{self, Confinement, INSIDE};
use crate::host::durable::{self, Record};
use crate::host::launch::{self, Order};
use crate::host::process::Process;
use crate::host::socket;
use crate::network::switch::{self, Plan, Port, Report};
use crate::qemu::qmp::Qmp;
use crate::record::{MachineRecord, NetworkRecord, NicRecord};
use crate::site::Site;
use futures::future::BoxFuture;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio_util::task::AbortOnDropHandle;

/// From `exec` until a switch or a way out answers.
const START: Duration = Duration::from_secs(10);
/// Between two tries to replace a process that has ended.
const AGAIN: Duration = Duration::from_millis(300);
/// So often in a row a process may end at once before the network counts as failed.
const TRIES: u32 = 5;

const SWITCH: &str = "switch";
const SWITCH_LOG: &str = "switch.log";
const OUTSIDE: &str = "outside";
const MONITOR: &str = "qmp";
/// The socket of the way out, on which the switch finds it.
const LAN: &str = "lan";

/// What a network is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetworkStatus {
    Down,
    Up,
    Failed(String),
}

/// The processes of a network that is up.
#[derive(Default)]
struct Parts {
    outside: Option<(Process, Qmp)>,
    _keeper: Option<AbortOnDropHandle<()>>,
}

/// A network.
pub(crate) struct Network {
    pub(crate) id: String,
    pub(crate) record: Arc<Record<NetworkRecord>>,
    directory: PathBuf,
    parts: tokio::sync::Mutex<Parts>,
    status: Mutex<NetworkStatus>,
}

impl Network {
    pub(crate) fn new(directory: PathBuf, record: Arc<Record<NetworkRecord>>) -> Arc<Self> {
        let known = record.get();
        // Its processes outlived us, or will be started again: it is what it was until that is known to be wrong.
        let status = match known.up {
            true => NetworkStatus::Up,
            false => NetworkStatus::Down,
        };
        Arc::new(Self {
            id: known.id.clone(),
            record,
            directory,
            parts: tokio::sync::Mutex::default(),
            status: Mutex::new(status),
        })
    }

    /// What it is doing.
    pub(crate) fn status(&self) -> NetworkStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_status(&self, site: &Site, status: NetworkStatus) {
        let mut known = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != status {
            *known = status;
            drop(known);
            site.publish_network(self);
        }
    }

    /// Makes the processes, the switch's plan and the published ports what the records say.
    pub(crate) async fn settle(self: &Arc<Self>, site: &Arc<Site>) -> Result<(), Failure> {
        let mut parts = self.parts.lock().await;
        let settled = self.settle_alone(site, &mut parts).await;
        if let Err(failure) = &settled {
            self.set_status(site, NetworkStatus::Failed(failure.to_string()));
        }
        settled
    }

    async fn settle_alone(self: &Arc<Self>, site: &Arc<Site>, parts: &mut Parts) -> Result<(), Failure> {
        let record = self.record.get();
        if !record.up {
            self.end_parts(parts).await?;
            self.set_status(site, NetworkStatus::Down);
            return Ok(());
        }
        let plan = plan(site, &record);
        if plan.ports.is_empty() {
            // Nobody is there to hear: a network without interfaces needs no processes.
            self.end_parts(parts).await?;
            self.set_status(site, NetworkStatus::Up);
            return Ok(());
        }
        let switch_directory = self.directory.join(SWITCH);
        std::fs::create_dir_all(&switch_directory).map_err(Failure::host("make the network's directory"))?;
        durable::note_json(&switch_directory.join(switch::PLAN), &plan)?;

        let switch = launch::start(&site.config.launcher, &switch_directory, &switch_order()).await?;
        let outside = match (record.gateway, parts.outside.take()) {
            (None, _) => None,
            (Some(_), Some((process, qmp))) if is_alive(&process) => Some((process, qmp)),
            (Some(gateway), _) => Some(self.start_outside(site, &record, gateway).await?),
        };
        let report = poke(&switch_directory, &switch).await?;
        if outside.is_some() && !report.uplink {
            tracing::debug!(network = self.id, "the way out is not connected yet");
        }
        if let Some((_, qmp)) = &outside {
            for taken in publish_ports(qmp, &wanted_ports(site, &self.id)).await? {
                self.publish_elsewhere(site, qmp, taken).await?;
            }
        }
        let keeper = keep(
            Arc::downgrade(self),
            Arc::downgrade(site),
            switch.clone(),
            outside.as_ref().map(|(process, _)| process.clone()),
        );
        *parts = Parts {
            outside,
            _keeper: Some(AbortOnDropHandle::new(tokio::spawn(keeper))),
        };
        self.set_status(site, NetworkStatus::Up);
        Ok(())
    }

    /// Somebody else has taken the port of a machine: finds it another one.
    async fn publish_elsewhere(&self, site: &Site, qmp: &Qmp, (taken, address): Published) -> Result<(), Failure> {
        let id = self.id.clone();
        let mine =
            move |nic: &NicRecord| nic.network == id && nic.published == Some(taken) && nic.address == Some(address);
        let machines = site.machines();
        let machine = machines
            .iter()
            .find(|machine| machine.record.get().nics.iter().any(&mine));
        let Some(machine) = machine else { return Ok(()) };
        for _try in 0..TRIES {
            let port = site.free_port();
            let again = port.map(|port| (port, address));
            let failed = publish(qmp, again.as_slice()).await?;
            if failed.is_empty() {
                let mine = mine.clone();
                let change = move |record: &mut MachineRecord| {
                    let nic = record.nics.iter_mut().find(|nic| mine(nic));
                    nic.into_iter().for_each(|nic| nic.published = port);
                };
                machine.record.change(change).await?;
                site.publish_machine(machine);
                return Ok(());
            }
        }
        Ok(())
    }

    async fn start_outside(
        &self,
        site: &Site,
        record: &NetworkRecord,
        gateway: Ipv4Addr,
    ) -> Result<(Process, Qmp), Failure> {
        site.host().await?; // says what is missing, in words
        let directory = self.directory.join(OUTSIDE);
        std::fs::create_dir_all(directory.join(INSIDE)).map_err(Failure::host("make the network's directory"))?;
        confine::give(&directory.join(INSIDE), record.user)?;
        let order = outside_order(&site.config.qemu, record, gateway);
        let process = launch::start(&site.config.launcher, &directory, &order).await?;
        match Qmp::reach(&directory.join(INSIDE).join(MONITOR), &process, START).await? {
            Some(qmp) => Ok((process, qmp)),
            None => Err(launch::last_words(&directory, &order.program, &order.log)),
        }
    }

    /// Ends its processes, also those of an earlier life of ours, and those that are about to start.
    async fn end_parts(&self, parts: &mut Parts) -> Result<(), Failure> {
        *parts = Parts::default();
        for part in [SWITCH, OUTSIDE] {
            launch::end(&self.directory.join(part)).await?;
        }
        Ok(())
    }

    /// Ends its processes and removes everything.
    pub(crate) async fn remove(&self) -> Result<(), Failure> {
        let mut parts = self.parts.lock().await;
        self.end_parts(&mut parts).await?;
        let directory = self.directory.clone();
        blocking(move || durable::remove_dir(&directory)).await
    }

    /// Lets go of its processes, which go on.
    pub(crate) async fn release(&self) {
        *self.parts.lock().await = Parts::default();
    }
}

fn is_alive(process: &Process) -> bool {
    matches!(Process::open(process.identity()), Ok(Some(_)))
}

/// Replaces a process of the network that ends.
async fn keep(network: Weak<Network>, site: Weak<Site>, switch: Process, outside: Option<Process>) {
    let outside_ended = async {
        match &outside {
            Some(process) => process.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = switch.ended() => {}
        () = outside_ended => {}
    }
    // Settling replaces this task, so it runs in one of its own.
    tokio::spawn(replace(network, site));
}

/// Settles a network until it is, a few times. Boxed: settling starts a keeper, which starts this.
fn replace(network: Weak<Network>, site: Weak<Site>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        for _try in 0..TRIES {
            tokio::time::sleep(AGAIN).await;
            let (Some(network), Some(site)) = (network.upgrade(), site.upgrade()) else {
                return;
            };
            match network.settle(&site).await {
                Ok(()) => return,
                Err(failure) => tracing::warn!(
                    network = network.id,
                    error = %crate::error::chain(&failure),
                    "a process of a network ended and was not replaced"
                ),
            }
        }
    })
}

fn switch_order() -> Order {
    Order {
        program: "/proc/self/exe".into(),
        args: vec![switch::SUBCOMMAND.to_owned()],
        log: SWITCH_LOG.to_owned(),
        inside: PathBuf::new(),
        confinement: Confinement {
            write: vec![".".into()],
            open_files: Some(4096),
            ..Confinement::default()
        },
    }
}

/// A QEMU without a machine: only its user-mode network, joined to the switch.
fn outside_order(qemu: &Path, record: &NetworkRecord, gateway: Ipv4Addr) -> Order {
    let dns = record.dns().map(|dns| format!(",dns={dns}")).unwrap_or_default();
    let user = format!("user,id=outside,net={},host={gateway}{dns},ipv6=off", record.subnet);
    let args = [
        "-name",
        &record.id,
        "-machine",
        "none",
        "-accel",
        "tcg,tb-size=1",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-chardev",
        &format!("socket,id=monitor,path={MONITOR},server=on,wait=off"),
        "-mon",
        "chardev=monitor,mode=control",
        "-netdev",
        &user,
        "-netdev",
        &format!("stream,id=lan,server=on,addr.type=unix,addr.path={LAN}"),
        "-netdev",
        "hubport,id=port0,hubid=0,netdev=outside",
        "-netdev",
        "hubport,id=port1,hubid=0,netdev=lan",
    ];
    Order {
        program: qemu.to_owned(),
        args: args.map(str::to_owned).to_vec(),
        log: "qemu.log".to_owned(),
        inside: INSIDE.into(),
        confinement: Confinement {
            write: vec![INSIDE.into()],
            tcp: true,
            user: record.user,
            open_files: Some(16_384),
            ..Confinement::default()
        },
    }
}

/// What the switch of a network should know.
fn plan(site: &Site, record: &NetworkRecord) -> Plan {
    let ports = site.machines().into_iter().flat_map(|machine| {
        let nics = machine.record.get().nics.clone();
        nics.into_iter().map(move |nic| (machine.inside(), nic))
    });
    Plan {
        subnet: Some(record.subnet),
        gateway: record.gateway,
        dns: record.dns(),
        uplink: record
            .gateway
            .map(|_| Path::new("..").join(OUTSIDE).join(INSIDE).join(LAN)),
        ports: ports
            .filter(|(_, nic)| nic.network == record.id)
            .map(|(directory, nic)| Port {
                mac: nic.mac,
                address: nic.address,
                socket: directory.join(crate::compute::command_line::nic_name(nic.index)),
            })
            .collect(),
    }
}

/// Makes the switch read its plan, and waits for its report.
async fn poke(directory: &Path, switch: &Process) -> Result<Report, Failure> {
    let control = directory.join(switch::CONTROL);
    let ask = async {
        loop {
            if let Ok(mut stream) = socket::connect(&control).await {
                let mut answer = Vec::new();
                if stream.read_to_end(&mut answer).await.is_ok()
                    && let Ok(report) = serde_json::from_slice(&answer)
                {
                    return report;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        report = ask => Ok(report),
        () = switch.ended() => Err(launch::last_words(directory, Path::new(SWITCH), SWITCH_LOG)),
        () = tokio::time::sleep(START) => {
            Err(Failure::Slow { step: "reach the network's switch".to_owned(), limit: START })
        }
    }
}

/// A port of the host's loopback, and where it leads.
type Published = (u16, Ipv4Addr);

fn wanted_ports(site: &Site, network: &str) -> Vec<Published> {
    let machines = site.machines();
    let nics = machines.iter().flat_map(|machine| machine.record.get().nics.clone());
    nics.filter(|nic| nic.network == network)
        .filter_map(|nic| Some((nic.published?, nic.address?)))
        .collect()
}

/// Makes the published ports those of `wanted`; gives back those that somebody else has taken.
async fn publish_ports(qmp: &Qmp, wanted: &[Published]) -> Result<Vec<Published>, Failure> {
    let present = parse_forwards(&qmp.human("info usernet").await?);
    for (port, _) in present.iter().filter(|forward| !wanted.contains(forward)) {
        qmp.human(&format!("hostfwd_remove outside tcp:127.0.0.1:{port}"))
            .await?;
    }
    let new: Vec<Published> = wanted
        .iter()
        .filter(|forward| !present.contains(forward))
        .copied()
        .collect();
    publish(qmp, &new).await
}

async fn publish(qmp: &Qmp, ports: &[Published]) -> Result<Vec<Published>, Failure> {
    let mut taken = Vec::new();
    for (port, address) in ports {
        let said = qmp
            .human(&format!("hostfwd_add outside tcp:127.0.0.1:{port}-{address}:22"))
            .await?;
        if !said.is_empty() {
            tracing::debug!(port, "a port of the loopback could not be published: {said}");
            taken.push((*port, *address));
        }
    }
    Ok(taken)
}

/// `  TCP[HOST_FORWARD]  12       127.0.0.1 22033     10.213.1.16    22     0     0`
fn parse_forwards(text: &str) -> Vec<Published> {
    let forward = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next()? == "TCP[HOST_FORWARD]").then_some(())?;
        let port = words.nth(2)?.parse().ok()?;
        Some((port, words.next()?.parse().ok()?))
    };
    text.lines().filter_map(forward).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ports_are_read_from_what_the_monitor_prints() {
        let text = "Hub 0 (outside):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
            TCP[HOST_FORWARD]  12       127.0.0.1 22033     10.213.1.16    22     0     0\r\n  \
            TCP[ESTABLISHED]   13     10.213.1.16 40000       192.0.2.1    80     0     0\r\n";
        assert_eq!(parse_forwards(text), [(22033, Ipv4Addr::new(10, 213, 1, 16))]);
    }
}
