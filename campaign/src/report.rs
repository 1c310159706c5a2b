//! What was seen, for people.

use crate::campaign::Plan;
use crate::census::Engine;
use crate::journal::Tally;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Something that must not be.
#[derive(Clone, Debug)]
pub struct Finding {
    /// After which fault or kill.
    pub at: String,
    /// What it is.
    pub what: String,
}

/// A write of the table, and the points at which it was disturbed.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    name: String,
    pub(crate) kills: Vec<String>,
    pub(crate) errors: Vec<String>,
}

impl Row {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            kills: Vec::new(),
            errors: Vec::new(),
        }
    }

    pub(crate) fn reached(&mut self, point: &str, effect: &str) {
        let points = if effect == "kill" {
            &mut self.kills
        } else {
            &mut self.errors
        };
        points.push(point.to_owned());
    }
}

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Report {
    engine: Engine,
    seed: u64,
    clients: u32,
    /// How many faults of the table happened.
    pub faults: usize,
    /// How many random kills.
    pub kills: u32,
    pub(crate) kills_at_start: u32,
    pub(crate) starts: u32,
    pub(crate) compared: u32,
    pub(crate) censuses: u32,
    pub(crate) checks: u32,
    pub(crate) repeated: u32,
    pub(crate) table: Vec<Row>,
    pub(crate) refused_in_table: Vec<String>,
    pub(crate) requests: BTreeMap<&'static str, Tally>,
    pub(crate) refusals: BTreeMap<(&'static str, u16), String>,
    pub(crate) looks: u64,
    /// Operations that failed, by verb, with their reasons.
    pub(crate) failures: BTreeMap<String, Vec<String>>,
    /// Operations that have been looked at.
    pub(crate) ended: BTreeSet<(String, String)>,
    pub(crate) skipped: BTreeSet<String>,
    pub(crate) is_empty_at_end: bool,
    pub(crate) took: Duration,
    /// What must not be.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            engine: plan.engine,
            seed: plan.seed,
            clients: plan.clients,
            faults: 0,
            kills: 0,
            kills_at_start: 0,
            starts: 0,
            compared: 0,
            censuses: 0,
            checks: 0,
            repeated: 0,
            table: Vec::new(),
            refused_in_table: Vec::new(),
            requests: BTreeMap::new(),
            refusals: BTreeMap::new(),
            looks: 0,
            failures: BTreeMap::new(),
            ended: BTreeSet::new(),
            skipped: BTreeSet::new(),
            is_empty_at_end: false,
            took: Duration::ZERO,
            findings: Vec::new(),
        }
    }

    /// The section of this engine.
    pub fn section(&self) -> String {
        let mut text = String::new();
        // Writing into a text cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let name = match self.engine {
            Engine::Memory => "memory, remote personality",
            Engine::Qemu => "qemu",
        };
        let all = |count: fn(&Tally) -> u64| self.requests.values().map(count).sum::<u64>();
        writeln!(text, "## {name}\n")?;
        writeln!(text, "| | |\n| --- | --- |")?;
        let facts = [
            ("planned faults that happened", self.faults.to_string()),
            (
                "random kills",
                format!("{} ({} of them before it listened)", self.kills, self.kills_at_start),
            ),
            ("starts of occid", self.starts.to_string()),
            (
                "writes: answered 2xx, refused, without an answer",
                format!("{}, {}, {}", all(|t| t.done), all(|t| t.refused), all(|t| t.lost)),
            ),
            (
                "creates sent again with their Idempotency-Key",
                self.repeated.to_string(),
            ),
            (
                "looks of a client at what it was promised, while others write",
                self.looks.to_string(),
            ),
            (
                "comparisons of answers with what occid shows",
                self.compared.to_string(),
            ),
            ("comparisons of occid with what exists", self.censuses.to_string()),
            ("`occid check` without a word", self.checks.to_string()),
            ("clients, seed", format!("{}, {}", self.clients, self.seed)),
            ("time", format!("{} s", self.took.as_secs())),
            ("findings", self.findings.len().to_string()),
        ];
        for (what, value) in facts {
            writeln!(text, "| {what} | {value} |")?;
        }
        if !self.table.is_empty() {
            writeln!(
                text,
                "\nThe table. A number is a recorded step: `2` after it, `-2` between its effect and its record.\n"
            )?;
            writeln!(text, "| write | killed at | failed at |\n| --- | --- | --- |")?;
            let disturbed = self.table.iter().filter(|row| row.kills.len() + row.errors.len() > 0);
            for Row { name, kills, errors } in disturbed {
                writeln!(text, "| {name} | {} | {} |", kills.join(" "), errors.join(" "))?;
            }
        }
        if !self.requests.is_empty() {
            writeln!(text, "\nThe writes of both parts.\n")?;
            writeln!(text, "| write | 2xx | refused | no answer |\n| --- | --- | --- | --- |")?;
            for (name, Tally { done, refused, lost }) in &self.requests {
                writeln!(text, "| {name} | {done} | {refused} | {lost} |")?;
            }
        }
        if !self.failures.is_empty() {
            writeln!(
                text,
                "\nOperations that ended as failed, with their reason (allowed, as long as nothing is left):\n"
            )?;
            for (verb, reasons) in &self.failures {
                let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
                for reason in reasons {
                    *counted.entry(reason).or_default() += 1;
                }
                for (reason, count) in counted {
                    writeln!(text, "- {verb}, {count}: {reason}")?;
                }
            }
        }
        if !self.skipped.is_empty() {
            writeln!(text, "\nNot done:\n")?;
            for skipped in &self.skipped {
                writeln!(text, "- {skipped}")?;
            }
        }
        writeln!(text, "\nFindings:\n")?;
        for Finding { at, what } in &self.findings {
            writeln!(text, "- {at}: {what}")?;
        }
        if self.findings.is_empty() {
            writeln!(text, "None.")?;
        }
        Ok(())
    }

    /// What is not for the report, but helps whoever looks at a run: refusals, each with an example.
    pub fn details(&self) -> String {
        let mut text = String::new();
        for ((name, status), message) in &self.refusals {
            let _ = writeln!(text, "{name}: {status} {message}");
        }
        for refused in &self.refused_in_table {
            let _ = writeln!(text, "refused: {refused}");
        }
        text
    }

    /// Puts the section into the file, in the place of an older one of this engine.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn save(&self, file: &Path) -> Result<()> {
        let old = fs::read_to_string(file).unwrap_or_default();
        let section = self.section();
        let heading = section.lines().next().unwrap_or_default().to_owned();
        let mut sections: Vec<String> = old
            .split("\n## ")
            .skip(1)
            .map(|section| format!("## {}\n", section.trim_end()))
            .filter(|section| section.lines().next() != Some(&heading))
            .chain([section])
            .collect();
        sections.sort();
        fs::write(file, format!("{PREFACE}\n{}", sections.join("\n")))?;
        Ok(())
    }
}

