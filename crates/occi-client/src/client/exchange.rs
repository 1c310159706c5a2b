//! Sends a request, and again if need be, until there is an answer for the caller: with a lower version, with a new token,
//! to where the server points within itself, after a failure.

use super::Client;
use crate::answer::{RawAnswer, printable};
use crate::dialect::{Dialect, Version};
use crate::endpoint::shown;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::request::{Request, Requests};
use crate::retry::{Tries, is_turned_away};
use crate::stream;
use crate::transport::Incoming;
use futures::StreamExt;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

/// The project that a request is about, for `occid`.
const X_OCCI_PROJECT: HeaderName = HeaderName::from_static("x-occi-project");
/// So many redirections are followed, within one server.
const MAX_REDIRECTIONS: usize = 5;

/// In the extensions of a request whose redirections are not followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct AsItIs;

/// In the extensions of a request that deletes one entity: if there is none any more after it was sent, it has done so. Of
/// several, or of what is taken out of a collection, that would say nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deletion;

impl Client {
    pub(super) fn requests<'a>(&'a self, dialect: &'a Dialect, model: &'a Model) -> Requests<'a> {
        Requests {
            endpoint: &self.0.endpoint,
            dialect,
            model,
        }
    }

    /// A successful answer as a whole.
    pub(super) async fn whole(&self, request: Request) -> Result<RawAnswer> {
        let answer = self.exchange_whole(request).await?;
        self.judged(answer)
    }

    /// The answer if it is a success; else its error.
    pub(crate) fn judged(&self, answer: RawAnswer) -> Result<RawAnswer> {
        let endpoint = &self.0.endpoint;
        answer
            .good(endpoint)
            .map_err(|refusal| self.0.auth.named(refusal, endpoint))
    }

    /// Any answer as a whole. An answer that breaks off is asked for again where that is safe.
    pub(super) async fn exchange_whole(&self, request: Request) -> Result<RawAnswer> {
        let mut tries = self.0.retries.tries(&request, &self.dialect());
        loop {
            let incoming = self.exchange_within(request.clone(), &mut tries).await?;
            match self.rest(incoming).await {
                Err(error) => tries.after(error).await?,
                Ok(mut answer) => {
                    let is_deletion = request.extensions().get::<Deletion>().is_some();
                    let is_nothing = matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE);
                    if tries.may_be_done && is_deletion && is_nothing {
                        // What we deleted before the answer was lost is gone.
                        answer.status = StatusCode::NO_CONTENT;
                    }
                    answer.is_uncertain = tries.is_uncertain(&answer);
                    return Ok(answer);
                }
            }
        }
    }

    pub(super) async fn rest(&self, Incoming { head, body }: Incoming) -> Result<RawAnswer> {
        let body = stream::whole(body, self.0.limits.body, self.0.limits.whole).await?;
        Ok(RawAnswer::new(head.status, head.headers, body))
    }

    /// An answer whose status is a success; else its error.
    pub(super) async fn good(&self, incoming: Incoming) -> Result<Incoming> {
        if incoming.head.status.is_success() {
            return Ok(incoming);
        }
        let refusal = self.rest(incoming).await?.error(&self.0.endpoint);
        Err(self.0.auth.named(refusal, &self.0.endpoint))
    }

    pub(super) async fn exchange(&self, request: Request) -> Result<Incoming> {
        let mut tries = self.0.retries.tries(&request, &self.dialect());
        self.exchange_within(request, &mut tries).await
    }

    /// Sends a request, again and again if need be, until there is an answer for the caller.
    pub(super) async fn exchange_within(&self, mut request: Request, tries: &mut Tries) -> Result<Incoming> {
        let mut redirections = 0;
        let mut has_renewed = false;
        let mut has_lowered = false;
        self.0.auth.prepare().await?;
        loop {
            let dialect = self.dialect();
            let mut sent = request.clone();
            let showed = self.complete(&mut sent, dialect.version);
            let incoming = match self.0.transport.send(sent).await {
                Ok(incoming) => incoming,
                Err(error) => {
                    tries.after(error).await?;
                    continue;
                }
            };
            let status = incoming.head.status;
            self.change_state(|state| state.dialect.learn(&incoming.head.headers));
            if status == StatusCode::NOT_IMPLEMENTED && !self.dialect().is_occid {
                if dialect.version == Version::V1_2 && !has_lowered {
                    has_lowered = true;
                    self.change_state(|state| state.dialect.version = Version::V1_1);
                    continue;
                }
                if has_lowered {
                    // It was not the version.
                    self.change_state(|state| state.dialect.version = Version::V1_2);
                }
            }
            if status == StatusCode::UNAUTHORIZED && !has_renewed {
                has_renewed = true;
                let answer = self.rest(incoming).await?;
                if self.0.auth.renew(&answer, showed.as_ref(), &self.0.endpoint).await? {
                    continue;
                }
                return Ok(answer.into());
            }
            let is_redirection = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
            if is_redirection && request.extensions().get::<AsItIs>().is_none() {
                redirections += 1;
                request = self.redirected(request, &incoming.head, redirections)?;
                continue;
            }
            if tries.may_repeat(status) {
                let answer = self.rest(incoming).await?;
                let wait = answer.retry_after();
                if tries.again_after(wait).await {
                    tries.may_be_done |= !is_turned_away(&answer);
                    continue;
                }
                return Ok(answer.into());
            }
            return Ok(incoming);
        }
    }

    /// What every request carries; returns what it shows of us.
    fn complete(&self, request: &mut Request, version: Version) -> Option<(HeaderName, HeaderValue)> {
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, version.user_agent(self.0.product.as_deref()));
        if let Some(project) = &self.0.project {
            headers.entry(X_OCCI_PROJECT).or_insert_with(|| project.clone());
        }
        let shown = self.0.auth.header();
        if let Some((name, value)) = &shown {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        shown
    }

    /// The request for where a server points to, if that is itself.
    fn redirected(&self, request: Request, head: &http::response::Parts, redirections: usize) -> Result<Request> {
        let endpoint = &self.0.endpoint;
        let to = head.headers.get(header::LOCATION);
        let to = to
            .map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned())
            .unwrap_or_default();
        let refuse = |why: &str| {
            let to = printable(&shown(&to));
            let message = format!("{endpoint} redirects to {to:?}, {why}");
            Err(Error::protocol(message)
                .with_status(head.status.as_u16())
                .with_hint("if that is where the service is now, use that address"))
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return refuse("and a change is not sent on");
        }
        if redirections > MAX_REDIRECTIONS {
            return refuse("again and again");
        }
        let here = url::Url::parse(&request.uri().to_string());
        let Ok(target) = here.and_then(|here| here.join(&to)) else {
            return refuse("which is no address");
        };
        // Not merely the same host: from https to http the credentials would be seen.
        if target.origin().ascii_serialization() != endpoint.base().origin() {
            return refuse("which is not the server that was asked, so that nothing was sent there");
        }
        let mut request = request;
        let Ok(uri) = target.as_str().parse() else {
            return refuse("which is no address");
        };
        *request.uri_mut() = uri;
        Ok(request)
    }
}

impl From<RawAnswer> for Incoming {
    fn from(answer: RawAnswer) -> Self {
        let RawAnswer {
            status, headers, body, ..
        } = answer;
        let mut response = http::Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Self {
            head: response.into_parts().0,
            body: futures::stream::iter([Ok(body)]).boxed(),
        }
    }
}
