//! The writes of entities in one transaction, and the events that tell of them.

use crate::codec::{
    self, ENTITY, Stored, by_native_id, insert_event, shares, stored, title, write_usage, write_visibility,
};
use crate::command::{Committed, OverQuota};
use crate::error::Refused;
use crate::json::{write_attributes, write_types};
use crate::row::{EntityRow, EventRow, OperationState, Project, Quota, Usage, Visibility};
use crate::tx::{Cells, Param, Tx, params};
use crate::{Result, StoreError, read};
use occi_model::{EntityId, TypeId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use uuid::Uuid;

/// How far an operation is.
pub(crate) struct Heard {
    pub(crate) operation: Uuid,
    pub(crate) state: OperationState,
    pub(crate) entity: Option<EntityId>,
    pub(crate) path: Option<String>,
    pub(crate) project: String,
}

impl Heard {
    /// The columns that [`Heard::of`] reads, in their order.
    pub(crate) const COLUMNS: &'static str = "entity, path, project";

    /// Of the row of an operation.
    pub(crate) fn of(operation: Uuid, state: OperationState, cells: &mut Cells<'_>) -> Result<Self> {
        Ok(Self {
            operation,
            state,
            entity: cells.opt_parse()?,
            path: cells.opt_string()?,
            project: cells.string()?,
        })
    }
}

/// A transaction that writes entities. [`Writing::finish`] numbers the events, as its last step.
pub(crate) struct Writing<'t, T> {
    pub(crate) tx: &'t mut T,
    pub(crate) now_ms: i64,
    events: Vec<EventRow>,
    heard: Vec<Heard>,
    generations: BTreeMap<EntityId, i64>,
    /// What was changed by a write of its own: of what a listing or a mixin changes there may be very much.
    pub(crate) changed: BTreeMap<EntityId, EntityRow>,
    /// Sources of links that were written: they are rendered with their links.
    sources: BTreeSet<EntityId>,
    /// Entities whose generation is new anyway.
    grown: BTreeSet<EntityId>,
    /// How many entities will be new, as far as known.
    expected: i64,
    /// The places in the order of creation that are taken for them.
    places: Range<i64>,
}

impl<'t, T: Tx> Writing<'t, T> {
    pub(crate) async fn new(tx: &'t mut T) -> Result<Self> {
        let now_ms = tx.now_ms().await?;
        Ok(Self {
            tx,
            now_ms,
            events: Vec::new(),
            heard: Vec::new(),
            generations: BTreeMap::new(),
            changed: BTreeMap::new(),
            sources: BTreeSet::new(),
            grown: BTreeSet::new(),
            expected: 0,
            places: 0..0,
        })
    }

    /// So many entities will be new: their places are taken at once.
    pub(crate) fn expect(&mut self, new: usize) {
        self.expected = i64::try_from(new).unwrap_or_default();
    }

    async fn next_place(&mut self) -> Result<i64> {
        if self.places.is_empty() {
            let wanted = self.expected.max(1);
            let last = self.count_up("entity", wanted).await?;
            self.places = last - wanted + 1..last + 1;
            self.expected = 0;
        }
        self.places
            .next()
            .ok_or_else(|| StoreError::Corrupt("no place for an entity".to_owned()))
    }

    pub(crate) async fn stored(&mut self, id: &EntityId) -> Result<Option<Stored>> {
        self.tx
            .row(
                &format!("SELECT {ENTITY} FROM entity e WHERE e.id = ?1"),
                params![id],
                stored,
            )
            .await
    }

