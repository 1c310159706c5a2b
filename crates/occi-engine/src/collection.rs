//! Collections: what is in them, by page or as a stream (GFD.223, sections 5.6 and 5.8).

use crate::engine::{Engine, Inner};
use crate::{
    Caller, EngineError, FailureKind, Freshness, Listing, ListingHead, Page, PathListing, ProjectModel, Result,
    Selection, Shown, Stamp, Where, policy,
};
use futures::stream::{BoxStream, Stream, StreamExt, TryStreamExt};
use occi_model::{Category, TypeId, core};
use occi_store::{Cursor, EntityQuery, EntityRow, Listed};
use std::sync::Arc;

/// So many entities are read and shown at a time.
const BATCH: u32 = 500;

impl Engine {
    /// The entities of a collection; all of them without `page`. What the caller has of an entity that did not change
    /// since is not read again: `known` gives it by stamp.
    ///
    /// # Errors
    /// `NotFound`: an unknown category in the selection, or an unbound path with nothing below.
    /// `TooLarge`: a page above the limit.
    pub async fn list<K: Send + 'static>(
        &self,
        caller: &Caller,
        at: &Where,
        selection: &Selection,
        page: Option<Page>,
        known: impl Fn(Stamp) -> Option<K> + Send + Sync + 'static,
    ) -> Result<Listing<K>> {
        let (listed, query, head) = self.inner.listed(caller, at, selection, page).await?;
        let (inner, caller) = (self.inner.clone(), caller.clone());
        let entities = listed
            .map_ok(move |listed| {
                let looked_up = inner.look_up(listed, &known);
                inner.clone().read_missing(caller.clone(), query.clone(), looked_up)
            })
            .try_flatten()
            .map_ok(|part| futures::stream::iter(part.into_iter().map(Ok::<_, EngineError>)))
            .try_flatten()
            .boxed();
        Ok(Listing { entities, head })
    }

    /// The same, paths only: cheaper.
    ///
    /// # Errors
    /// As [`Engine::list`].
    pub async fn list_paths(
        &self,
        caller: &Caller,
        at: &Where,
        selection: &Selection,
        page: Option<Page>,
    ) -> Result<PathListing> {
        let (listed, _, head) = self.inner.listed(caller, at, selection, page).await?;
        let paths = listed
            .map_ok(|batch| batch.into_iter().map(|listed| listed.path).collect())
            .boxed();
        Ok(PathListing { paths, head })
    }
}

impl Inner {
    /// What is in a collection, in batches, and the query that they answer.
    async fn listed(
        self: &Arc<Self>,
        caller: &Caller,
        at: &Where,
        selection: &Selection,
        page: Option<Page>,
    ) -> Result<(BoxStream<'static, Result<Vec<Listed>>>, EntityQuery, ListingHead)> {
        if let Some(page) = page
            && page.number > self.config.page_max
        {
            return Err(EngineError::new(
                FailureKind::TooLarge,
                format!(
                    "a page holds at most {} entities, not {}",
                    self.config.page_max, page.number
                ),
            ));
        }
        let model = self.model_for(caller).await?;
        let whole = self.query(caller, &model, at, selection)?;
        if caller.freshness != Freshness::Any {
            let kinds = match whole.kinds.as_slice() {
                [] => self.base.kinds().iter().map(|kind| kind.id.clone()).collect(),
                kinds => kinds.to_vec(),
            };
            let projects = match &caller.project {
                Some(project) => vec![project.clone()],
                None if caller.principal.operator => self
                    .store
                    .projects()
                    .await?
                    .into_iter()
                    .map(|project| project.name)
                    .collect(),
                None => caller.principal.projects.iter().map(|(name, _)| name.clone()).collect(),
            };
            self.freshen(&projects, &kinds, caller.freshness).await;
        }
        let mut head = ListingHead {
            // Taken before the rows are read: what changes in between counts as a change.
            generation: self.newest_event(),
            stale: self.stale_of(caller, &whole.kinds).await,
            more: false,
        };
        let mut query = EntityQuery {
            limit: BATCH,
            ..whole.clone()
        };
        if let Some(page) = page {
            query.offset = page.page.max(1).saturating_sub(1).saturating_mul(page.number.into());
            query.limit = page.number.saturating_add(1);
        }
        let mut first = self.store.list(&query).await?;
        if first.is_empty()
            && let Where::Unbound(path) = at
            && path != "/"
        {
            let anything = EntityQuery {
                below: query.below.clone(),
                limit: 1,
                ..EntityQuery::new(policy::eyes(caller))
            };
            if self.store.list(&anything).await?.is_empty() {
                return Err(policy::not_found(path));
            }
        }
        if let Some(page) = page {
            let number = page.number as usize;
            head.more = first.len() > number;
            first.truncate(number);
            return Ok((futures::stream::once(async { Ok(first) }).boxed(), whole, head));
        }
        let store = self.store.clone();
        let rest = futures::stream::try_unfold(Some((first, query)), move |state| {
            let store = store.clone();
            async move {
                let Some((batch, mut query)) = state else {
                    return Ok(None);
                };
                let next = match batch.last().filter(|_| batch.len() == BATCH as usize) {
                    Some(last) => {
                        query.after = Some(Cursor(last.seq));
                        let next = store.list(&query).await?;
                        (!next.is_empty()).then_some((next, query))
                    }
                    None => None,
                };
                Ok::<_, EngineError>(Some((batch, next)))
            }
        });
        Ok((rest.boxed(), whole, head))
    }

