//! The binary `occid`: HTTP, authentication, configuration, wiring.

pub mod accounts;
pub mod admin;
pub mod auth;
pub mod backends;
pub mod cli;
pub mod config;
pub mod http;
mod keep;
pub mod lock;
pub mod networks;
pub mod run;
pub mod telemetry;
