//! `occi show`.

use crate::complete;
use crate::failure::{Failure, Result};
use crate::names::{Among, kind_in_front, mixins};
use crate::output::Record;
use crate::session::Session;
use clap::Args;
use occi_client::Model;

/// Show one thing, or several, in detail
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi show web1
  occi show compute/web1 -o yaml
  occi show web1 -o jsonpath='$.addresses[0]'
  occi show os_tpl#tiny
  occi show operation 01a22653-56dc-7318-b8a2-eb429ecadc35")]
pub(crate) struct Show {
    /// What it is called; a kind may stand in front, as in `occi show compute web1 web2`
    #[arg(value_name = "[KIND] NAME", required = true, num_args = 1.., add = complete::names(None))]
    names: Vec<String>,
}

impl Show {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let model = session.model().await?;
        let (kind, names) = class_in_front(self.names, &model);
        let mut records = Vec::new();
        for name in &names {
            records.push(one(kind.as_deref(), name, &model, session).await?);
        }
        session.output.show_all(records, names.len() == 1)
    }
}

/// What has a word for it in front that is no kind, and other names.
fn class_in_front(mut names: Vec<String>, model: &Model) -> (Option<String>, Vec<String>) {
    if let Some(mixins) = mixins(&names, model) {
        return (Some("mixin".to_owned()), mixins);
    }
    let is_class = |name: &String| ["operation", "kind", "action"].contains(&name.as_str());
    if names.len() > 1 && names.first().is_some_and(is_class) {
        let class = names.remove(0);
        return (Some(class), names);
    }
    (None, kind_in_front(&names, model))
}

/// Where an operation is that is named by its id or by its path.
pub(super) fn operation_path(name: &str, session: &Session) -> String {
    match name.contains('/') {
        true => name.to_owned(),
        false => format!("{}/-/operation/{name}", session.client.endpoint().base_path()),
    }
}

async fn one(kind: Option<&str>, name: &str, model: &Model, session: &Session) -> Result<Record> {
    let is_operation = kind == Some("operation") || name.contains("/-/operation/");
    if is_operation {
        let operation = session.client.operation(&operation_path(name, session)).await?;
        return Ok(Record::operation(&operation));
    }
    let is_category = name.contains('#') || matches!(kind, Some("mixin" | "kind" | "action"));
    if is_category {
        session.current_model().await?;
        session.look_up(|model| model.category(name).map(drop)).await?;
        return Ok(Record::category(session.client.model().await?.category(name)?));
    }
    let found = session.find(name, &Among::All).await?;
    let entity = session.client.show(&found.location).await;
    let entity = entity.map_err(|error| Failure::from(error).about(name))?;
    Ok(Record::entity(&entity, model))
}
