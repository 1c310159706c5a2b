//! Who asks: the ways of Keystone, of OpenID Connect and of certificates.

use crate::common::query_interface;
use crate::stub::{Seen, Stub, builder, json, text, with};
use axum::body::Body;
use http::Response;
use occi_client::keystone::{Domain, Identity, Options};
use occi_client::oidc::{Provider, Session};
use occi_client::transport::Connector;
use occi_client::{Client, Credentials, ErrorKind, MediaType};
use occi_rendering::Base;
use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn model() -> Response<Body> {
    let base = Base::new("http://cloud.example.org", "");
    text(200, query_interface(MediaType::TextPlain, &base))
}

/// A server that takes tokens of this Keystone for which a function stands up, and sends everybody else there.
async fn server(keystone: &str, is_good: impl Fn(&str) -> bool + Send + Sync + 'static) -> Stub {
    let challenge = format!("Keystone uri='{keystone}'");
    Stub::start(move |seen| match is_good(seen.header("x-auth-token")) {
        true => model(),
        false => with(text(401, "Not Authorized"), "www-authenticate", &challenge),
    })
    .await
}

fn body(seen: &Seen) -> Json {
    serde_json::from_str(&seen.body).unwrap()
}

fn is_secret_free(client: &Client) {
    let printed = format!("{client:?}");
    for secret in ["s3cret", "scoped", "access-1"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

/// Version 3, whose unscoped tokens are `unscoped` and whose tokens for a project are `scoped-<project>-<number>`.
async fn keystone_3() -> Stub {
    let given = AtomicUsize::new(0);
    Stub::start(move |seen| {
        let subject = |token: &str, body: &Json| {
            let cookies = with(json(201, body), "set-cookie", "one=s3cret");
            with(with(cookies, "set-cookie", "two=s3cret"), "x-subject-token", token)
        };
        let refused = || {
            json(
                401,
                &json!({ "error": { "code": 401, "message": "The request you have made requires authentication." } }),
            )
        };
        let scoped = |project: &str| {
            let number = given.fetch_add(1, Ordering::SeqCst);
            subject(
                &format!("scoped-{project}-{number}"),
                &json!({ "token": { "project": { "id": project, "name": format!("name of {project}") } } }),
            )
        };
        let document = if seen.body.is_empty() { Json::Null } else { body(seen) };
        let at = |path: &str| document.pointer(path).and_then(Json::as_str);
        match seen.line().as_str() {
            "GET /identity/" => json(
                300,
                &json!({ "versions": { "values": [
                    { "id": "v3.14", "links": [{ "rel": "self", "href": "http://behind.a.proxy:5000/v3/" }] },
                    { "id": "v2.0" },
                ] } }),
            ),
            "POST /identity/v3/auth/tokens" => {
                let password = at("/auth/identity/password/user/password");
                let credential = at("/auth/identity/application_credential/secret");
                let token = at("/auth/identity/token/id");
                match (password, credential, token) {
                    (Some("s3cret"), None, None) => {
                        assert_eq!(at("/auth/identity/password/user/domain/name"), Some("Default"));
                        subject("unscoped", &json!({ "token": {} }))
                    }
                    (None, Some("s3cret"), None) => scoped("of-credential"),
                    (None, None, Some("unscoped")) => match at("/auth/scope/project/id") {
                        Some("p-locked") | None => refused(),
                        Some(project) => scoped(project),
                    },
                    _ => refused(),
                }
            }
            "GET /identity/v3/auth/projects" if seen.header("x-auth-token") == "unscoped" => json(
                200,
                &json!({ "projects": [
                    { "id": "p-off", "name": "off", "enabled": false },
                    { "id": "p-locked", "name": "locked", "enabled": true },
                    { "id": "p-1", "name": "one", "enabled": true },
                    { "id": "p-2", "name": "two", "enabled": true },
                ] }),
            ),
            "POST /identity/v3/OS-FEDERATION/identity_providers/egi.eu/protocols/oidc/auth" => {
                match seen.header("authorization") {
                    "Bearer access-1" => subject("unscoped", &json!({ "token": {} })),
                    _ => refused(),
                }
            }
            "GET /identity/v3/OS-FEDERATION/identity_providers/egi.eu/protocols/mapped/auth" => {
                subject("unscoped", &json!({ "token": {} }))
            }
            _ => json(404, &json!({ "error": { "code": 404, "message": "Not Found" } })),
        }
    })
    .await
}

fn keystone_password() -> Credentials {
    Credentials::Keystone(Identity::Password {
        user: "ann".to_owned(),
        password: "s3cret".into(),
    })
}

#[tokio::test]
async fn cli_5_keystone_3_is_found_and_asked_in_every_way() {
    let keystone = keystone_3().await;
    let uri = format!("{}identity/", keystone.url);
    let basic = Credentials::Basic {
        user: "ann".to_owned(),
        password: "s3cret".into(),
    };
    let credential = Credentials::Keystone(Identity::ApplicationCredential {
        id: "c-1".to_owned(),
        secret: "s3cret".into(),
    });
    for (credentials, project, token, is_arbitrary) in [
        (basic, None, "scoped-p-1", true),
        (keystone_password(), None, "scoped-p-1", true),
        (keystone_password(), Some("two"), "scoped-p-2", false),
        (keystone_password(), Some("p-2"), "scoped-p-2", false),
        (keystone_password(), Some("p-unlisted"), "scoped-p-unlisted", false),
        (credential, None, "scoped-of-credential", false),
        (Credentials::Bearer("access-1".into()), Some("one"), "scoped-p-1", false),
        (Credentials::Keystone(Identity::Certificate), None, "scoped-p-1", true),
        (
            Credentials::Keystone(Identity::Token("unscoped".into())),
            Some("two"),
            "scoped-p-2",
            false,
        ),
    ] {
        let server = server(&uri, move |shown| shown.starts_with(token)).await;
        let mut options = Options::default();
        options.project = project.map(str::to_owned);
        let client = server
            .builder()
            .credentials(credentials)
            .keystone(options)
            .build()
            .unwrap();
        client
            .model()
            .await
            .unwrap_or_else(|error| panic!("{token}: {error:?}"));
        let chosen = client.keystone_project().unwrap();
        assert!(token.ends_with(&chosen.id), "{chosen:?}");
        assert_eq!(chosen.is_arbitrary, is_arbitrary, "{token}");
        is_secret_free(&client);
        // The token is kept.
        keystone.seen();
        client.discover().await.unwrap();
        assert!(keystone.seen().is_empty());
    }
}

#[tokio::test]
async fn what_keystone_is_given_is_not_for_the_server() {
    let keystone = keystone_3().await;
    let server = server(&format!("{}identity", keystone.url), |token| {
        token.starts_with("scoped-")
    })
    .await;
    let client = server.builder().credentials(keystone_password()).build().unwrap();
    client.model().await.unwrap();
    for seen in server.seen() {
        assert!(
            seen.header("authorization").is_empty() && !seen.body.contains("s3cret"),
            "{seen:?}"
        );
    }
    // Where Keystone is known, nobody has to be told first; and no other is asked.
    let mut options = Options::default();
    options.url = Some(format!("{}identity/v3", keystone.url));
    let client = server
        .builder()
        .credentials(keystone_password())
        .keystone(options)
        .build()
        .unwrap();
    client.model().await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// A Keystone that a server names is asked only where nobody on the way sees more than he does anyway.
#[tokio::test]
async fn credentials_go_to_no_keystone_where_they_would_be_seen() {
    use occi_client::transport::{Incoming, Transport};

    /// All servers of the world: they send to this Keystone, and tell nothing else.
    #[derive(Debug, Default)]
    struct World {
        keystone: &'static str,
        asked: std::sync::Mutex<bool>,
    }

    impl Transport for World {
        fn send(&self, request: occi_client::Request) -> futures::future::BoxFuture<'_, occi_client::Result<Incoming>> {
            let is_keystone = request.uri().path().starts_with("/v3/");
            *self.asked.lock().unwrap() |= is_keystone;
            let challenge = format!("Keystone uri='{}'", self.keystone);
            let response = with(text(401, "Not Authorized"), "www-authenticate", &challenge);
            let (head, _) = response.into_parts();
            let body = Box::pin(futures::stream::empty());
            Box::pin(async { Ok(Incoming { head, body }) })
        }
    }

    let basic = || Credentials::Basic {
        user: "ann".to_owned(),
        password: "s3cret".into(),
    };
    for (server, keystone, is_asked) in [
        ("https://cloud.example.org/", "https://keystone.example.org/v3", true),
        ("http://cloud.example.org/", "https://keystone.example.org/v3", true),
        ("https://cloud.example.org/", "http://keystone.example.org/v3", false),
        ("http://cloud.example.org/", "http://keystone.example.org/v3", false),
        ("https://cloud.example.org/", "http://cloud.example.org:5000/v3", false),
        (
            "http://cloud.example.org:8787/",
            "http://cloud.example.org:5000/v3",
            true,
        ),
        ("http://127.0.0.1:8787/", "http://127.0.0.1:5000/v3", true),
        ("http://localhost:8787/", "http://keystone.example.org/v3", true),
        ("http://cloud.example.org/", "http://127.0.0.1:5000/v3", false),
        ("http://cloud.example.org/", "unix:/run/keystone.sock", false),
    ] {
        for credentials in [basic(), keystone_password(), Credentials::Bearer("s3cret".into())] {
            for is_named in [false, true] {
                let world = Arc::new(World {
                    keystone,
                    ..World::default()
                });
                let mut connector = Connector::default();
                connector.transport = Some(world.clone());
                let mut options = Options::default();
                options.url = is_named.then(|| keystone.to_owned());
                let client = Client::builder(server.parse().unwrap())
                    .credentials(credentials.clone())
                    .keystone(options)
                    .connector(connector);
                let error = client.build().unwrap().model().await.unwrap_err();
                let what = format!("{server} names {keystone}, {credentials:?}, {is_named}: {error}");
                if !keystone.starts_with("unix") {
                    assert_eq!(*world.asked.lock().unwrap(), is_asked || is_named, "{what}");
                }
                if !is_asked && !is_named {
                    assert_eq!(error.kind(), ErrorKind::Protocol, "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_catalogue_sends_nobody_where_credentials_would_be_seen() {
    use occi_client::keystone::token;
    use occi_client::transport::{Incoming, Transport};

    /// A Keystone whose catalogue lists this.
    #[derive(Debug)]
    struct Listing(&'static str);

    impl Transport for Listing {
        fn send(&self, _: occi_client::Request) -> futures::future::BoxFuture<'_, occi_client::Result<Incoming>> {
            let endpoint = json!({ "interface": "public", "region": "one", "url": self.0 });
            let catalogue = json!([{ "type": "occi", "endpoints": [endpoint] }]);
            let token = with(text(201, ""), "x-subject-token", "s3cret");
            let body = json!({ "token": { "catalog": catalogue } }).to_string();
            Box::pin(async {
                Ok(Incoming {
                    head: token.into_parts().0,
                    body: Box::pin(futures::stream::iter([Ok(body.into())])),
                })
            })
        }
    }

    let identity = Identity::ApplicationCredential {
        id: "id".to_owned(),
        secret: "s3cret".into(),
    };
    for (keystone, listed, is_taken) in [
        ("https://keystone.example.org/v3", "https://cloud.example.org/", true),
        ("https://keystone.example.org/v3", "http://cloud.example.org/", false),
        ("https://cloud.example.org:5000/v3", "http://cloud.example.org/", false),
        ("https://keystone.example.org/v3", "unix:/run/occid.sock", false),
        (
            "http://cloud.example.org:5000/v3",
            "http://cloud.example.org:8787/",
            true,
        ),
        ("http://127.0.0.1:5000/v3", "http://127.0.0.1:8787/", true),
        ("https://keystone.example.org/v3", "nonsense", false),
    ] {
        let mut connector = Connector::default();
        connector.transport = Some(Arc::new(Listing(listed)));
        let mut options = Options::default();
        options.url = Some(keystone.to_owned());
        let token = token(&identity, &options, &connector).await.unwrap();
        match token.service("occi", None) {
            Ok(found) => assert!(is_taken && found.to_string() == listed, "{keystone} lists {listed}"),
            Err(error) => {
                assert_eq!(
                    (error.kind(), is_taken),
                    (ErrorKind::Protocol, false),
                    "{listed}: {error:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn who_names_the_domain_of_a_user_may_have_an_at_in_the_name() {
    let keystone = Stub::start(|_| json(401, &json!({}))).await;
    let server = server(&format!("{}v3", keystone.url), |_| false).await;
    for (user, domain, sent) in [
        ("ann", None, ("ann", "Default")),
        ("ann@labs", None, ("ann", "labs")),
        ("ann@example.org", Some("labs"), ("ann@example.org", "labs")),
    ] {
        let mut options = Options::default();
        options.user_domain = domain.map(|name: &str| Domain::Name(name.to_owned()));
        let credentials = Credentials::Keystone(Identity::Password {
            user: user.to_owned(),
            password: "s3cret".into(),
        });
        let client = server.builder().credentials(credentials).keystone(options);
        client.build().unwrap().model().await.unwrap_err();
        let asked = body(&keystone.seen()[0]);
        let user = &asked["auth"]["identity"]["password"]["user"];
        assert_eq!(
            (user["name"].as_str(), user["domain"]["name"].as_str()),
            (Some(sent.0), Some(sent.1))
        );
    }
}

#[tokio::test]
async fn a_token_is_renewed_once() {
    let keystone = keystone_3().await;
    let uri = format!("{}identity/", keystone.url);
    // Each token is good once.
    let used = std::sync::Mutex::new(Vec::new());
    let once = server(&uri, move |token| {
        let mut used = used.lock().unwrap();
        let is_new = token.starts_with("scoped-") && !used.contains(&token.to_owned());
        used.push(token.to_owned());
        is_new
    })
    .await;
    let client = once.builder().credentials(keystone_password()).build().unwrap();
    for _ in 0..3 {
        client.discover().await.unwrap();
    }
    // None is ever good.
    let never = server(&uri, |_| false).await;
    let client = never.builder().credentials(keystone_password()).build().unwrap();
    let error = client.model().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(never.seen().len(), 2);
    // A wrong password.
    let wrong = Credentials::Keystone(Identity::Password {
        user: "ann".to_owned(),
        password: "wr0ng".into(),
    });
    let client = never.builder().credentials(wrong).build().unwrap();
    let error = client.model().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.message().contains("does not accept the user \"ann\""), "{error}");
    assert!(error.hint().unwrap().contains("requires authentication"), "{error:?}");
    assert!(!format!("{error:?}{client:?}").contains("wr0ng"));
}

#[tokio::test]
async fn a_keystone_that_is_not_well_takes_nobody_into_another_project() {
    let keystone = Stub::start(|seen| {
        let projects = json!([{ "id": "one", "name": "one" }, { "id": "two", "name": "two" }]);
        match seen.line().as_str() {
            "GET /2/" => json(200, &json!({ "versions": [{ "id": "v2.0" }] })),
            "GET /3/" => json(200, &json!({ "versions": [{ "id": "v3.14" }] })),
            "GET /2/v2.0/tenants" => json(200, &json!({ "tenants": projects })),
            "GET /3/v3/auth/projects" => json(200, &json!({ "projects": projects })),
            _ if seen.body.contains("\"one\"") => text(503, ""),
            _ => with(
                json(201, &json!({ "access": { "token": { "id": "good" } } })),
                "x-subject-token",
                "good",
            ),
        }
    })
    .await;
    for version in [2, 3] {
        let server = server(&format!("{}{version}/", keystone.url), |token| token == "good").await;
        let client = server.builder().credentials(keystone_password()).build().unwrap();
        let error = client.model().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.status()),
            (ErrorKind::Unavailable, Some(503)),
            "{version}"
        );
    }
}

#[tokio::test]
async fn cli_5_keystone_2_is_asked_where_there_is_no_3() {
    let keystone = Stub::start(|seen| {
        let document = if seen.body.is_empty() { Json::Null } else { body(seen) };
        let at = |path: &str| document.pointer(path).and_then(Json::as_str);
        let token = |id: &str| json(200, &json!({ "access": { "token": { "id": id } } }));
        match seen.line().as_str() {
            "GET /" => json(200, &json!({ "versions": [{ "id": "v2.0", "status": "stable" }] })),
            "POST /v2.0/tokens" => match (
                at("/auth/passwordCredentials/password"),
                at("/auth/token/id"),
                at("/auth/tenantName"),
            ) {
                (Some("s3cret"), None, None) => token("unscoped"),
                (None, Some("unscoped"), Some("two")) => token("scoped-two"),
                (None, None, project) if document.pointer("/auth/voms") == Some(&Json::Bool(true)) => {
                    token(if project == Some("two") {
                        "scoped-two"
                    } else {
                        "unscoped"
                    })
                }
                _ => json(401, &json!({ "error": { "message": "no" } })),
            },
            "GET /v2.0/tenants" if seen.header("x-auth-token") == "unscoped" => json(
                200,
                &json!({ "tenants": [{ "id": "1", "name": "one" }, { "id": "2", "name": "two" }] }),
            ),
            _ => text(404, ""),
        }
    })
    .await;
    let server = server(&keystone.url, |token| token == "scoped-two").await;
    for project in [None, Some("two"), Some("2")] {
        let mut options = Options::default();
        options.project = project.map(str::to_owned);
        let client = server
            .builder()
            .credentials(keystone_password())
            .keystone(options)
            .build()
            .unwrap();
        client.model().await.unwrap();
        assert_eq!(client.keystone_project().unwrap().name, "two");
    }
    let proxy = Credentials::Keystone(Identity::Certificate);
    let mut options = Options::default();
    options.project = Some("two".to_owned());
    let client = server.builder().credentials(proxy).keystone(options).build().unwrap();
    client.model().await.unwrap();
    let credential = Credentials::Keystone(Identity::ApplicationCredential {
        id: "c".to_owned(),
        secret: "s3cret".into(),
    });
    let error = server
        .builder()
        .credentials(credential)
        .build()
        .unwrap()
        .model()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_keystone_that_makes_no_sense_is_said_so() {
    for (what, response) in [
        ("no versions", json!({})),
        (
            "unknown versions",
            json!({ "versions": { "values": [{ "id": "v9" }] } }),
        ),
    ] {
        let keystone = Stub::start(move |_| json(300, &response)).await;
        let server = server(&keystone.url, |_| false).await;
        let error = server
            .builder()
            .credentials(keystone_password())
            .build()
            .unwrap()
            .model()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{what}");
    }
    for uri in ["nowhere", "ftp://x/", "https://ann:pw@keystone/"] {
        let server = server(uri, |_| false).await;
        let error = server
            .builder()
            .credentials(keystone_password())
            .build()
            .unwrap()
            .model()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{uri}: {error:?}");
    }
}

/// An identity provider for devices: the user is slow twice.
async fn provider() -> Stub {
    let asked = AtomicUsize::new(0);
    Stub::start(move |seen| {
        let form: Vec<(String, String)> = url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let issuer = format!("http://{}/realm", seen.header("host"));
        let error = |code: &str| json(400, &json!({ "error": code }));
        match (seen.target.as_str(), field("grant_type")) {
            ("/realm/.well-known/openid-configuration", _) => json(
                200,
                &json!({
                    "issuer": issuer, "token_endpoint": format!("{issuer}/token"),
                    "device_authorization_endpoint": format!("{issuer}/device"),
                }),
            ),
            ("/liar/.well-known/openid-configuration", _) => {
                json(200, &json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/token") }))
            }
            ("/realm/device", _) => {
                assert_eq!((field("client_id"), field("scope")), ("occi", "openid offline_access"));
                json(
                    200,
                    &json!({
                        "device_code": "dev1ce", "user_code": "WDJB-MJHT", "verification_uri": "https://idp.example.org/device",
                        "expires_in": 600, "interval": 0,
                    }),
                )
            }
            ("/realm/token", "urn:ietf:params:oauth:grant-type:device_code") => match asked.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => error("authorization_pending"),
                _ => json(200, &json!({ "access_token": "access-1", "refresh_token": "refresh-1", "expires_in": 60 })),
            },
            ("/realm/token", "refresh_token") => match field("refresh_token") {
                "refresh-1" => json(200, &json!({ "access_token": "access-2" })),
                _ => error("invalid_grant"),
            },
            _ => text(404, ""),
        }
    })
    .await
}

#[tokio::test]
async fn a_provider_that_asks_for_no_pause_is_not_asked_without_one() {
    let idp = Stub::start(|seen| {
        let issuer = format!("http://{}", seen.header("host"));
        match seen.target.as_str() {
            "/.well-known/openid-configuration" => json(
                200,
                &json!({
                    "issuer": issuer, "token_endpoint": format!("{issuer}/token"),
                    "device_authorization_endpoint": format!("{issuer}/device"),
                }),
            ),
            "/device" => json(
                200,
                &json!({
                    "device_code": "dev1ce", "user_code": "WDJB-MJHT", "verification_uri": "https://idp.example.org/device",
                    "expires_in": 1, "interval": 0,
                }),
            ),
            _ => json(400, &json!({ "error": "authorization_pending" })),
        }
    })
    .await;
    let issuer = idp.url.trim_end_matches('/');
    let provider = Provider::discover(issuer, "occi", None, &Connector::default())
        .await
        .unwrap();
    let invitation = provider.invite("openid").await.unwrap();
    idp.seen();
    let error = provider.wait(&invitation).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(idp.seen().len(), 1);
}

#[tokio::test]
async fn a_device_logs_in_and_the_log_in_renews_itself() {
    let idp = provider().await;
    let connector = Connector::default();
    let discover =
        async |issuer: &str| Provider::discover(&format!("{}{issuer}", idp.url), "occi", None, &connector).await;
    let provider = discover("realm").await.unwrap();
    let invitation = provider.invite("openid offline_access").await.unwrap();
    assert_eq!(invitation.user_code, "WDJB-MJHT");
    assert_eq!(invitation.verification_uri, "https://idp.example.org/device");
    assert!(!format!("{invitation:?}").contains("dev1ce"));
    let tokens = provider.wait(&invitation).await.unwrap();
    assert_eq!(tokens.access.expose_secret(), "access-1");

    let server = Stub::start(|seen| match seen.header("authorization") {
        "Bearer access-2" => model(),
        _ => with(text(401, ""), "www-authenticate", "Bearer error=\"invalid_token\""),
    })
    .await;
    let session = Session::new(provider, tokens);
    let client = server
        .builder()
        .credentials(Credentials::Session(session.clone()))
        .build()
        .unwrap();
    // Who gives up before the answer is there loses nothing of it.
    idp.lines();
    let is_asked = async {
        while idp.lines().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = is_asked => {}
        model = client.model() => panic!("it did not wait: {model:?}"),
    }
    let is_kept = async {
        while session.tokens().access.expose_secret() != "access-2" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_kept).await.unwrap();
    client.model().await.unwrap();
    assert!(idp.lines().is_empty(), "once is enough");
    assert_eq!(session.tokens().refresh.unwrap().expose_secret(), "refresh-1");
    is_secret_free(&client);

    assert_eq!(discover("liar").await.unwrap_err().kind(), ErrorKind::Protocol);
    assert_eq!(discover("nobody").await.unwrap_err().kind(), ErrorKind::NotFound);
    let open = Provider::discover("http://idp.example.org", "occi", None, &connector)
        .await
        .unwrap_err();
    assert!(open.message().contains("not encrypted"), "{open}");
}

#[tokio::test]
async fn what_is_sent_can_be_looked_at_without_its_secrets() {
    use occi_client::transport::{Incoming, Secret, Transport};

    /// Writes down what goes by.
    #[derive(Debug)]
    struct Recorder(Arc<dyn Transport>, Arc<std::sync::Mutex<Vec<String>>>);

    impl Transport for Recorder {
        fn send(&self, request: occi_client::Request) -> futures::future::BoxFuture<'_, occi_client::Result<Incoming>> {
            let mut line = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
            if request.extensions().get::<Secret>().is_none() {
                line.push_str(std::str::from_utf8(request.body()).unwrap());
            }
            Box::pin(async move {
                let incoming = self.0.send(request).await?;
                line.push_str(&format!("{:?}", incoming.head));
                self.1.lock().unwrap().push(line);
                Ok(incoming)
            })
        }
    }

    let keystone = keystone_3().await;
    let server = server(&format!("{}identity/", keystone.url), |token| {
        token.starts_with("scoped-")
    })
    .await;
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let lines = log.clone();
    let mut connector = Connector::default();
    connector.wrapper = Some(Arc::new(move |inner| Arc::new(Recorder(inner, lines.clone()))));
    let client = server
        .builder()
        .connector(connector)
        .credentials(keystone_password())
        .build()
        .unwrap();
    client.model().await.unwrap();
    let log = log.lock().unwrap().join("\n");
    assert!(log.contains("/identity/v3/auth/projects"), "{log}");
    for secret in ["s3cret", "unscoped", "scoped-p-1"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

mod certificates {
    use super::*;
    use occi_client::Tls;
    use occi_client::x509::Identity;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, IsCa, KeyPair};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig};
    use std::path::PathBuf;
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    /// An authority, what it signs, and a directory for files.
    struct Authority {
        issuer: CertifiedIssuer<'static, KeyPair>,
        directory: TempDir,
    }

    struct Signed {
        certificate: String,
        key: KeyPair,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            Self {
                issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
                directory: tempfile::tempdir().unwrap(),
            }
        }

        fn sign(&self, extensions: Vec<CustomExtension>) -> Signed {
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            params.custom_extensions = extensions;
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
            Signed { certificate, key }
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        }

        fn roots(&self) -> RootCertStore {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            roots
        }

        /// A server that answers the query interface, and says in a header how long the chain of its client was.
        async fn server(&self, wants_certificate: bool) -> String {
            let own = self.sign(Vec::new());
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ServerConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .unwrap();
            let config = if wants_certificate {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()), provider)
                    .build()
                    .unwrap();
                config.with_client_cert_verifier(verifier)
            } else {
                config.with_no_client_auth()
            };
            let chain = vec![pem_certificate(&own.certificate)];
            let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
            let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("https://{}/", listener.local_addr().unwrap());
            let body = query_interface(MediaType::TextPlain, &Base::new("http://cloud.example.org", ""));
            tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (acceptor, body) = (acceptor.clone(), body.clone());
                    tokio::spawn(async move {
                        let Ok(mut stream) = acceptor.accept(stream).await else {
                            return;
                        };
                        let mut piece = [0; 4096];
                        let _ = stream.read(&mut piece).await;
                        let head = format!(
                            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                            body.len()
                        );
                        let _ = stream.write_all(head.as_bytes()).await;
                        let _ = stream.write_all(&body).await;
                        let _ = stream.shutdown().await;
                    });
                }
            });
            url
        }
    }

    fn pem_certificate(pem: &str) -> CertificateDer<'static> {
        use rustls::pki_types::pem::PemObject;
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    async fn ask(url: &str, tls: Tls) -> occi_client::Result<usize> {
        let client = builder(url).retries(occi_client::Retries::NONE).tls(tls).build()?;
        Ok(client.model().await?.kinds().len())
    }

    #[tokio::test]
    async fn a_server_is_trusted_for_a_reason() {
        let authority = Authority::new();
        let url = authority.server(false).await;
        let file = authority.file("ca.pem", &authority.issuer.pem());
        authority.file("notes.txt", "nothing to trust");
        let error = ask(&url, Tls::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
        assert!(
            error.message().contains("not trusted") && error.hint().is_some(),
            "{error}"
        );
        let trusting = |file: &std::path::Path| {
            let mut tls = Tls::default();
            tls.ca_files.push(file.to_owned());
            tls
        };
        let mut in_directory = Tls::default();
        in_directory.ca_directories.push(authority.directory.path().to_owned());
        in_directory.without_system_roots = true;
        let mut blind = Tls::default();
        blind.insecure = true;
        for tls in [trusting(&file), in_directory, blind] {
            assert!(ask(&url, tls).await.unwrap() > 3);
        }
        let missing = authority.directory.path().join("missing.pem");
        for file in [missing, authority.directory.path().join("notes.txt")] {
            let error = ask(&url, trusting(&file)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().contains(file.to_str().unwrap()), "{error}");
        }
        // Plain HTTP where TLS is spoken.
        let plain = url.replace("https", "http");
        assert_eq!(
            ask(&plain, Tls::default()).await.unwrap_err().kind(),
            ErrorKind::Protocol
        );
    }

    #[tokio::test]
    async fn a_client_shows_its_certificate() {
        let authority = Authority::new();
        let url = authority.server(true).await;
        let mut trusting = Tls::default();
        trusting.ca_files = vec![authority.file("ca.pem", &authority.issuer.pem())];
        let error = ask(&url, trusting.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
        let client = authority.sign(Vec::new());
        let bundle = format!("{}{}", client.certificate, client.key.serialize_pem());
        for identity in [
            Identity::from_pem(bundle.as_bytes(), None, None).unwrap(),
            Identity::from_pem(
                client.certificate.as_bytes(),
                Some(client.key.serialize_pem().as_bytes()),
                None,
            )
            .unwrap(),
        ] {
            assert!(!format!("{identity:?}").contains("PRIVATE"));
            let mut tls = trusting.clone();
            tls.identity = Some(identity);
            assert!(ask(&url, tls).await.unwrap() > 3);
        }
    }

    #[tokio::test]
    async fn a_proxy_certificate_is_sent_as_it_is() {
        let authority = Authority::new();
        // proxyCertInfo (RFC 3820) is critical, and the rules for web certificates do not know it.
        let mut info = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 14], vec![0x30, 0]);
        info.set_criticality(true);
        let proxy = authority.sign(vec![info]);
        let behind = authority.sign(Vec::new());
        let file = format!(
            "{}{}{}",
            proxy.certificate,
            proxy.key.serialize_pem(),
            behind.certificate
        );
        let identity = Identity::from_pem(file.as_bytes(), None, None).unwrap();
        assert_eq!(format!("{identity:?}"), "Identity(a chain of 2)");
        let mut tls = Tls::default();
        tls.ca_files = vec![authority.file("ca.pem", &authority.issuer.pem())];
        tls.identity = Some(identity);
        // A server that asks for none does not look at it; and we did not refuse to load it.
        assert!(ask(&authority.server(false).await, tls.clone()).await.unwrap() > 3);
        // One with the rules of the web sees it and refuses, which is the server's word and not ours.
        let error = ask(&authority.server(true).await, tls).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
        assert!(error.message().contains("refused"), "{error}");
    }

    #[test]
    fn keys_are_read_in_the_forms_that_people_have() {
        let sample =
            |name: &str| std::fs::read(format!("{}/tests/samples/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let right = || Some("open sesame".into());
        for name in ["aes.pem", "3des.pem", "of-old.pem", "of-old-aes.pem", "of-old-ec.pem"] {
            let pem = sample(name);
            assert!(Identity::needs_passphrase(&pem));
            Identity::from_pem(&pem, None, right().as_ref()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            for wrong in [None, Some("wr0ng".into())] {
                let error = Identity::from_pem(&pem, None, wrong.as_ref()).unwrap_err();
                assert!(error.message().contains("passphrase"), "{error}");
                assert!(!format!("{error:?}").contains("wr0ng"));
            }
        }
        for name in ["plain-rsa.pem", "plain-ec.pem"] {
            assert!(!Identity::needs_passphrase(&sample(name)));
            assert!(Identity::from_pem(&sample(name), None, None).is_ok(), "{name}");
        }
        // What no grid tool writes is named, and what is cut off ends in words.
        let of_old = String::from_utf8(sample("of-old.pem")).unwrap();
        let other = of_old.replace("DES-EDE3-CBC", "RC2-40-CBC");
        let error = Identity::from_pem(other.as_bytes(), None, right().as_ref()).unwrap_err();
        assert!(
            error.message().contains("RC2-40-CBC") && error.hint().unwrap().contains("openssl pkcs8"),
            "{error:?}"
        );
        let cipher = of_old.lines().find(|line| line.starts_with("DEK-Info")).unwrap();
        for broken in [
            of_old.replace(cipher, ""),
            of_old.replace(cipher, "DEK-Info: DES-EDE3-CBC,77FF"),
            of_old[..of_old.len() / 2].to_owned(),
        ] {
            assert!(Identity::from_pem(broken.as_bytes(), None, right().as_ref()).is_err());
        }
        for name in ["modern.p12", "of-old.p12"] {
            let identity = Identity::from_pkcs12(&sample(name), right().as_ref()).unwrap();
            assert_eq!(format!("{identity:?}"), "Identity(a chain of 2)", "{name}");
            let error = Identity::from_pkcs12(&sample(name), Some("wr0ng".into()).as_ref()).unwrap_err();
            assert!(error.hint().unwrap().contains("passphrase"), "{error:?}");
        }
        for nothing in [&b""[..], b"-----BEGIN CERTIFICATE-----\nAAAA", b"garbage"] {
            assert!(Identity::from_pem(nothing, None, None).is_err());
            assert!(Identity::from_pkcs12(nothing, None).is_err());
        }
    }
}
