//! The binary `occid`.

use std::process::ExitCode;

// The C library's allocator keeps what many threads have freed: several times the memory, and more time
// (docs/performance.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Virtual machines and networks are started through this program, and are no servers.
    #[cfg(feature = "qemu")]
    if let Some(code) = occi_backend_qemu::intercept(std::env::args_os()) {
        return code;
    }
    occi_server::cli::main()
}
