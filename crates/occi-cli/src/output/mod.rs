//! Results on stdout: for people in aligned columns, for machines in stable forms. Everything else goes to stderr.
//!
//! What is printed is a [`Record`]: one JSON object, from which every form is made. Listings are printed as they come,
//! but for those forms that need to see all of it (columns, a sorted list, an expression).

mod cell;
mod detail;
mod record;

pub(crate) use cell::{Column, Look};
pub(crate) use record::Record;

use crate::args::Global;
use crate::failure::{Exit, Failure, Result};
use crate::words;
use comfy_table::{Cell, ContentArrangement, Table, presets};
use occi_model::infrastructure::USERDATA;
use serde_json::Value as Json;
use serde_json_path::JsonPath;
use std::cmp::Ordering;
use std::fmt::Display;
use std::io::{BufWriter, IsTerminal, Write};
use std::str::FromStr;

/// What people see instead of what often holds passwords.
pub(crate) const NOT_SHOWN: &str = "(not shown)";

/// Whether an attribute is what a machine runs at its first boot.
pub(crate) fn is_user_data(attribute: &str) -> bool {
    attribute == USERDATA || attribute.starts_with("org.openstack.compute.user_data")
}

/// How to print.
#[derive(Clone, Debug, Default)]
pub(crate) enum Format {
    /// Aligned columns, or one thing in detail.
    #[default]
    Table,
    /// The same with more columns.
    Wide,
    /// One array, or one object.
    Json,
    /// The same in YAML.
    Yaml,
    /// The columns, with a line of headings (RFC 4180).
    Csv,
    /// What names a thing, one a line.
    Name,
    /// JSON of OCCI 1.2 (GFD.226).
    Occi,
    /// What an expression finds in the JSON (RFC 9535), one a line.
    JsonPath(Box<JsonPath>),
}

impl Format {
    /// What there is, as it is written; the last wants an expression.
    pub(crate) const NAMES: [&str; 8] = ["table", "wide", "json", "yaml", "csv", "name", "occi", "jsonpath="];

    /// Whether there is a choice of columns.
    pub(crate) fn has_columns(&self) -> bool {
        matches!(self, Self::Table | Self::Wide | Self::Csv)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "table" => Self::Table,
            "wide" => Self::Wide,
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            "csv" => Self::Csv,
            "name" => Self::Name,
            "occi" => Self::Occi,
            _ => match text.strip_prefix("jsonpath=") {
                Some(expression) => Self::JsonPath(Box::new(json_path(expression)?)),
                None => {
                    return Err("the formats are table, wide, json, yaml, csv, name, occi and \
                                jsonpath=EXPRESSION"
                        .to_owned());
                }
            },
        })
    }
}

