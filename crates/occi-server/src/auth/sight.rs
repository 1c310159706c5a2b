//! What a principal sees, as a number: what was rendered for one serves all who see the same.

use occi_engine::Principal;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Principals that see the same have the same sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sight(u32);

impl std::fmt::Display for Sight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The sights of all who came in since this process began.
#[derive(Debug, Default)]
pub struct Sights(Mutex<HashMap<Seen, u32>>);

/// What decides what a principal sees: everything, or projects; and where the model comes from.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Seen {
    everything: bool,
    projects: Vec<String>,
    default_project: String,
}

impl Sights {
    /// The sight of a principal.
    pub fn of(&self, principal: &Principal) -> Sight {
        let mut projects: Vec<_> = principal.projects.iter().map(|(name, _)| name.clone()).collect();
        projects.sort();
        let seen = Seen {
            everything: principal.operator,
            projects,
            default_project: principal.default_project.clone(),
        };
        let mut sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = u32::try_from(sights.len()).unwrap_or(u32::MAX);
        Sight(*sights.entry(seen).or_insert(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use occi_store::Role;

    fn principal(name: &str, projects: &[&str], operator: bool) -> Principal {
        Principal {
            name: name.to_owned(),
            operator,
            projects: projects
                .iter()
                .map(|project| ((*project).to_owned(), Role::Member))
                .collect(),
            default_project: projects[0].to_owned(),
        }
    }

    #[test]
    fn only_those_who_see_the_same_share_a_sight() {
        let sights = Sights::default();
        let ann = sights.of(&principal("ann", &["p", "q"], false));
        assert_eq!(ann, sights.of(&principal("bob", &["p", "q"], false)));
        assert_ne!(
            ann,
            sights.of(&principal("bob", &["q", "p"], false)),
            "another default project, another model"
        );
        assert_ne!(ann, sights.of(&principal("bob", &["p"], false)));
        assert_ne!(ann, sights.of(&principal("op", &["p", "q"], true)));
    }
}
