//! `occi list`.

use super::values::{attribute_name, definitions_of, gib, input};
use crate::complete;
use crate::failure::{Exit, Failure, Result};
use crate::names::{is_template_family, kind};
use crate::output::{Column, Look, Record, Sort};
use crate::session::Session;
use clap::Args;
use futures::{Stream, TryStreamExt};
use occi_client::{AttributeFilter, Category, ErrorKind, EventsOf, Filter, Input, Listing, Model, Operator};
use occi_model::AttributeDefinition;
use occi_model::infrastructure::{COMPUTE, NETWORK, STORAGE};
use occi_model::production::IPRESERVATION;
use std::str::FromStr;

/// So many events are listed where nobody says how many.
const EVENTS: usize = 100;
/// So many are asked for at once, and so many are looked through.
const EVENT_PAGE: u32 = 1000;
const EVENTS_SEEN: usize = 50_000;

/// List what there is of a kind, of templates, of operations, or of what happened
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi list compute
  occi list compute --filter state=active --sort -memory -o wide
  occi list os_tpl
  occi list operation --filter state=running
  occi list event --limit 20
  occi list network -o jsonpath='$[*].id'
  occi list kind")]
pub(crate) struct List {
    /// compute, network, storage, os_tpl, resource_tpl, operation, event, kind, mixin, action, or anything that `occi
    /// list kind` and `occi list mixin` show; without it, everything
    #[arg(value_name = "KIND", add = complete::kinds())]
    kind: Option<String>,
    #[command(flatten)]
    pick: Pick,
    /// Which columns of a table or of CSV, in which order: names of attributes, or members of the JSON form
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', add = complete::columns())]
    columns: Option<Vec<String>>,
}

/// Which of them, and in which order.
#[derive(Debug, Args)]
pub(super) struct Pick {
    /// Only what has this: NAME=VALUE, or NAME~PART for a part of a text
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<Condition>,
    /// By which column; with a - in front from the end
    #[arg(long, value_name = "[-]NAME", allow_hyphen_values = true, add = complete::columns())]
    sort: Option<String>,
    /// No more than so many
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    limit: Option<usize>,
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a limit is a number from 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// `NAME=VALUE`, `NAME~PART`.
#[derive(Clone, Debug)]
struct Condition {
    name: String,
    operator: Operator,
    value: String,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.find(['=', '~']).filter(|at| *at > 0);
        let at = at.ok_or("a filter is NAME=VALUE or NAME~PART")?;
        if text[at..].starts_with("~=") {
            return Err("a filter is NAME=VALUE or NAME~PART, and ~= is neither".to_owned());
        }
        Ok(Self {
            name: text[..at].trim().to_owned(),
            operator: match &text[at..=at] {
                "=" => Operator::Equal,
                _ => Operator::Contains,
            },
            value: text[at + 1..].to_owned(),
        })
    }
}

impl Condition {
    fn holds(&self, column: &Column, record: &Record) -> bool {
        let Some(value) = column.value(&record.json) else {
            return false;
        };
        let text = column.text(&record.json);
        let number = match column.look {
            Look::Gib => gib(&self.value).ok(),
            _ => self.value.parse().ok(),
        };
        match self.operator {
            Operator::Contains => text.contains(&self.value),
            Operator::Equal => {
                text == self.value
                    || text.rsplit('#').next() == Some(self.value.as_str())
                    || value.as_f64().is_some_and(|value| number == Some(value))
            }
        }
    }
}

