//! `occi context`.

use super::login::record;
use crate::args::Global;
use crate::complete;
use crate::config::{Contexts, Secrets};
use crate::failure::Result;
use crate::output::{Column, Look, Output};
use clap::{Args, Subcommand};
use serde_json::json;

/// The servers that are known, and which one is used
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi context
  occi context use lab
  occi context show lab -o json
  occi --context lab list compute  (for once)")]
pub(crate) struct ContextVerb {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List them
    #[command(visible_alias = "ls")]
    List,
    /// Use one from now on
    Use {
        /// Which
        #[arg(add = complete::contexts())]
        name: String,
    },
    /// Show one in detail
    #[command(visible_alias = "get")]
    Show {
        /// Which [the current one]
        #[arg(add = complete::contexts())]
        name: Option<String>,
    },
    /// Give one another name
    Rename {
        /// Which
        #[arg(add = complete::contexts())]
        name: String,
        /// Its new name
        new: String,
    },
    /// Forget one, and its password or token
    #[command(visible_alias = "rm")]
    Remove {
        /// Which
        #[arg(add = complete::contexts())]
        name: String,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

impl ContextVerb {
    pub(crate) fn run(self, global: &Global) -> Result<()> {
        let output = Output::new(global);
        match self.what.unwrap_or(What::List) {
            What::List => list(&output),
            What::Use { name } => {
                Contexts::use_named(&name)?;
                output.note(format!("{name} is used from now on"));
                Ok(())
            }
            What::Show { name } => {
                let contexts = Contexts::load()?;
                let (name, context) = contexts.named(name.as_deref().or(global.context.as_deref()))?;
                let is_current = contexts.current.as_ref() == Some(&name);
                output.show(&record(&name, context, is_current))
            }
            What::Rename { name, new } => {
                Contexts::load()?.check_rename(&name, &new)?;
                // A secret whose context is gone would stay for ever.
                Secrets::rename(&name, &new)?;
                Contexts::rename(&name, &new)
            }
            What::Remove { name, dry_run: true } => {
                Contexts::load()?.get(&name)?;
                let what = json!({ "would": "remove", "name": name });
                let would = output.would(format_args!("forget {name}, and its password or token"), what)?;
                output.show_all(would, true)
            }
            What::Remove { name, dry_run: false } => {
                Contexts::load()?.get(&name)?;
                Secrets::forget(&name)?;
                Contexts::remove(&name)
            }
        }
    }
}

fn list(output: &Output) -> Result<()> {
    let columns = vec![
        Column::new("current", Look::Mark).headed(""),
        Column::new("name", Look::Title),
        Column::new("endpoint", Look::Plain),
        Column::new("auth", Look::Plain),
        Column::new("user", Look::Plain),
        Column::new("project", Look::Plain),
        Column::new("keystone", Look::Plain).wide(),
        Column::new("issuer", Look::Plain).wide(),
    ];
    let contexts = Contexts::load()?;
    let mut listing = output.list(columns, None);
    for (name, context) in &contexts.contexts {
        listing.push(record(name, context, contexts.current.as_ref() == Some(name)))?;
    }
    listing.finish()
}
