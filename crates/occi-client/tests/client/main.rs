//! The client without a server of ours: what it sends, and what it makes of the answers of others.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod auth;
mod common;
mod helpers;
mod historic;
mod requests;
mod stub;
mod transport;
mod trouble;
