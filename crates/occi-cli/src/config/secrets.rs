//! `credentials.toml`: the secrets of contexts, in a file that nobody else can read.

use super::file::Place;
use crate::failure::Result;
use crate::mask;
use crate::words;
use occi_client::oidc::{Keeper, Tokens};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::time::{Duration, Instant};
use tokio::sync::{RwLock, RwLockWriteGuard};

/// What proves who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// Of a user, or of an application credential.
    pub(crate) password: Option<SecretString>,
    /// Of any kind.
    pub(crate) token: Option<SecretString>,
    /// Gets the next token from an identity provider.
    pub(crate) refresh_token: Option<SecretString>,
    /// Who the program is to an identity provider.
    pub(crate) client_secret: Option<SecretString>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllStored {
    #[serde(default)]
    contexts: BTreeMap<String, Stored>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
}

impl Secrets {
    /// Those of a context.
    pub(crate) fn load(context: &str) -> Result<Self> {
        let Some(place) = Place::secrets() else {
            return Ok(Self::default());
        };
        let mut all = parse(&place, &place.read()?)?;
        let stored = all.contexts.remove(context).unwrap_or_default();
        let Stored {
            password,
            token,
            refresh_token,
            client_secret,
        } = stored;
        let secrets = Self {
            password: password.map(Into::into),
            token: token.map(Into::into),
            refresh_token: refresh_token.map(Into::into),
            client_secret: client_secret.map(Into::into),
        };
        secrets.hide();
        Ok(secrets)
    }

    /// From now on nobody reads them.
    pub(super) fn hide(&self) {
        let Self {
            password,
            token,
            refresh_token,
            client_secret,
        } = self;
        for secret in [password, token, refresh_token, client_secret].into_iter().flatten() {
            mask::hide(secret.expose_secret());
        }
    }

    /// Keeps them.
    pub(crate) fn store(&self, context: &str) -> Result<()> {
        let Self {
            password,
            token,
            refresh_token,
            client_secret,
        } = self;
        let text = |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        let stored = Stored {
            password: text(password),
            token: text(token),
            refresh_token: text(refresh_token),
            client_secret: text(client_secret),
        };
        if [password, token, refresh_token, client_secret]
            .iter()
            .all(|secret| secret.is_none())
        {
            return Self::forget(context).map(drop);
        }
        change(|all| drop(all.insert(context.to_owned(), stored)))
    }

    /// Forgets those of a context; says whether there were any.
    pub(crate) fn forget(context: &str) -> Result<bool> {
        match Place::or_nowhere(Place::secrets())?.read()?.is_empty() {
            true => Ok(false),
            false => change(|all| all.remove(context).is_some()),
        }
    }

    /// They go by another name from now on.
    pub(crate) fn rename(from: &str, to: &str) -> Result<()> {
        change(|all| {
            if let Some(stored) = all.remove(from) {
                all.insert(to.to_owned(), stored);
            }
        })
    }
}

fn parse(place: &Place, text: &str) -> Result<AllStored> {
    // The reader's own words could quote a secret.
    toml::from_str(text).map_err(|error| {
        place
            .broken(text, error.span(), "this cannot be understood")
            .with_hint("mend it, or remove the file and log in again: occi login URL")
    })
}

fn change<T>(change: impl FnOnce(&mut BTreeMap<String, Stored>) -> T) -> Result<T> {
    let place = Place::or_nowhere(Place::secrets())?;
    place.change(|text| {
        let mut all = parse(&place, &text)?;
        let result = change(&mut all.contexts);
        let text = toml::to_string(&all).map_err(|_| place.broken("", None, "this cannot be written"))?;
        Ok((text, result))
    })
}

/// Keeps the tokens of a context that logged in at an identity provider.
#[derive(Debug)]
pub(super) struct TokenKeeper {
    pub(super) context: String,
    /// How long another process may take to renew them.
    pub(super) patience: Duration,
}

/// Read as long as tokens are renewed.
static RENEWING: RwLock<()> = RwLock::const_new(());
/// So long the end of the program waits for that.
const LAST: Duration = Duration::from_secs(10);

/// Waits until tokens that are being renewed are kept: the provider refuses those before. As long as what is returned is
/// there, no renewal begins.
pub(crate) async fn renewed() -> Option<RwLockWriteGuard<'static, ()>> {
    tokio::time::timeout(LAST, RENEWING.write()).await.ok()
}

impl Keeper for TokenKeeper {
    fn kept(&self) -> Option<Tokens> {
        let Secrets {
            token, refresh_token, ..
        } = Secrets::load(&self.context).ok()?;
        Some(Tokens::new(token?, refresh_token))
    }

    fn lock(&self) -> std::io::Result<Box<dyn Send>> {
        let file = Place::secrets().and_then(|place| File::create(place.path.with_file_name(".renewing")).ok());
        let begun = Instant::now();
        // Where there can be no such file, nobody else keeps anything.
        if let Some(file) = &file {
            while let Err(TryLockError::WouldBlock) = file.try_lock() {
                if begun.elapsed() >= self.patience {
                    let why = "another occi is at it, and does not come to an end";
                    return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, why));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(Box::new((file, RENEWING.blocking_read())))
    }

    fn keep(&self, tokens: &Tokens) {
        let text = |secret: &SecretString| {
            mask::hide(secret.expose_secret());
            secret.expose_secret().to_owned()
        };
        let kept = change(|all| {
            // Who has logged out meanwhile is not logged in again.
            if let Some(stored) = all.get_mut(&self.context) {
                stored.token = Some(text(&tokens.access));
                stored.refresh_token = tokens.refresh.as_ref().map(text);
            }
        });
        if let Err(failure) = kept {
            words::say(format!(
                "warning: the log-in was renewed, but cannot be kept: {failure}"
            ));
        }
    }
}
