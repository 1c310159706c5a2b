//! Parameters of actions.

use super::given::{attribute_path, read_value};
use super::{MAX_ATTRIBUTES, Violation, ViolationKind};
use crate::{AttributeName, Attributes, Class, Input, Registry, TypeId};

impl Registry {
    /// Checks the parameters of an action, and adds the defaults.
    ///
    /// Whether the action belongs to the entity is for [`Registry::actions_of`], whether its state allows it for
    /// [`crate::Lifecycle`].
    pub fn check_action(&self, action: &TypeId, inputs: &[(AttributeName, Input)]) -> Result<Attributes, Violation> {
        let action = match self.resolve_id(action, Some(Class::Action)) {
            Ok(crate::Category::Action(action)) => action,
            Ok(other) => return Err(Violation::invalid("action", format!("{} is no action", other.id()))),
            Err(error) => return Err(Violation::of_category(&error, "action")),
        };
        if inputs.len() > MAX_ATTRIBUTES {
            return Err(Violation::new(
                ViolationKind::TooLarge,
                "attributes",
                format!("{} parameters are given; at most {MAX_ATTRIBUTES} may be", inputs.len()),
            ));
        }
        let ignored = self.rows().actions.get(&action.id).map_or(&[][..], |row| row.ignored);
        let mut parameters = Attributes::new();
        for (name, input) in inputs {
            let Some(definition) = action.attributes.iter().find(|one| one.name == *name) else {
                if ignored.contains(&name.as_str()) {
                    continue;
                }
                let known: Vec<&str> = action.attributes.iter().map(|one| one.name.as_str()).collect();
                let known = match known.as_slice() {
                    [] => "it has none".to_owned(),
                    _ => format!("it has {}", known.join(", ")),
                };
                return Err(Violation::invalid(
                    attribute_path("", name),
                    format!("{} has no parameter {name}; {known}", action.id.term()),
                ));
            };
            parameters.set(name.clone(), read_value(definition, input, None, "")?);
        }
        for definition in &action.attributes {
            if parameters.get(definition.name.as_str()).is_some() {
                continue;
            }
            if let Some(default) = &definition.default {
                parameters.set(definition.name.clone(), default.clone());
            } else if definition.required {
                return Err(Violation::invalid(
                    attribute_path("", &definition.name),
                    format!(
                        "{} needs the parameter {}: {}",
                        action.id.term(),
                        definition.name,
                        definition.value_type.expected()
                    ),
                ));
            }
        }
        Ok(parameters)
    }
}
