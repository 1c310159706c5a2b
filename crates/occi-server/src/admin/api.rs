//! The side door's HTTP: `/healthz`, `/readyz`, `/metrics`, and a small JSON interface for the commands `occid user`,
//! `occid project`, `occid network`, `occid check` and `occid backup`. The owners of the service are operators there ([`owners`]).
//!
//! [`owners`]: crate::auth::owners

use crate::accounts::{AccountError, Accounts, role_word};
use crate::http::serve::{Body, Door, Peer};
use crate::http::status;
use crate::networks::Networks;
use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::{StatusCode, header};
use hyper::body::Incoming;
use metrics_exporter_prometheus::PrometheusHandle;
use occi_engine::{Engine, EngineError};
use occi_store::{Limits, Quota, Refused, Role, Store, Visibility};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use tower::ServiceExt;

/// What the side door looks at when the service runs.
#[derive(Clone)]
pub struct Probe {
    /// The engine, for its health.
    pub engine: Engine,
    /// The metrics.
    pub metrics: PrometheusHandle,
}

/// The side door.
#[derive(Clone)]
pub struct Admin {
    accounts: Accounts,
    inner: Arc<Inner>,
}

struct Inner {
    networks: Networks,
    store: Arc<dyn Store>,
    /// None when a command opened the store without a service.
    probe: Option<Probe>,
    /// Who is let in beyond health and metrics: those who can open the unix socket.
    commands: bool,
}

impl Admin {
    /// `commands` is false on a TCP socket, which every process of this machine can open.
    pub fn new(accounts: Accounts, store: Arc<dyn Store>, probe: Option<Probe>, commands: bool) -> Self {
        let engine = probe.as_ref().map(|probe| probe.engine.clone());
        Self {
            accounts,
            inner: Arc::new(Inner {
                networks: Networks::new(store.clone(), engine),
                store,
                probe,
                commands,
            }),
        }
    }

    /// The same, for a process of this user of the system.
    fn by(&self, uid: u32) -> Self {
        Self {
            accounts: self.accounts.by(uid),
            inner: self.inner.clone(),
        }
    }

    /// What may be looked at by all who reach it.
    fn open(&self) -> Router<Self> {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
    }

    /// The routes.
    pub fn router(&self) -> Router {
        let commands = Router::new()
            .route("/users", get(users))
            .route("/users/{name}", put(add_user).delete(remove_user))
            .route("/users/{name}/password", put(set_password))
            .route("/projects", get(projects))
            .route("/projects/{name}", put(add_project).delete(remove_project))
            .route("/projects/{name}/quota", get(quota).put(set_quota))
            .route("/projects/{name}/members/{user}", put(set_member).delete(remove_member))
            .route("/networks", get(networks))
            .route("/networks/{name}/share", put(share).delete(unshare))
            .route("/check", post(check))
            .route("/backup", post(backup))
            .layer(middleware::from_fn_with_state(self.clone(), audit_refused));
        let routes = if self.inner.commands {
            self.open().merge(commands)
        } else {
            self.open()
        };
        routes.with_state(self.clone())
    }

    /// The routes for a process that is no owner of the service.
    fn router_for_others(&self) -> Router {
        let refuse = || async {
            let message = "only root and the user of the service may do this, and no program that gave up privileges";
            Failed(StatusCode::FORBIDDEN, message.to_owned())
        };
        self.open().fallback(refuse).with_state(self.clone())
    }
}

impl Door for Admin {
    async fn answer(self: Arc<Self>, request: http::Request<Incoming>, peer: Peer) -> http::Response<Body> {
        let router = match peer {
            Peer::Owner(uid) => self.by(uid).router(),
            Peer::Ip(_) => self.router(),
            Peer::Local => self.router_for_others(),
        };
        // The router cannot fail.
        let Ok(response) = router.oneshot(request.map(axum::body::Body::new)).await;
        response.map(http_body_util::Either::Right)
    }
}

/// A command that failed: a sentence.
struct Failed(StatusCode, String);

impl From<AccountError> for Failed {
    fn from(error: AccountError) -> Self {
        let status = match &error {
            AccountError::Invalid(_) => StatusCode::BAD_REQUEST,
            AccountError::Refused(Refused::Missing { .. }) => StatusCode::NOT_FOUND,
            AccountError::Refused(_) => StatusCode::CONFLICT,
            AccountError::Hash(_) | AccountError::Keep(_) | AccountError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, with_sources(&error))
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        let (status, _) = status::of_failure(error.kind);
        // Who asks here is who would read the log.
        let text = match &error.context {
            Some(context) => format!("{error}: {context}"),
            None => error.to_string(),
        };
        Self(status, text)
    }
}

