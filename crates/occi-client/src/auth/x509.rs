//! Who we are by certificate: a PEM file, as grid tools keep it (a proxy with its key and the chain behind it), or
//! PKCS#12.
//!
//! Certificates are sent in the order in which they stand, and nobody here looks into them: a proxy certificate carries
//! extensions that the rules for web certificates refuse, and whether it is good is for the server to say.

use crate::error::{Error, Result};
#[cfg(feature = "encrypted-keys")]
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit, block_padding::Pkcs7};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use secrecy::SecretString;
use std::fmt;
use std::sync::Arc;

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
/// What stands in the head of a key that is encrypted as before PKCS#8 (RFC 1421, section 4.6.1.1).
const ENCRYPTED_OF_OLD: &str = "Proc-Type: 4,ENCRYPTED";

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
        // The head of a key that is encrypted in the way of old is more than the reader knows.
        let headless = String::from_utf8_lossy(certificates);
        let headless: Vec<_> = headless.lines().filter(|line| !line.contains(':')).collect();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(headless.join("\n").as_bytes())
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
        text.contains(ENCRYPTED) || text.contains(ENCRYPTED_OF_OLD)
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
    if text.contains(ENCRYPTED_OF_OLD) {
        return decrypt_of_old(&text, passphrase);
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
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let passphrase = needed(passphrase)?;
    let block = match pem.find(END) {
        Some(end) => &pem[..end + END.len()],
        None => pem,
    };
    let (_, document) = pkcs8::Document::from_pem(block).map_err(|error| unreadable(&error))?;
    let encrypted =
        pkcs8::EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|error| unreadable(&error))?;
    let key = encrypted.decrypt(passphrase).map_err(|_| {
        not_opened().with_hint("or the key is encrypted by a method that is not supported: AES and 3DES are")
    })?;
    PrivateKeyDer::try_from(key.as_bytes().to_vec()).map_err(|error| unreadable(&error))
}

/// As OpenSSL encrypted keys before PKCS#8, and many a `userkey.pem` still is: a cipher in CBC mode, whose key is made of the
/// passphrase and of the first eight bytes of the initialisation vector, by MD5, once.
#[cfg(feature = "encrypted-keys")]
fn decrypt_of_old(pem: &str, passphrase: Option<&SecretString>) -> Result<PrivateKeyDer<'static>> {
    use md5::{Digest, Md5};
    const SALT: usize = 8;
    let passphrase = needed(passphrase)?;
    let blocks = pem::parse_many(pem).map_err(|error| unreadable(&error))?;
    let block = blocks
        .iter()
        .find(|block| block.headers().get("Proc-Type") == Some("4,ENCRYPTED"));
    let how = block.and_then(|block| Some((block, block.headers().get("DEK-Info")?.split_once(',')?)));
    let (block, (cipher, iv)) = how.ok_or_else(|| unreadable(&"it does not say how it is encrypted"))?;
    let iv = data_encoding::HEXUPPER_PERMISSIVE
        .decode(iv.trim().as_bytes())
        .map_err(|error| unreadable(&error))?;
    let salt = iv.get(..SALT).ok_or_else(|| unreadable(&"its salt is too short"))?;
    let mut stretched = Vec::new();
    let mut last = Vec::new();
    // Enough for AES-256.
    while stretched.len() < 32 {
        let digest = Md5::new()
            .chain_update(&last)
            .chain_update(passphrase)
            .chain_update(salt);
        last = digest.finalize().to_vec();
        stretched.extend_from_slice(&last);
    }
    let contents = block.contents();
    let decrypted = match cipher.trim() {
        "AES-128-CBC" => decrypt_cbc::<aes::Aes128>(&stretched, &iv, contents),
        "AES-192-CBC" => decrypt_cbc::<aes::Aes192>(&stretched, &iv, contents),
        "AES-256-CBC" => decrypt_cbc::<aes::Aes256>(&stretched, &iv, contents),
        "DES-EDE3-CBC" => decrypt_cbc::<des::TdesEde3>(&stretched, &iv, contents),
        other => {
            let hint = "openssl pkcs8 -topk8 -v2 aes256 -in KEY -out NEW writes it in today's way";
            return Err(unreadable(&format!("{other} is not supported")).with_hint(hint));
        }
    };
    // Nothing but that it is a key says whether the passphrase is right.
    decrypted
        .and_then(|key| PrivateKeyDer::try_from(key).ok())
        .ok_or_else(not_opened)
}

/// `None` if what comes out has not the end that all have: the key was another one.
#[cfg(feature = "encrypted-keys")]
fn decrypt_cbc<C>(key: &[u8], iv: &[u8], contents: &[u8]) -> Option<Vec<u8>>
where
    C: BlockCipherDecrypt + KeyInit,
{
    let key = key.get(..C::key_size())?;
    let decryptor = cbc::Decryptor::<C>::new_from_slices(key, iv).ok()?;
    decryptor.decrypt_padded_vec::<Pkcs7>(contents).ok()
}

#[cfg(feature = "encrypted-keys")]
fn needed(passphrase: Option<&SecretString>) -> Result<&str> {
    use secrecy::ExposeSecret;
    passphrase
        .map(ExposeSecret::expose_secret)
        .ok_or_else(|| Error::invalid("the private key is encrypted, and there is no passphrase"))
}

#[cfg(feature = "encrypted-keys")]
fn not_opened() -> Error {
    Error::invalid("the passphrase does not open the private key")
}

#[cfg(feature = "encrypted-keys")]
fn unreadable(error: &dyn fmt::Display) -> Error {
    Error::invalid(format!("the private key cannot be read: {error}"))
}

#[cfg(not(feature = "encrypted-keys"))]
fn decrypt(_: &str, _: Option<&SecretString>) -> Result<PrivateKeyDer<'static>> {
    Err(Error::new(
        crate::error::ErrorKind::Unsupported,
        "the private key is encrypted, and this program was built without the means to decrypt it",
    ))
}

#[cfg(not(feature = "encrypted-keys"))]
use decrypt as decrypt_of_old;

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
