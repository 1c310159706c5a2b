//! The assertions: what clients were promised, what `occid` says, what exists.

use crate::campaign::Campaign;
use crate::census::Native;
use crate::client::{Answer, Client, Request};
use crate::deed::{Kind, tag_in};
use crate::journal::{Journal, text};
use crate::occid::Occid;
use anyhow::{Context, Result};
use http::Method;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long operations may take to end when nothing disturbs them.
const SETTLED: Duration = Duration::from_secs(180);
/// Deadlines of operations are 120 s; an undoing may take as long again. More than this is no slowness.
const SLOW: Duration = Duration::from_secs(30);
/// A listing of an engine is not older than this.
const LATE: Duration = Duration::from_millis(300);

/// An entity as `occid` shows it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    kind: Kind,
    id: String,
    path: String,
    title: Option<String>,
    attributes: Map<String, Value>,
    tags: BTreeSet<String>,
    /// The path of the source of a link.
    source: Option<String>,
}

impl Seen {
    fn read(kind: Kind, document: &Value) -> Result<Self> {
        let text = |name: &str| document.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let id = text("id").context("an entity without an id")?;
        let source = document.pointer("/source/location").and_then(Value::as_str);
        Ok(Self {
            kind,
            path: format!("/{}/{id}", kind.term()),
            title: text("title"),
            attributes: document
                .get("attributes")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
            tags: tags_of(document),
            source: source.map(ToOwned::to_owned),
            id,
        })
    }

    fn state(&self) -> Option<&str> {
        self.attributes
            .get(&format!("occi.{}.state", self.kind.term()))?
            .as_str()
    }
}

/// The tags of an entity.
pub(crate) fn tags_of(document: &Value) -> BTreeSet<String> {
    let mixins = document.get("mixins").and_then(Value::as_array).into_iter().flatten();
    let tags = mixins.filter_map(|mixin| tag_in(mixin.as_str()?));
    tags.map(ToOwned::to_owned).collect()
}

impl Campaign {
    /// Waits for the end of all operations and compares: journal with `occid`. What was open between the two is settled
    /// in the journal by what is there.
    pub(crate) async fn check(&mut self, at: &str, occid: &Occid) -> Result<Vec<Seen>> {
        let client = self.client(occid);
        self.settle(at, &client).await?;
        self.hear_promises(at, &client).await?;
        let seen = self.list(&client).await?;
        self.compare(at, &seen);
        let retries = std::mem::take(&mut self.journal().retries);
        if retries.is_empty() {
            self.ask_check(at).await?;
            return Ok(seen);
        }
        for deed in retries {
            let answer = client.send(&deed.request).await;
            let repeated = self.journal().repeated(&deed, &answer);
            self.report.repeated += 1;
            if let Err(problem) = repeated {
                self.finding(
                    at,
                    format!("{}, sent again with its key, is refused: {problem}", deed.name),
                );
            }
        }
        self.settle(at, &client).await?;
        self.hear_promises(at, &client).await?;
        let seen = self.list(&client).await?;
        self.compare(at, &seen);
        self.ask_check(at).await?;
        Ok(seen)
    }

