//! The client against an `occid` with the memory engine.
//!
//! This program is `occid` itself when it is called by that name, so that there is nothing to find or to build first.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

mod server;

use futures::TryStreamExt;
use libtest_mimic::{Arguments, Trial};
use occi_client::{
    Answer, AttributeFilter, Builder, Client, Created, Credentials, Entity, EntityDraft, ErrorKind, EventsOf, Filter,
    Input, LinkDraft, Listing, MediaType, MixinDraft, Operator, Patience, TypeId, Until, Value, Write,
};
use server::Occid;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const COMPUTE: &str = "http://schemas.ogf.org/occi/infrastructure#compute";
const NETWORK: &str = "http://schemas.ogf.org/occi/infrastructure#network";

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == "occid") {
        return occi_server::cli::main();
    }
    let trials = vec![
        trial("a_machine_is_made_used_and_deleted_in_every_rendering", every_rendering),
        trial("a_listing_is_filtered_and_streamed", listings),
        trial("a_collection_is_acted_on_and_deleted_in_part", collections),
        trial("mixins_of_a_user_come_and_go", mixins),
        trial("what_was_learnt_is_kept_and_checked", saved),
        trial("refusals_have_kinds_and_hold_no_secret", refusals),
        trial("a_socket_does_as_well_as_a_port", socket),
        trial("a_repeated_create_makes_one_machine", idempotency),
        trial("news_come_when_something_happens", news),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    })
}

fn builder(occid: &Occid) -> Builder {
    Client::builder(occid.url.parse().unwrap()).credentials(Credentials::Basic {
        user: "admin".to_owned(),
        password: occid.password().into(),
    })
}

fn client(occid: &Occid) -> Client {
    builder(occid).build().unwrap()
}

fn id(text: &str) -> TypeId {
    text.parse().unwrap()
}

fn typed(name: &str, value: impl Into<Value>) -> (occi_client::AttributeName, Input) {
    (name.parse().unwrap(), Input::Typed(value.into()))
}

fn machine(title: &str) -> EntityDraft {
    EntityDraft {
        kind: Some(id(COMPUTE)),
        attributes: vec![typed("occi.core.title", title), typed("occi.compute.cores", 2)],
        ..EntityDraft::default()
    }
}

fn patience() -> Patience {
    let mut patience = Patience::default();
    patience.limit = Duration::from_secs(30);
    patience.first = Duration::from_millis(10);
    patience.most = Duration::from_millis(100);
    patience
}

async fn up(client: &Client, location: &str) -> Entity {
    client
        .wait_for(location, &Until::Up, &patience(), |_| {})
        .await
        .unwrap()
        .unwrap()
}

async fn make(client: &Client, draft: &EntityDraft) -> String {
    let Created { location, .. } = client.create(draft, &Write::default()).await.unwrap();
    let location = location.expect("it says where");
    up(client, &location).await;
    location
}

