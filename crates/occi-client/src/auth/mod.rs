//! Who asks.
//!
//! Secrets are [`SecretString`]s and headers that are marked as sensitive: neither prints itself.

use crate::error::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{self, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

/// The header of Keystone's tokens.
pub const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// How somebody proves who he is.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// Not at all; a client certificate may do it on the connection.
    #[default]
    None,
    /// A name and a password (RFC 7617).
    Basic {
        /// The name; it holds no colon.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// A token in `Authorization` (RFC 6750).
    Bearer(SecretString),
    /// A token in `X-Auth-Token`, as Keystone gives them.
    Token(SecretString),
}

impl Credentials {
    /// The header that goes with every request.
    pub(crate) fn header(&self) -> Result<Option<(HeaderName, HeaderValue)>> {
        let (name, mut value) = match self {
            Self::None => return Ok(None),
            Self::Basic { user, password } => {
                if user.contains(':') {
                    return Err(Error::invalid("a user name must not hold a colon"));
                }
                let pair = BASE64.encode(format!("{user}:{}", password.expose_secret()));
                (header::AUTHORIZATION, HeaderValue::try_from(format!("Basic {pair}")))
            }
            Self::Bearer(token) => {
                let token = token.expose_secret().trim();
                (header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")))
            }
            Self::Token(token) => (X_AUTH_TOKEN, HeaderValue::try_from(token.expose_secret().trim())),
        }
        .try_map()?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }
}

trait TryMap {
    fn try_map(self) -> Result<(HeaderName, HeaderValue)>;
}

impl TryMap for (HeaderName, Result<HeaderValue, http::header::InvalidHeaderValue>) {
    fn try_map(self) -> Result<(HeaderName, HeaderValue)> {
        let value = self
            .1
            .map_err(|_| Error::invalid("the token holds characters that no header can carry"))?;
        Ok((self.0, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_become_one_header_and_never_print() {
        let secret = || SecretString::from("s3cret");
        let basic = Credentials::Basic {
            user: "ann".to_owned(),
            password: secret(),
        };
        for (credentials, name, value) in [
            (&basic, "authorization", "Basic YW5uOnMzY3JldA=="),
            (&Credentials::Bearer(secret()), "authorization", "Bearer s3cret"),
            (&Credentials::Token(secret()), "x-auth-token", "s3cret"),
        ] {
            let (found, header) = credentials.header().unwrap().unwrap();
            assert_eq!((found.as_str(), header.to_str().unwrap()), (name, value));
            let printed = format!("{credentials:?} {header:?}");
            assert!(!printed.contains("s3cret") && !printed.contains("YW5"), "{printed}");
        }
        assert!(Credentials::None.header().unwrap().is_none());
        let broken = Credentials::Bearer("two\nlines".into()).header().unwrap_err();
        assert!(!format!("{broken:?}").contains("lines"));
    }
}
