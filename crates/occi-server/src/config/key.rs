//! One key of the configuration, and the macro that declares a section: structure, defaults, documentation and
//! environment names come from one place, so that none can be forgotten.

use serde::Serialize;

/// A key as the sample file, the environment and the error messages know it.
#[derive(Clone, Debug)]
pub struct Key {
    /// The section, `http`.
    pub section: &'static str,
    /// The key within it, `body_limit`.
    pub name: &'static str,
    /// What it means, line by line.
    pub doc: &'static [&'static str],
    /// Its default; none if it is unset by default.
    pub default: Option<toml::Value>,
    /// A value of its type: the default, or an example.
    pub example: toml::Value,
}

impl Key {
    /// The environment variable that sets it: `OCCID_HTTP_BODY_LIMIT`. The keys of `server` go without the section.
    pub fn variable(&self) -> String {
        let name = if self.section == "server" {
            format!("occid_{}", self.name)
        } else {
            format!("occid_{}_{}", self.section, self.name)
        };
        name.to_ascii_uppercase()
    }

    /// A text (of a flag or an environment variable) as a value of this key's type.
    pub fn read(&self, text: &str) -> Result<toml::Value, String> {
        match &self.example {
            toml::Value::Integer(_) => text
                .trim()
                .parse()
                .map(toml::Value::Integer)
                .map_err(|_| "must be a whole number".to_owned()),
            toml::Value::Boolean(_) => match text.trim() {
                "true" | "yes" | "on" | "1" => Ok(true.into()),
                "false" | "no" | "off" | "0" => Ok(false.into()),
                _ => Err("must be true or false".to_owned()),
            },
            toml::Value::Array(_) => Ok(toml::Value::Array(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(Into::into)
                    .collect(),
            )),
            _ => Ok(text.into()),
        }
    }
}

/// The value as TOML; `None` for what is unset.
pub(super) fn encode<T: Serialize>(value: &T) -> Option<toml::Value> {
    toml::Value::try_from(value).ok()
}

/// Declares a section of the configuration. Each key: documentation, type, default, and an example if it is unset by
/// default.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $name:ident = $section:literal
        $( $(#[doc = $doc:literal])* $field:ident : $type:ty = $default:expr $(, like $example:expr)? ; )*
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        #[serde(default)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $name {
            /// The section's name in the file.
            pub const SECTION: &str = $section;
            /// What it is about, line by line.
            pub const ABOUT: &[&str] = &[$($about),*];

            /// Its keys, in order.
            pub fn keys() -> Vec<$crate::config::Key> {
                let default = Self::default();
                vec![$({
                    let default = $crate::config::key::encode(&default.$field);
                    let examples = [$($crate::config::key::encode(&$example),)? default.clone()];
                    $crate::config::Key {
                        section: $section,
                        name: stringify!($field),
                        doc: &[$($doc),*],
                        example: examples.into_iter().flatten().next().unwrap_or_else(|| "".into()),
                        default,
                    }
                }),*]
            }
        }
    };
}
pub(super) use section;
