//! A machine's record -> QEMU's arguments. Pure; every path is relative to the directory in which QEMU works.
//!
//! Every device has a fixed place on the PCI bus, whether it was there at the start or came later: a hibernated guest
//! only continues on the hardware that it left, and `vdb` stays `vdb`.

use crate::qemu::probe::{Accelerator, Host};
use crate::record::{DiskRecord, MachineRecord, NicRecord};
use serde_json::{Value, json};

/// The frozen image below the root disk, beside that directory.
pub(crate) const BASE: &str = "base";
/// The monitor's socket.
pub(crate) const MONITOR: &str = "qmp";
/// The guest agent's socket.
pub(crate) const AGENT: &str = "agent";
/// The screen's socket (RFB).
pub(crate) const SCREEN: &str = "vnc";
/// The serial console's socket.
pub(crate) const CONSOLE: &str = "console";
/// What came over the serial console.
pub(crate) const CONSOLE_LOG: &str = "console.log";
/// QEMU's own messages, beside that directory.
pub(crate) const LOG: &str = "qemu.log";
/// The root disk.
pub(crate) const ROOT: &str = "root.qcow2";
/// The disk that lives and dies with the machine.
pub(crate) const EPHEMERAL: &str = "ephemeral.qcow2";
/// What the guest reads at its first boot.
pub(crate) const SEED: &str = "seed.img";

/// So many volumes fit into a machine.
pub(crate) const MAX_DISKS: u8 = 14;
/// So many interfaces fit into a machine.
pub(crate) const MAX_NICS: u8 = 8;

const ROOT_SLOT: u8 = 6;
const EPHEMERAL_SLOT: u8 = 7;
const FIRST_NIC_SLOT: u8 = 8;
const FIRST_DISK_SLOT: u8 = FIRST_NIC_SLOT + MAX_NICS;

/// The name of the listening socket, and of the device, of an interface.
pub(crate) fn nic_name(index: u8) -> String {
    format!("nic{index}")
}

/// The name of the device of a volume.
pub(crate) fn disk_name(index: u8) -> String {
    format!("disk{index}")
}

/// The name of the file of a volume while it is attached.
pub(crate) fn disk_file(index: u8) -> String {
    format!("disk{index}.qcow2")
}

/// What the guest calls the volume at `index`, when it has an ephemeral disk or not.
pub(crate) fn disk_device(record: &MachineRecord, index: u8) -> String {
    let letter = char::from(b'b' + index + u8::from(record.ephemeral.is_some()));
    format!("/dev/vd{letter}")
}

/// The block node of an image of ours.
pub(crate) fn block_node(name: &str, file: &str) -> Value {
    json!({
        "driver": "qcow2",
        "node-name": name,
        "discard": "unmap",
        "file": {"driver": "file", "filename": file, "discard": "unmap"},
    })
}

/// The block node of an attached volume.
pub(crate) fn volume_node(disk: &DiskRecord) -> Value {
    block_node(&disk_name(disk.index), &disk_file(disk.index))
}

/// The name of the block node that takes a volume's place.
pub(crate) fn empty_name(index: u8) -> String {
    format!("empty{index}")
}

/// The block node that takes a volume's place when the volume goes before its device: whatever is read or written there
/// fails.
pub(crate) fn empty_node(index: u8) -> Value {
    json!({"driver": "null-co", "node-name": empty_name(index), "size": 0})
}

/// The device of a volume, on the block node `node`.
pub(crate) fn volume_device(disk: &DiskRecord, node: &str) -> Value {
    json!({
        "driver": "virtio-blk-pci",
        "id": disk_name(disk.index),
        "drive": node,
        // virtio has room for twenty characters: /dev/disk/by-id/virtio-...
        "serial": disk.volume.chars().take(20).collect::<String>(),
        "addr": format!("{:#x}", FIRST_DISK_SLOT + disk.index),
    })
}

/// The socket of an interface, on which the network's switch finds it.
pub(crate) fn nic_socket(nic: &NicRecord) -> Value {
    json!({
        "type": "stream",
        "id": format!("net{}", nic.index),
        "server": true,
        "addr": {"type": "unix", "path": nic_name(nic.index)},
    })
}

/// The device of an interface. Without a boot ROM: nobody boots from the network here, and the ROM waits for it.
pub(crate) fn nic_device(nic: &NicRecord) -> Value {
    json!({
        "driver": "virtio-net-pci",
        "id": nic_name(nic.index),
        "netdev": format!("net{}", nic.index),
        "mac": nic.mac.to_string(),
        "romfile": "",
        "addr": format!("{:#x}", FIRST_NIC_SLOT + nic.index),
    })
}

