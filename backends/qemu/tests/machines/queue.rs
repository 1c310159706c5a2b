//! Machines that wait for their turn to boot.

use crate::lab::Lab;
use crate::world::{act, cancelled_by, context, deaf, target, within};
use occi_backend::layers::{Layered, TimeLimit};
use occi_backend::{Backend, Create, ErrorKind, Picture};
use occi_backend_qemu::{Qemu, QemuConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One guest boots, and nobody knows when it has; so the next ones wait.
pub(crate) async fn queue(lab: &Lab, mut config: QemuConfig) {
    config.boots = Some(1);
    let qemu = Qemu::open(config).unwrap();
    let boots = deaf();
    qemu.create(&context(), &boots).await.unwrap();

    // Looked at, stopped and deleted at once.
    let waits = deaf();
    let scope = context();
    let end = async {
        made(&qemu, &waits).await;
        act(&qemu, &waits, "stop", &[("method", "poweroff".into())])
            .await
            .unwrap();
        qemu.delete(&context(), &target(&waits)).await.unwrap();
    };
    tokio::select! {
        created = qemu.create(&scope, &waits) => panic!("it had its turn: {created:?}"),
        () = end => {}
    }
    assert!(!lab.machine(waits.mark.as_str()).exists());

    // Told to stop, it does not wait for its turn either, and is removed as a whole.
    let stops = deaf();
    let token = CancellationToken::new();
    let scope = cancelled_by(&token);
    let tell = async {
        made(&qemu, &stops).await;
        token.cancel();
    };
    let (created, ()) = tokio::join!(qemu.create(&scope, &stops), tell);
    assert_eq!(created.unwrap_err().kind, ErrorKind::Interrupted);

    // As long as it waits for others it is not the one that stands still.
    let patient = deaf();
    let backend = Layered::new(Arc::new(qemu), TimeLimit::default());
    backend.create(&within(Duration::from_secs(2)), &patient).await.unwrap();
    for create in [&stops, &boots, &patient] {
        backend.delete(&context(), &target(create)).await.unwrap();
    }
    backend.shutdown().await;
}

/// Returns when a machine is there in full.
async fn made(qemu: &Qemu, create: &Create) {
    let scope = context().scope;
    let is_made = |picture: &Picture| picture.attributes.get("occi.compute.state.message").is_none();
    while !qemu
        .find(&scope, &target(create))
        .await
        .unwrap()
        .is_some_and(|picture| is_made(&picture))
    {
        tokio::task::yield_now().await;
    }
}
