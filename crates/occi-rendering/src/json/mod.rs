//! application/occi+json (GFD.226), and the nested form that rOCCI 4 and the drafts before it speak.

pub(crate) mod answer;
pub(crate) mod node;
pub(crate) mod read;
pub(crate) mod write;
