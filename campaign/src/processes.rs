//! The process table, as far as it concerns one directory.

use std::fs;
use std::path::Path;

/// A process that carries the directory: in its command line or as its current folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// The command line, words separated by spaces.
    pub(crate) command: String,
    /// The current folder.
    pub(crate) folder: String,
}

/// The processes of `directory`, without our own.
pub(crate) fn of(directory: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let name = directory.display().to_string();
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let processes = pids.filter_map(|pid| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<_> = command.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
        let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        Some(Process {
            pid,
            command: words.join(" ").trim().to_owned(),
            folder: folder.display().to_string(),
        })
    });
    processes
        .filter(|process| process.pid != std::process::id() && !process.command.is_empty())
        .filter(|process| process.command.contains(&name) || process.folder.starts_with(&name))
        .collect()
}

/// Ends what is left of a run that could not do so itself.
pub(crate) fn end(directory: &Path) {
    let ours = of(directory)
        .into_iter()
        .filter(|process| process.command.contains("qemu"));
    for process in ours {
        if let Some(pid) = rustix::process::Pid::from_raw(process.pid.cast_signed()) {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}
