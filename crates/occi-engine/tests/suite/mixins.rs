//! Users' mixins and mixins' collections.

use crate::fixture::*;
use occi_backend::names;
use occi_backend_memory::Config;
use occi_engine::{Caller, EngineConfig, FailureKind, Selection, Where};
use occi_model::{EntityDraft, MixinDraft, TypeId};
use occi_store::Role;

fn tag(term: &str) -> MixinDraft {
    MixinDraft {
        id: format!("http://example.com/tags#{term}").parse().unwrap(),
        title: None,
        depends: vec!["http://example.com/unknown#parent".parse().unwrap()],
        location: Some(format!("/my/{term}/")),
        has_capabilities: false,
    }
}

fn manager() -> Caller {
    let mut manager = caller_in(PROJECT, Role::Manager, occi_engine::Wait::Accepted);
    std::sync::Arc::make_mut(&mut manager.principal).name = "the manager".into();
    manager
}

impl Fixture {
    async fn members(&self, mixin: &TypeId) -> Vec<String> {
        self.paths(&caller(), &Where::Mixin(mixin.clone())).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_45_a_user_mixin_is_in_its_projects_model_at_once() {
    let on = Fixture::local().await;
    let before = on.engine.model(&caller()).await.unwrap();
    on.engine.add_mixins(&caller(), vec![tag("a"), tag("b")]).await.unwrap();
    let model = on.engine.model(&caller()).await.unwrap();
    assert!(model.epoch > before.epoch);
    assert!(model.registry.mixin(tag("a").id.as_str()).is_some());
    assert_eq!(on.engine.resolve(&model, "/my/a"), Where::Mixin(tag("a").id));
    assert!(
        on.engine
            .model(&blue())
            .await
            .unwrap()
            .registry
            .mixin(tag("a").id.as_str())
            .is_none()
    );
    on.engine.add_mixins(&blue(), vec![tag("a")]).await.unwrap();

    on.engine.add_mixins(&caller(), vec![tag("a")]).await.unwrap();
    let mut clash = tag("c");
    clash.location = tag("a").location;
    refused(
        on.engine.add_mixins(&caller(), vec![tag("d"), clash]).await,
        FailureKind::Conflict,
    );
    assert!(
        on.engine
            .model(&caller())
            .await
            .unwrap()
            .registry
            .mixin(tag("d").id.as_str())
            .is_none(),
        "all or none"
    );
    on.engine.create_at(&done(), "/mine/x", compute()).await.unwrap();
    let mut shadow = tag("e");
    shadow.location = Some("/mine/".into());
    refused(
        on.engine.add_mixins(&caller(), vec![shadow]).await,
        FailureKind::Conflict,
    );
    let mut reserved = tag("e");
    reserved.id = "http://schemas.ogf.org/occi/tags#e".parse().unwrap();
    refused(
        on.engine.add_mixins(&caller(), vec![reserved]).await,
        FailureKind::Forbidden,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn http_39_to_42_a_mixins_collection_is_changed_by_its_members() {
    let on = Fixture::local().await;
    on.engine.add_mixins(&caller(), vec![tag("a")]).await.unwrap();
    let id = tag("a").id;
    let paths = [
        on.made(storage()).await.location.clone(),
        on.made(storage()).await.location.clone(),
        on.compute().await.location.clone(),
    ];
    on.engine.associate(&caller(), &id, paths[..2].to_vec()).await.unwrap();
    assert_eq!(on.members(&id).await, paths[..2]);
    let nowhere = vec![paths[2].clone(), "/compute/nothing".into()];
    refused(
        on.engine.associate(&caller(), &id, nowhere).await,
        FailureKind::NotFound,
    );
    assert_eq!(on.members(&id).await, paths[..2], "all or none");

    on.engine
        .replace_members(&caller(), &id, paths[1..].to_vec())
        .await
        .unwrap();
    assert_eq!(on.members(&id).await, paths[1..]);
    refused(
        on.engine.dissociate(&caller(), &id, Some(vec![paths[0].clone()])).await,
        FailureKind::NotFound,
    );
    on.engine
        .dissociate(&caller(), &id, Some(vec![paths[1].clone()]))
        .await
        .unwrap();
    assert_eq!(on.members(&id).await, paths[2..]);
    let all = Selection::default();
    let gone = on
        .engine
        .delete_collection(&caller(), &Where::Mixin(id.clone()), &all, None)
        .await
        .unwrap();
    assert_eq!(gone.entities, 1);
    assert_eq!(on.members(&id).await, [""; 0]);
    on.seen(&paths[2]).await;

    let there = on
        .engine
        .create(&done(), &Where::Mixin(id.clone()), vec![storage()])
        .await
        .unwrap();
    assert_eq!(on.members(&id).await, [there.entities[0].location.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_49_a_removed_mixin_leaves_its_entities() {
    let on = Fixture::local().await;
    on.engine.add_mixins(&caller(), vec![tag("a"), tag("b")]).await.unwrap();
    let path = on.made(storage()).await.location.clone();
    on.engine
        .associate(&caller(), &tag("a").id, vec![path.clone()])
        .await
        .unwrap();
    assert!(on.engine.peek(&caller(), &path).is_none());
    assert_eq!(on.seen(&path).await.mixins, [tag("a").id]);
    let another = caller_in(PROJECT, Role::Member, occi_engine::Wait::Accepted);
    let mut another = another;
    std::sync::Arc::make_mut(&mut another.principal).name = "another".into();
    refused(
        on.engine.remove_mixins(&another, vec![tag("a").id]).await,
        FailureKind::Forbidden,
    );
    on.engine.remove_mixins(&caller(), vec![tag("a").id]).await.unwrap();
    assert!(on.seen(&path).await.mixins.is_empty());
    on.engine.remove_mixins(&manager(), vec![tag("b").id]).await.unwrap();
    refused(
        on.engine.remove_mixins(&caller(), vec![tag("a").id]).await,
        FailureKind::NotFound,
    );
    refused(
        on.engine.remove_mixins(&caller(), vec![names::OS_TPL.clone()]).await,
        FailureKind::Forbidden,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_mixin_stays_in_its_project() {
    let on = Fixture::local().await;
    let disk = on.made(storage()).await.location.clone();
    let path = on.compute().await.location.clone();
    let before = on.seen(&path).await;
    // Somebody of both projects, at home in the other one.
    let mut both = done();
    let principal = std::sync::Arc::make_mut(&mut both.principal);
    principal.projects.push(("blue".into(), Role::Member));
    principal.default_project = "blue".into();
    on.engine.add_mixins(&both, vec![tag("theirs")]).await.unwrap();
    let tagged = |draft: EntityDraft| EntityDraft {
        mixins: vec![tag("theirs").id],
        ..draft
    };
    let change = |attributes| EntityDraft {
        kind: None,
        ..draft(&names::COMPUTE, attributes)
    };
    let mut attached = link(&names::STORAGELINK, &disk);
    attached.entity = tagged(attached.entity);
    for asked in [
        tagged(change(&[])),
        tagged(change(&[("occi.compute.memory", "2")])),
        with_links(change(&[]), vec![attached]),
    ] {
        refused(
            on.engine.update(&both, &path, asked, &NONE).await,
            FailureKind::Forbidden,
        );
    }
    let member = on.engine.associate(&both, &tag("theirs").id, vec![path.clone()]).await;
    refused(member, FailureKind::Forbidden);
    let attached = tagged(between(&names::STORAGELINK, &path, &disk));
    refused(on.create_as(&both, attached).await, FailureKind::Forbidden);
    on.settled().await;
    assert_eq!(on.seen(&path).await, before);
    on.create_as(&both, tagged(storage())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mixins_that_depend_on_too_many_together_are_too_large() {
    let on = Fixture::local().await;
    let unknown = |number: usize| format!("http://example.com/unknown#m{number}").parse().unwrap();
    let many = MixinDraft {
        depends: (0..occi_model::check::MAX_DEPENDS).map(unknown).collect(),
        ..tag("many")
    };
    let one_more = MixinDraft {
        depends: vec![many.id.clone()],
        ..tag("more")
    };
    refused(
        on.engine.add_mixins(&caller(), vec![one_more, many]).await,
        FailureKind::TooLarge,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn http_70_a_project_has_no_more_mixins_than_it_may_have_and_an_entity_no_more_categories() {
    let config = EngineConfig {
        user_mixin_limit: 70,
        ..EngineConfig::default()
    };
    let on = Fixture::new(Config::local(), config).await;
    let tags: Vec<_> = (0..71).map(|number| tag(&format!("t{number}"))).collect();
    on.engine.add_mixins(&caller(), tags[..64].to_vec()).await.unwrap();
    refused(
        on.engine.add_mixins(&caller(), tags[64..].to_vec()).await,
        FailureKind::QuotaExceeded,
    );
    let mut twice = tags[64..70].to_vec();
    twice.push(tags[64].clone());
    on.engine.add_mixins(&caller(), twice).await.unwrap();
    // What is there already needs no room.
    on.engine.add_mixins(&caller(), tags[..64].to_vec()).await.unwrap();
    on.engine.add_mixins(&blue(), tags[64..].to_vec()).await.unwrap();

    let path = on.made(storage()).await.location.clone();
    let add = async |tag: &MixinDraft| on.engine.associate(&caller(), &tag.id, vec![path.clone()]).await;
    for tag in &tags[..63] {
        add(tag).await.unwrap();
    }
    refused(add(&tags[63]).await, FailureKind::TooLarge);
    add(&tags[0]).await.unwrap();
    assert_eq!(on.seen(&path).await.mixins.len(), 63);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_83_what_is_switched_off_is_not_supported() {
    let config = EngineConfig {
        user_mixins: false,
        ..EngineConfig::default()
    };
    let on = Fixture::new(Config::local(), config).await;
    refused(
        on.engine.add_mixins(&caller(), vec![tag("a")]).await,
        FailureKind::Unsupported,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn core_12_a_mixin_comes_only_to_the_kinds_that_it_applies_to() {
    let on = Fixture::local().await;
    let storage = on.made(storage()).await;
    let wrong = on
        .engine
        .associate(&caller(), &names::SSH_KEY, vec![storage.location.clone()])
        .await;
    refused(wrong, FailureKind::Forbidden);
    let mut keyed = on.made(compute()).await.location.clone();
    let late = on
        .engine
        .associate(&caller(), &names::USER_DATA, vec![keyed.clone()])
        .await;
    refused(late, FailureKind::Invalid);
    let mut with_tag = compute();
    on.engine.add_mixins(&caller(), vec![tag("t")]).await.unwrap();
    with_tag.mixins.push(tag("t").id);
    keyed = on.made(with_tag).await.location.clone();
    let put = EntityDraft {
        mixins: vec![],
        ..compute()
    };
    on.engine.replace(&done(), &keyed, put, &NONE).await.unwrap();
    assert!(
        !on.seen(&keyed).await.mixins.contains(&tag("t").id),
        "a replacement names all mixins"
    );
}
