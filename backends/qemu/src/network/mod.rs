//! Networks: the steps of each verb and action.

pub(crate) mod processes;
pub(crate) mod switch;

use crate::error::refuse;
use crate::network::processes::Network;
use crate::record::NetworkRecord;
use crate::site::Site;
use crate::translate;
use ipnet::{Ipv4Net, Ipv6Net};
use occi_backend::{Acted, BackendError, Change, Context, Create, ErrorKind, Invocation, Picture, Result, names};
use occi_model::Attributes;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What a client wants of a network: its addresses, its gateway, and whether addresses are fixed.
fn wish(attributes: &Attributes) -> Result<(Option<Ipv4Net>, Option<Ipv4Addr>, bool)> {
    let text = |name: &str| attributes.get(name).and_then(|value| value.as_str());
    let subnet = match text("occi.network.address").map(|text| (text, text.parse::<Ipv4Net>())) {
        None => None,
        Some((_, Ok(subnet))) if (8..=29).contains(&subnet.prefix_len()) => Some(subnet.trunc()),
        Some((text, Ok(_))) => {
            return refuse(
                ErrorKind::Invalid,
                format!("{text} is too small or too large; /8 to /29 are taken"),
            );
        }
        Some((text, Err(_))) if text.parse::<Ipv6Net>().is_ok() => {
            return refuse(
                ErrorKind::Unsupported,
                "the qemu backend does not support IPv6 networks",
            );
        }
        Some((text, Err(_))) => return refuse(ErrorKind::Invalid, format!("{text} is no IPv4 network")),
    };
    let gateway = match text("occi.network.gateway").map(|text| (text, text.parse::<Ipv4Addr>())) {
        None => None,
        Some((_, Ok(gateway))) => Some(gateway),
        Some((text, Err(_))) => return refuse(ErrorKind::Invalid, format!("{text} is no IPv4 address")),
    };
    if let (Some(subnet), Some(gateway)) = (subnet, gateway)
        && (!subnet.contains(&gateway) || gateway == subnet.network() || gateway == subnet.broadcast())
    {
        return refuse(
            ErrorKind::Invalid,
            format!("the gateway {gateway} is not an address of {subnet}"),
        );
    }
    if let (None, Some(gateway)) = (subnet, gateway) {
        return refuse(
            ErrorKind::Invalid,
            format!("the gateway {gateway} needs an address for the network"),
        );
    }
    Ok((subnet, gateway, text("occi.network.allocation") == Some("static")))
}

pub(crate) fn admit(site: &Site, create: &Create) -> Result<()> {
    let (subnet, ..) = wish(&create.attributes)?;
    if subnet.is_none() {
        site.free_subnet()?;
    }
    Ok(())
}

/// Without a gateway a network is its guests' own; with one its guests get out there.
pub(crate) async fn create(site: &Arc<Site>, context: &Context, create: &Create) -> Result<Vec<Picture>> {
    let network = match site.network(create.mark.as_str()) {
        Some(network) => network,
        None => {
            let (subnet, gateway, fixed) = wish(&create.attributes)?;
            let (mark, project) = (create.mark.to_string(), context.scope.project.clone());
            let place = move |site: &Arc<Site>| {
                let subnet = match subnet {
                    Some(subnet) => subnet,
                    None => site.free_subnet()?,
                };
                Ok(site.add_network(NetworkRecord {
                    id: mark.clone(),
                    mark: Some(mark),
                    project,
                    user: site.free_user()?,
                    default: false,
                    subnet,
                    gateway,
                    fixed,
                    up: false,
                })?)
            };
            site.place::<_, BackendError>(place).await?
        }
    };
    context.step("network recorded").await?;
    context.accepted(&translate::network(&network)).await?;
    if create.bring_up {
        set_up(site, &network, true).await?;
        context.step("network up").await?;
    }
    Ok(vec![translate::network(&network)])
}

pub(crate) fn admit_change(site: &Site, network: &Network, change: &Change) -> Result<()> {
    changed(site, network, change).map(drop)
}

