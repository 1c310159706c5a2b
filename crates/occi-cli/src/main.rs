//! `occi`: the command line of any OCCI server.
//!
//! Two languages are spoken. The modern one is verb first (`occi list compute`): [`args`] is its grammar, `verbs` has one
//! module for each verb. The old one is that of rOCCI-cli 4.3, whose invocations work unchanged: `rocci`.

mod args;
mod cache;
mod complete;
mod config;
mod failure;
mod names;
mod output;
mod progress;
mod session;
mod trace;
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    args::main(std::env::args_os().collect())
}
