//! What a case works with: the backend, and what the engine above would do around each verb.

use super::config::SuiteConfig;
use super::journal::Notes;
use super::samples;
use crate::names::{COMPUTE, NETWORKINTERFACE};
use crate::{
    Acted, Backend, BackendError, Change, Context, Create, Deadline, ErrorKind, Event, Invocation, KindCapability,
    Outcome, Picture, Result, Scope, Target,
};
use occi_model::{Lifecycle, Registry, TypeId};
use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use uuid::Uuid;

/// Why a case ends early.
#[derive(Debug)]
pub(super) enum End {
    /// The declaration rules it out, or the suite was not told how.
    Skip(String),
    /// The contract is broken.
    Fail(String),
}

/// How a case, or a part of it, ends.
pub(super) type Verdict<T = ()> = std::result::Result<T, End>;

impl From<BackendError> for End {
    fn from(error: BackendError) -> Self {
        Self::Fail(describe(&error))
    }
}

fn describe(error: &BackendError) -> String {
    let context = error.context.as_deref().unwrap_or("no context");
    format!("{:?}, {:?}: {error} ({context})", error.kind, error.outcome)
}

/// Fails the case with a sentence unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($sentence:tt)+) => {
        if !$condition {
            return Err($crate::suite::lab::End::Fail(format!($($sentence)+)));
        }
    };
}
pub(super) use ensure;

/// How one undisturbed or stopped call ended.
pub(super) enum Ran<T> {
    Done(T),
    Stopped,
}

/// The events of a backend, in order, with the time at which each came.
pub(super) type Seen = Arc<Mutex<Vec<(Instant, Event)>>>;

/// The backend, for one case.
pub(super) struct Lab {
    pub(super) name: &'static str,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) config: SuiteConfig,
    pub(super) registry: Arc<Registry>,
    pub(super) seen: Seen,
    made: Mutex<Vec<Target>>,
}

impl Lab {
    pub(super) fn new(
        name: &'static str,
        backend: Arc<dyn Backend>,
        config: SuiteConfig,
        registry: Arc<Registry>,
        seen: Seen,
    ) -> Self {
        Self {
            name,
            backend,
            config,
            registry,
            seen,
            made: Mutex::default(),
        }
    }

    /// The same backend, for another project.
    pub(super) fn next_door(&self) -> Self {
        let config = SuiteConfig {
            project: format!("{}-next-door", self.config.project),
            ..self.config.clone()
        };
        Self::new(
            self.name,
            self.backend.clone(),
            config,
            self.registry.clone(),
            self.seen.clone(),
        )
    }

    pub(super) fn scope(&self) -> Scope {
        Scope {
            project: self.config.project.clone(),
        }
    }

    pub(super) fn capability(&self, kind: &TypeId) -> Verdict<&KindCapability> {
        let declared = self.backend.capabilities().kind(kind);
        declared.ok_or_else(|| End::Skip(format!("no {} is declared", kind.term())))
    }

    pub(super) fn lifecycle(&self, kind: &TypeId) -> Verdict<Arc<Lifecycle>> {
        let lifecycle = self.registry.lifecycle(kind.as_str()).cloned();
        lifecycle.ok_or_else(|| End::Skip(format!("a {} has no states", kind.term())))
    }

    /// How long an effect may be under way after an ambiguous failure.
    fn patience(&self) -> Duration {
        2 * self.backend.capabilities().call_timeout
    }

    /// A resource to make; a compute with its default network, where there is one.
    pub(super) async fn resource(&self, kind: &TypeId) -> Verdict<Create> {
        let capability = self.capability(kind)?;
        if !capability.create {
            return Err(End::Skip(format!("no {} can be made", kind.term())));
        }
        let mut os = None;
        if *kind == *COMPUTE {
            os = match &self.config.os_template {
                Some(term) => Some(term.clone()),
                None => self.backend.catalogue(&self.scope()).await?.default_os,
            };
        }
        let mut create = samples::resource(&self.config, kind, os)
            .ok_or_else(|| End::Skip(format!("the suite does not know how to make a {}", kind.term())))?;
        if self.backend.capabilities().default_network && capability.inline_links.contains(&NETWORKINTERFACE) {
            create.links.push(samples::inline(&NETWORKINTERFACE, None));
        }
        Ok(create)
    }

    pub(super) fn context(&self, operation: Uuid, attempt: u32, journal: Arc<Notes>) -> Context {
        Context {
            scope: self.scope(),
            operation,
            attempt,
            deadline: Deadline::new(self.config.case_timeout),
            journal,
        }
    }

    /// One call that the journal may stop.
    pub(super) async fn run<T>(
        &self,
        notes: &Arc<Notes>,
        operation: Uuid,
        attempt: u32,
        verb: impl AsyncFn(&Context) -> Result<T>,
    ) -> Result<Ran<T>> {
        let context = self.context(operation, attempt, notes.clone());
        tokio::select! {
            () = notes.hung() => Ok(Ran::Stopped),
            result = verb(&context) => match result {
                Ok(done) => Ok(Ran::Done(done)),
                Err(error) if error.kind == ErrorKind::Interrupted => Ok(Ran::Stopped),
                Err(error) => Err(error),
            },
        }
    }

