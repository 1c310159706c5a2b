//! `make bench`: what `occid` costs, beside what the same work costs without it.
//!
//! Every target of the design is a ratio between two things measured in alternating windows of one run, because the
//! machines this runs on are noisy: CPU time per request of the server process (summed over its threads) against that
//! of a peer which sends the same bytes. Requests per second are a second column and prove nothing.

mod cases;
mod client;
mod command_line;
mod cpu;
mod machines;
mod peer;
mod seed;
mod server;
mod table;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Measures occid against its peers.
#[derive(Parser)]
struct Arguments {
    /// The program to measure.
    #[arg(long, default_value = "target/release/occid")]
    occid: PathBuf,
    /// The command line to measure.
    #[arg(long, default_value = "target/release/occi")]
    occi: PathBuf,
    /// Only the cases whose name holds this.
    #[arg(long)]
    only: Option<String>,
    /// Alternating windows per case.
    #[arg(long, default_value_t = 5)]
    windows: usize,
    /// Also the cases that take minutes (a million entities).
    #[arg(long)]
    long: bool,
    /// Write the table here as well.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Where the demonstration guest is.
    #[arg(long, default_value = "target/guest")]
    images: PathBuf,
    #[command(subcommand)]
    role: Option<Role>,
}

/// The other side of a comparison, in a process of its own.
#[derive(Subcommand)]
enum Role {
    /// Bare hyper that answers every request with the bytes of a file.
    #[command(hide = true)]
    PeerBytes {
        /// Header lines, an empty line, the body.
        file: PathBuf,
    },
    /// Bare hyper that writes the JSON values of a file with serde_json for every request.
    #[command(hide = true)]
    PeerJson {
        /// A JSON array of entities.
        file: PathBuf,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.role {
        Some(Role::PeerBytes { file }) => runtime.block_on(peer::bytes(&file)),
        Some(Role::PeerJson { file }) => runtime.block_on(peer::json(&file)),
        None => runtime.block_on(cases::run(&cases::Plan {
            occid: arguments.occid,
            occi: arguments.occi,
            only: arguments.only,
            windows: arguments.windows,
            long: arguments.long,
            markdown: arguments.markdown,
            images: arguments.images,
        })),
    }
}
