//! What an operation has to do, and the form in which the store keeps it.
//!
//! The form is ours alone: private types, converted by naming every field, so that a field which is added to the contract
//! and forgotten here does not compile.

use crate::row;
use occi_backend::{Change, Create, CreateLink, Invocation, LinkEnds, Target};
use occi_model::{AttributeName, Attributes, EntityId, LinkEnd, TypeId};
use occi_store::{EntityRow, OperationRow};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::str::FromStr;
use uuid::Uuid;

/// The operation of a worker: an entity and what is to be done with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Intent {
    /// The entity.
    pub(crate) entity: EntityId,
    /// Its kind.
    pub(crate) kind: TypeId,
    /// The native project.
    pub(crate) native_project: String,
    /// What is to be done.
    pub(crate) task: Task,
}

/// What is to be done with an entity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Task {
    /// Make it.
    Create(Box<Create>),
    /// Change it.
    Update {
        /// What the engine has to do.
        change: Box<Change>,
        /// What the store writes when that is done.
        then: Box<Amendment>,
    },
    /// Invoke an action.
    Act(Invocation),
    /// Remove it.
    Delete {
        /// The rows that go with it: links it owns, and links to it that only the store holds.
        links: Vec<EntityId>,
        /// The operations that were running on them: told to stop, they have to end first.
        superseded: Vec<Uuid>,
        /// Operations that remove what uses it: they have to end first.
        after: Vec<Uuid>,
    },
}

/// A change of what the store holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Amendment {
    /// Attributes to set.
    pub(crate) set: Attributes,
    /// Attributes to remove.
    pub(crate) unset: Vec<AttributeName>,
    /// Mixins to add.
    pub(crate) mixins_added: Vec<TypeId>,
    /// Mixins to take away.
    pub(crate) mixins_removed: Vec<TypeId>,
    /// Of an operation that was recorded before the two above were kept apart: the whole new list of mixins.
    pub(crate) mixins: Option<Vec<TypeId>>,
    /// For a link: another source.
    pub(crate) source: Option<EntityId>,
    /// For a link: another target, and its id if it is ours.
    pub(crate) target: Option<(LinkEnd, Option<EntityId>)>,
}

impl Intent {
    /// What is in the care of the operation: the entity, and the links that come or go with it.
    pub(crate) fn entities(&self) -> Vec<EntityId> {
        let mut ids = vec![self.entity.clone()];
        match &self.task {
            Task::Create(create) => ids.extend(create.links.iter().map(|link| link.mark.clone())),
            Task::Delete { links, .. } => ids.extend(links.iter().cloned()),
            Task::Update { .. } | Task::Act(_) => {}
        }
        ids
    }
}

impl Amendment {
    /// Whether it changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This as a change of a row that has the mixins `now`.
    pub(crate) fn into_change(self, now: &[TypeId]) -> occi_store::Change {
        let Self {
            set,
            unset,
            mut mixins_added,
            mut mixins_removed,
            mixins,
            source,
            target,
        } = self;
        if let Some(whole) = mixins {
            mixins_removed.extend(now.iter().filter(|mixin| !whole.contains(mixin)).cloned());
            mixins_added.extend(whole);
        }
        occi_store::Change {
            set,
            unset,
            mixins_added,
            mixins_removed,
            source,
            target,
            ..occi_store::Change::default()
        }
    }
}

impl Task {
    /// The verb, as operations show it.
    pub(crate) fn verb(&self) -> &str {
        match self {
            Self::Create(_) => "create",
            Self::Update { .. } => "update",
            Self::Act(invocation) => invocation.action.term(),
            Self::Delete { .. } => "delete",
        }
    }
}

impl Intent {
    /// What the backend is told of the entity, whose row is `found` if it still has one.
    pub(crate) fn target(&self, found: Option<&EntityRow>) -> Target {
        found.map_or_else(
            || Target {
                kind: self.kind.clone(),
                mark: self.entity.clone(),
                native_id: None,
                project: None,
            },
            row::target,
        )
    }

    /// The form that the store keeps.
    pub(crate) fn to_text(&self) -> String {
        let Self {
            entity,
            kind,
            native_project,
            task,
        } = self;
        let form = Form {
            entity: entity.to_string(),
            kind: kind.to_string(),
            native_project: native_project.clone(),
            task: TaskForm::of(task),
        };
        serde_json::to_string(&form).unwrap_or_default()
    }

