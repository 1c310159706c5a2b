//! Images that clients bring, until they are templates.
//!
//! An upload is a directory with its record and, below, the bytes so far. What the record counts is on the disk for good;
//! what the file has beyond is cut off by whoever adds to it next. An image is looked at where it lies, its description is
//! written beside its place, and then it is renamed into that: it is a template whole or not at all.

use crate::error::{Failure, refuse};
use crate::host::blocking::blocking;
use crate::host::confine::INSIDE;
use crate::host::durable::{self, Record};
use crate::image::qcow2::Head;
use crate::image::saved;
use crate::image::templates;
use crate::image::{self, Format, Image};
use crate::qemu::qemu_img::Workplace;
use crate::record::UploadRecord;
use crate::site::{SAVED, Site, Trash, UPLOADS, lock, make_private};
use async_trait::async_trait;
use aws_lc_rs::digest::{self, SHA256};
use bytes::Bytes;
use occi_backend::{
    Append, BackendError, ErrorKind, Images, NewUpload, ReadImage, Result, Scope, Sha256, Upload, UploadState,
};
use occi_model::Term;
use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Mutex, OwnedMutexGuard};
use uuid::Uuid;

/// The bytes so far, in the directory in which the image tool works.
const FILE: &str = "image";
/// How many uploads a project may have at a time that have not ended.
const UPLOADS_AT_A_TIME: usize = 8;
/// How long an upload is kept to which nothing is added, and one that has ended.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long the image tool may take to check an image, and in addition for each of its GiB: far more than it needs for one
/// that was not made to keep it busy.
const CHECK: Duration = Duration::from_secs(60);
const CHECK_GIB: Duration = Duration::from_secs(10);
/// A crash costs no more than this, in bytes.
const SYNC: u64 = 32 << 20;
/// How long is waited for somebody who is about to let go.
const PATIENCE: Duration = Duration::from_secs(2);
/// What begins a disk that a machine can boot from, at the end of its first sector.
const BOOTS: [u8; 2] = [0x55, 0xAA];
const SECTOR: u64 = 512;

/// An upload.
pub(crate) struct Uploading {
    pub(crate) record: Arc<Record<UploadRecord>>,
    directory: PathBuf,
    /// Held by whoever changes its bytes or looks at all of them.
    work: Arc<Mutex<()>>,
}

impl Uploading {
    pub(crate) fn new(directory: PathBuf, record: Arc<Record<UploadRecord>>) -> Arc<Self> {
        Arc::new(Self {
            record,
            directory,
            work: Arc::default(),
        })
    }

    fn inside(&self) -> PathBuf {
        self.directory.join(INSIDE)
    }

    fn file(&self) -> PathBuf {
        self.inside().join(FILE)
    }

    /// Opens its bytes: those that its record counts, and no others.
    fn open(&self) -> std::result::Result<File, Failure> {
        let open = || Failure::host("open the upload");
        make_private(&self.inside())?;
        // The image tool's user enters below, and finds one file.
        fs::set_permissions(self.inside(), Permissions::from_mode(0o711)).map_err(open())?;
        if self.file().exists() {
            // It may have been looked at, by who did not come to an end.
            fs::set_permissions(self.file(), Permissions::from_mode(0o600)).map_err(open())?;
        }
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(self.file()).map_err(open())?;
        file.set_len(self.record.get().offset).map_err(open())?;
        Ok(file)
    }

    /// The name of its template: the same for every try.
    fn term(&self) -> String {
        let record = self.record.get();
        saved::term(&record.name, &record.id)
    }

    /// The file that its template has, without its ending.
    fn place(&self, site: &Site) -> PathBuf {
        site.config.directory.join(SAVED).join(self.term())
    }

    /// The file that it has become, if it has.
    fn done(&self, site: &Site) -> Option<PathBuf> {
        let place = self.place(site);
        let files = [Format::Qcow2, Format::Raw].map(|format| place.with_extension(format.as_str()));
        files.into_iter().find(|file| file.exists())
    }

