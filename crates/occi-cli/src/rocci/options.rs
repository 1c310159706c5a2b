//! The options of rOCCI-cli, read as it reads them.
//!
//! Its rules are those of Ruby's OptionParser, which are not clap's, so this is a small parser of its own around a table:
//! - options may stand in any order, and what is no option is passed over;
//! - a long option may be cut to what is still clear (`--res`), and so may the words of its value (`-a desc`);
//! - an option that wants a value takes the next argument, whatever that looks like (`-p -secret`), or what is stuck to it
//!   (`-eURL`, `--endpoint=URL`);
//! - options act one after the other, so that `-d -v` prints more than `-v -d`, and the first mistake is the one reported.

use super::values::{self, Cast, Context, Given};
use crate::config::secret_file;
use occi_client::{Endpoint, MediaType};
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What an option is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Endpoint,
    Auth,
    Timeout,
    Username,
    Password,
    CaPath,
    CaFile,
    SkipCaCheck,
    Filter,
    UserCred,
    Voms,
    Token,
    MediaType,
    Resource,
    Attribute,
    Context,
    Action,
    Mixin,
    Link,
    TriggerAction,
    EntityType,
    LogTo,
    OutputFormat,
    LogLevel,
    WaitForActive,
    Examples,
    DumpModel,
    Debug,
    Help,
    Version,
    Yes,
    Strict,
    HelpRocci,
}