    /// Reads what [`Intent::to_text`] wrote.
    pub(crate) fn from_row(row: &OperationRow) -> Result<Self, String> {
        let form: Form = serde_json::from_str(&row.intent).map_err(|error| error.to_string())?;
        Ok(Self {
            entity: parse(&form.entity)?,
            kind: parse(&form.kind)?,
            native_project: form.native_project,
            task: form.task.read(&form.entity, &form.kind)?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Form {
    entity: String,
    kind: String,
    native_project: String,
    task: TaskForm,
}

#[derive(Serialize, Deserialize)]
enum TaskForm {
    #[serde(rename = "create")]
    Create(Box<CreateForm>),
    #[serde(rename = "update")]
    Update {
        change: Box<ChangeForm>,
        then: Box<AmendmentForm>,
    },
    #[serde(rename = "act")]
    Act { action: String, parameters: Json },
    #[serde(rename = "delete")]
    Delete {
        links: Vec<String>,
        superseded: Vec<String>,
        after: Vec<String>,
    },
}

#[derive(Serialize, Deserialize)]
struct CreateForm {
    os_template: Option<String>,
    resource_template: Option<String>,
    mixins: Vec<String>,
    attributes: Json,
    links: Vec<LinkForm>,
    ends: Option<EndsForm>,
    bring_up: bool,
}

#[derive(Serialize, Deserialize)]
struct LinkForm {
    mark: String,
    kind: String,
    mixins: Vec<String>,
    attributes: Json,
    target: Option<TargetForm>,
}

#[derive(Serialize, Deserialize)]
struct EndsForm {
    source: TargetForm,
    target: TargetForm,
}

#[derive(Serialize, Deserialize)]
struct TargetForm {
    kind: String,
    mark: String,
    native_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ChangeForm {
    set: Json,
    unset: Vec<String>,
    resource_template: Option<String>,
    os_template: Option<String>,
    mixins_added: Vec<String>,
    mixins_removed: Vec<String>,
    ends: Option<EndsForm>,
}

#[derive(Serialize, Deserialize)]
struct AmendmentForm {
    set: Json,
    unset: Vec<String>,
    #[serde(default)]
    mixins_added: Vec<String>,
    #[serde(default)]
    mixins_removed: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mixins: Option<Vec<String>>,
    source: Option<String>,
    target: Option<LinkEndForm>,
}

#[derive(Serialize, Deserialize)]
struct LinkEndForm {
    location: String,
    kind: Option<String>,
    id: Option<String>,
}

fn parse<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn parse_all<T: FromStr>(texts: &[String]) -> Result<Vec<T>, String>
where
    T::Err: std::fmt::Display,
{
    texts.iter().map(|text| parse(text)).collect()
}

fn parse_some<T: FromStr>(text: Option<&String>) -> Result<Option<T>, String>
where
    T::Err: std::fmt::Display,
{
    text.map(|text| parse(text)).transpose()
}

fn attributes(json: &Json) -> Result<Attributes, String> {
    Attributes::from_json(json).ok_or_else(|| "attributes are no object of values".to_owned())
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(T::to_string).collect()
}

impl TaskForm {
    fn of(task: &Task) -> Self {
        match task {
            Task::Create(create) => Self::Create(Box::new(CreateForm::of(create))),
            Task::Update { change, then } => Self::Update {
                change: Box::new(ChangeForm::of(change)),
                then: Box::new(AmendmentForm::of(then)),
            },
            Task::Act(Invocation { action, parameters }) => Self::Act {
                action: action.to_string(),
                parameters: parameters.to_json(),
            },
            Task::Delete {
                links,
                superseded,
                after,
            } => Self::Delete {
                links: texts(links),
                superseded: texts(superseded),
                after: texts(after),
            },
        }
    }

    fn read(&self, entity: &str, kind: &str) -> Result<Task, String> {
        Ok(match self {
            Self::Create(form) => Task::Create(Box::new(form.read(entity, kind)?)),
            Self::Update { change, then } => Task::Update {
                change: Box::new(change.read()?),
                then: Box::new(then.read()?),
            },
            Self::Act { action, parameters } => Task::Act(Invocation {
                action: parse(action)?,
                parameters: attributes(parameters)?,
            }),
            Self::Delete {
                links,
                superseded,
                after,
            } => Task::Delete {
                links: parse_all(links)?,
                superseded: parse_all(superseded)?,
                after: parse_all(after)?,
            },
        })
    }
}

impl CreateForm {
    fn of(create: &Create) -> Self {
        let Create {
            mark: _,
            kind: _,
            os_template,
            resource_template,
            mixins,
            attributes,
            links,
            ends,
            bring_up,
        } = create;
        Self {
            os_template: os_template.as_ref().map(ToString::to_string),
            resource_template: resource_template.as_ref().map(ToString::to_string),
            mixins: texts(mixins),
            attributes: attributes.to_json(),
            links: links.iter().map(LinkForm::of).collect(),
            ends: ends.as_ref().map(EndsForm::of),
            bring_up: *bring_up,
        }
    }

    fn read(&self, entity: &str, kind: &str) -> Result<Create, String> {
        Ok(Create {
            mark: parse(entity)?,
            kind: parse(kind)?,
            os_template: parse_some(self.os_template.as_ref())?,
            resource_template: parse_some(self.resource_template.as_ref())?,
            mixins: parse_all(&self.mixins)?,
            attributes: attributes(&self.attributes)?,
            links: self.links.iter().map(LinkForm::read).collect::<Result<_, _>>()?,
            ends: self.ends.as_ref().map(EndsForm::read).transpose()?,
            bring_up: self.bring_up,
        })
    }
}

impl LinkForm {
    fn of(link: &CreateLink) -> Self {
        let CreateLink {
            mark,
            kind,
            mixins,
            attributes,
            target,
        } = link;
        Self {
            mark: mark.to_string(),
            kind: kind.to_string(),
            mixins: texts(mixins),
            attributes: attributes.to_json(),
            target: target.as_ref().map(TargetForm::of),
        }
    }

    fn read(&self) -> Result<CreateLink, String> {
        Ok(CreateLink {
            mark: parse(&self.mark)?,
            kind: parse(&self.kind)?,
            mixins: parse_all(&self.mixins)?,
            attributes: attributes(&self.attributes)?,
            target: self.target.as_ref().map(TargetForm::read).transpose()?,
        })
    }
}

impl EndsForm {
    fn of(ends: &LinkEnds) -> Self {
        let LinkEnds { source, target } = ends;
        Self {
            source: TargetForm::of(source),
            target: TargetForm::of(target),
        }
    }

    fn read(&self) -> Result<LinkEnds, String> {
        Ok(LinkEnds {
            source: self.source.read()?,
            target: self.target.read()?,
        })
    }
}

impl TargetForm {
    fn of(target: &Target) -> Self {
        let Target {
            kind,
            mark,
            native_id,
            project,
        } = target;
        Self {
            kind: kind.to_string(),
            mark: mark.to_string(),
            native_id: native_id.clone(),
            project: project.clone(),
        }
    }

    fn read(&self) -> Result<Target, String> {
        Ok(Target {
            kind: parse(&self.kind)?,
            mark: parse(&self.mark)?,
            native_id: self.native_id.clone(),
            project: self.project.clone(),
        })
    }
}

impl ChangeForm {
    fn of(change: &Change) -> Self {
        let Change {
            set,
            unset,
            resource_template,
            os_template,
            mixins_added,
            mixins_removed,
            ends,
        } = change;
        Self {
            set: set.to_json(),
            unset: texts(unset),
            resource_template: resource_template.as_ref().map(ToString::to_string),
            os_template: os_template.as_ref().map(ToString::to_string),
            mixins_added: texts(mixins_added),
            mixins_removed: texts(mixins_removed),
            ends: ends.as_ref().map(EndsForm::of),
        }
    }

    fn read(&self) -> Result<Change, String> {
        Ok(Change {
            set: attributes(&self.set)?,
            unset: parse_all(&self.unset)?,
            resource_template: parse_some(self.resource_template.as_ref())?,
            os_template: parse_some(self.os_template.as_ref())?,
            mixins_added: parse_all(&self.mixins_added)?,
            mixins_removed: parse_all(&self.mixins_removed)?,
            ends: self.ends.as_ref().map(EndsForm::read).transpose()?,
        })
    }
}

impl AmendmentForm {
    fn of(amendment: &Amendment) -> Self {
        let Amendment {
            set,
            unset,
            mixins_added,
            mixins_removed,
            mixins,
            source,
            target,
        } = amendment;
        Self {
            set: set.to_json(),
            unset: texts(unset),
            mixins_added: texts(mixins_added),
            mixins_removed: texts(mixins_removed),
            mixins: mixins.as_deref().map(texts),
            source: source.as_ref().map(ToString::to_string),
            target: target.as_ref().map(|(LinkEnd { location, kind }, id)| LinkEndForm {
                location: location.clone(),
                kind: kind.as_ref().map(ToString::to_string),
                id: id.as_ref().map(ToString::to_string),
            }),
        }
    }

    fn read(&self) -> Result<Amendment, String> {
        let target = |form: &LinkEndForm| {
            let end = LinkEnd {
                location: form.location.clone(),
                kind: parse_some(form.kind.as_ref())?,
            };
            Ok::<_, String>((end, parse_some(form.id.as_ref())?))
        };
        Ok(Amendment {
            set: attributes(&self.set)?,
            unset: parse_all(&self.unset)?,
            mixins_added: parse_all(&self.mixins_added)?,
            mixins_removed: parse_all(&self.mixins_removed)?,
            mixins: self.mixins.as_deref().map(parse_all).transpose()?,
            source: parse_some(self.source.as_ref())?,
            target: self.target.as_ref().map(target).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use occi_backend::names;

    #[test]
    fn an_intent_survives_its_durable_form() {
        let id = |text: &str| text.parse::<EntityId>().unwrap();
        let target = |text: &str| Target {
            kind: names::NETWORK.clone(),
            mark: id(text),
            native_id: Some("n-1".into()),
            project: (text == "b").then(|| "q".into()),
        };
        let mut values = Attributes::new();
        values.set(names::attribute("occi.compute.memory"), 2.0);
        values.set(names::attribute("occi.compute.cores"), 2_i64);
        let create = Create {
            mark: id("vm"),
            kind: names::COMPUTE.clone(),
            os_template: Some("debian".parse().unwrap()),
            resource_template: Some("small".parse().unwrap()),
            mixins: vec![names::SSH_KEY.clone()],
            attributes: values.clone(),
            links: vec![CreateLink {
                mark: id("nic"),
                kind: names::NETWORKINTERFACE.clone(),
                mixins: vec![],
                attributes: Attributes::new(),
                target: None,
            }],
            ends: Some(LinkEnds {
                source: target("a"),
                target: target("b"),
            }),
            bring_up: true,
        };
        let change = Change {
            set: values.clone(),
            unset: vec![names::attribute("occi.compute.hostname")],
            resource_template: Some("large".parse().unwrap()),
            os_template: None,
            mixins_added: vec![names::SSH_KEY.clone()],
            mixins_removed: vec![],
            ends: None,
        };
        let amendment = Amendment {
            set: values.clone(),
            unset: vec![],
            mixins_added: vec![names::SSH_KEY.clone()],
            mixins_removed: vec![names::USER_DATA.clone()],
            mixins: None,
            source: Some(id("c")),
            target: Some((
                LinkEnd {
                    location: "/network/b".into(),
                    kind: Some(names::NETWORK.clone()),
                },
                Some(id("b")),
            )),
        };
        let tasks = [
            Task::Create(Box::new(create)),
            Task::Update {
                change: Box::new(change),
                then: Box::new(amendment),
            },
            Task::Act(Invocation {
                action: names::action("compute", "stop"),
                parameters: values,
            }),
            Task::Delete {
                links: vec![id("nic")],
                superseded: vec![Uuid::nil()],
                after: vec![Uuid::max()],
            },
        ];
        for task in tasks {
            let intent = Intent {
                entity: id("vm"),
                kind: names::COMPUTE.clone(),
                native_project: "p".into(),
                task,
            };
            let row = OperationRow {
                intent: intent.to_text(),
                ..crate::operation::blank(Uuid::nil())
            };
            assert_eq!(Intent::from_row(&row).unwrap(), intent);
        }
    }

    #[test]
    fn a_list_of_mixins_that_was_kept_whole_is_still_read() {
        let (kept, gone) = (names::SSH_KEY.to_string(), names::USER_DATA.clone());
        let form = serde_json::json!({
            "set": {}, "unset": [], "mixins": [kept], "source": null, "target": null,
        });
        let form: AmendmentForm = serde_json::from_value(form).unwrap();
        let change = form.read().unwrap().into_change(std::slice::from_ref(&gone));
        assert_eq!(change.mixins_added, std::slice::from_ref(&*names::SSH_KEY));
        assert_eq!(change.mixins_removed, [gone]);
    }
}
