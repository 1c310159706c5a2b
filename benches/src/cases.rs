//! What is measured (DESIGN, section 10).

use crate::client::{self, Connection, Window};
use crate::command_line::command_line;
use crate::cpu;
use crate::machines::machines;
use crate::seed;
use crate::server::Server;
use crate::table::{Row, markdown, median};
use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::Full;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const KIND_AND_TITLE: &str = "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
                              X-OCCI-Attribute: occi.core.title=\"bench\"\n";

/// What to run.
pub(crate) struct Plan {
    pub(crate) occid: PathBuf,
    pub(crate) occi: PathBuf,
    pub(crate) only: Option<String>,
    pub(crate) windows: usize,
    pub(crate) long: bool,
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) images: PathBuf,
}

/// Runs the cases and prints the table.
pub(crate) async fn run(plan: &Plan) -> Result<()> {
    let mut rows = Vec::new();
    if plan.wants("get") {
        rows.extend(get_one(plan).await.context("get")?);
    }
    if plan.wants("list") {
        rows.extend(list_all(plan).await.context("list")?);
    }
    if plan.wants("create") {
        rows.push(durable_create(plan).await.context("create")?);
    }
    if plan.wants("start") {
        rows.push(start(plan).await.context("start")?);
    }
    if plan.wants("command line") {
        rows.extend(command_line(plan).await.context("command line")?);
    }
    if plan.wants("machine") {
        rows.extend(machines(plan).await.context("machine")?);
    }
    if plan.long && plan.wants("million") {
        rows.extend(million(plan).await.context("million")?);
    }
    let table = markdown(&rows);
    println!("{table}");
    if let Some(file) = &plan.markdown {
        fs::write(file, table)?;
    }
    Ok(())
}

impl Plan {
    fn wants(&self, case: &str) -> bool {
        self.only.as_deref().is_none_or(|only| case.contains(only))
    }
}

/// An occid with a data directory of its own.
pub(crate) struct Occid {
    pub(crate) server: Server,
    authorization: String,
    data: TempDir,
}

impl Occid {
    async fn start(plan: &Plan) -> Result<Self> {
        let data = tempfile::tempdir()?;
        Self::start_on(plan, data).await
    }

    async fn start_on(plan: &Plan, data: TempDir) -> Result<Self> {
        Self::start_with(plan, "memory", data).await
    }

