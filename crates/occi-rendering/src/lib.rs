//! The OCCI renderings: bytes to model values and back.
//!
//! A request comes as an [`Incoming`]; which function of [`request`] reads it depends on what the request is for. They
//! read every media type and accept what real clients send. Answers are written by [`render`] for one [`MediaType`], as
//! [`Rendered`] headers and bytes, in the form that the strictest known readers accept.
//!
//! Nothing here knows HTTP: headers come in as names and bytes and go out as names and text. [`compose`] and
//! [`response`] are the other way round, for clients: requests to write and answers to read.
//!
//! ```
//! use occi_model::Registry;
//! use occi_rendering::{Accept, Agent, AttributeOrder, Base, Incoming, MediaType, View, content_type, render, request};
//!
//! let registry = Registry::standard();
//! let base = Base::new("http://127.0.0.1:8787", "");
//! let body = br#"Category: compute; scheme="http://schemas.ogf.org/occi/infrastructure#"; class="kind"
//! X-OCCI-Attribute: occi.compute.cores=2"#;
//! let media = content_type([&b"text/plain,text/occi"[..]], false, body)?.expect("there is a body");
//! let incoming = Incoming { media, fields: &[], body, registry: &registry, base: &base, agent: Agent::default() };
//! let draft = request::entity(&incoming)?;
//! assert_eq!(draft.kind.unwrap().term(), "compute");
//!
//! let accept = Accept::parse([&b"text/occi;q=0.2, text/uri-list"[..]]);
//! let media = accept.choose(&[MediaType::TextPlain, MediaType::UriList]).expect("else 406");
//! let order = AttributeOrder::of(&registry);
//! let view = View { registry: &registry, base: &base, agent: Agent::default(), order: &order, limits: Default::default() };
//! let answer = render::locations(["/compute/1"], &view, media)?;
//! assert_eq!(answer.body, b"http://127.0.0.1:8787/compute/1\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agent;
mod base;
pub mod compose;
mod error;
mod json;
mod negotiation;
pub mod render;
pub mod request;
mod resolve;
pub mod response;
mod text;
mod uri_list;

pub use agent::Agent;
pub use base::Base;
pub use error::{ComposeError, ParseError, ParseErrorKind, RenderError};
pub use negotiation::{Accept, MediaType, Unsupported, accepted, content_type, is_occi_field};
pub use render::{AttributeOrder, Rendered, View};
pub use request::Incoming;
