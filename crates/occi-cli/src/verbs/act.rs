//! Actions: `occi start`, `stop`, `restart`, `suspend`, `save`, `resize`, and `act` for all others.

use super::values::{Assignment, gib, input};
use super::{each, each_found};
use crate::complete;
use crate::failure::{Exit, Failure, Result};
use crate::names::{Among, Found};
use crate::output::Record;
use crate::progress::Waiting;
use crate::session::Session;
use clap::{Args, ValueEnum};
use occi_client::{Done, Entity, EntityDraft, ErrorKind, Input, Model, Until};
use occi_model::infrastructure::{COMPUTE, COMPUTE_ACTION};
use occi_model::templates::RESOURCE_TPL;
use occi_model::{AttributeDefinition, Registry, TypeId, ValueType};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::fmt::{self, Display};

/// On what, and whether to wait.
#[derive(Debug, Args)]
pub(crate) struct Plain {
    /// What it is called
    #[arg(value_name = "NAME", required = true, num_args = 1.., add = complete::actionable())]
    names: Vec<String>,
    #[command(flatten)]
    waiting: Waiting,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Stop machines
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi stop web1
  occi stop web1 web2 --method poweroff
  occi stop web1 --wait=90s")]
pub(crate) struct Stop {
    #[command(flatten)]
    on: Plain,
    /// graceful asks the system in it, acpioff presses its button, poweroff pulls the plug
    #[arg(long, value_enum, default_value_t = StopMethod::Graceful)]
    method: StopMethod,
}

/// How to stop (GFD.224).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StopMethod {
    Graceful,
    Acpioff,
    Poweroff,
}

/// Restart machines
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi restart web1
  occi restart web1 --method cold")]
pub(crate) struct Restart {
    #[command(flatten)]
    on: Plain,
    /// graceful asks the system in it, warm resets it, cold takes the power away and gives it back
    #[arg(long, value_enum, default_value_t = RestartMethod::Graceful)]
    method: RestartMethod,
}

/// How to restart (GFD.224).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RestartMethod {
    Graceful,
    Warm,
    Cold,
}

/// Suspend machines
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi suspend web1
  occi suspend web1 --method hibernate")]
pub(crate) struct Suspend {
    #[command(flatten)]
    on: Plain,
    /// suspend keeps it in memory, hibernate puts it on disk
    #[arg(long, value_enum, default_value_t = SuspendMethod::Suspend)]
    method: SuspendMethod,
}

/// How to suspend (GFD.224).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SuspendMethod {
    Suspend,
    Hibernate,
}

/// Make a template of a machine
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi save web1 --as gold
  occi save web1 --as gold --wait
  occi save web1 --as gold --method deferred")]
pub(crate) struct Save {
    #[command(flatten)]
    on: Plain,
    /// What the template shall be called
    #[arg(long = "as", value_name = "NAME")]
    title: Option<String>,
    /// hot copies while it runs, deferred stops it for that and starts it again [default: hot of one that runs, where the
    /// server has it]
    #[arg(long, value_enum)]
    method: Option<SaveMethod>,
}

/// How to save (GFD.224).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SaveMethod {
    Hot,
    Deferred,
}

/// Give volumes another size, or machines
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi resize data 20G
  occi resize web1 web2 large")]
pub(crate) struct Resize {
    /// What it is called, and at the end the size: of a volume 20G, of a machine a template (occi list resource_tpl)
    #[arg(value_name = "[KIND] NAME SIZE", required = true, num_args = 2.., add = complete::names(None))]
    words: Vec<String>,
    #[command(flatten)]
    waiting: Waiting,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Invoke any action that the server offers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi act up lan
  occi act offline data
  occi act snapshot data --wait
  occi act stop web1 -p method=acpioff")]
pub(crate) struct Act {
    /// Its name (occi list action)
    #[arg(value_name = "ACTION", add = complete::actions())]
    action: String,
    #[command(flatten)]
    on: Plain,
    /// What the action wants to know
    #[arg(short, long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<Assignment>,
}

fn word(method: impl ValueEnum) -> Input {
    let value = method.to_possible_value();
    Input::Typed(value.as_ref().map(|value| value.get_name()).unwrap_or_default().into())
}

impl Plain {
    pub(crate) async fn run(self, action: &str, session: &Session) -> Result<()> {
        self.invoke(action, &[], session).await
    }

