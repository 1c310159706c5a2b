//! Operations: writes that are recorded before they are carried out, and survive the end of this process.
//!
//! ```text
//! recorded (accepted) --claimed--> running --+--> succeeded
//!        ^                            |      +--> failed            everything was cleaned up
//!        +------ temporary failure ---+      +--> needs-attention   something could not be cleaned up
//! ```

pub(crate) mod finish;
pub(crate) mod intent;
pub(crate) mod journal;
pub(crate) mod verbs;
pub(crate) mod waiting;
pub(crate) mod worker;

use occi_store::{OperationRow, OperationState};
use uuid::Uuid;

pub(crate) use intent::{Amendment, Intent, Task};

/// An operation of which nothing is known but its id.
pub(crate) fn blank(id: Uuid) -> OperationRow {
    OperationRow {
        id,
        parent: None,
        entity: None,
        path: None,
        project: String::new(),
        principal: String::new(),
        backend: None,
        verb: String::new(),
        intent: String::new(),
        state: OperationState::Accepted,
        step: None,
        progress: 0,
        attempt: 0,
        deaths: 0,
        engine_accepted: false,
        cancelled: false,
        lease_owner: None,
        lease_until_ms: None,
        not_before_ms: 0,
        created_ms: 0,
        finished_ms: None,
        deadline_ms: None,
        error: None,
        result: None,
    }
}

/// Whether an operation has ended.
pub(crate) fn has_ended(state: OperationState) -> bool {
    matches!(
        state,
        OperationState::Succeeded | OperationState::Failed | OperationState::NeedsAttention
    )
}
