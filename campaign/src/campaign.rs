//! One run of the campaign: its directory, its configuration, its processes.

use crate::census::Engine;
use crate::client::Client;
use crate::dice::Dice;
use crate::journal::Journal;
use crate::occid::{Occid, Starting};
use crate::processes;
use crate::report::{Finding, Report};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program: a debug build, or one with faults.
    pub occid: PathBuf,
    /// The engine behind it.
    pub engine: Engine,
    /// An image for machines (qemu), whose folder becomes the image directory; none for machines that do not boot.
    pub image: Option<PathBuf>,
    /// How many random kills.
    pub kills: u32,
    /// How many clients write at the same time.
    pub clients: u32,
    /// Where all dice begin.
    pub seed: u64,
    /// Cases of the table whose name contains this; none means no table.
    pub table: Option<String>,
    /// Of the faults of the table at most so many, spread over it; none means all.
    pub faults: Option<usize>,
    /// No new fault or round begins after this time.
    pub time: Duration,
    /// Whether the directory of the run stays when something was found.
    pub keep: bool,
}

/// A run.
pub struct Campaign {
    pub(crate) plan: Plan,
    directory: TempDir,
    pub(crate) journal: Arc<Mutex<Journal>>,
    pub(crate) dice: Dice,
    pub(crate) report: Report,
    pub(crate) began: Instant,
    password: String,
}

impl Campaign {
    /// Runs it to its end.
    ///
    /// # Errors
    /// The campaign itself cannot go on: `occid` does not start, the engine's files cannot be read. What it finds is in
    /// the report.
    pub async fn run(plan: Plan) -> Result<Report> {
        let directory = tempfile::Builder::new().prefix("occi-campaign-").tempdir()?;
        let mut campaign = Self {
            dice: Dice::new(plan.seed),
            report: Report::new(&plan),
            journal: Arc::default(),
            began: Instant::now(),
            password: String::new(),
            directory,
            plan,
        };
        let outcome = campaign.carry_out().await;
        processes::end(campaign.directory());
        campaign.read_log();
        if let Err(error) = outcome {
            let error = error.context(campaign.tail_of_log());
            if campaign.plan.keep {
                campaign.keep();
            }
            return Err(error);
        }
        campaign.report.took = campaign.began.elapsed();
        let mut report = campaign.report.clone();
        report.requests.clone_from(&campaign.journal().tally);
        report.refusals.clone_from(&campaign.journal().refusals);
        report.looks = campaign.journal().looks;
        if campaign.plan.keep && !report.findings.is_empty() {
            campaign.keep();
        }
        Ok(report)
    }

    async fn carry_out(&mut self) -> Result<()> {
        self.plan.engine.furnish(self.directory())?;
        // The first start makes the operator.
        let occid = self.start(None).await?;
        let file = self.path("data/initial-admin-password");
        occid.terminate().await?;
        fs::read_to_string(&file)
            .with_context(|| file.display().to_string())?
            .trim()
            .clone_into(&mut self.password);
        if self.plan.table.is_some() {
            self.run_table().await?;
        }
        if self.plan.kills > 0 {
            self.run_rounds().await?;
        }
        self.leave_nothing().await
    }

    fn keep(self) {
        let path = self.directory.keep();
        eprintln!("everything of this run is in {}", path.display());
    }

    /// A place in the directory of the run.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn finding(&mut self, at: &str, what: impl Into<String>) {
        let finding = Finding {
            at: at.to_owned(),
            what: what.into(),
        };
        eprintln!("FOUND at {at}: {}", finding.what);
        self.report.findings.push(finding);
    }

    /// Whether there is time for more.
    pub(crate) fn has_time(&self) -> bool {
        self.began.elapsed() < self.plan.time
    }

    /// Begins a start with other dice for the engine.
    pub(crate) fn spawn(&mut self, fault: Option<&str>) -> Result<Starting> {
        let config = self.path("occid.toml");
        let image = self.plan.image.as_deref();
        let section = self
            .plan
            .engine
            .section(self.directory.path(), image, self.dice.below(u64::MAX));
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nbackends = [\"{}\"]\ndata_dir = {:?}\n\n[log]\nfilter = \
             \"info,occi_engine=debug\"\n\n[engine]\nrefresh_interval = \"2s\"\noperation_deadline = \"120s\"\n\n\
             {section}",
            self.plan.engine.name(),
            self.path("data"),
        );
        fs::write(&config, text)?;
        self.report.starts += 1;
        Starting::spawn(&self.plan.occid, &config, &self.path("occid.log"), fault)
    }

    /// A start that must succeed.
    pub(crate) async fn start(&mut self, fault: Option<&str>) -> Result<Occid> {
        self.spawn(fault)?.listening().await
    }

    /// A client of this process.
    pub(crate) fn client(&self, occid: &Occid) -> Client {
        Client::new(occid.address, "admin", &self.password)
    }

    fn log(&self) -> String {
        let bytes = fs::read(self.path("occid.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn tail_of_log(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines.len().saturating_sub(12);
        format!("the log of occid ends with:\n{}", lines[tail..].join("\n"))
    }

    fn read_log(&mut self) {
        let log = self.log();
        let panics: Vec<_> = log
            .lines()
            .filter(|line| line.contains("panicked at"))
            .map(ToOwned::to_owned)
            .collect();
        for panic in panics {
            self.finding("the log", panic);
        }
    }
}
