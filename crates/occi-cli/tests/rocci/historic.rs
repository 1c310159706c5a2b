//! Servers of its time, and what it asks of them.

use crate::run::{Run, good, occi};
use crate::stub::{Stub, answer, json, recorded, text, with};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What an rOCCI-server 1 offers.
pub(crate) const MODEL: &str = r#"Category: entity;scheme="http://schemas.ogf.org/occi/core#";class="kind";title="entity";location="/entity/";attributes="occi.core.id{immutable required} occi.core.title"
Category: resource;scheme="http://schemas.ogf.org/occi/core#";class="kind";title="resource";rel="http://schemas.ogf.org/occi/core#entity";location="/resource/";attributes="occi.core.id{immutable required} occi.core.title occi.core.summary"
Category: link;scheme="http://schemas.ogf.org/occi/core#";class="kind";title="link";rel="http://schemas.ogf.org/occi/core#entity";location="/link/";attributes="occi.core.id{immutable required} occi.core.source{required} occi.core.target"
Category: compute;scheme="http://schemas.ogf.org/occi/infrastructure#";class="kind";title="compute resource";rel="http://schemas.ogf.org/occi/core#resource";location="/compute/";attributes="occi.core.id{immutable required} occi.core.title occi.compute.cores occi.compute.hostname occi.compute.memory occi.compute.state{immutable}";actions="http://schemas.ogf.org/occi/infrastructure/compute/action#start http://schemas.ogf.org/occi/infrastructure/compute/action#stop http://schemas.ogf.org/occi/infrastructure/compute/action#save"
Category: network;scheme="http://schemas.ogf.org/occi/infrastructure#";class="kind";title="network resource";rel="http://schemas.ogf.org/occi/core#resource";location="/network/";actions="http://schemas.ogf.org/occi/infrastructure/network/action#up"
Category: storage;scheme="http://schemas.ogf.org/occi/infrastructure#";class="kind";title="storage resource";rel="http://schemas.ogf.org/occi/core#resource";location="/storage/"
Category: securitygroup;scheme="http://schemas.ogf.org/occi/infrastructure#";class="kind";title="security group";rel="http://schemas.ogf.org/occi/core#resource";location="/securitygroup/"
Category: networkinterface;scheme="http://schemas.ogf.org/occi/infrastructure#";class="kind";title="networkinterface link";rel="http://schemas.ogf.org/occi/core#link";location="/link/networkinterface/";actions="http://schemas.ogf.org/occi/infrastructure/networkinterface/action#up"
Category: storagelink;scheme="http://schemas.ogf.org/occi/infrastructure#";class="kind";title="storagelink link";rel="http://schemas.ogf.org/occi/core#link";location="/link/storagelink/"
Category: securitygrouplink;scheme="http://schemas.ogf.org/occi/infrastructure#";class="kind";title="security group link";rel="http://schemas.ogf.org/occi/core#link";location="/link/securitygrouplink/"
Category: os_tpl;scheme="http://schemas.ogf.org/occi/infrastructure#";class="mixin";title="operating system template";location="/mixin/os_tpl/"
Category: resource_tpl;scheme="http://schemas.ogf.org/occi/infrastructure#";class="mixin";title="resource template";location="/mixin/resource_tpl/"
Category: ipnetworkinterface;scheme="http://schemas.ogf.org/occi/infrastructure/networkinterface#";class="mixin";title="IP";location="/mixin/ipnetworkinterface/"
Category: debian;scheme="http://occi.example.org/occi/infrastructure/os_tpl#";class="mixin";title="Debian";rel="http://schemas.ogf.org/occi/infrastructure#os_tpl";location="/mixin/os_tpl/debian/"
Category: debian;scheme="http://occi.example.org/old/os_tpl#";class="mixin";title="Debian, old";rel="http://schemas.ogf.org/occi/infrastructure#os_tpl";location="/mixin/os_tpl/debian-old/"
Category: small;scheme="http://schemas.example.org/sizes#";class="mixin";title="Small";rel="http://schemas.ogf.org/occi/infrastructure#resource_tpl";location="/mixin/resource_tpl/small/"
Category: large;scheme="http://schemas.example.org/sizes#";class="mixin";title="Large";rel="http://schemas.ogf.org/occi/infrastructure#resource_tpl";location="/mixin/resource_tpl/large/"
Category: public_key;scheme="http://schemas.openstack.org/instance/credentials#";class="mixin";title="key";location="/mixin/public_key/";attributes="org.openstack.credentials.publickey.name org.openstack.credentials.publickey.data"
Category: user_data;scheme="http://schemas.openstack.org/compute/instance#";class="mixin";title="data";location="/mixin/user_data/";attributes="org.openstack.compute.user_data"
Category: start;scheme="http://schemas.ogf.org/occi/infrastructure/compute/action#";class="action";title="Start"
Category: stop;scheme="http://schemas.ogf.org/occi/infrastructure/compute/action#";class="action";title="Stop";attributes="method"
Category: save;scheme="http://schemas.ogf.org/occi/infrastructure/compute/action#";class="action";title="Save";attributes="name"
Category: up;scheme="http://schemas.ogf.org/occi/infrastructure/network/action#";class="action";title="Up"
Category: up;scheme="http://schemas.ogf.org/occi/infrastructure/networkinterface/action#";class="action";title="Up"
"#;

