//! Users and projects, as an operator manages them.

use crate::auth::{Authenticator, HashError, Hasher, owner_name, random_password};
use occi_engine::{Engine, EngineError};
use occi_store::{Audit, Commit, Limits, Project, Quota, Refused, Role, Store, StoreError, User, Write};
use std::sync::Arc;
use uuid::Uuid;

/// Where operators land who were given no project.
pub const DEFAULT_PROJECT: &str = "default";
/// The operator of the first start.
pub const FIRST_USER: &str = "admin";

/// In bytes: what is longer need not fit into the header with which it is sent.
const LONGEST_PASSWORD: usize = 1024;

/// Why an operator's command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It does not exist, or exists already.
    #[error("{0}")]
    Refused(Refused),
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The first password could not be written down.
    #[error("the password cannot be kept: {0}")]
    Keep(std::io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refused) => Self::Refused(refused),
            other => Self::Store(other),
        }
    }
}

/// The accounts. Every change is felt by the next request.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<dyn Store>,
    hasher: Hasher,
    authenticator: Option<Arc<Authenticator>>,
    by: Arc<str>,
}

impl Accounts {
    /// Over a store, for the user of this process; `authenticator` is told of changes.
    pub fn new(store: Arc<dyn Store>, hasher: Hasher, authenticator: Option<Arc<Authenticator>>) -> Self {
        Self {
            store,
            hasher,
            authenticator,
            by: owner_name(rustix::process::geteuid().as_raw()).into(),
        }
    }

    /// The same, for a process of this user of the system: what is done is on record as this one's.
    pub fn by(&self, uid: u32) -> Self {
        Self {
            by: owner_name(uid).into(),
            ..self.clone()
        }
    }

    /// Who does what is done here.
    pub fn principal(&self) -> &str {
        &self.by
    }

    /// Writes, and says so in the audit: `verb` was done to the account at `path`.
    async fn commit(&self, verb: &str, path: String, detail: String, writes: Vec<Write>) -> Result<(), AccountError> {
        let commit = Commit {
            writes,
            audit: vec![self.audit(verb, path, "accepted", detail)],
            ..Commit::default()
        };
        let accounts = self.clone();
        // Who asked may go at any time; what follows a commit has to follow it.
        let committing = tokio::spawn(async move {
            accounts.store.commit(commit).await?;
            accounts.forget();
            Ok(())
        });
        committing
            .await
            .map_err(|error| AccountError::Store(StoreError::Failed(error.into())))?
    }

    /// What was known of accounts before does not count.
    fn forget(&self) {
        if let Some(authenticator) = &self.authenticator {
            authenticator.forget();
        }
    }

    fn audit(&self, verb: &str, path: String, outcome: &str, detail: String) -> Audit {
        Audit {
            id: Uuid::now_v7(),
            at_ms: jiff::Timestamp::now().as_millisecond(),
            principal: self.by.to_string(),
            project: None,
            verb: verb.to_owned(),
            path,
            outcome: outcome.to_owned(),
            detail,
            request: String::new(),
        }
    }

    /// If there is nobody yet: the default project and an operator with a random password, which is returned. It is given to
    /// `keep` before the operator exists, so that there is none whose password nobody knows.
    pub async fn found(&self, keep: impl FnOnce(&str) -> std::io::Result<()>) -> Result<Option<String>, AccountError> {
        if !self.store.users().await?.is_empty() {
            return Ok(None);
        }
        let password = random_password()?;
        let user = User {
            name: FIRST_USER.to_owned(),
            password_hash: self.hasher.hash(password.clone()).await?,
            operator: true,
            default_project: DEFAULT_PROJECT.to_owned(),
            memberships: vec![(DEFAULT_PROJECT.to_owned(), Role::Manager)],
        };
        let mut writes = self.missing_project(DEFAULT_PROJECT).await?;
        writes.push(Write::InsertUser(user));
        keep(&password).map_err(AccountError::Keep)?;
        let detail = made(true, DEFAULT_PROJECT);
        self.commit("add", user_path(FIRST_USER), detail, writes).await?;
        Ok(Some(password))
    }