    /// What the caller has of each entity.
    fn look_up<K>(&self, listed: Vec<Listed>, known: impl Fn(Stamp) -> Option<K>) -> Vec<(Stamp, Option<Shown<K>>)> {
        let look_up = |listed: Listed| {
            let stamp = Stamp {
                seq: listed.seq,
                generation: listed.generation,
            };
            let known = known(stamp).map(|known| Shown::Known {
                known,
                is_link: self.base.is_link(listed.kind.as_str()),
            });
            (stamp, known)
        };
        listed.into_iter().map(look_up).collect()
    }

    /// Reads what the caller does not have, in parts that are small enough. What has left the collection meanwhile is left
    /// out.
    fn read_missing<K: Send + 'static>(
        self: Arc<Self>,
        caller: Caller,
        query: EntityQuery,
        listed: Vec<(Stamp, Option<Shown<K>>)>,
    ) -> impl Stream<Item = Result<Vec<Shown<K>>>> + Send {
        futures::stream::try_unfold(listed, move |mut listed| {
            let (inner, caller, query) = (self.clone(), caller.clone(), query.clone());
            async move {
                if listed.is_empty() {
                    return Ok(None);
                }
                let missing = listed.iter().filter(|(_, known)| known.is_none());
                let among: Vec<_> = missing.map(|(stamp, _)| stamp.seq).collect();
                let (mut found, mut upto) = (Vec::new(), None);
                if let Ok(limit @ 1..) = u32::try_from(among.len()) {
                    let query = EntityQuery { among, limit, ..query };
                    let rows = inner.store.select(&query).await?;
                    upto = rows.last().map(|row| row.seq);
                    found = inner.show_all(&caller, rows).await?;
                }
                let end = match upto {
                    Some(upto) => listed.partition_point(|(stamp, _)| stamp.seq <= upto),
                    None => listed.len(),
                };
                let left = listed.split_off(end);
                let mut found = found.into_iter().peekable();
                let shown = |(stamp, known): (Stamp, Option<Shown<K>>)| {
                    known.or_else(|| found.next_if(|found| found.seq == stamp.seq).map(Shown::Found))
                };
                Ok(Some((listed.into_iter().filter_map(shown).collect(), left)))
            }
        })
    }

    /// All rows of a collection, for verbs about its members: what is only shown to the caller is none of them.
    pub(crate) async fn members(
        &self,
        caller: &Caller,
        model: &ProjectModel,
        at: &Where,
        selection: &Selection,
    ) -> Result<Vec<EntityRow>> {
        let mut query = self.query(caller, model, at, selection)?;
        query.limit = BATCH;
        let mut all: Vec<EntityRow> = Vec::new();
        loop {
            let page = self.store.select(&query).await?;
            let last = page.last().map(|row| row.seq);
            all.extend(page.into_iter().filter(|row| policy::is_own(caller, row)));
            match last {
                Some(seq) => query.after = Some(Cursor(seq)),
                None => return Ok(all),
            }
        }
    }

    /// What the store is asked for.
    fn query(&self, caller: &Caller, model: &ProjectModel, at: &Where, selection: &Selection) -> Result<EntityQuery> {
        let mut query = EntityQuery {
            project: caller.project.clone(),
            attributes: selection.attributes.clone(),
            contains: selection.contains.clone(),
            ..EntityQuery::new(policy::eyes(caller))
        };
        let mut kinds: Option<Vec<TypeId>> = None;
        match at {
            Where::Kind(id) => narrow(&mut kinds, self.kinds_under(id)),
            Where::Mixin(id) => query.mixins.push(with_dependents(model, id)),
            Where::Unbound(path) => query.below = Some(path.clone()),
            Where::Query | Where::Entity(_) => {
                return Err(EngineError::new(
                    FailureKind::NotAllowed,
                    "this is no collection of entities",
                ));
            }
        }
        for id in &selection.categories {
            match model.registry.category(id.as_str()) {
                Some(Category::Kind(kind)) => narrow(&mut kinds, self.kinds_under(&kind.id)),
                Some(Category::Mixin(mixin)) => query.mixins.push(with_dependents(model, &mixin.id)),
                Some(Category::Action(_)) => {
                    return Err(EngineError::new(
                        FailureKind::Invalid,
                        format!("{id} is an action: entities have kinds and mixins"),
                    ));
                }
                None => {
                    return Err(EngineError::new(
                        FailureKind::NotFound,
                        format!("there is no category {id}"),
                    ));
                }
            }
        }
        query.kinds = match kinds {
            None => Vec::new(),
            // Nothing has two kinds: a kind that no entity has.
            Some(kinds) if kinds.is_empty() => vec![self.base.kinds()[0].id.clone()],
            Some(kinds) => kinds,
        };
        Ok(query)
    }

    /// The kinds whose entities a kind's collection shows: a base kind shows its descendants, any other itself. Empty for
    /// `entity`, which shows everything.
    fn kinds_under(&self, id: &TypeId) -> Option<Vec<TypeId>> {
        match id.as_str() {
            core::ENTITY => None,
            core::RESOURCE | core::LINK => Some(
                self.base
                    .kinds()
                    .iter()
                    .filter(|kind| self.base.descends_from(kind.id.as_str(), id.as_str()))
                    .map(|kind| kind.id.clone())
                    .collect(),
            ),
            _ => Some(vec![id.clone()]),
        }
    }

    /// The age of the oldest picture and the backends that cannot be reached, if there are such backends.
    async fn stale_of(&self, caller: &Caller, kinds: &[TypeId]) -> Option<(std::time::Duration, Vec<String>)> {
        let mut down = Vec::new();
        let mut oldest_ms = self.now_ms();
        for carrier in self.carriers.iter().filter(|carrier| !carrier.is_reached()) {
            let declared = &carrier.capabilities().kinds;
            let listed: Vec<_> = declared
                .iter()
                .map(|kind| &kind.kind)
                .filter(|kind| kinds.is_empty() || kinds.contains(kind))
                .collect();
            if listed.is_empty() {
                continue;
            }
            for kind in listed {
                let as_of = self
                    .store
                    .as_of(&carrier.name, caller.effective_project(), kind.as_str())
                    .await;
                if let Ok(Some(as_of)) = as_of {
                    oldest_ms = oldest_ms.min(as_of);
                }
            }
            down.push(carrier.name.clone());
        }
        let age_ms = u64::try_from(self.now_ms().saturating_sub(oldest_ms)).unwrap_or_default();
        (!down.is_empty()).then(|| (std::time::Duration::from_millis(age_ms), down))
    }
}

/// Keeps what is in both.
fn narrow(kinds: &mut Option<Vec<TypeId>>, to: Option<Vec<TypeId>>) {
    *kinds = match (kinds.take(), to) {
        (Some(kinds), Some(to)) => Some(kinds.into_iter().filter(|kind| to.contains(kind)).collect()),
        (kinds, to) => kinds.or(to),
    };
}

/// A mixin and those that depend on it: association with one puts an entity into the collections of all that it depends
/// on.
fn with_dependents(model: &ProjectModel, id: &TypeId) -> Vec<TypeId> {
    let mixins = model.registry.mixins().iter();
    let dependents =
        mixins.filter(|mixin| mixin.id != *id && model.registry.depends_on(mixin.id.as_str(), id.as_str()));
    std::iter::once(id.clone())
        .chain(dependents.map(|mixin| mixin.id.clone()))
        .collect()
}
