//! What must hold for anything that a client may send.

use crate::common::*;
use occi_model::{EntityDraft, EntityId, Input, LinkDraft, Location, Registry, TypeId, Value, ValueType};
use proptest::prelude::*;
use std::sync::LazyLock;

static MODEL: LazyLock<Registry> = LazyLock::new(model);

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        ".{0,12}".prop_map(Value::String),
        any::<i64>().prop_map(Value::Integer),
        (-1.0e6..1.0e6).prop_map(Value::Float),
        any::<bool>().prop_map(Value::Boolean),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map("[a-z]{1,8}", inner, 0..4).prop_map(Value::Hash),
        ]
    })
}

/// Words that mean something in some place, numbers, and anything.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "active", "x64", "x86_64", "static", "1", "4", "2.5", "-1", "10.0.0.1", "10.0.0.0/8", "02:00:00:00:00:01",
            "true", "[]", "{}", "/network/1", "/storage/2", "/compute/1", "http://example.org/x", "",
        ])
        .prop_map(str::to_owned),
        1 => ".{0,20}",
    ]
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => word().prop_map(Input::Token),
        4 => word().prop_map(Input::Quoted),
        2 => value().prop_map(Input::Typed),
        1 => Just(Input::Null),
    ]
}

fn of_model(select: impl Fn(&Registry) -> Vec<TypeId>) -> impl Strategy<Value = TypeId> {
    prop::sample::select(select(&MODEL))
}

fn attribute_name() -> impl Strategy<Value = String> {
    let kinds = MODEL.kinds().iter().flat_map(|kind| &kind.attributes);
    let mixins = MODEL.mixins().iter().flat_map(|mixin| &mixin.attributes);
    let names: Vec<_> = kinds.chain(mixins).map(|one| one.name.to_string()).collect();
    prop_oneof![9 => prop::sample::select(names), 1 => "[a-z]{1,5}(\\.[a-z]{1,5}){0,2}"]
}

prop_compose! {
    fn entity_draft()(
        kind in prop::option::weighted(0.95, of_model(|model| model.kinds().iter().map(|kind| kind.id.clone()).collect())),
        mixins in prop::collection::vec(of_model(|model| model.mixins().iter().map(|mixin| mixin.id.clone()).collect()), 0..3),
        attributes in prop::collection::vec((attribute_name(), input()), 0..5),
        id in prop::option::weighted(0.1, word()),
        source in prop::option::weighted(0.3, word()),
        target in prop::option::weighted(0.3, word()),
    ) -> EntityDraft {
        EntityDraft {
            kind,
            mixins,
            id,
            attributes: attributes.into_iter().map(|(name, input)| (name.parse().unwrap(), input)).collect(),
            source,
            target,
            target_kind: None,
            links: Vec::new(),
        }
    }
}

prop_compose! {
    fn draft_with_links()(
        entity in entity_draft(),
        links in prop::collection::vec((entity_draft(), prop::option::of(word())), 0..2),
    ) -> EntityDraft {
        let links = links.into_iter().map(|(entity, own_location)| LinkDraft { entity, own_location }).collect();
        EntityDraft { links, ..entity }
    }
}

/// Drafts that are often valid: attributes of the kind, values from its definitions.
fn likely_draft() -> impl Strategy<Value = EntityDraft> {
    let compute = (
        prop::sample::subsequence(vec![DEBIAN, SMALL, SSH_KEY, TAG], 0..=4),
        prop::option::of(1_i64..9),
        prop::option::of("[a-z ]{1,9}"),
    );
    compute.prop_map(|(mixins, cores, title)| {
        let mut draft = draft(COMPUTE, &mixins, &[("occi.credentials.ssh.publickey", KEY)]);
        if !mixins.contains(&SSH_KEY) {
            draft.attributes.clear();
        }
        let mut push = |name: &str, text: String| draft.attributes.push((name.parse().unwrap(), Input::Quoted(text)));
        cores.inspect(|cores| push("occi.compute.cores", cores.to_string()));
        title.inspect(|title| push("occi.core.title", title.clone()));
        draft.links.push(link(NIC, "/network/1", &[]));
        draft
    })
}

