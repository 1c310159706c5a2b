//! What happened, for those who wait for it. The store numbers it; here it is decided who learns of it.

use crate::engine::Engine;
use crate::{Caller, Result, place, policy};
use occi_model::{EntityId, TypeId};
use occi_store::{EntityRow, EventPage, EventQuery, EventRow, Visibility, Way};
use std::collections::HashMap;
use uuid::Uuid;

/// So many readings are made for one request: each looks at 10 000 events, and others get their turn in between.
const READINGS: u32 = 10;

/// Which events; all conditions hold.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only of the entity at this path, and of operations on it.
    pub path: Option<String>,
    /// Only of entities of this kind.
    pub kind: Option<TypeId>,
    /// Only those that tell of this operation.
    pub operation: Option<Uuid>,
}

/// What happened, as far as a caller may know.
#[derive(Clone, Debug)]
pub struct Told {
    /// In order. Of what others show to the caller there are neither project nor operations, and what they do not show any
    /// more is deleted.
    pub events: Vec<EventRow>,
    /// How far was looked, in the way that was asked for: what lies beyond this number was not looked at.
    pub reached: i64,
    /// The oldest number that is kept.
    pub oldest: i64,
    /// The newest number.
    pub newest: i64,
}

impl Engine {
    /// The first events after a number, or the last ones before it, at most `limit`. They may be fewer, or none, although
    /// there are more: one request looks at so many events only, whosever they are.
    pub async fn events(&self, caller: &Caller, filter: &EventFilter, way: Way, limit: u32) -> Result<Told> {
        let EventFilter { path, kind, operation } = filter.clone();
        let mut query = EventQuery {
            sees: policy::eyes(caller),
            project: caller.project.clone(),
            path: path.as_deref().map(place::of_entity),
            kind,
            operation,
            way,
            limit,
        };
        let (mut events, mut readings) = (Vec::new(), 0);
        loop {
            let page = self.inner.store.events(&query).await?;
            let EventPage {
                events: found,
                reached,
                oldest,
                newest,
            } = page;
            // Another request may have committed these and not forgotten yet what they changed.
            self.inner.hot.settled().await;
            self.inner.told(newest);
            let found = self.shown(caller, filter, found).await?;
            readings += 1;
            let is_done = match way {
                Way::After(_) => {
                    query.way = Way::After(reached);
                    events = found;
                    !events.is_empty() || reached >= newest
                }
                Way::Before(_) => {
                    query.way = Way::Before(reached);
                    events.splice(0..0, found);
                    query.limit = limit.saturating_sub(u32::try_from(events.len()).unwrap_or(limit));
                    query.limit == 0 || reached <= oldest
                }
            };
            if is_done || readings == READINGS {
                return Ok(Told {
                    events,
                    reached,
                    oldest,
                    newest,
                });
            }
        }
    }

    /// Returns when something has happened after the event of this number.
    pub async fn happened_after(&self, number: i64) {
        let mut newest = self.inner.newest.subscribe();
        // It fails only with the engine.
        let _ = newest.wait_for(|newest| *newest > number).await;
    }

    /// Each as the caller may know it.
    async fn shown(&self, caller: &Caller, filter: &EventFilter, events: Vec<EventRow>) -> Result<Vec<EventRow>> {
        let is_own = |event: &EventRow| {
            let project = event.project.as_deref();
            project.is_none_or(|project| caller.principal.role_in(project).is_some())
        };
        let foreign = events.iter().filter(|event| !is_own(event));
        let mut ids: Vec<EntityId> = foreign.filter_map(|event| event.entity.clone()).collect();
        ids.sort();
        ids.dedup();
        let rows = match ids.is_empty() {
            true => Vec::new(),
            false => self.inner.store.entities(&ids).await?,
        };
        let rows: HashMap<_, _> = rows.iter().map(|row| (&row.id, row)).collect();
        let show = |event: EventRow| match is_own(&event) {
            // The name of a removed project may be another's by now.
            true => Some(EventRow {
                project: event.project.filter(|project| !project.is_empty()),
                ..event
            }),
            false => foreign_event(caller, event, &rows),
        };
        let mut events: Vec<_> = events.into_iter().filter_map(show).collect();
        // An operation that is not shown was not found either.
        events.retain(|event| filter.operation.is_none() || event.operation.is_some());
        Ok(events)
    }
}

/// An event of another project's entity, if that was shown to the caller when it happened.
fn foreign_event(caller: &Caller, event: EventRow, rows: &HashMap<&EntityId, &EntityRow>) -> Option<EventRow> {
    let project = event.project.as_deref()?;
    if !policy::sees(&caller.principal, project, &event.visibility) {
        return None;
    }
    let row = rows.get(event.entity.as_ref()?).map(|row| (*row).clone());
    let is_gone = event.what == "deleted" || policy::visible(caller, row).is_none();
    Some(EventRow {
        what: if is_gone { "deleted".to_owned() } else { event.what },
        title: event.title.filter(|_| !is_gone),
        state: event.state.filter(|_| !is_gone),
        project: None,
        visibility: Visibility::Project,
        operation: None,
        ..event
    })
}