    pub(crate) async fn start_with(plan: &Plan, backend: &str, data: TempDir) -> Result<Self> {
        let directory = data.path().to_str().context("temporary directory")?.to_owned();
        let arguments = [
            "--backend",
            backend,
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "off",
            "--data-dir",
            &directory,
        ];
        let server = Server::start(&plan.occid, &arguments).await?;
        let password = fs::read_to_string(data.path().join("initial-admin-password"))?;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("admin:{}", password.trim()));
        Ok(Self {
            server,
            authorization: format!("Basic {pair}"),
            data,
        })
    }

    /// With `number` computes in its store, and their paths.
    pub(crate) async fn start_seeded(plan: &Plan, number: usize) -> Result<(Self, Arc<Vec<String>>)> {
        // The first start makes the database and its account.
        let Self {
            server,
            authorization,
            data,
        } = Self::start(plan).await?;
        server.stop().await?;
        let paths = seed::computes(&database(data.path())?, "default", number).await?;
        let occid = Self {
            authorization,
            ..Self::start_on(plan, data).await?
        };
        Ok((occid, Arc::new(paths)))
    }

    /// The password of the first operator.
    pub(crate) fn password(&self) -> Result<String> {
        let password = fs::read_to_string(self.data.path().join("initial-admin-password"))?;
        Ok(password.trim().to_owned())
    }

    fn request(&self, method: Method, path: &str, accept: &str, body: &'static str) -> Request<Full<Bytes>> {
        request(&self.authorization, method, path, accept, body)
    }

    pub(crate) fn create_one(&self) -> Request<Full<Bytes>> {
        self.request(Method::POST, "/compute/", "text/plain", KIND_AND_TITLE)
    }

    pub(crate) fn delete(&self, location: &str) -> Request<Full<Bytes>> {
        self.request(Method::DELETE, location, "text/plain", "")
    }

    /// Creates `number` computes by 64 clients.
    async fn create(&self, number: usize) -> Result<Window> {
        let authorization = self.authorization.clone();
        client::load(self.server.address, 64, number, 201, move |_| {
            request(&authorization, Method::POST, "/compute/", "text/plain", KIND_AND_TITLE)
        })
        .await
    }

    /// GETs of entities taken at random from `paths`, others in each `round`.
    async fn get_somewhere(&self, paths: &Arc<Vec<String>>, gets: usize, round: usize) -> Result<Window> {
        let (paths, authorization) = (Arc::clone(paths), self.authorization.clone());
        client::load(self.server.address, 8, gets, 200, move |number| {
            let at = scattered((round << 32 | number) as u64) % paths.len() as u64;
            let path = &paths[usize::try_from(at).unwrap_or_default()];
            request(&authorization, Method::GET, path, "text/plain", "")
        })
        .await
    }

    /// The paths of all computes.
    async fn computes(&self) -> Result<Vec<String>> {
        let mut connection = Connection::open(self.server.address).await?;
        let answer = connection
            .exchange(self.request(Method::GET, "/compute/", "text/uri-list", ""))
            .await?;
        let text = String::from_utf8(answer.into_body().to_vec())?;
        Ok(text
            .lines()
            .filter_map(|line| line.find("/compute/").map(|at| line[at..].to_owned()))
            .collect())
    }

    /// Waits until no compute is on its way to `active`, so that windows measure requests only.
    async fn settle(&self) -> Result<()> {
        let mut before = cpu::used(self.server.pid())?;
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = cpu::used(self.server.pid())?;
            if now - before < Duration::from_millis(10) {
                return Ok(());
            }
            before = now;
        }
        Ok(())
    }
}

fn request(authorization: &str, method: Method, path: &str, accept: &str, body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from_static(body.as_bytes())));
    *request.method_mut() = method;
    // Paths come from the server and from literals of this file.
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    for (name, value) in [(HOST, "127.0.0.1"), (ACCEPT, accept), (AUTHORIZATION, authorization)] {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    if !body.is_empty() {
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    }
    request
}

/// CPU per request in microseconds, and requests per second.
#[derive(Clone, Copy)]
struct Cost {
    cpu_us: f64,
    per_second: f64,
}

async fn cost<F, R>(pid: u32, window: F) -> Result<Cost>
where
    F: FnOnce() -> R,
    R: Future<Output = Result<Window>>,
{
    let before = cpu::used(pid)?;
    let window = window().await?;
    let used = cpu::used(pid)? - before;
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
    let requests = window.requests as f64;
    Ok(Cost {
        cpu_us: used.as_secs_f64() * 1e6 / requests,
        per_second: requests / window.elapsed.as_secs_f64(),
    })
}

fn ratio(pairs: &[(Cost, Cost)]) -> f64 {
    median(pairs.iter().map(|(ours, peer)| ours.cpu_us / peer.cpu_us).collect())
}

fn describe(costs: impl Iterator<Item = Cost> + Clone) -> (String, String) {
    let cpu = median(costs.clone().map(|cost| cost.cpu_us).collect());
    let rate = median(costs.map(|cost| cost.per_second).collect());
    (format!("{cpu:.1} us"), format!("{rate:.0}/s"))
}

fn compare(case: &str, pairs: &[(Cost, Cost)], target: f64) -> Row {
    let (ours, our_rate) = describe(pairs.iter().map(|pair| pair.0));
    let (peer, peer_rate) = describe(pairs.iter().map(|pair| pair.1));
    Row {
        case: case.into(),
        ours,
        peer,
        value: ratio(pairs),
        target,
        more_is_better: false,
        aside: format!("{our_rate} against {peer_rate}"),
    }
}

async fn peer(role: &str, file: &Path) -> Result<Server> {
    let file = file.to_str().context("temporary file")?;
    Server::start(&std::env::current_exe()?, &[role, file]).await
}