    /// Writes a new entity of a project that exists; false if its id, path or native id is taken.
    pub(crate) async fn insert(
        &mut self,
        row: &EntityRow,
        usage: Usage,
        fence_ms: i64,
        quota: OverQuota,
    ) -> Result<bool> {
        let limits = self.quota_of(&row.project).await?;
        let limits = (quota == OverQuota::Refuse).then_some(limits);
        if row.native_id.is_some() {
            let sql = by_native_id("1", "= ?1", "e.backend = ?2 AND e.kind = ?3 AND e.native_project = ?4");
            let params = params![
                row.native_id.as_ref(),
                row.backend.as_ref(),
                &row.kind,
                &row.native_project
            ];
            if self.tx.row(&sql, params, |cells| cells.int()).await?.is_some() {
                return Ok(false);
            }
        }
        let seq = self.next_place().await?;
        if !codec::insert_entity(self.tx, seq, row, &usage, fence_ms).await? {
            return Ok(false);
        }
        for mixin in &row.mixins {
            self.associate(mixin, seq).await?;
        }
        self.share(row, seq).await?;
        self.account(&row.project, Usage::default(), usage, limits).await?;
        self.tell("created", row);
        self.grown.insert(row.id.clone());
        self.note(row);
        self.sources.extend(row.source.clone());
        Ok(true)
    }

    /// Makes `old` into `new`, whose generation is set here: what it is then. Tells nothing if only the times of `new` differ.
    pub(crate) async fn update(&mut self, old: &Stored, mut new: Stored, quota: OverQuota) -> Result<EntityRow> {
        new.row.generation = old.row.generation + i64::from(looks_different(&old.row, &new.row));
        let (was, now) = (&old.row, &new.row);
        let Set { mut sql, mut params } = Set::between(old, &new)?;
        if !params.is_empty() {
            params.push(was.seq.into());
            sql.push_str(&format!(" WHERE seq = ?{}", params.len()));
            let native_id = now.native_id.as_ref().filter(|_| was.native_id != now.native_id);
            if let Some(native_id) = native_id {
                // A violated index would break the transaction.
                let at = params.len();
                let others = format!(
                    "e.backend = ?{} AND e.kind = ?{} AND e.native_project = ?{} AND e.seq <> ?{at}",
                    at + 1,
                    at + 2,
                    at + 4
                );
                let others = by_native_id("1", &format!("= ?{}", at + 3), &others);
                sql.push_str(&format!(" AND NOT EXISTS ({others})"));
                let taken_by: [Param<'_>; 4] = [
                    now.backend.as_ref().into(),
                    (&now.kind).into(),
                    native_id.into(),
                    (&now.native_project).into(),
                ];
                params.extend(taken_by);
            }
            if self.tx.execute(&sql, &params).await? == 0
                && let Some(native_id) = native_id
            {
                return Err(taken("native id", native_id).into());
            }
        }
        if was.mixins != now.mixins {
            for mixin in was.mixins.iter().filter(|mixin| !now.mixins.contains(mixin)) {
                self.dissociate(mixin, was.seq).await?;
            }
            for mixin in now.mixins.iter().filter(|mixin| !was.mixins.contains(mixin)) {
                self.associate(mixin, was.seq).await?;
            }
        }
        if was.visibility != now.visibility {
            self.unshare(was).await?;
            self.share(now, now.seq).await?;
        }
        let limits = match quota {
            OverQuota::Refuse if old.usage != new.usage => Some(self.quota_of(&was.project).await?),
            OverQuota::Refuse | OverQuota::Count => None,
        };
        self.account(&was.project, old.usage, new.usage, limits).await?;
        self.note(now);
        if was.generation != now.generation || was.untouched != now.untouched {
            let what = match (was.hidden, now.hidden) {
                (_, true) => "deleted",
                (true, false) => "created",
                (false, false) => "changed",
            };
            self.tell(what, now);
            // Who saw it and does not any more has to learn that.
            if let Some(event) = self.events.last_mut() {
                event.visibility = either(&was.visibility, &now.visibility);
            }
        }
        if was.generation != now.generation {
            self.grown.insert(was.id.clone());
            self.sources
                .extend([&was.source, &now.source].into_iter().flatten().cloned());
        }
        Ok(new.row)
    }

