//! The way to the engine: it takes time, loses requests and answers, and wants a fresh token.

use crate::config::{Config, Personality};
use crate::engine::Engine;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use occi_backend::{BackendError, ErrorKind, Event, Outcome, Result, Verb};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

/// The engine, the way to it, and what was arranged to go wrong.
pub(crate) struct Client {
    pub(crate) config: Config,
    engine: Mutex<Engine>,
    way: Mutex<Way>,
    /// Something may happen by itself earlier than thought.
    scheduled: Notify,
    /// The time since the epoch when `started` was.
    epoch_ms: u64,
    started: Instant,
}

/// What the way to the engine does next.
struct Way {
    dice: Dice,
    token_until: Option<Instant>,
    is_down: bool,
    refuses_credentials: bool,
    /// What fails next, and after how many calls that do not.
    failures: Vec<(Verb, usize, ErrorKind, Outcome)>,
}

/// What happens to one call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    RequestLost,
    AnswerLost,
}

impl Client {
    pub(crate) fn open(config: Config) -> std::io::Result<Self> {
        let engine = Engine::open(&config)?;
        let way = Way {
            dice: Dice(config.seed),
            token_until: None,
            is_down: false,
            refuses_credentials: false,
            failures: Vec::new(),
        };
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            config,
            engine: Mutex::new(engine),
            way: Mutex::new(way),
            scheduled: Notify::new(),
            epoch_ms: millis(epoch),
            started: Instant::now(),
        })
    }

    pub(crate) fn is_local(&self) -> bool {
        self.config.personality == Personality::Local
    }

    /// A native call that changes nothing.
    pub(crate) async fn read<T>(&self, look: impl FnOnce(&Engine) -> T) -> Result<T> {
        self.reach().await?;
        self.engine(|engine| engine.check().map(|()| look(engine)))
    }

    /// A native call that changes something, and may get lost.
    pub(crate) async fn write<T>(&self, verb: Verb, change: impl FnOnce(&mut Engine) -> Result<T>) -> Result<T> {
        self.reach().await?;
        let lost = || {
            BackendError::new(
                ErrorKind::Timeout,
                format!("the engine did not answer a {verb} in time"),
            )
        };
        match self.way().fate(&self.config, verb)? {
            Fate::Arrives => self.engine(|engine| engine.check().and_then(|()| change(engine))),
            Fate::RequestLost => Err(lost().ambiguous().with_context("request lost")),
            Fate::AnswerLost => {
                self.engine(|engine| {
                    engine.check()?;
                    engine.late_ms = self.config.late_ms;
                    let result = change(engine);
                    engine.late_ms = 0;
                    result
                })?;
                Err(lost().ambiguous().with_context("answer lost"))
            }
        }
    }

    /// The time that a call takes, and what stands in its way.
    async fn reach(&self) -> Result<()> {
        self.pass().await?;
        let token_life = Duration::from_millis(self.config.token_life_ms);
        if token_life.is_zero() && !self.way().refuses_credentials {
            return Ok(());
        }
        // An expired token costs a call more: fetch another.
        if self.way().token_until.is_none_or(|until| until < Instant::now()) {
            self.pass().await?;
            let mut way = self.way();
            if way.refuses_credentials {
                return Err(BackendError::new(
                    ErrorKind::Unauthenticated,
                    "the engine refused the credentials",
                ));
            }
            way.token_until = Some(Instant::now() + token_life);
        }
        Ok(())
    }

    async fn pass(&self) -> Result<()> {
        if self.config.latency_ms > 0 {
            sleep(Duration::from_millis(self.config.latency_ms)).await;
        }
        if self.way().is_down {
            return Err(BackendError::new(
                ErrorKind::Unavailable,
                "the engine cannot be reached",
            ));
        }
        Ok(())
    }

    /// What is done to the engine itself: takes no time and does not fail.
    pub(crate) fn engine<T>(&self, f: impl FnOnce(&mut Engine) -> T) -> T {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.now = self.epoch_ms.saturating_add(millis(self.started.elapsed()));
        engine.settle();
        let due = engine.next_due();
        let result = f(&mut engine);
        if engine.next_due() != due {
            self.scheduled.notify_one();
        }
        result
    }

    /// What happens in the engine from now on, told when it happens and not when somebody looks.
    pub(crate) fn events(self: Arc<Self>) -> BoxStream<'static, Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.engine(|engine| engine.events = Some(sender));
        stream::unfold((receiver, self), async |(mut receiver, client)| {
            loop {
                let wait = client.engine(|engine| engine.next_due().map(|due| due.saturating_sub(engine.now)));
                let next_due = sleep(wait.map_or(Duration::from_secs(3600), Duration::from_millis));
                tokio::select! {
                    biased;
                    event = receiver.recv() => return event.map(|event| (event, (receiver, client))),
                    () = client.scheduled.notified() => {}
                    () = next_due => {}
                }
            }
        })
        .boxed()
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.way().is_down = is_down;
    }

    pub(crate) fn set_refuses_credentials(&self, refuses: bool) {
        let mut way = self.way();
        way.refuses_credentials = refuses;
        way.token_until = None;
    }

    pub(crate) fn fail_after(&self, calls: usize, verb: Verb, kind: ErrorKind, outcome: Outcome) {
        self.way().failures.push((verb, calls, kind, outcome));
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way {
    fn fate(&mut self, config: &Config, verb: Verb) -> Result<Fate> {
        if let Some(at) = self.failures.iter().position(|(failing, ..)| *failing == verb) {
            if let Some((_, calls, ..)) = self.failures.get_mut(at).filter(|(_, calls, ..)| *calls > 0) {
                *calls -= 1;
                return Ok(Fate::Arrives);
            }
            let (_, _, kind, outcome) = self.failures.remove(at);
            let mut error = BackendError::new(kind, format!("the engine was told to fail a {verb}"));
            error.outcome = outcome;
            return Err(error);
        }
        let roll = self.dice.roll();
        Ok(if roll < config.lost_request_rate {
            Fate::RequestLost
        } else if roll < config.lost_request_rate + config.lost_answer_rate {
            Fate::AnswerLost
        } else {
            Fate::Arrives
        })
    }
}

/// The same numbers for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    /// A number from 0 to 1, 1 excluded.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        f64::from(u32::try_from(mixed >> 32).unwrap_or(0)) / 4_294_967_296.0
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
