//! Who sees and changes what. What a principal may not see does not exist: it is not found, never forbidden.

use crate::{Caller, EngineError, FailureKind, Principal, ProjectModel, Result};
use occi_backend::names;
use occi_model::{Origin, TypeId};
use occi_store::{EntityRow, OperationRow, Role, Sees, Visibility};

/// Whether `principal` sees an entity.
pub(crate) fn sees(principal: &Principal, project: &str, visibility: &Visibility) -> bool {
    principal.role_in(project).is_some()
        || match visibility {
            Visibility::Project => false,
            Visibility::Projects(others) => others.iter().any(|other| principal.role_in(other).is_some()),
            Visibility::Public => true,
        }
}

/// Whether links of `project` may lead to an entity: it is of that project, or a network that is shared with it.
pub(crate) fn may_lead(project: &str, to: &EntityRow) -> bool {
    to.project == project
        || can_be_shared(to)
            && match &to.visibility {
                Visibility::Project => false,
                Visibility::Projects(others) => others.iter().any(|other| other == project),
                Visibility::Public => true,
            }
}

/// Whether an operator may share an entity between projects: a volume that is attached can be written.
pub(crate) fn can_be_shared(row: &EntityRow) -> bool {
    row.kind == *names::NETWORK
}

/// Whether an entity that the caller sees is of one of its projects, and not only shown to it.
pub(crate) fn is_own(caller: &Caller, row: &EntityRow) -> bool {
    caller.principal.role_in(&row.project).is_some()
}

/// The row, if the caller sees it and no accepted DELETE hides it.
pub(crate) fn visible(caller: &Caller, row: Option<EntityRow>) -> Option<EntityRow> {
    row.filter(|row| !row.hidden && sees(&caller.principal, &row.project, &row.visibility))
}

/// Whose eyes the listings of the caller have.
pub(crate) fn eyes(caller: &Caller) -> Sees {
    if caller.principal.operator {
        Sees::All
    } else {
        Sees::Projects(caller.principal.projects.iter().map(|(name, _)| name.clone()).collect())
    }
}

/// Refuses what takes more than looking at an entity that the caller sees.
pub(crate) fn may_change_row(caller: &Caller, row: &EntityRow) -> Result<()> {
    if is_own(caller, row) {
        return may_change(caller, &row.project);
    }
    Err(only_shown(row))
}

/// The failure for a change of what belongs to others and is shown to the caller.
pub(crate) fn only_shown(row: &EntityRow) -> EngineError {
    EngineError::new(
        FailureKind::Forbidden,
        format!(
            "{} belongs to another project, which shares it: it can be read and linked to, not changed",
            row.path
        ),
    )
}

/// Refuses mixins of the users of another project than that of the entity at `path`.
pub(crate) fn may_bear(model: &ProjectModel, path: &str, project: &str, mixins: &[TypeId]) -> Result<()> {
    let is_strange = |id: &&TypeId| {
        let mixin = model.registry.mixin(id.as_str());
        mixin.is_some_and(|mixin| matches!(&mixin.origin, Origin::User { project: of, .. } if of != project))
    };
    match mixins.iter().find(is_strange) {
        None => Ok(()),
        Some(mixin) => Err(EngineError::new(
            FailureKind::Forbidden,
            format!("{path} belongs to another project than {mixin}"),
        )),
    }
}

/// Refuses what takes more than looking at things of `project`.
pub(crate) fn may_change(caller: &Caller, project: &str) -> Result<()> {
    match caller.principal.role_in(project) {
        Some(Role::Member | Role::Manager) => Ok(()),
        Some(Role::Reader) => Err(EngineError::new(
            FailureKind::Forbidden,
            format!("readers of the project {project:?} may not change anything in it"),
        )),
        None => Err(no_member(caller, project)),
    }
}

/// The failure for a project of which the caller is no member.
fn no_member(caller: &Caller, project: &str) -> EngineError {
    let message = if caller.principal.projects.is_empty() {
        "you are no member of any project: ask an operator to let you into one".to_owned()
    } else {
        format!("you are no member of the project {project:?}")
    };
    EngineError::new(FailureKind::Forbidden, message)
}

/// Refuses a caller that is no member of the project it names.
pub(crate) fn may_enter(caller: &Caller) -> Result<()> {
    let project = caller.effective_project();
    match caller.principal.role_in(project) {
        Some(_) => Ok(()),
        None => Err(no_member(caller, project)),
    }
}

/// The failure for an operator, who may enter every project, at one that does not exist.
pub(crate) fn no_project(project: &str) -> EngineError {
    EngineError::new(FailureKind::Forbidden, format!("there is no project {project:?}"))
}

/// Whether the caller may know of an operation: its own, or one of its projects.
pub(crate) fn sees_operation(caller: &Caller, row: &OperationRow) -> bool {
    caller.principal.role_in(&row.project).is_some()
}

/// The failure for everything that is not there, or not for the caller.
pub(crate) fn not_found(path: &str) -> EngineError {
    EngineError::new(FailureKind::NotFound, format!("there is nothing at {path}"))
}
