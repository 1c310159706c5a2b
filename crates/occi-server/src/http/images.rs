//! Images, brought and taken away by clients (`docs/images.md`).
//!
//! Uploads follow the draft "Resumable Uploads for HTTP" of the IETF's working group, without its interim responses; digests
//! are those of RFC 9530. The bytes go to the engine as they come, and are never held here.

use super::answer;
use super::ask;
use super::fault::Fault;
use super::paths;
use super::serve::Body;
use super::service::Service;
use super::taking_over::Turn;
use super::visit::Visit;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::stream;
use headers::HeaderMapExt;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Either};
use hyper::body::{Body as _, Incoming};
use occi_backend::{Append, ImageFormat, NewUpload, ReadImage, Sha256, Upload, UploadState};
use occi_engine::{Caller, FailureKind, ProjectImage};
use occi_rendering::MediaType;
use serde_json::{Value, json};
use std::ops::Bound;
use std::time::Duration;
use tokio::task::JoinError;
use tokio::time::Instant;
use uuid::Uuid;

const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_LIMIT: HeaderName = HeaderName::from_static("upload-limit");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const PARTIAL_UPLOAD: &str = "application/partial-upload";

/// Of the draft, section "Problem Types".
const MISMATCHING_OFFSET: &str = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset";
const COMPLETED_UPLOAD: &str = "https://iana.org/assignments/http-problem-types#completed-upload";
const INCONSISTENT_LENGTH: &str = "https://iana.org/assignments/http-problem-types#inconsistent-upload-length";

const ALLOW_ALL: &str = "GET, HEAD, POST, OPTIONS";
const ALLOW_IMAGE: &str = "GET, HEAD, OPTIONS";
const ALLOW_UPLOAD: &str = "GET, HEAD, PATCH, DELETE, OPTIONS";

/// How much is handed to the engine at a time.
const PIECE: usize = 1 << 20;
/// How much is read from it: many may be reading, and each holds a piece or two.
const READ: usize = 128 << 10;
/// The longest names and titles, in bytes.
const LONGEST_NAME: usize = 64;
const LONGEST_TITLE: usize = 255;
/// The keys of the query string with which an upload begins.
const KEYS: [&str; 6] = ["name", "title", "default_user", "ssh", "min_memory_mib", "project"];

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// All images.
    All,
    /// One, by name.
    Image(String),
    /// An upload.
    Upload(Uuid),
}

