//! What is given out on this host, one at a time: addresses, ports, users, room.

use crate::error::{Failure, refuse};
use crate::host::blocking::blocking;
use crate::network::processes::Network;
use crate::network::switch::Mac;
use crate::record::{NetworkRecord, NicRecord, Wanted};
use crate::site::{Site, lock};
use ipnet::Ipv4Net;
use occi_backend::{BackendError, ErrorKind};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

/// What QEMU needs besides the guest's memory, in MiB.
const OVERHEAD_MIB: u64 = 60;
/// What it needs for translated code, in MiB (`tb-size`).
const CODE_CACHE_MIB: u64 = 128;
/// What is left to the host, in MiB.
const HOST_MIB: u64 = 256;
/// Free disk space below which nothing new is made, in bytes.
const LEAST_FREE: u64 = 256 << 20;
/// What QEMU gives a machine without more ado.
const MOST_CORES: u32 = 255;

impl Site {
    /// Gives something out and records who has it, while nobody else does so. Done in full, also if the caller goes away.
    pub(crate) async fn place<T, E>(
        self: &Arc<Self>,
        give: impl FnOnce(&Arc<Self>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure> + Send + 'static,
    {
        let alone = self.placing.clone().lock_owned().await;
        let site = self.clone();
        blocking(move || {
            let _until_recorded = alone;
            give(&site)
        })
        .await
    }

    /// The default network of `project`, made if it is not there. For [`Site::place`].
    pub(crate) fn default_network(&self, project: &str) -> Result<Arc<Network>, BackendError> {
        let own = |network: &Arc<Network>| {
            let record = network.record.get();
            record.default && record.project == project
        };
        if let Some(network) = self.networks().into_iter().find(own) {
            return Ok(network);
        }
        let subnet = self.free_subnet()?;
        Ok(self.add_network(NetworkRecord {
            id: uuid::Uuid::new_v4().to_string(),
            mark: None,
            project: project.to_owned(),
            user: self.free_user()?,
            default: true,
            subnet,
            gateway: subnet.hosts().next(),
            fixed: false,
            up: true,
        })?)
    }

    /// Addresses that no network has.
    pub(crate) fn free_subnet(&self) -> Result<Ipv4Net, BackendError> {
        let taken: Vec<Ipv4Net> = self
            .networks()
            .iter()
            .map(|network| network.record.get().subnet)
            .collect();
        let is_free = |subnet: &Ipv4Net| {
            !taken
                .iter()
                .any(|other| other.contains(subnet) || subnet.contains(other))
        };
        let mut subnets = self.config.addresses.subnets(24).into_iter().flatten();
        subnets.find(is_free).ok_or_else(|| {
            BackendError::new(
                ErrorKind::CapacityExhausted,
                "all addresses for networks are given out; delete a network, or give the engine more `addresses`",
            )
        })
    }

    /// An address on `network`: the wished one, or the lowest that is free. For [`Site::place`].
    pub(crate) fn free_address(
        &self,
        network: &NetworkRecord,
        wish: Option<Ipv4Addr>,
        also_taken: &[Ipv4Addr],
    ) -> Result<Ipv4Addr, BackendError> {
        let machines = self.machines();
        let nics = machines.iter().flat_map(|machine| machine.record.get().nics.clone());
        let mut taken: Vec<Ipv4Addr> = nics
            .filter(|nic| nic.network == network.id)
            .filter_map(|nic| nic.address)
            .collect();
        taken.extend(also_taken);
        match wish {
            Some(wish) if !network.is_for_hosts(wish) || !network.guests().any(|address| address == wish) => {
                Err(BackendError::new(
                    ErrorKind::Invalid,
                    format!("{wish} is no address for a machine on the network {}", network.subnet),
                ))
            }
            Some(wish) if taken.contains(&wish) => Err(BackendError::new(
                ErrorKind::Conflict,
                format!("the address {wish} is in use on the network {}", network.subnet),
            )),
            Some(wish) => Ok(wish),
            // The first dozen stay free for wishes.
            None => network
                .guests()
                .skip(12)
                .chain(network.guests())
                .find(|address| !taken.contains(address))
                .ok_or_else(|| {
                    BackendError::new(
                        ErrorKind::CapacityExhausted,
                        format!("all addresses of the network {} are in use", network.subnet),
                    )
                }),
        }
    }

    /// A hardware address that no interface on `network` has. For [`Site::place`].
    pub(crate) fn free_mac(&self, network: &str, also_taken: &[Mac]) -> Mac {
        loop {
            let random = uuid::Uuid::new_v4();
            let [.., a, b, c] = *random.as_bytes();
            let mac = Mac([0x52, 0x54, 0x00, a, b, c]);
            if !also_taken.contains(&mac) && !self.has_mac(network, mac) {
                return mac;
            }
        }
    }

    /// Whether an interface on `network` has this hardware address. What others' interfaces have is nobody's business.
    pub(crate) fn has_mac(&self, network: &str, mac: Mac) -> bool {
        let is_it = |nic: &NicRecord| nic.network == network && nic.mac == mac;
        let machines = self.machines();
        machines
            .iter()
            .any(|machine| machine.record.get().nics.iter().any(is_it))
    }

    /// A port of the loopback that nobody uses now, and none of our machines ever. One after the other: for a port that
    /// is given again ssh remembers another machine's key.
    pub(crate) fn free_port(&self) -> Option<u16> {
        let machines = self.machines();
        let nics = machines.iter().flat_map(|machine| machine.record.get().nics.clone());
        let taken: Vec<u16> = nics.filter_map(|nic| nic.published).collect();
        let [first, last] = self.config.ssh_ports;
        let mut latest = lock(&self.latest_port);
        let before = latest.or_else(|| taken.iter().max().copied());
        let next = before.map_or(first, |port| port.saturating_add(1));
        let is_free = |port: &u16| !taken.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        let found = (next.max(first)..=last).chain(first..=last).find(is_free);
        *latest = found.or(*latest);
        found
    }

    /// The user as whom image tools work on volumes, if we are root.
    pub(crate) fn tools_user(&self) -> Option<u32> {
        self.users.map(|[tools, _]| tools)
    }

    /// A user that no machine and no network has, if we are root. For [`Site::place`].
    pub(crate) fn free_user(&self) -> Result<Option<u32>, BackendError> {
        let Some([tools, last]) = self.users else {
            return Ok(None);
        };
        let machines = self.machines();
        let networks = self.networks();
        let taken: Vec<u32> = machines
            .iter()
            .filter_map(|machine| machine.record.get().user)
            .collect();
        let also: Vec<u32> = networks
            .iter()
            .filter_map(|network| network.record.get().user)
            .collect();
        let free = (tools + 1..=last).find(|user| !taken.contains(user) && !also.contains(user));
        match free {
            Some(user) => Ok(Some(user)),
            None => refuse(
                ErrorKind::CapacityExhausted,
                "all users for virtual machines are given out; give the engine more `users`",
            ),
        }
    }

    /// What a machine costs besides the guest's memory, in MiB.
    fn own_mib(&self) -> u64 {
        OVERHEAD_MIB + if self.has_kvm() { 0 } else { CODE_CACHE_MIB }
    }

    /// The cores that all machines have together.
    fn all_cores(&self) -> u32 {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let processors = u32::try_from(processors).unwrap_or(u32::MAX);
        processors.saturating_mul(self.config.cores_ratio)
    }

    /// Refuses a machine that this host never has room for, whatever else runs on it.
    pub(crate) fn check_size(&self, cores: u32, memory_mib: u64) -> Result<(), BackendError> {
        let most = self.all_cores().min(MOST_CORES);
        if cores > most {
            return refuse(
                ErrorKind::TooLarge,
                format!("a compute can have at most {most} cores here"),
            );
        }
        let most = memory_of_host().map_or(u64::MAX, |(total, _)| total.saturating_sub(HOST_MIB + self.own_mib()));
        if memory_mib > most {
            return refuse(
                ErrorKind::TooLarge,
                format!("a compute can have at most {most} MiB of memory here"),
            );
        }
        Ok(())
    }

    /// Refuses what the disk never has room for, however empty it is.
    pub(crate) fn check_disk_size(&self, bytes: u64) -> Result<(), BackendError> {
        let Ok(disk) = rustix::fs::statvfs(&self.config.directory) else {
            return Ok(());
        };
        // Some of it may be kept for root.
        let blocks = disk.f_blocks.saturating_sub(disk.f_bfree.saturating_sub(disk.f_bavail));
        let most = blocks.saturating_mul(disk.f_frsize).saturating_sub(LEAST_FREE);
        if bytes <= most {
            return Ok(());
        }
        refuse(
            ErrorKind::TooLarge,
            format!("there can be at most {} MiB of disks here", most >> 20),
        )
    }

    /// Keeps room for the machine `id`, which is to start, until it runs: whoever asks meanwhile finds it taken.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        id: &str,
        cores: u32,
        memory_mib: u64,
    ) -> Result<Reservation, BackendError> {
        let mut reserved = lock(&self.reserved);
        self.check_room_beside(&reserved, id, cores, memory_mib)?;
        reserved.insert(id.to_owned(), (cores, memory_mib));
        Ok(Reservation {
            site: self.clone(),
            id: id.to_owned(),
        })
    }

    /// Keeps the room that a machine has, which is to stop and to start again.
    pub(crate) fn keep_room(self: &Arc<Self>, id: &str, cores: u32, memory_mib: u64) -> Reservation {
        lock(&self.reserved).insert(id.to_owned(), (cores, memory_mib));
        Reservation {
            site: self.clone(),
            id: id.to_owned(),
        }
    }

    /// Whether there is room for one more machine, or for `id` to be started: memory is never overcommitted, cores are
    /// by a ratio.
    pub(crate) fn check_room(&self, id: &str, cores: u32, memory_mib: u64) -> Result<(), BackendError> {
        self.check_room_beside(&lock(&self.reserved), id, cores, memory_mib)
    }

    fn check_room_beside(
        &self,
        reserved: &BTreeMap<String, (u32, u64)>,
        id: &str,
        cores: u32,
        memory_mib: u64,
    ) -> Result<(), BackendError> {
        let full = |message: String, left: String| {
            Err(BackendError::new(ErrorKind::CapacityExhausted, message).with_context(left))
        };
        let most_cores = self.all_cores();
        let (mut cores_in_use, mut memory_in_use) = (0_u32, 0_u64);
        let mut takers = reserved.clone();
        for machine in self.machines() {
            let record = machine.record.get();
            if machine.status().has_process() || record.wanted == Wanted::Running {
                takers.insert(machine.id.clone(), (record.cores, record.memory_mib()));
            }
        }
        takers.remove(id);
        for (cores, memory_mib) in takers.into_values() {
            cores_in_use = cores_in_use.saturating_add(cores);
            memory_in_use = memory_in_use.saturating_add(memory_mib).saturating_add(self.own_mib());
        }
        if cores_in_use.saturating_add(cores) > most_cores {
            return full(
                format!("no room for {cores} cores now: ask for fewer, or stop a compute"),
                format!("{cores_in_use} of {most_cores} cores are in use"),
            );
        }
        let Some((total, available)) = memory_of_host() else {
            return Ok(());
        };
        let cost = memory_mib.saturating_add(self.own_mib());
        let most = total.saturating_sub(HOST_MIB);
        if memory_in_use.saturating_add(cost) > most || cost > available {
            return full(
                format!("no room for {memory_mib} MiB of memory now: ask for less, or stop a compute"),
                format!(
                    "with QEMU's own part {cost} MiB are needed, and {} MiB are free",
                    most.saturating_sub(memory_in_use).min(available)
                ),
            );
        }
        Ok(())
    }

    /// Whether there is room for `bytes` more on the disk.
    pub(crate) fn check_disk(&self, bytes: u64) -> Result<(), BackendError> {
        let Ok(disk) = rustix::fs::statvfs(&self.config.directory) else {
            return Ok(());
        };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= bytes.saturating_add(LEAST_FREE) {
            return Ok(());
        }
        let left = format!(
            "{} MiB are needed, and {} MiB are free",
            bytes.saturating_add(LEAST_FREE) >> 20,
            free >> 20
        );
        Err(BackendError::new(
            ErrorKind::CapacityExhausted,
            "no room on the disk now: ask for less, or delete what is not needed",
        )
        .with_context(left))
    }
}

/// Room that is kept for a machine.
pub(crate) struct Reservation {
    site: Arc<Site>,
    id: String,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        lock(&self.site.reserved).remove(&self.id);
    }
}

/// The host's memory, all and available, in MiB.
fn memory_of_host() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib >> 10)
    };
    Some((field("MemTotal:")?, field("MemAvailable:")?))
}
