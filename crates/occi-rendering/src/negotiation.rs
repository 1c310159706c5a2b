//! Media types: what a client accepts, what it sends (GFD.223, content negotiation).

use crate::Agent;
use crate::text::occi::Field;
use std::fmt;

/// The media types that the service reads or writes, in the order in which ties are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MediaType {
    /// `text/plain`: the fields of the text rendering as lines of the body. The default.
    TextPlain,
    /// `text/occi+plain`: the same under the name that OCCI 1.2 also uses.
    TextOcciPlain,
    /// `text/occi`: the fields as HTTP headers.
    TextOcci,
    /// `text/uri-list`: one URI per line; lists of entities only.
    UriList,
    /// `application/occi+json`.
    OcciJson,
    /// `application/json`: the same under its generic name.
    Json,
    /// `text/html`: pages for people. Never read, and chosen only if it beats everything else.
    Html,
}

impl MediaType {
    /// All of them, in the order in which ties are broken.
    pub const ALL: [Self; 7] = [
        Self::TextPlain,
        Self::TextOcciPlain,
        Self::TextOcci,
        Self::UriList,
        Self::OcciJson,
        Self::Json,
        Self::Html,
    ];

    /// The name without parameters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TextPlain => "text/plain",
            Self::TextOcciPlain => "text/occi+plain",
            Self::TextOcci => "text/occi",
            Self::UriList => "text/uri-list",
            Self::OcciJson => "application/occi+json",
            Self::Json => "application/json",
            Self::Html => "text/html",
        }
    }

    /// The value of a `Content-Type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::TextPlain => "text/plain; charset=utf-8",
            Self::TextOcciPlain => "text/occi+plain; charset=utf-8",
            Self::TextOcci => "text/occi; charset=utf-8",
            Self::UriList => "text/uri-list; charset=utf-8",
            Self::OcciJson => "application/occi+json",
            Self::Json => "application/json",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    /// Whether this is one of the two names of the JSON rendering.
    pub fn is_json(self) -> bool {
        matches!(self, Self::OcciJson | Self::Json)
    }

    fn named(essence: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|media| media.as_str().eq_ignore_ascii_case(essence))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The media types that a client accepts, as its `Accept` headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Accept {
    /// In the order of the request. Empty: anything.
    ranges: Vec<Range>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Range {
    /// Lower case, `text/*` and `*/*` included.
    essence: String,
    /// In thousandths.
    quality: u16,
}

impl Accept {
    /// Reads the values of all `Accept` headers, in order. Parts that make no sense are skipped; if there is no header,
    /// or nothing in it, everything is acceptable.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut ranges = Vec::new();
        for value in values {
            let value = String::from_utf8_lossy(value);
            for part in split_unquoted(&value, ',') {
                let mut parts = split_unquoted(part, ';');
                let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
                if essence.is_empty() {
                    continue;
                }
                let quality = parts.find_map(|parameter| {
                    let (name, value) = parameter.split_once('=')?;
                    name.trim().eq_ignore_ascii_case("q").then(|| quality(value.trim()))
                });
                ranges.push(Range {
                    essence,
                    quality: quality.unwrap_or(1000),
                });
            }
        }
        Self { ranges }
    }

    /// The media type to answer with, out of those that can express the answer: the highest quality wins, then the
    /// order of the header, then the order of [`MediaType`]. `text/html` wins no tie. `None` means 406.
    pub fn choose(&self, offered: &[MediaType]) -> Option<MediaType> {
        offered
            .iter()
            .filter_map(|&media| {
                let (quality, position) = self.quality_of(media.as_str())?;
                Some((std::cmp::Reverse(quality), media == MediaType::Html, position, media))
            })
            .min()
            .map(|(_, _, _, media)| media)
    }

    /// Whether a header names `media` itself, and not only by a `*`. An answer that cannot be expressed in the one type
    /// that was asked for is refused differently from an unknown type.
    pub fn names(&self, media: MediaType) -> bool {
        self.quality_of_exactly(media.as_str()).is_some()
    }

    /// Whether a header names this type, which is none of OCCI's, itself.
    pub fn names_type(&self, essence: &str) -> bool {
        self.quality_of_exactly(essence).is_some()
    }

    /// Whether this type, which is none of OCCI's, is acceptable.
    pub fn takes_type(&self, essence: &str) -> bool {
        self.quality_of(essence).is_some()
    }

    /// Whether the client asks for errors as `application/problem+json` (RFC 9457) by name.
    pub fn names_problem(&self) -> bool {
        self.quality_of_exactly("application/problem+json").is_some()
    }

    fn quality_of_exactly(&self, essence: &str) -> Option<(u16, usize)> {
        self.ranges
            .iter()
            .enumerate()
            .find(|(_, range)| range.essence == essence)
            .map(|(position, range)| (range.quality, position))
            .filter(|(quality, _)| *quality > 0)
    }

    /// Quality and position of the most specific range for a type; `None` if it is not acceptable.
    fn quality_of(&self, name: &str) -> Option<(u16, usize)> {
        if self.ranges.is_empty() {
            return Some((1000, 0));
        }
        let family = &name[..=name.find('/').unwrap_or_default()];
        self.ranges
            .iter()
            .enumerate()
            .filter_map(|(position, range)| {
                let unspecific = match range.essence.as_str() {
                    essence if essence == name => 0,
                    essence if essence.strip_suffix('*') == Some(family) => 1,
                    "*/*" | "*" => 2,
                    _ => return None,
                };
                Some((unspecific, position, range.quality))
            })
            .min()
            .map(|(_, position, quality)| (quality, position))
            .filter(|(quality, _)| *quality > 0)
    }
}

