//! Answers that are ready to be sent again: bounded by bytes, and never wrong, because the key says everything that the
//! bytes depend on.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use occi_engine::Principal;
use occi_model::EntityId;
use occi_rendering::{Agent, MediaType};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What the bytes of an entity's answer depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// What the reader may see.
    pub(super) view: View,
    pub(super) entity: EntityId,
    pub(super) media: MediaType,
    pub(super) agent: Agent,
    pub(super) generation: i64,
    /// Of the model.
    pub(super) epoch: u64,
}

/// An answer: 200, these headers, this body.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) headers: HeaderMap<HeaderValue>,
    pub(super) body: Bytes,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Ready> for ByBytes {
    fn weight(&self, key: &Key, ready: &Ready) -> u64 {
        // The fixed part: key, entry, and what a header map takes beside its values.
        let headers: usize = ready
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 64)
            .sum();
        (512 + key.entity.as_str().len() + headers + ready.body.len()) as u64
    }
}

/// Principals that see the same have the same view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct View(u32);

/// The answers, and the views of those who read them.
pub(super) struct Answers {
    cache: Cache<Key, Ready, ByBytes>,
    views: Mutex<HashMap<Sight, u32>>,
}

/// What decides what a principal sees: everything, or projects; and where the model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sight {
    everything: bool,
    projects: Vec<String>,
    default_project: String,
}

impl Answers {
    /// At most `bytes` of answers.
    pub(super) fn new(bytes: usize) -> Self {
        // An entity is about a kilobyte.
        Self {
            cache: Cache::with_weighter(bytes / 1024 + 1, bytes as u64, ByBytes),
            views: Mutex::default(),
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Ready> {
        self.cache.get(key)
    }

    pub(super) fn insert(&self, key: Key, ready: Ready) {
        self.cache.insert(key, ready);
    }

    /// The view of a principal; called once per accepted password.
    pub(super) fn view(&self, principal: &Principal) -> View {
        let mut projects: Vec<_> = principal.projects.iter().map(|(name, _)| name.clone()).collect();
        projects.sort();
        let sight = Sight {
            everything: principal.operator,
            projects,
            default_project: principal.default_project.clone(),
        };
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let next = u32::try_from(views.len()).unwrap_or(u32::MAX);
        View(*views.entry(sight).or_insert(next))
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
    fn only_those_who_see_the_same_share_a_view() {
        let answers = Answers::new(1 << 20);
        let ann = answers.view(&principal("ann", &["p", "q"], false));
        assert_eq!(ann, answers.view(&principal("bob", &["p", "q"], false)));
        assert_ne!(
            ann,
            answers.view(&principal("bob", &["q", "p"], false)),
            "another default project, another model"
        );
        assert_ne!(ann, answers.view(&principal("bob", &["p"], false)));
        assert_ne!(ann, answers.view(&principal("op", &["p", "q"], true)));
    }

    #[test]
    fn the_cache_is_bounded_by_bytes() {
        let answers = Answers::new(64 << 10);
        let key = |number: u32| Key {
            view: View(0),
            entity: format!("e{number}").parse().unwrap(),
            media: MediaType::TextPlain,
            agent: Agent::default(),
            generation: 1,
            epoch: 1,
        };
        let ready = Ready {
            headers: HeaderMap::new(),
            body: Bytes::from(vec![b'x'; 1000]),
        };
        (0..1000).for_each(|number| answers.insert(key(number), ready.clone()));
        assert!(answers.cache.weight() <= 64 << 10, "{}", answers.cache.weight());
        assert!(answers.cache.len() > 10);
    }
}
