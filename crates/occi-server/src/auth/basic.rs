//! HTTP Basic (RFC 7617) against the accounts of the store.

use super::password::{HashError, Hasher};
use super::sight::{Sight, Sights};
use super::slow_down::SlowDown;
use crate::accounts::DEFAULT_PROJECT;
use crate::config;
use aws_lc_rs::hmac;
use headers::authorization::{Basic, Credentials};
use http::HeaderValue;
use occi_engine::Principal;
use occi_store::{Role, Store, StoreError, User};
use quick_cache::sync::Cache;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No credentials, or wrong ones.
    #[error("a user name and its password are needed")]
    Unauthenticated,
    /// Too many wrong passwords lately.
    #[error("too many wrong passwords: wait {} s", .0.as_secs() + 1)]
    SlowDown(Duration),
    /// Too many passwords are being checked.
    #[error("too many passwords are being checked: try again")]
    Busy,
    /// The accounts cannot be read.
    #[error("the accounts cannot be read")]
    Store(#[source] StoreError),
    /// The computation failed.
    #[error("the password could not be checked")]
    Failed,
}

/// Somebody who was let in.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Who.
    pub principal: Arc<Principal>,
    /// What they see.
    pub sight: Sight,
    /// By what they came in.
    pub key: Fingerprint,
}

/// Of what is recorded of a password; good for comparisons within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// The name of the owner of the service that is this user of the system.
pub fn owner_name(uid: u32) -> String {
    format!("{OWNER}{uid}")
}

/// How many accepted passwords are remembered.
const REMEMBERED: usize = 10_000;
/// There are two: root and the user of the service.
const OWNERS: usize = 2;

/// How the names of owners begin, which no account's can.
const OWNER: &str = "uid:";

/// Lets principals in. An accepted `Authorization` header is remembered under a keyed hash whose key lives as long as
/// this process, so that neither password nor anything guessable stays in memory.
pub struct Authenticator {
    store: Arc<dyn Store>,
    hasher: Hasher,
    slow: Arc<SlowDown>,
    key: hmac::Key,
    remembered: Cache<[u8; 32], Accepted>,
    /// By user of this system. Apart from what was accepted by its header, which anybody may write.
    owners: Cache<u32, Accepted>,
    sights: Sights,
    remember: Duration,
    /// Grows when an account changes: what was remembered before does not count.
    accounts: AtomicU64,
}

#[derive(Clone)]
struct Accepted {
    visitor: Visitor,
    /// Empty for who needs none.
    password_hash: Arc<str>,
    accounts: u64,
    until: Instant,
}

impl Authenticator {
    /// Over these accounts.
    pub fn new(store: Arc<dyn Store>, hasher: Hasher, config: &config::Auth) -> Result<Self, HashError> {
        let mut secret = [0_u8; 32];
        // The system's: the library's own generator gathers its first randomness for 35 ms.
        getrandom::fill(&mut secret).map_err(|_| HashError::Failed)?;
        Ok(Self {
            store,
            hasher,
            slow: Arc::new(SlowDown::new(config.wrong_passwords)),
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            remembered: Cache::new(REMEMBERED),
            owners: Cache::new(OWNERS),
            sights: Sights::default(),
            remember: config.remember.0,
            accounts: AtomicU64::new(0),
        })
    }

    /// Forgets every accepted password, because an account changed.
    pub fn forget(&self) {
        self.accounts.fetch_add(1, Ordering::AcqRel);
    }

    /// A number that grows when an account changes.
    pub fn accounts(&self) -> u64 {
        self.accounts.load(Ordering::Acquire)
    }

    /// Whether this header was accepted lately: no waiting, no store, no password.
    pub fn known(&self, header: &HeaderValue) -> Option<Visitor> {
        self.still(self.remembered.get(&self.tag(header))?)
    }

    /// Who was accepted, if that still counts.
    fn still(&self, accepted: Accepted) -> Option<Visitor> {
        (accepted.accounts == self.accounts.load(Ordering::Acquire) && accepted.until > Instant::now())
            .then_some(accepted.visitor)
    }

    /// The owner of the service that is `user` on this system: an operator whose name no account can have, `uid:1000`, and
    /// whose default project is that of the first operator or, if that is gone, the first by name.
    pub async fn owner(&self, user: u32) -> Result<Visitor, Refusal> {
        if let Some(visitor) = self.owners.get(&user).and_then(|accepted| self.still(accepted)) {
            return Ok(visitor);
        }
        let accounts = self.accounts.load(Ordering::Acquire);
        let projects = self.store.projects().await.map_err(Refusal::Store)?;
        let names = || projects.iter().map(|project| project.name.as_str());
        let default = names().find(|name| *name == DEFAULT_PROJECT).or_else(|| names().min());
        let default_project = default.unwrap_or(DEFAULT_PROJECT).to_owned();
        let accepted = self.accept(
            Principal {
                name: owner_name(user),
                operator: true,
                projects: vec![(default_project.clone(), Role::Manager)],
                default_project,
            },
            "",
            accounts,
        );
        self.owners.insert(user, accepted.clone());
        Ok(accepted.visitor)
    }

    /// What somebody who was let in may do now; `None` if the account is gone or has another password.
    pub async fn again(&self, visitor: &Visitor) -> Result<Option<Arc<Principal>>, StoreError> {
        if visitor.principal.name.starts_with(OWNER) {
            return Ok(Some(visitor.principal.clone()));
        }
        let user = self.store.user(&visitor.principal.name).await?;
        let same = user.filter(|user| self.fingerprint(&user.password_hash) == visitor.key);
        Ok(same.as_ref().map(self::principal).map(Arc::new))
    }

