//! Logs to stderr.

use crate::config::{ConfigError, Log};
use tracing_subscriber::EnvFilter;

/// Starts writing logs. Called once, by the binary.
pub fn start_logging(config: &Log) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.filter).map_err(|error| {
        ConfigError::new(
            format!("log.filter: {error}"),
            "write levels like info or warn,occi_engine=debug",
        )
    })?;
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
