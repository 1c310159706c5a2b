//! `occi delete`.

use super::each_found;
use super::show::operation_path;
use crate::complete;
use crate::failure::{Exit, Failure, Result};
use crate::names::{Among, Found};
use crate::progress::Waiting;
use crate::session::Session;
use crate::terminal;
use crate::words;
use clap::Args;
use futures::{StreamExt, TryStreamExt};
use occi_client::{Listing, Until};
use serde_json::json;
use std::path::PathBuf;

/// Delete things
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi delete web1
  occi delete compute web1 web2 --yes
  occi delete storage --all --dry-run
  occi delete os_tpl#old
  occi delete -f web.yaml --yes
  occi delete operation 01a22653-56dc-7318-b8a2-eb429ecadc35 --dry-run  (stops it)")]
pub(crate) struct Delete {
    /// What it is called; a kind may stand in front
    #[arg(value_name = "[KIND] NAME", required_unless_present = "files", num_args = 1.., add = complete::names(None))]
    names: Vec<String>,
    /// What a file names, as of occi apply
    #[arg(short = 'f', long = "file", value_name = "FILE", conflicts_with_all = ["names", "all"])]
    files: Vec<PathBuf>,
    /// Everything of the kind
    #[arg(long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Delete {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        if !self.files.is_empty() {
            return super::apply::delete(&self.files, self.yes, self.waiting, self.dry_run, session).await;
        }
        if let [kind, names @ ..] = self.names.as_slice()
            && kind == "operation"
            && !names.is_empty()
        {
            return self.operations(names, session).await;
        }
        if let Some(names) = crate::names::mixins(&self.names, &*session.model().await?).filter(|_| !self.all) {
            return self.mixins(&names, session).await;
        }
        let found = if self.all {
            let [kind] = self.names.as_slice() else {
                return Err(Failure::usage("--all goes with one kind and no names"));
            };
            let id = session
                .look_up(|model| crate::names::kind(model, kind).map(|kind| kind.id.clone()))
                .await?;
            let locations = session.client.list_stream(id.as_str(), &Listing::default()).await?;
            let found = locations.map_ok(|location| Found {
                name: location.clone(),
                location,
            });
            found.try_collect().await?
        } else {
            let found = session.find_all(&self.names, &Among::All).await;
            let model = session.model().await?;
            found.map_err(|failure| match self.names.as_slice() {
                [kind] if failure.exit == Exit::NotFound && crate::names::kind(&model, kind).is_ok() => {
                    failure.with_hint(format!("occi delete {kind} --all deletes all of it"))
                }
                _ => failure,
            })?
        };
        if found.is_empty() {
            session.output.note("there is nothing to delete");
            return Ok(());
        }
        if self.dry_run {
            let is_one = found.len() == 1;
            let mut records = Vec::new();
            for Found { location, name } in found {
                let line = match location == name {
                    true => format!("delete {location}"),
                    false => format!("delete {name} ({location})"),
                };
                let what = json!({ "would": "delete", "name": name, "location": location });
                records.extend(session.output.would(line, what)?);
            }
            return session.output.show_all(records, is_one);
        }
        if !self.yes && (self.all || found.len() > 1) {
            for line in shown(&found, session).await {
                words::say(format!("  {line}"));
            }
            if found.len() > SHOWN {
                words::say(format!("  and {} more", found.len() - SHOWN));
            }
            confirm(&format!("Delete these {}?", found.len()))?;
        }
        each_found(found, session, async |found| {
            let done = session.client.delete(&found.location, &self.waiting.write()).await?;
            if let Some(limit) = self.waiting.wait {
                let operation = done.operation.as_deref();
                session
                    .wait(&found.name, &found.location, operation, &Until::Gone, limit)
                    .await?;
            }
            session.output.note(match (self.waiting.wait, &done.operation) {
                (None, Some(operation)) => format!("{}: deletion goes on: occi show {operation}", found.name),
                _ => format!("{}: deleted", found.name),
            });
            Ok(Vec::new())
        })
        .await
    }

    /// What goes on is stopped, where that is still possible.
    async fn operations(&self, ids: &[String], session: &Session) -> Result<()> {
        if ids.len() > 1 && !self.yes && !self.dry_run {
            confirm(&format!("Stop these {}?", ids.len()))?;
        }
        let mut would = Vec::new();
        for id in ids {
            let location = operation_path(id, session);
            if self.dry_run {
                let what = json!({ "would": "cancel", "name": id, "location": location });
                would.extend(session.output.would(format_args!("stop {location}"), what)?);
                continue;
            }
            let operation = session.client.cancel(&location).await?;
            let state = operation.state.as_str();
            session.output.note(format!(
                "{}: {} of {}: {state}",
                id,
                operation.verb,
                operation.entity.unwrap_or_default()
            ));
        }
        session.output.show_all(would, ids.len() == 1)
    }

    /// Templates that were saved, or mixins of the user's.
    async fn mixins(&self, names: &[String], session: &Session) -> Result<()> {
        let mut ids = Vec::new();
        for name in names {
            let id = session
                .look_up(|model| model.mixin(name).map(|mixin| mixin.id.clone()))
                .await?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        if self.dry_run {
            let mut would = Vec::new();
            for id in &ids {
                let what = json!({ "would": "delete", "name": id.as_str() });
                would.extend(session.output.would(format_args!("delete {id}"), what)?);
            }
            return session.output.show_all(would, ids.len() == 1);
        }
        if ids.len() > 1 && !self.yes {
            for id in &ids {
                words::say(format!("  {id}"));
            }
            confirm(&format!("Delete these {}?", ids.len()))?;
        }
        for id in ids {
            session.client.remove_mixin(id.as_str()).await?;
            session.keep_model();
            session.output.note(format!("{id}: deleted"));
        }
        Ok(())
    }
}

/// So many things stand in a question.
const SHOWN: usize = 20;

/// The first of what a question is about: by title, and by place where that does not tell it from others.
async fn shown(found: &[Found], session: &Session) -> Vec<String> {
    let first = found.iter().take(SHOWN);
    let entities = futures::stream::iter(first.clone()).map(|one| session.client.show(&one.location));
    let titles = entities.buffered(4).map(|entity| {
        let entity = entity.ok()?;
        let kind = entity.kind.as_ref().map(|kind| kind.term()).unwrap_or_default();
        let title = entity.title().filter(|title| !title.trim().is_empty())?;
        Some(format!("{kind} {title}"))
    });
    let titles: Vec<_> = titles.collect().await;
    let is_only = |title: &String| titles.iter().flatten().filter(|other| *other == title).count() == 1;
    let lines = first.zip(&titles).map(|(one, title)| match title {
        Some(title) if is_only(title) => title.clone(),
        Some(title) => format!("{title}  {}", one.location),
        None => one.location.clone(),
    });
    lines.collect()
}

/// Asks at the terminal.
///
/// # Errors
/// There is none, or the answer is not yes.
pub(super) fn confirm(question: &str) -> Result<()> {
    match terminal::confirms(question) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::new(Exit::Failure, "nothing has been done")),
        None => Err(
            Failure::usage("this wants to be confirmed, and there is no terminal to ask at")
                .with_hint("--yes does it without asking, --dry-run shows what it would do"),
        ),
    }
}
