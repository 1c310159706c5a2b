//! From the names in a message to the categories of the model.

use crate::text::message::Class;
use crate::{ParseError, ParseErrorKind};
use occi_model::{Category, Registry, TypeId};

pub(crate) const LINK: &str = "http://schemas.ogf.org/occi/core#link";
const INFRASTRUCTURE: &str = "http://schemas.ogf.org/occi/infrastructure#";

/// The category that a message means: the one of exactly this name, else the only one whose term differs in case alone
/// (rOCCI 4 writes terms in lower case).
pub(crate) fn find<'r>(registry: &'r Registry, id: &TypeId) -> Option<&'r Category> {
    if let Some(found) = registry.category(id.as_str()) {
        return Some(found);
    }
    let is_like = |other: &TypeId| other.scheme() == id.scheme() && other.term().eq_ignore_ascii_case(id.term());
    let mut alike = ids(registry).filter(|other| is_like(other));
    match (alike.next(), alike.next()) {
        (Some(only), None) => registry.category(only.as_str()),
        _ => None,
    }
}

/// Like [`find`], but a category that is not there, or not of the class that the message says, is an error.
pub(crate) fn require<'r>(
    registry: &'r Registry,
    id: &TypeId,
    class: Option<Class>,
    place: impl Fn() -> String,
) -> Result<&'r Category, ParseError> {
    let Some(found) = find(registry, id) else {
        let what = class.map_or("category", Class::as_str);
        let message = format!("unknown {what} {id}");
        return Err(ParseError::new(ParseErrorKind::UnknownCategory, place(), message));
    };
    let is = class_of(found);
    match class {
        Some(said) if said != is => {
            let message = format!("{id} is of class {}, not {}", is.as_str(), said.as_str());
            Err(ParseError::new(ParseErrorKind::ClassMismatch, place(), message))
        }
        _ => Ok(found),
    }
}

pub(crate) fn class_of(category: &Category) -> Class {
    match category {
        Category::Kind(_) => Class::Kind,
        Category::Mixin(_) => Class::Mixin,
        Category::Action(_) => Class::Action,
    }
}

/// Every identifier of the model.
pub(crate) fn ids(registry: &Registry) -> impl Iterator<Item = &TypeId> {
    let kinds = registry.kinds().iter().map(|kind| &kind.id);
    let mixins = registry.mixins().iter().map(|mixin| &mixin.id);
    let actions = registry.actions().iter().map(|action| &action.id);
    kinds.chain(mixins).chain(actions)
}

/// The kind of a link whose message names only what it leads to.
pub(crate) fn link_kind_towards(registry: &Registry, target_kind: Option<&TypeId>) -> Option<TypeId> {
    let inferred = target_kind
        .and_then(|kind| kind.as_str().strip_prefix(INFRASTRUCTURE))
        .and_then(|term| match term {
            "storage" => Some("storagelink"),
            "network" | "ipreservation" => Some("networkinterface"),
            "securitygroup" => Some("securitygrouplink"),
            _ => None,
        })
        .and_then(|term| registry.kind(&format!("{INFRASTRUCTURE}{term}")));
    inferred.or_else(|| registry.kind(LINK)).map(|kind| kind.id.clone())
}
