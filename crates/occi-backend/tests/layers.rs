//! What each layer does, on a stub that answers as told; time stands still unless somebody waits.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use occi_backend::layers::{
    Breaker, Call, Effect, Fault, Faults, Layer, LayerConfig, Layered, Metrics, Point, Queue, Retry, TimeLimit,
    standard,
};
use occi_backend::names::{COMPUTE, action};
use occi_backend::{
    Acted, Backend, BackendError, Capabilities, Catalogue, Change, Context, Create, Deadline, ErrorKind, Event,
    Interrupted, Invocation, Journal, KindCapability, Listing, Locality, Outcome, Picture, Result, Scope, Target, Verb,
};
use occi_model::{Attributes, TypeId};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// Answers as told, then well.
struct Stub {
    capabilities: Capabilities,
    takes: Duration,
    answers: Mutex<VecDeque<BackendError>>,
    /// Every call with its attempt; 0 for those without.
    calls: Mutex<Vec<(Verb, u32)>>,
    running: AtomicUsize,
    peak: AtomicUsize,
}

impl Stub {
    fn new(takes: Duration, answers: impl IntoIterator<Item = BackendError>) -> Arc<Self> {
        let compute = KindCapability {
            kind: COMPUTE.clone(),
            create: true,
            delete: true,
            update: Vec::new(),
            actions: Vec::new(),
            inline_links: Vec::new(),
            later_links: Vec::new(),
            mixins: Vec::new(),
            owned: Vec::new(),
            console_log: false,
            console: Vec::new(),
        };
        Arc::new(Self {
            capabilities: Capabilities {
                locality: Locality::Host,
                kinds: vec![compute],
                default_network: false,
                shared_networks: false,
                assigns_ids: false,
                removes_templates: false,
                images: false,
                events: false,
                lists_projects: false,
                accept_wait: Duration::ZERO,
                call_timeout: Duration::ZERO,
                concurrency: 2,
            },
            takes,
            answers: Mutex::new(answers.into_iter().collect()),
            calls: Mutex::default(),
            running: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        })
    }

    fn prompt(answers: impl IntoIterator<Item = BackendError>) -> Arc<Self> {
        Self::new(Duration::ZERO, answers)
    }

    async fn answer(&self, verb: Verb, context: Option<&Context>) -> Result<()> {
        self.calls
            .lock()
            .unwrap()
            .push((verb, context.map_or(0, |context| context.attempt)));
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(running, Ordering::SeqCst);
        sleep(self.takes).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        if let Some(context) = context {
            context.step("first").await?;
            context.step("second").await?;
        }
        self.answers.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }

    fn calls(&self) -> Vec<(Verb, u32)> {
        self.calls.lock().unwrap().clone()
    }
}

#[async_trait]
impl Backend for Stub {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    async fn catalogue(&self, _: &Scope) -> Result<Catalogue> {
        self.answer(Verb::Catalogue, None).await.map(|()| Catalogue::default())
    }
    async fn health(&self) -> Result<()> {
        self.answer(Verb::Health, None).await
    }
    async fn admit(&self, _: &Scope, _: &Create) -> Result<()> {
        self.answer(Verb::Admit, None).await
    }
    async fn list(&self, _: &Scope, _: &TypeId) -> Result<Listing> {
        self.answer(Verb::List, None).await?;
        Ok(Listing {
            pictures: Vec::new(),
            complete: true,
        })
    }
    async fn find(&self, _: &Scope, _: &Target) -> Result<Option<Picture>> {
        self.answer(Verb::Find, None).await.map(|()| None)
    }
    async fn create(&self, context: &Context, _: &Create) -> Result<Vec<Picture>> {
        self.answer(Verb::Create, Some(context)).await.map(|()| Vec::new())
    }
    async fn update(&self, context: &Context, _: &Target, _: &Change) -> Result<Vec<Picture>> {
        self.answer(Verb::Update, Some(context)).await.map(|()| Vec::new())
    }
    async fn act(&self, context: &Context, _: &Target, _: &Invocation) -> Result<Acted> {
        self.answer(Verb::Act, Some(context)).await.map(|()| Acted::default())
    }
    async fn delete(&self, context: &Context, _: &Target) -> Result<()> {
        self.answer(Verb::Delete, Some(context)).await
    }
    fn events(&self) -> Option<BoxStream<'static, Event>> {
        None
    }
}

/// Counts the steps that became durable.
#[derive(Default)]
struct Steps(AtomicUsize);

