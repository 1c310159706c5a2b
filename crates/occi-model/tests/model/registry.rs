//! What may be loaded, and how it is found.

use crate::common::*;
use occi_model::builder::is_reserved_path;
use occi_model::check::{MAX_DEPENDS, MAX_MIXIN_BYTES};
use occi_model::infrastructure::{self, canonical_path};
use occi_model::{
    Action, Attributes, Class, Input, Kind, Mixin, MixinDraft, NewMixin, Origin, Registry, RegistryBuilder,
    ResolveError, TypeId, Value, ValueType, ViolationKind, core as occi_core, production, templates,
};
use rstest::rstest;

fn documents() -> RegistryBuilder {
    Registry::builder()
        .table(&occi_core::TABLE)
        .table(&templates::TABLE)
        .table(&infrastructure::TABLE)
}

fn kind(id: &str, parent: &str, location: &str) -> Kind {
    Kind {
        id: crate::common::id(id),
        title: String::new(),
        parent: Some(crate::common::id(parent)),
        attributes: Vec::new(),
        actions: Vec::new(),
        location: location.parse().unwrap(),
        lifecycle: None,
    }
}

fn reason(mixin: Mixin) -> String {
    documents().mixin(mixin).build().unwrap_err().reason
}

const EXTRA: &str = "http://cloud.example.org/occi/x#extra";

#[test]
fn core_3_what_the_documents_reserve_is_refused_at_load() {
    let reserved = "http://schemas.ogf.org/occi/mine#extra";
    assert!(reason(mixin(reserved, "/mixin/extra/")).contains("belong to the OCCI documents"));
    assert!(
        documents()
            .kind(kind(reserved, occi_core::RESOURCE, "/extra/"))
            .build()
            .is_err()
    );
    let action = Action {
        id: id(reserved),
        title: String::new(),
        attributes: Vec::new(),
    };
    let owner = Kind {
        actions: vec![id(reserved)],
        ..kind(EXTRA, occi_core::RESOURCE, "/extra/")
    };
    assert!(documents().kind(owner).action(action).build().is_err());
}

#[rstest]
#[case("occi.compute.colour", ValueType::String, Some("must not begin with occi."))]
#[case("colour", ValueType::String, Some("needs a prefix"))]
#[case("com.example.colour", ValueType::String, None)]
#[case("occi.compute.cores", ValueType::Integer { min: Some(1), max: Some(64) }, None)]
#[case("occi.compute.ephemeral_storage.size", ValueType::Float { above: Some(0.0) }, None)]
#[case("occi.compute.cores", ValueType::String, Some("its type must not change"))]
#[case("occi.compute.cores", ValueType::Float { above: None }, Some("its type must not change"))]
#[case("occi.compute.hostname", ValueType::Enum { values: &["a", "b"], aliases: &[] }, None)]
fn core_4_new_attributes_have_a_prefix_of_their_own_and_keep_their_type(
    #[case] name: &str,
    #[case] value_type: ValueType,
    #[case] refusal: Option<&str>,
) {
    let mixin = Mixin {
        applies: vec![id(COMPUTE)],
        attributes: vec![attribute(name, value_type)],
        ..mixin(EXTRA, "/mixin/extra/")
    };
    match (documents().mixin(mixin).build(), refusal) {
        (Ok(_), None) => {}
        (Err(error), Some(words)) => assert!(error.reason.contains(words), "{error}"),
        (result, _) => panic!("{result:?}"),
    }
}

