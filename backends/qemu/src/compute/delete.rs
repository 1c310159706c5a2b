//! How a compute is taken away.

use crate::site::Site;
use occi_backend::{Context, Result};
use std::sync::Arc;

pub(crate) async fn delete(site: &Arc<Site>, context: &Context, id: &str) -> Result<()> {
    let machine = site.machine(id);
    // Nobody starts it any more until it is gone.
    let _off = match &machine {
        Some(machine) => {
            machine.end_if_silent().await?;
            let off = machine.power_off().await?;
            context.step("machine stopped").await?;
            Some(off)
        }
        None => None,
    };
    site.remove_machine(id).await?;
    context.step("machine removed").await
}
