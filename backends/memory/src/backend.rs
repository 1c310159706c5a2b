//! The verbs.

use crate::actions::{changed, check_state, check_unused, grow, hold_link, reached, save};
use crate::capabilities::capabilities;
use crate::client::Client;
use crate::config::Config;
use crate::console;
use crate::control::Control;
use crate::engine::Engine;
use crate::links::{Wanted, link, link_target, missing};
use crate::object::{Key, Object, State, Then};
use crate::resources::{check_compute, resource};
use crate::templates::catalogue;
use async_trait::async_trait;
use futures::stream::BoxStream;
use occi_backend::names::COMPUTE;
use occi_backend::{
    Acted, Backend, BackendError, Capabilities, Catalogue, Change, Consoles, Context, Create, ErrorKind, Event,
    Invocation, KindCapability, Listing, Picture, Result, Scope, Target, Verb,
};
use occi_model::{EntityId, Term, TypeId};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// The reference engine and its driver.
pub struct Memory {
    client: Arc<Client>,
    capabilities: Capabilities,
}

impl Memory {
    /// An engine that behaves as `config` says, with what its file holds.
    ///
    /// # Errors
    /// The file cannot be opened, is in use by another process, or is no file of ours.
    pub fn open(config: Config) -> std::io::Result<Self> {
        let capabilities = capabilities(&config);
        let client = Arc::new(Client::open(config)?);
        Ok(Self { client, capabilities })
    }

    /// The handle with which a test makes things happen in the engine.
    pub fn control(&self) -> Control {
        Control::new(self.client.clone())
    }

    fn capability(&self, kind: &TypeId) -> Result<&KindCapability> {
        self.capabilities.kind(kind).ok_or_else(|| {
            BackendError::new(
                ErrorKind::Unsupported,
                format!("the memory engine has no {}", kind.term()),
            )
        })
    }

    async fn key(&self, scope: &Scope, target: &Target) -> Result<Key> {
        let named = self.client.read(|engine| engine.named(&scope.project, target)).await?;
        named.into_iter().next().ok_or_else(|| missing(target))
    }

    /// The native call that makes one object, unless an earlier attempt has made it.
    async fn make(
        &self,
        context: &Context,
        kind: &TypeId,
        mark: &EntityId,
        build: impl FnOnce(&mut Engine) -> Result<Object>,
    ) -> Result<Key> {
        let project = &context.scope.project;
        let is_local = self.client.is_local();
        if context.attempt > 1 {
            let made = self.client.read(|engine| engine.marked(project, kind, mark)).await?;
            if let Some(key) = made.into_iter().next() {
                return Ok(key);
            }
        }
        let work_ms = self.client.config.work_ms;
        let make = |engine: &mut Engine| {
            let key = engine.new_key(project, kind, is_local.then_some(mark));
            // An engine that takes our ids has no second object; a cloud does what it is told.
            if engine.get(&key).is_some() {
                return Ok(key);
            }
            let mut object = build(engine)?;
            if work_ms > 0 {
                object.message = Some("is being created".to_owned());
                object.pending.push((engine.now + work_ms, Then::Reach(object.state)));
            }
            engine.insert(&key, object);
            Ok(key)
        };
        let key = self.client.write(Verb::Create, make).await?;
        context.step(&format!("{} made", kind.term())).await?;
        Ok(key)
    }

    /// Waits until the engine has done what it has begun.
    async fn idle(&self, key: &Key) -> Result<()> {
        while self.client.read(|engine| engine.is_busy(key)).await? {
            sleep(Duration::from_millis((self.client.config.work_ms / 4).clamp(1, 1000))).await;
        }
        Ok(())
    }

    /// Brings an object to what `then` says, and waits for it.
    async fn bring(&self, verb: Verb, key: &Key, then: Then) -> Result<()> {
        let work_ms = self.client.config.work_ms;
        let begin = |engine: &mut Engine| {
            if matches!(then, Then::Reach(State::Offline)) {
                check_unused(engine, key)?;
            }
            engine.begin(key, then, work_ms);
            Ok(())
        };
        self.client.write(verb, begin).await?;
        self.idle(key).await.map_err(BackendError::ambiguous)
    }