/// What an option wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    /// A value, as it is called in the help.
    Value(&'static str),
    /// One of these words.
    Word(&'static str, &'static [&'static str]),
}

/// An option.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: Name,
    /// None of those that rOCCI-cli did not have: they go by the whole of their long name.
    pub(super) short: Option<char>,
    pub(super) long: &'static str,
    pub(super) wants: Wants,
    pub(super) help: &'static str,
}

const AUTHS: &[&str] = &["x509", "token", "basic", "digest", "oauth2", "none"];
const MEDIA_TYPES: &[&str] = &[
    "application/occi+json",
    "text/plain,text/occi",
    "text/plain",
    "text/occi",
];
const ACTIONS: &[&str] = &[
    "list", "describe", "create", "delete", "trigger", "link", "unlink", "discover", "update",
];
const ENTITY_TYPES: &[&str] = &["resource", "link"];
const OUTPUTS: &[&str] = &["stdout", "stderr"];
pub(super) const FORMATS: &[&str] = &["json", "plain", "json_pretty", "json_extended", "json_extended_pretty"];
const LEVELS: &[&str] = &["debug", "error", "fatal", "info", "unknown", "warn"];

const fn spec(name: Name, short: char, long: &'static str, wants: Wants, help: &'static str) -> Spec {
    Spec {
        name,
        short: Some(short),
        long,
        wants,
        help,
    }
}

const fn new(name: Name, long: &'static str, help: &'static str) -> Spec {
    Spec {
        name,
        short: None,
        long,
        wants: Wants::Nothing,
        help,
    }
}

/// All of them, in the order of the help.
pub(super) const SPECS: &[Spec] = &[
    spec(
        Name::Endpoint,
        'e',
        "endpoint",
        Wants::Value("URI"),
        "The server [http://localhost:3000]",
    ),
    spec(
        Name::Auth,
        'n',
        "auth",
        Wants::Word("METHOD", AUTHS),
        "How to prove who asks [none]",
    ),
    spec(
        Name::Timeout,
        'k',
        "timeout",
        Wants::Value("SEC"),
        "Seconds to wait for the server [60]",
    ),
    spec(
        Name::Username,
        'u',
        "username",
        Wants::Value("USER"),
        "Who asks, by basic or digest [anonymous]",
    ),
    spec(
        Name::Password,
        'p',
        "password",
        Wants::Value("PASSWORD"),
        "The password, or the passphrase of the credentials; - reads stdin; asked for where it is needed",
    ),
    spec(
        Name::CaPath,
        'c',
        "ca-path",
        Wants::Value("PATH"),
        "A directory of authorities to trust [/etc/grid-security/certificates, if there is one]",
    ),
    spec(
        Name::CaFile,
        'f',
        "ca-file",
        Wants::Value("PATH"),
        "A file of authorities to trust",
    ),
    spec(
        Name::SkipCaCheck,
        's',
        "skip-ca-check",
        Wants::Nothing,
        "Do not check the server's certificate: anybody may pose as the server",
    ),
    spec(
        Name::Filter,
        'F',
        "filter",
        Wants::Value("CATEGORY"),
        "With --dump-model: this category and what belongs to it",
    ),
    spec(
        Name::UserCred,
        'x',
        "user-cred",
        Wants::Value("FILE"),
        "The certificate with its key, PEM or .p12, for x509 [~/.globus/usercred.pem]",
    ),
    spec(
        Name::Voms,
        'X',
        "voms",
        Wants::Nothing,
        "The credentials are a VOMS proxy",
    ),
    spec(
        Name::Token,
        'q',
        "token",
        Wants::Value("TOKEN"),
        "The token, for token and oauth2; - reads stdin",
    ),
    spec(
        Name::MediaType,
        'y',
        "media-type",
        Wants::Word("MEDIA_TYPE", MEDIA_TYPES),
        "What to speak [text/plain,text/occi]",
    ),
    spec(
        Name::Resource,
        'r',
        "resource",
        Wants::Value("RESOURCE"),
        "A term, an identifier, a path or a URL",
    ),
    spec(
        Name::Attribute,
        't',
        "attribute",
        Wants::Value("ATTR"),
        "NAME=VALUE, several with commas; create needs occi.core.title",
    ),
    spec(
        Name::Context,
        'T',
        "context",
        Wants::Value("CTX_VAR"),
        "public_key=VALUE or user_data=VALUE of a new compute; a VALUE file:///PATH is read from there",
    ),
    spec(
        Name::Action,
        'a',
        "action",
        Wants::Word("ACTION", ACTIONS),
        "What to do",
    ),
    spec(
        Name::Mixin,
        'M',
        "mixin",
        Wants::Value("IDENTIFIER"),
        "A mixin, as SCHEME#TERM, os_tpl#TERM or TERM, several with commas",
    ),
    spec(
        Name::Link,
        'j',
        "link",
        Wants::Value("URI"),
        "What to link to, several with commas",
    ),
    spec(
        Name::TriggerAction,
        'g',
        "trigger-action",
        Wants::Value("ACTION"),
        "The action to trigger, as SCHEME#TERM or TERM",
    ),
    spec(
        Name::EntityType,
        'i',
        "entity-type",
        Wants::Word("TYPE", ENTITY_TYPES),
        "What to discover",
    ),
    spec(
        Name::LogTo,
        'l',
        "log-to",
        Wants::Word("OUTPUT", OUTPUTS),
        "Where the log goes [stderr]",
    ),
    spec(
        Name::OutputFormat,
        'o',
        "output-format",
        Wants::Word("FORMAT", FORMATS),
        "How to print [plain]",
    ),
    spec(
        Name::LogLevel,
        'b',
        "log-level",
        Wants::Word("LEVEL", LEVELS),
        "What is logged [error]",
    ),
    spec(
        Name::WaitForActive,
        'w',
        "wait-for-active",
        Wants::Value("TIMEOUT"),
        "After create: seconds to wait until it is active or online [0]",
    ),
    new(Name::Yes, "yes", "Delete all of a collection without asking"),
    new(Name::Strict, "strict", "Fail if --wait-for-active has waited in vain"),
    spec(Name::Examples, 'z', "examples", Wants::Nothing, "Show examples"),
    spec(
        Name::DumpModel,
        'm',
        "dump-model",
        Wants::Nothing,
        "Show what the server offers",
    ),
    spec(
        Name::Debug,
        'd',
        "debug",
        Wants::Nothing,
        "Log everything, and every exchange with secrets masked",
    ),
    spec(Name::Help, 'h', "help", Wants::Nothing, "Show this"),
    spec(
        Name::Version,
        'v',
        "version",
        Wants::Nothing,
        "Show the version of rOCCI-cli that this stands for",
    ),
    new(Name::HelpRocci, "help-rocci", "Show this"),
];

impl Spec {
    /// The value, if it is one that may be.
    fn value(&self, said: &str, value: Option<String>) -> Result<String, String> {
        let value = match (self.wants, value) {
            (Wants::Nothing, _) => return Ok(String::new()),
            (_, None) => return Err(format!("missing argument: {said}")),
            (_, Some(value)) => value,
        };
        let Wants::Word(_, words) = self.wants else {
            return Ok(value);
        };
        match complete(&value, words.iter().copied(), false) {
            Completed::One(word) => Ok(word.to_owned()),
            Completed::Several => Err(format!("ambiguous argument: {said} {value}")),
            Completed::None => Err(format!("invalid argument: {said} {value}")),
        }
    }
}

/// An argument, by its look.
#[derive(Debug)]
pub(super) enum Item {
    Option {
        spec: &'static Spec,
        /// As it was written.
        said: String,
        /// None where the arguments end before it.
        value: Option<String>,
    },
    /// What is no option.
    Word,
}

/// Looks at one argument after the other; an error is said in the words of the parser that it stands for.
pub(super) struct Lexer<'a> {
    args: std::slice::Iter<'a, String>,
    /// The rest of a cluster of short options: `v` after the `d` of `-dv`.
    cluster: &'a str,
    is_over: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(args: &'a [String]) -> Self {
        Self {
            args: args.iter(),
            cluster: "",
            is_over: false,
        }
    }

    fn option(&mut self, spec: &'static Spec, said: String, stuck: Option<&str>) -> Item {
        let value = match spec.wants {
            Wants::Nothing => None,
            _ => stuck.map(str::to_owned).or_else(|| self.args.next().cloned()),
        };
        Item::Option { spec, said, value }
    }

    fn short(&mut self, cluster: &'a str) -> Option<Result<Item, String>> {
        let mut rest = cluster.chars();
        let letter = rest.next()?;
        let rest = rest.as_str();
        let said = format!("-{letter}");
        let Some(spec) = SPECS.iter().find(|spec| spec.short == Some(letter)) else {
            self.cluster = rest;
            return Some(Err(format!("invalid option: {said}")));
        };
        let stuck = match spec.wants {
            Wants::Nothing => {
                self.cluster = rest;
                None
            }
            _ => {
                self.cluster = "";
                Some(rest).filter(|rest| !rest.is_empty())
            }
        };
        Some(Ok(self.option(spec, said, stuck)))
    }

    fn long(&mut self, text: &str) -> Result<Item, String> {
        let (name, stuck) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let said = format!("--{name}");
        let exact = SPECS.iter().find(|spec| spec.long.eq_ignore_ascii_case(name));
        let old = SPECS.iter().filter(|spec| spec.short.is_some());
        let spec = match exact {
            Some(spec) => spec,
            None => match complete(name, old.map(|spec| spec.long), true) {
                Completed::One(long) => match SPECS.iter().find(|spec| spec.long == long) {
                    Some(spec) => spec,
                    None => return Err(format!("invalid option: {said}")),
                },
                Completed::Several => return Err(format!("ambiguous option: {said}")),
                Completed::None => return Err(format!("invalid option: {said}")),
            },
        };
        if spec.wants == Wants::Nothing && stuck.is_some() {
            return Err(format!("needless argument: --{text}"));
        }
        Ok(self.option(spec, said, stuck))
    }
}

