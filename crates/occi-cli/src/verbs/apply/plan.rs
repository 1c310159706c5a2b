//! What is to be done, and in which order, as it is shown before it is done.

use super::difference::{Change, Line, Step, differences};
use super::found::Known;
use super::look;
use super::thing::{Thing, at};
use crate::failure::Result;
use crate::output::{Column, Look, Record};
use crate::session::Session;
use crate::verbs::values::one_of_each_family;
use anstyle::{AnsiColor, Style};
use occi_client::Model;
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::sync::Arc;

/// What is to be done, and in which order.
pub(super) struct Plan {
    pub(super) model: Arc<Model>,
    pub(super) known: Vec<Known>,
    pub(super) order: Vec<usize>,
    /// One for each of the things.
    changes: Vec<Change>,
}

impl Plan {
    pub(super) async fn of(files: &[PathBuf], session: &Session) -> Result<Self> {
        let (model, known, order) = look(files, session).await?;
        for Known { thing, now, .. } in &known {
            let refused = match now {
                None => thing.is_complete(&model, session.client.dialect().is_occid),
                Some(_) => one_of_each_family(&thing.body.mixins, &model),
            };
            refused.map_err(|failure| at(&thing.place, failure))?;
        }
        let changes = differences(&known, &model)?;
        Ok(Self {
            model,
            known,
            order,
            changes,
        })
    }

    /// The things that differ, in order.
    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &Known, &Change)> {
        let all = self
            .order
            .iter()
            .map(|number| (*number, &self.known[*number], &self.changes[*number]));
        all.filter(|(_, _, change)| !change.steps.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open().next().is_none()
    }

    pub(super) fn takes_away(&self) -> bool {
        self.open()
            .any(|(_, _, change)| change.steps.iter().any(|step| matches!(step, Step::Detach(_))))
    }

    /// What is there and broken is not mended by this.
    pub(super) fn warn(&self, session: &Session) {
        for Known { thing, now, .. } in &self.known {
            let state = now.as_ref().and_then(|now| now.state(&self.model));
            if let Some(state) = state.filter(|state| state.is_error()) {
                let why = state.message.unwrap_or("the server does not say why");
                session
                    .output
                    .note(format!("{} is in the state {}: {why}", thing.name(), state.word));
            }
        }
    }

    /// The difference for people.
    pub(super) fn text(&self) -> String {
        let color = |sign: char| {
            let color = match sign {
                '+' => AnsiColor::Green,
                '-' => AnsiColor::Red,
                _ => AnsiColor::Yellow,
            };
            Style::new().fg_color(Some(color.into()))
        };
        let mut text = String::new();
        for (_, Known { thing, now, .. }, change) in self.open() {
            let sign = if now.is_some() { '~' } else { '+' };
            let style = color(sign).bold();
            let name = Look::Plain.words(&thing.name().into());
            text.push_str(&format!("{style}{sign} {name}{style:#}\n"));
            for Line { sign, text: words } in &change.lines {
                let style = color(*sign);
                let words = Look::Plain.words(&words.as_str().into());
                text.push_str(&format!("{style}{sign}     {words}{style:#}\n"));
            }
        }
        text
    }

    pub(super) fn print(&self, session: &Session) -> Result<()> {
        if session.output.is_for_people() {
            return match self.is_empty() {
                true => session.output.text("nothing differs\n"),
                false => session.output.painted(&self.text()),
            };
        }
        let told = self.order.iter().map(|number| {
            let change = match (&self.known[*number].now, self.changes[*number].steps.is_empty()) {
                (None, _) => "create",
                (Some(_), false) => "change",
                (Some(_), true) => "none",
            };
            let now = self.known[*number].now.as_ref();
            (*number, change, now.map(|now| now.location.as_str()))
        });
        self.records(told, session)
    }

    /// Things for machines: which, what about it, where it is.
    pub(super) fn records<'p>(
        &'p self,
        told: impl Iterator<Item = (usize, &'static str, Option<&'p str>)>,
        session: &Session,
    ) -> Result<()> {
        let columns = ["change", "kind", "title", "location"].map(|name| Column::new(name, Look::Plain));
        let mut listing = session.output.list(columns.into(), None);
        for (number, change, location) in told {
            let Thing { kind, title, .. } = &self.known[number].thing;
            let lines = self.changes[number].lines.iter();
            let lines: Json = lines.map(|line| format!("{} {}", line.sign, line.text)).collect();
            let json = json!({
                "change": change,
                "kind": kind.as_str(),
                "title": title,
                "location": location,
                "differences": lines,
            });
            listing.push(Record::other(location.unwrap_or_default(), json))?;
        }
        listing.finish()
    }
}