    /// Alone with its bytes.
    async fn alone(&self) -> Result<OwnedMutexGuard<()>> {
        match tokio::time::timeout(PATIENCE, self.work.clone().lock_owned()).await {
            Ok(held) => Ok(held),
            Err(_late) => Err(BackendError {
                retry_after: Some(Duration::from_secs(1)),
                ..BackendError::new(
                    ErrorKind::RateLimited,
                    "the upload is being looked at, or somebody else adds to it",
                )
            }),
        }
    }

    fn picture(&self) -> Upload {
        let record = self.record.get();
        let UploadRecord {
            id,
            project,
            owner,
            name,
            title,
            length,
            sha256,
            default_user,
            ssh,
            min_memory_mib,
            offset,
            touched_ms,
            ready,
            refused,
        } = record.as_ref().clone();
        let state = match (ready.and_then(|term| term.parse().ok()), refused) {
            (Some(term), _) => UploadState::Ready(term),
            (None, Some(reason)) => UploadState::Refused(reason),
            (None, None) => UploadState::Receiving,
        };
        Upload {
            new: NewUpload {
                id: id.parse().unwrap_or_default(),
                owner,
                name,
                title,
                length,
                sha256: sha256.and_then(|sha256| sha256.parse().ok()),
                default_user,
                ssh,
                min_memory_mib,
            },
            project,
            offset,
            state,
            expires_ms: touched_ms.saturating_add(millis(KEPT)),
        }
    }

