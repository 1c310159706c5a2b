//! `occi image`: images to boot from, to the server and from it (`docs/images.md` of the server says how).
//!
//! An upload goes in parts that the server makes durable one by one. What is there of the same file already, from a run
//! that broke off, is not sent again: the server knows it by name, length and SHA-256.

use super::delete::confirm;
use super::values::gib;
use crate::complete;
use crate::failure::{Exit, Failure, Result, file_failure};
use crate::output::{Column, Look, Record};
use crate::progress::byte_bar;
use crate::session::Session;
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use clap::{Args, Subcommand};
use futures::StreamExt;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use occi_client::RawAnswer;
use occi_model::templates::OS_TPL;
use serde_json::Value as Json;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::form_urlencoded::Serializer;

/// Bytes of one request: what is lost at most when a connection breaks, and what is held in memory.
const PART: usize = 8 << 20;
/// So often it is tried again before it is given up; what has been taken counts anew.
const TRIES: u32 = 8;

const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Images to boot from: to the server and from it
#[derive(Debug, Args)]
pub(crate) struct Image {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the images of the project and those of everybody
    List(List),
    /// Bring an image: qcow2, or the bytes of a disk
    Upload(Upload),
    /// Take an image away, into a file
    Download(Download),
    /// Delete images of the project
    Delete(Delete),
}

/// List the images of the project and those of everybody
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi image list
  occi image list --uploads")]
struct List {
    /// What is being brought instead, or was lately
    #[arg(long)]
    uploads: bool,
}

/// Bring an image: qcow2, or the bytes of a disk
#[derive(Debug, Args)]
#[command(after_help = "\
What broke off goes on where it was when the same file is uploaded again under the same name.

Examples:
  occi image upload debian-12.qcow2
  occi image upload disk.raw --name mine --default-user debian --min-memory 512M")]
