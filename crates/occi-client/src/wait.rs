//! Waits until something is as it should be.

use crate::client::{Client, News};
use crate::entity::Entity;
use crate::error::{Error, ErrorKind, Result};
use crate::operation::{Operation, OperationState};
use crate::request::EventsOf;
use http::{StatusCode, header};
use occi_model::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What is waited for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Until {
    /// One of these states.
    State(Vec<String>),
    /// That an attribute, by its full name, has this value.
    Attribute {
        /// `occi.compute.cores`.
        name: String,
        /// Numbers are compared as numbers.
        value: Value,
    },
    /// `active` or `online`, or that there is no state at all: what every kind comes to that comes up.
    Up,
    /// That it is gone.
    Gone,
}

impl Until {
    fn holds(&self, entity: &Entity, state: Option<&str>) -> bool {
        match (self, state) {
            (Self::State(states), Some(state)) => states.iter().any(|wanted| wanted.eq_ignore_ascii_case(state)),
            (Self::Attribute { name, value }, _) => entity.attribute(name).is_some_and(|is| is_same(is, value)),
            (Self::Up, Some(state)) => matches!(state, "active" | "online"),
            (Self::Up, None) => true,
            (Self::State(_), None) | (Self::Gone, _) => false,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::State(states) => states.join(" or "),
            Self::Attribute { name, value } => format!("{name}={value}"),
            Self::Up => "active or online".to_owned(),
            Self::Gone => "gone".to_owned(),
        }
    }
}

/// Servers write 4 and 4.0 for the same.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// How patiently something is waited for.
///
/// It is asked again and again, at first quickly, then less often, and at last more often again; where the server tells what
/// happens, when it says so, and now and then in case that it does not. Words for states that nobody knows mean "not yet": servers
/// have states of their own (`waiting`, `pending`). A failure to get an answer is not a failure of what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// For how long in all, answers that do not come included. Default 10 min; 0 asks once, and waits for that answer.
    pub limit: Duration,
    /// Between the first questions. Default 250 ms.
    pub first: Duration,
    /// Between later ones. Default 5 s.
    pub most: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(600),
            first: Duration::from_millis(250),
            most: Duration::from_secs(5),
        }
    }
}

