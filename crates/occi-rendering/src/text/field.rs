//! The four fields that carry everything.

/// A field of the text renderings (GFD.229).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Category,
    Link,
    Attribute,
    Location,
}

impl Field {
    /// The name to write.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Category => "Category",
            Self::Link => "Link",
            Self::Attribute => "X-OCCI-Attribute",
            Self::Location => "X-OCCI-Location",
        }
    }

    /// Reads a name in any of the spellings in use: any case, `X-OCCI-` in front, `_` for `-`, and the `HTTP_` that CGI
    /// leaves behind.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let same = |a: u8, b: u8| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-');
        let strip = |name: &mut &[u8], prefix: &[u8]| {
            let found = name.len() >= prefix.len() && std::iter::zip(*name, prefix).all(|(a, b)| same(*a, *b));
            if found {
                *name = &name[prefix.len()..];
            }
            found
        };
        let mut rest = name.as_bytes();
        strip(&mut rest, b"http-");
        let prefixed = strip(&mut rest, b"x-occi-");
        match (prefixed, rest) {
            (_, word) if word.eq_ignore_ascii_case(b"category") => Some(Self::Category),
            (_, word) if word.eq_ignore_ascii_case(b"link") => Some(Self::Link),
            (true, word) if word.eq_ignore_ascii_case(b"attribute") => Some(Self::Attribute),
            (true, word) if word.eq_ignore_ascii_case(b"location") => Some(Self::Location),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_20_field_names_are_known_in_every_spelling() {
        for (name, field) in [
            ("Category", Some(Field::Category)),
            ("cAtEgOrY", Some(Field::Category)),
            ("X-OCCI-Category", Some(Field::Category)),
            ("HTTP_CATEGORY", Some(Field::Category)),
            ("x-occi-link", Some(Field::Link)),
            ("X_OCCI_ATTRIBUTE", Some(Field::Attribute)),
            ("HTTP_X_OCCI_LOCATION", Some(Field::Location)),
            ("Attribute", None),
            ("Location", None),
            ("Nocategory", None),
            ("X-OCCI-", None),
            ("", None),
        ] {
            assert_eq!(Field::named(name), field, "{name}");
        }
    }
}
