//! `occi model`.

use crate::failure::Result;
use crate::output::{Column, Format, Look, Record};
use crate::session::Session;
use clap::Args;
use occi_model::Class;
use serde_json::{Value as Json, json};

/// Everything that the server offers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi model
  occi model -o json
  occi model -o occi")]
pub(crate) struct ShowModel {}

impl ShowModel {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let model = session.current_model().await?;
        // The query interface is an object with three lists (GFD.226, 4).
        if matches!(session.output.format, Format::Occi) {
            let of = |class: Class| -> Vec<Json> {
                let of_class = model.categories().filter(|category| category.class() == class);
                of_class.map(|category| Record::category(category).occi).collect()
            };
            let all = json!({ "kinds": of(Class::Kind), "mixins": of(Class::Mixin), "actions": of(Class::Action) });
            return session.output.show(&Record::other("/-/", all));
        }
        let columns = vec![
            Column::new("class", Look::Plain),
            Column::new("term", Look::Title),
            Column::new("title", Look::Plain),
            Column::new("location", Look::Plain),
            Column::new("scheme", Look::Plain).wide(),
        ];
        let mut listing = session.output.list(columns, None);
        for category in model.categories() {
            listing.push(Record::category(category))?;
        }
        listing.finish()
    }
}
