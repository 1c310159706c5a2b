//! What actions and changes do to an object.

use crate::config::Personality;
use crate::engine::Engine;
use crate::object::{Key, Object, State};
use crate::resources::{name_ephemeral, size, template};
use crate::templates::{Saved, free_term};
use ipnet::IpNet;
use occi_backend::names::{STORAGE, attribute};
use occi_backend::{BackendError, Change, ErrorKind, Invocation, KindCapability, Result, TemplateKind};
use occi_model::templates::EPHEMERAL_DEVICEID;
use occi_model::{Attributes, TypeId};

/// The state to which an action brings an entity; none for those that change something else.
pub(crate) fn reached(kind: &TypeId, action: &str) -> Option<State> {
    Some(match (kind.term(), action) {
        (_, "start" | "up") | ("storagelink", "online") => State::Active,
        (_, "stop" | "down") | ("storagelink", "offline") => State::Inactive,
        (_, "suspend") => State::Suspended,
        (_, "online") => State::Online,
        (_, "offline") => State::Offline,
        _ => return None,
    })
}

/// Refuses what is not possible in the object's state.
pub(crate) fn check_state(what: &str, key: &Key, state: State, states: &[&'static str]) -> Result<()> {
    if states.contains(&state.as_str()) {
        return Ok(());
    }
    Err(BackendError::new(
        ErrorKind::Conflict,
        format!(
            "{what} is not possible while the {} is {}",
            key.kind.term(),
            state.as_str()
        ),
    ))
}

/// Refuses to take a volume away from a compute that is on or held.
pub(crate) fn check_unused(engine: &Engine, key: &Key) -> Result<()> {
    let is_used = |link: &Object| {
        let source = link.ends.as_ref().and_then(|(source, _)| engine.get(source));
        let is_off = source.is_none_or(|source| !matches!(source.state, State::Active | State::Suspended));
        !link.held_down && !is_off
    };
    if key.kind == *STORAGE
        && engine
            .links_to(key)
            .iter()
            .filter_map(|link| engine.get(link))
            .any(is_used)
    {
        return Err(BackendError::new(
            ErrorKind::InUse,
            "the volume is in use by a compute; stop that, or take the link offline",
        ));
    }
    Ok(())
}

/// Takes a link up or down; its state follows from its ends too.
pub(crate) fn hold_link(engine: &mut Engine, key: &Key, up: bool) -> Result<()> {
    let Some(mut link) = engine.get(key).cloned() else {
        return Ok(());
    };
    link.held_down = !up;
    if up && engine.state(&link) != State::Active {
        return Err(BackendError::new(
            ErrorKind::Conflict,
            format!("one of the ends of the {} is down", key.kind.term()),
        ));
    }
    engine.put(key, Some(link));
    Ok(())
}

/// Makes a template of a compute, once per operation.
pub(crate) fn save(engine: &mut Engine, project: &str, operation: &str, invocation: &Invocation) -> Saved {
    if let Some(saved) = engine.templates.iter().find(|saved| saved.operation == operation) {
        return saved.clone();
    }
    let name = invocation
        .parameters
        .get("name")
        .and_then(|value| value.as_str())
        .unwrap_or("saved");
    let saved = Saved {
        term: free_term(name, &engine.templates),
        title: name.to_owned(),
        project: project.to_owned(),
        operation: operation.to_owned(),
    };
    engine.add_template(saved.clone());
    saved
}

/// Makes a volume larger.
pub(crate) fn grow(object: &mut Object, size_gib: f64) -> Result<()> {
    let now_gib = object.number("occi.storage.size");
    if size_gib < now_gib {
        return Err(BackendError::new(
            ErrorKind::Conflict,
            format!("a volume of {now_gib} GiB cannot shrink to {size_gib}"),
        ));
    }
    object.attributes.set(attribute("occi.storage.size"), size_gib);
    Ok(())
}

/// Checks a change as a whole, and returns the object as it will be.
pub(crate) fn changed(
    engine: &Engine,
    personality: Personality,
    capability: &KindCapability,
    key: &Key,
    change: &Change,
) -> Result<Object> {
    let Some(mut object) = engine.get(key).cloned() else {
        return Err(BackendError::new(
            ErrorKind::NotFound,
            format!("there is no {} {}", key.kind.term(), key.id),
        ));
    };
    let Change {
        set,
        unset,
        resource_template,
        os_template,
        mixins_added,
        mixins_removed,
        ends,
    } = change;
    let state = engine.state(&object);
    let check = |what: &str| {
        let declared = capability.update.iter().find(|update| update.what == what);
        match declared {
            Some(update) => check_state(&format!("a change of {what}"), key, state, &update.states),
            None => Err(BackendError::new(
                ErrorKind::Unsupported,
                format!("the memory engine does not change {what} of a {}", key.kind.term()),
            )),
        }
    };
    if let Some(term) = resource_template {
        check("resource_tpl")?;
        for (name, value) in size(engine, personality, &key.project, Some(term)) {
            object.attributes.set(name, value);
        }
        object.resource_template = Some(term.clone());
    }
    if let Some(term) = os_template {
        check("os_tpl")?;
        template(engine, personality, &key.project, TemplateKind::Os, term)?;
        object.os_template = Some(term.clone());
    }
    for (name, value) in set.iter() {
        // A size brings its values along; they are not changes of their own.
        if resource_template.is_none() || !matches!(name.as_str(), "occi.compute.cores" | "occi.compute.memory") {
            check(name.as_str())?;
        }
        match (name.as_str(), value.as_f64()) {
            ("occi.storage.size", Some(size_gib)) => grow(&mut object, size_gib)?,
            _ => {
                object.attributes.set(name.clone(), value.clone());
            }
        }
    }
    move_gateway(&mut object, set);
    for name in unset {
        // A disk goes with its name.
        if name.as_str() != EPHEMERAL_DEVICEID {
            check(name.as_str())?;
        }
        object.attributes.remove(name.as_str());
    }
    for mixin in mixins_added {
        if !capability.mixins.contains(mixin) {
            return Err(BackendError::new(
                ErrorKind::Unsupported,
                format!("the memory engine does not carry out {mixin}"),
            ));
        }
        if !object.mixins.contains(mixin) {
            object.mixins.push(mixin.clone());
        }
    }
    object.mixins.retain(|mixin| !mixins_removed.contains(mixin));
    name_ephemeral(&mut object);
    if ends.is_some() {
        return Err(BackendError::new(
            ErrorKind::Unsupported,
            "the memory engine does not move links",
        ));
    }
    let memory_gib = |object: &Object| object.number("occi.compute.memory");
    if let Some(now) = engine.get(key).filter(|now| memory_gib(now) < memory_gib(&object)) {
        engine.check_memory(memory_gib(&object), memory_gib(now))?;
    }
    Ok(object)
}

/// The gateway of a network moves with its addresses, unless it is named too.
fn move_gateway(object: &mut Object, set: &Attributes) {
    let (address, gateway) = (attribute("occi.network.address"), attribute("occi.network.gateway"));
    let subnet: Option<IpNet> = set.get(address.as_str()).and_then(|text| text.as_str()?.parse().ok());
    if let Some(first) = subnet.and_then(|subnet| subnet.hosts().next())
        && set.get(gateway.as_str()).is_none()
        && object.attributes.get(gateway.as_str()).is_some()
    {
        object.attributes.set(gateway, first.to_string());
    }
}
