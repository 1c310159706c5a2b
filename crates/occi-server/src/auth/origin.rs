//! Where a request comes from, as far as that can be believed.

use crate::config::Network;
use http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

/// Where every proxy says whose request it passes on: each appends the address of who connected to it.
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The address whose wrong passwords are counted: the other end of the connection or, while that is one of `proxies`, who
/// connected there by its own word. What stands before that anybody may have written.
pub fn origin(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let fields = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let hops = fields.flat_map(|field| field.to_str().unwrap_or_default().rsplit(','));
    let mut origin = peer.to_canonical();
    for hop in hops {
        if !proxies.iter().any(|proxy| proxy.0.contains(&origin)) {
            break;
        }
        let Some(address) = address(hop.trim()) else { break };
        origin = address.to_canonical();
    }
    origin
}

/// An address, which some proxies write with its port.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    text.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_believed_and_nobody_else() {
        let proxies: Vec<Network> = ["10.0.0.0/8", "2001:db8::1"].map(|text| text.parse().unwrap()).into();
        for (peer, fields, from) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7:443"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7, 10.1.1.1"], "198.51.100.7"),
            ("2001:db8::1", &["2001:db8::2"], "2001:db8::2"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(X_FORWARDED_FOR, field.parse().unwrap());
            }
            let found = origin(peer.parse().unwrap(), &headers, &proxies);
            assert_eq!(found, from.parse::<IpAddr>().unwrap(), "{peer} {fields:?}");
        }
    }
}
