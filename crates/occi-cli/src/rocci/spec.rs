//! The options of rOCCI-cli, as a table: what each is called, what it wants, and what the help says of it.

use super::abbreviation::{Completed, complete};

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
    pub(super) fn value(&self, said: &str, value: Option<String>) -> Result<String, String> {
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
