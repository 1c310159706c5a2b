//! Helper programs that come to an end (`qemu-img`, the probe): within a limit of time, or heard as long as they work.

use crate::error::Failure;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What is kept of each of its outputs.
const OUTPUT: usize = 1 << 20;

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs `program` in `directory` to its end, or ends it after `limit` or when the caller goes away.
///
/// # Errors
/// [`Failure::Missing`] naming `package`, [`Failure::Slow`], [`Failure::Host`]. A bad exit status is no error here.
pub async fn run<S: AsRef<OsStr>>(
    program: &Path,
    package: &'static str,
    args: impl IntoIterator<Item = S>,
    directory: &Path,
    limit: Duration,
) -> Result<Ended, Failure> {
    let run = run_as_long_as_it_takes(program, package, args, directory, |_| {});
    tokio::time::timeout(limit, run).await.unwrap_or_else(|_| {
        let step = format!("run {}", program.display());
        Err(Failure::Slow { step, limit })
    })
}

/// The same without a limit; `hear` is told what it says on its standard output.
async fn run_as_long_as_it_takes<S: AsRef<OsStr>>(
    program: &Path,
    package: &'static str,
    args: impl IntoIterator<Item = S>,
    directory: &Path,
    hear: impl FnMut(&[u8]),
) -> Result<Ended, Failure> {
    let step = || format!("run {}", program.display());
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Failure::spawn(program, package))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let finish = async {
        let (stdout, stderr) = tokio::try_join!(read(out, hear), read(err, |_| {}))?;
        Ok((child.wait().await?, stdout, stderr))
    };
    let (status, stdout, stderr) = finish.await.map_err(Failure::host(step()))?;
    Ok(Ended {
        status,
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// All that comes from one of its outputs, of which the beginning is kept.
async fn read(output: Option<impl AsyncRead + Unpin>, mut hear: impl FnMut(&[u8])) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut output) = output else { return Ok(kept) };
    let mut part = [0; 4096];
    loop {
        let length = output.read(&mut part).await?;
        let said = part.get(..length).unwrap_or_default();
        if said.is_empty() {
            return Ok(kept);
        }
        hear(said);
        let room = OUTPUT.saturating_sub(kept.len());
        kept.extend_from_slice(said.get(..room).unwrap_or(said));
    }
}

/// [`run`], and a bad exit status is [`Failure::Program`].
///
/// # Errors
/// As [`run`].
pub async fn run_well<S: AsRef<OsStr>>(
    program: &Path,
    package: &'static str,
    args: impl IntoIterator<Item = S>,
    directory: &Path,
    limit: Duration,
) -> Result<Ended, Failure> {
    well(program, run(program, package, args, directory, limit).await?)
}

/// [`run_well`] without a limit; `hear` is told what it says on its standard output.
///
/// # Errors
/// As [`run`], but for [`Failure::Slow`].
pub async fn run_heard<S: AsRef<OsStr>>(
    program: &Path,
    package: &'static str,
    args: impl IntoIterator<Item = S>,
    directory: &Path,
    hear: impl FnMut(&[u8]),
) -> Result<Ended, Failure> {
    let ended = run_as_long_as_it_takes(program, package, args, directory, hear).await?;
    well(program, ended)
}

fn well(program: &Path, ended: Ended) -> Result<Ended, Failure> {
    if ended.status.success() {
        return Ok(ended);
    }
    Err(Failure::Program {
        program: program.display().to_string(),
        said: match ended.stderr.trim() {
            "" => ended.status.to_string(),
            said => said.to_owned(),
        },
    })
}
