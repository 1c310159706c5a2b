//! OpenID Connect on a machine without a browser: the device authorization grant (RFC 8628, decision 0015).
//!
//! The user opens an address on any device and types a short code; meanwhile the provider is asked again and again. What
//! comes of it is an access token, which goes as a bearer token to the server, and mostly a refresh token, with which a
//! [`Session`] gets the next one.

use crate::answer::{RawAnswer, printable};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::stream;
use crate::transport::{Connector, Secret, Transport};
use bytes::Bytes;
use http::{Method, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

/// The longest answer.
const MOST: usize = 1 << 20;
/// Between questions for a token, however little a provider asks for.
const LEAST: Duration = Duration::from_secs(1);
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// An identity provider, and who we are to it.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Where a device asks for a code.
    device_endpoint: Option<Url>,
    /// Where it asks for tokens.
    token_endpoint: Url,
    client_id: String,
    client_secret: Option<SecretString>,
    connector: Connector,
}

/// What the user has to do.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// The address to open.
    pub verification_uri: String,
    /// The code to type there.
    pub user_code: String,
    /// The address with the code in it, if the provider has one.
    pub verification_uri_complete: Option<String>,
    /// For how long the code is good.
    pub expires_in: Duration,
    device_code: SecretString,
    interval: Duration,
}

/// What a provider gave. For how long they are good is nothing that anybody has to know: the server says when they are not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tokens {
    /// Proves who one is, for a short time.
    pub access: SecretString,
    /// Gets the next one.
    pub refresh: Option<SecretString>,
}

impl Tokens {
    /// Those that are kept from another time.
    pub fn new(access: SecretString, refresh: Option<SecretString>) -> Self {
        Self { access, refresh }
    }
}

impl Provider {
    /// A provider of which it is known where it gives tokens: enough to go on with a log-in ([`Session`]), not to begin
    /// one.
    ///
    /// # Errors
    /// An address that is no URL, or that is not encrypted.
    pub fn known(
        token_endpoint: &str,
        client_id: impl Into<String>,
        client_secret: Option<SecretString>,
        connector: &Connector,
    ) -> Result<Self> {
        Ok(Self {
            device_endpoint: None,
            token_endpoint: parse(token_endpoint)?,
            client_id: client_id.into(),
            client_secret,
            connector: connector.clone(),
        })
    }

    /// Where it gives tokens.
    pub fn token_endpoint(&self) -> &Url {
        &self.token_endpoint
    }

    /// Reads what a provider says of itself, below `https://.../.well-known/openid-configuration`.
    ///
    /// # Errors
    /// An issuer without such a document, or one that names another issuer.
    pub async fn discover(
        issuer: &str,
        client_id: impl Into<String>,
        client_secret: Option<SecretString>,
        connector: &Connector,
    ) -> Result<Self> {
        let issuer = issuer.trim_end_matches('/');
        let url = parse(&format!("{issuer}/.well-known/openid-configuration"))?;
        let request = request(Method::GET, &url, String::new())?;
        let answer = send(connector, &url, request).await?;
        let document = success(&url, &answer)?;
        let text = |name: &str| document.get(name).and_then(Json::as_str);
        // Otherwise somebody's document could send us to somebody else.
        if text("issuer").map(|named| named.trim_end_matches('/')) != Some(issuer) {
            return Err(Error::protocol(format!("{url} is about another issuer than {issuer}")));
        }
        let Some(token_endpoint) = text("token_endpoint") else {
            return Err(Error::protocol(format!("{url} names no token_endpoint")));
        };
        Ok(Self {
            device_endpoint: text("device_authorization_endpoint").map(parse).transpose()?,
            token_endpoint: parse(token_endpoint)?,
            client_id: client_id.into(),
            client_secret,
            connector: connector.clone(),
        })
    }

