//! Records and states of this engine -> OCCI. Pure, but that it looks whether the files of disks are there.

use crate::compute::command_line;
use crate::compute::machine::{Machine, Status};
use crate::network::processes::{Network, NetworkStatus};
use crate::record::{DiskRecord, MachineRecord, NetworkRecord, NicRecord, Wanted};
use crate::site::Site;
use crate::volume::Volume;
use occi_backend::{NativeEnds, NativeRef, Picture, names};
use occi_model::{Attributes, EntityId, TypeId, Value, templates};

/// A size in GiB as MiB, rounded up.
pub(crate) fn mib(gib: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and what is too large is refused for want of room"
    )]
    let mib = (gib * 1024.0).ceil() as u64;
    mib
}

/// A size in GiB as bytes: whole MiB.
pub(crate) fn bytes(gib: f64) -> u64 {
    mib(gib).saturating_mul(1 << 20)
}

/// MiB as GiB; exact.
pub(crate) fn gib(mib: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53 MiB")]
    let gib = mib as f64 / 1024.0;
    gib
}

fn set(attributes: &mut Attributes, name: &str, value: impl Into<Value>) {
    attributes.set(names::attribute(name), value);
}

fn mark(text: &str) -> Option<EntityId> {
    text.parse().ok()
}

/// A machine's state and the words for it.
pub(crate) fn machine_state(record: &MachineRecord, status: &Status) -> (&'static str, Option<String>) {
    let say = |text: &str| Some(text.to_owned());
    if !record.made {
        return ("inactive", say("is not made in full yet"));
    }
    match status {
        Status::Running => {
            let port = record.nics.iter().find_map(|nic| nic.published);
            let login = record.ssh_user.as_ref().zip(port);
            (
                "active",
                login.map(|(user, port)| format!("ssh -p {port} {user}@127.0.0.1")),
            )
        }
        Status::Paused => ("suspended", None),
        Status::Off if record.wanted == Wanted::Hibernated => ("suspended", say("held on disk")),
        Status::Off => ("inactive", None),
        Status::Leaving => ("inactive", None),
        Status::Starting => ("inactive", say("is being started")),
        Status::Unknown => ("inactive", say("is being looked for again")),
        Status::Failed(why) | Status::Died(why) => ("error", Some(why.clone())),
    }
}

/// The picture of a machine.
pub(crate) fn machine(machine: &Machine) -> Picture {
    let status = match machine.status() {
        Status::Off if machine.has_lost_root() => Status::Died("the file of its disk is gone".to_owned()),
        status => status,
    };
    picture_of(&machine.record.get(), &status)
}

fn picture_of(record: &MachineRecord, status: &Status) -> Picture {
    let mut attributes = Attributes::new();
    set(&mut attributes, "occi.compute.architecture", "x64");
    set(&mut attributes, "occi.compute.cores", i64::from(record.cores));
    set(&mut attributes, "occi.compute.memory", record.memory);
    if let Some(hostname) = &record.hostname {
        set(&mut attributes, "occi.compute.hostname", hostname.as_str());
    }
    if let Some(size) = record.ephemeral {
        set(&mut attributes, templates::EPHEMERAL_SIZE, size);
        set(&mut attributes, templates::EPHEMERAL_DEVICEID, "/dev/vdb");
    }
    let (state, message) = machine_state(record, status);
    set(&mut attributes, "occi.compute.state", state);
    if let Some(message) = message {
        set(&mut attributes, "occi.compute.state.message", message);
    }
    Picture {
        native_id: record.mark.clone(),
        mark: mark(&record.mark),
        kind: names::COMPUTE.clone(),
        os_template: record.template.parse().ok(),
        resource_template: None,
        mixins: Vec::new(),
        attributes,
        ends: None,
    }
}

/// The picture of a machine and those of its links.
pub(crate) fn machine_and_links(site: &Site, machine: &Machine) -> Vec<Picture> {
    let mut pictures = vec![self::machine(machine)];
    let record = machine.record.get();
    pictures.extend(record.nics.iter().map(|nic| interface(site, machine, nic)));
    pictures.extend(record.disks.iter().map(|disk| storage_link(site, machine, disk)));
    pictures
}

