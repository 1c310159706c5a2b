//! The server that is checked, as one login sees it.

use crate::answer::{Answer, shortened};
use crate::client::Client;
use crate::every::Every;
use crate::options::Options;
use crate::reading::{Category, Reading};
use crate::suite::skip;
use crate::thing::Thing;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

pub(crate) const CORE: &str = "http://schemas.ogf.org/occi/core#";
pub(crate) const INFRA: &str = "http://schemas.ogf.org/occi/infrastructure#";
/// What the suite says it is, unless a case says otherwise.
const AGENT: &str = concat!("occi-conformance/", env!("CARGO_PKG_VERSION"), " OCCI/1.2");

/// An occid on this host: makes users and projects of the suite's own.
#[derive(Clone, Debug)]
pub struct Host {
    /// The binary.
    pub occid: PathBuf,
    /// Its data directory.
    pub data_dir: PathBuf,
}

/// The server, a login, and what all cases share.
#[derive(Clone)]
pub(crate) struct Site {
    client: Client,
    /// Scheme and authority, as in the URLs that the server makes.
    pub(crate) origin: String,
    /// The path of the service without its last slash; empty at the root.
    pub(crate) base: String,
    login: Option<(String, String)>,
    project: Option<String>,
    host: Option<Host>,
    pub(crate) patience: Duration,
    real: bool,
    alone: bool,
    pub(crate) every: Arc<Every>,
}

