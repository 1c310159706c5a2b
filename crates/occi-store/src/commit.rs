//! Carries out a [`Commit`].

use crate::codec::{self, IDEMPOTENCY, Stored, insert_audit, insert_operation, role_text, state_text, stored};
use crate::command::{Commit, Committed, Limits, OverQuota, Require, Write};
use crate::error::Refused;
use crate::json::write_types;
use crate::row::{Audit, Change, IdempotencyRow, OperationState, Project, Role, Usage, User, UserMixinRow, Visibility};
use crate::tx::{Command, Locks, Param, Tx, params};
use crate::writing::{Heard, Writing, missing, taken};
use crate::{Result, StoreError};
use occi_model::{EntityId, TypeId};
use std::collections::HashSet;
use uuid::Uuid;

impl Command for Commit {
    type Output = Committed;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Committed> {
        if T::SHARED {
            let mut locks = locks(self);
            if self.writes.iter().any(|write| matches!(write, Write::RemoveUser(_))) {
                // One of the operators stays: two that go at once see each other.
                let sql = "SELECT name FROM account WHERE operator = 1";
                locks
                    .accounts
                    .append(&mut tx.rows(sql, params![], |cells| cells.string()).await?);
            }
            tx.lock(locks).await?;
        }
        let mut judged = None;
        for requirement in &self.require {
            check(tx, requirement, &mut judged).await?;
        }
        let mut writing = Writing::new(tx).await?;
        let is_new = |write: &&Write| matches!(write, Write::InsertEntity { .. });
        writing.expect(self.writes.iter().filter(is_new).count());
        for write in &self.writes {
            carry_out(&mut writing, write).await?;
        }
        insert_audit(writing.tx, &self.audit).await?;
        let (committed, events) = writing.finish().await?;
        // Only now no other transaction can tell anything before this one does.
        let newest = committed.event - i64::try_from(events.len()).unwrap_or(i64::MAX);
        for requirement in &self.require {
            if let Require::NothingSince(since) = *requirement
                && newest != since
            {
                return Err(Refused::Changed { since, newest }.into());
            }
        }
        Ok(committed)
    }

    fn audit(&self) -> &[Audit] {
        &self.audit
    }
}

/// The rows that the commit names.
fn locks(commit: &Commit) -> Locks {
    let mut locks = Locks::default();
    for requirement in &commit.require {
        match requirement {
            Require::Generation { id, generation: _ }
            | Require::Exists(id)
            | Require::Idle(id)
            | Require::Held { id, by: _ }
            | Require::NotTargeted { id, but: _ } => locks.entities.push(id.to_string()),
            Require::Lease {
                operation,
                owner: _,
                attempt: _,
            }
            | Require::NotCancelled(operation) => {
                locks.operations.push(operation.to_string());
            }
            Require::RoomForMixins { project, .. } | Require::UserMixins { project, mixins: _ } => {
                locks.projects.push(project.clone());
            }
            Require::NotAssociated { project: _, mixin: _ } | Require::NothingSince(_) => {}
        }
    }
    for write in &commit.writes {
        match write {
            Write::InsertEntity { row, usage: _ } => {
                locks.projects.push(row.project.clone());
                locks.projects.extend(named(&row.visibility));
                locks.entities.extend(
                    [&row.source, &row.target_id]
                        .into_iter()
                        .flatten()
                        .map(EntityId::to_string),
                );
            }
            Write::UpdateEntity { id, change, usage: _ } => {
                locks.entities.push(id.to_string());
                locks.projects.extend(change.visibility.iter().flat_map(named));
            }
            Write::RemoveEntity(id) => locks.entities.push(id.to_string()),
            Write::Step { operation, .. } | Write::FinishOperation { operation, .. } => {
                locks.operations.push(operation.to_string());
            }
            Write::ReleaseOperation(operation) | Write::CancelOperation(operation) => {
                locks.operations.push(operation.to_string());
            }
            Write::RemoveProject(project)
            | Write::InsertUserMixin(UserMixinRow { project, .. })
            | Write::RemoveUserMixin { project, id: _ } => locks.projects.push(project.clone()),
            Write::PutMember { project, user, role: _ } => {
                locks.projects.push(project.clone());
                locks.accounts.push(user.clone());
            }
            Write::RemoveUser(user) => locks.accounts.push(user.clone()),
            Write::InsertUser(user) => {
                locks
                    .projects
                    .extend(user.memberships.iter().map(|(project, _)| project.clone()));
            }
            Write::InsertOperation(_)
            | Write::InsertIdempotency(_)
            | Write::SetPassword { .. }
            | Write::InsertProject(_)
            | Write::SetQuota { .. }
            | Write::ModelChanged(_) => {}
        }
    }
    locks
}

