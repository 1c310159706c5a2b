//! The base kinds (GFD.221, section 4.5).

use crate::ValueType::{String, Uri};
use crate::table::{KindRow, Table, attribute};

/// `entity`, the root of all kinds. It has no instances of its own.
pub const ENTITY: &str = "http://schemas.ogf.org/occi/core#entity";
/// `resource`, the parent of everything that stands for itself.
pub const RESOURCE: &str = "http://schemas.ogf.org/occi/core#resource";
/// `link`, the parent of everything that joins two resources; itself a link that may lead to another service.
pub const LINK: &str = "http://schemas.ogf.org/occi/core#link";

/// The attribute that holds the id.
pub const ID: &str = "occi.core.id";
/// The attribute that names a link's source.
pub const SOURCE: &str = "occi.core.source";
/// The attribute that names a link's target.
pub const TARGET: &str = "occi.core.target";
/// The attribute that names the kind of a link's target (OCCI 1.2).
pub const TARGET_KIND: &str = "occi.core.target.kind";

/// Whether `name` is a member of [`crate::Entity`] rather than one of its attributes: id, source and target.
pub fn is_structural(name: &str) -> bool {
    matches!(name, ID | SOURCE | TARGET | TARGET_KIND | "occi.core.source.kind")
}

/// The kinds of GFD.221.
pub static TABLE: Table = Table {
    kinds: &[
        KindRow {
            id: ENTITY,
            title: "Entity",
            location: "/entity/",
            attributes: &[attribute(ID, String).immutable(), attribute("occi.core.title", String)],
            base: true,
            ..KindRow::NONE
        },
        KindRow {
            id: RESOURCE,
            title: "Resource",
            parent: Some(ENTITY),
            location: "/resource/",
            attributes: &[attribute("occi.core.summary", String)],
            base: true,
            ..KindRow::NONE
        },
        KindRow {
            id: LINK,
            title: "Link",
            parent: Some(ENTITY),
            location: "/link/",
            attributes: &[
                attribute(SOURCE, Uri).required(),
                attribute(TARGET_KIND, String),
                attribute(TARGET, Uri).required(),
            ],
            base: true,
            ..KindRow::NONE
        },
    ],
    mixins: &[],
};
