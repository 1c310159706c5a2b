//! What tests send.

/// A compute called `title`.
pub(crate) fn compute(title: &str) -> String {
    format!("{COMPUTE}X-OCCI-Attribute: occi.core.title=\"{title}\"\n")
}

/// A compute without a name.
pub(crate) const COMPUTE: &str =
    "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n";

/// A storage of one GiB.
pub(crate) const STORAGE: &str = "Category: storage; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
                                  X-OCCI-Attribute: occi.storage.size=1.0\n";

/// The payload of an action on a compute.
pub(crate) fn action(term: &str) -> String {
    let scheme = "http://schemas.ogf.org/occi/infrastructure/compute/action#";
    format!("Category: {term}; scheme=\"{scheme}\"; class=\"action\"\n")
}
