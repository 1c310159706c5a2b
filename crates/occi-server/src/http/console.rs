//! Consoles (docs/console.md): what has come over one is a text, and the line itself is what a connection becomes.

use super::answer;
use super::fault::Fault;
use super::serve::Body;
use super::service::Service;
use super::visit::Visit;
use crate::auth::Visitor;
use axum::body::Body as StreamBody;
use bytes::Bytes;
use futures::StreamExt;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::Either;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use occi_backend::LogPart;
use occi_engine::{Caller, Console, FailureKind};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a connection is asked to become.
const PROTOCOL: &str = "occi-console";
const ALLOW: &str = "GET, HEAD, OPTIONS";
const ALLOW_LINE: &str = "GET, OPTIONS";
/// Between two looks whether somebody is still allowed in.
const ROUND: Duration = Duration::from_secs(30);

/// What of a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// What has come over it.
    Log,
    /// The line.
    Line,
}

impl Visit<'_> {
    /// Any request on the console of the entity at `path`.
    pub(super) async fn console(
        self,
        about: About,
        path: String,
        upgrade: Option<OnUpgrade>,
    ) -> Result<Response<Body>, Fault> {
        match (about, self.method) {
            (About::Log, &Method::GET | &Method::HEAD) => self.log(path).await,
            (About::Log, &Method::OPTIONS) => Ok(answer::options(ALLOW)),
            (About::Log, other) => Err(Fault::not_allowed(other, "the output of a console", ALLOW)),
            (About::Line, &Method::GET) => {
                let Some(upgrade) = upgrade.filter(|_| self.wants_line()) else {
                    let message = format!("a console is no document: send Connection: Upgrade and Upgrade: {PROTOCOL}");
                    let fault = Fault::new(StatusCode::UPGRADE_REQUIRED, message);
                    return Err(upgrade_headers().fold(fault, |fault, (name, value)| fault.with(name, value)));
                };
                let opened = self.open(&path, upgrade).await;
                if let Err(fault) = &opened {
                    // What is typed changes things, whatever the method says.
                    let engine = &self.service.engine;
                    let status = fault.status.as_u16();
                    engine
                        .audit_refused(self.caller, "open console", &path, status, &fault.message)
                        .await;
                }
                opened
            }
            (About::Line, &Method::OPTIONS) => Ok(answer::options(ALLOW_LINE)),
            (About::Line, other) => Err(Fault::not_allowed(other, "a console", ALLOW_LINE)),
        }
    }

    async fn log(self, path: String) -> Result<Response<Body>, Fault> {
        let tail = self.query.get("tail").map(str::parse).transpose();
        let part = LogPart {
            tail: tail.map_err(|_| Fault::bad_request("tail is a number of lines"))?,
            follow: self.query.is_true("follow"),
        };
        let place = part.follow.then(|| self.place()).transpose()?;
        let log = self.service.engine.console_log(self.caller, &path, part).await?;
        let log = match part.follow {
            true => {
                let over = self.over(path, false);
                log.take_until(Box::pin(async move {
                    let _place = place;
                    over.await
                }))
                .left_stream()
            }
            false => log.right_stream(),
        };
        let mut response = Response::new(Either::Right(StreamBody::from_stream(log)));
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            // It is what a guest has written: no browser shall see a page in it, and no cache keep it.
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-store"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }

    async fn open(&self, path: &str, upgrade: OnUpgrade) -> Result<Response<Body>, Fault> {
        let place = self.place()?;
        let force = self.query.is_true("force");
        let console = self.service.engine.open_console(self.caller, path, force).await?;
        let over = self.over(path.to_owned(), true);
        self.service.lines.spawn(async move {
            let _place = place;
            match upgrade.await {
                Ok(upgraded) => talk(upgraded, console, over).await,
                Err(error) => tracing::debug!(%error, "a connection did not become a console"),
            }
        });
        let mut response = answer::empty(StatusCode::SWITCHING_PROTOCOLS);
        response.headers_mut().extend(upgrade_headers());
        Ok(response)
    }

    /// Whether the connection is to become a console (RFC 9110, section 7.8).
    fn wants_line(&self) -> bool {
        let names = |name: HeaderName, token: &str| {
            let mut values = self.headers.get_all(name).iter();
            values.any(|value| {
                let text = value.to_str().unwrap_or_default();
                text.split(',').any(|one| one.trim().eq_ignore_ascii_case(token))
            })
        };
        names(header::CONNECTION, "upgrade") && names(header::UPGRADE, PROTOCOL)
    }

    /// Returns when something that lasts is over: the service stops, or who asked is not allowed in any more. Says why.
    fn over(&self, path: String, to_type: bool) -> impl Future<Output = &'static str> + Send + use<> {
        let (service, caller, visitor) = (self.service.clone(), self.caller.clone(), self.visitor.clone());
        async move {
            tokio::select! {
                () = service.stop.cancelled() => "the service stops; the machine goes on",
                () = revoked(&service, &caller, &visitor, &path, to_type) => "you may not use this console any more",
            }
        }
    }
}

/// What says that a connection becomes a console, or should.
fn upgrade_headers() -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    [(header::CONNECTION, "Upgrade"), (header::UPGRADE, PROTOCOL)]
        .into_iter()
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
}

/// Returns when somebody may not use a console any more.
async fn revoked(service: &Service, caller: &Caller, visitor: &Visitor, path: &str, to_type: bool) {
    loop {
        tokio::time::sleep(ROUND).await;
        let principal = match service.authenticator.again(visitor).await {
            Ok(Some(principal)) => principal,
            Ok(None) => return,
            // What cannot be found out now is found out later.
            Err(_) => continue,
        };
        let now = Caller {
            principal,
            ..caller.clone()
        };
        let may = service.engine.may_use_console(&now, path, to_type).await;
        if may.is_err_and(|error| matches!(error.kind, FailureKind::NotFound | FailureKind::Forbidden)) {
            return;
        }
    }
}

/// Carries bytes both ways until one of the ends goes, or it is over.
async fn talk(upgraded: Upgraded, mut console: Console, over: impl Future<Output = &'static str>) {
    let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(upgraded));
    let why = {
        let typed = async {
            let mut keys = [0; 4096];
            while let Ok(count @ 1..) = from_client.read(&mut keys).await {
                if console.input.write_all(&keys[..count]).await.is_err() || console.input.flush().await.is_err() {
                    // Its output will say that it ends.
                    std::future::pending::<()>().await;
                }
            }
        };
        let shown = async {
            while let Some(bytes) = console.output.recv().await {
                if to_client.write_all(&bytes).await.is_err() || to_client.flush().await.is_err() {
                    return;
                }
            }
        };
        let taken = console.taken.cancelled();
        tokio::select! {
            () = typed => None,
            () = shown => None,
            () = taken => Some("somebody else has taken this console"),
            why = over => Some(why),
        }
    };
    // First, so that the place is free when the client sees the end.
    drop(console);
    if let Some(why) = why {
        let words = Bytes::from(format!("\r\n[{why}]\r\n"));
        let _ = to_client.write_all(&words).await;
    }
    let _ = to_client.shutdown().await;
}