#[test]
fn a_model_that_contradicts_itself_is_refused() {
    let extra = || mixin(EXTRA, "/mixin/extra/");
    let other = || mixin("http://cloud.example.org/occi/x#other", "/mixin/other/");
    assert!(
        documents().mixin(extra()).mixin(extra()).build().is_err(),
        "twice the same"
    );
    assert!(
        reason(mixin(EXTRA, "/compute/")).contains("belongs to http://schemas.ogf.org/occi/infrastructure#compute")
    );
    assert!(reason(mixin(EXTRA, "/-/extra/")).contains("reserved"));
    assert!(reason(mixin(EXTRA, "/link/storagelink/")).contains("reserved"));
    assert!(
        reason(Mixin {
            depends: vec![other().id],
            ..extra()
        })
        .contains("not defined")
    );
    assert!(
        reason(Mixin {
            applies: vec![other().id],
            ..extra()
        })
        .contains("not defined")
    );
    assert!(
        reason(Mixin {
            actions: vec![other().id],
            ..extra()
        })
        .contains("not defined")
    );
    assert!(
        reason(Mixin {
            depends: vec![extra().id],
            ..extra()
        })
        .contains("depends on itself")
    );
    let circle = documents()
        .mixin(Mixin {
            depends: vec![other().id],
            ..extra()
        })
        .mixin(Mixin {
            depends: vec![extra().id],
            ..other()
        })
        .build();
    assert!(circle.unwrap_err().reason.contains("depends on itself"));
    let wrong_default = occi_model::AttributeDefinition {
        default: Some("many".into()),
        ..attribute("com.example.number", ValueType::Integer { min: None, max: None })
    };
    assert!(
        reason(Mixin {
            attributes: vec![wrong_default],
            ..extra()
        })
        .contains("must be a whole number")
    );
    let twice = vec![attribute("com.example.a", ValueType::String); 2];
    assert!(
        reason(Mixin {
            attributes: twice,
            ..extra()
        })
        .contains("twice")
    );

    let rootless = documents()
        .kind(Kind {
            parent: None,
            ..kind(EXTRA, EXTRA, "/extra/")
        })
        .build();
    assert!(rootless.unwrap_err().reason.contains("does not descend"));
    assert!(
        documents().kind(kind(EXTRA, EXTRA, "/extra/")).build().is_err(),
        "its own parent"
    );
    assert!(
        documents()
            .kind(kind(EXTRA, "http://example.org/x#y", "/extra/"))
            .build()
            .is_err()
    );
}

#[test]
fn core_39_an_extension_kind_is_found_with_what_it_inherits() {
    const CLUSTER: &str = "http://cloud.example.org/occi/x#cluster";
    let grow = id("http://cloud.example.org/occi/x/action#grow");
    let model = documents()
        .kind(Kind {
            attributes: vec![attribute(
                "com.example.cluster.size",
                ValueType::Integer {
                    min: Some(1),
                    max: None,
                },
            )],
            actions: vec![grow.clone()],
            ..kind(CLUSTER, COMPUTE, "/cluster/")
        })
        .action(Action {
            id: grow.clone(),
            title: String::new(),
            attributes: Vec::new(),
        })
        .build()
        .unwrap();
    assert!(model.descends_from(CLUSTER, occi_core::RESOURCE));
    let ancestors: Vec<_> = model.ancestors(CLUSTER).map(|kind| kind.id.term().to_owned()).collect();
    assert_eq!(ancestors, ["compute", "resource", "entity"]);
    let actions: Vec<_> = model
        .actions_of(CLUSTER, [])
        .iter()
        .map(|action| action.id.term().to_owned())
        .collect();
    assert_eq!(actions, ["start", "stop", "restart", "suspend", "save", "grow"]);
    assert_eq!(
        model.lifecycle(CLUSTER).unwrap().bring_up.as_ref().unwrap().term(),
        "start"
    );
    assert!(
        model.covers(templates::OS_TPL, CLUSTER),
        "core_13: applies covers descendants"
    );
    let made = create(
        &model,
        &draft(
            CLUSTER,
            &[],
            &[("com.example.cluster.size", "3"), ("occi.compute.cores", "2")],
        ),
    );
    assert_eq!(text(&made.attributes, "com.example.cluster.size").unwrap(), "3");
}

#[test]
fn core_8_an_own_action_takes_the_place_of_an_inherited_one_of_its_term() {
    let model = Registry::standard();
    let actions: Vec<_> = model
        .actions_of(production::IPRESERVATION, [])
        .iter()
        .map(|action| action.id.to_string())
        .collect();
    let scheme = "http://schemas.ogf.org/occi/infrastructure/ipreservation/action#";
    assert_eq!(actions, [format!("{scheme}up"), format!("{scheme}down")]);
}

