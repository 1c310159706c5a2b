//! A model with templates and mixins of a provider, and short ways to say what a client sends.

use occi_model::templates::{os_template, resource_template};
use occi_model::{
    AttributeDefinition, Attributes, Change, Entity, EntityDraft, Input, LinkDraft, LinkEnd, Mixin, NewEntity,
    NewShape, Origin, Registry, Shape, TypeId, Value, ValueType,
};

pub(crate) const COMPUTE: &str = occi_model::infrastructure::COMPUTE;
pub(crate) const NETWORK: &str = occi_model::infrastructure::NETWORK;
pub(crate) const STORAGE: &str = occi_model::infrastructure::STORAGE;
pub(crate) const NIC: &str = occi_model::infrastructure::NETWORKINTERFACE;
pub(crate) const STORAGELINK: &str = occi_model::infrastructure::STORAGELINK;
pub(crate) const SSH_KEY: &str = occi_model::infrastructure::SSH_KEY;
pub(crate) const USER_DATA: &str = occi_model::infrastructure::USER_DATA;
pub(crate) const IPNETWORK: &str = occi_model::infrastructure::IPNETWORK;
pub(crate) const SMALL: &str = "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#small";
pub(crate) const LARGE: &str = "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#large";
pub(crate) const DEBIAN: &str = "http://cloud.example.org/occi/infrastructure/os_tpl#debian12";
pub(crate) const UBUNTU: &str = "http://cloud.example.org/occi/infrastructure/os_tpl#ubuntu24";
pub(crate) const TAG: &str = "http://cloud.example.org/occi/tags#nightly";
pub(crate) const VLAN: &str = "http://cloud.example.org/occi/networks#blue";

pub(crate) fn id(text: &str) -> TypeId {
    text.parse().unwrap()
}

/// A mixin of the provider's configuration without anything in it.
pub(crate) fn mixin(id: &str, location: &str) -> Mixin {
    Mixin {
        id: self::id(id),
        title: String::new(),
        depends: Vec::new(),
        applies: Vec::new(),
        attributes: Vec::new(),
        actions: Vec::new(),
        location: location.parse().unwrap(),
        origin: Origin::Provider { backend: String::new() },
    }
}

pub(crate) fn attribute(name: &str, value_type: ValueType) -> AttributeDefinition {
    AttributeDefinition::new(name.parse().unwrap(), value_type)
}

pub(crate) fn attributes(pairs: &[(&str, Value)]) -> Attributes {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (name.parse().unwrap(), value.clone()))
        .collect()
}

pub(crate) fn model() -> Registry {
    let appliance = attributes(&[("com.example.appliance.version", "12.4".into())]);
    let vlan = Mixin {
        applies: vec![id(NETWORK)],
        attributes: vec![AttributeDefinition {
            default: Some(Value::Integer(7)),
            ..attribute(
                "occi.network.vlan",
                ValueType::Integer {
                    min: Some(0),
                    max: Some(4095),
                },
            )
        }],
        ..mixin(VLAN, "/mixin/blue/")
    };
    Registry::standard()
        .with([
            os_template(id(DEBIAN), "Debian 12", "local", &appliance),
            os_template(id(UBUNTU), "Ubuntu 24", "local", &Attributes::new()),
            resource_template(
                id("http://cloud.example.org/occi/infrastructure/resource_tpl#gpu"),
                "With a card",
                "local",
                &attributes(&[
                    ("occi.compute.cores", 8_i64.into()),
                    ("occi.compute.memory", 64.0.into()),
                    ("eu.egi.fedcloud.compute.pci.count", 1_i64.into()),
                ]),
            ),
            mixin(TAG, "/mixin/nightly/"),
            vlan,
        ])
        .unwrap()
}

pub(crate) fn token(text: &str) -> Input {
    Input::Token(text.to_owned())
}

pub(crate) fn quoted(text: &str) -> Input {
    Input::Quoted(text.to_owned())
}

