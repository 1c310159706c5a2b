//! The suite notices: an engine that breaks one sentence of the contract fails the case about it.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use occi_backend::names::{NETWORKINTERFACE, STORAGE};
use occi_backend::suite::{Silent, Subject, SuiteConfig, failures};
use occi_backend::{
    Acted, Backend, BackendError, Capabilities, Catalogue, Change, Context, Create, Deadline, ErrorKind, Event,
    Invocation, Listing, Picture, Result, Scope, Target,
};
use occi_backend_memory::{Config, Memory, Personality};
use occi_model::TypeId;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// One sentence of the contract, broken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Breach {
    DoesNotLookForItsMark,
    FailsToDeleteWhatIsMissing,
    LeavesTheLinksOfAHalfMadeCompute,
    AdmissionMakesIt,
    ListsNothingButComputes,
    ListsWithoutMarks,
    ActsLater,
    ActsInAnyState,
    SaysThatAnIgnoredStopWorked,
    RecordsNoSteps,
    IgnoresChanges,
    DeletesWhatIsInUse,
    TellsNothing,
    GivesUpWhatWasStopped,
}

struct Broken {
    inner: Memory,
    breach: Breach,
    /// Operations that have begun and not ended.
    begun: Mutex<HashSet<Uuid>>,
}

impl Broken {
    fn has(&self, breach: Breach) -> bool {
        self.breach == breach
    }

    /// What a call of an operation does, unless one before it was stopped.
    async fn once<T>(&self, context: &Context, verb: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.begun.lock().unwrap().insert(context.operation) && self.has(Breach::GivesUpWhatWasStopped) {
            return Err(BackendError::new(ErrorKind::Conflict, "it was stopped"));
        }
        let outcome = verb.await;
        if outcome.is_ok() {
            self.begun.lock().unwrap().remove(&context.operation);
        }
        outcome
    }
}

#[async_trait]
impl Backend for Broken {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    async fn catalogue(&self, scope: &Scope) -> Result<Catalogue> {
        self.inner.catalogue(scope).await
    }
    async fn health(&self) -> Result<()> {
        self.inner.health().await
    }
    async fn admit(&self, scope: &Scope, create: &Create) -> Result<()> {
        self.inner.admit(scope, create).await?;
        if self.has(Breach::AdmissionMakesIt) {
            let context = Context {
                scope: scope.clone(),
                operation: Uuid::new_v4(),
                attempt: 1,
                deadline: Deadline::new(Duration::ZERO),
                journal: Arc::new(Silent),
            };
            self.inner.create(&context, create).await?;
        }
        Ok(())
    }
    async fn admit_change(&self, scope: &Scope, target: &Target, change: &Change) -> Result<()> {
        self.inner.admit_change(scope, target, change).await
    }
    async fn list(&self, scope: &Scope, kind: &TypeId) -> Result<Listing> {
        let mut listing = self.inner.list(scope, kind).await?;
        if self.has(Breach::ListsNothingButComputes) && kind.term() != "compute" {
            listing.pictures.clear();
        }
        if self.has(Breach::ListsWithoutMarks) {
            listing.pictures.iter_mut().for_each(|picture| picture.mark = None);
        }
        Ok(listing)
    }
    async fn find(&self, scope: &Scope, target: &Target) -> Result<Option<Picture>> {
        self.inner.find(scope, target).await
    }
    async fn create(&self, context: &Context, create: &Create) -> Result<Vec<Picture>> {
        let mut context = context.clone();
        if self.has(Breach::DoesNotLookForItsMark) {
            context.attempt = 1;
        }
        if self.has(Breach::RecordsNoSteps) {
            context.journal = Arc::new(Silent);
        }
        self.inner.create(&context, create).await
    }
    async fn update(&self, context: &Context, target: &Target, change: &Change) -> Result<Vec<Picture>> {
        if self.has(Breach::IgnoresChanges) {
            return Ok(Vec::new());
        }
        self.once(context, self.inner.update(context, target, change)).await
    }
    async fn act(&self, context: &Context, target: &Target, invocation: &Invocation) -> Result<Acted> {
        if self.has(Breach::ActsLater) {
            return Ok(Acted::default());
        }
        match self.once(context, self.inner.act(context, target, invocation)).await {
            Err(error) if self.has(Breach::ActsInAnyState) && error.kind == ErrorKind::Conflict => Ok(Acted::default()),
            Err(error) if self.has(Breach::SaysThatAnIgnoredStopWorked) && error.kind == ErrorKind::Timeout => {
                Ok(Acted::default())
            }
            result => result,
        }
    }
    async fn delete(&self, context: &Context, target: &Target) -> Result<()> {
        let found = self.inner.find(&context.scope, target).await?;
        if self.has(Breach::FailsToDeleteWhatIsMissing) && found.is_none() {
            return Err(BackendError::new(ErrorKind::NotFound, "it is not there"));
        }
        let up = |picture: Picture| {
            let state = picture.attributes.get("occi.compute.state")?.as_str()?.to_owned();
            Some(state == "active")
        };
        if self.has(Breach::LeavesTheLinksOfAHalfMadeCompute) && found.and_then(up) == Some(false) {
            return Ok(());
        }
        match self.inner.delete(context, target).await {
            Err(error) if self.has(Breach::DeletesWhatIsInUse) && error.kind == ErrorKind::InUse => Ok(()),
            result => result,
        }
    }
    fn events(&self) -> Option<BoxStream<'static, Event>> {
        if self.has(Breach::TellsNothing) {
            return Some(stream::pending().boxed());
        }
        self.inner.events()
    }
}

