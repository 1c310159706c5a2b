//! The addresses of a network. The documents say only that they are addresses; what no host can have, and a gateway that
//! nobody on the network reaches, is a mistake with every engine (ours).

use super::Violation;
use super::given::attribute_path;
use crate::Attributes;
use ipnet::IpNet;
use std::net::IpAddr;

pub(super) const ADDRESS: &str = "occi.network.address";
pub(super) const GATEWAY: &str = "occi.network.gateway";

/// What hosts do not have: this host, loopback, link-local, groups, reserved.
const RESERVED: [&str; 9] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "fe80::/10",
    "ff00::/8",
];

/// Checks what `set` makes of the addresses in `before`. An address that moves without its gateway is the engine's to
/// judge, which may move that too.
pub(super) fn check_addresses(before: &Attributes, set: &Attributes, at: &str) -> Result<(), Violation> {
    let refuse = |name: &str, message: String| Err(Violation::invalid(attribute_path(at, name), message));
    let subnet: Option<IpNet> = read(set, ADDRESS);
    let meets = |subnet: &IpNet, other: &IpNet| subnet.contains(other) || other.contains(subnet);
    if let Some(subnet) = subnet {
        let mut reserved = RESERVED.iter().filter_map(|text| text.parse().ok());
        if let Some(reserved) = reserved.find(|reserved| meets(&subnet, reserved)) {
            return refuse(
                ADDRESS,
                format!("{subnet} is no network of hosts: {reserved} is reserved"),
            );
        }
    }
    let subnet = subnet.or_else(|| read(before, ADDRESS));
    let gateway: Option<IpAddr> = read(set, GATEWAY);
    match (subnet, gateway) {
        (Some(subnet), Some(gateway)) if !is_host(subnet, gateway) => refuse(
            GATEWAY,
            format!("the gateway {gateway} is no address of a host on {subnet}"),
        ),
        _ => Ok(()),
    }
}

fn is_host(subnet: IpNet, address: IpAddr) -> bool {
    // On a network of two addresses both are hosts' (RFC 3021, RFC 6164).
    let is_small = subnet.max_prefix_len() - subnet.prefix_len() < 2;
    let is_end = address == subnet.network() || (address == subnet.broadcast() && address.is_ipv4());
    subnet.contains(&address) && (is_small || !is_end)
}

fn read<T: std::str::FromStr>(attributes: &Attributes, name: &str) -> Option<T> {
    attributes.get(name)?.as_str()?.parse().ok()
}
