//! Paths: what is where (GFD.223, section 5.1).

use crate::Where;
use occi_model::{Category, EntityId, Registry, infrastructure};

/// What is at `path`.
///
/// Empty segments are dropped, other servers' places are understood, and a collection is found with and without the slash
/// at its end. Directly below a kind's location there are entities: a slash at the end of their path is dropped.
pub(crate) fn resolve(registry: &Registry, path: &str) -> Where {
    let path = infrastructure::canonical_path(path);
    let bare = path.trim_end_matches('/');
    if matches!(bare, "/-" | "/.well-known/org/ogf/occi/-") {
        return Where::Query;
    }
    if bare.is_empty() {
        return Where::Unbound("/".to_owned());
    }
    let collection = format!("{bare}/");
    match registry.at_location(&collection) {
        Some(Category::Kind(kind)) => return Where::Kind(kind.id.clone()),
        Some(Category::Mixin(mixin)) => return Where::Mixin(mixin.id.clone()),
        Some(Category::Action(_)) | None => {}
    }
    if !path.ends_with('/') {
        return Where::Entity(of_entity(bare));
    }
    let is_entity = bare.rsplit_once('/').is_some_and(|(folder, last)| {
        let kind = registry.at_location(&format!("{folder}/"));
        matches!(kind, Some(Category::Kind(_))) && last.parse::<EntityId>().is_ok()
    });
    if is_entity {
        Where::Entity(of_entity(bare))
    } else {
        Where::Unbound(collection)
    }
}

/// The path of an entity, as the store knows it: an id that is written as a URN ends it as the bare id.
pub(crate) fn of_entity(path: &str) -> String {
    let path = infrastructure::canonical_path(path);
    let path = path.trim_end_matches('/');
    match path.rsplit_once('/') {
        Some((folder, id)) => format!("{folder}/{}", EntityId::bare(id)),
        None => path.to_owned(),
    }
}

/// Whether a client wrote a place of this service (and not of another one).
pub(crate) fn is_local(location: &str) -> bool {
    location.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_66_collections_are_found_with_and_without_the_slash() {
        let registry = Registry::standard();
        let kind = |path: &str| match resolve(&registry, path) {
            Where::Kind(id) => id.term().to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(kind("/compute/"), "compute");
        assert_eq!(kind("/compute"), "compute");
        assert_eq!(kind("//compute//"), "compute");
        assert_eq!(kind("/link/storagelink/"), "storagelink");
        assert_eq!(kind("/networklink"), "networkinterface");
        assert_eq!(kind("/entity/"), "entity");
    }

    #[test]
    fn http_82_entities_are_found_by_canonical_path() {
        let registry = Registry::standard();
        let entity = |path: &str| resolve(&registry, path);
        let at = |path: &str| Where::Entity(path.to_owned());
        assert_eq!(entity("//storagelink/x"), at("/storagelink/x"));
        assert_eq!(entity("/link/storagelink/x"), at("/storagelink/x"));
        assert_eq!(entity("/compute/x/"), at("/compute/x"));
        assert_eq!(entity("/my/vms/x"), at("/my/vms/x"));
        assert_eq!(entity("/compute/urn:uuid:x"), at("/compute/x"));
        assert_eq!(entity("/compute/URN:UUID:x/"), at("/compute/x"));
        assert_eq!(resolve(&registry, "/my/vms/"), Where::Unbound("/my/vms/".into()));
        assert_eq!(resolve(&registry, ""), Where::Unbound("/".into()));
        assert_eq!(resolve(&registry, "/-"), Where::Query);
    }
}
