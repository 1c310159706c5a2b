//! Journals for tests: one that remembers and stops a verb where it is told to, and one that does neither.

use crate::{Interrupted, Journal, Picture};
use async_trait::async_trait;
use std::collections::HashSet;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Where a verb is stopped.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// Nowhere.
    Never,
    /// At the point of this number; the first is 0.
    At(usize),
    /// At the first point that is not among these.
    AtNew(HashSet<String>),
}

/// How a verb is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The journal says so.
    Interrupt,
    /// The verb's future is dropped, as in a crash.
    Drop,
}

/// What a verb told, and where it stops.
pub(super) struct Notes {
    stop: Stop,
    how: How,
    points: Mutex<Vec<String>>,
    accepted: Mutex<Option<Picture>>,
    hung: Notify,
    /// Whether a call failed on the way, so that what it did may be missing here.
    incomplete: AtomicBool,
}

impl Notes {
    pub(super) fn new(stop: Stop, how: How) -> Self {
        Self {
            stop,
            how,
            points: Mutex::default(),
            accepted: Mutex::default(),
            hung: Notify::new(),
            incomplete: AtomicBool::new(false),
        }
    }

    /// A journal that stops nothing.
    pub(super) fn quiet() -> Arc<Self> {
        Arc::new(Self::new(Stop::Never, How::Interrupt))
    }

    /// Everything that was told, in order.
    pub(super) fn points(&self) -> Vec<String> {
        lock(&self.points).clone()
    }

    /// Whether a call that had an effect recorded no step.
    pub(super) fn lacks_steps(&self) -> bool {
        !self.incomplete.load(Ordering::Relaxed) && !lock(&self.points).iter().any(|point| point.starts_with("step"))
    }

    /// Says that a call failed: what the next finds done it does not record.
    pub(super) fn mark_incomplete(&self) {
        self.incomplete.store(true, Ordering::Relaxed);
    }

    /// The picture at which the engine took responsibility.
    pub(super) fn accepted_picture(&self) -> Option<Picture> {
        lock(&self.accepted).clone()
    }

    /// Returns when the verb stands at the point where it is to be dropped.
    pub(super) async fn hung(&self) {
        self.hung.notified().await;
    }

    async fn point(&self, name: String) -> Result<(), Interrupted> {
        let stops = {
            let mut points = lock(&self.points);
            points.push(name.clone());
            match &self.stop {
                Stop::Never => false,
                Stop::At(n) => points.len() == n + 1,
                Stop::AtNew(seen) => !seen.contains(&name),
            }
        };
        match (stops, self.how) {
            (false, _) => Ok(()),
            (true, How::Interrupt) => Err(Interrupted),
            (true, How::Drop) => {
                self.hung.notify_one();
                pending().await
            }
        }
    }
}

#[async_trait]
impl Journal for Notes {
    async fn accepted(&self, picture: &Picture) -> Result<(), Interrupted> {
        *lock(&self.accepted) = Some(picture.clone());
        self.point("accepted".to_owned()).await
    }
    async fn step(&self, step: &str) -> Result<(), Interrupted> {
        self.point(format!("step {step}")).await
    }
    fn progress(&self, _percent: u8) {}
    async fn picture(&self, _picture: &Picture) -> Result<(), Interrupted> {
        self.point("picture".to_owned()).await
    }
}

/// A journal that takes everything and keeps nothing, for calls that nobody interrupts and resumes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

#[async_trait]
impl Journal for Silent {
    async fn accepted(&self, _picture: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
    async fn step(&self, _step: &str) -> Result<(), Interrupted> {
        Ok(())
    }
    fn progress(&self, _percent: u8) {}
    async fn picture(&self, _picture: &Picture) -> Result<(), Interrupted> {
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
