//! The other side: bare hyper, with no routing, no authentication and no thought.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Answers with the head and the body of `file`.
pub(crate) async fn bytes(file: &Path) -> Result<()> {
    let text = std::fs::read(file)?;
    let split = text
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .context("no empty line")?;
    let mut headers = HeaderMap::new();
    for line in std::str::from_utf8(&text[..split])?.lines() {
        let (name, value) = line.split_once(": ").context("no header line")?;
        headers.append(HeaderName::try_from(name)?, HeaderValue::from_str(value)?);
    }
    let body = Bytes::copy_from_slice(&text[split + 2..]);
    serve(move || {
        let mut response = Response::new(Full::new(body.clone()));
        *response.headers_mut() = headers.clone();
        response
    })
    .await
}

/// An entity as serde_json would write it if it did nothing else.
#[derive(serde::Deserialize, Serialize)]
struct Entity {
    kind: String,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mixins: Vec<String>,
    attributes: std::collections::BTreeMap<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    actions: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<serde_json::Value>,
}

/// A collection of entities.
#[derive(serde::Deserialize, Serialize)]
struct Collection {
    resources: Vec<Entity>,
}

/// Answers with the entities of `file`, written anew each time.
pub(crate) async fn json(file: &Path) -> Result<()> {
    let entities: Collection = serde_json::from_slice(&std::fs::read(file)?)?;
    serve(move || {
        // What was read as JSON can be written as JSON.
        Response::new(Full::new(Bytes::from(
            serde_json::to_vec(&entities).unwrap_or_default(),
        )))
    })
    .await
}

async fn serve<F>(answer: F) -> Result<()>
where
    F: Fn() -> Response<Full<Bytes>> + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let service = service_fn(move |_| {
                let response = answer();
                async move { Ok::<_, Infallible>(response) }
            });
            // A client that goes away is no failure of the peer.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                // As occid spells them: the same bytes are the same letters too.
                .title_case_headers(true)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
