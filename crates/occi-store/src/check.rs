//! Looks for broken references.

use crate::Result;
use crate::codec::{self, read_usage};
use crate::row::Usage;
use crate::tx::{Tx, params};
use std::collections::BTreeMap;

/// Each finds sentences.
const BROKEN: &[&str] = &[
    "SELECT 'the source of ' || l.folder || l.id || ' is missing' FROM entity l LEFT JOIN entity r ON r.id = l.source \
     WHERE l.source IS NOT NULL AND r.id IS NULL",
    "SELECT 'the target of ' || l.folder || l.id || ' is missing' FROM entity l LEFT JOIN entity r ON r.id = l.target_id \
     WHERE l.target_id IS NOT NULL AND r.id IS NULL",
    "SELECT e.folder || e.id || ' waits for operation ' || e.operation || ', which is not open' FROM entity e \
     LEFT JOIN operation o ON o.id = e.operation AND o.finished_ms IS NULL \
     WHERE e.operation IS NOT NULL AND o.id IS NULL",
    "SELECT 'operation ' || o.id || ' is open on ' || o.entity || ', which is missing' FROM operation o \
     LEFT JOIN entity e ON e.id = o.entity WHERE o.finished_ms IS NULL AND o.entity IS NOT NULL AND e.id IS NULL",
    "SELECT 'mixin ' || m.mixin || ' is associated with a missing entity' FROM entity_mixin m \
     LEFT JOIN entity e ON e.seq = m.entity_seq WHERE e.seq IS NULL",
    "SELECT 'project ' || s.project || ' shares a missing entity' FROM share s \
     LEFT JOIN entity e ON e.seq = s.entity_seq WHERE e.seq IS NULL",
    "SELECT e.folder || e.id || ' is of project ' || e.project || ', which is missing' FROM entity e \
     LEFT JOIN project p ON p.name = e.project WHERE p.name IS NULL",
    "SELECT m.account || ' is a member of ' || m.project || ', which is missing' FROM member m \
     LEFT JOIN project p ON p.name = m.project WHERE p.name IS NULL",
    "SELECT m.account || ' is a member of ' || m.project || ', but has no account' FROM member m \
     LEFT JOIN account a ON a.name = m.account WHERE a.name IS NULL",
    "SELECT 'event ' || e.number || ' is newer than the counter' FROM event e \
     WHERE e.number > (SELECT value FROM counter WHERE name = 'event')",
    "SELECT e.folder || e.id || ' is newer than the counter' FROM entity e \
     WHERE e.seq > (SELECT value FROM counter WHERE name = 'entity')",
];

pub(crate) async fn references<T: Tx>(tx: &mut T) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for sql in BROKEN {
        found.append(&mut tx.rows(sql, params![], |cells| cells.string()).await?);
    }
    found.append(&mut sums(tx).await?);
    Ok(found)
}

/// What projects use must be what their entities use.
async fn sums<T: Tx>(tx: &mut T) -> Result<Vec<String>> {
    let mut sums: BTreeMap<String, Usage> = BTreeMap::new();
    let used = tx
        .rows(
            "SELECT project, uses, COUNT(*) FROM entity WHERE uses IS NOT NULL GROUP BY project, uses",
            params![],
            |cells| Ok((cells.string()?, read_usage(cells.opt_text()?)?, cells.int()?)),
        )
        .await?;
    for (
        project,
        Usage {
            instances,
            cores,
            memory_mib,
            volume_gib,
            addresses,
        },
        times,
    ) in used
    {
        let sum = sums.entry(project).or_default();
        sum.instances += times * instances;
        sum.cores += times * cores;
        sum.memory_mib += times * memory_mib;
        sum.volume_gib += times * volume_gib;
        sum.addresses += times * addresses;
    }
    let recorded = tx
        .rows(
            &format!("SELECT project, {} FROM project_usage", codec::USAGE),
            params![],
            |cells| Ok((cells.string()?, codec::usage(cells)?)),
        )
        .await?;
    let mut found = Vec::new();
    for (project, recorded) in recorded {
        let sum = sums.remove(&project).unwrap_or_default();
        if sum != recorded {
            found.push(format!("project {project} uses {sum:?}, but {recorded:?} is recorded"));
        }
    }
    found.extend(
        sums.into_keys()
            .map(|project| format!("what project {project} uses is not recorded")),
    );
    Ok(found)
}
