//! The sockets of this machine, and who comes in there without a password.

use crate::client::{Answer, basic};
use crate::occid::{Occid, Setup};
use rustix::thread::{Gid, Uid, set_no_new_privs, set_thread_res_gid, set_thread_res_uid};
use std::os::unix::fs::PermissionsExt;

const KIND: &str = "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\r\n";
/// Somebody who is neither root nor ourselves: `nobody` of most systems.
const OTHER: u32 = 65534;

fn ask(occid: &Occid, line: &str, headers: &str) -> Answer {
    let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nAccept: application/occi+json\r\n{headers}\r\n");
    occid.at_socket("occid.sock", &request)
}

/// The same as another user, which takes a root. The kernel knows users by thread.
fn ask_as_another(occid: &Occid, name: &str, request: &str) -> Answer {
    let other = || {
        let (gid, uid) = (Gid::from_raw(OTHER), Uid::from_raw(OTHER));
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        occid.at_socket(name, request)
    };
    std::thread::scope(|scope| scope.spawn(other).join().unwrap())
}

/// Opens the sockets to everybody, as a careless operator may.
fn open_to_all(occid: &Occid) {
    let set = |path: std::path::PathBuf, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let data = occid.setup.data();
    set(occid.setup.home().to_owned(), 0o755);
    set(data.clone(), 0o755);
    set(data.join("occid.sock"), 0o666);
    set(data.join("admin.sock"), 0o666);
}

#[test]
fn the_user_of_the_service_is_an_operator_at_its_socket() {
    let occid = Occid::start();
    let socket = occid.setup.data().join("occid.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

    let made = ask(&occid, "POST /compute/", &format!("Content-Type: text/occi\r\n{KIND}")).expect(201);
    assert!(
        made.header("location")
            .unwrap()
            .starts_with("http://localhost/compute/")
    );
    // In the project of the first operator, who sees it; and so does the owner what others made.
    let admin = occid.admin();
    let of_default = admin.clone().with("X-OCCI-Project", "default");
    of_default.get(&made.location()).expect(200);
    let alice = occid.user("alice", &["--project", "physics"]);
    let hers = alice.make("/compute/", KIND.trim_end());
    ask(&occid, &format!("GET {hers}"), "").expect(200);

    // Whoever says who he is, is that.
    let login = format!("Authorization: {}\r\n", basic("alice", "alice"));
    ask(&occid, &format!("GET {}", made.location()), &login).expect(404);
    ask(&occid, &format!("GET {hers}"), &login).expect(200);
    let wrong = format!("Authorization: {}\r\n", basic("alice", "bob"));
    ask(&occid, "GET /-/", &wrong).expect(401);
    ask(&occid, "GET /-/", "Authorization: Bearer x\r\n").expect(401);

    // Elsewhere a name is needed as before, and nobody has this one.
    occid.anonymous().get("/-/").expect(401);
    let name = format!("uid:{}", rustix::process::geteuid().as_raw());
    occid.client(&name, "").get("/-/").expect(401);
    let words = occid.setup.run_with_input(&["user", "add", &name], "x").bad();
    assert!(words.contains("is no name for a user"), "{words}");

    // It does not depend on the account of the first operator.
    occid.user("bob", &["--operator"]);
    occid.setup.run(&["user", "remove", "admin"]).good();
    ask(&occid, &format!("GET {hers}"), "").expect(200);
    occid.stop();
    assert!(!socket.exists());
}

#[test]
fn what_a_proxy_or_a_browser_passes_on_is_not_the_users_own() {
    let occid = Occid::start();
    for header in [
        "Via: 1.1 proxy",
        "Forwarded: for=192.0.2.1",
        "X-Forwarded-For: 192.0.2.1",
        "X-Real-IP: 192.0.2.1",
        "Origin: http://evil.example",
        "Sec-Fetch-Site: cross-site",
    ] {
        let refused = ask(&occid, "GET /-/", &format!("{header}\r\n")).expect(401);
        assert!(refused.header("www-authenticate").is_some(), "{header}");
        let login = format!("{header}\r\nAuthorization: {}\r\n", admin_login(&occid));
        ask(&occid, "GET /-/", &login).expect(200);
    }
}

fn admin_login(occid: &Occid) -> String {
    let password = std::fs::read_to_string(occid.setup.data().join("initial-admin-password")).unwrap();
    basic("admin", password.trim_end())
}

#[test]
fn another_user_needs_a_password_whatever_the_mode_of_the_file() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let occid = Occid::start();
    open_to_all(&occid);
    let request = |target: &str, login: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{login}\r\n");
    let refused = ask_as_another(&occid, "occid.sock", &request("/-/", "")).expect(401);
    assert!(refused.header("www-authenticate").is_some());
    ask_as_another(&occid, "occid.sock", &request("/healthz", "")).expect(200);
    let login = format!("Authorization: {}\r\n", admin_login(&occid));
    ask_as_another(&occid, "occid.sock", &request("/-/", &login)).expect(200);

    // The side door opens to the same.
    ask_as_another(&occid, "admin.sock", &request("/metrics", "")).expect(200);
    let refused = ask_as_another(&occid, "admin.sock", &request("/users", "")).expect(403);
    assert!(
        refused.body.contains("root and the user of the service"),
        "{}",
        refused.body
    );
    occid.side_door("/users").expect(200);
}