struct Upload {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it shall be called [the file's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The same for people
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Into which account the key of a machine lets [root]
    #[arg(long, value_name = "USER")]
    default_user: Option<String>,
    /// It does not answer on the port of ssh
    #[arg(long)]
    no_ssh: bool,
    /// The least memory that boots it [96M]
    #[arg(long, value_name = "SIZE", value_parser = gib)]
    min_memory: Option<f64>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Take an image away, into a file
#[derive(Debug, Args)]
#[command(after_help = "\
What broke off goes on where it was.

Examples:
  occi image download tiny
  occi image download tiny copy.qcow2")]
struct Download {
    /// Which (occi image list)
    #[arg(value_name = "NAME", add = complete::templates(OS_TPL))]
    name: String,
    /// Into this file, where there must be none [the server's name for it]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Delete images of the project
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi image delete mine-1a2b3c4d")]
struct Delete {
    /// Which (occi image list)
    #[arg(value_name = "NAME", required = true, num_args = 1.., add = complete::templates(OS_TPL))]
    names: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Image {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        match self.what {
            What::List(list) => list.run(session).await,
            What::Upload(upload) => upload.run(session).await,
            What::Download(download) => download.run(session).await,
            What::Delete(delete) => delete.run(session).await,
        }
    }
}

impl List {
    async fn run(self, session: &Session) -> Result<()> {
        let document = listing(session).await?;
        let (member, columns) = match self.uploads {
            false => (
                "images",
                vec![
                    Column::new("name", Look::Title),
                    Column::new("format", Look::Plain),
                    Column::new("size", Look::Bytes),
                    Column::new("disk_size", Look::Bytes).headed("DISK"),
                    Column::new("project", Look::Plain),
                    Column::new("state", Look::State),
                    Column::new("title", Look::Plain),
                    Column::new("template", Look::Plain).wide(),
                    Column::new("sha256", Look::Plain).wide(),
                ],
            ),
            true => (
                "uploads",
                vec![
                    Column::new("path", Look::Plain),
                    Column::new("name", Look::Title),
                    Column::new("state", Look::State),
                    Column::new("offset", Look::Bytes),
                    Column::new("length", Look::Bytes),
                    Column::new("reason", Look::Plain),
                    Column::new("owner", Look::Plain).wide(),
                    Column::new("expires", Look::Plain).wide(),
                ],
            ),
        };
        let mut listing = session.output.list(columns, None);
        for one in document.get(member).and_then(Json::as_array).into_iter().flatten() {
            let name = one.get("name").and_then(Json::as_str).unwrap_or_default();
            listing.push(Record::other(name, one.clone()))?;
        }
        listing.finish()
    }
}

/// What there is of images and of uploads.
async fn listing(session: &Session) -> Result<Json> {
    let answer = ask(Method::GET, "/-/image/", json_wanted(), Bytes::new(), session).await?;
    document(&good(answer, session)?)
}

impl Upload {
    async fn run(self, session: &Session) -> Result<()> {
        let name = match (&self.name, self.file.file_stem()) {
            (Some(name), _) => name.clone(),
            (None, Some(stem)) => stem.to_string_lossy().into_owned(),
            (None, None) => return Err(Failure::usage("a directory is no image")),
        };
        let mut file = Local::open(&self.file)?;
        let sha256 = file.sha256(session)?;
        if self.dry_run {
            let digest = hex(&sha256);
            return session.output.text(&format!(
                "would upload {} bytes as {name}, SHA-256 {digest}\n",
                file.length
            ));
        }
        let (location, mut offset) = match begun(&name, file.length, &sha256, session).await? {
            Some((location, offset)) => {
                session.output.note(format!("{name}: goes on after {offset} bytes"));
                (location, offset)
            }
            None => (self.begin(&name, file.length, &sha256, session).await?, 0),
        };
        let bar = byte_bar(&name, file.length, session.output.quiet);
        let mut tries = 0;
        let image = loop {
            bar.set_position(offset);
            match file.send(&location, offset, session).await {
                Ok(Sent::Part(taken)) => {
                    tries = 0;
                    offset = taken;
                }
                Ok(Sent::All(image)) => break image,
                Err(failure) if is_passing(&failure) && tries < TRIES => {
                    tries += 1;
                    bar.set_message(format!("{failure}; trying again"));
                    tokio::time::sleep(Duration::from_millis(250 << tries.min(5))).await;
                    match state(&location, session).await {
                        Ok(State::Image(image)) => break image,
                        Ok(State::Offset(taken)) => offset = taken,
                        Err(failure) if is_passing(&failure) => {}
                        Err(failure) => return Err(failure.about(&name)),
                    }
                }
                Err(failure) if is_passing(&failure) => {
                    return Err(failure.about(&name).with_hint("the same command goes on where it was"));
                }
                Err(failure) => return Err(failure.about(&name)),
            }
        };
        bar.finish_and_clear();
        session.client.discover().await?;
        session.keep_model();
        let text = |member: &str| image.get(member).and_then(Json::as_str).unwrap_or_default().to_owned();
        if session.output.is_for_people() {
            return session.output.text(&format!("{}\n", text("name")));
        }
        session.output.show(&Record::other(text("name"), image))
    }

    /// Begins; returns where the upload is.
    async fn begin(&self, name: &str, length: u64, sha256: &[u8], session: &Session) -> Result<String> {
        let mut query = Serializer::new(String::new());
        query.append_pair("name", name);
        for (key, value) in [("title", &self.title), ("default_user", &self.default_user)] {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        if self.no_ssh {
            query.append_pair("ssh", "false");
        }
        if let Some(gib) = self.min_memory {
            query.append_pair("min_memory_mib", &format!("{:.0}", (gib * 1024.0).ceil()));
        }
        let mut headers = json_wanted();
        headers.insert(UPLOAD_COMPLETE, HeaderValue::from_static("?0"));
        headers.insert(UPLOAD_LENGTH, length.into());
        headers.insert(REPR_DIGEST, digest_header(sha256)?);
        let target = format!("/-/image/?{}", query.finish());
        let answer = good(
            ask(Method::POST, &target, headers, Bytes::new(), session).await?,
            session,
        )?;
        let location = answer.header(header::LOCATION);
        let location = location.and_then(|location| session.client.endpoint().path_of(&location).ok());
        location.ok_or_else(|| Failure::new(Exit::Failure, "the server does not say where the upload is"))
    }
}

/// An upload of the same file that has not ended: where it is, and how much of it.
async fn begun(name: &str, length: u64, sha256: &[u8], session: &Session) -> Result<Option<(String, u64)>> {
    let document = listing(session).await?;
    let digest = hex(sha256);
    let uploads = document.get("uploads").and_then(Json::as_array).into_iter().flatten();
    let same = uploads.filter(|one| {
        one.get("name").and_then(Json::as_str) == Some(name)
            && one.get("state").and_then(Json::as_str) == Some("receiving")
            && one.get("length").and_then(Json::as_u64) == Some(length)
            && one.get("sha256").and_then(Json::as_str) == Some(digest.as_str())
    });
    for one in same {
        let Some(location) = one.get("path").and_then(Json::as_str) else {
            continue;
        };
        if let State::Offset(offset) = state(location, session).await? {
            return Ok(Some((location.to_owned(), offset)));
        }
    }
    Ok(None)
}

/// How far an upload is.
enum State {
    Offset(u64),
    Image(Json),
}

async fn state(location: &str, session: &Session) -> Result<State> {
    let answer = good(
        ask(Method::HEAD, location, HeaderMap::new(), Bytes::new(), session).await?,
        session,
    )?;
    if answer.header(UPLOAD_COMPLETE).as_deref() == Some("?1") {
        let answer = good(
            ask(Method::GET, location, json_wanted(), Bytes::new(), session).await?,
            session,
        )?;
        let path = document(&answer)?;
        let path = path.get("image").and_then(Json::as_str).unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        return Ok(State::Image(image(name, session).await?));
    }
    Ok(State::Offset(offset_of(&answer)?))
}

/// An image by its name.
async fn image(name: &str, session: &Session) -> Result<Json> {
    let document = listing(session).await?;
    let mut images = document.get("images").and_then(Json::as_array).into_iter().flatten();
    let found = images.find(|one| one.get("name").and_then(Json::as_str) == Some(name));
    found.cloned().ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            format!("there is no image {name:?} on {}", session.server),
        )
        .with_hint("occi image list shows what there is")
    })
}

/// What became of a part.
enum Sent {
    /// It is there, up to this byte.
    Part(u64),
    /// It was the last, and the image is there.
    All(Json),
}

/// The file to bring.
struct Local {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Local {
    fn open(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| file_failure(path, &error);
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Failure::usage(format!("{} is no file", path.display())));
        }
        // What the server would refuse after all of it has been sent.
        let mut head = [0; 16];
        let is_long = file.read_exact(&mut head).is_ok();
        if is_long && head.starts_with(b"QFI\xfb") && head[8..16] != [0; 8] {
            return Err(Failure::usage(format!(
                "{} names a backing file, which the server does not have",
                path.display()
            ))
            .with_hint("qemu-img convert -O qcow2 FILE WHOLE makes an image that stands alone"));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            length: metadata.len(),
        })
    }

    fn sha256(&mut self, session: &Session) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| file_failure(&self.path, &error);
        let bar = byte_bar("checksum", self.length, session.output.quiet);
        let mut digest = Context::new(&SHA256);
        let mut buffer = vec![0; 1 << 20];
        self.file.rewind().map_err(failed)?;
        loop {
            let read = self.file.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                break;
            }
            digest.update(&buffer[..read]);
            bar.inc(read as u64);
        }
        bar.finish_and_clear();
        Ok(digest.finish().as_ref().to_vec())
    }

    /// Sends the next part.
    async fn send(&mut self, location: &str, offset: u64, session: &Session) -> Result<Sent> {
        let failed = |error: std::io::Error| file_failure(&self.path, &error);
        let rest = self.length.saturating_sub(offset);
        let size = usize::try_from(rest).unwrap_or(usize::MAX).min(PART);
        let mut part = vec![0; size];
        self.file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        self.file.read_exact(&mut part).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Failure::new(
                Exit::Failure,
                format!("{} has become shorter meanwhile", self.path.display()),
            ),
            _ => failed(error),
        })?;
        let is_last = size as u64 == rest;
        let mut headers = json_wanted();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/partial-upload"),
        );
        headers.insert(UPLOAD_OFFSET, offset.into());
        headers.insert(
            UPLOAD_COMPLETE,
            HeaderValue::from_static(if is_last { "?1" } else { "?0" }),
        );
        let answer = good(
            ask(Method::PATCH, location, headers, part.into(), session).await?,
            session,
        )?;
        Ok(match is_last {
            true => Sent::All(document(&answer)?),
            false => Sent::Part(offset_of(&answer)?),
        })
    }
}