#[test]
fn core_11_capabilities_of_depended_on_mixins_come_along() {
    let grand = Mixin {
        attributes: vec![attribute("com.example.grand", ValueType::String)],
        ..mixin("http://cloud.example.org/occi/x#grand", "/mixin/grand/")
    };
    let parent = Mixin {
        depends: vec![grand.id.clone()],
        applies: vec![id(NETWORK)],
        ..mixin("http://cloud.example.org/occi/x#parent", "/mixin/parent/")
    };
    let child = Mixin {
        depends: vec![parent.id.clone(), grand.id.clone()],
        ..mixin(EXTRA, "/mixin/extra/")
    };
    let model = documents().mixin(child).mixin(parent).mixin(grand).build().unwrap();
    let closure: Vec<_> = model
        .depends_closure(EXTRA)
        .iter()
        .map(|mixin| mixin.id.term().to_owned())
        .collect();
    assert_eq!(closure, ["grand", "parent", "extra"]);
    assert!(
        model.covers(EXTRA, NETWORK) && !model.covers(EXTRA, COMPUTE),
        "restrictions come along, too"
    );
    assert!(
        model
            .definitions(NETWORK, [&id(EXTRA)])
            .get("com.example.grand")
            .is_some()
    );
}

#[test]
fn what_no_backend_supports_is_left_out_with_all_that_is_about_it() {
    let save = format!("{}save", infrastructure::COMPUTE_ACTION);
    let start = format!("{}start", infrastructure::COMPUTE_ACTION);
    let model = documents()
        .table(&production::TABLE)
        .retain_kinds(|kind| kind.term() == "compute" || kind.term() == "network")
        .retain_actions(|action| *action != *save && *action != *start)
        .build()
        .unwrap();
    let kinds: Vec<_> = model.kinds().iter().map(|kind| kind.id.term().to_owned()).collect();
    assert_eq!(kinds, ["entity", "resource", "link", "compute", "network"]);
    assert!(
        model.mixin(infrastructure::IPNETWORKINTERFACE).is_none(),
        "applies to nothing any more"
    );
    let zone = model.mixin(production::AVAILABILITY_ZONE).unwrap();
    assert_eq!(zone.applies, [id(COMPUTE), id(NETWORK)]);
    assert!(
        model
            .actions()
            .iter()
            .all(|action| !action.id.as_str().contains("storage"))
    );
    let lifecycle = model.lifecycle(COMPUTE).unwrap();
    assert_eq!(lifecycle.bring_up, None);
    assert!(lifecycle.applicable("inactive").next().is_none());

    // http_83: what is defined but not offered is told apart from what nobody knows.
    assert!(model.is_left_out(&save) && model.is_left_out(STORAGE) && !model.is_left_out(COMPUTE));
    assert_eq!(
        model.check_action(&id(&save), &[]).unwrap_err().kind,
        ViolationKind::Unsupported
    );
    let unknown = model.check_action(&id("http://example.org/x#y"), &[]).unwrap_err();
    assert_eq!(unknown.kind, ViolationKind::Invalid);
    let storage = model.check_create(&draft(STORAGE, &[], &[])).unwrap_err();
    assert_eq!(storage.message, format!("{STORAGE} is not offered by this service"));
}

#[test]
fn plain_resources_can_be_allowed() {
    let model = documents().base_kinds_have_instances().build().unwrap();
    assert!(
        model
            .check_create(&draft(occi_core::RESOURCE, &[], &[("occi.core.summary", "x")]))
            .is_ok()
    );
    assert!(model.check_create(&draft(occi_core::ENTITY, &[], &[])).is_err());
}

const INFRA: &str = "http://schemas.ogf.org/occi/infrastructure#";