/// A service without root: ours or, where we are root, another user's.
fn service_without_root() -> Option<Occid> {
    let setup = Setup::default();
    if !rustix::process::geteuid().is_root() {
        return Some(setup.start());
    }
    let setup = setup.user(OTHER);
    match setup.command(&["--version"]).output() {
        Ok(_) => Some(setup.start()),
        Err(error) => {
            println!("skipped: another user cannot run occid where it was built: {error}");
            None
        }
    }
}

#[test]
fn of_a_service_without_root_what_has_given_up_new_privileges_is_no_owner() {
    let Some(occid) = service_without_root() else { return };
    // The command runs as the user of the service, at the side door.
    occid.setup.run(&["user", "list"]).good();
    // So does the emulator of a virtual machine, which has given up new privileges; children inherit that from a thread.
    let confined = || {
        set_no_new_privs(true).unwrap();
        occid.setup.run(&["user", "list"]).bad()
    };
    let words = std::thread::scope(|scope| scope.spawn(confined).join().unwrap());
    assert!(words.contains("no program that gave up privileges"), "{words}");
}

#[test]
fn of_a_service_without_root_root_is_an_owner_too() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can be another user than that of the service");
        return;
    }
    let Some(occid) = service_without_root() else { return };
    ask(&occid, "GET /-/", "").expect(200);
    ask_as_another(&occid, "occid.sock", "GET /-/ HTTP/1.1\r\nHost: localhost\r\n\r\n").expect(200);
}

#[test]
fn the_socket_can_be_elsewhere_or_nowhere() {
    let occid = Setup::default().flags(&["--local-listen", "off"]).start();
    assert!(!occid.setup.data().join("occid.sock").exists());
    let setup = Setup::default();
    let path = setup.home().join("there.sock");
    let occid = setup
        .variable("OCCID_LOCAL_LISTEN", &format!("unix:{}", path.display()))
        .start();
    assert!(!occid.setup.data().join("occid.sock").exists());
    let request = "GET /-/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    occid.at_socket("../there.sock", request).expect(200);
}

#[test]
fn a_data_directory_whose_name_is_too_long_for_sockets_still_serves() {
    let setup = Setup::default();
    let long = setup.home().join("d".repeat(120));
    let occid = setup.flags(&["--data-dir", long.to_str().unwrap()]).start();
    occid.anonymous().get("/healthz").expect(200);
    for key in ["server.local_listen", "server.admin_listen"] {
        occid.has_said(&format!("{key}: cannot listen at unix:"));
    }
    let asked = format!("unix:{}/x.sock", long.display());
    let words = Setup::default()
        .flags(&["--local-listen", &asked])
        .fail_to_start()
        .bad();
    assert!(words.contains("107 bytes"), "{words}");
}
