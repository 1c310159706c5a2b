//! What a network looks like, and where each frame may go.

use super::dhcp;
use super::frame::{ARP, Frame, IPV4, Ipv4, Transport};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The hardware address of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Mac(pub(crate) [u8; 6]);

impl Mac {
    /// Whether it names a group (broadcast, multicast).
    pub(crate) fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Mac {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let mut mac = [0; 6];
            let mut pairs = text.split([':', '-']);
            for byte in &mut mac {
                *byte = u8::from_str_radix(pairs.next().filter(|pair| pair.len() == 2)?, 16).ok()?;
            }
            pairs.next().is_none().then_some(Self(mac))
        };
        parse().ok_or_else(|| format!("{text:?} is no MAC address"))
    }
}
impl TryFrom<String> for Mac {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

/// One interface of one guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Port {
    /// Its hardware address; what comes from another one is dropped.
    pub(crate) mac: Mac,
    /// Its address: what DHCP gives it. In IPv4 and ARP it may use this, and those of its guest's other interfaces on this
    /// network; nothing else passes. None: it may use any and send anything, and gets none from us.
    pub(crate) address: Option<Ipv4Addr>,
    /// The socket on which the guest's QEMU listens. Those of one guest are in one directory.
    pub(crate) socket: PathBuf,
}

impl Port {
    fn guest(&self) -> Option<&Path> {
        self.socket.parent()
    }
}

/// The whole network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// The addresses of its guests; none for a bare layer 2 network.
    pub(crate) subnet: Option<Ipv4Net>,
    /// Where packets for other networks go.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Who resolves names.
    pub(crate) dns: Option<Ipv4Addr>,
    /// The socket of the process that leads out of the network.
    pub(crate) uplink: Option<PathBuf>,
    /// The interfaces on it.
    pub(crate) ports: Vec<Port>,
}

/// Where a frame comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender<'a> {
    /// A guest.
    Port(&'a Port),
    /// The way out.
    Uplink,
}

/// Where a frame goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nowhere.
    Drop,
    /// To one guest, with this as its destination.
    Port(Mac),
    /// To the way out.
    Uplink,
    /// To every guest but the sender, and to the way out if `uplink`.
    Flood {
        /// Whether the way out gets it too.
        uplink: bool,
    },
    /// This frame goes back to the sender.
    Answer(Vec<u8>),
}

impl Plan {
    /// The address under which DHCP is answered: the gateway's, else the first of the network.
    pub(crate) fn server(&self) -> Option<Ipv4Addr> {
        self.gateway.or_else(|| self.subnet?.hosts().next())
    }

    /// The hardware address that belongs to it, made as the way out makes its own.
    pub(crate) fn server_mac(&self) -> Option<Mac> {
        let [a, b, c, d] = self.server()?.octets();
        Some(Mac([0x52, 0x55, a, b, c, d]))
    }

    /// Where `frame` goes.
    pub(crate) fn decide(&self, from: Sender<'_>, frame: &[u8]) -> Verdict {
        let Some(frame) = Frame::new(frame) else {
            return Verdict::Drop;
        };
        if let Sender::Port(port) = from {
            if !self.is_own(port, frame) {
                return Verdict::Drop;
            }
            if let Some(packet) = frame.ipv4()
                && packet.transport() == (Transport::Udp { port: dhcp::SERVER })
            {
                return dhcp::answer(self, port, packet.udp_payload()).map_or(Verdict::Drop, Verdict::Answer);
            }
        }
        let uplink = from != Sender::Uplink && self.uplink.is_some() && self.may_leave(frame);
        let destination = frame.destination();
        let is_its_mac = |port: &&Port| port.mac == destination;
        let address = frame.ipv4().map(Ipv4::destination);
        let is_its_address = |port: &&Port| port.address.is_some() && port.address == address;
        let find = |is_it: &dyn Fn(&&Port) -> bool| self.ports.iter().find(is_it).map(|port| port.mac);
        // Whoever sent to an address before remembers a MAC address for it, the way out for ever. When the address was
        // given out again that is no port's any more, or another's.
        let (to, own) = match from {
            Sender::Uplink => (find(&is_its_address).or_else(|| find(&is_its_mac)), None),
            Sender::Port(port) => (find(&is_its_mac).or_else(|| find(&is_its_address)), Some(port.mac)),
        };
        if destination.is_group() {
            Verdict::Flood { uplink }
        } else if let Some(mac) = to {
            match own == to {
                true => Verdict::Drop,
                false => Verdict::Port(mac),
            }
        } else if uplink {
            Verdict::Uplink
        } else {
            Verdict::Drop
        }
    }

