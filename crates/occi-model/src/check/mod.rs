//! The rules that a request must keep (GFD.221): what a client describes becomes typed values or a
//! [`Violation`].
//!
//! The checks run in one order, so that a request with several faults always gets the same answer: limits, kind,
//! mixins, where they apply, attribute names, what is immutable, values, what is missing, links, conflicts. Whether a
//! link's target exists, whether a path is free and what the state allows is for the caller, who knows the entities.
//!
//! | attribute | create | partial update | replacement |
//! | --- | --- | --- | --- |
//! | mutable, given | set | set | set |
//! | mutable, absent | default or unset; required: refused | unchanged | default or unset; required: refused |
//! | immutable, absent | the provider's | unchanged | unchanged |
//! | immutable, as it is or will be | ignored | ignored | ignored |
//! | immutable, different | refused | refused | refused |
//! | `occi.core.id`, `*.state`, `*.state.message` | ignored | as any immutable | states ignored |
//!
//! The values of a resource template win over those that come in the same request. Templates, keys and user data survive a replacement that does
//! not name them, with their attributes.

mod action;
mod addresses;
mod change;
mod create;
mod ends;
mod given;
mod mixins;
mod violation;

pub use change::Change;
pub use create::{NewEntity, NewLink, NewShape};
pub use given::{MAX_ATTRIBUTES, MAX_CATEGORIES};
pub use mixins::{MAX_DEPENDS, MAX_MIXIN_BYTES, NewMixin, Stage};
pub use violation::{Violation, ViolationKind};
