//! An identity provider, and what is kept of what it gives.

use crate::certificates::Authority;
use crate::person::Person;
use crate::stub::{Stub, json, model, text, with};
use serde_json::json;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// One whose refresh tokens are good once. To renew takes so long.
pub(crate) async fn provider(scheme: &'static str, takes: Duration) -> Stub {
    let asked = AtomicUsize::new(0);
    Stub::start(move |seen| {
        let issuer = format!("{scheme}://{}/realm", seen.header("host"));
        let tokens = |number: usize| {
            let token = |kind: &str| format!("s3cret-{kind}-{number}");
            json(
                200,
                &json!({ "access_token": token("access"), "refresh_token": token("refresh") }),
            )
        };
        match (seen.target.as_str(), seen.field("grant_type").as_str()) {
            ("/realm/.well-known/openid-configuration", _) => json(
                200,
                &json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/token"),
                         "device_authorization_endpoint": format!("{issuer}/device") }),
            ),
            ("/realm/device", _) => json(
                200,
                &json!({ "device_code": "s3cret-device", "user_code": "WDJB-MJHT", "interval": 0,
                         "verification_uri": "https://id.example.org/device" }),
            ),
            ("/realm/token", "urn:ietf:params:oauth:grant-type:device_code") => {
                match asked.fetch_add(1, Ordering::SeqCst) {
                    0 => json(400, &json!({ "error": "authorization_pending" })),
                    _ => tokens(1),
                }
            }
            ("/realm/token", "refresh_token") => {
                std::thread::sleep(takes);
                let number: usize = seen.field("refresh_token").rsplit('-').next().unwrap().parse().unwrap();
                match asked.compare_exchange(number + 1, number + 2, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => tokens(number + 1),
                    Err(_) => json(400, &json!({ "error": "invalid_grant" })),
                }
            }
            _ => text(404, ""),
        }
    })
    .await
}

/// A server to which the token of this number is good.
async fn server(good: Arc<AtomicUsize>) -> Stub {
    Stub::start(move |seen| {
        let good = format!("Bearer s3cret-access-{}", good.load(Ordering::SeqCst));
        match seen.header("authorization") == good {
            true if seen.target == "/who" => text(200, "ann\n"),
            true => model(),
            false => with(text(401, ""), "www-authenticate", "Bearer error=\"invalid_token\""),
        }
    })
    .await
}

/// Who does not wait for a renewal has lost nothing: what the provider has given is kept.
pub(crate) async fn impatient() {
    let person = Person::new();
    let provider = provider("http", Duration::from_secs(3)).await;
    let good = Arc::new(AtomicUsize::new(1));
    let server = server(good.clone()).await;
    let login = format!("login {} --oidc {}realm --client-id occi", server.url, provider.url);
    person.good(&login).await;
    let tab = [("COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", "2"), ("_CLAP_IFS", " ")];
    let complete = || person.run(&tab, &["--", "occi", "show", ""], "");
    good.store(2, Ordering::SeqCst);
    complete().await;
    assert_eq!(person.good("api GET /who").await, "ann\n", "after a completion");
    good.store(3, Ordering::SeqCst);
    person.occi("watch compute --for 1s -q").await;
    assert_eq!(person.good("api GET /who").await, "ann\n", "after a time to watch");
    assert_eq!(
        provider.lines().iter().filter(|line| line.ends_with("/token")).count(),
        4
    );
    // Another process hangs while it renews: nobody waits for ever.
    good.store(4, Ordering::SeqCst);
    let lock = File::create(person.path(".config/occi/.renewing")).unwrap();
    lock.lock().unwrap();
    let soon = Duration::from_secs(20);
    tokio::time::timeout(soon, complete()).await.expect("a completion ends");
    let said = tokio::time::timeout(soon, person.occi("--timeout 1 api GET /who")).await;
    let said = said.expect("a request ends");
    said.fails("another renews", 6, &["another occi is at it"]);
    drop(lock);
    assert_eq!(person.good("api GET /who").await, "ann\n");
}

pub(crate) async fn device() {
    let person = Person::new();
    // Long enough for others to come with the same token.
    let provider = provider("http", Duration::from_millis(200)).await;
    let good = Arc::new(AtomicUsize::new(1));
    let server = server(good.clone()).await;
    let login = format!(
        "login {} --oidc {}realm --client-id occi --name lab",
        server.url, provider.url
    );
    let said = person.occi(&login).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for word in ["https://id.example.org/device", "WDJB-MJHT"] {
        assert!(said.err.contains(word), "{said:?}");
    }
    assert_eq!(person.good("--debug api GET /who").await, "ann\n");
    provider.lines();
    // The token is too old, again and again: each time the next is got, and kept.
    for number in 2..5 {
        good.store(number, Ordering::SeqCst);
        assert_eq!(person.good("--debug api GET /who").await, "ann\n");
        assert_eq!(person.good("api GET /who").await, "ann\n");
        assert_eq!(provider.lines(), ["POST /realm/token"]);
    }
    assert_eq!(person.mode(".config/occi/credentials.toml"), 0o600);
    // Several at once renew it once.
    good.store(5, Ordering::SeqCst);
    let all = futures::future::join_all((0..4).map(|_| person.occi("api GET /who"))).await;
    assert!(all.iter().all(|said| said.code == Some(0)), "{all:?}");
    assert_eq!(provider.lines(), ["POST /realm/token"]);
    // A refresh token that was used elsewhere.
    good.store(9, Ordering::SeqCst);
    let credentials = person
        .read(".config/occi/credentials.toml")
        .replace("refresh-5", "refresh-1");
    person.write(".config/occi/credentials.toml", &credentials);
    person
        .occi("api GET /who")
        .await
        .fails("a spent token", 4, &["no longer good", "log in again"]);

    for (line, code, word) in [
        (
            format!("login {} --oidc {}realm", server.url, provider.url),
            2,
            "--client-id",
        ),
        (
            format!("login {} --oidc {}nobody --client-id occi", server.url, provider.url),
            3,
            "404",
        ),
        (
            format!("login {} --oidc http://id.example.org --client-id occi", server.url),
            2,
            "not encrypted",
        ),
        (format!("{login} --user ann"), 2, "identity provider"),
    ] {
        person.occi(&line).await.fails(&line, code, &[word]);
    }
}

/// Who we are to the server is no business of the provider's.
pub(crate) async fn certificate() {
    let person = Person::new();
    let provider = provider("https", Duration::ZERO).await;
    let good = Arc::new(AtomicUsize::new(1));
    let server = server(good.clone()).await;
    let authority = Authority::new();
    let (certificate, key) = authority.signed();
    person.write("ca.pem", &authority.pem());
    person.write("both.pem", &format!("{certificate}{key}"));
    let issuer = format!("{}realm", authority.before(&provider.url).await);
    let login = format!("login {} --oidc {issuer} --client-id occi", server.url);
    person
        .good(&format!("{login} --ca-file ~/ca.pem --certificate ~/both.pem"))
        .await;
    good.store(2, Ordering::SeqCst);
    assert_eq!(person.good("api GET /who").await, "ann\n");
}
