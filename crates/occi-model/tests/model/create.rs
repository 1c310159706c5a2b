//! What may be made, and what comes out.

use crate::common::*;
use occi_model::ViolationKind::{Conflict, Forbidden, Invalid, TooLarge};
use occi_model::core::LINK;
use occi_model::{EntityDraft, Input, LinkEnd, NewShape, Stage, Value, ViolationKind, production};
use rstest::rstest;

fn refused(draft: &EntityDraft) -> (ViolationKind, String, String) {
    let violation = model().check_create(draft).unwrap_err();
    (violation.kind, violation.path, violation.message)
}

#[test]
fn core_6_base_kinds_cannot_be_instantiated() {
    for kind in ["entity", "resource"] {
        let (violation, path, _) = refused(&draft(&format!("http://schemas.ogf.org/occi/core#{kind}"), &[], &[]));
        assert_eq!((violation, path.as_str()), (Invalid, "kind"));
    }
}

#[test]
fn core_34_a_kind_is_needed() {
    assert_eq!(refused(&partial(&[], &[])).0, Invalid);
}

#[test]
fn core_41_unknown_categories_are_refused() {
    assert_eq!(refused(&draft("http://example.org/x#y", &[], &[])).0, Invalid);
    let (kind, path, message) = refused(&draft(COMPUTE, &["http://example.org/x#y"], &[]));
    assert_eq!((kind, path.as_str()), (Invalid, "mixins"));
    assert_eq!(message, "http://example.org/x#y is unknown");
    assert_eq!(refused(&draft(COMPUTE, &[NETWORK], &[])).0, Invalid, "two kinds");
}

#[test]
fn core_12_and_core_13_a_mixin_keeps_to_the_kinds_it_applies_to() {
    let (kind, path, message) = refused(&draft(STORAGE, &[SSH_KEY], &[("occi.storage.size", "1")]));
    assert_eq!((kind, path.as_str()), (Forbidden, "mixins"));
    assert!(
        message.ends_with("does not apply to storage, but to compute"),
        "{message}"
    );
    assert_eq!(refused(&draft(NETWORK, &[DEBIAN], &[])).0, Forbidden, "through os_tpl");

    let model = model();
    assert!(
        model.check_create(&draft(NETWORK, &[TAG], &[])).is_ok(),
        "applies to any"
    );
    assert!(model.covers(IPNETWORK, production::IPRESERVATION), "a descendant");
}

#[test]
fn core_10_and_core_11_a_mixin_brings_its_attributes() {
    let (_, path, message) = refused(&draft(NETWORK, &[], &[("occi.network.address", "10.0.0.0/24")]));
    assert_eq!(path, "attributes.occi.network.address");
    assert!(message.contains(IPNETWORK), "{message}");
    let made = create(
        &model(),
        &draft(NETWORK, &[IPNETWORK], &[("occi.network.address", "10.0.0.0/24")]),
    );
    assert_eq!(text(&made.attributes, "occi.network.address").unwrap(), "10.0.0.0/24");
}

#[rstest]
#[case("192.0.2.0/24", "192.0.2.1", None)]
#[case("10.0.0.0/8", "10.255.255.254", None)]
#[case("192.0.2.8/31", "192.0.2.8", None)]
#[case("2001:db8::/64", "2001:db8::ffff", None)]
#[case("192.0.2.0/24", "192.0.3.1", Some("gateway"))]
#[case("192.0.2.0/24", "192.0.2.255", Some("gateway"))]
#[case("2001:db8::/64", "2001:db8::", Some("gateway"))]
#[case("2001:db8::/64", "192.0.2.1", Some("gateway"))]
#[case("127.0.0.0/8", "127.0.0.1", Some("address"))]
#[case("0.0.0.0/0", "10.0.0.1", Some("address"))]
#[case("169.254.7.0/24", "169.254.7.1", Some("address"))]
#[case("224.0.0.0/8", "224.0.0.1", Some("address"))]
#[case("255.255.255.0/24", "255.255.255.1", Some("address"))]
#[case("fe80::/64", "fe80::1", Some("address"))]
fn infra_43_a_network_has_addresses_of_hosts_and_its_gateway_is_one(
    #[case] address: &str,
    #[case] gateway: &str,
    #[case] refused: Option<&str>,
) {
    let model = model();
    let both = [("occi.network.address", address), ("occi.network.gateway", gateway)];
    let path = refused.map(|name| format!("attributes.occi.network.{name}"));
    let at_once = model.check_create(&draft(NETWORK, &[IPNETWORK], &both));
    assert_eq!(at_once.err().map(|violation| violation.path), path);
    let plain = create(&model, &draft(NETWORK, &[], &[]));
    let later = model.check_update(&plain, &draft(NETWORK, &[IPNETWORK], &both));
    assert_eq!(later.err().map(|violation| violation.path), path);
}

