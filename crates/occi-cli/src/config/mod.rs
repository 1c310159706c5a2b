//! Which server, and who asks.
//!
//! **The server** is the first of these: `--endpoint`, `--context` or `--cloud` (two of them contradict each other);
//! `OCCI_ENDPOINT`, `OCCI_CONTEXT`, `OS_CLOUD`, in this order; the current context; an `occid` of this user on this machine.
//!
//! **Who asks** is the first of these: `--user`, `--token-file`, `--auth-token-file`, `--certificate`; `OCCI_USER` or
//! `OCCI_TOKEN`; what the context or the cloud says. What the environment says of who asks is not shown to a server that
//! `--context` or `--cloud` names: it may be meant for another one. And what a context says of who asks is shown to the
//! server of that context alone.
//!
//! **Everything else** (`--project`, `--ca-file`, ...): the option, the environment, the context.

mod ask;
mod clouds;
mod contexts;
mod file;
mod secrets;

pub(crate) use ask::{ask, hidden, secret_file};
pub(crate) use contexts::{Context, Contexts, Method, check_name};
pub(crate) use secrets::{Secrets, renewed};

use crate::args::Global;
use crate::failure::{Failure, Result};
use crate::output::Format;
use crate::read;
use crate::trace;
use crate::words;
use etcetera::{BaseStrategy, choose_base_strategy};
use occi_client::keystone::{self, Domain};
use occi_client::oidc::{Provider, Session, Tokens};
use occi_client::transport::Connector;
use occi_client::{Credentials, Endpoint, Limits, Tls};
use secrecy::{ExposeSecret, SecretString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where grid sites keep the authorities that they trust.
pub(crate) const GRID_AUTHORITIES: &str = "/etc/grid-security/certificates";
/// How long a socket of this machine may take.
const LOCAL_PATIENCE: Duration = Duration::from_secs(2);
/// The type of our service in Keystone's catalogue.
const SERVICE: &str = "occi";

/// All that is needed to speak to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) endpoint: Endpoint,
    pub(crate) credentials: Credentials,
    pub(crate) keystone: keystone::Options,
    /// With which the catalogue came that says where the server is.
    pub(crate) keystone_token: Option<keystone::Token>,
    pub(crate) connector: Connector,
    pub(crate) project: Option<String>,
    /// How to print, unless the command says.
    pub(crate) output: Option<Format>,
    whose: u64,
}

impl Connection {
    /// What decides about what the server shows: itself, who asks, and the project.
    pub(crate) fn identity(&self) -> (String, u64, Option<String>) {
        (self.endpoint.to_string(), self.whose, self.project.clone())
    }
}

/// Where copies are kept that can be lost.
pub(crate) fn cache_directory() -> Option<PathBuf> {
    Some(choose_base_strategy().ok()?.cache_dir().join("occi"))
}

/// What the options, the environment and the files say.
///
/// # Errors
/// No server is known; files cannot be read; options contradict each other; a catalogue does not name the server.
pub(crate) async fn connection(global: &Global) -> Result<Connection> {
    check(global)?;
    let (place, is_named) = place(global)?;
    let mut name = None;
    let (mut context, mut secrets) = match place {
        Place::Url(url) => (at(url), Secrets::default()),
        Place::Context(named) => {
            let context = Contexts::load()?.get(&named)?.clone();
            let secrets = Secrets::load(&named)?;
            name = Some(named);
            (context, secrets)
        }
        Place::Cloud(named) => clouds::load(&named)?,
    };
    let asker = Asker::given(global, !is_named)?;
    if asker.apply(&mut context, &mut secrets, global)? {
        // Somebody else than the one of the context: his tokens are not kept there.
        name = None;
    }
    apply(global, &mut context)?;
    connect(name.as_deref(), &context, &secrets, global).await
}

/// Where the server is said to be.
enum Place {
    Url(String),
    Context(String),
    Cloud(String),
}

