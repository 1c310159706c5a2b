//! `occi create`.

use super::values::{
    Assignment, are_known, attribute_name, gib, input, is_complete, one_of_each_family, read_only, text_or_file,
};
use crate::complete;
use crate::failure::{Exit, Failure, Result};
use crate::names::{Among, kind};
use crate::output::Record;
use crate::progress::Waiting;
use crate::read;
use crate::session::Session;
use clap::Args;
use occi_client::infrastructure::{self, NetworkInterface, StorageLink};
use occi_client::{Created, EntityDraft, Input, Model, Until};
use occi_model::core::ID;
use occi_model::infrastructure::{COMPUTE, NETWORK, STORAGE};
use occi_model::templates::{OS_TPL, RESOURCE_TPL};
use occi_model::{LinkDraft, MixinDraft, TypeId};
use serde_json::json;

/// Make something
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi create compute web1
  occi create compute web1 --os tiny --size small --key @~/.ssh/id_ed25519.pub --wait
  occi create compute web2 --cores 2 --memory 2G --network lan --volume data
  occi create compute db1 --volume journal:10G --user-data @init.yaml
  occi create storage data --size 10G
  occi create network lan --address 10.1.0.0/24 --gateway 10.1.0.1
  occi create network lan --attribute label=blue --dry-run
  occi create mixin http://example.org/tags#red --at /tags/red/")]
pub(crate) struct Create {
    /// compute, network, storage, or any other kind (occi list kind)
    #[arg(value_name = "KIND", add = complete::makeable())]
    kind: String,
    /// What people shall call it
    #[arg(value_name = "TITLE")]
    title: Option<String>,
    /// Of a machine: the template that it boots from (occi list os_tpl)
    #[arg(long, value_name = "TEMPLATE", add = complete::templates(OS_TPL))]
    os: Option<String>,
    /// Of a machine: the template of its size (occi list resource_tpl); of a volume: 10G
    #[arg(long, value_name = "TEMPLATE|SIZE", add = complete::templates(RESOURCE_TPL))]
    size: Option<String>,
    /// Of a machine: how many cores
    #[arg(long, value_name = "NUMBER")]
    cores: Option<i64>,
    /// Of a machine: how much memory, as 2G
    #[arg(long, value_name = "SIZE", value_parser = gib)]
    memory: Option<f64>,
    /// Of a machine: its name in its networks
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Of a machine: a network to join
    #[arg(long = "network", value_name = "NETWORK", add = complete::names(Some("network")))]
    networks: Vec<String>,
    /// Of a machine: a volume to attach, or NAME:SIZE to make one
    #[arg(long = "volume", value_name = "VOLUME[:SIZE]", add = complete::names(Some("storage")))]
    volumes: Vec<String>,
    /// Of a machine: who may log in, an OpenSSH public key or @FILE
    #[arg(long, value_name = "KEY|@FILE")]
    key: Option<String>,
    /// Of a machine: what it runs at its first boot, or @FILE
    #[arg(long, value_name = "TEXT|@FILE")]
    user_data: Option<String>,
    /// Of a network: its addresses, as 10.1.0.0/24
    #[arg(long, value_name = "CIDR")]
    address: Option<String>,
    /// Of a network: the way out
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<String>,
    /// Of a network: dynamic or static
    #[arg(long, value_name = "WORD")]
    allocation: Option<String>,
    /// Of a network: its VLAN
    #[arg(long, value_name = "NUMBER")]
    vlan: Option<i64>,
    /// A longer description
    #[arg(long, value_name = "TEXT")]
    summary: Option<String>,
    /// Any attribute
    #[arg(short, long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<Assignment>,
    /// Any mixin
    #[arg(short, long = "mixin", value_name = "NAME", add = complete::mixins())]
    mixins: Vec<String>,
    /// A link to something that is there
    #[arg(long = "link", value_name = "NAME", add = complete::names(None))]
    links: Vec<String>,
    /// Of a link: where it starts
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of a link: where it leads
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// At this path, where there must be nothing yet
    #[arg(long, value_name = "PATH")]
    at: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// A volume to make before its machine.
struct NewVolume {
    title: String,
    size_gib: f64,
}

impl NewVolume {
    fn draft(&self, model: &Model) -> Result<EntityDraft> {
        let storage = infrastructure::Storage {
            title: Some(self.title.clone()),
            size_gib: self.size_gib,
            ..infrastructure::Storage::default()
        };
        Ok(storage.draft(model)?)
    }
}

impl Create {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        if self.kind == "mixin" {
            return self.mixin(session).await;
        }
        let kind_id = session
            .look_up(|model| kind(model, &self.kind).map(|kind| kind.id.clone()))
            .await?;
        self.refuse_strangers(&kind_id)?;
        // They may have come a moment ago.
        if kind_id.as_str() == COMPUTE {
            for (family, name) in [(OS_TPL, &self.os), (RESOURCE_TPL, &self.size)] {
                if let Some(name) = name {
                    session.look_up(|model| model.template(family, name).map(drop)).await?;
                }
            }
        }
        for name in &self.mixins {
            session.look_up(|model| model.mixin(name).map(drop)).await?;
        }
        let model = session.model().await?;
        let (links, new_volumes) = self.machine_links(&model, session).await?;
        let mut draft = self.draft(&kind_id, &model)?;
        for link in links {
            draft.links.push(link);
        }
        for name in &self.links {
            draft.links.push(self.link(name, &model, session).await?);
        }
        for (end, name) in [(&mut draft.source, &self.source), (&mut draft.target, &self.target)] {
            if let Some(name) = name {
                *end = Some(session.find_there(name, &Among::All).await?.location);
            }
        }
        one_of_each_family(&draft.mixins, &model)?;
        are_known(&draft, session).await?;
        is_complete(&draft, &model, session.client.dialect().is_occid)?;
        if self.dry_run {
            let mut records = Vec::new();
            for volume in &new_volumes {
                records.extend(session.would("create", &volume.draft(&model)?, None)?);
            }
            records.extend(session.would("create", &draft, self.at.as_deref())?);
            return session.output.show_all(records, new_volumes.is_empty());
        }
        let mut made = Vec::new();
        let created = self.create_with(&new_volumes, draft, &mut made, &model, session).await;
        let created = created.map_err(|failure| {
            // The machine may be there, and it is attached to that.
            let may_be_used = failure.may_have_happened;
            let stays = |(title, location)| match may_be_used {
                true => format!("the volume {title} has been made for it: {location}"),
                false => format!("the volume {title} has been made and stays: occi delete {location}"),
            };
            made.into_iter().map(stays).fold(failure, Failure::with_hint)
        })?;
        let records = report(created, self.waiting, &model, session).await?;
        session.output.show_all(records, true)
    }

