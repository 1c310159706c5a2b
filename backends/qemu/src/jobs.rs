//! Jobs of QEMU: work that goes on after the command has returned.

use crate::error::Failure;
use crate::qmp::Qmp;
use serde_json::{Value, json};
use std::time::Duration;

/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(50);

/// Starts the job `id` by `command` and waits for its end. What an earlier try left of a job of this name is ended.
pub(crate) async fn run(qmp: &Qmp, id: &str, command: &str, arguments: Value) -> Result<(), Failure> {
    if find(qmp, id).await?.is_some() {
        let _ended_by_itself = qmp.execute("job-cancel", json!({"id": id})).await;
        conclude(qmp, id).await.ok();
    }
    qmp.execute(command, arguments).await?;
    conclude(qmp, id).await
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
            None => return Ok(()),
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

/// Copies the content of a disk of a running machine, as it is now, into the file `target`, which depends on nothing.
pub(crate) async fn copy_disk(qmp: &Qmp, node: &str, target: &str) -> Result<(), Failure> {
    let arguments = json!({
        "job-id": "copy",
        "device": node,
        "target": target,
        "format": "qcow2",
        "sync": "full",
        "mode": "absolute-paths",
        "auto-dismiss": false,
    });
    run(qmp, "copy", "drive-backup", arguments).await
}
