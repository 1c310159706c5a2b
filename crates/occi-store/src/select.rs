//! Selections of entities.
//!
//! A selection is a union of branches, one per project whose entities the reader sees and one for what is shared with
//! them; each branch walks one index in the order of creation, so that a page costs what it holds. Which index is
//! decided here and not by the databases' planners: conditions that only filter are written so that no index serves
//! them (`kind || '' = ...`). Attributes without an index are compared in Rust, where `1` equals `1.0`.

use crate::Result;
use crate::codec::{self, ENTITY, LISTED, TITLE, TITLE_CHARS};
use crate::query::{EntityQuery, Sees};
use crate::row::{EntityRow, Listed};
use crate::tx::{Param, READING, Tx, in_list};
use occi_model::{EntityId, Value};
use std::collections::BTreeSet;

/// So many projects get a branch of their own; readers with more of them filter.
const BRANCHES: usize = 16;

/// So many rows are read at a time when they have to be compared here.
const BATCH: u32 = 500;

/// A page.
pub(crate) async fn select<T: Tx>(tx: &mut T, query: &EntityQuery) -> Result<Vec<EntityRow>> {
    let statement = Statement::new(query);
    if statement.compares() {
        return compared(tx, &statement, READING, |row| row).await;
    }
    let (sql, params) = statement.page(ENTITY, statement.begin(), query.limit, query.offset);
    let (page, _) = tx.rows_within(&sql, &params, READING, codec::entity).await?;
    Ok(page)
}

/// The same page, in short.
pub(crate) async fn list<T: Tx>(tx: &mut T, query: &EntityQuery) -> Result<Vec<Listed>> {
    let statement = Statement::new(query);
    if statement.compares() {
        return compared(tx, &statement, usize::MAX, Listed::from).await;
    }
    let (sql, params) = statement.page(LISTED, statement.begin(), query.limit, query.offset);
    tx.rows(&sql, &params, codec::listed).await
}