    async fn state(&self, key: &Key) -> Result<State> {
        let state = |engine: &Engine| engine.get(key).map(|object| engine.state(object));
        self.client.read(state).await?.ok_or_else(|| {
            BackendError::new(
                ErrorKind::NotFound,
                format!("there is no {} {}", key.kind.term(), key.id),
            )
        })
    }

    async fn picture(&self, key: &Key) -> Result<Option<Picture>> {
        self.client.read(|engine| engine.picture(key)).await
    }

    async fn pictures(&self, key: &Key) -> Result<Vec<Picture>> {
        self.client.read(|engine| engine.pictures(key)).await
    }

    /// Makes a resource, its links, and brings it up.
    async fn create_resource(&self, context: &Context, create: &Create) -> Result<Vec<Picture>> {
        let project = &context.scope.project;
        let capability = self.capability(&create.kind)?;
        for link in &create.links {
            if !capability.inline_links.contains(&link.kind) {
                return Err(BackendError::new(
                    ErrorKind::Unsupported,
                    format!(
                        "the memory engine makes no {} with a {}",
                        link.kind.term(),
                        create.kind.term()
                    ),
                ));
            }
        }
        let build = |engine: &mut Engine| {
            for link in &create.links {
                match &link.target {
                    // Of an earlier attempt some links are there and their volumes attached.
                    Some(target) if engine.marked(project, &link.kind, &link.mark).is_empty() => {
                        link_target(engine, project, &link.kind, target)?;
                    }
                    _ => {}
                }
            }
            resource(engine, self.client.config.personality, project, capability, create)
        };
        let key = self.make(context, &create.kind, &create.mark, build).await?;
        // From here on something is there, whatever fails.
        self.complete(context, create, &key)
            .await
            .map_err(BackendError::ambiguous)
    }

    async fn complete(&self, context: &Context, create: &Create, key: &Key) -> Result<Vec<Picture>> {
        let project = &context.scope.project;
        for inline in &create.links {
            let capability = self.capability(&inline.kind)?;
            let build = |engine: &mut Engine| {
                let target = match &inline.target {
                    Some(target) => link_target(engine, project, &inline.kind, target)?,
                    None => engine.default_network(project),
                };
                let wanted = Wanted {
                    mark: &inline.mark,
                    kind: &inline.kind,
                    mixins: &inline.mixins,
                    attributes: &inline.attributes,
                };
                link(engine, capability, &wanted, key, &target)
            };
            self.make(context, &inline.kind, &inline.mark, build).await?;
        }
        if let Some(picture) = self.picture(key).await? {
            context.accepted(&picture).await?;
        }
        self.idle(key).await?;
        let (first, up) = State::first_and_up(&create.kind);
        if create.bring_up && up != first && self.state(key).await? == first {
            if let Some(picture) = self.picture(key).await? {
                context.picture(&picture).await?;
            }
            self.bring(Verb::Create, key, Then::Reach(up)).await?;
            context.step(&format!("{} brought up", create.kind.term())).await?;
        }
        self.pictures(key).await
    }

    async fn create_link(&self, context: &Context, create: &Create) -> Result<Vec<Picture>> {
        let project = &context.scope.project;
        let capability = self.capability(&create.kind)?;
        let Some(ends) = &create.ends else {
            return Err(BackendError::new(ErrorKind::Invalid, "a link needs two ends"));
        };
        let owner = self.capability(&ends.source.kind)?;
        let build = |engine: &mut Engine| {
            let source = engine.named(project, &ends.source).into_iter().next();
            let source = source.ok_or_else(|| missing(&ends.source))?;
            let states = owner.later_links.iter().find(|(kind, _)| *kind == create.kind);
            if let Some(object) = engine.get(&source) {
                let states = states.map(|(_, states)| states.as_slice()).unwrap_or_default();
                check_state("a link", &source, engine.state(object), states)?;
            }
            let target = link_target(engine, project, &create.kind, &ends.target)?;
            let wanted = Wanted {
                mark: &create.mark,
                kind: &create.kind,
                mixins: &create.mixins,
                attributes: &create.attributes,
            };
            link(engine, capability, &wanted, &source, &target)
        };
        let key = self.make(context, &create.kind, &create.mark, build).await?;
        if let Some(picture) = self.picture(&key).await.map_err(BackendError::ambiguous)? {
            context.accepted(&picture).await?;
        }
        self.idle(&key).await.map_err(BackendError::ambiguous)?;
        self.pictures(&key).await.map_err(BackendError::ambiguous)
    }

