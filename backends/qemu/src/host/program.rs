//! Short-lived helper programs (`qemu-img`, the probe), each with a limit on time.

use crate::error::Failure;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// What is kept of each of its outputs.
const OUTPUT: u64 = 1 << 20;

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
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let finish = async {
        let read_out = async {
            match out {
                Some(out) => out.take(OUTPUT).read_to_end(&mut stdout).await.map(drop),
                None => Ok(()),
            }
        };
        let read_err = async {
            match err {
                Some(err) => err.take(OUTPUT).read_to_end(&mut stderr).await.map(drop),
                None => Ok(()),
            }
        };
        tokio::try_join!(read_out, read_err)?;
        child.wait().await
    };
    let status = tokio::time::timeout(limit, finish)
        .await
        .map_err(|_| Failure::Slow { step: step(), limit })?
        .map_err(Failure::host(step()))?;
    Ok(Ended {
        status,
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
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
    let ended = run(program, package, args, directory, limit).await?;
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
