//! What the engine declares: everything, with the differences between a host's engine and a cloud.

use crate::config::{Config, Personality};
use occi_backend::Fidelity::{Approximate, Exact};
use occi_backend::names::{
    COMPUTE, IPNETWORK, IPNETWORKINTERFACE, IPRESERVATION, NETWORK, NETWORKINTERFACE, OS_TPL, RESOURCE_TPL,
    SECURITYGROUP, SECURITYGROUPLINK, SSH_KEY, STORAGE, STORAGELINK, USER_DATA, action, attribute,
};
use occi_backend::{
    ActionCapability, Capabilities, Fidelity, KindCapability, Locality, MethodCapability, UpdateCapability,
};
use occi_model::templates::EPHEMERAL_SIZE;
use occi_model::{Attributes, TypeId};
use std::time::Duration;

pub(crate) fn capabilities(config: &Config) -> Capabilities {
    let is_local = config.personality == Personality::Local;
    Capabilities {
        locality: if is_local { Locality::Host } else { Locality::Shared },
        kinds: vec![
            compute(is_local),
            network(is_local),
            storage(),
            networkinterface(),
            storagelink(),
            ipreservation(),
            securitygroup(),
            kind(&SECURITYGROUPLINK, &[]),
        ],
        default_network: true,
        shared_networks: !config.private_networks,
        assigns_ids: !is_local,
        lists_projects: true,
        removes_templates: true,
        images: false,
        events: is_local,
        accept_wait: Duration::from_secs(if is_local { 2 } else { 10 }),
        call_timeout: Duration::from_millis(config.call_timeout_ms),
        concurrency: if is_local { 256 } else { 16 },
    }
}

