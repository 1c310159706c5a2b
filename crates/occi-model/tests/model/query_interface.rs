//! The built-in model against the samples of the query interface.

use occi_model::templates::{self, os_template};
use occi_model::{AttributeDefinition, Attributes, Registry, TypeId, ValueType, infrastructure};
use rstest::rstest;
use serde_json::{Value as Json, json};

/// The model of the samples: the documents, one OS template and the three sizes that must be there.
fn sample_model() -> Registry {
    Registry::builder()
        .table(&occi_model::core::TABLE)
        .table(&templates::TABLE)
        .table(&infrastructure::TABLE)
        .mixin(os_template(
            "http://cloud.example.org/occi/infrastructure/os_tpl#debian12"
                .parse()
                .unwrap(),
            "Debian 12 - minimal",
            "local",
            &Attributes::new(),
        ))
        .table(&templates::PROFILE)
        .retain_mixins(|id| !id.term().starts_with("mem_"))
        .build()
        .unwrap()
}

fn as_json(definition: &AttributeDefinition, sample: &Json) -> Json {
    let mut json = json!({
        "mutable": definition.mutable,
        "required": definition.required,
        "type": definition.value_type.json_type(),
    });
    // The samples name a pattern for some attributes only; where they do, it must be ours.
    if sample.get("pattern").is_some() {
        let mut pattern = json!({ "$schema": "http://json-schema.org/draft-04/schema#" });
        match &definition.value_type {
            ValueType::Enum { values, .. } => {
                pattern["type"] = json!("string");
                pattern["enum"] = json!(values);
            }
            ValueType::Integer { min, max } => {
                pattern["type"] = json!("integer");
                min.inspect(|min| pattern["minimum"] = json!(min));
                max.inspect(|max| pattern["maximum"] = json!(max));
            }
            other => panic!("{} has a pattern but is {other:?}", definition.name),
        }
        json["pattern"] = pattern;
    }
    if let Some(default) = &definition.default {
        json["default"] = default.to_json();
    }
    json
}

fn compare_attributes<'r>(ours: impl Iterator<Item = &'r AttributeDefinition>, sample: &Json, of: &TypeId) {
    let none = serde_json::Map::new();
    let samples = sample["attributes"].as_object().unwrap_or(&none);
    let ours: Vec<_> = ours.collect();
    let names: Vec<_> = ours.iter().map(|definition| definition.name.as_str()).collect();
    assert_eq!(
        names,
        samples.keys().collect::<Vec<_>>(),
        "attributes of {of}, in order"
    );
    for definition in ours {
        let sample = &samples[definition.name.as_str()];
        assert_eq!(&as_json(definition, sample), sample, "{} of {of}", definition.name);
    }
}

fn ids(sample: &Json) -> Vec<String> {
    let list = sample.as_array().into_iter().flatten();
    list.map(|id| id.as_str().unwrap().to_owned()).collect()
}

fn identifier(sample: &Json) -> String {
    format!(
        "{}{}",
        sample["scheme"].as_str().unwrap(),
        sample["term"].as_str().unwrap()
    )
}

fn texts<'a>(of: impl IntoIterator<Item = &'a TypeId>) -> Vec<String> {
    of.into_iter().map(ToString::to_string).collect()
}

#[test]
fn core_1_and_core_39_the_built_in_model_is_that_of_the_samples() {
    let sample: Json = serde_json::from_str(include_str!("samples/query-interface.json")).unwrap();
    let model = sample_model();

    let kinds = sample["kinds"].as_array().unwrap();
    assert_eq!(
        texts(model.kinds().iter().map(|kind| &kind.id)),
        kinds.iter().map(identifier).collect::<Vec<_>>()
    );
    for (kind, sample) in model.kinds().iter().zip(kinds) {
        assert_eq!(kind.title, sample["title"]);
        assert_eq!(kind.parent.as_ref().map(TypeId::as_str), sample["parent"].as_str());
        assert_eq!(kind.location.as_str(), sample["location"]);
        assert_eq!(
            texts(model.actions_of(kind.id.as_str(), []).iter().map(|action| &action.id)),
            ids(&sample["actions"])
        );
        let definitions = model.definitions(kind.id.as_str(), []);
        compare_attributes(definitions.iter().map(|one| one.attribute), sample, &kind.id);
    }

    let mixins = sample["mixins"].as_array().unwrap();
    assert_eq!(
        texts(model.mixins().iter().map(|mixin| &mixin.id)),
        mixins.iter().map(identifier).collect::<Vec<_>>()
    );
    for (mixin, sample) in model.mixins().iter().zip(mixins) {
        assert_eq!(mixin.title, sample["title"]);
        assert_eq!(mixin.location.as_str(), sample["location"]);
        assert_eq!(texts(&mixin.depends), ids(&sample["depends"]));
        assert_eq!(texts(&mixin.applies), ids(&sample["applies"]));
        assert_eq!(texts(&mixin.actions), ids(&sample["actions"]));
        compare_attributes(mixin.attributes.iter(), sample, &mixin.id);
    }

    let actions = sample["actions"].as_array().unwrap();
    assert_eq!(
        texts(model.actions().iter().map(|action| &action.id)),
        actions.iter().map(identifier).collect::<Vec<_>>()
    );
    for (action, sample) in model.actions().iter().zip(actions) {
        assert_eq!(action.title, sample["title"]);
        compare_attributes(action.attributes.iter(), sample, &action.id);
    }
}

