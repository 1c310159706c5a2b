//! What computes are made from.

use crate::config::Personality;
use occi_backend::names::attribute;
use occi_backend::{Catalogue, Template, TemplateKind};
use occi_model::{Attributes, Term};

/// A template made by `save`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Saved {
    pub(crate) term: Term,
    pub(crate) title: String,
    pub(crate) project: String,
    /// What made it, so that a repeated `save` finds it.
    pub(crate) operation: String,
}

impl Saved {
    pub(crate) fn template(&self) -> Template {
        Template {
            project: Some(self.project.clone()),
            ..operating_system(self.term.clone(), &self.title)
        }
    }
}

/// What `project` may use.
pub(crate) fn catalogue(personality: Personality, saved: &[Saved], project: &str) -> Catalogue {
    let given = GIVEN.map(|(name, title)| operating_system(term(name), title));
    let mut templates = given.to_vec();
    if personality == Personality::Remote {
        templates.extend([size("m1-small", 1, 1.0), size("m1-large", 2, 4.0)]);
    }
    templates.extend(
        saved
            .iter()
            .filter(|saved| saved.project == project)
            .map(Saved::template),
    );
    Catalogue {
        templates,
        default_os: Some(term(GIVEN[0].0)),
    }
}

/// The operating systems that everybody may use, the default one first.
const GIVEN: [(&str, &str); 2] = [
    ("tiny", "A machine that boots at once and does nothing"),
    ("debian12", "Debian 12 (bookworm), in name only"),
];

/// Whether it is one of those.
pub(crate) fn is_given(term: &Term) -> bool {
    GIVEN.iter().any(|(name, _)| term.as_str() == *name)
}

/// A term for a compute saved under `name`, different from those in `taken`.
pub(crate) fn free_term(name: &str, taken: &[Saved]) -> Term {
    let cleaned: String = name
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '-' | '_' => c,
            'A'..='Z' => c.to_ascii_lowercase(),
            _ => '-',
        })
        .collect();
    let base = Some(cleaned.trim_matches(['-', '_']))
        .filter(|base| !base.is_empty())
        .unwrap_or("saved");
    (1..)
        .map(|n| term(&if n == 1 { base.to_owned() } else { format!("{base}-{n}") }))
        .find(|free| !is_given(free) && taken.iter().all(|saved| saved.term != *free))
        .unwrap_or_else(|| term("saved"))
}

fn operating_system(term: Term, title: &str) -> Template {
    Template {
        kind: TemplateKind::Os,
        term,
        title: title.to_owned(),
        defaults: Attributes::new(),
        min_memory_gib: Some(0.0625),
        project: None,
    }
}

fn size(name: &str, cores: i64, memory_gib: f64) -> Template {
    let mut defaults = Attributes::new();
    defaults.set(attribute("occi.compute.cores"), cores);
    defaults.set(attribute("occi.compute.memory"), memory_gib);
    Template {
        kind: TemplateKind::Resource,
        term: term(name),
        title: format!("{cores} cores, {memory_gib} GiB"),
        defaults,
        min_memory_gib: None,
        project: None,
    }
}

#[expect(clippy::expect_used, reason = "letters, digits, '-' and '_' only, and not empty")]
fn term(text: &str) -> Term {
    text.parse().expect("a template's term is well formed")
}
