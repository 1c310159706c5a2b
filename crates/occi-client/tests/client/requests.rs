//! Requests are values: what is sent is looked at without a socket.

use crate::common::{COMPUTE, NETWORK, id, model, typed, wire};
use occi_client::{
    ActionDraft, Answer, AttributeFilter, Dialect, Discovery, Endpoint, EntityDraft, ErrorKind, Filter, Input,
    LinkDraft, Listing, MediaType, MixinDraft, Model, Operator, Requests, Version, Write,
};
use std::time::Duration;

const STOP: &str = "http://schemas.ogf.org/occi/infrastructure/compute/action#stop";

struct Server {
    endpoint: Endpoint,
    dialect: Dialect,
    model: Model,
}

impl Server {
    fn new(dialect: Dialect) -> Self {
        Self {
            endpoint: "http://cloud.example.org/".parse().unwrap(),
            dialect,
            model: model(MediaType::TextPlain),
        }
    }

    fn requests(&self) -> Requests<'_> {
        Requests {
            endpoint: &self.endpoint,
            dialect: &self.dialect,
            model: &self.model,
        }
    }
}

/// Somebody's server of whom nothing is known.
fn anybodys() -> Server {
    Server::new(Dialect::default())
}

fn occid() -> Server {
    let mut dialect = Dialect::default();
    dialect.media = MediaType::OcciJson;
    dialect.is_occid = true;
    Server::new(dialect)
}

fn titled(title: &str) -> Filter {
    Filter {
        categories: vec![id(COMPUTE)],
        attributes: vec![AttributeFilter {
            name: "occi.core.title".parse().unwrap(),
            value: Input::Quoted(title.to_owned()),
            operator: Operator::Equal,
        }],
    }
}

#[test]
fn discovery_begins_below_the_base_path() {
    let mut server = anybodys();
    server.endpoint = "http://cloud.example.org:8787/occi1.1/".parse().unwrap();
    let requests = server.requests();
    let request = requests.discover(Discovery::Query, None).unwrap();
    assert_eq!(
        wire(&request),
        "GET http://cloud.example.org:8787/occi1.1/-/\naccept: text/plain\n\n"
    );
    let agent = request.headers()["user-agent"].to_str().unwrap();
    assert!(agent.ends_with(Version::V1_2.token()), "{agent}");
    let request = requests.discover(Discovery::WellKnown, Some("\"7.p\"")).unwrap();
    assert_eq!(
        wire(&request),
        "GET http://cloud.example.org:8787/.well-known/org/ogf/occi/-/\naccept: text/plain\nif-none-match: \"7.p\"\n\n"
    );
}

