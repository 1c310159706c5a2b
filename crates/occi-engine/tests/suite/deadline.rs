//! When an operation is given up: not as long as it comes further.

use crate::fixture::*;
use futures::future::BoxFuture;
use occi_backend::layers::{Call, Layer, Layered, TimeLimit};
use occi_backend::{Backend, Context, Verb};
use occi_backend_memory::Config;
use occi_engine::{EngineConfig, FailureKind};
use occi_store::OperationState;
use std::sync::Arc;
use std::time::Duration;

const DEADLINE_MS: i64 = 1000;
const DEADLINE: Duration = Duration::from_secs(1);

/// An engine of which each action takes so many thirds of a deadline, and may say that it comes further after each.
#[derive(Clone, Copy)]
struct Works {
    thirds: u8,
    tells: bool,
}

impl Layer for Works {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> occi_backend::Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, occi_backend::Result<T>> + Send + Sync + 'a,
    {
        if let (Verb::Act, Some(context)) = (call.verb, call.context) {
            for third in 0..self.thirds {
                tokio::time::sleep(DEADLINE / 3).await;
                if self.tells {
                    context.progress(third);
                    context.step(&format!("third {third}")).await?;
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
    for (tells, outcome) in [(true, None), (false, Some(FailureKind::Timeout))] {
        let ground = Ground::new(Config::local());
        let on = Works { thirds: 9, tells }.rise(&ground).await;
        let path = on.compute().await.location.clone();
        let stopped = on.act(&path, "stop").await;
        assert_eq!(stopped.err().map(|error| error.kind), outcome);
        let row = on.last_operation().await.row;
        assert_eq!(row.deadline_ms > row.created_ms + 2 * DEADLINE_MS, tells, "{row:?}");
        on.engine.shutdown().await;
    }
}

#[tokio::test]
async fn the_time_in_which_nobody_was_at_work_does_not_count() {
    let ground = Ground::new(Config::local());
    let on = Works { thirds: 9, tells: true }.rise(&ground).await;
    let path = on.compute().await.location.clone();
    on.engine.act(&soon(), &path, call("stop"), &NONE).await.unwrap();
    // It has come further than it would without its progress, when the server ends.
    tokio::time::sleep(2 * DEADLINE).await;
    on.engine.shutdown().await;
    drop(on);
    tokio::time::sleep(2 * DEADLINE).await;
    let on = Works {
        thirds: 2,
        tells: false,
    }
    .rise(&ground)
    .await;
    on.settled().await;
    let row = on.last_operation().await.row;
    assert_eq!(row.state, OperationState::Succeeded, "{:?}", row.error);
    on.engine.shutdown().await;
}
