//! `occid` from outside: every test starts the real program, on a free port and in a directory of its own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

mod accounts;
mod caches;
mod client;
mod console;
mod crash;
mod events;
mod hostile;
mod images;
mod kinds;
mod limits;
mod local;
mod occid;
mod operations;
mod postgres;
mod projects;
mod sharing;
mod start;
mod stop;
mod support;
mod tls;
