//! New links, and what they may lead to.

use crate::capabilities::owned;
use crate::engine::Engine;
use crate::object::{Key, Object, State};
use occi_backend::names::{
    COMPUTE, IPNETWORKINTERFACE, IPRESERVATION, NETWORK, NETWORKINTERFACE, SECURITYGROUP, SECURITYGROUPLINK, STORAGE,
    STORAGELINK, attribute,
};
use occi_backend::{BackendError, ErrorKind, KindCapability, Result, Target};
use occi_model::templates::EPHEMERAL_SIZE;
use occi_model::{Attributes, EntityId, TypeId};

/// What is wanted of a link, inline or later.
pub(crate) struct Wanted<'a> {
    pub(crate) mark: &'a EntityId,
    pub(crate) kind: &'a TypeId,
    pub(crate) mixins: &'a [TypeId],
    pub(crate) attributes: &'a Attributes,
}

/// The object that a link in `project` may lead to.
pub(crate) fn link_target(engine: &Engine, project: &str, link: &TypeId, target: &Target) -> Result<Key> {
    let allowed: &[&TypeId] = if *link == *NETWORKINTERFACE {
        &[&NETWORK, &IPRESERVATION]
    } else if *link == *STORAGELINK {
        &[&STORAGE]
    } else if *link == *SECURITYGROUPLINK {
        &[&SECURITYGROUP]
    } else {
        &[]
    };
    if !allowed.contains(&&target.kind) {
        return Err(BackendError::new(
            ErrorKind::Invalid,
            format!("a {} cannot lead to a {}", link.term(), target.kind.term()),
        ));
    }
    let key = engine
        .named(target.project_in(project), target)
        .into_iter()
        .next()
        .ok_or_else(|| missing(target))?;
    if *link == *STORAGELINK && !engine.links_to(&key).is_empty() {
        return Err(BackendError::new(ErrorKind::InUse, "the volume is attached already"));
    }
    if key.kind == *IPRESERVATION && !engine.links_to(&key).is_empty() {
        return Err(BackendError::new(ErrorKind::InUse, "the address is used already"));
    }
    Ok(key)
}

/// A new link from `source` to `target`.
pub(crate) fn link(
    engine: &Engine,
    capability: &KindCapability,
    wanted: &Wanted<'_>,
    source: &Key,
    target: &Key,
) -> Result<Object> {
    if source.kind != *COMPUTE {
        return Err(BackendError::new(
            ErrorKind::Invalid,
            format!("a {} starts at a compute", wanted.kind.term()),
        ));
    }
    let mut link = Object::new(State::Inactive);
    link.mark = Some(wanted.mark.clone());
    link.mixins = wanted.mixins.to_vec();
    link.attributes = owned(capability, wanted.attributes);
    link.ends = Some((source.clone(), target.clone()));
    if *wanted.kind == *STORAGELINK {
        let name = "occi.storagelink.deviceid";
        let has_ephemeral = |object: &Object| object.attributes.get(EPHEMERAL_SIZE).is_some();
        let first = if engine.get(source).is_some_and(has_ephemeral) {
            'c'
        } else {
            'b'
        };
        let devices = (first..='z').map(|letter| format!("/dev/vd{letter}"));
        fill(&mut link, name, free_name(engine, source, name, devices));
    } else if *wanted.kind == *NETWORKINTERFACE {
        // What a client asks for is a wish: the engine names its interfaces itself.
        let name = "occi.networkinterface.interface";
        link.attributes.remove(name);
        let interfaces = (0..).map(|n| format!("eth{n}"));
        fill(&mut link, name, free_name(engine, source, name, interfaces));
        fill(&mut link, "occi.networkinterface.mac", Some(engine.free_mac()));
        let name = "occi.networkinterface.address";
        let chosen = link.attributes.get(name).is_some();
        if !chosen {
            fill(&mut link, name, address(engine, target)?);
        }
        if link.attributes.get(name).is_some() {
            let allocation = if chosen { "static" } else { "dynamic" };
            let name = "occi.networkinterface.allocation";
            fill(&mut link, name, Some(allocation.to_owned()));
            if !link.mixins.contains(&IPNETWORKINTERFACE) {
                link.mixins.push(IPNETWORKINTERFACE.clone());
            }
        }
    }
    Ok(link)
}

/// Sets an attribute that is not set.
fn fill(link: &mut Object, name: &str, value: Option<String>) {
    if let Some(value) = value.filter(|_| link.attributes.get(name).is_none()) {
        link.attributes.set(attribute(name), value);
    }
}

/// The first of `names` that no link of `source` has as its attribute `attribute`.
fn free_name(
    engine: &Engine,
    source: &Key,
    attribute: &str,
    mut names: impl Iterator<Item = String>,
) -> Option<String> {
    let links = engine.links_from(source);
    let taken: Vec<&str> = links
        .iter()
        .filter_map(|key| engine.get(key)?.attributes.get(attribute)?.as_str())
        .collect();
    names.find(|name| !taken.contains(&name.as_str()))
}

/// The address for a new interface: the reserved one, or a free one of the network.
fn address(engine: &Engine, target: &Key) -> Result<Option<String>> {
    if target.kind != *IPRESERVATION {
        return Ok(engine.free_address(target)?.map(|address| address.to_string()));
    }
    Ok(engine.get(target).and_then(|reserved| {
        let address = reserved.attributes.get("occi.ipreservation.address")?;
        address.as_str().map(ToOwned::to_owned)
    }))
}

/// The failure for something that is not there.
pub(crate) fn missing(target: &Target) -> BackendError {
    BackendError::new(
        ErrorKind::NotFound,
        format!("there is no {} {}", target.kind.term(), target.mark),
    )
}
