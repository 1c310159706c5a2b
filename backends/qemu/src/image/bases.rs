//! The images of this host: what there is to boot from, and what stays of them below the disks of machines.

use crate::error::Failure;
use crate::host::apart::apart;
use crate::host::blocking::blocking;
use crate::host::durable::{self, or_remove};
use crate::image::{Facts, Image, Images, facts};
use crate::site::{BASES, SAVED, Site, lock};
use occi_backend::{Context, Interrupted};
use rustix::fs::{AtFlags, CWD, ioctl_ficlone, linkat};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

/// So many bytes of a copy are on the disk before the next are read: what is told of it is true, and its end takes no time.
///
/// It is given up between two of them. Where one takes longer than the engine above waits for what it has told to stop (5 s), that
/// operation ends first; the thread goes on to the end of the piece, removes what there is, and then whoever waits begins anew.
const PIECE: u64 = 256 << 20;

/// An image as it was when somebody asked for it. Until a machine's record names its base, this keeps it.
pub(crate) struct Frozen {
    pub(crate) image: Image,
    /// Its name among the bases.
    pub(crate) base: PathBuf,
    _kept: Arc<Kept>,
}

/// A base that is being made, or that a machine's record is about to name.
#[derive(Default)]
pub(crate) struct Kept {
    /// Held by the one copy, to the end of its thread.
    copying: Arc<Mutex<()>>,
    /// How far that is, in per cent, whenever it has come further.
    further: watch::Sender<u8>,
}

impl Kept {
    /// Waits for the one copy. A thread that stands still outlives the operation that it worked for, and then no deadline ends
    /// it: so, other than with [`Context::wait`], whoever waits comes further as the copy does, and is given up if it does not.
    async fn alone(&self, asker: &Context) -> Result<OwnedMutexGuard<()>, Interrupted> {
        let mut further = self.further.subscribe();
        let mut alone = pin!(self.copying.clone().lock_owned());
        loop {
            tokio::select! {
                alone = &mut alone => {
                    asker.goes_on();
                    break Ok(alone);
                }
                stop = asker.stopped() => break Err(stop),
                // The sender is ours.
                _ = further.changed() => asker.progress(*further.borrow_and_update()),
            }
        }
    }
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
    /// not for [`Site::place`]. Whoever wants the same image meanwhile waits for the one copy. `asker` is told how far that is;
    /// when it is told to stop this gives up.
    pub(crate) async fn freeze(self: &Arc<Self>, image: Image, asker: &Context) -> Result<Frozen, Failure> {
        self.freeze_by(PIECE, image, asker).await
    }

    async fn freeze_by(self: &Arc<Self>, piece: u64, image: Image, asker: &Context) -> Result<Frozen, Failure> {
        let base = PathBuf::from(name(image.facts));
        let kept = lock(&self.kept_bases).entry(base.clone().into()).or_default().clone();
        let alone = kept.alone(asker).await?;
        let (site, of, own) = (self.clone(), image.clone(), base.clone());
        let (all, told) = (kept.clone(), asker.clone());
        let make = |token| {
            blocking(move || {
                let _alone = alone;
                let tell = |percent| {
                    all.further.send_replace(percent);
                    told.progress(percent);
                };
                site.make_base(&of, &own, piece, tell, &token)
            })
        };
        apart(asker.stopped(), make).await?;
        Ok(Frozen {
            image,
            base,
            _kept: kept,
        })
    }

    fn make_base(
        &self,
        image: &Image,
        name: &Path,
        piece: u64,
        tell: impl Fn(u8),
        wanted: &CancellationToken,
    ) -> Result<(), Failure> {
        let base = self.base(name);
        if base.exists() {
            return Ok(());
        }
        let file = File::open(&image.path).map_err(Failure::host("read the image"))?;
        let meta = file.metadata().map_err(Failure::host("read the image"))?;
        refuse_other(image, &meta)?;
        // A link costs nothing and keeps the file when its directory gets a new one of the name; but what somebody may
        // write to is copied (as a clone where the file system can). Machines that run as users of their own must be
        // able to read it.
        let is_readable = meta.mode() & 0o004 != 0 || !rustix::process::geteuid().is_root();
        let may_change = meta.mode() & 0o222 != 0;
        if is_readable && !may_change && link(&file, &base).is_ok() {
            return durable::sync(&self.config.directory.join(BASES));
        }
        let new = base.with_extension("new");
        or_remove(copy(image, &file, &new, piece, tell, wanted), &new)?;
        durable::rename(&new, &base)
    }

