//! The lines of `checklist.txt`, area by area.

mod collections;
mod core;
mod entities;
mod hostile;
mod infra;
mod json;
mod operations;
mod protocol;
mod query;
mod tenancy;
mod text;

use crate::suite::Case;

pub(crate) use core::{IPNETWORK, PROFILE};

pub(crate) fn all() -> Vec<Case> {
    let areas = [
        core::cases(),
        query::cases(),
        entities::cases(),
        collections::cases(),
        protocol::cases(),
        text::cases(),
        json::cases(),
        infra::cases(),
        operations::cases(),
        tenancy::cases(),
        hostile::cases(),
    ];
    areas.into_iter().flatten().collect()
}
