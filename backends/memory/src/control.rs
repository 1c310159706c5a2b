//! The hand that reaches into the engine: what a test, or the world, does to it.

use crate::client::Client;
use crate::object::{Key, Object, State};
use occi_backend::{ErrorKind, Event, NativeId, Outcome, Verb};
use occi_model::{Attributes, TypeId};
use std::sync::Arc;

/// Makes things happen in a memory engine, without its driver.
#[derive(Clone)]
pub struct Control {
    client: Arc<Client>,
}

impl Control {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self { client }
    }

    /// Takes the engine away, or brings it back: every call fails with [`ErrorKind::Unavailable`].
    pub fn set_down(&self, is_down: bool) {
        self.client.set_down(is_down);
    }

    /// Revokes the engine's credentials, or restores them: every call fails with [`ErrorKind::Unauthenticated`].
    pub fn set_refuses_credentials(&self, refuses: bool) {
        self.client.set_refuses_credentials(refuses);
    }

    /// Fails the next native call of `verb`, which then has no effect, whatever `outcome` claims.
    pub fn fail_next(&self, verb: Verb, kind: ErrorKind, outcome: Outcome) {
        self.fail_after(0, verb, kind, outcome);
    }

    /// Lets so many native calls of `verb` pass, then fails one, as [`Control::fail_next`].
    pub fn fail_after(&self, calls: usize, verb: Verb, kind: ErrorKind, outcome: Outcome) {
        self.client.fail_after(calls, verb, kind, outcome);
    }

    /// The guest of a compute powers itself off.
    pub fn power_off(&self, project: &str, id: &str) {
        self.turn(project, id, State::Inactive, None);
    }

    /// A compute breaks.
    pub fn crash(&self, project: &str, id: &str) {
        self.turn(project, id, State::Error, Some("the machine crashed"));
    }

    /// Somebody makes a resource of `kind` without us; its native id.
    pub fn make_behind_our_back(&self, project: &str, kind: &TypeId, attributes: Attributes) -> NativeId {
        self.client.engine(|engine| {
            let key = engine.new_key(project, kind, None);
            let mut object = Object::new(State::first_and_up(kind).1);
            object.attributes = attributes;
            engine.put(&key, Some(object));
            key.id
        })
    }

    /// Somebody removes an object, and the links at it, without us.
    pub fn remove_behind_our_back(&self, project: &str, kind: &TypeId, id: &str) {
        self.client.engine(|engine| {
            let key = key(project, kind, id);
            for key in engine.links_at(&key).iter().chain([&key]) {
                engine.put(key, None);
            }
        });
    }

    /// The engine says that it has lost events.
    pub fn lose_events(&self) {
        self.client.engine(|engine| engine.tell(Event::Resync));
    }

    /// How many objects of `kind` there are now, links and half-made ones included.
    pub fn count(&self, project: &str, kind: &TypeId) -> usize {
        self.client.engine(|engine| engine.keys(project, kind).len())
    }

    /// Whether the engine works on a resource still, of what it was last asked for.
    pub fn is_at_work(&self, project: &str, kind: &TypeId, id: &str) -> bool {
        self.client.engine(|engine| engine.is_busy(&key(project, kind, id)))
    }

    fn turn(&self, project: &str, id: &str, state: State, message: Option<&str>) {
        self.client.engine(|engine| {
            let key = key(project, &occi_backend::names::COMPUTE, id);
            if let Some(object) = engine.get(&key).cloned() {
                let message = message.map(ToOwned::to_owned);
                engine.put(
                    &key,
                    Some(Object {
                        state,
                        message,
                        ..object
                    }),
                );
            }
        });
    }
}

fn key(project: &str, kind: &TypeId, id: &str) -> Key {
    Key {
        project: project.to_owned(),
        kind: kind.clone(),
        id: id.to_owned(),
    }
}
