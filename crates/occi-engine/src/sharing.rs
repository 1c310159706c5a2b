//! Networks that several projects use: by an operator's word, and only so (decision 0013). No verb of OCCI says that.

use crate::engine::Engine;
use crate::{EngineError, FailureKind, Result, Source, place, policy};
use occi_model::EntityId;
use occi_store::{Audit, Change, Commit, EntityRow, Require, Store, Visibility, Write};

impl Engine {
    /// Shares a network, named by path or id, with these and nobody else; `by` is who says so in the audit. It is felt by
    /// the next request. Interfaces that lead to it stay.
    ///
    /// # Errors
    /// `NotFound`: no such network, or no such project. `Invalid`: it is no network, or belongs to one of the projects.
    pub async fn share(&self, network: &str, with: Visibility, by: &str) -> Result<()> {
        let inner = &self.inner;
        let commit = sharing(&*inner.store, &inner.config.source, network, with, by).await?;
        let committing = inner.clone();
        // Who asked may go at any time; what follows a commit has to follow it.
        let committed = inner.tasks.spawn(async move { committing.commit(commit).await });
        committed.await.map_err(EngineError::internal)??;
        Ok(())
    }
}

/// The same on a store that no engine uses.
///
/// # Errors
/// As [`Engine::share`].
pub async fn share(store: &dyn Store, network: &str, with: Visibility, by: &str) -> Result<()> {
    let commit = sharing(store, &Source::default(), network, with, by).await?;
    store.commit(commit).await?;
    Ok(())
}

async fn sharing(store: &dyn Store, source: &Source, name: &str, mut with: Visibility, by: &str) -> Result<Commit> {
    let network = network(store, name).await?;
    if let Visibility::Projects(projects) = &mut with {
        projects.sort();
        projects.dedup();
        if projects.contains(&network.project) {
            let message = format!("{} belongs to the project {:?}", network.path, network.project);
            return Err(EngineError::new(FailureKind::Invalid, message));
        }
    }
    let (verb, detail) = match &with {
        Visibility::Project => ("unshare", String::new()),
        Visibility::Projects(projects) => ("share", format!("with {}", projects.join(", "))),
        Visibility::Public => ("share", "with everybody".to_owned()),
    };
    let change = Change {
        visibility: Some(with),
        ..Change::default()
    };
    Ok(Commit {
        require: vec![Require::Exists(network.id.clone())],
        writes: vec![Write::UpdateEntity {
            id: network.id,
            change: Box::new(change),
            usage: None,
        }],
        audit: vec![Audit {
            id: (source.operation)(),
            at_ms: (source.now_ms)(),
            principal: by.to_owned(),
            project: Some(network.project),
            verb: verb.to_owned(),
            path: network.path,
            outcome: "accepted".to_owned(),
            detail,
            request: String::new(),
        }],
    })
}

/// The network of this path or id.
async fn network(store: &dyn Store, name: &str) -> Result<EntityRow> {
    let found = if name.contains('/') {
        let path = format!("/{}", name.trim_matches('/'));
        store.entity_at(&place::of_entity(&path)).await?
    } else {
        match name.parse::<EntityId>() {
            Ok(id) => store.entity(&id).await?,
            Err(_) => None,
        }
    };
    match found.filter(|row| !row.hidden) {
        Some(row) if policy::can_be_shared(&row) => Ok(row),
        Some(row) => {
            let message = format!("{} is a {}: only networks can be shared", row.path, row.kind.term());
            Err(EngineError::new(FailureKind::Invalid, message))
        }
        None => {
            let message = format!("no network {name:?}");
            Err(EngineError::new(FailureKind::NotFound, message))
        }
    }
}
