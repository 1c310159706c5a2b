//! clouds.yaml, with a Keystone.

use crate::person::Person;
use crate::stub::{Stub, json, model, text, with};
use serde_json::{Value as Json, json};

/// Version 3, whose tokens name who got them: `s3cret-<user>-<project>`, and whose catalogue lists a server of OCCI in two
/// regions.
pub(crate) async fn keystone(near: &str, far: &str) -> Stub {
    let endpoint =
        |interface: &str, region: &str, url: &str| json!({ "interface": interface, "region": region, "url": url });
    let catalogue = json!([
        { "type": "identity", "name": "keystone", "endpoints": [] },
        { "type": "occi", "name": "occid", "endpoints": [
            endpoint("internal", "near", "http://internal.example.org/"),
            endpoint("public", "near", near),
            endpoint("public", "far", far),
        ] },
    ]);
    Stub::start(move |seen| {
        let refused = || {
            json(
                401,
                &json!({ "error": { "message": "The request you have made requires authentication." } }),
            )
        };
        let token = |who: &str, project: &str| {
            let body = json!({ "token": { "catalog": catalogue, "project": { "id": project, "name": project } } });
            with(json(201, &body), "x-subject-token", &format!("s3cret-{who}-{project}"))
        };
        let at = |path: &str| seen.at(path).unwrap_or_default();
        match seen.line().as_str() {
            "GET /" => json(300, &json!({ "versions": { "values": [{ "id": "v3.14" }] } })),
            "POST /v3/auth/tokens" => {
                let user = "/auth/identity/password/user";
                let domain = [at(&format!("{user}/domain/name")), at(&format!("{user}/domain/id"))].concat();
                let credential = at("/auth/identity/application_credential/secret");
                let before = at("/auth/identity/token/id");
                let project = [at("/auth/scope/project/id"), at("/auth/scope/project/name")].concat();
                match (
                    at(&format!("{user}/password")).as_str(),
                    credential.as_str(),
                    before.as_str(),
                ) {
                    ("s3cret-pa55word", ..) => token(&format!("{}@{domain}", at(&format!("{user}/name"))), "none"),
                    (_, "s3cret-credential", _) => token("c-1", "of-credential"),
                    (_, _, before) if before.starts_with("s3cret-") && !project.is_empty() => {
                        let who = before.split('-').nth(1).unwrap_or_default();
                        let domain = [
                            at("/auth/scope/project/domain/name"),
                            at("/auth/scope/project/domain/id"),
                        ]
                        .concat();
                        token(
                            who,
                            &format!("{project}{}{domain}", if domain.is_empty() { "" } else { "@" }),
                        )
                    }
                    _ => refused(),
                }
            }
            "GET /v3/auth/projects" => {
                let project = |id: &str, name: &str| json!({ "id": id, "name": name });
                json(
                    200,
                    &json!({ "projects": [project("p1", "one"), project("p2", "two")] }),
                )
            }
            _ => text(404, ""),
        }
    })
    .await
}

/// A server that takes tokens of that Keystone, and says of whom.
pub(crate) async fn server(name: &'static str) -> Stub {
    Stub::start(move |seen| match seen.header("x-auth-token").strip_prefix("s3cret-") {
        Some(who) if seen.target == "/who" => text(200, format!("{name}: {who}\n")),
        Some(_) => model(),
        None => text(401, "a token is needed"),
    })
    .await
}

fn clouds(clouds: Json) -> String {
    // JSON is YAML.
    json!({ "clouds": clouds }).to_string()
}

