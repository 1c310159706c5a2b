//! Rows, as the engine sees them.

use crate::Refused;
use occi_model::{AttributeName, Attributes, EntityId, LinkEnd, Location, TypeId};
use uuid::Uuid;

/// Who may see an entity besides its owner project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Its project only.
    #[default]
    Project,
    /// Its project and these.
    Projects(Vec<String>),
    /// Everybody.
    Public,
}

/// An entity as it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityRow {
    /// Order of creation; given by the store, ignored on insert. No other entity ever has it, also not one that comes
    /// back with the same id.
    pub seq: i64,
    /// Its id, unique.
    pub id: EntityId,
    /// Its path, unique: the kind's location and the id, or what a client chose by PUT.
    pub path: String,
    /// Its kind.
    pub kind: TypeId,
    /// The owner project.
    pub project: String,
    /// Who made it.
    pub owner: String,
    /// Who else sees it.
    pub visibility: Visibility,
    /// The backend that carries it out; none for what only the store holds.
    pub backend: Option<String>,
    /// The native project in that backend.
    pub native_project: String,
    /// Its native id, unique per backend, native project and kind.
    pub native_id: Option<String>,
    /// Its mixins, in the order of association.
    pub mixins: Vec<TypeId>,
    /// Its attributes: the engine's last picture and the store's own in one.
    pub attributes: Attributes,
    /// For a link: the id of its source.
    pub source: Option<EntityId>,
    /// For a link: its target, as it is rendered.
    pub target: Option<LinkEnd>,
    /// For a link to an entity of ours: the target's id.
    pub target_id: Option<EntityId>,
    /// The value of its state attribute, for the index.
    pub state: Option<String>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was last written by us, in milliseconds since 1970.
    pub modified_ms: i64,
    /// Grows with every change that a client can see; the ETag. 1 for a new one. A resource is rendered with the links
    /// that it owns: a link that is made, changed or removed grows the generation of its source too. An operation that
    /// opens or ends counts, because the applicable actions change with it.
    pub generation: i64,
    /// The operation that is open on it.
    pub operation: Option<Uuid>,
    /// An accepted DELETE hides it; the row stays until the engine confirms.
    pub hidden: bool,
    /// No client has acted on it since it was created: the first `start` is never refused.
    pub untouched: bool,
}

/// An entity in a listing: which one it is, and whether what was shown of it before still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// As [`EntityRow::seq`].
    pub seq: i64,
    /// Its path.
    pub path: String,
    /// Its kind.
    pub kind: TypeId,
    /// As [`EntityRow::generation`].
    pub generation: i64,
}

impl From<EntityRow> for Listed {
    fn from(row: EntityRow) -> Self {
        Self {
            seq: row.seq,
            path: row.path,
            kind: row.kind,
            generation: row.generation,
        }
    }
}

/// A change of an existing entity. `None` and empty mean: as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Attributes to set.
    pub set: Attributes,
    /// Attributes to remove.
    pub unset: Vec<AttributeName>,
    /// Mixins to take away.
    pub mixins_removed: Vec<TypeId>,
    /// Mixins to add after the others, where they are missing.
    pub mixins_added: Vec<TypeId>,
    /// The native id: known now, or of something that is no longer there.
    pub native_id: Option<Option<String>>,
    /// The state, for the index.
    pub state: Option<String>,
    /// For a link: another source.
    pub source: Option<EntityId>,
    /// For a link: another target, and its id if it is ours.
    pub target: Option<(LinkEnd, Option<EntityId>)>,
    /// The open operation: set or clear it.
    pub operation: Option<Option<Uuid>>,
    /// Hide it, or show it again.
    pub hidden: Option<bool>,
    /// A client has acted on it.
    pub touched: bool,
    /// Who else sees it.
    pub visibility: Option<Visibility>,
}

/// Where an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationState {
    /// Recorded; nobody works on it yet.
    Accepted,
    /// A worker has it.
    Running,
    /// Done.
    Succeeded,
    /// Ended without its effect; everything was cleaned up.
    Failed,
    /// Ended, and something could not be cleaned up.
    NeedsAttention,
}

/// A write that lasts longer than its request.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationRow {
    /// A UUID of version 7.
    pub id: Uuid,
    /// The operation of the collection that this is a part of.
    pub parent: Option<Uuid>,
    /// What it is about; none for a parent.
    pub entity: Option<EntityId>,
    /// The entity's path, for people and for the answer when the entity is gone.
    pub path: Option<String>,
    /// The owner project.
    pub project: String,
    /// Who asked.
    pub principal: String,
    /// The backend whose worker runs it; none for a parent and for what the store does alone.
    pub backend: Option<String>,
    /// `create`, `update`, `delete`, or an action's term.
    pub verb: String,
    /// Everything that a worker needs to run it again; the engine's own form. Empty for a parent.
    pub intent: String,
    /// Where it is.
    pub state: OperationState,
    /// The last durable step, for people.
    pub step: Option<String>,
    /// How far it is, 0 to 100.
    pub progress: u8,
    /// How often a worker has claimed it.
    pub attempt: u32,
    /// How many of these workers died with it: their processes ended, or let the lease end.
    pub deaths: u32,
    /// Whether the native engine has taken responsibility.
    pub engine_accepted: bool,
    /// It was told to stop (superseded or cancelled) and to compensate.
    pub cancelled: bool,
    /// The worker that holds it.
    pub lease_owner: Option<String>,
    /// When its lease ends, in milliseconds of the database's clock.
    pub lease_until_ms: Option<i64>,
    /// Not to be claimed before this time.
    pub not_before_ms: i64,
    /// When it was recorded.
    pub created_ms: i64,
    /// When it ended.
    pub finished_ms: Option<i64>,
    /// When it will be given up; none as long as it waits for a worker with its whole time before it.
    pub deadline_ms: Option<i64>,
    /// Why it failed, as JSON; the engine's own form.
    pub error: Option<serde_json::Value>,
    /// What it made, as JSON; the engine's own form.
    pub result: Option<serde_json::Value>,
}

