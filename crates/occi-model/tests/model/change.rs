//! What may be changed, and what a change is.

use crate::common::*;
use occi_model::ViolationKind::{Conflict, Forbidden, Invalid, TooLarge};
use occi_model::{Change, Entity, EntityDraft, Input, LinkEnd, Registry, Shape, Violation, production, templates};
use rstest::rstest;

/// A compute with both templates, a key, user data, a tag and an interface.
fn compute(model: &Registry) -> Entity {
    let mut wish = draft(
        COMPUTE,
        &[DEBIAN, SMALL, SSH_KEY, USER_DATA, TAG],
        &[
            ("occi.core.title", "build node"),
            ("occi.compute.hostname", "build"),
            ("occi.credentials.ssh.publickey", KEY),
            ("occi.compute.userdata", "IyEvYmluL3NoCg=="),
        ],
    );
    wish.links.push(link(NIC, "/network/1", &[]));
    let mut entity = create(model, &wish);
    entity.attributes.set("occi.compute.state".parse().unwrap(), "active");
    entity.attributes.set("org.example.native".parse().unwrap(), "vm-7");
    entity
}

fn names(change: &Change) -> Vec<&str> {
    change.set.iter().map(|(name, _)| name.as_str()).collect()
}

fn update(draft: &EntityDraft) -> Result<Change, Violation> {
    let model = model();
    model.check_update(&compute(&model), draft)
}

fn replace(draft: &EntityDraft) -> Result<Change, Violation> {
    let model = model();
    model.check_replace(&compute(&model), draft, |_| false)
}

#[test]
fn http_22_a_partial_update_changes_what_is_given() {
    let change = update(&partial(
        &[],
        &[("occi.core.title", "node 2"), ("occi.compute.memory", "8.0")],
    ))
    .unwrap();
    assert_eq!(names(&change), ["occi.compute.memory", "occi.core.title"]);
    assert_eq!(
        change,
        Change {
            set: change.set.clone(),
            ..Change::default()
        }
    );
    // core_36: numbers compare by value.
    assert!(
        update(&partial(&[], &[("occi.compute.memory", "1")]))
            .unwrap()
            .is_empty()
    );
}

#[rstest]
#[case("occi.compute.state", "suspended", Err(Forbidden))]
#[case("occi.compute.state", "active", Ok(()))]
#[case("occi.compute.state.message", "hello", Err(Forbidden))]
#[case("occi.core.id", "1", Ok(()))]
#[case("occi.core.id", "urn:uuid:1", Ok(()))]
#[case("occi.core.id", "/compute/1", Ok(()))]
#[case("occi.core.id", "2", Err(Forbidden))]
#[case("occi.compute.ephemeral_storage.size", "10", Ok(()))]
#[case("occi.compute.ephemeral_storage.size", "20", Err(Forbidden))]
#[case("com.example.appliance.version", "12.5", Err(Forbidden))]
#[case("org.example.native", "vm-7", Ok(()))]
#[case("org.example.native", "vm-8", Err(Invalid))]
fn core_16_and_core_17_immutable_attributes_stay(
    #[case] name: &str,
    #[case] value: &str,
    #[case] expected: Result<(), occi_model::ViolationKind>,
) {
    let change = update(&partial(&[], &[(name, value)]));
    assert_eq!(
        change
            .map(|change| assert!(change.is_empty()))
            .map_err(|violation| violation.kind),
        expected
    );
}

#[test]
fn core_7_the_kind_stays_for_life() {
    assert!(update(&draft(COMPUTE, &[], &[])).unwrap().is_empty());
    assert_eq!(update(&draft(NETWORK, &[], &[])).unwrap_err().kind, Invalid);
    let other_id = EntityDraft {
        id: Some("2".to_owned()),
        ..partial(&[], &[])
    };
    assert_eq!(update(&other_id).unwrap_err().kind, Forbidden);
}

