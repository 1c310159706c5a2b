//! The store in a PostgreSQL database, which several servers may share: one transaction per command, rows locked before
//! they are judged, repeated where the database asks for it.

mod engine;
mod store;

pub use store::PostgresStore;
