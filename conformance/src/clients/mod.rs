//! What the clients of the last fifteen years send, and how they read what comes back.
//!
//! Each module replays one client: its media types and header lines, its spelling, its order of requests, and the
//! shortcuts of its parsers. Written from what those programs do; none of their code is here.

use crate::suite::Case;

pub(crate) fn all() -> Vec<Case> {
    Vec::new()
}
