//! Readings, written once for both databases.

use crate::Result;
use crate::codec::{self, AUDIT, ENTITY, EVENT, IDEMPOTENCY, OPERATION, PROJECT, USAGE, USER_MIXIN};
use crate::query::{AuditQuery, EventPage, EventQuery, OperationQuery, Sees, Way};
use crate::row::{Audit, EntityRow, IdempotencyRow, OperationRow, Project, Usage, User, UserMixinRow};
use crate::tx::{Param, READING, Tx, in_list, params};
use occi_model::{EntityId, TypeId};
use std::collections::HashMap;
use std::sync::LazyLock;
use uuid::Uuid;

/// So many ids are asked for in one statement.
const IDS: usize = 256;

/// So many events are looked at in one reading: those who read few of many events keep nobody else waiting.
const LOOKED_AT: i64 = 10_000;

/// What a limit of 0 means.
const LIMIT: u32 = 500;

pub(crate) async fn entity<T: Tx>(tx: &mut T, id: &EntityId) -> Result<Option<EntityRow>> {
    let sql = format!("SELECT {ENTITY} FROM entity e WHERE e.id = ?1");
    tx.row(&sql, params![id], codec::entity).await
}

pub(crate) async fn entity_at<T: Tx>(tx: &mut T, path: &str) -> Result<Option<EntityRow>> {
    let (folder, id) = codec::split(path);
    let sql = format!("SELECT {ENTITY} FROM entity e WHERE e.id = ?1 AND e.folder = ?2");
    tx.row(&sql, params![id, folder], codec::entity).await
}

/// One statement: a reading begins and ends once, which costs as much as finding a row.
static WITH_LINKS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT 0, {ENTITY} FROM entity e WHERE e.id = ?1 AND e.folder = ?2 UNION ALL \
         SELECT 1, {ENTITY} FROM entity e WHERE e.source = ?1 AND e.hidden = 0"
    )
});

pub(crate) async fn entity_at_with_links<T: Tx>(tx: &mut T, path: &str) -> Result<Option<(EntityRow, Vec<EntityRow>)>> {
    let mut found = None;
    let mut links = Vec::new();
    let (folder, id) = codec::split(path);
    let params = params![id, folder];
    let rows = tx.rows(&WITH_LINKS, params, |cells| Ok((cells.truth()?, codec::entity(cells)?)));
    for (is_link, row) in rows.await? {
        match is_link {
            true => links.push(row),
            false => found = Some(row),
        }
    }
    links.sort_by_key(|link| link.seq);
    Ok(found.map(|row| (row, links)))
}

