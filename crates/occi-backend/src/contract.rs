//! The trait.

use crate::{
    BackendError, Capabilities, Catalogue, Consoles, Context, ErrorKind, Event, Images, Listing, Picture, Result,
    Scope, Target, Template,
};
use async_trait::async_trait;
use futures::stream::BoxStream;
use occi_model::{AttributeName, Attributes, EntityId, Term, TypeId};
use std::sync::Arc;

/// The ends of a link to be made. Both are in this backend; the source is in the scope's project, and so is the target
/// unless it says otherwise ([`Target::project`]). Whether the link may lead there has been decided.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkEnds {
    /// The resource that will own the link.
    pub source: Target,
    /// What it leads to.
    pub target: Target,
}

/// A link that comes with a new resource.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateLink {
    /// Our mark of the link.
    pub mark: EntityId,
    /// Its kind.
    pub kind: TypeId,
    /// Mixins that the engine carries out.
    pub mixins: Vec<TypeId>,
    /// What the client wants of it.
    pub attributes: Attributes,
    /// Where it leads; `None` means the project's default network.
    pub target: Option<Target>,
}

/// An entity to be made. Everything has been validated against the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Create {
    /// Our mark: the id that the native object will carry.
    pub mark: EntityId,
    /// Its kind.
    pub kind: TypeId,
    /// What to boot (its [`Template::term`]).
    pub os_template: Option<Term>,
    /// The size's name, for engines with named sizes. The attributes hold its values already.
    pub resource_template: Option<Term>,
    /// Other mixins that the engine carries out (`ssh_key`, `user_data`, `ipnetwork`, ...).
    pub mixins: Vec<TypeId>,
    /// All attributes, defaults and template values applied. Key and user data arrive under their OCCI names
    /// (`occi.credentials.ssh.publickey`, `occi.compute.userdata`) however the client spelt them.
    pub attributes: Attributes,
    /// For a resource: the links to make with it.
    pub links: Vec<CreateLink>,
    /// For a link: its ends.
    pub ends: Option<LinkEnds>,
    /// Whether a resource comes up by itself (`start`, `online`, `up`). Of links it says nothing: their states follow
    /// from their ends.
    pub bring_up: bool,
}

/// A change of an existing entity: only what the engine owns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// New values.
    pub set: Attributes,
    /// Values to remove.
    pub unset: Vec<AttributeName>,
    /// Another size.
    pub resource_template: Option<Term>,
    /// Another operating system: the root disk is made anew from it.
    pub os_template: Option<Term>,
    /// Mixins to add.
    pub mixins_added: Vec<TypeId>,
    /// Mixins to remove.
    pub mixins_removed: Vec<TypeId>,
    /// For a link: other ends.
    pub ends: Option<LinkEnds>,
}

/// An action with its parameters, defaults applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// The action.
    pub action: TypeId,
    /// Its parameters.
    pub parameters: Attributes,
}

impl Invocation {
    /// The `method` parameter, or nothing.
    pub fn method(&self) -> Option<&str> {
        self.parameters.get("method").and_then(|value| value.as_str())
    }
}

/// What an action left behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Acted {
    /// Every object of the scope whose picture changed, the entity itself first.
    pub pictures: Vec<Picture>,
    /// The template that `save` made.
    pub template: Option<Template>,
}