/// A quality in thousandths; nonsense counts as not said.
fn quality(text: &str) -> u16 {
    match text.parse::<f32>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what a quality may be"
        )]
        Ok(quality) if quality.is_finite() => (quality.clamp(0.0, 1.0) * 1000.0).round() as u16,
        _ => 1000,
    }
}

/// Splits at `separator` outside of quoted strings.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |c| {
        let was_escaped = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && !was_escaped => escaped = true,
            '"' if !was_escaped => quoted = !quoted,
            _ => return c == separator && !quoted,
        }
        false
    })
}

/// The request has a `Content-Type` that the service does not read: 415.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a body of type {0:?} is not understood: use text/plain, text/occi or application/occi+json")]
pub struct Unsupported(pub String);

/// Which rendering a request is in. The values of all `Content-Type` headers come in order; each may be a list
/// (rOCCI-cli sends `text/plain,text/occi`), of which the first that we read counts. Without one, or with an empty one,
/// OCCI fields among the headers and no body to speak of mean text/occi, a body means text/plain, and neither means
/// `None`.
pub fn content_type<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    has_occi_headers: bool,
    body: &[u8],
) -> Result<Option<MediaType>, Unsupported> {
    let body_is_trivial = matches!(body.trim_ascii(), b"" | b"OK");
    let values: Vec<_> = values.into_iter().map(String::from_utf8_lossy).collect();
    let mut named = values
        .iter()
        .flat_map(|value| split_unquoted(value, ','))
        .map(|part| part.split(';').next().unwrap_or_default().trim())
        .filter(|essence| !essence.is_empty())
        .peekable();
    if named.peek().is_none() {
        if values.iter().any(|value| !value.trim().is_empty()) {
            return Err(Unsupported(values.join(", ")));
        }
        return Ok(if has_occi_headers && body_is_trivial {
            Some(MediaType::TextOcci)
        } else if body.is_empty() {
            None
        } else {
            Some(MediaType::TextPlain)
        });
    }
    match named.find_map(|essence| MediaType::named(essence).filter(|media| *media != MediaType::Html)) {
        // Headers that speak OCCI and a body that says nothing: the label is wrong, not the message.
        Some(MediaType::TextPlain | MediaType::TextOcciPlain) if has_occi_headers && body_is_trivial => {
            Ok(Some(MediaType::TextOcci))
        }
        Some(media) => Ok(Some(media)),
        None => Err(Unsupported(values.join(", "))),
    }
}

