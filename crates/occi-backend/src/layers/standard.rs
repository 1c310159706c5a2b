//! The layers in their order.

use super::{Breaker, Faults, Layered, Metrics, Queue, Retry, TimeLimit};
use crate::Backend;
use std::sync::Arc;

/// How the standard layers behave.
#[derive(Debug, Default)]
pub struct LayerConfig {
    /// When an engine counts as down.
    pub breaker: Breaker,
    /// What is tried again.
    pub retry: Retry,
    /// What takes too long.
    pub time_limit: TimeLimit,
    /// What fails on purpose. Default: nothing.
    pub faults: Faults,
}

/// Puts all layers around `backend`, which the metrics call `name`, in the order that the module describes. The queue
/// has as many places as the backend declares.
pub fn standard(name: &str, backend: Arc<dyn Backend>, config: LayerConfig) -> Arc<dyn Backend> {
    let LayerConfig {
        breaker,
        retry,
        time_limit,
        faults,
    } = config;
    let queue = Queue::new(backend.capabilities().concurrency);
    let backend = Arc::new(Layered::new(backend, faults));
    let backend = Arc::new(Layered::new(backend, time_limit));
    let backend = Arc::new(Layered::new(backend, queue));
    let backend = Arc::new(Layered::new(backend, retry));
    let backend = Arc::new(Layered::new(backend, breaker));
    Arc::new(Layered::new(backend, Metrics::new(name.to_owned())))
}
