//! The beginning of a name for the whole of it.

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Completed<'n> {
    One(&'n str),
    Several,
    None,
}

/// The name that is meant by its beginning. Each word of it may be cut (`--w-f`); of several names the shortest is meant if
/// the others are longer forms of it.
pub(super) fn complete<'n>(said: &str, names: impl Iterator<Item = &'n str>, any_case: bool) -> Completed<'n> {
    let mut found = Vec::new();
    for name in names {
        if name == said {
            return Completed::One(name);
        }
        if abbreviates(said, name, any_case) {
            found.push(name);
        }
    }
    found.sort_by_key(|name| name.len());
    match found.as_slice() {
        [] => Completed::None,
        [shortest, others @ ..] if others.iter().all(|name| name.starts_with(shortest)) => Completed::One(shortest),
        _ => Completed::Several,
    }
}

fn abbreviates(said: &str, name: &str, any_case: bool) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = name.chars().peekable();
    for c in said.chars() {
        if !is_word(c) {
            while rest.next_if(|next| is_word(*next)).is_some() {}
        }
        let same = |next: &char| *next == c || any_case && next.eq_ignore_ascii_case(&c);
        if rest.next_if(same).is_none() {
            return false;
        }
    }
    true
}