    /// Asks for a code.
    ///
    /// # Errors
    /// A provider without this grant.
    pub async fn invite(&self, scope: &str) -> Result<Invitation> {
        let Some(url) = &self.device_endpoint else {
            let message = "the identity provider has no log-in for devices (device_authorization_endpoint)";
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let answer = self.post(url, &[("scope", scope)]).await?;
        let document = success(url, &answer)?;
        let text = |name: &str| document.get(name).and_then(Json::as_str).map(str::to_owned);
        let seconds = |name: &str| document.get(name).and_then(Json::as_u64).map(Duration::from_secs);
        // Some call it by the name of an early draft.
        let uri = text("verification_uri").or_else(|| text("verification_url"));
        let (Some(device_code), Some(user_code), Some(verification_uri)) =
            (text("device_code"), text("user_code"), uri)
        else {
            return Err(Error::protocol(format!("the answer of {url} holds no code")));
        };
        Ok(Invitation {
            verification_uri: printable(&verification_uri),
            user_code: printable(&user_code),
            verification_uri_complete: text("verification_uri_complete").map(|uri| printable(&uri)),
            expires_in: seconds("expires_in").unwrap_or(Duration::from_secs(600)),
            device_code: device_code.into(),
            interval: seconds("interval").map_or(Duration::from_secs(5), |named| named.max(LEAST)),
        })
    }

    /// Waits until the user has done so.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`] if the user refused, [`ErrorKind::Timeout`] if the code is no longer good.
    pub async fn wait(&self, invitation: &Invitation) -> Result<Tokens> {
        let begun = Instant::now();
        let mut interval = invitation.interval;
        loop {
            // After the code has expired there is nothing to ask.
            let left = invitation.expires_in.saturating_sub(begun.elapsed());
            tokio::time::sleep(interval.min(left)).await;
            let form = [
                ("grant_type", GRANT),
                ("device_code", invitation.device_code.expose_secret()),
            ];
            let answer = match self.post(&self.token_endpoint, &form).await {
                Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable) => {
                    // RFC 8628, section 3.5: ask less often.
                    interval = interval.saturating_mul(2);
                    None
                }
                answer => Some(answer?),
            };
            if let Some(answer) = answer {
                match refusal(&answer).as_deref() {
                    None => return tokens(&self.token_endpoint, &answer),
                    Some("authorization_pending") => {}
                    Some("slow_down") => interval = interval.saturating_add(Duration::from_secs(5)),
                    Some("access_denied") => return Err(Error::new(ErrorKind::Forbidden, "the log-in was refused")),
                    Some("expired_token") => break,
                    Some(_) => {
                        return success(&self.token_endpoint, &answer).and(Err(Error::protocol("no token came")));
                    }
                }
            }
            if begun.elapsed() >= invitation.expires_in {
                break;
            }
        }
        Err(Error::new(
            ErrorKind::Timeout,
            "nobody has confirmed the log-in in time",
        ))
    }

    /// Gets the next tokens.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] if the provider does not accept the refresh token any longer.
    pub async fn refresh(&self, refresh: &SecretString) -> Result<Tokens> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose_secret()),
        ];
        let answer = self.post(&self.token_endpoint, &form).await?;
        if refusal(&answer).as_deref() == Some("invalid_grant") {
            return Err(
                Error::new(ErrorKind::Unauthenticated, "the log-in is no longer good").with_hint("log in again")
            );
        }
        let mut tokens = tokens(&self.token_endpoint, &answer)?;
        // The old one stays good if there is no new one.
        tokens.refresh.get_or_insert_with(|| refresh.clone());
        Ok(tokens)
    }

    async fn post(&self, url: &Url, form: &[(&str, &str)]) -> Result<RawAnswer> {
        let secret = self
            .client_secret
            .as_ref()
            .map(|secret| ("client_secret", secret.expose_secret()));
        let body = Serializer::new(String::new())
            .extend_pairs(form)
            .append_pair("client_id", &self.client_id)
            .extend_pairs(secret)
            .finish();
        send(&self.connector, url, request(Method::POST, url, body)?).await
    }
}

/// Keeps the tokens of a session from one run of a program to the next.
pub trait Keeper: Send + Sync + Debug {
    /// What is kept now; another process may have renewed it.
    fn kept(&self) -> Option<Tokens>;

    /// Waits until no other process renews them, which takes as long as a provider takes. None shall begin as long as what
    /// is returned is there; it goes when the new ones are kept.
    ///
    /// # Errors
    /// Another process does not come to an end with it.
    fn lock(&self) -> std::io::Result<Box<dyn Send>> {
        Ok(Box::new(()))
    }

    /// Keeps what the provider has given: from now on it may refuse what it gave before.
    fn keep(&self, tokens: &Tokens);
}

/// A log-in that renews itself.
#[derive(Clone, Debug)]
pub struct Session {
    provider: Arc<Provider>,
    tokens: Arc<Mutex<Tokens>>,
    /// One renewal at a time, also if nobody waits for it any longer.
    turn: Arc<tokio::sync::Mutex<()>>,
    keeper: Option<Arc<dyn Keeper>>,
}

impl Session {
    /// Goes on with tokens that are there.
    pub fn new(provider: Provider, tokens: Tokens) -> Self {
        Self {
            provider: Arc::new(provider),
            tokens: Arc::new(Mutex::new(tokens)),
            turn: Arc::default(),
            keeper: None,
        }
    }

    /// Hands every new token to somebody who keeps it.
    pub fn kept_by(mut self, keeper: Arc<dyn Keeper>) -> Self {
        self.keeper = Some(keeper);
        self
    }

