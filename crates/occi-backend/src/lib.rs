//! The contract every engine behind `occid` fulfils.
//!
//! A backend turns one OCCI verb into native calls and native objects into [`Picture`]s. It holds no state of its own
//! beyond caches of templates, catalogues and tokens: what exists is what the engine behind it says, and what the
//! engine has no place for lives in the server's store. Read [`Backend`] first: its documentation is the contract, and
//! the contract suite runs it against every implementation.

pub mod capability;
pub mod console;
pub mod context;
pub mod contract;
pub mod deadline;
pub mod error;
pub mod images;
pub mod layers;
pub mod names;
pub mod native;
#[cfg(feature = "suite")]
pub mod suite;
pub mod support;
pub mod verb;

pub use capability::{
    ActionCapability, Capabilities, Fidelity, KindCapability, Locality, MethodCapability, UpdateCapability,
};
pub use console::{Consoles, Line, LogPart};
pub use context::{Context, Interrupted, Journal, Scope};
pub use contract::{Acted, Backend, Change, Create, CreateLink, Invocation, LinkEnds};
pub use deadline::Deadline;
pub use error::{BackendError, ErrorKind, Outcome};
pub use images::{Append, Image, ImageFormat, Images, NewUpload, ReadImage, Sha256, Upload, UploadState};
pub use native::{Catalogue, Event, Listing, NativeEnds, NativeId, NativeRef, Picture, Target, Template, TemplateKind};
pub use support::support_table;
pub use verb::Verb;

/// What every verb of a backend returns.
pub type Result<T> = std::result::Result<T, BackendError>;
