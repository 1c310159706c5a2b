//! Secrets, from where people keep them.

use crate::complete;
use crate::failure::{Exit, Failure, Result};
use crate::mask;
use crate::read;
use crate::terminal;
use occi_client::x509::Identity;
use secrecy::SecretString;
use std::io::{ErrorKind, IsTerminal};
use std::path::Path;
use std::process::{Command, Stdio};

/// A secret from a file, or from stdin if the file is `-`; the end of the line is not part of it.
pub(crate) fn secret_file(file: &Path) -> Result<SecretString> {
    let is_stdin = file == Path::new("-");
    // At the terminal there is the command line that is being typed.
    if is_stdin && complete::is_asked_for() {
        return Err(Failure::usage("stdin is not read for a completion"));
    }
    let bytes = match is_stdin {
        true => read::stdin(read::SECRET)?,
        false => read::file(file, read::SECRET)?,
    };
    let text = read::text(bytes, file)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        let file = if file == Path::new("-") {
            Path::new("stdin")
        } else {
            file
        };
        return Err(Failure::usage(format!("{} holds no secret", file.display())));
    }
    Ok(hidden(secret))
}

/// Asks for a secret at the terminal.
///
/// # Errors
/// There is no terminal.
pub(crate) fn ask(prompt: &str) -> Result<SecretString> {
    if !std::io::stdin().is_terminal() || complete::is_asked_for() {
        let what = prompt.split(' ').next().unwrap_or(prompt).to_lowercase();
        let hint = match what.as_str() {
            "passphrase" => "--passphrase-file FILE",
            _ => "--password-file FILE or OCCI_PASSWORD",
        };
        let message = format!("a {what} is needed, and there is no terminal to ask at");
        return Err(Failure::usage(message).with_hint(hint));
    }
    let answer = terminal::ask(prompt).map_err(|error| match error.kind() {
        ErrorKind::Interrupted => Failure::new(Exit::Interrupted, "interrupted"),
        _ => Failure::new(Exit::Failure, format!("the terminal cannot be read: {error}")),
    })?;
    match answer.is_empty() {
        true => Err(Failure::usage("nothing was typed")),
        false => Ok(hidden(&answer)),
    }
}

/// A secret that nobody reads from now on.
pub(crate) fn hidden(secret: &str) -> SecretString {
    mask::hide(secret);
    secret.into()
}

/// The first line that a command prints.
pub(super) fn command(line: &str) -> Result<SecretString> {
    let fail = |why: String| {
        Failure::new(Exit::Failure, format!("password_command {why}"))
            .with_hint("try it in a shell: it prints the password")
    };
    // It may ask for a passphrase in its turn.
    if complete::is_asked_for() {
        return Err(fail("is not run for a completion".to_owned()));
    }
    let output = Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| fail(format!("cannot be run: {error}")))?;
    if !output.status.success() {
        return Err(fail(format!("ended with {}", output.status)));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| fail("printed what is no text".to_owned()))?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(secret) => Ok(hidden(secret)),
        None => Err(fail("printed nothing".to_owned())),
    }
}

/// A certificate with its key.
pub(super) fn certificate(file: &Path, key: Option<&Path>, passphrase_file: Option<&Path>) -> Result<Identity> {
    let bytes = read::file(file, read::CERTIFICATES)?;
    let key_bytes = key.map(|key| read::file(key, read::CERTIFICATES)).transpose()?;
    let is_pkcs12 = file
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("p12") || extension.eq_ignore_ascii_case("pfx"));
    let with_key = key.unwrap_or(file);
    let is_locked = match is_pkcs12 {
        true => Identity::from_pkcs12(&bytes, None).is_err(),
        false => Identity::needs_passphrase(key_bytes.as_deref().unwrap_or(&bytes)),
    };
    let passphrase = match (is_locked, passphrase_file) {
        (false, _) => None,
        (true, Some(file)) => Some(secret_file(file)?),
        (true, None) => Some(ask(&format!("Passphrase of {}: ", with_key.display()))?),
    };
    let identity = match is_pkcs12 {
        true => Identity::from_pkcs12(&bytes, passphrase.as_ref()),
        false => Identity::from_pem(&bytes, key_bytes.as_deref(), passphrase.as_ref()),
    };
    identity.map_err(|error| Failure::from(error).about(with_key.display()))
}
