//! The result, as a table that a person reads.

use std::fmt::Write as _;

/// One line of the table.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) case: String,
    /// Ours, with its unit.
    pub(crate) ours: String,
    /// The peer's, with its unit.
    pub(crate) peer: String,
    /// Ours by the peer's, or the value itself where the target is absolute.
    pub(crate) value: f64,
    /// At most (or, where more is better, at least) this.
    pub(crate) target: f64,
    /// Whether more is better.
    pub(crate) more_is_better: bool,
    /// Requests per second and the like.
    pub(crate) aside: String,
}

impl Row {
    fn is_met(&self) -> bool {
        if self.more_is_better {
            self.value >= self.target
        } else {
            self.value <= self.target
        }
    }
}

/// The table in Markdown.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text =
        String::from("| case | occid | peer | value | target | met | aside |\n|---|---|---|---|---|---|---|\n");
    for row in rows {
        let sign = if row.more_is_better { '≥' } else { '≤' };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.2} | {sign} {:.2} | {} | {} |",
            row.case,
            row.ours,
            row.peer,
            row.value,
            row.target,
            if row.is_met() { "yes" } else { "**no**" },
            row.aside
        );
    }
    text
}

/// The median; 0 for nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
