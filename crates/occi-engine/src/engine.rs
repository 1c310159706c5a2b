//! The engine itself: what it is made of, and its verbs.

use crate::{
    Call, Caller, Created, Deleted, Done, EngineConfig, EngineError, FailureKind, Found, Listing, MixinDraft,
    OperationView, Page, PathListing, Precondition, ProjectModel, Result, Selection, Stamp, Where,
};
use occi_backend::Backend;
use occi_model::{EntityDraft, TypeId};
use occi_store::{OperationQuery, Store};
use std::sync::Arc;
use uuid::Uuid;

/// What OCCI means. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    config: EngineConfig,
    store: Arc<dyn Store>,
    backends: Vec<(String, Arc<dyn Backend>)>,
}

fn unsupported<T>(verb: &str) -> Result<T> {
    Err(EngineError::new(
        FailureKind::Unsupported,
        format!("{verb} is not built yet"),
    ))
}

impl Engine {
    /// Begins: resumes the operations that an earlier process left, refreshes, listens to the backends.
    pub async fn start(
        config: EngineConfig,
        store: Arc<dyn Store>,
        backends: Vec<(String, Arc<dyn Backend>)>,
    ) -> Result<Self> {
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                store,
                backends,
            }),
        })
    }

    /// Ends: workers stop at their next step, native objects stay as they are.
    pub async fn shutdown(&self) {
        for (_, backend) in &self.inner.backends {
            backend.shutdown().await;
        }
    }

    /// The store, for accounts and authentication.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// How this engine behaves.
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// The model of the caller's project.
    pub async fn model(&self, _caller: &Caller) -> Result<Arc<ProjectModel>> {
        unsupported("model")
    }

    /// What is at `path`: aliases are followed, empty segments dropped, `/compute` is `/compute/`.
    pub fn resolve(&self, _model: &ProjectModel, path: &str) -> Where {
        Where::Entity(path.to_owned())
    }

    /// One entity.
    ///
    /// # Errors
    /// `NotFound` also for what the caller may not see.
    pub async fn retrieve(&self, _caller: &Caller, _path: &str) -> Result<Found> {
        unsupported("retrieve")
    }

    /// The entities of a collection; all of them without `page`.
    ///
    /// # Errors
    /// `NotFound`: an unknown category in the selection, or an unbound path with nothing below.
    /// `TooLarge`: a page above the limit.
    pub async fn list(
        &self,
        _caller: &Caller,
        _at: &Where,
        _selection: &Selection,
        _page: Option<Page>,
    ) -> Result<Listing> {
        unsupported("list")
    }

    /// The same, paths only: cheaper.
    ///
    /// # Errors
    /// As [`Engine::list`].
    pub async fn list_paths(
        &self,
        _caller: &Caller,
        _at: &Where,
        _selection: &Selection,
        _page: Option<Page>,
    ) -> Result<PathListing> {
        unsupported("list")
    }

    /// Makes entities, all or none: in a kind's collection, below an unbound path, or in a mixin's collection, with
    /// which they are then associated.
    pub async fn create(&self, _caller: &Caller, _at: &Where, _drafts: Vec<EntityDraft>) -> Result<Created> {
        unsupported("create")
    }

    /// Makes an entity at a path that the client chose (PUT).
    pub async fn create_at(&self, _caller: &Caller, _path: &str, _draft: EntityDraft) -> Result<Created> {
        unsupported("create")
    }

    /// Changes what the draft names (POST).
    pub async fn update(
        &self,
        _caller: &Caller,
        _path: &str,
        _draft: EntityDraft,
        _precondition: &Precondition,
    ) -> Result<Done> {
        unsupported("update")
    }

    /// Makes the entity what the draft says (PUT).
    pub async fn replace(
        &self,
        _caller: &Caller,
        _path: &str,
        _draft: EntityDraft,
        _precondition: &Precondition,
    ) -> Result<Done> {
        unsupported("replace")
    }

    /// Removes an entity, its links and the links to it.
    pub async fn delete(&self, _caller: &Caller, _path: &str, _precondition: &Precondition) -> Result<Deleted> {
        unsupported("delete")
    }

    /// Removes the members of a kind's collection or of an unbound path, `only` these paths if given; takes the members
    /// of a mixin's collection out of it.
    pub async fn delete_collection(
        &self,
        _caller: &Caller,
        _at: &Where,
        _selection: &Selection,
        _only: Option<Vec<String>>,
    ) -> Result<Deleted> {
        unsupported("delete")
    }

    /// Invokes an action on an entity.
    pub async fn act(&self, _caller: &Caller, _path: &str, _call: Call, _precondition: &Precondition) -> Result<Done> {
        unsupported("act")
    }

    /// Invokes an action on every member of a collection; none if it is not applicable to all.
    pub async fn act_on_collection(
        &self,
        _caller: &Caller,
        _at: &Where,
        _selection: &Selection,
        _call: Call,
    ) -> Result<Done> {
        unsupported("act")
    }

    /// Adds a mixin to entities, all or none.
    pub async fn associate(&self, _caller: &Caller, _mixin: &TypeId, _paths: Vec<String>) -> Result<()> {
        unsupported("associate")
    }

    /// Makes these entities the members of a mixin's collection, and no others.
    pub async fn replace_members(&self, _caller: &Caller, _mixin: &TypeId, _paths: Vec<String>) -> Result<()> {
        unsupported("replace_members")
    }

    /// Takes these entities, or all, out of a mixin's collection.
    pub async fn dissociate(&self, _caller: &Caller, _mixin: &TypeId, _paths: Option<Vec<String>>) -> Result<()> {
        unsupported("dissociate")
    }

    /// Makes user mixins in the caller's project, all or none.
    pub async fn add_mixins(&self, _caller: &Caller, _mixins: Vec<MixinDraft>) -> Result<()> {
        unsupported("add_mixins")
    }

    /// Removes user mixins of the caller's project and all associations with them.
    pub async fn remove_mixins(&self, _caller: &Caller, _ids: Vec<TypeId>) -> Result<()> {
        unsupported("remove_mixins")
    }

    /// One operation.
    pub async fn operation(&self, _caller: &Caller, _id: Uuid) -> Result<OperationView> {
        unsupported("operation")
    }

    /// The operations that the caller may see; the query's projects are narrowed to those.
    pub async fn operations(&self, _caller: &Caller, _query: OperationQuery) -> Result<Vec<OperationView>> {
        unsupported("operations")
    }

    /// Tells an operation to stop and to undo what it has done.
    ///
    /// # Errors
    /// `Conflict`: it has ended, or is past the point from which it can be undone.
    pub async fn cancel(&self, _caller: &Caller, _id: Uuid) -> Result<OperationView> {
        unsupported("cancel")
    }

    /// Leaves an audit record of a request that was refused before it reached a verb, or by one.
    pub async fn audit_refused(&self, _caller: &Caller, _verb: &str, _path: &str, _status: u16, _message: &str) {}

    /// Compares the store with the engines; one sentence per finding.
    pub async fn check(&self) -> Result<Vec<String>> {
        unsupported("check")
    }

    /// Whether each backend can be used, as last seen; the error says what to do.
    pub fn health(&self) -> Vec<(String, std::result::Result<(), String>)> {
        self.inner
            .backends
            .iter()
            .map(|(name, _)| (name.clone(), Ok(())))
            .collect()
    }

    /// A look at a hot entity that asks neither the store nor an engine: `None` means "retrieve it", never "absent".
    pub fn peek(&self, _caller: &Caller, _path: &str) -> Option<Stamp> {
        None
    }
}