#[test]
fn listings_are_filtered_in_headers_and_at_an_occid_in_the_query() {
    let mut listing = Listing::default();
    listing.filter = titled("a b");
    listing.page = Some((2, 50));
    assert_eq!(
        wire(&anybodys().requests().list("/compute/", &listing).unwrap()),
        "GET http://cloud.example.org/compute/?page=2&number=50\naccept: text/plain\n\
         category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
         x-occi-attribute: occi.core.title=\"a b\"\ncontent-type: text/occi\n\n"
    );
    assert_eq!(
        wire(&occid().requests().list("/compute/", &listing).unwrap()),
        "GET http://cloud.example.org/compute/?page=2&number=50\
         &category=http%3A%2F%2Fschemas.ogf.org%2Focci%2Finfrastructure%23compute&filter=occi.core.title%3Da+b\n\
         accept: text/uri-list, text/plain;q=0.5\n\n"
    );
    let full = occid().requests().list_full("/", &Listing::default()).unwrap();
    assert_eq!(
        wire(&full),
        "GET http://cloud.example.org/\naccept: application/occi+json\n\n"
    );
    let refused = anybodys().requests().list_full("/", &Listing::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_create_completes_its_links() {
    let draft = EntityDraft {
        kind: Some(id(COMPUTE)),
        attributes: vec![typed("occi.core.title", "web 1")],
        links: ["http://cloud.example.org/network/lan", "/storage/data"]
            .map(|target| LinkDraft {
                entity: EntityDraft {
                    target: Some(target.to_owned()),
                    ..EntityDraft::default()
                },
                own_location: None,
            })
            .into(),
        ..EntityDraft::default()
    };
    let mut write = Write::default();
    write.answer = Answer::Done(Duration::from_secs(60));
    write.idempotency_key = Some("k1".to_owned());
    assert_eq!(
        wire(&anybodys().requests().create(&draft, &write).unwrap()),
        "POST http://cloud.example.org/compute/\naccept: text/plain\ncontent-type: text/plain\n\
         idempotency-key: k1\nprefer: wait=60\n\n\
         Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
         X-OCCI-Attribute: occi.core.title=\"web 1\"\n\
         Link: </network/lan>; rel=\"http://schemas.ogf.org/occi/infrastructure#network\"; \
         category=\"http://schemas.ogf.org/occi/infrastructure#networkinterface\"; occi.core.target=\"/network/lan\"\n\
         Link: </storage/data>; rel=\"http://schemas.ogf.org/occi/infrastructure#storage\"; \
         category=\"http://schemas.ogf.org/occi/infrastructure#storagelink\"; occi.core.target=\"/storage/data\"\n"
    );
    let lost = EntityDraft {
        kind: Some(id("http://example.com/occi/cars#car")),
        ..EntityDraft::default()
    };
    assert_eq!(
        anybodys().requests().create(&lost, &write).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn actions_and_changes_have_their_forms() {
    let stop = ActionDraft {
        id: id(STOP),
        attributes: vec![typed("method", "graceful")],
    };
    let mut guarded = Write::default();
    guarded.if_match = Some("\"3.p\"".to_owned());
    guarded.answer = Answer::Early;
    assert_eq!(
        wire(&anybodys().requests().act("/compute/1", &stop, &guarded).unwrap()),
        "POST http://cloud.example.org/compute/1?action=stop\naccept: text/plain\ncontent-type: text/plain\n\
         if-match: \"3.p\"\nprefer: respond-async\n\n\
         Category: stop; scheme=\"http://schemas.ogf.org/occi/infrastructure/compute/action#\"; class=\"action\"\n\
         X-OCCI-Attribute: method=\"graceful\"\n"
    );
    let change = EntityDraft {
        attributes: vec![typed("occi.compute.cores", 4)],
        ..EntityDraft::default()
    };
    assert_eq!(
        wire(
            &occid()
                .requests()
                .update("/compute/1", &change, &Write::default())
                .unwrap()
        ),
        "POST http://cloud.example.org/compute/1\naccept: application/occi+json\n\
         content-type: application/occi+json\n\n{\"attributes\":{\"occi.compute.cores\":4}}"
    );
    let headers = Server::new(Dialect::with_media(MediaType::TextOcci));
    assert_eq!(
        wire(
            &headers
                .requests()
                .replace("/compute/1", &change, &Write::default())
                .unwrap()
        ),
        "PUT http://cloud.example.org/compute/1\naccept: text/occi\nx-occi-attribute: occi.compute.cores=4\n\
         content-type: text/occi\n\n"
    );
}

/// The collection of a mixin.
const SSH_KEY: &str = "/mixin/ssh_key/";

/// What a URL's reader makes `/compute/`, `/tags/`, `/` or nothing certain of.
const COLLECTIONS: [&str; 22] = [
    "/compute/",
    "/compute",
    "/",
    "",
    "//compute//",
    "/compute/.",
    "/compute/./",
    "/compute/x/..",
    "/compute/../compute",
    "/compute/%2e",
    "/compute/%2E%2e/compute",
    "/compute/x%2f..",
    "/compute%2f",
    "/%63ompute",
    "/compute?x=y",
    "/compute/?x=y",
    "/compute/1?x=y",
    "/compute/1?",
    "/compute/#1",
    "/compute\\",
    "/networklink",
    "http://cloud.example.org/compute/.",
];

#[test]
fn what_could_delete_too_much_is_not_written() {
    let (anybodys, occid) = (anybodys(), occid());
    let write = Write::default();
    let stop = ActionDraft {
        id: id(STOP),
        attributes: Vec::new(),
    };
    let nothing = EntityDraft::default();
    for collection in COLLECTIONS {
        for server in [&anybodys, &occid] {
            let requests = server.requests();
            for request in [
                requests.delete(collection, &write),
                requests.act(collection, &stop, &write),
                requests.update(collection, &nothing, &write),
                requests.replace(collection, &nothing, &write),
                requests.cancel(collection),
            ] {
                let refused = request.expect_err(collection);
                assert_eq!(refused.kind(), ErrorKind::Invalid, "{collection}: {refused}");
            }
        }
    }
    // A filter that a server may not know, and that nobody sees who is asked whether he means all of it.
    for query in ["/compute/?x=y", "/compute?category=x"] {
        let all = Filter::default();
        assert!(anybodys.requests().delete_collection(query, &all, &write).is_err());
        assert!(occid.requests().act_on_collection(query, &all, &stop, &write).is_err());
    }
    assert!(occid.requests().cancel("/compute/1").is_err());
    let some = ["/compute/1".to_owned()];
    // A server that does not know of the list, or of the filter, would take all.
    assert!(anybodys.requests().delete_several("/compute/", &some, &write).is_err());
    assert!(
        anybodys
            .requests()
            .delete_collection("/compute/", &titled("x"), &write)
            .is_err()
    );
    let some_of = anybodys
        .requests()
        .act_on_collection("/compute/", &titled("x"), &stop, &write);
    assert!(some_of.is_err());
    assert!(occid.requests().delete_several("/compute/", &[], &write).is_err());
    for elsewhere in ["/compute/2", "/compute/2?x=y", "/compute/?x=y", "/nowhere", SSH_KEY] {
        let refused = occid.requests().delete_several(elsewhere, &some, &write);
        let refused = refused.expect_err(elsewhere);
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{elsewhere}: {refused}");
    }
    for path in ["/compute", "/my/", "/"] {
        let request = occid.requests().delete_several(path, &some, &write).unwrap();
        assert_eq!((request.method().as_str(), request.uri().path()), ("DELETE", path));
    }
    assert!(occid.requests().dissociate(SSH_KEY, &[]).is_err());
    // What takes members out of a mixin's collection deletes them in that of a kind, and the entity at an entity's path.
    for elsewhere in COLLECTIONS
        .into_iter()
        .chain(["/compute/1", "/nowhere/", "/mixin/ssh_key/?x=y"])
    {
        for server in [&anybodys, &occid] {
            for request in [
                server.requests().associate(elsewhere, &some),
                server.requests().dissociate(elsewhere, &some),
                server.requests().replace_members(elsewhere, &some),
            ] {
                let refused = request.expect_err(elsewhere);
                assert_eq!(refused.kind(), ErrorKind::Invalid, "{elsewhere}: {refused}");
            }
        }
    }
    assert_eq!(
        wire(&occid.requests().dissociate(SSH_KEY, &some).unwrap()),
        "DELETE http://cloud.example.org/mixin/ssh_key/\naccept: application/occi+json\n\
         content-type: application/occi+json\n\n[\"http://cloud.example.org/compute/1\"]"
    );
    assert_eq!(
        wire(&occid.requests().delete_several("/compute/", &some, &write).unwrap()),
        "DELETE http://cloud.example.org/compute/\naccept: application/occi+json\n\
         content-type: application/occi+json\n\n[\"http://cloud.example.org/compute/1\"]"
    );
    assert_eq!(
        wire(&anybodys.requests().delete("/compute/1", &write).unwrap()),
        "DELETE http://cloud.example.org/compute/1\naccept: text/plain\n\n"
    );
}

#[test]
fn mixins_of_a_user_are_described_members_are_urls() {
    let server = anybodys();
    let mixin = MixinDraft {
        id: id("http://example.com/occi/tags#blue"),
        title: None,
        depends: Vec::new(),
        location: Some("/blue/".to_owned()),
        has_capabilities: false,
    };
    assert_eq!(
        wire(&server.requests().add_mixin(&mixin).unwrap()),
        "POST http://cloud.example.org/-/\naccept: text/plain\ncontent-type: text/plain\n\n\
         Category: blue; scheme=\"http://example.com/occi/tags#\"; class=\"mixin\"; location=\"/blue/\"\n"
    );
    let members = ["/compute/1".to_owned()];
    assert_eq!(
        wire(&server.requests().associate(SSH_KEY, &members).unwrap()),
        "POST http://cloud.example.org/mixin/ssh_key/\naccept: text/plain\ncontent-type: text/plain\n\n\
         X-OCCI-Location: http://cloud.example.org/compute/1\n"
    );
}

#[test]
fn categories_go_by_many_names() {
    for media in [MediaType::TextPlain, MediaType::OcciJson] {
        let model = model(media);
        for name in [
            "compute",
            "infrastructure#compute",
            COMPUTE,
            "/compute/",
            "/compute",
            "Compute",
        ] {
            assert_eq!(model.kind(name).unwrap().id, *COMPUTE, "{name}");
        }
        let small = "http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#small";
        for name in [
            "small",
            "resource_tpl#small",
            "1.1#small",
            small,
            "/mixin/resource_tpl/small/",
        ] {
            assert_eq!(model.mixin(name).unwrap().id, *small, "{name}");
        }
        assert_eq!(model.action("stop", Some((&id(COMPUTE), &[]))).unwrap().id, *STOP);
        let many = model.action("up", None).unwrap_err();
        assert_eq!(many.kind(), ErrorKind::Ambiguous);
        assert!(many.candidates().len() > 1, "{many:?}");
        let none = model.action("up", Some((&id(COMPUTE), &[]))).unwrap_err();
        assert!(none.hint().unwrap().contains("restart"), "{none:?}");
        assert_eq!(model.kind("car").unwrap_err().kind(), ErrorKind::NotFound);

        assert_eq!(model.kind_at("/network/1").unwrap().id, *NETWORK);
        assert_eq!(
            model.kind_at("/link/networkinterface/1").unwrap().id.term(),
            "networkinterface"
        );
        assert!(model.is_link("http://schemas.ogf.org/occi/infrastructure#storagelink"));
        assert!(!model.is_link(COMPUTE));
        assert_eq!(model.link_kind_to(NETWORK).unwrap().id.term(), "networkinterface");
        assert!(
            model
                .dependants("http://schemas.ogf.org/occi/infrastructure#resource_tpl")
                .count()
                >= 6
        );
        let attributes = model.attributes_of(&id(COMPUTE), &[]);
        assert!(
            attributes
                .iter()
                .any(|definition| definition.name.as_str() == "occi.compute.cores")
        );
    }
}
