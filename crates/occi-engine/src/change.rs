//! Changing entities.
use crate::engine::Engine;
use crate::{Caller, Done, EngineError, FailureKind, Precondition, Result};
use occi_model::EntityDraft;

impl Engine {
    /// Changes what the draft names (POST).
    pub async fn update(
        &self,
        _caller: &Caller,
        _path: &str,
        _draft: EntityDraft,
        _precondition: &Precondition,
    ) -> Result<Done> {
        Err(EngineError::new(FailureKind::Unsupported, "not built yet"))
    }

    /// Makes the entity what the draft says (PUT).
    pub async fn replace(
        &self,
        _caller: &Caller,
        _path: &str,
        _draft: EntityDraft,
        _precondition: &Precondition,
    ) -> Result<Done> {
        Err(EngineError::new(FailureKind::Unsupported, "not built yet"))
    }
}
