//! What a backend tells the suite about itself, besides its declaration.

use crate::{Backend, Create};
use futures::FutureExt;
use futures::future::BoxFuture;
use occi_model::{AttributeName, Term, Value};
use std::sync::Arc;
use std::time::Duration;

/// Turns a compute that is to be made into one whose guest ignores a graceful stop.
pub type Deafen = Arc<dyn Fn(&mut Create) + Send + Sync>;

/// Makes the guest of a running compute, named by its native id, power itself off.
pub type PowerOff = Arc<dyn Fn(String) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How the suite uses a backend.
#[derive(Clone)]
pub struct SuiteConfig {
    /// The native project in which everything is made. Default: `suite`.
    pub project: String,
    /// What computes boot. Default: the catalogue's default.
    pub os_template: Option<Term>,
    /// The cores of a compute. Default: 1.
    pub cores: i64,
    /// The memory of a compute, in GiB. Default: 0.25.
    pub memory_gib: f64,
    /// The size of a volume, in GiB. Default: 1.
    pub storage_gib: f64,
    /// Whether a boot takes seconds: then computes are interrupted before they boot, and two cases run at a time.
    /// Default: false.
    pub slow: bool,
    /// How long one case may take. Default: 60 s.
    pub case_timeout: Duration,
    /// How to get a guest that ignores a graceful stop. Default: none, and the case is skipped.
    pub deafen: Option<Deafen>,
    /// How to make a guest power itself off. Default: none, and the case is skipped.
    pub power_off: Option<PowerOff>,
    /// What attributes are changed to, where the suite's own values do not suit. Default: none.
    pub changes: Vec<(AttributeName, Value)>,
}

impl Default for SuiteConfig {
    fn default() -> Self {
        Self {
            project: "suite".to_owned(),
            os_template: None,
            cores: 1,
            memory_gib: 0.25,
            storage_gib: 1.0,
            slow: false,
            case_timeout: Duration::from_secs(60),
            deafen: None,
            power_off: None,
            changes: Vec::new(),
        }
    }
}

type Open = Box<dyn FnOnce() -> BoxFuture<'static, Result<Arc<dyn Backend>, String>> + Send>;

/// A backend under test.
pub struct Subject {
    pub(crate) name: &'static str,
    pub(crate) config: SuiteConfig,
    pub(crate) open: Open,
}

impl Subject {
    /// `open` runs once, inside of the suite's runtime; all cases share what it gives.
    pub fn new<F>(name: &'static str, config: SuiteConfig, open: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Arc<dyn Backend>, String>> + Send + 'static,
    {
        Self {
            name,
            config,
            open: Box::new(move || open().boxed()),
        }
    }
}
