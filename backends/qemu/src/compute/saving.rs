//! Guests and disks kept for later: hibernation, and templates made of machines.

use crate::compute::command_line::{AGENT, ROOT};
use crate::compute::machine::{Live, Machine};
use crate::error::Failure;
use crate::host::apart::{apart, failed_if_unwanted, if_wanted};
use crate::host::blocking::blocking;
use crate::host::confine;
use crate::host::durable::or_remove;
use crate::image::saved::publish;
use crate::image::{self, Image};
use crate::qemu::agent;
use crate::qemu::jobs;
use crate::qemu::qmp::PATIENCE;
use crate::record::MachineRecord;
use crate::site::{SAVED, Site};
use occi_backend::Context;
use serde_json::json;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A copy that is being made, in the machine's directory.
pub(crate) const COPY: &str = "copy.new";
/// The name of the state of a hibernated guest, inside of its root disk.
const STATE: &str = "hibernated";

/// The least that the state of a guest is written or read with, in MiB per second.
const SLOWEST: u64 = 8;

/// The longest that QEMU may be silent while it writes or reads the state of a guest with so much memory.
fn silence(memory_mib: u64) -> Duration {
    PATIENCE + Duration::from_secs(memory_mib / SLOWEST)
}

/// Holds a guest and writes its state into its root disk; if that fails, or nobody wants it any more, it goes on. QEMU does
/// nothing else meanwhile: nobody can break it off.
pub(crate) async fn keep_state(
    live: &Live,
    memory_mib: u64,
    token: &CancellationToken,
    asker: &Context,
) -> Result<(), Failure> {
    live.qmp.execute("stop", json!({})).await?;
    forget_state(live).await;
    let arguments = json!({"job-id": "keep", "tag": STATE, "vmstate": "root", "devices": ["root"]});
    let kept = jobs::run_silently(
        live,
        "keep",
        "snapshot-save",
        arguments,
        silence(memory_mib),
        Some(asker),
    )
    .await;
    let kept = failed_if_unwanted(kept, token);
    if kept.is_err() {
        go_on(live).await?;
    }
    kept
}

/// Lets a guest go on whose state was, or may have been, kept.
pub(crate) async fn go_on(live: &Live) -> Result<(), Failure> {
    forget_state(live).await;
    live.qmp.execute("cont", json!({})).await.map(drop)
}

/// Brings it back into a machine that has not begun.
pub(crate) async fn restore_state(live: &Live, memory_mib: u64, asker: Option<&Context>) -> Result<(), Failure> {
    let arguments = json!({"job-id": "restore", "tag": STATE, "vmstate": "root", "devices": ["root"]});
    jobs::run_silently(live, "restore", "snapshot-load", arguments, silence(memory_mib), asker).await
}

/// Gives the space of a state back; fine if there is none.
pub(crate) async fn forget_state(live: &Live) {
    let arguments = json!({"job-id": "forget", "tag": STATE, "devices": ["root"]});
    if let Err(failure) = jobs::run(live, "forget", "snapshot-delete", arguments).await {
        tracing::debug!(error = %failure, "no state to forget");
    }
}

/// Copies the root disk of a machine into a new image called `term`; of a running one as it is now, its file systems
/// at rest if the guest has an agent. Gives up when `asker` is told to stop.
pub(crate) async fn save(
    site: &Site,
    machine: &Arc<Machine>,
    term: &str,
    title: &str,
    asker: &Context,
) -> Result<Image, Failure> {
    let done = site.config.directory.join(SAVED).join(format!("{term}.qcow2"));
    let description = description(&machine.record.get(), title);
    let alone = asker.wait(machine.copying.clone().lock_owned()).await?;
    let (machine, tools, told) = (machine.clone(), site.qemu_img.clone(), asker.clone());
    let save = |token: CancellationToken| async move {
        let _alone = alone;
        let copy = machine.inside().join(COPY);
        if !done.exists() {
            let copied = match machine.live() {
                Some(live) => {
                    let channel = machine.inside().join(AGENT);
                    let begin = jobs::begin_copy(&live, "root", COPY);
                    let begun = agent::at_rest(&channel, &live.process, begin).await;
                    copied_by(&live, begun, &token, &told).await
                }
                None => {
                    let place = machine.workplace();
                    let copied = tools.copy(&place, ROOT, COPY, &told);
                    if_wanted(&token, copied).await.flatten()
                }
            };
            settle(copied, &copy, &token, &told).await?;
        }
        blocking(move || keep(&copy, &description, &done)).await
    };
    apart(asker.stopped(), save).await
}

/// Waits for the copy that QEMU was told to make, unless that failed. One that fails, or that nobody wants any more, QEMU
/// does not go on with.
pub(crate) async fn copied_by(
    live: &Live,
    begun: Result<(), Failure>,
    token: &CancellationToken,
    asker: &Context,
) -> Result<(), Failure> {
    let copied = match begun {
        Ok(()) => if_wanted(token, jobs::end_copy(live, asker)).await.flatten(),
        failed => failed,
    };
    if copied.is_err()
        && let Err(failure) = jobs::give_up_copy(live).await
    {
        tracing::debug!(error = %failure, "a copy ends with its QEMU");
    }
    copied
}

/// Makes a copy ours, whole and on the disk, if it was made and is wanted still; else it leaves no file.
pub(crate) async fn settle(
    copied: Result<(), Failure>,
    copy: &Path,
    token: &CancellationToken,
    asker: &Context,
) -> Result<(), Failure> {
    let settled = match copied {
        Ok(()) => {
            let file = copy.to_owned();
            // Much of it may be in the host's memory still, and nobody sees how far that is.
            let secured = asker.wait(blocking(move || secure(&file))).await;
            secured.map_err(Failure::from).flatten()
        }
        failed => failed,
    };
    or_remove(failed_if_unwanted(settled, token), copy)
}

/// Makes an image of a copy.
fn keep(copy: &Path, description: &str, done: &Path) -> Result<Image, Failure> {
    if !done.exists() {
        or_remove(publish(copy, description, done), copy)?;
    }
    image::read_saved(done)
}

/// Makes a file ours that a QEMU has written, durably.
fn secure(file: &Path) -> Result<(), Failure> {
    let is_file = fs::symlink_metadata(file).is_ok_and(|meta| meta.is_file());
    if !is_file {
        return Err(Failure::Image {
            image: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            reason: "it is no file".to_owned(),
        });
    }
    confine::give(file, rustix::process::geteuid().is_root().then_some(0))?;
    // Nobody changes it any more.
    let mode = fs::Permissions::from_mode(0o444);
    let kept = fs::set_permissions(file, mode).and_then(|()| File::open(file)?.sync_all());
    kept.map_err(Failure::host("keep a copy"))
}

fn description(record: &MachineRecord, title: &str) -> String {
    let mut table = toml::Table::new();
    table.insert("title".to_owned(), title.into());
    table.insert("project".to_owned(), record.project.clone().into());
    table.insert("ssh".to_owned(), record.ssh_user.is_some().into());
    if let Some(user) = &record.ssh_user {
        table.insert("default_user".to_owned(), user.clone().into());
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_went_with_its_machine_leaves_no_description() {
        let saved = tempfile::tempdir().unwrap();
        let done = saved.path().join("gold.qcow2");
        assert!(keep(Path::new("/gone/copy.new"), "title = \"gold\"\n", &done).is_err());
        assert_eq!(fs::read_dir(saved.path()).unwrap().count(), 0);
    }
}
