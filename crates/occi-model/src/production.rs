//! Extensions in production use: EGI's federated cloud (rOCCI 2) and OpenStack's OCCI interfaces (ooi, occi-os).
//!
//! They are published by their communities, not by the OGF, but clients depend on them. What a single backend alone
//! knows (`org.opennebula.*`, `com.amazon.*`) is declared by that backend.

use crate::ValueType::{Boolean, IpAddr, List, String, Uri};
use crate::infrastructure::{
    ACTIVE_INACTIVE, COMPUTE, NETWORK, NETWORKINTERFACE, SSH_KEY, SSH_PUBLIC_KEY, STORAGE, STORAGELINK, USER_DATA,
    USERDATA, ssh_public_key,
};
use crate::table::{
    DefaultRow::{self, Word},
    EndsRow, KindRow, MixinRow, StatesRow, Table, action, attribute, leads, one_of,
};
use crate::{Attributes, Value, ValueType, core};

/// `ipreservation`: an address that is kept, and given to machines by links.
pub const IPRESERVATION: &str = "http://schemas.ogf.org/occi/infrastructure#ipreservation";
/// `securitygroup`: rules about what may pass.
pub const SECURITYGROUP: &str = "http://schemas.ogf.org/occi/infrastructure#securitygroup";
/// `securitygrouplink`: puts a machine under the rules of a group.
pub const SECURITYGROUPLINK: &str = "http://schemas.ogf.org/occi/infrastructure#securitygrouplink";
/// `rule`, the security rule of occi-os.
pub const SECURITY_RULE: &str = "http://schemas.openstack.org/occi/infrastructure/network/security#rule";
/// `availability_zone`, the parent of a provider's zones.
pub const AVAILABILITY_ZONE: &str = "http://schemas.ogf.org/occi/infrastructure#availability_zone";
/// `region`, the parent of a provider's regions.
pub const REGION: &str = "http://schemas.ogf.org/occi/infrastructure#region";
/// `floatingippool`, the parent of a provider's address pools.
pub const FLOATINGIPPOOL: &str = "http://schemas.openstack.org/network#floatingippool";
/// OpenStack's twin of [`SSH_KEY`].
pub const OPENSTACK_PUBLIC_KEY: &str = "http://schemas.openstack.org/instance/credentials#public_key";
/// OpenStack's twin of [`USER_DATA`].
pub const OPENSTACK_USER_DATA: &str = "http://schemas.openstack.org/compute/instance#user_data";

const OPENSTACK_PUBLIC_KEY_DATA: &str = "org.openstack.credentials.publickey.data";
const OPENSTACK_USERDATA: &str = "org.openstack.compute.user_data";

/// What zones and regions may be put on.
const PLACED: &[&str] = &[
    COMPUTE,
    STORAGE,
    NETWORK,
    SECURITYGROUP,
    IPRESERVATION,
    NETWORKINTERFACE,
    STORAGELINK,
    SECURITYGROUPLINK,
];

/// The public key for a machine, whichever of the two mixins brought it.
pub fn public_key(attributes: &Attributes) -> Option<&str> {
    [SSH_PUBLIC_KEY, OPENSTACK_PUBLIC_KEY_DATA]
        .iter()
        .find_map(|name| attributes.get(name)?.as_str())
}

/// The user data for a machine, whichever of the two mixins brought it; [`crate::userdata`] says what it is.
pub fn user_data(attributes: &Attributes) -> Option<&str> {
    [USERDATA, OPENSTACK_USERDATA]
        .iter()
        .find_map(|name| attributes.get(name)?.as_str())
}

