//! Sends requests and receives answers, whatever they mean.
//!
//! [`Transport`] is the seam: the client knows nothing below it, and a program or its tests may put something else there
//! ([`Connector::transport`]), or something around it ([`Connector::wrapper`]). [`Http`] is the one implementation here, on
//! reqwest: HTTP and HTTPS over TCP, HTTP over a unix socket.
//!
//! ```
//! use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
//! use occi_client::transport::{Connector, Incoming, Transport};
//! use occi_client::{Client, Error, ErrorKind, Request, blocking};
//! use std::sync::Arc;
//!
//! /// A server whose only answer is that it has nothing.
//! #[derive(Debug)]
//! struct Empty;
//!
//! impl Transport for Empty {
//!     fn send(&self, request: Request) -> BoxFuture<'_, occi_client::Result<Incoming>> {
//!         async move {
//!             if request.uri().host() != Some("cloud.example.org") {
//!                 return Err(Error::new(ErrorKind::Unavailable, "there is no such server").not_sent());
//!             }
//!             let (mut head, ()) = http::Response::new(()).into_parts();
//!             head.status = http::StatusCode::NOT_FOUND;
//!             Ok(Incoming { head, body: stream::empty().boxed() })
//!         }
//!         .boxed()
//!     }
//! }
//!
//! let mut connector = Connector::default();
//! connector.transport = Some(Arc::new(Empty));
//! let builder = Client::builder("http://cloud.example.org/".parse()?).connector(connector);
//! let refused = blocking::Client::new(builder)?.model().unwrap_err();
//! assert_eq!(refused.kind(), ErrorKind::NotFound);
//! # Ok::<(), Error>(())
//! ```

use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::request::{PREFER, Request};
use crate::sending::Sending;
use crate::tls::Tls;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use http::HeaderMap;
use std::fmt::{self, Debug};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{timeout, timeout_at};

/// The bytes of an answer as they come.
pub type Body = BoxStream<'static, Result<Bytes>>;

/// An answer whose body is still coming.
pub struct Incoming {
    /// Status and headers.
    pub head: http::response::Parts,
    /// The body.
    pub body: Body,
}

impl Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// Sends requests.
///
/// # Behavior
/// - One request, one answer, whatever its status; nothing is sent twice, and no redirection is followed, because that
///   would carry credentials away: [`Client`](crate::Client) looks at them.
/// - An error that is [not sent](Error::not_sent) says that the server has not seen the request, one that is
///   [broken off](Error::broken_off) that it may have. Of other errors, those of kind [`ErrorKind::Unavailable`] count as
///   broken off; the rest, and any of kind [`ErrorKind::Timeout`] or [`ErrorKind::Tls`], ends what the client was asked.
/// - Dropping the future or the body ends the exchange.
/// - Headers of an answer that carry secrets are marked as [sensitive](http::HeaderValue::set_sensitive).
pub trait Transport: Send + Sync + Debug {
    /// Sends a request with an absolute URI.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Incoming>>;
}

/// In the extensions of a request: neither its body nor its answer is for anybody's eyes.
#[derive(Clone, Copy, Debug)]
pub struct Secret;

/// In the extensions of a request: the bytes of its answer may be far between. For the first of them the limit holds.
#[derive(Clone, Copy, Debug)]
pub struct Endless;

/// Goes around a transport, in order to look at what is sent.
pub type Wrapper = Arc<dyn Fn(Arc<dyn Transport>) -> Arc<dyn Transport> + Send + Sync>;

/// Opens transports: to the server, and to who gives out its tokens.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Connector {
    /// How long to wait for what.
    pub limits: Limits,
    /// Whom to trust, and who we are.
    pub tls: Tls,
    /// Goes around every transport. What a request or an answer holds that must not be shown is marked: headers that
    /// carry secrets are [sensitive](http::HeaderValue::is_sensitive), and a request with secrets in its body or in its
    /// answer has [`Secret`] among its extensions.
    pub wrapper: Option<Wrapper>,
    /// Takes all requests, instead of a connection.
    pub transport: Option<Arc<dyn Transport>>,
}

impl Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limits, tls, .. } = self;
        f.debug_struct("Connector")
            .field("limits", limits)
            .field("tls", tls)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// A transport to one server.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub fn open(&self, endpoint: &Endpoint) -> Result<Arc<dyn Transport>> {
        let transport = match &self.transport {
            Some(transport) => transport.clone(),
            None => Arc::new(Http::new(endpoint, &self.limits, &self.tls)?),
        };
        Ok(match &self.wrapper {
            Some(wrapper) => wrapper(transport),
            None => transport,
        })
    }

    /// Whether a client certificate goes with the connections.
    pub(crate) fn has_certificate(&self) -> bool {
        self.tls.identity.is_some()
    }
}

/// HTTP by reqwest.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    limits: Limits,
    /// For messages.
    endpoint: String,
    is_https: bool,
}

