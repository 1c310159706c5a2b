//! The command line of rOCCI-cli 4.3.10, whose every invocation works unchanged.
//!
//! One exception: to delete a whole collection is confirmed. What is read and printed here is what scripts of ten years
//! rely on; where the original does not do what its own documentation says, its code counts. `docs/migrating-from-rocci.md`
//! says what is better in the modern form, and what differs in this one.

mod abbreviation;
mod act;
mod connect;
mod digest;
mod dump;
mod found;
mod help;
mod json;
mod lexer;
mod log;
mod options;
mod plain;
mod spec;
mod values;

use crate::args;
use crate::failure::Failure;
use crate::words;
use act::Act;
use lexer::{Item, Lexer};
use log::Log;
use options::{Options, Stop};
use spec::Name;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// The version whose command line this is. Scripts compare it.
const VERSION: &str = "4.3.10";
/// The versions of its libraries at that time.
const LIBRARIES: &str = "CLI:  4.3.10\nAPI:  4.3.14\nCore: 4.3.6\n";

/// Whether the arguments are of the old form: an option stands first, and one of those is there without which the old form
/// does nothing. The modern form may begin with options too; its verb tells it, which the old form would pass over. A token
/// that is called like a verb (`-q list`) is passed over by nobody.
pub(crate) fn is_meant(args: &[OsString]) -> bool {
    let is_option = |arg: &OsString| {
        let arg = arg.to_string_lossy();
        arg.starts_with('-') && arg != "--"
    };
    if !args.get(1).is_some_and(is_option) {
        return false;
    }
    let said = lossy(args);
    let items: Vec<_> = Lexer::new(&said).flatten().collect();
    let has = |names: &[Name]| {
        let mut items = items.iter();
        items.any(|item| matches!(item, Item::Option { spec, .. } if names.contains(&spec.name)))
    };
    let has_words = items.iter().any(|item| matches!(item, Item::Word));
    let acts = has(&[Name::Action, Name::DumpModel, Name::Examples, Name::Resource]);
    if args::begins_with_verb(args) && (has_words || !acts) {
        return false;
    }
    // The modern form has the long names of these too.
    let is_version = |arg: &String| matches!(arg.as_str(), "-v" | "-dv");
    let is_debug = |arg: &String| matches!(arg.as_str(), "-d" | "--debug");
    let is_only_version = said.iter().any(is_version) && said.iter().all(|arg| is_version(arg) || is_debug(arg));
    acts || is_only_version || has(&[Name::Endpoint, Name::HelpRocci])
}

fn lossy(args: &[OsString]) -> Vec<String> {
    let args = args.iter().skip(1);
    args.map(|arg| arg.to_string_lossy().into_owned()).collect()
}

/// Runs the old form: 0 if it went well, 1 if not.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let options = match Options::read(&lossy(args)) {
        Ok(options) => options,
        Err(stop) => return stopped(stop),
    };
    let log = Log::new(&options);
    std::thread::spawn(|| args::end_when_interrupted(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(run(&options, &log));
            // Nothing that still reads holds the process up.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Trouble(format!("this machine gives no more resources: {error}"))),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble(message)) => {
            log.fatal(&format!("An error occurred! Message: {message}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options, log: &Log) -> Result<()> {
    let client = connect::client(options, log).await?;
    let model = client.model().await?;
    connect::say_project(&client, log);
    if options.dump_model {
        return print(&dump::write(options, &model));
    }
    let act = Act {
        options,
        log,
        client,
        model,
    };
    act.run().await
}

fn stopped(stop: Stop) -> ExitCode {
    let (text, code) = match stop {
        Stop::Help => (help::usage(), ExitCode::SUCCESS),
        Stop::Examples => (help::EXAMPLES.to_owned(), ExitCode::SUCCESS),
        Stop::Version(false) => (format!("{VERSION}\n"), ExitCode::SUCCESS),
        Stop::Version(true) => (LIBRARIES.to_owned(), ExitCode::SUCCESS),
        Stop::Usage(mistake) => {
            let mut letters = mistake.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            let mistake: String = first.into_iter().chain(letters).collect();
            (format!("{mistake}\n{}", help::usage()), ExitCode::FAILURE)
        }
    };
    match print(&text) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What went wrong, in a sentence.
#[derive(Debug)]
struct Trouble(String);

type Result<T> = std::result::Result<T, Trouble>;

impl From<occi_client::Error> for Trouble {
    fn from(error: occi_client::Error) -> Self {
        let status = error
            .status()
            .and_then(|status| http::StatusCode::from_u16(status).ok());
        let mut message = match status {
            // Scripts look for the number.
            Some(status) => {
                let reason = status.canonical_reason().unwrap_or_default();
                format!(
                    "HTTP Response status: [{}] {reason} : {}",
                    status.as_u16(),
                    error.message()
                )
            }
            None => error.message().to_owned(),
        };
        if !error.candidates().is_empty() {
            message.push_str(&format!(": {}", error.candidates().join(", ")));
        }
        if let Some(id) = error.request_id() {
            message.push_str(&format!(" (request {id})"));
        }
        if let Some(hint) = error.hint() {
            message.push_str(&format!(" ({hint})"));
        }
        Self(message)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self(failure.message)
    }
}

impl From<&str> for Trouble {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Self(message)
    }
}

/// Prints lines on stdout, whoever wrote what is in them. Who does not want to read on has what he wanted: the end is that of every program whose reader has
/// gone.
fn print(text: &str) -> Result<()> {
    let text = words::lines(text);
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(128 + 13),
        written => written.map_err(|error| Trouble(format!("stdout: {error}"))),
    }
}
