//! Who comes in.

pub mod basic;
pub mod origin;
pub mod owners;
pub mod password;
pub mod sight;
pub mod slow_down;

pub use basic::{Authenticator, Refusal, Visitor, owner_name};
pub use password::{HashError, Hasher, random_password};
pub use sight::Sight;