#[async_trait]
impl Journal for Steps {
    async fn accepted(&self, _: &Picture) -> std::result::Result<(), Interrupted> {
        Ok(())
    }
    async fn step(&self, _: &str) -> std::result::Result<(), Interrupted> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn progress(&self, _: u8) {}
    async fn picture(&self, _: &Picture) -> std::result::Result<(), Interrupted> {
        Ok(())
    }
}

fn scope() -> Scope {
    Scope {
        project: "lab".to_owned(),
    }
}

fn until(deadline: Duration) -> Context {
    Context {
        scope: scope(),
        operation: uuid::Uuid::nil(),
        attempt: 1,
        deadline: Deadline::new(deadline),
        journal: Arc::new(Steps::default()),
    }
}

fn context() -> Context {
    until(Duration::from_secs(600))
}

fn compute() -> Create {
    Create {
        mark: uuid::Uuid::nil().into(),
        kind: COMPUTE.clone(),
        os_template: None,
        resource_template: None,
        mixins: Vec::new(),
        attributes: Attributes::new(),
        links: Vec::new(),
        ends: None,
        bring_up: true,
    }
}

fn target() -> Target {
    Target {
        kind: COMPUTE.clone(),
        mark: uuid::Uuid::nil().into(),
        native_id: None,
        project: None,
    }
}

fn stop() -> Invocation {
    Invocation {
        action: action("compute", "stop"),
        parameters: Attributes::new(),
    }
}

fn failure(kind: ErrorKind) -> BackendError {
    BackendError::new(kind, "told to fail")
}

fn layered(stub: &Arc<Stub>, layer: impl Layer) -> Layered<impl Layer> {
    Layered::new(stub.clone(), layer)
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_cannot_be_reached_is_tried_again_with_a_higher_attempt() {
    let stub = Stub::prompt([failure(ErrorKind::Unavailable), failure(ErrorKind::RateLimited)]);
    let backend = layered(&stub, Retry::default());
    backend.create(&context(), &compute()).await.unwrap();
    let attempts = [(Verb::Create, 1), (Verb::Create, 2), (Verb::Create, 3)];
    assert_eq!(stub.calls(), attempts);

    let stub = Stub::prompt([ErrorKind::Unavailable; 9].map(failure));
    let error = layered(&stub, Retry::default()).health().await.unwrap_err();
    assert_eq!(
        (error.kind, stub.calls().len()),
        (ErrorKind::Unavailable, 3),
        "three tries and no more"
    );
}

#[tokio::test(start_paused = true)]
async fn only_what_cannot_be_done_twice_is_tried_again() {
    let tries = async |error: BackendError| {
        let stub = Stub::prompt([error]);
        let _outcome = layered(&stub, Retry::default())
            .act(&context(), &target(), &stop())
            .await;
        stub.calls().len()
    };
    assert_eq!(tries(failure(ErrorKind::Unavailable)).await, 2);
    assert_eq!(
        tries(failure(ErrorKind::Unavailable).ambiguous()).await,
        1,
        "it may have happened"
    );
    assert_eq!(tries(failure(ErrorKind::Timeout)).await, 1, "a guest ignored it");
    assert_eq!(tries(failure(ErrorKind::Conflict)).await, 1);

    let stub = Stub::prompt([failure(ErrorKind::Timeout)]);
    layered(&stub, Retry::default())
        .find(&scope(), &target())
        .await
        .unwrap();
    assert_eq!(stub.calls().len(), 2, "a read may be repeated");
}

#[tokio::test(start_paused = true)]
async fn the_time_that_the_engine_names_and_the_deadline_are_respected() {
    let named = |seconds| {
        let mut error = failure(ErrorKind::RateLimited);
        error.retry_after = Some(Duration::from_secs(seconds));
        error
    };
    let stub = Stub::prompt([named(3)]);
    let start = tokio::time::Instant::now();
    layered(&stub, Retry::default()).health().await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(3));

    let stub = Stub::prompt([named(60)]);
    layered(&stub, Retry::default()).health().await.unwrap_err();
    assert_eq!(stub.calls().len(), 1, "longer than it is worth waiting here");

    let stub = Stub::prompt([named(3)]);
    let soon = until(Duration::from_secs(2));
    layered(&stub, Retry::default())
        .create(&soon, &compute())
        .await
        .unwrap_err();
    assert_eq!(stub.calls().len(), 1, "past the deadline");
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_ends_and_what_a_write_did_is_unknown() {
    let stub = Stub::new(Duration::from_secs(1000), []);
    let backend = layered(&stub, TimeLimit::default());
    let error = backend.health().await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Timeout, Outcome::Nothing));
    let error = backend.create(&context(), &compute()).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Timeout, Outcome::Unknown));
}