    /// Makes the volumes, then what they are for; `made` are titles and locations of the volumes.
    async fn create_with(
        &self,
        new_volumes: &[NewVolume],
        mut draft: EntityDraft,
        made: &mut Vec<(String, String)>,
        model: &Model,
        session: &Session,
    ) -> Result<Created> {
        for volume in new_volumes {
            let waiting = Waiting {
                wait: Some(self.waiting.wait.unwrap_or(std::time::Duration::from_secs(600))),
            };
            let created = create(&volume.draft(model)?, None, &volume.title, waiting, session).await?;
            let location = location_of(&created)?;
            session.output.note(format!("volume {} is {location}", volume.title));
            made.push((volume.title.clone(), location.to_owned()));
            let link = StorageLink {
                storage: location.to_owned(),
                ..StorageLink::default()
            };
            draft.links.push(inline(link.draft(model, None)?));
        }
        let name = self.title.as_ref().unwrap_or(&self.kind);
        create(&draft, self.at.as_deref(), name, self.waiting, session).await
    }

    /// A mixin of the user's, to mark things with.
    async fn mixin(self, session: &Session) -> Result<()> {
        let hint = "for example: occi create mixin http://example.org/tags#blue";
        let id = self
            .title
            .as_deref()
            .ok_or_else(|| Failure::usage("a mixin has a name").with_hint(hint))?;
        let id: TypeId = match id.contains('#') {
            true => id.parse().map_err(occi_client::Error::from)?,
            false => return Err(Failure::usage("a mixin is named by scheme and term").with_hint(hint)),
        };
        let draft = MixinDraft {
            title: self.summary,
            location: Some(self.at.unwrap_or_else(|| format!("/tags/{}/", id.term()))),
            depends: Vec::new(),
            has_capabilities: false,
            id,
        };
        if self.dry_run {
            let what = json!({ "would": "create", "name": draft.id.as_str(), "location": draft.location });
            let would = session.output.would(format_args!("create {}", draft.id), what)?;
            return session.output.show_all(would, true);
        }
        session.client.add_mixin(&draft).await?;
        session.keep_model();
        session.output.text(&format!("{}\n", draft.id))
    }

