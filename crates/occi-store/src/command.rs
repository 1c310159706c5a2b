//! Commands: what changes the store.

use crate::row::{
    Audit, Change, EntityRow, IdempotencyRow, OperationRow, Project, Quota, Role, Usage, User, UserMixinRow,
};
use occi_model::{EntityId, TypeId};
use std::collections::BTreeMap;
use uuid::Uuid;

/// One transaction: all requirements hold and all writes are durable, or nothing happened.
///
/// Requirements are checked in order, then writes are carried out in order. Every write of an entity appends its event,
/// except one that changes nothing but the time of writing. While an entity is hidden its events say `deleted`; shown
/// again it is `created`.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// What must hold.
    pub require: Vec<Require>,
    /// What to do then.
    pub writes: Vec<Write>,
    /// Written whether or not the requirements hold.
    pub audit: Vec<Audit>,
}

/// A precondition, checked inside the writer's transaction.
#[derive(Clone, Debug)]
pub enum Require {
    /// The entity exists, is not hidden, and has this generation.
    Generation {
        /// The entity.
        id: EntityId,
        /// As the client saw it.
        generation: i64,
    },
    /// The entity exists and is not hidden.
    Exists(EntityId),
    /// No operation is open on the entity.
    Idle(EntityId),
    /// The operation is the one that is open on the entity, hidden or not.
    Held {
        /// The entity.
        id: EntityId,
        /// The operation.
        by: Uuid,
    },
    /// The worker still holds the operation: nobody has claimed it since, and it has not ended.
    Lease {
        /// The operation.
        operation: Uuid,
        /// The worker.
        owner: String,
        /// The claim.
        attempt: u32,
    },
    /// The operation was not told to stop.
    NotCancelled(Uuid),
    /// Nothing that is not hidden links to the entity, except for these.
    NotTargeted {
        /// The entity.
        id: EntityId,
        /// The links that are known to lead to it.
        but: Vec<EntityId>,
    },
    /// No entity of the project that is not hidden has the mixin.
    NotAssociated {
        /// The project.
        project: String,
        /// The mixin.
        mixin: TypeId,
    },
    /// The project has these user mixins. Refused with [`crate::Refused::NoMixin`].
    UserMixins {
        /// The project.
        project: String,
        /// The mixins.
        mixins: Vec<TypeId>,
    },
    /// The project has room for so many more user mixins. Refused with [`crate::Refused::Quota`].
    RoomForMixins {
        /// The project.
        project: String,
        /// The most that it may have.
        limit: u32,
        /// How many are to be added.
        more: u32,
    },
    /// Nothing has happened after the event of this number.
    NothingSince(i64),
}

/// Whether more than the quota of a project allows is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverQuota {
    /// It is asked for.
    Refuse,
    /// It is a fact, which an engine shows.
    Count,
}

/// A change.
#[derive(Clone, Debug)]
pub enum Write {
    /// A new entity. Refused if its id, its path or its native id is taken, or if its project, or one that it is shared
    /// with, does not exist. `usage` is reserved against the quota of its project; more than the quota allows is refused.
    InsertEntity {
        /// The row.
        row: Box<EntityRow>,
        /// What it uses of the quota.
        usage: Usage,
    },
    /// A change of an entity. Grows the generation if anything that a client can see differs. Refused if it is to be shared with a project that does not exist.
    UpdateEntity {
        /// The entity.
        id: EntityId,
        /// What changes.
        change: Box<Change>,
        /// What it uses from now on, if that changes, instead of what was reserved.
        usage: Option<(Usage, OverQuota)>,
    },
    /// The entity is gone: its row, the links that it owns and those that lead to it, its memberships and its usage. For
    /// ten minutes no listing brings it back.
    RemoveEntity(EntityId),
    /// A new operation.
    InsertOperation(Box<OperationRow>),
    /// A durable step of an operation.
    Step {
        /// The operation.
        operation: Uuid,
        /// What was done, for people.
        step: String,
        /// How far it is.
        progress: Option<u8>,
        /// The native engine has taken responsibility.
        engine_accepted: bool,
        /// Keeps the lease this much longer, in milliseconds.
        lease_ms: i64,
        /// When it will be given up.
        deadline_ms: i64,
    },
    /// The operation ended (or goes back to the queue, with `not_before_ms`).
    FinishOperation {
        /// The operation.
        operation: Uuid,
        /// How: `Succeeded`, `Failed`, `NeedsAttention`; `Accepted` puts it back.
        state: crate::OperationState,
        /// The last step, if it was not written before.
        step: Option<String>,
        /// Why it failed.
        error: Option<serde_json::Value>,
        /// What it made.
        result: Option<serde_json::Value>,
        /// Not to be claimed before, when put back.
        not_before_ms: i64,
        /// When it will be given up, when put back; none if who claims it next begins with the whole time.
        deadline_ms: Option<i64>,
        /// When.
        at_ms: i64,
    },
    /// The worker that held an open operation died: anybody may claim it at once.
    ReleaseOperation(Uuid),
    /// Tell an open operation to stop and compensate; no more waiting for its next attempt. Nothing happens to one that
    /// has ended.
    CancelOperation(Uuid),
    /// A new user mixin. Refused if identifier or location is taken in its project.
    InsertUserMixin(UserMixinRow),
    /// The mixin is gone, and all its associations.
    RemoveUserMixin {
        /// Its project.
        project: String,
        /// The mixin.
        id: TypeId,
    },
    /// Remember an answer. Refused with [`crate::Refused::Repeated`] if the key is there.
    InsertIdempotency(IdempotencyRow),
    /// A new account with its memberships. Refused if its name is taken, or if a project of them does not exist.
    InsertUser(User),
    /// Another password of an account that exists.
    SetPassword {
        /// The user.
        user: String,
        /// What is kept of the password.
        password_hash: String,
    },
    /// The account is gone, and its idempotency keys. Refused if nobody else is an operator.
    RemoveUser(String),
    /// A new project. Refused if its name is taken.
    InsertProject(Project),
    /// What a project that exists may use from now on.
    SetQuota {
        /// The project.
        project: String,
        /// Those of its limits that change.
        limits: Limits,
    },
    /// The project is gone, with its operations, events, mixins and idempotency keys: who makes one of that name again
    /// finds nothing there. Refused while it has entities, and while others share entities with it.
    RemoveProject(String),
    /// A membership. Refused if there is no such project or user.
    PutMember {
        /// The project.
        project: String,
        /// The user.
        user: String,
        /// What the user may do; none ends the membership.
        role: Option<Role>,
    },
    /// The model of a project (or of all) changed: an event for those who cache it.
    ModelChanged(Option<String>),
}

