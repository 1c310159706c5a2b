//! What this engine remembers of its objects: one file each, in the object's directory.
//!
//! The record is written before anything is done for the object, and holds our mark and what is *wanted*; what *is*,
//! QEMU says. Everything that must be found again after a crash hangs on these files.

use crate::network::switch::Mac;
use crate::translate::mib;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// The name of the record in an object's directory.
pub(crate) const FILE: &str = "record.json";

/// What a machine should be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wanted {
    /// Nothing.
    Off,
    /// Run.
    Running,
    /// Be held, in memory.
    Paused,
    /// Be held, on disk.
    Hibernated,
}

/// An upload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadRecord {
    /// Its id; also the name of the directory.
    pub id: String,
    /// The project whose image it will be.
    pub project: String,
    /// Who began it.
    pub owner: String,
    /// What the template is to be called.
    pub name: String,
    pub title: Option<String>,
    /// In bytes, once it is known.
    pub length: Option<u64>,
    /// What was said at the beginning, in hexadecimal.
    pub sha256: Option<String>,
    pub default_user: Option<String>,
    pub ssh: Option<bool>,
    pub min_memory_mib: Option<u64>,
    /// The bytes that are on the disk for good.
    pub offset: u64,
    /// When something was added last, or it ended; milliseconds since 1970.
    pub touched_ms: i64,
    /// The template that it has become.
    pub ready: Option<String>,
    /// Why it has not become one.
    pub refused: Option<String>,
}

impl UploadRecord {
    /// Whether nothing can be added any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ready.is_some() || self.refused.is_some()
    }
}

/// A virtual machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MachineRecord {
    /// Our mark; also the name of the directory.
    pub mark: String,
    /// The project it belongs to.
    pub project: String,
    /// As whom its QEMU runs, on a host where we are root.
    pub user: Option<u32>,
    /// Whether it has been made in full, as it is described here.
    pub made: bool,
    /// Whether what lies on its root disk goes when it is made: the disk is still that of another image.
    #[serde(default)]
    pub fresh_root: bool,
    pub wanted: Wanted,
    /// The host name that the client asked for.
    pub hostname: Option<String>,
    pub cores: u32,
    /// In GiB, as asked for; QEMU gets whole MiB.
    pub memory: f64,
    /// The image it was made from, by name.
    pub template: String,
    /// The frozen image below its root disk, by file name.
    pub base: PathBuf,
    /// The account that the key lets in.
    pub ssh_user: Option<String>,
    /// QEMU's machine type at the time of making; a guest keeps its hardware.
    pub machine: String,
    pub key: Option<String>,
    /// As the client sent it.
    pub user_data: Option<String>,
    /// The disk that lives and dies with it, in GiB, as asked for.
    pub ephemeral: Option<f64>,
    pub nics: Vec<NicRecord>,
    pub disks: Vec<DiskRecord>,
    /// Links that went while the guest was held: it has yet to let go of their devices, which keep their places.
    pub former_nics: Vec<NicRecord>,
    pub former_disks: Vec<DiskRecord>,
    /// The devices that come and go, by name, as a guest that is held on disk knows them.
    pub hardware: Vec<String>,
    /// The last restart: its operation, and who ran when it began.
    pub restart: Option<(String, Option<crate::host::process::Identity>)>,
}

impl MachineRecord {
    /// Its memory, in MiB.
    pub(crate) fn memory_mib(&self) -> u64 {
        mib(self.memory)
    }

    /// The interface made by this link.
    pub(crate) fn nic_mut(&mut self, mark: &str) -> Option<&mut NicRecord> {
        self.nics.iter_mut().find(|nic| nic.mark == mark)
    }

    /// The attached volume of this link.
    pub(crate) fn disk_mut(&mut self, mark: &str) -> Option<&mut DiskRecord> {
        self.disks.iter_mut().find(|disk| disk.mark == mark)
    }
}

/// An interface of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NicRecord {
    /// Our mark of the link.
    pub mark: String,
    /// Its place in the machine: `eth<index>` inside, `nic<index>` for QEMU.
    pub index: u8,
    pub mac: Mac,
    /// The native id of its network.
    pub network: String,
    pub address: Option<Ipv4Addr>,
    /// Whether the client chose the address.
    pub fixed: bool,
    pub up: bool,
    /// Whether it is being removed.
    pub leaving: bool,
    /// The port of the host's loopback that leads to its port 22.
    pub published: Option<u16>,
}

/// A volume attached to a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiskRecord {
    /// Our mark of the link.
    pub mark: String,
    /// Its place in the machine: `disk<index>` for QEMU.
    pub index: u8,
    /// The native id of the volume.
    pub volume: String,
    /// Whether it should be attached; else the link is `inactive`.
    pub online: bool,
    /// Whether it is being removed.
    pub leaving: bool,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkRecord {
    /// The name of the directory.
    pub id: String,
    /// Our mark, for a network made by a client.
    pub mark: Option<String>,
    pub project: String,
    /// As whom its way out runs, on a host where we are root.
    pub user: Option<u32>,
    /// Whether it is its project's default network.
    pub default: bool,
    pub subnet: Ipv4Net,
    /// Where the way out is, on a network that has one.
    pub gateway: Option<Ipv4Addr>,
    /// Whether clients were told fixed addresses (`static`).
    pub fixed: bool,
    /// Whether it should be up.
    pub up: bool,
}

impl NetworkRecord {
    /// Who resolves names on it: the address after the gateway, which the way out serves.
    pub(crate) fn dns(&self) -> Option<Ipv4Addr> {
        let gateway = u32::from(self.gateway?);
        [gateway.wrapping_add(1), gateway.wrapping_sub(1)]
            .map(Ipv4Addr::from)
            .into_iter()
            .find(|address| self.is_for_hosts(*address))
    }

    /// Whether `address` can belong to a host of it.
    pub(crate) fn is_for_hosts(&self, address: Ipv4Addr) -> bool {
        self.subnet.contains(&address) && address != self.subnet.network() && address != self.subnet.broadcast()
    }

    /// The addresses that guests may have: not the gateway's, not the resolver's, not the first (which answers DHCP).
    pub(crate) fn guests(&self) -> impl Iterator<Item = Ipv4Addr> {
        let reserved = [self.gateway, self.dns(), self.subnet.hosts().next()];
        self.subnet
            .hosts()
            .filter(move |address| !reserved.contains(&Some(*address)))
    }
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VolumeRecord {
    /// Our mark; also the name of the directory.
    pub mark: String,
    pub project: String,
    /// In GiB, as asked for; its file has whole MiB.
    pub size: f64,
    /// Whether it has been made in full.
    pub made: bool,
    pub online: bool,
    /// It is going offline, and a machine that starts may have taken it before.
    #[serde(default)]
    pub leaving: bool,
}

/// The path of the record in `directory`.
pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join(FILE)
}
