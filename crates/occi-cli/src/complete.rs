//! Completion with live names: what a server offers, and what there is on it.
//!
//! The shell calls this program at every press of the key, so nothing is asked at the terminal, nothing takes long, and
//! whatever goes wrong means that there is nothing to offer.

use crate::args::{Cli, Global};
use crate::config::{Contexts, renewed};
use crate::names::{concrete, kind};
use crate::output::Format;
use crate::session::Session;
use crate::verbs::{column_names, leads_to};
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use futures::TryStreamExt;
use occi_client::{Entity, Listing, Mixin, Model};
use std::ffi::{OsStr, OsString};
use std::sync::LazyLock;
use std::time::Duration;

/// In the environment of a program that is asked for completions.
pub(crate) const VARIABLE: &str = "COMPLETE";

/// For so long a person waits for a completion.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many names are looked at.
const MOST: usize = 1000;

/// Which shell asks for completions, if one does. Looked at first before completion begins, which takes the variable away
/// from what it starts.
static SHELL: LazyLock<Option<OsString>> = LazyLock::new(|| std::env::var_os(VARIABLE));

/// Whether a shell asks for completions: there is nobody to answer questions then.
pub(crate) fn is_asked_for() -> bool {
    SHELL.is_some()
}

fn shell() -> &'static str {
    SHELL.as_deref().and_then(OsStr::to_str).unwrap_or_default()
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
        let others = ["operation", "event", "kind", "mixin", "action"].map(|word| (word.to_owned(), String::new()));
        kinds.chain(families).chain(others).collect()
    })
}

/// What can be made: kinds, and mixins.
pub(crate) fn makeable() -> ArgValueCompleter {
    from_model(|model| {
        let kinds = concrete(model).map(|kind| (kind.id.term().to_owned(), kind.title.clone()));
        kinds.chain([("mixin".to_owned(), String::new())]).collect()
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
    things(move |_| kind.map_or(Wanted::All, |kind| Wanted::Kind(kind.to_owned())))
}

/// Things that have the action of the verb that stands there, and on which it can be invoked now.
pub(crate) fn actionable() -> ArgValueCompleter {
    things(|typed| match typed.subcommand() {
        Some(("act", rest)) => {
            let action = rest.get_one::<String>("action").cloned();
            action.map_or(Wanted::All, Wanted::WithAction)
        }
        Some((verb, _)) => Wanted::WithAction(verb.to_owned()),
        None => Wanted::All,
    })
}

/// Things that are joined by a link; after one of them, what is joined to that.
pub(crate) fn attached() -> ArgValueCompleter {
    things(|typed| {
        let names = typed
            .subcommand()
            .and_then(|(_, rest)| rest.get_many::<String>("names"));
        let names = names.unwrap_or_default();
        Wanted::Attached(names.filter_map(|name| Some(Typed::new(name)?.text)).collect())
    })
}

/// Which things are offered.
enum Wanted {
    All,
    Kind(String),
    WithAction(String),
    /// What these words stand before, of which the last may be the one that is being typed.
    Attached(Vec<String>),
}

fn things(wanted: impl Fn(&ArgMatches) -> Wanted + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let found = with_session(async |session, typed| {
            let model = session.model().await.ok()?;
            let wanted = wanted(typed);
            let at = match &wanted {
                Wanted::Kind(kind) => kind.clone(),
                _ => session.client.endpoint().root(),
            };
            let entities = session.client.entities(&at, &Listing::default()).await.ok()?;
            let mut entities = std::pin::pin!(entities);
            let mut found = Vec::new();
            let mut seen = 0;
            while seen < MOST
                && let Ok(Some(entity)) = entities.try_next().await
            {
                seen += 1;
                if is_meant(&entity, &wanted, &model) {
                    found.push(entity);
                }
            }
            // Servers show the actions that are possible now; of one that shows none, all of the kind are offered.
            if let Wanted::WithAction(action) = &wanted
                && found.iter().any(|entity| !entity.actions.is_empty())
            {
                found.retain(|entity| entity.actions.iter().any(|one| one.id.term() == action.as_str()));
            }
            if let Wanted::Attached(words) = &wanted {
                found = joined(found, words, &model);
            }
            let named = found.iter().map(|entity| {
                let state = entity.state(&model).map(|state| state.word).unwrap_or_default();
                let of = entity.kind.as_ref().map(|kind| kind.term()).unwrap_or_default();
                let title = entity.title().unwrap_or_default();
                match is_plain(title) {
                    true => (title.to_owned(), format!("{of} {state}")),
                    false => (entity.id.clone(), format!("{title} {of} {state}")),
                }
            });
            Some(named.collect())
        });
        candidates(current, found.unwrap_or_default())
    })
}

fn is_meant(entity: &Entity, wanted: &Wanted, model: &Model) -> bool {
    let has = |action: &str| match &entity.kind {
        Some(kind) => model.action(action, Some((kind, &[]))).is_ok(),
        None => true,
    };
    match wanted {
        Wanted::Kind(_) => true,
        // Links are named by few.
        _ if entity.is_link(model) => false,
        Wanted::All | Wanted::Attached(_) => true,
        Wanted::WithAction(action) => has(action),
    }
}

