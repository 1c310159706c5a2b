//! Who asks.

pub mod keystone;
pub mod oidc;
pub mod x509;

use crate::answer::RawAnswer;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::Connector;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{self, HeaderName, HeaderValue};
use keystone::{Chosen, Identity, Keystone};
use occi_rendering::response;
use secrecy::{ExposeSecret, SecretString};
use std::sync::{PoisonError, RwLock};

/// The header of Keystone's tokens.
pub(crate) const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// How somebody proves who he is.
///
/// Mostly it is one header that goes with every request. A token is renewed when the server does not accept it any more:
/// once per request, then the 401 is the answer. A server that sends us to Keystone is given a token from there, with the
/// same credentials ([`keystone`]).
///
/// Such a Keystone is often another host, and it is the server that names it, so credentials go there only over HTTPS.
/// Without encryption they go to the host of a server that is not encrypted either, or to wherever a server on this
/// machine says. Who names Keystone himself ([`keystone::Options::url`]) has it as he says, and no other is asked.
///
/// Secrets are [`SecretString`]s and headers that are marked as sensitive: neither prints itself.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// Not at all; or by the client certificate of the connection ([`Tls`](crate::Tls)).
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
    /// A token in `Authorization` that renews itself.
    Session(oidc::Session),
    /// What is shown to Keystone only, and never to the server itself.
    Keystone(Identity),
}

impl Credentials {
    /// The header that goes with every request from the beginning.
    fn header(&self) -> Result<Option<Header>> {
        Ok(Some(match self {
            Self::None | Self::Keystone(_) => return Ok(None),
            Self::Basic { user, password } => {
                if user.contains(':') {
                    return Err(Error::invalid("a user name must not hold a colon"));
                }
                let pair = BASE64.encode(format!("{user}:{}", password.expose_secret()));
                (header::AUTHORIZATION, secret_header(&format!("Basic {pair}").into())?)
            }
            Self::Bearer(token) => (header::AUTHORIZATION, bearer(token)?),
            Self::Session(session) => (header::AUTHORIZATION, bearer(&session.tokens().access)?),
            Self::Token(token) => (X_AUTH_TOKEN, secret_header(token)?),
        }))
    }

    /// The same for a Keystone.
    fn identity(&self, has_certificate: bool) -> Option<Identity> {
        Some(match self {
            Self::Keystone(identity) => identity.clone(),
            Self::Basic { user, password } => Identity::Password {
                user: user.clone(),
                password: password.clone(),
            },
            Self::Bearer(token) => Identity::Federation(token.clone()),
            Self::Session(session) => Identity::Federation(session.tokens().access),
            Self::None if has_certificate => Identity::Certificate,
            // One that is refused does not get better.
            Self::Token(_) | Self::None => return None,
        })
    }
}

type Header = (HeaderName, HeaderValue);

fn bearer(token: &SecretString) -> Result<HeaderValue> {
    secret_header(&format!("Bearer {}", token.expose_secret().trim()).into())
}

