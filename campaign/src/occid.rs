//! The program under test, as a process.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);
/// How long an orderly end may take.
const END: Duration = Duration::from_secs(30);

/// A process of `occid` that may not listen yet.
pub(crate) struct Starting {
    child: Child,
    stdout: ChildStdout,
}

/// A running `occid`.
pub(crate) struct Occid {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Starting {
    /// Starts `program`; `fault` is the plan of `OCCID_FAULT`.
    pub(crate) fn spawn(program: &Path, config: &Path, log: &Path, fault: Option<&str>) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .env_remove("OCCID_FAULT")
            .kill_on_drop(true);
        if let Some(fault) = fault {
            command.env("OCCID_FAULT", fault);
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let stdout = child.stdout.take().context("occid has no stdout")?;
        Ok(Self { child, stdout })
    }

    /// Waits until it says where it listens.
    pub(crate) async fn listening(self) -> Result<Occid> {
        let Self { mut child, stdout } = self;
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(START, lines.next_line()).await;
        let first = first.context("occid did not say where it listens")??;
        let address = first
            .as_deref()
            .and_then(|line| line.strip_prefix("listening on http://"));
        let Some(address) = address else {
            let status = child.wait().await?;
            bail!("occid said {first:?} and ended with {status}");
        };
        let address = address.trim_end_matches('/').parse()?;
        // Reading on keeps the pipe open.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Occid { child, address })
    }

    /// Ends it as `kill -9` does.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

impl Occid {
    /// Ends it as `kill -9` does.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Ends it as an operator does.
    pub(crate) async fn terminate(mut self) -> Result<()> {
        let pid = self
            .child
            .id()
            .and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let status = tokio::time::timeout(END, self.child.wait()).await;
        let status = status.context("occid did not end by SIGTERM")??;
        anyhow::ensure!(status.success(), "occid ended with {status} after SIGTERM");
        Ok(())
    }

    /// Whether it ended by itself within `patience`.
    pub(crate) async fn has_ended(&mut self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.child.wait()).await.is_ok()
    }
}
