//! Consoles of real machines: what a guest says, whether it answers, and what becomes of it when the server dies.

use crate::lab::{self, Lab};
use crate::world::{act, compute, context, state, target};
use futures::TryStreamExt;
use occi_backend::{Backend, Consoles, LogPart};
use occi_backend_qemu::host::process::Process;
use occi_backend_qemu::qemu::qmp::Qmp;
use occi_backend_qemu::{Qemu, QemuConfig};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server in a process of its own: makes one machine, sits at its console without reading, says so, and waits to be killed.
pub(crate) fn serve(directory: &Path) -> ExitCode {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let config = QemuConfig {
            images: vec![lab::images().unwrap()],
            default_image: Some("tiny".to_owned()),
            ..QemuConfig::new(directory)
        };
        let qemu = Qemu::open(config).unwrap();
        let create = compute(&[]);
        qemu.create(&context(), &create).await.unwrap();
        let consoles = qemu.consoles().unwrap();
        let mut line = consoles.open(&context().scope, &target(&create)).await.unwrap();
        // Its first words, so that it is QEMU that has taken the connection.
        line.read_u8().await.unwrap();
        println!("{}", create.mark);
        std::future::pending::<()>().await;
        drop(line);
    });
    ExitCode::SUCCESS
}

async fn whole(consoles: &Arc<dyn Consoles>, target: &occi_backend::Target, part: LogPart) -> String {
    let log = consoles.log(&context().scope, target, part).await.unwrap();
    let bytes: Vec<_> = log.try_collect().await.unwrap();
    String::from_utf8_lossy(&bytes.concat()).into_owned()
}

/// A guest boots while somebody who died sits at its console; it goes on, and the next one is answered.
pub(crate) async fn console(lab: &Lab, config: QemuConfig) {
    let own = std::env::current_exe().unwrap();
    let directory = config.directory.parent().unwrap();
    let mut server = Command::new(own)
        .arg("serve-console")
        .arg(directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut mark = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut mark)
        .unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let mut create = compute(&[]);
    create.mark = mark.trim().parse().unwrap();
    let one = target(&create);
    let qemu = Qemu::open(config).unwrap();
    assert_eq!(state(&qemu, &create).await.0, "active");
    let consoles = qemu.consoles().unwrap();
    let scope = context().scope;

    let follow = LogPart {
        tail: Some(0),
        follow: true,
    };
    let mut followed = consoles.log(&scope, &one, follow).await.unwrap();
    let mut line = consoles.open(&scope, &one).await.unwrap();
    let mut said = String::new();
    let answered = async {
        let mut bytes = [0; 4096];
        while !said.contains("shell-42") {
            let read = tokio::time::timeout(Duration::from_secs(2), line.read(&mut bytes)).await;
            match read {
                Ok(count) => said.push_str(&String::from_utf8_lossy(&bytes[..count.unwrap()])),
                // It is silent: perhaps it listens.
                Err(_) => line.write_all(b"\recho shell-$((6*7))\r").await.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), answered).await.unwrap();
    assert!(said.contains("GUEST-READY"), "{said}");
    let mut seen = String::new();
    while !seen.contains("shell-42") {
        let bytes = followed.try_next().await.unwrap().unwrap();
        seen.push_str(&String::from_utf8_lossy(&bytes));
    }
    let last = LogPart {
        tail: Some(3),
        follow: false,
    };
    // The guest may go on to speak, so the part is read before the whole.
    let last = whole(&consoles, &one, last).await;
    // The log has all of it, also what came while the dead server sat there.
    let log = whole(&consoles, &one, LogPart::default()).await;
    for words in ["GUEST-BOOT", "GUEST-READY", "shell-42"] {
        assert!(log.contains(words), "no {words}: {log}");
    }
    assert!(last.lines().count() <= 3 && log.contains(last.trim_end()), "{last}");

    act(&qemu, &create, "stop", &[("method", "poweroff".into())])
        .await
        .unwrap();
    while followed.try_next().await.unwrap().is_some() {}
    let _reset_is_an_end_too = line.read_to_end(&mut Vec::new()).await;
    assert!(whole(&consoles, &one, LogPart::default()).await.contains("GUEST-READY"));
    // What a guest that has taken over its QEMU puts in the place of its console is not spoken to.
    act(&qemu, &create, "start", &[]).await.unwrap();
    let trap = |name: &str| {
        let socket = lab.inside(create.mark.as_str()).join(name);
        std::fs::remove_file(&socket).unwrap();
        tokio::net::UnixListener::bind(&socket).unwrap()
    };
    let _trap = trap("console");
    assert!(consoles.open(&scope, &one).await.is_err());
    // Nor in the place of its agent, or of its monitor for the next server.
    let (agent, monitor) = (trap("agent"), trap("qmp"));
    let heard = async |trap: &tokio::net::UnixListener| {
        let (mut stream, _) = trap.accept().await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let graceful = [("method", "graceful".into())];
    tokio::select! {
        stopped = act(&qemu, &create, "stop", &graceful) => panic!("{stopped:?}"),
        heard = heard(&agent) => assert!(heard.is_empty(), "{heard:?}"),
    }
    let process = Process::recorded(&lab.machine(create.mark.as_str())).unwrap().unwrap();
    let socket = lab.inside(create.mark.as_str()).join("qmp");
    let (refused, heard) = tokio::join!(Qmp::connect(&socket, &process), heard(&monitor));
    assert!(refused.is_err() && heard.is_empty(), "{heard:?}");
    qemu.delete(&context(), &one).await.unwrap();
    qemu.shutdown().await;
}
