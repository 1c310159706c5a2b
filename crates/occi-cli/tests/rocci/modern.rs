//! The modern form, and a server of ten years ago: no JSON, no filters, no operations, ids of its own.

use crate::historic::{COMPUTE, MODEL, rocci_1};
use crate::run::Run;
use crate::stub::{Stub, text};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server is asked once in a run what it offers, also where nothing of that can be kept.
pub(crate) async fn once() {
    let stub = rocci_1().await;
    // Where a file stands nobody, not even root, makes a directory.
    let home = tempfile::NamedTempFile::new().unwrap();
    for line in [
        "show compute/42",
        "list compute",
        "list resource_tpl",
        "describe compute",
        "stop compute/42",
        "save compute/42 --as gold",
    ] {
        let run = Run::new(line).home(home.path()).env("OCCI_ENDPOINT", &stub.url);
        let said = run.said();
        assert_eq!(said.code, Some(0), "occi {line}: {said:?}");
        let asked = stub.lines().iter().filter(|line| *line == "GET /-/").count();
        assert_eq!(asked, 1, "occi {line}");
    }
}

/// What is typed, what is asked of the server after its model, and what is printed.
pub(crate) async fn historic() {
    let stub = rocci_1().await;
    let home = tempfile::tempdir().unwrap();
    let occi = |line: &str| {
        let run = Run::new(line).home(home.path()).env("OCCI_ENDPOINT", &stub.url);
        let said = run.said();
        assert_eq!(said.code, Some(0), "occi {line}: {said:?}");
        said
    };
    occi("model");
    stub.seen();
    let rows: [(&str, &[&str], &str); 20] = [
        (
            "list compute",
            &["GET /compute/", "GET /compute/42"],
            "TITLE  STATE   CORES  MEMORY  ADDRESSES  OS      ID\nweb 1  active  -      2 GiB   -          debian  42\n",
        ),
        (
            "list compute -o name",
            &["GET /compute/", "GET /compute/42"],
            "/compute/42\n",
        ),
        (
            "list compute --filter state=inactive -o json",
            &["GET /compute/", "GET /compute/42"],
            "[]\n",
        ),
        (
            "list compute --filter memory=2048M -o jsonpath=$[*].title",
            &["GET /compute/", "GET /compute/42"],
            "web 1\n",
        ),
        // No server but ours has a word for these.
        (
            "list compute --filter occi.core.title~eb -o jsonpath=$[*].title",
            &["GET /compute/", "GET /compute/42"],
            "web 1\n",
        ),
        (
            "list compute --filter occi.core.title= -o json",
            &["GET /compute/", "GET /compute/42"],
            "[]\n",
        ),
        ("list resource_tpl -o jsonpath=$[*].term", &[], "small\nlarge\n"),
        ("show /compute/42 -o jsonpath=$.state", &["GET /compute/42"], "active\n"),
        (
            "show compute/42 -o jsonpath=$.title",
            &["GET /compute/", "GET /compute/42"],
            "web 1\n",
        ),
        (
            "show 'compute/web 1' -o jsonpath=$.id",
            &["GET /compute/", "GET /compute/42", "GET /compute/42"],
            "42\n",
        ),
        (
            "create compute web --os http://occi.example.org/occi/infrastructure/os_tpl#debian --size small",
            &["POST /compute/"],
            "/compute/42\n",
        ),
        ("create storage data --size 10G", &["POST /storage/"], "/storage/7\n"),
        // What cannot be shown yet is a document too.
        (
            "create storage data --size 10G -o jsonpath=$.location",
            &["POST /storage/", "GET /storage/7"],
            "/storage/7\n",
        ),
        (
            "create compute web --size small --wait",
            &["POST /compute/", "GET /compute/42"],
            "/compute/42\n",
        ),
        (
            "attach /compute/42 /storage/7",
            &["GET /compute/42", "POST /link/storagelink/"],
            "/link/storagelink/compute_42_disk_1\n",
        ),
        ("stop /compute/42", &["POST /compute/42?action=stop"], ""),
        (
            "save /compute/42 --as gold",
            &["GET /compute/42", "POST /compute/42?action=save"],
            "http://occi.example.org/occi/infrastructure/os_tpl#gold\n",
        ),
        (
            "save /compute/42 --as gold -o jsonpath=$.id",
            &["GET /compute/42", "POST /compute/42?action=save"],
            "http://occi.example.org/occi/infrastructure/os_tpl#gold\n",
        ),
        ("resize /compute/42 large", &["POST /compute/42"], ""),
        ("delete /compute/42", &["DELETE /compute/42"], ""),
    ];
    for (line, requests, printed) in rows {
        let said = occi(line);
        assert_eq!(said.out, printed, "occi {line}");
        let lines: Vec<_> = stub.seen().iter().map(|seen| seen.line()).collect();
        let asked: Vec<_> = lines
            .iter()
            .map(String::as_str)
            .filter(|line| *line != "GET /-/")
            .collect();
        assert_eq!(asked, requests, "occi {line}");
    }
}

