//! Requests and what comes back.

use anyhow::{Context, Result};
use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// No answer of a server that lives takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// A request as a value, so that it can be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// Further header fields.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// JSON, or a list of URIs.
    pub(crate) body: Option<Body>,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// A document.
    Json(Value),
    /// Locations.
    Uris(Vec<String>),
}

impl Request {
    /// A request without a body.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            fields: Vec::new(),
            body: None,
        }
    }

    /// The same with a document.
    pub(crate) fn json(mut self, document: Value) -> Self {
        self.body = Some(Body::Json(document));
        self
    }

    /// The same with a header field.
    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// What a client was told.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// 2xx.
    Done {
        /// The paths of what was made.
        paths: Vec<String>,
        /// The operation that goes on.
        operation: Option<String>,
    },
    /// Any other status, with its sentence.
    Refused(u16, String),
    /// Nothing: the connection could not be made, or broke.
    Lost,
}

/// Talks to one `occid`.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    authorization: String,
}

impl Client {
    /// A client of the server at `address`.
    pub(crate) fn new(address: SocketAddr, user: &str, password: &str) -> Self {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Self {
            address,
            authorization: format!("Basic {pair}"),
        }
    }

    /// Sends a write.
    pub(crate) async fn send(&self, request: &Request) -> Answer {
        let Ok((status, headers, body)) = self.exchange(request, "text/uri-list").await else {
            return Answer::Lost;
        };
        let text = String::from_utf8_lossy(&body);
        if !(200..300).contains(&status) {
            return Answer::Refused(status, text.trim().to_owned());
        }
        // What goes on is named beside the entity, or it is the answer itself.
        let named = if status == 202 { "location" } else { "x-occi-operation" };
        let operation = headers.get(named).and_then(|value| value.to_str().ok());
        Answer::Done {
            paths: text
                .lines()
                .map(|line| path_of(line.trim()))
                .filter(|path| !path.is_empty())
                .collect(),
            operation: operation.map(path_of),
        }
    }

    /// Reads a document; `None` is a 404.
    ///
    /// # Errors
    /// No answer, or one of another kind.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Value>> {
        let request = Request::new(Method::GET, path).field("cache-control", "no-cache");
        let (status, _, body) = self.exchange(&request, "application/occi+json").await?;
        match status {
            200 => Ok(Some(
                serde_json::from_slice(&body).with_context(|| format!("GET {path}"))?,
            )),
            404 => Ok(None),
            _ => anyhow::bail!("GET {path}: {status} {}", String::from_utf8_lossy(&body)),
        }
    }

    async fn exchange(&self, request: &Request, accept: &str) -> Result<(u16, HeaderMap, Bytes)> {
        tokio::time::timeout(PATIENCE, self.exchange_patiently(request, accept)).await?
    }

    async fn exchange_patiently(&self, request: &Request, accept: &str) -> Result<(u16, HeaderMap, Bytes)> {
        let mut message = http::Request::builder()
            .method(request.method.clone())
            .uri(&request.path)
            .header("host", self.address.to_string())
            .header("authorization", &self.authorization)
            // Text answers of writes are lists of locations; not every answer can be one.
            .header("accept", format!("{accept}, application/occi+json;q=0.5"));
        for (name, value) in &request.fields {
            message = message.header(*name, value);
        }
        let body = match &request.body {
            None => Bytes::new(),
            Some(Body::Json(document)) => {
                message = message.header("content-type", "application/occi+json");
                document.to_string().into()
            }
            Some(Body::Uris(paths)) => {
                message = message.header("content-type", "text/uri-list");
                paths.join("\n").into()
            }
        };
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(message.body(Full::new(body))?).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok((head.status.as_u16(), head.headers, body))
    }
}

/// The path of a URL, or the path itself; nothing for a document.
fn path_of(url: &str) -> String {
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or_else(String::new, |at| rest[at..].to_owned()),
        None if url.starts_with('/') => url.to_owned(),
        None => String::new(),
    }
}
