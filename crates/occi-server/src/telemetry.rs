//! Logs to stderr.

use crate::config::{ConfigError, Log};
use tracing_subscriber::EnvFilter;

/// What is logged; else what is wrong with the words for it.
pub(crate) fn filter(config: &Log) -> Result<EnvFilter, String> {
    EnvFilter::try_new(&config.filter).map_err(|error| error.to_string())
}

/// Starts writing logs. Called once, by the binary.
pub fn start_logging(config: &Log) -> Result<(), ConfigError> {
    let filter = filter(config)
        .map_err(|problem| ConfigError::new(format!("log.filter: {problem}"), "write levels like info"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if config.format == "json" {
        builder.json().try_init()
    } else {
        builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init()
    };
    // Somebody (a test) has started logging already: that one stays.
    let _ = started;
    Ok(())
}
