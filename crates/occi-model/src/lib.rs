//! The OCCI model (GFD.221) and its published extensions, without any input or output.
//!
//! A [`Registry`] holds every [`Kind`], [`Mixin`] and [`Action`] that a service offers. The extension
//! documents are tables ([`core`], [`infrastructure`], [`templates`], [`production`]) and one interpreter
//! reads them all: a new kind is a new row, not new code. What a client sends becomes an [`EntityDraft`];
//! [`Registry`] checks it against the effective definitions and yields typed values.

pub mod category;
pub mod draft;
pub mod entity;
pub mod ident;
pub mod lifecycle;
pub mod registry;
pub mod value;

pub use category::{Action, AttributeDefinition, Category, Kind, Mixin, Origin, ValueType};
pub use draft::{EntityDraft, Input, LinkDraft};
pub use entity::{Attributes, Entity, LinkEnd, Shape};
pub use ident::{AttributeName, EntityId, IdentError, Location, Term, TypeId};
pub use lifecycle::{Lifecycle, Transition};
pub use registry::{ModelError, Registry};
pub use value::Value;
