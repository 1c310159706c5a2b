//! What a running verb knows about its operation, and tells it.

use crate::{BackendError, Deadline, ErrorKind, Picture};
use async_trait::async_trait;
use std::sync::Arc;

/// On whose behalf, and where in the engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The native project. For the engines of this host it is our own project's name.
    pub project: String,
}

/// The journal told the verb to stop. A verb returns this at once and leaves what it has done; the engine above calls
/// it again, or calls [`crate::Backend::delete`] to undo it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operation was told to stop")]
pub struct Interrupted;

impl From<Interrupted> for BackendError {
    fn from(stop: Interrupted) -> Self {
        Self::new(ErrorKind::Interrupted, stop.to_string()).ambiguous()
    }
}

/// Where a running verb tells what it has done, and hears that it should stop. Implemented by the engine above (and by
/// fault injection).
///
/// What is told is durable with the verb's end, or within a second if the verb goes on. Nothing may depend on it: no
/// verb can read it again, and one that is called again finds by its mark what it has done.
#[async_trait]
pub trait Journal: Send + Sync {
    /// The native engine has taken responsibility: the client gets its 201 as soon as that is durable, and sees what
    /// `picture` shows.
    async fn accepted(&self, picture: &Picture) -> Result<(), Interrupted>;
    /// A side effect was made; `step` names it in a few words for people ("disk made").
    async fn step(&self, step: &str) -> Result<(), Interrupted>;
    /// How far the verb is, in per cent. Not durable.
    fn progress(&self, percent: u8);
    /// The object looks like this now, while the verb goes on (a compute that is made but has not booted).
    async fn picture(&self, picture: &Picture) -> Result<(), Interrupted>;
    /// Returns when the verb is told to stop, which the next of the others would say. For a verb that waits for something
    /// that may last: it gives up.
    async fn stopped(&self) -> Interrupted {
        std::future::pending().await
    }
    /// Returns when everything told so far is durable. For fault injection; a verb has no need of it.
    async fn flush(&self) -> Result<(), Interrupted> {
        Ok(())
    }
}

/// The operation in which a verb runs.
#[derive(Clone)]
pub struct Context {
    /// On whose behalf.
    pub scope: Scope,
    /// The operation's id, for logs and native request ids.
    pub operation: uuid::Uuid,
    /// 1 for the first try; more after a crash or a temporary failure. From 2 on the verb first looks for its mark.
    pub attempt: u32,
    /// When it is given up, unless it comes further. What is told by the methods below renews it.
    pub deadline: Deadline,
    /// Where to write.
    pub journal: Arc<dyn Journal>,
}

impl Context {
    /// See [`Journal::step`].
    pub async fn step(&self, step: &str) -> crate::Result<()> {
        self.goes_on();
        Ok(self.journal.step(step).await?)
    }
    /// See [`Journal::accepted`].
    pub async fn accepted(&self, picture: &Picture) -> crate::Result<()> {
        self.goes_on();
        Ok(self.journal.accepted(picture).await?)
    }
    /// See [`Journal::stopped`].
    pub async fn stopped(&self) -> Interrupted {
        self.journal.stopped().await
    }
    /// See [`Journal::picture`].
    pub async fn picture(&self, picture: &Picture) -> crate::Result<()> {
        self.goes_on();
        Ok(self.journal.picture(picture).await?)
    }
    /// It has come further, and is so far now, in per cent. What takes long says so again and again, and only when it
    /// has seen that it does come further: otherwise it is given up at its deadline.
    pub fn progress(&self, percent: u8) {
        self.goes_on();
        self.journal.progress(percent);
    }
    /// It has come further, and nobody knows how far.
    pub fn goes_on(&self) {
        self.deadline.renew();
    }
    /// What `work` gives, which waits until others have come to their end: as long as it does the verb is not the one that
    /// stands still. Gives up when it is told to stop.
    pub async fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        let mut work = std::pin::pin!(work);
        let mut stopped = std::pin::pin!(self.stopped());
        loop {
            tokio::select! {
                done = &mut work => {
                    self.goes_on();
                    break Ok(done);
                }
                stop = &mut stopped => break Err(stop),
                () = self.deadline.nears() => self.goes_on(),
            }
        }
    }
}
