//! Under systemd each process that outlives us is a scope of its own.
//!
//! A service's processes are counted together and, unless its unit says `KillMode=process`, ended together. So what is
//! to outlive the service leaves it: systemd is asked, through its own `busctl`, to move the process. That may fail (an
//! ordinary user's service of the system may not ask); then the process stays where it is, and the log says so.

use crate::error::chain;
use crate::host::program;
use std::path::Path;
use std::time::Duration;

/// How long systemd may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which systemd runs a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    /// The host's.
    System,
    /// A user's own.
    User,
}

impl Manager {
    /// The one that runs us, if we are a service.
    fn ours() -> Option<Self> {
        Path::new("/run/systemd/system").exists().then_some(())?;
        Self::of(&std::fs::read_to_string("/proc/self/cgroup").ok()?)
    }

    /// The one that runs the process with this `/proc/PID/cgroup`. A shell's processes are in a scope already.
    fn of(cgroups: &str) -> Option<Self> {
        // The line of the unified hierarchy, and of systemd's own in the old one.
        let path = cgroups.lines().find_map(|line| {
            line.strip_prefix("0::")
                .or_else(|| line.split_once(":name=systemd:").map(|(_, path)| path))
        })?;
        let in_service = path
            .rsplit('/')
            .find(|unit| unit.ends_with(".service") || unit.ends_with(".scope"))?;
        match in_service.ends_with(".service") {
            true if path.contains("/user@") => Some(Self::User),
            true => Some(Self::System),
            false => None,
        }
    }
}

/// Has systemd move the process that runs in `directory` into a scope of its own. Nothing happens where we are no
/// service of systemd's. Returns at once.
pub(crate) fn leave_service(directory: &Path, pid: u32) {
    let Some(manager) = Manager::ours() else { return };
    let unit = unit(directory, pid);
    tokio::spawn(async move {
        let request = request(manager, &unit, pid);
        if let Err(failure) = program::run_well(Path::new("busctl"), "systemd", request, Path::new("/"), PATIENCE).await
        {
            tracing::warn!(
                unit,
                error = chain(&failure),
                "a virtual machine or network stays in our own unit, which must say KillMode=process"
            );
        }
    });
}

/// The name of the scope: the last parts of the directory say what it is for.
fn unit(directory: &Path, pid: u32) -> String {
    let parts: Vec<_> = directory.iter().map(|part| part.to_string_lossy()).collect();
    let last = parts.get(parts.len().saturating_sub(3)..).unwrap_or_default().join("-");
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    format!("occid-{}-{pid}.scope", last.chars().map(allowed).collect::<String>())
}

/// The arguments of `busctl` (org.freedesktop.systemd1(5), `StartTransientUnit`).
fn request(manager: Manager, unit: &str, pid: u32) -> Vec<String> {
    let manager = match manager {
        Manager::System => "--system",
        Manager::User => "--user",
    };
    let pid = pid.to_string();
    let call = [
        manager,
        "--quiet",
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
    ];
    let method = [
        "org.freedesktop.systemd1.Manager",
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        unit,
        "fail",
    ];
    let properties = [
        "2",
        "PIDs",
        "au",
        "1",
        &pid,
        "CollectMode",
        "s",
        "inactive-or-failed",
        "0",
    ];
    let all = call.into_iter().chain(method).chain(properties);
    all.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_service_of_systemd_is_left() {
        let of = |path: &str| Manager::of(&format!("1:name=elsewhere:/x.service\n0::{path}\n"));
        assert_eq!(of("/system.slice/occid.service"), Some(Manager::System));
        assert_eq!(of("/system.slice/occid.service/main"), Some(Manager::System));
        assert_eq!(
            of("/user.slice/user-1000.slice/user@1000.service/app.slice/occid.service"),
            Some(Manager::User)
        );
        assert_eq!(of("/user.slice/user-1000.slice/session-2.scope"), None);
        assert_eq!(of("/"), None);
        assert_eq!(
            Manager::of("1:name=systemd:/system.slice/occid.service"),
            Some(Manager::System)
        );
    }

    #[test]
    fn a_scope_is_asked_for_by_what_busctl_takes() {
        let unit = unit(Path::new("/var/lib/occid/qemu/net/8d6b 1e0c/switch"), 77);
        assert_eq!(unit, "occid-net-8d6b_1e0c-switch-77.scope");
        assert_eq!(
            request(Manager::System, &unit, 77).join(" "),
            "--system --quiet call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager \
             StartTransientUnit ssa(sv)a(sa(sv)) occid-net-8d6b_1e0c-switch-77.scope fail \
             2 PIDs au 1 77 CollectMode s inactive-or-failed 0"
        );
    }
}
