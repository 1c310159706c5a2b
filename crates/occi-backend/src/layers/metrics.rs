//! Counting.

use super::{Call, Layer};
use crate::{Context, Result, Verb};
use futures::future::BoxFuture;
use metrics::{SharedString, Unit, describe_histogram, histogram};
use std::time::Instant;

const SECONDS: &str = "occid_backend_seconds";

/// Measures every verb in the histogram `occid_backend_seconds`, by `backend`, `verb`, `kind` and `outcome`.
///
/// The kind is the term of a declared kind, or `none`. The outcome is `ok`, the failure's [`crate::ErrorKind::as_str`],
/// or `dropped`.
#[derive(Debug)]
pub struct Metrics {
    backend: SharedString,
}

impl Metrics {
    /// Measures as `backend`, its short name in the configuration.
    pub fn new(backend: impl Into<SharedString>) -> Self {
        describe_histogram!(SECONDS, Unit::Seconds, "Time that a backend took for a verb.");
        Self {
            backend: backend.into(),
        }
    }
}

/// Measures when it is dropped, so that a dropped verb is measured too.
struct Measurement {
    backend: SharedString,
    verb: Verb,
    kind: SharedString,
    outcome: &'static str,
    start: Instant,
}

impl Drop for Measurement {
    fn drop(&mut self) {
        let (backend, kind) = (self.backend.clone(), self.kind.clone());
        let (verb, outcome) = (self.verb.as_str(), self.outcome);
        histogram!(SECONDS, "backend" => backend, "verb" => verb, "kind" => kind, "outcome" => outcome)
            .record(self.start.elapsed());
    }
}

impl Layer for Metrics {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'a,
    {
        // A kind that is not declared comes from outside: it must not make a time series.
        let declared = call.kind.filter(|kind| call.capabilities.kind(kind).is_some());
        let mut measurement = Measurement {
            backend: self.backend.clone(),
            verb: call.verb,
            kind: declared.map_or_else(|| "none".into(), |kind| kind.term().to_owned().into()),
            outcome: "dropped",
            start: Instant::now(),
        };
        let result = send(None).await;
        measurement.outcome = match &result {
            Ok(_) => "ok",
            Err(error) => error.kind.as_str(),
        };
        result
    }
}
