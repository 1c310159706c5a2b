//! The configuration: one structure per concern, one file, an environment variable for every key, flags for the few that
//! matter. Validated before anything listens; an error names the key and the remedy.

mod key;
mod load;
mod sample;
mod sections;
mod value;

pub use key::Key;
pub(crate) use load::nearest;
pub use load::{Config, ConfigError, Overrides, idle_variables};
pub use sample::sample;
pub use sections::{Auth, Engine, Http, Log, Rate, Retention, Server};
pub use value::{Address, Network, Size, Span};
