//! Takes in listings.
//!
//! Most of a listing is known already. [`Refresh::differing`] compares it with the rows outside of the writer, and only
//! what seems to differ is judged again inside of its transaction. An entity that we write in between is protected by
//! its fence: the listing began before.

use crate::Result;
use crate::codec::{ENTITY, Stored, by_native_id, stored};
use crate::command::{Observation, OverQuota, Refresh, Refreshed};
use crate::row::EventRow;
use crate::tx::{Command, Locks, READING, Tx, params};
use crate::writing::Writing;
use occi_model::EntityId;

/// For so long after we removed it, a listing that still shows an object brings nothing back.
const TOMBSTONE_GRACE_MS: i64 = 10 * 60 * 1000;

/// So few observations are judged in the writer's transaction at once.
const FEW: usize = 64;

/// So many rows are read at a time.
const BATCH: usize = 1000;

/// What of a listing seems to differ.
pub(crate) struct Differing {
    /// The listing, with the observations that seem to differ or to be new.
    listing: Refresh,
    /// Entities of the scope that a complete listing did not show, or no longer misses.
    absent: Vec<EntityId>,
}

impl Refresh {
    /// Whether it goes to the writer as it is.
    pub(crate) fn is_short(&self) -> bool {
        !self.complete && self.observations.len() <= FEW
    }

    /// Leaves out what is known already.
    pub(crate) async fn differing<T: Tx>(mut self, tx: &mut T) -> Result<Differing> {
        if self.is_short() {
            return Ok(Differing {
                listing: self,
                absent: Vec::new(),
            });
        }
        let mut compared = Compared::new(&self);
        let sql = format!(
            "SELECT {ENTITY} FROM entity e WHERE e.hidden = 0 AND e.kind = ?1 AND e.seq > ?2 \
             AND e.backend = ?3 AND e.native_project = ?4 ORDER BY e.seq LIMIT {BATCH}"
        );
        // Hidden entities are in the care of the operation that hid them.
        let mut after = 0;
        loop {
            let params = params![&self.kind, after, &self.backend, &self.native_project];
            let (page, taken) = tx.rows_within(&sql, params, READING, stored).await?;
            let is_last = page.len() < BATCH && taken <= READING;
            let last = page.last().filter(|_| !is_last).map(|known| known.row.seq);
            page.into_iter().for_each(|known| compared.take(known));
            match last {
                Some(seq) => after = seq,
                None => break,
            }
        }
        let (same, absent) = compared.finish();
        let mut same = same.into_iter();
        self.observations.retain(|_| !same.next().unwrap_or_default());
        Ok(Differing { listing: self, absent })
    }

    /// Whether the entity that bears the id of the observation is the observed object: an id can also be a native id that
    /// another object of another place bears too.
    fn is_of(&self, known: &Stored, observation: &Observation) -> bool {
        let (row, seen) = (&known.row, &observation.row);
        row.backend.as_ref() == Some(&self.backend)
            && row.kind == self.kind
            && match (&row.native_id, &seen.native_id) {
                (Some(known), Some(seen)) => known == seen && row.native_project == self.native_project,
                _ => true,
            }
    }

    /// Whether the listing knows more than the row.
    fn may_touch(&self, known: &Stored) -> bool {
        known.row.operation.is_none() && !known.row.hidden && known.fence_ms < self.began_ms
    }

    /// The entity as the observation shows it; none if that is no difference or must not be believed.
    fn picture(&self, known: &Stored, observation: &Observation) -> Option<Stored> {
        if !self.may_touch(known) {
            return None;
        }
        let Observation {
            row: seen,
            owned,
            owned_mixins,
            usage,
            adopt: _,
        } = observation;
        let mut new = known.clone();
        let row = &mut new.row;
        for name in owned {
            match seen.attributes.get(name.as_str()) {
                Some(value) => drop(row.attributes.set(name.clone(), value.clone())),
                None => drop(row.attributes.remove(name.as_str())),
            }
        }
        row.mixins
            .retain(|mixin| !owned_mixins.contains(mixin) || seen.mixins.contains(mixin));
        for mixin in seen.mixins.iter().filter(|mixin| owned_mixins.contains(mixin)) {
            if !row.mixins.contains(mixin) {
                row.mixins.push(mixin.clone());
            }
        }
        row.native_id = seen.native_id.clone().or_else(|| row.native_id.take());
        row.state = seen.state.clone();
        if seen.source.is_some() {
            row.source = seen.source.clone();
        }
        if seen.target.is_some() {
            row.target = seen.target.clone();
            row.target_id = seen.target_id.clone();
        }
        new.usage = *usage;
        new.missed_ms = None;
        if new == *known {
            return None;
        }
        // Another listing that began at the same time knows as much.
        new.fence_ms = known.fence_ms.max(self.began_ms - 1);
        Some(new)
    }