/// The projects that a visibility names: none of them is removed meanwhile.
fn named(visibility: &Visibility) -> Vec<String> {
    match visibility {
        Visibility::Projects(projects) => projects.clone(),
        Visibility::Project | Visibility::Public => Vec::new(),
    }
}

/// How an operation stands.
#[derive(Debug, PartialEq)]
struct Claimed {
    operation: Uuid,
    owner: Option<String>,
    attempt: i64,
    ended: bool,
    cancelled: bool,
}

/// How an operation stands; requirements about the same one ask once.
async fn claimed<'j, T: Tx>(
    tx: &mut T,
    operation: Uuid,
    judged: &'j mut Option<Claimed>,
) -> Result<Option<&'j Claimed>> {
    if judged.as_ref().is_none_or(|judged| judged.operation != operation) {
        let sql = "SELECT lease_owner, attempt, finished_ms, cancelled FROM operation WHERE id = ?1";
        *judged = tx
            .row(sql, params![operation], |cells| {
                Ok(Claimed {
                    operation,
                    owner: cells.opt_string()?,
                    attempt: cells.int()?,
                    ended: cells.opt_int()?.is_some(),
                    cancelled: cells.truth()?,
                })
            })
            .await?;
    }
    Ok(judged.as_ref())
}

async fn check<T: Tx>(tx: &mut T, requirement: &Require, judged: &mut Option<Claimed>) -> Result<()> {
    match requirement {
        Require::Generation { id, generation } => match standing(tx, id).await? {
            Standing {
                generation: current, ..
            } if current == *generation => Ok(()),
            Standing {
                generation: current, ..
            } => Err(Refused::Generation {
                id: id.clone(),
                current,
            }
            .into()),
        },
        Require::Exists(id) => standing(tx, id).await.map(drop),
        Require::Idle(id) => idle(tx, id).await,
        Require::Held { id, by } => match standing_or_hidden(tx, id).await?.operation {
            Some(operation) if operation == *by => Ok(()),
            _ => Err(Refused::LeaseLost(*by).into()),
        },
        Require::Lease {
            operation,
            owner,
            attempt,
        } => {
            let held = claimed(tx, *operation, judged).await?.is_some_and(|now| {
                now.owner.as_ref() == Some(owner) && now.attempt == i64::from(*attempt) && !now.ended
            });
            match held {
                true => Ok(()),
                false => Err(Refused::LeaseLost(*operation).into()),
            }
        }
        Require::NotCancelled(operation) => match claimed(tx, *operation, judged).await? {
            Some(Claimed { cancelled: false, .. }) => Ok(()),
            Some(_) => Err(Refused::Cancelled(*operation).into()),
            None => Err(missing("operation", operation).into()),
        },
        Require::NotTargeted { id, but } => {
            let sql = "SELECT id, folder || id FROM entity WHERE target_id = ?1 AND hidden = 0 ORDER BY seq LIMIT ?2";
            let enough = i64::try_from(but.len()).unwrap_or(i64::MAX).saturating_add(1);
            let links = tx
                .rows(sql, params![id, enough], |cells| Ok((cells.string()?, cells.string()?)))
                .await?;
            let known: HashSet<&str> = but.iter().map(EntityId::as_str).collect();
            match links.into_iter().find(|(link, _)| !known.contains(link.as_str())) {
                Some((_, by)) => Err(Refused::Targeted { id: id.clone(), by }.into()),
                None => Ok(()),
            }
        }
        Require::NotAssociated { project, mixin } => {
            let sql = "SELECT e.folder || e.id FROM entity_mixin m JOIN entity e ON e.seq = m.entity_seq \
                       WHERE m.mixin = ?1 AND e.project = ?2 AND e.hidden = 0 ORDER BY e.seq LIMIT 1";
            let by = tx
                .row(sql, params![mixin.as_str(), project], |cells| cells.string())
                .await?;
            match by {
                Some(by) => Err(Refused::Associated {
                    mixin: mixin.clone(),
                    by,
                }
                .into()),
                None => Ok(()),
            }
        }
        Require::UserMixins { project, mixins } => {
            let sql = "SELECT 1 FROM user_mixin WHERE project = ?1 AND id = ?2";
            for mixin in mixins {
                if tx
                    .row(sql, params![project, mixin], |cells| cells.int())
                    .await?
                    .is_none()
                {
                    return Err(Refused::NoMixin(mixin.clone()).into());
                }
            }
            Ok(())
        }
        Require::RoomForMixins { project, limit, more } => {
            let sql = "SELECT COUNT(*) FROM user_mixin WHERE project = ?1";
            let used = tx
                .row(sql, params![project], |cells| cells.int())
                .await?
                .unwrap_or_default();
            let (limit, asked) = (i64::from(*limit), i64::from(*more));
            if used + asked <= limit {
                return Ok(());
            }
            Err(Refused::Quota {
                what: "user mixins",
                limit,
                used,
                asked,
            }
            .into())
        }
        // Looked at when the events are numbered.
        Require::NothingSince(_) => Ok(()),
    }
}

