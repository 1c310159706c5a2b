//! Which QEMU this host has, and how it can run guests.
//!
//! `/dev/kvm` may lie: it can be there, open and answer, and still run no ordinary guest (a nested host whose module
//! only runs guests built for it). QEMU then aborts or hangs, and does not fall back. Or it may be there for root, and not
//! for the users as whom guests run. So an accelerator is believed after it has run something, as they would: a boot
//! sector that asks QEMU to exit with 33.

use crate::error::Failure;
use crate::host::blocking::blocking;
use crate::host::confine::{self, Confinement};
use crate::host::durable;
use crate::host::process::boot_id;
use crate::host::program;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The package that holds the emulator, and the one with its image tool, which is missing then as well.
pub const PACKAGE: &str = "qemu-system-x86 qemu-utils";
/// The oldest QEMU with everything that is used here (`-netdev stream`).
const OLDEST: (u32, u32) = (7, 2);
/// How long a probe may take; TCG needs 0.1 s, a lying KVM hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// `mov dx,0x501; mov al,0x10; out dx,al; hlt; jmp`: the debug-exit device turns 0x10 into exit code 33.
const BOOT_SECTOR: [u8; 9] = [0xBA, 0x01, 0x05, 0xB0, 0x10, 0xEE, 0xF4, 0xEB, 0xFD];
const WORKS: i32 = 33;
const KVM: &str = "/dev/kvm";
/// What is wrong with a device that only root may use, and what to do.
const CLOSED: &str = ": the users as whom guests run may not open /dev/kvm (chgrp kvm /dev/kvm; chmod g+rw /dev/kvm)";

/// Whether the device of a [`Host`] is not open to its user, who has the device's group.
fn is_closed(device: Option<(u32, u32, u32)>, user: Option<u32>) -> bool {
    device.is_some_and(|(mode, _, group)| {
        let (all, ours) = (mode & 0o006 == 0o006, mode & 0o060 == 0o060);
        user.is_some() && !(all || (ours && group != 0))
    })
}

/// How guests are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// By the processor, at full speed.
    Kvm,
    /// By translation: works everywhere, ten to thirty times slower.
    Tcg,
}

impl Host {
    /// Why guests are emulated, if they are.
    pub(crate) fn why_slow(&self) -> Option<&'static str> {
        match self.accelerator {
            Accelerator::Kvm => None,
            Accelerator::Tcg if is_closed(self.device, self.user) => Some(CLOSED),
            Accelerator::Tcg => Some(": KVM does not work on this host"),
        }
    }
}

impl Accelerator {
    /// The value of `-accel` and of `-cpu` for guests of this engine.
    pub fn arguments(self) -> (&'static str, &'static str) {
        match self {
            Self::Kvm => ("kvm", "host"),
            // Small caches make QEMU 7.2 crash when processors are added; large ones cost memory per guest.
            Self::Tcg => ("tcg,thread=multi,tb-size=128", "max"),
        }
    }
}

/// What was found out about the host. Good for one boot and one QEMU program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The boot in which this was found out.
    boot: String,
    /// Path, size and time of the program.
    program: (PathBuf, u64, i64),
    /// Mode, owner and group of `/dev/kvm`, if there is one.
    device: Option<(u32, u32, u32)>,
    /// As whom guests run, if not as we do.
    user: Option<u32>,
    /// QEMU's version, major and minor.
    pub version: (u32, u32),
    /// The machine type that `pc` means to this QEMU. A guest keeps the one that it was made with.
    pub machine: String,
    /// How guests are run.
    pub accelerator: Accelerator,
}

#[cfg(test)]
impl Host {
    pub(crate) fn for_tests(accelerator: Accelerator) -> Self {
        Self {
            boot: String::new(),
            program: (PathBuf::new(), 0, 0),
            device: None,
            user: None,
            version: OLDEST,
            machine: "pc-i440fx-7.2".to_owned(),
            accelerator,
        }
    }
}

/// Somebody else, as whom guests run, and the program that becomes that user.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    /// The user.
    pub user: u32,
    /// The program that takes our hidden sub-commands.
    pub launcher: &'a Path,
}

