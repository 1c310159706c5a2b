//! A real `occid`, started for one test on a free port with a data directory of its own, and gone with the test.

use crate::client::{Client, Raw};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Clone)]
pub(crate) struct Setup {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    config: String,
    user: Option<u32>,
    home: Arc<TempDir>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            arguments: ["--backend", "memory", "--listen", "127.0.0.1:0"]
                .map(Into::into)
                .into(),
            variables: Vec::new(),
            config: String::new(),
            user: None,
            home: Arc::new(tempfile::tempdir().unwrap()),
        }
    }
}

impl Setup {
    /// Lines of the configuration file.
    pub(crate) fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self.config.push('\n');
        self
    }

    /// Further flags, which win over the ones before.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        for pair in flags.chunks(2) {
            self.arguments
                .iter()
                .position(|known| known == pair[0])
                .map(|at| self.arguments.drain(at..at + pair.len()).count());
            self.arguments.extend(pair.iter().map(|flag| (*flag).to_owned()));
        }
        self
    }

    /// A variable of the environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As whom the program runs, which takes a root.
    pub(crate) fn user(mut self, user: u32) -> Self {
        std::os::unix::fs::chown(self.home(), Some(user), Some(user)).unwrap();
        self.user = Some(user);
        self
    }

    /// An engine that plays a cloud, whose objects outlive the process, and whose further behaviour is `more`.
    pub(crate) fn cloud(self, more: &str) -> Self {
        let state = self.home.path().join("cloud.json");
        self.config(&format!(
            "[backend.memory]\npersonality = \"remote\"\ncall_timeout_ms = 100\npath = {state:?}\n{more}"
        ))
    }

    /// The directory that holds everything of this test.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// `occid` with these arguments, in an environment that holds nothing else.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let file = self.home.path().join("occid.toml");
        std::fs::write(&file, &self.config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_occid"));
        command
            .args(arguments)
            .env_clear()
            .env("OCCID_CONFIG", file)
            .env("OCCID_DATA_DIR", self.data())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Runs `occid` with these arguments to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// The same with something to read.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Runs the service although it will not come up.
    pub(crate) fn fail_to_start(&self) -> Ran {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        let ran = self.run(&arguments);
        assert!(!ran.ok, "it started: {}", ran.stdout);
        ran
    }

    /// Starts the service and waits until it listens.
    pub(crate) fn start(self) -> Occid {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        let mut command = self.command(&arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = child.stderr.take().unwrap();
        let sink = log.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut buffer) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        let Some(url) = first.trim_end().strip_prefix("listening on ") else {
            let _ = child.wait();
            panic!("{first:?} instead of a URL: {}", log.lock().unwrap());
        };
        let (_, authority) = url.split_once("://").unwrap();
        let address = authority.split('/').next().unwrap().parse().unwrap();
        Occid {
            url: url.to_owned(),
            address,
            child,
            log,
            setup: self,
        }
    }
}

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    /// On one line, as error reports break lines anywhere.
    pub(crate) stderr: String,
}

impl Ran {
    fn of(output: std::process::Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        let words = stderr.split(|c: char| c.is_whitespace() || "│╰─▶×╭╴·".contains(c));
        Self {
            ok: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "),
        }
    }

    /// Its output, of a run that succeeded.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert!(self.ok, "{}", self.stderr);
        self.stdout
    }

    /// Its complaint, of a run that failed.
    #[track_caller]
    pub(crate) fn bad(self) -> String {
        assert!(!self.ok, "it succeeded: {}", self.stdout);
        self.stderr
    }
}

/// A running service.
pub(crate) struct Occid {
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    pub(crate) setup: Setup,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Drop for Occid {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Occid {
    /// With the defaults and the memory engine.
    pub(crate) fn start() -> Self {
        Setup::default().start()
    }

    /// A client without credentials.
    pub(crate) fn anonymous(&self) -> Client {
        Client::new(self.address)
    }

    /// The first operator.
    pub(crate) fn admin(&self) -> Client {
        let file = self.setup.data().join("initial-admin-password");
        let password = std::fs::read_to_string(file).unwrap();
        self.client("admin", password.trim_end())
    }

    /// Somebody.
    pub(crate) fn client(&self, name: &str, password: &str) -> Client {
        self.anonymous().with_basic(name, password)
    }

    /// Makes a user, whose password is its name.
    #[track_caller]
    pub(crate) fn user(&self, name: &str, flags: &[&str]) -> Client {
        if let Some(at) = flags.iter().position(|flag| *flag == "--project") {
            self.setup.run(&["project", "add", flags[at + 1]]); // which may be there
        }
        let arguments = [&["user", "add", name], flags].concat();
        self.setup.run_with_input(&arguments, name).good();
        self.client(name, name)
    }

    /// A connection for bytes.
    pub(crate) fn raw(&self) -> Raw {
        Raw::connect(self.address)
    }

    /// A request at the side door.
    pub(crate) fn side_door(&self, target: &str) -> crate::client::Answer {
        self.at_socket("admin.sock", &format!("GET {target} HTTP/1.1\r\nHost: occid\r\n\r\n"))
    }

    /// A request at a socket of the data directory.
    pub(crate) fn at_socket(&self, name: &str, request: &str) -> crate::client::Answer {
        let socket = std::os::unix::net::UnixStream::connect(self.setup.data().join(name)).unwrap();
        Raw::over(socket).exchange(request)
    }

    /// Waits until it has said this on stderr.
    #[track_caller]
    pub(crate) fn has_said(&self, words: &str) {
        wait_until(words, || self.log().contains(words).then_some(()));
    }

    /// What it has written to stderr.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_until("the end of occid", || self.child.try_wait().unwrap())
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(mut self) -> Setup {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "{status}: {}", self.log());
        self.setup.clone()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> Setup {
        self.signal(Signal::KILL);
        self.wait();
        self.setup.clone()
    }
}

/// Asks again and again until there is an answer.
#[track_caller]
pub(crate) fn wait_until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until nothing goes on.
#[track_caller]
pub(crate) fn wait_for_all_operations(admin: &Client) {
    wait_until("the end of all operations", || {
        let open = admin.get("/-/operation/?open=true").expect(200).body;
        open.is_empty().then_some(())
    });
}
