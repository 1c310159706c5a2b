//! How the service comes up, or does not, and how it ends.

use crate::occid::{Occid, PATIENCE, Setup};
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt;

#[test]
fn the_first_start_makes_an_operator_whose_password_only_this_user_can_read() {
    let occid = Occid::start();
    assert_eq!(occid.url, format!("http://{}", occid.address));
    assert_ne!(occid.address.port(), 0);
    let data = occid.setup.data();
    let mode = |name: &str| std::fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("initial-admin-password"), 0o600);
    assert_eq!(mode("admin.sock"), 0o600);
    assert_eq!(mode("."), 0o700);
    let password = std::fs::read_to_string(data.join("initial-admin-password")).unwrap();
    occid.has_said(password.trim_end());
    occid.admin().get("/-/operation/").expect(200);

    let setup = occid.stop();
    assert!(!data.join("admin.sock").exists());
    let again = setup.start();
    assert!(!again.log().contains("first start"), "{}", again.log());
    again.admin().get("/-/operation/").expect(200);
}

#[test]
fn there_is_no_operator_whose_password_could_not_be_kept() {
    let setup = Setup::default();
    let in_the_way = setup.data().join("initial-admin-password");
    std::fs::create_dir_all(&in_the_way).unwrap();
    let words = setup.fail_to_start().bad();
    assert!(words.contains("the password cannot be kept"), "{words}");
    std::fs::remove_dir(&in_the_way).unwrap();
    setup.start().admin().get("/-/operation/").expect(200);
}

#[test]
fn an_engine_that_cannot_be_used_is_told_at_the_start_and_by_the_first_request() {
    // Nothing is in the PATH of this environment.
    let occid = Setup::default().flags(&["--backend", "qemu"]).start();
    let words = "apt-get install qemu-system-x86 qemu-utils";
    occid.has_said(words);
    occid.has_said("there is no image for a compute that names none");
    let refused = occid
        .admin()
        .post(
            "/compute/",
            "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"",
        )
        .expect(503);
    assert!(refused.body.contains(words), "{}", refused.body);
    // That nothing can be found in it does not mean that it can be used.
    occid.admin().get("/compute/").expect(200);
    assert_eq!(occid.side_door("/readyz").status, 503);
    let log = occid.log();
    assert!(!log.contains("can be reached again"), "{log}");
}

