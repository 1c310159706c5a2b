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
                // The oldest of them up to the first that is kept: none goes from between others.
                let oldest = format!("SELECT number, at_ms FROM event ORDER BY number LIMIT {ROWS}");
                let oldest = tx
                    .rows(&oldest, params![], |cells| Ok((cells.int()?, cells.int()?)))
                    .await?;
                let surplus = newest.saturating_sub(keep);
                let is_past = |(number, at_ms): &(i64, i64)| *at_ms < before_ms || *number <= surplus;
                match oldest.into_iter().take_while(is_past).last() {
                    Some((last, _)) => {
                        tx.execute("DELETE FROM event WHERE number <= ?1", params![last])
                            .await?
                    }
                    None => 0,
                }
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
                let sql = format!(
                    "DELETE FROM idempotency WHERE (principal, project, token) IN (SELECT principal, project, token \
                     FROM idempotency WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT {ROWS})"
                );
                tx.execute(&sql, params![now_ms]).await?
            }
            Self::Tombstones { now_ms } => {
                let before_ms = now_ms.saturating_sub(TOMBSTONES_MS);
                let sql = format!(
                    "DELETE FROM tombstone WHERE id IN \
                     (SELECT id FROM tombstone WHERE removed_ms < ?1 ORDER BY removed_ms LIMIT {ROWS})"
                );
                tx.execute(&sql, params![before_ms]).await?
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