#[test]
fn a_name_that_begins_another_one_comes_after_it() {
    let model = Registry::builder()
        .table(&occi_model::core::TABLE)
        .table(&templates::TABLE)
        .table(&infrastructure::TABLE)
        .table(&occi_model::production::TABLE)
        .build()
        .unwrap();
    for kind in model.kinds() {
        let definitions = model.definitions(kind.id.as_str(), []);
        let names: Vec<_> = definitions.iter().map(|one| one.attribute.name.as_str()).collect();
        for (at, name) in names.iter().enumerate() {
            let below = format!("{name}.");
            assert!(!names[at..].iter().any(|later| later.starts_with(&below)), "{names:?}");
        }
    }
}

/// An attribute as the text renderings show it.
fn marked(definition: &AttributeDefinition) -> String {
    let flags: Vec<_> = [(!definition.mutable, "immutable"), (definition.required, "required")]
        .iter()
        .filter_map(|(set, word)| set.then_some(*word))
        .collect();
    match flags.as_slice() {
        [] => definition.name.to_string(),
        _ => format!("{}{{{}}}", definition.name, flags.join(" ")),
    }
}

#[test]
fn the_text_sample_lists_the_same_categories_attributes_and_actions() {
    let model = sample_model();
    let parameter = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let lines: Vec<_> = include_str!("samples/query-interface.txt").lines().collect();
    assert_eq!(
        lines.len(),
        model.kinds().len() + model.mixins().len() + model.actions().len()
    );
    for line in lines {
        let term = line.strip_prefix("Category: ").unwrap().split(';').next().unwrap();
        let class = parameter(line, "class").unwrap().parse().unwrap();
        let category = model
            .resolve(&parameter(line, "scheme").unwrap(), term, Some(class))
            .unwrap();
        let (attributes, actions): (Vec<_>, Vec<_>) = match category {
            occi_model::Category::Kind(kind) => (
                model
                    .definitions(kind.id.as_str(), [])
                    .iter()
                    .map(|one| marked(one.attribute))
                    .collect(),
                texts(model.actions_of(kind.id.as_str(), []).iter().map(|action| &action.id)),
            ),
            occi_model::Category::Mixin(mixin) => {
                (mixin.attributes.iter().map(marked).collect(), texts(&mixin.actions))
            }
            occi_model::Category::Action(action) => (action.attributes.iter().map(marked).collect(), Vec::new()),
        };
        assert_eq!(
            attributes.join(" "),
            parameter(line, "attributes").unwrap_or_default(),
            "{term}"
        );
        assert_eq!(
            actions.join(" "),
            parameter(line, "actions").unwrap_or_default(),
            "{term}"
        );
    }
}

#[rstest]
#[case("small", "A small Compute instance", 1, 1.0, 10.0)]
#[case("medium", "A medium Compute instance", 2, 2.0, 20.0)]
#[case("large", "A large Compute instance", 4, 4.0, 40.0)]
#[case(
    "mem_small",
    "A small Compute instance for memory-intensive applications",
    1,
    4.0,
    10.0
)]
#[case(
    "mem_medium",
    "A medium Compute instance for memory-intensive applications",
    2,
    8.0,
    20.0
)]
#[case(
    "mem_large",
    "A large Compute instance for memory-intensive applications",
    4,
    16.0,
    40.0
)]
fn infra_29_and_infra_31_the_profile_has_these_sizes(
    #[case] term: &str,
    #[case] title: &str,
    #[case] cores: i64,
    #[case] memory: f64,
    #[case] ephemeral: f64,
) {
    let model = Registry::standard();
    let mixin = model.mixin(&format!("{}{term}", templates::PROFILE_SCHEME)).unwrap();
    let value = |name: &str| {
        let definition = mixin.attributes.iter().find(|one| one.name.as_str() == name).unwrap();
        (definition.default.clone(), definition.mutable)
    };
    assert_eq!(mixin.title, title);
    assert_eq!(value("occi.compute.cores"), (Some(cores.into()), true));
    assert_eq!(value("occi.compute.memory"), (Some(memory.into()), true));
    assert_eq!(value(templates::EPHEMERAL_SIZE), (Some(ephemeral.into()), false));
    assert_eq!(value(templates::EPHEMERAL_DEVICEID), (None, true));
    assert!(mixin.actions.is_empty());
    assert!(model.depends_on(mixin.id.as_str(), templates::RESOURCE_TPL));
}

#[test]
fn infra_29_the_profile_is_claimed_as_far_as_it_is_served() {
    let serving = |keep: fn(&TypeId) -> bool| {
        let documents = Registry::builder()
            .table(&occi_model::core::TABLE)
            .table(&templates::TABLE)
            .table(&infrastructure::TABLE);
        let model = documents
            .table(&templates::PROFILE)
            .retain_mixins(keep)
            .build()
            .unwrap();
        templates::profile_claim(&model)
    };
    assert_eq!(serving(|_| true), Some("OCCI-CRTP-EP/1.1"));
    assert_eq!(serving(|id| !id.term().starts_with("mem_")), Some("OCCI-CRTP/1.1"));
    assert_eq!(serving(|id| id.term() != "large"), None);
}

#[rstest]
#[case("ipreservation", &["address", "used{immutable}", "state.message{immutable}", "state{immutable}"])]
#[case("securitygroup", &["rules{required}", "state.message{immutable}", "state{immutable}"])]
#[case("securitygrouplink", &["state.message{immutable}", "state{immutable}"])]
fn infra_32_the_kinds_in_production_use_are_there(#[case] term: &str, #[case] attributes: &[&str]) {
    let model = Registry::standard();
    let kind = model
        .kind(&format!("http://schemas.ogf.org/occi/infrastructure#{term}"))
        .unwrap();
    assert_eq!(kind.location.as_str(), format!("/{term}/"));
    let names: Vec<_> = kind.attributes.iter().map(marked).collect();
    let expected: Vec<_> = attributes.iter().map(|name| format!("occi.{term}.{name}")).collect();
    assert_eq!(names, expected);
}
