//! What a command needs of a database. Every command and reading is written once on top of this; each engine brings
//! its own [`Tx`].

use crate::json::{corrupt, type_id};
use crate::row::Audit;
use crate::{Result, StoreError};
use occi_model::{EntityId, TypeId};
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::str::FromStr;
use uuid::Uuid;

/// After so many bytes of text a reading of many rows ends.
pub(crate) const READING: usize = 4 << 20;

/// A transaction, or a connection that only reads.
///
/// SQL is in the common subset of both databases; placeholders are `?1`, `?2`, ... On SQLite the futures never pend.
pub(crate) trait Tx: Send {
    /// Whether other writers may be at work: then rows have to be locked before they are judged.
    const SHARED: bool;

    /// Carries out a statement that returns rows, and takes no more of them once they hold more than `bytes` of text. Says
    /// how much they hold: there may be more rows if that is more than `bytes`.
    fn rows_within<R, F>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        bytes: usize,
        decode: F,
    ) -> impl Future<Output = Result<(Vec<R>, usize)>> + Send
    where
        R: Send,
        F: FnMut(&mut Cells<'_>) -> Result<R> + Send;

    /// Carries out a statement, and says how many rows it changed.
    fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> impl Future<Output = Result<u64>> + Send;

    /// The database's clock, in milliseconds since 1970.
    fn now_ms(&mut self) -> impl Future<Output = Result<i64>> + Send;

    /// Keeps other writers from these rows until the end of the transaction. Nothing to do where there is one writer.
    fn lock(&mut self, locks: Locks) -> impl Future<Output = Result<()>> + Send;

    /// All rows.
    fn rows<R, F>(&mut self, sql: &str, params: &[Param<'_>], decode: F) -> impl Future<Output = Result<Vec<R>>> + Send
    where
        R: Send,
        F: FnMut(&mut Cells<'_>) -> Result<R> + Send,
    {
        let rows = self.rows_within(sql, params, usize::MAX, decode);
        async { Ok(rows.await?.0) }
    }

    /// The first row, if there is one.
    fn row<R, F>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        decode: F,
    ) -> impl Future<Output = Result<Option<R>>> + Send
    where
        R: Send,
        F: FnMut(&mut Cells<'_>) -> Result<R> + Send,
    {
        let rows = self.rows(sql, params, decode);
        async { Ok(rows.await?.into_iter().next()) }
    }
}

/// The rows that a command judges, by their keys. Locked in this order, each kind sorted, so that commands wait for each
/// other and do not deadlock.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    pub(crate) projects: Vec<String>,
    pub(crate) accounts: Vec<String>,
    pub(crate) entities: Vec<String>,
    pub(crate) operations: Vec<String>,
}

/// A value that changes the store, carried out in one transaction.
pub(crate) trait Command: Send + Sync + 'static {
    /// What it answers.
    type Output: Send + 'static;

    /// Does it. When it refuses, everything it did is undone.
    fn run<T: Tx>(&self, tx: &mut T) -> impl Future<Output = Result<Self::Output>> + Send;

    /// What is written even if it refuses; [`Command::run`] writes it itself when it does not.
    fn audit(&self) -> &[Audit] {
        &[]
    }
}

/// The value of a placeholder.
#[derive(Clone, Debug)]
pub(crate) enum Param<'a> {
    Text(Option<Cow<'a, str>>),
    Int(Option<i64>),
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }
}
impl<'a> From<&'a String> for Param<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }
}
impl From<String> for Param<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(Cow::Owned(text)))
    }
}
impl<'a> From<&'a EntityId> for Param<'a> {
    fn from(id: &'a EntityId) -> Self {
        id.as_str().into()
    }
}
impl<'a> From<&'a TypeId> for Param<'a> {
    fn from(id: &'a TypeId) -> Self {
        id.as_str().into()
    }
}
impl From<Uuid> for Param<'_> {
    fn from(id: Uuid) -> Self {
        id.hyphenated().to_string().into()
    }
}
impl From<i64> for Param<'_> {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}
impl From<bool> for Param<'_> {
    fn from(truth: bool) -> Self {
        i64::from(truth).into()
    }
}
impl From<Option<i64>> for Param<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}
macro_rules! optional_text {
    ($($from:ty),*) => {$(
        impl<'a> From<Option<$from>> for Param<'a> {
            fn from(text: Option<$from>) -> Self {
                text.map_or(Self::Text(None), Self::from)
            }
        }
    )*};
}
optional_text!(&'a str, &'a String, String, &'a EntityId, &'a TypeId, Uuid);

