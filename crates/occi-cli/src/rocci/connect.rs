//! The connection: who asks, whom to trust, and what to speak.

use super::digest;
use super::log::Log;
use super::options::{Auth, Level, Options};
use super::{Result, Trouble};
use crate::config::{GRID_AUTHORITIES, ask, hidden};
use crate::read;
use crate::trace;
use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, Method};
use occi_client::keystone;
use occi_client::transport::Connector;
use occi_client::x509::Identity;
use occi_client::{Client, Credentials, ErrorKind, Limits, Tls};
use secrecy::{ExposeSecret, SecretString};
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

/// A client as the options want it.
pub(super) async fn client(options: &Options, log: &Log) -> Result<Client> {
    for option in &options.seen_secrets {
        log.caution(&format!(
            "the secret after {option} is seen by everybody on this machine; {option} - reads it from stdin"
        ));
    }
    if options.skip_ca_check {
        log.caution("the server's certificate is not checked: anybody may pose as the server");
    }
    let shows_secret = matches!(options.auth, Auth::Basic | Auth::Token | Auth::OAuth2);
    if shows_secret && !options.endpoint.is_https() && !options.endpoint.is_loopback() {
        log.caution("the connection is not encrypted: anybody on the way sees passwords and tokens");
    }
    let mut credentials = Credentials::None;
    let mut tls = Tls::default();
    tls.ca_files = options.ca_file.iter().cloned().collect();
    tls.ca_directories = directories(options);
    tls.insecure = options.skip_ca_check;
    let mut wrapper = trace::wrapper(options.level == Level::Debug);
    match options.auth {
        Auth::None => {}
        Auth::Basic => {
            credentials = Credentials::Basic {
                user: options.username.clone(),
                password: password(options)?,
            }
        }
        Auth::Digest => {
            let digest = digest::wrapper(options.username.clone(), password(options)?);
            // No Keystone is asked instead: it would be told the password itself, which the answer to a challenge is not.
            wrapper = Arc::new(move |inner| digest(wrapper(inner)));
        }
        Auth::X509 => tls.identity = Some(certificate(options)?),
        Auth::Token => credentials = Credentials::Token(token(options)?),
        // It is shown to Keystone only.
        Auth::OAuth2 => credentials = Credentials::Keystone(keystone::Identity::Federation(token(options)?)),
    }
    let mut connector = Connector::default();
    connector.limits = limits(options);
    connector.tls = tls;
    connector.wrapper = Some(wrapper);
    let client = build(options, connector.clone(), credentials)?;
    if options.auth == Auth::OAuth2 && wants_bearer(&client).await? {
        return build(options, connector, Credentials::Bearer(token(options)?));
    }
    Ok(client)
}

/// Whether the server itself takes the token that Keystone is not asked for: rOCCI-cli knew no such servers.
async fn wants_bearer(client: &Client) -> Result<bool> {
    match client.model().await {
        Err(error) if error.kind() == ErrorKind::Unauthenticated => {}
        _ => return Ok(false),
    }
    let endpoint = client.endpoint();
    let path = format!("{}/-/", endpoint.base_path());
    let answer = client.raw(Method::GET, &path, HeaderMap::new(), Bytes::new()).await?;
    let challenges = answer.headers.get_all(WWW_AUTHENTICATE);
    let is_bearer = challenges.iter().any(|challenge| {
        let scheme = challenge.as_bytes().get(..6).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"bearer")
    });
    Ok(is_bearer && (endpoint.is_https() || endpoint.is_loopback()))
}

fn limits(options: &Options) -> Limits {
    let mut limits = Limits::default();
    if let Some(timeout) = options.timeout {
        limits.connect = timeout;
        limits.read = timeout;
        limits.whole = limits.whole.max(timeout);
    }
    limits
}

fn build(options: &Options, connector: Connector, credentials: Credentials) -> Result<Client> {
    let project = std::env::var("ROCCI_CLIENT_KEYSTONE_TENANT").ok();
    let mut keystone = keystone::Options::default();
    keystone.project = project.filter(|project| !project.is_empty());
    let builder = Client::builder(options.endpoint.clone())
        .credentials(credentials)
        .keystone(keystone)
        .media(options.media)
        .product(concat!("occi/", env!("CARGO_PKG_VERSION")))
        .connector(connector);
    Ok(builder.build()?)
}

/// Says for which project Keystone's token is, if nobody has chosen it.
pub(super) fn say_project(client: &Client, log: &Log) {
    if let Some(chosen) = client.keystone_project().filter(|chosen| chosen.is_arbitrary) {
        log.warn(&format!(
            "of several projects {} is used; ROCCI_CLIENT_KEYSTONE_TENANT names another",
            chosen.name
        ));
    }
}

fn directories(options: &Options) -> Vec<PathBuf> {
    let grid = || Some(PathBuf::from(GRID_AUTHORITIES)).filter(|path| path.is_dir());
    options.ca_path.clone().or_else(grid).into_iter().collect()
}

fn token(options: &Options) -> Result<SecretString> {
    let token = options
        .token
        .as_ref()
        .ok_or("a token is needed: -q TOKEN, or -q - to read it from stdin")?;
    match token.expose_secret().trim().lines().count() {
        1 => Ok(hidden(token.expose_secret().trim())),
        _ => Err("the token has several lines".into()),
    }
}

/// As it was given, or as somebody says it now.
fn password(options: &Options) -> Result<SecretString> {
    if let Some(password) = &options.password {
        return Ok(hidden(password.expose_secret()));
    }
    if std::io::stdin().is_terminal() {
        return Ok(ask("Enter a password: ")?);
    }
    // A script may have answered the question.
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    match read {
        Ok(1..) => Ok(hidden(line.trim_end_matches(['\r', '\n']))),
        _ => Err("a password is needed, and there is nobody to ask: -p - reads it from stdin".into()),
    }
}

fn certificate(options: &Options) -> Result<Identity> {
    let file = match &options.user_cred {
        Some(file) => file.clone(),
        None => {
            let home = etcetera::home_dir().map_err(|error| Trouble(error.to_string()))?;
            home.join(".globus/usercred.pem")
        }
    };
    let bytes = read::file(&file, read::CERTIFICATES)?;
    let is_pkcs12 = file.extension().is_some_and(|extension| extension == "p12");
    if is_pkcs12 {
        return Ok(Identity::from_pkcs12(&bytes, Some(&password(options)?))?);
    }
    let passphrase = match Identity::needs_passphrase(&bytes) {
        true => Some(password(options)?),
        false => None,
    };
    Ok(Identity::from_pem(&bytes, None, passphrase.as_ref())?)
}
