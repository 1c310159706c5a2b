//! The embedded engine: real virtual machines on this host, with QEMU.

pub mod durable;
pub mod error;
pub mod image;
pub mod launch;
pub mod probe;
pub mod process;
pub mod program;
pub mod qmp;
pub mod seed;
pub mod socket;
pub mod switch;
