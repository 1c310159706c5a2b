//! The images of this host: what there is to boot from, and what stays of them below the disks of machines.

use crate::durable;
use crate::error::Failure;
use crate::image::{Image, Images};
use crate::site::{BASES, SAVED, Site};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

impl Site {
    /// What there is to boot from, for `project`.
    pub(crate) fn images(&self, project: &str) -> Images {
        let mut found = self.library.look();
        found.images.retain(|image| {
            image
                .description
                .project
                .as_deref()
                .is_none_or(|owner| owner == project)
        });
        found
    }

    /// The one of `images` for a compute that names none.
    pub(crate) fn default_image<'a>(&self, images: &'a Images) -> Option<&'a Image> {
        images.default_of(self.config.default_image.as_deref(), &self.config.directory.join(SAVED))
    }

    /// Keeps `image` as it is now for the overlays on it, whatever becomes of its file; gives its name among the bases.
    /// For [`Site::place`].
    pub(crate) fn freeze(&self, image: &Image) -> Result<PathBuf, Failure> {
        let path = &image.path;
        let meta = fs::metadata(path).map_err(Failure::host("read the image"))?;
        let time = format!("{:x}-{:x}", meta.mtime(), meta.mtime_nsec());
        let name = format!("{:x}-{:x}-{time}-{:x}", meta.dev(), meta.ino(), meta.len());
        let name = PathBuf::from(name);
        let base = self.base(&name);
        if base.exists() {
            return Ok(name);
        }
        // A link costs nothing and keeps the file when its directory gets a new one of the name; but what somebody may
        // write to is copied (as a clone where the file system can). Machines that run as users of their own must be
        // able to read it.
        let is_readable = meta.mode() & 0o004 != 0 || !rustix::process::geteuid().is_root();
        let may_change = meta.mode() & 0o222 != 0;
        if !is_readable || may_change || fs::hard_link(path, &base).is_err() {
            let copy = base.with_extension("new");
            fs::copy(path, &copy).map_err(Failure::host("copy the image"))?;
            let mode = fs::Permissions::from_mode(0o444);
            fs::set_permissions(&copy, mode).map_err(Failure::host("copy the image"))?;
            durable::rename(&copy, &base)?;
        }
        Ok(name)
    }

    /// The path of a base.
    pub(crate) fn base(&self, name: &Path) -> PathBuf {
        self.config.directory.join(BASES).join(name)
    }

    /// Removes the bases that no machine needs. For [`Site::place`].
    pub(crate) fn drop_unused_bases(&self) -> Result<(), Failure> {
        let used: Vec<PathBuf> = self
            .machines()
            .iter()
            .map(|machine| machine.record.get().base.clone())
            .collect();
        let bases = fs::read_dir(self.config.directory.join(BASES)).map_err(Failure::host("read the bases"))?;
        for base in bases.flatten().filter(|base| !used.contains(&base.file_name().into())) {
            fs::remove_file(base.path()).map_err(Failure::host("remove a base"))?;
        }
        Ok(())
    }
}