impl Site {
    pub(crate) fn new(options: &Options) -> Result<Self, String> {
        let url = Url::parse(&options.url).map_err(|error| format!("{}: {error}", options.url))?;
        let client = Client::new(&url, &options.ca_file)?;
        let password = options
            .password_file
            .as_ref()
            .map(|file| std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display())))
            .transpose()?;
        let password = password.and_then(|text| text.lines().next().map(str::to_owned));
        let host = options.occid.clone().zip(options.data_dir.clone());
        Ok(Self {
            client,
            origin: url.origin().ascii_serialization(),
            base: url.path().trim_end_matches('/').to_owned(),
            login: options.user.clone().zip(password),
            project: options.project.clone(),
            host: host.map(|(occid, data_dir)| Host { occid, data_dir }),
            patience: Duration::from_secs(options.patience),
            real: options.real,
            alone: options.alone,
            every: Arc::default(),
        })
    }

    /// Ends the case unless machines are real.
    pub(crate) fn needs_real_machines(&self) {
        if !self.real {
            skip("needs real machines: run with --real");
        }
    }

    /// The same server for somebody without a login.
    pub(crate) fn stranger(&self) -> Self {
        Self {
            login: None,
            project: None,
            ..self.clone()
        }
    }

    /// The same server for this login.
    pub(crate) fn with_login(&self, user: &str, password: &str) -> Self {
        Self {
            login: Some((user.to_owned(), password.to_owned())),
            project: None,
            ..self.clone()
        }
    }

    pub(crate) fn login(&self) -> Option<&(String, String)> {
        self.login.as_ref()
    }

    /// The same server for a new user with an empty project, both gone with the value.
    pub(crate) fn newcomer(&self) -> Newcomer {
        let Some(host) = &self.host else {
            skip("needs a user and a project of its own: run with --occid and --data-dir");
        };
        let name = unique("user");
        let project = unique("project");
        let password = unique("password");
        host.command(&["project", "add", &project], "");
        host.command(
            &["user", "add", &name, "--project", &project, "--password-file", "-"],
            &password,
        );
        let site = self.with_login(&name, &password);
        Newcomer {
            site,
            name,
            project,
            host: Some(host.clone()),
        }
    }

    /// A project where nobody else is and nothing is kept: cases that act on everything in it run there.
    pub(crate) fn own_project(&self) -> Newcomer {
        match (&self.host, self.alone) {
            (Some(_), _) => self.newcomer(),
            (None, true) => Newcomer {
                site: self.clone(),
                name: String::new(),
                project: String::new(),
                host: None,
            },
            (None, false) => skip("acts on all there is: run with --occid and --data-dir, or with --alone"),
        }
    }

    pub(crate) fn get(&self, to: &str) -> Ask<'_> {
        self.ask("GET", to)
    }

    pub(crate) fn post(&self, to: &str) -> Ask<'_> {
        self.ask("POST", to)
    }

    pub(crate) fn put(&self, to: &str) -> Ask<'_> {
        self.ask("PUT", to)
    }

    pub(crate) fn delete(&self, to: &str) -> Ask<'_> {
        self.ask("DELETE", to)
    }

    pub(crate) fn ask(&self, method: &str, to: &str) -> Ask<'_> {
        Ask {
            site: self,
            method: method.to_owned(),
            target: self.target(to),
            headers: Vec::new(),
            raw_header: Vec::new(),
            agent: Some(AGENT.to_owned()),
            body: Vec::new(),
        }
    }

    /// The path of `to` on the server: `to` is a URL or path that the server gave, or a path below the service's root,
    /// which is the empty one.
    pub(crate) fn target(&self, to: &str) -> String {
        if let Some(path) = to.strip_prefix(&self.origin) {
            return if path.is_empty() {
                "/".to_owned()
            } else {
                path.to_owned()
            };
        }
        if to.is_empty() {
            return if self.base.is_empty() {
                "/".to_owned()
            } else {
                self.base.clone()
            };
        }
        let own = to
            .strip_prefix(&self.base)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if own {
            to.to_owned()
        } else {
            format!("{}{to}", self.base)
        }
    }

    /// The URL of a path, as the server writes it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{}", self.origin, self.target(path))
    }

    /// Sends bytes as they are. What comes is not what every answer must be: the request was no HTTP.
    #[track_caller]
    pub(crate) fn raw_unnoted(&self, bytes: &[u8]) -> Answer {
        match self.client.exchange(bytes, false) {
            Ok(answer) => answer,
            Err(problem) => panic!("no answer: {problem}\n{}", String::from_utf8_lossy(bytes)),
        }
    }

    #[track_caller]
    fn exchange(&self, bytes: &[u8], is_head: bool) -> Answer {
        let text = String::from_utf8_lossy(bytes);
        let question: String = text
            .split("\r\n")
            .filter(|line| !line.starts_with("Authorization:"))
            .map(|line| format!("> {}\n", shortened(line)))
            .collect();
        match self.client.exchange(bytes, is_head) {
            Ok(answer) => {
                let answer = Answer { question, ..answer };
                self.every.note(&answer);
                answer
            }
            Err(problem) => panic!("no answer: {problem}\n{question}"),
        }
    }

    /// The kinds, mixins and actions, in text.
    #[track_caller]
    pub(crate) fn model(&self) -> Reading {
        self.get("/-/").accept("text/plain").send().is(200).read()
    }

    /// The same in JSON.
    #[track_caller]
    pub(crate) fn json_model(&self) -> Value {
        self.get("/-/").accept("application/occi+json").send().is(200).json()
    }

    /// A category of the model.
    #[track_caller]
    pub(crate) fn category(&self, id: &str) -> Category {
        match self.model().category(id) {
            Some(category) => category.clone(),
            None => panic!("{id} is not in the query interface"),
        }
    }

    /// Whether the server has instances of this kind of the infrastructure.
    #[track_caller]
    pub(crate) fn offers(&self, term: &str) -> bool {
        self.model().category(&format!("{INFRA}{term}")).is_some()
    }

    /// Ends the case if the server has no instances of this kind: not every engine has a place for each.
    #[track_caller]
    pub(crate) fn needs_kind(&self, term: &str) {
        if !self.offers(term) {
            skip(format!("the server offers no {term}"));
        }
    }

    /// Where the instances of a kind or mixin are listed.
    #[track_caller]
    pub(crate) fn collection(&self, id: &str) -> String {
        match self.category(id).get("location") {
            Some(location) => location.to_owned(),
            None => panic!("{id} has no location"),
        }
    }

    /// The URIs in a collection.
    #[track_caller]
    pub(crate) fn list(&self, at: &str) -> Vec<String> {
        self.get(at).accept("text/uri-list").send().is(200).read().locations
    }

    /// The URIs of the entities in a collection that have this title.
    #[track_caller]
    pub(crate) fn find(&self, at: &str, title: &str) -> Vec<String> {
        self.list(&format!("{at}?attribute=occi.core.title&value={title}"))
    }

    /// A template: a mixin that depends on `parent`.
    #[track_caller]
    pub(crate) fn templates(&self, parent: &str) -> Vec<Category> {
        self.model()
            .categories
            .into_iter()
            .filter(|category| category.class() == "mixin" && category.get("rel") == Some(parent))
            .collect()
    }

    /// Makes what `lines` say, at a kind's location.
    #[track_caller]
    pub(crate) fn create(&self, at: &str, lines: &[&str]) -> Thing<'_> {
        let answer = self.post(at).accept("text/plain").text(lines).send().is(201);
        Thing::new(self, answer.location())
    }

    /// A compute with the server's defaults and these lines.
    #[track_caller]
    pub(crate) fn compute(&self, lines: &[&str]) -> Thing<'_> {
        self.create("/compute/", &[&[kind("compute").as_str()], lines].concat())
    }

    /// A compute that is active.
    #[track_caller]
    pub(crate) fn running(&self, lines: &[&str]) -> Thing<'_> {
        let compute = self.compute(lines);
        compute.wait("active");
        compute
    }

    /// A volume of one GiB, online.
    #[track_caller]
    pub(crate) fn storage(&self, lines: &[&str]) -> Thing<'_> {
        let own = kind("storage");
        let all = [&[own.as_str(), "X-OCCI-Attribute: occi.storage.size=1"], lines].concat();
        let storage = self.create("/storage/", &all);
        storage.wait("online");
        storage
    }

    /// A network, active.
    #[track_caller]
    pub(crate) fn network(&self, lines: &[&str]) -> Thing<'_> {
        let network = self.create("/network/", &[&[kind("network").as_str()], lines].concat());
        network.wait("active");
        network
    }

    /// A link of this kind between two things; the source is up first.
    #[track_caller]
    pub(crate) fn link(&self, term: &str, source: &Thing, target: &Thing, lines: &[&str]) -> Thing<'_> {
        source.wait("active");
        let own = [
            kind(term),
            format!("X-OCCI-Attribute: occi.core.source=\"{}\"", source.path()),
            format!("X-OCCI-Attribute: occi.core.target=\"{}\"", target.path()),
        ];
        let own: Vec<_> = own.iter().map(String::as_str).collect();
        self.create(&format!("/{term}/"), &[&own[..], lines].concat())
    }

    /// A mixin of the suite's own, gone with the value.
    #[track_caller]
    pub(crate) fn tag(&self) -> Tag<'_> {
        self.tag_with("")
    }

    /// The same with further parameters.
    #[track_caller]
    pub(crate) fn tag_with(&self, parameters: &str) -> Tag<'_> {
        let tag = Tag {
            site: self,
            term: unique("tag"),
        };
        let whole = format!(
            "Category: {}; scheme=\"{}\"; class=\"mixin\"{parameters}; location=\"{}\"",
            tag.term,
            Tag::SCHEME,
            tag.location()
        );
        self.post("/-/").text(&[&whole]).send().is(200);
        tag
    }
}

