//! The images of this host: what there is to boot from, and what stays of them below the disks of machines.

use crate::error::Failure;
use crate::host::apart::apart;
use crate::host::blocking::blocking;
use crate::host::durable::{self, or_remove};
use crate::image::{Image, Images};
use crate::site::{BASES, SAVED, Site, lock};
use occi_backend::{Context, Interrupted};
use rustix::fs::ioctl_ficlone;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// So many bytes of a copy are on the disk before the next are read: what is told of it is true, and its end takes no time.
const PIECE: u64 = 256 << 20;

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
    /// not for [`Site::place`]. Whoever wants the same image meanwhile waits for the one copy. Gives up when `asker` is told to
    /// stop.
    pub(crate) async fn freeze(self: &Arc<Self>, image: Image, asker: &Context) -> Result<Frozen, Failure> {
        let path = image.path.clone();
        let base = PathBuf::from(blocking(move || name(&path)).await?);
        let kept = lock(&self.kept_bases).entry(base.clone().into()).or_default().clone();
        let one_copy = asker.wait(kept.clone().lock_owned()).await?;
        let (site, path, own, told) = (self.clone(), image.path.clone(), base.clone(), asker.clone());
        let make = |token| {
            blocking(move || {
                let _one_copy = one_copy;
                site.make_base(&path, &own, &told, &token)
            })
        };
        apart(asker.stopped(), make).await?;
        Ok(Frozen {
            image,
            base,
            _kept: kept,
        })
    }

    fn make_base(&self, image: &Path, name: &Path, asker: &Context, wanted: &CancellationToken) -> Result<(), Failure> {
        let base = self.base(name);
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
        let new = base.with_extension("new");
        or_remove(copy(image, &new, asker, wanted), &new)?;
        durable::rename(&new, &base)
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

/// Copies an image, for everybody to read and nobody to write to.
fn copy(image: &Path, new: &Path, asker: &Context, wanted: &CancellationToken) -> Result<(), Failure> {
    let failed = || Failure::host("copy the image");
    let from = File::open(image).map_err(failed())?;
    let to = File::create(new).map_err(failed())?;
    let size = from.metadata().map_err(failed())?.len();
    if ioctl_ficlone(&to, &from).is_err() {
        let mut done = 0;
        while done < size {
            if wanted.is_cancelled() {
                return Err(Interrupted.into());
            }
            let more = io::copy(&mut (&from).take(PIECE), &mut &to).map_err(failed())?;
            to.sync_data().map_err(failed())?;
            if more == 0 {
                break;
            }
            done += more;
            let percent = done.saturating_mul(100) / size;
            asker.progress(u8::try_from(percent).unwrap_or(100));
        }
    }
    to.set_permissions(fs::Permissions::from_mode(0o444)).map_err(failed())
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
    use occi_backend::suite::Silent;
    use occi_backend::{Deadline, Scope};
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
        let asker = Context {
            scope: Scope {
                project: "lab".to_owned(),
            },
            operation: uuid::Uuid::new_v4(),
            attempt: 1,
            deadline: Deadline::new(in_time),
            journal: Arc::new(Silent),
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
        let copying = runtime.block_on(kept.clone().lock_owned());
        let begun = site.base(Path::new(&name)).with_extension("new");
        fs::write(&begun, "half").unwrap();
        let freezing = runtime.spawn({
            let site = site.clone();
            async move { site.freeze(image, &asker).await }
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