/// A slice of [`Param`]s.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::tx::Param::from($value)),*] };
}
pub(crate) use params;

/// `(?n, ?n+1, ...)` for a list of values, and the values appended. The list is filled up with its last value to a
/// power of four, so that few different statements have to be prepared.
pub(crate) fn in_list<'a>(params: &mut Vec<Param<'a>>, values: impl IntoIterator<Item = Param<'a>>) -> String {
    let first = params.len() + 1;
    params.extend(values);
    let count = params.len() + 1 - first;
    let mut full = 1;
    while full < count {
        full *= 4;
    }
    match params.last().cloned() {
        Some(last) if count > 0 => params.extend(std::iter::repeat_n(last, full - count)),
        _ => return "(NULL)".to_owned(),
    }
    let mut text = String::from("(");
    for number in first..=params.len() {
        text.push_str(if number == first { "?" } else { ", ?" });
        text.push_str(&number.to_string());
    }
    text.push(')');
    text
}

/// A row as a database gives it.
pub(crate) trait Columns {
    /// A text, or nothing.
    fn text(&self, index: usize) -> Result<Option<&str>>;
    /// A number, or nothing.
    fn int(&self, index: usize) -> Result<Option<i64>>;
}

/// A row, read column by column from left to right.
pub(crate) struct Cells<'r> {
    row: &'r dyn Columns,
    next: usize,
    /// How much text was read.
    pub(crate) bytes: usize,
}

impl<'r> Cells<'r> {
    pub(crate) fn new(row: &'r dyn Columns) -> Self {
        Self { row, next: 0, bytes: 0 }
    }

    fn step(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    pub(crate) fn opt_text(&mut self) -> Result<Option<&'r str>> {
        let index = self.step();
        let text = self.row.text(index)?;
        self.bytes += text.map_or(0, str::len);
        Ok(text)
    }

    pub(crate) fn opt_int(&mut self) -> Result<Option<i64>> {
        let index = self.step();
        self.row.int(index)
    }

    pub(crate) fn text(&mut self) -> Result<&'r str> {
        self.opt_text()?
            .ok_or_else(|| StoreError::Corrupt(format!("no text in column {}", self.next)))
    }

    pub(crate) fn int(&mut self) -> Result<i64> {
        self.opt_int()?
            .ok_or_else(|| StoreError::Corrupt(format!("no number in column {}", self.next)))
    }

    pub(crate) fn string(&mut self) -> Result<String> {
        self.text().map(str::to_owned)
    }

    pub(crate) fn opt_string(&mut self) -> Result<Option<String>> {
        Ok(self.opt_text()?.map(str::to_owned))
    }

    pub(crate) fn truth(&mut self) -> Result<bool> {
        Ok(self.int()? != 0)
    }

    /// Something that is read from its text.
    pub(crate) fn parse<V: FromStr<Err: fmt::Display>>(&mut self) -> Result<V> {
        self.text()?.parse().map_err(corrupt)
    }

    pub(crate) fn opt_parse<V: FromStr<Err: fmt::Display>>(&mut self) -> Result<Option<V>> {
        self.opt_text()?.map(|text| text.parse().map_err(corrupt)).transpose()
    }

    pub(crate) fn type_id(&mut self) -> Result<TypeId> {
        type_id(self.text()?)
    }

    pub(crate) fn opt_type_id(&mut self) -> Result<Option<TypeId>> {
        self.opt_text()?.map(type_id).transpose()
    }

    pub(crate) fn json(&mut self) -> Result<serde_json::Value> {
        serde_json::from_str(self.text()?).map_err(corrupt)
    }

    pub(crate) fn opt_json(&mut self) -> Result<Option<serde_json::Value>> {
        self.opt_text()?
            .map(|text| serde_json::from_str(text).map_err(corrupt))
            .transpose()
    }
}
