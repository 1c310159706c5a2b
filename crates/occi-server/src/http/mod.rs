//! GFD.223: OCCI over HTTP.

mod answer;
mod ask;
mod collection;
mod console;
mod discovery;
mod entity;
mod events;
mod fault;
mod foreign;
mod images;
pub mod listen;
mod meters;
mod operation;
mod paths;
mod patience;
mod places;
mod ready;
pub mod serve;
pub mod service;
mod spelling;
pub(crate) mod status;
mod taking_over;
pub mod tls;
mod visit;