#[test]
fn json_23_null_unsets_what_is_mutable_and_optional() {
    let null = |name: &str| EntityDraft {
        attributes: vec![(name.parse().unwrap(), Input::Null)],
        ..EntityDraft::default()
    };
    let change = update(&null("occi.core.title")).unwrap();
    assert_eq!(change.unset, ["occi.core.title".parse().unwrap()]);
    assert!(update(&null("occi.core.summary")).unwrap().is_empty(), "nothing there");
    assert_eq!(
        update(&null("occi.credentials.ssh.publickey")).unwrap_err().kind,
        Invalid
    );
    assert_eq!(update(&null("occi.compute.state")).unwrap_err().kind, Forbidden);
    assert_eq!(replace(&null("occi.core.title")).unwrap_err().kind, Invalid);
    let model = model();
    let storage = create(&model, &draft(STORAGE, &[], &[("occi.storage.size", "1")]));
    assert_eq!(
        model
            .check_update(&storage, &null("occi.storage.size"))
            .unwrap_err()
            .kind,
        Invalid
    );
}

#[test]
fn core_14_and_core_38_mixins_come_later_where_they_may() {
    let model = model();
    let bare = create(&model, &draft(COMPUTE, &[], &[]));
    let add = |mixins: &[&str], attributes: &[(&str, &str)]| model.check_update(&bare, &partial(mixins, attributes));
    assert_eq!(add(&[TAG], &[]).unwrap().mixins_added, [id(TAG)]);
    assert_eq!(add(&[IPNETWORK], &[]).unwrap_err().kind, Forbidden);
    assert_eq!(
        add(&[USER_DATA], &[("occi.compute.userdata", "x")]).unwrap_err().kind,
        Invalid
    );
    assert_eq!(
        add(&[SSH_KEY], &[]).unwrap_err().path,
        "attributes.occi.credentials.ssh.publickey"
    );
    let change = add(&[SSH_KEY], &[("occi.credentials.ssh_key", OTHER_KEY)]).unwrap();
    assert_eq!(names(&change), ["occi.credentials.ssh.publickey"]);
    let network = create(&model, &draft(NETWORK, &[], &[]));
    let blue = model.check_update(&network, &partial(&[VLAN], &[])).unwrap();
    assert_eq!(
        text(&blue.set, "occi.network.vlan").unwrap(),
        "7",
        "its default comes along"
    );
    let kept = create(&model, &draft(NETWORK, &[], &[("occi.network.vlan", "9")]));
    assert!(
        model
            .check_update(&kept, &partial(&[VLAN], &[]))
            .unwrap()
            .set
            .is_empty(),
        "but overwrites nothing"
    );
}

#[test]
fn infra_26_user_data_is_set_once() {
    let (name, value) = ("occi.compute.userdata", "IyEvYmluL3NoCg==");
    assert!(update(&partial(&[USER_DATA], &[(name, value)])).unwrap().is_empty());
    let violation = update(&partial(&[], &[(name, "IyEvYmluL2Jhc2gK")])).unwrap_err();
    assert_eq!(
        (violation.kind, violation.message.as_str()),
        (Forbidden, "occi.compute.userdata can be set at creation only")
    );
    assert_eq!(
        replace(&draft(COMPUTE, &[], &[(name, "other")])).unwrap_err().kind,
        Forbidden
    );
}

#[test]
fn infra_28_a_twin_does_not_come_later_either() {
    let twin = partial(
        &[production::OPENSTACK_PUBLIC_KEY],
        &[("org.openstack.credentials.publickey.data", OTHER_KEY)],
    );
    assert_eq!(update(&twin).unwrap_err().kind, Conflict);
}

