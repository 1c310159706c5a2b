//! The binary `occid`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Virtual machines and networks are started through this program, and are no servers.
    #[cfg(feature = "qemu")]
    if let Some(code) = occi_backend_qemu::intercept(std::env::args_os()) {
        return code;
    }
    occi_server::cli::main()
}
