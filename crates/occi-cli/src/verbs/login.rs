//! `occi login` and `occi logout`.

use crate::args::Global;
use crate::complete;
use crate::config::{self, Asker, Context, Contexts, Method, Secrets};
use crate::failure::{Exit, Failure, Result};
use crate::output::{Output, Record};
use crate::session::Session;
use crate::words::say;
use clap::Args;
use occi_client::Endpoint;
use occi_client::oidc::Provider;
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

/// Make a server known, check who asks there, and use it from now on
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi login https://cloud.example.org:11443/ --user ann --name lab
  occi login https://cloud.example.org:11443/ --user ann --password-command 'pass show occi/lab'
  occi login https://cloud.example.org:11443/ --token-file token.txt
  occi login https://cloud.example.org:11443/ --certificate /tmp/x509up_u1000
  occi login https://cloud.example.org:11443/ --oidc https://id.example.org/lab --client-id occi
  occi login https://cloud.example.org --keystone https://cloud.example.org:5000 --user ann

Passwords and tokens are kept in a file that nobody else can read, unless --password-command says where they are.")]
pub(crate) struct Login {
    /// Where the server is
    #[arg(value_name = "URL")]
    url: String,
    /// What to call it [the host's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A line for the shell that prints the password, each time it is needed
    #[arg(long, value_name = "COMMAND", conflicts_with = "oidc")]
    password_command: Option<String>,
    /// Log in at an identity provider, with a browser on any device
    #[arg(long, value_name = "ISSUER", requires = "client_id")]
    oidc: Option<String>,
    /// Who this program is to the identity provider
    #[arg(long, value_name = "ID", requires = "oidc")]
    client_id: Option<String>,
    /// A file with the secret of that, if it has one
    #[arg(long, value_name = "FILE", requires = "oidc")]
    client_secret_file: Option<PathBuf>,
    /// What to ask the identity provider for
    #[arg(long, value_name = "WORDS", default_value = "openid offline_access")]
    scope: String,
    /// Where Keystone is: it gives the tokens, and sees the password
    #[arg(long, value_name = "URL")]
    keystone: Option<String>,
    /// The id of an application credential of Keystone; its secret is asked for like a password
    #[arg(long, value_name = "ID", requires = "keystone", conflicts_with = "oidc")]
    application_credential: Option<String>,
    /// The user's domain in Keystone
    #[arg(long, value_name = "NAME", requires = "keystone")]
    user_domain: Option<String>,
    /// The project's domain in Keystone
    #[arg(long, value_name = "NAME", requires = "keystone")]
    project_domain: Option<String>,
    /// By which name Keystone knows the identity provider that gave the token
    #[arg(long, value_name = "NAME", requires = "keystone")]
    identity_provider: Option<String>,
}

impl Login {
    pub(crate) async fn run(self, global: &Global) -> Result<()> {
        self.check(global)?;
        let endpoint: Endpoint = self.url.parse()?;
        let name = self.name.clone().unwrap_or_else(|| usual_name(&endpoint));
        config::check_name(&name)?;
        let is_other = |known: &Context| known.endpoint.as_deref() != Some(&endpoint.to_string());
        let known = Contexts::load()?;
        if self.name.is_none() && known.contexts.get(&name).is_some_and(is_other) {
            let message = format!("there is a context {name:?} already, for another server");
            return Err(Failure::new(Exit::Conflict, message).with_hint("--name NAME gives this one another name"));
        }
        let before = known.contexts.get(&name).filter(|known| !is_other(known));
        let (context, secrets) = self.asker(&endpoint, before, global).await?;
        let connection = config::connect(Some(&name), &context, &secrets, global).await?;
        if context.auth == Method::None {
            config::warn_if_plain(&endpoint, global);
        }
        // What is known of the server may be what somebody else was shown.
        let session = Session::of(connection, global)?;
        session.client.discover().await.map_err(|error| {
            let failure = Failure::from(error);
            match failure.exit == Exit::Auth && context.auth == Method::None {
                true => failure.with_hint("say who asks: --user, --token-file, --certificate, --oidc or --keystone"),
                false => failure,
            }
        })?;
        secrets.store(&name)?;
        Contexts::put(&name, &context)?;
        session.keep_model();
        let project = session.client.keystone_project();
        if project.as_ref().is_some_and(|project| project.is_arbitrary) {
            session
                .output
                .note("the project is the first of several that Keystone shows: --project NAME chooses another");
        }
        let mut record = record(&name, &context, true);
        if let Some(project) = project {
            record.json["project"] = project.name.into();
        }
        session.output.show(&record)
    }

    fn check(&self, global: &Global) -> Result<()> {
        config::check(global)?;
        if global.endpoint.is_some() || global.context.is_some() || global.cloud.is_some() {
            let message = "occi login takes the URL, and neither --endpoint nor --context nor --cloud";
            return Err(Failure::usage(message).with_hint("--name NAME says what to call it"));
        }
        let is_user = global.user.is_some() || global.token_file.is_some() || global.auth_token_file.is_some();
        if self.oidc.is_some() && is_user {
            return Err(Failure::usage("with --oidc the identity provider says who asks"));
        }
        if self.application_credential.is_some() && is_user {
            return Err(Failure::usage("--application-credential says already who asks"));
        }
        if self.password_command.is_some() && global.password_file.is_some() {
            return Err(Failure::usage(
                "--password-command and --password-file contradict each other",
            ));
        }
        Ok(())
    }

