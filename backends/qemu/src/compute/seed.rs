//! The seed: what a guest reads at its first boot (cloud-init's NoCloud data source).
//!
//! A small FAT image without partitions and with the label `cidata`, given to the guest as a CD, so that it takes no name
//! (`vdb`) from the disks. It holds
//! `meta-data` (identity, host name, keys), `user-data` and `network-config`. Keys travel in `meta-data`, so user data
//! of any kind goes through untouched. Everything of ours is JSON, which is YAML too.

use crate::error::Failure;
use crate::label::label;
use serde_json::json;
use std::io::{Cursor, Write};
use std::path::Path;

/// User data of at most so many bytes, decoded: what the clouds in use take.
pub(crate) const LARGEST_USER_DATA: usize = 16 << 10;
/// The image's size. The contents stay far below.
const SIZE: usize = 512 << 10;
/// The sector size of a CD: a guest that sees the image in a CD drive cannot read smaller ones.
const SECTOR: u16 = 2048;
const LABEL: [u8; 11] = *b"cidata     ";

/// What goes into a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seed<'a> {
    /// Names this machine; a guest that sees another one than at its last boot sets itself up anew.
    pub(crate) instance: &'a str,
    /// The guest's host name; made fit for a host name here.
    pub(crate) hostname: &'a str,
    /// Public keys for logging in.
    pub(crate) keys: &'a [String],
    /// What the guest runs at the end of its boot.
    pub(crate) user_data: &'a [u8],
    /// The MAC addresses of its interfaces, in order.
    pub(crate) macs: &'a [String],
}

impl Seed<'_> {
    /// Writes the image to `path`.
    ///
    /// # Errors
    /// [`Failure::Host`].
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let image = self.image().map_err(Failure::host("make the seed"))?;
        std::fs::write(path, image).map_err(Failure::host("write the seed"))
    }

    fn image(&self) -> std::io::Result<Vec<u8>> {
        let mut image = Cursor::new(vec![0; SIZE]);
        let options = fatfs::FormatVolumeOptions::new()
            .bytes_per_sector(SECTOR)
            .bytes_per_cluster(SECTOR.into())
            .volume_label(LABEL);
        fatfs::format_volume(&mut image, options)?;
        image.set_position(0);
        let volume = fatfs::FileSystem::new(&mut image, fatfs::FsOptions::new())?;
        for (name, content) in self.files() {
            volume.root_dir().create_file(name)?.write_all(&content)?;
        }
        volume.unmount()?;
        Ok(image.into_inner())
    }

    fn files(&self) -> [(&'static str, Vec<u8>); 3] {
        let meta = json!({
            "instance-id": self.instance,
            "local-hostname": host_name(self.hostname),
            "public-keys": self.keys,
        });
        let interface = |(index, mac): (usize, &String)| {
            let settings = json!({"match": {"macaddress": mac}, "dhcp4": true, "optional": true});
            (format!("nic{index}"), settings)
        };
        let ethernets: serde_json::Map<_, _> = self.macs.iter().enumerate().map(interface).collect();
        let network = json!({"version": 2, "ethernets": ethernets});
        // One member per line: small guests read it with sed.
        [
            ("meta-data", format!("{meta:#}\n").into_bytes()),
            ("user-data", self.user_data.to_owned()),
            ("network-config", format!("{network:#}\n").into_bytes()),
        ]
    }
}

/// A host name made of `wish`: OCCI takes any text, a guest takes letters, digits and hyphens.
pub(crate) fn host_name(wish: &str) -> String {
    let labels = wish.split('.').map(|part| label(part, 63));
    let labels: Vec<String> = labels.filter(|label| !label.is_empty()).collect();
    if labels.is_empty() {
        "compute".to_owned()
    } else {
        labels.join(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_seed_holds_what_a_guest_looks_for_also_at_its_largest() {
        let user_data = vec![b'x'; LARGEST_USER_DATA];
        let keys: Vec<String> = (0..20).map(|n| format!("ssh-rsa {} {n}", "A".repeat(700))).collect();
        let seed = Seed {
            instance: "8d6b1e0c",
            hostname: "foo bar.Example",
            keys: &keys,
            user_data: &user_data,
            macs: &["52:54:00:00:00:01".to_owned()],
        };
        let image = seed.image().unwrap();
        let volume = fatfs::FileSystem::new(Cursor::new(image), fatfs::FsOptions::new()).unwrap();
        assert_eq!(volume.volume_label(), "cidata");
        let read = |name| {
            let mut text = String::new();
            volume
                .root_dir()
                .open_file(name)
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            text
        };
        let meta: serde_json::Value = serde_json::from_str(&read("meta-data")).unwrap();
        assert_eq!(meta["local-hostname"], "foo-bar.example");
        assert_eq!(meta["public-keys"].as_array().unwrap().len(), 20);
        assert_eq!(read("user-data").len(), LARGEST_USER_DATA);
        assert!(read("network-config").contains("52:54:00:00:00:01"));
    }

    #[test]
    fn any_text_makes_a_host_name() {
        assert_eq!(host_name("foo 8d6b bar"), "foo-8d6b-bar");
        assert_eq!(host_name("---"), "compute");
        assert_eq!(host_name("Web.Example.org"), "web.example.org");
    }
}
