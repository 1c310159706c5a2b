//! Rows to columns and back.

use crate::json::{corrupt, read_attributes, read_types, write_attributes, write_types};
use crate::row::{
    Audit, EntityRow, EventRow, IdempotencyRow, Listed, OperationRow, OperationState, Project, Quota, Role, Usage,
    UserMixinRow, Visibility,
};
use crate::tx::{Cells, Tx, params};
use crate::{Result, StoreError};
use occi_model::{Attributes, EntityId, LinkEnd, Value};

/// The attribute that the column `title` repeats, as far as [`TITLE_CHARS`].
pub(crate) const TITLE: &str = "occi.core.title";

/// So much of a title is in indexes and events: PostgreSQL refuses longer entries, and a reading of many events must end.
pub(crate) const TITLE_CHARS: usize = 255;

/// The columns that [`stored`] and [`entity`] read, in their order.
pub(crate) const ENTITY: &str = "seq, id, folder, kind, project, owner, visibility, backend, \
     native_project, native_id, mixins, attributes, source, target, target_kind, target_id, state, \
     created_ms, modified_ms, generation, operation, hidden, untouched, uses, fence_ms, missed_ms";

/// An entity with what only the store knows of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) row: EntityRow,
    pub(crate) usage: Usage,
    pub(crate) fence_ms: i64,
    pub(crate) missed_ms: Option<i64>,
}

pub(crate) fn entity(cells: &mut Cells<'_>) -> Result<EntityRow> {
    let (seq, id): (_, EntityId) = (cells.int()?, cells.parse()?);
    Ok(EntityRow {
        seq,
        path: [cells.text()?, id.as_str()].concat(),
        id,
        kind: cells.type_id()?,
        project: cells.string()?,
        owner: cells.string()?,
        visibility: read_visibility(cells.text()?)?,
        backend: cells.opt_string()?,
        native_project: cells.string()?,
        native_id: cells.opt_string()?,
        mixins: read_types(cells.text()?)?,
        attributes: read_attributes(cells.text()?)?,
        source: cells.opt_parse()?,
        target: {
            let location = cells.opt_string()?;
            let kind = cells.opt_type_id()?;
            location.map(|location| LinkEnd { location, kind })
        },
        target_id: cells.opt_parse()?,
        state: cells.opt_string()?,
        created_ms: cells.int()?,
        modified_ms: cells.int()?,
        generation: cells.int()?,
        operation: cells.opt_parse()?,
        hidden: cells.truth()?,
        untouched: cells.truth()?,
    })
}

/// The columns that [`listed`] reads, in their order.
pub(crate) const LISTED: &str = "seq, folder, id, kind, generation";

pub(crate) fn listed(cells: &mut Cells<'_>) -> Result<Listed> {
    Ok(Listed {
        seq: cells.int()?,
        path: [cells.text()?, cells.text()?].concat(),
        kind: cells.type_id()?,
        generation: cells.int()?,
    })
}

pub(crate) fn stored(cells: &mut Cells<'_>) -> Result<Stored> {
    Ok(Stored {
        row: entity(cells)?,
        usage: read_usage(cells.opt_text()?)?,
        fence_ms: cells.int()?,
        missed_ms: cells.opt_int()?,
    })
}

/// Selects entities by their native ids and other conditions. Those that have their id as native id too are found by that:
/// the index of native ids is of the others.
pub(crate) fn by_native_id(columns: &str, native_id: &str, conditions: &str) -> String {
    format!(
        "SELECT {columns} FROM entity e WHERE {conditions} AND e.native_id {native_id} AND e.native_id <> e.id \
         UNION ALL SELECT {columns} FROM entity e WHERE e.id {native_id} AND e.native_id = e.id AND {conditions}"
    )
}

/// The folder of an entity's path, and the id with which the path ends.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |slash| slash + 1))
}

