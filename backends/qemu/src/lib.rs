#![doc = include_str!("../README.md")]

pub mod agent;
mod backend;
mod capabilities;
mod command_line;
mod compute;
pub mod config;
pub mod confine;
mod devices;
pub mod durable;
pub mod error;
pub mod image;
mod jobs;
pub mod launch;
mod links;
mod machine;
mod network;
mod networks;
pub mod probe;
pub mod process;
pub mod program;
pub mod qmp;
mod record;
mod saving;
mod scope;
pub mod seed;
mod site;
pub mod socket;
pub mod switch;
mod templates;
mod translate;
mod volume;

pub use backend::Qemu;
pub use config::QemuConfig;
pub use launch::intercept;
