//! Networks, as an operator lists and shares them.

use crate::config::nearest;
use occi_backend::names;
use occi_engine::{Engine, EngineError, FailureKind};
use occi_store::{Cursor, EntityQuery, EntityRow, Sees, Store, Visibility};
use std::sync::Arc;

/// The networks of a store, or of the engine that uses it.
pub struct Networks {
    store: Arc<dyn Store>,
    engine: Option<Engine>,
}

impl Networks {
    /// Over a store; `engine` is the one that uses it.
    pub fn new(store: Arc<dyn Store>, engine: Option<Engine>) -> Self {
        Self { store, engine }
    }

    /// All networks, in the order in which they were made.
    pub async fn all(&self) -> Result<Vec<EntityRow>, EngineError> {
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

    /// Shares a network as [`Engine::share`] does.
    pub async fn share(&self, name: &str, with: Visibility, by: &str) -> Result<(), EngineError> {
        if let Visibility::Projects(projects) = &with {
            self.check_spelling(projects).await?;
        }
        match &self.engine {
            Some(engine) => engine.share(name, with, by).await,
            None => occi_engine::share(&*self.store, name, with, by).await,
        }
    }

    /// Says which project may have been meant by one that does not exist.
    async fn check_spelling(&self, projects: &[String]) -> Result<(), EngineError> {
        let known = self.store.projects().await?;
        let known = || known.iter().map(|project| project.name.as_str());
        let Some(unknown) = projects.iter().find(|project| known().all(|name| name != *project)) else {
            return Ok(());
        };
        let message = match nearest(unknown, known()) {
            Some(near) => format!("no project {unknown:?}: did you mean {near:?}?"),
            None => format!("no project {unknown:?}"),
        };
        Err(EngineError::new(FailureKind::NotFound, message))
    }
}
