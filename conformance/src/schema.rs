//! The JSON rendering's schema (`occi-1.2.schema.json`, restated from GFD.226).

use jsonschema::Validator;
use serde_json::{Value, json};
use std::sync::OnceLock;

const SCHEMA: &str = include_str!("../occi-1.2.schema.json");

/// Panics with every violation unless `value` is a valid `definition` of the schema.
#[track_caller]
pub(crate) fn assert_valid(definition: &str, value: &Value) {
    let problems: Vec<_> = validator(definition)
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(
        problems.is_empty(),
        "not a valid {definition}:\n{}\n{value:#}",
        problems.join("\n")
    );
}

macro_rules! definitions {
    ($($name:literal),*) => {
        #[track_caller]
        fn validator(definition: &str) -> &'static Validator {
            match definition {
                $($name => {
                    static BUILT: OnceLock<Validator> = OnceLock::new();
                    BUILT.get_or_init(|| build($name))
                })*
                other => panic!("the schema has no {other}"),
            }
        }

        #[cfg(test)]
        const ALL: &[&str] = &[$($name),*];
    };
}

definitions!("collection", "resource", "link", "kind", "mixin", "action");

fn build(definition: &str) -> Validator {
    let mut schema: Value = match serde_json::from_str(SCHEMA) {
        Ok(schema) => schema,
        Err(error) => panic!("the schema is not JSON: {error}"),
    };
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("anyOf");
        schema.insert(
            "allOf".to_owned(),
            json!([{ "$ref": format!("#/definitions/{definition}") }]),
        );
    }
    match jsonschema::draft4::new(&schema) {
        Ok(validator) => validator,
        Err(error) => panic!("the schema is no schema: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_a_schema_and_refuses_what_is_none() {
        for definition in ALL {
            assert!(
                !validator(definition).is_valid(&json!({ "nonsense": 1 })),
                "{definition}"
            );
        }
        let kind = "http://schemas.ogf.org/occi/infrastructure#compute";
        assert_valid(
            "resource",
            &json!({ "kind": kind, "id": "1", "attributes": { "a.b": 1 } }),
        );
    }
}
