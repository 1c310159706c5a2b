//! What a project can use: its kinds, mixins and actions.

use occi_model::Registry;
use std::sync::Arc;

/// The model as one project sees it.
#[derive(Clone, Debug)]
pub struct ProjectModel {
    /// Kinds, mixins and actions.
    pub registry: Arc<Registry>,
    /// Grows with every change of the registry; the ETag of the query interface.
    pub epoch: u64,
}
