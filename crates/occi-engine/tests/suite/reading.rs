//! Reading: one entity, collections, freshness, and what others see.

use crate::fixture::*;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use occi_backend::layers::{Call, Layer, Layered};
use occi_backend::{Backend, BackendError, Context, ErrorKind, Outcome, Verb, names};
use occi_backend_memory::Config;
use occi_engine::{
    Caller, EngineConfig, EventFilter, FailureKind, Found, Freshness, Page, Selection, Shown, Stamp, Where,
};
use occi_model::{Attributes, Entity, EntityDraft, MixinDraft, Value, core};
use occi_store::{Audit, Change, Commit, EntityRow, Project, Quota, Store, Usage, Way, Write};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

fn fresh() -> Caller {
    Caller {
        freshness: Freshness::Now,
        ..caller()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_63_what_belongs_to_others_is_not_there() {
    let on = Fixture::local().await;
    let made = on.compute().await;
    refused(on.engine.retrieve(&blue(), &made.location).await, FailureKind::NotFound);
    refused(
        on.engine.delete(&blue(), &made.location, &NONE).await,
        FailureKind::NotFound,
    );
    assert_eq!(on.paths(&blue(), &Where::Unbound("/".into())).await.unwrap(), [""; 0]);
    let on_path = on.paths(&caller(), &at(&names::COMPUTE)).await.unwrap();
    assert_eq!(on_path, [made.location.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn core_30_base_kinds_list_descendants() {
    let on = Fixture::local().await;
    let compute = on.compute().await;
    let all = |id: &str| Where::Kind(id.parse().unwrap());
    let resources = on.paths(&caller(), &all(core::RESOURCE)).await.unwrap();
    assert_eq!(resources.len(), 2, "the compute and the default network: {resources:?}");
    let links_there = on.paths(&caller(), &all(core::LINK)).await.unwrap();
    assert_eq!(links_there, [links(&compute)[0].location.as_str()]);
    assert_eq!(on.paths(&caller(), &all(core::ENTITY)).await.unwrap().len(), 3);
    let os = Where::Mixin(names::OS_TPL.clone());
    assert_eq!(
        on.paths(&caller(), &os).await.unwrap(),
        [compute.location.as_str()],
        "through its template"
    );
    refused(
        on.paths(&caller(), &Where::Unbound("/nothing/".into())).await,
        FailureKind::NotFound,
    );
}

fn found<K>(shown: &Shown<K>) -> &Found {
    match shown {
        Shown::Found(found) => found,
        Shown::Known { .. } => panic!("nothing was known"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_56_listings_come_in_pages() {
    let on = Fixture::local().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(on.made(storage()).await.location.clone());
    }
    let page = async |page: u64, number: u32| {
        let listing = on
            .engine
            .list(
                &caller(),
                &at(&names::STORAGE),
                &Selection::default(),
                Some(Page { page, number }),
                |_| None::<()>,
            )
            .await?;
        let more = listing.head.more;
        let entities: Vec<_> = listing.entities.try_collect().await?;
        let paths: Vec<_> = entities
            .iter()
            .map(|shown| found(shown).entity.location.clone())
            .collect();
        Ok::<_, occi_engine::EngineError>((paths, more))
    };
    assert_eq!(page(1, 2).await.unwrap(), (made[..2].to_vec(), true));
    assert_eq!(page(3, 2).await.unwrap(), (made[4..].to_vec(), false));
    assert_eq!(page(4, 2).await.unwrap(), (vec![], false));
    refused(page(1, 1001).await, FailureKind::TooLarge);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_52_filters_narrow_a_collection() {
    let on = Fixture::local().await;
    let compute = on.compute().await;
    on.made(storage()).await;
    let select = async |at: Where, selection: Selection| {
        let listing = on.engine.list_paths(&caller(), &at, &selection, None).await?;
        listing.paths.try_concat().await
    };
    let root = || Where::Unbound("/".into());
    let of = |categories: Vec<occi_model::TypeId>| Selection {
        categories,
        ..Selection::default()
    };
    let computes = of(vec![names::COMPUTE.clone()]);
    assert_eq!(
        select(root(), computes.clone()).await.unwrap(),
        [compute.location.as_str()]
    );
    assert_eq!(
        select(at(&names::COMPUTE), computes).await.unwrap(),
        [compute.location.as_str()]
    );
    let both = of(vec![names::COMPUTE.clone(), names::STORAGE.clone()]);
    assert_eq!(select(root(), both).await.unwrap(), [""; 0]);
    let templated = of(vec![names::OS_TPL.clone()]);
    assert_eq!(select(root(), templated).await.unwrap(), [compute.location.as_str()]);
    let unknown = of(vec!["http://example.com/#nothing".parse().unwrap()]);
    refused(select(root(), unknown).await, FailureKind::NotFound);
    let by_value = Selection {
        attributes: vec![("occi.compute.memory".into(), Value::Integer(1))],
        ..Selection::default()
    };
    assert_eq!(
        select(root(), by_value).await.unwrap(),
        [compute.location.as_str()],
        "1 is 1.0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_powers_itself_off_is_seen_within_a_second() {
    let on = Fixture::local().await;
    let made = on.compute().await;
    let before = on.get(&made.location).await.unwrap().generation;
    on.control.power_off(PROJECT, made.id.as_str());
    for _ in 0..100 {
        if state(&on.seen(&made.location).await) == "inactive" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after = on.get(&made.location).await.unwrap();
    assert_eq!(state(&after.entity), "inactive");
    assert!(after.generation > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_during_an_attempt_that_was_put_back_is_seen_in_the_end() {
    // The engine is so slow that it tells of the interface before the attempt is over.
    let slow = Config {
        latency_ms: 30,
        ..Config::local()
    };
    let on = Fixture::new(slow, EngineConfig::default()).await;
    let network = on.made(network()).await;
    let linked = with_links(compute(), vec![link(&names::NETWORKINTERFACE, &network.location)]);
    // The compute and its interface are made, and nobody can bring the compute up.
    on.control
        .fail_after(2, CREATE, ErrorKind::RateLimited, Outcome::Nothing);
    on.control.fail_next(CREATE, ErrorKind::Invalid, Outcome::Nothing);
    let made = on.create_as(&soon(), linked).await.unwrap().entities.remove(0);
    on.settled().await;
    assert_eq!(on.last_operation().await.row.attempt, 2);
    let path = &links(&made)[0].location;
    for _ in 0..500 {
        if !shown(&on.seen(path).await, "occi.networkinterface.mac").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_ne!(shown(&on.seen(path).await, "occi.networkinterface.mac"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_behind_our_back_is_found_and_what_vanished_goes() {
    for memory in [Config::local(), Config::remote()] {
        let on = Fixture::new(memory, EngineConfig::default()).await;
        let mut attributes = Attributes::new();
        attributes.set(names::attribute("occi.storage.size"), 3.0);
        let native = on.control.make_behind_our_back(PROJECT, &names::STORAGE, attributes);
        let mut found = Vec::new();
        for _ in 0..40 {
            let listing = on
                .engine
                .list_paths(&fresh(), &at(&names::STORAGE), &Selection::default(), None)
                .await
                .unwrap();
            found = listing.paths.try_concat().await.unwrap();
            if !found.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(found, [format!("/storage/{native}")]);
        let seen = on.seen(&found[0]).await;
        assert_eq!(shown(&seen, "occi.storage.size"), "3.0");
        assert_eq!(state(&seen), "online");
        on.act(&found[0], "offline").await.unwrap();
        assert_eq!(state(&on.seen(&found[0]).await), "offline");
        on.control.remove_behind_our_back(PROJECT, &names::STORAGE, &native);
        for _ in 0..60 {
            if on.engine.retrieve(&fresh(), &found[0]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        refused(on.get(&found[0]).await, FailureKind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_id_is_an_alias() {
    let on = Fixture::remote().await;
    let made = on.compute().await;
    let row = occi_store::Store::entity(&*on.store, &made.id).await.unwrap().unwrap();
    let native = row.native_id.unwrap();
    assert_ne!(native, made.id.as_str());
    let seen = on.seen(&format!("/compute/{native}")).await;
    assert_eq!(seen.location, made.location);
    assert_eq!(shown(&seen, "occid.native.id"), native);
    refused(
        on.engine.retrieve(&blue(), &format!("/compute/{native}")).await,
        FailureKind::NotFound,
    );
}

/// What was shown so far, by stamp.
#[derive(Clone, Default)]
struct Remembered(Arc<Mutex<HashMap<Stamp, Arc<Entity>>>>);

impl Remembered {
    /// The computes of a listing, and the paths of those that were read for it.
    async fn list(&self, on: &Fixture, caller: &Caller) -> (Vec<Arc<Entity>>, Vec<String>) {
        let known = {
            let remembered = self.0.clone();
            move |stamp| remembered.lock().unwrap().get(&stamp).cloned()
        };
        let (kind, all) = (at(&names::COMPUTE), Selection::default());
        let listing = on.engine.list(caller, &kind, &all, None, known).await.unwrap();
        let shown: Vec<_> = listing.entities.try_collect().await.unwrap();
        let (mut all, mut read) = (Vec::new(), Vec::new());
        for shown in shown {
            all.push(match shown {
                Shown::Known { known, is_link } => {
                    assert!(!is_link);
                    known
                }
                Shown::Found(found) => {
                    read.push(found.entity.location.clone());
                    self.0.lock().unwrap().insert(found.stamp(), found.entity.clone());
                    found.entity
                }
            });
        }
        (all, read)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_reads_what_has_changed_and_nothing_else() {
    let on = Fixture::local().await;
    let computes = [on.compute().await, on.compute().await, on.compute().await];
    let [first, second, third] = computes.each_ref().map(|compute| compute.location.as_str());
    let disk = on.made(storage()).await;
    on.settled().await;
    let remembered = Remembered::default();
    let all = [first, second, third].map(str::to_owned);
    assert_eq!(remembered.list(&on, &caller()).await.1, all);
    // Lists, and expects that these were read; then that nothing is left to be read.
    let reads = async |paths: &[&str]| {
        on.settled().await;
        let (shown, read) = remembered.list(&on, &caller()).await;
        assert_eq!(read, paths);
        for entity in &shown {
            assert_eq!(*entity, on.seen(&entity.location).await);
        }
        assert_eq!(remembered.list(&on, &caller()).await, (shown, Vec::new()));
    };
    reads(&[]).await;
    on.act(second, "stop").await.unwrap();
    reads(&[second]).await;
    let title = EntityDraft {
        kind: None,
        ..draft(&names::COMPUTE, &[("occi.core.title", "new")])
    };
    on.engine.update(&done(), third, title, &NONE).await.unwrap();
    reads(&[third]).await;
    let link = on.made(between(&names::STORAGELINK, first, &disk.location)).await;
    reads(&[first]).await;
    on.delete(&link.location).await.unwrap();
    reads(&[first]).await;
    let tag = MixinDraft {
        id: "http://example.com/tags#tag".parse().unwrap(),
        title: None,
        depends: Vec::new(),
        location: Some("/tags/tag/".into()),
        has_capabilities: false,
    };
    on.engine.add_mixins(&caller(), vec![tag.clone()]).await.unwrap();
    reads(&[]).await;
    let both = vec![first.to_owned(), third.to_owned()];
    on.engine.associate(&caller(), &tag.id, both).await.unwrap();
    reads(&[first, third]).await;
    on.engine.remove_mixins(&caller(), vec![tag.id]).await.unwrap();
    reads(&[first, third]).await;
    on.delete(second).await.unwrap();
    reads(&[]).await;
    // An engine that is down takes nothing away from what is known, and the listing says so.
    on.control.set_down(true);
    refused(on.create(storage()).await, FailureKind::Unavailable);
    let (asking, kind, everything) = (caller(), at(&names::COMPUTE), Selection::default());
    let listing = on.engine.list(&asking, &kind, &everything, None, |_| Some(()));
    assert!(listing.await.unwrap().head.stale.is_some());
    assert_eq!(remembered.list(&on, &blue()).await.0, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_with_the_id_of_another_is_not_taken_for_it() {
    let on = Fixture::local().await;
    let made = on.compute().await;
    on.settled().await;
    let row = on.store.entity(&made.id).await.unwrap().unwrap();
    let again = |row: EntityRow| Commit {
        writes: vec![
            Write::RemoveEntity(row.id.clone()),
            Write::InsertEntity {
                row: Box::new(row),
                usage: Usage::default(),
            },
        ],
        ..Commit::default()
    };
    let remembered = Remembered::default();
    for title in ["before", "after"] {
        let mut row = row.clone();
        row.attributes.set("occi.core.title".parse().unwrap(), title);
        on.store.commit(again(row)).await.unwrap();
        let (all, read) = remembered.list(&on, &caller()).await;
        assert_eq!(read, [made.location.as_str()]);
        assert_eq!(shown(&all[0], "occi.core.title"), title);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_entity_is_known_until_it_changes() {
    let on = Fixture::local().await;
    let made = on.compute().await;
    on.settled().await;
    let peek = || on.engine.peek(&caller(), &made.location);
    on.get(&made.location).await.unwrap();
    assert_eq!(peek(), None, "once is not often");
    let generation = on.get(&made.location).await.unwrap().generation;
    assert_eq!(peek().map(|stamp| stamp.generation), Some(generation));
    assert_eq!(on.engine.peek(&blue(), &made.location), None);
    let storage = on.made(storage()).await;
    on.made(between(&names::STORAGELINK, &made.location, &storage.location))
        .await;
    assert_eq!(peek(), None, "its links changed");
    on.get(&made.location).await.unwrap();
    assert!(peek().is_some());
    on.act(&made.location, "stop").await.unwrap();
    assert_eq!(peek(), None);
    on.delete(&made.location).await.unwrap();
    assert_eq!(peek(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_leaves_nothing_half_done() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    for n in 0..60_u64 {
        while on.engine.peek(&caller(), &path).is_none() {
            on.seen(&path).await;
        }
        let title = EntityDraft {
            kind: None,
            ..draft(&names::COMPUTE, &[("occi.core.title", &format!("title {n}"))])
        };
        let caller = caller();
        let update = on.engine.update(&caller, &path, title, &NONE);
        let _ = tokio::time::timeout(Duration::from_micros(n * 50), update).await;
        // What is remembered may be a write behind for a moment, not for longer.
        for patience in (0..100).rev() {
            let Some(stamp) = on.engine.peek(&caller, &path) else {
                break;
            };
            let row = on.store.entity_at(&path).await.unwrap().unwrap();
            if stamp.generation == row.generation {
                break;
            }
            assert!(
                patience > 0,
                "after {n}: {} is shown for {}",
                stamp.generation,
                row.generation
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    for n in 0..20_u64 {
        let caller = soon();
        let _ = tokio::time::timeout(Duration::from_micros(n * 50), on.create_as(&caller, storage())).await;
    }
    on.settled().await;
    for operation in on.store.operations(&Default::default()).await.unwrap() {
        assert_eq!(operation.attempt, 1, "nobody waits for a lease to end: {operation:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_in_one_place_only() {
    let on = Fixture::local().await;
    // More than a page.
    let drafts = vec![storage(); 501];
    let made = on.engine.create(&done(), &Where::Unbound("/".into()), drafts).await;
    let made = made.unwrap().entities;
    on.settled().await;
    assert_eq!(on.engine.check().await.unwrap(), [""; 0]);
    let renamed = [&made[0], &made[500]];
    let writes = renamed.map(|entity| Write::UpdateEntity {
        id: entity.id.clone(),
        change: Box::new(Change {
            native_id: Some(Some(format!("not-{}", entity.id))),
            ..Change::default()
        }),
        usage: None,
    });
    let commit = Commit {
        writes: writes.into(),
        ..Commit::default()
    };
    on.store.commit(commit).await.unwrap();
    let findings = on.engine.check().await.unwrap();
    for entity in renamed {
        let about = findings.iter().filter(|finding| finding.contains(entity.id.as_str()));
        let about: Vec<_> = about.collect();
        let [row, native] = about.as_slice() else {
            panic!("{findings:?}")
        };
        assert!(row.contains("any more") && native.contains("nobody knows"), "{about:?}");
    }
    assert_eq!(findings.len(), 4, "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_in_projects_that_nobody_knows() {
    let on = Fixture::local().await;
    on.compute().await;
    assert_eq!(on.engine.check().await.unwrap(), [""; 0]);
    let storage = &names::STORAGE;
    let id = on.control.make_behind_our_back("green", storage, Attributes::new());
    let findings = on.engine.check().await.unwrap();
    let [finding] = findings.as_slice() else {
        panic!("{findings:?}");
    };
    for word in [id.as_str(), "storage", "\"green\"", "\"memory\""] {
        assert!(finding.contains(word), "{finding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_of_which_an_engine_still_has_something_stays_and_shows_it() {
    let on = Fixture::local().await;
    let storage = &names::STORAGE;
    let green = Write::InsertProject(Project {
        name: "green".to_owned(),
        quota: Quota::default(),
        created_ms: 0,
    });
    let commit = Commit {
        writes: vec![green],
        ..Commit::default()
    };
    on.store.commit(commit).await.unwrap();
    let audit = || Audit {
        id: Uuid::now_v7(),
        at_ms: 0,
        principal: "admin".to_owned(),
        project: None,
        verb: "remove".to_owned(),
        path: "/projects/green".to_owned(),
        outcome: "accepted".to_owned(),
        detail: String::new(),
        request: String::new(),
    };
    let id = on.control.make_behind_our_back("green", storage, Attributes::new());
    let refusal = on.engine.remove_project("green", audit()).await.unwrap_err();
    assert_eq!(refusal.kind, FailureKind::Conflict, "{refusal:?}");
    assert!(refusal.message.contains("1 of kind storage"), "{refusal:?}");
    on.control.remove_behind_our_back("green", storage, &id);
    let gone = async || on.engine.remove_project("green", audit()).await.is_ok();
    for _ in 0..60 {
        if gone().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the project is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_few_of_many_events_is_told_the_last_ones_and_how_far_was_looked() {
    let on = Fixture::local().await;
    on.compute().await;
    on.settled().await;
    let all = EventFilter::default();
    let told = async |way: Way, number: u32| {
        let told = on.engine.events(&caller(), &all, way, number).await.unwrap();
        let numbers: Vec<_> = told.events.iter().map(|event| event.number).collect();
        (numbers, told.reached)
    };
    let newest = Way::Before(i64::MAX);
    let (own, _) = told(newest, 100).await;
    let last = own[own.len() - 1];
    let others = |count: usize| Commit {
        writes: (0..count).map(|_| Write::ModelChanged(Some("blue".into()))).collect(),
        ..Commit::default()
    };
    on.store.commit(others(25_000)).await.unwrap();
    on.made(storage()).await;
    on.settled().await;
    let (both, _) = told(newest, 100).await;
    let end = both[both.len() - 1];
    assert_eq!(both[..own.len()], own);
    assert!(both[own.len()] > last + 25_000);
    assert_eq!(told(newest, 1).await, (vec![end], end));
    assert_eq!(
        told(Way::After(last), 100).await,
        (both[own.len()..].to_vec(), end),
        "no page is empty for what others do"
    );
    on.store.commit(others(110_000)).await.unwrap();
    assert_eq!(
        told(newest, 100).await,
        (vec![], end + 10_001),
        "nor does one request look at everything"
    );
    assert_eq!(told(Way::Before(end + 10_001), 100).await.0, both);
    assert_eq!(told(Way::After(end), 100).await, (vec![], end + 100_000));
}

/// Counts the listings of volumes, and holds them while it is shut.
#[derive(Clone, Default)]
struct Gate {
    is_shut: Arc<AtomicBool>,
    /// What comes out of a listing that it has held is a failure.
    is_lost: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Layer for Gate {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> occi_backend::Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, occi_backend::Result<T>> + Send + Sync + 'a,
    {
        if call.verb != Verb::List || call.kind != Some(&*names::STORAGE) {
            return send(None).await;
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        while self.is_shut.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        match self.is_lost.load(Ordering::SeqCst) {
            true => Err(BackendError::new(ErrorKind::Unavailable, "it says nothing")),
            false => send(None).await,
        }
    }
}

impl Gate {
    /// An engine behind it that has listed everything at its start, and may be listed again.
    async fn rise(&self, ground: &Ground) -> Fixture {
        let layers = |memory| -> Arc<dyn Backend> { Arc::new(Layered::new(memory, self.clone())) };
        let on = ground.rise_with(EngineConfig::default(), layers).await;
        // In both projects.
        self.asked(2).await;
        tokio::time::sleep(A_SECOND).await;
        self.asked.store(0, Ordering::SeqCst);
        on
    }

    /// Waits until the engine was asked for so many listings.
    async fn asked(&self, times: usize) {
        while self.asked.load(Ordering::SeqCst) < times {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn shut(&self, is_shut: bool) {
        self.is_shut.store(is_shut, Ordering::SeqCst);
    }
}

/// A scope is listed at most once in less.
const A_SECOND: Duration = Duration::from_millis(1001);

#[tokio::test(flavor = "multi_thread")]
async fn readers_who_wait_for_an_engine_that_fails_share_its_failure() {
    let (gate, ground) = (Gate::default(), Ground::new(Config::local()));
    let on = gate.rise(&ground).await;
    let (fresh, disks) = (fresh(), at(&names::STORAGE));
    gate.shut(true);
    gate.is_lost.store(true, Ordering::SeqCst);
    let readers = futures::future::try_join_all((0..10).map(|_| on.paths(&fresh, &disks)));
    let meanwhile = async {
        gate.asked(1).await;
        tokio::time::sleep(A_SECOND).await;
        gate.shut(false);
    };
    tokio::join!(readers, meanwhile).0.unwrap();
    // The first one asks, and those who wait for that ask together.
    let asked = gate.asked.load(Ordering::SeqCst);
    assert!((1..=2).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_goes_takes_nothing_from_those_who_wait() {
    let (gate, ground) = (Gate::default(), Ground::new(Config::local()));
    let on = gate.rise(&ground).await;
    let (fresh, disks) = (fresh(), at(&names::STORAGE));
    on.control
        .make_behind_our_back(PROJECT, &names::STORAGE, Attributes::new());
    gate.shut(true);
    tokio::select! {
        _ = on.paths(&fresh, &disks) => panic!("it is not listed yet"),
        () = gate.asked(1) => {}
    }
    let opened = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.shut(false);
    };
    let (seen, ()) = tokio::join!(on.paths(&fresh, &disks), opened);
    assert_eq!(seen.unwrap().len(), 1, "it was there before both asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_has_lost_events_is_listed_anew() {
    let on = Fixture::local().await;
    let disks = at(&names::STORAGE);
    // So this was listed less than a second ago.
    on.paths(&fresh(), &disks).await.unwrap();
    on.control
        .make_behind_our_back(PROJECT, &names::STORAGE, Attributes::new());
    on.control.lose_events();
    for _ in 0..100 {
        if !on.paths(&caller(), &disks).await.unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody looked");
}