struct Standing {
    generation: i64,
    operation: Option<Uuid>,
    hidden: bool,
}

/// How an entity stands; hidden ones do not exist.
async fn standing<T: Tx>(tx: &mut T, id: &EntityId) -> Result<Standing> {
    let found = standing_or_hidden(tx, id).await?;
    if found.hidden {
        Err(Refused::NoEntity(id.clone()).into())
    } else {
        Ok(found)
    }
}

async fn standing_or_hidden<T: Tx>(tx: &mut T, id: &EntityId) -> Result<Standing> {
    let sql = "SELECT generation, operation, hidden FROM entity WHERE id = ?1";
    tx.row(sql, params![id], |cells| {
        Ok(Standing {
            generation: cells.int()?,
            operation: cells.opt_parse()?,
            hidden: cells.truth()?,
        })
    })
    .await?
    .ok_or_else(|| Refused::NoEntity(id.clone()).into())
}

async fn idle<T: Tx>(tx: &mut T, id: &EntityId) -> Result<()> {
    let Some(operation) = standing_or_hidden(tx, id).await?.operation else {
        return Ok(());
    };
    let sql = "SELECT verb FROM operation WHERE id = ?1";
    let verb = tx
        .row(sql, params![operation], |cells| cells.string())
        .await?
        .unwrap_or_default();
    Err(Refused::Busy {
        id: id.clone(),
        operation,
        verb,
    }
    .into())
}