/// `$[*].id`; kubectl's `{.items[*].id}` is understood too: its braces, its list, and the dollar that it leaves out.
fn json_path(expression: &str) -> Result<JsonPath, String> {
    let bare = expression.trim();
    let bare = bare
        .strip_prefix('{')
        .and_then(|bare| bare.strip_suffix('}'))
        .unwrap_or(bare);
    if bare.is_empty() {
        return Err("an expression is for example $[*].id".to_owned());
    }
    let whole = match (bare.strip_prefix(".items["), bare.starts_with('$')) {
        (Some(rest), _) => format!("$[{rest}"),
        (None, true) => bare.to_owned(),
        (None, false) => format!("${bare}"),
    };
    JsonPath::parse(&whole).map_err(|error| format!("{whole:?} is no JSONPath: {error}"))
}

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR says otherwise.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl Color {
    /// From now on.
    pub(crate) fn apply(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Where results go.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            format: global.output.clone().unwrap_or_default(),
            quiet: global.quiet,
        }
    }

    /// Whether people read it.
    pub(crate) fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// A remark for people, on stderr.
    pub(crate) fn note(&self, words: impl AsRef<str>) {
        if !self.quiet {
            words::say(words);
        }
    }

    /// One thing.
    pub(crate) fn show(&self, record: &Record) -> Result<()> {
        let mut out = stdout();
        let written = match &self.format {
            Format::Table | Format::Wide => out.write_all(detail::of(&record.json).as_bytes()),
            Format::Json => writeln!(out, "{}", words::json(format!("{:#}", record.json))),
            Format::Yaml => write!(out, "{}", yaml(&record.json)?),
            Format::Csv => {
                let json = record.json.as_object().cloned().unwrap_or_default();
                let names: Vec<String> = json.keys().cloned().collect();
                let cells = json.values().map(cell::plain);
                csv_line(&mut out, names).and_then(|()| csv_line(&mut out, cells))
            }
            Format::Name => writeln!(out, "{}", words::one_line(&record.name)),
            Format::Occi => writeln!(out, "{}", words::json(format!("{:#}", record.occi))),
            Format::JsonPath(path) => write_found(&mut out, path, &record.json),
        };
        flushed(out, written)
    }

    /// What came of so many things: the only one itself, of several one list, of nothing nothing.
    pub(crate) fn show_all(&self, records: Vec<Record>, is_one: bool) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        if let ([only], true) = (records.as_slice(), is_one) {
            return self.show(only);
        }
        if self.is_for_people() {
            for (place, record) in records.iter().enumerate() {
                if place > 0 {
                    self.text("\n")?;
                }
                self.show(record)?;
            }
            return Ok(());
        }
        let names: &[&str] = match records.iter().any(|record| record.json.get("would").is_some()) {
            true => &["would", "name", "location"],
            false => &["id", "title"],
        };
        let columns = names.iter().map(|name| Column::new(name, Look::Plain)).collect();
        let mut listing = self.list(columns, None);
        for record in records {
            listing.push(record)?;
        }
        listing.finish()
    }

    /// Says what would be done: people a line, machines `what` with the members `would`, `name`, and `location` if there is
    /// one.
    pub(crate) fn would(&self, line: impl Display, what: Json) -> Result<Vec<Record>> {
        if self.is_for_people() {
            self.text(&format!("would {line}\n"))?;
            return Ok(Vec::new());
        }
        let name = what.get("location").or_else(|| what.get("name"));
        let name = name.and_then(Json::as_str).unwrap_or_default().to_owned();
        Ok(vec![Record::other(name, what)])
    }

    /// Many things.
    pub(crate) fn list(&self, columns: Vec<Column>, sort: Option<Sort>) -> Listing {
        let columns = match self.format {
            Format::Wide => columns,
            _ => columns.into_iter().filter(|column| !column.is_wide).collect(),
        };
        Listing {
            format: self.format.clone(),
            quiet: self.quiet,
            columns,
            sort,
            limit: usize::MAX,
            held: Vec::new(),
            rows: Vec::new(),
            links: Vec::new(),
            count: 0,
            out: stdout(),
        }
    }

    /// Lines, whoever wrote what is in them.
    pub(crate) fn text(&self, text: &str) -> Result<()> {
        self.painted(&words::lines(text))
    }

    /// Lines with colours of ours.
    pub(crate) fn painted(&self, text: &str) -> Result<()> {
        let mut out = stdout();
        let written = out.write_all(text.as_bytes());
        flushed(out, written)
    }

    /// Bytes as they are, on a terminal too.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(bytes);
        flushed(out, written)
    }

    /// What a server said, as it is; on a terminal, as lines.
    pub(crate) fn said(&self, bytes: &[u8]) -> Result<()> {
        match std::io::stdout().is_terminal() {
            true => {
                let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
                self.bytes(words::lines(&text).as_bytes())
            }
            false => self.bytes(bytes),
        }
    }
}

/// By which column, and which way.
#[derive(Clone, Debug)]
pub(crate) struct Sort {
    pub(crate) column: Column,
    pub(crate) descending: bool,
}

impl Sort {
    fn compare(&self, one: &Record, other: &Record) -> Ordering {
        let value = |record: &Record| self.column.value(&record.json).cloned().unwrap_or(Json::Null);
        let ordering = match (value(one), value(other)) {
            (Json::Number(one), Json::Number(other)) => {
                let number = |number: serde_json::Number| number.as_f64().unwrap_or_default();
                number(one).total_cmp(&number(other))
            }
            (one, other) => cell::plain(&one).cmp(&cell::plain(&other)),
        };
        match self.descending {
            true => ordering.reverse(),
            false => ordering,
        }
    }
}

/// A listing in the making.
pub(crate) struct Listing {
    format: Format,
    quiet: bool,
    columns: Vec<Column>,
    sort: Option<Sort>,
    limit: usize,
    /// What is kept until all has been seen.
    held: Vec<Record>,
    rows: Vec<Vec<Cell>>,
    /// The links among what is printed as OCCI, which come after the resources.
    links: Vec<Json>,
    count: usize,
    out: Out,
}

impl Listing {
    /// No more than so many: of a sorted list the first.
    pub(crate) fn limited(mut self, limit: Option<usize>) -> Self {
        self.limit = limit.unwrap_or(usize::MAX);
        self
    }

    /// Whether nothing more can come into it.
    pub(crate) fn is_full(&self) -> bool {
        self.sort.is_none() && self.count.max(self.held.len()) >= self.limit
    }

    /// The next thing.
    pub(crate) fn push(&mut self, record: Record) -> Result<()> {
        if self.is_full() {
            return Ok(());
        }
        if self.sort.is_some() || matches!(self.format, Format::JsonPath(_)) {
            self.held.push(record);
            return Ok(());
        }
        self.print(record)
    }

