//! `occi apply`, `occi diff`, and `occi delete -f`: what shall be there is written down in files.
//!
//! [`node`] reads YAML and JSON, [`reader`] what they say: in the form for people ([`written`]) or as `occi` prints entities
//! ([`rendered`]), each a [`thing`]. [`found`] looks for them on the server, [`difference`] compares, [`plan`] is what comes of
//! it, [`work`] does it.

mod difference;
mod found;
mod node;
mod plan;
mod reader;
mod rendered;
mod thing;
mod work;
mod written;

use super::delete::confirm;
use crate::failure::{Exit, Failure, Result, file_failure};
use crate::progress::Waiting;
use crate::read;
use crate::session::Session;
use crate::words::{paint, say};
use clap::Args;
use found::Known;
use node::Node;
use occi_client::{ErrorKind, Model, Until};
use plan::Plan;
use serde_json::json;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// So long each thing is waited for, if nobody says.
const PATIENCE: Duration = Duration::from_secs(600);

/// Make everything as files say: create what is missing, change what differs
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi apply -f web.yaml
  occi apply -f web.yaml --dry-run
  occi list compute -o occi | occi apply -f - --yes

A file is a list of things by kind and title:
  - network: lan
    address: 10.1.0.0/24
  - storage: data
    size: 10G
  - compute: web1
    os: tiny
    networks: [lan]
    volumes: [data]")]
pub(crate) struct Apply {
    #[command(flatten)]
    files: Files,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Show what `occi apply` would do; the exit status is 1 if there is something
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi diff -f web.yaml")]
pub(crate) struct Diff {
    #[command(flatten)]
    files: Files,
}

#[derive(Debug, Args)]
struct Files {
    /// A file, a directory of them, or - for stdin
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Apply {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let plan = Plan::of(&self.files.files, session).await?;
        if self.dry_run {
            return plan.print(session);
        }
        plan.warn(session);
        if plan.is_empty() {
            return plan.print(session);
        }
        if !session.output.quiet {
            paint(format_args!("{}", plan.text()));
        }
        // Whoever has no terminal has read the file; what is taken away is not in it.
        if !self.yes && (std::io::stdin().is_terminal() || plan.takes_away()) {
            confirm("Do this?")?;
        }
        // What others need has to be there.
        let wait = self.waiting.wait.unwrap_or(PATIENCE);
        let waiting = Waiting { wait: Some(wait) };
        work::carry_out(&plan, waiting, session).await
    }
}

impl Diff {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let plan = Plan::of(&self.files.files, session).await?;
        plan.print(session)?;
        match plan.is_empty() {
            true => Ok(()),
            false => Err(Failure::silent(Exit::Failure)),
        }
    }
}

/// What the files name, what is there of it, and the order in which it can be made.
async fn look(files: &[PathBuf], session: &Session) -> Result<(Arc<Model>, Vec<Known>, Vec<usize>)> {
    // What a file names may have come to the server a moment ago.
    let model = session.current_model().await?;
    let mut things = Vec::new();
    for (file, text) in texts(files)? {
        things.extend(reader::read(&Node::read(&text, &file)?, &model)?);
    }
    let known = found::find(things, session).await?;
    let order = found::order(&known)?;
    Ok((model, known, order))
}

/// The files, and those of directories, with what is in them.
fn texts(files: &[PathBuf]) -> Result<Vec<(PathBuf, String)>> {
    let mut texts = Vec::new();
    for file in files {
        if file == Path::new("-") {
            let stdin = PathBuf::from("stdin");
            let text = text(read::stdin(read::DOCUMENT)?, &stdin)?;
            texts.push((stdin, text));
        } else if file.is_dir() {
            let entries = std::fs::read_dir(file).map_err(|error| file_failure(file, &error))?;
            let mut inside: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            inside.retain(|path| {
                let extension = path.extension().and_then(|extension| extension.to_str());
                path.is_file() && matches!(extension, Some("yaml" | "yml" | "json"))
            });
            inside.sort();
            if inside.is_empty() {
                return Err(Failure::usage(format!(
                    "no file of {} ends in .yaml, .yml or .json",
                    file.display()
                )));
            }
            for path in inside {
                let text = text(read::file(&path, read::DOCUMENT)?, &path)?;
                texts.push((path, text));
            }
        } else {
            let text = text(read::file(file, read::DOCUMENT)?, file)?;
            texts.push((file.clone(), text));
        }
    }
    Ok(texts)
}

fn text(bytes: Vec<u8>, file: &Path) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        Failure::usage(format!("{}:{line}: this is no text in UTF-8", file.display()))
    })
}

/// Deletes what files name: what refers to others before these, one after the other.
pub(super) async fn delete(
    files: &[PathBuf],
    yes: bool,
    waiting: Waiting,
    dry_run: bool,
    session: &Session,
) -> Result<()> {
    let (_, known, mut order) = look(files, session).await?;
    order.reverse();
    let there: Vec<_> = order
        .iter()
        .filter_map(|number| {
            Some((
                known[*number].thing.name(),
                known[*number].now.as_ref()?.location.clone(),
            ))
        })
        .collect();
    if there.is_empty() {
        session.output.note("there is nothing to delete");
        return Ok(());
    }
    if dry_run {
        let mut records = Vec::new();
        for (name, location) in &there {
            let what = json!({ "would": "delete", "name": name, "location": location });
            records.extend(session.output.would(format_args!("delete {name} ({location})"), what)?);
        }
        return session.output.show_all(records, there.len() == 1);
    }
    if !yes && there.len() > 1 {
        for (name, location) in &there {
            say(format!("  {location}  {name}"));
        }
        confirm(&format!("Delete these {}?", there.len()))?;
    }
    // A network does not go before the machines that are in it.
    let limit = waiting.wait.unwrap_or(PATIENCE);
    let write = Waiting { wait: Some(limit) }.write();
    for (name, location) in &there {
        let done = match session.client.delete(location, &write).await {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            done => Some(done.map_err(|error| Failure::from(error).about(name))?),
        };
        if let Some(done) = done {
            let operation = done.operation.as_deref();
            session.wait(name, location, operation, &Until::Gone, limit).await?;
        }
        session.output.note(format!("{name}: deleted"));
    }
    Ok(())
}
