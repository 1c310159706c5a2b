//! The actions: what each asks of the server, and what it prints.

use super::found::Found;
use super::log::Log;
use super::options::{Action, Options};
use super::values::Context;
use super::{Result, Trouble, print};
use crate::terminal;
use futures::TryStreamExt;
use occi_client::{
    Category, Client, Created, EntityDraft, ErrorKind, Filter, Input, Kind, LinkDraft, Listing, Mixin, Model, Patience,
    Place, TypeId, Until, Write,
};
use occi_model::core;
use occi_model::infrastructure::{
    COMPUTE, NETWORKINTERFACE, SSH_KEY, SSH_PUBLIC_KEY, STORAGELINK, USER_DATA, USERDATA,
};
use occi_model::production::{OPENSTACK_PUBLIC_KEY, OPENSTACK_USER_DATA, SECURITYGROUPLINK};
use std::sync::Arc;

/// Deletes collections where nobody can be asked.
const DELETE_ALL: &str = "OCCI_LEGACY_DELETE_ALL";
const HOSTNAME: &str = "occi.compute.hostname";
const TITLE: &str = "occi.core.title";
const OPENSTACK_KEY_DATA: &str = "org.openstack.credentials.publickey.data";
const OPENSTACK_USERDATA: &str = "org.openstack.compute.user_data";

/// One run.
pub(super) struct Act<'o> {
    pub(super) options: &'o Options,
    pub(super) log: &'o Log,
    pub(super) client: Client,
    pub(super) model: Arc<Model>,
}

