//! Servers of a few lines. They end with the runtime of their test.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use occi_model::Registry;
use occi_rendering::render::{self, Categories};
use occi_rendering::{Agent, AttributeOrder, Base, MediaType, View};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
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

    /// A field of a form.
    pub(crate) fn field(&self, name: &str) -> String {
        let mut fields = url::form_urlencoded::parse(self.body.as_bytes());
        let found = fields.find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    /// A member of a JSON document.
    pub(crate) fn at(&self, path: &str) -> Option<String> {
        let document: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        document.pointer(path)?.as_str().map(str::to_owned)
    }
}

/// A server that answers what a function says.
pub(crate) struct Stub {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) -> Self {
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
                response
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    /// One that takes everybody, and says on request who that is: `occi api GET /who`.
    pub(crate) async fn of(name: &'static str) -> Self {
        Self::start(move |seen| match seen.target.as_str() {
            "/who" => text(200, who(name, seen)),
            _ => model(),
        })
        .await
    }

    /// What it has seen since the last time, as lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.iter().map(Seen::line).collect()
    }
}

/// `one: ann, project`, without any secret.
fn who(name: &str, seen: &Seen) -> String {
    use base64::Engine as _;
    let shown = seen.header("authorization");
    let who = match (shown.split_once(' '), seen.header("x-auth-token")) {
        (Some(("Basic", pair)), _) => {
            let pair = base64::engine::general_purpose::STANDARD.decode(pair).unwrap();
            let pair = String::from_utf8(pair).unwrap();
            let (user, password) = pair.split_once(':').unwrap();
            format!("{user} by {}", mark(password))
        }
        (Some(("Bearer", token)), _) => format!("bearer {}", mark(token)),
        (_, "") => "nobody".to_owned(),
        (_, token) => format!("token {}", mark(token)),
    };
    let project = match seen.header("x-occi-project") {
        "" => String::new(),
        project => format!(", {project}"),
    };
    format!("{name}: {who}{project}\n")
}

/// The last word of a secret, which is none.
fn mark(secret: &str) -> &str {
    secret.rsplit('-').next().unwrap()
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

/// The query interface of all documents.
pub(crate) fn model() -> Response<Body> {
    text(200, query_interface())
}

pub(crate) fn query_interface() -> Vec<u8> {
    let registry = Registry::standard();
    let order = AttributeOrder::of(&registry);
    let view = View {
        registry: &registry,
        base: &Base::new("http://cloud.example.org", ""),
        agent: Agent::default(),
        order: &order,
        limits: Default::default(),
    };
    let rendered = render::model(&Categories::of(&registry), &view, MediaType::TextPlain);
    rendered.unwrap().body
}

/// A server of bytes: each connection is given to a function, which starts with the line of the request.
pub(crate) async fn raw<A, F>(answer: A) -> String
where
    A: Fn(String, TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
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
            let line = String::from_utf8_lossy(&head)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            tokio::spawn(answer(line, stream));
        }
    });
    url
}
