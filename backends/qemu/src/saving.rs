//! Guests and disks kept for later: hibernation, and templates made of machines.

use crate::agent;
use crate::blocking::blocking;
use crate::command_line::{AGENT, ROOT};
use crate::confine;
use crate::durable;
use crate::error::Failure;
use crate::image::{self, Image};
use crate::jobs;
use crate::machine::{Live, Machine};
use crate::record::MachineRecord;
use crate::site::{SAVED, Site};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A copy that is being made, in the machine's directory.
pub(crate) const COPY: &str = "copy.new";
/// The name of the state of a hibernated guest, inside of its root disk.
const STATE: &str = "hibernated";

/// Holds a guest and writes its state into its root disk; if that fails, it goes on.
pub(crate) async fn keep_state(live: &Live) -> Result<(), Failure> {
    live.qmp.execute("stop", json!({})).await?;
    forget_state(live).await;
    let arguments = json!({"job-id": "keep", "tag": STATE, "vmstate": "root", "devices": ["root"]});
    let kept = jobs::run(&live.qmp, "keep", "snapshot-save", arguments).await;
    if kept.is_err() {
        forget_state(live).await;
        live.qmp.execute("cont", json!({})).await?;
    }
    kept
}

/// Brings it back into a machine that has not begun.
pub(crate) async fn restore_state(live: &Live) -> Result<(), Failure> {
    let arguments = json!({"job-id": "restore", "tag": STATE, "vmstate": "root", "devices": ["root"]});
    jobs::run(&live.qmp, "restore", "snapshot-load", arguments).await
}

/// Gives the space of a state back; fine if there is none.
pub(crate) async fn forget_state(live: &Live) {
    let arguments = json!({"job-id": "forget", "tag": STATE, "devices": ["root"]});
    if let Err(failure) = jobs::run(&live.qmp, "forget", "snapshot-delete", arguments).await {
        tracing::debug!(error = %failure, "no state to forget");
    }
}

/// Copies the root disk of a machine into a new image called `term`; of a running one as it is now, its file systems
/// at rest if the guest has an agent.
pub(crate) async fn save(site: &Site, machine: &Machine, term: &str, title: &str) -> Result<Image, Failure> {
    let done = site.config.directory.join(SAVED).join(format!("{term}.qcow2"));
    let copy = machine.inside().join(COPY);
    let _alone = machine.copying.lock().await;
    if !done.exists() {
        match machine.live() {
            Some(live) => {
                // In a task of its own: whoever asked may give up, and the guest must not stay at rest.
                let (channel, of) = (machine.inside().join(AGENT), live.clone());
                let begun = tokio::spawn(async move {
                    agent::at_rest(&channel, &of.process, jobs::begin_copy(&of.qmp, "root", COPY)).await
                });
                let begun = begun
                    .await
                    .unwrap_or_else(|error| Err(Failure::host("begin a copy")(std::io::Error::other(error))));
                let copied = match begun {
                    Ok(()) => jobs::end_copy(&live.qmp).await,
                    failed => failed,
                };
                or_remove(copied, &copy)?;
            }
            None => or_remove(site.qemu_img.copy(&machine.workplace(), ROOT, COPY).await, &copy)?,
        }
    }
    let description = description(&machine.record.get(), title);
    blocking(move || keep(&copy, &description, &done)).await
}

/// Makes an image of a copy.
fn keep(copy: &Path, description: &str, done: &Path) -> Result<Image, Failure> {
    if !done.exists() {
        secure(copy)?;
        publish(copy, description, done)?;
    }
    image::read_saved(done)
}

/// Makes a file that nobody changes any more the image `done`. What is said of it is there for good before it is: an image
/// without that would have lost whose it is.
pub(crate) fn publish(file: &Path, description: &str, done: &Path) -> Result<(), Failure> {
    let described = done.with_extension("toml");
    let published = durable::write(&described, description.as_bytes()).and_then(|()| durable::rename(file, done));
    match done.exists() {
        true => published,
        false => or_remove(published, &described),
    }
}

/// What failed leaves no file: it may have failed for want of room.
pub(crate) fn or_remove(copied: Result<(), Failure>, copy: &Path) -> Result<(), Failure> {
    if copied.is_err() {
        let _was_not_begun = std::fs::remove_file(copy);
    }
    copied
}

/// Takes a file out of a directory in which a QEMU works, for us alone.
pub(crate) fn take(file: &Path, to: &Path) -> Result<(), Failure> {
    secure(file)?;
    durable::rename(file, to)
}

/// Makes a file ours that a QEMU has written.
fn secure(file: &Path) -> Result<(), Failure> {
    let is_file = std::fs::symlink_metadata(file).is_ok_and(|meta| meta.is_file());
    if !is_file {
        return Err(Failure::Image {
            image: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            reason: "it is no file".to_owned(),
        });
    }
    confine::give(file, rustix::process::geteuid().is_root().then_some(0))?;
    // Nobody changes it any more.
    let mode = std::fs::Permissions::from_mode(0o444);
    std::fs::set_permissions(file, mode).map_err(Failure::host("keep a copy"))
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

/// The name of an image that `operation` makes and a client wants to call `wish`: the same for every try, and no other's.
pub(crate) fn term(wish: &str, operation: &str) -> String {
    let slug: String = wish
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(40)
        .collect();
    let slug = slug.trim_matches('-');
    let short: String = operation.chars().filter(char::is_ascii_alphanumeric).collect();
    let short = short.get(short.len().saturating_sub(8)..).unwrap_or_default();
    if slug.is_empty() {
        format!("saved-{short}")
    } else {
        format!("{slug}-{short}")
    }
}

/// Whether the file of a saved image is there.
pub(crate) fn is_saved(site: &Site, term: &str) -> bool {
    Path::exists(&site.config.directory.join(SAVED).join(format!("{term}.qcow2")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_went_with_its_machine_leaves_no_description() {
        let saved = tempfile::tempdir().unwrap();
        let done = saved.path().join("gold.qcow2");
        assert!(keep(Path::new("/gone/copy.new"), "title = \"gold\"\n", &done).is_err());
        assert_eq!(std::fs::read_dir(saved.path()).unwrap().count(), 0);
    }
}
