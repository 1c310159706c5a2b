//! One thing for people: its name, then a line for each of what is known.

use super::cell::{Look, plain, state_color, term};
use super::{NOT_SHOWN, is_user_data, table};
use crate::words::one_line;
use comfy_table::{Attribute, Cell, Color};
use serde_json::Value as Json;

/// Members that have a line of their own, in this order, and how they look.
const LINES: &[(&str, Look)] = &[
    ("name", Look::Title),
    ("current", Look::Plain),
    ("endpoint", Look::Plain),
    ("auth", Look::Plain),
    ("keystone", Look::Plain),
    ("issuer", Look::Plain),
    ("user", Look::Plain),
    ("project", Look::Plain),
    ("application_credential", Look::Plain),
    ("password_command", Look::Plain),
    ("certificate", Look::Plain),
    ("ca_file", Look::Plain),
    ("insecure", Look::Plain),
    ("output", Look::Plain),
    ("kind", Look::Term),
    ("class", Look::Plain),
    ("verb", Look::Plain),
    ("state", Look::State),
    ("message", Look::Plain),
    ("step", Look::Plain),
    ("progress", Look::Percent),
    ("error", Look::Plain),
    ("summary", Look::Plain),
    ("id", Look::Plain),
    ("location", Look::Plain),
    ("entity", Look::Plain),
    ("os", Look::Term),
    ("size", Look::Term),
    ("addresses", Look::Plain),
    ("source", Look::Plain),
    ("target", Look::Plain),
    ("parent", Look::Plain),
    ("depends", Look::Plain),
    ("applies", Look::Plain),
    ("created", Look::Ago),
    ("finished", Look::Ago),
];

/// Attributes that the lines above say already.
const SAID: [&str; 5] = [
    "occi.core.id",
    "occi.core.title",
    "occi.core.summary",
    "occi.core.source",
    "occi.core.target",
];

pub(super) fn of(record: &Json) -> String {
    let mut rows = Vec::new();
    let mut line = |name: &str, value: Cell| rows.push(vec![Cell::new(name).add_attribute(Attribute::Dim), value]);
    if let Some(title) = record.get("title").or_else(|| record.get("term")) {
        line(
            "title",
            Cell::new(one_line(&plain(title))).add_attribute(Attribute::Bold),
        );
    }
    for &(name, look) in LINES {
        let Some(value) = record.get(name).filter(|value| !is_empty(value)) else {
            continue;
        };
        let mut words = look.words(value);
        if look == Look::Ago {
            words = format!("{words} ago, {}", plain(value));
        }
        let color = value.as_str().filter(|_| look == Look::State).and_then(state_color);
        line(name, colored(words, color));
    }
    let is_category = record.get("class").is_some();
    let state = record.get("state").and_then(Json::as_str);
    if let Some(attributes) = record.get("attributes").and_then(Json::as_object) {
        for (name, value) in attributes {
            let repeats = name.ends_with(".state") && value.as_str() == state || name.ends_with(".state.message");
            if is_category {
                line(&one_line(name), Cell::new(one_line(&definition(value))));
            } else if !SAID.contains(&name.as_str()) && !repeats {
                let words = match is_user_data(name) {
                    true => NOT_SHOWN.to_owned(),
                    false => Look::of_attribute(name).words(value),
                };
                line(&one_line(name), Cell::new(words));
            }
        }
    }
    for link in record.get("links").and_then(Json::as_array).into_iter().flatten() {
        let member = |name: &str| link.get(name).map(plain).unwrap_or_default();
        let words = [
            member("target"),
            member("state"),
            member("addresses"),
            member("message"),
        ];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        line(&one_line(term(&member("kind"))), Cell::new(one_line(&words.join("  "))));
    }
    for (name, members) in [("mixins", "mixins"), ("can", "actions")] {
        if let Some(value) = record.get(members).filter(|value| !is_empty(value)) {
            line(&one_line(name), Cell::new(Look::Term.words(value)));
        }
    }
    for part in record.get("parts").and_then(Json::as_array).into_iter().flatten() {
        let member = |name: &str| part.get(name).map(plain).unwrap_or_default();
        let words = [member("verb"), member("entity"), member("state"), member("error")];
        line("part", Cell::new(one_line(words.join(" ").trim())));
    }
    let mut text = table(Vec::new(), rows);
    text.push('\n');
    text
}

fn definition(definition: &Json) -> String {
    let is = |name: &str| definition.get(name).and_then(Json::as_bool).unwrap_or(false);
    let mut words = vec![definition.get("type").map(plain).unwrap_or_default()];
    if is("required") {
        words.push("required".to_owned());
    }
    if !is("mutable") {
        words.push("immutable".to_owned());
    }
    if let Some(default) = definition.get("default") {
        words.push(format!("default {}", plain(default)));
    }
    let mut words = words.join(", ");
    if let Some(description) = definition.get("description") {
        words = format!("{words}  {}", plain(description));
    }
    words
}

fn is_empty(value: &Json) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn colored(words: String, color: Option<Color>) -> Cell {
    match color {
        Some(color) => Cell::new(words).fg(color),
        None => Cell::new(words),
    }
}