#[rstest]
#[case(INFRA, "compute", Some(Class::Kind), Ok(COMPUTE))]
#[case("http://schemas.ogf.org/occi/infrastructure", "compute", None, Ok(COMPUTE))]
#[case(COMPUTE, "compute", None, Ok(COMPUTE))]
#[case(INFRA, "Compute", None, Ok(COMPUTE))]
#[case(
    "http://schemas.ogf.org/occi/infrastucture/networkinterface#",
    "ipnetworkinterface",
    Some(Class::Mixin),
    Ok(infrastructure::IPNETWORKINTERFACE)
)]
#[case(
    "http://schemas.ogf.org/occi/infrastructure/network#",
    "ipnetworking",
    None,
    Ok(IPNETWORK)
)]
#[case(
    INFRA,
    "compute",
    Some(Class::Mixin),
    Err("http://schemas.ogf.org/occi/infrastructure#compute is of class kind, not mixin")
)]
#[case(
    INFRA,
    "computer",
    None,
    Err("http://schemas.ogf.org/occi/infrastructure#computer is unknown")
)]
#[case(INFRA, "", None, Err("term \"\": is empty"))]
#[case("compute", "compute", None, Err("scheme \"compute\": must be an absolute URI"))]
fn text_19_and_text_22_categories_are_found_as_clients_write_them(
    #[case] scheme: &str,
    #[case] term: &str,
    #[case] class: Option<Class>,
    #[case] found: Result<&str, &str>,
) {
    let model = Registry::standard();
    let result = model
        .resolve(scheme, term, class)
        .map(|category| category.id().to_string());
    assert_eq!(
        result.map_err(|error| error.to_string()),
        found.map(str::to_owned).map_err(str::to_owned)
    );
}

#[test]
fn core_2_another_case_is_understood_only_if_one_fits() {
    let two = [
        mixin("http://cloud.example.org/occi/x#Alpha", "/mixin/a/"),
        mixin("http://cloud.example.org/occi/x#ALPHA", "/mixin/b/"),
    ];
    let model = Registry::standard().with(two).unwrap();
    let find = |term: &str| model.resolve("http://cloud.example.org/occi/x#", term, None);
    assert_eq!(find("Alpha").unwrap().id().term(), "Alpha");
    assert!(matches!(find("alpha"), Err(ResolveError::Unknown(_))));
}

#[rstest]
#[case("/compute/1", "/compute/1")]
#[case("/link/networkinterface/", "/networkinterface/")]
#[case("/link/networkinterface", "/networkinterface")]
#[case("/link/storagelink/7", "/storagelink/7")]
#[case("/networklink/7", "/networkinterface/7")]
#[case("//storagelink//x", "/storagelink/x")]
#[case("//link//storagelink/x/", "/storagelink/x/")]
#[case("/link/1", "/link/1")]
#[case("/networklinks/1", "/networklinks/1")]
fn http_74_and_http_82_paths_of_other_servers_are_ours(#[case] path: &str, #[case] canonical: &str) {
    assert_eq!(canonical_path(path), canonical);
}

#[rstest]
#[case("/", true)]
#[case("/-/", true)]
#[case("/-/operation/x", true)]
#[case("/.well-known/org/ogf/occi/-/", true)]
#[case("/metrics", true)]
#[case("/metrics/", true)]
#[case("/metrics/x", true)]
#[case("/metricsx", false)]
#[case("/v3/", true)]
#[case("/v3", true)]
#[case("/v30/", false)]
#[case("/compute/1", false)]
fn http_29_paths_of_the_service_are_reserved(#[case] path: &str, #[case] reserved: bool) {
    assert_eq!(is_reserved_path(path), reserved);
}

#[test]
fn mixins_come_and_go() {
    let model = Registry::standard();
    let count = model.mixins().len();
    let more = model.with([mixin(EXTRA, "/mixin/extra/")]).unwrap();
    assert_eq!(more.at_location("/mixin/extra/").unwrap().id(), &id(EXTRA));
    assert!(model.mixin(EXTRA).is_none(), "the old one is as it was");
    assert!(more.with([mixin(EXTRA, "/mixin/again/")]).is_err());
    let fewer = more.without(&id(EXTRA));
    assert_eq!(fewer.mixins().len(), count);
    assert!(fewer.at_location("/mixin/extra/").is_none() && fewer.mixin(EXTRA).is_none());
    assert!(fewer.with([mixin(EXTRA, "/mixin/extra/")]).is_ok());
}