/// The limits of a [`Quota`] that change, each to what; the others stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Computes.
    pub instances: Option<Option<i64>>,
    /// Cores, all computes together.
    pub cores: Option<Option<i64>>,
    /// Memory, all computes together, in MiB.
    pub memory_mib: Option<Option<i64>>,
    /// Volumes, all together, in GiB.
    pub volume_gib: Option<Option<i64>>,
    /// Reserved addresses.
    pub addresses: Option<Option<i64>>,
}

impl From<Quota> for Limits {
    fn from(quota: Quota) -> Self {
        let Quota {
            instances,
            cores,
            memory_mib,
            volume_gib,
            addresses,
        } = quota;
        Self {
            instances: Some(instances),
            cores: Some(cores),
            memory_mib: Some(memory_mib),
            volume_gib: Some(volume_gib),
            addresses: Some(addresses),
        }
    }
}

/// What a commit did.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// The number of the last event.
    pub event: i64,
    /// The new generation of every entity that was written.
    pub generations: BTreeMap<EntityId, i64>,
    /// The entities among them that [`Write::UpdateEntity`] named, as they are since then.
    pub changed: BTreeMap<EntityId, EntityRow>,
}

/// Asks for the next operation that may run.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The worker.
    pub owner: String,
    /// The backends it works for.
    pub backends: Vec<String>,
    /// How long the lease lasts, in milliseconds.
    pub lease_ms: i64,
    /// When what has no deadline, or was left by a dead worker, will be given up.
    pub deadline_ms: i64,
    /// This operation only, if it is given (a worker that has just recorded it).
    pub operation: Option<Uuid>,
}

/// A native object that a listing or an event showed, in the engine's words; the engine above has made its attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// How the row would look if the object were new to us. Matched by id (our mark) first, then by
    /// (backend, native project, kind, native id).
    pub row: EntityRow,
    /// The attributes that the engine owns: those absent from `row.attributes` are unset. Others are left alone.
    pub owned: Vec<occi_model::AttributeName>,
    /// The mixins that the engine owns: those absent from `row.mixins` are removed.
    pub owned_mixins: Vec<TypeId>,
    /// What it uses of the quota.
    pub usage: Usage,
    /// Whether an object that is unknown may be adopted.
    pub adopt: bool,
}

/// A listing of one scope. Entities with an open operation, or written by us since `began_ms`, are not touched. Nothing
/// is done if a complete listing that began later was taken in before.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// The backend.
    pub backend: String,
    /// The native project.
    pub native_project: String,
    /// The kind.
    pub kind: TypeId,
    /// When the listing began, in milliseconds of the database's clock ([`crate::Store::now_ms`]).
    pub began_ms: i64,
    /// Whether what is absent is missing. An entity vanishes after two such listings.
    pub complete: bool,
    /// What was seen.
    pub observations: Vec<Observation>,
}

/// What a refresh changed.
#[derive(Clone, Debug, Default)]
pub struct Refreshed {
    /// The number of the last event.
    pub event: i64,
    /// Entities that are new or differ.
    pub changed: Vec<EntityId>,
    /// Entities that are gone.
    pub gone: Vec<EntityId>,
}