    /// Removes an entity, the links that it owns and those that lead to it. `bury` leaves tombstones for what listings
    /// may still show.
    pub(crate) async fn remove(&mut self, first: Stored, bury: bool) -> Result<()> {
        let mut left = vec![first];
        while let Some(Stored { row, usage, .. }) = left.pop() {
            if self
                .tx
                .execute("DELETE FROM entity WHERE seq = ?1", params![row.seq])
                .await?
                == 0
            {
                continue;
            }
            for mixin in &row.mixins {
                self.dissociate(mixin, row.seq).await?;
            }
            self.unshare(&row).await?;
            self.changed.remove(&row.id);
            self.account(&row.project, usage, Usage::default(), None).await?;
            if bury {
                self.bury(&row).await?;
            }
            for end in ["source", "target_id"] {
                let sql = format!("SELECT {ENTITY} FROM entity e WHERE e.{end} = ?1");
                left.extend(self.tx.rows(&sql, params![&row.id], stored).await?);
            }
            self.tell(
                "deleted",
                &EntityRow {
                    generation: row.generation + 1,
                    ..row.clone()
                },
            );
            self.sources.extend(row.source);
        }
        Ok(())
    }

    async fn bury(&mut self, row: &EntityRow) -> Result<()> {
        let Some(backend) = &row.backend else { return Ok(()) };
        let sql = "INSERT INTO tombstone (id, backend, native_project, kind, native_id, removed_ms) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE SET backend = excluded.backend, \
                   native_project = excluded.native_project, kind = excluded.kind, native_id = excluded.native_id, \
                   removed_ms = excluded.removed_ms";
        let native_id = row.native_id.as_ref();
        let params = params![&row.id, backend, &row.native_project, &row.kind, native_id, self.now_ms];
        self.tx.execute(sql, params).await.map(drop)
    }

    /// Counts `new` instead of `old` for the project; more than `limits`, where they are given, is refused.
    async fn account(&mut self, project: &str, old: Usage, new: Usage, limits: Option<Quota>) -> Result<()> {
        if old == new {
            return Ok(());
        }
        let more = new - old;
        let used = self
            .tx
            .row(
                "INSERT INTO project_usage (project, instances, cores, memory_mib, volume_gib, addresses) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (project) DO UPDATE SET \
                 instances = project_usage.instances + excluded.instances, \
                 cores = project_usage.cores + excluded.cores, \
                 memory_mib = project_usage.memory_mib + excluded.memory_mib, \
                 volume_gib = project_usage.volume_gib + excluded.volume_gib, \
                 addresses = project_usage.addresses + excluded.addresses \
                 RETURNING instances, cores, memory_mib, volume_gib, addresses",
                params![
                    project,
                    more.instances,
                    more.cores,
                    more.memory_mib,
                    more.volume_gib,
                    more.addresses
                ],
                codec::usage,
            )
            .await?;
        let (Some(used), Some(limits)) = (used, limits) else {
            return Ok(());
        };
        Ok(limits.check(used - more, more)?)
    }

    /// The quota of a project that exists.
    async fn quota_of(&mut self, project: &str) -> Result<Quota> {
        let found = self.project(project).await?;
        found
            .map(|found| found.quota)
            .ok_or_else(|| missing("project", project).into())
    }

    pub(crate) async fn project(&mut self, name: &str) -> Result<Option<Project>> {
        read::project(self.tx, name).await
    }

    async fn associate(&mut self, mixin: &TypeId, seq: i64) -> Result<()> {
        self.tx
            .execute(
                "INSERT INTO entity_mixin (mixin, entity_seq) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![mixin, seq],
            )
            .await?;
        Ok(())
    }

    async fn dissociate(&mut self, mixin: &TypeId, seq: i64) -> Result<()> {
        let sql = "DELETE FROM entity_mixin WHERE mixin = ?1 AND entity_seq = ?2";
        self.tx.execute(sql, params![mixin, seq]).await.map(drop)
    }

    async fn unshare(&mut self, row: &EntityRow) -> Result<()> {
        for project in shares(&row.visibility) {
            let sql = "DELETE FROM share WHERE project = ?1 AND entity_seq = ?2";
            self.tx.execute(sql, params![project, row.seq]).await?;
        }
        Ok(())
    }