/// The place, and whether an option names it together with who asks there.
fn place(global: &Global) -> Result<(Place, bool)> {
    if let Some(url) = &global.endpoint {
        return Ok((Place::Url(url.clone()), false));
    }
    if let Some(name) = &global.context {
        return Ok((Place::Context(name.clone()), true));
    }
    if let Some(name) = &global.cloud {
        return Ok((Place::Cloud(name.clone()), true));
    }
    let place = if let Some(url) = variable("OCCI_ENDPOINT")? {
        Place::Url(url)
    } else if let Some(name) = variable("OCCI_CONTEXT")? {
        Place::Context(name)
    } else if let Some(name) = variable("OS_CLOUD")? {
        Place::Cloud(name)
    } else if let Some(name) = Contexts::load()?.current {
        Place::Context(name)
    } else {
        Place::Url(local_server().ok_or_else(no_server)?.to_string())
    };
    Ok((place, false))
}

fn at(url: String) -> Context {
    Context {
        endpoint: Some(url),
        ..Context::default()
    }
}

fn no_server() -> Failure {
    Failure::usage("no server is known")
        .with_hint("occi login URL makes one known; --endpoint URL or OCCI_ENDPOINT names one for once")
        .with_hint(match local_sockets().find(|socket| socket.exists()) {
            Some(socket) => format!(
                "nobody answers at {}: is the occid of this machine running?",
                socket.display()
            ),
            None => {
                "an occid of this user on this machine is found by itself, but for one with a --data-dir of its own: \
                     --endpoint unix:DIR/occid.sock"
                    .to_owned()
            }
        })
}

/// Where an `occid` of this user, and one of the system, listens on this machine.
fn local_sockets() -> impl Iterator<Item = PathBuf> {
    let state = choose_base_strategy().ok().and_then(|base| base.state_dir());
    let own = state.map(|directory| directory.join("occid"));
    let directories = own.into_iter().chain([PathBuf::from("/var/lib/occid")]);
    directories.map(|directory| directory.join("occid.sock"))
}

/// An `occid` of this user, or of the system, that runs on this machine.
fn local_server() -> Option<Endpoint> {
    let socket = local_sockets().find(|socket| is_answered(socket))?;
    format!("unix:{}", socket.display()).parse().ok()
}

/// Whether somebody listens there. One that is stopped or overrun could let us wait for ever.
fn is_answered(socket: &Path) -> bool {
    let (tell, told) = std::sync::mpsc::channel();
    let socket = socket.to_owned();
    std::thread::spawn(move || tell.send(std::os::unix::net::UnixStream::connect(socket).is_ok()));
    told.recv_timeout(LOCAL_PATIENCE).unwrap_or(false)
}

/// A variable of the environment that says something.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var_os(name).map(std::ffi::OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Err(_)) => Err(Failure::usage(format!("{name} is not in UTF-8"))),
    }
}

/// Options that contradict each other.
pub(crate) fn check(global: &Global) -> Result<()> {
    let given = |options: &[(&str, bool)]| -> Vec<String> {
        let given = options.iter().filter(|(_, is_given)| *is_given);
        given.map(|(name, _)| (*name).to_owned()).collect()
    };
    let contradict = |names: &[String], why: &str| match names {
        [one, other, ..] => Err(Failure::usage(format!(
            "{one} and {other} contradict each other: {why}"
        ))),
        _ => Ok(()),
    };
    let servers = [
        ("--endpoint", global.endpoint.is_some()),
        ("--context", global.context.is_some()),
        ("--cloud", global.cloud.is_some()),
    ];
    contradict(&given(&servers), "each names a server")?;
    let askers = [
        ("--user", global.user.is_some()),
        ("--token-file", global.token_file.is_some()),
        ("--auth-token-file", global.auth_token_file.is_some()),
    ];
    contradict(&given(&askers), "each says who asks")?;
    let tokens = [
        ("--password-file", global.password_file.is_some()),
        ("--token-file", global.token_file.is_some()),
        ("--auth-token-file", global.auth_token_file.is_some()),
    ];
    contradict(&given(&tokens), "each says who asks")?;
    let is_stdin = |file: &Option<PathBuf>| file.as_deref() == Some(Path::new("-"));
    let from_stdin = [
        ("--password-file -", is_stdin(&global.password_file)),
        ("--token-file -", is_stdin(&global.token_file)),
        ("--auth-token-file -", is_stdin(&global.auth_token_file)),
        ("--passphrase-file -", is_stdin(&global.passphrase_file)),
    ];
    contradict(&given(&from_stdin), "there is one stdin")?;
    if global.certificate_key.is_some() && global.certificate.is_none() {
        return Err(Failure::usage("--certificate-key needs --certificate"));
    }
    Ok(())
}

