//! The attributes of a request, each with the definition that holds for it.

use super::Violation;
use crate::table::ValueCheck;
use crate::{
    AttributeDefinition, AttributeName, Attributes, Definitions, Effective, EntityDraft, Input, Kind, Mixin, Registry,
    Value, ValueType, core,
};
use std::fmt;
use std::sync::Arc;

/// The most attributes that a request may give one entity.
pub const MAX_ATTRIBUTES: usize = 256;
/// The most categories that a request may give one entity, its kind included.
pub const MAX_CATEGORIES: usize = 64;

/// An attribute that a client gave, with what holds for it.
pub(super) struct Given<'r, 'd> {
    pub(super) effective: Effective<'r>,
    pub(super) input: &'d Input,
}

impl<'r> Given<'r, '_> {
    pub(super) fn definition(&self) -> &'r AttributeDefinition {
        self.effective.attribute
    }
    pub(super) fn name(&self) -> &'r AttributeName {
        &self.effective.attribute.name
    }
    /// The value that a resource template puts in the place of the client's: only where the kind lets clients choose.
    pub(super) fn overriding(&self) -> Option<&'r Value> {
        let chosen = self.effective.of_kind.is_some_and(|definition| definition.mutable);
        self.effective.overriding.filter(|_| chosen)
    }
    /// What a new entity will have, as the model says it.
    pub(super) fn assigned(&self) -> Option<&'r Value> {
        self.effective.overriding.or(self.effective.default)
    }
}

/// A state or its message: it moves by itself, so clients that send it back mean no harm.
pub(super) fn is_state(attribute: &AttributeDefinition) -> bool {
    let name = attribute.name.as_str();
    !attribute.mutable && (name.ends_with(".state") || name.ends_with(".state.message"))
}

/// What a client wrote, short enough for a message.
fn shown(input: &Input) -> String {
    let (text, quoted) = match input {
        Input::Token(text) => (text.clone(), false),
        Input::Quoted(text) => (text.clone(), true),
        Input::Typed(value) => (value.to_string(), matches!(value, Value::String(_))),
        Input::Null => return "null".to_owned(),
    };
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    if quoted { format!("{short:?}") } else { short }
}

pub(super) fn attribute_path(at: &str, name: impl fmt::Display) -> String {
    format!("{at}attributes.{name}")
}

pub(super) fn check_limits(draft: &EntityDraft, at: &str) -> Result<(), Violation> {
    if draft.attributes.len() > MAX_ATTRIBUTES {
        return Err(Violation::new(
            super::ViolationKind::TooLarge,
            format!("{at}attributes"),
            format!(
                "{} attributes are given; an entity may have {MAX_ATTRIBUTES}",
                draft.attributes.len()
            ),
        ));
    }
    if draft.mixins.len() >= MAX_CATEGORIES {
        return Err(Violation::new(
            super::ViolationKind::TooLarge,
            format!("{at}mixins"),
            format!(
                "{} mixins are given; an entity may have {MAX_CATEGORIES} categories, its kind included",
                draft.mixins.len()
            ),
        ));
    }
    Ok(())
}

pub(super) fn immutable(name: &AttributeName, at: &str) -> Violation {
    Violation::forbidden(
        attribute_path(at, name),
        format!("{name} is immutable: the service sets it"),
    )
}

pub(super) fn missing(kind: &Kind, definition: &AttributeDefinition, at: &str) -> Violation {
    let (name, expected) = (&definition.name, definition.value_type.expected());
    Violation::invalid(
        attribute_path(at, name),
        format!("this {} needs {name}: {expected}", kind.id.term()),
    )
}

pub(super) fn read_value(
    definition: &AttributeDefinition,
    input: &Input,
    check: Option<ValueCheck>,
    at: &str,
) -> Result<Value, Violation> {
    let name = &definition.name;
    let refuse = |expected: String| {
        let message = format!("{name} must be {expected}, not {}", shown(input));
        Violation::invalid(attribute_path(at, name), message)
    };
    let value = definition
        .value_type
        .read(input)
        .ok_or_else(|| refuse(definition.value_type.expected()))?;
    if let Some(check) = check {
        check(&value).map_err(refuse)?;
    }
    Ok(value)
}

impl Registry {
    /// Every attribute of the draft with its definition; the last of a name wins. What the entity has and no definition
    /// speaks of (a backend's own, or of a template that is gone) may be sent back as it is.
    pub(super) fn given<'r, 'd>(
        &'r self,
        definitions: &Definitions<'r>,
        draft: &'d EntityDraft,
        current: Option<&Attributes>,
        at: &str,
    ) -> Result<Vec<Given<'r, 'd>>, Violation> {
        let mut all: Vec<Given<'r, 'd>> = Vec::with_capacity(draft.attributes.len());
        for (name, input) in &draft.attributes {
            let alias = || definitions.get(self.rows().aliases.get(name.as_str())?);
            let Some(effective) = definitions.get(name.as_str()).or_else(alias).copied() else {
                let current = current.and_then(|attributes| attributes.get(name.as_str()));
                if current.is_some_and(|value| ValueType::of(value).read(input).as_ref() == Some(value)) {
                    continue;
                }
                return Err(self.unknown_attribute(name, at));
            };
            let given = Given { effective, input };
            if core::is_structural(name.as_str()) && name.as_str() != core::ID {
                return Err(Violation::invalid(
                    attribute_path(at, name),
                    format!("{name} is an end of the link, not a free attribute"),
                ));
            }
            match all.iter_mut().find(|other| other.name() == given.name()) {
                Some(other) => *other = given,
                None => all.push(given),
            }
        }
        Ok(all)
    }

    fn unknown_attribute(&self, name: &AttributeName, at: &str) -> Violation {
        let canonical = self.rows().aliases.get(name.as_str()).copied().unwrap_or(name.as_str());
        let defines = |mixin: &&Arc<Mixin>| mixin.attributes.iter().any(|one| one.name.as_str() == canonical);
        let message = match self.mixins().iter().find(defines) {
            Some(mixin) => format!(
                "{name} belongs to the mixin {}, which the entity does not have",
                mixin.id
            ),
            None => format!("{name} is not an attribute of this kind or its mixins"),
        };
        Violation::invalid(attribute_path(at, name), message)
    }

    /// The value that a client gave, by the definition and by what the document's row says beyond it.
    pub(super) fn read(&self, given: &Given<'_, '_>, at: &str) -> Result<Value, Violation> {
        let row = self.rows().attributes.get(given.name().as_str());
        read_value(given.definition(), given.input, row.and_then(|row| row.check), at)
    }
}
