//! Encrypted connections.

use crate::client::{Answer, Raw, basic};
use crate::occid::{Occid, PATIENCE, Setup, wait_until};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// One request over TLS, by a client that trusts `root` alone; the handshake's complaint if it does not come to that.
fn request(port: u16, root: &Path, head: &str) -> Result<Answer, String> {
    request_as("localhost", port, root, head)
}

/// As from a client that came to `name`.
fn request_as(name: &str, port: u16, root: &Path, head: &str) -> Result<Answer, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut session = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut stream).map_err(|error| error.to_string())?;
    }
    let mut raw = Raw::over(StreamOwned::new(session, stream));
    Ok(raw.exchange(&format!(
        "GET /-/operation/ HTTP/1.1\r\nHost: localhost:{port}\r\n{head}\r\n"
    )))
}

fn is_served(occid: &Occid, root: &Path) -> bool {
    request(occid.address.port(), root, "").is_ok_and(|answer| answer.status == 401)
}

#[test]
fn http_61_an_address_that_others_reach_is_encrypted_with_a_certificate_of_its_own() {
    let occid = Setup::default().flags(&["--listen", "0.0.0.0:0"]).start();
    assert!(occid.url.starts_with("https://0.0.0.0:"), "{}", occid.url);
    let data = occid.setup.data();
    let certificate = data.join("tls.crt");
    assert_eq!(
        std::fs::metadata(data.join("tls.key")).unwrap().permissions().mode() & 0o777,
        0o600
    );
    occid.has_said("self-signed");
    assert!(is_served(&occid, &certificate));
    // Locations say how the client came.
    let password = std::fs::read_to_string(data.join("initial-admin-password")).unwrap();
    let head = format!("Authorization: {}\r\n", basic("admin", password.trim_end()));
    let answer = request(occid.address.port(), &certificate, &head).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    // Plain HTTP gets no answer.
    let address = ([127, 0, 0, 1], occid.address.port()).into();
    let mut plain = Raw::connect(address);
    plain.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!plain.is_http());
    // It stays the same, so that clients that trust it go on doing so.
    let text = std::fs::read_to_string(&certificate).unwrap();
    let again = occid.stop().start();
    assert_eq!(std::fs::read_to_string(&certificate).unwrap(), text);
    assert!(is_served(&again, &certificate));
}

#[test]
fn a_certificate_of_its_own_is_for_each_address_and_for_the_names_that_are_configured() {
    let http =
        "[http]\npublic_url = \"https://cloud.example.org\"\ntls_names = [\"occi.lab.example.org\", \"192.0.2.7\"]";
    let occid = Setup::default().flags(&["--listen", "0.0.0.0:0"]).config(http).start();
    let certificate = occid.setup.data().join("tls.crt");
    let mut names = ["cloud.example.org", "occi.lab.example.org", "192.0.2.7"]
        .map(str::to_owned)
        .to_vec();
    names.extend(
        if_addrs::get_if_addrs()
            .unwrap()
            .iter()
            .map(|interface| interface.ip().to_string()),
    );
    for name in names {
        let answer = request_as(&name, occid.address.port(), &certificate, "").unwrap();
        assert_eq!(answer.status, 401, "{name}");
    }
    let refused = request_as("elsewhere.example.org", occid.address.port(), &certificate, "").unwrap_err();
    assert!(refused.contains("not valid for name"), "{refused}");
}

#[test]
fn a_certificate_is_read_again_on_sighup_and_a_broken_one_changes_nothing() {
    let setup = Setup::default();
    let (certificate, key) = (setup.home().join("own.crt"), setup.home().join("own.key"));
    let renew = |copy: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let copy = setup.home().join(copy);
        for file in [&certificate, &copy] {
            std::fs::write(file, made.cert.pem()).unwrap();
        }
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        copy
    };
    let first = renew("first.crt");
    // Whoever names a certificate wants it used, also where plain HTTP would do.
    let occid = setup
        .clone()
        .config(&format!("[http]\ntls_certificate = {certificate:?}\ntls_key = {key:?}"))
        .start();
    assert!(occid.url.starts_with("https://127.0.0.1:"), "{}", occid.url);
    assert!(is_served(&occid, &first));

    let second = renew("second.crt");
    assert!(!is_served(&occid, &second));
    occid.signal(Signal::HUP);
    wait_until("the new certificate", || is_served(&occid, &second).then_some(()));
    assert!(!is_served(&occid, &first));

    std::fs::write(&certificate, "torn").unwrap();
    occid.signal(Signal::HUP);
    occid.has_said("the old certificate stays");
    assert!(is_served(&occid, &second));

    let words = occid.stop().fail_to_start().bad();
    assert!(
        words.contains("http.tls_certificate") && words.contains("PEM"),
        "{words}"
    );
}