#[test]
fn infra_20_templates_of_a_backend_become_mixins() {
    let mut sizes = Attributes::new();
    sizes.set("occi.compute.cores".parse().unwrap(), 2_i64);
    sizes.set("occi.compute.memory".parse().unwrap(), Value::Integer(4));
    sizes.set("org.openstack.flavor.name".parse().unwrap(), "m1.Tiny");
    let flavour = templates::resource_template(
        id("http://schemas.openstack.org/template/resource#M1"),
        "Tiny",
        "os",
        &sizes,
    );
    assert_eq!(flavour.location.as_str(), "/mixin/resource_tpl/m1/");
    assert_eq!(
        flavour.origin,
        Origin::Provider {
            backend: "os".to_owned()
        }
    );
    assert_eq!(
        (&flavour.depends, &flavour.applies),
        (&vec![id(templates::RESOURCE_TPL)], &vec![id(COMPUTE)])
    );
    let own: Vec<_> = flavour
        .attributes
        .iter()
        .map(|one| (one.name.as_str(), one.mutable, one.value_type.json_type()))
        .collect();
    assert_eq!(
        own,
        [
            ("occi.compute.cores", true, "number"),
            ("occi.compute.memory", true, "number"),
            ("org.openstack.flavor.name", false, "string"),
        ]
    );
    let model = Registry::standard().with([flavour]).unwrap();
    assert!(model.covers("http://schemas.openstack.org/template/resource#M1", COMPUTE));
}

fn user_mixin() -> MixinDraft {
    MixinDraft {
        id: id("http://cloud.example.org/users/ann#nightly"),
        title: Some("Nightly machines".to_owned()),
        depends: vec![id("http://example.com/occi/unknown#mixin")],
        location: Some("/mixin/nightly/".to_owned()),
        has_capabilities: false,
    }
}

#[test]
fn http_45_and_http_48_a_user_adds_a_mixin_with_an_unknown_relation() {
    let model = Registry::standard();
    let Ok(NewMixin::New(mixin)) = model.check_mixin(&user_mixin(), "research", "ann") else {
        panic!("it is new");
    };
    assert_eq!(mixin.depends, user_mixin().depends);
    let model = model.with([mixin]).unwrap();
    assert_eq!(model.at_location("/mixin/nightly/").unwrap().id(), &user_mixin().id);
    assert!(matches!(
        model.check_mixin(&user_mixin(), "research", "ann"),
        Ok(NewMixin::Same(_))
    ));
    let by_another = model.check_mixin(&user_mixin(), "research", "bob").unwrap_err();
    assert_eq!(by_another.kind, ViolationKind::Conflict, "http_47");
}

#[test]
fn http_70_a_users_mixin_depends_on_few_others_however_they_come() {
    let name = |number: usize| id(&format!("http://example.org/chain#m{number}"));
    // Each depends on the next.
    let link = |number: usize| {
        let mut link = mixin(name(number).as_str(), &format!("/chain/{number}/"));
        link.depends = vec![name(number + 1)];
        link.origin = occi_model::Origin::User {
            project: "research".to_owned(),
            owner: "ann".to_owned(),
        };
        link
    };
    let reason = |model: &Registry, numbers: std::ops::Range<usize>| {
        let error = model.with(numbers.map(link)).unwrap_err();
        error.reason
    };
    let standard = Registry::standard();
    let model = standard.with((1..=MAX_DEPENDS).map(link)).unwrap();
    assert_eq!(model.depends_closure(name(1).as_str()).len(), MAX_DEPENDS);
    let checked = |depends: Vec<TypeId>, title: &str| {
        let draft = MixinDraft {
            depends,
            title: Some(title.to_owned()),
            ..user_mixin()
        };
        let checked = model.check_mixin(&draft, "research", "ann");
        checked.map(drop).map_err(|violation| violation.kind)
    };
    assert_eq!(checked(vec![name(1)], ""), Err(ViolationKind::TooLarge));
    assert_eq!(checked(vec![name(2)], ""), Ok(()));
    let unknown = |count: usize| (100..100 + count).map(name).collect();
    assert_eq!(checked(unknown(MAX_DEPENDS + 1), ""), Err(ViolationKind::TooLarge));
    assert_eq!(checked(unknown(MAX_DEPENDS), ""), Ok(()));
    assert_eq!(
        checked(Vec::new(), &"x".repeat(MAX_MIXIN_BYTES)),
        Err(ViolationKind::TooLarge)
    );

    // The end of the chain is made last: who has depended on what was unknown would depend on too many.
    assert!(reason(&model, 17..18).contains("more than 16"));
    // One that is much too long is refused, too, and does no harm.
    assert!(reason(&standard, 0..20_000).contains("more than 16"));
    let mut back = link(5);
    back.depends = vec![name(1)];
    let circle = standard.with((1..5).map(link).chain([back])).unwrap_err();
    assert!(circle.reason.contains("depends on itself"));
}

