//! Compute, network and storage, their links and their mixins (GFD.224; GFD.184 where 1.1 has more).
//!
//! The superset of both versions is served: `occi.compute.speed` (1.1) next to `occi.compute.share` (1.2), and the
//! storage actions of 1.1, whose transitional states show as `online` with a message. The documents define no actions
//! on links; `up`, `down`, `online` and `offline` are what rOCCI added and clients call.

use crate::ValueType::{IpAddr, IpNet, Mac, String};
use crate::table::{
    DefaultRow::Word, EndsRow, KindRow, MixinRow, POSITIVE, StatesRow, Table, action, at_least, attribute, leads,
    one_of, stays,
};
use crate::{Value, ValueType, core};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::borrow::Cow;

/// `compute`: a machine.
pub const COMPUTE: &str = "http://schemas.ogf.org/occi/infrastructure#compute";
/// `network`: a layer 2 network.
pub const NETWORK: &str = "http://schemas.ogf.org/occi/infrastructure#network";
/// `storage`: a disk or another store of data.
pub const STORAGE: &str = "http://schemas.ogf.org/occi/infrastructure#storage";
/// `networkinterface`: joins a compute to a network.
pub const NETWORKINTERFACE: &str = "http://schemas.ogf.org/occi/infrastructure#networkinterface";
/// `storagelink`: joins a compute to a storage.
pub const STORAGELINK: &str = "http://schemas.ogf.org/occi/infrastructure#storagelink";
/// `ipnetwork`: gives a network layer 3.
pub const IPNETWORK: &str = "http://schemas.ogf.org/occi/infrastructure/network#ipnetwork";
/// `ipnetworkinterface`: gives an interface an address.
pub const IPNETWORKINTERFACE: &str = "http://schemas.ogf.org/occi/infrastructure/networkinterface#ipnetworkinterface";
/// `ssh_key`: a public key that is put into a machine.
pub const SSH_KEY: &str = "http://schemas.ogf.org/occi/infrastructure/credentials#ssh_key";
/// `user_data`: what a machine runs at the end of its first boot.
pub const USER_DATA: &str = "http://schemas.ogf.org/occi/infrastructure/compute#user_data";

/// The scheme of the compute actions.
pub const COMPUTE_ACTION: &str = "http://schemas.ogf.org/occi/infrastructure/compute/action#";
/// The scheme of the network actions.
pub const NETWORK_ACTION: &str = "http://schemas.ogf.org/occi/infrastructure/network/action#";
/// The scheme of the storage actions.
pub const STORAGE_ACTION: &str = "http://schemas.ogf.org/occi/infrastructure/storage/action#";
/// The scheme of the interface actions.
pub const NETWORKINTERFACE_ACTION: &str = "http://schemas.ogf.org/occi/infrastructure/networkinterface/action#";
/// The scheme of the storage link actions.
pub const STORAGELINK_ACTION: &str = "http://schemas.ogf.org/occi/infrastructure/storagelink/action#";

/// The public key of [`SSH_KEY`].
pub const SSH_PUBLIC_KEY: &str = "occi.credentials.ssh.publickey";
/// The content of [`USER_DATA`].
pub const USERDATA: &str = "occi.compute.userdata";

/// The states of most kinds.
pub(crate) const ACTIVE_INACTIVE: ValueType = one_of(&["active", "inactive", "error"]);
const ALLOCATION: ValueType = one_of(&["dynamic", "static"]);

fn not_empty(value: &Value) -> Result<(), std::string::String> {
    match value.as_str() {
        Some("") => Err("a text that is not empty".to_owned()),
        _ => Ok(()),
    }
}

/// An OpenSSH public key, as in a `.pub` file: the algorithm, the key in Base64, perhaps a comment. What is in the key is
/// its algorithm's; its frame (RFC 4253, section 6.6) is the same for all, and begins with the algorithm's name.
pub(crate) fn ssh_public_key(value: &Value) -> Result<(), std::string::String> {
    let is_key = |line: &str| {
        let mut words = line.split(' ');
        let (algorithm, key) = (words.next()?, words.next()?);
        let bytes = BASE64.decode(key).ok()?;
        let mut fields = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((length, after)) = rest.split_first_chunk() {
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (field, after) = after.split_at_checked(length)?;
            fields.push(field);
            rest = after;
        }
        let [name, _, ..] = fields.as_slice() else { return None };
        (rest.is_empty() && *name == algorithm.as_bytes()).then_some(())
    };
    let line = value.as_str().unwrap_or_default().trim();
    if line.contains(char::is_control) || is_key(line).is_none() {
        return Err("one OpenSSH public key, such as the line of ~/.ssh/id_ed25519.pub".to_owned());
    }
    Ok(())
}

