//! The support table: what each backend declares, for people.

use crate::{Capabilities, Fidelity, KindCapability, Locality};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a cell says where nothing is declared.
const NOTHING: &str = "-";

/// The declarations of `backends`, each with its name, as a Markdown table: a column per backend; a row per kind and for
/// everything that at least one of them can do with it, in the order of the declarations.
///
/// A cell says `yes`, in which states, `approximate` for a method that the engine cannot tell from another, or `-`.
pub fn support_table(backends: &[(&str, &Capabilities)]) -> String {
    let mut table = Table::new(backends.len());
    for (column, (_, capabilities)) in backends.iter().enumerate() {
        engine(&mut table, column, capabilities);
    }
    for (column, (_, capabilities)) in backends.iter().enumerate() {
        for kind in &capabilities.kinds {
            rows(&mut table, column, kind);
        }
    }
    let names: Vec<String> = backends.iter().map(|(name, _)| (*name).to_owned()).collect();
    table.render(&names)
}

/// Things by name, in the order in which they were first named.
type Named<T> = Vec<(String, T)>;

/// Sections of rows of cells by column.
struct Table {
    columns: usize,
    sections: Named<Named<BTreeMap<usize, String>>>,
}

impl Table {
    fn new(columns: usize) -> Self {
        Self {
            columns,
            sections: Vec::new(),
        }
    }

    fn set(&mut self, section: &str, row: &str, column: usize, cell: impl Into<String>) {
        let rows = entry(&mut self.sections, section);
        entry(rows, row).insert(column, cell.into());
    }

    fn render(&self, names: &[String]) -> String {
        let mut text = String::new();
        let mut line = |first: &str, cells: &[String]| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {first} | {} |", cells.join(" | "));
        };
        line("", names);
        line("---", &vec!["---".to_owned(); self.columns]);
        for (section, rows) in &self.sections {
            line(&format!("**{section}**"), &vec![String::new(); self.columns]);
            for (row, cells) in rows {
                let cell = |column| cells.get(&column).cloned().unwrap_or_else(|| NOTHING.to_owned());
                line(row, &(0..self.columns).map(cell).collect::<Vec<_>>());
            }
        }
        text
    }
}

fn entry<'a, T: Default>(rows: &'a mut Named<T>, name: &str) -> &'a mut T {
    let at = rows.iter().position(|(row, _)| row == name).unwrap_or_else(|| {
        rows.push((name.to_owned(), T::default()));
        rows.len() - 1
    });
    &mut rows[at].1
}

fn engine(table: &mut Table, column: usize, capabilities: &Capabilities) {
    let section = "engine";
    let locality = match capabilities.locality {
        Locality::Host => "the host itself",
        Locality::Shared => "every node",
    };
    let ids = if capabilities.assigns_ids {
        "the engine's"
    } else {
        "ours"
    };
    table.set(section, "reached from", column, locality);
    table.set(section, "native ids", column, ids);
    table.set(
        section,
        "tells what happens by itself",
        column,
        yes(capabilities.events),
    );
    table.set(
        section,
        "removes what `save` has made",
        column,
        yes(capabilities.removes_templates),
    );
    table.set(section, "takes and gives images", column, yes(capabilities.images));
    table.set(
        section,
        "default network per project",
        column,
        yes(capabilities.default_network),
    );
    table.set(
        section,
        "interfaces on networks of other projects",
        column,
        yes(capabilities.shared_networks),
    );
}

fn rows(table: &mut Table, column: usize, capability: &KindCapability) {
    let KindCapability {
        kind,
        create,
        delete,
        update,
        actions,
        inline_links,
        later_links,
        mixins,
        owned: _,
        console_log,
        console,
    } = capability;
    let section = kind.term();
    let mut set = |row: &str, cell: String| table.set(section, row, column, cell);
    set("create", yes(*create));
    set("delete", yes(*delete));
    for action in actions {
        let term = action.action.term();
        set(&format!("`{term}` while"), action.states.join(", "));
        for method in &action.methods {
            let cell = match method.fidelity {
                Fidelity::Exact => "yes",
                Fidelity::Approximate => "approximate",
            };
            set(&format!("`{term}`, method `{}`", method.method), cell.to_owned());
        }
    }
    for update in update {
        set(&format!("change `{}` while", update.what), update.states.join(", "));
    }
    for link in inline_links {
        set(&format!("`{}` made with it", link.term()), yes(true));
    }
    for (link, states) in later_links {
        set(&format!("`{}` made later, while", link.term()), states.join(", "));
    }
    for mixin in mixins {
        set(&format!("mixin `{}`", mixin.term()), yes(true));
    }
    if *console_log {
        set("console output", yes(true));
    }
    if !console.is_empty() {
        set("serial console while", console.join(", "));
    }
}

fn yes(declared: bool) -> String {
    if declared { "yes" } else { NOTHING }.to_owned()
}