pub(crate) const COMPUTE: &str = r#"Category: compute;scheme="http://schemas.ogf.org/occi/infrastructure#";class="kind";title="compute resource"
Category: debian;scheme="http://occi.example.org/occi/infrastructure/os_tpl#";class="mixin";title="Debian"
X-OCCI-Attribute: occi.core.id="42"
X-OCCI-Attribute: occi.core.title="web 1"
X-OCCI-Attribute: occi.compute.memory=2.0
X-OCCI-Attribute: occi.compute.state="active"
Link: </compute/42?action=stop>;rel="http://schemas.ogf.org/occi/infrastructure/compute/action#stop"
Link: </network/24>;rel="http://schemas.ogf.org/occi/infrastructure#network";self="/link/networkinterface/compute_42_nic_0";category="http://schemas.ogf.org/occi/infrastructure#networkinterface";occi.core.id="compute_42_nic_0";occi.core.target="/network/24"
"#;

pub(crate) async fn rocci_1() -> Stub {
    Stub::start(|seen| {
        let host = seen.header("host");
        let at = |path: &str| format!("X-OCCI-Location: http://{host}{path}");
        let list = |lines: &str| answer(200, "text/uri-list", lines.to_owned());
        let is_list = seen.header("accept").contains("uri-list");
        let response = match seen.line().as_str() {
            "GET /-/" => text(200, MODEL),
            "GET /compute/" if is_list => list(&format!("http://{host}/compute/42")),
            "GET /compute/" => text(200, at("/compute/42")),
            "GET /compute/42" => text(200, COMPUTE),
            "GET /network/" => text(200, ""),
            "POST /compute/" => text(201, at("/compute/42")),
            "POST /storage/" => text(201, at("/storage/7")),
            "POST /link/storagelink/" => text(201, at("/link/storagelink/compute_42_disk_1")),
            "POST /link/networkinterface/" => text(201, at("/link/networkinterface/compute_42_nic_1")),
            "POST /compute/42?action=save" => text(
                200,
                "Category: gold;scheme=\"http://occi.example.org/occi/infrastructure/os_tpl#\";class=\"mixin\";title=\"gold\"",
            ),
            "POST /compute/42?action=stop" | "POST /compute/42" | "POST /network/24?action=up" => text(200, ""),
            "DELETE /compute/42" | "DELETE /link/storagelink/compute_42_disk_1" => text(200, ""),
            _ => text(404, "there is no such thing"),
        };
        with(response, "server", "Apache rOCCI-server OCCI/1.1")
    })
    .await
}

/// Who answers before it is done names the operation, which names what was made.
pub(crate) async fn accepted() {
    let stub = Stub::start(|seen| {
        let response = match seen.line().as_str() {
            "GET /-/" => text(200, MODEL),
            "GET /-/operation/1" => json(
                200,
                &json!({ "id": "1", "verb": "create", "state": "running", "entity": "/link/networkinterface/7" }),
            ),
            _ => with(text(202, ""), "location", "/-/operation/1"),
        };
        with(response, "occid", "1")
    })
    .await;
    let made = good(&format!("-e {} -a link -r /compute/42 -j /network/24", stub.url));
    assert_eq!(made, format!("{}link/networkinterface/7\n", stub.url));
}

