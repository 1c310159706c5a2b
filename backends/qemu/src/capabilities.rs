//! What this engine declares.

use occi_backend::Fidelity::Exact;
use occi_backend::names::{
    COMPUTE, IPNETWORK, IPNETWORKINTERFACE, NETWORK, NETWORKINTERFACE, OS_TPL, RESOURCE_TPL, SSH_KEY, STORAGE,
    STORAGELINK, USER_DATA, action, attribute,
};
use occi_backend::{ActionCapability, Capabilities, KindCapability, Locality, MethodCapability, UpdateCapability};
use occi_model::{TypeId, templates};
use std::time::Duration;

const ON_OR_OFF: [&str; 2] = ["inactive", "active"];
const ALL_BUT_ERROR: [&str; 3] = ["inactive", "active", "suspended"];
/// No single call to QEMU lasts longer.
const CALL: Duration = Duration::from_secs(30);

pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        locality: Locality::Host,
        kinds: vec![compute(), network(), storage(), networkinterface(), storagelink()],
        default_network: true,
        shared_networks: true,
        assigns_ids: false,
        lists_projects: true,
        removes_templates: true,
        images: true,
        events: true,
        accept_wait: Duration::from_secs(2),
        call_timeout: CALL,
        concurrency: 64,
    }
}

fn compute() -> KindCapability {
    let ephemeral = [templates::EPHEMERAL_SIZE, templates::EPHEMERAL_DEVICEID];
    let mut owned = owned("compute", &["architecture", "cores", "memory", "hostname"]);
    owned.extend(ephemeral.map(attribute));
    let mut changes = update(&["occi.compute.cores", "occi.compute.memory"], &["inactive"]);
    changes.extend(update(&["occi.compute.hostname"], &ON_OR_OFF));
    changes.extend(update(&["resource_tpl", "os_tpl"], &["inactive"]));
    KindCapability {
        actions: vec![
            act("compute", "start", &["inactive", "suspended", "error"], &[]),
            act(
                "compute",
                "stop",
                &["active", "error"],
                &["graceful", "acpioff", "poweroff"],
            ),
            act("compute", "restart", &["active"], &["graceful", "warm", "cold"]),
            act("compute", "suspend", &["active"], &["hibernate", "suspend"]),
            act("compute", "save", &ON_OR_OFF, &["hot", "deferred"]),
        ],
        update: changes,
        inline_links: vec![NETWORKINTERFACE.clone(), STORAGELINK.clone()],
        later_links: vec![
            (NETWORKINTERFACE.clone(), ALL_BUT_ERROR.to_vec()),
            (STORAGELINK.clone(), ALL_BUT_ERROR.to_vec()),
        ],
        mixins: vec![OS_TPL.clone(), RESOURCE_TPL.clone(), SSH_KEY.clone(), USER_DATA.clone()],
        owned,
        console_log: true,
        console: vec!["active"],
        ..kind(&COMPUTE)
    }
}

fn network() -> KindCapability {
    KindCapability {
        actions: up_and_down("network"),
        update: update(
            &[
                "occi.network.address",
                "occi.network.gateway",
                "occi.network.allocation",
            ],
            &["inactive"],
        ),
        mixins: vec![IPNETWORK.clone()],
        owned: owned("network", &["address", "gateway", "allocation"]),
        ..kind(&NETWORK)
    }
}

fn storage() -> KindCapability {
    const ALWAYS: [&str; 2] = ["offline", "online"];
    KindCapability {
        update: update(&["occi.storage.size"], &ALWAYS),
        actions: vec![
            act("storage", "online", &["offline", "error"], &[]),
            act("storage", "offline", &["online", "error"], &[]),
            act("storage", "backup", &["online"], &[]),
            act("storage", "snapshot", &["online"], &[]),
            act("storage", "resize", &ALWAYS, &[]),
        ],
        owned: owned("storage", &["size"]),
        ..kind(&STORAGE)
    }
}

fn storagelink() -> KindCapability {
    KindCapability {
        actions: vec![
            act("storagelink", "online", &["inactive"], &[]),
            act("storagelink", "offline", &["active"], &[]),
        ],
        owned: owned("storagelink", &["deviceid"]),
        ..kind(&STORAGELINK)
    }
}

fn networkinterface() -> KindCapability {
    KindCapability {
        actions: up_and_down("networkinterface"),
        mixins: vec![IPNETWORKINTERFACE.clone()],
        owned: owned(
            "networkinterface",
            &["interface", "mac", "address", "gateway", "allocation"],
        ),
        ..kind(&NETWORKINTERFACE)
    }
}

fn kind(kind: &TypeId) -> KindCapability {
    KindCapability {
        kind: kind.clone(),
        create: true,
        delete: true,
        update: Vec::new(),
        actions: Vec::new(),
        inline_links: Vec::new(),
        later_links: Vec::new(),
        mixins: Vec::new(),
        owned: Vec::new(),
        console_log: false,
        console: Vec::new(),
    }
}

fn update(what: &[&str], states: &[&'static str]) -> Vec<UpdateCapability> {
    let update = |what: &&str| UpdateCapability {
        what: (*what).to_owned(),
        states: states.to_vec(),
    };
    what.iter().map(update).collect()
}

fn owned(kind: &str, names: &[&str]) -> Vec<occi_model::AttributeName> {
    let names = names.iter().chain(&["state", "state.message"]);
    names.map(|last| attribute(&format!("occi.{kind}.{last}"))).collect()
}

fn act(kind: &str, term: &str, states: &[&'static str], methods: &[&'static str]) -> ActionCapability {
    let methods = methods.iter().map(|method| MethodCapability {
        method,
        fidelity: Exact,
    });
    ActionCapability {
        action: action(kind, term),
        states: states.to_vec(),
        methods: methods.collect(),
    }
}

fn up_and_down(kind: &str) -> Vec<ActionCapability> {
    vec![
        act(kind, "up", &["inactive", "error"], &[]),
        act(kind, "down", &["active", "error"], &[]),
    ]
}