    /// Who sends this header from an address, or from a unix socket.
    pub async fn authenticate(&self, header: &HeaderValue, from: Option<IpAddr>) -> Result<Visitor, Refusal> {
        if let Some(visitor) = self.known(header) {
            return Ok(visitor);
        }
        let basic = header
            .as_bytes()
            .get(..6)
            .filter(|scheme| scheme.eq_ignore_ascii_case(b"basic "));
        let credentials = basic
            .and_then(|_| Basic::decode(header))
            .ok_or(Refusal::Unauthenticated)?;
        let name = credentials.username();
        let tag = self.tag(header);
        // Of one header one check at a time: a program that comes with all its connections at once is let in by the first.
        let (turn, accounts, user) = loop {
            let known = self.remembered.get_value_or_guard_async(&tag).await;
            let accounts = self.accounts.load(Ordering::Acquire);
            let user = self.store.user(name).await.map_err(Refusal::Store)?;
            let old = match known {
                Err(turn) => break (turn, accounts, user),
                Ok(accepted) => accepted.password_hash,
            };
            if let Some(user) = user.filter(|user| *old == *user.password_hash) {
                let accepted = self.accept(principal(&user), &user.password_hash, accounts);
                self.remembered.insert(tag, accepted.clone());
                return Ok(accepted.visitor);
            }
            self.remembered
                .remove_if(&tag, |accepted| accepted.password_hash == old);
        };
        if let Some(wait) = self.slow.wait(name, from) {
            return Err(Refusal::SlowDown(wait));
        }
        let _place = self.slow.enter(from).ok_or(Refusal::Busy)?;
        let still = {
            let (slow, name) = (self.slow.clone(), name.to_owned());
            move || slow.wait(&name, from).is_none()
        };
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let verified = self.hasher.verify(credentials.password().to_owned(), hash, still).await;
        match (verified, user) {
            (Ok(true), Some(user)) => {
                let accepted = self.accept(principal(&user), &user.password_hash, accounts);
                let visitor = accepted.visitor.clone();
                // An account that has changed meanwhile is looked at again the next time.
                let _known = turn.insert(accepted);
                Ok(visitor)
            }
            (Ok(_), _) => {
                self.slow.failed(name, from);
                Err(Refusal::Unauthenticated)
            }
            (Err(HashError::Busy), _) => Err(Refusal::Busy),
            (Err(HashError::Failed), _) => Err(Refusal::Failed),
        }
    }

    fn accept(&self, principal: Principal, password_hash: &str, accounts: u64) -> Accepted {
        Accepted {
            visitor: Visitor {
                sight: self.sights.of(&principal),
                principal: Arc::new(principal),
                key: self.fingerprint(password_hash),
            },
            password_hash: password_hash.into(),
            accounts,
            until: Instant::now() + self.remember,
        }
    }

    fn tag(&self, header: &HeaderValue) -> [u8; 32] {
        self.sign(header.as_bytes())
    }

    fn fingerprint(&self, password_hash: &str) -> Fingerprint {
        Fingerprint(self.sign(password_hash.as_bytes()))
    }

    fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        let mut tag = [0; 32];
        tag.copy_from_slice(hmac::sign(&self.key, bytes).as_ref());
        tag
    }
}

/// What the engine needs to know of an account.
pub fn principal(user: &User) -> Principal {
    let User {
        name,
        password_hash: _,
        operator,
        default_project,
        memberships,
    } = user;
    Principal {
        name: name.clone(),
        operator: *operator,
        projects: memberships.clone(),
        default_project: default_project.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use occi_store::{Commit, Project, Quota, SqliteStore, Write};

    #[tokio::test]
    async fn who_was_let_in_is_let_in_again_until_the_password_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("store.db")).unwrap());
        let write = async |writes| {
            let commit = Commit {
                writes,
                ..Commit::default()
            };
            store.commit(commit).await.unwrap();
        };
        let hasher = Hasher::default();
        let user = User {
            name: "ann".to_owned(),
            password_hash: hasher.hash("secret".into()).await.unwrap(),
            operator: false,
            default_project: "lab".to_owned(),
            memberships: vec![("lab".to_owned(), Role::Member)],
        };
        let project = Project {
            name: "lab".to_owned(),
            quota: Quota::default(),
            created_ms: 0,
        };
        write(vec![Write::InsertProject(project), Write::InsertUser(user)]).await;
        let authenticator = Authenticator::new(store.clone(), hasher.clone(), &config::Auth::default()).unwrap();
        let header = HeaderValue::from_static("Basic YW5uOnNlY3JldA==");
        let visitor = authenticator.authenticate(&header, None).await.unwrap();
        write(vec![Write::PutMember {
            project: "lab".to_owned(),
            user: "ann".to_owned(),
            role: Some(Role::Manager),
        }])
        .await;
        let again = authenticator.again(&visitor).await.unwrap().unwrap();
        assert_eq!(again.projects, [("lab".to_owned(), Role::Manager)]);
        write(vec![Write::SetPassword {
            user: "ann".to_owned(),
            password_hash: hasher.hash("another".into()).await.unwrap(),
        }])
        .await;
        assert!(authenticator.again(&visitor).await.unwrap().is_none());
        write(vec![Write::RemoveUser("ann".to_owned())]).await;
        assert!(authenticator.again(&visitor).await.unwrap().is_none());
        let owner = authenticator.owner(1).await.unwrap();
        assert!(authenticator.again(&owner).await.unwrap().is_some());
    }
}
