//! How a command reaches the side door: through the socket of a running service or, if none runs, by opening the store
//! itself and asking the same routes without a socket.

use super::Admin;
use axum::Router;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::PathBuf;
use tokio::net::UnixStream;
use tower::ServiceExt;

/// Why a command got no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service refused, in its words.
    #[error("{0}")]
    Refused(String),
    /// The connection broke.
    #[error("the connection to {0} broke: {1}")]
    Broken(String, String),
}

/// Speaks to the side door.
pub enum AdminClient {
    /// Of a running service.
    Running(PathBuf),
    /// Of this process.
    Own(Box<Router>),
}

impl AdminClient {
    /// The routes of this process, over a store that it has opened.
    pub fn own(admin: &Admin) -> Self {
        Self::Own(Box::new(admin.router()))
    }

    /// The socket of a running service; `None` if nobody listens there.
    pub async fn running(socket: PathBuf) -> Option<Self> {
        UnixStream::connect(&socket).await.ok().map(|_| Self::Running(socket))
    }

    /// Whether a service answers.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    /// Sends a request and returns the document of its answer.
    pub async fn send(&self, method: Method, path: &str, document: Option<Value>) -> Result<Value, ClientError> {
        let broken = |error: &dyn std::fmt::Display| {
            let whom = match self {
                Self::Running(socket) => socket.display().to_string(),
                Self::Own(_) => "the store".to_owned(),
            };
            ClientError::Broken(whom, error.to_string())
        };
        let body = document.map(|document| document.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "occid")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| broken(&error))?;
        let (status, bytes) = match self {
            Self::Own(router) => {
                let Ok(response) = Router::clone(router).oneshot(request.map(axum::body::Body::new)).await;
                let (head, body) = response.into_parts();
                (
                    head.status,
                    body.collect().await.map_err(|error| broken(&error))?.to_bytes(),
                )
            }
            Self::Running(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(|error| broken(&error))?;
                let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(|error| broken(&error))?;
                let driving = tokio::spawn(connection);
                let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
                let (head, body) = response.into_parts();
                let bytes = body.collect().await.map_err(|error| broken(&error))?.to_bytes();
                driving.abort();
                (head.status, bytes)
            }
        };
        let document: Value = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&bytes);
            serde_json::json!({ "error": text.trim() })
        });
        if status == StatusCode::OK {
            return Ok(document);
        }
        let words = document
            .get("error")
            .and_then(Value::as_str)
            .filter(|words| !words.is_empty());
        let status = || format!("the service answered {status}");
        Err(ClientError::Refused(words.map_or_else(status, str::to_owned)))
    }
}
