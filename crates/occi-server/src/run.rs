//! From a configuration to a running service, and to its end.

use crate::accounts::Accounts;
use crate::admin::{Admin, Probe};
use crate::auth::{Authenticator, Hasher};
use crate::backends::{self, Chosen};
use crate::config::{self, Address, Config, ConfigError};
use crate::http::listen::{Asks, Listener};
use crate::http::serve::{self, Limits};
use crate::http::service::Service;
use crate::http::tls::Tls;
use crate::keep;
use crate::lock::DataLock;
use crate::telemetry;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use occi_engine::{Engine, EngineConfig, Retention};
use occi_store::{SqliteStore, Store, StoreError};
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The database in a data directory.
pub fn database(data_dir: &Path) -> PathBuf {
    data_dir.join("occid.db")
}

/// Opens the store of a data directory whose lock is held.
pub async fn open_store(data_dir: &Path) -> Result<Arc<dyn Store>, ConfigError> {
    let file = database(data_dir);
    let opened = tokio::task::spawn_blocking({
        let file = file.clone();
        move || SqliteStore::open(file)
    });
    let opened = opened
        .await
        .map_err(|error| ConfigError::new(error.to_string(), "this is a fault of occid"))?;
    let store = opened.map_err(|error| {
        ConfigError::new(
            format!(
                "the database {} cannot be opened: {}",
                file.display(),
                crate::admin::with_sources(&error)
            ),
            remedy(&error),
        )
    })?;
    Ok(Arc::new(store))
}

/// What to do about a store that cannot be opened.
fn remedy(error: &StoreError) -> &'static str {
    match error {
        StoreError::Full(_) => "make room, or name another --data-dir",
        StoreError::Newer { .. } => "what was started is older than what wrote it: the version is occid --version",
        StoreError::Locked => "stop the other one, or name another --data-dir",
        StoreError::Corrupt(_) => "restore a backup (occid restore FILE), or name another --data-dir",
        StoreError::Refused(_) | StoreError::Unsettled(_) | StoreError::Failed(_) => {
            "look whether the user of the service may write there and whether the disk is well, or name another --data-dir"
        }
    }
}

/// Runs the service until it is told to stop.
pub async fn run(config: Config) -> Result<(), ConfigError> {
    telemetry::start_logging(&config.log)?;
    for idle in config::idle_variables(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!("{idle}");
    }
    let metrics = start_metrics()?;
    let data_dir = config.data_dir()?;
    let backends = backends::choose(&config, &data_dir)?;
    let _lock = DataLock::take(&data_dir)?;
    // Before the store is made, so that what is wrong here leaves none behind. Who connects meanwhile waits.
    let Some(listener) = Listener::bind("server.listen", &config.server.listen, Asks::Nothing).await? else {
        return Err(ConfigError::new(
            "server.listen: the service cannot be off",
            "write ADDR:PORT",
        ));
    };
    let tls = (listener.is_remote() || config.http.tls_certificate.is_some())
        .then(|| Tls::open(&config.http, &data_dir, own_names(&listener, &config.http)).map(Arc::new))
        .transpose()?;
    let admin_address = config.admin_listen(&data_dir);
    let admin_listener = match config.server.admin_listen {
        Some(_) => Listener::bind("server.admin_listen", &admin_address, Asks::Owner).await?,
        None => unasked("server.admin_listen", &admin_address).await,
    };
    let local_address = config.local_listen(&data_dir);
    let local_listener = match config.server.local_listen {
        Some(_) => Listener::bind("server.local_listen", &local_address, Asks::Owner).await?,
        None => unasked("server.local_listen", &local_address).await,
    };
    let store = open_store(&data_dir).await?;

    let hasher = Hasher::default();
    let authenticator = Authenticator::new(store.clone(), hasher.clone(), &config.auth)
        .map_err(|error| ConfigError::new(error.to_string(), "the system has no randomness"))?;
    let authenticator = Arc::new(authenticator);
    let accounts = Accounts::new(store.clone(), hasher, Some(authenticator.clone()));
    let first_password = first_start(&accounts, &data_dir).await?;

    let engine = start_engine(&config, store.clone(), backends).await?;

    let signals = Signals::new()?;
    let stop = CancellationToken::new();

    let (url, authority) = name_of(&listener, &config, tls.is_some());
    let is_tls = tls.is_some();
    let service = Service::new(engine.clone(), authenticator, &config, authority, is_tls, stop.clone()).await;
    let limits = Limits::from(&config.http);
    let mut servers = tokio::task::JoinSet::new();
    if let Some(listener) = admin_listener {
        let commands = matches!(listener, Listener::Unix(..));
        let probe = Probe {
            engine: engine.clone(),
            metrics: metrics.clone(),
        };
        let admin = Arc::new(Admin::new(accounts, store, Some(probe), commands));
        servers.spawn(serve::serve(listener, None, limits.clone(), admin, stop.clone()));
    }
    if let Some(listener) = local_listener {
        let (limits, service) = (limits.clone(), service.clone());
        servers.spawn(serve::serve(listener, None, limits, service, stop.clone()));
    }
    servers.spawn(serve::serve(
        listener,
        tls.clone(),
        limits,
        service.clone(),
        stop.clone(),
    ));
    announce(&url, &config, first_password.as_deref(), &data_dir, tls.as_deref());
    upkeep(metrics, stop.clone());

    signals.wait_for_the_end(tls.as_deref()).await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping; machines and networks stay as they are");
    stop.cancel();
    service.wind_up();
    while servers.join_next().await.is_some() {}
    service.consoles_ended().await;
    engine.shutdown().await;
    Ok(())
}