    /// The bytes that it has yet to bring.
    fn missing(&self) -> u64 {
        let record = self.record.get();
        match record.has_ended() {
            true => 0,
            false => record.length.unwrap_or_default().saturating_sub(record.offset),
        }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn now_ms() -> i64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

impl Site {
    fn uploading(&self, id: Uuid) -> Option<Arc<Uploading>> {
        lock(&self.uploads).get(&id.to_string()).cloned()
    }

    fn receiving(&self, id: Uuid) -> Result<Arc<Uploading>> {
        match self.uploading(id) {
            Some(upload) if upload.record.get().has_ended() => {
                refuse(ErrorKind::Conflict, "the upload has ended, and takes no more")
            }
            Some(upload) => Ok(upload),
            None => refuse(ErrorKind::NotFound, format!("there is no upload {id}")),
        }
    }

    fn all_uploads(&self) -> Vec<Arc<Uploading>> {
        lock(&self.uploads).values().cloned().collect()
    }

    /// Takes in an upload that was there at the start. One that has become a template without writing that down has.
    pub(crate) fn find_upload(&self, upload: Arc<Uploading>) -> std::result::Result<(), Failure> {
        if !upload.record.get().has_ended() && upload.done(self).is_some() {
            let term = upload.term();
            upload.record.blocking_change(|record| record.ready = Some(term))?;
        }
        let record = upload.record.get();
        if record.has_ended() {
            durable::remove_dir(&upload.inside())?;
        }
        lock(&self.uploads).insert(record.id.clone(), upload);
        Ok(())
    }

    /// Lets go of the uploads to which nobody has added for long.
    pub(crate) fn drop_old_uploads(&self) {
        let until = now_ms().saturating_sub(millis(KEPT));
        for upload in self.all_uploads() {
            let Ok(_alone) = upload.work.try_lock() else { continue };
            if upload.record.get().touched_ms < until
                && let Err(failure) = self.forget_upload(&upload).and_then(Trash::empty)
            {
                tracing::warn!(error = %crate::error::chain(&failure), "an old upload could not be removed");
            }
        }
    }

    fn forget_upload(&self, upload: &Uploading) -> std::result::Result<Trash, Failure> {
        // What was said of an image that never came.
        if upload.done(self).is_none() {
            let _never_said = fs::remove_file(upload.place(self).with_extension("toml"));
        }
        let trash = self.discard(&upload.directory)?;
        lock(&self.uploads).remove(&upload.record.get().id);
        Ok(trash)
    }

    /// Whether `project` may have `bytes` more of images.
    pub(crate) fn check_images(&self, project: &str, bytes: u64) -> Result<()> {
        let Some(gib) = self.config.project_image_gib else {
            return Ok(());
        };
        let images = self.images(project).images.into_iter();
        let own = images.filter(|image| image.description.project.as_deref() == Some(project));
        let there: u64 = own.filter_map(|image| Some(fs::metadata(image.path).ok()?.len())).sum();
        let coming = self.all_uploads().into_iter().filter_map(|upload| {
            let record = upload.record.get();
            let counts = record.project == project && !record.has_ended();
            counts.then(|| record.length.unwrap_or(record.offset))
        });
        if there.saturating_add(coming.sum()).saturating_add(bytes) <= gib.saturating_mul(1 << 30) {
            return Ok(());
        }
        refuse(
            ErrorKind::QuotaExceeded,
            format!("the project may have {gib} GiB of images, with those that are coming: delete one, or give one up"),
        )
    }

    /// The bytes that all uploads have yet to bring.
    fn missing(&self) -> u64 {
        self.all_uploads().iter().map(|upload| upload.missing()).sum()
    }

    /// Finds room for `bytes` more of an upload of `project`, beside what all have yet to bring. It is kept once the upload's
    /// record says so; until then whoever asks holds [`Site::beginning`].
    fn find_room(&self, _until_recorded: &MutexGuard<'_, ()>, project: &str, bytes: u64) -> Result<()> {
        self.check_images(project, bytes)?;
        self.check_disk(self.missing().saturating_add(bytes))
    }

    fn begin_upload(&self, project: &str, new: NewUpload) -> Result<()> {
        let alone = lock(&self.beginning);
        if self.uploading(new.id).is_some() {
            return Ok(());
        }
        let uploads = self.all_uploads();
        let open = uploads.iter().filter(|upload| {
            let record = upload.record.get();
            record.project == project && !record.has_ended()
        });
        if open.count() >= UPLOADS_AT_A_TIME {
            return refuse(
                ErrorKind::QuotaExceeded,
                format!("the project has {UPLOADS_AT_A_TIME} uploads that have not ended: end one, or give one up"),
            );
        }
        self.find_room(&alone, project, new.length.unwrap_or_default())?;
        let directory = self.config.directory.join(UPLOADS).join(new.id.to_string());
        make_private(&directory)?;
        let NewUpload {
            id,
            owner,
            name,
            title,
            length,
            sha256,
            default_user,
            ssh,
            min_memory_mib,
        } = new;
        let id = id.to_string();
        let record = UploadRecord {
            id: id.clone(),
            project: project.to_owned(),
            owner,
            name,
            title,
            length,
            sha256: sha256.map(|sha256| sha256.to_string()),
            default_user,
            ssh,
            min_memory_mib,
            offset: 0,
            touched_ms: now_ms(),
            ready: None,
            refused: None,
        };
        let record = Record::create(crate::record::path(&directory), record)?;
        lock(&self.uploads).insert(id, Uploading::new(directory, record));
        Ok(())
    }

    /// Looks at all of an upload. Whoever calls is alone with it.
    async fn take_image(self: &Arc<Self>, upload: &Arc<Uploading>, sha256: Option<Sha256>) -> Result<Image> {
        let record = upload.record.get();
        if let Some(length) = record.length
            && record.offset < length
        {
            return refuse(
                ErrorKind::Conflict,
                format!("the upload is not whole: {} of {length} bytes are there", record.offset),
            );
        }
        if let Some(done) = upload.done(self) {
            // A try before this one came so far.
            let of = upload.clone();
            return Ok(blocking(move || Self::note_ready(&of, &done)).await?);
        }
        let expected = [sha256.map(|sha256| sha256.to_string()), record.sha256.clone()];
        // Never closed, so it comes in the end.
        let _turn = self.looking.acquire().await;
        let (of, largest) = (upload.clone(), self.config.image_disk_gib);
        let looked = blocking(move || look(&of, largest, expected.into_iter().flatten()));
        let found = match looked.await? {
            Ok((sha256, format)) => match self.check(upload, format).await? {
                None => Ok((sha256, format)),
                Some(reason) => Err(reason),
            },
            Err(reason) => Err(reason),
        };
        let (site, of) = (self.clone(), upload.clone());
        blocking(move || match found {
            Ok((sha256, format)) => Ok(site.keep_image(&of, &sha256, format)?),
            Err(reason) => {
                let told = reason.clone();
                of.record.blocking_change(|record| {
                    record.refused = Some(told);
                    record.touched_ms = now_ms();
                })?;
                durable::remove_dir(&of.inside())?;
                refuse(ErrorKind::Invalid, format!("the image is not taken: {reason}"))
            }
        })
        .await
    }

    /// What the image tool finds wrong.
    async fn check(&self, upload: &Uploading, format: Format) -> Result<Option<String>> {
        if format == Format::Raw {
            return Ok(None);
        }
        let place = Workplace {
            directory: upload.inside(),
            read: Vec::new(),
            user: self.tools_user(),
        };
        let limit = CHECK + CHECK_GIB * u32::try_from(upload.record.get().offset >> 30).unwrap_or(u32::MAX);
        Ok(self.qemu_img.check(&place, FILE, limit).await?)
    }

    /// Makes it a template.
    fn keep_image(&self, upload: &Uploading, sha256: &str, format: Format) -> std::result::Result<Image, Failure> {
        let done = upload.place(self).with_extension(format.as_str());
        saved::publish(&upload.file(), &describe(&upload.record.get(), sha256), &done)?;
        Self::note_ready(upload, &done)
    }

    /// Notes that it is a template.
    fn note_ready(upload: &Uploading, done: &Path) -> std::result::Result<Image, Failure> {
        let term = upload.term();
        upload.record.blocking_change(|record| {
            record.ready = Some(term);
            record.touched_ms = now_ms();
        })?;
        durable::remove_dir(&upload.inside())?;
        image::read_saved(done)
    }
}

fn describe(record: &UploadRecord, sha256: &str) -> String {
    let mut table = toml::Table::new();
    let mut set = |key: &str, value: Option<toml::Value>| {
        if let Some(value) = value {
            table.insert(key.to_owned(), value);
        }
    };
    let title = record.title.as_ref().unwrap_or(&record.name);
    set("title", Some(title.clone().into()));
    set("project", Some(record.project.clone().into()));
    set("sha256", Some(sha256.into()));
    set("default_user", record.default_user.clone().map(Into::into));
    set("ssh", record.ssh.map(Into::into));
    let memory = record.min_memory_mib.and_then(|mib| i64::try_from(mib).ok());
    set("min_memory_mib", memory.map(Into::into));
    table.to_string()
}

/// The digest and the format of an upload, or why it is not taken. Its disk has at most `largest` GiB.
fn look(
    upload: &Uploading,
    largest: u64,
    mut expected: impl Iterator<Item = String>,
) -> std::result::Result<std::result::Result<(String, Format), String>, Failure> {
    let read = || Failure::host("read the upload");
    let mut file = upload.open()?;
    file.sync_all().map_err(read())?;
    // Nobody changes it any more, and the image tool's user reads it.
    let mode = Permissions::from_mode(0o444);
    file.set_permissions(mode).map_err(read())?;
    let sha256 = digest_of(&file).map_err(read())?.to_string();
    if expected.any(|expected| expected != sha256) {
        return Ok(Err(format!(
            "its SHA-256 is {sha256}, and another was said: bytes were changed on their way"
        )));
    }
    let header = match image::read_whole(&upload.file()) {
        Ok(header) => header,
        Err(Failure::Image { reason, .. }) => return Ok(Err(reason)),
        Err(other) => return Err(other),
    };
    if header.size > largest.saturating_mul(1 << 30) {
        return Ok(Err(format!(
            "its disk has {} GiB, and at most {largest} are taken; make it smaller (`qemu-img resize --shrink`), or ask the \
             operator for more",
            header.size.div_ceil(1 << 30)
        )));
    }
    let reason = match header.format {
        Format::Raw => raw_reason(&file),
        Format::Qcow2 => qcow2_reason(&mut file),
    };
    Ok(match reason.map_err(read())? {
        Some(reason) => Err(reason),
        None => Ok((sha256, header.format)),
    })
}

fn digest_of(mut file: &File) -> std::io::Result<Sha256> {
    let mut digest = digest::Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    file.seek(SeekFrom::Start(0))?;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => digest.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    let digest = digest.finish().as_ref().try_into();
    digest.map(Sha256).map_err(std::io::Error::other)
}

/// Why an image of QEMU's own format is not taken that could be booted.
fn qcow2_reason(file: &mut File) -> std::io::Result<Option<String>> {
    file.seek(SeekFrom::Start(0))?;
    let keeps_more = matches!(Head::read(file)?, Some(Ok(head)) if head.snapshots > 0);
    Ok(keeps_more.then(|| "it holds snapshots; convert it with `qemu-img convert`, which leaves them out".to_owned()))
}

/// Why a file that is in no format of QEMU's own is no disk either.
fn raw_reason(file: &File) -> std::io::Result<Option<String>> {
    const PACKED: [(&[u8], &str); 5] = [
        (b"\x1f\x8b", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"PK\x03\x04", "zip"),
    ];
    const FOREIGN: [(&[u8], &str); 4] = [
        (b"KDMV", "VMDK"),
        (b"# Disk Descriptor", "VMDK"),
        (b"vhdxfile", "VHDX"),
        (b"conectix", "VHD"),
    ];
    let mut head = [0; SECTOR as usize];
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    let head = head.get(..filled).unwrap_or_default();
    let begins = |formats: &[(&[u8], &'static str)]| {
        let found = formats.iter().find(|(magic, _)| head.starts_with(magic));
        found.map(|(_, name)| *name)
    };
    if let Some(name) = begins(&PACKED) {
        return Ok(Some(format!("it is packed with {name}; unpack it first")));
    }
    if let Some(name) = begins(&FOREIGN) {
        let reason = format!("it is in the format {name}; convert it with `qemu-img convert -O qcow2`");
        return Ok(Some(reason));
    }
    let is_whole = file.metadata()?.len().is_multiple_of(SECTOR);
    Ok((!head.ends_with(&BOOTS) || !is_whole)
        .then(|| "it is neither a qcow2 image nor the bytes of a disk that boots".to_owned()))
}

/// Adds to an upload.
struct Appending {
    site: Arc<Site>,
    upload: Arc<Uploading>,
    file: Arc<File>,
    offset: u64,
    _alone: OwnedMutexGuard<()>,
}

impl Appending {
    /// Whether there still is room, for what was kept for it and for what was not.
    async fn check_room(&self) -> Result<()> {
        let (site, upload) = (self.site.clone(), self.upload.clone());
        blocking(move || {
            let record = upload.record.get();
            site.check_images(&record.project, 0)?;
            site.check_disk(match record.length {
                Some(_) => upload.missing(),
                // It must not take what others have been promised.
                None => site.missing(),
            })
        })
        .await
    }
}

#[async_trait]
impl Append for Appending {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn announce(&mut self, length: u64) -> Result<()> {
        let known = self.upload.record.get().length;
        if known.is_some_and(|known| known != length) || length < self.offset {
            return refuse(
                ErrorKind::Invalid,
                format!("{length} bytes contradict what was said of the upload before"),
            );
        }
        if known.is_some() {
            return Ok(());
        }
        let (site, upload) = (self.site.clone(), self.upload.clone());
        blocking(move || {
            let alone = lock(&site.beginning);
            let record = upload.record.get();
            site.find_room(&alone, &record.project, length.saturating_sub(record.offset))?;
            upload.record.blocking_change(|record| record.length = Some(length))?;
            Ok(())
        })
        .await
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let record = self.upload.record.get();
        let end = self.offset.saturating_add(bytes.len() as u64);
        if let Some(length) = record.length
            && end > length
        {
            return refuse(
                ErrorKind::Invalid,
                format!("there is more than the {length} bytes that were announced"),
            );
        }
        let (file, at) = (self.file.clone(), self.offset);
        blocking(move || file.write_all_at(&bytes, at).map_err(Failure::host("write the upload"))).await?;
        self.offset = end;
        if end - record.offset >= SYNC {
            self.sync().await?;
            self.check_room().await?;
        }
        Ok(())
    }

    async fn sync(&mut self) -> Result<u64> {
        let (file, upload, offset) = (self.file.clone(), self.upload.clone(), self.offset);
        blocking(move || {
            file.sync_all().map_err(Failure::host("keep the upload"))?;
            upload.record.blocking_change(|record| {
                record.offset = offset;
                record.touched_ms = now_ms();
            })
        })
        .await?;
        Ok(self.offset)
    }
}

/// An image's file.
struct Opened(Arc<File>);

#[async_trait]
impl ReadImage for Opened {
    async fn read(&mut self, at: u64, most: usize) -> Result<Bytes> {
        let file = self.0.clone();
        blocking(move || {
            let mut buffer = vec![0; most];
            let read = file.read_at(&mut buffer, at).map_err(Failure::host("read the image"))?;
            buffer.truncate(read);
            Ok(buffer.into())
        })
        .await
    }
}

/// The images of a site, as the contract has them.
pub(crate) struct Shelf(pub(crate) Arc<Site>);

#[async_trait]
impl Images for Shelf {
    async fn images(&self, scope: &Scope) -> Result<Vec<occi_backend::Image>> {
        let (site, project) = (self.0.clone(), scope.project.clone());
        blocking(move || {
            Ok(site
                .images(&project)
                .images
                .iter()
                .filter_map(templates::image)
                .collect())
        })
        .await
    }

    async fn open(&self, scope: &Scope, term: &Term) -> Result<Option<(occi_backend::Image, Box<dyn ReadImage>)>> {
        let (site, project, term) = (self.0.clone(), scope.project.clone(), term.clone());
        blocking(move || {
            let images = site.images(&project);
            let Some(image) = images.get(term.as_str()) else {
                return Ok(None);
            };
            let Ok(file) = File::open(&image.path) else {
                return Ok(None);
            };
            let opened: Box<dyn ReadImage> = Box::new(Opened(Arc::new(file)));
            Ok(templates::image(image).map(|image| (image, opened)))
        })
        .await
    }

    async fn begin(&self, scope: &Scope, new: &NewUpload) -> Result<()> {
        let (site, project, new) = (self.0.clone(), scope.project.clone(), new.clone());
        blocking(move || site.begin_upload(&project, new)).await
    }

    async fn upload(&self, id: Uuid) -> Result<Option<Upload>> {
        Ok(self.0.uploading(id).map(|upload| upload.picture()))
    }

    async fn uploads(&self, scope: &Scope) -> Result<Vec<Upload>> {
        let all = self.0.all_uploads().into_iter().map(|upload| upload.picture());
        Ok(all.filter(|upload| upload.project == scope.project).collect())
    }

    async fn append(&self, id: Uuid) -> Result<Box<dyn Append>> {
        let upload = self.0.receiving(id)?;
        let alone = upload.alone().await?;
        // It may have ended meanwhile.
        self.0.receiving(id)?;
        let site = self.0.clone();
        blocking(move || {
            let appending: Box<dyn Append> = Box::new(Appending {
                site,
                file: Arc::new(upload.open()?),
                offset: upload.record.get().offset,
                upload,
                _alone: alone,
            });
            Ok(appending)
        })
        .await
    }

    async fn finish(&self, id: Uuid, sha256: Option<Sha256>) -> Result<occi_backend::Image> {
        let Some(upload) = self.0.uploading(id) else {
            return refuse(ErrorKind::NotFound, format!("there is no upload {id}"));
        };
        let _alone = upload.alone().await?;
        let site = self.0.clone();
        let image = match upload.picture().state {
            UploadState::Refused(reason) => {
                return refuse(ErrorKind::Invalid, format!("the image is not taken: {reason}"));
            }
            UploadState::Ready(_) => {
                let of = upload.clone();
                let read = blocking(move || of.done(&site).map(|done| image::read_saved(&done)).transpose());
                match read.await? {
                    Some(image) => image,
                    None => return refuse(ErrorKind::NotFound, "the image has been removed since"),
                }
            }
            UploadState::Receiving => site.take_image(&upload, sha256).await?,
        };
        match templates::image(&image) {
            Some(image) => Ok(image),
            None => refuse(ErrorKind::NotFound, "the image has been removed since"),
        }
    }

    async fn abandon(&self, id: Uuid) -> Result<()> {
        let Some(upload) = self.0.uploading(id) else {
            return Ok(());
        };
        let alone = upload.alone().await?;
        let site = self.0.clone();
        let (of, forgetting) = (site.clone(), upload.clone());
        let trash = blocking(move || {
            let _alone = alone;
            of.forget_upload(&forgetting)
        });
        Ok(site.empty(trash.await?).await?)
    }
}
