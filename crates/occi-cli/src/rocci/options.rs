//! The options of rOCCI-cli, read as it reads them.
//!
//! Its rules are those of Ruby's OptionParser, which are not clap's, so this is a small parser of its own around a table:
//! - options may stand in any order, and what is no option is passed over;
//! - a long option may be cut to what is still clear (`--res`), and so may the words of its value (`-a desc`);
//! - an option that wants a value takes the next argument, whatever that looks like (`-p -secret`), or what is stuck to it
//!   (`-eURL`, `--endpoint=URL`);
//! - options act one after the other, so that `-d -v` prints more than `-v -d`, and the first mistake is the one reported.

use super::lexer::{Item, Lexer};
use super::spec::Name;
use super::values::{self, Cast, Context, Given};
use crate::config::secret_file;
use occi_client::{Endpoint, MediaType};
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How somebody proves who he is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auth {
    X509,
    Token,
    Basic,
    Digest,
    OAuth2,
    None,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    List,
    Describe,
    Create,
    Delete,
    Trigger,
    Link,
    Discover,
    Update,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    Json,
    JsonPretty,
    JsonExtended,
    JsonExtendedPretty,
}

/// What is logged: this and what is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
    Unknown,
}

/// What the command line says.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) endpoint: Endpoint,
    pub(super) auth: Auth,
    pub(super) timeout: Option<Duration>,
    pub(super) username: String,
    pub(super) password: Option<SecretString>,
    /// The options whose secrets everybody on this machine can see.
    pub(super) seen_secrets: Vec<&'static str>,
    pub(super) ca_path: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) skip_ca_check: bool,
    pub(super) filter: Option<String>,
    pub(super) user_cred: Option<PathBuf>,
    pub(super) voms: bool,
    pub(super) token: Option<SecretString>,
    pub(super) media: MediaType,
    pub(super) resource: String,
    pub(super) attributes: Vec<Given>,
    pub(super) contexts: Vec<Context>,
    pub(super) action: Option<Action>,
    pub(super) mixins: Vec<String>,
    pub(super) links: Vec<String>,
    pub(super) trigger: String,
    /// Whether links are to be discovered, or resources.
    pub(super) links_are_wanted: Option<bool>,
    pub(super) log_to_stdout: bool,
    pub(super) level: Level,
    pub(super) format: Format,
    pub(super) wait: Duration,
    pub(super) dump_model: bool,
    pub(super) debug: bool,
    pub(super) yes: bool,
    pub(super) strict: bool,
}

/// Why nothing is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Help,
    Examples,
    /// With the libraries or without.
    Version(bool),
    /// A mistake.
    Usage(String),
}

impl From<String> for Stop {
    fn from(mistake: String) -> Self {
        Self::Usage(mistake)
    }
}

impl Options {
    fn new() -> Result<Self, String> {
        Ok(Self {
            endpoint: endpoint("http://localhost:3000")?,
            auth: Auth::None,
            timeout: None,
            username: "anonymous".to_owned(),
            password: None,
            seen_secrets: Vec::new(),
            ca_path: None,
            ca_file: None,
            skip_ca_check: false,
            filter: None,
            user_cred: None,
            voms: false,
            token: None,
            media: MediaType::TextPlain,
            resource: String::new(),
            attributes: Vec::new(),
            contexts: Vec::new(),
            action: None,
            mixins: Vec::new(),
            links: Vec::new(),
            trigger: String::new(),
            links_are_wanted: None,
            log_to_stdout: false,
            level: Level::Error,
            format: Format::Plain,
            wait: Duration::ZERO,
            dump_model: false,
            debug: false,
            yes: false,
            strict: false,
        })
    }

    /// Reads the arguments behind the name of the program.
    ///
    /// # Errors
    /// A mistake, or an option that only prints something.
    pub(super) fn read(args: &[String]) -> Result<Self, Stop> {
        let mut options = Self::new()?;
        for item in Lexer::new(args) {
            if let Item::Option { spec, said, value } = item? {
                options.set(spec.name, spec.value(&said, value)?)?;
            }
        }
        options.check()?;
        Ok(options)
    }

