//! Who comes in.

pub mod basic;
pub mod password;
pub mod slow_down;

pub use basic::{Authenticator, Refusal};
pub use password::{HashError, Hasher, random_password};