/// A page whose rows have to be compared here, each as `kept` makes it. It ends early when the rows that it was found
/// among held more than `bytes`.
async fn compared<T: Tx, R: Send>(
    tx: &mut T,
    statement: &Statement<'_>,
    bytes: usize,
    kept: impl Fn(EntityRow) -> R + Send + Sync,
) -> Result<Vec<R>> {
    let EntityQuery { offset, limit, .. } = statement.query;
    let (mut after, mut skip, limit) = (statement.begin(), *offset, *limit as usize);
    let (mut page, mut held) = (Vec::new(), 0);
    while page.len() < limit && held <= bytes {
        let (rows, taken) = statement.batch(tx, after).await?;
        let last = rows.last().map(|row| row.seq);
        let before = page.len();
        for row in rows.into_iter().filter(|row| statement.matches(row)) {
            match skip {
                0 => page.push(kept(row)),
                _ => skip -= 1,
            }
        }
        if page.len() > before {
            held += taken;
        }
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    page.truncate(limit);
    Ok(page)
}

/// How many there are; `after`, `offset` and `limit` do not count.
pub(crate) async fn count<T: Tx>(tx: &mut T, query: &EntityQuery) -> Result<u64> {
    let statement = Statement::new(query);
    if !statement.compares() {
        let (sql, params) = statement.count();
        let counted = tx.row(&sql, &params, |cells| cells.int()).await?.unwrap_or_default();
        return Ok(u64::try_from(counted).unwrap_or_default());
    }
    let (mut after, mut matching) = (0, 0);
    loop {
        let (rows, _) = statement.batch(tx, after).await?;
        matching += rows.iter().filter(|row| statement.matches(row)).count() as u64;
        match rows.last() {
            Some(last) => after = last.seq,
            None => return Ok(matching),
        }
    }
}

/// Whose entities a branch reads.
#[derive(Clone, Copy)]
enum Whose<'q> {
    Everybodys,
    Of(&'q str),
    /// Shared with these projects or with everybody, and of none of them.
    SharedWith(&'q [String]),
}

struct Statement<'q> {
    query: &'q EntityQuery,
    branches: Vec<Whose<'q>>,
    /// Columns and what they equal, those whose index leads to fewest rows first.
    columns: Vec<(&'static str, &'q str)>,
    /// Links: an end, and the path or id of the entity there, or somebody else's URI.
    ends: Vec<(End, &'q str)>,
    state: Option<&'q str>,
    target_kind: Option<&'q str>,
    /// Attributes that are compared here.
    compared: Vec<(&'q str, &'q Value)>,
}

#[derive(Clone, Copy)]
enum End {
    Source,
    Target,
}

impl<'q> Statement<'q> {
    fn new(query: &'q EntityQuery) -> Self {
        let branches = match (&query.sees, &query.project) {
            (Sees::All, None) => vec![Whose::Everybodys],
            (Sees::All, Some(project)) => vec![Whose::Of(project)],
            (Sees::Projects(seen), Some(project)) if seen.contains(project) => vec![Whose::Of(project)],
            (Sees::Projects(seen), Some(_)) => vec![Whose::SharedWith(seen)],
            (Sees::Projects(seen), None) => {
                let own: BTreeSet<&str> = seen.iter().map(String::as_str).collect();
                own.into_iter()
                    .map(Whose::Of)
                    .chain([Whose::SharedWith(seen)])
                    .collect()
            }
        };
        let mut statement = Self {
            query,
            branches,
            columns: Vec::new(),
            ends: Vec::new(),
            state: None,
            target_kind: None,
            compared: Vec::new(),
        };
        for (name, value) in &query.attributes {
            match (name.as_str(), value.as_str()) {
                ("occi.core.id", Some(id)) => {
                    statement.columns.insert(0, ("e.id", EntityId::bare(id)));
                }
                // The column has the beginning of a longer one.
                (TITLE, Some(title)) if title.chars().count() < TITLE_CHARS => {
                    statement.columns.push(("e.title", title));
                }
                ("occi.core.source", Some(place)) => statement.ends.push((End::Source, place)),
                ("occi.core.target", Some(place)) => statement.ends.push((End::Target, place)),
                ("occi.core.target.kind", Some(kind)) if statement.target_kind.is_none() => {
                    statement.target_kind = Some(kind);
                }
                (name, Some(state)) if statement.is_state(name) => statement.state = Some(state),
                (name, _) => statement.compared.push((name, value)),
            }
        }
        statement
    }

    /// Whether this is the attribute that [`EntityRow::state`] repeats, for the one kind that is asked for:
    /// `occi.compute.state` and the like.
    fn is_state(&self, name: &str) -> bool {
        let term = name.strip_prefix("occi.").and_then(|rest| rest.strip_suffix(".state"));
        matches!((self.query.kinds.as_slice(), term), ([kind], Some(term)) if kind.term() == term)
            && self.state.is_none()
    }

    /// The row after which it begins.
    fn begin(&self) -> i64 {
        self.query.after.map_or(0, |cursor| cursor.0)
    }

    /// Whether rows have to be compared here.
    fn compares(&self) -> bool {
        !(self.compared.is_empty() && self.query.contains.is_empty())
    }

    fn page(&self, columns: &str, after: i64, limit: u32, offset: u64) -> (String, Vec<Param<'q>>) {
        let mut params = Vec::new();
        let mut sql = self.union(columns, Some(after), &mut params);
        params.push(i64::from(limit).into());
        sql.push_str(&format!(" ORDER BY seq LIMIT ?{}", params.len()));
        if offset > 0 {
            params.push(i64::try_from(offset).unwrap_or(i64::MAX).into());
            sql.push_str(&format!(" OFFSET ?{}", params.len()));
        }
        (sql, params)
    }

    /// Rows to compare, and how much they hold; none at the end.
    async fn batch<T: Tx>(&self, tx: &mut T, after: i64) -> Result<(Vec<EntityRow>, usize)> {
        let (sql, params) = self.page(ENTITY, after, BATCH, 0);
        tx.rows_within(&sql, &params, READING, codec::entity).await
    }

    fn count(&self) -> (String, Vec<Param<'q>>) {
        let mut params = Vec::new();
        let union = self.union("e.seq", None, &mut params);
        (format!("SELECT COUNT(*) FROM ({union}) counted"), params)
    }

    fn union(&self, columns: &str, after: Option<i64>, params: &mut Vec<Param<'q>>) -> String {
        // Everybody's and shared entities are at most one branch each: only a reader's own projects are many.
        let own = self
            .branches
            .iter()
            .filter(|whose| matches!(whose, Whose::Of(_)))
            .count();
        if let (true, Sees::Projects(seen)) = (own > BRANCHES, &self.query.sees) {
            let mut sql = self.branch(columns, Whose::Everybodys, after, params);
            let list = in_list(params, seen.iter().map(Param::from));
            let shared = in_list(params, seen.iter().map(Param::from).chain([Param::from("")]));
            sql.push_str(&format!(
                " AND (e.project IN {list} OR e.seq IN (SELECT entity_seq FROM share WHERE project IN {shared}))"
            ));
            return sql;
        }
        let branches: Vec<String> = self
            .branches
            .iter()
            .map(|whose| self.branch(columns, *whose, after, params))
            .collect();
        branches.join(" UNION ALL ")
    }

    /// One walk along one index: the first condition that has one leads, in this order.
    fn branch(&self, columns: &str, whose: Whose<'q>, after: Option<i64>, params: &mut Vec<Param<'q>>) -> String {
        let mut where_ = Conditions {
            sql: String::new(),
            params,
            led: false,
        };
        let (mut from, mut seq) = ("entity e", "e.seq");
        if !self.query.among.is_empty() {
            let list = in_list(where_.params, self.query.among.iter().map(|seq| Param::from(*seq)));
            where_.lead(&format!("e.seq IN {list}"));
        }
        for (column, value) in &self.columns {
            where_.equal(&[(column, value)]);
        }
        for (end, place) in &self.ends {
            if let (End::Target, true) = (end, place.contains("://")) {
                let number = where_.push(*place);
                where_.add(&format!("e.target = ?{number}"));
                continue;
            }
            let column = match end {
                End::Source => "e.source",
                End::Target => "e.target_id",
            };
            let (folder, id) = codec::split(place);
            let number = where_.push(id);
            where_.lead(&format!("{column} = ?{number}"));
            if !folder.is_empty() {
                let folder = where_.push(folder);
                where_.add(&format!(
                    "EXISTS (SELECT 1 FROM entity p WHERE p.id = ?{number} AND p.folder = ?{folder})"
                ));
            }
        }
        if let Whose::SharedWith(seen) = whose {
            let list = in_list(where_.params, seen.iter().map(Param::from).chain([Param::from("")]));
            where_.lead(&format!(
                "e.seq IN (SELECT s.entity_seq FROM share s WHERE s.project IN {list})"
            ));
            if !seen.is_empty() {
                let list = in_list(where_.params, seen.iter().map(Param::from));
                where_.add(&format!("e.project NOT IN {list}"));
            }
            if let Some(project) = &self.query.project {
                where_.equal(&[("e.project", project)]);
            }
        }
        for group in &self.query.mixins {
            if let ([mixin], false) = (group.as_slice(), where_.led) {
                (from, seq) = ("entity_mixin m CROSS JOIN entity e", "m.entity_seq");
                let number = where_.push(mixin.as_str());
                where_.lead(&format!("m.mixin = ?{number} AND e.seq = m.entity_seq"));
            } else {
                let list = in_list(where_.params, group.iter().map(Param::from));
                where_.add(&format!(
                    "EXISTS (SELECT 1 FROM entity_mixin x WHERE x.mixin IN {list} AND x.entity_seq = e.seq)"
                ));
            }
        }
        if let ([kind], Some(state)) = (self.query.kinds.as_slice(), self.state) {
            where_.equal(&[("e.kind", kind.as_str()), ("e.state", state)]);
        }
        if let Whose::Of(project) = whose {
            where_.equal(&[("e.project", project)]);
        }
        match (self.query.kinds.as_slice(), self.state) {
            ([], _) | ([_], Some(_)) => {}
            ([kind], None) => where_.equal(&[("e.kind", kind.as_str())]),
            (kinds, _) => {
                let list = in_list(where_.params, kinds.iter().map(|kind| Param::from(kind.as_str())));
                where_.add(&format!("e.kind || '' IN {list}"));
            }
        }
        if let Some(below) = self.query.below.as_deref().filter(|below| *below != "/") {
            // The folder of a path that starts with `below` does too. All texts that start with it are smaller than this one: '0' follows '/'.
            let (low, high) = (
                where_.push(below),
                where_.push(format!("{}0", below.trim_end_matches('/'))),
            );
            let folder = if where_.led { "e.folder || ''" } else { "e.folder" };
            where_.lead(&format!("{folder} >= ?{low} AND {folder} < ?{high}"));
        }
        if let Some(kind) = self.target_kind {
            let number = where_.push(kind);
            where_.add(&format!("e.target_kind = ?{number}"));
        }
        if let Some(after) = after {
            let number = where_.push(after);
            where_.add(&format!("{seq} > ?{number}"));
        }
        format!("SELECT {columns} FROM {from} WHERE e.hidden = 0{}", where_.sql)
    }

    fn matches(&self, row: &EntityRow) -> bool {
        self.compared
            .iter()
            .all(|(name, wanted)| row.attributes.get(name) == Some(*wanted))
            && self.query.contains.iter().all(|(name, part)| holds(row, name, part))
    }
}

/// Conditions joined by AND. The first on an indexed column leads: its index is walked, all others filter.
struct Conditions<'p, 'q> {
    sql: String,
    params: &'p mut Vec<Param<'q>>,
    led: bool,
}

impl<'q> Conditions<'_, 'q> {
    fn push(&mut self, value: impl Into<Param<'q>>) -> usize {
        self.params.push(value.into());
        self.params.len()
    }

    fn add(&mut self, condition: &str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
    }

    fn lead(&mut self, condition: &str) {
        self.add(condition);
        self.led = true;
    }

    /// Leads with these columns of one index, if nothing leads yet.
    fn equal(&mut self, columns: &[(&str, &'q str)]) {
        for (column, value) in columns {
            let number = self.push(*value);
            let filters = if self.led { " || ''" } else { "" };
            self.add(&format!("{column}{filters} = ?{number}"));
        }
        self.led = true;
    }
}

fn holds(row: &EntityRow, name: &str, part: &str) -> bool {
    match name {
        "occi.core.id" => row.id.as_str().contains(part),
        "occi.core.source" => row.source.as_ref().is_some_and(|id| id.as_str().contains(part)),
        "occi.core.target" => row.target.as_ref().is_some_and(|end| end.location.contains(part)),
        _ => row
            .attributes
            .get(name)
            .and_then(Value::as_str)
            .is_some_and(|text| text.contains(part)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use occi_model::TypeId;

    /// How SQLite walks; the plan is the one that a store without statistics has.
    fn plan(query: &EntityQuery) -> String {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        for (_, migration) in crate::schema::pending(0).unwrap() {
            database.execute_batch(migration).unwrap();
        }
        let (sql, params) = Statement::new(query).page(ENTITY, 7, 10, 0);
        let mut statement = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines: Vec<String> = statement
            .query_map(rusqlite::params_from_iter(&params), |row| row.get::<_, String>(3))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        lines.join("\n")
    }

    #[test]
    fn a_page_walks_one_index_in_the_order_of_creation() {
        let kind = TypeId::new("http://example.org/a#", "compute").unwrap();
        let one = || EntityQuery::new(Sees::Projects(vec!["alpha".into()]));
        let kinds = vec![kind.clone()];
        let attribute = |name: &str| vec![(name.to_owned(), Value::from("x"))];
        let cases = [
            (
                "everything",
                EntityQuery::new(Sees::All),
                "SEARCH e USING INTEGER PRIMARY KEY (rowid>?)",
            ),
            (
                "a kind",
                EntityQuery {
                    kinds: kinds.clone(),
                    ..EntityQuery::new(Sees::All)
                },
                "entity_kind (kind=? AND seq>?)",
            ),
            ("a project", one(), "entity_project (project=? AND seq>?)"),
            (
                "a project's kind",
                EntityQuery {
                    kinds: kinds.clone(),
                    ..one()
                },
                "entity_project (project=? AND seq>?)",
            ),
            (
                "a mixin",
                EntityQuery {
                    mixins: vec![kinds.clone()],
                    ..one()
                },
                "PRIMARY KEY (mixin=? AND entity_seq>?)",
            ),
            (
                "a group of mixins",
                EntityQuery {
                    mixins: vec![vec![kind.clone(), kind]],
                    ..one()
                },
                "entity_project (project=? AND seq>?)",
            ),
            (
                "a title",
                EntityQuery {
                    attributes: attribute("occi.core.title"),
                    ..one()
                },
                "entity_title (title=? AND seq>?)",
            ),
            (
                "a state",
                EntityQuery {
                    kinds,
                    attributes: attribute("occi.compute.state"),
                    ..one()
                },
                "entity_state (kind=? AND state=? AND seq>?)",
            ),
            (
                "a source",
                EntityQuery {
                    attributes: vec![("occi.core.source".to_owned(), Value::from("/compute/x"))],
                    ..one()
                },
                "entity_source (source=? AND seq>?)",
            ),
            (
                "an id",
                EntityQuery {
                    attributes: attribute("occi.core.id"),
                    ..one()
                },
                "sqlite_autoindex_entity_1 (id=?)",
            ),
        ];
        for (name, query, index) in cases {
            let plan = plan(&query);
            assert!(plan.contains(index), "{name}:\n{plan}");
            assert!(!plan.contains("SCAN e"), "{name}:\n{plan}");
            // What is shared with somebody is few; only that may be sorted.
            let own = plan.split("UNION ALL").next().unwrap_or_default();
            let own = own.split("RIGHT").next().unwrap_or_default();
            assert!(!own.contains("TEMP B-TREE"), "{name}:\n{plan}");
        }
    }
}
