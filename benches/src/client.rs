//! A load generator: some connections, kept alive, one request after the other on each.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // The connection's own failure is seen by the sender.
            let _ = connection.await;
        });
        Ok(Self { sender })
    }

    /// Sends one request and returns the answer's head.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Sends one request and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
        let (head, body) = self.send(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    /// Sends one request and throws the answer's body away as it comes; returns its length.
    pub(crate) async fn drain(&mut self, request: Request<Full<Bytes>>) -> Result<(u16, usize)> {
        let (head, mut body) = self.send(request).await?.into_parts();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok((head.status.as_u16(), length))
    }
}

/// What a window of requests took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// How many requests.
    pub(crate) requests: usize,
    /// Wall time.
    pub(crate) elapsed: Duration,
}

/// Sends `requests` requests over `connections` connections; `make` builds the n-th. Every answer must have `status`.
pub(crate) async fn load<F>(
    address: SocketAddr,
    connections: usize,
    requests: usize,
    status: u16,
    make: F,
) -> Result<Window>
where
    F: Fn(usize) -> Request<Full<Bytes>> + Send + Sync + 'static,
{
    let make = Arc::new(make);
    let next = Arc::new(AtomicUsize::new(0));
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let begin = Instant::now();
    let workers = open.into_iter().map(|mut connection| {
        let (make, next) = (Arc::clone(&make), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return Ok(());
                }
                let (got, _) = connection
                    .drain(make(number))
                    .await
                    .with_context(|| format!("request {number}"))?;
                if got != status {
                    bail!("request {number}: status {got} instead of {status}");
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await??;
    }
    Ok(Window {
        requests,
        elapsed: begin.elapsed(),
    })
}
