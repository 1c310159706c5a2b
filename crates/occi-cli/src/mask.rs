//! What nobody may read on a terminal or in a log, even if a server says it: the credentials of this run.
//!
//! They are masked where messages are printed, and in what `occi api` prints. What else was asked for goes to stdout as it
//! is.

use regex::bytes::{NoExpand, Regex};
use secrecy::{ExposeSecret, SecretString};
use std::sync::{PoisonError, RwLock};

static SECRETS: RwLock<Vec<SecretString>> = RwLock::new(Vec::new());

/// One of fewer letters would mask words that are none.
const LEAST: usize = 6;
/// In an answer that somebody works with, more words mean something.
const LEAST_OF_ANSWER: usize = 8;

/// From now on nobody reads this.
pub(crate) fn hide(secret: &str) {
    let is_known = |all: &[SecretString]| all.iter().any(|known| known.expose_secret() == secret);
    let mut all = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    if secret.len() >= LEAST && !is_known(&all) {
        all.push(secret.into());
        // One may be a part of another.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
    }
}

/// A text without them.
pub(crate) fn masked(text: &str) -> String {
    let all = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    let mut text = text.to_owned();
    for secret in all.iter() {
        text = text.replace(secret.expose_secret(), "***");
    }
    text
}

/// An answer without them, whatever it is.
pub(crate) fn masked_answer(bytes: &[u8]) -> Vec<u8> {
    let all = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    let all = all.iter().map(|secret| secret.expose_secret());
    let all: Vec<_> = all
        .filter(|secret| secret.len() >= LEAST_OF_ANSWER)
        .map(regex::escape)
        .collect();
    if all.is_empty() {
        return bytes.to_vec();
    }
    match Regex::new(&all.join("|")) {
        Ok(secrets) => secrets.replace_all(bytes, NoExpand(b"***")).into_owned(),
        Err(_) => b"***".to_vec(),
    }
}
