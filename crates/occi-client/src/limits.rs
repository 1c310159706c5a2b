//! How long to wait, and how much to read.

use std::time::Duration;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// For a connection. Default 10 s.
    pub connect: Duration,
    /// For the next bytes of an answer, and for the first: from when the last of the request went, which may itself be so
    /// long without any of its bytes. To that comes how long the request lets the server take
    /// ([`Answer::Done`](crate::Answer::Done)). Default 60 s.
    pub read: Duration,
    /// Bytes of an answer that is read as a whole. Default 64 MiB.
    pub body: usize,
    /// Members of a listing, which comes in pieces of 4 MiB and is 1 GiB long at most. Default 1,000,000.
    pub listing: usize,
    /// For such an answer from its first byte to its last. Of one that streams, no such time of waiting brings less than
    /// 10 bytes a second. Default 10 min.
    pub whole: Duration,
}

impl Limits {
    /// Those of somebody who has said how long to wait: so long for a connection and for the next bytes, and four times
    /// as long for an answer that is read as a whole.
    pub fn of(wait: Duration) -> Self {
        Self {
            connect: wait,
            read: wait,
            whole: wait.saturating_mul(4),
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(60),
            body: 64 << 20,
            listing: 1_000_000,
            whole: Duration::from_secs(600),
        }
    }
}
