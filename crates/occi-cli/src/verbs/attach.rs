//! `occi attach` and `occi detach`: links between things that are there.

use super::create::{create, report};
use super::delete::confirm;
use super::each_found;
use super::values::{Assignment, attribute_name, input};
use crate::complete;
use crate::failure::{Exit, Failure, Result};
use crate::names::{Among, Found, kind};
use crate::output::Record;
use crate::progress::Waiting;
use crate::session::Session;
use crate::words::say;
use clap::Args;
use occi_client::infrastructure::{NetworkInterface, StorageLink};
use occi_client::{Entity, EntityDraft, Kind, Model, Until};
use occi_model::core::LINK;
use occi_model::infrastructure::{COMPUTE, NETWORKINTERFACE, STORAGELINK};
use serde_json::json;

/// Attach volumes to a machine, or let it join networks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi attach web1 data --device /dev/vdb
  occi attach web1 lan --address 10.1.0.5 --wait
  occi attach compute/web1 storage/data network/lan
  occi attach web1 lan --dry-run")]
pub(crate) struct Attach {
    /// The machine, and volumes, networks, or whatever else the server has a kind of link to, in either order; the kind of
    /// the first may stand in front
    #[arg(value_name = "[KIND] NAME WHAT", required = true, num_args = 2.., add = complete::names(None))]
    names: Vec<String>,
    /// Of a volume: the device in the machine, as /dev/vdb
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Of a volume: where the machine shall mount it
    #[arg(long, value_name = "PATH")]
    mount_point: Option<String>,
    /// Of a network: the machine's address in it
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Of a network: the machine's hardware address in it
    #[arg(long, value_name = "MAC")]
    mac: Option<String>,
    /// Any attribute of the link
    #[arg(short, long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<Assignment>,
    /// Any mixin of the link
    #[arg(short, long = "mixin", value_name = "NAME", add = complete::mixins())]
    mixins: Vec<String>,
    #[command(flatten)]
    waiting: Waiting,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Take volumes from a machine, or take it out of networks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi detach web1 disk
  occi detach compute/web1 storage/disk --wait
  occi detach \"$(occi list storagelink -o name --limit 1)\"")]
pub(crate) struct Detach {
    /// The machine and what is attached to it, in either order, or the path of a link
    #[arg(value_name = "NAME", required = true, num_args = 1.., add = complete::attached())]
    names: Vec<String>,
    /// Do not ask, also if there are several links
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Attach {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let model = session.model().await?;
        let is_own = self.device.is_some()
            || self.mount_point.is_some()
            || self.address.is_some()
            || self.mac.is_some()
            || !self.attributes.is_empty();
        let (first, others) = first_and_others(&self.names, &model);
        if is_own && others.len() > 1 {
            return Err(Failure::usage(
                "what is said of one link cannot be said of several: attach one after the other",
            ));
        }
        let first = session.find(&first, &Among::All).await?;
        let others = session.find_all(&others, &Among::All).await?;
        // Nothing is done before all of it makes sense.
        for other in &others {
            ends(&first, other, &model)?;
            session.find_there(&other.location, &Among::All).await?;
        }
        each_found(others, session, async |other| {
            let (source, target, kind) = ends(&first, &other, &model)?;
            let draft = self.draft(source, target, kind, &model)?;
            let entity = session.client.show(&source.location).await?;
            let links = links_of(&entity, session).await?;
            let is_there = |link: &&Entity| leads_to(link, &target.location) && link.kind == draft.kind;
            if let Some(link) = links.iter().find(is_there) {
                session.output.note(format!(
                    "{} is attached to {} already: {}",
                    target.name, source.name, link.location
                ));
                return Ok(match session.output.is_for_people() {
                    true => Vec::new(),
                    false => vec![Record::entity(link, &model)],
                });
            }
            if self.dry_run {
                return session.would("create", &draft, None);
            }
            let name = format!("{} to {}", target.name, source.name);
            let created = create(&draft, None, &name, self.waiting, session).await?;
            report(created, self.waiting, &model, session).await
        })
        .await
    }

