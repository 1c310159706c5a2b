//! What every backend needs around it, written once: metrics, a circuit breaker, retries, a queue, time limits and
//! faults on purpose.
//!
//! Each layer is a [`Layer`] that sees every verb as a [`Call`], and [`Layered`] is a backend again. [`standard`] puts
//! them in the order that means what it says, the first outermost:
//!
//! 1. [`Metrics`] count what the engine above sees, waiting and retries included.
//! 2. [`Breaker`] is outside of the retries: a verb that failed all its tries counts once, and nothing is tried against
//!    an engine that is known to be down.
//! 3. [`Retry`] is outside of the queue: while it waits to try again it holds no place.
//! 4. [`Queue`] is outside of the time limit: the time in the queue is not the engine's.
//! 5. [`TimeLimit`] drops a verb that takes too long; what it did meanwhile is unknown.
//! 6. [`Faults`] are next to the backend: everybody else meets them as if the engine had failed.

mod breaker;
mod faults;
mod layered;
mod metrics;
mod queue;
mod retry;
mod standard;
mod time_limit;

pub use breaker::Breaker;
pub use faults::{Effect, Fault, Faults, Point};
pub use layered::{Call, Layer, Layered};
pub use metrics::Metrics;
pub use queue::Queue;
pub use retry::Retry;
pub use standard::{LayerConfig, standard};
pub use time_limit::TimeLimit;
