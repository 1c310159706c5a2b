//! Partial update and replacement.

use crate::fixture::*;
use futures::future::BoxFuture;
use occi_backend::layers::{Call, Layer, Layered};
use occi_backend::{Backend, BackendError, Context, ErrorKind, Outcome, Verb, names};
use occi_backend_memory::Config;
use occi_engine::{Done, EngineConfig, EngineError, FailureKind, Precondition};
use occi_model::{EntityDraft, Input, MixinDraft, TypeId};
use occi_store::{Commit, Limits, OperationQuery, OperationRow, OperationState, OverQuota, Store, Usage, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

fn part(attributes: &[(&str, &str)]) -> EntityDraft {
    EntityDraft {
        kind: None,
        ..draft(&names::COMPUTE, attributes)
    }
}

fn profile(term: &str) -> TypeId {
    TypeId::new(occi_model::templates::PROFILE_SCHEME, term).unwrap()
}

impl Fixture {
    async fn update(&self, path: &str, draft: EntityDraft) -> Result<Done, EngineError> {
        self.engine.update(&done(), path, draft, &NONE).await
    }
    async fn replace(&self, path: &str, draft: EntityDraft) -> Result<Done, EngineError> {
        self.engine.replace(&done(), path, draft, &NONE).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_22_an_update_changes_what_it_names() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    let done = on
        .update(
            &path,
            part(&[("occi.core.title", "web"), ("occi.compute.memory", "2.5")]),
        )
        .await
        .unwrap();
    let seen = done.found.unwrap().entity;
    assert_eq!(shown(&seen, "occi.core.title"), "web");
    assert_eq!(shown(&seen, "occi.compute.memory"), "2.5");
    assert_eq!(shown(&seen, "occi.compute.hostname"), "vm");
    assert_eq!((state(&seen), message(&seen)), ("active".into(), String::new()));
    refused(
        on.update(&path, part(&[("occi.compute.state", "error")])).await,
        FailureKind::Forbidden,
    );
    refused(
        on.update(&path, part(&[("occi.compute.cores", "none")])).await,
        FailureKind::Invalid,
    );
    refused(
        on.update(&path, part(&[("com.example.x", "1")])).await,
        FailureKind::Invalid,
    );
    let before = on.get(&path).await.unwrap().generation;
    on.update(&path, part(&[("occi.core.title", "web")])).await.unwrap();
    assert_eq!(on.get(&path).await.unwrap().generation, before, "nothing changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_needs_a_state_in_which_the_engine_can_do_it() {
    let on = Fixture::remote().await;
    let path = on.compute().await.location.clone();
    refused(
        on.update(&path, part(&[("occi.compute.cores", "2")])).await,
        FailureKind::Conflict,
    );
    on.act(&path, "stop").await.unwrap();
    on.update(&path, part(&[("occi.compute.cores", "2")])).await.unwrap();
    let seen = on.seen(&path).await;
    assert_eq!(shown(&seen, "occi.compute.cores"), "2");
    // Nobody declared that the architecture can change, or that a key reaches a machine that exists.
    refused(
        on.update(&path, part(&[("occi.compute.architecture", "x86")])).await,
        FailureKind::Unsupported,
    );
    let mut key = part(&[]);
    key.mixins.push(names::SSH_KEY.clone());
    key.attributes.push((
        names::attribute("occi.credentials.ssh.publickey"),
        Input::Quoted("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB".into()),
    ));
    refused(on.update(&path, key).await, FailureKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn infra_22_a_new_size_replaces_the_old_one() {
    let on = Fixture::local().await;
    let mut small = compute();
    small.mixins.push(profile("small"));
    let path = on.made(small).await.location.clone();
    let mut larger = part(&[]);
    larger.mixins.push(profile("large"));
    let seen = on.update(&path, larger).await.unwrap().found.unwrap().entity;
    assert_eq!(shown(&seen, "occi.compute.cores"), "4");
    assert_eq!(shown(&seen, "occi.compute.memory"), "4.0");
    assert_eq!(shown(&seen, "occi.compute.ephemeral_storage.size"), "40.0");
    assert_eq!(shown(&seen, "occi.compute.ephemeral_storage.deviceid"), "/dev/vdb");
    assert!(seen.mixins.contains(&profile("large")) && !seen.mixins.contains(&profile("small")));

    // A cloud has sizes of its own, without such a disk.
    let on = Fixture::remote().await;
    let mut small = compute();
    small.mixins.push(profile("small"));
    let path = on.made(small).await.location.clone();
    assert_eq!(
        shown(&on.seen(&path).await, "occi.compute.ephemeral_storage.size"),
        "10.0"
    );
    on.act_with(&path, "stop", "poweroff").await.unwrap();
    let model = on.engine.model(&caller()).await.unwrap();
    let is_own =
        |id: &TypeId| id.scheme().starts_with("http://occid.local/") && id.scheme().ends_with("/resource_tpl#");
    let own = model.registry.mixins().iter().find(|mixin| is_own(&mixin.id));
    let mut another = part(&[]);
    another.mixins.push(own.unwrap().id.clone());
    let seen = on.update(&path, another).await.unwrap().found.unwrap().entity;
    for gone in ["size", "deviceid"] {
        assert_eq!(shown(&seen, &format!("occi.compute.ephemeral_storage.{gone}")), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_81_a_replacement_by_kind_and_title_keeps_templates_and_sizes() {
    let on = Fixture::local().await;
    let mut medium = compute();
    medium.mixins.push(profile("medium"));
    medium
        .attributes
        .push((names::attribute("occi.core.summary"), Input::Quoted("gone".into())));
    let made = on.made(medium).await;
    let put = || draft(&names::COMPUTE, &[("occi.core.title", "new")]);
    let seen = on.replace(&made.location, put()).await.unwrap().found.unwrap().entity;
    assert_eq!(shown(&seen, "occi.core.title"), "new");
    assert_eq!(shown(&seen, "occi.core.summary"), "");
    assert_eq!(shown(&seen, "occi.compute.cores"), "2");
    assert_eq!(shown(&seen, "occi.compute.hostname"), "vm", "the engine's");
    assert_eq!(seen.mixins, made.mixins);
    assert_eq!(links(&seen).len(), 1);
    let before = on.get(&made.location).await.unwrap().generation;
    on.replace(&made.location, put()).await.unwrap();
    assert_eq!(
        on.get(&made.location).await.unwrap().generation,
        before,
        "the same again changes nothing"
    );
    let mut linked = put();
    linked.links.push(link(&names::NETWORKINTERFACE, "/network/else"));
    refused(on.replace(&made.location, linked).await, FailureKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn infra_14_a_storage_is_resized_through_its_attribute() {
    let on = Fixture::local().await;
    let path = on.made(storage()).await.location.clone();
    on.update(&path, part(&[("occi.storage.size", "5")])).await.unwrap();
    assert_eq!(shown(&on.seen(&path).await, "occi.storage.size"), "5.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_half_passes_while_an_operation_is_running() {
    let memory = Config {
        work_ms: 300,
        lost_answer_rate: 0.0,
        lost_request_rate: 0.0,
        ..Config::remote()
    };
    let on = Fixture::new(memory, EngineConfig::default()).await;
    let path = on.compute().await.location.clone();
    let stop = on
        .engine
        .act(&soon(), &path, call_by("stop", "poweroff"), &NONE)
        .await
        .unwrap();
    on.update(&path, part(&[("occi.core.title", "while it stops")]))
        .await
        .unwrap();
    let error = refused(
        on.update(&path, part(&[("occi.compute.cores", "2")])).await,
        FailureKind::Conflict,
    );
    assert_eq!(error.operation, stop.operation);
    on.settled().await;
    let seen = on.seen(&path).await;
    assert_eq!(
        (state(&seen), shown(&seen, "occi.core.title")),
        ("inactive".into(), "while it stops".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_engine_refuses_is_not_seen_in_part() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    on.control
        .fail_next(Verb::Update, ErrorKind::CapacityExhausted, Outcome::Nothing);
    let both = part(&[("occi.core.title", "big"), ("occi.compute.memory", "64")]);
    refused(on.update(&path, both).await, FailureKind::Unavailable);
    let seen = on.seen(&path).await;
    assert_eq!(shown(&seen, "occi.core.title"), "");
    assert_eq!(shown(&seen, "occi.compute.memory"), "1.0");
    assert!(message(&seen).contains("update failed"), "{}", message(&seen));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resize_counts_against_the_quota() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    let limits = Write::SetQuota {
        project: PROJECT.into(),
        limits: Limits {
            cores: Some(Some(4)),
            ..Limits::default()
        },
    };
    let commit = Commit {
        writes: vec![limits],
        ..Commit::default()
    };
    on.store.commit(commit).await.unwrap();
    let cores = |n: &str| part(&[("occi.compute.cores", n)]);
    refused(on.update(&path, cores("5")).await, FailureKind::QuotaExceeded);
    on.update(&path, cores("4")).await.unwrap();
    on.control.fail_next(Verb::Update, ErrorKind::Invalid, Outcome::Nothing);
    refused(on.update(&path, cores("3")).await, FailureKind::Invalid);
    assert_eq!(on.store.usage(PROJECT).await.unwrap().cores, 4);
    on.update(&path, cores("2")).await.unwrap();
    assert_eq!(on.store.usage(PROJECT).await.unwrap().cores, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_nothing_is_done_though_an_engine_gave_more_than_the_quota() {
    let on = Fixture::local().await;
    let made = on.compute().await;
    let path = made.location.clone();
    // Half of what it has was asked for.
    let used = on.store.usage(PROJECT).await.unwrap();
    let asked = Usage {
        memory_mib: used.memory_mib / 2,
        ..used
    };
    let limits = Write::SetQuota {
        project: PROJECT.into(),
        limits: Limits {
            memory_mib: Some(Some(asked.memory_mib)),
            ..Limits::default()
        },
    };
    let commit = Commit {
        writes: vec![
            limits,
            Write::UpdateEntity {
                id: made.id.clone(),
                change: Box::default(),
                usage: Some((asked, OverQuota::Count)),
            },
        ],
        ..Commit::default()
    };
    on.store.commit(commit).await.unwrap();
    let title = part(&[("occi.core.title", "t")]);
    on.update(&path, title).await.unwrap();
    on.act(&path, "stop").await.unwrap();
    on.act(&path, "start").await.unwrap();
    assert_eq!(on.store.usage(PROJECT).await.unwrap(), used);
    let more = part(&[("occi.compute.memory", "64")]);
    refused(on.update(&path, more).await, FailureKind::QuotaExceeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_comes_with_an_update() {
    let on = Fixture::local().await;
    let storage = on.made(storage()).await;
    let path = on.compute().await.location.clone();
    let mut more = part(&[("occi.core.title", "with a disk")]);
    more.links.push(link(&names::STORAGELINK, &storage.location));
    let seen = on.update(&path, more).await.unwrap().found.unwrap().entity;
    assert_eq!(links(&seen).len(), 2);
    assert_eq!(shown(&seen, "occi.core.title"), "with a disk");
    assert_eq!(state(&links(&seen)[1]), "active");
    let mut nowhere = part(&[]);
    nowhere.links.push(link(&names::STORAGELINK, "/storage/nothing"));
    refused(on.update(&path, nowhere).await, FailureKind::Invalid);
    // The engine does not declare that it can attach a link elsewhere.
    let moved = EntityDraft {
        target: Some(on.made(self::storage()).await.location.clone()),
        ..EntityDraft::default()
    };
    refused(
        on.update(&links(&seen)[1].location, moved).await,
        FailureKind::Unsupported,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_and_what_the_engine_owns_change_in_one_request() {
    let on = Fixture::local().await;
    let storage = on.made(storage()).await;
    let path = on.compute().await.location.clone();
    on.act(&path, "stop").await.unwrap();
    let mut more = part(&[("occi.core.title", "with a disk"), ("occi.compute.cores", "2")]);
    more.links.push(link(&names::STORAGELINK, &storage.location));
    on.update(&path, more).await.unwrap();
    on.settled().await;
    let seen = on.seen(&path).await;
    assert_eq!(links(&seen).len(), 2);
    assert_eq!(shown(&seen, "occi.core.title"), "with a disk");
    assert_eq!(shown(&seen, "occi.compute.cores"), "2");
    on.act(&path, "start").await.unwrap();
    assert_eq!(on.engine.check().await.unwrap(), [""; 0]);
}

fn storage() -> EntityDraft {
    crate::fixture::storage()
}

#[tokio::test(flavor = "multi_thread")]
async fn http_69_if_match_guards_a_change() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    let generation = on.get(&path).await.unwrap().generation;
    let only = Precondition::Generations(vec![generation]);
    let title = || part(&[("occi.core.title", "a")]);
    on.engine.update(&done(), &path, title(), &only).await.unwrap();
    refused(
        on.engine.update(&done(), &path, title(), &only).await,
        FailureKind::PreconditionFailed,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn http_18_a_replacement_leaves_the_addresses_of_a_network() {
    let on = Fixture::remote().await;
    let mut addressed = draft(&names::NETWORK, &[]);
    addressed.mixins.push(names::IPNETWORK.clone());
    addressed.attributes.push((
        names::attribute("occi.network.address"),
        Input::Quoted("10.7.0.0/24".into()),
    ));
    let path = on.made(addressed).await.location.clone();
    let seen = on
        .replace(&path, draft(&names::NETWORK, &[("occi.core.title", "lan")]))
        .await
        .unwrap()
        .found
        .unwrap()
        .entity;
    assert_eq!(shown(&seen, "occi.core.title"), "lan");
    assert_eq!(shown(&seen, "occi.network.address"), "10.7.0.0/24");
    assert!(seen.mixins.contains(&names::IPNETWORK));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_is_not_promised_while_an_operation_may_change_it() {
    let (held, ground) = (Held::new(&[Verb::Act, Verb::Update]), Ground::new(Config::local()));
    let on = held.rise(&ground).await;
    let path = on.made(storage()).await.location.clone();
    let size = |kind: Option<TypeId>| EntityDraft {
        kind,
        ..draft(&names::STORAGE, &[("occi.storage.size", "2")])
    };
    let mut resize = call("resize");
    resize
        .parameters
        .push((names::attribute("size"), Input::Token("3".into())));
    let running = on.engine.act(&soon(), &path, resize, &NONE).await.unwrap().operation;
    let error = refused(on.update(&path, size(None)).await, FailureKind::Conflict);
    assert_eq!(error.operation, running);
    let whole = size(Some(names::STORAGE.clone()));
    let error = refused(on.replace(&path, whole).await, FailureKind::Conflict);
    assert_eq!(error.operation, running);
    on.update(&path, part(&[("occi.core.title", "mine")])).await.unwrap();
    held.let_one_go();
    on.settled().await;
    let seen = on.seen(&path).await;
    assert_eq!(
        (shown(&seen, "occi.storage.size"), shown(&seen, "occi.core.title")),
        ("3.0".into(), "mine".into())
    );

    let mut medium = compute();
    medium.mixins.push(profile("medium"));
    let path = on.made(medium).await.location.clone();
    let sized = |term: &str| EntityDraft {
        mixins: vec![profile(term)],
        ..part(&[])
    };
    let larger = on.engine.update(&soon(), &path, sized("large"), &NONE).await.unwrap();
    let error = refused(on.update(&path, sized("medium")).await, FailureKind::Conflict);
    assert_eq!(error.operation, larger.operation);
    let again = on
        .engine
        .associate(&done(), &profile("medium"), vec![path.clone()])
        .await;
    assert_eq!(refused(again, FailureKind::Conflict).operation, larger.operation);
    held.let_one_go();
    on.settled().await;
    assert!(on.seen(&path).await.mixins.contains(&profile("large")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_a_change_runs_outlasts_it() {
    let (held, ground) = (Held::new(&[Verb::Act, Verb::Update]), Ground::new(Config::local()));
    let on = held.rise(&ground).await;
    let tag = |term: &str| MixinDraft {
        id: format!("http://example.com/tags#{term}").parse().unwrap(),
        title: None,
        depends: Vec::new(),
        location: Some(format!("/tags/{term}/")),
        has_capabilities: false,
    };
    let [mine, coming, gone, theirs] = ["mine", "coming", "gone", "theirs"].map(tag);
    let all = [&mine, &coming, &gone, &theirs].map(Clone::clone);
    on.engine.add_mixins(&caller(), all.to_vec()).await.unwrap();
    let mut medium = compute();
    medium
        .mixins
        .extend([profile("medium"), gone.id.clone(), theirs.id.clone()]);
    let path = on.made(medium).await.location.clone();
    let mut larger = part(&[("occi.core.title", "larger")]);
    larger
        .mixins
        .extend([profile("large"), coming.id.clone(), mine.id.clone()]);
    let running = on.engine.update(&soon(), &path, larger, &NONE).await.unwrap().operation;
    // What another client writes meanwhile stays.
    let tagged = vec![path.clone()];
    on.engine.dissociate(&done(), &theirs.id, Some(tagged)).await.unwrap();
    on.engine
        .remove_mixins(&caller(), vec![gone.id.clone(), coming.id.clone()])
        .await
        .unwrap();
    on.engine.add_mixins(&caller(), vec![tag("late")]).await.unwrap();
    on.engine
        .associate(&done(), &tag("late").id, vec![path.clone()])
        .await
        .unwrap();
    on.update(&path, part(&[("occi.core.summary", "kept")])).await.unwrap();
    // What the change itself is to write is busy.
    for overwritten in [
        on.update(&path, part(&[("occi.core.title", "mine")])).await,
        on.replace(&path, draft(&names::COMPUTE, &[("occi.compute.hostname", "vm")]))
            .await,
    ] {
        assert_eq!(refused(overwritten, FailureKind::Conflict).operation, running);
    }
    let again = on.engine.associate(&done(), &mine.id, vec![path.clone()]).await;
    assert_eq!(refused(again, FailureKind::Conflict).operation, running);
    held.let_one_go();
    on.settled().await;
    let seen = on.seen(&path).await;
    let tags: Vec<_> = seen
        .mixins
        .iter()
        .filter(|id| id.scheme() == mine.id.scheme())
        .collect();
    assert_eq!(tags, [&tag("late").id, &mine.id]);
    assert!(seen.mixins.contains(&profile("large")) && !seen.mixins.contains(&profile("medium")));
    assert_eq!(
        (shown(&seen, "occi.core.title"), shown(&seen, "occi.core.summary")),
        ("larger".into(), "kept".into())
    );
}

/// Holds changes, and attachments that then fail, until a permit of the one or the other lets them go.
#[derive(Clone)]
struct Unattachable {
    changes: Held,
    attachments: Arc<Semaphore>,
}

impl Layer for Unattachable {
    async fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> occi_backend::Result<T>
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, occi_backend::Result<T>> + Send + Sync + 'a,
    {
        if call.verb == Verb::Create && call.kind == Some(&*names::STORAGELINK) {
            self.attachments.acquire().await.unwrap().forget();
            return Err(BackendError::new(ErrorKind::Invalid, "it does not fit into the slot"));
        }
        self.changes.around(call, send).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_fails_takes_along_what_its_request_has_made_and_nothing_else() {
    for change_ends_first in [true, false] {
        let ground = Ground::new(Config::local());
        let layer = Unattachable {
            changes: Held::new(&[Verb::Act, Verb::Update]),
            attachments: Arc::new(Semaphore::new(0)),
        };
        let layers = |memory| -> Arc<dyn Backend> { Arc::new(Layered::new(memory, layer.clone())) };
        let on = ground.rise_with(EngineConfig::default(), layers).await;
        let (disk, lan) = (on.made(storage()).await, on.made(network()).await);
        let path = on.compute().await.location.clone();
        layer.changes.let_one_go();
        on.act(&path, "stop").await.unwrap();
        let links_before = links(&*on.seen(&path).await).len();
        let succeeded = async |verb: &str, kind: &TypeId| {
            let is_it = |row: &OperationRow| {
                let path = row.path.as_deref().unwrap_or_default();
                let is_part = row.parent.is_some() && row.verb == verb;
                is_part && path.contains(kind.term()) && row.state == OperationState::Succeeded
            };
            let all = OperationQuery::default();
            while !on.store.operations(&all).await.unwrap().iter().any(is_it) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let mut more = part(&[("occi.compute.cores", "2")]);
        more.links = vec![
            link(&names::STORAGELINK, &disk.location),
            link(&names::NETWORKINTERFACE, &lan.location),
        ];
        let meanwhile = async {
            succeeded("create", &names::NETWORKINTERFACE).await;
            if change_ends_first {
                layer.changes.let_one_go();
                succeeded("update", &names::COMPUTE).await;
            }
            layer.attachments.add_permits(1);
        };
        let (updated, ()) = tokio::join!(on.update(&path, more), meanwhile);
        refused(updated, FailureKind::Invalid);
        layer.changes.let_one_go();
        on.settled().await;
        let seen = on.seen(&path).await;
        assert_eq!(shown(&seen, "occi.compute.cores"), "2");
        assert_eq!(links(&seen).len(), links_before, "{:?}", links(&seen));
        assert_eq!(on.control.count(PROJECT, &names::NETWORKINTERFACE), links_before);
        assert_eq!(state(&on.seen(&disk.location).await), "online");
    }
}
