//! How a server wants to be spoken to.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use occi_rendering::MediaType;
use serde::{Deserialize, Serialize};

/// What every answer of an `occid` has.
const OCCID: HeaderName = HeaderName::from_static("occid");

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Version {
    /// OCCI 1.1 (GFD.185).
    #[serde(rename = "1.1")]
    V1_1,
    /// OCCI 1.2 (GFD.223).
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
}

impl Version {
    /// The token of headers, `OCCI/1.2`.
    pub fn token(self) -> &'static str {
        match self {
            Self::V1_1 => "OCCI/1.1",
            Self::V1_2 => "OCCI/1.2",
        }
    }

    /// The `User-Agent` of this library in this version.
    pub(crate) fn user_agent(self, product: Option<&str>) -> HeaderValue {
        let own = concat!("occi-client/", env!("CARGO_PKG_VERSION"));
        let token = self.token();
        let text = match product {
            Some(product) => format!("{product} {own} {token}"),
            None => format!("{own} {token}"),
        };
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("occi-client"))
    }
}

/// What is known of a server's ways. A copy goes into every request; the client keeps the newest.
///
/// Every server is first asked as OCCI 1.2 and in text/plain, which almost all of them read; where nothing comes of that, in
/// JSON (MartServer) and then in text/occi. What it answers teaches the rest: 501 means that it knows version 1.1 only
/// (ooi), an `Accept` header with JSON means that JSON can be sent, and the header `Occid`, which proxies leave alone, tells
/// an `occid`: it understands idempotency keys, preferences and filters in the query string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Dialect {
    /// The version to speak.
    pub version: Version,
    /// The rendering to write and to ask for.
    pub media: MediaType,
    /// Whether the user chose the rendering, so that nothing that the server says changes it.
    pub is_media_fixed: bool,
    /// Whether it understood nothing before it was asked in JSON: its lists are read from what it shows.
    pub is_json_only: bool,
    /// Whether it is an `occid`.
    pub is_occid: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            version: Version::default(),
            media: MediaType::TextPlain,
            is_media_fixed: false,
            is_json_only: false,
            is_occid: false,
        }
    }
}

impl Dialect {
    /// With a rendering of the user's choice.
    pub fn with_media(media: MediaType) -> Self {
        Self {
            media,
            is_media_fixed: true,
            ..Self::default()
        }
    }

    /// Learns from the headers of an answer; true if something is new.
    pub fn learn(&mut self, headers: &HeaderMap) -> bool {
        let before = *self;
        // A proxy answers for a server that is away, and says nothing of it.
        self.is_occid |= is_occid(headers);
        let accept = text(headers, header::ACCEPT);
        let names_json = accept
            .split([',', ';'])
            .any(|media| media.trim().eq_ignore_ascii_case(MediaType::OcciJson.as_str()));
        if names_json && !self.is_media_fixed {
            self.media = MediaType::OcciJson;
        }
        *self != before
    }

    /// The type of the first answer to a question in text/plain, which some servers answer in what they have.
    pub(crate) fn learn_from_type(&mut self, name: &str) {
        let media = match name {
            "application/json" | "application/occi+json" => MediaType::OcciJson,
            "text/occi" => MediaType::TextOcci,
            _ => return,
        };
        if !self.is_media_fixed && self.media == MediaType::TextPlain {
            self.speak(media);
        }
    }

    /// What the server speaks, as it does not speak text/plain.
    pub(crate) fn speak(&mut self, media: MediaType) {
        self.media = media;
        self.is_json_only = media.is_json();
    }

    /// What to ask for in a listing by location.
    pub(crate) fn accept_locations(&self) -> &'static str {
        match self.media {
            // JSON lists entities in full, which is more than was asked for. A server that has no lists of URIs has lines.
            media if media.is_json() => "text/uri-list, text/plain;q=0.5",
            media => media.as_str(),
        }
    }
}

/// Whether it is the answer of an `occid`.
pub(crate) fn is_occid(headers: &HeaderMap) -> bool {
    headers.contains_key(OCCID)
}

fn text(headers: &HeaderMap, name: HeaderName) -> String {
    let values = headers.get_all(name);
    let values: Vec<_> = values
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                (
                    name.parse::<http::HeaderName>().unwrap(),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn json_is_spoken_where_the_server_says_that_it_reads_it() {
        let mut dialect = Dialect::default();
        assert!(!dialect.learn(&headers(&[("server", "rOCCI-server OCCI/1.1 OCCI/1.2")])));
        assert_eq!(dialect.media, MediaType::TextPlain);
        let occid = headers(&[
            ("server", "nginx"),
            ("occid", "1"),
            (
                "accept",
                "text/plain, text/occi, application/occi+json, application/json",
            ),
        ]);
        assert!(dialect.learn(&occid) && dialect.is_occid);
        assert_eq!(dialect.media, MediaType::OcciJson);
        assert!(!dialect.learn(&headers(&[("server", "nginx")])) && dialect.is_occid);
        let mut chosen = Dialect::with_media(MediaType::TextOcci);
        chosen.learn(&occid);
        assert_eq!((chosen.media, chosen.is_occid), (MediaType::TextOcci, true));
    }

    #[test]
    fn cli_1_the_agent_names_one_version() {
        assert!(Version::V1_1.user_agent(None).to_str().unwrap().ends_with(" OCCI/1.1"));
        let agent = Version::V1_2.user_agent(Some("occi/0.1.0"));
        assert!(agent.to_str().unwrap().starts_with("occi/0.1.0 occi-client/"));
        assert!(occi_rendering::Agent::from_user_agent(agent.to_str().unwrap()).occi_1_2);
    }
}
