//! What guests see of each other and of the host.

use crate::lab::{Lab, console};
use crate::world::{compute, context, deaf, greets, other, state, target, text};
use base64::Engine;
use occi_backend::names::{COMPUTE, NETWORK, STORAGE, attribute};
use occi_backend::{Backend, Context, Create, CreateLink, ErrorKind, Scope, Target};
use occi_backend_qemu::{Qemu, QemuConfig};
use occi_model::{Value, infrastructure};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// A guest with two interfaces on one network, and one that looks at it.
pub(crate) async fn twice(lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config).unwrap();
    let mut double = compute(&[]);
    double.links.push(CreateLink {
        mark: deaf().mark,
        ..double.links[0].clone()
    });
    let made = qemu.create(&context(), &double).await.unwrap();
    let [first, second] = [1, 2].map(|link| text(&made[link], "occi.networkinterface.address").to_owned());
    console(&lab.inside(double.mark.as_str()), 0, "GUEST-READY").await;
    let (_, login) = state(&qemu, &double).await;
    assert!(greets(&login).await);

    let script = format!(
        "#!/bin/sh\nfor address in {first} {second}; do\n\
         ping -c 3 -w 9 $address >/dev/null && echo reached-$address\n\
         echo | nc -w 5 $address 22 | grep -q SSH && echo greeted-by-$address\ndone\ntrue\n"
    );
    let looks = compute(&[(infrastructure::USERDATA, &script)]);
    qemu.create(&context(), &looks).await.unwrap();
    let serial = lab.inside(looks.mark.as_str());
    console(&serial, 0, "GUEST-USERDATA-DONE 0").await;
    let log = std::fs::read_to_string(serial.join("console.log")).unwrap();
    for address in [&first, &second] {
        for seen in ["reached-", "greeted-by-"] {
            assert!(log.contains(&format!("ud| {seen}{address}")), "{log}");
        }
    }
    for create in [&double, &looks] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    qemu.shutdown().await;
}

/// Two guests on the default network of their project.
pub(crate) async fn neighbours(lab: &Lab, config: QemuConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let qemu = Qemu::open(config).unwrap();
    let first = compute(&[
        ("occi.compute.hostname", "first guest"),
        (
            infrastructure::SSH_PUBLIC_KEY,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtleQ== somebody",
        ),
    ]);
    let made = qemu.create(&context(), &first).await.unwrap();
    let address = text(&made[1], "occi.networkinterface.address").to_owned();
    let gateway = text(&made[1], "occi.networkinterface.gateway").to_owned();
    let serial = lab.inside(first.mark.as_str());
    console(&serial, 0, &format!("GUEST-READY first-guest ip={address}")).await;
    let (now, login) = state(&qemu, &first).await;
    assert_eq!(
        (now.as_str(), login.starts_with("ssh -p ")),
        ("active", true),
        "{login}"
    );
    assert!(greets(&login).await);

    // The second looks at the first, and at what it must not see: a service on the host's loopback.
    let script = format!(
        "#!/bin/sh\nping -c 3 -w 9 {address} >/dev/null && echo neighbour-reached\n\
         for host in {gateway} 127.0.0.1; do echo x | nc -w 2 $host {port} && echo loopback-reached; done\n\
         ping -c 1 -w 3 {gateway} >/dev/null && echo gateway-reached\n\
         nslookup localhost 2>&1 | grep -q answer; grep nameserver /etc/resolv.conf\n"
    );
    let second = compute(&[(infrastructure::USERDATA, &script)]);
    qemu.create(&context(), &second).await.unwrap();
    let serial = lab.inside(second.mark.as_str());
    console(&serial, 0, "GUEST-USERDATA-DONE 0").await;
    let log = std::fs::read_to_string(serial.join("console.log")).unwrap();
    assert!(log.contains("ud| neighbour-reached"), "{log}");
    assert!(log.contains("ud| gateway-reached"), "{log}");
    assert!(log.contains("ud| nameserver 10.213."), "{log}");
    assert!(!log.contains("loopback-reached"), "{log}");
    let nobody_came = tokio::time::timeout(Duration::from_millis(10), listener.accept()).await;
    assert!(nobody_came.is_err(), "a guest reached the host's loopback");

    for create in [&first, &second] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    assert!(qemu.list(&context().scope, &COMPUTE).await.unwrap().pictures.is_empty());
    qemu.shutdown().await;
    let living = lab.living();
    assert!(
        living
            .iter()
            .all(|(directory, _)| !directory.starts_with(lab.machine(""))),
        "{living:?}"
    );
}

