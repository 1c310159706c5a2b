//! Opening backends, running cases on them, and telling how it went.

use super::cases::Case;
use super::config::{Subject, SuiteConfig};
use super::lab::{End, Lab, Seen, lock};
use crate::Backend;
use futures::StreamExt;
use libtest_mimic::{Arguments, Completion, Trial};
use occi_model::Registry;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;

/// A case that a backend does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The case's name.
    pub case: String,
    /// What is broken.
    pub why: String,
}

/// Runs the suite on `subjects` with the command line's arguments (a filter, `--list`, `--test-threads`, ...), and
/// prints how each case went.
pub fn run(subjects: Vec<Subject>) -> ExitCode {
    match print(subjects) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn print(subjects: Vec<Subject>) -> Result<ExitCode, String> {
    let mut arguments = Arguments::from_args();
    // Cases wait more than they work, except for boots.
    let slow = subjects.iter().any(|subject| subject.config.slow);
    arguments.test_threads.get_or_insert(if slow { 2 } else { 8 });
    let runtime = runtime()?;
    let mut trials = Vec::new();
    let mut benches = Vec::new();
    for subject in subjects {
        let bench = Bench::open(&runtime, subject)?;
        for case in Case::all(bench.name) {
            let (lab, handle) = (bench.lab(), runtime.handle().clone());
            let name = case.name.clone();
            trials.push(Trial::ignorable_test(name, move || {
                match handle.block_on(case.run(&lab)) {
                    Ok(()) => Ok(Completion::Completed),
                    Err(End::Skip(why)) => Ok(Completion::ignored_with(why)),
                    Err(End::Fail(why)) => Err(why.into()),
                }
            }));
        }
        benches.push(bench);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for bench in benches {
        runtime.block_on(bench.backend.shutdown());
    }
    Ok(conclusion.exit_code())
}

/// Runs the suite on one backend, case after case, and tells what fails. Prints nothing.
///
/// # Errors
/// The backend does not open.
pub fn failures(subject: Subject) -> Result<Vec<Failure>, String> {
    let runtime = runtime()?;
    let bench = Bench::open(&runtime, subject)?;
    let mut failures = Vec::new();
    for case in Case::all(bench.name) {
        let name = case.name.clone();
        if let Err(End::Fail(why)) = runtime.block_on(case.run(&bench.lab())) {
            failures.push(Failure { case: name, why });
        }
    }
    runtime.block_on(bench.backend.shutdown());
    Ok(failures)
}

fn runtime() -> Result<Runtime, String> {
    Runtime::new().map_err(|error| format!("the runtime does not start: {error}"))
}

/// An open backend and what its cases need.
struct Bench {
    name: &'static str,
    config: SuiteConfig,
    backend: Arc<dyn Backend>,
    registry: Arc<Registry>,
    seen: Seen,
}

impl Bench {
    fn open(runtime: &Runtime, subject: Subject) -> Result<Self, String> {
        let Subject { name, config, open } = subject;
        let opened = runtime.block_on(open());
        let backend = opened.map_err(|error| format!("the backend {name} does not open: {error}"))?;
        let seen = Seen::default();
        let _inside = runtime.enter();
        if let Some(mut events) = backend.events() {
            let into = seen.clone();
            runtime.spawn(async move {
                while let Some(event) = events.next().await {
                    lock(&into).push((Instant::now(), event));
                }
            });
        }
        Ok(Self {
            name,
            config,
            backend,
            registry: Arc::new(Registry::standard()),
            seen,
        })
    }

    fn lab(&self) -> Lab {
        Lab::new(
            self.name,
            self.backend.clone(),
            self.config.clone(),
            self.registry.clone(),
            self.seen.clone(),
        )
    }
}