async fn carry_out<T: Tx>(writing: &mut Writing<'_, T>, write: &Write) -> Result<()> {
    match write {
        Write::InsertEntity { row, usage } => {
            if writing.insert(row, *usage, writing.now_ms, OverQuota::Refuse).await? {
                return Ok(());
            }
            let sql = "SELECT 1 FROM entity WHERE id = ?1";
            let same = writing.tx.row(sql, params![&row.id], |cells| cells.int()).await?;
            Err(match same {
                Some(_) => taken("id", row.id.as_str()),
                None => taken("native id", row.native_id.as_deref().unwrap_or_default()),
            }
            .into())
        }
        Write::UpdateEntity { id, change, usage } => update_entity(writing, id, change, *usage).await,
        Write::RemoveEntity(id) => {
            let found = writing.stored(id).await?.ok_or_else(|| Refused::NoEntity(id.clone()))?;
            writing.remove(found, true).await
        }
        Write::InsertOperation(row) => match insert_operation(writing.tx, row).await? {
            true => {
                writing.hear(Heard {
                    operation: row.id,
                    state: row.state,
                    entity: row.entity.clone(),
                    path: row.path.clone(),
                    project: row.project.clone(),
                });
                Ok(())
            }
            false => Err(taken("operation", &row.id.to_string()).into()),
        },
        Write::Step {
            operation,
            step,
            progress,
            engine_accepted,
            lease_ms,
            deadline_ms,
        } => {
            let until = writing.now_ms.saturating_add(*lease_ms);
            let sql = "SELECT step, progress, engine_accepted FROM operation WHERE id = ?1";
            let was = writing
                .tx
                .row(sql, params![*operation], |cells| {
                    Ok((cells.opt_string()?, cells.int()?, cells.truth()?))
                })
                .await?;
            // A mere sign of life is nothing that happened.
            let is_further = was.is_none_or(|(was, progress_was, was_accepted)| {
                was.as_ref() != Some(step)
                    || progress.is_some_and(|progress| i64::from(progress) != progress_was)
                    || *engine_accepted && !was_accepted
            });
            let sql = "UPDATE operation SET step = ?2, progress = COALESCE(?3, progress), \
                       engine_accepted = CASE WHEN ?4 = 1 THEN 1 ELSE engine_accepted END, \
                       lease_until_ms = CASE WHEN lease_owner IS NULL THEN lease_until_ms ELSE ?5 END, \
                       due_ms = CASE WHEN lease_owner IS NULL THEN due_ms ELSE ?5 END, \
                       deadline_ms = ?6 WHERE id = ?1 AND finished_ms IS NULL";
            let params = params![
                *operation,
                step,
                progress.map(i64::from),
                *engine_accepted,
                until,
                *deadline_ms
            ];
            let heard = written(writing, *operation, OperationState::Running, sql, params).await?;
            if is_further {
                writing.hear(heard);
            }
            Ok(())
        }
        Write::FinishOperation {
            operation,
            state,
            step,
            error,
            result,
            not_before_ms,
            deadline_ms,
            at_ms,
        } => {
            let (error, result) = (
                error.as_ref().map(ToString::to_string),
                result.as_ref().map(ToString::to_string),
            );
            let heard = match state {
                OperationState::Accepted | OperationState::Running => {
                    let sql = "UPDATE operation SET state = 'accepted', error = ?2, result = ?3, not_before_ms = ?4, \
                               step = COALESCE(?5, step), lease_owner = NULL, lease_until_ms = NULL, \
                               deadline_ms = ?6, \
                               due_ms = CASE WHEN entity IS NULL THEN due_ms ELSE ?4 END \
                               WHERE id = ?1 AND finished_ms IS NULL";
                    let deadline_ms = deadline_ms.unwrap_or_default();
                    let params = params![*operation, error, result, *not_before_ms, step.as_ref(), deadline_ms];
                    written(writing, *operation, OperationState::Accepted, sql, params).await?
                }
                OperationState::Succeeded | OperationState::Failed | OperationState::NeedsAttention => {
                    let sql = "UPDATE operation SET state = ?2, error = ?3, result = ?4, finished_ms = ?5, \
                               progress = CASE WHEN ?2 = 'succeeded' THEN 100 ELSE progress END, \
                               step = COALESCE(?6, step), \
                               lease_owner = NULL, lease_until_ms = NULL WHERE id = ?1 AND finished_ms IS NULL";
                    let params = params![*operation, state_text(*state), error, result, *at_ms, step.as_ref()];
                    written(writing, *operation, *state, sql, params).await?
                }
            };
            writing.hear(heard);
            Ok(())
        }
        Write::ReleaseOperation(operation) => {
            let sql = "UPDATE operation SET state = 'accepted', deaths = deaths + 1, lease_owner = NULL, \
                       lease_until_ms = NULL, deadline_ms = 0, due_ms = CASE WHEN entity IS NULL THEN due_ms ELSE 0 END \
                       WHERE id = ?1 AND lease_owner IS NOT NULL AND finished_ms IS NULL";
            let heard = written(writing, *operation, OperationState::Accepted, sql, params![*operation]).await?;
            writing.hear(heard);
            Ok(())
        }
        Write::CancelOperation(operation) => {
            // What waits for its next attempt compensates at once.
            let sql = "UPDATE operation SET \
                       cancelled = CASE WHEN finished_ms IS NULL THEN 1 ELSE cancelled END, \
                       due_ms = CASE WHEN lease_owner IS NULL AND entity IS NOT NULL THEN 0 ELSE due_ms END \
                       WHERE id = ?1";
            match writing.tx.execute(sql, params![*operation]).await? {
                0 => Err(missing("operation", operation).into()),
                _ => Ok(()),
            }
        }
        Write::InsertUserMixin(row) => insert_user_mixin(writing, row).await,
        Write::RemoveUserMixin { project, id } => remove_user_mixin(writing, project, id).await,
        Write::InsertIdempotency(row) => insert_idempotency(writing, row).await,
        Write::InsertUser(user) => insert_user(writing, user).await,
        Write::SetPassword { user, password_hash } => {
            let sql = "UPDATE account SET password_hash = ?2 WHERE name = ?1";
            match writing.tx.execute(sql, params![user, password_hash]).await? {
                0 => Err(missing("user", user).into()),
                _ => Ok(()),
            }
        }
        Write::RemoveUser(name) => remove_user(writing, name).await,
        Write::InsertProject(project) => insert_project(writing, project).await,
        Write::SetQuota { project, limits } => set_quota(writing, project, limits).await,
        Write::RemoveProject(name) => remove_project(writing, name).await,
        Write::PutMember { project, user, role } => put_member(writing, project, user, *role).await,
        Write::ModelChanged(project) => {
            writing.tell_model(project.clone());
            Ok(())
        }
    }
}