/// Those of which a link joins one to another: where one of them is named first, those that are joined to that one.
fn joined(things: Vec<Entity>, words: &[String], model: &Model) -> Vec<Entity> {
    let is_called = |thing: &Entity, name: &str| {
        let bare = match name.split_once('/') {
            Some((before, after)) if kind(model, before).is_ok() => after,
            _ => name,
        };
        thing.location == name || thing.id == bare || thing.title() == Some(bare)
    };
    let first = words.iter().find(|word| kind(model, word).is_err());
    let first = first.and_then(|name| things.iter().find(|thing| is_called(thing, name)));
    let joins = |one: &Entity, other: &Entity| one.links.iter().any(|link| leads_to(link, &other.location));
    let is_offered = |thing: &&Entity| match first {
        Some(first) => joins(first, thing) || joins(thing, first),
        None => things.iter().any(|other| joins(thing, other) || joins(other, thing)),
    };
    things.iter().filter(is_offered).cloned().collect()
}

/// How to print.
pub(crate) fn formats() -> ArgValueCandidates {
    ArgValueCandidates::new(|| Format::NAMES.into_iter().map(CompletionCandidate::new).collect())
}

/// Columns of what is listed; with a `-` in front if one stands there.
pub(crate) fn columns() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let found = with_session(async |session, typed| {
            let kind = typed.subcommand().and_then(|(_, list)| list.get_one::<String>("kind"));
            let names = column_names(kind.map(String::as_str), &*session.model().await.ok()?);
            Some(names.into_iter().map(|name| (name, String::new())).collect())
        });
        let current = current.to_string_lossy();
        let (sign, begun) = match current.strip_prefix('-') {
            Some(begun) => ("-", begun),
            None => ("", &*current),
        };
        let found = candidates(OsStr::new(begun), found.unwrap_or_default());
        found.into_iter().map(|name| name.add_prefix(sign)).collect()
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
        let found = with_session(async |session, _| Some(look(&*session.model().await.ok()?)));
        candidates(current, found.unwrap_or_default())
    })
}

fn candidates(current: &OsStr, mut found: Vec<(String, String)>) -> Vec<CompletionCandidate> {
    let Some(typed) = Typed::new(&current.to_string_lossy()) else {
        return Vec::new();
    };
    found.retain(|(name, _)| name.starts_with(&typed.text) && is_plain(name));
    found.sort();
    found.dedup_by(|one, other| one.0 == other.0);
    let candidates = found.into_iter().map(|(name, help)| {
        let help = (!help.trim().is_empty()).then(|| help.replace(char::is_control, " ").into());
        // The others quote what they insert.
        let word = match shell() == "bash" && !typed.is_in_quotes {
            true => name.replace(' ', "\\ "),
            false => name,
        };
        CompletionCandidate::new(word).help(help)
    });
    candidates.collect()
}

/// Whether a shell takes a word as it is, or with nothing quoted but its spaces. What completes a command line is carried out
/// when the key is pressed, and others choose the titles.
fn is_plain(word: &str) -> bool {
    let takes_spaces = ["bash", "zsh", "fish"].contains(&shell());
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._@:/+-".contains(&byte) || byte == b' ' && takes_spaces;
    word.trim() == word && !word.is_empty() && !word.starts_with('-') && word.bytes().all(is_safe)
}

/// What has been typed of a word; shells show it as it stands there.
struct Typed {
    text: String,
    is_in_quotes: bool,
}

impl Typed {
    /// None if quotes stand elsewhere than in front.
    fn new(word: &str) -> Option<Self> {
        let quoted = word.strip_prefix(['"', '\'']);
        let text = quoted.map_or_else(|| word.replace('\\', ""), str::to_owned);
        let is_in_quotes = quoted.is_some();
        (!text.contains(['"', '\''])).then_some(Self { text, is_in_quotes })
    }
}

/// Asks the server that the words on the command line name so far; what else stands there goes along.
fn with_session<T>(ask: impl AsyncFnOnce(&Session, &ArgMatches) -> Option<T>) -> Option<T> {
    let typed = typed_so_far(std::env::args_os().collect())?;
    let mut global = Global::from_arg_matches(&typed).ok()?;
    global.debug = false;
    global.quiet = true;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let answer = async { ask(&Session::open(&global).await.ok()?, &typed).await };
    let (answer, _none_begins) = runtime.block_on(async {
        let answer = tokio::time::timeout(PATIENCE, answer).await.ok().flatten();
        (answer, renewed().await)
    });
    // Nothing that still waits (for a name, for another process) holds the shell up.
    runtime.shutdown_background();
    answer
}

/// What stands there already; the words after `--` are the command line that is being typed.
fn typed_so_far(args: Vec<OsString>) -> Option<ArgMatches> {
    let words = args.into_iter().skip_while(|word| word != "--").skip(1);
    Cli::command().ignore_errors(true).try_get_matches_from(words).ok()
}
