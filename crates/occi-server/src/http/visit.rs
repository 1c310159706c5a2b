//! A request about what is no entity of OCCI: images, consoles, events.

use super::ask::{Manners, Query};
use super::fault::Fault;
use super::places::Place;
use super::service::{Service, no_place};
use crate::auth::Visitor;
use http::{HeaderMap, Method};
use occi_engine::Caller;
use std::sync::Arc;

/// What is known of such a request before anybody looks what it is about; the modules of these answer it.
pub(super) struct Visit<'a> {
    pub(super) service: &'a Arc<Service>,
    pub(super) method: &'a Method,
    /// Path and query, as they came.
    pub(super) target: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) query: &'a Query,
    pub(super) manners: &'a Manners,
    pub(super) caller: &'a Caller,
    pub(super) visitor: &'a Visitor,
}

impl Visit<'_> {
    /// One of the places that all answers share which last as long as their reader likes.
    pub(super) fn place(&self) -> Result<Place, Fault> {
        let taken = self.service.lasting.take(&self.caller.principal.name);
        taken.map_err(|full| no_place(full, "open consoles, followed logs, downloads and streams of events"))
    }
}
