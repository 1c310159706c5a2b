//! Requests that wait for operations, and operations that are told to stop. Nothing here is durable: after a restart
//! nobody waits.

use crate::EngineError;
use occi_store::EntityRow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How far an operation is, for those who wait.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// Recorded.
    Recorded,
    /// The engine has taken responsibility.
    Accepted,
    /// Ended, well or not.
    Ended(Outcome),
}

/// How an operation ended: with the entities that its end has changed, as they are since then, if this process has ended it;
/// or with its failure.
pub(crate) type Outcome = Result<Arc<[EntityRow]>, EngineError>;

/// The open operations of this process.
pub(crate) struct Waiting {
    open: Mutex<HashMap<Uuid, Open>>,
    /// Stops all of them.
    stopping: CancellationToken,
}

struct Open {
    /// None of what another process does and requests here wait for.
    verb: Option<Arc<str>>,
    phase: watch::Sender<Phase>,
    stop: CancellationToken,
    /// Requests that have not been answered yet.
    unanswered: usize,
    /// Somebody was told that it goes on: a refusal cannot be the answer any more.
    shown: bool,
    /// A refusal is under way: it will be the answer, however long that takes.
    refused: bool,
}

impl Open {
    fn new(stop: CancellationToken) -> Self {
        Self {
            verb: None,
            phase: watch::Sender::new(Phase::Recorded),
            stop,
            unanswered: 0,
            shown: false,
            refused: false,
        }
    }
}

impl Waiting {
    /// No operations; `stopping` stops all that come.
    pub(crate) fn new(stopping: CancellationToken) -> Self {
        Self {
            open: Mutex::default(),
            stopping,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operation is open: recorded by us just now, or found and claimed.
    pub(crate) fn opened(&self, operation: Uuid, verb: &str) -> CancellationToken {
        let mut open = self.lock();
        let open = open
            .entry(operation)
            .or_insert_with(|| Open::new(self.stopping.child_token()));
        open.verb.get_or_insert_with(|| verb.into());
        open.stop.clone()
    }

    /// It was not recorded after all.
    pub(crate) fn forget(&self, operation: Uuid) {
        self.lock().remove(&operation);
    }

    /// The verb of an open operation of this process.
    pub(crate) fn verb(&self, operation: Uuid) -> Option<Arc<str>> {
        self.lock().get(&operation).and_then(|open| open.verb.clone())
    }

    /// The open operations of this process, and those of others that requests here wait for.
    pub(crate) fn all(&self) -> Vec<Uuid> {
        self.lock().keys().copied().collect()
    }

    /// A request waits for all of these. `at_once`: it will be answered whatever comes of them, so a refusal never is the
    /// answer.
    pub(crate) fn join(self: &Arc<Self>, operations: &[Uuid], at_once: bool) -> Waiter {
        let mut all = self.lock();
        let mut phases = Vec::with_capacity(operations.len());
        for id in operations {
            let open = all.entry(*id).or_insert_with(|| Open::new(self.stopping.child_token()));
            open.unanswered += 1;
            open.shown |= at_once;
            phases.push((*id, open.phase.subscribe()));
        }
        Waiter {
            waiting: self.clone(),
            phases,
        }
    }

    /// Waits until an open operation of this process has ended, without being one of those whose answer it may still
    /// refuse. Never ends for the operation of another process.
    pub(crate) async fn watch(&self, operation: Uuid) {
        let phase = self.lock().get(&operation).map(|open| open.phase.subscribe());
        match phase {
            Some(mut phase) => ended(&mut phase).await,
            None => std::future::pending().await,
        }
    }

    /// Tells those who wait that the engine has taken responsibility.
    pub(crate) fn accepted(&self, operation: Uuid) {
        if let Some(open) = self.lock().get(&operation) {
            open.phase.send_replace(Phase::Accepted);
        }
    }

    /// Tells those who wait how it ended.
    pub(crate) fn ended(&self, operation: Uuid, outcome: Outcome) {
        if let Some(open) = self.lock().remove(&operation) {
            open.phase.send_replace(Phase::Ended(outcome));
        }
    }

    /// The store does not know it. What another process did ended so long ago that it is forgotten; what is opened here
    /// may be about to be written.
    pub(crate) fn missing(&self, operation: Uuid) {
        let is_ours = self.verb(operation).is_some();
        if !is_ours {
            self.ended(operation, Ok(Arc::default()));
        }
    }

    /// Tells it to stop.
    pub(crate) fn stop(&self, operation: Uuid) {
        if let Some(open) = self.lock().get(&operation) {
            open.stop.cancel();
        }
    }

    /// Whether a refusal of these operations can still be the answer of a request: somebody waits, and nobody was told
    /// that they go on. If so, those who wait keep waiting for the end.
    pub(crate) fn can_refuse(&self, operations: &[Uuid]) -> bool {
        let mut all = self.lock();
        let mut waited_for = false;
        for open in operations.iter().filter_map(|id| all.get(id)) {
            if open.shown {
                return false;
            }
            waited_for |= open.unanswered > 0;
        }
        if waited_for {
            for id in operations {
                if let Some(open) = all.get_mut(id) {
                    open.refused = true;
                }
            }
        }
        waited_for
    }
}

/// Waits until an operation has ended, or the table is gone with the engine.
async fn ended(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| matches!(phase, Phase::Ended(_))).await;
}

/// A request that waits for some operations.
pub(crate) struct Waiter {
    waiting: Arc<Waiting>,
    phases: Vec<(Uuid, watch::Receiver<Phase>)>,
}

impl Waiter {
    /// What it waits for.
    pub(crate) fn operations(&self) -> Vec<Uuid> {
        self.phases.iter().map(|(id, _)| *id).collect()
    }