/// What a change makes of a network that is down and on which nobody is.
fn changed(site: &Site, network: &Network, change: &Change) -> Result<NetworkRecord> {
    let mut record = NetworkRecord::clone(&network.record.get());
    if record.up || !machines_on(site, &network.id).is_empty() {
        return refuse(
            ErrorKind::Conflict,
            "the addresses of a network can be changed while it is inactive and no interface leads to it",
        );
    }
    let unset = |name: &str| change.unset.iter().any(|unset| unset.as_str() == name);
    let mut all = translate::network(network).attributes;
    for (name, value) in change.set.iter() {
        all.set(name.clone(), value.clone());
    }
    let moves = change.set.get("occi.network.address").is_some();
    if unset("occi.network.gateway") {
        all.remove("occi.network.gateway");
    } else if moves && change.set.get("occi.network.gateway").is_none() {
        // The gateway moves with the addresses.
        if let (Some(_), Ok((Some(subnet), ..))) = (all.remove("occi.network.gateway"), wish(&all))
            && let Some(first) = subnet.hosts().next()
        {
            all.set(names::attribute("occi.network.gateway"), first.to_string());
        }
    }
    let (subnet, gateway, fixed) = wish(&all)?;
    record.subnet = subnet.unwrap_or(record.subnet);
    record.gateway = gateway;
    record.fixed = fixed;
    Ok(record)
}

pub(crate) async fn update(
    site: &Arc<Site>,
    context: &Context,
    network: &Arc<Network>,
    change: &Change,
) -> Result<Vec<Picture>> {
    let (own, wish) = (network.clone(), change.clone());
    let place = move |site: &Arc<Site>| {
        let wanted = changed(site, &own, &wish)?;
        own.record.blocking_change(|record| *record = wanted)?;
        Ok(())
    };
    site.place::<_, BackendError>(place).await?;
    context.step("change recorded").await?;
    Ok(vec![translate::network(network)])
}

async fn set_up(site: &Arc<Site>, network: &Arc<Network>, up: bool) -> Result<()> {
    network.record.change(move |record| record.up = up).await?;
    network.settle(site).await?;
    for machine in machines_on(site, &network.id) {
        site.publish_machine(&machine);
    }
    Ok(())
}

fn machines_on(site: &Site, id: &str) -> Vec<Arc<crate::compute::machine::Machine>> {
    let mut machines = site.machines();
    machines.retain(|machine| machine.record.get().nics.iter().any(|nic| nic.network == id));
    machines
}

pub(crate) async fn act(
    site: &Arc<Site>,
    context: &Context,
    network: &Arc<Network>,
    invocation: &Invocation,
) -> Result<Acted> {
    let up = invocation.action.term() == "up";
    set_up(site, network, up).await?;
    context.step(if up { "network up" } else { "network down" }).await?;
    let mut pictures = vec![translate::network(network)];
    let mut machines = machines_on(site, &network.id);
    machines.retain(|machine| machine.record.get().project == context.scope.project);
    for machine in machines {
        pictures.extend(translate::machine_and_links(site, &machine).into_iter().skip(1));
    }
    pictures.retain(|picture| {
        let target = picture.ends.as_ref().map(|ends| &ends.target.native_id);
        target.is_none_or(|target| *target == network.id)
    });
    Ok(Acted {
        pictures,
        template: None,
    })
}

pub(crate) async fn delete(site: &Arc<Site>, context: &Context, id: &str) -> Result<()> {
    let Some(network) = site.network(id) else {
        return Ok(());
    };
    {
        let _alone = site.placing.lock().await;
        // Whose they are is not said: they may be another project's.
        match machines_on(site, id).len() {
            0 => {}
            1 => return refuse(ErrorKind::InUse, "a compute is on the network"),
            several => return refuse(ErrorKind::InUse, format!("{several} computes are on the network")),
        }
        network.record.change(|record| record.up = false).await?;
        network.remove().await?;
        site.forget_network(id);
    }
    context.step("network removed").await
}
