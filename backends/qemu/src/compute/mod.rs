//! Computes: the steps of each verb and action.

mod act;
pub(crate) mod command_line;
pub(crate) mod console;
mod create;
mod delete;
pub(crate) mod devices;
mod files;
pub(crate) mod machine;
pub(crate) mod saving;
mod seed;
mod update;

pub(crate) use act::act;
pub(crate) use create::{admit, create, place_nic};
pub(crate) use delete::delete;
pub(crate) use update::{admit_change, update};
