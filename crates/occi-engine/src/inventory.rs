//! The inventory: the last known picture of what exists in the engines.
//!
//! It is fed by our own writes (operations), by the backends' events, and by one bulk listing per backend, native project
//! and kind, at an interval and on demand. What a listing may touch is the store's rule (a refresh never wins over a newer
//! write); when one is made is decided here: one at a time and at most one a second per scope.

use crate::engine::Inner;
use crate::{EngineError, FailureKind, Freshness, quota, row};
use futures::StreamExt;
use occi_backend::{Event, Listing, Locality, NativeRef, Picture, Scope, Target, TemplateKind};
use occi_model::{EntityId, LinkEnd, TypeId};
use occi_store::{Commit, EntityRow, Observation, OperationQuery, OperationState, Refresh, Require, StoreError, Write};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

/// The least time between two listings of a scope.
const FLOOR: Duration = Duration::from_secs(1);
/// How long a listing on demand may take before the answer is given from what is remembered.
const PATIENCE: Duration = Duration::from_secs(15);

/// So many operations are looked through at the start for what entities' messages tell of.
const FAILURES: u32 = 1000;

/// What is listed at once: backend, native project, kind.
type Place = (usize, String, TypeId);

/// When each scope was listed by this process, and who is at it.
#[derive(Default)]
pub(crate) struct Scopes {
    listed: Mutex<HashMap<Place, Arc<tokio::sync::Mutex<Listed>>>>,
    /// Entities in the care of operations.
    cares: Mutex<HashMap<EntityId, Care>>,
    /// Entities whose message tells of a failed operation: a picture without a message does not take it away.
    explained: Mutex<HashSet<EntityId>>,
}

/// How a scope was listed by this process.
#[derive(Default)]
struct Listed {
    /// When the last listing that told something began.
    told: Option<Instant>,
    /// When the last one that has ended began, whatever came of it.
    tried: Option<Instant>,
}

impl Listed {
    /// Whether another listing would be too much for a request that came at `asked` and may be told what is `age` old.
    fn is_enough(&self, asked: Instant, age: Duration) -> bool {
        self.told.is_some_and(|told| told.elapsed() < age)
            || self.tried.is_some_and(|tried| tried >= asked)
            || !self.rest().is_zero()
    }

    /// How long there can be no other listing.
    fn rest(&self) -> Duration {
        self.tried
            .map_or(Duration::ZERO, |tried| FLOOR.saturating_sub(tried.elapsed()))
    }
}

/// An entity in the care of operations: their end says how it looks.
#[derive(Default)]
struct Care {
    /// How many operations of this process run on it.
    runs: usize,
    /// What the last event showed that came meanwhile.
    shown: Option<Picture>,
}

impl Care {
    fn is_over(&self) -> bool {
        self.runs == 0 && self.shown.is_none()
    }
}

/// An operation runs on these entities.
pub(crate) struct InCare<'s> {
    scopes: &'s Scopes,
    ids: &'s [EntityId],
}

impl Drop for InCare<'_> {
    fn drop(&mut self) {
        self.scopes.release(self.ids);
    }
}