#[rstest]
#[case("http://schemas.ogf.org/occi/mine#a", Some("/mixin/a/"), &[], false, ViolationKind::Forbidden)]
#[case("http://example.org/x#a", None, &[], false, ViolationKind::Invalid)]
#[case("http://example.org/x#a", Some("/mixin/a"), &[], false, ViolationKind::Invalid)]
#[case("http://example.org/x#a", Some("mixin/a/"), &[], false, ViolationKind::Invalid)]
#[case("http://example.org/x#a", Some("/mixin/a/"), &[], true, ViolationKind::Invalid)]
#[case("http://example.org/x#a", Some("/compute/"), &[], false, ViolationKind::Conflict)]
#[case("http://example.org/x#a", Some("/compute/a/"), &[], false, ViolationKind::Conflict)]
#[case("http://example.org/x#a", Some("/link/networkinterface/"), &[], false, ViolationKind::Conflict)]
#[case("http://example.org/x#a", Some("/mixin/os_tpl/"), &[], false, ViolationKind::Conflict)]
#[case("http://example.org/x#a", Some("/-/a/"), &[], false, ViolationKind::Conflict)]
#[case("http://example.org/x#a", Some("/"), &[], false, ViolationKind::Conflict)]
#[case("http://example.org/x#a", Some("/a/"), &["http://example.org/x#a"], false, ViolationKind::Invalid)]
#[case("http://example.org/x#a", Some("/a/"), &[templates::OS_TPL], false, ViolationKind::Forbidden)]
fn core_3_and_http_46_a_user_mixin_keeps_the_rules(
    #[case] identifier: &str,
    #[case] location: Option<&str>,
    #[case] depends: &[&str],
    #[case] has_capabilities: bool,
    #[case] kind: ViolationKind,
) {
    let draft = MixinDraft {
        id: id(identifier),
        title: None,
        depends: depends.iter().map(|mixin| id(mixin)).collect(),
        location: location.map(str::to_owned),
        has_capabilities,
    };
    let violation = Registry::standard().check_mixin(&draft, "research", "ann").unwrap_err();
    assert_eq!(violation.kind, kind, "{violation}");
}

#[test]
fn the_link_kind_follows_from_the_target() {
    let model = Registry::standard();
    for (target, link) in [
        (NETWORK, NIC),
        (production::IPRESERVATION, NIC),
        (STORAGE, STORAGELINK),
        (production::SECURITYGROUP, production::SECURITYGROUPLINK),
        (COMPUTE, occi_core::LINK),
    ] {
        assert_eq!(model.link_kind_to(target).unwrap().id, *link, "{target}");
    }
}

#[rstest]
#[case(ValueType::DateTime, "2026-01-01T00:00:00Z", true)]
#[case(ValueType::DateTime, "2026-01-01T00:00:00+01:00", true)]
#[case(ValueType::DateTime, "2026-01-01", true)]
#[case(ValueType::DateTime, "10:30", true)]
#[case(ValueType::DateTime, "P1D", false)]
#[case(ValueType::DateTime, "2026-01-01/2026-02-01", false)]
#[case(ValueType::DateTime, "2026-13-01", false)]
#[case(ValueType::Uri, "https://example.org/a?b#c", true)]
#[case(ValueType::Uri, "/compute/1", true)]
#[case(ValueType::Uri, "urn:uuid:0de7", true)]
#[case(ValueType::Uri, "http://[::1", false)]
#[case(ValueType::Uri, "a b", false)]
#[case(ValueType::Uri, "", false)]
#[case(ValueType::Boolean, "TRUE", true)]
#[case(ValueType::Boolean, "no", true)]
#[case(ValueType::Boolean, "1", false)]
#[case(ValueType::Hash, r#"{"a":[1,2.5,"x"]}"#, true)]
#[case(ValueType::Hash, r#"{"a":null}"#, false)]
#[case(ValueType::Hash, "[]", false)]
fn core_23_the_types_that_few_attributes_have(#[case] value_type: ValueType, #[case] text: &str, #[case] valid: bool) {
    assert_eq!(value_type.read(&Input::Quoted(text.to_owned())).is_some(), valid);
}
