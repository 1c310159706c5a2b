//! The contract every engine behind occid fulfils.
