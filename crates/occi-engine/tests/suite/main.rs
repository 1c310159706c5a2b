//! The engine on a SQLite store and the memory backend, in both of its personalities.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

mod actions;
mod agreement;
mod changes;
mod console;
mod creation;
mod deadline;
mod deletion;
mod fixture;
mod mixins;
mod nodes;
mod reading;
mod resumption;
mod several;
mod sharing;