/// What stands before the sections.
const PREFACE: &str = "\
# The crash campaign

Written by `make crash`; do not edit. The program `campaign/` runs the real `occid` (a debug build, which obeys
`OCCID_FAULT`) and ends it in two ways:

- **The table.** Every verb is disturbed at every recorded step: before the verb reaches the engine (`start`), between a
  side effect and its record (`-N`), after the record (`N`), and when the engine has done everything and nobody knows yet
  (`end`). `kill` ends the process at once; `error` makes the engine fail there, with an unknown outcome.
- **Random kills.** Several clients create, link, change, act on and delete computes, networks and volumes, singly and
  several at once, with every kind of `Prefer`, while `occid` gets `kill -9` at a random moment between 0 and 300 ms after
  their first requests, or while it starts.

After each fault, and after every tenth random kill, `occid` starts undisturbed. When all operations have ended:

- whatever was answered 2xx is there, in the state and with the values that were asked for, or is gone if it was deleted;
  or its operation ended as `failed` and says why;
- whatever was refused is not there, and whatever got no answer is there once or not at all; a create that is sent again
  with its `Idempotency-Key` succeeds, and is there once;
- nothing is shown that nobody asked for;
- no operation is open or needs attention, and `occid check` has no word to say;
- `occid` ends, by SIGTERM or `kill -9`, and what exists in the engine (the memory engine's own file; the directories and
  the process table for qemu) is exactly what it showed, in the states that it showed.

At the end everything is deleted: then no object, process or directory is left.
";