#[test]
fn infra_43_a_gateway_that_is_named_stays_or_is_refused_with_the_addresses() {
    let model = model();
    let both = |address| [("occi.network.address", address), ("occi.network.gateway", "192.0.2.1")];
    let network = create(&model, &draft(NETWORK, &[IPNETWORK], &both("192.0.2.0/24")));
    for (address, fits) in [("192.0.0.0/16", true), ("198.51.100.0/24", false)] {
        let wish = draft(NETWORK, &[IPNETWORK], &both(address));
        let update = model.check_update(&network, &wish);
        let replace = model.check_replace(&network, &wish, |_| true);
        for change in [update, replace] {
            let gateway = change.map(|change| text(&change.set, "occi.network.gateway"));
            match gateway {
                Ok(gateway) => assert!(fits && gateway.as_deref() == Some("192.0.2.1"), "{address} {gateway:?}"),
                Err(violation) => {
                    assert!(
                        !fits && violation.path == "attributes.occi.network.gateway",
                        "{violation}"
                    );
                }
            }
        }
        // One that is not named is the engine's to move.
        let alone = draft(NETWORK, &[IPNETWORK], &[("occi.network.address", address)]);
        let change = model.check_update(&network, &alone).unwrap();
        assert!(change.set.get("occi.network.gateway").is_none(), "{change:?}");
    }
    let same = draft(NETWORK, &[IPNETWORK], &both("192.0.2.0/24"));
    assert!(model.check_update(&network, &same).unwrap().is_empty());
}

#[test]
fn core_18_what_the_server_keeps_is_ignored_on_creation() {
    let made = create(
        &model(),
        &EntityDraft {
            id: Some("/compute/whatever".to_owned()),
            ..draft(
                COMPUTE,
                &[],
                &[
                    ("occi.core.id", "some thing"),
                    ("occi.compute.state", "flying"),
                    ("occi.compute.state.message", "hello"),
                ],
            )
        },
    );
    assert_eq!(
        made.attributes,
        attributes(&[("occi.compute.state", "inactive".into())])
    );
    let nic = EntityDraft {
        source: Some("/compute/1".to_owned()),
        target: Some("/network/1".to_owned()),
        ..draft(NIC, &[], &[("occi.networkinterface.interface", "eth7")])
    };
    let made = create(&model(), &nic);
    assert_eq!(
        text(&made.attributes, "occi.networkinterface.interface").unwrap(),
        "eth7"
    );
}

#[test]
fn core_19_missing_required_attribute_is_refused() {
    let (kind, path, message) = refused(&draft(STORAGE, &[], &[]));
    assert_eq!((kind, path.as_str()), (Invalid, "attributes.occi.storage.size"));
    assert_eq!(message, "this storage needs occi.storage.size: a number greater than 0");
}

#[test]
fn core_21_the_default_of_a_mixin_beats_that_of_the_kind() {
    let vlan = |attributes: &[(&str, &str)]| {
        let made = create(&model(), &draft(NETWORK, &[VLAN], attributes));
        text(&made.attributes, "occi.network.vlan").unwrap()
    };
    assert_eq!(vlan(&[]), "7");
    assert_eq!(vlan(&[("occi.network.vlan", "9")]), "9");
}

#[test]
fn core_22_an_unknown_attribute_is_refused() {
    let (kind, path, _) = refused(&draft(COMPUTE, &[], &[("example.test", "1")]));
    assert_eq!((kind, path.as_str()), (Invalid, "attributes.example.test"));
}

#[test]
fn immutable_attributes_of_other_names_are_refused_on_creation() {
    let (kind, path, _) = refused(&draft(
        production::IPRESERVATION,
        &[],
        &[("occi.ipreservation.used", "true")],
    ));
    assert_eq!((kind, path.as_str()), (Forbidden, "attributes.occi.ipreservation.used"));
}

