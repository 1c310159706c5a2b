//! The OCCI model (GFD.221) and its published extensions, without any input or output.
//!
//! A [`Registry`] holds every [`Kind`], [`Mixin`] and [`Action`] that a service offers. The extension
//! documents are tables ([`core`], [`infrastructure`], [`templates`], [`production`]) and one interpreter
//! reads them all: a new kind is a new row, not new code. What a client sends becomes an [`EntityDraft`];
//! [`Registry`] checks it against the effective definitions and yields typed values.

pub mod builder;
pub mod category;
pub mod check;
mod coercion;
pub mod core;
pub mod definitions;
pub mod draft;
pub mod entity;
pub mod ident;
pub mod infrastructure;
pub mod lifecycle;
pub mod production;
pub mod registry;
pub mod table;
pub mod templates;
pub mod userdata;
pub mod value;

pub use builder::RegistryBuilder;
pub use category::{Action, AttributeDefinition, Category, Class, Kind, Mixin, Origin, ValueType};
pub use check::{Change, NewEntity, NewLink, NewShape, Stage, Violation, ViolationKind};
pub use definitions::{Definitions, Effective};
pub use draft::{EntityDraft, Input, LinkDraft, MixinDraft};
pub use entity::{Attributes, Entity, LinkEnd, Shape};
pub use ident::{AttributeName, EntityId, IdentError, Location, Term, TypeId};
pub use lifecycle::{Lifecycle, Transition};
pub use registry::{ModelError, Registry, ResolveError};
pub use value::Value;