    /// Who asks: what can be shown, and what cannot.
    async fn asker(
        &self,
        endpoint: &Endpoint,
        before: Option<&Context>,
        global: &Global,
    ) -> Result<(Context, Secrets)> {
        let mut secrets = Secrets::default();
        let mut context = Context {
            endpoint: Some(endpoint.to_string()),
            keystone: self.keystone.clone(),
            user_domain: self.user_domain.clone(),
            identity_provider: self.identity_provider.clone(),
            // What has nothing to do with who asks stays as it was.
            ca_file: before.and_then(|before| before.ca_file.clone()),
            output: before.and_then(|before| before.output.clone()),
            ..Context::default()
        };
        config::apply(global, &mut context)?;
        context.project_domain.clone_from(&self.project_domain);
        for file in [
            &mut context.certificate,
            &mut context.certificate_key,
            &mut context.passphrase_file,
            &mut context.ca_file,
        ] {
            *file = file.take().map(absolute).transpose()?;
        }
        if let Some(issuer) = &self.oidc {
            self.at_provider(issuer, &mut context, &mut secrets, global).await?;
            return Ok((context, secrets));
        }
        let asker = Asker::given(global, true)?;
        if self.keystone.is_some() {
            context.auth = Method::Keystone;
        }
        if self.application_credential.is_some() {
            // Nothing else says who asks, but for the password.
            context.application_credential.clone_from(&self.application_credential);
            secrets.password = asker.password;
        } else {
            asker.apply(&mut context, &mut secrets, global)?;
            if self.keystone.is_some() {
                context.auth = match context.auth {
                    Method::Bearer => Method::Federation,
                    _ => Method::Keystone,
                };
            }
        }
        if self.password_command.is_some() {
            if !config::needs_password(&context) {
                let message = "--password-command needs --user or --application-credential";
                return Err(Failure::usage(message));
            }
            secrets.password = None;
            context.password_command.clone_from(&self.password_command);
        } else if config::needs_password(&context) && secrets.password.is_none() {
            let who = context.user.as_deref().or(context.application_credential.as_deref());
            let prompt = format!("Password of {}: ", who.unwrap_or_default());
            secrets.password = Some(config::ask(&prompt)?);
        }
        Ok((context, secrets))
    }

    /// Logs in at an identity provider.
    async fn at_provider(
        &self,
        issuer: &str,
        context: &mut Context,
        secrets: &mut Secrets,
        global: &Global,
    ) -> Result<()> {
        let client_id = self.client_id.clone().unwrap_or_default();
        secrets.client_secret = self
            .client_secret_file
            .as_deref()
            .map(config::secret_file)
            .transpose()?;
        // Our certificate is for the server, not for the provider.
        let without_certificate = Context {
            certificate: None,
            ..context.clone()
        };
        let connector = config::connector(&without_certificate, global)?;
        let provider = Provider::discover(issuer, &client_id, secrets.client_secret.clone(), &connector).await?;
        let invitation = provider.invite(&self.scope).await?;
        let uri = &invitation.verification_uri;
        say(format!("open {uri} on any device, and type {}", invitation.user_code));
        if let Some(whole) = &invitation.verification_uri_complete {
            say(format!("or open {whole}"));
        }
        let tokens = provider.wait(&invitation).await?;
        secrets.token = Some(tokens.access);
        secrets.refresh_token = tokens.refresh;
        context.auth = Method::Oidc;
        context.issuer = Some(issuer.to_owned());
        context.token_endpoint = Some(provider.token_endpoint().to_string());
        context.client_id = Some(client_id);
        Ok(())
    }
}

/// A path that means the same wherever it is read; what came from stdin is not there another time.
fn absolute(file: PathBuf) -> Result<PathBuf> {
    if file == Path::new("-") {
        return Ok(file);
    }
    std::path::absolute(&file).map_err(|error| crate::failure::file_failure(&file, &error))
}

/// The host's name; `local` for a socket.
fn usual_name(endpoint: &Endpoint) -> String {
    let url = url::Url::parse(&endpoint.to_string()).ok();
    let host = url.as_ref().and_then(|url| url.host_str().map(str::to_owned));
    match host {
        Some(host) if endpoint.socket().is_none() => host.trim_matches(['[', ']']).to_owned(),
        _ => "local".to_owned(),
    }
}

/// A context as it is printed.
pub(super) fn record(name: &str, context: &Context, is_current: bool) -> Record {
    let mut json = json!({ "name": name, "current": is_current, "auth": context.auth.as_str() });
    if let (Some(json), Ok(Json::Object(context))) = (json.as_object_mut(), serde_json::to_value(context)) {
        json.extend(context);
    }
    Record::other(name, json)
}

/// Forget the password or the token of a server; the server itself stays known
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi logout
  occi logout lab
  occi context remove lab  (forgets the server too)")]
pub(crate) struct Logout {
    /// The context [the current one]
    #[arg(value_name = "CONTEXT", add = complete::contexts())]
    name: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Logout {
    pub(crate) fn run(self, global: &Global) -> Result<()> {
        let contexts = Contexts::load()?;
        let (name, context) = contexts.named(self.name.as_deref().or(global.context.as_deref()))?;
        let output = Output::new(global);
        if self.dry_run {
            let what = json!({ "would": "logout", "name": name });
            let would = output.would(format_args!("forget the password or token of {name}"), what)?;
            return output.show_all(would, true);
        }
        let words = match (Secrets::forget(&name)?, &context.password_command) {
            (true, _) => format!("logged out of {name}"),
            (false, Some(_)) => format!("nothing is kept of {name} here: its password comes from password_command"),
            (false, None) => format!("nothing was kept of {name}"),
        };
        output.note(words);
        Ok(())
    }
}
