//! Answers to DHCP requests (RFC 2131, RFC 2132), from the plan: every guest has one address for life.

use super::frame::bytes;
use super::{Mac, Plan, Port};
use std::net::Ipv4Addr;

/// The port of servers.
pub(crate) const SERVER: u16 = 67;
const CLIENT: u16 = 68;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const LEASE_SECONDS: u32 = 86_400;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;
const INFORM: u8 = 8;

/// What a client asks.
struct Question {
    xid: [u8; 4],
    flags: [u8; 2],
    /// The address that it has already.
    current: Ipv4Addr,
    hardware: [u8; 16],
    message: u8,
    /// The address that it wants.
    requested: Option<Ipv4Addr>,
    /// The server that it has chosen.
    server: Option<Ipv4Addr>,
}

impl Question {
    fn parse(bootp: &[u8]) -> Option<Self> {
        let is_request = bootp.starts_with(&[1, 1, 6]);
        (is_request && bytes::<4>(bootp, 236)? == COOKIE).then_some(())?;
        let option = |wanted| {
            options(bootp.get(240..)?)
                .find(|(code, _)| *code == wanted)
                .map(|(_, value)| value)
        };
        let address = |wanted| {
            option(wanted)
                .and_then(|value| bytes::<4>(value, 0))
                .map(Ipv4Addr::from)
        };
        Some(Self {
            xid: bytes(bootp, 4)?,
            flags: bytes(bootp, 10)?,
            current: bytes::<4>(bootp, 12)?.into(),
            hardware: bytes(bootp, 28)?,
            message: *option(53)?.first()?,
            requested: address(50),
            server: address(54),
        })
    }
}

/// The options of a message, until the first that is cut off.
fn options(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        loop {
            match rest {
                [0, tail @ ..] => rest = tail,
                [255, ..] | [] | [_] => return None,
                [code, length, tail @ ..] => {
                    let (value, tail) = tail.split_at_checked(usize::from(*length))?;
                    rest = tail;
                    return Some((*code, value));
                }
            }
        }
    })
}

/// The frame that answers the BOOTP message `bootp` of the guest behind `port`; `None` if it gets no answer.
pub(crate) fn answer(plan: &Plan, port: &Port, bootp: &[u8]) -> Option<Vec<u8>> {
    let question = Question::parse(bootp)?;
    let address = port.address?;
    let server = plan.server()?;
    if question.server.is_some_and(|chosen| chosen != server) {
        return None;
    }
    let wanted = question
        .requested
        .or_else(|| Some(question.current).filter(|current| !current.is_unspecified()));
    let (message, yours) = match question.message {
        DISCOVER => (OFFER, address),
        REQUEST if wanted == Some(address) => (ACK, address),
        REQUEST => (NAK, Ipv4Addr::UNSPECIFIED),
        INFORM => (ACK, Ipv4Addr::UNSPECIFIED),
        _ => return None,
    };

    let mut reply = vec![2, 1, 6, 0];
    reply.extend(question.xid);
    reply.extend([0, 0]);
    reply.extend(question.flags);
    let current = if message == NAK {
        Ipv4Addr::UNSPECIFIED
    } else {
        question.current
    };
    for field in [current, yours, server, Ipv4Addr::UNSPECIFIED] {
        reply.extend(field.octets());
    }
    reply.extend(question.hardware);
    reply.resize(236, 0); // no server name, no boot file
    reply.extend(COOKIE);
    let mut option = |code: u8, value: &[u8]| {
        if let (Ok(length), false) = (u8::try_from(value.len()), value.is_empty()) {
            reply.extend([code, length]);
            reply.extend(value);
        }
    };
    option(53, &[message]);
    option(54, &server.octets());
    if message != NAK {
        if question.message != INFORM {
            option(51, &LEASE_SECONDS.to_be_bytes());
        }
        if let Some(subnet) = plan.subnet {
            option(1, &subnet.netmask().octets());
            option(28, &subnet.broadcast().octets());
        }
        option(
            3,
            &plan.gateway.map(|gateway| gateway.octets()).unwrap_or_default()[..plan.gateway.map_or(0, |_| 4)],
        );
        option(
            6,
            &plan.dns.map(|dns| dns.octets()).unwrap_or_default()[..plan.dns.map_or(0, |_| 4)],
        );
    }
    reply.push(255);
    reply.resize(reply.len().max(300), 0); // the least that old clients take

    let to = if current.is_unspecified() {
        Ipv4Addr::BROADCAST
    } else {
        current
    };
    udp(plan.server_mac()?, port.mac, server, to, &reply)
}

/// A UDP datagram from the server's port to the client's, in a frame.
fn udp(source: Mac, destination: Mac, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Option<Vec<u8>> {
    let udp_length = u16::try_from(payload.len() + 8).ok()?;
    let mut header = vec![0x45, 0];
    header.extend((udp_length + 20).to_be_bytes());
    header.extend([0, 0, 0, 0, 64, 17, 0, 0]); // id, no fragment, time to live, UDP, no checksum yet
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = header.chunks_exact(2).fold(0_u32, |sum, pair| {
        sum + pair.iter().fold(0, |word, byte| (word << 8) + u32::from(*byte))
    });
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = (folded & 0xFFFF) + (folded >> 16);
    let checksum = !u16::try_from(folded).ok()?;
    header.splice(10..12, checksum.to_be_bytes());

    let mut frame = Vec::with_capacity(42 + payload.len());
    frame.extend(destination.0);
    frame.extend(source.0);
    frame.extend(super::frame::IPV4.to_be_bytes());
    frame.extend(header);
    for field in [SERVER, CLIENT, udp_length, 0] {
        frame.extend(field.to_be_bytes());
    }
    frame.extend(payload);
    Some(frame)
}
