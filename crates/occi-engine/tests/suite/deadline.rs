//! When an operation is given up: not as long as it comes further.

use crate::fixture::*;
use futures::future::BoxFuture;
use occi_backend::layers::{Call, Layer, Layered, TimeLimit};
use occi_backend::{Backend, BackendError, Context, ErrorKind, Outcome, Verb};
use occi_backend_memory::Config;
use occi_engine::{EngineConfig, FailureKind, Source, Where};
use occi_store::{OperationState, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Much longer than what a busy machine adds to a pause of [`PAUSE`].
const DEADLINE: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(200);

/// An engine of which each action lasts so long, and may say that it comes further after each pause.
#[derive(Clone, Copy)]
struct Works {
    lasts: Duration,
    tells: bool,
}

impl Layer for Works {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> occi_backend::Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, occi_backend::Result<T>> + Send + Sync + 'a,
    {
        if let (Verb::Act, Some(context)) = (call.verb, call.context) {
            let began = Instant::now();
            for pause in 1..=u8::MAX {
                if began.elapsed() >= self.lasts {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
                if self.tells {
                    context.progress(pause);
                    context.step(&format!("pause {pause}")).await?;
                }
            }
        }
        send(None).await
    }
}

impl Works {
    async fn rise(self, ground: &Ground) -> Fixture {
        let config = EngineConfig {
            operation_deadline: DEADLINE,
            ..EngineConfig::default()
        };
        let layers = |memory| -> Arc<dyn Backend> {
            Arc::new(Layered::new(Arc::new(Layered::new(memory, self)), TimeLimit::default()))
        };
        ground.rise_with(config, layers).await
    }
}

#[tokio::test]
async fn what_comes_further_takes_its_time_and_what_stands_still_is_given_up() {
    let lasts = 2 * DEADLINE;
    let stopped = async |tells| {
        let ground = Ground::new(Config::local());
        let on = Works { lasts, tells }.rise(&ground).await;
        let path = on.compute().await.location.clone();
        let stopped = on.act(&path, "stop").await;
        let row = on.last_operation().await.row;
        on.engine.shutdown().await;
        (stopped.err().map(|error| error.kind), row)
    };
    let ((done, moved), (given_up, _)) = tokio::join!(stopped(true), stopped(false));
    assert_eq!((done, given_up), (None, Some(FailureKind::Timeout)));
    let shown = Duration::from_millis((moved.deadline_ms.unwrap() - moved.created_ms).try_into().unwrap());
    assert!(shown > lasts, "{moved:?}");
}

#[tokio::test]
async fn the_time_in_which_nobody_was_at_work_does_not_count() {
    let ground = Ground::new(Config::local());
    let lasts = 2 * DEADLINE;
    let on = Works { lasts, tells: true }.rise(&ground).await;
    let path = on.compute().await.location.clone();
    on.engine.act(&soon(), &path, call("stop"), &NONE).await.unwrap();
    on.engine.shutdown().await;
    drop(on);
    tokio::time::sleep(2 * DEADLINE).await;
    let on = Works {
        lasts: PAUSE,
        tells: false,
    }
    .rise(&ground)
    .await;
    on.settled().await;
    let row = on.last_operation().await.row;
    assert_eq!(row.state, OperationState::Succeeded, "{:?}", row.error);
    assert!(row.attempt > 1, "{row:?}");
    on.engine.shutdown().await;
}

/// An engine that has begun to make something does so until it is told to stop.
struct Endless;

impl Layer for Endless {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> occi_backend::Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, occi_backend::Result<T>> + Send + Sync + 'a,
    {
        match (call.verb, call.context) {
            (Verb::Create, Some(context)) => Err(context.stopped().await.into()),
            _ => send(None).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_taken_up_is_not_late() {
    const HOUR_MS: i64 = 3_600_000;
    let late = Arc::new(AtomicI64::new(0));
    let (clock, now) = (Source::default().now_ms, late.clone());
    let config = EngineConfig {
        source: Source {
            now_ms: Arc::new(move || clock() + now.load(Ordering::Relaxed)),
            ..Source::default()
        },
        ..EngineConfig::default()
    };
    let ground = Ground::new(Config::remote());
    let layers = |memory| -> Arc<dyn Backend> { Arc::new(Layered::new(memory, Endless)) };
    let on = ground.rise_with(config, layers).await;
    // One more than this engine works on at a time.
    let root = Where::Unbound("/".into());
    let drafts = vec![storage(); 17];
    let made = on.engine.create(&soon(), &root, drafts).await.unwrap();
    let seen = async || on.engine.operation(&caller(), made.operation.unwrap()).await.unwrap();
    let names = async |id: uuid::Uuid| {
        let found = on.engine.check().await.unwrap();
        found.iter().any(|finding| finding.contains(&id.to_string()))
    };
    let parts = seen().await.parts;
    let (waiting, working): (Vec<_>, Vec<_>) = parts.iter().partition(|part| part.attempt == 0);
    let ([waiting], [first, ..]) = (&waiting[..], &working[..]) else {
        panic!("{parts:?}")
    };
    late.store(HOUR_MS, Ordering::Relaxed);
    assert_eq!((waiting.deadline_ms, seen().await.row.deadline_ms), (None, None));
    assert_eq!(
        (names(waiting.id).await, names(waiting.parent.unwrap()).await),
        (false, false)
    );

    on.engine.cancel(&caller(), first.id).await.unwrap();
    let taken_up = loop {
        let now = on.store.operation(waiting.id).await.unwrap().unwrap();
        if now.attempt > 0 {
            break now;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(taken_up.deadline_ms.unwrap() > taken_up.created_ms + HOUR_MS);
    assert_eq!(
        seen().await.row.deadline_ms,
        taken_up.deadline_ms,
        "the last of its parts"
    );
    assert_eq!(
        (names(waiting.id).await, names(waiting.parent.unwrap()).await),
        (false, false)
    );
}

/// An engine whose actions do not come back, or are in doubt; of one that hangs nobody learns how anything looks.
#[derive(Clone, Default)]
struct Ails {
    fails: bool,
    hangs: Arc<AtomicBool>,
    tried: Arc<AtomicU32>,
}

impl Layer for Ails {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> occi_backend::Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, occi_backend::Result<T>> + Send + Sync + 'a,
    {
        if call.verb == Verb::Act {
            self.tried.fetch_add(1, Ordering::Relaxed);
            if let (true, Some(context)) = (self.fails, call.context) {
                // A sign of life, and nothing further.
                context.journal.step("tries").await?;
                tokio::time::sleep(2 * PAUSE).await;
                return Err(BackendError::new(ErrorKind::Timeout, "no answer").ambiguous());
            }
        }
        while matches!(call.verb, Verb::Act | Verb::Find) && self.hangs.load(Ordering::Relaxed) {
            if let Some(context) = call.context {
                // It does not hear that it should stop.
                let _stop = context.journal.step("hangs").await;
            }
            tokio::time::sleep(PAUSE / 10).await;
        }
        send(None).await
    }
}

impl Ails {
    async fn rise(&self, ground: &Ground) -> Fixture {
        let config = EngineConfig {
            operation_deadline: DEADLINE,
            ..EngineConfig::default()
        };
        ground
            .rise_with(config, |memory| Arc::new(Layered::new(memory, self.clone())))
            .await
    }

    async fn was_tried(&self) {
        while self.tried.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(PAUSE / 10).await;
        }
    }
}

#[tokio::test]
async fn what_fails_again_and_again_is_counted_and_moves_no_deadline() {
    let ground = Ground::new(Config {
        call_timeout_ms: 100,
        ..Config::local()
    });
    let ails = Ails {
        fails: true,
        ..Ails::default()
    };
    let on = ails.rise(&ground).await;
    let path = on.compute().await.location.clone();
    on.engine.act(&soon(), &path, call("stop"), &NONE).await.unwrap();
    let (mut first, mut last) = (i64::MAX, 0);
    let row = loop {
        let row = on.last_operation().await.row;
        if let Some(at) = row.deadline_ms {
            (first, last) = (first.min(at), last.max(at));
        }
        if row.finished_ms.is_some() {
            break row;
        }
        tokio::time::sleep(PAUSE / 10).await;
    };
    let moved = Duration::from_millis((last - first).try_into().unwrap());
    assert!(moved < DEADLINE / 2, "{moved:?}");
    assert!(row.attempt > 2, "{row:?}");
    assert_eq!(row.attempt, ails.tried.load(Ordering::Relaxed));
    on.engine.shutdown().await;
}

#[tokio::test]
async fn an_engine_that_hangs_keeps_no_operation_from_its_end() {
    let ends = async |fails, is_cancelled| {
        let ground = Ground::new(Config::local());
        let ails = Ails {
            fails,
            ..Ails::default()
        };
        let on = ails.rise(&ground).await;
        let path = on.compute().await.location.clone();
        ails.hangs.store(true, Ordering::Relaxed);
        let asked = on.engine.act(&soon(), &path, call("stop"), &NONE).await.unwrap();
        if is_cancelled {
            ails.was_tried().await;
            on.engine.cancel(&caller(), asked.operation.unwrap()).await.unwrap();
        }
        on.settled().await;
        let row = on.last_operation().await.row;
        let shown = state(&on.seen(&path).await);
        ails.hangs.store(false, Ordering::Relaxed);
        on.engine.shutdown().await;
        assert_eq!(row.state, OperationState::Failed, "{row:?}");
        let given = Duration::from_millis((row.deadline_ms.unwrap() - row.created_ms).try_into().unwrap());
        assert!(
            given < DEADLINE + DEADLINE / 2,
            "a deadline that has passed moves on: {given:?}"
        );
        let message = row.error.as_ref().unwrap()["message"].to_string();
        assert!(!fails || is_cancelled || message.contains("no answer"), "{message}");
        (row.error.unwrap()["kind"].as_str().map(str::to_owned), shown)
    };
    let all = tokio::join!(
        ends(false, true),
        ends(false, false),
        ends(true, true),
        ends(true, false)
    );
    let [cancelled, late] =
        [("conflict", "active"), ("timeout", "error")].map(|(kind, state)| (Some(kind.to_owned()), state.to_owned()));
    assert_eq!(all, (cancelled.clone(), late.clone(), cancelled, late));
}

#[tokio::test]
async fn what_fails_for_the_moment_is_tried_until_shortly_before_the_time_that_is_shown() {
    let config = EngineConfig {
        operation_deadline: Duration::from_secs(1),
        ..EngineConfig::default()
    };
    let on = Fixture::new(Config::local(), config).await;
    let path = on.compute().await.location.clone();
    for _ in 0..100 {
        on.control
            .fail_next(Verb::Act, ErrorKind::RateLimited, Outcome::Nothing);
    }
    on.act(&path, "stop").await.unwrap_err();
    let row = on.last_operation().await.row;
    let early = row.deadline_ms.unwrap() - row.finished_ms.unwrap();
    assert!(early < 250, "{row:?}");
}
