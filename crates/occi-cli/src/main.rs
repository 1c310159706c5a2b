//! `occi`: the command line of any OCCI server.
//!
//! Two languages are spoken. The modern one is verb first (`occi list compute`): [`args`] is its grammar, `verbs` has one
//! module for each verb. The old one is that of rOCCI-cli 4.3, whose invocations work unchanged: [`rocci`].

mod args;
mod cache;
mod complete;
mod config;
mod failure;
mod mask;
mod names;
mod output;
mod progress;
mod read;
mod rocci;
mod session;
mod terminal;
mod trace;
mod verbs;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    match rocci::is_meant(&args) {
        true => rocci::main(&args),
        false => args::main(args),
    }
}
