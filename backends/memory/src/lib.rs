#![doc = include_str!("../README.md")]

mod actions;
mod backend;
mod capabilities;
mod client;
mod config;
mod console;
mod control;
mod engine;
mod file;
mod links;
mod object;
mod resources;
mod templates;

pub use backend::Memory;
pub use config::{Config, Personality};
pub use control::Control;