impl Scopes {
    fn one(&self, place: &Place) -> Arc<tokio::sync::Mutex<Listed>> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.entry(place.clone()).or_default().clone()
    }

    fn cares(&self) -> MutexGuard<'_, HashMap<EntityId, Care>> {
        self.cares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operation of this process runs on these as long as the answer lives.
    pub(crate) fn take_care<'s>(&'s self, ids: &'s [EntityId]) -> InCare<'s> {
        let mut cares = self.cares();
        for id in ids {
            cares.entry(id.clone()).or_default().runs += 1;
        }
        InCare { scopes: self, ids }
    }

    /// It runs no more. What an event has shown meanwhile is still to be looked at.
    fn release(&self, ids: &[EntityId]) {
        let mut cares = self.cares();
        for id in ids {
            if let Entry::Occupied(mut care) = cares.entry(id.clone()) {
                care.get_mut().runs = care.get().runs.saturating_sub(1);
                if care.get().is_over() {
                    care.remove();
                }
            }
        }
    }

    /// These pictures are written: an event that showed the same told nothing new.
    pub(crate) fn settle(&self, written: &[Picture]) {
        let mut cares = self.cares();
        for picture in written {
            if let Some(care) = picture.mark.as_ref().and_then(|mark| cares.get_mut(mark))
                && care.shown.as_ref() == Some(picture)
            {
                care.shown = None;
            }
        }
    }

    /// Leaves what an event shows to the operation of this process that runs on the entity. Gives it back if none does.
    fn leave(&self, picture: Picture) -> Option<Picture> {
        let mut cares = self.cares();
        match picture.mark.as_ref().and_then(|mark| cares.get_mut(mark)) {
            Some(care) if care.runs > 0 => {
                care.shown = Some(picture);
                None
            }
            _ => Some(picture),
        }
    }

    /// Remembers what an event showed of an entity whose operation waits for a worker.
    fn mark(&self, id: EntityId, shown: Picture) {
        self.cares().entry(id).or_default().shown = Some(shown);
    }

    /// Whether an event has shown something of an entity that nobody has written.
    fn is_marked(&self, id: &EntityId) -> bool {
        self.cares().get(id).is_some_and(|care| care.shown.is_some())
    }

    /// The same, and forgets it.
    fn unmark(&self, id: &EntityId) -> bool {
        let mut cares = self.cares();
        let Entry::Occupied(mut care) = cares.entry(id.clone()) else {
            return false;
        };
        let shown = care.get_mut().shown.take();
        if care.get().is_over() {
            care.remove();
        }
        shown.is_some()
    }

    /// The entity's message tells of a failed operation, or no longer does.
    pub(crate) fn explain(&self, id: &EntityId, failed: bool) {
        let mut explained = self.explained.lock().unwrap_or_else(PoisonError::into_inner);
        if failed {
            explained.insert(id.clone());
        } else {
            explained.remove(id);
        }
    }

    fn is_explained(&self, id: &EntityId) -> bool {
        let explained = self.explained.lock().unwrap_or_else(PoisonError::into_inner);
        explained.contains(id)
    }
}

