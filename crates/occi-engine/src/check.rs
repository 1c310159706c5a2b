//! The audit of the store against the engines (`occid check`).

use crate::engine::{Engine, Inner};
use crate::operation::has_ended;
use crate::operation::verbs::last_deadline_ms;
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
        let mut query = OperationQuery::default();
        loop {
            let page = inner.store.operations(&query).await?;
            let Some(last) = page.last() else { break };
            query.before = Some(last.id);
            for operation in &page {
                findings.extend(inner.wrong_with(operation).await?);
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

impl Inner {
    /// What there is to say of an operation, if anything.
    async fn wrong_with(&self, operation: &OperationRow) -> Result<Option<String>> {
        let (id, verb) = (operation.id, &operation.verb);
        if operation.state == OperationState::NeedsAttention {
            // Of a collection the parts tell, and once the entity is gone nothing is left to clean up.
            let Some(entity) = &operation.entity else {
                return Ok(None);
            };
            let error = operation.error.as_ref().map(|error| EngineError::from_json(error, id));
            let reason = error.map(|error| format!(": {error}")).unwrap_or_default();
            let left = self.store.entity(entity).await?;
            return Ok(left.map(|left| format!("operation {id} ({verb} of {}) needs attention{reason}", left.path)));
        }
        if has_ended(operation.state) {
            return Ok(None);
        }
        let deadline_ms = match operation.entity {
            Some(_) => operation.deadline_ms,
            None => last_deadline_ms(&self.parts_of(id).await?),
        };
        let is_late = deadline_ms.is_some_and(|at| at < self.now_ms());
        Ok(is_late.then(|| format!("operation {id} ({verb}) is open past its deadline")))
    }

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
