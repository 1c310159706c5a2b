//! `--debug`: what is sent and received, on stderr, with secrets masked.

use crate::mask;
use crate::progress;
use crate::words::say;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::{HeaderMap, HeaderName, header};
use occi_client::Request;
use occi_client::transport::{Incoming, Secret, Transport, Wrapper};
use regex::Regex;
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

/// So much of a body is shown.
const MOST: usize = 4096;

/// Looks at every exchange: what goes out as a secret is masked from then on, and what changes something is noted. Shows
/// them if that is wanted.
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
        // A log-in is a POST too, and changes nothing.
        if !request.method().is_safe() && request.extensions().get::<Secret>().is_none() {
            progress::changes();
        }
        if !self.is_shown {
            return self.inner.send(request);
        }
        async move {
            let is_secret = request.extensions().get::<Secret>().is_some();
            say(format!(
                "> {} {}",
                request.method(),
                without_user(&request.uri().to_string())
            ));
            show_headers('>', request.headers());
            Shown::new('>', is_secret).add(request.body());
            let begun = Instant::now();
            match self.inner.send(request).await {
                Ok(Incoming { head, body }) => {
                    say(format!("< {} after {} ms", head.status, begun.elapsed().as_millis()));
                    show_headers('<', &head.headers);
                    let mut shown = Shown::new('<', is_secret);
                    let body = body.inspect(move |chunk| match chunk {
                        Ok(bytes) => shown.add(bytes),
                        Err(error) => say(format!("< {error}")),
                    });
                    Ok(Incoming {
                        head,
                        body: body.boxed(),
                    })
                }
                Err(error) => {
                    say(format!("< {error}"));
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
        say(format!("{side} {name}: {}", without_values(&without_user(&value))));
    }
}

/// Whether a header of this name holds a credential.
pub(crate) fn is_known_secret(name: &HeaderName) -> bool {
    [header::AUTHORIZATION, header::SET_COOKIE, header::COOKIE].contains(name)
        || ["x-auth-token", "x-subject-token"].contains(&name.as_str())
}

/// A body as far as it is shown: line by line as it comes, and no further than [`MOST`].
struct Shown {
    side: char,
    is_secret: bool,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    seen: usize,
}

impl Shown {
    fn new(side: char, is_secret: bool) -> Self {
        Self {
            side,
            is_secret,
            begun: Vec::new(),
            seen: 0,
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let before = self.seen;
        self.seen += bytes.len();
        if self.is_secret {
            if before == 0 && self.seen > 0 {
                say(format!("{} (a body with secrets)", self.side));
            }
            return;
        }
        self.begun
            .extend(&bytes[..bytes.len().min(MOST.saturating_sub(before))]);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            self.line(&line[..end]);
        }
        if before <= MOST && self.seen > MOST {
            let rest = std::mem::take(&mut self.begun);
            self.line(&rest);
        }
    }

    fn line(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        say(format!("{} {}", self.side, without_values(text.trim_end_matches('\r'))));
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if !self.begun.is_empty() {
            self.line(&self.begun);
        }
        if self.seen > MOST && !self.is_secret {
            say(format!("{} ... ({} bytes)", self.side, self.seen));
        }
    }
}

/// What goes into machines, and passwords of theirs, in whichever rendering: user data often holds secrets.
fn without_values(text: &str) -> Cow<'_, str> {
    static VALUES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let name = r#"(?:user_?data|admin_?(?:pwd|pass))[\w.]*"?\s*[=:]\s*"#;
        Regex::new(&format!(r#"(?i)({name})(?:"(?:[^"\\]|\\.)*"?|[^\s,;\}}"]+)"#)).ok()
    });
    match &*VALUES {
        Some(values) => values.replace_all(text, "${1}***"),
        None => "***".into(),
    }
}