/// Ids are those of a kind alone: a machine and a network may have the same.
pub(crate) async fn same_ids() {
    let stub = Stub::start(|seen| {
        let at = |path: &str| text(200, format!("X-OCCI-Location: http://{}{path}\n", seen.header("host")));
        match seen.line().as_str() {
            "GET /-/" => text(200, MODEL),
            "GET /compute/" => at("/compute/42"),
            "GET /network/" => at("/network/42"),
            line if line.starts_with("GET") => text(404, ""),
            _ => text(200, ""),
        }
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    for (line, expected) in [
        ("delete 42", Err("/compute/42 /network/42")),
        ("update 42 title=x", Err("/compute/42 /network/42")),
        ("delete network 42", Ok("DELETE /network/42")),
        ("delete compute/42", Ok("DELETE /compute/42")),
        // Only one of them can do that.
        ("stop 42", Ok("POST /compute/42?action=stop")),
        ("act up 42", Ok("POST /network/42?action=up")),
    ] {
        let run = Run::new(line).home(home.path()).env("OCCI_ENDPOINT", &stub.url);
        let said = run.said();
        let lines = stub.lines();
        let changes: Vec<_> = lines.iter().filter(|line| !line.starts_with("GET")).collect();
        match expected {
            Ok(change) => assert_eq!(
                (said.code, changes),
                (Some(0), vec![&change.to_owned()]),
                "{line}: {said:?}"
            ),
            Err(places) => {
                let listed = places
                    .split(' ')
                    .all(|place| said.err.contains(&format!("- {place}\n")));
                assert!(said.code == Some(2) && listed && changes.is_empty(), "{line}: {said:?}");
            }
        }
    }
}

/// Where no operation says when a restart is over, a machine that is up has not restarted yet.
pub(crate) async fn restarts() {
    let states = ["active", "active", "waiting", "waiting", "active"];
    let (looks, line) = (AtomicUsize::new(0), "occi.compute.state=\"active\"");
    let stub = Stub::start(move |seen| match seen.line().as_str() {
        "GET /-/" => text(
            200,
            MODEL
                .replace("action#start", "action#restart")
                .replace("Category: start;", "Category: restart;"),
        ),
        "GET /compute/42" => {
            let look = looks.fetch_add(1, Ordering::SeqCst).min(states.len() - 1);
            assert!(COMPUTE.contains(line));
            text(
                200,
                COMPUTE.replace(line, &format!("occi.compute.state=\"{}\"", states[look])),
            )
        }
        _ => text(200, ""),
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let run = Run::new("restart /compute/42 --wait=20s").home(home.path());
    let said = run.env("OCCI_ENDPOINT", &stub.url).said();
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines = stub.lines();
    let looks = lines.iter().filter(|line| *line == "GET /compute/42").count();
    assert_eq!(looks, states.len(), "{lines:?}");
}
