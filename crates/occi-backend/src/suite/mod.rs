//! The contract suite: what every backend must pass, chosen by what it declares.
//!
//! A backend's `tests/contract.rs` (with `harness = false`) is a few lines:
//!
//! ```ignore
//! fn main() -> std::process::ExitCode {
//!     suite::run(vec![Subject::new("qemu", config, async || Ok(Arc::new(Qemu::open(..)?) as Arc<dyn Backend>))])
//! }
//! ```
//!
//! Each case is named by a sentence of the contract and the kind it is about; a case that the declaration rules out is
//! reported as ignored, with the reason. The suite plays the engine above: it marks, it looks for its mark after an
//! ambiguous failure until twice the declared call time-out has passed, and then sends again with a higher attempt. So
//! an engine that loses answers passes, and one that makes something twice does not.

mod actions;
mod cases;
mod config;
mod consoles;
mod creation;
mod events;
mod images;
mod interruption;
mod journal;
mod lab;
mod links;
mod readings;
mod run;
mod samples;
mod updates;

pub use config::{Deafen, PowerOff, Subject, SuiteConfig};
pub use journal::Silent;
pub use run::{Failure, failures, run};