    /// The newest tokens, to be kept until the next time.
    pub fn tokens(&self) -> Tokens {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gets the next access token.
    ///
    /// Refresh tokens are good once with many providers: what has begun goes on to where the new one is kept, also if the
    /// caller does not wait for it, as long as the runtime is there.
    pub(crate) async fn renew(&self) -> Result<SecretString> {
        let (session, before) = (self.clone(), self.tokens());
        let renewal = tokio::spawn(async move { session.renew_after(before).await });
        let ended = renewal.await;
        ended.map_err(|error| Error::new(ErrorKind::Unavailable, format!("the log-in was not renewed: {error}")))?
    }

    async fn renew_after(&self, before: Tokens) -> Result<SecretString> {
        let _turn = self.turn.lock().await;
        let now = self.tokens();
        if now.access.expose_secret() != before.access.expose_secret() {
            return Ok(now.access);
        }
        let keeper = self.keeper.clone();
        let lock = tokio::task::spawn_blocking(move || keeper.map(|keeper| keeper.lock()).transpose());
        let lock = lock.await.map_err(std::io::Error::other).flatten();
        let _lock = lock.map_err(|error| {
            let message = format!("the log-in cannot be renewed: {error}");
            Error::new(ErrorKind::Timeout, message)
        })?;
        // Another process was faster.
        if let Some(kept) = self.keeper.as_ref().and_then(|keeper| keeper.kept())
            && kept.access.expose_secret() != before.access.expose_secret()
        {
            return Ok(self.set(kept));
        }
        let Some(refresh) = before.refresh else {
            let message = "the log-in is over, and there is nothing to renew it with";
            return Err(Error::new(ErrorKind::Unauthenticated, message).with_hint("log in again"));
        };
        let tokens = self.provider.refresh(&refresh).await?;
        if let Some(keeper) = &self.keeper {
            keeper.keep(&tokens);
        }
        Ok(self.set(tokens))
    }

    fn set(&self, tokens: Tokens) -> SecretString {
        let access = tokens.access.clone();
        *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) = tokens;
        access
    }
}

fn parse(url: &str) -> Result<Url> {
    let parsed = Url::parse(url).map_err(|error| Error::invalid(format!("{url} is no URL: {error}")))?;
    let is_loopback = || {
        parsed
            .as_str()
            .parse::<Endpoint>()
            .is_ok_and(|endpoint| endpoint.is_loopback())
    };
    if parsed.scheme() != "https" && !is_loopback() {
        return Err(Error::invalid(format!(
            "{parsed} is not encrypted, and tokens would be seen on the way"
        )));
    }
    Ok(parsed)
}

fn request(method: Method, url: &Url, body: String) -> Result<http::Request<Bytes>> {
    let mut builder = http::Request::builder()
        .method(&method)
        .uri(url.as_str())
        .header(header::ACCEPT, "application/json")
        .extension(Secret);
    if method == Method::POST {
        builder = builder.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    builder
        .body(body.into())
        .map_err(|error| Error::invalid(error.to_string()))
}

async fn send(connector: &Connector, url: &Url, request: http::Request<Bytes>) -> Result<RawAnswer> {
    let origin: Endpoint = url.origin().ascii_serialization().parse()?;
    let transport: Arc<dyn Transport> = connector.open(&origin)?;
    let incoming = transport.send(request).await?;
    let body = stream::whole(incoming.body, MOST, connector.limits.whole).await?;
    Ok(RawAnswer::new(incoming.head.status, incoming.head.headers, body))
}

/// The code of a refusal (RFC 6749, section 5.2).
fn refusal(answer: &RawAnswer) -> Option<String> {
    if answer.status.is_success() {
        return None;
    }
    let document: Option<Json> = serde_json::from_slice(&answer.body).ok();
    let code = document
        .as_ref()
        .and_then(|document| document.get("error")?.as_str())
        .unwrap_or_default();
    Some(code.to_owned())
}

fn success(url: &Url, answer: &RawAnswer) -> Result<Json> {
    let document: Option<Json> = serde_json::from_slice(&answer.body).ok();
    if let Some(code) = refusal(answer) {
        let said = document
            .as_ref()
            .and_then(|document| document.get("error_description")?.as_str());
        let said = match said {
            Some(said) => printable(said),
            None if code.is_empty() => answer.status.to_string(),
            None => printable(&code),
        };
        let kind = match ErrorKind::of_status(answer.status.as_u16()) {
            ErrorKind::Invalid => ErrorKind::Unauthenticated,
            kind => kind,
        };
        return Err(Error::new(kind, format!("{url} refused: {said}")).with_status(answer.status.as_u16()));
    }
    document.ok_or_else(|| Error::protocol(format!("the answer of {url} is no JSON")))
}

fn tokens(url: &Url, answer: &RawAnswer) -> Result<Tokens> {
    let document = success(url, answer)?;
    let text = |name: &str| document.get(name).and_then(Json::as_str).map(SecretString::from);
    let Some(access) = text("access_token") else {
        return Err(Error::protocol(format!("the answer of {url} holds no token")));
    };
    Ok(Tokens {
        access,
        refresh: text("refresh_token"),
    })
}
