//! Everything that a service offers, found by identifier and by location.

use crate::{Action, Category, Kind, Location, Mixin, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

/// Why a model was refused when it was loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id}: {reason}")]
pub struct ModelError {
    /// The category at fault.
    pub id: TypeId,
    /// What is wrong with it, and what to do.
    pub reason: String,
}

/// The kinds, mixins and actions of a service, in the order in which they are advertised.
///
/// Immutable: a change makes a new one, and cheaply so, because categories are shared.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    kinds: Vec<Arc<Kind>>,
    mixins: Vec<Arc<Mixin>>,
    actions: Vec<Arc<Action>>,
    by_id: HashMap<TypeId, Category>,
    by_location: HashMap<Location, TypeId>,
}

impl Registry {
    /// The kinds, base kinds first.
    pub fn kinds(&self) -> &[Arc<Kind>] {
        &self.kinds
    }
    /// The mixins.
    pub fn mixins(&self) -> &[Arc<Mixin>] {
        &self.mixins
    }
    /// The actions.
    pub fn actions(&self) -> &[Arc<Action>] {
        &self.actions
    }
    /// The category named `id`.
    pub fn category(&self, id: &str) -> Option<&Category> {
        self.by_id.get(id)
    }
    /// The kind named `id`.
    pub fn kind(&self, id: &str) -> Option<&Arc<Kind>> {
        match self.by_id.get(id) {
            Some(Category::Kind(kind)) => Some(kind),
            _ => None,
        }
    }
    /// The mixin named `id`.
    pub fn mixin(&self, id: &str) -> Option<&Arc<Mixin>> {
        match self.by_id.get(id) {
            Some(Category::Mixin(mixin)) => Some(mixin),
            _ => None,
        }
    }
    /// The action named `id`.
    pub fn action(&self, id: &str) -> Option<&Arc<Action>> {
        match self.by_id.get(id) {
            Some(Category::Action(action)) => Some(action),
            _ => None,
        }
    }
    /// The kind or mixin whose collection is at `location`.
    pub fn at_location(&self, location: &str) -> Option<&Category> {
        self.by_location.get(location).and_then(|id| self.by_id.get(id))
    }
}