/// Who asks, as the command and the environment say.
#[derive(Debug)]
pub(crate) struct Asker {
    user: Option<String>,
    /// From `--password-file`, or from the environment where that counts.
    pub(crate) password: Option<SecretString>,
    /// With its kind.
    token: Option<(Method, SecretString)>,
}

impl Asker {
    /// Reads it; `may_be_environment` says whether the environment counts.
    pub(crate) fn given(global: &Global, may_be_environment: bool) -> Result<Self> {
        let mut asker = Self {
            user: global.user.clone(),
            password: global.password_file.as_deref().map(secret_file).transpose()?,
            token: None,
        };
        for (method, file) in [
            (Method::Bearer, &global.token_file),
            (Method::Token, &global.auth_token_file),
        ] {
            if let Some(file) = file {
                asker.token = Some((method, secret_file(file)?));
            }
        }
        let is_said = asker.user.is_some() || asker.token.is_some() || global.certificate.is_some();
        if may_be_environment && !is_said {
            asker.user = variable("OCCI_USER")?;
            let token = variable("OCCI_TOKEN")?;
            if asker.user.is_some() && token.is_some() {
                let message = "OCCI_USER and OCCI_TOKEN contradict each other: each says who asks";
                return Err(Failure::usage(message));
            }
            asker.token = token.map(|token| (Method::Bearer, token.into()));
        }
        if may_be_environment && asker.password.is_none() {
            asker.password = variable("OCCI_PASSWORD")?.map(Into::into);
        }
        Ok(asker)
    }

    /// Puts it over what a context says; says whether that is somebody else now.
    pub(crate) fn apply(self, context: &mut Context, secrets: &mut Secrets, global: &Global) -> Result<bool> {
        // A certificate alone says who asks too.
        let is_certificate = global.certificate.is_some() && self.user.is_none() && self.token.is_none();
        let is_other = self.user.is_some() && self.user != context.user || self.token.is_some() || is_certificate;
        if is_other {
            *secrets = Secrets::default();
            context.password_command = None;
            context.application_credential = None;
            context.auth = match context.auth {
                Method::Keystone | Method::Federation if is_certificate => Method::Keystone,
                _ if is_certificate => Method::None,
                Method::Keystone if self.user.is_some() => Method::Keystone,
                _ => Method::Basic,
            };
            context.user = self.user;
        }
        if let Some((method, token)) = self.token {
            context.auth = method;
            secrets.token = Some(token);
        }
        if let Some(password) = self.password {
            if global.password_file.is_some() && !needs_password(context) {
                return Err(Failure::usage("--password-file needs --user, or a context with a user"));
            }
            secrets.password = Some(password);
            context.password_command = None;
        }
        Ok(is_other)
    }
}

/// Whether it is a password that proves who asks.
pub(crate) fn needs_password(context: &Context) -> bool {
    match context.auth {
        Method::Basic => true,
        Method::Keystone => context.user.is_some() || context.application_credential.is_some(),
        _ => false,
    }
}

/// Puts the other options over what a context says.
pub(crate) fn apply(global: &Global, context: &mut Context) -> Result<()> {
    let or = |option: &Option<PathBuf>, said: &mut Option<PathBuf>| {
        if option.is_some() {
            said.clone_from(option);
        }
    };
    if global.certificate.is_some() {
        (context.certificate_key, context.passphrase_file) = (None, None);
    }
    or(&global.certificate, &mut context.certificate);
    or(&global.certificate_key, &mut context.certificate_key);
    or(&global.passphrase_file, &mut context.passphrase_file);
    or(&global.ca_file, &mut context.ca_file);
    context.insecure |= global.insecure;
    let project = match &global.project {
        Some(project) => Some(project.clone()),
        None => variable("OCCI_PROJECT")?,
    };
    if project.is_some() && project != context.project {
        context.project = project;
        (context.project_domain, context.project_domain_id) = (None, None);
    }
    Ok(())
}