/// Section 7 of what is known of it, line by line: what is sent after the model, and what is printed.
pub(crate) async fn invocations() {
    let stub = rocci_1().await;
    let url = &stub.url;
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let key = file("id.pub", "ssh-ed25519 AAAAC3Nz ann@example.org\n");
    let init = file("init.yaml", "#cloud-config\n");
    let rows: Vec<(String, &[&str], &str)> = vec![
        ("-n basic -u alice -p secret -a list -r compute".into(), &["GET /compute/"], "{url}compute/42\n"),
        ("-a describe -r os_tpl -o json".into(), &[], "debian"),
        ("-n token -q t0ken -a describe -r resource_tpl#small -o json_pretty".into(), &[], "\"term\": \"small\""),
        (
            format!(
                "-n basic -u a -p b -a create -r compute -M os_tpl#debian,resource_tpl#small -t occi.core.title=\"web 1\" \
                 -T public_key=\"file://{key}\" -T user_data=\"file://{init}\" -w 600"
            ),
            &["POST /compute/", "GET /compute/42"],
            "{url}compute/42\n",
        ),
        (
            "-a create -r compute -M os_tpl#debian -M resource_tpl#small -t occi.core.title=x -j /network/24 -j /storage/7".into(),
            &["POST /compute/"],
            "{url}compute/42\n",
        ),
        (
            "-a create -r storage -t occi.core.title=data -t occi.storage.size='num(10)'".into(),
            &["POST /storage/"],
            "{url}storage/7\n",
        ),
        ("-a link -r /compute/42 -j /storage/7".into(), &["POST /link/storagelink/"], "{url}link/storagelink/compute_42_disk_1\n"),
        (
            "-a link -r /compute/42 -j /network/24 -M ipnetworkinterface".into(),
            &["POST /link/networkinterface/"],
            "{url}link/networkinterface/compute_42_nic_1\n",
        ),
        ("-a unlink -r /link/storagelink/compute_42_disk_1".into(), &["DELETE /link/storagelink/compute_42_disk_1"], ""),
        ("-a trigger -r /compute/42 -g stop -t method=graceful".into(), &["POST /compute/42?action=stop"], ""),
        (
            "-a trigger -r /compute/42 -g http://schemas.ogf.org/occi/infrastructure/compute/action#save -t name=gold".into(),
            &["POST /compute/42?action=save"],
            "http://occi.example.org/occi/infrastructure/os_tpl#gold\n",
        ),
        // A wrong scheme goes by its term, and the kind settles what several have.
        ("-a trigger -r /network/24 -g action#up".into(), &["POST /network/24?action=up"], ""),
        ("-a update -r /compute/42 -M resource_tpl#large".into(), &["POST /compute/42"], ""),
        (format!("-a delete -r {url}compute/42"), &["DELETE /compute/42"], ""),
        ("-a discover -i link".into(), &[], "[[ http://schemas.ogf.org/occi/infrastructure#storagelink ]]"),
        ("-m -F http://schemas.ogf.org/occi/infrastructure#compute".into(), &[], "\ncompute;scheme=\"http://schemas.ogf.org/occi/infrastructure#\";class=\"kind\";title="),
        // Not in that section, and no less used.
        ("-a list -r network".into(), &["GET /network/"], "\n"),
        ("-a list -r os_tpl -o json".into(), &[], "[\"http://occi.example.org/occi/infrastructure/os_tpl#debian\","),
        ("-a describe -r /compute/42".into(), &["GET /compute/42"], ">> location: /compute/42\nocci.core.id = 42\nocci.core.title = web 1"),
        ("-a describe -r http://schemas.ogf.org/occi/infrastructure#compute -o json".into(), &["GET /compute/", "GET /compute/42"], "\"memory\":2.0"),
    ];
    let mut sent = String::new();
    for (line, requests, printed) in rows {
        stub.seen();
        let out = good(&format!("-e {url} {line}"));
        let printed = printed.replace("{url}", url);
        match printed.ends_with('\n') || printed.is_empty() {
            true => assert_eq!(out, printed, "{line}"),
            false => assert!(out.contains(&printed), "{line}: {out}"),
        }
        let seen = stub.seen();
        let lines: Vec<_> = seen.iter().map(|seen| seen.line()).collect();
        assert_eq!(lines.first().map(String::as_str), Some("GET /-/"), "{line}");
        assert_eq!(&lines[1..], requests, "{line}");
        for write in seen.iter().filter(|seen| !seen.body.is_empty()) {
            sent.push_str(&format!("{}\n{}\n", write.line(), write.body));
        }
    }
    insta::assert_snapshot!("sent", sent);
}

