//! The store in one SQLite file: WAL, full durability, one writer thread, readers without waiting.

mod copy;
mod engine;
mod store;
mod writer;

pub use copy::restore;
pub use store::SqliteStore;