/// Who waits longer than a year waits for ever, and clocks count no further than some ages.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
/// Bytes a second of an answer that streams. A line of the slowest listing that is meant has some fifty.
const SLOWEST: f64 = 10.0;
/// The most header lines of an answer: ooi renders the query interface as one line per category.
const MAX_HEADERS: usize = 4096;

impl Http {
    /// For one endpoint.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub fn new(endpoint: &Endpoint, limits: &Limits, tls: &Tls) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(limits.connect.min(LONGEST))
            .http1_only()
            .http1_max_headers(MAX_HEADERS)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            // Roots are read only where they are needed.
            .tls_backend_preconfigured(tls.config(endpoint.is_https())?);
        if let Some(socket) = endpoint.socket() {
            builder = builder.unix_socket(socket.to_path_buf());
        }
        if endpoint.is_loopback() {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|error| Error::invalid(format!("the connection cannot be prepared: {}", chain(&error))))?;
        Ok(Self {
            client,
            limits: *limits,
            endpoint: endpoint.to_string(),
            is_https: endpoint.is_https(),
        })
    }
}

impl Transport for Http {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Incoming>> {
        async move {
            let is_endless = request.extensions().get::<Endless>().is_some();
            let patience = self.limits.read.saturating_add(wait_of(request.headers())).min(LONGEST);
            let (head, body) = request.into_parts();
            let (body, moved) = Sending::new(body);
            let request = http::Request::from_parts(head, reqwest::Body::wrap(body));
            let request = reqwest::Request::try_from(request)
                .map_err(|error| Error::invalid(format!("this cannot be sent: {}", chain(&error))))?;
            let mut answer = pin!(self.client.execute(request));
            let response = loop {
                let end = *moved.borrow() + patience;
                match timeout_at(end, &mut answer).await {
                    Ok(response) => break response.map_err(|error| self.explain(error))?,
                    // Some of the request went meanwhile.
                    Err(_) if *moved.borrow() + patience > end => {}
                    Err(_) => return Err(self.too_slow()),
                }
            };
            let response: http::Response<reqwest::Body> = response.into();
            let (mut head, body) = response.into_parts();
            for (name, value) in &mut head.headers {
                if matches!(name.as_str(), "x-subject-token" | "set-cookie") {
                    value.set_sensitive(true);
                }
            }
            let body = http_body_util::BodyDataStream::new(body);
            let body = (self.clone(), body, Pace::default());
            let body = stream::try_unfold(body, move |(server, mut body, mut pace)| async move {
                let begun = Instant::now();
                let next = match is_endless {
                    true => Ok(body.try_next().await),
                    false => timeout(server.limits.read, body.try_next()).await,
                };
                let next = next.map_err(|_| server.too_slow())?;
                let next = next.map_err(|error| server.explain(error))?;
                if let Some(bytes) = &next
                    && !is_endless
                {
                    pace.add(bytes.len(), begun.elapsed(), server.limits.whole)?;
                }
                Ok(next.map(|bytes| (bytes, (server, body, pace))))
            });
            let body = body.boxed();
            Ok(Incoming { head, body })
        }
        .boxed()
    }
}

/// How long a server may take of which a request says `Prefer: wait=SECONDS` (RFC 7240).
fn wait_of(headers: &HeaderMap) -> Duration {
    let values = headers
        .get_all(PREFER)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let seconds = values
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.parse().ok());
    Duration::from_secs(seconds.unwrap_or_default())
}

/// How fast an answer comes. What its reader does with it takes time too, and that does not count.
#[derive(Debug, Default)]
struct Pace {
    bytes: usize,
    waited: Duration,
}

impl Pace {
    /// Bytes for which so long was waited.
    ///
    /// # Errors
    /// In the whole of a time there were almost none.
    fn add(&mut self, bytes: usize, waited: Duration, within: Duration) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.waited += waited;
        if self.waited < within {
            return Ok(());
        }
        let pace = std::mem::take(self);
        match pace.bytes as f64 / pace.waited.as_secs_f64() < SLOWEST {
            true => Err(goes_on(within)),
            false => Ok(()),
        }
    }
}

/// An answer whose time is over.
pub(crate) fn goes_on(after: Duration) -> Error {
    let seconds = after.as_secs();
    Error::new(
        ErrorKind::Timeout,
        format!("the answer goes on after {seconds} s, and was not read on"),
    )
}

impl Http {
    fn too_slow(&self) -> Error {
        Error::new(ErrorKind::Timeout, format!("{} took too long to answer", self.endpoint))
    }