impl Iterator for Lexer<'_> {
    type Item = Result<Item, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(item) = self.short(self.cluster) {
            return Some(item);
        }
        let argument = self.args.next()?;
        if self.is_over {
            return Some(Ok(Item::Word));
        }
        if argument == "--" {
            self.is_over = true;
            return self.next();
        }
        if let Some(text) = argument.strip_prefix("--") {
            return Some(self.long(text));
        }
        match argument.strip_prefix('-') {
            Some(cluster) if !cluster.is_empty() => self.short(cluster),
            _ => Some(Ok(Item::Word)),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Completed<'n> {
    One(&'n str),
    Several,
    None,
}

/// The name that is meant by its beginning. Each word of it may be cut (`--w-f`); of several names the shortest is meant if
/// the others are longer forms of it.
fn complete<'n>(said: &str, names: impl Iterator<Item = &'n str>, any_case: bool) -> Completed<'n> {
    let mut found = Vec::new();
    for name in names {
        if name == said {
            return Completed::One(name);
        }
        if abbreviates(said, name, any_case) {
            found.push(name);
        }
    }
    found.sort_by_key(|name| name.len());
    match found.as_slice() {
        [] => Completed::None,
        [shortest, others @ ..] if others.iter().all(|name| name.starts_with(shortest)) => Completed::One(shortest),
        _ => Completed::Several,
    }
}

fn abbreviates(said: &str, name: &str, any_case: bool) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = name.chars().peekable();
    for c in said.chars() {
        if !is_word(c) {
            while rest.next_if(|next| is_word(*next)).is_some() {}
        }
        let same = |next: &char| *next == c || any_case && next.eq_ignore_ascii_case(&c);
        if rest.next_if(same).is_none() {
            return false;
        }
    }
    true
}

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
