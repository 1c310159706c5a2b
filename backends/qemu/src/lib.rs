//! The embedded engine: real virtual machines on this host, with QEMU.
