//! Retrieving one entity (GFD.223, section 5.5.1).

use crate::engine::{Engine, Inner};
use crate::{Caller, Found, Freshness, Precondition, Result, place, policy};
use occi_model::Category;
use occi_store::EntityRow;
use std::sync::Arc;

impl Engine {
    /// One entity.
    ///
    /// # Errors
    /// `NotFound` also for what the caller may not see.
    pub async fn retrieve(&self, caller: &Caller, path: &str) -> Result<Found> {
        let inner = &self.inner;
        let path = place::of_entity(path);
        let last = path.rsplit('/').next().unwrap_or_default();
        let before = inner.hot.before(last);
        let (mut row, mut links) = inner.seen_with_links(caller, &path).await?;
        if caller.freshness != Freshness::Any {
            inner.freshen_row(&row, caller.freshness).await;
            (row, links) = inner.seen_with_links(caller, &path).await?;
        }
        if row.path == path
            && let Ok(carrier) = inner.carrier_for(&row)
        {
            inner.hot.remember(before, &row, carrier);
        }
        inner.show_one(caller, row, links).await
    }
}

impl Inner {
    /// The entity at a canonical path, if the caller sees it. A native id in the place of the id works too.
    pub(crate) async fn seen_at(&self, caller: &Caller, path: &str) -> Result<EntityRow> {
        if let Some(row) = policy::visible(caller, self.store.entity_at(path).await?) {
            return Ok(row);
        }
        if let Some((folder, native_id)) = path.rsplit_once('/')
            && let Some(Category::Kind(kind)) = self.base.at_location(&format!("{folder}/"))
        {
            let native_id = native_id.to_owned();
            for carrier in self.carriers.iter().filter(|carrier| carrier.kind(&kind.id).is_some()) {
                let known = self
                    .store
                    .natives(&carrier.name, &kind.id, std::slice::from_ref(&native_id))
                    .await?;
                if let Some(row) = known.into_iter().find_map(|row| policy::visible(caller, Some(row))) {
                    return Ok(row);
                }
            }
        }
        Err(policy::not_found(path))
    }

    /// The same, with the links that the entity owns.
    async fn seen_with_links(&self, caller: &Caller, path: &str) -> Result<(EntityRow, Vec<EntityRow>)> {
        if let Some((row, links)) = self.store.entity_at_with_links(path).await?
            && let Some(row) = policy::visible(caller, Some(row))
        {
            return Ok((row, links));
        }
        let row = self.seen_at(caller, path).await?;
        let links = self.store.links_of(std::slice::from_ref(&row.id)).await?;
        Ok((row, links))
    }

    /// The entity at a path as a client wrote it, if the caller sees and may change it.
    pub(crate) async fn changeable_at(
        &self,
        caller: &Caller,
        path: &str,
        precondition: &Precondition,
    ) -> Result<EntityRow> {
        let row = self.seen_at(caller, &place::of_entity(path)).await?;
        policy::may_change_row(caller, &row)?;
        check(precondition, &row)?;
        Ok(row)
    }

    async fn freshen_row(self: &Arc<Self>, row: &EntityRow, wanted: Freshness) {
        let mut kinds = vec![row.kind.clone()];
        if !self.base.is_link(row.kind.as_str()) {
            // A resource is rendered with its links.
            let links = self
                .base
                .kinds()
                .iter()
                .filter(|kind| self.base.is_link(kind.id.as_str()));
            kinds.extend(links.map(|kind| kind.id.clone()));
        }
        self.freshen(std::slice::from_ref(&row.native_project), &kinds, wanted)
            .await;
    }
}

/// Refuses what If-Match does not allow.
pub(crate) fn check(precondition: &Precondition, row: &EntityRow) -> Result<()> {
    match precondition {
        Precondition::None | Precondition::Exists => Ok(()),
        Precondition::Generations(wanted) if wanted.contains(&row.generation) => Ok(()),
        Precondition::Generations(_) => Err(crate::EngineError::new(
            crate::FailureKind::PreconditionFailed,
            format!(
                "{} has changed since: its generation is {} now",
                row.path, row.generation
            ),
        )),
    }
}
