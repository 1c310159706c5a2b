//! Names: type identifiers, attribute names, entity ids and locations. Parsed once, trusted afterwards.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a name was refused. The text reads after "failed to parse".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?}: {reason}")]
pub struct IdentError {
    /// What was being read, in the standard's words ("term", "scheme", "attribute name", ...).
    pub what: &'static str,
    /// The offending text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

fn refuse<T>(what: &'static str, text: &str, reason: &'static str) -> Result<T, IdentError> {
    Err(IdentError {
        what,
        text: text.chars().take(200).collect(),
        reason,
    })
}

/// The name grammar of OCCI 1.2 (GFD.229, `term` and `attribute-name`), which includes that of 1.1.
fn check_name(what: &'static str, text: &str) -> Result<(), IdentError> {
    let mut bytes = text.bytes();
    match bytes.next() {
        Some(first) if first.is_ascii_alphanumeric() => {}
        Some(_) => return refuse(what, text, "must start with a letter or a digit"),
        None => return refuse(what, text, "is empty"),
    }
    if bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        Ok(())
    } else {
        refuse(what, text, "may hold letters, digits, '-', '_' and '.' only")
    }
}

macro_rules! text_name {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

/// The term of a category, unique within its scheme (GFD.221, section 4.3.1; grammar of GFD.229).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term(Arc<str>);
text_name!(Term);

impl FromStr for Term {
    type Err = IdentError;
    fn from_str(text: &str) -> Result<Self, IdentError> {
        check_name("term", text)?;
        Ok(Self(text.into()))
    }
}

/// The name of an attribute, `occi.compute.cores` (grammar of GFD.229).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeName(Arc<str>);
text_name!(AttributeName);

impl FromStr for AttributeName {
    type Err = IdentError;
    fn from_str(text: &str) -> Result<Self, IdentError> {
        check_name("attribute name", text)?;
        Ok(Self(text.into()))
    }
}

/// The id of an entity: `occi.core.id`, and the last segment of its location.
///
/// A letter or a digit, then letters, digits, `-` and `_`; 128 bytes at most. A UUID for what is made through us, the
/// native id for what a cloud had already.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId(Arc<str>);
text_name!(EntityId);

impl EntityId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The id that `text` says, also as `urn:uuid:<id>`, whose first two parts know no case (RFC 8141).
    pub fn bare(text: &str) -> &str {
        const URN: &str = "urn:uuid:";
        match text.split_at_checked(URN.len()) {
            Some((urn, id)) if urn.eq_ignore_ascii_case(URN) => id,
            _ => text,
        }
    }
}

impl From<uuid::Uuid> for EntityId {
    fn from(uuid: uuid::Uuid) -> Self {
        Self(uuid.hyphenated().to_string().into())
    }
}

impl FromStr for EntityId {
    type Err = IdentError;
    /// `urn:uuid:<id>` is accepted and means `<id>`.
    fn from_str(text: &str) -> Result<Self, IdentError> {
        let bare = Self::bare(text);
        if bare.len() > Self::MAX_LEN {
            return refuse("entity id", text, "is longer than 128 bytes");
        }
        match bare.bytes().next() {
            Some(first) if first.is_ascii_alphanumeric() => {}
            Some(_) => return refuse("entity id", text, "must start with a letter or a digit"),
            None => return refuse("entity id", text, "is empty"),
        }
        if bare
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        {
            Ok(Self(bare.into()))
        } else {
            refuse("entity id", text, "may hold letters, digits, '-' and '_' only")
        }
    }
}

/// The path at which a kind or a mixin has its collection: starts and ends with `/`, no query (GFD.223, section 5.1).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location(Arc<str>);
text_name!(Location);

impl Location {
    /// The place of a template below its parent: `/mixin/<parent>/<term>/`, in lower case.
    pub(crate) fn of_template(parent: &TypeId, template: &TypeId) -> Self {
        // The grammar of terms is within that of locations, and no term is "." or "..": the first is a letter or digit.
        Self(
            format!("/mixin/{}/{}/", parent.term(), template.term())
                .to_ascii_lowercase()
                .into(),
        )
    }
}