    /// Waits out a failure after which the same may be sent again; gives back any other.
    pub(super) async fn overcome(&self, attempt: u32, error: BackendError) -> Result<()> {
        let passing =
            error.outcome == Outcome::Unknown || matches!(error.kind, ErrorKind::Unavailable | ErrorKind::RateLimited);
        if !passing || attempt >= 60 {
            return Err(error);
        }
        sleep(self.patience().max(error.retry_after.unwrap_or_default())).await;
        Ok(())
    }

    /// Sends a verb until it is done or refused, as the engine above does.
    pub(super) async fn send<T>(&self, verb: impl AsyncFn(&Context) -> Result<T>) -> Result<T> {
        let notes = Notes::quiet();
        self.send_with(&notes, Uuid::new_v4(), 1, verb).await
    }

    /// The same with a journal, an operation and a first attempt.
    pub(super) async fn send_with<T>(
        &self,
        notes: &Arc<Notes>,
        operation: Uuid,
        first: u32,
        verb: impl AsyncFn(&Context) -> Result<T>,
    ) -> Result<T> {
        for attempt in first.. {
            match verb(&self.context(operation, attempt, notes.clone())).await {
                Ok(done) => return Ok(done),
                Err(error) => {
                    notes.mark_incomplete();
                    self.overcome(attempt, error).await?;
                }
            }
        }
        Err(BackendError::new(ErrorKind::Timeout, "the attempts ran out"))
    }

    /// Makes something, and remembers it for the cleaning.
    pub(super) async fn create(&self, create: &Create) -> Verdict<Vec<Picture>> {
        self.remember(create);
        let created = self
            .send(async |context| self.backend.create(context, create).await)
            .await;
        match created {
            Ok(pictures) => Ok(pictures),
            Err(error) => {
                if error.outcome == Outcome::Nothing && self.find(&target(create)).await?.is_some() {
                    return Err(End::Fail(format!(
                        "said that nothing was made, but something was: {error}"
                    )));
                }
                Err(error.into())
            }
        }
    }

    pub(super) fn remember(&self, create: &Create) {
        lock(&self.made).push(target(create));
    }

    pub(super) async fn delete(&self, target: &Target) -> Result<()> {
        self.send(async |context| self.backend.delete(context, target).await)
            .await
    }

    pub(super) async fn act(&self, target: &Target, invocation: &Invocation) -> Result<Acted> {
        self.send(async |context| self.backend.act(context, target, invocation).await)
            .await
    }

    pub(super) async fn update(&self, target: &Target, change: &Change) -> Result<Vec<Picture>> {
        self.send(async |context| self.backend.update(context, target, change).await)
            .await
    }

    pub(super) async fn find(&self, target: &Target) -> Result<Option<Picture>> {
        self.backend.find(&self.scope(), target).await
    }

    /// The picture of something that must be there.
    pub(super) async fn picture(&self, target: &Target) -> Verdict<Picture> {
        let found = self.find(target).await?;
        found.ok_or_else(|| End::Fail(format!("the {} is not found", name(target))))
    }

    pub(super) async fn state(&self, target: &Target) -> Verdict<String> {
        let lifecycle = self.lifecycle(&target.kind)?;
        state(&lifecycle, &self.picture(target).await?)
    }

    /// Once listings show the present, they show a mark so many times.
    pub(super) async fn listed(&self, target: &Target, times: usize) -> Verdict {
        let count = |listed: &[Picture]| listed.len() == times;
        self.await_listing(target, &format!("{times} times"), count).await
    }

    /// Once listings show the present, they show a mark once, and as `picture`.
    pub(super) async fn listed_as(&self, target: &Target, picture: &Picture) -> Verdict {
        let same = |listed: &[Picture]| listed == std::slice::from_ref(picture);
        self.await_listing(target, &format!("as {picture:?}"), same).await
    }