    async fn find<T: Tx>(&self, writing: &mut Writing<'_, T>, observation: &Observation) -> Result<Option<Stored>> {
        let by_id = writing
            .stored(&observation.row.id)
            .await?
            .filter(|known| self.is_of(known, observation));
        if by_id.is_some() {
            return Ok(by_id);
        }
        let place = "e.backend = ?1 AND e.native_project = ?2 AND e.kind = ?3";
        let sql = by_native_id(ENTITY, "= ?4", place);
        let native_id = observation.row.native_id.as_ref();
        writing
            .tx
            .row(
                &sql,
                params![&self.backend, &self.native_project, &self.kind, native_id],
                stored,
            )
            .await
    }

    /// Adopts an object that we do not know, unless we removed it a moment ago, or its project.
    async fn adopt<T: Tx>(&self, writing: &mut Writing<'_, T>, observation: &Observation) -> Result<()> {
        let sql = "SELECT removed_ms FROM tombstone WHERE (id = ?1 OR (backend = ?2 AND native_project = ?3 \
                   AND kind = ?4 AND native_id = ?5)) AND removed_ms >= ?6";
        let native_id = observation.row.native_id.as_deref();
        let params = params![
            &observation.row.id,
            &self.backend,
            &self.native_project,
            &self.kind,
            native_id,
            self.began_ms.saturating_sub(TOMBSTONE_GRACE_MS)
        ];
        if writing.tx.row(sql, params, |cells| cells.int()).await?.is_some() {
            return Ok(());
        }
        if writing.project(&observation.row.project).await?.is_none() {
            return Ok(());
        }
        let (usage, fence_ms) = (observation.usage, self.began_ms - 1);
        let mut new = observation.row.clone();
        if writing.insert(&new, usage, fence_ms, OverQuota::Count).await? {
            return Ok(());
        }
        // The id of another object: the backend's name tells them apart.
        let wanted = new.id.to_string();
        let second = format!("{}-{}", self.backend, native_id.unwrap_or(&wanted)).parse::<EntityId>();
        if let Ok(id) = second {
            if let Some(folder) = new.path.strip_suffix(&wanted) {
                new.path = format!("{folder}{id}");
            }
            new.id = id;
            if writing.insert(&new, usage, fence_ms, OverQuota::Count).await? {
                return Ok(());
            }
        }
        tracing::warn!(
            entity.id = wanted,
            backend.name = self.backend,
            "an object cannot be adopted: its id is taken"
        );
        Ok(())
    }
}

/// A listing beside what we know of its scope, which is looked at row by row and not held.
struct Compared<'l> {
    listing: &'l Refresh,
    /// The observations by id and by native id, ordered.
    by_id: Vec<(&'l str, usize)>,
    by_native: Vec<(&'l str, usize)>,
    /// What is known of each observation.
    seen: Vec<Seen>,
    /// Rows that only a native id leads to: another row may have the id of the observation.
    by_native_only: Vec<Stored>,
    absent: Vec<EntityId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nowhere,
    Same,
    Different,
}

impl<'l> Compared<'l> {
    fn new(listing: &'l Refresh) -> Self {
        let observations = || {
            listing
                .observations
                .iter()
                .map(|observation| &observation.row)
                .enumerate()
        };
        let mut by_id: Vec<_> = observations().map(|(at, row)| (row.id.as_str(), at)).collect();
        let mut by_native: Vec<_> = observations()
            .filter_map(|(at, row)| Some((row.native_id.as_deref()?, at)))
            .collect();
        by_id.sort_unstable();
        by_native.sort_unstable();
        Self {
            listing,
            by_id,
            by_native,
            seen: vec![Seen::Nowhere; listing.observations.len()],
            by_native_only: Vec::new(),
            absent: Vec::new(),
        }
    }

    /// Looks at one row of the scope.
    fn take(&mut self, known: Stored) {
        let listing = self.listing;
        let mut is_shown = false;
        for at in among(&self.by_id, known.row.id.as_str()) {
            if listing.is_of(&known, &listing.observations[at]) {
                self.seen[at] = self.compare(&known, at);
                is_shown = true;
            }
        }
        if is_shown {
            return;
        }
        let native_id = known.row.native_id.as_deref();
        if native_id.is_some_and(|id| among(&self.by_native, id).next().is_some()) {
            self.by_native_only.push(known);
        } else {
            self.miss(&known);
        }
    }

    fn compare(&self, known: &Stored, at: usize) -> Seen {
        match self.listing.picture(known, &self.listing.observations[at]) {
            None => Seen::Same,
            Some(_) => Seen::Different,
        }
    }

    /// What never was in the engine, or was removed there by us, cannot be missing: its message says what happened.
    fn miss(&mut self, known: &Stored) {
        if self.listing.complete && known.row.native_id.is_some() && self.listing.may_touch(known) {
            self.absent.push(known.row.id.clone());
        }
    }

    /// Which observations are known already, and which entities were not shown.
    fn finish(mut self) -> (Vec<bool>, Vec<EntityId>) {
        for known in std::mem::take(&mut self.by_native_only) {
            let native_id = known.row.native_id.as_deref().unwrap_or_default();
            let unclaimed = among(&self.by_native, native_id).find(|at| self.seen[*at] == Seen::Nowhere);
            match unclaimed {
                Some(at) => self.seen[at] = self.compare(&known, at),
                None => self.miss(&known),
            }
        }
        let same = self.seen.iter().map(|seen| *seen == Seen::Same).collect();
        (same, self.absent)
    }
}

/// The places of `key` in an ordered list.
fn among<'a>(list: &'a [(&str, usize)], key: &str) -> impl Iterator<Item = usize> + use<'a> {
    let from = list.partition_point(|(known, _)| *known < key);
    let to = from + list[from..].partition_point(|(known, _)| *known == key);
    list[from..to].iter().map(|(_, at)| *at)
}