proptest! {
    #[test]
    fn text_28_names_are_read_or_refused_and_read_again_as_they_were(text in ".{0,40}") {
        if let Ok(id) = text.parse::<TypeId>() {
            prop_assert_eq!(format!("{}{}", id.scheme(), id.term()), id.to_string());
            prop_assert_eq!(&id.to_string().parse::<TypeId>().unwrap(), &id);
        }
        if let Ok(id) = text.parse::<EntityId>() {
            prop_assert_eq!(&id.to_string().parse::<EntityId>().unwrap(), &id);
        }
        if let Ok(location) = text.parse::<Location>() {
            prop_assert!(location.as_str().starts_with('/') && location.as_str().ends_with('/'));
        }
    }

    #[test]
    fn scheme_and_term_join_however_the_scheme_ends(scheme in "[a-z]{1,6}:[a-z/.]{1,12}", term in "[a-zA-Z0-9][a-z0-9._-]{0,9}") {
        let id = TypeId::new(&scheme, &term).unwrap();
        prop_assert_eq!(&id, &TypeId::new(&format!("{scheme}#"), &term).unwrap());
        prop_assert_eq!(&id, &TypeId::new(&format!("{scheme}#{term}"), &term).unwrap());
        prop_assert_eq!(id.term(), term);
    }

    #[test]
    fn values_survive_json(value in value()) {
        prop_assert_eq!(Value::from_json(&value.to_json()), Some(value));
    }

    #[test]
    fn a_value_that_was_read_is_read_again_as_it_is(input in input(), index in any::<prop::sample::Index>()) {
        let kinds = MODEL.kinds().iter().flat_map(|kind| &kind.attributes);
        let mixins = MODEL.mixins().iter().flat_map(|mixin| &mixin.attributes);
        let types: Vec<_> = kinds.chain(mixins).map(|one| &one.value_type).collect();
        let value_type = index.get(&types);
        if let Some(value) = value_type.read(&input) {
            prop_assert_eq!(value_type.check(&value), Some(value.clone()));
            prop_assert_eq!(ValueType::of(&value).check(&value), Some(value));
        }
    }

    #[test]
    fn checks_never_panic(draft in draft_with_links(), other in draft_with_links(), action in of_model(|model| {
        model.actions().iter().map(|action| action.id.clone()).collect()
    })) {
        let _ = MODEL.check_action(&action, &draft.attributes);
        if let Ok(new) = MODEL.check_create(&draft) {
            let entity = made(&MODEL, new);
            let other = [other.clone(), EntityDraft { kind: None, ..other }];
            let updates = other.iter().map(|other| MODEL.check_update(&entity, other));
            let replacements = other.iter().map(|other| MODEL.check_replace(&entity, other, |_| false));
            // Whatever is accepted leads to an entity that the model accepts as it is.
            for change in updates.chain(replacements).flatten() {
                let entity = changed(entity.clone(), change);
                prop_assert!(MODEL.check_update(&entity, &echo(&entity)).unwrap().is_empty());
            }
        }
    }

    #[test]
    fn http_27_what_was_created_is_replaced_by_itself_without_a_change(draft in likely_draft()) {
        let entity = create(&MODEL, &draft);
        for keeps in [false, true] {
            prop_assert!(MODEL.check_replace(&entity, &echo(&entity), |_| keeps).unwrap().is_empty());
        }
        prop_assert!(MODEL.check_update(&entity, &EntityDraft::default()).unwrap().is_empty());
    }

    #[test]
    fn http_27_a_replacement_twice_is_a_replacement_once(first in likely_draft(), second in likely_draft()) {
        let entity = create(&MODEL, &first);
        let second = EntityDraft { links: Vec::new(), ..second };
        if let Ok(change) = MODEL.check_replace(&entity, &second, |_| false) {
            let once = changed(entity, change);
            let again = MODEL.check_replace(&once, &second, |_| false).unwrap();
            prop_assert!(again.is_empty(), "{again:?}");
        }
    }

    #[test]
    fn user_data_of_any_sort_is_something(text in "\\PC{0,80}") {
        let data = occi_model::userdata::read(&text);
        prop_assert!(!data.format.media_type().is_empty());
    }
}