/// GET of one entity beside bare hyper with the same bytes and headers; 10,000 GETs over 1,000 entities, Basic.
async fn get_one(plan: &Plan) -> Result<Vec<Row>> {
    let occid = Occid::start(plan).await?;
    occid.create(1_000).await?;
    occid.settle().await?;
    let paths = Arc::new(occid.computes().await?);
    ensure!(paths.len() == 1_000, "{} computes instead of 1000", paths.len());
    let mut rows = Vec::new();
    for accept in ["text/plain", "application/occi+json"] {
        let bytes = occid.data.path().join("answer");
        let mut connection = Connection::open(occid.server.address).await?;
        let answer = connection
            .exchange(occid.request(Method::GET, &paths[0], accept, ""))
            .await?;
        ensure!(answer.status() == 200, "GET answered {}", answer.status());
        let mut text = Vec::new();
        for (name, value) in answer.headers() {
            if !matches!(
                name.as_str(),
                "date" | "content-length" | "connection" | "transfer-encoding"
            ) {
                text.extend_from_slice(format!("{name}: {}\n", value.to_str()?).as_bytes());
            }
        }
        text.push(b'\n');
        text.extend_from_slice(answer.body());
        fs::write(&bytes, text)?;
        let bare = peer("peer-bytes", &bytes).await?;
        let mut pairs = Vec::new();
        for window in 0..=plan.windows {
            let get = |address| {
                let (paths, authorization) = (Arc::clone(&paths), occid.authorization.clone());
                client::load(address, 8, 10_000, 200, move |number| {
                    request(&authorization, Method::GET, &paths[number % paths.len()], accept, "")
                })
            };
            let ours = cost(occid.server.pid(), || get(occid.server.address)).await?;
            let theirs = cost(bare.pid(), || get(bare.address)).await?;
            // The first window warms both.
            if window > 0 {
                pairs.push((ours, theirs));
            }
        }
        rows.push(compare(
            &format!("GET of one entity, {accept}, Basic, against bare hyper"),
            &pairs,
            1.43,
        ));
        bare.stop().await?;
    }
    occid.server.stop().await?;
    Ok(rows)
}

/// A listing of 10,000 full entities beside serde_json from memory, and memory after it.
async fn list_all(plan: &Plan) -> Result<Vec<Row>> {
    const ENTITIES: usize = 10_000;
    let occid = Occid::start(plan).await?;
    occid.create(ENTITIES).await?;
    occid.settle().await?;
    let list = || occid.request(Method::GET, "/compute/", "application/occi+json", "");
    let mut connection = Connection::open(occid.server.address).await?;
    let answer = connection.exchange(list()).await?;
    let file = occid.data.path().join("listing.json");
    fs::write(&file, answer.body())?;
    let serde = peer("peer-json", &file).await?;
    let mut pairs = Vec::new();
    for window in 0..=plan.windows {
        let fetch = |address| {
            let authorization = occid.authorization.clone();
            client::load(address, 1, 3, 200, move |_| {
                request(&authorization, Method::GET, "/compute/", "application/occi+json", "")
            })
        };
        let ours = cost(occid.server.pid(), || fetch(occid.server.address)).await?;
        let theirs = cost(serde.pid(), || fetch(serde.address)).await?;
        if window > 0 {
            pairs.push((ours, theirs));
        }
    }
    serde.stop().await?;
    let listing = compare(
        "listing of 10,000 full entities in JSON, against serde_json from memory",
        &pairs,
        2.0,
    );
    let Occid {
        server,
        authorization,
        data,
    } = occid;
    server.stop().await?;

    // Memory: a fresh process on the same data, 10,000 GETs and one full listing.
    let occid = Occid {
        authorization,
        ..Occid::start_on(plan, data).await?
    };
    let paths = Arc::new(occid.computes().await?);
    let authorization = occid.authorization.clone();
    client::load(occid.server.address, 8, ENTITIES, 200, move |number| {
        request(
            &authorization,
            Method::GET,
            &paths[number % paths.len()],
            "text/plain",
            "",
        )
    })
    .await?;
    let mut connection = Connection::open(occid.server.address).await?;
    connection
        .drain(occid.request(Method::GET, "/compute/", "application/occi+json", ""))
        .await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let resident = megabytes(cpu::resident(occid.server.pid())?);
    occid.server.stop().await?;
    let memory = Row {
        case: "resident memory after 10,000 GETs and one listing, 10,000 entities".into(),
        ours: format!("{resident:.0} MB"),
        peer: "-".into(),
        value: resident,
        target: 60.0,
        more_is_better: false,
        aside: "MB".into(),
    };
    Ok(vec![listing, memory])
}

