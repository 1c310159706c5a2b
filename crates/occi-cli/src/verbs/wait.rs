//! `occi wait`.

use crate::args::duration;
use crate::complete;
use crate::failure::Result;
use crate::names::{Among, kind_in_front};
use crate::output::Record;
use crate::session::Session;
use clap::Args;
use occi_client::Until;
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
  occi wait /-/operation/01a22653-56dc-7318-b8a2-eb429ecadc35")]
pub(crate) struct Wait {
    /// What it is called, or the path of an operation
    #[arg(value_name = "NAME", required = true, num_args = 1.., add = complete::names(None))]
    names: Vec<String>,
    /// A state, several with commas, up (active or online), or gone
    #[arg(long = "for", value_name = "STATE", default_value = "up")]
    until: String,
    /// How long [default: 10m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    within: Option<Duration>,
}

impl Wait {
    pub(crate) async fn run(self, timeout: Option<Duration>, session: &Session) -> Result<()> {
        let until = match self.until.as_str() {
            "up" => Until::Up,
            "gone" => Until::Gone,
            states => Until::State(states.split(',').map(|state| state.trim().to_owned()).collect()),
        };
        let model = session.model().await?;
        // Whoever knows kubectl calls it so.
        let within = self.within.or(timeout).unwrap_or(PATIENCE);
        for name in &kind_in_front(&self.names, &model) {
            if name.contains("/-/operation/") {
                let found = session.client.operation(name).await?;
                let entity = found.entity.clone().unwrap_or_default();
                let (_, made) = session.wait(name, &entity, Some(name), &Until::Gone, within).await?;
                for mixin in made {
                    session.output.text(&format!("{mixin}\n"))?;
                }
                continue;
            }
            let found = match session.find(name, &Among::All).await {
                // What is to go may have gone.
                Err(failure) if until == Until::Gone && failure.exit == crate::failure::Exit::NotFound => continue,
                found => found?,
            };
            let (entity, _) = session.wait(&found.name, &found.location, None, &until, within).await?;
            if let Some(entity) = entity.filter(|_| !session.output.is_for_people()) {
                session.output.show(&Record::entity(&entity, &model))?;
            }
        }
        Ok(())
    }
}
