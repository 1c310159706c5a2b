//! The whole suite against an `occid` of its own, with the memory engine; and against others with other settings.
//!
//! This program is `occid` itself when it is called by that name, so that there is nothing to find or to build first.

#![expect(clippy::expect_used, reason = "in a test a panic is the report")]

mod server;

use clap::Parser;
use libtest_mimic::Arguments;
use occi_conformance::{Options, configured};
use server::Occid;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == "occid") {
        return occi_server::cli::main();
    }
    let arguments = Arguments::from_args();
    let occid = Occid::start("");
    let mut options = options(&occid);
    options.only = arguments.filter;
    options.list = arguments.list;
    options.threads = arguments.test_threads.unwrap_or(options.threads);
    let start = |config: &str| {
        let occid = Occid::start(config);
        (self::options(&occid), occid)
    };
    let others = configured().into_iter().map(|case| case.case(start)).collect();
    let conclusion = match occi_conformance::run(&options, others) {
        Ok(conclusion) => conclusion,
        Err(problem) => panic!("{problem}"),
    };
    let log = occid.log();
    if log.contains("panicked") {
        eprintln!("occid panicked:\n{log}");
        return ExitCode::FAILURE;
    }
    drop(occid);
    conclusion.exit_code()
}

/// How to reach an `occid` of ours.
fn options(occid: &Occid) -> Options {
    Options::parse_from([
        "occi-conformance",
        "--url",
        &occid.url,
        "--user",
        "admin",
        "--password-file",
        &occid.path("data/initial-admin-password"),
        "--occid",
        &occid.path("occid"),
        "--data-dir",
        &occid.path("data"),
    ])
}