/// A list of rules: `protocol` (tcp, udp, icmp) and `type` (inbound, outbound), and optionally `port` ("22",
/// "8000-8100") and `range` (CIDR).
fn security_rules(value: &Value) -> Result<(), std::string::String> {
    let Value::List(rules) = value else {
        return Err("a list of rules".to_owned());
    };
    for rule in rules {
        let Value::Hash(rule) = rule else {
            return Err("a list of objects with protocol, type, port and range".to_owned());
        };
        let word = |key: &str| rule.get(key).map(|value| value.as_str().unwrap_or_default());
        if !matches!(word("protocol"), Some("tcp" | "udp" | "icmp")) {
            return Err("rules whose protocol is tcp, udp or icmp".to_owned());
        }
        if !matches!(word("type"), Some("inbound" | "outbound")) {
            return Err("rules whose type is inbound or outbound".to_owned());
        }
        if word("port").is_some_and(|port| !is_port_range(port)) {
            return Err("rules whose port is a text such as \"22\" or \"8000-8100\"".to_owned());
        }
        if word("range").is_some_and(|range| range.parse::<ipnet::IpNet>().is_err()) {
            return Err("rules whose range is a network such as \"192.0.2.0/24\"".to_owned());
        }
        if let Some(unknown) = rule
            .keys()
            .find(|key| !matches!(key.as_str(), "protocol" | "type" | "port" | "range"))
        {
            return Err(format!("rules of protocol, type, port and range, not {unknown:?}"));
        }
    }
    Ok(())
}

fn is_port_range(text: &str) -> bool {
    let port = |text: &str| text.parse::<u16>().ok();
    match text.split_once('-') {
        Some((first, last)) => matches!((port(first), port(last)), (Some(first), Some(last)) if first <= last),
        None => port(text).is_some(),
    }
}