#[rstest]
#[case(COMPUTE, "occi.compute.cores", token("4"), Some("4"))]
#[case(COMPUTE, "occi.compute.cores", quoted("4"), Some("4"))]
#[case(COMPUTE, "occi.compute.cores", token("2.0"), Some("2"))]
#[case(COMPUTE, "occi.compute.cores", token("+2e0"), Some("2"))]
#[case(COMPUTE, "occi.compute.cores", Input::Typed("4".into()), Some("4"))]
#[case(COMPUTE, "occi.compute.cores", token("2.5"), None)]
#[case(COMPUTE, "occi.compute.cores", token("0"), None)]
#[case(COMPUTE, "occi.compute.cores", token("many"), None)]
#[case(COMPUTE, "occi.compute.cores", token("inf"), None)]
#[case(COMPUTE, "occi.compute.cores", token("1e400"), None)]
#[case(COMPUTE, "occi.compute.cores", Input::Typed(Value::List(vec![4_i64.into()])), None)]
#[case(COMPUTE, "occi.compute.cores", Input::Typed(true.into()), None)]
#[case(COMPUTE, "occi.compute.cores", Input::Null, None)]
#[case(COMPUTE, "occi.compute.memory", token("4"), Some("4.0"))]
#[case(COMPUTE, "occi.compute.memory", Input::Typed(0.5.into()), Some("0.5"))]
#[case(COMPUTE, "occi.compute.memory", token("-1"), None)]
#[case(COMPUTE, "occi.compute.memory", token("nan"), None)]
#[case(COMPUTE, "occi.compute.architecture", quoted("x86_64"), Some("x64"))]
#[case(COMPUTE, "occi.compute.architecture", token("arch"), None)]
#[case(COMPUTE, "occi.compute.hostname", quoted("foo 0de7 bar"), Some("foo 0de7 bar"))]
#[case(COMPUTE, "occi.compute.hostname", token("7"), Some("7"))]
#[case(COMPUTE, "occi.compute.hostname", quoted(""), None)]
#[case(COMPUTE, "occi.compute.hostname", Input::Typed(7_i64.into()), None)]
#[case(COMPUTE, "occi.core.title", quoted("Who's? \", a=1.0"), Some("Who's? \", a=1.0"))]
#[case(NETWORK, "occi.network.vlan", token("4095"), Some("4095"))]
#[case(NETWORK, "occi.network.vlan", token("4096"), None)]
#[case(NETWORK, "occi.network.address", quoted("2001:DB8::/64"), Some("2001:db8::/64"))]
#[case(NETWORK, "occi.network.address", quoted("10.0.0.1"), None)]
#[case(NETWORK, "occi.network.address", quoted("10.0.0.0/33"), None)]
#[case(NETWORK, "occi.network.gateway", quoted("10.0.0.1"), Some("10.0.0.1"))]
#[case(NETWORK, "occi.network.gateway", quoted("10.0.0"), None)]
#[case(NETWORK, "occi.network.allocation", quoted("static"), Some("static"))]
#[case(NETWORK, "occi.network.allocation", quoted("magic"), None)]
fn core_23_values_are_read_by_their_definition(
    #[case] kind: &str,
    #[case] name: &str,
    #[case] input: Input,
    #[case] value: Option<&str>,
) {
    let mixins: &[&str] = if kind == NETWORK { &[IPNETWORK] } else { &[] };
    let mut draft = draft(kind, mixins, &[]);
    draft.attributes.push((name.parse().unwrap(), input));
    match (model().check_create(&draft), value) {
        (Ok(new), Some(value)) => assert_eq!(text(&new.attributes, name).unwrap(), value),
        (Err(violation), None) => {
            assert_eq!(
                (violation.kind, violation.path),
                (Invalid, format!("attributes.{name}"))
            );
        }
        (result, _) => panic!("{result:?}"),
    }
}

#[test]
fn the_message_says_what_is_expected() {
    let (_, _, message) = refused(&draft(COMPUTE, &[], &[("occi.compute.architecture", "arch")]));
    assert_eq!(message, "occi.compute.architecture must be one of x86, x64, not arch");
}