/// What a client says of an entity of this kind, attributes as tokens.
pub(crate) fn draft(kind: &str, mixins: &[&str], attributes: &[(&str, &str)]) -> EntityDraft {
    EntityDraft {
        kind: Some(id(kind)),
        ..partial(mixins, attributes)
    }
}

/// The same without a kind.
pub(crate) fn partial(mixins: &[&str], attributes: &[(&str, &str)]) -> EntityDraft {
    EntityDraft {
        mixins: mixins.iter().map(|mixin| id(mixin)).collect(),
        attributes: attributes
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), token(value)))
            .collect(),
        ..EntityDraft::default()
    }
}

pub(crate) fn link(kind: &str, target: &str, attributes: &[(&str, &str)]) -> LinkDraft {
    LinkDraft {
        entity: EntityDraft {
            target: Some(target.to_owned()),
            ..draft(kind, &[], attributes)
        },
        own_location: None,
    }
}

/// The entity that a service makes of what was checked, with id `1`.
pub(crate) fn made(model: &Registry, new: NewEntity) -> Entity {
    let location = format!("{}1", model.kind(new.kind.as_str()).unwrap().location);
    let shape = match new.shape {
        NewShape::Link { source, target } => Shape::Link { source, target },
        NewShape::Resource { links } => Shape::Resource {
            links: links
                .into_iter()
                .enumerate()
                .map(|(index, link)| Entity {
                    location: format!("{}{index}", model.kind(link.kind.as_str()).unwrap().location),
                    id: index.to_string().parse().unwrap(),
                    kind: link.kind,
                    mixins: link.mixins,
                    attributes: link.attributes,
                    actions: Vec::new(),
                    shape: Shape::Link {
                        source: LinkEnd {
                            location: location.clone(),
                            kind: None,
                        },
                        target: link.target,
                    },
                })
                .collect(),
        },
    };
    Entity {
        location,
        id: "1".parse().unwrap(),
        kind: new.kind,
        mixins: new.mixins,
        attributes: new.attributes,
        actions: Vec::new(),
        shape,
    }
}

pub(crate) fn create(model: &Registry, draft: &EntityDraft) -> Entity {
    made(model, model.check_create(draft).unwrap())
}

/// The entity after the change.
pub(crate) fn changed(mut entity: Entity, change: Change) -> Entity {
    for name in &change.unset {
        entity.attributes.remove(name.as_str());
    }
    for (name, value) in change.set {
        entity.attributes.set(name, value);
    }
    entity.mixins.retain(|mixin| !change.mixins_removed.contains(mixin));
    entity.mixins.extend(change.mixins_added);
    if let Shape::Link { source, target } = &mut entity.shape {
        *source = change.source.unwrap_or_else(|| source.clone());
        *target = change.target.unwrap_or_else(|| target.clone());
    }
    entity
}

/// What a client sends that puts back what it got.
pub(crate) fn echo(entity: &Entity) -> EntityDraft {
    let mut draft = EntityDraft {
        kind: Some(entity.kind.clone()),
        mixins: entity.mixins.clone(),
        id: Some(entity.id.to_string()),
        attributes: entity
            .attributes
            .iter()
            .map(|(name, value)| (name.clone(), Input::Typed(value.clone())))
            .collect(),
        ..EntityDraft::default()
    };
    match &entity.shape {
        Shape::Link { source, target } => {
            draft.source = Some(source.location.clone());
            draft.target = Some(target.location.clone());
            draft.target_kind = target.kind.clone();
        }
        Shape::Resource { links } => {
            draft.links = links
                .iter()
                .map(|link| LinkDraft {
                    entity: echo(link),
                    own_location: Some(link.location.clone()),
                })
                .collect();
        }
    }
    draft
}

/// The value of an attribute as text.
pub(crate) fn text(attributes: &Attributes, name: &str) -> Option<String> {
    attributes.get(name).map(ToString::to_string)
}

/// Two public keys.
pub(crate) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB";
pub(crate) const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC";
