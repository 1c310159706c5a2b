//! What only shows with other settings: each case starts an `occid` that has them.

use occi_conformance::Case;

pub(crate) fn cases() -> Vec<Case> {
    Vec::new()
}