#[test]
fn infra_22_and_infra_44_a_new_size_replaces_the_old_one_and_resizes() {
    let change = update(&partial(&[LARGE], &[("occi.compute.cores", "64")])).unwrap();
    assert_eq!(
        (&change.mixins_added, &change.mixins_removed),
        (&vec![id(LARGE)], &vec![id(SMALL)])
    );
    assert_eq!(
        change.set,
        attributes(&[
            ("occi.compute.cores", 4_i64.into()),
            ("occi.compute.memory", 4.0.into()),
            ("occi.compute.ephemeral_storage.size", 40.0.into()),
        ])
    );
    assert!(change.unset.is_empty());

    let gpu = "http://cloud.example.org/occi/infrastructure/resource_tpl#gpu";
    let change = update(&partial(&[gpu], &[])).unwrap();
    assert_eq!(text(&change.set, "eu.egi.fedcloud.compute.pci.count").unwrap(), "1");
    assert_eq!(
        change.unset,
        [templates::EPHEMERAL_SIZE.parse().unwrap()],
        "only the old size had it"
    );
    assert_eq!(update(&partial(&[SMALL, LARGE], &[])).unwrap_err().kind, Conflict);
    assert!(update(&partial(&[SMALL], &[])).unwrap().is_empty(), "it has that one");
}

#[test]
fn http_27_a_template_wins_over_sizes_however_often_it_is_sent() {
    let model = model();
    let resize = draft(COMPUTE, &[LARGE], &[("occi.compute.cores", "1")]);
    let mut entity = compute(&model);
    for _ in 0..2 {
        let change = model.check_replace(&entity, &resize, |_| false).unwrap();
        entity = changed(entity, change);
        assert_eq!(text(&entity.attributes, "occi.compute.cores").unwrap(), "4");
        let change = model.check_update(&entity, &resize).unwrap();
        assert!(change.is_empty());
    }
    // What was changed since then may be sent back, and changed by itself.
    let change = model
        .check_update(&entity, &partial(&[], &[("occi.compute.cores", "2")]))
        .unwrap();
    entity = changed(entity, change);
    assert!(
        model
            .check_replace(&entity, &echo(&entity), |_| false)
            .unwrap()
            .is_empty()
    );
    assert_eq!(text(&entity.attributes, "occi.compute.cores").unwrap(), "2");
}

#[test]
fn infra_23_a_new_os_template_replaces_the_old_one() {
    let change = update(&partial(&[UBUNTU], &[])).unwrap();
    assert_eq!(
        (&change.mixins_added, &change.mixins_removed),
        (&vec![id(UBUNTU)], &vec![id(DEBIAN)])
    );
    assert_eq!(change.unset, ["com.example.appliance.version".parse().unwrap()]);
}

#[test]
fn http_24_a_replacement_takes_away_what_it_does_not_name() {
    let change = replace(&draft(COMPUTE, &[], &[("occi.compute.cores", "2")])).unwrap();
    assert_eq!(text(&change.set, "occi.compute.cores").unwrap(), "2");
    assert_eq!(
        change.unset,
        [
            "occi.core.title".parse().unwrap(),
            "occi.compute.hostname".parse().unwrap()
        ]
    );
    assert_eq!(change.mixins_removed, [id(TAG)]);

    let model = model();
    let network = create(&model, &draft(NETWORK, &[VLAN], &[("occi.network.vlan", "9")]));
    let reset = model
        .check_replace(&network, &draft(NETWORK, &[VLAN], &[]), |_| false)
        .unwrap();
    assert_eq!(
        text(&reset.set, "occi.network.vlan").unwrap(),
        "7",
        "back to the default"
    );
    let bare = model
        .check_replace(&network, &draft(NETWORK, &[], &[]), |_| false)
        .unwrap();
    assert_eq!(bare.unset, ["occi.network.vlan".parse().unwrap()]);
    assert_eq!(bare.mixins_removed, [id(VLAN)]);
    let storage = create(&model, &draft(STORAGE, &[], &[("occi.storage.size", "1")]));
    let missing = model
        .check_replace(&storage, &draft(STORAGE, &[], &[]), |_| true)
        .unwrap_err();
    assert_eq!(
        (missing.kind, missing.path.as_str()),
        (Invalid, "attributes.occi.storage.size")
    );
}