/// A socket that nobody asked for: where it cannot be, the service starts without it.
async fn unasked(key: &str, address: &Address) -> Option<Listener> {
    match Listener::bind(key, address, Asks::Owner).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!("{error}: the service goes without; name a shorter path, or off");
            None
        }
    }
}

/// Makes the operator `admin` if there is nobody; the password is also kept in a file that only this user can read.
async fn first_start(accounts: &Accounts, data_dir: &Path) -> Result<Option<String>, ConfigError> {
    let failed =
        |problem: String| ConfigError::new(format!("the first operator cannot be made: {problem}"), "see the log");
    let note = |password: &str| {
        let line = format!("{password}\n");
        keep::write(&data_dir.join(PASSWORD_FILE), line.as_bytes(), 0o600)
    };
    accounts.found(note).await.map_err(|error| failed(error.to_string()))
}

const PASSWORD_FILE: &str = "initial-admin-password";

async fn start_engine(config: &Config, store: Arc<dyn Store>, backends: Vec<Chosen>) -> Result<Engine, ConfigError> {
    let opened = backends.into_iter().map(Chosen::open).collect::<Result<_, _>>()?;
    Engine::start(engine_config(config), store, opened)
        .await
        .map_err(|error| ConfigError::new(format!("the engine cannot start: {error}"), "see the log"))
}

fn engine_config(config: &Config) -> EngineConfig {
    let engine = &config.engine;
    EngineConfig {
        node: engine.node.clone().unwrap_or_else(host_name),
        site: engine.site.clone(),
        autostart: engine.autostart,
        operation_deadline: engine.operation_deadline.0,
        page_max: engine.page_limit,
        cache_bytes: engine.cache_of_entities(),
        refresh_interval: engine.refresh_interval.0,
        user_mixins: engine.user_mixins,
        user_mixin_limit: engine.user_mixin_limit,
        states_extended: engine.states_extended,
        strict_templates: engine.strict_templates,
        retention: Retention {
            events: config.retention.events.0,
            events_max: config.retention.event_count,
            operations: config.retention.operations.0,
            audit: config.retention.audit.0,
            keys: config.retention.idempotency.0,
        },
        ..EngineConfig::default()
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What a certificate of our own is for.
fn own_names(listener: &Listener, config: &config::Http) -> Vec<String> {
    let addresses: Vec<IpAddr> = match listener {
        Listener::Tcp(_, address) if address.ip().is_unspecified() => {
            // Without them clients elsewhere have only its names, so it is no reason not to serve.
            let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
            interfaces.iter().map(if_addrs::Interface::ip).collect()
        }
        Listener::Tcp(_, address) => vec![address.ip()],
        Listener::Unix(..) => Vec::new(),
    };
    let public = config.public_url.as_deref().and_then(|url| url::Url::parse(url).ok());
    let public = public.and_then(|url| url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()));
    let mut names = config.tls_names.clone();
    names.push(host_name());
    names.extend(addresses.iter().map(ToString::to_string));
    names.extend(public);
    names
}

/// The URL to print, and the authority for requests that name none.
fn name_of(listener: &Listener, config: &Config, tls: bool) -> (String, String) {
    let scheme = if tls { "https" } else { "http" };
    match listener {
        Listener::Tcp(_, address) => {
            let url = format!("{scheme}://{address}{}", config.http.base_path);
            (url, address.to_string())
        }
        Listener::Unix(..) => (config.server.listen.to_string(), "localhost".to_owned()),
    }
}

/// The first line on stdout says where; what else a person wants to know goes to stderr, before it.
fn announce(url: &str, config: &Config, password: Option<&str>, data_dir: &Path, tls: Option<&Tls>) {
    if let Some(password) = password {
        let file = data_dir.join(PASSWORD_FILE);
        eprintln!(
            "first start: user admin, password {password} (also in {})",
            file.display()
        );
    }
    if let Some(tls) = tls
        && config.http.tls_certificate.is_none()
    {
        eprintln!(
            "the certificate is self-signed: give clients {} (to have one for more names, see http.tls_names, remove it and start again)",
            tls.certificate().display()
        );
    }
    // A closed stdout is no reason not to serve.
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "listening on {url}").and_then(|()| stdout.flush());
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

fn start_metrics() -> Result<PrometheusHandle, ConfigError> {
    let failed =
        |error: &dyn std::error::Error| ConfigError::new(format!("metrics: {error}"), "this is a fault of occid");
    let buckets = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ];
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &buckets)
        .map_err(|error| failed(&error))?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| failed(&error))?;
    Ok(handle)
}

/// Histograms collect samples until somebody takes them.
fn upkeep(metrics: PrometheusHandle, stop: CancellationToken) {
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_secs(5));
        loop {
            tokio::select! {
                _ = interval.tick() => metrics.run_upkeep(),
                () = stop.cancelled() => return,
            }
        }
    });
}

/// What the process is told from outside. Listened to from before the service says that it is there.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, ConfigError> {
        let listen = || {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
            })
        };
        listen().map_err(|error: std::io::Error| {
            ConfigError::new(
                format!("signals cannot be handled: {error}"),
                "this is a fault of the system",
            )
        })
    }

    /// SIGTERM and SIGINT end the service; SIGHUP reads the certificates again.
    async fn wait_for_the_end(mut self, tls: Option<&Tls>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => match tls.map(Tls::reload) {
                    Some(Ok(())) => tracing::info!("the certificate was read again"),
                    Some(Err(error)) => tracing::error!(%error, "the old certificate stays in use"),
                    None => {}
                },
            }
        }
    }
}
