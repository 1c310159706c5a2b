//! What a program that reads guests' data must not do: everything but its task.
//!
//! An emulator that a guest has broken out of, or an image tool that an image has taken over, finds itself with the
//! files of one machine, the system's libraries and nothing else: no other files, no TCP, no signals to others, no new
//! privileges; and as root, as a user of its own. The kernel's Landlock does most of it; where there is none, the rest
//! still holds.

use crate::error::Failure;
use crate::host::launch::CONFINED;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    Scope, path_beneath_rules,
};
use rustix::fs::{Gid, Uid};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where a confined program works, below the directory of what it works for: all that it may change.
pub(crate) const INSIDE: &str = "inside";

/// The rights that are spoken of here; older kernels know fewer, and give what they know.
const RIGHTS: ABI = ABI::V6;

/// Where programs, their libraries and their data are.
const SYSTEM: [&str; 20] = [
    "/usr",
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/proc/self",
    "/sys/devices/system",
    "/dev/full",
];
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/kvm"];

/// The bounds of one program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confinement {
    /// The directories and files that it may change.
    pub write: Vec<PathBuf>,
    /// Those that it may read besides, next to the system's.
    pub read: Vec<PathBuf>,
    /// Whether it may open and accept TCP connections.
    pub tcp: bool,
    /// As whom it runs, if we are root: user and group.
    pub user: Option<u32>,
    /// Its address space, in bytes.
    pub memory: Option<u64>,
    /// How many files it may have open.
    pub open_files: Option<u64>,
}

impl Confinement {
    /// Puts the calling process, which has one thread, into these bounds, for ever; all but [`Confinement::user`].
    ///
    /// # Errors
    /// [`Failure::Host`] naming what could not be given up. A kernel without Landlock is no error.
    pub fn apply(&self) -> Result<(), Failure> {
        let limit = |resource, value| {
            let value = Some(value);
            let both = Rlimit {
                current: value,
                maximum: value,
            };
            setrlimit(resource, both).map_err(|e| Failure::host("set limits")(e.into()))
        };
        // A core of a virtual machine holds the guest's memory and secrets.
        limit(Resource::Core, 0)?;
        for (resource, value) in [(Resource::As, self.memory), (Resource::Nofile, self.open_files)] {
            if let Some(value) = value {
                limit(resource, value)?;
            }
        }
        set_no_new_privs(true).map_err(|e| Failure::host("give up new privileges")(e.into()))?;
        self.lock_in()
            .map_err(|e| Failure::host("give up the rest of the file system")(std::io::Error::other(e)))
    }

    /// Gives up being root, for ever, if the bounds say so.
    ///
    /// # Errors
    /// [`Failure::Host`].
    pub fn become_user(&self) -> Result<(), Failure> {
        match self.user {
            Some(user) => become_user(user).map_err(|e| Failure::host("become another user")(e.into())),
            None => Ok(()),
        }
    }

    /// The words for our own program that make it `program` in these bounds.
    ///
    /// # Errors
    /// [`Failure::Record`] if they cannot be written down.
    pub fn command<'a>(
        &self,
        program: &'a Path,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<OsString>, Failure> {
        let bounds = serde_json::to_string(self).map_err(|error| Failure::Record {
            file: "the bounds of a program".to_owned(),
            reason: error.to_string(),
        })?;
        let server = std::process::id().to_string();
        let mut words: Vec<OsString> = vec![CONFINED.into(), server.into(), bounds.into(), program.into()];
        words.extend(args.into_iter().map(OsString::from));
        Ok(words)
    }

    fn lock_in(&self) -> Result<(), RulesetError> {
        let mut rules = Ruleset::default().handle_access(AccessFs::from_all(RIGHTS))?;
        if !self.tcp {
            rules = rules.handle_access(AccessNet::from_all(RIGHTS))?;
        }
        let program = PathBuf::from("/proc/self/exe");
        let read = SYSTEM
            .iter()
            .map(PathBuf::from)
            .chain([program])
            .chain(self.read.iter().cloned());
        let write = DEVICES.iter().map(PathBuf::from).chain(self.write.iter().cloned());
        rules
            .scope(Scope::from_all(RIGHTS))?
            .create()?
            .add_rules(path_beneath_rules(read, AccessFs::from_read(RIGHTS)))?
            .add_rules(path_beneath_rules(write, AccessFs::from_all(RIGHTS)))?
            .restrict_self()?;
        Ok(())
    }
}

/// Gives up root for good. The group of `/dev/kvm` is kept, where there is one: it is what KVM needs.
fn become_user(user: u32) -> rustix::io::Result<()> {
    let kvm = std::fs::metadata("/dev/kvm")
        .ok()
        .map(|device| Gid::from_raw(device.gid()));
    let groups: Vec<Gid> = kvm.into_iter().filter(|group| !group.is_root()).collect();
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// Whether this kernel can keep programs to their files.
pub fn has_landlock() -> bool {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create)
        .is_ok()
}

/// Gives a file or a directory to `user`, if we are root. What is at `path` itself changes, not what it may point to.
///
/// # Errors
/// [`Failure::Host`].
pub fn give(path: &Path, user: Option<u32>) -> Result<(), Failure> {
    match user {
        Some(user) => std::os::unix::fs::lchown(path, Some(user), Some(user))
            .map_err(Failure::host(format!("give {} to a machine's user", path.display()))),
        None => Ok(()),
    }
}
