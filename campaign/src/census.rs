//! The third witness: what really exists in the engine, seen without `occid`.

use crate::deed::Kind;
use crate::processes;
use anyhow::{Context, Result};
use occi_backend::{Backend, Scope};
use occi_backend_memory::{Config, Memory, Personality};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The project in which everything happens.
const PROJECT: &str = "default";

/// The engine behind `occid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// The memory engine in its remote personality: a cloud in a file, which loses requests and answers.
    Memory,
    /// Virtual machines of this host.
    Qemu,
}

/// A native object.
#[derive(Clone, Debug)]
pub(crate) struct Native {
    pub(crate) kind: Kind,
    /// The id of its entity: our mark, or its native id.
    pub(crate) id: String,
    pub(crate) is_marked: bool,
    pub(crate) state: Option<String>,
}

impl Engine {
    /// Its name, as `occid` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Qemu => "qemu",
        }
    }

    /// Its section of the configuration. `seed` is where the dice of this start begin.
    pub(crate) fn section(self, directory: &Path, image: Option<&Path>, seed: u64) -> String {
        match self {
            Self::Memory => {
                let Config {
                    personality: _,
                    seed: _,
                    latency_ms,
                    work_ms,
                    lost_request_rate,
                    lost_answer_rate,
                    late_ms,
                    list_delay_ms,
                    token_life_ms,
                    stop_grace_ms,
                    call_timeout_ms,
                    private_networks: _,
                    memory_gib: _,
                    path: _,
                } = Config::remote();
                format!(
                    "[backend.memory]\npersonality = \"remote\"\npath = {:?}\nseed = {}\nlatency_ms = {latency_ms}\n\
                     work_ms = {work_ms}\nlost_request_rate = {lost_request_rate:?}\nlost_answer_rate = \
                     {lost_answer_rate:?}\nlate_ms = {late_ms}\nlist_delay_ms = {list_delay_ms}\ntoken_life_ms = \
                     {token_life_ms}\nstop_grace_ms = {stop_grace_ms}\ncall_timeout_ms = {call_timeout_ms}\n",
                    cloud(directory),
                    seed >> 1,
                )
            }
            Self::Qemu => {
                let images = image.and_then(Path::parent).unwrap_or(directory);
                // What does not boot does not tell that it has booted either.
                format!("[backend.qemu]\nimages = [{images:?}]\nstop_grace = 5\nboots = 64\n")
            }
        }
    }

    /// The kinds that it may carry out.
    pub(crate) fn kinds(self) -> &'static [Kind] {
        &Kind::ALL
    }

    /// Makes what it needs in the directory of a run that brings no image: a disk from which nothing boots.
    pub(crate) fn furnish(self, directory: &Path) -> Result<()> {
        if self == Self::Qemu {
            let image = File::create(directory.join("blank.raw"))?;
            image.set_len(1 << 20)?;
            // Whole from the first moment: of a file that can still be written that is not known for a while.
            image.set_permissions(fs::Permissions::from_mode(0o444))?;
        }
        Ok(())
    }

    /// Whether links of a running compute come and go without the help of its guest.
    pub(crate) fn plugs_by_itself(self) -> bool {
        self == Self::Memory
    }

    /// Everything that exists; `occid` must have ended.
    pub(crate) async fn census(self, directory: &Path) -> Result<Vec<Native>> {
        match self {
            Self::Memory => memory(&cloud(directory)).await,
            Self::Qemu => qemu(&directory.join("data/qemu")),
        }
    }

    /// Processes that belong to nothing that exists, or to something that has another one.
    pub(crate) fn strays(self, directory: &Path) -> Vec<String> {
        let mut met = BTreeSet::new();
        let processes = processes::of(directory).into_iter();
        processes
            .filter(|process| {
                let is_machine = process.command.contains("qemu-system") && process.folder.contains("/vm/");
                // A network has a folder for each of its processes, and QEMU works in one below.
                let mut folders = Path::new(&process.folder).ancestors().take(3);
                let has_record = folders.any(|folder| folder.join("record.json").exists());
                !has_record || (is_machine && !met.insert(process.folder.clone()))
            })
            .map(|process| {
                format!(
                    "process {} in {} is one too many: {}",
                    process.pid, process.folder, process.command
                )
            })
            .collect()
    }

    /// What is left when everything has been deleted and `occid` has ended, beyond what a census shows. `templates` are
    /// those that it listed: what has been saved stays.
    pub(crate) fn leftovers(self, directory: &Path, templates: &[String]) -> Vec<String> {
        let mut left: Vec<_> = processes::of(directory)
            .into_iter()
            .map(|process| format!("process {} is left: {}", process.pid, process.command))
            .collect();
        if self == Self::Qemu {
            // An image is a file and its description.
            let is_saved = |file: &Path| {
                let term = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                let both = ["qcow2", "toml"].map(|extension| file.with_extension(extension));
                both.iter().any(|one| one == file)
                    && both.iter().all(|one| one.exists())
                    && templates.iter().any(|template| template == term)
            };
            for part in ["vm", "net", "trash", "base", "volume", "saved", "upload"] {
                let Ok(entries) = fs::read_dir(directory.join("data/qemu").join(part)) else {
                    continue;
                };
                let files = entries.flatten().map(|entry| entry.path());
                let left_here = files.filter(|file| part != "saved" || !is_saved(file));
                left.extend(left_here.map(|file| format!("{} is left", file.display())));
            }
        }
        left
    }
}