/// rOCCI-server 2 and ooi, as far as they differ.
pub(crate) async fn others() {
    let rocci_2 = Stub::start(|seen| {
        let host = seen.header("host");
        let headers = [
            (
                "x-occi-category",
                "compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"",
            ),
            ("x-occi-attribute", "occi.core.id=\"42\""),
            ("x-occi-attribute", "occi.compute.state=\"waiting\""),
        ];
        let response = match seen.line().as_str() {
            "GET /-/" => text(200, MODEL),
            "GET /compute/" => answer(200, "text/uri-list", format!("http://{host}/compute/42\r\n")),
            "GET /network/" => text(204, ""),
            "GET /compute/42" => headers
                .iter()
                .fold(answer(200, "text/occi", ""), |response, (name, value)| {
                    with(response, name, value)
                }),
            "POST /compute/" => with(
                answer(201, "text/occi", ""),
                "location",
                &format!("http://{host}/compute/42"),
            ),
            "DELETE /compute/42" => text(204, ""),
            _ => json(
                400,
                &json!({ "status": "bad_request", "error": "Requested action is not available" }),
            ),
        };
        with(
            response,
            "server",
            "rOCCI-server OCCI/1.1 OCCI-CRTP/1.0 OCCI/1.2 OCCI-CRTP/1.1",
        )
    })
    .await;
    let url = &rocci_2.url;
    assert_eq!(
        good(&format!("-e {url} -a list -r compute")),
        format!("{url}compute/42\n")
    );
    assert_eq!(good(&format!("-e {url} -a list -r network -o json")), "[]\n");
    assert!(good(&format!("-e {url} -a describe -r compute")).contains("occi.compute.state = waiting\n"));
    assert_eq!(
        good(&format!(
            "-e {url} -a create -r compute -M os_tpl#debian -t occi.core.title=x -y text/occi"
        )),
        format!("{url}compute/42\n")
    );
    assert_eq!(good(&format!("-e {url} -a delete -r /compute/42")), "");
    let refused = occi(&format!("-e {url} -a trigger -r /compute/42 -g start"));
    assert_eq!(refused.code, Some(1));
    assert!(
        refused
            .err
            .contains("HTTP Response status: [400] Bad Request : Requested action is not available"),
        "{refused:?}"
    );

    let ooi = Stub::start(|seen| {
        let agent = seen.header("user-agent");
        if !agent.contains("OCCI/1.1") || agent.contains("OCCI/1.2") {
            return with(text(501, "OCCI/1.2 not supported"), "server", "ooi/1.2.0 OCCI/1.1");
        }
        let base = format!("http://{}/occi1.1", seen.header("host"));
        let response = match seen.line().as_str() {
            "GET /occi1.1/-/" => text(200, MODEL.replace("location=\"/", &format!("location=\"{base}/"))),
            "GET /occi1.1/compute/" => text(200, format!("X-OCCI-Location: {base}/compute/vm-1\n")),
            "POST /occi1.1/compute/" => text(200, format!("X-OCCI-Location: {base}/compute/vm-1")),
            "DELETE /occi1.1/compute/vm-1" => text(204, ""),
            _ => text(404, ""),
        };
        with(response, "server", "ooi/1.2.0 OCCI/1.1")
    })
    .await;
    let url = format!("{}occi1.1", ooi.url);
    let machine = format!("{url}/compute/vm-1");
    assert_eq!(good(&format!("-e {url} -a list -r compute")), format!("{machine}\n"));
    let create = format!("-e {url} -a create -r compute -M os_tpl#debian -t occi.core.title=x");
    assert_eq!(good(&create), format!("{machine}\n"));
    assert_eq!(good(&format!("-e {url} -a delete -r {machine}")), "");
}