impl Visit<'_> {
    /// Any request on images and uploads.
    pub(super) async fn images(&self, about: About, body: Incoming) -> Result<Response<Body>, Fault> {
        let is_sent = !body.is_end_stream();
        let takes_key = self.method.is_safe() || about == About::All && !is_sent;
        let answered = match self.headers.contains_key("idempotency-key") && !takes_key {
            // What is not kept must not seem to be.
            true => Err(Fault::bad_request(
                "Idempotency-Key goes with the empty request that begins an upload, and nothing was done: by Upload-Offset \
                 a repetition of others is known",
            )),
            false => self.dispatch(about, body).await,
        };
        // Whoever is refused may be sending still.
        answered.map_err(|fault| match is_sent {
            true => fault.with(header::CONNECTION, HeaderValue::from_static("close")),
            false => fault,
        })
    }

    async fn dispatch(&self, about: About, body: Incoming) -> Result<Response<Body>, Fault> {
        let method = self.method;
        match (about, method.as_str()) {
            (About::All, "GET" | "HEAD") => self.list().await,
            (About::All, "POST") => self.begin(body).await,
            (About::All, "OPTIONS") => {
                let mut response = answer::options(ALLOW_ALL);
                let patch = HeaderValue::from_static(PARTIAL_UPLOAD);
                response.headers_mut().insert(ACCEPT_PATCH, patch);
                answer::set(&mut response, UPLOAD_LIMIT, &self.limit(None));
                Ok(response)
            }
            (About::All, _) => Err(Fault::not_allowed(method, "the images", ALLOW_ALL)),
            (About::Image(name), "GET" | "HEAD") => self.download(&name).await,
            (About::Image(_), "OPTIONS") => Ok(answer::options(ALLOW_IMAGE)),
            (About::Image(_), _) => Err(Fault::not_allowed(
                method,
                "an image, which is removed by its category on /-/",
                ALLOW_IMAGE,
            )),
            (About::Upload(id), "HEAD") => self.tell_offset(id).await,
            (About::Upload(id), "GET") => {
                let upload = self.service.engine.upload(self.caller, id).await?;
                Ok(self.document(StatusCode::OK, &self.describe_upload(&upload)))
            }
            (About::Upload(id), "PATCH") => self.append(id, body).await,
            (About::Upload(id), "DELETE") => {
                self.service.engine.upload(self.caller, id).await?;
                let _turn = self.service.uploads.take_over(id);
                self.service.engine.abandon_upload(self.caller, id).await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            }
            (About::Upload(_), "OPTIONS") => {
                let mut response = answer::options(ALLOW_UPLOAD);
                let patch = HeaderValue::from_static(PARTIAL_UPLOAD);
                response.headers_mut().insert(ACCEPT_PATCH, patch);
                Ok(response)
            }
            (About::Upload(_), _) => Err(Fault::not_allowed(method, "an upload", ALLOW_UPLOAD)),
        }
    }

    async fn list(&self) -> Result<Response<Body>, Fault> {
        self.manners.choose(&[MediaType::Json])?;
        let engine = &self.service.engine;
        let images = engine.images(self.caller).await?;
        let uploads = engine.uploads(self.caller).await?;
        let document = json!({
            "images": images.iter().map(describe).collect::<Vec<_>>(),
            "uploads": uploads.iter().map(|upload| self.describe_upload(upload)).collect::<Vec<_>>(),
        });
        Ok(self.document(StatusCode::OK, &document))
    }

    // Uploads.

    async fn begin(&self, body: Incoming) -> Result<Response<Body>, Fault> {
        // Without the header it is any upload, as old as the Web.
        let is_complete = boolean(self.headers, &UPLOAD_COMPLETE)?.unwrap_or(true);
        let length = self.length(0, is_complete, &body)?;
        let new = NewUpload {
            length,
            ..self.wished()?
        };
        let engine = &self.service.engine;
        if !is_complete && body.is_end_stream() {
            let said =
                [&UPLOAD_LENGTH, &REPR_DIGEST].map(|name| self.headers.get(name).map_or(&b""[..], |it| it.as_bytes()));
            let mut caller = self.caller.clone();
            caller.idempotency = ask::idempotency(self.method, self.target, self.headers, &said.join(&b'\n'))?;
            return Ok(self.begun(&engine.begin_upload(&caller, new).await?));
        }
        let part = Part {
            offset: 0,
            length: Ok(length),
            is_complete,
            sha256: None,
        };
        let (service, caller, limit) = (self.service.clone(), self.caller.clone(), self.limit(None));
        let receiving = tokio::spawn(async move {
            let id = new.id;
            service.engine.begin_upload(&caller, new).await?;
            let received = receive(&service, &caller, id, part, body, limit).await;
            // Nobody was told where it is. Here, and not where it is answered: whoever breaks off takes the answer away.
            if received.is_err()
                && let Err(error) = service.engine.abandon_upload(&caller, id).await
            {
                tracing::debug!(%error, "an upload that nobody knows of stays until it expires");
            }
            received
        });
        Ok(match ended_well(receiving.await)? {
            Received::Part(upload) => self.begun(&upload),
            Received::Image(image) => self.created(&image),
        })
    }

    fn begun(&self, upload: &Upload) -> Response<Body> {
        let mut response = answer::empty(StatusCode::CREATED);
        let url = self.manners.base.absolute(&paths::upload(upload.new.id));
        answer::set(&mut response, header::LOCATION, &url);
        self.tell(&mut response, upload);
        response
    }

    async fn append(&self, id: Uuid, body: Incoming) -> Result<Response<Body>, Fault> {
        let headers = self.headers;
        let upload = self.service.engine.upload(self.caller, id).await?;
        let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = media.unwrap_or_default().split(';').next().unwrap_or_default();
        if !media.trim().eq_ignore_ascii_case(PARTIAL_UPLOAD) {
            let message = format!("what is added to an upload has the Content-Type {PARTIAL_UPLOAD}");
            return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
                .with(ACCEPT_PATCH, HeaderValue::from_static(PARTIAL_UPLOAD)));
        }
        let needed = |name: &str| Fault::bad_request(format!("the header {name} is needed here"));
        let offset = integer(headers, &UPLOAD_OFFSET)?.ok_or_else(|| needed("Upload-Offset"))?;
        let is_complete = boolean(headers, &UPLOAD_COMPLETE)?.ok_or_else(|| needed("Upload-Complete"))?;
        if upload.state != UploadState::Receiving {
            // Whoever repeats its end has missed how it ended.
            return match is_complete && body.is_end_stream() && offset == upload.offset {
                true => Ok(self.created(&finish(self.service, self.caller, id, digest(headers)?).await?)),
                false => Err(ended()),
            };
        }
        let part = Part {
            offset,
            length: self.length(offset, is_complete, &body),
            is_complete,
            sha256: digest(headers)?,
        };
        let (service, caller, limit) = (self.service.clone(), self.caller.clone(), self.limit(None));
        // What came is kept also if this is dropped.
        let receiving = tokio::spawn(async move { receive(&service, &caller, id, part, body, limit).await });
        match ended_well(receiving.await)? {
            Received::Part(upload) => {
                let mut response = answer::empty(StatusCode::NO_CONTENT);
                self.tell(&mut response, &upload);
                Ok(response)
            }
            Received::Image(image) => Ok(self.created(&image)),
        }
    }

    async fn tell_offset(&self, id: Uuid) -> Result<Response<Body>, Fault> {
        let engine = &self.service.engine;
        let mut upload = engine.upload(self.caller, id).await?;
        if upload.state == UploadState::Receiving {
            // Whoever asks has lost the connection on which it came; what came is counted first.
            let _turn = self.service.uploads.take_over(id);
            match engine.append_to_upload(self.caller, id).await {
                Ok(append) => drop(append),
                // It has ended meanwhile.
                Err(error) if error.kind == FailureKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
            upload = engine.upload(self.caller, id).await?;
        }
        if let UploadState::Refused(reason) = &upload.state {
            return Err(Fault::new(
                StatusCode::GONE,
                format!("the image was not taken: {reason}"),
            ));
        }
        let mut response = answer::empty(StatusCode::NO_CONTENT);
        self.tell(&mut response, &upload);
        if let UploadState::Ready(term) = &upload.state {
            let url = self.manners.base.absolute(&paths::image(term.as_str()));
            answer::set(&mut response, header::LOCATION, &url);
        }
        Ok(response)
    }

    /// How long the whole will be, if the request says: by name, or because its end is the end.
    fn length(&self, offset: u64, is_complete: bool, body: &Incoming) -> Result<Option<u64>, Fault> {
        let said = integer(self.headers, &UPLOAD_LENGTH)?;
        let follows = body.size_hint().exact().filter(|_| is_complete);
        let follows = follows.map(|rest| offset.saturating_add(rest));
        if let (Some(said), Some(follows)) = (said, follows)
            && said != follows
        {
            let message = format!("Upload-Length is {said}, and with this request there are {follows} bytes");
            return Err(Fault::bad_request(message).problem(INCONSISTENT_LENGTH));
        }
        let length = said.or(follows);
        let most = self.service.image_limit();
        if length.is_some_and(|length| length > most) {
            return Err(too_large(most, &self.limit(None)));
        }
        Ok(length)
    }

    /// What the query string and the headers say of an image to come.
    fn wished(&self) -> Result<NewUpload, Fault> {
        if let Some((key, _)) = self.query.pairs().find(|(key, _)| !KEYS.contains(key)) {
            let message = format!(
                "the query key {key:?} means nothing here; there are: {}",
                KEYS.join(", ")
            );
            return Err(Fault::bad_request(message));
        }
        let text = |key: &str, longest: usize| match self.query.get(key) {
            Some(text) if text.is_empty() || text.len() > longest || text.chars().any(char::is_control) => Err(
                Fault::bad_request(format!("{key} has 1 to {longest} bytes, and no control characters")),
            ),
            text => Ok(text.map(str::to_owned)),
        };
        let name = text("name", LONGEST_NAME)?;
        let name = name.ok_or_else(|| Fault::bad_request("the image needs a name: POST /-/image/?name=NAME"))?;
        let default_user = self.query.get("default_user").map(str::to_owned);
        let is_user = |user: &String| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            (1..=32).contains(&user.len()) && user.bytes().all(is_plain) && !user.starts_with(['-', '.'])
        };
        if default_user.as_ref().is_some_and(|user| !is_user(user)) {
            return Err(Fault::bad_request("default_user is no name of an account"));
        }
        let ssh = match self.query.get("ssh") {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(Fault::bad_request("ssh is true or false")),
        };
        let memory = self.query.get("min_memory_mib").map(str::parse).transpose();
        let min_memory_mib = memory.map_err(|_| Fault::bad_request("min_memory_mib is a number of MiB"))?;
        Ok(NewUpload {
            id: Uuid::new_v4(),
            owner: String::new(),
            title: text("title", LONGEST_TITLE)?,
            name,
            length: None,
            sha256: digest(self.headers)?,
            default_user,
            ssh,
            min_memory_mib,
        })
    }

    /// What may be sent, and for how long an upload is kept.
    fn limit(&self, upload: Option<&Upload>) -> String {
        let size = format!("max-size={}", self.service.image_limit());
        match upload {
            None => size,
            Some(upload) => {
                let now = jiff::Timestamp::now().as_millisecond();
                let left = upload.expires_ms.saturating_sub(now).max(0) / 1000;
                format!("{size}, max-age={left}")
            }
        }
    }

    /// How far an upload is.
    fn tell(&self, response: &mut Response<Body>, upload: &Upload) {
        let is_complete = matches!(upload.state, UploadState::Ready(_));
        let headers = response.headers_mut();
        headers.insert(UPLOAD_OFFSET, HeaderValue::from(upload.offset));
        headers.insert(
            UPLOAD_COMPLETE,
            HeaderValue::from_static(if is_complete { "?1" } else { "?0" }),
        );
        if let Some(length) = upload.new.length {
            headers.insert(UPLOAD_LENGTH, HeaderValue::from(length));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer::set(response, UPLOAD_LIMIT, &self.limit(Some(upload)));
    }

    fn created(&self, image: &ProjectImage) -> Response<Body> {
        let mut response = self.document(StatusCode::CREATED, &describe(image));
        let url = self
            .manners
            .base
            .absolute(&paths::image(image.image.template.term.as_str()));
        answer::set(&mut response, header::LOCATION, &url);
        let headers = response.headers_mut();
        headers.insert(UPLOAD_COMPLETE, HeaderValue::from_static("?1"));
        headers.insert(UPLOAD_OFFSET, HeaderValue::from(image.image.size));
        response
    }

    fn document(&self, status: StatusCode, document: &Value) -> Response<Body> {
        let mut response = Response::new(answer::full(document.to_string()));
        *response.status_mut() = status;
        let json = HeaderValue::from_static(MediaType::Json.content_type());
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    fn describe_upload(&self, upload: &Upload) -> Value {
        let (state, image, reason) = match &upload.state {
            UploadState::Receiving => ("receiving", None, None),
            UploadState::Ready(term) => ("ready", Some(paths::image(term.as_str())), None),
            UploadState::Refused(reason) => ("refused", None, Some(reason)),
        };
        let expires = jiff::Timestamp::from_millisecond(upload.expires_ms).unwrap_or_default();
        json!({
            "path": paths::upload(upload.new.id),
            "name": upload.new.name,
            "project": upload.project,
            "owner": upload.new.owner,
            "mine": upload.new.owner == self.caller.principal.name,
            "title": upload.new.title,
            "default_user": upload.new.default_user,
            "ssh": upload.new.ssh,
            "min_memory_mib": upload.new.min_memory_mib,
            "state": state,
            "offset": upload.offset,
            "length": upload.new.length,
            "sha256": upload.new.sha256.map(|sha256| sha256.to_string()),
            "image": image,
            "reason": reason,
            "expires": expires.to_string(),
        })
    }

    // Downloads.

    async fn download(&self, name: &str) -> Result<Response<Body>, Fault> {
        let missing = || Fault::new(StatusCode::NOT_FOUND, format!("there is no image {name}"));
        let term = name.parse().map_err(|_| missing())?;
        let (image, bytes) = self.service.engine.open_image(self.caller, &term).await?;
        let image = image.image;
        let client = self.headers;
        let tag = format!("\"{}\"", image.version);
        let mut response = answer::empty(StatusCode::OK);
        answer::set(&mut response, header::ETAG, &tag);
        if ask::none_match(client, &tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        let headers = response.headers_mut();
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let media = match image.format {
            ImageFormat::Qcow2 => "application/x-qemu-disk",
            ImageFormat::Raw => "application/octet-stream",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        let file = format!("attachment; filename=\"{term}.{}\"", image.format.as_str());
        answer::set(&mut response, header::CONTENT_DISPOSITION, &file);
        if let Some(sha256) = image.sha256 {
            let digest = format!("sha-256=:{}:", STANDARD.encode(sha256.0));
            answer::set(&mut response, REPR_DIGEST, &digest);
        }
        // A range of other bytes than those that the client has begun with is of no use.
        let is_same = client
            .get(header::IF_RANGE)
            .is_none_or(|known| known.as_bytes() == tag.as_bytes());
        let range = client.typed_get::<headers::Range>();
        let range = range.filter(|_| is_same && *self.method == Method::GET);
        let (from, to) = match range.map(|range| one_range(&range, image.size)) {
            None | Some(Wanted::Whole) => (0, image.size),
            Some(Wanted::Part(from, to)) => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let last = to - 1;
                answer::set(
                    &mut response,
                    header::CONTENT_RANGE,
                    &format!("bytes {from}-{last}/{}", image.size),
                );
                (from, to)
            }
            Some(Wanted::Nothing) => {
                let message = format!(
                    "the image has {} bytes, and none of those that were asked for",
                    image.size
                );
                let range = HeaderValue::from_str(&format!("bytes */{}", image.size));
                let fault = Fault::new(StatusCode::RANGE_NOT_SATISFIABLE, message);
                return Err(match range {
                    Ok(range) => fault.with(header::CONTENT_RANGE, range),
                    Err(_) => fault,
                });
            }
        };
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
        if *self.method != Method::HEAD {
            let place = self.place()?;
            let pieces = axum::body::Body::from_stream(pieces(bytes, from, to));
            *response.body_mut() = answer::keep_place(Either::Right(pieces), place);
        }
        Ok(response)
    }
}

/// What a request says of the body that it brings.
struct Part {
    /// Where the body belongs.
    offset: u64,
    /// How long the whole will be, if the request says, or why it cannot be that long.
    length: Result<Option<u64>, Fault>,
    /// Whether the body's end is the end of the whole.
    is_complete: bool,
    sha256: Option<Sha256>,
}

/// What a body was.
enum Received {
    /// A part: this is the upload now.
    Part(Box<Upload>),
    /// The last one.
    Image(Box<ProjectImage>),
}

/// Takes the body, and makes the image if that was all. What came is kept also if this fails.
async fn receive(
    service: &Service,
    caller: &Caller,
    id: Uuid,
    part: Part,
    mut body: Incoming,
    limit: String,
) -> Result<Received, Fault> {
    let engine = &service.engine;
    {
        let turn = service.uploads.take_over(id);
        let appending = engine.append_to_upload(caller, id).await;
        let mut append = appending.map_err(|error| match error.kind {
            FailureKind::Conflict => ended(),
            _ => error.into(),
        })?;
        let there = append.offset();
        if part.offset != there {
            let message = format!("the next byte is that at {there}");
            return Err(Fault::new(StatusCode::CONFLICT, message)
                .problem(MISMATCHING_OFFSET)
                .with(UPLOAD_OFFSET, HeaderValue::from(there)));
        }
        // Only now: what a request brings for another place says nothing of the whole.
        if let Some(length) = part.length? {
            append.announce(length).await.map_err(refused_bytes)?;
        }
        let pump = Pump {
            most: service.image_limit(),
            limit,
            patience: service.patience(),
            turn: &turn,
        };
        let pumped = pump.run(&mut body, append.as_mut()).await;
        // However it ended.
        let synced = append.sync().await;
        pumped?;
        synced.map_err(occi_engine::of_bytes)?;
    }
    if !part.is_complete {
        return Ok(Received::Part(Box::new(engine.upload(caller, id).await?)));
    }
    let image = finish(service, caller, id, part.sha256).await?;
    Ok(Received::Image(Box::new(image)))
}

/// What a task of its own has received.
fn ended_well(received: Result<Result<Received, Fault>, JoinError>) -> Result<Received, Fault> {
    received.map_err(|_| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of the service"))?
}

/// Makes an upload an image.
async fn finish(service: &Service, caller: &Caller, id: Uuid, sha256: Option<Sha256>) -> Result<ProjectImage, Fault> {
    let finished = service.engine.finish_upload(caller, id, sha256).await;
    finished.map_err(|error| match error.kind {
        // All of it came, and sending it again does not help.
        FailureKind::Invalid => Fault::from(error).with(UPLOAD_COMPLETE, HeaderValue::from_static("?1")),
        _ => error.into(),
    })
}

/// Carries a body into an upload.
struct Pump<'a> {
    most: u64,
    /// `Upload-Limit`.
    limit: String,
    patience: Duration,
    turn: &'a Turn<'a>,
}

impl Pump<'_> {
    async fn run(&self, body: &mut Incoming, append: &mut dyn Append) -> Result<(), Fault> {
        let close = |fault: Fault| fault.with(header::CONNECTION, HeaderValue::from_static("close"));
        let mut piece = BytesMut::new();
        // Who sends a byte now and then is not silent, but must get on too.
        let mut piece_ends = Instant::now() + 10 * self.patience;
        let ended = loop {
            let silence = Instant::now() + self.patience;
            let frame = tokio::select! {
                () = self.turn.stopped().cancelled() => break Err(self.stopped()),
                frame = tokio::time::timeout_at(silence.min(piece_ends), body.frame()) => frame,
            };
            let data = match frame {
                Err(_late) => break Err(Fault::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
                Ok(None) => break Ok(()),
                Ok(Some(Err(_))) => break Err(Fault::bad_request("the body is broken")),
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            };
            let there = append.offset().saturating_add((piece.len() + data.len()) as u64);
            if there > self.most {
                break Err(too_large(self.most, &self.limit));
            }
            piece.extend_from_slice(&data);
            if piece.len() >= PIECE {
                append.write(piece.split().freeze()).await.map_err(refused_bytes)?;
                piece_ends = Instant::now() + 10 * self.patience;
            }
        };
        if !piece.is_empty() {
            append.write(piece.freeze()).await.map_err(refused_bytes)?;
        }
        ended.map_err(close)
    }

    fn stopped(&self) -> Fault {
        if self.turn.is_end() {
            return Fault::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the service stops; the upload goes on when it is back",
            )
            .retry_after(Duration::from_secs(5));
        }
        Fault::new(StatusCode::CONFLICT, "another request has taken the upload over")
    }
}

/// What of an image is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// From the first to before the second.
    Part(u64, u64),
    Nothing,
}

