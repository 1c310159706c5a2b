//! Uploads that are being added to: of several requests for one the last has it. The one before may hang on a connection
//! that its client has given up long ago.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Who adds to which upload.
#[derive(Default)]
pub(super) struct TakingOver {
    turns: Mutex<Turns>,
    /// Cancelled when the service stops, and with it all that are and come.
    end: CancellationToken,
}

#[derive(Default)]
struct Turns {
    current: HashMap<Uuid, (u64, CancellationToken)>,
    last: u64,
}

/// The turn of one request.
pub(super) struct Turn<'a> {
    all: &'a TakingOver,
    upload: Uuid,
    number: u64,
    stopped: CancellationToken,
}

impl TakingOver {
    /// A turn; whoever had it is told to stop.
    pub(super) fn take_over(&self, upload: Uuid) -> Turn<'_> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.last += 1;
        let (number, stopped) = (turns.last, self.end.child_token());
        if let Some((_, before)) = turns.current.insert(upload, (number, stopped.clone())) {
            before.cancel();
        }
        Turn {
            all: self,
            upload,
            number,
            stopped,
        }
    }

    /// Ends all turns: nobody waits for uploads, which go on later.
    pub(super) fn end(&self) {
        self.end.cancel();
    }
}

impl Turn<'_> {
    /// Cancelled when another has it, or when all end.
    pub(super) fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    /// Whether all end.
    pub(super) fn is_end(&self) -> bool {
        self.all.end.is_cancelled()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.all.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns
            .current
            .get(&self.upload)
            .is_some_and(|(number, _)| *number == self.number)
        {
            turns.current.remove(&self.upload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_has_it_and_what_ends_is_forgotten() {
        let all = TakingOver::default();
        let upload = Uuid::new_v4();
        let first = all.take_over(upload);
        let second = all.take_over(upload);
        assert!(first.stopped().is_cancelled());
        drop(first);
        let other = all.take_over(Uuid::new_v4());
        assert!(!second.stopped().is_cancelled() && !other.stopped().is_cancelled());
        all.end();
        assert!(second.stopped().is_cancelled() && other.is_end());
        drop((second, other));
        assert!(all.turns.lock().unwrap().current.is_empty());
    }
}