/// Carries out this update of an operation, unless it has ended: what there is to hear if it is in `state` since then.
async fn written<T: Tx>(
    writing: &mut Writing<'_, T>,
    operation: Uuid,
    state: OperationState,
    update: &str,
    params: &[Param<'_>],
) -> Result<Heard> {
    let sql = format!("{update} RETURNING {}", Heard::COLUMNS);
    let heard = writing.tx.row(&sql, params, |cells| Heard::of(operation, state, cells));
    heard.await?.ok_or_else(|| Refused::LeaseLost(operation).into())
}

async fn update_entity<T: Tx>(
    writing: &mut Writing<'_, T>,
    id: &EntityId,
    change: &Change,
    usage: Option<(Usage, OverQuota)>,
) -> Result<()> {
    let old = writing.stored(id).await?.ok_or_else(|| Refused::NoEntity(id.clone()))?;
    let mut new = old.clone();
    apply(&mut new, change);
    let (usage, quota) = usage.unwrap_or((old.usage, OverQuota::Count));
    new.usage = usage;
    new.row.modified_ms = writing.now_ms;
    new.fence_ms = writing.now_ms;
    new.missed_ms = None;
    let row = writing.update(&old, new, quota).await?;
    writing.changed.insert(id.clone(), row);
    Ok(())
}

fn apply(to: &mut Stored, change: &Change) {
    let Change {
        set,
        unset,
        mixins_removed,
        mixins_added,
        native_id,
        state,
        source,
        target,
        operation,
        hidden,
        touched,
        visibility,
    } = change.clone();
    let row = &mut to.row;
    for name in &unset {
        row.attributes.remove(name.as_str());
    }
    for (name, value) in set {
        row.attributes.set(name, value);
    }
    row.mixins.retain(|mixin| !mixins_removed.contains(mixin));
    for mixin in mixins_added {
        if !row.mixins.contains(&mixin) {
            row.mixins.push(mixin);
        }
    }
    row.native_id = native_id.unwrap_or_else(|| row.native_id.take());
    row.state = state.or_else(|| row.state.take());
    row.source = source.or_else(|| row.source.take());
    if let Some((end, id)) = target {
        row.target = Some(end);
        row.target_id = id;
    }
    row.operation = operation.unwrap_or(row.operation);
    row.hidden = hidden.unwrap_or(row.hidden);
    row.untouched &= !touched;
    row.visibility = visibility.unwrap_or_else(|| row.visibility.clone());
}

async fn insert_user_mixin<T: Tx>(writing: &mut Writing<'_, T>, row: &UserMixinRow) -> Result<()> {
    let sql = "INSERT INTO user_mixin (project, id, owner, title, location, depends, created_ms) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
    let params = params![
        &row.project,
        &row.id,
        &row.owner,
        &row.title,
        row.location.as_str(),
        write_types(&row.depends)?,
        row.created_ms
    ];
    if writing.tx.execute(sql, params).await? == 1 {
        return Ok(());
    }
    let sql = "SELECT 1 FROM user_mixin WHERE project = ?1 AND id = ?2";
    let same = writing
        .tx
        .row(sql, params![&row.project, &row.id], |cells| cells.int())
        .await?;
    Err(match same {
        Some(_) => taken("mixin", row.id.as_str()),
        None => taken("location", row.location.as_str()),
    }
    .into())
}

async fn remove_user_mixin<T: Tx>(writing: &mut Writing<'_, T>, project: &str, id: &TypeId) -> Result<()> {
    let sql = "DELETE FROM user_mixin WHERE project = ?1 AND id = ?2";
    if writing.tx.execute(sql, params![project, id]).await? == 0 {
        return Err(missing("mixin", id).into());
    }
    let sql = format!(
        "SELECT {} FROM entity_mixin m CROSS JOIN entity e WHERE m.mixin = ?1 AND e.seq = m.entity_seq \
         AND e.project = ?2",
        codec::ENTITY
    );
    for old in writing.tx.rows(&sql, params![id, project], stored).await? {
        let mut new = old.clone();
        new.row.mixins.retain(|mixin| mixin != id);
        new.row.modified_ms = writing.now_ms;
        new.fence_ms = writing.now_ms;
        writing.update(&old, new, OverQuota::Count).await?;
    }
    Ok(())
}

async fn insert_idempotency<T: Tx>(writing: &mut Writing<'_, T>, row: &IdempotencyRow) -> Result<()> {
    let IdempotencyRow {
        principal,
        project,
        key,
        hash,
        operation,
        answer,
        expires_ms,
    } = row;
    let sql = "DELETE FROM idempotency WHERE principal = ?1 AND project = ?2 AND token = ?3 AND expires_ms <= ?4";
    writing
        .tx
        .execute(sql, params![principal, project, key, writing.now_ms])
        .await?;
    let sql =
        format!("INSERT INTO idempotency ({IDEMPOTENCY}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING");
    let params = params![
        principal,
        project,
        key,
        hash,
        *operation,
        answer.to_string(),
        *expires_ms
    ];
    if writing.tx.execute(&sql, params).await? == 1 {
        return Ok(());
    }
    let sql = format!("SELECT {IDEMPOTENCY} FROM idempotency WHERE principal = ?1 AND project = ?2 AND token = ?3");
    let known = writing
        .tx
        .row(&sql, params![principal, project, key], codec::idempotency)
        .await?
        .ok_or_else(|| StoreError::Corrupt("an idempotency key is taken, but not there".to_owned()))?;
    Err(Refused::Repeated(Box::new(known)).into())
}

async fn insert_user<T: Tx>(writing: &mut Writing<'_, T>, user: &User) -> Result<()> {
    let User {
        name,
        password_hash,
        operator,
        default_project,
        memberships,
    } = user;
    let sql = "INSERT INTO account (name, password_hash, operator, default_project) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT DO NOTHING";
    let params = params![name, password_hash, *operator, default_project];
    if writing.tx.execute(sql, params).await? == 0 {
        return Err(taken("user", name).into());
    }
    for (project, role) in memberships {
        put_member(writing, project, name, Some(*role)).await?;
    }
    Ok(())
}

async fn remove_user<T: Tx>(writing: &mut Writing<'_, T>, name: &str) -> Result<()> {
    let sql = "SELECT 1 FROM account a WHERE a.name = ?1 AND a.operator = 1 \
               AND NOT EXISTS (SELECT 1 FROM account b WHERE b.operator = 1 AND b.name <> ?1)";
    if writing.tx.row(sql, params![name], |cells| cells.int()).await?.is_some() {
        return Err(Refused::LastOperator(name.to_owned()).into());
    }
    let sql = "DELETE FROM account WHERE name = ?1";
    if writing.tx.execute(sql, params![name]).await? == 0 {
        return Err(missing("user", name).into());
    }
    for sql in [
        "DELETE FROM member WHERE account = ?1",
        "DELETE FROM idempotency WHERE principal = ?1",
    ] {
        writing.tx.execute(sql, params![name]).await?;
    }
    Ok(())
}

async fn put_member<T: Tx>(writing: &mut Writing<'_, T>, project: &str, user: &str, role: Option<Role>) -> Result<()> {
    if writing.project(project).await?.is_none() {
        return Err(missing("project", project).into());
    }
    let sql = "SELECT 1 FROM account WHERE name = ?1";
    if writing.tx.row(sql, params![user], |cells| cells.int()).await?.is_none() {
        return Err(missing("user", user).into());
    }
    let Some(role) = role else {
        let sql = "DELETE FROM member WHERE account = ?1 AND project = ?2";
        return writing.tx.execute(sql, params![user, project]).await.map(drop);
    };
    let sql = "INSERT INTO member (account, project, role) VALUES (?1, ?2, ?3) \
               ON CONFLICT (account, project) DO UPDATE SET role = excluded.role";
    writing
        .tx
        .execute(sql, params![user, project, role_text(role)])
        .await
        .map(drop)
}

async fn insert_project<T: Tx>(writing: &mut Writing<'_, T>, project: &Project) -> Result<()> {
    let Project {
        name,
        quota,
        created_ms,
    } = project;
    let sql = "INSERT INTO project (name, created_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    match writing.tx.execute(sql, params![name, *created_ms]).await? {
        0 => Err(taken("project", name).into()),
        _ => set_quota(writing, name, &Limits::from(*quota)).await,
    }
}