/// One range is answered; of several the whole is, as RFC 9110 allows.
fn one_range(range: &headers::Range, size: u64) -> Wanted {
    let mut ranges = range.satisfiable_ranges(size);
    match (ranges.next(), ranges.next()) {
        (None, _) => Wanted::Nothing,
        (Some(_), Some(_)) => Wanted::Whole,
        (Some((from, to)), None) => {
            let from = match from {
                Bound::Included(from) => from,
                Bound::Excluded(before) => before + 1,
                Bound::Unbounded => 0,
            };
            let to = match to {
                Bound::Included(last) => last.saturating_add(1),
                Bound::Excluded(to) => to,
                Bound::Unbounded => size,
            };
            let to = to.min(size);
            if from < to {
                Wanted::Part(from, to)
            } else {
                Wanted::Nothing
            }
        }
    }
}

fn pieces(
    bytes: Box<dyn ReadImage>,
    from: u64,
    to: u64,
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send {
    stream::try_unfold((bytes, from), move |(mut bytes, at)| async move {
        let left = usize::try_from(to - at).unwrap_or(usize::MAX).min(READ);
        if left == 0 {
            return Ok(None);
        }
        let piece = bytes.read(at, left).await.map_err(std::io::Error::other)?;
        if piece.is_empty() {
            // The length was told, so that the client sees that something is missing.
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let next = at + piece.len() as u64;
        Ok(Some((piece, (bytes, next))))
    })
}

fn describe(image: &ProjectImage) -> Value {
    let ProjectImage { mixin, backend, image } = image;
    let template = &image.template;
    json!({
        "name": template.term.as_str(),
        "path": paths::image(template.term.as_str()),
        "template": mixin.as_str(),
        "title": template.title,
        "project": template.project,
        "backend": backend,
        "state": "ready",
        "format": image.format.as_str(),
        "size": image.size,
        "disk_size": image.disk_size,
        "sha256": image.sha256.map(|sha256| sha256.to_string()),
    })
}

fn too_large(most: u64, limit: &str) -> Fault {
    let fault = Fault::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("an image has at most {most} bytes here"),
    );
    match HeaderValue::from_str(limit) {
        Ok(limit) => fault.with(UPLOAD_LIMIT, limit),
        Err(_) => fault,
    }
}

fn ended() -> Fault {
    Fault::new(StatusCode::CONFLICT, "the upload has ended, and takes no more")
        .problem(COMPLETED_UPLOAD)
        .with(UPLOAD_COMPLETE, HeaderValue::from_static("?1"))
}

/// A failure to add, or to say how much will come.
fn refused_bytes(error: occi_backend::BackendError) -> Fault {
    let error = occi_engine::of_bytes(error);
    match error.kind {
        FailureKind::Invalid => Fault::from(error).problem(INCONSISTENT_LENGTH),
        _ => error.into(),
    }
}

// Structured fields (RFC 9651).

fn field<T: sfv::FieldType>(headers: &HeaderMap, name: &HeaderName) -> Result<Option<T>, Fault> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let read = sfv::Parser::new(&lines.join(&b", "[..])).parse();
    read.map(Some)
        .map_err(|error| Fault::bad_request(format!("the header {name} cannot be read: {error}")))
}

