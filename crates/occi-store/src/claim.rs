//! Hands operations to workers.

use crate::Result;
use crate::codec::{self, OPERATION};
use crate::command::Claim;
use crate::row::OperationRow;
use crate::tx::{Command, Param, Tx, in_list, params};
use uuid::Uuid;

/// Several workers may look at the same moment; who comes late tries the next.
const CANDIDATES: usize = 8;

impl Claim {
    /// Operations that may be claimed now, the longest waiting first. Parents never, nor what has ended.
    pub(crate) async fn candidates<T: Tx>(&self, tx: &mut T) -> Result<Vec<Uuid>> {
        let now_ms = tx.now_ms().await?;
        let mut params: Vec<Param<'_>> = vec![now_ms.into(), i64::MAX.into()];
        let backends = in_list(&mut params, self.backends.iter().map(Param::from));
        let mut sql = format!(
            "SELECT id FROM operation WHERE finished_ms IS NULL AND due_ms <= ?1 AND due_ms < ?2 \
             AND (backend IS NULL OR backend IN {backends})"
        );
        if let Some(operation) = self.operation {
            params.push(operation.into());
            sql.push_str(&format!(" AND id = ?{}", params.len()));
        }
        sql.push_str(&format!(" ORDER BY due_ms, id LIMIT {CANDIDATES}"));
        tx.rows(&sql, &params, |cells| cells.parse()).await
    }
}

impl Command for Claim {
    type Output = Option<OperationRow>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Option<OperationRow>> {
        for operation in self.candidates(tx).await? {
            let now_ms = tx.now_ms().await?;
            let sql = format!(
                "UPDATE operation SET state = 'running', attempt = attempt + 1, \
                 deaths = deaths + CASE WHEN lease_owner <> ?2 THEN 1 ELSE 0 END, lease_owner = ?2, \
                 lease_until_ms = ?3, due_ms = ?3, \
                 deadline_ms = CASE WHEN lease_owner IS NULL AND deadline_ms <> 0 THEN deadline_ms ELSE ?5 END WHERE id = ?1 AND finished_ms IS NULL AND due_ms <= ?4 \
                 RETURNING {OPERATION}"
            );
            let until = now_ms.saturating_add(self.lease_ms);
            let params = params![operation, &self.owner, until, now_ms, self.deadline_ms];
            if let Some(row) = tx.row(&sql, params, codec::operation).await? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}
