//! A black-box suite for any OCCI server: it knows the URL and a login, and what the documents of the standard and the
//! clients of the last fifteen years say. The name of a case begins with the lines of `checklist.txt` that it shows.
//!
//! It shares no code with our server. What came over the wire is kept as it came: order, spelling and number of header
//! lines, and the reason phrase, because there are clients that look at each of them.

mod answer;
mod cases;
mod client;
mod clients;
mod configured;
mod every;
mod options;
mod reading;
mod schema;
mod site;
mod suite;
mod thing;

pub use configured::{Configured, configured};
pub use options::{Options, Profile};
pub use site::Host;
pub use suite::{Case, run};
