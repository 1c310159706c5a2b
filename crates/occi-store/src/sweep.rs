//! Forgets what is past its retention, in steps that keep no other writer waiting for long.

use crate::Result;
use crate::tx::{Command, Tx, params};

/// So many rows are forgotten in one transaction.
const ROWS: u64 = 1000;

/// For so long we know what we removed.
const TOMBSTONES_MS: i64 = 24 * 60 * 60 * 1000;

/// What to forget. Repeated until it answers that nothing is left.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sweep {
    Events { before_ms: i64, keep: i64 },
    Operations { before_ms: i64 },
    Audit { before_ms: i64 },
    Keys { now_ms: i64 },
    Tombstones { now_ms: i64 },
}

impl Sweep {
    pub(crate) fn all(
        events_before_ms: i64,
        keep_events: i64,
        operations_before_ms: i64,
        audit_before_ms: i64,
        now_ms: i64,
    ) -> [Self; 5] {
        [
            Self::Events {
                before_ms: events_before_ms,
                keep: keep_events,
            },
            Self::Operations {
                before_ms: operations_before_ms,
            },
            Self::Audit {
                before_ms: audit_before_ms,
            },
            Self::Keys { now_ms },
            Self::Tombstones { now_ms },
        ]
    }
}

impl Command for Sweep {
    /// Whether there may be more.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<bool> {
        let changed = match *self {
            Self::Events { before_ms, keep } => {
                let newest = "SELECT value FROM counter WHERE name = 'event'";
                let newest = tx
                    .row(newest, params![], |cells| cells.int())
                    .await?
                    .unwrap_or_default();
                let young = "SELECT number FROM event WHERE at_ms >= ?1 ORDER BY number LIMIT 1";
                let young = tx
                    .row(young, params![before_ms], |cells| cells.int())
                    .await?
                    .unwrap_or(newest + 1);
                let first_kept = young.max(newest.saturating_sub(keep) + 1);
                let sql = format!(
                    "DELETE FROM event WHERE number IN \
                     (SELECT number FROM event WHERE number < ?1 ORDER BY number LIMIT {ROWS})"
                );
                tx.execute(&sql, params![first_kept]).await?
            }
            Self::Operations { before_ms } => {
                // What could not be cleaned up stays listed as long as it is there.
                let sql = format!(
                    "DELETE FROM operation WHERE id IN (SELECT id FROM operation WHERE id < ?1 AND finished_ms < ?2 \
                     AND (state <> 'needs-attention' OR entity IS NULL \
                     OR NOT EXISTS (SELECT 1 FROM entity WHERE entity.id = operation.entity)) ORDER BY id LIMIT {ROWS})"
                );
                tx.execute(&sql, params![first_id_at(before_ms), before_ms]).await?
            }
            Self::Audit { before_ms } => {
                let sql = format!(
                    "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < ?1 ORDER BY id LIMIT {ROWS})"
                );
                tx.execute(&sql, params![first_id_at(before_ms)]).await?
            }
            Self::Keys { now_ms } => {
                tx.execute("DELETE FROM idempotency WHERE expires_ms <= ?1", params![now_ms])
                    .await?;
                0
            }
            Self::Tombstones { now_ms } => {
                let before_ms = now_ms.saturating_sub(TOMBSTONES_MS);
                tx.execute("DELETE FROM tombstone WHERE removed_ms < ?1", params![before_ms])
                    .await?;
                0
            }
        };
        Ok(changed == ROWS)
    }
}

/// No UUID of version 7 that was made at this time or later sorts before this text.
fn first_id_at(ms: i64) -> String {
    let ms = ms.max(0);
    format!("{:08x}-{:04x}", ms >> 16, ms & 0xffff)
}
