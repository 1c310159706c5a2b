//! Who we are by certificate: a PEM file, as grid tools keep it (a proxy with its key and the chain behind it), or
//! PKCS#12.
//!
//! Certificates are sent in the order in which they stand, and nobody here looks into them: a proxy certificate carries
//! extensions that the rules for web certificates refuse, and whether it is good is for the server to say.

use crate::error::{Error, Result};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use secrecy::SecretString;
use std::fmt;
use std::sync::Arc;

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// A certificate, what stands behind it, and its private key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(a chain of {})", self.chain.len())
    }
}

impl Identity {
    /// Reads PEM: the certificates of `certificates`, and the private key of `key`, or else of the same text.
    ///
    /// # Errors
    /// No certificate or no key; a key that is encrypted, without the passphrase or with a wrong one.
    pub fn from_pem(certificates: &[u8], key: Option<&[u8]>, passphrase: Option<&SecretString>) -> Result<Self> {
        let key = read_key(key.unwrap_or(certificates), passphrase)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::invalid(format!("the certificate cannot be read: {error}")))?;
        if chain.is_empty() {
            return Err(Error::invalid("there is no certificate in PEM"));
        }
        Ok(Self { chain, key })
    }

    /// Reads PKCS#12.
    ///
    /// # Errors
    /// No certificate or no key; a wrong passphrase, or none where one is needed; a method of encryption that nobody uses
    /// any more.
    #[cfg(feature = "encrypted-keys")]
    pub fn from_pkcs12(bytes: &[u8], passphrase: Option<&SecretString>) -> Result<Self> {
        use secrecy::ExposeSecret;
        let word = passphrase.map(ExposeSecret::expose_secret).unwrap_or_default();
        let archive = p12_keystore::Pkcs12Archive::from_pkcs12(bytes, word).map_err(|error| {
            Error::invalid(format!("the PKCS#12 file cannot be opened: {error}")).with_hint(match passphrase {
                Some(_) => "is the passphrase right?",
                None => "it may need a passphrase",
            })
        })?;
        let Some(key) = archive.keys.first() else {
            return Err(Error::invalid("there is no private key in the PKCS#12 file"));
        };
        // The certificate of the key comes first, what stands behind it after it.
        let key_id = key.local_key_id.as_ref().map(|id| id.0.as_slice());
        let own = archive
            .certs
            .iter()
            .position(|bag| key_id.is_some() && bag.local_key_id.as_deref() == key_id)
            .unwrap_or(0);
        let mut chain: Vec<_> = archive
            .certs
            .iter()
            .map(|bag| CertificateDer::from(bag.cert.as_der().to_vec()))
            .collect();
        if chain.is_empty() {
            return Err(Error::invalid("there is no certificate in the PKCS#12 file"));
        }
        let own = chain.remove(own);
        chain.insert(0, own);
        let key = PrivateKeyDer::try_from(key.key.as_der().to_vec())
            .map_err(|error| Error::invalid(format!("the private key cannot be read: {error}")))?;
        Ok(Self { chain, key })
    }

    /// Whether the private key in PEM is encrypted.
    pub fn needs_passphrase(pem: &[u8]) -> bool {
        let text = String::from_utf8_lossy(pem);
        text.contains(ENCRYPTED) || text.contains("Proc-Type: 4,ENCRYPTED")
    }

    /// For the handshake.
    pub(crate) fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey> {
        let key: Arc<dyn SigningKey> = provider
            .key_provider
            .load_private_key(self.key.clone_key())
            .map_err(|error| Error::invalid(format!("the private key cannot be used: {error}")))?;
        Ok(CertifiedKey::new(self.chain.clone(), key))
    }
}

fn read_key(pem: &[u8], passphrase: Option<&SecretString>) -> Result<PrivateKeyDer<'static>> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(
            Error::invalid("the private key is encrypted in the way of old, which is not supported")
                .with_hint("openssl pkcs8 -topk8 -v2 aes256 -in KEY -out NEW writes it in today's way"),
        );
    }
    if let Some(start) = text.find(ENCRYPTED) {
        return decrypt(&text[start..], passphrase);
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => Error::invalid("there is no private key in PEM"),
        error => Error::invalid(format!("the private key cannot be read: {error}")),
    })
}

#[cfg(feature = "encrypted-keys")]
fn decrypt(pem: &str, passphrase: Option<&SecretString>) -> Result<PrivateKeyDer<'static>> {
    use secrecy::ExposeSecret;
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let Some(passphrase) = passphrase else {
        return Err(Error::invalid(
            "the private key is encrypted, and there is no passphrase",
        ));
    };
    let block = match pem.find(END) {
        Some(end) => &pem[..end + END.len()],
        None => pem,
    };
    let unreadable = |error: &dyn fmt::Display| Error::invalid(format!("the private key cannot be read: {error}"));
    let (_, document) = pkcs8::Document::from_pem(block).map_err(|error| unreadable(&error))?;
    let encrypted =
        pkcs8::EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|error| unreadable(&error))?;
    let key = encrypted.decrypt(passphrase.expose_secret()).map_err(|_| {
        Error::invalid("the passphrase does not open the private key")
            .with_hint("or the key is encrypted by a method that is not supported: AES and 3DES are")
    })?;
    PrivateKeyDer::try_from(key.as_bytes().to_vec()).map_err(|error| unreadable(&error))
}

#[cfg(not(feature = "encrypted-keys"))]
fn decrypt(_: &str, _: Option<&SecretString>) -> Result<PrivateKeyDer<'static>> {
    Err(Error::new(
        crate::error::ErrorKind::Unsupported,
        "the private key is encrypted, and this program was built without the means to decrypt it",
    ))
}

/// Always this one, whatever authorities a server names: the issuer of a proxy is none of them.
#[derive(Debug)]
pub(crate) struct Always(pub(crate) Arc<CertifiedKey>);

impl rustls::client::ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], schemes: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
