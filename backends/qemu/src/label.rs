//! Names that a host, or a term, may have.

/// What there is of `wish` in letters, digits and hyphens, of which none stand at an end.
pub(crate) fn label(wish: &str, longest: usize) -> String {
    let name: String = wish
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(longest)
        .collect();
    name.trim_matches('-').to_owned()
}