    async fn share(&mut self, row: &EntityRow, seq: i64) -> Result<()> {
        if let Visibility::Projects(projects) = &row.visibility {
            for project in projects {
                if self.project(project).await?.is_none() {
                    return Err(missing("project", project).into());
                }
            }
        }
        for project in shares(&row.visibility) {
            self.tx
                .execute(
                    "INSERT INTO share (project, entity_seq) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    params![project, seq],
                )
                .await?;
        }
        Ok(())
    }

    /// Notes the generation that an entity has now.
    fn note(&mut self, row: &EntityRow) {
        self.generations.insert(row.id.clone(), row.generation);
    }

    fn tell(&mut self, what: &str, row: &EntityRow) {
        self.events.push(EventRow {
            number: 0,
            at_ms: self.now_ms,
            what: what.to_owned(),
            entity: Some(row.id.clone()),
            path: Some(row.path.clone()),
            kind: Some(row.kind.clone()),
            project: Some(row.project.clone()),
            generation: row.generation,
            title: title(&row.attributes).map(str::to_owned),
            state: row.state.clone(),
            visibility: row.visibility.clone(),
            operation: None,
        });
    }

    /// Tells how far an operation is: with the last event of its entity in this transaction, or by one of its own.
    pub(crate) fn hear(&mut self, heard: Heard) {
        self.heard.push(heard);
    }

    fn tell_heard(&mut self) {
        for heard in std::mem::take(&mut self.heard) {
            let operation = Some((heard.operation, heard.state));
            let of_its_entity = |event: &&mut EventRow| {
                heard.entity.is_some()
                    && event.entity == heard.entity
                    && event.project.as_ref() == Some(&heard.project)
                    && event.operation.is_none()
            };
            if let Some(event) = self.events.iter_mut().rev().find(of_its_entity) {
                event.operation = operation;
                continue;
            }
            self.events.push(EventRow {
                number: 0,
                at_ms: self.now_ms,
                what: "operation".to_owned(),
                entity: None,
                path: heard.path,
                kind: None,
                project: Some(heard.project),
                generation: 0,
                title: None,
                state: None,
                visibility: Visibility::Project,
                operation,
            });
        }
    }

    /// Tells that the model of a project, or of all, is another.
    pub(crate) fn tell_model(&mut self, project: Option<String>) {
        self.events.push(EventRow {
            number: 0,
            at_ms: self.now_ms,
            what: "model".to_owned(),
            entity: None,
            path: None,
            kind: None,
            project,
            generation: 0,
            title: None,
            state: None,
            visibility: Visibility::Project,
            operation: None,
        });
    }

    async fn count_up(&mut self, counter: &str, by: i64) -> Result<i64> {
        self.tx
            .row(
                "UPDATE counter SET value = value + ?2 WHERE name = ?1 RETURNING value",
                params![counter, by],
                |cells| cells.int(),
            )
            .await?
            .ok_or_else(|| StoreError::Corrupt(format!("no counter {counter:?}")))
    }

    /// Grows the generations of the sources whose links were written, where nothing else made them grow.
    async fn grow_sources(&mut self) -> Result<()> {
        for id in std::mem::take(&mut self.sources) {
            if self.grown.contains(&id) {
                continue;
            }
            let sql = format!(
                "UPDATE entity SET generation = generation + 1 WHERE id = ?1 AND hidden = 0 RETURNING {ENTITY}"
            );
            if let Some(Stored { row, .. }) = self.tx.row(&sql, params![&id], stored).await? {
                self.tell("changed", &row);
                self.note(&row);
                if let Some(changed) = self.changed.get_mut(&id) {
                    *changed = row;
                }
            }
        }
        Ok(())
    }

    /// Numbers the events. The counter's row is the last one written: where there are several writers it stays locked
    /// until the transaction ends, so that the order of numbers is the order of commits.
    pub(crate) async fn finish(mut self) -> Result<(Committed, Vec<EventRow>)> {
        self.grow_sources().await?;
        self.tell_heard();
        let last = match i64::try_from(self.events.len()) {
            Ok(0) | Err(_) => {
                let sql = "SELECT value FROM counter WHERE name = 'event'";
                self.tx
                    .row(sql, params![], |cells| cells.int())
                    .await?
                    .unwrap_or_default()
            }
            Ok(count) => self.count_up("event", count).await?,
        };
        for (event, back) in self.events.iter_mut().rev().zip(0..) {
            event.number = last - back;
        }
        for event in &self.events {
            insert_event(self.tx, event).await?;
        }
        Ok((
            Committed {
                event: last,
                generations: self.generations,
                changed: self.changed,
            },
            self.events,
        ))
    }
}

