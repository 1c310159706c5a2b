//! Certificates: the operator's, or one of our own that is kept in the data directory.

use crate::config::{ConfigError, Http};
use crate::keep;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The certificate in use; can be read again while the service runs.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the configured certificate, or makes one for `names` (once: it stays in `data_dir`).
    pub fn open(config: &Http, data_dir: &Path, names: Vec<String>) -> Result<Self, ConfigError> {
        let (certificate, key) = match (&config.tls_certificate, &config.tls_key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            _ => own_certificate(data_dir, names)?,
        };
        Ok(Self {
            current: ArcSwap::from_pointee(read(&certificate, &key)?),
            certificate,
            key,
        })
    }

    /// Reads the files again. The old certificate stays in use if they are broken.
    pub fn reload(&self) -> Result<(), ConfigError> {
        self.current.store(Arc::new(read(&self.certificate, &self.key)?));
        Ok(())
    }

    /// For the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Where the certificate is, for people who want to trust it.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, ConfigError> {
    let failed = |name: &str, file: &Path, problem: String| {
        ConfigError::new(
            format!("{name}: {}: {problem}", file.display()),
            "give a certificate chain and its key as PEM files, or unset both to have one made",
        )
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| failed("http.tls_certificate", certificate, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| failed("http.tls_key", key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("http.tls_certificate", certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| failed("http.tls_certificate", certificate, error.to_string()))?;
    // Clients in use match the reason phrases of HTTP/1.1, so HTTP/2 is not offered.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn own_certificate(data_dir: &Path, mut names: Vec<String>) -> Result<(PathBuf, PathBuf), ConfigError> {
    let (certificate, key) = (data_dir.join("tls.crt"), data_dir.join("tls.key"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let failed = |problem: String| {
        ConfigError::new(
            format!("no certificate could be made: {problem}"),
            "set http.tls_certificate and http.tls_key",
        )
    };
    names.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
    names.sort();
    names.dedup();
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| failed(error.to_string()))?;
    // Of the two, the one that is left over does not suit the other.
    keep::remove(&certificate)
        .and_then(|()| keep::write(&key, made.signing_key.serialize_pem().as_bytes(), 0o600))
        .and_then(|()| keep::write(&certificate, made.cert.pem().as_bytes(), 0o644))
        .map_err(|error| failed(error.to_string()))?;
    Ok((certificate, key))
}
