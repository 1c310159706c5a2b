//! State machines of kinds, as values (diagrams of GFD.224).
//!
//! ```text
//! compute:  inactive --start--> active --stop--> inactive      storage: offline --online--> online --offline--> offline
//!           active --suspend--> suspended --start--> active    network: inactive --up--> active --down--> inactive
//!           any --(failure)--> error --start|stop--> active|inactive
//! ```

use crate::{AttributeName, TypeId};

/// One arrow of a state diagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state in which the action is applicable.
    pub from: &'static str,
    /// What is invoked.
    pub action: TypeId,
    /// Where it leads; equal to `from` for actions without a target state (`save`, `restart`, `snapshot`).
    pub to: &'static str,
    /// Whether the action brings the entity *to* a state (`start`), so that a member of a collection that is already
    /// there counts as done; false for `restart` and `save`.
    pub reaches: bool,
}

/// The states of a kind and what moves between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// The attribute that shows the state.
    pub state: AttributeName,
    /// The attribute that explains it.
    pub message: AttributeName,
    /// What a new entity is in.
    pub initial: &'static str,
    /// The action by which a new entity comes up by itself (`start`, `online`, `up`); none for kinds that have none.
    pub bring_up: Option<TypeId>,
    /// The state after `bring_up`.
    pub up: &'static str,
    /// The arrows, in the order in which applicable actions are rendered.
    pub transitions: Vec<Transition>,
}

impl Lifecycle {
    /// The arrow for `action` out of `state`, if it may be invoked now.
    pub fn transition(&self, state: &str, action: &TypeId) -> Option<&Transition> {
        self.transitions.iter().find(|t| t.from == state && t.action == *action)
    }

    /// The actions applicable in `state`, in the order of the table.
    pub fn applicable<'a>(&'a self, state: &'a str) -> impl Iterator<Item = &'a TypeId> {
        self.transitions
            .iter()
            .filter(move |t| t.from == state)
            .map(|t| &t.action)
    }

    /// The state that `action` leads to from anywhere, if it leads to one.
    pub fn target(&self, action: &TypeId) -> Option<&'static str> {
        self.transitions
            .iter()
            .find(|t| t.action == *action && t.reaches)
            .map(|t| t.to)
    }
}