/// The extensions of EGI and OpenStack.
pub static TABLE: Table = Table {
    kinds: &[
        KindRow {
            id: IPRESERVATION,
            title: "IP reservation",
            parent: Some(NETWORK),
            location: "/ipreservation/",
            attributes: &[
                attribute("occi.ipreservation.address", IpAddr),
                attribute("occi.ipreservation.used", Boolean)
                    .immutable()
                    .default(DefaultRow::Boolean(false)),
                attribute("occi.ipreservation.state.message", String).immutable(),
                attribute("occi.ipreservation.state", ACTIVE_INACTIVE)
                    .immutable()
                    .default(Word("inactive")),
            ],
            action_scheme: "http://schemas.ogf.org/occi/infrastructure/ipreservation/action#",
            actions: &[
                action("up", "Bring the reservation up"),
                action("down", "Take the reservation down"),
            ],
            states: Some(StatesRow {
                prefix: "occi.ipreservation",
                initial: "inactive",
                bring_up: Some("up"),
                up: "active",
                transitions: &[
                    leads("inactive", "up", "active"),
                    leads("active", "down", "inactive"),
                    leads("error", "up", "active"),
                    leads("error", "down", "inactive"),
                ],
            }),
            ..KindRow::NONE
        },
        KindRow {
            id: SECURITYGROUP,
            title: "Security group",
            parent: Some(core::RESOURCE),
            location: "/securitygroup/",
            attributes: &[
                attribute("occi.securitygroup.rules", List)
                    .required()
                    .checked(security_rules),
                attribute("occi.securitygroup.state.message", String).immutable(),
                attribute("occi.securitygroup.state", ACTIVE_INACTIVE).immutable(),
            ],
            states: Some(StatesRow {
                prefix: "occi.securitygroup",
                initial: "inactive",
                bring_up: None,
                up: "active",
                transitions: &[],
            }),
            ..KindRow::NONE
        },
        KindRow {
            id: SECURITYGROUPLINK,
            title: "Security group link",
            parent: Some(core::LINK),
            location: "/securitygrouplink/",
            attributes: &[
                attribute("occi.securitygrouplink.state.message", String).immutable(),
                attribute("occi.securitygrouplink.state", ACTIVE_INACTIVE).immutable(),
            ],
            states: Some(StatesRow {
                prefix: "occi.securitygrouplink",
                initial: "inactive",
                bring_up: None,
                up: "active",
                transitions: &[],
            }),
            ends: Some(EndsRow {
                source: COMPUTE,
                target: SECURITYGROUP,
            }),
            ..KindRow::NONE
        },
        KindRow {
            id: SECURITY_RULE,
            title: "Security rule",
            parent: Some(core::RESOURCE),
            location: "/network/security/rule/",
            attributes: &[
                attribute("occi.network.security.protocol", String).required(),
                attribute("occi.network.security.to", String).required(),
                attribute("occi.network.security.from", String).required(),
                attribute("occi.network.security.range", String).required(),
            ],
            ..KindRow::NONE
        },
    ],
    mixins: &[
        MixinRow {
            id: AVAILABILITY_ZONE,
            title: "Availability zone",
            applies: PLACED,
            location: "/mixin/availability_zone/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: REGION,
            title: "Region",
            applies: PLACED,
            location: "/mixin/region/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: FLOATINGIPPOOL,
            title: "Floating IP pool",
            applies: &[IPRESERVATION],
            location: "/mixin/floatingippool/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: "http://schemas.fedcloud.egi.eu/occi/infrastructure/network#public_net",
            title: "Public network",
            applies: &[NETWORK],
            location: "/mixin/public_net/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: "http://schemas.fedcloud.egi.eu/occi/infrastructure/network#private_net",
            title: "Private network",
            applies: &[NETWORK],
            location: "/mixin/private_net/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: "http://schemas.fedcloud.egi.eu/occi/infrastructure/network#nat_net",
            title: "Network with address translation",
            applies: &[NETWORK],
            location: "/mixin/nat_net/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: "http://schemas.fedcloud.egi.eu/occi/infrastructure/compute#default_connectivity",
            title: "Default connectivity",
            applies: &[COMPUTE],
            attributes: &[attribute(
                "eu.egi.fedcloud.compute.default_connectivity",
                one_of(&["public", "private", "nat"]),
            )
            .immutable()],
            location: "/mixin/default_connectivity/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: OPENSTACK_PUBLIC_KEY,
            title: "SSH public key of OpenStack",
            applies: &[COMPUTE],
            attributes: &[
                attribute("org.openstack.credentials.publickey.name", String),
                attribute(OPENSTACK_PUBLIC_KEY_DATA, String)
                    .required()
                    .checked(ssh_public_key),
            ],
            location: "/mixin/openstack/public_key/",
            kept: true,
            twin: Some(SSH_KEY),
            ..MixinRow::NONE
        },
        MixinRow {
            id: OPENSTACK_USER_DATA,
            title: "User data of OpenStack",
            applies: &[COMPUTE],
            attributes: &[attribute(OPENSTACK_USERDATA, String).required().creation_only()],
            location: "/mixin/openstack/user_data/",
            kept: true,
            creation_only: true,
            twin: Some(USER_DATA),
            ..MixinRow::NONE
        },
        MixinRow {
            id: "http://schemas.openstack.org/infrastructure/network#osnetwork",
            title: "Network of OpenStack",
            applies: &[NETWORK],
            attributes: &[attribute(
                "org.openstack.network.ip_version",
                ValueType::Integer {
                    min: Some(4),
                    max: Some(6),
                },
            )],
            location: "/mixin/openstack/osnetwork/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: "http://schemas.openstack.org/compute/instance#os_vms",
            title: "Machine of OpenStack",
            applies: &[COMPUTE],
            attributes: &[
                attribute("org.openstack.compute.console.vnc", Uri).immutable(),
                attribute("org.openstack.compute.state", String).immutable(),
            ],
            action_scheme: "http://schemas.openstack.org/instance/action#",
            actions: &[
                action("chg_pwd", "Change the administrator's password").parameters(&[attribute(
                    "org.openstack.credentials.admin_pwd",
                    String,
                )
                .required()]),
                action("create_image", "Make an image of the machine").parameters(&[attribute(
                    "org.openstack.snapshot.image_name",
                    String,
                )
                .required()]),
            ],
            location: "/mixin/openstack/os_vms/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: "http://schemas.openstack.org/network/instance#os_net_link",
            title: "Floating IP of OpenStack",
            applies: &[NETWORKINTERFACE],
            attributes: &[attribute("org.openstack.network.floating.pool", String).required()],
            location: "/mixin/openstack/os_net_link/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: "http://schemas.ogf.org/occi/infrastructure/security#group",
            title: "Security group of OpenStack",
            applies: &[COMPUTE, SECURITY_RULE],
            location: "/mixin/openstack/group/",
            ..MixinRow::NONE
        },
    ],
};
