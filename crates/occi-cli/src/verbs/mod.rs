//! One module for each verb: its options, and what it does.

mod act;
mod api;
mod apply;
mod attach;
mod completion;
mod console;
mod context;
mod create;
mod delete;
mod describe;
mod image;
mod list;
mod login;
mod man;
mod model;
mod show;
mod update;
mod values;
mod wait;
mod watch;

pub(crate) use attach::leads_to;
pub(crate) use list::column_names;

use crate::args::Global;
use crate::failure::{Failure, Result};
use crate::names::{Among, Found};
use crate::output::{Output, Record};
use crate::session::Session;
use clap::Subcommand;

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List what there is of a kind, of templates, or of operations
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show one thing, or several, in detail
    #[command(visible_alias = "get")]
    Show(show::Show),
    /// Make something
    Create(Box<create::Create>),
    /// Change attributes and mixins
    #[command(visible_alias = "set")]
    Update(update::Update),
    /// Delete things
    #[command(visible_alias = "rm")]
    Delete(delete::Delete),
    /// Start machines
    #[command(after_help = "Examples:\n  occi start web1\n  occi start web1 --wait=90s")]
    Start(act::Plain),
    /// Stop machines
    Stop(act::Stop),
    /// Restart machines
    Restart(act::Restart),
    /// Suspend machines
    Suspend(act::Suspend),
    /// Make a template of a machine
    Save(act::Save),
    /// Give volumes another size, or machines
    Resize(act::Resize),
    /// Invoke any action that the server offers
    Act(act::Act),
    /// Make everything as files say: create what is missing, change what differs
    Apply(apply::Apply),
    /// Show what `occi apply` would do; the exit status is 1 if there is something
    Diff(apply::Diff),
    /// Attach volumes to a machine, or let it join networks
    Attach(attach::Attach),
    /// Take volumes from a machine, or take it out of networks
    Detach(attach::Detach),
    /// Print what a machine wrote on its serial console
    #[command(visible_alias = "logs")]
    Log(console::Log),
    /// Sit down at the serial console of a machine
    Console(console::Console),
    /// Wait until something is as it should be
    Wait(wait::Wait),
    /// Print what changes, as it changes, until Ctrl-C
    Watch(watch::Watch),
    /// Say what a kind, a mixin or an action is
    #[command(visible_alias = "explain")]
    Describe(describe::Describe),
    /// Images to boot from: to the server and from it
    Image(image::Image),
    /// Everything that the server offers
    Model(model::ShowModel),
    /// Send a request as it is written, and print the answer
    Api(api::Api),
    /// Make a server known, check who asks there, and use it from now on
    Login(Box<login::Login>),
    /// Forget the password or the token of a server
    Logout(login::Logout),
    /// The servers that are known, and which one is used
    Context(context::ContextVerb),
    /// Print what makes a shell complete the words of this program
    Completion(completion::Completion),
    /// Write the manual: a page for the program and one for each verb
    Man(man::Man),
}

impl Verb {
    /// Whether Ctrl-C is its usual end.
    pub(crate) fn is_endless(&self) -> bool {
        match self {
            Self::Watch(watch) => watch.is_endless(),
            Self::Log(log) => log.follow,
            _ => false,
        }
    }

    pub(crate) async fn run(self, global: &Global) -> Result<()> {
        // Some need no server.
        let open = || Session::open(global);
        let output = || Output::new(global);
        let is_plain = matches!(
            self,
            Self::Api(_) | Self::Log(_) | Self::Console(_) | Self::Completion(_) | Self::Man(_)
        );
        if is_plain && global.output.is_some() {
            return Err(Failure::usage(
                "--output means nothing here: what comes is printed as it is",
            ));
        }
        match self {
            Self::List(list) => list.run(&open().await?).await,
            Self::Show(show) => show.run(&open().await?).await,
            Self::Create(create) => create.run(&open().await?).await,
            Self::Update(update) => update.run(&open().await?).await,
            Self::Delete(delete) => delete.run(&open().await?).await,
            Self::Start(start) => start.run("start", &open().await?).await,
            Self::Stop(stop) => stop.run(&open().await?).await,
            Self::Restart(restart) => restart.run(&open().await?).await,
            Self::Suspend(suspend) => suspend.run(&open().await?).await,
            Self::Save(save) => save.run(&open().await?).await,
            Self::Resize(resize) => resize.run(&open().await?).await,
            Self::Act(act) => act.run(&open().await?).await,
            Self::Apply(apply) => apply.run(&open().await?).await,
            Self::Diff(diff) => diff.run(&open().await?).await,
            Self::Attach(attach) => attach.run(&open().await?).await,
            Self::Detach(detach) => detach.run(&open().await?).await,
            Self::Log(log) => log.run(&open().await?).await,
            Self::Console(console) => console.run(&open().await?).await,
            Self::Wait(wait) => wait.run(global.timeout, &open().await?).await,
            Self::Watch(watch) => watch.run(&open().await?).await,
            Self::Describe(describe) => describe.run(&open().await?).await,
            Self::Image(image) => image.run(&open().await?).await,
            Self::Model(model) => model.run(&open().await?).await,
            Self::Api(api) => api.run(&open().await?).await,
            Self::Login(login) => login.run(global).await,
            Self::Logout(logout) => logout.run(global),
            Self::Context(context) => context.run(global),
            Self::Completion(completion) => completion.run(&output()),
            Self::Man(man) => man.run(&output()),
        }
    }
}

/// Does something with everything that is named. What fails is told, and does not keep the others from it; the first failure
/// decides how it ends. What comes of it is printed at the end, as one document.
async fn each(
    names: &[String],
    among: &Among,
    session: &Session,
    does: impl AsyncFn(Found) -> Result<Vec<Record>>,
) -> Result<()> {
    // Nothing is done before all names are clear.
    each_found(session.find_all(names, among).await?, session, does).await
}

async fn each_found(
    found: Vec<Found>,
    session: &Session,
    does: impl AsyncFn(Found) -> Result<Vec<Record>>,
) -> Result<()> {
    let is_one = found.len() == 1;
    let mut first = None;
    let mut records = Vec::new();
    for found in found {
        let name = found.name.clone();
        match does(found).await {
            Ok(come) => records.extend(come),
            Err(failure) if is_one => return Err(failure),
            Err(failure) => {
                let failure = match failure.message.starts_with(&name) {
                    true => failure,
                    false => failure.about(&name),
                };
                failure.print();
                first.get_or_insert(failure.exit);
            }
        }
    }
    session.output.show_all(records, is_one)?;
    first.map_or(Ok(()), |exit| Err(Failure::silent(exit)))
}