impl List {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        if self.columns.is_some() && !session.output.format.has_columns() {
            return Err(
                Failure::usage("--columns goes with -o table, wide or csv: other forms have none")
                    .with_hint("what JSON shows is whole; -o jsonpath='$[*].title' picks from it"),
            );
        }
        match self.kind.as_deref() {
            None => self.entities(&session.client.endpoint().root(), None, session).await,
            Some("operation" | "operations") => self.operations(session).await,
            Some("event" | "events") => self.events(session).await,
            Some(class @ ("kind" | "kinds" | "mixin" | "mixins" | "action" | "actions")) => {
                let model = session.current_model().await?;
                let class = class.trim_end_matches('s');
                let of_class = model.categories().filter(|category| category.class().as_str() == class);
                let records = futures::stream::iter(of_class.map(Record::category).map(Ok));
                self.records(records, category_columns(), session).await
            }
            Some(name) => {
                let category = |model: &Model| match kind(model, name) {
                    Ok(kind) => Ok(kind.id.clone()),
                    Err(error) if error.kind() == ErrorKind::NotFound => model
                        .category(name)
                        .map(|category| category.id().clone())
                        .map_err(|_| error),
                    Err(error) => Err(error),
                };
                // Who shows no model has other troubles than this name.
                session.model().await?;
                let id = session.look_up(category).await.map_err(|failure| match failure.exit {
                    Exit::NotFound => failure.with_hint("occi list kind and occi list mixin show what it offers"),
                    _ => failure,
                })?;
                let model = session.model().await?;
                let is_family = |model: &Model| match model.get(id.as_str()) {
                    Some(Category::Mixin(mixin)) => is_template_family(mixin, model),
                    _ => false,
                };
                let model = match is_family(&model) {
                    true => session.current_model().await?,
                    false => model,
                };
                match model.get(id.as_str()) {
                    Some(Category::Mixin(mixin)) if is_template_family(mixin, &model) => {
                        let templates = model.dependants(id.as_str()).map(Category::Mixin).map(Record::category);
                        let templates = futures::stream::iter(templates.map(Ok));
                        self.records(templates, category_columns(), session).await
                    }
                    Some(Category::Action(_)) => {
                        Err(Failure::usage(format!("{id} is an action, of which there is no list")))
                    }
                    Some(category) => {
                        let at = category.location().unwrap_or("/").to_owned();
                        self.entities(&at, Some(category), session).await
                    }
                    None => Err(Failure::usage(format!("{id} has gone meanwhile"))),
                }
            }
        }
    }

    async fn entities(&self, at: &str, category: Option<Category<'_>>, session: &Session) -> Result<()> {
        let model = session.model().await?;
        let definitions: Vec<&AttributeDefinition> = match category {
            Some(Category::Kind(kind)) => definitions_of(kind, &model),
            Some(category) => category.attributes().iter().collect(),
            None => model.categories().flat_map(Category::attributes).collect(),
        };
        let mut filter = Filter::default();
        let mut conditions = Vec::new();
        for condition in &self.pick.filter {
            let name = full_name(&condition.name, &definitions)?;
            // What the server knows as an attribute it can look for itself; all is looked at again, since not every
            // server does. The standard has a word for what is equal alone.
            if name.contains('.') {
                let value = match condition.operator {
                    Operator::Equal => input(&name, &condition.value, &model)?,
                    Operator::Contains => Input::Quoted(condition.value.clone()),
                };
                let is_standard = condition.operator == Operator::Equal && !condition.value.is_empty();
                if is_standard || session.client.dialect().is_occid {
                    filter.attributes.push(AttributeFilter {
                        value,
                        name: name.parse().map_err(occi_client::Error::from)?,
                        operator: condition.operator,
                    });
                }
            }
            conditions.push((condition, Column::new(&name, Look::of_attribute(&name))));
        }
        let usual = || match category {
            Some(Category::Kind(kind)) => entity_columns(kind.id.as_str(), &model),
            _ => mixed_columns(),
        };
        let columns = self.columns(usual, &definitions)?;
        let mut listing = session
            .output
            .list(columns, self.sort(&definitions)?)
            .limited(self.pick.limit);
        let mut entities = session.client.entities(at, &Listing::of(filter)).await?;
        let ended = async {
            while !listing.is_full()
                && let Some(entity) = entities.try_next().await?
            {
                let record = Record::entity(&entity, &model);
                if conditions
                    .iter()
                    .all(|(condition, column)| condition.holds(column, &record))
                {
                    listing.push(record)?;
                }
            }
            Ok(())
        };
        let ended = ended.await;
        listing.finish_after(ended)
    }

    async fn operations(&self, session: &Session) -> Result<()> {
        session.model().await?;
        let is_open = |word: &str| matches!(word, "running" | "accepted");
        let open = self
            .pick
            .filter
            .iter()
            .any(|one| one.name == "state" && is_open(&one.value));
        let operations = session.client.operations(open);
        let columns = vec![
            Column::new("id", Look::Plain),
            Column::new("verb", Look::Title),
            Column::new("state", Look::State),
            Column::new("progress", Look::Percent),
            Column::new("step", Look::Plain),
            Column::new("entity", Look::Plain),
            Column::new("created", Look::Ago).headed("AGE"),
            Column::new("error", Look::Plain).wide(),
        ];
        self.records(operations.map_ok(|one| Record::operation(&one)), columns, session)
            .await
    }

    /// The last ones, in their order.
    async fn events(&self, session: &Session) -> Result<()> {
        let columns = vec![
            Column::new("number", Look::Plain).wide(),
            Column::new("time", Look::Ago).headed("AGE"),
            Column::new("what", Look::Title),
            Column::new("kind", Look::Term),
            Column::new("title", Look::Plain),
            Column::new("state", Look::State),
            Column::new("subject", Look::Plain),
            Column::new("project", Look::Plain).wide(),
            Column::new("operation", Look::Plain).wide(),
            Column::new("outcome", Look::State).wide(),
        ];
        let conditions = self.conditions()?;
        let holds = |record: &Record| conditions.iter().all(|(one, column)| one.holds(column, record));
        // The first in another order may be anywhere.
        let wanted = match (self.pick.limit, &self.pick.sort) {
            (Some(_), Some(_)) => usize::MAX,
            (limit, _) => limit.unwrap_or(EVENTS),
        };
        let number = match conditions.is_empty() {
            true => u32::try_from(wanted).unwrap_or(EVENT_PAGE).min(EVENT_PAGE),
            false => EVENT_PAGE,
        };
        let (mut found, mut seen) = (Vec::new(), 0);
        let mut of = EventsOf::default();
        loop {
            let page = session.client.events(&of, number).await?;
            // An empty page counts too, so that every server comes to an end.
            seen += page.events.len().max(1);
            found.extend(page.events.iter().rev().map(Record::event).filter(&holds));
            match page.more {
                Some(more) if found.len() < wanted => of = more,
                _ => break,
            }
            if seen >= EVENTS_SEEN {
                let first = of.before.unwrap_or_default();
                session
                    .output
                    .note(format!("events before the number {first} have not been looked at"));
                break;
            }
        }
        found.truncate(wanted);
        let events = futures::stream::iter(found.into_iter().rev().map(Ok));
        self.records(events, columns, session).await
    }

    /// What is no entity.
    async fn records(
        &self,
        mut records: impl Stream<Item = occi_client::Result<Record>> + Unpin,
        usual: Vec<Column>,
        session: &Session,
    ) -> Result<()> {
        let columns = self.columns(|| usual, &[])?;
        let mut listing = session.output.list(columns, self.sort(&[])?).limited(self.pick.limit);
        let conditions = self.conditions()?;
        while !listing.is_full()
            && let Some(record) = records.try_next().await?
        {
            if conditions.iter().all(|(one, column)| one.holds(column, &record)) {
                listing.push(record)?;
            }
        }
        listing.finish()
    }

    fn conditions(&self) -> Result<Vec<(&Condition, Column)>> {
        let conditions = self.pick.filter.iter();
        conditions.map(|one| Ok((one, column(&one.name, &[])?))).collect()
    }

    fn columns(
        &self,
        usual: impl FnOnce() -> Vec<Column>,
        definitions: &[&AttributeDefinition],
    ) -> Result<Vec<Column>> {
        let Some(names) = &self.columns else {
            return Ok(usual());
        };
        names.iter().map(|name| column(name, definitions)).collect()
    }

    fn sort(&self, definitions: &[&AttributeDefinition]) -> Result<Option<Sort>> {
        self.pick.sort(|name| column(name, definitions))
    }
}

