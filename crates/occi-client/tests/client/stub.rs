//! Servers of other people, as far as a test needs them: each answers in a few lines what that one answers.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use occi_client::{Builder, Client, Limits, Retries};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `GET /compute/`
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// In the extensions of an answer that never comes.
#[derive(Clone)]
pub(crate) struct Withheld;

/// A server that answers what a function says. It ends with the runtime of its test.
pub(crate) struct Stub {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    pub(crate) async fn start<A>(answer: A) -> Self
    where
        A: Fn(&Seen) -> Response<Body> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let answer = Arc::new(answer);
        let app = axum::Router::new().fallback(move |request: Request<Body>| {
            let (log, answer) = (log.clone(), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let seen = Seen {
                    method: head.method,
                    target: head.uri.path_and_query().unwrap().to_string(),
                    headers: head.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                };
                let response = answer(&seen);
                log.lock().unwrap().push(seen);
                if response.extensions().get::<Withheld>().is_some() {
                    std::future::pending::<()>().await;
                }
                response
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    pub(crate) fn builder(&self) -> Builder {
        builder(&self.url)
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    /// What it has seen since the last time.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// The same as lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }
}

/// Fast, and patient enough for a busy machine.
pub(crate) fn builder(url: &str) -> Builder {
    let mut retries = Retries::default();
    retries.first = Duration::from_millis(1);
    retries.longest = Duration::from_secs(1);
    let mut limits = Limits::default();
    limits.connect = Duration::from_secs(20);
    limits.read = Duration::from_secs(20);
    Client::builder(url.parse().unwrap()).retries(retries).limits(limits)
}

pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(Body::from(body.into()))
        .unwrap()
}

pub(crate) fn text(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", body)
}

pub(crate) fn json(status: u16, body: &serde_json::Value) -> Response<Body> {
    answer(status, "application/json", body.to_string())
}

pub(crate) fn with(mut response: Response<Body>, name: &'static str, value: &str) -> Response<Body> {
    response.headers_mut().append(name, value.parse().unwrap());
    response
}

/// A recorded answer, as it goes over the wire.
pub(crate) fn recorded(file: &str, host: &str) -> Response<Body> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../occi-rendering/tests/samples/wild/");
    let recording = std::fs::read_to_string(format!("{folder}{file}"))
        .unwrap()
        .replace("\r\n", "\n");
    // The servers knew their own name.
    let recording = ["cloud.example.org:11443", "cloud.example.org:8787"]
        .iter()
        .fold(recording, |text, name| text.replace(name, host));
    let (head, body) = recording
        .split_once("\n\n")
        .unwrap_or_else(|| (recording.trim_end(), ""));
    let mut lines = head.lines();
    let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut response = Response::builder().status(status);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        if !name.eq_ignore_ascii_case("content-length") {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(body.to_owned())).unwrap()
}

/// A server of bytes: each connection is given to a function of its number, which starts with what it has read of the
/// request's head.
pub(crate) async fn raw<A, F>(answer: A) -> String
where
    A: Fn(usize, String, TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            // Who wants to encrypt is answered at once.
            while !head.windows(4).any(|end| end == b"\r\n\r\n") && !head.starts_with(&[0x16]) {
                let mut piece = [0; 4096];
                let Ok(read @ 1..) = stream.read(&mut piece).await else {
                    break;
                };
                head.extend_from_slice(&piece[..read]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            tokio::spawn(answer(number, head, stream));
        }
    });
    url
}

/// The same, where every connection gets these bytes and its end.
pub(crate) async fn bytes(answer: &'static str) -> String {
    raw(move |_, _, mut stream| async move {
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    })
    .await
}