/// The picture of an interface.
pub(crate) fn interface(site: &Site, machine: &Machine, nic: &NicRecord) -> Picture {
    let network = site.network(&nic.network);
    let network_is_up = network
        .as_ref()
        .is_some_and(|network| network.status() == NetworkStatus::Up);
    let is_active = nic.up && network_is_up && machine.status() == Status::Running;
    let mut attributes = Attributes::new();
    set(
        &mut attributes,
        "occi.networkinterface.interface",
        format!("eth{}", nic.index),
    );
    set(&mut attributes, "occi.networkinterface.mac", nic.mac.to_string());
    set(
        &mut attributes,
        "occi.networkinterface.state",
        if is_active { "active" } else { "inactive" },
    );
    let mut mixins = Vec::new();
    if let Some(address) = nic.address {
        mixins.push(names::IPNETWORKINTERFACE.clone());
        set(&mut attributes, "occi.networkinterface.address", address.to_string());
        set(
            &mut attributes,
            "occi.networkinterface.allocation",
            allocation(nic.fixed),
        );
        if let Some(gateway) = network.as_ref().and_then(|network| network.record.get().gateway) {
            set(&mut attributes, "occi.networkinterface.gateway", gateway.to_string());
        }
    }
    let target = NativeRef {
        kind: names::NETWORK.clone(),
        native_id: nic.network.clone(),
        mark: network.and_then(|network| mark(network.record.get().mark.as_deref()?)),
    };
    link(&names::NETWORKINTERFACE, &nic.mark, mixins, attributes, machine, target)
}

/// The picture of the link to a volume.
pub(crate) fn storage_link(site: &Site, machine: &Machine, disk: &DiskRecord) -> Picture {
    let record = machine.record.get();
    let is_attached = site.attached(&record).iter().any(|attached| attached.mark == disk.mark);
    let state = if is_attached && machine.status() == Status::Running {
        "active"
    } else {
        "inactive"
    };
    let mut attributes = Attributes::new();
    let device = command_line::disk_device(&record, disk.index);
    set(&mut attributes, "occi.storagelink.deviceid", device);
    set(&mut attributes, "occi.storagelink.state", state);
    let target = NativeRef {
        kind: names::STORAGE.clone(),
        native_id: disk.volume.clone(),
        mark: mark(&disk.volume),
    };
    link(&names::STORAGELINK, &disk.mark, Vec::new(), attributes, machine, target)
}

/// The picture of a volume.
pub(crate) fn volume(volume: &Volume) -> Picture {
    let record = volume.record.get();
    let mut attributes = Attributes::new();
    set(&mut attributes, "occi.storage.size", record.size);
    let (state, message) = match record.online {
        _ if !record.made => ("offline", Some("is being created")),
        _ if volume.is_lost() => ("error", Some("its file is gone")),
        true => ("online", None),
        false => ("offline", None),
    };
    set(&mut attributes, "occi.storage.state", state);
    if let Some(message) = message {
        set(&mut attributes, "occi.storage.state.message", message);
    }
    Picture {
        native_id: record.mark.clone(),
        mark: mark(&record.mark),
        kind: names::STORAGE.clone(),
        os_template: None,
        resource_template: None,
        mixins: Vec::new(),
        attributes,
        ends: None,
    }
}

fn link(
    kind: &TypeId,
    own: &str,
    mixins: Vec<TypeId>,
    attributes: Attributes,
    machine: &Machine,
    target: NativeRef,
) -> Picture {
    Picture {
        native_id: own.to_owned(),
        mark: mark(own),
        kind: kind.clone(),
        os_template: None,
        resource_template: None,
        mixins,
        attributes,
        ends: Some(NativeEnds {
            source: NativeRef {
                kind: names::COMPUTE.clone(),
                native_id: machine.id.clone(),
                mark: mark(&machine.id),
            },
            target,
        }),
    }
}

fn allocation(fixed: bool) -> &'static str {
    if fixed { "static" } else { "dynamic" }
}

/// The picture of a network.
pub(crate) fn network(network: &Network) -> Picture {
    network_picture(&network.record.get(), &network.status())
}

fn network_picture(record: &NetworkRecord, status: &NetworkStatus) -> Picture {
    let mut attributes = Attributes::new();
    set(&mut attributes, "occi.network.address", record.subnet.to_string());
    if let Some(gateway) = record.gateway {
        set(&mut attributes, "occi.network.gateway", gateway.to_string());
    }
    set(&mut attributes, "occi.network.allocation", allocation(record.fixed));
    let (state, message) = match status {
        NetworkStatus::Up => ("active", None),
        NetworkStatus::Down => ("inactive", None),
        NetworkStatus::Failed(why) => ("error", Some(why.as_str())),
    };
    set(&mut attributes, "occi.network.state", state);
    if let Some(message) = message {
        set(&mut attributes, "occi.network.state.message", message);
    }
    Picture {
        native_id: record.id.clone(),
        mark: record.mark.as_deref().and_then(mark),
        kind: names::NETWORK.clone(),
        os_template: None,
        resource_template: None,
        mixins: vec![names::IPNETWORK.clone()],
        attributes,
        ends: None,
    }
}
