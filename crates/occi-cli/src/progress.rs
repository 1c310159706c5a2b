//! Waiting, with a line that says what the server says.

use crate::args::duration;
use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::words::told;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use occi_client::{Answer, Entity, Patience, Progress, Until, Write};
use occi_model::TypeId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long to wait when nobody says.
const USUAL: &str = "10m";

/// Whether to wait until it is done.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Waiting {
    /// Wait until it is done, at most so long: --wait, --wait=90, --wait 90s (after a space with its unit) [default: 10m]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = USUAL, value_parser = duration)]
    pub(crate) wait: Option<Duration>,
}

impl Waiting {
    /// How the server is asked to answer.
    pub(crate) fn write(self) -> Write {
        let mut write = Write::default();
        if self.wait.is_some() {
            // What it does meanwhile can be watched.
            write.answer = Answer::Early;
        }
        write
    }
}

/// Whether a request has gone out that makes or changes something.
static HAS_CHANGED: AtomicBool = AtomicBool::new(false);

/// What to do after an interruption.
static GOES_ON: Mutex<Option<String>> = Mutex::new(None);

/// How far it is that is interrupted.
static SO_FAR: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// An interruption says this first.
pub(crate) fn is_so_far(hints: Vec<String>) {
    *SO_FAR.lock().unwrap_or_else(PoisonError::into_inner) = hints;
}

/// From now on something may go on in the server without the program.
pub(crate) fn changes() {
    HAS_CHANGED.store(true, Ordering::Relaxed);
}

/// As long as this lives, an interruption says something of its own.
#[must_use]
pub(crate) struct GoesOn {
    before: Option<String>,
}

/// From now on an interruption says this.
pub(crate) fn if_interrupted(hint: impl Into<String>) -> GoesOn {
    let mut goes_on = GOES_ON.lock().unwrap_or_else(PoisonError::into_inner);
    GoesOn {
        before: goes_on.replace(hint.into()),
    }
}

impl Drop for GoesOn {
    fn drop(&mut self) {
        *GOES_ON.lock().unwrap_or_else(PoisonError::into_inner) = self.before.take();
    }
}

/// Ctrl-C: the program goes, what the server has accepted does not.
pub(crate) fn interrupted() -> Failure {
    let mut failure = Failure::new(Exit::Interrupted, "interrupted");
    failure.hints = std::mem::take(&mut *SO_FAR.lock().unwrap_or_else(PoisonError::into_inner));
    let hint = GOES_ON.lock().unwrap_or_else(PoisonError::into_inner).take();
    let accepted = || "what the server has accepted goes on: occi list operation".to_owned();
    failure
        .hints
        .extend(hint.or_else(|| HAS_CHANGED.load(Ordering::Relaxed).then(accepted)));
    failure
}

/// A line on a terminal that goes when it is done.
pub(crate) struct Line {
    bar: ProgressBar,
    name: String,
}

impl Line {
    pub(crate) fn new(name: &str, quiet: bool) -> Self {
        let target = match quiet {
            true => ProgressDrawTarget::hidden(),
            // Nothing is drawn where there is no terminal.
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(100), target);
        bar.set_style(style("{spinner} {prefix} {wide_msg} {elapsed}"));
        bar.set_prefix(told(name));
        bar.enable_steady_tick(Duration::from_millis(120));
        Self {
            bar,
            name: name.to_owned(),
        }
    }

    pub(crate) fn say(&self, progress: Progress<'_>) {
        match progress {
            Progress::Entity { state, message, .. } => {
                let words = [state.unwrap_or_default(), message.unwrap_or_default()];
                self.message(words.join(" ").trim());
            }
            Progress::Operation(operation) => {
                if let Some(percent) = operation.progress {
                    self.bar
                        .set_style(style("{spinner} {prefix} [{bar:20}] {percent}% {wide_msg} {elapsed}"));
                    self.bar.set_position(percent.into());
                }
                let step = operation.step.as_deref().unwrap_or(operation.state.as_str());
                self.message(&format!("{}: {step}", operation.verb));
            }
            Progress::Trouble(error) => self.message(&format!("{} {error}; asking again", self.name)),
            _ => {}
        }
    }

    fn message(&self, words: &str) {
        self.bar.set_message(told(words));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line that says how many bytes of how many, how fast, and how long it will take.
pub(crate) fn byte_bar(name: &str, length: u64, quiet: bool) -> ProgressBar {
    let target = match quiet {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr(),
    };
    let bar = ProgressBar::with_draw_target(Some(length), target);
    bar.set_style(style(
        "{prefix} [{bar:20}] {bytes}/{total_bytes} {bytes_per_sec} {eta} {wide_msg}",
    ));
    bar.set_prefix(told(name));
    bar
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .progress_chars("=> ")
}

/// After so long a restart that nobody has seen is over.
const UNSEEN: Duration = Duration::from_secs(5);

/// What makes `occi wait` wait for this.
fn option_of(until: &Until) -> String {
    match until {
        Until::Up => String::new(),
        Until::Gone => " --for gone".to_owned(),
        Until::State(states) => format!(" --for state={}", states.join(",")),
        Until::Attribute { name, value } => match value.as_str() {
            Some(text) => format!(" --for '{name}={text}'"),
            None => format!(" --for '{name}={value}'"),
        },
        _ => String::new(),
    }
}

impl Session {
    /// Waits until what restarts is not up any longer: where no operation says when the restart is over, it is up before and
    /// after it. What happens so fast that nobody sees it has happened.
    pub(crate) async fn goes_down(&self, location: &str, limit: Duration) -> Result<()> {
        let (begun, model) = (Instant::now(), self.client.model().await?);
        while begun.elapsed() < limit.min(UNSEEN) {
            let entity = self.client.show(location).await?;
            let is_up = entity
                .state(&model)
                .is_some_and(|state| matches!(state.word, "active" | "online"));
            if !is_up {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Waits for an operation, if there is one, else for what it should come to. Returns the entity afterwards, and the
    /// mixins that the operation made.
    pub(crate) async fn wait(
        &self,
        name: &str,
        location: &str,
        operation: Option<&str>,
        until: &Until,
        limit: Duration,
    ) -> Result<(Option<Entity>, Vec<TypeId>)> {
        let line = Line::new(name, self.output.quiet);
        let waited_for = match operation {
            Some(operation) => operation.to_owned(),
            None => format!("{location}{}", option_of(until)),
        };
        let has_changed = HAS_CHANGED.load(Ordering::Relaxed);
        let _goes_on = has_changed.then(|| if_interrupted(format!("it goes on in the server: occi wait {waited_for}")));
        let mut patience = Patience::default();
        patience.limit = limit;
        // A machine of this host is up in no time.
        patience.first = Duration::from_millis(50);
        let ended = async {
            match operation {
                Some(operation) => {
                    let ended = self
                        .client
                        .wait_for_operation(operation, &patience, |progress| line.say(progress))
                        .await?;
                    let entity = match until {
                        Until::Gone => None,
                        _ => Some(self.client.show(location).await?),
                    };
                    Ok((entity, ended.mixins))
                }
                None => {
                    let entity = self
                        .client
                        .wait_for(location, until, &patience, |progress| line.say(progress))
                        .await?;
                    Ok((entity, Vec::new()))
                }
            }
        };
        let ended: occi_client::Result<_> = ended.await;
        ended.map_err(|error| {
            let failure = Failure::from(error).about(name);
            match failure.exit {
                Exit::Timeout => failure.with_hint(format!("go on waiting: occi wait {waited_for}")),
                _ => failure,
            }
        })
    }
}
