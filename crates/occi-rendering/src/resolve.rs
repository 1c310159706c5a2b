//! From the names in a message to the categories of the model.

use crate::{ParseError, ParseErrorKind};
use occi_model::registry::ResolveError;
use occi_model::{Category, Class, Registry, TypeId, core};

/// The category that a message means, if there is one.
pub(crate) fn find<'r>(registry: &'r Registry, id: &TypeId) -> Option<&'r Category> {
    registry.resolve_id(id, None).ok()
}

/// Like [`find`], but a category that is not there, or not of the class that the message says, is an error.
pub(crate) fn require<'r>(
    registry: &'r Registry,
    id: &TypeId,
    class: Option<Class>,
    place: impl Fn() -> String,
) -> Result<&'r Category, ParseError> {
    registry.resolve_id(id, class).map_err(|error| {
        let kind = match error {
            ResolveError::Malformed(_) => ParseErrorKind::Syntax,
            ResolveError::Unknown(_) | ResolveError::LeftOut(_) => ParseErrorKind::UnknownCategory,
            ResolveError::WrongClass { .. } => ParseErrorKind::ClassMismatch,
        };
        ParseError::new(kind, place(), error.to_string())
    })
}

/// The kind of a link whose message names only what it leads to. To another service's resource leads a plain link: no
/// engine could carry out more.
pub(crate) fn link_kind_towards(
    registry: &Registry,
    target: Option<&str>,
    target_kind: Option<&TypeId>,
) -> Option<TypeId> {
    let is_ours = target.is_some_and(|target| target.starts_with('/'));
    let kind = match target_kind.filter(|_| is_ours) {
        Some(target) => registry.link_kind_to(target.as_str()),
        None => registry.kind(core::LINK),
    };
    kind.map(|kind| kind.id.clone())
}