/// An engine at work: tells an hour long that it comes further, waits an hour for others, then stands still for so long.
struct Works {
    stands_still: Duration,
}

impl Layer for Works {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'a,
    {
        let context = call.context.unwrap();
        for percent in 1..=60 {
            sleep(Duration::from_secs(60)).await;
            context.progress(percent);
        }
        context.wait(sleep(Duration::from_secs(3600))).await?;
        sleep(self.stands_still).await;
        send(None).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_further_takes_its_time_and_what_stands_still_ends() {
    let create = async |stands_still| {
        let stub = Stub::prompt([]);
        let works = Arc::new(layered(&stub, Works { stands_still }));
        Layered::new(works, TimeLimit::default())
            .create(&context(), &compute())
            .await
    };
    create(Duration::from_secs(599)).await.unwrap();
    let error = create(Duration::from_secs(601)).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Timeout, Outcome::Unknown));
}

#[tokio::test(start_paused = true)]
async fn boots_queue_and_what_frees_room_passes() {
    let stub = Stub::new(Duration::from_secs(10), []);
    let backend = layered(&stub, Queue::new(2));
    let boot = async || backend.create(&context(), &compute()).await.unwrap();
    let start = tokio::time::Instant::now();
    tokio::join!(boot(), boot(), boot(), boot(), boot());
    assert_eq!(stub.peak.load(Ordering::SeqCst), 2);
    assert_eq!(start.elapsed().as_secs(), 30, "five boots, two at a time");

    let start = tokio::time::Instant::now();
    let free = async || {
        backend.act(&context(), &target(), &stop()).await.unwrap();
        backend.delete(&context(), &target()).await.unwrap();
        backend.health().await.unwrap();
        start.elapsed().as_secs()
    };
    let (.., freed) = tokio::join!(boot(), boot(), boot(), free());
    assert_eq!(freed, 30, "three verbs one after the other, without a place");

    let soon = until(Duration::from_secs(5));
    let waiting = async || backend.create(&soon, &compute()).await;
    let (.., late) = tokio::join!(boot(), boot(), waiting());
    let late = late.unwrap_err();
    assert_eq!((late.kind, late.outcome), (ErrorKind::Timeout, Outcome::Nothing));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_known_to_be_down_is_not_asked_until_a_probe_succeeds() {
    let down = || failure(ErrorKind::Unavailable);
    let stub = Stub::new(Duration::from_millis(1), [down(), down(), down(), down()]);
    let backend = layered(&stub, Breaker::new(3, Duration::from_secs(5)));
    for _ in 0..3 {
        backend.health().await.unwrap_err();
    }
    let refused = backend.admit(&scope(), &compute()).await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.outcome),
        (ErrorKind::Unavailable, Outcome::Nothing)
    );
    assert_eq!(refused.retry_after, Some(Duration::from_secs(5)));
    assert_eq!(stub.calls().len(), 3, "admission did not ask");

    sleep(Duration::from_secs(6)).await;
    let (probe, other) = tokio::join!(backend.health(), backend.health());
    assert!(probe.is_err() && other.is_err());
    assert_eq!(stub.calls().len(), 4, "one probe");
    sleep(Duration::from_secs(6)).await;
    backend.health().await.unwrap();
    backend.health().await.unwrap();
    assert_eq!(stub.calls().len(), 6, "the way is open again");
}

#[tokio::test(start_paused = true)]
async fn refusals_and_ignored_stops_do_not_mean_that_the_engine_is_down() {
    let answers = [
        ErrorKind::Unavailable,
        ErrorKind::Conflict,
        ErrorKind::Unavailable,
        ErrorKind::Timeout,
        ErrorKind::Timeout,
    ];
    let stub = Stub::prompt(answers.map(failure));
    let backend = layered(&stub, Breaker::new(2, Duration::from_secs(5)));
    for _ in answers {
        backend.act(&context(), &target(), &stop()).await.unwrap_err();
    }
    backend.act(&context(), &target(), &stop()).await.unwrap();
}

