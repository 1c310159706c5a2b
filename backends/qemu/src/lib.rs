#![doc = include_str!("../README.md")]

mod backend;
mod capabilities;
mod compute;
pub mod config;
pub mod error;
pub mod host;
pub mod image;
mod label;
mod links;
mod network;
mod placing;
pub mod qemu;
mod record;
mod site;
mod translate;
mod volume;

pub use backend::Qemu;
pub use config::QemuConfig;
pub use host::launch::intercept;
