//! Entities as a caller sees them: rows, their links, and the actions that may be invoked now.

use crate::engine::Inner;
use crate::inventory::link_end;
use crate::{Caller, Found, Result, policy};
use occi_backend::names;
use occi_model::{AttributeName, Entity, EntityId, LinkEnd, Shape, TypeId, Value};
use occi_store::EntityRow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Shows what an engine calls an entity that has another id here; in a path it works like that id.
static NATIVE_ID: LazyLock<AttributeName> = LazyLock::new(|| names::attribute("occid.native.id"));

impl Inner {
    /// Shows one row.
    pub(crate) async fn show(&self, caller: &Caller, row: EntityRow) -> Result<Found> {
        only(self.show_all(caller, vec![row]).await?)
    }

    /// The same, with the links that it owns at hand.
    pub(crate) async fn show_one(&self, caller: &Caller, row: EntityRow, its_links: Vec<EntityRow>) -> Result<Found> {
        only(self.show_with_links(caller, vec![row], its_links).await?)
    }

    /// Shows rows, in their order.
    pub(crate) async fn show_all(&self, caller: &Caller, rows: Vec<EntityRow>) -> Result<Vec<Found>> {
        let is_link = |row: &&EntityRow| self.base.is_link(row.kind.as_str());
        let resources = rows.iter().filter(|row| !is_link(row));
        let ids: Vec<_> = resources.map(|row| row.id.clone()).collect();
        let links = match ids.is_empty() {
            true => Vec::new(),
            false => self.store.links_of(&ids).await?,
        };
        self.show_with_links(caller, rows, links).await
    }

    /// The same, with the links that the rows own at hand.
    pub(crate) async fn show_with_links(
        &self,
        caller: &Caller,
        rows: Vec<EntityRow>,
        their_links: Vec<EntityRow>,
    ) -> Result<Vec<Found>> {
        let (links, resources): (Vec<_>, Vec<_>) = rows.iter().partition(|row| self.base.is_link(row.kind.as_str()));
        let mut owned: HashMap<EntityId, Vec<EntityRow>> = HashMap::new();
        for link in their_links {
            if let (Some(source), true) = (&link.source, is_seen(caller, &link)) {
                owned.entry(source.clone()).or_default().push(link);
            }
        }
        let with_links = resources.iter().filter(|row| owned.contains_key(&row.id));
        let mut ends: HashMap<EntityId, LinkEnd> = with_links.map(|row| (row.id.clone(), link_end(row))).collect();
        let missing: Vec<_> = links
            .iter()
            .filter_map(|link| link.source.clone())
            .filter(|source| !ends.contains_key(source))
            .collect();
        if !missing.is_empty() {
            for row in self.store.entities(&missing).await? {
                ends.insert(row.id.clone(), link_end(&row));
            }
        }
        let mut stale = Staleness::default();
        let mut shown = Vec::with_capacity(rows.len());
        for row in rows {
            let links = owned.remove(&row.id).unwrap_or_default();
            let (seq, generation) = (row.seq, row.generation);
            let stale = stale.of(self, &row).await;
            let entity = if self.base.is_link(row.kind.as_str()) {
                self.link(caller, row, &ends)
            } else {
                let links = links.into_iter().map(|link| self.link(caller, link, &ends)).collect();
                self.entity(caller, row, Shape::Resource { links })
            };
            shown.push(Found {
                seq,
                entity: Arc::new(entity),
                generation,
                stale,
            });
        }
        Ok(shown)
    }

    fn link(&self, caller: &Caller, mut row: EntityRow, ends: &HashMap<EntityId, LinkEnd>) -> Entity {
        let unknown = || LinkEnd {
            location: String::new(),
            kind: None,
        };
        let source = row.source.as_ref().and_then(|id| ends.get(id)).cloned();
        let shape = Shape::Link {
            source: source.unwrap_or_else(unknown),
            target: row.target.take().unwrap_or_else(unknown),
        };
        self.entity(caller, row, shape)
    }