    /// A failed exchange in words.
    fn explain(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let server = &self.endpoint;
        let cause = chain(&error);
        let unseen = |kind, message: String| Error::new(kind, message).not_sent().with_source(cause.clone());
        if error.is_timeout() && error.is_connect() {
            return unseen(ErrorKind::Timeout, format!("{server} cannot be reached in time"))
                .with_hint("check the address, and the firewalls on the way");
        }
        if error.is_timeout() {
            return self.too_slow();
        }
        if error.is_connect() {
            // Who speaks no TLS says something else, or hangs up.
            let says_else = matches!(tls_error(&error), Some(rustls::Error::InvalidMessage(_)));
            if says_else || self.is_https && last(&error) == "tls handshake eof" {
                return unseen(ErrorKind::Tls, format!("{server} does not speak TLS"))
                    .with_hint("if it is not encrypted, its address begins with http://");
            }
            if let Some(tls) = tls_error(&error) {
                return self.refused(&tls).unwrap_or_else(|| {
                    let Distrust {
                        why,
                        hint,
                        wants_authority,
                    } = Distrust::of(&tls);
                    let message = format!("the connection to {server} is not trusted: {why}");
                    let error = unseen(ErrorKind::Tls, message).with_hint(hint);
                    match wants_authority {
                        true => error.wanting_authority(),
                        false => error,
                    }
                });
            }
            return unseen(
                ErrorKind::Unavailable,
                format!("{server} cannot be reached: {}", last(&error)),
            )
            .with_hint("check the address, and whether the server runs");
        }
        if let Some(tls) = tls_error(&error) {
            return self.refused(&tls).unwrap_or_else(|| self.refusal(&tls));
        }
        let broken = Error::protocol(format!(
            "the answer of {server} broke off or is not HTTP: {}",
            last(&error)
        ));
        // An encrypted server answers a plain question with an alert of TLS.
        let is_alert = !self.is_https && last(&error) == "invalid HTTP version parsed";
        let broken = if is_alert {
            broken.with_hint(try_https(server))
        } else {
            broken
        };
        broken.broken_off().with_source(cause)
    }

    /// What the other side, or what it does not speak, ended.
    fn refused(&self, error: &rustls::Error) -> Option<Error> {
        use rustls::AlertDescription as Alert;
        match error {
            rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(Alert::ProtocolVersion | Alert::InsufficientSecurity) => {
                let message = format!("{} speaks no TLS that is safe: {error}", self.endpoint);
                Some(Error::new(ErrorKind::Tls, message).with_hint("it has to speak TLS 1.2 or 1.3"))
            }
            rustls::Error::AlertReceived(_) => Some(self.refusal(error)),
            _ => None,
        }
    }

    fn refusal(&self, error: &rustls::Error) -> Error {
        Error::new(
            ErrorKind::Tls,
            format!("{} refused the connection: {error}", self.endpoint),
        )
        .with_hint("it may want another client certificate")
    }
}

/// What to do about an encrypted server that was asked in the clear.
pub(crate) fn try_https(endpoint: &str) -> String {
    format!("it may be encrypted: try {}", endpoint.replacen("http:", "https:", 1))
}

/// Why a connection is not trusted, and what to do about it.
struct Distrust {
    why: String,
    hint: &'static str,
    wants_authority: bool,
}

impl Distrust {
    fn of(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Bad;
        // How rustls passes on what only webpki knows.
        let is_authority = |why: &rustls::OtherError| why.0.to_string() == "CaUsedAsEndEntity";
        let (wants_authority, hint) = match error {
            rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => (
                false,
                "the certificate is for other names: is this the address by which the server is known?",
            ),
            rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
                (false, "it has expired: is this machine's clock right?")
            }
            rustls::Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
                (false, "it is not valid yet: is this machine's clock right?")
            }
            rustls::Error::InvalidCertificate(Bad::Other(why)) if is_authority(why) => {
                (true, "if this is the server that is meant, name its certificate itself")
            }
            _ => (
                true,
                "name the authority that signed the server's certificate, if it is no public one",
            ),
        };
        let why = match error {
            rustls::Error::InvalidCertificate(Bad::Other(why)) if is_authority(why) => {
                "it shows the certificate of an authority as its own (CaUsedAsEndEntity)".to_owned()
            }
            // Else it would be shown as it is called within the program.
            rustls::Error::InvalidCertificate(Bad::Other(why)) => format!("invalid peer certificate: {}", why.0),
            _ => error.to_string(),
        };
        Self {
            why,
            hint,
            wants_authority,
        }
    }
}

/// What TLS says about a failure: it hides in an error of I/O, or in one within another.
fn tls_error(error: &(dyn std::error::Error + 'static)) -> Option<rustls::Error> {
    let within = |error: &'_ (dyn std::error::Error + 'static)| -> Option<rustls::Error> {
        let mut error: &(dyn std::error::Error + 'static) = error;
        while let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            error = inner;
        }
        error.downcast_ref::<rustls::Error>().cloned()
    };
    causes(error).find_map(within)
}

fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// The innermost cause, which says most.
fn last(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