async fn every_rendering() {
    let occid = Occid::start();
    for media in [
        None,
        Some(MediaType::TextPlain),
        Some(MediaType::TextOcci),
        Some(MediaType::OcciJson),
    ] {
        let client = match media {
            Some(media) => builder(&occid).media(media),
            None => builder(&occid),
        };
        let client = client.build().unwrap();
        let model = client.model().await.unwrap();
        assert_eq!(client.dialect().media, media.unwrap_or(MediaType::OcciJson));
        assert!(client.dialect().is_occid);
        assert_eq!(model.kind("compute").unwrap().id, *COMPUTE);

        let network = EntityDraft {
            kind: Some(id(NETWORK)),
            attributes: vec![typed("occi.core.title", "lan")],
            ..EntityDraft::default()
        };
        let network = make(&client, &network).await;
        let mut draft = machine("a \"quoted\", title; ü");
        // Its kind follows from where it leads.
        draft.links.push(LinkDraft {
            entity: EntityDraft {
                target: Some(client.endpoint().url(&network)),
                ..EntityDraft::default()
            },
            own_location: None,
        });
        let location = make(&client, &draft).await;
        let shown = client.show(&location).await.unwrap();
        assert_eq!(shown.location, location);
        assert_eq!(shown.id, location.rsplit('/').next().unwrap());
        assert_eq!(shown.title(), Some("a \"quoted\", title; ü"));
        assert_eq!(shown.attribute("occi.compute.cores"), Some(&Value::Integer(2)));
        assert_eq!(shown.links.len(), 1);
        assert_eq!(shown.links[0].target.as_deref(), Some(network.as_str()));
        assert_eq!(shown.links[0].source.as_deref(), Some(location.as_str()));
        assert!(
            client
                .list("compute", &Listing::default())
                .await
                .unwrap()
                .contains(&location)
        );

        let method = ("method", Input::Typed("poweroff".into()));
        client
            .act(&location, "stop", &[method], &Write::default())
            .await
            .unwrap();
        let inactive = Until::State(vec!["inactive".to_owned()]);
        let mut seen = 0;
        client
            .wait_for(&location, &inactive, &patience(), |_| seen += 1)
            .await
            .unwrap();
        assert!(seen > 0);

        let shown = client.show(&location).await.unwrap();
        let mut guarded = Write::default();
        guarded.if_match = shown.etag.clone();
        let change = EntityDraft {
            attributes: vec![typed("occi.core.title", "renamed")],
            ..EntityDraft::default()
        };
        let changed = client.update(&location, &change, &guarded).await.unwrap();
        assert_eq!(changed.entity.unwrap().title(), Some("renamed"));
        let late = client.update(&location, &change, &guarded).await.unwrap_err();
        assert_eq!((late.kind(), late.status()), (ErrorKind::Conflict, Some(412)));

        for location in [&location, &network] {
            let mut write = Write::default();
            write.answer = Answer::Done(Duration::from_secs(20));
            client.delete(location, &write).await.unwrap();
            let gone = client
                .wait_for(location, &Until::Gone, &patience(), |_| {})
                .await
                .unwrap();
            assert!(gone.is_none());
        }
    }
}

async fn listings() {
    let occid = Occid::start();
    let client = client(&occid);
    for number in 0..7 {
        make(&client, &machine(&format!("m{number}"))).await;
    }
    let titled = |title: &str, operator| {
        Listing::of(Filter {
            categories: vec![id(COMPUTE)],
            attributes: vec![AttributeFilter {
                name: "occi.core.title".parse().unwrap(),
                value: Input::Quoted(title.to_owned()),
                operator,
            }],
        })
    };
    let text = builder(&occid).media(MediaType::TextPlain).build().unwrap();
    for client in [&client, &text] {
        let all: Vec<Entity> = client
            .entities("/", &Listing::default())
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        let places: Vec<_> = all.iter().map(|entity| entity.location.as_str()).collect();
        let machines = places.iter().filter(|place| place.starts_with("/compute/"));
        assert_eq!(machines.count(), 7, "{places:?}");
        assert!(
            places.iter().any(|place| place.starts_with("/networkinterface/")),
            "{places:?}"
        );
        for (listing, count) in [
            (titled("m3", Operator::Equal), 1),
            (titled("m", Operator::Contains), 7),
            (titled("nobody", Operator::Equal), 0),
        ] {
            assert_eq!(client.list("compute", &listing).await.unwrap().len(), count);
            let full: Vec<Entity> = client
                .entities("compute", &listing)
                .await
                .unwrap()
                .try_collect()
                .await
                .unwrap();
            assert_eq!(full.len(), count);
        }
        let mut page = Listing::default();
        page.page = Some((2, 5));
        assert_eq!(client.list("/compute/", &page).await.unwrap().len(), 2);
    }
}

