//! Hot entities: what a repeated GET needs to know, without asking the store.
//!
//! Exact, because this process is the only writer: every write of the engine is forgotten ([`Unforgotten`]) before its
//! answer is given, and everything is after one of which nobody knows what it did. An entry carries the count of its shard
//! from *before* the row was read; a write raises that count, so an entry made from an older reading is never believed,
//! however late it comes. What is asked for once is not remembered: of a walk over everything nothing is looked for again.
//! Between a commit and that nobody is told of it: whoever reads events waits with [`Hot::settled`] for what is being
//! written.

use crate::{Principal, Stamp, policy};
use occi_model::EntityId;
use occi_store::{EntityRow, Visibility};
use quick_cache::sync::Cache;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

const SHARDS: usize = 4096;
/// So many entities are known to have been asked for.
const ASKED: usize = 1 << 16;
/// What an entry costs, with its keys; measured roughly.
const ENTRY_BYTES: usize = 512;

/// The bounded memory of hot entities.
pub(crate) struct Hot {
    entries: Cache<EntityId, Arc<Entry>>,
    counts: Box<[AtomicU64]>,
    /// Which were asked for lately: 16 bits of the hash of the last one in each place.
    asked: Box<[AtomicU16]>,
    writing: Mutex<Writing>,
    written: Notify,
}

/// Writes of which something may not be forgotten yet, numbered as they begin.
#[derive(Default)]
struct Writing {
    next: u64,
    open: BTreeSet<u64>,
}

/// Something is written, and not forgotten yet. Unless it is said what it was, all is forgotten in the end: a database that
/// fails in a commit may have carried it out.
pub(crate) struct Unforgotten<'h> {
    hot: &'h Hot,
    number: u64,
    is_told: bool,
}

impl Unforgotten<'_> {
    /// These were written, and nothing else.
    pub(crate) fn forget<'a>(mut self, written: impl IntoIterator<Item = &'a EntityId>) {
        for id in written {
            self.hot.forget(id);
        }
        self.is_told = true;
    }
}

impl Drop for Unforgotten<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.hot.forget_all();
        }
        self.hot.writing().open.remove(&self.number);
        self.hot.written.notify_waiters();
    }
}

struct Entry {
    path: String,
    project: String,
    visibility: Visibility,
    backend: Option<usize>,
    stamp: Stamp,
    count: u64,
}

/// What there is to know before a reading.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    /// The count of the shard.
    count: u64,
    was_asked: bool,
}

impl Hot {
    /// A memory of about this many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            entries: Cache::new((bytes / ENTRY_BYTES).max(16)),
            counts: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
            asked: (0..ASKED).map(|_| AtomicU16::new(0)).collect(),
            writing: Mutex::default(),
            written: Notify::new(),
        }
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is about to be written. Whoever asks [`Hot::settled`] waits as long as the answer lives.
    pub(crate) fn write(&self) -> Unforgotten<'_> {
        let mut writing = self.writing();
        let number = writing.next;
        writing.next += 1;
        writing.open.insert(number);
        Unforgotten {
            hot: self,
            number,
            is_told: false,
        }
    }

    /// Returns when all that has been written by now is forgotten too.
    pub(crate) async fn settled(&self) {
        let next = self.writing().next;
        loop {
            let written = self.written.notified();
            if self.writing().open.first().is_none_or(|first| *first >= next) {
                return;
            }
            written.await;
        }
    }

    fn count(&self, id: &str) -> &AtomicU64 {
        &self.counts[place(hash(id), SHARDS)]
    }

    /// To be taken before a row is read that may be remembered.
    pub(crate) fn before(&self, id: &str) -> Before {
        let hash = hash(id);
        // These bits choose no place.
        let [high, low, ..] = hash.to_be_bytes();
        let bits = u16::from_be_bytes([high, low]);
        Before {
            count: self.counts[place(hash, SHARDS)].load(Ordering::Acquire),
            was_asked: self.asked[place(hash, ASKED)].swap(bits, Ordering::Relaxed) == bits,
        }
    }

    /// Remembers what a reading found, if it was asked for before.
    pub(crate) fn remember(&self, before: Before, row: &EntityRow, backend: Option<usize>) {
        if !before.was_asked {
            return;
        }
        let entry = Entry {
            path: row.path.clone(),
            project: row.project.clone(),
            visibility: row.visibility.clone(),
            backend,
            stamp: Stamp {
                seq: row.seq,
                generation: row.generation,
            },
            count: before.count,
        };
        self.entries.insert(row.id.clone(), Arc::new(entry));
    }

    /// Something was written of this entity.
    fn forget(&self, id: &EntityId) {
        self.count(id.as_str()).fetch_add(1, Ordering::AcqRel);
    }

    /// Something was written, and nobody knows of what.
    fn forget_all(&self) {
        for count in &self.counts {
            count.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// What is known of the entity at `path`, if `principal` sees it and `usable` believes its backend's picture.
    pub(crate) fn look(&self, principal: &Principal, path: &str, usable: impl Fn(usize) -> bool) -> Option<Stamp> {
        let id = path.rsplit('/').next()?;
        let entry = self.entries.get(id)?;
        let fresh = entry.count == self.count(id).load(Ordering::Acquire)
            && entry.path == path
            && entry.backend.is_none_or(usable)
            && policy::sees(principal, &entry.project, &entry.visibility);
        fresh.then_some(entry.stamp)
    }
}

fn hash(id: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(id)
}

/// One of so many places.
fn place(hash: u64, places: usize) -> usize {
    usize::try_from(hash % places as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use occi_backend::names;

    fn row(id: &str) -> EntityRow {
        EntityRow {
            path: format!("/compute/{id}"),
            project: "p".into(),
            ..crate::row::blank(id.parse().unwrap(), names::COMPUTE.clone())
        }
    }

    fn principal(project: &str) -> Principal {
        Principal {
            name: "a".into(),
            operator: false,
            projects: vec![(project.into(), occi_store::Role::Reader)],
            default_project: project.into(),
        }
    }

    #[tokio::test]
    async fn nobody_is_told_of_a_write_before_it_is_forgotten() {
        let hot = Hot::new(1 << 20);
        hot.settled().await;
        let write = hot.write();
        let mut settled = std::pin::pin!(hot.settled());
        assert!(futures::poll!(&mut settled).is_pending());
        // What begins later is not waited for.
        let _later = hot.write();
        drop(write);
        settled.await;
    }

    #[test]
    fn an_old_reading_is_never_believed_after_a_write() {
        let hot = Hot::new(1 << 20);
        let mut row = row("a");
        let look = |who: &str| hot.look(&principal(who), "/compute/a", |_| true);
        hot.remember(hot.before("a"), &row, None);
        assert_eq!(look("p"), None, "once is not often");
        hot.remember(hot.before("a"), &row, None);
        assert_eq!(look("p").map(|stamp| stamp.generation), Some(1));
        assert_eq!(look("q"), None, "another project");
        let late = hot.before("a");
        hot.forget(&row.id);
        assert_eq!(look("p"), None);
        hot.remember(late, &row, None);
        assert_eq!(look("p"), None, "read before the write, remembered after it");
        row.generation = 2;
        hot.remember(hot.before("a"), &row, None);
        assert_eq!(look("p").map(|stamp| stamp.generation), Some(2));
        hot.write().forget([]);
        assert_eq!(
            look("p").map(|stamp| stamp.generation),
            Some(2),
            "nothing of it was written"
        );
        drop(hot.write());
        assert_eq!(look("p"), None, "nobody knows what was written");
    }
}
