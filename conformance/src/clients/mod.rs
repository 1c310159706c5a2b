//! What the clients of the last fifteen years send, and how they read what comes back.
//!
//! Each module replays one client: its media types and header lines, its spelling, its order of requests, and the
//! shortcuts of its parsers. Written from what those programs do; none of their code is here.

mod im;
mod jocci;
mod ogf;
mod ooi;
mod pocci;
mod rocci;

use crate::suite::Case;

pub(crate) fn all() -> Vec<Case> {
    let clients = [
        ogf::cases(),
        pocci::cases(),
        rocci::cases(),
        jocci::cases(),
        ooi::cases(),
        im::cases(),
    ];
    clients.into_iter().flatten().collect()
}

#[track_caller]
fn regex(pattern: &str) -> regex::Regex {
    match regex::Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => panic!("{error}"),
    }
}