impl Pick {
    fn sort(&self, column: impl Fn(&str) -> Result<Column>) -> Result<Option<Sort>> {
        let Some(text) = &self.sort else { return Ok(None) };
        let (name, descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text.as_str(), false),
        };
        Ok(Some(Sort {
            column: column(name)?,
            descending,
        }))
    }

    /// Lists what has these columns and no others.
    pub(super) fn list(
        &self,
        records: impl Iterator<Item = Record>,
        columns: Vec<Column>,
        session: &Session,
    ) -> Result<()> {
        let column = |name: &str| {
            let found = columns.iter().find(|column| column.name == name);
            found.cloned().ok_or_else(|| {
                let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
                Failure::usage(format!("there is no column {name:?}"))
                    .with_hint(format!("there are {}", names.join(", ")))
            })
        };
        let conditions = self.filter.iter().map(|one| Ok((one, column(&one.name)?)));
        let conditions: Vec<_> = conditions.collect::<Result<_>>()?;
        let sort = self.sort(column)?;
        let mut listing = session.output.list(columns.clone(), sort).limited(self.limit);
        for record in records {
            if conditions.iter().all(|(one, column)| one.holds(column, &record)) {
                listing.push(record)?;
            }
        }
        listing.finish()
    }
}

/// Members of entities, of categories, of operations and of events; their names need no looking up.
const MEMBERS: [&[&str]; 4] = [
    &[
        "kind",
        "id",
        "title",
        "summary",
        "state",
        "message",
        "location",
        "os",
        "size",
        "addresses",
        "source",
        "target",
        "mixins",
        "actions",
        "links",
    ],
    &[
        "class", "term", "title", "scheme", "location", "parent", "depends", "applies", "actions",
    ],
    &[
        "id", "verb", "state", "progress", "step", "entity", "error", "created", "finished", "deadline",
    ],
    &[
        "number",
        "time",
        "what",
        "kind",
        "title",
        "state",
        "subject",
        "entity",
        "project",
        "operation",
        "outcome",
    ],
];