    async fn invoke(self, action: &str, parameters: &[(&str, Input)], session: &Session) -> Result<()> {
        let is_known = |model: &Model| match model.action(action, None) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let known = session.look_up(is_known).await;
        known.map_err(|failure| failure.with_hint("occi list action shows which there are"))?;
        let found = match session
            .find_all(&self.names, &Among::WithAction(action.to_owned()))
            .await
        {
            // What has no such action is told so.
            Err(failure) if failure.exit == Exit::NotFound && !self.dry_run => {
                session.find_all(&self.names, &Among::All).await?
            }
            found => found?,
        };
        let model = session.model().await?;
        each_found(found, session, async |found| {
            is_complete(&found, action, parameters, &model)?;
            if self.dry_run {
                return would(action, &found, "", parameters, session);
            }
            act(&found, action, parameters, self.waiting, session).await
        })
        .await
    }
}

/// Says what would be done with something, and how.
fn would(action: &str, on: &Found, how: &str, parameters: &[(&str, Input)], session: &Session) -> Result<Vec<Record>> {
    let value = |value: &Input| match value {
        Input::Typed(value) => value.to_json(),
        Input::Token(text) | Input::Quoted(text) => text.as_str().into(),
        Input::Null => Json::Null,
    };
    let values = parameters.iter();
    let values = values.map(|(name, given)| ((*name).to_owned(), value(given)));
    let what = json!({
        "would": action,
        "name": on.name,
        "location": on.location,
        "parameters": values.collect::<Json>(),
    });
    session
        .output
        .would(format_args!("{action} {} ({}){how}", on.name, on.location), what)
}

/// Refuses what lacks a parameter that has to be given.
fn is_complete(found: &Found, action: &str, parameters: &[(&str, Input)], model: &Model) -> Result<()> {
    let kind = model.kind_at(&found.location).map(|kind| &kind.id);
    let Some(action) = kind.and_then(|kind| model.action(action, Some((kind, &[]))).ok()) else {
        return Ok(());
    };
    let is_given = |name: &str| parameters.iter().any(|(given, _)| *given == name);
    let is_missing = |one: &&AttributeDefinition| one.required && one.default.is_none() && !is_given(one.name.as_str());
    match action.attributes.iter().find(is_missing) {
        None => Ok(()),
        Some(missing) => {
            let message = format!("{} needs {}, which is missing", action.id.term(), missing.name);
            Err(Failure::usage(message).with_hint(format!("--parameter {}=VALUE says it", missing.name)))
        }
    }
}

/// Invokes an action, and waits if that is wanted.
async fn act(
    found: &Found,
    action: &str,
    parameters: &[(&str, Input)],
    waiting: Waiting,
    session: &Session,
) -> Result<Vec<Record>> {
    let done = session
        .client
        .act(&found.location, action, parameters, &waiting.write())
        .await?;
    finish(found, action, done, waiting, session).await
}

/// Waits if that is wanted, and says what came of it: for machines the templates that were made, else what has changed.
async fn finish(found: &Found, action: &str, done: Done, waiting: Waiting, session: &Session) -> Result<Vec<Record>> {
    let mut made: Vec<_> = done.mixins.iter().map(|mixin| mixin.id.clone()).collect();
    if let Some(limit) = waiting.wait {
        let state = |word: &str| Some(Until::State(vec![word.to_owned()]));
        let until = match action {
            "start" | "restart" | "online" | "up" => Some(Until::Up),
            "stop" | "down" => state("inactive"),
            "suspend" => state("suspended"),
            "offline" => state("offline"),
            // Its end is that of its operation, or nobody can tell it.
            _ => None,
        };
        let operation = done.operation.as_deref();
        let until = until.or_else(|| operation.map(|_| Until::Up));
        if action == "restart" && operation.is_none() {
            session.goes_down(&found.location, limit).await?;
        }
        if let Some(until) = until {
            let (_, mixins) = session
                .wait(&found.name, &found.location, operation, &until, limit)
                .await?;
            if made.is_empty() {
                made = mixins;
            }
        }
    }
    if session.output.is_for_people() {
        for mixin in made {
            session.output.text(&format!("{mixin}\n"))?;
        }
        let words = match (waiting.wait, &done.operation) {
            (None, Some(operation)) => format!("{}: {action} goes on: occi show {operation}", found.name),
            _ => format!("{}: {action} done", found.name),
        };
        session.output.note(words);
        return Ok(Vec::new());
    }
    if !made.is_empty() {
        return Ok(new_mixins(&made, session).await);
    }
    let entity = session.client.show(&found.location).await?;
    Ok(vec![Record::entity(&entity, &*session.model().await?)])
}

/// Mixins that the server has made a moment ago. One that does not show them all the same has said what they are called.
pub(super) async fn new_mixins(ids: &[TypeId], session: &Session) -> Vec<Record> {
    let model = session.client.discover().await.ok();
    session.keep_model();
    let known = |id: &TypeId| Some(Record::category(model.as_ref()?.get(id.as_str())?));
    ids.iter()
        .map(|id| known(id).unwrap_or_else(|| Record::other(id.to_string(), json!({ "id": id.as_str() }))))
        .collect()
}

impl Stop {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        self.on.invoke("stop", &[("method", word(self.method))], session).await
    }
}

impl Restart {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        self.on
            .invoke("restart", &[("method", word(self.method))], session)
            .await
    }
}

impl Suspend {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        self.on
            .invoke("suspend", &[("method", word(self.method))], session)
            .await
    }
}