    /// Asks the guest to stop, and gives it its time.
    async fn ask_guest(&self, key: &Key) -> Result<()> {
        let ignores = |engine: &Engine| engine.get(key).is_some_and(|object| object.ignores_stop);
        if !self.client.read(ignores).await? {
            return Ok(());
        }
        let grace_ms = self.client.config.stop_grace_ms;
        sleep(Duration::from_millis(grace_ms)).await;
        Err(BackendError::new(
            ErrorKind::Timeout,
            format!("the guest did not stop within {grace_ms} ms; it is still running"),
        ))
    }

    /// Carries out an action that is possible now.
    async fn invoke(&self, context: &Context, key: &Key, invocation: &Invocation) -> Result<Acted> {
        let mut acted = Acted::default();
        let operation = context.operation.to_string();
        match invocation.action.term() {
            "restart" => {
                let done = |engine: &Engine| engine.get(key).and_then(|object| object.operation.clone());
                if context.attempt == 1 || self.client.read(done).await? != Some(operation.clone()) {
                    if invocation.method() != Some("cold") {
                        self.ask_guest(key).await?;
                    }
                    let restart = |engine: &mut Engine| {
                        if let Some(object) = engine.get(key).cloned() {
                            let operation = Some(operation);
                            engine.put(key, Some(Object { operation, ..object }));
                        }
                        engine.begin(key, Then::Reach(State::Active), self.client.config.work_ms);
                        Ok(())
                    };
                    self.client.write(Verb::Act, restart).await?;
                }
            }
            "save" => {
                let make = |engine: &mut Engine| Ok(save(engine, &key.project, &operation, invocation));
                acted.template = Some(self.client.write(Verb::Act, make).await?.template());
            }
            "resize" => {
                let size_gib = invocation.parameters.get("size").and_then(|value| value.as_f64());
                let size_gib = size_gib.ok_or_else(|| BackendError::new(ErrorKind::Invalid, "resize needs a size"))?;
                let resize = |engine: &mut Engine| {
                    if let Some(mut object) = engine.get(key).cloned() {
                        grow(&mut object, size_gib)?;
                        engine.put(key, Some(object));
                    }
                    Ok(())
                };
                self.client.write(Verb::Act, resize).await?;
            }
            term => {
                let then = reached(&key.kind, term);
                let is_link = |engine: &Engine| engine.get(key).is_some_and(|object| object.ends.is_some());
                if self.client.read(is_link).await? {
                    let up = then.is_some_and(State::is_up);
                    self.client
                        .write(Verb::Act, |engine| hold_link(engine, key, up))
                        .await?;
                } else {
                    if term == "stop" && invocation.method() != Some("poweroff") {
                        self.ask_guest(key).await?;
                    }
                    // `backup` and `snapshot` leave the state as it is.
                    let then = match then {
                        Some(then) => then,
                        None => self.state(key).await?,
                    };
                    self.bring(Verb::Act, key, Then::Reach(then)).await?;
                }
            }
        }
        self.idle(key).await.map_err(BackendError::ambiguous)?;
        context.step(&format!("{} done", invocation.action.term())).await?;
        acted.pictures = self.pictures(key).await.map_err(BackendError::ambiguous)?;
        Ok(acted)
    }

