//! The grammar of the modern command line.

use crate::complete;
use crate::config::renewed;
use crate::failure::{Exit, Failure, Result};
use crate::output::{Color, Format};
use crate::progress;
use crate::terminal;
use crate::verbs::Verb;
use clap::error::ContextKind;
use clap::{Args, CommandFactory, Parser};
use clap_complete::CompleteEnv;
use occi_model::Registry;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::runtime::Runtime;

/// Machines, networks, volumes and whatever else an OCCI server offers.
#[derive(Debug, Parser)]
#[command(
    name = "occi",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "The server is that of --endpoint, --context or --cloud; else of OCCI_ENDPOINT, OCCI_CONTEXT\n\
                  or OS_CLOUD; else the current context (occi login, occi context); else an occid of this\n\
                  user on this machine. Who asks: options; else OCCI_USER or OCCI_TOKEN, but not where\n\
                  --context or --cloud names the server; else the context or the cloud.\n\
                  \n\
                  Things are named by title, by id or the beginning of one, as KIND/NAME, by path or by URL.\n\
                  The command line of rOCCI-cli works too: occi --help-rocci"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What every verb understands.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which server, and how")]
pub(crate) struct Global {
    /// The server, by URL or by socket (unix:/run/occid.sock) [env: OCCI_ENDPOINT]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// A server that `occi login` has made known [env: OCCI_CONTEXT]
    #[arg(long, global = true, value_name = "NAME", add = complete::contexts())]
    pub(crate) context: Option<String>,
    /// A cloud of clouds.yaml [env: OS_CLOUD]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) cloud: Option<String>,
    /// The project that everything is about [env: OCCI_PROJECT]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// Who asks [env: OCCI_USER]; the password is in OCCI_PASSWORD, in a file or asked for
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// A file with the password, or - for stdin
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// A file with a bearer token, or - for stdin (or OCCI_TOKEN holds it)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A file with a token for X-Auth-Token, or - for stdin
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) auth_token_file: Option<PathBuf>,
    /// A client certificate with its key: PEM, a proxy, or PKCS#12
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// The key of the certificate, if it is in a file of its own
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) certificate_key: Option<PathBuf>,
    /// A file with the passphrase of the certificate's key, or - for stdin; else it is asked for
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// A PEM file with authorities to trust besides the system's
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Do not check the server's certificate
    #[arg(long, global = true)]
    pub(crate) insecure: bool,
    /// How long to wait for a connection or for the next bytes of an answer; --wait says how long for what is done
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<std::time::Duration>,
    /// Ask the server anew what it offers
    #[arg(long, global = true)]
    pub(crate) no_cache: bool,
    /// Show what is sent and received, secrets masked
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    /// How to print: table, wide, json, yaml, csv, name, occi, jsonpath=EXPRESSION
    #[arg(short, long, global = true, value_name = "FORMAT", add = complete::formats())]
    pub(crate) output: Option<Format>,
    /// Colours: auto, always, never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub(crate) color: Color,
    /// Say nothing but what was asked for
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// A time as people write it: `90`, `90s`, `5m`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(std::time::Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| "a time is 90, 90s, 5m or 1h30m".to_owned())?;
    std::time::Duration::try_from(span).map_err(|_| "a time is not negative".to_owned())
}

/// Runs the modern form.
pub(crate) fn main(args: Vec<OsString>) -> ExitCode {
    complete::is_asked_for();
    CompleteEnv::with_factory(Cli::command)
        .var(complete::VARIABLE)
        .complete();
    let args = verb_first(with_times(args));
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(mut error) => {
            if let Some(failure) = no_verb(&error, &args) {
                failure.print();
                return failure.exit.into();
            }
            // That it would be taken after `--` is not true of what an option should have.
            if error.kind() == clap::error::ErrorKind::UnknownArgument {
                error.remove(ContextKind::Suggested);
            }
            let _ = error.print();
            return match error.use_stderr() {
                true => Exit::Usage.into(),
                false => ExitCode::SUCCESS,
            };
        }
    };
    cli.global.color.apply();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let is_endless = cli.verb.is_endless();
    std::thread::spawn(move || end_when_interrupted(is_endless));
    let runtime = runtime()
        .map_err(|error| Failure::new(Exit::Failure, format!("this machine gives no more resources: {error}")))?;
    let ended = runtime.block_on(cli.verb.run(&cli.global));
    let _none_begins = runtime.block_on(renewed());
    // Nothing that still reads holds the process up.
    runtime.shutdown_background();
    ended
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Ctrl-C ends the program with a sentence. In a thread of its own: the others may be waiting for somebody to type.
pub(crate) fn end_when_interrupted(is_endless: bool) {
    let Ok(runtime) = runtime() else { return };
    if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
        terminal::restore();
        let _none_begins = runtime.block_on(async {
            tokio::select! {
                guard = renewed() => guard,
                _ = tokio::signal::ctrl_c() => None,
            }
        });
        if is_endless {
            std::process::exit(0);
        }
        let failure = progress::interrupted();
        failure.print();
        std::process::exit(failure.exit as i32);
    }
}