    /// The path of a base.
    pub(crate) fn base(&self, name: &Path) -> PathBuf {
        self.config.directory.join(BASES).join(name)
    }

    /// Removes the bases that no machine needs, and what copies that were cut off have left. One that cannot be removed costs
    /// room and nothing else: that fails nothing, and is tried again with the next. For [`Site::place`].
    pub(crate) fn drop_unused_bases(&self) {
        let used: Vec<PathBuf> = self
            .machines()
            .iter()
            .map(|machine| machine.record.get().base.clone())
            .collect();
        let bases = match fs::read_dir(self.config.directory.join(BASES)) {
            Ok(bases) => bases,
            Err(error) => return tracing::warn!(%error, "the bases cannot be read, and all are left"),
        };
        // Whoever wants one of them from now on finds it gone.
        let mut kept = lock(&self.kept_bases);
        kept.retain(|_, kept| Arc::strong_count(kept) > 1);
        for base in bases.flatten().map(|base| base.path()) {
            let is_needed = base
                .file_stem()
                .is_some_and(|name| kept.contains_key(name) || used.iter().any(|used| used == name));
            if !is_needed && let Err(error) = fs::remove_file(&base) {
                tracing::warn!(base = %base.display(), %error, "a base that no machine needs is left");
            }
        }
    }
}

/// Refuses what is not the file that was looked at, or not any more.
fn refuse_other(image: &Image, meta: &Metadata) -> Result<(), Failure> {
    match facts(meta) == image.facts {
        true => Ok(()),
        false => Err(written(image)),
    }
}

fn written(image: &Image) -> Failure {
    Failure::Written {
        image: image.term.to_string(),
    }
}

/// Gives an open file this name too, whatever has become of the one by which it was found.
fn link(file: &File, name: &Path) -> rustix::io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, open, CWD, name, AtFlags::SYMLINK_FOLLOW)
}

/// Copies the file of an image, for everybody to read and nobody to write to.
fn copy(
    image: &Image,
    from: &File,
    new: &Path,
    piece: u64,
    tell: impl Fn(u8),
    wanted: &CancellationToken,
) -> Result<(), Failure> {
    let failed = || Failure::host("copy the image");
    let to = File::create(new).map_err(failed())?;
    let (_, _, size, ..) = image.facts;
    if ioctl_ficlone(&to, from).is_err() {
        let mut done = 0;
        while done < size {
            if wanted.is_cancelled() {
                return Err(Interrupted.into());
            }
            let more = io::copy(&mut from.take(piece), &mut &to).map_err(failed())?;
            to.sync_data().map_err(failed())?;
            if more == 0 {
                return Err(written(image));
            }
            done += more;
            let percent = done.saturating_mul(100) / size;
            tell(u8::try_from(percent).unwrap_or(100));
        }
    }
    // Whoever has written to it meanwhile may have done so before and behind the copy.
    refuse_other(image, &from.metadata().map_err(failed())?)?;
    to.set_permissions(fs::Permissions::from_mode(0o444)).map_err(failed())
}