/// A machine with the address of one that is gone, while the network's processes stay.
pub(crate) async fn given_again(_lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config).unwrap();
    let stays = deaf();
    qemu.create(&context(), &stays).await.unwrap();
    let mut given = Vec::new();
    for _life in 0..2 {
        let guest = compute(&[(
            infrastructure::SSH_PUBLIC_KEY,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtleQ== somebody",
        )]);
        let made = qemu.create(&context(), &guest).await.unwrap();
        let (_, login) = state(&qemu, &guest).await;
        assert!(greets(&login).await, "{login}");
        given.push((text(&made[1], "occi.networkinterface.address").to_owned(), login));
        qemu.delete(&context(), &target(&guest)).await.unwrap();
    }
    assert_eq!(given[0].0, given[1].0);
    // Who logged into the first one knows its key by the port.
    assert_ne!(given[0].1, given[1].1);
    qemu.delete(&context(), &target(&stays)).await.unwrap();
    qemu.shutdown().await;
}

/// A guest of each of two projects: on its project's network, and both on one that the first project shares.
pub(crate) async fn strangers(lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config).unwrap();
    let annex = Context {
        scope: Scope {
            project: "annex".to_owned(),
        },
        ..context()
    };
    let network = other(&NETWORK, None);
    qemu.create(&context(), &network).await.unwrap();
    let also_on = |mut create: Create, network: Target| {
        create.links.push(CreateLink {
            mark: other(&NETWORK, None).mark,
            target: Some(network),
            ..create.links[0].clone()
        });
        create
    };

    let first = also_on(compute(&[("occi.compute.hostname", "first-guest")]), target(&network));
    let made = qemu.create(&context(), &first).await.unwrap();
    let address = |link: &CreateLink| {
        let picture = made.iter().find(|picture| picture.mark.as_ref() == Some(&link.mark));
        text(picture.unwrap(), "occi.networkinterface.address").to_owned()
    };
    let (own, shared) = (address(&first.links[0]), address(&first.links[1]));
    console(&lab.inside(first.mark.as_str()), 0, "GUEST-READY").await;

    let script = format!(
        "#!/bin/sh\nping -c 3 -w 9 {shared} >/dev/null && echo reached-where-shared\n\
         printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 9 {shared} 80 | grep -q first-guest && echo served-where-shared\n\
         ping -c 1 -w 3 {own} >/dev/null && echo reached-elsewhere\n\
         printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {own} 80 | grep -q first-guest && echo served-elsewhere\nexit 0\n"
    );
    let of_lab = Target {
        project: Some("lab".to_owned()),
        ..target(&network)
    };
    let second = also_on(compute(&[(infrastructure::USERDATA, &script)]), of_lab);
    qemu.create(&annex, &second).await.unwrap();
    let serial = lab.inside(second.mark.as_str());
    console(&serial, 0, "GUEST-USERDATA-DONE 0").await;
    let log = std::fs::read_to_string(serial.join("console.log")).unwrap();
    assert!(log.contains("ud| reached-where-shared"), "{log}");
    assert!(log.contains("ud| served-where-shared"), "{log}");
    assert!(!log.contains("-elsewhere"), "{log}");

    let used = qemu.delete(&context(), &target(&network)).await.unwrap_err();
    assert_eq!(used.kind, ErrorKind::InUse);
    qemu.delete(&annex, &target(&second)).await.unwrap();
    qemu.delete(&context(), &target(&first)).await.unwrap();
    qemu.delete(&context(), &target(&network)).await.unwrap();
    qemu.shutdown().await;
}