    /// Removes one object, the links that it owns first.
    async fn remove(&self, context: &Context, key: &Key) -> Result<()> {
        let links = self.client.read(|engine| engine.links_from(key)).await?;
        let in_use = |engine: &Engine| !engine.links_to(key).is_empty();
        if self.client.read(in_use).await? {
            return Err(BackendError::new(
                ErrorKind::InUse,
                format!("the {} is in use by a compute", key.kind.term()),
            ));
        }
        for (n, key) in links.iter().chain([key]).enumerate() {
            let removed = match self.idle(key).await {
                Ok(()) => self.bring(Verb::Delete, key, Then::Vanish).await,
                Err(error) => Err(error),
            };
            removed.map_err(|error| if n == 0 { error } else { error.ambiguous() })?;
            context.step(&format!("{} removed", key.kind.term())).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Backend for Memory {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn catalogue(&self, scope: &Scope) -> Result<Catalogue> {
        let personality = self.client.config.personality;
        self.client
            .read(|engine| catalogue(personality, &engine.templates, &scope.project))
            .await
    }

    async fn health(&self) -> Result<()> {
        self.client.read(|_| ()).await
    }

    async fn admit(&self, scope: &Scope, create: &Create) -> Result<()> {
        self.capability(&create.kind)?;
        let check = |engine: &Engine| {
            for link in &create.links {
                if let Some(target) = &link.target {
                    link_target(engine, &scope.project, &link.kind, target)?;
                }
            }
            if let Some(ends) = &create.ends {
                link_target(engine, &scope.project, &create.kind, &ends.target)?;
            }
            if create.kind != *COMPUTE {
                return Ok(());
            }
            check_compute(engine, self.client.config.personality, &scope.project, create)
        };
        self.client.read(check).await?
    }

    async fn admit_change(&self, scope: &Scope, target: &Target, change: &Change) -> Result<()> {
        let capability = self.capability(&target.kind)?;
        let key = self.key(scope, target).await?;
        let personality = self.client.config.personality;
        self.client
            .read(|engine| changed(engine, personality, capability, &key, change).map(|_| ()))
            .await?
    }

    async fn projects(&self) -> Result<Vec<String>> {
        self.client.read(Engine::projects).await
    }

    async fn list(&self, scope: &Scope, kind: &TypeId) -> Result<Listing> {
        self.capability(kind)?;
        let pictures = self.client.read(|engine| engine.list(&scope.project, kind)).await?;
        Ok(Listing {
            pictures,
            complete: true,
        })
    }

    async fn find(&self, scope: &Scope, target: &Target) -> Result<Option<Picture>> {
        self.capability(&target.kind)?;
        let find = |engine: &Engine| {
            let named = engine.named(&scope.project, target);
            named.first().and_then(|key| engine.picture(key))
        };
        self.client.read(find).await
    }

    async fn create(&self, context: &Context, create: &Create) -> Result<Vec<Picture>> {
        if create.ends.is_some() {
            self.create_link(context, create).await
        } else {
            self.create_resource(context, create).await
        }
    }

    async fn update(&self, context: &Context, target: &Target, change: &Change) -> Result<Vec<Picture>> {
        let capability = self.capability(&target.kind)?;
        let key = self.key(&context.scope, target).await?;
        self.idle(&key).await?;
        let personality = self.client.config.personality;
        let update = |engine: &mut Engine| {
            let object = changed(engine, personality, capability, &key, change)?;
            engine.put(&key, Some(object));
            Ok(())
        };
        self.client.write(Verb::Update, update).await?;
        context.step("changed").await?;
        self.pictures(&key).await.map_err(BackendError::ambiguous)
    }

    async fn act(&self, context: &Context, target: &Target, invocation: &Invocation) -> Result<Acted> {
        let term = invocation.action.term();
        let declared = self
            .capability(&target.kind)?
            .action(&invocation.action)
            .ok_or_else(|| {
                BackendError::new(
                    ErrorKind::Unsupported,
                    format!("the memory engine has no {term} of a {}", target.kind.term()),
                )
            })?;
        let key = self.key(&context.scope, target).await?;
        self.idle(&key).await?;
        let state = self.state(&key).await?;
        if reached(&target.kind, term) == Some(state) {
            return Ok(Acted {
                pictures: self.pictures(&key).await?,
                template: None,
            });
        }
        check_state(term, &key, state, &declared.states)?;
        self.invoke(context, &key, invocation).await
    }

    async fn delete(&self, context: &Context, target: &Target) -> Result<()> {
        self.capability(&target.kind)?;
        let project = &context.scope.project;
        let keys = self.client.read(|engine| engine.named(project, target)).await?;
        for key in keys {
            self.remove(context, &key).await?;
        }
        Ok(())
    }

    async fn remove_template(&self, scope: &Scope, term: &Term) -> Result<()> {
        let remove = |engine: &mut Engine| engine.remove_template(&scope.project, term);
        self.client.write(Verb::RemoveTemplate, remove).await
    }

    fn consoles(&self) -> Option<Arc<dyn Consoles>> {
        let consoles = || Arc::new(console::Consoles(self.client.clone())) as Arc<dyn Consoles>;
        self.client.is_local().then(consoles)
    }

    fn events(&self) -> Option<BoxStream<'static, Event>> {
        self.client.is_local().then(|| self.client.clone().events())
    }
}