impl Download {
    async fn run(self, session: &Session) -> Result<()> {
        let name = self.name.rsplit('#').next().unwrap_or_default();
        let image = image(name, session).await?;
        let member = |member: &str| image.get(member).and_then(Json::as_str).unwrap_or_default();
        let target = self
            .file
            .unwrap_or_else(|| format!("{name}.{}", member("format")).into());
        let failed = |error: std::io::Error| file_failure(&target, &error);
        if target.exists() {
            return Err(Failure::usage(format!("there is a file {} already", target.display())));
        }
        // The tag of what has been begun stands in the name of its file.
        let etag = head(member("path"), session)
            .await?
            .header(header::ETAG)
            .unwrap_or_default();
        let tag: String = etag.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        let mut part = target.clone().into_os_string();
        part.push(format!(".{tag}.part"));
        let part = PathBuf::from(part);
        let mut file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(&part)
            .map_err(failed)?;
        let mut offset = file.metadata().map_err(failed)?.len();
        let length = image.get("size").and_then(Json::as_u64).unwrap_or_default();
        let bar = byte_bar(name, length, session.output.quiet);
        let mut tries = 0;
        loop {
            bar.set_position(offset);
            let ended = fetch(member("path"), &etag, &mut file, &mut offset, &bar, session).await;
            match ended {
                Ok(()) => break,
                Err(failure) if is_passing(&failure) && tries < TRIES => {
                    let now = file.metadata().map_err(failed)?.len();
                    tries = if now > offset { 0 } else { tries + 1 };
                    offset = now;
                    bar.set_message(format!("{failure}; trying again"));
                    tokio::time::sleep(Duration::from_millis(250 << tries.min(5))).await;
                }
                Err(failure) => {
                    return Err(failure.about(name).with_hint("the same command goes on where it was"));
                }
            }
        }
        bar.finish_and_clear();
        file.sync_all().map_err(failed)?;
        let wanted = member("sha256");
        let found = hex(&Local::open_again(&part)?.sha256(session)?);
        if !wanted.is_empty() && wanted != found {
            std::fs::remove_file(&part).map_err(failed)?;
            return Err(Failure::new(
                Exit::Failure,
                format!("{name} has arrived damaged and was thrown away"),
            ));
        }
        std::fs::rename(&part, &target).map_err(failed)?;
        session.output.text(&format!("{}\n", target.display()))
    }
}

