//! What an entity uses of its project's quota.

use occi_model::{Attributes, TypeId, infrastructure, production};
use occi_store::Usage;

/// The usage of an entity of `kind` with these attributes.
pub(crate) fn usage(kind: &TypeId, attributes: &Attributes) -> Usage {
    let number = |name: &str| {
        attributes
            .get(name)
            .and_then(occi_model::Value::as_f64)
            .unwrap_or_default()
    };
    let mut usage = Usage::default();
    match kind.as_str() {
        infrastructure::COMPUTE => {
            usage.instances = 1;
            usage.cores = whole(number("occi.compute.cores"));
            usage.memory_mib = whole(number("occi.compute.memory") * 1024.0);
        }
        infrastructure::STORAGE => usage.volume_gib = whole(number("occi.storage.size")),
        production::IPRESERVATION => usage.addresses = 1,
        _ => {}
    }
    usage
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, which is what a limit needs"
)]
fn whole(number: f64) -> i64 {
    number.ceil() as i64
}