impl Save {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let model = session.model().await?;
        let among = Among::WithAction("save".to_owned());
        each(&self.on.names, &among, session, async |found| {
            let entity = session.client.show(&found.location).await?;
            let is_running = entity.state(&model).is_some_and(|state| state.word == "active");
            // The standard's own choice stops it.
            let usual = || Some(SaveMethod::Hot).filter(|_| is_running && knows_methods(&entity, &model));
            let method = self.method.or_else(usual);
            let is_stopped = is_running && method != Some(SaveMethod::Hot);
            let mut parameters = Vec::new();
            parameters.extend(self.title.as_deref().map(|name| ("name", Input::Typed(name.into()))));
            parameters.extend(method.map(|method| ("method", word(method))));
            if self.on.dry_run {
                let how = match (is_running, is_stopped) {
                    (_, true) => ": it is stopped for its copy and started again",
                    (true, false) => ": it goes on running meanwhile",
                    (false, false) => "",
                };
                return would("save", &found, how, &parameters, session);
            }
            if is_stopped {
                let words = format!("{} is stopped for its copy and started again", found.name);
                session.output.note(words);
            }
            act(&found, "save", &parameters, self.on.waiting, session).await
        })
        .await
    }
}

/// Whether the save of a machine is that of the standard, with its methods.
fn knows_methods(entity: &Entity, model: &Model) -> bool {
    let kind = entity.kind.as_ref();
    let action = kind.and_then(|kind| model.action("save", Some((kind, &entity.mixins))).ok());
    action.is_some_and(|action| {
        let is_standard = action.id.scheme() == COMPUTE_ACTION;
        is_standard
            && action
                .attributes
                .iter()
                .any(|parameter| parameter.name.as_str() == "method")
    })
}

impl Resize {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let Some((size, names)) = self.words.split_last() else {
            return Err(Failure::usage("resize what, and to which size?"));
        };
        let found = session.find_all(names, &Among::All).await?;
        // Nothing is done before the size is clear for all.
        let mut sizes = HashMap::new();
        for one in &found {
            sizes.insert(one.location.clone(), self.size(one, size, session).await?);
        }
        each_found(found, session, async |found| match &sizes[&found.location] {
            size if self.dry_run => {
                let parameter = [("size", size.input())];
                would("resize", &found, &format!(" to {size}"), &parameter, session)
            }
            Size::Template(id) => {
                let draft = EntityDraft {
                    mixins: vec![id.clone()],
                    ..EntityDraft::default()
                };
                let done = session
                    .client
                    .update(&found.location, &draft, &self.waiting.write())
                    .await?;
                finish(&found, "resize", done, self.waiting, session).await
            }
            size @ Size::Gib(_) => {
                let size = [("size", size.input())];
                act(&found, "resize", &size, self.waiting, session).await
            }
        })
        .await
    }

    async fn size(&self, found: &Found, text: &str, session: &Session) -> Result<Size> {
        let model = session.model().await?;
        let kind = model.kind_at(&found.location).map(|kind| kind.id.as_str());
        if !model.descends_from(kind.unwrap_or_default(), COMPUTE) {
            return Ok(Size::Gib(gib(text).map_err(Failure::usage)?));
        }
        let template = |model: &Model| model.template(RESOURCE_TPL, text).map(|size| size.id.clone());
        Ok(Size::Template(session.look_up(template).await?))
    }
}

/// Of a machine or of a volume.
enum Size {
    Template(TypeId),
    Gib(f64),
}

impl Size {
    fn input(&self) -> Input {
        Input::Typed(match self {
            Self::Template(id) => id.as_str().into(),
            Self::Gib(size) => (*size).into(),
        })
    }
}

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template(id) => write!(f, "{id}"),
            Self::Gib(size) => write!(f, "{size} GiB"),
        }
    }
}

/// A parameter as the documents type it for this action, else as any other value.
fn parameter(action: &str, name: &str, text: &str, model: &Model) -> Result<Input> {
    let documents = Registry::standard();
    let is_meant = |id: &TypeId| id.term() == action || id.as_str() == action;
    let actions = documents.actions().iter().filter(|action| is_meant(&action.id));
    let types: Vec<_> = actions
        .flat_map(|action| &action.attributes)
        .filter(|definition| definition.name.as_str() == name)
        .map(|definition| &definition.value_type)
        .collect();
    let token = Input::Token(text.to_owned());
    if let Some(value) = types.iter().find_map(|value_type| value_type.read(&token)) {
        return Ok(Input::Typed(value));
    }
    match types.as_slice() {
        [ValueType::Enum { values, .. }, ..] => Err(Failure::usage(format!(
            "{name} of {action} is one of {}, and {text:?} is none",
            values.join(", ")
        ))),
        _ => input(name, text, model),
    }
}

impl Act {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let model = session.model().await?;
        let mut parameters = Vec::new();
        for Assignment { name, value } in &self.parameters {
            parameters.push((name.as_str(), parameter(&self.action, name, value, &model)?));
        }
        self.on.invoke(&self.action, &parameters, session).await
    }
}
