//! `--debug`: what is sent and received, on stderr, with secrets masked.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::{HeaderMap, HeaderName, header};
use occi_client::transport::{Incoming, Secret, Wrapper};
use occi_client::{Request, Transport};
use std::sync::Arc;
use std::time::Instant;

/// So much of a body is shown.
const MOST: usize = 4096;

/// Shows every exchange.
pub(crate) fn wrapper() -> Wrapper {
    Arc::new(|inner| Arc::new(Traced { inner }))
}

#[derive(Debug)]
struct Traced {
    inner: Arc<dyn Transport>,
}

impl Transport for Traced {
    fn send(&self, request: Request) -> BoxFuture<'_, occi_client::Result<Incoming>> {
        async move {
            let is_secret = request.extensions().get::<Secret>().is_some();
            eprintln!("> {} {}", request.method(), shown_uri(request.uri()));
            show_headers('>', request.headers());
            show_body('>', request.body(), is_secret);
            let begun = Instant::now();
            match self.inner.send(request).await {
                Ok(Incoming { head, body }) => {
                    eprintln!("< {} after {} ms", head.status, begun.elapsed().as_millis());
                    show_headers('<', &head.headers);
                    let body = body.inspect(move |chunk| match chunk {
                        Ok(bytes) => show_body('<', bytes, is_secret),
                        Err(error) => eprintln!("< {error}"),
                    });
                    Ok(Incoming {
                        head,
                        body: body.boxed(),
                    })
                }
                Err(error) => {
                    eprintln!("< {error}");
                    Err(error)
                }
            }
        }
        .boxed()
    }
}

/// Without the user information that nobody should write there.
fn shown_uri(uri: &http::Uri) -> String {
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = uri.path_and_query().map(|path| path.as_str()).unwrap_or_default();
    format!("{}://{host}{path}", uri.scheme_str().unwrap_or("http"))
}

fn show_headers(side: char, headers: &HeaderMap) {
    for (name, value) in headers {
        let is_secret = value.is_sensitive() || is_known_secret(name);
        let value = match is_secret {
            true => "***".into(),
            false => String::from_utf8_lossy(value.as_bytes()),
        };
        eprintln!("{side} {name}: {}", printable(&value));
    }
}

fn is_known_secret(name: &HeaderName) -> bool {
    [header::AUTHORIZATION, header::SET_COOKIE, header::COOKIE].contains(name)
        || ["x-auth-token", "x-subject-token"].contains(&name.as_str())
}

fn show_body(side: char, body: &Bytes, is_secret: bool) {
    if body.is_empty() {
        return;
    }
    if is_secret {
        eprintln!("{side} (a body with secrets)");
        return;
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(MOST)]);
    for line in text.lines() {
        eprintln!("{side} {}", printable(line));
    }
    if body.len() > MOST {
        eprintln!("{side} ... ({} bytes)", body.len());
    }
}

/// What others sent moves no cursor.
fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}")
}