/// A user mixin.
pub(crate) struct Tag<'a> {
    site: &'a Site,
    pub(crate) term: String,
}

impl Tag<'_> {
    pub(crate) const SCHEME: &'static str = "http://conformance.example.org/occi/tag#";

    pub(crate) fn id(&self) -> String {
        format!("{}{}", Self::SCHEME, self.term)
    }

    /// Its collection.
    pub(crate) fn location(&self) -> String {
        self.site.target(&format!("/mixin/conformance/{}/", self.term))
    }

    /// As it is named in a request.
    pub(crate) fn category(&self) -> String {
        format!("{}; scheme=\"{}\"; class=\"mixin\"", self.term, Self::SCHEME)
    }

    /// The same as a line of text/plain.
    pub(crate) fn line(&self) -> String {
        format!("Category: {}", self.category())
    }
}

impl Drop for Tag<'_> {
    fn drop(&mut self) {
        let _ = self.site.delete("/-/").text(&[&self.line()]).try_status();
    }
}

/// A kind of the infrastructure document as a line of text/plain.
pub(crate) fn kind(term: &str) -> String {
    format!("Category: {term}; scheme=\"{INFRA}\"; class=\"kind\"")
}

/// A mixin as a line of text/plain.
pub(crate) fn mixin(id: &str) -> String {
    let (scheme, term) = id.split_once('#').unwrap_or((id, ""));
    format!("Category: {term}; scheme=\"{scheme}#\"; class=\"mixin\"")
}

/// An action's line in text/plain.
pub(crate) fn action(of: &str, term: &str) -> String {
    format!("Category: {term}; scheme=\"http://schemas.ogf.org/occi/infrastructure/{of}/action#\"; class=\"action\"")
}