    /// Waits until the engine has accepted all of them, or refused one.
    pub(crate) async fn accepted(&mut self) {
        for (_, phase) in &mut self.phases {
            // An error means that the table is gone with the engine.
            if let Ok(reached) = phase.wait_for(|phase| !matches!(phase, Phase::Recorded)).await
                && matches!(*reached, Phase::Ended(Err(_)))
            {
                return;
            }
        }
    }

    /// Waits until all have ended.
    pub(crate) async fn ended(&mut self) {
        for (_, phase) in &mut self.phases {
            ended(phase).await;
        }
    }

    /// Stops waiting, to answer what there is to say now. Where a refusal is under way that is the answer: then waits for
    /// the end of what is refused.
    pub(crate) async fn leave(mut self) -> Vec<(Uuid, Phase)> {
        let mut refused = Vec::new();
        {
            let mut all = self.waiting.lock();
            for (id, _) in &self.phases {
                match all.get_mut(id) {
                    Some(open) if open.refused => refused.push(*id),
                    Some(open) => open.shown = true,
                    None => {}
                }
            }
        }
        for (_, phase) in self.phases.iter_mut().filter(|(id, _)| refused.contains(id)) {
            ended(phase).await;
        }
        self.phases
            .iter()
            .map(|(id, phase)| (*id, phase.borrow().clone()))
            .collect()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut all = self.waiting.lock();
        for (id, _) in &self.phases {
            let Some(open) = all.get_mut(id) else { continue };
            open.unanswered = open.unanswered.saturating_sub(1);
            if open.unanswered == 0 && open.verb.is_none() {
                all.remove(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;

    #[tokio::test]
    async fn who_was_told_that_it_goes_on_is_never_refused() {
        let waiting = Arc::new(Waiting::new(CancellationToken::new()));
        let id = Uuid::from_u128(1);
        waiting.opened(id, "create");
        let waiter = waiting.join(&[id], false);
        assert!(matches!(waiter.leave().await[..], [(_, Phase::Recorded)]));
        assert!(!waiting.can_refuse(&[id]));
    }

    #[tokio::test]
    async fn a_refusal_under_way_is_waited_for() {
        let waiting = Arc::new(Waiting::new(CancellationToken::new()));
        let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        waiting.opened(id, "create");
        waiting.opened(other, "update");
        let waiter = waiting.join(&[other, id], false);
        assert!(waiting.can_refuse(&[id]));
        let leaving = tokio::spawn(waiter.leave());
        tokio::task::yield_now().await;
        waiting.ended(id, Err(EngineError::new(FailureKind::Invalid, "no")));
        let left = leaving.await.unwrap();
        assert!(matches!(left[..], [(_, Phase::Recorded), (_, Phase::Ended(Err(_)))]));
    }

    #[tokio::test]
    async fn another_processs_operation_is_known_as_long_as_somebody_waits_for_it() {
        let waiting = Arc::new(Waiting::new(CancellationToken::new()));
        let id = Uuid::from_u128(1);
        let (first, second) = (waiting.join(&[id], false), waiting.join(&[id], false));
        drop(first);
        waiting.accepted(id);
        assert!(matches!(second.leave().await[..], [(_, Phase::Accepted)]));
        assert!(waiting.all().is_empty());
    }

    #[tokio::test]
    async fn what_is_not_written_yet_has_not_ended() {
        let waiting = Arc::new(Waiting::new(CancellationToken::new()));
        let (ours, anothers) = (Uuid::from_u128(1), Uuid::from_u128(2));
        waiting.opened(ours, "create");
        let waiter = waiting.join(&[ours, anothers], false);
        for operation in waiting.all() {
            waiting.missing(operation);
        }
        let phases = waiter.leave().await;
        assert!(matches!(phases[..], [(_, Phase::Recorded), (_, Phase::Ended(Ok(_)))]));
    }

    #[tokio::test]
    async fn nobody_waits_nobody_is_refused() {
        let waiting = Arc::new(Waiting::new(CancellationToken::new()));
        let id = Uuid::from_u128(1);
        waiting.opened(id, "create");
        drop(waiting.join(&[id], false));
        assert!(
            !waiting.can_refuse(&[id]),
            "the client is gone, so it may have been told anything"
        );
    }
}
