//! From file, environment and flags to a checked configuration.

use super::sections::{Auth, Engine, Http, Log, Rate, Retention, Server};
use super::{Address, Key, Size, Span};
use crate::{backends, telemetry};
use miette::{Diagnostic, NamedSource, SourceSpan};
use occi_backend::layers::Faults;
use occi_model::TypeId;
use occi_model::builder::RESERVED_SCHEME;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where the service is.
    pub server: Server,
    /// The protocol.
    pub http: Http,
    /// Who may come in.
    pub auth: Auth,
    /// How fast.
    pub rate: Rate,
    /// What is written down.
    pub log: Log,
    /// What OCCI means here.
    pub engine: Engine,
    /// How long things are remembered.
    pub retention: Retention,
    /// The engines' own keys, by the engine's name.
    pub backend: BTreeMap<String, toml::Table>,
}

/// Values that come from flags and environment, as text, and win over the file: pairs of a dotted key and its text, with
/// the name under which a person gave it.
#[derive(Clone, Debug, Default)]
pub struct Overrides(pub Vec<(String, String, String)>);

impl Overrides {
    /// The variables of this environment that set keys: `OCCID_<SECTION>_<KEY>`, and `OCCID_BACKEND_<NAME>_<KEY>`.
    pub fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let keys: BTreeMap<_, _> = Config::sections()
            .into_iter()
            .flat_map(|(_, _, keys)| keys)
            .map(|key| (key.variable(), format!("{}.{}", key.section, key.name)))
            .collect();
        let found = variables.into_iter().filter_map(|(name, text)| {
            if let Some(path) = keys.get(&name) {
                return Some((path.clone(), text, name));
            }
            let (backend, key) = name.strip_prefix("OCCID_BACKEND_")?.split_once('_')?;
            let path = format!("backend.{}.{}", backend.to_ascii_lowercase(), key.to_ascii_lowercase());
            Some((path, text, name))
        });
        Self(found.collect())
    }
}

/// The variables of this environment that look like ours and set nothing, one sentence each. They are no error: who runs
/// containers may put variables of such names into each of them.
pub fn idle_variables(names: impl IntoIterator<Item = OsString>) -> Vec<String> {
    const PREFIX: &str = "OCCID_";
    let keys = Config::sections().into_iter().flat_map(|(_, _, keys)| keys);
    let known: Vec<_> = keys
        .map(|key| key.variable())
        .chain(["OCCID_CONFIG".to_owned(), Faults::VARIABLE.to_owned()])
        .collect();
    let is_idle =
        |name: &String| name.starts_with(PREFIX) && !name.starts_with("OCCID_BACKEND_") && !known.contains(name);
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    names
        .filter(is_idle)
        .map(|name| {
            // All begin alike.
            let candidates = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
            match nearest(name.strip_prefix(PREFIX).unwrap_or(&name), candidates) {
                Some(candidate) => format!("the variable {name} sets nothing: did you mean {PREFIX}{candidate}?"),
                None => format!("the variable {name} sets nothing: occid --sample-config names those that do"),
            }
        })
        .collect()
}

/// A start-up or a command that failed: what, where, and what to do.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error(transparent)]
#[diagnostic(transparent)]
pub struct ConfigError(Box<Problem>);

#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
struct Problem {
    message: String,
    #[help]
    help: Option<String>,
    #[source_code]
    source_code: Option<NamedSource<String>>,
    #[label("here")]
    place: Option<SourceSpan>,
}

impl ConfigError {
    /// An error without a place in a file.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            message: message.into(),
            help: Some(help.into()),
            source_code: None,
            place: None,
        }))
    }

    fn given_as(mut self, name: &str) -> Self {
        self.0.message = format!("{name}: {}", self.0.message);
        self
    }

    fn within(mut self, source: &Source<'_>, span: Option<std::ops::Range<usize>>) -> Self {
        if let Some(span) = span {
            self.0.source_code = Some(NamedSource::new(source.name, source.text.to_owned()));
            self.0.place = Some(span.into());
        }
        self
    }
}

struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl Config {
    /// The sections with their documentation and keys, in the order of the sample file.
    pub fn sections() -> Vec<(&'static str, &'static [&'static str], Vec<Key>)> {
        vec![
            (Server::SECTION, Server::ABOUT, Server::keys()),
            (Http::SECTION, Http::ABOUT, Http::keys()),
            (Auth::SECTION, Auth::ABOUT, Auth::keys()),
            (Rate::SECTION, Rate::ABOUT, Rate::keys()),
            (Log::SECTION, Log::ABOUT, Log::keys()),
            (Engine::SECTION, Engine::ABOUT, Engine::keys()),
            (Retention::SECTION, Retention::ABOUT, Retention::keys()),
        ]
    }

    /// Reads `file` if there is one, lays `overrides` over it, and checks the whole.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let name = file.map(|file| file.display().to_string()).unwrap_or_default();
        let text = match file {
            Some(file) => std::fs::read_to_string(file).map_err(|error| {
                let help = match error.kind() {
                    ErrorKind::NotFound => {
                        "name a file that exists with --config, or leave the flag out to use the defaults"
                    }
                    ErrorKind::PermissionDenied => {
                        "let the user of the service read it, or leave --config out to use the defaults"
                    }
                    ErrorKind::IsADirectory => "name a file with --config, or leave the flag out to use the defaults",
                    ErrorKind::InvalidData => "the file must be TOML, in UTF-8: occid --sample-config prints one",
                    _ => "name another file with --config, or leave the flag out to use the defaults",
                };
                ConfigError::new(format!("the configuration file {name} cannot be read: {error}"), help)
            })?,
            None => String::new(),
        };
        Self::parse(
            &Source {
                name: &name,
                text: &text,
            },
            overrides,
        )
    }

    fn parse(source: &Source<'_>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let syntax = |error: toml::de::Error, help: &str| {
            ConfigError::new(error.message().trim().to_owned(), help).within(source, error.span())
        };
        let spanned = toml::de::DeTable::parse(source.text).map_err(|error| syntax(error, "the file must be TOML"))?;
        check_names(spanned.get_ref(), source)?;
        let mut table: toml::Table =
            toml::from_str(source.text).map_err(|error| syntax(error, "the file must be TOML"))?;
        // First without the overrides, because only what was read from text knows its place.
        check_values(spanned.get_ref(), &table, source)?;
        let _: Self = toml::from_str(source.text).map_err(|error| syntax(error, "see the sample configuration"))?;
        for (path, text, given_as) in &overrides.0 {
            if let Some(unknown) = unknown_to_engine(&table, path) {
                return Err(unknown.given_as(given_as));
            }
            let known = known_key(&table, path);
            let help = || match &known {
                Some(key) => format!("it sets {path}: {}", key.doc.join(" ")),
                None => format!("it sets {path}"),
            };
            let value = match &known {
                // A list of an engine may be one of numbers.
                Some(key) if key.example.is_array() && guess(text).is_array() => guess(text),
                Some(key) => key
                    .read(text)
                    .map_err(|problem| ConfigError::new(format!("{given_as} {problem}"), help()))?,
                None => guess(text),
            };
            check_value(&table, path, &value)
                .map_err(|problem| ConfigError::new(format!("{given_as} {problem}"), help()))?;
            set(&mut table, path, value);
        }
        let config: Self = table.try_into().map_err(|error: toml::de::Error| {
            ConfigError::new(error.message().trim().to_owned(), "see the sample configuration")
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let error = |key: &str, problem: String, help: &str| Err(ConfigError::new(format!("{key}: {problem}"), help));
        if self.server.listen == Address::Off {
            return error(
                "server.listen",
                "the service cannot be off".into(),
                "write ADDR:PORT or unix:PATH",
            );
        }
        if let Some(Address::Tcp(address)) = &self.server.admin_listen
            && !address.ip().is_loopback()
        {
            return error(
                "server.admin_listen",
                format!("{address} is reachable from other machines"),
                "use a loopback address (127.0.0.1:9090), unix:PATH, or off",
            );
        }
        if let Some(Address::Tcp(address)) = &self.server.local_listen {
            return error(
                "server.local_listen",
                format!("nobody can tell who connects to {address}"),
                "use unix:PATH, or off",
            );
        }
        if self
            .server
            .data_dir
            .as_ref()
            .is_some_and(|dir| dir.as_os_str().is_empty())
        {
            return error(
                "server.data_dir",
                "the path is empty".into(),
                "name a directory with --data-dir, or leave it out",
            );
        }
        if self.server.backends.is_empty() {
            return error(
                "server.backends",
                "no engine is named".into(),
                "name one, for example [\"qemu\"]",
            );
        }
        for name in &self.server.backends {
            let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            if !is_name || name.is_empty() {
                return error(
                    "server.backends",
                    format!("{name:?} is no name"),
                    "use lower-case letters and digits",
                );
            }
        }
        if let Some(twice) = named_twice(&self.server.backends) {
            return error(
                "server.backends",
                format!("{twice:?} is named twice"),
                "name each engine once; two of one kind need two names, and [backend.NAME] with type",
            );
        }
        self.check_least()?;
        let base = &self.http.base_path;
        if !base.is_empty() && (!base.starts_with('/') || base.ends_with('/') || base.contains("//")) {
            return error(
                "http.base_path",
                format!("{base:?} is no path"),
                "write it like /occi, or leave it empty",
            );
        }
        if self.http.tls_certificate.is_some() != self.http.tls_key.is_some() {
            return error(
                "http.tls_certificate",
                "certificate and key come together".into(),
                "set both http.tls_certificate and http.tls_key, or none of them",
            );
        }
        if let Some(url) = &self.http.public_url
            && !url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.path() == "/")
        {
            return error(
                "http.public_url",
                format!("{url:?} is no origin"),
                "write it like https://cloud.example.org",
            );
        }
        if !matches!(self.log.format.as_str(), "text" | "json") {
            return error(
                "log.format",
                format!("{:?} is unknown", self.log.format),
                "write text or json",
            );
        }
        if let Err(problem) = telemetry::filter(&self.log) {
            return error(
                "log.filter",
                problem,
                "write levels like info or warn,occi_engine=debug",
            );
        }
        let site = &self.engine.site;
        let is_origin = url::Url::parse(site).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        let scheme = format!("{}/occi/", site.trim_end_matches('/'));
        if !is_origin || TypeId::new(&format!("{scheme}x#"), "x").is_err() {
            return error(
                "engine.site",
                format!("{site:?} is no base of a scheme"),
                "write it like http://cloud.example.org",
            );
        }
        if scheme.starts_with(RESERVED_SCHEME) {
            return error(
                "engine.site",
                format!("{site:?} belongs to the documents of the standard"),
                "name a place of your own, like http://cloud.example.org",
            );
        }
        Ok(())
    }

    /// Refuses what is too little to serve anybody.
    fn check_least(&self) -> Result<(), ConfigError> {
        let Self {
            http,
            rate,
            engine,
            retention,
            ..
        } = self;
        for (key, size, least) in [
            ("http.header_field_limit", http.header_field_limit, KIB),
            ("http.header_limit", http.header_limit, KIB),
            ("http.body_limit", http.body_limit, KIB),
            ("http.answer_field_limit", http.answer_field_limit, KIB),
            ("http.answer_header_limit", http.answer_header_limit, KIB),
        ] {
            at_least(key, size.0 >= least.0, &least)?;
        }
        for (key, span, least) in [
            ("http.header_timeout", http.header_timeout, SHORT),
            ("http.body_timeout", http.body_timeout, SHORT),
            ("engine.refresh_interval", engine.refresh_interval, SHORT),
            ("engine.operation_deadline", engine.operation_deadline, SECOND),
            ("retention.events", retention.events, SECOND),
            ("retention.operations", retention.operations, SECOND),
            ("retention.audit", retention.audit, SECOND),
            ("retention.idempotency", retention.idempotency, SECOND),
        ] {
            at_least(key, span.0 >= least.0, &least)?;
        }
        for (key, is_enough, least) in [
            ("http.header_count", http.header_count >= 16, 16),
            ("http.connections", http.connections >= 1, 1),
            ("http.requests", http.requests >= 1, 1),
            ("rate.burst", rate.burst >= 1, 1),
            ("engine.page_limit", engine.page_limit >= 1, 1),
            ("retention.event_count", retention.event_count >= 1, 1),
        ] {
            at_least(key, is_enough, &least)?;
        }
        Ok(())
    }

    /// The data directory: as configured, else the user's or the system's.
    pub fn data_dir(&self) -> Result<PathBuf, ConfigError> {
        if let Some(dir) = &self.server.data_dir {
            return Ok(dir.clone());
        }
        if rustix::process::geteuid().is_root() {
            return Ok("/var/lib/occid".into());
        }
        let absolute = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        absolute("XDG_STATE_HOME")
            .or_else(|| Some(absolute("HOME")?.join(".local/state")))
            .map(|state| state.join("occid"))
            .ok_or_else(|| {
                ConfigError::new(
                    "there is no place for the data",
                    "set --data-dir, XDG_STATE_HOME or HOME",
                )
            })
    }

    /// Where the admin listener is.
    pub fn admin_listen(&self, data_dir: &Path) -> Address {
        let default = || Address::Unix(data_dir.join("admin.sock"));
        self.server.admin_listen.clone().unwrap_or_else(default)
    }

    /// Where root and the user of the service come in without a password.
    pub fn local_listen(&self, data_dir: &Path) -> Address {
        let default = || Address::Unix(data_dir.join("occid.sock"));
        self.server.local_listen.clone().unwrap_or_else(default)
    }
}

