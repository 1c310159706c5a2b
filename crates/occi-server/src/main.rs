//! The binary `occid`.

use std::process::ExitCode;

fn main() -> ExitCode {
    occi_server::cli::main()
}
