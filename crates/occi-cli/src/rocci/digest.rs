//! `-n digest` (RFC 7616): a transport that answers the challenge of the one within. The password itself goes nowhere.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use http_auth::{PasswordClient, PasswordParams};
use occi_client::transport::{Incoming, Transport, Wrapper};
use occi_client::{Error, Request};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Goes around transports with a name and a password.
pub(super) fn wrapper(user: String, password: SecretString) -> Wrapper {
    Arc::new(move |inner| {
        Arc::new(Digest {
            inner,
            user: user.clone(),
            password: password.clone(),
            challenge: Mutex::new(None),
        })
    })
}

struct Digest {
    inner: Arc<dyn Transport>,
    user: String,
    password: SecretString,
    /// The newest of the server, which counts how often it was answered.
    challenge: Mutex<Option<PasswordClient>>,
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl Transport for Digest {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Incoming, Error>> {
        async move {
            let incoming = self.inner.send(self.answered(request.clone())).await?;
            if incoming.head.status != StatusCode::UNAUTHORIZED || !self.learn(&incoming.head.headers) {
                return Ok(incoming);
            }
            // A wrong password is told by the second refusal.
            self.inner.send(self.answered(request)).await
        }
        .boxed()
    }
}

impl Digest {
    fn learn(&self, headers: &HeaderMap) -> bool {
        let challenge = PasswordClient::try_from(headers.get_all(WWW_AUTHENTICATE)).ok();
        let mut known = self.challenge.lock().unwrap_or_else(PoisonError::into_inner);
        *known = challenge;
        known.is_some()
    }

    fn answered(&self, mut request: http::Request<Bytes>) -> http::Request<Bytes> {
        let mut challenge = self.challenge.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(challenge) = challenge.as_mut() else {
            return request;
        };
        let answer = challenge.respond(&PasswordParams {
            username: &self.user,
            password: self.password.expose_secret(),
            uri: request.uri().path_and_query().map_or("/", |path| path.as_str()),
            method: request.method().as_str(),
            body: Some(request.body()),
        });
        if let Some(mut value) = answer.ok().and_then(|answer| HeaderValue::try_from(answer).ok()) {
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        request
    }
}