#[test]
fn the_last_of_a_name_wins() {
    let made = create(
        &model(),
        &draft(
            COMPUTE,
            &[],
            &[("occi.compute.cores", "2"), ("occi.compute.cores", "3")],
        ),
    );
    assert_eq!(text(&made.attributes, "occi.compute.cores").unwrap(), "3");
}

#[rstest]
#[case("02:00:0A:00:00:07", Some("02:00:0a:00:00:07"))]
#[case("02-00-0a-00-00-07", Some("02:00:0a:00:00:07"))]
#[case("02:00:0a:00:00", None)]
#[case("02:00:0a:00:00:7", None)]
#[case("01:00:5e:00:00:01", None)]
#[case("00:00:00:00:00:00", None)]
#[case("+2:00:0a:00:00:07", None)]
fn infra_16_a_mac_address_is_validated(#[case] mac: &str, #[case] value: Option<&str>) {
    let mut compute = draft(COMPUTE, &[], &[]);
    compute
        .links
        .push(link(NIC, "/network/1", &[("occi.networkinterface.mac", mac)]));
    match (model().check_create(&compute).map(|new| new.shape), value) {
        (Ok(NewShape::Resource { links }), Some(value)) => {
            assert_eq!(text(&links[0].attributes, "occi.networkinterface.mac").unwrap(), value);
        }
        (Err(violation), None) => assert_eq!(violation.path, "links[0].attributes.occi.networkinterface.mac"),
        (result, _) => panic!("{result:?}"),
    }
}

#[test]
fn core_25_and_core_26_a_link_starts_here_and_leads_anywhere() {
    let nic = |source: Option<&str>, target: Option<&str>, target_kind: Option<&str>| {
        model().check_create(&EntityDraft {
            source: source.map(str::to_owned),
            target: target.map(str::to_owned),
            target_kind: target_kind.map(id),
            ..draft(NIC, &[], &[])
        })
    };
    let foreign = nic(
        Some("/compute/1"),
        Some("https://other.example.org/network/1"),
        Some(NETWORK),
    );
    assert_eq!(
        foreign.unwrap().shape,
        NewShape::Link {
            source: LinkEnd {
                location: "/compute/1".to_owned(),
                kind: Some(id(COMPUTE))
            },
            target: LinkEnd {
                location: "https://other.example.org/network/1".to_owned(),
                kind: Some(id(NETWORK))
            },
        }
    );
    let refused = |source, target, kind| {
        let violation = nic(source, target, kind).unwrap_err();
        assert_eq!(violation.kind, Invalid);
        violation.path
    };
    let (here, net) = (Some("/compute/1"), Some("/network/1"));
    assert_eq!(
        refused(Some("https://other.example.org/compute/1"), net, None),
        "source"
    );
    assert_eq!(
        refused(Some("/network/1"), net, None),
        "source",
        "a network has no interfaces"
    );
    assert_eq!(
        refused(here, Some("/storage/1"), None),
        "target",
        "a storage is no network"
    );
    assert_eq!(
        refused(here, net, Some(STORAGE)),
        "target",
        "it is a network, whatever is said"
    );
    assert_eq!(refused(here, Some("/network/1?action=up"), None), "target");
    assert_eq!(refused(here, Some("network 1"), None), "target");
    assert_eq!(refused(here, Some("bar"), None), "target");
    assert!(
        nic(here, Some("/ipreservation/1"), Some(NETWORK)).is_ok(),
        "it is a network, too"
    );
    assert!(nic(here, Some("/somewhere/1"), None).is_ok(), "who knows");
}

#[test]
fn http_19_a_link_needs_source_and_target() {
    let (_, path, _) = refused(&draft(NIC, &[], &[]));
    assert_eq!(path, "source");
    let half = EntityDraft {
        source: Some("/compute/1".to_owned()),
        ..draft(NIC, &[], &[])
    };
    assert_eq!(refused(&half).1, "target");
}

#[test]
fn core_26_a_plain_link_may_lead_to_another_service() {
    let mut plain = draft(LINK, &[], &[]);
    plain.source = Some("/compute/1".to_owned());
    plain.target = Some("http://example.org/storage/7".to_owned());
    plain.target_kind = Some(id(STORAGE));
    let NewShape::Link { target, .. } = model().check_create(&plain).unwrap().shape else {
        panic!("a link is a link");
    };
    assert_eq!(target.location, "http://example.org/storage/7");
    assert_eq!(target.kind, Some(id(STORAGE)));
    plain.source = plain.target.clone();
    assert_eq!(refused(&plain).1, "source", "it begins here");
}