/// An error with everything beneath it.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// Leaves a record of a command that was refused; one that was carried out has its own, in its transaction.
async fn audit_refused(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let verb = request.method().as_str().to_ascii_lowercase();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    if verb != "get" && !response.status().is_success() {
        let detail = response.status().as_u16().to_string();
        admin.accounts.refused(&verb, &path, detail).await;
    }
    response
}

type Answer = Result<Response, Failed>;

fn done() -> Answer {
    Ok(Json(json!({})).into_response())
}

/// Ready means: the store answers and every engine can be used.
async fn ready(State(admin): State<Admin>) -> Response {
    let mut problems = Vec::new();
    if let Err(error) = admin.inner.store.users().await {
        problems.push(format!("the store: {error}"));
    }
    if let Some(probe) = &admin.inner.probe {
        let ill = probe.engine.health().into_iter();
        problems.extend(ill.filter_map(|(name, health)| Some(format!("the engine {name}: {}", health.err()?))));
    }
    if problems.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", problems.join("\n"))).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let text = admin
        .inner
        .probe
        .as_ref()
        .map(|probe| probe.metrics.render())
        .unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// A user, as the commands show it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserView {
    name: String,
    operator: bool,
    default_project: String,
    projects: Vec<String>,
}

async fn users(State(admin): State<Admin>) -> Answer {
    let users = admin.accounts.users().await?;
    let views: Vec<_> = users
        .into_iter()
        .map(|user| UserView {
            name: user.name,
            operator: user.operator,
            default_project: user.default_project,
            projects: user
                .memberships
                .into_iter()
                .map(|(project, role)| format!("{project}:{}", role_word(role)))
                .collect(),
        })
        .collect();
    Ok(Json(views).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    password: String,
    #[serde(default)]
    operator: bool,
    project: Option<String>,
}

async fn add_user(State(admin): State<Admin>, Path(name): Path<String>, Json(user): Json<NewUser>) -> Answer {
    let NewUser {
        password,
        operator,
        project,
    } = user;
    admin
        .accounts
        .add_user(&name, password, operator, project.as_deref())
        .await?;
    done()
}

async fn remove_user(State(admin): State<Admin>, Path(name): Path<String>) -> Answer {
    admin.accounts.remove_user(&name).await?;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    password: String,
}

async fn set_password(State(admin): State<Admin>, Path(name): Path<String>, Json(new): Json<Password>) -> Answer {
    admin.accounts.set_password(&name, new.password).await?;
    done()
}

async fn projects(State(admin): State<Admin>) -> Answer {
    let projects = admin.accounts.projects().await?;
    let names: Vec<_> = projects.into_iter().map(|project| project.name).collect();
    Ok(Json(names).into_response())
}

/// Limits on the wire; what is absent is unlimited.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NewQuota {
    instances: Option<i64>,
    cores: Option<i64>,
    memory_mib: Option<i64>,
    volume_gib: Option<i64>,
    addresses: Option<i64>,
}

impl From<NewQuota> for Quota {
    fn from(limits: NewQuota) -> Self {
        let NewQuota {
            instances,
            cores,
            memory_mib,
            volume_gib,
            addresses,
        } = limits;
        Self {
            instances,
            cores,
            memory_mib,
            volume_gib,
            addresses,
        }
    }
}

async fn add_project(State(admin): State<Admin>, Path(name): Path<String>, Json(limits): Json<NewQuota>) -> Answer {
    admin.accounts.add_project(&name, limits.into()).await?;
    done()
}

async fn remove_project(State(admin): State<Admin>, Path(name): Path<String>) -> Answer {
    let Some(probe) = &admin.inner.probe else {
        let words = "only a running service can ask its engines whether they keep images of it: start it first";
        return Err(Failed(StatusCode::CONFLICT, words.to_owned()));
    };
    admin.accounts.remove_project(&name, &probe.engine).await?;
    done()
}

async fn quota(State(admin): State<Admin>, Path(name): Path<String>) -> Answer {
    let accounts = &admin.accounts;
    let Quota {
        instances,
        cores,
        memory_mib,
        volume_gib,
        addresses,
    } = accounts.project(&name).await?.quota;
    let used = accounts.usage(&name).await?;
    let document = json!({
        "instances": { "used": used.instances, "limit": instances },
        "cores": { "used": used.cores, "limit": cores },
        "memory_mib": { "used": used.memory_mib, "limit": memory_mib },
        "volume_gib": { "used": used.volume_gib, "limit": volume_gib },
        "addresses": { "used": used.addresses, "limit": addresses },
    });
    Ok(Json(document).into_response())
}

