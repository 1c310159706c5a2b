//! Keystone, OpenStack's identity service, as far as it takes to get a token (decision 0015).
//!
//! A server that wants its tokens answers 401 with `WWW-Authenticate: Keystone uri='...'`. That address shows the versions
//! that Keystone speaks; version 3 is taken before 2.0. Somebody with several projects has to choose one: without a
//! choice the first that gives a token is taken, and [`Chosen`] says so. With a token comes a catalogue of the services of
//! the cloud, in which [`Token::service`] looks for one.

use crate::answer::RawAnswer;
use crate::auth::{X_AUTH_TOKEN, is_no_worse, secret_header};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::request::Request;
use crate::stream;
use crate::transport::{Connector, Secret, Transport};
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;

const X_SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
/// The longest answer: a token with its catalogue, or a list of projects.
const MOST: usize = 8 << 20;

/// How to prove to Keystone who one is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Identity {
    /// By a name and a password.
    Password {
        /// The name; `name@domain`, unless [`Options::user_domain`] says which domain it is.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// By an application credential (version 3), which brings its project along.
    ApplicationCredential {
        /// Its id.
        id: String,
        /// Its secret.
        secret: SecretString,
    },
    /// By the access token of another identity provider (version 3).
    Federation(SecretString),
    /// By the client certificate of the connection: mapped by version 3, a VOMS proxy for version 2.0.
    Certificate,
    /// By a token that is there already, for another project.
    Token(SecretString),
}

/// A domain: users and projects have names of their own in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// By its name.
    Name(String),
    /// By its id.
    Id(String),
}

impl Domain {
    fn json(&self) -> Json {
        match self {
            Self::Name(name) => json!({ "name": name }),
            Self::Id(id) => json!({ "id": id }),
        }
    }
}

/// What else to tell Keystone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where it is. Default: where the 401 says. With an address of one's own no other Keystone is given a secret.
    pub url: Option<String>,
    /// The project, by id or name. Default: the first that works.
    pub project: Option<String>,
    /// The domain of that project. Default: whatever domain it is in, as long as the user sees it.
    pub project_domain: Option<Domain>,
    /// The domain of the user. Default: what follows the last `@` of the name, or else the one that is named `Default`.
    pub user_domain: Option<Domain>,
    /// The identity provider, for [`Identity::Federation`] and [`Identity::Certificate`]. Default `egi.eu`.
    pub provider: String,
    /// Its protocols, tried in order. Default `openid`, `oidc`; certificates are `mapped`.
    pub protocols: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: None,
            project: None,
            project_domain: None,
            user_domain: None,
            provider: "egi.eu".to_owned(),
            protocols: ["openid", "oidc"].map(Into::into).into(),
        }
    }
}

/// The project of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chosen {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is only the first that worked, of several.
    pub is_arbitrary: bool,
}

/// A token, for which project it is, and what there is besides. It does not print.
#[derive(Clone, Debug)]
pub struct Token {
    pub(crate) secret: SecretString,
    /// Where that is known.
    pub(crate) project: Option<Chosen>,
    catalogue: Vec<Service>,
    /// Who gave it.
    keystone: Endpoint,
}

/// A line of the catalogue.
#[derive(Clone, Debug)]
struct Service {
    kind: String,
    region: String,
    url: String,
}

/// A token of the Keystone at [`Options::url`], for who has to know before there is a client where the server is.
/// [`Builder::keystone_token`](crate::Builder::keystone_token) saves that client a log-in of its own.
///
/// # Errors
/// [`Options::url`] is not set; no token is given.
pub async fn token(identity: &Identity, options: &Options, connector: &Connector) -> Result<Token> {
    let url = options.url.as_deref();
    let endpoint: Endpoint = url
        .ok_or_else(|| Error::invalid("the address of Keystone is not known"))?
        .parse()?;
    let keystone = Keystone {
        transport: connector.open(&endpoint)?,
        endpoint,
        options,
        limit: connector.limits.whole,
    };
    keystone.token(identity).await
}

impl Token {
    /// Where the public address of a service is, by its type in the catalogue.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such service, or none in the region; [`ErrorKind::Protocol`] if its address is
    /// one where credentials would be seen on the way, and Keystone's is not.
    pub fn service(&self, kind: &str, region: Option<&str>) -> Result<Endpoint> {
        let server = &self.keystone;
        let mut found = self.catalogue.iter().filter(|service| service.kind == kind);
        let found = found.find(|service| region.is_none_or(|region| service.region == region));
        match found {
            Some(service) => {
                let found: Endpoint = service.url.parse().map_err(|error: Error| {
                    Error::protocol(format!(
                        "the catalogue of the Keystone at {server} lists no address: {error}"
                    ))
                })?;
                match is_no_worse(&found, server) {
                    true => Ok(found),
                    false => Err(Error::protocol(format!(
                        "the catalogue of the Keystone at {server} sends us to {found}, where credentials would be seen on the way"
                    ))
                    .with_hint("name the address of the service yourself")),
                }
            }
            None => {
                let place = region
                    .map(|region| format!(" in the region {region:?}"))
                    .unwrap_or_default();
                let message =
                    format!("the catalogue of the Keystone at {server} lists no service of the type {kind:?}{place}");
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }
}

/// Asks a Keystone.
#[derive(Debug)]
pub(crate) struct Keystone<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) options: &'a Options,
    /// For each answer as a whole.
    pub(crate) limit: Duration,
}