/// A key and user data go by OpenStack's mixins, but to a server that has the standard's only.
pub(crate) async fn contexts() {
    let standard = MODEL
        .replace(
            "public_key;scheme=\"http://schemas.openstack.org/instance/credentials#\"",
            "ssh_key;scheme=\"http://schemas.ogf.org/occi/infrastructure/credentials#\"",
        )
        .replace(
            "user_data;scheme=\"http://schemas.openstack.org/compute/instance#\"",
            "user_data;scheme=\"http://schemas.ogf.org/occi/infrastructure/compute#\"",
        );
    let additions: Vec<_> = standard.lines().filter(|line| !MODEL.contains(line)).collect();
    let both = format!("{MODEL}{}\n", additions.join("\n"));
    let bare: String = MODEL
        .lines()
        .filter(|line| !line.contains("openstack"))
        .map(|line| format!("{line}\n"))
        .collect();
    for (model, key, data) in [
        (standard, "occi.credentials.ssh.publickey", "occi.compute.userdata"),
        (
            both,
            "org.openstack.credentials.publickey.data",
            "org.openstack.compute.user_data",
        ),
        // As ever, whatever a server says that it has.
        (
            bare,
            "org.openstack.credentials.publickey.data",
            "org.openstack.compute.user_data",
        ),
    ] {
        let stub = Stub::start(move |seen| match seen.line().as_str() {
            "GET /-/" => text(200, model.clone()),
            _ => text(
                201,
                format!("X-OCCI-Location: http://{}/compute/1", seen.header("host")),
            ),
        })
        .await;
        good(&format!(
            "-e {} -a create -r compute -M os_tpl#debian -t occi.core.title=x -T 'public_key=ssh-rsa AAAA a@b,user_data=hello'",
            stub.url
        ));
        let body = &stub.seen()[1].body;
        assert!(body.contains(&format!("{key}=\"ssh-rsa AAAA a@b\"")), "{body}");
        assert!(body.contains(&format!("{data}=\"aGVsbG8=\"")), "{body}");
    }
}

/// What those servers have really answered.
pub(crate) async fn recordings() {
    let machine = "compute/5d2f6d0e-6f0c-4f0e-9e2e-0d6a0c1f7b11";
    let create = "-a create -r compute -M os_tpl#debian -t occi.core.title=x";
    let mut said = String::new();
    for (file, request, line) in [
        ("rocci1-create.resp.http", "POST /compute/", create),
        ("rocci1-create-occi.resp.http", "POST /compute/", create),
        ("rocci2-create-json.resp.http", "POST /compute/", create),
        ("ooi-create.resp.http", "POST /compute/", create),
        ("rocci1-list-occi.resp.http", "GET /compute/", "-a list -r compute"),
        (
            "ooi-action.resp.http",
            "POST /compute/1?action=start",
            "-a trigger -r /compute/1 -g start",
        ),
        ("ooi-compute.resp.http", "GET /compute/1", "-a describe -r /compute/1"),
        (
            "ooi-compute.resp.http",
            "GET /compute/1",
            "-a describe -r /compute/1 -o json",
        ),
        (
            "pyssf-entity.resp.http",
            "GET /compute/1",
            "-a describe -r /compute/1 -o json",
        ),
        (
            "rocci-v2-headers.resp.http",
            "GET /compute/1",
            "-a describe -r /compute/1 -o json",
        ),
    ] {
        let stub = Stub::start(move |seen| match seen.line() == request {
            true => recorded(file, seen.header("host")),
            false => text(200, MODEL),
        })
        .await;
        let out = good(&format!("-e {} {line}", stub.url));
        if line == create {
            assert_eq!(out, format!("{}{machine}\n", stub.url), "{file}");
            continue;
        }
        said.push_str(&format!(
            "# {file}\n$ occi {line}\n{}",
            out.replace(&stub.url, "http://server/")
        ));
    }
    insta::assert_snapshot!("recordings", said);
}

