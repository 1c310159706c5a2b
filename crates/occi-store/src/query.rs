//! Readings.

use crate::row::EventRow;
use occi_model::{TypeId, Value};

/// Whose eyes a reading has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sees {
    /// Everything (operators).
    All,
    /// The entities of these projects, those shared with them, and public ones.
    Projects(Vec<String>),
}

/// Where a page ended: the creation order of its last row. Stable while entities come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub i64);

/// A selection of entities, in the order of creation. All conditions hold.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityQuery {
    /// Whose eyes.
    pub sees: Sees,
    /// Only this project, if given.
    pub project: Option<String>,
    /// Any of these kinds; empty means any kind.
    pub kinds: Vec<TypeId>,
    /// Of each of these groups at least one mixin.
    pub mixins: Vec<Vec<TypeId>>,
    /// All of these attributes have these values (typed equality); `occi.core.*` included. An end of a link is named by
    /// path or id, somebody else's resource by its URI. Id, title, ends, and the state of one kind have an index, other
    /// attributes are compared one by one.
    pub attributes: Vec<(String, Value)>,
    /// The attribute's text holds this.
    pub contains: Vec<(String, String)>,
    /// Below this path (ends with `/`).
    pub below: Option<String>,
    /// One of these ([`crate::EntityRow::seq`]); empty means any.
    pub among: Vec<i64>,
    /// After this row.
    pub after: Option<Cursor>,
    /// Skip so many rows (page numbers).
    pub offset: u64,
    /// At most so many.
    pub limit: u32,
}

impl EntityQuery {
    /// Everything that `sees` may see, 500 at a time.
    pub fn new(sees: Sees) -> Self {
        Self {
            sees,
            project: None,
            kinds: Vec::new(),
            mixins: Vec::new(),
            attributes: Vec::new(),
            contains: Vec::new(),
            below: None,
            among: Vec::new(),
            after: None,
            offset: 0,
            limit: 500,
        }
    }
}

/// A selection of operations, newest first.
#[derive(Clone, Debug, Default)]
pub struct OperationQuery {
    /// Only these projects; empty means all.
    pub projects: Vec<String>,
    /// Only the parts of this one.
    pub parent: Option<uuid::Uuid>,
    /// Only open ones.
    pub open: bool,
    /// Only those that began before this one.
    pub before: Option<uuid::Uuid>,
    /// At most so many; 0 means 500.
    pub limit: u32,
}

/// A selection of audit records, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only of this principal.
    pub principal: Option<String>,
    /// Only in this project.
    pub project: Option<String>,
    /// At most so many; 0 means 500.
    pub limit: u32,
}

/// A selection of events, in their order. All conditions hold.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Whose eyes: what is not of their projects is selected if others saw it too, whoever they were.
    pub sees: Sees,
    /// Only this project, if given, and what concerns everybody.
    pub project: Option<String>,
    /// Only of this path.
    pub path: Option<String>,
    /// Only of this kind.
    pub kind: Option<TypeId>,
    /// Only those that tell of this operation.
    pub operation: Option<uuid::Uuid>,
    /// From where, and which way.
    pub way: Way,
    /// At most so many.
    pub limit: u32,
}

/// Which way a reading of events goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The first ones after this number.
    After(i64),
    /// The last ones before this number.
    Before(i64),
}

impl EventQuery {
    /// Everything after `number`, at most `limit`.
    pub fn after(number: i64, limit: u32) -> Self {
        Self {
            sees: Sees::All,
            project: None,
            path: None,
            kind: None,
            operation: None,
            way: Way::After(number),
            limit,
        }
    }
}

/// Some events.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    /// In order, whichever way they were read.
    pub events: Vec<EventRow>,
    /// The last number that was looked at: one reading looks at so many only, whether they are selected or not.
    pub reached: i64,
    /// The oldest number that is still kept: a reader that is behind has to list again.
    pub oldest: i64,
    /// The number of the newest event there is.
    pub newest: i64,
}