/// The versions that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V2,
    V3,
}

/// Whether a refusal is about one project. After anything else the next one would be a project that nobody has chosen.
fn is_of_project(refusal: &Error) -> bool {
    matches!(refusal.status(), Some(401 | 403 | 404))
}

impl Keystone<'_> {
    /// A token for the project that is wanted.
    pub(crate) async fn token(&self, identity: &Identity) -> Result<Token> {
        let (version, root) = self.version().await?;
        match version {
            Version::V3 => self.token_v3(&root, identity).await,
            Version::V2 => self.token_v2(&root, identity).await,
        }
    }

    /// Which version to speak, and the path in front of it. The addresses in Keystone's own list are often those behind a
    /// proxy, so only its versions are believed.
    async fn version(&self) -> Result<(Version, String)> {
        let path = self.endpoint.base_path();
        let named = |text: &str| match text.trim_start_matches('v').split('.').next() {
            Some("3") => Some(Version::V3),
            Some("2") => Some(Version::V2),
            _ => None,
        };
        if let Some((root, last)) = path.rsplit_once('/')
            && let Some(version) = last.strip_prefix('v').and_then(named)
        {
            return Ok((version, root.to_owned()));
        }
        let answer = self.send(self.request(Method::GET, &format!("{path}/"))?).await?;
        if answer.status != StatusCode::MULTIPLE_CHOICES {
            self.check(&answer)?;
        }
        let document = self.document(&answer)?;
        let list = document
            .pointer("/versions/values")
            .or_else(|| document.get("versions"));
        let single = document.get("version").map(std::slice::from_ref);
        let list = list
            .and_then(Json::as_array)
            .map(Vec::as_slice)
            .or(single)
            .unwrap_or_default();
        let ids: Vec<_> = list.iter().filter_map(|version| version.get("id")?.as_str()).collect();
        for wanted in [Version::V3, Version::V2] {
            if ids.iter().any(|id| named(id) == Some(wanted)) {
                return Ok((wanted, path.to_owned()));
            }
        }
        Err(self.strange("it names no version that is known here"))
    }

    async fn token_v3(&self, root: &str, identity: &Identity) -> Result<Token> {
        let tokens = format!("{root}/v3/auth/tokens");
        let project = self.options.project.as_deref();
        let unscoped = match identity {
            Identity::ApplicationCredential { id, secret } => {
                let method = json!({
                    "methods": ["application_credential"],
                    "application_credential": { "id": id, "secret": secret.expose_secret() },
                });
                let answer = self.post(&tokens, &json!({ "auth": { "identity": method } })).await?;
                return self.scoped_v3(&answer, false);
            }
            Identity::Password { user, password } => {
                let (user, domain) = match (&self.options.user_domain, user.rsplit_once('@')) {
                    (Some(domain), _) => (user.as_str(), domain.clone()),
                    (None, Some((user, domain))) => (user, Domain::Name(domain.to_owned())),
                    (None, None) => (user.as_str(), Domain::Name("Default".to_owned())),
                };
                let method = json!({
                    "methods": ["password"],
                    "password": { "user": {
                        "name": user, "domain": domain.json(), "password": password.expose_secret(),
                    } },
                });
                let body = json!({ "auth": { "identity": method, "scope": "unscoped" } });
                self.subject(&self.post(&tokens, &body).await?)?
            }
            Identity::Federation(token) => self.federated(root, Some(token), &self.options.protocols).await?,
            Identity::Certificate => self.federated(root, None, &["mapped".to_owned()]).await?,
            Identity::Token(token) => token.clone(),
        };
        let scoped = async |project: Json| {
            let body = json!({ "auth": {
                "identity": { "methods": ["token"], "token": { "id": unscoped.expose_secret() } },
                "scope": { "project": project },
            } });
            self.post(&tokens, &body).await
        };
        if let (Some(name), Some(domain)) = (project, &self.options.project_domain) {
            let project = json!({ "name": name, "domain": domain.json() });
            return self.scoped_v3(&scoped(project).await?, false);
        }
        let mut found = Vec::new();
        for list in ["auth/projects", "OS-FEDERATION/projects"] {
            let mut request = self.request(Method::GET, &format!("{root}/v3/{list}"))?;
            request.headers_mut().insert(X_AUTH_TOKEN, secret_header(&unscoped)?);
            let answer = self.send(request).await?;
            if answer.status != StatusCode::NOT_FOUND {
                self.check(&answer)?;
                found = self.projects(&answer, "projects")?;
                break;
            }
        }
        // What is not listed may still be an id.
        let candidates = choose(&found, project);
        if candidates.is_empty()
            && let Some(project) = project
        {
            return self.scoped_v3(&scoped(json!({ "id": project })).await?, false);
        }
        let is_arbitrary = project.is_none() && candidates.len() > 1;
        let mut last = self.no_project();
        for candidate in candidates {
            match scoped(json!({ "id": candidate.id })).await {
                Ok(answer) => return self.scoped_v3(&answer, is_arbitrary),
                Err(error) if is_of_project(&error) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// A token without a project, for who proved elsewhere who he is.
    async fn federated(&self, root: &str, token: Option<&SecretString>, protocols: &[String]) -> Result<SecretString> {
        let mut last = Error::invalid("no protocol of the identity provider is named");
        for protocol in protocols {
            let provider = &self.options.provider;
            let path = format!("{root}/v3/OS-FEDERATION/identity_providers/{provider}/protocols/{protocol}/auth");
            let mut request = self.request(Method::POST, &path)?;
            match token {
                Some(token) => {
                    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret().trim()))
                        .map_err(|_| Error::invalid("the token holds characters that no header can carry"))?;
                    value.set_sensitive(true);
                    request.headers_mut().insert(header::AUTHORIZATION, value);
                }
                None => *request.method_mut() = Method::GET,
            }
            let answer = self.send(request).await?;
            match self.check(&answer) {
                Ok(()) => return self.subject(&answer),
                Err(error) if error.kind() == ErrorKind::NotFound => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn token_v2(&self, root: &str, identity: &Identity) -> Result<Token> {
        let tokens = format!("{root}/v2.0/tokens");
        let first = match identity {
            Identity::Password { user, password } => {
                let body = json!({ "auth": { "passwordCredentials": {
                    "username": user, "password": password.expose_secret(),
                } } });
                self.access_v2(&self.post(&tokens, &body).await?)?.secret
            }
            // A VOMS proxy, which the connection shows.
            Identity::Certificate => {
                self.access_v2(&self.post(&tokens, &json!({ "auth": { "voms": true } })).await?)?
                    .secret
            }
            Identity::Token(token) => token.clone(),
            Identity::ApplicationCredential { .. } | Identity::Federation(_) => {
                let message = format!(
                    "the Keystone at {} speaks version 2.0 only, which has no such way to log in",
                    self.endpoint
                );
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        };
        let mut request = self.request(Method::GET, &format!("{root}/v2.0/tenants"))?;
        request.headers_mut().insert(X_AUTH_TOKEN, secret_header(&first)?);
        let answer = self.send(request).await?;
        self.check(&answer)?;
        let found = self.projects(&answer, "tenants")?;
        let project = self.options.project.as_deref();
        let candidates = choose(&found, project);
        let is_arbitrary = project.is_none() && candidates.len() > 1;
        let mut last = self.no_project();
        for candidate in candidates {
            let mut body =
                json!({ "auth": { "token": { "id": first.expose_secret() }, "tenantName": candidate.name } });
            if matches!(identity, Identity::Certificate) {
                body = json!({ "auth": { "voms": true, "tenantName": candidate.name } });
            }
            match self
                .post(&tokens, &body)
                .await
                .and_then(|answer| self.access_v2(&answer))
            {
                Ok(token) => {
                    let project = Chosen {
                        is_arbitrary,
                        ..candidate.clone()
                    };
                    return Ok(Token {
                        project: Some(project),
                        ..token
                    });
                }
                Err(error) if is_of_project(&error) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    fn scoped_v3(&self, answer: &RawAnswer, is_arbitrary: bool) -> Result<Token> {
        let secret = self.subject(answer)?;
        let document = self.document(answer).unwrap_or_default();
        let text = |name: &str| {
            document
                .pointer(&format!("/token/project/{name}"))
                .and_then(Json::as_str)
        };
        let project = text("id").map(|id| Chosen {
            id: id.to_owned(),
            name: text("name").unwrap_or(id).to_owned(),
            is_arbitrary,
        });
        let catalogue = services(document.pointer("/token/catalog"), |endpoint| {
            let is_public = endpoint.get("interface")?.as_str()? == "public";
            is_public.then(|| endpoint.get("url")?.as_str())?
        });
        Ok(Token {
            secret,
            project,
            catalogue,
            keystone: self.endpoint.clone(),
        })
    }

    fn subject(&self, answer: &RawAnswer) -> Result<SecretString> {
        let token = answer.header(X_SUBJECT_TOKEN).filter(|token| !token.trim().is_empty());
        token
            .map(SecretString::from)
            .ok_or_else(|| self.strange("its answer holds no token"))
    }

    fn access_v2(&self, answer: &RawAnswer) -> Result<Token> {
        let document = self.document(answer)?;
        let token = document.pointer("/access/token/id").and_then(Json::as_str);
        let secret = token
            .map(SecretString::from)
            .ok_or_else(|| self.strange("its answer holds no token"))?;
        Ok(Token {
            secret,
            project: None,
            catalogue: services(document.pointer("/access/serviceCatalog"), |endpoint| {
                endpoint.get("publicURL")?.as_str()
            }),
            keystone: self.endpoint.clone(),
        })
    }

    fn projects(&self, answer: &RawAnswer, list: &str) -> Result<Vec<Chosen>> {
        let document = self.document(answer)?;
        let list = document
            .get(list)
            .and_then(Json::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let is_enabled = |project: &&Json| project.get("enabled") != Some(&Json::Bool(false));
        let text = |project: &Json, name: &str| project.get(name).and_then(Json::as_str).map(str::to_owned);
        let projects = list.iter().filter(is_enabled).filter_map(|project| {
            let id = text(project, "id")?;
            Some(Chosen {
                name: text(project, "name").unwrap_or_else(|| id.clone()),
                id,
                is_arbitrary: false,
            })
        });
        Ok(projects.collect())
    }

    fn request(&self, method: Method, path: &str) -> Result<Request> {
        let url = self.endpoint.url(path);
        let mut request = http::Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = url
            .parse()
            .map_err(|error| Error::invalid(format!("{url} is no URL: {error}")))?;
        request
            .headers_mut()
            .insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        request.extensions_mut().insert(Secret);
        Ok(request)
    }

    async fn post(&self, path: &str, body: &Json) -> Result<RawAnswer> {
        let mut request = self.request(Method::POST, path)?;
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = body.to_string().into();
        let answer = self.send(request).await?;
        self.check(&answer)?;
        Ok(answer)
    }

    async fn send(&self, request: Request) -> Result<RawAnswer> {
        let incoming = self.transport.send(request).await?;
        let body = stream::whole(incoming.body, MOST, self.limit).await?;
        Ok(RawAnswer::new(incoming.head.status, incoming.head.headers, body))
    }

    fn check(&self, answer: &RawAnswer) -> Result<()> {
        if answer.status.is_success() {
            return Ok(());
        }
        let said = self.document(answer).ok();
        let said = said
            .as_ref()
            .and_then(|document| document.pointer("/error/message")?.as_str());
        let kind = ErrorKind::of_status(answer.status.as_u16());
        let said = said.map_or_else(|| format!("it answered {}", answer.status), crate::answer::printable);
        Err(
            Error::new(kind, format!("the Keystone at {} gave no token: {said}", self.endpoint))
                .with_status(answer.status.as_u16()),
        )
    }

    fn document(&self, answer: &RawAnswer) -> Result<Json> {
        serde_json::from_slice(&answer.body).map_err(|_| self.strange("its answer is no JSON"))
    }

    fn strange(&self, why: &str) -> Error {
        Error::protocol(format!("the Keystone at {} cannot be understood: {why}", self.endpoint))
    }

    fn no_project(&self) -> Error {
        let message = match &self.options.project {
            Some(project) => format!("the Keystone at {} shows no project {project:?}", self.endpoint),
            None => format!("the Keystone at {} shows no project of this user", self.endpoint),
        };
        Error::new(ErrorKind::Forbidden, message)
    }
}

/// The endpoints of a catalogue that have an address for the public.
fn services(catalogue: Option<&Json>, url: impl Fn(&Json) -> Option<&str>) -> Vec<Service> {
    let mut found = Vec::new();
    for service in catalogue.and_then(Json::as_array).into_iter().flatten() {
        let text = |of: &Json, name: &str| of.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        for endpoint in service.get("endpoints").and_then(Json::as_array).into_iter().flatten() {
            found.extend(url(endpoint).map(|url| Service {
                kind: text(service, "type"),
                region: text(endpoint, "region"),
                url: url.to_owned(),
            }));
        }
    }
    found
}

/// The projects to try.
fn choose<'p>(found: &'p [Chosen], wanted: Option<&str>) -> Vec<&'p Chosen> {
    match wanted {
        None => found.iter().collect(),
        Some(wanted) => {
            let by_id: Vec<_> = found.iter().filter(|project| project.id == wanted).collect();
            match by_id.is_empty() {
                true => found.iter().filter(|project| project.name == wanted).collect(),
                false => by_id,
            }
        }
    }
}
