//! Images that clients bring.

use crate::lab::{self, Lab, console};
use crate::world::{act, compute, context, target};
use occi_backend::names::attribute;
use occi_backend::{Backend, Change, ErrorKind, NewUpload};
use occi_backend_qemu::qemu::qemu_img::{QemuImg, Workplace};
use occi_backend_qemu::{Qemu, QemuConfig};
use occi_model::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use uuid::Uuid;

/// A copy of the demonstration guest boots, also when it came as the bare bytes of its disk.
pub(crate) async fn brought(lab: &Lab, config: QemuConfig) {
    let tiny = lab::images().unwrap().join("tiny.qcow2");
    let directory = tempfile::tempdir().unwrap();
    let raw = directory.path().join("tiny.raw");
    let converted = std::process::Command::new("qemu-img")
        .args(["convert", "-f", "qcow2", "-O", "raw"])
        .args([&tiny, &raw])
        .status();
    assert!(converted.unwrap().success());
    let qemu = Qemu::open(config).unwrap();
    let images = qemu.images().unwrap();
    for file in [tiny, raw] {
        let new = NewUpload {
            id: Uuid::new_v4(),
            owner: "ann".to_owned(),
            name: "copy".to_owned(),
            title: None,
            length: None,
            sha256: None,
            default_user: None,
            ssh: None,
            min_memory_mib: None,
        };
        images.begin(&context().scope, &new).await.unwrap();
        let mut append = images.append(new.id).await.unwrap();
        append.write(std::fs::read(file).unwrap().into()).await.unwrap();
        append.sync().await.unwrap();
        drop(append);
        let image = images.finish(new.id, None).await.unwrap();
        let mut machine = compute(&[]);
        machine.os_template = Some(image.template.term.clone());
        qemu.create(&context(), &machine).await.unwrap();
        console(&lab.inside(machine.mark.as_str()), 0, "GUEST-READY").await;
        qemu.delete(&context(), &target(&machine)).await.unwrap();
        qemu.remove_template(&context().scope, &image.template.term)
            .await
            .unwrap();
    }
    qemu.shutdown().await;
}

pub(crate) async fn bounded(config: QemuConfig) {
    let config = QemuConfig {
        project_image_gib: Some(0),
        ..config
    };
    let qemu = Qemu::open(config).unwrap();
    let mut machine = compute(&[]);
    machine.bring_up = false;
    qemu.create(&context(), &machine).await.unwrap();
    let refused = act(&qemu, &machine, "save", &[]).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::QuotaExceeded, "{refused:?}");
    qemu.shutdown().await;
}

/// A machine whose guest could fill more than the disk has is not made.
pub(crate) async fn vast(config: QemuConfig) {
    let directory = config.images.last().unwrap();
    let made = std::process::Command::new("qemu-img")
        .args([
            "create",
            "-q",
            "-f",
            "qcow2",
            "-o",
            "cluster_size=2M",
            "vast.qcow2",
            "100T",
        ])
        .current_dir(directory)
        .status();
    assert!(made.unwrap().success());
    std::fs::set_permissions(directory.join("vast.qcow2"), Permissions::from_mode(0o444)).unwrap();
    let qemu = Qemu::open(config).unwrap();
    let mut machine = compute(&[]);
    machine.bring_up = false;
    machine.os_template = Some("vast".parse().unwrap());
    let refused = qemu.create(&context(), &machine).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TooLarge, "{refused:?}");
    assert!(refused.to_string().contains("MiB of disks"), "{refused}");

    // Its ephemeral disk counts like its root disk, at its creation and when it grows.
    let vast = (attribute("occi.compute.ephemeral_storage.size"), Value::from(1e5));
    machine.os_template = Some("deaf".parse().unwrap());
    let mut with_disk = machine.clone();
    with_disk.attributes.set(vast.0.clone(), vast.1.clone());
    let refused = qemu.create(&context(), &with_disk).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TooLarge, "{refused:?}");
    qemu.create(&context(), &machine).await.unwrap();
    let change = Change {
        set: [vast].into_iter().collect(),
        ..Change::default()
    };
    let refused = qemu.update(&context(), &target(&machine), &change).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TooLarge, "{refused:?}");
    qemu.delete(&context(), &target(&machine)).await.unwrap();
    qemu.shutdown().await;
}

/// An image that keeps the image tool busy is not waited for.
pub(crate) async fn busy(lab: &Lab, config: QemuConfig) {
    let directory = lab.machine("");
    std::fs::create_dir_all(&directory).unwrap();
    let tool = directory.join("tool");
    std::fs::write(&tool, "#!/bin/sh\nexec sleep 600\n").unwrap();
    std::fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
    let tool = QemuImg {
        program: tool,
        launcher: config.launcher,
    };
    let place = Workplace {
        directory,
        read: Vec::new(),
        user: None,
    };
    let said = tool.check(&place, "image", Duration::from_secs(1)).await.unwrap();
    assert!(said.unwrap().contains("did not end within 1 seconds"));
}
