//! Servers of a few lines. They end with the runtime of their test.

#[expect(dead_code, reason = "shared with the tests of the client")]
#[path = "../../../occi-client/tests/client/stub.rs"]
mod servers;

pub(crate) use servers::{Seen, Stub, answer, json, text, with};

use axum::body::Body;
use http::Response;
use occi_model::Registry;
use occi_rendering::render::{self, Categories};
use occi_rendering::{Agent, AttributeOrder, Base, MediaType, View};
use tokio::net::TcpStream;

impl Seen {
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

impl Stub {
    /// One that takes everybody, and says on request who that is: `occi api GET /who`.
    pub(crate) async fn of(name: &'static str) -> Self {
        Self::start(move |seen| match seen.target.as_str() {
            "/who" => text(200, who(name, seen)),
            _ => model(),
        })
        .await
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
    servers::raw(move |_, head, stream| answer(head.lines().next().unwrap_or_default().to_owned(), stream)).await
}
