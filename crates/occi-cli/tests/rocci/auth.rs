//! Who asks.

use crate::historic::MODEL;
use crate::run::{Run, good, occi};
use crate::stub::{Stub, json, text, with};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A password and a token, from the command line, from stdin and as an answer; neither is ever said again.
pub(crate) async fn secrets() {
    let stub = Stub::start(|seen| {
        let is_basic = seen.header("authorization") == "Basic YWxpY2U6czNjcmV0";
        match (is_basic || seen.header("x-auth-token") == "t0ken", seen.line().as_str()) {
            (false, _) => text(401, "who are you"),
            (true, "GET /-/") => text(200, MODEL),
            _ => text(200, ""),
        }
    })
    .await;
    let url = &stub.url;
    for (options, stdin) in [
        ("-n basic -u alice -p s3cret", ""),
        ("-n basic -u alice -p -", "s3cret\n"),
        ("-n basic -u alice", "s3cret\nmore"),
        ("-n token -q t0ken", ""),
        ("-n token -q ' t0ken '", ""),
        ("-n token -q -", "t0ken\n"),
    ] {
        for debug in ["", "-d", "-b debug -l stdout"] {
            let line = format!("-e {url} {options} {debug} -a list -r compute");
            let said = Run::new(&line).stdin(stdin).said();
            assert_eq!(said.code, Some(0), "{line}: {said:?}");
            assert_eq!(debug.is_empty(), said.err.is_empty(), "{line}: {said:?}");
            for secret in ["s3cret", "t0ken", "YWxpY2U"] {
                let both = said.out.clone() + &said.err;
                assert!(!both.contains(secret), "{line}: {said:?}");
            }
        }
    }
    let said = occi(&format!(
        "-e {url} -n basic -u alice -p s3cret -a list -r compute -b warn"
    ));
    assert!(
        said.err.contains("W, [") && said.err.contains("the secret after -p is seen"),
        "{said:?}"
    );
    let said = occi(&format!("-e {url} -n basic -u alice -p wr0ng -a list -r compute"));
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("[401] Unauthorized") && !said.err.contains("wr0ng"),
        "{said:?}"
    );
    let said = Run::new(&format!("-e {url} -n token -q - -a list -r compute"))
        .stdin("a\nb\n")
        .said();
    assert!(said.code == Some(1) && said.err.contains("several lines"), "{said:?}");
}

/// Who says a secret back does not put it into the log.
pub(crate) async fn echo() {
    let stub = Stub::start(|_| text(400, "you are s3cret-pa55word or s3cret-t0ken")).await;
    for (options, stdin) in [
        ("-n basic -u ann -p s3cret-pa55word", ""),
        ("-n basic -u ann -p -", "s3cret-pa55word\n"),
        ("-n basic -u ann", "s3cret-pa55word\n"),
        ("-n digest -u ann -p s3cret-pa55word", ""),
        ("-n token -q s3cret-t0ken", ""),
        ("-n oauth2 -q s3cret-t0ken", ""),
    ] {
        let line = format!("-e {} {options} -a list -r compute", stub.url);
        let said = Run::new(&line).stdin(stdin).said();
        let secret = if line.contains("t0ken") {
            "s3cret-t0ken"
        } else {
            "s3cret-pa55word"
        };
        let both = said.out.clone() + &said.err;
        assert!(
            said.code == Some(1) && both.contains("***") && !both.contains(secret),
            "{line}: {said:?}"
        );
    }
}

/// A server that wants Keystone's tokens, its Keystone, and the ways there.
pub(crate) async fn keystone() {
    let keystone = Stub::start(|seen| {
        let document: serde_json::Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let at = |path: &str| document.pointer(path).and_then(serde_json::Value::as_str);
        let subject = |token: &str, body| with(json(201, &body), "x-subject-token", token);
        match seen.line().as_str() {
            "GET /v3/" | "GET /" => json(300, &json!({ "versions": { "values": [{ "id": "v3.14" }] } })),
            "POST /v3/OS-FEDERATION/identity_providers/egi.eu/protocols/oidc/auth"
                if seen.header("authorization") == "Bearer acc3ss" =>
            {
                subject("unscoped", json!({ "token": {} }))
            }
            "POST /v3/auth/tokens" if at("/auth/identity/password/user/password") == Some("s3cret") => {
                subject("unscoped", json!({ "token": {} }))
            }
            "POST /v3/auth/tokens" if at("/auth/identity/token/id") == Some("unscoped") => {
                let project = at("/auth/scope/project/id").unwrap_or_default();
                let body = json!({ "token": { "project": { "id": project, "name": project } } });
                subject(&format!("scoped-{project}"), body)
            }
            "GET /v3/auth/projects" => json(200, &json!({ "projects": [{ "id": "p-1" }, { "id": "p-2" }] })),
            _ => json(404, &json!({})),
        }
    })
    .await;
    let challenge = format!("Keystone uri='{}'", keystone.url);
    let server = Stub::start(move |seen| {
        assert!(
            !seen.header("authorization").contains("acc3ss"),
            "it is for Keystone only"
        );
        match (seen.header("x-auth-token"), seen.line().as_str()) {
            (token, "GET /-/") if token.starts_with("scoped-") => text(200, MODEL),
            (token @ ("scoped-p-1" | "scoped-p-2"), "GET /compute/") => text(
                200,
                format!("X-OCCI-Location: http://{}/compute/{token}", seen.header("host")),
            ),
            _ => with(text(401, "Not Authorized"), "www-authenticate", &challenge),
        }
    })
    .await;
    let url = &server.url;
    // Who chose digest does not want anybody to be told the password.
    let said = occi(&format!("-e {url} -n digest -u ann -p s3cret -a list -r compute"));
    assert!(said.code == Some(1) && said.err.contains("Keystone"), "{said:?}");
    assert!(keystone.seen().is_empty());
    for auth in ["-n oauth2 -q acc3ss", "-n basic -u ann -p s3cret"] {
        let line = format!("-e {url} {auth} -a list -r compute");
        assert_eq!(good(&line), format!("{url}compute/scoped-p-1\n"), "{line}");
        let said = Run::new(&line).env("ROCCI_CLIENT_KEYSTONE_TENANT", "p-2").said();
        assert_eq!(said.out, format!("{url}compute/scoped-p-2\n"), "{line}: {said:?}");
        let said = occi(&format!("{line} -b warn"));
        assert!(said.err.contains("of several projects p-1 is used"), "{said:?}");
    }
    let said = occi(&format!("-e {url} -n oauth2 -q wr0ng -a list -r compute"));
    assert!(said.code == Some(1) && !said.err.contains("wr0ng"), "{said:?}");
    // A server without Keystone that takes the token itself.
    let bearer = Stub::start(|seen| match (seen.header("authorization"), seen.line().as_str()) {
        ("Bearer acc3ss", "GET /-/") => text(200, MODEL),
        ("Bearer acc3ss", _) => text(200, ""),
        _ => with(text(401, ""), "www-authenticate", "Bearer realm=\"occi\""),
    })
    .await;
    assert_eq!(
        good(&format!("-e {} -n oauth2 -q acc3ss -a list -r compute", bearer.url)),
        "\n"
    );
}