pub(crate) async fn catalogue() {
    let person = Person::new();
    let (near, far) = (server("near").await, server("far").await);
    let keystone = keystone(&near.url, &far.url).await;
    let url = keystone.url.as_str();
    let ann = |more: Json| {
        let mut auth = json!({ "auth_url": url, "username": "ann", "password": "s3cret-pa55word" });
        auth.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        auth
    };
    let credential = json!({
        "auth_url": url, "application_credential_id": "c-1", "application_credential_secret": "s3cret-credential",
    });
    person.write(
        "clouds.yaml",
        &clouds(json!({
            "plain": { "auth": ann(json!({})) },
            "by_name": { "auth": ann(json!({ "project_name": "two" })), "region_name": "far" },
            "by_id": { "auth": ann(json!({ "project_id": "p2", "project_domain_id": "x", "user_domain_id": "people" })) },
            "by_domain": { "auth": ann(json!({
                "project_name": "two", "project_domain_name": "labs", "user_domain_name": "people",
            })) },
            "credential": { "auth": credential, "auth_type": "v3applicationcredential" },
            "guessed": { "auth": credential },
            "named": { "auth": credential, "occi_endpoint_override": far.url },
            "token": { "auth": { "auth_url": url, "token": "s3cret-eve-none", "project_id": "p1" }, "auth_type": "v3token" },
            "nowhere": { "auth": credential, "region_name": "elsewhere" },
            "wrong": { "auth": { "auth_url": url, "username": "ann", "password": "s3cret-wrong" } },
        })),
    );
    for (cloud, who) in [
        ("plain", "near: ann@Default-p1"),
        ("by_name", "far: ann@Default-p2"),
        ("by_id", "near: ann@people-p2"),
        ("by_domain", "near: ann@people-two@labs"),
        ("credential", "near: c-of-credential"),
        ("guessed", "near: c-of-credential"),
        ("named", "far: c-of-credential"),
        ("token", "near: eve-p1"),
    ] {
        let said = person.occi(&format!("--cloud {cloud} --debug api GET /who")).await;
        let who = who.replace("c-of", "c-1-of");
        assert_eq!(said.out, format!("{who}\n"), "{cloud}: {said:?}");
        // One log-in, for the catalogue and the server. A password gives a token without a project first.
        let asked = keystone.lines();
        let asked = asked.iter().filter(|line| *line == "POST /v3/auth/tokens").count();
        let is_by_password = cloud == "plain" || cloud.starts_with("by_");
        assert_eq!(asked, if is_by_password { 2 } else { 1 }, "{cloud}");
    }
    assert_eq!(
        person.good("--cloud plain --project two api GET /who").await,
        "near: ann@Default-p2\n"
    );
    let said = person.occi("--cloud nowhere list compute").await;
    said.fails(
        "no such region",
        3,
        &["catalogue", "\"occi\"", "elsewhere", "occi_endpoint_override"],
    );
    let said = person.occi("--cloud wrong --debug list compute").await;
    said.fails("a wrong password", 4, &["gave no token", "requires authentication"]);
    // Without clouds.yaml the same is a log-in.
    let login = format!("login {} --keystone {url} --name k", near.url);
    let said = person
        .occi(&format!("{login} --user ann --password-file ~/password -o json"))
        .await;
    let shown: Json = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&shown["project"], &shown["auth"]), (&"p1".into(), &"keystone".into()));
    assert!(
        said.err.contains("the first of several") && said.err.contains("--project"),
        "{said:?}"
    );
    assert_eq!(person.good("api GET /who").await, "near: ann@Default-p1\n");
    person
        .good(&format!(
            "{login} --user ann --password-file ~/password --project two --project-domain labs"
        ))
        .await;
    assert_eq!(person.good("api GET /who").await, "near: ann@Default-two@labs\n");
    person.write("credential", "s3cret-credential");
    person
        .good(&format!(
            "{login} --application-credential c-1 --password-file ~/credential"
        ))
        .await;
    assert_eq!(person.good("api GET /who").await, "near: c-1-of-credential\n");
}

pub(crate) async fn files() {
    let person = Person::new();
    let stub = Stub::of("one").await;
    let basic = |password: Json| {
        clouds(json!({ "lab": {
            "auth_type": "http_basic", "auth": { "username": "ann", "password": password, "surprise": 1 },
            "occi_endpoint_override": stub.url, "compute_api_version": 2.79, "verify": true,
        } }))
    };
    person
        .occi("--cloud lab api GET /who")
        .await
        .fails("no file", 3, &["clouds.yaml", "~/.config/openstack"]);
    person.write(".config/openstack/clouds.yaml", &basic("s3cret-home".into()));
    assert_eq!(person.good("--cloud lab api GET /who").await, "one: ann by home\n");
    person.write("clouds.yaml", &basic("s3cret-here".into()));
    assert_eq!(person.good("--cloud lab api GET /who").await, "one: ann by here\n");
    person.write("secure.yaml", "clouds:\n  lab:\n    auth:\n      password: 0123\n");
    assert_eq!(person.good("--cloud lab api GET /who").await, "one: ann by 0123\n");
    person.write("elsewhere.yml", &basic("s3cret-elsewhere".into()));
    std::fs::remove_file(person.path("secure.yaml")).unwrap();
    let elsewhere = person.path("elsewhere.yml");
    let variables = [
        ("OS_CLIENT_CONFIG_FILE", elsewhere.to_str().unwrap()),
        ("OS_CLOUD", "lab"),
    ];
    assert_eq!(
        person.with(&variables, "api GET /who").await.out,
        "one: ann by elsewhere\n"
    );

    let with = |cloud: Json| clouds(json!({ "lab": cloud }));
    let auth = |key: &str, value: &str| with(json!({ "auth": { key: value } }));
    for (what, text, code, words) in [
        (
            "no YAML",
            "clouds:\n  lab: [s3cret\n".to_owned(),
            1,
            &["clouds.yaml, line", "has to be"][..],
        ),
        (
            "a list",
            "clouds:\n  lab:\n    auth: [s3cret]\n".to_owned(),
            1,
            &["clouds.yaml, line"],
        ),
        (
            "a wrong type",
            "clouds:\n  lab:\n    verify: s3cret\n".to_owned(),
            1,
            &["clouds.yaml, line 3"],
        ),
        (
            "no such cloud",
            clouds(json!({ "other": {} })),
            3,
            &["\"lab\"", "there are: other"],
        ),
        ("nothing", "".to_owned(), 3, &["\"lab\""]),
        (
            "no user",
            auth("auth_url", "http://127.0.0.1:1/"),
            2,
            &["cloud lab", "auth.username"],
        ),
        (
            "no Keystone",
            auth("username", "ann"),
            2,
            &["cloud lab", "auth.auth_url"],
        ),
        (
            "a vendor",
            with(json!({ "profile": "x", "auth": { "username": "ann" } })),
            2,
            &["auth.auth_url", "profile"],
        ),
        (
            "another way",
            with(json!({ "auth_type": "v3kerberos" })),
            2,
            &["v3kerberos", "v3password"],
        ),
        (
            "no endpoint",
            with(json!({ "auth_type": "none" })),
            2,
            &["occi_endpoint_override"],
        ),
        ("no secret", with(json!({ "auth_type": "v3token" })), 2, &["auth.token"]),
    ] {
        person.write("clouds.yaml", &text);
        person.occi("--cloud lab list compute").await.fails(what, code, words);
    }
}
