//! Certificates of both sides.

use crate::person::Person;
use crate::stub::query_interface;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Somebody who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server with a certificate of this name, which may be of the past. It answers the query interface.
    pub(crate) async fn server(&self, name: &str, is_expired: bool, wants_certificate: bool) -> String {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if is_expired {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        self.serves(certificate.der().clone(), &key, wants_certificate).await
    }

    /// A server with this certificate.
    async fn serves(&self, certificate: CertificateDer<'static>, key: &KeyPair, wants_certificate: bool) -> String {
        let verifier = match wants_certificate {
            true => self.verifier().build().unwrap(),
            false => WebPkiClientVerifier::no_client_auth(),
        };
        let acceptor = acceptor(certificate, key, verifier);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut piece = [0; 4096];
                    let _ = stream.read(&mut piece).await;
                    let body = query_interface();
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

    /// What answers at an address, encrypted, and for nobody who shows a certificate.
    pub(crate) async fn before(&self, url: &str) -> String {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let verifier = Self::new().verifier().allow_unauthenticated();
        let acceptor = acceptor(certificate.der().clone(), &key, verifier.build().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("https://{}/", listener.local_addr().unwrap());
        let behind = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                tokio::spawn(async move {
                    let mut behind = TcpStream::connect(behind).await.unwrap();
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
                    }
                });
            }
        });
        own
    }

    /// Takes certificates that it has signed.
    fn verifier(&self) -> ClientCertVerifierBuilder {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
    }

    /// A certificate and its key.
    pub(crate) fn signed(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["ann".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair, verifier: Arc<dyn ClientCertVerifier>) -> TlsAcceptor {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = config.with_client_cert_verifier(verifier);
    TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()))
}

pub(crate) async fn shown() {
    let person = Person::new();
    let authority = Authority::new();
    let url = authority.server("127.0.0.1", false, true).await;
    let (certificate, key) = authority.signed();
    person.write("ca.pem", &authority.pem());
    person.write("cert.pem", &certificate);
    person.write("key.pem", &key);
    person.write("both.pem", &format!("{certificate}{key}"));
    let endpoint = format!("--endpoint {url} --ca-file ~/ca.pem");
    for options in [
        "--certificate ~/both.pem",
        "--certificate ~/cert.pem --certificate-key ~/key.pem",
    ] {
        person.good(&format!("{endpoint} {options} model")).await;
    }
    // Those whose key needs a passphrase are of somebody whom this server does not know: they are read.
    for name in ["aes.pem", "of-old-aes.pem", "modern.p12"] {
        let sample = format!("{}/../occi-client/tests/samples/{name}", env!("CARGO_MANIFEST_DIR"));
        person.write("passphrase", "open sesame\n");
        let model = format!("{endpoint} --certificate {sample} model");
        let said = person.occi(&format!("--passphrase-file ~/passphrase {model}")).await;
        said.fails(name, 1, &["refused"]);
        let said = person.occi(&format!("--passphrase-file ~/password {model}")).await;
        said.fails(name, 2, &[name, "passphrase"]);
        person
            .occi(&model)
            .await
            .fails(name, 2, &["passphrase is needed", "--passphrase-file"]);
    }
    // The log-in keeps where they are, from wherever it is asked.
    let login = format!("login {url} --ca-file ca.pem --certificate cert.pem --certificate-key key.pem");
    person.good(&login).await;
    person.good("model --no-cache").await;
    let config = person.read(".config/occi/config.toml");
    assert!(config.contains(person.path("key.pem").to_str().unwrap()), "{config}");
    assert!(!config.contains("PRIVATE") && person.read(".config/occi/credentials.toml").is_empty());
}

/// A server's own certificate is as good as an authority's, whoever has signed it, once somebody names it.
pub(crate) async fn named() {
    let person = Person::new();
    let authority = Authority::new();
    let served = async |file: &str, name: &str, is_expired: bool, is_own_authority: bool| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if is_expired {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match is_own_authority {
            // As `openssl req -x509` makes it.
            true => {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.self_signed(&key).unwrap()
            }
            false => params.signed_by(&key, &authority.0).unwrap(),
        };
        person.write(file, &certificate.pem());
        authority.serves(certificate.der().clone(), &key, false).await
    };
    for is_own_authority in [true, false] {
        let url = served("good.pem", "127.0.0.1", false, is_own_authority).await;
        person
            .good(&format!("--endpoint {url} --ca-file ~/good.pem model"))
            .await;
        let other = served("other.pem", "127.0.0.1", false, is_own_authority).await;
        let url = format!("--endpoint {other} --ca-file ~/good.pem model");
        person.occi(&url).await.fails(
            "another's",
            1,
            match is_own_authority {
                true => &["not trusted", "an authority as its own", "--ca-file"],
                false => &["not trusted", "name the authority", "--ca-file"],
            },
        );
        let url = served("name.pem", "cloud.example.org", false, is_own_authority).await;
        let said = person
            .occi(&format!("--endpoint {url} --ca-file ~/name.pem model"))
            .await;
        said.fails("of another name", 1, &["not trusted", "other names"]);
        let url = served("old.pem", "127.0.0.1", true, is_own_authority).await;
        let said = person
            .occi(&format!("--endpoint {url} --ca-file ~/old.pem model"))
            .await;
        said.fails("expired", 1, &["not trusted", "it has expired"]);
    }
}
