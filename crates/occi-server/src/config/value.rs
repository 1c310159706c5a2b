//! Values of the configuration that have a form of their own.

use ipnet::IpNet;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `ADDR:PORT`; port 0 takes a free one.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `off`: nowhere.
    Off,
}

impl FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("unix: needs a path after it".to_owned())
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        let text = text.replace("localhost:", "127.0.0.1:");
        text.parse().map(Self::Tcp).map_err(|_| {
            format!("{text:?} is no address: write ADDR:PORT (127.0.0.1:8787, [::1]:8787), unix:PATH or off")
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Off => f.write_str("off"),
        }
    }
}

/// A length of time: `30s`, `10m`, `1h 30m`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

const LONGEST: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("{text:?} is no length of time: write 30s, 10m, 2h or 7d");
        // jiff's durations have no days of their own; 24 hours are meant.
        let (days, rest) = match text.trim().split_once('d') {
            Some((days, rest)) if days.bytes().all(|b| b.is_ascii_digit()) => {
                (days.parse().map_err(|_| problem())?, rest)
            }
            _ => (0_u64, text),
        };
        let rest: Duration = if rest.trim().is_empty() && days > 0 {
            Duration::ZERO
        } else {
            let span: jiff::SignedDuration = rest.trim().parse().map_err(|_| problem())?;
            span.try_into().map_err(|_| problem())?
        };
        let days = days.checked_mul(24 * 3600).map(Duration::from_secs);
        let whole = days.and_then(|days| days.checked_add(rest));
        // Clocks end somewhere: nothing here is to last for more than a thousand years.
        whole.filter(|whole| *whole < LONGEST).map(Self).ok_or_else(problem)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let day = 24 * 3600 * 1000;
        for (unit, size) in [("d", day), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
            if millis >= size && millis.is_multiple_of(size) {
                return write!(f, "{}{unit}", millis / size);
            }
        }
        write!(f, "{millis}ms")
    }
}

/// A number of bytes: `65536`, `64 KiB`, `4MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let unit = match text[end..].trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => 0,
        };
        match text[..end]
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
        {
            Some(bytes) if unit > 0 => Ok(Self(bytes)),
            _ => Err(format!(
                "{text:?} is no size: write a number of bytes, or one with KiB, MiB or GiB"
            )),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 > 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{} {unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// An address, or a network: `10.0.0.5`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let one = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| one()).map(Self).map_err(|_| {
            format!("{text:?} is neither an address nor a network: write 10.0.0.5, 10.0.0.0/8 or 2001:db8::/32")
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.prefix_len() == self.0.max_prefix_len() {
            true => self.0.addr().fmt(f),
            false => self.0.fmt(f),
        }
    }
}

/// Reads a value of its own form from TOML text, or (sizes) from a number.
struct Text<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in quotes")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Text(std::marker::PhantomData))
            }
        }
    )*};
}
as_text!(Address, Network, Span, Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        for text in ["127.0.0.1:8787", "[::1]:0", "unix:/run/occid.sock", "off"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["30s", "10m", "2h", "7d", "250ms"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["0", "100", "64 KiB", "4 MiB", "1 GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.5", "10.0.0.0/8", "2001:db8::/32"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        assert!("proxy.example.org".parse::<Network>().is_err());
        assert_eq!("1d 12h".parse(), Ok(Span::seconds(36 * 3600)));
        assert!("8787".parse::<Address>().is_err());
        assert!("soon".parse::<Span>().is_err());
        for text in ["-1s", "99999999999999999999d", "999999999999999999d", "400000d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert!("4 MB".parse::<Size>().is_err());
    }
}