/// The cases that an engine with this breach does not pass, without the backend's name.
fn failing(breach: Breach) -> Vec<String> {
    let config = match breach {
        // Only an engine that makes two when asked twice can show it.
        Breach::DoesNotLookForItsMark => Config {
            personality: Personality::Remote,
            call_timeout_ms: 20,
            ..Config::local()
        },
        _ => Config {
            call_timeout_ms: 20,
            ..Config::local()
        },
    };
    let inner = Memory::open(config).unwrap();
    let control = inner.control();
    let suite = SuiteConfig {
        deafen: Some(Arc::new(|create| {
            let word = "ignore-graceful-stop";
            create.attributes.set("occi.compute.userdata".parse().unwrap(), word);
        })),
        power_off: Some(Arc::new(move |native_id| {
            control.power_off("suite", &native_id);
            Box::pin(async { Ok(()) })
        })),
        ..SuiteConfig::default()
    };
    let broken: Arc<dyn Backend> = Arc::new(Broken {
        inner,
        breach,
        begun: Mutex::default(),
    });
    let failures = failures(Subject::new("broken", suite, async || Ok(broken))).unwrap();
    failures
        .into_iter()
        .map(|failure| failure.case.trim_start_matches("broken::").to_owned())
        .collect()
}

#[test]
fn every_breach_fails_the_case_about_it() {
    let interface = NETWORKINTERFACE.term();
    let storage = STORAGE.term();
    let expected = [
        (
            Breach::DoesNotLookForItsMark,
            "compute::made_twice_is_made_once".to_owned(),
        ),
        (
            Breach::FailsToDeleteWhatIsMissing,
            format!("{storage}::what_is_missing_is_not_found"),
        ),
        (
            Breach::LeavesTheLinksOfAHalfMadeCompute,
            "compute::stopped_creates_are_removed_whole".to_owned(),
        ),
        (Breach::AdmissionMakesIt, format!("{storage}::admission_has_no_effect")),
        (
            Breach::ListsNothingButComputes,
            format!("{storage}::made_twice_is_made_once"),
        ),
        (Breach::ListsWithoutMarks, "compute::made_twice_is_made_once".to_owned()),
        (
            Breach::ActsLater,
            "compute::actions_lead_where_the_model_says".to_owned(),
        ),
        (
            Breach::ActsInAnyState,
            "compute::actions_lead_where_the_model_says".to_owned(),
        ),
        (
            Breach::SaysThatAnIgnoredStopWorked,
            "an_ignored_graceful_stop_leaves_it_active".to_owned(),
        ),
        (Breach::RecordsNoSteps, "compute::stopped_verbs_continue".to_owned()),
        (
            Breach::IgnoresChanges,
            format!("{storage}::changes_happen_in_declared_states_only"),
        ),
        (
            Breach::DeletesWhatIsInUse,
            format!("{interface}::links_live_and_die_with_their_compute"),
        ),
        (
            Breach::TellsNothing,
            "a_guest_that_powers_itself_off_is_told".to_owned(),
        ),
        (
            Breach::GivesUpWhatWasStopped,
            "compute::stopped_actions_continue".to_owned(),
        ),
        (
            Breach::GivesUpWhatWasStopped,
            "compute::stopped_changes_continue".to_owned(),
        ),
    ];
    for (breach, case) in expected {
        let failing = failing(breach);
        assert!(failing.contains(&case), "{case} should fail; what fails is {failing:?}");
    }
}
