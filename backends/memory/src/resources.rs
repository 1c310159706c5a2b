//! New resources as the engine makes them, before they come up.

use crate::capabilities::owned;
use crate::config::Personality;
use crate::engine::Engine;
use crate::object::{Object, State};
use crate::templates::catalogue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use occi_backend::names::{COMPUTE, IPRESERVATION, STORAGE, attribute};
use occi_backend::{BackendError, Create, ErrorKind, KindCapability, Result, Template, TemplateKind};
use occi_model::templates::{EPHEMERAL_DEVICEID, EPHEMERAL_SIZE};
use occi_model::{Attributes, Term};

/// A word in a compute's user data that makes its guest ignore every request to stop.
const IGNORE_STOP: &[u8] = b"ignore-graceful-stop";

/// A new resource.
pub(crate) fn resource(
    engine: &Engine,
    personality: Personality,
    project: &str,
    capability: &KindCapability,
    create: &Create,
) -> Result<Object> {
    let mut object = Object::new(State::first_and_up(&create.kind).0);
    object.mark = Some(create.mark.clone());
    object.mixins.clone_from(&create.mixins);
    object.attributes = owned(capability, &create.attributes);
    if create.kind == *COMPUTE {
        check_compute(engine, personality, project, create)?;
        for (name, value) in size(engine, personality, project, create.resource_template.as_ref())
            .into_iter()
            .chain([(attribute("occi.compute.architecture"), "x64".into())])
        {
            if object.attributes.get(name.as_str()).is_none() {
                object.attributes.set(name, value);
            }
        }
        name_ephemeral(&mut object);
        object.os_template.clone_from(&create.os_template);
        object.resource_template.clone_from(&create.resource_template);
        object.ignores_stop = ignores_stop(&create.attributes);
    } else if create.kind == *STORAGE {
        if object.number("occi.storage.size") <= 0.0 {
            return Err(BackendError::new(ErrorKind::Invalid, "a volume needs a size"));
        }
    } else if create.kind == *IPRESERVATION && object.attributes.get("occi.ipreservation.address").is_none() {
        let address = engine.public_address().to_string();
        object.attributes.set(attribute("occi.ipreservation.address"), address);
    }
    Ok(object)
}

/// Refuses a compute that cannot be made: unknown templates, too little memory for its system, no room.
pub(crate) fn check_compute(engine: &Engine, personality: Personality, project: &str, create: &Create) -> Result<()> {
    let wanted_gib = match create
        .attributes
        .get("occi.compute.memory")
        .and_then(|value| value.as_f64())
    {
        Some(memory_gib) => memory_gib,
        None => size(engine, personality, project, create.resource_template.as_ref())
            .get("occi.compute.memory")
            .and_then(|value| value.as_f64())
            .unwrap_or(1.0),
    };
    if let Some(term) = &create.os_template {
        let system = template(engine, personality, project, TemplateKind::Os, term)?;
        if let Some(least) = system.min_memory_gib.filter(|least| wanted_gib < *least) {
            return Err(BackendError::new(
                ErrorKind::Invalid,
                format!("{term} needs {least} GiB of memory, not {wanted_gib}"),
            ));
        }
    }
    engine.check_memory(wanted_gib, 0.0)
}

/// What a size stands for; without one, a core and 1 GiB.
pub(crate) fn size(engine: &Engine, personality: Personality, project: &str, term: Option<&Term>) -> Attributes {
    // Sizes that the engine does not know are the server's: their values are in the attributes.
    let known = term.and_then(|term| template(engine, personality, project, TemplateKind::Resource, term).ok());
    known.map_or_else(
        || {
            let mut plain = Attributes::new();
            plain.set(attribute("occi.compute.cores"), 1);
            plain.set(attribute("occi.compute.memory"), 1.0);
            plain
        },
        |template| template.defaults,
    )
}

/// A template that `project` may use.
pub(crate) fn template(
    engine: &Engine,
    personality: Personality,
    project: &str,
    kind: TemplateKind,
    term: &Term,
) -> Result<Template> {
    catalogue(personality, &engine.templates, project)
        .templates
        .into_iter()
        .find(|template| template.kind == kind && template.term == *term)
        .ok_or_else(|| BackendError::new(ErrorKind::Invalid, format!("the engine has no template {term}")))
}

/// Names the disk that a compute may have of its own. What a client asks for is a wish.
pub(crate) fn name_ephemeral(compute: &mut Object) {
    match compute.attributes.get(EPHEMERAL_SIZE) {
        Some(_) => drop(compute.attributes.set(attribute(EPHEMERAL_DEVICEID), "/dev/vdb")),
        None => drop(compute.attributes.remove(EPHEMERAL_DEVICEID)),
    }
}

fn ignores_stop(attributes: &Attributes) -> bool {
    let Some(text) = attributes.get("occi.compute.userdata").and_then(|value| value.as_str()) else {
        return false;
    };
    let decoded = STANDARD
        .decode(text.trim())
        .unwrap_or_else(|_| text.as_bytes().to_vec());
    decoded.windows(IGNORE_STOP.len()).any(|word| word == IGNORE_STOP)
}
