//! Real virtual machines: from POST to QEMU, and to the first byte on the serial console, beside the same by hand.
//!
//! By hand means what a person with a shell would type: `qemu-img create` for the overlay, the seed at hand already, and
//! QEMU with the very arguments that occid gave it. The clocks of both begin before the first of these.

use crate::cases::{Occid, Plan};
use crate::client::Connection;
use crate::table::{Row, median};
use anyhow::{Context, Result, bail, ensure};
use http::header::LOCATION;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PAIRS: usize = 20;
/// How often the file system is looked at: a tenth of what the fastest of these steps takes.
const GLANCE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(120);

/// Boots machines in alternating pairs.
pub(crate) async fn machines(plan: &Plan) -> Result<Vec<Row>> {
    ensure!(
        plan.images.join("tiny.qcow2").exists(),
        "no demonstration guest in {}: `make bench` makes it",
        plan.images.display()
    );
    let data = tempfile::tempdir()?;
    let images = data.path().join("images");
    fs::create_dir(&images)?;
    for file in ["tiny.qcow2", "tiny.toml"] {
        fs::copy(plan.images.join(file), images.join(file))?;
    }
    let below = data.path().canonicalize()?;
    let occid = Occid::start_with(plan, "qemu", data).await?;
    let measured = pairs(&occid, &below).await;
    // Machines and networks outlive their server.
    let mut connection = Connection::open(occid.server.address).await?;
    for collection in ["/compute/", "/network/"] {
        connection.exchange(occid.delete(collection)).await?;
    }
    occid.server.stop().await?;
    let (execs, pairs) = measured?;
    let exec = median(execs);
    let [ours, theirs, ratio] = [
        median(pairs.iter().map(|pair| pair.0).collect()),
        median(pairs.iter().map(|pair| pair.1).collect()),
        median(pairs.iter().map(|pair| pair.0 / pair.1).collect()),
    ];
    Ok(vec![
        Row {
            case: "POST of a compute to QEMU's exec, overlay and seed included".into(),
            ours: format!("{exec:.0} ms"),
            peer: "-".into(),
            value: exec,
            target: 100.0,
            more_is_better: false,
            aside: "ms".into(),
        },
        Row {
            case: "POST of a compute to the first serial byte, against the same by hand".into(),
            ours: format!("{ours:.0} ms"),
            peer: format!("{theirs:.0} ms"),
            value: ratio,
            target: 1.05,
            more_is_better: false,
            aside: format!("{PAIRS} pairs"),
        },
    ])
}

/// Milliseconds from POST to exec, and to the first serial byte with occid and by hand.
type Times = (Vec<f64>, Vec<(f64, f64)>);

async fn pairs(occid: &Occid, below: &Path) -> Result<Times> {
    let mut connection = Connection::open(occid.server.address).await?;
    let (mut execs, mut pairs) = (Vec::new(), Vec::new());
    for pair in 0..=PAIRS {
        let place = below.to_owned();
        let known = processes()?;
        let begin = Instant::now();
        let watch = tokio::task::spawn_blocking(move || Emulator::appear(&known, &place));
        let answer = connection.exchange(occid.create_one()).await?;
        ensure!(answer.status() == 201, "POST answered {}", answer.status());
        let location = answer
            .headers()
            .get(LOCATION)
            .context("no Location")?
            .to_str()?
            .to_owned();
        let emulator = watch.await??;
        let exec = emulator.seen - begin;
        let console = emulator.directory.join("console.log");
        let ours = tokio::task::spawn_blocking(move || first_byte(&console, begin)).await?;
        let ours = ours.context("with occid")?;
        let by_hand = tokio::task::spawn_blocking(move || by_hand(&emulator)).await?;
        let (theirs, _machine) = by_hand.context("by hand")?;
        let gone = connection.exchange(occid.delete(&location)).await?;
        ensure!(gone.status().is_success(), "DELETE answered {}", gone.status());
        // The first brings up the network of the project.
        if pair > 0 {
            execs.push(exec.as_secs_f64() * 1e3);
            pairs.push((ours.as_secs_f64() * 1e3, theirs.as_secs_f64() * 1e3));
        }
    }
    Ok((execs, pairs))
}

/// A running QEMU of a machine.
struct Emulator {
    seen: Instant,
    directory: PathBuf,
    arguments: Vec<OsString>,
}

impl Emulator {
    /// Waits for a QEMU of a machine that works below `place` and is not among the `known` processes.
    fn appear(known: &[u32], place: &Path) -> Result<Self> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            for pid in processes()?.into_iter().filter(|pid| !known.contains(pid)) {
                if let Some(emulator) = Self::read(pid).filter(|emulator| emulator.directory.starts_with(place)) {
                    return Ok(emulator);
                }
            }
            std::thread::sleep(GLANCE);
        }
        bail!("no QEMU came")
    }

    fn read(pid: u32) -> Option<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let line = fs::read(process.join("cmdline")).ok()?;
        let arguments: Vec<_> = line
            .split(|byte| *byte == 0)
            .map(|word| OsString::from_vec(word.to_vec()))
            .take_while(|word| !word.is_empty())
            .collect();
        let program = Path::new(arguments.first()?).file_name()?.to_str()?;
        let is_machine = program.starts_with("qemu-system") && arguments.iter().any(|word| word == "-blockdev");
        Some(Self {
            seen: Instant::now(),
            directory: fs::read_link(process.join("cwd")).ok()?,
            arguments,
        })
        .filter(|_| is_machine)
    }
}

fn processes() -> Result<Vec<u32>> {
    Ok(fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

/// How long after `begin` the file has its first byte.
fn first_byte(file: &Path, begin: Instant) -> Result<Duration> {
    while begin.elapsed() < PATIENCE {
        if fs::metadata(file).is_ok_and(|found| found.len() > 0) {
            return Ok(begin.elapsed());
        }
        std::thread::sleep(GLANCE);
    }
    bail!("the guest said nothing")
}

/// A QEMU of our own, ended when dropped.
struct ByHand(Child);

impl Drop for ByHand {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The same machine again, without occid.
fn by_hand(like: &Emulator) -> Result<(Duration, ByHand)> {
    let place = tempfile::tempdir()?;
    let inside = place.path().join("inside");
    fs::create_dir(&inside)?;
    fs::hard_link(like.directory.join("../base"), place.path().join("base"))
        .or_else(|_| fs::copy(like.directory.join("../base"), place.path().join("base")).map(drop))?;
    fs::copy(like.directory.join("seed.img"), inside.join("seed.img"))?;
    let begin = Instant::now();
    let made = Command::new("qemu-img")
        .args([
            "create",
            "-q",
            "-f",
            "qcow2",
            "-b",
            "../base",
            "-F",
            "qcow2",
            "root.qcow2",
        ])
        .current_dir(&inside)
        .status()?;
    ensure!(made.success(), "qemu-img failed");
    let (program, arguments) = like.arguments.split_first().context("no program")?;
    let machine = ByHand(
        Command::new(program)
            .args(arguments)
            .current_dir(&inside)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?,
    );
    Ok((first_byte(&inside.join("console.log"), begin)?, machine))
}