/// Those of `attributes` that the engine owns.
pub(crate) fn owned(capability: &KindCapability, attributes: &Attributes) -> Attributes {
    attributes
        .iter()
        .filter(|(name, _)| capability.owned.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn compute(is_local: bool) -> KindCapability {
    let hot: &[&str] = if is_local {
        &["inactive", "active"]
    } else {
        &["inactive"]
    };
    let cloudy = if is_local { Exact } else { Approximate };
    let always: Vec<&str> = vec!["inactive", "active"];
    KindCapability {
        update: [
            update(
                &[
                    "occi.compute.cores",
                    "occi.compute.memory",
                    EPHEMERAL_SIZE,
                    "resource_tpl",
                ],
                hot,
            ),
            update(
                &["occi.compute.hostname", "occi.compute.share", "occi.compute.speed"],
                &always,
            ),
            update(&["os_tpl"], &["inactive"]),
        ]
        .concat(),
        actions: vec![
            act("compute", "start", &["inactive", "suspended", "error"], &[]),
            act(
                "compute",
                "stop",
                &["active", "error"],
                &[("graceful", Exact), ("acpioff", cloudy), ("poweroff", Exact)],
            ),
            act(
                "compute",
                "restart",
                &["active"],
                &[("graceful", Exact), ("warm", cloudy), ("cold", Exact)],
            ),
            act(
                "compute",
                "suspend",
                &["active"],
                &[("hibernate", cloudy), ("suspend", Exact)],
            ),
            act("compute", "save", &always, &[("hot", Exact), ("deferred", cloudy)]),
        ],
        inline_links: vec![NETWORKINTERFACE.clone(), STORAGELINK.clone(), SECURITYGROUPLINK.clone()],
        later_links: [&NETWORKINTERFACE, &STORAGELINK, &SECURITYGROUPLINK]
            .map(|link| ((*link).clone(), vec!["inactive", "active", "suspended"]))
            .to_vec(),
        mixins: vec![OS_TPL.clone(), RESOURCE_TPL.clone(), SSH_KEY.clone(), USER_DATA.clone()],
        // A cloud's console is out of reach of this one's driver.
        console_log: is_local,
        console: if is_local { vec!["active"] } else { Vec::new() },
        ..kind(
            &COMPUTE,
            &[
                "architecture",
                "cores",
                "memory",
                "hostname",
                "share",
                "speed",
                "ephemeral_storage.size",
                "ephemeral_storage.deviceid",
            ],
        )
    }
}

fn network(is_local: bool) -> KindCapability {
    let free: &[&str] = if is_local {
        &["inactive", "active"]
    } else {
        &["inactive"]
    };
    KindCapability {
        update: [
            update(&["occi.network.label"], &["inactive", "active"]),
            update(
                &[
                    "occi.network.vlan",
                    "occi.network.address",
                    "occi.network.gateway",
                    "occi.network.allocation",
                ],
                free,
            ),
        ]
        .concat(),
        actions: up_and_down("network"),
        mixins: vec![IPNETWORK.clone()],
        ..kind(&NETWORK, &["vlan", "label", "address", "gateway", "allocation"])
    }
}

fn storage() -> KindCapability {
    let always = ["offline", "online"];
    KindCapability {
        update: update(&["occi.storage.size"], &always),
        actions: vec![
            act("storage", "online", &["offline", "error"], &[]),
            act("storage", "offline", &["online", "error"], &[]),
            act("storage", "backup", &["online"], &[]),
            act("storage", "snapshot", &["online"], &[]),
            act("storage", "resize", &always, &[]),
        ],
        ..kind(&STORAGE, &["size"])
    }
}

fn networkinterface() -> KindCapability {
    KindCapability {
        update: update(
            &[
                "occi.networkinterface.mac",
                "occi.networkinterface.address",
                "occi.networkinterface.gateway",
                "occi.networkinterface.allocation",
            ],
            &["inactive", "active"],
        ),
        actions: up_and_down("networkinterface"),
        mixins: vec![IPNETWORKINTERFACE.clone()],
        ..kind(
            &NETWORKINTERFACE,
            &["interface", "mac", "address", "gateway", "allocation"],
        )
    }
}

fn storagelink() -> KindCapability {
    KindCapability {
        update: update(
            &["occi.storagelink.deviceid", "occi.storagelink.mountpoint"],
            &["inactive", "active"],
        ),
        actions: vec![
            act("storagelink", "online", &["inactive"], &[]),
            act("storagelink", "offline", &["active"], &[]),
        ],
        ..kind(&STORAGELINK, &["deviceid", "mountpoint"])
    }
}

fn ipreservation() -> KindCapability {
    KindCapability {
        actions: up_and_down("ipreservation"),
        ..kind(&IPRESERVATION, &["address", "used"])
    }
}

fn securitygroup() -> KindCapability {
    KindCapability {
        update: update(&["occi.securitygroup.rules"], &["active"]),
        ..kind(&SECURITYGROUP, &["rules"])
    }
}

/// A kind that can be made and deleted, and whose state and `owned` attributes are the engine's.
fn kind(kind: &TypeId, owned: &[&str]) -> KindCapability {
    KindCapability {
        kind: kind.clone(),
        create: true,
        delete: true,
        update: Vec::new(),
        actions: Vec::new(),
        inline_links: Vec::new(),
        later_links: Vec::new(),
        mixins: Vec::new(),
        owned: owned
            .iter()
            .chain(&["state", "state.message"])
            .map(|last| attribute(&format!("occi.{}.{last}", kind.term())))
            .collect(),
        console_log: false,
        console: Vec::new(),
    }
}

fn update(what: &[&str], states: &[&'static str]) -> Vec<UpdateCapability> {
    what.iter()
        .map(|what| UpdateCapability {
            what: (*what).to_owned(),
            states: states.to_vec(),
        })
        .collect()
}

fn act(kind: &str, term: &str, states: &[&'static str], methods: &[(&'static str, Fidelity)]) -> ActionCapability {
    ActionCapability {
        action: action(kind, term),
        states: states.to_vec(),
        methods: methods
            .iter()
            .map(|&(method, fidelity)| MethodCapability { method, fidelity })
            .collect(),
    }
}

fn up_and_down(kind: &str) -> Vec<ActionCapability> {
    vec![
        act(kind, "up", &["inactive", "error"], &[]),
        act(kind, "down", &["active", "error"], &[]),
    ]
}
