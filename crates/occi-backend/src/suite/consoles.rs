//! Consoles: what came over them, and the line.

use super::lab::{End, Lab, Verdict, ensure, invocation, refused, target};
use crate::names::{COMPUTE, action};
use crate::{Consoles, Create, ErrorKind, Line, LogPart, Result, Target};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a machine writes is there afterwards, and whoever follows it sees it come, until the machine is off.
pub(super) async fn what_a_machine_writes_is_kept(lab: &Lab) -> Verdict {
    if !lab.capability(&COMPUTE)?.console_log {
        return Err(End::Skip("no console's output is declared".to_owned()));
    }
    let (consoles, create) = machine(lab).await?;
    let one = target(&create);
    let log = async |part: LogPart| consoles.log(&lab.scope(), &one, part).await;
    let follow = LogPart {
        follow: true,
        ..LogPart::default()
    };
    let mut followed = log(follow).await?;
    let first = followed.try_next().await?.unwrap_or_default();
    ensure!(!first.is_empty(), "whoever follows a machine that runs sees nothing");
    let kept = whole(log(LogPart::default()).await?).await?;
    ensure!(
        kept.starts_with(&first) || first.starts_with(&kept),
        "what is kept and what is followed begin differently"
    );
    let none = LogPart {
        tail: Some(0),
        ..LogPart::default()
    };
    let none = whole(log(none).await?).await?;
    ensure!(none.is_empty(), "the last 0 lines are {} bytes", none.len());
    let last = LogPart {
        tail: Some(1),
        ..LogPart::default()
    };
    let last = whole(log(last).await?).await?;
    let breaks = last[..last.len().saturating_sub(1)]
        .iter()
        .filter(|byte| **byte == b'\n');
    ensure!(
        !last.is_empty() && breaks.count() == 0,
        "the last line is {:?}",
        String::from_utf8_lossy(&last)
    );
    // Its end is the end of what is followed, and what it wrote stays.
    lab.act(&one, &off()).await?;
    while followed.try_next().await?.is_some() {}
    let after = whole(log(follow).await?).await?;
    ensure!(
        after.starts_with(&kept),
        "what was kept is gone when the machine is off"
    );
    lab.delete(&one).await?;
    refused(
        "the output of what is gone",
        log(follow).await.map(drop),
        ErrorKind::NotFound,
    )
}

/// A console is opened while the machine is on, also after somebody has gone without a word; what is typed arrives.
pub(super) async fn what_is_typed_arrives(lab: &Lab) -> Verdict {
    if lab.capability(&COMPUTE)?.console.is_empty() {
        return Err(End::Skip("no console is declared".to_owned()));
    }
    let (consoles, create) = machine(lab).await?;
    let one = target(&create);
    let open = async |target: &Target| consoles.open(&lab.scope(), target).await;
    let mut first = open(&one).await?;
    answers(&mut first).await?;
    drop(first);
    let mut second = open(&one).await?;
    answers(&mut second).await?;
    lab.act(&one, &off()).await?;
    // What is left of the machine's words, and then its end.
    let mut rest = Vec::new();
    let _reset_is_an_end_too = second.read_to_end(&mut rest).await;
    let closed: Result<Box<dyn Line>> = open(&one).await;
    refused(
        "the console of a machine that is off",
        closed.map(drop),
        ErrorKind::Conflict,
    )?;
    lab.delete(&one).await?;
    refused(
        "the console of what is gone",
        open(&one).await.map(drop),
        ErrorKind::NotFound,
    )
}

async fn machine(lab: &Lab) -> Verdict<(Arc<dyn Consoles>, Create)> {
    let Some(consoles) = lab.backend.consoles() else {
        return Err(End::Fail("consoles are declared, and there are none".to_owned()));
    };
    let create = lab.resource(&COMPUTE).await?;
    lab.create(&create).await?;
    Ok((consoles, create))
}

fn off() -> crate::Invocation {
    invocation(&action("compute", "stop"), Some("poweroff"))
}

async fn whole(log: BoxStream<'static, Result<Bytes>>) -> Result<Vec<u8>> {
    let append = async |mut all: Vec<u8>, more: Bytes| {
        all.extend_from_slice(&more);
        Ok(all)
    };
    log.try_fold(Vec::new(), append).await
}

/// Presses a key until something comes: a guest that boots does not listen yet, and says something by itself.
async fn answers(line: &mut Box<dyn Line>) -> Verdict {
    let broken = |error: std::io::Error| End::Fail(format!("the console breaks: {error}"));
    line.write_all(b"\r").await.map_err(broken)?;
    line.flush().await.map_err(broken)?;
    let mut said = [0; 64];
    let count = line.read(&mut said).await.map_err(broken)?;
    ensure!(count > 0, "the console ends although the machine is on");
    Ok(())
}
