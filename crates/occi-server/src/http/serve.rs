//! The accept loop: connections, their limits and their end.

use super::listen::{Asks, Listener};
use super::patience::Patient;
use super::tls::Tls;
use crate::auth::owners;
use crate::config::Http;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A machine.
    Ip(IpAddr),
    /// A process of this machine, on a unix socket.
    Local,
    /// The same, and the kernel says that it belongs to an owner of the service: this user.
    Owner(u32),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Local | Self::Owner(_) => f.write_str("local"),
        }
    }
}

/// The body of an answer: bytes that are ready, or a stream.
pub type Body = http_body_util::Either<http_body_util::Full<bytes::Bytes>, axum::body::Body>;

/// Answers requests.
pub trait Door: Send + Sync + 'static {
    /// Answers one request.
    fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = http::Response<Body>> + Send;
}

/// What a listener needs to know.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long the headers of a request may take.
    pub header_timeout: Duration,
    /// How long a client may take no byte of an answer.
    pub write_timeout: Duration,
    /// Bytes of headers that hyper still takes: twice what we answer 431 to, so that the answer is ours.
    pub header_bytes: usize,
    /// Header fields that hyper still takes: a quarter more than we do, for the same reason. Twice as many would cost every
    /// request: room for all of them is made before they are read.
    pub header_count: usize,
    /// Connections at the same time.
    pub connections: usize,
    /// How long requests in progress may take at the end.
    pub grace: Duration,
}

impl From<&Http> for Limits {
    fn from(http: &Http) -> Self {
        Self {
            header_timeout: http.header_timeout.0,
            write_timeout: http.body_timeout.0,
            // hyper wants 8 KiB at least.
            header_bytes: (2 * http.header_limit.0).max(16 << 10),
            header_count: http.header_count + http.header_count / 4,
            connections: http.connections,
            grace: http.shutdown_grace.0,
        }
    }
}

/// Serves `listener` until `stop`, then lets the requests in progress end.
pub async fn serve<D: Door>(
    listener: Listener,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    door: Arc<D>,
    stop: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.header_count)
        .max_buf_size(limits.header_bytes)
        .title_case_headers(true);
    loop {
        let permit = tokio::select! {
            permit = connections.clone().acquire_owned() => permit,
            () = stop.cancelled() => break,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a connection that was gone before we took it.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection = Connection {
            http: http.clone(),
            door: door.clone(),
            peer,
            stop: stop.clone(),
            _open: open.token(),
            timeout: limits.write_timeout,
            _permit: permit,
        };
        match (stream, tls.as_ref()) {
            (Stream::Tcp(stream), Some(tls)) => {
                let handshake = tls.acceptor().accept(stream);
                let patience = limits.header_timeout;
                tokio::spawn(async move {
                    if let Ok(Ok(stream)) = tokio::time::timeout(patience, handshake).await {
                        connection.drive(stream).await;
                    }
                });
            }
            (Stream::Tcp(stream), None) => drop(tokio::spawn(connection.drive(stream))),
            (Stream::Unix(stream), _) => drop(tokio::spawn(connection.drive(stream))),
        }
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(limits.grace, open.wait()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn accept(listener: &Listener) -> std::io::Result<(Stream, Peer)> {
    match listener {
        Listener::Tcp(listener, _) => {
            let (stream, address) = listener.accept().await?;
            stream.set_nodelay(true)?;
            keep_alive(&stream)?;
            Ok((Stream::Tcp(stream), Peer::Ip(address.ip())))
        }
        Listener::Unix(listener, _, asks) => {
            let (stream, _) = listener.accept().await?;
            let owner = match asks {
                Asks::Nothing => None,
                Asks::Owner => stream.peer_cred().ok().as_ref().and_then(owners::owner),
            };
            Ok((Stream::Unix(stream), owner.map_or(Peer::Local, Peer::Owner)))
        }
    }
}

/// Has the kernel ask a silent client whether it is still there: a console or a log may be silent for days, and a client that
/// is gone without a word must not hold it.
fn keep_alive(stream: &tokio::net::TcpStream) -> std::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(stream, 6)?;
    Ok(())
}

struct Connection<D> {
    http: http1::Builder,
    door: Arc<D>,
    peer: Peer,
    stop: CancellationToken,
    _open: TaskTrackerToken,
    timeout: Duration,
    _permit: OwnedSemaphorePermit,
}

impl<D: Door> Connection<D> {
    async fn drive(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self {
            http,
            door,
            peer,
            stop,
            _open,
            timeout,
            _permit,
        } = self;
        let service = service_fn(move |request| {
            let answer = door.clone().answer(request, peer);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let stream = TokioIo::new(Patient::new(stream, timeout));
        // One that becomes a console is out of our hands, its end and its place included.
        let mut connection = pin!(http.serve_connection(stream, service).with_upgrades());
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                // It ends with the request that it is at.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection broke");
        }
    }
}