impl Local {
    /// What has just been written, whatever it names.
    fn open_again(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| file_failure(path, &error);
        let file = File::open(path).map_err(failed)?;
        Ok(Self {
            length: file.metadata().map_err(failed)?.len(),
            file,
            path: path.to_owned(),
        })
    }
}

/// Appends what is missing to a file. A server that has another image meanwhile sends it from its beginning.
async fn fetch(
    path: &str,
    etag: &str,
    file: &mut File,
    offset: &mut u64,
    bar: &indicatif::ProgressBar,
    session: &Session,
) -> Result<()> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failure, format!("the file cannot be written: {error}"));
    let mut headers = HeaderMap::new();
    if *offset > 0 {
        let range = HeaderValue::try_from(format!("bytes={offset}-"));
        headers.insert(header::RANGE, range.map_err(|_| Failure::usage("this is no offset"))?);
        if let Ok(etag) = HeaderValue::try_from(etag) {
            headers.insert(header::IF_RANGE, etag);
        }
    }
    let incoming = session.client.open(path, headers).await?;
    match incoming.head.status {
        StatusCode::PARTIAL_CONTENT => {}
        // All of it is here already.
        StatusCode::RANGE_NOT_SATISFIABLE => return Ok(()),
        _ => {
            file.set_len(0).map_err(failed)?;
            *offset = 0;
            bar.set_position(0);
        }
    }
    let mut body = incoming.body;
    while let Some(bytes) = body.next().await {
        let bytes = bytes?;
        file.write_all(&bytes).map_err(failed)?;
        bar.inc(bytes.len() as u64);
    }
    Ok(())
}