#[test]
fn every_verb_is_measured_by_backend_kind_and_outcome() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let rendered = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let stub = Stub::new(Duration::from_secs(1), [failure(ErrorKind::InUse)]);
            let backend = layered(&stub, Metrics::new("lab"));
            backend.delete(&context(), &target()).await.unwrap_err();
            backend.delete(&context(), &target()).await.unwrap();
            let dropped = tokio::time::timeout(Duration::from_millis(1), backend.health()).await;
            assert!(dropped.is_err());
            let teapot: TypeId = "http://example.org#teapot".parse().unwrap();
            backend.list(&scope(), &teapot).await.unwrap();
        });
    });
    let text = rendered.render();
    for labels in [
        r#"backend="lab",verb="delete",kind="compute",outcome="in_use""#,
        r#"backend="lab",verb="delete",kind="compute",outcome="ok""#,
        r#"backend="lab",verb="health",kind="none",outcome="dropped""#,
        r#"backend="lab",verb="list",kind="none",outcome="ok""#,
    ] {
        let line = format!("occid_backend_seconds_count{{{labels}}} 1");
        assert!(text.contains(&line), "{line} is missing in\n{text}");
    }
}

#[test]
fn faults_are_written_as_verb_point_and_effect() {
    let fault = |text: &str| text.parse::<Fault>();
    let parsed = fault("create:2:kill").unwrap();
    assert_eq!(
        (parsed.verb, parsed.point, parsed.effect),
        (Verb::Create, Point::After(2), Effect::Kill)
    );
    assert_eq!(fault("delete:-1:error").unwrap().point, Point::Before(1));
    assert_eq!(fault("act:start:hang").unwrap().point, Point::Start);
    assert_eq!(fault("list:end:error").unwrap().point, Point::End);
    for wrong in [
        "create",
        "create:2",
        "brew:2:kill",
        "create:0:kill",
        "create:x:kill",
        "create:2:melt",
        "create:2:kill:3",
    ] {
        assert!(fault(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_happens_once_at_its_point() {
    let stub = Stub::prompt([]);
    let faults = Faults::default();
    let backend = Layered::new(stub.clone(), faults.clone());
    // What became durable, and what may have happened, for each point.
    for (point, durable, outcome) in [
        ("start", 0, Outcome::Nothing),
        ("-1", 0, Outcome::Unknown),
        ("1", 1, Outcome::Unknown),
        ("2", 2, Outcome::Unknown),
        ("end", 2, Outcome::Unknown),
    ] {
        faults.add(format!("create:{point}:error").parse().unwrap());
        let steps = Arc::new(Steps::default());
        let context = Context {
            journal: steps.clone(),
            ..context()
        };
        backend.delete(&context, &target()).await.unwrap();
        steps.0.store(0, Ordering::SeqCst);
        let error = backend.create(&context, &compute()).await.unwrap_err();
        assert_eq!(
            (error.kind, error.outcome),
            (ErrorKind::Unavailable, outcome),
            "{point}"
        );
        assert_eq!(steps.0.load(Ordering::SeqCst), durable, "{point}");
        backend.create(&context, &compute()).await.unwrap();
    }
    faults.add("create:3:error".parse().unwrap());
    backend.create(&context(), &compute()).await.unwrap();
    assert_eq!(faults.clear(), 1, "a point that is never reached");
}

#[tokio::test(start_paused = true)]
async fn a_standing_verb_ends_at_its_deadline_through_all_layers() {
    let stub = Stub::prompt([]);
    let faults = Faults::default();
    let config = LayerConfig {
        faults: faults.clone(),
        ..LayerConfig::default()
    };
    let backend = standard("lab", stub.clone(), config);
    faults.add("create:1:hang".parse().unwrap());
    let error = backend.create(&context(), &compute()).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Timeout, Outcome::Unknown));
    faults.add("create:start:error".parse().unwrap());
    backend.create(&context(), &compute()).await.unwrap();
    assert_eq!(stub.calls().len(), 2, "what was refused at the start was tried again");
}

#[test]
fn a_kill_ends_the_process() {
    let own = std::env::current_exe().unwrap();
    let run = |fault: &str| {
        let arguments = ["--exact", "--ignored", "the_process_that_is_killed"];
        let mut process = std::process::Command::new(&own);
        process
            .args(arguments)
            .env(Faults::VARIABLE, fault)
            .output()
            .unwrap()
            .status
    };
    assert!(run("").success());
    assert_eq!(run("create:1:kill").code(), None, "ended by a signal");
}

#[tokio::test]
#[ignore = "run by a_kill_ends_the_process, in a process of its own"]
async fn the_process_that_is_killed() {
    let backend = Layered::new(Stub::prompt([]), Faults::from_env().unwrap());
    backend.create(&context(), &compute()).await.unwrap();
}