#[test]
fn http_77_and_infra_35_inline_links_are_checked_like_others() {
    let mut compute = draft(COMPUTE, &[], &[]);
    compute.links = vec![
        link(NIC, "//link/networkinterface/../x", &[]),
        link(STORAGELINK, "/storage/1", &[("occi.storagelink.mountpoint", "/srv")]),
    ];
    compute.links[0].entity.target = Some("/network/1/".to_owned());
    compute.links[0].entity.source = Some("/compute/im-made-up".to_owned());
    compute.links[1].entity.kind = None;
    let NewShape::Resource { links } = model().check_create(&compute).unwrap().shape else {
        panic!("a compute is a resource");
    };
    assert_eq!(
        (links[0].kind.as_str(), links[0].target.location.as_str()),
        (NIC, "/network/1")
    );
    assert_eq!(links[1].kind.as_str(), STORAGELINK, "inferred from where it leads");
    assert_eq!(
        text(&links[1].attributes, "occi.storagelink.mountpoint").unwrap(),
        "/srv"
    );
    assert_eq!(
        text(&links[1].attributes, "occi.storagelink.state").unwrap(),
        "inactive"
    );

    for (target, made) in [
        ("/storage/1", STORAGELINK),
        ("/elsewhere/1", LINK),
        ("http://example.org/storage/1", LINK),
    ] {
        for said in [Some(id(LINK)), None] {
            let mut plain = draft(COMPUTE, &[], &[]);
            plain.links.push(link(LINK, target, &[]));
            plain.links[0].entity.kind = said;
            let NewShape::Resource { links } = model().check_create(&plain).unwrap().shape else {
                panic!("a compute is a resource");
            };
            assert_eq!(links[0].kind, *made, "a plain link is what its target makes it");
        }
    }

    compute.links[0].entity.kind = Some(id(STORAGE));
    assert_eq!(refused(&compute).1, "links[0].attributes.occi.storage.size");
    let mut network = draft(NETWORK, &[], &[]);
    network.links.push(link(NIC, "/network/1", &[]));
    assert_eq!(
        refused(&network).1,
        "links[0].source",
        "the source of an interface is a compute"
    );
    let mut nic = draft(NIC, &[], &[]);
    nic.links.push(link(NIC, "/network/1", &[]));
    assert_eq!(refused(&nic).1, "links", "a link has no links");
}

#[test]
fn infra_24_a_resource_template_wins_over_the_client() {
    let made = create(
        &model(),
        &draft(
            COMPUTE,
            &[LARGE],
            &[("occi.compute.cores", "1"), ("occi.compute.memory", "0.5")],
        ),
    );
    assert_eq!(
        made.attributes,
        attributes(&[
            ("occi.compute.cores", 4_i64.into()),
            ("occi.compute.memory", 4.0.into()),
            ("occi.compute.ephemeral_storage.size", 40.0.into()),
            ("occi.compute.state", "inactive".into()),
        ])
    );
    assert_eq!(
        refused(&draft(COMPUTE, &[LARGE], &[("occi.compute.cores", "x")])).0,
        Invalid
    );
}

#[test]
fn infra_31_the_ephemeral_size_is_the_templates() {
    let (kind, path, _) = refused(&draft(
        COMPUTE,
        &[SMALL],
        &[("occi.compute.ephemeral_storage.size", "20")],
    ));
    assert_eq!(
        (kind, path.as_str()),
        (Forbidden, "attributes.occi.compute.ephemeral_storage.size")
    );
    // rOCCI-core 5 sends every default of the model back.
    let same = draft(COMPUTE, &[SMALL], &[("occi.compute.ephemeral_storage.size", "10")]);
    assert!(model().check_create(&same).is_ok());
    let made = create(
        &model(),
        &draft(
            COMPUTE,
            &[SMALL],
            &[("occi.compute.ephemeral_storage.deviceid", "/dev/vdc")],
        ),
    );
    assert_eq!(
        text(&made.attributes, "occi.compute.ephemeral_storage.deviceid").unwrap(),
        "/dev/vdc"
    );
}

