//! Images that clients bring and take away.

use crate::{Result, Scope, Template};
use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use occi_model::Term;
use std::fmt;
use uuid::Uuid;

/// How the bytes of an image make a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// QEMU's own, copy-on-write.
    Qcow2,
    /// The bare bytes of a disk.
    Raw,
}

impl ImageFormat {
    /// The name that image tools use, which is also the ending of a file's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// The SHA-256 of an image's bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha256(pub [u8; 32]);

impl fmt::Display for Sha256 {
    /// In hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Sha256 {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap_or_default();
        let bytes = bytes.try_into().map(Self);
        bytes.map_err(|_| format!("{text:?} is no SHA-256: it has 64 hexadecimal digits"))
    }
}

/// An image, and the OS template that it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// What is made of it. The template's project has it alone; none: everybody.
    pub template: Template,
    /// Its format. It needs no other file.
    pub format: ImageFormat,
    /// How many bytes it has.
    pub size: u64,
    /// How many bytes the disk has that a guest sees.
    pub disk_size: u64,
    /// Of its bytes, where that is known.
    pub sha256: Option<Sha256>,
    /// Other bytes have another version; letters, digits and `-`.
    pub version: String,
}

/// An upload to begin.
#[derive(Clone, Debug, PartialEq)]
pub struct NewUpload {
    /// Names it for ever. Given by whoever calls, so that a repetition is one.
    pub id: Uuid,
    /// Who alone goes on with it. Kept, and not looked at.
    pub owner: String,
    /// What the template is to be called; its term begins like this.
    pub name: String,
    /// For people. None: the name.
    pub title: Option<String>,
    /// How many bytes there will be, if that is known.
    pub length: Option<u64>,
    /// What they are, if that is known.
    pub sha256: Option<Sha256>,
    /// The account that the key of a compute lets in. None: the engine's default.
    pub default_user: Option<String>,
    /// Whether a guest answers on port 22. None: the engine's default.
    pub ssh: Option<bool>,
    /// The least memory that boots it, in MiB. None: the engine's default.
    pub min_memory_mib: Option<u64>,
}

/// An upload.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// As it was begun; what became known later included.
    pub new: NewUpload,
    /// The native project of the template.
    pub project: String,
    /// How many bytes are there for good: no crash loses one of them.
    pub offset: u64,
    /// What has become of it.
    pub state: UploadState,
    /// Until when it is kept if nothing more comes, in milliseconds since 1970.
    pub expires_ms: i64,
}

/// What has become of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// There may come more.
    Receiving,
    /// It is this template now.
    Ready(Term),
    /// It was no image that is taken, for this reason; its bytes are gone.
    Refused(String),
}

/// Adds to an upload, alone: as long as this lives nobody else does.
///
/// What is dropped without [`Append::sync`] may be lost in part.
#[async_trait]
pub trait Append: Send {
    /// Where the next byte goes: what was written here included.
    fn offset(&self) -> u64;

    /// Says how many bytes there will be in all, durably.
    ///
    /// # Behavior
    /// - Another length is known, or more is there: [`crate::ErrorKind::Invalid`], and nothing changes.
    /// - No room for what is missing: [`crate::ErrorKind::CapacityExhausted`].
    async fn announce(&mut self, length: u64) -> Result<()>;

    /// Writes the next bytes.
    ///
    /// # Behavior
    /// - More than the upload's length: [`crate::ErrorKind::Invalid`], and none of them is there.
    /// - No room: [`crate::ErrorKind::CapacityExhausted`]. What was there before still is.
    /// - Makes durable what is there now and then, so that a crash costs a bounded part.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes everything durable that was written; how much is there now.
    async fn sync(&mut self) -> Result<u64>;
}

/// The bytes of an image, as they were when it was opened.
#[async_trait]
pub trait ReadImage: Send {
    /// So many bytes from `at` on, or fewer; none at the end.
    async fn read(&mut self, at: u64, most: usize) -> Result<Bytes>;
}

