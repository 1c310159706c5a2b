//! Answers that are ready to be sent again: bounded by bytes, and never wrong, because the key says everything that the
//! bytes depend on.

use crate::auth::Sight;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use occi_model::EntityId;
use occi_rendering::{Agent, MediaType};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// What the bytes of an entity's answer depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// What the reader may see.
    pub(super) sight: Sight,
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

/// The answers.
pub(super) struct Answers {
    cache: Cache<Key, Ready, ByBytes>,
}

impl Answers {
    /// At most `bytes` of answers.
    pub(super) fn new(bytes: usize) -> Self {
        // An entity is about a kilobyte.
        Self {
            cache: Cache::with_weighter(bytes / 1024 + 1, bytes as u64, ByBytes),
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Ready> {
        self.cache.get(key)
    }

    pub(super) fn insert(&self, key: Key, ready: Ready) {
        self.cache.insert(key, ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_by_bytes() {
        let answers = Answers::new(64 << 10);
        let sight = crate::auth::sight::Sights::default().of(&occi_engine::Principal {
            name: "ann".to_owned(),
            operator: true,
            projects: Vec::new(),
            default_project: "p".to_owned(),
        });
        let key = |number: u32| Key {
            sight,
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