    /// Says in the audit that something was refused at the side door.
    pub async fn refused(&self, verb: &str, path: &str, detail: String) {
        let commit = Commit {
            audit: vec![self.audit(verb, path.to_owned(), "refused", detail)],
            ..Commit::default()
        };
        if let Err(error) = self.store.commit(commit).await {
            tracing::error!(%error, "failed to write an audit record");
        }
    }

    /// All users, by name.
    pub async fn users(&self) -> Result<Vec<User>, AccountError> {
        let mut users = self.store.users().await?;
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    /// A new user, member of `project`, which is made if it does not exist. Without one an operator is a member of the
    /// default project, and anybody else of a new one of the same name: what is in a project, all its members may delete.
    pub async fn add_user(
        &self,
        name: &str,
        password: String,
        operator: bool,
        project: Option<&str>,
    ) -> Result<(), AccountError> {
        check_name("user", name)?;
        if self.store.user(name).await?.is_some() {
            return Err(AccountError::Refused(Refused::Taken {
                what: "user",
                name: name.to_owned(),
            }));
        }
        let password_hash = self.hash(password).await?;
        let (project, mut writes) = match project {
            // A name that is misspelt makes no project, which would have no quota.
            Some(named) => (named, Vec::new()),
            None if operator => (DEFAULT_PROJECT, self.missing_project(DEFAULT_PROJECT).await?),
            None => match self.missing_project(name).await? {
                made if made.is_empty() => {
                    return Err(AccountError::Invalid(format!(
                        "there is a project {name} already, and its members may change all that is in it: name it with --project, or another one"
                    )));
                }
                made => (name, made),
            },
        };
        writes.push(Write::InsertUser(User {
            name: name.to_owned(),
            password_hash,
            operator,
            default_project: project.to_owned(),
            memberships: vec![(project.to_owned(), Role::Member)],
        }));
        self.commit("add", user_path(name), made(operator, project), writes)
            .await
    }

    /// Another password.
    pub async fn set_password(&self, name: &str, password: String) -> Result<(), AccountError> {
        self.user(name).await?;
        let write = Write::SetPassword {
            user: name.to_owned(),
            password_hash: self.hash(password).await?,
        };
        self.commit("passwd", user_path(name), String::new(), vec![write]).await
    }

    /// The user is gone; what it made stays with its projects.
    pub async fn remove_user(&self, name: &str) -> Result<(), AccountError> {
        let write = Write::RemoveUser(name.to_owned());
        self.commit("remove", user_path(name), String::new(), vec![write]).await
    }

    /// All projects, by name.
    pub async fn projects(&self) -> Result<Vec<Project>, AccountError> {
        let mut projects = self.store.projects().await?;
        projects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(projects)
    }

    /// A new project.
    pub async fn add_project(&self, name: &str, quota: Quota) -> Result<(), AccountError> {
        check_name("project", name)?;
        let write = Write::InsertProject(project(name, quota));
        let detail = limits(&Limits {
            instances: quota.instances.map(Some),
            cores: quota.cores.map(Some),
            memory_mib: quota.memory_mib.map(Some),
            volume_gib: quota.volume_gib.map(Some),
            addresses: quota.addresses.map(Some),
        });
        self.commit("add", project_path(name), detail, vec![write]).await
    }

    /// The project is gone, as [`Engine::remove_project`] says.
    pub async fn remove_project(&self, name: &str, engine: &Engine) -> Result<(), EngineError> {
        let audit = self.audit("remove", project_path(name), "accepted", String::new());
        let (accounts, engine, name) = (self.clone(), engine.clone(), name.to_owned());
        let removing = tokio::spawn(async move {
            engine.remove_project(&name, audit).await?;
            accounts.forget();
            Ok(())
        });
        removing.await.map_err(EngineError::internal)?
    }

    /// What a project may use from now on.
    pub async fn set_quota(&self, name: &str, changed: Limits) -> Result<(), AccountError> {
        let write = Write::SetQuota {
            project: name.to_owned(),
            limits: changed,
        };
        self.commit("quota", project_path(name), limits(&changed), vec![write])
            .await
    }

    /// What a user may do in a project; none ends the membership.
    pub async fn set_member(&self, project: &str, user: &str, role: Option<Role>) -> Result<(), AccountError> {
        let member = Write::PutMember {
            project: project.to_owned(),
            user: user.to_owned(),
            role,
        };
        let path = format!("{}/members/{user}", project_path(project));
        let (verb, detail) = match role {
            Some(role) => ("member", role_word(role).to_owned()),
            None => ("leave", String::new()),
        };
        self.commit(verb, path, detail, vec![member]).await
    }

    /// The project.
    pub async fn project(&self, name: &str) -> Result<Project, AccountError> {
        let found = self.store.project(name).await?;
        found.ok_or_else(|| missing("project", name))
    }

    /// What the project uses.
    pub async fn usage(&self, name: &str) -> Result<occi_store::Usage, AccountError> {
        Ok(self.store.usage(name).await?)
    }

    async fn user(&self, name: &str) -> Result<User, AccountError> {
        self.store.user(name).await?.ok_or_else(|| missing("user", name))
    }

    async fn hash(&self, password: String) -> Result<String, AccountError> {
        if password.is_empty() {
            return Err(AccountError::Invalid("the password is empty".to_owned()));
        }
        if password.len() > LONGEST_PASSWORD {
            let message = format!("the password is longer than {LONGEST_PASSWORD} bytes");
            return Err(AccountError::Invalid(message));
        }
        Ok(self.hasher.hash(password).await?)
    }

    /// What makes `name` exist, if it does not.
    async fn missing_project(&self, name: &str) -> Result<Vec<Write>, AccountError> {
        check_name("project", name)?;
        Ok(if self.store.project(name).await?.is_some() {
            Vec::new()
        } else {
            vec![Write::InsertProject(project(name, Quota::default()))]
        })
    }
}

/// A user as it was made, for the audit.
fn made(operator: bool, project: &str) -> String {
    let what = if operator { "operator" } else { "member" };
    format!("{what} in {project}")
}

/// Limits that were set, for the audit.
fn limits(changed: &Limits) -> String {
    let Limits {
        instances,
        cores,
        memory_mib,
        volume_gib,
        addresses,
    } = *changed;
    let set: Vec<_> = [
        ("instances", instances),
        ("cores", cores),
        ("memory_mib", memory_mib),
        ("volume_gib", volume_gib),
        ("addresses", addresses),
    ]
    .into_iter()
    .filter_map(|(name, limit)| Some((name, limit?)))
    .map(|(name, limit)| match limit {
        Some(limit) => format!("{name} {limit}"),
        None => format!("{name} none"),
    })
    .collect();
    set.join(", ")
}

/// What a role is called.
pub fn role_word(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Member => "member",
        Role::Manager => "manager",
    }
}

fn user_path(name: &str) -> String {
    format!("/users/{name}")
}

fn project_path(name: &str) -> String {
    format!("/projects/{name}")
}

fn project(name: &str, quota: Quota) -> Project {
    Project {
        name: name.to_owned(),
        quota,
        created_ms: jiff::Timestamp::now().as_millisecond(),
    }
}

fn missing(what: &'static str, name: &str) -> AccountError {
    AccountError::Refused(Refused::Missing {
        what,
        name: name.to_owned(),
    })
}

/// Names appear in headers, URLs, file names and Basic credentials, where `:` ends them.
fn check_name(what: &str, name: &str) -> Result<(), AccountError> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name) || name.starts_with(['.', '-']) {
        let message = format!("{name:?} is no name for a {what}: use 1 to 64 letters, digits, '-', '_', '.' and '@'");
        return Err(AccountError::Invalid(message));
    }
    Ok(())
}
