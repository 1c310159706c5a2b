//! When an operation is given up: not as long as it comes further.

use crate::fixture::*;
use futures::future::BoxFuture;
use occi_backend::layers::{Call, Layer, Layered, TimeLimit};
use occi_backend::{Backend, Context, Verb};
use occi_backend_memory::Config;
use occi_engine::{EngineConfig, FailureKind};
use occi_store::OperationState;
use std::sync::Arc;
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
    let shown = Duration::from_millis((moved.deadline_ms - moved.created_ms).try_into().unwrap());
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
