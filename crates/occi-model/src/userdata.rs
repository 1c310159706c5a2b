//! What kind of user data a client gave: the provider must find out (GFD.224, user data mixin).

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// What user data is, as the software in a machine would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `#!`: to be run.
    Script,
    /// `#cloud-config`: what to set up.
    CloudConfig,
    /// `#cloud-config-archive`: several parts in one document.
    CloudConfigArchive,
    /// `#include`, `#include-once`: where to fetch more.
    Include,
    /// `#cloud-boothook`: to be run early.
    Boothook,
    /// `#part-handler`: how to treat parts.
    PartHandler,
    /// `## template: jinja`: to be filled in first.
    Jinja,
    /// A MIME message, usually of several parts.
    Mime,
    /// Text of some other kind.
    Text,
    /// Bytes that are no text (a compressed archive).
    Binary,
}

impl Format {
    /// The media type under which it goes into a MIME message for the machine.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Script => "text/x-shellscript",
            Self::CloudConfig => "text/cloud-config",
            Self::CloudConfigArchive => "text/cloud-config-archive",
            Self::Include => "text/x-include-url",
            Self::Boothook => "text/cloud-boothook",
            Self::PartHandler => "text/part-handler",
            Self::Jinja => "text/jinja2",
            Self::Mime => "multipart/mixed",
            Self::Text => "text/plain",
            Self::Binary => "application/octet-stream",
        }
    }

    /// Recognises the beginning of a document; nothing for what has no mark of its own.
    fn marked(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..64).unwrap_or(bytes);
        let first_line = head.split(|b| matches!(b, b'\n' | b'\r')).next()?.trim_ascii_end();
        let begins = |prefix: &str| {
            head.get(..prefix.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        Some(match first_line {
            _ if head.starts_with(b"#!") => Self::Script,
            b"#cloud-config" => Self::CloudConfig,
            b"#cloud-config-archive" => Self::CloudConfigArchive,
            b"#include" | b"#include-once" => Self::Include,
            b"#cloud-boothook" => Self::Boothook,
            b"#part-handler" => Self::PartHandler,
            _ if begins("## template: jinja") => Self::Jinja,
            _ if begins("MIME-Version:") || begins("Content-Type: multipart/") => Self::Mime,
            _ => return None,
        })
    }
}

/// User data as it goes into a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserData {
    /// What it is.
    pub format: Format,
    /// The document itself, decoded.
    pub content: Vec<u8>,
}

/// Base64 as clients write it: padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads the value of `occi.compute.userdata`, plain or in base64 (line breaks are ignored).
///
/// What carries a mark is taken as it is. Anything else that decodes is taken as base64, which is what the clients of
/// this attribute send.
pub fn read(text: &str) -> UserData {
    if let Some(format) = Format::marked(text.as_bytes()) {
        return UserData {
            format,
            content: text.as_bytes().to_vec(),
        };
    }
    let packed: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    match BASE64.decode(packed) {
        Ok(content) if !content.is_empty() => {
            let plain = if std::str::from_utf8(&content).is_ok_and(|text| !text.contains('\0')) {
                Format::Text
            } else {
                Format::Binary
            };
            UserData {
                format: Format::marked(&content).unwrap_or(plain),
                content,
            }
        }
        _ => UserData {
            format: Format::Text,
            content: text.as_bytes().to_vec(),
        },
    }
}