/// Durable creates by 64 clients beside a loop that writes the same rows with the same indexes in groups of 64.
async fn durable_create(plan: &Plan) -> Result<Row> {
    const CREATES: usize = 2_000;
    let mut pairs = Vec::new();
    for _ in 0..plan.windows {
        let occid = Occid::start(plan).await?;
        // Not part of the window: the first request's password hash, the model, the connections.
        occid.create(64).await?;
        occid.settle().await?;
        let pid = occid.server.pid();
        let before = cpu::used(pid)?;
        let window = occid.create(CREATES).await?;
        let used = cpu::used(pid)? - before;
        occid.settle().await?;
        let Occid { server, data, .. } = occid;
        server.stop().await?;
        let file = data.path().to_owned();
        let theirs = tokio::task::spawn_blocking(move || write_the_same(&file, CREATES)).await??;
        #[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
        let count = CREATES as f64;
        let ours = Cost {
            cpu_us: used.as_secs_f64() * 1e6 / count,
            per_second: count / window.elapsed.as_secs_f64(),
        };
        pairs.push((ours, theirs));
    }
    let mut row = compare(
        "durable creates per second of CPU, 64 clients, against a bare loop of the same rows",
        &pairs,
        0.5,
    );
    row.value = 1.0 / row.value;
    row.more_is_better = true;
    Ok(row)
}

/// From the start of the process to the first authenticated 200, with 100,000 entities stored.
async fn start(plan: &Plan) -> Result<Row> {
    let (occid, _) = Occid::start_seeded(plan, 100_000).await?;
    let Occid {
        server,
        authorization,
        mut data,
    } = occid;
    server.stop().await?;
    let mut times = Vec::new();
    for _ in 0..plan.windows {
        let begin = Instant::now();
        let occid = Occid {
            authorization: authorization.clone(),
            ..Occid::start_on(plan, data).await?
        };
        let mut connection = Connection::open(occid.server.address).await?;
        let answer = connection
            .exchange(occid.request(Method::GET, "/-/", "text/plain", ""))
            .await?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        ensure!(answer.status() == 200, "GET answered {}", answer.status());
        data = occid.data;
        occid.server.stop().await?;
    }
    let milliseconds = median(times);
    Ok(Row {
        case: "start to the first authenticated 200, 100,000 entities".into(),
        ours: format!("{milliseconds:.0} ms"),
        peer: "-".into(),
        value: milliseconds,
        target: 100.0,
        more_is_better: false,
        aside: "ms".into(),
    })
}

