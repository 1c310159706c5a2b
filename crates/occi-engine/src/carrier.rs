//! A backend as the engine uses it.

use crate::{EngineError, FailureKind, Result};
use arc_swap::ArcSwap;
use occi_backend::{Backend, Capabilities, ErrorKind, KindCapability, Locality};
use occi_model::TypeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// One of the backends, with what the engine knows of it.
pub(crate) struct Carrier {
    /// Its short name.
    pub(crate) name: String,
    /// The backend.
    pub(crate) backend: Arc<dyn Backend>,
    /// Lets so many operations run at the same time.
    permits: Arc<Semaphore>,
    /// Somebody wanted a permit and got none.
    is_short: AtomicBool,
    /// Rung when there may be an operation to claim.
    pub(crate) bell: Notify,
    /// Whether it answered when it was called last.
    reached: ArcSwap<std::result::Result<(), String>>,
    /// What it said of its health last.
    told: ArcSwap<std::result::Result<(), String>>,
}

impl Carrier {
    pub(crate) fn new(name: String, backend: Arc<dyn Backend>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(backend.capabilities().concurrency.max(1))),
            is_short: AtomicBool::new(false),
            name,
            backend,
            bell: Notify::new(),
            reached: ArcSwap::from_pointee(Ok(())),
            told: ArcSwap::from_pointee(Ok(())),
        }
    }

    /// A permit to run an operation, if there is one now; else [`Carrier::give_back`] rings when there is.
    pub(crate) fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let take = || self.permits.clone().try_acquire_owned().ok();
        take().or_else(|| {
            self.is_short.store(true, Ordering::SeqCst);
            // One that came back in between rang for nobody.
            take()
        })
    }

    /// Gives a permit back, and lets the dispatcher know if it is waited for.
    pub(crate) fn give_back(&self, permit: OwnedSemaphorePermit) {
        drop(permit);
        if self.is_short.swap(false, Ordering::SeqCst) {
            self.bell.notify_one();
        }
    }

    /// What it declares.
    pub(crate) fn capabilities(&self) -> &Capabilities {
        self.backend.capabilities()
    }

    /// What it declares of a kind.
    pub(crate) fn kind(&self, kind: &TypeId) -> Option<&KindCapability> {
        self.capabilities().kind(kind)
    }

    /// Whether it can be used, as last seen. A host's engine can be listed while what it works with is missing, so there
    /// it counts what it says of itself.
    pub(crate) fn health(&self) -> std::result::Result<(), String> {
        let reached = (**self.reached.load()).clone();
        match self.capabilities().locality {
            Locality::Host => reached.and_then(|()| (**self.told.load()).clone()),
            Locality::Shared => reached,
        }
    }

    /// Whether its answers are its own and new, as last seen.
    pub(crate) fn is_reached(&self) -> bool {
        self.reached.load().is_ok()
    }

    /// Learns from the outcome of a call whether the engine can be reached.
    pub(crate) fn learn<T>(&self, outcome: &occi_backend::Result<T>) {
        let seen = match outcome {
            Err(error) if error.kind == ErrorKind::Unavailable => Err(error.message.clone()),
            // Any other answer came from the engine.
            _ => Ok(()),
        };
        if **self.reached.load() != seen {
            match &seen {
                Ok(()) => tracing::info!(backend.name = %self.name, "the backend can be reached again"),
                Err(cause) => tracing::warn!(backend.name = %self.name, %cause, "the backend cannot be reached"),
            }
            self.reached.store(Arc::new(seen));
            self.count();
        }
    }

    /// Asks it whether it can be used, and says what has changed since it was asked last.
    pub(crate) async fn probe(&self) {
        let outcome = self.backend.health().await;
        let answer = outcome.as_ref().map_err(|error| error.message.clone()).copied();
        if **self.told.load() != answer {
            match &outcome {
                Ok(()) => tracing::info!(backend.name = %self.name, "the backend can be used again"),
                Err(error) => {
                    tracing::warn!(backend.name = %self.name, context = error.context, "the backend cannot be used: {error}");
                }
            }
            self.told.store(Arc::new(answer));
        }
        match (outcome, self.capabilities().locality) {
            (Ok(()), _) => self.learn(&Ok(())),
            (Err(_), Locality::Host) => {}
            // What health() reports is the operator's to mend, whatever its kind.
            (Err(error), Locality::Shared) => self.reached.store(Arc::new(Err(error.message))),
        }
        self.count();
    }

    fn count(&self) {
        let up = if self.health().is_ok() { 1.0 } else { 0.0 };
        metrics::gauge!("occid_backend_up", "backend" => self.name.clone()).set(up);
    }

    /// Refuses a write while the backend is known to be down.
    pub(crate) async fn require_up(&self) -> Result<()> {
        if self.health().is_err() && self.capabilities().locality == Locality::Host {
            // What was missing on this host may have been installed since.
            self.probe().await;
        }
        self.health().map_err(|cause| EngineError {
            retry_after: Some(std::time::Duration::from_secs(10)),
            ..EngineError::new(
                FailureKind::Unavailable,
                format!("the backend {:?} cannot be used now: {cause}", self.name),
            )
        })
    }
}