    fn draft(&self, source: &Found, target: &Found, kind: &Kind, model: &Model) -> Result<EntityDraft> {
        let is = |ancestor: &str| model.descends_from(kind.id.as_str(), ancestor);
        let strange = [
            ("--device", self.device.is_some() && !is(STORAGELINK)),
            ("--mount-point", self.mount_point.is_some() && !is(STORAGELINK)),
            ("--address", self.address.is_some() && !is(NETWORKINTERFACE)),
            ("--mac", self.mac.is_some() && !is(NETWORKINTERFACE)),
        ];
        if let Some((option, _)) = strange.iter().find(|(_, is_strange)| *is_strange) {
            return Err(Failure::usage(format!(
                "{option} means nothing for a {}",
                kind.id.term()
            )));
        }
        let mut draft = if is(STORAGELINK) {
            let link = StorageLink {
                storage: target.location.clone(),
                device: self.device.clone(),
                mount_point: self.mount_point.clone(),
                mixins: self.mixins.clone(),
            };
            link.draft(model, Some(&source.location))?
        } else if is(NETWORKINTERFACE) {
            let link = NetworkInterface {
                network: target.location.clone(),
                address: self.address.clone(),
                mac: self.mac.clone(),
                mixins: self.mixins.clone(),
                ..NetworkInterface::default()
            };
            link.draft(model, Some(&source.location))?
        } else {
            let mixins = self.mixins.iter().map(|name| Ok(model.mixin(name)?.id.clone()));
            EntityDraft {
                mixins: mixins.collect::<Result<_>>()?,
                source: Some(source.location.clone()),
                target: Some(target.location.clone()),
                ..EntityDraft::default()
            }
        };
        draft.kind = Some(kind.id.clone());
        draft.target_kind = model.kind_at(&target.location).map(|kind| kind.id.clone());
        let definitions = model.attributes_of(&kind.id, &draft.mixins);
        for Assignment { name, value } in &self.attributes {
            let name = attribute_name(name, &definitions)?;
            let value = input(&name, value, model)?;
            draft
                .attributes
                .push((name.parse().map_err(occi_client::Error::from)?, value));
        }
        Ok(draft)
    }
}

impl Detach {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let model = session.model().await?;
        let (first, others) = first_and_others(&self.names, &model);
        let one = session.find(&first, &Among::All).await?;
        let entity = session.client.show(&one.location).await?;
        if entity.is_link(&model) {
            let found = session.find_all(&self.names, &Among::All).await?;
            if let Some(no_link) = found.iter().find(|found| {
                model
                    .kind_at(&found.location)
                    .is_some_and(|kind| !model.is_link(kind.id.as_str()))
            }) {
                return Err(Failure::usage(format!(
                    "{} is no link, and {first} is one",
                    no_link.name
                )));
            }
            self.ask_about(found.iter().map(|found| found.location.as_str()))?;
            return each_found(found, session, async |found| self.detach(&found, session).await).await;
        }
        if others.is_empty() {
            return Err(Failure::usage(format!("{first} is no link")).with_hint(format!("occi detach {first} WHAT")));
        }
        let links = links_of(&entity, session).await?;
        let mut chosen = Vec::new();
        for other in session.find_all(&others, &Among::All).await? {
            let mut between = links_between(&one, &links, &other);
            if between.is_empty() {
                let entity = session.client.show(&other.location).await?;
                between = links_between(&other, &links_of(&entity, session).await?, &one);
            }
            if between.is_empty() {
                let message = format!("{} is not attached to {}", other.name, one.name);
                return Err(Failure::new(Exit::NotFound, message));
            }
            chosen.extend(between);
        }
        self.ask_about(chosen.iter().map(|link| link.location.as_str()))?;
        each_found(chosen, session, async |link| self.detach(&link, session).await).await
    }

    /// More than one link is asked about.
    fn ask_about<'l>(&self, links: impl ExactSizeIterator<Item = &'l str>) -> Result<()> {
        if links.len() < 2 || self.yes || self.dry_run {
            return Ok(());
        }
        let question = format!("Detach these {}?", links.len());
        for link in links {
            say(format!("  {link}"));
        }
        confirm(&question)
    }

    async fn detach(&self, link: &Found, session: &Session) -> Result<Vec<Record>> {
        let Found { location, name } = link;
        if self.dry_run {
            let what = json!({ "would": "detach", "name": name, "location": location });
            return session.output.would(format_args!("detach {name} ({location})"), what);
        }
        let done = session.client.delete(location, &self.waiting.write()).await?;
        if let Some(limit) = self.waiting.wait {
            let operation = done.operation.as_deref();
            session.wait(name, location, operation, &Until::Gone, limit).await?;
        }
        session.output.note(match (self.waiting.wait, &done.operation) {
            (None, Some(operation)) => format!("{name}: this goes on: occi show {operation}"),
            _ => format!("{name}: detached"),
        });
        Ok(Vec::new())
    }
}

