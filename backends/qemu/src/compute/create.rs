//! How a compute is made: what is wanted, its image, and its place.

use crate::compute::act::reserve;
use crate::compute::command_line::MAX_NICS;
use crate::compute::files::complete;
use crate::compute::machine::{Machine, Status};
use crate::compute::seed;
use crate::error::refuse;
use crate::host::blocking::blocking;
use crate::image::bases::Frozen;
use crate::image::{Image, Images, Refusal};
use crate::links;
use crate::network::processes::Network;
use crate::network::switch::Mac;
use crate::placing::Reservation;
use crate::record::{MachineRecord, NetworkRecord, NicRecord, Wanted};
use crate::site::Site;
use crate::translate::{self, bytes, mib};
use occi_backend::{Context, Create, CreateLink, ErrorKind, Picture, Result, Scope, names};
use occi_model::{Attributes, Term, infrastructure, templates, userdata};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What a client wants of a compute, in this engine's units.
struct Wish<'a> {
    image: &'a Image,
    cores: u32,
    memory: f64,
    ephemeral: Option<f64>,
    hostname: Option<&'a str>,
    key: Option<&'a str>,
    user_data: Option<&'a str>,
}

pub(super) fn text<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// What `create` asks for besides its image, and whether that can be.
fn wish<'a>(image: &'a Image, create: &'a Create) -> Result<Wish<'a>> {
    let attributes = &create.attributes;
    let number = |name: &str| attributes.get(name).and_then(occi_model::Value::as_f64);
    let cores = attributes
        .get("occi.compute.cores")
        .and_then(occi_model::Value::as_i64)
        .unwrap_or(1);
    let memory = number("occi.compute.memory").unwrap_or(1.0);
    let memory_mib = mib(memory);
    if memory_mib < image.min_memory_mib() {
        return refuse(
            ErrorKind::Invalid,
            format!(
                "{} needs at least {} MiB of memory, and {memory_mib} MiB were asked for",
                image.term,
                image.min_memory_mib()
            ),
        );
    }
    if attributes
        .get("occi.compute.architecture")
        .is_some_and(|value| value.as_str() == Some("x86"))
    {
        return refuse(
            ErrorKind::Invalid,
            "this host runs computes of the architecture x64 only",
        );
    }
    let key = text(attributes, infrastructure::SSH_PUBLIC_KEY);
    let user_data = text(attributes, infrastructure::USERDATA);
    let size = user_data.map_or(0, |sent| userdata::read(sent).content.len());
    if size > seed::LARGEST_USER_DATA {
        return refuse(
            ErrorKind::Invalid,
            format!(
                "user data has {size} bytes; at most {} are taken",
                seed::LARGEST_USER_DATA
            ),
        );
    }
    Ok(Wish {
        image,
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        memory,
        ephemeral: number(templates::EPHEMERAL_SIZE),
        hostname: text(attributes, "occi.compute.hostname"),
        key,
        user_data,
    })
}

/// The image that a compute of this project boots: the one that is asked for, or the default.
pub(super) fn image_of(site: &Site, scope: &Scope, asked: Option<&Term>) -> Result<Image> {
    let images = site.images(&scope.project);
    let asked = asked.map(Term::as_str);
    let wanted = asked.or(site.config.default_image.as_deref());
    let image = match asked {
        Some(name) => images.get(name),
        None => site.default_image(&images),
    };
    match (image, wanted) {
        (Some(image), _) => Ok(image.clone()),
        (None, Some(name)) => no_image(&images, name),
        (None, None) => refuse(
            ErrorKind::CapacityExhausted,
            "there is no image to boot from; the operator has to put one into an image directory",
        ),
    }
}

fn no_image<T>(images: &Images, name: &str) -> Result<T> {
    match images.refusal(name) {
        // Asked for again, it is there.
        Some(why @ Refusal::Written) => refuse(ErrorKind::RateLimited, format!("use the image {name}: {why}")),
        Some(why) => refuse(ErrorKind::Invalid, format!("the image {name} cannot be used: {why}")),
        None => refuse(ErrorKind::Invalid, format!("there is no image {name} to boot from")),
    }
}