/// A noun of the documents where a verb should be, which is no misspelt verb.
fn no_verb(error: &clap::Error, args: &[OsString]) -> Option<Failure> {
    if error.kind() != clap::error::ErrorKind::InvalidSubcommand {
        return None;
    }
    let command = Cli::command();
    let places = words(args, &command);
    let mut words = places.iter().map(|place| args[*place].to_string_lossy());
    let noun = words.next()?;
    let documents = Registry::standard();
    let one = noun.strip_suffix('s').unwrap_or(&noun);
    let is_noun = documents
        .kinds()
        .iter()
        .any(|kind| [one, &*noun].contains(&kind.id.term()));
    is_noun.then(|| match words.next() {
        Some(verb) => Failure::usage(format!("there is no verb {verb:?}")).with_hint(format!(
            "occi --help lists the verbs; if it is an action: occi act {verb} NAME"
        )),
        None => Failure::usage(format!("{noun} is a kind, and what to do with it is missing"))
            .with_hint(format!("occi list {noun} shows what there is of it")),
    })
}

/// `--wait 5m` means `--wait=5m`: a number with its unit is no name there. One without may be the id of something.
fn with_times(args: Vec<OsString>) -> Vec<OsString> {
    let is_time = |word: &OsString| {
        let word = word.to_str().unwrap_or_default();
        let has_unit = word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(['s', 'm', 'h']);
        has_unit && duration(word).is_ok()
    };
    let mut joined: Vec<OsString> = Vec::new();
    let mut is_over = false;
    for word in args {
        is_over |= word == "--";
        match joined.last_mut() {
            Some(last) if !is_over && last == "--wait" && is_time(&word) => {
                last.push("=");
                last.push(word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

/// `occi compute list` means `occi list compute`: the first two words change places if the second is a verb and the first
/// is none.
fn verb_first(mut args: Vec<OsString>) -> Vec<OsString> {
    let command = Cli::command();
    let is_verb = |word: &OsString| {
        word.to_str()
            .is_some_and(|word| command.find_subcommand(word).is_some() || word == "help")
    };
    let words = words(&args, &command);
    if let [first, second, ..] = words.as_slice()
        && !is_verb(&args[*first])
        && is_verb(&args[*second])
    {
        args.swap(*first, *second);
    }
    args
}

/// Whether a verb of the modern form comes first, or second after a noun, with none but its own options before it.
pub(crate) fn begins_with_verb(args: &[OsString]) -> bool {
    let command = Cli::command();
    let is_verb = |place: &usize| {
        let word = args[*place].to_string_lossy();
        command.find_subcommand(word.as_ref()).is_some() || word == "help"
    };
    let is_own = |place: usize| {
        args[1..place].iter().all(|arg| {
            let arg = arg.to_string_lossy();
            match (
                arg.strip_prefix("--"),
                arg.strip_prefix('-').and_then(|rest| rest.chars().next()),
            ) {
                (Some(long), _) => {
                    let long = long.split('=').next();
                    command.get_arguments().any(|own| own.get_long() == long)
                }
                (None, Some(short)) => command.get_arguments().any(|own| own.get_short() == Some(short)),
                // A value.
                (None, None) => true,
            }
        })
    };
    let words = words(args, &command);
    words
        .iter()
        .take(2)
        .find(|place| is_verb(place))
        .is_some_and(|place| is_own(*place))
}

/// The places of the words that are neither options nor their values, up to the second.
fn words(args: &[OsString], command: &clap::Command) -> Vec<usize> {
    let takes_value = |option: &str| {
        let found = command
            .get_arguments()
            .find(|argument| match option.strip_prefix("--") {
                Some(long) => argument.get_long() == Some(long),
                None => argument.get_short().is_some_and(|short| option == format!("-{short}")),
            });
        found.is_some_and(|argument| argument.get_action().takes_values())
    };
    let mut words = Vec::new();
    let mut is_value = false;
    for (place, word) in args.iter().enumerate().skip(1) {
        let text = word.to_string_lossy();
        if std::mem::take(&mut is_value) {
            continue;
        }
        if text == "--" || words.len() == 2 {
            break;
        }
        if text.starts_with('-') {
            is_value = takes_value(&text);
        } else {
            words.push(place);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_noun_may_come_first() {
        let swapped = |line: &str| {
            let args = line.split(' ').map(OsString::from).collect();
            let args = verb_first(args).into_iter().map(|word| word.into_string().unwrap());
            args.collect::<Vec<_>>().join(" ")
        };
        for (said, meant) in [
            ("occi compute list", "occi list compute"),
            (
                "occi --endpoint list compute list -o json",
                "occi --endpoint list list compute -o json",
            ),
            ("occi list list", "occi list list"),
            ("occi -q compute create web", "occi -q create compute web"),
            ("occi compute", "occi compute"),
        ] {
            assert_eq!(swapped(said), meant);
        }
    }
}
