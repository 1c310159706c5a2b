//! Whom to trust, and who we are, on encrypted connections.

use crate::auth::x509::{Always, Identity};
use crate::error::{Error, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What decides about an encrypted connection.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tls {
    /// Trust those below only, and not the authorities of the system.
    pub without_system_roots: bool,
    /// PEM files with certificates of authorities, or the server's own, which need not be signed by anybody.
    pub ca_files: Vec<PathBuf>,
    /// Directories of such files, as `/etc/grid-security/certificates`; in these, files that hold no certificate are
    /// passed over.
    pub ca_directories: Vec<PathBuf>,
    /// Do not look at the server's certificate at all.
    pub insecure: bool,
    /// Who we are.
    pub identity: Option<Identity>,
}

impl Tls {
    /// The configuration; `is_needed` is false for an endpoint that is not encrypted, which then costs nothing.
    pub(crate) fn config(&self, is_needed: bool) -> Result<ClientConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::invalid(format!("TLS cannot be set up: {error}")))?;
        let builder = if self.insecure {
            let blind = Arc::new(Blind(provider.clone()));
            builder.dangerous().with_custom_certificate_verifier(blind)
        } else if is_needed {
            let (roots, named) = self.roots()?;
            match named.is_empty() {
                true => builder.with_root_certificates(roots),
                false => {
                    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                        .build()
                        .map_err(|error| Error::invalid(format!("TLS cannot be set up: {error}")))?;
                    let known = Arc::new(Known { authorities, named });
                    builder.dangerous().with_custom_certificate_verifier(known)
                }
            }
        } else {
            builder.with_root_certificates(RootCertStore::empty())
        };
        Ok(match &self.identity {
            Some(identity) => {
                let certified = Arc::new(identity.certified(&provider)?);
                builder.with_client_cert_resolver(Arc::new(Always(certified)))
            }
            None => builder.with_no_client_auth(),
        })
    }

    /// All authorities, and the certificates that somebody has named one by one.
    fn roots(&self) -> Result<(RootCertStore, Vec<CertificateDer<'static>>)> {
        let mut roots = RootCertStore::empty();
        let mut named = Vec::new();
        if !self.without_system_roots {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        for file in &self.ca_files {
            let certificates = read(file).map_err(|why| Error::invalid(format!("{}: {why}", file.display())))?;
            if certificates.is_empty() {
                return Err(Error::invalid(format!(
                    "{} holds no certificate in PEM",
                    file.display()
                )));
            }
            for certificate in certificates {
                roots
                    .add(certificate.clone())
                    .map_err(|error| Error::invalid(format!("{}: {error}", file.display())))?;
                named.push(certificate);
            }
        }
        for directory in &self.ca_directories {
            let refuse = |error: std::io::Error| Error::invalid(format!("{}: {error}", directory.display()));
            for entry in std::fs::read_dir(directory).map_err(refuse)? {
                let path = entry.map_err(refuse)?.path();
                if path.is_file() {
                    roots.add_parsable_certificates(read(&path).unwrap_or_default());
                }
            }
        }
        if roots.is_empty() {
            let message = "no certificate authority is known, so no server can be trusted";
            return Err(Error::invalid(message).with_hint("name a file with the authority's certificate"));
        }
        Ok((roots, named))
    }
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    certificates
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// Trusts whom an authority has signed, and a server whose own certificate somebody has named: that of `openssl req -x509`
/// calls itself an authority, which no server's may, and others are signed by somebody unknown. The time and the name are
/// checked all the same.
#[derive(Debug)]
struct Known {
    authorities: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let error = match self
            .authorities
            .verify_server_cert(certificate, between, name, ocsp, now)
        {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        use CertificateError::{BadSignature, Other, UnknownIssuer};
        // These are found after the time has been checked, and before the name is. The signature is that of somebody
        // unknown whose name is the server's.
        let is_of_nobody = matches!(
            error,
            rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature | Other(_))
        );
        if !is_of_nobody || !self.named.iter().any(|named| named == certificate) {
            return Err(error);
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Trusts anybody: the user said so.
#[derive(Debug)]
struct Blind(Arc<CryptoProvider>);

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