impl Delete {
    async fn run(self, session: &Session) -> Result<()> {
        let mut templates = Vec::new();
        for name in &self.names {
            let image = image(name.rsplit('#').next().unwrap_or_default(), session).await?;
            let template = image.get("template").and_then(Json::as_str).unwrap_or_default();
            templates.push(template.to_owned());
        }
        if self.dry_run {
            for template in &templates {
                session.output.text(&format!("would delete {template}\n"))?;
            }
            return Ok(());
        }
        if templates.len() > 1 && !self.yes {
            for template in &templates {
                session.output.note(format!("  {template}"));
            }
            confirm(&format!("Delete these {}?", templates.len()))?;
        }
        session.client.discover().await?;
        for template in &templates {
            session.client.remove_mixin(template).await?;
            session.output.note(format!("{template}: deleted"));
        }
        session.keep_model();
        Ok(())
    }
}

fn json_wanted() -> HeaderMap {
    HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))])
}

async fn ask(method: Method, target: &str, headers: HeaderMap, body: Bytes, session: &Session) -> Result<RawAnswer> {
    let base = session.client.endpoint().base_path();
    let target = match target.starts_with("/-/") {
        true => format!("{base}{target}"),
        false => target.to_owned(),
    };
    Ok(session.client.raw(method, &target, headers, body).await?)
}

async fn head(path: &str, session: &Session) -> Result<RawAnswer> {
    good(
        ask(Method::HEAD, path, HeaderMap::new(), Bytes::new(), session).await?,
        session,
    )
}

/// A success, or what the server says.
fn good(answer: RawAnswer, session: &Session) -> Result<RawAnswer> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let status = answer.status;
    let failure = Failure::from(answer.into_error(session.client.endpoint()));
    Err(match status {
        StatusCode::NOT_FOUND if !session.client.dialect().is_occid => {
            Failure::new(Exit::Failure, format!("{} takes and gives no images", session.server))
        }
        _ => failure,
    })
}

fn document(answer: &RawAnswer) -> Result<Json> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| Failure::new(Exit::Failure, "the answer about images cannot be understood"))
}

fn offset_of(answer: &RawAnswer) -> Result<u64> {
    let offset = answer
        .header(UPLOAD_OFFSET)
        .and_then(|offset| offset.trim().parse().ok());
    offset.ok_or_else(|| Failure::new(Exit::Failure, "the server does not say how much it has"))
}

/// Whether it may go better another time: the upload is there still.
fn is_passing(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Unavailable | Exit::Timeout | Exit::Conflict) || failure.is_broken_off
}

fn digest_header(sha256: &[u8]) -> Result<HeaderValue> {
    HeaderValue::try_from(format!("sha-256=:{}:", BASE64.encode(sha256)))
        .map_err(|_| Failure::new(Exit::Failure, "the checksum cannot be sent"))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