    /// Whether the way out may see this. It is a process of this host and connects with the host's rights, so whatever
    /// it would take for the host's loopback, or for the host's own private services, stays here: a guest reaches the
    /// outside, and of its own network's special addresses names and replies to published ports.
    fn may_leave(&self, frame: Frame<'_>) -> bool {
        match frame.kind() {
            ARP => true,
            IPV4 => frame.ipv4().is_some_and(|packet| self.packet_may_leave(packet)),
            _ => false,
        }
    }

    fn packet_may_leave(&self, packet: Ipv4<'_>) -> bool {
        let to = packet.destination();
        let transport = packet.transport();
        let names = matches!(transport, Transport::Udp { port: 53 } | Transport::Tcp { port: 53, .. });
        if Some(to) == self.dns && names {
            return true;
        }
        if Some(to) == self.gateway {
            // Connections to published ports come from this address; a new one to it would end at the host's loopback.
            return matches!(transport, Transport::Icmp | Transport::Tcp { opens: false, .. });
        }
        let reserved = to.is_loopback() || to.is_link_local() || to.is_multicast() || to.octets()[0] == 0;
        let own = self.subnet.is_some_and(|subnet| subnet.contains(&to));
        !(reserved || own || to.is_broadcast())
    }

    /// Whether a frame says that it is from whom it is from. Of a guest with an address that is known only of IPv4 and ARP:
    /// IPv6, and what bears the tag of a VLAN, which systems take off and look at what is in it, are nobody's.
    fn is_own(&self, port: &Port, frame: Frame<'_>) -> bool {
        let claim_is_true = match (port.address, frame.ipv4(), frame.arp_sender()) {
            (None, ..) => true,
            (Some(own), Some(packet), _) => {
                let asks_for_one = packet.transport() == (Transport::Udp { port: dhcp::SERVER });
                let is_own = match packet.source() {
                    source if source == own => true,
                    source if source.is_unspecified() => asks_for_one,
                    // The answer would be for the interface that has the address.
                    source => !asks_for_one && self.is_of_same_guest(port, source),
                };
                // Only we give addresses.
                is_own && packet.udp_source() != Some(dhcp::SERVER)
            }
            // Who makes sure that an address is free claims none.
            (Some(own), None, Some((mac, claimed))) => {
                let is_own = claimed == own || claimed.is_unspecified() || self.is_of_same_guest(port, claimed);
                is_own && mac == port.mac
            }
            (Some(_), None, None) => false,
        };
        frame.source() == port.mac && claim_is_true
    }