/// Whether a header of this name belongs to the text/occi rendering, in any of the spellings in use.
pub fn is_occi_field(name: &str) -> bool {
    Field::named(name).is_some()
}

/// The `Accept` header of an answer: what the service reads (GFD.223, content negotiation).
pub fn accepted(agent: Agent) -> &'static str {
    if agent.prefers_text() {
        "text/plain, text/occi+plain, text/occi, text/uri-list"
    } else {
        "text/plain, text/occi+plain, text/occi, text/uri-list, application/occi+json, application/json"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const EVERYTHING: [MediaType; 7] = MediaType::ALL;

    fn choose(accept: &str, offered: &[MediaType]) -> Option<MediaType> {
        Accept::parse([accept.as_bytes()]).choose(offered)
    }

    #[rstest]
    #[case("", MediaType::TextPlain)]
    #[case("*/*", MediaType::TextPlain)]
    #[case("text/*", MediaType::TextPlain)]
    #[case("application/*", MediaType::OcciJson)]
    #[case("text/plain,text/occi", MediaType::TextPlain)]
    #[case("text/plain,text/occi;q=0.2", MediaType::TextPlain)]
    #[case("text/occi, text/plain", MediaType::TextOcci)]
    #[case("text/plain;q=0.5, application/json", MediaType::Json)]
    #[case("TEXT/OCCI", MediaType::TextOcci)]
    #[case("text/occi+plain", MediaType::TextOcciPlain)]
    #[case("text/plain;q=0, */*", MediaType::TextOcciPlain)]
    #[case("image/png, application/occi+json; profile=\"a,b;q=0\"", MediaType::OcciJson)]
    #[case("text/html, text/plain", MediaType::TextPlain)]
    #[case("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", MediaType::Html)]
    #[case("text/plain;q=nonsense", MediaType::TextPlain)]
    fn http_10_quality_then_order_then_table_decide(#[case] accept: &str, #[case] expected: MediaType) {
        assert_eq!(choose(accept, &EVERYTHING), Some(expected));
    }

    #[test]
    fn http_9_nothing_acceptable_is_said_so() {
        assert_eq!(choose("image/png", &EVERYTHING), None);
        assert_eq!(choose("text/plain;q=0", &EVERYTHING), None);
        assert_eq!(choose("text/uri-list", &[MediaType::TextPlain]), None);
        assert!(Accept::parse([&b"text/uri-list"[..]]).names(MediaType::UriList));
        assert!(!Accept::parse([&b"text/*"[..]]).names(MediaType::UriList));
    }

    #[test]
    fn http_8_no_accept_header_means_text_plain() {
        assert_eq!(Accept::parse([]).choose(&EVERYTHING), Some(MediaType::TextPlain));
    }

    #[rstest]
    #[case(&["text/plain,text/occi"], false, "Category: x", Some(MediaType::TextPlain))]
    #[case(&["text/plain,text/occi"], true, "", Some(MediaType::TextOcci))]
    #[case(&["text/plain; charset=utf-8"], false, "x", Some(MediaType::TextPlain))]
    #[case(&["image/png, application/json"], false, "{}", Some(MediaType::Json))]
    #[case(&[], true, "OK\n", Some(MediaType::TextOcci))]
    #[case(&[], true, "Category: x", Some(MediaType::TextPlain))]
    #[case(&[], false, "x", Some(MediaType::TextPlain))]
    #[case(&[], false, "", None)]
    #[case(&[""], false, "", None)]
    fn http_11_the_content_type_may_be_a_list_or_absent(
        #[case] values: &[&str],
        #[case] has_occi_headers: bool,
        #[case] body: &str,
        #[case] expected: Option<MediaType>,
    ) {
        let values = values.iter().map(|value| value.as_bytes());
        assert_eq!(content_type(values, has_occi_headers, body.as_bytes()), Ok(expected));
    }

    #[test]
    fn http_12_an_unknown_content_type_is_refused() {
        for value in ["application/x-www-form-urlencoded", "text/html", "garbage", ";;;", ","] {
            assert!(content_type([value.as_bytes()], true, b"").is_err(), "{value}");
        }
    }
}