#[test]
fn infra_30_one_template_of_a_sort_per_compute() {
    assert_eq!(refused(&draft(COMPUTE, &[SMALL, LARGE], &[])).0, Conflict);
    assert_eq!(refused(&draft(COMPUTE, &[DEBIAN, UBUNTU], &[])).0, Conflict);
    let made = create(&model(), &draft(COMPUTE, &[DEBIAN, SMALL, DEBIAN], &[]));
    assert_eq!(made.mixins, [id(DEBIAN), id(SMALL)]);
    assert_eq!(text(&made.attributes, "com.example.appliance.version").unwrap(), "12.4");
}

#[test]
fn infra_25_and_infra_26_key_and_user_data_need_their_attributes() {
    assert_eq!(
        refused(&draft(COMPUTE, &[SSH_KEY], &[])).1,
        "attributes.occi.credentials.ssh.publickey"
    );
    assert_eq!(
        refused(&draft(COMPUTE, &[USER_DATA], &[])).1,
        "attributes.occi.compute.userdata"
    );
    assert_eq!(refused(&draft(NETWORK, &[USER_DATA], &[])).0, Forbidden);
}

#[rstest]
#[case(SSH_KEY, "occi.credentials.ssh_key")]
#[case(SSH_KEY, "occi.crendentials.ssh.publickey")]
#[case(USER_DATA, "occi.compute.user_data")]
fn infra_27_misspelt_attributes_are_understood(#[case] mixin: &str, #[case] name: &str) {
    let made = create(&model(), &draft(COMPUTE, &[mixin], &[(name, KEY)]));
    assert!(made.attributes.get(name).is_none());
    let found = production::public_key(&made.attributes).or_else(|| production::user_data(&made.attributes));
    assert_eq!(found, Some(KEY));
}

#[rstest]
#[case::nothing("")]
#[case::a_private_one("-----BEGIN OPENSSH PRIVATE KEY-----")]
#[case::no_key_after_the_algorithm("ssh-ed25519")]
#[case::no_base64("ssh-ed25519 AAAA?")]
#[case::cut_off("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA")]
#[case::of_another_algorithm("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB")]
#[case::with_options("no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB")]
#[case::two(concat!(
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\n",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB",
))]
fn infra_42_what_lets_nobody_in_is_no_key(#[case] garbage: &str) {
    for (mixin, name) in [
        (SSH_KEY, "occi.credentials.ssh.publickey"),
        (
            production::OPENSTACK_PUBLIC_KEY,
            "org.openstack.credentials.publickey.data",
        ),
    ] {
        let wish = draft(COMPUTE, &[mixin], &[(name, garbage)]);
        let (kind, place, _) = refused(&wish);
        assert_eq!((kind, place), (Invalid, format!("attributes.{name}")));
        // A file is sent with its end of line, and its comment.
        let file = format!("{KEY} ann@example.org\n");
        create(&model(), &draft(COMPUTE, &[mixin], &[(name, &file)]));
    }
}

#[test]
fn infra_28_the_twins_of_openstack_are_understood_but_not_together() {
    let key = ("org.openstack.credentials.publickey.data", KEY);
    let data = ("org.openstack.compute.user_data", "IyEvYmluL3NoCg==");
    let twins = [production::OPENSTACK_PUBLIC_KEY, production::OPENSTACK_USER_DATA];
    let made = create(&model(), &draft(COMPUTE, &twins, &[key, data]));
    assert_eq!(production::public_key(&made.attributes), Some(key.1));
    assert_eq!(production::user_data(&made.attributes), Some(data.1));

    let both = draft(
        COMPUTE,
        &[SSH_KEY, production::OPENSTACK_PUBLIC_KEY],
        &[key, ("occi.credentials.ssh.publickey", OTHER_KEY)],
    );
    assert_eq!(refused(&both).0, Conflict);
    let both = draft(
        COMPUTE,
        &[production::OPENSTACK_USER_DATA, USER_DATA],
        &[data, ("occi.compute.userdata", "x")],
    );
    assert_eq!(refused(&both).0, Conflict);
}

