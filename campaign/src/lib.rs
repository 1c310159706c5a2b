//! The crash campaign: runs the real `occid`, ends it by `kill -9` and by planned faults, starts it again, and compares
//! three witnesses: what clients were answered, what `occid` says exists, and what really exists in the engine behind it.
//!
//! - `faults` goes through a table: every verb, every recorded step, `kill` and `error` before and after it.
//! - `rounds` lets several clients write at random and kills at random.
//! - The `journal` is the oracle: whoever was answered 2xx must find what was promised.

mod campaign;
mod census;
mod check;
mod client;
mod deed;
mod dice;
mod faults;
mod journal;
mod occid;
mod processes;
mod report;
mod rounds;

pub use campaign::{Campaign, Plan};
pub use census::Engine;
pub use report::Report;