/// The arguments with which QEMU becomes this machine, with these volumes. If `held`, it waits before its first
/// instruction, with the hardware that its guest left.
pub(crate) fn arguments(record: &MachineRecord, disks: &[DiskRecord], host: &Host, held: bool) -> Vec<String> {
    let (accel, cpu) = host.accelerator.arguments();
    let mut args: Vec<String> = Vec::new();
    let mut push = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
    push(&[
        "-name",
        &record.mark,
        "-machine",
        &record.machine,
        "-accel",
        accel,
        "-cpu",
        cpu,
    ]);
    push(&[
        "-m",
        &format!("{}M", record.memory_mib()),
        "-smp",
        &record.cores.to_string(),
    ]);
    push(&["-nodefaults", "-no-user-config", "-msg", "timestamp=on"]);
    // A guest that switches itself off leaves a QEMU that says so; without this it would look like a crash.
    push(&["-action", "shutdown=pause"]);
    push(&[
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    ]);
    if host.accelerator == Accelerator::Kvm {
        push(&["-global", "kvm-pit.lost_tick_policy=delay"]);
    }
    if held {
        push(&["-S"]);
    }
    let socket = |id: &str, path: &str| format!("socket,id={id},path={path},server=on,wait=off");
    push(&[
        "-chardev",
        &socket("monitor", MONITOR),
        "-mon",
        "chardev=monitor,mode=control",
    ]);
    let console = format!("{},logfile={CONSOLE_LOG},logappend=on", socket("console", CONSOLE));
    push(&["-chardev", &console, "-serial", "chardev:console"]);
    push(&[
        "-device",
        "VGA,id=screen,vgamem_mb=8,addr=0x2",
        "-vnc",
        &format!("unix:{SCREEN}"),
    ]);
    push(&["-device", "virtio-balloon-pci,id=balloon,addr=0x3"]);
    push(&["-device", "virtio-rng-pci,id=random,addr=0x4"]);
    push(&["-device", "virtio-serial-pci,id=channels,addr=0x5"]);
    push(&["-chardev", &socket("agent", AGENT)]);
    push(&[
        "-device",
        "virtserialport,bus=channels.0,chardev=agent,id=agent,name=org.qemu.guest_agent.0",
    ]);

    let device = |slot: u8, more: &str| format!("virtio-blk-pci,{more},addr={slot:#x}");
    push(&["-blockdev", &block_node("root", ROOT).to_string()]);
    push(&["-device", &device(ROOT_SLOT, "drive=root,id=root,bootindex=1")]);
    if record.ephemeral.is_some() {
        push(&["-blockdev", &block_node("ephemeral", EPHEMERAL).to_string()]);
        push(&["-device", &device(EPHEMERAL_SLOT, "drive=ephemeral,id=ephemeral")]);
    }
    let is_known = |name: &String| record.hardware.contains(name);
    let all_disks: Vec<&DiskRecord> = match held {
        true => record.disks.iter().chain(&record.former_disks).collect(),
        false => disks.iter().collect(),
    };
    for disk in all_disks {
        let node = match (disks.contains(disk), is_known(&disk_name(disk.index))) {
            (_, false) if held => continue,
            (true, _) => volume_node(disk),
            (false, _) => empty_node(disk.index),
        };
        let name = node["node-name"].as_str().unwrap_or_default().to_owned();
        push(&["-blockdev", &node.to_string()]);
        push(&["-device", &volume_device(disk, &name).to_string()]);
    }
    let all_nics = record.nics.iter().chain(&record.former_nics);
    for nic in all_nics.filter(|nic| {
        if held {
            is_known(&nic_name(nic.index))
        } else {
            !nic.leaving
        }
    }) {
        push(&["-netdev", &nic_socket(nic).to_string()]);
        push(&["-device", &nic_device(nic).to_string()]);
    }
    let seed = json!({
        "driver": "raw", "node-name": "seed", "read-only": true, "file": {"driver": "file", "filename": SEED},
    });
    push(&["-blockdev", &seed.to_string(), "-device", "ide-cd,drive=seed,id=seed"]);
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Wanted;

    #[test]
    fn a_machine_with_everything_has_this_command_line() {
        let nic = |index: u8| NicRecord {
            mark: format!("n{index}"),
            index,
            mac: crate::network::switch::Mac([0x52, 0x54, 0, 0, 0, index]),
            network: "net".to_owned(),
            address: None,
            fixed: false,
            up: true,
            leaving: false,
            published: None,
        };
        let disk = |index: u8| DiskRecord {
            mark: format!("d{index}"),
            index,
            volume: format!("0f1b2c3d-0000-4000-8000-00000000000{index}"),
            online: true,
            leaving: false,
        };
        let record = MachineRecord {
            mark: "8d6b1e0c".to_owned(),
            project: "p".to_owned(),
            user: None,
            made: true,
            fresh_root: false,
            wanted: Wanted::Running,
            hostname: None,
            cores: 2,
            memory: 0.5,
            template: "tiny".to_owned(),
            base: "base.qcow2".into(),
            ssh_user: None,
            machine: "pc-i440fx-7.2".to_owned(),
            key: None,
            user_data: None,
            ephemeral: Some(1.0),
            nics: vec![nic(0), nic(1)],
            disks: vec![disk(0), disk(1), disk(2)],
            former_nics: Vec::new(),
            former_disks: vec![disk(3)],
            hardware: ["nic1", "disk2", "disk3"].map(str::to_owned).to_vec(),
            restart: None,
        };
        let host = Host::for_tests(Accelerator::Tcg);
        let lines = |held| -> Vec<String> {
            arguments(&record, &[disk(0), disk(2)], &host, held)
                .chunk_by(|_, next| !next.starts_with('-'))
                .map(|words| words.join(" "))
                .collect()
        };
        let cold = lines(false);
        insta::assert_snapshot!(cold.join("\n"));
        // Held, it has the hardware that its guest left: not what came since, and empty places for what went.
        let held = lines(true);
        let only = |some: &[String], others: &[String]| -> Vec<String> {
            let only = some.iter().filter(|line| !others.contains(line));
            only.map(|line| line.chars().take(64).collect()).collect()
        };
        insta::assert_debug_snapshot!(
            "a_held_machine_has_the_hardware_that_its_guest_left",
            (only(&held, &cold), only(&cold, &held))
        );
        assert_eq!(disk_device(&record, 0), "/dev/vdc");
    }
}
