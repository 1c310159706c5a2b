//! Jobs of QEMU: work that goes on after the command has returned.

use crate::compute::machine::Live;
use crate::error::Failure;
use crate::qemu::qmp::Qmp;
use occi_backend::Context;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(50);

/// Starts the job `id` by `command` and waits for its end.
pub(crate) async fn run(live: &Live, id: &str, command: &str, arguments: Value) -> Result<(), Failure> {
    run_silently(live, id, command, arguments, Duration::ZERO, None).await
}

/// The same for a job for which QEMU leaves everything else, so that it may give no answer for as long as `silence`.
pub(crate) async fn run_silently(
    live: &Live,
    id: &str,
    command: &str,
    arguments: Value,
    silence: Duration,
    asker: Option<&Context>,
) -> Result<(), Failure> {
    match begin(live, id, command, arguments).await {
        // It may be at it already.
        Err(Failure::Slow { .. }) if !silence.is_zero() => {}
        begun => begun?,
    }
    conclude(live, id, silence, asker).await
}

/// Starts the job `id` by `command`. What an earlier try left of a job of this name is ended: of one name there is one at
/// a time.
async fn begin(live: &Live, id: &str, command: &str, arguments: Value) -> Result<(), Failure> {
    end(live, id).await?;
    live.qmp.execute(command, arguments).await.map(drop)
}

/// Ends the job `id`; fine if there is none.
async fn end(live: &Live, id: &str) -> Result<(), Failure> {
    if find(&live.qmp, id).await?.is_some() {
        let _ended_by_itself = live.qmp.execute("job-cancel", json!({"id": id})).await;
        conclude(live, id, Duration::ZERO, None).await.ok();
    }
    Ok(())
}

async fn find(qmp: &Qmp, id: &str) -> Result<Option<Value>, Failure> {
    let jobs = qmp.execute("query-jobs", json!({})).await?;
    Ok(jobs
        .as_array()
        .and_then(|jobs| jobs.iter().find(|job| job["id"] == id).cloned()))
}

/// Waits until the job has concluded, and dismisses it. Whoever asked for it is told when it is seen to come further: when it
/// has done more, or QEMU is at work, which may give no answer for as long as `silence`.
async fn conclude(live: &Live, id: &str, silence: Duration, asker: Option<&Context>) -> Result<(), Failure> {
    let (mut heard, mut work, mut done) = (Instant::now(), live.process.work(), None);
    let job = loop {
        match find(&live.qmp, id).await {
            // Nobody but us dismisses a job; how this one ended is not known.
            Ok(None) => {
                return Err(Failure::Refused {
                    command: id.to_owned(),
                    said: "the job is gone before its end was seen".to_owned(),
                });
            }
            Ok(Some(job)) if job["status"] == "concluded" => break job,
            Ok(Some(job)) => {
                heard = Instant::now();
                let before = done.replace(part(&job));
                if let Some(asker) = asker
                    && done != before
                {
                    asker.progress(percent(&job));
                }
                tokio::time::sleep(LOOK).await;
            }
            Err(Failure::Slow { .. }) if heard.elapsed() < silence => {
                let before = std::mem::replace(&mut work, live.process.work());
                let is_at_work = work != before || live.process.waits_for_disk();
                tracing::debug!(job = id, is_at_work, "QEMU does not answer");
                if let Some(asker) = asker
                    && is_at_work
                {
                    asker.goes_on();
                }
            }
            Err(failure) => return Err(failure),
        }
    };
    live.qmp.execute("job-dismiss", json!({"id": id})).await?;
    match job.get("error").and_then(Value::as_str) {
        None => Ok(()),
        Some(said) => Err(Failure::Refused {
            command: id.to_owned(),
            said: said.to_owned(),
        }),
    }
}

/// How much of a job is done, and of how much.
fn part(job: &Value) -> [Option<u64>; 2] {
    ["current-progress", "total-progress"].map(|member| job[member].as_u64())
}

fn percent(job: &Value) -> u8 {
    match part(job) {
        [Some(done), Some(all)] => u8::try_from(done.saturating_mul(100) / all.max(1)).unwrap_or(100),
        _ => 0,
    }
}

/// The longest that QEMU may be silent at the end of a copy, while what the host has not written yet gets to the disk.
const FLUSHING: Duration = Duration::from_secs(3600);

/// The one copy that a machine makes at a time.
const COPY: &str = "copy";

/// Begins to copy the content of a disk of a running machine, as it is now, into the file `target`, which will depend
/// on nothing. What the guest writes from now on is not in it. The caller holds [`crate::compute::machine::Machine::copying`].
pub(crate) async fn begin_copy(live: &Live, node: &str, target: &str) -> Result<(), Failure> {
    let arguments = json!({
        "job-id": COPY,
        "device": node,
        "target": target,
        "format": "qcow2",
        "sync": "full",
        "mode": "absolute-paths",
        "auto-dismiss": false,
    });
    begin(live, COPY, "drive-backup", arguments).await
}

/// Ends the copy, which nobody wants any more; fine if none is being made.
pub(crate) async fn give_up_copy(live: &Live) -> Result<(), Failure> {
    end(live, COPY).await
}

/// Waits until the copy is whole.
pub(crate) async fn end_copy(live: &Live, asker: &Context) -> Result<(), Failure> {
    conclude(live, COPY, FLUSHING, Some(asker)).await
}