async fn set_quota<T: Tx>(writing: &mut Writing<'_, T>, project: &str, limits: &Limits) -> Result<()> {
    let Limits {
        instances,
        cores,
        memory_mib,
        volume_gib,
        addresses,
    } = *limits;
    let mut sql = "UPDATE project SET name = name".to_owned();
    let mut params: Vec<Param<'_>> = vec![project.into()];
    for (column, limit) in [
        ("max_instances", instances),
        ("max_cores", cores),
        ("max_memory_mib", memory_mib),
        ("max_volume_gib", volume_gib),
        ("max_addresses", addresses),
    ] {
        if let Some(limit) = limit {
            params.push(limit.into());
            sql.push_str(&format!(", {column} = ?{}", params.len()));
        }
    }
    sql.push_str(" WHERE name = ?1");
    match writing.tx.execute(&sql, &params).await? {
        0 => Err(missing("project", project).into()),
        _ => Ok(()),
    }
}

async fn remove_project<T: Tx>(writing: &mut Writing<'_, T>, name: &str) -> Result<()> {
    let sql = "SELECT 1 FROM entity WHERE project = ?1 LIMIT 1";
    if writing.tx.row(sql, params![name], |cells| cells.int()).await?.is_some() {
        return Err(Refused::NotEmpty(name.to_owned()).into());
    }
    // Who makes a project of that name again is to find nothing there.
    let sql = "SELECT e.folder || e.id FROM share s JOIN entity e ON e.seq = s.entity_seq WHERE s.project = ?1 \
               ORDER BY e.seq LIMIT 1";
    if let Some(path) = writing.tx.row(sql, params![name], |cells| cells.string()).await? {
        let project = name.to_owned();
        return Err(Refused::Shared { project, path }.into());
    }
    if writing
        .tx
        .execute("DELETE FROM project WHERE name = ?1", params![name])
        .await?
        == 0
    {
        return Err(missing("project", name).into());
    }
    for sql in [
        "DELETE FROM member WHERE project = ?1",
        "DELETE FROM user_mixin WHERE project = ?1",
        "DELETE FROM project_usage WHERE project = ?1",
        "DELETE FROM idempotency WHERE project = ?1",
        "DELETE FROM operation WHERE project = ?1",
        // Operators may not have heard of its end yet; the empty project is nobody's.
        "UPDATE event SET project = '' WHERE project = ?1",
    ] {
        writing.tx.execute(sql, params![name]).await?;
    }
    Ok(())
}
