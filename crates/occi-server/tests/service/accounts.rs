//! Users, projects and memberships, through the commands.

use crate::kinds::COMPUTE;
use crate::occid::{Occid, Setup};
use occi_store::{Audit, AuditQuery, SqliteStore, Store};
use std::os::unix::fs::PermissionsExt;

#[test]
fn users_come_and_go_while_the_service_runs() {
    let occid = Occid::start();
    let setup = &occid.setup;
    let ann = occid.user("ann", &["--project", "physics"]);
    ann.get("/-/operation/").expect(200);
    let list = setup.run(&["user", "list"]).good();
    assert_eq!(
        list,
        "admin\toperator\tdefault\tdefault:manager\nann\t-\tphysics\tphysics:member\n"
    );

    // Another password: the old one is refused at once although it was accepted a moment ago.
    setup.run_with_input(&["user", "passwd", "ann"], "other\n").good();
    ann.get("/-/operation/").expect(401);
    occid.client("ann", "other").get("/-/operation/").expect(200);

    setup.run(&["user", "remove", "ann"]).good();
    occid.client("ann", "other").get("/-/operation/").expect(401);
    for (arguments, words) in [
        (&["user", "remove", "ann"][..], "no user"),
        (&["user", "remove", "admin"], "the only operator"),
        (&["user", "add", "a:b"], "is no name for a user"),
        (&["user", "add", "admin"], "admin"),
        (&["project", "add", "physics"], "physics"),
        (&["project", "remove", "chemistry"], "no project"),
        (&["project", "member", "add", "physics", "zoe"], "no user"),
        (
            &["project", "member", "add", "physics", "admin", "--role", "king"],
            "king",
        ),
        (&["project", "quota", "physics", "--cores", "many"], "--cores"),
    ] {
        let said = setup.run_with_input(arguments, "password").bad();
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn commands_that_cross_each_other_undo_nothing_of_each_other() {
    let occid = Occid::start();
    let setup = &occid.setup;
    let add = |name: &str, project: &str| {
        let arguments = ["user", "add", name, "--project", project];
        setup.run_with_input(&arguments, project)
    };
    setup.run(&["project", "add", "physics"]).good();
    // A password takes its time to be hashed. Each round the others come a little later.
    for late in (0..6).map(|round| std::time::Duration::from_millis(20 * round)) {
        add("ann", "physics").good();
        let lab = std::thread::scope(|scope| {
            let passwd = scope.spawn(|| setup.run_with_input(&["user", "passwd", "ann"], "other"));
            let own = scope.spawn(|| setup.run_with_input(&["user", "add", "lab"], "lab"));
            std::thread::sleep(late);
            setup.run(&["project", "member", "remove", "physics", "ann"]).good();
            let lab = setup.run(&["project", "add", "lab", "--cores", "4"]);
            passwd.join().unwrap().good();
            assert!(own.join().unwrap().ok || lab.ok);
            lab
        });
        let list = setup.run(&["user", "list"]).good();
        assert!(
            list.contains("ann\t-\tphysics\t\n"),
            "what was taken away came back: {list}"
        );
        let quota = setup.run(&["project", "quota", "lab"]).good();
        assert_eq!(quota.contains("cores\t0\t4\n"), lab.ok, "{quota}");
        for line in [&["user", "remove", "ann"][..], &["project", "remove", "lab"]] {
            setup.run(line).good();
        }
        setup.run(&["user", "remove", "lab"]);
    }
    setup.run(&["project", "add", "lab"]).good();
    // Of two of one name one is made.
    let made = std::thread::scope(|scope| {
        let adding = ["lab", "physics"].map(|project| (project, scope.spawn(move || add("zoe", project))));
        let added = adding.map(|(project, added)| (project, added.join().unwrap().ok));
        added
            .into_iter()
            .filter(|(_, ok)| *ok)
            .map(|(project, _)| project)
            .collect::<Vec<_>>()
    });
    let [project] = made.as_slice() else {
        panic!("{made:?} were told that zoe is theirs")
    };
    occid.client("zoe", project).get("/-/operation/").expect(200);
}

#[test]
fn what_is_done_to_accounts_is_on_record() {
    let occid = Occid::start();
    occid.user("ann", &[]);
    occid.user("bob", &["--operator"]);
    occid.setup.run(&["user", "remove", "nobody"]).bad();
    let quota = ["project", "quota", "ann", "--cores", "4", "--memory-mib", "none"];
    let member = ["project", "member", "add", "ann", "bob", "--role", "reader"];
    for arguments in [&quota[..], &member] {
        occid.setup.run(arguments).good();
    }
    let setup = occid.stop();
    setup.run(&["project", "add", "lab", "--cores", "2"]).good();
    let store = SqliteStore::open(setup.data().join("occid.db")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let records = runtime.block_on(store.audit(&AuditQuery::default())).unwrap();
    let by = format!("uid:{}", rustix::process::geteuid().as_raw());
    for (verb, path, outcome, detail) in [
        ("add", "/users/admin", "accepted", "operator in default"),
        ("add", "/users/ann", "accepted", "member in ann"),
        ("add", "/users/bob", "accepted", "operator in default"),
        ("delete", "/users/nobody", "refused", "404"),
        ("quota", "/projects/ann", "accepted", "cores 4, memory_mib none"),
        ("member", "/projects/ann/members/bob", "accepted", "reader"),
        // By a command that opened the store itself.
        ("add", "/projects/lab", "accepted", "cores 2"),
    ] {
        let is_it = |record: &Audit| {
            let told = (
                &*record.principal,
                &*record.verb,
                &*record.path,
                &*record.outcome,
                &*record.detail,
            );
            told == (&*by, verb, path, outcome, detail)
        };
        assert!(records.iter().any(is_it), "{verb} {path}: {records:#?}");
    }
}

#[test]
fn a_user_is_no_member_of_a_project_that_nobody_named() {
    let occid = Occid::start();
    let setup = &occid.setup;
    let admin = occid.admin();
    let machine = admin.make("/compute/", COMPUTE);
    let frank = occid.user("frank", &[]);
    setup.run(&["project", "add", "phys2"]).good();
    setup.run(&["project", "member", "add", "phys2", "frank"]).good();
    frank.get(&machine).expect(404);
    let own = frank.make("/compute/", COMPUTE);
    frank.delete("/compute/").expect(200);
    frank.get(&own).expect(404);
    admin.get(&machine).expect(200);
    let list = setup.run(&["user", "list"]).good();
    assert!(list.contains("frank\t-\tfrank\tfrank:member,phys2:member\n"), "{list}");
    let words = setup.run_with_input(&["user", "add", "phys2"], "x").bad();
    assert!(words.contains("phys2") && words.contains("--project"), "{words}");
    occid.user("phys2", &["--project", "phys2"]);
    // A misspelt one is not made: it would have no quota.
    let words = setup
        .run_with_input(&["user", "add", "dave", "--project", "phyiscs"], "x")
        .bad();
    assert!(words.contains("phyiscs"), "{words}");
    let list = setup.run(&["user", "list"]).good();
    assert!(
        !list.contains("dave") && !setup.run(&["project", "list"]).good().contains("phyiscs"),
        "{list}"
    );
}

#[test]
fn a_password_can_be_sent() {
    let occid = Occid::start();
    let setup = &occid.setup;
    let long = "x".repeat(1024);
    setup.run_with_input(&["user", "add", "ann"], &long).good();
    occid.client("ann", &long).get("/-/").expect(200);
    for arguments in [["user", "add", "eve"], ["user", "passwd", "ann"]] {
        let words = setup.run_with_input(&arguments, &"x".repeat(100_000)).bad();
        assert!(words.contains("longer than 1024 bytes"), "{words}");
    }
}

#[test]
fn a_backup_that_cannot_be_written_is_named() {
    let occid = Occid::start();
    let file = occid.setup.home().join("nowhere/x").display().to_string();
    let words = occid.setup.run(&["backup", &file]).bad();
    assert!(words.contains(&format!("{file} cannot be written")), "{words}");
}

#[test]
fn the_commands_need_no_running_service() {
    let occid = Occid::start();
    let setup = occid.stop();
    setup
        .run_with_input(&["user", "add", "bob", "--operator"], "secret")
        .good();
    setup
        .run(&["project", "add", "lab", "--cores", "4", "--memory-mib", "none"])
        .good();
    setup
        .run(&["project", "member", "add", "lab", "bob", "--role", "reader"])
        .good();
    let quota = setup.run(&["project", "quota", "lab"]).good();
    assert!(
        quota.contains("cores\t0\t4\n") && quota.contains("memory_mib\t0\tnone\n"),
        "{quota}"
    );
    setup.run(&["project", "quota", "lab", "--cores", "none"]).good();
    assert!(
        setup
            .run(&["project", "quota", "lab"])
            .good()
            .contains("cores\t0\tnone\n")
    );
    assert_eq!(setup.run(&["project", "list"]).good(), "default\nlab\n");
    let occid = setup.start();
    occid.client("bob", "secret").get("/-/operation/").expect(200);
    let list = occid.setup.run(&["user", "list"]).good();
    assert!(
        list.contains("bob\toperator\tdefault\tdefault:member,lab:reader\n"),
        "{list}"
    );
    // Flags may stand before and after the command, and win over variables.
    let nowhere = Setup::default();
    let data = occid.setup.data();
    let data = ["--data-dir", data.to_str().unwrap()];
    for arguments in [
        [data[0], data[1], "project", "list"],
        ["project", data[0], data[1], "list"],
        ["project", "list", data[0], data[1]],
    ] {
        assert_eq!(nowhere.run(&arguments).good(), "default\nlab\n", "{arguments:?}");
    }
    let words = nowhere.run(&["user", "list"]).bad();
    assert!(
        words.contains("there is no data") && !nowhere.data().exists(),
        "{words}"
    );
}

#[test]
fn a_password_comes_from_a_file_or_from_stdin_and_never_from_an_argument() {
    let occid = Occid::start();
    let setup = &occid.setup;
    let file = setup.home().join("password");
    std::fs::write(&file, "from the file\nsecond line\n").unwrap();
    setup
        .run(&["user", "add", "ann", "--password-file", file.to_str().unwrap()])
        .good();
    setup
        .run_with_input(&["user", "add", "bob", "--password-file", "-"], "täglich: 1\r\n")
        .good();
    occid.client("ann", "from the file").get("/-/operation/").expect(200);
    occid.client("bob", "täglich: 1").get("/-/operation/").expect(200);
    assert!(
        setup
            .run_with_input(&["user", "add", "eve"], "\n")
            .bad()
            .contains("empty")
    );
    assert!(!setup.run(&["user", "add", "eve", "--password", "x"]).ok);
}

#[test]
fn the_side_door_on_a_port_has_health_and_metrics_and_nothing_else() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let occid = Setup::default().flags(&["--admin-listen", &port.to_string()]).start();
    let door = crate::client::Client::new(port);
    assert_eq!(door.get("/healthz").expect(200).body, "ok\n");
    assert_eq!(door.get("/readyz").expect(200).body, "ready\n");
    door.get("/metrics").expect(200);
    door.get("/users").expect(404);
    door.send("POST", "/backup", "{}").expect(404);
    assert!(!occid.setup.data().join("admin.sock").exists());
    // A command cannot reach it, and must not open its store.
    let words = occid.setup.run(&["user", "list"]).bad();
    assert!(words.contains("is used by another occid"), "{words}");
}

#[test]
fn a_running_service_is_compared_with_its_engines() {
    let occid = Setup::default().cloud("").start();
    let setup = &occid.setup;
    let admin = occid.admin().with("Prefer", "wait=20");
    let machine = admin.post("/compute/", COMPUTE).expect(201).location();
    let checked = setup.run(&["check"]);
    assert!(!checked.stderr.contains("only the store"), "{}", checked.stderr);
    assert_eq!(checked.good(), "nothing is wrong\n");
    // The engine loses it: behind our back, and while nobody looks.
    let setup = occid.stop();
    std::fs::remove_file(setup.home().join("cloud.json")).unwrap();
    let occid = setup.start();
    let checked = occid.setup.run(&["check"]);
    assert!(!checked.ok, "{checked:?}");
    let id = machine.rsplit('/').next().unwrap();
    assert!(checked.stdout.contains(id), "{checked:?}");
    assert!(checked.stderr.contains("findings"), "{checked:?}");
}

#[test]
fn a_backup_is_taken_while_the_service_runs_and_put_back_when_it_does_not() {
    let occid = Occid::start();
    let file = occid.setup.home().join("copy");
    let path = file.to_str().unwrap();
    occid.user("before", &[]);
    assert_eq!(occid.setup.run(&["backup", path]).good(), format!("{path}\n"));
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o077,
        0,
        "it holds hashes"
    );
    assert!(occid.setup.run(&["backup", path]).bad().contains("exists already"));
    occid.user("after", &[]);
    let words = occid.setup.run(&["restore", path]).bad();
    assert!(words.contains("is used by another occid"), "{words}");

    let setup = occid.stop();
    let junk = setup.home().join("junk");
    std::fs::write(&junk, "no database").unwrap();
    let words = setup.run(&["restore", junk.to_str().unwrap()]).bad();
    assert!(
        words.contains("cannot be restored") && words.contains("nothing was changed"),
        "{words}"
    );
    assert!(setup.run(&["user", "list"]).good().contains("after"));
    setup.run(&["restore", path]).good();
    setup.run(&["migrate"]).good();
    let checked = setup.run(&["check"]);
    assert!(
        checked.stderr.contains("only the store was looked at"),
        "{}",
        checked.stderr
    );
    let list = setup.run(&["user", "list"]).good();
    assert!(list.contains("before") && !list.contains("after"), "{list}");
    setup
        .start()
        .client("before", "before")
        .get("/-/operation/")
        .expect(200);
}
