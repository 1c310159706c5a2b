//! The engine's objects in a file, one line per change, so that the engine outlives the process that serves it.
//!
//! A killed process can leave half a line at the end; it is cut off when the file is opened, as is everything that the
//! engine had not yet told anybody.

use crate::object::{Key, Object, State, Then};
use crate::templates::Saved;
use occi_model::{Attributes, Term, TypeId};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::path::Path;

/// One change as it is written.
#[derive(Serialize, Deserialize)]
enum Line {
    Put {
        next: u64,
        key: KeyRow,
        object: Box<ObjectRow>,
    },
    Gone {
        key: KeyRow,
    },
    Template(TemplateRow),
    TemplateGone {
        term: String,
    },
}

#[derive(Serialize, Deserialize)]
struct KeyRow {
    project: String,
    kind: String,
    id: String,
}

#[derive(Serialize, Deserialize)]
struct ObjectRow {
    mark: Option<String>,
    os_template: Option<String>,
    resource_template: Option<String>,
    mixins: Vec<String>,
    attributes: serde_json::Value,
    state: String,
    message: Option<String>,
    held_down: bool,
    ignores_stop: bool,
    is_default: bool,
    operation: Option<String>,
    ends: Option<(KeyRow, KeyRow)>,
    pending: Vec<(u64, String)>,
}

#[derive(Serialize, Deserialize)]
struct TemplateRow {
    term: String,
    title: String,
    project: String,
    operation: String,
}

/// One change as it is read.
pub(crate) enum Change {
    Put(u64, Key, Box<Object>),
    Gone(Key),
    Template(Saved),
    TemplateGone(Term),
}

/// The open file.
pub(crate) struct Log(File);

impl Log {
    /// Opens the file, makes it if it is missing, and reads what it says.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<Change>)> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        file.try_lock().map_err(|error| {
            Error::new(
                ErrorKind::ResourceBusy,
                format!("{} is used by another process: {error}", path.display()),
            )
        })?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        let changes = text[..whole]
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| read_line(line).ok_or_else(|| Error::new(ErrorKind::InvalidData, bad_line(path, line))))
            .collect::<Result<_>>()?;
        Ok((Self(file), changes))
    }

    pub(crate) fn put(&mut self, next: u64, key: &Key, object: &Object) -> Result<()> {
        self.write(&Line::Put {
            next,
            key: key_row(key),
            object: Box::new(object_row(object)),
        })
    }

    pub(crate) fn gone(&mut self, key: &Key) -> Result<()> {
        self.write(&Line::Gone { key: key_row(key) })
    }

    pub(crate) fn template(&mut self, saved: &Saved) -> Result<()> {
        let Saved {
            term,
            title,
            project,
            operation,
        } = saved.clone();
        self.write(&Line::Template(TemplateRow {
            term: term.to_string(),
            title,
            project,
            operation,
        }))
    }

    pub(crate) fn template_gone(&mut self, term: &Term) -> Result<()> {
        self.write(&Line::TemplateGone { term: term.to_string() })
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.0.write_all(&bytes)
    }
}

fn bad_line(path: &Path, line: &[u8]) -> String {
    format!(
        "{} holds a line that is not the memory engine's: {}",
        path.display(),
        String::from_utf8_lossy(line)
    )
}

fn read_line(line: &[u8]) -> Option<Change> {
    Some(match serde_json::from_slice(line).ok()? {
        Line::Put { next, key, object } => Change::Put(next, read_key(key)?, Box::new(read_object(*object)?)),
        Line::Gone { key } => Change::Gone(read_key(key)?),
        Line::TemplateGone { term } => Change::TemplateGone(term.parse().ok()?),
        Line::Template(TemplateRow {
            term,
            title,
            project,
            operation,
        }) => Change::Template(Saved {
            term: term.parse().ok()?,
            title,
            project,
            operation,
        }),
    })
}

fn key_row(key: &Key) -> KeyRow {
    let Key { project, kind, id } = key.clone();
    KeyRow {
        project,
        kind: kind.to_string(),
        id,
    }
}

fn read_key(KeyRow { project, kind, id }: KeyRow) -> Option<Key> {
    Some(Key {
        project,
        kind: kind.parse().ok()?,
        id,
    })
}

fn object_row(object: &Object) -> ObjectRow {
    let Object {
        mark,
        os_template,
        resource_template,
        mixins,
        attributes,
        state,
        message,
        held_down,
        ignores_stop,
        is_default,
        operation,
        ends,
        pending,
    } = object;
    ObjectRow {
        mark: mark.as_ref().map(ToString::to_string),
        os_template: os_template.as_ref().map(ToString::to_string),
        resource_template: resource_template.as_ref().map(ToString::to_string),
        mixins: mixins.iter().map(ToString::to_string).collect(),
        attributes: attributes.to_json(),
        state: state.as_str().to_owned(),
        message: message.clone(),
        held_down: *held_down,
        ignores_stop: *ignores_stop,
        is_default: *is_default,
        operation: operation.clone(),
        ends: ends.as_ref().map(|(source, target)| (key_row(source), key_row(target))),
        pending: pending
            .iter()
            .map(|(at, then)| {
                let then = match then {
                    Then::Appear => "appear",
                    Then::Vanish => "vanish",
                    Then::Reach(state) => state.as_str(),
                };
                (*at, then.to_owned())
            })
            .collect(),
    }
}

fn read_object(row: ObjectRow) -> Option<Object> {
    let ObjectRow {
        mark,
        os_template,
        resource_template,
        mixins,
        attributes,
        state,
        message,
        held_down,
        ignores_stop,
        is_default,
        operation,
        ends,
        pending,
    } = row;
    Some(Object {
        mark: parse(mark)?,
        os_template: parse(os_template)?,
        resource_template: parse(resource_template)?,
        mixins: mixins
            .iter()
            .map(|id| id.parse::<TypeId>().ok())
            .collect::<Option<_>>()?,
        attributes: Attributes::from_json(&attributes)?,
        state: read_state(&state)?,
        message,
        held_down,
        ignores_stop,
        is_default,
        operation,
        ends: match ends {
            Some((source, target)) => Some((read_key(source)?, read_key(target)?)),
            None => None,
        },
        pending: pending
            .into_iter()
            .map(|(at, then)| {
                let then = match then.as_str() {
                    "appear" => Then::Appear,
                    "vanish" => Then::Vanish,
                    state => Then::Reach(read_state(state)?),
                };
                Some((at, then))
            })
            .collect::<Option<_>>()?,
    })
}

/// Nothing is nothing; something must parse.
fn parse<T: std::str::FromStr>(text: Option<String>) -> Option<Option<T>> {
    text.map(|text| text.parse().ok())
        .map_or(Some(None), |parsed| parsed.map(Some))
}

fn read_state(text: &str) -> Option<State> {
    State::ALL.into_iter().find(|state| state.as_str() == text)
}
