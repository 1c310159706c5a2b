//! What an operator can set.

use crate::probe::Accelerator;
use ipnet::Ipv4Net;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What becomes of virtual machines that ran when the host went down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnHostBoot {
    /// They are started again.
    #[default]
    Resume,
    /// They stay off.
    Leave,
}

/// The configuration of this engine. Every key has a default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QemuConfig {
    /// Where everything of this engine is kept. Default `<data-dir>/qemu`.
    pub directory: PathBuf,
    /// Directories with images to boot from; of two with one name the first counts. Default `<data-dir>/images`, then
    /// `occid/images` of the user's and of the system's data directories.
    pub images: Vec<PathBuf>,
    /// The image for a compute that names none. Never a saved one. Default: the first of the image
    /// directories, by name.
    pub default_image: Option<String>,
    /// The emulator. Default `qemu-system-x86_64`, searched in `PATH`.
    pub qemu: PathBuf,
    /// The image tool. Default `qemu-img`, searched in `PATH`.
    pub qemu_img: PathBuf,
    /// How guests are run: `kvm` or `tcg`. Default: KVM where it works, else TCG.
    pub accelerator: Option<Accelerator>,
    /// The program that takes this engine's hidden sub-commands. Default: the running one.
    pub launcher: PathBuf,
    /// The addresses from which networks are cut, 256 for each. Default `10.213.0.0/16`.
    pub addresses: Ipv4Net,
    /// The first and the last port of the loopback on which guests' ssh is published. Default 20000 to 29999.
    pub ssh_ports: [u16; 2],
    /// The first and the last of the users as whom virtual machines run, one each, where the server is root; the first is
    /// for image tools. Two servers of one host need two ranges. Default 1900000000 to 1900065535, which no
    /// distribution gives out.
    pub users: [u32; 2],
    /// How many guests may boot at the same time. Default: one per processor.
    pub boots: Option<usize>,
    /// How many virtual processors a processor of the host may stand for. Default 16.
    pub cores_ratio: u32,
    /// How long a guest may take to switch itself off, in seconds. Default 60.
    pub stop_grace: u64,
    /// `resume` or `leave` what ran when the host went down. Default `resume`.
    pub on_host_boot: OnHostBoot,
    /// How much of a guest's serial output is kept, in KiB. Default 1024.
    pub console_log: u64,
}

impl Default for QemuConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::new(),
            images: Vec::new(),
            default_image: None,
            qemu: "qemu-system-x86_64".into(),
            qemu_img: "qemu-img".into(),
            accelerator: None,
            launcher: "/proc/self/exe".into(),
            addresses: Ipv4Net::new_assert([10, 213, 0, 0].into(), 16),
            ssh_ports: [20_000, 29_999],
            users: [1_900_000_000, 1_900_065_535],
            boots: None,
            cores_ratio: 16,
            stop_grace: 60,
            on_host_boot: OnHostBoot::Resume,
            console_log: 1024,
        }
    }
}

impl QemuConfig {
    /// The default below the server's data directory.
    pub fn new(data_dir: &Path) -> Self {
        Self::default().below(data_dir)
    }

    /// Fills in the places that follow from the server's data directory and are not set.
    #[must_use]
    pub fn below(mut self, data_dir: &Path) -> Self {
        if self.directory.as_os_str().is_empty() {
            self.directory = data_dir.join("qemu");
        }
        if self.images.is_empty() {
            self.images.push(data_dir.join("images"));
            self.images
                .extend(data_directories().map(|directory| directory.join("occid/images")));
        }
        self
    }

    /// What cannot be meant.
    ///
    /// # Errors
    /// A sentence that names the key and the remedy.
    pub fn validate(&self) -> Result<(), String> {
        let [first, last] = self.ssh_ports;
        if self.directory.as_os_str().is_empty() {
            return Err("`directory` is empty; name a directory for the virtual machines".to_owned());
        }
        if self.addresses.prefix_len() > 24 {
            return Err("`addresses` is too small; give a network of /24 or larger".to_owned());
        }
        if first > last || first < 1024 {
            return Err("`ssh_ports` must be two ports from 1024 on, the lower one first".to_owned());
        }
        if self.users[0] == 0 || self.users[0] >= self.users[1] {
            return Err("`users` must be two different numbers above 0, the lower one first".to_owned());
        }
        if self.boots == Some(0) || self.cores_ratio == 0 || self.console_log == 0 {
            return Err("`boots`, `cores_ratio` and `console_log` must be at least 1".to_owned());
        }
        Ok(())
    }

    /// [`QemuConfig::stop_grace`] as a time.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.stop_grace)
    }
}

/// The data directories of the user and of the system (XDG Base Directory Specification).
fn data_directories() -> impl Iterator<Item = PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let user = variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&variable("HOME")?).join(".local/share")));
    let system = variable("XDG_DATA_DIRS").unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    let system: Vec<PathBuf> = std::env::split_paths(&system).collect();
    user.into_iter().chain(system).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_an_unknown_key_is_named() {
        let config = QemuConfig::new(Path::new("/var/lib/occid"));
        config.validate().unwrap();
        assert_eq!(config.directory, Path::new("/var/lib/occid/qemu"));
        assert_eq!(config.images.first().unwrap(), Path::new("/var/lib/occid/images"));
        let error = toml::from_str::<QemuConfig>("acelerator = \"tcg\"").unwrap_err();
        assert!(error.message().contains("acelerator"), "{error}");
    }
}
