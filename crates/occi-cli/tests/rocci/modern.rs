//! The modern form, and a server of ten years ago: no JSON, no filters, no operations, ids of its own.

use crate::historic::rocci_1;
use crate::run::Run;

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
    let rows: [(&str, &[&str], &str); 16] = [
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
            &["POST /compute/42?action=save"],
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