async fn collections() {
    let occid = Occid::start();
    let client = client(&occid);
    let first = make(&client, &machine("one")).await;
    let second = make(&client, &machine("two")).await;
    let third = make(&client, &machine("three")).await;
    let only = |title: &str| Filter {
        categories: Vec::new(),
        attributes: vec![AttributeFilter {
            name: "occi.core.title".parse().unwrap(),
            value: Input::Quoted(title.to_owned()),
            operator: Operator::Equal,
        }],
    };
    let mut done = Write::default();
    done.answer = Answer::Done(Duration::from_secs(20));
    client
        .act_on_collection("compute", &only("two"), "stop", &[], &done)
        .await
        .unwrap();
    let model = client.model().await.unwrap();
    let state = async |location: &str| {
        let entity = client.show(location).await.unwrap();
        entity.state(&model).unwrap().word.to_owned()
    };
    assert_eq!(
        (state(&first).await, state(&second).await),
        ("active".to_owned(), "inactive".to_owned())
    );
    client
        .delete_several("compute", std::slice::from_ref(&first), &done)
        .await
        .unwrap();
    client.delete_collection("compute", &only("two"), &done).await.unwrap();
    assert_eq!(client.list("compute", &Listing::default()).await.unwrap(), [third]);
    client
        .delete_collection("compute", &Filter::default(), &done)
        .await
        .unwrap();
    assert!(client.list("compute", &Listing::default()).await.unwrap().is_empty());

    let mut write = Write::default();
    write.answer = Answer::Early;
    let created = client.create(&machine("early"), &write).await.unwrap();
    let operation = created.operation.expect("what goes on has a name");
    let ended = client
        .wait_for_operation(&operation, &patience(), |_| {})
        .await
        .unwrap();
    assert_eq!(ended.verb, "create");
    assert!(ended.created.is_some() && ended.created <= ended.finished, "{ended:?}");
    let location = ended.entity.unwrap();
    assert_eq!(client.show(&location).await.unwrap().title(), Some("early"));
    let gold = [("name", Input::Typed("gold".into()))];
    let saved = client.act(&location, "save", &gold, &write).await.unwrap();
    let saved = saved.operation.expect("what goes on has a name");
    let saved = client.wait_for_operation(&saved, &patience(), |_| {}).await.unwrap();
    assert!(
        matches!(&saved.mixins[..], [template] if template.term().starts_with("gold")),
        "{saved:?}"
    );
    assert!(
        client
            .operations(false)
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
            .iter()
            .any(|other| other.location == operation)
    );
}

async fn mixins() {
    let occid = Occid::start();
    for media in [MediaType::TextPlain, MediaType::OcciJson] {
        let client = builder(&occid).media(media).build().unwrap();
        let location = make(&client, &machine("tagged")).await;
        let mixin = MixinDraft {
            id: id("http://example.com/occi/tags#blue"),
            title: Some("Blue".to_owned()),
            depends: Vec::new(),
            location: Some("/blue/".to_owned()),
            has_capabilities: false,
        };
        client.add_mixin(&mixin).await.unwrap();
        client.associate("blue", std::slice::from_ref(&location)).await.unwrap();
        assert_eq!(
            client.list("tags#blue", &Listing::default()).await.unwrap(),
            std::slice::from_ref(&location)
        );
        assert!(client.show(&location).await.unwrap().mixins.contains(&mixin.id));
        client
            .dissociate("blue", std::slice::from_ref(&location))
            .await
            .unwrap();
        assert!(client.list("blue", &Listing::default()).await.unwrap().is_empty());
        client
            .replace_members("blue", std::slice::from_ref(&location))
            .await
            .unwrap();
        client.remove_mixin("blue").await.unwrap();
        assert_eq!(
            client.model().await.unwrap().mixin("blue").unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert!(!client.show(&location).await.unwrap().mixins.contains(&mixin.id));
    }
}

async fn saved() {
    let occid = Occid::start();
    let client = client(&occid);
    client.model().await.unwrap();
    let saved = serde_json::to_string(&client.saved().unwrap()).unwrap();
    assert!(!saved.contains(&occid.password()));
    let later = builder(&occid)
        .saved(serde_json::from_str(&saved).unwrap())
        .build()
        .unwrap();
    assert_eq!(later.dialect(), client.dialect());
    assert!(!later.revalidate().await.unwrap());
    assert_eq!(
        later.model().await.unwrap().kinds().len(),
        client.model().await.unwrap().kinds().len()
    );
    let mixin = MixinDraft {
        id: id("http://example.com/occi/tags#red"),
        title: None,
        depends: Vec::new(),
        location: Some("/red/".to_owned()),
        has_capabilities: false,
    };
    client.add_mixin(&mixin).await.unwrap();
    assert!(later.revalidate().await.unwrap());
    assert!(later.model().await.unwrap().mixin("red").is_ok());
}

async fn refusals() {
    let occid = Occid::start();
    let stranger = Client::builder(occid.url.parse().unwrap())
        .credentials(Credentials::Basic {
            user: "admin".to_owned(),
            password: "not-this-one".into(),
        })
        .build()
        .unwrap();
    let refused = stranger.model().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
    let words = refused.message();
    assert!(words.contains("\"admin\"") && words.contains(&occid.url), "{words}");
    assert!(!format!("{refused} {refused:?} {stranger:?}").contains("not-this-one"));

    let client = client(&occid);
    let missing = client.show("/compute/nobody").await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.request_id().is_some());
    let bad = EntityDraft {
        kind: Some(id(COMPUTE)),
        attributes: vec![typed("occi.compute.cores", 0)],
        ..EntityDraft::default()
    };
    let bad = client.create(&bad, &Write::default()).await.unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::Invalid);
    assert!(bad.message().contains("occi.compute.cores"), "{bad}");
    // Nothing is sent elsewhere, and a collection is not deleted by accident.
    assert_eq!(
        client.show("http://evil.test/compute/1").await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let kept = make(&client, &machine("kept")).await;
    for collection in [
        "/compute/",
        "/compute",
        "/compute/.",
        "/compute/x/..",
        "/compute/%2e",
        "/compute?x=y",
        "/compute/?x=y",
    ] {
        for refused in [
            client.delete(collection, &Write::default()).await,
            client.act(collection, "stop", &[], &Write::default()).await,
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid, "{collection}");
        }
    }
    let kept = client.show(&kept).await.unwrap();
    assert_eq!(kept.text("occi.compute.state"), Some("active"));
    let unknown = client
        .act("/compute/nobody", "fly", &[], &Write::default())
        .await
        .unwrap_err();
    assert!(unknown.hint().unwrap().contains("start"), "{unknown:?}");
}