/// What `--columns` and `--sort` understand of what is listed under a name.
pub(crate) fn column_names(kind_name: Option<&str>, model: &Model) -> Vec<String> {
    let [of_entities, of_categories, of_operations, of_events] = MEMBERS;
    let kind = kind_name.and_then(|name| kind(model, name).ok());
    let members = match kind_name {
        Some("operation" | "operations") => of_operations,
        Some("event" | "events") => of_events,
        Some(_) if kind.is_none() => of_categories,
        _ => of_entities,
    };
    let definitions = kind.map(|kind| definitions_of(kind, model)).unwrap_or_default();
    let names = definitions.iter().map(|definition| definition.name.as_str());
    let last = names.clone().filter_map(|name| name.rsplit('.').next());
    let short = last.filter(|short| attribute_name(short, &definitions).is_ok());
    let all = members.iter().copied().chain(short).chain(names);
    all.map(str::to_owned).collect()
}

/// The member or the attribute that a name means.
///
/// # Errors
/// There is neither, or several attributes end so.
fn full_name(name: &str, definitions: &[&AttributeDefinition]) -> Result<String> {
    let has = |full: &str| definitions.iter().any(|one| one.name.as_str() == full);
    match name {
        "name" => return Ok("title".to_owned()),
        // The size of a volume is its attribute, that of a machine its template.
        _ if MEMBERS.concat().contains(&name) && !has(&format!("occi.storage.{name}")) => return Ok(name.to_owned()),
        _ => {}
    }
    let full = attribute_name(name, definitions)?;
    if has(&full) {
        return Ok(full);
    }
    let mut members = MEMBERS.concat();
    members.sort_unstable();
    members.dedup();
    let mut known: Vec<_> = definitions.iter().map(|one| one.name.as_str()).collect();
    known.sort_unstable();
    known.dedup();
    Err(Failure::usage(format!("there is no column {name:?}"))
        .with_hint(format!("there are {}", members.join(", ")))
        .with_hint(known.join(", ")))
}

fn column(name: &str, definitions: &[&AttributeDefinition]) -> Result<Column> {
    let full = full_name(name, definitions)?;
    let look = match full.as_str() {
        "kind" | "os" | "size" | "mixins" => Look::Term,
        "title" => Look::Title,
        "state" => Look::State,
        "created" | "finished" | "time" => Look::Ago,
        "progress" => Look::Percent,
        name => Look::of_attribute(name),
    };
    Ok(Column::new(&full, look))
}

fn category_columns() -> Vec<Column> {
    vec![
        Column::new("term", Look::Title),
        Column::new("title", Look::Plain),
        Column::new("location", Look::Plain).wide(),
        Column::new("scheme", Look::Plain),
    ]
}

fn mixed_columns() -> Vec<Column> {
    vec![
        Column::new("kind", Look::Term),
        Column::new("title", Look::Title),
        Column::new("state", Look::State),
        Column::new("id", Look::Short),
        Column::new("message", Look::Plain).wide(),
        Column::new("location", Look::Plain).wide(),
    ]
}

/// What people want to see of a kind.
fn entity_columns(kind: &str, model: &Model) -> Vec<Column> {
    let mut columns = vec![Column::new("title", Look::Title), Column::new("state", Look::State)];
    let is = |ancestor: &str| model.descends_from(kind, ancestor);
    let attribute = |name: &str| Column::new(name, Look::of_attribute(name));
    if is(COMPUTE) {
        columns.extend([
            attribute("occi.compute.cores"),
            attribute("occi.compute.memory"),
            Column::new("addresses", Look::Plain),
            Column::new("os", Look::Term),
            Column::new("size", Look::Term).wide(),
        ]);
    } else if is(IPRESERVATION) {
        columns.extend([
            attribute("occi.ipreservation.address"),
            attribute("occi.ipreservation.used"),
        ]);
    } else if is(NETWORK) {
        columns.extend([
            attribute("occi.network.address"),
            attribute("occi.network.gateway").wide(),
            attribute("occi.network.allocation").wide(),
            attribute("occi.network.vlan").wide(),
        ]);
    } else if is(STORAGE) {
        columns.push(attribute("occi.storage.size"));
    } else if model.is_link(kind) {
        columns.remove(0);
        columns.extend([
            Column::new("source", Look::Plain),
            Column::new("target", Look::Plain),
            Column::new("addresses", Look::Plain),
        ]);
    } else if let Some(Category::Kind(kind)) = model.get(kind) {
        // A kind that nobody here knows: what it says of itself.
        let is_core = |name: &str| name.starts_with("occi.core.") || name.contains(".state");
        let own = kind.attributes.iter().map(|definition| definition.name.as_str());
        columns.extend(own.filter(|name| !is_core(name)).take(4).map(attribute));
    }
    columns.extend([
        Column::new("id", Look::Short),
        Column::new("message", Look::Plain).wide(),
        Column::new("location", Look::Plain).wide(),
    ]);
    columns
}