#[test]
fn a_replacement_leaves_what_the_engine_owns() {
    let model = model();
    let owned = |name: &occi_model::AttributeName| name.as_str() == "occi.compute.hostname";
    let change = model
        .check_replace(&compute(&model), &draft(COMPUTE, &[TAG], &[]), owned)
        .unwrap();
    assert_eq!(change.unset, ["occi.core.title".parse().unwrap()]);

    // An engine may have given it a mixin that the client does not know of.
    let network = draft(NETWORK, &[IPNETWORK], &[("occi.network.address", "10.0.0.0/24")]);
    let network = create(&model, &network);
    let owned = |name: &occi_model::AttributeName| name.as_str().starts_with("occi.network.");
    let change = model.check_replace(&network, &draft(NETWORK, &[], &[]), owned).unwrap();
    assert!(change.is_empty(), "{change:?}");
}

#[test]
fn http_81_title_alone_leaves_templates_sizes_key_and_user_data() {
    let model = model();
    let before = compute(&model);
    let change = replace(&draft(COMPUTE, &[], &[("occi.core.title", "other")])).unwrap();
    assert_eq!(names(&change), ["occi.core.title"]);
    let after = changed(before.clone(), change);
    assert_eq!(after.mixins, [id(DEBIAN), id(SMALL), id(SSH_KEY), id(USER_DATA)]);
    for name in [
        "occi.compute.cores",
        "occi.compute.memory",
        templates::EPHEMERAL_SIZE,
        "occi.compute.userdata",
    ] {
        assert_eq!(after.attributes.get(name), before.attributes.get(name), "{name}");
        assert!(after.attributes.get(name).is_some(), "{name}");
    }
}

#[test]
fn a_template_that_is_offered_no_more_stays() {
    let model = model();
    let entity = compute(&model);
    let model = model.without(&id(DEBIAN));
    let change = model.check_replace(&entity, &echo(&entity), |_| false).unwrap();
    assert!(change.is_empty(), "{change:?}");
    let change = model
        .check_replace(&entity, &draft(COMPUTE, &[], &[]), |_| true)
        .unwrap();
    assert_eq!(change.mixins_removed, [id(TAG)]);
}

#[test]
fn core_37_a_stale_state_in_a_replacement_changes_nothing() {
    let model = model();
    let entity = compute(&model);
    let mut stale = echo(&entity);
    stale
        .attributes
        .retain(|(name, _)| name.as_str() != "occi.compute.state");
    stale
        .attributes
        .push(("occi.compute.state".parse().unwrap(), quoted("inactive")));
    stale
        .attributes
        .push(("occi.compute.state.message".parse().unwrap(), quoted("booting")));
    assert!(model.check_replace(&entity, &stale, |_| false).unwrap().is_empty());
}

#[test]
fn core_16_a_replacement_does_not_change_what_is_immutable() {
    let violation = replace(&draft(COMPUTE, &[], &[("com.example.appliance.version", "13")])).unwrap_err();
    assert_eq!(violation.kind, Forbidden);
}

#[test]
fn http_25_and_http_26_a_replacement_leaves_links_and_takes_no_new_ones() {
    let model = model();
    let entity = compute(&model);
    let mut wish = echo(&entity);
    assert!(model.check_replace(&entity, &wish, |_| false).unwrap().is_empty());
    wish.links[0].own_location = None;
    assert!(
        model.check_replace(&entity, &wish, |_| false).unwrap().is_empty(),
        "the same by kind and target"
    );
    wish.links[0].entity.target = Some("/network/2".to_owned());
    let violation = model.check_replace(&entity, &wish, |_| false).unwrap_err();
    assert_eq!((violation.kind, violation.path.as_str()), (Invalid, "links[0]"));
}

#[test]
fn a_partial_update_brings_new_links() {
    let model = model();
    let entity = compute(&model);
    let mut wish = partial(&[], &[]);
    wish.links.push(link(NIC, "/network/1", &[]));
    wish.links[0].own_location = Some("/link/networkinterface/0".to_owned());
    assert!(
        model.check_update(&entity, &wish).unwrap().is_empty(),
        "it has that one"
    );
    wish.links[0].own_location = Some("/networkinterface/made-up".to_owned());
    assert_eq!(
        model.check_update(&entity, &wish).unwrap().links.len(),
        1,
        "a second one to the same network"
    );
}