/// What is known while waiting.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'p> {
    /// The entity has been looked at.
    Entity {
        /// As it is.
        entity: &'p Entity,
        /// Its state.
        state: Option<&'p str>,
        /// What the server says about it.
        message: Option<&'p str>,
    },
    /// The operation has been looked at.
    Operation(&'p Operation),
    /// There was no answer, and it is asked again.
    Trouble(&'p Error),
}

/// Between questions while the server tells what happens.
const SELDOM: Duration = Duration::from_secs(30);
/// Between questions however much happens.
const BREATH: Duration = Duration::from_millis(100);

/// The times between questions.
struct Pace {
    next: Duration,
    most: Duration,
    /// Whoever waits for long asks to be told.
    news: Option<News>,
    steps: u32,
    asked: Instant,
    /// There is none for who waits longer than any clock counts.
    end: Option<Instant>,
    is_once: bool,
}

impl Pace {
    fn new(patience: &Patience) -> Self {
        Self {
            next: patience.first,
            most: patience.most,
            news: None,
            steps: 0,
            asked: Instant::now(),
            end: Instant::now().checked_add(patience.limit),
            is_once: patience.limit.is_zero(),
        }
    }

    /// The answer to a question; none if the time is over first.
    async fn ask<T>(&mut self, question: impl Future<Output = T>) -> Option<T> {
        match self.end.filter(|_| !self.is_once) {
            Some(end) => timeout_at(end, question).await.ok(),
            None => Some(question.await),
        }
    }

    /// Waits until it is time to ask again; false if the time is over. `of` says of what the server might tell.
    async fn step(&mut self, client: &Client, of: Option<EventsOf>) -> bool {
        let now = Instant::now();
        let left = self.end.map_or(Duration::MAX, |end| end.saturating_duration_since(now));
        if left <= BREATH {
            return false;
        }
        self.steps += 1;
        if self.steps > 1 && self.news.is_none() {
            self.news = of.map(|of| client.news(&of));
        }
        let pause = if self.is_told() { SELDOM } else { self.next };
        // The last answers have to come before the end.
        let most = BREATH.max(left / 2);
        tokio::select! {
            () = tokio::time::sleep(pause.min(most)) => {
                self.next = self.most.min(self.next.saturating_mul(3) / 2);
            }
            () = async {
                match &mut self.news {
                    Some(news) => news.next().await,
                    None => std::future::pending().await,
                }
            } => {
                tokio::time::sleep_until(self.asked + BREATH).await;
                if let Some(news) = &mut self.news {
                    news.skip();
                }
            }
        }
        self.asked = Instant::now();
        true
    }

    fn is_told(&self) -> bool {
        self.news.as_ref().is_some_and(News::is_told)
    }
}

fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

impl Client {
    /// Waits until an entity is as it should be, and returns it; `None` once it is gone.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] if it comes to the state `error` (and that was not wanted), with what the server says about
    /// it; [`ErrorKind::Timeout`] if the patience is over; [`ErrorKind::NotFound`] if it is gone (and that was not
    /// wanted).
    pub async fn wait_for(
        &self,
        location: &str,
        until: &Until,
        patience: &Patience,
        mut report: impl FnMut(Progress<'_>),
    ) -> Result<Option<Entity>> {
        let mut pace = Pace::new(patience);
        let late = |last: Option<String>| {
            let is = last.map_or_else(|| "its state is not known".to_owned(), |last| format!("it is {last}"));
            let message = format!("{location} did not become {} in time: {is}", until.words());
            Error::new(ErrorKind::Timeout, message).with_hint("what goes on in the server goes on")
        };
        let Some(model) = pace.ask(self.model()).await.transpose()? else {
            return Err(late(None));
        };
        let mut last = None;
        let mut of = None;
        loop {
            match pace.ask(self.show(location)).await {
                None => {}
                Some(Err(error)) if error.kind() == ErrorKind::NotFound && *until == Until::Gone => return Ok(None),
                Some(Err(error)) if is_passing(&error) => report(Progress::Trouble(&error)),
                Some(Err(error)) => return Err(error),
                Some(Ok(entity)) => {
                    let state = entity.state(&model);
                    report(Progress::Entity {
                        entity: &entity,
                        state: state.map(|state| state.word),
                        message: state.and_then(|state| state.message),
                    });
                    if until.holds(&entity, state.map(|state| state.word)) {
                        return Ok(Some(entity));
                    }
                    if let Some(state) = state.filter(|state| state.is_error() && *until != Until::Gone) {
                        let why = state.message.unwrap_or("the server does not say why");
                        return Err(Error::new(
                            ErrorKind::Failed,
                            format!("{location} came to the state {}: {why}", state.word),
                        ));
                    }
                    last = state.map(|state| state.word.to_owned());
                    of = self.events_of(&entity);
                }
            }
            if !pace.step(self, of.clone()).await {
                return Err(late(last));
            }
        }
    }

    /// Waits until an operation has ended well, and returns it. The task of another server (GFD.185, section 3.5.5) says no
    /// more than that it goes on, and at last where its result is.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] if it ended otherwise; [`ErrorKind::Timeout`] if the patience is over.
    pub async fn wait_for_operation(
        &self,
        operation: &str,
        patience: &Patience,
        mut report: impl FnMut(Progress<'_>),
    ) -> Result<Operation> {
        let mut pace = Pace::new(patience);
        let id = operation.rsplit('/').next().map(str::to_owned);
        let of = Some(EventsOf {
            operation: id,
            ..EventsOf::default()
        });
        loop {
            match pace.ask(self.look(operation)).await {
                None => {}
                Some(Err(error)) if is_passing(&error) => report(Progress::Trouble(&error)),
                Some(Err(error)) => return Err(error),
                Some(Ok(found)) => {
                    report(Progress::Operation(&found));
                    match found.state {
                        OperationState::Succeeded => return Ok(found),
                        OperationState::Accepted | OperationState::Running => {}
                        OperationState::Failed | OperationState::NeedsAttention => {
                            let why = found.error.as_deref().unwrap_or("the server does not say why");
                            return Err(Error::new(ErrorKind::Failed, format!("{} failed: {why}", found.verb))
                                .with_operation(Some(found.location.clone())));
                        }
                    }
                }
            }
            if !pace.step(self, of.clone()).await {
                return Err(
                    Error::new(ErrorKind::Timeout, format!("{operation} did not end in time"))
                        .with_operation(Some(operation.to_owned()))
                        .with_hint("it goes on in the server"),
                );
            }
        }
    }

    /// The events of an entity, if that goes by the name by which the server tells of it, and not by another one.
    fn events_of(&self, entity: &Entity) -> Option<EventsOf> {
        let path = self.endpoint().path_of(&entity.location).ok()?;
        path.ends_with(&format!("/{}", entity.id)).then_some(EventsOf {
            entity: Some(path),
            ..EventsOf::default()
        })
    }

    /// An operation of an `occid`, or the task of a server of version 1.1: 200 while it runs, then 301 to the result.
    async fn look(&self, operation: &str) -> Result<Operation> {
        let location = self.endpoint().path_of(operation)?;
        let answer = self.look_at_operation(&location).await?;
        let mut task = Operation {
            id: location.rsplit('/').next().unwrap_or_default().to_owned(),
            location,
            entity: None,
            verb: "task".to_owned(),
            state: OperationState::Running,
            step: None,
            progress: None,
            created: None,
            finished: None,
            deadline: None,
            error: None,
            mixins: Vec::new(),
            parts: Vec::new(),
        };
        if answer.status.is_redirection() && answer.status != StatusCode::NOT_MODIFIED {
            task.state = OperationState::Succeeded;
            let result = answer.header(header::LOCATION);
            task.entity = result.and_then(|url| self.endpoint().path_of(&url).ok());
            return Ok(task);
        }
        match Operation::read(&self.judged(answer)?, &task.location, self.endpoint()) {
            Err(error) if self.dialect().is_occid => Err(error),
            found => Ok(found.unwrap_or(task)),
        }
    }
}
