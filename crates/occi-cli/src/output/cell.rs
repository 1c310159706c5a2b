//! Columns, and how a value looks.

use crate::words::one_line;
use comfy_table::{Attribute, Cell, Color};
use serde_json::Value as Json;
use std::io::IsTerminal;

/// A column of a listing: a member of a record, or an attribute among its `attributes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// The member's name, or the attribute's.
    pub(crate) name: String,
    /// For people.
    pub(crate) look: Look,
    /// Only in the wide form.
    pub(crate) is_wide: bool,
    heading: Option<&'static str>,
}

/// How people see a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Look {
    /// As it is.
    #[default]
    Plain,
    /// GiB, with the unit that fits.
    Gib,
    /// A time, as how long ago.
    Ago,
    /// A state, coloured.
    State,
    /// The beginning of a UUID.
    Short,
    /// A name: it stands out.
    Title,
    /// An identifier, without its scheme.
    Term,
    /// Percent.
    Percent,
    /// Bytes, with the unit that fits.
    Bytes,
    /// A star for what is so.
    Mark,
}

impl Column {
    pub(crate) fn new(name: &str, look: Look) -> Self {
        Self {
            name: name.to_owned(),
            look,
            is_wide: false,
            heading: None,
        }
    }

    /// In the wide form only.
    pub(crate) fn wide(mut self) -> Self {
        self.is_wide = true;
        self
    }

    /// With another heading than its name.
    pub(crate) fn headed(mut self, heading: &'static str) -> Self {
        self.heading = Some(heading);
        self
    }

    /// For people: `CORES` of `occi.compute.cores`.
    pub(crate) fn heading(&self) -> String {
        match self.heading {
            Some(heading) => heading.to_owned(),
            None => self.name.rsplit('.').next().unwrap_or(&self.name).to_uppercase(),
        }
    }

    /// The value in a record.
    pub(crate) fn value<'r>(&self, record: &'r Json) -> Option<&'r Json> {
        record
            .get(&self.name)
            .or_else(|| record.get("attributes")?.get(&self.name))
            .filter(|value| !value.is_null())
    }

    /// For machines.
    pub(crate) fn text(&self, record: &Json) -> String {
        self.value(record).map(plain).unwrap_or_default()
    }

    /// For people.
    pub(crate) fn cell(&self, record: &Json) -> Cell {
        let Some(value) = self.value(record) else {
            return Cell::new("-").add_attribute(Attribute::Dim);
        };
        let cell = Cell::new(fitting(self.look.words(value)));
        match (self.look, value.as_str()) {
            (Look::State, Some(state)) => match state_color(state) {
                Some(color) => cell.fg(color),
                None => cell,
            },
            (Look::Title, _) => cell.add_attribute(Attribute::Bold),
            _ => cell,
        }
    }
}

/// A title of a thousand letters would be a line of its own on every terminal.
fn fitting(words: String) -> String {
    const MOST: usize = 80;
    match words.char_indices().nth(MOST) {
        Some((at, _)) if std::io::stdout().is_terminal() => format!("{}...", &words[..at]),
        _ => words,
    }
}

/// Green is well, red is broken, yellow is neither.
pub(crate) fn state_color(state: &str) -> Option<Color> {
    Some(match state {
        "active" | "online" | "succeeded" | "ready" => Color::Green,
        "error" | "failed" | "needs-attention" | "refused" => Color::Red,
        "inactive" | "offline" | "suspended" | "accepted" | "running" => Color::Yellow,
        _ => return None,
    })
}

impl Look {
    /// An attribute for people: some have units.
    pub(crate) fn of_attribute(name: &str) -> Self {
        match name {
            "occi.compute.memory" | "occi.storage.size" | "occi.compute.ephemeral_storage.size" => Self::Gib,
            name if name.ends_with(".state") => Self::State,
            _ => Self::Plain,
        }
    }

    /// A value for people.
    pub(crate) fn words(self, value: &Json) -> String {
        let number = || value.as_f64().or_else(|| value.as_str()?.parse().ok());
        let text = match self {
            Self::Gib => number().map(gib),
            Self::Bytes => number().map(|bytes| gib(bytes / f64::from(1 << 30))),
            Self::Percent => number().map(|percent| format!("{percent}%")),
            Self::Mark => value.as_bool().map(|is_so| if is_so { "*" } else { "" }.to_owned()),
            Self::Ago => value.as_str().and_then(ago),
            Self::Short => value.as_str().map(|id| short_id(id).to_owned()),
            Self::Term => match value {
                Json::Array(all) => {
                    let terms: Vec<_> = all.iter().map(|one| term(&plain(one)).to_owned()).collect();
                    Some(terms.join(" "))
                }
                value => Some(term(&plain(value)).to_owned()),
            },
            Self::Plain | Self::State | Self::Title => None,
        };
        one_line(&text.unwrap_or_else(|| plain(value)))
    }
}

/// Text as it is, a list of texts with spaces, everything else as JSON.
pub(crate) fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(all) if all.iter().all(Json::is_string) => {
            let all: Vec<_> = all.iter().filter_map(Json::as_str).collect();
            all.join(" ")
        }
        Json::Null => String::new(),
        value => value.to_string(),
    }
}

/// `512 MiB`, `1 GiB`, `1.5 TiB`.
fn gib(gib: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut at = 3;
    let mut number = gib;
    while number.abs() >= 1024.0 && at + 1 < UNITS.len() {
        number /= 1024.0;
        at += 1;
    }
    while number.abs() < 1.0 && number != 0.0 && at > 0 {
        number *= 1024.0;
        at -= 1;
    }
    let rounded = (number * 100.0).round() / 100.0;
    format!("{rounded} {}", UNITS[at])
}

/// `12s`, `5m`, `3h`, `2d` since a time.
fn ago(time: &str) -> Option<String> {
    let time: jiff::Timestamp = time.parse().ok()?;
    let seconds = jiff::Timestamp::now().duration_since(time).as_secs().max(0);
    Some(match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    })
}

/// The first group of a UUID, which people type; other ids as they are.
pub(crate) fn short_id(id: &str) -> &str {
    let is_uuid = id.len() == 36 && id.bytes().filter(|byte| *byte == b'-').count() == 4;
    match id.split_once('-') {
        // Those that begin with a time differ later.
        Some(_) if is_uuid && id.as_bytes()[14] == b'7' => id,
        Some((first, _)) if is_uuid => first,
        _ => id,
    }
}

pub(crate) fn term(identifier: &str) -> &str {
    identifier.rsplit('#').next().unwrap_or(identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        for (size, words) in [
            (1.0, "1 GiB"),
            (0.5, "512 MiB"),
            (1536.0, "1.5 TiB"),
            (0.0, "0 GiB"),
            (7.25, "7.25 GiB"),
        ] {
            assert_eq!(gib(size), words);
        }
    }

    #[test]
    fn what_a_server_sends_cannot_move_the_cursor() {
        assert_eq!(Look::Plain.words(&Json::from("a\u{1b}[2Jb\nc")), "a [2Jb c");
    }
}
