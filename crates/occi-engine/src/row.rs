//! Rows of entities: new ones, and what a native picture makes of them.

use crate::carrier::Carrier;
use occi_backend::{Picture, Target, names};
use occi_model::{AttributeName, Attributes, EntityId, TypeId, Value};
use occi_store::{Change, EntityRow, Visibility};

/// An entity of which nothing is known but its id and its kind.
pub(crate) fn blank(id: EntityId, kind: TypeId) -> EntityRow {
    EntityRow {
        seq: 0,
        path: String::new(),
        project: String::new(),
        owner: String::new(),
        visibility: Visibility::Project,
        backend: None,
        native_project: String::new(),
        native_id: None,
        mixins: Vec::new(),
        attributes: Attributes::new(),
        source: None,
        target: None,
        target_id: None,
        state: None,
        created_ms: 0,
        modified_ms: 0,
        generation: 1,
        operation: None,
        hidden: false,
        untouched: true,
        id,
        kind,
    }
}

/// What a backend is told of an entity.
pub(crate) fn target(row: &EntityRow) -> Target {
    Target {
        kind: row.kind.clone(),
        mark: row.id.clone(),
        native_id: row.native_id.clone(),
        project: None,
    }
}

/// Whether `picture` shows `row`.
pub(crate) fn is_of(row: &EntityRow, picture: &Picture) -> bool {
    picture.kind == row.kind
        && (picture.mark.as_ref() == Some(&row.id) || row.native_id.as_ref() == Some(&picture.native_id))
}

/// The state that a picture shows.
pub(crate) fn state_in(kind: &TypeId, attributes: &Attributes) -> Option<String> {
    attributes
        .get(names::state_attribute(kind).as_str())
        .and_then(Value::as_str)
        .map(str::to_owned)
}

/// The attribute that explains the state of an entity of `kind`.
pub(crate) fn message_attribute(kind: &TypeId) -> AttributeName {
    names::attribute(&format!("{}.message", names::state_attribute(kind)))
}

/// Makes a row show `state`, and `message` if there is one.
pub(crate) fn show_state(change: &mut Change, kind: &TypeId, state: Option<&str>, message: Option<&str>) {
    let attribute = names::state_attribute(kind);
    let explains = message_attribute(kind);
    if let Some(state) = state {
        change.state = Some(state.to_owned());
        change.set.set(attribute, state);
    }
    match message {
        Some(message) => {
            change.unset.retain(|name| *name != explains);
            change.set.set(explains, message);
        }
        None => {
            change.set.remove(explains.as_str());
            change.unset.push(explains);
        }
    }
}

/// The change that makes a row look like `picture`.
///
/// What the engine owns and does not show is unset. Mixins that the engine shows are added; that one is missing says
/// nothing, because an engine need not tell how a thing was made.
pub(crate) fn change_of(carrier: &Carrier, row: &EntityRow, picture: &Picture) -> Change {
    let owned = carrier.kind(&row.kind).map(|kind| kind.owned.as_slice());
    let added = picture.mixins.iter().filter(|mixin| !row.mixins.contains(mixin));
    Change {
        set: picture.attributes.clone(),
        unset: owned
            .unwrap_or_default()
            .iter()
            .filter(|name| picture.attributes.get(name.as_str()).is_none())
            .cloned()
            .collect(),
        mixins_added: added.cloned().collect(),
        native_id: Some(Some(picture.native_id.clone())),
        state: state_in(&row.kind, &picture.attributes),
        ..Change::default()
    }
}

/// Whether `picture` says of an entity only what its row says already.
pub(crate) fn says(carrier: &Carrier, row: &EntityRow, picture: &Picture) -> bool {
    let change = change_of(carrier, row, picture);
    change.mixins_added.is_empty()
        && change.native_id == Some(row.native_id.clone())
        && (change.state.is_none() || change.state == row.state)
        && (picture.ends.is_none() || row.target.is_some())
        && change
            .set
            .iter()
            .all(|(name, value)| row.attributes.get(name.as_str()) == Some(value))
        && change
            .unset
            .iter()
            .all(|name| row.attributes.get(name.as_str()).is_none())
}

/// Attributes after a change.
pub(crate) fn changed(attributes: &Attributes, set: &Attributes, unset: &[AttributeName]) -> Attributes {
    let mut after = attributes.clone();
    for name in unset {
        after.remove(name.as_str());
    }
    for (name, value) in set.iter() {
        after.set(name.clone(), value.clone());
    }
    after
}