/// Finds out what `qemu` can do for `guest`, or remembers it from `cache`.
///
/// # Errors
/// [`Failure::Missing`] with the package to install; [`Failure::Program`] if it is too old or cannot run anything.
pub async fn probe(
    qemu: &Path,
    wish: Option<Accelerator>,
    guest: Option<Guest<'_>>,
    cache: &Path,
) -> Result<Host, Failure> {
    let boot = boot_id()?;
    let program = locate(qemu, PACKAGE)?;
    let device = fs::metadata(KVM).ok();
    let device = device.map(|device| (device.mode(), device.uid(), device.gid()));
    let user = guest.map(|guest| guest.user);
    if let Ok(Some(known)) = durable::read_json::<Host>(cache)
        && known.boot == boot
        && known.program == program
        && known.device == device
        && known.user == user
        && wish.is_none_or(|wish| wish == known.accelerator)
    {
        return Ok(known);
    }
    let version = version(qemu).await?;
    let machine = machine(qemu).await?;
    let candidates = match wish {
        Some(wish) => vec![wish],
        None => vec![Accelerator::Kvm, Accelerator::Tcg],
    };
    for accelerator in candidates {
        if works(qemu, accelerator, guest).await? {
            let host = Host {
                boot,
                program,
                device,
                user,
                version,
                machine,
                accelerator,
            };
            let (cache, known) = (cache.to_owned(), host.clone());
            blocking(move || durable::write_json(&cache, &known)).await?;
            return Ok(host);
        }
    }
    Err(Failure::Program {
        program: qemu.display().to_string(),
        said: match wish {
            Some(Accelerator::Kvm) => format!(
                "it runs no guest with KVM on this host{}; set `accelerator` to \"tcg\"",
                if is_closed(device, user) { CLOSED } else { "" }
            ),
            _ => "it runs no guest on this host".to_owned(),
        },
    })
}

/// Path, size and time of a program of `package`; a bare name is searched in `PATH`.
pub(crate) fn locate(program: &Path, package: &'static str) -> Result<(PathBuf, u64, i64), Failure> {
    let found = if program.components().count() > 1 {
        Some(program.to_owned())
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|dir| dir.join(program))
            .find(|path| path.is_file())
    };
    found
        .and_then(|path| fs::metadata(&path).ok().map(|meta| (path, meta.len(), meta.mtime())))
        .ok_or_else(|| Failure::Missing {
            program: program.display().to_string(),
            package,
        })
}

async fn version(qemu: &Path) -> Result<(u32, u32), Failure> {
    let ended = program::run_well(qemu, PACKAGE, ["--version"], Path::new("/"), PATIENCE).await?;
    let version = parse_version(&ended.stdout);
    match version {
        Some(version) if version >= OLDEST => Ok(version),
        _ => Err(Failure::Program {
            program: qemu.display().to_string(),
            said: format!(
                "version {}.{} or later is needed, this says {:?}",
                OLDEST.0,
                OLDEST.1,
                ended.stdout.lines().next().unwrap_or_default()
            ),
        }),
    }
}

/// `QEMU emulator version 7.2.22 (Debian ...)`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split("version ").nth(1)?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

async fn machine(qemu: &Path) -> Result<String, Failure> {
    let ended = program::run_well(qemu, PACKAGE, ["-machine", "help"], Path::new("/"), PATIENCE).await?;
    Ok(parse_machine(&ended.stdout).unwrap_or("pc").to_owned())
}

/// `pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-7.2)`.
fn parse_machine(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some("pc"))?;
    line.split("(alias of ").nth(1)?.split(')').next()
}