/// `web1 data lan`, or with the kind of the first in front.
fn first_and_others(words: &[String], model: &Model) -> (String, Vec<String>) {
    match words {
        [first, name, others @ ..] if !others.is_empty() && kind(model, first).is_ok() => {
            (format!("{first}/{name}"), others.to_vec())
        }
        [name, others @ ..] => (name.clone(), others.to_vec()),
        [] => (String::new(), Vec::new()),
    }
}

/// Where a link between two things starts and where it leads, and of which kind it is. The kinds tell, not the order: what a
/// link of a kind of its own leads to is not where another starts, and machines are where they do.
///
/// # Errors
/// No link joins such things.
fn ends<'f, 'm>(one: &'f Found, other: &'f Found, model: &'m Model) -> Result<(&'f Found, &'f Found, &'m Kind)> {
    let kind_of = |thing: &Found| model.kind_at(&thing.location);
    let link_to = |thing: &Found| model.link_kind_to(kind_of(thing)?.id.as_str());
    let own_link_to = |thing: &Found| link_to(thing).filter(|link| link.id != *LINK);
    let is_machine = |thing: &Found| kind_of(thing).is_some_and(|kind| model.descends_from(kind.id.as_str(), COMPUTE));
    match (own_link_to(one), own_link_to(other), link_to(other)) {
        (None, Some(link), _) => Ok((one, other, link)),
        (Some(link), _, _) if is_machine(other) => Ok((other, one, link)),
        (_, None, Some(plain)) if !is_machine(other) => Ok((one, other, plain)),
        _ => Err(Failure::usage(format!(
            "the server has no kind of link between {} and {}",
            one.name, other.name
        ))),
    }
}

/// The links of one thing that lead to another.
fn links_between(source: &Found, links: &[Entity], target: &Found) -> Vec<Found> {
    let to_it = links.iter().filter(|link| leads_to(link, &target.location));
    let named = |link: &Entity| Found {
        location: link.location.clone(),
        name: format!("{} from {}", target.name, source.name),
    };
    to_it.map(named).collect()
}

/// The links that start at an entity. Of some the server tells no more than where they are; these are asked for.
pub(super) async fn links_of(entity: &Entity, session: &Session) -> Result<Vec<Entity>> {
    let mut links = Vec::new();
    for link in &entity.links {
        links.push(match link.target.is_some() && link.kind.is_some() {
            true => link.clone(),
            false => session.client.show(&link.location).await?,
        });
    }
    Ok(links)
}

/// Whether a link leads to a location, however the server writes that.
pub(crate) fn leads_to(link: &Entity, location: &str) -> bool {
    let bare = |path: &str| path.trim_end_matches('/').to_owned();
    link.target
        .as_deref()
        .is_some_and(|target| bare(target) == bare(location))
}
