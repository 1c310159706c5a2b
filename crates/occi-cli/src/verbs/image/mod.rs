//! `occi image`: images to boot from, to the server and from it (`docs/images.md` of the server says how).
//!
//! Both ways what broke off goes on where it was, at once by itself and later by the same command.

mod download;
mod upload;

use self::download::Download;
use self::upload::Upload;
use super::delete::confirm;
use super::list::Pick;
use crate::complete;
use crate::failure::{Exit, Failure, Result};
use crate::output::{Column, Look, Record};
use crate::progress::byte_bar;
use crate::session::Session;
use crate::words;
use aws_lc_rs::digest::{Context, Digest, SHA256};
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use occi_client::RawAnswer;
use occi_model::templates::OS_TPL;
use serde_json::{Value as Json, json};
use std::fs::File;
use std::io::{Read, Seek};
use std::time::Duration;

/// What to do about what broke off.
const GOES_ON: &str = "the same command goes on where it was";
/// So often it is tried again before it is given up; what gets further than ever counts anew.
const TRIES: u32 = 8;

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
    /// Give up uploads that have not ended
    Cancel(Cancel),
    /// Delete images of the project
    Delete(Delete),
}

/// List the images of the project and those of everybody
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi image list
  occi image list --filter format=qcow2 --sort -size
  occi image list --uploads")]
struct List {
    /// What is being brought instead, or was lately
    #[arg(long)]
    uploads: bool,
    #[command(flatten)]
    pick: Pick,
}

/// Give up uploads that have not ended
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi image cancel debian-12")]
struct Cancel {
    /// Which, by name, by path or by its last part (occi image list --uploads)
    #[arg(value_name = "NAME", required = true, num_args = 1..)]
    names: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
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
            What::Cancel(cancel) => cancel.run(session).await,
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
        let all = document.get(member).and_then(Json::as_array).into_iter().flatten();
        let records = all.map(|one| {
            let name = one.get("name").and_then(Json::as_str).unwrap_or_default();
            Record::other(name, one.clone())
        });
        self.pick.list(records, columns, session)
    }
}

/// What there is of images and of uploads.
async fn listing(session: &Session) -> Result<Json> {
    let answer = ask(Method::GET, "/-/image/", json_wanted(), Bytes::new(), session).await?;
    document(&good(answer, session)?)
}

/// An image by its name.
async fn image(name: &str, session: &Session) -> Result<Json> {
    let document = listing(session).await?;
    let images = document.get("images").and_then(Json::as_array).into_iter().flatten();
    let all: Vec<&Json> = images.collect();
    let text = |one: &Json, member: &str| one.get(member).and_then(Json::as_str).unwrap_or_default().to_owned();
    // By its name, by its title, by its name without the ending that the server gave it.
    let by = |is: &dyn Fn(&Json) -> bool| all.iter().copied().filter(|one| is(one)).collect::<Vec<_>>();
    let named = by(&|one| text(one, "name") == name);
    let titled = by(&|one| text(one, "title") == name);
    let is_ending = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bare = by(&|one| {
        let whole = text(one, "name");
        whole
            .rsplit_once('-')
            .is_some_and(|(bare, ending)| bare == name && is_ending(ending))
    });
    let found = [named, titled, bare].into_iter().find(|found| !found.is_empty());
    let uploads = document.get("uploads").and_then(Json::as_array).into_iter().flatten();
    let is_open = |one: &Json| text(one, "state") == "receiving" && text(one, "name") == name;
    match found.unwrap_or_default().as_slice() {
        [only] => Ok((*only).clone()),
        [] if uploads.into_iter().any(is_open) => Err(Failure::new(
            Exit::NotFound,
            format!(
                "there is no image {name:?} on {} yet: its upload has not ended",
                session.server
            ),
        )
        .with_hint(format!("occi image cancel {name} gives it up"))),
        [] => Err(Failure::new(
            Exit::NotFound,
            format!("there is no image {name:?} on {}", session.server),
        )
        .with_hint("occi image list shows what there is")),
        several => {
            let mut failure = Failure::usage(format!("{name:?} could be any of {}", several.len()));
            failure.hints = several.iter().map(|one| format!("- {}", text(one, "name"))).collect();
            Err(failure)
        }
    }
}