/// What `-r` means.
enum Meaning<'m> {
    Kind(&'m Kind),
    Mixin(&'m Mixin),
    /// The path of an entity.
    Entity(String),
    /// The path of any other collection.
    Collection(String),
}

impl Act<'_> {
    pub(super) async fn run(&self) -> Result<()> {
        match self.options.action {
            Some(Action::List) | None => self.list().await,
            Some(Action::Describe) => self.describe().await,
            Some(Action::Create) => self.create().await,
            Some(Action::Delete) => self.delete().await,
            Some(Action::Trigger) => self.trigger().await,
            Some(Action::Link) => self.link().await,
            Some(Action::Discover) => self.discover(),
            Some(Action::Update) => self.update().await,
        }
    }

    fn show(&self, found: &Found<'_>) -> Result<()> {
        print(&found.write(self.options.format, &self.model))
    }

    fn meaning(&self) -> Result<Meaning<'_>> {
        let name = self.options.resource.as_str();
        let is_url = name.contains("://") && !name.contains('#');
        if name.starts_with('/') || is_url {
            return Ok(match Place::new(name, self.client.endpoint(), &self.model)? {
                Place::Entity(path) => Meaning::Entity(path),
                Place::Collection(_, Some(Category::Kind(kind))) => Meaning::Kind(kind),
                Place::Collection(path, _) | Place::Query(path) => Meaning::Collection(path),
            });
        }
        match self.model.kind(name) {
            Ok(kind) => return Ok(Meaning::Kind(kind)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        self.mixin(name).map(Meaning::Mixin)
    }

    /// A mixin by any of its names. Of several templates that go by one short name the first is taken, as it always was.
    fn mixin(&self, name: &str) -> Result<&Mixin> {
        let last = name.rsplit('/').next().unwrap_or(name);
        let error = match self.model.mixin(name) {
            Ok(mixin) => return Ok(mixin),
            Err(error) if error.kind() == ErrorKind::NotFound && last.contains('#') => match self.model.mixin(last) {
                Ok(mixin) => return Ok(mixin),
                Err(again) if again.kind() == ErrorKind::Ambiguous => again,
                Err(_) => error,
            },
            Err(error) => error,
        };
        let first = error.candidates().first().filter(|_| name.contains('#'));
        match first.and_then(|id| self.model.get(id)) {
            Some(Category::Mixin(mixin)) => {
                let others = error.candidates().join(", ");
                self.log
                    .warn(&format!("{name} could be any of {others}; the first is taken"));
                Ok(mixin)
            }
            _ if error.kind() == ErrorKind::NotFound => {
                Err(format!("the server offers nothing called {name:?}").into())
            }
            _ => Err(error.into()),
        }
    }

    fn entity(&self, what: &str) -> Result<String> {
        match self.meaning()? {
            Meaning::Entity(path) => Ok(path),
            _ => Err(format!(
                "{:?} is no instance, and {what} one: a path or a URL",
                self.options.resource
            )
            .into()),
        }
    }

    async fn list(&self) -> Result<()> {
        let at = match self.meaning()? {
            Meaning::Mixin(mixin) => {
                let ids = self
                    .model
                    .dependants(mixin.id.as_str())
                    .map(|mixin| mixin.id.to_string());
                return self.show(&Found::Locations(ids.collect()));
            }
            Meaning::Kind(kind) => kind.location.as_str().to_owned(),
            Meaning::Collection(path) => path,
            Meaning::Entity(path) => {
                return Err(format!("{path} is an instance, which is described and not listed").into());
            }
        };
        let paths = self.client.list(&at, &Listing::default()).await?;
        self.show(&Found::Locations(paths.iter().map(|path| self.url(path)).collect()))
    }

    /// Servers call things by URLs, and scripts give them back as `-r`.
    fn url(&self, path: &str) -> String {
        match path.starts_with('/') {
            true => self.client.endpoint().url(path),
            false => path.to_owned(),
        }
    }

    async fn describe(&self) -> Result<()> {
        let entities = match self.meaning()? {
            Meaning::Mixin(mixin) => {
                let mut mixins: Vec<_> = self.model.dependants(mixin.id.as_str()).collect();
                if mixins.is_empty() {
                    mixins.push(mixin);
                }
                return self.show(&Found::Mixins(mixins));
            }
            Meaning::Entity(path) => vec![self.client.show(&path).await?],
            Meaning::Kind(kind) => self.members(kind.location.as_str()).await?,
            Meaning::Collection(path) => self.members(&path).await?,
        };
        self.show(&Found::Entities(entities))
    }

    async fn members(&self, at: &str) -> Result<Vec<occi_client::Entity>> {
        let entities = self.client.entities(at, &Listing::default()).await?;
        Ok(entities.try_collect().await?)
    }

    fn discover(&self) -> Result<()> {
        let root = match self.options.links_are_wanted {
            Some(true) => core::LINK,
            _ => core::RESOURCE,
        };
        let kinds = self.model.kinds().iter();
        let kinds = kinds.filter(|kind| self.model.descends_from(kind.id.as_str(), root));
        self.show(&Found::Kinds(kinds.collect()))
    }

    fn mixins(&self) -> Result<Vec<TypeId>> {
        let names = self.options.mixins.iter();
        names
            .map(|name| self.mixin(name).map(|mixin| mixin.id.clone()))
            .collect()
    }

    /// A draft with the mixins and the attributes of the command line.
    fn draft(&self, kind: &TypeId) -> Result<EntityDraft> {
        let given = self.options.attributes.iter();
        Ok(EntityDraft {
            kind: Some(kind.clone()),
            mixins: self.mixins()?,
            attributes: given
                .map(|given| (given.name.clone(), given.input(&self.model)))
                .collect(),
            ..EntityDraft::default()
        })
    }

    async fn create(&self) -> Result<()> {
        let Meaning::Kind(kind) = self.meaning()? else {
            return Err(format!(
                "{:?} is no kind, and nothing can be created of it",
                self.options.resource
            )
            .into());
        };
        if self.model.is_link(kind.id.as_str()) {
            return Err(format!("{} is a kind of link: -a link makes those", kind.id.term()).into());
        }
        let mut draft = self.draft(&kind.id)?;
        if self.model.descends_from(kind.id.as_str(), COMPUTE) {
            for target in &self.options.links {
                draft.links.push(LinkDraft {
                    entity: self.link_draft(target)?,
                    own_location: None,
                });
            }
            for context in &self.options.contexts {
                self.contextualise(&mut draft, context)?;
            }
            let value = |name: &str| {
                let mut all = draft.attributes.iter().rev();
                all.find(|(known, _)| known.as_str() == name)
                    .map(|(_, value)| value.clone())
            };
            if let (None, Some(title)) = (value(HOSTNAME), value(TITLE)) {
                set(&mut draft, HOSTNAME, title)?;
            }
        } else if !self.options.links.is_empty() || !self.options.contexts.is_empty() {
            self.log
                .warn("links and context variables are for computes, and are passed over");
        }
        let Some(location) = self.made(&draft).await? else {
            return Ok(());
        };
        match self.options.wait.is_zero() {
            true => Ok(()),
            false => self.wait(&location).await,
        }
    }

    /// Creates it, and prints where it is.
    async fn made(&self, draft: &EntityDraft) -> Result<Option<String>> {
        let Created {
            mut location,
            operation,
            ..
        } = self.client.create(draft, &Write::default()).await?;
        // Who answers early names the operation, and that names what it makes.
        if let (None, Some(operation)) = (&location, &operation)
            && self.client.dialect().is_occid
        {
            location = self.client.operation(operation).await?.entity;
        }
        match &location {
            Some(location) => print(&format!("{}\n", self.url(location)))?,
            None => {
                self.log.warn("it has been created, and the server does not say where");
                print("\n")?;
            }
        }
        Ok(location)
    }

    /// Waits until it is up. In vain is no failure, unless `--strict` says so.
    async fn wait(&self, location: &str) -> Result<()> {
        let mut patience = Patience::default();
        patience.limit = self.options.wait;
        match self.client.wait_for(location, &Until::Up, &patience, |_| {}).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Failed) && !self.options.strict => {
                self.log.warn(&format!("waited in vain: {error}"));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A link to a target; the kind follows from the word in its path, else from what is there.
    fn link_draft(&self, target: &str) -> Result<EntityDraft> {
        let by_word = [
            ("/network/", NETWORKINTERFACE),
            ("/ipreservation/", NETWORKINTERFACE),
            ("/storage/", STORAGELINK),
            ("/securitygroup/", SECURITYGROUPLINK),
        ];
        let by_word = by_word
            .iter()
            .find(|(word, _)| target.contains(word))
            .map(|(_, kind)| *kind);
        let by_place = || {
            let kind = self.model.kind_at(target)?;
            Some(self.model.link_kind_to(kind.id.as_str())?.id.as_str())
        };
        let Some(kind) = by_word.or_else(by_place) else {
            return Err(format!("no kind of link leads to {target}").into());
        };
        let Some(Category::Kind(kind)) = self.model.get(kind) else {
            return Err(format!("the server offers no {kind}, which would lead to {target}").into());
        };
        Ok(EntityDraft {
            kind: Some(kind.id.clone()),
            target: Some(target.to_owned()),
            target_kind: self.model.target_kind_of(kind.id.as_str()),
            ..EntityDraft::default()
        })
    }

    /// A key or user data: by OpenStack's mixins, which is what these options have always meant, unless the server has the
    /// standard's and not those.
    fn contextualise(&self, draft: &mut EntityDraft, context: &Context) -> Result<()> {
        let (old, old_name, new, new_name, value) = match context {
            Context::PublicKey(key) => (OPENSTACK_PUBLIC_KEY, OPENSTACK_KEY_DATA, SSH_KEY, SSH_PUBLIC_KEY, key),
            Context::UserData(data) => (OPENSTACK_USER_DATA, OPENSTACK_USERDATA, USER_DATA, USERDATA, data),
        };
        let is_new = self.model.get(old).is_none() && self.model.get(new).is_some();
        let (mixin, name) = if is_new { (new, new_name) } else { (old, old_name) };
        let mixin: TypeId = mixin.parse().map_err(occi_client::Error::from)?;
        if !draft.mixins.contains(&mixin) {
            draft.mixins.push(mixin);
        }
        set(draft, name, Input::Typed(value.as_str().into()))
    }

    async fn link(&self) -> Result<()> {
        let source = self.entity("a link starts at")?;
        let [target] = self.options.links.as_slice() else {
            return Err("one link at a time".into());
        };
        let mut link = self.link_draft(target)?;
        let EntityDraft { mixins, attributes, .. } = match &link.kind {
            Some(kind) => self.draft(kind)?,
            None => EntityDraft::default(),
        };
        link.source = Some(source);
        link.mixins = mixins;
        link.attributes = attributes;
        self.made(&link).await.map(drop)
    }

    async fn delete(&self) -> Result<()> {
        let at = match self.meaning()? {
            Meaning::Entity(path) => {
                self.client.delete(&path, &Write::default()).await?;
                self.log.info(&format!("{path} is deleted"));
                return Ok(());
            }
            Meaning::Mixin(_) => {
                return Err(format!("{:?} is a mixin, which cannot be deleted so", self.options.resource).into());
            }
            Meaning::Kind(kind) => kind.location.as_str().to_owned(),
            Meaning::Collection(path) => path,
        };
        self.confirm(&at)?;
        self.client
            .delete_collection(&at, &Filter::default(), &Write::default())
            .await?;
        self.log.info(&format!("everything in {at} is deleted"));
        Ok(())
    }

    /// To delete everything is the one thing that is not done without a word.
    fn confirm(&self, at: &str) -> Result<()> {
        let is_meant = || std::env::var(DELETE_ALL).is_ok_and(|value| value == "1");
        if self.options.yes || is_meant() {
            return Ok(());
        }
        let question = format!("Delete everything in {at} of {}?", self.client.endpoint());
        match terminal::confirms(&question) {
            Some(true) => Ok(()),
            Some(false) => Err("nothing has been deleted".into()),
            None => Err(Trouble(format!(
                "this would delete everything in {at}, and there is nobody to ask: --yes or {DELETE_ALL}=1 says that it is meant"
            ))),
        }
    }

    async fn trigger(&self) -> Result<()> {
        // What is no action of the server in full goes by its term.
        let said = self.options.trigger.as_str();
        let action = match self.model.get(said) {
            Some(Category::Action(_)) => said,
            _ => said.rsplit('#').next().unwrap_or(said),
        };
        let inputs = self.options.attributes.iter();
        let inputs: Vec<_> = inputs
            .map(|given| (given.name.as_str(), given.input(&self.model)))
            .collect();
        let done = match self.meaning()? {
            Meaning::Entity(path) => self.client.act(&path, action, &inputs, &Write::default()).await?,
            Meaning::Kind(kind) => {
                let (at, all) = (kind.location.as_str(), Filter::default());
                self.client
                    .act_on_collection(at, &all, action, &inputs, &Write::default())
                    .await?
            }
            _ => return Err(format!("{:?} is nothing that has actions", self.options.resource).into()),
        };
        self.log.info(&format!("{action} is done on {}", self.options.resource));
        match done.mixins.is_empty() {
            true => Ok(()),
            false => self.show(&Found::Locations(
                done.mixins.iter().map(|mixin| mixin.id.to_string()).collect(),
            )),
        }
    }

    async fn update(&self) -> Result<()> {
        let path = self.entity("an update changes")?;
        let draft = EntityDraft {
            mixins: self.mixins()?,
            ..EntityDraft::default()
        };
        self.client.update(&path, &draft, &Write::default()).await?;
        self.log.info(&format!("{path} is changed"));
        Ok(())
    }
}

fn set(draft: &mut EntityDraft, name: &str, value: Input) -> Result<()> {
    let name = name.parse().map_err(occi_client::Error::from)?;
    draft.attributes.push((name, value));
    Ok(())
}