    /// An option that means nothing for this kind is a mistake. What descends from a kind has attributes of its own.
    fn refuse_strangers(&self, kind: &TypeId) -> Result<()> {
        let is = |other: &str| kind.as_str() == other;
        let of_machines = [
            ("--os", self.os.is_some()),
            ("--cores", self.cores.is_some()),
            ("--memory", self.memory.is_some()),
            ("--hostname", self.hostname.is_some()),
            ("--network", !self.networks.is_empty()),
            ("--volume", !self.volumes.is_empty()),
            ("--key", self.key.is_some()),
            ("--user-data", self.user_data.is_some()),
        ];
        let of_networks = [
            ("--address", self.address.is_some()),
            ("--gateway", self.gateway.is_some()),
            ("--allocation", self.allocation.is_some()),
            ("--vlan", self.vlan.is_some()),
        ];
        let strange =
            |options: &[(&'static str, bool)]| options.iter().find(|(_, given)| *given).map(|(name, _)| *name);
        let found = match (is(COMPUTE), is(NETWORK)) {
            (true, _) => strange(&of_networks),
            (false, true) => strange(&of_machines),
            (false, false) => strange(&of_machines).or_else(|| strange(&of_networks)),
        };
        let size = Some("--size").filter(|_| self.size.is_some() && !is(COMPUTE) && !is(STORAGE));
        match found.or(size) {
            Some(option) => Err(Failure::usage(format!("{option} means nothing for a {}", kind.term()))
                .with_hint("--attribute NAME=VALUE sets any attribute")),
            None => Ok(()),
        }
    }

    fn draft(&self, kind: &TypeId, model: &Model) -> Result<EntityDraft> {
        let is = |ancestor: &str| kind.as_str() == ancestor;
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).map_err(|_| Failure::usage("the key is no text; it is the file that ends in .pub"))
        };
        let content = |text: Option<&str>| text.map(|text| text_or_file(text, read::DOCUMENT)).transpose();
        let mut draft = if is(COMPUTE) {
            let machine = infrastructure::Compute {
                title: self.title.clone(),
                summary: self.summary.clone(),
                os: self.os.clone(),
                size: self.size.clone(),
                cores: self.cores,
                memory_gib: self.memory,
                hostname: self.hostname.clone(),
                ssh_key: self
                    .key
                    .as_deref()
                    .map(|key| text(text_or_file(key, read::SECRET)?))
                    .transpose()?,
                user_data: content(self.user_data.as_deref())?,
                ..infrastructure::Compute::default()
            };
            machine.draft(model)?
        } else if is(NETWORK) {
            let network = infrastructure::Network {
                title: self.title.clone(),
                summary: self.summary.clone(),
                vlan: self.vlan,
                address: self.address.clone(),
                gateway: self.gateway.clone(),
                allocation: self.allocation.clone(),
                ..infrastructure::Network::default()
            };
            network.draft(model)?
        } else {
            let mut draft = EntityDraft {
                kind: Some(kind.clone()),
                ..EntityDraft::default()
            };
            for (name, value) in [("occi.core.title", &self.title), ("occi.core.summary", &self.summary)] {
                if let Some(value) = value {
                    set(&mut draft, name, Input::Typed(value.as_str().into()))?;
                }
            }
            match self.size.as_deref() {
                Some(size) if is(STORAGE) => {
                    let size = gib(size).map_err(Failure::usage)?;
                    set(&mut draft, "occi.storage.size", Input::Typed(size.into()))?;
                }
                _ => {}
            }
            draft
        };
        for name in &self.mixins {
            let id = model.mixin(name)?.id.clone();
            if !draft.mixins.contains(&id) {
                draft.mixins.push(id);
            }
        }
        let definitions = model.attributes_of(kind, &draft.mixins);
        // What a mixin does not let change may still be what it is made with.
        let is_read_only = |name: &str| {
            let own = model.attributes_of(kind, &[]);
            let own = own.iter().find(|own| own.name.as_str() == name);
            own.is_some_and(|own| name != ID && !model.is_given_at_creation(own))
        };
        for Assignment { name, value } in &self.attributes {
            let name = attribute_name(name, &definitions)?;
            if is_read_only(&name) {
                return Err(read_only(&name));
            }
            set(&mut draft, &name, input(&name, value, model)?)?;
        }
        Ok(draft)
    }

