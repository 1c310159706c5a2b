//! Computes: the steps of each verb and action.

pub(crate) mod command_line;
pub(crate) mod console;
pub(crate) mod devices;
pub(crate) mod machine;
pub(crate) mod saving;
mod seed;

use crate::compute::command_line::{BASE, EPHEMERAL, MAX_NICS, ROOT, SEED};
use crate::compute::machine::{Machine, Status};
use crate::compute::seed::Seed;
use crate::error::{Failure, refuse};
use crate::host::blocking::blocking;
use crate::host::confine;
use crate::host::durable;
use crate::image::bases::Frozen;
use crate::image::saved;
use crate::image::templates;
use crate::image::{self, Header, Image, Images, Refusal};
use crate::links;
use crate::network::processes::Network;
use crate::network::switch::Mac;
use crate::placing::Reservation;
use crate::record::{MachineRecord, NetworkRecord, NicRecord, Wanted};
use crate::site::Site;
use crate::translate::{self, bytes, mib};
use occi_backend::{
    Acted, BackendError, Change, Context, Create, CreateLink, ErrorKind, Invocation, Picture, Result, Scope, names,
};
use occi_model::{Attributes, Term, infrastructure, templates as templates_of_model, userdata};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

/// A disk that is being made.
const NEW: &str = "disk.new";

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

fn text<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
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
        ephemeral: number(templates_of_model::EPHEMERAL_SIZE),
        hostname: text(attributes, "occi.compute.hostname"),
        key,
        user_data,
    })
}