const KIB: Size = Size(1 << 10);
const SECOND: Span = Span::seconds(1);
const SHORT: Span = Span(std::time::Duration::from_millis(100));

fn at_least(key: &str, is_enough: bool, least: &dyn std::fmt::Display) -> Result<(), ConfigError> {
    if is_enough {
        return Ok(());
    }
    let message = format!("{key}: must be at least {least}");
    Err(ConfigError::new(
        message,
        "leave it out to have the default: occid --sample-config",
    ))
}

fn named_twice(names: &[String]) -> Option<&String> {
    names
        .iter()
        .enumerate()
        .find(|(at, name)| names[..*at].contains(name))
        .map(|(_, name)| name)
}

/// Refuses keys that do not exist, with the nearest one that does.
fn check_names(table: &toml::de::DeTable<'_>, source: &Source<'_>) -> Result<(), ConfigError> {
    let sections = Config::sections();
    let names: Vec<_> = sections.iter().map(|(name, _, _)| *name).chain(["backend"]).collect();
    for (name, value) in table {
        let text: &str = name.get_ref();
        let Some((_, _, keys)) = sections.iter().find(|(section, _, _)| *section == text) else {
            if text == "backend" {
                continue;
            }
            return Err(unknown("section", text, &names).within(source, Some(name.span())));
        };
        let Some(inner) = value.get_ref().as_table() else {
            let help = format!("write [{text}] and its keys below");
            return Err(ConfigError::new(format!("{text} is a section"), help).within(source, Some(value.span())));
        };
        let names: Vec<_> = keys.iter().map(|key| key.name).collect();
        for key in inner.keys() {
            let text: &str = key.get_ref();
            if !names.contains(&text) {
                return Err(unknown("key", text, &names).within(source, Some(key.span())));
            }
        }
    }
    Ok(())
}