/// How connections are made.
pub(crate) fn connector(context: &Context, global: &Global) -> Result<Connector> {
    let mut tls = Tls::default();
    tls.insecure = context.insecure;
    if let Some(file) = &context.ca_file {
        // Whether it can be read is found out here, as of every other file that somebody names.
        read::file(file, read::CERTIFICATES)?;
        tls.ca_files.push(file.clone());
    }
    if std::fs::read_dir(GRID_AUTHORITIES).is_ok() {
        tls.ca_directories.push(GRID_AUTHORITIES.into());
    }
    if let Some(file) = &context.certificate {
        let (key, passphrase) = (context.certificate_key.as_deref(), context.passphrase_file.as_deref());
        tls.identity = Some(ask::certificate(file, key, passphrase)?);
    }
    let mut connector = Connector::default();
    connector.limits = global.timeout.map_or_else(Limits::default, Limits::of);
    connector.tls = tls;
    connector.wrapper = Some(trace::wrapper(global.debug));
    Ok(connector)
}

/// Makes a connection of what a context says; `name` is that of the context where new tokens are kept.
pub(crate) async fn connect(
    name: Option<&str>,
    context: &Context,
    secrets: &Secrets,
    global: &Global,
) -> Result<Connection> {
    let about = |failure: Failure| match name {
        Some(name) => failure.about(format!("context {name}")),
        None => failure,
    };
    secrets.hide();
    // What cannot be is said before anybody is asked for a password.
    let endpoint: Option<Endpoint> = match &context.endpoint {
        Some(endpoint) => Some(endpoint.parse().map_err(|error| about(Failure::from(error)))?),
        None if context.keystone.is_some() => None,
        None => return Err(about(Failure::usage("endpoint is missing"))),
    };
    let connector = connector(context, global)?;
    let credentials = credentials(name, context, secrets, &connector).map_err(about)?;
    let keystone = keystone_options(context);
    let (endpoint, keystone_token) = match (endpoint, &credentials) {
        (Some(endpoint), _) => (endpoint, None),
        (None, Credentials::Keystone(identity)) => {
            let token = keystone::token(identity, &keystone, &connector).await;
            let token = token.map_err(|error| about(Failure::from(error)))?;
            let found = token.service(SERVICE, context.region.as_deref()).map_err(|error| {
                let is_not_listed = error.kind() == occi_client::ErrorKind::NotFound;
                let failure = about(Failure::from(error));
                match is_not_listed {
                    true => failure.with_hint("clouds.yaml can say where it is: occi_endpoint_override: URL"),
                    false => failure,
                }
            })?;
            (found, Some(token))
        }
        (None, _) => return Err(about(Failure::usage("endpoint is missing"))),
    };
    if context.insecure && endpoint.is_https() && !global.quiet {
        words::say(format!(
            "warning: the certificate of {endpoint} is not checked: anybody can answer in its name"
        ));
    }
    if !matches!(credentials, Credentials::None) {
        warn_if_plain(&endpoint, global);
    }
    if let (Credentials::Keystone(_), Some(Ok(keystone))) = (&credentials, keystone.url.as_deref().map(str::parse)) {
        warn_if_plain(&keystone, global);
    }
    let output = context.output.as_deref().map(str::parse::<Format>).transpose();
    Ok(Connection {
        whose: whose(name, context, secrets),
        endpoint,
        credentials,
        keystone,
        keystone_token,
        connector,
        project: context.project.clone(),
        output: output.map_err(Failure::usage)?,
    })
}

/// What others on the way can read.
pub(crate) fn warn_if_plain(endpoint: &Endpoint, global: &Global) {
    if !endpoint.is_https() && !endpoint.is_loopback() && !global.quiet {
        words::say(format!(
            "warning: {endpoint} is not encrypted: anybody on the way sees passwords and tokens, and can answer in its name"
        ));
    }
}

