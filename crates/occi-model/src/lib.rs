//! The OCCI model (GFD.221) and its published extensions, without any input or output.
//!
//! A [`Registry`] holds every [`Kind`], [`Mixin`] and [`Action`] that a service offers. The extension
//! documents are tables ([`core`], [`infrastructure`], [`templates`], [`production`]) and one interpreter
//! reads them all: a new kind is a new row, not new code. What a client sends becomes an [`EntityDraft`];
//! [`Registry`] checks it against the effective definitions and yields typed values.
//!
//! ```
//! use occi_model::{EntityDraft, Input, Registry, infrastructure};
//!
//! let model = Registry::builder()
//!     .documents()
//!     .retain_kinds(|kind| *kind == *infrastructure::STORAGE)
//!     .build()?;
//! let mut draft = EntityDraft { kind: Some(infrastructure::STORAGE.parse()?), ..EntityDraft::default() };
//! let violation = model.check_create(&draft).unwrap_err();
//! assert_eq!(violation.to_string(), "this storage needs occi.storage.size: a number greater than 0");
//!
//! draft.attributes.push(("occi.storage.size".parse()?, Input::Quoted("10".to_owned())));
//! let storage = model.check_create(&draft)?;
//! assert_eq!(storage.attributes.get("occi.storage.size"), Some(&10.0.into()));
//! assert_eq!(storage.attributes.get("occi.storage.state"), Some(&"offline".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub use check::{Change, NewEntity, NewLink, NewMixin, NewShape, Stage, Violation, ViolationKind};
pub use definitions::{Definitions, Effective};
pub use draft::{EntityDraft, Input, LinkDraft, MixinDraft};
pub use entity::{Attributes, Entity, LinkEnd, Shape};
pub use ident::{AttributeName, EntityId, IdentError, Location, Term, TypeId};
pub use lifecycle::{Lifecycle, Transition};
pub use registry::{ModelError, Registry, ResolveError};
pub use value::Value;
