//! Networks that several projects use: by an operator's word, and only so.

use crate::accounts::{AccountError, Accounts, audit};
use crate::config::nearest;
use occi_backend::names;
use occi_engine::Engine;
use occi_model::{EntityId, infrastructure};
use occi_store::{
    Audit, Change, Commit, Cursor, EntityQuery, EntityRow, Refused, Require, Sees, Store, Visibility, Write,
};
use std::sync::Arc;

/// The networks, as an operator shares them.
pub struct Networks {
    accounts: Accounts,
    store: Arc<dyn Store>,
    engine: Option<Engine>,
}

impl Networks {
    /// Over a store; `engine` is told of changes.
    pub fn new(accounts: Accounts, store: Arc<dyn Store>, engine: Option<Engine>) -> Self {
        Self {
            accounts,
            store,
            engine,
        }
    }

    /// All networks, in the order in which they were made.
    pub async fn all(&self) -> Result<Vec<EntityRow>, AccountError> {
        let mut query = EntityQuery {
            kinds: vec![names::NETWORK.clone()],
            ..EntityQuery::new(Sees::All)
        };
        let mut all = Vec::new();
        loop {
            let page = self.store.select(&query).await?;
            let last = page.last().map(|row| row.seq);
            all.extend(page);
            match last {
                Some(seq) => query.after = Some(Cursor(seq)),
                None => return Ok(all),
            }
        }
    }

    /// Shares a network, named by path or id, with these projects and no others.
    pub async fn share(&self, name: &str, mut projects: Vec<String>) -> Result<(), AccountError> {
        let network = self.network(name).await?;
        let known = self.accounts.projects().await?;
        projects.sort();
        projects.dedup();
        for project in &projects {
            if *project == network.project {
                let message = format!("{} belongs to the project {project:?}", network.path);
                return Err(AccountError::Invalid(message));
            }
            if known.iter().any(|known| known.name == *project) {
                continue;
            }
            let message = match nearest(project, known.iter().map(|known| known.name.as_str())) {
                Some(near) => format!("no project {project:?}: did you mean {near:?}?"),
                None => format!("no project {project:?}"),
            };
            return Err(AccountError::Invalid(message));
        }
        let detail = format!("with {}", projects.join(", "));
        self.set(&network, Visibility::Projects(projects), "share", detail)
            .await
    }

    /// Shares a network with all projects there are and will be.
    pub async fn publish(&self, name: &str) -> Result<(), AccountError> {
        let network = self.network(name).await?;
        let detail = "with everybody".to_owned();
        self.set(&network, Visibility::Public, "share", detail).await
    }

    /// Leaves a network to its project. Interfaces of others that lead to it stay.
    pub async fn unshare(&self, name: &str) -> Result<(), AccountError> {
        let network = self.network(name).await?;
        self.set(&network, Visibility::Project, "unshare", String::new()).await
    }

    async fn network(&self, name: &str) -> Result<EntityRow, AccountError> {
        let found = if name.contains('/') {
            let path = format!("/{}", name.trim_matches('/'));
            self.store.entity_at(&infrastructure::canonical_path(&path)).await?
        } else {
            match name.parse::<EntityId>() {
                Ok(id) => self.store.entity(&id).await?,
                Err(_) => None,
            }
        };
        match found.filter(|row| !row.hidden) {
            Some(row) if row.kind == *names::NETWORK => Ok(row),
            Some(row) => {
                let message = format!("{} is a {}: only networks can be shared", row.path, row.kind.term());
                Err(AccountError::Invalid(message))
            }
            None => Err(AccountError::Refused(Refused::Missing {
                what: "network",
                name: name.to_owned(),
            })),
        }
    }

    async fn set(
        &self,
        network: &EntityRow,
        visibility: Visibility,
        verb: &str,
        detail: String,
    ) -> Result<(), AccountError> {
        let change = Change {
            visibility: Some(visibility),
            ..Change::default()
        };
        let commit = Commit {
            require: vec![Require::Exists(network.id.clone())],
            writes: vec![Write::UpdateEntity {
                id: network.id.clone(),
                change: Box::new(change),
                usage: None,
            }],
            audit: vec![Audit {
                project: Some(network.project.clone()),
                ..audit(verb, network.path.clone(), "accepted", detail)
            }],
        };
        match &self.engine {
            Some(engine) => engine.commit(commit).await?,
            None => self.store.commit(commit).await?,
        };
        Ok(())
    }
}
