//! The model against its documents: `query_interface` and `lifecycle` read the tables, `registry` what may be loaded,
//! `create` and `change` what may be requested, `properties` what must hold for anything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod change;
mod common;
mod create;
mod lifecycle;
mod properties;
mod query_interface;
mod registry;
mod userdata;
