//! `make crash`: the crash campaign.

use anyhow::Result;
use clap::Parser;
use occi_campaign::{Campaign, Engine, Plan};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Kills occid at every recorded step and at random, and looks for what is lost, made twice or left.
#[derive(Debug, Parser)]
#[command(name = "occi-campaign")]
struct Cli {
    /// The server: a debug build.
    #[arg(long, value_name = "FILE")]
    occid: PathBuf,
    /// The engine behind it.
    #[arg(long, value_enum, default_value_t = Engine::Memory)]
    backend: Engine,
    /// An image for machines (qemu). Without one they run and find nothing to boot.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// How many random kills.
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// How many clients write at the same time.
    #[arg(long, default_value_t = 4)]
    clients: u32,
    /// Where the dice begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the faults of writes whose name contains this; none leaves the table out.
    #[arg(long, value_name = "TEXT|none", default_value = "")]
    table: String,
    /// At most so many faults.
    #[arg(long)]
    faults: Option<usize>,
    /// After so many minutes nothing new begins.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Write the result into this file, in the place of an older one of the same engine.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Keep everything of the run if something was found.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let plan = Plan {
        occid: std::path::absolute(&cli.occid)?,
        engine: cli.backend,
        image: cli.image.map(std::path::absolute).transpose()?,
        kills: cli.kills,
        clients: cli.clients,
        seed: cli.seed,
        table: (cli.table != "none").then_some(cli.table),
        faults: cli.faults,
        time: Duration::from_secs(60 * cli.minutes),
        keep: cli.keep,
    };
    let report = Campaign::run(plan).await?;
    eprintln!("{}", report.details());
    println!("{}", report.section());
    if let Some(file) = cli.report {
        report.save(&file)?;
    }
    Ok(if report.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