/// The categories of GFD.224. The templates' parents, `os_tpl` and `resource_tpl`, are in [`crate::templates`].
pub static TABLE: Table = Table {
    kinds: &[
        KindRow {
            id: COMPUTE,
            title: "Compute resource",
            parent: Some(core::RESOURCE),
            location: "/compute/",
            attributes: &[
                attribute(
                    "occi.compute.architecture",
                    ValueType::Enum {
                        values: &["x86", "x64"],
                        aliases: &[("x86_64", "x64"), ("amd64", "x64"), ("i386", "x86"), ("i686", "x86")],
                    },
                ),
                attribute("occi.compute.cores", at_least(1)),
                // Never checked as a DNS name: clients copy titles into it.
                attribute("occi.compute.hostname", String).checked(not_empty),
                attribute("occi.compute.share", at_least(0)),
                attribute("occi.compute.speed", POSITIVE),
                attribute("occi.compute.memory", POSITIVE),
                attribute("occi.compute.state.message", String).immutable(),
                attribute(
                    "occi.compute.state",
                    one_of(&["active", "inactive", "suspended", "error"]),
                )
                .immutable()
                .default(Word("inactive")),
            ],
            action_scheme: COMPUTE_ACTION,
            actions: &[
                action("start", "Start the compute").ignores(&["method"]),
                action("stop", "Stop the compute").parameters(&[attribute(
                    "method",
                    one_of(&["graceful", "acpioff", "poweroff"]),
                )
                .default(Word("poweroff"))]),
                action("restart", "Restart the compute").parameters(&[attribute(
                    "method",
                    one_of(&["graceful", "warm", "cold"]),
                )
                .default(Word("cold"))]),
                action("suspend", "Suspend the compute").parameters(&[attribute(
                    "method",
                    one_of(&["hibernate", "suspend"]),
                )
                .default(Word("suspend"))]),
                action("save", "Save the compute as an OS template").parameters(&[
                    attribute(
                        "method",
                        ValueType::Enum {
                            values: &["hot", "deferred"],
                            aliases: &[("deffered", "deferred")],
                        },
                    )
                    .default(Word("deferred")),
                    attribute("name", String),
                ]),
            ],
            states: Some(StatesRow {
                prefix: "occi.compute",
                initial: "inactive",
                bring_up: Some("start"),
                up: "active",
                transitions: &[
                    leads("inactive", "start", "active"),
                    stays("inactive", "save"),
                    leads("active", "stop", "inactive"),
                    stays("active", "restart"),
                    leads("active", "suspend", "suspended"),
                    stays("active", "save"),
                    leads("suspended", "start", "active"),
                    leads("error", "start", "active"),
                    leads("error", "stop", "inactive"),
                ],
            }),
            ..KindRow::NONE
        },
        KindRow {
            id: NETWORK,
            title: "Network resource",
            parent: Some(core::RESOURCE),
            location: "/network/",
            attributes: &[
                attribute(
                    "occi.network.vlan",
                    ValueType::Integer {
                        min: Some(0),
                        max: Some(4095),
                    },
                ),
                attribute("occi.network.label", String),
                attribute("occi.network.state.message", String).immutable(),
                attribute("occi.network.state", ACTIVE_INACTIVE)
                    .immutable()
                    .default(Word("inactive")),
            ],
            action_scheme: NETWORK_ACTION,
            actions: &[
                action("up", "Bring the network up"),
                action("down", "Take the network down"),
            ],
            states: Some(StatesRow {
                prefix: "occi.network",
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
            id: STORAGE,
            title: "Storage resource",
            parent: Some(core::RESOURCE),
            location: "/storage/",
            attributes: &[
                attribute("occi.storage.size", POSITIVE).required(),
                attribute("occi.storage.state.message", String).immutable(),
                attribute("occi.storage.state", one_of(&["online", "offline", "error"]))
                    .immutable()
                    .default(Word("offline")),
            ],
            action_scheme: STORAGE_ACTION,
            actions: &[
                action("online", "Bring the storage online"),
                action("offline", "Take the storage offline"),
                action("backup", "Back up the storage"),
                action("snapshot", "Snapshot the storage"),
                action("resize", "Resize the storage").parameters(&[attribute("size", POSITIVE).required()]),
            ],
            states: Some(StatesRow {
                prefix: "occi.storage",
                initial: "offline",
                bring_up: Some("online"),
                up: "online",
                transitions: &[
                    leads("offline", "online", "online"),
                    stays("offline", "resize"),
                    leads("online", "offline", "offline"),
                    stays("online", "backup"),
                    stays("online", "snapshot"),
                    stays("online", "resize"),
                    leads("error", "online", "online"),
                    leads("error", "offline", "offline"),
                ],
            }),
            ..KindRow::NONE
        },
        KindRow {
            id: NETWORKINTERFACE,
            title: "Network interface link",
            parent: Some(core::LINK),
            location: "/networkinterface/",
            attributes: &[
                // GFD.185's own inline example sends it, so it is a wish and no error.
                attribute("occi.networkinterface.interface", String)
                    .immutable()
                    .creation_only(),
                attribute("occi.networkinterface.mac", Mac),
                attribute("occi.networkinterface.state.message", String).immutable(),
                attribute("occi.networkinterface.state", ACTIVE_INACTIVE)
                    .immutable()
                    .default(Word("inactive")),
            ],
            action_scheme: NETWORKINTERFACE_ACTION,
            actions: &[
                action("up", "Bring the interface up"),
                action("down", "Take the interface down"),
            ],
            states: Some(StatesRow {
                prefix: "occi.networkinterface",
                initial: "inactive",
                bring_up: None,
                up: "active",
                transitions: &[
                    leads("inactive", "up", "active"),
                    leads("active", "down", "inactive"),
                    leads("error", "up", "active"),
                    leads("error", "down", "inactive"),
                ],
            }),
            ends: Some(EndsRow {
                source: COMPUTE,
                target: NETWORK,
            }),
            ..KindRow::NONE
        },
        KindRow {
            id: STORAGELINK,
            title: "Storage link",
            parent: Some(core::LINK),
            location: "/storagelink/",
            attributes: &[
                attribute("occi.storagelink.deviceid", String),
                attribute("occi.storagelink.mountpoint", String),
                attribute("occi.storagelink.state.message", String).immutable(),
                attribute("occi.storagelink.state", ACTIVE_INACTIVE)
                    .immutable()
                    .default(Word("inactive")),
            ],
            action_scheme: STORAGELINK_ACTION,
            actions: &[
                action("online", "Attach the storage"),
                action("offline", "Detach the storage"),
            ],
            states: Some(StatesRow {
                prefix: "occi.storagelink",
                initial: "inactive",
                bring_up: None,
                up: "active",
                transitions: &[
                    leads("inactive", "online", "active"),
                    leads("active", "offline", "inactive"),
                    leads("error", "online", "active"),
                    leads("error", "offline", "inactive"),
                ],
            }),
            ends: Some(EndsRow {
                source: COMPUTE,
                target: STORAGE,
            }),
            ..KindRow::NONE
        },
    ],
    mixins: &[
        MixinRow {
            id: IPNETWORK,
            // A table of GFD.184 prints this term; its text says `ipnetwork`.
            aliases: &["http://schemas.ogf.org/occi/infrastructure/network#ipnetworking"],
            title: "IP network",
            applies: &[NETWORK],
            attributes: &[
                attribute("occi.network.address", IpNet),
                attribute("occi.network.gateway", IpAddr),
                attribute("occi.network.allocation", ALLOCATION),
            ],
            location: "/mixin/ipnetwork/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: IPNETWORKINTERFACE,
            // The misspelling of a table of GFD.184.
            aliases: &["http://schemas.ogf.org/occi/infrastucture/networkinterface#ipnetworkinterface"],
            title: "IP network interface",
            applies: &[NETWORKINTERFACE],
            attributes: &[
                attribute("occi.networkinterface.address", IpAddr),
                attribute("occi.networkinterface.gateway", IpAddr),
                attribute("occi.networkinterface.allocation", ALLOCATION),
            ],
            location: "/mixin/ipnetworkinterface/",
            ..MixinRow::NONE
        },
        MixinRow {
            id: SSH_KEY,
            title: "SSH public key",
            applies: &[COMPUTE],
            attributes: &[attribute(SSH_PUBLIC_KEY, String)
                .required()
                .checked(ssh_public_key)
                // What the OCCI interface of OpenStack reads and advertises.
                .aliases(&[
                    "occi.credentials.ssh_key",
                    "occi.crendentials.ssh_key",
                    "occi.crendentials.ssh.publickey",
                ])],
            location: "/mixin/ssh_key/",
            kept: true,
            twin: Some(crate::production::OPENSTACK_PUBLIC_KEY),
            ..MixinRow::NONE
        },
        MixinRow {
            id: USER_DATA,
            title: "User data",
            applies: &[COMPUTE],
            attributes: &[attribute(USERDATA, String)
                .required()
                .creation_only()
                .aliases(&["occi.compute.user_data"])],
            location: "/mixin/user_data/",
            kept: true,
            creation_only: true,
            twin: Some(crate::production::OPENSTACK_USER_DATA),
            ..MixinRow::NONE
        },
    ],
};

/// Where other servers keep their collections, and where ours are.
const LOCATION_ALIASES: [(&str, &str); 3] = [
    ("/link/networkinterface/", "/networkinterface/"),
    ("/link/storagelink/", "/storagelink/"),
    ("/networklink/", "/networkinterface/"),
];

/// The path that the service uses for `path`: empty segments dropped (`//storagelink/x`), and the places of other
/// servers (`/link/networkinterface/`, `/link/storagelink/`, `/networklink/`) replaced by ours, for collections and
/// the entities below alike. Slashes at the end stay as they are, one at most.
pub fn canonical_path(path: &str) -> Cow<'_, str> {
    let path = if path.contains("//") {
        let mut single = std::string::String::with_capacity(path.len());
        for c in path.chars() {
            if c != '/' || !single.ends_with('/') {
                single.push(c);
            }
        }
        Cow::Owned(single)
    } else {
        Cow::Borrowed(path)
    };
    for (alias, location) in LOCATION_ALIASES {
        if let Some(rest) = path.strip_prefix(alias) {
            return Cow::Owned(format!("{location}{rest}"));
        }
        if alias.strip_suffix('/') == Some(&path) {
            return Cow::Owned(location.trim_end_matches('/').to_owned());
        }
    }
    path
}
