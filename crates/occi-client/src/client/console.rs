//! Consoles of machines, as `occid` offers them: what came over them, and the line.

use super::Client;
use super::exchange::AsItIs;
use crate::error::{Error, ErrorKind, Result};
use crate::request::Request;
use crate::transport::{Body, Endless};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Upgraded;
use std::fmt::{self, Debug};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the connection is to become.
const PROTOCOL: HeaderValue = HeaderValue::from_static("occi-console");

/// The line to a machine: what is read is what it writes, what is written is typed on it. Dropping it hangs up.
pub struct Console(Upgraded);

impl Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Console").finish()
    }
}

impl Client {
    /// What came over the console of a machine: its last `tail` lines, or all that is kept; with `follow` also what comes, which
    /// may take for ever and be silent for long.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: the server, or its engine, keeps nothing.
    pub async fn console_log(&self, location: &str, tail: Option<usize>, follow: bool) -> Result<Body> {
        let mut query: Vec<_> = tail.map(|lines| format!("tail={lines}")).into_iter().collect();
        query.extend(follow.then(|| "follow=true".to_owned()));
        let request = self.about_console("/-/console-log", location, &query).await?;
        Ok(self.good(self.exchange(request).await?).await?.body)
    }

    /// Opens the console of a machine; with `force` whoever sits there has to go.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`]: somebody sits there, or the machine is off. [`ErrorKind::Unsupported`]: the server, or its
    /// engine, opens none.
    pub async fn console(&self, location: &str, force: bool) -> Result<Console> {
        let query: Vec<_> = force.then(|| "force=true".to_owned()).into_iter().collect();
        let mut request = self.about_console("/-/console", location, &query).await?;
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, PROTOCOL);
        let incoming = self.exchange(request).await?;
        if incoming.head.status != StatusCode::SWITCHING_PROTOCOLS {
            self.good(incoming).await?;
            let server = self.endpoint();
            return Err(Error::protocol(format!("{server} answers and opens no console"))
                .with_hint("something in between may not let connections be upgraded"));
        }
        let response = http::Response::from_parts(incoming.head, reqwest::Body::default());
        let upgraded = reqwest::Response::from(response).upgrade().await;
        upgraded
            .map(Console)
            .map_err(|error| Error::protocol(format!("the console broke off: {}", error.without_url())))
    }

    async fn about_console(&self, prefix: &str, location: &str, query: &[String]) -> Result<Request> {
        let path = self.endpoint().path_of(location)?;
        // What answers is known then.
        let model = self.model().await?;
        let dialect = self.dialect();
        if !dialect.is_occid {
            let message = format!("{} offers no consoles", self.endpoint());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let base = self.endpoint().base_path();
        let below = path.strip_prefix(base).unwrap_or(&path);
        let mut target = format!("{base}{prefix}{below}");
        if !query.is_empty() {
            target = format!("{target}?{}", query.join("&"));
        }
        let requests = self.requests(&dialect, &model);
        let mut request = requests.raw(Method::GET, &target, HeaderMap::new(), bytes::Bytes::new())?;
        request.extensions_mut().insert(AsItIs);
        request.extensions_mut().insert(Endless);
        Ok(request)
    }
}

impl AsyncRead for Console {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Console {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
