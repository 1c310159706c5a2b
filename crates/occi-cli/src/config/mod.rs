//! Which server, and who asks: from options, the environment and files.

use crate::args::Global;
use crate::complete;
use crate::failure::{Exit, Failure, Result, file_failure};
use etcetera::{BaseStrategy, choose_base_strategy};
use occi_client::auth::keystone;
use occi_client::auth::x509::Identity;
use occi_client::{Credentials, Endpoint, Tls};
use secrecy::SecretString;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

/// All that is needed to speak to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) endpoint: Endpoint,
    pub(crate) credentials: Credentials,
    pub(crate) keystone: keystone::Options,
    pub(crate) tls: Tls,
    pub(crate) project: Option<String>,
}

impl Connection {
    /// What decides about what the server shows: itself, who asks, and the project.
    pub(crate) fn identity(&self) -> (String, String, Option<String>) {
        let who = match &self.credentials {
            Credentials::Basic { user, .. } => user.clone(),
            credentials => format!("{:?}", std::mem::discriminant(credentials)),
        };
        (self.endpoint.to_string(), who, self.project.clone())
    }
}

/// Where copies are kept that can be lost.
pub(crate) fn cache_directory() -> Option<PathBuf> {
    Some(choose_base_strategy().ok()?.cache_dir().join("occi"))
}

/// What the options, the environment and the files say.
///
/// # Errors
/// No server is known; files cannot be read; options contradict each other.
pub(crate) fn connection(global: &Global) -> Result<Connection> {
    let endpoint: Endpoint = match &global.endpoint {
        Some(endpoint) => endpoint.parse()?,
        None => local_server().ok_or_else(no_server)?,
    };
    let mut tls = Tls {
        insecure: global.insecure,
        ..Tls::default()
    };
    tls.ca_files.extend(global.ca_file.clone());
    if let Some(file) = &global.certificate {
        tls.identity = Some(certificate(file)?);
    }
    Ok(Connection {
        credentials: credentials(global)?,
        keystone: keystone::Options {
            project: global.project.clone(),
            ..keystone::Options::default()
        },
        endpoint,
        tls,
        project: global.project.clone(),
    })
}

fn no_server() -> Failure {
    Failure::usage("no server is known")
        .with_hint("occi login URL makes one known; --endpoint URL or OCCI_ENDPOINT names one for once")
        .with_hint("an occid of this user on this machine is found by itself")
}

/// An `occid` of this user, or of the system, that runs on this machine.
fn local_server() -> Option<Endpoint> {
    let own = choose_base_strategy()
        .ok()?
        .state_dir()
        .map(|directory| directory.join("occid"));
    let directories = own.into_iter().chain([PathBuf::from("/var/lib/occid")]);
    let mut sockets = directories.map(|directory| directory.join("occid.sock"));
    let socket = sockets.find(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok())?;
    format!("unix:{}", socket.display()).parse().ok()
}

fn credentials(global: &Global) -> Result<Credentials> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(file) = &global.token_file {
        return Ok(Credentials::Bearer(secret_file(file)?));
    }
    if let Some(user) = &global.user {
        let password = match (&global.password_file, variable("OCCI_PASSWORD")) {
            (Some(file), _) => secret_file(file)?,
            (None, Some(password)) => password.into(),
            (None, None) => ask(&format!("Password of {user}: "))?,
        };
        return Ok(Credentials::Basic {
            user: user.clone(),
            password,
        });
    }
    Ok(match variable("OCCI_TOKEN") {
        Some(token) => Credentials::Bearer(token.into()),
        None => Credentials::None,
    })
}

/// A secret from a file, or from stdin if the file is `-`; the end of the line is not part of it.
pub(crate) fn secret_file(file: &Path) -> Result<SecretString> {
    let mut text = String::new();
    if file == Path::new("-") {
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| file_failure(Path::new("stdin"), &error))?;
    } else {
        text = std::fs::read_to_string(file).map_err(|error| file_failure(file, &error))?;
    }
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::usage(format!("{} holds no secret", file.display())));
    }
    Ok(secret.into())
}

/// Asks for a secret at the terminal.
///
/// # Errors
/// There is no terminal.
pub(crate) fn ask(prompt: &str) -> Result<SecretString> {
    if !std::io::stdin().is_terminal() || complete::is_asked_for() {
        return Err(
            Failure::usage("a password is needed, and there is no terminal to ask at")
                .with_hint("--password-file FILE or OCCI_PASSWORD"),
        );
    }
    let answer = rpassword::prompt_password(prompt);
    Ok(answer
        .map_err(|error| Failure::new(Exit::Failure, format!("the terminal cannot be read: {error}")))?
        .into())
}

fn certificate(file: &Path) -> Result<Identity> {
    let bytes = std::fs::read(file).map_err(|error| file_failure(file, &error))?;
    let is_pkcs12 = file
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("p12") || extension.eq_ignore_ascii_case("pfx"));
    let passphrase = match is_pkcs12 || Identity::needs_passphrase(&bytes) {
        true => Some(ask(&format!("Passphrase of {}: ", file.display()))?),
        false => None,
    };
    Ok(match is_pkcs12 {
        true => Identity::from_pkcs12(&bytes, passphrase.as_ref())?,
        false => Identity::from_pem(&bytes, None, passphrase.as_ref())?,
    })
}
