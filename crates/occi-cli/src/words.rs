//! Words on a terminal. Nothing that others wrote moves the cursor there or paints, and no credential of this
//! run is repeated. Who takes no more words (a full disk behind stderr) is no reason to end.

use crate::mask;
use std::fmt;
use std::io::Write;

/// A text of others in one line.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A text of others in its lines.
pub(crate) fn lines(text: &str) -> String {
    text.replace(|c: char| c.is_control() && !matches!(c, '\n' | '\t'), "\u{fffd}")
}

/// JSON as it has been written: what that escapes are only the control characters of ASCII, and terminals obey others too.
pub(crate) fn json(text: String) -> String {
    if !text.contains(is_other_control) {
        return text;
    }
    let escaped = text.chars().map(|c| match is_other_control(c) {
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.to_string(),
    });
    escaped.collect()
}

fn is_other_control(c: char) -> bool {
    c.is_control() && c >= '\u{7f}'
}

/// Says a line on stderr.
pub(crate) fn say(words: impl AsRef<str>) {
    paint(format_args!("{}\n", told(words.as_ref())));
}

/// Words for stderr, without secrets.
pub(crate) fn told(words: &str) -> String {
    one_line(&mask::masked(words))
}

/// Writes on stderr what is fit for it, with colours of ours.
pub(crate) fn paint(text: fmt::Arguments<'_>) {
    let mut stderr = anstream::stderr().lock();
    let _ = stderr.write_fmt(text);
    let _ = stderr.flush();
}
