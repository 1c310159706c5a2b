//! The audit of the store against the engines (`occid check`).

use crate::engine::{Engine, Inner};
use crate::operation::has_ended;
use crate::operation::verbs::last_deadline_ms;
use crate::{EngineError, Result};
use occi_backend::{Scope, Target};
use occi_store::{Cursor, EntityQuery, OperationQuery, OperationRow, OperationState, Sees};
use std::collections::{BTreeMap, BTreeSet, HashSet};

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
        let projects: BTreeSet<_> = inner.store.projects().await?.into_iter().map(|one| one.name).collect();
        findings.extend(inner.elsewhere().await?.into_iter().map(|(backend, count)| {
            format!("{count} entities are in the backend {backend:?}, which is not configured: what is there was not looked at")
        }));
        for carrier in 0..inner.carriers.len() {
            for project in &projects {
                inner.compare(carrier, project, &mut findings).await?;
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

    /// How many entities there are in backends that this process was started without.
    async fn elsewhere(&self) -> Result<BTreeMap<String, u64>> {
        let mut elsewhere = BTreeMap::new();
        let mut query = EntityQuery::new(Sees::All);
        loop {
            let page = self.store.select(&query).await?;
            let Some(last) = page.last() else {
                return Ok(elsewhere);
            };
            query.after = Some(Cursor(last.seq));
            let backends = page.into_iter().filter_map(|row| row.backend);
            for backend in backends.filter(|backend| self.carrier_named(backend).is_none()) {
                *elsewhere.entry(backend).or_default() += 1;
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

    /// Compares one native project of one backend. Of the store a page is held at a time; what comes and goes meanwhile is
    /// no finding.
    async fn compare(&self, carrier: usize, project: &str, findings: &mut Vec<String>) -> Result<()> {
        let here = &self.carriers[carrier];
        let scope = Scope {
            project: project.to_owned(),
        };
        for kind in &here.capabilities().kinds {
            let kind = &kind.kind;
            let began_ms = self.store.now_ms().await?;
            let listing = match here.backend.list(&scope, kind).await {
                Ok(listing) => listing,
                Err(error) => {
                    findings.push(format!("the backend {:?} cannot be asked: {error}", here.name));
                    return Ok(());
                }
            };
            let mut unknown: HashSet<_> = listing.pictures.iter().map(|picture| &picture.native_id).collect();
            let mut query = EntityQuery {
                project: Some(project.to_owned()),
                kinds: vec![kind.clone()],
                ..EntityQuery::new(Sees::All)
            };
            loop {
                let page = self.store.select(&query).await?;
                let Some(last) = page.last() else { break };
                query.after = Some(Cursor(last.seq));
                for row in page.iter().filter(|row| row.backend.as_ref() == Some(&here.name)) {
                    let Some(native_id) = &row.native_id else { continue };
                    let is_missing = !unknown.remove(native_id) && listing.complete;
                    if is_missing && row.operation.is_none() && row.modified_ms <= began_ms {
                        findings.push(format!("{} is not in the backend {:?} any more", row.path, here.name));
                    }
                }
            }
            for picture in &listing.pictures {
                let Some(mark) = &picture.mark else { continue };
                if !unknown.contains(&picture.native_id) {
                    continue;
                }
                let target = Target {
                    kind: kind.clone(),
                    mark: mark.clone(),
                    native_id: Some(picture.native_id.clone()),
                    project: None,
                };
                let busy = matches!(self.store.entity(mark).await?, Some(row) if row.operation.is_some());
                if !busy && !matches!(here.backend.find(&scope, &target).await, Ok(None)) {
                    findings.push(format!(
                        "the backend {:?} has a {} {} with our mark {mark}, which nobody knows",
                        here.name,
                        kind.term(),
                        picture.native_id
                    ));
                }
            }
        }
        Ok(())
    }
}
