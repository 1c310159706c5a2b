//! What guests see of each other and of the host.

use crate::lab::{Lab, console};
use crate::world::{compute, context, greets, state, target, text};
use occi_backend::Backend;
use occi_backend::names::COMPUTE;
use occi_backend_qemu::{Qemu, QemuConfig};
use occi_model::infrastructure;
use std::time::Duration;
use tokio::net::TcpListener;

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
