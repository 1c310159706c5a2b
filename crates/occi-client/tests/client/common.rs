//! What the tests share.

use occi_client::{AttributeName, Input, Model, Request, TypeId, Value};
use occi_model::Registry;
use occi_rendering::render::{self, Categories};
use occi_rendering::response::{self, Answer};
use occi_rendering::{Agent, AttributeOrder, Base, MediaType, View};

pub(crate) const COMPUTE: &str = "http://schemas.ogf.org/occi/infrastructure#compute";
pub(crate) const NETWORK: &str = "http://schemas.ogf.org/occi/infrastructure#network";

pub(crate) fn id(text: &str) -> TypeId {
    text.parse().unwrap()
}

pub(crate) fn typed(name: &str, value: impl Into<Value>) -> (AttributeName, Input) {
    (name.parse().unwrap(), Input::Typed(value.into()))
}

/// The query interface of all documents, as a server renders it.
pub(crate) fn query_interface(media: MediaType, base: &Base) -> Vec<u8> {
    let registry = Registry::standard();
    let order = AttributeOrder::of(&registry);
    let view = View {
        registry: &registry,
        base,
        agent: Agent::default(),
        order: &order,
        limits: Default::default(),
    };
    render::model(&Categories::of(&registry), &view, media).unwrap().body
}

/// The model that a client makes of it.
pub(crate) fn model(media: MediaType) -> Model {
    let base = Base::new("http://cloud.example.org", "");
    let body = query_interface(media, &base);
    let answer = Answer {
        status: 200,
        fields: &[("content-type", media.content_type().as_bytes())],
        body: &body,
        base: &base,
    };
    response::model(&answer).unwrap().into()
}

/// A request as it goes over the wire, but for what the connection adds.
pub(crate) fn wire(request: &Request) -> String {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        if name != "user-agent" {
            text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        }
    }
    format!("{text}\n{}", std::str::from_utf8(request.body()).unwrap())
}