impl FromStr for Location {
    type Err = IdentError;
    fn from_str(text: &str) -> Result<Self, IdentError> {
        if !text.starts_with('/') {
            return refuse("location", text, "must be an absolute path");
        }
        if !text.ends_with('/') {
            return refuse("location", text, "must end with '/'");
        }
        if text.contains("//") {
            return refuse("location", text, "must not hold empty segments");
        }
        if text.split('/').any(|segment| matches!(segment, "." | "..")) {
            return refuse("location", text, "must not hold '.' or '..' segments");
        }
        if text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~'))
        {
            Ok(Self(text.into()))
        } else {
            refuse(
                "location",
                text,
                "may hold letters, digits, '-', '_', '.', '~' and '/' only",
            )
        }
    }
}

/// A type identifier: scheme and term in one string, compared byte for byte (GFD.221, section 4.3.1).
///
/// The scheme ends with `#`, as every published scheme does.
#[derive(Clone)]
pub struct TypeId {
    text: Arc<str>,
    scheme_len: usize,
}

impl TypeId {
    /// Puts a scheme and a term together. A scheme without `#` at its end gets one; a scheme that holds something
    /// after its `#` (the term again, as some clients write) is cut there.
    pub fn new(scheme: &str, term: &str) -> Result<Self, IdentError> {
        let base = scheme.split('#').next().unwrap_or_default();
        check_scheme(scheme, base)?;
        check_name("term", term)?;
        Ok(Self {
            scheme_len: base.len() + 1,
            text: format!("{base}#{term}").into(),
        })
    }

    /// The scheme, `#` included.
    pub fn scheme(&self) -> &str {
        &self.text[..self.scheme_len]
    }

    /// The term.
    pub fn term(&self) -> &str {
        &self.text[self.scheme_len..]
    }

    /// Scheme and term in one string.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn check_scheme(scheme: &str, base: &str) -> Result<(), IdentError> {
    let Some((name, rest)) = base.split_once(':') else {
        return refuse("scheme", scheme, "must be an absolute URI");
    };
    let name_is_uri_scheme = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !name_is_uri_scheme || rest.is_empty() {
        return refuse("scheme", scheme, "must be an absolute URI");
    }
    if base
        .bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'))
    {
        Ok(())
    } else {
        refuse("scheme", scheme, "holds a character that a URI may not hold")
    }
}

impl FromStr for TypeId {
    type Err = IdentError;
    /// Reads `scheme#term`.
    fn from_str(text: &str) -> Result<Self, IdentError> {
        match text.split_once('#') {
            Some((scheme, term)) => Self::new(scheme, term),
            None => refuse("type identifier", text, "must be scheme and term joined by '#'"),
        }
    }
}

impl PartialEq for TypeId {
    fn eq(&self, other: &Self) -> bool {
        // Equal ones mostly are copies of one.
        Arc::ptr_eq(&self.text, &other.text) || self.text == other.text
    }
}
impl Eq for TypeId {}
impl std::hash::Hash for TypeId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl PartialOrd for TypeId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for TypeId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match Arc::ptr_eq(&self.text, &other.text) {
            true => std::cmp::Ordering::Equal,
            false => self.text.cmp(&other.text),
        }
    }
}
impl std::borrow::Borrow<str> for TypeId {
    fn borrow(&self) -> &str {
        &self.text
    }
}
impl AsRef<str> for TypeId {
    fn as_ref(&self) -> &str {
        &self.text
    }
}
impl PartialEq<str> for TypeId {
    fn eq(&self, other: &str) -> bool {
        &*self.text == other
    }
}
impl PartialEq<&str> for TypeId {
    fn eq(&self, other: &&str) -> bool {
        &*self.text == *other
    }
}
impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Debug for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.text)
    }
}