/// One line, in the form of Ruby's logger, where the log is; and nothing on stdout.
pub(crate) async fn failures() {
    let stub = rocci_1().await;
    let url = &stub.url;
    for (line, words) in [
        (
            "-a describe -r /compute/43",
            "HTTP Response status: [404] Not Found : there is no such thing",
        ),
        ("-a describe -r nonsense", "nothing called \"nonsense\""),
        ("-a describe -r up", "nothing called \"up\""),
        ("-a list -r /compute/42", "is an instance"),
        ("-a create -r os_tpl -t occi.core.title=x", "is no kind"),
        ("-a create -r storagelink -t occi.core.title=x", "-a link makes those"),
        (
            "-a create -r compute -M os_tpl#nothing -t occi.core.title=x",
            "nothing called \"os_tpl#nothing\"",
        ),
        (
            "-a create -r compute -M debian -t occi.core.title=x",
            "could be any of 2 mixins",
        ),
        (
            "-a link -r /compute/42 -j /elsewhere/1",
            "no kind of link leads to /elsewhere/1",
        ),
        (
            "-a link -r /compute/42 -j /network/1 -j /network/2",
            "one link at a time",
        ),
        ("-a link -r compute -j /network/1", "is no instance"),
        ("-a trigger -r /compute/42 -g explode", "explode"),
        ("-a trigger -r /elsewhere/1 -g up", "[404]"),
        ("-a update -r compute -M resource_tpl#large", "is no instance"),
        ("-a delete -r os_tpl#debian", "is a mixin"),
        (
            "-a delete -r https://elsewhere.example.org/compute/42",
            "nothing is sent elsewhere",
        ),
        ("-n token -a list -r compute", "a token is needed"),
        ("-n basic -a list -r compute", "there is nobody to ask"),
        ("-n x509 -a list -r compute", "usercred.pem"),
    ] {
        let said = occi(&format!("-e {url} {line}"));
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{line}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{line}: {said:?}");
        assert!(said.err.contains(words), "{line}: {said:?}");
        assert!(
            said.err.starts_with("F, [20")
                && said
                    .err
                    .contains("] FATAL -- : [rOCCI-cli] An error occurred! Message: "),
            "{line}: {said:?}"
        );
    }
    let line = format!("-e {url} -a describe -r nonsense");
    let said = occi(&format!("{line} -l stdout"));
    assert!(said.out.contains("FATAL") && said.err.is_empty(), "{said:?}");
    let said = occi(&format!("{line} -b unknown"));
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(1), "", ""));
    // Nobody answers.
    let said = occi("-e http://127.0.0.1:9/ -k 1 -a list -r compute");
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("cannot be reached"), "{said:?}");
    // The first of several templates, and a word about it where words are wanted.
    let create = format!("-e {url} -a create -r compute -t occi.core.title=x -M os_tpl#debian -b warn");
    let said = occi(&create);
    assert_eq!(said.code, Some(0));
    assert!(
        said.err.contains("W, [") && said.err.contains("the first is taken"),
        "{said:?}"
    );
}

pub(crate) async fn waiting() {
    let fails = Arc::new(AtomicBool::new(false));
    let has_failed = fails.clone();
    let stub = Stub::start(move |seen| {
        let state = if has_failed.load(Ordering::SeqCst) {
            "error"
        } else {
            "waiting"
        };
        match seen.line().as_str() {
            "GET /-/" => text(200, MODEL),
            "POST /compute/" => text(
                201,
                format!("X-OCCI-Location: http://{}/compute/42", seen.header("host")),
            ),
            "GET /compute/42" => text(200, COMPUTE.replace("\"active\"", &format!("\"{state}\""))),
            _ => text(404, ""),
        }
    })
    .await;
    let line = format!(
        "-e {} -a create -r compute -M os_tpl#debian -t occi.core.title=x -w 1",
        stub.url
    );
    for is_error in [false, true] {
        fails.store(is_error, Ordering::SeqCst);
        let said = occi(&line);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        let strict = Run::new(&format!("{line} --strict")).said();
        assert_eq!((strict.code, &strict.out), (Some(1), &said.out), "{strict:?}");
        assert!(
            strict
                .err
                .contains(if is_error { "error" } else { "did not become active" }),
            "{strict:?}"
        );
    }
}
