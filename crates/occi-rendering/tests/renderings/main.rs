//! The renderings against the project's samples, the checklist and whatever a random generator thinks of.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod common;
mod compose;
mod json;
mod properties;
mod samples;
mod text;
mod wild;