/// An engine.
///
/// # Behavior
/// - **Marks.** A verb that makes something marks the native object with [`Create::mark`] before or in the native call.
///   The mark is the token by which a crash finds the thing again.
/// - **Idempotence.** Every verb may be called again with the same arguments after a crash, an interruption or an
///   ambiguous failure, and then ends where one undisturbed call would have ended: `create` continues or returns what
///   carries its mark, `delete` of something missing succeeds, `act` and `update` on something that is already so
///   succeed.
/// - **Failure.** A verb that fails says by [`crate::Outcome`] whether something may have happened. It does not undo
///   what it has done: the engine above calls `delete` for that, which also removes what a half-made `create` left.
/// - **Steps.** After every side effect a verb calls [`Context::step`], and returns the error at once if that fails. Before
///   a verb is called its operation is durable, with the marks of all that it makes; its end is durable before anybody
///   hears of it. A step need not be when the call returns: it is with the end, or within a second if the verb goes on, and
///   after a crash the last ones are lost (decision 0012). So a verb keeps what it has to know again in the native object.
/// - **Time.** A verb is dropped that has not come further until its deadline ([`Context::deadline`]). Every step renews it.
///   What takes long between two steps says that it comes further ([`Context::progress`], [`Context::goes_on`]) when it
///   has seen so, and what waits for others does it by [`Context::wait`].
/// - **Dropping.** A verb's future may be dropped at any `await` (a time-out does); that leaves what a crash there would.
/// - **Scope.** A link is in the project of its source. A verb gives the pictures of what is in its scope; what it changes
///   in another project (links that lead to a network of this one) the engine above looks at by itself.
/// - **Caching.** A driver never caches entities. Templates, catalogues and tokens it may.
/// - **Layers.** Retry, time-outs, concurrency limits, metrics and fault injection are layers around this trait; a
///   driver does none of it.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// What this backend can do. Constant while it lives.
    fn capabilities(&self) -> &Capabilities;

    /// The templates of `scope`.
    ///
    /// # Behavior
    /// - Reads only. May be answered from a cache of at most a minute.
    async fn catalogue(&self, scope: &Scope) -> Result<Catalogue>;

    /// Whether the engine can be used at all now; the error says what to do (a package to install, a service to start).
    ///
    /// # Behavior
    /// - Reads only, and quickly (under a second).
    async fn health(&self) -> Result<()>;

    /// The cheap check of a create before it is recorded: is there room, does the template exist, is the size allowed.
    ///
    /// # Behavior
    /// - No effects. Success promises nothing.
    /// - What it refuses, `create` would refuse too.
    /// - For what there is no room now and might be: [`crate::ErrorKind::CapacityExhausted`]; for what there never is:
    ///   [`crate::ErrorKind::TooLarge`].
    async fn admit(&self, scope: &Scope, create: &Create) -> Result<()>;

    /// The cheap check of a change of `target`, as [`Backend::admit`].
    async fn admit_change(&self, scope: &Scope, target: &Target, change: &Change) -> Result<()> {
        let _ = (scope, target, change);
        Ok(())
    }

    /// The native projects in which there is something, whether anybody here knows them or not.
    ///
    /// # Behavior
    /// - Reads only. Each once.
    /// - Not declared by [`Capabilities::lists_projects`]: [`crate::ErrorKind::Unsupported`].
    async fn projects(&self) -> Result<Vec<String>> {
        let message = "this engine does not tell its projects";
        Err(crate::BackendError::new(crate::ErrorKind::Unsupported, message))
    }

    /// One bulk listing of a kind.
    ///
    /// # Behavior
    /// - A bounded number of native calls, however many objects there are. Full detail.
    /// - Objects that are not ours (no mark) are included.
    /// - May show the past, by less than [`Capabilities::call_timeout`]; [`Backend::find`] may not.
    async fn list(&self, scope: &Scope, kind: &TypeId) -> Result<Listing>;

    /// The picture of one object, found by its native id if that is known, else by its mark.
    ///
    /// # Behavior
    /// - Missing: `Ok(None)`.
    async fn find(&self, scope: &Scope, target: &Target) -> Result<Option<Picture>>;

    /// Makes a resource with its links, or a link.
    ///
    /// # Behavior
    /// - Returns the pictures of everything that was made or changed, the entity first, when all is done (with
    ///   [`Create::bring_up`]: when it is up).
    /// - Calls [`Context::accepted`] as soon as the engine has taken responsibility.
    /// - Idempotent by mark. On failure something may exist: see the outcome; `delete` removes it.
    async fn create(&self, context: &Context, create: &Create) -> Result<Vec<Picture>>;

    /// Changes an existing entity.
    ///
    /// # Behavior
    /// - All or nothing where the engine allows; on failure the returned state is what `find` says.
    /// - Missing: [`crate::ErrorKind::NotFound`]. Not in this state: [`crate::ErrorKind::Conflict`].
    async fn update(&self, context: &Context, target: &Target, change: &Change) -> Result<Vec<Picture>>;

    /// Invokes an action.
    ///
    /// # Behavior
    /// - Returns when the action has had its effect, not when it was taken.
    /// - Idempotent: an action whose effect is there succeeds. `restart` and `save` look at [`Context::attempt`].
    /// - Missing: [`crate::ErrorKind::NotFound`]. Not in this state: [`crate::ErrorKind::Conflict`]. Not declared:
    ///   [`crate::ErrorKind::Unsupported`].
    /// - A storage is not taken `offline` from under a compute that is on or held: [`crate::ErrorKind::InUse`].
    /// - A graceful stop that the guest ignores fails with [`crate::ErrorKind::Timeout`] and leaves the state as it was.
    async fn act(&self, context: &Context, target: &Target, invocation: &Invocation) -> Result<Acted>;

    /// Removes an entity with its links, and everything a half-made `create` of the same mark left behind.
    ///
    /// # Behavior
    /// - Missing: succeeds.
    /// - Of a running compute: stops it at once.
    /// - Returns when the thing is gone.
    /// - Others depend on it: [`crate::ErrorKind::InUse`].
    async fn delete(&self, context: &Context, target: &Target) -> Result<()>;

    /// Removes a template of `scope` that `save` or an upload ([`Images`]) has made: one whose [`Template::project`] is that of the scope.
    ///
    /// # Behavior
    /// - Missing: succeeds.
    /// - Belongs to everybody or to another project: [`crate::ErrorKind::Forbidden`].
    /// - There are computes of it: [`crate::ErrorKind::InUse`].
    /// - Returns when it is gone from the catalogue. There is no operation to it: it takes one call and no steps.
    /// - [`Capabilities::removes_templates`] is false: [`crate::ErrorKind::Unsupported`].
    async fn remove_template(&self, scope: &Scope, term: &Term) -> Result<()> {
        let _ = scope;
        Err(BackendError::new(
            ErrorKind::Unsupported,
            format!("the template {term} is not removed by the engine that made it"),
        ))
    }

    /// Images that clients bring and take away; `None` where [`Capabilities::images`] is false.
    fn images(&self) -> Option<Arc<dyn Images>> {
        None
    }

    /// The consoles of its computes; `None` where no kind declares [`crate::KindCapability::console`] or
    /// [`crate::KindCapability::console_log`].
    fn consoles(&self) -> Option<Arc<dyn Consoles>> {
        None
    }

    /// What happens in the engine by itself, in order per object; `None` where [`Capabilities::events`] is false.
    /// Called once.
    fn events(&self) -> Option<BoxStream<'static, Event>>;

    /// Leaves the native objects as they are and ends what this process runs for them.
    async fn shutdown(&self) {}
}
