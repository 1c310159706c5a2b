//! The images of this host: what there is to boot from, and what stays of them below the disks of machines.

use crate::error::Failure;
use crate::host::blocking::blocking;
use crate::host::durable;
use crate::image::{Image, Images};
use crate::site::{BASES, SAVED, Site, lock};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// An image as it was when somebody asked for it. Until a machine's record names its base, this keeps it.
pub(crate) struct Frozen {
    pub(crate) image: Image,
    /// Its name among the bases.
    pub(crate) base: PathBuf,
    _kept: Arc<Mutex<()>>,
}

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

    /// Keeps `image` as it is now for the overlays on it, whatever becomes of its file. That may be a copy and take its time:
    /// not for [`Site::place`]. Whoever wants the same image meanwhile waits for the one copy.
    pub(crate) async fn freeze(self: &Arc<Self>, image: Image) -> Result<Frozen, Failure> {
        let site = self.clone();
        blocking(move || {
            let base = name(&image.path)?;
            let kept = lock(&site.kept_bases).entry(base.clone()).or_default().clone();
            let one_copy = lock(&kept);
            site.make_base(&image.path, &base)?;
            drop(one_copy);
            Ok(Frozen {
                image,
                base: base.into(),
                _kept: kept,
            })
        })
        .await
    }

    fn make_base(&self, image: &Path, name: &OsString) -> Result<(), Failure> {
        let base = self.base(Path::new(name));
        if base.exists() {
            return Ok(());
        }
        let meta = fs::metadata(image).map_err(Failure::host("read the image"))?;
        // A link costs nothing and keeps the file when its directory gets a new one of the name; but what somebody may
        // write to is copied (as a clone where the file system can). Machines that run as users of their own must be
        // able to read it.
        let is_readable = meta.mode() & 0o004 != 0 || !rustix::process::geteuid().is_root();
        let may_change = meta.mode() & 0o222 != 0;
        if is_readable && !may_change && fs::hard_link(image, &base).is_ok() {
            return durable::sync(&self.config.directory.join(BASES));
        }
        let copy = base.with_extension("new");
        fs::copy(image, &copy).map_err(Failure::host("copy the image"))?;
        let mode = fs::Permissions::from_mode(0o444);
        fs::set_permissions(&copy, mode).map_err(Failure::host("copy the image"))?;
        durable::rename(&copy, &base)
    }

    /// The path of a base.
    pub(crate) fn base(&self, name: &Path) -> PathBuf {
        self.config.directory.join(BASES).join(name)
    }

    /// Removes the bases that no machine needs, and what copies that were cut off have left. For [`Site::place`].
    pub(crate) fn drop_unused_bases(&self) -> Result<(), Failure> {
        let used: Vec<PathBuf> = self
            .machines()
            .iter()
            .map(|machine| machine.record.get().base.clone())
            .collect();
        let bases = fs::read_dir(self.config.directory.join(BASES)).map_err(Failure::host("read the bases"))?;
        // Whoever wants one of them from now on finds it gone.
        let mut kept = lock(&self.kept_bases);
        kept.retain(|_, kept| Arc::strong_count(kept) > 1);
        for base in bases.flatten().map(|base| base.path()) {
            let is_needed = base
                .file_stem()
                .is_some_and(|name| kept.contains_key(name) || used.iter().any(|used| used == name));
            if !is_needed {
                fs::remove_file(&base).map_err(Failure::host("remove a base"))?;
            }
        }
        Ok(())
    }
}

/// What the image in a file is called among the bases: another name when it is another file, or has changed.
fn name(image: &Path) -> Result<OsString, Failure> {
    let meta = fs::metadata(image).map_err(Failure::host("read the image"))?;
    let time = format!("{:x}-{:x}", meta.mtime(), meta.mtime_nsec());
    Ok(format!("{:x}-{:x}-{time}-{:x}", meta.dev(), meta.ino(), meta.len()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::QemuConfig;
    use crate::site::IMAGE_ROUND;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_copy_of_an_image_holds_nobody_up_and_stays_until_a_machine_has_it() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let images = directory.path().join("images");
        fs::create_dir(&images).unwrap();
        // It may change, so it is copied; nobody is at it.
        let file = images.join("one.raw");
        fs::write(&file, [0; 512]).unwrap();
        let file = fs::File::options().write(true).open(file).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let config = QemuConfig {
            images: vec![images],
            ..QemuConfig::new(directory.path())
        };
        let in_time = Duration::from_secs(30);
        let look = |site: &Site| -> Vec<_> {
            let bases = fs::read_dir(site.config.directory.join(BASES)).unwrap();
            bases.map(|base| base.unwrap().path()).collect()
        };

        let site = {
            let _inside = runtime.enter();
            Site::open(config, IMAGE_ROUND).unwrap().0
        };
        let clear_up = || {
            let cleared = site.place(|site| site.drop_unused_bases());
            let cleared = runtime.block_on(async { tokio::time::timeout(in_time, cleared).await });
            cleared.unwrap().unwrap();
        };
        let image = site.images("lab").images[0].clone();
        let name = name(&image.path).unwrap();
        // Somebody else is at the copy, and has begun.
        let kept = lock(&site.kept_bases).entry(name.clone()).or_default().clone();
        let copying = lock(&kept);
        let begun = site.base(Path::new(&name)).with_extension("new");
        fs::write(&begun, "half").unwrap();
        let freezing = runtime.spawn({
            let site = site.clone();
            async move { site.freeze(image).await }
        });
        clear_up();
        assert_eq!(look(&site), [begun]);
        assert!(!freezing.is_finished());

        drop(copying);
        drop(kept);
        let frozen = runtime.block_on(freezing).unwrap().unwrap();
        clear_up();
        assert_eq!(look(&site), [site.base(&frozen.base)]);
        drop(frozen);
        clear_up();
        assert!(look(&site).is_empty());
        runtime.block_on(site.close());
    }
}
