//! `clouds.yaml`, as OpenStack's clients read it: a cloud becomes a context.
//!
//! The first file of `$OS_CLIENT_CONFIG_FILE`, the current directory, `~/.config/openstack` and `/etc/openstack` counts;
//! so does the first `secure.yaml`, whose values go over the other's. What is not about who asks, and where, is passed
//! over.

use super::contexts::{Context, Method};
use super::secrets::Secrets;
use super::variable;
use crate::failure::{Exit, Failure, Result, file_failure};
use crate::read;
use etcetera::{BaseStrategy, choose_base_strategy};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

#[derive(Default, Deserialize)]
struct File {
    #[serde(default)]
    clouds: BTreeMap<String, Cloud>,
}

/// Gives a struct of optional values, and a way to put those of another one over it.
macro_rules! optional {
    ($(#[$meta:meta])* struct $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Default, Deserialize)]
        struct $name { $(#[serde(default)] $field: Option<$type>,)* }

        impl $name {
            /// What the other one says counts more.
            fn with(self, over: Self) -> Self {
                Self { $($field: over.$field.or(self.$field),)* }
            }
        }
    };
}

optional! {
    /// Who asks.
    struct Auth {
        auth_url: String,
        endpoint: String,
        username: String,
        user_id: String,
        password: String,
        token: String,
        access_token: String,
        identity_provider: String,
        protocol: String,
        project_name: String,
        project_id: String,
        tenant_name: String,
        tenant_id: String,
        user_domain_name: String,
        user_domain_id: String,
        project_domain_name: String,
        project_domain_id: String,
        domain_name: String,
        domain_id: String,
        application_credential_id: String,
        application_credential_name: String,
        application_credential_secret: String,
    }
}

optional! {
    struct Cloud {
        auth: Auth,
        auth_type: String,
        occi_endpoint_override: String,
        profile: String,
        region_name: String,
        verify: bool,
        insecure: bool,
        cacert: PathBuf,
        cert: PathBuf,
        key: PathBuf,
    }
}

/// A cloud by its name.
pub(super) fn load(name: &str) -> Result<(Context, Secrets)> {
    let Some((path, clouds)) = first("OS_CLIENT_CONFIG_FILE", "clouds")? else {
        return Err(Failure::new(
            Exit::NotFound,
            format!("there is no clouds.yaml to look for {name:?} in"),
        )
        .with_hint("it is looked for in the current directory, in ~/.config/openstack and in /etc/openstack"));
    };
    let names: Vec<_> = clouds.clouds.keys().cloned().collect();
    let mut clouds = clouds.clouds;
    let Some(mut cloud) = clouds.remove(name) else {
        let message = format!("{} has no cloud {name:?}", path.display());
        return Err(Failure::new(Exit::NotFound, message).with_hint(format!("there are: {}", names.join(", "))));
    };
    if let Some((_, mut secure)) = first("OS_CLIENT_SECURE_FILE", "secure")?
        && let Some(mut over) = secure.clouds.remove(name)
    {
        let auth = cloud.auth.take().unwrap_or_default();
        over.auth = Some(auth.with(over.auth.take().unwrap_or_default()));
        cloud = cloud.with(over);
    }
    let place = format!("{}, cloud {name}", path.display());
    context(cloud).map_err(|failure| failure.about(place))
}

/// The first of the files that is there.
fn first(named_by: &str, stem: &str) -> Result<Option<(PathBuf, File)>> {
    if let Some(path) = variable(named_by)? {
        let path = PathBuf::from(path);
        let bytes = read::file(&path, read::DOCUMENT);
        let text = bytes.and_then(|bytes| read::text(bytes, &path));
        let text = text.map_err(|failure| failure.about(named_by))?;
        let file = parse(&path, &text)?;
        return Ok(Some((path, file)));
    }
    let own = choose_base_strategy()
        .ok()
        .map(|strategy| strategy.config_dir().join("openstack"));
    let directories = [Some(PathBuf::new()), own, Some("/etc/openstack".into())];
    for directory in directories.into_iter().flatten() {
        for extension in ["yaml", "yml"] {
            let path = directory.join(format!("{stem}.{extension}"));
            match std::fs::File::open(&path) {
                Ok(file) => {
                    let text = read::text(read::all(file, &path, read::DOCUMENT)?, &path)?;
                    let file = parse(&path, &text)?;
                    return Ok(Some((path, file)));
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => return Err(file_failure(&path, &error)),
            }
        }
    }
    Ok(None)
}

/// The reader's own words could quote a secret, so that only the place is told.
fn parse(path: &Path, text: &str) -> Result<File> {
    serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map(|location| format!(", line {}", location.line()));
        let place = format!("{}{}", path.display(), line.unwrap_or_default());
        Failure::new(Exit::Failure, format!("{place}: this is not as clouds.yaml has to be"))
            .with_hint("values are text or true and false, indented by spaces below clouds, NAME and auth")
    })
}

fn context(cloud: Cloud) -> Result<(Context, Secrets)> {
    let missing = |key: &str| Failure::usage(format!("{key} is missing"));
    let auth = cloud.auth.unwrap_or_default();
    let mut context = Context {
        endpoint: cloud.occi_endpoint_override,
        region: cloud.region_name,
        insecure: cloud.insecure == Some(true) || cloud.verify == Some(false),
        ca_file: cloud.cacert,
        certificate: cloud.cert,
        certificate_key: cloud.key,
        ..Context::default()
    };
    let mut secrets = Secrets::default();
    let kind = cloud.auth_type.as_deref().map(str::to_owned);
    let kind = kind.unwrap_or_else(|| {
        // What is there says what it is.
        let kind = match (&auth.application_credential_id, &auth.token) {
            (Some(_), _) => "v3applicationcredential",
            (None, Some(_)) => "token",
            _ => "password",
        };
        kind.to_owned()
    });
    let mut needs_keystone = true;
    match kind.as_str() {
        "password" | "v3password" | "v2password" => {
            if auth.user_id.is_some() && auth.username.is_none() {
                return Err(Failure::usage("auth.user_id is not understood here").with_hint("write auth.username"));
            }
            context.auth = Method::Keystone;
            context.user = Some(auth.username.ok_or_else(|| missing("auth.username"))?);
            secrets.password = auth.password.map(Into::into);
        }
        "v3applicationcredential" => {
            context.auth = Method::Keystone;
            let id = auth.application_credential_id.ok_or_else(|| {
                let failure = missing("auth.application_credential_id");
                match auth.application_credential_name {
                    Some(_) => failure.with_hint("the name of the credential is not enough"),
                    None => failure,
                }
            })?;
            context.application_credential = Some(id);
            secrets.password = auth.application_credential_secret.map(Into::into);
        }
        "token" | "v3token" | "v2token" => {
            context.auth = Method::Keystone;
            secrets.token = Some(auth.token.ok_or_else(|| missing("auth.token"))?.into());
        }
        "v3oidcaccesstoken" => {
            context.auth = Method::Federation;
            secrets.token = Some(auth.access_token.ok_or_else(|| missing("auth.access_token"))?.into());
            context.identity_provider = auth.identity_provider;
            context.protocol = auth.protocol;
        }
        "http_basic" => {
            context.auth = Method::Basic;
            context.user = Some(auth.username.ok_or_else(|| missing("auth.username"))?);
            secrets.password = auth.password.map(Into::into);
            needs_keystone = false;
        }
        "none" => needs_keystone = false,
        other => {
            return Err(Failure::usage(format!("auth_type {other} is not understood here")).with_hint(
                "these are: v3password, v3applicationcredential, v3token, v3oidcaccesstoken, v2password, http_basic, none",
            ));
        }
    }
    if needs_keystone {
        let url = auth.auth_url.ok_or_else(|| {
            let failure = missing("auth.auth_url");
            match cloud.profile {
                Some(_) => failure.with_hint("profiles of vendors are not known here"),
                None => failure,
            }
        })?;
        context.keystone = Some(
            match kind.starts_with("v2") && !url.trim_end_matches('/').ends_with("/v2.0") {
                true => format!("{}/v2.0", url.trim_end_matches('/')),
                false => url,
            },
        );
    } else {
        context.endpoint = context.endpoint.or(auth.endpoint);
        if context.endpoint.is_none() {
            return Err(
                missing("occi_endpoint_override").with_hint("occi_endpoint_override: URL says where OCCI is served")
            );
        }
    }
    let is_by_id = auth.project_id.is_some() || auth.tenant_id.is_some();
    context.project = auth
        .project_id
        .or(auth.tenant_id)
        .or(auth.project_name)
        .or(auth.tenant_name);
    if !is_by_id && context.project.is_some() && !kind.starts_with("v2") {
        context.project_domain = auth.project_domain_name.or_else(|| auth.domain_name.clone());
        context.project_domain_id = auth.project_domain_id.or_else(|| auth.domain_id.clone());
    }
    context.user_domain = auth.user_domain_name.or(auth.domain_name);
    context.user_domain_id = auth.user_domain_id.or(auth.domain_id);
    Ok((context, secrets))
}
