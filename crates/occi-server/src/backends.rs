//! The engines that can stand behind the service: one line each.

use crate::config::{Config, ConfigError, Key};
use occi_backend::Backend;
use occi_backend::layers::{Faults, LayerConfig, standard};
use std::path::Path;
use std::sync::Arc;

/// Reads an engine's section of the configuration, and makes nothing. `data_dir` is the server's.
type Read = fn(section: toml::Table, data_dir: &Path) -> Result<Open, String>;

/// Makes the engine.
type Open = Box<dyn FnOnce() -> Result<Arc<dyn Backend>, String> + Send>;

const BACKENDS: &[(&str, Read)] = &[
    #[cfg(feature = "memory")]
    ("memory", memory),
    #[cfg(feature = "qemu")]
    ("qemu", qemu),
];

/// A key of an engine as the sample file shows it: name, meaning line by line, default or example in TOML.
type SampleKey = (&'static str, &'static [&'static str], &'static str);

/// The keys of the engines that operators choose among; the engine for tests documents its own.
pub fn sample_keys() -> Vec<(&'static str, Vec<SampleKey>)> {
    vec![
        #[cfg(feature = "qemu")]
        ("qemu", {
            let keys = occi_backend_qemu::QemuConfig::KEYS.iter();
            keys.map(|key| (key.name, key.doc, key.example)).collect()
        }),
    ]
}

/// The keys of a kind of engine; none if it says of none.
pub fn keys(kind: &str) -> Vec<Key> {
    let sample = sample_keys().into_iter().filter(|(name, _)| *name == kind);
    let keys = sample.flat_map(|(section, keys)| keys.into_iter().map(move |key| (section, key)));
    keys.filter_map(|(section, (name, doc, example))| {
        let example: toml::Table = toml::from_str(&format!("value = {example}")).ok()?;
        Some(Key {
            section,
            name,
            doc,
            default: None,
            example: example.get("value")?.clone(),
        })
    })
    .collect()
}

/// Whether a key of a kind of engine can have this value; what is wrong if not. The engine for tests is asked for its
/// section as a whole.
pub fn check_key(kind: &str, key: &str, value: &toml::Value) -> Result<(), String> {
    match BACKENDS.iter().find(|(known, _)| *known == kind && *known != "memory") {
        Some((_, read)) => {
            let section = toml::Table::from_iter([(key.to_owned(), value.clone())]);
            read(section, Path::new("/")).map(drop)
        }
        None => Ok(()),
    }
}

/// An engine whose section of the configuration has been read.
pub struct Chosen {
    name: String,
    open: Open,
    layers: LayerConfig,
}

/// The engines that the configuration names. Everything that can be known to be wrong before one is made is refused here.
pub fn choose(config: &Config, data_dir: &Path) -> Result<Vec<Chosen>, ConfigError> {
    let named = &config.server.backends;
    if let Some(name) = config.backend.keys().find(|name| !named.contains(name)) {
        return Err(ConfigError::new(
            format!("the section [backend.{name}] is of no engine that is used"),
            format!("server.backends names: {}", named.join(", ")),
        ));
    }
    let one = |name: &String| read(name, config.backend.get(name), data_dir);
    named.iter().map(one).collect()
}

/// Reads the section of the engine called `name`. Its kind is the key `type` of the section, else its name.
fn read(name: &str, section: Option<&toml::Table>, data_dir: &Path) -> Result<Chosen, ConfigError> {
    let mut section = section.cloned().unwrap_or_default();
    let kind = match section.remove("type") {
        Some(toml::Value::String(kind)) => kind,
        Some(_) => {
            return Err(ConfigError::new(
                format!("backend.{name}.type must be text"),
                "write \"memory\" or \"qemu\"",
            ));
        }
        None => name.to_owned(),
    };
    let Some((_, read)) = BACKENDS.iter().find(|(known, _)| *known == kind) else {
        let known: Vec<_> = BACKENDS.iter().map(|(known, _)| *known).collect();
        return Err(ConfigError::new(
            format!("server.backends: there is no engine {kind:?}"),
            format!("there are: {}", known.join(", ")),
        ));
    };
    let open = read(section, data_dir).map_err(|problem| unusable(name, &problem))?;
    let faults = Faults::from_env().map_err(|problem| {
        ConfigError::new(
            problem,
            format!("it makes engines fail, for tests: unset {}", Faults::VARIABLE),
        )
    })?;
    let layers = LayerConfig {
        faults,
        ..LayerConfig::default()
    };
    Ok(Chosen {
        name: name.to_owned(),
        open,
        layers,
    })
}

impl Chosen {
    /// Makes the engine, with the layers around it that every engine has, and says its name.
    pub fn open(self) -> Result<(String, Arc<dyn Backend>), ConfigError> {
        let backend = (self.open)().map_err(|problem| unusable(&self.name, &problem))?;
        let layered = standard(&self.name, backend, self.layers);
        Ok((self.name, layered))
    }
}

fn unusable(name: &str, problem: &str) -> ConfigError {
    ConfigError::new(
        format!("the engine {name} cannot be used: {problem}"),
        format!("see the section [backend.{name}]"),
    )
}

#[cfg(feature = "memory")]
fn memory(section: toml::Table, _data_dir: &Path) -> Result<Open, String> {
    use occi_backend_memory::Memory;
    type Behaviour = occi_backend_memory::Config;
    let personality = section.get("personality").and_then(toml::Value::as_str);
    // A personality alone brings its whole behaviour; further keys make an engine to order.
    let config = match (personality, section.len()) {
        (None, 0) | (Some("local"), 1) => Behaviour::local(),
        (Some("remote"), 1) => Behaviour::remote(),
        _ => section.try_into().map_err(|error| error.message().to_owned())?,
    };
    Ok(Box::new(|| {
        let memory = Memory::open(config).map_err(|error| error.to_string())?;
        Ok(Arc::new(memory))
    }))
}

#[cfg(feature = "qemu")]
fn qemu(section: toml::Table, data_dir: &Path) -> Result<Open, String> {
    use occi_backend_qemu::{Qemu, QemuConfig};
    let config: QemuConfig = section
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    let config = config.below(data_dir);
    config.validate()?;
    Ok(Box::new(|| {
        let qemu =
            Qemu::open(config).map_err(|failure| format!("failed to {}", crate::admin::with_sources(&failure)))?;
        Ok(Arc::new(qemu))
    }))
}