pub(crate) async fn entities<T: Tx>(tx: &mut T, ids: &[EntityId]) -> Result<Vec<EntityRow>> {
    let mut found = HashMap::with_capacity(ids.len());
    for some in ids.chunks(IDS) {
        let mut params = Vec::new();
        let list = in_list(&mut params, some.iter().map(Param::from));
        let sql = format!("SELECT {ENTITY} FROM entity e WHERE e.id IN {list}");
        for row in tx.rows(&sql, &params, codec::entity).await? {
            found.insert(row.id.clone(), row);
        }
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

pub(crate) async fn natives<T: Tx>(
    tx: &mut T,
    backend: &str,
    kind: &TypeId,
    native_ids: &[String],
) -> Result<Vec<EntityRow>> {
    let mut rows = Vec::new();
    for some in native_ids.chunks(IDS) {
        let mut params = vec![backend.into(), kind.into()];
        let list = in_list(&mut params, some.iter().map(Param::from));
        let sql = codec::by_native_id(ENTITY, &format!("IN {list}"), "e.backend = ?1 AND e.kind = ?2");
        rows.append(&mut tx.rows(&sql, &params, codec::entity).await?);
    }
    Ok(rows)
}

pub(crate) async fn links_of<T: Tx>(tx: &mut T, sources: &[EntityId]) -> Result<Vec<EntityRow>> {
    let mut links = Vec::new();
    for some in sources.chunks(IDS) {
        let mut params = Vec::new();
        let list = in_list(&mut params, some.iter().map(Param::from));
        let sql = format!("SELECT {ENTITY} FROM entity e WHERE e.source IN {list} AND e.hidden = 0");
        links.append(&mut tx.rows(&sql, &params, codec::entity).await?);
    }
    links.sort_by_key(|link| link.seq);
    Ok(links)
}

pub(crate) async fn links_to<T: Tx>(tx: &mut T, target: &EntityId) -> Result<Vec<EntityRow>> {
    let sql = format!("SELECT {ENTITY} FROM entity e WHERE e.target_id = ?1 AND e.hidden = 0 ORDER BY e.seq");
    tx.rows(&sql, params![target], codec::entity).await
}

pub(crate) async fn held<T: Tx>(tx: &mut T, entity: &EntityId, operation: Uuid) -> Result<Vec<EntityRow>> {
    let sql = format!(
        "SELECT {ENTITY} FROM entity e WHERE (e.id = ?1 OR e.source = ?1 OR e.target_id = ?1) AND e.operation = ?2 \
         ORDER BY e.seq"
    );
    tx.rows(&sql, params![entity, operation], codec::entity).await
}

pub(crate) async fn deletion_freeing<T: Tx>(
    tx: &mut T,
    targets: &[EntityId],
    but: Option<Uuid>,
) -> Result<Option<Uuid>> {
    for some in targets.chunks(IDS) {
        let mut params = vec![but.unwrap_or_default().into()];
        let list = in_list(&mut params, some.iter().map(Param::from));
        let sql = format!(
            "SELECT o.id FROM entity l JOIN operation o ON o.id = l.operation WHERE l.target_id IN {list} \
             AND l.hidden = 1 AND o.verb = 'delete' AND o.finished_ms IS NULL AND o.id <> ?1 ORDER BY o.id LIMIT 1"
        );
        if let Some(found) = tx.row(&sql, &params, |cells| cells.parse()).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

pub(crate) async fn operation<T: Tx>(tx: &mut T, id: Uuid) -> Result<Option<OperationRow>> {
    let sql = format!("SELECT {OPERATION} FROM operation WHERE id = ?1");
    tx.row(&sql, params![id], codec::operation).await
}

pub(crate) async fn operations<T: Tx>(tx: &mut T, query: &OperationQuery) -> Result<Vec<OperationRow>> {
    let OperationQuery {
        projects,
        parent,
        open,
        before,
        limit,
    } = query;
    let mut params = Vec::new();
    let columns = OPERATION.replace("intent", "''");
    let mut sql = format!("SELECT {columns} FROM operation WHERE 1 = 1");
    if !projects.is_empty() {
        let list = in_list(&mut params, projects.iter().map(Param::from));
        sql.push_str(&format!(" AND project IN {list}"));
    }
    if let Some(parent) = parent {
        params.push((*parent).into());
        sql.push_str(&format!(" AND parent = ?{}", params.len()));
    }
    let mut order = "id";
    if *open {
        sql.push_str(" AND finished_ms IS NULL");
        if parent.is_none() {
            // Open ones are few: their index leads, and they are sorted afterwards.
            params.push(i64::MIN.into());
            sql.push_str(&format!(" AND due_ms > ?{}", params.len()));
            order = "id || ''";
        }
    }
    if let Some(before) = before {
        params.push((*before).into());
        sql.push_str(&format!(" AND {order} < ?{}", params.len()));
    }
    sql.push_str(&format!(" ORDER BY {order} DESC LIMIT {}", or_default(*limit)));
    tx.rows(&sql, &params, codec::operation).await
}

pub(crate) async fn events<T: Tx>(tx: &mut T, query: &EventQuery) -> Result<EventPage> {
    let EventQuery {
        sees,
        project,
        path,
        kind,
        operation,
        way,
        limit,
    } = query;
    // The newest number is read first: events that are committed in between are shown, and counted next time.
    let newest = tx
        .row("SELECT value FROM counter WHERE name = 'event'", params![], |cells| {
            cells.int()
        })
        .await?
        .unwrap_or_default();
    let (low, high, order) = match *way {
        Way::After(after) => (after, after.saturating_add(LOOKED_AT), "ASC"),
        Way::Before(before) => {
            let high = newest.min(before.saturating_sub(1));
            (high.saturating_sub(LOOKED_AT), high, "DESC")
        }
    };
    let mut params = vec![low.into(), high.into()];
    let mut sql = format!("SELECT {EVENT} FROM event WHERE number > ?1 AND number <= ?2");
    if let Sees::Projects(projects) = sees {
        let own = in_list(&mut params, projects.iter().map(Param::from));
        sql.push_str(&format!(
            " AND (project IS NULL OR project IN {own} OR visibility IS NOT NULL)"
        ));
    }
    if let Some(project) = project {
        params.push(project.into());
        sql.push_str(&format!(" AND (project IS NULL OR project = ?{})", params.len()));
    }
    let equal = [
        ("path", path.as_ref().map(Param::from)),
        ("kind", kind.as_ref().map(Param::from)),
        ("operation", operation.map(Param::from)),
    ];
    for (column, wanted) in equal {
        if let Some(wanted) = wanted {
            params.push(wanted);
            sql.push_str(&format!(" AND {column} = ?{}", params.len()));
        }
    }
    sql.push_str(&format!(" ORDER BY number {order} LIMIT {limit}"));
    let (mut events, taken) = tx.rows_within(&sql, &params, READING, codec::event).await?;
    let is_full = events.len() >= *limit as usize || taken > READING;
    let last = events.last().filter(|_| is_full).map(|event| event.number);
    if matches!(way, Way::Before(_)) {
        events.reverse();
    }
    let oldest = tx
        .row("SELECT number FROM event ORDER BY number LIMIT 1", params![], |cells| {
            cells.int()
        })
        .await?;
    let newest = newest.max(events.last().map_or(0, |event| event.number));
    let reached = last.unwrap_or_else(|| match way {
        Way::After(_) => high.min(newest),
        Way::Before(_) => low + 1,
    });
    Ok(EventPage {
        events,
        reached,
        oldest: oldest.unwrap_or(newest + 1),
        newest,
    })
}

pub(crate) async fn audit<T: Tx>(tx: &mut T, query: &AuditQuery) -> Result<Vec<Audit>> {
    let AuditQuery {
        principal,
        project,
        limit,
    } = query;
    let mut params: Vec<Param<'_>> = Vec::new();
    let mut sql = format!("SELECT {AUDIT} FROM audit WHERE 1 = 1");
    for (column, wanted) in [("principal", principal), ("project", project)] {
        if let Some(wanted) = wanted {
            params.push(wanted.into());
            sql.push_str(&format!(" AND {column} = ?{}", params.len()));
        }
    }
    sql.push_str(&format!(" ORDER BY id DESC LIMIT {}", or_default(*limit)));
    tx.rows(&sql, &params, codec::audit).await
}

pub(crate) async fn idempotency<T: Tx>(
    tx: &mut T,
    principal: &str,
    project: &str,
    key: &str,
) -> Result<Option<IdempotencyRow>> {
    let now_ms = tx.now_ms().await?;
    let sql = format!(
        "SELECT {IDEMPOTENCY} FROM idempotency WHERE principal = ?1 AND project = ?2 AND token = ?3 AND expires_ms > ?4"
    );
    tx.row(&sql, params![principal, project, key, now_ms], codec::idempotency)
        .await
}

pub(crate) async fn user_mixins<T: Tx>(tx: &mut T, project: Option<&str>) -> Result<Vec<UserMixinRow>> {
    let order = "ORDER BY created_ms, project, id";
    match project {
        Some(project) => {
            let sql = format!("SELECT {USER_MIXIN} FROM user_mixin WHERE project = ?1 {order}");
            tx.rows(&sql, params![project], codec::user_mixin).await
        }
        None => {
            let sql = format!("SELECT {USER_MIXIN} FROM user_mixin {order}");
            tx.rows(&sql, params![], codec::user_mixin).await
        }
    }
}

/// One account, or all of them.
pub(crate) async fn users<T: Tx>(tx: &mut T, name: Option<&str>) -> Result<Vec<User>> {
    let condition = name.map_or("", |_| "WHERE a.name = ?1");
    let sql = format!(
        "SELECT a.name, a.password_hash, a.operator, a.default_project, m.project, m.role FROM account a \
         LEFT JOIN member m ON m.account = a.name {condition} ORDER BY a.name, m.project"
    );
    let params: Vec<Param<'_>> = name.into_iter().map(Param::from).collect();
    let rows = tx
        .rows(&sql, &params, |cells| {
            let user = User {
                name: cells.string()?,
                password_hash: cells.string()?,
                operator: cells.truth()?,
                default_project: cells.string()?,
                memberships: Vec::new(),
            };
            let membership = match (cells.opt_string()?, cells.opt_text()?) {
                (Some(project), Some(role)) => Some((project, codec::read_role(role)?)),
                _ => None,
            };
            Ok((user, membership))
        })
        .await?;
    let mut users: Vec<User> = Vec::new();
    for (user, membership) in rows {
        if users.last().is_none_or(|last| last.name != user.name) {
            users.push(user);
        }
        if let Some(last) = users.last_mut() {
            last.memberships.extend(membership);
        }
    }
    Ok(users)
}

pub(crate) async fn project<T: Tx>(tx: &mut T, name: &str) -> Result<Option<Project>> {
    let sql = format!("SELECT {PROJECT} FROM project WHERE name = ?1");
    tx.row(&sql, params![name], codec::project).await
}

pub(crate) async fn projects<T: Tx>(tx: &mut T) -> Result<Vec<Project>> {
    tx.rows(
        &format!("SELECT {PROJECT} FROM project ORDER BY name"),
        params![],
        codec::project,
    )
    .await
}

pub(crate) async fn usage<T: Tx>(tx: &mut T, project: &str) -> Result<Usage> {
    let sql = format!("SELECT {USAGE} FROM project_usage WHERE project = ?1");
    Ok(tx.row(&sql, params![project], codec::usage).await?.unwrap_or_default())
}

pub(crate) async fn as_of<T: Tx>(tx: &mut T, backend: &str, native_project: &str, kind: &str) -> Result<Option<i64>> {
    let sql = "SELECT as_of_ms FROM scope WHERE backend = ?1 AND native_project = ?2 AND kind = ?3";
    tx.row(sql, params![backend, native_project, kind], |cells| cells.int())
        .await
}

fn or_default(limit: u32) -> u32 {
    if limit == 0 { LIMIT } else { limit }
}
