//! Templates: the parents `os_tpl` and `resource_tpl` (GFD.224), the sizes of the Compute Resource
//! Templates Profile (GFD.222), and the making of a provider's own.

use crate::infrastructure::COMPUTE;
use crate::table::{
    AttributeRow,
    DefaultRow::{Float, Integer},
    MixinRow, POSITIVE, Table, at_least, attribute, documented, named,
};
use crate::{AttributeDefinition, Attributes, Location, Mixin, Origin, Registry, TypeId, ValueType};

/// `os_tpl`, the parent of everything to boot from.
pub const OS_TPL: &str = "http://schemas.ogf.org/occi/infrastructure#os_tpl";
/// `resource_tpl`, the parent of every size.
pub const RESOURCE_TPL: &str = "http://schemas.ogf.org/occi/infrastructure#resource_tpl";
/// The scheme of the profile's sizes.
pub const PROFILE_SCHEME: &str = "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#";
/// The size of the disk that lives and dies with a compute, in GiB.
pub const EPHEMERAL_SIZE: &str = "occi.compute.ephemeral_storage.size";
/// The device name of that disk inside of the machine.
pub const EPHEMERAL_DEVICEID: &str = "occi.compute.ephemeral_storage.deviceid";

/// The parents of all templates.
pub static TABLE: Table = Table {
    kinds: &[],
    mixins: &[
        MixinRow {
            id: OS_TPL,
            title: "OS template",
            applies: &[COMPUTE],
            location: "/mixin/os_tpl/",
            kept: true,
            exclusive: true,
            ..MixinRow::NONE
        },
        MixinRow {
            id: RESOURCE_TPL,
            title: "Resource template",
            applies: &[COMPUTE],
            location: "/mixin/resource_tpl/",
            kept: true,
            exclusive: true,
            overrides: true,
            ..MixinRow::NONE
        },
    ],
};

const fn cores(number: i64) -> AttributeRow {
    attribute("occi.compute.cores", at_least(1)).default(Integer(number))
}
const fn memory(gib: f64) -> AttributeRow {
    attribute("occi.compute.memory", POSITIVE).default(Float(gib))
}
const fn ephemeral(gib: f64) -> AttributeRow {
    attribute(EPHEMERAL_SIZE, POSITIVE).immutable().default(Float(gib))
}
const DEVICEID: AttributeRow = attribute(EPHEMERAL_DEVICEID, ValueType::String);

const SIZE: MixinRow = MixinRow {
    depends: &[RESOURCE_TPL],
    applies: &[COMPUTE],
    ..MixinRow::NONE
};

/// The six sizes of the profile; the first three must be served to claim it, all six to claim its extended form.
pub static PROFILE: Table = Table {
    kinds: &[],
    mixins: &[
        MixinRow {
            id: "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#small",
            title: "A small Compute instance",
            attributes: &[cores(1), memory(1.0), ephemeral(10.0), DEVICEID],
            location: "/mixin/resource_tpl/small/",
            ..SIZE
        },
        MixinRow {
            id: "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#medium",
            title: "A medium Compute instance",
            attributes: &[cores(2), memory(2.0), ephemeral(20.0), DEVICEID],
            location: "/mixin/resource_tpl/medium/",
            ..SIZE
        },
        MixinRow {
            id: "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#large",
            title: "A large Compute instance",
            attributes: &[cores(4), memory(4.0), ephemeral(40.0), DEVICEID],
            location: "/mixin/resource_tpl/large/",
            ..SIZE
        },
        MixinRow {
            id: "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#mem_small",
            title: "A small Compute instance for memory-intensive applications",
            attributes: &[cores(1), memory(4.0), ephemeral(10.0), DEVICEID],
            location: "/mixin/resource_tpl/mem_small/",
            ..SIZE
        },
        MixinRow {
            id: "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#mem_medium",
            title: "A medium Compute instance for memory-intensive applications",
            attributes: &[cores(2), memory(8.0), ephemeral(20.0), DEVICEID],
            location: "/mixin/resource_tpl/mem_medium/",
            ..SIZE
        },
        MixinRow {
            id: "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#mem_large",
            title: "A large Compute instance for memory-intensive applications",
            attributes: &[cores(4), memory(16.0), ephemeral(40.0), DEVICEID],
            location: "/mixin/resource_tpl/mem_large/",
            ..SIZE
        },
    ],
};

/// What a server that offers `registry` may claim in its `Server` field (GFD.222): `OCCI-CRTP-EP/1.1` with all six
/// sizes, `OCCI-CRTP/1.1` with the three that must be there, else nothing.
pub fn profile_claim(registry: &Registry) -> Option<&'static str> {
    let served = |sizes: &[MixinRow]| sizes.iter().all(|row| registry.mixin(row.id).is_some());
    let (must, may) = PROFILE.mixins.split_at(3);
    match (served(must), served(may)) {
        (true, true) => Some("OCCI-CRTP-EP/1.1"),
        (true, false) => Some("OCCI-CRTP/1.1"),
        (false, _) => None,
    }
}

/// The mixin for something that `backend` can boot from. `defaults` are the values it gives when the client does not.
///
/// It is at `/mixin/os_tpl/<term>/`, in lower case; a caller with several backends may give it another place.
pub fn os_template(id: TypeId, title: impl Into<String>, backend: &str, defaults: &Attributes) -> Mixin {
    template(OS_TPL, id, title.into(), backend, defaults)
}

/// The mixin for a size of `backend`. `sizes` are the values that a compute of this size has, whatever the client says
/// (`occi.compute.cores`, `occi.compute.memory`, [`EPHEMERAL_SIZE`], ...; GFD.224).
///
/// It is at `/mixin/resource_tpl/<term>/`, in lower case; a caller with several backends may give it another place.
pub fn resource_template(id: TypeId, title: impl Into<String>, backend: &str, sizes: &Attributes) -> Mixin {
    template(RESOURCE_TPL, id, title.into(), backend, sizes)
}

fn template(parent: &str, id: TypeId, title: String, backend: &str, defaults: &Attributes) -> Mixin {
    let parent: TypeId = named(parent);
    Mixin {
        location: Location::of_template(&parent, &id),
        id,
        title,
        depends: vec![parent],
        applies: vec![named(COMPUTE)],
        attributes: defaults
            .iter()
            .map(|(name, value)| AttributeDefinition {
                default: Some(value.clone()),
                ..documented(name).map_or_else(
                    || AttributeDefinition {
                        mutable: false,
                        ..AttributeDefinition::new(name.clone(), ValueType::of(value))
                    },
                    AttributeRow::definition,
                )
            })
            .collect(),
        actions: Vec::new(),
        origin: Origin::Provider {
            backend: backend.to_owned(),
        },
    }
}
