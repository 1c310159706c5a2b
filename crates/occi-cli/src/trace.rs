//! `--debug`: what is sent and received, on stderr, with secrets masked.

use crate::mask;
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

/// Looks at every exchange: what goes out as a secret is masked from then on. Shows them if that is wanted.
pub(crate) fn wrapper(is_shown: bool) -> Wrapper {
    Arc::new(move |inner| Arc::new(Traced { inner, is_shown }))
}

#[derive(Debug)]
struct Traced {
    inner: Arc<dyn Transport>,
    is_shown: bool,
}

impl Transport for Traced {
    fn send(&self, request: Request) -> BoxFuture<'_, occi_client::Result<Incoming>> {
        for value in request.headers().values().filter(|value| value.is_sensitive()) {
            let value = value.to_str().unwrap_or_default();
            // With the word in front, and without.
            mask::hide(value);
            mask::hide(value.rsplit(' ').next().unwrap_or_default());
        }
        if !self.is_shown {
            return self.inner.send(request);
        }
        async move {
            let is_secret = request.extensions().get::<Secret>().is_some();
            eprintln!("> {} {}", request.method(), without_user(&request.uri().to_string()));
            show_headers('>', request.headers());
            show_body('>', request.body(), is_secret);
            let begun = Instant::now();
            match self.inner.send(request).await {
                Ok(Incoming { head, body }) => {
                    eprintln!("< {} after {} ms", head.status, begun.elapsed().as_millis());
                    show_headers('<', &head.headers);
                    let body = body.inspect(move |chunk| match chunk {
                        Ok(bytes) => show_body('<', bytes, is_secret),
                        Err(error) => eprintln!("< {}", printable(&error.to_string())),
                    });
                    Ok(Incoming {
                        head,
                        body: body.boxed(),
                    })
                }
                Err(error) => {
                    eprintln!("< {}", printable(&error.to_string()));
                    Err(error)
                }
            }
        }
        .boxed()
    }
}

/// Without the user information that nobody should write there.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let start = rest[..end].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[start..])
}

fn show_headers(side: char, headers: &HeaderMap) {
    for (name, value) in headers {
        let is_secret = value.is_sensitive() || is_known_secret(name);
        let value = match is_secret {
            true => "***".into(),
            false => String::from_utf8_lossy(value.as_bytes()),
        };
        eprintln!("{side} {name}: {}", printable(&without_user(&value)));
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

/// What others sent moves no cursor, and repeats no secret.
fn printable(text: &str) -> String {
    mask::masked(text).replace(|c: char| c.is_control() && c != '\t', "\u{fffd}")
}
