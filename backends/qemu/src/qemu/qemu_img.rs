//! `qemu-img`, kept to the directory in which it works.

use crate::error::Failure;
use crate::host::confine::Confinement;
use crate::host::program;
use crate::image::Header;
use occi_backend::Context;
use std::path::PathBuf;
use std::time::Duration;

/// The package that holds `qemu-img`.
pub const PACKAGE: &str = "qemu-utils";
/// Address space of `qemu-img`. It needs a fraction; an image made to break it asks for more.
const MEMORY: u64 = 2 << 30;
/// How long an operation on metadata may take.
const SHORT: Duration = Duration::from_secs(30);
/// How `qemu-img check` ends that found clusters which nobody uses, and nothing else.
const LEAKS: i32 = 3;
/// How it ends that found damage.
const DAMAGED: i32 = 2;

/// `qemu-img`. It works in a directory on files that a guest, or a QEMU that a guest has taken over, may have written;
/// so it is kept to that directory.
#[derive(Clone, Debug)]
pub struct QemuImg {
    /// The program; a bare name is searched in `PATH`.
    pub program: PathBuf,
    /// The program that takes our hidden sub-commands.
    pub launcher: PathBuf,
}

/// Where an image tool works, and as whom.
#[derive(Clone, Debug)]
pub struct Workplace {
    /// The directory of the files, which are named relative to it.
    pub directory: PathBuf,
    /// What it reads besides, relative to the directory.
    pub read: Vec<PathBuf>,
    /// The user, where we are root.
    pub user: Option<u32>,
}

/// The per cent of `    (12.34/100%)`.
fn percent(said: &[u8]) -> u8 {
    let said = String::from_utf8_lossy(said);
    let last = said.rsplit_once('(').map_or("", |(_, last)| last);
    let whole = last.split(|c: char| !c.is_ascii_digit()).next();
    whole.and_then(|whole| whole.parse().ok()).unwrap_or_default()
}

impl QemuImg {
    fn bounds(place: &Workplace) -> Confinement {
        Confinement {
            write: vec![".".into()],
            read: place.read.clone(),
            user: place.user,
            memory: Some(MEMORY),
            ..Confinement::default()
        }
    }

    async fn run(&self, place: &Workplace, limit: Duration, args: &[&str]) -> Result<program::Ended, Failure> {
        let bounds = Self::bounds(place);
        let words = bounds.command(&self.program, args.iter().copied())?;
        program::run_well(&self.launcher, PACKAGE, words, &place.directory, limit).await
    }

    /// Makes `target`, a copy-on-write layer over `base`, of at least the base's size.
    ///
    /// # Errors
    /// [`Failure::Missing`], [`Failure::Program`].
    pub async fn overlay(
        &self,
        place: &Workplace,
        (base, header): (&str, Header),
        target: &str,
        size: u64,
    ) -> Result<(), Failure> {
        let size = size.max(header.size).to_string();
        let format = header.format.as_str();
        let args = ["create", "-q", "-f", "qcow2", "-F", format, "-b", base, target, &size];
        self.run(place, SHORT, &args).await.map(drop)
    }

    /// Makes an empty volume of `size` bytes.
    ///
    /// # Errors
    /// As [`QemuImg::overlay`].
    pub async fn create(&self, place: &Workplace, target: &str, size: u64) -> Result<(), Failure> {
        let args = ["create", "-q", "-f", "qcow2", target, &size.to_string()];
        self.run(place, SHORT, &args).await.map(drop)
    }

    /// Grows `image` to `size` bytes while nobody uses it.
    ///
    /// # Errors
    /// As [`QemuImg::overlay`].
    pub async fn resize(&self, place: &Workplace, image: &str, size: u64) -> Result<(), Failure> {
        let args = ["resize", "-q", "-f", "qcow2", image, &size.to_string()];
        self.run(place, SHORT, &args).await.map(drop)
    }

    /// Copies the whole content of `image` into `target`, which depends on nothing; tells `asker` of each per cent.
    ///
    /// # Errors
    /// As [`QemuImg::overlay`].
    pub async fn copy(&self, place: &Workplace, image: &str, target: &str, asker: &Context) -> Result<(), Failure> {
        let args = ["convert", "-p", "-f", "qcow2", "-O", "qcow2", image, target];
        let words = Self::bounds(place).command(&self.program, args)?;
        let tell = |said: &[u8]| asker.progress(percent(said));
        let copied = program::run_heard(&self.launcher, PACKAGE, words, &place.directory, tell);
        copied.await.map(drop)
    }

    /// What is wrong with `image`, of this engine's own format, if something is. One that takes longer than `limit` is.
    ///
    /// # Errors
    /// As [`QemuImg::overlay`].
    pub async fn check(&self, place: &Workplace, image: &str, limit: Duration) -> Result<Option<String>, Failure> {
        let bounds = Self::bounds(place);
        let words = bounds.command(&self.program, ["check", "-q", "-f", "qcow2", image])?;
        let ended = match program::run(&self.launcher, PACKAGE, words, &place.directory, limit).await {
            Err(Failure::Slow { .. }) => {
                let limit = limit.as_secs();
                return Ok(Some(format!(
                    "`qemu-img check` of it did not end within {limit} seconds"
                )));
            }
            ended => ended?,
        };
        let said = ended.stderr.trim();
        match ended.status.code() {
            // Clusters that nobody uses cost room and nothing else.
            Some(0 | LEAKS) => Ok(None),
            Some(DAMAGED) => Ok(Some("it is damaged; try `qemu-img check -r all` on a copy".to_owned())),
            // It gave up: on an image that it cannot make sense of.
            Some(1) if said.lines().any(|line| line.starts_with("qemu-img: ")) => {
                let last = said.lines().last().unwrap_or_default();
                Ok(Some(format!("it is damaged: {last}")))
            }
            _ => Err(Failure::Program {
                program: self.program.display().to_string(),
                said: if said.is_empty() {
                    ended.status.to_string()
                } else {
                    said.to_owned()
                },
            }),
        }
    }

    /// Whether `image` keeps an earlier content under `name`.
    ///
    /// # Errors
    /// As [`QemuImg::overlay`].
    pub async fn has_snapshot(&self, place: &Workplace, image: &str, name: &str) -> Result<bool, Failure> {
        let listed = self.run(place, SHORT, &["snapshot", "-l", image]).await?;
        Ok(listed.stdout.split_whitespace().any(|word| word == name))
    }

    /// Keeps the present content of `image` under `name`, while nobody uses it.
    ///
    /// # Errors
    /// As [`QemuImg::overlay`].
    pub async fn snapshot(&self, place: &Workplace, image: &str, name: &str) -> Result<(), Failure> {
        self.run(place, SHORT, &["snapshot", "-q", "-c", name, image])
            .await
            .map(drop)
    }
}