/// User data of each kind, plain and in base64, and a key with which `ssh` gets in.
pub(crate) async fn infra_42_the_key_logs_in_and_user_data_runs(lab: &Lab, config: QemuConfig) {
    const SCRIPT: &str = "#!/bin/sh\necho told-$((6*7))\n";
    const CLOUD_CONFIG: &str = "#cloud-config\nruncmd:\n  - echo told-$((6*7))\n";
    let home = config.directory.parent().unwrap().to_owned();
    let key = home.join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status();
    let has_ssh = made.is_ok_and(|made| made.success());
    let public = if has_ssh {
        std::fs::read_to_string(home.join("key.pub")).unwrap()
    } else {
        String::new()
    };

    let qemu = Qemu::open(config).unwrap();
    let mut guests = Vec::new();
    for user_data in [SCRIPT, CLOUD_CONFIG] {
        for user_data in [user_data.to_owned(), base64::prelude::BASE64_STANDARD.encode(user_data)] {
            let guest = compute(&[
                (infrastructure::USERDATA, &user_data),
                (infrastructure::SSH_PUBLIC_KEY, &public),
            ]);
            qemu.create(&context(), &guest).await.unwrap();
            guests.push(guest);
        }
    }
    for guest in &guests {
        let serial = lab.inside(guest.mark.as_str());
        let ready = console(&serial, 0, "GUEST-READY").await;
        let told = console(&serial, ready, "ud| told-42").await;
        console(&serial, told, "GUEST-USERDATA-DONE 0").await;
    }
    if has_ssh {
        let (_, login) = state(&qemu, &guests[0]).await;
        assert!(greets(&login).await);
        let options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "BatchMode=yes",
        ];
        let on_guest = |line: &str| {
            let mut ssh = Command::new("ssh");
            ssh.args(options.iter().flat_map(|option| ["-o", option]))
                .arg("-i")
                .arg(&key)
                .args(login.split_whitespace().skip(1));
            ssh.arg(line).output().unwrap()
        };
        let ran = on_guest("echo in-$((6*7))");
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "in-42\n", "{ran:?}");
        on_guest("poweroff");
        let until = Instant::now() + Duration::from_secs(30);
        while state(&qemu, &guests[0]).await.0 != "inactive" {
            assert!(Instant::now() < until, "poweroff inside did not switch the guest off");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    } else {
        println!("skipped in part: there is no ssh-keygen to make a key with");
    }
    for guest in &guests {
        qemu.delete(&context(), &target(guest)).await.unwrap();
    }
    qemu.shutdown().await;
}

/// More computes at once than the host has room for.
pub(crate) async fn burst(_lab: &Lab, mut config: QemuConfig) {
    let processors = std::thread::available_parallelism().unwrap().get();
    config.cores_ratio = 1;
    config.boots = Some(1);
    let qemu = Qemu::open(config).unwrap();
    let all: Vec<_> = (0..processors + 3).map(|_| deaf()).collect();
    let made = futures::future::join_all(all.iter().map(async |create| qemu.create(&context(), create).await)).await;
    let refused: Vec<_> = made.iter().filter_map(|made| made.as_ref().err()).collect();
    assert_eq!(refused.len(), 3, "{made:?}");
    assert!(refused.iter().all(|error| error.kind == ErrorKind::CapacityExhausted));
    for create in &all {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    qemu.shutdown().await;
}

/// Sizes that no host has, and a hardware address on two networks.
pub(crate) async fn bounds_and_addresses(_lab: &Lab, config: QemuConfig) {
    let qemu = Qemu::open(config).unwrap();
    let scope = context().scope;
    let is_refused = async |create: &Create| {
        let refused = qemu.admit(&scope, create).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::TooLarge, "{refused:?}");
        assert!(refused.message.contains("at most"), "{refused:?}");
    };
    let first = {
        let mut create = deaf();
        create.links[0]
            .attributes
            .set(attribute("occi.networkinterface.mac"), "52:54:00:aa:bb:cc");
        create
    };
    qemu.create(&context(), &first).await.unwrap();
    for (name, size) in [
        ("memory", Value::from(1e300)),
        ("memory", 1e15.into()),
        ("cores", 4_294_967_295_i64.into()),
    ] {
        let mut create = deaf();
        create.attributes.set(attribute(&format!("occi.compute.{name}")), size);
        is_refused(&create).await;
    }
    for gib in [1e300, 17_179_869_184.0] {
        let mut volume = other(&STORAGE, None);
        volume.attributes.set(attribute("occi.storage.size"), gib);
        is_refused(&volume).await;
    }

    let network = other(&NETWORK, None);
    qemu.create(&context(), &network).await.unwrap();
    let mut elsewhere = first.clone();
    elsewhere.mark = deaf().mark;
    elsewhere.bring_up = false;
    elsewhere.links[0].mark = deaf().mark;
    let beside = qemu.create(&context(), &elsewhere).await.unwrap_err();
    assert_eq!(beside.kind, ErrorKind::Conflict);
    elsewhere.links[0].target = Some(target(&network));
    qemu.create(&context(), &elsewhere).await.unwrap();

    // Another network with the addresses of the project's own: a guest is on one of them.
    let mut double = other(&NETWORK, None);
    double
        .attributes
        .set(attribute("occi.network.address"), "10.213.0.0/16");
    qemu.create(&context(), &double).await.unwrap();
    let mut torn = compute(&[]);
    torn.bring_up = false;
    torn.links.push(CreateLink {
        mark: deaf().mark,
        target: Some(target(&double)),
        ..torn.links[0].clone()
    });
    let refused = qemu.create(&context(), &torn).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict, "{refused:?}");
    torn.links.remove(0);
    qemu.create(&context(), &torn).await.unwrap();
    for create in [&first, &elsewhere, &torn, &network, &double] {
        qemu.delete(&context(), &target(create)).await.unwrap();
    }
    qemu.shutdown().await;
}