    /// Waits until no operation is open.
    pub(crate) async fn settle(&mut self, at: &str, client: &Client) -> Result<()> {
        let mut waited = Duration::ZERO;
        loop {
            let turn = Instant::now();
            let open = operations(client, "?open=true").await?;
            if open.is_empty() {
                break;
            }
            if waited > SETTLED {
                for operation in open {
                    self.finding(at, format!("an operation does not end: {operation}"));
                }
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
            // While the whole machine stood still nothing could end.
            waited += turn.elapsed().min(Duration::from_secs(1));
        }
        if waited > SLOW {
            let seconds = waited.as_secs();
            self.finding(at, format!("it took {seconds} s until all operations had ended"));
        }
        for operation in operations(client, "").await? {
            let id = operation
                .get("id")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            let state = operation.get("state").and_then(Value::as_str).unwrap_or_default();
            if !self.report.ended.insert((id, state.to_owned())) {
                continue;
            }
            match state {
                "needs-attention" => self.finding(at, format!("an operation needs attention: {operation}")),
                "failed" => {
                    let error = operation.get("error").and_then(|error| error.get("message"));
                    let verb = operation.get("verb").and_then(Value::as_str).unwrap_or_default();
                    let error = error.and_then(Value::as_str).unwrap_or_default();
                    self.report
                        .failures
                        .entry(verb.to_owned())
                        .or_default()
                        .push(error.to_owned());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Looks how operations ended that went on after their answer.
    async fn hear_promises(&mut self, at: &str, client: &Client) -> Result<()> {
        let promises = std::mem::take(&mut self.journal().promises);
        for promise in promises {
            let Some(operation) = client.read(&promise.operation).await? else {
                self.finding(at, format!("the operation {} is forgotten", promise.operation));
                continue;
            };
            if operation.get("state").and_then(Value::as_str) != Some("succeeded") {
                self.journal().excuse(&promise);
            }
        }
        Ok(())
    }

    /// Everything that `occid` shows.
    async fn list(&self, client: &Client) -> Result<Vec<Seen>> {
        let mut seen = Vec::new();
        for kind in self.plan.engine.kinds() {
            let Some(document) = client.read(&format!("/{}/", kind.term())).await? else {
                continue;
            };
            let member = if kind.is_link() { "links" } else { "resources" };
            for entity in document.get(member).and_then(Value::as_array).into_iter().flatten() {
                seen.push(Seen::read(*kind, entity)?);
            }
        }
        Ok(seen)
    }

    fn compare(&mut self, at: &str, seen: &[Seen]) {
        self.report.compared += 1;
        let mut findings = compare(&mut self.journal(), seen);
        findings.append(&mut self.journal().broken);
        for finding in findings {
            self.finding(at, finding);
        }
    }

    /// What `occid check` says. An engine may list what was there a moment ago, so a finding counts when it stays.
    async fn ask_check(&mut self, at: &str) -> Result<()> {
        for last in [false, true] {
            let mut command = tokio::process::Command::new(&self.plan.occid);
            command
                .arg("check")
                .arg("--config")
                .arg(self.path("occid.toml"))
                .env_remove("OCCID_FAULT");
            let output = command.output().await?;
            let said = String::from_utf8_lossy(&output.stdout);
            if output.status.success() && said.contains("nothing is wrong") {
                self.report.checks += 1;
                return Ok(());
            }
            if last {
                let failed = String::from_utf8_lossy(&output.stderr);
                self.finding(at, format!("`occid check` says: {} {}", said.trim(), failed.trim()));
            }
            tokio::time::sleep(LATE).await;
        }
        Ok(())
    }

    /// Ends `occid`, by force or not, and compares what it said with what exists.
    pub(crate) async fn count(&mut self, at: &str, occid: Occid, seen: &[Seen]) -> Result<()> {
        if self.dice.chance(50) {
            occid.kill().await?;
        } else {
            occid.terminate().await?;
        }
        let natives = self.plan.engine.census(self.directory()).await?;
        self.report.censuses += 1;
        for stray in self.plan.engine.strays(self.directory()) {
            self.finding(at, stray);
        }
        for finding in differences(seen, &natives) {
            self.finding(at, finding);
        }
        Ok(())
    }

    /// Deletes everything that `occid` shows.
    pub(crate) async fn delete_everything(&mut self, at: &str, client: &Client) -> Result<()> {
        for round in 0..3 {
            let seen = self.list(client).await?;
            if seen.is_empty() {
                break;
            }
            if round == 2 {
                self.finding(at, format!("these cannot be deleted: {seen:?}"));
            }
            for kind in [Kind::Compute, Kind::Storage, Kind::Network] {
                for entity in seen.iter().filter(|entity| entity.kind == kind) {
                    let answer = client.send(&Request::new(Method::DELETE, entity.path.as_str())).await;
                    if let Answer::Refused(status, message) = answer
                        && status != 404
                    {
                        self.finding(at, format!("DELETE {}: {status} {message}", entity.path));
                    }
                }
            }
            self.settle(at, client).await?;
        }
        let mut journal = self.journal();
        journal.things.clear();
        journal.promises.clear();
        journal.retries.clear();
        journal.together.clear();
        Ok(())
    }

    /// The end: everything is deleted, `occid` ends, and nothing is left.
    pub(crate) async fn leave_nothing(&mut self) -> Result<()> {
        let at = "the end";
        let occid = self.start(None).await?;
        let seen = self.check(at, &occid).await?;
        self.count(at, occid, &seen).await?;
        let occid = self.start(None).await?;
        let client = self.client(&occid);
        self.delete_everything(at, &client).await?;
        let seen = self.check(at, &occid).await?;
        let templates = templates(&client).await?;
        occid.terminate().await?;
        for finding in differences(&seen, &self.plan.engine.census(self.directory()).await?) {
            self.finding(at, finding);
        }
        for left in self.plan.engine.leftovers(self.directory(), &templates) {
            self.finding(at, left);
        }
        self.report.is_empty_at_end = true;
        Ok(())
    }
}

/// The terms of the mixins that there are, those of saved images among them.
async fn templates(client: &Client) -> Result<Vec<String>> {
    let all = client.read("/-/").await?.unwrap_or_default();
    let mixins = all.get("mixins").and_then(Value::as_array).into_iter().flatten();
    let terms = mixins.filter_map(|mixin| mixin.get("term")?.as_str());
    Ok(terms.map(ToOwned::to_owned).collect())
}

async fn operations(client: &Client, query: &str) -> Result<Vec<Value>> {
    let document = client.read(&format!("/-/operation/{query}")).await?.unwrap_or_default();
    Ok(document
        .get("operations")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default())
}

/// Compares the journal with what is seen, then learns from it.
fn compare(journal: &mut Journal, seen: &[Seen]) -> Vec<String> {
    let mut findings = Vec::new();
    let by_path: BTreeMap<&str, &Seen> = seen.iter().map(|seen| (seen.path.as_str(), seen)).collect();
    let mut by_title: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    for entity in seen {
        if let Some(title) = &entity.title {
            by_title.entry(title).or_default().push(entity);
        }
    }
    let mut known = BTreeSet::new();
    let mut with_interface = BTreeSet::new();
    for thing in &mut journal.things {
        let named = by_title.get(thing.title.as_str()).cloned().unwrap_or_default();
        if named.len() > 1 {
            findings.push(format!("{} was made {} times", thing.title, named.len()));
        }
        known.extend(named.iter().map(|seen| seen.path.as_str()));
        let found = thing.path.as_ref().and_then(|path| by_path.get(path.as_str()).copied());
        let found = found.or_else(|| named.first().copied());
        let facts = &mut thing.facts;
        let Some(found) = found else {
            if !facts.may_be_absent {
                findings.push(format!("{} ({:?}) is lost", thing.title, thing.path));
            }
            (facts.may_exist, facts.may_be_absent) = (false, true);
            continue;
        };
        known.insert(found.path.as_str());
        if !facts.may_exist {
            findings.push(format!("{} ({}) should not exist", thing.title, found.path));
        }
        if thing.path.as_ref().is_some_and(|path| *path != found.path) {
            findings.push(format!(
                "{} is at {} instead of {:?}",
                thing.title, found.path, thing.path
            ));
        }
        thing.path = Some(found.path.clone());
        (facts.may_exist, facts.may_be_absent) = (true, false);
        if thing.own_interface {
            with_interface.insert(found.path.as_str());
        }
        let state = found.state().unwrap_or_default();
        if !facts.states.is_empty() {
            match facts.states.iter().find(|possible| **possible == state) {
                Some(state) => facts.states = BTreeSet::from([*state]),
                None => {
                    let message = found
                        .attributes
                        .get(&format!("occi.{}.state.message", thing.kind.term()));
                    findings.push(format!(
                        "{} ({}) is {state} ({message:?}), not {:?}",
                        thing.title, found.path, facts.states
                    ));
                    facts.states = states(state);
                }
            }
        }
        for (name, values) in &mut facts.values {
            let value = found.attributes.get(*name).map(text).unwrap_or_default();
            if !values.contains(&value) {
                findings.push(format!(
                    "{name} of {} ({}) is {value}, not {values:?}",
                    thing.title, found.path
                ));
            }
            *values = BTreeSet::from([value]);
        }
        for (tag, possible) in &mut facts.tags {
            let has = found.tags.contains(tag);
            if !possible.contains(&has) {
                let (has, title, path) = (if has { "has" } else { "has lost" }, &thing.title, &found.path);
                findings.push(format!("{title} ({path}) {has} the tag {tag}"));
            }
            *possible = BTreeSet::from([has]);
        }
    }
    for together in std::mem::take(&mut journal.together) {
        let there: BTreeSet<_> = together
            .iter()
            .map(|thing| journal.things[*thing].facts.may_exist)
            .collect();
        if there.len() > 1 {
            let titles: Vec<_> = together
                .iter()
                .map(|thing| journal.things[*thing].title.as_str())
                .collect();
            findings.push(format!("one request left some and not others of {}", titles.join(", ")));
        }
    }
    let mut interfaces: BTreeMap<&str, usize> = BTreeMap::new();
    let mut networks = 0;
    for entity in seen.iter().filter(|entity| !known.contains(entity.path.as_str())) {
        match (entity.kind, &entity.source) {
            (Kind::NetworkInterface, Some(source)) if with_interface.contains(source.as_str()) => {
                *interfaces.entry(source).or_default() += 1;
            }
            // The default network, which comes with the first compute.
            (Kind::Network, _) if entity.title.is_none() && networks == 0 => networks += 1,
            _ => findings.push(format!("nobody asked for {} ({:?})", entity.path, entity.title)),
        }
    }
    for path in with_interface {
        match interfaces.get(path).copied().unwrap_or_default() {
            1 => {}
            count => findings.push(format!("{path} has {count} interfaces to the default network, not 1")),
        }
    }
    findings
}

/// A state that only a failure reaches, as a possible one.
fn states(state: &str) -> BTreeSet<&'static str> {
    ["active", "inactive", "suspended", "online", "offline", "error"]
        .into_iter()
        .filter(|known| *known == state)
        .collect()
}

/// Where what `occid` said and what exists differ.
fn differences(seen: &[Seen], natives: &[Native]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut left: BTreeMap<(Kind, &str), &Seen> =
        seen.iter().map(|seen| ((seen.kind, seen.id.as_str()), seen)).collect();
    let mut met = BTreeSet::new();
    for native in natives {
        let key = (native.kind, native.id.as_str());
        if !met.insert(key) {
            findings.push(format!("the {} {} exists twice", native.kind.term(), native.id));
            continue;
        }
        let Some(seen) = left.remove(&key) else {
            // A default network that nobody uses is nobody's.
            if native.is_marked || native.kind != Kind::Network {
                findings.push(format!(
                    "the {} {} exists, and occid does not know it",
                    native.kind.term(),
                    native.id
                ));
            }
            continue;
        };
        if let Some(state) = &native.state
            && seen.state() != Some(state)
        {
            findings.push(format!("{} is {state}, and occid says {:?}", seen.path, seen.state()));
        }
    }
    for seen in left.into_values() {
        findings.push(format!("{} does not exist, and occid shows it", seen.path));
    }
    findings
}
