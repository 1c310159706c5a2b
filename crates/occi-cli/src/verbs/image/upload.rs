//! `occi image upload`: in parts that the server makes durable one by one.
//!
//! What is there of the same file already, from a run that broke off, is not sent again: the server knows it by name, length,
//! SHA-256 and all else that was said of it.

use super::{GOES_ON, Tries, ask, document, good, image, is_passing, json_wanted, listing, sha256};
use crate::failure::{Exit, Failure, Result, file_failure};
use crate::output::Record;
use crate::progress::{self, byte_bar};
use crate::session::Session;
use crate::verbs::values::gib;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use clap::Args;
use data_encoding::HEXLOWER;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use occi_client::RawAnswer;
use rustix::fs::{Mode, OFlags};
use serde_json::{Map, Value as Json, json};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use url::form_urlencoded::Serializer;

/// Bytes of one request: what is lost at most when a connection breaks, and what is held in memory.
const PART: usize = 8 << 20;

const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Bring an image: qcow2, or the bytes of a disk
#[derive(Debug, Args)]
#[command(after_help = "\
What broke off goes on where it was when the same file is uploaded again under the same name.

Examples:
  occi image upload debian-12.qcow2
  occi image upload disk.raw --name mine --default-user debian --min-memory 512M")]
pub(super) struct Upload {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it shall be called [default: the name of the file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The same for people
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Into which account the key of a machine lets [default: root]
    #[arg(long, value_name = "USER")]
    default_user: Option<String>,
    /// It does not answer on the port of ssh
    #[arg(long)]
    no_ssh: bool,
    /// The least memory that boots it [default: 96M]
    #[arg(long, value_name = "SIZE", value_parser = gib)]
    min_memory: Option<f64>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Upload {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let name = match (&self.name, self.file.file_stem()) {
            (Some(name), _) => name.clone(),
            (None, Some(stem)) => stem.to_string_lossy().into_owned(),
            (None, None) => return Err(Failure::usage("a directory is no image")),
        };
        let mut file = Local::open(&self.file)?;
        let digest = sha256(&mut file.file, file.length, session);
        let digest = digest.map_err(|error| file_failure(&self.file, &error))?;
        let digest = digest.as_ref();
        if self.dry_run {
            let sha256 = HEXLOWER.encode(digest);
            let line = format!("upload {} bytes as {name}, SHA-256 {sha256}", file.length);
            let what = json!({ "would": "upload", "name": name, "size": file.length, "sha256": sha256 });
            return session.output.show_all(session.output.would(line, what)?, true);
        }
        let _goes_on = progress::if_interrupted(GOES_ON);
        let (location, mut offset) = match self.begun(&name, file.length, digest, session).await? {
            Some((location, offset)) => {
                session.output.note(format!("{name}: goes on after {offset} bytes"));
                (location, offset)
            }
            None => (self.begin(&name, file.length, digest, session).await?, 0),
        };
        let bar = byte_bar(&name, file.length, session.output.quiet);
        let mut tries = Tries::default();
        let image = loop {
            tries.reached(offset);
            bar.set_position(offset);
            match file.send(&location, offset, session).await {
                Ok(Sent::Part(there)) => offset = there,
                Ok(Sent::All(image)) => break image,
                Err(failure) => {
                    tries
                        .again(failure, &bar)
                        .await
                        .map_err(|failure| failure.about(&name))?;
                    match state(&location, session).await {
                        Ok(State::Image(image)) => break image,
                        Ok(State::Offset(there)) => offset = there,
                        Err(failure) if is_passing(&failure) => {}
                        Err(failure) => return Err(failure.about(&name)),
                    }
                }
            }
        };
        bar.finish_and_clear();
        let text = |member: &str| image.get(member).and_then(Json::as_str).unwrap_or_default().to_owned();
        if session.output.is_for_people() {
            return session.output.text(&format!("{}\n", text("name")));
        }
        session.output.show(&Record::other(text("name"), image))
    }

    /// What is said of the image beside its name, as the document of the upload says it.
    fn said(&self) -> Map<String, Json> {
        let memory = self.min_memory.map(|gib| format!("{:.0}", (gib * 1024.0).ceil()));
        let said = [
            ("title", self.title.as_deref().map(Json::from)),
            ("default_user", self.default_user.as_deref().map(Json::from)),
            ("ssh", self.no_ssh.then(|| false.into())),
            ("min_memory_mib", memory.and_then(|mib| mib.parse().ok())),
        ];
        let said = said.into_iter();
        said.map(|(key, value)| (key.to_owned(), value.unwrap_or_default()))
            .collect()
    }

    /// Begins; returns where the upload is.
    async fn begin(&self, name: &str, length: u64, sha256: &[u8], session: &Session) -> Result<String> {
        let mut query = Serializer::new(String::new());
        query.append_pair("name", name);
        for (key, value) in self.said() {
            match value {
                Json::Null => {}
                Json::String(text) => drop(query.append_pair(&key, &text)),
                value => drop(query.append_pair(&key, &value.to_string())),
            }
        }
        let mut headers = json_wanted();
        headers.insert(UPLOAD_COMPLETE, HeaderValue::from_static("?0"));
        headers.insert(UPLOAD_LENGTH, length.into());
        headers.insert(
            REPR_DIGEST,
            header_value(format!("sha-256=:{}:", BASE64.encode(sha256)))?,
        );
        // With it the same request may be sent again when its answer is lost.
        headers.insert("idempotency-key", header_value(uuid::Uuid::new_v4().to_string())?);
        let target = format!("/-/image/?{}", query.finish());
        let answer = good(
            ask(Method::POST, &target, headers, Bytes::new(), session).await?,
            session,
        )?;
        let location = answer.header(header::LOCATION);
        let location = location.and_then(|location| {
            // A server behind a proxy often calls itself by another name: it is asked where it was asked before.
            let here = || Some(location.get(location.find("/-/upload/")?..)?.to_owned());
            session.client.endpoint().path_of(&location).ok().or_else(here)
        });
        location.ok_or_else(|| Failure::new(Exit::Failure, "the server does not say where the upload is"))
    }

    /// The user's own upload of the same file, of which the same was said, that has not ended: where it is, and how much of it.
    async fn begun(&self, name: &str, length: u64, sha256: &[u8], session: &Session) -> Result<Option<(String, u64)>> {
        let mut wanted = self.said();
        let rest = json!({
            "name": name,
            "mine": true,
            "state": "receiving",
            "length": length,
            "sha256": HEXLOWER.encode(sha256),
        });
        wanted.extend(rest.as_object().cloned().unwrap_or_default());
        let document = listing(session).await?;
        let uploads = document.get("uploads").and_then(Json::as_array).into_iter().flatten();
        let mut same = uploads.filter(|one| wanted.iter().all(|(key, value)| one.get(key) == Some(value)));
        let Some(one) = same.next() else { return Ok(None) };
        let Some(location) = one.get("path").and_then(Json::as_str) else {
            return Ok(None);
        };
        let offset = match state(location, session).await {
            Ok(State::Offset(offset)) => offset,
            Ok(State::Image(_)) => return Ok(None),
            // It is looked at, say: it is asked again when it does not go on.
            Err(failure) if is_passing(&failure) => one.get("offset").and_then(Json::as_u64).unwrap_or_default(),
            Err(failure) => return Err(failure.about(name)),
        };
        Ok(Some((location.to_owned(), offset)))
    }
}

/// How far an upload is.
enum State {
    Offset(u64),
    Image(Json),
}

async fn state(location: &str, session: &Session) -> Result<State> {
    let answer = ask(Method::HEAD, location, HeaderMap::new(), Bytes::new(), session).await?;
    if answer.status == StatusCode::GONE {
        let answer = ask(Method::GET, location, json_wanted(), Bytes::new(), session).await?;
        let refused = document(&good(answer, session)?)?;
        let reason = refused.get("reason").and_then(Json::as_str).unwrap_or_default();
        return Err(Failure::new(Exit::Failure, format!("the image is not taken: {reason}")));
    }
    let answer = good(answer, session)?;
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
        // A pipe would be waited for until somebody writes into it.
        let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let mut file = opened.map(File::from).map_err(|error| failed(error.into()))?;
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

    /// Sends the next part.
    async fn send(&mut self, location: &str, offset: u64, session: &Session) -> Result<Sent> {
        let failed = |error: std::io::Error| file_failure(&self.path, &error);
        let Some(rest) = self.length.checked_sub(offset) else {
            return Err(unbelievable(offset, self.length));
        };
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
        if is_last {
            return Ok(Sent::All(document(&answer)?));
        }
        let (sent, there) = (offset + size as u64, offset_of(&answer)?);
        match there > offset && there <= sent {
            true => Ok(Sent::Part(there)),
            // It would take nothing for ever.
            false => Err(unbelievable(there, sent)),
        }
    }
}

fn offset_of(answer: &RawAnswer) -> Result<u64> {
    let offset = answer
        .header(UPLOAD_OFFSET)
        .and_then(|offset| offset.trim().parse().ok());
    offset.ok_or_else(|| Failure::new(Exit::Failure, "the server does not say how much it has"))
}

fn unbelievable(there: u64, sent: u64) -> Failure {
    Failure::new(
        Exit::Failure,
        format!("the server says that it has {there} bytes after {sent} were sent"),
    )
}

fn header_value(text: String) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|_| Failure::new(Exit::Failure, "the request cannot be sent"))
}