impl Command for Differing {
    type Output = Refreshed;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Refreshed> {
        let listing = &self.listing;
        let mut writing = Writing::new(tx).await?;
        if listing.is_newest(&mut writing).await? {
            if T::SHARED {
                self.lock(&mut writing).await?;
            }
            for observation in &listing.observations {
                listing.take_in(&mut writing, observation).await?;
            }
            for id in &self.absent {
                listing.miss(&mut writing, id).await?;
            }
        }
        let (committed, events) = writing.finish().await?;
        let (gone, changed): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.what == "deleted");
        let ids = |events: Vec<EventRow>| events.into_iter().filter_map(|event| event.entity).collect();
        Ok(Refreshed {
            event: committed.event,
            changed: ids(changed),
            gone: ids(gone),
        })
    }
}

impl Differing {
    async fn lock<T: Tx>(&self, writing: &mut Writing<'_, T>) -> Result<()> {
        let mut entities: Vec<String> = self.absent.iter().map(EntityId::to_string).collect();
        let mut projects = Vec::new();
        for observation in &self.listing.observations {
            match self.listing.find(writing, observation).await? {
                Some(known) => entities.push(known.row.id.to_string()),
                None if observation.adopt => projects.push(observation.row.project.clone()),
                None => {}
            }
        }
        projects.dedup();
        writing
            .tx
            .lock(Locks {
                projects,
                entities,
                ..Locks::default()
            })
            .await
    }
}

impl Refresh {
    async fn take_in<T: Tx>(&self, writing: &mut Writing<'_, T>, observation: &Observation) -> Result<()> {
        match self.find(writing, observation).await? {
            Some(known) => match self.picture(&known, observation) {
                Some(new) => writing.update(&known, new, OverQuota::Count).await.map(drop),
                None => Ok(()),
            },
            None if observation.adopt => self.adopt(writing, observation).await,
            None => Ok(()),
        }
    }

    /// A complete listing did not show the entity: the second time it is gone.
    async fn miss<T: Tx>(&self, writing: &mut Writing<'_, T>, id: &EntityId) -> Result<()> {
        let Some(known) = writing.stored(id).await?.filter(|known| self.may_touch(known)) else {
            return Ok(());
        };
        match known.missed_ms {
            Some(first) if first < self.began_ms => writing.remove(known, false).await,
            Some(_) => Ok(()),
            None => {
                let missed = Stored {
                    missed_ms: Some(self.began_ms),
                    ..known.clone()
                };
                writing.update(&known, missed, OverQuota::Count).await.map(drop)
            }
        }
    }

    /// False if a complete listing that began later was taken in already. Notes when a complete listing began.
    async fn is_newest<T: Tx>(&self, writing: &mut Writing<'_, T>) -> Result<bool> {
        if self.complete {
            let sql = "INSERT INTO scope (backend, native_project, kind, as_of_ms) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT (backend, native_project, kind) DO UPDATE SET as_of_ms = excluded.as_of_ms \
                       WHERE scope.as_of_ms <= excluded.as_of_ms";
            let params = params![&self.backend, &self.native_project, &self.kind, self.began_ms];
            return Ok(writing.tx.execute(sql, params).await? > 0);
        }
        let as_of = crate::read::as_of(writing.tx, &self.backend, &self.native_project, self.kind.as_str()).await?;
        Ok(as_of.is_none_or(|as_of| as_of <= self.began_ms))
    }
}