    /// The links of a machine, and the volumes to make first.
    async fn machine_links(&self, model: &Model, session: &Session) -> Result<(Vec<LinkDraft>, Vec<NewVolume>)> {
        let mut links = Vec::new();
        for name in &self.networks {
            let network = session
                .find_there(name, &Among::Kind(NETWORK.to_owned()))
                .await?
                .location;
            let link = NetworkInterface {
                network,
                ..NetworkInterface::default()
            };
            links.push(inline(link.draft(model, None)?));
        }
        let mut new_volumes = Vec::new();
        for name in &self.volumes {
            let new = name
                .rsplit_once(':')
                .filter(|(before, _)| !before.is_empty() && !name.contains('/'));
            if let Some((title, size)) = new {
                let size_gib = gib(size).map_err(Failure::usage)?;
                match session.find(title, &Among::Kind(STORAGE.to_owned())).await {
                    Err(failure) if failure.exit == Exit::NotFound => {}
                    Err(failure) => return Err(failure),
                    Ok(_) => {
                        return Err(Failure::usage(format!("there is a volume {title} already"))
                            .with_hint(format!("--volume {title} attaches it")));
                    }
                }
                let title = title.to_owned();
                new_volumes.push(NewVolume { title, size_gib });
                continue;
            }
            let storage = session
                .find_there(name, &Among::Kind(STORAGE.to_owned()))
                .await?
                .location;
            let link = StorageLink {
                storage,
                ..StorageLink::default()
            };
            links.push(inline(link.draft(model, None)?));
        }
        Ok((links, new_volumes))
    }

    /// A link of the kind that leads there.
    async fn link(&self, name: &str, model: &Model, session: &Session) -> Result<LinkDraft> {
        let target = session.find_there(name, &Among::All).await?.location;
        let target_kind = model.kind_at(&target).map(|kind| kind.id.clone());
        let kind = target_kind.as_ref().and_then(|kind| model.link_kind_to(kind.as_str()));
        let Some(kind) = kind else {
            return Err(Failure::usage(format!("the server has no kind of link to {name}")));
        };
        Ok(inline(EntityDraft {
            kind: Some(kind.id.clone()),
            target: Some(target),
            target_kind,
            ..EntityDraft::default()
        }))
    }
}

pub(super) fn inline(entity: EntityDraft) -> LinkDraft {
    LinkDraft {
        entity,
        own_location: None,
    }
}

fn set(draft: &mut EntityDraft, name: &str, value: Input) -> Result<()> {
    let name = name.parse().map_err(occi_client::Error::from)?;
    draft.attributes.push((name, value));
    Ok(())
}

/// Creates, and waits if that is wanted.
pub(super) async fn create(
    draft: &EntityDraft,
    at: Option<&str>,
    name: &str,
    waiting: Waiting,
    session: &Session,
) -> Result<Created> {
    let write = waiting.write();
    let mut created = match at {
        Some(at) => session.client.create_at(at, draft, &write).await?,
        None => session.client.create(draft, &write).await?,
    };
    // Whatever fails from here on, it has been made.
    let made = |failure: Failure| Failure {
        may_have_happened: true,
        ..failure
    };
    // Who answers early names the operation, and that names what it makes.
    if let (None, Some(operation)) = (&created.location, &created.operation)
        && session.client.dialect().is_occid
    {
        let operation = session.client.operation(operation).await;
        created.location = operation.map_err(|error| made(error.into()))?.entity;
    }
    if let (Some(limit), Some(location)) = (waiting.wait, &created.location) {
        let operation = created.operation.as_deref();
        let waited = session.wait(name, location, operation, &Until::Up, limit).await;
        waited.map_err(made)?;
    }
    Ok(created)
}

/// Says what has been created: people where it is, machines all of it.
pub(super) async fn report(
    created: Created,
    waiting: Waiting,
    model: &Model,
    session: &Session,
) -> Result<Vec<Record>> {
    let location = location_of(&created)?.to_owned();
    if session.output.is_for_people() {
        session.output.text(&format!("{location}\n"))?;
        return Ok(Vec::new());
    }
    let entity = match created.entity {
        Some(entity) if waiting.wait.is_none() => entity,
        // What is accepted may not be there to see yet; where it will be is what there is to say.
        _ => match session.client.show(&location).await {
            Ok(entity) => entity,
            Err(error) => {
                session
                    .output
                    .note(format!("it has been created, and cannot be shown yet: {error}"));
                return Ok(vec![Record::other(&location, json!({ "location": location }))]);
            }
        },
    };
    Ok(vec![Record::entity(&entity, model)])
}

pub(super) fn location_of(created: &Created) -> Result<&str> {
    match (&created.location, &created.operation) {
        (Some(location), _) => Ok(location),
        (None, Some(operation)) => Err(Failure::new(
            Exit::Failure,
            format!("the server has accepted it and does not say yet where it will be: {operation}"),
        )),
        (None, None) => Err(
            Failure::new(Exit::Failure, "it has been created, and the server does not say where")
                .with_hint("look for it with: occi list"),
        ),
    }
}