#[rstest]
#[case(r#"[{"protocol":"tcp","type":"inbound","port":"443","range":"0.0.0.0/0"}]"#, true)]
#[case(
    r#"[{"protocol":"udp","type":"outbound","port":"8000-8100"},{"protocol":"icmp","type":"inbound"}]"#,
    true
)]
#[case("[]", true)]
#[case(r#"[{"protocol":"tcp"}]"#, false)]
#[case(r#"[{"type":"inbound"}]"#, false)]
#[case(r#"[{"protocol":"sctp","type":"inbound"}]"#, false)]
#[case(r#"[{"protocol":"tcp","type":"inbound","port":"0-70000"}]"#, false)]
#[case(r#"[{"protocol":"tcp","type":"inbound","port":"90-80"}]"#, false)]
#[case(r#"[{"protocol":"tcp","type":"inbound","range":"everywhere"}]"#, false)]
#[case(r#"[{"protocol":"tcp","type":"inbound","ports":"22"}]"#, false)]
#[case(r#"["tcp"]"#, false)]
#[case(r#"{"protocol":"tcp","type":"inbound"}"#, false)]
#[case("tcp inbound 443", false)]
fn infra_33_rules_of_a_security_group_are_validated(#[case] rules: &str, #[case] valid: bool) {
    let mut group = draft(production::SECURITYGROUP, &[], &[]);
    group.attributes = vec![("occi.securitygroup.rules".parse().unwrap(), quoted(rules))];
    match model().check_create(&group) {
        Ok(_) => assert!(valid, "{rules}"),
        Err(violation) => {
            assert!(!valid, "{violation}");
            assert_eq!(violation.path, "attributes.occi.securitygroup.rules");
        }
    }
}

#[test]
fn infra_37_only_a_storage_needs_an_attribute_of_its_own() {
    for kind in [COMPUTE, NETWORK, NIC, STORAGELINK] {
        let model = model();
        let definitions = model.definitions(kind, []);
        let required: Vec<_> = definitions.iter().filter(|one| one.attribute.required).collect();
        assert!(
            required
                .iter()
                .all(|one| occi_model::core::is_structural(one.attribute.name.as_str()))
        );
    }
}

#[test]
fn http_70_more_than_the_limits_is_refused() {
    let mut many = draft(COMPUTE, &[], &[]);
    many.attributes = vec![("occi.core.title".parse().unwrap(), token("x")); 256];
    assert!(model().check_create(&many).is_ok());
    many.attributes.push(("occi.core.title".parse().unwrap(), token("x")));
    assert_eq!(refused(&many).0, TooLarge);
    let mut many = draft(COMPUTE, &[], &[]);
    many.mixins = vec![id(TAG); 63];
    assert!(model().check_create(&many).is_ok());
    many.mixins.push(id(TAG));
    assert_eq!(refused(&many).0, TooLarge);
}

#[test]
fn core_38_user_data_comes_with_the_compute_or_not_at_all() {
    let model = model();
    let check = |stage| model.check_association(&id(COMPUTE), &id(USER_DATA), stage);
    assert!(check(Stage::Creation).is_ok());
    assert_eq!(check(Stage::Later).unwrap_err().kind, Invalid);
}

#[test]
fn several_faults_get_the_answer_of_the_first_check() {
    // Where it applies, then names, then immutability, then values, then what is missing, then links, then conflicts.
    let mut storage = draft(STORAGE, &[SSH_KEY], &[("example.test", "1")]);
    assert_eq!(refused(&storage).0, Forbidden);
    storage.mixins.clear();
    assert_eq!(refused(&storage).1, "attributes.example.test");
    let mut reservation = draft(
        production::IPRESERVATION,
        &[],
        &[("occi.network.vlan", "x"), ("occi.ipreservation.used", "true")],
    );
    assert_eq!(refused(&reservation).0, Forbidden);
    reservation.attributes.pop();
    reservation.links.push(link(NIC, "nowhere", &[]));
    assert_eq!(refused(&reservation).1, "attributes.occi.network.vlan");
    let mut compute = draft(COMPUTE, &[SMALL, LARGE, SSH_KEY], &[]);
    compute.links.push(link(NIC, "nowhere", &[]));
    assert_eq!(refused(&compute).1, "attributes.occi.credentials.ssh.publickey");
    compute.mixins.pop();
    assert_eq!(refused(&compute).1, "links[0].target");
    compute.links.clear();
    assert_eq!(refused(&compute).0, Conflict);
}
