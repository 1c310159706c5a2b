//! Networks that an operator shares between projects.

use crate::client::Client;
use crate::kinds::{COMPUTE, STORAGE, compute};
use crate::occid::{Occid, Setup, wait_for_all_operations, wait_until};
use occi_store::{AuditQuery, SqliteStore, Store};

const NETWORK: &str = "Category: network; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
                       X-OCCI-Attribute: occi.core.title=\"the cable\"\n";
const DOWN: &str =
    "Category: down; scheme=\"http://schemas.ogf.org/occi/infrastructure/network/action#\"; class=\"action\"\n";

/// A compute with an interface on `network`.
fn on(network: &str) -> String {
    let kind = "http://schemas.ogf.org/occi/infrastructure#networkinterface";
    format!(
        "{COMPUTE}Link: <{network}>; rel=\"http://schemas.ogf.org/occi/infrastructure#network\"; category=\"{kind}\"\n"
    )
}

/// An interface between what exists.
fn between(machine: &str, network: &str) -> String {
    format!(
        "Category: networkinterface; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
         X-OCCI-Attribute: occi.core.source=\"{machine}\"\nX-OCCI-Attribute: occi.core.target=\"{network}\"\n"
    )
}

/// Two projects with a user in each, and a network of ann's.
struct World {
    occid: Occid,
    ann: Client,
    bob: Client,
    network: String,
}

fn world() -> World {
    let occid = Occid::start();
    let ann = occid.user("ann", &["--project", "physics"]);
    let bob = occid.user("bob", &["--project", "chemistry"]);
    let network = ann.make("/network/", NETWORK);
    World {
        occid,
        ann,
        bob,
        network,
    }
}

#[test]
fn a_shared_network_is_seen_by_others_and_changed_by_its_owners() {
    let World {
        occid,
        ann,
        bob,
        network,
    } = world();
    let setup = &occid.setup;
    bob.get(&network).expect(404);
    let before = bob.get("/network/").expect(200);
    assert!(before.body.is_empty());
    let seen = ann.get(&network).expect(200).header("etag").unwrap().to_owned();

    setup.run(&["network", "share", &network, "--with", "chemistry"]).good();
    ann.clone().with("If-None-Match", &seen).get(&network).expect(200);
    let tag = before.header("etag").unwrap();
    let listing = bob.clone().with("If-None-Match", tag).get("/network/").expect(200);
    assert!(listing.body.contains(&network));
    let titled = "/network/?attribute=occi.core.title&value=the%20cable";
    assert!(bob.get(titled).expect(200).body.contains(&network));
    assert!(bob.get("/").expect(200).body.contains(&network));
    // A project's name narrows to what that project has.
    assert!(bob.get("/network/?project=chemistry").expect(200).body.is_empty());
    // From the store, and then from memory.
    for _ in 0..3 {
        assert!(bob.get(&network).expect(200).body.contains("the cable"));
    }

    let json = bob.clone().with("Accept", "application/occi+json");
    for _ in 0..2 {
        assert!(json.get("/network/").expect(200).body.contains("the cable"));
    }

    let tag = "Category: mine; scheme=\"http://example.org/mine#\"; class=\"mixin\"; location=\"/mine/\"";
    bob.post("/-/", tag).expect(200);
    let named = format!("X-OCCI-Location: {network}");
    for (method, target, body) in [
        ("POST", network.as_str(), "X-OCCI-Attribute: occi.core.title=\"bob's\""),
        ("PUT", &network, NETWORK),
        ("DELETE", &network, ""),
        ("POST", &format!("{network}?action=down"), DOWN),
        ("POST", "/mine/", &named),
        ("DELETE", "/network/", &named),
    ] {
        let answer = bob
            .clone()
            .with("Content-Type", "text/plain")
            .send(method, target, body)
            .expect(403);
        assert!(
            answer.body.contains("belongs to another project"),
            "{method} {target}: {answer:?}"
        );
    }
    // What is meant by a collection is what may be changed.
    bob.post("/network/?action=down", DOWN).expect(200);
    bob.put("/mine/", "").expect(200);
    for collection in ["/network/", "/", "/mine/"] {
        bob.delete(collection).expect(200);
    }
    let there = ann.get(&network).expect(200);
    assert!(
        there.body.contains("occi.network.state=\"active\"") && there.body.contains("the cable"),
        "{there:?}"
    );
    let reader = occid.user("reader", &["--project", "physics"]);
    let member = ["project", "member", "add", "physics", "reader", "--role", "reader"];
    setup.run(&member).good();
    let refused = reader.delete(&network).expect(403);
    assert!(refused.body.contains("readers of the project"), "{refused:?}");

    setup.run(&["network", "share", &network, "--public"]).good();
    let carl = occid.user("carl", &["--project", "biology"]);
    carl.get(&network).expect(200);
    let listing = carl.get("/network/").expect(200);
    setup.run(&["network", "unshare", &network]).good();
    assert!(!json.get("/network/").expect(200).body.contains("the cable"));
    for stranger in [&bob, &carl] {
        stranger.get(&network).expect(404);
        stranger.delete(&network).expect(404);
    }
    let tag = listing.header("etag").unwrap();
    assert!(
        carl.clone()
            .with("If-None-Match", tag)
            .get("/network/")
            .expect(200)
            .body
            .is_empty()
    );
    ann.delete(&network).expect(200);
}