/// The image that a compute of this project boots: the one that is asked for, or the default.
fn image_of(site: &Site, scope: &Scope, asked: Option<&Term>) -> Result<Image> {
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
async fn freeze(site: &Arc<Site>, context: &Context, asked: Option<&Term>) -> Result<Frozen> {
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

/// Keeps the room of a machine that is to stop and to start again.
fn keep_room(site: &Arc<Site>, machine: &Machine) -> Reservation {
    let record = machine.record.get();
    site.keep_room(&machine.id, record.cores, record.memory_mib())
}

/// Keeps room for a machine that is to start.
fn reserve(site: &Arc<Site>, machine: &Machine) -> Result<Reservation> {
    let record = machine.record.get();
    site.reserve(&machine.id, record.cores, record.memory_mib())
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

/// Makes what a machine lacks, if it has not been made in full: it is new, or whoever changed it was broken off.
async fn complete(site: &Site, context: &Context, machine: &Arc<Machine>) -> Result<()> {
    if machine.record.get().made {
        return Ok(());
    }
    make(site, machine).await?;
    let whole = |record: &mut MachineRecord| {
        record.made = true;
        record.fresh_root = false;
    };
    machine.record.change(whole).await?;
    context.step("files made").await
}

/// Makes the files that a machine lacks, and its seed.
async fn make(site: &Site, machine: &Arc<Machine>) -> Result<()> {
    let record = machine.record.get();
    let (inside, frozen) = (machine.inside(), site.base(&record.base));
    let (own, of) = (machine.clone(), record.clone());
    let base = blocking(move || lay_out(&own, &of, &frozen)).await?;
    let place = machine.workplace();
    // A file under its name is whole, also after a power cut.
    let keep = |name: &str| {
        let (new, done) = (inside.join(NEW), inside.join(name));
        blocking(move || durable::rename(&new, &done))
    };
    if let Some(header) = base {
        let below = format!("../{BASE}");
        site.qemu_img
            .overlay(&place, (&below, header), NEW, header.size)
            .await?;
        keep(ROOT).await?;
    }
    match record.ephemeral.map(bytes) {
        Some(size) if inside.join(EPHEMERAL).exists() => {
            site.qemu_img.resize(&place, EPHEMERAL, size).await?;
            let grown = inside.join(EPHEMERAL);
            blocking(move || durable::sync(&grown)).await?;
        }
        Some(size) => {
            site.qemu_img.create(&place, NEW, size).await?;
            keep(EPHEMERAL).await?;
        }
        None => {}
    }
    Ok(())
}

/// Makes a machine's directory and seed; where there is no root disk yet, what belongs below it, and says what that is.
fn lay_out(machine: &Machine, record: &MachineRecord, frozen: &Path) -> Result<Option<Header>> {
    let inside = machine.inside();
    // Not the directory above: if that is gone, so is the machine, and whoever asked for it was cut off before.
    match std::fs::create_dir(&inside) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => made.map_err(Failure::host("make the machine's directory"))?,
    }
    confine::give(&inside, record.user)?;
    remove(&inside.join(NEW))?;
    write_seed(machine, record)?;
    if record.fresh_root {
        remove(&inside.join(ROOT))?;
    }
    if inside.join(ROOT).exists() {
        return Ok(None);
    }
    let header = image::read_header(frozen)?;
    let base = machine.directory.join(BASE);
    remove(&base)?;
    std::fs::hard_link(frozen, &base).map_err(Failure::host("make a disk"))?;
    durable::sync(&machine.directory)?;
    Ok(Some(header))
}

/// Writes what the guest of `record` reads at its next start. One that runs keeps the seed that it has.
fn write_seed(machine: &Machine, record: &MachineRecord) -> Result<()> {
    let macs: Vec<String> = record.nics.iter().map(|nic| nic.mac.to_string()).collect();
    let default_name = format!("compute-{}", record.mark.chars().take(8).collect::<String>());
    let user_data = record.user_data.as_deref().map(userdata::read);
    let seed = Seed {
        instance: &record.mark,
        hostname: record.hostname.as_deref().unwrap_or(&default_name),
        keys: record.key.as_slice(),
        user_data: user_data.as_ref().map_or(&[], |data| &data.content),
        macs: &macs,
    };
    // Written where only we write, then moved.
    let new = machine.directory.join("seed.new");
    seed.write(&new)?;
    confine::give(&new, record.user)?;
    Ok(durable::rename(&new, &machine.inside().join(SEED))?)
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

pub(crate) async fn act(
    site: &Arc<Site>,
    context: &Context,
    machine: &Arc<Machine>,
    invocation: &Invocation,
) -> Result<Acted> {
    if (invocation.action.term(), invocation.method()) == ("stop", Some("poweroff")) {
        machine.end_if_silent().await?;
    }
    machine.look().await?;
    match (invocation.action.term(), invocation.method()) {
        ("start", _) => {
            if machine.status() != Status::Running {
                complete(site, context, machine).await?;
                let to_start = !machine.status().has_process();
                let _room = to_start.then(|| reserve(site, machine)).transpose()?;
                machine.power_on(Some(context)).await?;
                context.step("machine started").await?;
            }
        }
        ("stop", method) => {
            stop(site, machine, method.unwrap_or("graceful")).await?;
            context.step("machine stopped").await?;
        }
        ("restart", method) => restart(site, context, machine, method.unwrap_or("graceful")).await?,
        ("suspend", Some("hibernate")) => {
            match (machine.status(), machine.record.get().wanted) {
                (Status::Off, Wanted::Hibernated) => {}
                (Status::Running, _) => hibernate(site, context, machine).await?,
                // Only an attempt of this operation that was broken off leaves the guest like this.
                (Status::Paused, wanted) if wanted != Wanted::Paused => hibernate(site, context, machine).await?,
                _ => return not_now("suspend", machine),
            }
            context.step("machine held on disk").await?;
        }
        ("suspend", _) => {
            match (machine.status(), machine.record.get().wanted) {
                (Status::Paused, _) => {}
                (Status::Running, _) => machine.pause().await?,
                _ => return not_now("suspend", machine),
            }
            context.step("machine held").await?;
        }
        ("save", method) => return save(site, context, machine, invocation, method.unwrap_or("deferred")).await,
        (term, method) => {
            return refuse(
                ErrorKind::Unsupported,
                format!(
                    "the qemu backend does not support {term} {}",
                    method.unwrap_or_default()
                ),
            );
        }
    }
    Ok(Acted {
        pictures: translate::machine_and_links(site, machine),
        template: None,
    })
}

async fn hibernate(site: &Site, context: &Context, machine: &Arc<Machine>) -> Result<()> {
    let room = bytes(machine.record.get().memory);
    site.check_disk(room)?;
    let kept = machine.hibernate(context).await;
    if matches!(&kept, Err(failure) if !matches!(failure, Failure::Interrupted(_))) {
        // QEMU only says that it could not write. If there is no room now, it was that.
        site.check_disk(room)?;
    }
    Ok(kept?)
}

/// Makes a template of the compute: `hot` as it runs, `deferred` by way of a stop and a start.
async fn save(
    site: &Arc<Site>,
    context: &Context,
    machine: &Arc<Machine>,
    invocation: &Invocation,
    method: &str,
) -> Result<Acted> {
    let name = invocation.parameters.get("name").and_then(|value| value.as_str());
    let operation = context.operation.to_string();
    let wish = name.filter(|name| !name.is_empty()).unwrap_or(&machine.id);
    let term = saved::term(wish, &operation);
    if !saved::is_saved(site, &term) {
        let allowed = matches!(machine.status(), Status::Running | Status::Off | Status::Died(_));
        if !allowed || machine.record.get().wanted == Wanted::Hibernated {
            return not_now("save", machine);
        }
        complete(site, context, machine).await?;
        let size = std::fs::symlink_metadata(machine.inside().join(ROOT)).map_or(0, |meta| meta.len());
        let (of, project) = (site.clone(), machine.record.get().project.clone());
        blocking(move || of.check_images(&project, size)).await?;
        site.check_disk(size)?;
    }
    let runs = machine.status() == Status::Running;
    let _room = runs.then(|| keep_room(site, machine));
    if runs && method == "deferred" && !saved::is_saved(site, &term) {
        let before = machine.identity();
        let note = move |record: &mut MachineRecord| record.restart = Some((operation, before));
        machine.record.change(note).await?;
        context.step("restart recorded").await?;
        ask_off(site, machine, true).await?;
        context.step("machine stopped").await?;
    }
    let saved = saving::save(site, machine, &term, name.unwrap_or(&term), context).await;
    if saved.is_ok() {
        context.step("image saved").await?;
    }
    // Saved or not: what was stopped for it goes on.
    let stopped_for_this = machine
        .record
        .get()
        .restart
        .as_ref()
        .is_some_and(|(by, _)| *by == context.operation.to_string());
    if stopped_for_this && !machine.status().has_process() {
        machine.power_on(Some(context)).await?;
        context.step("machine started").await?;
    }
    Ok(Acted {
        template: Some(templates::template(&saved?)),
        pictures: translate::machine_and_links(site, machine),
    })
}

pub(crate) async fn admit_change(
    site: &Arc<Site>,
    scope: &Scope,
    machine: &Arc<Machine>,
    change: &Change,
) -> Result<()> {
    let (site, scope, machine, change) = (site.clone(), scope.clone(), machine.clone(), change.clone());
    blocking(move || {
        let asked = change.os_template.as_ref();
        let image = asked.map(|term| image_of(&site, &scope, Some(term))).transpose()?;
        changed(&site, &scope, &machine, &change, image.as_ref()).map(drop)
    })
    .await
}

/// What a change makes of a machine's record, with the image of its new root disk if it gets one.
fn changed(
    site: &Site,
    scope: &Scope,
    machine: &Machine,
    change: &Change,
    image: Option<&Image>,
) -> Result<MachineRecord> {
    let now = machine.record.get();
    let mut record = MachineRecord::clone(&now);
    let number = |name: &str| change.set.get(name).and_then(occi_model::Value::as_f64);
    if let Some(cores) = change.set.get("occi.compute.cores").and_then(occi_model::Value::as_i64) {
        record.cores = u32::try_from(cores).unwrap_or(u32::MAX);
    }
    if let Some(memory) = number("occi.compute.memory") {
        record.memory = memory;
    }
    if let Some(hostname) = text(&change.set, "occi.compute.hostname") {
        record.hostname = Some(hostname.to_owned());
    }
    if change.unset.iter().any(|name| name.as_str() == "occi.compute.hostname") {
        record.hostname = None;
    }
    if let Some(gib) = number(templates_of_model::EPHEMERAL_SIZE) {
        record.ephemeral = Some(gib.max(record.ephemeral.unwrap_or(0.0)));
    }
    let is_renamed_only = image.is_none()
        && *now
            == MachineRecord {
                hostname: now.hostname.clone(),
                ..record.clone()
            };
    if is_renamed_only && !machine.is_held() {
        return Ok(record);
    }
    if !is_off(machine) {
        return refuse(
            ErrorKind::Conflict,
            "the compute can be changed while it is inactive; stop it first",
        );
    }
    let images = site.images(&scope.project);
    let booted = image.or_else(|| images.get(&record.template));
    if let Some(booted) = booted.filter(|image| record.memory_mib() < image.min_memory_mib()) {
        return refuse(
            ErrorKind::Invalid,
            format!(
                "{} needs at least {} MiB of memory, and {} MiB were asked for",
                booted.term,
                booted.min_memory_mib(),
                record.memory_mib()
            ),
        );
    }
    let root = image.map_or(0, |image| image.header.size);
    let ephemeral = |record: &MachineRecord| record.ephemeral.map_or(0, bytes);
    let grown = ephemeral(&record).saturating_sub(ephemeral(&now));
    site.check_size(record.cores, record.memory_mib())?;
    if grown > 0 || root > 0 {
        site.check_disk_size(root.saturating_add(ephemeral(&record)))?;
    }
    site.check_room(&record.mark, record.cores, record.memory_mib())?;
    site.check_disk(root.saturating_add(grown))?;
    Ok(record)
}

/// Whether nothing of it runs or is held.
fn is_off(machine: &Machine) -> bool {
    !machine.status().has_process() && machine.record.get().wanted != Wanted::Hibernated
}

/// Changes what a compute will be at its next start. One that runs can get another name.
pub(crate) async fn update(
    site: &Arc<Site>,
    context: &Context,
    machine: &Arc<Machine>,
    change: &Change,
) -> Result<Vec<Picture>> {
    machine.look().await?;
    let frozen = match &change.os_template {
        Some(term) => Some(freeze(site, context, Some(term)).await?),
        None => None,
    };
    let (scope, own, wish) = (context.scope.clone(), machine.clone(), change.clone());
    site.place(move |site| record_change(site, &scope, &own, &wish, frozen.as_ref()))
        .await?;
    context.step("change recorded").await?;
    complete(site, context, machine).await?;
    Ok(translate::machine_and_links(site, machine))
}

/// Records what a compute is to be. For [`Site::place`].
fn record_change(
    site: &Site,
    scope: &Scope,
    machine: &Machine,
    change: &Change,
    frozen: Option<&Frozen>,
) -> Result<()> {
    let mut wanted = changed(site, scope, machine, change, frozen.map(|frozen| &frozen.image))?;
    if !is_off(machine) {
        write_seed(machine, &wanted)?;
        machine
            .record
            .blocking_change(|record| record.hostname = wanted.hostname)?;
        return Ok(());
    }
    let now = machine.record.get();
    // Until its files are made anew it is not whole; whoever finds it so makes them.
    wanted.made &= frozen.is_none() && wanted.hostname == now.hostname && wanted.ephemeral == now.ephemeral;
    if let Some(Frozen { image, base, .. }) = frozen {
        wanted.fresh_root = true;
        wanted.base = base.clone();
        wanted.template = image.term.to_string();
        wanted.ssh_user = image.ssh_user().map(str::to_owned);
    }
    // Links that come and go meanwhile stay as they are.
    machine.record.blocking_change(|record| {
        record.cores = wanted.cores;
        record.memory = wanted.memory;
        record.hostname = wanted.hostname;
        record.ephemeral = wanted.ephemeral;
        record.base = wanted.base;
        record.template = wanted.template;
        record.ssh_user = wanted.ssh_user;
        record.made = wanted.made;
        record.fresh_root = wanted.fresh_root;
    })?;
    Ok(())
}

fn remove(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::host("remove a disk")(error).into()),
        _ => Ok(()),
    }
}

fn not_now<T>(term: &str, machine: &Machine) -> Result<T> {
    let (state, _) = translate::machine_state(&machine.record.get(), &machine.status());
    refuse(
        ErrorKind::Conflict,
        format!("{term} is not possible while the compute is {state}"),
    )
}

async fn stop(site: &Site, machine: &Arc<Machine>, method: &str) -> Result<()> {
    match (method, machine.status()) {
        (_, Status::Paused) => return not_now("stop", machine),
        ("acpioff" | "graceful", Status::Running) => ask_off(site, machine, method == "graceful").await?,
        // Nothing listens in a guest that does not run.
        _ => drop(machine.power_off().await?),
    }
    Ok(())
}

/// Asks the guest; that it does not react changes nothing, and is known for certain.
async fn ask_off(site: &Site, machine: &Arc<Machine>, agent: bool) -> Result<()> {
    let grace = site.config.grace();
    match machine.ask_off(agent, grace).await {
        Err(failure @ Failure::Slow { .. }) => Err(BackendError::new(
            ErrorKind::Timeout,
            format!(
                "the guest did not switch itself off within {} s; it goes on, and can be stopped with method poweroff",
                grace.as_secs()
            ),
        )
        .with_source(failure)),
        other => Ok(other?),
    }
}

async fn restart(site: &Arc<Site>, context: &Context, machine: &Arc<Machine>, method: &str) -> Result<()> {
    let operation = context.operation.to_string();
    let ours = |record: &MachineRecord| record.restart.as_ref().is_some_and(|(by, _)| *by == operation);
    let begun = ours(&machine.record.get());
    if !begun && machine.status() != Status::Running {
        return not_now("restart", machine);
    }
    if method == "warm" {
        // Whether the last attempt got this far cannot be told; a second reset does no other harm than the first.
        machine.reset().await?;
        return context.step("machine reset").await;
    }
    if !begun {
        let before = machine.identity();
        let note = move |record: &mut MachineRecord| record.restart = Some((operation, before));
        machine.record.change(note).await?;
        context.step("restart recorded").await?;
    }
    let _room = keep_room(site, machine);
    let before = machine.record.get().restart.clone().and_then(|(_, before)| before);
    let is_new = machine.status() == Status::Running && machine.identity() != before;
    if !is_new {
        if machine.status().has_process() && machine.identity() == before {
            match method {
                "graceful" => ask_off(site, machine, true).await?,
                _ => machine.end().await?,
            }
            context.step("machine stopped").await?;
        }
        machine.power_on(Some(context)).await?;
        context.step("machine started").await?;
    }
    // What was noted stays: whoever does not get to know that this is done asks once more.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::QemuConfig;
    use serde_json::json;
    use std::time::Duration;

    #[tokio::test]
    async fn what_is_made_of_a_machine_too_late_leaves_nothing_where_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let (site, _events) = Site::open(QemuConfig::new(directory.path()), Duration::from_secs(60)).unwrap();
        let frozen = directory.path().join("frozen");
        std::fs::write(&frozen, [0; 512]).unwrap();
        let record = json!({
            "mark": "late", "project": "lab", "user": null, "made": false, "wanted": "off", "hostname": null, "cores": 1,
            "memory": 1.0, "template": "t", "base": "frozen", "ssh_user": null, "machine": "q35", "key": null,
            "user_data": null, "ephemeral": null, "nics": [], "disks": [], "former_nics": [], "former_disks": [],
            "hardware": [], "restart": null,
        });
        let machine = site.add_machine(serde_json::from_value(record).unwrap()).unwrap();
        let record = machine.record.get();
        lay_out(&machine, &record, &frozen).unwrap();
        assert!(machine.inside().exists());
        // The create was cut off, and the machine deleted, before a thread came to it.
        site.remove_machine("late").await.unwrap();
        assert!(lay_out(&machine, &record, &frozen).is_err());
        assert!(!machine.directory.exists());
        site.close().await;
    }
}
