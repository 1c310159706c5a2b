//! Reading Ethernet frames: the few fields that decide where a frame may go.

use super::Mac;
use std::net::Ipv4Addr;

/// IPv4 in the type field of a frame.
pub(crate) const IPV4: u16 = 0x0800;
/// ARP in the type field of a frame.
pub(crate) const ARP: u16 = 0x0806;
/// How an ARP message begins whose addresses are Ethernet's and IPv4's.
const ARP_OF_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// The bytes of a frame at `at`.
pub(super) fn bytes<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..at + N)?.try_into().ok()
}

/// A frame that has at least its header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a>(&'a [u8]);

impl<'a> Frame<'a> {
    /// The frame in `bytes`, if it is long enough to be one.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= 14).then_some(Self(bytes))
    }

    /// Whom it is for.
    pub(crate) fn destination(self) -> Mac {
        Mac(bytes(self.0, 0).unwrap_or_default())
    }

    /// Who says to have sent it.
    pub(crate) fn source(self) -> Mac {
        Mac(bytes(self.0, 6).unwrap_or_default())
    }

    /// Its type.
    pub(crate) fn kind(self) -> u16 {
        u16::from_be_bytes(bytes(self.0, 12).unwrap_or_default())
    }

    /// What it carries.
    pub(crate) fn payload(self) -> &'a [u8] {
        self.0.get(14..).unwrap_or_default()
    }

    /// The IPv4 packet in it, if it carries a whole header of one.
    pub(crate) fn ipv4(self) -> Option<Ipv4<'a>> {
        (self.kind() == IPV4).then_some(())?;
        Ipv4::new(self.payload())
    }

    /// What an ARP message in it, one about Ethernet and IPv4, claims for its sender.
    pub(crate) fn arp_sender(self) -> Option<(Mac, Ipv4Addr)> {
        (self.kind() == ARP && self.payload().starts_with(&ARP_OF_IPV4)).then_some(())?;
        Some((Mac(bytes(self.payload(), 8)?), bytes::<4>(self.payload(), 14)?.into()))
    }
}

/// An IPv4 packet with a whole header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ipv4<'a> {
    header: &'a [u8],
    rest: &'a [u8],
}

/// What a packet is about, as far as that is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A TCP segment.
    Tcp {
        /// The port it is for.
        port: u16,
        /// Whether it opens a connection.
        opens: bool,
    },
    /// A UDP datagram.
    Udp {
        /// The port it is for.
        port: u16,
    },
    /// An ICMP message.
    Icmp,
    /// Something else, a fragment, or cut off.
    Other,
}

impl<'a> Ipv4<'a> {
    fn new(packet: &'a [u8]) -> Option<Self> {
        let first = *packet.first()?;
        let length = usize::from(first & 0x0F) * 4;
        (first >> 4 == 4 && length >= 20).then_some(())?;
        let (header, rest) = packet.split_at_checked(length)?;
        Some(Self { header, rest })
    }

    /// Who says to have sent it.
    pub(crate) fn source(self) -> Ipv4Addr {
        bytes::<4>(self.header, 12).unwrap_or_default().into()
    }

    /// Whom it is for.
    pub(crate) fn destination(self) -> Ipv4Addr {
        bytes::<4>(self.header, 16).unwrap_or_default().into()
    }

    /// What it is about. Fragments are [`Transport::Other`]: their ports are not in sight.
    pub(crate) fn transport(self) -> Transport {
        let fragment = u16::from_be_bytes(bytes(self.header, 6).unwrap_or_default()) & 0x3FFF;
        let port = bytes(self.rest, 2).map(u16::from_be_bytes);
        let flags = self.rest.get(13).copied();
        match (fragment, self.header.get(9).copied(), port, flags) {
            (0, Some(TCP), Some(port), Some(flags)) => Transport::Tcp {
                port,
                opens: flags & SYN != 0 && flags & ACK == 0,
            },
            (0, Some(UDP), Some(port), _) if self.rest.len() >= 8 => Transport::Udp { port },
            (0, Some(ICMP), ..) => Transport::Icmp,
            _ => Transport::Other,
        }
    }

    /// The port from which a UDP datagram comes; also that of one in fragments, whose first has it in sight.
    pub(crate) fn udp_source(self) -> Option<u16> {
        let offset = u16::from_be_bytes(bytes(self.header, 6)?) & 0x1FFF;
        (offset == 0 && self.header.get(9) == Some(&UDP)).then_some(())?;
        bytes(self.rest, 0).map(u16::from_be_bytes)
    }

    /// What a UDP datagram carries.
    pub(crate) fn udp_payload(self) -> &'a [u8] {
        self.rest.get(8..).unwrap_or_default()
    }
}
