//! Jobs of QEMU: work that goes on after the command has returned.

use crate::error::Failure;
use crate::qemu::qmp::Qmp;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(50);

/// Starts the job `id` by `command` and waits for its end.
pub(crate) async fn run(qmp: &Qmp, id: &str, command: &str, arguments: Value) -> Result<(), Failure> {
    run_silently(qmp, id, command, arguments, Duration::ZERO).await
}

/// The same for a job for which QEMU leaves everything else, so that it may give no answer for as long as `silence`.
pub(crate) async fn run_silently(
    qmp: &Qmp,
    id: &str,
    command: &str,
    arguments: Value,
    silence: Duration,
) -> Result<(), Failure> {
    let began = Instant::now();
    end(qmp, id).await?;
    match qmp.execute(command, arguments).await {
        // It may be at it already.
        Err(Failure::Slow { .. }) if !silence.is_zero() => {}
        begun => drop(begun?),
    }
    loop {
        match conclude(qmp, id).await {
            Err(Failure::Slow { .. }) if began.elapsed() < silence => {
                tracing::debug!(job = id, "QEMU is at it and does not answer");
            }
            concluded => return concluded,
        }
    }
}

/// Starts the job `id` by `command`. What an earlier try left of a job of this name is ended: of one name there is one at
/// a time.
async fn begin(qmp: &Qmp, id: &str, command: &str, arguments: Value) -> Result<(), Failure> {
    end(qmp, id).await?;
    qmp.execute(command, arguments).await.map(drop)
}

/// Ends the job `id`; fine if there is none.
async fn end(qmp: &Qmp, id: &str) -> Result<(), Failure> {
    if find(qmp, id).await?.is_some() {
        let _ended_by_itself = qmp.execute("job-cancel", json!({"id": id})).await;
        conclude(qmp, id).await.ok();
    }
    Ok(())
}

async fn find(qmp: &Qmp, id: &str) -> Result<Option<Value>, Failure> {
    let jobs = qmp.execute("query-jobs", json!({})).await?;
    Ok(jobs
        .as_array()
        .and_then(|jobs| jobs.iter().find(|job| job["id"] == id).cloned()))
}

/// Waits until the job has concluded, and dismisses it.
async fn conclude(qmp: &Qmp, id: &str) -> Result<(), Failure> {
    let job = loop {
        match find(qmp, id).await? {
            // Nobody but us dismisses a job; how this one ended is not known.
            None => {
                return Err(Failure::Refused {
                    command: id.to_owned(),
                    said: "the job is gone before its end was seen".to_owned(),
                });
            }
            Some(job) if job["status"] == "concluded" => break job,
            Some(_) => tokio::time::sleep(LOOK).await,
        }
    };
    qmp.execute("job-dismiss", json!({"id": id})).await?;
    match job.get("error").and_then(Value::as_str) {
        None => Ok(()),
        Some(said) => Err(Failure::Refused {
            command: id.to_owned(),
            said: said.to_owned(),
        }),
    }
}

/// The one copy that a machine makes at a time.
const COPY: &str = "copy";

/// Begins to copy the content of a disk of a running machine, as it is now, into the file `target`, which will depend
/// on nothing. What the guest writes from now on is not in it. The caller holds [`crate::compute::machine::Machine::copying`].
pub(crate) async fn begin_copy(qmp: &Qmp, node: &str, target: &str) -> Result<(), Failure> {
    let arguments = json!({
        "job-id": COPY,
        "device": node,
        "target": target,
        "format": "qcow2",
        "sync": "full",
        "mode": "absolute-paths",
        "auto-dismiss": false,
    });
    begin(qmp, COPY, "drive-backup", arguments).await
}

/// Ends the copy, which nobody wants any more; fine if none is being made.
pub(crate) async fn give_up_copy(qmp: &Qmp) -> Result<(), Failure> {
    end(qmp, COPY).await
}

/// Waits until the copy is whole.
pub(crate) async fn end_copy(qmp: &Qmp) -> Result<(), Failure> {
    conclude(qmp, COPY).await
}