fn cloud(directory: &Path) -> PathBuf {
    directory.join("cloud")
}

async fn memory(path: &Path) -> Result<Vec<Native>> {
    let cloud = Memory::open(Config {
        personality: Personality::Remote,
        path: Some(path.to_owned()),
        ..Config::default()
    })?;
    let scope = Scope {
        project: PROJECT.to_owned(),
    };
    let mut natives = Vec::new();
    for kind in Kind::ALL {
        let id = kind.id().parse().ok().context("a kind")?;
        for picture in cloud.list(&scope, &id).await?.pictures {
            let state = picture.attributes.get(&format!("occi.{}.state", kind.term()));
            natives.push(Native {
                kind,
                is_marked: picture.mark.is_some(),
                id: picture.mark.map_or(picture.native_id, |mark| mark.to_string()),
                state: state.map(ToString::to_string),
            });
        }
    }
    Ok(natives)
}

/// Records are in directories; what runs is in the process table.
fn qemu(directory: &Path) -> Result<Vec<Native>> {
    let mut natives = Vec::new();
    let running = processes::of(directory);
    // An engine works in a folder below that of its record.
    let runs = |folder: &Path| {
        let name = folder.display().to_string();
        running
            .iter()
            .any(|process| Path::new(&process.folder).starts_with(folder) || process.command.contains(&name))
    };
    for (folder, record) in records(&directory.join("vm"))? {
        let text = |name: &str| record.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let state = match (text("wanted").as_deref(), runs(&folder)) {
            (Some("running"), true) => Some("active".to_owned()),
            (Some("paused"), true) | (Some("hibernated"), false) => Some("suspended".to_owned()),
            (Some("off"), false) => Some("inactive".to_owned()),
            (wanted, is_running) => Some(format!("wanted {wanted:?}, process: {is_running}")),
        };
        natives.push(Native {
            kind: Kind::Compute,
            id: text("mark").context("a machine without a mark")?,
            is_marked: true,
            state,
        });
        for (name, kind) in [("nics", Kind::NetworkInterface), ("disks", Kind::StorageLink)] {
            for link in record.get(name).and_then(Value::as_array).into_iter().flatten() {
                let mark = link
                    .get("mark")
                    .and_then(Value::as_str)
                    .context("a link without a mark")?;
                natives.push(Native {
                    kind,
                    id: mark.to_owned(),
                    is_marked: true,
                    state: None,
                });
            }
        }
    }
    for (kind, part) in [(Kind::Network, "net"), (Kind::Storage, "volume")] {
        for (_, record) in records(&directory.join(part))? {
            let text = |name: &str| record.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
            let mark = text("mark");
            natives.push(Native {
                kind,
                is_marked: mark.is_some(),
                id: mark.or_else(|| text("id")).context("a record without a name")?,
                state: None,
            });
        }
    }
    Ok(natives)
}

fn records(directory: &Path) -> Result<Vec<(PathBuf, Value)>> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(Vec::new());
    };
    let mut records = Vec::new();
    for folder in entries.flatten().map(|entry| entry.path()) {
        let text =
            fs::read(folder.join("record.json")).with_context(|| format!("{} has no record", folder.display()))?;
        records.push((folder, serde_json::from_slice(&text)?));
    }
    Ok(records)
}