    /// Whether another interface of the guest behind `port` has this address. A system answers for all its addresses on each
    /// of its interfaces, and sends by the one that its routes say.
    fn is_of_same_guest(&self, port: &Port, address: Ipv4Addr) -> bool {
        let mut ports = self.ports.iter();
        ports.any(|other| other.address == Some(address) && other.guest() == port.guest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let port = |last: u8| Port {
            mac: Mac([0x52, 0x54, 0, 0, 0, last]),
            address: Some(Ipv4Addr::new(10, 213, 1, last)),
            socket: format!("vm{last}/nic0").into(),
        };
        Plan {
            subnet: Some("10.213.1.0/24".parse().unwrap()),
            gateway: Some("10.213.1.1".parse().unwrap()),
            dns: Some("10.213.1.2".parse().unwrap()),
            uplink: Some("lan".into()),
            ports: vec![port(16), port(17)],
        }
    }

    const GATEWAY: [u8; 6] = [0x52, 0x55, 10, 213, 1, 1];

    /// A frame of guest 16.
    fn frame(to: [u8; 6], destination: &str, protocol: u8, rest: &[u8]) -> Vec<u8> {
        let mut frame = [to, [0x52, 0x54, 0, 0, 0, 16]].concat();
        frame.extend([8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 213, 1, 16]);
        frame.extend(destination.parse::<Ipv4Addr>().unwrap().octets());
        frame.extend(rest);
        frame
    }

    fn tcp(port: u16, flags: u8) -> Vec<u8> {
        let mut segment = vec![0; 20];
        segment[2..4].copy_from_slice(&port.to_be_bytes());
        segment[13] = flags;
        segment
    }

    fn udp(port: u16) -> Vec<u8> {
        [vec![0, 9], port.to_be_bytes().to_vec(), vec![0; 8]].concat()
    }

    #[test]
    fn a_guest_gets_out_but_not_to_the_hosts_loopback() {
        let plan = plan();
        let verdict = |destination: &str, protocol, rest: &[u8]| {
            plan.decide(
                Sender::Port(&plan.ports[0]),
                &frame(GATEWAY, destination, protocol, rest),
            )
        };
        let (syn, ack) = (tcp(22, 2), tcp(40_000, 0x12));
        for (destination, protocol, rest) in [
            ("192.0.2.7", 6, &syn),
            ("192.0.2.7", 17, &udp(123)),
            ("10.213.1.2", 17, &udp(53)),
            ("10.213.1.2", 6, &tcp(53, 2)),
            ("10.213.1.1", 6, &ack),
            ("10.213.1.1", 1, &vec![8, 0]),
        ] {
            assert_eq!(
                verdict(destination, protocol, rest),
                Verdict::Uplink,
                "{destination} {protocol}"
            );
        }
        for (destination, protocol, rest) in [
            ("10.213.1.1", 6, &syn),
            ("10.213.1.1", 17, &udp(53)),
            ("10.213.1.2", 6, &tcp(22, 2)),
            ("10.213.1.2", 17, &udp(67 + 1)),
            ("10.213.1.9", 6, &syn),
            ("10.213.1.9", 1, &vec![8, 0]),
            ("127.0.0.1", 6, &syn),
            ("0.0.0.0", 6, &syn),
            ("169.254.169.254", 6, &syn),
            ("224.0.0.1", 17, &udp(5353)),
            ("255.255.255.255", 17, &udp(9)),
        ] {
            assert_eq!(
                verdict(destination, protocol, rest),
                Verdict::Drop,
                "{destination} {protocol}"
            );
        }
        let mut fragment = frame(GATEWAY, "10.213.1.2", 17, &udp(53));
        fragment[20] = 0x20;
        assert_eq!(plan.decide(Sender::Port(&plan.ports[0]), &fragment), Verdict::Drop);
        let mut six = frame(GATEWAY, "192.0.2.7", 6, &syn);
        six[12..14].copy_from_slice(&[0x86, 0xDD]);
        assert_eq!(plan.decide(Sender::Port(&plan.ports[0]), &six), Verdict::Drop);
    }

    #[test]
    fn guests_reach_each_other_and_nobody_speaks_for_another() {
        let plan = plan();
        let (first, second) = (&plan.ports[0], &plan.ports[1]);
        let to_second = frame(second.mac.0, "10.213.1.17", 6, &tcp(22, 2));
        assert_eq!(plan.decide(Sender::Port(first), &to_second), Verdict::Port(second.mac));
        assert_eq!(plan.decide(Sender::Uplink, &to_second), Verdict::Port(second.mac));
        assert_eq!(
            plan.decide(Sender::Port(second), &to_second),
            Verdict::Drop,
            "another's MAC address"
        );
        for (from, to) in [
            (Sender::Port(first), [0x52, 0x54, 0, 0, 0, 99]),
            (Sender::Uplink, [0x52, 0x54, 0, 0, 0, 99]),
            (Sender::Uplink, first.mac.0),
        ] {
            let remembered = frame(to, "10.213.1.17", 6, &tcp(22, 2));
            let verdict = plan.decide(from, &remembered);
            assert_eq!(verdict, Verdict::Port(second.mac), "the address was another's before");
        }
        let mut spoofed = to_second.clone();
        spoofed[29] = 99;
        assert_eq!(
            plan.decide(Sender::Port(first), &spoofed),
            Verdict::Drop,
            "another's address"
        );
        let mut arp = [[0xFF; 6], first.mac.0].concat();
        arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        arp.extend(first.mac.0);
        arp.extend([10, 213, 1, 16, 0, 0, 0, 0, 0, 0, 10, 213, 1, 1]);
        assert_eq!(plan.decide(Sender::Port(first), &arp), Verdict::Flood { uplink: true });
        arp[31] = 1;
        assert_eq!(
            plan.decide(Sender::Port(first), &arp),
            Verdict::Drop,
            "another's address in ARP"
        );
        arp[28..32].fill(0);
        assert_eq!(
            plan.decide(Sender::Port(first), &arp),
            Verdict::Flood { uplink: true },
            "no address yet"
        );
        let own = frame(second.mac.0, "10.213.1.17", 17, &udp(9));
        let with = |changes: &[(usize, &[u8])]| {
            let mut frame = own.clone();
            for (at, bytes) in changes {
                frame[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            frame
        };
        let tagged = |tag: &[u8], frame: &[u8]| [&frame[..12], tag, &frame[12..]].concat();
        arp[28..32].copy_from_slice(&[10, 213, 1, 16]);
        let mut of_other_hardware = arp.clone();
        of_other_hardware[22..28].copy_from_slice(&second.mac.0);
        let mut of_other_lengths = arp.clone();
        of_other_lengths[18] = 8;
        for (what, frame) in [
            ("ARP in a VLAN", tagged(&[0x81, 0, 0, 0], &arp)),
            ("IPv4 in a VLAN", tagged(&[0x81, 0, 0, 0], &own)),
            ("a VLAN of a provider", tagged(&[0x88, 0xA8, 0, 0], &own)),
            ("ARP for another's MAC address", of_other_hardware),
            ("ARP of other lengths", of_other_lengths),
            ("ARP cut off", arp[..30].to_vec()),
            ("IPv6", with(&[(12, &[0x86, 0xDD])])),
            (
                "IPv6 to all",
                with(&[(0, &[0x33, 0x33, 0, 0, 0, 1]), (12, &[0x86, 0xDD])]),
            ),
            ("IPv6 that says it is IPv4", with(&[(14, &[0x60])])),
            ("a length in place of a type", with(&[(12, &[0, 40])])),
            ("IPv4 cut off", own[..33].to_vec()),
            ("IPv4 from nowhere", with(&[(26, &[0; 4])])),
            ("an answer of DHCP", with(&[(34, &[0, 67, 0, 68])])),
            (
                "an answer of DHCP in fragments",
                with(&[(20, &[0x20, 0]), (34, &[0, 67, 0, 68])]),
            ),
            ("to itself", with(&[(0, &[0x52, 0x55]), (30, &[10, 213, 1, 16])])),
        ] {
            assert_eq!(plan.decide(Sender::Port(first), &frame), Verdict::Drop, "{what}");
        }
        assert_eq!(plan.decide(Sender::Port(first), &own), Verdict::Port(second.mac));
        for length in 0..to_second.len() {
            plan.decide(Sender::Port(first), &to_second[..length]);
        }
    }

    #[test]
    fn a_guest_has_all_its_addresses_on_each_of_its_interfaces() {
        let mut plan = plan();
        let third = Port {
            mac: Mac([0x52, 0x54, 0, 0, 0, 18]),
            address: Some(Ipv4Addr::new(10, 213, 1, 18)),
            socket: "vm16/nic1".into(),
        };
        plan.ports.push(third.clone());
        // From the address of the guest's first interface, by the other one.
        let by_third = |mut frame: Vec<u8>| {
            frame[6..12].copy_from_slice(&third.mac.0);
            frame
        };
        let verdict = |frame: &[u8]| plan.decide(Sender::Port(&third), frame);
        let to_second = by_third(frame([0x52, 0x54, 0, 0, 0, 17], "10.213.1.17", 6, &tcp(22, 2)));
        assert_eq!(verdict(&to_second), Verdict::Port(plan.ports[1].mac));
        let mut arp = [[0xFF; 6], third.mac.0].concat();
        arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
        arp.extend(third.mac.0);
        arp.extend([10, 213, 1, 16, 0, 0, 0, 0, 0, 0, 10, 213, 1, 1]);
        assert_eq!(verdict(&arp), Verdict::Flood { uplink: true });
        // Another guest's is another's, and a lease is of one interface.
        arp[31] = 17;
        assert_eq!(verdict(&arp), Verdict::Drop);
        let mut spoofed = to_second;
        spoofed[29] = 17;
        assert_eq!(verdict(&spoofed), Verdict::Drop);
        let renewal = by_third(frame(GATEWAY, "10.213.1.1", 17, &bootp(3, &[50, 4, 10, 213, 1, 16])));
        assert_eq!(verdict(&renewal), Verdict::Drop);
    }

    fn bootp(message: u8, options: &[u8]) -> Vec<u8> {
        let mut bootp = vec![1, 1, 6, 0, 0xDE, 0xAD, 0xBE, 0xEF];
        bootp.resize(28, 0);
        bootp.extend([0x52, 0x54, 0, 0, 0, 16]);
        bootp.resize(236, 0);
        bootp.extend([99, 130, 83, 99, 53, 1, message]);
        bootp.extend(options);
        bootp.push(255);
        [vec![0, 68, 0, 67, 0, 0, 0, 0], bootp].concat()
    }

    #[test]
    fn dhcp_gives_a_guest_its_address_and_no_other() {
        let plan = plan();
        let ask = |datagram: &[u8]| {
            let mut frame = frame([0xFF; 6], "255.255.255.255", 17, datagram);
            frame[26..30].copy_from_slice(&[0; 4]);
            plan.decide(Sender::Port(&plan.ports[0]), &frame)
        };
        let answered = |datagram: &[u8]| match ask(datagram) {
            Verdict::Answer(answer) => {
                let packet = Frame::new(&answer).unwrap().ipv4().unwrap();
                let dhcp = packet.udp_payload();
                (dhcp[242], Ipv4Addr::from(<[u8; 4]>::try_from(&dhcp[16..20]).unwrap()))
            }
            other => panic!("{other:?}"),
        };
        let own: Ipv4Addr = "10.213.1.16".parse().unwrap();
        assert_eq!(answered(&bootp(1, &[])), (2, own));
        assert_eq!(answered(&bootp(3, &[50, 4, 10, 213, 1, 16])), (5, own));
        assert_eq!(answered(&bootp(3, &[50, 4, 10, 0, 2, 15])), (6, Ipv4Addr::UNSPECIFIED));
        assert_eq!(
            ask(&bootp(3, &[54, 4, 10, 0, 0, 1, 50, 4, 10, 213, 1, 16])),
            Verdict::Drop
        );
        assert_eq!(
            ask(&bootp(3, &[50, 200, 1])),
            Verdict::Answer(match ask(&bootp(3, &[])) {
                Verdict::Answer(nak) => nak,
                other => panic!("{other:?}"),
            })
        );
        for length in 0..250 {
            ask(&bootp(1, &[])[..length]);
        }
    }

    #[test]
    fn hardware_addresses_are_read_in_both_spellings() {
        assert_eq!(
            "52-54-00-AB-00-01".parse::<Mac>().unwrap().to_string(),
            "52:54:00:ab:00:01"
        );
        for wrong in [
            "",
            "52:54:00:ab:00",
            "52:54:00:ab:00:01:02",
            "52:54:00:ab:00:g1",
            "5254:00:ab:00:01:2",
        ] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
    }
}
