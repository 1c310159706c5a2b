//! What an entity uses of its project's quota.

use occi_backend::{Invocation, names};
use occi_model::{Attributes, TypeId, infrastructure, production};
use occi_store::{EntityRow, OverQuota, Usage};

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

/// The usage of an entity when an action on it is done: `resize` is another road to a volume's size (GFD.184).
pub(crate) fn usage_after(row: &EntityRow, invocation: &Invocation) -> Usage {
    let mut attributes = row.attributes.clone();
    if invocation.action.term() == "resize"
        && let Some(size) = invocation.parameters.get("size")
    {
        attributes.set(names::attribute("occi.storage.size"), size.clone());
    }
    usage(&row.kind, &attributes)
}

/// What is reserved while a change is under way and nobody knows which of both holds: of each the greater. Only who asks for
/// more than there is already is refused: an engine may have given more than the quota allows.
pub(crate) fn reserved(before: Usage, after: Usage) -> (Usage, OverQuota) {
    let both = greater(before, after);
    let grows = both != before;
    (both, if grows { OverQuota::Refuse } else { OverQuota::Count })
}

fn greater(a: Usage, b: Usage) -> Usage {
    Usage {
        instances: a.instances.max(b.instances),
        cores: a.cores.max(b.cores),
        memory_mib: a.memory_mib.max(b.memory_mib),
        volume_gib: a.volume_gib.max(b.volume_gib),
        addresses: a.addresses.max(b.addresses),
    }
}

/// The most that is counted of anything: sums of it over all entities there may be still fit.
const MOST: f64 = 1e12;

#[expect(clippy::cast_possible_truncation, reason = "it fits")]
fn whole(number: f64) -> i64 {
    number.ceil().clamp(0.0, MOST) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_can_be_summed() {
        let size = |gib: f64| {
            let mut attributes = Attributes::new();
            attributes.set(names::attribute("occi.storage.size"), gib);
            usage(&names::STORAGE, &attributes).volume_gib
        };
        assert_eq!(size(1.5), 2);
        assert_eq!((size(-1.0), size(f64::NAN)), (0, 0));
        assert!(size(1e300).checked_mul(1_000_000).is_some());
    }
}
