//! What the suite makes, and what it changes attributes to.

use super::config::SuiteConfig;
use crate::names::{COMPUTE, IPRESERVATION, NETWORK, SECURITYGROUP, STORAGE, attribute};
use crate::{Create, CreateLink, LinkEnds, Target};
use occi_model::{Attributes, EntityId, Term, TypeId, Value};
use std::collections::BTreeMap;

/// A mark that nothing carries.
pub(super) fn mark() -> EntityId {
    uuid::Uuid::new_v4().into()
}

fn entity(kind: &TypeId) -> Create {
    Create {
        mark: mark(),
        kind: kind.clone(),
        os_template: None,
        resource_template: None,
        mixins: Vec::new(),
        attributes: Attributes::new(),
        links: Vec::new(),
        ends: None,
        bring_up: true,
    }
}

/// A resource of `kind` that comes up by itself; `None` if the suite does not know the kind.
pub(super) fn resource(config: &SuiteConfig, kind: &TypeId, os: Option<Term>) -> Option<Create> {
    let mut create = entity(kind);
    let attributes = &mut create.attributes;
    if *kind == *COMPUTE {
        attributes.set(attribute("occi.compute.cores"), config.cores);
        attributes.set(attribute("occi.compute.memory"), config.memory_gib);
        create.os_template = os;
    } else if *kind == *STORAGE {
        attributes.set(attribute("occi.storage.size"), config.storage_gib);
    } else if *kind == *SECURITYGROUP {
        attributes.set(attribute("occi.securitygroup.rules"), rules("22"));
    } else if *kind == *NETWORK {
        attributes.set(attribute("occi.network.label"), "suite");
    } else if *kind != *IPRESERVATION {
        return None;
    }
    Some(create)
}

/// A link of `kind` that comes with its source; without a target it leads to the default network.
pub(super) fn inline(kind: &TypeId, target: Option<Target>) -> CreateLink {
    CreateLink {
        mark: mark(),
        kind: kind.clone(),
        mixins: Vec::new(),
        attributes: Attributes::new(),
        target,
    }
}

/// A link of `kind` between two objects.
pub(super) fn link(kind: &TypeId, source: Target, target: Target) -> Create {
    Create {
        ends: Some(LinkEnds { source, target }),
        ..entity(kind)
    }
}

/// The kind of resource to which the suite lets links of `kind` lead.
pub(super) fn link_target(kind: &TypeId) -> Option<&'static TypeId> {
    Some(match kind.term() {
        "networkinterface" => &NETWORK,
        "storagelink" => &STORAGE,
        "securitygrouplink" => &SECURITYGROUP,
        _ => return None,
    })
}

/// Another value than `now` for an attribute: numbers grow. `None` if the suite does not know the attribute.
pub(super) fn another(config: &SuiteConfig, name: &str, now: Option<&Value>) -> Option<Value> {
    if let Some((_, value)) = config.changes.iter().find(|(changed, _)| changed.as_str() == name) {
        return Some(value.clone());
    }
    let number = now.and_then(Value::as_f64).unwrap_or(0.0);
    Some(match name {
        "occi.compute.cores" => Value::Integer(now.and_then(Value::as_i64).unwrap_or(0) + 1),
        "occi.compute.memory" => Value::Float(number + config.memory_gib),
        "occi.compute.hostname" | "occi.network.label" => "renamed".into(),
        "occi.compute.share" => 512.into(),
        "occi.compute.speed" => 2.5.into(),
        "occi.storage.size" => Value::Float(number + 1.0),
        "occi.network.vlan" => 42.into(),
        "occi.network.address" => "10.98.0.0/24".into(),
        "occi.network.gateway" | "occi.networkinterface.gateway" => "10.98.0.1".into(),
        "occi.network.allocation" | "occi.networkinterface.allocation" => "static".into(),
        "occi.networkinterface.address" => "10.98.0.77".into(),
        "occi.networkinterface.mac" => "52:54:00:98:00:77".into(),
        "occi.storagelink.deviceid" => "/dev/vdx".into(),
        "occi.storagelink.mountpoint" => "/mnt".into(),
        "occi.securitygroup.rules" => rules("443"),
        _ => return None,
    })
}

fn rules(port: &str) -> Value {
    let rule: BTreeMap<String, Value> = [("protocol", "tcp"), ("type", "inbound"), ("port", port)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    Value::List(vec![Value::Hash(rule)])
}
