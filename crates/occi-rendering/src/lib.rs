//! The OCCI renderings: bytes to model values and back.
//!
//! A request comes as an [`Incoming`]; which function of [`request`] reads it depends on what the request is for. They
//! read every media type and accept what real clients send. Answers are written by [`render`] for one [`MediaType`], as
//! [`Rendered`] headers and bytes, in the form that the strictest known readers accept.
//!
//! Nothing here knows HTTP: headers come in as names and bytes and go out as names and text.

mod agent;
mod base;
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
pub use error::{ParseError, ParseErrorKind, RenderError};
pub use negotiation::{Accept, MediaType, Unsupported, accepted, content_type, is_occi_field};
pub use render::{AttributeOrder, Rendered, View};
pub use request::Incoming;