#[test]
fn a_full_engine_is_no_trouble_of_the_server() {
    let setup = Setup::default().config("[backend.memory]\nmemory_gib = 1.0");
    let occid = setup.start();
    let body = "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"";
    occid.admin().post("/compute/", body).expect(201);
    occid.admin().post("/compute/", body).expect(503);
    let log = occid.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_data_directory_has_one_process() {
    let occid = Occid::start();
    let words = occid.setup.clone().fail_to_start().bad();
    assert!(
        words.contains(&format!("is used by another occid (process {})", occid.pid())),
        "{words}"
    );
    assert!(words.contains("--data-dir"), "{words}");
    // The first one has lost nothing.
    occid.anonymous().get("/healthz").expect(200);
    occid.side_door("/healthz").expect(200);
    // A process that was killed holds nothing.
    occid.kill().start();
}

#[test]
fn a_configuration_can_be_checked_and_nothing_else_happens() {
    let setup = Setup::default().config("[http]\nbody_limit = \"1 MiB\"");
    assert_eq!(setup.run(&["--check-config"]).good(), "the configuration is valid\n");
    let broken = setup.clone().config("body_limt = \"1 MiB\"");
    for words in [
        broken.run(&["--check-config"]).bad(),
        broken.clone().fail_to_start().bad(),
    ] {
        assert!(words.contains("unknown key \"body_limt\""), "{words}");
        assert!(words.contains("did you mean \"body_limit\"?"), "{words}");
        assert!(words.contains("occid.toml:3"), "it says where: {words}");
    }
    assert!(!setup.data().exists());
}

#[test]
fn a_configuration_whose_engines_cannot_start_is_not_valid() {
    for (text, what, remedy) in [
        (
            "[server]\nbackends = [\"qemu\", \"zzz\"]",
            "there is no engine \"zzz\"",
            "memory",
        ),
        ("[backend.qemu]\nblah = 1", "blah", "[backend.qemu]"),
        ("[backend.qemu]\nboots = 0", "boots", "[backend.qemu]"),
        ("[backend.zork]", "[backend.zork]", "server.backends names: qemu"),
        (
            "[backend.qemu]\ntype = \"zork\"",
            "there is no engine \"zork\"",
            "memory",
        ),
    ] {
        let setup = Setup::default().config(text);
        // Without the flags of a start: the engine is the file's, or qemu.
        for words in [
            setup.run(&["--check-config"]).bad(),
            setup.run(&["--listen", "127.0.0.1:0"]).bad(),
        ] {
            assert!(words.contains(what) && words.contains(remedy), "{text}: {words}");
        }
        assert!(!setup.data().exists(), "{text}");
    }
    let setup = Setup::default().config("[server]\nbackends = [\"east\"]\n[backend.east]\ntype = \"memory\"");
    assert_eq!(setup.run(&["--check-config"]).good(), "the configuration is valid\n");
    assert!(!setup.data().exists());
}

#[test]
fn a_key_that_cannot_have_its_value_is_named_with_its_line_in_plain_words() {
    for (key, value, problem) in [
        ("boots", "-1", "must not be negative, but is -1"),
        ("stop_grace", "\"60s\"", "must be a whole number, like 60, not \"60s\""),
        ("ssh_ports", "[5]", "must be a list, like [20000, 29999], not [5]"),
        ("addresses", "\"foo\"", "is wrong: "),
        ("accelerator", "\"hvf\"", "must be `kvm` or `tcg`, not \"hvf\""),
        (
            "images",
            "\"x\"",
            "must be a list, like [\"/var/lib/occid/images\"], not \"x\"",
        ),
        (
            "qemu",
            "5",
            "must be text in quotes, like \"qemu-system-x86_64\", not 5",
        ),
        ("cores_ratio", "5000000000", "is too large: 5000000000"),
        ("boots", "0", "must be at least 1"),
        ("bots", "1", "did you mean \"boots\"?"),
    ] {
        let setup = Setup::default().config(&format!(
            "[server]\nbackends = [\"qemu\"]\n[backend.qemu]\n{key} = {value}"
        ));
        let words = setup.run(&["--check-config"]).bad();
        assert!(words.contains(key) && words.contains(problem), "{key}: {words}");
        assert!(words.contains("occid.toml:4"), "it says where: {words}");
        assert!(!words.contains("expected"), "{words}");
    }
    for (variable, value, problem) in [
        (
            "OCCID_BACKEND_QEMU_BOOTS",
            "-1",
            "OCCID_BACKEND_QEMU_BOOTS must not be negative",
        ),
        (
            "OCCID_BACKEND_QEMU_STOP_GRACE",
            "60s",
            "OCCID_BACKEND_QEMU_STOP_GRACE must be a whole number",
        ),
        (
            "OCCID_BACKEND_QEMU_SSH_PORTS",
            "[5]",
            "OCCID_BACKEND_QEMU_SSH_PORTS must be a list",
        ),
        (
            "OCCID_BACKEND_QEMU_BOTS",
            "1",
            "OCCID_BACKEND_QEMU_BOTS: unknown key \"bots\"",
        ),
        ("OCCID_RATE_BURST", "-1", "OCCID_RATE_BURST must not be negative"),
    ] {
        let setup = Setup::default().variable(variable, value);
        let words = setup.run(&["--check-config", "--backend", "qemu"]).bad();
        assert!(words.contains(problem), "{variable}: {words}");
    }
    let setup = Setup::default()
        .variable("OCCID_BACKEND_QEMU_SSH_PORTS", "[2000, 3000]")
        .variable("OCCID_BACKEND_QEMU_IMAGES", "/a,/b")
        .variable("OCCID_BACKEND_QEMU_DEFAULT_IMAGE", "12");
    setup.run(&["--check-config", "--backend", "qemu"]).good();
}

#[test]
fn a_configuration_that_could_serve_nobody_is_not_valid() {
    for (text, what) in [
        ("[http]\nconnections = 0", "http.connections: must be at least 1"),
        ("[http]\nrequests = 0", "http.requests: must be at least 1"),
        (
            "[http]\nheader_field_limit = \"1 B\"",
            "http.header_field_limit: must be at least 1 KiB",
        ),
        (
            "[http]\nbody_timeout = \"0s\"",
            "http.body_timeout: must be at least 100ms",
        ),
        ("[log]\nfilter = \"zork==\"", "log.filter: "),
        (
            "[engine]\nrefresh_interval = \"0s\"",
            "engine.refresh_interval: must be at least 100ms",
        ),
        ("[engine]\nsite = \"foo\"", "engine.site: \"foo\" is no base"),
        ("[engine]\nsite = \"http://x y\"", "engine.site: "),
        (
            "[engine]\nsite = \"http://schemas.ogf.org/occi\"",
            "belongs to the documents of the standard",
        ),
        (
            "[engine]\nsite = \"http://schemas.ogf.org/\"",
            "belongs to the documents of the standard",
        ),
        (
            "[server]\nbackends = [\"memory\", \"memory\"]",
            "\"memory\" is named twice",
        ),
    ] {
        let words = Setup::default().config(text).run(&["--check-config"]).bad();
        assert!(words.contains(what), "{text}: {words}");
    }
    let setup = Setup::default();
    let words = setup.run(&["--check-config", "--backend", "memory,memory"]).bad();
    assert!(words.contains("\"memory\" is named twice"), "{words}");
}

#[test]
fn a_start_that_fails_says_why_and_nothing_else() {
    let setup = Setup::default();
    let key = setup.home().join("key");
    std::fs::write(&key, "no key").unwrap();
    let key = key.to_str().unwrap();
    let broken = setup.config(&format!("[http]\ntls_certificate = {key:?}\ntls_key = {key:?}"));
    let words = broken.fail_to_start().bad();
    assert!(words.contains("http.tls_") && !words.contains("ERROR"), "{words}");
    let folder = Setup::default();
    let words = folder.run(&["--config", folder.home().to_str().unwrap()]).bad();
    assert!(words.contains("name a file with --config"), "{words}");
}

#[test]
fn what_stands_in_the_way_of_a_start_is_named_with_its_remedy() {
    let occid = Occid::start();
    let taken = occid.address.to_string();
    let unwritable = "/proc/occid";
    for (setup, what, remedy) in [
        (
            Setup::default().flags(&["--listen", &taken]),
            "server.listen: cannot listen",
            "choose another port",
        ),
        (
            Setup::default().flags(&["--listen", "off"]),
            "server.listen",
            "ADDR:PORT",
        ),
        (
            Setup::default().flags(&["--data-dir", unwritable]),
            "server.data_dir",
            "--data-dir",
        ),
        (
            Setup::default().flags(&["--data-dir", ""]),
            "server.data_dir: the path is empty",
            "--data-dir",
        ),
        (
            Setup::default().flags(&["--backend", "abacus"]),
            "no engine \"abacus\"",
            "memory",
        ),
        (
            Setup::default().variable("OCCID_RATE_BURST", "lots"),
            "OCCID_RATE_BURST must be a whole number",
            "rate.burst",
        ),
        (
            Setup::default().config("[backend.memory]\ncolour = 1"),
            "colour",
            "[backend.memory]",
        ),
        (
            Setup::default().config("[log]\nfilter = \"=\""),
            "log.filter",
            "warn,occi_engine=debug",
        ),
        (
            Setup::default().variable("OCCID_FAULT", "create"),
            "OCCID_FAULT",
            "verb:point:effect",
        ),
    ] {
        let words = setup.fail_to_start().bad();
        assert!(
            words.contains(what) && words.contains(remedy),
            "{what}, {remedy}: {words}"
        );
        for made in ["occid.db", "initial-admin-password"] {
            assert!(!setup.data().join(made).exists(), "{what}: it left {made}");
        }
    }
}

#[test]
fn flags_win_over_variables_and_these_over_the_file() {
    let setup = Setup::default()
        .config("[auth]\nrealm = \"file\"\n[log]\nformat = \"json\"")
        .variable("OCCID_AUTH_REALM", "variable")
        .variable("OCCID_LISTEN", "off");
    let occid = setup.start();
    let answer = occid.anonymous().get("/-/").expect(401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Basic realm=\"variable\", charset=\"UTF-8\"")
    );
}

