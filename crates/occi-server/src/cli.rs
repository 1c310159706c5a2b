//! The command line of `occid`.

use crate::accounts::Accounts;
use crate::admin::{Admin, AdminClient};
use crate::auth::Hasher;
use crate::config::{self, Address, Config, ConfigError, Overrides};
use crate::lock::DataLock;
use crate::run::{database, open_store, run};
use clap::{Args, Parser, Subcommand};
use http::Method;
use occi_store::StoreError;
use serde_json::{Map, Value, json};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// An OCCI 1.1 and 1.2 server in front of real machines.
#[derive(Debug, Parser)]
#[command(name = "occid", version)]
pub struct Cli {
    #[command(flatten)]
    options: Options,
    /// Check the configuration, and do nothing.
    #[arg(long)]
    check_config: bool,
    /// Print a configuration file with every key, its meaning and its default.
    #[arg(long)]
    sample_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What the service and its commands share.
#[derive(Clone, Debug, Default, Args)]
struct Options {
    /// The configuration file (TOML). Every key can also be set by a variable, OCCID_<SECTION>_<KEY>.
    #[arg(long, global = true, value_name = "FILE", env = "OCCID_CONFIG")]
    config: Option<PathBuf>,
    /// Where clients reach the service [default: 127.0.0.1:8787] [env: OCCID_LISTEN].
    #[arg(long, value_name = "ADDR:PORT|unix:PATH")]
    listen: Option<String>,
    /// Where health, metrics and commands reach it [default: unix:<data-dir>/admin.sock] [env: OCCID_ADMIN_LISTEN].
    #[arg(long, global = true, value_name = "ADDR:PORT|unix:PATH|off")]
    admin_listen: Option<String>,
    /// Where root and the user of the service come in without a password [default: unix:<data-dir>/occid.sock]
    /// [env: OCCID_LOCAL_LISTEN].
    #[arg(long, value_name = "unix:PATH|off")]
    local_listen: Option<String>,
    /// Where everything is kept [env: OCCID_DATA_DIR].
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// The engine, or several with commas [default: qemu] [env: OCCID_BACKENDS].
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
}

impl Options {
    fn load(&self) -> Result<Config, ConfigError> {
        let mut overrides = Overrides::from_environment(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        let flags = [
            ("server.listen", "--listen", &self.listen),
            ("server.admin_listen", "--admin-listen", &self.admin_listen),
            ("server.local_listen", "--local-listen", &self.local_listen),
            ("server.data_dir", "--data-dir", &self.data_dir),
            ("server.backends", "--backend", &self.backend),
        ];
        for (key, flag, value) in flags {
            overrides
                .0
                .extend(value.clone().map(|value| (key.to_owned(), value, flag.to_owned())));
        }
        Config::load(self.config.as_deref(), &overrides)
    }
}

/// What can be done beside serving.
#[derive(Debug, Subcommand)]
enum Command {
    /// Users.
    #[command(subcommand)]
    User(User),
    /// Projects, their quotas and members.
    #[command(subcommand)]
    Project(Project),
    /// Networks, and with which projects they are shared.
    #[command(subcommand)]
    Network(Network),
    /// Look for damage in the store and, if the service runs, compare it with the engines.
    Check,
    /// Write a consistent copy of the store; the service may run. Disks of machines are not in it.
    Backup {
        /// The copy, which is not there yet.
        file: PathBuf,
    },
    /// Put a copy back in the place of the store; the service must not run.
    Restore {
        /// The copy.
        file: PathBuf,
    },
    /// Bring the store to this version's schema (the service does so when it starts); it must not run.
    Migrate,
}

#[derive(Debug, Subcommand)]
enum User {
    /// Make a user. The password comes from a prompt, a file or stdin.
    Add {
        /// The name.
        name: String,
        /// The project where what the user makes lands; `project add` makes one. Without this flag it is a new one of
        /// the user's name, of an operator `default`.
        #[arg(long)]
        project: Option<String>,
        /// Sees and does everything.
        #[arg(long)]
        operator: bool,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List the users.
    List,
    /// Remove a user; what it made stays with its projects.
    Remove {
        /// The name.
        name: String,
    },
    /// Change a password.
    Passwd {
        /// The name.
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
}

/// Where a password comes from: never from an argument, which everybody on the machine can read.
#[derive(Debug, Args)]
struct PasswordSource {
    /// The first line of this file is the password; - is stdin. Without it: a prompt, or stdin if that is no terminal.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Project {
    /// Make a project.
    Add {
        /// The name.
        name: String,
        #[command(flatten)]
        limits: Limits,
    },
    /// List the projects.
    List,
    /// Remove a project that has no entities, images or uploads left; the service has to run.
    Remove {
        /// The name.
        name: String,
    },
    /// Show what a project uses and may use, or change what it may use.
    Quota {
        /// The name.
        name: String,
        #[command(flatten)]
        limits: Limits,
    },
    /// Members.
    #[command(subcommand)]
    Member(Member),
}

/// Limits of a project; `none` lifts one.
#[derive(Debug, Args)]
struct Limits {
    /// Computes.
    #[arg(long, value_name = "N|none")]
    instances: Option<String>,
    /// Cores, all computes together.
    #[arg(long, value_name = "N|none")]
    cores: Option<String>,
    /// Memory, all computes together, in MiB.
    #[arg(long, value_name = "N|none")]
    memory_mib: Option<String>,
    /// Volumes, all together, in GiB.
    #[arg(long, value_name = "N|none")]
    volume_gib: Option<String>,
    /// Reserved addresses.
    #[arg(long, value_name = "N|none")]
    addresses: Option<String>,
}

impl Limits {
    fn document(&self) -> Result<Map<String, Value>, ConfigError> {
        let mut document = Map::new();
        let named = [
            ("instances", &self.instances),
            ("cores", &self.cores),
            ("memory_mib", &self.memory_mib),
            ("volume_gib", &self.volume_gib),
            ("addresses", &self.addresses),
        ];
        for (name, text) in named {
            let Some(text) = text else { continue };
            let value = match text.as_str() {
                "none" => Value::Null,
                text => text.parse::<u32>().map(Value::from).map_err(|_| {
                    ConfigError::new(
                        format!("--{}: {text:?} is no limit", name.replace('_', "-")),
                        "write a number, or none",
                    )
                })?,
            };
            document.insert(name.to_owned(), value);
        }
        Ok(document)
    }
}

#[derive(Debug, Subcommand)]
enum Member {
    /// Let a user into a project, or change its role there.
    Add {
        /// The project.
        project: String,
        /// The user.
        user: String,
        /// reader, member or manager.
        #[arg(long, default_value = "member")]
        role: String,
    },
    /// End a membership.
    Remove {
        /// The project.
        project: String,
        /// The user.
        user: String,
    },
}

#[derive(Debug, Subcommand)]
enum Network {
    /// Let other projects see a network and put interfaces on it: those that are named, and no others.
    Share {
        /// Its path or id.
        #[arg(value_name = "PATH-OR-ID")]
        network: String,
        /// One of the projects.
        #[arg(
            long,
            value_name = "PROJECT",
            required_unless_present = "public",
            conflicts_with = "public"
        )]
        with: Vec<String>,
        /// All projects, also those to come.
        #[arg(long)]
        public: bool,
    },
    /// Leave a network to its own project. Interfaces of others that are on it stay there.
    Unshare {
        /// Its path or id.
        #[arg(value_name = "PATH-OR-ID")]
        network: String,
    },
    /// List the networks: path, title, project, and with whom each is shared.
    List,
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.sample_config {
        print!("{}", crate::config::sample());
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("occid: no threads can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(execute(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{:?}", miette::Report::new(error));
            ExitCode::FAILURE
        }
    }
}

async fn execute(cli: Cli) -> Result<(), ConfigError> {
    let options = &cli.options;
    match cli.command {
        Some(Command::User(user)) => carry_out_user(options, user).await,
        Some(Command::Project(project)) => carry_out_project(options, project).await,
        Some(Command::Network(network)) => carry_out_network(options, network).await,
        Some(Command::Check) => check(options).await,
        Some(Command::Backup { file }) => {
            let file = std::path::absolute(&file).unwrap_or(file);
            ask(options, Method::POST, &["backup"], Some(json!({ "file": file }))).await?;
            println!("{}", file.display());
            Ok(())
        }
        Some(Command::Restore { file }) => {
            let data_dir = options.load()?.data_dir()?;
            let _lock = DataLock::take(&data_dir)?;
            occi_store::sqlite::restore(&file, &database(&data_dir)).map_err(|error| {
                let problem = crate::admin::with_sources(&error);
                let help = match error {
                    StoreError::Unsettled(_) => "the store was replaced; run sync before anything else",
                    StoreError::Full(_) => "nothing was changed; make room",
                    _ => "nothing was changed; name a file that occid backup wrote",
                };
                ConfigError::new(format!("{} cannot be restored: {problem}", file.display()), help)
            })
        }
        Some(Command::Migrate) => {
            let data_dir = options.load()?.data_dir()?;
            let _lock = DataLock::take(&data_dir)?;
            open_store(&data_dir).await.map(drop)
        }
        None => {
            let config = options.load()?;
            if cli.check_config {
                crate::backends::choose(&config, &config.data_dir()?)?;
                for idle in config::idle_variables(std::env::vars_os().map(|(name, _)| name)) {
                    eprintln!("{idle}");
                }
                println!("the configuration is valid");
                return Ok(());
            }
            run(config).await
        }
    }
}

async fn check(options: &Options) -> Result<(), ConfigError> {
    let found = ask(options, Method::POST, &["check"], Some(json!({}))).await?;
    let findings = list(found.get("findings"));
    for finding in findings {
        println!("{}", finding.as_str().unwrap_or_default());
    }
    if found.get("engines") == Some(&Value::Bool(false)) {
        eprintln!("the service does not run, so only the store was looked at");
    }
    if findings.is_empty() {
        println!("nothing is wrong");
        return Ok(());
    }
    Err(ConfigError::new(
        format!("{} findings", findings.len()),
        "see docs/operations.md",
    ))
}

async fn carry_out_user(options: &Options, user: User) -> Result<(), ConfigError> {
    match user {
        User::Add {
            name,
            project,
            operator,
            password,
        } => {
            let password = password.read(&name)?;
            let document = json!({ "password": password, "operator": operator, "project": project });
            tell(options, Method::PUT, &["users", &name], Some(document)).await
        }
        User::List => {
            let users = ask(options, Method::GET, &["users"], None).await?;
            for user in list(Some(&users)) {
                let text = |key: &str| user.get(key).and_then(Value::as_str).unwrap_or_default();
                let is_operator = user.get("operator") == Some(&Value::Bool(true));
                let projects = list(user.get("projects")).iter().filter_map(Value::as_str);
                println!(
                    "{}\t{}\t{}\t{}",
                    text("name"),
                    if is_operator { "operator" } else { "-" },
                    text("default_project"),
                    projects.collect::<Vec<_>>().join(",")
                );
            }
            Ok(())
        }
        User::Remove { name } => tell(options, Method::DELETE, &["users", &name], None).await,
        User::Passwd { name, password } => {
            let document = json!({ "password": password.read(&name)? });
            tell(options, Method::PUT, &["users", &name, "password"], Some(document)).await
        }
    }
}

async fn carry_out_project(options: &Options, project: Project) -> Result<(), ConfigError> {
    match project {
        Project::Add { name, limits } => {
            let document = Value::Object(limits.document()?);
            tell(options, Method::PUT, &["projects", &name], Some(document)).await
        }
        Project::List => {
            let projects = ask(options, Method::GET, &["projects"], None).await?;
            for project in list(Some(&projects)).iter().filter_map(Value::as_str) {
                println!("{project}");
            }
            Ok(())
        }
        Project::Remove { name } => tell(options, Method::DELETE, &["projects", &name], None).await,
        Project::Quota { name, limits } => {
            let place = ["projects", &name, "quota"];
            let changes = limits.document()?;
            if !changes.is_empty() {
                return tell(options, Method::PUT, &place, Some(Value::Object(changes))).await;
            }
            let quota = ask(options, Method::GET, &place, None).await?;
            for (what, numbers) in quota.as_object().into_iter().flatten() {
                let limit = numbers.get("limit").filter(|limit| !limit.is_null());
                let limit = limit.map_or_else(|| "none".to_owned(), ToString::to_string);
                println!("{what}\t{}\t{limit}", numbers.get("used").unwrap_or(&Value::Null));
            }
            Ok(())
        }
        Project::Member(Member::Add { project, user, role }) => {
            let place = ["projects", &project, "members", &user];
            tell(options, Method::PUT, &place, Some(json!({ "role": role }))).await
        }
        Project::Member(Member::Remove { project, user }) => {
            tell(options, Method::DELETE, &["projects", &project, "members", &user], None).await
        }
    }
}

async fn carry_out_network(options: &Options, network: Network) -> Result<(), ConfigError> {
    match network {
        Network::Share { network, with, public } => {
            let document = json!({ "with": with, "public": public });
            tell(options, Method::PUT, &["networks", &network, "share"], Some(document)).await
        }
        Network::Unshare { network } => tell(options, Method::DELETE, &["networks", &network, "share"], None).await,
        Network::List => {
            let networks = ask(options, Method::GET, &["networks"], None).await?;
            for network in list(Some(&networks)) {
                let text = |key: &str| network.get(key).and_then(Value::as_str).unwrap_or("-");
                let with = list(network.get("shared_with")).iter().filter_map(Value::as_str);
                let with = match network.get("public") {
                    Some(Value::Bool(true)) => "(everybody)".to_owned(),
                    _ => with.collect::<Vec<_>>().join(","),
                };
                println!(
                    "{}\t{}\t{}\t{}",
                    text("path"),
                    // Whoever gave the title is not to write on an operator's terminal.
                    text("title").replace(char::is_control, " "),
                    text("project"),
                    if with.is_empty() { "-" } else { with.as_str() }
                );
            }
            Ok(())
        }
    }
}

/// The items of a list; of anything else, none.
fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Asks for something that has no answer but that it is done.
async fn tell(options: &Options, method: Method, place: &[&str], document: Option<Value>) -> Result<(), ConfigError> {
    ask(options, method, place, document).await.map(drop)
}

/// Asks the running service, or opens the store if none runs. `place` is the path, segment by segment.
async fn ask(options: &Options, method: Method, place: &[&str], document: Option<Value>) -> Result<Value, ConfigError> {
    let config = options.load()?;
    let data_dir = config.data_dir()?;
    let (client, _lock) = reach(&config, &data_dir).await?;
    let path: String = place.iter().map(|segment| format!("/{}", escape(segment))).collect();
    client.send(method, &path, document).await.map_err(|error| {
        let help = if client.is_running() {
            "the running service refused"
        } else {
            "the service does not run"
        };
        ConfigError::new(error.to_string(), help)
    })
}

fn escape(segment: &str) -> String {
    percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
}

async fn reach(config: &Config, data_dir: &Path) -> Result<(AdminClient, Option<DataLock>), ConfigError> {
    if let Address::Unix(socket) = config.admin_listen(data_dir)
        && let Some(client) = AdminClient::running(socket).await
    {
        return Ok((client, None));
    }
    if !data_dir.exists() {
        return Err(ConfigError::new(
            format!("no service runs, and there is no data in {}", data_dir.display()),
            "start occid, or name its --data-dir",
        ));
    }
    let lock = DataLock::take(data_dir)?;
    let store = open_store(data_dir).await?;
    let accounts = Accounts::new(store.clone(), Hasher::default(), None);
    Ok((AdminClient::own(&Admin::new(accounts, store, None, true)), Some(lock)))
}

impl PasswordSource {
    fn read(&self, name: &str) -> Result<String, ConfigError> {
        let failed = |error: std::io::Error| {
            ConfigError::new(
                format!("no password could be read: {error}"),
                "use --password-file, or type it in a terminal",
            )
        };
        let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        let stdin = || {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| first_line(text))
        };
        let password = match &self.password_file {
            Some(file) if file.as_os_str() == "-" => stdin().map_err(failed)?,
            Some(file) => first_line(std::fs::read_to_string(file).map_err(failed)?),
            None if !std::io::stdin().is_terminal() => stdin().map_err(failed)?,
            None => {
                let first = rpassword::prompt_password(format!("Password of {name}: ")).map_err(failed)?;
                let again = rpassword::prompt_password("Again: ").map_err(failed)?;
                if first != again {
                    return Err(ConfigError::new("the two passwords differ", "type the same one twice"));
                }
                first
            }
        };
        if password.is_empty() {
            return Err(ConfigError::new("the password is empty", "choose one"));
        }
        Ok(password)
    }
}