    fn print(&mut self, record: Record) -> Result<()> {
        let is_first = self.count == 0;
        self.count += 1;
        let out = &mut self.out;
        let written = match &self.format {
            Format::Table | Format::Wide => {
                let cells = self.columns.iter().map(|column| column.cell(&record.json));
                self.rows.push(cells.collect());
                Ok(())
            }
            Format::Json => {
                let text = words::json(format!("{:#}", record.json)).replace('\n', "\n  ");
                write!(out, "{}  {text}", if is_first { "[\n" } else { ",\n" })
            }
            Format::Yaml => write!(out, "{}", yaml(&Json::Array(vec![record.json]))?),
            Format::Csv => {
                let headings = self.columns.iter().map(|column| column.name.clone());
                let head = match is_first {
                    true => csv_line(out, headings),
                    false => Ok(()),
                };
                let cells = self.columns.iter().map(|column| column.text(&record.json));
                head.and_then(|()| csv_line(out, cells))
            }
            Format::Name => writeln!(out, "{}", words::one_line(&record.name)),
            Format::Occi if record.is_link => {
                self.links.push(record.occi);
                Ok(())
            }
            Format::Occi => {
                let before = match self.count - self.links.len() {
                    1 => "{\"resources\":[\n",
                    _ => ",\n",
                };
                write!(out, "{before}{}", words::json(record.occi.to_string()))
            }
            Format::JsonPath(_) => Ok(()),
        };
        written.map_err(stdout_failure)
    }

    /// The end, also if not all has come: what has been printed is whole, and the failure says that there is more.
    pub(crate) fn finish_after(self, ended: Result<()>) -> Result<()> {
        let is_begun = self.count > 0 && matches!(self.format, Format::Json | Format::Occi);
        match ended {
            Err(failure) if is_begun => self.finish().and(Err(failure)),
            Err(failure) => Err(failure),
            Ok(()) => self.finish(),
        }
    }

    /// The end. Says so if there was nothing.
    pub(crate) fn finish(mut self) -> Result<()> {
        if let Format::JsonPath(path) = &self.format {
            if let Some(sort) = &self.sort {
                self.held.sort_by(|one, other| sort.compare(one, other));
            }
            let all = Json::Array(
                self.held
                    .into_iter()
                    .take(self.limit)
                    .map(|record| record.json)
                    .collect(),
            );
            let written = write_found(&mut self.out, path, &all);
            return flushed(self.out, written);
        }
        if let Some(sort) = self.sort.take() {
            let mut held = std::mem::take(&mut self.held);
            held.sort_by(|one, other| sort.compare(one, other));
            for record in held.into_iter().take(self.limit) {
                self.print(record)?;
            }
        }
        let out = &mut self.out;
        let written = match &self.format {
            Format::Table | Format::Wide if self.rows.is_empty() => {
                if !self.quiet {
                    words::say("there is nothing");
                }
                Ok(())
            }
            Format::Table | Format::Wide => {
                let headings = self.columns.iter().map(|column| column.heading());
                writeln!(out, "{}", table(headings.collect(), std::mem::take(&mut self.rows)))
            }
            Format::Json if self.count == 0 => writeln!(out, "[]"),
            Format::Json => writeln!(out, "\n]"),
            Format::Yaml if self.count == 0 => writeln!(out, "[]"),
            Format::Csv if self.count == 0 => csv_line(out, self.columns.iter().map(|column| column.name.clone())),
            Format::Occi => {
                let begun = match self.count - self.links.len() {
                    0 => "{\"resources\":[",
                    _ => "\n",
                };
                let links: Vec<_> = self.links.iter().map(|link| words::json(link.to_string())).collect();
                match links.is_empty() {
                    true => writeln!(out, "{begun}]}}"),
                    false => writeln!(out, "{begun}],\"links\":[\n{}\n]}}", links.join(",\n")),
                }
            }
            _ => Ok(()),
        };
        flushed(self.out, written)
    }
}

/// Columns two spaces apart, nothing cut.
pub(crate) fn table(headings: Vec<String>, rows: Vec<Vec<Cell>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .enforce_styling();
    table.style_text_only();
    if !headings.is_empty() {
        table.set_header(headings);
    }
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn yaml(json: &Json) -> Result<String> {
    serde_saphyr::to_string(json)
        .map_err(|error| Failure::new(Exit::Failure, format!("this cannot be written as YAML: {error}")))
}

fn csv_line(out: &mut impl Write, cells: impl IntoIterator<Item = String>) -> std::io::Result<()> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    let cells = cells.into_iter().map(|cell| words::lines(&cell));
    writer.write_record(cells).map_err(std::io::Error::other)?;
    let line = writer
        .into_inner()
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    out.write_all(&line)
}

/// Text without quotes, everything else as JSON.
fn write_found(out: &mut impl Write, path: &JsonPath, json: &Json) -> std::io::Result<()> {
    for found in path.query(json).all() {
        match found {
            Json::String(text) => writeln!(out, "{}", words::lines(text))?,
            found => writeln!(out, "{}", words::json(found.to_string()))?,
        }
    }
    Ok(())
}

type Out = BufWriter<anstream::AutoStream<std::io::Stdout>>;

fn stdout() -> Out {
    BufWriter::with_capacity(1 << 16, anstream::stdout())
}

fn flushed(mut out: impl Write, written: std::io::Result<()>) -> Result<()> {
    written.and_then(|()| out.flush()).map_err(stdout_failure)
}

/// Who does not want to read on has what he wanted: the end is that of every program whose reader has gone.
fn stdout_failure(error: std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(128 + 13);
    }
    Failure::new(Exit::Failure, format!("stdout: {error}"))
}