/// GETs with a million entities stored, beside GETs of a thousand of the same: a hot set of 10,000, then uniform; and what
/// memory that takes.
async fn million(plan: &Plan) -> Result<Vec<Row>> {
    const GETS: usize = 20_000;
    /// So many GETs all over the million are asked for memory: several times what the cache holds.
    const WALK: usize = 200_000;
    let (few, few_paths) = Occid::start_seeded(plan, 1_000).await?;
    let begin = Instant::now();
    let (many, all) = Occid::start_seeded(plan, 1_000_000).await?;
    eprintln!("a million entities stored in {:.0} s", begin.elapsed().as_secs_f64());
    // A listing of all scopes begins with the process.
    many.settle().await?;
    let fresh = cpu::resident(many.server.pid())?;
    // Every hundredth: neighbours in the order of creation share pages of the database.
    let hot = Arc::new(all.iter().step_by(100).cloned().collect::<Vec<_>>());
    let mut rows = Vec::new();
    for (case, paths, target) in [("hot set of 10,000", hot, 1.3), ("uniform", Arc::clone(&all), 2.5)] {
        let mut pairs = Vec::new();
        for window in 0..=plan.windows {
            // The first window warms both: what is asked for once is not kept.
            let gets = if window == 0 { 4 * GETS } else { GETS };
            let ours = cost(many.server.pid(), || many.get_somewhere(&paths, gets, window)).await?;
            let theirs = cost(few.server.pid(), || few.get_somewhere(&few_paths, gets, window)).await?;
            if window > 0 {
                pairs.push((ours, theirs));
            }
        }
        rows.push(compare(
            &format!("GET, a million entities, {case}, against a thousand"),
            &pairs,
            target,
        ));
    }
    few.server.stop().await?;
    let mut grown = Vec::new();
    for walk in 0..2 {
        many.get_somewhere(&all, WALK, plan.windows + 1 + walk).await?;
        grown.push(megabytes(cpu::resident(many.server.pid())?.saturating_sub(fresh)));
    }
    many.server.stop().await?;
    rows.push(Row {
        case: "memory that 400,000 uniform GETs of a million entities take beyond a fresh start".into(),
        ours: format!("{:.0} MB", grown[1]),
        peer: "-".into(),
        value: grown[1],
        // The default of engine.answer_cache.
        target: megabytes(64 << 20),
        more_is_better: false,
        aside: format!(
            "{:.0} MB after half of them; {:.0} MB at the start",
            grown[0],
            megabytes(fresh)
        ),
    });
    Ok(rows)
}

#[expect(clippy::cast_precision_loss, reason = "memory in MB")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The `number`-th of a sequence that is spread evenly and has no pattern (SplitMix64, without state).
fn scattered(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The database in a data directory.
fn database(directory: &Path) -> Result<PathBuf> {
    fs::read_dir(directory)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|end| end == "db" || end == "sqlite"))
        .context("no database in the data directory")
}

/// Copies the schema of the database in `directory` and writes its rows again, in groups of 64 creates.
fn write_the_same(directory: &Path, creates: usize) -> Result<Cost> {
    let source = database(directory)?;
    let from = rusqlite::Connection::open(&source)?;
    let copy = directory.join("copy-of-rows");
    let mut to = rusqlite::Connection::open(&copy)?;
    to.pragma_update(None, "journal_mode", "WAL")?;
    to.pragma_update(None, "synchronous", "FULL")?;
    let mut tables = Vec::new();
    let mut statement = from.prepare("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type DESC")?;
    let mut schema = statement.query([])?;
    while let Some(row) = schema.next()? {
        let (kind, name, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        to.execute_batch(&sql)?;
        if kind == "table" {
            tables.push(name);
        }
    }
    let mut all = Vec::new();
    for table in tables {
        let mut statement = from.prepare(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let rows = statement
            .query_map([], |row| {
                (0..columns)
                    .map(|column| row.get::<_, rusqlite::types::Value>(column))
                    .collect::<Result<Vec<_>, _>>()
            })?
            .collect::<Result<Vec<_>, _>>()?;
        all.push((
            format!("INSERT INTO {table} VALUES ({})", vec!["?"; columns].join(",")),
            rows,
        ));
    }
    let groups = creates.div_ceil(64);
    let before = thread_cpu()?;
    let begin = Instant::now();
    for group in 0..groups {
        let transaction = to.transaction()?;
        for (insert, rows) in &all {
            let mut statement = transaction.prepare_cached(insert)?;
            for row in &rows[group * rows.len() / groups..(group + 1) * rows.len() / groups] {
                statement.execute(rusqlite::params_from_iter(row))?;
            }
        }
        transaction.commit()?;
    }
    let elapsed = begin.elapsed();
    let used = thread_cpu()? - before;
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
    let count = creates as f64;
    Ok(Cost {
        cpu_us: used.as_secs_f64() * 1e6 / count,
        per_second: count / elapsed.as_secs_f64(),
    })
}

/// The CPU time of this thread.
fn thread_cpu() -> Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().context("no schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