async fn socket() {
    let occid = Occid::on_a_socket();
    let client = client(&occid);
    let location = make(&client, &machine("local")).await;
    assert_eq!(client.list("compute", &Listing::default()).await.unwrap(), [location]);
}

async fn idempotency() {
    let occid = Occid::start();
    let client = client(&occid);
    let mut write = Write::default();
    write.idempotency_key = Some("once".to_owned());
    let first = client.create(&machine("one"), &write).await.unwrap().location;
    let second = client.create(&machine("one"), &write).await.unwrap().location;
    assert_eq!(first, second);
    assert_eq!(client.list("compute", &Listing::default()).await.unwrap().len(), 1);
}

async fn news() {
    let occid = Occid::start();
    let client = client(&occid);
    let model = client.model().await.unwrap();
    let compute = model.kind("compute").unwrap().id.clone();
    let mut of = EventsOf::default();
    of.kind = Some(compute.clone());
    let mut news = client.news(&of);
    tokio::time::timeout(Duration::from_secs(20), news.next())
        .await
        .unwrap();
    assert!(news.is_told());
    let quiet = tokio::time::timeout(Duration::from_millis(200), news.next()).await;
    assert!(quiet.is_err(), "nothing has happened");
    let draft = EntityDraft {
        kind: Some(compute.clone()),
        ..EntityDraft::default()
    };
    let made = client.create(&draft, &Write::default()).await.unwrap();
    let location = made.location.unwrap();
    tokio::time::timeout(Duration::from_secs(20), news.next())
        .await
        .unwrap();
    let up = client
        .wait_for(&location, &Until::Up, &Patience::default(), |_| {})
        .await;
    assert!(up.unwrap().is_some());
    let page = client.events(&of, 5000).await.unwrap();
    assert_eq!(page.more, None, "that is all");
    let events = page.events;
    let (mut asked, mut back) = (Some(of.clone()), Vec::new());
    while let Some(of) = asked {
        let page = client.events(&of, 1).await.unwrap();
        back.splice(0..0, page.events);
        asked = page.more;
    }
    assert_eq!(back, events);
    of.after = Some(events[0].number);
    let mut on = client.events(&of, 1).await.unwrap();
    assert_eq!(on.events, events[1..2]);
    while let Some(of) = on.more {
        on = client.events(&of, 1).await.unwrap();
        assert!(on.events.iter().all(|event| event.number > events[1].number));
    }
    let first = &events[0];
    assert_eq!(
        (first.what.as_str(), first.entity.as_ref()),
        ("created", Some(&location))
    );
    assert_eq!(first.kind, Some(compute));
    assert!(
        events
            .iter()
            .any(|event| event.operation.as_ref().is_some_and(|(_, state)| state.is_finished()))
    );
}