/// What happened, in the order of commits.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Numbers grow by one in the order of commits.
    pub number: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// `created`, `changed`, `deleted`, `model`; `operation` where only that got further.
    pub what: String,
    /// The entity; none of an operation or a model.
    pub entity: Option<EntityId>,
    /// Its path, or that of the entity that the operation is about.
    pub path: Option<String>,
    /// Its kind.
    pub kind: Option<TypeId>,
    /// The owner project; none concerns everybody, an empty one was removed.
    pub project: Option<String>,
    /// Its generation after the change.
    pub generation: i64,
    /// Its title then, the first 255 characters of it.
    pub title: Option<String>,
    /// Its state then.
    pub state: Option<String>,
    /// Who else saw it then, or just before.
    pub visibility: Visibility,
    /// The operation that began, got further or ended with this, and where it is since then.
    pub operation: Option<(Uuid, OperationState)>,
}

/// One line of the audit.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// A UUID of version 7.
    pub id: Uuid,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who.
    pub principal: String,
    /// In which project.
    pub project: Option<String>,
    /// The verb.
    pub verb: String,
    /// The path.
    pub path: String,
    /// `accepted`, `refused` or `failed`.
    pub outcome: String,
    /// The status of the answer, or what went wrong.
    pub detail: String,
    /// The id of the request.
    pub request: String,
}

/// An answer kept for the repetition of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct IdempotencyRow {
    /// Who asked.
    pub principal: String,
    /// In which project.
    pub project: String,
    /// The client's key.
    pub key: String,
    /// A hash of method, path and body.
    pub hash: String,
    /// The operation that the first request made, if it made one.
    pub operation: Option<Uuid>,
    /// What the first request did, as JSON; the engine's own form.
    pub answer: serde_json::Value,
    /// When it may be forgotten, in milliseconds since 1970.
    pub expires_ms: i64,
}

/// A mixin that a user made.
#[derive(Clone, Debug, PartialEq)]
pub struct UserMixinRow {
    /// Scheme and term; unique in its project.
    pub id: TypeId,
    /// The owner project.
    pub project: String,
    /// Who made it.
    pub owner: String,
    /// For people.
    pub title: String,
    /// Where its collection is; unique in its project.
    pub location: Location,
    /// What it depends on; may name mixins nobody knows.
    pub depends: Vec<TypeId>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
}

/// What a member of a project may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// See.
    Reader,
    /// See and change.
    Member,
    /// Also manage members.
    Manager,
}

/// An account.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The login name, unique.
    pub name: String,
    /// An argon2 hash in PHC form.
    pub password_hash: String,
    /// Sees and does everything.
    pub operator: bool,
    /// Where creates land when the request names no project.
    pub default_project: String,
    /// Projects and roles.
    pub memberships: Vec<(String, Role)>,
}

/// A project.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// Its name, unique.
    pub name: String,
    /// What it may use.
    pub quota: Quota,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
}

/// Limits of a project; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quota {
    /// Computes.
    pub instances: Option<i64>,
    /// Cores, all computes together.
    pub cores: Option<i64>,
    /// Memory, all computes together, in MiB.
    pub memory_mib: Option<i64>,
    /// Volumes, all together, in GiB.
    pub volume_gib: Option<i64>,
    /// Reserved addresses.
    pub addresses: Option<i64>,
}

impl Quota {
    /// Refuses what goes beyond it: `more` beside what is `used`.
    ///
    /// # Errors
    /// [`Refused::Quota`].
    pub fn check(&self, used: Usage, more: Usage) -> Result<(), Refused> {
        [
            ("instances", self.instances, used.instances, more.instances),
            ("cores", self.cores, used.cores, more.cores),
            ("memory in MiB", self.memory_mib, used.memory_mib, more.memory_mib),
            ("volumes in GiB", self.volume_gib, used.volume_gib, more.volume_gib),
            ("addresses", self.addresses, used.addresses, more.addresses),
        ]
        .into_iter()
        .try_for_each(|(what, limit, used, asked)| match limit {
            Some(limit) if asked > 0 && used + asked > limit => Err(Refused::Quota {
                what,
                limit,
                used,
                asked,
            }),
            _ => Ok(()),
        })
    }
}

/// What an entity uses of its project's quota, or a project in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Computes.
    pub instances: i64,
    /// Cores.
    pub cores: i64,
    /// Memory in MiB.
    pub memory_mib: i64,
    /// Volumes in GiB.
    pub volume_gib: i64,
    /// Reserved addresses.
    pub addresses: i64,
}

impl std::ops::Sub for Usage {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        Self {
            instances: self.instances - less.instances,
            cores: self.cores - less.cores,
            memory_mib: self.memory_mib - less.memory_mib,
            volume_gib: self.volume_gib - less.volume_gib,
            addresses: self.addresses - less.addresses,
        }
    }
}