/// What the image in a file is called among the bases: another name when it is another file, or has changed.
fn name((device, number, length, seconds, nanoseconds): Facts) -> OsString {
    format!("{device:x}-{number:x}-{seconds:x}-{nanoseconds:x}-{length:x}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::QemuConfig;
    use crate::site::IMAGE_ROUND;
    use async_trait::async_trait;
    use occi_backend::suite::Silent;
    use occi_backend::{BackendError, Deadline, Journal, Picture, Scope};
    use std::sync::mpsc::Sender;
    use std::time::{Duration, SystemTime};
    use tempfile::TempDir;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    const IN_TIME: Duration = Duration::from_secs(30);

    /// A site with one image.
    struct Lab {
        site: Arc<Site>,
        image: PathBuf,
        _directories: [TempDir; 2],
    }

    impl Lab {
        /// One whose image lies where files cannot be cloned.
        fn open() -> Self {
            Self::with(tempfile::tempdir_in("/dev/shm").unwrap())
        }

        fn with(images: TempDir) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let config = QemuConfig {
                images: vec![images.path().to_owned()],
                ..QemuConfig::new(directory.path())
            };
            Self {
                site: Site::open(config, IMAGE_ROUND).unwrap().0,
                image: images.path().join("one.raw"),
                _directories: [images, directory],
            }
        }

        /// Writes the image, as if that were long ago, and looks at it.
        fn image(&self, content: &[u8]) -> Image {
            fs::write(&self.image, content).unwrap();
            let file = File::options().write(true).open(&self.image).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            self.site.images("lab").images[0].clone()
        }

        fn bases(&self) -> Vec<PathBuf> {
            let bases = fs::read_dir(self.site.config.directory.join(BASES)).unwrap();
            bases.map(|base| base.unwrap().path()).collect()
        }

        async fn clear_up(&self) {
            let cleared = self.site.place(|site| {
                site.drop_unused_bases();
                Ok::<_, Failure>(())
            });
            tokio::time::timeout(IN_TIME, cleared).await.unwrap().unwrap();
        }
    }

    fn asker(journal: impl Journal + 'static) -> Context {
        Context {
            scope: Scope {
                project: "lab".to_owned(),
            },
            operation: uuid::Uuid::new_v4(),
            attempt: 1,
            deadline: Deadline::new(IN_TIME),
            journal: Arc::new(journal),
        }
    }

    /// The journal of an operation that does this when it is told how far it is.
    struct Told<F>(F);

    #[async_trait]
    impl<F: Fn(u8) + Send + Sync> Journal for Told<F> {
        async fn accepted(&self, _: &Picture) -> Result<(), Interrupted> {
            Ok(())
        }
        async fn step(&self, _: &str) -> Result<(), Interrupted> {
            Ok(())
        }
        fn progress(&self, percent: u8) {
            self.0(percent);
        }
        async fn picture(&self, _: &Picture) -> Result<(), Interrupted> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_copy_of_an_image_holds_nobody_up_and_stays_until_a_machine_has_it() {
        let lab = Lab::open();
        // It may change, so it is copied.
        let image = lab.image(&[0; 512]);
        let name = name(image.facts);
        // Somebody else is at the copy, and has begun.
        let kept = lock(&lab.site.kept_bases).entry(name.clone()).or_default().clone();
        let copying = kept.copying.clone().lock_owned().await;
        let begun = lab.site.base(Path::new(&name)).with_extension("new");
        fs::write(&begun, "half").unwrap();
        let site = lab.site.clone();
        let freezing = tokio::spawn(async move { site.freeze(image, &asker(Silent)).await });
        lab.clear_up().await;
        assert_eq!(lab.bases(), [begun]);
        assert!(!freezing.is_finished());

        drop(copying);
        drop(kept);
        let frozen = freezing.await.unwrap().unwrap();
        lab.clear_up().await;
        assert_eq!(lab.bases(), [lab.site.base(&frozen.base)]);
        drop(frozen);
        lab.clear_up().await;
        assert!(lab.bases().is_empty());
        lab.site.close().await;
    }

    #[tokio::test]
    async fn an_image_to_which_somebody_writes_becomes_no_base() {
        let lab = Lab::open();
        let refused = async |image: Image, asker: Context| {
            let failure = lab.site.freeze(image, &asker).await.err().map(BackendError::from);
            assert!(failure.is_some_and(|error| error.is_temporary() && error.message.contains("writes")));
            assert!(lab.bases().is_empty());
        };
        let write = |content: &[u8]| fs::write(&lab.image, content).unwrap();
        // Since it was looked at.
        let image = lab.image(&[1; 512]);
        write(&[2; 256]);
        refused(image, asker(Silent)).await;
        // While it is copied.
        let image = lab.image(&[1; 512]);
        let file = lab.image.clone();
        let written_to = Told(move |_| fs::write(&file, [2; 512]).unwrap());
        refused(image, asker(written_to)).await;

        let frozen = lab.site.freeze(lab.image(&[3; 512]), &asker(Silent)).await.unwrap();
        assert_eq!(fs::read(lab.site.base(&frozen.base)).unwrap(), [3; 512]);
        lab.site.close().await;
    }

    /// Copies the image for an operation, up to where that is told how far it is: it goes on when the sender has sent, or is
    /// gone.
    fn held_up(
        lab: &Lab,
        piece: u64,
        image: &Image,
    ) -> (
        JoinHandle<Result<Frozen, Failure>>,
        mpsc::UnboundedReceiver<u8>,
        Sender<()>,
    ) {
        let (is_told, told) = mpsc::unbounded_channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel();
        let may_go_on = std::sync::Mutex::new(may_go_on);
        let journal = Told(move |percent| {
            is_told.send(percent).unwrap();
            let _or_gone = lock(&may_go_on).recv();
        });
        let (site, image) = (lab.site.clone(), image.clone());
        let copying = tokio::spawn(async move { site.freeze_by(piece, image, &asker(journal)).await });
        (copying, told, go_on)
    }

    #[tokio::test]
    async fn a_copy_says_to_all_who_want_it_how_far_it_is_and_ends_when_its_operation_does() {
        let lab = Lab::open();
        let image = lab.image(&[1; 2048]);
        let (copying, mut told, go_on) = held_up(&lab, 512, &image);
        assert_eq!(told.recv().await, Some(25));
        let (waiting, mut told_too, _) = held_up(&lab, 512, &image);
        let kept = lock(&lab.site.kept_bases).values().next().unwrap().clone();
        while kept.further.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        go_on.send(()).unwrap();
        assert_eq!(told.recv().await, Some(50));
        assert_eq!(told_too.recv().await, Some(50));

        copying.abort();
        assert!(copying.await.is_err_and(|error| error.is_cancelled()));
        drop(go_on);
        let frozen = waiting.await.unwrap().unwrap();
        assert_eq!(told.recv().await, None);
        for percent in [25, 50, 75, 100] {
            assert_eq!(told_too.recv().await, Some(percent));
        }
        assert_eq!(lab.bases(), [lab.site.base(&frozen.base)]);
        lab.site.close().await;
    }

    #[tokio::test]
    async fn who_waits_for_a_copy_that_stands_still_is_given_up() {
        let lab = Lab::open();
        let image = lab.image(&[1; 512]);
        // Its host does not answer, and it is given up; its thread is not.
        let (copying, mut told, go_on) = held_up(&lab, PIECE, &image);
        told.recv().await.unwrap();
        copying.abort();

        let waiting = Context {
            deadline: Deadline::new(Duration::from_millis(100)),
            ..asker(Silent)
        };
        let given_up = async {
            tokio::select! {
                _ = lab.site.freeze(image.clone(), &waiting) => panic!("nobody has copied it"),
                () = waiting.deadline.passed() => {}
            }
        };
        tokio::time::timeout(IN_TIME, given_up).await.unwrap();

        drop(go_on);
        let frozen = lab.site.freeze(image, &asker(Silent)).await.unwrap();
        assert_eq!(lab.bases(), [lab.site.base(&frozen.base)]);
        lab.site.close().await;
    }

    #[tokio::test]
    async fn a_base_that_cannot_be_removed_keeps_no_machine() {
        let lab = Lab::open();
        let bases = lab.site.config.directory.join(BASES);
        let (stays, goes) = (bases.join("0-stays"), bases.join("1-goes"));
        fs::create_dir(&stays).unwrap();
        fs::write(&goes, "").unwrap();
        lab.site.remove_machine("gone").await.unwrap();
        assert_eq!(lab.bases(), [stays]);
        lab.site.close().await;
    }

    #[tokio::test]
    async fn an_image_that_nobody_may_write_to_is_linked_and_not_what_leads_to_it() {
        let lab = Lab::with(tempfile::tempdir().unwrap());
        let file = lab.image.with_file_name("2026-11");
        lab.image(&[1; 512]);
        fs::set_permissions(&lab.image, fs::Permissions::from_mode(0o444)).unwrap();
        fs::rename(&lab.image, &file).unwrap();
        std::os::unix::fs::symlink("2026-11", &lab.image).unwrap();
        let image = lab.site.images("lab").images[0].clone();
        let frozen = lab.site.freeze(image, &asker(Silent)).await.unwrap();
        let base = fs::symlink_metadata(lab.site.base(&frozen.base)).unwrap();
        assert_eq!(base.ino(), fs::metadata(&file).unwrap().ino());
        lab.site.close().await;
    }
}
