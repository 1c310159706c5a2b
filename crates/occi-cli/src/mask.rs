//! What nobody may read on a terminal or in a log, even if a server says it: the credentials of this run.
//!
//! They are masked where messages are printed. What was asked for goes to stdout as it is.

use secrecy::{ExposeSecret, SecretString};
use std::sync::{PoisonError, RwLock};

static SECRETS: RwLock<Vec<SecretString>> = RwLock::new(Vec::new());

/// One of fewer letters would mask words that are none.
const LEAST: usize = 6;

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