/// That the engine whose section `path` leads to says that it has no such key.
fn unknown_to_engine(table: &toml::Table, path: &str) -> Option<ConfigError> {
    let (engine, name) = path.strip_prefix("backend.")?.split_once('.')?;
    let keys = backends::keys(&kind_of(table, engine));
    let names: Vec<_> = keys.iter().map(|key| key.name).chain(["type"]).collect();
    (names.len() > 1 && !names.contains(&name)).then(|| unknown("key", name, &names))
}

/// The key at a dotted path; of an engine's section, if the engine says which keys it has.
fn known_key(table: &toml::Table, path: &str) -> Option<Key> {
    let (section, name) = path.rsplit_once('.')?;
    let keys = match section.strip_prefix("backend.") {
        Some(engine) => backends::keys(&kind_of(table, engine)),
        None => {
            Config::sections()
                .into_iter()
                .find(|(known, _, _)| *known == section)?
                .2
        }
    };
    keys.into_iter().find(|key| key.name == name)
}

/// The kind of the engine called `name`: the key `type` of its section, else its name.
fn kind_of(table: &toml::Table, name: &str) -> String {
    let named = table
        .get("backend")
        .and_then(|all| all.get(name)?.get("type")?.as_str());
    named.unwrap_or(name).to_owned()
}

/// Refuses values that their keys cannot have, each at its place.
fn check_values(spanned: &toml::de::DeTable<'_>, table: &toml::Table, source: &Source<'_>) -> Result<(), ConfigError> {
    let inner = |table: &toml::Table, name: &str| table.get(name).and_then(toml::Value::as_table).cloned();
    for (section, inside) in spanned {
        let Some(inside) = inside.get_ref().as_table() else {
            continue;
        };
        let section: &str = section.get_ref();
        let values = inner(table, section).unwrap_or_default();
        let found: Vec<_> = if section == "backend" {
            let engines = inside.iter().filter_map(|(name, keys)| {
                let name: &str = name.get_ref();
                Some((
                    format!("backend.{name}"),
                    keys.get_ref().as_table()?,
                    inner(&values, name)?,
                ))
            });
            engines.collect()
        } else {
            vec![(section.to_owned(), inside, values)]
        };
        for (section, keys, values) in found {
            for (name, value) in keys {
                let text: &str = name.get_ref();
                let path = format!("{section}.{text}");
                let Some(given) = values.get(text) else { continue };
                if let Some(unknown) = unknown_to_engine(table, &path) {
                    return Err(unknown.within(source, Some(name.span())));
                }
                let known = known_key(table, &path);
                check_value(table, &path, given).map_err(|problem| {
                    let help = known.map_or_else(|| "see the sample configuration".to_owned(), |key| key.doc.join(" "));
                    ConfigError::new(format!("{path} {problem}"), help).within(source, Some(value.span()))
                })?;
            }
        }
    }
    Ok(())
}

