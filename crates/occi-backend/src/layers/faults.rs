//! Failing on purpose.

use super::{Call, Layer};
use crate::{BackendError, Context, ErrorKind, Interrupted, Journal, Picture, Verb};
use async_trait::async_trait;
use futures::future::{BoxFuture, pending};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A place in a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before the backend is called.
    Start,
    /// The side effect is made, and its record (a step, the acceptance, a picture) is not; counted from 1.
    Before(u32),
    /// The record of this number is durable.
    After(u32),
    /// The backend has returned, and nobody knows yet.
    End,
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The verb fails with [`ErrorKind::Unavailable`]; what happened is unknown, except at the start.
    Error,
    /// The process ends at once, as by `kill -9`: nothing is flushed and nothing is undone.
    Kill,
    /// The verb stands still until it is dropped.
    Hang,
    /// The verb panics.
    Panic,
}

/// One failure, to happen once. Its text is `verb:point:effect`: the point is `start`, a number (after the record of
/// that number), a number with `-` before it (before that record) or `end`; the effect is `error`, `kill`, `hang` or
/// `panic`. `create:2:kill` ends the process when the second record of a create is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In which verb.
    pub verb: Verb,
    /// Where in it.
    pub point: Point,
    /// What happens.
    pub effect: Effect,
}

impl FromStr for Fault {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let (Some(verb), Some(point), Some(effect), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(format!("{text:?} is not verb:point:effect"));
        };
        let number = |text: &str| {
            let number = text.parse().ok().filter(|number| *number > 0);
            number.ok_or_else(|| format!("{point:?} is not start, a number, -number or end"))
        };
        Ok(Self {
            verb: verb.parse()?,
            point: match point {
                "start" => Point::Start,
                "end" => Point::End,
                _ => match point.strip_prefix('-') {
                    Some(before) => Point::Before(number(before)?),
                    None => Point::After(number(point)?),
                },
            },
            effect: match effect {
                "error" => Effect::Error,
                "kill" => Effect::Kill,
                "hang" => Effect::Hang,
                "panic" => Effect::Panic,
                _ => return Err(format!("{effect:?} is not error, kill, hang or panic")),
            },
        })
    }
}

/// Makes verbs fail on purpose, for tests. Clones share one plan; each fault happens once, to the first call of its verb
/// that comes to its point.
#[derive(Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<Vec<Fault>>>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faults").field(&*self.plan()).finish()
    }
}

impl Faults {
    /// The variable with the plan of a process: faults joined by commas.
    pub const VARIABLE: &'static str = "OCCID_FAULT";

    /// The plan of [`Faults::VARIABLE`]. In a release build without the feature `faults` it is always empty: nobody ends
    /// a server of users by its environment.
    ///
    /// # Errors
    /// The variable cannot be read; the text says how it is written.
    pub fn from_env() -> Result<Self, String> {
        let faults = Self::default();
        if cfg!(any(debug_assertions, feature = "faults"))
            && let Ok(text) = std::env::var(Self::VARIABLE)
        {
            for fault in text.split(',').filter(|fault| !fault.is_empty()) {
                let fault = fault.trim().parse::<Fault>();
                faults.add(fault.map_err(|error| format!("{}: {error}", Self::VARIABLE))?);
            }
        }
        Ok(faults)
    }

    /// Plans a fault.
    pub fn add(&self, fault: Fault) {
        self.plan().push(fault);
    }

    /// Forgets what has not happened yet, and tells how much that is.
    pub fn clear(&self) -> usize {
        std::mem::take(&mut *self.plan()).len()
    }

    fn plan(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, verb: Verb, point: Point) -> bool {
        self.plan()
            .iter()
            .any(|fault| fault.verb == verb && fault.point == point)
    }

    /// Comes to a point: fails if that is planned.
    async fn reach(&self, verb: Verb, point: Point) -> Result<(), Interrupted> {
        let planned = {
            let mut plan = self.plan();
            let at = plan.iter().position(|fault| fault.verb == verb && fault.point == point);
            at.map(|at| plan.remove(at))
        };
        match planned.map(|fault| fault.effect) {
            None => Ok(()),
            Some(Effect::Error) => Err(Interrupted),
            Some(Effect::Hang) => pending().await,
            Some(Effect::Panic) => panic!("{}: panic in {verb} at {point:?}", Self::VARIABLE),
            Some(Effect::Kill) => {
                eprintln!("{}: ending in {verb} at {point:?}", Self::VARIABLE);
                std::process::abort()
            }
        }
    }
}

/// The journal of a verb that may be made to fail.
struct Sabotaged {
    journal: Arc<dyn Journal>,
    faults: Faults,
    verb: Verb,
    records: AtomicU32,
    /// Whether it was us who stopped the verb.
    failed: Arc<AtomicBool>,
}

impl Sabotaged {
    async fn record(&self, record: impl Future<Output = Result<(), Interrupted>> + Send) -> Result<(), Interrupted> {
        let number = self.records.fetch_add(1, Ordering::Relaxed) + 1;
        self.reach(Point::Before(number)).await?;
        record.await?;
        let after = Point::After(number);
        if self.faults.has(self.verb, after) {
            self.journal.flush().await?;
        }
        self.reach(after).await
    }

    async fn reach(&self, point: Point) -> Result<(), Interrupted> {
        let reached = self.faults.reach(self.verb, point).await;
        if reached.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        reached
    }
}

#[async_trait]
impl Journal for Sabotaged {
    async fn accepted(&self, picture: &Picture) -> Result<(), Interrupted> {
        self.record(self.journal.accepted(picture)).await
    }
    async fn step(&self, step: &str) -> Result<(), Interrupted> {
        self.record(self.journal.step(step)).await
    }
    fn progress(&self, percent: u8) {
        self.journal.progress(percent);
    }
    async fn picture(&self, picture: &Picture) -> Result<(), Interrupted> {
        self.record(self.journal.picture(picture)).await
    }
    async fn stopped(&self) -> Interrupted {
        self.journal.stopped().await
    }
    async fn flush(&self) -> Result<(), Interrupted> {
        self.journal.flush().await
    }
}

fn injected(verb: Verb) -> BackendError {
    BackendError::new(ErrorKind::Unavailable, format!("the {verb} was made to fail"))
}

impl Layer for Faults {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> crate::Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, crate::Result<T>> + Send + Sync + 'a,
    {
        if self.plan().is_empty() {
            return send(None).await;
        }
        let verb = call.verb;
        self.reach(verb, Point::Start).await.map_err(|_| injected(verb))?;
        let failed = Arc::new(AtomicBool::new(false));
        let sabotaged = call.context.cloned().map(|context| Context {
            journal: Arc::new(Sabotaged {
                journal: context.journal.clone(),
                faults: self.clone(),
                verb,
                records: AtomicU32::new(0),
                failed: failed.clone(),
            }),
            ..context
        });
        let result = send(sabotaged).await;
        if failed.load(Ordering::Relaxed) {
            return Err(injected(verb).ambiguous());
        }
        let end = self.reach(verb, Point::End).await;
        end.map_err(|_| injected(verb).ambiguous())?;
        result
    }
}
