//! What OCCI means, without HTTP: validate, authorise, choose a backend, run or queue, record, refresh, publish.

pub mod answer;
pub mod caller;
pub mod config;
pub mod engine;
pub mod error;
pub mod model;

mod action;
mod carrier;
mod change;
mod check;
mod collection;
mod console;
mod create;
mod delete;
mod events;
mod hot;
mod idempotency;
mod images;
mod inventory;
mod membership;
mod mixin;
mod operation;
mod pauses;
mod place;
mod plan;
mod policy;
mod project;
mod quota;
mod retrieve;
mod row;
mod sharing;
mod view;

pub use answer::{
    Call, Created, Deleted, Done, Found, Listing, ListingHead, OperationView, PathListing, Selection, Shown, Stamp,
    Where,
};
pub use caller::{Caller, Freshness, Page, Precondition, Principal, Wait};
pub use config::{EngineConfig, Retention, Source};
pub use console::Console;
pub use engine::Engine;
pub use error::{EngineError, FailureKind};
pub use events::{EventFilter, Told};
pub use images::{ProjectImage, of_bytes};
pub use model::ProjectModel;
pub use sharing::share;

/// What every verb of the engine returns.
pub type Result<T> = std::result::Result<T, EngineError>;