/// Whether the key at `path` can have this value; if not, what is to be said after its name.
fn check_value(table: &toml::Table, path: &str, value: &toml::Value) -> Result<(), String> {
    let problem = match path.strip_prefix("backend.").and_then(|path| path.split_once('.')) {
        // It says which engine it is.
        Some((_, "type")) => None,
        Some((engine, key)) => backends::check_key(&kind_of(table, engine), key, value).err(),
        None => {
            let mut alone = toml::Table::new();
            set(&mut alone, path, value.clone());
            let read = alone.try_into::<Config>();
            read.err().map(|error| error.message().trim().to_owned())
        }
    };
    let Some(problem) = problem else { return Ok(()) };
    Err(match known_key(table, path) {
        Some(key) => in_plain_words(&key.example, value, &problem),
        None => format!("is wrong: {problem}"),
    })
}

/// What is wrong with a value, where the reader of TOML speaks to programmers.
fn in_plain_words(example: &toml::Value, value: &toml::Value, problem: &str) -> String {
    if let Some((_, choice)) = problem
        .split_once(", expected ")
        .filter(|_| problem.starts_with("unknown variant"))
    {
        return format!("must be {choice}, not {value}");
    }
    if !["invalid type", "invalid value", "invalid length"]
        .iter()
        .any(|kind| problem.starts_with(kind))
    {
        return format!("is wrong: {problem}");
    }
    let what = match example {
        toml::Value::Integer(_) => match value.as_integer() {
            Some(..0) => return format!("must not be negative, but is {value}"),
            Some(_) => return format!("is too large: {value}"),
            None => "a whole number",
        },
        toml::Value::Boolean(_) => "true or false",
        toml::Value::Array(_) => "a list",
        _ => "text in quotes",
    };
    format!("must be {what}, like {example}, not {value}")
}

fn unknown(what: &str, name: &str, known: &[&str]) -> ConfigError {
    let help = match nearest(name, known.iter().copied()) {
        Some(candidate) => format!("did you mean {candidate:?}?"),
        None => format!("there are: {}", known.join(", ")),
    };
    ConfigError::new(format!("unknown {what} {name:?}"), help)
}

/// The one that `name` is most like, if it is like any.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|candidate| (strsim::jaro_winkler(candidate, name), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A text for an engine's own key, whose type is not known here: what looks like a number or a truth value is one.
fn guess(text: &str) -> toml::Value {
    let literal: Option<toml::Table> = toml::from_str(&format!("value = {text}")).ok();
    match literal.and_then(|mut table| table.remove("value")) {
        Some(
            value @ (toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) | toml::Value::Array(_)),
        ) => value,
        _ => text.into(),
    }
}

