//! What an operator can set.

use crate::qemu::probe::Accelerator;
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

/// A key of the configuration, as sample files show it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it means, line by line.
    pub doc: &'static [&'static str],
    /// Its default in TOML, or an example of what has none.
    pub example: &'static str,
}

/// Declares the keys: documentation, type, default, and how the default is written in TOML, or an example.
macro_rules! keys {
    ($( $(#[doc = $doc:literal])* $field:ident : $type:ty = $default:expr, like $example:literal; )*) => {
        /// The configuration of this engine. Every key has a default.
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct QemuConfig {
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl Default for QemuConfig {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl QemuConfig {
            /// Its keys, in order.
            pub const KEYS: &[Key] = &[$( Key { name: stringify!($field), doc: &[$($doc),*], example: $example } ),*];
        }
    };
}

keys! {
    /// Where everything of this engine is kept. Default `<data-dir>/qemu`.
    directory: PathBuf = PathBuf::new(), like "\"/var/lib/occid/qemu\"";
    /// Directories with images to boot from; of two with one name the first counts. Default `<data-dir>/images`, then
    /// `occid/images` of the user's and of the system's data directories.
    images: Vec<PathBuf> = Vec::new(), like "[\"/var/lib/occid/images\"]";
    /// The image for a compute that names none. Never a saved one. Default: the first of the image
    /// directories, by name.
    default_image: Option<String> = None, like "\"debian-12\"";
    /// How many GiB the images of a project may have, those that it saves and those that are still coming included.
    /// Default: as many as the disk has room for.
    project_image_gib: Option<u64> = None, like "200";
    /// How many GiB the disk may have of an image that a client brings; the file of a larger one may be small. Default 1024.
    image_disk_gib: u64 = 1024, like "1024";
    /// The emulator. Default `qemu-system-x86_64`, searched in `PATH`.
    qemu: PathBuf = "qemu-system-x86_64".into(), like "\"qemu-system-x86_64\"";
    /// The image tool. Default `qemu-img`, searched in `PATH`.
    qemu_img: PathBuf = "qemu-img".into(), like "\"qemu-img\"";
    /// How guests are run: `kvm` or `tcg`. Default: KVM where it works, else TCG.
    accelerator: Option<Accelerator> = None, like "\"kvm\"";
    /// The program that takes this engine's hidden sub-commands. Default: the running one.
    launcher: PathBuf = "/proc/self/exe".into(), like "\"/proc/self/exe\"";
    /// The addresses from which networks are cut, 256 for each. Default `10.213.0.0/16`.
    addresses: Ipv4Net = Ipv4Net::new_assert([10, 213, 0, 0].into(), 16), like "\"10.213.0.0/16\"";
    /// The first and the last port of the loopback on which guests' ssh is published. Default 20000 to 29999.
    ssh_ports: [u16; 2] = [20_000, 29_999], like "[20000, 29999]";
    /// The first and the last of the users as whom virtual machines run, one each, where the server is root; the first is
    /// for image tools. Two servers of one host need two ranges. Default: 65536 of those from 1900000000 on that no
    /// distribution gives out, drawn for each `directory` when it is first used and kept in its file `users`.
    users: Option<[u32; 2]> = None, like "[1900000000, 1900065535]";
    /// How many guests may boot at the same time. Default: one per processor.
    boots: Option<usize> = None, like "4";
    /// How many virtual processors a processor of the host may stand for. Default 16.
    cores_ratio: u32 = 16, like "16";
    /// How long a guest may take to switch itself off, in seconds. Default 60.
    stop_grace: u64 = 60, like "60";
    /// `resume` or `leave` what ran when the host went down. Default `resume`.
    on_host_boot: OnHostBoot = OnHostBoot::Resume, like "\"resume\"";
    /// How much of a guest's serial output is kept, in KiB. Default 1024.
    console_log: u64 = 1024, like "1024";
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
        if self.users.is_some_and(|[first, last]| first == 0 || first >= last) {
            return Err("`users` must be two different numbers above 0, the lower one first".to_owned());
        }
        if self.image_disk_gib == 0 {
            return Err("`image_disk_gib` must be at least 1".to_owned());
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

    #[test]
    fn what_the_sample_shows_is_the_default_where_there_is_one() {
        let line = |key: &Key| format!("{} = {}\n", key.name, key.example);
        let all: String = QemuConfig::KEYS.iter().map(line).collect();
        let shown: QemuConfig = toml::from_str(&all).unwrap();
        shown.validate().unwrap();
        let default = QemuConfig {
            directory: shown.directory.clone(),
            images: shown.images.clone(),
            default_image: shown.default_image.clone(),
            project_image_gib: shown.project_image_gib,
            accelerator: shown.accelerator,
            users: shown.users,
            boots: shown.boots,
            ..QemuConfig::default()
        };
        assert_eq!(shown, default);
    }
}