async fn works(qemu: &Path, accelerator: Accelerator, guest: Option<Guest<'_>>) -> Result<bool, Failure> {
    if accelerator == Accelerator::Kvm && OpenOptions::new().read(true).write(true).open(KVM).is_err() {
        return Ok(false);
    }
    let directory = tempfile::tempdir().map_err(Failure::host("make a temporary directory"))?;
    let image = directory.path().join("probe.img");
    let mut sector = [0; 512];
    sector[..BOOT_SECTOR.len()].copy_from_slice(&BOOT_SECTOR);
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    File::create(&image)
        .and_then(|mut file| file.write_all(&sector))
        .map_err(Failure::host("write the probe"))?;
    let (accel, cpu) = accelerator.arguments();
    let args = [
        "-machine",
        "pc",
        "-accel",
        accel,
        "-cpu",
        cpu,
        "-m",
        "16",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-device",
        "isa-debug-exit,iobase=0x501,iosize=1",
        "-drive",
        "file=probe.img,format=raw,if=floppy,readonly=on",
    ];
    let ended = match guest {
        None => program::run(qemu, PACKAGE, args, directory.path(), PATIENCE).await,
        Some(Guest { user, launcher }) => {
            confine::give(directory.path(), Some(user))?;
            let bounds = Confinement {
                write: vec![".".into()],
                user: Some(user),
                ..Confinement::default()
            };
            let words = bounds.command(qemu, args)?;
            program::run(launcher, PACKAGE, words, directory.path(), PATIENCE).await
        }
    };
    match ended {
        Ok(ended) => Ok(ended.status.code() == Some(WORKS)),
        Err(Failure::Slow { .. }) => Ok(false),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_the_meaning_of_pc_are_read_from_what_qemu_prints() {
        assert_eq!(
            parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright"),
            Some((7, 2))
        );
        assert_eq!(parse_version("qemu"), None);
        let help =
            "Supported machines are:\npc-q35-7.2  x\npc                   Standard PC (alias of pc-i440fx-7.2)\n";
        assert_eq!(parse_machine(help), Some("pc-i440fx-7.2"));
    }

    #[tokio::test]
    async fn a_missing_qemu_is_an_error_that_names_the_package() {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("probe.json");
        let error = probe(Path::new("no-such-qemu"), None, None, &cache).await.unwrap_err();
        assert!(error.to_string().contains("apt-get install qemu-system-x86"), "{error}");
    }

    fn script(path: &Path, answers: &str) {
        use std::os::unix::fs::PermissionsExt;
        let text = format!("#!/bin/sh\ncase \"$*\" in {answers} esac\n");
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    const FACTS: &str =
        "*--version*) echo 'QEMU emulator version 8.1.0';; *help*) echo 'pc  x (alias of pc-i440fx-8.1)';;";

    #[tokio::test]
    async fn an_accelerator_that_aborts_or_hangs_is_not_believed_and_the_answer_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let (qemu, cache) = (directory.path().join("qemu"), directory.path().join("probe.json"));
        script(&qemu, &format!("{FACTS} *kvm*) exit 134;; *tcg*) exit 33;;"));
        let host = probe(&qemu, None, None, &cache).await.unwrap();
        assert_eq!(host.accelerator, Accelerator::Tcg);
        assert_eq!(probe(&qemu, None, None, &cache).await.unwrap(), host);
        let error = probe(&qemu, Some(Accelerator::Kvm), None, &cache).await.unwrap_err();
        assert!(error.to_string().contains("tcg"), "{error}");
    }

    #[tokio::test]
    async fn an_accelerator_that_only_we_may_use_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        script(&at("qemu"), &format!("{FACTS} *) exit 33;;"));
        script(&at("launcher"), "*kvm*) exit 1;; *) exit 33;;");
        let guest = Guest {
            user: rustix::process::geteuid().as_raw(),
            launcher: &at("launcher"),
        };
        let host = probe(&at("qemu"), None, Some(guest), &at("probe.json")).await.unwrap();
        assert_eq!(host.accelerator, Accelerator::Tcg);
        // What was found out for others is not believed for it, nor what was before the device was opened to it.
        probe(&at("qemu"), None, None, &at("probe.json")).await.unwrap();
        let host = probe(&at("qemu"), None, Some(guest), &at("probe.json")).await.unwrap();
        assert_eq!(host.accelerator, Accelerator::Tcg);
        let closed = |mode| is_closed(Some((mode, 0, 0)), Some(1));
        assert!(closed(0o600) && closed(0o660) && !closed(0o666));
        assert!(!is_closed(Some((0o660, 0, 107)), Some(1)) && !is_closed(Some((0o600, 0, 0)), None));
    }
}