    async fn await_listing(&self, target: &Target, wanted: &str, is_right: impl Fn(&[Picture]) -> bool) -> Verdict {
        let until = Instant::now() + self.backend.capabilities().call_timeout;
        loop {
            // What is listed after that is the present, however long this thread slept.
            let is_last = Instant::now() >= until;
            let mut listed = self.backend.list(&self.scope(), &target.kind).await?.pictures;
            listed.retain(|picture| picture.mark.as_ref() == Some(&target.mark));
            if is_right(&listed) {
                return Ok(());
            }
            ensure!(
                !is_last,
                "the {} should be listed {wanted}, and is as {listed:?}",
                name(target)
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Nothing of it is there, and no link that was to come with it.
    pub(super) async fn gone(&self, create: &Create) -> Verdict {
        for target in std::iter::once(target(create)).chain(link_targets(create)) {
            let found = self.find(&target).await?;
            ensure!(found.is_none(), "the {} is still found", name(&target));
            self.listed(&target, 0).await?;
        }
        Ok(())
    }

    /// Brings an entity to a state by the declared actions.
    pub(super) async fn go(&self, target: &Target, wanted: &str) -> Verdict {
        let now = self.state(target).await?;
        for (action, reached) in self.way(&target.kind, &now, wanted)? {
            self.act(target, &action).await?;
            let state = self.state(target).await?;
            ensure!(
                state == reached,
                "after {} the {} is {state} and not {reached}",
                action.action.term(),
                name(target)
            );
        }
        Ok(())
    }

    /// Brings an entity to one of these states: that in which it is, if it is among them.
    pub(super) async fn go_to_one(&self, target: &Target, wanted: &[&'static str]) -> Verdict<&'static str> {
        let now = self.state(target).await?;
        let ways = self.ways(&target.kind, &now)?;
        let near = wanted.iter().filter(|state| ways.contains_key(**state));
        let Some(nearest) = near.min_by_key(|state| ways[**state].len()) else {
            return Err(End::Fail(format!(
                "no declared action leads from {now} to any of {wanted:?}"
            )));
        };
        self.go(target, nearest).await?;
        Ok(nearest)
    }

    /// The declared actions that lead from one state to another, and the state after each.
    fn way(&self, kind: &TypeId, from: &str, to: &str) -> Verdict<Vec<(Invocation, &'static str)>> {
        let found = self.ways(kind, from)?.remove(to);
        found.ok_or_else(|| {
            End::Fail(format!(
                "no declared action leads a {} from {from} to {to}",
                kind.term()
            ))
        })
    }

    /// The shortest ways to all states that the declared actions can reach.
    pub(super) fn ways(&self, kind: &TypeId, from: &str) -> Verdict<HashMap<String, Vec<(Invocation, &'static str)>>> {
        let lifecycle = self.lifecycle(kind)?;
        let mut ways = HashMap::from([(from.to_owned(), Vec::new())]);
        let mut queue = VecDeque::from([from.to_owned()]);
        while let Some(state) = queue.pop_front() {
            let way = ways.get(&state).cloned().unwrap_or_default();
            for action in &self.capability(kind)?.actions {
                let Some(reached) = lifecycle.target(&action.action) else {
                    continue;
                };
                if action.states.contains(&state.as_str()) && !ways.contains_key(reached) {
                    // The quickest method: nothing is asked of the guest.
                    let quick = ["poweroff", "cold", "suspend"];
                    let method = action.methods.iter().find(|method| quick.contains(&method.method));
                    let method = method.or_else(|| action.methods.first()).map(|method| method.method);
                    let mut longer = way.clone();
                    longer.push((invocation(&action.action, method), reached));
                    ways.insert(reached.to_owned(), longer);
                    queue.push_back(reached.to_owned());
                }
            }
        }
        Ok(ways)
    }

    /// Removes what the case made, and says what it cannot remove.
    pub(super) async fn clean(&self) -> Verdict {
        let made = std::mem::take(&mut *lock(&self.made));
        for target in made.iter().rev() {
            self.delete(target).await?;
            let found = self.find(target).await?;
            ensure!(found.is_none(), "the {} outlives its delete", name(target));
        }
        Ok(())
    }
}

/// What was made, by its mark.
pub(super) fn target(create: &Create) -> Target {
    Target {
        kind: create.kind.clone(),
        mark: create.mark.clone(),
        native_id: None,
        project: None,
    }
}

/// The links that were made with it, by their marks.
pub(super) fn link_targets(create: &Create) -> Vec<Target> {
    let links = create.links.iter();
    links
        .map(|link| Target {
            kind: link.kind.clone(),
            mark: link.mark.clone(),
            native_id: None,
            project: None,
        })
        .collect()
}

pub(super) fn name(target: &Target) -> String {
    format!("{} {}", target.kind.term(), target.mark)
}

pub(super) fn state(lifecycle: &Lifecycle, picture: &Picture) -> Verdict<String> {
    let state = picture
        .attributes
        .get(lifecycle.state.as_str())
        .and_then(|value| value.as_str());
    let state = state.map(ToOwned::to_owned);
    state.ok_or_else(|| End::Fail(format!("the picture of a {} has no state", picture.kind.term())))
}

pub(super) fn invocation(action: &TypeId, method: Option<&str>) -> Invocation {
    let method = method.map(|method| (crate::names::attribute("method"), method.into()));
    Invocation {
        action: action.clone(),
        parameters: method.into_iter().collect(),
    }
}

/// A refusal of the kind that the contract asks for.
pub(super) fn refused<T>(what: impl Display, result: Result<T>, kind: ErrorKind) -> Verdict {
    match result {
        Ok(_) => Err(End::Fail(format!("{what} is taken, and should be {kind:?}"))),
        Err(error) if error.kind == kind => Ok(()),
        Err(error) => Err(End::Fail(format!(
            "{what} should be {kind:?}, and is {}",
            describe(&error)
        ))),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
