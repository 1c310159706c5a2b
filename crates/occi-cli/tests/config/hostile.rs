//! Words of servers that a terminal would obey, and a terminal that is not there.

use crate::person::{PASSWORD, Person, TOKEN};
use crate::stub::{Seen, Stub, answer, json, model, query_interface, text, with};
use axum::body::Body;
use http::Response;
use regex::Regex;
use serde_json::json;
use std::fs::File;
use std::process::{Command, Stdio};

const COMPUTE: &str = "http://schemas.ogf.org/occi/infrastructure#compute";
/// A title for the window, an empty screen, both again without ESC, and the beginning of the line.
const EVIL: &str = "x\u{1b}]0;y\u{7}\u{1b}[2J\u{1b}[31mz\u{9d}0;y\u{9c}\u{9b}2J\rw\u{8}\u{7f}";

/// A server whose every word is meant for the terminal.
fn hostile(seen: &Seen) -> Response<Body> {
    // In text it would end the line.
    let in_text = EVIL.replace('\r', "");
    match seen.line().as_str() {
        "GET /-/" => {
            let model = String::from_utf8(query_interface()).unwrap();
            let mixin = format!(
                "Category: evil; scheme=\"http://evil.test/os#\"; class=\"mixin\"; title=\"{in_text}\"; \
                 rel=\"http://schemas.ogf.org/occi/infrastructure#os_tpl\"; location=\"/evil/\"\n"
            );
            text(200, model + &mixin)
        }
        "GET /network/" => text(200, format!("X-OCCI-Location: http://evil.test/network/{in_text}\n")),
        line if line.starts_with("GET /compute/1") => {
            let machine = json!({
                "kind": COMPUTE,
                "id": "1",
                "title": EVIL,
                "summary": EVIL,
                "mixins": ["http://evil.test/os#evil"],
                "attributes": {
                    "occi.compute.state": "error",
                    "occi.compute.state.message": EVIL,
                    "occi.compute.hostname": EVIL,
                },
            });
            answer(200, "application/occi+json", machine.to_string())
        }
        line if line.starts_with("GET /compute/") => text(200, "X-OCCI-Location: http://evil.test/compute/1\n"),
        line if line.starts_with("PUT") => json(400, &json!({ "title": EVIL, "detail": EVIL, "message": EVIL })),
        _ => with(text(409, format!("no {EVIL}")), "x-request-id", "r-1"),
    }
}

pub(crate) async fn words() {
    let person = Person::new();
    let stub = Stub::start(hostile).await;
    person.write(
        "web.yaml",
        &format!("- compute: \"x\"\n  hostname: web\n  summary: {:?}\n", "new"),
    );
    // One's own colours are known by their form.
    let colors = Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    let mut seen = String::new();
    let lines = [
        "list compute",
        "list compute -o wide",
        "list compute -o json",
        "list compute -o yaml",
        "list compute -o csv",
        "list compute -o name",
        "list compute -o occi",
        "list compute -o jsonpath=$[*].title",
        "list compute -o jsonpath=$[*]",
        "show /compute/1 -o jsonpath=$.attributes",
        "list network",
        "list network -o name",
        "list mixin",
        "list mixin -o csv",
        "describe evil",
        "describe evil -o yaml",
        "show /compute/1",
        "show /compute/1 -o yaml",
        "show /compute/1 -o csv",
        "show /compute/1 -o name",
        "wait /compute/1",
        "wait /compute/1 --debug",
        "list compute --debug",
        "stop /compute/1",
        "stop /compute/1 --dry-run",
        "delete /compute/1",
        "delete /compute/1 --dry-run",
        "delete --all compute --dry-run",
        "update /compute/1 occi.core.title=new",
        "create compute x --os evil",
        "create compute x --os evil --dry-run",
        "apply -f ~/web.yaml --yes",
        "diff -f ~/web.yaml",
    ];
    let colored = lines
        .iter()
        .flat_map(|line| ["always", "never"].map(|color| format!("--endpoint {} --color {color} {line}", stub.url)));
    let old = ["plain", "json", "json_pretty"].map(|format| {
        let what = [
            "list -r network",
            "describe -r /compute/1",
            "describe -r compute",
            "list -r os_tpl",
        ];
        what.map(|what| format!("-e {} -o {format} -d -a {what}", stub.url))
    });
    let old_rest = ["-m", "-a trigger -r /compute/1 -g stop"].map(|rest| format!("-e {} {rest}", stub.url));
    for line in colored.chain(old.into_iter().flatten()).chain(old_rest) {
        let said = person.occi(&line).await;
        for side in [&said.out, &said.err] {
            let rest = colors.replace_all(side, "");
            let obeyed = rest.find(|c: char| c.is_control() && !matches!(c, '\n' | '\t'));
            assert_eq!(obeyed, None, "occi {line}: {said:?}");
            seen.push_str(&rest);
        }
    }
    // It was there to be seen.
    let count = seen.matches("]0;y").count();
    assert!(count > 150, "{count}");
}

/// Words for which there is no room are lost; what the program does is not.
pub(crate) async fn full() {
    let person = Person::new();
    let stub = Stub::of("one").await;
    for (line, code) in [
        ("api GET /who", 0),
        ("--debug api GET /who", 0),
        ("--debug list compute", 0),
        ("--endpoint nowhere list compute", 2),
        ("list nothing", 3),
        ("list --no-such-option", 2),
    ] {
        let line = format!("--endpoint {} {line}", stub.url);
        let mut command = Command::new(env!("CARGO_BIN_EXE_occi"));
        command
            .args(line.split(' '))
            .env_clear()
            .env("HOME", person.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().write(true).open("/dev/full").unwrap());
        let status = tokio::task::spawn_blocking(move || command.status())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{line}");
    }
}