#[test]
fn http_23_a_link_takes_no_links() {
    let model = model();
    let nic = EntityDraft {
        source: Some("/compute/1".to_owned()),
        target: Some("/network/1".to_owned()),
        ..draft(NIC, &[], &[])
    };
    let nic = create(&model, &nic);
    let mut wish = partial(&[], &[]);
    wish.links.push(link(NIC, "/network/1", &[]));
    assert_eq!(model.check_update(&nic, &wish).unwrap_err().path, "links");
}

#[test]
fn core_42_the_ends_of_a_link_may_change() {
    let model = model();
    let nic = EntityDraft {
        source: Some("/compute/1".to_owned()),
        target: Some("/network/1".to_owned()),
        ..draft(NIC, &[], &[])
    };
    let nic = create(&model, &nic);
    let to = |target: &str| EntityDraft {
        target: Some(target.to_owned()),
        ..partial(&[], &[])
    };
    let change = model.check_update(&nic, &to("/network/2")).unwrap();
    let network = LinkEnd {
        location: "/network/2".to_owned(),
        kind: Some(id(NETWORK)),
    };
    assert_eq!((change.source, change.target), (None, Some(network)));
    assert!(model.check_update(&nic, &to("/network/1/")).unwrap().is_empty());
    assert_eq!(model.check_update(&nic, &to("/storage/1")).unwrap_err().path, "target");
    assert!(model.check_replace(&nic, &echo(&nic), |_| false).unwrap().is_empty());
    assert_eq!(
        model
            .check_replace(&nic, &draft(NIC, &[], &[]), |_| false)
            .unwrap_err()
            .path,
        "source"
    );
    assert_eq!(
        update(&to("/network/1")).unwrap_err().path,
        "target",
        "a compute has no target"
    );
    assert!(matches!(nic.shape, Shape::Link { .. }));
}

#[test]
fn http_41_dissociation_takes_the_attributes_along() {
    let model = model();
    let entity = compute(&model);
    let without = |mixin: &str| model.check_dissociation(&entity, &id(mixin));
    assert_eq!(without(TAG).unwrap().mixins_removed, [id(TAG)]);
    assert_eq!(
        without(SSH_KEY).unwrap().unset,
        ["occi.credentials.ssh.publickey".parse().unwrap()]
    );
    assert!(without(VLAN).unwrap().is_empty(), "it is not in there");
    assert_eq!(without(SMALL).unwrap_err().kind, Conflict);
}

#[test]
fn http_70_an_entity_has_no_more_categories_however_they_come() {
    let tag = |number: usize| format!("http://cloud.example.org/many#t{number}");
    let tags = (0..70).map(|number| mixin(&tag(number), &format!("/many/{number}/")));
    let model = model().with(tags).unwrap();
    let named = |numbers: std::ops::Range<usize>| EntityDraft {
        mixins: numbers.map(|number| id(&tag(number))).collect(),
        ..EntityDraft::default()
    };
    let mut entity = create(&model, &draft(NETWORK, &[], &[]));
    entity.mixins = named(0..63).mixins;
    let one_more = model.check_update(&entity, &named(63..64)).unwrap_err();
    assert_eq!(one_more.kind, TooLarge);
    assert!(model.check_update(&entity, &named(0..63)).unwrap().is_empty());
    let others = model.check_replace(&entity, &named(1..64), |_| false).unwrap();
    assert_eq!(others.mixins_added, named(63..64).mixins);

    // What has more by other ways can still lose some.
    entity.mixins = named(0..70).mixins;
    assert!(model.check_replace(&entity, &named(0..60), |_| false).is_ok());
    assert!(model.check_dissociation(&entity, &id(&tag(0))).is_ok());
}
