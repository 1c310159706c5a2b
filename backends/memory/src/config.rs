//! How the engine behaves.

use serde::Deserialize;
use std::path::PathBuf;

/// Which kind of engine this one plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Personality {
    /// An engine on this host: our marks are its ids, it tells what happens, running computes can be resized.
    #[default]
    Local,
    /// A cloud: it assigns its own ids, has sizes with names, tells nothing by itself, resizes only what is stopped, and
    /// makes a second object when it is asked twice.
    Remote,
}

/// The engine's behaviour. [`Config::local`] is prompt and faultless; [`Config::remote`] is as bad as a real cloud.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which kind of engine it plays. Default: local.
    pub personality: Personality,
    /// Where the dice start: the same seed and the same calls give the same losses. Default: 0.
    pub seed: u64,
    /// How long one native call takes, in milliseconds. Default: 0.
    pub latency_ms: u64,
    /// How long the engine works after it has taken a create, an action or a delete, in milliseconds; until then the
    /// object looks as before. Default: 0.
    pub work_ms: u64,
    /// How often a request is lost on its way to the engine, 0 to 1: the caller sees a time-out, nothing happens.
    /// Default: 0.
    pub lost_request_rate: f64,
    /// How often the answer is lost, 0 to 1: the caller sees a time-out, and it has happened. Default: 0.
    pub lost_answer_rate: f64,
    /// How long after a lost answer the new object shows, in milliseconds. Less than twice `call_timeout_ms`. Default: 0.
    pub late_ms: u64,
    /// A listing shows what was there so many milliseconds ago. Less than `call_timeout_ms`. Default: 0.
    pub list_delay_ms: u64,
    /// After how long the engine's token has to be fetched anew, in milliseconds; 0 means never. Default: 0.
    pub token_life_ms: u64,
    /// How long a graceful stop waits for the guest, in milliseconds. Default: 0.
    pub stop_grace_ms: u64,
    /// The declared time-out of a native call, in milliseconds. Default: 0.
    pub call_timeout_ms: u64,
    /// Whether a network is for its own project alone, as in clouds that cannot share one. Default: false.
    pub private_networks: bool,
    /// The memory of all computes together, in GiB; none means boundless. Default: none.
    pub memory_gib: Option<f64>,
    /// The file in which the engine's objects outlive this process (one process at a time); none keeps them in memory.
    /// They survive the end of the process, not that of the machine: nothing is forced to the disk. Default: none.
    pub path: Option<PathBuf>,
}

impl Config {
    /// A prompt engine on this host.
    pub fn local() -> Self {
        Self {
            stop_grace_ms: 50,
            call_timeout_ms: 1000,
            ..Self::default()
        }
    }

    /// A cloud: slow, forgetful, a little behind.
    pub fn remote() -> Self {
        Self {
            personality: Personality::Remote,
            latency_ms: 2,
            work_ms: 20,
            lost_request_rate: 0.05,
            lost_answer_rate: 0.05,
            late_ms: 50,
            list_delay_ms: 50,
            token_life_ms: 500,
            stop_grace_ms: 50,
            call_timeout_ms: 100,
            ..Self::default()
        }
    }
}
