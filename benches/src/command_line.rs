//! The command line, as a whole process: what a person waits for, and how much memory a long listing takes.

use crate::cases::{Occid, Plan};
use crate::table::{Row, median};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Runs for each of the plan's windows.
const RUNS: usize = 10;

/// `occi list compute` beside curl, which asks for the same bytes and prints them; and its memory with 10,000 entities.
pub(crate) async fn command_line(plan: &Plan) -> Result<Vec<Row>> {
    let (occid, _) = Occid::start_seeded(plan, 100).await?;
    let person = Person::new(plan, &occid)?;
    // The first run asks what the server offers and keeps it.
    person.lists("table")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..plan.windows * RUNS {
        ours.push(milliseconds(person.lists("table")?.took));
        theirs.push(milliseconds(person.curls()?));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let wall = Row {
        case: "`occi list compute` of 100 machines as a whole process, the model known".into(),
        ours: format!("{ours:.1} ms"),
        peer: format!("curl {theirs:.1} ms"),
        value: ours,
        target: 30.0,
        more_is_better: false,
        aside: format!("{:.2} of curl", ours / theirs),
    };
    occid.server.stop().await?;

    let (occid, _) = Occid::start_seeded(plan, 10_000).await?;
    let person = Person::new(plan, &occid)?;
    let mut rows = vec![wall];
    for format in ["json", "table"] {
        let listed = person.lists(format)?;
        let peak = listed.peak as f64 / 1e6;
        rows.push(Row {
            case: format!("most memory of `occi list compute -o {format}`, 10,000 machines"),
            ours: format!("{peak:.0} MB"),
            peer: "-".into(),
            value: peak,
            target: 50.0,
            more_is_better: false,
            aside: format!("MB, in {:.0} ms", milliseconds(listed.took)),
        });
    }
    occid.server.stop().await?;
    Ok(rows)
}

/// Somebody with a home of his own, who knows the server.
struct Person<'p> {
    occi: &'p Path,
    home: TempDir,
    url: String,
    password: String,
}

struct Listed {
    took: Duration,
    /// Bytes.
    peak: u64,
}

impl<'p> Person<'p> {
    fn new(plan: &'p Plan, occid: &Occid) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let url = format!("http://{}", occid.server.address);
        let password = occid.password()?;
        // curl reads the password from a file, so that it is in no list of processes.
        let config = format!(
            "user = \"admin:{password}\"\nurl = \"{url}/compute/\"\nheader = \"Accept: application/occi+json\"\n"
        );
        fs::write(home.path().join("curl"), config)?;
        Ok(Self {
            occi: &plan.occi,
            home,
            url,
            password,
        })
    }

    fn lists(&self, format: &str) -> Result<Listed> {
        let begun = Instant::now();
        let mut process = Command::new(self.occi)
            .args(["list", "compute", "-o", format])
            .env_clear()
            .env("HOME", self.home.path())
            .envs([
                ("OCCI_ENDPOINT", self.url.as_str()),
                ("OCCI_USER", "admin"),
                ("OCCI_PASSWORD", self.password.as_str()),
            ])
            .stdin(Stdio::null())
            .stdout(fs::File::create(self.home.path().join("listing"))?)
            .spawn()
            .with_context(|| format!("failed to start {}", self.occi.display()))?;
        let status = format!("/proc/{}/status", process.id());
        let mut peak = 0;
        let ended = loop {
            if let Some(ended) = process.try_wait()? {
                break ended;
            }
            peak = high_water(&status).unwrap_or(peak);
            std::thread::sleep(Duration::from_micros(500));
        };
        ensure!(ended.success(), "occi ended with {ended}");
        Ok(Listed {
            took: begun.elapsed(),
            peak,
        })
    }

    fn curls(&self) -> Result<Duration> {
        let begun = Instant::now();
        let ended = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--config"])
            .arg(self.home.path().join("curl"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(self.home.path().join("listing"))?)
            .status()
            .context("failed to start curl")?;
        ensure!(ended.success(), "curl ended with {ended}");
        Ok(begun.elapsed())
    }
}

/// The most that was ever resident, in bytes.
fn high_water(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
