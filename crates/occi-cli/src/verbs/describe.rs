//! `occi describe`.

use crate::complete;
use crate::failure::Result;
use crate::output::{Column, Look, Record};
use crate::session::Session;
use clap::Args;
use occi_client::{Category, ErrorKind};

/// Say what a kind, a mixin or an action is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi describe compute
  occi describe resource_tpl#small
  occi describe occi.compute.memory")]
pub(crate) struct Describe {
    /// A kind, a mixin or an action by term or identifier; or an attribute
    #[arg(value_name = "NAME", add = complete::categories())]
    name: String,
}

impl Describe {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let name = self.name.as_str();
        let could_be_attribute = name.contains('.') && !name.contains('#') && !name.contains('/');
        if could_be_attribute
            && let Err(error) = session.model().await?.category(name)
            && error.kind() == ErrorKind::NotFound
        {
            return self.attribute(session).await;
        }
        session
            .look_up(|model| match crate::names::kind(model, name) {
                Ok(_) => Ok(()),
                Err(_) => model.category(name).map(drop),
            })
            .await?;
        let model = session.client.model().await?;
        let category = match crate::names::kind(&model, name) {
            Ok(kind) => Category::Kind(kind),
            Err(_) => model.category(name)?,
        };
        session.output.show(&Record::category(category))
    }

    /// What defines an attribute, and how.
    async fn attribute(&self, session: &Session) -> Result<()> {
        let model = session.current_model().await?;
        let columns = vec![
            Column::new("definer", Look::Term).headed("OF"),
            Column::new("type", Look::Plain),
            Column::new("required", Look::Plain),
            Column::new("mutable", Look::Plain),
            Column::new("default", Look::Plain),
            Column::new("description", Look::Plain),
        ];
        let mut listing = session.output.list(columns, None);
        let mut is_known = false;
        for category in model.categories() {
            let record = Record::category(category);
            let Some(definition) = record.json.get("attributes").and_then(|all| all.get(&self.name)) else {
                continue;
            };
            is_known = true;
            let mut json = definition.clone();
            json["definer"] = category.id().as_str().into();
            listing.push(Record::other(category.id().as_str(), json))?;
        }
        if !is_known {
            return Err(crate::failure::Failure::new(
                crate::failure::Exit::NotFound,
                format!("the server defines no attribute {:?}", self.name),
            ));
        }
        listing.finish()
    }
}