/// Changes the limits that are named; `null` lifts one.
async fn set_quota(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    Json(changes): Json<serde_json::Map<String, serde_json::Value>>,
) -> Answer {
    let mut limits = Limits::default();
    for (limit, value) in changes {
        let place = match limit.as_str() {
            "instances" => &mut limits.instances,
            "cores" => &mut limits.cores,
            "memory_mib" => &mut limits.memory_mib,
            "volume_gib" => &mut limits.volume_gib,
            "addresses" => &mut limits.addresses,
            _ => return Err(Failed(StatusCode::BAD_REQUEST, format!("there is no limit {limit:?}"))),
        };
        *place = match value.as_i64() {
            Some(number) if number >= 0 => Some(Some(number)),
            None if value.is_null() => Some(None),
            _ => {
                return Err(Failed(
                    StatusCode::BAD_REQUEST,
                    format!("{limit}: write a whole number"),
                ));
            }
        };
    }
    admin.accounts.set_quota(&name, limits).await?;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Membership {
    role: String,
}

async fn set_member(
    State(admin): State<Admin>,
    Path((project, user)): Path<(String, String)>,
    Json(membership): Json<Membership>,
) -> Answer {
    let role = match membership.role.as_str() {
        "reader" => Role::Reader,
        "member" => Role::Member,
        "manager" => Role::Manager,
        other => return Err(Failed(StatusCode::BAD_REQUEST, format!("there is no role {other:?}"))),
    };
    admin.accounts.set_member(&project, &user, Some(role)).await?;
    done()
}

async fn remove_member(State(admin): State<Admin>, Path((project, user)): Path<(String, String)>) -> Answer {
    admin.accounts.set_member(&project, &user, None).await?;
    done()
}

/// A network, as the commands show it.
#[derive(Serialize)]
struct NetworkView {
    path: String,
    title: Option<String>,
    project: String,
    public: bool,
    shared_with: Vec<String>,
}

async fn networks(State(admin): State<Admin>) -> Answer {
    let networks = admin.inner.networks.all().await?;
    let views: Vec<_> = networks
        .into_iter()
        .map(|row| NetworkView {
            title: row
                .attributes
                .get("occi.core.title")
                .and_then(|title| Some(title.as_str()?.to_owned())),
            path: row.path,
            project: row.project,
            public: row.visibility == Visibility::Public,
            shared_with: match row.visibility {
                Visibility::Projects(projects) => projects,
                Visibility::Project | Visibility::Public => Vec::new(),
            },
        })
        .collect();
    Ok(Json(views).into_response())
}

/// With whom a network is shared: with everybody, or with these projects.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    #[serde(default)]
    public: bool,
    #[serde(default)]
    with: Vec<String>,
}

async fn share(State(admin): State<Admin>, Path(name): Path<String>, Json(share): Json<Share>) -> Answer {
    let with = match (share.public, share.with) {
        (true, with) if with.is_empty() => Visibility::Public,
        (false, with) if !with.is_empty() => Visibility::Projects(with),
        _ => {
            let words = "name the projects, or say that it is for everybody";
            return Err(Failed(StatusCode::BAD_REQUEST, words.to_owned()));
        }
    };
    admin
        .inner
        .networks
        .share(&name, with, admin.accounts.principal())
        .await?;
    done()
}

async fn unshare(State(admin): State<Admin>, Path(name): Path<String>) -> Answer {
    admin
        .inner
        .networks
        .share(&name, Visibility::Project, admin.accounts.principal())
        .await?;
    done()
}

/// Looks at the store and, if the service runs, compares it with the engines.
async fn check(State(admin): State<Admin>) -> Answer {
    let failed = |error: &dyn std::error::Error| Failed(StatusCode::INTERNAL_SERVER_ERROR, with_sources(error));
    let findings = match &admin.inner.probe {
        // It looks at the store too.
        Some(probe) => probe.engine.check().await.map_err(|error| failed(&error))?,
        None => admin.inner.store.check().await.map_err(|error| failed(&error))?,
    };
    Ok(Json(json!({ "findings": findings, "engines": admin.inner.probe.is_some() })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    file: std::path::PathBuf,
}

async fn backup(State(admin): State<Admin>, Json(backup): Json<Backup>) -> Answer {
    if backup.file.exists() {
        return Err(Failed(
            StatusCode::CONFLICT,
            format!("{} exists already", backup.file.display()),
        ));
    }
    let written = admin.inner.store.backup(&backup.file).await;
    written.map_err(|error| {
        let message = format!("{} cannot be written: {}", backup.file.display(), with_sources(&error));
        Failed(StatusCode::INTERNAL_SERVER_ERROR, message)
    })?;
    done()
}
