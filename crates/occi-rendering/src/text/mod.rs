//! The text renderings (GFD.229; GFD.185, sections 3.5 and 3.6): four fields, as lines of a body ([`plain`]) or as HTTP
//! headers ([`occi`]).
//!
//! Real clients separate, quote and order things as they like, so there is one tokenizer ([`token`]) that knows quotes
//! and angle brackets, and nothing is ever split blindly at a comma or a semicolon. What is written follows the letter
//! of the grammar and the habits of the strictest readers known.

pub(crate) mod field;
pub(crate) mod message;
pub(crate) mod occi;
pub(crate) mod plain;
pub(crate) mod token;
pub(crate) mod write;