/// A value that does not print.
pub(crate) fn secret_header(secret: &SecretString) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(secret.expose_secret().trim())
        .map_err(|_| Error::invalid("the token holds characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The credentials of a client at work.
#[derive(Debug)]
pub(crate) struct Auth {
    credentials: Credentials,
    keystone: keystone::Options,
    connector: Connector,
    current: RwLock<Current>,
    /// One renewal at a time; others wait for it.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Current {
    header: Option<Header>,
    project: Option<Chosen>,
}

impl Current {
    fn of(token: keystone::Token) -> Result<Self> {
        Ok(Self {
            header: Some((X_AUTH_TOKEN, secret_header(&token.secret)?)),
            project: token.project,
        })
    }
}

impl Auth {
    pub(crate) fn new(
        credentials: Credentials,
        keystone: keystone::Options,
        token: Option<keystone::Token>,
        connector: Connector,
    ) -> Result<Self> {
        let current = match token {
            Some(token) => Current::of(token)?,
            None => Current {
                header: credentials.header()?,
                project: None,
            },
        };
        Ok(Self {
            credentials,
            keystone,
            connector,
            current: RwLock::new(current),
            renewing: tokio::sync::Mutex::new(()),
        })
    }

    /// The header to send.
    pub(crate) fn header(&self) -> Option<Header> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .header
            .clone()
    }

    /// The project of the token, where Keystone gave it.
    pub(crate) fn project(&self) -> Option<Chosen> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .project
            .clone()
    }

    /// Whether a token has to be asked for before the first request: who knows where Keystone is need not be told.
    pub(crate) async fn prepare(&self) -> Result<()> {
        let Some(url) = &self.keystone.url else { return Ok(()) };
        let is_for_keystone = matches!(self.credentials, Credentials::Keystone(_));
        if !is_for_keystone || self.header().is_some() {
            return Ok(());
        }
        let _turn = self.renewing.lock().await;
        if self.header().is_none() {
            self.ask_keystone(&url.parse()?).await?;
        }
        Ok(())
    }

    /// What can be done about a 401 of a request that carried `sent`; false if nothing can.
    pub(crate) async fn renew(&self, answer: &RawAnswer, sent: Option<&Header>, endpoint: &Endpoint) -> Result<bool> {
        let _turn = self.renewing.lock().await;
        // Somebody else was faster.
        if self.header().as_ref() != sent {
            return Ok(true);
        }
        if let Some(named) = answer.read(endpoint, response::keystone) {
            let keystone = match &self.keystone.url {
                Some(url) => url.parse()?,
                None => named_by_server(&named, endpoint)?,
            };
            if let Credentials::Session(session) = &self.credentials
                && sent.is_some_and(|(name, _)| *name == X_AUTH_TOKEN)
            {
                session.renew().await?;
            }
            return self.ask_keystone(&keystone).await;
        }
        if let Credentials::Session(session) = &self.credentials {
            let known = bearer(&session.tokens().access)?;
            // Renewed for somebody who has not waited for it.
            let value = match sent.is_some_and(|(name, value)| *name == header::AUTHORIZATION && *value != known) {
                true => known,
                false => bearer(&session.renew().await?)?,
            };
            self.set(Current {
                header: Some((header::AUTHORIZATION, value)),
                project: None,
            });
            return Ok(true);
        }
        Ok(false)
    }

    /// A refusal of the server in words that say whose password it was, where it was shown one.
    pub(crate) fn named(&self, refusal: Error, endpoint: &Endpoint) -> Error {
        let is_shown = self.header().is_some_and(|(name, _)| name == header::AUTHORIZATION);
        match &self.credentials {
            Credentials::Basic { user, .. } if is_shown => not_accepted(user, refusal, endpoint),
            _ => refusal,
        }
    }

    async fn ask_keystone(&self, endpoint: &Endpoint) -> Result<bool> {
        let Some(identity) = self.credentials.identity(self.connector.has_certificate()) else {
            return Ok(false);
        };
        let keystone = Keystone {
            transport: self.connector.open(endpoint)?,
            endpoint: endpoint.clone(),
            options: &self.keystone,
            limit: self.connector.limits.whole,
        };
        let token = keystone.token(&identity).await.map_err(|refusal| match &identity {
            Identity::Password { user, .. } => not_accepted(user, refusal, endpoint),
            _ => refusal,
        })?;
        self.set(Current::of(token)?);
        Ok(true)
    }

    fn set(&self, current: Current) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
    }
}

/// A 401 to a password: the words of servers seldom say that it is wrong.
fn not_accepted(user: &str, refusal: Error, endpoint: &Endpoint) -> Error {
    if refusal.status() != Some(401) {
        return refusal;
    }
    let message = format!("{endpoint} does not accept the user {user:?} with this password");
    Error::new(ErrorKind::Unauthenticated, message)
        .with_status(401)
        .with_request_id(refusal.request_id().map(str::to_owned))
        .with_hint(format!("it says: {refusal}"))
}

/// The Keystone that a server names, if credentials may go there.
fn named_by_server(url: &str, server: &Endpoint) -> Result<Endpoint> {
    let keystone: Endpoint = url
        .parse()
        .map_err(|error: Error| Error::protocol(format!("the server names a Keystone that has no address: {error}")))?;
    if is_no_worse(&keystone, server) {
        return Ok(keystone);
    }
    Err(Error::protocol(format!(
        "the server sends us to a Keystone at {keystone}, where credentials would be seen on the way"
    ))
    .with_hint("name the address of Keystone yourself"))
}

/// Whether credentials are seen by no more people where somebody points to than where that was said.
fn is_no_worse(named: &Endpoint, by: &Endpoint) -> bool {
    let is_seen_anyhow = !by.is_https() && (by.is_loopback() || by.host() == named.host());
    named.socket().is_none() && (named.is_https() || is_seen_anyhow)
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
            let printed = format!("{credentials:?} {header:?} {:?}", credentials.identity(false));
            assert!(!printed.contains("s3cret") && !printed.contains("YW5"), "{printed}");
        }
        assert!(Credentials::None.header().unwrap().is_none());
        let broken = Credentials::Bearer("two\nlines".into()).header().unwrap_err();
        assert!(!format!("{broken:?}").contains("lines"));
    }
}