/// Images that clients bring and take away.
///
/// What is uploaded becomes an OS template of the project, as what `save` makes: in the catalogue, usable at once, and
/// removed by [`crate::Backend::remove_template`].
///
/// # Behavior
/// - **Layers.** None is around this: bytes come and go as fast as a client is, and nothing is tried again but by it.
/// - **Idempotence.** Every method may be called again after a crash or a failure, and ends where one undisturbed call would
///   have ended.
/// - **Dropping.** A future may be dropped at any `await`; that leaves what a crash there would.
/// - **Expiry.** An upload to which nothing is added for a day goes by itself. One that has ended is remembered as long, for
///   whoever has missed how.
#[async_trait]
pub trait Images: Send + Sync + 'static {
    /// The images that `scope` may use.
    ///
    /// # Behavior
    /// - Reads only.
    async fn images(&self, scope: &Scope) -> Result<Vec<Image>>;

    /// An image with its bytes. It needs no other file, and reading goes on if it is removed meanwhile.
    ///
    /// # Behavior
    /// - Missing: `Ok(None)`.
    async fn open(&self, scope: &Scope, term: &Term) -> Result<Option<(Image, Box<dyn ReadImage>)>>;

    /// Begins an upload, durably.
    ///
    /// # Behavior
    /// - One of this id is there: succeeds, and changes nothing.
    /// - Too many uploads of the project have not ended: [`crate::ErrorKind::QuotaExceeded`].
    /// - No room for its length beside what others have yet to bring: [`crate::ErrorKind::CapacityExhausted`].
    async fn begin(&self, scope: &Scope, new: &NewUpload) -> Result<()>;

    /// An upload of any project.
    ///
    /// # Behavior
    /// - Reads only. Missing: `Ok(None)`.
    async fn upload(&self, id: Uuid) -> Result<Option<Upload>>;

    /// The uploads of `scope`, also those that ended lately.
    ///
    /// # Behavior
    /// - Reads only.
    async fn uploads(&self, scope: &Scope) -> Result<Vec<Upload>>;

    /// Adds to an upload, from its offset on.
    ///
    /// # Behavior
    /// - Missing: [`crate::ErrorKind::NotFound`]. Not [`UploadState::Receiving`]: [`crate::ErrorKind::Conflict`].
    /// - Somebody else adds to it or ends it, and goes on doing so for seconds: [`crate::ErrorKind::RateLimited`].
    async fn append(&self, id: Uuid) -> Result<Box<dyn Append>>;

    /// Makes the template: looks at what is there, and takes it whole or not at all.
    ///
    /// # Behavior
    /// - Missing: [`crate::ErrorKind::NotFound`]. Somebody else adds to it: as [`Images::append`].
    /// - Less than its length is there: [`crate::ErrorKind::Conflict`], and it goes on.
    /// - Its bytes are not those of `sha256` or of [`NewUpload::sha256`]; or they are no image that is taken: another format,
    ///   cut off, damaged, one that names other files: [`crate::ErrorKind::Invalid`] with the reason. Then the bytes are gone,
    ///   and the upload is [`UploadState::Refused`].
    /// - It is ready or refused already: the same answer again.
    /// - Any other failure leaves the upload as it was, or as a success would.
    async fn finish(&self, id: Uuid, sha256: Option<Sha256>) -> Result<Image>;

    /// Forgets an upload and its bytes; a template that it has become stays.
    ///
    /// # Behavior
    /// - Missing: succeeds. Somebody else adds to it: as [`Images::append`].
    async fn abandon(&self, id: Uuid) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let text = "00ff".repeat(16);
        assert_eq!(text.parse::<Sha256>().unwrap().to_string(), text);
        for wrong in ["", "00", &"0".repeat(65), &"g".repeat(64)] {
            assert!(wrong.parse::<Sha256>().is_err(), "{wrong}");
        }
    }
}
