//! Networks that one project shares with others.

use crate::fixture::*;
use occi_backend::names;
use occi_engine::{Caller, FailureKind, Freshness, Precondition, Selection, Wait, Where};
use occi_model::{Entity, EntityDraft, Shape, core};
use occi_store::{Role, Store, Visibility};
use std::time::Duration;

fn blue_done() -> Caller {
    caller_in("blue", Role::Member, Wait::Outcome(Duration::from_secs(20)))
}

async fn set(on: &Fixture, path: &str, visibility: Visibility) {
    on.engine.share(path, visibility, "an operator").await.unwrap();
}

fn leads_to(link: &Entity) -> &str {
    match &link.shape {
        Shape::Link { target, .. } => &target.location,
        Shape::Resource { .. } => panic!("no link"),
    }
}

/// The engine assigns ids, loses requests and answers, and is seen by listings only.
#[tokio::test(flavor = "multi_thread")]
async fn links_to_a_shared_network_are_right_however_bad_the_way_to_the_engine_is() {
    let on = Fixture::remote().await;
    let own = on.made(network()).await;
    // A default network carries no mark.
    let machine = on.compute().await;
    let default = leads_to(&links(&machine)[0]).to_owned();
    for shared in [&own.location, &default] {
        set(&on, shared, Visibility::Projects(vec!["blue".into()])).await;
        let to = link(&names::NETWORKINTERFACE, shared);
        let made = on
            .create_as(&blue_done(), with_links(compute(), vec![to]))
            .await
            .unwrap();
        let compute = &made.entities[0];
        let nic = &links(compute)[0];
        assert_eq!((leads_to(nic), state(nic).as_str()), (shared.as_str(), "active"));
        let fresh = Caller {
            freshness: Freshness::Now,
            ..blue()
        };
        let seen = on.engine.retrieve(&fresh, &compute.location).await.unwrap().entity;
        assert_eq!(leads_to(&links(&seen)[0]), shared);
        on.act(shared, "down").await.unwrap();
        let seen = on.engine.retrieve(&blue(), &nic.location).await.unwrap().entity;
        assert_eq!(state(&seen), "inactive");
        let in_use = refused(on.delete(shared).await, FailureKind::Conflict);
        assert_eq!(in_use.code, Some("in_use"));
        assert!(
            in_use
                .message
                .ends_with("a network interface of another project leads to it")
        );
    }
    let interfaces = at(&names::NETWORKINTERFACE);
    assert_eq!(on.paths(&blue(), &interfaces).await.unwrap().len(), 2);
    assert_eq!(
        on.paths(&caller(), &interfaces).await.unwrap(),
        [links(&machine)[0].location.as_str()]
    );
    on.engine
        .delete_collection(&blue_done(), &Where::Unbound("/".into()), &Selection::default(), None)
        .await
        .unwrap();
    on.delete(&own.location).await.unwrap();
}

/// What was allowed when the link was planned is looked at again when it is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn no_link_is_made_after_the_sharing_has_ended() {
    let on = Fixture::local().await;
    let own = on.made(network()).await;
    for _ in 0..20 {
        set(&on, &own.location, Visibility::Public).await;
        let to = link(&names::NETWORKINTERFACE, &own.location);
        let caller = blue_done();
        let (made, ended) = tokio::join!(on.create_as(&caller, with_links(compute(), vec![to])), async {
            set(&on, &own.location, Visibility::Project).await;
            let row = on.store.entity_at(&own.location).await.unwrap().unwrap();
            on.store.links_to(&row.id).await.unwrap().len()
        });
        settled(&*on.store).await;
        let row = on.store.entity_at(&own.location).await.unwrap().unwrap();
        assert_eq!(on.store.links_to(&row.id).await.unwrap().len(), ended);
        assert_eq!(made.is_ok(), ended == 1, "{made:?}");
        on.engine
            .delete_collection(&caller, &Where::Unbound("/".into()), &Selection::default(), None)
            .await
            .unwrap();
        settled(&*on.store).await;
    }
}

/// If-Match is about the entity of the request, not about what it is linked to.
#[tokio::test(flavor = "multi_thread")]
async fn a_shared_network_that_changes_fails_nobodys_if_match() {
    let on = Fixture::local().await;
    let own = on.made(network()).await.location.clone();
    set(&on, &own, Visibility::Public).await;
    let caller = blue_done();
    for _ in 0..20 {
        let machine = on.create_as(&caller, compute()).await.unwrap();
        let only = Precondition::Generations(machine.generations.clone());
        let to = vec![link(&names::NETWORKINTERFACE, &own)];
        let added = with_links(EntityDraft::default(), to);
        let update = on.engine.update(&caller, &machine.entities[0].location, added, &only);
        let (updated, ()) = tokio::join!(update, async {
            for visibility in [Visibility::Projects(vec!["blue".into()]), Visibility::Public] {
                set(&on, &own, visibility).await;
            }
        });
        updated.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_shown_offers_no_actions() {
    let on = Fixture::local().await;
    let own = on.made(network()).await;
    set(&on, &own.location, Visibility::Public).await;
    let shown = on.engine.retrieve(&blue(), &own.location).await.unwrap().entity;
    assert_eq!(terms(&shown.actions), Vec::<&str>::new());
    assert_eq!(terms(&on.seen(&own.location).await.actions), ["down"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_only_the_store_holds_goes_with_the_shared_network() {
    let on = Fixture::local().await;
    let own = on.made(network()).await;
    set(&on, &own.location, Visibility::Public).await;
    let machine = on.create_as(&blue_done(), compute()).await.unwrap().entities.remove(0);
    let note = between(&core::LINK.parse().unwrap(), &machine.location, &own.location);
    let note = on.create_as(&blue_done(), note).await.unwrap().entities.remove(0);
    let there = async || on.engine.retrieve(&blue(), &machine.location).await.unwrap().entity;
    assert_eq!(links(&*there().await).len(), 2);
    on.delete(&own.location).await.unwrap();
    assert_eq!(links(&*there().await).len(), 1);
    refused(on.engine.retrieve(&blue(), &note.location).await, FailureKind::NotFound);
}