#[test]
fn interfaces_of_others_lead_to_a_shared_network_and_are_their_own() {
    let World {
        occid,
        ann,
        bob,
        network,
    } = world();
    let setup = &occid.setup;
    let refused = bob.post("/compute/", &on(&network)).expect(400);
    assert!(refused.body.contains("does not exist"), "{refused:?}");
    setup.run(&["network", "share", &network, "--with", "chemistry"]).good();
    let own = ann.make("/compute/", &on(&network));
    let machine = bob.make("/compute/", &on(&network));
    let second = bob.make("/compute/", COMPUTE);
    let later = bob.make("/networkinterface/", &between(&second, &network));
    assert!(bob.get(&machine).expect(200).body.contains(&network));
    let interfaces = |client: &Client| {
        let listing = client.get("/networkinterface/").expect(200).body;
        listing
            .lines()
            .map(|line| line.rsplit('/').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // Two on the shared network, and one on the default network.
    assert_eq!((interfaces(&bob).len(), interfaces(&ann).len()), (3, 1));
    assert!(
        !bob.get("/networkinterface/")
            .expect(200)
            .body
            .contains(&interfaces(&ann)[0])
    );
    let leading = format!("/networkinterface/?attribute=occi.core.target&value={network}");
    assert_eq!(ann.get(&leading).expect(200).body.lines().count(), 1);

    ann.delete(&own).expect(200);
    wait_for_all_operations(&occid.admin());
    let refused = ann.delete(&network).expect(409);
    assert!(
        refused
            .body
            .contains("2 network interfaces of other projects lead to it"),
        "{refused:?}"
    );
    assert!(
        interfaces(&bob).iter().all(|id| !refused.body.contains(id)),
        "{refused:?}"
    );

    // Who takes it down takes the others' interfaces down; nobody gets any by that.
    ann.post(&format!("{network}?action=down"), DOWN).expect(200);
    wait_until("the interface to go down", || {
        let shown = bob.get(&later).expect(200).body;
        shown.contains("occi.networkinterface.state=\"inactive\"").then_some(())
    });
    assert_eq!((interfaces(&bob).len(), interfaces(&ann).len()), (3, 0));
    assert_eq!(interfaces(&occid.admin()).len(), 3);

    // What is there stays when the sharing ends; nothing new is made.
    setup.run(&["network", "unshare", &network]).good();
    bob.get(&network).expect(404);
    assert!(bob.get(&later).expect(200).body.contains(&network));
    bob.post("/compute/", &on(&network)).expect(400);
    bob.post("/networkinterface/", &between(&second, &network)).expect(400);
    assert!(setup.run(&["check"]).good().contains("nothing is wrong"));

    bob.delete(&later).expect(200);
    bob.delete(&machine).expect(200);
    wait_for_all_operations(&occid.admin());
    ann.delete(&network).expect(200);
    assert_eq!(interfaces(&bob).len(), 1);
}

#[test]
fn a_network_is_shared_with_projects_and_not_with_those_who_know_both() {
    let World {
        occid,
        ann,
        bob,
        network,
    } = world();
    let setup = &occid.setup;
    setup.run(&["project", "member", "add", "physics", "bob"]).good();
    let volume = ann.make("/storage/", STORAGE);
    let mut both = vec![bob.clone(), occid.admin()];
    both[1] = both[1].clone().with("X-OCCI-Project", "chemistry");
    for client in &both {
        let refused = client.post("/compute/", &on(&network)).expect(403);
        assert!(refused.body.contains("no operator has shared it"), "{refused:?}");
    }
    let machine = bob.make("/compute/", &compute("bob's"));
    bob.post("/networkinterface/", &between(&machine, &network)).expect(403);
    let attach = between(&machine, &volume).replace("networkinterface", "storagelink");
    let refused = bob.post("/storagelink/", &attach).expect(403);
    assert!(refused.body.contains("only networks can be shared"), "{refused:?}");
    setup.run(&["network", "share", &network, "--public"]).good();
    bob.make("/networkinterface/", &between(&machine, &network));
    bob.post("/storagelink/", &attach).expect(403);
    // What others have shared is left alone by an operator's word about everything in one project.
    both[1].delete("/compute/?project=chemistry").expect(200);
    ann.get(&network).expect(200);
}

#[test]
fn an_operator_shares_networks_with_the_service_and_without_it() {
    let World {
        occid, ann, network, ..
    } = world();
    let setup = &occid.setup;
    let volume = ann.make("/storage/", STORAGE);
    let id = network.rsplit('/').next().unwrap().to_owned();
    let list = |with: &str| format!("{network}\tthe cable\tphysics\t{with}\n");
    assert_eq!(setup.run(&["network", "list"]).good(), list("-"));
    setup.run(&["network", "share", &id, "--public"]).good();
    assert_eq!(setup.run(&["network", "list"]).good(), list("(everybody)"));
    setup
        .run(&["network", "share", &network, "--with", "default", "--with", "chemistry"])
        .good();
    for (arguments, words) in [
        (
            &["share", &network, "--with", "chemisty"][..],
            "did you mean \"chemistry\"?",
        ),
        (&["share", &network, "--with", "x"], "no project \"x\""),
        (
            &["share", &network, "--with", "physics"],
            "belongs to the project \"physics\"",
        ),
        (&["share", &network], "--with"),
        (&["share", &network, "--public", "--with", "chemistry"], "--public"),
        (&["share", &volume, "--public"], "only networks can be shared"),
        (&["unshare", "/network/nothing"], "no network \"/network/nothing\""),
    ] {
        let said = setup.run(&[&["network"], arguments].concat()).bad();
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert_eq!(setup.run(&["network", "list"]).good(), list("chemistry,default"));
    // A name that is given again opens nothing.
    setup.run(&["user", "remove", "bob"]).good();
    let said = setup.run(&["project", "remove", "chemistry"]).bad();
    assert!(said.contains("is shared with"), "{said}");

    let setup = occid.stop();
    setup.run(&["network", "share", &network, "--with", "default"]).good();
    assert_eq!(setup.run(&["network", "list"]).good(), list("default"));
    // What engines keep of a project, only a service can ask them.
    let said = setup.run(&["project", "remove", "chemistry"]).bad();
    assert!(said.contains("only a running service"), "{said}");
    setup.run(&["network", "unshare", &id]).good();
    assert_eq!(setup.run(&["network", "list"]).good(), list("-"));
    let store = SqliteStore::open(setup.data().join("occid.db")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let records = runtime.block_on(store.audit(&AuditQuery::default())).unwrap();
    let of_network = records
        .iter()
        .filter(|record| record.path == network && record.verb.ends_with("share"));
    let told: Vec<_> = of_network
        .map(|record| (record.verb.as_str(), record.detail.as_str(), record.project.as_deref()))
        .collect();
    let physics = Some("physics");
    let mut expected = vec![
        ("share", "with everybody", physics),
        ("share", "with chemistry, default", physics),
        ("share", "with default", physics),
        ("unshare", "", physics),
    ];
    expected.reverse();
    assert_eq!(told, expected);
    assert!(
        records
            .iter()
            .any(|record| record.outcome == "refused" && record.path.starts_with("/networks/"))
    );
}

#[test]
fn an_engine_that_cannot_share_a_network_says_so() {
    let setup = Setup::default().config("[backend.memory]\nprivate_networks = true");
    let occid = setup.start();
    let ann = occid.user("ann", &["--project", "physics"]);
    let bob = occid.user("bob", &["--project", "chemistry"]);
    let network = ann.make("/network/", NETWORK);
    occid.setup.run(&["network", "share", &network, "--public"]).good();
    ann.make("/compute/", &on(&network));
    let refused = bob.post("/compute/", &on(&network)).expect(501);
    let words = "the backend \"memory\" does not lead interfaces to networks of other projects";
    assert!(refused.body.contains(words), "{refused:?}");
    let machine = bob.make("/compute/", COMPUTE);
    bob.post("/networkinterface/", &between(&machine, &network)).expect(501);
}
