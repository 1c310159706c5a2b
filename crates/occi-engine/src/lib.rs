//! What OCCI means, without HTTP: validate, authorise, choose a backend, run or queue, record, refresh, publish.

pub mod answer;
pub mod caller;
pub mod error;

pub use answer::{Call, Created, Deleted, Done, Found, OperationView, Selection, Where};
pub use caller::{Caller, Freshness, Page, Precondition, Principal, Wait};
pub use error::{EngineError, FailureKind};

/// What every verb of the engine returns.
pub type Result<T> = std::result::Result<T, EngineError>;