/// Writes a new entity at this place in the order of creation; false if its id or native id is taken.
pub(crate) async fn insert_entity<T: Tx>(
    tx: &mut T,
    seq: i64,
    row: &EntityRow,
    usage: &Usage,
    fence_ms: i64,
) -> Result<bool> {
    let (folder, last) = split(&row.path);
    if last != row.id.as_str() {
        let message = format!("the path {} does not end with the id {}", row.path, row.id);
        return Err(StoreError::Failed(message.into()));
    }
    let inserted = tx
        .execute(
            "INSERT INTO entity (seq, id, folder, kind, project, owner, visibility, backend, native_project, native_id, \
             mixins, attributes, source, target, target_kind, target_id, state, created_ms, modified_ms, generation, \
             operation, hidden, untouched, title, uses, fence_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, \
             ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26) \
             ON CONFLICT DO NOTHING",
            params![
                seq,
                &row.id,
                folder,
                &row.kind,
                &row.project,
                &row.owner,
                write_visibility(&row.visibility)?,
                row.backend.as_ref(),
                &row.native_project,
                row.native_id.as_ref(),
                write_types(&row.mixins)?,
                write_attributes(&row.attributes)?,
                row.source.as_ref(),
                row.target.as_ref().map(|end| &end.location),
                row.target.as_ref().and_then(|end| end.kind.as_ref()),
                row.target_id.as_ref(),
                row.state.as_ref(),
                row.created_ms,
                row.modified_ms,
                row.generation,
                row.operation,
                row.hidden,
                row.untouched,
                title(&row.attributes),
                write_usage(usage),
                fence_ms,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// The beginning of the title.
pub(crate) fn title(attributes: &Attributes) -> Option<&str> {
    let title = attributes.get(TITLE).and_then(Value::as_str)?;
    Some(beginning(title, TITLE_CHARS))
}

/// The first so many characters.
fn beginning(text: &str, chars: usize) -> &str {
    let end = text.char_indices().nth(chars);
    &text[..end.map_or(text.len(), |(end, _)| end)]
}

fn read_visibility(text: &str) -> Result<Visibility> {
    match text {
        "project" => Ok(Visibility::Project),
        "public" => Ok(Visibility::Public),
        list => serde_json::from_str(list).map(Visibility::Projects).map_err(corrupt),
    }
}

pub(crate) fn write_visibility(visibility: &Visibility) -> Result<String> {
    match visibility {
        Visibility::Project => Ok("project".to_owned()),
        Visibility::Public => Ok("public".to_owned()),
        Visibility::Projects(projects) => serde_json::to_string(projects).map_err(|e| StoreError::Failed(e.into())),
    }
}

/// The projects for the table `share`; the empty one is everybody.
pub(crate) fn shares(visibility: &Visibility) -> &[String] {
    const EVERYBODY: &[String] = &[String::new()];
    match visibility {
        Visibility::Project => &[],
        Visibility::Public => EVERYBODY,
        Visibility::Projects(projects) => projects,
    }
}

pub(crate) fn read_usage(text: Option<&str>) -> Result<Usage> {
    let Some(text) = text else {
        return Ok(Usage::default());
    };
    let [instances, cores, memory_mib, volume_gib, addresses] = serde_json::from_str(text).map_err(corrupt)?;
    Ok(Usage {
        instances,
        cores,
        memory_mib,
        volume_gib,
        addresses,
    })
}

pub(crate) fn write_usage(usage: &Usage) -> Option<String> {
    let Usage {
        instances,
        cores,
        memory_mib,
        volume_gib,
        addresses,
    } = usage;
    (*usage != Usage::default()).then(|| format!("[{instances},{cores},{memory_mib},{volume_gib},{addresses}]"))
}

/// The columns that [`operation`] reads, in their order.
pub(crate) const OPERATION: &str = "id, parent, entity, path, project, principal, backend, verb, intent, state, step, \
     progress, attempt, deaths, engine_accepted, cancelled, lease_owner, lease_until_ms, not_before_ms, created_ms, \
     finished_ms, deadline_ms, error, result";

pub(crate) fn operation(cells: &mut Cells<'_>) -> Result<OperationRow> {
    Ok(OperationRow {
        id: cells.parse()?,
        parent: cells.opt_parse()?,
        entity: cells.opt_parse()?,
        path: cells.opt_string()?,
        project: cells.string()?,
        principal: cells.string()?,
        backend: cells.opt_string()?,
        verb: cells.string()?,
        intent: cells.string()?,
        state: cells.text().and_then(read_state)?,
        step: cells.opt_string()?,
        progress: cells.int()?.try_into().map_err(corrupt)?,
        attempt: cells.int()?.try_into().map_err(corrupt)?,
        deaths: cells.int()?.try_into().map_err(corrupt)?,
        engine_accepted: cells.truth()?,
        cancelled: cells.truth()?,
        lease_owner: cells.opt_string()?,
        lease_until_ms: cells.opt_int()?,
        not_before_ms: cells.int()?,
        created_ms: cells.int()?,
        finished_ms: cells.opt_int()?,
        deadline_ms: cells.int().map(|at| (at != 0).then_some(at))?,
        error: cells.opt_json()?,
        result: cells.opt_json()?,
    })
}

/// Writes a new operation; false if its id is taken.
pub(crate) async fn insert_operation<T: Tx>(tx: &mut T, row: &OperationRow) -> Result<bool> {
    let due_ms = match (&row.entity, row.lease_until_ms) {
        (None, _) => i64::MAX,
        (Some(_), Some(until)) => until,
        (Some(_), None) => row.not_before_ms,
    };
    let inserted = tx
        .execute(
            "INSERT INTO operation (id, parent, entity, path, project, principal, backend, verb, intent, state, step, \
             progress, attempt, deaths, engine_accepted, cancelled, lease_owner, lease_until_ms, not_before_ms, \
             created_ms, finished_ms, deadline_ms, error, result, due_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, \
             ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25) ON CONFLICT DO NOTHING",
            params![
                row.id,
                row.parent,
                row.entity.as_ref(),
                row.path.as_ref(),
                &row.project,
                &row.principal,
                row.backend.as_ref(),
                &row.verb,
                &row.intent,
                state_text(row.state),
                row.step.as_ref(),
                i64::from(row.progress),
                i64::from(row.attempt),
                i64::from(row.deaths),
                row.engine_accepted,
                row.cancelled,
                row.lease_owner.as_ref(),
                row.lease_until_ms,
                row.not_before_ms,
                row.created_ms,
                row.finished_ms,
                row.deadline_ms.unwrap_or_default(),
                row.error.as_ref().map(ToString::to_string),
                row.result.as_ref().map(ToString::to_string),
                due_ms,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

pub(crate) fn state_text(state: OperationState) -> &'static str {
    match state {
        OperationState::Accepted => "accepted",
        OperationState::Running => "running",
        OperationState::Succeeded => "succeeded",
        OperationState::Failed => "failed",
        OperationState::NeedsAttention => "needs-attention",
    }
}

fn read_state(text: &str) -> Result<OperationState> {
    Ok(match text {
        "accepted" => OperationState::Accepted,
        "running" => OperationState::Running,
        "succeeded" => OperationState::Succeeded,
        "failed" => OperationState::Failed,
        "needs-attention" => OperationState::NeedsAttention,
        other => return Err(StoreError::Corrupt(format!("operation state {other:?}"))),
    })
}

/// The columns that [`event`] reads, in their order.
pub(crate) const EVENT: &str = "number, at_ms, what, entity, path, kind, project, generation, title, state, \
                                visibility, operation, operation_state";

pub(crate) fn event(cells: &mut Cells<'_>) -> Result<EventRow> {
    Ok(EventRow {
        number: cells.int()?,
        at_ms: cells.int()?,
        what: cells.string()?,
        entity: cells.opt_parse()?,
        path: cells.opt_string()?,
        kind: cells.opt_type_id()?,
        project: cells.opt_string()?,
        generation: cells.int()?,
        title: cells.opt_string()?,
        state: cells.opt_string()?,
        visibility: cells.opt_text()?.map_or(Ok(Visibility::Project), read_visibility)?,
        operation: match (cells.opt_parse()?, cells.opt_text()?) {
            (Some(operation), Some(state)) => Some((operation, read_state(state)?)),
            _ => None,
        },
    })
}

pub(crate) async fn insert_event<T: Tx>(tx: &mut T, row: &EventRow) -> Result<()> {
    let visibility = match &row.visibility {
        Visibility::Project => None,
        seen => Some(write_visibility(seen)?),
    };
    tx.execute(
        "INSERT INTO event (number, at_ms, what, entity, path, kind, project, generation, title, state, visibility, \
         operation, operation_state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            row.number,
            row.at_ms,
            &row.what,
            row.entity.as_ref(),
            row.path.as_ref(),
            row.kind.as_ref(),
            row.project.as_ref(),
            row.generation,
            row.title.as_ref(),
            row.state.as_ref(),
            visibility,
            row.operation.map(|(id, _)| id),
            row.operation.map(|(_, state)| state_text(state)),
        ],
    )
    .await?;
    Ok(())
}

/// The columns that [`audit`] reads, in their order.
pub(crate) const AUDIT: &str = "id, at_ms, principal, project, verb, path, outcome, detail, request";

pub(crate) fn audit(cells: &mut Cells<'_>) -> Result<Audit> {
    Ok(Audit {
        id: cells.parse()?,
        at_ms: cells.int()?,
        principal: cells.string()?,
        project: cells.opt_string()?,
        verb: cells.string()?,
        path: cells.string()?,
        outcome: cells.string()?,
        detail: cells.string()?,
        request: cells.string()?,
    })
}

/// So much is kept of what a client wrote in a line of the audit.
const AUDIT_CHARS: usize = 1000;

/// Writes lines of the audit. A line that is there already stays as it is: a repeated transaction writes it once.
pub(crate) async fn insert_audit<T: Tx>(tx: &mut T, lines: &[Audit]) -> Result<()> {
    for line in lines {
        tx.execute(
            "INSERT INTO audit (id, at_ms, principal, project, verb, path, outcome, detail, request) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
            params![
                line.id,
                line.at_ms,
                &line.principal,
                line.project.as_ref(),
                &line.verb,
                beginning(&line.path, AUDIT_CHARS),
                &line.outcome,
                beginning(&line.detail, AUDIT_CHARS),
                beginning(&line.request, AUDIT_CHARS),
            ],
        )
        .await?;
    }
    Ok(())
}

/// The columns that [`idempotency`] reads, in their order.
pub(crate) const IDEMPOTENCY: &str = "principal, project, token, hash, operation, answer, expires_ms";

pub(crate) fn idempotency(cells: &mut Cells<'_>) -> Result<IdempotencyRow> {
    Ok(IdempotencyRow {
        principal: cells.string()?,
        project: cells.string()?,
        key: cells.string()?,
        hash: cells.string()?,
        operation: cells.opt_parse()?,
        answer: cells.json()?,
        expires_ms: cells.int()?,
    })
}

/// The columns that [`user_mixin`] reads, in their order.
pub(crate) const USER_MIXIN: &str = "id, project, owner, title, location, depends, created_ms";

pub(crate) fn user_mixin(cells: &mut Cells<'_>) -> Result<UserMixinRow> {
    Ok(UserMixinRow {
        id: cells.type_id()?,
        project: cells.string()?,
        owner: cells.string()?,
        title: cells.string()?,
        location: cells.parse()?,
        depends: read_types(cells.text()?)?,
        created_ms: cells.int()?,
    })
}

pub(crate) fn role_text(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Member => "member",
        Role::Manager => "manager",
    }
}

pub(crate) fn read_role(text: &str) -> Result<Role> {
    Ok(match text {
        "reader" => Role::Reader,
        "member" => Role::Member,
        "manager" => Role::Manager,
        other => return Err(StoreError::Corrupt(format!("role {other:?}"))),
    })
}

/// The columns that [`project`] reads, in their order.
pub(crate) const PROJECT: &str =
    "name, created_ms, max_instances, max_cores, max_memory_mib, max_volume_gib, max_addresses";

pub(crate) fn project(cells: &mut Cells<'_>) -> Result<Project> {
    Ok(Project {
        name: cells.string()?,
        created_ms: cells.int()?,
        quota: Quota {
            instances: cells.opt_int()?,
            cores: cells.opt_int()?,
            memory_mib: cells.opt_int()?,
            volume_gib: cells.opt_int()?,
            addresses: cells.opt_int()?,
        },
    })
}

/// The columns that [`usage`] reads, in their order.
pub(crate) const USAGE: &str = "instances, cores, memory_mib, volume_gib, addresses";

pub(crate) fn usage(cells: &mut Cells<'_>) -> Result<Usage> {
    Ok(Usage {
        instances: cells.int()?,
        cores: cells.int()?,
        memory_mib: cells.int()?,
        volume_gib: cells.int()?,
        addresses: cells.int()?,
    })
}