    fn entity(&self, caller: &Caller, row: EntityRow, shape: Shape) -> Entity {
        let actions = match policy::is_own(caller, &row) {
            true => self.applicable(&row),
            false => Vec::new(),
        };
        let mut attributes = row.attributes;
        if let Some(native_id) = row.native_id.filter(|native_id| *native_id != *row.id.as_str()) {
            attributes.set(NATIVE_ID.clone(), native_id);
        }
        if self.config.states_extended
            && row.operation.is_some()
            && let Some(lifecycle) = self.base.lifecycle(row.kind.as_str())
            && attributes.get(lifecycle.state.as_str()).and_then(Value::as_str) != Some("error")
        {
            attributes.set(lifecycle.state.clone(), "waiting");
        }
        Entity {
            location: row.path,
            id: row.id,
            kind: row.kind,
            mixins: row.mixins,
            attributes,
            actions,
            shape,
        }
    }

    /// The actions that may be invoked now: those that the lifecycle and the backend allow in this state, or while an
    /// operation is open the one that would join it.
    pub(crate) fn applicable(&self, row: &EntityRow) -> Vec<TypeId> {
        let state = row.state.as_deref().unwrap_or_default();
        let lifecycle = self.base.lifecycle(row.kind.as_str());
        let declared = self
            .carrier_of(row)
            .and_then(|carrier| self.carriers[carrier].kind(&row.kind));
        let open = row.operation.map(|operation| self.waiting.verb(operation));
        let allowed = |action: &TypeId| {
            if let Some(verb) = &open {
                return self.joins(row, verb.as_deref().unwrap_or_default(), action);
            }
            let by_lifecycle = lifecycle.is_none_or(|lifecycle| lifecycle.transition(state, action).is_some());
            let by_engine = row.backend.is_none()
                || declared
                    .and_then(|kind| kind.action(action))
                    .is_some_and(|action| action.states.contains(&state));
            by_lifecycle && by_engine
        };
        self.base
            .actions_of(row.kind.as_str(), &row.mixins)
            .into_iter()
            .map(|action| &action.id)
            .filter(|action| allowed(action))
            .cloned()
            .collect()
    }

    /// Whether `action` joins an open operation of this verb.
    pub(crate) fn joins(&self, row: &EntityRow, verb: &str, action: &TypeId) -> bool {
        let brings_up = || {
            let lifecycle = self.base.lifecycle(row.kind.as_str());
            self.config.autostart && lifecycle.and_then(|lifecycle| lifecycle.bring_up.as_ref()) == Some(action)
        };
        verb == action.term() || (verb == "create" && brings_up())
    }
}

/// What one row shows.
fn only(mut found: Vec<Found>) -> Result<Found> {
    found
        .pop()
        .ok_or_else(|| crate::EngineError::internal("one row shows no entity"))
}

/// Whether a link is rendered: visible, and its target is known.
pub(crate) fn is_seen(caller: &Caller, link: &EntityRow) -> bool {
    !link.hidden && link.target.is_some() && policy::sees(&caller.principal, &link.project, &link.visibility)
}

/// How old pictures are, looked up once per scope.
#[derive(Default)]
struct Staleness(HashMap<(String, String, TypeId), Option<Duration>>);

impl Staleness {
    /// The age of a picture and the backend's name, if its backend is not there or cannot be reached.
    async fn of(&mut self, inner: &Inner, row: &EntityRow) -> Option<(Duration, String)> {
        let backend = row.backend.clone()?;
        let carrier = inner.carrier_named(&backend);
        if carrier.is_some_and(|carrier| inner.carriers[carrier].is_reached()) {
            return None;
        }
        let scope = (backend.clone(), row.native_project.clone(), row.kind.clone());
        let age = match self.0.get(&scope) {
            Some(age) => *age,
            None => {
                let as_of = inner
                    .store
                    .as_of(&backend, &row.native_project, row.kind.as_str())
                    .await
                    .ok()
                    .flatten();
                let age = as_of.map(|as_of| {
                    Duration::from_millis(u64::try_from(inner.now_ms().saturating_sub(as_of)).unwrap_or_default())
                });
                self.0.insert(scope, age);
                age
            }
        };
        Some((age.unwrap_or_default(), backend))
    }
}
