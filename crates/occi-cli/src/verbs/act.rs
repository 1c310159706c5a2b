//! Actions: `occi start`, `stop`, `restart`, `suspend`, `save`, `resize`, and `act` for all others.

use super::each;
use super::values::{Assignment, gib, input};
use crate::complete;
use crate::failure::{Failure, Result};
use crate::names::{Among, Found, kind_in_front};
use crate::output::Record;
use crate::progress::Waiting;
use crate::session::Session;
use clap::{Args, ValueEnum};
use occi_client::{Done, EntityDraft, Input, Until};
use occi_model::infrastructure::COMPUTE;
use occi_model::templates::RESOURCE_TPL;

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
  occi save web1 --as gold --method hot --wait")]
pub(crate) struct Save {
    #[command(flatten)]
    on: Plain,
    /// What the template shall be called
    #[arg(long = "as", value_name = "NAME")]
    title: Option<String>,
    /// hot copies while it runs, deferred waits until it is stopped
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
}

/// Give a volume another size, or a machine
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi resize data 20G
  occi resize web1 large")]
pub(crate) struct Resize {
    /// What it is called, and its size: of a volume 20G, of a machine a template (occi list resource_tpl)
    #[arg(value_name = "[KIND] NAME SIZE", required = true, num_args = 2..=3, add = complete::names(None))]
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
        let among = Among::WithAction(action.to_owned());
        each(&self.names, &among, session, async |found| {
            if self.dry_run {
                return session
                    .output
                    .text(&format!("would {action} {} ({})\n", found.name, found.location));
            }
            act(&found, action, parameters, self.waiting, session).await
        })
        .await
    }
}

/// Invokes an action, and waits if that is wanted.
async fn act(
    found: &Found,
    action: &str,
    parameters: &[(&str, Input)],
    waiting: Waiting,
    session: &Session,
) -> Result<()> {
    let done = session
        .client
        .act(&found.location, action, parameters, &waiting.write())
        .await?;
    finish(found, action, done, waiting, session).await
}

async fn finish(found: &Found, action: &str, done: Done, waiting: Waiting, session: &Session) -> Result<()> {
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
        if let Some(until) = until {
            let (_, mixins) = session
                .wait(&found.name, &found.location, operation, &until, limit)
                .await?;
            if made.is_empty() {
                made = mixins;
            }
        }
    }
    for mixin in made {
        session.output.text(&format!("{mixin}\n"))?;
    }
    if session.output.is_for_people() {
        let words = match (waiting.wait, &done.operation) {
            (None, Some(operation)) => format!("{}: {action} goes on: occi show {operation}", found.name),
            _ => format!("{}: {action} done", found.name),
        };
        session.output.note(words);
        return Ok(());
    }
    let entity = session.client.show(&found.location).await?;
    session.output.show(&Record::entity(&entity, &*session.model().await?))
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
        let typed = |text: &Option<String>| text.as_deref().map(|text| Input::Typed(text.into()));
        let mut parameters = Vec::new();
        parameters.extend(typed(&self.title).map(|name| ("name", name)));
        parameters.extend(typed(&self.method).map(|method| ("method", method)));
        self.on.invoke("save", &parameters, session).await
    }
}

impl Resize {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let model = session.model().await?;
        let (Some(name), Some(size)) = (self.words.first(), self.words.last()) else {
            return Err(Failure::usage("resize what, and to which size?"));
        };
        let words = &self.words[..self.words.len() - 1];
        let name = kind_in_front(words, &model).pop().unwrap_or_else(|| name.clone());
        let found = session.find(&name, &Among::All).await?;
        let kind = model
            .kind_at(&found.location)
            .map(|kind| kind.id.as_str())
            .unwrap_or_default();
        if self.dry_run {
            return session
                .output
                .text(&format!("would resize {} to {}\n", found.name, size));
        }
        if !model.descends_from(kind, COMPUTE) {
            let size = gib(size).map_err(Failure::usage)?;
            return act(
                &found,
                "resize",
                &[("size", Input::Typed(size.into()))],
                self.waiting,
                session,
            )
            .await;
        }
        let draft = EntityDraft {
            mixins: vec![
                session
                    .look_up(|model| model.template(RESOURCE_TPL, size).map(|size| size.id.clone()))
                    .await?,
            ],
            ..EntityDraft::default()
        };
        let done = session
            .client
            .update(&found.location, &draft, &self.waiting.write())
            .await?;
        finish(&found, "resize", done, self.waiting, session).await
    }
}

impl Act {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let model = session.model().await?;
        let mut parameters = Vec::new();
        for Assignment { name, value } in &self.parameters {
            parameters.push((name.as_str(), input(name, value, &model)?));
        }
        self.on.invoke(&self.action, &parameters, session).await
    }
}