fn boolean(headers: &HeaderMap, name: &HeaderName) -> Result<Option<bool>, Fault> {
    match field::<sfv::Item>(headers, name)?.map(|item| item.bare_item) {
        None => Ok(None),
        Some(sfv::BareItem::Boolean(value)) => Ok(Some(value)),
        Some(_) => Err(Fault::bad_request(format!("the header {name} is ?0 or ?1"))),
    }
}

fn integer(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Fault> {
    let wrong = || Fault::bad_request(format!("the header {name} is a number of bytes"));
    match field::<sfv::Item>(headers, name)?.map(|item| item.bare_item) {
        None => Ok(None),
        Some(sfv::BareItem::Integer(value)) => u64::try_from(i64::from(value)).map(Some).map_err(|_| wrong()),
        Some(_) => Err(wrong()),
    }
}

/// `Repr-Digest` (RFC 9530).
fn digest(headers: &HeaderMap) -> Result<Option<Sha256>, Fault> {
    let Some(digests) = field::<sfv::Dictionary>(headers, &REPR_DIGEST)? else {
        return Ok(None);
    };
    let Some(sha256) = digests.get("sha-256") else {
        // What is not compared must not seem to be.
        return Err(Fault::bad_request("the digest that is compared here is sha-256"));
    };
    if let sfv::ListEntry::Item(item) = sha256
        && let sfv::BareItem::ByteSequence(bytes) = &item.bare_item
        && let Ok(bytes) = <[u8; 32]>::try_from(bytes.as_slice())
    {
        return Ok(Some(Sha256(bytes)));
    }
    Err(Fault::bad_request("sha-256 in Repr-Digest is :BASE64: of 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_answered_and_of_several_the_whole() {
        let wanted = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_str(text).unwrap());
            one_range(&headers.typed_get().unwrap(), 10)
        };
        assert_eq!(wanted("bytes=0-3"), Wanted::Part(0, 4));
        assert_eq!(wanted("bytes=4-"), Wanted::Part(4, 10));
        assert_eq!(wanted("bytes=-3"), Wanted::Part(7, 10));
        assert_eq!(wanted("bytes=8-99"), Wanted::Part(8, 10));
        assert_eq!(wanted("bytes=10-"), Wanted::Nothing);
        assert_eq!(wanted("bytes=0-1, 4-5"), Wanted::Whole);
    }
}
