//! The side door: health, metrics and the commands of an operator.

mod api;
mod client;

pub(crate) use api::with_sources;
pub use api::{Admin, Probe};
pub use client::{AdminClient, ClientError};
