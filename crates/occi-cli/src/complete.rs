//! Completion with live names: what a server offers, and what there is on it.
//!
//! The shell calls this program at every press of the key, so nothing is asked at the terminal, nothing takes long, and
//! whatever goes wrong means that there is nothing to offer.

use crate::args::{Cli, Global};
use crate::config::Contexts;
use crate::names::concrete;
use crate::session::Session;
use clap::{CommandFactory, FromArgMatches};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use futures::TryStreamExt;
use occi_client::{Listing, Mixin, Model};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// In the environment of a program that is asked for completions.
pub(crate) const VARIABLE: &str = "COMPLETE";

/// For so long a person waits for a completion.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many names are looked at.
const MOST: usize = 1000;

/// Whether a shell asks for completions: there is nobody to answer questions then.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Kinds, and what else `occi list` lists.
pub(crate) fn kinds() -> ArgValueCompleter {
    from_model(|model| {
        let kinds = concrete(model).map(|kind| (kind.id.term().to_owned(), kind.title.clone()));
        let families = model
            .mixins()
            .iter()
            .filter(|mixin| model.dependants(mixin.id.as_str()).next().is_some());
        let families = families.map(|mixin| (mixin.id.term().to_owned(), mixin.title.clone()));
        let others = ["operation", "kind", "mixin", "action"].map(|word| (word.to_owned(), String::new()));
        kinds.chain(families).chain(others).collect()
    })
}

/// Kinds, mixins and actions.
pub(crate) fn categories() -> ArgValueCompleter {
    from_model(|model| {
        let all = model.categories();
        all.map(|category| (category.id().term().to_owned(), category.title().to_owned()))
            .collect()
    })
}

/// Mixins.
pub(crate) fn mixins() -> ArgValueCompleter {
    from_model(|model| model.mixins().iter().map(named).collect())
}

/// Templates that depend on `parent`.
pub(crate) fn templates(parent: &'static str) -> ArgValueCompleter {
    from_model(move |model| model.dependants(parent).map(named).collect())
}

/// Actions.
pub(crate) fn actions() -> ArgValueCompleter {
    from_model(|model| {
        let all = model.actions().iter();
        all.map(|action| (action.id.term().to_owned(), action.title.clone()))
            .collect()
    })
}

/// Things by title, or by id where they have none or one that no shell takes as it is: of one kind, or of all.
pub(crate) fn names(kind: Option<&'static str>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let found = with_session(async |session| {
            let model = session.model().await.ok()?;
            let at = kind.map_or_else(|| "/".to_owned(), str::to_owned);
            let entities = session.client.entities(&at, &Listing::default()).await.ok()?;
            let mut entities = std::pin::pin!(entities);
            let mut found = Vec::new();
            while found.len() < MOST
                && let Ok(Some(entity)) = entities.try_next().await
            {
                // Links are named by few.
                if kind.is_none() && entity.is_link(&model) {
                    continue;
                }
                let state = entity.state(&model).map(|state| state.word).unwrap_or_default();
                let of = entity.kind.as_ref().map(|kind| kind.term()).unwrap_or_default();
                let title = entity.title().unwrap_or_default();
                found.push(match is_plain(title) {
                    true => (title.to_owned(), format!("{of} {state}")),
                    false => (entity.id.clone(), format!("{title} {of} {state}")),
                });
            }
            Some(found)
        });
        candidates(current, found.unwrap_or_default())
    })
}

/// Servers that are known.
pub(crate) fn contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let contexts = Contexts::load().unwrap_or_default().contexts.into_iter();
        let found = contexts.map(|(name, context)| (name, context.endpoint.unwrap_or_default()));
        candidates(current, found.collect())
    })
}

fn named(mixin: &Mixin) -> (String, String) {
    (mixin.id.term().to_owned(), mixin.title.clone())
}

fn from_model(look: impl Fn(&Model) -> Vec<(String, String)> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let found = with_session(async |session| Some(look(&*session.model().await.ok()?)));
        candidates(current, found.unwrap_or_default())
    })
}

fn candidates(current: &OsStr, mut found: Vec<(String, String)>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    found.retain(|(name, _)| name.starts_with(&*current) && is_plain(name));
    found.sort();
    found.dedup_by(|one, other| one.0 == other.0);
    let candidates = found.into_iter().map(|(name, help)| {
        let help = (!help.trim().is_empty()).then(|| help.replace(char::is_control, " ").into());
        CompletionCandidate::new(name).help(help)
    });
    candidates.collect()
}

/// Whether a shell takes a word as it is. What completes a command line is carried out when the key is pressed, and others
/// choose the titles.
fn is_plain(word: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._@:/+-".contains(&byte);
    !word.is_empty() && !word.starts_with('-') && word.bytes().all(is_safe)
}

/// Asks the server that the words on the command line name so far.
fn with_session<T>(ask: impl AsyncFnOnce(&Session) -> Option<T>) -> Option<T> {
    let mut global = typed_so_far(std::env::args_os().collect())?;
    global.debug = false;
    global.quiet = true;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let answer = async { ask(&Session::open(&global).await.ok()?).await };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await.ok()? })
}

/// The options that stand there already; the words after `--` are the command line that is being typed.
fn typed_so_far(args: Vec<OsString>) -> Option<Global> {
    let words = args.into_iter().skip_while(|word| word != "--").skip(1);
    let command = Cli::command().ignore_errors(true);
    let matches = command.try_get_matches_from(words).ok()?;
    Global::from_arg_matches(&matches).ok()
}