/// Who sees it with the one or the other.
fn either(one: &Visibility, other: &Visibility) -> Visibility {
    match (one, other) {
        (Visibility::Public, _) | (_, Visibility::Public) => Visibility::Public,
        (Visibility::Project, seen) | (seen, Visibility::Project) => seen.clone(),
        (Visibility::Projects(some), Visibility::Projects(others)) => {
            let both: BTreeSet<_> = some.iter().chain(others).cloned().collect();
            Visibility::Projects(both.into_iter().collect())
        }
    }
}

/// Whether a client can see a difference.
fn looks_different(was: &EntityRow, now: &EntityRow) -> bool {
    was.attributes != now.attributes
        || was.mixins != now.mixins
        || was.native_id != now.native_id
        || was.state != now.state
        || was.source != now.source
        || was.target != now.target
        || was.target_id != now.target_id
        || was.operation != now.operation
        || was.hidden != now.hidden
        || was.visibility != now.visibility
}

pub(crate) fn missing(what: &'static str, name: &(impl ToString + ?Sized)) -> Refused {
    Refused::Missing {
        what,
        name: name.to_string(),
    }
}

pub(crate) fn taken(what: &'static str, name: &str) -> Refused {
    Refused::Taken {
        what,
        name: name.to_owned(),
    }
}

/// The assignments of an update: only what differs, so that indexes of other columns stay as they are.
#[derive(Default)]
struct Set<'a> {
    sql: String,
    params: Vec<Param<'a>>,
}

impl<'a> Set<'a> {
    fn between(old: &Stored, new: &'a Stored) -> Result<Self> {
        let (was, now) = (&old.row, &new.row);
        let mut set = Self::default();
        let target = now.target.as_ref();
        if was.modified_ms != now.modified_ms {
            set.put("modified_ms", now.modified_ms);
        }
        if old.fence_ms != new.fence_ms {
            set.put("fence_ms", new.fence_ms);
        }
        if old.missed_ms != new.missed_ms {
            set.put("missed_ms", new.missed_ms);
        }
        if was.generation != now.generation {
            set.put("generation", now.generation);
        }
        if was.attributes != now.attributes {
            set.put("attributes", write_attributes(&now.attributes)?);
        }
        if title(&was.attributes) != title(&now.attributes) {
            set.put("title", title(&now.attributes));
        }
        if was.mixins != now.mixins {
            set.put("mixins", write_types(&now.mixins)?);
        }
        if was.native_id != now.native_id {
            set.put("native_id", now.native_id.as_ref());
        }
        if was.state != now.state {
            set.put("state", now.state.as_ref());
        }
        if was.source != now.source {
            set.put("source", now.source.as_ref());
        }
        if was.target != now.target {
            set.put("target", target.map(|end| &end.location));
            set.put("target_kind", target.and_then(|end| end.kind.as_ref()));
        }
        if was.target_id != now.target_id {
            set.put("target_id", now.target_id.as_ref());
        }
        if was.operation != now.operation {
            set.put("operation", now.operation);
        }
        if was.hidden != now.hidden {
            set.put("hidden", now.hidden);
        }
        if was.untouched != now.untouched {
            set.put("untouched", now.untouched);
        }
        if was.visibility != now.visibility {
            set.put("visibility", write_visibility(&now.visibility)?);
        }
        if old.usage != new.usage {
            set.put("uses", write_usage(&new.usage));
        }
        Ok(set)
    }

    fn put(&mut self, column: &str, value: impl Into<Param<'a>>) {
        self.params.push(value.into());
        let begin = if self.sql.is_empty() { "UPDATE entity SET" } else { "," };
        self.sql.push_str(&format!("{begin} {column} = ?{}", self.params.len()));
    }
}
