//! The audit of the store against the engines (`occid check`).

use crate::engine::{Engine, Inner};
use crate::operation::has_ended;
use crate::{EngineError, Result};
use occi_backend::Scope;
use occi_store::{Cursor, EntityQuery, EntityRow, OperationQuery, OperationRow, OperationState, Sees};
use std::collections::{BTreeSet, HashMap, HashSet};

impl Engine {
    /// Compares the store with the engines; one sentence per finding. What is being worked on is left out.
    ///
    /// # Errors
    /// If the store cannot be read. An engine that cannot be asked is a finding.
    pub async fn check(&self) -> Result<Vec<String>> {
        let inner = &self.inner;
        let mut findings = inner.store.check().await?;
        let operations = inner.store.operations(&all_operations()).await?;
        for operation in &operations {
            match operation.state {
                OperationState::NeedsAttention => {
                    // Of a collection the parts tell, and once the entity is gone nothing is left to clean up.
                    if let Some(entity) = &operation.entity
                        && let Some(left) = inner.store.entity(entity).await?
                    {
                        let (id, verb) = (operation.id, &operation.verb);
                        let error = operation.error.as_ref().map(|error| EngineError::from_json(error, id));
                        let reason = error.map(|error| format!(": {error}")).unwrap_or_default();
                        findings.push(format!(
                            "operation {id} ({verb} of {}) needs attention{reason}",
                            left.path
                        ));
                    }
                }
                state if !has_ended(state) && deadline_ms(operation, &operations) < inner.now_ms() => {
                    findings.push(format!(
                        "operation {} ({}) is open past its deadline",
                        operation.id, operation.verb
                    ))
                }
                _ => {}
            }
        }
        let rows = inner.carried_rows().await?;
        for row in &rows {
            if let Some(operation) = row.operation
                && !matches!(inner.store.operation(operation).await?, Some(open) if !has_ended(open.state))
            {
                findings.push(format!(
                    "{} waits for operation {operation}, which is not open",
                    row.path
                ));
            }
        }
        let projects: BTreeSet<_> = inner.store.projects().await?.into_iter().map(|one| one.name).collect();
        for carrier in 0..inner.carriers.len() {
            for project in &projects {
                inner.compare(carrier, project, &rows, &mut findings).await;
            }
            inner.look_beyond(carrier, &projects, &mut findings).await;
        }
        Ok(findings)
    }
}

/// When it will be given up; that of a collection with the last of its parts.
fn deadline_ms(operation: &OperationRow, all: &[OperationRow]) -> i64 {
    let parts = all.iter().filter(|part| part.parent == Some(operation.id));
    let last = parts.map(|part| part.deadline_ms).max();
    last.unwrap_or(operation.deadline_ms)
}

fn all_operations() -> OperationQuery {
    OperationQuery {
        limit: u32::MAX,
        ..OperationQuery::default()
    }
}

impl Inner {
    /// All rows that a backend carries out.
    async fn carried_rows(&self) -> Result<Vec<EntityRow>> {
        let mut query = EntityQuery::new(Sees::All);
        let mut rows = Vec::new();
        loop {
            let page = self.store.select(&query).await?;
            let last = page.last().map(|row| row.seq);
            rows.extend(page.into_iter().filter(|row| row.backend.is_some()));
            match last {
                Some(seq) => query.after = Some(Cursor(seq)),
                None => return Ok(rows),
            }
        }
    }

    /// Names what a backend has in native projects that nobody here knows.
    async fn look_beyond(&self, carrier: usize, known: &BTreeSet<String>, findings: &mut Vec<String>) {
        let here = &self.carriers[carrier];
        if !here.capabilities().lists_projects {
            return;
        }
        let cannot = |error| format!("the backend {:?} cannot be asked: {error}", here.name);
        let projects = match here.backend.projects().await {
            Ok(projects) => projects,
            Err(error) => return findings.push(cannot(error)),
        };
        for project in projects.into_iter().filter(|project| !known.contains(project)) {
            let scope = Scope { project };
            for kind in &here.capabilities().kinds {
                match here.backend.list(&scope, &kind.kind).await {
                    Ok(listing) => findings.extend(listing.pictures.iter().map(|picture| {
                        format!(
                            "the backend {:?} has a {} {} in the project {:?}, which is not known here",
                            here.name,
                            kind.kind.term(),
                            picture.native_id,
                            scope.project
                        )
                    })),
                    Err(error) => return findings.push(cannot(error)),
                }
            }
        }
    }

    /// Compares one native project of one backend.
    async fn compare(&self, carrier: usize, project: &str, rows: &[EntityRow], findings: &mut Vec<String>) {
        let here = &self.carriers[carrier];
        let scope = Scope {
            project: project.to_owned(),
        };
        for kind in &here.capabilities().kinds {
            let kind = &kind.kind;
            let listing = match here.backend.list(&scope, kind).await {
                Ok(listing) => listing,
                Err(error) => {
                    findings.push(format!("the backend {:?} cannot be asked: {error}", here.name));
                    return;
                }
            };
            let known: HashMap<_, _> = rows
                .iter()
                .filter(|row| {
                    row.backend.as_ref() == Some(&here.name) && row.native_project == project && row.kind == *kind
                })
                .filter_map(|row| Some((row.native_id.clone()?, row)))
                .collect();
            let mut seen = HashSet::new();
            for picture in &listing.pictures {
                seen.insert(picture.native_id.clone());
                let Some(mark) = &picture.mark else { continue };
                let busy = matches!(self.store.entity(mark).await, Ok(Some(row)) if row.operation.is_some());
                if !known.contains_key(&picture.native_id) && !busy {
                    findings.push(format!(
                        "the backend {:?} has a {} {} with our mark {mark}, which nobody knows",
                        here.name,
                        kind.term(),
                        picture.native_id
                    ));
                }
            }
            for (native_id, row) in known {
                if listing.complete && row.operation.is_none() && !seen.contains(&native_id) {
                    findings.push(format!("{} is not in the backend {:?} any more", row.path, here.name));
                }
            }
        }
    }
}
