//! Links: where they lead, and where they are.

use crate::machine::Machine;
use crate::network::Network;
use crate::record::NicRecord;
use crate::site::Site;
use occi_backend::{BackendError, ErrorKind, Result, Target};
use std::sync::Arc;

/// The name under which this engine knows a target: native ids are our marks, except for what it makes by itself.
pub(crate) fn id(target: &Target) -> &str {
    target.native_id.as_deref().unwrap_or(target.mark.as_str())
}

/// The network that a link is to lead to.
pub(crate) fn target_network(site: &Site, target: &Target) -> Result<Arc<Network>> {
    site.network(id(target)).ok_or_else(|| {
        BackendError::new(
            ErrorKind::Conflict,
            "the network that the interface is to lead to does not exist",
        )
    })
}

/// The interface called `id`, and its machine.
pub(crate) fn find_nic(site: &Site, id: &str) -> Option<(Arc<Machine>, NicRecord)> {
    site.machines().into_iter().find_map(|machine| {
        let nic = machine.record.get().nics.iter().find(|nic| nic.mark == id).cloned()?;
        Some((machine, nic))
    })
}
