//! QEMU itself: which one there is, and the ways to talk to it.

pub mod agent;
pub(crate) mod jobs;
pub mod probe;
pub mod qemu_img;
pub mod qmp;