/// A word that nobody else has.
pub(crate) fn unique(word: &str) -> String {
    format!("{word}-{}", uuid::Uuid::new_v4().simple())
}

/// A user of the suite's own.
pub(crate) struct Newcomer {
    pub(crate) site: Site,
    name: String,
    project: String,
    host: Option<Host>,
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        let clear = || {
            for collection in ["/link/", "/resource/"] {
                let _ = self.site.delete(collection).try_status();
            }
        };
        clear();
        let Some(host) = &self.host else { return };
        // An engine may still be at it, and then it is refused.
        for _ in 0..20 {
            if host.try_command(&["project", "remove", &self.project], "").is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
            clear();
        }
        let _ = host.try_command(&["user", "remove", &self.name], "");
    }
}

impl Host {
    /// Runs a command of occid against the running server.
    #[track_caller]
    pub(crate) fn command(&self, arguments: &[&str], input: &str) {
        if let Err(problem) = self.try_command(arguments, input) {
            panic!("occid {}: {problem}", arguments.join(" "));
        }
    }

    fn try_command(&self, arguments: &[&str], input: &str) -> Result<(), String> {
        let mut child = Command::new(&self.occid)
            .args(arguments)
            .arg("--data-dir")
            .arg(&self.data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        if let Some(mut stdin) = child.stdin.take() {
            let _ = writeln!(stdin, "{input}");
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

/// A request in the making.
#[must_use]
pub(crate) struct Ask<'a> {
    site: &'a Site,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    /// A whole header line of any bytes.
    raw_header: Vec<u8>,
    agent: Option<String>,
    body: Vec<u8>,
}

impl Ask<'_> {
    /// A further header line; the same name may come several times.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A header line of any bytes.
    pub(crate) fn raw_header(mut self, line: &[u8]) -> Self {
        self.raw_header = [line, b"\r\n"].concat();
        self
    }

    pub(crate) fn accept(self, media: &str) -> Self {
        self.header("Accept", media)
    }

    pub(crate) fn agent(mut self, agent: &str) -> Self {
        self.agent = Some(agent.to_owned());
        self
    }

    pub(crate) fn without_agent(mut self) -> Self {
        self.agent = None;
        self
    }

    /// A body of this type.
    pub(crate) fn body(mut self, media: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", media)
    }

    /// A text/plain body of these lines.
    pub(crate) fn text(self, lines: &[&str]) -> Self {
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.body("text/plain", body)
    }

    /// The same in text/occi: a header line for each.
    #[track_caller]
    pub(crate) fn occi(self, lines: &[&str]) -> Self {
        let mut ask = self.header("Content-Type", "text/occi");
        for line in lines {
            let Some((name, value)) = line.split_once(": ") else {
                panic!("{line:?} is no field");
            };
            ask = ask.header(name, value);
        }
        ask
    }

    pub(crate) fn json(self, value: &Value) -> Self {
        self.body("application/occi+json", value.to_string())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        let authority = self
            .site
            .origin
            .split_once("://")
            .map_or("", |(_, authority)| authority);
        line("Host", authority);
        line("Connection", "close");
        if let Some(agent) = &self.agent {
            line("User-Agent", agent);
        }
        let named = |name: &str| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some((user, password)) = &self.site.login
            && !named("authorization")
        {
            line(
                "Authorization",
                &format!("Basic {}", BASE64.encode(format!("{user}:{password}"))),
            );
        }
        if let Some(project) = &self.site.project
            && !named("x-occi-project")
        {
            line("X-OCCI-Project", project);
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT") {
            line("Content-Length", &self.body.len().to_string());
        }
        [head.as_bytes(), &self.raw_header, b"\r\n", &self.body].concat()
    }

    /// The status alone, for tidying up: whatever happens is no failure of a case.
    pub(crate) fn try_status(self) -> Option<u16> {
        let answer = self.site.client.exchange(&self.bytes(), false);
        answer.ok().map(|answer| answer.status)
    }

    /// Sends what is no HTTP, see [`Site::raw_unnoted`].
    #[track_caller]
    pub(crate) fn send_unnoted(self) -> Answer {
        self.site.raw_unnoted(&self.bytes())
    }

    #[track_caller]
    pub(crate) fn send(self) -> Answer {
        self.site.exchange(&self.bytes(), self.method == "HEAD")
    }
}