/// The check before anything is recorded.
pub(crate) async fn admit(site: &Arc<Site>, scope: &Scope, create: &Create) -> Result<()> {
    site.host().await?;
    if site.machine(create.mark.as_str()).is_some() {
        return Ok(());
    }
    let (site, scope, create) = (site.clone(), scope.clone(), create.clone());
    blocking(move || {
        let image = image_of(&site, &scope, create.os_template.as_ref())?;
        check(&site, &scope, &create, &wish(&image, &create)?)
    })
    .await
}

/// Keeps the image as it is now that a compute is to boot.
pub(super) async fn freeze(site: &Arc<Site>, context: &Context, asked: Option<&Term>) -> Result<Frozen> {
    let (library, scope, asked) = (site.clone(), context.scope.clone(), asked.cloned());
    let image = blocking(move || image_of(&library, &scope, asked.as_ref())).await?;
    Ok(site.freeze(image, context).await?)
}

fn check(site: &Site, scope: &Scope, create: &Create, wish: &Wish<'_>) -> Result<()> {
    // As for a volume: its guest may fill them.
    let disks = wish.image.header.size.saturating_add(wish.ephemeral.map_or(0, bytes));
    site.check_size(wish.cores, mib(wish.memory))?;
    site.check_disk_size(disks)?;
    site.check_room(create.mark.as_str(), wish.cores, mib(wish.memory))?;
    site.check_disk(disks)?;
    let nics = create
        .links
        .iter()
        .filter(|link| link.kind == *names::NETWORKINTERFACE)
        .count();
    if nics > usize::from(MAX_NICS) {
        return refuse(
            ErrorKind::Invalid,
            format!("a compute has room for {MAX_NICS} network interfaces, and {nics} were asked for"),
        );
    }
    for link in &create.links {
        match &link.target {
            Some(target) if link.kind == *names::STORAGELINK => drop(links::target_volume(site, target)?),
            Some(target) => drop(links::target_network(site, scope, target)?),
            None => {}
        }
    }
    Ok(())
}

pub(crate) async fn create(site: &Arc<Site>, context: &Context, create: &Create) -> Result<Vec<Picture>> {
    let (machine, _room) = match site.machine(create.mark.as_str()) {
        Some(machine) => {
            let to_start = create.bring_up && !machine.status().has_process();
            let room = to_start.then(|| reserve(site, &machine)).transpose()?;
            (machine, room)
        }
        None => {
            let machine = site.host().await?.machine.clone();
            let frozen = freeze(site, context, create.os_template.as_ref()).await?;
            let (scope, create) = (context.scope.clone(), create.clone());
            let placed = site
                .place(move |site| place(site, &scope, &create, machine, &frozen))
                .await?;
            context.step("machine recorded").await?;
            placed
        }
    };
    complete(site, context, &machine).await?;
    context.accepted(&translate::machine(&machine)).await?;
    if create.bring_up && machine.status() != Status::Running {
        machine.power_on(Some(context)).await?;
        context.step("machine started").await?;
    } else {
        machine.look().await?;
    }
    Ok(with_networks(site, &machine))
}

/// Gives a new machine its place: name, addresses, image, and room if it is to start. Only a record is made.
fn place(
    site: &Arc<Site>,
    scope: &Scope,
    create: &Create,
    machine: String,
    frozen: &Frozen,
) -> Result<(Arc<Machine>, Option<Reservation>)> {
    let wish = wish(&frozen.image, create)?;
    check(site, scope, create, &wish)?;
    let room = || site.reserve(create.mark.as_str(), wish.cores, mib(wish.memory));
    let room = create.bring_up.then(room).transpose()?;
    let mut nics: Vec<NicRecord> = Vec::new();
    for link in create.links.iter().filter(|link| link.kind == *names::NETWORKINTERFACE) {
        let index = u8::try_from(nics.len()).unwrap_or(MAX_NICS);
        let network = match &link.target {
            Some(target) => links::target_network(site, scope, target)?,
            None => site.default_network(&scope.project)?,
        };
        nics.push(place_nic(site, &network, link, index, &nics)?);
    }
    let mut record = MachineRecord {
        mark: create.mark.to_string(),
        project: scope.project.clone(),
        user: site.free_user()?,
        made: false,
        fresh_root: false,
        wanted: Wanted::Off,
        hostname: wish.hostname.map(str::to_owned),
        cores: wish.cores,
        memory: wish.memory,
        template: wish.image.term.to_string(),
        base: frozen.base.clone(),
        ssh_user: wish.image.ssh_user().map(str::to_owned),
        machine,
        key: wish.key.map(|key| key.trim().to_owned()),
        user_data: wish.user_data.map(str::to_owned),
        ephemeral: wish.ephemeral,
        nics,
        disks: Vec::new(),
        former_nics: Vec::new(),
        former_disks: Vec::new(),
        hardware: Vec::new(),
        restart: None,
    };
    for link in create.links.iter().filter(|link| link.kind == *names::STORAGELINK) {
        let Some(target) = &link.target else {
            return refuse(ErrorKind::Invalid, "a link to a storage needs a target");
        };
        let disk = links::place_disk(site, &record, link, target)?;
        record.disks.push(disk);
    }
    Ok((site.add_machine(record)?, room))
}