/// A time that no clock counts is a long time.
pub(crate) async fn endless() {
    let person = Person::new();
    let stub = Stub::start(hostile).await;
    let most = u64::MAX;
    for line in [
        format!("wait /compute/1 --within {most}"),
        format!("stop /compute/1 --wait={most}"),
        format!("show /compute/1 --timeout {most}"),
        format!("list compute --timeout {most}h"),
    ] {
        let said = person.occi(&format!("--endpoint {} {line}", stub.url)).await;
        assert!(matches!(said.code, Some(0..=7)), "{line}: {said:?}");
    }
    for options in [format!("-w {most}"), format!("-k {most}"), format!("-w {most}0")] {
        let line = format!("-e {} -a create -r compute -t occi.core.title=x {options}", stub.url);
        let said = person.occi(&line).await;
        assert_eq!(said.code, Some(1), "{line}: {said:?}");
    }
}

/// `--debug` shows the beginning of a body, however many pieces it comes in, and not what goes into machines.
pub(crate) async fn debug() {
    let person = Person::new();
    let pieces = || {
        let pieces = (0..1000).map(|number| Ok::<_, std::io::Error>(format!("piece {number}\n")));
        Response::new(Body::from_stream(futures::stream::iter(pieces)))
    };
    let stub = Stub::start(move |seen| match seen.target.as_str() {
        "/pieces" => pieces(),
        "/-/" => model(),
        "/compute/2" => json(
            200,
            &json!({ "org.openstack.credentials.admin_pwd": "hidden, with \"quotes\"", "a": 1 }),
        ),
        _ => text(
            200,
            format!("X-OCCI-Location: http://{}/compute/1\n", seen.header("host")),
        ),
    })
    .await;
    let debug = format!("--endpoint {} --debug", stub.url);
    let said = person.occi(&format!("{debug} api GET /pieces")).await;
    assert!(said.out.contains("piece 999\n"), "{said:?}");
    assert!(
        said.err.contains("< piece 0\n") && said.err.len() < 16_384,
        "{} bytes",
        said.err.len()
    );
    assert!(said.err.ends_with("bytes)\n"), "{said:?}");
    person.write("user-data", "s3cret");
    let said = person
        .occi(&format!("{debug} create compute x --user-data @~/user-data"))
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    // As it goes out.
    assert!(
        said.err.contains("userdata") && !said.err.contains("czNjcmV0"),
        "{said:?}"
    );
    let said = person.occi(&format!("{debug} api GET /compute/2")).await;
    assert!(!said.err.contains("hidden"), "{said:?}");
    assert!(
        said.err.contains("admin_pwd\":***") && said.err.contains("\"a\":1"),
        "{said:?}"
    );
}

/// Who sends back what it was sent does not put a credential where it stays.
pub(crate) async fn echo() {
    let person = Person::new();
    let stub = Stub::start(|seen| {
        let shown = seen.header("authorization").to_owned() + seen.header("x-auth-token");
        let bare = if shown.starts_with("Basic") { PASSWORD } else { TOKEN };
        let status = if seen.target == "/bad" { 400 } else { 200 };
        if seen.target == "/kept" {
            return text(400, "s3cret-refresh and s3cret-client\n");
        }
        if seen.target == "/-/" {
            return model();
        }
        with(
            text(status, format!("you are {shown}, that is {bare}\n")),
            "x-you-are",
            &shown,
        )
    })
    .await;
    for who in [
        "--user ann --password-file ~/password",
        "--token-file ~/token",
        "--auth-token-file ~/token",
    ] {
        for (line, code) in [("GET /good --include", 0), ("GET /bad -i", 1)] {
            // That no secret is in what it says is always looked for.
            let said = person.occi(&format!("--endpoint {} {who} api {line}", stub.url)).await;
            assert_eq!(said.code, Some(code), "{said:?}");
            assert_eq!(said.out.matches("***").count(), 3, "{said:?}");
            assert!(said.out.contains("you are ***, that is ***\n"), "{said:?}");
        }
    }
    // What only an identity provider is shown, and what nobody is.
    let url = &stub.url;
    person.write(
        ".config/occi/config.toml",
        &format!(
            "[contexts.lab]\nendpoint = \"{url}\"\nauth = \"oidc\"\ntoken_endpoint = \"{url}\"\nclient_id = \"occi\"\n"
        ),
    );
    person.write(
        ".config/occi/credentials.toml",
        &format!("[contexts.lab]\ntoken = \"{TOKEN}\"\nrefresh_token = \"s3cret-refresh\"\nclient_secret = \"s3cret-client\"\n"),
    );
    let said = person.occi("--context lab api GET /kept").await;
    assert_eq!(said.out, "*** and ***\n", "{said:?}");
    let said = person.occi("--context lab show /kept").await;
    assert!(said.err.contains("*** and ***"), "{said:?}");
    let own = [
        "--endpoint",
        &stub.url,
        "api",
        "GET",
        "/good",
        "-H",
        "Authorization: Bearer s3cret-t0ken",
    ];
    let said = person.run(&[], &own, "").await;
    assert_eq!(said.out, "you are ***, that is ***\n", "{said:?}");
}
