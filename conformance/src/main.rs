//! The command `occi-conformance`.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match occi_conformance::run(&occi_conformance::Options::parse(), Vec::new()) {
        Ok(conclusion) => conclusion.exit_code(),
        Err(problem) => {
            eprintln!("occi-conformance: {problem}");
            ExitCode::from(2)
        }
    }
}