pub(crate) async fn digest() {
    let stub = Stub::start(|seen| {
        let answer = seen.header("authorization");
        let is_good = answer.starts_with("Digest ")
            && answer.contains("username=\"ann\"")
            && answer.contains("nonce=\"n0nce\"")
            && answer.contains(&format!("uri=\"{}\"", seen.target));
        match (is_good, seen.line().as_str()) {
            (false, _) => with(
                text(401, ""),
                "www-authenticate",
                "Digest realm=\"occi\", nonce=\"n0nce\", qop=\"auth\", algorithm=MD5",
            ),
            (true, "GET /-/") => text(200, MODEL),
            (true, _) => text(200, ""),
        }
    })
    .await;
    assert_eq!(
        good(&format!(
            "-e {} -n digest -u ann -p s3cret -a list -r compute",
            stub.url
        )),
        "\n"
    );
    let seen = stub.seen();
    // The challenge is asked for once, and every answer is another one.
    let answers: Vec<_> = seen.iter().map(|seen| seen.header("authorization")).collect();
    assert_eq!(answers.len(), 3);
    assert!(
        answers[0].is_empty() && answers[1].contains("nc=00000001") && answers[2].contains("nc=00000002"),
        "{answers:?}"
    );
    let said = occi(&format!(
        "-e {} -n digest -u bob -p s3cret -d -a list -r compute",
        stub.url
    ));
    assert!(
        said.code == Some(1) && !said.err.contains("s3cret") && !said.err.contains("response="),
        "{said:?}"
    );
}

/// A server that wants certificates: a plain one, a proxy with its chain, an encrypted one, none.
pub(crate) async fn certificates() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let sign = || {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &authority).unwrap(), key)
    };
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .unwrap();
    let (own, key) = sign();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from(own.der().to_vec())],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let chain = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
            let _ = stream.read(&mut [0; 4096]).await;
            let body = MODEL.replace("title=\"Debian\"", &format!("title=\"a chain of {chain}\""));
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (user, user_key) = sign();
    let plain = format!("{}{}", user.pem(), user_key.serialize_pem());
    let ca = file("authorities/ca.pem", &authority.pem());
    let authorities = directory.path().join("authorities").display().to_string();
    let cred = file("usercred.pem", &plain);
    file(".globus/usercred.pem", &plain);
    let proxy = file("x509up_u1000", &format!("{plain}{}", authority.pem()));
    let show = "-a describe -r http://occi.example.org/occi/infrastructure/os_tpl#debian";
    for (options, chain) in [
        (format!("-f {ca} -n x509 -x {cred}"), 1),
        (format!("-c {authorities} -n x509 -x {cred}"), 1),
        (format!("-s -n x509 -x {cred} -p needless"), 1),
        (format!("-f {ca} -n x509"), 1),
        (format!("-f {ca} -n x509 -x {proxy} -X"), 2),
        (format!("-f {ca} -X -x {proxy} -n x509"), 2),
    ] {
        let line = format!("-e {url} {options} {show}");
        let said = Run::new(&line).home(directory.path()).said();
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{line}: {said:?}");
        assert!(said.out.contains(&format!("a chain of {chain}")), "{line}: {said:?}");
    }
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../occi-client/tests/samples");
    for (options, words) in [
        (format!("-n x509 -x {cred}"), "not trusted"),
        (format!("-f {ca} -n none"), "refused"),
        (format!("-f {ca} -n x509 -x {ca}"), "key"),
        (
            format!("-f {ca} -n x509 -x {samples}/aes.pem"),
            "there is nobody to ask",
        ),
        (format!("-f {ca} -n x509 -x {samples}/aes.pem -p wr0ng"), "passphrase"),
        // These are read; their authority is another one.
        (
            format!("-f {ca} -n x509 -x {samples}/aes.pem -p 'open sesame'"),
            "refused",
        ),
        (
            format!("-f {ca} -n x509 -x {samples}/modern.p12 -p 'open sesame'"),
            "refused",
        ),
    ] {
        let said = occi(&format!("-e {url} {options} {show}"));
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{options}: {said:?}");
        assert!(
            said.err.contains(words) && !said.err.contains("wr0ng"),
            "{options}: {said:?}"
        );
    }
}
