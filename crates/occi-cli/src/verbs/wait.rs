//! `occi wait`.

use super::values::{attribute_name, definitions_of, input};
use crate::args::duration;
use crate::complete;
use crate::failure::{Failure, Result};
use crate::names::{Among, kind_in_front};
use crate::output::Record;
use crate::session::Session;
use clap::Args;
use occi_client::{Category, Input, Kind, Model, Until};
use occi_model::{Value, ValueType};
use std::time::Duration;

/// For so long, if nobody says.
const PATIENCE: Duration = Duration::from_secs(600);

/// Wait until something is as it should be
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi wait web1
  occi stop web1 && occi wait web1 --for inactive --within 2m
  occi delete web1 && occi wait web1 --for gone
  occi wait web1 --for cores=1
  occi wait /-/operation/01a22653-56dc-7318-b8a2-eb429ecadc35")]
pub(crate) struct Wait {
    /// What it is called, or the path of an operation
    #[arg(value_name = "NAME", required = true, num_args = 1.., add = complete::names(None))]
    names: Vec<String>,
    /// A state, several with commas; up (active or online); gone; or NAME=VALUE: that an attribute has a value
    #[arg(long = "for", value_name = "WHAT", default_value = "up")]
    until: String,
    /// How long [default: 10m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    within: Option<Duration>,
}

impl Wait {
    pub(crate) async fn run(self, timeout: Option<Duration>, session: &Session) -> Result<()> {
        let model = session.model().await?;
        // Whoever knows kubectl calls it so.
        let within = self.within.or(timeout).unwrap_or(PATIENCE);
        let names = kind_in_front(&self.names, &model);
        let mut records = Vec::new();
        let mut ended = Ok(());
        for name in &names {
            match self.one(name, within, &model, session).await {
                Ok(come) => records.extend(come),
                failed => {
                    ended = failed.map(drop);
                    break;
                }
            }
        }
        if !session.output.is_for_people() {
            session.output.show_all(records, names.len() == 1)?;
        }
        ended
    }

    /// Waits for one thing, which may be gone afterwards.
    async fn one(&self, name: &str, within: Duration, model: &Model, session: &Session) -> Result<Option<Record>> {
        if name.contains("/-/operation/") {
            let (_, made) = session.wait(name, name, Some(name), &Until::Gone, within).await?;
            if !session.output.is_for_people() {
                return Ok(Some(Record::operation(&session.client.operation(name).await?)));
            }
            for mixin in made {
                session.output.text(&format!("{mixin}\n"))?;
            }
            return Ok(None);
        }
        let found = match session.find(name, &Among::All).await {
            // What is to go may have gone.
            Err(failure) if self.until == "gone" && failure.exit == crate::failure::Exit::NotFound => return Ok(None),
            found => found?,
        };
        let until = until(&self.until, &found.location, model)?;
        let (entity, _) = session.wait(&found.name, &found.location, None, &until, within).await?;
        Ok(entity.map(|entity| Record::entity(&entity, model)))
    }
}

/// Whether a kind knows these states, where anybody says which it has.
fn check(states: &[String], kind: &Kind, model: &Model) -> Result<()> {
    let name = attribute_name("state", &definitions_of(kind, model))?;
    let Some(ValueType::Enum { values, .. }) = model.value_type(&name) else {
        return Ok(());
    };
    let strange = states
        .iter()
        .find(|state| !values.iter().any(|own| own.eq_ignore_ascii_case(state)));
    match strange {
        Some(state) => Err(Failure::usage(format!(
            "a {} has no state {state:?}: it is {}, or gone",
            kind.id.term(),
            values.join(", ")
        ))
        .with_hint(format!("if this server has one, --for state={state} waits for it"))),
        None => Ok(()),
    }
}

/// What a person means by `active`, `state=active`, `cores=4`.
fn until(text: &str, location: &str, model: &Model) -> Result<Until> {
    let states = |words: &str| {
        words
            .split(',')
            .map(|state| state.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let kind = model.kind_at(location);
    let Some((name, value)) = text.split_once('=') else {
        return Ok(match text {
            "up" => Until::Up,
            "gone" => Until::Gone,
            words => {
                let states = states(words);
                if let Some(kind) = kind {
                    check(&states, kind, model)?;
                }
                Until::State(states)
            }
        });
    };
    let definitions = match kind {
        Some(kind) => definitions_of(kind, model),
        None => model.categories().flat_map(Category::attributes).collect(),
    };
    let name = attribute_name(name.trim(), &definitions)?;
    if name == "state" || name.ends_with(".state") {
        return Ok(Until::State(states(value)));
    }
    if !definitions.iter().any(|definition| definition.name.as_str() == name) {
        return Err(Failure::usage(format!("{location} has no attribute {name:?}"))
            .with_hint("occi describe KIND shows which a kind has"));
    }
    let value = match input(&name, value, model)? {
        Input::Typed(value) => value,
        _ => Value::from(value),
    };
    Ok(Until::Attribute { name, value })
}
