//! What exists in the engine.

use occi_backend::NativeId;
use occi_backend::names::{SECURITYGROUP, STORAGE};
use occi_model::{Attributes, EntityId, Term, TypeId};

/// The name of an object: unique in the engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) project: String,
    pub(crate) kind: TypeId,
    pub(crate) id: NativeId,
}

/// The states of all kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    Inactive,
    Suspended,
    Error,
    Online,
    Offline,
}

impl State {
    pub(crate) const ALL: [Self; 6] = [
        Self::Active,
        Self::Inactive,
        Self::Suspended,
        Self::Error,
        Self::Online,
        Self::Offline,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Suspended => "suspended",
            Self::Error => "error",
            Self::Online => "online",
            Self::Offline => "offline",
        }
    }

    /// Whether something that leads here works.
    pub(crate) fn is_up(self) -> bool {
        matches!(self, Self::Active | Self::Online)
    }

    /// What a new resource of `kind` is in, and what it is in once it has come up.
    pub(crate) fn first_and_up(kind: &TypeId) -> (Self, Self) {
        if *kind == *STORAGE {
            (Self::Offline, Self::Online)
        } else if *kind == *SECURITYGROUP {
            (Self::Active, Self::Active)
        } else {
            (Self::Inactive, Self::Active)
        }
    }
}

/// What the engine has begun and not yet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The object shows: the request that made it has arrived.
    Appear,
    /// The object reaches a state.
    Reach(State),
    /// The object goes.
    Vanish,
}

/// An object of any kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) mark: Option<EntityId>,
    pub(crate) os_template: Option<Term>,
    pub(crate) resource_template: Option<Term>,
    pub(crate) mixins: Vec<TypeId>,
    /// Those that the engine owns, without the state and its message.
    pub(crate) attributes: Attributes,
    /// Of resources; that of a link follows from its ends.
    pub(crate) state: State,
    pub(crate) message: Option<String>,
    /// Of links: taken down by a client.
    pub(crate) held_down: bool,
    /// Of computes: the guest ignores every request to stop.
    pub(crate) ignores_stop: bool,
    /// Of networks: made for a project that had none.
    pub(crate) is_default: bool,
    /// The last operation that restarted this compute, so that a repeated one knows.
    pub(crate) operation: Option<String>,
    /// Of links: source and target.
    pub(crate) ends: Option<(Key, Key)>,
    /// What will happen, and when; earliest first.
    pub(crate) pending: Vec<(u64, Then)>,
}

impl Object {
    pub(crate) fn new(state: State) -> Self {
        Self {
            mark: None,
            os_template: None,
            resource_template: None,
            mixins: Vec::new(),
            attributes: Attributes::new(),
            state,
            message: None,
            held_down: false,
            ignores_stop: false,
            is_default: false,
            operation: None,
            ends: None,
            pending: Vec::new(),
        }
    }

    /// Whether the request that made it is still under way.
    pub(crate) fn is_hidden(&self) -> bool {
        self.pending.iter().any(|(_, then)| *then == Then::Appear)
    }

    /// The number that an attribute holds, or 0.
    pub(crate) fn number(&self, name: &str) -> f64 {
        self.attributes
            .get(name)
            .and_then(|value| value.as_f64())
            .unwrap_or(0.0)
    }
}
