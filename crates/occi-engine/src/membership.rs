//! Mixins' collections.
use crate::engine::Engine;
use crate::{Caller, EngineError, FailureKind, Result};
use occi_model::{MixinDraft, TypeId};

fn unsupported<T>() -> Result<T> {
    Err(EngineError::new(FailureKind::Unsupported, "not built yet"))
}

impl Engine {
    /// Adds a mixin to entities, all or none.
    pub async fn associate(&self, _caller: &Caller, _mixin: &TypeId, _paths: Vec<String>) -> Result<()> {
        unsupported()
    }
    /// Makes these entities the members of a mixin's collection, and no others.
    pub async fn replace_members(&self, _caller: &Caller, _mixin: &TypeId, _paths: Vec<String>) -> Result<()> {
        unsupported()
    }
    /// Takes these entities, or all, out of a mixin's collection.
    pub async fn dissociate(&self, caller: &Caller, mixin: &TypeId, paths: Option<Vec<String>>) -> Result<()> {
        self.dissociate_counted(caller, mixin, paths).await.map(drop)
    }
    pub(crate) async fn dissociate_counted(
        &self,
        _caller: &Caller,
        _mixin: &TypeId,
        _paths: Option<Vec<String>>,
    ) -> Result<usize> {
        unsupported()
    }
    /// Makes user mixins in the caller's project, all or none.
    pub async fn add_mixins(&self, _caller: &Caller, _mixins: Vec<MixinDraft>) -> Result<()> {
        unsupported()
    }
    /// Removes user mixins of the caller's project and all associations with them.
    pub async fn remove_mixins(&self, _caller: &Caller, _ids: Vec<TypeId>) -> Result<()> {
        unsupported()
    }
    /// Compares the store with the engines; one sentence per finding.
    pub async fn check(&self) -> Result<Vec<String>> {
        unsupported()
    }
}