    fn set(&mut self, name: Name, value: String) -> Result<(), Stop> {
        match name {
            Name::Endpoint => self.endpoint = endpoint(&value)?,
            Name::Auth => {
                self.auth = match value.as_str() {
                    "x509" => Auth::X509,
                    "token" => Auth::Token,
                    "basic" => Auth::Basic,
                    "digest" => Auth::Digest,
                    "oauth2" => Auth::OAuth2,
                    _ => Auth::None,
                }
            }
            Name::Timeout => {
                let seconds = whole("-k", &value)?;
                if seconds == 0 {
                    return Err(Stop::Usage("the time-out is at least one second".to_owned()));
                }
                self.timeout = Some(Duration::from_secs(seconds));
            }
            Name::Username => self.username = value,
            Name::Password => self.password = Some(self.secret("-p", value)?),
            Name::CaPath => self.ca_path = Some(readable("-c", &value, Path::is_dir)?),
            Name::CaFile => self.ca_file = Some(readable("-f", &value, Path::is_file)?),
            Name::SkipCaCheck => self.skip_ca_check = true,
            Name::Filter => self.filter = Some(value),
            Name::UserCred => self.user_cred = Some(readable("-x", &value, Path::is_file)?),
            Name::Voms => self.voms = true,
            Name::Token if value.trim().is_empty() => return Err(Stop::Usage("the token is blank".to_owned())),
            Name::Token => self.token = Some(self.secret("-q", value)?),
            Name::MediaType => {
                self.media = match value.as_str() {
                    "application/occi+json" => MediaType::OcciJson,
                    "text/occi" => MediaType::TextOcci,
                    _ => MediaType::TextPlain,
                }
            }
            Name::Resource => self.resource = value,
            Name::Attribute => {
                for part in values::split(&value) {
                    self.attributes.push(values::attribute(&part)?);
                }
            }
            Name::Context => {
                for part in values::split(&value) {
                    self.contexts.push(values::context(&part)?);
                }
            }
            Name::Action => {
                self.action = Some(match value.as_str() {
                    "describe" => Action::Describe,
                    "create" => Action::Create,
                    "delete" | "unlink" => Action::Delete,
                    "trigger" => Action::Trigger,
                    "link" => Action::Link,
                    "discover" => Action::Discover,
                    "update" => Action::Update,
                    _ => Action::List,
                })
            }
            Name::Mixin => {
                for part in values::split(&value) {
                    self.mixins.push(values::mixin(&part)?);
                }
            }
            Name::Link => {
                for part in values::split(&value) {
                    self.links.push(values::link(&part)?);
                }
            }
            Name::TriggerAction if value.trim().is_empty() => {
                return Err(Stop::Usage("the action to trigger is blank".to_owned()));
            }
            Name::TriggerAction => self.trigger = value,
            Name::EntityType => self.links_are_wanted = Some(value == "link"),
            Name::LogTo => self.log_to_stdout = value == "stdout",
            Name::OutputFormat => {
                self.format = match value.as_str() {
                    "json" => Format::Json,
                    "json_pretty" => Format::JsonPretty,
                    "json_extended" => Format::JsonExtended,
                    "json_extended_pretty" => Format::JsonExtendedPretty,
                    _ => Format::Plain,
                }
            }
            Name::LogLevel if self.level == Level::Debug => {}
            Name::LogLevel => {
                self.level = match value.as_str() {
                    "debug" => Level::Debug,
                    "info" => Level::Info,
                    "warn" => Level::Warn,
                    "fatal" => Level::Fatal,
                    "unknown" => Level::Unknown,
                    _ => Level::Error,
                }
            }
            Name::WaitForActive => self.wait = Duration::from_secs(whole("-w", &value)?),
            Name::Yes => self.yes = true,
            Name::Strict => self.strict = true,
            Name::Examples => return Err(Stop::Examples),
            Name::DumpModel => self.dump_model = true,
            Name::Debug => {
                self.debug = true;
                self.level = Level::Debug;
            }
            Name::Help | Name::HelpRocci => return Err(Stop::Help),
            Name::Version => return Err(Stop::Version(self.debug)),
        }
        Ok(())
    }

    /// A secret from the command line, or from stdin if it is `-`.
    fn secret(&mut self, option: &'static str, value: String) -> Result<SecretString, String> {
        if value == "-" {
            return secret_file(Path::new("-")).map_err(|failure| failure.message);
        }
        self.seen_secrets.push(option);
        Ok(value.into())
    }

    /// What goes together, and what an action needs.
    fn check(&self) -> Result<(), Stop> {
        if self.dump_model {
            return Ok(());
        }
        if self.filter.is_some() {
            return Err(Stop::Usage("--filter goes with --dump-model only".to_owned()));
        }
        let mut missing = Vec::new();
        let mut need = |name: &'static str, is_missing: bool| {
            if is_missing {
                missing.push(name);
            }
        };
        let action = self.action;
        need(
            "trigger_action",
            action == Some(Action::Trigger) && self.trigger.is_empty(),
        );
        if action == Some(Action::Create) {
            let is_bare = self.mixins.is_empty() && self.resource == "compute";
            need("links", is_bare && self.links.is_empty());
            need("attributes", self.attributes.is_empty());
        }
        need("links", action == Some(Action::Link) && self.links.is_empty());
        if action == Some(Action::Discover) {
            need("entity_type", self.links_are_wanted.is_none());
        } else {
            need("resource", self.resource.trim().is_empty());
            need("action", action.is_none());
        }
        need("mixins", action == Some(Action::Update) && self.mixins.is_empty());
        let has_title = || {
            let mut titles = self.attributes.iter().rev();
            let title = titles.find(|given| given.name.as_str() == "occi.core.title");
            title.is_some_and(|given| !matches!(&given.value, Cast::Text(text) if text.is_empty()))
        };
        if missing.is_empty() && action == Some(Action::Create) && !has_title() {
            missing.push("occi.core.title");
        }
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Stop::Usage(format!(
                "missing required arguments: {}",
                missing.join(", ")
            ))),
        }
    }
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    text.parse().map_err(|error: occi_client::Error| error.to_string())
}

/// A whole number of seconds, as Ruby reads it: digits may be grouped by underscores. Less than none is none.
fn whole(option: &str, text: &str) -> Result<u64, String> {
    let number: Result<i64, _> = text.trim().replace('_', "").parse();
    match number {
        Ok(number) => Ok(number.try_into().unwrap_or(0)),
        Err(_) => Err(format!("invalid argument: {option} {text}")),
    }
}

fn readable(option: &str, path: &str, is: fn(&Path) -> bool) -> Result<PathBuf, String> {
    let what = if option == "-c" { "directory" } else { "file" };
    let path = PathBuf::from(path);
    if !is(&path) {
        return Err(format!("{option}: {} is no {what}", path.display()));
    }
    let opened = match what {
        "directory" => std::fs::read_dir(&path).map(drop),
        _ => std::fs::File::open(&path).map(drop),
    };
    opened.map_err(|error| format!("{option}: {}: {error}", path.display()))?;
    Ok(path)
}