/// A number for each who may see something else at a server.
fn whose(name: Option<&str>, context: &Context, secrets: &Secrets) -> u64 {
    let mut hasher = DefaultHasher::new();
    (
        name,
        context.auth.as_str(),
        &context.user,
        &context.application_credential,
    )
        .hash(&mut hasher);
    context.certificate.hash(&mut hasher);
    // A token that is renewed does not make somebody else.
    if name.is_none() {
        secrets
            .token
            .as_ref()
            .map(ExposeSecret::expose_secret)
            .hash(&mut hasher);
    }
    hasher.finish()
}

fn credentials(name: Option<&str>, context: &Context, secrets: &Secrets, connector: &Connector) -> Result<Credentials> {
    let again = |failure: Failure| match (name, &context.endpoint) {
        (Some(name), Some(endpoint)) => {
            failure.with_hint(format!("log in again: occi login {endpoint} --name {name} ..."))
        }
        _ => failure,
    };
    let user = || {
        let user = context.user.clone();
        user.ok_or_else(|| Failure::usage("user is missing"))
    };
    let password = |prompt: String| match (&secrets.password, &context.password_command) {
        (Some(password), _) => Ok(password.clone()),
        (None, Some(line)) => ask::command(line),
        (None, None) => ask(&prompt).map_err(again),
    };
    let token = || match (&secrets.token, &context.password_command) {
        (Some(token), _) => Ok(token.clone()),
        (None, Some(line)) => ask::command(line),
        (None, None) => Err(again(Failure::usage("no token is kept"))),
    };
    Ok(match context.auth {
        Method::None => Credentials::None,
        Method::Basic => {
            let user = user()?;
            let password = password(format!("Password of {user}: "))?;
            Credentials::Basic { user, password }
        }
        Method::Bearer => Credentials::Bearer(token()?),
        Method::Token => Credentials::Token(token()?),
        Method::Oidc => {
            let missing = |key: &str| Failure::usage(format!("{key} is missing"));
            let endpoint = context
                .token_endpoint
                .as_deref()
                .ok_or_else(|| missing("token_endpoint"))?;
            let client_id = context.client_id.as_deref().ok_or_else(|| missing("client_id"))?;
            // Our certificate is for the server, not for the provider.
            let mut connector = connector.clone();
            connector.tls.identity = None;
            let provider = Provider::known(endpoint, client_id, secrets.client_secret.clone(), &connector)?;
            let tokens = Tokens::new(token()?, secrets.refresh_token.clone());
            let session = Session::new(provider, tokens);
            Credentials::Session(match name {
                Some(name) => session.kept_by(Arc::new(secrets::TokenKeeper {
                    context: name.to_owned(),
                    patience: connector.limits.whole.min(Duration::from_secs(60)),
                })),
                None => session,
            })
        }
        Method::Federation => Credentials::Keystone(keystone::Identity::Federation(token()?)),
        Method::Keystone => Credentials::Keystone(if let Some(id) = &context.application_credential {
            keystone::Identity::ApplicationCredential {
                id: id.clone(),
                secret: password(format!("Password (secret) of the application credential {id}: "))?,
            }
        } else if let Some(user) = &context.user {
            keystone::Identity::Password {
                user: user.clone(),
                password: password(format!("Password of {user}: "))?,
            }
        } else if context.certificate.is_some() {
            keystone::Identity::Certificate
        } else {
            keystone::Identity::Token(token()?)
        }),
    })
}

fn keystone_options(context: &Context) -> keystone::Options {
    let domain = |name: &Option<String>, id: &Option<String>| match (id, name) {
        (Some(id), _) => Some(Domain::Id(id.clone())),
        (None, Some(name)) => Some(Domain::Name(name.clone())),
        (None, None) => None,
    };
    let mut options = keystone::Options::default();
    options.url = context.keystone.clone();
    options.project = context.project.clone();
    options.project_domain = domain(&context.project_domain, &context.project_domain_id);
    if let Some(domain) = domain(&context.user_domain, &context.user_domain_id) {
        options.user_domain = Some(domain);
    }
    if let Some(provider) = &context.identity_provider {
        options.provider.clone_from(provider);
    }
    if let Some(protocol) = &context.protocol {
        options.protocols = vec![protocol.clone()];
    }
    options
}