/// A guest on two networks with the same addresses would not know where to send.
fn refuse_two_ways(site: &Site, network: &NetworkRecord, others: &[NicRecord]) -> Result<()> {
    let others = others.iter().filter(|nic| nic.network != network.id);
    for other in others.filter_map(|nic| site.network(&nic.network)) {
        let subnet = other.record.get().subnet;
        if subnet.contains(&network.subnet) || network.subnet.contains(&subnet) {
            return refuse(
                ErrorKind::Conflict,
                format!(
                    "an interface of the compute leads to another network whose addresses {subnet} meet {}; give one of the \
                     networks other addresses",
                    network.subnet
                ),
            );
        }
    }
    Ok(())
}

/// Gives an interface its addresses. For [`Site::place`].
pub(crate) fn place_nic(
    site: &Site,
    network: &Network,
    link: &CreateLink,
    index: u8,
    others: &[NicRecord],
) -> Result<NicRecord> {
    let record = network.record.get();
    refuse_two_ways(site, &record, others)?;
    let macs: Vec<Mac> = others.iter().map(|nic| nic.mac).collect();
    let mac = match text(&link.attributes, "occi.networkinterface.mac") {
        None => site.free_mac(&record.id, &macs),
        Some(wish) => match wish.parse::<Mac>() {
            Ok(mac) if mac.is_group() => {
                return refuse(
                    ErrorKind::Invalid,
                    format!("{mac} is the address of a group, not of an interface"),
                );
            }
            Ok(mac) if macs.contains(&mac) || site.has_mac(&record.id, mac) => {
                return refuse(
                    ErrorKind::Conflict,
                    format!("another interface has the MAC address {mac}"),
                );
            }
            Ok(mac) => mac,
            Err(why) => return refuse(ErrorKind::Invalid, why),
        },
    };
    let wish = match text(&link.attributes, "occi.networkinterface.address") {
        None => None,
        Some(wish) => match wish.parse::<Ipv4Addr>() {
            Ok(address) => Some(address),
            Err(_) => return refuse(ErrorKind::Invalid, format!("{wish} is no IPv4 address")),
        },
    };
    let on_it = others.iter().filter(|nic| nic.network == record.id);
    let taken: Vec<Ipv4Addr> = on_it.filter_map(|nic| nic.address).collect();
    let address = site.free_address(&record, wish, &taken)?;
    let is_first = !others.iter().any(|nic| nic.published.is_some());
    let published = (record.gateway.is_some() && is_first)
        .then(|| site.free_port())
        .flatten();
    Ok(NicRecord {
        mark: link.mark.to_string(),
        index,
        mac,
        network: record.id.clone(),
        address: Some(address),
        fixed: wish.is_some() || record.fixed,
        up: true,
        leaving: false,
        published,
    })
}

/// A machine, its links, and the networks of its project on which it is.
fn with_networks(site: &Site, machine: &Machine) -> Vec<Picture> {
    let mut pictures = translate::machine_and_links(site, machine);
    let record = machine.record.get();
    let mut networks: Vec<&String> = record.nics.iter().map(|nic| &nic.network).collect();
    networks.dedup();
    pictures.extend(
        networks
            .into_iter()
            .filter_map(|id| site.network(id))
            .filter(|network| network.record.get().project == record.project)
            .map(|network| translate::network(&network)),
    );
    pictures
}