impl Inner {
    /// Sees to it that the pictures of these kinds in these native projects are as fresh as wanted, where their engine can
    /// be reached in time.
    pub(crate) async fn freshen(self: &Arc<Self>, projects: &[String], kinds: &[TypeId], wanted: Freshness) {
        let age = match wanted {
            Freshness::Any => return,
            Freshness::MaxAge(age) => age,
            Freshness::Now => Duration::ZERO,
        };
        let all = async {
            for links in [false, true] {
                let mut listings = Vec::new();
                for (place, carrier) in self.carriers.iter().enumerate() {
                    let wanted = kinds
                        .iter()
                        .filter(|kind| carrier.kind(kind).is_some() && self.base.is_link(kind.as_str()) == links);
                    for (kind, project) in wanted.flat_map(|kind| projects.iter().map(move |project| (kind, project))) {
                        listings.push(self.list_if_older((place, project.clone(), kind.clone()), age));
                    }
                }
                futures::stream::iter(listings)
                    .buffer_unordered(4)
                    .collect::<()>()
                    .await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!("a listing on demand did not come in time: what is remembered is shown");
        }
    }

    /// Lists a scope unless its last listing by this process began less than `age` ago. Who comes while one is under way
    /// shares the next one with all who do, whether it fails or not.
    async fn list_if_older(self: &Arc<Self>, place: Place, age: Duration) {
        let asked = Instant::now();
        let listed = self.scopes.one(&place).lock_owned().await;
        if !listed.is_enough(asked, age) {
            self.list(place, listed).await;
        }
    }

    /// Lists a scope, as soon as that may be: no listing that began before counts, nor one that failed.
    async fn list_anew(self: &Arc<Self>, place: Place) {
        let asked = Instant::now();
        loop {
            let listed = self.scopes.one(&place).lock_owned().await;
            if listed.told.is_some_and(|told| told >= asked) {
                return;
            }
            let rest = listed.rest();
            if rest.is_zero() {
                return self.list(place, listed).await;
            }
            drop(listed);
            tokio::time::sleep(rest).await;
        }
    }

    /// Lists a scope. Who asked may go at any time: others wait for the same, and what follows a commit has to follow it.
    async fn list(self: &Arc<Self>, place: Place, mut listed: OwnedMutexGuard<Listed>) {
        let inner = self.clone();
        let listing = async move {
            let (carrier, project, kind) = &place;
            let here = &inner.carriers[*carrier];
            let began = Instant::now();
            let Some(now_ms) = inner.fence_ms().await else {
                return;
            };
            // A cloud's listing may show the past: what we wrote since then is newer.
            let past = match here.capabilities().locality {
                Locality::Host => Duration::ZERO,
                Locality::Shared => here.capabilities().call_timeout,
            };
            let past_ms = i64::try_from(past.as_millis()).unwrap_or(i64::MAX);
            let at_ms = now_ms.saturating_sub(past_ms);
            let scope = Scope {
                project: project.clone(),
            };
            let told = here.backend.list(&scope, kind);
            let Some(told) = inner.stopping.run_until_cancelled(told).await else {
                return;
            };
            here.learn(&told);
            listed.tried = Some(began);
            match told {
                Ok(told) => {
                    let refresh = inner.refresh_of(*carrier, project, kind, told, at_ms).await;
                    if inner.believe(refresh).await {
                        listed.told = Some(began);
                    }
                }
                Err(error) => tracing::info!(
                    backend.name = %here.name,
                    kind = kind.term(),
                    context = error.context,
                    "failed to list: {error}"
                ),
            }
        };
        if let Err(error) = self.tasks.spawn(listing).await {
            tracing::error!(%error, "a listing broke off");
        }
    }

    /// Remembers which messages tell of failed operations, from before this process.
    pub(crate) async fn remember_failures(&self) -> Result<(), StoreError> {
        let newest = OperationQuery {
            limit: FAILURES,
            ..OperationQuery::default()
        };
        let mut seen = HashSet::new();
        let mut failed = Vec::new();
        for row in self.store.operations(&newest).await? {
            let is_newest = |entity: &EntityId| seen.insert(entity.clone());
            let entity = row.entity.filter(is_newest);
            if matches!(row.state, OperationState::Failed | OperationState::NeedsAttention) {
                failed.extend(entity);
            }
        }
        for row in self.store.entities(&failed).await? {
            self.scopes.explain(&row.id, true);
        }
        Ok(())
    }

    /// Lists everything as long as the engine lives.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            for carrier in &self.carriers {
                carrier.probe().await;
            }
            for carrier in 0..self.carriers.len() {
                for place in self.places(carrier).await {
                    if self.stopping.is_cancelled() {
                        return;
                    }
                    self.list_if_older(place, FLOOR).await;
                }
            }
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(self.config.refresh_interval) => {}
            }
        }
    }

    /// The backend has lost events: everything in it is listed, for nothing else tells what they were.
    async fn resync(self: &Arc<Self>, carrier: usize) {
        for place in self.places(carrier).await {
            if self.stopping.is_cancelled() {
                return;
            }
            self.list_anew(place).await;
        }
    }

    /// Every kind of every project of a backend, resources before links: the ends of a link have to be known.
    async fn places(&self, carrier: usize) -> Vec<Place> {
        let projects = match self.store.projects().await {
            Ok(projects) => projects,
            Err(error) => {
                tracing::error!(%error, "failed to read the projects");
                Vec::new()
            }
        };
        let declared = self.carriers[carrier].capabilities().kinds.iter();
        let mut kinds: Vec<_> = declared.map(|kind| kind.kind.clone()).collect();
        kinds.sort_by_key(|kind| self.base.is_link(kind.as_str()));
        let mut places = Vec::new();
        for project in projects {
            places.extend(kinds.iter().map(|kind| (carrier, project.name.clone(), kind.clone())));
        }
        places
    }

    /// Now, by the clock that also dates what we write: only so can a picture be seen to be older than a write.
    async fn fence_ms(&self) -> Option<i64> {
        let now_ms = self.store.now_ms().await;
        now_ms
            .inspect_err(|error| tracing::error!(%error, "failed to read the store's clock"))
            .ok()
    }

    /// A listing as the store takes it in.
    async fn refresh_of(
        &self,
        carrier: usize,
        project: &str,
        kind: &TypeId,
        listing: Listing,
        began_ms: i64,
    ) -> Refresh {
        let shown = listing.pictures.len();
        let observations = self.observations(carrier, project, listing.pictures).await;
        Refresh {
            backend: self.carriers[carrier].name.clone(),
            native_project: project.to_owned(),
            kind: kind.clone(),
            began_ms,
            complete: listing.complete && observations.len() == shown,
            observations,
        }
    }

    /// Takes in a listing, and says whether that was possible.
    async fn believe(&self, refresh: Refresh) -> bool {
        let are_links = self.base.is_link(refresh.kind.as_str());
        let unforgotten = self.hot.write();
        match self.store.refresh(refresh).await {
            Ok(refreshed) => {
                let written = || refreshed.changed.iter().chain(&refreshed.gone);
                match are_links && written().next().is_some() {
                    // Their sources are rendered with them.
                    true => drop(unforgotten),
                    false => unforgotten.forget(written()),
                }
                for id in &refreshed.gone {
                    self.scopes.explain(id, false);
                }
                // Who hears of it sees it.
                self.told(refreshed.event);
                true
            }
            Err(error) => {
                tracing::error!(%error, "failed to take in a listing");
                false
            }
        }
    }

    /// Takes in pictures that came with an answer or an event: they say nothing of what they do not show.
    pub(crate) async fn observe(&self, carrier: usize, project: &str, pictures: Vec<Picture>) {
        let mut by_kind: Vec<(TypeId, Vec<Picture>)> = Vec::new();
        for picture in pictures {
            match by_kind.iter_mut().find(|(kind, _)| *kind == picture.kind) {
                Some((_, same)) => same.push(picture),
                None => by_kind.push((picture.kind.clone(), vec![picture])),
            }
        }
        by_kind.sort_by_key(|(kind, _)| self.base.is_link(kind.as_str()));
        for (kind, pictures) in by_kind {
            let listing = Listing {
                pictures,
                complete: false,
            };
            // One millisecond on: the picture is newer than what we wrote in this one.
            let Some(now_ms) = self.fence_ms().await else {
                return;
            };
            let refresh = self.refresh_of(carrier, project, &kind, listing, now_ms + 1).await;
            self.believe(refresh).await;
        }
    }

    /// Looks at an entity again of which an event has shown what nobody has written, unless an operation is still open on
    /// it: then no picture is believed, and the end of the operation looks.
    pub(crate) async fn look_again(&self, entity: &EntityId) {
        if !self.scopes.is_marked(entity) {
            return;
        }
        let found = match self.store.entity(entity).await {
            Ok(Some(busy)) if busy.operation.is_some() => return,
            Ok(found) => found,
            Err(error) => return tracing::error!(entity.id = %entity, %error, "failed to look again"),
        };
        if self.scopes.unmark(entity)
            && let Some(found) = found
            && let Some(carrier) = self.carrier_of(&found)
        {
            self.see(carrier, &found).await;
        }
    }

    /// Looks at those links at an entity of which there is no picture among `seen`: their states follow from those of
    /// their ends.
    pub(crate) async fn look_at_links(&self, carrier: usize, entity: &EntityId, seen: &[Picture]) {
        let mut links = self
            .store
            .links_of(std::slice::from_ref(entity))
            .await
            .unwrap_or_default();
        links.extend(self.store.links_to(entity).await.unwrap_or_default());
        let unseen = |link: &EntityRow| !seen.iter().any(|picture| row::is_of(link, picture));
        for link in links.iter().filter(|link| link.backend.is_some() && unseen(link)) {
            self.see(carrier, link).await;
        }
    }

    /// Listens to a backend as long as the engine lives.
    pub(crate) async fn listen(self: Arc<Self>, carrier: usize) {
        let Some(mut events) = self.carriers[carrier].backend.events() else {
            return;
        };
        loop {
            let event = tokio::select! {
                () = self.stopping.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                Some(Event::Changed(picture)) => self.changed(carrier, *picture).await,
                Some(Event::Gone { kind, native_id }) => self.gone(carrier, &kind, native_id).await,
                Some(Event::Catalogue) => self.catalogue_changed().await,
                Some(Event::Resync) => self.resync(carrier).await,
                None => {
                    tracing::warn!(backend.name = %self.carriers[carrier].name, "the backend tells no more events");
                    return;
                }
            }
        }
    }

    async fn catalogue_changed(&self) {
        self.models.forget(None);
        let changed = Commit {
            writes: vec![Write::ModelChanged(None)],
            ..Commit::default()
        };
        if let Err(error) = self.commit(changed).await {
            tracing::error!(%error, "failed to tell that the model changed");
        }
    }

    /// An event waits in a stream, so its picture may be older than what we have written since: it only says where to
    /// look. What shows nothing new needs no look: whatever has come since then is told by an event of its own. Most
    /// events are of that kind, for they tell of what we did ourselves.
    async fn changed(&self, carrier: usize, picture: Picture) {
        let Some(picture) = self.scopes.leave(picture) else {
            return;
        };
        for known in self
            .known(carrier, &picture.kind, picture.mark.as_ref(), &picture.native_id)
            .await
        {
            let Some(operation) = known.operation else {
                if !row::says(&self.carriers[carrier], &known, &picture) {
                    self.see(carrier, &known).await;
                }
                continue;
            };
            // It waits for a worker: its end looks, unless that came before the mark.
            self.scopes.mark(known.id.clone(), picture.clone());
            self.look_again(&known.id).await;
            if self.waiting.verb(operation).is_none() {
                // Another node's: its end is not noticed here, and that node is told the same events.
                self.scopes.unmark(&known.id);
            }
        }
    }

    /// Asks the engine for the picture of one entity, and believes it unless somebody writes the entity meanwhile.
    async fn see(&self, carrier: usize, known: &EntityRow) {
        let asked_ms = loop {
            match self.fence_ms().await {
                None => return,
                Some(now_ms) if now_ms > known.modified_ms => break now_ms,
                // A picture taken in the millisecond of a write could be from before it.
                Some(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        let scope = Scope {
            project: known.native_project.clone(),
        };
        match self.carriers[carrier].backend.find(&scope, &row::target(known)).await {
            Ok(Some(picture)) if row::says(&self.carriers[carrier], known, &picture) => {}
            Ok(Some(picture)) => {
                let listing = Listing {
                    pictures: vec![picture],
                    complete: false,
                };
                let refresh = self
                    .refresh_of(carrier, &known.native_project, &known.kind, listing, asked_ms)
                    .await;
                self.believe(refresh).await;
            }
            // That it is gone is told by an event of its own, or by the next listings.
            Ok(None) => {}
            Err(error) => tracing::info!(entity.id = %known.id, context = error.context, "failed to look: {error}"),
        }
    }

    async fn gone(&self, carrier: usize, kind: &TypeId, native_id: String) {
        for known in self.known(carrier, kind, None, &native_id).await {
            // An operation that is open on it finds out by itself.
            if known.operation.is_some() {
                continue;
            }
            let commit = Commit {
                require: vec![Require::Idle(known.id.clone())],
                writes: vec![Write::RemoveEntity(known.id.clone())],
                audit: Vec::new(),
            };
            if let Err(error) = self.commit(commit).await {
                tracing::debug!(entity.id = %known.id, %error, "an event that it is gone is not believed");
            }
        }
    }

    /// The rows of a native object.
    async fn known(
        &self,
        carrier: usize,
        kind: &TypeId,
        mark: Option<&EntityId>,
        native_id: &String,
    ) -> Vec<EntityRow> {
        let backend = &self.carriers[carrier].name;
        if let Some(mark) = mark
            && let Ok(Some(found)) = self.store.entity(mark).await
            && found.backend.as_ref() == Some(backend)
        {
            return vec![found];
        }
        match self.store.natives(backend, kind, std::slice::from_ref(native_id)).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "failed to look up a native object");
                Vec::new()
            }
        }
    }

    /// Where an end of a native link leads, if that is known.
    pub(crate) async fn end_of(
        &self,
        carrier: usize,
        project: &str,
        end: &NativeRef,
    ) -> Option<(LinkEnd, Option<EntityId>)> {
        let key = (end.kind.clone(), end.native_id.clone());
        let mut found = self.ends(carrier, project, std::iter::once(end)).await.remove(&key);
        if found.is_none() {
            // A project's default network comes with its first compute.
            let scope = Scope {
                project: project.to_owned(),
            };
            let mark = end.mark.clone();
            let target = Target {
                kind: end.kind.clone(),
                mark: mark.or_else(|| native_entity_id(&self.carriers[carrier].name, &end.native_id))?,
                native_id: Some(end.native_id.clone()),
                project: None,
            };
            if let Ok(Some(picture)) = self.carriers[carrier].backend.find(&scope, &target).await {
                // In a box: taking in a link asks for its ends in turn.
                Box::pin(self.observe(carrier, project, vec![picture])).await;
                found = self.ends(carrier, project, std::iter::once(end)).await.remove(&key);
            }
        }
        found.map(|row| (link_end(&row), Some(row.id)))
    }

    /// The entities at the ends of native links.
    async fn ends(
        &self,
        carrier: usize,
        project: &str,
        ends: impl Iterator<Item = &NativeRef>,
    ) -> HashMap<(TypeId, String), EntityRow> {
        let mut found = HashMap::new();
        let mut marks = HashMap::new();
        let mut natives: HashMap<TypeId, Vec<String>> = HashMap::new();
        for end in ends {
            match &end.mark {
                Some(mark) => drop(marks.insert(mark.clone(), (end.kind.clone(), end.native_id.clone()))),
                None => natives.entry(end.kind.clone()).or_default().push(end.native_id.clone()),
            }
        }
        let ids: Vec<_> = marks.keys().cloned().collect();
        if let Ok(rows) = self.store.entities(&ids).await {
            for row in rows {
                if let Some(end) = marks.remove(&row.id) {
                    found.insert(end, row);
                }
            }
        }
        // A mark that we do not know: perhaps the object is known by its native id.
        for (kind, native_id) in marks.into_values() {
            natives.entry(kind).or_default().push(native_id);
        }
        for (kind, mut ids) in natives {
            ids.sort_unstable();
            ids.dedup();
            if let Ok(rows) = self.store.natives(&self.carriers[carrier].name, &kind, &ids).await {
                for row in rows {
                    // The same native id in the project of the link is the better match.
                    if let Some(native_id) = row.native_id.clone() {
                        let here = row.native_project == project;
                        let slot = found.entry((kind.clone(), native_id));
                        match slot {
                            Entry::Vacant(empty) => drop(empty.insert(row)),
                            Entry::Occupied(mut taken) if here => drop(taken.insert(row)),
                            Entry::Occupied(_) => {}
                        }
                    }
                }
            }
        }
        found
    }

    /// Pictures as the store takes them in. A link whose ends are not known yet is left out.
    async fn observations(&self, carrier: usize, project: &str, pictures: Vec<Picture>) -> Vec<Observation> {
        let refs = pictures
            .iter()
            .filter_map(|picture| picture.ends.as_ref())
            .flat_map(|ends| [&ends.source, &ends.target]);
        let ends = self.ends(carrier, project, refs).await;
        let end = |end: &NativeRef| ends.get(&(end.kind.clone(), end.native_id.clone()));
        let mut observations = Vec::with_capacity(pictures.len());
        for picture in pictures {
            let (owned_mixins, native) = (picture.mixins.clone(), picture.ends.clone());
            let Some(mut row) = self.new_row(carrier, project, picture) else {
                continue;
            };
            if let Some(native) = &native {
                let (Some(source), Some(target)) = (end(&native.source), end(&native.target)) else {
                    continue;
                };
                row.source = Some(source.id.clone());
                row.target = Some(link_end(target));
                row.target_id = Some(target.id.clone());
            }
            let declared = self.carriers[carrier].kind(&row.kind);
            let mut owned: Vec<_> = declared.map(|kind| kind.owned.clone()).unwrap_or_default();
            if self.scopes.is_explained(&row.id) {
                let message = row::message_attribute(&row.kind);
                owned.retain(|name| *name != message);
            }
            for (name, _) in row.attributes.iter() {
                if !owned.contains(name) {
                    owned.push(name.clone());
                }
            }
            observations.push(Observation {
                usage: quota::usage(&row.kind, &row.attributes),
                owned,
                owned_mixins,
                adopt: true,
                row,
            });
        }
        observations
    }

    /// How the row of a native object would look if it were new to us.
    fn new_row(&self, carrier: usize, project: &str, picture: Picture) -> Option<EntityRow> {
        let here = &self.carriers[carrier];
        let location = &self.base.kind(picture.kind.as_str())?.location;
        let id = match picture.mark {
            Some(mark) => mark,
            None => native_entity_id(&here.name, &picture.native_id)?,
        };
        let templates = [
            (TemplateKind::Os, &picture.os_template),
            (TemplateKind::Resource, &picture.resource_template),
        ];
        let mixins = templates
            .into_iter()
            .filter_map(|(kind, term)| Some(self.template_id(kind, term.as_ref()?)))
            .chain(picture.mixins)
            .collect();
        let now_ms = self.now_ms();
        Some(EntityRow {
            path: format!("{location}{id}"),
            project: project.to_owned(),
            owner: here.name.clone(),
            backend: Some(here.name.clone()),
            native_project: project.to_owned(),
            native_id: Some(picture.native_id),
            mixins,
            state: row::state_in(&picture.kind, &picture.attributes),
            attributes: picture.attributes,
            created_ms: now_ms,
            modified_ms: now_ms,
            untouched: false,
            ..row::blank(id, picture.kind)
        })
    }

    /// Fills in the native id of something that was made since it was named.
    pub(crate) async fn learn_native_id(&self, target: &mut Target) {
        if target.native_id.is_none()
            && let Ok(Some(found)) = self.store.entity(&target.mark).await
        {
            target.native_id = found.native_id;
        }
    }

    /// The backend that carries an entity out, if this process has it.
    pub(crate) fn carrier_of(&self, row: &EntityRow) -> Option<usize> {
        self.carrier_named(row.backend.as_deref()?)
    }

    /// The backend that a change of an entity goes to; none for what only the store holds.
    ///
    /// # Errors
    /// `Unavailable`: an earlier process had the backend, and this one was started without it. What is there goes on, so
    /// nothing may be said to have been done.
    pub(crate) fn carrier_for(&self, row: &EntityRow) -> Result<Option<usize>, EngineError> {
        let carrier = self.carrier_of(row);
        match &row.backend {
            Some(backend) if carrier.is_none() => Err(EngineError::new(
                FailureKind::Unavailable,
                format!(
                    "{} is in the backend {backend:?}, without which the service was started: it can be read and not changed",
                    row.path
                ),
            )),
            _ => Ok(carrier),
        }
    }
}

/// An end of a link, as it is rendered.
pub(crate) fn link_end(row: &EntityRow) -> LinkEnd {
    LinkEnd {
        location: row.path.clone(),
        kind: Some(row.kind.clone()),
    }
}

/// The id of an object that was made behind our back: its native id if that has the form of an id, else with the
/// backend's name and what does not fit replaced.
fn native_entity_id(backend: &str, native_id: &str) -> Option<EntityId> {
    native_id.parse().ok().or_else(|| {
        let fitting: String = native_id
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .collect();
        format!("{backend}-{fitting}").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_native_id_becomes_an_id_or_gets_the_backends_name() {
        let id = |native: &str| native_entity_id("cloud", native).map(|id| id.to_string());
        assert_eq!(id("42").as_deref(), Some("42"));
        assert_eq!(id("i-0abc").as_deref(), Some("i-0abc"));
        assert_eq!(id("a/b").as_deref(), Some("cloud-a_b"));
        assert_eq!(id("urn:x").as_deref(), Some("cloud-urn_x"));
    }
}
