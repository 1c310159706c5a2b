//! This host: processes that outlive us and what they may do, programs, sockets and files.

pub(crate) mod apart;
pub mod blocking;
pub mod confine;
pub mod durable;
pub mod launch;
pub mod process;
pub mod program;
mod scope;
pub mod socket;
