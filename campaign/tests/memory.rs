//! A short campaign against the memory engine in its remote personality.
//!
//! This program is `occid` itself when it is called by that name, so that there is nothing to find or to build first.

use anyhow::Result;
use occi_campaign::{Campaign, Engine, Plan};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> Result<ExitCode> {
    let called = std::env::args_os().next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == "occid") {
        return Ok(occi_server::cli::main());
    }
    if std::env::args().any(|argument| argument == "--list") {
        println!("nothing_is_lost_doubled_or_left: test");
        return Ok(ExitCode::SUCCESS);
    }
    let directory = tempfile::tempdir()?;
    let occid = directory.path().join("occid");
    std::os::unix::fs::symlink(std::env::current_exe()?, &occid)?;
    let plan = Plan {
        occid,
        engine: Engine::Memory,
        image: None,
        kills: 15,
        clients: 3,
        seed: 7,
        table: Some(String::new()),
        faults: Some(20),
        time: Duration::from_secs(300),
        keep: false,
    };
    let report = tokio::runtime::Runtime::new()?.block_on(Campaign::run(plan))?;
    println!("{}", report.section());
    let is_good = report.findings.is_empty() && report.faults > 0 && report.kills > 0;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