impl Cancel {
    async fn run(self, session: &Session) -> Result<()> {
        let document = listing(session).await?;
        let uploads = document.get("uploads").and_then(Json::as_array).into_iter().flatten();
        let member = |one: &Json, name: &str| one.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let open: Vec<&Json> = uploads.filter(|one| member(one, "state") == "receiving").collect();
        let mut paths = Vec::new();
        // Nothing is given up before all names are clear.
        for name in &self.names {
            let is_meant = |one: &&&Json| {
                let path = member(one, "path");
                path == *name || path.rsplit('/').next() == Some(name.as_str()) || member(one, "name") == *name
            };
            let found: Vec<_> = open.iter().filter(is_meant).map(|one| member(one, "path")).collect();
            match found.as_slice() {
                [only] => paths.push((name, only.clone())),
                [] => {
                    let message = format!("there is no unfinished upload {name:?} on {}", session.server);
                    return Err(Failure::new(Exit::NotFound, message)
                        .with_hint("occi image list --uploads shows what there is"));
                }
                several => {
                    let mut failure = Failure::usage(format!("{name:?} could be any of {}", several.len()));
                    failure.hints = several.iter().map(|path| format!("- {path}")).collect();
                    return Err(failure);
                }
            }
        }
        if paths.len() > 1 && !self.yes && !self.dry_run {
            for (name, path) in &paths {
                words::say(format!("  {name} ({path})"));
            }
            confirm(&format!("Give up these {}?", paths.len()))?;
        }
        let mut would = Vec::new();
        for (name, path) in paths {
            if self.dry_run {
                let what = json!({ "would": "cancel", "name": name, "location": path });
                would.extend(session.output.would(format_args!("give up {name} ({path})"), what)?);
                continue;
            }
            let answer = ask(Method::DELETE, &path, HeaderMap::new(), Bytes::new(), session).await?;
            good(answer, session)?;
            session.output.note(format!("{name}: given up"));
        }
        session.output.show_all(would, self.names.len() == 1)
    }
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
            let mut would = Vec::new();
            for template in &templates {
                let what = json!({ "would": "delete", "name": template });
                would.extend(session.output.would(format_args!("delete {template}"), what)?);
            }
            return session.output.show_all(would, templates.len() == 1);
        }
        if templates.len() > 1 && !self.yes {
            for template in &templates {
                session.output.note(format!("  {template}"));
            }
            confirm(&format!("Delete these {}?", templates.len()))?;
        }
        session.current_model().await?;
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

/// A success, or what the server says.
fn good(answer: RawAnswer, session: &Session) -> Result<RawAnswer> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let status = answer.status;
    let failure = Failure::from(answer.error(session.client.endpoint()));
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

/// Whether it may go better another time: the upload is there still.
fn is_passing(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Unavailable | Exit::Timeout | Exit::Conflict) || failure.is_broken_off
}

/// How often something may fail that is tried again.
#[derive(Default)]
struct Tries {
    failed: u32,
    furthest: u64,
}

impl Tries {
    /// It is at this byte.
    fn reached(&mut self, offset: u64) {
        if offset > self.furthest {
            *self = Self {
                failed: 0,
                furthest: offset,
            };
        }
    }

    /// Waits for the next try, or returns the failure if there is none.
    async fn again(&mut self, failure: Failure, bar: &indicatif::ProgressBar) -> Result<()> {
        if !is_passing(&failure) {
            return Err(failure);
        }
        if self.failed >= TRIES {
            return Err(failure.with_hint(GOES_ON));
        }
        self.failed += 1;
        bar.set_message(format!("{failure}; trying again"));
        tokio::time::sleep(Duration::from_millis(250 << self.failed.min(5))).await;
        bar.set_message("");
        Ok(())
    }
}

/// The SHA-256 of all of a file.
fn sha256(file: &mut File, length: u64, session: &Session) -> std::io::Result<Digest> {
    let bar = byte_bar("checksum", length, session.output.quiet);
    let mut digest = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    file.rewind()?;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        bar.inc(read as u64);
    }
    bar.finish_and_clear();
    Ok(digest.finish())
}