fn set(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| toml::Table::new().into());
            if !inner.is_table() {
                *inner = toml::Table::new().into();
            }
            if let toml::Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, overrides: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables = overrides
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse(
            &Source {
                name: "occid.toml",
                text,
            },
            &Overrides::from_environment(variables),
        )
    }

    #[test]
    fn the_sample_changes_nothing_and_uncommented_it_is_valid() {
        let sample = super::super::sample();
        assert_eq!(parse(&sample, &[]).unwrap(), Config::default());
        let set: String = sample
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') && (rest.contains(" = ") || rest.starts_with('[')) => {
                    format!("{rest}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        let config = parse(&set, &[]).unwrap();
        assert_eq!(config.http.body_limit, Config::default().http.body_limit);
        assert!(config.http.tls_key.is_some());
        if cfg!(feature = "qemu") {
            assert_eq!(config.backend["qemu"]["cores_ratio"].as_integer(), Some(16));
        }
    }

    #[test]
    fn every_key_can_be_set_by_its_variable() {
        for (_, _, keys) in Config::sections() {
            for key in keys {
                let text = match &key.example {
                    toml::Value::String(text) => text.clone(),
                    toml::Value::Array(items) => {
                        let items: Vec<_> = items.iter().filter_map(toml::Value::as_str).collect();
                        items.join(", ")
                    }
                    other => other.to_string(),
                };
                // These two come together.
                let partner = match key.name {
                    "tls_key" => Some(("OCCID_HTTP_TLS_CERTIFICATE", "/x")),
                    "tls_certificate" => Some(("OCCID_HTTP_TLS_KEY", "/x")),
                    _ => None,
                };
                let set: Vec<_> = [(key.variable(), text)].into_iter().collect();
                let overrides: Vec<_> = set
                    .iter()
                    .map(|(name, text)| (name.as_str(), text.as_str()))
                    .chain(partner)
                    .collect();
                parse("", &overrides).unwrap_or_else(|error| panic!("{}: {error}", key.variable()));
            }
        }
        let config = parse(
            "[http]\nbody_limit = 10",
            &[("OCCID_HTTP_BODY_LIMIT", "1 MiB"), ("OCCID_LISTEN", "[::1]:1")],
        )
        .unwrap();
        assert_eq!(
            (config.http.body_limit.0, config.server.listen.to_string()),
            (1 << 20, "[::1]:1".to_owned())
        );
        let config = parse(
            "",
            &[
                ("OCCID_BACKEND_QEMU_ON_HOST_BOOT", "leave"),
                ("OCCID_BACKEND_QEMU_CORES_RATIO", "2"),
            ],
        )
        .unwrap();
        assert_eq!(config.backend["qemu"]["on_host_boot"].as_str(), Some("leave"));
        assert_eq!(config.backend["qemu"]["cores_ratio"].as_integer(), Some(2));
    }

    #[test]
    fn variables_that_set_nothing_are_named_with_the_one_that_may_be_meant() {
        let names = ["OCCID_LISTN", "OCCID_BACKEND", "OCCID_LISTEN", "OCCID_CONFIG", "PATH"];
        let words = idle_variables(names.map(Into::into));
        assert_eq!(
            words,
            [
                "the variable OCCID_LISTN sets nothing: did you mean OCCID_LISTEN?",
                "the variable OCCID_BACKEND sets nothing: did you mean OCCID_BACKENDS?",
            ]
        );
        let words = idle_variables(["OCCID_8787_ZZ".into()]);
        assert!(words[0].contains("--sample-config"), "{words:?}");
    }

    #[test]
    fn errors_name_the_key_the_place_and_the_remedy() {
        for (text, overrides, message, help) in [
            (
                "[htpp]\n",
                &[][..],
                "unknown section \"htpp\"",
                "did you mean \"http\"?",
            ),
            (
                "[http]\nbody_limt = 1",
                &[],
                "unknown key \"body_limt\"",
                "did you mean \"body_limit\"?",
            ),
            (
                "[rate]\nper_second = \"x\"",
                &[],
                "rate.per_second must be a whole number, like 5000, not \"x\"",
                "per second",
            ),
            ("[http]\nbody_limit = \"4 MB\"", &[], "is no size", "largest body"),
            (
                "",
                &[("OCCID_RATE_BURST", "many")],
                "OCCID_RATE_BURST must be a whole number",
                "rate.burst",
            ),
            ("", &[("OCCID_LISTEN", "8787")], "OCCID_LISTEN", "server.listen"),
            ("[server]\nlisten = \"off\"", &[], "server.listen", "ADDR:PORT"),
            (
                "[server]\nadmin_listen = \"0.0.0.0:1\"",
                &[],
                "server.admin_listen",
                "loopback",
            ),
            (
                "[server]\nlocal_listen = \"127.0.0.1:1\"",
                &[],
                "server.local_listen",
                "unix:PATH",
            ),
            ("[http]\ntls_key = \"/x\"", &[], "http.tls_certificate", "both"),
            ("server = 1", &[], "server is a section", "[server]"),
            ("[", &[], "", "TOML"),
        ] {
            let error = parse(text, overrides).expect_err(text);
            assert!(error.0.message.contains(message), "{text}: {error}");
            assert!(
                error.0.help.as_deref().unwrap_or_default().contains(help),
                "{text}: {:?}",
                error.0.help
            );
            assert_eq!(
                error.0.place.is_some(),
                text.contains("limt")
                    || text.contains("htpp")
                    || text.contains("\"x\"")
                    || text.contains("MB")
                    || text == "server = 1"
                    || text == "[",
                "{text}"
            );
        }
    }
}
