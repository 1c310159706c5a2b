//! The engines that can stand behind the service: one line each.

use crate::config::ConfigError;
use occi_backend::Backend;
use occi_backend::layers::{Faults, LayerConfig, standard};
use std::path::Path;
use std::sync::Arc;

/// Makes an engine from its section of the configuration. `data_dir` is the server's.
type Open = fn(section: toml::Table, data_dir: &Path) -> Result<Arc<dyn Backend>, String>;

const BACKENDS: &[(&str, Open)] = &[
    #[cfg(feature = "memory")]
    ("memory", memory),
    #[cfg(feature = "qemu")]
    ("qemu", qemu),
];

/// Opens the engine called `name`, with the layers around it that every engine has. Its kind is the key `type` of its
/// section, else its name.
pub fn open(name: &str, section: Option<&toml::Table>, data_dir: &Path) -> Result<Arc<dyn Backend>, ConfigError> {
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
    let Some((_, open)) = BACKENDS.iter().find(|(known, _)| *known == kind) else {
        let known: Vec<_> = BACKENDS.iter().map(|(known, _)| *known).collect();
        return Err(ConfigError::new(
            format!("server.backends: there is no engine {kind:?}"),
            format!("there are: {}", known.join(", ")),
        ));
    };
    let backend = open(section, data_dir).map_err(|problem| {
        ConfigError::new(
            format!("the engine {name} cannot be used: {problem}"),
            format!("see the section [backend.{name}]"),
        )
    })?;
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
    Ok(standard(name, backend, layers))
}

#[cfg(feature = "memory")]
fn memory(section: toml::Table, _data_dir: &Path) -> Result<Arc<dyn Backend>, String> {
    use occi_backend_memory::{Config, Memory};
    let personality = section.get("personality").and_then(toml::Value::as_str);
    // A personality alone brings its whole behaviour; further keys make an engine to order.
    let config = match (personality, section.len()) {
        (None, 0) | (Some("local"), 1) => Config::local(),
        (Some("remote"), 1) => Config::remote(),
        _ => section.try_into().map_err(|error| error.message().to_owned())?,
    };
    let memory = Memory::open(config).map_err(|error| error.to_string())?;
    Ok(Arc::new(memory))
}

#[cfg(feature = "qemu")]
fn qemu(section: toml::Table, data_dir: &Path) -> Result<Arc<dyn Backend>, String> {
    use occi_backend_qemu::{Qemu, QemuConfig};
    let config: QemuConfig = section
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    let qemu = Qemu::open(config.below(data_dir))
        .map_err(|failure| format!("failed to {}", crate::admin::with_sources(&failure)))?;
    Ok(Arc::new(qemu))
}