#[test]
fn a_supervisor_is_told_when_the_service_is_there_and_when_it_goes() {
    let setup = Setup::default();
    let path = setup.home().join("notify.sock");
    let supervisor = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut buffer = [0; 1024];
        let length = supervisor.recv(&mut buffer).expect("a word from the service");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let occid = setup.variable("NOTIFY_SOCKET", path.to_str().unwrap()).start();
    assert!(heard().lines().any(|line| line == "READY=1"));
    // It said so when it was true.
    occid.anonymous().get("/healthz").expect(200);
    occid.signal(Signal::TERM);
    assert!(heard().lines().any(|line| line == "STOPPING=1"));
}

#[test]
fn the_service_may_listen_on_a_unix_socket() {
    let setup = Setup::default();
    let socket = setup.home().join("occid.sock");
    let address = format!("unix:{}", socket.display());
    // Its first line is no URL with a port, so it is only checked here.
    let mut child = setup
        .command(&["--backend", "memory", "--listen", &address])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let stream = std::os::unix::net::UnixStream::connect(&socket);
    let answer =
        stream.map(|stream| crate::client::Raw::over(stream).exchange("GET /healthz HTTP/1.1\r\nHost: occid\r\n\r\n"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(line.trim_end(), format!("listening on {address}"));
    assert_eq!(answer.unwrap().status, 200);
    assert!(status.success());
    assert!(!socket.exists());
}

#[test]
fn the_sample_configuration_is_up_to_date() {
    let sample = Setup::default().run(&["--sample-config"]).good();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/occid.toml");
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        kept == sample,
        "docs/occid.toml is not what `occid --sample-config` prints: write it anew"
    );
}
